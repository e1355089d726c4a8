"""Roll-outs whose end no bake saw: what upkeep records of them, once, and when it leaves them alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rollcall.aws.execution_history import ExecutionStatus
from rollcall.aws.group_details import MemberDetails
from rollcall.aws.images import Image
from rollcall.aws.instance_refreshes import Refresh
from rollcall.bake.invocation import retire_event, retire_others_event
from rollcall.bake.kept import default_target, kept_versions
from rollcall.bake.late_recording import REMEMBERED
from rollcall.bake.news import BakeEvent
from rollcall.bake.retention import is_good
from rollcall.bake.state import BakeResult, Phase
from rollcall.domain.bake_tags import BAKE_EXECUTION, BAKE_GROUP, BAKE_ID, ROLL_OUT, VERSION
from rollcall.domain.errors import AwsDenied
from rollcall.workflow.settling import SETTLE_WITHIN

from .bake_world import BASE, CYCLES, EXECUTION, BakeWorld

if TYPE_CHECKING:
    from rollcall.bake.news import BakeAnswer

VOLUME = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "SnapshotId": "snap-base"}}


def stopped(**request: Any) -> BakeWorld:
    """A bake of which the execution ended more than an hour ago, while it rolled its image out, and nothing settled."""
    base = Image(BASE, "al2023", architecture="x86_64", root_device="/dev/xvda", mappings=(VOLUME,))
    bake = BakeWorld(base._replace(owner="137112412989", owner_alias="amazon"), **request)
    if request.get("pin"):
        template = {"LaunchTemplateId": "lt-1", "Version": "$Default"}
        bake.aws.groups["web"] = bake.aws.groups["web"]._replace(configuration={"LaunchTemplate": template})
        bake.aws.set_default_version("lt-1", "1")
    bake.until("roll_out")
    bake.history.known[EXECUTION] = {"bake": bake.state}
    bake.history.ended[EXECUTION] = ExecutionStatus("FAILED", bake.clock.now)
    bake.clock.now += SETTLE_WITHIN + 1
    return bake


def cycle_of(bake: BakeWorld) -> str:
    return f"{CYCLES.replace(':stateMachine:', ':execution:')}:{bake.state['cycle']}"


def ended_as(bake: BakeWorld, result: str, status: str = "FAILED", **more: Any) -> None:
    """The bake's cycle ended so, just now."""
    bake.history.ended[cycle_of(bake)] = ExecutionStatus(status, bake.clock.now)
    cycle = {"phase": "ended", "result": result, "reason": "it went so"} if result else {"phase": "replacing"}
    bake.history.known[cycle_of(bake)] = {"cycle": {**cycle, **more}}


def recorded(bake: BakeWorld) -> list[BakeAnswer]:
    """What is recorded by a run of reconcile at this moment."""
    return bake.run().record_late("web", bake.clock.now - SETTLE_WITHIN)


def roll_out(bake: BakeWorld) -> str | None:
    """What the image's tag says."""
    return bake.aws.known[bake.state["image_id"]].tags.get(ROLL_OUT)


@pytest.mark.parametrize(
    ("result", "status", "more", "tag", "ends"),
    [
        ("failed", "FAILED", {}, "failed", BakeResult.FAILED),
        ("rolled back", "FAILED", {}, "rolled back", BakeResult.ROLLED_BACK),
        ("rolled back", "FAILED", {"ended_by": "operator"}, "rolled back by hand", BakeResult.ROLLED_BACK_BY_HAND),
        ("cancelled", "FAILED", {}, "cancelled", BakeResult.CANCELLED),
        ("", "ABORTED", {}, "cancelled", BakeResult.CANCELLED),
        ("", "FAILED", {}, "failed", BakeResult.FAILED),
    ],
)
def test_what_a_cycle_came_to_after_its_bake_was_over_is_tagged_and_published_once(
    result: str, status: str, more: dict[str, Any], tag: str, ends: BakeResult
) -> None:
    bake = stopped()
    ended_as(bake, result, status, **more)
    [answer] = recorded(bake)
    assert roll_out(bake) == tag
    [news] = answer.news
    assert (news.kind, news.state.result, news.state.cycle_result) == (
        BakeEvent.FAILED,
        ends,
        tag.removesuffix(" by hand"),
    )
    assert (news.state.phase, news.state.ended) == (Phase.ENDED, bake.clock.now)
    assert news.image == bake.state["image_id"]
    assert news.state.reason.startswith(f"the roll-out of image {bake.state['image_id']} as version 2 ended as ")
    assert news.state.phase_since == bake.clock.now
    image, snapshots = news.image, " ".join(bake.state["snapshots"])
    assert bake.aws.changes[-1] == f"tag {image} {snapshots} {{'rollcall:roll-out': '{tag}'}}"
    assert answer.state.retained[0].endswith(f"is tagged late with how its roll-out went: {tag}")
    assert recorded(bake) == []


