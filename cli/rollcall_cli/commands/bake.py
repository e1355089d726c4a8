"""Bakes an image for a group by the stack's state machine, and follows that to its end."""

from __future__ import annotations

from typing import Annotated

import typer

from rollcall.bake.request import Smoke
from rollcall_cli.baking.request import BakeOptions, request_of
from rollcall_cli.baking.run import BakeRun, bake_executions
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.options import DEFAULT_STACK, AsJson, Given, Profile, Region, Stack, connect
from rollcall_cli.questions import Questions
from rollcall_cli.workflows.ways import agreed, require_one_way


def bake(
    group: Annotated[
        str | None,
        typer.Argument(metavar="GROUP", help="the Auto Scaling group; without it the last bakes are listed"),
    ] = None,
    stack: Stack = DEFAULT_STACK,
    base_image: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE",
            help="what to start from: current, an image's id, or ssm:NAME of a parameter; by tag",
        ),
    ] = None,
    job_template: Annotated[
        str | None, typer.Option(metavar="NAME", help="whose job sets the builder up; by tag")
    ] = None,
    inventory: Annotated[
        str | None, typer.Option(metavar="NAME", help="in which the builder gets its host; by tag")
    ] = None,
    instance_type: Annotated[
        str | None,
        typer.Option(metavar="TYPE", help="of the builder; by tag, else the launch template's"),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="NUMBER",
            help="how many images and versions stay as this bake ends; by default as the tag rollcall:keep says, "
            "which goes before this between bakes, or 5",
        ),
    ] = None,
    roll_out: Annotated[
        bool | None,
        typer.Option(
            "--roll-out/--no-roll-out",
            help="cycle the group to the image; by tag, else yes",
        ),
    ] = None,
    smoke: Annotated[
        Smoke | None,
        typer.Option(help="how the image is tried before it is rolled out; by tag, else boot"),
    ] = None,
    only_if_new: Annotated[
        bool | None,
        typer.Option(
            "--only-if-new/--always", help="bake only if the base image or the project has changed; by default always"
        ),
    ] = None,
    user_data: Annotated[
        bool | None,
        typer.Option(
            "--user-data/--no-user-data",
            help="give the builder the group's user data; by tag, else no",
        ),
    ] = None,
    instance_profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="an instance profile for the builder; by default none")
    ] = None,
    pin: Annotated[
        bool | None,
        typer.Option(
            "--pin/--no-pin",
            help="move the default version, of a group on $Default; by tag, else no",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="names the bake: the same key of a group is the same bake, for 90 days"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done, and launch nothing")] = False,
    list_: Annotated[bool, typer.Option("--list", help="show the last bakes, of this group or of all")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="follow the bake that runs, or show how the last ended")
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="stop the bake that runs; what it launched is terminated")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            help="ask nothing before it begins or cancels; where the input is no terminal it begins unasked, and "
            "--cancel needs this",
        ),
    ] = False,
    region: Region = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Make an image: start from a base image, run a playbook, try the result, and cycle the group to it.

    To bake is to make an image. What AWS calls bake time, a wait at the end of a cycle, is another thing: that is
    the option --bake-seconds of cycles. Without an option the group's tags count.

    Ends with 0 only when it is rolled out and verified, was only to be baked and is, had nothing new to bake, or was a
    dry run without objections; with 1 when it failed, was rolled back or cancelled, or could not be followed to its
    end; with 3 when pre-flight refused it. --cancel ends with 0 once it is cancelled. Ctrl-C leaves the bake running.
    """
    wanted = BakeOptions(
        base_image, job_template, inventory, instance_type, keep, roll_out, smoke, only_if_new, user_data,
        instance_profile, pin,
    )  # fmt: skip
    ways = {"--list": list_, "--dry-run": dry_run, "--watch": watch, "--cancel": cancel}
    require_one_way("bake", ways, group, key, has_options=wanted.given)
    connect(region, profile)
    run = BakeRun(bake_executions(stack), group or "", key, Given(stack, region, profile), as_json=as_json)
    if group is None or list_:
        return run.list_latest()
    if watch:
        return run.watch()
    if cancel:
        return run.cancel(Questions.of(yes=yes))
    request = request_of(group, wanted, dry_run=dry_run)
    cycled = "" if roll_out is False else ", and cycle the group to it"
    if not dry_run and not agreed(f"Bake an image for group {group!r}{cycled}?", yes=yes):
        return ExitCode.NOT_RUN
    return run.start(request)
