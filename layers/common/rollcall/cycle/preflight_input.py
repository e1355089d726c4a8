"""What pre-flight judges: the group and what is around it, as observer.py read it. Frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.lifecycle_states import Phase, phase_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.aws.group_details import GroupDetails, MemberDetails
    from rollcall.aws.instance_refreshes import Refresh
    from rollcall.aws.launch_surroundings import PastActivity, Subnet
    from rollcall.aws.launch_templates import LaunchRefusal, TemplateVersion
    from rollcall.domain.errors import BadSettings
    from rollcall.domain.findings import Finding
    from rollcall.domain.groups import GroupSettings

    from .request import CycleRequest
    from .tag import CycleTag

REPLACEABLE = (Phase.ENTERING, Phase.SERVING, Phase.POOLED)


class LaunchTrial(NamedTuple):
    """A dry run of a launch that EC2 refused. of: what would have been launched where, in words."""

    of: str
    refusal: LaunchRefusal


class ActiveRefresh(NamedTuple):
    """The instance refresh of the group that goes on. cycle: the running cycle whose it is, empty for none of ours."""

    refresh: Refresh
    cycle: str = ""


@dataclass(frozen=True)
class PreflightInput:
    """All that was read. Times in epoch seconds.

    tag: None for a group without the tag rollcall:cycle, or the error of one that cannot be read. details: None where
    there is no such group; then the rest is as if there was nothing. settings: None for a group that did not opt in, or
    whose tags cannot be read. findings: doctor's that break launches of this group. hooks: doctor's, of hooks that are
    missing. bakes: those of the group that run, but for the one whose cycle this is. pin_runs: whether the cycle runs
    that has pinned the group; None if it is not pinned. own: the version that the group launches; target: the one it is
    to run; None where they are not there, or it has no launch template. trials: launches that EC2 refused. alarms:
    states of those that are there, by name. activities: the newest first.
    """

    request: CycleRequest
    execution: str
    now: float
    tag: CycleTag | BadSettings | None = None
    details: GroupDetails | None = None
    settings: GroupSettings | None = None
    findings: tuple[Finding, ...] = ()
    hooks: tuple[Finding, ...] = ()
    active: ActiveRefresh | None = None
    bakes: tuple[str, ...] = ()
    pin_runs: bool | None = None
    own: TemplateVersion | None = None
    target: TemplateVersion | None = None
    subnets: Mapping[str, Subnet] = field(default_factory=dict)
    trials: tuple[LaunchTrial, ...] = ()
    alarms: Mapping[str, str] = field(default_factory=dict)
    activities: tuple[PastActivity, ...] = ()


def replaceable(details: GroupDetails) -> list[MemberDetails]:
    """The instances of a group and its warm pool that are not on their way out."""
    return [each for each in (*details.members, *details.pool) if phase_of(each.state) in REPLACEABLE]
