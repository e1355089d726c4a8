"""The Auto Scaling API in front of the engine: what it answers itself, and what MiniStack stores for it.

Parameters and answers are those of the query protocol. Limits and messages: Amazon EC2 Auto Scaling API reference.
"""

import time
import uuid
from collections.abc import Callable

from lab import aws_ministack as cloud
from lab import aws_notifications
from lab.autoscaling import COUNTED, Action, Engine, Instance, global_timeout, traffic_sources
from lab.aws_ministack import Record, Response
from lab.aws_notifications import timestamp

MAX_INSTANCE_IDS = 50
"""Instances that a DescribeAutoScalingInstances call may name."""
MAX_RECORDS = 100
DEFAULT_RECORDS = 50
"""Results a page, at most and unless asked otherwise."""

DESCRIBED = (
    "AutoScalingGroupName",
    "AutoScalingGroupARN",
    "MinSize",
    "MaxSize",
    "DesiredCapacity",
    "DefaultCooldown",
    "AvailabilityZones",
    "HealthCheckType",
    "HealthCheckGracePeriod",
    "CreatedTime",
    "VPCZoneIdentifier",
    "TerminationPolicies",
    "NewInstancesProtectedFromScaleIn",
    "Tags",
)
"""What DescribeAutoScalingGroups tells of a group as it is stored."""


class RequestRefusedError(Exception):
    """The request is one that Auto Scaling refuses; the message is its answer."""

    def __init__(self, message: str, code: str = "ValidationError") -> None:
        super().__init__(message)
        self.code = code


