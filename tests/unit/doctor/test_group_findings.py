"""What doctor finds wrong with Auto Scaling groups."""

from __future__ import annotations

from copy import replace
from typing import Any

import pytest

from rollcall.doctor.group_findings import group_findings
from rollcall.doctor.hook_findings import hook_findings
from rollcall.doctor.host_findings import host_findings
from rollcall.doctor.observations import ObservedGroup, ObservedInventory, ObservedTemplate, Senders
from rollcall.doctor.tag_findings import tag_findings
from rollcall.doctor.topic_findings import NOTICE_OF, topic_findings
from rollcall.domain.actions import Result, Transition
from rollcall.domain.errors import AwsDenied, BadSettings, NoTimeLeft, TowerUnavailable
from rollcall.domain.findings import Finding, Severity
from rollcall.domain.inventories import Inventory
from rollcall.domain.jobs import PastJob
from rollcall.domain.membership import Membership
from rollcall.domain.settings import Settings
from rollcall.domain.tag_support import objections_to
from unit import observed
from unit.observed import HERE, ROLE, TOPIC, group, hook, queue_arn

BREAKS, WARNS = Severity.BREAKS_LAUNCHES, Severity.WARNING
LAUNCHING, TERMINATING = Transition.LAUNCHING, Transition.TERMINATING
TO_BOTH = {TOPIC: frozenset({queue_arn("LaunchQueue"), queue_arn("TerminateQueue")})}
NOTIFIES_BOTH = {TOPIC: frozenset(NOTICE_OF.values())}
FINDERS = (tag_findings, group_findings, hook_findings, topic_findings, host_findings)


def found(*groups: ObservedGroup, here: Settings = HERE, **changes: Any) -> dict[str, Finding]:
    """The findings about these groups and their hosts, by key, in a world that is different in this."""
    return observed.findings(observed.everything(*groups, **changes), here, *FINDERS)


def only(*groups: ObservedGroup, here: Settings = HERE, **changes: Any) -> Finding:
    (finding,) = found(*groups, here=here, **changes).values()
    return finding


def test_a_group_as_readme_says_is_right() -> None:
    assert found(group()) == {}


# Tags


def test_every_tag_that_cannot_be_read_is_named_and_the_rest_is_followed() -> None:
    findings = found(group(gate="icmp", timeout="soon", hooks=()))
    assert findings.keys() == {
        "group web: tag rollcall:gate",
        "group web: tag rollcall:timeout",
        "group web: no launch hook",
        "group web: no terminate hook",
    }
    gate = findings["group web: tag rollcall:gate"]
    assert (gate.severity, gate.reason.split(";")[0]) == (BREAKS, "tag rollcall:gate is 'icmp'")
    assert gate.remedy.endswith("ResourceId=web,Key=rollcall:gate,Value=VALUE")  # whoever pastes it gets nothing else


@pytest.mark.parametrize("tag", ["", "rollcall:unheard-of"])
def test_a_tag_that_is_not_named_is_said_once_and_the_group_is_not_read(
    monkeypatch: pytest.MonkeyPatch, tag: str
) -> None:
    def read(_: object) -> None:
        raise BadSettings("group 'web': its tags are odd", tag)

    monkeypatch.setattr("rollcall.doctor.tag_findings.read_group_settings", read)
    observations = observed.everything(group())
    (finding,) = tag_findings(observations, HERE)
    assert (observations.opted_in, finding.what) == ((), f"tag {tag}" if tag else "tags")
    assert finding.reason == "its tags are odd"


def test_a_group_whose_inventory_cannot_be_read_asks_for_nothing_else() -> None:
    assert found(group(inventory=" ")).keys() == {"group web: tag rollcall:inventory"}


@pytest.mark.parametrize(
    ("released", "wrong"),
    [("2026-11-21T09:59:59Z", False), ("2026-11-21T10:01:00Z", False), ("2026-11-21T10:01:01Z", True)],
)
def test_a_group_that_is_released_for_days_to_come_has_no_circuit_breaker(released: str, wrong: bool) -> None:
    findings = found(group(released=released))
    assert findings.keys() == ({"group web: released in the future"} if wrong else set())
    for each in findings.values():
        assert (each.severity, each.remedy) == (WARNS, "release it as of now: rollcall release --group web")


