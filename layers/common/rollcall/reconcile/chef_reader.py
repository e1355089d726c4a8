"""What there is in Chef, and in AWS of it, read for a plan to be made of it (rollcall.reconcile.chef_plan).

Chef is read before AWS, so that a node made meanwhile is not taken for one whose instance is gone. AWS is read
only for nodes that none of our groups' instances explains, and Chef only for those of them that may have to go.
"""

from __future__ import annotations

from collections import defaultdict
from copy import replace
from typing import TYPE_CHECKING

from rollcall.domain.chef_nodes import identifier_in, parse_node_pattern
from rollcall.domain.groups import AddressKind

from .chef_plan import NodesSnapshot, instance_of
from .credible_answers import CONTROLS, asked_again, require_credible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.aws.fleet import Fleet
    from rollcall.chef.client import Chef
    from rollcall.domain.chef_nodes import NodePattern
    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import DumpedHost
    from rollcall.domain.messages import RunOptions

    from .snapshot import Snapshot


def patterns_of(snapshot: Snapshot, options: RunOptions) -> tuple[NodePattern, ...]:
    """How the nodes are named that a run is about: of the groups there are, and of those that only hosts name."""
    found = {name: place.settings.nodes for name, place in snapshot.places.items() if place.settings.nodes}
    for host in _managed(snapshot):
        marker = host.variables["rollcall"]
        assert isinstance(marker, dict)  # noqa: S101 - else it were not managed
        group, text = str(marker.get("group", "")), marker.get("chef")
        if text and group not in snapshot.places and group not in snapshot.unreadable:
            try:
                found.setdefault(group, parse_node_pattern(str(text)))
            except ValueError:  # it was changed by hand
                continue
    wanted = {pattern for name, pattern in found.items() if options.groups is None or name in options.groups}
    return tuple(sorted(wanted, key=str))


def read_nodes(
    chef: Chef, fleet: Fleet, snapshot: Snapshot, patterns: tuple[NodePattern, ...], options: RunOptions
) -> NodesSnapshot:
    """Everything that a plan needs to know. Raises what Chef or AWS did not answer."""
    names = frozenset(name for name in chef.node_names() if any(identifier_in(each, name) for each in patterns))
    nodes = NodesSnapshot(
        account=snapshot.account,
        region=snapshot.region,
        now=snapshot.now,
        patterns=patterns,
        names=names,
        by_private_dns=dict(_private_dns_names(snapshot)),
        memberships=snapshot.memberships,
        groups=options.groups,
        groups_by_host=_groups_by_host(snapshot),
        asked=options.instances,
    )
    # What a name does not say the node itself has to say.
    nodes = replace(nodes, nodes=chef.nodes([name for name in names if not instance_of(nodes, name)]))
    named = {name: found for name in names if (found := instance_of(nodes, name))}
    # AWS is read for the instances that none of our groups lists.
    suspects = set(named.values()) - snapshot.memberships.keys()
    instances = _instances(fleet, snapshot, suspects)
    unknown = suspects - instances.keys()
    memberships = fleet.memberships(unknown) if unknown else {}
    # How long a node has been silent counts where its instance seems to be gone.
    dead = unknown | {each for each, instance in instances.items() if not instance.living}
    unread = [name for name, instance_id in named.items() if instance_id in dead and name not in nodes.nodes]
    return replace(
        nodes,
        nodes={**nodes.nodes, **chef.nodes(unread)},
        instances=instances,
        memberships={**snapshot.memberships, **memberships},
    )


def _instances(fleet: Fleet, snapshot: Snapshot, suspects: set[str]) -> dict[str, Instance]:
    """What EC2 says of the suspects, and of a few that serve, to see that it answers."""
    if not suspects:
        return {}
    serving = sorted(each for each, known in snapshot.memberships.items() if known.serving)
    controls = {each: snapshot.memberships[each] for each in serving[:CONTROLS]}
    instances = fleet.instances(suspects | controls.keys())
    require_credible(controls, instances)
    return instances | asked_again(fleet, snapshot.memberships, suspects - instances.keys(), instances)


def _groups_by_host(snapshot: Snapshot) -> dict[str, frozenset[str]]:
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for marker in snapshot.owners.values():
        groups[marker.instance_id].add(marker.group)
    return {instance_id: frozenset(own) for instance_id, own in groups.items()}


def _private_dns_names(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """The private DNS name and the id of each instance of our groups: as EC2 says, or where it was not asked a host."""
    for host in _managed(snapshot):
        facts, marker = host.variables.get("ec2"), snapshot.owners[host.id]
        if marker.instance_id in snapshot.memberships and isinstance(facts, dict) and facts.get("private_dns"):
            yield str(facts["private_dns"]), marker.instance_id
    for instance_id, instance in snapshot.instances.items():
        if instance_id in snapshot.memberships and instance.living:
            yield instance.addresses[AddressKind.PRIVATE_DNS], instance_id


def _managed(snapshot: Snapshot) -> Iterator[DumpedHost]:
    for dump in snapshot.dumps.values():
        yield from (host for host in dump.hosts if host.id in snapshot.owners)
