"""Instances that a job runs on before they go: it comes first, and nothing of it keeps them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from lab.cloud import Cloud, Group, eventually
from lab.tower.embedded import JobRecord, Tower

type MakeGroup = Callable[..., Group]


@pytest.fixture
def retire(tower: Tower, make_group: MakeGroup, name: str) -> str:
    """The name of a job template that retires instances."""
    tower.add_job_template(f"{name}-retire", name)
    return f"{name}-retire"


def serving(group: Group, size: int) -> set[str]:
    """The instances of a group, once so many are in service."""
    group.scale(size)
    return set(eventually(lambda: len(group.in_service()) == size and group.in_service(), f"{size} in service"))


def left_at(group: Group, instance_id: str) -> float:
    """When the termination of an instance went on, in epoch seconds."""
    (entered,) = (
        each.time
        for each in group.transitions()
        if (each.instance_id, each.state) == (instance_id, "Terminating:Proceed")
    )
    return entered


def removed_at(tower: Tower, instance_id: str) -> float:
    (life,) = (each for each in tower.host_lives() if each.name == instance_id)
    assert life.removed
    return life.removed


def ran_on(tower: Tower, template: str) -> Counter[str]:
    """On how many jobs of a template each host was worked on."""
    return Counter(host for job in tower.jobs(template) for host in job.hosts)


def running(tower: Tower, template: str) -> list[JobRecord]:
    return [job for job in tower.jobs(template) if job.status == "running"]


@pytest.mark.story
def test_those_that_leave_are_retired_together_and_their_hosts_stay_until_then(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, retire: str
) -> None:
    tower.set_job_time(3, retire)
    group = make_group(retire_job_template=retire)
    before = serving(group, 3)
    group.scale(1)
    eventually(lambda: len(group.states()) == 1, "two are gone")
    leaving = before - group.states().keys()
    (job,) = tower.jobs(retire)
    assert job.hosts == dict.fromkeys(leaving, "ok")
    assert set(job.limit.split(",")) == leaving
    for each in leaving:
        assert job.finished
        assert job.finished < removed_at(tower, each) < left_at(group, each)
    assert not cloud.alerts(group, "")


def test_an_instance_on_which_the_job_fails_goes_and_an_operator_is_alerted(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, retire: str
) -> None:
    group = make_group(retire_job_template=retire)
    (leaving,) = serving(group, 1)
    tower.fail_host(leaving)
    group.scale(0)
    eventually(lambda: not group.states(), "gone")
    (job,) = tower.jobs(retire)
    (alert,) = cloud.alerts(group, f"retire job {job.id} (failed) failed on it")
    assert alert["instance_id"] == leaving


def test_a_job_that_never_ends_is_cancelled_and_no_hook_times_out_meanwhile(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, retire: str
) -> None:
    tower.set_job_time(3600, retire)
    group = make_group(retire_job_template=retire, timeout="40")  # the hook's own heartbeat timeout is 30 s
    serving(group, 2)
    group.scale(0)
    eventually(lambda: not group.states(), "gone")
    (job,) = eventually(lambda: [job for job in tower.jobs(retire) if job.final], "the job ends too")
    assert job.status == "canceled"
    assert job.finished
    assert job.finished - job.created >= 40
    assert len(cloud.alerts(group, f"retire job {job.id} was not done in time")) == 2


def test_an_instance_that_dies_under_its_job_leaves_with_it(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, retire: str
) -> None:
    tower.set_job_time(3600, retire)
    group = make_group(retire_job_template=retire)
    (leaving,) = serving(group, 1)
    group.scale(0)
    eventually(lambda: running(tower, retire), "the job runs")
    cloud.aws.client("ec2").terminate_instances(InstanceIds=[leaving])
    eventually(lambda: not group.states(), "gone")
    (job,) = eventually(lambda: [job for job in tower.jobs(retire) if job.final], "the job ends too")
    assert job.status == "canceled"
    assert not cloud.alerts(group, "")


def test_an_event_that_comes_again_retires_once(make_group: MakeGroup, cloud: Cloud, tower: Tower, retire: str) -> None:
    tower.set_job_time(6, retire)
    group = make_group(retire_job_template=retire)
    before = serving(group, 2)
    sqs, events = cloud.aws.client("sqs"), cloud.aws.client("events")
    copies = cloud.aws.open_queue("copies")
    arn = sqs.get_queue_attributes(QueueUrl=copies, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {
        "source": ["aws.autoscaling"],
        "detail-type": ["EC2 Instance-terminate Lifecycle Action"],
        "detail": {"AutoScalingGroupName": [group.name]},
    }
    events.put_rule(Name="copy-terminations", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="copy-terminations", Targets=[{"Id": "copies", "Arn": arn}])
    group.scale(0)
    eventually(lambda: len({host for job in running(tower, retire) for host in job.hosts}) == 2, "the job runs")
    for _ in before:
        (copy,) = eventually(lambda: sqs.receive_message(QueueUrl=copies).get("Messages"), "a copy")
        sqs.send_message(QueueUrl=cloud.queue_url("TerminateQueue"), MessageBody=copy["Body"])
    eventually(lambda: not group.states(), "gone")
    eventually(lambda: cloud.in_flight() == 0, "the second copies are worked off")
    assert ran_on(tower, retire) == Counter(before)
    assert [job.status for job in tower.jobs(retire) if job.hosts] == ["successful"] * len(tower.jobs(retire))
    events.remove_targets(Rule="copy-terminations", Ids=["copies"])
    events.delete_rule(Name="copy-terminations")


def test_a_run_of_reconcile_starts_no_second_job_and_ends_no_wait(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, retire: str
) -> None:
    tower.set_job_time(8, retire)
    group = make_group(retire_job_template=retire)
    (leaving,) = serving(group, 1)
    group.scale(0)
    (job,) = eventually(lambda: running(tower, retire), "the job runs")
    cloud.reconcile()
    eventually(lambda: not group.states(), "gone")
    eventually(lambda: cloud.in_flight() == 0, "what was queued again is worked off")
    (ended,) = tower.jobs(retire)
    assert (ended.id, ended.status) == (job.id, "successful")
    assert ended.finished
    assert ended.finished < left_at(group, leaving)


def test_who_leaves_while_it_is_provisioned_never_served_and_goes_at_once(
    make_group: MakeGroup, tower: Tower, name: str, retire: str
) -> None:
    tower.set_job_time(3600, name)
    group = make_group(retire_job_template=retire)
    group.scale(1)
    (job,) = eventually(lambda: running(tower, name), "it is being provisioned")
    group.scale(0)
    eventually(lambda: not group.states(), "gone")
    assert not tower.jobs(retire)
    assert tower.hosts(name) == []
    tower.cancel_job(job.id)


def test_a_disabled_host_is_not_waited_for(make_group: MakeGroup, tower: Tower, name: str, retire: str) -> None:
    group = make_group(retire_job_template=retire)
    (leaving,) = serving(group, 1)
    tower.edit_host(leaving, name, tower.hosts(name)[0].variables, enabled=False)
    group.scale(0)
    eventually(lambda: not group.states(), "gone")
    assert not tower.jobs(retire)


def test_after_a_tower_that_was_away_the_job_still_comes_first(
    make_group: MakeGroup, tower: Tower, retire: str
) -> None:
    group = make_group(retire_job_template=retire)
    (leaving,) = serving(group, 1)
    tower.refuse(for_seconds=20)
    group.scale(0)
    eventually(lambda: not group.states(), "gone")
    (job,) = tower.jobs(retire)
    assert job.hosts == {leaving: "ok"}
    assert job.finished
    assert job.finished < removed_at(tower, leaving)


# Mistakes


@pytest.fixture
def forbidden(cloud: Cloud, tower: Tower, retire: str, name: str) -> Iterator[str]:
    """A template that the token may not launch."""
    tower.add_token("without", templates=[name])
    cloud.set_token("without")
    tower.revoke_token(tower.token)
    yield retire
    tower.add_token(tower.token)
    cloud.set_token(tower.token)
    tower.revoke_token("without")


@pytest.mark.parametrize("mistake", ["unknown", "boundless"])
def test_a_template_that_cannot_be_used_keeps_nobody_and_is_named(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, mistake: str
) -> None:
    words = {"unknown": f"Tower has no job template '{name}-retire'", "boundless": "does not prompt for limit"}
    if mistake == "boundless":
        tower.add_job_template(f"{name}-retire", name, ask_limit=False)
    group = make_group(retire_job_template=f"{name}-retire")
    (leaving,) = serving(group, 1)
    group.scale(0)
    eventually(lambda: not group.states(), "gone")
    assert tower.hosts(name) == []
    (alert,) = cloud.alerts(group, words[mistake])
    assert alert["instance_id"] == leaving
    assert "tag rollcall:retire-job-template" in alert["message"]
    assert not [job for job in tower.jobs() if job.template == f"{name}-retire"]


def test_a_template_that_the_token_may_not_launch_keeps_nobody_and_is_named(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, forbidden: str
) -> None:
    group = make_group(retire_job_template=forbidden)
    serving(group, 1)
    group.scale(0)
    eventually(lambda: not group.states(), "gone")
    assert tower.hosts(name) == []
    assert cloud.alerts(group, "no retire job could be run")
    assert not tower.jobs(forbidden)
