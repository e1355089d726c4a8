"""Which hooks a stack answers, by what its parameters and outputs say.

Doctor, in the stack, also asks SNS where topics lead, and so knows of more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollcall.doctor.observations import Senders
from rollcall.domain.settings import read_topics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.domain.groups import Hook

    from .lifecycle_hooks import LifecycleHook


@dataclass(frozen=True)
class Answerer:
    """What a stack's hooks are known by: their prefix, the ARNs of its queues, the topics that may send to these."""

    prefix: str
    queues: frozenset[str]
    senders: Senders = field(default_factory=Senders)

    @classmethod
    def of(cls, parameters: Mapping[str, str], outputs: Mapping[str, str]) -> Answerer:
        """What the hooks of a stack are known by. Raises KeyError where it is another product's."""
        patterns = read_topics(parameters.get("NotifyingTopicArns", ""))
        return cls(
            outputs["HookPrefix"],
            frozenset({outputs["LaunchQueueArn"], outputs["TerminateQueueArn"]}),
            Senders(parameters.get("NotificationTopicArn", ""), patterns),
        )

    def answers(self, hook: LifecycleHook | Hook) -> bool:
        """Whether a hook is one of the stack's: by its name, or since it notifies a queue of it or a named topic."""
        target = hook.target or ""
        return (
            hook.name.startswith(self.prefix)
            or target in self.queues
            or (bool(target) and self.senders.include(target))
        )
