"""However slow a round of the gate is, what waits goes on as one chain of messages, in virtual time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import count

import pytest

from rollcall.domain.errors import NoTimeLeft
from rollcall.domain.message_format import Record, read_gate_message, written
from rollcall.domain.messages import GateMessage, RetireMessage, Watched, WatchMessage
from rollcall.domain.timing import FIRST_POLL
from rollcall.lifecycle.gate import Gate
from rollcall.lifecycle.gate_round import (
    ROUND_TIME,
    SENDING_TIME,
    TimeLeft,
    rounds_without_heartbeats,
    send_on,
    take_turns,
)
from rollcall.lifecycle.retire import Retire
from rollcall.lifecycle.target_watch import Watch, WatchRound
from unit.fakes import REGION
from unit.world import REMOVAL_SHARE, World

VISIBILITY = 120.0  # seconds, the gate queue's, as the next two in template.yaml
TIMEOUT = 110.0  # seconds of an invocation
BATCH = 10  # messages
AN_HOUR = 3600.0

type AnyMessage = GateMessage | RetireMessage | WatchMessage


class Killed(BaseException):
    """Lambda ends an invocation at its timeout: whatever it did is done, and nothing of it is acknowledged."""


@dataclass
class Message:
    """A message of the queue, as its function reads it; visible_at in epoch seconds."""

    content: AnyMessage
    visible_at: float


class VirtualGate:
    """The gate's queue and its function, in the time of a world.

    Each round of a message takes so many seconds, and its heartbeats before that so many.
    """

    def __init__(self, world: World, seconds: float, heartbeats: float = 0) -> None:
        self.world = world
        self.seconds = seconds
        self.ids = count()
        self.queue: dict[int, Message] = {}
        self.deadline = 0.0
        self.killed = self.put_back = 0
        self.sent_on: Counter[type] = Counter()
        # Each is asked for once in a round, and in the heartbeats before it.
        world.tower.before_call = lambda method: self._work(seconds) if method == "usual_durations" else None
        world.fleet.before_call = lambda method: self._work(heartbeats) if method == "groups" else None

    def _work(self, seconds: float) -> None:
        self.world.clock.advance(min(seconds, self.deadline - self.world.clock.now))
        if self.world.clock.now >= self.deadline:
            raise Killed

    def put(self, message: AnyMessage) -> None:
        [(_, body)] = written(message)
        self.queue[next(self.ids)] = Message(read(body), self.world.clock.now)

    def invoke(self) -> None:
        """One invocation with what can be received now, or the time until something can."""
        now = self.world.clock.now
        due = [each for each, message in self.queue.items() if message.visible_at <= now][:BATCH]
        if not due:
            self.world.clock.now = min(message.visible_at for message in self.queue.values())
            return
        for each in due:
            self.queue[each].visible_at = now + VISIBILITY
        self.deadline = now + TIMEOUT
        self.world.queues.sent.clear()
        errors: list[Exception | None] = []
        try:
            errors = self._function([self.queue[each].content for each in due])
        except Killed:
            self.killed += 1
        for _, body, delay in self.world.queues.sent:
            message = Message(read(body), self.world.clock.now + delay)
            self.queue[next(self.ids)] = message
            self.sent_on[type(message.content)] += 1
        for each, error in zip(due, errors, strict=False):
            if error is None:
                del self.queue[each]
            else:
                assert isinstance(error, NoTimeLeft)
                assert error.retry_in is not None
                assert error.retry_in <= FIRST_POLL  # another invocation has the time that this one lacked
                self.put_back += 1
                self.queue[each].visible_at = self.world.clock.now + (error.retry_in or VISIBILITY)

    def _function(self, messages: list[AnyMessage]) -> list[Exception | None]:
        """What the function does with a batch."""
        world = self.world
        time_left = TimeLeft(self._seconds_left)
        resources = world.resources(time_left)
        watch = Watch(world.fleets, world.clock)

        def watched(message: WatchMessage) -> WatchRound:
            heartbeats = world.fleet.before_call
            world.fleet.before_call = lambda method: self._work(self.seconds) if method == "memberships" else None
            try:
                return watch.evaluate(message)
            finally:
                world.fleet.before_call = heartbeats

        return take_turns(
            messages,
            {
                GateMessage: lambda own: Gate(resources, share=REMOVAL_SHARE).evaluate(own),
                RetireMessage: lambda own: Retire(resources).evaluate(own),
                WatchMessage: lambda own: rounds_without_heartbeats(
                    own, watched, lambda error: WatchRound(error=error), time_left
                ),
            },
            lambda rounds: send_on(rounds, world.queues, world.settings.gate_queue_url, time_left),
        )

    def _seconds_left(self) -> float:
        return self.deadline - self.world.clock.now

    def chains(self) -> list[str]:
        """The instances that the messages carry, each once for each message that carries it."""
        return sorted(each for message in self.queue.values() for each in instances_of(message.content))


def read(body: str) -> AnyMessage:
    """What the function makes of a message's body."""
    return read_gate_message(Record("m", body, REGION, 1, 0, "h"))


