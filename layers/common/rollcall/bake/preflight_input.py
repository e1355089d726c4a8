"""What pre-flight of a bake judges: the group and what is around it, as observer.py read it. Frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollcall.workflow.group_versions import own_version

from .roll_out_preflight import RollOutPreflight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.aws.group_details import GroupDetails
    from rollcall.aws.images import Image
    from rollcall.aws.launch_surroundings import Subnet
    from rollcall.aws.launch_templates import LaunchRefusal, Template, TemplateVersion
    from rollcall.aws.template_users import TemplateUser
    from rollcall.domain.bake_settings import BakeSettings
    from rollcall.domain.errors import BadSettings
    from rollcall.domain.groups import GroupSettings
    from rollcall.domain.inventories import Inventory
    from rollcall.domain.jobs import JobTemplate, LaunchTerms, Project

    from .due import Baked
    from .key_access import KeyUse
    from .request import BakeRequest
    from .tag import BakeTag


@dataclass(frozen=True)
class TowerInput:
    """What Tower shows. template, inventory: what is named, the error of what cannot be found, None for nothing named.

    provisioning: the group's provisioning template, None without; retire: its retire template, likewise, or the error.
    of_groups: the ids of the inventories of all groups. project: None where it is not known; unread: why not.
    """

    template: JobTemplate | BadSettings | None = None
    terms: LaunchTerms | None = None
    inventory: Inventory | BadSettings | None = None
    may_change: bool = True
    provisioning: JobTemplate | None = None
    retire: JobTemplate | BadSettings | None = None
    of_groups: frozenset[int] = frozenset()
    project: Project | None = None
    unread: str = ""


@dataclass(frozen=True)
class PreflightInput:
    """All that was read. now: when, in epoch seconds.

    tag: None for a group without any of the tags, or the error of one that cannot be read. running: other bakes of
    the group. cycles: of its cycles those that run. roll_out: what the cycle that rolls the image out objects to,
    nothing where none is to. details: None where there is no such group; then the rest is as if there was nothing.
    settings: None for a group that did not opt in, or whose tags cannot be read. version: what the group launches;
    template: its launch template; None where they are not there, or it has none. template_users: what else launches
    from that, beside this group. template_arn: of that. previous: the version's image. base: the image to begin with,
    None if it is not there; base_named: its id, or what was to name one. denied: parameters of Systems Manager that may
    not be read. instance_type: the builder's, empty where none is known. types: architectures by the name of each type
    that matters. security_groups: those that are there. trials: dry runs that EC2 refused, by what would have been
    launched. keys: of the volumes, and of the base image. default_key_unread: why it could not be read which key the
    account uses where none is named, empty if it was, or does not matter; source_key_unread: likewise, which one the
    base image is encrypted with. role: the ARN of bake's. last: what the last bake that went well began with.
    """

    request: BakeRequest
    bake: BakeSettings
    account: str
    now: float
    tag: BakeTag | BadSettings | None = None
    running: tuple[str, ...] = ()
    cycles: tuple[str, ...] = ()
    roll_out: RollOutPreflight = field(default_factory=RollOutPreflight)
    details: GroupDetails | None = None
    settings: GroupSettings | None = None
    version: TemplateVersion | None = None
    template: Template | None = None
    template_users: tuple[TemplateUser, ...] = ()
    template_arn: str = ""
    previous: Image | None = None
    base: Image | None = None
    base_named: str = ""
    denied: tuple[str, ...] = ()
    instance_type: str = ""
    subnet: str = ""
    types: Mapping[str, frozenset[str]] = field(default_factory=dict)
    subnets: Mapping[str, Subnet] = field(default_factory=dict)
    security_groups: frozenset[str] = frozenset()
    trials: Mapping[str, LaunchRefusal] = field(default_factory=dict)
    tower: TowerInput = field(default_factory=TowerInput)
    keys: tuple[KeyUse, ...] = ()
    default_key_unread: str = ""
    source_key_unread: str = ""
    role: str = ""
    last: Baked | None = None

    @property
    def own_version(self) -> str:
        """The group's version as it is written there."""
        return own_version(self.details) if self.details else ""


def types_of_overrides(details: GroupDetails) -> tuple[str, ...]:
    """The instance types of a mixed policy's overrides that launch the version's image: none of their own."""
    return tuple(
        each["InstanceType"]
        for each in details.overrides
        if each.get("InstanceType") and not each.get("LaunchTemplateSpecification") and not each.get("ImageId")
    )
