"""Jobs that Tower no longer has, and ids that name other jobs: what a restore from a backup leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lab.cloud import Cloud, Group, eventually
from lab.tower.embedded import JobRecord, Tower

type MakeGroup = Callable[..., Group]


@contextmanager
def restored_after(cloud: Cloud, tower: Tower, group: Group) -> Iterator[JobRecord]:
    """Launches an instance; its job has ended well when Tower is put back to before it was launched, but not before its
    host was made. The gate looks at it only after the block."""
    tower.refuse_some(1, 429, ["POST"], "/launch/")
    with cloud.paused("GateFunction"):
        group.scale(1)
        eventually(lambda: tower.requests("POST", "/launch/"), "a launch that has to wait")
        before = tower.back_up()
        tower.come_back()
        (lost,) = eventually(lambda: tower.jobs(group.name), "its job")
        lost = tower.wait_for_job(lost.id)
        assert lost.hosts == dict.fromkeys(group.states(), "ok")
        tower.restore(before)
        yield lost


def serving_after_another_job(group: Group, tower: Tower) -> str:
    """The instance of the group, in service only since a job of its template that is there had ended on it."""
    (instance_id,) = eventually(group.in_service, "another job provisioned it")
    (job,) = tower.jobs(group.name)
    assert job.hosts == {instance_id: "ok"}
    (entered,) = (each for each in group.transitions() if each.state == "InService")
    assert entered.time >= (job.finished or float("inf"))
    return str(instance_id)


def test_an_instance_whose_job_tower_no_longer_has_is_reported_once_and_gets_another(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.forget_requests()
    group = make_group()
    with restored_after(cloud, tower, group) as lost:
        assert not tower.jobs(name)
    words = f"job {lost.id}, which was launched for it, is not found in Tower any more"
    eventually(lambda: cloud.alerts(group, words), "it is reported")
    instance_id = serving_after_another_job(group, tower)
    assert [line["instance_id"] for line in cloud.alerts(group, "")] == [instance_id]


def test_a_job_of_another_template_under_the_id_of_the_one_that_was_lost_provisions_nobody(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.add_job_template(f"{name}-deploy", name)
    tower.forget_requests()
    group = make_group()
    with restored_after(cloud, tower, group) as lost:
        deploy = tower.wait_for_job(tower.run_playbook(f"{name}-deploy", lost.limit).id)
        assert (deploy.id, deploy.hosts) == (lost.id, lost.hosts)
    words = f"job {lost.id}, which was launched for it, is of another job template"
    eventually(lambda: cloud.alerts(group, words), "it is reported")
    instance_id = serving_after_another_job(group, tower)
    assert [line["instance_id"] for line in cloud.alerts(group, "")] == [instance_id]
