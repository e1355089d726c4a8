"""Shows what changes in a cycle: as a picture on a terminal, else a line for each change. Progress goes to stderr."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from rollcall_cli.workflows.lines import ChangeLines
from rollcall_cli.workflows.live_picture import LivePicture, on_terminal

from .picture import picture
from .words import changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.console import Console, RenderableType

    from rollcall_cli.workflows.following import Display

    from .executions import CycleExecution


class Lines(ChangeLines["CycleExecution"]):
    """A line for each change, where there is no terminal. given: options for the commands in them."""

    def __init__(self, given: Sequence[str] = ()) -> None:
        super().__init__()
        self._given = given
        self._stages: dict[str, str] = {}

    def changes(self, before: CycleExecution | None, now: CycleExecution) -> Iterable[str]:
        """What has changed: a state lists only some of the instances, so the last stage of each is remembered."""
        yield from changes(before, now, self._stages, self._given)
        self._stages |= {each.id: each.stage for each in now.state.instances} if now.state else {}


class Picture(LivePicture["CycleExecution"]):
    """A picture that changes in its place, on a terminal. given: options for the commands in it."""

    noun = "cycle"

    def __init__(
        self, console: Console, monotonic: Callable[[], float] = time.monotonic, given: Sequence[str] = ()
    ) -> None:
        self._given = given
        super().__init__(console, monotonic)

    def draw(self, execution: CycleExecution, since: float) -> RenderableType:
        return picture(execution, since, self._given)


def display(given: Sequence[str] = ()) -> Display[CycleExecution]:
    """Where this run shows its progress: a picture only where nothing else reads what is printed.

    given: options for the commands in it.
    """
    return on_terminal(partial(Picture, given=given)) or Lines(given)
