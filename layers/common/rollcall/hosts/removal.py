"""Striking instances off: every host of theirs, out of every inventory the token can read."""

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

LOOKS = 5  # at the hosts; each look finds fewer unless somebody keeps adding them


def remove_from_every_inventory(tower: Tower, fleet: Fleet, instance_ids: Collection[str]) -> RemovalResult:
    """Remove every host with one of these instance ids from every inventory, and look that they are gone.

    Running jobs do not stop it. Without ids no server is asked. Raises TowerUnavailable, TowerDenied or TowerRejected
    when nothing can be said of any.
    """
    if not instance_ids:
        return RemovalResult()
    wanted = set(instance_ids)
    kept: dict[int, Kept] = {}
    removed: set[str] = set()
    for _ in range(LOOKS):
        found = tower.hosts_of(instance_ids)
        hosts = [host for host in found if host.id not in kept]
        if not hosts:
            return _sorted_out(tower, fleet, frozenset(removed), found, wanted, kept)
        for chunk in batched(hosts, BULK_DELETE_MAX):
            kept |= tower.delete_hosts(chunk)
        gone = [host for host in hosts if host.id not in kept]
        removed |= {instance_id for host in gone for instance_id in {host.name, host.instance_id} & wanted}
    raise TowerUnavailable(f"hosts of {', '.join(sorted(instance_ids))} are still there after {LOOKS} looks")


def _sorted_out(
    tower: Tower,
    fleet: Fleet,
    removed: frozenset[str],
    found: Sequence[Host],
    wanted: set[str],
    kept: Mapping[int, Kept],
) -> RemovalResult:
    """What was refused, apart from what is only to be reported."""
    ours = inventories_named(tower, fleet) if found else frozenset()
    refusals: dict[str, Kept] = {}
    left_in: defaultdict[str, set[str]] = defaultdict(set)
    for host in found:
        may_read_only = isinstance(kept[host.id], DeleteRefused) and ours is not None and host.inventory_id not in ours
        for instance_id in {host.name, host.instance_id} & wanted:
            if may_read_only:
                left_in[instance_id].add(host.inventory_name)
            else:
                refusals[instance_id] = kept[host.id]
    return RemovalResult(removed, refusals, {each: frozenset(names) for each, names in left_in.items()})


def inventories_named(tower: Tower, fleet: Fleet) -> frozenset[int] | None:
    """The ids of the inventories that the groups of ours name; None while AWS or Tower does not say.

    A tag that cannot be followed says nothing about the inventories of other groups; an ambiguous one names all that it
    can mean.
    """
    named: set[int] = set()
    try:
        for each in fleet.opted_in(OPT_IN_TAG, members=False).values():
            try:
                named.add(tower.inventory(each.group.tags[OPT_IN_TAG].strip()).id)
            except BadSettings as error:
                named |= error.candidates
    except RollcallError:  # whoever cannot say whose inventory it is takes it for ours
        return None
    return frozenset(named)


def unread_inventories(tower: Tower, fleet: Fleet, actions: Collection[LifecycleAction]) -> dict[str, RollcallError]:
    """By instance id, why the inventory that its group names cannot be read: a host of it may be left there unseen.

    None for a group that does not exist, or did not opt in. Raises what AWS answers in the place of the groups.
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
