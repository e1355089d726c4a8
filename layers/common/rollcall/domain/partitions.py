"""The partitions of AWS: the second part of every ARN. Pure."""

from __future__ import annotations

PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}  # by what their Regions' names begin with


def partition_of(region: str) -> str:
    """The partition of a Region."""
    return next((each for begin, each in PARTITIONS.items() if region.startswith(begin)), "aws")
