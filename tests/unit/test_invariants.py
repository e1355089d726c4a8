"""The checks of the invariants find what breaks them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from lab.aws import Timeout, Transition
from lab.cloud import Cloud
from lab.invariants import broken_invariants
from lab.tower import HostLife, JobRecord

LAUNCHED = Transition(100, "web", "i-a", "10.0.0.1", "Pending")
SERVING = Transition(110, "web", "i-a", "10.0.0.1", "InService")
GOING = Transition(200, "web", "i-a", "10.0.0.1", "Terminating:Proceed")
JOB = JobRecord(
    id=1,
    template="provision",
    inventory="prod",
    limit="i-a",
    status="successful",
    created=101,
    started=102,
    finished=105,
    hosts={"i-a": "ok"},
    addresses={"i-a": "10.0.0.1"},
    cut_short=False,
    explanation="",
    extra_vars="{}",
    launched_by="admin",
    events_processed=True,
)
HOST = HostLife(1, "i-a", "i-a", "prod", "web", "10.0.0.1", created=101, removed=199)


def broken(
    transitions: list[Transition] | None = None,
    jobs: list[JobRecord] | None = None,
    lives: list[HostLife] | None = None,
    timeouts: list[Timeout] | None = None,
    in_flight: int = 0,
    dead: int = 0,
) -> list[str]:
    """What is broken in a world that is whole but for what is given; the invariants' names."""
    tags = [{"Key": "rollcall:job-template", "Value": "provision"}]
    group = {"AutoScalingGroups": [{"AutoScalingGroupName": "web", "Tags": tags}]}
    world: Any = SimpleNamespace(
        aws=SimpleNamespace(
            transitions=lambda: [LAUNCHED, SERVING, GOING] if transitions is None else transitions,
            timeouts=lambda: timeouts or [],
            client=lambda service: SimpleNamespace(describe_auto_scaling_groups=lambda **asked: group),
        ),
        tower=SimpleNamespace(
            jobs=lambda: [JOB] if jobs is None else jobs,
            host_lives=lambda: [HOST] if lives is None else lives,
        ),
        in_flight=lambda: in_flight,
        dead_letters=lambda: {"Launch": dead},
    )
    return [sentence.partition(":")[0] for sentence in broken_invariants(cast("Cloud", world), ["web"])]


def test_a_world_in_which_all_went_well_breaks_nothing() -> None:
    assert broken() == []


def test_an_instance_that_serves_without_a_job_is_found() -> None:
    assert broken(jobs=[]) == ["I1"]


def test_a_job_that_ended_after_the_instance_served_proves_nothing() -> None:
    assert broken(jobs=[replace(JOB, finished=111)]) == ["I1"]


def test_a_job_that_failed_or_was_cut_short_proves_nothing() -> None:
    assert broken(jobs=[replace(JOB, hosts={"i-a": "failed"})]) == ["I1"]
    assert broken(jobs=[replace(JOB, cut_short=True)]) == ["I1"]


def test_a_host_that_is_still_there_when_its_hook_ends_is_found() -> None:
    assert broken(lives=[replace(HOST, removed=201)]) == ["I2"]
    assert broken(lives=[replace(HOST, removed=None)]) == ["I2"]


def test_a_host_of_somebody_elses_with_the_instances_id_is_found_too() -> None:
    assert broken(lives=[HOST, replace(HOST, id=2, name="web-1", inventory="other", group="", removed=None)]) == ["I2"]


def test_a_job_without_a_limit_is_found() -> None:
    assert broken(jobs=[JOB, replace(JOB, id=2, limit="")]) == ["I3"]


def test_a_job_that_names_a_host_that_is_no_instance_is_found() -> None:
    assert broken(jobs=[JOB, replace(JOB, id=2, limit="i-a,db-1")]) == ["I3"]


def test_a_job_that_ran_outside_its_limit_is_found() -> None:
    assert broken(jobs=[replace(JOB, hosts={"i-a": "ok", "i-b": "ok"})]) == ["I3"]


def test_two_hosts_with_one_address_at_one_time_are_found() -> None:
    other = replace(HOST, id=2, name="i-b", instance_id="i-b", created=150, removed=None)
    assert broken(lives=[HOST, other]) == ["I5"]
    assert broken(lives=[HOST, replace(other, created=199)]) == []
    assert broken(lives=[HOST, replace(other, inventory="other")]) == []


def test_a_wait_that_nobody_answered_is_found() -> None:
    assert broken(timeouts=[Timeout(120, "web", "i-a", "rollcall-launching")]) == ["I6"]
    assert broken(timeouts=[Timeout(120, "db", "i-z", "rollcall-launching")]) == []


def test_what_is_left_in_a_queue_or_set_aside_is_found() -> None:
    assert broken(in_flight=1) == ["I6"]
    assert broken(dead=1) == ["I6"]
