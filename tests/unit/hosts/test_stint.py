"""The present stint of an instance: since when it lasts, what belongs to it, and what register makes of it."""

from __future__ import annotations

import math
from copy import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.errors import InstanceNotVisible, JobStillLanding, Throttled, TowerUnavailable
from rollcall.domain.inventories import Host
from rollcall.domain.jobs import JobStatus, Outcome
from rollcall.domain.json_input import MOMENT_MAX
from rollcall.domain.membership import Membership
from rollcall.domain.reports import NO_LONGER_WAITING
from rollcall.domain.timing import CLOCKS_APART, OTHER_LAUNCH_TIME
from rollcall.hosts.jobs import CLOCK_STEP
from rollcall.hosts.resting import disable_hosts
from rollcall.hosts.stint import (
    Stint,
    begins_new_stint,
    joined_by,
    may_be_of_former_stint,
    new_stint,
    read_stint,
    rested_since,
    stint_of,
)
from rollcall.hosts.variables import is_resting, marker_in, with_state
from rollcall.lifecycle.provisioning import JOB_LIFE
from rollcall.tower.bulk_hosts import MadeHosts
from unit.fakes import ACCOUNT, REGION
from unit.world import HOOK, World, alerted, alerts, token_of, warning

if TYPE_CHECKING:
    from rollcall.domain.messages import GateMessage
    from rollcall.domain.reports import Report

NOW = 1_800_000_000.0
SECOND_HOOK = "rollcall-second"
TIMEOUT = 1800  # seconds, of the group
FIRST, SECOND, THIRD = (token_of(each) for each in ("first", "second", "third"))
OWNER = {"group": "web", "instance_id": "i-a", "account": ACCOUNT, "region": REGION, "vpc": "vpc-1", "inventory": 1}


def host(*, created_at: float = NOW, inventory_id: int = 1, **state: Any) -> Host:
    """A managed host of inventory 1, with this state in its marker."""
    return Host(
        id=7,
        name="i-a",
        inventory_id=inventory_id,
        inventory_name="prod",
        instance_id="i-a",
        variables={"rollcall": OWNER | state},
        created_at=created_at,
        group_ids=frozenset(),
    )


def action(token: str | None = FIRST, hook: str | None = HOOK, at: float = NOW) -> LifecycleAction:
    return LifecycleAction(Transition.LAUNCHING, ACCOUNT, REGION, "web", "i-a", hook, token, at=at)


def begun(*, since: float = NOW, **tokens: str) -> dict[str, Any]:
    """A stint as it stands in a marker; tokens of the first and the second hook."""
    hooks = {"first": HOOK, "second": SECOND_HOOK}
    return {"stint": Stint(since, {hooks[each]: token for each, token in tokens.items()}).written()}


RESTING: dict[str, Any] = {"resting": {"since": NOW, "enabled": True}}

# What stands in a marker

HOOKS = st.text(min_size=1, max_size=9)
STINTS = st.builds(
    Stint,
    since=st.integers(0, 4_000_000_000_000).map(lambda each: each / 1000),
    tokens=st.dictionaries(HOOKS, st.text(min_size=1, max_size=36), max_size=3),
)


@given(STINTS)
def test_a_stint_is_read_as_it_was_written(stint: Stint) -> None:
    assert read_stint({"rollcall": {"stint": stint.written()}}) == stint


def test_what_is_written_begins_with_the_action_that_began_it() -> None:
    assert Stint(NOW).written() == {"since": NOW, "token": ""}
    assert Stint(NOW, {HOOK: FIRST}).written() == {"since": NOW, "token": FIRST, "hook": HOOK}
    written = Stint(NOW, {HOOK: FIRST, SECOND_HOOK: SECOND}).written()
    assert written == {"since": NOW, "token": FIRST, "hook": HOOK, "also": {SECOND_HOOK: SECOND}}


WHATEVER: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(WHATEVER | st.fixed_dictionaries({}, optional=dict.fromkeys(("since", "token", "hook", "also"), WHATEVER)))
def test_whatever_a_person_made_of_a_stint_can_be_read_as_a_date_with_tokens_or_is_none(raw: object) -> None:
    variables = {"rollcall": {"stint": raw, "resting": raw}}
    stint = read_stint(variables)
    assert stint is None or (0 <= stint.since <= MOMENT_MAX and all(map(str.__instancecheck__, stint.tokens)))
    assert rested_since(variables) == (stint.since if stint else None)
    assert stint_of(replace(host(), variables=variables)).since == (stint.since if stint else NOW)