def test_hooks_of_a_group_that_did_not_opt_in_are_deleted_one_by_one() -> None:
    finding = only(group(inventory=None))
    assert (finding.key, finding.severity) == ("group web: hooks without the tag", BREAKS)
    assert "rollcall-launching; aws" in finding.remedy
    assert finding.remedy.endswith("--lifecycle-hook-name rollcall-terminating")


@pytest.mark.parametrize("hooks", [observed.HOOKS, (*observed.HOOKS, hook(name="rollcall-b"))])
def test_what_deletes_a_launch_hook_says_how_many_instances_that_would_abandon(hooks: Any) -> None:
    waiting = {"i-a": Membership("web", "Pending:Wait"), "i-b": Membership("web", "Terminating:Wait")}
    opted_in = group(hooks=hooks) if len(hooks) > 2 else group(hooks=hooks, inventory=None)
    known = replace(opted_in, members=waiting)
    (finding,) = (each for each in found(known).values() if "delete-lifecycle-hook" in each.remedy)
    assert finding.reason.endswith("; to delete a launch hook abandons the instances that it holds, 1 now")


@pytest.mark.parametrize(
    ("emergency", "since"),
    [("2026-11-21T10:00:00Z rollcall-launching=600/ABANDON", "2026-11-21T10:00:00Z"), ("", "a moment that the tag")],
)
def test_a_group_in_an_emergency_is_one_finding_and_not_what_follows_from_it(emergency: str, since: str) -> None:
    opened = tuple(replace(each, heartbeat_timeout=30, default_result=Result.CONTINUE) for each in observed.HOOKS)
    finding = only(group(hooks=opened, emergency=emergency))
    assert (finding.key, finding.severity) == ("group web: in emergency", WARNS)
    assert f"in an emergency since {since}" in finding.reason
    assert finding.remedy.endswith("rollcall offboard --restore web")
    assert len(found(group(hooks=opened))) > 1, "without the tag"


def test_a_hook_of_another_prefix_that_leads_to_us_is_a_finding_too() -> None:
    to_queue: dict[str, Any] = {"target": queue_arn("LaunchQueue"), "role": ROLE, "name": "mine"}
    assert only(group(inventory=None, hooks=(hook(**to_queue),))).key == "group web: hooks without the tag"


def test_a_terminate_hook_alone_breaks_no_launch_of_a_group_that_did_not_opt_in() -> None:
    finding = only(group(inventory=None, hooks=observed.HOOKS[1:]))
    assert (finding.key, finding.severity) == ("group web: terminate hook without the tag", WARNS)
    assert "cleanup answers the hook" in finding.reason
    assert finding.remedy.endswith("--lifecycle-hook-name rollcall-terminating")


def test_a_launch_hook_breaks_launches_whatever_other_hooks_there_are() -> None:
    finding = only(group(inventory=None))
    assert "it has 'rollcall-launching' and not" in finding.reason
    assert only(group(inventory=None, hooks=observed.HOOKS[:1])).severity == BREAKS


def test_a_group_that_is_asked_for_and_did_not_opt_in_is_reported() -> None:
    finding = only(group(inventory=None, hooks=()), group(name="api"), wanted=frozenset({"web", "api"}))
    assert (finding.key, finding.severity) == ("group web: not opted in", WARNS)
    assert finding.remedy == "let it opt in: rollcall onboard web"
    assert only(group(inventory=None), wanted=frozenset({"web"})).what == "hooks without the tag"
    assert found(group(inventory=None, hooks=())) == {}


def test_groups_of_others_are_none_of_ours() -> None:
    strangers = (hook(name="mine"), hook(TERMINATING, name="mine-too", target=queue_arn("other")))
    assert found(group(inventory=None, hooks=strangers)) == {}


def settled(**changes: Any) -> Settings:
    return replace(HERE, **changes)


@pytest.mark.parametrize(
    ("tags", "here", "what", "severity"),
    [
        ({"gate": "tcp:22"}, settled(in_vpc=False), "check outside the VPC", BREAKS),
        ({"chef": "@instance_id@"}, HERE, "no Chef server", BREAKS),
        ({"gate": "elb"}, settled(load_balancers=False), "load balancers may not be asked", BREAKS),
        ({"retire-job-template": "goodbye"}, settled(retire_jobs=False), "retire jobs switched off", WARNS),
        ({"user-data": "true"}, settled(user_data=False), "user data switched off", WARNS),
    ],
)
def test_what_this_installation_does_not_do_is_reported(
    tags: dict[str, Any], here: Settings, what: str, severity: Severity
) -> None:
    target_groups = ("arn:tg",) if "gate" in tags else ()
    finding = only(group(target_groups=target_groups, **tags), here=here)
    assert (finding.key, finding.severity) == (f"group web: {what}", severity)


