"""The embedded AWS behaves like AWS where the rest of the stack tests rely on it."""

import json
import os
import subprocess
import sys
import time
from datetime import datetime
from itertools import accumulate
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from lab.aws.alone import USER_DATA, Function, Lab, eventually
from lab.aws.embedded import ACCOUNT, REGION, Invocation
from lab.aws.lifecycle import LAUNCHING, TERMINATING

LAUNCH_EVENT = "EC2 Instance-launch Lifecycle Action"
AGAIN = "6"  # seconds until a message comes again: longer than any invocation here, also on a busy machine
TESTS = Path(__file__).parent.parent


# Auto Scaling.


def test_an_instance_without_hooks_goes_straight_into_service_and_out(lab: Lab) -> None:
    group = lab.group(desired=1)
    (instance,) = group.await_members("InService")
    group.resize(0)
    assert group.await_history(instance, "Terminated") == ["Pending", "InService", "Terminating", "Terminated"]


def test_an_instance_is_in_ec2_as_its_group_describes_it(lab: Lab) -> None:
    tags = [{"Key": "rollcall:inventory", "Value": "web", "PropagateAtLaunch": True}, {"Key": "own", "Value": "1"}]
    group = lab.group(desired=1, Tags=tags)
    (instance_id,) = group.await_members("InService")
    ec2 = lab.aws.client("ec2")
    (reservation,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    (instance,) = reservation["Instances"]
    assert instance["State"]["Name"] == "running"
    assert (instance["ImageId"], instance["InstanceType"]) == ("ami-12345678", "m5.large")
    assert instance["PrivateIpAddress"] == group.addresses()[instance_id]
    assert {tag["Key"]: tag["Value"] for tag in instance["Tags"]} == {
        "rollcall:inventory": "web",
        "aws:autoscaling:groupName": group.name,
    }
    (status,) = ec2.describe_instance_status(InstanceIds=[instance_id])["InstanceStatuses"]
    assert (status["InstanceStatus"]["Status"], status["SystemStatus"]["Status"]) == ("ok", "ok")


def test_groups_are_found_by_tag_page_by_page(lab: Lab) -> None:
    tag = {"Key": "rollcall:inventory", "Value": lab.name, "PropagateAtLaunch": False}
    tagged = {lab.group(Tags=[tag]).name for _ in range(3)}
    lab.group()
    pages = lab.aws.client("autoscaling").get_paginator("describe_auto_scaling_groups")
    filters = [{"Name": "tag:rollcall:inventory", "Values": [lab.name]}]
    found = [page["AutoScalingGroups"] for page in pages.paginate(Filters=filters, PaginationConfig={"PageSize": 2})]
    assert [len(page) for page in found] == [2, 1]
    assert {group["AutoScalingGroupName"] for page in found for group in page} == tagged


def test_continue_puts_a_launched_instance_into_service(lab: Lab) -> None:
    group = lab.group()
    group.hook("hook", LAUNCHING)
    group.resize(1)
    (instance,) = group.await_members("Pending:Wait")
    group.complete("hook", "CONTINUE", InstanceId=instance)
    states = ["Pending", "Pending:Wait", "Pending:Proceed", "InService"]
    assert group.await_history(instance, "InService") == states


def test_abandon_terminates_a_launched_instance_through_the_terminate_hooks_and_replaces_it(lab: Lab) -> None:
    group = lab.group()
    group.hook("launch", LAUNCHING)
    group.hook("terminate", TERMINATING)
    group.resize(1)
    (instance,) = group.await_members("Pending:Wait")
    group.complete("launch", "ABANDON", InstanceId=instance)
    assert group.await_members("Terminating:Wait") == [instance]
    (replacement,) = group.await_members("Pending:Wait")
    assert replacement != instance
    group.complete("terminate", "CONTINUE", InstanceId=instance)
    assert "InService" not in group.await_history(instance, "Terminated")


@pytest.mark.parametrize(("default", "state"), [("CONTINUE", "InService"), ("ABANDON", "Terminated")])
def test_a_launch_hook_that_times_out_takes_its_default_result(lab: Lab, default: str, state: str) -> None:
    group = lab.group()
    group.hook("hook", LAUNCHING, HeartbeatTimeout=1, DefaultResult=default)
    group.resize(1)
    (instance,) = group.await_members("Pending:Wait")
    assert group.await_history(instance, state)


def test_a_heartbeat_restarts_the_timeout(lab: Lab) -> None:
    group = lab.group()
    group.hook("hook", LAUNCHING, HeartbeatTimeout=5, DefaultResult="CONTINUE")
    group.resize(1)
    (instance,) = group.await_members("Pending:Wait")
    until = time.monotonic() + 6
    while time.monotonic() < until:
        lab.aws.client("autoscaling").record_lifecycle_action_heartbeat(
            AutoScalingGroupName=group.name, LifecycleHookName="hook", InstanceId=instance
        )
        assert group.members("Pending:Wait") == [instance]
        time.sleep(0.2)


def test_an_instance_waits_for_all_hooks(lab: Lab) -> None:
    group = lab.group()
    group.hook("first", LAUNCHING)
    group.hook("second", LAUNCHING)
    group.resize(1)
    (instance,) = group.await_members("Pending:Wait")
    group.complete("first", "CONTINUE", InstanceId=instance)
    with pytest.raises(ClientError, match=f"No active Lifecycle Action found with instance ID {instance}"):
        group.complete("first", "CONTINUE", InstanceId=instance)
    assert group.members("Pending:Wait") == [instance]
    group.complete("second", "CONTINUE", InstanceId=instance)
    group.await_history(instance, "InService")


def test_abandon_skips_the_other_terminate_hooks(lab: Lab) -> None:
    group = lab.group(desired=1)
    group.hook("first", TERMINATING)
    group.hook("second", TERMINATING)
    (instance,) = group.await_members("InService")
    group.resize(0)
    assert group.await_members("Terminating:Wait") == [instance]
    ec2 = lab.aws.client("ec2").describe_instances(InstanceIds=[instance])
    assert ec2["Reservations"][0]["Instances"][0]["State"]["Name"] == "running"
    group.complete("first", "ABANDON", InstanceId=instance)
    states = ["Terminating", "Terminating:Wait", "Terminating:Proceed", "Terminated"]
    assert group.await_history(instance, "Terminated")[-4:] == states


def test_a_stale_action_is_refused_in_the_words_of_aws(lab: Lab) -> None:
    group = lab.group()
    token = "87654321-4321-4321-4321-210987654321"
    with pytest.raises(ClientError) as refusal:
        group.complete("hook", "CONTINUE", LifecycleActionToken=token)
    error = refusal.value.response["Error"]
    assert error["Code"] == "ValidationError"
    assert error["Message"] == f"No active Lifecycle Action found with token {token}"


def test_the_states_are_those_that_the_api_tells(lab: Lab) -> None:
    group = lab.group(desired=2)
    group.await_members("InService", 2)
    group.hook("hook", LAUNCHING)
    group.resize(3)
    group.await_members("Pending:Wait")
    (told,) = lab.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group.name])[
        "AutoScalingGroups"
    ]
    expected = [(one["InstanceId"], one["LifecycleState"]) for one in told["Instances"]]
    assert list(lab.aws.states(group.name).items()) == expected
    assert lab.aws.states("no such group") == {}


