"""What hosts are added and changed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollcall.aws.fleet import Fleet
    from rollcall.tower.client import Tower

    from .inventory_groups import GroupIds
    from .new_host_user_data import NewHostUserData
    from .provision import JobLaunches


class ApplyContext(NamedTuple):
    """One for a run, so that nothing is looked up twice. in_time: whether another batch may be begun."""

    tower: Tower
    fleet: Fleet
    user_data: NewHostUserData
    group_ids: GroupIds
    job_launches: JobLaunches
    in_time: Callable[[], bool]
