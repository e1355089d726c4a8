"""Which nodes in Chef have no instance any more. Pure: it decides by what was read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollcall.chef.removal import is_of_another
from rollcall.domain.aws_text import INSTANCE_ID
from rollcall.domain.chef_nodes import NamedAfter, identifier_in
from rollcall.hosts.ownership import why_gone

from .steps import NodePlan, NodeRemoval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.domain.chef_nodes import Node, NodePattern
    from rollcall.domain.instances import Instance
    from rollcall.domain.membership import Membership

# Seconds without a report after which a node that AWS does not know counts as dead: two intervals of chef-client and
# their splay by default, 1800 and 300 s (cookbook chef-client, attributes/default.rb, node['chef_client']['interval']).
QUIET = 2 * (1800.0 + 300.0)


@dataclass(frozen=True)
class NodesSnapshot:
    """What was read of Chef, and of AWS about it. now in epoch seconds.

    patterns: how our groups' nodes are named. names: of the nodes that are named so. by_private_dns: instance ids of
    our groups' instances, by the name that each has now. nodes: those that had to be read, by name. memberships,
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


def id_in(snapshot: NodesSnapshot, name: str) -> str | None:
    """The instance id that a node's name holds."""
    for pattern in snapshot.patterns:
        if pattern.named_after == NamedAfter.INSTANCE_ID and (found := identifier_in(pattern, name)):
            return found
    return None


def instance_of(snapshot: NodesSnapshot, name: str) -> str | None:
    """The id of the instance that a node is for: by its name, by whose private DNS name that is now, or as it says.

    None if it cannot be known. Of a node that names an instance of another account or Region nothing is decided.
    """
    if found := id_in(snapshot, name):
        return found
    for pattern in snapshot.patterns:
        if (private_dns := identifier_in(pattern, name)) and private_dns in snapshot.by_private_dns:
            return snapshot.by_private_dns[private_dns]
    node = snapshot.nodes.get(name)
    return node.instance_id if node and is_from_here(snapshot, node) and INSTANCE_ID.allows(node.instance_id) else None


def is_from_here(snapshot: NodesSnapshot, node: Node) -> bool:
    """Whether a node says itself that its instance is of this account and Region."""
    return (node.account, node.region) == (snapshot.account, snapshot.region)


def is_asked_for(snapshot: NodesSnapshot, instance_id: str) -> bool:
    """Whether an instance is of a group that the run is about, which its host or Auto Scaling says."""
    if snapshot.groups is None:
        return True
    membership = snapshot.memberships.get(instance_id)
    said = snapshot.groups_by_host.get(instance_id, frozenset()) | ({membership.group} if membership else set())
    return bool(said & snapshot.groups)


def plan_nodes(snapshot: NodesSnapshot) -> NodePlan:
    """What is to be removed, for the reasons for which a host would be.

    How old a node is Chef does not say. But it is at least as old as its last report, and one that reports lives.
    """
    ours = 0
    removals: list[NodeRemoval] = []
    for name in sorted(snapshot.names):
        instance_id, node = instance_of(snapshot, name), snapshot.nodes.get(name)
        if not instance_id or is_of_another(node, instance_id) or not is_asked_for(snapshot, instance_id):
            continue
        membership, instance = snapshot.memberships.get(instance_id), snapshot.instances.get(instance_id)
        if not (membership or instance or (node and is_from_here(snapshot, node))):
            continue  # another account's, or Region's, for all that one can know
        ours += 1
        if snapshot.asked is not None and instance_id not in snapshot.asked:
            continue
        if gone := why_gone(instance, membership, _age(snapshot, node)):
            removals.append(NodeRemoval(name, instance_id, gone, certain=id_in(snapshot, name) is not None))
    return NodePlan(ours, tuple(removals))


def _age(snapshot: NodesSnapshot, node: Node | None) -> float | None:
    """Seconds for which a node is known to have been there and been silent; None if it may yet report."""
    if node is None or node.seen_at is None:
        return None
    silent = snapshot.now - node.seen_at
    return silent if silent > QUIET else None