def instances_of(message: AnyMessage) -> list[str]:
    match message:
        case GateMessage():
            return [each.action.instance_id for each in message.waiting]
        case RetireMessage():
            return [each.instance_id for each in message.retiring]
        case WatchMessage():
            return [each.action.instance_id for each in message.watched]


@pytest.fixture
def waiting(world: World) -> list[GateMessage]:
    """Twelve messages whose jobs run for as long as rounds are made."""
    world.group("web", heartbeat_timeout=7200)
    return [world.waiting(f"i-{number:02}") for number in range(12)]


SOME_DURATIONS = (1, 11, 20, 30, 31, 41, 52, 53, 80, 105, 106, 110)  # seconds, on both sides of every bound
EVERY_DURATION = [
    each if each in SOME_DURATIONS else pytest.param(each, marks=pytest.mark.thorough) for each in range(1, 111)
]


@pytest.mark.parametrize("seconds", EVERY_DURATION)
def test_chains_do_not_multiply_however_slow_a_round_is(world: World, waiting: list[GateMessage], seconds: int) -> None:
    gate = VirtualGate(world, seconds)
    for each in waiting:
        gate.put(each)
    began = gate.chains()
    until = world.clock.now + AN_HOUR
    while world.clock.now < until:
        gate.invoke()
        assert gate.chains() == began
    works = seconds <= TIMEOUT - SENDING_TIME
    assert bool(gate.sent_on) == works
    assert (gate.killed > 0) == (seconds >= TIMEOUT)
    if seconds > ROUND_TIME:
        assert gate.put_back > 0 or gate.killed > 0


def test_every_message_of_a_batch_gets_its_turn_though_there_is_time_for_few_of_them(
    world: World, waiting: list[GateMessage]
) -> None:
    gate = VirtualGate(world, 60)
    for each in waiting:
        gate.put(each)
    worked_on: set[str] = set()
    until = world.clock.now + AN_HOUR
    while world.clock.now < until:
        gate.invoke()
        worked_on |= {
            each.action.instance_id for message, _ in world.queues.gate_messages() for each in message.waiting
        }
    assert worked_on == set(gate.chains())


@pytest.fixture
def mixed(world: World) -> list[AnyMessage]:
    """Four messages of each kind, by turns, none of which is over for as long as rounds are made."""
    world.group("web", heartbeat_timeout=7200, retire_job_template="retire", timeout="7200")
    world.tower.add_template("retire")
    messages: list[AnyMessage] = []
    for number in range(4):
        messages.append(world.waiting(f"i-{number:02}"))
        world.retire_one(world.retiring(f"i-1{number}"))
        messages += [message for message, _ in world.queues.retire_messages()[-1:]]
        action = world.launching(f"i-2{number}", state="InService")
        now = world.clock.now
        messages.append(WatchMessage((Watched(action, now, False),), now, now + 2 * AN_HOUR))
    return messages


@pytest.mark.parametrize("seconds", EVERY_DURATION)
@pytest.mark.parametrize("slow", ["both", "rounds", "heartbeats"])
def test_chains_of_every_kind_in_one_batch_do_not_multiply_and_all_go_on(
    world: World, mixed: list[AnyMessage], seconds: int, slow: str
) -> None:
    gate = VirtualGate(world, seconds if slow != "heartbeats" else 0, seconds if slow != "rounds" else 0)
    for each in mixed:
        gate.put(each)
    began = gate.chains()
    until = world.clock.now + AN_HOUR / 2
    while world.clock.now < until:
        gate.invoke()
        assert gate.chains() == began
    if seconds * (2 if slow == "both" else 1) <= TIMEOUT - SENDING_TIME:
        assert min(gate.sent_on[kind] for kind in (GateMessage, RetireMessage, WatchMessage)) > 0
        assert gate.killed == 0


def test_what_a_kind_decided_is_sent_on_before_the_next_kind_begins(world: World, mixed: list[AnyMessage]) -> None:
    gate = VirtualGate(world, 1)
    for each in mixed:
        gate.put(each)
    sent: list[int] = []
    world.tower.before_call = lambda method: sent.append(len(world.queues.sent)) if method == "jobs" else None
    gate.invoke()
    assert sent == [0, 4]
