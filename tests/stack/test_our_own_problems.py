"""Tower's trouble and ours: waited out, never held against an instance."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.cloud import Cloud, Group, eventually
from lab.tower.embedded import Tower

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
    eventually(lambda: not leaving & group.states().keys(), "the two are gone")
    eventually(group.in_service, "the new one serves")
    assert len({each.instance_id for each in group.transitions()}) == 3
    assert {host.name for host in tower.hosts(name)} == group.in_service()


def test_a_tower_that_hangs_lets_no_hook_time_out(make_group: MakeGroup, tower: Tower, name: str) -> None:
    group = make_group(size=1)
    (leaving,) = eventually(group.in_service, "in service")
    tower.hang(for_seconds=75)
    group.scale(0)
    eventually(lambda: group.states() == {leaving: "Terminating:Wait"}, "leaving")
    group.scale(1)
    eventually(lambda: leaving not in group.states(), "gone")
    eventually(group.in_service, "the new one serves")
    assert len({each.instance_id for each in group.transitions()}) == 2


@pytest.mark.story
def test_a_job_that_proves_nothing_is_run_again_and_nobody_is_abandoned(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.end_next_jobs("error")
    group = make_group(size=2)
    eventually(lambda: len(group.in_service()) == 2, "two in service")
    assert [job.status for job in tower.jobs(name)] == ["error", "successful"]
    assert len({each.instance_id for each in group.transitions()}) == 2
    assert cloud.alerts(group, "proved nothing")


def test_an_organization_without_room_lets_in_as_many_as_fit_and_the_rest_once_there_is_room(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    full = f"{name}-full"
    tower.add_organization(name, max_hosts=2)
    tower.add_inventory(full, name)
    tower.add_job_template(full, full)
    group = make_group(size=5, inventory=full, job_template=full)
    eventually(lambda: len(group.in_service()) == 2, "two are let in")
    waiting = {each for each, state in group.states().items() if state == "Pending:Wait"}
    assert len(waiting) == 3

    def refused() -> set[str]:
        lines = [line for line in cloud.log_lines("register") if line.get("error") == "HostLimitReached"]
        return {line["instance_id"] for line in lines if "raise its Max hosts" in line["message"]} & waiting

    eventually(lambda: refused() == waiting, "for the others the lack of room is logged")
    assert len(tower.hosts(full)) == 2
    tower.set_max_hosts(name, 0)
    eventually(lambda: len(group.in_service()) == 5, "all serve")
    assert {each.instance_id for each in group.transitions()} == group.in_service(), "none was abandoned"


def test_requests_that_are_too_large_for_a_proxy_are_cut_until_they_pass(
    make_group: MakeGroup, tower: Tower, name: str
) -> None:
    tower.forget_requests()
    tower.longest_body = 2500  # bytes; a host takes some 700
    try:
        group = make_group(size=8)
        eventually(lambda: len(group.in_service()) == 8, "all serve")
    finally:
        tower.longest_body = None
    created = [one.status for one in tower.requests("POST", "bulk/host_create")]
    assert set(created) <= {201, 413}
    assert created.count(201) >= 3
    assert {host.name for host in tower.hosts(name)} == group.in_service()


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
