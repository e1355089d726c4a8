"""The names of the executions of state machines: of cycles and bakes. Pure.

An execution of the same name is the same one: Step Functions starts no second one for 90 days (API reference,
StartExecution). So a name holds the group and what the execution is for, its key.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

GROUP_MAX = 40  # characters
HASH_LENGTH = 8  # hexadecimal digits
BAKE_ID_LENGTH = 12  # hexadecimal digits
KEY_MAX = 30  # characters; with the group, its hash and two hyphens 80: Step Functions' maximum
NOT_ALLOWED = re.compile(r"[^A-Za-z0-9_-]", re.ASCII)
BY_TAG = re.compile(r"sched-\d{4}-\d\d-\d\d|v\d+", re.ASCII)  # keys of those that a tag makes due
OF_BAKE = re.compile(rf"bake-[0-9a-f]{{{BAKE_ID_LENGTH}}}", re.ASCII)  # keys of cycles that roll out images
DRY_KEY = "dry-"  # begins the keys of dry runs: no other execution is to be taken for one
TIMESTAMP_FORMAT = "%Y%m%dT%H%M%S"  # in UTC


def execution_name(group: str, key: str) -> str:
    """The name of a group's execution with this key.

    A key that is too long, or holds what a name may not, gets a hash, so that two keys are never one name.
    """
    return name_prefix(group) + _cleaned_key(key)


def name_prefix(group: str) -> str:
    """What the names of all executions for a group begin with, and those of no other group."""
    return f"{NOT_ALLOWED.sub('-', group)[:GROUP_MAX]}-{_hash(group)}-"


def key_of(name: str, group: str) -> str:
    """The key in the name of a group's execution, as it is written there; empty if it is none of the group."""
    prefix = name_prefix(group)
    return name.removeprefix(prefix) if name.startswith(prefix) else ""


def schedule_key(day: date) -> str:
    """The key of what a schedule starts on a day of its time zone."""
    return f"sched-{day.isoformat()}"


def version_key(version: str) -> str:
    """The key of the cycle to a new version of the launch template."""
    return f"v{version}"


def bake_key(bake_id: str) -> str:
    """The key of the cycle that rolls out the image of a bake."""
    return f"bake-{bake_id}"


def cycle_of_bake(execution: str, started: float, group: str) -> str:
    """The name of the cycle by which a bake of a group rolls its image out. execution, started: as bake_id_of has."""
    return execution_name(group, bake_key(bake_id_of(execution, started)))


def bake_id_of(execution: str, started: float) -> str:
    """The id of the bake that an execution is. execution: its ARN. started: epoch seconds.

    The day is part of it, in UTC, for after 90 days a name may be used again, and with it the ARN.
    """
    day = datetime.fromtimestamp(started, UTC).date().isoformat()
    return sha256(f"{execution} {day}".encode()).hexdigest()[:BAKE_ID_LENGTH]


def timestamp_key(now: float) -> str:
    """The key of one that is for nothing else. now: epoch seconds."""
    return datetime.fromtimestamp(now, UTC).strftime(TIMESTAMP_FORMAT)


def is_scheduled(name: str, group: str) -> bool:
    """Whether a group's execution was started by its tag: by schedule, or for a new version."""
    return is_tag_key(key_of(name, group))


def is_tag_key(key: str) -> bool:
    """Whether a key is one of those that a tag starts; the commands take none of them for what they start."""
    return BY_TAG.fullmatch(key) is not None


def is_of_bake(name: str, group: str) -> bool:
    """Whether a group's execution is the cycle that rolls out the image of a bake."""
    return OF_BAKE.fullmatch(key_of(name, group)) is not None


def is_dry_run(name: str, group: str) -> bool:
    """Whether a group's execution changes nothing, by the key that the command gives it."""
    return key_of(name, group).startswith(DRY_KEY)


def _cleaned_key(key: str) -> str:
    cleaned = NOT_ALLOWED.sub("-", key)
    if cleaned == key and 0 < len(key) <= KEY_MAX:
        return key
    return f"{cleaned[: KEY_MAX - HASH_LENGTH - 1]}-{_hash(key)}"


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:HASH_LENGTH]
