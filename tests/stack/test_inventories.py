"""Inventories as people and AWX's own sources leave them: read-only ones, copies, renamed and disabled hosts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.cloud import Cloud, Group, eventually
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]


def in_service(group: Group) -> str:
    [instance_id] = eventually(group.in_service, "in service")
    return str(instance_id)


def test_a_host_in_an_inventory_that_may_only_be_read_keeps_no_termination_and_is_reported_once(
    all_ec2: str, make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    group = make_group(size=2)
    leaving = sorted(eventually(lambda: group.in_service() if len(group.in_service()) == 2 else None, "in service"))
    for each in leaving:
        tower.add_host(all_ec2, f"ec2-{each}.compute.amazonaws.com", instance_id=each)
    group.scale(0)
    eventually(lambda: not group.states(), "gone")
    assert tower.hosts(name) == []
    assert len(tower.hosts(all_ec2)) == 2
    said = [line for line in cloud.log_lines("cleanup") if all_ec2 in line["message"] and line.get("alert")]
    assert {line["group"] for line in said} == {group.name}
    assert sorted(line["instance_id"] for line in said) == leaving
    assert "may only read" in said[0]["message"]
    assert "let the token's user administer this inventory" in said[0]["message"]


def test_a_copied_inventory_is_reported_once_changed_by_no_run_and_emptied_as_instances_go(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    group = make_group(size=2)
    serving = eventually(lambda: group.in_service() if len(group.in_service()) == 2 else None, "in service")
    tower.copy_inventory(name, f"{name}-copy")
    before = [(host.name, host.text) for host in tower.hosts(f"{name}-copy")]
    answer = cloud.reconcile(groups=[group.name])
    assert answer["steps"] == []
    assert [(each["kind"], each["inventory"]) for each in answer["findings"]] == [("copy", f"{name}-copy")]
    assert [(host.name, host.text) for host in tower.hosts(f"{name}-copy")] == before
    group.scale(1)
    eventually(lambda: len(group.states()) == 1, "one is gone")
    assert {host.name for host in tower.hosts(f"{name}-copy")} == {host.name for host in tower.hosts(name)} < serving


@pytest.mark.parametrize("spoiled", ["renamed", "disabled"])
def test_a_host_that_no_job_reaches_is_held_with_the_reason_and_goes_on_once_it_is_put_right(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, spoiled: str
) -> None:
    tower.set_job_time(4, name)
    group = make_group(size=1)
    eventually(lambda: tower.hosts(name), "a host")
    [host] = tower.hosts(name)
    eventually(lambda: tower.jobs(name), "a job")
    tower.dark_host(lambda each: each.inventory == name)
    if spoiled == "renamed":
        tower.rename_host(host.name, name, "web-1.example.org")
    else:
        tower.edit_host(host.name, name, enabled=False)
    words = {"renamed": "no limit matches it", "disabled": "its host in inventory"}[spoiled]
    eventually(lambda: cloud.alerts(group, words), "the reason is reported")
    jobs = len(tower.jobs(name))
    tower.heal_hosts()
    if spoiled == "renamed":
        tower.rename_host("web-1.example.org", name, host.name)
    else:
        tower.edit_host(host.name, name, enabled=True)
    assert in_service(group) == host.name
    assert len(tower.jobs(name)) <= jobs + 1
