"""What is asked of a bake: the input of its execution, with what it leaves out from the group's tags. Pure.

docs/reference has what each key means; an unknown one is refused, for a misspelled one would otherwise do harm.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rollcall.domain.bake_tags import BAKE_TAG
from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.domain.errors import BadSettings
from rollcall.workflow.options import (
    FLAG,
    GROUP,
    NEVER,
    Option,
    bad_word,
    choice,
    number_within,
    raise_all,
    read_input,
    read_words,
    text,
)
from rollcall.workflow.schedule import EVERY

from .tag import KEY_OF_TAG, parse_bake_tag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.domain.groups import Group

    from .tag import BakeTag

CURRENT = "current"  # as base image: that of the version which the group launches
PARAMETER = "ssm:"  # begins a base image that a parameter of Systems Manager names
KEEP_DEFAULT = 5  # images and versions
KEEP_MAX = 100  # of one group; far below what an account may have
REFERENCE_MAX = 512  # characters of a name in Tower (AWX API, name), as of a tag's value with an organization before it
IMAGE_FORM = re.compile(r"current|ami-[0-9a-f]{8,17}|ssm:/?[A-Za-z0-9_./-]{1,1011}", re.ASCII)
TYPE_FORM = re.compile(r"[a-z][a-z0-9-]{0,20}\.[a-z0-9-]{1,20}", re.ASCII)
PROFILE_FORM = re.compile(r"(arn:[\w-]+:iam::\d{12}:instance-profile/)?[\w+=,.@/-]{1,512}", re.ASCII)


class Smoke(StrEnum):
    """How an image is tried before it is rolled out."""

    BOOT = "boot"
    PROVISION = "provision"
    OFF = "off"


@dataclass(frozen=True)
class BakeRequest:
    """What is asked.

    base_image: "current", an image's id, or "ssm:" and the name of a parameter. job_template, inventory: names or ids
    in Tower, empty where neither input nor tag says them. instance_type: of the builder, None for the version's. keep:
    how many images and versions of the group stay. roll_out: whether the group is cycled to the image. only_if_new:
    whether nothing is baked where neither base image nor playbook project has changed. user_data: whether the builder
    gets the version's. instance_profile: of the builder, by name or ARN, empty for none. pin: whether the template's
    default version moves to the new one where the group is on $Default. dry_run: whether it ends before anything is
    touched.
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
        """All of it as input has it: what read_request reads as the same. What is not said is null."""
        return asdict(self) | {"job_template": self.job_template or None, "inventory": self.inventory or None}


# The values of keys


def _formed(form: re.Pattern[str], what: str) -> Option:
    def read(value: object) -> str:
        if not form.fullmatch(text(value)):
            raise ValueError(f"{value!r} is not formed so")
        return text(value)

    return Option(read, what)


def _reference(value: object) -> str:
    named = str(value) if isinstance(value, int) and not isinstance(value, bool) else text(value).strip()
    if not 0 < len(named) <= REFERENCE_MAX:
        raise ValueError("it is empty, or too long")
    return named


def _profile(value: object) -> str:
    if value != "" and not PROFILE_FORM.fullmatch(text(value)):
        raise ValueError(f"{value!r} is no instance profile")
    return text(value)


def _instance_type(value: object) -> str:
    if not TYPE_FORM.fullmatch(text(value)):
        raise ValueError(f"{value!r} is no instance type")
    return text(value)


REFERENCE = Option(_reference, "a name in Tower, org/name, an id, or id:N")
OPTIONS: Mapping[str, Option] = {
    "group": GROUP,
    "base_image": _formed(IMAGE_FORM, f"{CURRENT}, an image's id, or {PARAMETER}NAME of a parameter"),
    "job_template": REFERENCE,
    "inventory": REFERENCE,
    "instance_type": Option(_instance_type, "an instance type like m7i.large"),
    "keep": number_within(1, KEEP_MAX, "a whole number"),
    "roll_out": FLAG,
    "smoke": choice(Smoke),
    "only_if_new": FLAG,
    "user_data": FLAG,
    "instance_profile": Option(_profile, "an instance profile's name or ARN"),
    "pin": FLAG,
    "dry_run": FLAG,
}
KEY_OF_WORD = {  # of the tag rollcall:bake; the others have tags of their own, or are about one bake alone
    "smoke": "smoke",
    "type": "instance_type",
    "user-data": "user_data",
    "pin": "pin",
    "roll-out": "roll_out",
}


# Reading


def read_request(raw: object, tag: BakeTag | None, names: Mapping[str, str] = EMPTY_MAPPING) -> BakeRequest:
    """The input of an execution: what it does not say, or says null, the tags say, else the default.

    names: as read_input has it. Raises BadSettings naming the key, the value, and what is allowed; of a tag the group
    and the tag, too.
    """
    given = read_input("a bake", raw, OPTIONS, names)
    defaults = {} if tag is None else _of_tags(given["group"], tag)
    return BakeRequest(**{**defaults, **given})


def require_readable_tags(group: Group) -> BakeTag | None:
    """The tags of a group, all of their values read once; None without. Raises BadSettings."""
    tag = parse_bake_tag(group)
    if tag is not None:
        _of_tags(group.name, tag)
    return tag


def _of_tags(group: str, tag: BakeTag) -> dict[str, Any]:
    options = {word: OPTIONS[key] for word, key in KEY_OF_WORD.items()}
    allowed = f"{NEVER}, {EVERY}, {', '.join(KEY_OF_WORD)}"
    found: dict[str, Any] = {}
    errors: list[BadSettings] = []
    try:
        words = read_words(group, BAKE_TAG, tag.words, options, allowed)
        found = {KEY_OF_WORD[word]: value for word, value in words.items()}
    except BadSettings as error:
        errors.append(error)
    for name, value in tag.values.items():
        option = OPTIONS[KEY_OF_TAG[name]]
        try:
            found[KEY_OF_TAG[name]] = option.read(value)
        except (ValueError, KeyError):
            errors.append(bad_word(group, name, value, option.allowed))
    raise_all(errors, f"group {group!r}: ")
    return found
