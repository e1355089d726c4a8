"""What doctor observes of an installation and a group that are as docs/deploy.md says; tests change single parts."""

from __future__ import annotations

import json
from copy import replace
from typing import TYPE_CHECKING, Any, cast

from rollcall.doctor.aws_reader import AwsReader
from rollcall.doctor.observations import (
    Observations,
    ObservedGroup,
    ObservedHook,
    ObservedInventory,
    ObservedQueue,
    ObservedRule,
    ObservedStack,
    ObservedTemplate,
    ObservedTopic,
    ObservedTower,
    Senders,
)
from rollcall.doctor.observer import Observer
from rollcall.doctor.tag_findings import opted_in_and_unreadable
from rollcall.domain.actions import Result, Transition
from rollcall.domain.bake_tags import TEMPLATE_ALLOWED, TEMPLATE_TAG
from rollcall.domain.groups import Group
from rollcall.domain.inventories import BulkLimits, DumpedHost, Inventory
from rollcall.domain.jobs import JobTemplate, LaunchTerms, TowerUser
from rollcall.domain.membership import Membership
from rollcall.domain.settings import StackNames
from unit.fakes import ACCOUNT, REGION, FakeFleet
from unit.world import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from rollcall.aws.instance_refreshes import Refresh
    from rollcall.doctor.diagnosis import Finder
    from rollcall.domain.findings import Finding
    from rollcall.domain.settings import Settings
    from unit.fakes import FakeTower

HERE = replace(SETTINGS, load_balancers=True)
ADVISED = 600  # seconds
AT = 1_795_255_200.0  # 2026-11-21T10:00:00Z
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:notifications"
OWN_TOPICS = f"arn:aws:sns:{REGION}:{ACCOUNT}:*"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/notifier"
INVENTORY = Inventory(7, "prod")
TEMPLATE = JobTemplate(9, "provision", 7, asks_limit=True, asks_inventory=False, slices=1)
TERMS = LaunchTerms(startable=True, simultaneous=True, timeout=1200)


def queue_arn(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def rule_arn(name: str) -> str:
    return f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}"


POLICY: dict[str, Any] = {
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": "*",
            "Condition": {
                "ArnEquals": {
                    "aws:SourceArn": [rule_arn(f"{each}Rule") for each in ("Launch", "Terminate", "Terminated")]
                }
            },
        },
        {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": "*",
            "Condition": {"ArnLike": {"aws:SourceArn": OWN_TOPICS}},
        },
    ]
}


def queue(name: str, **changes: Any) -> ObservedQueue:
    dead = "" if "DeadLetter" in name else queue_arn(name.replace("Queue", "DeadLetterQueue"))
    return replace(ObservedQueue(queue_arn(name), 0, 120, dead, 1000, json.dumps(POLICY)), **changes)


def rule(name: str, fed: str, **changes: Any) -> ObservedRule:
    return replace(ObservedRule(rule_arn(name), True, frozenset({queue_arn(fed)})), **changes)


ALARM_TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:AlarmTopic"
ALERT_POLICY: dict[str, Any] = {
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": f"{service}.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn("AlertQueue"),
            "Condition": {"ArnEquals": {"aws:SourceArn": sources}},
        }
        for service, sources in (("events", [rule_arn("AlertRule"), rule_arn("AlertEndRule")]), ("sns", ALARM_TOPIC))
    ]
}


def alert_queue(**changes: Any) -> ObservedQueue:
    return queue("AlertQueue", **{"policy": json.dumps(ALERT_POLICY)} | changes)


def alarm_topic(*subscribers: str) -> ObservedTopic:
    return ObservedTopic(ALARM_TOPIC, frozenset(map(queue_arn, subscribers)))


def alerting(**changes: Any) -> ObservedStack:
    """A stack with a channel as it was deployed; changes as below."""
    made = stack(**changes)
    rules = {name: rule(name, "AlertQueue") for name in ("AlertRule", "AlertEndRule")}
    queues = {"AlertQueue": alert_queue(), "AlertDeadLetterQueue": queue("AlertDeadLetterQueue")}
    return ObservedStack(
        rules={**made.rules, **_changed(rules, changes)},
        queues={**made.queues, **_changed(queues, changes)},
        sources={**made.sources, "AlertFunction": changes.get("alert_source", "Enabled")},
        schedules={**made.schedules, "AlertFunction": changes.get("alert_schedule", True)},
        topics=_changed({"AlarmTopic": alarm_topic("AlertQueue")}, changes),
        senders=made.senders,
    )


def _changed(made: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: changes.get(name, each) for name, each in made.items()}


def stack(**changes: Any) -> ObservedStack:
    """A stack as it was deployed; changes replace single parts, by their names in the template."""
    ways = {"LaunchRule": "LaunchQueue", "TerminateRule": "TerminateQueue", "TerminatedRule": "TerminateQueue"}
    queues = [f"{name}{kind}Queue" for name in ("Launch", "Gate", "Terminate") for kind in ("", "DeadLetter")]
    return ObservedStack(
        rules=_changed({name: rule(name, fed) for name, fed in ways.items()}, changes),
        queues=_changed({name: queue(name) for name in queues}, changes),
        sources=_changed({f"{name}Function": "Enabled" for name in ("Register", "Gate", "Cleanup")}, changes),
        schedules=_changed({"ReconcileFunction": True}, changes),
        senders=changes.get("senders", Senders(patterns=(OWN_TOPICS,))),
    )


def tower(**changes: Any) -> ObservedTower:
    """A Tower with one inventory and one template, where nothing is wrong."""
    return replace(
        ObservedTower(
            root="https://tower.example.com/api/v2/",
            version="24.6.1",
            user=TowerUser("fleet", writes=True),
            limits=BulkLimits(100, 250),
            inventories={"prod": ObservedInventory(INVENTORY, True, (host("i-a"),))},
            templates={"provision": ObservedTemplate(TEMPLATE, TERMS)},
        ),
        **changes,
    )


