"""EC2 and Auto Scaling, as much of them as we use, in one account and Region.

Clients are made when first needed: the ec2 client alone costs 144 ms of a cold start.
Methods raise Throttled for what passes by itself and AwsDenied for the rest.
"""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from .aws import CLIENT_CONFIG, aws_errors
from .errors import BadEvent, InstanceNotVisible, RollcallError, Throttled, Transient
from .expiring import Expiring
from .model import AddressKind, Group, Hook, Instance, LifecycleAction, Result, Transition
from .targets import Targets

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client

ONE_TRY = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=3)  # where we repeat by ourselves
CALLS_AT_ONCE = 8
GROUPS_TTL = 60.0  # seconds
GROUPS_PER_CALL = 50  # by name
GROUPS_PER_PAGE = 100  # DescribeAutoScalingGroups' maximum
STATES_PER_CALL = 50  # DescribeAutoScalingInstances' maximum
INSTANCES_PER_FILTER = 200  # EC2's maximum of values in one filter
STATUSES_PER_CALL = 100  # DescribeInstanceStatus' maximum of ids whose answer comes in one page
SETTLED = ("InService", "Standby")
USER_DATA_PAUSE = 0.5  # seconds before those are asked for again that EC2 put off, doubling


@dataclass(frozen=True)
class Membership:
    """What Auto Scaling says of an instance: its group and its lifecycle state."""

    group: str
    state: str

    @property
    def pending(self) -> bool:
        """On its way into service."""
        return self.state.startswith("Pending")

    @property
    def settled(self) -> bool:
        """In service, or taken out of it for a while."""
        return self.state in SETTLED

    @property
    def leaving(self) -> bool:
        """On its way out, for good or into a warm pool."""
        return self.state.startswith("Terminat") or self.state.startswith("Warmed:Terminat")


@dataclass(frozen=True)
class OptedIn:
    """A group that carries a tag, and its instances by id. Its hooks and its load balancers are not read."""

    group: Group
    members: Mapping[str, Membership]


