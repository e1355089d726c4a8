"""Everything that speaks against beginning a bake, each with its remedy. Pure.

All of it is found at once. What speaks against the roll-out the pre-flight of its cycle finds: roll_out_preflight.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.aws.images import AVAILABLE
from rollcall.doctor.unread_findings import listed
from rollcall.domain.bake_tags import BAKE_TAG, BASE_TAG, TAG_EXAMPLE
from rollcall.domain.errors import BadSettings
from rollcall.domain.objections import Objection
from rollcall.domain.shell_commands import command, operand, options
from rollcall.workflow.preflight import subnet_objections

from .key_access import key_objections
from .launch_fields import security_groups
from .launching import permission_remedy
from .preflight_input import types_of_overrides
from .roll_out_preflight import WITHOUT
from .template_objections import template_objections
from .tower_objections import tower_objections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.aws.group_details import GroupDetails
    from rollcall.aws.images import Image

    from .preflight_input import PreflightInput

EXAMPLES = {"arm64": "t4g.small", "x86_64": "t3.small"}  # types by the architecture that they run
AMAZON = "amazon"  # owner alias of AWS's own images


def objections_to(given: PreflightInput, details: GroupDetails) -> Iterator[Objection]:
    """What speaks against it."""
    yield from _permitted(given, details)
    yield from _rolled_out(given)
    yield from template_objections(given, details)
    yield from _base(given)
    yield from _architectures(given, details)
    yield from _surroundings(given, details)
    yield from _trials(given)
    yield from tower_objections(given, details.group.name)
    for use in given.keys:
        yield from key_objections(use, given.role, details.service_role, given.bake.key_arns)


# Whether it may be


def _permitted(given: PreflightInput, details: GroupDetails) -> Iterator[Objection]:
    name = details.group.name
    if isinstance(given.tag, BadSettings):
        correct = f"correct each; {BAKE_TAG} is written like {TAG_EXAMPLE!r}"
        yield Objection("tags of bake", str(given.tag), correct)
    elif given.tag is not None and given.tag.never:
        yield Objection("forbidden", f"its tag {BAKE_TAG} says never", f"take the word out of {BAKE_TAG}, if it may be")
    if given.running:
        bakes = listed(given.running)
        watch, cancel = (command("rollcall", "bake", way, *operand(name)) for way in ("--watch", "--cancel"))
        remedy = f"wait for it: {watch}, or cancel it: {cancel}"
        yield Objection("bake running", f"bake {bakes} of this group goes on", remedy)


def _rolled_out(given: PreflightInput) -> Iterator[Objection]:
    if given.request.roll_out and not given.bake.cycles:
        yield Objection(
            "no cycles", "this stack has no cycles, which roll images out", f"deploy Cycles=true, or {WITHOUT}"
        )


# Images


def _base(given: PreflightInput) -> Iterator[Objection]:
    base = given.base
    if base is None:
        if given.denied and not given.base_named:
            yield Objection(
                "base image's parameter",
                f"bake may not read the parameter {listed(given.denied)}, which names the base image",
                "let a policy of yours on the role of BakeFunction permit ssm:GetParameters on it, for by itself it "
                "may read only AWS's own below /aws/service; or name an image by its id",
            )
        elif given.version is not None:
            yield Objection(
                "base image",
                f"base image {given.base_named or given.request.base_image} is not there, or not for this account",
                f"name one that is, with --base-image or the tag {BASE_TAG}",
            )
        return
    if base.state != AVAILABLE:
        yield Objection("base image", f"base image {base.id} is {base.state}", "name one that is available")
    trusted = (given.account, *given.bake.trusted_accounts)
    if base.owner_alias != AMAZON and base.owner not in trusted and base.owner_alias not in trusted:
        yield Objection(
            "base image's owner",
            f"base image {base.id} belongs to account {base.owner}, which is not trusted",
            f"name an image of your own or of Amazon's, or deploy with {base.owner} among TrustedImageAccounts",
        )
    if not base.root_device or not _has_root(base):
        yield Objection(
            "base image's root",
            f"base image {base.id} has no EBS root volume, and no image is made of another one",
            "name one that has",
        )


def _has_root(image: Image) -> bool:
    return any(each.get("DeviceName") == image.root_device and each.get("Ebs") for each in image.mappings)


def _architectures(given: PreflightInput, details: GroupDetails) -> Iterator[Objection]:
    if given.version is not None and not given.instance_type:
        yield Objection(
            "no instance type",
            "neither its version nor an override names an instance type that fits the base image",
            "name one with --instance-type (tag: type=TYPE)",
        )
    base = given.base
    if base is None or not base.architecture:
        return
    launched = _launched(given, details)
    unknown = sorted({each for each in (given.instance_type, *launched) if each and each not in given.types})
    if unknown:
        yield Objection(
            "instance types",
            f"instance types {listed(unknown)} are not offered in this Region",
            "correct the builder's, or the group's",
        )
    others = [each for each in launched if _is_of_another(given, each, base)]
    if given.instance_type not in others and _is_of_another(given, given.instance_type, base):
        example = f", such as {EXAMPLES[base.architecture]}," if base.architecture in EXAMPLES else ""
        yield Objection(
            "builder's architecture",
            f"base image {base.id} is {base.architecture}, and the builder's type {given.instance_type} is not",
            f"choose a type of that architecture{example} with --instance-type (tag: type=TYPE), or leave it out",
        )
    if others:
        yield Objection(
            "architecture",
            f"base image {base.id} is {base.architecture}, and {listed(others)} run another architecture",
            "name a base image of theirs; give overrides of another architecture a launch template of their own",
        )


def _launched(given: PreflightInput, details: GroupDetails) -> list[str]:
    """The types that the group launches with the image."""
    own = types_of_overrides(details) or ((given.version.instance_type,) if given.version else ())
    return sorted({each for each in own if each}) if given.request.roll_out else []


def _is_of_another(given: PreflightInput, instance_type: str, base: Image) -> bool:
    """Whether a type is known to run another architecture than the base image."""
    known = given.types.get(instance_type)
    return known is not None and base.architecture not in known


# Launches


def _surroundings(given: PreflightInput, details: GroupDetails) -> Iterator[Objection]:
    yield from subnet_objections(details, given.subnets)
    if given.subnets and not any(each.free for each in given.subnets.values()):
        yield Objection("free addresses", "its subnets have no free address for a builder", "free some")
    if not details.subnets:
        give = command(
            *("aws", "autoscaling", "update-auto-scaling-group"),
            *options("--auto-scaling-group-name", [details.group.name]),
            *("--vpc-zone-identifier", "SUBNETS"),
        )
        yield Objection(
            "no subnets", "it names no subnets, into one of which the builder goes", f"give it subnets: {give}"
        )
    wanted = security_groups(given.version.data) if given.version else ()
    absent = [each for each in wanted if each not in given.security_groups]
    if absent:
        yield Objection("security groups", f"security groups {listed(absent)} are not there", "correct its version")


def _trials(given: PreflightInput) -> Iterator[Objection]:
    """What EC2 refused to launch; that it refuses a type of another architecture is said already, as its own."""
    is_said = given.base is not None and _is_of_another(given, given.instance_type, given.base)
    for what, refusal in given.trials.items():
        if refusal.is_denial:
            on = f" on {refusal.resource}" if refusal.resource else ""
            missing = f"{refusal.action}{on}" if refusal.action else "ec2:RunInstances or ec2:CreateTags"
            yield Objection(
                f"permission for {what}",
                f"bake may not launch {what}: {missing} is missing. AWS says: {refusal.words}",
                permission_remedy(refusal),
            )
        elif not is_said:
            yield Objection(
                f"launch of {what}: {refusal.code}",
                f"EC2 would not launch {what}: {refusal.words}",
                "correct the version, the group, or what was asked for, as these words of AWS say",
            )
