"""The command onboard, on the embedded Auto Scaling and a Tower in memory: what it refuses, shows and leaves."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from rollcall.domain.errors import AwsDenied
from rollcall_cli.commands import onboard
from rollcall_cli.onboarding.watch import Ended, First
from unit.auto_scaling_world import World as AutoScalingWorld
from unit.cli.commands import run
from unit.cli.status.stack import PARTS
from unit.world import World

WANTED = ("--inventory", "prod", "--job-template", "provision")


class Command:
    """The command about one group. denied: AWS refuses to show its activities."""

    def __init__(self, aws: AutoScalingWorld, world: World) -> None:
        self.aws = aws
        self.denied = False
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
            if made.denied:
                raise AwsDenied("AWS refused DescribeScalingActivities of group web")
            return dict.fromkeys(instance_ids, aws.now - 100)

    monkeypatch.setattr(onboard, "connect", lambda region, profile: "us-east-1")
    monkeypatch.setattr(onboard, "read_stack", lambda stack, region: PARTS)
    monkeypatch.setattr(onboard, "tower_of", lambda parameters: world.tower)
    monkeypatch.setattr(boto3, "client", lambda *_, **__: aws.client)
    monkeypatch.setattr(onboard, "Fleet", ItsFleet)
    made = Command(aws, world)
    return made


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
    clock = SimpleNamespace(sleep=lambda seconds: seen.append((seconds, *command.state())))
    monkeypatch.setattr("rollcall_cli.commands.onboard.time", clock)
    done = command(*WANTED, "--young", "wait", "--timeout", "900", "--yes")
    assert sum(seconds for seconds, *_ in seen) == pytest.approx(800, abs=60)
    assert all("rollcall:job-template" not in tags and len(hooks) == 2 for _, tags, hooks in seen)
    assert "rollcall:job-template" in command.state()[0]
    left = [
        int(line.split()[0])
        for line in done.stderr.splitlines()
        if line.endswith("until no instance is young any more")
    ]
    assert len(left) == len(seen) > 10
    assert left == sorted(left, reverse=True)
    assert left[0] - left[1] == 60


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


def test_a_gate_that_the_stack_cannot_follow_is_refused_before_anything_is_changed(command: Command) -> None:
    done = command(*WANTED, "--gate", "job elb", "--yes", code=2)
    assert "deploy with LoadBalancers=true" in done.stderr
    assert command.state() == ({}, [])


def test_the_target_groups_that_a_group_is_attached_to_are_seen(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = PARTS._replace(parameters={**PARTS.parameters, "LoadBalancers": "true"})
    monkeypatch.setattr(onboard, "read_stack", lambda stack, region: parts)
    assert "attached to no target group" in command(*WANTED, "--gate", "job elb", "--yes", code=2).stderr
    assert command.state() == ({}, [])
    command.aws.name = f"{command.aws.name}-behind"
    command.aws.client.create_auto_scaling_group(
        AutoScalingGroupName=command.aws.name,
        AvailabilityZones=["us-east-1a"],
        TrafficSources=[{"Identifier": "arn:aws:targetgroup/web", "Type": "elbv2"}],
        MinSize=0,
        MaxSize=1,
        DesiredCapacity=0,
    )
    command(*WANTED, "--gate", "job elb", "--yes")


def put_hook(command: Command, name: str, **fields: Any) -> None:
    own = {
        "HeartbeatTimeout": 60,
        "DefaultResult": "ABANDON",
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
    }
    command.aws.client.put_lifecycle_hook(
        AutoScalingGroupName=command.aws.name, LifecycleHookName=name, **{**own, **fields}
    )


def test_a_launch_hook_that_lets_in_what_was_not_proven_is_refused(command: Command) -> None:
    put_hook(command, "rollcall-x", DefaultResult="CONTINUE")
    done = command(*WANTED, "--yes", code=2)
    assert done.stderr.count("--default-result ABANDON") == 1
    assert command.state() == ({}, ["rollcall-x"])


def test_a_hook_that_stays_is_named_and_an_option_that_would_change_it_is_not_passed_over(command: Command) -> None:
    put_hook(command, "rollcall-x")
    refused = command(*WANTED, "--heartbeat-timeout", "900", "--yes", code=2)
    assert "heartbeat timeout of 60 s, and --heartbeat-timeout says 900" in refused.stderr
    assert command.state() == ({}, ["rollcall-x"])
    done = command(*WANTED, "--yes", "--json")
    (kept,) = json.loads(done.stdout)["kept"]
    assert kept.startswith("hook rollcall-x for launches: heartbeat timeout 60 s, default result ABANDON")
    assert kept in done.stderr


def test_a_group_in_an_emergency_is_none_to_set_up(command: Command) -> None:
    command.aws.client.create_or_update_tags(
        Tags=[
            {
                "ResourceType": "auto-scaling-group",
                "ResourceId": command.aws.name,
                "Key": "rollcall:emergency",
                "Value": "2026-11-21T10:00:00Z",
                "PropagateAtLaunch": False,
            }
        ]
    )
    assert f"rollcall offboard --restore {command.aws.name}" in command(*WANTED, "--yes", code=2).stderr
    assert command.state()[1] == []


def test_activities_that_aws_does_not_show_are_no_matter_of_the_secret(command: Command) -> None:
    command.aws.scale(1)
    command.denied = True
    done = command(*WANTED, "--young", "provision", "--yes", code=2)
    assert "They need autoscaling:DescribeScalingActivities." in done.stderr
    assert "Nothing was changed." in done.stderr
    assert "secretsmanager" not in done.stderr
    assert command.state() == ({}, [])


@pytest.mark.parametrize(
    ("ended", "on_failure", "code"),
    [(Ended.GOOD, "abandon", 0), *((each, "hold", 1) for each in Ended if each != Ended.GOOD)],
)
def test_only_after_a_good_first_instance_those_that_fail_are_replaced(
    command: Command, monkeypatch: pytest.MonkeyPatch, ended: Ended, on_failure: str, code: int
) -> None:
    monkeypatch.setattr(onboard, "_watched", lambda *_, **__: First("i-a", ended, "as it was seen"))
    done = command(*WANTED, "--watch", "--abandon", "--yes", code=code)
    assert f"(rollcall:on-failure is {on_failure})" in done.stdout
    assert command.state()[0]["rollcall:on-failure"] == on_failure


@pytest.mark.parametrize("tag", [None, "abandon"])
def test_where_they_are_replaced_already_that_is_said_and_nothing_is_asked(
    command: Command, monkeypatch: pytest.MonkeyPatch, tag: str | None
) -> None:
    command(*WANTED, "--yes")
    named = {"ResourceType": "auto-scaling-group", "ResourceId": command.aws.name, "Key": "rollcall:on-failure"}
    command.aws.client.delete_tags(Tags=[named])
    if tag:
        command.aws.client.create_or_update_tags(Tags=[{**named, "Value": tag, "PropagateAtLaunch": False}])
    before = command.state()
    monkeypatch.setattr(onboard, "_watched", lambda *_, **__: First("i-a", Ended.GOOD, "as it was seen"))
    monkeypatch.setattr(onboard, "_abandon", lambda *_: pytest.fail("it was asked"))
    done = command("--watch", "--yes")
    assert "Instances that fail are replaced (rollcall:on-failure is abandon)." in done.stdout
    assert command.state() == before
    assert json.loads(command("--watch", "--yes", "--json").stdout)["abandon"]
