"""Replaces every instance of a group by the stack's state machine, and follows that to its end."""

from __future__ import annotations

import json
import sys
import time
from time import sleep
from typing import TYPE_CHECKING, Annotated

import boto3
import typer
from rich.text import Text

from rollcall.aws.client import CLIENT_CONFIG
from rollcall.aws.instance_refreshes import InstanceRefreshes
from rollcall.cycle.names import key_of, timestamp_key
from rollcall.cycle.request import Follow, Protected, Standby
from rollcall.cycle.state import CycleResult
from rollcall.domain.console_pages import execution_url
from rollcall.domain.errors import AwsUnavailable, RollcallError, Throttled
from rollcall.domain.shell_commands import command, operand, options
from rollcall_cli.cycling import listing
from rollcall_cli.cycling.executions import DRY_KEY, CycleExecutions, Started
from rollcall_cli.cycling.following import display, follow
from rollcall_cli.cycling.refresh import QUESTIONS, UNDER_WAY, Stop, active, require_its_own, stop, with_refresh
from rollcall_cli.cycling.request import CycleOptions, OnFailure, request_of
from rollcall_cli.cycling.words import answer_of, code_of, ending_of
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.options import DEFAULT_STACK, AsJson, Given, Profile, Region, Stack, connect
from rollcall_cli.questions import Questions
from rollcall_cli.running import NotRun, in_words, note_change
from rollcall_cli.screen import console, print_json, progress_line, silence
from rollcall_cli.stack import CYCLE_MACHINE, NoResource, physical_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from rollcall_cli.cycling.executions import CycleExecution

TO_START = "states:StartExecution"
TO_READ = "states:DescribeExecution, states:GetExecutionHistory and states:ListExecutions"
AT_ONCE = "{} and {} are two things: name one."


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
            help="of the launch template: a number, $Latest or $Default; else the group's",
        ),
    ] = None,
    batch: Annotated[
        str | None, typer.Option(metavar="SIZE", help="so many at a time: 2, or 25% of the desired ones; else 25%")
    ] = None,
    checkpoints: Annotated[
        str | None, typer.Option(metavar="PERCENTAGES", help="wait once so much is new, like 25,100; the last is 100")
    ] = None,
    checkpoint_seconds: Annotated[
        int | None, typer.Option(min=0, metavar="SECONDS", help="so long at each checkpoint; else 3600")
    ] = None,
    bake_seconds: Annotated[
        int | None, typer.Option(min=0, metavar="SECONDS", help="so long at the end, before it counts; else 0")
    ] = None,
    skip_matching: Annotated[
        bool | None,
        typer.Option(
            "--skip-matching/--no-skip-matching",
            help="leave instances that have the version already; else only where another version is named",
        ),
    ] = None,
    on_failure: Annotated[
        OnFailure | None,
        typer.Option(help="if the new version fails: roll-back, cancel; else auto: roll back where AWS can"),
    ] = None,
    pin: Annotated[
        bool | None,
        typer.Option(
            "--pin/--no-pin", help="set a group on $Latest or $Default to a number first, so AWS can roll back"
        ),
    ] = None,
    follow_: Annotated[
        Follow | None,
        typer.Option("--follow", help="after --pin: keep goes back to the alias if it fits, number stays; else keep"),
    ] = None,
    alarm: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="a CloudWatch alarm that ends it; repeat for more")
    ] = None,
    protected: Annotated[Protected | None, typer.Option(help="instances with scale-in protection; else refuse")] = None,
    standby: Annotated[Standby | None, typer.Option(help="instances in Standby; else refuse")] = None,
    verify_seconds: Annotated[
        int | None, typer.Option(min=0, metavar="SECONDS", help="how long what is verified may take; else 900")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="names the cycle: the same key of a group is the same cycle, for 90 days"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done, and change nothing")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="follow the cycle that runs, or show how the last ended")
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="stop the cycle that runs where it is, and follow it")
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="roll back the cycle that runs, and follow it; see also --on-failure")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="ask nothing before it cancels or rolls back")] = False,
    region: Region = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Replace every instance of a group without downtime, new ones first, and follow that until it is verified.

    Ends with 0 only when it is verified, had nothing to replace, or was a dry run without objections; with 1 when it
    failed, was rolled back or cancelled, or could not be followed to its end; with 3 when pre-flight refused it. Ctrl-C
    leaves the cycle running.
    """
    wanted = CycleOptions(
        launch_template_version, batch, checkpoints, checkpoint_seconds, bake_seconds, skip_matching, on_failure, pin,
        follow_, tuple(alarm or ()), protected, standby, verify_seconds,
    )  # fmt: skip
    ways = {"--dry-run": dry_run, "--watch": watch, "--cancel": cancel, "--rollback": rollback}
    _require_one_way([name for name, named in ways.items() if named], wanted, key, group)
    connect(region, profile)
    run = _Run(_executions(stack), group or "", key, Given(stack, region, profile), as_json=as_json)
    if group is None:
        return run.list_latest()
    if watch:
        return run.watch()
    if cancel or rollback:
        return run.stop(Stop.CANCEL if cancel else Stop.ROLLBACK, Questions.of(yes=yes))
    return run.start(request_of(group, wanted, dry_run=dry_run))


def _require_one_way(ways: Sequence[str], wanted: CycleOptions, key: str | None, group: str | None) -> None:
    """Raises NotRun where options do not go together."""
    if len(ways) > 1:
        raise NotRun(AT_ONCE.format(*ways[:2]))
    way = ways[0] if ways else ""
    if group is None and (way or key is not None or wanted.given):
        raise NotRun("Name the group. Without one, and without these options, the last cycles are listed.")
    if way in ("--watch", "--cancel", "--rollback") and wanted.given:
        raise NotRun(f"{way} is about a cycle that is there: options of a new one change nothing about it.")
    if key is not None and way in ("--dry-run", "--cancel", "--rollback"):
        raise NotRun(f"{way} takes no --key: a dry run is always a new one, and of a group one cycle runs at most.")
    if key is not None and (not key.strip() or key.startswith(DRY_KEY)):
        raise NotRun(f"--key={key}: give a key that is not empty, and does not begin with {DRY_KEY}")


def _executions(stack: str) -> CycleExecutions:
    """Those of the stack's state machine. Raises NotRun where it has none."""
    try:
        machine = physical_id(stack, CYCLE_MACHINE)
    except NoResource as error:
        raise NotRun(
            f"Stack {stack} runs no cycles: it has no state machine {CYCLE_MACHINE}. Deploy it with the "
            "parameter Cycles=true."
        ) from error
    return CycleExecutions(boto3.client("stepfunctions", config=CLIENT_CONFIG), machine)


