"""The same as onboard does, for those who keep their groups as code: commands, CloudFormation, Terraform. Pure."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import TYPE_CHECKING

from rollcall_cli.group_changes import PutHook, SetTags

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rollcall_cli.lifecycle_hooks import LifecycleHook

    from .plan import SettingUp


class Form(StrEnum):
    """What a plan is written for."""

    AWS = "aws"
    CLOUDFORMATION = "cloudformation"
    TERRAFORM = "terraform"


TWO_STEPS = (
    "Apply what stands under 1 first, and then what stands under 2. After the first good instance set "
    "rollcall:on-failure to abandon."
)


def snippet(form: Form, group: str, plan: SettingUp, given: Sequence[str] = ()) -> str:
    """The plan in that form, to be pasted; it says its order itself. given: options of commands of AWS's."""
    match form:
        case Form.AWS:
            return "\n".join(line for each in plan.changes for line in each.commands(group, given))
        case Form.CLOUDFORMATION:
            return _cloudformation(plan)
        case Form.TERRAFORM:
            return _terraform(group, plan)


def _cloudformation(plan: SettingUp) -> str:
    lines = [f"# {TWO_STEPS}", "# Properties of the AWS::AutoScaling::AutoScalingGroup:", "# 1"]
    lines += ["Tags:", *_yaml_tags(plan.before)]
    lines += ["LifecycleHookSpecificationList:", *(line for hook in _hooks(plan) for line in _yaml_hook(hook))]
    return "\n".join([*lines, "# 2: further tags", *_yaml_tags(plan.last)])


def _yaml_tags(changes: Iterable[object]) -> list[str]:
    return [
        f"  - {{ Key: {json.dumps(key)}, Value: {json.dumps(value, ensure_ascii=False)}, PropagateAtLaunch: false }}"
        for each in changes
        if isinstance(each, SetTags)
        for key, value in each.tags.items()
    ]


def _yaml_hook(hook: LifecycleHook) -> list[str]:
    return [
        f"  - LifecycleHookName: {hook.name}",
        f"    LifecycleTransition: {hook.transition}",
        f"    HeartbeatTimeout: {hook.heartbeat_timeout}",
        f"    DefaultResult: {hook.default_result}",
    ]


def _terraform(group: str, plan: SettingUp) -> str:
    lines = [f"# {TWO_STEPS}", "# 1: in the aws_autoscaling_group", *_terraform_tags(plan.before)]
    lines += ["# beside it", *(line for hook in _hooks(plan) for line in _terraform_hook(group, hook))]
    return "\n".join([*lines, "# 2: in the aws_autoscaling_group", *_terraform_tags(plan.last)])


def _terraform_tags(changes: Iterable[object]) -> list[str]:
    return [
        line
        for each in changes
        if isinstance(each, SetTags)
        for key, value in each.tags.items()
        for line in (
            "tag {",
            f"  key                 = {_hcl(key)}",
            f"  value               = {_hcl(value)}",
            "  propagate_at_launch = false",
            "}",
        )
    ]


def _terraform_hook(group: str, hook: LifecycleHook) -> list[str]:
    return [
        f'resource "aws_autoscaling_lifecycle_hook" "{re.sub("[^a-z0-9_]", "_", hook.name.lower())}" {{',
        f"  name                   = {_hcl(hook.name)}",
        f"  autoscaling_group_name = {_hcl(group)} # better: the group's own name attribute",
        f"  lifecycle_transition   = {_hcl(str(hook.transition))}",
        f"  heartbeat_timeout      = {hook.heartbeat_timeout}",
        f"  default_result         = {_hcl(str(hook.default_result))}",
        "}",
    ]


def _hooks(plan: SettingUp) -> list[LifecycleHook]:
    return [each.hook for each in plan.before if isinstance(each, PutHook)]


def _hcl(text: str) -> str:
    """A quoted string of HCL, in which ${ and %{ would begin a template."""
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
