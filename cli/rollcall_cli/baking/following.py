"""Shows what changes in a bake, and in the cycle that rolls its image out as the command for cycles shows it.

A picture on a terminal, else a line for each change. Progress goes to stderr.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Group

from rollcall_cli.cycling.following import Lines as CycleLines
from rollcall_cli.cycling.picture import picture as cycle_picture
from rollcall_cli.workflows.lines import ChangeLines
from rollcall_cli.workflows.live_picture import LivePicture, on_terminal

from .picture import picture
from .words import changes, cycle_beneath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.console import Console, RenderableType

    from rollcall_cli.workflows.following import Display

    from .executions import BakeExecution


class Lines(ChangeLines["BakeExecution"]):
    """A line for each change, where there is no terminal. given: options for the commands in them."""

    def __init__(self, given: Sequence[str] = ()) -> None:
        super().__init__()
        self._cycle = CycleLines(given)

    def changes(self, before: BakeExecution | None, now: BakeExecution) -> Iterable[str]:
        """What has changed in the bake."""
        return changes(before, now)

    def show(self, execution: BakeExecution) -> None:
        """Show what has changed since the last time, in its cycle, too: the end of a cycle before what comes of it."""
        is_over = execution.cycle is not None and not execution.cycle.running
        if is_over:
            self._show_cycle(execution)
        super().show(execution)
        if not is_over:
            self._show_cycle(execution)

    def _show_cycle(self, execution: BakeExecution) -> None:
        if (cycle := cycle_beneath(execution)) is not None:
            self._cycle.show(cycle)
            self.warned |= self._cycle.warned


class Picture(LivePicture["BakeExecution"]):
    """A picture that changes in its place, on a terminal. given: options for the commands in it."""

    noun = "bake"

    def __init__(
        self, console: Console, monotonic: Callable[[], float] = time.monotonic, given: Sequence[str] = ()
    ) -> None:
        self._given = given
        super().__init__(console, monotonic)

    def draw(self, execution: BakeExecution, since: float) -> RenderableType:
        parts = [picture(execution, since)]
        if execution.cycle is not None and execution.cycle.running:
            parts.append(cycle_picture(execution.cycle, since, self._given))
        return Group(*parts)


def display(given: Sequence[str] = ()) -> Display[BakeExecution]:
    """Where this run shows its progress: a picture only where nothing else reads what is printed.

    given: options for the commands in it.
    """
    return on_terminal(partial(Picture, given=given)) or Lines(given)
