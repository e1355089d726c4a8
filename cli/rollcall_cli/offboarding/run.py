"""Takes a group out of Rollcall, step by step: each hook once it holds nothing, then the tags.

A second run finds what is left, and goes on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollcall.domain.actions import Result
from rollcall_cli.group_changes import DeleteHook
from rollcall_cli.running import NotRun

from .plan import ForWaiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollcall_cli.group_changes import Change
    from rollcall_cli.scaling_group import LifecycleHook, ScalingGroup

ROUND_EVERY = 2.0  # seconds

type Say = Callable[[str], None]


@dataclass(frozen=True)
class Answer:
    """What a hook was answered with for an instance, whatever Rollcall would have answered."""

    hook: str
    instance: str
    result: Result


class Removing:
    """Takes it away. answered: hooks that were not waited for. seconds: to wait for one hook."""

    def __init__(
        self,
        group: ScalingGroup,
        for_waiting: ForWaiting,
        seconds: float,
        say: Say,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.answered: list[Answer] = []
        self.done: list[Change] = []
        self._group = group
        self._for_waiting = for_waiting
        self._seconds = seconds
        self._say = say
        self._sleep = sleep

    def apply(self, changes: Sequence[Change]) -> None:
        """Do all of it, in this order. Raises NotRun where a hook still holds instances when the time is over."""
        for change in changes:
            if isinstance(change, DeleteHook):
                self._empty(change.hook)
            change.apply(self._group)
            self.done.append(change)
            self._say(change.words())

    def _empty(self, hook: LifecycleHook) -> None:
        """Wait until a hook holds no instance, and none is about to come to it; answer those that wait if so chosen.

        It is read again right before the hook goes: what begins in that moment is all that AWS can abandon. Where it
        is to abandon what waits nothing is answered here: the group would launch others that wait again.
        """
        if hook.launching and self._for_waiting == ForWaiting.ABANDON:
            waiting = self._group.read().waiting(hook.transition)
            self.answered += [Answer(hook.name, each, Result.ABANDON) for each in waiting]
            return
        deadline, said = time.monotonic() + self._seconds, ""
        while instances := self._group.read().bound_for_hooks(hook.transition):
            held = self._answer(hook, instances)
            words = f"hook {hook.name} holds, or will soon: {', '.join(held)}"
            if held and words != said:
                self._say(said := words)
            if time.monotonic() >= deadline:
                raise NotRun(
                    f"After {self._seconds:.0f} s {words}. It was not deleted, for AWS would "
                    f"{'abandon' if hook.launching else 'let go'} them. Run this again; or answer them with --waiting "
                    "continue or abandon. Done so far: " + ("; ".join(each.words() for each in self.done) or "nothing")
                )
            self._sleep(ROUND_EVERY)

    def _answer(self, hook: LifecycleHook, instances: Sequence[str]) -> list[str]:
        """Those that are left to wait for."""
        if self._for_waiting == ForWaiting.WAIT:
            return list(instances)
        let_go = [each for each in instances if self._group.complete(hook.name, each, Result.CONTINUE)]
        for each in let_go:
            self.answered.append(Answer(hook.name, each, Result.CONTINUE))
            self._say(f"hook {hook.name} answered with {Result.CONTINUE} for {each}")
        return [each for each in instances if each not in let_go]
