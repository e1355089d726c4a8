"""Doctor: what it reads, what it answers, and what of it is news."""

from __future__ import annotations

import json
import time
from collections import Counter
from copy import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from rollcall import __version__
from rollcall.doctor.answer import LISTED_MAX, answer
from rollcall.doctor.coverage import NO_ONE_NOTIFIED
from rollcall.doctor.diagnosis import FINDERS, Diagnosis, diagnose
from rollcall.doctor.findings_store import KnownFindings
from rollcall.doctor.news import news
from rollcall.doctor.observer import TIME_KEPT, Observer
from rollcall.doctor.topic_findings import NOTICE_OF
from rollcall.domain.errors import (
    AwsDenied,
    AwsRejected,
    BadEvent,
    BadSettings,
    ChefUnavailable,
    RollcallError,
    Throttled,
    TowerRejected,
    TowerUnavailable,
)
from rollcall.domain.findings import Finding, Severity, breaks, warns
from rollcall.domain.inventories import Host, Inventory
from rollcall.domain.jobs import PastJob
from rollcall.domain.message_format import read_examination_request
from rollcall.domain.messages import ExaminationRequest
from rollcall.domain.settings import StackNames
from unit import observed
from unit.fakes import REGION, Clock, FakeChef, FakeFleet, FakeTower

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from rollcall.doctor.observations import ObservedGroup, ObservedRule, ObservedStack


def names_of(stack: ObservedStack) -> StackNames:
    """Every part is called what it is called in the template."""
    return StackNames(
        rules={each: each for each in stack.rules},
        queues={each: each for each in stack.queues},
        sources={each: each for each in stack.sources},
        schedules={each: each for each in stack.schedules},
        known_findings_table="published",
        alarm_topic="arn:pager",
        topics={each: each for each in stack.topics},
    )


PACKAGE = Path(__file__).parents[3] / "layers" / "common" / "rollcall" / "doctor"
NAMES, ALERTING = names_of(observed.stack()), names_of(observed.alerting())
WRONG, ODD = breaks("Tower", "token", "why", "how"), warns("group web", "odd", "why", "how")


def test_every_module_of_findings_is_among_the_finders() -> None:
    modules = {path.stem for path in PACKAGE.glob("*_findings.py")} - {"unread_findings"}  # which all others use
    assert sorted(each.__name__ for each in FINDERS) == sorted(modules)


# What is news


def by_key(*findings: Finding) -> dict[str, Finding]:
    return {each.key: each for each in findings}


def test_what_was_not_there_is_published_and_what_was_is_not() -> None:
    changed = news([WRONG, ODD], by_key(ODD))
    assert (changed.found, changed.fixed, changed.known) == ((WRONG,), (), (WRONG, ODD))


def test_what_is_gone_is_published_as_fixed_and_forgotten() -> None:
    changed = news([ODD], by_key(WRONG, ODD))
    assert (changed.found, changed.fixed, changed.known) == ((), (WRONG,), (ODD,))


def test_another_number_in_the_reason_is_no_news_and_is_kept() -> None:
    worse = replace(ODD, reason="why, and more")
    changed = news([worse], by_key(ODD))
    assert (changed.found, changed.fixed, changed.known) == ((), (), (worse,))


def test_where_something_hides_others_nothing_counts_as_fixed() -> None:
    hiding = replace(WRONG, hides=True)
    changed = news([hiding], by_key(ODD))
    assert (changed.found, changed.fixed, changed.known) == ((hiding,), (), (hiding, ODD))
    assert news([], by_key(*changed.known)).fixed == (hiding, ODD)


