"""Pre-flight: every objection with its remedy, all at once, and how a cycle will go."""

from __future__ import annotations

import json
from copy import replace
from typing import Any

import pytest

from rollcall.aws.instance_refreshes import Refresh
from rollcall.aws.launch_surroundings import Subnet
from rollcall.aws.launch_templates import LaunchRefusal, TemplateVersion
from rollcall.cycle.batch import parse_batch
from rollcall.cycle.preflight import Plan, judge
from rollcall.cycle.preflight_input import ActiveRefresh, LaunchTrial, PreflightInput
from rollcall.cycle.request import Protected, RollBack, Standby
from rollcall.cycle.tag import CycleTag
from rollcall.domain.errors import BadSettings
from rollcall.domain.findings import breaks, warns
from rollcall.domain.groups import OnFailure
from rollcall.domain.objections import Objection
from rollcall.workflow.schedule import Schedule
from unit.cycle.preflights import NOW, OWN, SETTINGS, details, given, launch, member, mixed, template


def objections(observed: PreflightInput) -> dict[str, Objection]:
    found = {each.what: each for each in judge(observed).objections}
    assert len(found) == len(judge(observed).objections), "each is named once"
    assert all(each.reason and each.remedy for each in found.values())
    return found


def only(observed: PreflightInput) -> Objection:
    found = objections(observed)
    assert len(found) == 1, found
    return next(iter(found.values()))


def plan(observed: PreflightInput) -> Plan:
    made = judge(observed).plan
    assert made is not None
    return made


def notes(observed: PreflightInput) -> str:
    return "; ".join(judge(observed).warnings)


def test_nothing_speaks_against_a_group_that_is_as_it_should_be() -> None:
    assert objections(given()) == {}


def test_an_unknown_group_is_the_only_objection() -> None:
    unknown = judge(given(details=None))
    assert [each.what for each in unknown.objections] == ["no group"]
    assert unknown.plan is None


def test_a_group_that_did_not_opt_in_is_refused() -> None:
    found = only(given(details(tags={"rollcall:inventory": None}), own=OWN))
    assert found.what == "not opted in"
    assert found.remedy == "let it opt in: rollcall onboard web"


def test_a_tag_that_forbids_it_is_obeyed() -> None:
    assert only(given(tag=CycleTag(never=True))).what == "forbidden"


def test_a_tag_that_cannot_be_read_is_named() -> None:
    found = only(given(tag=BadSettings("group 'web': tag rollcall:cycle has 'x'; allowed: y", "rollcall:cycle")))
    assert found.what == "tag rollcall:cycle"
    assert "has 'x'; allowed: y" in found.reason


def test_a_group_in_an_emergency_is_refused() -> None:
    found = only(given(details(tags={"rollcall:emergency": "2026-11-21T10:00:00Z"})))
    assert found.what == "in emergency"
    assert "rollcall offboard --restore web" in found.remedy


def test_missing_hooks_are_named_as_doctor_does() -> None:
    hooks = (breaks("group web", "no launch hook", "why", "put it"), warns("group web", "no terminate hook", "w", "p"))
    found = objections(given(hooks=hooks, findings=hooks[:1]))
    assert found.keys() == {"no launch hook", "no terminate hook"}
    assert found["no launch hook"].remedy == "put it"


def test_what_doctor_finds_that_breaks_launches_speaks_against_it() -> None:
    finding = breaks("inventory 'prod'", "not found", "Tower has none", "correct the tag")
    assert only(given(findings=(finding,))) == Objection("not found", "Tower has none", "correct the tag")


def test_a_refresh_of_another_cycle_is_named_by_that_cycle() -> None:
    active = ActiveRefresh(Refresh("r-1", "InProgress", began=NOW), "web-0")
    found = only(given(active=active))
    assert found.what == "refresh active"
    assert "r-1 (of cycle web-0) is InProgress since 2026-11-21 10:00:00 UTC" in found.reason
    assert "rollcall cycle --cancel web" in found.remedy


def test_a_refresh_of_no_cycle_was_started_outside_of_rollcall() -> None:
    found = only(given(active=ActiveRefresh(Refresh("r-1", "Pending", began=NOW))))
    assert "r-1 (started outside of Rollcall) is Pending since 2026-11-21 10:00:00 UTC" in found.reason
    assert "aws autoscaling cancel-instance-refresh --auto-scaling-group-name web" in found.remedy


