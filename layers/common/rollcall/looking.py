"""Looks at messages of the gate's queue: what is the same for instances on their way in and on their way out.

Each message is looked at by itself: what fails in it fails no other, and what goes on of it goes on as new messages.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from .errors import RollcallError
from .events import write_gate_message
from .reports import failing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from .model import GateMessage, Job, LifecycleAction, RetireMessage
    from .queues import Queues
    from .reports import Report
    from .tower import Tower

CALLS_AT_ONCE = 8


@dataclass
class Round[M: (GateMessage, RetireMessage)]:
    """What one look at a message brought.

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

        If the same failed all of them the whole message fails, and nobody goes on apart.
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
    """One look at one message. keep_alive(): heartbeats, now in epoch seconds. run(): all else; jobs by id."""

    message: M
    round: Round[M]

    def keep_alive(self, now: float) -> None: ...

    def run(self, jobs: Mapping[int, Job]) -> None: ...


def take_looks[M: (GateMessage, RetireMessage)](
    messages: Sequence[M],
    look_at: Callable[[M, Round[M]], Look[M]],
    tower: Tower,
    queues: Queues,
    gate_queue_url: str,
    clock: Callable[[], float],
) -> list[Round[M]]:
    """One round for each message; what goes on is sent. clock() is this machine's, in epoch seconds."""
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
    for look in asked:
        with _whole_failing(look.round):
            look.run(jobs)
            queues.send(gate_queue_url, [(write_gate_message(each), delay) for each, delay in look.round.next])
    return rounds


@contextmanager
def _whole_failing[M: (GateMessage, RetireMessage)](result: Round[M]) -> Iterator[None]:
    """An error in here fails the whole message, and no other: those may have been sent on, and would go on twice."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - if nobody foresaw it, it is ours to mend, and the intake logs it
        result.error = error


def each_apart[T](
    members: Collection[T],
    action_of: Callable[[T], LifecycleAction],
    call: Callable[[T], bool],
    reports: list[Report],
) -> dict[T, bool]:
    """What one call each answered, a few at once; a member whose call fails is left out, and reported."""
    answers: dict[T, bool] = {}

    def answer(each: T) -> None:
        with failing([action_of(each)], reports):
            answers[each] = call(each)

    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        list(pool.map(answer, members))
    return answers
