"""The removal limit in whole runs over arbitrary worlds, held to what is counted while a world is made."""

from __future__ import annotations

from collections import defaultdict
from copy import replace
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rollcall.domain.messages import RunOptions
from unit.fakes import REGION
from unit.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.domain.inventories import Inventory

ALWAYS = 5  # hosts of an inventory that a run may remove whatever their share
NEWLY = 60.0  # seconds since a host was made, in which AWS need not know its instance yet
INVENTORIES = {"web": "prod", "db": "other"}  # of the groups that opted in
FORMER = "former"  # a group that did not
FORGET = frozenset({FORMER})
STRANGER = {"group": "web", "instance_id": "i-x", "account": "999999999999", "region": REGION, "vpc": "vpc-1"}
LISTED = {"serves": "InService", "unhosted": "InService", "moved": "InService", "left over": "InService"} | {
    "leaves": "Terminating:Wait"
}  # by Auto Scaling, in this state
DUE = ("terminated", "unknown", "moved")
FATES = (*LISTED, "terminated", "unknown", "newborn", "detached", "foreign")

type Crowds = Mapping[str, Mapping[str, int]]


@dataclass
class Counted:
    """How many of an inventory's hosts are ours, and the ids of those that a run for all groups is to remove."""

    managed: int = 0
    due: set[int] = field(default_factory=set)

    def most(self, share: float) -> float:
        """How many a run may remove unasked."""
        return max(ALWAYS, share * self.managed)


class Crowded(World):
    """A world with so many instances of each fate for each inventory, and their hosts."""

    def __init__(self, crowds: Crowds, options: RunOptions) -> None:
        super().__init__()
        self.counted: defaultdict[int, Counted] = defaultdict(Counted)
        self._options = options
        self._numbers = count()
        for group, reference in INVENTORIES.items():
            self.group(group, inventory=reference)
            inventory = self.tower.add_inventory(reference)
            for fate, size in crowds[reference].items():
                for _ in range(size):
                    self._settle(fate, group, inventory)

    def _settle(self, fate: str, group: str, inventory: Inventory) -> None:
        number = next(self._numbers)
        instance_id, address = f"i-{number}", f"10.0.{number // 200}.{number % 200}"
        marked = FORMER if fate == "left over" else group
        if fate in LISTED:
            [elsewhere] = INVENTORIES.keys() - {group}
            self.serving(instance_id, address, elsewhere if fate == "moved" else marked, state=LISTED[fate])
        elif fate in ("terminated", "detached"):
            self.serving(instance_id, address, group)
            (self.terminated if fate == "terminated" else self.detached)(instance_id)
        if fate == "unhosted":
            return
        changes: dict[str, Any] = {"variables": {"rollcall": STRANGER}} if fate == "foreign" else {}
        changes |= {"age": NEWLY} if fate == "newborn" else {}
        host = self.host_of(instance_id, address, marked, inventory=inventory, **changes)
        counted = self.counted[inventory.id]
        counted.managed += fate != "foreign"
        if fate in DUE or marked in self._options.forget:
            counted.due.add(host.id)

    def removed_by_a_run(self, share: float, *, force: bool = False) -> dict[int, set[int]]:
        """By inventory, the ids of the hosts that were there before and are not any more."""
        before = dict(self.tower.hosts)
        self.reconcile(self._options, share=share, force=force)
        removed = before.keys() - self.tower.hosts.keys()
        return {
            inventory_id: {each for each in removed if before[each].inventory_id == inventory_id}
            for inventory_id in self.counted
        }


def crowd(most: int) -> st.SearchStrategy[int]:
    return st.just(0) | st.integers(0, most)


ANY_CROWDS = st.fixed_dictionaries(
    {
        reference: st.fixed_dictionaries({fate: crowd(40 if fate == "serves" else 8) for fate in FATES})
        for reference in INVENTORIES.values()
    }
)
SHARES = st.sampled_from((0.0, 0.1, 0.2, 0.25, 0.5, 1.0))
FOR_ALL = st.builds(
    RunOptions,
    groups=st.none(),
    instances=st.none(),
    provision=st.booleans(),
    forget=st.sampled_from((frozenset(), FORGET)),
    adopt=st.booleans(),
    every=st.none(),
)
FOR_SOME = st.builds(replace, FOR_ALL, groups=st.frozensets(st.sampled_from((*INVENTORIES, FORMER)), min_size=1))
OFTEN = settings(max_examples=4 * settings().max_examples)


@OFTEN
@given(ANY_CROWDS, FOR_ALL | FOR_SOME, SHARES)
def test_a_run_removes_no_more_than_its_share_from_any_inventory(
    crowds: Crowds, options: RunOptions, share: float
) -> None:
    world = Crowded(crowds, options)
    for inventory_id, removed in world.removed_by_a_run(share).items():
        assert len(removed) <= world.counted[inventory_id].most(share)


@OFTEN
@given(ANY_CROWDS, FOR_ALL, SHARES)
def test_a_run_for_all_groups_removes_all_that_is_due_or_where_that_is_too_many_nothing(
    crowds: Crowds, options: RunOptions, share: float
) -> None:
    world = Crowded(crowds, options)
    for inventory_id, removed in world.removed_by_a_run(share).items():
        counted = world.counted[inventory_id]
        assert removed == (counted.due if len(counted.due) <= counted.most(share) else set())


@OFTEN
@given(ANY_CROWDS, FOR_ALL, SHARES)
def test_with_force_all_that_is_due_goes(crowds: Crowds, options: RunOptions, share: float) -> None:
    world = Crowded(crowds, options)
    removed = world.removed_by_a_run(share, force=True)
    assert removed == {inventory_id: counted.due for inventory_id, counted in world.counted.items()}
