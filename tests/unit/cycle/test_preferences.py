"""What an instance refresh is started with, and whether one that AWS describes was started so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.cycle.preferences import (
    refresh_parameters,
    same_as,
    wants_rollback,
)
from rollcall.cycle.request import CycleRequest, Protected, RollBack, Standby
from rollcall.domain.groups import base_template
from rollcall.workflow.group_versions import configuration_with

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = {"LaunchTemplate": {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "web", "Version": "$Default"}}
MIXED = {
    "MixedInstancesPolicy": {
        "LaunchTemplate": {
            "LaunchTemplateSpecification": {"LaunchTemplateName": "web", "Version": "6"},
            "Overrides": [
                {"InstanceType": "m6i.large", "WeightedCapacity": "2"},
                {
                    "InstanceType": "m6g.large",
                    "LaunchTemplateSpecification": {
                        "LaunchTemplateId": "lt-2",
                        "LaunchTemplateName": "web-arm",
                        "Version": "3",
                    },
                },
                {"InstanceType": "c6i.large", "ImageId": "ami-1"},
            ],
        },
        "InstancesDistribution": {"OnDemandBaseCapacity": 1, "SpotAllocationStrategy": "price-capacity-optimized"},
    }
}


def parameters(request: CycleRequest, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"desired": 8, "size": 2, "skips_matching": True, "rolls_back": True} | changes
    return refresh_parameters(request, made.pop("configuration", configuration_with(PLAIN, "7")), **made)


def test_minimum_and_maximum_are_always_sent_both() -> None:
    sent = parameters(CycleRequest("web"))
    assert sent == {
        "AutoScalingGroupName": "web",
        "Strategy": "Rolling",
        "DesiredConfiguration": {"LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "7"}},
        "Preferences": {
            "MinHealthyPercentage": 100,
            "MaxHealthyPercentage": 125,
            "SkipMatching": True,
            "AutoRollback": True,
            "ScaleInProtectedInstances": "Wait",
            "StandbyInstances": "Wait",
        },
    }
    for desired, size in [(0, 0), (1, 1), (2, 1), (100, 25)]:
        preferences = parameters(CycleRequest("web"), desired=desired, size=size)["Preferences"]
        assert preferences["MinHealthyPercentage"] == 100
        assert 100 < preferences["MaxHealthyPercentage"] <= 200


def test_without_a_new_version_no_configuration_is_sent() -> None:
    assert "DesiredConfiguration" not in parameters(CycleRequest("web"), configuration=None)


def test_what_is_asked_beyond_that_is_sent_as_aws_names_it() -> None:
    request = CycleRequest(
        "web",
        checkpoints=(25, 100),
        checkpoint_seconds=60,
        bake_seconds=30,
        alarms=("5xx",),
        protected=Protected.REFRESH,
        standby=Standby.TERMINATE,
    )
    assert (
        parameters(request)["Preferences"].items()
        >= {
            "CheckpointDelay": 60,
            "BakeTime": 30,
            "ScaleInProtectedInstances": "Refresh",
            "StandbyInstances": "Terminate",
        }.items()
    )
    assert parameters(request)["Preferences"]["CheckpointPercentages"] == [25, 100]
    assert parameters(request)["Preferences"]["AlarmSpecification"] == {"Alarms": ["5xx"]}


@pytest.mark.parametrize(
    ("rollback", "possible", "differs", "wanted"),
    [
        (RollBack.AUTO, True, True, True),
        (RollBack.AUTO, True, False, False),
        (RollBack.AUTO, False, True, False),
        (RollBack.ON, True, False, True),
        (RollBack.ON, False, True, False),
        (RollBack.OFF, True, True, False),
    ],
)
def test_aws_is_asked_to_roll_back_where_it_can_and_should(
    rollback: RollBack, possible: bool, differs: bool, wanted: bool
) -> None:
    assert wants_rollback(rollback, possible=possible, differs=differs) == wanted


# Whether a refresh is ours

FULL = CycleRequest("web", checkpoints=(25, 100), bake_seconds=30, alarms=("5xx", "p99"))


def described(sent: dict[str, Any]) -> dict[str, Any]:
    """As AWS shows it: with what it adds."""
    shown: dict[str, Any] = json.loads(json.dumps(sent))
    shown["Preferences"]["InstanceWarmup"] = 300
    template = base_template(shown.get("DesiredConfiguration", {}))
    if template:
        template["LaunchTemplateName"] = "web"  # type: ignore[index]
    if "MixedInstancesPolicy" in shown.get("DesiredConfiguration", {}):
        shown["DesiredConfiguration"]["MixedInstancesPolicy"]["InstancesDistribution"]["SpotMaxPrice"] = ""
    return shown


def is_same(sent: dict[str, Any], shown: dict[str, Any]) -> bool:
    return same_as(sent, shown.get("DesiredConfiguration"), shown["Preferences"])


@pytest.mark.parametrize("request_", [CycleRequest("web"), FULL], ids=["plain", "full"])
@pytest.mark.parametrize(
    "configuration",
    [configuration_with(PLAIN, "7"), configuration_with(MIXED, "7"), None],
    ids=["template", "mixed", "none"],
)
def test_a_refresh_is_known_again_with_all_that_aws_adds(
    request_: CycleRequest, configuration: dict[str, Any] | None
) -> None:
    sent = parameters(request_, configuration=configuration)
    assert is_same(sent, described(sent))


def test_a_default_that_aws_leaves_out_is_no_difference() -> None:
    sent = parameters(CycleRequest("web"), rolls_back=False, skips_matching=False)
    shown = described(sent)
    for key in ("AutoRollback", "SkipMatching", "ScaleInProtectedInstances", "StandbyInstances"):
        del shown["Preferences"][key]
    assert is_same(sent, shown)


def test_alarms_are_known_again_in_any_order() -> None:
    sent = parameters(FULL)
    shown = described(sent)
    shown["Preferences"]["AlarmSpecification"]["Alarms"].reverse()
    assert is_same(sent, shown)


def other_version(shown: dict[str, Any]) -> None:
    base_template(shown["DesiredConfiguration"])["Version"] = "8"  # type: ignore[index]


def other_override(shown: dict[str, Any]) -> None:
    shown["DesiredConfiguration"]["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"][0]["WeightedCapacity"] = "1"


def fewer_overrides(shown: dict[str, Any]) -> None:
    shown["DesiredConfiguration"]["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"].pop()


def more_overrides(shown: dict[str, Any]) -> None:
    template = shown["DesiredConfiguration"]["MixedInstancesPolicy"]["LaunchTemplate"]
    template["Overrides"].append({"InstanceType": "r6i.large"})


def no_configuration(shown: dict[str, Any]) -> None:
    del shown["DesiredConfiguration"]


def preference(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(shown: dict[str, Any]) -> None:
        shown["Preferences"][key] = value

    change.__name__ = key
    return change


@pytest.mark.parametrize(
    "change",
    [
        other_version,
        other_override,
        fewer_overrides,
        more_overrides,
        no_configuration,
        preference("MinHealthyPercentage", 90),
        preference("MaxHealthyPercentage", 110),
        preference("MaxHealthyPercentage", None),
        preference("SkipMatching", False),
        preference("AutoRollback", False),
        preference("StandbyInstances", "Ignore"),
        preference("CheckpointPercentages", [50, 100]),
        preference("CheckpointDelay", 1),
        preference("BakeTime", 60),
        preference("AlarmSpecification", {"Alarms": ["4xx"]}),
    ],
)
def test_another_refresh_is_not_taken_for_ours(change: Callable[[dict[str, Any]], None]) -> None:
    sent = parameters(FULL, configuration=configuration_with(MIXED, "7"))
    shown = described(sent)
    change(shown)
    assert not is_same(sent, shown)


@pytest.mark.parametrize(
    "change",
    [
        preference("CheckpointPercentages", [50, 100]),
        preference("BakeTime", 60),
        preference("AlarmSpecification", {"Alarms": ["4xx"]}),
    ],
)
def test_what_was_not_sent_and_is_shown_makes_it_another_one(change: Callable[[dict[str, Any]], None]) -> None:
    sent = parameters(CycleRequest("web"))
    shown = described(sent)
    change(shown)
    assert not is_same(sent, shown)


def test_a_refresh_with_a_configuration_is_not_one_without() -> None:
    sent = parameters(CycleRequest("web"), configuration=None)
    assert not same_as(sent, configuration_with(PLAIN, "7"), sent["Preferences"])
