"""The provisioning circuit breaker: a broken playbook, key or network must not cost a group its instances."""

from __future__ import annotations

from copy import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from rollcall.domain.actions import Result
from rollcall.domain.errors import TowerUnavailable
from rollcall.domain.jobs import HostSummary, JobStatus, Outcome
from rollcall.domain.timing import EVENTS_TOO_LONG
from rollcall.lifecycle.circuit_breaker import JOBS_EXAMINED
from unit.world import World, alerts, ids

if TYPE_CHECKING:
    from rollcall.domain.messages import GateMessage

OK, FAILED, UNREACHABLE = Outcome.OK, Outcome.FAILED, Outcome.UNREACHABLE


def ran(world: World, instance_id: str, outcome: Outcome, group: str = "web") -> None:
    """A job of an instance of the group ended so, and was acted on."""
    message = world.waiting(instance_id, group=group)
    world.tower.end_job(message.job_id or 0, {instance_id: outcome})
    if outcome == FAILED:
        world.evaluate_one(message)


def abandoned(world: World) -> set[str]:
    return {each.instance_id for each, result in world.fleet.completed.items() if result == Result.ABANDON}


def test_the_third_job_in_a_row_that_provisions_nobody_holds_the_group(world: World) -> None:
    for each in ("i-a", "i-b", "i-c"):
        ran(world, each, FAILED)
    assert abandoned(world) == {"i-a", "i-b"}
    assert "i-c" in world.tower.names_in(world.inventory)


def test_a_job_that_provisioned_one_releases_the_group(world: World) -> None:
    ran(world, "i-a", FAILED)
    ran(world, "i-b", OK)
    ran(world, "i-c", FAILED)
    ran(world, "i-d", FAILED)
    assert abandoned(world) == {"i-a", "i-c", "i-d"}


def test_one_failure_in_a_job_that_provisioned_others_is_the_machines(world: World) -> None:
    ran(world, "i-a", FAILED)
    ran(world, "i-b", FAILED)
    message = world.waiting("i-c", "i-d")
    world.tower.end_job(message.job_id or 0, {"i-c": FAILED, "i-d": OK})
    world.evaluate_one(message)
    assert abandoned(world) == {"i-a", "i-b", "i-c"}


def test_the_success_of_another_group_does_not_release_it(world: World) -> None:
    world.group("db")
    for each in ("i-a", "i-b", "i-c"):
        ran(world, each, FAILED)
        ran(world, f"{each}-db", OK, "db")
    assert abandoned(world) == {"i-a", "i-b"}


def test_the_success_of_a_host_that_is_gone_does_not_release_it(world: World) -> None:
    world.group("db")
    for each in ("i-a", "i-b", "i-c"):
        ran(world, each, FAILED)
        ran(world, f"{each}-db", OK, "db")
        world.tower.remove_host(f"{each}-db")
    assert abandoned(world) == {"i-a", "i-b"}


def test_the_failures_of_another_group_do_not_hold_it(world: World) -> None:
    world.group("db", on_failure="hold")
    ran(world, "i-x", FAILED, "db")
    ran(world, "i-y", FAILED, "db")
    ran(world, "i-a", FAILED)
    assert abandoned(world) == {"i-a"}


def test_jobs_that_found_machines_unreachable_count_neither_way(world: World) -> None:
    ran(world, "i-a", FAILED)
    ran(world, "i-u", UNREACHABLE)
    ran(world, "i-b", FAILED)
    ran(world, "i-v", UNREACHABLE)
    ran(world, "i-c", FAILED)
    assert abandoned(world) == {"i-a", "i-b"}


def test_unreachable_machines_alone_never_hold_a_group(world: World) -> None:
    for each in ("i-u", "i-v", "i-w"):
        ran(world, each, UNREACHABLE)
    ran(world, "i-a", FAILED)
    assert abandoned(world) == {"i-a"}