class Api:
    """Answers the API actions of Auto Scaling."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def actions(self) -> dict[str, Callable[[Record], Response]]:
        """Return the API actions that the engine answers, by name."""
        handlers: dict[str, Callable[[Record], Record]] = {
            "DescribeAutoScalingGroups": self._describe_groups,
            "DescribeAutoScalingInstances": self._describe_instances,
            "DescribeLifecycleHooks": self._describe_hooks,
            "DescribeNotificationConfigurations": self._describe_notifications,
            "PutNotificationConfiguration": self._put_notification,
            "DeleteNotificationConfiguration": self._delete_notification,
            "SetDesiredCapacity": self._set_desired_capacity,
            "SetInstanceHealth": self._set_instance_health,
            "CompleteLifecycleAction": self._complete,
            "RecordLifecycleActionHeartbeat": self._heartbeat,
            "TerminateInstanceInAutoScalingGroup": self._terminate_instance,
            "EnterStandby": self._enter_standby,
            "ExitStandby": self._exit_standby,
        }
        passed_on: dict[str, Callable[[Record], Response]] = {
            "CreateAutoScalingGroup": self._create_group,
            "UpdateAutoScalingGroup": self._update_group,
            "DeleteAutoScalingGroup": self._delete_group,
        }
        return {
            **{name: _refusing(handler) for name, handler in passed_on.items()},
            **{name: _refusing(_answering(name, handler)) for name, handler in handlers.items()},
        }

    def _create_group(self, params: Record) -> Response:
        response = cloud.create_group(params)
        if response[0] == 200:
            group = _group(params)
            for key in ("TargetGroupARNs", "LoadBalancerNames"):
                group[key] = cloud.members(params, key)
            group["TrafficSources"] = cloud.structure(params, "TrafficSources") or []
            group["LaunchTemplate"] = cloud.structure(params, "LaunchTemplate")
            hooks = cloud.structure(params, "LifecycleHookSpecificationList")
            cloud.put_hooks(group["AutoScalingGroupName"], hooks or [])
        return response

    def _update_group(self, params: Record) -> Response:
        group = _group(params)
        sizes = {key: int(params.get(key) or group[key]) for key in ("MinSize", "MaxSize", "DesiredCapacity")}
        if sizes["MinSize"] > sizes["MaxSize"]:
            raise RequestRefusedError("Max bound must be greater than or equal to min bound.")
        if params.get("DesiredCapacity"):
            _check_capacity(sizes)
        response = cloud.update_group(params)
        group["DesiredCapacity"] = min(max(sizes["DesiredCapacity"], sizes["MinSize"]), sizes["MaxSize"])
        template = cloud.structure(params, "LaunchTemplate")
        if template:
            group["LaunchTemplate"] = template
        return response

    def _delete_group(self, params: Record) -> Response:
        group = _group(params)
        if params.get("ForceDelete") != "true" and self._engine.members(group):
            message = "You cannot delete an AutoScalingGroup while there are instances still in the group."
            raise RequestRefusedError(message, "ResourceInUse")
        return cloud.delete_group(params)

    def _set_desired_capacity(self, params: Record) -> Record:
        group = _group(params)
        desired = int(params["DesiredCapacity"])
        _check_capacity({**group, "DesiredCapacity": desired})
        group["DesiredCapacity"] = desired
        return {}

    def _set_instance_health(self, params: Record) -> Record:
        self._instance(params["InstanceId"]).health = params["HealthStatus"]
        return {}

    def _terminate_instance(self, params: Record) -> Record:
        instance = self._instance(params["InstanceId"])
        group = cloud.group_named(instance.group) or {}
        decrement = params.get("ShouldDecrementDesiredCapacity") == "true"
        if decrement and instance.state in COUNTED:
            if group["DesiredCapacity"] <= group["MinSize"]:
                raise RequestRefusedError(
                    "Currently, desiredSize equals minSize "
                    f"({group['MinSize']}). Terminating instance without replacement will violate group's min size "
                    f"constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size."
                )
            group["DesiredCapacity"] -= 1
        now = time.time()
        if not instance.state.startswith("Terminating"):
            self._engine.terminate(instance, now, "an instance was taken out of service in response to a user request.")
        return {"Activity": _activity(instance, now, f"Terminating EC2 instance: {instance.instance_id}")}

    def _enter_standby(self, params: Record) -> Record:
        group = _group(params)
        instances = [self._instance(one) for one in cloud.members(params, "InstanceIds")]
        for instance in instances:
            if instance.state != "InService":
                raise RequestRefusedError(f"The instance {instance.instance_id} is not in InService.")
        if params.get("ShouldDecrementDesiredCapacity") == "true":
            desired = group["DesiredCapacity"] - len(instances)
            if desired < group["MinSize"]:
                raise RequestRefusedError(
                    f"AutoScalingGroup {group['AutoScalingGroupName']} has min-size={group['MinSize']}, "
                    f"desired-size={group['DesiredCapacity']}. To place into standby {len(instances)} "
                    "instance(s), please update the AutoScalingGroup sizes appropriately."
                )
            group["DesiredCapacity"] = desired
        now = time.time()
        for instance in instances:
            self._engine.enter_standby(instance, now)
        return {
            "Activities": [
                _activity(one, now, f"Moving EC2 instance to Standby: {one.instance_id}") for one in instances
            ]
        }

    def _exit_standby(self, params: Record) -> Record:
        group = _group(params)
        instances = [self._instance(one) for one in cloud.members(params, "InstanceIds")]
        for instance in instances:
            if instance.state != "Standby":
                raise RequestRefusedError(f"The instance {instance.instance_id} is not in Standby.")
        group["DesiredCapacity"] += len(instances)
        now = time.time()
        for instance in instances:
            self._engine.exit_standby(instance, now)
        return {
            "Activities": [
                _activity(one, now, f"Moving EC2 instance out of Standby: {one.instance_id}") for one in instances
            ]
        }

    def _complete(self, params: Record) -> Record:
        result = params.get("LifecycleActionResult")
        if result not in ("CONTINUE", "ABANDON"):
            raise RequestRefusedError(f"Lifecycle Action Result must be CONTINUE or ABANDON, not {result}")
        self._action(params).result = result
        return {}

    def _heartbeat(self, params: Record) -> Record:
        self._action(params).extend(time.time())
        return {}

    def _action(self, params: Record) -> Action:
        """Return the action in progress that a call names by token or by instance id."""
        token, instance_id = params.get("LifecycleActionToken"), params.get("InstanceId")
        named = (params["AutoScalingGroupName"], params["LifecycleHookName"])
        if token:
            actions = [action] if (action := self._engine.action(token)) else []
        else:
            instance = self._engine.instance(cloud.current_scope(), instance_id or "")
            actions = instance.actions if instance else []
        for action in actions:
            if action.result is None and named == (
                action.hook["AutoScalingGroupName"],
                action.hook["LifecycleHookName"],
            ):
                return action
        what = f"token {token}" if token else f"instance ID {instance_id}"
        raise RequestRefusedError(f"No active Lifecycle Action found with {what}")

    def _instance(self, instance_id: str) -> Instance:
        instance = self._engine.instance(cloud.current_scope(), instance_id)
        if instance:
            return instance
        raise RequestRefusedError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")

    def _describe_groups(self, params: Record) -> Record:
        names = cloud.members(params, "AutoScalingGroupNames")
        filters = cloud.structure(params, "Filters") or []
        scope = cloud.current_scope()
        found = [group for owner, group in cloud.groups() if owner == scope]
        chosen = [
            self._group_description(group)
            for group in found
            if (not names or group["AutoScalingGroupName"] in names) and all(_passes(group, one) for one in filters)
        ]
        return _page(chosen, params, "AutoScalingGroups")

    def _group_description(self, group: Record) -> Record:
        template = {key: value for key, value in (group.get("LaunchTemplate") or {}).items() if value}
        return {
            **{key: group[key] for key in DESCRIBED},
            **({"LaunchTemplate": template} if template else {}),
            "TargetGroupARNs": group.get("TargetGroupARNs", []),
            "LoadBalancerNames": group.get("LoadBalancerNames", []),
            "TrafficSources": traffic_sources(group),
            "Instances": [_instance_description(one) for one in self._engine.members(group)],
        }

    def _describe_instances(self, params: Record) -> Record:
        wanted = cloud.members(params, "InstanceIds")
        if len(wanted) > MAX_INSTANCE_IDS:
            raise RequestRefusedError(
                f"The number of instance IDs that can be specified may not exceed {MAX_INSTANCE_IDS}."
            )
        scope = cloud.current_scope()
        named = [self._engine.instance(scope, one) for one in dict.fromkeys(wanted)]
        found = [
            {
                **_instance_description(instance),
                "AutoScalingGroupName": instance.group,
                "HealthStatus": instance.health.upper(),
            }
            for instance in (named if wanted else self._engine.instances(scope))
            if instance
        ]
        return _page(found, params, "AutoScalingInstances")

    def _describe_hooks(self, params: Record) -> Record:
        names = cloud.members(params, "LifecycleHookNames")
        hooks = cloud.hooks_of(_group(params)["AutoScalingGroupName"])
        return {
            "LifecycleHooks": [
                {
                    **{key: value for key, value in hook.items() if value != ""},
                    "GlobalTimeout": global_timeout(hook),
                }
                for hook in hooks
                if not names or hook["LifecycleHookName"] in names
            ]
        }

    def _put_notification(self, params: Record) -> Record:
        kinds = cloud.members(params, "NotificationTypes")
        for kind in kinds:
            if kind not in aws_notifications.TYPES:
                raise RequestRefusedError(f"{kind} is no notification type")
        aws_notifications.configure(_group(params), params["TopicARN"], kinds)
        return {}

    def _delete_notification(self, params: Record) -> Record:
        aws_notifications.forget(_group(params), params["TopicARN"])
        return {}

    def _describe_notifications(self, params: Record) -> Record:
        names = cloud.members(params, "AutoScalingGroupNames")
        scope = cloud.current_scope()
        found = [group for owner, group in cloud.groups() if owner == scope]
        chosen = [group for group in found if not names or group["AutoScalingGroupName"] in names]
        return _page(aws_notifications.configurations(chosen), params, "NotificationConfigurations")


def _answering(name: str, handler: Callable[[Record], Record]) -> Callable[[Record], Response]:
    return lambda params: cloud.answer(name, handler(params))


def _refusing(handler: Callable[[Record], Response]) -> Callable[[Record], Response]:
    def handle(params: Record) -> Response:
        try:
            return handler(params)
        except RequestRefusedError as refused:
            return cloud.refusal(refused.code, str(refused))

    return handle


def _group(params: Record) -> Record:
    group = cloud.group_named(params["AutoScalingGroupName"])
    if group is None:
        raise RequestRefusedError(
            f"AutoScalingGroup name not found - AutoScalingGroup: {params['AutoScalingGroupName']}"
        )
    return group


def _check_capacity(group: Record) -> None:
    desired, low, high = group["DesiredCapacity"], group["MinSize"], group["MaxSize"]
    if desired > high:
        raise RequestRefusedError(
            f"New SetDesiredCapacity value {desired} is above max value {high} for the AutoScalingGroup."
        )
    if desired < low:
        raise RequestRefusedError(
            f"New SetDesiredCapacity value {desired} is below min value {low} for the AutoScalingGroup."
        )


def _passes(group: Record, condition: Record) -> bool:
    name, values = condition["Name"], condition.get("Values", [])
    tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
    if name == "tag-key":
        return any(key in values for key in tags)
    if name == "tag-value":
        return any(value in values for value in tags.values())
    if name.startswith("tag:"):
        return tags.get(name.removeprefix("tag:")) in values
    raise RequestRefusedError(f"Invalid filter name: {name}")


def _page(items: list[Record], params: Record, name: str) -> Record:
    start = int(params.get("NextToken") or 0)
    end = start + min(int(params.get("MaxRecords") or DEFAULT_RECORDS), MAX_RECORDS)
    return {name: items[start:end], **({"NextToken": str(end)} if end < len(items) else {})}


def _instance_description(instance: Instance) -> Record:
    template = {key: value for key, value in instance.launch_template.items() if value}
    return {
        "InstanceId": instance.instance_id,
        "InstanceType": cloud.instance_type(instance.instance_id),
        "AvailabilityZone": instance.zone,
        "LifecycleState": instance.state,
        "HealthStatus": instance.health,
        "ProtectedFromScaleIn": instance.protected,
        **({"LaunchTemplate": template} if template else {}),
    }


def _activity(instance: Instance, now: float, description: str) -> Record:
    return {
        "ActivityId": str(uuid.uuid4()),
        "AutoScalingGroupName": instance.group,
        "Description": description,
        "Cause": f"At {timestamp(now)} {instance.cause}",
        "StartTime": timestamp(now),
        "StatusCode": "InProgress",
        "Progress": 0,
    }
