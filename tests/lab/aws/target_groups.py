"""Target groups as Elastic Load Balancing runs them: targets that are initial, healthy or unhealthy, and drain.

MiniStack keeps the target groups themselves; the targets are ours. Unless a test says otherwise one is initial for a
moment and healthy from then on, also where no load balancer uses its target group. Where a simulated load balancer
(lab.traffic) does, they are what it finds.

Source of the states, reasons and errors: Elastic Load Balancing API reference (TargetHealth, RegisterTargets); the
words of InvalidTarget are AWS's as its users quote them. Of the deregistration delay: Application Load Balancers user
guide ("Edit target group attributes"): a target is shown as draining until its delay is over, also if it has nothing in
hand; that Auto Scaling waits as long is from its user guide ("How lifecycle hooks work"). A delay of 300 seconds, AWS's
default, Auto Scaling does not wait for here: no test could.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lab.aws import ministack as cloud
from lab.aws.control import FoundTarget, TargetEvent, TargetRecord
from lab.aws.ministack import Record, Response

INITIAL_TIME = 0.3
"""Seconds that a target is initial: for want of a word of a test, its machine serves by then."""
DRAINING_TIME = 300
"""Seconds that a target drains once deregistered: the default of deregistration_delay.timeout_seconds."""
KEPT = 60
"""Seconds for which it is shown to load balancers that a target has drained."""
INITIAL = ("initial", "Elb.InitialHealthChecking")
HEALTHY = ("healthy", "")
DRAINING = ("draining", "Target.DeregistrationInProgress")
NOT_REGISTERED = ("unused", "Target.NotRegistered")
INVALID_STATE = ("unused", "Target.InvalidState")
REGISTERING = ("initial", "Elb.RegistrationInProgress")


@dataclass
class Target:
    """An instance that is or was a target: when it became one, when it began to drain, and when it has drained.

    found: what a load balancer found of it last.
    """

    registered: float
    deregistered: float | None = None
    drained: float | None = None
    found: FoundTarget | None = None


class TargetGroups:
    """The targets of all target groups, by the ARNs of the groups. clock: seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.events: list[TargetEvent] = []
        self._targets: dict[tuple[str, str], Target] = {}
        self._said: dict[tuple[str, str | None], tuple[str, str]] = {}
        self._balanced: set[str] = set()

    def actions(self) -> dict[str, Callable[[Record], Response]]:
        """Return the API actions that are answered here, by name."""
        return {
            "RegisterTargets": self._register,
            "DeregisterTargets": self._deregister,
            "DescribeTargetHealth": self._describe,
        }

    def say(self, target_group: str, instance_id: str | None, state: str | None, reason: str) -> None:
        """Let a target group say this of a target, of any if None is given, from now on; a state of None ends it."""
        if state is None:
            self._said.pop((target_group, instance_id), None)
        else:
            self._said[target_group, instance_id] = (state, reason)

    def register(self, target_group: str, instance_ids: Iterable[str]) -> None:
        """Make instances targets; those that are stay so."""
        for instance_id in instance_ids:
            target = self._targets.get((target_group, instance_id))
            if target is None or target.deregistered is not None:
                self._targets[target_group, instance_id] = Target(self._clock())
                self._note(target_group, instance_id, "registered")

    def deregister(self, target_group: str, instance_ids: Iterable[str]) -> float:
        """Let targets drain; an instance that is none is left so. Return until when Auto Scaling waits for that."""
        now, delay = self._clock(), cloud.deregistration_delay(target_group)
        for instance_id in instance_ids:
            target = self._targets.get((target_group, instance_id))
            if target and target.deregistered is None:
                target.deregistered = now
                target.drained = now + (DRAINING_TIME if delay is None else delay)
                self._note(target_group, instance_id, "deregistered")
        return now if delay in (None, DRAINING_TIME) else now + (delay or 0.0)

    def balance(self, target_group: str, *, on: bool) -> None:
        """Let a load balancer find what the targets of a target group are, or no longer."""
        (self._balanced.add if on else self._balanced.discard)(target_group)

    def find(self, target_group: str, found: FoundTarget) -> None:
        """Take what a load balancer finds of a target, unless that has been registered anew since."""
        target = self._targets.get((target_group, found.instance_id))
        if target is None or target.deregistered is not None or target.registered != found.registered:
            return
        target.found = found
        if found.state == "healthy" and not self._called_healthy(target_group, found.instance_id):
            self._note(target_group, found.instance_id, "healthy")

    def records(self) -> list[TargetRecord]:
        """Return the targets of all target groups, but those that drained long ago."""
        now = self._clock()
        return [
            TargetRecord(target_group, instance_id, one.registered, one.deregistered, one.drained)
            for (target_group, instance_id), one in self._targets.items()
            if one.drained is None or now < one.drained + KEPT
        ]

    def health(self, target_group: str, instance_id: str) -> tuple[str, str]:
        """Return state and reason of a target."""
        target, now = self._targets.get((target_group, instance_id)), self._clock()
        if target is None or now > (target.drained or now):
            return NOT_REGISTERED
        if target.deregistered is not None:
            return DRAINING
        if cloud.instance_state(instance_id) != "running":
            return INVALID_STATE
        said = self._said.get((target_group, instance_id)) or self._said.get((target_group, None))
        if said:
            return said
        if target_group in self._balanced:
            return (target.found.state, target.found.reason) if target.found else REGISTERING
        return INITIAL if now < target.registered + INITIAL_TIME else HEALTHY

    def _note(self, target_group: str, instance_id: str, what: str) -> None:
        self.events.append(TargetEvent(self._clock(), target_group, instance_id, what))

    def _register(self, params: Record) -> Response:
        target_group, instance_ids = cloud.targets_named(params)
        stored = cloud.target_group(target_group)
        if stored is None:
            return cloud.no_target_group(target_group)
        if stored["TargetType"] != "instance":
            words = f"'{instance_ids[0]}' is not a valid target of a target group of type {stored['TargetType']}"
            return cloud.target_refusal("ValidationError", words)
        stopped = [f"'{each}'" for each in instance_ids if cloud.instance_state(each) != "running"]
        if stopped:
            words = "The following targets are not in a running state and cannot be registered: "
            return cloud.target_refusal("InvalidTarget", words + ", ".join(stopped))
        self.register(target_group, instance_ids)
        return cloud.target_answer("RegisterTargets", {})

    def _deregister(self, params: Record) -> Response:
        target_group, instance_ids = cloud.targets_named(params)
        if cloud.target_group(target_group) is None:
            return cloud.no_target_group(target_group)
        self.deregister(target_group, instance_ids)
        return cloud.target_answer("DeregisterTargets", {})

    def _describe(self, params: Record) -> Response:
        target_group, instance_ids = cloud.targets_named(params)
        stored = cloud.target_group(target_group)
        if stored is None:
            return cloud.no_target_group(target_group)
        listed = instance_ids or [each for owner, each in self._targets if owner == target_group]
        found = []
        for each in listed:
            state, reason = self.health(target_group, each)
            if (state, reason) == NOT_REGISTERED and not instance_ids:
                continue
            if state == "healthy" and not self._called_healthy(target_group, each):
                self._note(target_group, each, "healthy")
            health = (
                {"State": state}
                | ({"Reason": reason} if reason else {})
                | self._description(target_group, each, reason)
            )
            found.append({"Target": {"Id": each, "Port": stored["Port"]}, "TargetHealth": health})
        return cloud.target_answer("DescribeTargetHealth", {"TargetHealthDescriptions": found})

    def _description(self, target_group: str, instance_id: str, reason: str) -> dict[str, str]:
        """How a load balancer describes what it finds."""
        target = self._targets.get((target_group, instance_id))
        found = target.found if target else None
        return {"Description": found.description} if found and found.reason == reason and found.description else {}

    def _called_healthy(self, target_group: str, instance_id: str) -> bool:
        """Whether the target was called healthy since it was registered last."""
        for each in reversed(self.events):
            if (each.target_group, each.instance_id) == (target_group, instance_id):
                return each.what == "healthy"
        return False
