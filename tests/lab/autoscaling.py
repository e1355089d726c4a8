"""Auto Scaling as AWS runs it: instances that exist in EC2, hooks that hold them, and the events that tell of it.

The engine is one task on the server's event loop. Every tick it looks at every group, moves each instance by at most
one lifecycle state and then launches or terminates what the desired capacity asks for; API calls only change what the
next tick sees. Groups and hooks live in MiniStack's stores, so it makes no difference whether the API or
CloudFormation put them there.

Source of the states, events, limits and messages: the Amazon EC2 Auto Scaling user guide ("lifecycle hooks", "event
reference") and its API reference. Where these are silent: terminate hooks run for an instance whose launch was
abandoned; all hooks of a transition run side by side; scale-in takes the oldest instance first.
"""

import asyncio
import heapq
import logging
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from lab import aws_ministack as cloud
from lab.aws_control import Timeout, Transition
from lab.aws_ministack import Record, Scope
from lab.aws_notifications import send, send_test, timestamp
from lab.target_groups import TargetGroups

logger = logging.getLogger(__name__)

TICK = 0.05
"""Seconds between two looks at the groups."""
PUBLIC_ADDRESSES = "198.51.100.0/24"
"""Public addresses of instances: a documentation range (RFC 5737)."""
LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
GLOBAL_LIMIT = 48 * 3600
"""Seconds an instance may stay in a wait state; 100 heartbeat timeouts if that is less."""
COUNTED = {"Pending", "Pending:Wait", "Pending:Proceed", "InService"}
"""The states that count towards the desired capacity."""


@dataclass
class Action:
    """A lifecycle action in progress: one hook holding one instance."""

    hook: Record
    started: float
    deadline: float
    token: str = field(default_factory=lambda: str(uuid.uuid4()))
    result: str | None = None

    @property
    def limit(self) -> float:
        """When the action ends whatever its heartbeats, in seconds since the epoch."""
        return self.started + global_timeout(self.hook)

    def extend(self, now: float) -> None:
        """Restart the heartbeat timeout."""
        self.deadline = now + int(self.hook["HeartbeatTimeout"])


@dataclass
class Instance:
    """An instance that a group has launched."""

    instance_id: str
    scope: Scope
    group: str
    group_arn: str
    address: IPv4Address
    public_address: IPv4Address | None
    """None where the pool has run out."""
    zone: str
    subnet: str
    launch_template: dict[str, str]
    protected: bool
    launched: float
    cause: str
    target_groups: list[str]
    state: str = "Pending"
    health: str = "Healthy"
    hooks_apply: bool = True
    addresses_held: bool = True
    actions: list[Action] = field(default_factory=list)


class Addresses:
    """A pool that always gives the lowest free address, so that a freed one soon returns."""

    def __init__(self, network: str) -> None:
        self._free = list(IPv4Network(network).hosts())

    def take(self) -> IPv4Address | None:
        """Return the lowest free address, None if there is none."""
        return heapq.heappop(self._free) if self._free else None

    def free(self, address: IPv4Address) -> None:
        """Take an address back."""
        heapq.heappush(self._free, address)


