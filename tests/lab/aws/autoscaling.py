"""Auto Scaling as AWS runs it: instances that exist in EC2, hooks that hold them, and the events about it.

The engine is one task on the server's event loop. Every tick it looks at every group, moves each instance by at most
one lifecycle state and then launches or terminates what the desired capacity and the warm pool ask for; API calls only
change what the next tick sees. Groups and hooks live in MiniStack's stores, so it makes no difference whether the API
or CloudFormation put them there. `lab.lifecycle` has the states and the passages between them.

Source of the limits and messages: the Amazon EC2 Auto Scaling user guide ("lifecycle hooks", "warm pools", "instance
lifecycle policies") and its API reference; of what a stop and a start change: the Amazon EC2 user guide ("How EC2
instance stop and start works": the private address stays, the public one is released and another comes) and API
reference (LaunchTime: "the time that the instance was last launched"). From published recordings of the API's answers
(2026): a retained instance that is terminated meets its hooks anew, one that returns to the pool returns also when its
hook was abandoned, and a pool that is deleted by force still lets the hooks run. Where all are silent: terminate hooks
run for an instance whose launch was abandoned; all hooks of a transition run side by side; ABANDON at
ReplacingRootVolume:Wait skips the other hooks, and the volume is replaced; scale-in takes the oldest instance first,
and so does scale-out from the pool.

Nor does any of them say what becomes of an action whose hook is changed while it runs (PutLifecycleHook, "creates or
updates"; looked for in 2026). The lab takes the reading that costs an instance: its time goes on as it began, and at
the end of it the default result is ABANDON if the hook has that now, or had it when the action began.
"""

import asyncio
import heapq
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network

from lab.aws import configurations, processes, warm_pools
from lab.aws import ministack as cloud
from lab.aws.activities import Activities
from lab.aws.control import Timeout, Transition
from lab.aws.launch_limits import LaunchLimits
from lab.aws.lifecycle import (
    BACK_TO_POOL,
    COLD,
    COUNTED,
    DEATH_IN_POOL,
    EC2,
    INTO_POOL,
    LAUNCHING,
    OUT_OF_POOL,
    OUT_OF_STANDBY,
    POOL,
    PREPARED,
    READY,
    TERMINATING,
    TERMINATION,
    VOLUME_REPLACED,
    VOLUME_REPLACEMENT,
    Action,
    Instance,
    Passage,
    in_pool,
)
from lab.aws.lifecycle_events import DESCRIPTIONS, LifecycleEvents
from lab.aws.ministack import Record, Scope
from lab.aws.notifications import send_test, timestamp
from lab.aws.refreshes import Refreshes
from lab.aws.target_groups import TargetGroups

logger = logging.getLogger(__name__)

TICK = 0.05
"""Seconds between two looks at the groups."""
PUBLIC_ADDRESSES = "198.51.100.0/24"
"""Public addresses of instances: a documentation range (RFC 5737)."""
RUNS_NOT = frozenset({"stopping", "stopped", "shutting-down", "terminated"})
"""The states of EC2 in which an instance in service fails its health check."""


class Addresses:
    """A pool that always gives the lowest free address, so that a freed one soon returns."""

    def __init__(self, network: str) -> None:
        self._free = list(IPv4Network(network).hosts())

    def take(self, but: IPv4Address | None = None) -> IPv4Address | None:
        """Return the lowest free address that is not this one, None if there is none."""
        address = heapq.heappop(self._free) if self._free else None
        if address is None or address != but:
            return address
        other = heapq.heappop(self._free) if self._free else None
        heapq.heappush(self._free, address)
        return other

    @property
    def left(self) -> int:
        """How many are free."""
        return len(self._free)

    def free(self, address: IPv4Address) -> None:
        """Take an address back."""
        heapq.heappush(self._free, address)


