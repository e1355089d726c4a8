"""Hosts of instances that are out of service for a while and keep their ids: disabled, and marked as resting.

No job runs on a disabled host. The mark says that Rollcall disabled it, and whether it is to be enabled when its
instance comes back: one that an operator had disabled before stays disabled.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.domain.errors import RollcallError
from rollcall.tower.connection import TOWER_CALLS_AT_ONCE

from .ownership import is_private_address, marker_of
from .variables import RESTING, is_resting, marker_in, with_state

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rollcall.domain.inventories import DumpedHost, Host
    from rollcall.tower.client import Tower


class DisabledHosts(NamedTuple):
    """What came of disabling the hosts of resting instances.

    instance_ids: of those whose host was still enabled, or not yet marked. errors: by instance id, why a host could not
    be disabled.
    """

    instance_ids: frozenset[str] = frozenset()
    errors: Mapping[str, RollcallError] = EMPTY_MAPPING


def disable_hosts(tower: Tower, instance_ids: Collection[str], account: str, region: str) -> DisabledHosts:
    """Disable the hosts of ours for these instances, in every inventory, and mark them as resting.

    Raises TowerUnavailable, TowerDenied or TowerRejected when nothing is known of any.
    """
    if not instance_ids:
        return DisabledHosts()
    in_use: list[tuple[str, Host]] = []
    for host in tower.hosts_of(instance_ids):
        marker = marker_of(host, account, region)
        if marker and marker.instance_id in instance_ids and not is_disabled_for_rest(host):
            in_use.append((marker.instance_id, host))
    now = tower.now()

    def disable(found: tuple[str, Host]) -> RollcallError | None:
        _, host = found
        try:
            tower.update_host(host.id, host.instance_id, resting_variables(host, now), enabled=False)
        except RollcallError as error:
            return error
        return None

    with ThreadPoolExecutor(TOWER_CALLS_AT_ONCE) as pool:
        answers = list(pool.map(disable, in_use))
    errors = {instance_id: error for (instance_id, _), error in zip(in_use, answers, strict=True) if error}
    return DisabledHosts(frozenset(instance_id for instance_id, _ in in_use), errors)


def is_disabled_for_rest(host: Host | DumpedHost) -> bool:
    """Whether a host is as the host of a resting instance has to be: disabled, and marked as resting."""
    return not host.enabled and is_resting(host.variables)


def resting_variables(host: Host | DumpedHost, now: float) -> dict[str, object]:
    """The variables of a host whose instance rests since now (epoch seconds by Tower's clock).

    Its private address stays its own; a public one may be another instance's by now, and is cleared.
    """
    known = marker_in(host.variables).get(RESTING)
    mark = known if isinstance(known, dict) else {"since": round(now, 3), "enabled": host.enabled}
    marked = with_state(host.variables, **{RESTING: mark})
    if is_private_address(str(marked.get("ansible_host", ""))):
        return marked
    ec2 = marked.get("ec2")
    facts = {"ec2": {**ec2, "public_ip": ""}} if isinstance(ec2, dict) else {}
    return {**marked, "ansible_host": "", **facts}


def is_enabled_on_return(variables: Mapping[str, object]) -> bool:
    """Whether a resting host is to be enabled when its instance comes back; False for a host that does not rest."""
    known = marker_in(variables).get(RESTING)
    return isinstance(known, dict) and known.get("enabled") is not False
