"""What a cycle is asked to be: the input of its execution, of the options that the operator gave. Pure.

What no option says is not in it: the group's tag `rollcall:cycle` says it then, else the default.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.cycle.request import read_request
from rollcall_cli.running import NotRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollcall.cycle.request import Follow, Protected, Standby

type Json = dict[str, Any]


class OnFailure(StrEnum):
    """What becomes of a cycle whose new version fails: AWS rolls it back, or it stops where it is."""

    AUTO = "auto"  # rolled back where AWS can do that and the version differs
    ROLL_BACK = "roll-back"
    CANCEL = "cancel"


ROLLBACKS: dict[OnFailure, str | bool] = {OnFailure.AUTO: "auto", OnFailure.ROLL_BACK: True, OnFailure.CANCEL: False}


class CycleOptions(NamedTuple):
    """The options of a new cycle; None, and empty, for what was not given."""

    version: str | None = None
    batch: str | None = None
    checkpoints: str | None = None
    checkpoint_seconds: int | None = None
    bake_seconds: int | None = None
    skip_matching: bool | None = None
    on_failure: OnFailure | None = None
    pin: bool | None = None
    follow: Follow | None = None
    alarms: Sequence[str] = ()
    protected: Protected | None = None
    standby: Standby | None = None
    verify_seconds: int | None = None

    @property
    def given(self) -> bool:
        """Whether any of them was given."""
        return self._replace(alarms=tuple(self.alarms)) != CycleOptions()


OPTION_NAMES = {key: f"--{key.replace('_', '-')}" for key in CycleOptions._fields} | {  # by key of the input
    "launch_template_version": "--version",
    "rollback": "--on-failure",
    "alarms": "--alarm",
}


def request_of(group: str, options: CycleOptions, *, dry_run: bool = False) -> Json:
    """The input of the execution. Raises BadSettings, and NotRun, where an option cannot be followed."""
    wanted: Json = {
        "launch_template_version": options.version,
        "batch": _batch(options.batch),
        "checkpoints": _percentages(options.checkpoints),
        "checkpoint_seconds": options.checkpoint_seconds,
        "bake_seconds": options.bake_seconds,
        "skip_matching": options.skip_matching,
        "rollback": None if options.on_failure is None else ROLLBACKS[options.on_failure],
        "pin": options.pin,
        "follow": options.follow and str(options.follow),
        "alarms": list(options.alarms) or None,
        "protected": options.protected and str(options.protected),
        "standby": options.standby and str(options.standby),
        "verify_seconds": options.verify_seconds,
        "dry_run": dry_run or None,
    }
    request = {"group": group} | {name: value for name, value in wanted.items() if value is not None}
    # What its own function would refuse is refused here, before there is an execution.
    read_request(request, None, OPTION_NAMES)
    return request


def _batch(text: str | None) -> int | str | None:
    """A number of instances, or a percentage as it is."""
    return int(text) if text and text.isdecimal() else text


def _percentages(text: str | None) -> list[int] | None:
    if text is None:
        return None
    parts = [each.strip().removesuffix("%") for each in text.split(",")]
    if not all(each.isdecimal() for each in parts):
        raise NotRun(f"--checkpoints={text}: give percentages with commas between, the last one 100, like 25,50,100.")
    return [int(each) for each in parts]
