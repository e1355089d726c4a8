"""What Rollcall speaks of. Frozen data, no behaviour beyond reading itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .errors import Kept

EMPTY: Mapping[Any, Any] = MappingProxyType({})  # the default of a mapping


class Transition(StrEnum):
    """Which way an instance goes."""

    LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
    TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"


class Result(StrEnum):
    """What a lifecycle hook is completed with."""

    CONTINUE = "CONTINUE"
    ABANDON = "ABANDON"


@dataclass(frozen=True)
class LifecycleAction:
    """One instance on its way in or out of a group.

    hook is None where nothing waits for an answer: the instance serves already, or is already terminated.
    token is None where the action is completed by instance id. to_warm_pool: it goes, and may come back. retired: its
    retire job is over. node_pattern, private_dns: what its host told of its node in Chef before it was struck off, as
    text; empty if nothing. message_id: of the message it came in; the same action may come in several. received_at:
    when that was first received, in epoch seconds; infinity if it came in none. at: when Auto Scaling told of it,
    likewise; infinity if nobody knows. troubled: its message failed before, so that somebody may have been alerted.
    unanswered_since: see Waiting; only cleanup's own messages carry it.
    """

    transition: Transition
    account: str
    region: str
    group: str
    instance_id: str
    hook: str | None = None
    token: str | None = None
    to_warm_pool: bool = field(default=False, compare=False)
    retired: bool = field(default=False, compare=False)
    node_pattern: str = field(default="", compare=False)
    private_dns: str = field(default="", compare=False)
    message_id: str = field(default="", compare=False)
    received_at: float = field(default=math.inf, compare=False)
    at: float = field(default=math.inf, compare=False)
    troubled: bool = field(default=False, compare=False)
    unanswered_since: float | None = field(default=None, compare=False)

    @property
    def awaited(self) -> bool:
        """Whether a hook holds the instance until it is answered."""
        return self.hook is not None


class Hook(NamedTuple):
    """A lifecycle hook of a group; target is the ARN that it notifies, empty for EventBridge.

    default_result: what ends its wait when it is not answered; heartbeat_timeout: after so many seconds without a
    heartbeat. Where they are not given they are as PutLifecycleHook has them.
    """

    name: str
    transition: Transition
    target: str
    default_result: Result = Result.ABANDON
    heartbeat_timeout: int = 3600


class Group(NamedTuple):
    """An Auto Scaling group: its tags, and the heartbeat timeout (seconds) of each of its hooks.

    target_groups: the ARNs of the target groups of load balancers that it is attached to. other_traffic: what else
    sends it traffic, in words: classic load balancers, VPC Lattice.
    """

    name: str
    tags: Mapping[str, str]
    heartbeat_timeouts: Mapping[str, int]
    target_groups: tuple[str, ...] = ()
    other_traffic: tuple[str, ...] = ()


class OnFailure(StrEnum):
    """What becomes of an instance against which there is evidence."""

    ABANDON = "abandon"
    HOLD = "hold"


class AddressKind(StrEnum):
    """Which of an instance's addresses Tower connects to."""

    PRIVATE = "private"
    PUBLIC = "public"
    PRIVATE_DNS = "private-dns"
    PUBLIC_DNS = "public-dns"


class CheckKind(StrEnum):
    """A check that a gate can ask for."""

    JOB = "job"
    EC2 = "ec2"
    ELB = "elb"
    TCP = "tcp"
    HTTP = "http"


class Check(NamedTuple):
    """One check of a gate; port and path only where the kind has them."""

    kind: CheckKind
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        match self.kind:
            case CheckKind.TCP:
                return f"tcp:{self.port}"
            case CheckKind.HTTP:
                return f"http:{self.port}{self.path}"
            case _:
                return str(self.kind)


class NamedAfter(StrEnum):
    """What of its instance a node in Chef is named after: what stands for it in a pattern."""

    INSTANCE_ID = "@instance_id@"
    PRIVATE_DNS = "@private_dns@"


class NodePattern(NamedTuple):
    """How nodes in Chef are named: after what of their instances, and the text on both sides of it."""

    named_after: NamedAfter
    before: str = ""
    behind: str = ""

    def __str__(self) -> str:
        return f"{self.before}{self.named_after}{self.behind}"


