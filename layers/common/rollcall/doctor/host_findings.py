"""What is wrong with the hosts of instances that serve: which are missing, passed over by jobs, or not ours to remove.

Pure. A host whose marker names another inventory is a copy: of its name and its state nothing follows.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from rollcall.domain.findings import Finding, breaks, warns
from rollcall.domain.shell_commands import make_command, options
from rollcall.hosts.ownership import is_copy
from rollcall.hosts.variables import is_resting, marker_in

from .observations import SeenInventory, SeenSample
from .tower_findings import reads_only
from .unreadable import listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from rollcall.domain.inventories import DumpedHost, Host, Inventory

    from .group_settings import Asking
    from .observations import Seen, SeenTower


def diagnose_hosts(asking: Collection[Asking], seen: Seen) -> Iterator[Finding]:
    """What is wrong with them in the groups' inventories, and in all others that the token may read."""
    sample = seen.tower.sample
    found = sample.hosts if isinstance(sample, SeenSample) else ()
    for each in asking:
        inventory = seen.tower.inventories.get(each.settings.inventory)
        if isinstance(inventory, SeenInventory) and isinstance(inventory.hosts, tuple):
            yield from _of_group(each, inventory.inventory, inventory.hosts, found)
    if isinstance(sample, SeenSample) and not reads_only(seen.tower):
        yield from _read_only(sample)


def _of_group(
    asking: Asking, inventory: Inventory, hosts: Iterable[DumpedHost], sample: Iterable[Host]
) -> Iterator[Finding]:
    serving = {each for each, known in asking.group.members.items() if known.serving}
    named = {host.name: host for host in hosts}
    renamed = _renamed(serving - named.keys(), inventory, named.values(), sample)
    disabled = [each for each in serving if (host := named.get(each)) and _is_passed_over(host)]
    subject, place = f"group {asking.group.name}", f"inventory {inventory.name!r}"
    if strangers := serving - named.keys() - renamed.keys():
        yield _without_host(asking, place, strangers, len(serving))
    if renamed:
        names = [f"{each} is {name!r}" for each, name in renamed.items()]
        yield warns(
            subject,
            "renamed hosts",
            f"{len(renamed)} of {len(serving)} instances in service have a host in {place} that is not named after them"
            f": {listed(names)}. Jobs are limited to instance ids, and pass it over",
            "name the hosts after the instances again (an inventory source: let it name them by instance-id, or fill "
            f"another inventory); then: {make_command('reconcile', *options('--group', [asking.group.name]))}",
        )
    for name in sorted({host.name for host in hosts} & set(asking.settings.inventory_groups)):
        yield breaks(
            subject,
            f"inventory group {name!r} is called like a host",
            f"{place} has a host {name!r}: Tower makes no group of that name, and Ansible takes one that is there "
            "already for the host",
            "rename the host, or name another group in the tag rollcall:groups",
        )
    if disabled:
        yield warns(
            subject,
            "disabled hosts",
            f"{len(disabled)} of {len(serving)} instances in service have a host in {place} that somebody disabled: "
            f"{listed(disabled)}. Jobs pass it over",
            "enable them in Tower (Inventories, Hosts, the switch of each), if they are meant to be provisioned again",
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


def _is_passed_over(host: DumpedHost) -> bool:
    """Whether jobs pass over a host because another than Rollcall disabled it."""
    return not (host.enabled or is_resting(host.variables) or is_copy(host))


def _without_host(asking: Asking, place: str, strangers: Collection[str], serving: int) -> Finding:
    name, late = asking.group.name, late_job(asking)
    provision = " (with --provision it runs the job of the older ones, too)" if late else ""
    return warns(
        f"group {name}",
        "instances without a host",
        f"{len(strangers)} of {serving} instances in service have no host in {place}: {listed(strangers)}. They were "
        "launched before the hooks were there or the group opted in, or their events were lost. Reconcile's next run "
        f"adds their hosts{late}",
        f"replace them by an instance refresh, or have that run now{provision}: "
        f"{make_command('reconcile', *options('--group', [name]))}",
    )


def late_job(asking: Asking) -> str:
    """Whose job reconcile runs by itself, in words: it takes the event of a young instance for lost."""
    if not asking.settings.job_template:
        return ""
    return (
        " and runs the job of those launched less than rollcall:timeout "
        f"({asking.settings.timeout:,} s) ago that no job holds yet"
    )


def _read_only(sample: SeenSample) -> Iterator[Finding]:
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
                f"it holds hosts of {len(ours)} of the {len(sample.instances)} instances that were looked for "
                f"({listed(ours)}), and the token may only read it: they stay there when these terminate, and their "
                "addresses go to others",
                f"grant the token's user the role Admin on it (Tower: Inventories, {inventory.name}, Access); or, if "
                "an inventory source fills it, let that leave these instances out (by a filter on their tags), or "
                "remove what is gone ('Overwrite') often",
            )


def sampled(tower: SeenTower, serving: int) -> str:
    """What was looked for in all inventories, in words; empty where that was everything, or nothing."""
    sample = tower.sample
    if not isinstance(sample, SeenSample) or len(sample.instances) == serving:
        return ""
    return f"{len(sample.instances)} of {serving} instances in service in every inventory that the token may read"