def test_the_lowest_freed_address_is_used_again(lab: Lab) -> None:
    group = lab.group(desired=3)
    oldest, *others = group.await_members("InService", 3)
    lab.aws.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=oldest, ShouldDecrementDesiredCapacity=True
    )
    group.await_history(oldest, "Terminated")
    group.resize(3)
    (newest,) = set(group.await_members("InService", 3)) - set(others)
    assert group.addresses()[newest] == group.addresses()[oldest]


def test_an_instance_terminated_behind_the_groups_back_loses_its_address_and_is_replaced(lab: Lab) -> None:
    group = lab.group(desired=1)
    group.hook("hook", TERMINATING)
    (instance,) = group.await_members("InService")
    lab.aws.client("ec2").terminate_instances(InstanceIds=[instance])
    assert group.await_members("Terminating:Wait") == [instance]
    (replacement,) = group.await_members("InService")
    assert group.addresses()[replacement] == group.addresses()[instance]


def test_instances_are_found_by_filter_and_by_no_other(lab: Lab) -> None:
    group = lab.group(desired=2)
    one, _ = group.await_members("InService", 2)
    assert described(lab, one, "i-00000000000000000").keys() == {one}


def test_an_instance_that_is_hidden_serves_and_ec2_does_not_know_it(lab: Lab) -> None:
    group = lab.group(desired=2)
    one, other = group.await_members("InService", 2)
    lab.aws.hide(one)
    assert described(lab, one, other).keys() == {other}
    assert group.await_members("InService", 2) == [one, other]
    lab.aws.hide()
    assert described(lab, one, other).keys() == {one, other}


def test_user_data_is_that_of_the_launch_template(lab: Lab) -> None:
    (instance,) = lab.group(desired=1).await_members("InService")
    ec2 = lab.aws.client("ec2")
    told = ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")
    assert told["UserData"] == {"Value": USER_DATA}
    lab.aws.hide(instance)
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")
    lab.aws.hide()
    shape = ec2.describe_instance_attribute(InstanceId=instance, Attribute="instanceType")
    assert shape["InstanceType"] == {"Value": "m5.large"}


