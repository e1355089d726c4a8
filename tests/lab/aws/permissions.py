"""Permissions that callers lack because a test says so: those that AWS asks for beyond the action that is called.

Source: Amazon EC2 Auto Scaling user guide ("Launch template support": who names a template needs ec2:RunInstances,
ec2:CreateTags and iam:PassRole) and Amazon EC2 user guide ("Control the use of launch templates").
"""

from collections.abc import Iterable

from lab.aws.ministack import Record

KNOWN = frozenset({"ec2:RunInstances", "ec2:CreateTags", "iam:PassRole"})


class Permissions:
    """What callers lack."""

    def __init__(self) -> None:
        self._lacking: frozenset[str] = frozenset()

    def lack(self, names: Iterable[str]) -> None:
        """Let callers lack these, and no others. Raises ValueError for one that is never asked for."""
        lacking = frozenset(names)
        if lacking - KNOWN:
            raise ValueError(f"{', '.join(sorted(lacking - KNOWN))} is never asked for")
        self._lacking = lacking

    @property
    def lacking(self) -> frozenset[str]:
        """What callers lack."""
        return self._lacking

    def lacking_to_launch(self, data: Record, *, tags: bool = False) -> str:
        """Return a permission that is lacking to launch from launch template data, "" if none is.

        tags: whether the request has tags of its own.
        """
        needed = ["ec2:RunInstances"]
        if tags or data.get("TagSpecifications"):
            needed.append("ec2:CreateTags")
        if data.get("IamInstanceProfile"):
            needed.append("iam:PassRole")
        return next((each for each in needed if each in self._lacking), "")
