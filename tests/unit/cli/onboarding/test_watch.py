"""The first instance, watched on the embedded Auto Scaling and a Tower in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from rollcall.checks.registry import read_group_settings
from rollcall.domain.errors import AwsDenied
from rollcall.domain.groups import Group
from rollcall.domain.jobs import Job, JobStatus, Outcome
from rollcall.evidence.proofs import Proof
from rollcall_cli.onboarding.watch import Ended, First, Sight, Watching, not_resting
from rollcall_cli.scaling_group import ScalingGroup
from unit.auto_scaling_world import World as AutoScalingWorld
from unit.world import World

JOB = Job(7, 1, JobStatus.RUNNING, frozenset({"i-a"}), 0, None, None, "")
OK, FAILED = JobStatus.SUCCESSFUL, JobStatus.FAILED


@pytest.mark.parametrize(
    ("state", "status", "outcome", "ended"),
    [
        ("Pending:Wait", JobStatus.RUNNING, None, None),
        ("Pending:Wait", FAILED, Outcome.FAILED, None),  # it is held
        ("Pending:Proceed", OK, Outcome.OK, None),
        ("InService", OK, Outcome.OK, Ended.GOOD),
        ("InService", FAILED, Outcome.OK, Ended.GOOD),  # the job failed on another
        ("InService", FAILED, Outcome.FAILED, Ended.UNPROVEN),
        ("InService", OK, Outcome.UNPROVEN, Ended.UNPROVEN),  # the job passed it over
        ("InService", OK, None, None),  # Tower still processes what it showed
        ("InService", JobStatus.RUNNING, None, Ended.UNPROVEN),
        ("InService", None, None, Ended.UNPROVEN),
        ("Terminating:Wait", FAILED, Outcome.FAILED, Ended.GONE),
        (None, None, None, Ended.GONE),
    ],
)
def test_what_became_of_it_is_read_from_its_state_and_what_its_job_showed_of_it(
    state: str | None, status: JobStatus | None, outcome: Outcome | None, ended: Ended | None
) -> None:
    proof = Proof(True, JOB._replace(status=status) if status else None, outcome)
    assert Sight(state, proof, wants_job=True).ended() == ended


@pytest.mark.parametrize(
    ("proof", "ended"),
    [
        (None, Ended.UNKNOWN),
        (Proof(True, JOB, None), Ended.UNKNOWN),
        (Proof(True, JOB._replace(status=OK), Outcome.OK), Ended.GOOD),
    ],
)
def test_a_tower_that_is_away_says_neither_yes_nor_no(proof: Proof | None, ended: Ended) -> None:
    sight = Sight("InService", proof, wants_job=True, fresh=False)
    assert sight.after_all() == ended
    assert sight.ended() == (ended if ended == Ended.GOOD else None)


def test_where_the_group_has_no_job_to_be_in_service_is_enough() -> None:
    proof = Proof(True, None, None, has_template=False)
    assert Sight("InService", proof, wants_job=False).ended() == Ended.GOOD


def test_an_outcome_that_is_not_the_jobs_is_said() -> None:
    failed, passed_over = JOB._replace(status=FAILED), JOB._replace(status=OK)
    words = "InService, host in Tower, job 7"
    assert Sight("InService", Proof(True, failed, Outcome.OK), True).words() == f"{words} failed, which was ok on it"
    assert (
        Sight("InService", Proof(True, passed_over, Outcome.UNPROVEN), True).words()
        == f"{words} successful, which proved nothing about it"
    )


@dataclass
class Watched:
    """A group that is watched, and what happens while it is, each time that the command sleeps."""

    aws: AutoScalingWorld
    tower: World
    happens: Iterable[Callable[[], object]]
    denied: bool = False

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
            if self.denied:
                raise AwsDenied("AWS refused DescribeInstances")
            return "its job runs" if self.tower.tower.runs else ""

        group = ScalingGroup(self.aws.client, self.aws.name)
        before = group.read().instances
        tower, evidence = self.tower.tower, self.tower.evidence
        watching = Watching(group, tower, settings, before, said.append, lambda: evidence, waits_for, sleep)
        return watching.first(seconds), said


def test_it_is_watched_from_its_launch_until_it_serves() -> None:
    aws, world = AutoScalingWorld("launch"), World()
    aws.scale(1)
    aws.answer("launch", InstanceId=aws.one("Pending:Wait"))
    (old,) = aws.ids("InService")

    first, said = Watched(aws, world, [lambda: aws.scale(2), *steps(aws, world)[1:]]).first()
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
    first = Watching(group, world.tower, settings, {}, lambda words: None, lambda: world.evidence).first(0)
    assert first == First(waiting, Ended.WAITING, "Pending:Wait, no host yet")


def steps(aws: AutoScalingWorld, world: World) -> list[Callable[[], object]]:
    """The way of one instance: it comes, is registered, its job ends well, and it goes into service."""

    def registered() -> None:
        new = aws.one("Pending:Wait")
        world.tower.add_host(world.inventory, new)
        world.tower.add_job(world.template, world.inventory, new)

    def provisioned() -> None:
        (job_id,) = world.tower.runs
        world.tower.end_job(job_id, {aws.one("Pending:Wait"): Outcome.OK})

    return [
        lambda: aws.scale(1),
        registered,
        provisioned,
        lambda: aws.answer("launch", InstanceId=aws.one("Pending:Wait")),
    ]


def test_a_job_that_was_seen_to_go_well_counts_though_tower_is_away_when_it_serves() -> None:
    aws, world = AutoScalingWorld("launch"), World()
    *way, serves = steps(aws, world)

    def serves_while_tower_is_away() -> None:
        world.tower.unavailable = True
        serves()

    first, said = Watched(aws, world, [*way, lambda: None, serves_while_tower_is_away]).first()
    assert first.ended == Ended.GOOD
    assert any(line.startswith("Tower cannot be asked") for line in said)


def test_while_tower_is_away_it_is_watched_on_and_its_answer_then_counts() -> None:
    aws, world = AutoScalingWorld("launch"), World()
    world.tower.unavailable = True

    def comes_back() -> None:
        world.tower.unavailable = False

    first, said = Watched(aws, world, [*steps(aws, world), lambda: None, comes_back]).first()
    assert first.ended == Ended.GOOD
    assert [line for line in said if line.startswith("Tower cannot")] == [
        "Tower cannot be asked: Tower is away: run this where Tower can be reached: by its VPN, or on a machine in its "
        "network"
    ]


def test_what_aws_does_not_say_is_not_laid_to_tower() -> None:
    aws, world = AutoScalingWorld("launch"), World()
    first, said = Watched(aws, world, steps(aws, world), denied=True).first()
    assert first.ended == Ended.GOOD
    assert not any("Tower cannot be asked" in line for line in said)
    assert [line for line in said if line.startswith("What it waits for")] == [
        "What it waits for is not known: AWS refused DescribeInstances\n"
        "Set credentials and a Region: --profile and --region, or AWS_PROFILE and AWS_DEFAULT_REGION."
    ]


def test_one_that_comes_out_of_the_warm_pool_is_the_first() -> None:
    aws, world = AutoScalingWorld("launch"), World()
    aws.put_pool(MinSize=1, MaxGroupPreparedCapacity=1)
    warm = aws.one("Warmed:Pending:Wait")
    aws.answer("launch", InstanceId=warm)
    assert aws.one("Warmed:Stopped") == warm
    first, _ = Watched(aws, world, steps(aws, world)).first()
    assert first == First(warm, Ended.GOOD, first.words)


def test_who_rests_or_ends_in_a_warm_pool_is_nobody_to_watch() -> None:
    states = {"i-new": "Pending", "i-in": "Warmed:Pending:Wait", "i-rests": "Warmed:Stopped", "i-out": "InService"}
    states |= {"i-ends": "Warmed:Terminating:Wait", "i-reimaged": "ReplacingRootVolume:Wait"}
    assert not_resting(states) == {"i-new", "i-out"}