def test_of_a_cycle_that_was_stopped_it_is_published_which_it_was() -> None:
    bake = stopped()
    ended_as(bake, "", "TIMED_OUT")
    [answer] = recorded(bake)
    assert answer.news[0].state.reason.endswith(f"cancelled ({cycle_of(bake)}): its execution ran out of time")


def test_a_roll_out_that_went_well_is_tagged_and_as_of_any_such_nothing_is_published() -> None:
    bake = stopped(pin=True)
    ended_as(bake, "succeeded", "SUCCEEDED")
    runs_of(bake, "2", "2")
    [answer] = recorded(bake)
    assert (roll_out(bake), answer.news, answer.state.warnings) == ("succeeded", (), ())
    assert bake.aws.made_versions["2"].is_default


def runs_of(bake: BakeWorld, *versions: str, others: int = 0) -> None:
    """The group's instances run these versions. others: instances of another template beside them."""
    members = [MemberDetails(f"i-{place}", "InService", "lt-1", each) for place, each in enumerate(versions)]
    members += [MemberDetails(f"i-other-{place}", "InService", "lt-2", "7") for place in range(others)]
    bake.aws.groups["web"] = bake.aws.groups["web"]._replace(members=tuple(members))


def test_after_one_that_failed_the_default_version_that_the_bake_moved_moves_back() -> None:
    bake = stopped(pin=True)
    ended_as(bake, "failed")
    [answer] = recorded(bake)
    assert bake.aws.made_versions["1"].is_default
    assert answer.state.warnings == ()


@pytest.mark.parametrize(
    ("versions", "others", "stays"), [(("2", "2"), 0, True), (("2", "2"), 1, True), (("2", "1"), 0, False)]
)
def test_the_default_version_stays_where_all_of_the_group_runs_it_for_an_operator_may_have_rolled_it_out_since(
    versions: tuple[str, ...], others: int, stays: bool
) -> None:
    bake = stopped(pin=True)
    ended_as(bake, "failed")
    runs_of(bake, *versions, others=others)
    [answer] = recorded(bake)
    assert bake.aws.made_versions["2"].is_default is stays
    assert [each.startswith("the default version of lt-1 stays 2") for each in answer.state.warnings] == [True] * stays
    assert len(answer.news) == 1


@pytest.mark.parametrize("runs", ["1", "2"])
def test_a_default_version_that_the_bake_did_not_move_stays_and_nothing_is_said_of_it(runs: str) -> None:
    bake = stopped(pin=True)
    bake.history.known[EXECUTION] = {"bake": {**bake.state, "default_before": ""}}
    ended_as(bake, "failed")
    runs_of(bake, runs)
    [answer] = recorded(bake)
    assert bake.aws.made_versions["2"].is_default
    assert (answer.state.warnings, answer.news[0].state.warnings) == ((), tuple(bake.state["warnings"]))


def _cycle_goes_on(bake: BakeWorld) -> None:
    bake.history.going_on = {cycle_of(bake)}


def _bake_goes_on(bake: BakeWorld) -> None:
    bake.history.going_on = {EXECUTION}


def _may_be_settled(bake: BakeWorld) -> None:
    bake.history.ended[EXECUTION] = ExecutionStatus("FAILED", bake.clock.now - SETTLE_WITHIN)


def _another_bake_runs(bake: BakeWorld) -> None:
    bake.running = ["web-bake-2"]


def _a_cycle_runs(bake: BakeWorld) -> None:
    bake.cycles = ["web-1234abcd-v7"]


def _operator_refreshes(bake: BakeWorld) -> None:
    bake.aws.refreshing["web"] = Refresh("r-1", "InProgress")


def _has_no_version_yet(bake: BakeWorld) -> None:
    _tags_of(bake).pop(VERSION)


def _names_no_execution(bake: BakeWorld) -> None:
    _tags_of(bake).pop(BAKE_EXECUTION)


def _stack_cycles_no_more(bake: BakeWorld) -> None:
    bake.bake = bake.bake._replace(cycle_machine="", cycles=False)


def _is_of_another_machine(bake: BakeWorld) -> None:
    bake.history.ended.clear()
    own = bake.aws.known[bake.state["image_id"]]
    bake.aws.known[own.id] = own._replace(created=bake.clock.now - REMEMBERED + 1)


def _tags_of(bake: BakeWorld) -> dict[str, str]:
    own = bake.aws.known[bake.state["image_id"]]
    tags = dict(own.tags)
    bake.aws.known[own.id] = own._replace(tags=tags)
    return tags


