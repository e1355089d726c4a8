"""One round of waiting instances: what is asked, what is done, and what goes on."""

from __future__ import annotations

import importlib.util
import sys
import time
from copy import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.actions import Result
from rollcall.domain.errors import AwsDenied, BadEvent, BadSettings, Throttled, TowerRejected, TowerUnavailable
from rollcall.domain.jobs import JobStatus, Outcome
from rollcall.domain.message_format import write_gate_message
from rollcall.domain.messages import RetireMessage, Watched, WatchMessage
from rollcall.domain.reports import NO_LONGER_WAITING, Event
from rollcall.lifecycle.gate_context import GoingOn
from rollcall.lifecycle.gate_observer import AtWork
from rollcall.lifecycle.running_jobs import RunningJobs
from rollcall.runtime.batch import BatchProcessor
from unit.fakes import REGION
from unit.world import OWN_QUEUE, Alerted, World, alerts, ids, outcomes

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollcall.domain.messages import GateMessage
    from rollcall.lifecycle.gate_round import Round

OK, FAILED, UNREACHABLE = Outcome.OK, Outcome.FAILED, Outcome.UNREACHABLE
CUT_SHORT, UNPROVEN = Outcome.CUT_SHORT, Outcome.UNPROVEN


def completed(world: World) -> dict[str, Result]:
    return {action.instance_id: result for action, result in world.fleet.completed.items()}


def on_its_way(result: Round[GateMessage]) -> list[str]:
    """Every instance that goes on, once for each message that carries it."""
    return sorted(each for message, _ in result.next for each in ids(message))


# While the job runs


def test_a_running_job_sends_everybody_on_with_a_delay(world: World) -> None:
    message = world.waiting("i-a", "i-b")
    result = world.evaluate_one(message)
    [(sent, delay)] = result.next
    assert sent == replace(message, polls=1)
    assert delay >= 1
    assert not result.reports
    assert not world.fleet.completed


def test_a_round_with_a_running_job_asks_the_same_of_tower_however_many_wait(world: World) -> None:
    world.evaluate_one(world.waiting(*[f"i-{number}" for number in range(100)]))
    assert world.tower.calls == {"jobs": 1, "usual_durations": 1, "inventory": 1, "job_template": 1}


def test_one_read_of_the_jobs_serves_all_messages_of_a_batch(world: World) -> None:
    messages = [world.waiting(each) for each in ("i-a", "i-b", "i-c")]
    world.end(messages[0], i_a=OK)
    results = world.evaluate(*messages)
    assert world.tower.calls["jobs"] == 1
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert [on_its_way(result) for result in results] == [[], ["i-b"], ["i-c"]]


def test_the_polls_of_one_job_are_counted(world: World) -> None:
    message = world.waiting("i-a")
    for rounds in range(1, 5):
        [(message, _)] = world.evaluate_one(message).next
        assert message.polls == rounds


def test_a_job_of_usual_length_is_left_alone_until_it_may_end(world: World) -> None:
    world.tower.usual = (300.0, 310.0, 320.0)
    message = world.waiting("i-a")
    world.clock.advance(10)
    [(_, delay)] = world.evaluate_one(message).next
    assert delay == 287


@pytest.mark.parametrize("timeout", [30, 60, 300, 3600])
def test_no_delay_exceeds_a_third_of_the_shortest_heartbeat_timeout(world: World, timeout: int) -> None:
    world.tower.usual = (100_000.0,)
    world.group("web", heartbeat_timeout=7200)
    world.group("db", heartbeat_timeout=timeout)
    job = world.tower.add_job(world.template, world.inventory, "i-a", "i-b")
    web = world.waiting("i-a", job=job)
    db = world.waiting("i-b", group="db", job=job)
    [(_, delay)] = world.evaluate_one(replace(web, waiting=web.waiting + db.waiting)).next
    assert delay == timeout / 3


def test_a_pending_job_alerts_after_ten_minutes_and_only_once(world: World) -> None:
    message = world.waiting("i-a")
    run = world.tower.runs[message.job_id or 0]
    run.job = replace(run.job, status=JobStatus.PENDING, started_at=None)
    world.clock.advance(601)
    result = world.evaluate_one(message)
    assert [alert.action.instance_id for alert in alerts(result)] == ["i-a"]
    [(message, _)] = result.next
    assert not alerts(world.evaluate_one(message))


def test_a_job_whose_events_are_not_processed_decides_nothing_yet(world: World) -> None:
    message = world.waiting("i-a")
    world.end(message, processed=False, i_a=OK)
    result = world.evaluate_one(message)
    assert on_its_way(result) == ["i-a"]
    assert not world.fleet.completed
    world.tower.runs[message.job_id or 0].processed = True
    world.evaluate_one(result.next[0][0])
    assert completed(world) == {"i-a": Result.CONTINUE}


@pytest.mark.parametrize(("age", "delay"), [(0, 2), (20, 5), (58, 15), (600, 30)])
def test_a_job_whose_events_are_not_processed_is_looked_at_ever_more_rarely(
    world: World, age: float, delay: float
) -> None:
    message = world.waiting("i-a")
    world.end(message, processed=False, i_a=OK)
    world.clock.advance(age)
    result = world.evaluate_one(message)
    assert [one for _, one in result.next] == [delay]
    assert not alerts(result)


def test_a_job_whose_events_are_never_processed_proves_nothing_and_an_operator_is_alerted(world: World) -> None:
    message = world.waiting("i-a")
    world.end(message, processed=False, i_a=FAILED)
    world.clock.advance(600)
    assert [sent.job_id for sent, _ in world.evaluate_one(message).next] == [message.job_id]
    world.clock.advance(1)
    result = world.evaluate_one(message)
    assert [alert.action.instance_id for alert in alerts(result)] == ["i-a"]
    [(sent, _)] = result.next
    assert sent.job_id != message.job_id
    assert world.tower.runs[sent.job_id or 0].job.hosts == {"i-a"}
    assert not world.fleet.completed
    assert world.tower.names_in(world.inventory) == {"i-a"}


