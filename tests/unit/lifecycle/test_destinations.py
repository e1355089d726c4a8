"""Whatever a message says: in every lifecycle state, what becomes of an instance's host, and of the hook that waits."""

from __future__ import annotations

import json
from copy import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rollcall.aws.fleet import Membership
from rollcall.domain.actions import Result, Transition
from rollcall.domain.errors import BadEvent, InstanceNotVisible, Throttled
from rollcall.domain.lifecycle_states import PHASES, Phase, is_held, phase_of
from rollcall.domain.message_format import read_action, read_records
from rollcall.domain.reports import NO_LONGER_WAITING, Event
from rollcall.hosts.variables import is_resting
from rollcall.lifecycle.destinations import Destination, departure_of, departures
from rollcall.lifecycle.terminate_messages import SENT_AGAIN
from unit.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.reports import Report

SAMPLES = Path(__file__).parents[3] / "events"
OUT = (
    "terminate-eventbridge",
    "terminate-hook-sqs",
    "terminate-hook-sns",
    "terminate-successful",
    "terminate-notification-sqs",
    "terminate-notification-sns",
)
IN = (
    "launch-eventbridge",
    "launch-hook-sqs",
    "launch-hook-sns",
    "launch-notification-sqs",
    "launch-notification-sns",
)
INSTANCE = "i-1234567890abcdef0"
UNLISTED = {
    "running": Destination.STAYING,
    "stopped": Destination.STAYING,
    "shutting-down": Destination.FOR_GOOD,
    "terminated": Destination.FOR_GOOD,
}
DESTINATIONS = {
    Phase.ENTERING: Destination.STAYING,
    Phase.SERVING: Destination.STAYING,
    Phase.DETACHED: Destination.STAYING,
    Phase.UNKNOWN: Destination.STAYING,
    Phase.POOLED: Destination.RESTING,
    Phase.REIMAGED: Destination.RESTING,
    Phase.LEAVING: Destination.FOR_GOOD,
    Phase.RETAINED: Destination.RETAINED,
}
LISTED = {state: DESTINATIONS[phase] for state, phase in PHASES.items()} | {"Terminating:Somehow": Destination.STAYING}
SITUATIONS = [*LISTED, *(f"ec2 {state}" for state in UNLISTED), "unknown"]


def destination_in(situation: str) -> Destination:
    if situation == "unknown":
        return Destination.FOR_GOOD
    return UNLISTED[situation[4:]] if situation.startswith("ec2 ") else LISTED[situation]


def put(world: World, situation: str) -> None:
    """The instance is in this situation, and has a host. Nothing is retired by jobs."""
    world.settings = replace(world.settings, retire_jobs=False)
    world.group("my-asg")
    world.host_of(INSTANCE, "10.0.0.7", "my-asg")
    world.fleet.known_instances[INSTANCE] = world.instance(INSTANCE)
    if situation == "unknown":
        del world.fleet.known_instances[INSTANCE]
    elif situation.startswith("ec2 "):
        world.fleet.known_instances[INSTANCE] = world.instance(INSTANCE, state=situation[4:])
    else:
        world.fleet.known_memberships[INSTANCE] = Membership("my-asg", situation)


def messages(world: World, forms: tuple[str, ...]) -> Iterator[LifecycleAction]:
    """The action of each form, received just now."""
    for form in forms:
        [record] = read_records(json.loads((SAMPLES / f"{form}.json").read_text()))
        action = read_action(replace(record, first_received_at=world.clock.now))
        assert action
        yield replace(action, group="my-asg", region=world.settings.region, instance_id=INSTANCE, at=world.clock.now)


def state_of(world: World) -> tuple[bool, bool]:
    """Whether there is a host, and whether it is disabled and marked as resting."""
    found = world.tower.hosts_of([INSTANCE])
    return bool(found), any(is_resting(host.variables) and not host.enabled for host in found)


# What AWS says


@pytest.mark.parametrize("state", LISTED)
def test_auto_scaling_decides_about_whom_it_lists_whatever_ec2_says(world: World, state: str) -> None:
    for ec2 in (None, world.instance(INSTANCE), world.instance(INSTANCE, state="terminated")):
        known = departure_of(Membership("web", state), ec2)
        assert known.destination == LISTED[state]
        assert known.description == f"it is {state} in group 'web'"
        assert known.to_warm_pool == (phase_of(state) == Phase.POOLED)
        assert not known.unknown