def test_a_name_that_tower_would_evaluate_is_reported() -> None:
    assert only(group(name="{{web}}")).what == "name that Tower would evaluate"


def test_all_objections_are_reported_not_only_the_first() -> None:
    here = settled(in_vpc=False, load_balancers=False)
    findings = found(group(gate="tcp:22 elb", chef="@instance_id@"), here=here)
    assert {each.what for each in findings.values()} == {
        "check outside the VPC",
        "no Chef server",
        "load balancers may not be asked",
        "no target group",
    }


@pytest.mark.parametrize("gate", ["tcp:22", "job http:8080/health ec2"])
def test_inside_the_vpc_ports_are_tried_at_private_addresses(gate: str) -> None:
    assert found(group(gate=gate)) == {}


@pytest.mark.parametrize("address", ["public", "public-dns"])
def test_public_addresses_are_tried_from_anywhere(address: str) -> None:
    (opted_in,) = observed.everything(group(gate="tcp:22", address=address)).opted_in
    assert not list(objections_to(opted_in.settings, settled(in_vpc=False)))


# Hooks


@pytest.mark.parametrize(
    ("transition", "severity"), [(LAUNCHING, BREAKS), (TERMINATING, WARNS)], ids=["launching", "terminating"]
)
def test_a_hook_that_is_missing_is_made_by_the_remedy(transition: Transition, severity: Severity) -> None:
    rest = tuple(each for each in observed.HOOKS if each.transition != transition)
    finding = only(group(hooks=rest))
    assert finding.severity == severity
    missing = hook(transition)
    assert finding.remedy == (
        f"aws autoscaling put-lifecycle-hook --auto-scaling-group-name web --lifecycle-hook-name {missing.name} "
        f"--lifecycle-transition {transition} --heartbeat-timeout 600 --default-result {missing.default_result}"
    )


LATE_JOB = "the job of those launched less than rollcall:timeout (1,200 s) ago that no job holds yet"


@pytest.mark.parametrize("job_template", ["provision", None])
@pytest.mark.parametrize("wrong", [{"hooks": observed.HOOKS[1:]}, {"members": ("i-b",)}], ids=["no hook", "no host"])
def test_what_reconcile_makes_up_for_is_said_with_the_job_of_the_young(
    wrong: dict[str, Any], job_template: str | None
) -> None:
    finding = only(group(timeout="1200", job_template=job_template, **wrong))
    assert "econcile's next run" in finding.reason
    assert (LATE_JOB in finding.reason) == (job_template is not None)
    assert ("--provision" in finding.remedy) == (job_template is not None and "members" in wrong)


def test_no_reason_names_the_group_again() -> None:
    here, wrong = (
        settled(load_balancers=False),
        observed.tower(
            templates={
                each: ObservedTemplate(replace(observed.TEMPLATE, asks_limit=False), observed.TERMS)
                for each in ("provision", "bye")
            }
        ),
    )
    both = group(gate="elb", timeout="soon", chef="@instance_id@", retire_job_template="bye", members=("i-b",))
    findings = found(both, group(name="{{api}}", hooks=()), here=here, tower=wrong)
    assert len(findings) > 8
    assert not [each.reason for each in findings.values() if each.reason.startswith("group ")]


def test_a_hook_of_another_name_is_said_not_to_be_ours() -> None:
    assert "('mine' is not Rollcall's)" in only(group(hooks=(hook(name="mine"), observed.HOOKS[1]))).reason


@pytest.mark.parametrize("transition", [LAUNCHING, TERMINATING], ids=["launching", "terminating"])
def test_a_topic_that_is_notified_makes_a_missing_hook_a_warning(transition: Transition) -> None:
    rest = tuple(each for each in observed.HOOKS if each.transition != transition)
    finding = only(group(hooks=rest, topics=NOTIFIES_BOTH), subscribers=TO_BOTH)
    assert finding.severity == WARNS
    assert "notifies a topic" in finding.reason


