"""Takes one group out of Rollcall; or lets everything through at once while something is on fire, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import boto3
import typer
from rich.text import Text

from rollcall.aws.client import CLIENT_CONFIG
from rollcall.domain.actions import Transition
from rollcall.domain.shell_commands import command
from rollcall_cli.emergency.ways import Emergency
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.offboarding.plan import ForWaiting, removals, way_back
from rollcall_cli.offboarding.run import Removing
from rollcall_cli.options import DEFAULT_STACK, AsJson, Given, Profile, Region, Stack, connect
from rollcall_cli.questions import Questions
from rollcall_cli.reconcile_run import answer_of
from rollcall_cli.running import NotRun
from rollcall_cli.scaling_group import ScalingGroup
from rollcall_cli.screen import console, print_json, progress_line
from rollcall_cli.stack import answerer_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollcall_cli.answerer import Answerer
    from rollcall_cli.group_changes import Change
    from rollcall_cli.lifecycle_hooks import LifecycleHook
    from rollcall_cli.scaling_group import GroupState

type Json = dict[str, Any]

WAIT_FOR_HOOK = 3600.0  # seconds, for the instances that one hook holds


def offboard(
    group: Annotated[str, typer.Argument(metavar="GROUP", help="the Auto Scaling group")],
    stack: Stack = DEFAULT_STACK,
    emergency: Annotated[
        bool, typer.Option("--emergency", help="let everything through at once, until Ctrl-C; change nothing else")
    ] = False,
    restored: Annotated[bool, typer.Option("--restore", help="end an emergency: hooks as they were before")] = False,
    waiting: Annotated[
        ForWaiting | None,
        typer.Option(help="what becomes of instances that a hook holds: wait until Rollcall has answered, or answer"),
    ] = None,
    remove_hosts: Annotated[
        bool | None, typer.Option("--remove-hosts/--keep-hosts", help="remove the group's hosts from Tower afterwards")
    ] = None,
    hook: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="also this hook, whose topic the stack does not name; repeat for more"),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--for", metavar="SECONDS", help="wait so long for a hook; in an emergency: end by itself after so long"
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="ask nothing: the options say all")] = False,
    region: Region = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Take a group out of Rollcall without losing an instance; or, with --emergency, let everything through at once.

    Takes away the launch hook, the terminate hook and the tags, in this order, each hook once it holds nothing. Ends
    with 1 where instances serve that nothing has proven, or hosts were not removed.
    """
    if emergency and restored:
        raise NotRun("--emergency and --restore are two things: name one")
    connect(region, profile)
    parameters, answerer = answerer_of(stack)
    client = boto3.client("autoscaling", config=CLIENT_CONFIG)
    scaling_group = ScalingGroup(client, group)
    questions, given = Questions.of(yes=yes), Given(stack, region, profile)
    if emergency or restored:
        about = Emergency(scaling_group, client, parameters, answerer, hook or (), given, as_json)
        return about.begin(seconds, questions) if emergency else about.end()
    run = _Run(answerer, hook or (), stack, given, questions, as_json=as_json)
    return run.offboard(scaling_group, waiting, remove_hosts, WAIT_FOR_HOOK if seconds is None else seconds)


