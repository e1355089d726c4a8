"""The partition that a Region is of."""

from __future__ import annotations

import pytest

from rollcall.domain.partitions import partition_of


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_a_region_is_of_the_partition_that_its_name_begins_like(region: str, partition: str) -> None:
    assert partition_of(region) == partition
