"""Hosts of instances that are out of service for a while and keep their ids: disabled, and marked as resting.

Jobs pass over disabled hosts. The mark says that it was us, and whether the host is to be enabled again: one that a
person had disabled before stays so when its instance comes back.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.empty import EMPTY
from rollcall.domain.errors import RollcallError

from .ownership import is_private, marker_of
from .variables import RESTING, is_resting, marker_in, with_state

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rollcall.domain.inventories import DumpedHost, Host
    from rollcall.tower.client import Tower

CALLS_AT_ONCE = 4


class Rested(NamedTuple):
    """What came of disabling hosts.

    hosts: the ids of the instances whose host was still in use; troubles: why it is not disabled.
    """

    hosts: frozenset[str] = frozenset()
    troubles: Mapping[str, RollcallError] = EMPTY


def rest(tower: Tower, instance_ids: Collection[str], account: str, region: str) -> Rested:
    """Disable the hosts of ours for these instances, in every inventory.

    Raises TowerUnavailable, TowerDenied or TowerRejected when nothing can be said of any.
    """
    if not instance_ids:
        return Rested()
    own = [
        host
        for host in tower.hosts_of(instance_ids)
        if (marker := marker_of(host, account, region)) and marker.instance_id in instance_ids
    ]
    in_use = [host for host in own if not rests(host)]
    now = tower.now()
    troubles: dict[str, RollcallError] = {}

    def disable(host: Host) -> None:
        try:
            tower.update_host(host.id, host.instance_id, resting_variables(host, now), enabled=False)
        except RollcallError as error:
            troubles[_instance_of(host)] = error

    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        list(pool.map(disable, in_use))
    return Rested(frozenset(map(_instance_of, in_use)), troubles)


def _instance_of(host: Host) -> str:
    return str(marker_in(host.variables)["instance_id"])


def rests(host: Host | DumpedHost) -> bool:
    """Whether a host is as that of a resting instance has to be."""
    return not host.enabled and is_resting(host.variables)


def resting_variables(host: Host | DumpedHost, now: float) -> dict[str, object]:
    """The variables of a host whose instance rests since now (epoch seconds by Tower's clock).

    Its private address stays its own; a public one may be another instance's by now, and is cleared.
    """
    known = marker_in(host.variables).get(RESTING)
    mark = known if isinstance(known, dict) else {"since": round(now, 3), "enabled": host.enabled}
    marked = with_state(host.variables, **{RESTING: mark})
    if is_private(str(marked.get("ansible_host", ""))):
        return marked
    ec2 = marked.get("ec2")
    facts = {"ec2": {**ec2, "public_ip": ""}} if isinstance(ec2, dict) else {}
    return {**marked, "ansible_host": "", **facts}


def is_enabled_again(variables: Mapping[str, object]) -> bool:
    """Whether a resting host is to be enabled when its instance comes back."""
    known = marker_in(variables).get(RESTING)
    return isinstance(known, dict) and known.get("enabled") is not False
