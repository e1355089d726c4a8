"""Cycles as they are operated: waits, ended by hand, stopped, beside other changes, and through the command."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from signal import SIGINT
from typing import Any

import pytest

from lab.cloud import COMMAND_TIMEOUT, Cloud, Group, eventually
from lab.cycles import AT_ONE, Cycle, at_size, cycle_named, start_cycle, versions, with_versions
from lab.ear import Ear
from rollcall.workflow.names import execution_name
from rollcall.workflow.settling import SETTLE_AFTER
from rollcall.workflow.waiting import EVENTS_PER_ROUND

type MakeGroup = Callable[..., Group]
type Json = dict[str, Any]

EXECUTION_EVENT = "Step Functions Execution Status Change"
PIN = "rollcall:cycle-pinned"
HOUR = 3600  # seconds
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LONG = 300  # seconds at a checkpoint, within which a test ends the cycle
ATTACHED = "A cycle with this key is there already, and is running: this shows it, and starts none.\n"
WARMUP = 10  # seconds, in which a cycle looks several times


@pytest.fixture
def group(make_group: MakeGroup) -> Group:
    """Two instances on version 1 of a launch template that has a version 2."""
    made = make_group(traffic=AT_ONE)
    with_versions(made, 2)
    return made


def own_version(group: Group) -> str:
    return str(group.described()["LaunchTemplate"]["Version"])


def statuses(group: Group) -> list[str]:
    """Of the group's refreshes, the newest first."""
    return [each["Status"] for each in group.refreshes()]


def published(ear: Ear, group: Group) -> list[str]:
    """What is published of a cycle but for its progress, in order, once its end is."""

    def heard() -> list[str]:
        events = sorted(ear.of(group), key=lambda each: str(each["time"]))
        kinds = [each["detail-type"] for each in events if each["detail-type"].startswith("Cycle ")]
        return [each for each in kinds if each != "Cycle Progress"]

    eventually(lambda: len(heard()) > 1, "the end of the cycle is published")
    return [kind for kind, _ in groupby(heard())]  # a cancellation is when it begins, and when it is through


# How it goes


def test_a_cycle_waits_at_its_checkpoint_and_goes_on_and_bakes_before_it_counts(group: Group) -> None:
    cycle = start_cycle(
        group, launch_template_version="2", batch=1, checkpoints=[50, 100], checkpoint_seconds=4, bake_seconds=2
    )
    state = cycle.waited()
    assert (state["result"], state["unverified"], versions(group)) == ("succeeded", [], ["2", "2"])
    phases = cycle.phases()
    assert (phases[:3], phases[-4:]) == (
        ["starting", "replacing", "waiting at a checkpoint"],
        ["replacing", "baking", "verifying", "ended"],
    )
    assert set(phases[3:-4]) <= {"replacing", "waiting at a checkpoint"}, "AWS terminates the old one a moment later"
    states = [each["cycle"] for each in reversed(cycle.outputs())]
    [*_, waiting] = [each for each in states if each["phase"] == "waiting at a checkpoint"]
    assert (waiting["percent"], waiting["new"], waiting["in_progress"], waiting["left"]) == (50, 1, 0, 1)
    [*_, baking] = [each for each in states if each["phase"] == "baking"]
    assert (baking["percent"], baking["new"], baking["left"]) == (100, 2, 0)
    own = cycle.history()
    waits = [index for index, kind in enumerate(own) if kind == "WaitStateEntered"]
    assert {after - before for before, after in pairwise(waits)} == {EVENTS_PER_ROUND}


def test_an_instance_that_serves_and_does_not_count_yet_warms_up(make_group: MakeGroup) -> None:
    group = make_group(traffic=AT_ONE | {"DefaultInstanceWarmup": WARMUP})
    with_versions(group, 1)
    cycle = start_cycle(group, launch_template_version="2")

    def warming(state: Json) -> list[Json]:
        return [each for each in state["instances"] if each["stage"] == "warming up" and each["left"]]

    state = cycle.seen(lambda state: bool(warming(state)), "an instance warms up")
    [one] = warming(state)
    assert (0 < one["left"] <= WARMUP, one["since"], one["version"]) == (True, "launch", "2")
    assert one["id"] in group.in_service()
    assert state["percent"] < 100
    assert cycle.waited()["result"] == "succeeded"