def test_the_pin_of_another_cycle_speaks_against_it_and_its_own_does_not() -> None:
    pinned = details(tags={"rollcall:cycle-pinned": "default keep web-0"})
    assert only(given(pinned, pin_runs=True)).remedy == "wait for that cycle"
    left = only(given(pinned, pin_runs=False))
    assert "does not run any more" in left.reason
    assert "reconcile" in left.remedy
    assert objections(given(pinned, execution="web-0")) == {}


@pytest.mark.parametrize("process", ["AddToLoadBalancer", "HealthCheck", "InstanceRefresh", "Launch", "Terminate"])
def test_a_suspended_process_that_is_needed_is_named(process: str) -> None:
    found = only(given(details(suspended=frozenset({process, "AZRebalance"}))))
    assert found.what == f"{process} suspended"
    assert f"resume-processes --auto-scaling-group-name web --scaling-processes {process}" in found.remedy


def test_health_checks_of_ec2_alone_do_not_wait_for_the_load_balancer() -> None:
    without = SETTINGS._replace(gate=("job",))
    found = objections(given(details(default_warmup=900), settings=without))
    assert found.keys() == {"health check type"}
    assert "elb" in found["health check type"].remedy
    assert objections(given(details(health_check_type="EC2,ELB", default_warmup=900), settings=without)) == {}
    no_targets = details().group._replace(target_groups=())
    assert objections(given(details(group=no_targets), settings=without)) == {}


def test_protected_instances_are_refused_unless_the_request_says_what_becomes_of_them() -> None:
    group = details(member(0, protected=True), member(1))
    found = only(given(group))
    assert found.what == "protected instances"
    assert "i-0" in found.reason
    assert "i-1" not in found.reason
    assert "--instance-ids i-0" in found.remedy
    for choice, words in [("REFRESH", "are replaced: i-0"), ("IGNORE", "stay as they are: i-0"), ("WAIT", "an hour")]:
        allowed = given(group, {"protected": Protected[choice]})
        assert objections(allowed) == {}
        assert words in notes(allowed)
    assert plan(given(group, {"protected": Protected.IGNORE})).order == ("i-1",)


def test_instances_in_standby_are_refused_unless_the_request_says_what_becomes_of_them() -> None:
    group = details(member(0, state="Standby"), member(1))
    found = only(given(group))
    assert found.what == "instances in Standby"
    assert "exit-standby" in found.remedy
    for choice, words in [
        ("TERMINATE", "terminated and replaced: i-0"),
        ("IGNORE", "stay as they are"),
        ("WAIT", "an"),
    ]:
        allowed = given(group, {"standby": Standby[choice]})
        assert objections(allowed) == {}
        assert words in notes(allowed)
    assert plan(given(group, {"standby": Standby.IGNORE})).order == ("i-1",)


def test_weights_as_large_as_the_group_are_refused_and_smaller_ones_fill_a_batch() -> None:
    override = {"InstanceType": "t3.micro", "WeightedCapacity": "4"}
    heavy = details(member(0, weight=4), configuration=mixed("6", override), desired=4)
    assert only(given(heavy)).what == "weights"
    light = given(details(member(0, weight=4), configuration=mixed("6", override), desired=8))
    assert objections(light) == {}
    assert plan(light).batch == 4
    assert "an instance counts for up to 4" in notes(light)


def test_a_launch_template_or_a_version_that_is_not_there_is_named() -> None:
    assert "version 6 of its launch template web-template" in objections(given(own=None))["launch template"].reason
    found = only(given(target=None))
    assert found.what == "version"
    assert "web-template has no version 7" in found.reason
    assert "--launch-template-id lt-1" in found.remedy


def test_a_launch_configuration_has_no_versions() -> None:
    bare = {"own": None, "target": None}
    assert only(given(details(configuration={}), **bare)).what == "launch configuration"
    without = given(details(configuration={}), {"launch_template_version": None}, **bare)
    assert objections(without) == {}
    assert plan(without).target_version == ""
    assert plan(without).replaced == 8
    assert not plan(without).sends_configuration


REQUIREMENTS = {"InstanceRequirements": {"VCpuCount": {"Min": 2}, "MemoryMiB": {"Min": 1024}}}