def host(name: str, *, enabled: bool = True, **marker: object) -> DumpedHost:
    """A host of the inventory, ours if there is a marker."""
    variables = {"rollcall": {"group": "web", "account": ACCOUNT, "region": REGION} | marker} if marker else {}
    return DumpedHost(1, name, INVENTORY.id, INVENTORY.name, enabled, variables, frozenset())


def hook(transition: Transition = Transition.LAUNCHING, **changes: Any) -> ObservedHook:
    launching = transition == Transition.LAUNCHING
    made = ObservedHook(
        name=f"rollcall-{transition.name.lower()}",
        transition=transition,
        target="",
        role="",
        heartbeat_timeout=ADVISED,
        default_result=Result.ABANDON if launching else Result.CONTINUE,
    )
    return replace(made, **changes)


HOOKS = (hook(), hook(Transition.TERMINATING))


def group(
    *,
    name: str = "web",
    hooks: Any = HOOKS,
    topics: Any = None,
    members: Iterable[str] = ("i-a",),
    target_groups: tuple[str, ...] = (),
    other_traffic: tuple[str, ...] = (),
    most: int = 200,
    **tags: str | None,
) -> ObservedGroup:
    """A group with both hooks and one instance in service; of a tag that is None there is none."""
    wanted = {"inventory": "prod", "job-template": "provision"}
    wanted |= {key.replace("_", "-"): text for key, text in tags.items()}  # type: ignore[misc]
    return ObservedGroup(
        Group(
            name,
            {f"rollcall:{key}": text for key, text in wanted.items() if text is not None},
            {},
            target_groups,
            other_traffic,
        ),
        {each: Membership(name, "InService") for each in members},
        hooks,
        topics or {},
        most,
    )


def everything(*groups: ObservedGroup, **changes: Any) -> Observations:
    """All there is to observe, with these groups."""
    opted_in, unreadable_tags = opted_in_and_unreadable(groups)
    made = Observations(stack(), tower(), {each.name: each for each in groups}, opted_in, unreadable_tags, at=AT)
    return replace(made, **changes)


def findings(observations: Observations, here: Settings, *finders: Finder) -> dict[str, Finding]:
    """What these find, by key; each says everything once."""
    found = [finding for find in finders for finding in find(observations, here)]
    assert len({each.key for each in found}) == len(found)
    return {each.key: each for each in found}


def observe(
    reader: AwsReader, tower: FakeTower, here: Settings, names: Mapping[str, Any] | None = None, **defaults: Any
) -> Observations:
    """What doctor's observer reads of all groups. names: of the stack's. defaults: bake_defaults or cycle_defaults."""
    observer = Observer(
        here,
        StackNames({}, {}, {}, {}, "", **(names or {})),
        tower,
        FakeFleet(REGION),
        reader,
        chef=None,
        tower_at=lambda _: tower,
        seconds_left=lambda: 300.0,
        **defaults,
    )
    return observer.observe(None, stack())


class FakeAwsReader(AwsReader):
    """An installation and groups in memory, where nothing is wrong.

    failing: methods that raise an error. refreshes: by group; running: names of executions.
    """

    def __init__(self, *groups: ObservedGroup) -> None:
        self.here = {each.name: each for each in groups}
        self.failing: dict[str, Exception] = {}
        self.calls: list[tuple[str, str]] = []
        self.refreshes: dict[str, Refresh] = {}
        self.running: set[str] = set()

    def _call(self, method: str, of: str = "") -> None:
        self.calls.append((method, of))
        if method in self.failing:
            raise self.failing[method]

    def rule(self, name: str) -> ObservedRule:
        self._call("rule", name)
        return cast("ObservedRule", alerting().rules[name])

    def source_state(self, mapping: str) -> str:
        self._call("source_state", mapping)
        return "Enabled"

    def is_scheduled(self, schedule: str) -> bool:
        self._call("is_scheduled", schedule)
        return True

    def queue(self, url: str) -> ObservedQueue:
        self._call("queue", url)
        return alert_queue() if url == "AlertQueue" else queue(url)

    def topic(self, arn: str) -> ObservedTopic:
        self._call("topic", arn)
        return alarm_topic("AlertQueue")

    def groups(self, names: Collection[str] | None = None) -> dict[str, ObservedGroup]:
        self._call("groups")
        bare = {name: replace(each, hooks=(), topics={}) for name, each in self.here.items()}
        return {name: each for name, each in bare.items() if names is None or name in names}

    def hooks(self, group: str) -> tuple[ObservedHook, ...]:
        self._call("hooks", group)
        return cast("tuple[ObservedHook, ...]", self.here[group].hooks)

    def topics(self, names: Collection[str]) -> dict[str, dict[str, frozenset[str]]]:
        self._call("topics")
        found = {name: self.here[name].topics for name in names}
        return {name: dict(each) for name, each in found.items() if isinstance(each, dict) and each}

    def subscribers(self, topic: str) -> frozenset[str]:
        self._call("subscribers", topic)
        return frozenset({queue_arn("LaunchQueue"), queue_arn("TerminateQueue")})

    def active_refresh(self, group: str) -> Refresh | None:
        self._call("active_refresh", group)
        return self.refreshes.get(group)

    def is_running(self, machine: str, execution: str) -> bool:
        self._call("is_running", execution)
        return execution in self.running

    def template_tags(self, template_id: str) -> dict[str, str]:
        self._call("template_tags", template_id)
        return {TEMPLATE_TAG: TEMPLATE_ALLOWED}
