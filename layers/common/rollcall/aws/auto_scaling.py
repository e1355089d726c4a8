"""Auto Scaling: groups, their hooks and instances, and the lifecycle actions that are open."""

from __future__ import annotations

import re
from itertools import batched
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

from rollcall.domain.actions import Result, Transition
from rollcall.domain.cache import ExpiringCache
from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.domain.errors import RollcallError
from rollcall.domain.groups import Group, Hook
from rollcall.domain.membership import Membership, OptedIn

from .client import aws_errors, by_halves, require_no_refusals
from .regional_clients import RegionalClients

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from mypy_boto3_autoscaling.type_defs import ActivityTypeDef, PaginatorConfigTypeDef

    from rollcall.domain.actions import LifecycleAction

    from .client import Refusal

GROUPS_TTL = 60.0  # seconds
GROUPS_PER_CALL = 50  # by name
GROUPS_PER_PAGE = 100  # DescribeAutoScalingGroups' maximum
STATES_PER_CALL = 50  # DescribeAutoScalingInstances' maximum
ACTIVITIES: PaginatorConfigTypeDef = {"MaxItems": 1000, "PageSize": 100}  # DescribeScalingActivities' maximum
LAUNCH = "Launching a new EC2 instance"  # begins the description of one (user guide, "Verify a scaling activity")
LAUNCHING = re.compile(r"Launching a new EC2 instance(?! into)[^:]*: (?P<id>i-[0-9a-z]+)")
ANY_LAUNCH = re.compile(r"Launching a new EC2 instance[^:]*: (?P<id>i-[0-9a-z]+)")  # also into a warm pool
TERMINATING = re.compile(r"Terminating EC2 instance[^:]*: (?P<id>i-[0-9a-z]+)")
# As AWS words why it terminates an instance of which neither the group's size nor a refresh is the reason: "At … an
# instance was taken out of service in response to a user request", or "… to an ELB system health check failure" (user
# guide, "View the reason for health check failures").
TAKEN = re.compile(r"taken out of service in response to (?:a user|an? [^.]*\b(?:health|status)[ -]check)")


class Activity(NamedTuple):
    """When a group began to launch or terminate instances, in epoch seconds by instance id.

    launch_failure: why its last launch came to no instance, in AWS's words; empty where it came to one. taken: of those
    terminated the ones that a user terminated, or that failed a health check. came_through: when the last launch of an
    instance was through, by which it is in service or in the warm pool; without those whose launch goes on.
    """

    launched: Mapping[str, float]
    terminated: Mapping[str, float]
    launch_failure: str = ""
    taken: frozenset[str] = frozenset()
    came_through: Mapping[str, float] = EMPTY_MAPPING