def test_a_held_group_alerts_once_tries_again_and_goes_on_when_a_job_succeeds(world: World) -> None:
    ran(world, "i-a", FAILED)
    ran(world, "i-b", FAILED)
    message = world.waiting("i-c")
    alerted = 0
    waits: list[float] = []
    ended_at = world.clock.now
    while len(waits) < 5:
        job = world.tower.runs[message.job_id or 0].job
        if not job.status.final:
            waits.append(world.clock.now - ended_at)
            world.tower.end_job(job.id, {"i-c": FAILED})
            ended_at = world.clock.now
        result = world.evaluate_one(message)
        alerted += len(alerts(result))
        [(message, delay)] = result.next
        world.clock.advance(delay)
    assert alerted == 1
    assert waits[1:] == sorted(waits[1:])
    assert waits[-1] > 2 * waits[1]
    assert "i-c" not in abandoned(world)
    while not world.fleet.completed.get(message.waiting[0].action):
        job = world.tower.runs[message.job_id or 0].job
        if not job.status.final:
            world.tower.end_job(job.id, {"i-c": OK})
        for sent, delay in world.evaluate_one(message).next:
            message = sent
            world.clock.advance(delay)
    assert world.fleet.completed[message.waiting[0].action] == Result.CONTINUE


def test_a_held_group_gets_its_signs_of_life(world: World) -> None:
    ran(world, "i-a", FAILED)
    ran(world, "i-b", FAILED)
    message = world.waiting("i-c")
    world.tower.end_job(message.job_id or 0, {"i-c": FAILED})
    world.evaluate_one(replace(message, heartbeat_at=0))
    assert world.fleet.heartbeats == {"i-c": 1}


def test_asking_whether_a_group_is_held_costs_the_same_for_one_failure_as_for_many(world: World) -> None:
    ran(world, "i-a", FAILED)
    ran(world, "i-b", FAILED)
    names = [f"i-c{number}" for number in range(20)]
    message = world.waiting(*names)
    world.tower.end_job(message.job_id or 0, dict.fromkeys(names, FAILED))
    world.tower.calls.clear()
    [(sent, _)] = world.evaluate_one(message).next
    assert ids(sent) == set(names)
    assert world.tower.calls["jobs_of_group_before"] == 1
    assert world.tower.calls["names_of_group"] <= 3
    assert world.tower.calls["names_without_host"] <= 3


def between(world: World, number: int) -> None:
    """So many jobs of another group of the same template went well, and their instances serve."""
    for _ in range(number):
        ran(world, f"i-db{len(world.tower.runs)}", OK, "db")


@pytest.mark.parametrize("others", [0, 6, 4 * JOBS_EXAMINED])
def test_the_good_jobs_of_another_group_do_not_hide_a_groups_failures(world: World, others: int) -> None:
    world.group("db")
    ran(world, "i-a", FAILED)
    between(world, others)
    ran(world, "i-b", FAILED)
    between(world, others)
    ran(world, "i-c", FAILED)
    assert abandoned(world) == {"i-a", "i-b"}


def test_a_groups_success_releases_it_however_many_jobs_of_another_group_came_since(world: World) -> None:
    world.group("db")
    ran(world, "i-a", FAILED)
    ran(world, "i-b", FAILED)
    ran(world, "i-fine", OK)
    between(world, 2 * JOBS_EXAMINED)
    ran(world, "i-c", FAILED)
    assert abandoned(world) == {"i-a", "i-b", "i-c"}


def test_of_the_jobs_of_another_group_no_outcomes_are_read(world: World) -> None:
    world.group("db")
    ran(world, "i-a", FAILED)
    between(world, 3 * JOBS_EXAMINED)
    message = world.waiting("i-c")
    world.tower.end_job(message.job_id or 0, {"i-c": FAILED})
    world.tower.calls.clear()
    world.evaluate_one(message)
    assert world.tower.calls["outcomes"] == 2
    assert world.tower.calls["jobs_of_group_before"] == 1


def test_looking_back_ends_at_the_third_failure(world: World) -> None:
    world.group("db")
    between(world, 5 * JOBS_EXAMINED)
    for each in ("i-a", "i-b"):
        ran(world, each, FAILED)
    message = world.waiting("i-c")
    world.tower.end_job(message.job_id or 0, {"i-c": FAILED})
    world.tower.calls.clear()
    world.evaluate_one(message)
    assert world.tower.calls["jobs_of_group_before"] == 1
    assert world.tower.calls["outcomes"] == 3


def test_the_success_of_a_host_without_the_groups_marker_does_not_release_it(world: World) -> None:
    for each in ("i-a", "i-b", "i-c"):
        other = world.tower.add_host(world.inventory, f"by-hand-{each}")
        job = world.tower.add_job(world.template, world.inventory, other.name)
        world.tower.end_job(job.id, {other.name: OK})
        ran(world, each, FAILED)
    assert abandoned(world) == {"i-a", "i-b"}


