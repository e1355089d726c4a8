"""Lists the Auto Scaling groups that still have lifecycle hooks which Rollcall answers.

Those are the hooks under the stack's prefix, and those that notify one of its queues. With Rollcall gone they would
never be answered: such a group could launch nothing, and would terminate each of its instances only after the hook's
timeout. Hooks that notify a topic of yours are not found. Exits with 1 as long as there is a hook, with 2 if AWS cannot
be reached. Uses the AWS credentials and the Region of the shell it runs in.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# How commands are written the functions' code says; a script that is called by its path has to find that by itself.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "layers" / "common"))

from rollcall.domain.shell_commands import in_single_quotes

PATIENT = Config(retries={"mode": "adaptive", "total_max_attempts": 5}, connect_timeout=5, read_timeout=20)


@dataclass(frozen=True)
class Stack:
    """What a stack's hooks are known by: their prefix, and the ARNs of its queues."""

    prefix: str
    queues: frozenset[str]


def read_stack(name: str) -> Stack:
    """A Rollcall stack's outputs. Raises ClientError if there is no such stack, KeyError if it is not Rollcall's."""
    (stack,) = boto3.client("cloudformation", config=PATIENT).describe_stacks(StackName=name)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    return Stack(outputs["HookPrefix"], frozenset({outputs["LaunchQueueArn"], outputs["TerminateQueueArn"]}))


def hooks_of(stack: Stack) -> Iterator[tuple[str, str]]:
    """Group and hook name of every hook that the stack answers."""
    client = boto3.client("autoscaling", config=PATIENT)
    for page in client.get_paginator("describe_auto_scaling_groups").paginate():
        for group in page["AutoScalingGroups"]:
            name = group["AutoScalingGroupName"]
            if sys.stderr.isatty():
                sys.stderr.write(f"\r  {name[:70]:70}")
            for hook in client.describe_lifecycle_hooks(AutoScalingGroupName=name)["LifecycleHooks"]:
                ours = hook["LifecycleHookName"].startswith(stack.prefix)
                if ours or hook.get("NotificationTargetARN") in stack.queues:
                    yield name, hook["LifecycleHookName"]
    if sys.stderr.isatty():
        sys.stderr.write("\r" + " " * 72 + "\r")


def main() -> int:
    """Prints the hooks with the commands that delete them. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--stack", default="rollcall", help="Rollcall's stack (%(default)s)")
    parser.add_argument("--prefix", help="look for this hook prefix only, when the stack is gone already")
    options = parser.parse_args()
    try:
        stack = Stack(options.prefix, frozenset()) if options.prefix else read_stack(options.stack)
        found = sorted(hooks_of(stack))
    except KeyError:
        print(f"Stack {options.stack} is not Rollcall's: name it with STACK=...", file=sys.stderr)
        return 2
    except (BotoCoreError, ClientError) as error:
        print(f"AWS cannot be reached: {error}", file=sys.stderr)
        print(
            "Set credentials and a Region (AWS_PROFILE, AWS_DEFAULT_REGION); name the stack with STACK=..., or if it "
            "is gone already the hooks' prefix with PREFIX=...",
            file=sys.stderr,
        )
        return 2
    if not found:
        others = "" if options.prefix else ", or one that notifies the stack's queues"
        print(f"No group has a hook that begins with {stack.prefix}{others}.")
        print(
            "Not found: hooks that notify a topic of yours" + (", or a queue of the stack." if options.prefix else ".")
        )
        return 0
    print(
        f"{len({group for group, _ in found})} group(s) still wait for Rollcall. Delete their hooks before the stack:"
    )
    for group, hook in found:
        named = f"{_option('--auto-scaling-group-name', group)} {_option('--lifecycle-hook-name', hook)}"
        print(f"  aws autoscaling delete-lifecycle-hook {named}")
    return 1


def _option(name: str, value: str) -> str:
    """An option of the AWS command line; a value that looks like another one stands behind an equals sign."""
    return f"{name}{'=' if value.startswith('-') else ' '}{in_single_quotes(value)}"


if __name__ == "__main__":
    sys.exit(main())
