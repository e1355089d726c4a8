"""What Auto Scaling says of the instances of a group: events, and notifications of hooks and groups.

Source: the Amazon EC2 Auto Scaling user guide ("event reference", "Warm pool example events and patterns", "Instance
refresh example events and patterns", "Prepare to add a lifecycle hook"); the descriptions of activities in a warm pool
are from published recordings of the API's answers (2026). A hook's own notification names neither where an instance
comes from nor where it goes.
"""

import uuid

from lab.aws import ministack as cloud
from lab.aws.lifecycle import EC2, GROUP, LAUNCHING, POOL, Action, Instance, Passage
from lab.aws.ministack import Record
from lab.aws.notifications import send, timestamp

SOURCE = "aws.autoscaling"
DESCRIPTIONS = {
    (EC2, GROUP): "Launching a new EC2 instance",
    (EC2, POOL): "Launching a new EC2 instance into warm pool",
    (POOL, GROUP): "Launching a new EC2 instance from warm pool",
    (GROUP, POOL): "Scaling in EC2 instance into warm pool",
    (GROUP, EC2): "Terminating EC2 instance",
    (POOL, EC2): "Terminating EC2 instance from warm pool",
}
"""What an activity is called, by where the instance comes from and goes."""


class LifecycleEvents:
    """Puts the events on the default bus of the account and Region that the caller acts for."""

    def put(self, detail_type: str, detail: Record, resources: list[str]) -> None:
        """Put an event of Auto Scaling."""
        cloud.put_event(SOURCE, detail_type, detail, resources)

    def action(self, instance: Instance, passage: Passage, action: Action, now: float) -> None:
        """Report a lifecycle action that has begun, to the hook's own notification target as well."""
        facts = {
            "LifecycleActionToken": action.token,
            "AutoScalingGroupName": instance.group,
            "LifecycleHookName": action.hook["LifecycleHookName"],
            "EC2InstanceId": instance.instance_id,
            "LifecycleTransition": action.hook["LifecycleTransition"],
        }
        if action.hook.get("NotificationMetadata"):
            facts["NotificationMetadata"] = action.hook["NotificationMetadata"]
        way = {"Origin": passage.origin, "Destination": passage.destination, "Action": passage.action}
        kind = "launch" if passage.transition == LAUNCHING else "terminate"
        self.put(f"EC2 Instance-{kind} Lifecycle Action", {**facts, **way}, [instance.group_arn])
        if action.hook.get("NotificationTargetARN"):
            body = {
                "Service": "AWS Auto Scaling",
                "Time": timestamp(now),
                "RequestId": str(uuid.uuid4()),
                "AccountId": instance.scope.account,
                **facts,
            }
            verb = passage.transition.rpartition("_")[2]
            subject = f"Auto Scaling:  Lifecycle action '{verb}' for instance {instance.instance_id} in progress."
            cloud.notify(action.hook["NotificationTargetARN"], subject, body)

    def launched(self, instance: Instance, passage: Passage, now: float) -> None:
        """Report an instance that is in service, or in the warm pool."""
        self._activity(instance, passage, "EC2 Instance Launch Successful", now, instance.launched)

    def not_launched(self, instance: Instance, passage: Passage, token: str, now: float) -> None:
        """Report an instance whose launch was abandoned by the hook with this token."""
        message = (
            "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token "
            f"{token} was abandoned: Lifecycle Action Completed with ABANDON Result"
        )
        self._activity(instance, passage, "EC2 Instance Launch Unsuccessful", now, instance.launched, "Failed", message)

    def terminated(self, instance: Instance, passage: Passage, now: float) -> None:
        """Report an instance that was terminated, or is back in the warm pool."""
        self._activity(instance, passage, "EC2 Instance Terminate Successful", now, now)

    def _activity(
        self,
        instance: Instance,
        passage: Passage,
        detail_type: str,
        now: float,
        began: float,
        status: str = "InProgress",
        message: str = "",
    ) -> None:
        scope = instance.scope
        instance_arn = f"arn:aws:ec2:{scope.region}:{scope.account}:instance/{instance.instance_id}"
        detail = {
            "StatusCode": status,
            "Description": f"{DESCRIPTIONS[passage.origin, passage.destination]}: {instance.instance_id}",
            "AutoScalingGroupName": instance.group,
            "ActivityId": str(uuid.uuid4()),
            "Details": {"Availability Zone": instance.zone, "Subnet ID": instance.subnet},
            "RequestId": str(uuid.uuid4()),
            "StatusMessage": message,
            "EndTime": timestamp(now),
            "EC2InstanceId": instance.instance_id,
            "StartTime": timestamp(began),
            "Cause": f"At {timestamp(now)} {instance.cause}",
            "Origin": passage.origin,
            "Destination": passage.destination,
        }
        self.put(detail_type, detail, [instance.group_arn, instance_arn])
        group = cloud.group_named(instance.group)
        if group and group["AutoScalingGroupARN"] == instance.group_arn:
            send(group, detail_type, detail)
