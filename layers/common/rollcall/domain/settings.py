"""The configuration: the environment of an installation -> Settings, the tags of a group -> GroupSettings."""

from __future__ import annotations

from contextlib import contextmanager
from copy import replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from .chef_nodes import PATTERN_FORMS, NodePattern, parse_node_pattern
from .empty_mapping import EMPTY_MAPPING
from .errors import BadSettings
from .groups import JOB_CHECK, AddressKind, Group, GroupSettings, OnFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

OPT_IN_TAG = "rollcall:inventory"
CHEF_TAG = "rollcall:chef"
JOB_TAG = "rollcall:job-template"
GATE_TAG = "rollcall:gate"
RETIRE_TAG = "rollcall:retire-job-template"
RELEASED_TAG = "rollcall:released"
CYCLE_TAG = "rollcall:cycle"
PINNED_TAG = "rollcall:cycle-pinned"  # set by a cycle while the group is pinned to a number; see cycle/
MOMENT_FORMAT = "%Y-%m-%dT%H:%M:%SZ"  # in UTC
NAMING_TAGS = (OPT_IN_TAG, JOB_TAG, RETIRE_TAG)  # names in Tower, whose inner blanks count; it strips the outer ones
DEFAULT_TIMEOUT = 1800  # seconds
TIMEOUTS = range(1, 172_801)  # seconds; Auto Scaling itself ends every wait after 48 hours
WATCHES = range(1, 3601)  # seconds; a load balancer's first checks take a few minutes at most


class Settings(NamedTuple):
    """One installation's parameters. stack: its name. chef_secret is empty where there is no Chef server.

    cycles: whether it may replace the instances of groups; bakes: whether it may make images for them. gate_log_group:
    empty for functions that do not read it.
    """

    account: str
    region: str
    stack: str
    tower_url: str
    tower_secret: str
    hook_prefix: str
    adopt_by_instance_id: bool
    in_vpc: bool
    load_balancers: bool
    user_data: bool
    retire_jobs: bool
    max_hosts_per_job: int
    launch_queue_url: str
    gate_queue_url: str
    terminate_queue_url: str
    chef_secret: str = ""
    cycles: bool = False
    gate_log_group: str = ""
    bakes: bool = False


class OwnQueue(NamedTuple):
    """The URLs of the queue that a function is fed from, and of the dead-letter queue behind it."""

    url: str
    dead_letter_url: str


class StackNames(NamedTuple):
    """The parts of the stack that doctor examines, by their names in the template.

    rules: their names; queues: their URLs; sources: ids of the event source mappings, by function; schedules: their
    names, by function; topics: the ARNs of the stack's own. known_findings_table: where doctor keeps which findings it
    has announced.
    notification_topic: the ARN of the topic that the queues are subscribed to, alarm_topic: of the user's own that
    alarms go to; each empty if there is none. notifying_topics: ARNs, or patterns of them, of further topics that may
    send to the queues. cycle_machine: the ARN of the state machine Cycle, empty in a stack without.
    bake_template_arns: of launch templates that bakes may change without a tag, or patterns of them.
    """

    rules: Mapping[str, str]
    queues: Mapping[str, str]
    sources: Mapping[str, str]
    schedules: Mapping[str, str]
    known_findings_table: str
    notification_topic: str = ""
    notifying_topics: tuple[str, ...] = ()
    alarm_topic: str = ""
    cycle_machine: str = ""
    bake_template_arns: tuple[str, ...] = ()
    topics: Mapping[str, str] = EMPTY_MAPPING

    @property
    def has_alarm_recipient(self) -> bool:
        """Whether alarms and alerts reach anyone: a topic of the user's own, or a channel of the alert function."""
        return bool(self.alarm_topic) or "AlertFunction" in self.sources


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from environment variables. Raises BadSettings naming the one that is missing."""
    with _naming_the_missing():
        return Settings(
            account=environment["ACCOUNT_ID"],
            region=environment["AWS_REGION"],
            stack=environment["STACK_NAME"],
            tower_url=environment["TOWER_URL"],
            tower_secret=environment["TOWER_SECRET"],
            hook_prefix=environment["HOOK_PREFIX"],
            adopt_by_instance_id=environment["ADOPT_BY_INSTANCE_ID"] == "true",
            in_vpc=environment["IN_VPC"] == "true",
            load_balancers=environment["LOAD_BALANCERS"] == "true",
            user_data=environment["USER_DATA"] == "true",
            retire_jobs=environment["RETIRE_JOBS"] == "true",
            max_hosts_per_job=int(environment["MAX_HOSTS_PER_JOB"]),
            launch_queue_url=environment["LAUNCH_QUEUE_URL"],
            gate_queue_url=environment["GATE_QUEUE_URL"],
            terminate_queue_url=environment["TERMINATE_QUEUE_URL"],
            chef_secret=environment.get("CHEF_SECRET", ""),
            cycles=environment.get("CYCLES") == "true",
            gate_log_group=environment.get("GATE_LOG_GROUP", ""),
            bakes=environment.get("BAKES") == "true",
        )


def read_own_queue(environment: Mapping[str, str]) -> OwnQueue:
    """A function's own queue from environment variables. Raises BadSettings naming the one that is missing."""
    with _naming_the_missing():
        return OwnQueue(environment["QUEUE_URL"], environment["DEAD_LETTER_QUEUE_URL"])