@pytest.mark.parametrize(
    "state",
    [
        _cycle_goes_on,
        _bake_goes_on,
        _may_be_settled,
        _another_bake_runs,
        _a_cycle_runs,
        _operator_refreshes,
        _has_no_version_yet,
        _names_no_execution,
        _is_of_another_machine,
        _stack_cycles_no_more,
    ],
)
def test_nothing_is_recorded_while_something_goes_on_or_an_event_may_still_settle_the_bake(state: Any) -> None:
    bake = stopped(pin=True)
    ended_as(bake, "failed")
    made = list(bake.deaths.made)
    state(bake)
    assert recorded(bake) == []
    assert bake.deaths.made == made


def test_a_bake_that_saw_the_end_and_could_not_tag_the_image_was_published_already() -> None:
    bake = stopped()
    ended_as(bake, "failed")
    bake.history.known[EXECUTION] = {"bake": {**bake.state, "result": "failed", "phase": "ended"}}
    [answer] = recorded(bake)
    assert (roll_out(bake), answer.news) == ("failed", ())


@pytest.mark.parametrize(
    ("asked", "tag"), [({"roll_out": True}, "not started"), ({}, "not started"), ({"roll_out": False}, "none")]
)
def test_a_bake_that_was_stopped_before_its_roll_out_has_none(asked: dict[str, bool], tag: str) -> None:
    bake = stopped()
    before = {**bake.state, "cycle": "", "phase": "making the version"}
    bake.history.known[EXECUTION] = {"bake": {**before, "request": {"group": "web", **asked}}}
    [answer] = recorded(bake)
    assert (roll_out(bake), answer.news) == (tag, ())


def test_a_cycle_that_was_never_started_is_published_as_a_roll_out_that_was_not() -> None:
    bake = stopped()
    [answer] = recorded(bake)
    assert (roll_out(bake), answer.news[0].state.cycle_result) == ("not started", "not started")


@pytest.mark.parametrize("again", [True, False], ids=["the name was used again", "forgotten"])
def test_what_step_functions_does_not_know_any_more_is_unknown_and_neither_good_for_a_rollback_nor_bad(
    again: bool,
) -> None:
    bake = stopped()
    if again:
        bake.history.known[EXECUTION] = {"bake": {**bake.state, "bake_id": "0123456789ab"}}
    else:
        bake.history.ended.clear()
        own = bake.aws.known[bake.state["image_id"]]
        bake.aws.known[own.id] = own._replace(created=bake.clock.now - REMEMBERED)
    [answer] = recorded(bake)
    assert (roll_out(bake), answer.news) == ("unknown", ())
    image = bake.aws.known[bake.state["image_id"]]
    assert is_good(image)
    kept = kept_versions([image], list(bake.aws.made_versions.values()), present="3")
    assert not next(each for each in kept if each.number == "2").has_run
    found = default_target(kept, "3")
    assert found is not None
    assert found.number == "1"


def test_what_cannot_be_recorded_is_said_and_keeps_no_other_image_from_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bake = stopped()
    ended_as(bake, "failed")
    own = bake.aws.known[bake.state["image_id"]]
    bake.aws.known["ami-other"] = own._replace(id="ami-other", created=own.created + 1)
    tag = bake.aws.tag_resources

    def refuse(resources: Any, tags: Any) -> None:
        if "ami-other" in resources:
            raise AwsDenied("AWS refused CreateTags")
        tag(resources, tags)

    monkeypatch.setattr(bake.aws, "tag_resources", refuse)
    failed, done = recorded(bake)
    assert failed.state.warnings == (
        "how the roll-out of image ami-other went could not be recorded: AWS refused CreateTags",
    )
    assert (failed.news, len(done.news), roll_out(bake)) == ((), 1, "failed")


def test_images_of_a_group_without_tags_or_that_is_gone_are_recorded_too() -> None:
    bake = stopped()
    ended_as(bake, "failed")
    del bake.aws.groups["web"]
    late, named = bake.run().retire_others(bake.clock.now)
    assert (roll_out(bake), len(late.news)) == ("failed", 1)
    assert named.state.warnings[0].startswith("group web is gone")


def test_retention_by_hand_records_nothing() -> None:
    bake = stopped()
    ended_as(bake, "failed")
    assert bake.run().record_late("web", None) == []
    assert len(bake.run().retire_others(None)) == 0
    assert roll_out(bake) is None


def test_what_reconcile_sends_says_which_bakes_have_ended_for_long_enough() -> None:
    assert retire_event("web", ended_before=7.9)["ended_before"] == 7
    assert retire_others_event(7.9)["ended_before"] == 7


def test_an_image_says_which_execution_made_it() -> None:
    bake = stopped()
    tags = bake.aws.known[bake.state["image_id"]].tags
    assert tags[BAKE_EXECUTION] == EXECUTION.rpartition(":")[2]
    assert (tags[BAKE_GROUP], tags[BAKE_ID]) == ("web", bake.state["bake_id"])
