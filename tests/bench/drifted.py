"""Auto Scaling groups and an inventory with their hosts, a hundredth of which drifted, as data. Pure."""

from __future__ import annotations

from copy import replace
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from lab.cloud import ACCOUNT, REGION
from rollcall.domain.groups import AddressKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INVENTORY, JOB_TEMPLATE = "fleet", "provision"  # that each group names
INVENTORY_ID = 1  # the first of an embedded Tower
GROUP_SIZE = 100  # instances of a group, one of which drifted
GONE = 1 << 32  # more than the number of any instance that is there
UNUSED_ADDRESS = "10.255.255.254"
FACTS = {
    "type": "m6g.large",
    "image": "ami-0abcdef1234567890",
    "zone": f"{REGION}a",
    "vpc": "vpc-0123456789abcdef0",
    "subnet": "subnet-0123456789abcdef0",
}


class Drift(Enum):
    """How hosts and instances differ; each in one of ten groups."""

    TERMINATED = auto()  # one host more, of an instance that EC2 says is terminated
    FORGOTTEN = auto()  # one host more, of an instance that EC2 does not know any more
    RECYCLED = auto()  # one host more, of a terminated instance, at the address of the next group's successor
    SUCCESSOR = auto()  # an instance without a host, at the address of the last group's terminated one
    HOSTLESS = auto()  # an instance without a host
    HOST_REMOVED = auto()  # the same
    ELSEWHERE = auto()  # a host with another address than its instance
    NOWHERE = auto()  # a host without an address
    UNGROUPED = auto()  # a host outside of its inventory group
    MOVED = auto()  # a host with the marker and in the inventory group of another Auto Scaling group


@dataclass(frozen=True)
class Machine:
    """An EC2 instance, and the Auto Scaling group that it is or was in."""

    instance_id: str
    group: str
    address: str

    @property
    def dns(self) -> str:
        """Its private DNS name."""
        return f"ip-{self.address.replace('.', '-')}.ec2.internal"

    @property
    def public(self) -> str:
        """Its public address."""
        return f"52{self.address.removeprefix(self.address.split('.')[0])}"


@dataclass(frozen=True)
class Row:
    """A host of the inventory, named after its instance."""

    name: str
    variables: Mapping[str, object]
    groups: Sequence[str]


@dataclass(frozen=True)
class Drifted:
    """As many instances as managed hosts.

    address: that hosts are to have, private or public. members: by group, its instances, which are in service.
    terminated: instances of no group that EC2 still tells of.
    """

    address: AddressKind
    members: Mapping[str, Sequence[Machine]]
    terminated: Sequence[Machine]
    rows: Sequence[Row]

    def right_rows(self) -> list[Row]:
        """The hosts as they are without drift."""
        return [_row(machine, self.address) for own in self.members.values() for machine in own]


def drifted(groups: int, address: AddressKind = AddressKind.PRIVATE) -> Drifted:
    """So many groups and their hosts, which are to have that address of their instances."""
    members: dict[str, Sequence[Machine]] = {}
    terminated: list[Machine] = []
    rows: list[Row] = []
    for number in range(groups):
        own = [_machine(number, place) for place in range(GROUP_SIZE)]
        members[own[0].group] = own
        right = _row(own[0], address)
        rows += [_row(machine, address) for machine in own[1:]]
        former = Machine(f"i-0{GONE + number:016x}", own[0].group, f"172.16.{number >> 8}.{number & 255}")
        match tuple(Drift)[number % len(Drift)]:
            case Drift.TERMINATED:
                rows += [right, _row(former, address)]
                terminated.append(former)
            case Drift.FORGOTTEN:
                rows += [right, _row(former, address)]
            case Drift.RECYCLED:
                rows += [right, _row(replace(former, address=_machine(number + 1, 0).address), address)]
                terminated.append(former)
            case Drift.ELSEWHERE:
                rows.append(replace(right, variables={**right.variables, "ansible_host": UNUSED_ADDRESS}))
            case Drift.NOWHERE:
                rows.append(replace(right, variables={**right.variables, "ansible_host": ""}))
            case Drift.UNGROUPED:
                rows.append(replace(right, groups=()))
            case Drift.MOVED:
                rows.append(_row(replace(own[0], group=_machine((number + 1) % groups, 0).group), address))
    return Drifted(address, members, terminated, rows)


def _machine(group: int, place: int) -> Machine:
    number = group * GROUP_SIZE + place
    return Machine(f"i-0{number:016x}", f"web-{group:03d}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")


def _row(machine: Machine, address: AddressKind) -> Row:
    """The host that an instance should have."""
    marker = {"group": machine.group, "instance_id": machine.instance_id, "account": ACCOUNT, "region": REGION}
    facts = {**FACTS, "id": machine.instance_id, "private_ip": machine.address, "public_ip": machine.public}
    variables = {
        "ansible_host": machine.address if address == AddressKind.PRIVATE else machine.public,
        "rollcall": {**marker, "vpc": FACTS["vpc"], "inventory": INVENTORY_ID},
        "ec2": {**facts, "tags": {"aws:autoscaling:groupName": machine.group, "environment": "production"}},
    }
    return Row(machine.instance_id, variables, (machine.group,))
