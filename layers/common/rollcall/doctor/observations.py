"""What doctor saw of AWS and of Tower, for findings to be made of it. Frozen data.

What could not be read is there as the error that says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollcall.domain.errors import RollcallError

from .arn_patterns import arn_like

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.aws.fleet import Membership
    from rollcall.domain.actions import Result, Transition
    from rollcall.domain.groups import Group
    from rollcall.domain.inventories import BulkLimits, DumpedHost, Host, HostLimit, Inventory
    from rollcall.domain.jobs import JobTemplate, LaunchTerms, PastJob, TowerUser

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
class Senders:
    """The topics whose messages the queues take.

    notification_topic: the parameter NotificationTopicArn, empty for none; patterns: NotifyingTopicArns.
    """

    notification_topic: str = ""
    patterns: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """ARNs and patterns of all of them."""
        return (*filter(None, [self.notification_topic]), *self.patterns)

    def let(self, topic: str) -> bool:
        """Whether a topic is among them."""
        return any(arn_like(each, topic) for each in self.named)


@dataclass(frozen=True)
class SeenStack:
    """The parts of the stack that take events and hand them on, by what they are called in the template.

    sources: the states of the event source mappings, by function; schedules: whether they are enabled, by function.
    topics: the stack's own. told: whether trouble is reported to people. senders: the user's topics that may
    send to the queues.
    """

    rules: Mapping[str, Look[SeenRule]]
    queues: Mapping[str, Look[SeenQueue]]
    sources: Mapping[str, Look[str]]
    schedules: Mapping[str, Look[bool]]
    topics: Mapping[str, Look[SeenTopic]] = field(default_factory=dict)
    told: bool = True
    senders: Senders = Senders()

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
    """An Auto Scaling group, its instances by id, its hooks, and what it notifies which topics of.

    most: instances that it may have.
    """

    group: Group
    members: Mapping[str, Membership]
    hooks: Look[tuple[SeenHook, ...]] = ()
    topics: Look[Mapping[str, frozenset[str]]] = field(default_factory=dict)
    most: int = 0

    @property
    def name(self) -> str:
        """The group's name."""
        return self.group.name


@dataclass(frozen=True)
class SeenInventory:
    """An inventory, whether the token may change it, its hosts, and how many its organization has and may have."""

    inventory: Inventory
    changeable: Look[bool]
    hosts: Look[tuple[DumpedHost, ...]]
    limit: Look[HostLimit | None] = None


@dataclass(frozen=True)
class SeenSample:
    """Hosts of some instances in service, in every inventory that the token may read.

    instances: the ids that were looked for. elsewhere: the inventories that no tag names, and whether the token may
    change them.
    """

    instances: frozenset[str]
    hosts: tuple[Host, ...]
    elsewhere: Mapping[Inventory, Look[bool]]


@dataclass(frozen=True)
class SeenTemplate:
    """A job template, how it may be launched, and its last jobs that succeeded."""

    template: JobTemplate
    terms: Look[LaunchTerms]
    past: Look[tuple[PastJob, ...]] = ()


@dataclass(frozen=True)
class SeenTower:
    """A Tower. Where version is an error nothing else was asked, where user is one no more than that.

    root: the URL that it is asked at; other_roots: those at which a Tower does answer, if none does there. ahead: by
    how many seconds its clock is before ours. inventories, templates: by how tags name them. job_timeout: of
    templates without one of their own, in seconds, 0 for none; None if the token may not read it. licence: how many
    hosts there are and may be; None without a limit. sample: None if there is no instance in service.
    """

    root: str
    version: Look[str]
    other_roots: tuple[str, ...] = ()
    ahead: float = 0.0
    user: Look[TowerUser] | None = None
    bulk: Look[bool] = True
    limits: Look[BulkLimits | None] = None
    job_timeout: Look[int | None] = None
    licence: Look[HostLimit | None] = None
    sample: Look[SeenSample] | None = None
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
    None if it was not asked. at: when it looked, in epoch seconds.
    """

    stack: SeenStack
    tower: SeenTower
    groups: Look[Mapping[str, SeenGroup]]
    wanted: frozenset[str] = frozenset()
    subscribers: Mapping[str, Look[frozenset[str]]] = field(default_factory=dict)
    kinds: Mapping[str, Look[str]] = field(default_factory=dict)
    chef: Look[int] | None = None
    at: float = 0.0
