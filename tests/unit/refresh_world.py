"""A group with a launch template whose instances are refreshed, on a clock by hand."""

from __future__ import annotations

from typing import Any

from lab.aws import ministack as cloud
from lab.aws.ministack import Record
from unit.auto_scaling_world import SCOPE, World

EVENT = "EC2 Auto Scaling Instance Refresh "
SAFE = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 150, "InstanceWarmup": 0}
"""Preferences with which a group of four has two new instances at a time, and never fewer in service than before."""
OLD, NEW = "1", "2"
"""The version that the group is configured with, and the one that it is to have."""


class RefreshWorld(World):
    """A World whose group has a launch template with two versions, and is on the first or on an alias."""

    def __init__(self, *hooks: str, size: int = 4, version: str = OLD, data: Record | None = None) -> None:
        super().__init__(*hooks, MaxSize=20)
        with cloud.within(SCOPE):
            self.template = cloud.create_launch_template(self.name, data or {"ImageId": "ami-1"})
            self.new_version({"ImageId": "ami-2"})
        self.configure(LaunchTemplate={"LaunchTemplateName": self.name, "Version": version})
        if size:
            self.scale(size)
            self.let_in()

    def configure(self, **settings: Any) -> None:
        """Change the group, as UpdateAutoScalingGroup names its settings."""
        self.client.update_auto_scaling_group(AutoScalingGroupName=self.name, **settings)

    def new_version(self, data: Record) -> str:
        with cloud.within(SCOPE):
            return cloud.add_launch_template_version(self.template, data)

    def let_in(self) -> None:
        """Answer the hook `launch` for all that wait or are about to."""
        self.tick(2)
        for instance in self.ids("Pending:Wait"):
            self.answer("launch", InstanceId=instance)

    def start(self, version: str | None = NEW, *, ticks: int = 0, **preferences: Any) -> str:
        """Begin a refresh to this version; None: without a desired configuration."""
        template = {"LaunchTemplateName": self.name, "Version": version}
        desired = {"DesiredConfiguration": {"LaunchTemplate": template}} if version else {}
        answer = self.client.start_instance_refresh(
            AutoScalingGroupName=self.name, Preferences={**SAFE, **preferences}, **desired
        )
        self.tick(ticks)
        return str(answer["InstanceRefreshId"])

    def refresh(self) -> Record:
        """The newest refresh, as the API describes it."""
        answer = self.client.describe_instance_refreshes(AutoScalingGroupName=self.name)
        return dict(answer["InstanceRefreshes"][0])

    def status(self) -> str:
        return str(self.refresh()["Status"])

    def await_status(self, status: str, ticks: int = 500) -> Record:
        """Let the engine tick until the refresh has this status, and return it."""
        for _ in range(ticks):
            if self.status() == status:
                return self.refresh()
            self.tick(1)
        raise AssertionError(f"not {status} but {self.refresh()}, {self.states()}")

    def versions(self) -> dict[str, str]:
        """The version of each instance that the group has, but for those that are going; the oldest first."""
        return {
            each["InstanceId"]: each["LaunchTemplate"]["Version"]
            for each in self.described()["Instances"]
            if not each["LifecycleState"].startswith("Terminating")
        }

    def count(self, version: str, state: str = "") -> int:
        """How many instances that are not going have this version, and this state if one is named."""
        states = self.states()
        return sum(found == version and state in ("", states[one]) for one, found in self.versions().items())

    def reported(self) -> list[str]:
        """What was reported of refreshes."""
        return [kind.removeprefix(EVENT) for kind, _ in self.heard.events if kind.startswith(EVENT)]


__all__ = ["EVENT", "NEW", "OLD", "SAFE", "RefreshWorld"]