def read_stack_names(environment: Mapping[str, str]) -> StackNames:
    """The stack's parts from environment variables. Raises BadSettings naming the one that is missing."""
    with _naming_the_missing():
        names = StackNames(
            rules={
                "LaunchRule": environment["LAUNCH_RULE"],
                "TerminateRule": environment["TERMINATE_RULE"],
                "TerminatedRule": environment["TERMINATED_RULE"],
            },
            queues={
                "LaunchQueue": environment["LAUNCH_QUEUE_URL"],
                "LaunchDeadLetterQueue": environment["LAUNCH_DEAD_LETTER_QUEUE_URL"],
                "GateQueue": environment["GATE_QUEUE_URL"],
                "GateDeadLetterQueue": environment["GATE_DEAD_LETTER_QUEUE_URL"],
                "TerminateQueue": environment["TERMINATE_QUEUE_URL"],
                "TerminateDeadLetterQueue": environment["TERMINATE_DEAD_LETTER_QUEUE_URL"],
            },
            sources={
                "RegisterFunction": environment["REGISTER_SOURCE"],
                "GateFunction": environment["GATE_SOURCE"],
                "CleanupFunction": environment["CLEANUP_SOURCE"],
            },
            schedules={"ReconcileFunction": environment["RECONCILE_SCHEDULE"]},
            known_findings_table=environment["TOLD_TABLE"],
            notification_topic=environment.get("NOTIFICATION_TOPIC", ""),
            notifying_topics=read_topics(environment.get("NOTIFYING_TOPICS", "")),
            alarm_topic=environment.get("ALARM_TOPIC", ""),
            cycle_machine=environment.get("CYCLE_MACHINE", ""),
            bake_template_arns=read_topics(environment.get("BAKE_TEMPLATE_ARNS", "")),
        )
        return _with_alert(names, environment) if "ALERT_QUEUE_URL" in environment else names


def read_topics(text: str) -> tuple[str, ...]:
    """The ARNs and patterns in a list as CloudFormation takes it: separated by commas, with blanks around them."""
    return tuple(each.strip() for each in text.split(",") if each.strip())


def _with_alert(names: StackNames, environment: Mapping[str, str]) -> StackNames:
    """The parts with those of alert, which are there only where the stack has a channel."""
    rules = {"AlertRule": environment["ALERT_RULE"], "AlertEndRule": environment["ALERT_END_RULE"]}
    queues = {
        "AlertQueue": environment["ALERT_QUEUE_URL"],
        "AlertDeadLetterQueue": environment["ALERT_DEAD_LETTER_QUEUE_URL"],
    }
    return replace(
        names,
        rules={**names.rules, **rules},
        queues={**names.queues, **queues},
        sources={**names.sources, "AlertFunction": environment["ALERT_SOURCE"]},
        schedules={**names.schedules, "AlertFunction": environment["ALERT_SCHEDULE"]},
        topics={"AlarmTopic": environment["ALARMS_TO_ALERT"]},
    )


def read_removal_share(environment: Mapping[str, str]) -> float:
    """The fraction of an inventory's managed hosts that one run of reconcile may remove. Raises BadSettings."""
    with _naming_the_missing():
        return int(environment["REMOVE_AT_MOST_PERCENT"]) / 100


@contextmanager
def _naming_the_missing() -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise BadSettings(f"environment variable {error} is missing: deploy with template.yaml") from error


