"""What reconcile does about what is due by the tags of groups: it is started once, and only in its group's turn."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from rollcall.aws.executions import Executions
from rollcall.aws.functions import Functions
from rollcall.aws.tagged_groups import TaggedGroups
from rollcall.domain.errors import NoTimeLeft, RollcallError

from .invocation import settling_event

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from rollcall.aws.executions import Execution
    from rollcall.aws.tagged_groups import RunningGroup

    from .running import Turns

LEAST_TIME = 15.0  # seconds of an invocation that one group may need, so that the answer about the run is not lost


class Due(Protocol):
    """An execution that is due. name: its own. request: its input. is_last: the next run may find it too late.

    why: it is due, in words.
    """

    @property
    def group(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def request(self) -> Mapping[str, Any]: ...
    @property
    def is_last(self) -> bool: ...
    @property
    def why(self) -> str: ...


@dataclass
class StartOutcome[D: Due]:
    """What a run did. waiting: those due while something else is at work on their group.

    settled: the names of stopped executions that the workflow's function was sent. errors: by what they are about.
    """

    started: list[D] = field(default_factory=list)
    waiting: list[D] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    errors: dict[str, RollcallError] = field(default_factory=dict)


class StarterParts(NamedTuple):
    """What a starter works with. executions: of the workflow's state machine. function: the name of its function.

    clock: epoch seconds. seconds_left: of this invocation.
    """

    executions: Executions
    groups: TaggedGroups
    functions: Functions
    function: str
    turns: Turns
    clock: Callable[[], float]
    seconds_left: Callable[[], float]


def starter_parts(
    region: str, machine: str, function: str, turns: Turns, seconds_left: Callable[[], float]
) -> StarterParts:
    """Those of an installation. machine: the state machine's ARN; function: the name of the workflow's function."""
    return StarterParts(
        Executions(machine), TaggedGroups(region), Functions(), function, turns, time.time, seconds_left
    )


class Starter[D: Due, O: StartOutcome[Any]](ABC):
    """What starters of cycles and of bakes share. outcome: what was done so far.

    noun: "cycle" or "bake". tags: of groups, by which something may be due.
    """

    noun: ClassVar[str]
    tags: ClassVar[Collection[str]]

    def __init__(self, parts: StarterParts, outcome: O) -> None:
        self._executions = parts.executions
        self._groups = parts.groups
        self._functions = parts.functions
        self._function = parts.function
        self._turns = parts.turns
        self._clock = parts.clock
        self._seconds_left = parts.seconds_left
        self.outcome = outcome

    @abstractmethod
    def run(self, only: Collection[str] | None, every: float | None) -> O:
        """Start what is due, and have settled what is left. only: these groups, None for all.

        every: seconds between two runs, None by hand. What fails for one group keeps no other from its turn. Raises
        what is about none in particular, and NoTimeLeft; outcome has what was done before that.
        """

    def preview(self, only: Collection[str] | None, every: float | None) -> O:
        """What run() would start. Nothing is changed. The arguments, and what it raises, are those of run()."""
        self._each_group(self.tags, only, lambda each: self._record_start(self._first_due(each, every)))
        return self.outcome

    @abstractmethod
    def _first_due(self, running: RunningGroup, every: float | None) -> D | None:
        """What is due of a group and was not started before, once it is its turn."""

    def _each_group(
        self, keys: Collection[str], only: Collection[str] | None, act: Callable[[RunningGroup], None]
    ) -> None:
        """Act on each group with one of these tags. only: these groups, None for all.

        What fails for one group keeps no other from its turn. Raises what is about none in particular, and NoTimeLeft.
        """
        for each in self._groups.tagged(keys):
            if only is None or each.group.name in only:
                self._attempt(f"{self.noun}s of group {each.group.name}", act, each)

    def _attempt[T](self, about: str, act: Callable[[T], None], on: T) -> None:
        """Act, and keep the error. Raises NoTimeLeft."""
        self._require_time()
        try:
            act(on)
        except RollcallError as error:
            self.outcome.errors[about] = error

    def _require_time(self) -> None:
        if self._seconds_left() < LEAST_TIME:
            raise NoTimeLeft(f"no time left in this run for {self.noun}s that are due; the next one starts them")

    def _first_in_turn(self, due: Iterable[D]) -> D | None:
        """The first that was not started before, once it is its turn: a group has one at a time.

        It waits no longer than it is due: in its last run it is started, and pre-flight refuses it while something else
        is at work, which is published. Else it would be left out without a word.
        """
        first = next((each for each in due if self._executions.find(each.name) is None), None)
        if first and not first.is_last and self._turns.is_taken(first.group):
            self.outcome.waiting.append(first)
            return None
        return first

    def _start(self, due: D | None) -> None:
        if due and self._executions.start(due.name, due.request):
            self._record_start(due)

    def _record_start(self, due: D | None) -> None:
        if due:
            self._turns.take(due.group)
            self.outcome.started.append(due)

    def _send_stopped(self, execution: Execution) -> None:
        """Have the workflow's function settle an execution that was stopped."""
        self._functions.send(self._function, settling_event(execution))
        self.outcome.settled.append(execution.name)