class Engine:
    """Runs all groups of all accounts and Regions.

    clock: seconds since the epoch, for whoever acts between two ticks. addresses: private ones, of all instances.
    """

    def __init__(
        self,
        address_pool: str,
        targets: TargetGroups,
        events: LifecycleEvents | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.transitions: list[Transition] = []
        self.timeouts: list[Timeout] = []
        self.activities = Activities()
        self.limits = LaunchLimits()
        self._targets = targets
        self._events = events or LifecycleEvents()
        self.refreshes = Refreshes(self, self._events)
        # Thousands of instances are looked at many times a second, so each question has its index.
        self._instances: dict[str, Instance] = {}
        self._members: defaultdict[str, dict[str, Instance]] = defaultdict(dict)  # by the group's ARN
        self._detached: list[Instance] = []
        self._actions: dict[str, Action] = {}  # those in progress, by token
        self._tested: set[tuple[Scope, str, str, str | None]] = set()
        self.addresses = Addresses(address_pool)
        self._public_addresses = Addresses(PUBLIC_ADDRESSES)

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            self.tick(self.clock())
            await asyncio.sleep(TICK)

    def tick(self, now: float) -> None:
        """Move every instance by at most one state, then bring every group and its warm pool to their sizes."""
        for arn, members in list(self._members.items()):
            self._advance_all(list(members.values()), now)
            if not members:
                del self._members[arn]
        for instance in self._detached:
            with cloud.within(instance.scope):
                self._follow_power(instance)
        for scope, group in cloud.groups():
            with cloud.within(scope), _failure_logged(group["AutoScalingGroupName"]):
                self._test_targets(scope, group)
                self.refreshes.advance(group, now)
                self._adjust(scope, group, now)
                self._adjust_pool(scope, group, now)

    def instances(self, scope: Scope) -> list[Instance]:
        """Return the instances of an account and Region, the oldest first."""
        return [instance for instance in self._instances.values() if instance.scope == scope]

    def members(self, group: Record) -> list[Instance]:
        """Return a group's instances and those of its warm pool, the oldest first."""
        return list(self._members.get(group["AutoScalingGroupARN"], {}).values())

    def instance(self, scope: Scope, instance_id: str) -> Instance | None:
        """Return an instance of an account and Region, None if there is none with this id."""
        instance = self._instances.get(instance_id)
        return instance if instance and instance.scope == scope else None

    def age(self, instance_ids: Collection[str], seconds: float) -> None:
        """Let what these instances did have begun so many seconds earlier."""
        self.activities.age(instance_ids, seconds)

    def age_group(self, name: str, seconds: float) -> bool:
        """Let what there is of the groups of this name have begun so many seconds earlier; whether there are any."""
        found = [group for _, group in cloud.groups() if group["AutoScalingGroupName"] == name]
        for group in found:
            created = datetime.fromisoformat(group["CreatedTime"]).timestamp() - seconds
            group["CreatedTime"] = timestamp(created)
            self.refreshes.age(group, seconds)
        return bool(found)

    def free_addresses(self, subnet: str) -> int:
        """Return how many addresses of a subnet are free."""
        return self.limits.free(subnet, self.addresses.left, self._used)

    def leave_free(self, subnet: str, free: int) -> None:
        """Let a subnet have so many free addresses now."""
        self.limits.leave_free(subnet, free, self._used(subnet))

    def _used(self, subnet: str) -> int:
        """How many instances have an address of a subnet."""
        return sum(each.subnet == subnet and each.addresses_held for each in self._instances.values())

    def action(self, token: str) -> Action | None:
        """Return the action in progress that has this token."""
        return self._actions.get(token)

    def states(self) -> dict[str, dict[str, str]]:
        """Return by group name the lifecycle state of each instance that is not terminated, the oldest first."""
        states: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for instance in self._instances.values():
            states[instance.group][instance.instance_id] = instance.shown
        return states

    # What begins by a call, or by a group's size.

    def terminate(self, instance: Instance, now: float, cause: str) -> None:
        """Begin to terminate an instance; hooks that hold it let go."""
        instance.cause = cause
        passage = DEATH_IN_POOL if in_pool(instance.state) else TERMINATION
        self._note(instance, passage, now)
        self._depart(instance, passage, now)

    def enter_standby(self, instance: Instance, now: float) -> None:
        """Take an instance out of service; no hooks run."""
        self._leave_targets(instance)
        instance.passage = None
        self.activities.begin(instance, "Moving EC2 instance to Standby", now)
        self._enter(instance, "EnteringStandby", now)

    def exit_standby(self, instance: Instance, now: float) -> None:
        """Put an instance in Standby back into service; no hooks run."""
        self.activities.begin(instance, "Moving EC2 instance out of Standby", now)
        self._depart(instance, OUT_OF_STANDBY, now)

    def detach(self, instance: Instance, now: float) -> None:
        """Let an instance leave its group and live on; no hooks run."""
        self._leave_targets(instance)
        instance.passage = None
        self.activities.begin(instance, "Detaching EC2 instance", now)
        self._enter(instance, "Detaching", now)

    def replace_root_volume(self, instance_id: str, now: float) -> str | None:
        """Begin to replace the root volume of an instance in service, as an instance refresh of that strategy does.

        Return why that cannot be, None if it has begun.
        """
        instance = self._instances.get(instance_id)
        if instance is None or instance.state != "InService":
            return f"{instance_id} is not in service"
        with cloud.within(instance.scope):
            if warm_pools.of(cloud.group_named(instance.group) or {}):
                return f"{instance.group} has a warm pool"
            instance.cause = "an instance was taken out of service in response to an instance refresh."
            self._depart(instance, VOLUME_REPLACEMENT, now)
        return None

    def force_state(self, instance_id: str, state: str | None) -> bool:
        """Let the API show this state of an instance, which stays as it is meanwhile; None ends that.

        Return whether there is such an instance.
        """
        instance = self._instances.get(instance_id)
        if instance:
            instance.forced = state
        return instance is not None

    def forced(self) -> list[str]:
        """Return the instances of which the API shows another state than theirs."""
        return [instance_id for instance_id, instance in self._instances.items() if instance.forced is not None]

    def force_none(self) -> None:
        """Let the API show the state of every instance as it is."""
        for instance in self._instances.values():
            instance.forced = None

    def _depart(self, instance: Instance, passage: Passage, now: float) -> None:
        """Send an instance on a passage, wherever it is and whatever holds it."""
        self._end_actions(instance)
        if passage.transition == TERMINATING:
            self._leave_targets(instance)
        instance.passage, instance.abandoned = passage, False
        self._enter(instance, passage.first, now)

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
                    if not (group and exists):
                        self._abolish(instance, now)
                    elif not instance.forced:
                        self._advance(instance, group, hooks, now)

    def _advance(self, instance: Instance, group: Record, hooks: list[Record], now: float) -> None:
        self._follow_power(instance)
        if not processes.is_suspended(group, processes.HEALTH_CHECK):
            self._check_health(instance)
        replaces = not processes.is_suspended(group, processes.REPLACE_UNHEALTHY)
        if replaces and instance.health == "Unhealthy" and instance.state in COUNTED | PREPARED:
            self.terminate(instance, now, "an instance was taken out of service in response to an EC2 health check.")
        elif now < instance.drained:
            pass  # its connections drain, before any hook is asked: "How lifecycle hooks work" of the user guide
        elif instance.state == "EnteringStandby":
            self._enter(instance, "Standby", now)
            self.activities.end(instance, now)
        elif instance.state == "Detaching":
            self._release(instance, now)
        elif instance.passage and instance.state == instance.passage.first:
            self._begin(instance, instance.passage, group, hooks, now)
        elif instance.passage and instance.state == instance.passage.waiting:
            self._await_hooks(instance, instance.passage, hooks, now)
        elif instance.passage and instance.state == instance.passage.proceeding:
            self._arrive(instance, instance.passage, group, now)

    def _follow_power(self, instance: Instance) -> None:
        """What EC2 makes of an instance decides about its addresses, whoever stopped, started or terminated it."""
        state = cloud.instance_state(instance.instance_id)
        if state == "terminated":
            self._free_addresses(instance)
        elif state == "stopped" and instance.public_address:
            self._public_addresses.free(instance.public_address)
            instance.former_public, instance.public_address = instance.public_address, None
            cloud.set_public_address(instance.instance_id, "")
        elif state == "running" and instance.former_public:
            instance.public_address = self._public_addresses.take(but=instance.former_public)
            instance.former_public = None
            cloud.set_public_address(instance.instance_id, str(instance.public_address or ""))

    def _check_health(self, instance: Instance) -> None:
        state = cloud.instance_state(instance.instance_id)
        gone = state == "terminated" and instance.state in COUNTED | PREPARED
        if gone or (state in RUNS_NOT and instance.state == "InService"):
            instance.health = "Unhealthy"

    def _begin(self, instance: Instance, passage: Passage, group: Record, hooks: list[Record], now: float) -> None:
        if cloud.instance_state(instance.instance_id) == "pending":
            cloud.set_instance_state(instance.instance_id, "running")
        if not self._hold(instance, passage, hooks, now):
            self._arrive(instance, passage, group, now)

    def _hold(self, instance: Instance, passage: Passage, hooks: list[Record], now: float) -> bool:
        """Let the group's hooks for a passage hold the instance; return False if there are none."""
        if cloud.instance_state(instance.instance_id) in ("stopping", "shutting-down"):
            return False  # it has passed them already
        instance.actions = [
            Action(instance.instance_id, hook, now, now + int(hook["HeartbeatTimeout"]))
            for hook in hooks
            if hook["LifecycleTransition"] == passage.transition
        ]
        self._actions |= {action.token: action for action in instance.actions}
        if instance.actions:
            self._enter(instance, passage.waiting, now)
        for action in instance.actions:
            self._events.action(instance, passage, action, now)
        return bool(instance.actions)

    def _end_actions(self, instance: Instance) -> None:
        for action in instance.actions:
            del self._actions[action.token]
        instance.actions = []

    def _await_hooks(self, instance: Instance, passage: Passage, hooks: list[Record], now: float) -> None:
        launching = passage.transition == LAUNCHING
        existing = {hook["LifecycleHookName"]: hook for hook in hooks}
        for action in instance.actions:
            if action.result is None and action.hook["LifecycleHookName"] not in existing:
                # DeleteLifecycleHook: outstanding actions are completed first.
                action.result = "ABANDON" if launching else "CONTINUE"
            elif action.result is None and now >= min(action.deadline, action.limit):
                hook = str(action.hook["LifecycleHookName"])
                either = {action.hook["DefaultResult"], existing[hook]["DefaultResult"]}
                action.result, action.timed_out = ("ABANDON" if "ABANDON" in either else "CONTINUE"), True
                self.timeouts.append(Timeout(now, instance.group, instance.instance_id, hook))
        abandoned = next((action for action in instance.actions if action.result == "ABANDON"), None)
        if abandoned is None and any(action.result is None for action in instance.actions):
            return
        self._end_actions(instance)
        if abandoned and launching:
            if passage.action == "Launch":
                self._events.not_launched(instance, passage, abandoned.token, now)
            self.activities.abandon(instance, now, abandoned.token, timed_out=abandoned.timed_out)
            self.terminate(instance, now, "an instance was taken out of service in response to its abandoned launch.")
        else:
            instance.abandoned = abandoned is not None
            self._enter(instance, passage.proceeding, now)

    def _arrive(self, instance: Instance, passage: Passage, group: Record, now: float) -> None:
        """The hooks of a passage have let the instance go, or there are none."""
        if passage is VOLUME_REPLACEMENT:
            instance.passage = VOLUME_REPLACED
            self._enter(instance, VOLUME_REPLACED.first, now)
        elif instance.abandoned and _retains(group):
            instance.passage = None
            self._enter(instance, passage.retained, now)
        elif passage.destination == POOL:
            self._rest(instance, passage, group, now)
        elif passage.destination == EC2:
            self._shut_down(instance, passage, now)
        else:
            self._serve(instance, passage, group, now)

    def _serve(self, instance: Instance, passage: Passage, group: Record, now: float) -> None:
        instance.passage, instance.in_service_since = None, now
        self._enter(instance, "InService", now)
        self.activities.end(instance, now)
        added = not processes.is_suspended(group, processes.ADD_TO_LOAD_BALANCER)
        sources = traffic_sources(group) if added else []
        instance.target_groups = [one["Identifier"] for one in sources if one["Type"] == "elbv2"]
        for target_group in instance.target_groups:
            self._targets.register(target_group, [instance.instance_id])
        if passage.action == "Launch":
            self._events.launched(instance, passage, now)

    def _rest(self, instance: Instance, passage: Passage, group: Record, now: float) -> None:
        """Let an instance be what the pool wants its members to be."""
        pool = warm_pools.of(group)
        assert pool, "a pool is gone only when it has no member any more"
        state = pool["PoolState"]
        if state != "Running":
            if cloud.instance_state(instance.instance_id) != "stopping":
                cloud.set_instance_state(instance.instance_id, "stopping")
                return
            cloud.set_instance_state(instance.instance_id, "stopped")
            self._follow_power(instance)
        instance.passage = None
        self._enter(instance, f"Warmed:{state}", now)
        self.activities.end(instance, now)
        if passage is BACK_TO_POOL:
            self._events.terminated(instance, passage, now)
        else:
            self._events.launched(instance, passage, now)

    def _shut_down(self, instance: Instance, passage: Passage, now: float) -> None:
        if cloud.instance_state(instance.instance_id) not in ("shutting-down", "terminated"):
            cloud.set_instance_state(instance.instance_id, "shutting-down")
            return
        cloud.set_instance_state(instance.instance_id, "terminated")
        self._enter(instance, "Warmed:Terminated" if passage is DEATH_IN_POOL else "Terminated", now)
        self.activities.end(instance, now)
        self._free_addresses(instance)
        self._events.terminated(instance, passage, now)
        self._forget(instance)

    def _release(self, instance: Instance, now: float) -> None:
        """A detached instance is no group's any more, but keeps its addresses while it lives."""
        self._enter(instance, "Detached", now)
        self.activities.end(instance, now)
        cloud.untag_instance(instance.instance_id, GROUP_TAG)
        self._detached.append(instance)
        self._forget(instance)

    def _forget(self, instance: Instance) -> None:
        del self._instances[instance.instance_id]
        del self._members[instance.group_arn][instance.instance_id]

    def _abolish(self, instance: Instance, now: float) -> None:
        """Terminate an instance whose group was deleted: no hooks run."""
        passage = instance.passage
        if not passage or passage.destination != EC2 or instance.state == passage.waiting:
            self.terminate(instance, now, "the Auto Scaling group was deleted.")
        self._shut_down(instance, instance.passage or TERMINATION, now)

    def _free_addresses(self, instance: Instance) -> None:
        if instance.addresses_held:
            instance.addresses_held = False
            cloud.release_addresses(instance.instance_id)
            self.addresses.free(instance.address)
            if instance.public_address:
                self._public_addresses.free(instance.public_address)

    def _leave_targets(self, instance: Instance) -> None:
        for target_group in instance.target_groups:
            drained = self._targets.deregister(target_group, [instance.instance_id])
            instance.drained = max(instance.drained, drained)
        instance.target_groups = []

    def _enter(self, instance: Instance, state: str, now: float) -> None:
        instance.state = state
        logger.info("%s of %s (%s) is %s", instance.instance_id, instance.group, instance.address, state)
        self.transitions.append(Transition(now, instance.group, instance.instance_id, str(instance.address), state))

    # The size of a group and of its warm pool.

    def _adjust(self, scope: Scope, group: Record, now: float) -> None:
        members = [instance for instance in self.members(group) if instance.state in COUNTED]
        live = _capacity(members)
        wanted = self.refreshes.wanted(group, live, on_their_way=any(each.state != "InService" for each in members))
        cause = f"a change of the desired capacity to {group['DesiredCapacity']}."
        if not processes.is_suspended(group, processes.TERMINATE):
            for instance in [each for each in members if not each.protected]:
                if _capacity([instance]) <= live - wanted:
                    self._scale_in(instance, group, now, cause)
                    live -= _capacity([instance])
        if processes.is_suspended(group, processes.LAUNCH):
            return
        cause = self.refreshes.cause(group) or cause
        used = Counter(instance.subnet for instance in members)
        ready = [instance for instance in self.members(group) if self._may_be_taken(group, instance)]
        while live < wanted:
            if ready:
                one: Instance = ready.pop(0)
                self._take_from_pool(one, now, cause)
            elif launched := self._launch(scope, group, used, COLD, now, cause):
                one = launched
            else:
                return
            live += _capacity([one])

    def _may_be_taken(self, group: Record, instance: Instance) -> bool:
        """Whether an instance may be taken from the pool into the group."""
        return instance.state in READY and not instance.forced and self.refreshes.is_current(group, instance)

    def _scale_in(self, instance: Instance, group: Record, now: float, cause: str) -> None:
        place = warm_pools.wanted(group) - len(self._prepared(group))
        if warm_pools.takes_back(group) and instance.state == "InService" and place > 0:
            instance.cause = cause
            self._note(instance, BACK_TO_POOL, now)
            self._depart(instance, BACK_TO_POOL, now)
        else:
            self.terminate(instance, now, cause)

    def _take_from_pool(self, instance: Instance, now: float, cause: str) -> None:
        instance.cause, instance.launched = cause, now
        if cloud.instance_state(instance.instance_id) == "stopped":
            cloud.start_instance(instance.instance_id, now)
        self._note(instance, OUT_OF_POOL, now)
        self._depart(instance, OUT_OF_POOL, now)

    def _note(self, instance: Instance, passage: Passage, now: float) -> None:
        """Let an instance's passage be an activity of its group."""
        self.activities.begin(instance, DESCRIPTIONS[passage.origin, passage.destination], now)

    def _adjust_pool(self, scope: Scope, group: Record, now: float) -> None:
        pool = warm_pools.of(group)
        if pool is None:
            return
        if warm_pools.is_going(pool):
            self._empty_pool(group, now)
            return
        members = self._prepared(group)
        excess = len(members) - warm_pools.wanted(group)
        if not processes.is_suspended(group, processes.TERMINATE):
            for instance in [each for each in members if each.state in READY][: max(excess, 0)]:
                self.terminate(instance, now, "a change of the size of the warm pool.")
        if processes.is_suspended(group, processes.LAUNCH):
            return
        used = Counter(instance.subnet for instance in members)
        for _ in range(-excess):
            self._launch(scope, group, used, INTO_POOL, now, "a change of the size of the warm pool.")

    def _prepared(self, group: Record) -> list[Instance]:
        return [instance for instance in self.members(group) if instance.state in PREPARED]

    def _empty_pool(self, group: Record, now: float) -> None:
        members = [instance for instance in self.members(group) if in_pool(instance.state)]
        for instance in members:
            if instance.passage is not DEATH_IN_POOL:
                self.terminate(instance, now, "the warm pool was deleted.")
        if not members:
            warm_pools.forget(group)

    def _launch(
        self, scope: Scope, group: Record, used: Counter[str], passage: Passage, now: float, cause: str
    ) -> Instance | None:
        """Launch an instance in the subnet of which the fewest are used, and count it there; None if it cannot be."""
        subnet = _emptiest_subnet(group, used)
        if self.limits.is_put_off(group, now):
            return None
        refusal = self.limits.refusal(group, subnet, self.addresses.left, self._used, now)
        if refusal:
            self.activities.fail_launch(scope, group, refusal, cause, now)
            return None
        template = self._choose(group)
        used[subnet] += 1
        zone = cloud.subnet_zone(subnet) or group["AvailabilityZones"][0]
        address = self.addresses.take()
        assert address, "there was a free one"
        public_address = self._public_addresses.take()
        instance_id = cloud.launch_instance(
            template.data,
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
            launch_template=template.template,
            protected=bool(group["NewInstancesProtectedFromScaleIn"]),
            launched=now,
            cause=cause,
            passage=passage,
            generation=self.refreshes.generation(group),
            override=template.override,
            image=template.image,
            weight=template.weight,
        )
        self._instances[instance_id] = self._members[instance.group_arn][instance_id] = instance
        self._note(instance, passage, now)
        self._enter(instance, passage.first, now)
        return instance

    def _choose(self, group: Record) -> configurations.Choice:
        """Return what the next instance of a group is launched from."""
        used = Counter(each.override for each in self.members(group) if each.state in COUNTED | PREPARED)
        wanted = self.refreshes.configuration(group)
        return configurations.choose(configurations.of(group) if wanted is None else wanted, used)

    def _test_targets(self, scope: Scope, group: Record) -> None:
        """Send a hook's notification target its test message, once."""
        for hook in cloud.hooks_of(group["AutoScalingGroupName"]):
            target = hook.get("NotificationTargetARN")
            key = (scope, group["AutoScalingGroupARN"], hook["LifecycleHookName"], target)
            if not target or key in self._tested:
                continue
            self._tested.add(key)
            send_test(group, target, self.clock())


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


GROUP_TAG = "aws:autoscaling:groupName"
"""The tag that names the group of an instance."""


def _capacity(instances: Collection[Instance]) -> int:
    """The units of capacity that these instances are: one each, or their weights."""
    return sum(each.weight or 1 for each in instances)


def _instance_tags(group: Record, template: configurations.Choice) -> dict[str, str]:
    specifications = [one for one in template.data.get("TagSpecifications", []) if one["ResourceType"] == "instance"]
    tags = {tag["Key"]: tag["Value"] for one in specifications for tag in one.get("Tags", [])}
    tags |= {tag["Key"]: tag["Value"] for tag in group["Tags"] if tag["PropagateAtLaunch"]}
    return {**tags, GROUP_TAG: group["AutoScalingGroupName"]}


def _retains(group: Record) -> bool:
    """Whether the group keeps an instance whose terminate hook was abandoned."""
    triggers = (group.get("InstanceLifecyclePolicy") or {}).get("RetentionTriggers") or {}
    return bool(triggers.get("TerminateHookAbandon") == "retain")


def traffic_sources(group: Record) -> list[Record]:
    """Return whatever sends a group traffic, however it was attached."""
    attached = [
        *({"Identifier": one, "Type": "elbv2"} for one in group.get("TargetGroupARNs", [])),
        *({"Identifier": one, "Type": "elb"} for one in group.get("LoadBalancerNames", [])),
        *group.get("TrafficSources", []),
    ]
    return list({one["Identifier"]: one for one in attached}.values())
