"""The Auto Scaling API in front of the engine: what it answers itself, and what MiniStack stores for it.

Limits and messages: Amazon EC2 Auto Scaling API reference; those about too many instances, and about detaching, as its
users quote them. What is refused to retained instances is from published recordings of the answers (2026).
"""

import math
from collections.abc import Callable

from lab.aws import configurations, processes, warm_pools
from lab.aws import ministack as cloud
from lab.aws import notifications as aws_notifications
from lab.aws.activities import moment_of
from lab.aws.autoscaling import Engine, traffic_sources
from lab.aws.autoscaling_answers import (
    RequestRefusedError,
    answering,
    instance_description,
    named_group,
    page,
    refusing,
)
from lab.aws.group_settings_api import GroupSettingsApi
from lab.aws.lifecycle import COUNTED, Action, Instance, global_timeout, in_pool, is_retained
from lab.aws.ministack import Record, Response
from lab.aws.permissions import Permissions
from lab.aws.refresh_api import RefreshApi, check_templates, check_unheld
from lab.aws.stale_answers import StaleAnswers
from lab.aws.warm_pool_api import WarmPoolApi, pool_members

MAX_INSTANCE_IDS = 50
"""Instances that a DescribeAutoScalingInstances call may name, and that a page of its answer holds."""
MAX_DETACHED = 20
"""Instances that a DetachInstances call may name."""
MAX_RECORDS = 100
"""Groups or notification configurations a page, at most."""

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
"""What DescribeAutoScalingGroups shows of a group as it is stored."""
SETTINGS = ("MixedInstancesPolicy", "InstanceMaintenancePolicy", "InstanceLifecyclePolicy")
"""What a group is given as a structure, and keeps as it is given."""
SERVICE_ROLE = "arn:aws:iam::{account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
"""The role that a group acts with which names no other (user guide, "Service-linked roles for EC2 Auto Scaling")."""
UNSET = "-1"
"""The value that takes a former one away."""


