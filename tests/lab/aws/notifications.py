"""Notifications of Auto Scaling groups: what goes to which topic, and in which words.

Source: the Amazon EC2 Auto Scaling API reference (PutNotificationConfiguration), its user guide ("Amazon SNS
notification options"), and messages that people have published, for the fields and the subjects.
"""

import uuid
from datetime import UTC, datetime

from lab.aws import ministack as cloud
from lab.aws.ministack import Record

TEST = "autoscaling:TEST_NOTIFICATION"
EVENTS = {
    "EC2 Instance Launch Successful": ("autoscaling:EC2_INSTANCE_LAUNCH", "launch"),
    "EC2 Instance Launch Unsuccessful": ("autoscaling:EC2_INSTANCE_LAUNCH_ERROR", "failed launch"),
    "EC2 Instance Terminate Successful": ("autoscaling:EC2_INSTANCE_TERMINATE", "termination"),
    "EC2 Instance Terminate Unsuccessful": ("autoscaling:EC2_INSTANCE_TERMINATE_ERROR", "failed termination"),
}
"""The notification type and the subject's words by the detail type of the event about the same."""
TYPES = (*(kind for kind, _ in EVENTS.values()), TEST)
STORED = "NotificationConfigurations"
"""Where a group's record has them: notification types by topic."""


def configure(group: Record, topic: str, kinds: list[str], now: float) -> None:
    """Let a group notify a topic of these and of nothing else from now on, and send the topic a test."""
    group.setdefault(STORED, {})[topic] = kinds
    send_test(group, topic, now)


def forget(group: Record, topic: str) -> None:
    """Let a group notify a topic no more."""
    group.get(STORED, {}).pop(topic, None)


def configurations(groups: list[Record]) -> list[Record]:
    """Return what DescribeNotificationConfigurations shows of these groups."""
    return [
        {"AutoScalingGroupName": group["AutoScalingGroupName"], "TopicARN": topic, "NotificationType": kind}
        for group in groups
        for topic, kinds in group.get(STORED, {}).items()
        for kind in kinds
    ]


def send_test(group: Record, target: str, now: float) -> None:
    """Send a topic or a queue the message that shows that it can be reached."""
    name = group["AutoScalingGroupName"]
    body = {
        "AccountId": cloud.current_scope().account,
        "RequestId": str(uuid.uuid4()),
        "AutoScalingGroupARN": group["AutoScalingGroupARN"],
        "AutoScalingGroupName": name,
        "Service": "AWS Auto Scaling",
        "Event": TEST,
        "Time": timestamp(now),
    }
    cloud.notify(target, f'Auto Scaling: test notification for group "{name}"', body)


def send(group: Record, detail_type: str, detail: Record) -> None:
    """Notify the topics that are set up for it of what an event with this detail says."""
    kind, words = EVENTS[detail_type]
    body = {
        **detail,
        "Progress": 50,
        "AccountId": cloud.current_scope().account,
        "AutoScalingGroupARN": group["AutoScalingGroupARN"],
        "Service": "AWS Auto Scaling",
        "Time": detail["EndTime"],
        "Event": kind,
    }
    for topic, kinds in group.get(STORED, {}).items():
        if kind in kinds:
            cloud.notify(topic, f'Auto Scaling: {words} for group "{group["AutoScalingGroupName"]}"', body)


def timestamp(now: float) -> str:
    """Return a moment as AWS writes it."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