def test_a_group_by_attributes_takes_no_new_version_and_skips_nothing() -> None:
    group = details(configuration=mixed("6", REQUIREMENTS))
    found = objections(given(group, {"skip_matching": True}))
    assert found.keys() == {"instance requirements", "skip matching"}
    assert plan(given(group, {"skip_matching": True})).sent["Preferences"]["SkipMatching"] is False
    same = given(group, {"launch_template_version": None}, target=OWN)
    assert objections(same) == {}
    assert not plan(same).sends_configuration
    assert plan(same).sent["Preferences"]["SkipMatching"] is False


def test_a_rollback_that_is_asked_for_and_impossible_is_refused_with_the_reason() -> None:
    asked = {"rollback": RollBack.ON}
    assert objections(given(asked=asked)) == {}
    alias = only(given(details(configuration=template("$Default")), asked))
    assert alias.what == "rollback impossible"
    assert "$Default" in alias.reason
    assert "pin=true" in alias.remedy
    assert "no other version" in only(given(None, asked, target=OWN)).reason
    parameter = TemplateVersion("lt-1", "6", {"ImageId": "resolve:ssm:/ami", "InstanceType": "t3.micro"})
    assert "Systems Manager" in only(given(None, asked, own=parameter)).reason
    override = {"InstanceType": "t3.micro", "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-2"}}
    assert "t3.micro" in only(given(details(configuration=mixed("6", override)), asked)).reason


def test_a_group_that_runs_several_versions_cannot_be_pinned_and_no_note_says_that_it_is() -> None:
    group = details(member(0), member(1, version="5"), configuration=template("$Default"))
    asked = given(group, {"pin": True})
    found = only(asked)
    assert found.what == "several versions"
    assert "5, 6" in found.reason
    assert "is set from" not in notes(asked)


def test_too_few_free_addresses_for_a_batch_are_counted_over_all_subnets() -> None:
    few = {"subnet-a": Subnet("us-east-1a", 1), "subnet-b": Subnet("us-east-1b", 0)}
    found = only(given(subnets=few))
    assert found.what == "free addresses"
    assert "1 free addresses, and a batch takes 2" in found.reason
    enough = given(subnets={**few, "subnet-a": Subnet("us-east-1a", 2)})
    assert objections(enough) == {}
    assert "subnet-b in us-east-1b has no free address" in notes(enough)


def test_a_subnet_that_is_not_there_is_named() -> None:
    found = only(given(subnets={"subnet-a": Subnet("us-east-1a", 9)}))
    assert found.what == "subnets"
    assert "subnet-b" in found.reason


def denial(action: str = "", resource: str = "") -> LaunchTrial:
    return LaunchTrial("t3.micro of version 7", LaunchRefusal("UnauthorizedOperation", "words", action, resource))


def test_a_missing_permission_is_named() -> None:
    role = "arn:aws:iam::123456789012:role/web"
    found = only(given(trials=(denial("iam:PassRole", role),)))
    assert found.what == "permission iam:PassRole"
    assert f"iam:PassRole on {role} is missing" in found.reason
    assert found.remedy == f"deploy with {role} among PassableRoleArns"
    assert "ec2:RunInstances on *" in only(given(trials=(denial("ec2:RunInstances", "*"),))).reason
    assert ": ec2:RunInstances is missing" in only(given(trials=(denial("ec2:RunInstances"),))).reason
    unnamed = only(given(trials=(denial(),)))
    assert "ec2:RunInstances, ec2:CreateTags or iam:PassRole is missing" in unnamed.reason
    assert "PassableRoleArns" in unnamed.remedy


def test_an_image_that_a_parameter_names_may_need_a_policy_of_the_operators() -> None:
    parameter = "arn:aws:ssm:us-east-1:123456789012:parameter/images/web"
    found = only(given(trials=(denial("ssm:GetParameters", parameter),)))
    assert found.remedy == f"attach a policy to the stack's CycleRole that allows ssm:GetParameters on {parameter}"


def test_without_a_version_the_permission_is_not_needed() -> None:
    without = given(None, {"launch_template_version": None}, target=OWN, trials=(denial("ec2:RunInstances"),))
    assert objections(without) == {}
    assert "was not tried" in notes(without)


@pytest.mark.parametrize(
    "code", ["InvalidAMIID.NotFound", "InvalidParameterValue", "InvalidSubnetID.NotFound", "Unsupported"]
)
def test_what_ec2_would_not_launch_is_told_in_its_words(code: str) -> None:
    found = only(given(trials=(LaunchTrial("t9.huge of version 7 in us-east-1a", LaunchRefusal(code, "AWS's words")),)))
    assert found.what == f"launch: {code}"
    assert found.reason == "EC2 would not launch t9.huge of version 7 in us-east-1a: AWS's words"


