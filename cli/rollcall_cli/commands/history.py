"""Draws the timeline of a real stack's instances: launched, registered, provisioned, in service, removed."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.history.activities import KEPT
from rollcall_cli.history.history import INSTANCE_ID, Wanted, read_history
from rollcall_cli.options import DEFAULT_STACK, AsJson, Profile, Region, Stack, connect
from rollcall_cli.running import NotRun
from rollcall_cli.screen import console, print_json, progress, progress_line
from rollcall_cli.timeline.json_format import written
from rollcall_cli.timeline.page import page
from rollcall_cli.timeline.strips import strips
from rollcall_cli.timeline.timeline import timeline

if TYPE_CHECKING:
    from rich.console import Console

    from rollcall_cli.history.history import History
    from rollcall_cli.timeline.timeline import Timeline

SINCE = re.compile(r"(?P<number>[1-9][0-9]*)(?P<unit>[smhdw])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
USUAL = "6h"
PLAIN_WIDTH = 100  # columns where there is no terminal


def history(
    whose: Annotated[
        str | None, typer.Argument(metavar="GROUP|INSTANCE", help="an Auto Scaling group, or an instance's id")
    ] = None,
    stack: Stack = DEFAULT_STACK,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help=f"what began in the last TIME: 90m, 6h, 2d, 6w; by default {USUAL}, and of an instance 6w, up to its "
            "launch",
        ),
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="NAME", help="the group of an instance that is gone; saves a search")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write the timeline as a page into this file")
    ] = None,
    region: Region = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> ExitCode:
    """When instances were launched, registered, provisioned, in service and removed, and how long each took.

    From Auto Scaling's activities, Tower's hosts and jobs, the functions' logs, and Step Functions' lists of cycles and
    bakes. What a source does not answer is said, and the rest is drawn. Without a GROUP or an INSTANCE: all groups with
    the tag rollcall:inventory.
    """
    here = connect(region, profile)
    now = time.time()
    with progress("reading AWS") as status:
        found = read_history(stack, here, wanted(whose, group, since, now), now, status.update)
    if html is not None:
        _write(html, page(_timeline(found)))
    if as_json:
        print_json(written(found.records, found.asks, found.now, found.marks, gaps=found.gaps))
    else:
        show(console(), _timeline(found), found.gaps)
    return ExitCode.OK


def wanted(whose: str | None, group: str | None, since: str | None, now: float) -> Wanted:
    """Whose history, since when. now: epoch seconds. Raises NotRun for a time that is none."""
    is_instance = whose is not None and INSTANCE_ID.fullmatch(whose) is not None
    if group is not None and not is_instance:
        raise NotRun("--group goes with an instance's id: name a group by itself.")
    began = now - (KEPT if since is None and is_instance else seconds_of(since or USUAL))
    return Wanted(began, group, whose) if is_instance else Wanted(began, whose)


def seconds_of(since: str) -> float:
    """How long a time is in seconds, no longer than AWS keeps activities. Raises NotRun for one that is none."""
    found = SINCE.fullmatch(since)
    if found is None:
        raise NotRun(f"--since {since} is no time: a number and s, m, h, d or w, as 90m, 6h, 2d")
    return min(float(found["number"]) * SECONDS[found["unit"]], KEPT)


def _timeline(found: History) -> Timeline:
    return timeline(found.records, found.asks, found.now, found.marks, gaps=found.gaps)


def show(console: Console, shown: Timeline, gaps: tuple[str, ...]) -> None:
    """Prints the timeline, and what could not be read."""
    is_terminal = console.is_terminal
    width = console.width if is_terminal else PLAIN_WIDTH
    for line in strips(shown, width, blocks=is_terminal and not console.options.ascii_only):
        console.print(line, no_wrap=True, crop=is_terminal)
    for gap in gaps:
        console.print(Text(gap, "yellow"), soft_wrap=True)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NotRun(f"The page cannot be written: {error}") from error
    progress_line(f"Timeline: {file}")
