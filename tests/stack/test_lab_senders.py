"""Who may send to a queue of the embedded AWS, from which accounts, and how much at once: as AWS lets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.aws.alone import Lab, Queue, eventually
from lab.aws.embedded import ACCOUNT, REGION, EmbeddedAws

OTHER_ACCOUNT, OTHER_REGION = "210987654321", "eu-west-1"
QUARTER = 256 * 1024  # bytes


def policy(queue_arn: str, service: str, sources: list[str], operator: str = "ArnLike") -> dict[str, Any]:
    """A policy that lets a service send to a queue for sources like these."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {operator: {"aws:SourceArn": sources}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def set_policy(queue: Queue, document: dict[str, Any] | None) -> None:
    attributes = {"Policy": json.dumps(document) if document else ""}
    queue.aws.client("sqs").set_queue_attributes(QueueUrl=queue.url, Attributes=attributes)


@pytest.mark.parametrize(
    ("account", "region", "patterns", "delivered"),
    [
        (ACCOUNT, REGION, None, False),
        (ACCOUNT, REGION, [f"arn:aws:sns:*:{ACCOUNT}:*"], True),
        (OTHER_ACCOUNT, REGION, [f"arn:aws:sns:*:{ACCOUNT}:*"], False),
        (OTHER_ACCOUNT, OTHER_REGION, [f"arn:aws:sns:{REGION}:{OTHER_ACCOUNT}:*"], False),
        (OTHER_ACCOUNT, OTHER_REGION, [f"arn:aws:sns:*:{ACCOUNT}:*", f"arn:aws:sns:*:{OTHER_ACCOUNT}:*"], True),
        (OTHER_ACCOUNT, REGION, ["arn:aws:sns:*"], False),
    ],
)
def test_a_topic_reaches_a_queue_only_where_the_queues_policy_lets_it(
    lab: Lab, account: str, region: str, patterns: list[str] | None, delivered: bool
) -> None:
    queue = lab.queue(policy=None)
    if patterns:
        set_policy(queue, policy(queue.arn, "sns.amazonaws.com", patterns))
    sns = lab.aws.client("sns", account=account, region=region)
    topic = sns.create_topic(Name=lab.name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    sns.publish(TopicArn=topic, Message="hello")
    messages = [json.loads(body) for body in queue.receive()]
    assert [(each["TopicArn"], each["Message"]) for each in messages] == ([(topic, "hello")] if delivered else [])


def test_a_rule_reaches_a_queue_only_where_the_queues_policy_lets_it(lab: Lab) -> None:
    queue, events = lab.queue(policy=None), lab.aws.client("events")
    rule = events.put_rule(Name=lab.name, EventPattern=json.dumps({"source": [lab.name]}))["RuleArn"]
    events.put_targets(Rule=lab.name, Targets=[{"Id": "queue", "Arn": queue.arn}])

    def heard() -> list[str]:
        events.put_events(Entries=[{"Source": lab.name, "DetailType": "any", "Detail": "{}"}])
        return queue.receive()

    assert heard() == []
    set_policy(queue, policy(queue.arn, "events.amazonaws.com", [f"{rule}-of-another-name"], "ArnEquals"))
    assert heard() == []
    set_policy(queue, policy(queue.arn, "sns.amazonaws.com", [rule], "ArnEquals"))
    assert heard() == []
    set_policy(queue, policy(f"{queue.arn}-dead", "events.amazonaws.com", [rule], "ArnEquals"))
    assert heard() == []
    set_policy(queue, policy(queue.arn, "events.amazonaws.com", [rule], "ArnEquals"))
    assert len(heard()) == 1


def test_an_explicit_deny_outweighs_what_is_allowed(lab: Lab) -> None:
    queue, sns = lab.queue(policy=None), lab.aws.client("sns")
    topic = sns.create_topic(Name=lab.name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    document = policy(queue.arn, "sns.amazonaws.com", [topic])
    (allowed,) = document["Statement"]
    set_policy(queue, document | {"Statement": [allowed, allowed | {"Effect": "Deny"}]})
    sns.publish(TopicArn=topic, Message="hello")
    assert queue.receive() == []


def test_an_event_that_is_forwarded_has_the_account_and_region_it_came_from(lab: Lab) -> None:
    queue, events = lab.queue(), lab.aws.client("events")
    pattern = {"source": ["aws.autoscaling"], "account": [OTHER_ACCOUNT], "detail-type": ["any"]}
    events.put_rule(Name=lab.name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=lab.name, Targets=[{"Id": "queue", "Arn": queue.arn}])
    lab.aws.forward_event("any", {"from": "us"}, account=ACCOUNT)
    group = f"arn:aws:autoscaling:{OTHER_REGION}:{OTHER_ACCOUNT}:autoScalingGroup:0:autoScalingGroupName/web"
    lab.aws.forward_event("any", {"from": "them"}, account=OTHER_ACCOUNT, region=OTHER_REGION, resources=[group])
    (event,) = map(json.loads, eventually(queue.receive))
    assert event["detail"] == {"from": "them"}
    assert (event["account"], event["region"], event["resources"]) == (OTHER_ACCOUNT, OTHER_REGION, [group])
    assert (event["source"], event["detail-type"], event["version"]) == ("aws.autoscaling", "any", "0")


def test_one_call_to_a_queue_takes_no_more_than_its_limit(lab: Lab) -> None:
    queue, sqs = lab.queue(), lab.aws.client("sqs")

    def send(*sizes: int) -> Any:
        entries = [{"Id": str(number), "MessageBody": "x" * size} for number, size in enumerate(sizes)]
        return sqs.send_message_batch(QueueUrl=queue.url, Entries=entries)

    sqs.send_message(QueueUrl=queue.url, MessageBody="x" * QUARTER)
    send(QUARTER - 1, 1)
    with pytest.raises(ClientError, match=f"Message must be shorter than {QUARTER} bytes") as refused:
        sqs.send_message(QueueUrl=queue.url, MessageBody="x" * (QUARTER + 1))
    assert refused.value.response["Error"]["Code"] == "InvalidParameterValue"
    words = f"Batch requests cannot be longer than {QUARTER} bytes. You have sent {QUARTER + 1} bytes."
    with pytest.raises(sqs.exceptions.BatchRequestTooLong, match=words):
        send(QUARTER, 1)
    assert queue.visible() == 3


def test_one_call_to_event_bridge_takes_less_than_its_limit(lab: Lab) -> None:
    events = lab.aws.client("events")

    def put(size: int) -> None:
        detail = json.dumps({"x": "x" * (size - len('{"x": ""}') - len("sourcekind"))})
        events.put_events(Entries=[{"Source": "source", "DetailType": "kind", "Detail": detail}])

    put(QUARTER - 1)
    with pytest.raises(ClientError, match="Total size of the entries in the request is over the limit") as refused:
        put(QUARTER)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


@pytest.fixture
def roomy(tmp_path: Path) -> Iterator[EmbeddedAws]:
    with EmbeddedAws(log=tmp_path / "aws.log", sqs_bytes=4 * QUARTER) as aws:
        yield aws


def test_the_limit_of_a_call_to_a_queue_may_be_that_of_today(roomy: EmbeddedAws) -> None:
    sqs, url = roomy.client("sqs"), roomy.open_queue("large")
    sqs.send_message(QueueUrl=url, MessageBody="x" * 4 * QUARTER)
    with pytest.raises(ClientError, match="Message must be shorter than"):
        sqs.send_message(QueueUrl=url, MessageBody="x" * (4 * QUARTER + 1))


@pytest.mark.parametrize("malformed", ["i-123", "i-0123456789abcdefg", "web-1", "I-00000000", "i-" + "0" * 18])
def test_ec2_refuses_a_whole_call_for_one_id_that_is_none(lab: Lab, malformed: str) -> None:
    group, ec2 = lab.group(desired=1), lab.aws.client("ec2")
    (instance,) = group.await_members("InService")
    for call in (ec2.describe_instances, ec2.describe_instance_status, ec2.terminate_instances):
        with pytest.raises(ClientError, match=f'Invalid id: "{malformed}"') as refused:
            call(InstanceIds=[instance, "i-00000000", malformed])
        assert refused.value.response["Error"]["Code"] == "InvalidInstanceID.Malformed"
    assert group.members("InService") == [instance]


def test_ec2_refuses_a_whole_call_for_ids_that_it_does_not_know(lab: Lab) -> None:
    group, ec2 = lab.group(desired=2), lab.aws.client("ec2")
    instance, hidden = group.await_members("InService", 2)
    lab.aws.hide(hidden)
    for call in (ec2.describe_instances, ec2.describe_instance_status):
        with pytest.raises(ClientError, match=f"The instance ID '{hidden}' does not exist") as refused:
            call(InstanceIds=[instance, hidden])
        assert refused.value.response["Error"]["Code"] == "InvalidInstanceID.NotFound"
        with pytest.raises(ClientError, match=f"The instance IDs '{hidden}, i-00000000' do not exist"):
            call(InstanceIds=[instance, hidden, "i-00000000"])
    assert ec2.describe_instance_status(InstanceIds=[instance])["InstanceStatuses"]
