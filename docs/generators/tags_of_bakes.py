"""reference/tags-bakes.md: the tags and the input of bakes, and the tags of what a bake makes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from rollcall.bake.request import KEY_OF_WORD, OPTIONS, read_request
from rollcall.bake.tag import KEY_OF_TAG
from rollcall.domain import bake_tags
from rollcall.workflow.schedule import SCHEDULE_FORM

from .markdown import NONE, code, codes, page, table

if TYPE_CHECKING:
    from collections.abc import Iterator

OF_BAKES = {  # the keys of a bake's input, with what each is about
    "group": "The Auto Scaling group.",
    "base_image": "What the builder is launched from. `current`: the image that the group launches now.",
    "job_template": "The job that makes the image of the builder. Required; not the group's provisioning template.",
    "inventory": "The Tower inventory in which the builder is a host. Required; no group's own.",
    "instance_type": "Of the builder. Without it: the launch template's.",
    "keep": "How many images and versions of the group stay. What a bake's input says holds between bakes, too, where "
    "the group has no such tag.",
    "roll_out": "Whether the group is cycled to the image.",
    "smoke": "How the image is tried before that: until EC2's status checks pass, by the group's provisioning job, or "
    "not.",
    "only_if_new": "Whether nothing is baked where neither the base image nor the project's revision has changed. A "
    "bake that a tag started is always like that.",
    "user_data": "Whether the builder gets the launch template's user data.",
    "instance_profile": "For the builder; its role has to be among `BakeRoleArns`.",
    "pin": "Whether the launch template's default version moves to the new one, of a group on `$Default`.",
    "dry_run": "Whether it ends before anything is launched.",
}
OF_WHAT_IS_MADE = [
    (bake_tags.MADE_BY, "instances, volumes, images, snapshots", f"`{bake_tags.MADE_BY_BAKE}`: Rollcall may delete it"),
    (bake_tags.BAKE_ID, "all of them", "which bake made it"),
    (bake_tags.BAKE_GROUP, "all of them", "for which group"),
    (bake_tags.BAKE_ROLE, "instances, volumes", codes(bake_tags.Role)),
    (bake_tags.BAKE_UNTIL, "instances", "when it is removed if it is still there"),
    (bake_tags.BAKE_EXECUTION, "all of them", "the execution of that bake"),
    (bake_tags.BASE_IMAGE, "images, snapshots", "the image that the bake began with"),
    (bake_tags.VERSION, "images, snapshots", "the launch template's version that launches it"),
    (bake_tags.KEEP_TAG, "images, snapshots", "how many were to stay; it holds where the group has no such tag"),
    (bake_tags.FROM_VERSION, "images, snapshots", "the version that the group launched when the bake began"),
    (bake_tags.PROJECT_REVISION, "images, snapshots", "of the Tower project whose playbook ran"),
    (bake_tags.JOB, "images, snapshots", "the Tower job that provisioned the builder"),
    (bake_tags.SMOKE, "images, snapshots", codes(bake_tags.SmokeOutcome)),
    (bake_tags.ROLL_OUT, "images, snapshots", codes(bake_tags.RollOutOutcome)),
    (bake_tags.DISABLED_AT, "images", "since when it is disabled"),
]
ABOUT = f"""\
How a group is [baked](../operate/bake.md), in a stack with `Bakes=true`. A bake's input overrides the group's tags.

The tag `{bake_tags.BAKE_TAG}` of a group holds words, separated by blanks:

- `never`: no bake of the group begins.
- `every=SCHEDULE`: one is due then, as in {SCHEDULE_FORM}.
- KEY=VALUE for the keys below, as the column *tag* writes them.

The same tag on a **launch template**, `{bake_tags.TEMPLATE_TAG}={bake_tags.TEMPLATE_ALLOWED}`, lets bakes make and
delete its versions.
"""
MADE = """\
## What a bake makes

These tags are written by bakes. A launch template's version cannot be tagged: its description names the bake and the
image.
"""


def write() -> str:
    """The page."""
    made = ((code(tag), on, meaning) for tag, on, meaning in OF_WHAT_IS_MADE)
    return page(
        "Tags of bakes",
        "bake/request.py and domain/bake_tags.py",
        ABOUT,
        table(["key", "tag", "meaning", "allowed", "default"], _rows()),
        MADE,
        table(["tag", "on", "value"], made),
    )


def _rows() -> Iterator[tuple[str, str, str, str, str]]:
    if OPTIONS.keys() != OF_BAKES.keys():
        raise ValueError(f"docs/generators/tags_of_bakes.py: say what this is: {OPTIONS.keys() ^ OF_BAKES.keys()}")
    defaults = read_request({"group": "web"}, None).to_json() | {"group": None}
    tags = {key: code(tag) for tag, key in KEY_OF_TAG.items()}
    tags |= {key: code(f"{word}=") for word, key in KEY_OF_WORD.items()}
    for key, option in OPTIONS.items():
        value = defaults[key]
        shown = NONE if value in (None, "") else code(json.dumps(value).strip('"'))
        words = option.allowed.split(", ")
        one_of = all(re.fullmatch(r"[a-z]+", each) for each in words)
        yield code(key), tags.get(key, ""), OF_BAKES[key], codes(words) if one_of else option.allowed, shown
