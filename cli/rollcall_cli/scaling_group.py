"""One Auto Scaling group as operators' commands read and change it: its tags, its hooks, and which instances wait."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from rollcall.aws.auto_scaling import other_traffic_of, target_groups_of
from rollcall.domain.actions import Result, Transition
from rollcall.domain.membership import Membership, holds, will_hold

from .lifecycle_hooks import read_hook
from .running import NotRun, note_change
from .stack import not_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from .answerer import Answerer
    from .lifecycle_hooks import LifecycleHook

PREFIX = "rollcall:"  # of every tag that is Rollcall's
NO_ACTION = "No active Lifecycle Action found"  # CompleteLifecycleAction, of what is answered or over


@dataclass(frozen=True)
class GroupState:
    """A group as AWS shows it now.

    tags: all of them. instances: the lifecycle state of each, its warm pool included, by id. hooks: every one, also
    those of others. desired, most: its sizes. now: the moment, by AWS's clock in epoch seconds. target_groups,
    other_traffic: as a Group has them.
    """

    name: str
    tags: Mapping[str, str]
    instances: Mapping[str, str]
    hooks: tuple[LifecycleHook, ...]
    desired: int
    most: int
    now: float
    target_groups: tuple[str, ...] = ()
    other_traffic: tuple[str, ...] = ()

    def own_hooks(self, answerer: Answerer, also: Collection[str] = ()) -> tuple[LifecycleHook, ...]:
        """The hooks that a stack answers, and those of these names."""
        return tuple(hook for hook in self.hooks if answerer.answers(hook) or hook.name in also)

    def own_tags(self) -> dict[str, str]:
        """The tags that are Rollcall's."""
        return {key: value for key, value in self.tags.items() if key.startswith(PREFIX)}

    def waiting(self, transition: Transition) -> list[str]:
        """The instances that hooks of a transition hold now."""
        return sorted(each for each, state in self.instances.items() if holds(Membership(self.name, state), transition))

    def bound_for_hooks(self, transition: Transition) -> list[str]:
        """The instances that hooks of a transition hold now, and those that they will hold in a moment."""
        known = {each: Membership(self.name, state) for each, state in self.instances.items()}
        return sorted(each for each, own in known.items() if will_hold(own, transition))

    def staying(self) -> list[str]:
        """The instances in service, and on their way there."""
        known = {each: Membership(self.name, state) for each, state in self.instances.items()}
        return sorted(each for each, own in known.items() if own.serving or own.entering)

    def serving(self) -> list[str]:
        """The instances in service."""
        return sorted(each for each, state in self.instances.items() if Membership(self.name, state).serving)


def state_of(client: Any, raw: Mapping[str, Any], now: float) -> GroupState:
    """A group as DescribeAutoScalingGroups shows it, with its hooks and its warm pool. Raises what boto3 raises."""
    name = raw["AutoScalingGroupName"]
    hooks = client.describe_lifecycle_hooks(AutoScalingGroupName=name)
    instances = list(raw["Instances"])
    if "WarmPoolConfiguration" in raw:
        for page in client.get_paginator("describe_warm_pool").paginate(AutoScalingGroupName=name):
            instances += page["Instances"]
    return GroupState(
        name=name,
        tags={tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags", [])},
        instances={each["InstanceId"]: each["LifecycleState"] for each in instances},
        hooks=tuple(read_hook(each) for each in hooks["LifecycleHooks"]),
        desired=raw["DesiredCapacity"],
        most=raw["MaxSize"],
        now=now,
        target_groups=target_groups_of(raw),
        other_traffic=other_traffic_of(raw),
    )


def as_tags(group: str, tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """Tags of a group as CreateOrUpdateTags takes them; instances do not get them."""
    return [_tag(group, key) | {"Value": value, "PropagateAtLaunch": False} for key, value in tags.items()]


def _tag(group: str, key: str) -> dict[str, Any]:
    return {"ResourceType": "auto-scaling-group", "ResourceId": group, "Key": key}


def moment_of(answer: Mapping[str, Any]) -> float:
    """When AWS answered, by its clock, in epoch seconds: this computer's may be minutes off."""
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()


class ScalingGroup:
    """Reads and changes one group. client: boto3's for Auto Scaling. The methods raise NotRun where AWS refuses."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self.name = name

    def read(self) -> GroupState:
        """The group now. Raises NotRun where there is none of this name."""
        answer = self._ask(lambda: self._client.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name]))
        if not answer["AutoScalingGroups"]:
            raise NotRun(
                f"There is no Auto Scaling group {self.name!r} in this account and Region: correct the name, upper "
                "and lower case, or the Region (--region)."
            )
        (raw,) = answer["AutoScalingGroups"]
        return self._ask(lambda: state_of(self._client, raw, moment_of(answer)))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags, all in one call; instances do not get them."""
        self._change(lambda: self._client.create_or_update_tags(Tags=as_tags(self.name, tags)))

    def delete_tags(self, keys: Iterable[str]) -> None:
        """Delete tags, all in one call."""
        own = [_tag(self.name, key) for key in keys]
        self._change(lambda: self._client.delete_tags(Tags=own))

    def put_hook(self, hook: LifecycleHook) -> None:
        """Make a hook, or make it what this says, with every field."""
        self._change(lambda: self._client.put_lifecycle_hook(AutoScalingGroupName=self.name, **hook.arguments()))

    def delete_hook(self, name: str) -> None:
        """Delete a hook. AWS completes what it holds first: ABANDON for launches, CONTINUE for terminations."""
        self._change(lambda: self._client.delete_lifecycle_hook(AutoScalingGroupName=self.name, LifecycleHookName=name))

    def complete(self, hook: str, instance_id: str, result: Result) -> bool:
        """Answer a hook for an instance. False if it does not hold it."""
        try:
            self._client.complete_lifecycle_action(
                AutoScalingGroupName=self.name,
                LifecycleHookName=hook,
                InstanceId=instance_id,
                LifecycleActionResult=str(result),
            )
        except ClientError as error:
            if NO_ACTION in error.response["Error"]["Message"]:
                return False
            raise not_asked(error, f"group {self.name}") from error
        except BotoCoreError as error:
            raise not_asked(error, f"group {self.name}") from error
        note_change()
        return True

    def scale_out(self, desired: int) -> None:
        """Set the desired capacity."""
        self._change(lambda: self._client.set_desired_capacity(AutoScalingGroupName=self.name, DesiredCapacity=desired))

    def _change(self, call: Callable[[], object]) -> None:
        self._ask(call)
        note_change()

    def _ask[T](self, call: Callable[[], T]) -> T:
        try:
            return call()
        except (BotoCoreError, ClientError) as error:
            raise not_asked(error, f"group {self.name}") from error
