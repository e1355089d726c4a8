"""What in the group's launch template speaks against beginning a bake, each with its remedy. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rollcall.aws.image_uses import is_of_template
from rollcall.aws.template_users import TemplateUser
from rollcall.doctor.arn_patterns import arn_like
from rollcall.doctor.bake_findings import no_launch_template, template_not_allowed
from rollcall.doctor.unread_findings import listed
from rollcall.domain.bake_tags import TEMPLATE_ALLOWED, TEMPLATE_TAG
from rollcall.domain.groups import base_template
from rollcall.domain.objections import Objection
from rollcall.domain.shell_commands import command, options
from rollcall.domain.version_aliases import DEFAULT_VERSION, LATEST_VERSION
from rollcall.workflow.group_versions import configuration_with
from rollcall.workflow.preflight import no_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollcall.aws.group_details import GroupDetails
    from rollcall.aws.launch_templates import Template

    from .preflight_input import PreflightInput

ON_LATEST = "on $Latest"
CONFIGURATION_OPTIONS = {"LaunchTemplate": "--launch-template", "MixedInstancesPolicy": "--mixed-instances-policy"}


def template_objections(given: PreflightInput, details: GroupDetails) -> Iterator[Objection]:
    """What speaks against the group's launch template, its version there, and what else launches from it."""
    named = base_template(details.configuration)
    if not named:
        yield no_launch_template()
        return
    shown = named.get("LaunchTemplateName") or named.get("LaunchTemplateId")
    if given.template is None or given.version is None:
        yield no_version(details)
        return
    if given.own_version == LATEST_VERSION:
        yield Objection(
            ON_LATEST,
            "it launches the newest version of its launch template, and so would launch a bake's image before it is "
            "rolled out, or when that failed",
            f"set it to the number that $Latest stands for: {_numbered(details, given.version.number)}",
        )
    yield from _launched_by_others(given, details)
    tagged = given.template.tags.get(TEMPLATE_TAG) == TEMPLATE_ALLOWED
    if not tagged and not any(arn_like(each, given.template_arn) for each in given.bake.template_arns):
        yield template_not_allowed(given.template.id, str(shown))


def _numbered(details: GroupDetails, number: str) -> str:
    """The command that sets a group to a number of its launch template, and changes nothing else about it."""
    [(key, configuration)] = configuration_with(details.configuration, number).items()
    return command(
        *("aws", "autoscaling", "update-auto-scaling-group"),
        *options("--auto-scaling-group-name", [details.group.name]),
        *(CONFIGURATION_OPTIONS[key], json.dumps(configuration)),
    )


def _launched_by_others(given: PreflightInput, details: GroupDetails) -> Iterator[Objection]:
    """What else would launch the image before it is rolled out, or after that failed."""
    if given.template is None:
        return
    users = (*_overrides(details, given.template), *given.template_users)
    newest = [each.by for each in users if each.version == LATEST_VERSION]
    if newest:
        yield Objection(
            "others on $Latest",
            f"{listed(newest)} would launch the image before it is rolled out, or when that failed: the newest version "
            f"of launch template {given.template.name}",
            "set each to a number of it, or give it a launch template of its own",
        )
    default = [each.by for each in users if each.version == DEFAULT_VERSION]
    if default and _moves_default(given):
        yield Objection(
            "others on $Default",
            f"{listed(default)} would launch the image as soon as --pin moves the default version of launch template "
            f"{given.template.name}, which is before it is rolled out",
            "bake without --pin (tag: pin=false), or set each to a number of it",
        )


def _moves_default(given: PreflightInput) -> bool:
    """Whether the bake would move the template's default version."""
    return given.request.roll_out and given.request.pin and given.own_version == DEFAULT_VERSION


def is_refused(given: PreflightInput, override: Mapping[str, Any]) -> bool:
    """Whether an override of the group would launch the image too early, so that there is an objection to it."""
    version = _own_version(override, given.template) if given.template else ""
    return version == LATEST_VERSION or (version == DEFAULT_VERSION and _moves_default(given))


def _overrides(details: GroupDetails, template: Template) -> Iterator[TemplateUser]:
    """The group's own overrides that launch a version of the template."""
    for each in details.overrides:
        if version := _own_version(each, template):
            yield TemplateUser(f"the override for {each.get('InstanceType', 'some types')}", version)


def _own_version(override: Mapping[str, Any], template: Template) -> str:
    """The version of the template that an override launches; empty for none, and with an image of its own."""
    named = override.get("LaunchTemplateSpecification") or {}
    if override.get("ImageId") or not is_of_template(named, template.specification):
        return ""
    return str(named.get("Version") or DEFAULT_VERSION)