def test_an_instance_can_be_made_older_than_it_is(lab: Lab) -> None:
    group = lab.group(desired=2)
    one, other = group.await_members("InService", 2)
    before = described(lab, one, other)
    lab.aws.age([one], 3600)
    launched = {name: (before[name] - after).total_seconds() for name, after in described(lab, one, other).items()}
    assert launched == {one: 3600, other: 0}


def described(lab: Lab, *instance_ids: str) -> dict[str, datetime]:
    """When each of these instances was launched, of those that EC2 finds by a filter."""
    filters = [{"Name": "instance-id", "Values": list(instance_ids)}]
    answer = lab.aws.client("ec2").describe_instances(Filters=filters)
    return {one["InstanceId"]: one["LaunchTime"] for each in answer["Reservations"] for one in each["Instances"]}


def test_standby_takes_an_instance_out_of_service_and_back_without_hooks(lab: Lab) -> None:
    group = lab.group(desired=1)
    (instance,) = group.await_members("InService")
    group.hook("launch", LAUNCHING)
    group.hook("terminate", TERMINATING)
    autoscaling = lab.aws.client("autoscaling")
    autoscaling.enter_standby(
        AutoScalingGroupName=group.name, InstanceIds=[instance], ShouldDecrementDesiredCapacity=True
    )
    assert group.await_members("Standby") == [instance]
    autoscaling.exit_standby(AutoScalingGroupName=group.name, InstanceIds=[instance])
    assert group.await_members("InService") == [instance]
    assert group.history(instance) == ["Pending", "InService", "EnteringStandby", "Standby", "Pending", "InService"]


def test_a_target_is_registered_only_after_the_launch_hook(lab: Lab) -> None:
    elb = lab.aws.client("elbv2")
    target_group = elb.create_target_group(Name=lab.name, Protocol="HTTP", Port=80, VpcId="vpc-00000001")
    arn = target_group["TargetGroups"][0]["TargetGroupArn"]

    def targets() -> list[str]:
        health = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return [one["Target"]["Id"] for one in health if one["TargetHealth"]["State"] != "draining"]

    group = lab.group(TargetGroupARNs=[arn])
    group.hook("hook", LAUNCHING)
    group.resize(1)
    (instance,) = group.await_members("Pending:Wait")
    assert targets() == []
    group.complete("hook", "CONTINUE", InstanceId=instance)
    group.await_members("InService")
    assert targets() == [instance]
    group.resize(0)
    group.await_history(instance, "Terminated")
    assert targets() == []


def test_a_target_is_initial_then_healthy_and_drains_in_the_end(lab: Lab) -> None:
    elb = lab.aws.client("elbv2")
    made = elb.create_target_group(Name=lab.name, Protocol="HTTP", Port=80, VpcId="vpc-00000001")
    asked = {"TargetGroupArn": made["TargetGroups"][0]["TargetGroupArn"]}
    group = lab.group(desired=1)
    (instance,) = group.await_members("InService")
    asked["Targets"] = [{"Id": instance}]

    def health() -> tuple[str, str]:
        (one,) = elb.describe_target_health(**asked)["TargetHealthDescriptions"]
        return one["TargetHealth"]["State"], one["TargetHealth"].get("Reason", "")

    assert health() == ("unused", "Target.NotRegistered")
    elb.deregister_targets(**asked)
    elb.register_targets(**asked)
    assert health() == ("initial", "Elb.InitialHealthChecking")
    eventually(lambda: health() == ("healthy", ""))
    elb.register_targets(**asked)
    assert health() == ("healthy", "")
    lab.aws.say_of_target(asked["TargetGroupArn"], "unhealthy", "Target.Timeout", instance_id=instance)
    assert health() == ("unhealthy", "Target.Timeout")
    elb.deregister_targets(**asked)
    assert health() == ("draining", "Target.DeregistrationInProgress")
    events = [each.what for each in lab.aws.target_events() if each.instance_id == instance]
    assert events == ["registered", "healthy", "deregistered"]
    lab.aws.client("ec2").terminate_instances(InstanceIds=[instance])
    with pytest.raises(elb.exceptions.InvalidTargetException, match=f"not in a running state.*{instance}"):
        elb.register_targets(**asked)
    with pytest.raises(elb.exceptions.TargetGroupNotFoundException):
        elb.describe_target_health(TargetGroupArn="arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/no/0")