@pytest.mark.parametrize("raw", [None, 7, "soon", [], {}, {"since": "7"}, {"since": True}, {"since": math.nan}])
@pytest.mark.parametrize("since", [-1.0, 1e12, 10**400, math.inf], ids=lambda since: str(since)[:9])
def test_a_stint_without_a_moment_is_none(raw: object, since: float) -> None:
    assert read_stint({"rollcall": {"stint": raw}}) is None
    assert read_stint({"rollcall": {"stint": {"since": since}}}) is None


@pytest.mark.parametrize(
    "half", [{"token": FIRST}, {"hook": HOOK}, {"hook": "", "token": FIRST}, {"hook": HOOK, "also": {SECOND_HOOK: ""}}]
)
def test_half_an_action_is_none(half: dict[str, object]) -> None:
    assert read_stint({"rollcall": {"stint": {"since": NOW, **half}}}) == Stint(NOW)


def test_a_host_of_a_version_that_knew_no_stints_began_when_it_was_made() -> None:
    assert stint_of(host(created_at=5.0)) == Stint(5.0)


# What begins a stint, and what joins it


@pytest.mark.parametrize(
    ("known", "message", "anew"),
    [
        # the same action, and messages that name none, join
        (host(**begun(first=FIRST)), action(), False),
        (host(**begun(first=FIRST)), action(token=None), False),
        (host(**begun(first=FIRST)), action(token=None, hook=None), False),
        (host(**begun()), action(hook=None, at=NOW + 3600), False),
        # another action of the same hook is another stint; that of a second hook is not
        (host(**begun(first=FIRST)), action(SECOND), True),
        (host(**begun(first=FIRST)), action(SECOND, SECOND_HOOK), False),
        (host(**begun(first=FIRST, second=SECOND)), action(SECOND, SECOND_HOOK), False),
        (host(**begun(first=FIRST, second=SECOND)), action(SECOND, SECOND_HOOK, at=NOW + 3600), False),
        # a hook that the stint does not know is a second one, published with the first; or later, and of another stint
        (host(**begun(first=FIRST)), action(SECOND, SECOND_HOOK, at=NOW - 3600), False),
        (host(**begun(first=FIRST)), action(SECOND, SECOND_HOOK, at=NOW + CLOCKS_APART), False),
        (host(**begun(first=FIRST)), action(SECOND, SECOND_HOOK, at=NOW + CLOCKS_APART + 1), True),
        (host(**begun(first=FIRST)), action(None, SECOND_HOOK, at=NOW + 3600), False),
        (host(**begun(first=FIRST, second=SECOND)), action(THIRD, SECOND_HOOK), True),
        # whatever is resting, copied or not ours begins anew, also by a message that names no action
        (host(**begun(first=FIRST), **RESTING), action(), True),
        (host(**begun(first=FIRST), **RESTING), action(token=None, hook=None), True),
        (host(inventory_id=2, **begun(first=FIRST)), action(), True),
        (replace(host(), variables={}), action(), True),
        (replace(host(), variables={}), action(token=None, hook=None), True),
        # what no action began takes in the one that was published before, and not a later one
        (host(**begun()), action(at=NOW - 3600), False),
        (host(**begun()), action(at=NOW + CLOCKS_APART), False),
        (host(**begun()), action(at=NOW + CLOCKS_APART + 1), True),
        (host(**begun()), action(token=None, at=NOW + 3600), False),
        # a version that knew no stints left none
        (host(created_at=NOW), action(at=NOW + CLOCKS_APART), False),
        (host(created_at=NOW), action(at=NOW + CLOCKS_APART + 1), True),
        (host(created_at=NOW), action(token=None, at=NOW + 3600), False),
    ],
)
def test_what_begins_a_stint(known: Host, message: LifecycleAction, anew: bool) -> None:
    assert begins_new_stint(known, message) == anew


