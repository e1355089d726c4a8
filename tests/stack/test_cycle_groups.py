"""Cycles of every kind of group: of one, two and no instances, on aliases, mixed, with a warm pool, with exceptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.cloud import Cloud, Group, eventually
from lab.cycles import AT_ONE, WARM_SOON, Cycle, at_size, start_cycle, versions, with_versions

type MakeGroup = Callable[..., Group]
type Json = dict[str, Any]

PIN = "rollcall:cycle-pinned"


def own_version(group: Group) -> str:
    return str(group.described()["LaunchTemplate"]["Version"])


def succeeded(cycle: Cycle) -> Json:
    state = cycle.waited()
    assert (state["result"], state["unverified"]) == ("succeeded", []), state["reason"]
    return state


def fewest_serving(group: Group, size: int) -> int:
    """The fewest instances that were in service at once since so many were for the first time."""
    serving: set[str] = set()
    fewest = size
    reached = False
    for each in group.transitions():
        serving = serving | {each.instance_id} if each.state == "InService" else serving - {each.instance_id}
        reached = reached or len(serving) == size
        fewest = min(fewest, len(serving)) if reached else fewest
    return fewest


# Sizes


@pytest.mark.parametrize(("size", "most"), [(1, 200), (2, 150)])
def test_a_small_group_has_one_more_instance_for_a_while_and_never_one_less(
    make_group: MakeGroup, size: int, most: int
) -> None:
    group = make_group(traffic=AT_ONE)
    old = with_versions(group, size)
    state = succeeded(start_cycle(group, launch_template_version="2"))
    assert (state["plan"]["maximum_healthy"], state["plan"]["batches"], state["batch"]) == (most, size, 1)
    [refresh] = group.refreshes()
    assert (refresh["Preferences"]["MinHealthyPercentage"], refresh["Preferences"]["MaxHealthyPercentage"]) == (
        *(100, most),
    )
    assert not group.in_service() & old
    assert (versions(group), own_version(group)) == (["2"] * size, "2")
    assert fewest_serving(group, size) == size


def test_an_empty_group_gets_its_version_and_it_is_said_that_no_instance_tried_it(make_group: MakeGroup) -> None:
    group = make_group(traffic=AT_ONE)
    with_versions(group, 0)
    state = succeeded(start_cycle(group, launch_template_version="2"))
    assert state["reason"] == "no instance was there to be verified"
    assert "version 2 is not tried on any instance: the desired capacity is 0" in state["warnings"]
    assert own_version(group) == "2"
    [refresh] = group.refreshes()
    assert refresh["Status"] == "Successful"


def test_where_every_instance_has_the_version_nothing_is_replaced_and_that_is_a_success(
    make_group: MakeGroup,
) -> None:
    group = make_group(traffic=AT_ONE)
    old = with_versions(group, 1)
    cycle = start_cycle(group, skip_matching=True)
    state = cycle.waited()
    assert (state["result"], state["reason"]) == ("nothing to replace", "every instance has the version already")
    assert (cycle.status, group.in_service(), group.refreshes()) == ("SUCCEEDED", old, [])


def test_with_skip_matching_only_instances_of_another_version_are_replaced(make_group: MakeGroup) -> None:
    group = make_group(traffic=AT_ONE)
    [old] = with_versions(group, 1)
    group.use_version("2")
    [matching] = at_size(group, 2) - {old}
    state = succeeded(start_cycle(group, skip_matching=True))
    assert (state["plan"]["replaced"], state["plan"]["order"]) == (1, [old])
    assert matching in group.in_service()
    assert old not in group.in_service()
    assert versions(group) == ["2", "2"]


def test_without_another_version_every_instance_is_replaced_all_the_same(make_group: MakeGroup) -> None:
    group = make_group(traffic=AT_ONE)
    old = with_versions(group, 1)
    succeeded(start_cycle(group))
    assert not group.in_service() & old
    assert (versions(group), own_version(group)) == (["1"], "1")


# On $Latest and $Default


@pytest.mark.parametrize("alias", ["$Default", "$Latest"])
def test_a_group_on_an_alias_is_cycled_to_what_that_stands_for_and_stays_on_it(
    make_group: MakeGroup, alias: str
) -> None:
    group = make_group(traffic=WARM_SOON | {"version": alias})
    with_versions(group, 0)
    group.new_version(default=True)
    group.use_version("1")
    with_versions(group, 1)
    group.use_version(alias)
    expected = {"$Default": "3", "$Latest": "4"}[alias]
    state = succeeded(start_cycle(group))
    assert (state["target_version"], state["rolls_back"]) == (expected, False)
    assert (versions(group), own_version(group)) == ([expected], alias)
    assert f"the group stays on {alias}, which is version {expected} now" in state["warnings"]


def test_a_group_on_default_that_is_not_pinned_is_on_the_number_afterwards(make_group: MakeGroup) -> None:
    group = make_group(traffic=WARM_SOON | {"version": "$Default"})
    with_versions(group, 1)
    state = succeeded(start_cycle(group, launch_template_version="2"))
    assert (state["pinned_from"], state["rolls_back"]) == ("", False)
    assert (versions(group), own_version(group)) == (["2"], "2")
    assert any(
        "will be on version 2 afterwards; with --pin of a cycle or bake (in input and tags: pin=true)" in each
        for each in state["warnings"]
    )


@pytest.mark.parametrize(
    ("alias", "follow", "ending", "afterwards"),
    [
        ("$Latest", "keep", "succeeded", "$Latest"),
        ("$Default", "keep", "succeeded", "2"),  # $Default is still version 1
        ("$Latest", "number", "succeeded", "2"),
        ("$Default", "keep", "rolled back", "$Default"),
        ("$Latest", "keep", "rolled back", "1"),  # $Latest is still version 2
        ("$Default", "number", "rolled back", "1"),
    ],
)
def test_a_pinned_group_is_put_back_on_its_alias_where_that_is_what_it_runs(
    make_group: MakeGroup, cloud: Cloud, alias: str, follow: str, ending: str, afterwards: str
) -> None:
    group = make_group(traffic=WARM_SOON | {"version": alias})
    with_versions(group, 1)
    cycle = start_cycle(group, launch_template_version="2", pin=True, follow=follow)
    cycle.seen(lambda state: bool(state["refresh_id"]), "the refresh has begun")
    assert group.tags()[PIN] == f"{alias.removeprefix('$').lower()} {follow} {cycle.name}"
    assert own_version(group) == "1"
    if ending == "rolled back":
        cloud.aws.client("autoscaling").rollback_instance_refresh(AutoScalingGroupName=group.name)
    state = cycle.waited()
    runs = "2" if ending == "succeeded" else "1"
    assert (state["result"], state["pinned_from"], state["rolls_back"]) == (ending, alias, True)
    eventually(lambda: len(group.states()) == 1, "what is not needed any more is gone")
    assert versions(group) == [runs]
    assert (own_version(group), PIN in group.tags()) == (afterwards, False)
    words = "is on" if afterwards == alias else "stays on"
    assert state["put_back"].startswith(f"the group {words} ")


# Policies and pools


def test_of_a_mixed_policy_only_the_base_changes_and_what_an_override_keeps_is_named(
    make_group: MakeGroup, cloud: Cloud, name: str
) -> None:
    own = f"{name}-own"
    data = {"ImageId": "ami-0abcdef1234567890", "InstanceType": "t4g.small"}
    cloud.aws.client("ec2").create_launch_template(LaunchTemplateName=own, LaunchTemplateData=data)
    overrides = [
        {"InstanceType": "t4g.medium"},
        {"InstanceType": "t4g.large", "LaunchTemplateSpecification": {"LaunchTemplateName": own, "Version": "1"}},
    ]
    group = make_group(traffic=AT_ONE | {"overrides": overrides})
    old = with_versions(group, 2)
    before = group.described()["MixedInstancesPolicy"]
    [kept] = [each["InstanceId"] for each in group.described()["Instances"] if is_of(each, own)]
    state = succeeded(start_cycle(group, launch_template_version="2"))
    assert f"the override for t4g.large keeps launch template {own} of its own" in state["warnings"]
    assert state["plan"]["order"] == [*(old - {kept})]
    assert group.in_service() & old == {kept}  # it has what the group launches already
    after = group.described()["MixedInstancesPolicy"]
    assert before["LaunchTemplate"].pop("LaunchTemplateSpecification")["Version"] == "1"
    assert after["LaunchTemplate"].pop("LaunchTemplateSpecification")["Version"] == "2"
    assert after == before
    replaced = succeeded(start_cycle(group, batch=2))
    assert (replaced["plan"]["replaced"], replaced["new"]) == (2, 2)
    assert not group.in_service() & old
    eventually(lambda: len(group.states()) == 2, "the old ones are gone")
    assert sorted(is_of(each, own) for each in group.described()["Instances"]) == [False, True]


def is_of(instance: Json, template: str) -> bool:
    return bool(instance["LaunchTemplate"]["LaunchTemplateName"] == template)


def test_a_group_whose_types_aws_chooses_is_cycled_without_a_new_version_and_refused_with_one(
    make_group: MakeGroup,
) -> None:
    requirements = {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 512}}
    group = make_group(traffic=AT_ONE | {"overrides": [{"InstanceRequirements": requirements}]})
    old = with_versions(group, 2)
    before = group.described()["MixedInstancesPolicy"]
    refused = start_cycle(group, launch_template_version="2", skip_matching=True).waited()
    assert (refused["result"], group.refreshes()) == ("refused", [])
    found = {each["what"]: each["remedy"] for each in refused["objections"]}
    assert found == {
        "instance requirements": "give the group the version first, then cycle it without one and without pin",
        "skip matching": "cycle with skip_matching=false",
    }
    state = succeeded(start_cycle(group, batch=2))
    assert (state["new"], state["rolls_back"], group.in_service() & old) == (2, False, set())
    [refresh] = group.refreshes()
    assert ("DesiredConfiguration" in refresh, refresh["Preferences"]["SkipMatching"]) == (False, False)
    assert (versions(group), group.described()["MixedInstancesPolicy"]) == (["1", "1"], before)
    group.use_version("2")
    succeeded(start_cycle(group, batch=2))
    assert versions(group) == ["2", "2"]


def test_a_warm_pool_is_replaced_too(make_group: MakeGroup, cloud: Cloud) -> None:
    group = make_group(warm_pool={"MinSize": 1, "MaxGroupPreparedCapacity": 2, "PoolState": "Stopped"}, traffic=AT_ONE)
    group.scale(1)
    eventually(lambda: len(group.in_service()) == len(group.resting()) == 1, "one in service, one in the pool")
    old = set(group.states())
    group.new_version(InstanceType="t4g.medium")
    state = succeeded(start_cycle(group, launch_template_version="2"))
    assert "its warm pool is replaced, too: 1 instances" in state["warnings"]
    assert state["plan"]["replaced"] == 2
    eventually(lambda: not set(group.states()) & old, "the old ones are gone")
    eventually(lambda: len(group.in_service()) == len(group.resting()) == 1, "as before")
    [pooled] = cloud.pool_members(group.name)
    assert (versions(group), pooled["LaunchTemplate"]["Version"]) == (["2"], "2")


# Instances that are to be left alone


def protect(group: Group, instance_id: str) -> None:
    group.cloud.aws.client("autoscaling").set_instance_protection(
        AutoScalingGroupName=group.name, InstanceIds=[instance_id], ProtectedFromScaleIn=True
    )


def stand_by(group: Group, instance_id: str) -> None:
    group.cloud.aws.client("autoscaling").enter_standby(
        AutoScalingGroupName=group.name, InstanceIds=[instance_id], ShouldDecrementDesiredCapacity=True
    )
    eventually(lambda: group.states().get(instance_id) == "Standby", "it is in Standby")


@pytest.mark.parametrize(
    ("keeps_out", "kind", "takes", "words"),
    [
        (protect, "protected", "refresh", "protected from scale-in, these are replaced: "),
        (stand_by, "standby", "terminate", "in Standby, these are terminated and replaced: "),
    ],
)
def test_instances_that_are_protected_or_in_standby_are_refused_ignored_or_taken_as_the_request_says(
    make_group: MakeGroup, keeps_out: Callable[[Group, str], None], kind: str, takes: str, words: str
) -> None:
    group = make_group(traffic=AT_ONE)
    kept, _ = sorted(with_versions(group, 2))
    keeps_out(group, kept)
    refused = start_cycle(group, launch_template_version="2").waited()
    [objection] = refused["objections"]
    assert (refused["result"], kept in objection["reason"]) == ("refused", True)
    assert f"cycle with {kind}={takes}, ignore or wait" in objection["remedy"]
    ignored = succeeded(start_cycle(group, launch_template_version="2", **{kind: "ignore"}))
    assert f"{kept} was left as it is" in ignored["warnings"]
    assert (group.version_of(kept), {group.version_of(each) for each in group.in_service() - {kept}}) == ("1", {"2"})
    taken = succeeded(start_cycle(group, launch_template_version="2", skip_matching=True, **{kind: takes}))
    assert f"{words}{kept}" in taken["warnings"]
    eventually(lambda: kept not in group.states(), "it is gone")
    assert set(versions(group)) == {"2"}


def test_a_group_whose_tag_forbids_it_is_not_cycled(make_group: MakeGroup) -> None:
    group = make_group(cycle="never", traffic=AT_ONE)
    cycle = start_cycle(group)
    state = cycle.waited()
    [objection] = state["objections"]
    assert (state["result"], objection["what"], cycle.status) == ("refused", "forbidden", "FAILED")
    assert (group.refreshes(), own_version(group)) == ([], "1")
