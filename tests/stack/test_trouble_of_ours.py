"""Tower's trouble and ours: waited out, never held against an instance."""

from __future__ import annotations

from collections.abc import Callable

from lab.cloud import Cloud, Group, eventually
from lab.tower import Tower

type MakeGroup = Callable[..., Group]


def test_tower_away_for_a_while_churns_nothing_and_loses_nothing(
    make_group: MakeGroup, tower: Tower, name: str
) -> None:
    group = make_group(size=2)
    eventually(lambda: len(group.in_service()) == 2, "two in service")
    tower.refuse(for_seconds=60)
    leaving = set(group.states())
    group.scale(0)
    eventually(lambda: set(group.states().values()) == {"Terminating:Wait"}, "both are leaving")
    group.scale(1)
    eventually(lambda: not leaving & group.states().keys(), "the two are gone", timeout=150)
    eventually(group.in_service, "the new one serves", timeout=120)
    assert len({each.instance_id for each in group.transitions()}) == 3
    assert {host.name for host in tower.hosts(name)} == group.in_service()


def test_a_tower_that_hangs_lets_no_hook_time_out(make_group: MakeGroup, tower: Tower, name: str) -> None:
    group = make_group(size=1)
    (leaving,) = eventually(group.in_service, "in service")
    tower.hang(for_seconds=75)
    group.scale(0)
    eventually(lambda: group.states() == {leaving: "Terminating:Wait"}, "leaving")
    group.scale(1)
    eventually(lambda: leaving not in group.states(), "gone", timeout=150)
    eventually(group.in_service, "the new one serves", timeout=120)
    assert len({each.instance_id for each in group.transitions()}) == 2


def test_a_job_that_proves_nothing_is_run_again_and_nobody_is_abandoned(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.end_next_jobs("error")
    group = make_group(size=2)
    eventually(lambda: len(group.in_service()) == 2, "two in service")
    assert [job.status for job in tower.jobs(name)] == ["error", "successful"]
    assert len({each.instance_id for each in group.transitions()}) == 2
    assert cloud.alerts(group, "proved nothing")


def test_a_rotated_token_is_picked_up(make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str) -> None:
    group = make_group(size=1)
    eventually(group.in_service, "in service")
    tower.add_token("rotated")
    cloud.set_token("rotated")
    tower.revoke_token(tower.token)
    try:
        group.scale(0)
        eventually(lambda: not group.states(), "gone")
        assert tower.hosts(name) == []
    finally:
        tower.add_token(tower.token)
        cloud.set_token(tower.token)
