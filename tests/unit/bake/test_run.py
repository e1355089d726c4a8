"""The steps of a bake from its first to its last, whatever becomes of it, and wherever the function dies."""

from __future__ import annotations

import json
from contextlib import suppress
from copy import replace
from typing import Any

import pytest

from rollcall.aws.images import Image
from rollcall.aws.launch_templates import LaunchRefusal
from rollcall.bake.launching import INSTANCE_VISIBLE_AFTER
from rollcall.bake.moments import LATE_AFTER, RETIRE_EVERY
from rollcall.bake.news import BakeEvent
from rollcall.bake.run import LIFE, BakeRun
from rollcall.bake.state import BakeResult, BakeState
from rollcall.bake.sweeping import Swept
from rollcall.domain.bake_tags import BAKE_GROUP, FROM_VERSION, KEEP_TAG, ROLL_OUT, SMOKE, VERSION
from rollcall.domain.errors import (
    AwsDenied,
    BadEvent,
    BadSettings,
    CycleGoesOn,
    Throttled,
    TowerDenied,
    TowerUnavailable,
)
from rollcall.domain.groups import AddressKind, Group
from rollcall.domain.inventories import MARKER
from rollcall.domain.jobs import JobStatus, Outcome
from rollcall.workflow.invocation import BY_RECONCILE
from rollcall.workflow.names import execution_name
from rollcall.workflow.settling import SETTLE_AFTER
from unit.fakes import ACCOUNT, REGION

from .bake_world import BASE, CYCLES, EXECUTION, MACHINE, BakeWorld
from .baked import image, images, versions

ORDER = ["preflight", "launch", "register", "provision", "image", "terminate", "smoke", "version", "record", "retain"]
ABORTED = {
    "executionArn": EXECUTION,
    "status": "ABORTED",
    "startDate": 1_796_526_300_000,
    "stopDate": 1e15,  # moments ago, whatever the time
    "input": '{"group": "web"}',
}


