"""What a cycle changes about a group beside its instances, and how it is put back: whether it is pinned.

All of it is in the tag rollcall:cycle-pinned, so that the state of an execution is not needed for it, and reconcile can
do it, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.aws.instance_refreshes import ENDING
from rollcall.domain.errors import BadSettings
from rollcall.domain.settings import PINNED_TAG
from rollcall.workflow.group_versions import base_template

from .pinning import Pin, read_pin, unpinning
from .preferences import configuration_with
from .request import Follow

if TYPE_CHECKING:
    from rollcall.aws.group_details import GroupDetails

    from .cycle_aws import CycleAws
    from .state import CycleState

NOTHING = ""  # was changed


class PuttingBack:
    """Pins groups, and puts them back."""

    def __init__(self, aws: CycleAws) -> None:
        self._aws = aws

    def pin(self, state: CycleState) -> None:
        """Set the cycle's group from its alias to the version it ran before; recorded before it is done.

        Raises BadSettings where another cycle has pinned it, its version was changed since, or it does not exist.
        """
        details = self._aws.details(state.group)
        if details is None:
            raise BadSettings(f"group {state.group!r} does not exist any more")
        pin = Pin(state.pinned_from, Follow(state.request["follow"]), state.name)
        known = details.group.tags.get(PINNED_TAG)
        if known is not None and known != pin.written():
            raise BadSettings(
                f"group {state.group!r} has the tag {PINNED_TAG} with {known!r}: another cycle has pinned it, or it "
                "was left behind; wait for that one, or set the group's version and remove the tag"
            )
        if _version(details) not in (state.pinned_from, state.from_version):
            raise BadSettings(
                f"group {state.group!r} is on version {_version(details)} by now, and was on {state.pinned_from} when "
                "this cycle began: cycle it again"
            )
        if known is None:
            self._aws.set_tag(state.group, PINNED_TAG, pin.written())
        if _version(details) != state.from_version:
            self._aws.set_launch_template(state.group, configuration_with(details.configuration, state.from_version))

    def put_back(self, state: CycleState) -> str | None:
        """Put back what this cycle changed: what was done, or why not, in words; empty where nothing was changed.

        None while its refresh is active: AWS takes no change of the group until it has ended, and a refresh that goes
        on without anyone who follows it is cancelled.
        """
        active = self._aws.active(state.group)
        if active is not None and active.id == state.refresh_id:
            if active.status not in ENDING:
                self._aws.cancel(state.group)
            return None
        details = self._aws.details(state.group)
        if details is None:
            return NOTHING
        return self.unpin(details, state.name)

    def unpin(self, details: GroupDetails, cycle: str) -> str:
        """Give a group that this cycle has pinned its alias back, if that is right; in words what was done."""
        name = details.group.name
        pin = read_pin(details.group.tags.get(PINNED_TAG, ""))
        if pin is None or pin.cycle != cycle:
            return NOTHING
        template = base_template(details.configuration)
        decided = unpinning(pin, str(template.get("Version", "")), self._aws.resolve(template, pin.alias))
        if decided.restores:
            self._aws.set_launch_template(name, configuration_with(details.configuration, pin.alias))
        self._aws.remove_tag(name, PINNED_TAG)
        return decided.words


def _version(details: GroupDetails) -> str:
    return str(base_template(details.configuration).get("Version", ""))
