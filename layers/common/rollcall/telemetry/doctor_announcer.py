"""What doctor found: logs, metrics and events."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rollcall.domain.findings import Severity

from .announcer import Announcer, from_here, origin_of
from .event_details import misconfiguration_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from rollcall.domain.findings import Finding
    from rollcall.domain.settings import Settings


class FindingsAnnouncer(Announcer):
    """Speaks for doctor."""

    def diagnosed(self, findings: Iterable[Finding]) -> None:
        """What doctor found."""
        for finding in findings:
            log = self.logger.error if finding.severity == Severity.BREAKS_LAUNCHES else self.logger.warning
            log(
                f"{finding.subject}: {finding.reason}: {finding.remedy}",
                extra={"key": finding.key, "severity": finding.severity},
            )

    def examined(self, findings: Collection[Finding]) -> None:
        """How many findings there are, of all that is set up; none counts too."""
        counts = Counter(finding.severity for finding in findings)
        for severity in Severity:
            self.metrics.count_severity("Findings", severity, counts[severity])

    def misconfigured(
        self,
        settings: Settings,
        tower_root: str,
        found: Iterable[Finding],
        mended: Iterable[Finding],
        seconds_left: Callable[[], float],
    ) -> None:
        """Tell at once of what is wrong since the last run, and of what is mended. Raises what the bus refuses it with.

        Who is to remember that people were told has to know that they were.
        """
        origin = origin_of(settings, self._function)
        told = [
            *(misconfiguration_of(each, mended=False) for each in found),
            *(misconfiguration_of(each, mended=True) for each in mended),
        ]
        for _, error in self._bus.put([from_here(each, origin, tower_root) for each in told], seconds_left):
            raise error
