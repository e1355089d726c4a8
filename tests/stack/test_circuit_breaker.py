"""The provisioning circuit breaker: what all instances of a group have in common must not churn the group."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.cloud import Cloud, Group, eventually
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]


def alerted_once_each(cloud: Cloud, group: Group, words: str) -> set[str]:
    """The instances of a group that the gate held with an alert; none of them with two."""
    lines = eventually(lambda: cloud.alerts(group, words), f"an alert: {words}")
    assert len(lines) == len({line["instance_id"] for line in lines})
    return {line["instance_id"] for line in lines}


def ever_in(group: Group) -> set[str]:
    return {each.instance_id for each in group.transitions()}


def test_a_group_is_held_after_three_failed_jobs_until_its_playbook_is_fixed(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.break_template(name)
    group = make_group(size=2)
    eventually(lambda: len([job for job in tower.jobs(name) if job.final]) >= 3, "three jobs failed")
    alerted_once_each(cloud, group, "the last 3 jobs failed on every instance of its group")
    instances = ever_in(group)
    tower.break_template(name, broken=False)
    eventually(lambda: len(group.in_service()) == 2, "in service once the playbook is fixed")
    assert ever_in(group) == instances, "the group churned"
    alerted_once_each(cloud, group, "the last 3 jobs failed on every instance of its group")


@pytest.mark.story
def test_one_failed_job_of_ten_instances_is_enough_and_the_command_releases_the_group(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.break_template(name)
    group = make_group(size=10)
    words = (
        "it failed on all 10 instances of its group: fix what they have in common, or release the group: rollcall rel"
    )
    eventually(lambda: len(cloud.alerts(group, words)) == 10, "ten alerts")
    assert alerted_once_each(cloud, group, words) == ever_in(group) == set(group.states())
    [job] = tower.jobs(name)
    assert len(job.hosts) == 10
    tower.break_template(name, broken=False)
    assert cloud.rollcall("release", "--group", group.name).returncode == 0
    cloud.aws.end_idle_environments()
    eventually(lambda: len(group.in_service()) == 10, "ten in service")


def test_while_no_instance_is_reached_all_are_held_and_the_first_that_is_ends_it(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.dark_host(lambda host: host.inventory == name)
    group = make_group(size=2, timeout="10")
    words = "no instance is reached"
    eventually(lambda: len(cloud.alerts(group, words)) == 2, "two alerts")
    assert alerted_once_each(cloud, group, words) == ever_in(group)
    tower.heal_hosts()
    eventually(lambda: len(group.in_service()) == 2, "two in service")
    assert ever_in(group) == group.in_service(), "the group churned"


def test_a_host_of_another_group_that_is_reached_shows_that_the_dark_ones_are_to_blame(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    one = make_group("-one", size=1)
    eventually(one.in_service, "one in service")
    other = make_group("-other", timeout="30")  # seconds, in which the other group's second is reached
    tower.dark_host(lambda host: other.name in host.groups)
    other.scale(2)
    dark = eventually(lambda: set(other.states()) if len(other.states()) == 2 else None, "two launched")
    one.scale(2)
    eventually(lambda: len(one.in_service()) == 2, "the second of the other group in service")
    eventually(lambda: not dark & set(other.states()), "the dark ones are replaced")
    assert not cloud.alerts(other, "no instance is reached")
    tower.heal_hosts()
    eventually(lambda: len(other.in_service()) == 2, "two in service")
