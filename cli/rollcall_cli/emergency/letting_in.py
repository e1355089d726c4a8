"""Answers every hook of Rollcall's that holds an instance of one group, again and again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollcall.aws.client import AWS_CALLS_AT_ONCE
from rollcall.domain.actions import Result, Transition

if TYPE_CHECKING:
    from collections.abc import Collection

    from rollcall_cli.answerer import Answerer
    from rollcall_cli.scaling_group import GroupState, ScalingGroup


@dataclass
class LettingIn:
    """launched, terminated: the instances whose hooks were answered so far. still_held: those that a hook of others
    holds, as the last round saw it. seen: the group as it was read last.

    also: hooks that it answers beside the stack's.
    """

    group: ScalingGroup
    answerer: Answerer
    also: Collection[str] = ()
    launched: set[str] = field(default_factory=set)
    terminated: set[str] = field(default_factory=set)
    still_held: set[str] = field(default_factory=set)
    seen: GroupState | None = None

    def round(self) -> GroupState:
        """Answer what waits now with CONTINUE; the group as it was read for that. Raises NotRun."""
        state = self.seen = self.group.read()
        self.still_held = set()
        for transition, answered in ((Transition.LAUNCHING, self.launched), (Transition.TERMINATING, self.terminated)):
            hooks = [hook.name for hook in state.own_hooks(self.answerer, self.also) if hook.transition == transition]
            waiting = state.waiting(transition)
            let_go = self._answered(hooks, waiting)
            answered |= let_go
            if any(hook.transition == transition and hook.name not in hooks for hook in state.hooks):
                self.still_held |= set(waiting) - let_go  # without another hook AWS only shows late that they are not
        return state

    def _answered(self, hooks: Collection[str], waiting: Collection[str]) -> set[str]:
        calls = [(hook, each) for each in waiting for hook in hooks]
        with ThreadPoolExecutor(AWS_CALLS_AT_ONCE) as pool:
            done = pool.map(lambda call: self.group.complete(call[0], call[1], Result.CONTINUE), calls)
            return {instance_id for (_, instance_id), found in zip(calls, list(done), strict=True) if found}
