"""What a plan of reconcile consists of. Frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .model import DumpedHost, Inventory, Transition
    from .snapshot import Place


@dataclass(frozen=True)
class Removal:
    """A host to be removed. moved: it is at home in another inventory, and goes once it is there."""

    inventory: Inventory
    host: DumpedHost
    instance_id: str
    reason: str
    moved: bool = False


@dataclass(frozen=True)
class Change:
    """A host to be put right: its variables replaced (None: they are right), inventory groups joined and left.

    adopted_by: where a host belongs that was made by something else, and is taken over.
    """

    inventory: Inventory
    host: DumpedHost
    instance_id: str
    reason: str
    variables: Mapping[str, object] | None = None
    join: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()
    adopted_by: Place | None = None


@dataclass(frozen=True)
class Addition:
    """An instance without a host. provision: its group's job is to run on it. enabled: as its host elsewhere was.

    asked_groups: inventory groups that its user data asks for, known once its host is about to be made.
    """

    place: Place
    instance_id: str
    variables: Mapping[str, object]
    provision: bool
    reason: str
    enabled: bool = True
    asked_groups: tuple[str, ...] = ()

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
    """A waiting instance whose lifecycle action seems lost."""

    place: Place
    instance_id: str
    transition: Transition
    reason: str

    @property
    def inventory(self) -> Inventory:
        """Where its host belongs."""
        return self.place.inventory


class Kind(StrEnum):
    """What a finding is about."""

    FOREIGN_ADDRESS = "foreign address"
    IN_THE_WAY = "in the way"
    ADDRESS_CONFLICT = "address conflict"
    SECOND_HOST = "second host"
    NOT_OPTED_IN = "not opted in"
    DETACHED = "detached"
    NO_ADDRESS = "no address"
    IN_WARM_POOL = "in the warm pool"
    MIXED_GROUP = "mixed group"
    USER_DATA = "user data"


@dataclass(frozen=True)
class Finding:
    """Something that a person should know, and that is left as it is."""

    kind: Kind
    inventory: Inventory
    subject: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """The steps that make Tower and EC2 agree, and what is only reported."""

    removals: tuple[Removal, ...] = ()
    changes: tuple[Change, ...] = ()
    additions: tuple[Addition, ...] = ()
    requeues: tuple[Requeue, ...] = ()
    findings: tuple[Finding, ...] = ()
