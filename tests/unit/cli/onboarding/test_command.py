"""The command onboard, on the embedded Auto Scaling and a Tower in memory: what it refuses, shows and leaves."""

from __future__ import annotations

import json
import time
from typing import Any

import boto3
import pytest

from rollcall_cli.answerer import Answerer
from rollcall_cli.commands import onboard
from unit.auto_scaling_world import World as AutoScalingWorld
from unit.cli.commands import run
from unit.world import World

WANTED = ("--inventory", "prod", "--job-template", "provision")


class Command:
    """The command about one group."""

    def __init__(self, aws: AutoScalingWorld, world: World) -> None:
        self.aws = aws
        self.tower = world.tower
        self.inventory = world.inventory
        self.template = world.template

    def __call__(self, *words: str, code: int = 0) -> Any:
        done = run("onboard", self.aws.name, *words)
        assert done.exit_code == code, done.output
        return done

    def state(self) -> tuple[dict[str, str], list[str]]:
        """The tags and the hooks of the group."""
        group = self.aws.described()
        hooks = self.aws.client.describe_lifecycle_hooks(AutoScalingGroupName=self.aws.name)["LifecycleHooks"]
        return {tag["Key"]: tag["Value"] for tag in group["Tags"]}, [hook["LifecycleHookName"] for hook in hooks]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    aws, world = AutoScalingWorld(), World()

    class ItsFleet:
        """The activities of the group that is there."""

        def __init__(self, region: str) -> None: ...

        def arrivals(self, group: str, instance_ids: list[str]) -> dict[str, float]:
            return dict.fromkeys(instance_ids, aws.now - 100)

    monkeypatch.setattr(onboard, "connect", lambda region, profile: "us-east-1")
    monkeypatch.setattr(onboard, "answerer_of", lambda stack: ({}, Answerer("rollcall", frozenset())))
    monkeypatch.setattr(onboard, "read_stack", lambda stack, region: None)
    monkeypatch.setattr(onboard, "tower_of", lambda parameters: world.tower)
    monkeypatch.setattr(boto3, "client", lambda *_, **__: aws.client)
    monkeypatch.setattr(onboard, "Fleet", ItsFleet)
    return Command(aws, world)


def test_it_sets_up_a_group_unattended_and_a_second_run_finds_nothing_to_do(command: Command) -> None:
    said = json.loads(command(*WANTED, "--yes", "--json").stdout)
    assert len(said["done"]) == 4
    assert (said["first"], said["abandon"]) == (None, False)
    tags, hooks = command.state()
    assert tags == {
        "rollcall:inventory": "prod",
        "rollcall:on-failure": "hold",
        "rollcall:job-template": "provision",
    }
    assert hooks == ["rollcall-terminating", "rollcall-launching"]
    again = command("--yes")
    assert "is set up already" in again.stderr
    assert command.state() == (tags, hooks)


def test_without_a_yes_and_without_a_terminal_nothing_is_done(command: Command) -> None:
    assert "--yes" in command(*WANTED, code=2).stderr
    assert command.state() == ({}, [])


@pytest.mark.parametrize("form", ["aws", "cloudformation", "terraform"])
def test_a_plan_is_printed_and_nothing_is_changed(command: Command, form: str) -> None:
    text = command(*WANTED, "--plan", form).stdout
    assert text.index("rollcall:on-failure") < text.index("rollcall-launching") < text.index("rollcall:job-template")
    assert json.loads(command(*WANTED, "--plan", form, "--json").stdout)["plan"] + "\n" == text
    assert command.state() == ({}, [])


def test_what_tower_would_refuse_is_said_before_anything_is_changed(command: Command) -> None:
    command.tower.templates["provision"] = command.template._replace(asks_limit=False)
    done = command(*WANTED, "--yes", code=2)
    assert "Prompt on launch" in done.stderr
    assert "Nothing was changed." in done.stderr
    assert command.state() == ({}, [])


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--job-template", "provision"), "--inventory"),
        (("--inventory", "prod"), "--job-template"),
        (("--inventory", "prdo", "--job-template", ""), "'prdo'"),
        ((*WANTED, "--gate", "icmp"), "'icmp'"),
    ],
)
def test_what_is_missing_or_wrong_is_named(command: Command, words: tuple[str, ...], named: str) -> None:
    assert named in command(*words, "--yes", code=2).stderr
    assert command.state() == ({}, [])


def test_a_tower_that_is_away_is_no_reason_to_begin(command: Command) -> None:
    command.tower.unavailable = True
    assert "where Tower can be reached" in command(*WANTED, "--yes", code=2).stderr
    assert command.state() == ({}, [])


def test_what_becomes_of_young_instances_is_not_guessed(command: Command) -> None:
    command.aws.scale(1)
    (serving,) = command.aws.ids("InService")
    refused = command(*WANTED, "--yes", code=2)
    assert "--young" in refused.stderr
    assert serving in refused.stderr
    assert command.state() == ({}, [])
    assert json.loads(command(*WANTED, "--young", "provision", "--yes", "--json").stdout)["young"] == [serving]


def test_to_wait_until_none_is_young_sets_the_job_template_only_then(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.aws.scale(1)
    seen: list[Any] = []
    monkeypatch.setattr(time, "sleep", lambda seconds: seen.append((seconds, *command.state())))
    command(*WANTED, "--young", "wait", "--timeout", "900", "--yes")
    [(seconds, tags, hooks)] = seen
    assert seconds == pytest.approx(800, abs=60)
    assert "rollcall:job-template" not in tags
    assert len(hooks) == 2
    assert "rollcall:job-template" in command.state()[0]


def test_a_group_at_its_maximum_is_set_up_and_it_is_said_why_none_was_launched(command: Command) -> None:
    command.aws.client.update_auto_scaling_group(AutoScalingGroupName=command.aws.name, MaxSize=0)
    assert "raise its maximum" in command(*WANTED, "--scale-out", "--yes", code=1).stderr
    assert len(command.state()[1]) == 2
    assert "raise its maximum" in command(*WANTED, "--scale-out", "--yes", code=2).stderr, "now nothing was changed"


def test_commands_that_are_printed_act_on_the_same_stack_region_and_profile(command: Command) -> None:
    given = ("--region", "eu-west-1", "--profile", "ops")
    lines = command(*WANTED, "--plan", "aws", *given).stdout.splitlines()
    assert len(lines) > 4
    assert all(each.startswith("aws ") and each.endswith(" ".join(given)) for each in lines)
    done = command(*WANTED, "--yes", "--stack", "other", *given).stdout
    assert f"rollcall doctor --stack other --region eu-west-1 --profile ops --group={command.aws.name}\n" in done
    assert f"rollcall offboard --stack other --region eu-west-1 --profile ops {command.aws.name}\n" in done
