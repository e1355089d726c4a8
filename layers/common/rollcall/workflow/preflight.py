"""What pre-flight of a cycle and of a bake object to alike, each with its remedy. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.doctor.unread_findings import listed
from rollcall.domain.groups import base_template
from rollcall.domain.objections import Objection

from .group_versions import own_version

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from rollcall.aws.group_details import GroupDetails
    from rollcall.domain.errors import BadSettings


def no_request(error: BadSettings) -> Objection:
    """The input of the execution is none."""
    return Objection("input", str(error), "start it again with what is allowed")


def no_group(name: str) -> Objection:
    """There is no such group."""
    return Objection(
        "no group",
        f"there is no Auto Scaling group {name!r} in this account and Region",
        "correct the name; write it as AWS does, upper and lower case",
    )


def no_version(details: GroupDetails) -> Objection:
    """The version that the group launches is not there."""
    template = base_template(details.configuration)
    shown = template.get("LaunchTemplateName") or template.get("LaunchTemplateId")
    return Objection(
        "launch template",
        f"version {own_version(details)} of its launch template {shown} is not there",
        "give the group a version that is there",
    )


def subnet_objections(details: GroupDetails, present: Collection[str]) -> Iterator[Objection]:
    """Subnets of the group that are not there. present: the ids of those that are."""
    if missing := [each for each in details.subnets if each not in present]:
        yield Objection(
            "subnets", f"its subnets {listed(missing)} are not there", "take them out of the group's subnets"
        )