def test_a_group_tells_of_whatever_sends_it_traffic(lab: Lab) -> None:
    arns = [f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/{name}/0123456789abcdef" for name in "ab"]
    source = {"Identifier": arns[1], "Type": "elbv2"}
    group = lab.group(TargetGroupARNs=arns[:1], LoadBalancerNames=["old"], TrafficSources=[source])
    answer = lab.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group.name])
    (described,) = answer["AutoScalingGroups"]
    assert described["TargetGroupARNs"] == arns[:1]
    assert described["LoadBalancerNames"] == ["old"]
    assert described["TrafficSources"] == [
        {"Identifier": arns[0], "Type": "elbv2"},
        {"Identifier": "old", "Type": "elb"},
        source,
    ]


def test_a_hook_with_a_queue_of_its_own_tests_it_and_then_notifies_it(lab: Lab) -> None:
    group, queue = lab.group(), lab.queue()
    group.hook("hook", LAUNCHING, NotificationTargetARN=queue.arn, NotificationMetadata="some data")
    (test,) = eventually(queue.receive)
    assert json.loads(test)["Event"] == "autoscaling:TEST_NOTIFICATION"
    group.resize(1)
    (instance,) = group.await_members("Pending:Wait")
    (notification,) = map(json.loads, eventually(queue.receive))
    action = {
        "Service": "AWS Auto Scaling",
        "AccountId": ACCOUNT,
        "AutoScalingGroupName": group.name,
        "LifecycleHookName": "hook",
        "EC2InstanceId": instance,
        "LifecycleTransition": LAUNCHING,
        "NotificationMetadata": "some data",
    }
    assert action.items() <= notification.items()
    assert not {"Origin", "Destination", "Action"} & notification.keys()
    group.complete("hook", "CONTINUE", LifecycleActionToken=notification["LifecycleActionToken"])
    group.await_members("InService")