@pytest.mark.parametrize(
    ("known", "message", "doubtful"),
    [
        (host(**begun(first=FIRST)), action(SECOND), True),
        (host(**RESTING), action(SECOND, at=NOW + CLOCKS_APART - 1), True),
        (host(**RESTING), action(SECOND, at=NOW + CLOCKS_APART), False),
        (host(resting={"since": "?"}), action(SECOND, at=NOW + 3600), True),
        (host(**RESTING), action(token=None, at=NOW - 3600), False),
        (host(**RESTING), action(token=None, hook=None, at=NOW - 3600), False),
        (host(**RESTING), action(hook=None, at=NOW - 3600), False),
        (host(**begun()), action(SECOND, at=NOW + 3600), False),
        (host(inventory_id=2, **begun(first=FIRST)), action(SECOND), False),
        (replace(host(), variables={}), action(SECOND), False),
    ],
)
def test_what_may_be_of_a_former_stint(known: Host, message: LifecycleAction, doubtful: bool) -> None:
    assert may_be_of_former_stint(known, message) == doubtful


def test_a_stint_that_is_joined_keeps_its_beginning_and_learns_the_tokens() -> None:
    joined = joined_by(Stint(NOW, {HOOK: FIRST}), [action(SECOND, SECOND_HOOK), action(token=None), action(FIRST)])
    assert joined == Stint(NOW, {HOOK: FIRST, SECOND_HOOK: SECOND})
    assert joined_by(Stint(NOW), [action(FIRST)]) == Stint(NOW, {HOOK: FIRST})


def test_actions_without_a_token_begin_a_stint_without_one() -> None:
    assert new_stint(NOW, [action(token=None), action(token=None, hook=None), action(hook=None)]) == Stint(NOW)


# Register


def at_rest(world: World) -> None:
    """i-a served, its job was ok, and now it is in the pool."""
    world.register(world.launching("i-a"))
    world.tower.end_job(max(world.tower.runs), {"i-a": Outcome.OK})
    world.clock.advance(3600)
    world.fleet.known_memberships["i-a"] = Membership("web", "Warmed:Pending:Wait")
    going = LifecycleAction(Transition.TERMINATING, ACCOUNT, REGION, "web", "i-a", "rollcall-terminate", "t-rest")
    world.clean_up(replace(going, at=world.clock.now, received_at=world.clock.now))
    world.fleet.stale.clear()
    world.fleet.known_memberships["i-a"] = Membership("web", "Warmed:Stopped")
    world.queues.sent.clear()
    world.clock.advance(3600)


def back(world: World, token: str | None = SECOND, message_id: str = "m2", **changes: Any) -> LifecycleAction:
    """i-a comes out of the pool."""
    return replace(world.launching("i-a"), token=token, message_id=message_id, **changes)


def the_host(world: World) -> Host:
    [found] = world.tower.hosts_of(["i-a"])
    return found


def the_stint(world: World) -> Stint:
    found = read_stint(the_host(world).variables)
    assert found
    return found


def messages(world: World) -> list[GateMessage]:
    return [message for message, _ in world.queues.gate_messages()]


def only_error(reports: list[Report]) -> Exception:
    [report] = reports
    assert report.error
    return report.error


def test_a_new_host_says_when_its_stint_began_before_any_job_is_launched(world: World) -> None:
    said: list[Stint | None] = []
    world.tower.before_call = lambda method: said.append(the_stint(world)) if method == "launch" else None
    world.register(world.launching("i-a"))
    assert said == [Stint(world.clock.now - CLOCK_STEP, {HOOK: token_of("i-a")})]
    [message] = messages(world)
    assert message.waiting[0].stint_since == world.clock.now - CLOCK_STEP