def test_a_group_that_grows_and_shrinks_meanwhile_is_new_in_the_end(group: Group) -> None:
    cycle = held(group)
    assert "2" in {group.version_of(each) for each in at_size(group, 4)}
    at_size(group, 3)
    state = cycle.waited()
    assert (state["result"], state["unverified"]) == ("succeeded", [])
    assert (versions(group), own_version(group)) == (["2", "2", "2"], "2")


def test_instances_that_are_terminated_by_hand_meanwhile_are_replaced_and_count_for_nothing(group: Group) -> None:
    cycle = held(group)
    for each in group.in_service():
        group.terminate(each)
    state = cycle.waited()
    assert (state["result"], state["unverified"], versions(group)) == ("succeeded", [], ["2", "2"])


def test_one_group_has_one_cycle_at_a_time_and_others_are_not_kept_from_theirs(
    make_group: MakeGroup, group: Group
) -> None:
    other = make_group("-other", traffic=AT_ONE)
    with_versions(other, 1)
    first = held(group, seconds=LONG)
    others = start_cycle(other, launch_template_version="2")
    second = start_cycle(group).waited()
    [objection] = second["objections"]
    assert (second["result"], objection["what"]) == ("refused", "refresh active")
    assert f"{first.state['refresh_id']} (of cycle {first.name})" in objection["reason"]
    assert f"rollcall cycle --cancel {group.name}" in objection["remedy"]
    assert (others.waited()["result"], statuses(other)) == ("succeeded", ["Successful"])
    assert statuses(group) == ["InProgress"]
    group.cloud.aws.client("autoscaling").cancel_instance_refresh(AutoScalingGroupName=group.name)
    assert first.waited()["result"] == "cancelled"


# Ended by hand


def held(group: Group, key: str = "", seconds: int = 5, **request: Any) -> Cycle:
    """A cycle of two instances to version 2 that has replaced one, and waits so many seconds until it goes on."""
    cycle = start_cycle(
        group,
        key,
        **{"launch_template_version": "2", "batch": 1, "checkpoints": [50, 100], "checkpoint_seconds": seconds}
        | request,
    )
    cycle.reaches("waiting at a checkpoint")
    return cycle


def test_a_cycle_is_cancelled_by_the_command_and_what_was_replaced_stays(group: Group, cloud: Cloud, ear: Ear) -> None:
    cycle = held(group, seconds=LONG)
    ended = cloud.rollcall("cycle", group.name, "--cancel", "--yes")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"The cycle of group '{group.name}' was cancelled after ")
    assert "  instances now: 1 of version 1, 1 of version 2; the group next launches version 1\n" in ended.stdout
    assert ("may set its version back" in ended.stderr, "warning: " in ended.stdout) == (True, False)
    assert (cycle.status, cycle.state["result"]) == ("FAILED", "cancelled")
    assert (versions(group), own_version(group), statuses(group)) == (["1", "2"], "1", ["Cancelled"])
    assert published(ear, group) == ["Cycle Started", "Cycle Cancelled"]
    over = cloud.rollcall("cycle", group.name, "--cancel", "--yes")
    assert (over.returncode, over.stdout) == (2, "")
    assert "nothing was changed" in over.stderr


def test_a_cycle_is_rolled_back_by_the_command_and_the_group_is_what_it_was(
    group: Group, cloud: Cloud, ear: Ear
) -> None:
    cycle = held(group, seconds=LONG)
    ended = cloud.rollcall("cycle", group.name, "--rollback", "--yes", "--json")
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout)
    assert (answer["result"], answer["verified"], answer["cycle"]) == ("rolled back", False, cycle.name)
    assert (set(answer["state"]["runs"]), answer["state"]["launches"]) == ({"1"}, "1")
    at_size(group, 2)
    assert (versions(group), own_version(group), statuses(group)) == (["1", "1"], "1", ["RollbackSuccessful"])
    assert published(ear, group) == ["Cycle Started", "Cycle Rolled Back"]
    assert {each["ended_by"] for each in ear.details(group, "Cycle Rolled Back")} == {"operator"}


