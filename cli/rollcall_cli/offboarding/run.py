"""Takes a group out of Rollcall, step by step: each hook once it holds nothing, then the tags.

A second run finds what is left, and goes on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.actions import Result
from rollcall_cli.group_changes import DeleteHook
from rollcall_cli.running import NotRun

from .plan import ForWaiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollcall_cli.group_changes import Change
    from rollcall_cli.lifecycle_hooks import LifecycleHook
    from rollcall_cli.scaling_group import GroupState, ScalingGroup

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
        while True:
            state = self._group.read()
            held = self._answer(hook, state)
            if not held.left and not held.answered:
                return
            words = f"{_holders(hook, state)} holds, or will soon: {', '.join(held.left)}"
            if held.left and words != said:
                self._say(said := words)
            if held.left and time.monotonic() >= deadline:
                raise NotRun(
                    f"After {self._seconds:.0f} s {words}. Hook {hook.name} was not deleted, for AWS would "
                    f"{'abandon' if hook.launching else 'let go'} what it holds. Run this again"
                    + ("; or answer them with --waiting continue or abandon" if self._waits else "")
                    + ". Done so far: "
                    + ("; ".join(each.words() for each in self.done) or "nothing")
                )
            self._sleep(ROUND_EVERY)

    @property
    def _waits(self) -> bool:
        return self._for_waiting == ForWaiting.WAIT

    def _answer(self, hook: LifecycleHook, state: GroupState) -> _Round:
        """Answer what waits, if so chosen. One that this hook does not hold while others do is not waited for."""
        bound = state.bound_for_hooks(hook.transition)
        if self._waits:
            return _Round(bound, [])
        waiting = state.waiting(hook.transition)
        answered = [each for each in waiting if self._group.complete(hook.name, each, Result.CONTINUE)]
        for each in answered:
            self.answered.append(Answer(hook.name, each, Result.CONTINUE))
            self._say(f"hook {hook.name} answered with {Result.CONTINUE} for {each}")
        return _Round([each for each in bound if each not in waiting], answered)


class _Round(NamedTuple):
    """Of the instances that come to a hook: those that are left to wait for, and those that were answered just now."""

    left: list[str]
    answered: list[str]


def _holders(hook: LifecycleHook, state: GroupState) -> str:
    """AWS does not say which of several hooks holds an instance."""
    others = [each.name for each in state.hooks if each.transition == hook.transition and each.name != hook.name]
    return f"hook {hook.name}" + (f", or another one ({', '.join(others)})," if others else "")
