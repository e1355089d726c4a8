"""What doctor observed of AWS and of Tower, for findings to be made of it. Frozen data.

What could not be read is there as the error that says why (OrError).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollcall.domain.errors import RollcallError

from .arn_patterns import arn_like

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollcall.aws.group_details import GroupDetails
    from rollcall.aws.instance_refreshes import Refresh
    from rollcall.domain.actions import Result, Transition
    from rollcall.domain.errors import BadSettings
    from rollcall.domain.groups import Group, GroupSettings
    from rollcall.domain.inventories import BulkLimits, DumpedHost, Host, HostLimit, Inventory
    from rollcall.domain.jobs import JobTemplate, LaunchTerms, PastJob, TowerUser
    from rollcall.domain.membership import Membership

type OrError[T] = T | RollcallError


@dataclass(frozen=True)
class ObservedRule:
    """A rule of EventBridge: the ARNs of its targets."""

    arn: str
    enabled: bool
    targets: frozenset[str]


@dataclass(frozen=True)
class ObservedQueue:
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
class ObservedTopic:
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

    def include(self, topic: str) -> bool:
        """Whether a topic is among them."""
        return any(arn_like(each, topic) for each in self.named)


@dataclass(frozen=True)
class ObservedStack:
    """The parts of the stack that take events and hand them on, by what they are called in the template.

    sources: the states of the event source mappings, by function; schedules: whether they are enabled, by function.
    topics: the stack's own. notifies: whether anyone is notified of incidents. senders: the user's topics that
    may send to the queues.
    """

    rules: Mapping[str, OrError[ObservedRule]]
    queues: Mapping[str, OrError[ObservedQueue]]
    sources: Mapping[str, OrError[str]]
    schedules: Mapping[str, OrError[bool]]
    topics: Mapping[str, OrError[ObservedTopic]] = field(default_factory=dict)
    notifies: bool = True
    senders: Senders = Senders()

    def arn(self, queue: str) -> str:
        """The ARN of a queue; empty where it could not be read."""
        observed = self.queues.get(queue)
        return observed.arn if isinstance(observed, ObservedQueue) else ""

    def visibility(self, *queues: str) -> int:
        """The longest visibility timeout of these queues, in seconds; 0 where none could be read."""
        observed = (self.queues.get(each) for each in queues)
        return max((each.visibility for each in observed if isinstance(each, ObservedQueue)), default=0)


@dataclass(frozen=True)
class ObservedHook:
    """A lifecycle hook. target: what it notifies, empty for EventBridge; role: by which. heartbeat_timeout: seconds."""

    name: str
    transition: Transition
    target: str
    role: str
    heartbeat_timeout: int
    default_result: Result


@dataclass(frozen=True)
class ObservedGroup:
    """An Auto Scaling group, its instances by id, its hooks, and what it notifies which topics of.

    most: instances that it may have. details: the group in full, without its warm pool.
    """

    group: Group
    members: Mapping[str, Membership]
    hooks: OrError[tuple[ObservedHook, ...]] = ()
    topics: OrError[Mapping[str, frozenset[str]]] = field(default_factory=dict)
    most: int = 0
    details: GroupDetails | None = None

    @property
    def name(self) -> str:
        """The group's name."""
        return self.group.name


@dataclass(frozen=True)
class OptedInGroup:
    """A group that opted in, and what its tags ask for as far as they can be read."""

    group: ObservedGroup
    settings: GroupSettings

    @property
    def name(self) -> str:
        """The group's name."""
        return self.group.name


@dataclass(frozen=True)
class UnreadableTag:
    """A tag of a group that cannot be read, with the reason."""

    group: str
    error: BadSettings


@dataclass(frozen=True)
class CycleDefaults:
    """What the tag rollcall:cycle of a group asks for, as far as doctor needs it.

    forbidden: no cycle is allowed. refuses_protected, refuses_standby: instances that are protected from scale-in, or
    in Standby, keep a cycle from beginning.
    """

    forbidden: bool = False
    refuses_protected: bool = True
    refuses_standby: bool = True


@dataclass(frozen=True)
class ObservedCycle:
    """What there is of the cycles of a group.

    defaults: None for a group without the tag rollcall:cycle. refresh: its active instance refresh, None without.
    pin_runs: whether the cycle that has pinned it still runs; None if it is not pinned.
    """

    defaults: OrError[CycleDefaults | None] = None
    refresh: OrError[Refresh | None] = None
    pin_runs: OrError[bool] | None = None


@dataclass(frozen=True)
class BakeDefaults:
    """What the tags of a group ask of a bake, as far as doctor needs it.

    forbidden: no bake is allowed. job_template, inventory: as they are named, empty where they are not. rolls_out:
    whether the group is to be cycled to the image.
    """

    forbidden: bool = False
    job_template: str = ""
    inventory: str = ""
    rolls_out: bool = True


@dataclass(frozen=True)
class BuildersInventory:
    """An inventory for builders, and whether the token may change it."""

    inventory: Inventory
    changeable: OrError[bool]