# Heartbeats


def test_hooks_get_a_sign_of_life_when_it_is_due_and_not_before(world: World) -> None:
    message = world.waiting("i-a", "i-b")
    world.clock.advance(599)
    [(message, _)] = world.evaluate_one(message).next
    assert not world.fleet.heartbeats
    world.clock.advance(1)
    [(message, _)] = world.evaluate_one(message).next
    assert world.fleet.heartbeats == {"i-a": 1, "i-b": 1}
    assert message.heartbeat_at == world.clock.now
    world.clock.advance(599)
    world.evaluate_one(message)
    assert world.fleet.heartbeats == {"i-a": 1, "i-b": 1}


@pytest.mark.parametrize("timeout", [30, 60, 300, 3600, 7200])
@pytest.mark.parametrize("late", [0, 1, 4])
def test_hooks_are_never_left_alone_for_more_than_two_thirds_of_their_timeout(
    world: World, timeout: int, late: float
) -> None:
    # late: what a function needs to begin.
    world.group("web", heartbeat_timeout=timeout)
    world.tower.usual = (100_000.0,)
    message = replace(world.waiting("i-a"), heartbeat_at=0)
    alive_at, began, longest = world.clock.now, world.clock.now, 0.0
    while world.clock.now < began + 3 * timeout:
        observed = world.fleet.heartbeats.total()
        [(message, delay)] = world.evaluate_one(message).next
        if world.fleet.heartbeats.total() > observed:
            longest, alive_at = max(longest, world.clock.now - alive_at), world.clock.now
        world.clock.advance(delay + late)
    assert 0 < longest <= timeout * 2 / 3


def due(world: World) -> list[GateMessage]:
    """Two messages whose hooks wait for a heartbeat, and one whose hook does not."""
    web, db, fresh = world.waiting("i-a", "i-b"), world.waiting("i-c"), world.waiting("i-d")
    return [replace(web, heartbeat_at=0), replace(db, heartbeat_at=0), fresh]


def test_all_messages_get_their_signs_of_life_before_tower_is_asked_anything(world: World) -> None:
    messages = due(world)
    at_first: list[set[str]] = []
    world.tower.before_call = lambda method: at_first.append(set(world.fleet.heartbeats))
    world.evaluate(*messages)
    assert at_first[0] == {"i-a", "i-b", "i-c"}


def test_all_messages_get_their_signs_of_life_though_tower_is_away(world: World) -> None:
    messages = due(world)
    world.tower.unavailable = True
    results = world.evaluate(*messages)
    assert world.fleet.heartbeats == {"i-a": 1, "i-b": 1, "i-c": 1}
    assert all(isinstance(result.error, TowerUnavailable) for result in results)


def test_a_message_whose_group_cannot_be_read_fails_alone_and_costs_no_other_its_signs_of_life(world: World) -> None:
    world.group("db")
    bad, good = world.waiting("i-d", group="db"), world.waiting("i-a")
    far = replace(bad.waiting[0], action=replace(bad.waiting[0].action, region="eu-west-1"))
    failed, fine = world.evaluate(replace(bad, waiting=(far,)), replace(good, heartbeat_at=0))
    assert isinstance(failed.error, BadEvent)
    assert fine.error is None
    assert on_its_way(fine) == ["i-a"]
    assert world.fleet.heartbeats == {"i-a": 1}


def test_an_action_that_nobody_waits_for_is_finished_and_its_living_instance_keeps_its_host(world: World) -> None:
    message = replace(world.waiting("i-a", "i-b"), heartbeat_at=0)
    world.fleet.stale.add("i-a")
    world.leaves("i-a", "InService")
    result = world.evaluate_one(message)
    assert outcomes(result) == {"i-a": NO_LONGER_WAITING}
    assert on_its_way(result) == ["i-b"]
    assert world.tower.names_in(world.inventory) == {"i-a", "i-b"}


@pytest.mark.parametrize("state", ["Terminating:Wait", "Terminated", None])
def test_the_host_of_a_finished_action_goes_if_its_instance_went(world: World, state: str | None) -> None:
    message = replace(world.waiting("i-a", "i-b"), heartbeat_at=0)
    world.fleet.stale.add("i-a")
    if state:
        world.leaves("i-a", state)
    else:
        world.terminated("i-a")
    result = world.evaluate_one(message)
    assert outcomes(result) == {"i-a": "removed from every inventory: left meanwhile"}
    assert world.tower.names_in(world.inventory) == {"i-b"}


def test_the_host_of_a_finished_action_stays_if_its_instance_was_detached(world: World) -> None:
    message = replace(world.waiting("i-a", "i-b"), heartbeat_at=0)
    world.fleet.stale.add("i-a")
    world.detached("i-a")
    result = world.evaluate_one(message)
    assert outcomes(result) == {"i-a": NO_LONGER_WAITING}
    assert world.tower.names_in(world.inventory) == {"i-a", "i-b"}


def test_an_instance_detached_before_its_verdict_keeps_its_host(world: World) -> None:
    message = world.waiting("i-a")
    world.end(message, i_a=OK)
    world.fleet.stale.add("i-a")
    world.detached("i-a")
    assert outcomes(world.evaluate_one(message)) == {"i-a": NO_LONGER_WAITING}
    assert world.tower.names_in(world.inventory) == {"i-a"}


def test_an_instance_terminated_before_its_verdict_is_not_completed_but_removed(world: World) -> None:
    message = world.waiting("i-a")
    world.end(message, i_a=OK)
    world.fleet.stale.add("i-a")
    world.leaves("i-a")
    result = world.evaluate_one(message)
    assert outcomes(result) == {"i-a": "removed from every inventory: left meanwhile"}
    assert not world.tower.hosts


def test_instances_of_a_deleted_group_are_finished(world: World) -> None:
    message = world.waiting("i-a")
    del world.fleet.known_groups["web"]
    world.terminated("i-a")
    result = world.evaluate_one(message)
    assert outcomes(result) == {"i-a": "removed from every inventory: left meanwhile"}
    assert not result.next


