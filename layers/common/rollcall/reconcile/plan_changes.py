"""How the host of an instance that serves differs from what it has to be, and the change that fixes it. Pure."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.inventories import MARKER
from rollcall.domain.inventory_text import refusal_of_value
from rollcall.hosts.resting import is_enabled_on_return
from rollcall.hosts.variables import (
    OWED_SINCE,
    RESTING,
    STINT,
    identity_in,
    is_resting,
    job_owed_since,
    left_out,
    with_our_variables,
    with_state,
)

from .steps import Change, DriftFinding, DriftKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollcall.domain.groups import GroupSettings
    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import DumpedHost
    from rollcall.hosts.ownership import Marker

    from .plan_input import PlanInput
    from .snapshot import Place


class Differences(NamedTuple):
    """variables: what is wrong with them, in words; join, leave: the inventory groups it is missing in, or still in."""

    variables: tuple[str, ...]
    join: tuple[str, ...]
    leave: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        """Everything that differs, in words; empty if the host is right."""
        return [
            *self.variables,
            *([f"it is missing in {', '.join(self.join)}"] if self.join else []),
            *([f"it is still in {', '.join(self.leave)}"] if self.leave else []),
        ]


def differences(
    given: PlanInput, host: DumpedHost, marker: Marker, settings: GroupSettings, wanted: Mapping[str, object]
) -> Differences:
    """How a host differs from the wanted variables of ours, and from the inventory groups of its group's settings."""
    return Differences(
        variables=tuple(_wrong_variables(host, settings, wanted)),
        join=tuple(name for name in settings.inventory_groups if name not in host.groups),
        leave=tuple(sorted(_former_groups(given, marker, settings) & host.groups)),
    )


def _wrong_variables(host: DumpedHost, settings: GroupSettings, wanted: Mapping[str, object]) -> Iterator[str]:
    address, identity = host.variables.get("ansible_host"), identity_in(host.variables)
    if is_resting(host.variables):
        yield "its instance is back in service"
    if address != wanted["ansible_host"]:
        yield f"its address is {wanted['ansible_host']}, not {address}"
    if job_owed_since(host.variables) is not None and host.name == identity["instance_id"]:
        yield "its group's job was to be launched on it"
    elif "inventory" not in identity:
        yield "its marker does not name its inventory yet"
    elif identity != wanted[MARKER]:
        yield f"its marker is not that of an instance of group {settings.group!r}"
    if why := refusal_of_value(host.variables.get("ec2")):
        yield f"its variables hold what they may not ({why})"


def _former_groups(given: PlanInput, marker: Marker, settings: GroupSettings) -> set[str]:
    """The inventory groups in which the host was for another Auto Scaling group's sake."""
    if marker.group == settings.group:
        return set()
    former = given.snapshot.places.get(marker.group)
    names = former.settings.inventory_groups if former else (marker.group,)
    return set(names) - set(settings.inventory_groups)


def change_for(
    given: PlanInput,
    host: DumpedHost,
    instance_id: str,
    place: Place,
    wanted: Mapping[str, object],
    found: Differences,
) -> Change:
    """The change that takes these differences away; and what is to be launched on the host, if anything."""
    change = Change(place.inventory, host, instance_id, "; ".join(found.words), join=found.join, leave=found.leave)
    if not found.variables:
        return change
    if given.is_renamed(host):  # a job that it is owed waits for its name
        return replace(change, variables=with_our_variables(host.variables, wanted))
    if is_resting(host.variables):
        return _back_in_service(given, change, place, wanted)
    return _corrected(given, change, place, wanted)


def _back_in_service(given: PlanInput, change: Change, place: Place, wanted: Mapping[str, object]) -> Change:
    """The host of an instance that rested: in use again from now on, unless the operator had disabled it before."""
    state = {OWED_SINCE: None, RESTING: None, STINT: given.new_stint()}
    enabled = is_enabled_on_return(change.host.variables)
    return replace(
        change,
        variables=with_state(with_our_variables(change.host.variables, wanted), **state),
        new_in=place,
        provision=enabled and place.settings.job_template is not None and given.job_is_due(place, change.instance_id),
        enabled=True if enabled else None,
    )


def _corrected(given: PlanInput, change: Change, place: Place, wanted: Mapping[str, object]) -> Change:
    """The host of an instance that went on serving; its job is launched where an earlier run came not to it."""
    host, owed_since = change.host, job_owed_since(change.host.variables)
    return replace(
        change,
        variables=with_state(with_our_variables(host.variables, wanted), **{OWED_SINCE: None, RESTING: None}),
        new_in=None if owed_since is None else place,
        provision=owed_since is not None
        and host.enabled
        and place.settings.job_template is not None
        and given.is_free_since(change.instance_id, owed_since),
    )


def adoption(
    given: PlanInput, host: DumpedHost, instance_id: str, place: Place, wanted: Mapping[str, object]
) -> Change:
    """The change that makes a host ours that was made for an instance by something else, or was copied there."""
    made = "copied from another inventory" if host.id in given.copies else "made by something else"
    state = {STINT: given.new_stint(), RESTING: None, OWED_SINCE: None}
    return Change(
        place.inventory,
        host,
        instance_id,
        f"it is for an instance of group {place.settings.group!r}, and was {made}",
        with_state(with_our_variables(host.variables, wanted), **state),
        tuple(name for name in place.settings.inventory_groups if name not in host.groups),
        new_in=place,
        enabled=True if is_enabled_on_return(host.variables) else None,
    )


def left_out_tags(place: Place, instance: Instance) -> Iterator[DriftFinding]:
    """What of an instance's own text its host, whose variables are about to be written, does not get."""
    if words := left_out(instance):
        reason = f"these tags are left out of its host's variables: {', '.join(words)}: change the tags"
        yield DriftFinding(DriftKind.TAGS, place.inventory, instance.instance_id, reason)
