"""Rounds over messages of the gate's queue: what is the same for instances on their way in and on their way out.

Each message has a round by itself: what fails in it fails no other, and what goes on of it goes on as new messages.
These are sent once all rounds of a kind of message are over: a message that an invocation sends on, and does not live
to acknowledge, comes again beside its successor, and each time that this happens there would be one more. So no round
is begun that there may be no time to finish, but for the first of an invocation, before which nothing was sent.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from rollcall.domain.errors import NoTimeLeft, RollcallError
from rollcall.domain.message_format import written
from rollcall.domain.timing import NO_TIME_RETRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from rollcall.aws.fleet import Fleets
    from rollcall.aws.queues import Queues
    from rollcall.domain.jobs import Job
    from rollcall.domain.messages import GateMessage, RetireMessage, WatchMessage
    from rollcall.domain.reports import Report
    from rollcall.domain.settings import Settings
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower

ROUND_TIME = 30.0  # seconds that a round is given at least, beyond what the longest part of one so far took
SENDING_TIME = 5.0  # seconds that must be left for what is sent on, for otherwise the messages come again as well


class RoundResources(NamedTuple):
    """What rounds are made with. clock() is this machine's, in epoch seconds; seconds_left: of this invocation."""

    settings: Settings
    tower: Tower
    evidence: Evidence
    fleets: Fleets
    queues: Queues
    clock: Callable[[], float]
    seconds_left: Callable[[], float]


@dataclass(frozen=True)
class Round[M: GateMessage | RetireMessage | WatchMessage]:
    """What one round of a message brought.

    reports: of the actions that ended, or failed and go on apart, or of which an operator should know while they wait.
    next: the messages that go on, each with a delay in seconds. error: why the whole message failed.
    """

    reports: Sequence[Report] = ()
    next: Sequence[tuple[M, float]] = ()
    error: Exception | None = None


class Evaluation[M: GateMessage | RetireMessage](Protocol):
    """One round of one message whose heartbeats are sent. run() does all else of it; jobs: the known ones by id.

    completed: reports of the hooks that run() has completed so far. That cannot be undone, so these are announced even
    where run() ends in an error that was not foreseen; it returns them with all others where it does not.
    """

    message: M

    @property
    def completed(self) -> Sequence[Report]: ...

    def run(self, jobs: Mapping[int, Job]) -> Round[M]: ...


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
        """For a message's heartbeats. Raises NoTimeLeft if a round might not be finished after it."""
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
                retry_in=NO_TIME_RETRY,
            )
        try:
            yield
        finally:
            self._longest = max(self._longest, began - self())


def take_turns(
    messages: Sequence[object],
    evaluate: Mapping[type, Callable[[Sequence[Any]], Sequence[Round[Any]]]],
    send: Callable[[Sequence[Round[Any]]], Sequence[Exception | None]],
) -> list[Exception | None]:
    """Rounds of messages of several kinds, one kind after another; why each message failed, if it did.

    evaluate: takes the rounds of all messages of a kind, one for each. send: sends on what they brought, and returns
    why each of them failed, if it did.

    What a kind's rounds brought is sent on before those of the next begin. The kind of the first message comes first,
    so that with little time each has its turn. An error that was not foreseen fails a kind, and none of another.
    """
    errors: dict[type, Iterator[Exception | None]] = {}
    for kind in dict.fromkeys(map(type, messages)):
        own = [each for each in messages if type(each) is kind]
        try:
            rounds = evaluate[kind](own)
        except Exception as error:  # noqa: BLE001 - ours to fix; it is logged, and they come again
            rounds = [Round(error=error) for _ in own]
        errors[kind] = iter(send(rounds))
    return [next(errors[type(each)]) for each in messages]


def rounds_without_heartbeats[M: GateMessage | RetireMessage | WatchMessage, R: Round[Any]](
    messages: Sequence[M],
    evaluate: Callable[[M], R],
    failed: Callable[[Exception], R],
    time_left: TimeLeft,
) -> list[R]:
    """One round for each message that has no heartbeats, as long as there is time; failed: for those for which not."""
    rounds: list[R] = []
    for message in messages:
        try:
            with time_left.for_round():
                rounds.append(evaluate(message))
        except NoTimeLeft as error:
            rounds.append(failed(error))
    return rounds


def rounds_with_heartbeats[M: GateMessage | RetireMessage](
    messages: Sequence[M],
    keep_alive: Callable[[M], Evaluation[M]],
    tower: Tower,
    seconds_left: Callable[[], float],
) -> list[Round[M]]:
    """One round for each message.

    keep_alive: sends a message's heartbeats, where they are due, and returns what does all else of its round.
    seconds_left: of this invocation. Heartbeats come first in all messages: before anything is read from Tower, which
    may let us wait. What there may be no time to finish is not begun (see TimeLeft): its message comes again.
    """
    time_left = TimeLeft.of(seconds_left)

    def kept_alive(message: M) -> Evaluation[M]:
        with time_left.for_heartbeats():
            return keep_alive(message)

    evaluations = [_or_error(kept_alive, message) for message in messages]
    alive = [each for each in evaluations if not isinstance(each, Exception)]
    try:
        jobs = tower.jobs({each.message.job_id for each in alive if each.message.job_id is not None})
    except RollcallError as error:
        return [Round(error=each if isinstance(each, Exception) else error) for each in evaluations]

    def finished(evaluation: Evaluation[M]) -> Round[M]:
        with time_left.for_round():
            return evaluation.run(jobs)

    def round_of(evaluation: Evaluation[M]) -> Round[M]:
        made = _or_error(finished, evaluation)
        return Round(evaluation.completed, error=made) if isinstance(made, Exception) else made

    return [Round(error=each) if isinstance(each, Exception) else round_of(each) for each in evaluations]


def send_on[M: GateMessage | RetireMessage | WatchMessage](
    rounds: Iterable[Round[M]], queues: Queues, gate_queue_url: str, seconds_left: Callable[[], float]
) -> list[Exception | None]:
    """Send what goes on of each round. Why its message failed, None if it did not.

    A message whose successors are not sent fails, and comes again.
    """

    def send(each: Round[M]) -> None:
        if seconds_left() < SENDING_TIME:
            raise NoTimeLeft("no time is left in this invocation to send the message on", retry_in=NO_TIME_RETRY)
        queues.send(gate_queue_url, [(text, delay) for message, delay in each.next for _, text in written(message)])

    return [each.error or (_or_error(send, each) if each.next else None) for each in rounds]


def _or_error[A, T](work: Callable[[A], T], one: A) -> T | Exception:
    """What the work on one message made, or the error that fails this message, and no other."""
    try:
        return work(one)
    except Exception as error:  # noqa: BLE001 - one that was not foreseen is ours to fix: it is logged with the message
        return error