# Which job decides


def test_a_newer_job_at_work_is_adopted(world: World) -> None:
    message = world.waiting("i-a")
    world.end(message, i_a=UNREACHABLE)
    world.clock.advance(500)
    newer = world.tower.add_job(world.template, world.inventory, "i-a")
    result = world.evaluate_one(message)
    [(sent, _)] = result.next
    assert (sent.job_id, sent.polls) == (newer.id, 0)
    assert world.tower.calls["launch"] == 0


def test_a_job_still_at_work_is_waited_for_whatever_a_newer_one_showed(world: World) -> None:
    message = world.waiting("i-a")
    newer = world.tower.add_job(world.template, world.inventory, "i-a")
    world.tower.end_job(newer.id, {"i-a": OK})
    [(sent, _)] = world.evaluate_one(replace(message, job_id=newer.id)).next
    assert sent.job_id == message.job_id
    assert not world.fleet.completed


@pytest.mark.parametrize(("first", "second", "result"), [(OK, FAILED, Result.ABANDON), (FAILED, OK, Result.CONTINUE)])
def test_the_newest_final_job_decides(world: World, first: Outcome, second: Outcome, result: Result) -> None:
    message = world.waiting("i-a")
    world.end(message, i_a=first)
    newer = world.tower.add_job(world.template, world.inventory, "i-a")
    world.tower.end_job(newer.id, {"i-a": second})
    world.evaluate_one(message)
    assert completed(world) == {"i-a": result}


def test_an_instance_whose_group_asks_for_a_job_by_now_gets_one(world: World) -> None:
    message = world.waiting("i-a")
    world.tower.runs.clear()
    [(sent, _)] = world.evaluate_one(replace(message, job_id=None)).next
    assert world.tower.runs[sent.job_id or 0].job.hosts == {"i-a"}
    assert not world.fleet.completed


def test_a_job_that_is_not_found_again_is_reported_and_launched_anew_with_growing_delays(world: World) -> None:
    message = world.waiting("i-a")
    first = message.job_id
    delays: list[float] = []
    alerted_so_far: list[Alerted] = []
    launched = 0
    while launched < 6:
        before = world.tower.calls["launch"]
        world.tower.runs.clear()  # as if Tower was restored, or the role to read its jobs was taken away
        result = world.evaluate_one(message)
        alerted_so_far += alerts(result)
        [(message, delay)] = result.next
        world.clock.advance(delay)
        if world.tower.calls["launch"] > before:
            launched += 1
        else:
            delays.append(delay)
    assert delays == [60, 120, 240, 480, 900, 900]
    assert [each.reason for each in alerted_so_far] == [
        f"job {first}, which was launched for it, is not found in Tower any more: was "
        "Tower restored, the job deleted, or a role taken from the token's user?"
    ]


def test_the_pause_before_the_next_job_outlasts_short_heartbeats(world: World) -> None:
    world.group("web", heartbeat_timeout=30)
    message = world.waiting("i-a")
    world.tower.runs.clear()
    began = world.clock.now
    while not world.tower.calls["launch"]:
        [(message, delay)] = world.evaluate_one(message).next
        assert delay <= 10
        world.clock.advance(delay)
    assert world.clock.now - began - delay == 60
    assert message.lost_jobs == 1


def retagged(world: World) -> None:
    """The group's tag names another job template from now on."""
    world.tower.add_template("other")
    world.group("web", job_template="other")


def test_a_job_that_runs_under_the_former_tag_is_waited_for_and_the_alert_says_so(world: World) -> None:
    message = world.waiting("i-a")
    old = message.job_id
    retagged(world)
    reported: list[str] = []
    for _ in range(10):
        result = world.evaluate_one(message)
        reported += [each.reason for each in alerts(result)]
        [(message, delay)] = result.next
        assert message.job_id == old
        world.clock.advance(delay)
    [words] = reported
    assert words == (
        f"job {old}, which was launched for it, is of another job template or inventory than the tags of its group "
        "name now: was a tag changed, or Tower restored? It runs, so the next one waits for its end"
    )
    assert not world.tower.calls["launch"]
    world.end(message, i_a=OK)
    [(message, _)] = world.evaluate_one(message).next
    assert world.tower.runs[message.job_id or 0].job.template_id == world.tower.templates["other"].id
    assert not world.fleet.completed


def test_a_job_under_the_former_tag_that_hangs_is_cancelled_as_usual(world: World) -> None:
    message = world.waiting("i-a")
    retagged(world)
    world.clock.advance(3601)
    world.evaluate_one(replace(message, heartbeat_at=world.clock.now))
    assert world.tower.runs[message.job_id or 0].job.status == JobStatus.CANCELED


def test_a_job_under_the_former_tag_whose_instances_left_is_not_waited_for(world: World) -> None:
    message = world.waiting("i-a")
    retagged(world)
    world.clock.advance(1801)
    world.leaves("i-a")
    result = world.evaluate_one(replace(message, heartbeat_at=world.clock.now))
    assert outcomes(result) == {"i-a": "removed from every inventory: left meanwhile"}


def test_a_job_that_never_counts_though_it_was_launched_for_it_is_launched_at_once_no_more_than_once(
    world: World,
) -> None:
    message = world.waiting("i-a")
    world.clock.advance(1)
    [waiting] = message.waiting
    message = replace(message, waiting=(replace(waiting, stint_since=world.clock.now + 3600),))
    launched_at: list[float] = []
    while len(launched_at) < 4:
        if message.job_id and not world.tower.runs[message.job_id].job.status.final:
            world.end(message, i_a=OK)
        before = world.tower.calls["launch"]
        [(message, delay)] = world.evaluate_one(message).next
        if world.tower.calls["launch"] > before:
            launched_at.append(world.clock.now)
        world.clock.advance(delay)
    pauses = [later - earlier for earlier, later in pairwise(launched_at)]
    assert pauses == [122, 242, 482]


def test_a_job_that_is_found_again_starts_the_delays_afresh(world: World) -> None:
    message = replace(world.waiting("i-a"), lost_jobs=4)
    [(sent, _)] = world.evaluate_one(message).next
    assert sent.lost_jobs == 0


