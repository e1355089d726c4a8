"""Which launch template a group has, and which version of it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from rollcall.aws.group_details import GroupDetails
from rollcall.domain.groups import Group, base_template
from rollcall.workflow.group_versions import configuration_with, own_version

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


ARM = {"LaunchTemplateId": "lt-2", "LaunchTemplateName": "web-arm", "Version": "3"}
OVERRIDES = [
    {"InstanceType": "m6i.large", "WeightedCapacity": "2"},
    {"InstanceType": "m6g.large", "LaunchTemplateSpecification": ARM},
    {"InstanceType": "c6i.large", "ImageId": "ami-1"},
]
MIXED: dict[str, Any] = {
    "MixedInstancesPolicy": {
        "LaunchTemplate": {
            "LaunchTemplateSpecification": {"LaunchTemplateName": "web", "Version": "6"},
            "Overrides": OVERRIDES,
        },
        "InstancesDistribution": {"OnDemandBaseCapacity": 1},
    }
}


def test_of_a_mixed_policy_only_the_base_version_changes() -> None:
    before = deepcopy(MIXED)
    changed = configuration_with(MIXED, "7")
    assert before == MIXED
    assert base_template(changed) == {"LaunchTemplateName": "web", "Version": "7"}
    changed["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]["Version"] = "6"
    arm = before["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"][1]["LaunchTemplateSpecification"]
    del arm["LaunchTemplateName"]  # beside its id a request must not hold it
    assert changed == before


def test_a_template_is_named_by_its_id_alone() -> None:
    both = {"LaunchTemplate": {**NUMBERED, "LaunchTemplateName": "web"}}
    assert configuration_with(both, "8") == {"LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "8"}}