@pytest.mark.parametrize(
    ("topics", "subscribers"),
    [
        ({TOPIC: frozenset({NOTICE_OF[TERMINATING]})}, TO_BOTH),
        (NOTIFIES_BOTH, {TOPIC: frozenset({queue_arn("TerminateQueue")})}),
        (NOTIFIES_BOTH, {}),
        ({}, TO_BOTH),
    ],
    ids=["notified of the other thing", "to the other queue", "to no queue", "notified of nothing"],
)
def test_a_topic_that_does_not_lead_to_register_makes_up_for_no_hook(topics: Any, subscribers: Any) -> None:
    finding = only(group(hooks=observed.HOOKS[1:], topics=topics), subscribers=subscribers)
    assert (finding.key, finding.severity) == ("group web: no launch hook", BREAKS)


def test_notifications_beside_hooks_are_right() -> None:
    assert found(group(topics=NOTIFIES_BOTH), subscribers=TO_BOTH) == {}


def test_a_topic_that_cannot_be_read_is_said_beside_what_it_hides() -> None:
    findings = found(
        group(hooks=observed.HOOKS[1:], topics=NOTIFIES_BOTH), subscribers={TOPIC: AwsDenied("another account's")}
    )
    assert findings.keys() == {"subscriptions of topics: not looked at (AwsDenied)", "group web: no launch hook"}


@pytest.mark.parametrize(
    ("wrong", "right"),
    [(hook(default_result=Result.CONTINUE), "ABANDON"), (hook(TERMINATING, default_result=Result.ABANDON), "CONTINUE")],
)
def test_a_wrong_default_result_is_changed_and_nothing_else(wrong: Any, right: str) -> None:
    others = tuple(each for each in observed.HOOKS if each.transition != wrong.transition)
    finding = only(group(hooks=(wrong, *others)))
    assert (finding.what, finding.severity) == (f"default result of {wrong.name}", WARNS)
    assert finding.remedy.endswith(f"{wrong.transition} --default-result {right}")


@pytest.mark.parametrize(
    ("timeout", "words"),
    [(30, "a single function that dies"), (120, "a single function that dies"), (121, "less than"), (359, "less than")],
)
def test_a_heartbeat_timeout_that_the_queues_eat_up_is_reported(timeout: int, words: str) -> None:
    finding = only(group(hooks=(hook(heartbeat_timeout=timeout), observed.HOOKS[1])))
    assert (finding.what, finding.severity) == ("heartbeat timeout of rollcall-launching", WARNS)
    assert words in finding.reason
    assert finding.remedy.endswith("--heartbeat-timeout 600")


@pytest.mark.parametrize("timeout", [360, 7200])
def test_a_heartbeat_timeout_that_outlasts_the_queues_is_right(timeout: int) -> None:
    assert found(group(hooks=tuple(replace(each, heartbeat_timeout=timeout) for each in observed.HOOKS))) == {}


def test_the_queues_are_taken_as_they_are() -> None:
    slow = observed.stack(GateQueue=observed.queue("GateQueue", visibility=400))
    findings = found(group(), stack=slow)
    assert findings.keys() == {f"group web: heartbeat timeout of {each.name}" for each in observed.HOOKS}
    assert all(each.remedy.endswith("--heartbeat-timeout 1200") for each in findings.values())


@pytest.mark.parametrize(
    ("heartbeat", "timeout", "reported"),
    [(600, 60_000, False), (600, 60_001, True), (7200, 172_800, False), (1728, 172_800, False), (1727, 172_800, True)],
)
def test_a_timeout_beyond_the_launch_hooks_life_is_reported(heartbeat: int, timeout: int, reported: bool) -> None:
    hooks = (hook(heartbeat_timeout=heartbeat), hook(TERMINATING))
    keys = {"group web: life of rollcall-launching"} if reported else set()
    assert found(group(hooks=hooks, timeout=str(timeout))).keys() == keys


