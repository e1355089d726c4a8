"""Doctor: what is set up wrongly. It changes nothing.

Observations (Observer.observe) -> findings (diagnose, below) -> answer (answer.py), and what of it is news (news.py).

A new finding is added in one place: the module *_findings that is about its thing, where a function yields it. Only for
a new thing a module is added, with a function of its own, and a line in FINDERS. docs/reference/doctor-findings.md is
made from these modules: docs/generators/findings.py knows which they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollcall.domain.findings import Finding, Severity

from .bake_findings import bake_findings
from .builder_findings import builder_findings
from .chef_findings import chef_findings
from .connection_findings import connection_findings
from .coverage import coverage
from .cycle_findings import cycle_findings
from .group_findings import group_findings
from .hook_findings import hook_findings
from .host_findings import host_findings
from .inventory_findings import inventory_findings
from .stack_findings import stack_findings
from .tag_findings import tag_findings
from .template_findings import template_findings
from .time_findings import time_findings
from .topic_findings import topic_findings
from .tower_findings import tower_findings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rollcall.domain.settings import Settings

    from .observations import Observations

type Finder = Callable[[Observations, Settings], Iterator[Finding]]

FINDERS: tuple[Finder, ...] = (
    tag_findings,
    connection_findings,
    tower_findings,
    inventory_findings,
    template_findings,
    stack_findings,
    time_findings,
    group_findings,
    hook_findings,
    topic_findings,
    host_findings,
    chef_findings,
    cycle_findings,
    bake_findings,
    builder_findings,
)
WORST_FIRST = [Severity.BREAKS_LAUNCHES, Severity.WARNING]


@dataclass(frozen=True)
class Diagnosis:
    """What was found, the worst first, and what was examined, in words. topics: the user's that may send."""

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    topics: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether something keeps instances from being launched as they should be, or may."""
        return any(each.severity == Severity.BREAKS_LAUNCHES for each in self.findings)


def diagnose(observed: Observations, here: Settings) -> Diagnosis:
    """What is wrong with what was observed."""
    found = (finding for find in FINDERS for finding in find(observed, here))
    return Diagnosis(_ordered(found), tuple(coverage(observed)), observed.stack.senders.named)


def _ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each once, though several finders may bring it up; the worst first."""
    distinct = {each.key: each for each in findings}
    return tuple(
        sorted(distinct.values(), key=lambda each: (WORST_FIRST.index(each.severity), each.subject, each.what))
    )
