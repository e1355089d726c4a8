"""Lists the Auto Scaling groups that still have lifecycle hooks which Rollcall answers.

Those are the hooks under the stack's prefix, and those that notify one of its queues. With Rollcall gone they would
never be answered: such a group could launch nothing, and would terminate each of its instances only after the hook's
timeout. To delete a launch hook abandons the instances that it holds, so that these are counted. Hooks that notify a
topic of yours are not found.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import boto3
import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rollcall.domain.actions import Transition
from rollcall.domain.membership import Membership, holds
from rollcall.domain.shell_commands import command, in_single_quotes, operand, options
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.options import DEFAULT_STACK, AsJson, Profile, Region, connect
from rollcall_cli.options import Stack as StackOption
from rollcall_cli.running import NotRun
from rollcall_cli.screen import print_json, progress
from rollcall_cli.stack import NoStack, described, not_asked, not_rollcalls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

DEFAULT_PREFIX = "rollcall"  # the template's
NEEDED = "autoscaling:DescribeAutoScalingGroups and autoscaling:DescribeLifecycleHooks"
PATIENT = Config(retries={"mode": "adaptive", "total_max_attempts": 5}, connect_timeout=5, read_timeout=20)


@dataclass(frozen=True)
class Stack:
    """What a stack's hooks are known by: their prefix, and the ARNs of its queues."""

    prefix: str
    queues: frozenset[str]


def read_stack(name: str) -> Stack:
    """A Rollcall stack's outputs. Raises NotRun."""
    _, outputs = described(name)
    try:
        return Stack(outputs["HookPrefix"], frozenset({outputs["LaunchQueueArn"], outputs["TerminateQueueArn"]}))
    except KeyError as error:
        raise not_rollcalls(name) from error


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
    """A hook that the stack answers. abandoned: the instances that AWS would abandon if it were deleted now."""

    group: str
    hook: str
    abandoned: tuple[str, ...] = ()


def hooks_of(stack: Stack, report: Callable[[str], None]) -> Iterator[HeldBy]:
    """Every hook that the stack answers."""
    client = boto3.client("autoscaling", config=PATIENT)
    for page in client.get_paginator("describe_auto_scaling_groups").paginate():
        for group in page["AutoScalingGroups"]:
            name = group["AutoScalingGroupName"]
            report(f"reading the hooks of {name}")
            states = {each["InstanceId"]: Membership(name, each["LifecycleState"]) for each in group["Instances"]}
            waiting = tuple(sorted(each for each, known in states.items() if holds(known, Transition.LAUNCHING)))
            for hook in client.describe_lifecycle_hooks(AutoScalingGroupName=name)["LifecycleHooks"]:
                ours = hook["LifecycleHookName"].startswith(stack.prefix)
                if ours or hook.get("NotificationTargetARN") in stack.queues:
                    launching = hook["LifecycleTransition"] == Transition.LAUNCHING
                    yield HeldBy(name, hook["LifecycleHookName"], waiting if launching else ())


def uninstall_check(
    stack: StackOption = DEFAULT_STACK,
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
    try:
        known = Stack(prefix, frozenset()) if prefix else read_stack(stack)
    except NoStack as error:
        given = (*options("--region", [region] if region else []), *options("--profile", [profile] if profile else []))
        raise without_stack(error, stack, given) from error
    try:
        with progress("reading the groups") as status:
            found = sorted(hooks_of(known, status.update))
    except (BotoCoreError, ClientError) as error:
        raise not_asked(error, "the groups and their hooks", NEEDED) from error
    if as_json:
        print_json({"hooks": [asdict(each) for each in found]})
    else:
        show(known, found, by_prefix=bool(prefix))
    return ExitCode.ACT if found else ExitCode.OK


def show(stack: Stack, found: list[HeldBy], *, by_prefix: bool) -> None:
    """Prints the hooks, by group and name, with the commands that take them away."""
    if not found:
        others = "" if by_prefix else ", or one that notifies the stack's queues"
        print(f"No group has a hook that begins with {stack.prefix}{others}.")
        print("Not found: hooks that notify a topic of yours" + (", or a queue of the stack." if by_prefix else "."))
        return
    names = sorted({each.group for each in found})
    print(f"{len(names)} group(s) still wait for Rollcall.")
    print(f"To delete a launch hook abandons the instances that it holds: {_held(found)}.")
    if not by_prefix:
        print("Take the groups out before you delete the stack, which waits until no instance is held:")
        for name in names:
            print(f"  {command('rollcall', 'offboard', *operand(name))}")
        print("Or delete the hooks at once:")
    else:
        print("Delete the hooks:")
    for each in found:
        named = f"{_option('--auto-scaling-group-name', each.group)} {_option('--lifecycle-hook-name', each.hook)}"
        print(f"  aws autoscaling delete-lifecycle-hook {named}")


def _held(found: list[HeldBy]) -> str:
    """How many instances would be abandoned now, and whose."""
    counts = {each.group: len(each.abandoned) for each in found if each.abandoned}
    return ", ".join(f"{count:,} now in group {group!r}" for group, count in counts.items()) or "none now"


def _option(name: str, value: str) -> str:
    """An option of the AWS command line; a value that looks like another one stands behind an equals sign."""
    return f"{name}{'=' if value.startswith('-') else ' '}{in_single_quotes(value)}"