@pytest.mark.parametrize("state", UNLISTED)
def test_ec2_decides_about_whom_auto_scaling_does_not_list(world: World, state: str) -> None:
    known = departure_of(None, world.instance(INSTANCE, state=state))
    assert (known.destination, known.unknown, known.to_warm_pool) == (UNLISTED[state], False, False)
    assert state in known.description


def test_whom_neither_knows_goes_as_unknown() -> None:
    known = departure_of(None, None)
    assert (known.destination, known.unknown) == (Destination.FOR_GOOD, True)


def test_a_batch_costs_one_question_and_ec2_is_asked_only_about_those_that_are_not_listed(world: World) -> None:
    asked: list[str] = []
    world.fleet.before_call = asked.append
    for number in range(40):
        world.terminating(f"i-{number}")
    assert len(departures(world.fleet, {f"i-{number}" for number in range(40)})) == 40
    assert asked == ["memberships"]
    about: list[set[str]] = []
    world.fleet.before_instances = lambda ids: about.append(set(ids))
    departures(world.fleet, {"i-0", "i-x", "i-y"})
    assert about == [{"i-x", "i-y"}]


# Cleanup


@pytest.mark.parametrize("form", OUT)
@pytest.mark.parametrize("open_", [True, False])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_what_a_terminate_action_does_depends_on_what_aws_says_and_not_on_the_message(
    world: World, situation: str, open_: bool, form: str
) -> None:
    put(world, situation)
    [action] = messages(world, (form,))
    if not open_:
        world.fleet.stale.add(INSTANCE)
    [report] = world.clean_up(action)
    destination, is_open = destination_in(situation), open_ and action.held_by_hook
    assert (
        state_of(world)
        == {
            Destination.FOR_GOOD: (False, False),
            Destination.RETAINED: (False, False),
            Destination.RESTING: (True, True),
            Destination.STAYING: (True, False),
        }[destination]
    )
    if destination == Destination.STAYING:
        assert not world.fleet.completed
        assert world.tower.updated == []
        assert report.event is None
        if is_open or (not action.held_by_hook and situation.startswith("ec2 ")):
            assert isinstance(report.error, InstanceNotVisible)
        else:
            assert report.outcome.startswith(f"{NO_LONGER_WAITING}: ")
    else:
        assert world.fleet.completed == ({action: Result.CONTINUE} if is_open else {})
        not_found = action.held_by_hook and not open_ and is_held(situation) and phase_of(situation) != Phase.ENTERING
        assert report.error is None
        assert (report.outcome == SENT_AGAIN) == not_found
        assert report.event == (None if not_found else Event.RETIRED)
    alerts = [note for note in report.notes if note.alert]
    assert bool(alerts) == (destination == Destination.RETAINED)


@pytest.mark.parametrize(
    "state", [state for state, destination in LISTED.items() if destination == Destination.RETAINED]
)
def test_a_retained_instance_is_alerted_once_with_how_to_end_it(world: World, state: str) -> None:
    put(world, state)
    [first, again] = [*messages(world, ("terminate-successful",))] * 2
    [report] = world.clean_up(first)
    [note] = report.notes
    assert state in note.words
    assert f"aws autoscaling terminate-instance-in-auto-scaling-group --instance-id {INSTANCE}" in note.words
    [report] = world.clean_up(again)
    assert (report.notes, report.event) == ((), None)


@pytest.mark.parametrize(
    "state", [state for state, destination in LISTED.items() if destination == Destination.RESTING]
)
def test_a_second_message_about_who_rests_is_no_second_retirement(world: World, state: str) -> None:
    put(world, state)
    [action] = messages(world, ("terminate-successful",))
    [report] = world.clean_up(action)
    assert report.outcome == f"its host is disabled: it is {state} in group 'my-asg'"
    [report] = world.clean_up(action)
    assert report.event is None
    assert world.tower.calls["update_host"] == 1


@pytest.mark.parametrize("situation", ["ec2 running", "InService", "Warmed:Stopped", "Terminating:Wait"])
def test_where_jobs_retire_instances_only_those_that_go_or_rest_are_handed_over(world: World, situation: str) -> None:
    put(world, situation)
    world.settings = replace(world.settings, retire_jobs=True)
    world.group("my-asg", retire_job_template="retire")
    world.clean_up(*messages(world, ("terminate-eventbridge",)))
    going = destination_in(situation) != Destination.STAYING
    assert len(world.queues.retire_messages()) == going
    assert state_of(world) == (True, False)
    assert not world.fleet.completed