class GroupSettings(NamedTuple):
    """What a group asks for by its tags.

    timeout in seconds; watch likewise, 0 for none. user_data: its instances ask for more by theirs. nodes: None if its
    instances are not in Chef. released_at: when an operator released the group from the provisioning circuit breaker,
    in epoch seconds, 0 if never.
    """

    group: str
    inventory: str
    inventory_groups: tuple[str, ...]
    job_template: str | None
    gate: tuple[Check, ...]
    timeout: int
    on_failure: OnFailure
    address: AddressKind
    watch: int = 0
    user_data: bool = False
    nodes: NodePattern | None = None
    retire_job_template: str | None = None
    released_at: float = 0.0

    def asks(self, kind: CheckKind) -> bool:
        """Whether its gate holds a check of this kind."""
        return any(check.kind == kind for check in self.gate)


class Parameters(NamedTuple):
    """What an instance asks for by its user data: variables of its host, and inventory groups beside its group's.

    warning: why that is not followed, or not all of it; without anything that stands in it but names of variables.
    """

    variables: Mapping[str, object] = EMPTY
    groups: tuple[str, ...] = ()
    warning: str = ""


class Instance(NamedTuple):
    """An EC2 instance as far as Tower is told of it. launched_at in epoch seconds."""

    instance_id: str
    state: str
    launched_at: float
    addresses: Mapping[AddressKind, str]
    facts: Mapping[str, str]
    tags: Mapping[str, str]

    @property
    def living(self) -> bool:
        """Neither terminated nor on its way there."""
        return self.state not in ("shutting-down", "terminated")


@dataclass(frozen=True)
class Inventory:
    """A Tower inventory. organization: the name of the one that it belongs to, empty if unknown."""

    id: int
    name: str
    organization: str = field(default="", compare=False)


class JobKind(NamedTuple):
    """What jobs have in common that can be compared: a template, and an inventory."""

    template_id: int
    inventory_id: int | None


class JobTemplate(NamedTuple):
    """A Tower job template, with what decides whether a launch can be limited and runs the whole playbook.

    inventory_id is None if it has none. job_type: "run" or "check". tags, skip_tags: the playbook's tags that its jobs
    are limited to, and those that they leave out, as one text each. asks_X: it prompts for it on launch.
    """

    id: int
    name: str
    inventory_id: int | None
    asks_limit: bool
    asks_inventory: bool
    slices: int
    job_type: str = "run"
    tags: str = ""
    skip_tags: str = ""
    asks_job_type: bool = False
    asks_tags: bool = False
    asks_skip_tags: bool = False

    def on(self, inventory: Inventory) -> JobKind:
        """The kind of the jobs that are launched from it on an inventory."""
        return JobKind(self.id, inventory.id)


class LaunchTerms(NamedTuple):
    """How a job template may be launched: by whom, how often at once, and what a launch has to bring beside a limit.

    startable: the token's user may launch it. needed: what Tower would not launch it without, in words, and Rollcall
    never gives; unknown, and so empty, where it is not startable. timeout: seconds after which Tower ends a job of it,
    0 for the server's default, below 0 for never. forks: hosts that a job works on at once, 0 for Ansible's default.
    """

    startable: bool
    simultaneous: bool
    needed: tuple[str, ...] = ()
    timeout: int = 0
    forks: int = 0


class PastJob(NamedTuple):
    """A job that succeeded: on how many hosts, with how many at once (0 for Ansible's default), in how many seconds."""

    hosts: int
    forks: int
    seconds: float


class TowerUser(NamedTuple):
    """Whose token it is. writes: the token lets that user change itself, and so is no read-only one."""

    name: str
    writes: bool


class BulkLimits(NamedTuple):
    """How many hosts one bulk call may create and delete."""

    create: int
    delete: int


class HostLimit(NamedTuple):
    """How many hosts there may be, and are. owner: whose limit it is, in words."""

    owner: str
    used: int
    most: int


class Host(NamedTuple):
    """A host in Tower. created_at in epoch seconds by Tower's clock; group_ids is None if Tower listed only some."""

    id: int
    name: str
    inventory_id: int
    inventory_name: str
    instance_id: str
    variables: Mapping[str, object]
    created_at: float
    group_ids: frozenset[int] | None
    description: str = ""
    enabled: bool = True

    @property
    def owner(self) -> Mapping[str, object] | None:
        """Our marker, or None for a host that is not ours."""
        marker = self.variables.get("rollcall")
        return marker if isinstance(marker, dict) else None