@dataclass(frozen=True)
class ObservedInventory:
    """An inventory, whether the token may change it, its hosts, and how many its organization has and may have."""

    inventory: Inventory
    changeable: OrError[bool]
    hosts: OrError[tuple[DumpedHost, ...]]
    limit: OrError[HostLimit | None] = None


@dataclass(frozen=True)
class HostSample:
    """Hosts of some instances in service, in every inventory that the token may read.

    instances: the ids that were searched for. elsewhere: the inventories that no tag names, and whether the token may
    change them.
    """

    instances: frozenset[str]
    hosts: tuple[Host, ...]
    elsewhere: Mapping[Inventory, OrError[bool]]


@dataclass(frozen=True)
class ObservedTemplate:
    """A job template, how it may be launched, and its last jobs that succeeded."""

    template: JobTemplate
    terms: OrError[LaunchTerms]
    past: OrError[tuple[PastJob, ...]] = ()


@dataclass(frozen=True)
class ObservedTower:
    """A Tower. Where version is an error nothing else was read, where user is one no more than that.

    root: the URL of its API; other_roots: those at which a Tower does answer, if none does there. ahead: by
    how many seconds its clock is before ours. inventories, templates: by how tags name them. job_timeout: of
    templates without one of their own, in seconds, 0 for none; None if the token may not read it. licence: how many
    hosts there are and may be; None without a limit. sample: None if there is no instance in service. bake_inventories,
    bake_templates: those that tags of bakes name, likewise.
    """

    root: str
    version: OrError[str]
    other_roots: tuple[str, ...] = ()
    ahead: float = 0.0
    user: OrError[TowerUser] | None = None
    bulk: OrError[bool] = True
    limits: OrError[BulkLimits | None] = None
    job_timeout: OrError[int | None] = None
    licence: OrError[HostLimit | None] = None
    sample: OrError[HostSample] | None = None
    inventories: Mapping[str, OrError[ObservedInventory]] = field(default_factory=dict)
    templates: Mapping[str, OrError[ObservedTemplate]] = field(default_factory=dict)
    bake_inventories: Mapping[str, OrError[BuildersInventory]] = field(default_factory=dict)
    bake_templates: Mapping[str, OrError[ObservedTemplate]] = field(default_factory=dict)

    @property
    def answers(self) -> bool:
        """Whether inventories and templates were read from it: it answers, and knows the token."""
        return not isinstance(self.version, RollcallError) and not isinstance(self.user, RollcallError)


@dataclass(frozen=True)
class Observations:
    """All that doctor observed.

    groups: by name. opted_in: those with the tag, and unreadable_tags: what of their tags could not be read. wanted:
    the names of the requested ones, none for all. subscribers: the queues that are subscribed to a topic, by its
    ARN; kinds: of target groups, by ARN. chef: how many nodes the Chef server has, None if it was not read. at: when
    it was observed, in epoch seconds. cycles: of groups with a tag of cycles, by name; none in a stack without them.
    bakes: what the tags of bakes say, likewise. template_tags: of the launch templates of groups that are baked, by
    their ids. bake_template_arns: the launch templates that bakes may change without a tag, ARNs or patterns.
    """

    stack: ObservedStack
    tower: ObservedTower
    groups: OrError[Mapping[str, ObservedGroup]]
    opted_in: tuple[OptedInGroup, ...] = ()
    unreadable_tags: tuple[UnreadableTag, ...] = ()
    wanted: frozenset[str] = frozenset()
    subscribers: Mapping[str, OrError[frozenset[str]]] = field(default_factory=dict)
    kinds: Mapping[str, OrError[str]] = field(default_factory=dict)
    chef: OrError[int] | None = None
    at: float = 0.0
    cycles: Mapping[str, ObservedCycle] = field(default_factory=dict)
    bakes: Mapping[str, OrError[BakeDefaults | None]] = field(default_factory=dict)
    template_tags: Mapping[str, OrError[Mapping[str, str]]] = field(default_factory=dict)
    bake_template_arns: tuple[str, ...] = ()

    def template(self, reference: str | None) -> ObservedTemplate | None:
        """A job template that a tag names; None where there is none, or it could not be read."""
        found = self.tower.templates.get(reference or "")
        return found if isinstance(found, ObservedTemplate) else None


def groups_by_inventory(opted_in: Iterable[OptedInGroup]) -> dict[str, set[str]]:
    """The inventories that tags name, as they name them; each with the groups that name it."""
    named: defaultdict[str, set[str]] = defaultdict(set)
    for each in opted_in:
        named[each.settings.inventory].add(each.name)
    return named


def templates_named(opted_in: Iterable[OptedInGroup]) -> dict[str, set[str]]:
    """The job templates that tags name, to provision or to retire; each with the groups that name it."""
    named: defaultdict[str, set[str]] = defaultdict(set)
    for each in opted_in:
        for template in filter(None, (each.settings.job_template, each.settings.retire_job_template)):
            named[template].add(each.name)
    return named
