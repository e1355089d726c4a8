"""The command offboard, on the embedded Auto Scaling and a Tower in memory: its three ways, and what it says."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import boto3
import pytest

from rollcall.domain.groups import EMERGENCY_TAG
from rollcall_cli.answerer import Answerer
from rollcall_cli.commands import offboard
from rollcall_cli.emergency import arrivals, ways
from rollcall_cli.emergency import run as emergency_run
from rollcall_cli.emergency.letting_in import LettingIn
from rollcall_cli.offboarding.run import Removing
from rollcall_cli.running import NotRun
from rollcall_cli.scaling_group import ScalingGroup
from unit.auto_scaling_world import World as AutoScalingWorld
from unit.cli.commands import run
from unit.world import World

TAGS = {"rollcall:inventory": "prod", "rollcall:job-template": "provision"}


class Command:
    """The command about one group. forgotten: what reconcile was asked, and answers failed."""

    def __init__(self, aws: AutoScalingWorld, world: World) -> None:
        self.aws = aws
        self.tower = world.tower
        self.failed = False
        self.asked: list[Any] = []

    def __call__(self, *words: str, code: int = 0) -> Any:
        done = run("offboard", self.aws.name, *words)
        assert done.exit_code == code, done.output
        return done

    def reconcile(self, stack: str, request: Any) -> Any:
        self.asked.append(request)
        return {"failed": self.failed, "inventories": [{"removed": 2}]}

    def tags(self) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self.aws.described()["Tags"]}

    def hooks(self) -> list[Any]:
        answer = self.aws.client.describe_lifecycle_hooks(AutoScalingGroupName=self.aws.name)
        return list(answer["LifecycleHooks"])


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    aws, world = AutoScalingWorld("launch", "terminate"), World()
    made = Command(aws, world)
    tags = [
        {"ResourceType": "auto-scaling-group", "ResourceId": aws.name, "Key": key, "Value": value}
        for key, value in TAGS.items()
    ]
    aws.client.create_or_update_tags(Tags=tags)
    monkeypatch.setattr(offboard, "connect", lambda region, profile: "us-east-1")
    monkeypatch.setattr(offboard, "answerer_of", lambda stack: ({}, Answerer("", frozenset())))
    monkeypatch.setattr(offboard, "answer_of", made.reconcile)
    monkeypatch.setattr(emergency_run, "tower_of", lambda parameters: world.tower)
    monkeypatch.setattr(boto3, "client", lambda *_, **__: aws.client)
    return made


def test_a_group_is_taken_out_and_the_way_back_is_printed(command: Command) -> None:
    done = command("--yes")
    assert (command.tags(), command.hooks(), command.asked) == ({}, [], [])
    assert "is out of Rollcall" in done.stdout
    assert f"rollcall reconcile --forget={command.aws.name}" in done.stdout
    assert done.stdout.index("create-or-update-tags") < done.stdout.index("put-lifecycle-hook")
    assert "nothing to do" in command("--yes").stdout


@pytest.mark.parametrize("way", [(), ("--emergency", "--for", "0")])
def test_without_a_yes_and_without_a_terminal_nothing_is_done(command: Command, way: tuple[str, ...]) -> None:
    before = command.hooks()
    assert "--yes" in command(*way, code=2).stderr
    assert (command.tags(), command.hooks()) == (TAGS, before)


@pytest.mark.parametrize("failed", [False, True])
def test_its_hosts_are_removed_if_so_chosen_by_the_stacks_own_reconcile(command: Command, failed: bool) -> None:
    command.failed = failed
    said = json.loads(command("--remove-hosts", "--yes", "--json", code=1 if failed else 0).stdout)
    assert command.asked == [{"forget": [command.aws.name]}]
    assert said["reconcile"]["failed"] == failed
    assert command.hooks() == []


def test_where_instances_wait_it_says_what_would_become_of_them_and_keeps_the_hook(command: Command) -> None:
    command.aws.scale(2)
    done = command("--yes", "--for", "0", code=2)
    assert "2 wait now, or will soon; to delete the hook would abandon them" in done.stderr
    assert len(command.hooks()) == 2
    assert TAGS.items() <= command.tags().items()


def test_those_that_wait_are_let_in_and_listed_if_so_chosen(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    command.aws.scale(1)
    waiting = command.aws.one("Pending:Wait")
    monkeypatch.setattr(offboard, "Removing", partial(Removing, sleep=lambda seconds: command.aws.tick()))
    done = command("--waiting", "continue", "--yes")
    assert f"{waiting}: hook launch answered with CONTINUE" in done.stdout


def test_an_emergency_says_what_is_suspended_and_how_it_ends_and_is_restored(command: Command) -> None:
    command.aws.scale(1)
    before = command.hooks()
    waiting = command.aws.one("Pending:Wait")
    done = command("--emergency", "--for", "0", "--yes", code=1)
    assert "is suspended" in done.stderr
    assert f"  {waiting}: it has no host in Tower" in done.stdout
    assert f"rollcall offboard --restore {command.aws.name}" in done.stdout
    assert EMERGENCY_TAG in command.tags()
    command.aws.tick()
    restored = json.loads(command("--restore", "--json", code=1).stdout)
    assert restored["held_by_others"] == []
    assert restored["unproven"] == {waiting: "it has no host in Tower"}
    assert (command.hooks(), command.tags()) == (before, TAGS)
    assert "is in no emergency" in command("--restore").stdout


def test_ctrl_c_ends_the_answering_and_the_list_is_printed_all_the_same(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.aws.scale(1)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ways, "let_in", interrupted)
    done = command("--emergency", "--yes", code=1)
    assert "A hook that is not answered lets in after 30 s" in done.stderr
    assert "stays in the emergency until" in done.stdout
    assert EMERGENCY_TAG in command.tags()


def test_while_tower_is_away_all_that_came_are_listed(command: Command) -> None:
    command.aws.scale(1)
    command.tower.unavailable = True
    said = json.loads(command("--emergency", "--for", "0", "--yes", "--json", code=1).stdout)
    assert list(said["unproven"]) == said["let_in"]
    assert "Tower cannot be asked" in said["doubt"]


def test_to_begin_and_to_end_at_once_is_refused(command: Command) -> None:
    assert "name one" in command("--emergency", "--restore", code=2).stderr


def test_a_restore_that_cannot_know_how_hooks_were_leaves_them_and_says_so(command: Command) -> None:
    tag = {"ResourceType": "auto-scaling-group", "ResourceId": command.aws.name, "Key": EMERGENCY_TAG, "Value": "help"}
    command.aws.client.create_or_update_tags(Tags=[tag])
    before = command.hooks()
    done = command("--restore", code=1)
    assert "How hook launch was is not known" in done.stdout
    assert "is in no emergency" not in done.stdout
    assert command.hooks() == before
    assert EMERGENCY_TAG not in command.tags()


def test_hooks_opened_by_hand_as_the_page_says_are_left_to_the_operator_whatever_runs_afterwards(
    command: Command,
) -> None:
    tag = {"ResourceType": "auto-scaling-group", "ResourceId": command.aws.name, "Key": EMERGENCY_TAG, "Value": "help"}
    command.aws.client.create_or_update_tags(Tags=[tag])
    opened = {"AutoScalingGroupName": command.aws.name, "LifecycleHookName": "launch", "HeartbeatTimeout": 30}
    transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    command.aws.client.put_lifecycle_hook(DefaultResult="CONTINUE", LifecycleTransition=transition, **opened)
    begun = command("--emergency", "--for", "0", "--yes", code=1)
    assert "How hook launch was is not known: it was opened by hand" in begun.stderr
    assert "terminate=300/ABANDON" in command.tags()[EMERGENCY_TAG], "that one was not opened yet"
    said = json.loads(command("--restore", "--json", code=1).stdout)
    assert said["not_restored"] == ["launch"]
    results = {hook["LifecycleHookName"]: hook["HeartbeatTimeout"] for hook in command.hooks()}
    assert results == {"launch": 30, "terminate": 300}


def test_a_hook_named_once_is_answered_by_the_restore_that_does_not_name_it(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offboard, "answerer_of", lambda stack: ({}, Answerer("ours", frozenset())))
    begun = command("--emergency", "--hook", "launch", "--for", "0", "--yes", code=1)
    assert f"rollcall offboard --restore --hook launch {command.aws.name}" in begun.stdout
    command.aws.scale(1)
    waiting = command.aws.one("Pending:Wait")
    assert json.loads(command("--emergency", "--for", "0", "--yes", "--json", code=1).stdout)["let_in"] == [waiting]
    command.aws.tick()
    command.aws.scale(2)
    waiting = command.aws.one("Pending:Wait")
    assert json.loads(command("--restore", "--json", code=1).stdout)["let_in"] == [waiting]
    command.aws.tick(60)
    assert len(command.aws.ids("InService")) == 2


def throttled(*_: object, **__: object) -> None:
    raise NotRun("AWS asks to slow down.\nTry again in a minute.")


def test_where_the_activities_cannot_be_read_all_that_serve_are_listed_and_the_way_back_is_printed(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.aws.scale(1)
    command.aws.answer("launch", InstanceId=command.aws.one("Pending:Wait"))
    serving = command.aws.one("InService")
    monkeypatch.setattr(arrivals, "arrived_since", throttled)
    done = command("--emergency", "--for", "0", "--yes", code=1)
    assert "AWS asks to slow down. Try again in a minute." in done.stdout
    assert f"  {serving}: it has no host in Tower" in done.stdout
    assert "stays in the emergency until: rollcall offboard --restore" in done.stdout
    assert json.loads(command("--restore", "--json", code=1).stdout)["doubt"]


def test_more_activities_than_are_read_leave_a_doubt(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    command.aws.scale(2)
    for each in command.aws.ids("Pending:Wait"):
        command.aws.answer("launch", InstanceId=each)
    monkeypatch.setattr(arrivals, "ACTIVITIES_MAX", 1)
    said = json.loads(command("--emergency", "--for", "0", "--yes", "--json", code=1).stdout)
    assert sorted(said["unproven"]) == sorted(command.aws.ids("InService"))
    assert "more than 1 activities" in said["doubt"]


def test_where_the_group_cannot_be_read_afterwards_it_is_listed_as_it_was(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ending_in_refusal(letting: LettingIn, *_: object) -> None:
        command.aws.scale(1)
        letting.round()
        monkeypatch.setattr(ScalingGroup, "read", throttled)
        raise KeyboardInterrupt

    monkeypatch.setattr(ways, "let_in", ending_in_refusal)
    done = command("--emergency", "--yes", code=1)
    (arrived,) = command.aws.states()
    assert f"  {arrived}: it has no host in Tower" in done.stdout
    assert "the group cannot be read now" in done.stdout
    assert "stays in the emergency until: rollcall offboard --restore" in done.stdout


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (NotRun("refused"), 2)])
def test_a_beginning_that_is_broken_off_says_how_to_go_on_and_how_to_end_it(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    before = command.hooks()

    def broken_off(*_: object) -> None:
        assert EMERGENCY_TAG in command.tags()
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(ScalingGroup, "put_hook", broken_off)
        done = command("--emergency", "--yes", code=code)
    back = f"rollcall offboard --restore {command.aws.name}"
    assert f"This ends it, also if you are interrupted: {back}" in done.stderr
    assert f"run this again to go on with it, or end it: {back}" in done.stderr
    command("--restore")
    assert (command.hooks(), command.tags()) == (before, TAGS)
