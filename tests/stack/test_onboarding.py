"""One group becomes Rollcall's and leaves again, as operators do it; and an emergency of one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from lab.cloud import Cloud, Group, eventually
from lab.tower.embedded import Tower

SIZE = 2


def rollcall(cloud: Cloud, *words: str) -> subprocess.CompletedProcess[str]:
    """A command as an operator runs it, unattended."""
    done = cloud.rollcall(*words)
    cloud.aws.end_idle_environments()  # which remember a group's tags for a minute
    return done


def answer(done: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def hooks_of(cloud: Cloud, group: Group) -> list[Any]:
    return list(
        cloud.aws.client("autoscaling").describe_lifecycle_hooks(AutoScalingGroupName=group.name)["LifecycleHooks"]
    )


def tags_of(cloud: Cloud, group: Group) -> dict[str, str]:
    (known,) = cloud.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group.name])[
        "AutoScalingGroups"
    ]
    return {tag["Key"]: tag["Value"] for tag in known["Tags"]}


@pytest.fixture
def plain(cloud: Cloud, tower: Tower, name: str) -> Iterator[Group]:
    """A group without hooks and without tags of Rollcall's, and an inventory and a template called like the test.

    An emergency suspends the invariants, so these groups are not held to them.
    """
    tower.add_inventory(name)
    tower.add_job_template(name, name)
    tower.set_job_time(10)  # as long as it takes to be seen on its way
    group = cloud.create_group(name, {}, hooks=False)
    yield group
    group.delete()
    eventually(lambda: not group.states(), "the group is gone")
    eventually(lambda: cloud.in_flight() == 0, "the last terminations are worked off")


@pytest.mark.story
def test_a_plain_group_is_onboarded_by_one_command_and_offboarded_without_losing_an_instance(
    cloud: Cloud, tower: Tower, plain: Group, name: str
) -> None:
    plain.scale(1)
    (old,) = eventually(plain.in_service, "it serves before")
    wanted = ("--inventory", name, "--job-template", name, "--yes", "--json")
    refused = rollcall(cloud, "onboard", plain.name, *wanted)
    assert refused.returncode == 2
    assert "--young" in refused.stderr, "what becomes of an instance that serves already is never guessed"
    assert (hooks_of(cloud, plain), tags_of(cloud, plain)) == ([], {})
    done = rollcall(
        cloud, "onboard", plain.name, *wanted, "--young", "provision", "--scale-out", "--abandon", "--for", "60"
    )
    said = answer(done)
    assert "; its job runs" in done.stderr, "as status says it"
    new = said["first"]["instance"]
    assert (said["first"]["ended"], said["young"], said["abandon"]) == ("good", [old], True)
    assert plain.in_service() == {old, new}
    assert new in {host.name for host in tower.hosts(name)}
    assert tags_of(cloud, plain)["rollcall:on-failure"] == "abandon"
    assert {hook["DefaultResult"] for hook in hooks_of(cloud, plain)} == {"ABANDON", "CONTINUE"}

    tower.set_job_time(3)
    plain.scale(3)
    eventually(lambda: "Pending:Wait" in plain.states().values(), "one waits for its job")
    said = answer(rollcall(cloud, "offboard", plain.name, "--yes", "--remove-hosts", "--json"))
    assert said["answered"] == [], "none was let in unproven"
    assert len(said["way_back"]) > 2
    assert (hooks_of(cloud, plain), tags_of(cloud, plain)) == ([], {})
    eventually(lambda: len(plain.in_service()) == 3, "the one that waited serves")
    assert not any(each.state.startswith("Terminating") for each in plain.transitions()), "none was lost"
    assert {host.name for host in tower.hosts(name)} == set()


def test_an_emergency_lets_in_what_waits_and_what_arrives_and_restored_the_hooks_are_as_before(
    cloud: Cloud, tower: Tower, plain: Group, name: str
) -> None:
    plain.tag({"inventory": name, "job-template": name})
    plain.put_hook("rollcall-launching", "LAUNCHING", heartbeat_timeout=600)
    plain.put_hook("rollcall-terminating", "TERMINATING", heartbeat_timeout=700)
    before = hooks_of(cloud, plain)
    tower.set_job_time(120)
    plain.scale(SIZE)
    eventually(lambda: list(plain.states().values()) == ["Pending:Wait"] * SIZE, "they wait for their job")
    said = answer(rollcall(cloud, "offboard", plain.name, "--emergency", "--yes", "--for", "0", "--json"), code=1)
    assert len(said["let_in"]) == SIZE
    assert said["in_emergency"]
    assert said["unproven"].keys() >= set(said["let_in"]) & plain.in_service()
    eventually(lambda: len(plain.in_service()) == SIZE, "they serve")
    plain.scale(SIZE + 1)
    eventually(lambda: "Pending:Wait" in plain.states().values(), "another one arrives")
    again = answer(rollcall(cloud, "offboard", plain.name, "--emergency", "--yes", "--for", "0", "--json"), code=1)
    assert len(again["let_in"]) == 1
    eventually(lambda: len(plain.in_service()) == SIZE + 1, "it serves")
    eventually(lambda: len({host.name for host in tower.hosts(name)}) == SIZE + 1, "each is registered all the same")
    found = next(each for each in cloud.doctor(groups=[plain.name])["findings"] if each["key"].endswith("in emergency"))
    assert f"rollcall offboard --restore {plain.name}" in found["remedy"]
    restored = answer(rollcall(cloud, "offboard", plain.name, "--restore", "--json"), code=1)
    assert len(restored["unproven"]) == SIZE + 1
    assert hooks_of(cloud, plain) == before
    assert "rollcall:emergency" not in tags_of(cloud, plain)
    assert answer(rollcall(cloud, "offboard", plain.name, "--restore", "--json"))["unproven"] == {}
    assert not any(each.state.startswith("Terminating") for each in plain.transitions()), "none was lost"
