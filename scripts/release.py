"""Releases groups whose instances the provisioning circuit breaker holds.

Sets the group's tag rollcall:released to the present time: from then on it holds no instance for a job that
ended before. Exits with 0 when every group was released; with 2, and none released, if a group is not there or did not
opt in, or AWS cannot be reached. Uses the AWS credentials and the Region of the shell it runs in, which may call
autoscaling:DescribeAutoScalingGroups and autoscaling:CreateOrUpdateTags.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# A script needs nothing but its own repository.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "layers" / "common"))

from rollcall.domain.settings import MOMENT_FORMAT, OPT_IN_TAG, RELEASED_TAG

PATIENT = Config(retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=5, read_timeout=20)
WHAT_FOLLOWS = (
    "The provisioning circuit breaker holds no instance of it any more for a job that ended before. It takes effect "
    "within a minute. An instance that such a job failed on, or could not reach, is then handled as usual: tried "
    "again, abandoned, or held where the tag rollcall:on-failure says so."
)


class NotReleased(Exception):
    """Nothing was released. The text says why, and what to do."""


def main() -> int:
    """Releases the groups and says what that means. Returns the exit code."""
    names = list(dict.fromkeys(_parser().parse_args().group))
    try:
        moment = release(boto3.client("autoscaling", config=PATIENT), names)
    except NotReleased as error:
        print(error, file=sys.stderr)
        return 2
    except (BotoCoreError, ClientError) as error:
        print(
            f"AWS cannot be reached: {error}\nSet credentials and a Region (AWS_PROFILE, AWS_DEFAULT_REGION) that may "
            "call autoscaling:DescribeAutoScalingGroups and autoscaling:CreateOrUpdateTags.",
            file=sys.stderr,
        )
        return 2
    for name in names:
        print(f"group {name}: released at {moment} (tag {RELEASED_TAG})")
    print(WHAT_FOLLOWS)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--group", action="append", required=True, help="this Auto Scaling group; repeat for more")
    return parser


def release(client: Any, names: Collection[str]) -> str:
    """Releases all of the groups, or none; the moment that was set, as the tag has it.

    Raises NotReleased, and what boto3 raises.
    """
    answer = client.describe_auto_scaling_groups(AutoScalingGroupNames=list(names))
    tags = {each["AutoScalingGroupName"]: {tag["Key"] for tag in each["Tags"]} for each in answer["AutoScalingGroups"]}
    for name in names:
        if name not in tags:
            raise NotReleased(
                f"There is no Auto Scaling group {name!r} in this account and Region. Nothing was released: correct "
                "the name, upper and lower case, or the Region (AWS_DEFAULT_REGION)."
            )
        if OPT_IN_TAG not in tags[name]:
            raise NotReleased(
                f"Group {name!r} has no tag {OPT_IN_TAG}, so nothing of Rollcall's holds its instances. Nothing was "
                "released."
            )
    moment = _now(answer).strftime(MOMENT_FORMAT)
    client.create_or_update_tags(
        Tags=[
            {
                "ResourceType": "auto-scaling-group",
                "ResourceId": name,
                "Key": RELEASED_TAG,
                "Value": moment,
                "PropagateAtLaunch": False,
            }
            for name in names
        ]
    )
    return moment


def _now(answer: Any) -> datetime:
    """By AWS's clock: this computer's may be minutes behind, and would leave out the jobs of these minutes."""
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])


if __name__ == "__main__":
    sys.exit(main())
