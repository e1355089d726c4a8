"""Which instances came since an emergency began: of these those count that nothing has proven.

As far as is known: Auto Scaling's activities say who came.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rollcall.aws.auto_scaling import LAUNCHING
from rollcall_cli.stack import not_asked

ACTIVITIES_MAX = 1000  # of the newest; a group keeps six weeks of them


def arrived_since(client: Any, group: str, since: float) -> set[str]:
    """The instances whose launch was not over before then, in epoch seconds. Raises NotRun."""
    found: set[str] = set()
    pages = client.get_paginator("describe_scaling_activities")
    limits = {"MaxItems": ACTIVITIES_MAX, "PageSize": 100}
    try:
        for page in pages.paginate(AutoScalingGroupName=group, PaginationConfig=limits):
            for raw in page["Activities"]:
                named = LAUNCHING.match(raw["Description"])
                if named and ("EndTime" not in raw or raw["EndTime"].timestamp() >= since):
                    found.add(named["id"])
    except (BotoCoreError, ClientError) as error:
        raise not_asked(error, f"the activities of group {group}") from error
    return found