class Engine:
    """Runs all groups of all accounts and Regions."""

    def __init__(self, address_pool: str, targets: TargetGroups) -> None:
        self._targets = targets
        self.transitions: list[Transition] = []
        self.timeouts: list[Timeout] = []
        # Thousands of instances are looked at many times a second, so each question has its index.
        self._instances: dict[str, Instance] = {}
        self._members: defaultdict[str, dict[str, Instance]] = defaultdict(dict)  # by the group's ARN
        self._actions: dict[str, Action] = {}  # those in progress, by token
        self._tested: set[tuple[Scope, str, str, str | None]] = set()
        self._addresses = Addresses(address_pool)
        self._public_addresses = Addresses(PUBLIC_ADDRESSES)

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            self.tick(time.time())
            await asyncio.sleep(TICK)

    def tick(self, now: float) -> None:
        """Move every instance by at most one state, then bring every group to its desired capacity."""
        for arn, members in list(self._members.items()):
            self._advance_all(list(members.values()), now)
            if not members:
                del self._members[arn]
        for scope, group in cloud.groups():
            with cloud.within(scope), _failure_logged(group["AutoScalingGroupName"]):
                self._test_targets(scope, group)
                self._adjust(scope, group, now)

    def instances(self, scope: Scope) -> list[Instance]:
        """Return the instances of an account and Region, the oldest first."""
        return [instance for instance in self._instances.values() if instance.scope == scope]

    def members(self, group: Record) -> list[Instance]:
        """Return a group's instances, the oldest first."""
        return list(self._members.get(group["AutoScalingGroupARN"], {}).values())

    def instance(self, scope: Scope, instance_id: str) -> Instance | None:
        """Return an instance of an account and Region, None if there is none with this id."""
        instance = self._instances.get(instance_id)
        return instance if instance and instance.scope == scope else None

    def action(self, token: str) -> Action | None:
        """Return the action in progress that has this token."""
        return self._actions.get(token)

    def states(self) -> dict[str, dict[str, str]]:
        """Return by group name the lifecycle state of each instance that is not terminated, the oldest first."""
        states: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for instance in self._instances.values():
            states[instance.group][instance.instance_id] = instance.state
        return states

    def terminate(self, instance: Instance, now: float, cause: str) -> None:
        """Begin to terminate an instance; hooks that hold it let go."""
        instance.cause = cause
        self._end_actions(instance)
        self._leave_targets(instance)
        self._enter(instance, "Terminating", now)

    def enter_standby(self, instance: Instance, now: float) -> None:
        """Take an instance out of service; no hooks run."""
        self._leave_targets(instance)
        self._enter(instance, "EnteringStandby", now)

    def exit_standby(self, instance: Instance, now: float) -> None:
        """Put an instance in Standby back into service; no hooks run."""
        instance.hooks_apply = False
        self._enter(instance, "Pending", now)

    # The life of an instance.

    def _advance_all(self, members: list[Instance], now: float) -> None:
        """Move the instances of one group by at most one state each."""
        if not members:
            return
        one = members[0]
        with cloud.within(one.scope):
            group = cloud.group_named(one.group)
            exists = group is not None and group["AutoScalingGroupARN"] == one.group_arn
            hooks = cloud.hooks_of(one.group) if exists else []
            for instance in members:
                with _failure_logged(instance.instance_id):
                    if group and exists:
                        self._advance(instance, group, hooks, now)
                    else:
                        self._abolish(instance, now)

    def _advance(self, instance: Instance, group: Record, hooks: list[Record], now: float) -> None:
        self._check_health(instance)
        unhealthy = instance.health == "Unhealthy" and instance.state in COUNTED
        if unhealthy:
            self.terminate(instance, now, "an instance was taken out of service in response to an EC2 health check.")
        elif instance.state == "Pending":
            self._begin(instance, group, hooks, now)
        elif instance.state == "Pending:Proceed":
            self._serve(instance, group, now)
        elif instance.state == "EnteringStandby":
            self._enter(instance, "Standby", now)
        elif instance.state in ("Pending:Wait", "Terminating:Wait"):
            self._await_hooks(instance, hooks, now)
        elif instance.state == "Terminating:Proceed" or (
            instance.state == "Terminating" and not self._hold(instance, TERMINATING, hooks, now)
        ):
            self._shut_down(instance, now)

    def _check_health(self, instance: Instance) -> None:
        if cloud.instance_state(instance.instance_id) == "terminated":
            self._free_addresses(instance)
            if instance.state in COUNTED:
                instance.health = "Unhealthy"

    def _begin(self, instance: Instance, group: Record, hooks: list[Record], now: float) -> None:
        cloud.set_instance_state(instance.instance_id, "running")
        if not (instance.hooks_apply and self._hold(instance, LAUNCHING, hooks, now)):
            self._serve(instance, group, now)

    def _hold(self, instance: Instance, transition: str, hooks: list[Record], now: float) -> bool:
        """Let the group's hooks for a transition hold the instance; return False if there are none."""
        if cloud.instance_state(instance.instance_id) == "shutting-down":
            return False
        instance.actions = [
            Action(hook, now, now + int(hook["HeartbeatTimeout"]))
            for hook in hooks
            if hook["LifecycleTransition"] == transition
        ]
        self._actions |= {action.token: action for action in instance.actions}
        if instance.actions:
            self._enter(instance, "Pending:Wait" if transition == LAUNCHING else "Terminating:Wait", now)
        for action in instance.actions:
            self._announce(instance, action, now)
        return bool(instance.actions)

    def _end_actions(self, instance: Instance) -> None:
        for action in instance.actions:
            del self._actions[action.token]
        instance.actions = []

    def _await_hooks(self, instance: Instance, hooks: list[Record], now: float) -> None:
        launching = instance.state == "Pending:Wait"
        existing = {hook["LifecycleHookName"] for hook in hooks}
        for action in instance.actions:
            if action.result is None and action.hook["LifecycleHookName"] not in existing:
                # DeleteLifecycleHook: outstanding actions are completed first.
                action.result = "ABANDON" if launching else "CONTINUE"
            elif action.result is None and now >= min(action.deadline, action.limit):
                action.result = action.hook["DefaultResult"]
                hook = str(action.hook["LifecycleHookName"])
                self.timeouts.append(Timeout(now, instance.group, instance.instance_id, hook))
        abandoned = next((action for action in instance.actions if action.result == "ABANDON"), None)
        if abandoned is None and any(action.result is None for action in instance.actions):
            return
        self._end_actions(instance)
        if not launching:
            self._enter(instance, "Terminating:Proceed", now)
        elif abandoned is None:
            self._enter(instance, "Pending:Proceed", now)
        else:
            message = (
                "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token "
                f"{abandoned.token} was abandoned: Lifecycle Action Completed with ABANDON Result"
            )
            self._tell(instance, "EC2 Instance Launch Unsuccessful", now, "Failed", message)
            self.terminate(instance, now, "an instance was taken out of service in response to its abandoned launch.")

    def _serve(self, instance: Instance, group: Record, now: float) -> None:
        self._enter(instance, "InService", now)
        instance.target_groups = [one["Identifier"] for one in traffic_sources(group) if one["Type"] == "elbv2"]
        for target_group in instance.target_groups:
            self._targets.register(target_group, [instance.instance_id])
        if instance.hooks_apply:
            self._tell(instance, "EC2 Instance Launch Successful", now)

    def _shut_down(self, instance: Instance, now: float) -> None:
        if cloud.instance_state(instance.instance_id) in ("pending", "running"):
            cloud.set_instance_state(instance.instance_id, "shutting-down")
            return
        cloud.set_instance_state(instance.instance_id, "terminated")
        self._enter(instance, "Terminated", now)
        self._free_addresses(instance)
        self._tell(instance, "EC2 Instance Terminate Successful", now)
        del self._instances[instance.instance_id]
        del self._members[instance.group_arn][instance.instance_id]

    def _abolish(self, instance: Instance, now: float) -> None:
        """Terminate an instance whose group was deleted: no hooks run."""
        if not instance.state.startswith("Terminating") or instance.state == "Terminating:Wait":
            self.terminate(instance, now, "the Auto Scaling group was deleted.")
        self._shut_down(instance, now)

    def _free_addresses(self, instance: Instance) -> None:
        if instance.addresses_held:
            instance.addresses_held = False
            cloud.release_addresses(instance.instance_id)
            self._addresses.free(instance.address)
            if instance.public_address:
                self._public_addresses.free(instance.public_address)

    def _leave_targets(self, instance: Instance) -> None:
        for target_group in instance.target_groups:
            self._targets.deregister(target_group, [instance.instance_id])
        instance.target_groups = []

    def _enter(self, instance: Instance, state: str, now: float) -> None:
        instance.state = state
        logger.info("%s of %s (%s) is %s", instance.instance_id, instance.group, instance.address, state)
        self.transitions.append(Transition(now, instance.group, instance.instance_id, str(instance.address), state))

    # The size of a group.

    def _adjust(self, scope: Scope, group: Record, now: float) -> None:
        members = [instance for instance in self.members(group) if instance.state in COUNTED]
        excess = len(members) - int(group["DesiredCapacity"])
        cause = f"a change of the desired capacity to {group['DesiredCapacity']}."
        for instance in [instance for instance in members if not instance.protected][: max(excess, 0)]:
            self.terminate(instance, now, cause)
        used = Counter(instance.subnet for instance in members)
        for _ in range(-excess):
            subnet = _emptiest_subnet(group, used)
            used[subnet] += 1
            self._launch(scope, group, subnet, now, cause)

    def _launch(self, scope: Scope, group: Record, subnet: str, now: float, cause: str) -> None:
        template = cloud.launch_template_version(group.get("LaunchTemplate") or {})
        zone = cloud.subnet_zone(subnet) or group["AvailabilityZones"][0]
        address = self._addresses.take()
        if address is None:
            logger.warning("No free address for an instance of %s", group["AutoScalingGroupName"])
            return
        public_address = self._public_addresses.take()
        instance_id = cloud.launch_instance(
            template["Data"],
            subnet=subnet,
            zone=zone,
            private=str(address),
            public=str(public_address or ""),
            tags=_instance_tags(group, template),
        )
        instance = Instance(
            instance_id=instance_id,
            scope=scope,
            group=group["AutoScalingGroupName"],
            group_arn=group["AutoScalingGroupARN"],
            address=address,
            public_address=public_address,
            zone=zone,
            subnet=subnet,
            launch_template={key: value for key, value in template.items() if key != "Data"},
            protected=bool(group["NewInstancesProtectedFromScaleIn"]),
            launched=now,
            cause=cause,
            target_groups=[],
        )
        self._instances[instance_id] = self._members[instance.group_arn][instance_id] = instance
        self._enter(instance, "Pending", now)

    # What the world is told.

    def _announce(self, instance: Instance, action: Action, now: float) -> None:
        launching = action.hook["LifecycleTransition"] == LAUNCHING
        facts = {
            "LifecycleActionToken": action.token,
            "AutoScalingGroupName": instance.group,
            "LifecycleHookName": action.hook["LifecycleHookName"],
            "EC2InstanceId": instance.instance_id,
            "LifecycleTransition": action.hook["LifecycleTransition"],
        }
        if action.hook.get("NotificationMetadata"):
            facts["NotificationMetadata"] = action.hook["NotificationMetadata"]
        ends = ("EC2", "AutoScalingGroup") if launching else ("AutoScalingGroup", "EC2")
        detail = {**facts, "Origin": ends[0], "Destination": ends[1]}
        kind = "launch" if launching else "terminate"
        cloud.put_event("aws.autoscaling", f"EC2 Instance-{kind} Lifecycle Action", detail, [instance.group_arn])
        if action.hook.get("NotificationTargetARN"):
            body = {
                "Service": "AWS Auto Scaling",
                "Time": timestamp(now),
                "RequestId": str(uuid.uuid4()),
                "AccountId": instance.scope.account,
                **detail,
            }
            verb = "LAUNCHING" if launching else "TERMINATING"
            subject = f"Auto Scaling:  Lifecycle action '{verb}' for instance {instance.instance_id} in progress."
            cloud.notify(action.hook["NotificationTargetARN"], subject, body)

    def _tell(
        self, instance: Instance, detail_type: str, now: float, status: str = "InProgress", message: str = ""
    ) -> None:
        launching = "Launch" in detail_type
        verb = "Launching a new" if launching else "Terminating"
        instance_arn = f"arn:aws:ec2:{instance.scope.region}:{instance.scope.account}:instance/{instance.instance_id}"
        detail = {
            "StatusCode": status,
            "Description": f"{verb} EC2 instance: {instance.instance_id}",
            "AutoScalingGroupName": instance.group,
            "ActivityId": str(uuid.uuid4()),
            "Details": {"Availability Zone": instance.zone, "Subnet ID": instance.subnet},
            "RequestId": str(uuid.uuid4()),
            "StatusMessage": message,
            "EndTime": timestamp(now),
            "EC2InstanceId": instance.instance_id,
            "StartTime": timestamp(instance.launched if launching else now),
            "Cause": f"At {timestamp(now)} {instance.cause}",
            "Origin": "EC2" if launching else "AutoScalingGroup",
            "Destination": "AutoScalingGroup" if launching else "EC2",
        }
        cloud.put_event("aws.autoscaling", detail_type, detail, [instance.group_arn, instance_arn])
        group = cloud.group_named(instance.group)
        if group and group["AutoScalingGroupARN"] == instance.group_arn:
            send(group, detail_type, detail)

    def _test_targets(self, scope: Scope, group: Record) -> None:
        """Send a hook's notification target its test message, once."""
        for hook in cloud.hooks_of(group["AutoScalingGroupName"]):
            target = hook.get("NotificationTargetARN")
            key = (scope, group["AutoScalingGroupARN"], hook["LifecycleHookName"], target)
            if not target or key in self._tested:
                continue
            self._tested.add(key)
            send_test(group, target)


