"""What the tag rollcall:emergency holds: since when a group is in an emergency, and how its hooks were before. Pure.

The tag is the whole record. An emergency changes two fields of a hook, its heartbeat timeout and its default result;
all others stay in the hook itself. So 256 characters are enough, the record is written and removed in one call, and
each operator who may tag the group can restore it, from any machine.

    2026-11-21T10:00:00Z rollcall-launching=600/ABANDON rollcall-terminating=600/CONTINUE
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rollcall.domain.actions import Result

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollcall_cli.lifecycle_hooks import LifecycleHook

VALUE_MAX = 256  # characters of a tag's value
DIGEST = 12  # hexadecimal digits in the place of a name, where the names are too long for a tag
WORD = re.compile(r"(?P<hook>[A-Za-z0-9_/@-]+)=(?P<timeout>[0-9]{1,5})/(?P<result>CONTINUE|ABANDON)")


class TooLong(ValueError):
    """So many hooks do not fit into a tag."""


@dataclass(frozen=True)
class FormerHook:
    """How a hook was. hook: its name, or what stands for it (see key_of)."""

    hook: str
    heartbeat_timeout: int
    default_result: Result

    def is_of(self, hook: LifecycleHook) -> bool:
        """Whether this is about a hook."""
        return self.hook in (hook.name, key_of(hook.name))

    def restored(self, hook: LifecycleHook) -> LifecycleHook:
        """The hook as it was; the fields that an emergency leaves alone as they are now."""
        return replace(hook, heartbeat_timeout=self.heartbeat_timeout, default_result=self.default_result)


@dataclass(frozen=True)
class Record:
    """since: a moment in UTC as in other tags, empty if the tag does not say. hooks: those that are recorded."""

    since: str
    hooks: tuple[FormerHook, ...] = ()

    def former(self, hook: LifecycleHook) -> FormerHook | None:
        """How a hook was; None where that is not recorded."""
        return next((each for each in self.hooks if each.is_of(hook)), None)

    def with_hooks(self, hooks: Iterable[LifecycleHook]) -> Record:
        """The same with those hooks that it does not have yet: what was recorded first is how they were."""
        new = [
            FormerHook(each.name, each.heartbeat_timeout, each.default_result)
            for each in hooks
            if not self.former(each)
        ]
        return replace(self, hooks=(*self.hooks, *new))


def key_of(name: str) -> str:
    """What stands for a hook whose name is too long. No hook's name has an @ (PutLifecycleHook's pattern)."""
    return "@" + hashlib.sha256(name.encode()).hexdigest()[:DIGEST]


def read_record(value: str) -> Record:
    """The record in a tag's value; of one that was set by hand what can be read of it."""
    first, _, rest = value.partition(" ")
    found = [WORD.fullmatch(word) for word in (rest.split() if "=" not in first else value.split())]
    hooks = [FormerHook(each["hook"], int(each["timeout"]), Result(each["result"])) for each in found if each]
    return Record("" if "=" in first else first, tuple(hooks))


def write_record(record: Record) -> str:
    """The tag's value. Raises TooLong."""
    short = [replace(each, hook=each.hook if each.hook.startswith("@") else key_of(each.hook)) for each in record.hooks]
    for hooks in (record.hooks, short):
        value = " ".join(
            [record.since, *(f"{each.hook}={each.heartbeat_timeout}/{each.default_result}" for each in hooks)]
        )
        if len(value) <= VALUE_MAX:
            return value
    raise TooLong(f"{len(record.hooks)} hooks do not fit into a tag's {VALUE_MAX} characters")
