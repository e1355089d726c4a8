"""Every kind of check that a gate can ask for. A new one is a file of its own beside this one, and its name here."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from rollcall.domain.groups import AddressKind
from rollcall.domain.objections import Objection
from rollcall.domain.settings import read_tags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.domain.groups import Group, GroupSettings
    from rollcall.domain.settings import Settings

    from .protocol import Check, Kind

NAMES = ("job", "ec2", "tcp", "http", "elb")  # each the word in the tag, and the module that holds its kind


@cache
def kind_named(name: str) -> Kind:
    """The kind of check with one of NAMES, loaded when a group first has it: no other slows a cold start."""
    kind: Kind = import_module(f".{name}", __package__).KIND
    return kind


def read_group_settings(group: Group) -> GroupSettings | None:
    """A group's settings from its tags; None for a group that did not opt in.

    Raises BadSettings naming the group, the tag, the value and what is allowed.
    """
    return read_tags(group, lambda word: str(read_check(word)[1]))


def read_check(word: str) -> tuple[Kind, Check]:
    """The check that a word of the tag names, and its kind. Raises ValueError with what is allowed."""
    name, _, _ = word.partition(":")
    if name in NAMES:
        kind = kind_named(name)
        if match := re.fullmatch(kind.pattern, word):
            return kind, kind.read(*match.groups())
    raise ValueError(", ".join(kind_named(each).form for each in NAMES))


def objections_to_checks(settings: GroupSettings, here: Settings) -> Iterator[Objection]:
    """What keeps this installation from trying the checks of a group, beside its load balancers."""
    at_home = settings.address in (AddressKind.PRIVATE, AddressKind.PRIVATE_DNS)
    connecting = [word for word in settings.gate if read_check(word)[0].connects]
    if connecting and at_home and not here.in_vpc:
        yield Objection(
            "check outside the VPC",
            f"group {settings.group!r}: tag rollcall:gate asks for {connecting[0]}, which a function outside a VPC "
            f"cannot try at a {settings.address} address",
            "deploy with SubnetIds, or change the tag",
        )
