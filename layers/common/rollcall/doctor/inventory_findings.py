"""What is wrong with the inventories that tags name: they are not there, or the token may not change them. Pure.

Numbers in brackets: recorded exchanges, see tests/contract/recordings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.errors import RollcallError, Transient
from rollcall.domain.findings import Finding, Severity, breaks

from .observations import HostSample, ObservedInventory, groups_by_inventory
from .unread_findings import listed, not_found, transient_only, unread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollcall.domain.settings import Settings

    from .observations import Observations, ObservedTower


def inventory_findings(observed: Observations, _: Settings) -> Iterator[Finding]:
    """What is wrong with them, and what could not be read of them."""
    tower = observed.tower
    if not tower.answers:
        return
    yield from _unread(tower)
    for reference, groups in groups_by_inventory(observed.opted_in).items():
        subject, named = f"inventory {reference!r}", f"tag rollcall:inventory of {listed(groups)}"
        inventory = tower.inventories.get(reference)
        if inventory is None or isinstance(inventory, Transient):
            continue
        if isinstance(inventory, RollcallError):
            yield not_found(subject, named, inventory, "Read, better Admin,")
        elif inventory.changeable is False and not reads_only(tower):
            name = inventory.inventory.name
            yield breaks(
                subject,
                "role",
                f"the token's user may read inventory {name!r} and not change it ({named}): hosts can be neither added "
                "nor removed",
                f"grant the token's user the role Admin on it (Tower: Inventories, {name}, Access)",
            )


def _unread(tower: ObservedTower) -> Iterator[Finding]:
    inventories = {name: each for name, each in tower.inventories.items() if isinstance(each, ObservedInventory)}
    yield from unread("inventories", transient_only(tower.inventories))
    yield from unread("roles on inventories", {name: each.changeable for name, each in inventories.items()})
    hosts = {name: each.hosts for name, each in inventories.items()}
    yield from unread("hosts of inventories", hosts, Severity.WARNING)
    elsewhere: Mapping[str, object] = {"all inventories": tower.sample}
    if isinstance(tower.sample, HostSample):
        elsewhere = {each.name: changeable for each, changeable in tower.sample.elsewhere.items()}
    yield from unread("hosts elsewhere", elsewhere, Severity.WARNING)


def reads_only(tower: ObservedTower) -> bool:
    """Whether the token may change nothing that was read: what a scope of Read shows [016], and hides roles behind."""
    if tower.user is None or isinstance(tower.user, RollcallError) or tower.user.writes:
        return False
    changeable = (each.changeable is True for each in tower.inventories.values() if not isinstance(each, RollcallError))
    startable = (
        not isinstance(each.terms, RollcallError) and each.terms.startable
        for each in tower.templates.values()
        if not isinstance(each, RollcallError)
    )
    return not any(changeable) and not any(startable)