@pytest.mark.parametrize("which", ["another template's", "of a former stint", "another instance's"])
def test_the_id_of_another_job_is_not_taken_for_that_of_the_one_that_was_launched(world: World, which: str) -> None:
    message = world.waiting("i-a")
    run = world.tower.runs[message.job_id or 0]
    changes: dict[str, dict[str, Any]] = {
        "another template's": {"template_id": 999},
        "of a former stint": {"created_at": world.clock.now - 1},
        "another instance's": {"hosts": frozenset({"i-b"})},
    }
    says = {
        "another template's": "of another job template or inventory",
        "of a former stint": "no whole run of its present stint",
        "another instance's": "a job on other hosts by now",
    }
    run.job = replace(run.job, **changes[which])
    world.end(message, i_a=OK)
    assert not world.fleet.completed
    result = world.evaluate_one(message)
    [alert] = alerts(result)
    assert alert.reason.startswith(f"job {message.job_id}, which was launched for it, is {says[which]}")
    [(sent, delay)] = result.next
    assert sent.lost_jobs == 1
    assert (sent.job_id is None, delay) == ((True, 60) if which == "another instance's" else (False, 2))
    assert not world.fleet.completed


def test_a_job_that_did_not_hold_the_instance_says_nothing_of_it(world: World) -> None:
    other = world.waiting("i-b")
    world.end(other, i_b=OK)
    job = world.tower.runs[other.job_id or 0].job
    world.evaluate_one(world.waiting("i-a", job=job))
    assert not world.fleet.completed


# Verdicts


def test_everybody_of_a_batch_gets_a_verdict_of_its_own(world: World) -> None:
    message = world.waiting("i-a", "i-b", "i-c")
    world.end(message, i_a=OK, i_b=FAILED, i_c=UNREACHABLE)
    result = world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.CONTINUE, "i-b": Result.ABANDON}
    assert world.tower.names_in(world.inventory) == {"i-a", "i-c"}
    assert on_its_way(result) == ["i-c"]
    assert outcomes(result) == {"i-a": "ready", "i-b": "abandoned: its job failed"}


def test_a_failed_host_is_gone_before_its_instance_is_abandoned(world: World) -> None:
    message = world.waiting("i-a")
    world.end(message, i_a=FAILED)
    observed: list[set[str]] = []
    world.fleet.before_complete = lambda action: observed.append(world.tower.names_in(world.inventory))
    world.evaluate_one(message)
    assert observed == [set()]


def test_a_failed_host_that_tower_keeps_keeps_its_instance_waiting(world: World) -> None:
    message = world.waiting("i-a", "i-b")
    world.end(message, i_a=FAILED, i_b=OK)
    world.tower.denied.add(world.inventory.id)
    result = world.evaluate_one(message)
    assert completed(world) == {"i-b": Result.CONTINUE}
    assert on_its_way(result) == ["i-a"]


@pytest.mark.parametrize("state", ["InService", "Standby", "Pending:Proceed", "Warmed:Stopped", "ReplacingRootVolume"])
def test_who_is_not_held_any_more_is_not_abandoned_and_keeps_its_host(world: World, state: str) -> None:
    world.group("web")
    message = world.waiting("i-a")
    world.leaves("i-a", state)
    world.fleet.stale.add("i-a")
    world.end(message, i_a=FAILED)
    result = world.evaluate_one(message)
    assert outcomes(result) == {"i-a": NO_LONGER_WAITING}
    assert world.tower.names_in(world.inventory) == {"i-a"}
    assert (world.fleet.completed, result.next) == ({}, [])


def test_who_serves_by_now_stays_in_its_target_groups_though_its_job_failed(world: World) -> None:
    world.group("web", gate="job elb")
    world.behind("tg")
    message = world.waiting("i-a")
    world.fleet.targets.said("healthy", of="i-a", by="tg")
    world.leaves("i-a", "InService")
    world.fleet.stale.add("i-a")
    world.end(message, i_a=FAILED)
    world.evaluate_one(message)
    assert world.fleet.targets.registered("tg") == {"i-a"}


def test_one_whose_hook_waits_though_it_is_not_shown_as_held_is_tried_again_beside_the_abandoned(world: World) -> None:
    world.group("web")
    message = world.waiting("i-a", "i-b")
    world.leaves("i-a", "InService")
    world.end(message, i_a=FAILED, i_b=FAILED)
    result = world.evaluate_one(message)
    assert on_its_way(result) == ["i-a"]
    assert completed(world) == {"i-b": Result.ABANDON}
    assert world.tower.names_in(world.inventory) == {"i-a"}


def test_where_aws_does_not_say_who_is_held_none_is_abandoned(world: World) -> None:
    world.group("web")
    message = world.waiting("i-a")
    world.end(message, i_a=FAILED)
    world.fleet.failing["memberships"] = Throttled("later")
    assert isinstance(world.evaluate_one(message).error, Throttled)
    assert world.tower.names_in(world.inventory) == {"i-a"}


def test_an_inventory_that_may_only_be_read_keeps_no_instance_from_being_abandoned_and_is_reported(
    world: World,
) -> None:
    world.group("web")
    message = world.waiting("i-a")
    mirror = world.tower.add_inventory("all EC2")
    world.tower.denied.add(mirror.id)
    world.tower.add_host(mirror, "i-a")
    world.end(message, i_a=FAILED)
    result = world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.ABANDON}
    [report] = result.reports
    assert [note.cause for note in report.notes] == ["read-only inventory: all EC2"]


def test_a_group_that_holds_keeps_the_failed_host_and_alerts_once(world: World) -> None:
    world.group("web", on_failure="hold")
    message = world.waiting("i-a")
    world.end(message, i_a=FAILED)
    result = world.evaluate_one(message)
    assert len(alerts(result)) == 1
    for _ in range(3):
        [(message, delay)] = result.next
        world.clock.advance(delay)
        result = world.evaluate_one(message)
        assert not alerts(result)
    assert not world.fleet.completed
    assert world.tower.names_in(world.inventory) == {"i-a"}


