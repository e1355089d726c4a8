"""Which version a cycle brings, and how: sent as a desired configuration or not, pinned before, rolled back. Pure.

A group is on a number of its launch template, or on an alias of one: $Latest or $Default. One on an alias keeps it: no
configuration is sent where the alias stands for the target already, for AWS saves the group with the number of one that
is (API reference, DesiredConfiguration). AWS rolls back no refresh without a desired configuration, of a group on an
alias, or of one whose image is a parameter of Systems Manager (API reference, AutoRollback). Groups whose instance
types AWS chooses by attributes take neither a desired configuration nor skip matching (user guide, "Instance refresh").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.domain.groups import base_template
from rollcall.domain.version_aliases import DEFAULT_VERSION
from rollcall.workflow.group_versions import configuration_with, own_version

from .preferences import wants_rollback
from .preflight_input import replaceable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.aws.group_details import GroupDetails
    from rollcall.aws.launch_templates import TemplateVersion

    from .preflight_input import PreflightInput


class VersionPlan(NamedTuple):
    """What becomes of the group's version.

    template_id: empty for a group with a launch configuration. target: the number that its instances run in the end.
    before: what is gone back to: of a group on another number that one, else what most of them run. others: what some
    of them run beside before and target. alias: on which the group is, empty for a number. pin: the number
    to which it is set first, empty for none. configuration: the desired one, None where none is sent. no_rollback: why
    AWS cannot roll back, empty if it can. skips_matching: instances that have the version stay.
    """

    template_id: str = ""
    target: str = ""
    before: str = ""
    others: tuple[str, ...] = ()
    alias: str = ""
    pin: str = ""
    configuration: Mapping[str, Any] | None = None
    no_rollback: str = ""
    rolls_back: bool = False
    skips_matching: bool = False


def running_versions(details: GroupDetails, template_id: str) -> list[str]:
    """The versions of a template that the group's instances run, that of most of them first."""
    versions = Counter(each.version for each in replaceable(details) if each.template_id == template_id)
    return [version for version, _ in sorted(versions.items(), key=lambda each: (-each[1], each[0])) if version]


class VersionsLeft(NamedTuple):
    """What a group is left with. runs: how many of its instances run each version of its template, "" for others.

    launches: the version of which it launches the next instance, as the group has it: a number, or an alias. number:
    what that is now; empty where it is not there.
    """

    runs: Mapping[str, int]
    launches: str
    number: str


def running_counts(details: GroupDetails) -> dict[str, int]:
    """How many instances of a group run each version of its launch template; of other templates under ""."""
    own = base_template(details.configuration).get("LaunchTemplateId")
    return dict(Counter(each.version if each.template_id == own else "" for each in replaceable(details)))


def version_plan(given: PreflightInput, details: GroupDetails) -> VersionPlan:
    """What becomes of the version of a group; of one without a launch template, or without the target, nothing."""
    request, own, target = given.request, given.own, given.target
    if own is None or target is None:
        return VersionPlan(skips_matching=bool(request.skip_matching))
    running = running_versions(details, own.template_id)
    alias = own_version(details) if own_version(details).startswith("$") else ""
    runs = running[0] if running else own.number
    may_change = not details.is_attribute_based
    pin = runs if request.pin and alias and may_change and runs != target.number else ""
    changes = may_change and target.number != (pin or own.number)
    configuration = configuration_with(details.configuration, target.number) if changes else None
    why_not = next(_against_rollback(details, own, target, alias=alias, pin=pin, changes=changes), "")
    names_another = request.launch_template_version is not None and target.number != own.number
    skips = names_another if request.skip_matching is None else request.skip_matching
    before = runs if alias or target.number == own.number else own.number
    return VersionPlan(
        template_id=own.template_id,
        target=target.number,
        before=before,
        others=tuple(each for each in running if each not in (before, target.number)),
        alias=alias,
        pin=pin,
        configuration=configuration,
        no_rollback=why_not,
        rolls_back=wants_rollback(request.rollback, possible=not why_not, differs=changes),
        skips_matching=skips and may_change,
    )


def _against_rollback(
    details: GroupDetails, own: TemplateVersion, target: TemplateVersion, *, alias: str, pin: str, changes: bool
) -> Iterator[str]:
    if alias and not pin:
        yield f"the group is on {alias}, and is not pinned"
    if not changes:
        yield "no other version than the group's is sent"
    if own.names_image_by_parameter or target.names_image_by_parameter:
        yield "the image is named by a parameter of Systems Manager"
    for each in details.overrides:
        template = each.get("LaunchTemplateSpecification")
        if template and str(template.get("Version") or DEFAULT_VERSION).startswith("$"):
            yield f"the override for {each.get('InstanceType', 'a type')} is on {template.get('Version', 'an alias')}"
