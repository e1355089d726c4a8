"""Rounds over messages of the gate's queue: what is the same for instances on their way in and on their way out.

Each message has a round by itself: what fails in it fails no other, and what goes on of it goes on as new messages.
These are sent once all rounds of a kind of message are over: a message that an invocation sends on, and does not live
to acknowledge, comes again beside its successor, and each time that this happens there would be one more. So no round
is begun that there may be no time to finish, but for the first of an invocation, before which nothing was sent.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from rollcall.domain.errors import NoTimeLeft, RollcallError
from rollcall.domain.message_format import written

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from rollcall.aws.queues import Queues
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.jobs import Job
    from rollcall.domain.messages import GateMessage, RetireMessage, WatchMessage
    from rollcall.domain.reports import Report
    from rollcall.tower.client import Tower

ROUND_TIME = 30.0  # seconds that a round is given at least, beyond what the longest part of one so far took
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


class TimeLeft:
    """The seconds left of an invocation, one for all its rounds: the time that one took another is to be left.

    A round has two parts, for heartbeats come first in all of them: keeping alive, and all else.
    """

    def __init__(self, seconds_left: Callable[[], float]) -> None:
        self._seconds_left = seconds_left
        self._longest = 0.0
        self._is_first = self._is_first_round = True

    @classmethod
    def of(cls, seconds_left: Callable[[], float]) -> TimeLeft:
        """What seconds_left is already, or one for these rounds alone."""
        return seconds_left if isinstance(seconds_left, cls) else cls(seconds_left)

    def __call__(self) -> float:
        return self._seconds_left()

    def for_heartbeats(self) -> AbstractContextManager[None]:
        """For keeping a message alive. Raises NoTimeLeft if a round might not be finished after it."""
        return self._part(2, exempt=self._is_first)

    def for_round(self) -> AbstractContextManager[None]:
        """For all else of a round. Raises NoTimeLeft if it might not be finished."""
        exempt, self._is_first_round = self._is_first_round, False
        return self._part(1, exempt=exempt)

    @contextmanager
    def _part(self, parts: int, *, exempt: bool) -> Iterator[None]:
        began, self._is_first = self(), False
        if not exempt and began < ROUND_TIME + parts * self._longest:
            raise NoTimeLeft(
                f"{began:.0f} s are left of this invocation, in which a part of a round took up to "
                f"{self._longest:.0f} s: the message comes again",
                retry_in=COMES_AGAIN_IN,
            )
        try:
            yield
        finally:
            self._longest = max(self._longest, began - self())


def take_turns(
    messages: Sequence[object],
    looks: Mapping[type, Callable[[Sequence[Any]], Sequence[Round[Any]]]],
    send: Callable[[Sequence[Round[Any]]], None],
) -> list[Exception | None]:
    """Rounds of messages of several kinds, one kind after another; why each message failed, if it did.

    What a kind's rounds brought is sent on before those of the next begin. The kind of the first message comes first,
    so that with little time each has its turn. An error that was not foreseen fails a kind, and none of another.
    """
    rounds: dict[type, Iterator[Round[Any]]] = {}
    for kind in dict.fromkeys(map(type, messages)):
        own = [each for each in messages if type(each) is kind]
        try:
            taken = looks[kind](own)
        except Exception as error:  # noqa: BLE001 - ours to fix; the intake logs it, and has them come again
            taken = [Round(error=error) for _ in own]
        send(taken)
        rounds[kind] = iter(taken)
    return [next(rounds[type(each)]).error for each in messages]


def take_each[M: (GateMessage, RetireMessage, WatchMessage), R: Round[Any]](
    messages: Sequence[M],
    look: Callable[[M], R],
    failed: Callable[[Exception], R],
    time_left: TimeLeft,
) -> list[R]:
    """One round for each message that has no heartbeats, as long as there is time; failed: for those for which not."""
    rounds: list[R] = []
    for message in messages:
        try:
            with time_left.for_round():
                rounds.append(look(message))
        except NoTimeLeft as error:
            rounds.append(failed(error))
    return rounds


def take_looks[M: (GateMessage, RetireMessage)](
    messages: Sequence[M],
    look_at: Callable[[M, Round[M]], Look[M]],
    tower: Tower,
    clock: Callable[[], float],
    seconds_left: Callable[[], float],
) -> list[Round[M]]:
    """One round for each message. clock() is this machine's, in epoch seconds; seconds_left: of this invocation.

    What there may be no time to finish is not begun (see TimeLeft): its message comes again.
    """
    time_left = TimeLeft.of(seconds_left)
    rounds: list[Round[M]] = [Round() for _ in messages]
    looks: list[Look[M]] = []
    for message, result in zip(messages, rounds, strict=True):
        with _whole_failing(result), time_left.for_heartbeats():
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
        with _whole_failing(look.round), time_left.for_round():
            look.run(jobs)
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
