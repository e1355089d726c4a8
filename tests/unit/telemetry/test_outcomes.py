"""Which outcome of which function the event bus hears of, about whom, and with which job."""

from __future__ import annotations

import time
from copy import replace
from typing import TYPE_CHECKING

import pytest

from rollcall.domain.actions import Result
from rollcall.domain.errors import ChefUnavailable, Throttled, TowerDenied, TowerUnavailable
from rollcall.domain.jobs import JobStatus, Outcome
from rollcall.domain.membership import Membership
from rollcall.domain.message_format import Record, read_action
from rollcall.domain.messages import RunOptions
from rollcall.domain.reports import Event
from unit.fakes import ACCOUNT, REGION, FakeChef
from unit.world import alerts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.reports import Report
    from unit.world import World

OK, FAILED, UNPROVEN = Outcome.OK, Outcome.FAILED, Outcome.UNPROVEN


def events(reports: Iterable[Report]) -> dict[str, Event]:
    """By instance id, the event about it."""
    return {each.action.instance_id: each.event for each in reports if each.event}


def not_held(action: LifecycleAction) -> LifecycleAction:
    """The same without a hook, as the event of an instance that is terminated has it."""
    return replace(action, hook=None, token=None)


# register


def test_who_is_handed_to_the_gate_is_registered_with_its_job(world: World) -> None:
    reports = world.register(world.launching("i-a"), world.launching("i-b"))
    [job_id] = world.tower.runs
    assert events(reports) == dict.fromkeys(("i-a", "i-b"), Event.REGISTERED)
    assert {each.job for each in reports} == {job_id}


def test_who_needs_no_job_is_registered_without_one(world: World) -> None:
    world.group("web", job_template="")
    [report] = world.register(world.launching("i-a"))
    assert (report.event, report.job) == (Event.REGISTERED, None)


def test_who_is_no_longer_pending_or_failed_is_not_published(world: World) -> None:
    assert events(world.register(world.launching("i-a", state="InService"))) == {}
    world.tower.unavailable = True
    assert events(world.register(world.launching("i-b"))) == {}


def test_who_is_gone_already_was_retired_only_if_it_had_a_host(world: World) -> None:
    world.tower.add_host(world.inventory, "i-a")
    actions = [world.launching(each, state="Terminating:Wait") for each in ("i-a", "i-b")]
    assert events(world.register(*actions)) == {"i-a": Event.RETIRED}


def test_who_left_while_its_host_was_made_was_retired(world: World) -> None:
    action = world.launching("i-a")
    world.tower.after_create = lambda: world.leaves("i-a")
    assert events(world.register(action)) == {"i-a": Event.RETIRED}


def test_who_is_evicted_was_retired_of_its_own_group(world: World) -> None:
    world.fleet.known_instances["i-old"] = world.instance("i-old", state="terminated")
    world.host_of("i-old", "10.0.0.7", "db")
    reports = world.register(world.launching("i-new"))
    assert events(reports) == {"i-old": Event.RETIRED, "i-new": Event.REGISTERED}
    assert {each.action.group: each.evicted for each in reports} == {"db": True, "web": False}


# cleanup


@pytest.mark.parametrize(
    ("hooked", "open_", "hosted", "published"),
    [
        (True, True, True, True),
        (True, True, False, True),
        (True, False, True, True),
        (True, False, False, False),
        (False, False, True, True),
        (False, False, False, False),
    ],
)
def test_who_had_a_host_or_a_hook_that_waited_was_retired(
    world: World, hooked: bool, open_: bool, hosted: bool, published: bool
) -> None:
    """Terminations of all groups of the account come in, and most of them are nobody's here."""
    action = world.terminating("i-a", "foreign")
    if hosted:
        world.tower.add_host(world.inventory, "i-a")
    if not open_:
        world.fleet.stale.add("i-a")
        world.leaves("i-a", "Terminating:Proceed")
    reports = world.clean_up(action if hooked else not_held(action))
    assert events(reports) == ({"i-a": Event.RETIRED} if published else {})


def test_who_keeps_a_host_was_not_retired(world: World) -> None:
    world.tower.add_host(world.inventory, "i-a")
    world.tower.denied.add(world.inventory.id)
    [report] = world.clean_up(world.terminating("i-a"))
    assert isinstance(report.error, TowerDenied)
    assert report.event is None


def test_a_termination_that_comes_twice_is_published_once(world: World) -> None:
    world.tower.add_host(world.inventory, "i-a")
    action = world.terminating("i-a")
    assert events(world.clean_up(action)) == {"i-a": Event.RETIRED}
    assert events(world.clean_up(not_held(action))) == {}


