"""Groups that notify a topic of their launches and terminations, with hooks or without."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.cloud import ACCOUNT, HEARTBEAT_TIMEOUT, HOOK_PREFIX, Cloud, Group, eventually
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]
type Json = dict[str, Any]

LAUNCH, TERMINATE = "autoscaling:EC2_INSTANCE_LAUNCH", "autoscaling:EC2_INSTANCE_TERMINATE"
TERMINATED = "EC2 Instance Terminate Successful"
LIFECYCLE_EVENTS = (
    "EC2 Instance-launch Lifecycle Action",
    "EC2 Instance-terminate Lifecycle Action",
    "EC2 Instance Terminate Successful",
)
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:notifications"


@pytest.fixture(scope="module")
def cloud(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Rollcall, deployed with a topic that was there before."""
    with Cloud(tmp_path_factory.mktemp("lab"), address_pool="127.78.0.0/24", tower=Tower(), forks=True) as cloud:
        assert cloud.aws.client("sns").create_topic(Name="notifications")["TopicArn"] == TOPIC
        cloud.deploy(built, NotificationTopicArn=TOPIC)
        yield cloud


@pytest.fixture
def unheard_of(cloud: Cloud, make_group: MakeGroup) -> Iterator[None]:
    """EventBridge announces no terminated instances, so that a notification is all there is."""
    cloud.aws.drop_events(TERMINATED)
    yield
    cloud.aws.drop_events()


@pytest.fixture(params=["the template's", "wrapped and unfiltered", "raw and unfiltered"])
def topic(request: pytest.FixtureRequest, cloud: Cloud, name: str) -> str:
    """A topic to which both queues are subscribed."""
    if request.param == "the template's":
        return TOPIC
    sns = cloud.aws.client("sns")
    topic = str(sns.create_topic(Name=f"named-{request.param.replace(' ', '-')}")["TopicArn"])
    raw = "true" if request.param.startswith("raw") else "false"
    for queue in ("LaunchQueue", "TerminateQueue"):
        sns.subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=cloud.queue_arn(queue),
            Attributes={"RawMessageDelivery": raw},
        )
    return topic


@pytest.mark.usefixtures("unheard_of")
def test_a_group_without_hooks_is_registered_provisioned_watched_and_removed(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, topic: str
) -> None:
    group = make_group(hooks=False)
    group.notify(topic)
    group.scale(2)
    eventually(lambda: len(said(cloud, "gate", group, "ready")) == 2, "both are ready")
    assert {host.name for host in tower.hosts(name)} == group.in_service()
    assert [set(job.limit.split(",")) for job in tower.jobs(name)] == [group.in_service()]
    assert cloud.reconcile(groups=[group.name])["steps"] == []

    group.scale(1)
    eventually(lambda: len(tower.hosts(name)) == 1, "one host is gone")
    assert {host.name for host in tower.hosts(name)} == group.in_service()
    group.scale(0)
    eventually(lambda: tower.hosts(name) == [], "no host is left")


