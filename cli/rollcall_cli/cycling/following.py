"""Shows what changes in a cycle: as a picture on a terminal, else a line for each change. Progress goes to stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall_cli.workflows.lines import ChangeLines
from rollcall_cli.workflows.live_picture import LivePicture, on_terminal

from .picture import picture
from .words import changes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from rollcall_cli.workflows.following import Display

    from .executions import CycleExecution


class Lines(ChangeLines["CycleExecution"]):
    """A line for each change, where there is no terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._stages: dict[str, str] = {}

    def changes(self, before: CycleExecution | None, now: CycleExecution) -> Iterable[str]:
        """What has changed: a state lists only some of the instances, so the last stage of each is remembered."""
        yield from changes(before, now, self._stages)
        self._stages |= {each.id: each.stage for each in now.state.instances} if now.state else {}


class Picture(LivePicture["CycleExecution"]):
    """A picture that changes in its place, on a terminal."""

    noun = "cycle"

    def draw(self, execution: CycleExecution, since: float) -> RenderableType:
        return picture(execution, since)


def display() -> Display[CycleExecution]:
    """Where this run shows its progress: a picture only where nothing else reads what is printed."""
    return on_terminal(Picture) or Lines()