@pytest.mark.parametrize(
    ("pinned", "lost"),
    [(False, False), pytest.param(True, False, marks=pytest.mark.story), (False, True), (True, True)],
)
def test_an_execution_that_is_stopped_leaves_nothing_behind_even_where_the_event_about_it_is_lost(
    make_group: MakeGroup, cloud: Cloud, ear: Ear, pinned: bool, lost: bool
) -> None:
    before = "$Default" if pinned else "1"
    group = make_group(traffic=AT_ONE | {"version": before})
    with_versions(group, 2)
    cycle = held(group, seconds=LONG, pin=pinned)
    assert (own_version(group), PIN in group.tags()) == ("1", pinned)
    if lost:
        cloud.aws.drop_events(EXECUTION_EVENT)
    cycle.stop()
    if lost:
        cloud.reconcile(groups=[group.name])
        assert statuses(group) == ["InProgress"]  # the event may still come
        cycle.age(group, SETTLE_AFTER + 60)
        cloud.reconcile(groups=[group.name])
    assert published(ear, group) == ["Cycle Started", "Cycle Cancelled"]
    eventually(lambda: own_version(group) == before and PIN not in group.tags(), "it is put back")
    assert (statuses(group), versions(group)) == (["Cancelled"], ["1", "2"])


def test_an_execution_that_runs_out_of_time_leaves_nothing_behind_and_says_so(
    make_group: MakeGroup, cloud: Cloud, ear: Ear
) -> None:
    group = make_group(traffic=AT_ONE | {"version": "$Default"})
    with_versions(group, 2)
    cycle = held(group, seconds=LONG, pin=True)
    cycle.time_out()
    assert cycle.status == "TIMED_OUT"
    assert published(ear, group) == ["Cycle Started", "Cycle Cancelled"]
    eventually(lambda: own_version(group) == "$Default" and PIN not in group.tags(), "it is put back")
    assert (statuses(group), versions(group)) == (["Cancelled"], ["1", "2"])
    [event, *_] = ear.details(group, "Cycle Cancelled")
    assert (event["reason"], event["ended_by"]) == ("its execution ran out of time", None)
    watched = cloud.rollcall("cycle", group.name, "--watch")
    assert watched.returncode == 1, watched.stderr
    assert "did not come to its end: its execution ran out of time." in watched.stdout
    assert start_cycle(group, launch_template_version="2").waited()["result"] == "succeeded"


# Through the command


@pytest.mark.story
def test_the_command_follows_a_cycle_to_its_end_and_the_same_key_shows_it_again(group: Group, cloud: Cloud) -> None:
    arguments = ("cycle", group.name, "--version", "2", "--batch", "1", "--key", "release-7", "--json")
    done = cloud.rollcall(*arguments)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["result"], answer["verified"], answer["attached"]) == ("succeeded", True, False)
    assert answer["cycle"] == execution_name(group.name, "release-7")
    assert ": replacing: " in done.stderr
    assert ": being provisioned and checked, launched " in done.stderr
    again = cloud.rollcall(*arguments)
    assert again.returncode == 0, again.stderr
    shown = json.loads(again.stdout)
    assert (shown["attached"], shown["state"]) == (True, answer["state"])
    assert "A cycle with this key is there already, and is over" in again.stderr
    assert statuses(group) == ["Successful"]
    watched = cloud.rollcall("cycle", group.name, "--watch")
    assert watched.returncode == 0, watched.stderr
    assert watched.stdout.startswith(f"Group '{group.name}' is cycled and verified, version 1 -> 2, in ")
    listed = json.loads(cloud.rollcall("cycle", "--json").stdout)["cycles"]
    [own] = [each for each in listed if each["group"] == group.name]
    assert (own["cycle"], own["version"], own["result"]) == (answer["cycle"], "2", "succeeded")


