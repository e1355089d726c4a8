"""What was examined, in words: an answer without findings is an all-clear only about that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.errors import RollcallError
from rollcall.domain.settings import OPT_IN_TAG

from .observations import HostSample

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .observations import Observations, ObservedStack, ObservedTower, OrError

NO_ONE_NOTIFIED = (  # no finding: a trial, or monitoring of another kind, wants it so
    "who is notified of incidents: no one, for AlarmTopicArn, PagerDutySecretArn and SlackSecretArn are empty"
)


def coverage(observed: Observations) -> Iterator[str]:
    """Sentences, with numbers."""
    tower = observed.tower
    yield _tower(tower)
    yield (
        f"{_read({**tower.bake_inventories, **tower.inventories}, 'inventory', 'inventories')} and "
        f"{_read({**tower.bake_templates, **tower.templates}, 'job template')} that tags name"
    )
    yield _stack(observed.stack)
    if not observed.stack.notifies:
        yield NO_ONE_NOTIFIED
    if observed.chef is not None:
        yield _chef(observed.chef)
    yield _groups(observed)
    yield from _sample(observed)


def _stack(stack: ObservedStack) -> str:
    parts = [
        _read(stack.rules, "rule"),
        _read(stack.queues, "queue"),
        _read(stack.sources, "event source mapping"),
        _read(stack.schedules, "schedule"),
    ]
    return ", ".join([*parts, *([_read(stack.topics, "topic")] if stack.topics else [])])


def _sample(observed: Observations) -> Iterator[str]:
    """Which instances were searched for in all inventories; nothing where it was all of them, or none."""
    serving = sum(known.serving for each in observed.opted_in for known in each.group.members.values())
    sample = observed.tower.sample
    if isinstance(sample, HostSample) and len(sample.instances) != serving:
        yield f"{len(sample.instances)} of {serving} instances in service in every inventory that the token may read"


def _read(observed: Mapping[str, object], one: str, more: str = "") -> str:
    """How many of these could be read."""
    return _counted(sum(not isinstance(each, RollcallError) for each in observed.values()), one, more)


def _counted(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or f'{one}s'}"


def _tower(tower: ObservedTower) -> str:
    if isinstance(tower.version, RollcallError):
        return f"Tower at {tower.root}, in vain"
    words = f"Tower {tower.version} at {tower.root}, whose clock is {round(tower.ahead):+d} s from AWS's"
    if tower.user is None or isinstance(tower.user, RollcallError):
        return words
    words += f", as user {tower.user.name}"
    return words if tower.limits or not tower.bulk else f"{words}, who may not read the limits of bulk calls"


def _chef(nodes: OrError[int]) -> str:
    if isinstance(nodes, RollcallError):
        return "the Chef server, in vain"
    return f"the Chef server, which has {_counted(nodes, 'node')}"


def _groups(observed: Observations) -> str:
    groups = observed.groups
    if isinstance(groups, RollcallError):
        return "the Auto Scaling groups, in vain"
    opted_in = [each for each in groups.values() if OPT_IN_TAG in each.group.tags]
    hooks = sum(len(each.hooks) for each in opted_in if not isinstance(each.hooks, RollcallError))
    instances = sum(len(each.group.members) for each in observed.opted_in)
    return (
        f"{_counted(len(opted_in), 'Auto Scaling group')} that opted in, with {_counted(hooks, 'hook')} and "
        f"{_counted(instances, 'instance')}; the hooks of {_counted(len(groups) - len(opted_in), 'other')}"
    )