class DumpedHost(NamedTuple):
    """A host as the dump of its inventory shows it; groups are names."""

    id: int
    name: str
    inventory_id: int
    inventory_name: str
    enabled: bool
    variables: Mapping[str, object]
    groups: frozenset[str]


class Dump(NamedTuple):
    """A whole inventory. plain: none of its variables holds what is more than text in an inventory, that is certain."""

    inventory: Inventory
    hosts: tuple[DumpedHost, ...]
    plain: bool = False


class Node(NamedTuple):
    """A node in Chef, as it describes itself: empty is what it does not say.

    seen_at: when chef-client last ran on it, in epoch seconds by its own clock; None if it never did.
    """

    name: str
    instance_id: str = ""
    account: str = ""
    region: str = ""
    seen_at: float | None = None


class JobStatus(StrEnum):
    """The states of a Tower job."""

    NEW = "new"
    PENDING = "pending"
    WAITING = "waiting"
    RUNNING = "running"
    SUCCESSFUL = "successful"
    FAILED = "failed"
    ERROR = "error"
    CANCELED = "canceled"

    @property
    def final(self) -> bool:
        """Whether the job has ended."""
        return self in (JobStatus.SUCCESSFUL, JobStatus.FAILED, JobStatus.ERROR, JobStatus.CANCELED)


class Job(NamedTuple):
    """A Tower job. Times in epoch seconds by Tower's clock.

    hosts: the instance ids that its limit names; where it was asked for by hosts, also those of them that it ran on.
    is_whole: it is a run, not a check, and of all of its playbook, under no tags. is_limited_to_ids: its limit names
    instance ids and nothing else. scm_revision: of its project, empty
    before it started and for a project without one. launched_by: the user's name.
    """

    id: int
    template_id: int
    status: JobStatus
    hosts: frozenset[str]
    created_at: float
    started_at: float | None
    finished_at: float | None
    explanation: str
    inventory_id: int | None = None
    is_whole: bool = True
    is_limited_to_ids: bool = True
    playbook: str = ""
    scm_revision: str = ""
    launched_by: str = ""

    @property
    def kind(self) -> JobKind:
        """What it has in common with the jobs that it can be compared with."""
        return JobKind(self.template_id, self.inventory_id)


class HostSummary(NamedTuple):
    """How often what became of one host in a job, as Ansible counts it.

    unreachable: without those that the playbook ignores. ignored: failures, and on what was not reached.
    """

    failures: int = 0
    unreachable: int = 0
    ignored: int = 0


class JobEvent(NamedTuple):
    """One event of a playbook run, as ansible-runner reports it.

    counter: its place in the run. kind: its name there. host: whose it is, empty for none. task: the task's name, path:
    the file and line that it stands in, below the project; action: what it does, without ansible.builtin. play: the run
    of a play, of which a serial one has a run for each batch. task_id: the same for a task's start and its results.
    at: epoch seconds. is_handler: of a task's start, whether it is a handler's. handler: of a notification, whose it
    is. ignored: of a failure, whether the playbook ignores it. delegated: whether another host did it.
    """

    counter: int
    kind: str
    host: str = ""
    task: str = ""
    path: str = ""
    action: str = ""
    play: str = ""
    task_id: str = ""
    at: float = 0
    is_handler: bool = False
    handler: str = ""
    ignored: bool = False
    delegated: bool = False


class Outcome(StrEnum):
    """What a job showed about one host.

    CUT_SHORT: nothing against it, and no proof that every task of the playbook ran on it. UNPROVEN: nothing at all.
    """

    OK = "ok"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    CUT_SHORT = "cut short"
    UNPROVEN = "unproven"


class Decision(StrEnum):
    """What becomes of a waiting instance now."""

    READY = "ready"
    ABANDON = "abandon"
    HOLD = "hold"
    LEAVE = "leave"
    RELAUNCH = "relaunch"
    WAIT = "wait"


class Verdict(NamedTuple):
    """A decision about one instance and its reason.

    delay: seconds until it is worth looking again (WAIT, HOLD). alert: whether somebody should be told.
    """

    decision: Decision
    reason: str
    delay: float = 0
    alert: bool = False


