"""Bakes of groups: an image of a playbook's builder, tried, and rolled out by a verified cycle under load."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.bakes import (
    PLACED,
    REVISION,
    baked_versions,
    hosts_of_bakes,
    images,
    instances,
    left,
    let_bake,
    snapshots,
    start_bake,
    tags_of,
)
from lab.cloud import Cloud, Group
from lab.cycles import WARM_SOON, at_size, versions
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]

FUNCTION = "BakeFunction"


@pytest.mark.story
def test_an_image_is_baked_tried_and_rolled_out_under_load_and_no_builder_is_left(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, arn: str
) -> None:
    group = make_group(gate="job elb", traffic={"TargetGroupARNs": [arn], **WARM_SOON, **PLACED})
    group.use_version("1")
    let_bake(group, tower)
    cloud.rights.watch(FUNCTION)
    with cloud.traffic(group, arn) as traffic:
        old = at_size(group, 4)
        bake = start_bake(group)
        state = bake.waited(240)
        assert traffic.summary().failed == ()
    assert (state["result"], state["objections"]) == ("succeeded", []), state["reason"]
    assert not old & group.in_service()
    (image,) = images(group)
    assert baked_versions(group) == {"2": image["ImageId"]}
    assert versions(group) == ["2"] * 4
    tags = tags_of(image)
    assert (tags["rollcall:smoke"], tags["rollcall:roll-out"]) == ("passed", "succeeded")
    assert (tags["rollcall:project-revision"], image["SourceInstanceId"]) == (REVISION, state["builder"])
    assert len(snapshots(image)) == 1
    assert set(instances(group)) == {state["builder"], state["smoke_instance"]}
    assert not left(group)
    assert not hosts_of_bakes(group, tower)
    assert cloud.rights.refused(FUNCTION) == []