@mock_aws
def test_what_was_published_is_kept_in_the_table() -> None:
    boto3.client("dynamodb", region_name=REGION).create_table(
        TableName="published",
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    store = KnownFindings("published")
    assert store.read() == {}
    many = [warns(f"group web{number}", "odd", f"why {number} " * 20, "how") for number in range(2000)]
    store.write([WRONG, *many])  # an item has room for 400 kB
    assert KnownFindings("published").read() == by_key(WRONG, *many)
    assert isinstance(store.read()[WRONG.key].severity, Severity)
    store.write([])
    assert store.read() == {}
    with pytest.raises(AwsRejected, match="table nowhere"):
        KnownFindings("nowhere").read()


# What it answers


def test_the_answer_is_json_that_says_whether_a_launch_would_break() -> None:
    said: Any = json.loads(json.dumps(answer(Diagnosis((WRONG, ODD), ("this", "that"), (observed.TOPIC,)), 1.23456)))
    assert said == {
        "failed": True,
        "checked": ["this", "that"],
        "findings": [
            {
                "key": "Tower: token",
                "severity": "breaks launches",
                "subject": "Tower",
                "reason": "why",
                "remedy": "how",
            },
            {"key": "group web: odd", "severity": "warning", "subject": "group web", "reason": "why", "remedy": "how"},
        ],
        "left_out": 0,
        "topics": [observed.TOPIC],
        "version": __version__,
        "seconds": 1.235,
    }
    assert not answer(Diagnosis((ODD,), ()), 0)["failed"]


def test_a_long_list_is_cut_and_says_so() -> None:
    said = answer(Diagnosis((ODD,) * (LISTED_MAX + 3), ()), 0)
    assert (len(said["findings"]), said["left_out"]) == (LISTED_MAX, 3)


@pytest.mark.parametrize(
    ("event", "request_"),
    [
        ({}, ExaminationRequest()),
        ({"announce": True}, ExaminationRequest(announce=True)),
        ({"groups": ["web", "api"]}, ExaminationRequest(frozenset({"web", "api"}))),
    ],
)
def test_what_is_asked_for_is_read(event: dict[str, Any], request_: ExaminationRequest) -> None:
    assert read_examination_request(event) == request_


def test_the_sample_asks_for_one_group() -> None:
    sample = json.loads((Path(__file__).parents[3] / "events" / "doctor.json").read_text())
    assert read_examination_request(sample) == ExaminationRequest(frozenset({"web"}))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"group": "web"}, "'group' is unknown: use groups, announce"),
        ({"groups": []}, "empty list"),
        ({"groups": "web"}, "use a list"),
        ({"announce": "yes"}, "use true or false"),
        ({"announce": True, "groups": ["web"]}, "all groups"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(event: dict[str, Any], words: str) -> None:
    with pytest.raises(BadEvent, match=words):
        read_examination_request(event)


# What it reads


class Surgery:
    """A doctor with a fake Tower and a fake AWS. seconds: what is left of the invocation."""

    def __init__(self, *groups: ObservedGroup) -> None:
        self.clock = Clock()
        self.tower = FakeTower(self.clock)
        self.tower.now = time.time  # type: ignore[method-assign]
        inventory = self.tower.add_inventory("prod")
        self.tower.add_template("provision")
        self.tower.add_host(inventory, "i-a")
        self.aws = observed.FakeAwsReader(*groups)
        self.fleet = FakeFleet(REGION)
        self.names = NAMES
        self.seconds = 300.0
        self.chef: FakeChef | None = None
        self.at_roots: Callable[[str], Any] = lambda url: self.tower

    def examine(self, *names: str, here: Any = observed.HERE) -> Diagnosis:
        observer = Observer(
            here,
            self.names,
            self.tower,
            self.fleet,
            self.aws,
            chef=self.chef,
            tower_at=self.at_roots,
            seconds_left=lambda: self.seconds,
        )
        return diagnose(observer.observe(frozenset(names) or None), here)

    def keys(self, *names: str) -> set[str]:
        return {each.key for each in self.examine(*names).findings}


@pytest.fixture
def surgery() -> Surgery:
    return Surgery(observed.group())


def test_where_all_is_right_it_says_what_it_looked_at(surgery: Surgery) -> None:
    diagnosis = surgery.examine()
    assert (diagnosis.findings, diagnosis.failed) == ((), False)
    assert diagnosis.checked == (
        "Tower 24.6.1 at https://tower.example.com/api/v2/, whose clock is +0 s from AWS's, as user fleet",
        "1 inventory and 1 job template that tags name",
        "3 rules, 6 queues, 3 event source mappings, 1 schedule",
        "1 Auto Scaling group that opted in, with 2 hooks and 1 instance; the hooks of 0 others",
    )


def test_singular_and_plural_are_right() -> None:
    surgery = Surgery(
        observed.group(hooks=observed.HOOKS[:1], members=()),
        observed.group(name="api", hooks=(), inventory="dev", job_template="other"),
        observed.group(name="db", inventory=None, hooks=()),
    )
    surgery.tower.add_inventory("dev")
    surgery.tower.add_template("other")
    checked = surgery.examine().checked
    assert checked[1] == "2 inventories and 2 job templates that tags name"
    assert checked[-1] == ("2 Auto Scaling groups that opted in, with 1 hook and 1 instance; the hooks of 1 other")


def test_groups_that_cannot_be_listed_are_not_said_to_be_none(surgery: Surgery) -> None:
    surgery.aws.failing["groups"] = AwsDenied("no")
    assert surgery.examine().checked[-1] == "the Auto Scaling groups, in vain"


def test_the_parts_of_alert_are_looked_at_where_there_are_some(surgery: Surgery) -> None:
    surgery.names = ALERTING
    diagnosis = surgery.examine()
    assert diagnosis.findings == ()
    assert diagnosis.checked[2] == "5 rules, 8 queues, 4 event source mappings, 2 schedules, 1 topic"
    surgery.aws.failing["topic"] = AwsDenied("no")
    diagnosis = surgery.examine()
    assert [each.key for each in diagnosis.findings] == ["alert's topics: not looked at (AwsDenied)"]
    assert not diagnosis.failed


@pytest.mark.parametrize(
    ("names", "notified"),
    [(NAMES, True), (replace(NAMES, alarm_topic=""), False), (replace(ALERTING, alarm_topic=""), True)],
)
def test_an_installation_of_whose_incidents_no_one_is_notified_is_no_fault_and_is_said(
    surgery: Surgery, names: StackNames, notified: bool
) -> None:
    surgery.names = names
    diagnosis = surgery.examine()
    assert diagnosis.findings == ()
    assert (NO_ONE_NOTIFIED in diagnosis.checked) != notified


WITH_CHEF = replace(observed.HERE, chef_secret="chef")


def test_chef_is_asked_once_where_groups_ask_for_it() -> None:
    surgery = Surgery(
        observed.group(chef=""), observed.group(name="api", chef="@private_dns@"), observed.group(name="db")
    )
    surgery.chef = FakeChef()
    surgery.chef.bootstrap("i-a", "i-b")
    diagnosis = surgery.examine(here=WITH_CHEF)
    assert diagnosis.findings == ()
    assert diagnosis.checked[3] == "the Chef server, which has 2 nodes"
    assert surgery.chef.calls == {"node_names": 1}


def test_chef_is_not_asked_where_no_group_asks_for_it(surgery: Surgery) -> None:
    surgery.chef = FakeChef()
    diagnosis = surgery.examine(here=WITH_CHEF)
    assert (diagnosis.findings, len(diagnosis.checked)) == ((), 4)
    assert surgery.chef.calls == {}


def test_a_chef_server_that_fails_warns_names_who_suffers_and_hides_nothing_else() -> None:
    surgery = Surgery(observed.group(chef="", hooks=observed.HOOKS[:1]), observed.group(name="db"))
    surgery.chef = FakeChef()
    surgery.chef.failing["node_names"] = ChefUnavailable("answered with 503")
    diagnosis = surgery.examine(here=WITH_CHEF)
    found = {each.key: each for each in diagnosis.findings}
    assert found.keys() == {"Chef: unavailable", "group web: no terminate hook"}
    assert "clients of web stay" in found["Chef: unavailable"].reason
    assert not diagnosis.failed
    assert diagnosis.checked[3] == "the Chef server, in vain"


def test_the_worst_comes_first() -> None:
    surgery = Surgery(
        observed.group(name="a", hooks=observed.HOOKS[:1]), observed.group(name="z", hooks=observed.HOOKS[1:])
    )
    assert [each.key for each in surgery.examine().findings] == [
        "group z: no launch hook",
        "group a: no terminate hook",
    ]


def test_groups_share_what_is_asked_of_tower() -> None:
    surgery = Surgery(*(observed.group(name=f"web{number}") for number in range(50)))
    assert surgery.keys() == set()
    assert surgery.tower.calls["may_change"] == surgery.tower.calls["dump"] == surgery.tower.calls["launch_terms"] == 1
    assert surgery.aws.calls.count(("groups", "")) == surgery.aws.calls.count(("topics", "")) == 1


@pytest.mark.parametrize(
    ("method", "what"),
    [
        ("rule", "rules"),
        ("queue", "queues"),
        ("source_state", "event source mappings"),
        ("is_scheduled", "schedules"),
        ("hooks", "lifecycle hooks"),
        ("topics", "notifications"),
        ("subscribers", "subscriptions of topics"),
        ("groups", "Auto Scaling groups"),
    ],
)
@pytest.mark.parametrize("error", [AwsDenied("no"), KeyError("Unheard")])
def test_a_reading_that_fails_hides_no_other(method: str, what: str, error: Exception) -> None:
    surgery = Surgery(observed.group(topics={observed.TOPIC: frozenset(NOTICE_OF.values())}))
    surgery.aws.failing[method] = error
    surgery.tower.failing["has_bulk_calls"] = RollcallError("odd")
    kind = "AwsDenied" if isinstance(error, RollcallError) else "RollcallError"
    found = {each.key: each for each in surgery.examine().findings}
    assert found[f"{what}: not looked at ({kind})"].hides
    assert str(error) in found[f"{what}: not looked at ({kind})"].reason
    assert "endpoints: not looked at (RollcallError)" in found


@pytest.mark.parametrize(
    ("method", "key"),
    [
        ("bulk_limits", "endpoints: not looked at (TowerUnavailable)"),
        ("inventory", "inventories: not looked at (TowerUnavailable)"),
        ("job_template", "job templates: not looked at (TowerUnavailable)"),
        ("may_change", "roles on inventories: not looked at (TowerUnavailable)"),
        ("launch_terms", "launch terms of job templates: not looked at (TowerUnavailable)"),
        ("past_jobs", "past jobs of job templates: not looked at (TowerUnavailable)"),
        ("default_job_timeout", "the default timeout of jobs: not looked at (TowerUnavailable)"),
        ("hosts_of", "hosts elsewhere: not looked at (TowerUnavailable)"),
        ("organization_limit", "host limits: not looked at (TowerUnavailable)"),
        ("licence_limit", "host limits: not looked at (TowerUnavailable)"),
        ("dump", "hosts of inventories: not looked at (TowerUnavailable)"),
    ],
)
def test_what_tower_does_not_answer_hides_nothing_else(method: str, key: str) -> None:
    surgery = Surgery(observed.group(hooks=observed.HOOKS[:1]))
    surgery.tower.failing[method] = TowerUnavailable("away")
    assert surgery.keys() == {key, "group web: no terminate hook"}


def test_a_tower_that_does_not_answer_is_asked_no_more_and_aws_is(surgery: Surgery) -> None:
    surgery.tower.unavailable = True
    surgery.aws.failing["is_scheduled"] = AwsDenied("no")
    assert surgery.keys() == {"Tower: unavailable", "schedules: not looked at (AwsDenied)"}
    assert surgery.tower.calls.keys() == {"version"}


def test_a_token_of_no_user_is_not_tried_on_every_inventory(surgery: Surgery) -> None:
    surgery.tower.failing["user"] = BadSettings("no user's")
    assert surgery.keys() == {"Tower: token"}
    assert surgery.tower.calls.keys() == {"version", "user"}


def test_other_roots_are_tried_where_no_tower_answers(surgery: Surgery) -> None:
    surgery.tower.failing["version"] = TowerRejected("404")
    healthy, tried = FakeTower(surgery.clock), []

    def at(url: str) -> FakeTower:
        tried.append(url)
        return healthy

    surgery.at_roots = at
    (finding,) = surgery.examine().findings
    assert tried == ["https://tower.example.com/api/controller/v2/"]
    assert finding.remedy == f"deploy with TowerUrl={tried[0]}"


def test_only_groups_that_are_asked_for_are_looked_at() -> None:
    surgery = Surgery(observed.group(), observed.group(name="api", hooks=()))
    assert surgery.keys("web", "wbe") == {"group wbe: not there"}


def test_a_template_that_only_retires_breaks_no_launch_and_one_that_does_both_does() -> None:
    surgery = Surgery(observed.group(retire_job_template="goodbye"))
    (finding,) = surgery.examine().findings
    assert (finding.key, finding.severity) == ("job template 'goodbye': not found", Severity.WARNING)
    surgery = Surgery(observed.group(retire_job_template="goodbye"), observed.group(name="api", job_template="goodbye"))
    assert surgery.examine().failed


def test_what_there_is_no_time_for_is_said(surgery: Surgery) -> None:
    surgery.seconds = TIME_KEPT - 1
    diagnosis = surgery.examine()
    assert diagnosis.failed
    assert {each.key for each in diagnosis.findings} == {
        "Tower: not looked at",
        *(f"{what}: not looked at (NoTimeLeft)" for what in ("rules", "queues", "event source mappings", "schedules")),
        "Auto Scaling groups: not looked at (NoTimeLeft)",
    }


def test_a_reading_that_takes_longer_than_there_is_time_is_left_behind(
    surgery: Surgery, monkeypatch: pytest.MonkeyPatch
) -> None:
    surgery.seconds = TIME_KEPT + 0.3
    let_go, rule = Event(), surgery.aws.rule

    def slow(name: str) -> ObservedRule:
        if name == "LaunchRule":
            let_go.wait(30)
        return rule(name)

    monkeypatch.setattr(surgery.aws, "rule", slow)
    try:
        (finding,) = surgery.examine().findings
    finally:
        let_go.set()
    assert finding.key == "rules: not looked at (NoTimeLeft)"
    assert "rules of LaunchRule could not be read: there was no time left" in finding.reason


@pytest.mark.parametrize("own", [True, False])
def test_a_topic_of_another_account_is_known_by_what_the_template_subscribed(own: bool) -> None:
    topics = {observed.TOPIC: frozenset(NOTICE_OF.values())}
    surgery = Surgery(observed.group(topics=topics, hooks=()))
    surgery.aws.failing["subscribers"] = AwsDenied("another account's")
    surgery.names = replace(NAMES, notification_topic=observed.TOPIC if own else "arn:other")
    findings = surgery.examine().findings
    assert any("not looked at" in each.key for each in findings) != own
    assert any(each.severity == Severity.BREAKS_LAUNCHES for each in findings) != own


def test_a_template_is_held_to_its_jobs_of_the_past(surgery: Surgery) -> None:
    surgery.tower.past = (PastJob(1, 0, 1000.0),)
    assert surgery.keys() == {"job template 'provision': full job too long"}
    assert surgery.examine(here=replace(observed.HERE, max_hosts_per_job=5)).findings == ()


def test_an_inventory_that_may_only_be_read_is_found_by_the_instances_that_it_holds(surgery: Surgery) -> None:
    every, other = surgery.tower.add_inventory("all EC2"), surgery.tower.add_inventory("scratch")
    for inventory in (every, other):
        surgery.tower.add_host(inventory, "ip-10-0-0-1.internal", instance_id="i-a")
    surgery.tower.denied = {every.id}
    (finding,) = surgery.examine().findings
    assert finding.key == "inventory 'all EC2': hosts of ours, read only"
    assert surgery.tower.calls["hosts_of"] == 1
    assert surgery.tower.calls["may_change"] == 3  # of the group's inventory, too


def test_roles_on_other_inventories_that_cannot_be_read_are_reported(surgery: Surgery) -> None:
    surgery.tower.add_host(surgery.tower.add_inventory("all EC2"), "i-a")
    may_change = surgery.tower.may_change

    def ask(inventory: Inventory) -> bool:
        if inventory.name == "all EC2":
            raise TowerUnavailable("away")
        return may_change(inventory)

    surgery.tower.may_change = ask  # type: ignore[method-assign]
    assert surgery.keys() == {"hosts elsewhere: not looked at (TowerUnavailable)"}


def test_of_many_instances_the_first_of_each_group_are_looked_for_and_that_is_said() -> None:
    sizes = {"small": 2, "large": 200, "middle": 100}
    groups = [
        observed.group(name=name, members=[f"i-{name}{number:03}" for number in range(size)])
        for name, size in sizes.items()
    ]
    surgery = Surgery(*groups)
    asked: list[str] = []

    def hosts_of(instance_ids: Collection[str]) -> list[Host]:
        asked.extend(instance_ids)
        return []

    surgery.tower.hosts_of = hosts_of  # type: ignore[method-assign]
    checked = surgery.examine().checked
    assert checked[-1] == "150 of 302 instances in service in every inventory that the token may read"
    assert len(set(asked)) == 150
    shares = Counter(each[2:-3] for each in asked)
    assert shares == {"small": 2, "large": 74, "middle": 74}


def test_without_an_instance_in_service_nothing_is_looked_for() -> None:
    surgery = Surgery(observed.group(members=()))
    assert surgery.keys() == set()
    assert "hosts_of" not in surgery.tower.calls


def test_topics_are_heard_that_the_stack_was_deployed_with() -> None:
    surgery = Surgery(observed.group(topics={observed.TOPIC: frozenset(NOTICE_OF.values())}))
    cut_off = {f"group web: topic for {each}" for each in ("launches", "terminations")}
    assert surgery.keys() == cut_off
    surgery.names = replace(NAMES, notification_topic="arn:aws:sns:::a", notifying_topics=(observed.OWN_TOPICS,))
    diagnosis = surgery.examine()
    assert diagnosis.topics == ("arn:aws:sns:::a", observed.OWN_TOPICS)
    assert {each.key for each in diagnosis.findings}.isdisjoint(cut_off)


def test_groups_that_opted_in_are_looked_at_first() -> None:
    surgery = Surgery(observed.group(name="a", inventory=None, hooks=()), observed.group(name="b"))
    surgery.keys()
    assert [of for method, of in surgery.aws.calls if method == "hooks"] == ["b", "a"]


def test_target_groups_are_asked_for_only_where_tags_ask_and_the_installation_may() -> None:
    surgery = Surgery(
        observed.group(gate="job elb", target_groups=("arn:tg",)), observed.group(name="b", target_groups=("x",))
    )
    surgery.fleet.targets.failing["types"] = Throttled("slow")
    assert surgery.keys() == {"target groups: not looked at (Throttled)"}
    assert surgery.fleet.targets.calls["types"] == 1
    may_not = replace(observed.HERE, load_balancers=False)
    assert [each.what for each in surgery.examine(here=may_not).findings] == ["load balancers may not be asked"]
    assert surgery.fleet.targets.calls["types"] == 1