def test_a_group_notifies_its_topic_of_what_it_was_asked_to(lab: Lab) -> None:
    group, queue = lab.group(), lab.queue()
    sns, autoscaling = lab.aws.client("sns"), lab.aws.client("autoscaling")
    topic = sns.create_topic(Name=lab.name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    asked = {"AutoScalingGroupName": group.name, "TopicARN": topic}
    kinds = ["autoscaling:EC2_INSTANCE_LAUNCH", "autoscaling:EC2_INSTANCE_TERMINATE"]
    autoscaling.put_notification_configuration(**asked, NotificationTypes=kinds)
    answer = autoscaling.describe_notification_configurations(AutoScalingGroupNames=[group.name])
    assert answer["NotificationConfigurations"] == [{**asked, "NotificationType": kind} for kind in kinds]
    (test,) = map(json.loads, eventually(queue.receive))
    assert json.loads(test["Message"])["Event"] == "autoscaling:TEST_NOTIFICATION"

    group.resize(1)
    (instance,) = group.await_members("InService")
    (launch,) = map(json.loads, eventually(queue.receive))
    assert (launch["TopicArn"], launch["Subject"]) == (topic, f'Auto Scaling: launch for group "{group.name}"')
    fields = {
        "Service": "AWS Auto Scaling",
        "AccountId": ACCOUNT,
        "AutoScalingGroupName": group.name,
        "EC2InstanceId": instance,
        "Description": f"Launching a new EC2 instance: {instance}",
        "StatusCode": "InProgress",
        "Progress": 50,
        "Event": kinds[0],
    }
    assert fields.items() <= json.loads(launch["Message"]).items()

    autoscaling.put_notification_configuration(**asked, NotificationTypes=kinds[1:])
    eventually(queue.receive)  # another test
    group.resize(2)
    first, _ = group.await_members("InService", 2)
    group.resize(1)
    group.await_history(first, "Terminated")
    (termination,) = map(json.loads, eventually(queue.receive))
    said = json.loads(termination["Message"])
    assert (said["Event"], said["EC2InstanceId"]) == (kinds[1], first)

    autoscaling.delete_notification_configuration(**asked)
    answer = autoscaling.describe_notification_configurations(AutoScalingGroupNames=[group.name])
    assert answer["NotificationConfigurations"] == []


def test_a_launch_that_was_abandoned_is_notified_as_failed_and_not_as_a_launch(lab: Lab) -> None:
    group, queue = lab.group(), lab.queue()
    sns, autoscaling = lab.aws.client("sns"), lab.aws.client("autoscaling")
    topic = sns.create_topic(Name=lab.name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes={"RawMessageDelivery": "true"})
    kinds = ["autoscaling:EC2_INSTANCE_LAUNCH", "autoscaling:EC2_INSTANCE_LAUNCH_ERROR"]
    autoscaling.put_notification_configuration(AutoScalingGroupName=group.name, TopicARN=topic, NotificationTypes=kinds)
    eventually(queue.receive)  # the test
    group.hook("hook", LAUNCHING)
    group.resize(1)
    (instance,) = group.await_members("Pending:Wait")
    group.complete("hook", "ABANDON", InstanceId=instance)
    group.await_history(instance, "Terminated")
    group.resize(0)
    (failure,) = map(json.loads, eventually(queue.receive))
    assert (failure["Event"], failure["StatusCode"]) == (kinds[1], "Failed")


def test_a_launch_is_an_event_unless_it_is_dropped(lab: Lab) -> None:
    group, queue = lab.group(), lab.queue()
    events = lab.aws.client("events")
    detail = {"AutoScalingGroupName": [group.name], "LifecycleHookName": [{"prefix": "rollcall-"}]}
    pattern = {"source": ["aws.autoscaling"], "detail-type": [LAUNCH_EVENT], "detail": detail}
    events.put_rule(Name=lab.name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=lab.name, Targets=[{"Id": "queue", "Arn": queue.arn}])
    group.hook("rollcall-hook", LAUNCHING)
    lab.aws.drop_events(LAUNCH_EVENT)
    group.resize(1)
    (unheard,) = group.await_members("Pending:Wait")
    lab.aws.drop_events()
    group.resize(2)
    heard = next(one for one in group.await_members("Pending:Wait", 2) if one != unheard)
    (event,) = map(json.loads, eventually(queue.receive))
    assert event["source"] == "aws.autoscaling"
    assert event["account"] == ACCOUNT
    assert event["resources"][0].endswith(f"autoScalingGroupName/{group.name}")
    action = {
        "AutoScalingGroupName": group.name,
        "LifecycleHookName": "rollcall-hook",
        "EC2InstanceId": heard,
        "LifecycleTransition": LAUNCHING,
        "Origin": "EC2",
        "Destination": "AutoScalingGroup",
        "Action": "Launch",
    }
    assert {**action, "LifecycleActionToken": event["detail"]["LifecycleActionToken"]} == event["detail"]


# Event sources.


def test_a_storm_of_messages_comes_in_few_large_batches(lab: Lab) -> None:
    queue = lab.queue()
    queue.send(*map(str, range(250)))
    function = lab.function(
        "say(*[record['body'] for record in event['Records']])",
        queue,
        BatchSize=100,
        MaximumBatchingWindowInSeconds=1,
    )
    eventually(lambda: sum(map(len, function.said())) == 250)
    batches = function.said()
    assert sorted(int(body) for batch in batches for body in batch) == list(range(250))
    assert len(batches) <= 5
    assert max(map(len, batches)) <= 100


def test_messages_that_trickle_in_within_the_window_share_a_batch(lab: Lab) -> None:
    queue = lab.queue()
    function = lab.function(
        "say(*[record['body'] for record in event['Records']])",
        queue,
        BatchSize=100,
        MaximumBatchingWindowInSeconds=2,
        ScalingConfig={"MaximumConcurrency": 2},
    )
    for number in range(6):
        queue.send(str(number))
        eventually(lambda: queue.visible() == 0)
    eventually(lambda: sum(map(len, function.said())) == 6)
    assert len(function.said()) == 2


def test_a_record_has_the_shape_that_lambda_gives_it(lab: Lab) -> None:
    queue = lab.queue()
    function = lab.function("say(*event['Records'])", queue)
    attributes = {"Colour": {"DataType": "String", "StringValue": "red"}}
    lab.aws.client("sqs").send_message(QueueUrl=queue.url, MessageBody="hello", MessageAttributes=attributes)
    ((record,),) = eventually(function.said)
    assert set(record) == {
        "messageId",
        "receiptHandle",
        "body",
        "attributes",
        "messageAttributes",
        "md5OfBody",
        "eventSource",
        "eventSourceARN",
        "awsRegion",
    }
    assert (record["body"], record["eventSource"]) == ("hello", "aws:sqs")
    assert (record["eventSourceARN"], record["awsRegion"]) == (queue.arn, REGION)
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["messageAttributes"]["Colour"]["stringValue"] == "red"


def test_only_the_reported_failures_of_a_batch_come_again(lab: Lab) -> None:
    queue = lab.queue(VisibilityTimeout=AGAIN)
    queue.send("good", "bad", "good too")
    function = lab.function(
        """
        counts = [(r["body"], int(r["attributes"]["ApproximateReceiveCount"])) for r in event["Records"]]
        say(*counts)
        failed = [r["messageId"] for r, (body, count) in zip(event["Records"], counts) if body == "bad" and count == 1]
        return {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}
        """,
        queue,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    eventually(lambda: len(function.said()) == 2)
    first, second = function.said()
    assert sorted(first) == [["bad", 1], ["good", 1], ["good too", 1]]
    assert second == [["bad", 2]]


def test_a_visibility_that_the_function_has_set_stands(lab: Lab) -> None:
    queue = lab.queue(VisibilityTimeout="900")
    queue.send("later")
    function = lab.function(
        """
        (record,) = event["Records"]
        say(int(record["attributes"]["ApproximateReceiveCount"]))
        import boto3
        boto3.client("sqs").change_message_visibility(
            QueueUrl=os.environ["QUEUE"], ReceiptHandle=record["receiptHandle"], VisibilityTimeout=1
        )
        raise RuntimeError("not yet")
        """,
        queue,
    )
    eventually(lambda: [2] in function.said())


def test_messages_are_counted_wherever_they_are(lab: Lab) -> None:
    sqs, url = lab.aws.client("sqs"), lab.aws.open_queue(f"{lab.name}-counted")
    assert lab.aws.messages(url) == 0
    for delay in (0, 0, AGAIN):
        sqs.send_message(QueueUrl=url, MessageBody="{}", DelaySeconds=int(delay))
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1
    assert lab.aws.messages(url) == 3


def test_a_message_that_keeps_failing_ends_in_the_dead_letter_queue(lab: Lab) -> None:
    queue = lab.queue(receives=2, VisibilityTimeout=AGAIN)
    function = lab.function("say(1)\nraise RuntimeError('broken')", queue)
    queue.send("poison")
    assert eventually(queue.dead) == ["poison"]
    assert function.said() == [[1], [1]]


def test_maximum_concurrency_limits_the_batches_in_flight(lab: Lab) -> None:
    queue = lab.queue()
    queue.send(*map(str, range(8)))
    function = lab.function(
        "started = time.time()\ntime.sleep(0.3)\nsay(started, time.time())",
        queue,
        BatchSize=1,
        ScalingConfig={"MaximumConcurrency": 2},
    )
    eventually(lambda: len(function.said()) == 8)
    starts, ends = zip(*function.said(), strict=True)
    changes = sorted([(moment, 1) for moment in starts] + [(moment, -1) for moment in ends])
    assert max(accumulate(change for _, change in changes)) == 2


def test_a_function_that_overruns_its_timeout_is_stopped(lab: Lab) -> None:
    function = lab.function("time.sleep(60)", timeout=1)
    answer = lab.aws.client("lambda").invoke(FunctionName=function.name)
    assert answer["FunctionError"]
    assert "Task timed out after 1.00 seconds" in answer["Payload"].read().decode()


SEND_ON = """
(record,) = event["Records"]
round = int(record["body"])
say(round)
if round < 20:
    import boto3
    boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody=str(round + 1))
"""


def test_a_chain_of_messages_is_cut_after_sixteen_rounds(lab: Lab) -> None:
    queue = lab.queue()
    function = lab.function(SEND_ON, queue)
    queue.send("1")
    assert eventually(queue.dead) == ["17"]
    assert sorted(round_ for (round_,) in function.said()) == list(range(1, 17))


def test_a_chain_goes_on_where_recursive_loops_are_allowed(lab: Lab) -> None:
    queue = lab.queue()
    function = lab.function(SEND_ON, queue)
    lab.aws.client("lambda").put_function_recursion_config(FunctionName=function.name, RecursiveLoop="Allow")
    queue.send("1")
    eventually(lambda: [20] in function.said())
    assert queue.dead() == []


def test_a_rule_tries_its_function_three_times(lab: Lab) -> None:
    function = lab.function("say(event['detail'])\nraise RuntimeError('broken')")
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function.name}"
    events = lab.aws.client("events")
    events.put_rule(Name=lab.name, EventPattern=json.dumps({"source": [lab.name]}))
    events.put_targets(Rule=lab.name, Targets=[{"Id": "function", "Arn": arn}])
    events.put_events(Entries=[{"Source": lab.name, "DetailType": "any", "Detail": '{"number": 1}'}])
    eventually(lambda: function.said() == [[{"number": 1}]] * 3)


def test_every_invocation_by_an_event_source_is_recorded(lab: Lab) -> None:
    before = time.time()
    queue = lab.queue(VisibilityTimeout=AGAIN)
    function = lab.function(
        """
        time.sleep(0.2)
        assert event['Records'][0]['attributes']['ApproximateReceiveCount'] != '1'
        """,
        queue,
        MaximumBatchingWindowInSeconds=1,
    )
    queue.send("a", "b", "c")
    eventually(lambda: len(of_function(lab, function)) == 2)
    first, second = of_function(lab, function)
    assert [(one.messages, one.failed) for one in (first, second)] == [(3, True), (3, False)]
    assert before < first.started < first.started + 0.2 <= first.ended < second.started < second.ended < time.time()
    lab.aws.client("lambda").invoke(FunctionName=function.name, Payload=json.dumps({"Records": []}))
    assert len(of_function(lab, function)) == 2


def of_function(lab: Lab, function: Function) -> list[Invocation]:
    return [one for one in lab.aws.invocations() if one.function == function.name]


# Calls of functions.


CALL_AWS = """
import boto3
boto3.client('autoscaling').describe_auto_scaling_groups()
boto3.client('ec2').describe_instances()
boto3.client('secretsmanager').list_secrets()
for text in 'ab':
    boto3.client('sqs').send_message(QueueUrl=os.environ['QUEUE'], MessageBody=text)
boto3.client('lambda').list_functions()
say('done')
"""


def test_the_calls_that_functions_make_are_counted_and_nobody_elses(lab: Lab) -> None:
    lab.aws.forget_calls()
    queue = lab.queue()
    feed = lab.queue("feed")
    function = lab.function(CALL_AWS.replace("os.environ['QUEUE']", repr(queue.url)), feed)
    feed.send("go")
    lab.aws.client("ec2").describe_instances()
    eventually(lambda: function.said() == [["done"]])
    expected = {
        "autoscaling:DescribeAutoScalingGroups": 1,
        "ec2:DescribeInstances": 1,
        "secretsmanager:ListSecrets": 1,
        "sqs:SendMessage": 2,
    }
    assert lab.aws.calls() == expected
    assert sorted(queue.receive()) == ["a", "b"]
    lab.aws.forget_calls()
    assert not lab.aws.calls()


REFUSED = """
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
config = Config(retries={'total_max_attempts': 1})
groups, machines = boto3.client('autoscaling', config=config), boto3.client('ec2', config=config)
queues = boto3.client('sqs', config=config)
def outcome(call):
    try:
        call()
    except ClientError as error:
        answer = error.response
        return [answer['ResponseMetadata']['HTTPStatusCode'], answer['Error']['Code'], answer['Error']['Message']]
say(*[outcome(call) for call in (groups.describe_auto_scaling_groups, machines.describe_instances, queues.list_queues)
      for _ in range(4)])
"""


def test_each_nth_call_of_a_throttled_action_is_refused_to_functions(lab: Lab) -> None:
    feed = lab.queue("feed")
    function = lab.function(REFUSED, feed)
    lab.aws.throttle("autoscaling:DescribeAutoScalingGroups", every=2)
    lab.aws.throttle("ec2:DescribeInstances", every=3)
    lab.aws.throttle("sqs:ListQueues", every=4)
    feed.send("go")
    eventually(lambda: function.said())
    refused = [400, "Throttling", "Rate exceeded"]
    (outcomes,) = function.said()
    assert outcomes[:4] == [None, refused, None, refused]
    assert outcomes[4:8] == [None, None, refused, None]
    assert outcomes[8:] == [None, None, None, [400, "ThrottlingException", "Rate exceeded"]]
    for _ in range(2):
        lab.aws.client("autoscaling").describe_auto_scaling_groups()
    lab.aws.throttle(None)
    feed.send("go")
    eventually(lambda: function.said() == [outcomes, [None] * 12])


CHANGES = """
import boto3
from botocore.config import Config
groups = boto3.client('autoscaling', config=Config(retries={{'total_max_attempts': 1}}))
for key in ('first', 'second'):
    groups.create_or_update_tags(Tags=[{{'ResourceId': '{group}', 'ResourceType': 'auto-scaling-group', 'Key': key,
                                         'Value': 'set', 'PropagateAtLaunch': False}}])
say('survived')
"""


@pytest.mark.parametrize(("after", "changed"), [(False, {"first"}), (True, {"first", "second"})])
def test_a_function_that_is_killed_at_a_call_has_made_it_or_not_and_goes_on_no_further(
    lab: Lab, after: bool, changed: set[str]
) -> None:
    group = lab.group()
    function = lab.function(CHANGES.format(group=group.name))
    lab.aws.kill(function.name, "autoscaling:CreateOrUpdateTags", 2, after=after)
    answer = lab.aws.client("lambda").invoke(FunctionName=function.name)
    assert answer["FunctionError"]
    described = lab.aws.client("autoscaling").describe_tags(
        Filters=[{"Name": "auto-scaling-group", "Values": [group.name]}]
    )
    assert {each["Key"] for each in described["Tags"]} == changed
    assert not function.said()
    assert "FunctionError" not in lab.aws.client("lambda").invoke(FunctionName=function.name)
    assert function.said() == [["survived"]]


def test_calls_of_a_denied_action_are_refused_for_good_to_functions(lab: Lab) -> None:
    feed = lab.queue("feed")
    function = lab.function(REFUSED, feed)
    lab.aws.deny("autoscaling:DescribeAutoScalingGroups", only=2)
    lab.aws.deny("ec2:DescribeInstances")
    lab.aws.deny("sqs:ListQueues", only=4)
    feed.send("go")
    eventually(lambda: function.said())
    words = "User is not authorized to perform: "
    (outcomes,) = function.said()
    assert outcomes[:4] == [None, [403, "AccessDenied", f"{words}autoscaling:DescribeAutoScalingGroups"], None, None]
    assert outcomes[4:8] == [[403, "UnauthorizedOperation", "You are not authorized to perform this operation."]] * 4
    assert outcomes[8:] == [None, None, None, [400, "AccessDeniedException", f"{words}sqs:ListQueues"]]
    lab.aws.client("ec2").describe_instances()
    lab.aws.deny(None)
    feed.send("go")
    eventually(lambda: function.said() == [outcomes, [None] * 12])


def test_what_a_test_bent_is_named_until_its_faults_end(lab: Lab) -> None:
    ec2, group, function = lab.aws.client("ec2"), lab.group(desired=1), lab.function("say()")
    (instance,) = group.await_members("InService")
    assert lab.aws.bent() == {}
    lab.aws.deny("ec2:DescribeInstances")
    lab.aws.throttle("ec2:DescribeImages")
    lab.aws.kill(function.name, "ec2:RunInstances", 1)
    lab.aws.refuse_call("ec2:StopInstances", "Unsupported")
    lab.aws.rights.watch(function.name)
    lab.aws.drop_events(LAUNCH_EVENT)
    lab.aws.hide(instance)
    lab.aws.force_state(instance, "Standby")
    lab.aws.answer_stale(instance_id=instance)
    lab.aws.refuse_launches(group.name, "None is launched.")
    lab.aws.lack("iam:PassRole")
    lab.aws.rule_refreshes(retry_seconds=1)
    lab.aws.refuse_refresh_call("StartInstanceRefresh", "LimitExceeded")
    lab.aws.images.take(image=5)
    lab.aws.images.fail("the volume was lost")
    lab.aws.images.fail_checks()
    ec2.enable_ebs_encryption_by_default()
    assert lab.aws.bent() == {
        "calls of functions": ["ec2:DescribeImages", "ec2:DescribeInstances", "ec2:RunInstances", "ec2:StopInstances"],
        "functions that are watched": [function.name],
        "events": [LAUNCH_EVENT],
        "instances that are hidden": [instance],
        "lifecycle states": [instance],
        "answers to lifecycle actions": True,
        "launches": True,
        "permissions": ["iam:PassRole"],
        "rules of refreshes": True,
        "calls about refreshes": ["StartInstanceRefresh"],
        "images": ["pace", "images", "status checks"],
        "encryption by default": [True, ""],
    }
    lab.aws.end_faults()
    assert lab.aws.bent().keys() == {"encryption by default"}
    ec2.disable_ebs_encryption_by_default()
    assert lab.aws.bent() == {}


# Schedules.


def test_a_schedule_that_is_made_due_invokes_its_function_once_with_its_input(lab: Lab) -> None:
    function = lab.function("say(event)")
    lab.aws.client("scheduler").create_schedule(
        Name=lab.name,
        ScheduleExpression="rate(5 minutes)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function.name}",
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/any",
            "Input": '{"every": 5}',
        },
    )
    lab.aws.fire_schedule(lab.name)
    eventually(function.said)
    assert function.said() == [[{"every": 5}]]


