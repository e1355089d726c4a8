"""What speaks against the launches of a cycle: addresses, what EC2 refuses, instances that are held. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.doctor.unread_findings import listed
from rollcall.domain.objections import Objection
from rollcall.domain.shell_commands import command, operand
from rollcall.workflow.preflight import subnet_objections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.aws.group_details import GroupDetails

    from .preflight_input import PreflightInput
    from .version_plan import VersionPlan

HELD_STATE = "Pending:Wait"
CALLERS_PERMISSIONS = "ec2:RunInstances, ec2:CreateTags or iam:PassRole"  # user guide, "Instance refresh", IAM


def launch_objections(
    given: PreflightInput, details: GroupDetails, version: VersionPlan, size: int
) -> Iterator[Objection]:
    """What would keep new instances from being launched, or from coming into service. size: of a batch."""
    yield from _addresses(given, details, size)
    for of, refusal in given.trials:
        if refusal.is_denial and version.configuration is None:
            continue  # AWS checks the caller's permissions only with a desired configuration; a warning says it
        if refusal.is_denial:
            on = f" on {refusal.resource}" if refusal.resource else ""
            missing = f"{refusal.action}{on}" if refusal.action else CALLERS_PERMISSIONS
            yield Objection(
                f"permission {refusal.action or 'to launch'}",
                f"Rollcall may not launch {of}, which AWS checks of who starts a refresh: {missing} is missing. AWS "
                f"says: {refusal.words}",
                _permission_remedy(refusal.action, refusal.resource),
            )
        else:
            yield Objection(
                f"launch: {refusal.code}",
                f"EC2 would not launch {of}: {refusal.words}",
                "correct the launch template, or the group, as these words of AWS say",
            )
    if held := _held(given, details):
        yield Objection(
            "instances held",
            f"held by its launch hook for longer than the tag rollcall:timeout gives them: {listed(held)}. New ones "
            "would be, too",
            "see why, and fix it: " + command("rollcall", "status", *operand(details.group.name)),
        )


def _permission_remedy(action: str, resource: str) -> str:
    if action == "iam:PassRole":
        return f"deploy with {resource or 'the role of the instance profile'} among PassableRoleArns"
    if action == "ssm:GetParameters":
        named = f"{resource or 'the parameter that names the image'}"
        return f"attach a policy to the stack's CycleRole that allows ssm:GetParameters on {named}"
    among = "deploy with the role of the launch template's instance profile among PassableRoleArns; if it is there, "
    return (
        f"{'' if action else among}see that the template's policies are as deployed, and that no policy of your "
        "organization, or of the key or image, denies it"
    )


def _addresses(given: PreflightInput, details: GroupDetails, size: int) -> Iterator[Objection]:
    if not details.subnets:
        return
    yield from subnet_objections(details, given.subnets)
    free = sum(each.free for each in given.subnets.values())
    if free < size:
        yield Objection(
            "free addresses",
            f"its subnets have {free} free addresses, and a batch takes {size} before any old instance goes",
            "cycle with a smaller batch, free addresses, or give the group another subnet",
        )


def _held(given: PreflightInput, details: GroupDetails) -> list[str]:
    """Instances that the launch hook holds although evidence against them would be final by now."""
    if given.settings is None:
        return []
    began = {each.instance_id: each.began for each in given.activities if each.is_launch}
    return [
        each.instance_id
        for each in details.members
        if each.state == HELD_STATE and given.now - began.get(each.instance_id, given.now) > given.settings.timeout
    ]
