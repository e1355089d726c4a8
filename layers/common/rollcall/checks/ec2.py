"""`ec2`: both status checks of EC2, the system's and the instance's, have passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .protocol import Fail, Kind, Pass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .protocol import Answer, Context, Subject


@dataclass(frozen=True)
class Ec2:
    """Reads the status of all instances from EC2 in one go."""

    def __str__(self) -> str:
        return "ec2"

    def examine(self, subjects: Sequence[Subject], context: Context) -> Mapping[str, Answer]:
        ids = {each.instance_id for each in subjects}
        passing = context.fleet.passing_status_checks(ids)
        return {each: Pass() if each in passing else Fail("its status checks have not both passed") for each in ids}


KIND = Kind("ec2", "ec2", "ec2", Ec2, only_reads=True, permissions=("ec2:DescribeInstanceStatus",))
