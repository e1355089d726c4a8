"""Groups behind load balancers: who is let at traffic, who serves, and what is published about them after that."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.cloud import Cloud, Group, eventually
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]
type Json = dict[str, Any]


@pytest.fixture
def arn(cloud: Cloud, name: str) -> str:
    """A target group of the test's own."""
    return cloud.create_target_group(short(name))


def short(name: str) -> str:
    """A name that a target group may have, or a queue: 32 characters."""
    return "".join(each for each in name if each.isalnum() or each == "-")[-32:].strip("-")


def events_of(cloud: Cloud, instance_id: str, arn: str) -> list[str]:
    """What happened to an instance in a target group, in order."""
    return [
        each.what for each in cloud.aws.target_events() if (each.instance_id, each.target_group) == (instance_id, arn)
    ]


def time_of(cloud: Cloud, instance_id: str, arn: str, what: str) -> float:
    return next(
        each.time
        for each in cloud.aws.target_events()
        if (each.instance_id, each.target_group, each.what) == (instance_id, arn, what)
    )


def time_entered(group: Group, instance_id: str, state: str) -> float:
    return next(each.time for each in group.transitions() if (each.instance_id, each.state) == (instance_id, state))


@pytest.mark.story
def test_an_instance_serves_once_its_job_is_done_and_every_target_group_calls_it_healthy(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, arn: str
) -> None:
    other = cloud.create_target_group(f"b-{short(name)}"[:32])
    for each in (arn, other):
        cloud.aws.say_of_target(each, "initial", "Elb.InitialHealthChecking")
    tower.set_job_time(3)
    traffic = {"TargetGroupARNs": [arn], "TrafficSources": [{"Identifier": other, "Type": "elbv2"}]}
    group = make_group(gate="job elb", traffic=traffic, size=2)
    instances = eventually(lambda: len(group.states()) == 2 and set(group.states()), "two launched")
    for each in instances:
        eventually(lambda each=each: events_of(cloud, each, other) == ["registered"], "a target")
    (job,) = tower.jobs(name)
    assert job.finished
    assert all(time_of(cloud, each, arn, "registered") >= job.finished for each in instances)
    cloud.aws.say_of_target(arn, "healthy")
    for each in instances:
        eventually(lambda each=each: "healthy" in events_of(cloud, each, arn), "healthy in the first one")
    assert set(group.states().values()) == {"Pending:Wait"}
    cloud.aws.say_of_target(other, "healthy")
    eventually(lambda: group.in_service() == instances, "in service")
    assert {what for each in instances for what in events_of(cloud, each, arn)} == {"registered", "healthy"}


def test_target_groups_that_call_an_instance_healthy_one_after_the_other_keep_it_waiting(
    make_group: MakeGroup, cloud: Cloud, name: str, arn: str
) -> None:
    other = cloud.create_target_group(f"b-{short(name)}"[:32])
    for each in (arn, other):
        cloud.aws.say_of_target(each, "initial", "Elb.InitialHealthChecking")
    group = make_group(gate="job elb", traffic={"TargetGroupARNs": [arn, other]}, size=1)
    (instance_id,) = eventually(group.states, "launched")
    cloud.aws.say_of_target(arn, "healthy")
    eventually(lambda: "healthy" in events_of(cloud, instance_id, arn), "healthy in the first one")
    cloud.aws.say_of_target(arn, "unhealthy", "Target.FailedHealthChecks")
    cloud.aws.say_of_target(other, "healthy")
    eventually(lambda: "healthy" in events_of(cloud, instance_id, other), "healthy in the other one")
    cloud.aws.forget_calls()
    eventually(
        lambda: cloud.aws.calls()["elasticloadbalancing:DescribeTargetHealth"] >= 4, "both are asked again, and again"
    )
    assert group.states() == {instance_id: "Pending:Wait"}
    assert not cloud.aws.calls()["autoscaling:CompleteLifecycleAction"]
    cloud.aws.say_of_target(arn, "healthy")
    eventually(lambda: group.in_service() == {instance_id}, "healthy in both at once")
    assert events_of(cloud, instance_id, arn) == events_of(cloud, instance_id, other) == ["registered", "healthy"]


def test_an_instance_that_is_never_healthy_leaves_its_target_group_and_is_replaced(
    make_group: MakeGroup, cloud: Cloud, arn: str
) -> None:
    cloud.aws.say_of_target(arn, "unhealthy", "Target.FailedHealthChecks")
    group = make_group(gate="job elb", timeout="10", traffic={"TargetGroupARNs": [arn]}, size=1)
    (bad,) = eventually(group.states, "launched")
    cloud.aws.say_of_target(arn, "unhealthy", "Target.FailedHealthChecks", instance_id=bad)
    cloud.aws.say_of_target(arn, None)
    (good,) = eventually(group.in_service, "another one serves")
    assert good != bad
    assert events_of(cloud, bad, arn) == ["registered", "deregistered"]
    assert time_of(cloud, bad, arn, "deregistered") < time_entered(group, bad, "Terminating")
    (line,) = [
        line for line in cloud.log_lines("gate") if line.get("instance_id") == bad and "abandoned" in line["message"]
    ]
    assert "unhealthy (Target.FailedHealthChecks)" in line["message"]


