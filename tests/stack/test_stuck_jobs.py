"""Jobs that hang cost no instance its place, and end."""

from __future__ import annotations

from collections.abc import Callable

from lab.cloud import Cloud, Group, eventually
from lab.tower.embedded import HostRecord, Tower

type MakeGroup = Callable[..., Group]


def test_one_machine_on_which_a_job_hangs_does_not_hold_the_others(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    hanging: list[str] = []

    def hangs(host: HostRecord) -> bool:
        if host.inventory == name and not hanging:
            hanging.append(host.name)
        return host.name in hanging

    tower.hang_host(hangs)
    group = make_group(timeout="10")
    group.scale(3)
    eventually(lambda: [job.status for job in tower.jobs(name)][:1] == ["canceled"], "the job is cancelled")
    tower.heal_hosts()
    eventually(lambda: len(group.in_service()) == 3, "all serve")
    first, *others = tower.jobs(name)
    serving = group.in_service()
    assert [set(job.limit.split(",")) for job in (first, *others)] in (
        [serving, serving - {*hanging}, {*hanging}],
        [serving, {*hanging}, serving - {*hanging}],
    )
    said = cloud.alerts(group, f"job {first.id} is stuck")
    assert {line["instance_id"] for line in said} == serving
    assert len(said) == 3, "reported once of each instance"


def test_a_job_whose_instances_have_all_left_is_cancelled(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.hang_host(lambda host: host.inventory == name)
    group = make_group(size=2, timeout="3600")
    eventually(lambda: [job for job in tower.jobs(name) if job.status == "running"], "a job runs")
    group.scale(0)
    eventually(lambda: not group.states(), "both are gone")
    eventually(lambda: [job.status for job in tower.jobs(name)] == ["canceled"], "the job is cancelled")
    assert not cloud.alerts(group, "is stuck")
