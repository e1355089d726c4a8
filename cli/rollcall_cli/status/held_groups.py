"""The groups that opted in, and those of their instances that may wait: read from Auto Scaling and EC2 in few calls.

Hooks are read of a group alone, so only of those groups in which something may wait.
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, NamedTuple

from rollcall.checks.registry import read_group_settings
from rollcall.domain.actions import Transition
from rollcall.domain.errors import BadSettings
from rollcall.domain.settings import DEFAULT_TIMEOUT, OPT_IN_TAG, PINNED_TAG
from rollcall.domain.timing import JOB_FORGOTTEN
from rollcall_cli.running import NotRun

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from concurrent.futures import Executor

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.groups import Group, Hook
    from rollcall.domain.instances import Instance
    from rollcall.domain.membership import Membership, OptedIn
    from rollcall_cli.stack_parts import StackParts


SERVING_READ = 1000  # instances in service, in five calls; of more only where groups are named: EC2 counts the calls


class HeldGroup(NamedTuple):
    """A group in which something may wait, with the heartbeat timeouts of its hooks.

    hooks: those that Rollcall answers. others: those that it does not. held: its instances that hooks hold. serving:
    those that serve for so short a time that their job may still run, where no hook of Rollcall's has held them.
    instances: what EC2 says of them, as far as it knows them. departures: since when those go that go, as far as the
    group's activities say.
    """

    group: Group
    hooks: tuple[Hook, ...]
    others: tuple[Hook, ...]
    held: Mapping[str, Membership]
    serving: frozenset[str]
    instances: Mapping[str, Instance]
    departures: Mapping[str, float]

    def hooks_for(self, membership: Membership) -> tuple[Hook, ...]:
        """Those of Rollcall's that may hold an instance in this state."""
        return _for_state(self.hooks, membership)

    def others_for(self, membership: Membership) -> tuple[Hook, ...]:
        """Those that Rollcall does not answer, and that may hold an instance in this state."""
        return _for_state(self.others, membership)


def _for_state(hooks: tuple[Hook, ...], membership: Membership) -> tuple[Hook, ...]:
    if membership.resting:  # the way into a warm pool, and back, is one state
        return hooks
    wanted = Transition.TERMINATING if membership.leaving else Transition.LAUNCHING
    return tuple(each for each in hooks if each.transition == wanted)


class ReadGroups(NamedTuple):
    """The names of the groups that were read, and of those of them in an emergency; and where something may wait.

    pins: of those that a cycle has pinned, the value of the tag that says so.
    """

    names: tuple[str, ...]
    in_emergency: tuple[str, ...]
    pins: Mapping[str, str]
    held: list[HeldGroup]


def read_held_groups(fleet: Fleet, stack: StackParts, names: Collection[str], now: float, pool: Executor) -> ReadGroups:
    """The groups that opted in. names: of those to read, none for all. now: epoch seconds.

    Raises NotRun for a name that is no such group's, AwsUnavailable, AwsDenied and AwsRejected.
    """
    chosen = _chosen(fleet.opted_in(OPT_IN_TAG), names)
    held = {name: {each: known for each, known in own.members.items() if known.held} for name, own in chosen.items()}
    instances = _instances(fleet, chosen, all_serving=bool(names))
    young = {name: _young(own, instances, now) for name, own in chosen.items()}
    wanted = [name for name in chosen if held[name] or young[name]]
    hooks = pool.map(fleet.hooks, wanted)
    departures = pool.map(lambda name: _departures(fleet, name, held[name]), wanted)
    return ReadGroups(
        tuple(chosen),
        tuple(name for name, own in chosen.items() if own.group.in_emergency),
        {name: own.group.tags[PINNED_TAG] for name, own in chosen.items() if PINNED_TAG in own.group.tags},
        [
            _held_group(stack, chosen[name].group, own, held[name], young[name], instances, since)
            for name, own, since in zip(wanted, hooks, departures, strict=True)
        ],
    )


def _chosen(opted_in: Mapping[str, OptedIn], names: Collection[str]) -> dict[str, OptedIn]:
    """Those that are named, all where none is, in the order of their names."""
    for name in names:
        if name not in opted_in:
            raise NotRun(
                f"There is no Auto Scaling group {name!r} with the tag {OPT_IN_TAG} in this account and Region: "
                "correct the name, upper and lower case, or the Region (--region)."
            )
    return {name: own for name, own in sorted(opted_in.items()) if not names or name in names}


def _instances(fleet: Fleet, chosen: Mapping[str, OptedIn], *, all_serving: bool) -> Mapping[str, Instance]:
    """What EC2 says of the instances that enter or serve. all_serving: also if more serve than SERVING_READ."""
    members = {each: known for own in chosen.values() for each, known in own.members.items()}
    entering = {each for each, known in members.items() if known.held and known.entering}
    serving = {each for each, known in members.items() if known.serving}
    wanted = entering | serving if all_serving or len(serving) <= SERVING_READ else entering
    return fleet.instances(wanted) if wanted else {}


def _departures(fleet: Fleet, group: str, held: Mapping[str, Membership]) -> Mapping[str, float]:
    going = {each for each, known in held.items() if known.leaving}
    return fleet.departures(group, going) if going else {}


def _young(own: OptedIn, instances: Mapping[str, Instance], now: float) -> frozenset[str]:
    """Instances in service whose job the gate may still follow: it forgets an ended one after a while."""
    try:
        settings = read_group_settings(own.group)
        timeout = settings.timeout if settings else DEFAULT_TIMEOUT
    except BadSettings:
        timeout = DEFAULT_TIMEOUT
    return frozenset(
        each
        for each, known in own.members.items()
        if known.serving
        if (one := instances.get(each)) and now - one.launched_at < timeout + JOB_FORGOTTEN
    )


def _held_group(
    stack: StackParts,
    group: Group,
    hooks: Collection[Hook],
    held: Mapping[str, Membership],
    young: frozenset[str],
    instances: Mapping[str, Instance],
    departures: Mapping[str, float],
) -> HeldGroup:
    own = tuple(each for each in hooks if stack.answerer.answers(each))
    others = tuple(each for each in hooks if each not in own)
    timeouts = {each.name: each.heartbeat_timeout for each in hooks}
    was_held = any(each.transition == Transition.LAUNCHING for each in own)
    known = {each: instances[each] for each in (*held, *young) if each in instances}
    serving = frozenset() if was_held else young
    return HeldGroup(replace(group, heartbeat_timeouts=timeouts), own, others, held, serving, known, departures)