@pytest.mark.parametrize("made", ["new", "rested", "not rested"])
def test_a_job_whose_time_another_of_towers_nodes_stamped_is_of_the_stint_it_was_launched_in(
    world: World, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if made == "new":
        coming = world.launching("i-a")
    elif made == "rested":
        at_rest(world)
        coming = back(world)
    else:
        world.register(world.launching("i-a"))
        world.tower.end_job(max(world.tower.runs), {"i-a": Outcome.OK})
        world.clock.advance(3600)
        coming = back(world)
    former = set(world.tower.runs)
    monkeypatch.setattr(world.tower, "now", lambda: world.clock.now + 3)
    world.queues.sent.clear()
    world.register(coming)
    [job] = set(world.tower.runs) - former
    [message] = messages(world)
    world.clock.advance(10)
    assert not alerts(world.evaluate_one(message))
    world.queues.sent.clear()
    world.register(coming)  # its message comes again
    assert [message.job_id for message in messages(world)] == [job]
    assert set(world.tower.runs) - former == {job}


def test_a_job_of_before_a_rest_that_began_seconds_ago_does_not_count(world: World) -> None:
    world.register(world.launching("i-a"))
    world.tower.end_job(max(world.tower.runs), {"i-a": Outcome.OK})
    world.clock.advance(1)
    disable_hosts(world.tower, ["i-a"], ACCOUNT, REGION)
    rested = world.clock.now
    world.clock.advance(1)
    world.register(back(world))
    assert the_stint(world).since == rested
    assert len(world.tower.runs) == 2


def test_the_clock_that_counts_is_towers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.tower, "now", lambda: 7.0)
    world.register(world.launching("i-a"))
    assert the_stint(world).since == 7.0 - CLOCK_STEP


def test_who_comes_back_is_enabled_with_a_new_stint_and_provisioned_anew(world: World) -> None:
    at_rest(world)
    assert (the_host(world).enabled, is_resting(the_host(world).variables)) == (False, True)
    former = set(world.tower.runs)
    world.register(back(world))
    found = the_host(world)
    assert (found.enabled, is_resting(found.variables)) == (True, False)
    assert found.description == "Made by Rollcall for message m2"
    assert the_stint(world) == Stint(world.clock.now - CLOCK_STEP, {HOOK: SECOND})
    [job] = set(world.tower.runs) - former
    [message] = messages(world)
    assert (message.job_id, message.waiting[0].stint_since) == (job, the_stint(world).since - OTHER_LAUNCH_TIME)


def test_who_comes_back_out_of_a_lost_rest_is_provisioned_anew_by_its_new_token(world: World) -> None:
    world.register(world.launching("i-a"))
    world.tower.end_job(max(world.tower.runs), {"i-a": Outcome.OK})
    world.clock.advance(3600)
    world.register(back(world))
    assert the_stint(world) == Stint(world.clock.now - CLOCK_STEP, {HOOK: SECOND})
    assert len(world.tower.runs) == 2
    assert messages(world)[-1].waiting[0].stint_since == world.clock.now - CLOCK_STEP


@pytest.mark.parametrize("hook", [HOOK, None])
def test_a_message_without_a_token_begins_the_stint_of_who_rests(world: World, hook: str | None) -> None:
    at_rest(world)
    world.register(back(world, token=None, hook=hook))
    assert the_stint(world) == Stint(world.clock.now - CLOCK_STEP)
    assert len(world.tower.runs) == 2


@pytest.mark.parametrize("token", [token_of("i-a"), None])
def test_a_further_message_of_the_stint_joins_it_and_its_job(world: World, token: str | None) -> None:
    world.register(world.launching("i-a"))
    began = the_stint(world)
    world.clock.advance(600)
    world.register(back(world, token))
    assert the_stint(world) == began
    assert [message.waiting[0].stint_since for message in messages(world)] == [began.since] * 2
    assert len(world.tower.runs) == 1


def test_the_action_of_a_second_hook_joins_the_stint_and_is_remembered(world: World) -> None:
    world.register(world.launching("i-a"))
    world.clock.advance(30)
    world.register(back(world, SECOND, hook=SECOND_HOOK))
    assert the_stint(world).tokens == {HOOK: token_of("i-a"), SECOND_HOOK: SECOND}
    assert len(world.tower.runs) == 1
    world.register(back(world, SECOND, "m3", hook=SECOND_HOOK))
    assert len(world.tower.runs) == 1


def test_the_action_of_a_second_hook_whose_message_comes_an_hour_late_joins_the_stint_that_was_published_with_it(
    world: World,
) -> None:
    first = world.launching("i-a")
    second = replace(first, hook=SECOND_HOOK, token=SECOND, message_id="m2")
    world.register(first)
    world.clock.advance(3600)
    world.register(second)
    assert the_stint(world).tokens == {HOOK: token_of("i-a"), SECOND_HOOK: SECOND}
    assert [message.job_id for message in messages(world)] == list(world.tower.runs)[:1] * 2


