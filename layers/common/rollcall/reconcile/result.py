"""What came of a run of reconcile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .steps import NodePlan, Plan

if TYPE_CHECKING:
    from rollcall.domain.errors import RollcallError
    from rollcall.domain.inventories import Inventory

    from .steps import NodeRemoval, Removal


@dataclass
class Summary:
    """What a run saw in one inventory, and did: numbers of hosts.

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


@dataclass(frozen=True)
class Fix:
    """A step that was taken: removed, fixed, added or requeued.

    group: of its instance, None where nobody knows. job: the id of the job that was launched on it, None if none was.
    """

    deed: str
    inventory: Inventory
    instance_id: str
    reason: str
    group: str | None = None
    job: int | None = None

    @property
    def step(self) -> str:
        """What was done, in words."""
        return self.deed if self.job is None else f"{self.deed} and provisioned"


@dataclass
class NodesOutcome:
    """What came of a run in Chef.

    plan: what was to be done. removed: what was. stopped: the removals that the breaker did not let through.
    """

    plan: NodePlan = field(default_factory=NodePlan)
    removed: list[NodeRemoval] = field(default_factory=list)
    stopped: tuple[NodeRemoval, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What a run came to about an instance that it was asked for.

    settled: nothing is left to do about it; if not, the reason says why.
    """

    settled: bool
    reason: str


@dataclass
class RunOutcome:
    """What came of a run.

    plan: what was to be done, without the removals that the breaker stopped. by_inventory: those that were read.
    fixes: every step taken. troubles: what failed of groups, inventories and steps. troubled_in: the inventories of
    those that are about one of many hosts. stopped: by inventory, the removals that the breaker did not let
    through. left: steps that wait for the next run, for want of time or because the host's new place is not there
    yet, or its address not free. nodes: what came of it in Chef. answers: by id, about the instances that the run
    was asked for.
    """

    plan: Plan = field(default_factory=Plan)
    by_inventory: dict[Inventory, Summary] = field(default_factory=dict)
    fixes: list[Fix] = field(default_factory=list)
    troubles: dict[str, RollcallError] = field(default_factory=dict)
    troubled_in: dict[str, Inventory] = field(default_factory=dict)
    stopped: dict[Inventory, list[Removal]] = field(default_factory=dict)
    left: int = 0
    nodes: NodesOutcome = field(default_factory=NodesOutcome)
    answers: dict[str, Answer] = field(default_factory=dict)
