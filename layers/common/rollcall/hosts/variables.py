"""The variables that Rollcall sets on an instance's host: made, read, and which texts of the instance are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.inventories import MARKER
from rollcall.domain.inventory_text import refusal_of_key, refusal_of_value, texts_are_surely_plain
from rollcall.domain.json_input import moment_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.domain.groups import GroupSettings
    from rollcall.domain.instances import Instance
    from rollcall.domain.inventory_text import Refusal

OUR_KEYS = ("ansible_host", MARKER, "ec2")
OWED_SINCE = "job_owed_since"  # in the marker, as the next two
STINT = "stint"
RESTING = "resting"
ROLE = "role"  # in the marker of an instance that a bake launched, as the next two: what for
UNTIL = "until"  # epoch seconds up to which its host stays
BAKE = "bake"  # the bake's id
STATE = (OWED_SINCE, STINT, RESTING)  # keys of the marker that say what became of the host, not whose it is


def host_variables(
    settings: GroupSettings, instance: Instance, account: str, region: str, inventory_id: int
) -> dict[str, object]:
    """Our variables of an instance of a group, in the inventory of this id, without the texts that left_out names."""
    return {
        "ansible_host": instance.addresses[settings.address],
        MARKER: marker(settings, instance.instance_id, account, region, instance.facts["vpc"], inventory_id),
        "ec2": {**_plain(instance.facts), "tags": _plain(instance.tags)},
    }


def marker(
    settings: GroupSettings, instance_id: str, account: str, region: str, vpc: str, inventory_id: int
) -> dict[str, object]:
    """What makes a host ours. It holds how the instance's node in Chef is named, for the group may be deleted first.

    inventory_id: of the inventory that the host is made for; Tower's "copy inventory" copies markers, too.
    """
    made = {"group": settings.group, "instance_id": instance_id, "account": account, "region": region, "vpc": vpc}
    return {**made, "inventory": inventory_id} | ({"chef": str(settings.nodes)} if settings.nodes else {})


def bake_variables(instance: Instance, address: str, made: Mapping[str, object], **more: object) -> dict[str, object]:
    """Our variables of an instance that a bake launched. made: its marker, see bake_marker. more: beside ours."""
    ours = {
        "ansible_host": address,
        MARKER: dict(made),
        "ec2": {**_plain(instance.facts), "tags": _plain(instance.tags)},
    }
    return {**more, **ours}


def bake_marker(
    instance: Instance, account: str, region: str, inventory_id: int, *, group: str, role: str, until: float, bake: str
) -> dict[str, object]:
    """What makes a host one of a bake's, which is of no Auto Scaling group. group: the one that is baked for.

    until: when it is removed at the latest, in epoch seconds.
    """
    made = {"group": group, "instance_id": instance.instance_id, "account": account, "region": region}
    own = {ROLE: role, UNTIL: until, BAKE: bake}
    return {**made, "vpc": instance.facts["vpc"], "inventory": inventory_id, **own}


def kept_until(variables: Mapping[str, object]) -> float | None:
    """Up to when the host of an instance that a bake launched stays, in epoch seconds; None for any other host."""
    raw = marker_in(variables)
    return moment_or_none(raw.get(UNTIL)) if ROLE in raw else None


def marker_in(variables: Mapping[str, object]) -> Mapping[str, object]:
    """The marker in a host's variables, empty if there is none."""
    raw = variables.get(MARKER)
    return raw if isinstance(raw, dict) else {}


def identity_in(variables: Mapping[str, object]) -> dict[str, object]:
    """The marker in a host's variables without the state that is kept there: see marker()."""
    return {key: value for key, value in marker_in(variables).items() if key not in STATE}


def with_state(variables: Mapping[str, object], **state: object) -> dict[str, object]:
    """A host's variables with this state in its marker (see STATE); None takes one out."""
    whole = {**identity_in(variables), **_state_in(variables), **state}
    return {**variables, MARKER: {key: value for key, value in whole.items() if value is not None}}


def _state_in(variables: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in marker_in(variables).items() if key in STATE}


def job_owed_since(variables: Mapping[str, object]) -> float | None:
    """Since when a host's job is to be launched (epoch seconds by Tower's clock), None if it is not."""
    return moment_or_none(marker_in(variables).get(OWED_SINCE))


def is_resting(variables: Mapping[str, object]) -> bool:
    """Whether a host was disabled because its instance went to a warm pool, or gets a new root volume."""
    return RESTING in marker_in(variables)


def with_our_variables(variables: Mapping[str, object], wanted: Mapping[str, object]) -> dict[str, object]:
    """A host's variables with ours replaced by the wanted ones.

    What else is set on the host wins over what is wanted; the state in its marker stays where the wanted marker does
    not replace it.
    """
    kept = {key: value for key, value in variables.items() if key not in OUR_KEYS}
    ours = kept | {key: value for key, value in wanted.items() if key not in kept}
    if MARKER not in wanted:
        return ours
    return {**ours, MARKER: {**identity_in(wanted), **_state_in(variables), **_state_in(wanted)}}


def left_out(instance: Instance) -> tuple[str, ...]:
    """The tags and facts of EC2's that host_variables leaves out, each as its key and the reason."""
    facts = (f"ec2.{key} ({why})" for key, why in _refusals(instance.facts).items())
    tags = (f"{key} ({why})" for key, why in _refusals(instance.tags).items())
    return (*facts, *tags)


def _plain(texts: Mapping[str, str]) -> dict[str, str]:
    refused = _refusals(texts)
    return {key: text for key, text in texts.items() if key not in refused}


def _refusals(texts: Mapping[str, str]) -> dict[str, Refusal]:
    """Why some of these may not become variables, by their keys."""
    if texts_are_surely_plain(texts) and texts_are_surely_plain(texts.values()):
        return {}
    return {key: why for key, text in texts.items() if (why := refusal_of_key(key) or refusal_of_value(text))}
