"""The instances that wait for Rollcall: which hooks hold them, since when, and how that ends by itself.

What Tower shows of them is in entering.py and leaving.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.groups import AddressKind
from rollcall.domain.messages import Waiting
from rollcall.domain.timing import hook_life

from .entering import EnteringReader
from .leaving import Leavers, LeavingReader
from .waits import Shown, Step, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.groups import Group
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower
    from rollcall_cli.stack_parts import StackParts

    from .held_groups import HeldGroup

UNDER_WAY = (Step.JOB_RUNS, Step.EVENTS_PENDING, Step.TRIED_AGAIN, Step.CHECKED)  # of one that serves already
UNREAD = Shown(Step.NOT_KNOWN, "Tower is not read")


class WaitsReader:
    """Reads what the instances of groups wait for. clock(): this machine's, in epoch seconds."""

    def __init__(
        self,
        stack: StackParts,
        fleet: Fleet,
        tower: Tower,
        evidence: Callable[[Tower], Evidence],
        clock: Callable[[], float],
    ) -> None:
        self._stack = stack
        self._here = stack.settings()
        self._fleet = fleet
        self._tower = tower
        self._evidence = evidence
        self._clock = clock

    def read(self, groups: Sequence[HeldGroup], now: float, *, has_tower: bool) -> tuple[Wait, ...]:
        """Those that wait, in the order of their groups and their ids. has_tower: whether Tower answers.

        now: epoch seconds. Raises what AWS and Tower fail at.
        """
        shown = self._in_tower(groups, now) if has_tower else {}
        return tuple(wait for each in groups for wait in self._waits_of(each, shown))

    def _in_tower(self, groups: Sequence[HeldGroup], now: float) -> dict[str, Shown]:
        """What Tower shows of each, by its id."""
        evidence = self._evidence(self._tower)
        entering = EnteringReader(self._here, self._tower, evidence, self._fleet)
        leaving = LeavingReader(self._here, self._tower, evidence, self._fleet, now)
        return {
            **entering.shown([(each.group, own) for each in groups if (own := self._entering(each))]),
            **leaving.shown(
                [Leavers(each.group, going, each.departures) for each in groups if (going := self._leaving(each))]
            ),
        }

    def _entering(self, held: HeldGroup) -> list[Waiting]:
        """Those on their way into service that a hook of Rollcall's holds, and those that serve without one."""
        waiting = [
            self._waiting(held, each, hooks[0].name)
            for each, membership in held.held.items()
            if membership.entering and (hooks := held.hooks_for(membership))
        ]
        return [*waiting, *(self._waiting(held, each, None) for each in sorted(held.serving))]

    def _leaving(self, held: HeldGroup) -> list[LifecycleAction]:
        return [
            self._action(held, each, hooks[0].name, Transition.TERMINATING)
            for each, membership in held.held.items()
            if membership.leaving and (hooks := held.hooks_for(membership))
        ]

    def _waiting(self, held: HeldGroup, instance_id: str, hook: str | None) -> Waiting:
        """As the gate's messages have it. The token is not known, so the host says when the present stay began."""
        instance = held.instances.get(instance_id)
        return Waiting(
            self._action(held, instance_id, hook, Transition.LAUNCHING),
            launched_at=instance.launched_at if instance else 0.0,
            address=instance.addresses[AddressKind.PRIVATE] if instance else "",
        )

    def _action(self, held: HeldGroup, instance_id: str, hook: str | None, transition: Transition) -> LifecycleAction:
        return LifecycleAction(transition, self._stack.account, self._stack.region, held.group.name, instance_id, hook)

    def _waits_of(self, held: HeldGroup, shown: Mapping[str, Shown]) -> Iterator[Wait]:
        for instance_id in sorted({*held.held, *held.serving}):
            membership = held.held.get(instance_id)
            if membership is None:
                own = shown.get(instance_id, UNREAD)
                if own.step in UNDER_WAY:
                    yield Wait(held.group.name, instance_id, "InService", own.since, (), None, "", own)
                continue
            hooks = held.hooks_for(membership)
            if not hooks:
                own = Shown(Step.ANOTHERS, "its group has no hook of Rollcall's for this way")
            elif membership.resting:
                own = Shown(Step.RESTED, "its host is disabled, then its hook is answered")
            else:
                own = _unless_held(shown.get(instance_id, UNREAD), [each.name for each in held.others_for(membership)])
            since = self._since(held, instance_id, own)
            ends = self._ends(held, instance_id, since, [each.name for each in hooks])
            ends_at, ending = min(ends.items(), default=(None, ""))
            names = tuple(each.name for each in hooks)
            yield Wait(held.group.name, instance_id, membership.state, since, names, ends_at, ending, own)

    def _since(self, held: HeldGroup, instance_id: str, shown: Shown) -> float | None:
        membership = held.held[instance_id]
        if membership.leaving:
            return held.departures.get(instance_id)
        if not membership.entering:
            return None
        instance = held.instances.get(instance_id)
        return shown.since or (instance.launched_at if instance else None)

    def _ends(self, held: HeldGroup, instance_id: str, since: float | None, hooks: Sequence[str]) -> dict[float, str]:
        """When each of the hooks ends by itself, and with what result; none where it is not known since when.

        In an emergency the gate sends no heartbeat, so a hook ends after its heartbeat timeout. An end that is past is
        none: then the wait began later than it seems, out of a warm pool perhaps, or its hook had another timeout then.
        """
        if since is None:
            return {}
        transition = Transition.TERMINATING if held.held[instance_id].leaving else Transition.LAUNCHING
        results = {each.name: str(each.default_result) for each in held.hooks}
        actions = [self._action(held, instance_id, each, transition) for each in hooks]
        ends = {since + _life(held.group, each): results[each.hook or ""] for each in actions}
        return {at: result for at, result in ends.items() if at > self._clock()}


def _life(group: Group, action: LifecycleAction) -> float:
    """Seconds for which a hook waits for Rollcall."""
    if group.in_emergency:
        return float(group.heartbeat_timeouts[action.hook or ""])
    return hook_life(group, action)


def _unless_held(shown: Shown, others: Sequence[str]) -> Shown:
    """What is shown of an instance for which Rollcall answers next, or has: AWS does not say which hook holds it.

    others: the hooks that Rollcall does not answer.
    """
    if not others or shown.step not in (Step.READY, Step.REMOVED):
        return shown
    hooks = f"hook{'s' if len(others) > 1 else ''} {', '.join(map(repr, others))}"
    words = f"Rollcall does not answer {hooks}, which may hold it still: AWS does not say which hook does"
    step = Step.READY_HERE if shown.step == Step.READY else shown.step
    return shown._replace(step=step, reason="; ".join(filter(None, (shown.reason, words))))