def test_what_says_nothing_against_an_instance_holds_it_until_it_is_fixed(
    make_group: MakeGroup, cloud: Cloud, arn: str
) -> None:
    cloud.aws.say_of_target(arn, "unused", "Target.NotInUse")
    group = make_group(gate="elb", job_template=None, timeout="5", traffic={"TargetGroupARNs": [arn]}, size=1)
    eventually(lambda: cloud.alerts(group, "unused (Target.NotInUse)"), "an operator is notified")
    (instance_id,) = group.states()
    assert group.states() == {instance_id: "Pending:Wait"}
    cloud.aws.say_of_target(arn, None)
    eventually(group.in_service, "in service")
    assert group.in_service() == {instance_id}


def test_an_instance_that_dies_before_it_is_healthy_leaves_its_target_group(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, arn: str
) -> None:
    cloud.aws.say_of_target(arn, "initial", "Elb.InitialHealthChecking")
    group = make_group(gate="job elb", traffic={"TargetGroupARNs": [arn]}, size=1)
    (instance_id,) = eventually(group.states, "launched")
    eventually(lambda: events_of(cloud, instance_id, arn), "a target")
    cloud.aws.client("ec2").terminate_instances(InstanceIds=[instance_id])
    group.scale(0)
    eventually(lambda: events_of(cloud, instance_id, arn) == ["registered", "deregistered"], "no target any more")
    eventually(lambda: not group.states() and not tower.hosts(name), "gone")


def test_calls_that_are_throttled_are_made_again(make_group: MakeGroup, cloud: Cloud, arn: str) -> None:
    for action in ("DescribeTargetGroups", "RegisterTargets", "DescribeTargetHealth"):
        cloud.aws.throttle(f"elasticloadbalancing:{action}", every=2)
    cloud.aws.forget_calls()
    group = make_group(gate="job elb", traffic={"TargetGroupARNs": [arn]}, size=3)
    eventually(lambda: len(group.in_service()) == 3, "three in service")
    assert cloud.aws.calls()["elasticloadbalancing:RegisterTargets"]


def test_a_target_group_that_takes_no_instances_is_refused(make_group: MakeGroup, cloud: Cloud, name: str) -> None:
    arn = cloud.create_target_group(short(name), "ip")
    group = make_group(gate="elb", job_template=None, traffic={"TargetGroupARNs": [arn]}, size=1)
    line = eventually(
        lambda: next((each for each in cloud.log_lines("gate") if each.get("group") == group.name), None), "refused"
    )
    assert line["error"] == "BadSettings"
    assert f"target group {short(name)} takes targets of type ip: attach one of target type instance" in line["message"]
    assert set(group.states().values()) == {"Pending:Wait"}
    group.delete()


# What is published


@pytest.fixture
def heard(cloud: Cloud, name: str) -> Iterator[Callable[[], list[tuple[str, Json]]]]:
    """What was published so far of who serves in the test's own group: kinds of events and details, in order."""
    sqs, events = cloud.aws.client("sqs"), cloud.aws.client("events")
    url = cloud.aws.open_queue(f"heard-{short(name)}")
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = f"heard-{short(name)}"
    kinds = ["Instance Serving", "Instance Not Serving"]
    pattern = {"source": ["rollcall"], "detail-type": kinds, "detail": {"group": [name]}}
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": queue}])
    known: list[tuple[str, Json]] = []

    def hear() -> list[tuple[str, Json]]:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ()):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            body = json.loads(message["Body"])
            known.append((body["detail-type"], body["detail"]))
        return known

    yield hear
    events.remove_targets(Rule=rule, Ids=["queue"])
    events.delete_rule(Name=rule)


def test_a_watch_tells_when_an_instance_serves_and_when_no_more(
    make_group: MakeGroup, cloud: Cloud, name: str, arn: str, heard: Callable[[], list[tuple[str, Json]]]
) -> None:
    group = make_group(gate="job elb", watch="300", traffic={"TargetGroupARNs": [arn]}, size=1)
    ((kind, first),) = eventually(heard, "the first event")
    (instance_id,) = group.states()
    assert kind == "Instance Serving"
    assert (first["group"], first["instance_id"]) == (name, instance_id)
    cloud.aws.say_of_target(arn, "unhealthy", "Target.Timeout")
    eventually(lambda: len(heard()) == 2, "the second event")
    kind, second = heard()[1]
    assert kind == "Instance Not Serving"
    assert second["reason"] == f"target group {short(name)}: unhealthy (Target.Timeout)"
    assert second["seconds"] > first["seconds"]
    cloud.aws.say_of_target(arn, None)
    eventually(lambda: len(heard()) == 3, "the third event")
    assert heard()[2][0] == "Instance Serving"
    measured = [line for line in cloud.metrics("gate") if "TimeToServing" in line and line["group"] == name]
    assert [line["TimeToServing"] for line in measured] == [[pytest.approx(first["seconds"], abs=0.1)]]
    group.delete()  # or it would be watched until its time is over


def test_a_watch_without_the_check_tells_at_its_end_who_never_served(
    make_group: MakeGroup, cloud: Cloud, name: str, arn: str, heard: Callable[[], list[tuple[str, Json]]]
) -> None:
    cloud.aws.say_of_target(arn, "unhealthy", "Target.Timeout")
    group = make_group(watch="12", traffic={"TrafficSources": [{"Identifier": arn, "Type": "elbv2"}]}, size=2)
    instances = eventually(lambda: len(group.in_service()) == 2 and group.in_service(), "in service")
    eventually(lambda: len(heard()) == 2, "two events")
    assert {(kind, detail["instance_id"]) for kind, detail in heard()} == {
        ("Instance Not Serving", each) for each in instances
    }
    eventually(lambda: cloud.in_flight() == 0, "the watch is over")
    assert len(heard()) == 2