# The server.


def test_nothing_of_ministack_that_we_touch_has_moved() -> None:
    check = subprocess.run(
        [sys.executable, "-m", "lab.aws.ministack"],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (check.returncode, check.stderr) == (0, "")


def test_the_server_and_its_running_functions_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    script = """
import io, os, sys, time, zipfile
from pathlib import Path
from lab.aws.embedded import EmbeddedAws

started = Path(sys.argv[1]) / "started"
aws = EmbeddedAws(log=started.with_name("aws.log")).__enter__()
code = f'''
import os, time
def handler(event, context):
    with open("{started}.new", "w") as file:
        file.write(f"{{os.getppid()}} {{os.getpid()}}")
    os.rename("{started}.new", "{started}")
    time.sleep(600)
'''
archive = io.BytesIO()
with zipfile.ZipFile(archive, "w") as files:
    files.writestr("app.py", code)
functions = aws.client("lambda")
functions.create_function(
    FunctionName="f",
    Runtime="python3.13",
    Handler="app.handler",
    Role="r",
    Code={"ZipFile": archive.getvalue()},
    Timeout=600,
)
functions.invoke(FunctionName="f", InvocationType="Event")
while not started.exists():
    time.sleep(0.05)
os._exit(1)
"""
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        timeout=60,
        check=False,
    )
    server, worker = map(int, (tmp_path / "started").read_text().split())
    eventually(lambda: not _alive(server) and not _alive(worker))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
