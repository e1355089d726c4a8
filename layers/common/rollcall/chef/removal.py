"""Instances removed from Chef: their clients, and then their nodes.

A chef-client that still runs could create its node again as long as its client is there. And a node holds whose it is,
and is what reconcile lists. So the node is deleted last, and what was interrupted between the two is found again.
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

CHEF_CALLS_AT_ONCE = 4


@dataclass(frozen=True)
class NamedNode:
    """The name of an instance's node.

    certain: no other instance's node can have it. A private DNS name goes to the next instance with its address; then
    the node itself has to say which instance it is on.
    """

    name: str
    instance_id: str
    certain: bool


@dataclass(frozen=True)
class NodeRemovalResult:
    """What became of the nodes of a batch, by instance id: the names of those that are gone, and why others are not."""

    names: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, RollcallError] = field(default_factory=dict)


def is_of_another(node: Node | None, instance_id: str) -> bool:
    """Whether a node says itself that it is on another instance: its name was baked into an image, or is recycled."""
    return node is not None and node.instance_id not in ("", instance_id)


def with_facts_of_hosts(actions: Iterable[LifecycleAction], hosts: Collection[Host]) -> list[LifecycleAction]:
    """The actions with what the hosts of their instances hold about their nodes; soon these hosts are removed."""
    return [_with_facts_of_host(action, hosts) for action in actions]


def _with_facts_of_host(action: LifecycleAction, hosts: Collection[Host]) -> LifecycleAction:
    for host in hosts:
        marker = marker_of(host, action.account, action.region)
        if marker and marker.instance_id == action.instance_id:
            facts = host.variables.get("ec2")
            private_dns = facts.get("private_dns") if isinstance(facts, dict) else None
            return replace(
                action,
                node_pattern=_as_message_text((host.marker or {}).get("chef")) or action.node_pattern,
                private_dns=_as_message_text(private_dns) or action.private_dns,
            )
    return action


def _as_message_text(value: object) -> str:
    """A host's variable, which anyone may have edited, as a message can hold it."""
    return aws_safe(str(value))[:TEXT_MAX] if value else ""


def remove_nodes(chef: Chef, fleets: Fleets, actions: Sequence[LifecycleAction]) -> NodeRemovalResult:
    """Remove the nodes and clients of instances that go for good, as far as their groups ask for it.

    The actions have what their hosts held: see with_facts_of_hosts. Raises nothing of the taxonomy.
    """
    by_place: defaultdict[tuple[str, str], list[LifecycleAction]] = defaultdict(list)
    for action in actions:
        if not action.to_warm_pool:  # it comes back with the key that its client has
            by_place[action.account, action.region].append(action)
    found = [_nodes_or_errors(fleets, own) for own in by_place.values()]
    nodes = [node for named, _ in found for node in named]

    def remove(node: NamedNode) -> bool | RollcallError:
        try:
            return remove_node(chef, node)
        except RollcallError as error:
            return error

    with ThreadPoolExecutor(CHEF_CALLS_AT_ONCE) as pool:
        answers = list(zip(nodes, pool.map(remove, nodes), strict=True))
    names = {node.instance_id: node.name for node, answer in answers if answer is True}
    unnamed = {instance_id: error for _, errors in found for instance_id, error in errors.items()}
    not_removed = {node.instance_id: answer for node, answer in answers if isinstance(answer, RollcallError)}
    return NodeRemovalResult(names, unnamed | not_removed)


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


def _nodes_or_errors(
    fleets: Fleets, actions: Sequence[LifecycleAction]
) -> tuple[list[NamedNode], dict[str, RollcallError]]:
    """The nodes of instances of one account and Region; by instance id, why others' are not known."""
    try:
        fleet = fleets.of(actions[0])
        patterns, errors = _patterns(fleet, actions)
        held = {action.instance_id for action in actions if action.held_by_hook}
        alive = _alive(fleet, patterns.keys() - held)
        private_dns = {action.instance_id: action.private_dns for action in actions}
        going = {each: pattern for each, pattern in patterns.items() if each not in alive}
        return list(_name(fleet, going, private_dns)), errors
    except RollcallError as error:
        return [], {action.instance_id: error for action in actions}


def _patterns(
    fleet: Fleet, actions: Collection[LifecycleAction]
) -> tuple[dict[str, NodePattern], dict[str, RollcallError]]:
    """By instance id, how its node is named, where its group has nodes; and what is wrong with its group's tag."""
    groups = fleet.groups({action.group for action in actions})
    patterns: dict[str, NodePattern] = {}
    errors: dict[str, RollcallError] = {}
    for action in actions:
        try:
            group = groups.get(action.group)
            pattern = read_node_pattern(group) if group else _pattern_of_host(action)
        except RollcallError as error:
            errors[action.instance_id] = error
        else:
            if pattern:
                patterns[action.instance_id] = pattern
    return patterns, errors


def _alive(fleet: Fleet, instance_ids: set[str]) -> set[str]:
    """Those that EC2 shows as alive, although a message says that they are terminated."""
    known = fleet.instances(instance_ids) if instance_ids else {}
    return {each for each, instance in known.items() if instance.living}


def _pattern_of_host(action: LifecycleAction) -> NodePattern | None:
    """How the nodes of a group that is gone were named, as its host held it; None if that cannot be read."""
    try:
        return parse_node_pattern(action.node_pattern) if action.node_pattern else None
    except ValueError:  # anyone may have edited the host's variables
        return None


def _name(fleet: Fleet, patterns: Mapping[str, NodePattern], of_hosts: Mapping[str, str]) -> Iterator[NamedNode]:
    """The nodes of instances, by their patterns. of_hosts: the private DNS names that their hosts held.

    As long as an instance is alive EC2 shows its private DNS name, which is its own; afterwards its host held it.
    """
    by_dns = {each for each, pattern in patterns.items() if pattern.named_after == NamedAfter.PRIVATE_DNS}
    instances = fleet.instances(by_dns) if by_dns else {}
    for instance_id, pattern in patterns.items():
        instance = instances.get(instance_id)
        is_alive = instance is not None and instance.living
        private_dns = instance.addresses[AddressKind.PRIVATE_DNS] if instance and is_alive else of_hosts[instance_id]
        certain = is_alive or pattern.named_after == NamedAfter.INSTANCE_ID
        if name := node_name(pattern, instance_id, private_dns):
            yield NamedNode(name, instance_id, certain)