class Fleet:
    """The Auto Scaling groups and instances of one account and Region."""

    def __init__(self, region: str) -> None:
        self.region = region
        self._groups: Expiring[str, Group] = Expiring(GROUPS_TTL)
        self._making = Lock()
        self._clients: dict[tuple[str, Config], Any] = {}

    @property
    def _autoscaling(self) -> AutoScalingClient:
        client: AutoScalingClient = self._client("autoscaling")
        return client

    @property
    def _ec2(self) -> EC2Client:
        client: EC2Client = self._client("ec2")
        return client

    @property
    def _ec2_once(self) -> EC2Client:
        client: EC2Client = self._client("ec2", ONE_TRY)
        return client

    @property
    def _elbv2(self) -> ElasticLoadBalancingv2Client:
        client: ElasticLoadBalancingv2Client = self._client("elbv2")
        return client

    @property
    def targets(self) -> Targets:
        """The target groups of its load balancers."""
        return Targets(self._elbv2)

    def _client(self, service: Literal["autoscaling", "ec2", "elbv2"], config: Config = CLIENT_CONFIG) -> Any:
        with self._making:  # clients may be shared by threads, but not made by several at once
            if (service, config) not in self._clients:
                self._clients[service, config] = boto3.client(service, region_name=self.region, config=config)
            return self._clients[service, config]

    def groups(self, names: Collection[str]) -> dict[str, Group]:
        """Groups by name with all that Group holds, remembered for a minute; one that does not exist is left out."""
        return self._groups.get_all(names, self._read_groups)

    def _read_groups(self, names: list[str]) -> dict[str, Group]:
        with aws_errors("DescribeAutoScalingGroups"):
            pages = self._autoscaling.get_paginator("describe_auto_scaling_groups")
            return {
                raw["AutoScalingGroupName"]: Group(
                    name=raw["AutoScalingGroupName"],
                    tags={tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags", [])},
                    heartbeat_timeouts=self._heartbeat_timeouts(raw["AutoScalingGroupName"]),
                    target_groups=target_groups_of(raw),
                    other_traffic=other_traffic_of(raw),
                )
                for chunk in batched(names, GROUPS_PER_CALL)
                for page in pages.paginate(AutoScalingGroupNames=list(chunk))
                for raw in page["AutoScalingGroups"]
            }

    def opted_in(self, tag: str, *, members: bool = True) -> dict[str, OptedIn]:
        """Every group that carries this tag, by name, read afresh; without its members where these are not needed."""
        with aws_errors("DescribeAutoScalingGroups"):
            pages = self._autoscaling.get_paginator("describe_auto_scaling_groups")
            return {
                raw["AutoScalingGroupName"]: _opted_in(raw)
                for page in pages.paginate(
                    Filters=[{"Name": "tag-key", "Values": [tag]}],
                    IncludeInstances=members,
                    PaginationConfig={"PageSize": GROUPS_PER_PAGE},
                )
                for raw in page["AutoScalingGroups"]
            }

    def hooks(self, group: str) -> list[Hook]:
        """A group's lifecycle hooks; none of a group that does not exist."""
        with aws_errors(f"DescribeLifecycleHooks of group {group}"):
            return [
                Hook(
                    raw["LifecycleHookName"],
                    Transition(raw["LifecycleTransition"]),
                    raw.get("NotificationTargetARN", ""),
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
        """Group and lifecycle state of each instance that Auto Scaling lists."""
        with aws_errors("DescribeAutoScalingInstances"):
            return {
                raw["InstanceId"]: Membership(raw["AutoScalingGroupName"], raw["LifecycleState"])
                for chunk in batched(sorted(instance_ids), STATES_PER_CALL)
                for raw in self._autoscaling.describe_auto_scaling_instances(InstanceIds=list(chunk))[
                    "AutoScalingInstances"
                ]
            }

    def departed(self, instance_ids: Collection[str], memberships: Mapping[str, Membership]) -> set[str]:
        """Those of the instances that are gone or going.

        That Auto Scaling does not list one is not enough: it may have been detached, and live on.
        """
        unlisted = [each for each in instance_ids if each not in memberships]
        living = {each.instance_id for each in self.instances(unlisted).values() if each.living} if unlisted else set()
        return {each for each in unlisted if each not in living} | {
            each for each, known in memberships.items() if known.leaving
        }

    def instances(self, instance_ids: Collection[str]) -> dict[str, Instance]:
        """Instances by id; those EC2 does not know are left out (a list of ids would fail on them)."""
        with aws_errors("DescribeInstances"):
            pages = self._ec2.get_paginator("describe_instances")
            return {
                raw["InstanceId"]: _instance(raw)
                for found in self._each_chunk(
                    lambda chunk: list(pages.paginate(Filters=[{"Name": "instance-id", "Values": list(chunk)}])),
                    instance_ids,
                )
                for page in found
                for reservation in page["Reservations"]
                for raw in reservation["Instances"]
            }

    def _each_chunk[P](
        self, describe: Callable[[tuple[str, ...]], list[P]], instance_ids: Collection[str]
    ) -> list[list[P]]:
        """One call for each two hundred ids, a few at once where there are many."""
        chunks = list(batched(sorted(instance_ids), INSTANCES_PER_FILTER))
        if len(chunks) < 2:
            return [describe(chunk) for chunk in chunks]
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            return list(pool.map(describe, chunks))

    def user_data(self, instance_ids: Collection[str], seconds: float) -> dict[str, str | RollcallError]:
        """The user data of each instance in base64, "" where it has none; or why EC2 did not tell within the seconds.

        EC2 tells it of one instance a call, a hundred at once and then twenty a second for the whole account ("Request
        throttling for the Amazon EC2 API"). Those that it puts off, or does not know yet, are asked for again.
        """
        deadline = time.monotonic() + seconds
        answers: dict[str, str | RollcallError] = {}
        waiting, pause = sorted(instance_ids), USER_DATA_PAUSE
        while True:
            with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
                told = pool.map(lambda each: self._user_data(each, deadline), waiting)
                answers |= zip(waiting, told, strict=True)
            waiting = [each for each in waiting if isinstance(answers[each], Transient)]
            if not waiting or time.monotonic() + pause > deadline:
                return answers
            time.sleep(pause)
            pause *= 2

    def _user_data(self, instance_id: str, deadline: float) -> str | RollcallError:
        if time.monotonic() > deadline:
            return Throttled(f"there was no time to ask EC2 for the user data of {instance_id}")
        try:
            with aws_errors("DescribeInstanceAttribute"):
                answer = self._ec2_once.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
        except RollcallError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError) and cause.response["Error"]["Code"] == "InvalidInstanceID.NotFound":
                return InstanceNotVisible(f"EC2 does not tell the attributes of {instance_id} yet")
            return error
        return answer.get("UserData", {}).get("Value", "")

    def passing_status_checks(self, instance_ids: Collection[str]) -> set[str]:
        """Those of the instances whose system and instance status checks both passed."""
        with aws_errors("DescribeInstanceStatus"):
            return {
                instance_id
                for chunk in batched(sorted(instance_ids), STATUSES_PER_CALL)
                for instance_id in self._passing(set(chunk))
            }

    def _passing(self, instance_ids: set[str]) -> set[str]:
        """This call has no filter by id, and fails for all if EC2 does not know one; then it is asked without that."""
        if not instance_ids:
            return set()
        try:
            answer = self._ec2.describe_instance_status(InstanceIds=sorted(instance_ids))
        except ClientError as error:
            unknown = set(re.findall(r"i-\w+", error.response["Error"]["Message"])) & instance_ids
            if error.response["Error"]["Code"] != "InvalidInstanceID.NotFound" or not unknown:
                raise
            return self._passing(instance_ids - unknown)
        return {
            raw["InstanceId"]
            for raw in answer["InstanceStatuses"]
            if raw["InstanceStatus"]["Status"] == raw["SystemStatus"]["Status"] == "ok"
        }

    def complete(self, action: LifecycleAction, result: Result) -> bool:
        """Complete the action's hook. False if no such action is open any more: that is finished work, not an error."""
        return self._act(action, "CompleteLifecycleAction", result)

    def heartbeat(self, action: LifecycleAction) -> bool:
        """Restart the hook's timeout. False if no such action is open any more."""
        return self._act(action, "RecordLifecycleActionHeartbeat")

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


class Fleets:
    """Fleets by account and Region. Only this installation's own account is served so far."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._fleets: dict[str, Fleet] = {}

    def of(self, action: LifecycleAction) -> Fleet:
        """The fleet an action belongs to. Raises BadEvent for an account that is not served."""
        if action.account != self._account:
            raise BadEvent(
                f"{action.instance_id} belongs to account {action.account}, and only {self._account} is served: "
                "send its events to an installation there"
            )
        return self.in_region(action.region)

    def in_region(self, region: str) -> Fleet:
        """The fleet of a Region of this account."""
        return self._fleets.setdefault(region, Fleet(region))


def _opted_in(raw: Any) -> OptedIn:
    name = raw["AutoScalingGroupName"]
    return OptedIn(
        group=Group(name, {tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags", [])}, {}),
        members={each["InstanceId"]: Membership(name, each["LifecycleState"]) for each in raw.get("Instances", ())},
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


def _instance(raw: Any) -> Instance:
    private, public = raw.get("PrivateIpAddress", ""), raw.get("PublicIpAddress", "")
    return Instance(
        instance_id=raw["InstanceId"],
        state=raw["State"]["Name"],
        launched_at=raw["LaunchTime"].timestamp(),
        addresses={
            AddressKind.PRIVATE: private,
            AddressKind.PUBLIC: public,
            AddressKind.PRIVATE_DNS: raw.get("PrivateDnsName", ""),
            AddressKind.PUBLIC_DNS: raw.get("PublicDnsName", ""),
        },
        facts={
            "id": raw["InstanceId"],
            "type": raw.get("InstanceType", ""),
            "image": raw.get("ImageId", ""),
            "zone": raw.get("Placement", {}).get("AvailabilityZone", ""),
            "vpc": raw.get("VpcId", ""),
            "subnet": raw.get("SubnetId", ""),
            "private_ip": private,
            "public_ip": public,
            "private_dns": raw.get("PrivateDnsName", ""),
        },
        tags={tag["Key"]: tag["Value"] for tag in raw.get("Tags", [])},
    )