def test_instances_that_the_launch_hook_holds_for_too_long_speak_against_it() -> None:
    group = details(*map(member, range(3)), member(3, state="Pending:Wait"), member(4, state="Pending:Wait"))
    began = (launch(None, "InProgress", instance_id="i-3", began=NOW - 1801),)
    young = (launch(None, "InProgress", instance_id="i-4", began=NOW - 1799),)
    found = only(given(group, activities=began + young))
    assert found.what == "instances held"
    assert "i-3" in found.reason
    assert "i-4" not in found.reason


@pytest.mark.parametrize("state", ["ALARM", "INSUFFICIENT_DATA"])
def test_alarms_that_are_not_ok_speak_against_it(state: str) -> None:
    found = objections(given(None, {"alarms": ("5xx", "p99", "gone")}, alarms={"5xx": "OK", "p99": state}))
    assert found.keys() == {"alarm p99", "alarm gone"}
    assert state in found["alarm p99"].reason


def test_a_warm_up_shorter_than_the_last_launch_matters_where_nothing_else_waits() -> None:
    waits_for_nothing = SETTINGS._replace(gate=("job",))
    group = details(health_check_type="ELB", default_warmup=199)
    found = only(given(group, settings=waits_for_nothing))
    assert found.what == "warm-up"
    assert "199 s, and its last instance took 200 s" in found.reason
    assert objections(given(details(health_check_type="ELB", default_warmup=200), settings=waits_for_nothing)) == {}
    at_once = details(health_check_type="ELB", default_warmup=0, grace_period=300)
    assert "its warm-up is 0 s" in only(given(at_once, settings=waits_for_nothing)).reason, "it has one, and it is 0"
    assert objections(given(group)) == {}, "the gate waits until it serves"
    assert objections(given(group, settings=waits_for_nothing, activities=())) == {}, "nothing is known"


def test_everything_is_objected_to_at_once() -> None:
    group = details(
        member(0, protected=True),
        member(1, state="Standby"),
        tags={"rollcall:inventory": None, "rollcall:emergency": "now", "rollcall:cycle-pinned": "latest keep web-0"},
        suspended=frozenset({"Launch", "Terminate"}),
    )
    found = objections(
        given(
            group,
            {"alarms": ("5xx",), "rollback": RollBack.ON},
            tag=CycleTag(never=True),
            settings=None,
            active=ActiveRefresh(Refresh("r-1", "InProgress")),
            target=OWN,
            subnets={},
        )
    )
    assert found.keys() == {
        "not opted in",
        "forbidden",
        "in emergency",
        "refresh active",
        "pinned",
        "Launch suspended",
        "Terminate suspended",
        "health check type",
        "protected instances",
        "instances in Standby",
        "rollback impossible",
        "subnets",
        "free addresses",
        "alarm 5xx",
    }


# The plan


