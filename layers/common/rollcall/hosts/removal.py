"""Instances removed from every inventory: each host of theirs that the token can read is deleted."""

from __future__ import annotations

from collections import defaultdict
from itertools import batched
from typing import TYPE_CHECKING

from rollcall.domain.errors import BadSettings, DeleteRefused, RollcallError, TowerUnavailable
from rollcall.domain.inventories import RemovalResult
from rollcall.domain.settings import OPT_IN_TAG
from rollcall.tower.bulk_hosts import BULK_DELETE_MAX

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.errors import Kept
    from rollcall.domain.inventories import Host
    from rollcall.tower.client import Tower

ROUNDS = 5  # of finding and deleting hosts; each finds fewer unless another process keeps adding them


def remove_from_every_inventory(tower: Tower, fleet: Fleet, instance_ids: Collection[str]) -> RemovalResult:
    """Delete every host with one of these instance ids from every inventory, until a search finds none that may go.

    Running jobs do not prevent it. Without ids no request is made. Raises TowerUnavailable, TowerDenied or
    TowerRejected when nothing is known of any.
    """
    if not instance_ids:
        return RemovalResult()
    wanted = set(instance_ids)
    kept: dict[int, Kept] = {}
    removed: set[str] = set()
    for _ in range(ROUNDS):
        found = tower.hosts_of(instance_ids)
        deletable = [host for host in found if host.id not in kept]
        if not deletable:
            refusals, left_in = _kept_by_tower(tower, fleet, found, wanted, kept)
            return RemovalResult(frozenset(removed), refusals, left_in)
        for chunk in batched(deletable, BULK_DELETE_MAX):
            kept |= tower.delete_hosts(chunk)
        for host in deletable:
            removed |= _instances_of(host, wanted) if host.id not in kept else set()
    raise TowerUnavailable(f"hosts of {', '.join(sorted(instance_ids))} are still there after {ROUNDS} rounds")


def _instances_of(host: Host, wanted: set[str]) -> set[str]:
    """Which of the wanted instances it is a host of: by its name, or by its field instance_id."""
    return {host.name, host.instance_id} & wanted


def _kept_by_tower(
    tower: Tower, fleet: Fleet, found: Sequence[Host], wanted: set[str], kept: Mapping[int, Kept]
) -> tuple[dict[str, Kept], dict[str, frozenset[str]]]:
    """The refusals and left_in of a RemovalResult, from the hosts that are still found and why Tower keeps each."""
    ours = inventories_of_our_groups(tower, fleet) if found else frozenset()
    refusals: dict[str, Kept] = {}
    left_in: defaultdict[str, set[str]] = defaultdict(set)
    for host in found:
        reason = kept[host.id]
        only_readable = isinstance(reason, DeleteRefused) and ours is not None and host.inventory_id not in ours
        for instance_id in _instances_of(host, wanted):
            if only_readable:
                left_in[instance_id].add(host.inventory_name)
            else:
                refusals[instance_id] = reason
    return refusals, {each: frozenset(names) for each, names in left_in.items()}


def inventories_of_our_groups(tower: Tower, fleet: Fleet) -> frozenset[int] | None:
    """The ids of the inventories that the opted-in groups name; None while AWS or Tower does not answer.

    A tag that cannot be followed says nothing about the inventories of other groups; an ambiguous one counts as all
    that it can mean.
    """
    named: set[int] = set()
    try:
        for each in fleet.opted_in(OPT_IN_TAG, members=False).values():
            try:
                named.add(tower.inventory(each.group.tags[OPT_IN_TAG].strip()).id)
            except BadSettings as error:
                named |= error.candidates
    except RollcallError:  # then every inventory has to count as ours
        return None
    return frozenset(named)


def unreadable_inventories(
    tower: Tower, fleet: Fleet, actions: Collection[LifecycleAction]
) -> dict[str, RollcallError]:
    """By instance id, why the inventory that its group names cannot be read: a host of it may be left there unseen.

    Without the instances of a group that does not exist, or did not opt in. Raises what Fleet.groups raises.
    """
    groups = fleet.groups({action.group for action in actions}) if actions else {}
    errors: dict[str, RollcallError] = {}
    for name, group in groups.items():
        if reference := group.tags.get(OPT_IN_TAG, "").strip():
            try:
                tower.inventory(reference)
            except BadSettings as error:
                errors[name] = BadSettings(f"group {name!r}: tag {OPT_IN_TAG}: {error}: a host may be left there")
            except RollcallError as error:
                errors[name] = error
    return {action.instance_id: errors[action.group] for action in actions if action.group in errors}