def test_unreachable_hosts_get_one_job_together_limited_to_them(world: World) -> None:
    message = world.waiting("i-a", "i-b", "i-c")
    world.end(message, i_a=OK, i_b=UNREACHABLE, i_c=UNREACHABLE)
    [(message, delay)] = world.evaluate_one(message).next
    assert delay == 20
    assert world.tower.calls["launch"] == 0
    world.clock.advance(delay)
    [(message, _)] = world.evaluate_one(message).next
    assert world.tower.calls["launch"] == 1
    assert world.tower.runs[message.job_id or 0].job.hosts == {"i-b", "i-c"}
    assert message.polls == 0


def test_an_unreachable_host_is_abandoned_only_after_the_groups_timeout(world: World) -> None:
    world.group("web", timeout="600")
    message = world.waiting("i-a")
    world.end(message, i_a=UNREACHABLE)
    began = world.clock.now
    while not world.fleet.completed:
        assert world.clock.now - began < 1200
        [(message, delay)] = world.evaluate_one(message).next or [(message, 0)]
        world.clock.advance(delay)
        job = world.tower.runs[message.job_id or 0].job
        if not job.status.final:
            world.tower.end_job(job.id, {"i-a": UNREACHABLE})
    assert world.clock.now - began >= 600
    assert completed(world) == {"i-a": Result.ABANDON}


def test_those_cut_short_get_one_job_together_at_once(world: World) -> None:
    message = world.waiting("i-a", "i-b", "i-c")
    world.end(message, i_a=FAILED, i_b=CUT_SHORT, i_c=CUT_SHORT)
    [(sent, _)] = world.evaluate_one(message).next
    assert completed(world) == {"i-a": Result.ABANDON}
    assert world.tower.runs[sent.job_id or 0].job.hosts == {"i-b", "i-c"}


def test_those_cut_short_are_run_again_apart_from_the_unreachable(world: World) -> None:
    """So that their job goes well, and others can be compared with it."""
    message = world.waiting("i-a", "i-b", "i-c")
    world.end(message, i_a=UNREACHABLE, i_b=CUT_SHORT, i_c=CUT_SHORT)
    world.clock.advance(20)
    sent = world.evaluate_one(message).next
    assert sorted(sorted(world.tower.runs[each.job_id or 0].job.hosts) for each, _ in sent) == [["i-a"], ["i-b", "i-c"]]


def test_those_cut_short_are_run_again_apart_from_those_without_a_job(world: World) -> None:
    message = world.waiting("i-a", "i-b")
    world.end(message, i_a=CUT_SHORT, i_b=CUT_SHORT)
    new = world.waiting("i-new")
    del world.tower.runs[new.job_id or 0]
    both = replace(message, job_id=None, waiting=(*message.waiting, *new.waiting))
    sent = world.evaluate_one(both).next
    assert sorted(sorted(world.tower.runs[each.job_id or 0].job.hosts) for each, _ in sent) == [
        ["i-a", "i-b"],
        ["i-new"],
    ]


def test_who_was_perhaps_cut_short_waits_as_long_as_another_job_may_show_that_it_is_done(world: World) -> None:
    message = world.waiting("i-a")
    world.end(message, i_a=CUT_SHORT)
    world.evidence.comparing.add(message.job_id or 0)
    result = world.evaluate_one(message)
    [(sent, delay)] = result.next
    assert (sent.job_id, delay, alerts(result)) == (message.job_id, 5, [])
    assert world.tower.calls["launch"] == 0
    world.tower.runs[message.job_id or 0].outcomes = {"i-a": OK}
    assert outcomes(world.evaluate_one(sent)) == {"i-a": "ready"}


def test_what_is_asked_of_other_hosts_of_a_job_loses_nothing_of_those_of_the_message(world: World) -> None:
    message = world.waiting("i-a", "i-b", "i-c")
    world.end(message, i_a=FAILED, i_b=OK, i_c=FAILED)
    host = next(host for host in world.tower.hosts.values() if host.name == "i-b")
    world.tower.hosts[host.id] = replace(host, variables={"rollcall": {"group": "another"}})
    result = world.evaluate_one(replace(message, waiting=message.waiting[:2]))
    assert outcomes(result) == {"i-a": "abandoned: its job failed", "i-b": "ready"}


def test_an_outcome_is_asked_for_once_of_all_hosts_of_a_job(world: World) -> None:
    message = world.waiting("i-a", "i-b", "i-c")
    world.end(message, i_a=OK, i_b=OK, i_c=FAILED)
    world.evaluate_one(message)
    assert world.tower.calls["outcomes"] == 1


def test_a_job_that_proves_nothing_is_repeated_without_end_and_alerts_once(world: World) -> None:
    message = world.waiting("i-a")
    alerted = 0
    for _ in range(60):
        job = world.tower.runs[message.job_id or 0].job
        if not job.status.final:
            world.tower.end_job(job.id, {"i-a": UNPROVEN}, JobStatus.CANCELED)
        result = world.evaluate_one(message)
        alerted += len(alerts(result))
        [(message, delay)] = result.next
        world.clock.advance(delay)
    assert not world.fleet.completed
    assert world.tower.calls["launch"] > 10
    assert alerted == 1


@pytest.mark.parametrize("late", [0, 1000])
@pytest.mark.parametrize("outcome", [UNPROVEN, CUT_SHORT])
def test_an_operator_is_alerted_once_however_late_the_round(world: World, outcome: Outcome, late: float) -> None:
    message = world.waiting("i-a")
    alerted = 0
    for _ in range(12):
        job = world.tower.runs[message.job_id or 0].job
        if not job.status.final:
            world.tower.end_job(job.id, {"i-a": outcome}, JobStatus.FAILED)
        world.clock.advance(late)
        result = world.evaluate_one(message)
        alerted += len(alerts(result))
        [(message, _)] = result.next
        world.clock.advance(130)
    assert alerted == 1