def test_a_plan_says_what_is_sent_and_how_it_goes() -> None:
    made = plan(given())
    assert (made.from_version, made.target_version, made.template_id) == ("6", "7", "lt-1")
    assert (made.desired, made.batch, made.maximum_healthy, made.replaced, made.batches) == (8, 2, 125, 8, 4)
    assert made.order == tuple(f"i-{number}" for number in range(8))
    assert made.sent["DesiredConfiguration"] == {"LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "7"}}
    assert made.sent["Preferences"]["MinHealthyPercentage"] == 100
    assert made.sent["Preferences"]["MaxHealthyPercentage"] == 125
    assert made.rolls_back
    assert made.sent["Preferences"]["AutoRollback"] is True
    assert made.skip_matching
    assert not made.nothing_to_replace
    assert not made.untried
    assert json.loads(json.dumps(made.to_json()))["batches"] == 4


@pytest.mark.parametrize(
    ("tag", "words"),
    [(CycleTag(every=Schedule(None, 3, 0)), "03:00 UTC"), (None, ""), (BadSettings("misspelt"), "")],
    ids=["daily", "none", "unreadable"],
)
def test_a_plan_says_when_the_next_cycle_is_due_by_schedule(tag: CycleTag | BadSettings | None, words: str) -> None:
    said = plan(given(tag=tag)).to_json()["next_by_schedule"]
    assert said.endswith(words)
    assert bool(said) is bool(words)


def test_a_time_is_estimated_from_the_groups_own_history() -> None:
    # four batches of a launch (median of 200 and 300 s) and 300 s of warm-up, then a termination of 60 s
    assert plan(given()).estimate_seconds == 4 * (250 + 300) + 60
    waits = {"checkpoints": (25, 50, 100), "checkpoint_seconds": 600, "bake_seconds": 120}
    assert plan(given(asked=waits)).estimate_seconds == 4 * (250 + 300) + 60 + 2 * 600 + 120
    assert plan(given(activities=())).estimate_seconds is None


def test_no_more_than_twenty_instances_are_named() -> None:
    assert len(plan(given(details(*map(member, range(50))))).order) == 20


def test_instances_that_have_the_version_already_are_skipped_where_another_is_named() -> None:
    group = details(member(0, version="7"), member(1))
    assert plan(given(group)).order == ("i-1",)
    assert plan(given(group, {"skip_matching": False})).order == ("i-0", "i-1")
    assert plan(given(group, {"launch_template_version": None}, target=OWN)).order == ("i-0", "i-1")


def test_instances_on_their_way_out_are_not_replaced() -> None:
    assert plan(given(details(member(0, state="Terminating:Wait"), member(1)))).order == ("i-1",)


def test_what_an_override_with_a_template_of_its_own_has_launched_is_skipped_too() -> None:
    own = {"InstanceType": "m7g.large", "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-own", "Version": "2"}}
    members = (member(0), member(1, template_id="lt-own", version="2"), member(2, template_id="lt-own", version="1"))
    group = details(*members, configuration=mixed("6", own))
    assert plan(given(group)).order == ("i-0", "i-2")


def test_there_is_nothing_to_replace_where_all_have_the_groups_own_version_and_these_are_skipped() -> None:
    skipping = {"launch_template_version": "6", "skip_matching": True}
    assert plan(given(None, skipping, target=OWN)).nothing_to_replace
    assert not plan(given(None, {"launch_template_version": "6"}, target=OWN)).nothing_to_replace
    all_new = details(*(member(number, version="7") for number in range(3)))
    made = plan(given(all_new))
    assert made.replaced == 0
    assert not made.nothing_to_replace, "the group itself is still on 6"
    assert made.sends_configuration


EMPTY = details(member(0))._replace(members=(), desired=0)


def test_the_version_of_an_empty_group_is_set_and_tried_on_nothing() -> None:
    made = plan(given(EMPTY))
    assert made.untried
    assert made.sends_configuration
    assert not made.nothing_to_replace
    assert (made.batch, made.batches, made.maximum_healthy) == (0, 0, 200)
    assert made.estimate_seconds == 0
    assert "not tried on any instance" in notes(given(EMPTY))
    assert plan(given(EMPTY, {"launch_template_version": None}, target=OWN)).nothing_to_replace


def test_the_warm_pool_is_replaced_too_and_takes_no_batch() -> None:
    observed = given(details(member(0))._replace(pool=(member(5, state="Warmed:Stopped"),)))
    assert plan(observed).order == ("i-0", "i-5")
    assert plan(observed).batches == 1
    assert "warm pool" in notes(observed)


def test_overrides_with_a_template_or_an_image_of_their_own_are_named() -> None:
    own = {"InstanceType": "m6g.large", "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-2", "Version": "3"}}
    image = {"InstanceType": "c6i.large", "ImageId": "ami-9"}
    observed = given(details(configuration=mixed("6", {"InstanceType": "t3.micro"}, own, image)))
    assert "m6g.large keeps launch template lt-2 of its own" in notes(observed)
    assert "c6i.large keeps image ami-9 of its own" in notes(observed)
    assert "t3.micro keeps" not in notes(observed)
    sent = plan(observed).sent["DesiredConfiguration"]["MixedInstancesPolicy"]["LaunchTemplate"]
    assert sent["LaunchTemplateSpecification"]["Version"] == "7"
    assert sent["Overrides"] == [{"InstanceType": "t3.micro"}, own, image]


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"aws:cloudformation:stack-name": "shop"}, "CloudFormation stack shop owns the group"),
        ({"ManagedBy": "Terraform"}, "Terraform owns the group, by its tags"),
        ({"terraform": "true"}, "Terraform owns the group, by its tags"),
        ({}, "whatever deploys this group may set its version back"),
    ],
)
def test_what_will_set_the_version_again_is_named_by_the_groups_tags(tags: dict[str, str], words: str) -> None:
    assert words in notes(given(details(tags=tags)))
    unchanged = given(details(tags=tags), {"launch_template_version": None}, target=OWN)
    assert words not in notes(unchanged)


