"""Releases groups whose instances the provisioning circuit breaker holds.

Sets the group's tag rollcall:released to the present time: from then on it holds no instance for a job that
ended before.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError

from rollcall.aws.client import CLIENT_CONFIG
from rollcall.domain.settings import MOMENT_FORMAT, OPT_IN_TAG, RELEASED_TAG
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.options import AsJson, Profile, Region, connect
from rollcall_cli.running import NotRun
from rollcall_cli.scaling_group import as_tags, moment_of
from rollcall_cli.screen import print_json
from rollcall_cli.stack import not_asked

if TYPE_CHECKING:
    from collections.abc import Collection

NEEDED = "autoscaling:DescribeAutoScalingGroups and autoscaling:CreateOrUpdateTags"
WHAT_FOLLOWS = (
    "The provisioning circuit breaker holds no instance of it any more for a job that ended before. It takes effect "
    "within a minute. An instance that such a job failed on, or could not reach, is then handled as usual: tried "
    "again, abandoned, or held where the tag rollcall:on-failure says so."
)


def release(
    group: Annotated[list[str], typer.Option(metavar="NAME", help="this Auto Scaling group; repeat for more")],
    region: Region = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Let groups go that the provisioning circuit breaker holds; all of them, or none.

    Your credentials need autoscaling:DescribeAutoScalingGroups and autoscaling:CreateOrUpdateTags.
    """
    connect(region, profile)
    names = list(dict.fromkeys(group))
    try:
        moment = released(boto3.client("autoscaling", config=CLIENT_CONFIG), names)
    except (BotoCoreError, ClientError) as error:
        raise not_asked(error, "the groups", NEEDED) from error
    if as_json:
        print_json({"groups": names, "released_at": moment})
        return ExitCode.OK
    for name in names:
        print(f"group {name}: released at {moment} (tag {RELEASED_TAG})")
    print(WHAT_FOLLOWS)
    return ExitCode.OK


def released(client: Any, names: Collection[str]) -> str:
    """Releases all of the groups, or none; the moment that was set, as the tag has it.

    Raises NotRun, and what boto3 raises.
    """
    answer = client.describe_auto_scaling_groups(AutoScalingGroupNames=list(names))
    tags = {each["AutoScalingGroupName"]: {tag["Key"] for tag in each["Tags"]} for each in answer["AutoScalingGroups"]}
    for name in names:
        if name not in tags:
            raise NotRun(
                f"There is no Auto Scaling group {name!r} in this account and Region. Nothing was released: correct "
                "the name, upper and lower case, or the Region (--region)."
            )
        if OPT_IN_TAG not in tags[name]:
            raise NotRun(
                f"Group {name!r} has no tag {OPT_IN_TAG}, so nothing of Rollcall's holds its instances. Nothing was "
                "released."
            )
    # By AWS's clock: this computer's may be minutes behind, and would leave out the jobs of these minutes.
    moment = datetime.fromtimestamp(moment_of(answer), UTC).strftime(MOMENT_FORMAT)
    client.create_or_update_tags(Tags=[tag for name in names for tag in as_tags(name, {RELEASED_TAG: moment})])
    return moment