@pytest.mark.parametrize("is_in_its_host", [True, False])
def test_who_waits_for_chef_without_a_hook_is_published_once_when_its_host_goes(
    world: World, is_in_its_host: bool
) -> None:
    world.group("web", chef="@instance_id@")
    world.chef = FakeChef()
    world.chef.failing["delete_client"] = ChefUnavailable("away")
    marker = {"instance_id": "i-a", "account": ACCOUNT, "region": REGION, "chef": "@instance_id@"}
    world.host_of("i-a", "10.0.0.1", variables={"rollcall": marker} if is_in_its_host else {})
    action = not_held(world.terminating("i-a"))
    if not is_in_its_host:
        action = replace(action, node_pattern="@instance_id@")
    first = world.clean_up(action)
    assert events(first) == {"i-a": Event.RETIRED}
    assert bool(first[0].error) != is_in_its_host  # then a message of our own takes the place of this one
    assert events(world.clean_up(action)) == {}


def test_who_waits_for_chef_with_a_hook_is_published_when_that_is_answered(world: World) -> None:
    world.group("web", chef="@instance_id@")
    world.chef = FakeChef()
    world.chef.failing["delete_client"] = ChefUnavailable("away")
    world.host_of("i-a", "10.0.0.1")
    action = replace(world.terminating("i-a"), received_at=world.clock.now)
    assert events(world.clean_up(action)) == {}
    del world.chef.failing["delete_client"]
    assert events(world.clean_up(action)) == {"i-a": Event.RETIRED}


def test_what_is_published_one_without_its_retire_job_does_not_end_by_its_going(world: World) -> None:
    world.group("web", chef="@instance_id@")
    world.chef = FakeChef()
    action = world.terminating("i-a")
    [back] = world.clean_up(replace(action, retire_job_over=True))
    [alone] = world.clean_up(replace(action, instance_id="i-b"))
    assert (back.alerted_before, alone.alerted_before) == (False, None)


def test_who_is_handed_to_the_gate_is_not_retired_yet(world: World) -> None:
    world.group("web", retire_job_template="goodbye")
    world.tower.add_host(world.inventory, "i-a")
    assert events(world.clean_up(world.terminating("i-a"))) == {}


# gate


def test_who_is_ready_is_published_with_its_job_and_when_that_ended(world: World) -> None:
    message = world.waiting("i-a")
    world.clock.advance(30)
    world.end(message, i_a=OK)
    ended = world.clock.now
    world.clock.advance(7)
    [report] = world.evaluate_one(message).reports
    assert (report.event, report.job, report.alerted_before) == (Event.READY, message.job_id, False)
    assert report.provisioned_at == ended
    assert events([report]) == {"i-a": Event.READY}


def test_who_is_abandoned_is_published_with_the_evidence_and_not_as_retired_too(world: World) -> None:
    message = world.waiting("i-a", "i-b")
    world.end(message, i_a=OK, i_b=FAILED)
    reports = {each.action.instance_id: each for each in world.evaluate_one(message).reports}
    assert events(reports.values()) == {"i-a": Event.READY, "i-b": Event.ABANDONED}
    assert (reports["i-b"].outcome, reports["i-b"].job) == ("abandoned: its job failed", message.job_id)
    assert reports["i-b"].provisioned_at is None
    assert set(world.fleet.completed.values()) == {Result.CONTINUE, Result.ABANDON}


def test_who_was_alerted_of_hears_how_it_ended(world: World) -> None:
    message = world.waiting("i-a")
    world.end(message, i_a=UNPROVEN)
    result = world.evaluate_one(message)
    [alert] = [each for each in result.reports if each.notes]
    assert (alert.outcome, alert.event, alert.job) == ("", None, message.job_id)
    while "i-a" not in events(result.reports):
        [(message, delay)] = result.next
        world.clock.advance(delay)
        assert message.alerted
        if message.job_id and world.tower.runs[message.job_id].job.status == JobStatus.RUNNING:
            world.end(message, i_a=OK)
        result = world.evaluate_one(message)
    [report] = result.reports
    assert (report.event, report.alerted_before) == (Event.READY, True)


def test_who_left_while_it_waited_was_retired_if_it_had_a_host(world: World) -> None:
    message = world.waiting("i-a", "i-b")
    world.end(message, i_a=FAILED, i_b=FAILED)
    world.fleet.stale |= {"i-a", "i-b"}
    world.leaves("i-a")
    world.leaves("i-b")
    [gone] = [host for host in world.tower.hosts.values() if host.name == "i-b"]
    del world.tower.hosts[gone.id]
    message = replace(message, heartbeat_at=0)
    assert events(world.evaluate_one(message).reports) == {"i-a": Event.RETIRED}


