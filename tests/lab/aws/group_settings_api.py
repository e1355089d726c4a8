"""The actions of the Auto Scaling API that suspend a group's processes and protect its instances.

Source: Amazon EC2 Auto Scaling API reference (SuspendProcesses, ResumeProcesses, SetInstanceProtection).
"""

from collections.abc import Callable

from lab.aws import ministack as cloud
from lab.aws import processes
from lab.aws.autoscaling import Engine
from lab.aws.autoscaling_answers import RequestRefusedError, answering, named_group, refusing
from lab.aws.lifecycle import in_pool
from lab.aws.ministack import Record, Response
from lab.aws.refreshes import OURS

MAX_PROTECTED = 50
"""Instances that a SetInstanceProtection call may name."""


class GroupSettingsApi:
    """Answers them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def actions(self) -> dict[str, Callable[[Record], Response]]:
        """Return the actions by name."""
        handlers: dict[str, Callable[[Record], Record]] = {
            "SuspendProcesses": self._suspend,
            "ResumeProcesses": self._resume,
            "SetInstanceProtection": self._protect,
        }
        return {name: refusing(name, answering(name, handler)) for name, handler in handlers.items()}

    def _suspend(self, params: Record) -> Record:
        processes.suspend(named_group(params), _named(params), self._engine.clock())
        return {}

    def _resume(self, params: Record) -> Record:
        processes.resume(named_group(params), _named(params))
        return {}

    def _protect(self, params: Record) -> Record:
        group, ids = named_group(params), cloud.members(params, "InstanceIds")
        if len(ids) > MAX_PROTECTED:
            raise RequestRefusedError(f"More than {MAX_PROTECTED} instances {OURS}")
        members = {each.instance_id: each for each in self._engine.members(group) if not in_pool(each.state)}
        for instance_id in ids:
            if instance_id not in members:
                name = group["AutoScalingGroupName"]
                raise RequestRefusedError(f"The instance {instance_id} is not part of Auto Scaling group {name}.")
        for instance_id in ids:
            members[instance_id].protected = params["ProtectedFromScaleIn"] == "true"
        return {}


def _named(params: Record) -> list[str]:
    """Return the processes that a request names: all of them if it names none."""
    names = cloud.members(params, "ScalingProcesses")
    for name in names:
        if name not in processes.PROCESSES:
            raise RequestRefusedError(f"{name} is no process {OURS}")
    return names or list(processes.PROCESSES)