@pytest.mark.parametrize(
    ("heartbeat", "timeout", "usual", "reported", "needed"),
    [
        (360, 1800, 17_100, False, 0),
        (360, 1800, 17_101, True, 600),
        (600, 1800, 29_150, True, 601),
        (600, 1800, 40_000, True, 818),
    ],
)
def test_a_launch_hooks_life_lasts_for_two_usual_jobs_and_the_timeout(
    heartbeat: int, timeout: int, usual: float, reported: bool, needed: int
) -> None:
    past = tuple(PastJob(1, 0, each) for each in (usual, 1.0, usual * 9))
    tower = observed.tower(templates={"provision": ObservedTemplate(observed.TEMPLATE, observed.TERMS, past)})
    hooks = (hook(heartbeat_timeout=heartbeat), hook(TERMINATING, heartbeat_timeout=heartbeat))
    findings = found(group(hooks=hooks, timeout=str(timeout)), tower=tower)
    assert findings.keys() == ({"group web: life of rollcall-launching"} if reported else set())
    for each in findings.values():
        assert f"ends the wait of hook 'rollcall-launching' after {100 * heartbeat:,} s" in each.reason
        assert f"may need {timeout + 2 * usual:,.0f} s" in each.reason
        assert f"two jobs, which usually take {usual:,.0f} s each" in each.reason
        assert each.remedy.startswith("shorten the tag, or aws autoscaling put-lifecycle-hook")
        assert each.remedy.endswith(f"--heartbeat-timeout {needed}")


def test_half_a_minute_of_heartbeats_is_fifty_minutes_of_life() -> None:
    past = (PastJob(1, 0, 601.0),)
    tower = observed.tower(templates={"provision": ObservedTemplate(observed.TEMPLATE, observed.TERMS, past)})
    findings = found(group(hooks=(hook(heartbeat_timeout=30), observed.HOOKS[1])), tower=tower)
    assert "after 3,000 s, and an instance may need 3,002 s" in findings["group web: life of rollcall-launching"].reason


def test_what_takes_longer_than_auto_scaling_waits_at_all_needs_another_tag() -> None:
    past = (PastJob(1, 0, 86_000.0),)
    tower = observed.tower(templates={"provision": ObservedTemplate(observed.TEMPLATE, observed.TERMS, past)})
    assert only(group(timeout="1000"), tower=tower).remedy == "shorten the tag"


def test_two_hooks_of_ours_for_one_transition_are_one_too_many() -> None:
    finding = only(group(hooks=(*observed.HOOKS, hook(name="rollcall-b"))))
    assert (finding.key, finding.severity) == ("group web: two hooks for launches", WARNS)
    assert finding.remedy.endswith("--lifecycle-hook-name rollcall-b")


# What hooks notify


@pytest.mark.parametrize("name", ["rollcall-launching", "mine"])
def test_a_hook_may_notify_our_queue_itself(name: str) -> None:
    to_queue: dict[str, Any] = {"target": queue_arn("LaunchQueue"), "role": ROLE, "name": name}
    assert found(group(hooks=(hook(**to_queue), observed.HOOKS[1]))) == {}


@pytest.mark.parametrize("name", ["rollcall-launching", "mine"])
def test_a_hook_may_notify_a_topic_that_our_queue_hears(name: str) -> None:
    hooks = (hook(target=TOPIC, role=ROLE, name=name), observed.HOOKS[1])
    assert found(group(hooks=hooks), subscribers=TO_BOTH) == {}


def test_a_hook_that_notifies_the_queue_of_the_other_direction_is_an_error() -> None:
    finding = only(group(hooks=(hook(target=queue_arn("TerminateQueue"), role=ROLE), observed.HOOKS[1])))
    assert (finding.what, finding.severity) == ("target of rollcall-launching", BREAKS)
    assert f"--notification-target-arn <LaunchQueueArn> --role-arn {ROLE}" in finding.remedy


@pytest.mark.parametrize("target", [queue_arn("other"), TOPIC])
def test_a_hook_that_notifies_another_target_is_reported(target: str) -> None:
    finding = only(group(hooks=(hook(target=target, role=ROLE), observed.HOOKS[1])), subscribers={TOPIC: frozenset()})
    assert (finding.what, finding.severity) == ("target of rollcall-launching", WARNS)


def test_a_hook_that_notifies_the_queue_of_the_other_direction_by_no_role_is_one_finding() -> None:
    finding = only(group(hooks=(hook(target=queue_arn("TerminateQueue")), observed.HOOKS[1])))
    assert finding.what == "target of rollcall-launching"
    assert "--role-arn ROLE" in finding.remedy


