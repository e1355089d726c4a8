"""Striking instances off in Chef: their clients, and then their nodes.

A chef-client that still runs could make its node anew as long as its client is there; and a node tells whose it is, and
is what reconcile lists. So the node goes last, and what was broken off between the two is found again.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from copy import replace
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollcall.domain.aws_text import TEXT_MAX, aws_safe
from rollcall.domain.chef_nodes import NamedAfter, node_name, parse_node_pattern
from rollcall.domain.errors import RollcallError
from rollcall.domain.groups import AddressKind
from rollcall.domain.settings import read_node_pattern
from rollcall.hosts.ownership import marker_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from rollcall.aws.fleet import Fleet, Fleets
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.chef_nodes import Node, NodePattern
    from rollcall.domain.inventories import Host

    from .client import Chef

CALLS_AT_ONCE = 4


@dataclass(frozen=True)
class NamedNode:
    """The name of an instance's node.

    certain: nobody else's can have it. A private DNS name goes to the next instance with its address; then the node
    itself has to say whose it is.
    """

    name: str
    instance_id: str
    certain: bool


@dataclass(frozen=True)
class NodeRemovalResult:
    """What became of the nodes of a batch, by instance id: the names of those that are gone, and what kept others."""

    names: Mapping[str, str] = field(default_factory=dict)
    troubles: Mapping[str, RollcallError] = field(default_factory=dict)


def is_of_another(node: Node | None, instance_id: str) -> bool:
    """Whether a node says itself that it is on another instance: its name was baked into an image, or is recycled."""
    return node is not None and node.instance_id not in ("", instance_id)


def with_told(actions: Iterable[LifecycleAction], hosts: Collection[Host]) -> list[LifecycleAction]:
    """The actions with what their instances' hosts tell of the nodes, which soon nobody can ask any more."""
    return [_with_told(action, hosts) for action in actions]


def _with_told(action: LifecycleAction, hosts: Collection[Host]) -> LifecycleAction:
    for host in hosts:
        marker = marker_of(host, action.account, action.region)
        if marker and marker.instance_id == action.instance_id:
            owner, facts = host.owner or {}, host.variables.get("ec2")
            private_dns = facts.get("private_dns") if isinstance(facts, dict) else None
            return replace(
                action,
                node_pattern=_sent(owner.get("chef")) or action.node_pattern,
                private_dns=_sent(private_dns) or action.private_dns,
            )
    return action


def _sent(value: object) -> str:
    """What a person may have written into a host's variables, as a message of ours can hold it."""
    return aws_safe(str(value))[:TEXT_MAX] if value else ""


def remove_nodes(chef: Chef, fleets: Fleets, actions: Sequence[LifecycleAction]) -> NodeRemovalResult:
    """Remove the nodes and clients of instances that go for good, as far as their groups ask for it.

    The actions have what the hosts told. Raises nothing of the taxonomy.
    """
    by_place: defaultdict[tuple[str, str], list[LifecycleAction]] = defaultdict(list)
    for action in actions:
        if not action.to_warm_pool:  # it comes back with the key that its client has
            by_place[action.account, action.region].append(action)
    troubles: dict[str, RollcallError] = {}
    nodes: list[NamedNode] = []
    for own in by_place.values():
        try:
            nodes += _named_nodes(fleets.of(own[0]), own, troubles)
        except RollcallError as error:
            troubles |= {action.instance_id: error for action in own}

    def remove(node: NamedNode) -> bool:
        try:
            return remove_node(chef, node)
        except RollcallError as error:
            troubles[node.instance_id] = error
            return False

    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        gone = [node for node, is_gone in zip(nodes, pool.map(remove, nodes), strict=True) if is_gone]
    return NodeRemovalResult({node.instance_id: node.name for node in gone}, troubles)


def remove_node(chef: Chef, node: NamedNode) -> bool:
    """Delete a node's client and the node; False if the name is, or may be, another instance's, and so both stay.

    That one of them is gone already makes no difference. Raises ChefUnavailable, ChefDenied or ChefRejected.
    """
    known = chef.nodes([node.name]).get(node.name)
    if is_of_another(known, node.instance_id):
        return False
    if not node.certain and (known is None or not known.instance_id):
        return False
    chef.delete_client(node.name)
    chef.delete_node(node.name)
    return True


def _named_nodes(
    fleet: Fleet, actions: Collection[LifecycleAction], troubles: dict[str, RollcallError]
) -> list[NamedNode]:
    """The nodes of instances of one account and Region. What is wrong with a group's tag becomes its own trouble."""
    groups = fleet.groups({action.group for action in actions})
    patterns: dict[str, NodePattern] = {}
    for action in actions:
        try:
            group = groups.get(action.group)
            pattern = read_node_pattern(group) if group else _remembered_pattern(action)
        except RollcallError as error:
            troubles[action.instance_id] = error
        else:
            if pattern:
                patterns[action.instance_id] = pattern
    held_by_hook = {action.instance_id for action in actions if action.held_by_hook}
    staying = _staying(fleet, patterns.keys() - held_by_hook)
    told = {action.instance_id: action.private_dns for action in actions}
    return list(_name(fleet, {each: own for each, own in patterns.items() if each not in staying}, told))


def _staying(fleet: Fleet, not_held: set[str]) -> set[str]:
    """Those of which a message says that they are terminated, and that live."""
    known = fleet.instances(not_held) if not_held else {}
    return {each for each, instance in known.items() if instance.living}


def _remembered_pattern(action: LifecycleAction) -> NodePattern | None:
    """How the nodes of a group that is gone were named, as its host told."""
    try:
        return parse_node_pattern(action.node_pattern) if action.node_pattern else None
    except ValueError:  # a person has been at it
        return None


def _name(fleet: Fleet, patterns: Mapping[str, NodePattern], told: Mapping[str, str]) -> Iterator[NamedNode]:
    """As long as an instance lives EC2 knows its private DNS name, which is its own; afterwards its host told it."""
    by_dns = {each for each, pattern in patterns.items() if pattern.named_after == NamedAfter.PRIVATE_DNS}
    instances = fleet.instances(by_dns) if by_dns else {}
    for instance_id, pattern in patterns.items():
        instance = instances.get(instance_id)
        lives = instance is not None and instance.living
        private_dns = instance.addresses[AddressKind.PRIVATE_DNS] if instance and lives else told[instance_id]
        certain = lives or pattern.named_after == NamedAfter.INSTANCE_ID
        if name := node_name(pattern, instance_id, private_dns):
            yield NamedNode(name, instance_id, certain)