def test_an_instance_that_left_before_the_relaunch_is_removed_and_in_no_limit(world: World) -> None:
    message = world.waiting("i-a", "i-b", "i-c")
    world.end(message, i_a=CUT_SHORT, i_b=CUT_SHORT, i_c=CUT_SHORT)
    world.leaves("i-b")
    world.leaves("i-c", "InService")
    result = world.evaluate_one(message)
    [(sent, _)] = result.next
    assert world.tower.runs[sent.job_id or 0].job.hosts == ids(sent) == {"i-a"}
    assert outcomes(result) == {"i-b": "removed from every inventory: left meanwhile", "i-c": NO_LONGER_WAITING}
    assert world.tower.names_in(world.inventory) == {"i-a", "i-c"}


@pytest.mark.parametrize("outcome", [OK, FAILED, UNREACHABLE, UNPROVEN])
@pytest.mark.parametrize("state", ["Terminating:Wait", None])
def test_an_instance_that_died_waits_for_nothing_once_its_job_is_over(
    world: World, outcome: Outcome, state: str | None
) -> None:
    # Whatever it would have waited for: another job, a check that does not pass, or somebody who looks.
    world.group("web", gate="job ec2", on_failure="hold")
    message = world.waiting("i-a", "i-b")
    world.end(message, i_a=outcome, i_b=UNREACHABLE)
    if state:
        world.leaves("i-a", state)
    else:
        world.terminated("i-a")
    result = world.evaluate_one(message)
    assert outcomes(result) == {"i-a": "removed from every inventory: left meanwhile"}
    assert not alerts(result)
    assert on_its_way(result) == ["i-b"]
    assert world.tower.names_in(world.inventory) == {"i-b"}


def test_the_provisioned_come_into_service_though_aws_does_not_say_whether_the_others_live(world: World) -> None:
    message = world.waiting("i-a", "i-b")
    world.end(message, i_a=OK, i_b=UNREACHABLE)
    world.fleet.failing["memberships"] = Throttled("later")
    result = world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert on_its_way(result) == ["i-b"]


def test_a_relaunch_holds_no_more_hosts_than_a_job_may(world: World) -> None:
    world.settings = replace(world.settings, max_hosts_per_job=2)
    message = world.waiting("i-a", "i-b", "i-c")
    world.end(message, i_a=CUT_SHORT, i_b=CUT_SHORT, i_c=CUT_SHORT)
    result = world.evaluate_one(message)
    limits = [world.tower.runs[sent.job_id or 0].job.hosts for sent, _ in result.next]
    assert sorted(map(sorted, limits)) == [["i-a", "i-b"], ["i-c"]]
    assert [ids(sent) for sent, _ in result.next] == limits


def test_an_instance_that_was_detached_before_the_relaunch_is_in_no_limit_and_keeps_its_host(world: World) -> None:
    message = world.waiting("i-a", "i-b")
    world.end(message, i_a=CUT_SHORT, i_b=CUT_SHORT)
    world.detached("i-b")
    result = world.evaluate_one(message)
    [(sent, _)] = result.next
    assert world.tower.runs[sent.job_id or 0].job.hosts == ids(sent) == {"i-a"}
    assert outcomes(result) == {"i-b": NO_LONGER_WAITING}
    assert world.tower.names_in(world.inventory) == {"i-a", "i-b"}


def test_no_job_is_launched_when_everybody_left(world: World) -> None:
    message = world.waiting("i-a")
    world.end(message, i_a=CUT_SHORT)
    world.leaves("i-a")
    result = world.evaluate_one(message)
    assert not result.next
    assert world.tower.calls["launch"] == 0


def test_a_template_that_lost_its_limit_is_not_launched_again(world: World) -> None:
    message = world.waiting("i-a")
    world.end(message, i_a=CUT_SHORT)
    world.tower.templates["provision"] = replace(world.template, asks_limit=False)
    result = world.evaluate_one(message)
    assert isinstance(result.error, BadSettings)
    assert world.tower.calls["launch"] == 0


# Checks


def test_an_instance_whose_check_fails_is_looked_at_again(world: World) -> None:
    world.group("web", gate="job ec2")
    message = world.waiting("i-a", "i-b")
    world.end(message, i_a=OK, i_b=OK)
    world.fleet.passing.add("i-a")
    result = world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.CONTINUE}
    [(message, delay)] = result.next
    assert (ids(message), delay) == ({"i-b"}, 5)
    world.fleet.passing.add("i-b")
    world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.CONTINUE, "i-b": Result.CONTINUE}


def test_an_instance_whose_check_fails_until_the_timeout_is_abandoned(world: World) -> None:
    world.group("web", gate="job ec2", timeout="60")
    message = world.waiting("i-a")
    world.end(message, i_a=OK)
    world.clock.advance(60)
    world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.ABANDON}


def test_checks_are_not_asked_of_an_instance_that_failed(world: World) -> None:
    world.group("web", gate="job ec2")
    message = world.waiting("i-a")
    world.end(message, i_a=FAILED)
    world.fleet.failing["passing_status_checks"] = Throttled("no more")
    world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.ABANDON}


def test_a_group_without_a_template_is_ready_without_a_job(world: World) -> None:
    world.group("web", job_template="")
    message = replace(world.waiting("i-a"), job_id=None)
    world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.CONTINUE}


def test_a_group_without_a_template_still_waits_for_its_checks(world: World) -> None:
    world.group("web", job_template="", gate="ec2", timeout="60")
    message = replace(world.waiting("i-a"), job_id=None)
    [(sent, _)] = world.evaluate_one(message).next
    assert not world.fleet.completed
    world.clock.advance(60)
    world.evaluate_one(sent)
    assert completed(world) == {"i-a": Result.ABANDON}


# What fails for one does not touch the others


def mixed(world: World) -> GateMessage:
    """Two instances of the group web and one of db in one message, whose job went well for all."""
    world.group("db")
    job = world.tower.add_job(world.template, world.inventory, "i-a", "i-b", "i-d")
    web, db = world.waiting("i-a", "i-b", job=job), world.waiting("i-d", group="db", job=job)
    world.tower.end_job(job.id, {"i-a": OK, "i-b": OK, "i-d": OK})
    return replace(web, waiting=web.waiting + db.waiting)