def world(**request: Any) -> BakeWorld:
    base = Image(
        BASE,
        "al2023",
        architecture="x86_64",
        owner="137112412989",
        owner_alias="amazon",
        root_device="/dev/xvda",
        mappings=({"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "SnapshotId": "snap-base"}},),
    )
    return BakeWorld(base, **request)


def in_order(steps: list[str]) -> list[str]:
    return list(dict.fromkeys(steps))


def published(bake: BakeWorld) -> list[BakeEvent]:
    return [news.kind for answer in bake.answers for news in answer.news]


# The whole of it


def test_an_image_is_made_tried_put_into_a_version_and_rolled_out_and_nothing_else_is_left() -> None:
    bake = world()
    ended = bake.until()
    assert (ended.result, ended.reason) == (BakeResult.SUCCEEDED, f"image {ended.image_id} was rolled out as version 2")
    assert in_order(bake.steps) == [*ORDER, "put_back"]
    assert (bake.living(), bake.hosts()) == ([], set())
    image = bake.aws.known[ended.image_id]
    assert (image.tags[SMOKE], image.tags[ROLL_OUT], image.tags[VERSION]) == ("passed", "succeeded", "2")
    assert bake.aws.made_versions["2"].data["ImageId"] == ended.image_id
    assert ended.project_revision == "c0ffee"
    assert published(bake) == [BakeEvent.BAKED]


def test_the_builder_has_no_template_no_profile_no_user_data_and_the_smoke_instance_neither() -> None:
    bake = world()
    bake.version(UserData="c2VjcmV0", IamInstanceProfile={"Name": "web"})
    bake.until()
    assert len(bake.aws.requests) == 2
    for fields in bake.aws.requests:
        assert not {"LaunchTemplate", "IamInstanceProfile", "UserData"} & fields.keys()


def test_the_builders_host_is_marked_as_one_until_the_bakes_time_is_over_and_the_job_is_limited_to_it() -> None:
    bake = world()
    bake.group(groups="app web")
    bake.until("provision")
    [host] = bake.tower.hosts.values()
    marker = host.variables[MARKER]
    assert isinstance(marker, dict)
    assert (marker["role"], marker["until"]) == ("builder", bake.state["execution_started"] + LIFE)
    assert (host.inventory_name, marker["instance_id"], marker["bake"]) == (
        "builders",
        host.name,
        bake.state["bake_id"],
    )
    assert bake.tower.groups_of(host.id) == {"app", "web"}
    bake.until()
    assert [run.job.hosts for run in bake.tower.runs.values()] == [frozenset({host.name})]


def test_a_bake_without_roll_out_makes_the_version_and_says_so() -> None:
    bake = world(roll_out=False)
    ended = bake.until()
    assert ended.result == BakeResult.BAKED
    assert bake.aws.made_versions["2"].description.endswith("not rolled out")
    assert ended.cycle == ""


@pytest.mark.parametrize("result", ["rolled back", "failed"])
def test_a_roll_out_that_does_not_succeed_removes_nothing_and_is_published(result: str) -> None:
    bake = world()
    bake.rolls_out = result
    ended = bake.until()
    assert ended.result == result
    assert "retain" not in bake.steps
    assert published(bake) == [BakeEvent.BAKED, BakeEvent.FAILED]
    assert bake.aws.known[ended.image_id].tags[ROLL_OUT] == result


def test_a_dry_run_touches_nothing() -> None:
    bake = world(dry_run=True)
    ended = bake.until()
    assert (ended.result, bake.steps) == (BakeResult.DRY_RUN, ["preflight", "put_back"])
    assert bake.deaths.made == []
    assert ended.base_image.id == BASE


def test_a_dry_run_of_a_group_that_is_not_there_is_one_with_an_objection() -> None:
    bake = world(dry_run=True)
    bake.request["group"] = "wbe"
    ended = bake.until()
    assert (ended.result, [each.what for each in ended.objections]) == (BakeResult.DRY_RUN, ["no group"])
    bake = world()
    bake.request["group"] = "wbe"
    assert bake.until().result == BakeResult.REFUSED


def test_a_dry_run_whose_input_is_none_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    dry = f"{EXECUTION.rpartition(':')[0]}:{execution_name('web', 'dry-1')}"
    for execution, result in ((dry, BakeResult.DRY_RUN), (EXECUTION, BakeResult.REFUSED)):
        monkeypatch.setattr("unit.bake.bake_world.EXECUTION", execution)
        bake = world(keep="many")
        ended = bake.until()
        assert (ended.result, [each.what for each in ended.objections]) == (result, ["input"])


def test_a_dry_run_says_how_the_group_is_cycled_and_which_old_image_the_new_one_would_displace() -> None:
    bake = world(dry_run=True)
    bake.group(keep="4", cycle="batch=2")
    bake.aws.known |= {each.id: each for each in images(4)}
    plan = bake.until().plan
    why = "it is not among the newest 4 of group web, with the one that this bake makes"
    assert plan["removals"] == [f"would disable ami-1: {why}"]
    assert (plan["instances"], plan["cycle_tag"]) == (bake.aws.groups["web"].desired, "batch=2")
    assert bake.deaths.made == []


def test_a_dry_run_says_that_the_version_goes_which_the_group_would_not_go_back_to_any_more() -> None:
    bake = world(dry_run=True)
    bake.group(keep="1")
    bake.aws.known |= {each.id: each for each in [image(3, tags={FROM_VERSION: "2"}), image(2)]}
    bake.aws.made_versions |= {each.number: each for each in versions(3, 2)}
    assert "would delete version 2: its image ami-2 is not among the newest" in bake.until().plan["removals"]


def test_a_refused_bake_has_all_its_objections() -> None:
    bake = world()
    bake.group(bake_job_template="", bake_inventory="prod")
    ended = bake.until()
    assert ended.result == BakeResult.REFUSED
    assert {each.what for each in ended.objections} == {"no bake job template", "a group's inventory"}
    assert (bake.deaths.made, published(bake)) == ([], [])


# Nothing new


@pytest.mark.parametrize(
    ("asked", "changed", "result"),
    [
        ({"only_if_new": True}, "", BakeResult.NOTHING_NEW),
        ({}, "", BakeResult.SUCCEEDED),
        ({"only_if_new": True}, "revision", BakeResult.SUCCEEDED),
        ({"only_if_new": True}, "base", BakeResult.SUCCEEDED),
        ({"only_if_new": True}, "at launch", BakeResult.SUCCEEDED),
    ],
    ids=["the same", "by hand", "another revision", "another base image", "a revision that is not known before"],
)
def test_the_same_is_not_baked_again_where_only_what_is_new_is_asked_for(
    asked: dict[str, Any], changed: str, result: BakeResult
) -> None:
    first = world(base_image=BASE)
    first.until()
    again = world(base_image=BASE, **asked)
    again.aws.known |= first.aws.known
    if changed == "revision":
        again.tower.projects[5] = again.tower.projects[5]._replace(revision="f00d")
    if changed == "at launch":
        again.tower.projects[5] = again.tower.projects[5]._replace(updates_on_launch=True)
    if changed == "base":
        newer = again.aws.known[BASE]._replace(id="ami-00000000000000002")
        again.aws.known[newer.id] = newer
        again.request["base_image"] = newer.id
    assert again.until().result == result


@pytest.mark.parametrize("ended", ["rolled back", "rolled back by hand", "cancelled", "refused"])
def test_what_was_rolled_back_is_baked_again_though_nothing_is_new(ended: str) -> None:
    """The group is not on it."""
    first = world(base_image=BASE)
    first.rolls_out = ended
    assert first.until().version == "2"
    again = world(base_image=BASE, only_if_new=True)
    again.aws.known |= first.aws.known
    assert again.until().result == BakeResult.SUCCEEDED


@pytest.mark.parametrize(
    ("first", "then", "result"),
    [
        (False, True, BakeResult.SUCCEEDED),
        (False, False, BakeResult.NOTHING_NEW),
        (True, False, BakeResult.NOTHING_NEW),
    ],
)
def test_an_image_that_was_not_rolled_out_keeps_none_from_being_baked_that_is_to_be(
    first: bool, then: bool, result: BakeResult
) -> None:
    """Saturday's without a roll-out would keep the group from Sunday's patch."""
    one = world(base_image=BASE, roll_out=first)
    one.until()
    again = world(base_image=BASE, only_if_new=True, roll_out=then)
    again.aws.known |= one.aws.known
    assert again.until().result == result


# What goes wrong


def test_a_job_that_fails_ends_the_bake_with_its_link_and_the_builder_goes() -> None:
    bake = world()
    bake.job_ends = Outcome.FAILED
    ended = bake.until()
    assert ended.result == BakeResult.FAILED
    assert f"job {ended.job} failed: https://tower.example.com/#/jobs/playbook/{ended.job}/output" in ended.reason
    assert (bake.living(), bake.hosts(), ended.image_id) == ([], set(), "")
    assert published(bake) == [BakeEvent.FAILED]


def test_a_builder_that_boots_is_tried_again_as_a_gate_does() -> None:
    bake = world()
    bake.job_ends = Outcome.UNREACHABLE
    bake.until("provision")
    for _ in range(3):
        answer = bake.step("provision")
        bake.clock.now += answer.wait
        bake.goes_on()
    bake.job_ends = Outcome.OK
    ended = bake.until()
    assert ended.result == BakeResult.SUCCEEDED
    assert ended.job_tries > 1


def test_a_builder_that_is_never_reached_ends_the_bake_after_half_an_hour() -> None:
    bake = world()
    bake.job_ends = Outcome.UNREACHABLE
    ended = bake.until()
    assert ended.result == BakeResult.FAILED
    assert "did not reach it, for 18" in ended.reason
    assert bake.living() == []


def test_a_job_that_tower_ends_is_tried_three_times() -> None:
    bake = world()
    bake.job_ends, bake.job_status = Outcome.UNPROVEN, JobStatus.ERROR
    ended = bake.until()
    assert (ended.result, len(bake.tower.runs)) == (BakeResult.FAILED, 3)


def test_two_invocations_of_one_task_run_one_job() -> None:
    bake = world()
    bake.until("provision")
    builder = bake.state["builder"]
    inventory = bake.tower.inventory("builders")

    def another_was_faster(method: str) -> None:
        if method == "launch":
            bake.tower.before_call = lambda method: None
            bake.clock.now += 1
            bake.tower.add_job(bake.template, inventory, builder)

    bake.tower.before_call = another_was_faster
    bake.step("provision")
    statuses = [run.job.status for run in bake.tower.runs.values()]
    assert statuses == [JobStatus.RUNNING, JobStatus.CANCELED]
    assert bake.until().result == BakeResult.SUCCEEDED


def test_where_a_subnet_has_no_room_another_one_takes_the_builder() -> None:
    bake = world()
    bake.aws.no_room = {"subnet-1"}
    assert bake.until().result == BakeResult.SUCCEEDED
    assert {each["SubnetId"] for each in bake.aws.requests} == {"subnet-2"}


def test_where_no_subnet_has_room_the_bake_says_so() -> None:
    bake = world()
    bake.aws.no_room = {"subnet-1", "subnet-2"}
    ended = bake.until()
    assert ended.result == BakeResult.FAILED
    assert "InsufficientInstanceCapacity" in ended.reason


def test_a_builder_that_does_not_come_to_run_ends_the_bake() -> None:
    bake = world()
    bake.goes_on = lambda: None  # type: ignore[method-assign]
    for _ in range(100):
        name = bake.answers[-1].next if bake.answers else "preflight"
        if name == "put_back":
            break
        bake.clock.now += bake.step(name).wait
    assert bake.state["reason"] == "builder i-00000000000000001 does not run within 15 minutes"


@pytest.mark.parametrize("reason", ["Server.InternalError: Internal error on launch", ""])
@pytest.mark.parametrize("at", ["launch", "register", "provision"])
def test_why_a_builder_was_ended_is_said_in_ec2s_words(at: str, reason: str) -> None:
    bake = world()
    bake.until("launch")
    bake.step("launch")
    bake.goes_on()
    bake.until(at)
    [builder] = bake.living()
    ended = replace(bake.fleet.known_instances[builder], state="terminated", state_reason=reason)
    bake.fleet.known_instances[builder] = ended
    words = "did not come to run, it is" if at == "launch" else "was ended by something else: it is"
    why = f" ({reason})" if reason else ""
    assert bake.step(at).state.reason == f"builder {builder} {words} terminated{why}"


def test_a_second_builder_that_a_dead_function_launched_goes_with_the_first_and_not_after_the_roll_out() -> None:
    """The token is another in each subnet: an instance in the second one, not shown yet, and then room in the first."""
    bake = world()
    bake.until("launch")
    bake.aws.no_room = {"subnet-1"}
    bake.step("launch")
    bake.aws.no_room = set()
    bake.aws.unseen = {"i-00000000000000001"}
    bake.state["builder"], bake.state["phase"] = "", "launching the builder"
    bake.until("terminate")
    assert len(bake.living("builder")) == 2
    bake.aws.unseen = set()
    bake.until("smoke")
    assert bake.living("builder") == []


def test_a_second_instance_of_the_smoke_test_goes_with_the_first() -> None:
    bake = world()
    bake.until("smoke")
    bake.aws.no_room = {"subnet-1"}
    bake.step("smoke")
    bake.aws.no_room = set()
    bake.aws.unseen = set(bake.living("smoke"))
    bake.state["smoke_instance"] = ""
    bake.step("smoke")
    assert len(bake.living("smoke")) == 2
    bake.aws.unseen = set()
    bake.goes_on()
    bake.until("version")
    assert bake.living() == []


def test_what_is_put_back_for_long_is_looked_at_less_and_less_often() -> None:
    """An execution may have 25,000 events."""
    bake = world()
    bake.until("provision")
    bake.job_ends = Outcome.FAILED
    bake.until("put_back")
    bake.goes_on = lambda: None  # type: ignore[method-assign]
    first = bake.step("put_back")
    assert (first.state.phase, first.wait) == ("putting back", 15.0)
    bake.clock.now += 2 * 86_400
    assert bake.step("put_back").wait > 600


def test_an_image_that_aws_cannot_make_ends_the_bake_with_its_reason() -> None:
    bake = world()
    bake.image_ends = "failed"
    ended = bake.until()
    assert ended.result == BakeResult.FAILED
    assert "AWS says so" in ended.reason
    assert bake.living() == []


def test_an_image_whose_instance_does_not_boot_is_rolled_out_nowhere() -> None:
    bake = world()
    bake.until("smoke")
    bake.fleet.passing = set()
    before = bake.goes_on
    bake.goes_on = lambda: (before(), bake.fleet.passing.clear())  # type: ignore[method-assign,func-returns-value,assignment]
    ended = bake.until()
    assert (ended.result, ended.version) == (BakeResult.FAILED, "")
    assert bake.aws.known[ended.image_id].tags[SMOKE] == "failed"
    assert bake.living() == []


def test_an_error_of_a_step_ends_the_bake_and_what_it_launched_goes() -> None:
    bake = world()
    bake.until("provision")
    bake.step("put_back", {"Error": "TowerDenied", "Cause": "the token"})
    bake.clock.now += 15
    bake.goes_on()
    ended = bake.until()
    assert ended.result == BakeResult.FAILED
    assert "TowerDenied: the token" in ended.reason
    assert (bake.living(), bake.hosts()) == ([], set())


def test_a_permission_that_is_missing_ends_the_bake_with_its_remedy_and_what_it_launched_goes() -> None:
    bake = world()
    bake.until("image")
    cause = json.dumps({"errorMessage": "AWS refused CreateImage of i-a", "errorType": "AwsDenied"})
    bake.step("put_back", {"Error": "AwsDenied", "Cause": cause})
    bake.clock.now += 15
    bake.goes_on()
    ended = bake.until()
    assert ended.result == BakeResult.FAILED
    assert "may not do what it has to: AWS refused CreateImage of i-a; deploy again" in ended.reason
    assert bake.living() == []


@pytest.mark.parametrize("at", ["builder", "smoke test"])
def test_a_launch_that_is_not_permitted_ends_the_bake_with_its_remedy(at: str) -> None:
    bake = world()
    bake.until("smoke" if at == "smoke test" else "launch")
    bake.aws.refusal = LaunchRefusal("UnauthorizedOperation", "no", "iam:PassRole", "arn:role/web")
    ended = bake.until()
    assert ended.result == BakeResult.FAILED
    assert ended.reason.endswith("UnauthorizedOperation: no; deploy with arn:role/web among BakeRoleArns")


def test_an_error_after_the_end_was_decided_does_not_change_it() -> None:
    bake = world()
    bake.job_ends = Outcome.FAILED
    bake.until("put_back")
    reason = bake.state["reason"]
    bake.step("put_back", {"Error": "Throttled", "Cause": "later"})
    assert bake.state["reason"] == reason


def test_while_tower_is_away_the_builder_is_terminated_all_the_same() -> None:
    bake = world()
    bake.until("provision")
    bake.tower.unavailable = True
    with pytest.raises(TowerUnavailable):
        bake.step("put_back", {"Error": "States.Timeout", "Cause": ""})
    assert bake.living() == []


def test_the_host_of_a_builder_that_ec2_has_forgotten_goes() -> None:
    """An instance is shown for an hour after it was terminated; Tower may be away for longer."""
    bake = world()
    bake.until("provision")
    bake.fleet.known_instances.clear()
    bake.step("put_back", {"Error": "TowerUnavailable", "Cause": ""})
    assert bake.hosts() == set()


def test_another_host_of_the_builders_name_is_not_taken_over() -> None:
    bake = world()
    bake.until("register")
    builders = bake.tower.by_reference["builders"]
    bake.tower.add_host(builders, bake.state["builder"], variables={"ansible_host": "10.9.9.9"})
    ended = bake.until()
    assert ended.result == BakeResult.FAILED
    assert "has a host i-00000000000000001 that is not of this bake" in ended.reason
    assert len(bake.tower.runs) == 0


def test_a_stale_host_at_the_builders_address_is_removed_before_its_job() -> None:
    bake = world()
    bake.until("register")
    [builder] = bake.fleet.known_instances.values()
    marker = {"group": "web", "instance_id": "i-old", "account": ACCOUNT, "region": REGION, "vpc": builder.facts["vpc"]}
    address = builder.addresses[AddressKind.PRIVATE]
    stale = {"ansible_host": address, MARKER: marker}
    bake.tower.add_host(bake.tower.by_reference["builders"], "i-old", variables=stale, created_at=0.0)
    bake.until("image")
    assert bake.hosts() == {builder.instance_id}


def test_a_token_that_may_not_remove_the_host_is_said_and_the_builder_goes() -> None:
    bake = world()
    bake.until("provision")
    bake.tower.failing["delete_hosts"] = TowerDenied("the token may not")
    bake.job_ends = Outcome.FAILED
    ended = bake.until()
    assert ended.put_back == "hosts could not be removed: the token may not"
    assert bake.living() == []


def test_what_cannot_be_removed_of_old_images_is_a_warning() -> None:
    bake = world()
    bake.until("retain")
    bake.aws.images_made_for = lambda group: (_ for _ in ()).throw(TowerDenied("no"))  # type: ignore[method-assign]
    ended = bake.until()
    assert ended.result == BakeResult.SUCCEEDED
    assert ended.warnings[-1] == "old images were not removed: no"


def test_an_unknown_step_is_named() -> None:
    bake = world()
    bake.until("launch")
    with pytest.raises(BadEvent, match="a bake has no step 'stop'; it has preflight, launch"):
        bake.step("stop")


# Death


def changing_calls(smoke: str) -> int:
    bake = world(smoke=smoke)
    bake.until()
    return len(bake.deaths.made)


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("smoke", ["boot", "provision", "off"])
def test_a_function_that_dies_at_any_call_makes_nothing_twice_and_leaves_no_builder(smoke: str, after: bool) -> None:
    calls = changing_calls(smoke)
    assert calls > 8
    for at in range(1, calls + 1):
        bake = world(smoke=smoke)
        bake.deaths.at, bake.deaths.after = at, after
        ended = bake.until(dies=True)
        where = (at, bake.deaths.made)
        assert ended.result == BakeResult.SUCCEEDED, where
        assert len(bake.aws.by_token) == (1 if smoke == "off" else 2), where
        assert len(bake.aws.known) == 2, where
        assert set(bake.aws.made_versions) == {"1", "2"}, where
        assert len(bake.tower.runs) == (2 if smoke == "provision" else 1), where
        assert (bake.living(), bake.hosts()) == ([], set()), where


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
def test_a_function_that_dies_for_good_at_any_call_leaves_no_builder(after: bool) -> None:
    for at in range(1, changing_calls("boot") + 1):
        bake = world()
        bake.deaths.at, bake.deaths.after = at, after
        with pytest.raises(Exception):  # noqa: B017, PT011 - FunctionDiedError
            bake.until()
        bake.step("put_back", {"Error": "Lambda.Unknown", "Cause": "it died"})
        for _ in range(5):
            bake.clock.now += 15
            bake.goes_on()
            if bake.answers[-1].next == "put_back":
                bake.step("put_back")
        assert (bake.living(), bake.hosts()) == ([], set()), (at, bake.deaths.made)


# Executions that ended some other way


@pytest.mark.parametrize("at", ["", *ORDER[1:8], "roll_out"])
def test_an_execution_that_is_stopped_before_any_step_leaves_nothing(at: str) -> None:
    bake = world()
    if at:
        bake.until(at)
        bake.history.known[EXECUTION] = {"bake": bake.state}
    answer = bake.run().settle(ABORTED)
    assert (answer.next, answer.state.result) == ("failed", BakeResult.CANCELLED)
    assert (bake.living(), bake.hosts()) == ([], set())
    assert [each.kind for each in answer.news] == [BakeEvent.FAILED]


@pytest.mark.parametrize(("status", "result"), [("ABORTED", BakeResult.CANCELLED), ("TIMED_OUT", BakeResult.FAILED)])
def test_an_operator_cancels_one_and_one_that_runs_out_of_time_has_failed(status: str, result: BakeResult) -> None:
    """Of what was cancelled no alert comes."""
    bake = world()
    bake.until("provision")
    bake.history.known[EXECUTION] = {"bake": bake.state}
    [news] = bake.run().settle({**ABORTED, "status": status}).news
    assert news.state.result == result


def test_one_that_is_stopped_while_it_launches_is_found_by_its_tags() -> None:
    bake = world()
    bake.until("launch")
    bake.history.known[EXECUTION] = {"bake": bake.state}
    bake.step("launch")  # which the execution never heard of
    assert bake.living() == ["i-00000000000000001"]
    bake.run().settle(ABORTED)
    assert bake.living() == []


def test_one_that_is_stopped_while_it_rolls_out_has_its_image_tagged_as_not_rolled_out() -> None:
    bake = world()
    bake.until("roll_out")
    bake.history.known[EXECUTION] = {"bake": bake.state}
    answer = bake.run().settle(ABORTED)
    assert answer.state.result == BakeResult.CANCELLED
    assert bake.aws.known[answer.state.image_id].tags[ROLL_OUT] == "cancelled"


def test_one_that_is_stopped_while_its_cycle_has_ended_well_has_succeeded() -> None:
    """It was stopped in Record: the group runs the image."""
    bake = world()
    bake.until("roll_out")
    bake.history.known[EXECUTION] = {"bake": bake.state}
    cycle = f"{CYCLES.replace(':stateMachine:', ':execution:')}:{bake.state['cycle']}"
    bake.history.known[cycle] = {"cycle": {"result": "succeeded", "phase": "ended"}}
    answer = bake.run().settle(ABORTED)
    assert (answer.state.result, answer.news) == (BakeResult.SUCCEEDED, ())


@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "failed for good"])
def test_a_default_version_that_no_step_could_report_to_have_moved_moves_back(stopped: bool) -> None:
    bake = world(pin=True)
    on_default(bake)
    bake.until("version")
    before = bake.state
    bake.step("version")  # which the execution never heard of
    assert bake.aws.made_versions["2"].is_default
    bake.state = before
    bake.history.known[EXECUTION] = {"bake": before}
    error = {"Error": "Lambda.Unknown", "Cause": "it died"}
    answer = bake.run().settle(ABORTED) if stopped else bake.step("put_back", error)
    assert bake.aws.made_versions["1"].is_default
    assert [each for each in answer.state.warnings if "is 1 again" in each]


