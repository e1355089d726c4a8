"""What a launch action is, by what AWS shows of its instance and its group. classify() is pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.checks.registry import read_group_settings
from rollcall.domain.errors import BadSettings, InstanceNotVisible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.groups import Group, GroupSettings
    from rollcall.domain.instances import Instance
    from rollcall.domain.membership import Membership


class Gone(NamedTuple):
    """The instance is terminated or on its way there. unknown: neither EC2 nor Auto Scaling knows it."""

    action: LifecycleAction
    unknown: bool = False


class NotOptedIn(NamedTuple):
    """The group did not opt in, and the hook is none of ours."""

    action: LifecycleAction


class EntersWarmPool(NamedTuple):
    """The launch ends in the warm pool, and the hook holds the instance on its way there."""

    action: LifecycleAction


class NotPending(NamedTuple):
    """The instance is not on its way into service, or not any more. state: its lifecycle state."""

    action: LifecycleAction
    state: str


class ToBeRegistered(NamedTuple):
    """The instance belongs in Tower: it is pending, or in service already where no hook waits, or none may.

    instance: None while EC2 does not describe it.
    """

    action: LifecycleAction
    group: Group
    settings: GroupSettings
    instance: Instance | None


type Launch = Gone | NotOptedIn | EntersWarmPool | NotPending | ToBeRegistered


class AwsState(NamedTuple):
    """What AWS shows of the instances of a batch, by their ids, and of their groups, by name."""

    memberships: Mapping[str, Membership]
    groups: Mapping[str, Group]
    instances: Mapping[str, Instance]


def read_aws_state(fleet: Fleet, actions: Sequence[LifecycleAction]) -> AwsState:
    """What AWS shows now. Raises AwsUnavailable, AwsDenied, AwsRejected; InstancesRefused for some."""
    ids = {action.instance_id for action in actions}
    memberships = fleet.memberships(ids)
    groups = fleet.groups({action.group for action in actions})
    return AwsState(memberships, groups, fleet.instances(ids))


def classify(action: LifecycleAction, aws: AwsState, hook_prefix: str) -> Launch:
    """What one action is.

    hook_prefix: how the names of our hooks begin. Raises InstanceNotVisible while AWS does not show enough to decide,
    and BadSettings for a group whose tags cannot be read, or that has a hook of ours and did not opt in.
    """
    membership, instance = aws.memberships.get(action.instance_id), aws.instances.get(action.instance_id)
    if instance and not instance.living:
        return Gone(action)
    if membership is None:
        if instance is None and action.group not in aws.groups:
            return Gone(action, unknown=True)
        raise InstanceNotVisible(f"{action.instance_id} is not listed in group {action.group!r} yet")
    if membership.leaving or membership.retained:
        return Gone(action)
    if action.group not in aws.groups:
        raise InstanceNotVisible(f"group {action.group!r} is gone, and {action.instance_id} is still listed in it")
    group = aws.groups[action.group]
    settings = read_group_settings(group)
    if settings is None:
        _require_not_ours(action, hook_prefix)
        return NotOptedIn(action)
    if action.held_by_hook and membership.pooled and membership.held:
        return EntersWarmPool(action)
    if membership.entering or (membership.serving and not (action.held_by_hook and not settings.in_emergency)):
        return ToBeRegistered(action, group, settings, instance)
    return NotPending(action, membership.state)


def _require_not_ours(action: LifecycleAction, hook_prefix: str) -> None:
    """Raise BadSettings if a hook of ours holds the instance of a group that did not opt in."""
    if (action.hook or "").startswith(hook_prefix):
        raise BadSettings(
            f"group {action.group!r} has the hook {action.hook!r} but not the tag rollcall:inventory, so its "
            "instances wait in vain: add the tag, or delete the hook"
        )
