"""What speaks against the version that a cycle is to bring, each with its remedy. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.groups import base_template
from rollcall.domain.objections import Objection
from rollcall.domain.shell_commands import command
from rollcall.workflow.preflight import no_version

from .request import RollBack
from .version_plan import running_versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.aws.group_details import GroupDetails

    from .preflight_input import PreflightInput
    from .version_plan import VersionPlan


def version_objections(given: PreflightInput, details: GroupDetails, version: VersionPlan) -> Iterator[Objection]:
    """What speaks against the group's launch template, and what becomes of its version."""
    request, template = given.request, base_template(details.configuration)
    if not template:
        if request.launch_template_version is not None:
            yield Objection(
                "launch configuration",
                "it has a launch configuration and no launch template, so it has no versions",
                "cycle it without a version, or give it a launch template",
            )
    elif given.own is None or given.target is None:
        yield from _not_there(given, details)
        return
    if details.is_attribute_based and given.own is not None and given.target is not None:
        yield from _attribute_based(given)
    if request.rollback == RollBack.ON and not version.rolls_back:
        why = version.no_rollback or "no other version than the group's is sent"
        may_pin = version.alias and not version.pin and not request.pin
        yield Objection(
            "rollback impossible",
            f"AWS cannot roll it back: {why}",
            f"cycle with {'--pin, or with ' if may_pin else ''}--on-failure auto or cancel (in input and tags: "
            f"{'pin=true, ' if may_pin else ''}rollback=auto or false), so that what fails is cancelled instead",
        )
    yield from _pin(given, details, version)


def _not_there(given: PreflightInput, details: GroupDetails) -> Iterator[Objection]:
    template = base_template(details.configuration)
    named = template.get("LaunchTemplateName") or template.get("LaunchTemplateId")
    if given.own is None:
        yield no_version(details)
    if given.target is None and given.request.launch_template_version is not None:
        yield Objection(
            "version",
            f"launch template {named} has no version {given.request.launch_template_version}",
            "name one that it has: "
            + command(
                *("aws", "ec2", "describe-launch-template-versions"),
                *(
                    ("--launch-template-id", str(template["LaunchTemplateId"]))
                    if template.get("LaunchTemplateId")
                    else ("--launch-template-name", str(named))
                ),
            ),
        )


def _attribute_based(given: PreflightInput) -> Iterator[Objection]:
    assert given.own is not None and given.target is not None  # noqa: S101, PT018 - the caller has looked
    if given.target.number != given.own.number or given.request.pin:
        yield Objection(
            "instance requirements",
            "AWS chooses its instance types by attributes (InstanceRequirements), and takes no desired configuration "
            "of such a group",
            "give the group the version first, then cycle it without one and without pin",
        )
    if given.request.skip_matching:
        yield Objection(
            "skip matching",
            "AWS chooses its instance types by attributes (InstanceRequirements), and skips no instances of such a "
            "group",
            "cycle with skip_matching=false",
        )


def _pin(given: PreflightInput, details: GroupDetails, version: VersionPlan) -> Iterator[Objection]:
    running = running_versions(details, version.template_id)
    if version.pin and len(running) > 1:
        yield Objection(
            "several versions",
            f"its instances run versions {', '.join(sorted(running))}: there is no one number to pin it to",
            "cycle it without pin, or first to the version that it is to have if that fails",
        )
