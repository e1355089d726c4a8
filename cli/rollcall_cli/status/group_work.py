"""What cycles and bakes left of a group, and when the next is due: how a status shows it. Pure."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from rollcall.bake.state import BakeResult
from rollcall.bake.tag import parse_bake_tag
from rollcall.cycle.tag import parse_cycle_tag
from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import base_template
from rollcall.domain.shell_commands import command, operand
from rollcall.domain.version_aliases import DEFAULT_VERSION
from rollcall.workflow.schedule import in_words
from rollcall_cli.times import moment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from rollcall.aws.tagged_groups import RunningGroup
    from rollcall.domain.groups import Group
    from rollcall.workflow.schedule import Schedule

BY_OPERATOR = frozenset({str(each) for each in BakeResult if each.is_operators})


class LastEnd(NamedTuple):
    """How the last cycle or bake of a group ended, which did not go well. what: "cycle" or "bake". name: its execution.

    ended: epoch seconds.
    """

    group: str
    what: str
    name: str
    result: str
    ended: float

    @property
    def went_wrong(self) -> bool:
        """Whether it ended so by itself, and no operator's request."""
        return self.result not in BY_OPERATOR


class NextDue(NamedTuple):
    """When the next cycle or bake of a group is due by its tag. at: epoch seconds. words: that moment."""

    group: str
    what: str
    at: float
    words: str


class MixedVersions(NamedTuple):
    """A group whose instances run versions of its launch template that are not all the one it launches.

    launches: as the group has it. running: the numbers, sorted.
    """

    group: str
    launches: str
    running: tuple[str, ...]


def next_due(groups: Collection[Group], now: float, *, cycles: bool, bakes: bool) -> Iterator[NextDue]:
    """What is due next by schedule. cycles, bakes: whether the stack has these.

    Tags that cannot be read are passed over: doctor finds them.
    """
    for group in groups:
        with suppress(BadSettings):
            bake = parse_bake_tag(group) if bakes else None
            if bake and bake.every and not bake.never:
                yield _next(group.name, "bake", bake.every, now)
        with suppress(BadSettings):
            cycle = parse_cycle_tag(group) if cycles else None
            if cycle and cycle.every and not cycle.never:
                yield _next(group.name, "cycle", cycle.every, now)


def _next(group: str, what: str, every: Schedule, now: float) -> NextDue:
    at = every.next_after(now)
    return NextDue(group, what, at.timestamp(), in_words(at))


def mixed_versions(groups: Collection[RunningGroup], at_work: Collection[str]) -> Iterator[MixedVersions]:
    """The groups whose instances do not run one version. at_work: those of which a cycle or bake runs, and no others.

    What an alias stands for is not read: of a group on one it is enough that its instances run the same.
    """
    for each in groups:
        template = base_template(each.configuration)
        own = str(template.get("Version") or DEFAULT_VERSION)
        running = {number for template_id, number in each.running if template_id == template.get("LaunchTemplateId")}
        mixed = len(running) > 1 or (own.isdigit() and bool(running) and running != {own})
        if mixed and each.group.name not in at_work:
            yield MixedVersions(each.group.name, own, tuple(sorted(running, key=_number)))


def _number(version: str) -> int:
    return int(version) if version.isdigit() else 0


# In words


def end_words(end: LastEnd, given: Sequence[str]) -> str:
    """How the last one ended, in a line. given: options for the command in it."""
    watches = command("rollcall", end.what, "--watch", *given, *operand(end.group))
    return f"{end.group}: the last {end.what} ended as {end.result}, {moment(end.ended)}: {watches} shows it"


def due_words(due: NextDue) -> str:
    """When the next one is due, in a line."""
    return f"{due.group}: next by schedule: {due.words}"


def mixed_words(mixed: MixedVersions, given: Sequence[str], *, has_cycles: bool) -> str:
    """Which versions a group has, and what brings all instances to one, in a line."""
    many = "version" if len(mixed.running) == 1 else "versions"
    versions = " and ".join(filter(None, (", ".join(mixed.running[:-1]), mixed.running[-1])))
    cycles = command("rollcall", "cycle", "--skip-matching", *given, *operand(mixed.group))
    brings = f"{cycles} brings" if has_cycles else "an instance refresh brings"
    return (
        f"{mixed.group}: its instances run {many} {versions}, and it launches {mixed.launches}; {brings} all of them "
        "to that"
    )