class Api:
    """Answers the API actions of Auto Scaling."""

    def __init__(
        self, engine: Engine, stale: StaleAnswers | None = None, permissions: Permissions | None = None
    ) -> None:
        self._engine = engine
        self._stale = stale or StaleAnswers()
        self.refreshes = RefreshApi(engine, permissions or Permissions())

    def actions(self) -> dict[str, Callable[[Record], Response]]:
        """Return the API actions that the engine answers, by name."""
        handlers: dict[str, Callable[[Record], Record]] = {
            "DescribeAutoScalingGroups": self._describe_groups,
            "DescribeAutoScalingInstances": self._describe_instances,
            "DescribeLifecycleHooks": self._describe_hooks,
            "DescribeNotificationConfigurations": self._describe_notifications,
            "DescribeScalingActivities": self._describe_activities,
            "PutNotificationConfiguration": self._put_notification,
            "DeleteNotificationConfiguration": self._delete_notification,
            "SetDesiredCapacity": self._set_desired_capacity,
            "SetInstanceHealth": self._set_instance_health,
            "CompleteLifecycleAction": self._complete,
            "RecordLifecycleActionHeartbeat": self._heartbeat,
            "TerminateInstanceInAutoScalingGroup": self._terminate_instance,
            "EnterStandby": self._enter_standby,
            "ExitStandby": self._exit_standby,
            "DetachInstances": self._detach,
        }
        passed_on: dict[str, Callable[[Record], Response]] = {
            "CreateAutoScalingGroup": self._create_group,
            "UpdateAutoScalingGroup": self._update_group,
            "DeleteAutoScalingGroup": self._delete_group,
        }
        return {
            **{name: refusing(name, handler) for name, handler in passed_on.items()},
            **{name: refusing(name, answering(name, handler)) for name, handler in handlers.items()},
            **WarmPoolApi(self._engine).actions(),
            **self.refreshes.actions(),
            **GroupSettingsApi(self._engine).actions(),
        }

    def _create_group(self, params: Record) -> Response:
        check_templates({kind: cloud.structure(params, kind) for kind in configurations.KINDS})
        response = cloud.create_group(params)
        if response[0] == 200:
            group = named_group(params)
            for key in ("TargetGroupARNs", "LoadBalancerNames"):
                group[key] = cloud.members(params, key)
            group["TrafficSources"] = cloud.structure(params, "TrafficSources") or []
            group["LaunchTemplate"] = cloud.structure(params, "LaunchTemplate")
            _keep_settings(group, params)
            hooks = cloud.structure(params, "LifecycleHookSpecificationList")
            cloud.put_hooks(group["AutoScalingGroupName"], hooks or [])
        return response

    def _update_group(self, params: Record) -> Response:
        group = named_group(params)
        check_unheld(self._engine, group, params)
        configuration = {kind: cloud.structure(params, kind) for kind in configurations.KINDS}
        check_templates(configuration)
        sizes = {key: int(params.get(key) or group[key]) for key in ("MinSize", "MaxSize", "DesiredCapacity")}
        if sizes["MinSize"] > sizes["MaxSize"]:
            raise RequestRefusedError("Max bound must be greater than or equal to min bound.")
        if params.get("DesiredCapacity"):
            _check_capacity(sizes)
        response = cloud.update_group(params)
        group["DesiredCapacity"] = min(max(sizes["DesiredCapacity"], sizes["MinSize"]), sizes["MaxSize"])
        if any(configuration.values()):
            configurations.save(group, configurations.given(configuration))
        _keep_settings(group, params)
        return response

    def _delete_group(self, params: Record) -> Response:
        group = named_group(params)
        if params.get("ForceDelete") != "true" and self._engine.members(group):
            message = "You cannot delete an AutoScalingGroup while there are instances still in the group."
            raise RequestRefusedError(message, "ResourceInUse")
        return cloud.delete_group(params)

    def _set_desired_capacity(self, params: Record) -> Record:
        group = named_group(params)
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
        retained = is_retained(instance.state)
        if in_pool(instance.state) and not retained:
            raise RequestRefusedError(f"Instance {instance.instance_id} is in a warm pool and cannot be terminated.")
        if decrement and retained:
            raise RequestRefusedError(f"Instance {instance.instance_id} is retained and counts in no desired capacity.")
        if decrement and instance.state in COUNTED:
            if group["DesiredCapacity"] <= group["MinSize"]:
                raise RequestRefusedError(
                    "Currently, desiredSize equals minSize "
                    f"({group['MinSize']}). Terminating instance without replacement will violate group's min size "
                    f"constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size."
                )
            group["DesiredCapacity"] -= 1
        now = self._engine.clock()
        if retained or not instance.state.startswith("Terminating"):
            self._engine.terminate(instance, now, "an instance was taken out of service in response to a user request.")
        return {"Activity": self._engine.activities.begin(instance, "Terminating EC2 instance", now)}

    def _enter_standby(self, params: Record) -> Record:
        group, instances = named_group(params), self._instances_in(params, "InService")
        if params.get("ShouldDecrementDesiredCapacity") == "true":
            desired = group["DesiredCapacity"] - len(instances)
            if desired < group["MinSize"]:
                raise RequestRefusedError(
                    f"AutoScalingGroup {group['AutoScalingGroupName']} has min-size={group['MinSize']}, "
                    f"desired-size={group['DesiredCapacity']}. To place into standby {len(instances)} "
                    "instance(s), please update the AutoScalingGroup sizes appropriately."
                )
            group["DesiredCapacity"] = desired
        now = self._engine.clock()
        for instance in instances:
            self._engine.enter_standby(instance, now)
        return self._begun(instances, "Moving EC2 instance to Standby", now)

    def _exit_standby(self, params: Record) -> Record:
        group, instances = named_group(params), self._instances_in(params, "Standby")
        group["DesiredCapacity"] += len(instances)
        now = self._engine.clock()
        for instance in instances:
            self._engine.exit_standby(instance, now)
        return self._begun(instances, "Moving EC2 instance out of Standby", now)

    def _detach(self, params: Record) -> Record:
        group, ids = named_group(params), cloud.members(params, "InstanceIds")
        if len(ids) > MAX_DETACHED:
            message = "List exceeds the maximum number of instances to detach. Please retry your request with fewer"
            raise RequestRefusedError(f"{message} instances.")
        decrement = params.get("ShouldDecrementDesiredCapacity") == "true"
        instances = [self._member(group, each) for each in ids]
        for instance in instances:
            if instance.state not in ("InService", "Standby") and (decrement or not is_retained(instance.state)):
                raise RequestRefusedError(f"The instance {instance.instance_id} is not in InService or Standby.")
        if decrement:
            desired = group["DesiredCapacity"] - sum(each.state == "InService" for each in instances)
            if desired < group["MinSize"]:
                raise RequestRefusedError(
                    f"AutoScalingGroup {group['AutoScalingGroupName']} has min-size={group['MinSize']}, "
                    f"max-size={group['MaxSize']}, and desired-size={group['DesiredCapacity']}. To detach "
                    f"{len(instances)} instance (s) with decrement capacity, please update the AutoScalingGroup sizes "
                    "appropriately."
                )
            group["DesiredCapacity"] = desired
        now = self._engine.clock()
        for instance in instances:
            self._engine.detach(instance, now)
        return self._begun(instances, "Detaching EC2 instance", now)

    def _begun(self, instances: list[Instance], words: str, now: float) -> Record:
        """Return the activities that have begun, one for each of these."""
        return {"Activities": [self._engine.activities.begin(each, words, now) for each in instances]}

    def _complete(self, params: Record) -> Record:
        result = params.get("LifecycleActionResult")
        if result not in ("CONTINUE", "ABANDON"):
            raise RequestRefusedError(f"Lifecycle Action Result must be CONTINUE or ABANDON, not {result}")
        self._action(params).result = result
        return {}

    def _heartbeat(self, params: Record) -> Record:
        self._action(params).extend(self._engine.clock())
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
            known = (action.hook["AutoScalingGroupName"], action.hook["LifecycleHookName"])
            if action.result is None and named == known:
                if self._stale.concerns(action, self._engine.clock()):
                    break
                return action
        what = f"token {token}" if token else f"instance ID {instance_id}"
        raise RequestRefusedError(f"No active Lifecycle Action found with {what}")

    def _instances_in(self, params: Record, state: str) -> list[Instance]:
        """Return the instances that a request names, all of which must be in this state."""
        instances = [self._instance(one) for one in cloud.members(params, "InstanceIds")]
        for instance in instances:
            if instance.state != state:
                raise RequestRefusedError(f"The instance {instance.instance_id} is not in {state}.")
        return instances

    def _instance(self, instance_id: str) -> Instance:
        instance = self._engine.instance(cloud.current_scope(), instance_id)
        if instance:
            return instance
        raise RequestRefusedError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")

    def _member(self, group: Record, instance_id: str) -> Instance:
        instance = self._engine.instance(cloud.current_scope(), instance_id)
        if instance and instance.group_arn == group["AutoScalingGroupARN"]:
            return instance
        name = group["AutoScalingGroupName"]
        raise RequestRefusedError(f"The instance {instance_id} is not part of Auto Scaling group {name}.")

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
        return page(chosen, params, "AutoScalingGroups", MAX_RECORDS)

    def _group_description(self, group: Record) -> Record:
        configuration = configurations.described(configurations.of(group))
        maintenance, warmup = group.get("InstanceMaintenancePolicy"), group.get("DefaultInstanceWarmup")
        policy, pool = group.get("InstanceLifecyclePolicy"), warm_pools.of(group)
        size = len(pool_members(self._engine, group))
        return {
            **{key: group[key] for key in DESCRIBED},
            **configuration,
            "ServiceLinkedRoleARN": SERVICE_ROLE.format(account=cloud.current_scope().account),
            "SuspendedProcesses": processes.described(group),
            **({"InstanceMaintenancePolicy": maintenance} if maintenance else {}),
            **({} if warmup in (None, "") else {"DefaultInstanceWarmup": warmup}),
            "TargetGroupARNs": group.get("TargetGroupARNs", []),
            "LoadBalancerNames": group.get("LoadBalancerNames", []),
            "TrafficSources": traffic_sources(group),
            "Instances": [instance_description(one) for one in self._engine.members(group) if not in_pool(one.shown)],
            **({"InstanceLifecyclePolicy": policy} if policy else {}),
            **({"WarmPoolConfiguration": pool, "WarmPoolSize": size} if pool else {}),
        }

    def _describe_instances(self, params: Record) -> Record:
        wanted = cloud.members(params, "InstanceIds")
        if len(wanted) > MAX_INSTANCE_IDS:
            raise RequestRefusedError(
                f"The number of instance ids that may be passed in is limited to {MAX_INSTANCE_IDS}"
            )
        scope = cloud.current_scope()
        named = [self._engine.instance(scope, one) for one in dict.fromkeys(wanted)]
        found = [
            {
                **instance_description(instance),
                "AutoScalingGroupName": instance.group,
                "HealthStatus": instance.health.upper(),
            }
            for instance in (named if wanted else self._engine.instances(scope))
            if instance
        ]
        return page(found, params, "AutoScalingInstances", MAX_INSTANCE_IDS)

    def _describe_activities(self, params: Record) -> Record:
        name, with_deleted = params.get("AutoScalingGroupName"), params.get("IncludeDeletedGroups") == "true"
        if name and not with_deleted:
            named_group(params)
        bounds = {one["Name"]: one["Values"][0] for one in cloud.structure(params, "Filters") or []}
        since, until = (bounds.get(f"StartTime{each}Bound") for each in ("Lower", "Upper"))
        scope = cloud.current_scope()
        existing = {group["AutoScalingGroupARN"] for owner, group in cloud.groups() if owner == scope}
        found = self._engine.activities.of(
            scope,
            name,
            moment_of(since) if since else 0.0,
            moment_of(until) if until else math.inf,
            None if with_deleted else existing,
        )
        return page(found, params, "Activities", MAX_RECORDS)

    def _describe_hooks(self, params: Record) -> Record:
        names = cloud.members(params, "LifecycleHookNames")
        hooks = cloud.hooks_of(named_group(params)["AutoScalingGroupName"])
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
        aws_notifications.configure(named_group(params), params["TopicARN"], kinds, self._engine.clock())
        return {}

    def _delete_notification(self, params: Record) -> Record:
        aws_notifications.forget(named_group(params), params["TopicARN"])
        return {}

    def _describe_notifications(self, params: Record) -> Record:
        names = cloud.members(params, "AutoScalingGroupNames")
        scope = cloud.current_scope()
        found = [group for owner, group in cloud.groups() if owner == scope]
        chosen = [group for group in found if not names or group["AutoScalingGroupName"] in names]
        return page(aws_notifications.configurations(chosen), params, "NotificationConfigurations", MAX_RECORDS)


def _keep_settings(group: Record, params: Record) -> None:
    """Let a group have what a request says of it beyond what MiniStack keeps."""
    for key in SETTINGS:
        given = cloud.structure(params, key)
        if given:
            group[key] = given
    if UNSET in (group.get("InstanceMaintenancePolicy") or {}).values():
        del group["InstanceMaintenancePolicy"]
    warmup = params.get("DefaultInstanceWarmup")
    if warmup == UNSET:
        group.pop("DefaultInstanceWarmup", None)
    elif warmup:
        group["DefaultInstanceWarmup"] = warmup
    protects = params.get("NewInstancesProtectedFromScaleIn")
    if protects:
        group["NewInstancesProtectedFromScaleIn"] = protects == "true"


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
