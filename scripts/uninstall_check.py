"""Lists the Auto Scaling groups that still have lifecycle hooks under Rollcall's prefix.

With Rollcall gone nobody would answer those hooks: such a group could launch nothing, and would let each of its
instances go only after the hook's timeout. Exits with 1 as long as there is one. Uses the AWS credentials and the
Region of the shell it runs in.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PATIENT = Config(retries={"mode": "adaptive", "total_max_attempts": 5}, connect_timeout=5, read_timeout=20)


def hooks_under(prefix: str) -> Iterator[tuple[str, str]]:
    """Group and hook name of every hook whose name begins with the prefix."""
    client = boto3.client("autoscaling", config=PATIENT)
    for page in client.get_paginator("describe_auto_scaling_groups").paginate():
        for number, group in enumerate(page["AutoScalingGroups"], start=1):
            name = group["AutoScalingGroupName"]
            if sys.stderr.isatty():
                sys.stderr.write(f"\rlooking at group {number} of this page: {name[:50]:50}")
            for hook in client.describe_lifecycle_hooks(AutoScalingGroupName=name)["LifecycleHooks"]:
                if hook["LifecycleHookName"].startswith(prefix):
                    yield name, hook["LifecycleHookName"]


def main() -> int:
    """Prints the hooks with the commands that delete them; 0 if there are none, 1 if there are, 2 if AWS refused."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--prefix", default="rollcall", help="the stack's parameter HookPrefix (%(default)s)")
    prefix = parser.parse_args().prefix
    try:
        found = sorted(hooks_under(prefix))
    except (BotoCoreError, ClientError) as error:
        print(f"AWS cannot be asked: {error}", file=sys.stderr)
        return 2
    if sys.stderr.isatty():
        sys.stderr.write("\r" + " " * 90 + "\r")
    if not found:
        print(f"No group has a hook whose name begins with {prefix!r}: the stack can be deleted.")
        return 0
    print(f"{len({group for group, _ in found})} groups still wait for Rollcall. Delete their hooks before the stack:")
    for group, hook in found:
        print(
            "  aws autoscaling delete-lifecycle-hook "
            f"--auto-scaling-group-name '{group}' --lifecycle-hook-name '{hook}'"
        )
    return 1


if __name__ == "__main__":
    sys.exit(main())
