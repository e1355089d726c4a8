"""Which nodes in Chef have no instance any more. Pure: everything here is told what was read, and asks nobody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollcall.chef.removal import is_of_another
from rollcall.domain.chef_nodes import NamedAfter, identifier_in
from rollcall.domain.inventory_text import INSTANCE_ID
from rollcall.hosts.ownership import why_gone

from .steps import NodePlan, NodeRemoval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.aws.fleet import Membership
    from rollcall.domain.chef_nodes import Node, NodePattern
    from rollcall.domain.instances import Instance

# Seconds without a report after which a node that AWS does not know counts as dead: two intervals of chef-client and
# their splay by default, 1800 and 300 s (cookbook chef-client, attributes/default.rb, node['chef_client']['interval']).
QUIET = 2 * (1800.0 + 300.0)


@dataclass(frozen=True)
class NodesSeen:
    """What was read of Chef, and of AWS about it. now in epoch seconds.

    patterns: how our groups' nodes are named. names: of the nodes that are named so. by_private_dns: instance ids of
    our groups' instances, by the name that each has now. nodes: those that had to be looked at, by name. memberships,
    instances: what Auto Scaling and EC2 say; EC2 of those only that none of our groups lists. groups: those that the
    run is about, None for all. groups_by_host: of which groups the hosts of an instance say that it is. asked: the
    instances that the run is about, None for all.
    """

    account: str
    region: str
    now: float
    patterns: tuple[NodePattern, ...]
    names: frozenset[str]
    by_private_dns: Mapping[str, str] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    memberships: Mapping[str, Membership] = field(default_factory=dict)
    instances: Mapping[str, Instance] = field(default_factory=dict)
    groups: frozenset[str] | None = None
    groups_by_host: Mapping[str, frozenset[str]] = field(default_factory=dict)
    asked: frozenset[str] | None = None


def id_in(seen: NodesSeen, name: str) -> str | None:
    """The instance id that a node's name holds."""
    for pattern in seen.patterns:
        if pattern.named_after == NamedAfter.INSTANCE_ID and (found := identifier_in(pattern, name)):
            return found
    return None


def instance_of(seen: NodesSeen, name: str) -> str | None:
    """The id of the instance that a node is for: by its name, by whose name that is now, or as it says itself.

    None if nobody says. A node that names an instance of another account or Region is not ours to judge.
    """
    if found := id_in(seen, name):
        return found
    for pattern in seen.patterns:
        if (private_dns := identifier_in(pattern, name)) and private_dns in seen.by_private_dns:
            return seen.by_private_dns[private_dns]
    node = seen.nodes.get(name)
    return node.instance_id if node and is_from_here(seen, node) and INSTANCE_ID.fullmatch(node.instance_id) else None


def is_from_here(seen: NodesSeen, node: Node) -> bool:
    """Whether a node says itself that its instance is of this account and Region."""
    return (node.account, node.region) == (seen.account, seen.region)


def is_asked_for(seen: NodesSeen, instance_id: str) -> bool:
    """Whether an instance is of a group that the run is about, which its host or Auto Scaling says."""
    if seen.groups is None:
        return True
    membership = seen.memberships.get(instance_id)
    said = seen.groups_by_host.get(instance_id, frozenset()) | ({membership.group} if membership else set())
    return bool(said & seen.groups)


def plan_nodes(seen: NodesSeen) -> NodePlan:
    """What is to be removed, for the reasons for which a host would be.

    How old a node is nobody tells. But it is at least as old as its last report, and one that reports lives.
    """
    ours = 0
    removals: list[NodeRemoval] = []
    for name in sorted(seen.names):
        instance_id, node = instance_of(seen, name), seen.nodes.get(name)
        if not instance_id or is_of_another(node, instance_id) or not is_asked_for(seen, instance_id):
            continue
        membership, instance = seen.memberships.get(instance_id), seen.instances.get(instance_id)
        if not (membership or instance or (node and is_from_here(seen, node))):
            continue  # another account's, or Region's, for all that one can know
        ours += 1
        if seen.asked is not None and instance_id not in seen.asked:
            continue
        if gone := why_gone(instance, membership, _age(seen, node)):
            removals.append(NodeRemoval(name, instance_id, gone, certain=id_in(seen, name) is not None))
    return NodePlan(ours, tuple(removals))


def _age(seen: NodesSeen, node: Node | None) -> float | None:
    """Seconds for which a node is known to have been there and been silent; None if it may yet report."""
    if node is None or node.seen_at is None:
        return None
    silent = seen.now - node.seen_at
    return silent if silent > QUIET else None
