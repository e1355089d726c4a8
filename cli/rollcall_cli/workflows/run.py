"""One run of a command about a cycle or a bake: started or found, followed to its end, and how that was."""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text

from rollcall.domain.console_pages import execution_url
from rollcall.domain.errors import AwsUnavailable, RollcallError, Throttled
from rollcall.domain.shell_commands import command, operand, options
from rollcall.workflow.names import DRY_KEY, is_dry_run, timestamp_key
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.running import NotRun, in_words, note_change
from rollcall_cli.screen import console, print_json, progress_line, silence

from . import listing
from .endings import code_of, stopped_as
from .execution import Execution, Started
from .executions import Executions
from .following import follow
from .listing import LISTED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from rollcall_cli.options import Given

    from .endings import Ending
    from .following import Display
    from .listing import Listed

TO_START = "states:StartExecution"
TO_READ = "states:DescribeExecution, states:GetExecutionHistory and states:ListExecutions"
REFUSED = "refused"  # the result of either


class WorkflowRun[E: Execution[Any]](ABC):
    """One run of a command. group: empty for the list. key: as the operator gave it. noun: "cycle" or "bake".

    done: "cycled" or "baked".
    """

    noun: ClassVar[str]
    done: ClassVar[str]

    def __init__(
        self,
        executions: Executions[Any],
        group: str,
        key: str | None,
        given: Given,
        sleep: Callable[[float], None],
        *,
        as_json: bool,
    ) -> None:
        self._executions = executions
        self._group = group
        self._key = key
        self._given = given
        self._sleep = sleep
        self._as_json = as_json

    @abstractmethod
    def read(self, arn: str) -> E:
        """An execution as it is now."""

    @abstractmethod
    def display(self) -> Display[E]:
        """Where progress is shown."""

    @abstractmethod
    def ending(self, execution: E) -> Ending:
        """How it ended, for an operator."""

    @abstractmethod
    def answer(self, execution: E, url: str, *, attached: bool) -> dict[str, Any]:
        """How it ended, for a program."""

    @abstractmethod
    def listed(self, execution: Execution[Any]) -> Listed:
        """It as the list shows it."""

    def list_latest(self) -> ExitCode:
        """The last of the group, else of all groups."""
        latest = self._asked(lambda: self._executions.latest(LISTED, self._group))
        rows = sorted(map(self.listed, latest), key=lambda each: each.began, reverse=True)
        if self._as_json:
            print_json(listing.answer_of(rows, self.noun))
        elif rows:
            listing.print_list(rows, self.noun)
        else:
            which = f"Group {self._group!r} was not" if self._group else "No group was"
            right = " Is the name right?" if self._group else ""
            print(f"{which} {self.done} in the last 90 days.{right} Dry runs are not listed.")
        return ExitCode.OK

    def start(self, request: Mapping[str, Any]) -> ExitCode:
        """A new one, or the one that there is with this key; followed to its end."""
        dry_run = bool(request.get("dry_run"))
        key = self._key or f"{DRY_KEY if dry_run else ''}{timestamp_key(time.time())}"
        try:
            started = self._asked(lambda: self._executions.start(self._group, key, request), TO_START)
        except NotRun as error:
            if not isinstance(error.__cause__, AwsUnavailable) or isinstance(error.__cause__, Throttled) or dry_run:
                raise
            note_change()
            shows = command("rollcall", self.noun, "--watch", *self._given.rollcall, *operand(self._group))
            raise NotRun(f"{error}\nIt may have begun all the same: {shows}") from error
        if not started.attached and not dry_run:
            note_change()
        return self._follow(started, request if started.attached else None)

    def watch(self) -> ExitCode:
        """The one with the key; without one that which runs, else the last one."""
        if self._key is None:
            arn = self._asked(lambda: self._executions.newest(self._group))
        else:
            arn = self._asked(lambda: self._executions.named(self._group, self._key or ""))
        if arn is None:
            which = f" with the key {self._key!r}" if self._key else ""
            dry = not which and self._asked(lambda: self._executions.has_dry_runs(self._group))
            if dry:
                words = f"has had only dry runs in the last 90 days, and no {self.noun}."
            else:
                words = f"has no {self.noun}{which} of the last 90 days. Is the name right?"
            raise NotRun(f"Group {self._group!r} {words} Nothing is there to watch.")
        return self._follow(Started(arn, attached=True))

    def _follow(self, started: Started, wanted: Mapping[str, Any] | None = None, stopped: str = "") -> ExitCode:
        """To its end. wanted: the request of one that was to be started, and was there already.

        stopped: the result that this run asked for, which is then no failure.
        """
        unsaid = wanted is not None

        def read() -> E:
            nonlocal unsaid
            execution = self.read(started.arn)
            if wanted is not None and unsaid:
                self._say_attached(execution, wanted)
                unsaid = False
            return execution

        try:
            progress_line(f"{self.noun} {started.name}: {execution_url(started.arn)}")
            shown = self.display()
            execution = follow(read, shown, self.noun, self._sleep)
        except RollcallError as error:
            raise NotRun(f"{in_words(error, TO_READ)}\n{self._how_to_go_on(started)}") from error
        except KeyboardInterrupt:
            progress_line(self._how_to_go_on(started))
            raise
        code = ExitCode.OK if stopped_as(execution, stopped) else code_of(execution)
        self._print(execution, code, shown.warned, attached=started.attached)
        return code

    def _say_attached(self, there: E, wanted: Mapping[str, Any]) -> None:
        """Raises NotRun where the one that is there was started with other options than those wanted."""
        words = "is running" if there.running else "is over"
        if there.request != wanted:
            raise NotRun(
                f"A {self.noun} with this key is there already, and {words}. It was started with other options: "
                f"{json.dumps(there.request, sort_keys=True)}. Nothing was started: for a {self.noun} with yours give "
                "another --key."
            )
        progress_line(f"A {self.noun} with this key is there already, and {words}: this shows it, and starts none.")
        if there.state and there.state.result == REFUSED:
            progress_line("It was refused then, and changed nothing. To try again give another --key.")

    def _how_to_go_on(self, started: Started) -> str:
        if is_dry_run(started.name, self._group):
            return "The dry run goes on by itself, and changes nothing."
        named = options("--key", [self._key] if self._key else [])
        words = {
            way: command("rollcall", self.noun, way, *self._given.rollcall, *own, *operand(self._group))
            for way, own in (("--watch", named), ("--cancel", ()))
        }
        return f"The {self.noun} goes on by itself. To watch it: {words['--watch']}\nTo stop it: {words['--cancel']}"

    def _print(self, execution: E, code: ExitCode, warned: Collection[str], *, attached: bool) -> None:
        """How it ended. Where that is not read any more the exit code says it all the same."""
        url = execution_url(execution.arn)
        try:
            if self._as_json:
                print_json(self.answer(execution, url, attached=attached))
            else:
                self._show(self.ending(execution), code, warned)
            sys.stdout.flush()
        except BrokenPipeError:
            silence(sys.stdout)

    def _show(self, ending: Ending, code: ExitCode, warned: Collection[str]) -> None:
        """warned: what was shown as it came, and is not repeated."""
        known = {f"warning: {each}" for each in warned}
        out = console()
        style = "bold green" if code == ExitCode.OK else "bold red"
        out.print(Text(ending.heading, style=style), soft_wrap=True)
        for line in (each for each in ending.lines if each.strip() not in known):
            out.print(Text(f"  {line}"), soft_wrap=True)

    def _asked[T](self, ask: Callable[[], T], needed: str = TO_READ) -> T:
        """What AWS answers. Raises NotRun, with the permissions that it takes."""
        try:
            return ask()
        except RollcallError as error:
            raise NotRun(in_words(error, needed)) from error