class Waiting(NamedTuple):
    """An instance at the gate: its action, and the address its checks go to.

    stint_since: when its present stint began, by Tower's clock; None in messages of a version that knew no stints.
    unanswered_since: since when AWS says that its hook has no action, though it holds the instance, by the clock of the
    functions; None while it does not say so. launched_at: written for that version alone, should it be deployed again.
    All in epoch seconds.
    """

    action: LifecycleAction
    launched_at: float
    address: str
    stint_since: float | None = None
    unanswered_since: float | None = None


class GateMessage(NamedTuple):
    """What the gate queue carries.

    job_id: the job last known to hold these instances, None where their groups have no template.
    since: when they were registered; heartbeat_at: when their hooks began to wait, or last got a heartbeat (both epoch
    seconds). polls: how often the same job has been looked at. alerted: whether an alert about them was published.
    lost_jobs: how often in a row a job that was launched for them did not count for them: see lost_jobs.py.
    relaunch_at: until when no other one is launched; cancel_at: until when no other attempt is made to cancel theirs,
    which Tower refused (both epoch seconds). stuck_job: the job that was reported as stuck, None if none was.
    """

    waiting: tuple[Waiting, ...]
    job_id: int | None
    since: float
    heartbeat_at: float
    polls: int = 0
    alerted: bool = False
    lost_jobs: int = 0
    relaunch_at: float = 0.0
    cancel_at: float = 0.0
    stuck_job: int | None = None


class Watched(NamedTuple):
    """An instance let through the gate: its action, its launch (epoch seconds), and what was last told of it.

    serving is None as long as nothing was told.
    """

    action: LifecycleAction
    launched_at: float
    serving: bool | None = None


class WatchMessage(NamedTuple):
    """What the gate queue carries after CONTINUE: instances of one group; since and until in epoch seconds."""

    watched: tuple[Watched, ...]
    since: float
    until: float


class RetireMessage(NamedTuple):
    """What the gate queue carries of instances on their way out, all of one group.

    job_id: the retire job that is known to hold them, None as long as none is. since: when cleanup handed them over;
    heartbeat_at: when their hooks last got a heartbeat; unanswered_since: see Waiting (all epoch seconds). polls: how
    often the same job has been looked at. lost_jobs: how often a job that was launched for them did not count for them:
    see lost_jobs.py. relaunch_at: until when no other one is launched, in epoch seconds.
    """

    retiring: tuple[LifecycleAction, ...]
    job_id: int | None
    since: float
    heartbeat_at: float
    polls: int = 0
    unanswered_since: float | None = None
    lost_jobs: int = 0
    relaunch_at: float = 0.0


class Wishes(NamedTuple):
    """What a run of reconcile is asked for beyond the usual.

    groups: only these, None for all. instances: only these, by id, None for all; those that wait are queued at once.
    provision: hosts that were missing are provisioned, however old their instances. forget: groups whose hosts go
    although their instances live. adopt: hosts of our instances made by somebody else are taken over. every: seconds
    from one scheduled run to the next, None for a run by hand.
    """

    groups: frozenset[str] | None = None
    instances: frozenset[str] | None = None
    provision: bool = False
    forget: frozenset[str] = frozenset()
    adopt: bool = False
    every: float | None = None


class ExaminationRequest(NamedTuple):
    """What doctor is asked for. groups: only these, None for all. announce: what is new is announced."""

    groups: frozenset[str] | None = None
    announce: bool = False


class RunRequest(NamedTuple):
    """A run of reconcile. dry_run: nothing is changed. force: the breaker stops nothing."""

    wishes: Wishes = Wishes()
    dry_run: bool = False
    force: bool = False


class StruckOff(NamedTuple):
    """What came of removing instances from every inventory.

    removed: the ids of those that had a host which is gone now. refusals: by instance id, why Tower keeps a host of it
    that it should not: in an inventory that a group of ours names, or for another reason than a role that is missing.
    left_in: by instance id, the names of the other inventories that keep a host of it, for the token may only read
    them. All other hosts are gone.
    """

    removed: frozenset[str] = frozenset()
    refusals: Mapping[str, Kept] = EMPTY
    left_in: Mapping[str, frozenset[str]] = EMPTY
