"""Nodes in Chef: how a group names them, and which instance a name stands for. Pure."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from .aws_text import INSTANCE_ID


class NamedAfter(StrEnum):
    """What of its instance a node in Chef is named after: what stands for it in a pattern."""

    INSTANCE_ID = "@instance_id@"
    PRIVATE_DNS = "@private_dns@"


class NodePattern(NamedTuple):
    """How nodes in Chef are named: after what of their instances, with which text before and after it."""

    named_after: NamedAfter
    prefix: str = ""
    suffix: str = ""

    def __str__(self) -> str:
        return f"{self.prefix}{self.named_after}{self.suffix}"


class Node(NamedTuple):
    """A node in Chef, as it describes itself; empty where it holds nothing.

    seen_at: when chef-client last ran on it, in epoch seconds by its own clock; None if it never did.
    """

    name: str
    instance_id: str = ""
    account: str = ""
    region: str = ""
    seen_at: float | None = None


DEFAULT_PATTERN = NodePattern(NamedAfter.INSTANCE_ID)
PATTERN_FORMS = "@instance_id@ or @private_dns@, with letters, digits and ._- before and behind it"
TEXT = "[A-Za-z0-9_.-]*"  # of what node names may hold; a colon would be the search language's
PATTERN = re.compile(rf"((?:[A-Za-z0-9]{TEXT})?)({'|'.join(NamedAfter)})({TEXT})")
# An IP name or a resource name (AWS's documentation: Amazon EC2 instance hostname types).
PRIVATE_DNS = re.compile(r"(?:ip(?:-\d{1,3}){4}|i-[0-9a-f]{8,17})\.(?:ec2|[a-z0-9-]{1,30}\.compute)\.internal")
SHAPES = {NamedAfter.INSTANCE_ID: INSTANCE_ID.pattern, NamedAfter.PRIVATE_DNS: PRIVATE_DNS}


@lru_cache
def parse_node_pattern(text: str) -> NodePattern:
    """A pattern from the value of a tag; the usual one if that is empty. Raises ValueError."""
    if not text:
        return DEFAULT_PATTERN
    match = PATTERN.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no pattern of node names")
    prefix, named_after, suffix = match.groups()
    return NodePattern(NamedAfter(named_after), prefix, suffix)


def node_name(pattern: NodePattern, instance_id: str, private_dns: str) -> str | None:
    """The name of an instance's node; None if what it is named after is not known, or is not what it should be."""
    wanted = instance_id if pattern.named_after == NamedAfter.INSTANCE_ID else private_dns
    return f"{pattern.prefix}{wanted}{pattern.suffix}" if SHAPES[pattern.named_after].fullmatch(wanted) else None


def identifier_in(pattern: NodePattern, name: str) -> str | None:
    """The instance id or private DNS name in a node's name; None for a name that the pattern does not make."""
    if not (name.startswith(pattern.prefix) and name.endswith(pattern.suffix)):
        return None
    middle = name[len(pattern.prefix) : len(name) - len(pattern.suffix)]
    return middle if SHAPES[pattern.named_after].fullmatch(middle) else None