def test_the_failure_of_a_host_that_is_gone_counts(world: World) -> None:
    for each in ("i-a", "i-b"):
        ran(world, each, FAILED)
        assert each not in world.tower.names_in(world.inventory)
    ran(world, "i-c", FAILED)
    assert abandoned(world) == {"i-a", "i-b"}


# One job for many


@pytest.mark.parametrize(("number", "held"), [(9, False), (10, True), (60, True)])
def test_one_job_that_failed_on_all_of_at_least_ten_instances_is_enough(world: World, number: int, held: bool) -> None:
    names = [f"i-{each}" for each in range(number)]
    message = world.waiting(*names)
    world.tower.end_job(message.job_id or 0, dict.fromkeys(names, FAILED))
    result = world.evaluate_one(message)
    assert abandoned(world) == (set() if held else set(names))
    if held:
        assert {each.reason for each in alerts(result)} == {
            f"its job failed: it failed on all {number} instances of its group: fix what they have in common, or "
            "release the group: rollcall release --group web"
        }


def test_one_that_was_provisioned_among_many_failures_shows_that_the_playbook_works(world: World) -> None:
    names = [f"i-{each}" for each in range(20)]
    message = world.waiting(*names)
    world.tower.end_job(message.job_id or 0, dict.fromkeys(names, FAILED) | {"i-7": OK})
    world.evaluate_one(message)
    assert abandoned(world) == set(names) - {"i-7"}


def test_instances_of_another_group_in_the_same_job_do_not_count(world: World) -> None:
    world.group("db")
    names, others = [f"i-{each}" for each in range(6)], [f"i-d{each}" for each in range(6)]
    job = world.tower.add_job(world.template, world.inventory, *names, *others)
    web, db = world.waiting(*names, job=job), world.waiting(*others, group="db", job=job)
    world.tower.end_job(job.id, dict.fromkeys([*names, *others], FAILED))
    world.evaluate(web, db)
    assert abandoned(world) == {*names, *others}


# Unreachable


def unreached(world: World, *instance_ids: str, group: str = "web", tries: int = 2) -> GateMessage:
    """A message of instances that no job reached until their timeout; its last job was looked at."""
    message = world.waiting(*instance_ids, group=group)
    for each in range(tries):
        job = world.tower.runs[message.job_id or 0].job
        world.tower.end_job(job.id, dict.fromkeys(instance_ids, UNREACHABLE))
        if each < tries - 1:
            world.clock.advance(1000)
            [(message, _)] = world.evaluate_one(message).next
    world.clock.advance(1000)
    return message


def test_an_instance_that_is_out_of_reach_alone_is_abandoned(world: World) -> None:
    world.evaluate_one(unreached(world, "i-a"))
    assert abandoned(world) == {"i-a"}


def test_two_instances_out_of_reach_while_none_is_reached_are_held_with_one_alert_each_and_tried_again(
    world: World,
) -> None:
    result = world.evaluate_one(unreached(world, "i-a", "i-b"))
    assert abandoned(world) == set()
    assert {each.action.instance_id: each.reason.split(": ")[1] for each in alerts(result)} == {
        "i-a": "no instance is reached, i-b neither",
        "i-b": "no instance is reached, i-a neither",
    }
    [(message, _)] = result.next
    assert ids(message) == {"i-a", "i-b"}
    assert message.job_id in world.tower.runs


def test_an_instance_of_another_group_out_of_reach_holds_it_too(world: World) -> None:
    world.group("db")
    other = world.waiting("i-d", group="db")
    message = unreached(world, "i-a")
    later = world.tower.add_job(world.template, world.inventory, "i-d")
    world.tower.end_job(later.id, {"i-d": UNREACHABLE})
    assert other.job_id
    world.evaluate_one(message)
    assert abandoned(world) == set()


@pytest.mark.parametrize("outcome", [OK, FAILED])
def test_a_host_of_another_group_that_was_reached_meanwhile_shows_that_it_is_the_instances_fault(
    world: World, outcome: Outcome
) -> None:
    world.group("db", on_failure="hold")
    first = unreached(world, "i-a", "i-b", tries=1)
    ran(world, "i-d", outcome, "db")
    [(message, _)] = world.evaluate_one(first).next
    world.clock.advance(1000)
    world.tower.end_job(message.job_id or 0, {"i-a": UNREACHABLE, "i-b": UNREACHABLE})
    world.evaluate_one(message)
    assert abandoned(world) == {"i-a", "i-b"}