def test_one_that_is_stopped_is_published_though_tower_is_away_and_its_hosts_are_left_to_reconcile() -> None:
    """No later try would know that it was not published yet: its instances are on their way."""
    bake = world()
    bake.until("provision")
    bake.history.known[EXECUTION] = {"bake": bake.state}
    bake.tower.unavailable = True
    answer = bake.run().settle(ABORTED)
    assert (bake.living(), [each.kind for each in answer.news]) == ([], [BakeEvent.FAILED])
    assert answer.state.put_back.startswith("its hosts are left to reconcile: ")


def test_one_whose_instance_aws_does_not_terminate_now_is_published_by_the_try_that_succeeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bake = world()
    bake.until("provision")
    bake.history.known[EXECUTION] = {"bake": bake.state}

    def throttled(_: object) -> None:
        raise Throttled("slow down")

    with monkeypatch.context() as patch:
        patch.setattr(bake.aws, "terminate", throttled)
        with pytest.raises(Throttled):
            bake.run().settle(ABORTED)
    assert [each.kind for each in bake.run().settle(ABORTED).news] == [BakeEvent.FAILED]


def stopped_amid_its_roll_out(bake: BakeWorld) -> dict[str, Any]:
    """What reconcile sends of a bake that was stopped during its roll-out with a default version that it has moved."""
    on_default(bake)
    bake.until("roll_out")
    bake.history.known[EXECUTION] = {"bake": bake.state}
    return {**ABORTED, BY_RECONCILE: True}


