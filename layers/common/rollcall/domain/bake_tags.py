"""The tags of bake: on groups what is asked, on what it makes, whose it is; and how its versions are described.

Permissions are given by MADE_BY: whatever has it, EC2 may let the bake function change (template.yaml).
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256

# Of groups; see bake/tag.py
BAKE_TAG = "rollcall:bake"
JOB_TEMPLATE_TAG = "rollcall:bake-job-template"
INVENTORY_TAG = "rollcall:bake-inventory"
BASE_TAG = "rollcall:bake-base"
KEEP_TAG = "rollcall:keep"  # of images and snapshots, too: what was asked for by the bake that made them
TAG_EXAMPLE = "every=sun-03:00@Europe/Berlin smoke=boot"  # a value of rollcall:bake
GROUP_TAGS = (BAKE_TAG, JOB_TEMPLATE_TAG, INVENTORY_TAG, BASE_TAG, KEEP_TAG)

# Of launch templates that bakes may add versions to
TEMPLATE_TAG = "rollcall:bake"
TEMPLATE_ALLOWED = "true"

# Of instances, volumes, images and snapshots that a bake makes
MADE_BY = "rollcall:made-by"
MADE_BY_BAKE = "rollcall bake"
BAKE_ID = "rollcall:bake-id"
BAKE_GROUP = "rollcall:bake-group"
BAKE_EXECUTION = "rollcall:bake-execution"  # the name of the execution of Bake
BAKE_ROLE = "rollcall:bake-role"  # of instances and their volumes: Role
BAKE_UNTIL = "rollcall:bake-until"  # of instances: when it is removed if it is still there, in MOMENT_FORMAT (settings)

# Of images and snapshots
BASE_IMAGE = "rollcall:base-image"
VERSION = "rollcall:version"  # the launch template's, as a number
FROM_VERSION = "rollcall:from-version"  # that the group launched when the bake began, as a number
PROJECT_REVISION = "rollcall:project-revision"
JOB = "rollcall:job"
SMOKE = "rollcall:smoke"  # SmokeOutcome
ROLL_OUT = "rollcall:roll-out"  # RollOutOutcome
DISABLED_AT = "rollcall:disabled-at"  # in MOMENT_FORMAT (settings)

BAKED = "rollcall bake"  # begins the description of versions that bake has made, and cycles to by itself


class Role(StrEnum):
    """What an instance that a bake launches is for."""

    BUILDER = "builder"
    SMOKE = "smoke"


class SmokeOutcome(StrEnum):
    """How an image did in its smoke test."""

    PASSED = "passed"
    FAILED = "failed"
    OFF = "off"


class RollOutOutcome(StrEnum):
    """How the roll-out of an image went."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ROLLED_BACK = "rolled back"
    ROLLED_BACK_BY_HAND = "rolled back by hand"  # by an operator, which says nothing against the image
    CANCELLED = "cancelled"  # nor does this
    NOT_STARTED = "not started"  # its cycle was refused, or could not be started: nor this
    NONE = "none"
    UNKNOWN = "unknown"  # its bake did not record it, and Step Functions does not know that any more: nor this


def version_description(bake_id: str, image: str) -> str:
    """The description of the launch template version of a bake. image: its id."""
    return f"{BAKED} {bake_id} {image}"


def launch_token(bake_id: str, role: str, subnet: str, image: str) -> str:
    """The token of a launch: the same bake launches one instance for a role in a subnet, however often it is tried.

    subnet, image: their ids. It has as many characters as RunInstances' ClientToken may, and EC2 shows it of the
    instance: what was launched without it is no bake's, whatever its tags.
    """
    return sha256(f"{bake_id} {role} {subnet} {image}".encode()).hexdigest()