def test_a_host_that_is_reached_after_an_instances_last_try_gives_it_another_one(world: World) -> None:
    world.group("db")
    message = unreached(world, "i-a", "i-b")
    ran(world, "i-d", OK, "db")
    result = world.evaluate_one(message)
    assert abandoned(world) == set()
    [(message, _)] = result.next
    assert not world.tower.runs[message.job_id or 0].job.status.final
    world.tower.end_job(message.job_id or 0, {"i-a": OK, "i-b": UNREACHABLE})
    world.evaluate_one(message)
    assert {each.instance_id: result for each, result in world.fleet.completed.items()} == {
        "i-a": Result.CONTINUE,
        "i-b": Result.ABANDON,
    }


def ignored(world: World, message: GateMessage, *well: str) -> None:
    """The message's job ended well, for its playbook ignores that it reached none of its hosts but these."""
    names = {each.action.instance_id for each in message.waiting}
    job = world.tower.end_job(
        message.job_id or 0, dict.fromkeys(names, UNREACHABLE) | dict.fromkeys(well, OK), JobStatus.SUCCESSFUL
    )
    world.tower.runs[job.id].summaries = {each: HostSummary(ignored=1) for each in (*names, *well)}


def test_an_unreachable_host_that_the_playbook_ignores_was_not_reached(world: World) -> None:
    message = world.waiting("i-a", "i-b")
    ignored(world, message)
    world.clock.advance(1000)
    [(message, _)] = world.evaluate_one(message).next
    ignored(world, message)
    world.clock.advance(1000)
    result = world.evaluate_one(message)
    assert abandoned(world) == set()
    assert ids(result.next[0][0]) == {"i-a", "i-b"}


def test_a_host_on_which_the_playbook_ignored_a_failure_was_reached(world: World) -> None:
    message = unreached(world, "i-a", "i-b")
    job = world.tower.runs[message.job_id or 0]
    job.job = replace(job.job, hosts=job.job.hosts | {"i-fine"})
    ignored(world, message, "i-fine")
    world.evaluate_one(message)
    assert abandoned(world) == {"i-a", "i-b"}


def test_a_host_that_was_reached_before_the_instance_came_shows_nothing(world: World) -> None:
    ran(world, "i-d", OK)
    world.clock.advance(1)
    world.evaluate_one(unreached(world, "i-a", "i-b"))
    assert abandoned(world) == set()


def test_the_second_instance_in_a_row_of_a_group_of_one_that_is_out_of_reach_is_held(world: World) -> None:
    world.evaluate_one(unreached(world, "i-a"))
    world.evaluate_one(unreached(world, "i-b"))
    assert abandoned(world) == {"i-a"}


def test_a_group_whose_last_instance_was_reached_is_not_held_for_one_that_is_not(world: World) -> None:
    world.evaluate_one(unreached(world, "i-a"))
    ran(world, "i-fine", OK)
    world.clock.advance(1)
    world.evaluate_one(unreached(world, "i-b"))
    assert abandoned(world) == {"i-a", "i-b"}


def test_a_held_group_goes_on_as_usual_once_a_host_is_reached(world: World) -> None:
    [(message, _)] = world.evaluate_one(unreached(world, "i-a", "i-b")).next
    job = world.tower.runs[message.job_id or 0].job
    world.tower.end_job(job.id, {"i-a": OK, "i-b": UNREACHABLE})
    world.evaluate_one(message)
    assert {each.instance_id: result for each, result in world.fleet.completed.items()} == {
        "i-a": Result.CONTINUE,
        "i-b": Result.ABANDON,
    }


