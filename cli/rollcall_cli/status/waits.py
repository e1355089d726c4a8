"""What an instance that waits is waiting for, as data. Times in epoch seconds."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Step(StrEnum):
    """Where an instance is on its way in or out, in the words that are shown."""

    REGISTERED = "being registered"
    JOB_WANTED = "waits for its job"
    JOB_RUNS = "its job runs"
    EVENTS_PENDING = "its job is over, and its events are pending"
    TRIED_AGAIN = "its job is to be tried again"
    CHECKED = "its checks"
    READY = "ready: it goes into service next"
    READY_HERE = "ready for Rollcall"
    ABANDONED = "to be abandoned next"
    LEFT = "to be left in service as it is"
    HELD = "held"
    RETIRE_JOB_WANTED = "waits for its retire job"
    RETIRE_JOB_RUNS = "its retire job runs"
    REMOVED = "being removed"
    RESTED = "on its way to rest"
    NOT_FOLLOWED = "held: its group cannot be followed"
    ANOTHERS = "held by a hook that Rollcall does not answer"
    NOT_KNOWN = "not known"

    @property
    def needs_operator(self) -> bool:
        """Whether nothing goes on before an operator has acted."""
        return self in (Step.HELD, Step.NOT_FOLLOWED)


class CheckAnswer(StrEnum):
    """What a check of the gate says, as far as it can be tried from here."""

    PASSES = "passes"
    FAILS = "fails"
    UNSURE = "is inconclusive"
    NOT_TRIED = "cannot be tried from here"


class SeenCheck(NamedTuple):
    """A check of the group's gate, spelled as its tag has it, and its answer; reason: why it does not pass."""

    check: str
    answer: CheckAnswer
    reason: str = ""


class SeenJob(NamedTuple):
    """The job that an instance waits for, or that decides about it.

    url: its page in Tower. template: the name of its template. since: when it began (or was launched, as long as it has
    not), ended_at: None while it runs. usual: seconds that the last successful jobs of its kind took, the shortest
    first.
    """

    id: int
    url: str
    template: str
    status: str
    since: float
    ended_at: float | None
    usual: tuple[float, ...]


class Shown(NamedTuple):
    """What is known of one instance that waits.

    reason: why it is where it is, as a sentence; empty where the step says all. job: None if there is none. tries: jobs
    of its present stay so far. next_at: when the gate evaluates it again at the latest, or something is done about it
    (next_is says what); computed, None if it is not known. since: when its present stay, or its way out, began.
    """

    step: Step
    reason: str = ""
    job: SeenJob | None = None
    tries: int = 0
    checks: tuple[SeenCheck, ...] = ()
    next_at: float | None = None
    next_is: str = ""
    since: float | None = None


class Wait(NamedTuple):
    """An instance that waits, in a group.

    state: Auto Scaling's. since: when its wait began, None if that is not known. hooks: those of Rollcall's that may
    hold it; none where no hook holds it. ends_at: when Auto Scaling ends the wait whatever is done, and with what
    result; computed, None if it is not known.
    """

    group: str
    instance_id: str
    state: str
    since: float | None
    hooks: tuple[str, ...]
    ends_at: float | None
    ends_with: str
    shown: Shown
