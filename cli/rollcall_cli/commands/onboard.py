"""Makes one group Rollcall's, in the safe order, and watches its first instance."""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import boto3
import typer
from rich.text import Text

from rollcall.aws.client import CLIENT_CONFIG
from rollcall.aws.fleet import Fleet
from rollcall.domain.errors import RollcallError
from rollcall.domain.groups import OnFailure
from rollcall.domain.settings import JOB_TAG, OPT_IN_TAG
from rollcall.domain.shell_commands import command, operand
from rollcall.evidence.job_reader import JobEvidence
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.onboarding.choices import chosen, described, objections
from rollcall_cli.onboarding.plan import (
    RunOptions,
    abandoning,
    group_then,
    kept_in_words,
    objections_to_hooks,
    setting_up,
    settings_then,
    young_instances,
)
from rollcall_cli.onboarding.snippets import Form, snippet
from rollcall_cli.onboarding.waits_for import waits_for
from rollcall_cli.onboarding.watch import Ended, First, Watching
from rollcall_cli.onboarding.young import Young
from rollcall_cli.options import DEFAULT_STACK, AsJson, Given, Profile, Region, Stack, connect
from rollcall_cli.questions import Questions
from rollcall_cli.running import NotRun, in_words
from rollcall_cli.scaling_group import ScalingGroup
from rollcall_cli.screen import console, print_json, progress_line
from rollcall_cli.stack_parts import read_stack
from rollcall_cli.tower import remedy_of, tower_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from rollcall.domain.groups import GroupSettings
    from rollcall.tower.client import Tower
    from rollcall.tower.references import Listed
    from rollcall_cli.onboarding.plan import SettingUp
    from rollcall_cli.scaling_group import GroupState

type Json = dict[str, Any]

WATCHED_FOR = 1800.0  # seconds, rollcall:timeout's default
SAID_EVERY = 60.0  # seconds, while it waits until no instance is young
ON_FAILURE = {
    OnFailure.ABANDON: "are replaced (rollcall:on-failure is abandon).",
    OnFailure.HOLD: "are held for you to examine (rollcall:on-failure is hold).",
}


