"""Lists the Auto Scaling groups that still have lifecycle hooks which Rollcall answers.

Those are the hooks that offboard takes away: under the stack's prefix, and those that notify one of its queues or a
topic that it names. With Rollcall gone they would never be answered: such a group could launch nothing, and would
terminate each of its instances only after the hook's timeout. To delete a launch hook abandons the instances that it
holds, so that these are counted. Hooks that notify a topic which the stack does not name are not found.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import boto3
import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rollcall.domain.actions import Transition
from rollcall.domain.shell_commands import command, in_single_quotes, operand
from rollcall_cli.answerer import Answerer
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.options import DEFAULT_STACK, AsJson, Given, Profile, Region, Stack, connect
from rollcall_cli.running import NotRun
from rollcall_cli.scaling_group import moment_of, state_of
from rollcall_cli.screen import print_json, progress
from rollcall_cli.stack import NoStack, answerer_of, not_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

DEFAULT_PREFIX = "rollcall"  # the template's
NEEDED = "autoscaling:DescribeAutoScalingGroups, autoscaling:DescribeLifecycleHooks and autoscaling:DescribeWarmPool"
PATIENT = Config(retries={"mode": "adaptive", "total_max_attempts": 5}, connect_timeout=5, read_timeout=20)


@dataclass(frozen=True)
class DeletedStack:
    """A stack that was deleted: when, and with which HookPrefix, None if it had no such parameter."""

    deleted_at: datetime
    prefix: str | None


def deleted_stack(name: str) -> DeletedStack | None:
    """The last stack of that name that was deleted; None where CloudFormation shows none, as it does for 90 days.

    (API reference, ListStacks; DescribeStacks describes a deleted stack by its id.) Raises what boto3 raises.
    """
    client = boto3.client("cloudformation", config=PATIENT)
    pages = client.get_paginator("list_stacks").paginate(StackStatusFilter=["DELETE_COMPLETE"])
    named = [each for page in pages for each in page["StackSummaries"] if each["StackName"] == name]
    if not named:
        return None
    last = max(named, key=lambda each: each["DeletionTime"])
    (stack,) = client.describe_stacks(StackName=last["StackId"])["Stacks"]
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", [])}
    return DeletedStack(last["DeletionTime"], parameters.get("HookPrefix"))


def without_stack(error: NoStack, name: str, given: Sequence[str]) -> NotRun:
    """What to say where there is no such stack: if it was deleted, which prefix to look for.

    given: options of this run that the next one needs, too.
    """
    try:
        deleted = deleted_stack(name)
        unknown = ""
    except (BotoCoreError, ClientError) as failure:  # whether there was one is only more to say
        deleted = None
        unknown = f"\n(Which stacks were deleted cannot be read: {failure})"
    if deleted and deleted.prefix:
        again = command("rollcall", "uninstall-check", "--prefix", deleted.prefix, *given)
        when = f"{deleted.deleted_at:%Y-%m-%d %H:%M}"
        return NotRun(f"Stack {name} was deleted at {when} UTC. To look for the hooks that it left: {again}")
    again = command("rollcall", "uninstall-check", "--prefix", DEFAULT_PREFIX, *given)
    return NotRun(
        f"{error}\nIf it was deleted, look for the hooks that it left: {again}\n"
        f"({DEFAULT_PREFIX} is the default: put your own there if it was deployed with another HookPrefix.){unknown}"
    )


@dataclass(frozen=True, order=True)
class HeldBy:
    """A hook that the stack answers. abandoned: instances that AWS would abandon if it were deleted now, or soon."""

    group: str
    hook: str
    abandoned: tuple[str, ...] = ()


def hooks_of(answerer: Answerer, report: Callable[[str], None]) -> Iterator[HeldBy]:
    """Every hook that the stack answers."""
    client = boto3.client("autoscaling", config=PATIENT)
    for page in client.get_paginator("describe_auto_scaling_groups").paginate():
        for group in page["AutoScalingGroups"]:
            report(f"reading the hooks of {group['AutoScalingGroupName']}")
            state = state_of(client, group, moment_of(page))
            bound = tuple(state.bound_for_hooks(Transition.LAUNCHING))
            for hook in state.own_hooks(answerer):
                yield HeldBy(state.name, hook.name, bound if hook.launching else ())


def uninstall_check(
    stack: Stack = DEFAULT_STACK,
    prefix: Annotated[
        str | None, typer.Option(help="look for this hook prefix only, when the stack is gone already")
    ] = None,
    region: Region = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Groups that still have hooks which the stack answers: take these away before you delete it.

    Ends with 1 as long as there is such a hook.
    """
    connect(region, profile)
    given = Given(stack, region, profile)
    try:
        known = Answerer(prefix, frozenset()) if prefix else answerer_of(stack)[1]
    except NoStack as error:
        raise without_stack(error, stack, given.aws) from error
    try:
        with progress("reading the groups") as status:
            found = sorted(hooks_of(known, status.update))
    except (BotoCoreError, ClientError) as error:
        raise not_asked(error, "the groups and their hooks", NEEDED) from error
    if as_json:
        print_json({"hooks": [asdict(each) for each in found]})
    else:
        show(known, found, given, by_prefix=bool(prefix))
    return ExitCode.ACT if found else ExitCode.OK


def show(answerer: Answerer, found: list[HeldBy], given: Given, *, by_prefix: bool) -> None:
    """Prints the hooks, by group and name, with the commands that take them away."""
    if not found:
        others = "" if by_prefix else ", or one that notifies the stack's queues or a topic that it names"
        print(f"No group has a hook that begins with {answerer.prefix}{others}.")
        unseen = "of yours, or a queue of the stack" if by_prefix else "which the stack does not name"
        print(f"Not found: hooks that notify a topic {unseen}.")
        return
    names = sorted({each.group for each in found})
    print(f"{len(names)} group(s) still wait for Rollcall.")
    print(f"To delete a launch hook abandons the instances that it holds, or will in a moment: {_held(found)}.")
    if not by_prefix:
        print("Take the groups out before you delete the stack. This waits until no instance is held:")
        for name in names:
            print(f"  {command('rollcall', 'offboard', *given.rollcall, *operand(name))}")
        print("Or delete the hooks at once:")
    else:
        print("Delete the hooks:")
    for each in found:
        named = f"{_option('--auto-scaling-group-name', each.group)} {_option('--lifecycle-hook-name', each.hook)}"
        print(" ".join(filter(None, ["  aws autoscaling delete-lifecycle-hook", named, command(*given.aws)])))


def _held(found: list[HeldBy]) -> str:
    """How many instances would be abandoned now, and whose."""
    counts = {each.group: len(each.abandoned) for each in found if each.abandoned}
    return ", ".join(f"{count:,} in group {group!r}" for group, count in counts.items()) or "none now"


def _option(name: str, value: str) -> str:
    """An option of the AWS command line; a value that looks like another one stands behind an equals sign."""
    return f"{name}{'=' if value.startswith('-') else ' '}{in_single_quotes(value)}"
