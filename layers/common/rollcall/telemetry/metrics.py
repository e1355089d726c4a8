"""Metrics: collected during an invocation, and written at its end in CloudWatch's embedded metric format.

Most are kept for the whole function (dimension service), and for the group that they are about, if any, too (dimension
group). Some have one dimension alone: group, class (the kind of error) or severity. Every value of a dimension is one
more metric to pay for, so that nothing else whose number grows, such as instances or jobs, is a dimension.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMESPACE = "Rollcall"

type Dimensions = tuple[tuple[str, str], ...]  # each by itself a set of dimensions, by name and value


class Metrics:
    """What one function measures."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._counts: defaultdict[Dimensions, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._values: defaultdict[Dimensions, defaultdict[tuple[str, MetricUnit], list[float]]] = defaultdict(
            lambda: defaultdict(list)
        )

    def count(self, name: str, number: float = 1, *, group: str | None = None) -> None:
        """So many of something, in all and of a group; 0 for nothing."""
        self._counts[self._of(group)][name] += number

    def count_kind(self, name: str, kind: str) -> None:
        """One of a kind (dimension class)."""
        self._counts[(("class", kind),)][name] += 1

    def count_of_channel(self, name: str, channel: str) -> None:
        """One of something, in all and of a channel (dimension channel)."""
        self._counts[(("service", self._function), ("channel", channel))][name] += 1

    def count_severity(self, name: str, severity: str, number: float) -> None:
        """So many of a severity (dimension severity); 0 for none."""
        self._counts[(("severity", severity),)][name] += number

    def seconds(self, name: str, value: float, *, group: str | None = None) -> None:
        """Seconds that something took, in all and of a group."""
        self._values[self._of(group)][name, MetricUnit.Seconds].append(value)

    def seconds_of_group(self, name: str, value: float, group: str) -> None:
        """Seconds that something took, of a group alone."""
        self._values[(("group", group),)][name, MetricUnit.Seconds].append(value)

    def seconds_of_kind(self, name: str, value: float, kind: str) -> None:
        """Seconds that something took, of a kind (dimension class)."""
        self._values[(("class", kind),)][name, MetricUnit.Seconds].append(value)

    def milliseconds(self, name: str, values: Iterable[float]) -> None:
        """Milliseconds that something took each time."""
        for value in values:
            self._values[self._of(None)][name, MetricUnit.Milliseconds].append(value)

    def write(self) -> None:
        """Write what was measured since the last time; nothing if nothing was."""
        for dimensions in dict.fromkeys([*self._counts, *self._values]):
            _write(dimensions, self._counts.get(dimensions, {}), self._values.get(dimensions, {}))
        self._counts.clear()
        self._values.clear()

    def _of(self, group: str | None) -> Dimensions:
        whole = ("service", self._function)
        return (whole, ("group", group)) if group else (whole,)


def _write(dimensions: Dimensions, counts: dict[str, float], values: dict[tuple[str, MetricUnit], list[float]]) -> None:
    """One line, or several: a metric has room for a hundred values in each, and Powertools begins a new one."""
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    (name, value), *others = dimensions
    metrics.add_dimension(name, value)
    for other, own in others:
        metrics.add_dimensions(**{other: own})
    for counted, number in counts.items():
        metrics.add_metric(counted, MetricUnit.Count, number)
    for (measured, unit), own_values in values.items():
        for each in own_values:
            metrics.add_metric(measured, unit, each)
    if metrics.metric_set:
        metrics.flush_metrics()
