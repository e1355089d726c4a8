"""What is wrong with the hosts of instances that serve: which are missing, disabled, renamed, or not ours to remove.

Pure. A host whose marker names another inventory is a copy: of its name and its state nothing follows.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from rollcall.domain.findings import Finding, breaks, warns
from rollcall.domain.shell_commands import command, options
from rollcall.hosts.ownership import is_copy
from rollcall.hosts.variables import is_resting, marker_in

from .inventory_findings import reads_only
from .observations import HostSample, ObservedInventory
from .unread_findings import listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from rollcall.domain.inventories import DumpedHost, Host, Inventory
    from rollcall.domain.settings import Settings

    from .observations import Observations, OptedInGroup


def host_findings(observed: Observations, _: Settings) -> Iterator[Finding]:
    """What is wrong with them in the groups' inventories, and in all others that the token may read."""
    sample = observed.tower.sample
    sampled_hosts = sample.hosts if isinstance(sample, HostSample) else ()
    for each in observed.opted_in:
        inventory = observed.tower.inventories.get(each.settings.inventory)
        if isinstance(inventory, ObservedInventory) and isinstance(inventory.hosts, tuple):
            yield from _of_group(each, inventory.inventory, inventory.hosts, sampled_hosts)
    if isinstance(sample, HostSample) and not reads_only(observed.tower):
        yield from _read_only(sample)


def _of_group(
    opted_in: OptedInGroup, inventory: Inventory, hosts: Iterable[DumpedHost], sample: Iterable[Host]
) -> Iterator[Finding]:
    serving = {each for each, known in opted_in.group.members.items() if known.serving}
    named = {host.name: host for host in hosts}
    renamed = _renamed(serving - named.keys(), inventory, named.values(), sample)
    place = f"inventory {inventory.name!r}"
    if missing := serving - named.keys() - renamed.keys():
        yield _without_host(opted_in, place, missing, len(serving))
    if renamed:
        yield _renamed_hosts(opted_in, place, renamed, len(serving))
    for name in sorted(named.keys() & set(opted_in.settings.inventory_groups)):
        yield breaks(
            f"group {opted_in.name}",
            f"inventory group {name!r} is called like a host",
            f"{place} has a host {name!r}: Tower makes no group of that name, and Ansible takes one that is there "
            "already for the host",
            "rename the host, or name another group in the tag rollcall:groups",
        )
    disabled = [each for each in serving if (host := named.get(each)) and _is_disabled_by_hand(host)]
    if disabled:
        yield warns(
            f"group {opted_in.name}",
            "disabled hosts",
            f"{len(disabled)} of {len(serving)} instances in service have a host in {place} that was disabled by hand: "
            f"{listed(disabled)}. Jobs pass it over",
            "enable them in Tower (Inventories, Hosts, the switch of each), if they are meant to be provisioned again",
        )


def _renamed_hosts(opted_in: OptedInGroup, place: str, renamed: Mapping[str, str], serving: int) -> Finding:
    names = [f"{each} is {name!r}" for each, name in renamed.items()]
    return warns(
        f"group {opted_in.name}",
        "renamed hosts",
        f"{len(renamed)} of {serving} instances in service have a host in {place} that is not named after them"
        f": {listed(names)}. Jobs are limited to instance ids, and pass it over",
        "name the hosts after the instances again (an inventory source: let it name them by instance-id, or fill "
        f"another inventory); then: {command('rollcall', 'reconcile', *options('--group', [opted_in.name]))}",
    )


def _renamed(
    missing: Collection[str], inventory: Inventory, hosts: Iterable[DumpedHost], sample: Iterable[Host]
) -> dict[str, str]:
    """By instance id the name of its host in an inventory, for those that have none of their own name."""
    by_marker = {
        str(marker_in(host.variables).get("instance_id", "")): host.name for host in hosts if not is_copy(host)
    }
    by_field = {
        host.instance_id: host.name for host in sample if host.inventory_id == inventory.id and not is_copy(host)
    }
    return {each: name for each, name in sorted({**by_field, **by_marker}.items()) if each in missing}


def _is_disabled_by_hand(host: DumpedHost) -> bool:
    """Whether another than Rollcall disabled a host."""
    return not (host.enabled or is_resting(host.variables) or is_copy(host))


def _without_host(opted_in: OptedInGroup, place: str, missing: Collection[str], serving: int) -> Finding:
    name, late = opted_in.name, late_job(opted_in)
    provision = " (with --provision it runs the job of the older ones, too)" if late else ""
    return warns(
        f"group {name}",
        "instances without a host",
        f"{len(missing)} of {serving} instances in service have no host in {place}: {listed(missing)}. They were "
        "launched before the hooks were there or the group opted in, or their events were lost. Reconcile's next run "
        f"adds their hosts{late}",
        f"replace them by an instance refresh, or have that run now{provision}: "
        f"{command('rollcall', 'reconcile', *options('--group', [name]))}",
    )


def late_job(opted_in: OptedInGroup) -> str:
    """Whose job reconcile runs by itself, in words: it takes the event of a young instance for lost."""
    if not opted_in.settings.job_template:
        return ""
    return (
        " and runs the job of those launched less than rollcall:timeout "
        f"({opted_in.settings.timeout:,} s) ago that no job holds yet"
    )


def _read_only(sample: HostSample) -> Iterator[Finding]:
    """Inventories that keep the hosts of instances of ours after these terminated."""
    kept: defaultdict[int, set[str]] = defaultdict(set)
    for host in sample.hosts:
        kept[host.inventory_id] |= {host.name, host.instance_id} & sample.instances
    for inventory, changeable in sample.elsewhere.items():
        ours = kept[inventory.id]
        if changeable is False:
            yield warns(
                f"inventory {inventory.name!r}",
                "hosts of ours, read only",
                f"it holds hosts of {len(ours)} of the {len(sample.instances)} instances that were searched for "
                f"({listed(ours)}), and the token may only read it: they stay there when these terminate, and their "
                "addresses go to others",
                f"grant the token's user the role Admin on it (Tower: Inventories, {inventory.name}, Access); or, if "
                "an inventory source fills it, let that leave these instances out (by a filter on their tags), or "
                "remove what is gone ('Overwrite') often",
            )
