"""What doctor saw of AWS and of Tower, for findings to be made of it. Frozen data.

What could not be read is there as the error that says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import RollcallError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .fleet import Membership
    from .model import BulkLimits, Group, Inventory, JobTemplate, LaunchTerms, Result, TowerUser, Transition

type Look[T] = T | RollcallError


@dataclass(frozen=True)
class SeenRule:
    """A rule of EventBridge: the ARNs of its targets."""

    arn: str
    enabled: bool
    targets: frozenset[str]


@dataclass(frozen=True)
class SeenQueue:
    """A queue. messages: those that wait in it. visibility: seconds.

    dead_letters: the ARN of the queue for what it gives up after so many receives, empty if it has none. policy: who
    else may send to it, as JSON text.
    """

    arn: str
    messages: int
    visibility: int
    dead_letters: str
    receives: int
    policy: str


@dataclass(frozen=True)
class SeenTopic:
    """A topic: the ARNs of the queues that are subscribed to it."""

    arn: str
    subscribers: frozenset[str]


@dataclass(frozen=True)
class SeenStack:
    """The parts of the stack that take events and hand them on, by what they are called in the template.

    sources: the states of the event source mappings, by function; schedules: whether they are enabled, by function.
    topics: the stack's own. told: whether there is anybody who is told of trouble.
    """

    rules: Mapping[str, Look[SeenRule]]
    queues: Mapping[str, Look[SeenQueue]]
    sources: Mapping[str, Look[str]]
    schedules: Mapping[str, Look[bool]]
    topics: Mapping[str, Look[SeenTopic]] = field(default_factory=dict)
    told: bool = True

    def arn(self, queue: str) -> str:
        """The ARN of a queue; empty where it could not be read."""
        seen = self.queues[queue]
        return seen.arn if isinstance(seen, SeenQueue) else ""

    def visibility(self, *queues: str) -> int:
        """The longest visibility timeout of these queues, in seconds; 0 where none could be read."""
        seen = (self.queues[each] for each in queues)
        return max((each.visibility for each in seen if isinstance(each, SeenQueue)), default=0)


@dataclass(frozen=True)
class SeenHook:
    """A lifecycle hook. target: what it notifies, empty for EventBridge; role: by which. heartbeat_timeout: seconds."""

    name: str
    transition: Transition
    target: str
    role: str
    heartbeat_timeout: int
    default_result: Result


@dataclass(frozen=True)
class SeenGroup:
    """An Auto Scaling group, its instances by id, its hooks, and what it notifies which topics of."""

    group: Group
    members: Mapping[str, Membership]
    hooks: Look[tuple[SeenHook, ...]] = ()
    topics: Look[Mapping[str, frozenset[str]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The group's name."""
        return self.group.name


@dataclass(frozen=True)
class SeenInventory:
    """An inventory, whether the token may change it, and the names of its hosts."""

    inventory: Inventory
    changeable: Look[bool]
    hosts: Look[frozenset[str]]


@dataclass(frozen=True)
class SeenTemplate:
    """A job template, and how it may be launched."""

    template: JobTemplate
    terms: Look[LaunchTerms]


@dataclass(frozen=True)
class SeenTower:
    """A Tower. Where version is an error nothing else was asked, where user is one no more than that.

    root: the URL that it is asked at; other_roots: those at which a Tower does answer, if none does there. ahead: by
    how many seconds its clock is before ours. inventories, templates: by how tags name them.
    """

    root: str
    version: Look[str]
    other_roots: tuple[str, ...] = ()
    ahead: float = 0.0
    user: Look[TowerUser] | None = None
    bulk: Look[bool] = True
    limits: Look[BulkLimits | None] = None
    inventories: Mapping[str, Look[SeenInventory]] = field(default_factory=dict)
    templates: Mapping[str, Look[SeenTemplate]] = field(default_factory=dict)

    @property
    def asked(self) -> bool:
        """Whether it was asked for inventories and templates."""
        return not isinstance(self.version, RollcallError) and not isinstance(self.user, RollcallError)


@dataclass(frozen=True)
class Seen:
    """All that doctor saw.

    groups: by name. wanted: the names of those that were asked for, none for all. subscribers: the queues that get
    what a topic is told, by the topic's ARN; kinds: of target groups, by ARN. chef: how many nodes the Chef server has,
    None if it was not asked.
    """

    stack: SeenStack
    tower: SeenTower
    groups: Look[Mapping[str, SeenGroup]]
    wanted: frozenset[str] = frozenset()
    subscribers: Mapping[str, Look[frozenset[str]]] = field(default_factory=dict)
    kinds: Mapping[str, Look[str]] = field(default_factory=dict)
    chef: Look[int] | None = None