class AutoScaling(RegionalClients):
    """The Auto Scaling groups of one account and Region."""

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self._groups: ExpiringCache[str, Group] = ExpiringCache(GROUPS_TTL)

    def groups(self, names: Collection[str]) -> dict[str, Group]:
        """Groups by name with all that Group holds, remembered for a minute; one that does not exist is left out."""
        return self._groups.get_all(names, self._read_groups)

    def _read_groups(self, names: list[str]) -> dict[str, Group]:
        """A name that AWS calls wrong is no group's."""
        found: dict[str, Group] = {}
        with aws_errors("DescribeAutoScalingGroups"):
            pages = self._autoscaling.get_paginator("describe_auto_scaling_groups")

            def describe(chunk: Sequence[str]) -> None:
                found.update(
                    (raw["AutoScalingGroupName"], self._group(raw))
                    for page in pages.paginate(AutoScalingGroupNames=list(chunk))
                    for raw in page["AutoScalingGroups"]
                )

            for chunk in batched(names, GROUPS_PER_CALL):
                by_halves(describe, chunk)
        return found

    def _group(self, raw: Any) -> Group:
        return Group(
            name=raw["AutoScalingGroupName"],
            tags={tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags", [])},
            heartbeat_timeouts=self._heartbeat_timeouts(raw["AutoScalingGroupName"]),
            target_groups=target_groups_of(raw),
            other_traffic=other_traffic_of(raw),
        )

    def opted_in(self, tag: str, *, members: bool = True) -> dict[str, OptedIn]:
        """Every group that carries this tag, by name, read afresh; without its members where these are not needed.

        The members in its warm pool are listed by a call of their own (DescribeWarmPool), for groups that have one.
        """
        with aws_errors("DescribeAutoScalingGroups"):
            pages = self._autoscaling.get_paginator("describe_auto_scaling_groups")
            return {
                raw["AutoScalingGroupName"]: _opted_in(raw, self._pooled(raw) if members else ())
                for page in pages.paginate(
                    Filters=[{"Name": "tag-key", "Values": [tag]}],
                    IncludeInstances=members,
                    PaginationConfig={"PageSize": GROUPS_PER_PAGE},
                )
                for raw in page["AutoScalingGroups"]
            }

    def _pooled(self, raw: Any) -> list[Any]:
        """The instances in a group's warm pool, as AWS describes them."""
        if "WarmPoolConfiguration" not in raw:
            return []
        pages = self._autoscaling.get_paginator("describe_warm_pool")
        try:
            return [
                each
                for page in pages.paginate(AutoScalingGroupName=raw["AutoScalingGroupName"])
                for each in page["Instances"]
            ]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":  # the group or its pool was deleted a moment ago
                return []
            raise

    def arrivals(self, group: str, instance_ids: Collection[str]) -> dict[str, float]:
        """When a group began to launch each of these instances, or to take it out of its warm pool, in epoch seconds.

        By its latest scaling activities, whose descriptions begin with "Launching a new EC2 instance" and name the
        instance (user guide, "Verify a scaling activity"); one that they do not name is left out.
        """
        return self._began(group, instance_ids, LAUNCHING)

    def departures(self, group: str, instance_ids: Collection[str]) -> dict[str, float]:
        """When a group began to terminate each of these instances, in epoch seconds: as arrivals, by its activities."""
        return self._began(group, instance_ids, TERMINATING)

    def activity_since(self, group: str, since: float) -> Activity:
        """What a group began to launch, and to terminate, since then (epoch seconds), also in its pool."""
        launched: dict[str, float] = {}
        terminated: dict[str, float] = {}
        failures: dict[float, str] = {}
        taken: set[str] = set()
        came_through: dict[str, float] = {}
        for began, raw in self._activities_since(group, since):
            words = raw["Description"]
            if launch := ANY_LAUNCH.match(words):
                if launch["id"] not in launched and raw["StatusCode"] == "Successful" and "EndTime" in raw:
                    came_through[launch["id"]] = raw["EndTime"].timestamp()
                launched.setdefault(launch["id"], began)
            elif termination := TERMINATING.match(words):
                terminated.setdefault(termination["id"], began)
                if TAKEN.search(raw["Cause"]):
                    taken.add(termination["id"])
            elif words.startswith(LAUNCH) and raw["StatusCode"] == "Failed":  # before there was an instance
                failures[began] = raw.get("StatusMessage", "") or words
        failed = max(failures, default=None)
        is_last = failed is not None and failed >= max(launched.values(), default=failed)
        failure = failures[failed] if failed is not None and is_last else ""
        return Activity(launched, terminated, failure, frozenset(taken), came_through)

    def _activities_since(self, group: str, since: float) -> Iterator[tuple[float, ActivityTypeDef]]:
        """Those that began since then, each with when: AWS shows those in progress first, then the newest."""
        pages = self._autoscaling.get_paginator("describe_scaling_activities")
        with aws_errors(f"DescribeScalingActivities of group {group}"):
            for page in pages.paginate(AutoScalingGroupName=group, PaginationConfig={"PageSize": 100}):
                for raw in page["Activities"]:
                    began = raw["StartTime"].timestamp()
                    if began >= since:
                        yield began, raw
                    elif raw.get("EndTime"):
                        return

    def _began(self, group: str, instance_ids: Collection[str], activity: re.Pattern[str]) -> dict[str, float]:
        found: dict[str, float] = {}
        pages = self._autoscaling.get_paginator("describe_scaling_activities")
        with aws_errors(f"DescribeScalingActivities of group {group}"):
            for page in pages.paginate(AutoScalingGroupName=group, PaginationConfig=ACTIVITIES):
                for raw in page["Activities"]:  # the newest first
                    named = activity.match(raw["Description"])
                    if named and named["id"] in instance_ids:
                        found.setdefault(named["id"], raw["StartTime"].timestamp())
                if found.keys() >= set(instance_ids):
                    break
        return found

    def hooks(self, group: str) -> list[Hook]:
        """A group's lifecycle hooks; none of a group that does not exist."""
        with aws_errors(f"DescribeLifecycleHooks of group {group}"):
            return [
                Hook(
                    raw["LifecycleHookName"],
                    Transition(raw["LifecycleTransition"]),
                    raw.get("NotificationTargetARN", ""),
                    Result(raw["DefaultResult"]),
                    raw["HeartbeatTimeout"],
                )
                for raw in self._hooks(group)
            ]

    def _heartbeat_timeouts(self, group: str) -> dict[str, int]:
        return {hook["LifecycleHookName"]: hook["HeartbeatTimeout"] for hook in self._hooks(group)}

    def _hooks(self, group: str) -> list[Any]:
        try:
            answer = self._autoscaling.describe_lifecycle_hooks(AutoScalingGroupName=group)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":  # the group was deleted a moment ago
                return []
            raise
        return list(answer["LifecycleHooks"])

    def memberships(self, instance_ids: Collection[str]) -> dict[str, Membership]:
        """Group and lifecycle state of each instance that Auto Scaling lists. Raises InstancesRefused.

        That AWS refuses an id is not taken for not listing it: hosts of what is not listed are removed.
        """
        found: dict[str, Membership] = {}

        def describe(chunk: Sequence[str]) -> None:
            answer = self._autoscaling.describe_auto_scaling_instances(InstanceIds=list(chunk))
            for raw in answer["AutoScalingInstances"]:
                found[raw["InstanceId"]] = Membership(raw["AutoScalingGroupName"], raw["LifecycleState"])

        refused: dict[str, Refusal] = {}
        with aws_errors("DescribeAutoScalingInstances"):
            for chunk in batched(sorted(instance_ids), STATES_PER_CALL):
                refused |= by_halves(describe, chunk)
        require_no_refusals("DescribeAutoScalingInstances", refused)
        return found

    def complete(self, action: LifecycleAction, result: Result) -> bool:
        """Complete the action's hook. False if no such action is open any more: that is finished work, not an error."""
        return self._act(action, "CompleteLifecycleAction", result)

    def heartbeat(self, action: LifecycleAction) -> bool:
        """Restart the hook's timeout. False if no such action is open any more.

        Nor is one kept open of a group in an emergency: there this changes nothing, and is False.
        """
        return not self.in_emergency(action.group) and self._act(action, "RecordLifecycleActionHeartbeat")

    def in_emergency(self, name: str) -> bool:
        """Whether a group is in an emergency, by tags that may be a minute old.

        No where AWS does not show the group now: one heartbeat too many does less harm than one too few.
        """
        try:
            group = self.groups({name}).get(name)
        except RollcallError:
            return False
        return group is not None and group.in_emergency

    def _act(self, action: LifecycleAction, call: str, result: Result | None = None) -> bool:
        assert action.hook, "only an action with a hook can be answered"  # noqa: S101 - a caller's mistake
        arguments: dict[str, Any] = {"AutoScalingGroupName": action.group, "LifecycleHookName": action.hook}
        if action.token:
            arguments["LifecycleActionToken"] = action.token
        else:
            arguments["InstanceId"] = action.instance_id
        with aws_errors(f"{call} for {action.instance_id} of group {action.group}"):
            try:
                if result:
                    self._autoscaling.complete_lifecycle_action(LifecycleActionResult=result, **arguments)
                else:
                    self._autoscaling.record_lifecycle_action_heartbeat(**arguments)
            except ClientError as error:
                if _is_stale(error):
                    return False
                raise
        return True


def _opted_in(raw: Any, pooled: Collection[Any]) -> OptedIn:
    name = raw["AutoScalingGroupName"]
    instances = [*raw.get("Instances", ()), *pooled]
    return OptedIn(
        group=Group(
            name,
            {tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags", [])},
            {},
            target_groups_of(raw),
            other_traffic_of(raw),
        ),
        members={each["InstanceId"]: Membership(name, each["LifecycleState"]) for each in instances},
    )


def target_groups_of(raw: Any) -> tuple[str, ...]:
    """ARNs; those attached as target groups, and those attached as traffic sources."""
    sources = [each["Identifier"] for each in raw.get("TrafficSources", ()) if each.get("Type") == "elbv2"]
    return tuple(dict.fromkeys([*raw.get("TargetGroupARNs", ()), *sources]))


def other_traffic_of(raw: Any) -> tuple[str, ...]:
    classic = [*raw.get("LoadBalancerNames", ())]
    words = []
    for source in raw.get("TrafficSources", ()):
        if source.get("Type") == "elb":
            classic.append(source["Identifier"])
        elif source.get("Type") != "elbv2":
            words.append(f"{source.get('Type', 'traffic source')} {source['Identifier']}")
    return (*(f"classic load balancer {each}" for each in dict.fromkeys(classic)), *words)


def _is_stale(error: ClientError) -> bool:
    """No such action, or its whole group is gone."""
    details = error.response["Error"]
    return details["Code"] == "ValidationError" and (
        "No active Lifecycle Action found" in details["Message"] or "not found" in details["Message"]
    )