@pytest.mark.parametrize("situation", ["ec2 running", "InService", "Warmed:Stopped", "Terminating:Wait"])
def test_where_aws_does_not_answer_nothing_is_done(world: World, situation: str) -> None:
    put(world, situation)
    world.fleet.failing["instances" if situation.startswith("ec2") else "memberships"] = Throttled("later")
    reports = world.clean_up(*messages(world, OUT))
    assert {type(report.error) for report in reports} == {Throttled}
    assert state_of(world) == (True, False)
    assert not world.fleet.completed


def test_one_that_comes_back_while_its_message_waits_keeps_its_host(world: World) -> None:
    put(world, "Warmed:Pending:Wait")
    [action] = messages(world, ("terminate-eventbridge",))
    world.fleet.known_memberships[INSTANCE] = Membership("my-asg", "Pending:Wait")
    world.fleet.waits_for[INSTANCE] = "launch"
    [report] = world.clean_up(action)
    assert report.outcome.startswith(NO_LONGER_WAITING)
    assert state_of(world) == (True, False)


# Register


@pytest.mark.parametrize("form", IN)
@pytest.mark.parametrize("open_", [True, False])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_what_a_launch_action_does_depends_on_what_aws_says_and_not_on_the_message(
    world: World, situation: str, open_: bool, form: str
) -> None:
    put(world, situation)
    [host] = world.tower.hosts.values()
    [action] = messages(world, (form,))
    if not open_:
        world.fleet.stale.add(INSTANCE)
    [report] = world.register(action)
    is_open = open_ and action.held_by_hook
    phase = phase_of(situation)
    if situation.startswith("ec2 ") or situation == "unknown":
        gone = situation in ("ec2 terminated", "ec2 shutting-down")
        assert state_of(world) == (not gone, False)
        assert (report.outcome == "removed from every inventory: already gone") == gone
        assert isinstance(report.error, InstanceNotVisible) == (not gone)
    elif phase in (Phase.LEAVING, Phase.RETAINED):
        assert report.outcome == "removed from every inventory: already gone"
        assert state_of(world) == (False, False)
    elif phase == Phase.ENTERING or (phase == Phase.SERVING and not action.held_by_hook):
        assert report.outcome.startswith("registered, job")
        assert state_of(world) == (True, False)
    elif situation == "Warmed:Pending:Wait" and action.held_by_hook:
        assert world.fleet.completed == ({action: Result.CONTINUE} if is_open else {})
        assert (report.outcome == "let into the warm pool") == is_open
        assert world.tower.hosts[host.id] == host
        return
    else:
        assert world.tower.hosts[host.id] == host
        if is_open:
            assert isinstance(report.error, InstanceNotVisible)
        else:
            assert report.outcome == f"no longer pending: {situation}"
    assert not world.fleet.completed
    assert bool(world.queues.sent) == report.outcome.startswith("registered")


# Account and Region


@pytest.mark.parametrize("forms", [IN, OUT])
@pytest.mark.parametrize("foreign", [{"account": "999999999999"}, {"region": "eu-west-1"}])
def test_of_a_foreign_action_nothing_is_asked_of_aws_or_tower(
    world: World, forms: tuple[str, ...], foreign: dict[str, str]
) -> None:
    account, region = foreign.get("account", world.settings.account), foreign.get("region", world.settings.region)
    actions = [replace(action, account=account, region=region) for action in messages(world, forms)]
    asked: list[str] = []
    world.fleet.before_call = world.tower.before_call = asked.append
    reports: list[Report] = (world.register if forms is IN else world.clean_up)(*actions)
    assert len(reports) == len(set(actions))
    assert {type(report.error) for report in reports} == {BadEvent}
    assert asked == []


@pytest.mark.parametrize("transition", Transition)
def test_a_foreign_action_does_not_keep_those_of_its_batch(world: World, transition: Transition) -> None:
    launching = transition == Transition.LAUNCHING
    own = world.launching("i-a") if launching else world.terminating("i-a")
    foreign = replace(own, account="999999999999", instance_id="i-b")
    reports = (world.register if launching else world.clean_up)(foreign, own)
    errors = {report.action.instance_id: report.error for report in reports}
    assert errors["i-a"] is None
    assert isinstance(errors["i-b"], BadEvent)