class _Run:
    """The ordinary way: the group is taken out."""

    def __init__(
        self,
        answerer: Answerer,
        also: Sequence[str],
        stack: str,
        given: Given,
        questions: Questions,
        *,
        as_json: bool,
    ) -> None:
        self._answerer = answerer
        self._also = also
        self._stack = stack
        self._given = given
        self._questions = questions
        self._as_json = as_json

    def offboard(
        self, group: ScalingGroup, waiting: ForWaiting | None, remove_hosts: bool | None, seconds: float
    ) -> ExitCode:
        state = group.read()
        hooks = state.own_hooks(self._answerer, self._also)
        changes = removals(state, hooks)
        if not changes and not remove_hosts:
            return self._nothing_left(state)
        back = [line for each in way_back(state, hooks) for line in each.commands(state.name, self._given.aws)]
        self._announce(state, changes, back)
        waiting = self._for_waiting(state, hooks, waiting)
        remove_hosts = self._remove_hosts(remove_hosts)
        if changes and not self._questions.agree("Take these away?"):
            return self._left_alone()
        removing = Removing(group, waiting, seconds, progress_line)
        removing.apply(changes)
        said, trouble = self._forget(state.name) if remove_hosts else (None, "")
        if self._as_json:
            print_json(
                {
                    "group": state.name,
                    "done": [each.words() for each in removing.done],
                    "answered": [asdict(each) for each in removing.answered],
                    "way_back": back,
                    "reconcile": said,
                    "trouble": trouble,
                }
            )
        else:
            self._show_offboarded(state, removing, back, said, trouble)
        return ExitCode.ACT if trouble or (said and said["failed"]) else ExitCode.OK

    def _nothing_left(self, state: GroupState) -> ExitCode:
        if self._as_json:
            print_json(
                {"group": state.name, "done": [], "answered": [], "way_back": [], "reconcile": None, "trouble": ""}
            )
        else:
            print(f"Group {state.name!r} has no hook that this stack answers and no tag of Rollcall's: nothing to do.")
        return ExitCode.OK

    def _announce(self, state: GroupState, changes: Sequence[Change], back: Sequence[str]) -> None:
        """back: said before anything is changed, for a run that is interrupted cannot, and the next one knows less."""
        for each in changes:
            progress_line(each.words())
        for transition, what in ((Transition.LAUNCHING, "abandon"), (Transition.TERMINATING, "let go")):
            if held := state.bound_for_hooks(transition):
                progress_line(
                    f"{len(held)} wait now, or will soon; to delete the hook would {what} them: {', '.join(held)}"
                )
        if back:
            progress_line("The way back, if you want the group as it is now; keep it:")
        for line in back:
            progress_line(f"  {line}")

    def _for_waiting(self, state: GroupState, hooks: Sequence[LifecycleHook], waiting: ForWaiting | None) -> ForWaiting:
        if waiting is not None:
            return waiting
        if not hooks or not any(state.bound_for_hooks(each) for each in Transition):
            return ForWaiting.WAIT
        if not self._questions.interactive:
            return ForWaiting.WAIT
        said = self._questions.choose("What becomes of those that wait?", list(ForWaiting), "--waiting", none="wait")
        return ForWaiting(said) if said in list(ForWaiting) else ForWaiting.WAIT

    def _remove_hosts(self, chosen: bool | None) -> bool:
        if chosen is not None:
            return chosen
        return self._questions.confirm("Remove its hosts from Tower afterwards?", "--remove-hosts", otherwise=False)

    def _forget(self, group: str) -> tuple[Json | None, str]:
        """What reconcile answers; or why it does not."""
        try:
            return answer_of(self._stack, {"forget": [group]}), ""
        except NotRun as error:
            return None, str(error)

    def _show_offboarded(
        self, state: GroupState, removing: Removing, back: Sequence[str], said: Json | None, trouble: str
    ) -> None:
        out = console()
        forget = command("rollcall", "reconcile", *self._given.rollcall, f"--forget={state.name}")
        out.print(f"Group {state.name!r} is out of Rollcall. Its instances go on as they are.", style="bold")
        for each in removing.answered:
            out.print(Text(f"  {each.instance}: hook {each.hook} answered with {each.result}, unasked"), soft_wrap=True)
        if trouble:
            out.print(Text(f"Whether its hosts were removed from Tower is not known: {trouble}"), soft_wrap=True)
            out.print(Text(f"{forget} removes what is left of them."), soft_wrap=True)
        elif said is None:
            out.print(Text(f"Its hosts stay in Tower. To remove them: {forget}"), soft_wrap=True)
        else:
            removed = sum(each["removed"] for each in said["inventories"])
            out.print(Text(f"Removed from Tower: {removed:,} hosts."), soft_wrap=True)
            if said["failed"]:
                out.print(Text(f"Not all of it was done; {forget} says why, and goes on."), soft_wrap=True)
        if back:
            out.print("The way back:")
            for line in back:
                out.print(Text(f"  {line}"), soft_wrap=True)

    def _left_alone(self) -> ExitCode:
        progress_line("Nothing was changed.")
        return ExitCode.NOT_RUN
