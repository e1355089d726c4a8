"""Which hooks a stack answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollcall.doctor.observations import Senders

if TYPE_CHECKING:
    from .scaling_group import LifecycleHook


@dataclass(frozen=True)
class Answerer:
    """What a stack's hooks are known by: their prefix, the ARNs of its queues, the topics that may send to these."""

    prefix: str
    queues: frozenset[str]
    senders: Senders = field(default_factory=Senders)

    def answers(self, hook: LifecycleHook) -> bool:
        """Whether a hook is one of the stack's: by its name, or since it notifies a queue of it or a named topic."""
        target = hook.target
        is_heard = target is not None and (target in self.queues or self.senders.include(target))
        return hook.name.startswith(self.prefix) or is_heard
