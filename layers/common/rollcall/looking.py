"""Rounds over messages of the gate's queue: what is the same for instances on their way in and on their way out.

Each message has a round by itself: what fails in it fails no other, and what goes on of it goes on as new messages.
These are sent once all rounds of an invocation are over: a message that an invocation sends on, and does not live to
acknowledge, comes again beside its successor, and each time that this happens there would be one more.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from .errors import NoTimeLeft, RollcallError
from .events import written

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from .model import GateMessage, Job, LifecycleAction, RetireMessage, WatchMessage
    from .queues import Queues
    from .reports import Report
    from .tower import Tower

ROUND_TIME = 30.0  # seconds that a round is given at least, beyond what the longest so far took
SENDING_TIME = 5.0  # seconds that must be left for what is sent on, for otherwise the messages come again as well
COMES_AGAIN_IN = 1.0  # seconds


@dataclass
class Round[M: (GateMessage, RetireMessage, WatchMessage)]:
    """What one round of a message brought.

    reports: of the actions that ended, or failed and go on apart, or of which somebody should know while they wait.
    next: the messages that go on, each with a delay in seconds. error: why the whole message failed.
    """

    reports: list[Report] = field(default_factory=list)
    next: list[tuple[M, float]] = field(default_factory=list)
    error: Exception | None = None

    def failed_apart[T](
        self, members: Collection[T], action_of: Callable[[T], LifecycleAction]
    ) -> Iterator[Sequence[T]]:
        """Those of a message's members that failed, together with whom the same failed.

        If the same failed all of them the whole message fails, and none goes on apart.
        """
        errors = {report.action: report.error for report in self.reports if report.error}
        by_error: defaultdict[str, list[T]] = defaultdict(list)
        for each in members:
            if action_of(each) in errors:
                by_error[repr(errors[action_of(each)])].append(each)
        for failed in by_error.values():
            if len(failed) == len(members):
                self.error = errors[action_of(failed[0])]
                self.reports.clear()
            else:
                yield failed


class Look[M: (GateMessage, RetireMessage)](Protocol):
    """One round of one message. keep_alive(): heartbeats, now in epoch seconds. run(): all else; jobs by id."""

    message: M
    round: Round[M]

    def keep_alive(self, now: float) -> None: ...

    def run(self, jobs: Mapping[int, Job]) -> None: ...


def take_looks[M: (GateMessage, RetireMessage)](
    messages: Sequence[M],
    look_at: Callable[[M, Round[M]], Look[M]],
    tower: Tower,
    clock: Callable[[], float],
    seconds_left: Callable[[], float],
) -> list[Round[M]]:
    """One round for each message. clock() is this machine's, in epoch seconds; seconds_left: of this invocation.

    A round that there may be no time to finish is not begun, but for the first: its message comes again.
    """
    rounds: list[Round[M]] = [Round() for _ in messages]
    looks: list[Look[M]] = []
    for message, result in zip(messages, rounds, strict=True):
        with _whole_failing(result):
            looks.append(look_at(message, result))
            # Before anything is asked of Tower, which may let us wait.
            looks[-1].keep_alive(clock())
    asked = [look for look in looks if not look.round.error]
    jobs: Mapping[int, Job] = {}
    try:
        jobs = tower.jobs({look.message.job_id for look in asked if look.message.job_id is not None})
    except RollcallError as error:
        for look in asked:
            look.round.error = error
        asked = []
    longest = 0.0
    for number, look in enumerate(asked):
        began = seconds_left()
        with _whole_failing(look.round):
            if number and began < ROUND_TIME + longest:
                raise NoTimeLeft(
                    f"{began:.0f} s are left of this invocation, in which a round took up to {longest:.0f} s: the "
                    "message comes again",
                    retry_in=COMES_AGAIN_IN,
                )
            look.run(jobs)
        longest = max(longest, began - seconds_left())
    return rounds


def send_on[M: (GateMessage, RetireMessage, WatchMessage)](
    rounds: Iterable[Round[M]], queues: Queues, gate_queue_url: str, seconds_left: Callable[[], float]
) -> None:
    """Send what goes on; a message whose successors are not sent fails, and comes again."""
    for each in rounds:
        if each.error or not each.next:
            continue
        with _whole_failing(each):
            if seconds_left() < SENDING_TIME:
                raise NoTimeLeft("no time is left in this invocation to send the message on", retry_in=COMES_AGAIN_IN)
            texts = [(text, delay) for message, delay in each.next for _, text in written(message)]
            queues.send(gate_queue_url, texts)


@contextmanager
def _whole_failing[M: (GateMessage, RetireMessage, WatchMessage)](result: Round[M]) -> Iterator[None]:
    """An error in here fails the whole message, and no other."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - an error that was not foreseen is ours to fix, and the intake logs it
        result.error = error