def test_a_cycle_goes_on_after_ctrl_c_and_is_attached_to_while_it_runs(group: Group, cloud: Cloud) -> None:
    slowly = ["--checkpoints", "50,100", "--checkpoint-seconds", str(LONG)]
    arguments = [group.name, "--version", "2", "--batch", "1", *slowly, "--key", "k1"]
    cycle = cycle_named(group, "k1")
    with cloud.begun("cycle", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        assert command.stderr is not None
        assert f"cycle {cycle.name}: https://" in command.stderr.readline()
        command.send_signal(SIGINT)
        output, said = command.communicate(timeout=COMMAND_TIMEOUT)
    assert (command.returncode, output) == (130, "")
    assert f"The cycle goes on by itself. To watch it: rollcall cycle --watch --key k1 {group.name}\n" in said
    cycle.reaches("waiting at a checkpoint")
    with cloud.begun("cycle", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as attached:
        assert attached.stderr is not None
        assert attached.stderr.readline().startswith(f"cycle {cycle.name}: https://")
        assert attached.stderr.readline() == ATTACHED
        ended = cloud.rollcall("cycle", group.name, "--cancel", "--yes")
        output, _ = attached.communicate(timeout=COMMAND_TIMEOUT)
    assert (attached.returncode, output) == (1, ended.stdout)
    assert output.startswith(f"The cycle of group '{group.name}' was cancelled after ")
    assert (versions(group), statuses(group)) == (["1", "2"], ["Cancelled"])


def test_a_terminal_shows_a_picture_and_then_how_it_ended(group: Group, cloud: Cloud) -> None:
    controller, terminal = pty.openpty()
    try:
        arguments = [group.name, "--version", "2", "--batch", "1", "--yes"]
        with cloud.begun("cycle", *arguments, stdin=terminal, stdout=terminal, stderr=terminal) as command:
            os.close(terminal)
            shown = b"".join(written_to(controller)).decode()
            assert command.wait(COMMAND_TIMEOUT) == 0
    finally:
        os.close(controller)
    lines = ANSI.sub("\n", shown).splitlines()
    assert f"{group.name}; version 1 -> 2; " in lines
    assert any(each.strip("\N{FULL BLOCK}") == "" for each in lines if each)
    assert any(re.fullmatch(r"replacing: \d new, \d in progress, \d left, \d+ %", each) for each in lines)
    assert any(each.endswith(", version 2") and ": being provisioned and checked, launched " in each for each in lines)
    assert any(each.startswith(f"Group '{group.name}' is cycled and verified, version 1 -> 2, in ") for each in lines)


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(group: Group, cloud: Cloud) -> None:
    old = group.in_service()
    done = cloud.rollcall("cycle", group.name, "--version", "2", "--batch", "1", "--dry-run")
    assert done.returncode == 0, done.stderr
    heading, *lines = done.stdout.splitlines()
    assert heading == f"Dry run: nothing speaks against a cycle of group '{group.name}'. Nothing was changed."
    assert any("2 instances, 1 at a time; version 1 -> 2" in each for each in lines)
    assert any("to replace: 2 instances, in 2 batches" in each for each in lines)
    assert any("if it fails: AWS rolls it back" in each for each in lines)
    assert (group.in_service(), own_version(group), statuses(group)) == (old, "1", [])


def test_the_command_ends_with_three_where_a_cycle_is_refused_and_with_two_where_none_could_be_asked_for(
    group: Group, cloud: Cloud
) -> None:
    refused = cloud.rollcall("cycle", group.name, "--version", "99")
    assert refused.returncode == 3, refused.stderr
    heading, *lines = refused.stdout.splitlines()
    assert heading.endswith(" was refused before anything was changed, for 1 objection.")
    assert any("has no version 99" in each for each in lines)
    assert any("remedy: name one that it has: aws ec2 describe-launch-template-versions" in each for each in lines)
    assert cloud.rollcall("cycle", group.name, "--version", "99", "--dry-run").returncode == 3
    for wrong in (["--batch", "none"], ["--rollback", "--yes"], ["--watch", "--key", "of-no-cycle"]):
        ended = cloud.rollcall("cycle", group.name, *wrong)
        assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    assert statuses(group) == []


# Asked for by a tag


def test_a_schedule_starts_its_cycle_once(make_group: MakeGroup, cloud: Cloud) -> None:
    due = datetime.now(UTC) - timedelta(minutes=3)
    group = make_group(cycle=f"every=daily-{due:%H:%M} batch=1", traffic=AT_ONE)
    cloud.aws.age_group(group.name, HOUR)
    cycle = cycle_named(group, f"sched-{due:%Y-%m-%d}")
    cloud.reconcile(groups=[group.name])
    state = cycle.waited()
    assert (state["result"], state["request"]["batch"]) == ("nothing to replace", "1")
    for _ in range(2):
        cloud.reconcile(groups=[group.name])
    listed = cloud.aws.client("stepfunctions").list_executions(
        stateMachineArn=cloud.physical_id("CycleStateMachine"), maxResults=100
    )["executions"]
    assert [each["name"] for each in listed if group.name in each["name"]] == [cycle.name]


def written_to(controller: int) -> Iterator[bytes]:
    """What is written to a terminal until no process has it open any more."""
    with suppress(OSError):  # EIO, which is how Linux says that
        while some := os.read(controller, 65536):
            yield some
