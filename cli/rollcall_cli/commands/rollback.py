"""Shows the versions that a group can go back to, and cycles it to one of them."""

from __future__ import annotations

from typing import Annotated

import typer

from rollcall.aws.instance_refreshes import InstanceRefreshes
from rollcall.bake.bake_aws import BakeAws
from rollcall_cli.baking.going_back import question, read_kept, target_of
from rollcall_cli.baking.kept_list import answer_of, print_kept
from rollcall_cli.cycling.request import CycleOptions, request_of
from rollcall_cli.cycling.run import CycleRun, cycle_executions
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.options import DEFAULT_STACK, AsJson, Given, Profile, Region, Stack, connect
from rollcall_cli.questions import Questions
from rollcall_cli.running import NotRun
from rollcall_cli.screen import print_json, progress_line


def rollback(
    group: Annotated[str, typer.Argument(metavar="GROUP", help="the Auto Scaling group")],
    stack: Stack = DEFAULT_STACK,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION",
            help="a version that is kept, by its number or its image's id; by default the one before this",
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="show the versions that are kept, and change nothing")] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="ask nothing before the group is cycled; needed where the input is no terminal"),
    ] = False,
    region: Region = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Cycle a group back to a version of its launch template that bakes have kept, or that it was on before them.

    It is a cycle like any other, and ends with the same codes: 0 only once it is verified. Ctrl-C leaves it running.
    """
    if list_ and to is not None:
        raise NotRun("--list and --to are two things: name one.")
    connected = connect(region, profile)
    kept = read_kept(BakeAws(connected), InstanceRefreshes(connected), group)
    if list_:
        if as_json:
            print_json(answer_of(kept, group))
        else:
            print_kept(kept)
        return ExitCode.OK
    run = CycleRun(cycle_executions(stack), group, None, Given(stack, region, profile), as_json=as_json)
    target = target_of(kept, group, to)
    if not Questions.of(yes=yes).agree(question(kept, group, target)):
        progress_line("Nothing was changed.")
        return ExitCode.NOT_RUN
    skips = True if target.is_present else None  # those that run it already stay
    return run.start(request_of(group, CycleOptions(version=target.number, skip_matching=skips)))
