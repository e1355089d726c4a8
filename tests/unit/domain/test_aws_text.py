"""What AWS takes for an id or a name, held to botocore's service model."""

from __future__ import annotations

import json
import re
from typing import Any

import boto3
import pytest
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from rollcall.domain.aws_text import (
    ACCOUNT,
    GROUP_NAME,
    HOOK_NAME,
    INSTANCE_ID,
    NOT_SUPPORTED,
    REGION,
    SHORT_TEXT,
    TOKEN,
    TextRule,
    aws_safe,
)

XML_IN_THE_MODEL = r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*"  # as Java writes it
PROBES = [*map(chr, range(0x180)), *"\u2028\ud7ff\ud800\udbff\udc00\udfff\ue000\ufffd\ufffe\uffff\U00010000\U0010ffff"]


def members(operation: str) -> Any:
    shape: Any = Session().get_service_model("autoscaling").operation_model(operation).input_shape
    return shape.members


@pytest.mark.parametrize(
    ("rule", "sample", "metadata"),
    [
        (GROUP_NAME, "g", members("DescribeAutoScalingGroups")["AutoScalingGroupNames"].member.metadata),
        (HOOK_NAME, "h", members("CompleteLifecycleAction")["LifecycleHookName"].metadata),
        (TOKEN, "t", members("CompleteLifecycleAction")["LifecycleActionToken"].metadata),
    ],
    ids=["group", "hook", "token"],
)
def test_names_are_as_long_as_the_service_model_allows(rule: TextRule, sample: str, metadata: dict[str, int]) -> None:
    least, most = metadata["min"], metadata["max"]
    assert [rule.allows(sample * size) for size in (least - 1, least, most, most + 1)] == [False, True, True, False]


def test_an_instance_id_is_no_longer_than_auto_scaling_takes_it() -> None:
    most = members("DescribeAutoScalingInstances")["InstanceIds"].member.metadata["max"]
    assert members("CompleteLifecycleAction")["InstanceId"].metadata["max"] == most
    assert INSTANCE_ID.allows("i-".ljust(most, "0"))
    assert not INSTANCE_ID.allows("i-".ljust(most + 1, "0"))


def test_a_group_is_called_by_the_characters_of_the_service_model() -> None:
    shape = members("DescribeAutoScalingGroups")["AutoScalingGroupNames"].member
    assert shape.metadata["pattern"] == XML_IN_THE_MODEL
    allowed = re.compile("[\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff\r\n\t]")
    assert [each for each in PROBES if GROUP_NAME.allows(each) != bool(allowed.fullmatch(each))] == []


def test_a_hook_is_called_by_the_characters_of_the_service_model() -> None:
    allowed = re.compile(members("CompleteLifecycleAction")["LifecycleHookName"].metadata["pattern"])
    assert [each for each in PROBES if HOOK_NAME.allows(each) != bool(allowed.fullmatch(each))] == []


def test_every_region_of_aws_is_one() -> None:
    session = boto3.Session()
    partitions = session.get_available_partitions()
    regions = [each for name in partitions for each in session.get_available_regions("autoscaling", name)]
    assert len(regions) > 30
    assert [each for each in regions if not REGION.allows(each)] == []


@pytest.mark.parametrize("rule", [INSTANCE_ID, GROUP_NAME, HOOK_NAME, TOKEN, ACCOUNT, REGION, SHORT_TEXT])
@pytest.mark.parametrize("value", [None, 7, [], {}, "", "\0", "\ud800", "x" * 2000, b"i-a"], ids=ascii)
def test_what_is_no_name_is_none(rule: TextRule, value: object) -> None:
    assert not rule.allows(value)


@given(st.text())
def test_what_aws_does_not_carry_is_replaced_and_all_else_kept(text: str) -> None:
    clean = aws_safe(text)
    assert len(clean) == len(text)
    assert all(one in (other, "?") for one, other in zip(clean, text, strict=True))
    assert not NOT_SUPPORTED.search(clean)
    assert json.loads(json.dumps(clean, ensure_ascii=False).encode()) == clean
    assert aws_safe("größer\n\U0001f4a9") == "größer\n\U0001f4a9"
