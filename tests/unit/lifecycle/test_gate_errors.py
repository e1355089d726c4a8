"""What fails in a round of the gate fails those whom it is about, and nobody else."""

from __future__ import annotations

from copy import replace

import pytest

from rollcall.domain.actions import Result
from rollcall.domain.errors import Throttled, TowerUnavailable
from rollcall.domain.jobs import Job, Outcome
from rollcall.domain.messages import GateMessage
from rollcall.evidence.stuck_jobs import StuckJobs
from rollcall.lifecycle.circuit_breaker import GroupOutcomes, why_playbook_suspected
from rollcall.lifecycle.running_jobs import JobCancellations
from unit.world import World, ids, outcomes, warning

AWAY = TowerUnavailable("away")
NOTHING = GroupOutcomes({}, {})
FAILED = GroupOutcomes({"i-a": Outcome.FAILED}, {})
LOST = GroupOutcomes({}, {"i-a": Outcome.FAILED})
OK = GroupOutcomes({"i-a": Outcome.OK, "i-b": Outcome.FAILED}, {})


def merged(first: GateMessage, *others: GateMessage) -> GateMessage:
    return replace(first, waiting=first.waiting + tuple(each for other in others for each in other.waiting))


def test_whom_a_job_is_at_work_on_waits_on_though_the_jobs_of_others_cannot_be_read(world: World) -> None:
    world.group("web")
    busy, other = world.waiting("i-a"), world.waiting("i-b")
    world.tower.failing["jobs_holding"] = AWAY
    result = world.evaluate_one(merged(busy, other))
    assert [(ids(message), message.waiting[0].action.failed_before) for message, _ in result.next] == [
        ({"i-a"}, False),
        ({"i-b"}, True),
    ]
    assert [(report.action.instance_id, report.error) for report in result.reports] == [("i-b", AWAY)]


def test_who_waits_for_events_waits_on_though_checks_of_others_cannot_be_evaluated(world: World) -> None:
    world.group("web", gate="job ec2")
    pending, done = world.waiting("i-a"), world.waiting("i-b")
    world.tower.end_job(done.job_id or 0, {"i-b": Outcome.OK})
    world.tower.end_job(pending.job_id or 0, {}, processed=False)
    world.fleet.failing["passing_status_checks"] = Throttled("later")
    result = world.evaluate_one(merged(pending, done))
    assert [(ids(message), message.waiting[0].action.failed_before) for message, _ in result.next] == [
        ({"i-a"}, False),
        ({"i-b"}, True),
    ]


def test_who_is_ready_continues_though_what_follows_fails(world: World) -> None:
    world.group("web")
    message = world.waiting("i-a", "i-b")
    world.tower.end_job(message.job_id or 0, {"i-a": Outcome.UNREACHABLE, "i-b": Outcome.OK})
    world.fleet.failing["memberships"] = Throttled("later")
    result = world.evaluate_one(message)
    assert [action.instance_id for action in world.fleet.completed] == ["i-b"]
    assert outcomes(result)["i-b"] == "ready"
    assert [ids(each) for each, _ in result.next] == [{"i-a"}]


def test_that_a_job_without_hosts_cannot_be_cancelled_is_noted_and_keeps_none_of_those_that_left(world: World) -> None:
    world.group("web")
    message = replace(world.waiting("i-a"), heartbeat_at=0)
    world.leaves("i-a")
    world.fleet.stale.add("i-a")
    world.tower.failing["cancel"] = AWAY
    result = world.evaluate_one(message)
    assert result.error is None
    assert world.tower.names_in(world.inventory) == set()
    assert not result.next
    [note] = [warning(report) for report in result.reports if warning(report)]
    assert note == f"job {message.job_id} is not cancelled, though all its instances may have left: away"


@pytest.fixture
def job(world: World) -> Job:
    return world.tower.add_job(world.template, world.inventory, "i-a")


def test_a_job_is_tried_to_be_cancelled_once_and_its_error_is_everybodys(world: World, job: Job) -> None:
    world.tower.failing["cancel"] = AWAY
    cancellations = JobCancellations(StuckJobs(world.tower, world.evidence))
    for _ in range(2):
        with pytest.raises(TowerUnavailable):
            cancellations.cancel(job)
    assert world.tower.calls["cancel"] == 1
    assert not cancellations.is_cancelled(job)


def test_a_job_that_is_cancelled_is_so_for_the_round(world: World, job: Job) -> None:
    cancellations = JobCancellations(StuckJobs(world.tower, world.evidence))
    assert not cancellations.is_cancelled(job)
    assert [cancellations.cancel(job) for _ in range(2)] == ["", ""]
    assert world.tower.calls["cancel"] == 1
    assert cancellations.is_cancelled(job)


@pytest.mark.parametrize(
    ("shown", "suspected", "taken"),
    [
        ([FAILED, FAILED, FAILED, OK], "the last 3 jobs failed", 3),
        ([FAILED, LOST, NOTHING, FAILED, OK], "the last 3 jobs failed", 4),
        ([FAILED, None, FAILED, OK], "still processes the events of job", 3),
        ([FAILED, None, OK, FAILED], "", 3),
        ([FAILED, FAILED], "", 2),
        ([OK], "", 1),
        ([GroupOutcomes(dict.fromkeys("abcdefghij", Outcome.FAILED), {}), OK], "failed on all 10", 1),
        ([FAILED, GroupOutcomes(dict.fromkeys("abcdefghij", Outcome.FAILED), {}), OK], "", 3),
    ],
)
def test_the_playbook_is_suspected_by_what_jobs_showed_and_no_more_are_read_than_that_takes(
    job: Job, shown: list[GroupOutcomes | None], suspected: str, taken: int
) -> None:
    left = iter(shown)
    why = why_playbook_suspected(((job, each) for each in left), "fix it")
    assert suspected in why
    assert bool(why) == bool(suspected)
    assert len(shown) - len(list(left)) == taken


def test_whoever_serves_already_is_no_more_ready_than_the_watch_that_could_not_begin(world: World) -> None:
    world.group("web", watch="60")
    world.behind("arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0")
    message = world.waiting("i-a")
    serving = replace(message.waiting[0], action=replace(message.waiting[0].action, hook=None, token=None))
    world.leaves("i-a", state="InService")
    world.tower.end_job(message.job_id or 0, {"i-a": Outcome.OK})
    world.queues.failing["send"] = Throttled("no more")
    result = world.evaluate_one(replace(message, waiting=(serving,)))
    assert isinstance(result.error, Throttled)
    assert not result.reports
    assert Result.CONTINUE not in world.fleet.completed.values()