def onboard(
    group: Annotated[str, typer.Argument(metavar="GROUP", help="the Auto Scaling group")],
    stack: Stack = DEFAULT_STACK,
    inventory: Annotated[
        str | None, typer.Option(metavar="REFERENCE", help="Tower inventory: name, org/name, id or id:N")
    ] = None,
    job_template: Annotated[
        str | None,
        typer.Option(metavar="REFERENCE", help="Tower job template, likewise; '' for none: hosts only"),
    ] = None,
    inventory_groups: Annotated[
        str,
        typer.Option(
            "--groups", metavar="NAMES", help="inventory groups, with blanks between; else it is the group's name"
        ),
    ] = "",
    gate: Annotated[str, typer.Option(metavar="CHECKS", help="checks before CONTINUE, like 'job ec2'; else job")] = "",
    timeout: Annotated[str, typer.Option(metavar="SECONDS", help="after so long evidence is final; else 1800")] = "",
    heartbeat_timeout: Annotated[
        int | None, typer.Option(min=30, max=7200, metavar="SECONDS", help="of the hooks that are made; else 600")
    ] = None,
    young: Annotated[
        Young | None,
        typer.Option(
            help="instances in service for less than the timeout (young): run the job on them, or wait until none is"
        ),
    ] = None,
    plan: Annotated[
        Form | None, typer.Option(help="print this for you to apply, and change nothing", metavar="FORM")
    ] = None,
    scale_out: Annotated[
        bool | None, typer.Option("--scale-out/--no-scale-out", help="launch one instance more, to watch it")
    ] = None,
    watch: Annotated[bool | None, typer.Option("--watch/--no-watch", help="watch the next instance through")] = None,
    abandon: Annotated[
        bool | None, typer.Option("--abandon/--hold", help="after a good first instance: replace those that fail")
    ] = None,
    seconds: Annotated[float, typer.Option("--for", metavar="SECONDS", help="watch for so long at most")] = WATCHED_FOR,
    yes: Annotated[bool, typer.Option("--yes", help="ask nothing: the options say all")] = False,
    region: Region = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Let Rollcall keep a group: its tags and both hooks in the safe order, and its first instance watched.

    Asks for what no option says. Ends with 1 when the first instance did not come into service proven.
    """
    here = connect(region, profile)
    given = Given(stack, region, profile)
    parts = read_stack(stack, here)
    questions = Questions.of(yes=yes)
    scaling_group = ScalingGroup(boto3.client("autoscaling", config=CLIENT_CONFIG), group)
    state = scaling_group.read()
    hooks = state.own_hooks(parts.answerer)
    tower = tower_of(parts.parameters)
    with _naming_the_remedy():
        options = RunOptions(
            inventory=_inventory(tower, questions, state, inventory),
            job_template=_job_template(tower, questions, state, job_template),
            groups=inventory_groups,
            gate=gate,
            timeout=timeout,
            heartbeat_timeout=heartbeat_timeout,
        )
        settings = settings_then(state, options)
        _require_none(objections_to_hooks(state, hooks, options))
        _require_none(objections(tower, settings, group_then(state, options), parts.settings()))
        with_host = _with_host(tower, state, settings)
    young_ones = _young(here, state, settings, with_host, options)
    steps = setting_up(state, parts.answerer.prefix, hooks, options)
    if plan is not None:
        return _print_plan(state.name, plan, steps, given, as_json=as_json)
    kept = kept_in_words(hooks)
    _announce(state, steps, kept, young_ones)
    if young_ones and steps.last and young is None:
        young = _what_of_the_young(questions)
    if steps.changes and not questions.agree("Do this?"):
        progress_line("Nothing was changed.")
        return ExitCode.NOT_RUN
    _apply(scaling_group, steps, max(young_ones.values(), default=0.0) if young == Young.WAIT else 0.0)
    scale_out = _scale_out(questions, scale_out)
    watched = watch if watch is not None else scale_out or questions.interactive
    words_for = partial(waits_for, parts, tower, state.name)
    first = _first(scaling_group, tower, settings, words_for, watched=watched, scale_out=scale_out, seconds=seconds)
    on_failure = _on_failure(scaling_group, settings, first, questions, abandon)
    _print(_Done(state, steps, kept, young_ones, first, on_failure, given), as_json=as_json)
    return ExitCode.OK if first is None or first.ended == Ended.GOOD else ExitCode.ACT


def _first(
    group: ScalingGroup,
    tower: Tower,
    settings: GroupSettings,
    words_for: Callable[[str], str],
    *,
    watched: bool,
    scale_out: bool,
    seconds: float,
) -> First | None:
    """The first instance, watched through where that is wanted."""
    if watched:
        return _watched(group, tower, settings, words_for, scale_out=scale_out, seconds=seconds)
    if scale_out:
        _launch_one(group)
    return None


def _on_failure(
    group: ScalingGroup, settings: GroupSettings, first: First | None, questions: Questions, abandon: bool | None
) -> OnFailure:
    """What becomes of instances that fail from now on: after a good first one they may be replaced."""
    is_good = first is not None and first.ended == Ended.GOOD
    if settings.on_failure == OnFailure.HOLD and is_good and _abandon(questions, abandon):
        abandoning().apply(group)
        return OnFailure.ABANDON
    return settings.on_failure


# What it has to know


@contextmanager
def _naming_the_remedy() -> Iterator[None]:
    """Turns an error of a request to Tower, or of a tag, into NotRun."""
    try:
        yield
    except RollcallError as error:
        remedy = remedy_of(error)
        raise NotRun(f"{error}{f': {remedy}' if remedy else ''}\nNothing was changed.") from error


@contextmanager
def _asking_aws(needed: str) -> Iterator[None]:
    """Turns an error of AWS's into NotRun. needed: the permissions for what is asked."""
    try:
        yield
    except RollcallError as error:
        raise NotRun(f"{in_words(error, needed)}\nNothing was changed.") from error


def _inventory(tower: Tower, questions: Questions, state: GroupState, said: str | None) -> str:
    wanted = said if said is not None else state.tags.get(OPT_IN_TAG, "")
    if not wanted:
        wanted = _chosen(questions, tower.list_inventories, "Tower inventory", "--inventory")
    return wanted


def _job_template(tower: Tower, questions: Questions, state: GroupState, said: str | None) -> str:
    wanted = said if said is not None else state.tags.get(JOB_TAG)
    if wanted is None:
        none = "none: its instances are registered only"
        wanted = _chosen(questions, tower.list_job_templates, "Job template", "--job-template", none)
    return wanted


def _chosen(questions: Questions, read: Callable[[], Sequence[Listed]], title: str, option: str, none: str = "") -> str:
    return chosen(questions.choose(title, described(read()) if questions.interactive else (), option, none=none))


def _require_none(found: Iterable[str]) -> None:
    """found: what speaks against it. Raises NotRun with all of it."""
    if words := list(found):
        raise NotRun("\n".join([*words, "Nothing was changed."]))


def _with_host(tower: Tower, state: GroupState, settings: GroupSettings) -> set[str]:
    """The instances in service that are hosts already."""
    serving = state.serving()
    return {host.name for host in tower.hosts_named(tower.inventory(settings.inventory), serving)} if serving else set()


def _young(
    region: str, state: GroupState, settings: GroupSettings, with_host: Collection[str], options: RunOptions
) -> dict[str, float]:
    serving = state.serving()
    if not serving or settings.job_template is None:
        return {}
    with _asking_aws("autoscaling:DescribeScalingActivities"):
        arrivals = Fleet(region).arrivals(state.name, serving)
    return young_instances(state, arrivals, with_host, settings.timeout)


def _what_of_the_young(questions: Questions) -> Young:
    said = questions.choose("The job on instances that serve already?", list(Young), "--young")
    if said not in list(Young):
        raise NotRun(f"{said!r} is no answer: {', '.join(Young)}. Nothing was changed.")
    return Young(said)


# What it does


def _announce(state: GroupState, steps: SettingUp, kept: Sequence[str], young: Mapping[str, float]) -> None:
    if not steps.changes:
        progress_line(f"Group {state.name!r} is set up already.")
    for number, each in enumerate(steps.changes, 1):
        progress_line(f"{number}. {each.words()}")
    for words in kept:
        progress_line(words)
    others = len(state.serving()) - len(young)
    if others and steps.changes:
        progress_line(f"{others} instances in service become hosts with reconcile's next run, without a job.")
    if young:
        progress_line(
            f"{len(young)} came so lately that reconcile runs the job on them, for another "
            f"{max(young.values()):.0f} s: {', '.join(young)}"
        )


def _apply(group: ScalingGroup, steps: SettingUp, wait: float) -> None:
    """wait: seconds before the last of them, until no instance is young any more."""
    for each in steps.before:
        each.apply(group)
        progress_line(f"done: {each.words()}")
    if wait and steps.last:
        _wait(wait)
    for each in steps.last:
        each.apply(group)
        progress_line(f"done: {each.words()}")


def _wait(seconds: float) -> None:
    """Until no instance is young any more, with a line a minute."""
    progress_line("An interrupted run is simply run again.")
    while seconds > 0:
        progress_line(f"{seconds:.0f} s until no instance is young any more")
        step = min(seconds, SAID_EVERY)
        time.sleep(step)
        seconds -= step


def _scale_out(questions: Questions, chosen_by_option: bool | None) -> bool:
    if chosen_by_option is not None:
        return chosen_by_option
    return questions.confirm("Launch one instance more now, to watch it?", "--scale-out", otherwise=False)


def _launch_one(group: ScalingGroup) -> None:
    now = group.read()
    if now.desired >= now.most:
        raise NotRun(
            f"Group {now.name!r} may have {now.most} instances and has as many, so none was launched. It is set up: "
            "raise its maximum, and run this again with --scale-out."
        )
    group.scale_out(now.desired + 1)
    progress_line(f"desired capacity {now.desired} -> {now.desired + 1}")


def _watched(
    group: ScalingGroup,
    tower: Tower,
    settings: GroupSettings,
    words_for: Callable[[str], str],
    *,
    scale_out: bool,
    seconds: float,
) -> First:
    before = group.read().instances
    watching = Watching(group, tower, settings, before, progress_line, lambda: JobEvidence(tower), words_for)
    if scale_out:
        _launch_one(group)
    progress_line("watching the next instance; Ctrl-C ends that, and changes nothing")
    return watching.first(seconds)


def _abandon(questions: Questions, chosen_by_option: bool | None) -> bool:
    if chosen_by_option is not None:
        return chosen_by_option
    question = "It went well. From now on replace instances that fail, instead of holding them?"
    return questions.confirm(question, "--abandon", otherwise=False)


# What it prints


def _print_plan(group: str, form: Form, steps: SettingUp, given: Given, *, as_json: bool) -> ExitCode:
    text = snippet(form, group, steps, given.aws)
    if as_json:
        print_json({"group": group, "form": str(form), "plan": text})
    else:
        print(text)
    return ExitCode.OK


class _Done(NamedTuple):
    """What was done. kept: the hooks that were there, in words. on_failure: as it is now."""

    state: GroupState
    steps: SettingUp
    kept: Sequence[str]
    young: Mapping[str, float]
    first: First | None
    on_failure: OnFailure
    given: Given


def _print(done: _Done, *, as_json: bool) -> None:
    group, first = done.state.name, done.first
    if as_json:
        print_json(
            {
                "group": group,
                "done": [each.words() for each in done.steps.changes],
                "kept": done.kept,
                "young": list(done.young),
                "first": first and {"instance": first.id, "ended": str(first.ended), "seen": first.words},
                "abandon": done.on_failure == OnFailure.ABANDON,
            }
        )
        return
    out = console()
    out.print(f"Group {group!r} is Rollcall's.", style="bold")
    if first:
        out.print(Text(_words_of(group, first, done.given)), soft_wrap=True)
    out.print(f"Instances that fail {ON_FAILURE[done.on_failure]}")
    for name, about in (("doctor", (f"--group={group}",)), ("offboard", operand(group))):
        out.print(Text(f"  {command('rollcall', name, *done.given.rollcall, *about)}"), soft_wrap=True)


def _words_of(group: str, first: First, given: Given) -> str:
    match first.ended:
        case Ended.GOOD:
            return f"{first.id} is in service, and its job went well on it."
        case Ended.UNPROVEN:
            return f"{first.id} is in service, and nothing proves it ({first.words}): look at its job in Tower."
        case Ended.UNKNOWN:
            status = command("rollcall", "history", *given.rollcall, *operand(group))
            return (
                f"{first.id} is in service, and Tower did not say how its job went ({first.words}): {status} shows it."
            )
        case Ended.GONE:
            doctor = command("rollcall", "doctor", *given.rollcall, f"--group={group}")
            return f"{first.id} left again ({first.words}): look at its job in Tower, and run {doctor}."
        case Ended.WAITING:
            status = command("rollcall", "status", *given.rollcall, *operand(group))
            return f"{first.id} still waits: {first.words}. {status} says for what."
        case Ended.NONE:
            return "No instance came in that time. Scale out by one, or run this again with --scale-out."
