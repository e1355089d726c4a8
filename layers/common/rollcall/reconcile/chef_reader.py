"""What there is in Chef, and in AWS of it, read for a plan to be made of it (rollcall.reconcile.chef_plan).

Chef is read before AWS, so that a node made meanwhile is not taken for one whose instance is gone. AWS is asked only
about nodes that none of our groups' instances explains, and Chef about those of them only that may have to go.
"""

from __future__ import annotations

from collections import defaultdict
from copy import replace
from typing import TYPE_CHECKING

from rollcall.domain.chef_nodes import identifier_in, parse_node_pattern
from rollcall.domain.groups import AddressKind

from .chef_plan import NodesSeen, instance_of
from .reader import CONTROLS, asked_again, require_credible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.aws.fleet import Fleet
    from rollcall.chef.client import Chef
    from rollcall.domain.chef_nodes import NodePattern
    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import DumpedHost
    from rollcall.domain.messages import RunOptions

    from .snapshot import Snapshot


def patterns_of(seen: Snapshot, options: RunOptions) -> tuple[NodePattern, ...]:
    """How the nodes are named that a run is about: of the groups there are, and of those that only hosts tell of."""
    found = {name: place.settings.nodes for name, place in seen.places.items() if place.settings.nodes}
    for host in _managed(seen):
        marker = host.variables["rollcall"]
        assert isinstance(marker, dict)  # noqa: S101 - else it were not managed
        group, text = str(marker.get("group", "")), marker.get("chef")
        if text and group not in seen.places and group not in seen.troubled:
            try:
                found.setdefault(group, parse_node_pattern(str(text)))
            except ValueError:  # a person has been at it
                continue
    wanted = {pattern for name, pattern in found.items() if options.groups is None or name in options.groups}
    return tuple(sorted(wanted, key=str))


def read_nodes(
    chef: Chef, fleet: Fleet, seen: Snapshot, patterns: tuple[NodePattern, ...], options: RunOptions
) -> NodesSeen:
    """Everything that a plan needs to know. Raises what Chef or AWS did not answer."""
    names = frozenset(name for name in chef.node_names() if any(identifier_in(each, name) for each in patterns))
    nodes = NodesSeen(
        account=seen.account,
        region=seen.region,
        now=seen.now,
        patterns=patterns,
        names=names,
        by_private_dns=dict(_private_dns_names(seen)),
        memberships=seen.memberships,
        groups=options.groups,
        groups_by_host=_groups_by_host(seen),
        asked=options.instances,
    )
    nodes = replace(nodes, nodes=chef.nodes([name for name in names if not instance_of(nodes, name)]))
    named = {name: found for name in names if (found := instance_of(nodes, name))}
    suspects = set(named.values()) - seen.memberships.keys()
    instances = _instances(fleet, seen, suspects)
    unknown = suspects - instances.keys()
    dead = unknown | {each for each, instance in instances.items() if not instance.living}
    unseen = [name for name, instance_id in named.items() if instance_id in dead and name not in nodes.nodes]
    nodes = replace(nodes, nodes={**nodes.nodes, **chef.nodes(unseen)}, instances=instances)
    memberships = fleet.memberships(unknown) if unknown else {}
    return replace(nodes, memberships={**seen.memberships, **memberships})


def _instances(fleet: Fleet, seen: Snapshot, suspects: set[str]) -> dict[str, Instance]:
    """What EC2 says of the suspects, and of a few who serve, to see that it answers."""
    if not suspects:
        return {}
    serving = sorted(each for each, known in seen.memberships.items() if known.serving)
    controls = {each: seen.memberships[each] for each in serving[:CONTROLS]}
    instances = fleet.instances(suspects | controls.keys())
    require_credible(controls, instances)
    return instances | asked_again(fleet, seen.memberships, suspects - instances.keys(), instances)


def _groups_by_host(seen: Snapshot) -> dict[str, frozenset[str]]:
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for marker in seen.owners.values():
        groups[marker.instance_id].add(marker.group)
    return {instance_id: frozenset(own) for instance_id, own in groups.items()}


def _private_dns_names(seen: Snapshot) -> Iterator[tuple[str, str]]:
    """The private DNS name and the id of each instance of our groups: as EC2 says, or where it was not asked a host."""
    for host in _managed(seen):
        facts, marker = host.variables.get("ec2"), seen.owners[host.id]
        if marker.instance_id in seen.memberships and isinstance(facts, dict) and facts.get("private_dns"):
            yield str(facts["private_dns"]), marker.instance_id
    for instance_id, instance in seen.instances.items():
        if instance_id in seen.memberships and instance.living:
            yield instance.addresses[AddressKind.PRIVATE_DNS], instance_id


def _managed(seen: Snapshot) -> Iterator[DumpedHost]:
    for dump in seen.dumps.values():
        yield from (host for host in dump.hosts if host.id in seen.owners)
