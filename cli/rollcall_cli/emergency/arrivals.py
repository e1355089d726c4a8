"""Which instances came since an emergency began, by Auto Scaling's activities. Not whether they are proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rollcall.aws.auto_scaling import LAUNCHING
from rollcall_cli.stack import not_asked

ACTIVITIES_MAX = 1000  # of the newest; a group keeps six weeks of them
HELD_MAX = 172_800.0  # seconds: no hook holds an instance for longer (GlobalTimeout in the API reference)


@dataclass(frozen=True)
class Arrived:
    """Who came. complete: False where there are more activities than were read, so that some may be missed."""

    instance_ids: frozenset[str]
    complete: bool


def arrived_since(client: Any, group: str, since: float) -> Arrived:
    """The instances whose launch was not over before then, in epoch seconds; also those that began earlier, and waited.

    DescribeScalingActivities gives those in progress first, the others by their start (API reference). Raises NotRun.
    """
    found: set[str] = set()
    pages = client.get_paginator("describe_scaling_activities").paginate(
        AutoScalingGroupName=group, PaginationConfig={"MaxItems": ACTIVITIES_MAX, "PageSize": 100}
    )
    try:
        for page in pages:
            for raw in page["Activities"]:
                is_over = "EndTime" in raw
                if is_over and raw["StartTime"].timestamp() < since - HELD_MAX:
                    return Arrived(frozenset(found), complete=True)
                named = LAUNCHING.match(raw["Description"])
                if named and (not is_over or raw["EndTime"].timestamp() >= since):
                    found.add(named["id"])
    except (BotoCoreError, ClientError) as error:
        raise not_asked(error, f"the activities of group {group}") from error
    return Arrived(frozenset(found), complete=pages.resume_token is None)