def test_two_hooks_that_held_it_in_the_stint_before_are_one_stint_again(world: World) -> None:
    first = world.launching("i-a")
    world.register(first, replace(first, hook=SECOND_HOOK, token=SECOND))
    world.tower.end_job(max(world.tower.runs), {"i-a": Outcome.OK})
    world.clock.advance(86_400)
    again = back(world, THIRD)
    world.register(again)
    world.clock.advance(30)
    world.register(replace(again, hook=SECOND_HOOK, token=token_of("fourth")))
    assert the_stint(world).tokens == {HOOK: THIRD, SECOND_HOOK: token_of("fourth")}
    assert len(world.tower.runs) == 2


def test_who_comes_back_out_of_a_lost_rest_to_a_hook_of_another_name_is_provisioned_anew(world: World) -> None:
    world.register(world.launching("i-a"))
    world.tower.end_job(max(world.tower.runs), {"i-a": Outcome.OK})
    world.clock.advance(86_400)
    world.register(back(world, SECOND, hook=SECOND_HOOK))
    assert the_stint(world) == Stint(world.clock.now - CLOCK_STEP, {SECOND_HOOK: SECOND})
    assert messages(world)[-1].job_id == max(world.tower.runs)
    assert len(world.tower.runs) == 2


def test_two_hooks_in_one_batch_are_one_stint(world: World) -> None:
    at_rest(world)
    world.register(back(world), back(world, THIRD, hook=SECOND_HOOK))
    assert the_stint(world).tokens == {HOOK: SECOND, SECOND_HOOK: THIRD}
    assert len(world.tower.runs) == 2


def test_a_host_that_reconcile_made_takes_in_the_action_that_was_published_before(world: World) -> None:
    late = world.launching("i-a")
    world.clock.advance(300)
    world.host_of("i-a", "10.0.0.7", age=0, description="Made by Rollcall in run 1")
    host_id = the_host(world).id
    marker = with_state(the_host(world).variables, stint=Stint(world.clock.now - CLOCK_STEP).written())
    world.tower.update_host(host_id, "i-a", marker)
    job = world.tower.add_job(world.template, world.inventory, "i-a")
    world.register(late)
    assert the_stint(world) == Stint(world.clock.now - CLOCK_STEP, {HOOK: token_of("i-a")})
    assert [message.job_id for message in messages(world)] == [job.id]


def test_a_host_of_a_version_without_stints_gets_its_own_and_keeps_its_job(world: World) -> None:
    late = world.launching("i-a")
    world.host_of("i-a", "10.0.0.7", age=0, description="Made by Rollcall for message m1")
    job = world.tower.add_job(world.template, world.inventory, "i-a")
    made_at = world.clock.now
    world.clock.advance(300)
    world.register(late)
    assert the_stint(world) == Stint(made_at, {HOOK: token_of("i-a")})
    assert [message.job_id for message in messages(world)] == [job.id]


def test_an_adopted_host_gets_a_stint_then(world: World) -> None:
    world.settings = replace(world.settings, adopt_by_instance_id=True)
    world.tower.add_host(world.inventory, "i-a", created_at=world.clock.now - 3600)
    old = world.tower.add_job(world.template, world.inventory, "i-a")
    world.tower.end_job(old.id, {"i-a": Outcome.OK})
    world.clock.advance(10)
    world.register(world.launching("i-a"))
    assert the_stint(world) == Stint(world.clock.now - CLOCK_STEP, {HOOK: token_of("i-a")})
    assert len(world.tower.runs) == 2


def test_a_host_that_is_missing_when_its_instance_comes_back_is_made(world: World) -> None:
    at_rest(world)
    world.tower.hosts.clear()
    world.register(back(world))
    assert the_stint(world) == Stint(world.clock.now - CLOCK_STEP, {HOOK: SECOND})
    assert len(world.tower.runs) == 2


