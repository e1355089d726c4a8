"""What there is of an installation and of Auto Scaling groups in AWS, read and never changed, for doctor.

Methods raise AwsUnavailable for what passes by itself, AwsDenied or AwsRejected for the rest.
"""

from __future__ import annotations

import json
from itertools import batched
from threading import Lock
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from rollcall.aws.auto_scaling import GROUPS_PER_CALL, GROUPS_PER_PAGE, other_traffic_of, target_groups_of
from rollcall.aws.client import aws_errors
from rollcall.aws.group_details import details_of
from rollcall.domain.actions import Result, Transition
from rollcall.domain.groups import Group
from rollcall.domain.membership import Membership

from .observations import ObservedGroup, ObservedHook, ObservedQueue, ObservedRule, ObservedTopic

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from rollcall.aws.instance_refreshes import Refresh

PATIENT = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=3, read_timeout=10)  # seconds


class AwsReader:
    """Reads what is in this account and Region. Threads may share it."""

    def __init__(self) -> None:
        self._making = Lock()
        self._clients: dict[str, Any] = {}

    def _client(self, service: str) -> Any:
        with self._making:  # clients may be shared by threads, but not made by several at once
            if service not in self._clients:
                self._clients[service] = boto3.client(service, config=PATIENT)  # type: ignore[call-overload]
            return self._clients[service]

    # The stack

    def rule(self, name: str) -> ObservedRule:
        """A rule of the default event bus."""
        with aws_errors(f"DescribeRule {name}"):
            raw = self._client("events").describe_rule(Name=name)
        with aws_errors(f"ListTargetsByRule {name}"):
            targets = self._client("events").list_targets_by_rule(Rule=name)["Targets"]
        return ObservedRule(raw["Arn"], raw["State"] == "ENABLED", frozenset(each["Arn"] for each in targets))

    def source_state(self, mapping: str) -> str:
        """The state of an event source mapping, by its id: Enabled, Disabled, or on the way to one of them."""
        with aws_errors(f"GetEventSourceMapping {mapping}"):
            return str(self._client("lambda").get_event_source_mapping(UUID=mapping)["State"])

    def is_scheduled(self, schedule: str) -> bool:
        """Whether a schedule of the default group is enabled."""
        with aws_errors(f"GetSchedule {schedule}"):
            return bool(self._client("scheduler").get_schedule(Name=schedule)["State"] == "ENABLED")

    def queue(self, url: str) -> ObservedQueue:
        """A queue's settings, and how many messages wait in it."""
        with aws_errors(f"GetQueueAttributes of {url}"):
            raw = self._client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        redrive = json.loads(raw.get("RedrivePolicy") or "{}")
        return ObservedQueue(
            arn=raw["QueueArn"],
            messages=int(raw["ApproximateNumberOfMessages"]),
            visibility=int(raw["VisibilityTimeout"]),
            dead_letters=str(redrive.get("deadLetterTargetArn", "")),
            receives=int(redrive.get("maxReceiveCount", 0)),
            policy=raw.get("Policy", ""),
        )

    def topic(self, arn: str) -> ObservedTopic:
        """A topic, and the queues that are subscribed to it."""
        return ObservedTopic(arn, self.subscribers(arn))

    # Groups

    def groups(self, names: Collection[str] | None = None) -> dict[str, ObservedGroup]:
        """Every group, or those of these names, without hooks and topics."""
        with aws_errors("DescribeAutoScalingGroups"):
            pages = self._client("autoscaling").get_paginator("describe_auto_scaling_groups")
            chosen: Iterable[Mapping[str, Any]] = (
                [{"PaginationConfig": {"PageSize": GROUPS_PER_PAGE}}]
                if names is None
                else [{"AutoScalingGroupNames": list(chunk)} for chunk in batched(sorted(names), GROUPS_PER_CALL)]
            )
            return {
                raw["AutoScalingGroupName"]: _group(raw)
                for which in chosen
                for page in pages.paginate(**which)
                for raw in page["AutoScalingGroups"]
            }

    def hooks(self, group: str) -> tuple[ObservedHook, ...]:
        """A group's lifecycle hooks."""
        with aws_errors(f"DescribeLifecycleHooks of group {group}"):
            found = self._client("autoscaling").describe_lifecycle_hooks(AutoScalingGroupName=group)["LifecycleHooks"]
        return tuple(
            ObservedHook(
                raw["LifecycleHookName"],
                Transition(raw["LifecycleTransition"]),
                raw.get("NotificationTargetARN", ""),
                raw.get("RoleARN", ""),
                raw["HeartbeatTimeout"],
                Result(raw["DefaultResult"]),
            )
            for raw in found
        )

    def topics(self, names: Collection[str]) -> dict[str, dict[str, frozenset[str]]]:
        """By group, what each topic is notified of: the types of notifications by the topic's ARN."""
        found: dict[str, dict[str, frozenset[str]]] = {}
        with aws_errors("DescribeNotificationConfigurations"):
            pages = self._client("autoscaling").get_paginator("describe_notification_configurations")
            for chunk in batched(sorted(names), GROUPS_PER_CALL):
                for page in pages.paginate(AutoScalingGroupNames=list(chunk)):
                    for raw in page["NotificationConfigurations"]:
                        topics = found.setdefault(raw["AutoScalingGroupName"], {})
                        known = topics.get(raw["TopicARN"], frozenset())
                        topics[raw["TopicARN"]] = known | {raw["NotificationType"]}
        return found

    def subscribers(self, topic: str) -> frozenset[str]:
        """The ARNs of the queues that are subscribed to a topic and confirmed that."""
        with aws_errors(f"ListSubscriptionsByTopic {topic}"):
            pages = self._client("sns").get_paginator("list_subscriptions_by_topic")
            return frozenset(
                raw["Endpoint"]
                for page in pages.paginate(TopicArn=topic)
                for raw in page["Subscriptions"]
                if raw["Protocol"] == "sqs" and raw["SubscriptionArn"].startswith("arn:")
            )

    # Cycles

    def active_refresh(self, group: str) -> Refresh | None:
        """The instance refresh of a group that goes on; None without."""
        from rollcall.aws.instance_refreshes import refresh_of  # only installations with cycles need it

        with aws_errors(f"DescribeInstanceRefreshes of group {group}"):
            answer = self._client("autoscaling").describe_instance_refreshes(AutoScalingGroupName=group)
        return next((each for each in map(refresh_of, answer["InstanceRefreshes"]) if each.active), None)

    def is_running(self, machine: str, execution: str) -> bool:
        """Whether an execution of a state machine (by its ARN) runs, by its name; one that is not there does not."""
        arn = f"{machine.replace(':stateMachine:', ':execution:')}:{execution}"
        with aws_errors(f"DescribeExecution {execution}"):
            try:
                answer = self._client("stepfunctions").describe_execution(executionArn=arn)
            except ClientError as error:
                if error.response["Error"]["Code"] not in ("ExecutionDoesNotExist", "InvalidArn"):
                    raise
                return False
        return bool(answer["status"] == "RUNNING")

    # Bakes

    def template_tags(self, template_id: str) -> Mapping[str, str]:
        """The tags of a launch template."""
        with aws_errors(f"DescribeLaunchTemplates {template_id}"):
            found = self._client("ec2").describe_launch_templates(LaunchTemplateIds=[template_id])["LaunchTemplates"]
        return {each["Key"]: each["Value"] for raw in found for each in raw.get("Tags", ())}


def _group(raw: Any) -> ObservedGroup:
    name = raw["AutoScalingGroupName"]
    return ObservedGroup(
        Group(
            name,
            {tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags", [])},
            {},
            target_groups_of(raw),
            other_traffic_of(raw),
        ),
        {each["InstanceId"]: Membership(name, each["LifecycleState"]) for each in raw.get("Instances", ())},
        most=raw["MaxSize"],
        details=details_of(raw),
    )
