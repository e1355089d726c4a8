"""EC2 and Auto Scaling, as much of them as we use, in one account and Region.

Clients are made when first needed: the ec2 client alone costs 144 ms of a cold start.
Methods raise Throttled for what passes by itself and AwsDenied for the rest.
"""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from rollcall.domain.actions import LifecycleAction, Result, Transition
from rollcall.domain.cache import ExpiringCache
from rollcall.domain.errors import (
    AwsDenied,
    BadEvent,
    InstanceNotVisible,
    InstancesRefused,
    RollcallError,
    Throttled,
    Transient,
)
from rollcall.domain.groups import AddressKind, Group, Hook
from rollcall.domain.instances import Instance
from rollcall.domain.json_input import quoted
from rollcall.domain.lifecycle_states import RESTING_PHASES, Phase, is_held, phase_of

from .client import CLIENT_CONFIG, aws_errors, by_halves, words_of
from .target_groups import Targets

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_autoscaling.type_defs import PaginatorConfigTypeDef
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client

    from .client import Refusal

ONE_TRY = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=3)  # where we repeat by ourselves
CALLS_AT_ONCE = 8
GROUPS_TTL = 60.0  # seconds
GROUPS_PER_CALL = 50  # by name
GROUPS_PER_PAGE = 100  # DescribeAutoScalingGroups' maximum
STATES_PER_CALL = 50  # DescribeAutoScalingInstances' maximum
INSTANCES_PER_FILTER = 200  # EC2's maximum of values in one filter
STATUSES_PER_CALL = 100  # DescribeInstanceStatus' maximum of ids whose answer comes in one page
ACTIVITIES: PaginatorConfigTypeDef = {"MaxItems": 1000, "PageSize": 100}  # DescribeScalingActivities' maximum
LAUNCHING = re.compile(r"Launching a new EC2 instance(?! into)[^:]*: (?P<id>i-[0-9a-z]+)")
POOL_ENTRY = "Warmed:Pending:Wait"
USER_DATA_PAUSE = 0.5  # seconds before those are asked for again that EC2 put off, doubling


class Membership(NamedTuple):
    """What Auto Scaling says of an instance: its group and its lifecycle state."""

    group: str
    state: str

    @property
    def entering(self) -> bool:
        """On its way into service."""
        return phase_of(self.state) == Phase.ENTERING

    @property
    def serving(self) -> bool:
        """In service, or in Standby."""
        return phase_of(self.state) == Phase.SERVING

    @property
    def leaving(self) -> bool:
        """On its way out for good."""
        return phase_of(self.state) == Phase.LEAVING

    @property
    def resting(self) -> bool:
        """In a warm pool, or having its root volume replaced: it may come back, with the id that it has."""
        return phase_of(self.state) in RESTING_PHASES

    @property
    def pooled(self) -> bool:
        """In a warm pool, or on its way into it."""
        return phase_of(self.state) == Phase.POOLED

    @property
    def retained(self) -> bool:
        """Terminated by its group, and kept running by its lifecycle policy."""
        return phase_of(self.state) == Phase.RETAINED

    @property
    def held(self) -> bool:
        """Held by lifecycle hooks until they are answered."""
        return is_held(self.state)


class OptedIn(NamedTuple):
    """A group that carries a tag, and its instances by id. Its hooks and its load balancers are not read."""

    group: Group
    members: Mapping[str, Membership]


class Fleet:
    """The Auto Scaling groups and instances of one account and Region."""

    def __init__(self, region: str) -> None:
        self.region = region
        self._groups: ExpiringCache[str, Group] = ExpiringCache(GROUPS_TTL)
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
        found: dict[str, float] = {}
        pages = self._autoscaling.get_paginator("describe_scaling_activities")
        with aws_errors(f"DescribeScalingActivities of group {group}"):
            for page in pages.paginate(AutoScalingGroupName=group, PaginationConfig=ACTIVITIES):
                for raw in page["Activities"]:  # the newest first
                    named = LAUNCHING.match(raw["Description"])
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

        That AWS refuses an id is not taken for not listing it: of what nobody lists the hosts are removed.
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
        _require_none("DescribeAutoScalingInstances", refused)
        return found

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
        """Instances by id; those EC2 does not know are left out (a list of ids would fail on them).

        Raises InstancesRefused.
        """
        found: list[Any] = []
        with aws_errors("DescribeInstances"):
            pages = self._ec2.get_paginator("describe_instances")

            def describe(chunk: Sequence[str]) -> None:
                own = list(pages.paginate(Filters=[{"Name": "instance-id", "Values": list(chunk)}]))
                found.extend(each for page in own for each in page["Reservations"])

            refused = self._each_chunk(lambda chunk: by_halves(describe, chunk), instance_ids)
        _require_none("DescribeInstances", {each: why for some in refused for each, why in some.items()})
        return {raw["InstanceId"]: _instance(raw) for reservation in found for raw in reservation["Instances"]}

    def _each_chunk[P](self, describe: Callable[[tuple[str, ...]], P], instance_ids: Collection[str]) -> list[P]:
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
        """Those of the instances whose system and instance status checks both passed: none that EC2 refuses."""
        passing: set[str] = set()
        with aws_errors("DescribeInstanceStatus"):
            for chunk in batched(sorted(instance_ids), STATUSES_PER_CALL):
                by_halves(lambda some: passing.update(self._passing(set(some))), chunk)
        return passing

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

    def held(self, actions: Collection[LifecycleAction]) -> set[LifecycleAction]:
        """Those of the actions whose instances Auto Scaling still shows as held by a hook of their transition."""
        memberships = self.memberships({action.instance_id for action in actions}) if actions else {}
        return {action for action in actions if holds(memberships.get(action.instance_id), action.transition)}

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


def holds(membership: Membership | None, transition: Transition) -> bool:
    """Whether hooks of a transition hold an instance. Both ways into a warm pool, and back, are one state."""
    if membership is None or not membership.held:
        return False
    if membership.state == POOL_ENTRY:
        return True
    return membership.entering == (transition == Transition.LAUNCHING)


class Fleets:
    """The fleets that this installation serves: so far the one of its own account and Region."""

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self.own = Fleet(region)

    def of(self, action: LifecycleAction) -> Fleet:
        """The fleet an action belongs to. Raises BadEvent for an account or a Region that is not served.

        Nothing is asked or done about an action before this has let it pass.
        """
        require_served(action, self._account, self.own.region)
        return self.own


def require_served(action: LifecycleAction, account: str, region: str) -> None:
    """Refuse an action of another account or Region, which a bus, a topic or a queue may forward. Raises BadEvent."""
    if (action.account, action.region) != (account, region):
        raise BadEvent(
            f"{action.instance_id} belongs to account {action.account} and Region {action.region}, and only account "
            f"{account} in {region} is served: send its events to an installation there"
        )


def _require_none(call: str, refused: Mapping[str, Refusal]) -> None:
    """Raise InstancesRefused if a call was refused for some of its instances. refused: why, by id."""
    if refused:
        raise InstancesRefused({each: _denied(call, each, why) for each, why in refused.items()})


def _denied(call: str, instance_id: str, why: Refusal) -> AwsDenied:
    return AwsDenied(f"AWS refused {call} of {quoted(instance_id)}: {words_of(why)}")


def _opted_in(raw: Any, pooled: Collection[Any]) -> OptedIn:
    name = raw["AutoScalingGroupName"]
    instances = [*raw.get("Instances", ()), *pooled]
    return OptedIn(
        group=Group(name, {tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags", [])}, {}),
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
