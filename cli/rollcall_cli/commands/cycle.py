"""Replaces every instance of a group by the stack's state machine, and follows that to its end."""

from __future__ import annotations

from typing import Annotated

import typer

from rollcall.cycle.request import Follow, Protected, Standby
from rollcall_cli.cycling.refresh import Stop
from rollcall_cli.cycling.request import CycleOptions, OnFailure, request_of
from rollcall_cli.cycling.run import CycleRun, cycle_executions
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.options import DEFAULT_STACK, AsJson, Given, Profile, Region, Stack, connect
from rollcall_cli.questions import Questions
from rollcall_cli.workflows.ways import agreed, require_one_way


def cycle(
    group: Annotated[
        str | None,
        typer.Argument(metavar="GROUP", help="the Auto Scaling group; without it the last cycles are listed"),
    ] = None,
    stack: Stack = DEFAULT_STACK,
    launch_template_version: Annotated[
        str | None,
        typer.Option(
            "--version",
            metavar="VERSION",
            help="of the launch template: a number, $Latest or $Default; by default the group's",
        ),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="so many at a time: 2, or 25% of the desired ones; by tag, else 25%"),
    ] = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            metavar="PERCENTAGES",
            help="wait once so much is new, like 25,100; the last is 100; by tag, else never",
        ),
    ] = None,
    checkpoint_seconds: Annotated[
        int | None,
        typer.Option(min=0, metavar="SECONDS", help="wait so long at each checkpoint; by tag, else 3600"),
    ] = None,
    bake_seconds: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="watch the new version so long (AWS: bake time) before the cycle is over; by tag, else 0",
        ),
    ] = None,
    skip_matching: Annotated[
        bool | None,
        typer.Option(
            "--skip-matching/--no-skip-matching",
            help="leave instances that have the version already; by tag, else only where another version is named",
        ),
    ] = None,
    on_failure: Annotated[
        OnFailure | None,
        typer.Option(help="if the new version fails: roll-back, cancel; by tag, else auto: roll back where AWS can"),
    ] = None,
    pin: Annotated[
        bool | None,
        typer.Option(
            "--pin/--no-pin",
            help="set a group on $Latest or $Default to a number first, so AWS can roll back; by tag, else no",
        ),
    ] = None,
    follow_: Annotated[
        Follow | None,
        typer.Option(
            "--follow",
            help="after --pin: keep goes back to the alias if it fits, number stays; by tag, else keep",
        ),
    ] = None,
    alarm: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="a CloudWatch alarm that ends it; repeat for more; by tag, else none"),
    ] = None,
    protected: Annotated[
        Protected | None, typer.Option(help="instances with scale-in protection; by tag, else refuse")
    ] = None,
    standby: Annotated[Standby | None, typer.Option(help="instances in Standby; by tag, else refuse")] = None,
    verify_seconds: Annotated[
        int | None,
        typer.Option(min=0, metavar="SECONDS", help="how long what is verified may take; by tag, else 900"),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="names the cycle: the same key of a group is the same cycle, for 90 days"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done, and change nothing")] = False,
    list_: Annotated[bool, typer.Option("--list", help="show the last cycles, of this group or of all")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="follow the cycle that runs, or show how the last ended")
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="stop the cycle that runs where it is, and follow it")
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="roll back the cycle that runs, and follow it; see also --on-failure")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            help="ask nothing before it begins, cancels or rolls back; where the input is no terminal it begins "
            "unasked, and --cancel and --rollback need this",
        ),
    ] = False,
    region: Region = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Replace every instance of a group without downtime, new ones first, and follow that until it is verified.

    Without an option the group's tag rollcall:cycle counts.

    Ends with 0 only when it is verified, had nothing to replace, or was a dry run without objections; with 1 when it
    failed, was rolled back or cancelled, or could not be followed to its end; with 3 when pre-flight refused it.
    --cancel and --rollback end with 0 once that is done. Ctrl-C leaves the cycle running.
    """
    wanted = CycleOptions(
        launch_template_version, batch, checkpoints, checkpoint_seconds, bake_seconds, skip_matching, on_failure, pin,
        follow_, tuple(alarm or ()), protected, standby, verify_seconds,
    )  # fmt: skip
    ways = {"--list": list_, "--dry-run": dry_run, "--watch": watch, "--cancel": cancel, "--rollback": rollback}
    require_one_way("cycle", ways, group, key, has_options=wanted.given)
    connect(region, profile)
    run = CycleRun(cycle_executions(stack), group or "", key, Given(stack, region, profile), as_json=as_json)
    if group is None or list_:
        return run.list_latest()
    if watch:
        return run.watch()
    if cancel or rollback:
        return run.stop(Stop.CANCEL if cancel else Stop.ROLLBACK, Questions.of(yes=yes))
    request = request_of(group, wanted, dry_run=dry_run)
    if not dry_run and not agreed(f"Replace every instance of group {group!r}, without downtime?", yes=yes):
        return ExitCode.NOT_RUN
    return run.start(request)
