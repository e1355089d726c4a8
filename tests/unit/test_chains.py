"""However slow a round of the gate is, what waits goes on as one chain of messages, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import pytest

from rollcall.errors import NoTimeLeft
from rollcall.events import Record, read_gate_message, write_gate_message
from rollcall.gate import Gate
from rollcall.looking import ROUND_TIME, SENDING_TIME, send_on
from rollcall.model import GateMessage

from .fakes import REGION
from .world import World

VISIBILITY = 120.0  # seconds, the gate queue's, as the next two in template.yaml
TIMEOUT = 110.0  # seconds of an invocation
BATCH = 10  # messages
AN_HOUR = 3600.0


class Killed(BaseException):
    """Lambda ends an invocation at its timeout: whatever it did is done, and nothing of it is acknowledged."""


@dataclass
class Message:
    """A message of the queue; visible_at in epoch seconds."""

    body: str
    visible_at: float


class VirtualGate:
    """The gate's queue and its function, in the time of a world. Each round of a message takes so many seconds."""

    def __init__(self, world: World, seconds: float) -> None:
        self.world = world
        self.ids = count()
        self.queue: dict[int, Message] = {}
        self.deadline = 0.0
        self.killed = self.put_back = self.sent_on = 0

        def work(method: str) -> None:
            if method == "usual_durations":  # asked for once in each round
                world.clock.advance(min(seconds, self.deadline - world.clock.now))
                if world.clock.now >= self.deadline:
                    raise Killed

        world.tower.before_call = work

    def put(self, message: GateMessage) -> None:
        self.queue[next(self.ids)] = Message(write_gate_message(message), self.world.clock.now)

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
        world = self.world
        world.queues.sent.clear()
        clients = (world.tower, world.evidence, world.fleets, world.queues)
        gate = Gate(world.settings, *clients, world.clock, self._seconds_left)
        try:
            messages = [read_gate_message(Record("m", self.queue[each].body, REGION, 1, now, "h")) for each in due]
            rounds = gate.look([each for each in messages if isinstance(each, GateMessage)])
            send_on(rounds, world.queues, world.settings.gate_queue_url, self._seconds_left)
        except Killed:
            self.killed += 1
            rounds = []
        for _, body, delay in world.queues.sent:
            self.sent_on += 1
            self.queue[next(self.ids)] = Message(body, world.clock.now + delay)
        for each, result in zip(due, rounds, strict=False):
            if result.error is None:
                del self.queue[each]
            else:
                assert isinstance(result.error, NoTimeLeft)
                self.put_back += 1
                self.queue[each].visible_at = world.clock.now + (result.error.retry_in or VISIBILITY)

    def _seconds_left(self) -> float:
        return self.deadline - self.world.clock.now

    def chains(self) -> list[str]:
        """The instances that the messages carry, each once for each message that carries it."""
        messages = [read_gate_message(Record("m", each.body, REGION, 1, 0, "h")) for each in self.queue.values()]
        return sorted(
            waiting.action.instance_id
            for message in messages
            if isinstance(message, GateMessage)
            for waiting in message.waiting
        )


@pytest.fixture
def waiting(world: World) -> list[GateMessage]:
    """Twelve messages whose jobs run for as long as one looks."""
    world.group("web", heartbeat_timeout=7200)
    return [world.waiting(f"i-{number:02}") for number in range(12)]


@pytest.mark.parametrize("seconds", range(1, 111))
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
    assert (gate.sent_on > 0) == works
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