@contextmanager
def _failure_logged(subject: str) -> Iterator[None]:
    """Let one group's or instance's failure not keep the engine from the others."""
    try:
        yield
    except Exception:
        logger.exception("The Auto Scaling engine failed at %s and tries again with the next tick", subject)


def _emptiest_subnet(group: Record, used: Counter[str]) -> str:
    subnets = [subnet.strip() for subnet in group["VPCZoneIdentifier"].split(",") if subnet.strip()]
    subnet: str = min(subnets or [cloud.default_subnet()], key=lambda one: used[one])
    return subnet


def _instance_tags(group: Record, template: Record) -> dict[str, str]:
    specifications = [one for one in template["Data"].get("TagSpecifications", []) if one["ResourceType"] == "instance"]
    tags = {tag["Key"]: tag["Value"] for one in specifications for tag in one.get("Tags", [])}
    tags |= {tag["Key"]: tag["Value"] for tag in group["Tags"] if tag["PropagateAtLaunch"]}
    return {**tags, "aws:autoscaling:groupName": group["AutoScalingGroupName"]}


def traffic_sources(group: Record) -> list[Record]:
    """Return whatever sends a group traffic, however it was attached."""
    attached = [
        *({"Identifier": one, "Type": "elbv2"} for one in group.get("TargetGroupARNs", [])),
        *({"Identifier": one, "Type": "elb"} for one in group.get("LoadBalancerNames", [])),
        *group.get("TrafficSources", []),
    ]
    return list({one["Identifier"]: one for one in attached}.values())


def global_timeout(hook: Record) -> int:
    """Return the seconds for which a hook may hold an instance, whatever its heartbeats."""
    return min(GLOBAL_LIMIT, 100 * int(hook["HeartbeatTimeout"]))
