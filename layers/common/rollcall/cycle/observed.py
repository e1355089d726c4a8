"""What AWS shows of a group while a cycle runs. Frozen data, and how it is put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.domain.groups import base_template
from rollcall.domain.lifecycle_states import Phase as LifecyclePhase
from rollcall.domain.lifecycle_states import phase_of
from rollcall.domain.version_aliases import DEFAULT_VERSION

if TYPE_CHECKING:
    from rollcall.aws.auto_scaling import Activity
    from rollcall.aws.group_details import GroupDetails, MemberDetails


class Member(NamedTuple):
    """An instance of a group or of its warm pool.

    version: the number of its launch template's version, of template_id; both empty where Auto Scaling shows none.
    launched, terminated: when Auto Scaling began with that since the cycle began, in epoch seconds, else None.
    came_through: when such a launch was through; None while it goes on, or is not shown yet.
    of_override: it is what an override of the mixed instances policy launches, which has a launch template of its own.
    """

    instance_id: str
    state: str
    version: str = ""
    template_id: str = ""
    launched: float | None = None
    terminated: float | None = None
    protected: bool = False
    of_override: bool = False
    came_through: float | None = None

    @property
    def lifecycle_phase(self) -> LifecyclePhase:
        """Where it is between its launch and its end."""
        return phase_of(self.state)

    @property
    def in_service(self) -> bool:
        """Whether it counts as one that serves."""
        return self.state == "InService"


class GroupNow(NamedTuple):
    """A group as AWS shows it now.

    health: by target group's ARN, the state of each member as a target. launched, terminated: instances with which it
    began that since the cycle began, by id, in epoch seconds; they may be gone by now. warmup: the group's own, in
    seconds, for instances that a refresh has launched.
    """

    desired: int
    members: tuple[Member, ...]
    health: Mapping[str, Mapping[str, str]]
    launched: Mapping[str, float]
    terminated: Mapping[str, float]
    launch_failure: str = ""
    taken: frozenset[str] = frozenset()
    warmup: int = 0


def group_now(details: GroupDetails, activity: Activity, health: Mapping[str, Mapping[str, str]]) -> GroupNow:
    """What these say of a group together."""
    members = tuple(
        Member(
            instance_id=each.instance_id,
            state=each.state,
            version=each.version,
            template_id=each.template_id,
            launched=activity.launched.get(each.instance_id),
            terminated=activity.terminated.get(each.instance_id),
            protected=each.protected,
            of_override=is_of_override(details, each),
            came_through=activity.came_through.get(each.instance_id),
        )
        for each in (*details.members, *details.pool)
    )
    return GroupNow(
        desired=details.desired,
        members=members,
        health=health,
        launched=activity.launched,
        terminated=activity.terminated,
        launch_failure=activity.launch_failure,
        taken=activity.taken,
        warmup=details.warmup,
    )


def is_of_override(details: GroupDetails, member: MemberDetails) -> bool:
    """Whether an instance is of an override's own launch template: a cycle changes only the version of the base."""
    base = base_template(details.configuration).get("LaunchTemplateId")
    return any(_is_of(each.get("LaunchTemplateSpecification") or {}, member, base) for each in details.overrides)


def _is_of(template: Mapping[str, Any], member: MemberDetails, base: str | None) -> bool:
    """Whether an instance is of a template. What an alias stands for is not known; of the base's it is not asked."""
    if not template or template.get("LaunchTemplateId") != member.template_id:
        return False
    version = str(template.get("Version") or DEFAULT_VERSION)
    return version == member.version or (version.startswith("$") and member.template_id != base)
