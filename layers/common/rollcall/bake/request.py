"""What is asked of a bake: the input of its execution, with what it leaves out from the group's tags. Pure.

docs/reference has what each key means; an unknown one is refused, for a misspelled one would otherwise do harm.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

CURRENT = "current"  # as base image: that of the version which the group launches
PARAMETER = "ssm:"  # begins a base image that a parameter of Systems Manager names
KEEP_DEFAULT = 5  # images and versions


class Smoke(StrEnum):
    """How an image is tried before it is rolled out."""

    BOOT = "boot"
    PROVISION = "provision"
    OFF = "off"


@dataclass(frozen=True)
class BakeRequest:
    """What is asked.

    base_image: "current", an image's id, or "ssm:" and the name of a parameter. job_template, inventory: names or ids
    in Tower. instance_type: of the builder, None for the version's. keep: how many images and versions of the group
    stay. roll_out: whether the group is cycled to the image. only_if_new: whether nothing is baked where neither base
    image nor playbook project has changed. user_data: whether the builder gets the version's. instance_profile: of the
    builder, by name or ARN, empty for none. pin: whether the template's default version moves to the new one where the
    group is on $Default. dry_run: whether it ends before anything is touched.
    """

    group: str
    base_image: str = CURRENT
    job_template: str = ""
    inventory: str = ""
    instance_type: str | None = None
    keep: int = KEEP_DEFAULT
    roll_out: bool = True
    smoke: Smoke = Smoke.BOOT
    only_if_new: bool = False
    user_data: bool = False
    instance_profile: str = ""
    pin: bool = False
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """All of it as input has it: what read_request reads as the same."""
        return asdict(self)