def test_who_serves_although_it_failed_is_alerted_of_and_neither_ready_nor_abandoned(world: World) -> None:
    message = world.waiting("i-a")
    [each] = message.waiting
    message = replace(message, waiting=(replace(each, action=not_held(each.action)),))
    world.fleet.known_memberships["i-a"] = Membership("web", "InService")
    world.end(message, i_a=FAILED)
    result = world.evaluate_one(message)
    assert events(result.reports) == {}
    [alert] = alerts(result)
    assert "serves all the same" in alert.reason


def test_who_waits_is_reported_only_if_someone_should_know(world: World) -> None:
    assert world.evaluate_one(world.waiting("i-a")).reports == []


def test_who_fails_apart_is_known_as_troubled_from_then_on(world: World) -> None:
    message = world.waiting("i-a", "i-b")
    world.end(message, i_a=OK, i_b=OK)

    def fail(action: LifecycleAction) -> None:
        if action.instance_id == "i-b":
            raise Throttled("later")

    world.fleet.before_complete = fail
    [(sent, _)] = world.evaluate_one(message).next
    assert [(each.action.instance_id, each.action.failed_before) for each in sent.waiting] == [("i-b", True)]


# retire


def test_who_went_after_its_retire_job_is_published_with_that_job(world: World) -> None:
    world.group("web", retire_job_template="goodbye")
    world.tower.add_template("goodbye")
    message = world.retiring("i-a", "i-b")
    [(message, _)] = world.retire_one(message).next
    assert message.job_id
    world.tower.end_job(message.job_id, {"i-a": OK, "i-b": FAILED})
    reports = {each.action.instance_id: each for each in world.retire_one(message).reports}
    assert events(reports.values()) == dict.fromkeys(("i-a", "i-b"), Event.RETIRED)
    assert {each.job for each in reports.values()} == {message.job_id}
    assert [each.action.instance_id for each in reports.values() if each.notes] == ["i-b"]


def test_who_goes_back_to_cleanup_is_published_there(world: World) -> None:
    world.group("web", retire_job_template="goodbye", chef="@instance_id@")
    world.tower.add_template("goodbye")
    [(message, _)] = world.retire_one(world.retiring("i-a")).next
    assert message.job_id
    world.tower.end_job(message.job_id, {"i-a": OK})
    assert events(world.retire_one(message).reports) == {}


def test_no_one_is_published_whom_tower_cannot_be_asked_about(world: World) -> None:
    message = world.waiting("i-a")
    world.tower.failing["jobs"] = TowerUnavailable("away")
    [result] = world.evaluate(message)
    assert (list(result.reports), type(result.error)) == ([], TowerUnavailable)


def test_who_fails_apart_on_its_way_out_is_known_as_troubled_too(world: World) -> None:
    world.group("web", retire_job_template="goodbye")
    world.tower.add_template("goodbye")
    [(message, _)] = world.retire_one(world.retiring("i-a", "i-b")).next
    assert message.job_id
    world.tower.end_job(message.job_id, {"i-a": OK, "i-b": OK})

    def fail(action: LifecycleAction) -> None:
        if action.instance_id == "i-b":
            raise Throttled("later")

    world.fleet.before_complete = fail
    [(sent, _)] = world.retire_one(message).next
    assert [(action.instance_id, action.failed_before) for action in sent.retiring] == [("i-b", True)]


# reconcile


def test_what_is_queued_again_happened_when_it_was_queued(world: World) -> None:
    world.serving("i-a", "10.0.0.1", state="Terminating:Wait")
    world.reconcile()
    [(_, body, _)] = world.queues.sent
    action = read_action(Record("m1", body, REGION, 1, 7.0, "handle"))
    assert action
    assert action.at == pytest.approx(time.time(), abs=60)


def test_a_host_that_is_taken_over_is_of_its_instances_group(world: World) -> None:
    world.serving("i-a", "10.0.0.1")
    world.tower.add_host(world.inventory, "i-a", variables={"ansible_host": "10.0.0.1"})
    outcome = world.reconcile(RunOptions(adopt=True))
    assert [(fix.action, fix.group) for fix in outcome.fixes] == [("fixed", "web")]


@pytest.mark.parametrize("hosted", [True, False])
def test_who_waited_for_no_one_on_its_way_out_was_retired_only_if_it_had_a_host(world: World, hosted: bool) -> None:
    world.group("web", retire_job_template="goodbye")
    world.tower.add_template("goodbye")
    message = world.retiring("i-a")
    world.fleet.stale.add("i-a")
    world.leaves("i-a", "Terminating:Proceed")
    if not hosted:
        world.tower.hosts.clear()
    assert events(world.retire_one(message).reports) == ({"i-a": Event.RETIRED} if hosted else {})