def test_a_hook_that_notifies_by_no_role_is_reported() -> None:
    finding = only(group(hooks=(hook(target=queue_arn("LaunchQueue")), observed.HOOKS[1])))
    assert (finding.what, finding.severity) == ("role of rollcall-launching", BREAKS)


def test_where_a_topic_or_a_queue_cannot_be_read_nothing_is_said_of_the_target() -> None:
    hooks = (hook(target=TOPIC, role=ROLE), observed.HOOKS[1])
    denied = found(group(hooks=hooks), subscribers={TOPIC: AwsDenied("another account's")})
    assert denied.keys() == {"subscriptions of topics: not looked at (AwsDenied)"}
    unread = observed.stack(LaunchQueue=AwsDenied("no"), GateQueue=AwsDenied("no"))
    assert found(group(hooks=hooks), stack=unread, subscribers=TO_BOTH) == {}


# Load balancers


@pytest.mark.parametrize("kind", ["ip", "lambda", "alb"])
def test_a_target_group_of_another_type_is_reported(kind: str) -> None:
    arn = "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/front/1"
    finding = only(group(gate="job elb", target_groups=(arn,)), kinds={arn: kind})
    assert (finding.what, finding.severity) == ("target group front", BREAKS)
    assert found(group(gate="job elb", target_groups=(arn,)), kinds={arn: "instance"}) == {}


def test_a_target_group_that_is_gone_is_reported_and_one_that_could_not_be_read_is_not() -> None:
    arn = "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/front/1"
    gone = only(group(watch="60", target_groups=(arn,)), kinds={arn: BadSettings("target group front does not exist")})
    assert gone.what == "target group front"
    unread = only(group(watch="60", target_groups=(arn,)), kinds={arn: AwsDenied("no")})
    assert unread.key == "target groups: not looked at (AwsDenied)"


def test_classic_load_balancers_cannot_be_asked() -> None:
    finding = only(group(gate="elb job", other_traffic=("classic load balancer old",)))
    assert (finding.what, finding.severity) == ("load balancers of another kind", BREAKS)


# In Tower


def templates(**changes: Any) -> Any:
    return observed.tower(
        templates={"provision": ObservedTemplate(replace(observed.TEMPLATE, **changes), observed.TERMS)}
    )


@pytest.mark.parametrize(
    ("changes", "what", "remedy"),
    [
        ({"asks_limit": False}, "no prompt for limit", "beside the template's Limit"),
        ({"slices": 2}, "slices", "Job slicing to 1"),
        ({"inventory_id": 8}, "another inventory", "let it prompt for the inventory"),
        ({"inventory_id": None}, "another inventory", "let it prompt for the inventory"),
        ({"job_type": "check"}, "not a run", "set its job type to 'Run', or tick 'Prompt on launch'"),
        ({"job_type": "scan"}, "not a run", "set its job type to 'Run'"),
        ({"tags": "base"}, "tags", "clear its job tags and skip tags, or tick 'Prompt on launch'"),
        ({"skip_tags": "reboot"}, "tags", "clear its job tags and skip tags"),
        ({"tags": "base", "skip_tags": "reboot", "asks_skip_tags": True}, "tags", "clear its job tags"),
    ],
)
def test_a_template_that_cannot_be_limited_to_our_hosts_or_runs_a_part_of_its_playbook_is_reported(
    changes: dict[str, Any], what: str, remedy: str
) -> None:
    finding = only(group(), tower=templates(**changes))
    assert (finding.what, finding.severity) == (f"rollcall:job-template: {what}", BREAKS)
    assert remedy in finding.remedy


def test_a_template_with_everything_wrong_is_reported_in_full() -> None:
    assert len(found(group(), tower=templates(asks_limit=False, slices=2, inventory_id=8))) == 3


def test_a_template_that_prompts_for_its_type_and_tags_may_have_any() -> None:
    prompting = {"asks_job_type": True, "asks_tags": True, "asks_skip_tags": True}
    assert found(group(), tower=templates(job_type="check", tags="base", skip_tags="reboot", **prompting)) == {}


def test_a_template_that_prompts_for_the_inventory_suits_every_group() -> None:
    assert found(group(), tower=templates(inventory_id=None, asks_inventory=True)) == {}


