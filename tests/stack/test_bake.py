"""Bakes of groups: an image of a playbook's builder, tried, and rolled out by a verified cycle under load."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.bakes import (
    PLACED,
    REVISION,
    baked_versions,
    existing,
    have_baked,
    hosts_of_bakes,
    images,
    instances,
    left,
    let_a_day_pass,
    let_bake,
    snapshots,
    start_bake,
    tags_of,
)
from lab.cloud import Cloud, Group, eventually
from lab.cycles import WARM_SOON, at_size, versions
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]

FUNCTIONS = ("BakeFunction", "ReconcileFunction")
KEPT = 5  # images and versions: the default of a bake
UPKEEP_AT_ONCE = 360  # minutes from one run of reconcile to the next: it has old images removed every six hours


@pytest.mark.story
def test_an_image_is_baked_tried_and_rolled_out_under_load_and_the_sixth_oldest_is_gone_a_day_later(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, arn: str
) -> None:
    group = make_group(gate="job elb", traffic={"TargetGroupARNs": [arn], **WARM_SOON, **PLACED})
    group.use_version("1")
    let_bake(group, tower)
    earlier = have_baked(group, KEPT)
    cloud.rights.watch(*FUNCTIONS)
    with cloud.traffic(group, arn) as traffic:
        old = at_size(group, 4)
        bake = start_bake(group)
        state = bake.waited()
        assert traffic.summary().failed == ()
    assert (state["result"], state["objections"]) == ("succeeded", []), state["reason"]
    assert not old & group.in_service()
    image = images(group)[0]
    assert versions(group) == ["7"] * 4
    tags = tags_of(image)
    assert (tags["rollcall:smoke"], tags["rollcall:roll-out"]) == ("passed", "succeeded")
    assert (tags["rollcall:project-revision"], image["SourceInstanceId"]) == (REVISION, state["builder"])
    assert len(snapshots(image)) == 1
    assert set(instances(group)) == {state["builder"], state["smoke_instance"]}
    assert not left(group)
    assert not hosts_of_bakes(group, tower)
    kept = [*earlier[1:], image["ImageId"]]
    assert list(baked_versions(group).values()) == kept
    assert [each["ImageId"] for each in images(group) if each["State"] == "available"] == kept[::-1]
    [disabled] = [each for each in images(group) if each["State"] == "disabled"]
    assert (disabled["ImageId"], len(existing(cloud, snapshots(disabled)))) == (earlier[0], 1)
    let_a_day_pass(group)
    cloud.reconcile(groups=[group.name], every=UPKEEP_AT_ONCE)
    eventually(lambda: len(images(group)) == KEPT, "the image that was disabled is deregistered")
    assert [each["ImageId"] for each in images(group)] == kept[::-1]
    assert existing(cloud, snapshots(disabled)) == []
    assert existing(cloud, snapshots(image)) == snapshots(image)
    assert [cloud.rights.refused(each) for each in FUNCTIONS] == [[], []]
