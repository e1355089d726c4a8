"""What doctor found: logs, metrics and events."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rollcall.domain.findings import Severity

from .announcer import Announcer, event_origin, with_origin
from .event_details import misconfiguration_event

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from rollcall.domain.findings import Finding
    from rollcall.domain.settings import Settings


class FindingsAnnouncer(Announcer):
    """Logs, counts and publishes for doctor."""

    def log_findings(self, findings: Iterable[Finding]) -> None:
        """Log what doctor found."""
        for finding in findings:
            log = self.logger.error if finding.severity == Severity.BREAKS_LAUNCHES else self.logger.warning
            log(
                f"{finding.subject}: {finding.reason}: {finding.remedy}",
                extra={"key": finding.key, "severity": finding.severity},
            )

    def count_findings(self, findings: Collection[Finding]) -> None:
        """Count the findings of an examination of everything; none counts too."""
        counts = Counter(finding.severity for finding in findings)
        for severity in Severity:
            self.metrics.count_severity("Findings", severity, counts[severity])

    def publish_changes(
        self,
        settings: Settings,
        tower_root: str,
        found: Iterable[Finding],
        fixed: Iterable[Finding],
        seconds_left: Callable[[], float],
    ) -> None:
        """Publish at once what is wrong since the last run, and what was fixed. Raises what the bus refuses it with.

        The caller stores findings as published only if this does not raise.
        """
        origin = event_origin(settings, self._function)
        events = [
            *(misconfiguration_event(each, fixed=False) for each in found),
            *(misconfiguration_event(each, fixed=True) for each in fixed),
        ]
        for _, error in self._bus.put([with_origin(each, origin, tower_root) for each in events], seconds_left):
            raise error
