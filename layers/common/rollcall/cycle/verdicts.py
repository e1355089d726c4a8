"""What the gate decided against new instances, and whether that is enough to end a cycle. Pure.

Two instances that fail in the same place are evidence against the new version; one alone may be a bad machine, which
ABANDON replaces. Where a group has one instance, one is all there will be.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from .state import LISTED_MAX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from .state import CycleVerdict

INSTANCES_AGAINST = 2  # distinct ones, with the same task or check
UNREACHED = "could not be reached"  # what failed, of a job that did not come to any task


class AgainstVersion(NamedTuple):
    """Why a cycle is ended: the same thing failed on these. what: the task, or the check."""

    verdicts: tuple[CycleVerdict, ...]
    what: str

    @property
    def reason(self) -> str:
        """In a sentence."""
        first = self.verdicts[0]
        ids = " and ".join(sorted({each.instance_id for each in self.verdicts})[:INSTANCES_AGAINST])
        where = f"check {self.what}" if first.template is None else f"task {self.what!r}"
        if self.what == UNREACHED:
            where = "the connection to them"
        jobs = ", ".join(dict.fromkeys(f"job {each.job}" for each in self.verdicts if each.job is not None))
        return f"{where} failed on {ids}{f' ({jobs})' if jobs else ''}"


def against_version(verdicts: Iterable[CycleVerdict], size: int) -> AgainstVersion | None:
    """Whether these verdicts speak against the new version. size: instances that the group wants.

    Where several checks of an instance failed, another one needs to have failed at one of them.
    """
    by_place: defaultdict[tuple[int | None, str], dict[str, CycleVerdict]] = defaultdict(dict)
    for each in verdicts:
        for place in each.places:
            by_place[place].setdefault(each.instance_id, each)
    needed = min(INSTANCES_AGAINST, max(size, 1))
    for (_, what), failed in by_place.items():
        if len(failed) >= needed:
            return AgainstVersion(tuple(failed.values()), what)
    return None


def with_verdicts(known: Collection[CycleVerdict], found: Iterable[CycleVerdict]) -> tuple[CycleVerdict, ...]:
    """Those that are known with those that are new, one for each instance; of many those that end the cycle."""
    by_instance = {each.instance_id: each for each in known}
    for each in found:
        by_instance.setdefault(each.instance_id, each)
    every = tuple(by_instance.values())
    if len(every) <= LISTED_MAX:
        return every
    against = against_version(every, INSTANCES_AGAINST)
    return tuple(dict.fromkeys([*(against.verdicts if against else ()), *every]))[:LISTED_MAX]
