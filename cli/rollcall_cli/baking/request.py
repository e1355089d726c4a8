"""What a bake is asked to be: the input of its execution, of the options that the operator gave. Pure.

What no option says is not in it: the group's tags say it then, else the default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.bake.request import read_request

if TYPE_CHECKING:
    from rollcall.bake.request import Smoke

type Json = dict[str, Any]


class BakeOptions(NamedTuple):
    """The options of a new bake; None for what was not given."""

    base_image: str | None = None
    job_template: str | None = None
    inventory: str | None = None
    instance_type: str | None = None
    keep: int | None = None
    roll_out: bool | None = None
    smoke: Smoke | None = None
    only_if_new: bool | None = None
    user_data: bool | None = None
    instance_profile: str | None = None
    pin: bool | None = None

    @property
    def given(self) -> bool:
        """Whether any of them was given."""
        return self != BakeOptions()


OPTION_NAMES = {key: f"--{key.replace('_', '-')}" for key in BakeOptions._fields}  # by key of the input


def request_of(group: str, options: BakeOptions, *, dry_run: bool = False) -> Json:
    """The input of the execution. Raises BadSettings where an option cannot be followed."""
    wanted: Json = {
        **options._asdict(),
        "smoke": options.smoke and str(options.smoke),
        "dry_run": dry_run or None,
    }
    request = {"group": group} | {name: value for name, value in wanted.items() if value is not None}
    # What its own function would refuse is refused here, before there is an execution.
    read_request(request, None, OPTION_NAMES)
    return request