def read_tags(group: Group, spelled: Callable[[str], str]) -> GroupSettings | None:
    """A group's settings from its tags; None for a group that did not opt in.

    spelled: the usual spelling of one check of rollcall:gate; raises ValueError with what is allowed. The checks are
    known further up, so their registry reads tags through this.

    Raises BadSettings naming the group, the tag, the value and what is allowed.
    """
    tags = {key: value.strip() if key in NAMING_TAGS else " ".join(value.split()) for key, value in group.tags.items()}
    if OPT_IN_TAG not in tags:
        return None
    if not tags[OPT_IN_TAG]:
        raise _unreadable(group, OPT_IN_TAG, "", "an inventory's name, org/name, id or id:N")
    template = tags.get(JOB_TAG) or None
    return GroupSettings(
        group=group.name,
        inventory=tags[OPT_IN_TAG],
        inventory_groups=tuple(dict.fromkeys(tags.get("rollcall:groups", "").split())) or (group.name,),
        job_template=template,
        gate=_gate(group, tags, spelled, template),
        timeout=_seconds(group, "rollcall:timeout", tags, TIMEOUTS) or DEFAULT_TIMEOUT,
        on_failure=_choice(group, "rollcall:on-failure", tags, OnFailure.ABANDON),
        address=_choice(group, "rollcall:address", tags, AddressKind.PRIVATE),
        watch=_seconds(group, "rollcall:watch", tags, WATCHES),
        user_data=_flag(group, "rollcall:user-data", tags),
        nodes=read_node_pattern(group),
        retire_job_template=tags.get(RETIRE_TAG) or None,
        released_at=_moment(group, RELEASED_TAG, tags),
        in_emergency=group.in_emergency,
    )


def read_node_pattern(group: Group) -> NodePattern | None:
    """How a group's nodes in Chef are named; None for a group that did not opt in, or not for Chef.

    Raises BadSettings as read_tags does, for this tag alone.
    """
    if OPT_IN_TAG not in group.tags or CHEF_TAG not in group.tags:
        return None
    try:
        return parse_node_pattern(group.tags[CHEF_TAG].strip())
    except ValueError as error:
        raise _unreadable(group, CHEF_TAG, group.tags[CHEF_TAG], PATTERN_FORMS) from error


def names_retire_template(group: Group) -> bool:
    """Whether a group opted in and names a retire job template, whatever its other tags say."""
    return OPT_IN_TAG in group.tags and bool(group.tags.get(RETIRE_TAG, "").split())


def _unreadable(group: Group, tag: str, value: str, allowed: str) -> BadSettings:
    return BadSettings(f"group {group.name!r}: tag {tag} is {value!r}; allowed: {allowed}", tag)


def _choice[C: StrEnum](group: Group, tag: str, tags: Mapping[str, str], default: C) -> C:
    value = tags.get(tag) or default
    try:
        return type(default)(value)
    except ValueError:
        raise _unreadable(group, tag, value, ", ".join(type(default))) from None


def _flag(group: Group, tag: str, tags: Mapping[str, str]) -> bool:
    value = tags.get(tag) or "false"
    if value not in ("true", "false"):
        raise _unreadable(group, tag, value, "true, false")
    return value == "true"


def _seconds(group: Group, tag: str, tags: Mapping[str, str], allowed: range) -> int:
    """Whole seconds; 0 without the tag."""
    value = tags.get(tag, "")
    if not value:
        return 0
    if not value.isdecimal() or int(value) not in allowed:
        raise _unreadable(group, tag, value, f"whole seconds from 1 to {allowed[-1]}")
    return int(value)


def _moment(group: Group, tag: str, tags: Mapping[str, str]) -> float:
    """Epoch seconds; 0 without the tag."""
    value = tags.get(tag, "")
    if not value:
        return 0.0
    try:
        return datetime.strptime(value, MOMENT_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise _unreadable(group, tag, value, "a moment in UTC, like 2026-11-21T10:00:00Z") from None


def _gate(
    group: Group, tags: Mapping[str, str], spelled: Callable[[str], str], template: str | None
) -> tuple[str, ...]:
    """The checks of the tag; that of the job where there is no tag, and a job."""
    words = tags.get(GATE_TAG, "").split()
    gate = tuple(_spelled(group, word, spelled) for word in words)
    if template is None and JOB_CHECK in gate:
        raise _unreadable(group, GATE_TAG, tags[GATE_TAG], f"{JOB_CHECK} only together with {JOB_TAG}")
    return gate or ((JOB_CHECK,) if template else ())


def _spelled(group: Group, word: str, spelled: Callable[[str], str]) -> str:
    try:
        return spelled(word)
    except ValueError as error:
        raise _unreadable(group, GATE_TAG, word, str(error)) from None