def on_default(bake: BakeWorld) -> None:
    template = {"LaunchTemplateId": "lt-1", "Version": "$Default"}
    bake.aws.groups["web"] = bake.aws.groups["web"]._replace(configuration={"LaunchTemplate": template})
    bake.aws.set_default_version("lt-1", "1")


@pytest.mark.parametrize("pin", [True, False])
def test_one_whose_event_was_lost_is_settled_by_reconcile_once_though_none_of_its_instances_lives(pin: bool) -> None:
    bake = world(pin=pin)
    lost = stopped_amid_its_roll_out(bake)
    bake.goes_on()
    assert bake.living() == []
    assert [each.kind for each in bake.run().settle(lost).news] == [BakeEvent.FAILED]
    assert bake.aws.made_versions["1"].is_default
    made = list(bake.deaths.made)
    again = bake.run().settle(lost)
    assert (again.next, again.news, bake.deaths.made) == ("succeeded", (), made)
    assert again.state.reason == "its execution was stopped by hand, and nothing is left"


def test_one_whose_default_version_was_not_moved_back_is_settled_by_reconcile() -> None:
    bake = world(pin=True)
    lost = stopped_amid_its_roll_out(bake)
    bake.goes_on()
    bake.aws.tag_resources([bake.state["image_id"]], {ROLL_OUT: "cancelled"})
    bake.run().settle(lost)
    assert bake.aws.made_versions["1"].is_default


