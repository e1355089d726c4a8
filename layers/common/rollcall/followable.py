"""Whether an installation can follow what a group's tags ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .model import AddressKind, CheckKind
from .objections import Objection
from .variables import TEMPLATED, is_plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .model import GroupSettings
    from .settings import Settings


def objections_to(group: GroupSettings, here: Settings) -> Iterator[Objection]:
    """What keeps this installation from following a group's settings."""
    if not is_plain(group.group):
        yield Objection(
            "name that Tower would evaluate",
            f"group {group.group!r}: Tower would evaluate a name with {', '.join(TEMPLATED)}",
            "rename the group",
        )
    probes = [check for check in group.gate if check.kind in (CheckKind.TCP, CheckKind.HTTP)]
    if probes and group.address in (AddressKind.PRIVATE, AddressKind.PRIVATE_DNS) and not here.in_vpc:
        yield Objection(
            "check outside the VPC",
            f"group {group.group!r}: tag rollcall:gate asks for {probes[0]}, which a function outside a VPC cannot try "
            f"at a {group.address} address",
            "deploy with SubnetIds, or change the tag",
        )
    if group.nodes and not here.chef_secret:
        yield Objection(
            "no Chef server",
            f"group {group.group!r}: tag rollcall:chef asks for a Chef server",
            "deploy with ChefSecretArn, or remove the tag",
        )
