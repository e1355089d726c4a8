"""Takes one group out of Rollcall; or lets everything through at once while something is on fire, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import boto3
import typer
from rich.text import Text

from rollcall.aws.client import CLIENT_CONFIG
from rollcall.domain.actions import Transition
from rollcall.domain.groups import EMERGENCY_TAG
from rollcall.domain.shell_commands import command, operand
from rollcall_cli.emergency.letting_in import LettingIn
from rollcall_cli.emergency.plan import missing, not_recorded
from rollcall_cli.emergency.run import began_at, find_unproven, let_in, plan_beginning, restore
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.offboarding.plan import ForWaiting, removals, way_back
from rollcall_cli.offboarding.run import Removing
from rollcall_cli.options import DEFAULT_STACK, AsJson, Profile, Region, Stack, connect
from rollcall_cli.questions import Questions
from rollcall_cli.reconcile_run import answer_of
from rollcall_cli.running import NotRun
from rollcall_cli.scaling_group import ScalingGroup
from rollcall_cli.screen import console, print_json, progress_line
from rollcall_cli.stack import answerer_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollcall_cli.answerer import Answerer
    from rollcall_cli.emergency.run import Unproven
    from rollcall_cli.group_changes import Change
    from rollcall_cli.scaling_group import GroupState, LifecycleHook

type Json = dict[str, Any]

WAIT_FOR_HOOK = 3600.0  # seconds, for the instances that one hook holds
SUSPENDED = (
    "Until --restore, what Rollcall promises is suspended for it: instances go into service whether or not their job "
    "ran well, and others go while their hosts may still be in Tower. Jobs are still launched, hosts still registered "
    "and removed."
)


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
        typer.Option(metavar="NAME", help="also this hook, of whose topic the stack does not know; repeat for more"),
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
    run = _Run(client, parameters, answerer, hook or (), stack, Questions.of(yes=yes), as_json=as_json)
    if emergency:
        return run.emergency(scaling_group, seconds)
    if restored:
        return run.restore(scaling_group)
    return run.offboard(scaling_group, waiting, remove_hosts, WAIT_FOR_HOOK if seconds is None else seconds)


class _Run:
    """What the three ways of the command share."""

    def __init__(
        self,
        client: Any,
        parameters: Mapping[str, str],
        answerer: Answerer,
        also: Sequence[str],
        stack: str,
        questions: Questions,
        *,
        as_json: bool,
    ) -> None:
        self._client = client
        self._parameters = parameters
        self._answerer = answerer
        self._also = also
        self._stack = stack
        self._questions = questions
        self._as_json = as_json

    # The ordinary way

    def offboard(
        self, group: ScalingGroup, waiting: ForWaiting | None, remove_hosts: bool | None, seconds: float
    ) -> ExitCode:
        state = group.read()
        hooks = state.own_hooks(self._answerer, self._also)
        changes = removals(state, hooks)
        if not changes and not remove_hosts:
            return self._nothing_left(state)
        back = [line for each in way_back(state, hooks) for line in each.commands(state.name)]
        self._announce(state, changes)
        waiting = self._for_waiting(state, hooks, waiting)
        remove_hosts = self._remove_hosts(remove_hosts)
        if changes and not self._questions.agree("Take these away?"):
            return self._left_alone()
        removing = Removing(group, waiting, seconds, progress_line)
        removing.apply(changes)
        said = self._forget(state.name) if remove_hosts else None
        stopped = bool(said and said["failed"])
        if self._as_json:
            answered = [asdict(each) for each in removing.answered]
            done = [each.words() for each in removing.done]
            print_json({"group": state.name, "done": done, "answered": answered, "way_back": back, "reconcile": said})
        else:
            self._show_offboarded(state, removing, back, said)
        return ExitCode.ACT if stopped else ExitCode.OK

    def _nothing_left(self, state: GroupState) -> ExitCode:
        if self._as_json:
            print_json({"group": state.name, "done": [], "answered": [], "way_back": [], "reconcile": None})
        else:
            print(f"Group {state.name!r} has no hook that this stack answers and no tag of Rollcall's: nothing to do.")
        return ExitCode.OK

    def _announce(self, state: GroupState, changes: Sequence[Change]) -> None:
        for each in changes:
            progress_line(each.words())
        for transition, what in ((Transition.LAUNCHING, "abandon"), (Transition.TERMINATING, "let go")):
            if held := state.bound_for_hooks(transition):
                progress_line(
                    f"{len(held)} wait now, or will soon; to delete the hook would {what} them: {', '.join(held)}"
                )

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

    def _forget(self, group: str) -> Json:
        return answer_of(self._stack, {"forget": [group]})

    def _show_offboarded(self, state: GroupState, removing: Removing, back: Sequence[str], said: Json | None) -> None:
        out = console()
        out.print(f"Group {state.name!r} is out of Rollcall. Its instances go on as they are.", style="bold")
        for each in removing.answered:
            out.print(Text(f"  {each.instance}: hook {each.hook} answered with {each.result}, unasked"), soft_wrap=True)
        if said is None:
            forget = command("rollcall", "reconcile", f"--forget={state.name}")
            out.print(Text(f"Its hosts stay in Tower. To remove them: {forget}"), soft_wrap=True)
        else:
            removed = sum(each["removed"] for each in said["inventories"])
            out.print(Text(f"Removed from Tower: {removed:,} hosts."), soft_wrap=True)
            if said["failed"]:
                forget = command("rollcall", "reconcile", f"--forget={state.name}")
                out.print(Text(f"Not all of it was done; {forget} says why, and goes on."), soft_wrap=True)
        if back:
            out.print("The way back:")
            for line in back:
                out.print(Text(f"  {line}"), soft_wrap=True)

    # The emergency

    def emergency(self, group: ScalingGroup, seconds: float | None) -> ExitCode:
        state = group.read()
        hooks = state.own_hooks(self._answerer, self._also)
        changes = plan_beginning(state, hooks)
        for each in changes or ():
            progress_line(each.words())
        if not changes:
            progress_line(f"Group {state.name!r} is in an emergency already; this goes on with it.")
        progress_line(SUSPENDED)
        if not self._questions.agree(f"Let everything of {state.name!r} through?"):
            return self._left_alone()
        for each in changes:
            each.apply(group)
        letting = LettingIn(group, self._answerer, self._also)
        progress_line("Letting in what waits and what arrives" + ("; Ctrl-C ends this" if seconds is None else ""))
        try:
            let_in(letting, seconds, progress_line)
        except KeyboardInterrupt:
            progress_line("No more is answered from here. A hook that is not answered lets in after 30 s.")
        after = group.read()
        found = find_unproven(self._client, self._parameters, after, began_at(after.tags), letting.launched)
        self._show_emergency(after, letting, found, in_emergency=True)
        return ExitCode.ACT

    def restore(self, group: ScalingGroup) -> ExitCode:
        state = group.read()
        if EMERGENCY_TAG not in state.tags:
            if self._as_json:
                print_json({"group": state.name, "in_emergency": False, "let_in": [], "let_go": [], "unproven": {}})
            else:
                print(f"Group {state.name!r} is in no emergency: it has no tag {EMERGENCY_TAG}. Nothing was changed.")
            return ExitCode.OK
        hooks = state.own_hooks(self._answerer, self._also)
        left = [*missing(state), *not_recorded(state, hooks)]
        letting = LettingIn(group, self._answerer, self._also)
        restore(letting, state, progress_line)
        after = group.read()
        found = find_unproven(self._client, self._parameters, after, began_at(state.tags), letting.launched)
        self._show_emergency(after, letting, found, in_emergency=False, left=left)
        return ExitCode.ACT if found.reasons or left else ExitCode.OK

    def _show_emergency(
        self,
        state: GroupState,
        letting: LettingIn,
        found: Unproven,
        *,
        in_emergency: bool,
        left: Sequence[str] = (),
    ) -> None:
        if self._as_json:
            print_json(
                {
                    "group": state.name,
                    "in_emergency": in_emergency,
                    "let_in": sorted(letting.launched),
                    "let_go": sorted(letting.terminated),
                    "held_by_others": sorted(letting.still_held),
                    "unproven": found.reasons,
                    "doubt": found.doubt,
                    "not_restored": list(left),
                }
            )
            return
        out = console()
        out.print(f"Let in {len(letting.launched):,}, let go {len(letting.terminated):,}.")
        if letting.still_held:
            held = ", ".join(sorted(letting.still_held))
            out.print(Text(f"Still held, by hooks that are not Rollcall's: {held}"), soft_wrap=True)
        if found.doubt:
            out.print(Text(f"What is proven is not known: {found.doubt}"), soft_wrap=True)
        if found.reasons:
            out.print(f"{len(found.reasons):,} serve that nothing has proven:", style="bold")
            for each, reason in found.reasons.items():
                out.print(Text(f"  {each}: {reason}"), soft_wrap=True)
        else:
            out.print("No instance serves that nothing has proven, of those that came since it began.")
        for each in left:
            out.print(Text(f"How hook {each} was is not known, so it was left as it is: rollcall doctor checks it."))
        if in_emergency:
            back = command("rollcall", "offboard", "--restore", *operand(state.name))
            out.print(Text(f"Group {state.name!r} stays in the emergency until: {back}"), soft_wrap=True, style="bold")
        else:
            out.print(f"Group {state.name!r} is in no emergency any more.", style="bold")

    def _left_alone(self) -> ExitCode:
        progress_line("Nothing was changed.")
        return ExitCode.NOT_RUN