def test_a_retire_template_is_held_to_the_same_and_is_another_one() -> None:
    tower = observed.tower()
    retiring = ObservedTemplate(replace(observed.TEMPLATE, id=10, asks_limit=False), observed.TERMS)
    tower = replace(tower, templates={**tower.templates, "goodbye": retiring})
    finding = only(group(retire_job_template="goodbye"), tower=tower)
    assert (finding.what, finding.severity) == ("rollcall:retire-job-template: no prompt for limit", WARNS)
    same = only(group(retire_job_template="provision"))
    assert (same.what, same.severity) == ("rollcall:retire-job-template: one template for both", WARNS)


def test_instances_that_serve_without_a_host_are_counted_and_named() -> None:
    finding = only(group(members=["i-a", "i-b", "i-c"]))
    assert (finding.what, finding.severity) == ("instances without a host", WARNS)
    assert finding.reason.startswith("2 of 3 instances in service have no host in inventory 'prod': i-b, i-c.")


@pytest.mark.parametrize("groups", ["db1 fine", ""])
def test_an_inventory_group_that_is_called_like_a_host_is_found_before_it_does_harm(groups: str) -> None:
    name = "web" if groups else "db1"
    inventory = ObservedInventory(Inventory(7, "prod"), True, (observed.host("i-a"), observed.host("db1")))
    finding = only(group(name=name, groups=groups), tower=observed.tower(inventories={"prod": inventory}))
    assert (finding.key, finding.severity) == (
        f"group {name}: inventory group 'db1' is called like a host",
        BREAKS,
    )
    assert "rollcall:groups" in finding.remedy


@pytest.mark.parametrize("name", ["localhost", "..", "i-0123456789abcdef0"])
def test_an_inventory_group_that_would_do_harm_is_found(name: str) -> None:
    for finding in (only(group(groups=f"fine {name}")), only(group(name=name))):
        assert (finding.what, finding.severity) == (f"inventory group {name!r}", BREAKS)
        assert finding.remedy == "name other groups in the tag rollcall:groups"


@pytest.mark.parametrize("state", ["Pending:Wait", "Pending", "Terminating:Wait", "Warmed:Stopped"])
def test_instances_that_do_not_serve_need_no_host(state: str) -> None:
    one = group(members=["i-b"])
    members = {each: replace(known, state=state) for each, known in one.members.items()}
    assert found(replace(one, members=members)) == {}


def test_where_tower_does_not_show_its_hosts_none_is_missing() -> None:
    silent = ObservedInventory(Inventory(7, "prod"), True, TowerUnavailable("away"))
    assert found(group(members=["i-b"]), tower=observed.tower(inventories={"prod": silent})) == {}
    assert found(group(members=["i-b"]), tower=observed.tower(inventories={}, templates={})) == {}


# What cannot be looked at


def test_groups_that_cannot_be_listed_are_one_finding() -> None:
    finding = only(groups=AwsDenied("no"))
    assert (finding.key, finding.severity) == ("Auto Scaling groups: not looked at (AwsDenied)", BREAKS)


def test_a_group_that_is_not_there_was_not_looked_at() -> None:
    finding = only(group(), wanted=frozenset({"web", "wbe"}))
    assert (finding.key, finding.severity) == ("group wbe: not there", BREAKS)


def test_hooks_that_cannot_be_read_are_said_once_and_never_missed() -> None:
    names = [f"web{number}" for number in range(12)]
    groups = [group(name=name, hooks=NoTimeLeft("there was no time"), members=()) for name in names]
    finding = only(*groups, group(name="fine"))
    assert (finding.key, finding.hides) == ("lifecycle hooks: not looked at (NoTimeLeft)", True)
    assert "and 2 more could not" in finding.reason
    assert "--group" in finding.remedy


def test_notifications_that_cannot_be_read_are_said() -> None:
    finding = only(replace(group(), topics=AwsDenied("no")))
    assert (finding.key, finding.severity) == ("notifications: not looked at (AwsDenied)", WARNS)


def test_a_topic_that_may_not_send_makes_up_for_no_hook() -> None:
    closed = observed.stack(senders=Senders())
    findings = found(group(hooks=observed.HOOKS[1:], topics=NOTIFIES_BOTH), subscribers=TO_BOTH, stack=closed)
    assert findings["group web: no launch hook"].severity == BREAKS
    assert findings.keys() == {
        "group web: no launch hook",
        "group web: topic for launches",
        "group web: topic for terminations",
    }
