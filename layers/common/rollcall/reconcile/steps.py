"""What a plan of reconcile consists of: steps that it takes, and findings that it only reports. Frozen data."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollcall.domain.actions import Transition
    from rollcall.domain.inventories import DumpedHost, Inventory

    from .snapshot import Place


def _marked_group(host: DumpedHost) -> str | None:
    marker = host.variables.get("rollcall")
    group = marker.get("group") if isinstance(marker, dict) else None
    return group if isinstance(group, str) and group else None


@dataclass(frozen=True)
class Removal:
    """A host to be removed. moved: it is at home in another inventory, and goes once it is there.

    copied: Tower copied it from another inventory; it does not count towards the removal limit.
    """

    inventory: Inventory
    host: DumpedHost
    instance_id: str
    reason: str
    moved: bool = False
    copied: bool = False

    @property
    def group(self) -> str | None:
        """The group that the host is of, as its marker says."""
        return _marked_group(self.host)


@dataclass(frozen=True)
class Change:
    """A host to be fixed: its variables replaced (None: they are right), inventory groups joined and left.

    new_in: where a host belongs that was made by something else and is adopted, or by a run that did not end; what its
    instance's user data requests counts then. provision: its group's job is to run on it; only where it is new.
    enabled: whether jobs are to run on it from now on, None to leave that as it is.
    """

    inventory: Inventory
    host: DumpedHost
    instance_id: str
    reason: str
    variables: Mapping[str, object] | None = None
    join: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()
    new_in: Place | None = None
    provision: bool = False
    enabled: bool | None = None

    @property
    def group(self) -> str | None:
        """The group that its instance is of, as far as that is known."""
        return self.new_in.settings.group if self.new_in else _marked_group(self.host)


@dataclass(frozen=True)
class Addition:
    """An instance without a host. provision: its group's job is to run on it. enabled: as its host elsewhere was.

    asked_groups: inventory groups that its user data requests, known once its host is about to be made.
    """

    place: Place
    instance_id: str
    variables: Mapping[str, object]
    provision: bool
    reason: str
    enabled: bool = True
    asked_groups: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """The group that its instance is of."""
        return self.place.settings.group

    @property
    def groups(self) -> tuple[str, ...]:
        """The inventory groups that its host is put into."""
        return tuple(dict.fromkeys((*self.place.settings.inventory_groups, *self.asked_groups)))

    @property
    def inventory(self) -> Inventory:
        """Where its host belongs."""
        return self.place.inventory


@dataclass(frozen=True)
class Requeue:
    """A waiting instance whose lifecycle action seems lost.

    transition: None where its state does not say which way it goes, for into a warm pool and back look the same.
    """

    place: Place
    instance_id: str
    transition: Transition | None
    reason: str

    @property
    def group(self) -> str:
        """The group that its instance is of."""
        return self.place.settings.group

    @property
    def inventory(self) -> Inventory:
        """Where its host belongs."""
        return self.place.inventory


@dataclass(frozen=True)
class NodeRemoval:
    """A node in Chef to be removed with its client. certain: no other account's instance can have this name."""

    node: str
    instance_id: str
    reason: str
    certain: bool


@dataclass(frozen=True)
class NodePlan:
    """The nodes to be removed, of how many of ours: those whose instances are of this account and Region."""

    ours: int = 0
    removals: tuple[NodeRemoval, ...] = ()


class DriftKind(StrEnum):
    """What a finding of reconcile is about. The texts stand in events and their causes."""

    FOREIGN_ADDRESS = "foreign address"
    NAME_TAKEN = "in the way"
    ADDRESS_CONFLICT = "address conflict"
    SECOND_HOST = "second host"
    NOT_OPTED_IN = "not opted in"
    DETACHED = "detached"
    NO_ADDRESS = "no address"
    COPY = "copy"
    READ_ONLY = "read-only inventory"
    RENAMED = "renamed"
    RETAINED = "retained"
    MIXED_GROUP = "mixed group"
    USER_DATA = "user data"
    TAGS = "tags"


@dataclass(frozen=True)
class DriftFinding:
    """Something that the operators should know, and that reconcile leaves as it is.

    instance_id: of the instance whose host is not as it should be for that; empty where it is about no single one.
    """

    kind: DriftKind
    inventory: Inventory
    subject: str
    reason: str
    instance_id: str = ""


@dataclass(frozen=True)
class Plan:
    """The steps that make Tower and EC2 agree, and what is only reported."""

    removals: tuple[Removal, ...] = ()
    changes: tuple[Change, ...] = ()
    additions: tuple[Addition, ...] = ()
    requeues: tuple[Requeue, ...] = ()
    findings: tuple[DriftFinding, ...] = ()


type Step = Removal | Change | Addition | Requeue


def plan_of(items: Iterable[Step | DriftFinding]) -> Plan:
    """A plan of these, each kind in the order in which they come."""
    by_type: defaultdict[type, list[Any]] = defaultdict(list)
    for item in items:
        by_type[type(item)].append(item)
    return Plan(*(tuple(by_type[kind]) for kind in (Removal, Change, Addition, Requeue, DriftFinding)))