class _Run:
    """One run of the command. group: empty for the list. key: as the operator gave it."""

    def __init__(
        self, executions: CycleExecutions, group: str, key: str | None, given: Given, *, as_json: bool
    ) -> None:
        self._executions = executions
        self._group = group
        self._key = key
        self._given = given
        self._as_json = as_json

    def list_latest(self) -> ExitCode:
        """The last cycles of all groups."""
        cycles = [listing.listed(each) for each in self._asked(lambda: self._executions.latest(listing.LISTED))]
        if self._as_json:
            print_json(listing.answer_of(cycles))
        elif cycles:
            console().print(listing.table(cycles))
        else:
            print("No group was cycled in the last 90 days.")
        return ExitCode.OK

    def start(self, request: Mapping[str, Any]) -> ExitCode:
        """A new cycle, or the one that there is with this key; followed to its end."""
        dry_run = bool(request.get("dry_run"))
        key = self._key or f"{DRY_KEY if dry_run else ''}{timestamp_key(time.time())}"
        try:
            started = self._asked(lambda: self._executions.start(self._group, key, request), TO_START)
        except NotRun as error:
            if not isinstance(error.__cause__, AwsUnavailable) or isinstance(error.__cause__, Throttled) or dry_run:
                raise
            note_change()
            shows = command("rollcall", "cycle", "--watch", *self._given.rollcall, *operand(self._group))
            raise NotRun(f"{error}\nIt may have begun all the same: {shows}") from error
        if not started.attached and not dry_run:
            note_change()
        return self._follow(started, request if started.attached else None)

    def watch(self) -> ExitCode:
        """The cycle with the key; without one that which runs, else the last one."""
        if self._key is None:
            arn = self._asked(lambda: self._executions.newest(self._group))
        else:
            arn = self._asked(lambda: self._executions.named(self._group, self._key or ""))
        if arn is None:
            which = f" with the key {self._key!r}" if self._key else ""
            raise NotRun(f"Group {self._group!r} has no cycle{which} of the last 90 days: nothing is there to watch.")
        return self._follow(Started(arn, attached=True))

    def stop(self, how: Stop, questions: Questions) -> ExitCode:
        """Cancel or roll back the refresh of the cycle that runs, and follow that cycle to its end."""
        arn = self._asked(lambda: self._executions.running(self._group))
        if arn is None:
            raise NotRun(f"No cycle of Rollcall's runs for group {self._group!r}: nothing was changed.")
        execution = self._asked(lambda: with_refresh(lambda: self._executions.read(arn), sleep))
        refreshes = InstanceRefreshes(arn.split(":")[3])
        shown = require_its_own(execution, active(refreshes, self._group))
        if shown.status == UNDER_WAY[how]:
            progress_line(f"That is under way already: {shown.status}. {shown.reason}".rstrip())
        elif questions.agree(QUESTIONS[how].format(group=self._group)):
            stop(refreshes, self._group, how)
        else:
            progress_line("Nothing was changed.")
            return ExitCode.NOT_RUN
        return self._follow(Started(arn, attached=True))

    def _follow(self, started: Started, wanted: Mapping[str, Any] | None = None) -> ExitCode:
        """To its end. wanted: the request of one that was to be started, and was there already."""
        unsaid = wanted is not None

        def read() -> CycleExecution:
            nonlocal unsaid
            execution = self._executions.read(started.arn)
            if unsaid:
                self._say_attached(execution, wanted)
                unsaid = False
            return execution

        try:
            progress_line(f"cycle {started.name}: {execution_url(started.arn)}")
            execution = follow(read, display(), sleep)
        except RollcallError as error:
            raise NotRun(f"{in_words(error, TO_READ)}\n{self._how_to_go_on(started)}") from error
        except KeyboardInterrupt:
            progress_line(self._how_to_go_on(started))
            raise
        self._print(execution, attached=started.attached)
        return code_of(execution)

    def _say_attached(self, there: CycleExecution, wanted: Mapping[str, Any] | None) -> None:
        words = "is running" if there.running else "is over"
        progress_line(f"A cycle with this key is there already, and {words}: this shows it, and starts none.")
        if there.state and there.state.result == CycleResult.REFUSED:
            progress_line("It was refused then, and changed nothing. To try again give another --key.")
        if there.request != wanted:
            progress_line(
                f"It was started with other options: {json.dumps(there.request, sort_keys=True)}. For a cycle with "
                "yours give another --key."
            )

    def _how_to_go_on(self, started: Started) -> str:
        if key_of(started.name, self._group).startswith(DRY_KEY):
            return "The dry run goes on by itself, and changes nothing."
        named = options("--key", [self._key] if self._key else [])
        words = {
            way: command("rollcall", "cycle", way, *self._given.rollcall, *own, *operand(self._group))
            for way, own in (("--watch", named), ("--cancel", ()))
        }
        return f"The cycle goes on by itself. To watch it: {words['--watch']}\nTo stop it: {words['--cancel']}"

    def _print(self, execution: CycleExecution, *, attached: bool) -> None:
        """How it ended. Where that is not read any more the exit code says it all the same."""
        url = execution_url(execution.arn)
        try:
            if self._as_json:
                print_json(answer_of(execution, url, attached=attached))
            else:
                self._show(execution)
            sys.stdout.flush()
        except BrokenPipeError:
            silence(sys.stdout)

    def _show(self, execution: CycleExecution) -> None:
        out, ending = console(), ending_of(execution)
        out.print(Text(ending.heading, style="bold green" if ending.well else "bold red"), soft_wrap=True)
        for line in ending.lines:
            out.print(Text(f"  {line}"), soft_wrap=True)

    def _asked[T](self, ask: Callable[[], T], needed: str = TO_READ) -> T:
        """What AWS answers. Raises NotRun, with the permissions that it takes."""
        try:
            return ask()
        except RollcallError as error:
            raise NotRun(in_words(error, needed)) from error
