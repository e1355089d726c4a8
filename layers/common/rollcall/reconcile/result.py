"""What came of a run of reconcile: of single steps (Applied), and of the whole run (RunOutcome)."""

from __future__ import annotations

from copy import replace
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from rollcall.domain.empty_mapping import EMPTY_MAPPING

from .steps import NodePlan, Plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollcall.domain.errors import RollcallError
    from rollcall.domain.inventories import Inventory

    from .steps import DriftFinding, NodeRemoval, Removal, Step

type Taken = Literal["removed", "fixed", "added", "requeued"]  # what was done with an instance, or its host


@dataclass
class Summary:
    """What a run read of one inventory, and did: numbers of hosts.

    conflicts: of one address. seconds: that it took to read the inventory and to change it.
    """

    hosts: int = 0
    managed: int = 0
    removed: int = 0
    fixed: int = 0
    added: int = 0
    foreign: int = 0
    conflicts: int = 0
    requeued: int = 0
    seconds: float = field(default=0.0, compare=False)

    def count(self, action: Taken) -> None:
        """Counts a step that was taken."""
        match action:
            case "removed":
                self.removed += 1
            case "fixed":
                self.fixed += 1
            case "added":
                self.added += 1
            case "requeued":
                self.requeued += 1


@dataclass(frozen=True)
class Fix:
    """A step that was taken.

    group: of its instance, None where it is not known. job: the id of the job that was launched on it, None if none
    was.
    """

    action: Taken
    inventory: Inventory
    instance_id: str
    reason: str
    group: str | None = None
    job: int | None = None

    @property
    def step(self) -> str:
        """What was done, in words."""
        return self.action if self.job is None else f"{self.action} and provisioned"


def fixes_of(action: Taken, steps: Iterable[Step], jobs: Mapping[str, int] = EMPTY_MAPPING) -> tuple[Fix, ...]:
    """These steps as taken. jobs: the ids of the jobs that were launched, by instance id."""
    return tuple(
        Fix(action, each.inventory, each.instance_id, each.reason, each.group, jobs.get(each.instance_id))
        for each in steps
    )


class StepError(NamedTuple):
    """Why something could not be done. what: in words, the same for errors that count once.

    one_of: the inventory, where it is about one of many hosts.
    """

    what: str
    error: RollcallError
    one_of: Inventory | None = None


@dataclass(frozen=True)
class Applied:
    """What came of some steps: which were taken, what failed, what was found, and how many wait for the next run.

    nodes: removed from Chef. seconds: that the steps of an inventory took.
    """

    fixes: tuple[Fix, ...] = ()
    errors: tuple[StepError, ...] = ()
    findings: tuple[DriftFinding, ...] = ()
    left: int = 0
    nodes: tuple[NodeRemoval, ...] = ()
    seconds: Mapping[Inventory, float] = EMPTY_MAPPING


@dataclass
class NodesOutcome:
    """What came of a run in Chef.

    plan: what was to be done. removed: what was. stopped: the removals that the removal limit did not let through.
    """

    plan: NodePlan = field(default_factory=NodePlan)
    removed: list[NodeRemoval] = field(default_factory=list)
    stopped: tuple[NodeRemoval, ...] = ()


@dataclass(frozen=True)
class InstanceResult:
    """What a run came to about an instance that was requested.

    settled: nothing is left to do about it; if not, the reason says why.
    """

    settled: bool
    reason: str


@dataclass
class RunOutcome:
    """What came of a run, so far.

    plan: what was to be done, without the removals that the removal limit stopped. by_inventory: those that were read.
    fixes: every step taken. errors: what failed of groups, inventories and steps. host_errors_in: the inventories of
    those that are about one of many hosts. stopped: by inventory, the removals that the removal limit did not let
    through. left: steps that wait for the next run, for want of time or because the host's new place is not there yet,
    or its address not free. nodes: what came of it in Chef. instance_results: by id, about the instances that the run
    was requested for.
    """

    plan: Plan = field(default_factory=Plan)
    by_inventory: dict[Inventory, Summary] = field(default_factory=dict)
    fixes: list[Fix] = field(default_factory=list)
    errors: dict[str, RollcallError] = field(default_factory=dict)
    host_errors_in: dict[str, Inventory] = field(default_factory=dict)
    stopped: dict[Inventory, list[Removal]] = field(default_factory=dict)
    left: int = 0
    nodes: NodesOutcome = field(default_factory=NodesOutcome)
    instance_results: dict[str, InstanceResult] = field(default_factory=dict)

    def record(self, applied: Applied) -> None:
        """Adds what came of some steps."""
        self.fixes += applied.fixes
        for fix in applied.fixes:
            self.by_inventory[fix.inventory].count(fix.action)
        for what, error, one_of in applied.errors:
            self.errors[what] = error
            if one_of:
                self.host_errors_in[what] = one_of
        if applied.findings:
            self.plan = replace(self.plan, findings=(*self.plan.findings, *applied.findings))
        self.left += applied.left
        self.nodes.removed += applied.nodes
        for inventory, seconds in applied.seconds.items():
            self.by_inventory[inventory].seconds += seconds