def test_a_group_whose_tag_broke_goes_on_apart(world: World) -> None:
    message = mixed(world)
    world.group("db", gate="icmp")
    result = world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.CONTINUE, "i-b": Result.CONTINUE}
    [(sent, delay)] = result.next
    assert ids(sent) == {"i-d"}
    assert delay == 15
    assert result.error is None
    assert isinstance(world.evaluate_one(sent).error, BadSettings)


def test_a_group_that_lost_its_tag_goes_on_apart_and_is_named(world: World) -> None:
    message = mixed(world)
    world.group("db", inventory="")
    result = world.evaluate_one(message)
    assert [ids(sent) for sent, _ in result.next] == [{"i-d"}]
    alone = world.evaluate_one(result.next[0][0])
    assert isinstance(alone.error, BadSettings)
    assert "'db'" in str(alone.error)


def test_a_hook_that_may_not_be_completed_goes_on_apart(world: World) -> None:
    message = mixed(world)
    world.fleet.denied.add("i-b")
    result = world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.CONTINUE, "i-d": Result.CONTINUE}
    assert on_its_way(result) == ["i-b"]
    [failed] = [report for report in result.reports if report.error]
    assert isinstance(failed.error, AwsDenied)


def test_a_hook_that_gets_no_sign_of_life_goes_on_apart(world: World) -> None:
    message = replace(mixed(world), heartbeat_at=0)
    world.fleet.throttled.add("i-b")
    result = world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.CONTINUE, "i-d": Result.CONTINUE}
    assert on_its_way(result) == ["i-b"]


def test_a_message_that_fails_as_a_whole_returns_its_error_and_sends_nothing(world: World) -> None:
    world.group("web", gate="icmp")
    result = world.evaluate_one(world.waiting("i-a", "i-b"))
    assert isinstance(result.error, BadSettings)
    assert not result.reports
    assert not world.queues.sent


def test_no_message_is_decided_while_tower_is_away(world: World) -> None:
    messages = [world.waiting("i-a"), world.waiting("i-b")]
    world.end(messages[0], i_a=FAILED)
    world.tower.unavailable = True
    results = world.evaluate(*messages)
    assert all(isinstance(result.error, TowerUnavailable) for result in results)
    assert not world.fleet.completed
    assert not world.queues.sent


def test_a_message_that_fails_leaves_its_neighbour_alone(world: World) -> None:
    world.group("db", gate="icmp")
    good, bad = world.waiting("i-a"), world.waiting("i-d", group="db")
    world.end(good, i_a=OK)
    world.end(bad, i_d=OK)
    failed, fine = world.evaluate(bad, good)
    assert isinstance(failed.error, BadSettings)
    assert fine.error is None
    assert completed(world) == {"i-a": Result.CONTINUE}


def test_an_instance_whose_group_fails_is_in_one_message_only(world: World) -> None:
    # One is adopted by a newer job, one needs a new one, and the check of the third cannot be asked.
    world.group("web", gate="job ec2")
    message = world.waiting("i-a", "i-b", "i-c", "i-d")
    job = world.tower.runs[message.job_id or 0]
    job.job = replace(job.job, hosts=job.job.hosts - {"i-c"})
    world.end(message, i_a=UNREACHABLE, i_b=OK, i_d=OK)
    world.tower.add_job(world.template, world.inventory, "i-a")
    world.fleet.failing["passing_status_checks"] = Throttled("later")
    result = world.evaluate_one(message)
    again = sorted(ids(message)) if result.error else []
    assert sorted(on_its_way(result) + again) == ["i-a", "i-b", "i-c", "i-d"]


def test_completing_is_repeated_safely_when_the_rest_could_not_be_sent_on(world: World) -> None:
    message = world.waiting("i-a", "i-b")
    world.end(message, i_a=OK, i_b=UNREACHABLE)
    world.queues.failing["send"] = Throttled("no more")
    [result] = world.evaluate(message)
    assert isinstance(result.error, Throttled)
    world.queues.failing.clear()
    world.leaves("i-a", "InService")
    result = world.evaluate_one(message)
    assert outcomes(result) == {"i-a": NO_LONGER_WAITING}
    assert on_its_way(result) == ["i-b"]


def test_a_relaunch_that_could_not_be_sent_on_is_adopted(world: World) -> None:
    message = world.waiting("i-a")
    world.end(message, i_a=CUT_SHORT)
    world.queues.failing["send"] = Throttled("no more")
    world.evaluate(message)
    world.queues.failing.clear()
    world.evaluate_one(message)
    assert world.tower.calls["launch"] == 1


def test_a_relaunch_that_tower_rejects_fails_only_those_it_was_for(world: World) -> None:
    message = world.waiting("i-a", "i-b")
    world.end(message, i_a=OK, i_b=CUT_SHORT)
    world.tower.failing["launch"] = TowerRejected("no")
    result = world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert on_its_way(result) == ["i-b"]


def test_an_operator_is_alerted_once_though_the_relaunch_keeps_failing(world: World) -> None:
    message = world.waiting("i-a")
    world.end(message, i_a=UNPROVEN)
    world.clock.advance(20)
    world.tower.failing["launch"] = TowerRejected("no")
    alerted = 0
    for _ in range(5):
        result = world.evaluate_one(message)
        alerted += len(alerts(result))
        assert isinstance(result.error, TowerRejected)  # which is reported by itself, at every try
        world.clock.advance(60)
    assert alerted <= 1


def test_an_instance_of_another_account_is_refused(world: World) -> None:
    message = world.waiting("i-a")
    [each] = message.waiting
    foreign = replace(message, waiting=(replace(each, action=replace(each.action, account="999999999999")),))
    assert world.evaluate_one(foreign).error is not None


