"""`rollcall status` of a deployed stack: what instances wait for, and that nothing is changed by looking."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import SIGINT
from subprocess import PIPE
from typing import Any

import pytest

from lab.cloud import COMMAND_TIMEOUT, Cloud, Group, eventually
from lab.cycles import AT_ONE, start_cycle, with_versions
from lab.tower.embedded import Tower
from rollcall.workflow.settling import SETTLE_AFTER

type Json = dict[str, Any]

LONG = 300  # seconds at a checkpoint, within which a test ends the cycle


def status(cloud: Cloud, *arguments: str) -> Json:
    """The answer of `rollcall status --json`."""
    done = cloud.rollcall("status", "--json", *arguments)
    assert done.returncode in (0, 1), done.stderr
    answer: Json = json.loads(done.stdout)
    assert answer["missing"] == []
    return answer


def step_of(cloud: Cloud, group: Group, instance_id: str) -> Json:
    """What is said of one instance, nothing if it is not among those that wait."""
    found = status(cloud, group.name)["instances"]
    return next((each for each in found if each["instance"] == instance_id), {})


@contextmanager
def no_job_begins(tower: Tower) -> Iterator[None]:
    """Jobs wait in Tower's queue until the block ends, however long a command takes."""
    capacity = tower.capacity
    tower.capacity = 0
    try:
        yield
    finally:
        tower.capacity = capacity


@pytest.mark.story
def test_status_follows_an_instance_and_changes_nothing(
    make_group: Callable[..., Group], cloud: Cloud, tower: Tower, name: str
) -> None:
    target_group = cloud.create_target_group("".join(each for each in name if each.isalnum())[-32:])
    cloud.aws.say_of_target(target_group, "unhealthy", "Target.FailedHealthChecks")
    with no_job_begins(tower):
        group = make_group(
            gate="job elb", on_failure="hold", timeout="5", traffic={"TargetGroupARNs": [target_group]}, size=1
        )
        (instance_id,) = eventually(group.states, "launched")
        (job,) = eventually(lambda: tower.jobs(name), "its job")
        waits = step_of(cloud, group, instance_id)
    assert waits["step"] in ("job_wanted", "job_runs")
    assert (waits["state"], waits["job"]["id"]) == ("Pending:Wait", job.id)
    assert waits["job"]["url"] == f"{cloud.tower_url}/#/jobs/playbook/{job.id}/output"
    assert waits["ends"]["with"] == "ABANDON"

    def held_by_its_check() -> Json | None:
        """What is said of it once the gate has made it a target: before that the check is not sure."""
        found = step_of(cloud, group, instance_id)
        answers = [(each["check"], each["answer"]) for each in found.get("checks", ())]
        return found if answers == [("job", "passes"), ("elb", "fails")] and found["step"] == "held" else None

    held = eventually(held_by_its_check, "held by its check")
    assert "unhealthy (Target.FailedHealthChecks)" in held["checks"][1]["reason"]
    shown = cloud.rollcall("status", group.name)
    assert shown.returncode == 1
    assert shown.stdout.startswith("1 instance waits, 1 held")
    [line] = [each for each in shown.stdout.splitlines() if instance_id in each]
    assert line.startswith(f"{group.name}: {instance_id}  held (Pending:Wait, waits for ")

    cloud.aws.say_of_target(target_group, "healthy")
    eventually(lambda: group.in_service() == {instance_id}, "in service")
    assert status(cloud, group.name)["instances"] == []


def test_status_shows_a_cycle_and_what_it_has_pinned(make_group: Callable[..., Group], cloud: Cloud) -> None:
    group = make_group(traffic=AT_ONE | {"version": "$Default"})
    with_versions(group, 2)
    slowly: Json = {"checkpoints": [50, 100], "checkpoint_seconds": LONG}
    cycle = start_cycle(group, launch_template_version="2", batch=1, pin=True, **slowly)
    cycle.reaches("waiting at a checkpoint")
    [shown] = status(cloud, group.name)["cycles"]
    assert (shown["group"], shown["name"], shown["phase"]) == (group.name, cycle.name, "waiting at a checkpoint")
    assert shown["percent"] == 50
    lines = cloud.rollcall("status", group.name).stdout.splitlines()
    assert any(
        f"{group.name}: waiting at a checkpoint, 50 %, running for " in each and cycle.name in each for each in lines
    )
    assert any(f"pinned from $Default to a number by cycle {cycle.name}, which puts it back" in each for each in lines)
    cloud.aws.drop_events("Step Functions Execution Status Change")
    cycle.stop()
    eventually(lambda: status(cloud, group.name)["cycles"] == [], "it runs no more")
    [pin] = status(cloud, group.name)["pins"]
    assert (pin["group"], pin["cycle_runs"]) == (group.name, False)
    cycle.age(group, SETTLE_AFTER + 60)
    cloud.reconcile(groups=[group.name])
    eventually(lambda: status(cloud, group.name)["pins"] == [], "it is put back")


@pytest.mark.story
def test_status_only_reads_and_knows_of_the_last_run_of_reconcile(
    make_group: Callable[..., Group], cloud: Cloud, tower: Tower
) -> None:
    group = make_group()
    cloud.reconcile(groups=[group.name])
    eventually(lambda: (status(cloud)["last_run"]["at"] or 0) >= cloud.runs[-1].began - 1, "its log is there")
    tower.forget_requests()
    answer = status(cloud, group.name)
    assert answer["groups"] == [group.name]
    assert {each["queue"] for each in answer["queues"]} >= {"LaunchQueue", "GateQueue", "TerminateDeadLetterQueue"}
    assert {each.method for each in tower.requests()} == {"GET"}


def test_a_watched_status_ends_with_ctrl_c(cloud: Cloud) -> None:
    with cloud.begun("status", "--watch", "--every", "5", stdout=PIPE, stderr=PIPE) as watching:
        assert watching.stdout is not None
        assert any("stack rollcall, " in line for line in iter(watching.stdout.readline, ""))
        watching.send_signal(SIGINT)
        _, said = watching.communicate(timeout=COMMAND_TIMEOUT)
    assert watching.returncode == 130, said
    assert "Traceback" not in said


def test_a_secret_that_holds_no_token_leaves_what_aws_shows(
    make_group: Callable[..., Group], cloud: Cloud, tower: Tower
) -> None:
    with no_job_begins(tower):
        group = make_group(size=1)
        (instance_id,) = eventually(group.states, "launched")
        done = cloud.rollcall("status", "--json", group.name, ROLLCALL_TOWER_TOKEN="wrong")
    answer: Json = json.loads(done.stdout)
    assert (done.returncode, [each["what"] for each in answer["missing"]]) == (
        1,
        ["what Tower knows of the instances that wait"],
    )
    assert [(each["instance"], each["step"]) for each in answer["instances"]] == [(instance_id, "not_known")]
