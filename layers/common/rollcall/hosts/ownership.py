"""Which instance a host is of, at which address, and whether that instance is gone. Pure."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.aws_text import INSTANCE_ID

from .variables import marker_in

if TYPE_CHECKING:
    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import DumpedHost, Host
    from rollcall.domain.membership import Membership

AWS_VISIBILITY_LAG = 900.0  # seconds after its host was made for which AWS may not show an instance yet
ADDRESSES_CACHED = 65_536  # a large fleet's; parsing one takes longer than all other checks of a host together


class Marker(NamedTuple):
    """Which instance, of which group, a host is of, by its variables."""

    group: str
    instance_id: str
    vpc: str


def marker_of(host: Host | DumpedHost, account: str, region: str) -> Marker | None:
    """A managed host's marker; None for one that is not this installation's, is a copy, or names no instance."""
    return None if is_copy(host) else marker_even_of_copy(host, account, region)


def marker_even_of_copy(host: Host | DumpedHost, account: str, region: str) -> Marker | None:
    """The marker of a managed host, also where the host is a copy: see marker_of."""
    raw = marker_in(host.variables)
    if (raw.get("account"), raw.get("region")) != (account, region):
        return None
    instance_id = str(raw.get("instance_id", ""))
    if not INSTANCE_ID.allows(instance_id):
        return None
    return Marker(str(raw.get("group", "")), instance_id, str(raw.get("vpc", "")))


def is_copy(host: Host | DumpedHost) -> bool:
    """Whether a host was made by Tower's "copy inventory": its marker names the inventory that it was made for."""
    inventory_id = marker_in(host.variables).get("inventory")
    return isinstance(inventory_id, int) and inventory_id != host.inventory_id


def address_of(host: Host | DumpedHost) -> str:
    """Where Tower connects to."""
    return str(host.variables.get("ansible_host") or host.name)


def address_key(vpc: str, address: str) -> tuple[str, str]:
    """Where an address is unique: a private one in its VPC, a public one anywhere."""
    return (vpc if is_private_address(address) else "", address)


@lru_cache(ADDRESSES_CACHED)
def is_private_address(address: str) -> bool:
    """Whether an address, or a name that EC2 gives, is one of a VPC; "" is none."""
    try:
        return not ip_address(address).is_global  # a VPC may also have shared addresses, 100.64.0.0/10
    except ValueError:
        return address.endswith(".internal")


def why_gone(instance: Instance | None, membership: Membership | None, host_age: float | None) -> str | None:
    """The reason why an instance counts as gone, None if it does not.

    instance, membership: what EC2 and Auto Scaling answered about exactly this one, None where they do not know it.
    host_age: seconds since its host was made, None if Tower does not give it.
    """
    if instance:
        return None if instance.living else f"EC2 says that it is {instance.state}"
    if membership or host_age is None or host_age <= AWS_VISIBILITY_LAG:
        return None
    return "neither EC2 nor Auto Scaling knows it"
