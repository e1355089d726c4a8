"""The first instance, watched on the embedded Auto Scaling and a Tower in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from rollcall.checks.registry import read_group_settings
from rollcall.domain.groups import Group
from rollcall.domain.jobs import Job, JobStatus, Outcome
from rollcall_cli.onboarding.watch import Ended, First, Sight, Watching
from rollcall_cli.scaling_group import ScalingGroup
from unit.auto_scaling_world import World as AutoScalingWorld
from unit.world import World

JOB = Job(7, 1, JobStatus.RUNNING, frozenset({"i-a"}), 0, None, None, "")
OK, FAILED = JobStatus.SUCCESSFUL, JobStatus.FAILED


@pytest.mark.parametrize(
    ("state", "status", "ended"),
    [
        ("Pending:Wait", JobStatus.RUNNING, None),
        ("Pending:Wait", FAILED, None),  # it is held
        ("Pending:Proceed", OK, None),
        ("InService", OK, Ended.GOOD),
        ("InService", FAILED, Ended.UNPROVEN),
        ("InService", None, Ended.UNPROVEN),
        ("Terminating:Wait", FAILED, Ended.GONE),
        (None, None, Ended.GONE),
    ],
)
def test_what_became_of_it_is_read_from_its_state_and_its_job(
    state: str | None, status: JobStatus | None, ended: Ended | None
) -> None:
    job = JOB._replace(status=status) if status else None
    assert Sight(state, True, job, wants_job=True).ended() == ended


def test_where_the_group_has_no_job_to_be_in_service_is_enough() -> None:
    assert Sight("InService", True, None, wants_job=False).ended() == Ended.GOOD


@dataclass
class Watched:
    """A group that is watched, and what happens while it is, each time that the command sleeps."""

    aws: AutoScalingWorld
    tower: World
    happens: Iterable[Callable[[], object]]

    def first(self, seconds: float = 60) -> tuple[First, list[str]]:
        said: list[str] = []
        settings = read_group_settings(
            Group(self.aws.name, {"rollcall:inventory": "prod", "rollcall:job-template": "provision"}, {})
        )
        assert settings
        coming = iter(self.happens)

        def sleep(_: float) -> None:
            next(coming)()
            self.aws.tick()

        def waits_for(instance_id: str) -> str:
            assert self.aws.states()[instance_id] == "Pending:Wait", "nothing else is held"
            return "its job runs" if self.tower.tower.runs else ""

        group = ScalingGroup(self.aws.client, self.aws.name)
        known = group.read().instances
        watching = Watching(group, self.tower.tower, settings, known, said.append, waits_for, sleep)
        return watching.first(seconds), said


def test_it_is_watched_from_its_launch_until_it_serves() -> None:
    aws, world = AutoScalingWorld("launch"), World()
    aws.scale(1)
    aws.answer("launch", InstanceId=aws.one("Pending:Wait"))
    (old,) = aws.ids("InService")

    def registered() -> None:
        new = aws.one("Pending:Wait")
        world.tower.add_host(world.inventory, new)
        world.tower.add_job(world.template, world.inventory, new)

    def provisioned() -> None:
        (job_id,) = world.tower.runs
        world.tower.end_job(job_id, {aws.one("Pending:Wait"): Outcome.OK})

    happens = [
        lambda: aws.scale(2),
        registered,
        provisioned,
        lambda: aws.answer("launch", InstanceId=aws.one("Pending:Wait")),
    ]
    first, said = Watched(aws, world, happens).first()
    assert first.ended == Ended.GOOD
    assert first.id != old
    (job_id,) = world.tower.runs
    assert [line.partition(": ")[2] for line in said] == [
        "Pending:Wait, no host yet, no job yet",
        f"Pending:Wait, host in Tower, job {job_id} running; its job runs",
        f"Pending:Wait, host in Tower, job {job_id} successful; its job runs",
        f"InService, host in Tower, job {job_id} successful",
    ]


def test_when_the_time_is_over_it_still_waits_or_none_came() -> None:
    aws, world = AutoScalingWorld("launch"), World()
    assert Watched(aws, world, []).first(0)[0] == First("", Ended.NONE)
    aws.scale(1)
    waiting = aws.one("Pending:Wait")
    group = ScalingGroup(aws.client, aws.name)
    settings = read_group_settings(Group(aws.name, {"rollcall:inventory": "prod"}, {}))
    assert settings
    first = Watching(group, world.tower, settings, [], lambda words: None).first(0)
    assert first == First(waiting, Ended.WAITING, "Pending:Wait, no host yet")


def test_it_is_watched_on_though_tower_is_away() -> None:
    aws, world = AutoScalingWorld("launch"), World()
    world.tower.unavailable = True
    happens = [lambda: aws.scale(1), lambda: aws.answer("launch", InstanceId=aws.one("Pending:Wait"))]
    first, said = Watched(aws, world, happens).first()
    assert first.ended == Ended.UNPROVEN
    assert any(line.startswith("Tower cannot be asked") for line in said)