def test_who_comes_back_stays_disabled_if_a_person_had_disabled_it(world: World) -> None:
    world.register(world.launching("i-a"))
    world.tower.end_job(max(world.tower.runs), {"i-a": Outcome.OK})
    world.tower.disabled.add(the_host(world).id)
    world.clock.advance(3600)
    world.fleet.known_memberships["i-a"] = Membership("web", "Warmed:Stopped")
    world.clean_up(replace(action(), transition=Transition.TERMINATING, hook=None, token=None, at=world.clock.now))
    assert is_resting(the_host(world).variables)
    world.clock.advance(3600)
    world.register(back(world))
    found = the_host(world)
    assert (found.enabled, is_resting(found.variables)) == (False, False)


def test_what_a_person_disabled_is_not_enabled_by_a_new_stint_of_its_token(world: World) -> None:
    world.register(world.launching("i-a"))
    world.tower.disabled.add(the_host(world).id)
    world.tower.end_job(max(world.tower.runs), {"i-a": Outcome.OK})
    world.clock.advance(3600)
    world.register(back(world))
    assert not the_host(world).enabled


def test_a_job_that_reconcile_still_owed_is_not_owed_any_more_in_a_new_stint(world: World) -> None:
    world.host_of("i-a", "10.0.0.7")
    variables = with_state(the_host(world).variables, job_owed_since=7, resting={"since": 7.0, "enabled": True})
    world.tower.update_host(the_host(world).id, "i-a", variables, enabled=False)
    world.register(back(world))
    assert marker_in(the_host(world).variables).keys() & {"job_owed_since", "resting"} == set()


# Messages of a former stint, and jobs of before


@pytest.mark.parametrize("rested", [True, False])
def test_a_late_message_of_a_former_stint_changes_nothing_while_the_present_one_is_provisioned(
    world: World, rested: bool
) -> None:
    late = world.launching("i-a")
    if rested:
        at_rest(world)
    else:
        world.register(late)
        world.tower.end_job(max(world.tower.runs), {"i-a": Outcome.OK})
        world.clock.advance(3600)
    world.register(back(world))
    before, runs = the_host(world), set(world.tower.runs)
    world.fleet.known_memberships["i-a"] = Membership("web", "Pending:Proceed")
    world.fleet.stale.add("i-a")
    [report] = world.register(late)
    assert (report.outcome, report.error) == (NO_LONGER_WAITING, None)
    assert the_host(world) == before
    assert set(world.tower.runs) == runs


def test_a_late_message_that_overtakes_the_one_that_takes_it_out_of_the_pool_begins_nothing(world: World) -> None:
    late = world.launching("i-a")
    at_rest(world)
    world.fleet.known_memberships["i-a"] = Membership("web", "Pending")
    world.fleet.stale.add("i-a")
    [report] = world.register(late)
    assert report.outcome == NO_LONGER_WAITING
    assert is_resting(the_host(world).variables)
    world.fleet.stale.clear()
    world.register(back(world))
    assert the_stint(world).tokens == {HOOK: SECOND}


def test_a_late_message_that_a_hook_still_waits_for_begins_the_stint(world: World) -> None:
    # Its notification waited longer in the queue than the instance did in the pool.
    late = back(world)
    at_rest(world)
    world.launching("i-a")
    world.register(late)
    assert the_stint(world) == Stint(world.clock.now - CLOCK_STEP, {HOOK: SECOND})
    assert world.fleet.heartbeats["i-a"] == 1


def test_whether_a_hook_still_waits_is_asked_only_where_that_is_in_doubt(world: World) -> None:
    at_rest(world)
    world.register(back(world))
    world.register(back(world))
    assert world.fleet.heartbeats["i-a"] == 0


def test_a_late_message_leaves_those_of_its_instance_that_are_in_time_alone(world: World) -> None:
    late = world.launching("i-a")
    at_rest(world)
    present = back(world, THIRD, hook=SECOND_HOOK)
    world.fleet.waits_for["i-a"] = SECOND_HOOK
    reports = {report.action: report for report in world.register(late, present)}
    assert reports[present].outcome.startswith("registered")
    assert the_stint(world).tokens == {SECOND_HOOK: THIRD}


def test_a_late_message_whose_action_aws_does_not_find_while_a_hook_waits_is_tried_again(world: World) -> None:
    at_rest(world)
    late = back(world, at=0.0)
    world.fleet.stale.add("i-a")
    assert type(only_error(world.register(late))).__name__ == "ActionNotVisible"
    world.clock.advance(120)
    [report] = world.register(late)
    assert report.outcome == NO_LONGER_WAITING