def test_the_last_launch_is_told_in_awss_words_where_it_failed() -> None:
    failed = launch(5, "Failed", instance_id="", words="You have requested more vCPU capacity than your limit")
    assert "more vCPU capacity" in notes(given(activities=(failed, launch(200))))
    assert "more vCPU capacity" not in notes(given(activities=(launch(200), failed)))


def test_a_plan_comes_from_the_version_that_is_gone_back_to_and_names_what_else_runs() -> None:
    """Another roll-out was cancelled: most instances run a version that the group does not have."""
    group = details(*(member(number, version="5" if number < 5 else "6") for number in range(8)))
    assert (plan(given(group)).from_version, plan(given(group)).target_version) == ("6", "7")
    assert "version 5 runs in it, too; a rollback goes to version 6, which the group has" in notes(given(group))
    assert "runs in it, too" not in notes(given())


def test_a_cycle_to_the_version_that_the_group_has_comes_from_what_its_instances_run() -> None:
    group = details(*(member(number, version="5") for number in range(8)))
    made = plan(given(group, target=OWN))
    assert (made.from_version, made.target_version) == ("5", "6")


# Aliases and pins


def aliased(asked: dict[str, Any] | None = None, **changes: Any) -> PreflightInput:
    """A group on $Default, which is 7 by now, and whose instances run 6."""
    own = TemplateVersion("lt-1", "7")
    wanted = {"launch_template_version": None, **(asked or {})}
    return given(details(configuration=template("$Default")), wanted, **{"own": own, "target": own} | changes)


def test_a_group_on_an_alias_keeps_it_and_is_not_rolled_back() -> None:
    made = plan(aliased())
    assert (made.from_version, made.target_version) == ("6", "7")
    assert not made.sends_configuration
    assert not made.rolls_back
    assert made.pinned_from == ""
    assert made.why_no_rollback == "the group is on $Default, and is not pinned"
    assert "stays on $Default, which is version 7 now" in notes(aliased())


def test_a_pinned_group_is_set_to_what_its_instances_run_and_can_be_rolled_back() -> None:
    made = plan(aliased({"pin": True}))
    assert (made.from_version, made.target_version, made.pinned_from) == ("6", "7", "$Default")
    assert made.sends_configuration
    assert made.rolls_back
    assert "is set from $Default to version 6 first" in notes(aliased({"pin": True}))


def test_a_group_whose_instances_run_what_its_alias_is_needs_no_pin() -> None:
    made = plan(aliased({"pin": True}, own=OWN, target=OWN))
    assert made.pinned_from == ""
    assert not made.sends_configuration


def test_a_group_on_a_number_is_not_pinned() -> None:
    assert plan(given(asked={"pin": True})).pinned_from == ""


def test_another_version_than_the_aliass_takes_the_alias_from_the_group() -> None:
    observed = given(details(configuration=template("$Default")))
    made = plan(observed)
    assert made.sends_configuration
    assert not made.rolls_back
    assert "will be on version 7 afterwards" in notes(observed)
    assert "what fails is cancelled" in notes(observed)


def test_rollback_can_be_switched_off() -> None:
    made = plan(given(asked={"rollback": RollBack.OFF}))
    assert not made.rolls_back
    assert made.why_no_rollback == "it is not asked for"


@pytest.mark.parametrize(
    ("instances", "batch", "on_failure", "warned"),
    [
        (4, "1", OnFailure.HOLD, True),
        (4, "25%", OnFailure.HOLD, True),
        (4, "2", OnFailure.HOLD, False),
        (4, "1", OnFailure.ABANDON, False),
        (1, "1", OnFailure.HOLD, False),
    ],
)
def test_that_a_held_instance_would_stop_a_cycle_of_one_at_a_time_is_said_beforehand(
    instances: int, batch: str, on_failure: OnFailure, warned: bool
) -> None:
    group = details(*map(member, range(instances)))
    settings = replace(SETTINGS, on_failure=on_failure)
    said = notes(given(group, {"batch": parse_batch(batch)}, settings=settings))
    assert ("it waits until you act; let two come at a time (--batch 2; tag rollcall:cycle: batch=2)" in said) == warned