@pytest.mark.usefixtures("unheard_of")
def test_a_group_with_hooks_and_notifications_is_handled_once(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    group = make_group()
    group.notify(TOPIC)
    cloud.aws.forget_calls()
    group.scale(2)
    eventually(lambda: len(group.in_service()) == 2, "both in service")
    instances = group.in_service()
    eventually(lambda: said(cloud, "register", group, "is in job") == instances, "the notifications are worked off")
    group.scale(0)
    eventually(lambda: not group.states(), "both are gone")
    eventually(lambda: cloud.in_flight() == 0, "the notifications are worked off")
    assert len(tower.jobs(name)) == 1
    assert len([life for life in tower.host_lives() if life.inventory == name]) == 2
    assert cloud.aws.calls()["autoscaling:CompleteLifecycleAction"] == 4
    assert said(cloud, "gate", group, "ready") == instances


def test_an_instance_that_fails_goes_on_serving_and_an_operator_is_alerted(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.fail_host(lambda host: host.inventory == name)
    group = make_group(hooks=False)
    group.notify(TOPIC)
    group.scale(1)
    [alert] = eventually(
        lambda: cloud.alerts(group, "its job failed; it serves all the same"), "an operator is notified"
    )
    assert {alert["instance_id"]} == group.in_service() == {host.name for host in tower.hosts(name)}
    assert len(tower.jobs(name)) == 1


@pytest.mark.usefixtures("unheard_of")
def test_a_termination_while_the_job_runs_leaves_no_host(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.set_job_time(20)
    group = make_group(hooks=False)
    group.notify(TOPIC)
    group.scale(1)
    eventually(lambda: tower.jobs(name), "a job")
    (instance_id,) = group.states()
    group.scale(0)
    eventually(lambda: tower.hosts(name) == [], "its host is gone")
    assert not tower.jobs(name)[0].final
    eventually(lambda: cloud.in_flight() == 0, "nobody waits any more")
    assert tower.hosts(name) == []
    assert len(tower.jobs(name)) == 1
    assert said(cloud, "gate", group, "removed from every inventory: left meanwhile") == {instance_id}


@pytest.mark.usefixtures("unheard_of")
def test_a_termination_that_overtakes_its_launch_leaves_no_host(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    group = make_group(hooks=False)
    notifications = held_back(cloud, group)
    group.scale(1)
    (instance_id,) = eventually(group.in_service, "in service")
    group.scale(0)
    eventually(lambda: not group.states(), "gone")
    launch, termination = notifications(2)
    publish(cloud, termination)
    eventually(
        lambda: said(cloud, "cleanup", group, "removed from every inventory") == {instance_id},
        "the termination is worked off",
    )
    publish(cloud, launch)
    eventually(
        lambda: said(cloud, "register", group, "removed from every inventory: already gone") == {instance_id},
        "the launch, too",
    )
    assert not [life for life in tower.host_lives() if life.inventory == name]
    assert tower.jobs(name) == []


@pytest.mark.usefixtures("unheard_of")
def test_notifications_that_come_straight_into_the_queues_are_worked_off(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    group = make_group(hooks=False)
    notifications = held_back(cloud, group)
    group.scale(1)
    [launch] = notifications(1)
    put(cloud, "LaunchQueue", launch)
    eventually(lambda: said(cloud, "gate", group, "ready") == group.in_service(), "ready")
    (instance_id,) = group.in_service()
    group.scale(0)
    eventually(lambda: not group.states(), "gone")
    _, termination = notifications(2)
    assert {host.name for host in tower.hosts(name)} == {instance_id}
    put(cloud, "TerminateQueue", termination)
    eventually(lambda: tower.hosts(name) == [], "its host is gone")
    eventually(lambda: said(cloud, "cleanup", group, "removed from every inventory") == {instance_id}, "that is said")


def test_hooks_that_notify_the_same_topic_are_answered(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    cloud.aws.drop_events(*LIFECYCLE_EVENTS)  # so that the topic is all there is
    group = make_group(hooks=False)
    for what in ("LAUNCHING", "TERMINATING"):
        cloud.aws.client("autoscaling").put_lifecycle_hook(
            AutoScalingGroupName=group.name,
            LifecycleHookName=f"{HOOK_PREFIX}-{what.lower()}",
            LifecycleTransition=f"autoscaling:EC2_INSTANCE_{what}",
            HeartbeatTimeout=HEARTBEAT_TIMEOUT,
            DefaultResult="ABANDON",
            NotificationTargetARN=TOPIC,
            RoleARN=f"arn:aws:iam::{ACCOUNT}:role/notifier",
        )
    group.notify(TOPIC)
    cloud.aws.forget_calls()
    group.scale(2)
    eventually(lambda: len(group.in_service()) == 2, "both in service")
    assert {host.name for host in tower.hosts(name)} == group.in_service() == said(cloud, "gate", group, "ready")
    group.scale(0)
    eventually(lambda: not group.states(), "both are gone")
    assert tower.hosts(name) == []
    eventually(lambda: cloud.in_flight() == 0, "the notifications are worked off")
    assert len(tower.jobs(name)) == 1
    assert cloud.aws.calls()["autoscaling:CompleteLifecycleAction"] == 4
    assert not [line for line in cloud.log_lines("register") if line.get("group") == group.name and "error" in line]


def test_copies_of_a_notification_launch_one_job(make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str) -> None:
    tower.set_job_time(3)
    group = make_group(hooks=False)
    notifications = held_back(cloud, group)
    group.scale(1)
    (launch,) = notifications(1)
    publish(cloud, *[launch] * 5)
    eventually(lambda: tower.jobs(name), "a job")
    publish(cloud, launch)
    eventually(lambda: said(cloud, "gate", group, "ready") == group.in_service(), "ready")
    publish(cloud, launch)
    eventually(lambda: cloud.in_flight() == 0, "the copies are worked off")
    assert len(tower.jobs(name)) == 1
    assert len([line for line in cloud.log_lines("gate") if is_of(line, group, "ready")]) == 1


def test_what_else_is_published_to_a_topic_does_not_reach_the_queues(make_group: MakeGroup, cloud: Cloud) -> None:
    def errors() -> list[Json]:
        return [line for function in ("register", "cleanup") for line in cloud.log_lines(function) if "error" in line]

    before = errors()
    group = make_group(hooks=False)
    notifications = held_back(cloud, group)
    group.scale(1)
    (launch,) = notifications(1)
    events = ("TEST_NOTIFICATION", "EC2_INSTANCE_LAUNCH_ERROR", "EC2_INSTANCE_TERMINATE_ERROR")
    publish(
        cloud,
        *({**launch, "Event": f"autoscaling:{event}"} for event in events),
        {**launch, "AccountId": "210987654321"},
        {**hook_message(launch), "AccountId": "210987654321"},
        {**hook_message(launch), "LifecycleHookName": "somebody-elses"},
        {**hook_message(launch), "LifecycleTransition": "autoscaling:EC2_INSTANCE_REBOOTING"},
        {"AlarmName": "somebody else's", "NewStateValue": "ALARM"},
    )
    cloud.aws.client("sns").publish(TopicArn=TOPIC, Message="no JSON at all")
    publish(cloud, launch)
    eventually(lambda: said(cloud, "gate", group, "ready") == group.in_service(), "what is for us has come")
    eventually(lambda: cloud.in_flight() == 0, "nothing else is there")
    assert errors() == before


def held_back(cloud: Cloud, group: Group) -> Callable[[int], list[Json]]:
    """Lets the group notify a topic that only the test listens to: so many notifications, in their order."""
    sns, sqs = cloud.aws.client("sns"), cloud.aws.client("sqs")
    topic = sns.create_topic(Name="held-back")["TopicArn"]
    url = cloud.aws.open_queue("held-back")
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    found: list[Json] = []

    def received(wanted: int) -> list[Json]:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        messages = answer.get("Messages", [])
        for each in messages:  # or it would come again, and count twice
            sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
        bodies = [json.loads(each["Body"]) for each in messages]
        found.extend(body for body in bodies if body["AutoScalingGroupName"] == group.name and "EC2InstanceId" in body)
        return sorted(found, key=lambda body: str(body["Time"])) if len(found) == wanted else []

    group.notify(topic)
    return lambda wanted: list(eventually(lambda: received(wanted), f"{wanted} notifications"))


def hook_message(notification: Json) -> Json:
    """What a hook would publish to a topic of the same launch."""
    fields = ("AccountId", "AutoScalingGroupName", "EC2InstanceId", "Time", "Service")
    return {
        **{name: notification[name] for name in fields},
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
        "LifecycleHookName": f"{HOOK_PREFIX}-launching",
        "LifecycleActionToken": "87654321-4321-4321-4321-210987654321",
    }


def publish(cloud: Cloud, *bodies: Json) -> None:
    """Tells the template's topic."""
    for body in bodies:
        cloud.aws.client("sns").publish(TopicArn=TOPIC, Message=json.dumps(body))


def put(cloud: Cloud, queue: str, body: Json) -> None:
    """Sends a queue of the stack what Auto Scaling publishes to a topic, as it is."""
    cloud.aws.client("sqs").send_message(QueueUrl=cloud.queue_url(queue), MessageBody=json.dumps(body))


def said(cloud: Cloud, function: str, group: Group, words: str) -> set[str]:
    """The instances of a group of which a function's log says something that begins so."""
    return {line["instance_id"] for line in cloud.log_lines(function) if is_of(line, group, words)}


def is_of(line: Json, group: Group, words: str) -> bool:
    return line.get("group") == group.name and str(line["message"]).startswith(words)