def test_aws_that_cannot_be_asked_whether_a_hook_waits_fails_that_action_alone(world: World) -> None:
    world.register(world.launching("i-a"))
    world.tower.end_job(max(world.tower.runs), {"i-a": Outcome.OK})
    world.clock.advance(3600)
    world.fleet.throttled.add("i-a")
    reports = {each.action.instance_id: each for each in world.register(back(world), world.launching("i-b"))}
    assert isinstance(reports["i-a"].error, Throttled)
    assert reports["i-b"].outcome.startswith("registered")


@pytest.mark.parametrize("rested", [True, False])
def test_while_a_job_of_a_former_stint_runs_no_other_is_launched(world: World, rested: bool) -> None:
    world.register(world.launching("i-a"))
    [job] = world.tower.runs
    world.clock.advance(600)
    if rested:
        world.fleet.known_memberships["i-a"] = Membership("web", "Warmed:Stopped")
        world.clean_up(replace(action(), transition=Transition.TERMINATING, hook=None, token=None))
        assert is_resting(the_host(world).variables)
        world.clock.advance(600)
    coming = back(world)
    for _ in range(2):  # also at the next try, when the host is marked with this action's token
        error = only_error(world.register(coming))
        assert isinstance(error, JobStillLanding)
        assert str(job) in str(error)
    assert list(world.tower.runs) == [job]
    world.tower.end_job(job, {"i-a": Outcome.OK})
    world.register(coming)
    assert len(world.tower.runs) == 2
    assert messages(world)[-1].job_id == max(world.tower.runs)


@pytest.mark.parametrize("again", [1, 2])
def test_a_job_of_a_former_stint_that_hangs_is_cancelled_by_the_rule_for_such_jobs_and_one_is_launched(
    world: World, again: int
) -> None:
    world.register(world.launching("i-a"), world.launching("i-b"))
    [hanging] = world.tower.runs
    world.clock.advance(2 * TIMEOUT)
    coming = [back(world), replace(world.launching("i-b"), token=SECOND, message_id="m3")][:again]
    assert {type(report.error) for report in world.register(*coming)} == {JobStillLanding}
    world.clock.advance(1)
    reports = world.register(*coming)
    assert world.tower.runs[hanging].job.status == JobStatus.CANCELED
    assert world.tower.calls["cancel"] == 1
    assert [report.job for report in reports] == [max(world.tower.runs)] * again
    assert f"job {hanging}, launched before the present stint of i-a, hung, and was cancelled" in warning(reports[0])
    assert not any(map(alerted, reports))
    assert len(world.tower.runs) == 2


def test_a_job_of_a_former_stint_whose_events_come_is_waited_for(world: World) -> None:
    world.register(world.launching("i-a"))
    [job] = world.tower.runs
    world.clock.advance(4 * TIMEOUT)
    world.evidence.silent_since[job] = world.clock.now - TIMEOUT
    assert isinstance(only_error(world.register(back(world))), JobStillLanding)
    assert list(world.tower.runs) == [job]


@pytest.mark.parametrize("foreign", [{"launched_by": "alice"}, {"is_limited_to_ids": False}])
def test_beside_a_hanging_job_of_a_former_stint_that_is_not_ours_to_cancel_one_is_launched_with_an_alert(
    world: World, foreign: dict[str, Any]
) -> None:
    world.register(world.launching("i-a"))
    [job] = world.tower.runs
    world.tower.runs[job].job = replace(world.tower.runs[job].job, **foreign)
    world.clock.advance(TIMEOUT)
    coming = back(world)
    assert isinstance(only_error(world.register(coming)), JobStillLanding)
    world.clock.advance(1)
    [report] = world.register(coming)
    assert world.tower.runs[job].job.status == JobStatus.RUNNING
    assert report.job == max(world.tower.runs) != job
    assert f"job {job} is not cancelled" in alerted(report)


def test_a_job_that_has_run_for_longer_than_any_hook_waits_is_no_obstacle(world: World) -> None:
    world.register(world.launching("i-a"))
    world.clock.advance(JOB_LIFE + 1)
    world.register(back(world))
    assert len(world.tower.runs) == 2


