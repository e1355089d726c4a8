"""Which launch template a group has, and which version of it."""

from __future__ import annotations

import pytest

from rollcall.aws.group_details import GroupDetails
from rollcall.domain.groups import Group
from rollcall.workflow.group_versions import base_template, own_version

NUMBERED = {"LaunchTemplateId": "lt-1", "Version": "7"}


def group(configuration: dict[str, object]) -> GroupDetails:
    return GroupDetails(Group("web", {}, {}), 0, 1, 1, configuration, (), ())


@pytest.mark.parametrize(
    ("configuration", "version"),
    [
        ({}, ""),
        ({"LaunchTemplate": NUMBERED}, "7"),
        ({"LaunchTemplate": {"LaunchTemplateId": "lt-1"}}, "$Default"),
        ({"MixedInstancesPolicy": {"LaunchTemplate": {"LaunchTemplateSpecification": NUMBERED}}}, "7"),
    ],
    ids=["launch configuration", "numbered", "without a version", "mixed policy"],
)
def test_a_groups_version_is_as_it_is_written_there(configuration: dict[str, object], version: str) -> None:
    assert own_version(group(configuration)) == version
    assert bool(base_template(configuration)) == bool(version)
