"""Instances let through the gate: what is published about them, when, and for how long they are watched."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

import pytest

from rollcall.domain.actions import Result
from rollcall.domain.errors import AwsDenied, RollcallError, Throttled
from rollcall.domain.jobs import Outcome
from rollcall.domain.membership import Membership
from rollcall.domain.messages import Watched, WatchMessage
from unit.world import World

if TYPE_CHECKING:
    from rollcall.lifecycle.target_watch import WatchRound

WEB, API = (
    f"arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/{name}/0123456789abcdef"
    for name in ("web", "api")
)
WATCH = 300


@pytest.fixture
def world() -> World:
    """A world with the group "web", whose instances are watched in two target groups."""
    made = World()
    made.group("web", watch=str(WATCH))
    made.behind(WEB, API)
    return made


def watched(world: World, *instance_ids: str) -> WatchMessage:
    """The message of instances that were launched a minute ago, and have just come into service."""
    actions = [world.launching(each, state="InService") for each in instance_ids]
    now = world.clock.now
    return WatchMessage(tuple(Watched(each, now - 60) for each in actions), since=now, until=now + WATCH)


def watch_once(world: World, message: WatchMessage, after: float = 0) -> WatchMessage | None:
    """One round of a message, so many seconds later; what goes on, None if nothing does."""
    world.clock.advance(after)
    world.queues.sent.clear()
    [result] = world.watch(message)
    assert result.error is None
    following = [each for each, _ in world.queues.watch_messages()]
    assert len(following) <= 1
    return following[0] if following else None


def everywhere(world: World, instance_id: str, state: str, reason: str = "") -> None:
    for target_group in (WEB, API):
        world.fleet.targets.said(state, reason, of=instance_id, by=target_group)


def published_events(world: World) -> list[tuple[str, str]]:
    """The kinds of events that were published and their instances, in order."""
    return [(kind.removeprefix("Instance "), detail["instance_id"]) for kind, detail in world.bus.published]


# How a watch begins


def ready(world: World, *instance_ids: str) -> list[tuple[WatchMessage, float]]:
    """What is watched once the job of these instances went well and the gate has looked."""
    message = world.waiting(*instance_ids)
    world.clock.advance(60)
    world.tower.end_job(message.job_id or 0, dict.fromkeys(instance_ids, Outcome.OK))
    world.evaluate_one(message)
    return world.queues.watch_messages()


def test_who_comes_through_the_gate_is_watched_for_as_long_as_the_tag_says(world: World) -> None:
    launched = world.clock.now
    [(message, delay)] = ready(world, "i-a", "i-b")
    assert delay == 0
    assert message.since == world.clock.now
    assert message.until == world.clock.now + WATCH
    assert {each.action.instance_id: (each.launched_at, each.serving) for each in message.watched} == {
        "i-a": (launched, None),
        "i-b": (launched, None),
    }


def test_who_is_abandoned_is_not_watched(world: World) -> None:
    message = world.waiting("i-a", "i-b")
    world.end(message, i_a=Outcome.OK, i_b=Outcome.FAILED)
    world.evaluate_one(message)
    [(watch, _)] = world.queues.watch_messages()
    assert [each.action.instance_id for each in watch.watched] == ["i-a"]


def test_a_group_without_the_tag_is_not_watched(world: World) -> None:
    world.group("web")
    assert ready(world, "i-a") == []


def test_nobody_is_let_in_who_cannot_be_watched(world: World) -> None:
    message = world.waiting("i-a")
    world.end(message, i_a=Outcome.OK)
    world.queues.failing["send"] = Throttled("later")
    [result] = world.evaluate(message)
    assert isinstance(result.error, Throttled)
    assert not world.fleet.completed
    world.queues.failing.clear()
    world.evaluate(message)
    assert list(world.fleet.completed.values()) == [Result.CONTINUE]
    assert len(world.queues.watch_messages()) == 1


# What is published


def test_an_instance_is_published_to_serve_once_all_target_groups_call_it_healthy(world: World) -> None:
    message = watched(world, "i-a", "i-b")
    everywhere(world, "i-a", "initial")
    world.fleet.targets.said("healthy", of="i-b", by=WEB)
    following = watch_once(world, message)
    assert not world.bus.published
    everywhere(world, "i-a", "healthy")
    assert following
    following = watch_once(world, following, after=5)
    assert world.bus.published == [
        (
            "Instance Serving",
            {
                "group": "web",
                "instance_id": "i-a",
                "account": "123456789012",
                "region": "us-east-1",
                "seconds": 65.0,
                "reason": "every target group calls it healthy",
            },
        )
    ]
    assert following
    assert {each.action.instance_id: each.serving for each in following.watched} == {"i-a": True, "i-b": None}


def test_what_was_published_is_not_published_again(world: World) -> None:
    message: WatchMessage | None = watched(world, "i-a")
    everywhere(world, "i-a", "healthy")
    for _ in range(5):
        assert message
        message = watch_once(world, message, after=5)
    assert published_events(world) == [("Serving", "i-a")]


def test_every_change_after_that_is_published(world: World) -> None:
    message: WatchMessage | None = watched(world, "i-a")
    for state in ("initial", "healthy", "unhealthy", "unhealthy", "healthy", "draining"):
        everywhere(world, "i-a", state, "" if state == "healthy" else "Target.Timeout")
        assert message
        message = watch_once(world, message, after=5)
    assert [kind for kind, _ in published_events(world)] == ["Serving", "Not Serving", "Serving", "Not Serving"]
    assert "target group api: unhealthy (Target.Timeout)" in world.bus.published[1][1]["reason"]


def test_the_first_time_is_known_as_such(world: World) -> None:
    first: list[bool] = []
    message: WatchMessage | None = watched(world, "i-a")
    for state in ("healthy", "unhealthy", "healthy"):
        everywhere(world, "i-a", state)
        assert message
        world.queues.sent.clear()
        [result] = world.watch(message)
        first += [change.first for change in result.changes]
        [(message, _)] = world.queues.watch_messages()
    assert first == [True, False, False]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("initial", "Elb.InitialHealthChecking"),
        ("unhealthy", "Target.Timeout"),
        ("unused", "Target.NotInUse"),
        ("unavailable", "Elb.InternalError"),
    ],
)
def test_who_never_served_is_published_at_the_end_with_the_reason(world: World, state: str, reason: str) -> None:
    message = watched(world, "i-a")
    world.fleet.targets.said("healthy", of="i-a", by=API)
    world.fleet.targets.said(state, reason, of="i-a", by=WEB)
    assert watch_once(world, message, after=WATCH - 1)
    assert not world.bus.published
    assert watch_once(world, message, after=1) is None
    [(kind, detail)] = world.bus.published
    assert kind == "Instance Not Serving"
    assert detail["reason"] == f"target group web: {state} ({reason})"
    assert detail["seconds"] == 60 + WATCH


def test_who_serves_no_more_is_published_only_once(world: World) -> None:
    message = watched(world, "i-a")
    everywhere(world, "i-a", "unhealthy", "Target.Timeout")
    message = replace(message, watched=tuple(replace(each, serving=False) for each in message.watched))
    assert watch_once(world, message, after=WATCH) is None
    assert not world.bus.published


def test_who_serves_only_at_the_end_is_published_to_serve(world: World) -> None:
    message = watched(world, "i-a")
    everywhere(world, "i-a", "healthy")
    assert watch_once(world, message, after=WATCH) is None
    assert published_events(world) == [("Serving", "i-a")]


@pytest.mark.parametrize("state", ["Terminating:Wait", "Standby", "EnteringStandby", "Detaching", None])
@pytest.mark.parametrize(("serving", "kinds"), [(None, ["Not Serving"]), (True, []), (False, [])])
def test_who_leaves_is_watched_no_longer_and_published_only_if_nothing_was(
    world: World, state: str | None, serving: bool | None, kinds: list[str]
) -> None:
    message = watched(world, "i-a", "i-b")
    everywhere(world, "i-a", "healthy")
    everywhere(world, "i-b", "initial")
    if state:
        world.fleet.known_memberships["i-a"] = Membership("web", state)
    else:
        world.detached("i-a")
    message = replace(message, watched=tuple(replace(each, serving=serving) for each in message.watched))
    following = watch_once(
        world, replace(message, watched=(message.watched[0], replace(message.watched[1], serving=None)))
    )
    assert [kind for kind, instance_id in published_events(world) if instance_id == "i-a"] == kinds
    assert following
    assert [each.action.instance_id for each in following.watched] == ["i-b"]


def test_a_watch_of_those_who_all_left_is_over(world: World) -> None:
    message = watched(world, "i-a")
    world.terminated("i-a")
    assert watch_once(world, message) is None


def test_who_is_still_on_its_way_in_is_watched_on(world: World) -> None:
    message = watched(world, "i-a")
    world.leaves("i-a", "Pending:Proceed")
    assert watch_once(world, message) == message


@pytest.mark.parametrize("deleted", [True, False])
def test_without_target_groups_nobody_serves(world: World, deleted: bool) -> None:
    message = watched(world, "i-a")
    world.behind()
    if deleted:
        del world.fleet.known_groups["web"]
    assert watch_once(world, message) == message
    watch_once(world, message, after=WATCH)
    assert world.bus.published[0][1]["reason"] == "its group is attached to no target group"


def test_nobody_becomes_a_target_or_leaves_by_being_watched(world: World) -> None:
    message = watched(world, "i-a")
    watch_once(world, message)
    assert world.fleet.targets.calls == {"health": 2}


# How often


def test_rounds_are_ever_rarer_and_the_last_one_is_at_the_end(world: World) -> None:
    message: WatchMessage | None = watched(world, "i-a")
    began, rounds, delays = world.clock.now, 0, []
    while message:
        world.queues.sent.clear()
        [result] = world.watch(message)
        assert result.error is None
        rounds += 1
        sent = world.queues.watch_messages()
        message = sent[0][0] if sent else None
        delays += [delay for _, delay in sent]
        world.clock.advance(delays[-1])
    assert world.clock.now - delays[-1] == began + WATCH
    assert delays[0] == 5
    assert max(delays) <= 30
    assert delays[:-1] == sorted(delays[:-1])
    assert rounds < 40


# What fails


@pytest.mark.parametrize("error", [Throttled("later"), AwsDenied("no permission")])
@pytest.mark.parametrize("what", ["memberships", "groups", "health", "send"])
def test_a_message_that_fails_is_tried_again_as_it_was_and_its_neighbour_is_not(
    world: World, what: str, error: RollcallError
) -> None:
    world.group("db")
    world.behind(WEB, group="db")
    message = watched(world, "i-a")
    everywhere(world, "i-a", "healthy")
    everywhere(world, "i-b", "healthy")
    other = watched(world, "i-b")
    left = [what]

    def fail_once(method: str) -> None:
        if method in left:
            left.remove(method)
            raise error

    for client in (world.fleet, world.fleet.targets, world.queues):
        client.before_call = fail_once
    results: list[WatchRound] = world.watch(message, other)
    assert results[0].error is error
    assert results[1].error is None
    if what != "send":
        assert results[0].changes == ()
    assert [sent.watched[0].action.instance_id for sent, _ in world.queues.watch_messages()] == ["i-b"]


def test_an_instance_of_another_account_is_refused(world: World) -> None:
    message = watched(world, "i-a")
    [each] = message.watched
    foreign = replace(message, watched=(replace(each, action=replace(each.action, account="999999999999")),))
    [result] = world.watch(foreign)
    assert result.error is not None


def test_an_error_that_nobody_foresaw_fails_its_message_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def health_change(watched: Watched, *given: object, **named: object) -> None:
        if watched.action.instance_id == "i-b":
            raise KeyError("a bug")

    monkeypatch.setattr("rollcall.lifecycle.target_watch.health_change", health_change)
    results = world.watch(watched(world, "i-a"), watched(world, "i-b"))
    assert [type(result.error) for result in results] == [type(None), KeyError]
    assert [each.watched[0].action.instance_id for each, _ in world.queues.watch_messages()] == ["i-a"]