def test_one_whose_roll_out_went_well_is_left_alone_by_reconcile() -> None:
    bake = world(pin=True)
    lost = stopped_amid_its_roll_out(bake)
    bake.goes_on()
    bake.aws.tag_resources([bake.state["image_id"]], {ROLL_OUT: "succeeded"})
    assert bake.run().settle(lost).news == ()
    assert bake.aws.made_versions["2"].is_default


@pytest.mark.parametrize("at", ["launch", "provision"])
def test_one_with_an_instance_that_lives_is_settled_by_reconcile_and_one_without_is_left_alone(at: str) -> None:
    bake = world()
    bake.until(at)
    bake.history.known[EXECUTION] = {"bake": bake.state}
    lost = {**ABORTED, BY_RECONCILE: True}
    assert bool(bake.run().settle(lost).news) is (at == "provision")
    assert bake.living() == []
    assert bake.run().settle(lost).news == ()


@pytest.mark.parametrize("late", [True, False])
def test_one_that_reconcile_had_settled_is_not_published_again_by_an_event_that_comes_late(late: bool) -> None:
    """Lambda may keep the rule's event for hours: reconcile has sent its own by then."""
    bake = world()
    bake.until("provision")
    bake.history.known[EXECUTION] = {"bake": bake.state}
    stopped = {**ABORTED, "stopDate": 1000 * bake.clock.now}
    bake.clock.now += SETTLE_AFTER if late else SETTLE_AFTER - 1
    if late:
        assert len(bake.run().settle({**ABORTED, BY_RECONCILE: True}).news) == 1
    assert len(bake.run().settle(stopped).news) == (0 if late else 1)


def amid_its_roll_out() -> tuple[BakeWorld, str]:
    """A bake whose cycle goes on, with a default version that it has moved. Beside it the ARN of the cycle."""
    bake = world(pin=True)
    stopped_amid_its_roll_out(bake)
    cycle = f"{CYCLES.replace(':stateMachine:', ':execution:')}:{bake.state['cycle']}"
    bake.history.going_on = {cycle}
    bake.goes_on()
    return bake, cycle


