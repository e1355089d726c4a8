"""Changes of an Auto Scaling group as data: planned in an order, said in words, printed as commands, and done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollcall.domain.shell_commands import command, set_tag_command

from .lifecycle_hooks import LifecycleHook

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .scaling_group import ScalingGroup


@dataclass(frozen=True)
class SetTags:
    """Tags set in one call."""

    tags: Mapping[str, str]

    def words(self) -> str:
        """What is done, in words."""
        return "set " + ", ".join(f"{key}={value}" for key, value in self.tags.items())

    def commands(self, group: str, given: Sequence[str] = ()) -> list[str]:
        """The same by the AWS command line. given: options that each of them gets, too."""
        also = f" {command(*given)}" if given else ""
        return [set_tag_command(group, key, value) + also for key, value in self.tags.items()]

    def apply(self, group: ScalingGroup) -> None:
        """Do it. Raises NotRun."""
        group.set_tags(self.tags)


@dataclass(frozen=True)
class DeleteTags:
    """Tags deleted in one call."""

    keys: tuple[str, ...]

    def words(self) -> str:
        """What is done, in words."""
        return "delete " + ", ".join(self.keys)

    def commands(self, group: str, given: Sequence[str] = ()) -> list[str]:
        """The same by the AWS command line. given: options that each of them gets, too."""
        tags = [{"ResourceType": "auto-scaling-group", "ResourceId": group, "Key": key} for key in self.keys]
        return [command("aws", "autoscaling", "delete-tags", "--tags", json.dumps(tags), *given)]

    def apply(self, group: ScalingGroup) -> None:
        """Do it. Raises NotRun."""
        group.delete_tags(self.keys)


@dataclass(frozen=True)
class PutHook:
    """A hook made, or changed, with every field."""

    hook: LifecycleHook

    def words(self) -> str:
        """What is done, in words."""
        return f"put {hook_in_words(self.hook)}"

    def commands(self, group: str, given: Sequence[str] = ()) -> list[str]:
        """The same by the AWS command line. given: options that each of them gets, too."""
        request = {"AutoScalingGroupName": group, **self.hook.arguments()}
        return [command("aws", "autoscaling", "put-lifecycle-hook", "--cli-input-json", json.dumps(request), *given)]

    def apply(self, group: ScalingGroup) -> None:
        """Do it. Raises NotRun."""
        group.put_hook(self.hook)


@dataclass(frozen=True)
class DeleteHook:
    """A hook deleted, once it holds nothing: of what it holds AWS abandons the launches."""

    hook: LifecycleHook

    def words(self) -> str:
        """What is done, in words."""
        return f"delete hook {self.hook.name}, once it holds no instance"

    def commands(self, group: str, given: Sequence[str] = ()) -> list[str]:
        """The same by the AWS command line. given: options that each of them gets, too."""
        names = (f"--auto-scaling-group-name={group}", f"--lifecycle-hook-name={self.hook.name}")
        return [command("aws", "autoscaling", "delete-lifecycle-hook", *names, *given)]

    def apply(self, group: ScalingGroup) -> None:
        """Do it. Raises NotRun."""
        group.delete_hook(self.hook.name)


def hook_in_words(hook: LifecycleHook) -> str:
    """A hook with the fields that matter here, in words."""
    way = "launches" if hook.launching else "terminations"
    return (
        f"hook {hook.name} for {way}: heartbeat timeout {hook.heartbeat_timeout} s, default result "
        f"{hook.default_result}"
    )


type Change = SetTags | DeleteTags | PutHook | DeleteHook