def test_an_error_that_nobody_foresaw_fails_its_message_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    running, ended, later = (world.waiting(each) for each in ("i-a", "i-b", "i-c"))
    world.end(ended, i_b=OK)

    def fail(*given: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("rollcall.lifecycle.gate.decide", fail)
    results = world.evaluate(running, ended, later)
    assert [type(result.error) for result in results] == [type(None), KeyError, type(None)]
    assert sorted(each for message, _ in world.queues.gate_messages() for each in ids(message)) == ["i-a", "i-c"]


def test_what_fails_for_one_job_fails_no_instance_of_another(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.group("web")
    one, other = (world.tower.add_job(world.template, world.inventory, each) for each in ("i-a", "i-b"))
    message = replace(world.waiting("i-a", "i-b", job=one), job_id=None)
    wait_for = RunningJobs.wait_for

    def failing(running_jobs: RunningJobs, found: AtWork) -> GoingOn:
        if found.job.id == other.id:
            raise TowerUnavailable("away")
        return wait_for(running_jobs, found)

    monkeypatch.setattr(RunningJobs, "wait_for", failing)
    result = world.evaluate_one(message)
    assert [(report.action.instance_id, str(report.error)) for report in result.reports] == [("i-b", "away")]
    assert {each.job_id for each, _ in result.next if "i-a" in ids(each)} == {one.id}


def test_a_hook_completed_before_an_error_that_was_not_foreseen_is_reported_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = world.waiting("i-a", "i-b")
    world.end(message, i_a=OK, i_b=FAILED)

    def fail(*given: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(world.fleet, "memberships", fail)
    result = world.evaluate_one(message)
    assert isinstance(result.error, RuntimeError)
    assert {action.instance_id for action in world.fleet.completed} == {"i-a"}
    assert [(each.action.instance_id, each.event) for each in result.reports] == [("i-a", Event.READY)]


# A batch that the function is given


@pytest.fixture
def handle(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Gives the gate's function a batch of messages; the ids of those that are to come again: m0, m1 and so on."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("REMOVE_AT_MOST_PERCENT", "20")
    path = Path(__file__).parents[3] / "functions" / "gate" / "app.py"
    spec = importlib.util.spec_from_file_location("gate_app", path)
    assert spec
    assert spec.loader
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    here = SimpleNamespace(
        settings=world.settings,
        tower=world.tower,
        fleets=world.fleets,
        queues=world.queues,
        processor=lambda announcer: BatchProcessor(OWN_QUEUE, world.fleets, world.queues, announcer),
    )
    monkeypatch.setattr(app, "installation", lambda context: here)
    monkeypatch.setattr(app.announcer, "_bus", world.bus)
    context: Any = SimpleNamespace(
        function_name="gate",
        memory_limit_in_mb=256,
        invoked_function_arn="arn",
        aws_request_id="1",
        get_remaining_time_in_millis=lambda: 60_000,
    )

    def handle(*messages: GateMessage | WatchMessage | RetireMessage) -> list[str]:
        records = [
            {
                "messageId": f"m{number}",
                "body": write_gate_message(message),
                "awsRegion": REGION,
                "receiptHandle": f"handle-m{number}",
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "ApproximateFirstReceiveTimestamp": str(int(time.time() * 1000)),
                },
            }
            for number, message in enumerate(messages)
        ]
        answer = app.handler({"Records": records}, context)
        return [each["itemIdentifier"] for each in answer["batchItemFailures"]]

    return handle


def of_every_kind(world: World) -> list[GateMessage | WatchMessage | RetireMessage]:
    """One who leaves, one who waits for a running job, and one who is watched."""
    now = time.time()
    world.group("web", retire_job_template="goodbye")
    world.tower.add_template("goodbye")
    watched = Watched(world.launching("i-w", state="InService"), now)
    world.host_of("i-r", "10.0.0.8")
    leaving = world.terminating("i-r")
    world.fleet.known_instances["i-r"] = world.instance("i-r")
    return [
        RetireMessage(retiring=(leaving,), job_id=None, since=now, heartbeat_at=now),
        replace(world.waiting("i-a"), heartbeat_at=now),
        WatchMessage((watched,), since=now, until=now + 600),
    ]


MODULES = {"gate": "gate", "watch": "target_watch", "retire": "retire"}  # of each kind of message


def sent_on(world: World) -> dict[str, int]:
    """How many messages of each kind are in the gate's queue."""
    found = {
        "gate": len(world.queues.gate_messages()),
        "watch": len(world.queues.watch_messages()),
        "retire": len(world.queues.retire_messages()),
    }
    return {kind: number for kind, number in found.items() if number}


def test_a_batch_of_every_kind_is_looked_at(world: World, handle: Callable[..., list[str]]) -> None:
    assert handle(*of_every_kind(world)) == []
    assert sent_on(world) == {"gate": 1, "watch": 1, "retire": 1}


@pytest.mark.parametrize(
    ("kind", "works_on", "failed"), [("gate", "Gate", "m1"), ("watch", "Watch", "m2"), ("retire", "Retire", "m0")]
)
def test_an_error_that_nobody_foresaw_fails_the_messages_of_its_kind_and_is_logged(
    world: World,
    handle: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    works_on: str,
    failed: str,
) -> None:
    def fail(*given: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(f"rollcall.lifecycle.{MODULES[kind]}.{works_on}.evaluate", fail)
    assert handle(*of_every_kind(world)) == [failed]
    assert sent_on(world) == {each: 1 for each in ("gate", "watch", "retire") if each != kind}
    [line] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert line.exc_info
    assert isinstance(line.exc_info[1], KeyError)


@pytest.mark.parametrize(("kind", "failed"), [("watch", "m2"), ("retire", "m0")])
def test_a_kind_that_cannot_even_be_loaded_fails_alone(
    world: World, handle: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, kind: str, failed: str
) -> None:
    messages = of_every_kind(world)
    monkeypatch.setitem(sys.modules, f"rollcall.lifecycle.{MODULES[kind]}", None)
    assert handle(*messages) == [failed]
    assert sent_on(world) == {each: 1 for each in ("gate", "watch", "retire") if each != kind}
