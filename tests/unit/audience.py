"""An announcer whose log lines, events and metrics can be read again."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from io import StringIO
from logging import StreamHandler
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from rollcall.telemetry.bake_announcer import BakeAnnouncer
from rollcall.telemetry.cycle_announcer import CycleAnnouncer
from rollcall.telemetry.doctor_announcer import FindingsAnnouncer
from rollcall.telemetry.reconcile_announcer import RunAnnouncer
from unit.fakes import ACCOUNT, REGION, FakeBus, FakeTower

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pytest


@dataclass(frozen=True)
class Metric:
    """A metric of one set of dimensions, with all the values that it was given."""

    name: str
    unit: str
    dimensions: Mapping[str, str]
    values: tuple[float, ...]


def read_metrics(text: str) -> list[Metric]:
    """The metrics in a function's output, in CloudWatch's embedded format; other lines are passed over."""
    found: list[Metric] = []
    for line in text.splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        for metrics in entry.get("_aws", {}).get("CloudWatchMetrics", []):
            assert metrics["Namespace"] == "Rollcall"
            for names in metrics["Dimensions"]:
                dimensions = {name: entry[name] for name in names}
                for each in metrics["Metrics"]:
                    values = entry[each["Name"]]
                    assert len(values) <= 100, "CloudWatch takes no more"
                    found.append(Metric(each["Name"], each["Unit"], dimensions, tuple(values)))
    return found


class EveryAnnouncer(RunAnnouncer, FindingsAnnouncer, CycleAnnouncer, BakeAnnouncer):
    """Says what any function says."""


class Audience:
    """Hears one announcer. bus: where its events go; seconds_left: of the invocation it speaks in."""

    def __init__(self, tower: FakeTower, capsys: pytest.CaptureFixture[str], function: str = "unit") -> None:
        self.bus = FakeBus()
        self.announcer = EveryAnnouncer(function, self.bus)
        self.seconds_left = 60.0
        self._tower = tower
        self._capsys = capsys
        self._output = StringIO()
        handler = self.announcer.logger.registered_handler
        assert isinstance(handler, StreamHandler)
        handler.setStream(self._output)

    def end(self, work: Callable[[], object] = lambda: None) -> list[tuple[str, Mapping[str, Any]]]:
        """The invocation ends, after this work: what the event bus was sent, since the last time."""
        here: Any = SimpleNamespace(
            tower=self._tower, settings=SimpleNamespace(account=ACCOUNT, region=REGION, stack="rollcall")
        )
        context: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: 1000 * self.seconds_left)
        self.bus.published.clear()
        with self.announcer.publishing(here.settings, here.tower, context):
            work()
        return list(self.bus.published)

    def metrics(self) -> list[Metric]:
        """The metrics written since the last time."""
        self.announcer.metrics.write()
        return read_metrics(self._capsys.readouterr().out)

    def counted(self, **dimensions: str) -> dict[str, float]:
        """The sums of the metrics with exactly these dimensions, or of the whole function; likewise."""
        wanted = dimensions or {"service": str(self.announcer.logger.service)}
        sums: defaultdict[str, float] = defaultdict(float)
        for each in self.metrics():
            if each.dimensions == wanted:
                sums[each.name] += sum(each.values)
        return dict(sums)

    def lines(self) -> list[dict[str, Any]]:
        """The log lines so far."""
        return [json.loads(line) for line in self._output.getvalue().splitlines()]