def test_two_messages_about_one_action_that_are_worked_on_at_one_moment_share_a_job(world: World) -> None:
    at_rest(world)
    first, second = back(world), back(world, message_id="m3")

    def meanwhile(method: str) -> None:
        if method == "update_host":
            world.tower.before_call = lambda method: None
            world.register(first)
            world.clock.advance(1)

    world.tower.before_call = meanwhile
    world.register(second)
    running = [run.job.id for run in world.tower.runs.values() if not run.job.status.final]
    assert len(running) == 1
    assert [message.job_id for message in messages(world)] == running * 2
    job = world.tower.runs[running[0]].job
    since = [message.waiting[0].stint_since for message in messages(world)]
    assert all(each is not None and each <= job.created_at for each in since)


def test_two_that_launch_at_one_moment_give_way_to_the_older_job(world: World) -> None:
    at_rest(world)
    first, second = back(world), back(world, message_id="m3")
    resting = the_host(world)

    def meanwhile(method: str) -> None:
        if method == "launch":
            world.tower.before_call = lambda method: None
            with pytest.MonkeyPatch.context() as patch:  # it read the host before the other one changed it
                patch.setattr(world.tower, "create_hosts", lambda inventory, hosts: MadeHosts({}, {"i-a": resting}, {}))
                world.register(first)
            world.clock.advance(1)

    world.tower.before_call = meanwhile
    world.register(second)
    running = [run.job for run in world.tower.runs.values() if not run.job.status.final]
    assert [message.job_id for message in messages(world)] == [job.id for job in running] * 2


# Half-finished work, taken up again


@pytest.mark.parametrize("method", ["update_host", "jobs_holding", "group_ids", "add_to_group", "launch"])
def test_a_rejoin_that_failed_on_its_way_is_taken_up_at_the_next_try(world: World, method: str) -> None:
    at_rest(world)
    former = set(world.tower.runs)
    coming = back(world)
    world.tower.memberships_made.clear()
    world.tower.members.clear()
    world.tower.failing[method] = TowerUnavailable("away")
    assert isinstance(only_error(world.register(coming)), TowerUnavailable)
    world.tower.failing.clear()
    world.clock.advance(15)
    [report] = world.register(coming)
    assert report.outcome.startswith("registered")
    [job] = set(world.tower.runs) - former
    assert [message.job_id for message in messages(world)] == [job]
    assert the_host(world).enabled


def test_a_patch_without_an_answer_does_not_begin_the_stint_twice(world: World) -> None:
    at_rest(world)
    coming = back(world)
    update = type(world.tower).update_host

    def lose_the_answer(*args: Any, **own: Any) -> None:
        update(world.tower, *args, **own)
        raise TowerUnavailable("a gateway gave up")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.tower, "update_host", lose_the_answer)
        assert isinstance(only_error(world.register(coming)), TowerUnavailable)
    began = the_stint(world)
    world.clock.advance(15)
    world.register(coming)
    assert the_stint(world) == began
    assert messages(world)[-1].waiting[0].stint_since == began.since


def test_after_a_crash_before_the_launch_two_copies_of_the_message_launch_one_job(world: World) -> None:
    at_rest(world)
    former = set(world.tower.runs)
    coming, copy = back(world), back(world, message_id="m3")
    world.tower.failing["launch"] = TowerUnavailable("away")
    world.register(coming)
    world.tower.failing.clear()
    assert isinstance(only_error(world.register(copy)), JobStillLanding)
    world.clock.advance(OTHER_LAUNCH_TIME)

    def meanwhile(method: str) -> None:
        if method == "launch":
            world.tower.before_call = lambda method: None
            world.register(coming)

    world.tower.before_call = meanwhile
    world.register(copy)
    running = [each for each in set(world.tower.runs) - former if not world.tower.runs[each].job.status.final]
    assert len(running) == 1
    assert {message.job_id for message in messages(world)} == set(running)


def test_an_instance_that_is_still_said_to_be_in_the_pool_while_its_hook_waits_is_asked_for_again(world: World) -> None:
    at_rest(world)
    coming = back(world)
    world.fleet.known_memberships["i-a"] = Membership("web", "Warmed:Stopped")
    assert isinstance(only_error(world.register(coming)), InstanceNotVisible)
    assert is_resting(the_host(world).variables)
    assert not world.fleet.completed.keys() & {coming}
