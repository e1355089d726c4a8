"""A fleet whose clients answer as AWS does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.stub import Stubber

from rollcall.aws.fleet import Fleet
from unit.fakes import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fleet() -> Fleet:
    return Fleet(REGION)


@pytest.fixture
def autoscaling(fleet: Fleet) -> Iterator[Stubber]:
    """Auto Scaling's answers, each with the request that it must answer."""
    with Stubber(fleet._autoscaling) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def ec2(fleet: Fleet) -> Iterator[Stubber]:
    """EC2's answers, each with the request that it must answer."""
    with Stubber(fleet._ec2) as stub:
        yield stub
        stub.assert_no_pending_responses()
