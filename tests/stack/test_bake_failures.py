"""Bakes in which something goes wrong: on the builder, with the image, with the roll-out, with the function itself."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from lab.bakes import (
    LONG_AGO,
    PLACED,
    Bake,
    baked_versions,
    existing,
    have_baked,
    hosts_of_bakes,
    images,
    instances,
    is_builders,
    left,
    let_a_day_pass,
    let_bake,
    retire,
    snapshots,
    start_bake,
    tags_of,
)
from lab.cloud import Cloud, Group, Json, eventually
from lab.cycles import WARM_SOON, at_size, hosts_of_version, versions
from lab.ear import Ear
from lab.tower.embedded import Tower
from rollcall.domain.bake_tags import BAKE_UNTIL, ROLL_OUT
from rollcall.workflow.failures import REMEDY
from rollcall.workflow.settling import SETTLE_AFTER, SETTLE_WITHIN

type MakeGroup = Callable[..., Group]


@pytest.fixture
def make_baked(make_group: MakeGroup, tower: Tower) -> MakeGroup:
    """Makes groups on version 1 that may be baked."""

    def make() -> Group:
        group = make_group(traffic={**WARM_SOON, **PLACED})
        group.use_version("1")
        let_bake(group, tower)
        return group

    return make


def nothing_left(group: Group, tower: Tower) -> bool:
    """Whether no instance of a bake is there any more, and no host of one, once it is so."""
    return bool(eventually(lambda: not left(group) and not hosts_of_bakes(group, tower), "nothing of a bake is left"))


def failed_without_version(group: Group, tower: Tower) -> Json:
    """The state of a bake of the group that fails before there is a version, and leaves nothing."""
    state = start_bake(group).waited()
    assert state["result"] == "failed"
    assert baked_versions(group) == {}
    assert nothing_left(group, tower)
    return state


def test_a_playbook_that_fails_on_the_builder_ends_the_bake_with_its_job(
    make_baked: MakeGroup, cloud: Cloud, tower: Tower
) -> None:
    group = make_baked()
    tower.fail_host(is_builders(group))
    state = failed_without_version(group, tower)
    assert state["job_url"] == f"{cloud.tower_url}/#/jobs/playbook/{state['job']}/output"
    assert images(group) == []


def test_an_image_that_aws_cannot_make_ends_the_bake_with_awss_reason(
    make_baked: MakeGroup, cloud: Cloud, tower: Tower
) -> None:
    group = make_baked()
    cloud.aws.images.fail("the volume was lost")
    assert "the volume was lost" in failed_without_version(group, tower)["reason"]


def test_a_permission_that_is_missing_ends_the_bake_at_once_and_one_that_comes_a_moment_later_does_not(
    make_baked: MakeGroup, cloud: Cloud, tower: Tower
) -> None:
    group = make_baked()
    cloud.aws.deny("ec2:CreateImage", only=1)
    assert start_bake(group, roll_out=False, smoke="off").waited()["result"] == "baked"
    cloud.aws.deny("ec2:CreateImage")
    cloud.aws.forget_calls()
    state = start_bake(group, roll_out=False, smoke="off").waited()
    cloud.aws.deny(None)
    assert (state["result"], cloud.aws.calls()["ec2:CreateImage"]) == ("failed", 5)
    assert "AWS refused CreateImage" in state["reason"]
    assert state["reason"].endswith(REMEDY)
    assert len(images(group)) == 1
    assert nothing_left(group, tower)


def test_an_image_that_fails_its_smoke_test_is_tagged_so_and_rolled_out_nowhere(
    make_baked: MakeGroup, cloud: Cloud, tower: Tower
) -> None:
    group = make_baked()
    cloud.aws.images.fail_checks("initializing", bake_role="smoke", bake_group=group.name)
    bake = start_bake(group)
    instance = bake.seen(lambda state: bool(state["smoke_instance"]), "the image is tried")["smoke_instance"]
    cloud.aws.images.shut_down(instance)
    state = bake.waited()
    assert state["result"] == "failed"
    assert instance in state["reason"]
    assert [tags_of(each)["rollcall:smoke"] for each in images(group)] == ["failed"]
    assert baked_versions(group) == {}
    assert nothing_left(group, tower)


def test_a_roll_out_that_is_rolled_back_leaves_the_group_where_it_was_and_the_image_tagged_so(
    make_baked: MakeGroup, tower: Tower
) -> None:
    group = make_baked()
    at_size(group, 1)
    tower.fail_host(hosts_of_version(group, "2"))
    state = start_bake(group).waited()
    assert state["result"] == "rolled back"
    assert [tags_of(each)["rollcall:roll-out"] for each in images(group)] == ["rolled back"]
    eventually(lambda: versions(group) == ["1"], "the group is back")
    assert group.described()["LaunchTemplate"]["Version"] == "1"
    assert nothing_left(group, tower)


def test_a_roll_out_that_an_operator_rolls_back_is_said_to_be_rolled_back_by_hand(
    make_baked: MakeGroup, cloud: Cloud, tower: Tower, ear: Ear
) -> None:
    group = make_baked()
    at_size(group, 2)
    group.tag({"cycle": "batch=1 checkpoints=50:100"})
    bake = start_bake(group)
    bake.rolls_out(group).reaches("waiting at a checkpoint")
    cloud.aws.client("autoscaling").rollback_instance_refresh(AutoScalingGroupName=group.name)
    state = bake.waited()
    assert (state["result"], state["cycle_result"]) == ("rolled back by hand", "rolled back")
    assert [tags_of(each)["rollcall:roll-out"] for each in images(group)] == ["rolled back by hand"]
    eventually(lambda: ear.details(group, "Image Failed"), "it is published")
    assert [each["result"] for each in ear.details(group, "Image Failed")] == ["rolled back by hand"]
    assert nothing_left(group, tower)


def test_a_bake_that_is_stopped_by_hand_leaves_no_builder_and_is_published_once(
    make_baked: MakeGroup, tower: Tower, ear: Ear
) -> None:
    group = make_baked()
    tower.set_boot_time(3600, is_builders(group))
    bake = start_bake(group)
    bake.reaches("provisioning")
    assert len(left(group)) == 1
    bake.stop()
    assert nothing_left(group, tower)
    assert images(group) == []
    eventually(lambda: ear.details(group, "Image Failed"), "it is published")
    assert [each["result"] for each in ear.details(group, "Image Failed")] == ["cancelled"]


def test_of_a_bake_that_is_stopped_and_whose_event_is_lost_reconcile_leaves_no_builder(
    make_baked: MakeGroup, cloud: Cloud, tower: Tower
) -> None:
    group = make_baked()
    tower.set_boot_time(3600, is_builders(group))
    bake = start_bake(group)
    bake.reaches("provisioning")
    cloud.aws.drop_events("Step Functions Execution Status Change")
    bake.stop()
    cloud.reconcile()
    assert len(left(group)) == 1  # the event may still come
    bake.age(SETTLE_AFTER + 60)
    cloud.reconcile()
    assert nothing_left(group, tower)
    assert images(group) == []


def stopped_unheard_in_its_roll_out(group: Group) -> Bake:
    """A bake of the group that was stopped while its cycle waited at a checkpoint; the event about that is lost."""
    at_size(group, 2)
    group.tag({"cycle": "batch=1 checkpoints=50:100"})
    bake = start_bake(group)
    bake.rolls_out(group).reaches("waiting at a checkpoint")
    group.cloud.aws.drop_events("Step Functions Execution Status Change")
    bake.stop()
    return bake


def test_of_a_bake_that_is_stopped_in_its_roll_out_and_whose_event_is_lost_reconcile_has_the_image_say_so_once(
    make_baked: MakeGroup, cloud: Cloud, ear: Ear
) -> None:
    """None of its instances lives, by which it could be found."""
    group = make_baked()
    bake = stopped_unheard_in_its_roll_out(group)
    bake.age(SETTLE_AFTER + 60)
    for _ in range(2):
        cloud.reconcile()
        eventually(lambda: tags_of(images(group)[0]).get(ROLL_OUT) == "cancelled", "its image says so")
    eventually(lambda: ear.details(group, "Image Failed"), "it is published")
    assert [each["result"] for each in ear.details(group, "Image Failed")] == ["cancelled"]


def test_what_came_of_a_roll_out_of_which_no_event_was_settled_the_removal_of_old_images_records_once(
    make_baked: MakeGroup, ear: Ear
) -> None:
    group = make_baked()
    bake = stopped_unheard_in_its_roll_out(group)
    retire(group, ended_before=time.time() - SETTLE_WITHIN)
    assert ROLL_OUT not in tags_of(images(group)[0])  # an event may still come
    bake.age(SETTLE_WITHIN + 60)
    retire(group, ended_before=time.time() - SETTLE_WITHIN)
    assert ROLL_OUT not in tags_of(images(group)[0])  # the refresh goes on
    group.cloud.aws.client("autoscaling").cancel_instance_refresh(AutoScalingGroupName=group.name)
    eventually(lambda: group.refreshes()[0]["Status"] == "Cancelled", "its refresh is cancelled")
    for _ in range(2):
        retire(group, ended_before=time.time() - SETTLE_WITHIN)
        assert tags_of(images(group)[0])[ROLL_OUT] == "cancelled"
    eventually(lambda: ear.details(group, "Image Failed"), "it is published")
    assert [each["result"] for each in ear.details(group, "Image Failed")] == ["cancelled"]


def test_a_builder_whose_time_is_over_is_removed_by_reconcile_and_published_once(
    make_baked: MakeGroup, cloud: Cloud, tower: Tower, ear: Ear
) -> None:
    """The bake, which still waits for it, fails then, and is published for that."""
    group = make_baked()
    tower.set_boot_time(3600, is_builders(group))
    bake = start_bake(group)
    bake.reaches("provisioning")
    [builder] = left(group)
    cloud.aws.client("ec2").create_tags(Resources=[builder], Tags=[{"Key": BAKE_UNTIL, "Value": LONG_AGO}])
    cloud.reconcile()
    assert nothing_left(group, tower)
    assert bake.waited()["result"] == "failed"
    cloud.reconcile()
    eventually(lambda: len(ear.details(group, "Image Failed")) > 1, "both are published")
    swept, ended = sorted(ear.details(group, "Image Failed"), key=lambda each: str(each["result"]))
    assert (swept["result"], ended["result"]) == (None, "failed")
    assert f"builder {builder} of bake {bake.bake_id} was still there" in swept["reason"]
    assert swept["bake"] == ended["bake"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "action",
    ["RunInstances", "StopInstances", "CreateImage", "CreateLaunchTemplateVersion", "CreateTags", "TerminateInstances"],
)
def test_a_function_that_is_killed_makes_nothing_twice_and_leaves_no_builder(
    make_baked: MakeGroup, cloud: Cloud, tower: Tower, action: str, after: bool
) -> None:
    """Of the launches the first is the builder's, and the third, once that was repeated, the smoke instance's."""
    group = make_baked()
    cloud.aws.kill(cloud.function_name("BakeFunction"), f"ec2:{action}", 1, 3, after=after)
    bake = start_bake(group, roll_out=False)
    state = bake.waited()
    assert state["result"] == "baked", state["reason"]
    assert len(instances(group, "builder")) == len(instances(group, "smoke")) == 1
    assert [each["ImageId"] for each in images(group)] == [state["image_id"]]
    assert baked_versions(group) == {state["version"]: state["image_id"]}
    assert nothing_left(group, tower)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_function_that_is_killed_as_it_moves_the_default_moves_it_all_the_same(
    make_baked: MakeGroup, cloud: Cloud, tower: Tower, after: bool
) -> None:
    group = make_baked()
    group.use_version("$Default")
    cloud.aws.kill(cloud.function_name("BakeFunction"), "ec2:ModifyLaunchTemplate", 1, after=after)
    state = start_bake(group, smoke="off", pin=True).waited()
    assert state["result"] == "succeeded", state["reason"]
    (template,) = cloud.aws.client("ec2").describe_launch_templates(LaunchTemplateIds=[group.launch_template_id()])[
        "LaunchTemplates"
    ]
    assert str(template["DefaultVersionNumber"]) == state["version"]
    assert nothing_left(group, tower)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("action", ["DeleteLaunchTemplateVersions", "DisableImage", "DeregisterImage"])
def test_retention_that_is_killed_is_completed_by_its_next_run(
    make_baked: MakeGroup, cloud: Cloud, action: str, after: bool
) -> None:
    group = make_baked()
    group.tag({"keep": "1"})
    *old, kept = have_baked(group, 3)
    gone = [each for image in images(group) if image["ImageId"] in old for each in snapshots(image)]
    cloud.aws.kill(cloud.function_name("BakeFunction"), f"ec2:{action}", 1, after=after)
    kills = [is_killed_once(group)]
    assert [each["State"] for each in images(group)] == ["available", "disabled", "disabled"]
    let_a_day_pass(group)
    kills.append(is_killed_once(group))
    assert sum(kills) == 1
    assert [each["ImageId"] for each in images(group)] == list(baked_versions(group).values()) == [kept]
    assert existing(cloud, gone) == []


def is_killed_once(group: Group) -> bool:
    """Have retention run, and once more if it was killed; whether it was."""
    try:
        retire(group)
    except AssertionError:
        retire(group)
        return True
    return False
