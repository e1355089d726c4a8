"""What goes wrong with single instances, and who is replaced for it."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest

from lab.cloud import Cloud, Group, eventually
from lab.tower.embedded import HostRecord, Tower
from lab.tower.plays import Playbook

type MakeGroup = Callable[..., Group]


@pytest.mark.story
def test_a_failed_host_in_a_batch_of_ten_is_replaced_and_the_nine_serve(
    make_group: MakeGroup, tower: Tower, name: str
) -> None:
    group = make_group()
    tower.fail_host(lambda host: host.inventory == name and is_first_of(tower, name, host))
    group.scale(10)
    eventually(lambda: len(group.in_service()) == 10, "ten in service")
    first = tower.jobs(name)[0]
    assert sorted(first.hosts.values()) == ["failed"] + ["ok"] * 9
    (failed,) = (host for host, outcome in first.hosts.items() if outcome == "failed")
    assert [each.state for each in group.transitions() if each.instance_id == failed].count("InService") == 0
    assert {host.name for host in tower.hosts(name)} == group.in_service()
    assert set(first.hosts) - {failed} <= group.in_service()


CUT_SHORT = {
    "shown by an event": (Playbook(fatal=True), 1),
    "shown by nothing": (Playbook(fatal=True), 0),
    "going on into always": (Playbook(fatal=True, always=True), 0),
    "in its first batch": (Playbook(serial=1), 0),
    "with one that runs for all": (Playbook(fatal=True, once=True, always=True, handler=True), 0),
}


@pytest.mark.parametrize(("playbook", "events"), CUT_SHORT.values(), ids=CUT_SHORT)
def test_nobody_serves_from_a_play_cut_short(
    make_group: MakeGroup, tower: Tower, name: str, playbook: Playbook, events: int
) -> None:
    group = make_group()
    tower.set_playbook(name, playbook)
    tower.cut_short(lambda host: host.inventory == name and playbook.fatal, events=events)
    tower.fail_host(lambda host: host.inventory == name and is_first_of(tower, name, host))
    group.scale(4)
    eventually(lambda: len(group.in_service()) == 4, "four in service")
    first, second, *_ = tower.jobs(name)
    assert first.cut_short
    assert not first.done
    (failed,) = (host for host, outcome in first.hosts.items() if outcome == "failed")
    assert set(second.limit.split(",")) == first.hosts.keys() - {failed}
    assert failed not in group.states()


def test_nobody_is_provisioned_twice_for_anothers_failure_once_there_is_a_good_job_to_compare_with(
    make_group: MakeGroup, tower: Tower, name: str
) -> None:
    tower.set_revision(name, "c0ffee")
    group = make_group(size=1)
    eventually(lambda: len(group.in_service()) == 1, "one in service")
    tower.set_playbook(name, Playbook(always=True))
    group.scale(2)
    eventually(lambda: len(group.in_service()) == 2, "two in service")
    before = {job.id for job in tower.jobs(name)}
    serving = group.in_service()
    tower.fail_host(lambda host: host.inventory == name and is_first_of(tower, name, host, but=serving))
    group.scale(7)
    eventually(lambda: len(group.in_service()) == 7, "seven in service")
    (first, *others) = (job for job in tower.jobs(name) if job.id not in before)
    assert sorted(first.hosts.values()) == ["failed"] + ["ok"] * 4
    assert all(not first.hosts.keys() & job.hosts.keys() for job in others)
    assert {host for host, outcome in first.hosts.items() if outcome == "ok"} <= group.in_service()


def test_machines_still_booting_are_tried_again_together(make_group: MakeGroup, tower: Tower, name: str) -> None:
    tower.set_boot_time(12)
    group = make_group(size=3)
    eventually(lambda: len(group.in_service()) == 3, "three in service")
    jobs = tower.jobs(name)
    assert [set(job.hosts.values()) for job in jobs] == [{"dark"}, {"ok"}]
    assert len({job.limit for job in jobs}) == 1
    assert len({each.instance_id for each in group.transitions()}) == 3


def test_a_machine_that_stays_dark_is_replaced_after_the_groups_timeout(
    make_group: MakeGroup, tower: Tower, name: str
) -> None:
    tower.dark_host(lambda host: host.inventory == name and is_first_of(tower, name, host))
    group = make_group(timeout="10")
    group.scale(2)
    eventually(lambda: len(group.in_service()) == 2, "two in service")
    (dark,) = {each.instance_id for each in group.transitions()} - group.in_service()
    assert {job.hosts[dark] for job in tower.jobs(name) if dark in job.hosts} == {"dark"}
    assert tower.host(dark) is None


def test_a_held_instance_waits_for_somebody_and_goes_on_when_its_job_is_run_again(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.fail_host(lambda host: host.inventory == name)
    group = make_group(on_failure="hold", size=1)
    eventually(lambda: cloud.alerts(group, "held for an operator"), "an operator is alerted")
    (instance_id,) = group.states()
    assert group.states() == {instance_id: "Pending:Wait"}
    tower.heal_hosts()
    tower.run_playbook(name, instance_id)
    eventually(group.in_service, "in service")
    assert group.in_service() == {instance_id}


@pytest.mark.story
def test_a_termination_that_overtakes_its_launch_leaves_no_host(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.set_boot_time(3600)
    group = make_group(size=1)
    eventually(lambda: tower.jobs(name), "a job")
    (instance_id,) = group.states()
    cloud.aws.client("ec2").terminate_instances(InstanceIds=[instance_id])
    group.scale(0)
    eventually(lambda: not group.states(), "gone")
    eventually(lambda: tower.hosts(name) == [], "no host is left")


def is_first_of(tower: Tower, inventory: str, host: HostRecord, but: Collection[str] = ()) -> bool:
    """Whether a host was the first ever in an inventory but for these, so that those which replace it are not."""
    lives = (life for life in tower.host_lives() if life.inventory == inventory and life.name not in but)
    return host.name == min(lives, key=lambda life: life.id).name