def is_untouched(bake: BakeWorld) -> bool:
    """Whether nothing says yet that the roll-out failed."""
    image = bake.aws.known[bake.state["image_id"]]
    return bake.aws.made_versions["2"].is_default and ROLL_OUT not in image.tags


def test_one_whose_step_failed_while_its_cycle_goes_on_ends_when_that_does_and_as_that_did() -> None:
    bake, cycle = amid_its_roll_out()
    for error in ({"Error": "Lambda.Unknown", "Cause": "it died"}, {}):
        waits = bake.step("put_back", error)
        assert (waits.next, waits.wait, waits.state.result, is_untouched(bake)) == ("put_back", 300.0, None, True)
    bake.history.going_on = set()
    bake.history.known[cycle] = {"cycle": {"result": "rolled back", "phase": "ended"}}
    ended = bake.step("put_back", {})
    assert (ended.next, ended.state.result) == ("failed", BakeResult.ROLLED_BACK)
    assert "it died" in ended.state.warnings[0]
    assert bake.aws.made_versions["1"].is_default


@pytest.mark.parametrize("denied", [True, False])
def test_one_that_has_failed_while_its_cycle_goes_on_or_may_is_published_and_recorded_when_that_is_over(
    denied: bool,
) -> None:
    bake, _ = amid_its_roll_out()
    if denied:
        bake.history.denied = AwsDenied("no GetExecutionHistory of it")
    answer = bake.run().settle({**ABORTED, "status": "FAILED"})
    words = "could not be read: no GetExecutionHistory" if denied else f"goes on as cycle {bake.state['cycle']}"
    assert [words in each.state.reason for each in answer.news] == [True]
    assert (answer.state.result, is_untouched(bake)) == (BakeResult.FAILED, True)
    lost = {**ABORTED, "status": "FAILED", BY_RECONCILE: True}
    bake.history.denied = None
    assert (bake.run().settle(lost).news, is_untouched(bake)) == ((), True)
    bake.history.going_on = set()
    assert len(bake.run().settle(lost).news) == 1
    assert bake.aws.made_versions["1"].is_default


def test_one_that_is_stopped_is_put_back_once_its_cycle_is_stopped_too() -> None:
    bake, _ = amid_its_roll_out()
    with pytest.raises(CycleGoesOn):
        bake.run().settle(ABORTED)
    assert is_untouched(bake)
    bake.history.going_on = set()
    assert bake.run().settle(ABORTED).state.result == BakeResult.CANCELLED
    assert bake.aws.made_versions["1"].is_default


def test_one_whose_time_runs_out_while_it_rolls_out_has_failed() -> None:
    bake = world()
    bake.until("roll_out")
    bake.history.known[EXECUTION] = {"bake": bake.state}
    answer = bake.run().settle({**ABORTED, "status": "TIMED_OUT"})
    assert (answer.state.result, answer.state.cycle_result) == (BakeResult.FAILED, "cancelled")
    assert answer.state.reason == "its execution ran out of time"


# What is put back whatever fails


def test_the_default_version_moves_back_though_tower_is_away() -> None:
    bake = world(pin=True)
    on_default(bake)
    bake.until("version")
    before = bake.state
    bake.step("version")  # which the execution never heard of
    bake.state, bake.tower.unavailable = before, True
    with pytest.raises(TowerUnavailable):
        bake.step("put_back", {"Error": "Lambda.Unknown", "Cause": ""})
    assert bake.aws.made_versions["1"].is_default


@pytest.mark.parametrize("refuses", [(), ("tag",)], ids=["tagged now", "not tagged"])
def test_a_good_roll_out_that_could_not_be_recorded_is_none_that_failed(refuses: tuple[str, ...]) -> None:
    """The group runs the image: its default version stays."""
    bake = world(pin=True)
    on_default(bake)
    bake.until("roll_out")
    bake._rolled_out()
    bake.aws.refuses = refuses
    answer = bake.step("put_back", {"Error": "AwsDenied", "Cause": "CreateTags"})
    assert (answer.next, answer.state.result, answer.news) == ("succeeded", BakeResult.SUCCEEDED, ())
    assert bake.aws.made_versions["2"].is_default
    assert "could not be recorded: the bake function may not do what it has to: CreateTags" in answer.state.warnings[-1]
    assert bake.aws.known[answer.state.image_id].tags.get(ROLL_OUT) == (None if refuses else "succeeded")


@pytest.mark.parametrize("ended", ["rolled back", "failed", "cancelled"])
def test_a_bad_one_that_could_not_be_recorded_ends_as_its_cycle_did(ended: str) -> None:
    bake = world(pin=True)
    on_default(bake)
    bake.until("roll_out")
    bake.rolls_out = ended
    bake._rolled_out()
    answer = bake.step("put_back", {"Error": "Throttled", "Cause": "later"})
    assert (answer.next, answer.state.result) == ("failed", ended)
    assert bake.aws.made_versions["1"].is_default


def refusing(bake: BakeWorld, monkeypatch: pytest.MonkeyPatch, instance: str) -> None:
    """EC2 refuses to terminate this instance."""
    terminate = bake.aws.terminate

    def refuse(instance_ids: Any) -> None:
        if instance in instance_ids:
            raise AwsDenied(f"you may not terminate {instance}")
        terminate(instance_ids)

    monkeypatch.setattr(bake.aws, "terminate", refuse)


