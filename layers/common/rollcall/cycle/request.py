"""What is asked of a cycle: the input of its execution, with what it leaves out from the group's tag. Pure.

docs/reference has what each key means; an unknown one is refused, for a misspelled one would otherwise do harm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rollcall.doctor.observations import CycleDefaults
from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.domain.settings import CYCLE_TAG
from rollcall.workflow.options import (
    FLAG,
    GROUP,
    Option,
    choice,
    flag,
    read_input,
    read_words,
    seconds,
    text,
    whole_number,
)

from .batch import BATCH_FORMS, DEFAULT_BATCH, Batch, parse_batch
from .tag import parse_cycle_tag

if TYPE_CHECKING:
    from rollcall.domain.groups import Group

    from .tag import CycleTag

WAIT_MAX = 172_800  # seconds; of CheckpointDelay and BakeTime (Auto Scaling API reference)
VERIFY_MAX = 86_400  # seconds
ALARMS_MAX = 10  # of an instance refresh (Auto Scaling API reference, AlarmSpecification)
ALARM_NAME_MAX = 255  # characters
VERSION = re.compile(r"[1-9]\d{0,9}|\$Latest|\$Default", re.ASCII)
SEPARATORS = re.compile(r"[:,]")  # tags hold no comma


class RollBack(StrEnum):
    """Whether a cycle that fails is rolled back; in JSON "auto", true and false."""

    AUTO = "auto"  # where AWS can, and the target is another version
    ON = "on"
    OFF = "off"


class Follow(StrEnum):
    """What a group that was pinned to a number has after the cycle."""

    KEEP = "keep"  # the alias that it had, if that is what now runs
    NUMBER = "number"  # the number


class Protected(StrEnum):
    """What becomes of instances that are protected from scale-in."""

    REFUSE = "refuse"
    REFRESH = "refresh"
    IGNORE = "ignore"
    WAIT = "wait"


class Standby(StrEnum):
    """What becomes of instances in Standby."""

    REFUSE = "refuse"
    TERMINATE = "terminate"
    IGNORE = "ignore"
    WAIT = "wait"


@dataclass(frozen=True)
class CycleRequest:
    """What is asked.

    launch_template_version: a number, $Latest or $Default; None for the group's own. checkpoints: percentages, the
    last one 100, none for no checkpoints. checkpoint_seconds, bake_seconds: how long is waited after each, and at the
    end. skip_matching: whether instances that have the version already stay; None for yes if another version than the
    group's is named. pin: whether a group on $Latest or $Default may be set to the number that its instances run.
    alarms: CloudWatch alarms that end it. verify_seconds: how long after AWS calls it successful it may take until
    everything is as it should be. dry_run: whether it ends before anything is touched.
    """

    group: str
    launch_template_version: str | None = None
    batch: Batch = DEFAULT_BATCH
    checkpoints: tuple[int, ...] = ()
    checkpoint_seconds: int = 3600
    bake_seconds: int = 0
    skip_matching: bool | None = None
    rollback: RollBack = RollBack.AUTO
    pin: bool = False
    follow: Follow = Follow.KEEP
    alarms: tuple[str, ...] = ()
    protected: Protected = Protected.REFUSE
    standby: Standby = Standby.REFUSE
    verify_seconds: int = 900
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """All of it as input has it: what read_request reads as the same."""
        words = {RollBack.AUTO: "auto", RollBack.ON: True, RollBack.OFF: False}
        return asdict(self) | {
            "batch": str(self.batch),
            "checkpoints": list(self.checkpoints),
            "alarms": list(self.alarms),
            "rollback": words[self.rollback],
        }


# The values of keys


def _version(value: object) -> str:
    version = str(value) if isinstance(value, int) else text(value)
    if not VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is no version")
    return version


def _batch(value: object) -> Batch:
    return parse_batch(str(value) if isinstance(value, int) else text(value))


def _rollback(value: object) -> RollBack:
    if value == RollBack.AUTO:
        return RollBack.AUTO
    return RollBack.ON if flag(value) else RollBack.OFF


def _list(value: object) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return list(value)
    return SEPARATORS.split(text(value)) if value != "" else []


def _checkpoints(value: object) -> tuple[int, ...]:
    numbers = tuple(map(whole_number, _list(value)))
    if numbers and (numbers[-1] != 100 or numbers[0] < 1 or list(numbers) != sorted(set(numbers))):
        raise ValueError(f"{numbers} do not ascend to 100")
    return numbers


def _alarms(value: object) -> tuple[str, ...]:
    names = tuple(map(text, _list(value)))
    if len(names) > ALARMS_MAX or not all(0 < len(each) <= ALARM_NAME_MAX for each in names):
        raise ValueError("there are too many, or one has no name")
    return tuple(dict.fromkeys(names))


OPTIONS: Mapping[str, Option] = {
    "group": GROUP,
    "launch_template_version": Option(_version, "a number, $Latest or $Default"),
    "batch": Option(_batch, BATCH_FORMS),
    "checkpoints": Option(_checkpoints, "ascending percentages that end in 100, as in [25, 100] or 25:100"),
    "checkpoint_seconds": seconds(WAIT_MAX),
    "bake_seconds": seconds(WAIT_MAX),
    "skip_matching": FLAG,
    "rollback": Option(_rollback, "auto, true, false"),
    "pin": FLAG,
    "follow": choice(Follow),
    "alarms": Option(_alarms, f"names of at most {ALARMS_MAX} CloudWatch alarms, as in [a, b] or a:b"),
    "protected": choice(Protected),
    "standby": choice(Standby),
    "verify_seconds": seconds(VERIFY_MAX),
    "dry_run": FLAG,
}
OF_ONE_CYCLE = ("group", "launch_template_version", "dry_run")  # which no tag says, for it is about all of them
TAG_KEYS = tuple(key for key in OPTIONS if key not in OF_ONE_CYCLE)


# Reading


def read_request(raw: object, tag: CycleTag | None, names: Mapping[str, str] = EMPTY_MAPPING) -> CycleRequest:
    """The input of an execution: what it does not say, or says null, the tag says, else the default.

    names: as read_input has it. Raises BadSettings naming the key, the value, and what is allowed; of a word of the tag
    the group and the tag, too.
    """
    given = read_input("a cycle", raw, OPTIONS, names)
    defaults = {} if tag is None else _of_tag(given["group"], tag)
    return CycleRequest(**{**defaults, **given})


def require_readable_tag(group: Group) -> CycleTag | None:
    """The tag rollcall:cycle of a group, all of its values read once; None without. Raises BadSettings."""
    tag = parse_cycle_tag(group)
    if tag is not None:
        _of_tag(group.name, tag)
    return tag


def cycle_defaults(group: Group) -> CycleDefaults | None:
    """What doctor needs of the tag of a group; None without. Raises BadSettings."""
    tag = require_readable_tag(group)
    if tag is None:
        return None
    request = read_request({"group": group.name}, tag)
    return CycleDefaults(tag.never, request.protected == Protected.REFUSE, request.standby == Standby.REFUSE)


def _of_tag(group: str, tag: CycleTag) -> dict[str, Any]:
    options = {key: OPTIONS[key] for key in TAG_KEYS}
    return read_words(group, CYCLE_TAG, tag.words, options, f"never, on-new-version, every, {', '.join(TAG_KEYS)}")
