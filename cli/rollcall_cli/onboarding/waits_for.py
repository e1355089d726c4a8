"""What one instance waits for, by the same reading as that of the command `status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.aws.fleet import Fleet
from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.groups import AddressKind
from rollcall.domain.messages import Waiting
from rollcall.evidence.job_reader import JobEvidence
from rollcall_cli.status.entering import EnteringReader

if TYPE_CHECKING:
    from rollcall.tower.client import Tower
    from rollcall_cli.stack_parts import StackParts


def waits_for(stack: StackParts, tower: Tower, group: str, instance_id: str) -> str:
    """In words; empty where its group or itself is not shown. Raises what the clients of AWS and Tower raise."""
    fleet = Fleet(stack.region)  # a new one each time, for it remembers the tags for a minute
    known, instance = fleet.groups({group}).get(group), fleet.instances({instance_id}).get(instance_id)
    if known is None or instance is None:
        return ""
    hook = min(known.heartbeat_timeouts, default=None)
    action = LifecycleAction(Transition.LAUNCHING, stack.account, stack.region, group, instance_id, hook)
    waiting = Waiting(action, instance.launched_at, instance.addresses[AddressKind.PRIVATE])
    reader = EnteringReader(stack.settings(), tower, JobEvidence(tower), fleet)
    shown = reader.shown([(known, [waiting])]).get(instance_id)
    if shown is None:
        return ""
    return f"{shown.step}: {shown.reason}" if shown.reason else str(shown.step)