@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "failed"])
def test_an_instance_that_ec2_does_not_terminate_keeps_no_other_alive_and_no_other_host(
    monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    bake = world()
    bake.until("provision")
    builder = bake.fleet.known_instances[bake.state["builder"]]
    other = replace(builder, instance_id="i-00000000000000009")
    bake.fleet.known_instances[other.instance_id] = other
    inventory = bake.tower.inventory("builders")
    bake.tower.add_host(inventory, other.instance_id, variables={"ansible_host": "10.9.9.9"})
    bake.history.known[EXECUTION] = {"bake": bake.state}
    refusing(bake, monkeypatch, builder.instance_id)
    for _ in range(3):
        with pytest.raises(AwsDenied) if stopped else suppress(AwsDenied):
            answer = bake.run().settle(ABORTED) if stopped else bake.step("put_back", {"Error": "x", "Cause": ""})
            assert answer.next == "put_back"
        bake.goes_on()
    assert (bake.living(), bake.hosts()) == ([builder.instance_id], {builder.instance_id})


def test_an_instance_that_ec2_does_not_show_by_its_tags_is_terminated_too() -> None:
    """The state has its id; a tag may be seen later than that."""
    bake = world()
    bake.until("provision")
    bake.aws.unseen = {bake.state["builder"]}
    bake.job_ends = Outcome.FAILED
    bake.until()
    assert (bake.living(), bake.hosts()) == ([], set())


def test_the_job_of_a_smoke_test_is_cancelled_where_the_bake_is_stopped() -> None:
    bake = world(smoke="provision")
    bake.job_ends = Outcome.OK
    bake.until("smoke")
    while bake.state["smoke_job"] is None:
        bake.clock.now += bake.step("smoke").wait
        if bake.state["smoke_job"] is None:
            bake.goes_on()
    bake.history.known[EXECUTION] = {"bake": bake.state}
    answer = bake.run().settle(ABORTED)
    assert f"job {bake.state['smoke_job']} was cancelled" in answer.state.put_back
    assert bake.tower.runs[bake.state["smoke_job"]].job.status == JobStatus.CANCELED


def test_a_job_that_does_not_end_ends_the_bake_as_its_time_is_over() -> None:
    bake = world()
    bake.until("provision")
    bake.step("provision")
    bake.clock.now = bake.state["until"] - 1
    assert bake.step("provision").next == "provision"
    bake.clock.now = bake.state["until"]
    answer = bake.step("provision")
    assert answer.next == "put_back"
    assert answer.state.reason.startswith(
        f"job {answer.state.job} has not ended, and the bake's time is over: https://"
    )


def test_a_builder_that_ec2_does_not_show_ends_the_bake_after_ten_minutes() -> None:
    bake = world()
    bake.until("launch")
    bake.step("launch")
    launched = bake.clock.now
    bake.fleet.known_instances.clear()
    bake.clock.now = launched + INSTANCE_VISIBLE_AFTER
    assert bake.step("launch").next == "launch"
    bake.clock.now = launched + INSTANCE_VISIBLE_AFTER + 1
    answer = bake.step("launch")
    assert answer.next == "put_back"
    assert answer.state.reason == f"EC2 launched builder {answer.state.builder} and does not show it"


def test_one_that_is_stopped_while_it_removes_old_images_has_succeeded() -> None:
    bake = world()
    bake.until("retain")
    bake.history.known[EXECUTION] = {"bake": bake.state}
    answer = bake.run().settle(ABORTED)
    assert (answer.next, answer.state.result, answer.news) == ("succeeded", BakeResult.SUCCEEDED, ())


def test_one_that_has_ended_is_left_alone() -> None:
    bake = world()
    bake.until()
    bake.history.known[EXECUTION] = {"bake": bake.state}
    before = list(bake.deaths.made)
    assert bake.run().settle({**ABORTED, "status": "FAILED"}).next == "succeeded"
    assert bake.deaths.made == before


def test_one_whose_roll_out_an_operator_rolled_back_is_published_once_and_says_so() -> None:
    bake = world()
    bake.rolls_out = "rolled back by hand"
    ended = bake.until()
    assert (ended.result, ended.cycle_result) == (BakeResult.ROLLED_BACK_BY_HAND, "rolled back")
    assert bake.aws.known[ended.image_id].tags[ROLL_OUT] == "rolled back by hand"
    assert published(bake) == [BakeEvent.BAKED, BakeEvent.FAILED]


def test_one_that_has_failed_by_itself_is_published_once() -> None:
    """Its execution's status is an event, too."""
    bake = world()
    bake.job_ends = Outcome.FAILED
    bake.until()
    assert published(bake) == [BakeEvent.FAILED]
    bake.history.known[EXECUTION] = {"bake": bake.state}
    assert bake.run().settle({**ABORTED, "status": "FAILED"}).news == ()


def test_one_that_a_tag_started_and_that_is_refused_is_published_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No one reads its answer."""
    scheduled = f"{EXECUTION.rpartition(':')[0]}:{execution_name('web', 'sched-2026-12-06')}"
    monkeypatch.setattr("unit.bake.bake_world.EXECUTION", scheduled)
    bake = world()
    bake.group(bake_inventory="")
    assert bake.until().result == BakeResult.REFUSED
    assert published(bake) == [BakeEvent.FAILED]
    bake.history.known[scheduled] = {"bake": bake.state}
    assert bake.run().settle({**ABORTED, "executionArn": scheduled, "status": "FAILED"}).news == ()


@pytest.mark.parametrize("failed", [True, False], ids=["after it had failed", "after a step that failed"])
def test_one_that_could_not_put_back_is_published_once_with_what_is_known(failed: bool) -> None:
    """The state machine gave it up: its execution has failed before the step that publishes it came to its end."""
    bake = world()
    bake.until("provision")
    if failed:
        bake.job_ends = Outcome.FAILED
        bake.until("put_back")
    bake.history.known[EXECUTION] = {"bake": bake.state}
    answer = bake.run().settle({**ABORTED, "status": "FAILED"})
    [news] = answer.news
    assert (bake.living(), bake.hosts(), news.state.result) == ([], set(), BakeResult.FAILED)
    known = "job 7 failed: " if failed else "its last step failed at every try"
    assert news.state.reason.startswith(known)


def test_one_whose_input_names_no_group_left_nothing() -> None:
    answer = world().run().settle({**ABORTED, "input": json.dumps({"grp": "web"})})
    assert (answer.next, answer.news) == ("succeeded", ())


# Upkeep


def test_an_instance_whose_time_is_over_is_removed_with_its_host_and_reported() -> None:
    bake = world()
    bake.until("provision")
    bake.clock.now = bake.state["until"] + LATE_AFTER - 1
    assert bake.run().sweep() == Swept()
    bake.clock.now = bake.state["until"] + LATE_AFTER
    swept = bake.run().sweep()
    assert [each.state.builder for each in swept.news] == ["i-00000000000000001"]
    assert swept.news[0].state.execution == EXECUTION
    assert (bake.living(), bake.hosts()) == ([], set())


@pytest.mark.parametrize("at_work", ["running", "cycles"])
def test_no_image_goes_while_a_cycle_or_a_bake_of_the_group_runs(at_work: str) -> None:
    """A roll-back that has just begun uses nothing yet that AWS would show."""
    bake = world()
    bake.group(keep="2")
    bake.aws.known |= {each.id: each for each in images(4)}
    setattr(bake, at_work, ["web-1"])
    done = bake.run().retire("web", dry_run=False, force=True)
    assert bake.deaths.made == []
    assert done.state.retained == ("all of it stays for now: web-1 is at work on group web",)
    assert len(bake.run().retire("web", dry_run=True, force=False).state.removed) == 2


def test_what_is_at_work_on_a_group_is_read_of_both_state_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    bake = world()
    running = {MACHINE: ["web-bake"], CYCLES: ["web-cycle"]}
    monkeypatch.setattr("rollcall.bake.run.running_of_group", lambda machine, _: running[machine])
    assert BakeRun._at_work(bake.run(), "web") == ["web-bake", "web-cycle"]


def test_pre_flight_asks_what_runs_and_what_the_roll_out_objects_to(monkeypatch: pytest.MonkeyPatch) -> None:
    bake = world()
    given: dict[str, Any] = {}
    running = {MACHINE: ["web-bake"], CYCLES: ["web-cycle"]}
    monkeypatch.setattr("rollcall.bake.run.running_of_group", lambda machine, _: running[machine])
    monkeypatch.setattr("rollcall.bake.run.Functions", lambda: None)
    monkeypatch.setattr("rollcall.bake.roll_out_preflight.roll_out_preflight", lambda *args: args)
    monkeypatch.setattr("rollcall.bake.observer.PreflightObserver", lambda *_, **named: given.update(named))
    state = BakeState("web")
    BakeRun._observer(bake.run(), state)
    assert (given["running"]("web"), given["cycles"]("web")) == (["web-bake"], ["web-cycle"])
    request = object()
    assert given["roll_out"](request)[-2:] == (state, request)


def test_images_of_a_group_are_retired_by_its_tags() -> None:
    bake = world()
    bake.group(keep="2")
    bake.aws.known |= {each.id: each for each in images(4)}
    planned = bake.run().retire("web", dry_run=True, force=False)
    assert [line.partition(":")[0] for line in planned.state.removed] == ["would disable ami-2", "would disable ami-1"]
    assert bake.deaths.made == []
    done = bake.run().retire("web", dry_run=False, force=False)
    assert [each.kind for each in done.news] == [BakeEvent.RETIRED] * 2
    assert {bake.aws.known[each].state for each in ("ami-1", "ami-2")} == {"disabled"}


def test_what_a_bake_was_asked_to_keep_holds_between_bakes_where_no_tag_says_else() -> None:
    bake = world(keep=20)
    bake.aws.known |= {each.id: each for each in images(7)}
    bake.until()
    assert bake.aws.known[bake.state["image_id"]].tags[KEEP_TAG] == "20"
    assert bake.run().retire("web", dry_run=False, force=True).state.removed == ()
    bake.group(keep="2")
    assert len(bake.run().retire("web", dry_run=False, force=True).state.removed) > 0


def test_images_of_a_group_without_tags_go_too_and_those_of_a_group_that_is_gone_are_named() -> None:
    """It was baked by input alone. Those of a group that reconcile sends by itself are left to that."""
    bake = world()
    tagged, bare = bake.aws.groups["web"], Group("bare", {}, {})
    bake.aws.groups["bare"] = tagged._replace(group=bare)
    for number, group in enumerate(["bare"] * 6 + ["web"] * 6 + ["gone"] * 2):
        bake.aws.known |= {f"ami-{number}": image(number, tags={BAKE_GROUP: group})}
    of_bare, of_gone = sorted(bake.run().retire_others(None), key=lambda each: each.state.group)
    assert [(each.kind, each.image) for each in of_bare.news] == [(BakeEvent.RETIRED, "ami-0")]
    assert of_gone.state.warnings == (
        "group gone is gone, and 2 images of it stay: ami-12, ami-13. To remove one that nothing uses: "
        "aws ec2 deregister-image --delete-associated-snapshots --image-id ID",
    )
    assert [each.id for each in bake.aws.known.values() if each.state == "disabled"] == ["ami-0"]


def test_instances_with_a_builders_tags_that_no_bake_launched_are_named_and_left_alone() -> None:
    bake = world()
    bake.aws.copies = [bake.world.instance(each, tags={BAKE_GROUP: "web"}) for each in ("i-b", "i-a")]
    [of_web] = bake.run().retire_others(None)
    assert of_web.state.warnings == (
        "instances with the tags of a bake's that are no bake's: i-a, i-b. Rollcall leaves them alone; take the tags "
        "from whatever launches them",
    )
    assert bake.deaths.made == []


def test_groups_for_which_there_is_no_time_are_named_and_another_is_first_six_hours_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bake = world()
    names = ("a", "b", "c")
    bake.aws.known |= {f"ami-{number}": image(number, tags={BAKE_GROUP: name}) for number, name in enumerate(names)}

    def details(_: str) -> None:
        bake.seconds_left = 79.0

    monkeypatch.setattr(bake.aws, "details", details)
    firsts = []
    for run in range(3):
        bake.seconds_left = 80.0
        bake.clock.now = (300 + run) * RETIRE_EVERY
        first, left = bake.run().retire_others(None)
        firsts.append(first.state.group)
        assert left.state.warnings == (
            f"old images of 2 of 3 groups, from {left.state.group} on, are left for a later run: there was no time",
        )
    assert firsts == ["a", "b", "c"]


def test_a_dry_run_without_time_for_old_images_says_so_and_comes_to_its_end() -> None:
    bake = world(dry_run=True)
    bake.seconds_left = 79.0
    bake.until()
    assert bake.state["result"] == BakeResult.DRY_RUN
    [words] = bake.state["plan"]["removals"]
    assert words.startswith("which old images would go was not read")


def test_what_fails_for_one_group_keeps_no_other_from_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    bake = world()
    bake.aws.known |= {f"ami-{each}": image(each, tags={BAKE_GROUP: ("bare", "gone")[each]}) for each in (0, 1)}

    def details(name: str) -> None:
        if name == "bare":
            raise Throttled("later")

    monkeypatch.setattr(bake.aws, "details", details)
    first, second = sorted(bake.run().retire_others(None), key=lambda each: each.state.group)
    assert first.state.warnings == ("old images of group bare were not removed: later",)
    assert second.state.warnings[0].startswith("group gone is gone, and 1 image that a bake made of it stays: ami-1.")


def test_a_group_that_is_not_there_is_named() -> None:
    with pytest.raises(BadSettings, match="there is no Auto Scaling group 'db'"):
        world().run().retire("db", dry_run=False, force=False)
