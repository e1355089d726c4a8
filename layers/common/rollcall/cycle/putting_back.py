"""What a cycle changes about a group beside its instances, and how it is put back: whether it is pinned.

All of it is in the tag rollcall:cycle-pinned, so that the state of an execution is not needed for it, and reconcile can
do it, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.aws.instance_refreshes import ENDING
from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import base_template
from rollcall.domain.settings import PINNED_TAG
from rollcall.workflow.group_versions import configuration_with, own_version

from .pinning import Pin, read_pin, unpinning
from .request import Follow
from .version_plan import VersionsLeft, running_counts

if TYPE_CHECKING:
    from rollcall.aws.group_details import GroupDetails

    from .cycle_aws import CycleAws
    from .state import CycleState

NOTHING = ""  # was changed


class PutBack(NamedTuple):
    """That a group is put back. words: what was done, or why not; empty where nothing was changed.

    versions: which its instances run then, and which it launches next; None where no refresh was begun, and of a group
    that is gone or has none.
    """

    words: str = NOTHING
    versions: VersionsLeft | None = None


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

    def put_back(self, state: CycleState) -> PutBack | None:
        """Put back what this cycle changed.

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
            return PutBack()
        pin = read_pin(details.group.tags.get(PINNED_TAG, ""))
        if pin is None or pin.cycle != state.name:
            return PutBack(NOTHING, self._versions(details) if state.refresh_id else None)
        return self._unpin(details, pin)

    def _unpin(self, details: GroupDetails, pin: Pin) -> PutBack:
        """Give a group that this cycle has pinned its alias back, if that is right. Read is before it is changed."""
        name, template, runs = details.group.name, base_template(details.configuration), own_version(details)
        resolved = self._aws.resolve(template, pin.alias)
        decided = unpinning(pin, runs, resolved)
        if decided.restores:
            self._aws.set_launch_template(name, configuration_with(details.configuration, pin.alias))
        self._aws.remove_tag(name, PINNED_TAG)
        restored = decided.restores or runs == pin.alias
        launches = (pin.alias, resolved) if restored else (runs, runs)
        return PutBack(decided.words, VersionsLeft(running_counts(details), *launches))

    def _versions(self, details: GroupDetails) -> VersionsLeft | None:
        own = own_version(details)
        if not own:
            return None
        found = self._aws.version(base_template(details.configuration), own) if own.startswith("$") else None
        number = found.number if found else ""
        return VersionsLeft(running_counts(details), own, number if own.startswith("$") else own)


def _version(details: GroupDetails) -> str:
    return str(base_template(details.configuration).get("Version", ""))
