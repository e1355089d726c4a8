"""How what AWS shows of a group while a cycle runs is put together."""

from __future__ import annotations

from copy import replace

import pytest

from rollcall.aws.auto_scaling import Activity
from rollcall.cycle.observed import group_now
from unit.cycle.preflights import details, member, mixed

OWN = {"InstanceType": "m7g.large", "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-own", "Version": "$Latest"}}
OF_ALIAS = {"InstanceType": "m7g.4xlarge", "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1"}}  # $Default
OF_BASE = {"InstanceType": "m7g.xlarge", "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1", "Version": "3"}}

FIXED = {"InstanceType": "m7g.2xlarge", "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-fixed", "Version": "2"}}


@pytest.mark.parametrize(
    ("template", "version", "of_override"),
    [
        ("lt-own", "7", True),
        ("lt-1", "6", False),
        ("lt-1", "3", True),
        ("lt-fixed", "2", True),
        ("lt-fixed", "1", False),
        ("lt-other", "1", False),
        ("", "", False),
    ],
)
def test_an_instance_is_of_an_override_by_the_template_that_the_override_has(
    template: str, version: str, of_override: bool
) -> None:
    policy = mixed("6", {"InstanceType": "m7g.medium"}, OWN, OF_ALIAS, OF_BASE, FIXED)
    one = replace(member(1), template_id=template, version=version)
    now = group_now(replace(details(one), configuration=policy), Activity({}, {}), {})
    assert [each.of_override for each in now.members] == [of_override]


def test_all_that_the_groups_activities_say_is_in_it() -> None:
    said = Activity({"i-1": 5.0}, {"i-2": 6.0}, "a quota", frozenset({"i-2"}), {"i-1": 9.0})
    now = group_now(details(member(1), default_warmup=30), said, {})
    assert (now.launched, now.terminated, now.launch_failure, now.taken) == said[:4]
    [one] = now.members
    assert (one.instance_id, one.launched, one.terminated, one.came_through) == ("i-1", 5.0, None, 9.0)
    assert now.warmup == 30
