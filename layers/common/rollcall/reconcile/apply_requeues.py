"""Lifecycle actions queued again, for register or cleanup."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rollcall.aws.queues import is_queue
from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.errors import RollcallError
from rollcall.domain.message_format import write_action

from .result import Applied, StepError, fixes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.aws.queues import Queues
    from rollcall.domain.groups import Hook
    from rollcall.domain.inventories import Inventory
    from rollcall.domain.settings import Settings

    from .steps import Requeue


class ApplyRequeues:
    """Queues the actions of instances that wait, one by one and as far as the time goes."""

    def __init__(self, settings: Settings, fleet: Fleet, queues: Queues, in_time: Callable[[], bool]) -> None:
        self._settings = settings
        self._fleet = fleet
        self._queues = queues
        self._in_time = in_time
        self._hooks: dict[str, list[Hook]] = {}

    def apply(self, inventory: Inventory, requeues: Sequence[Requeue]) -> Iterator[Applied]:
        """What came of each; nothing where no hook of ours holds the instance any more."""
        for requeue in requeues:
            if not self._in_time():
                yield Applied(left=1)
                continue
            try:
                sent = self._queue_again(requeue)
            except RollcallError as error:
                what = f"waiting instance {requeue.instance_id} of group {requeue.group}"
                yield Applied(errors=(StepError(what, error, inventory),))
                continue
            if sent:
                yield Applied(fixes_of("requeued", [requeue]))

    def _queue_again(self, requeue: Requeue) -> bool:
        """Whether the instance waits for a hook of ours, of which each may be open, and its actions are queued."""
        wanted = list(Transition) if requeue.transition is None else [requeue.transition]
        hooks = [hook for hook in self._own_hooks(requeue.group) if hook.transition in wanted]
        sent = [self._send(requeue, hook) for hook in hooks]
        return any(sent)

    def _own_hooks(self, group: str) -> list[Hook]:
        """A group's hooks that are ours, looked up once a run."""
        if group not in self._hooks:
            self._hooks[group] = [hook for hook in self._fleet.hooks(group) if self._is_ours(hook)]
        return self._hooks[group]

    def _is_ours(self, hook: Hook) -> bool:
        queues = (self._settings.launch_queue_url, self._settings.terminate_queue_url)
        return hook.name.startswith(self._settings.hook_prefix) or any(is_queue(hook.target, url) for url in queues)

    def _send(self, requeue: Requeue, hook: Hook) -> bool:
        """Whether this hook is what the instance waits for, and its action was queued again."""
        launching = hook.transition == Transition.LAUNCHING
        url = self._settings.launch_queue_url if launching else self._settings.terminate_queue_url
        action = LifecycleAction(
            hook.transition,
            self._settings.account,
            self._fleet.region,
            requeue.group,
            requeue.instance_id,
            hook.name,
            at=time.time(),  # when it began to wait is not known
        )
        if not self._fleet.heartbeat(action):
            return False
        self._queues.send(url, [(write_action(action), 0)])
        return True