@pytest.mark.parametrize("outcome", [FAILED, UNREACHABLE])
def test_a_released_group_is_not_held_for_what_was_before_and_for_what_comes_it_is(
    world: World, outcome: Outcome
) -> None:
    names = [f"i-{each}" for each in range(12)]
    message = unreached(world, *names)
    world.tower.end_job(message.job_id or 0, dict.fromkeys(names, outcome))
    released = datetime.fromtimestamp(world.clock.now + 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    held = replace(message, waiting=message.waiting[:6])
    world.evaluate_one(held)
    assert abandoned(world) == set()
    world.group("web", released=released)
    world.evaluate_one(replace(message, waiting=message.waiting[6:]))
    assert abandoned(world) == set(names[6:])
    world.clock.advance(10)
    fresh = unreached(world, *(f"i-new{each}" for each in range(12)))
    world.tower.end_job(fresh.job_id or 0, {each.action.instance_id: outcome for each in fresh.waiting})
    world.evaluate_one(fresh)
    assert abandoned(world) == set(names[6:])


# Other jobs' events that Tower has not processed yet


def failed_at_once(world: World, *unprocessed: str) -> list[GateMessage]:
    """Three jobs at one time, each on one instance of the group, all failed."""
    messages = [world.waiting(each) for each in ("i-a", "i-b", "i-c")]
    for each in messages:
        instance_id = each.waiting[0].action.instance_id
        world.tower.end_job(each.job_id or 0, {instance_id: FAILED}, processed=instance_id not in unprocessed)
    return messages


def test_it_holds_while_jobs_are_processed_that_may_have_failed_as_well(world: World) -> None:
    *earlier, last = failed_at_once(world, "i-a", "i-b")
    result = world.evaluate_one(last)
    assert abandoned(world) == set()
    assert [each.reason for each in alerts(result)] == [
        f"its job failed: Tower still processes the events of job {earlier[1].job_id}, which may show that it is not "
        "this instance's fault"
    ]


def test_jobs_that_are_processed_hold_nothing_that_they_could_not_hold_in_the_end(world: World) -> None:
    _, middle, _ = failed_at_once(world, "i-a")
    world.evaluate_one(middle)
    assert abandoned(world) == {"i-b"}


def test_an_instance_that_was_provisioned_releases_the_group_though_older_jobs_are_processed(world: World) -> None:
    failed_at_once(world, "i-a", "i-b", "i-c")
    ran(world, "i-fine", OK)
    ran(world, "i-d", FAILED)
    assert abandoned(world) == {"i-d"}


def test_events_that_are_never_processed_hold_nothing(world: World) -> None:
    *_, last = failed_at_once(world, "i-a", "i-b")
    world.clock.advance(EVENTS_TOO_LONG + 1)
    world.evaluate_one(last)
    assert abandoned(world) == {"i-c"}


@pytest.mark.parametrize("waited", [0, EVENTS_TOO_LONG + 1])
def test_it_holds_while_a_job_is_processed_that_did_not_reach_another_instance(world: World, waited: float) -> None:
    message = unreached(world, "i-a")
    other = world.waiting("i-b")
    world.tower.end_job(other.job_id or 0, {"i-b": UNREACHABLE}, processed=False)
    world.clock.advance(waited)
    world.evaluate_one(message)
    assert abandoned(world) == ({"i-a"} if waited else set())


def test_it_holds_while_the_last_job_before_the_instance_is_processed(world: World) -> None:
    before = world.waiting("i-a")
    world.tower.end_job(before.job_id or 0, {"i-a": UNREACHABLE}, processed=False)
    world.clock.advance(1)
    message = unreached(world, "i-b")
    world.tower.runs[before.job_id or 0].job = replace(
        world.tower.runs[before.job_id or 0].job, finished_at=world.clock.now
    )
    world.evaluate_one(message)
    assert abandoned(world) == set()


@pytest.mark.parametrize("method", ["jobs_of_group_before", "names_of_group", "has_reached", "jobs_unreached"])
@pytest.mark.parametrize("outcome", [FAILED, UNREACHABLE])
def test_where_tower_does_not_say_the_instance_is_kept(world: World, method: str, outcome: Outcome) -> None:
    message = unreached(world, "i-a")
    world.tower.end_job(message.job_id or 0, {"i-a": outcome})
    ran(world, "i-other", FAILED)
    world.tower.failing[method] = TowerUnavailable("away")
    world.tower.calls.clear()
    result = world.evaluate_one(message)
    asked = world.tower.calls[method] > 0
    assert (abandoned(world) == {"i-other"}) == asked
    assert (result.error is not None) == asked


def test_the_search_for_evidence_is_bounded_in_calls_however_long_the_history_is(world: World) -> None:
    for each in range(40):
        message = world.waiting(f"i-{each}")
        world.tower.end_job(message.job_id or 0, {f"i-{each}": UNREACHABLE})
        world.tower.remove_host(f"i-{each}")
    message = unreached(world, "i-a", "i-b", "i-c")
    world.tower.calls.clear()
    world.evaluate_one(message)
    assert sum(world.tower.calls.values()) < 20
    world.tower.end_job(message.job_id or 0, dict.fromkeys(("i-a", "i-b", "i-c"), FAILED))
    world.tower.calls.clear()
    world.evaluate_one(message)
    assert sum(world.tower.calls.values()) < 50
