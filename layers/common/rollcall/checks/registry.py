"""Every kind of check that a gate can be asked for. A new one is a file of its own beside this one, and a line here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rollcall.domain.groups import AddressKind
from rollcall.domain.objections import Objection
from rollcall.domain.settings import read_tags

from . import ec2, elb, http, job, tcp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollcall.domain.groups import Group, GroupSettings
    from rollcall.domain.settings import Settings

    from .protocol import Check, Kind

KINDS: Sequence[Kind] = (
    job.KIND,
    ec2.KIND,
    tcp.KIND,
    http.KIND,
    elb.KIND,
)


def read_group_settings(group: Group) -> GroupSettings | None:
    """A group's settings from its tags; None for a group that did not opt in.

    Raises BadSettings naming the group, the tag, the value and what is allowed.
    """
    return read_tags(group, lambda word: str(read_check(word)[1]))


def read_check(word: str) -> tuple[Kind, Check]:
    """The check that a word of the tag asks for, and its kind. Raises ValueError with what is allowed."""
    for kind in KINDS:
        if match := re.fullmatch(kind.pattern, word):
            return kind, kind.read(*match.groups())
    raise ValueError(", ".join(kind.form for kind in KINDS))


def objections_to_checks(settings: GroupSettings, here: Settings) -> Iterator[Objection]:
    """What keeps this installation from trying the checks that a group asks for, beside its load balancers."""
    at_home = settings.address in (AddressKind.PRIVATE, AddressKind.PRIVATE_DNS)
    connecting = [word for word in settings.gate if read_check(word)[0].connects]
    if connecting and at_home and not here.in_vpc:
        yield Objection(
            "check outside the VPC",
            f"group {settings.group!r}: tag rollcall:gate asks for {connecting[0]}, which a function outside a VPC "
            f"cannot try at a {settings.address} address",
            "deploy with SubnetIds, or change the tag",
        )
