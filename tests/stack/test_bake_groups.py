"""Bakes of groups with data volumes, with a smoke test that provisions, with nothing new, and that cycles meet."""

from __future__ import annotations

from collections.abc import Callable

from lab.bakes import PLACED, PLAYBOOK, baked_versions, hosts_of_bakes, images, instances, left, let_bake, start_bake
from lab.cloud import Cloud, Group
from lab.cycles import WARM_SOON, start_cycle
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]

DATA = {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 50, "VolumeType": "gp3", "Encrypted": True}}


def test_data_volumes_are_neither_attached_nor_imaged_and_the_new_version_keeps_them(
    make_group: MakeGroup, cloud: Cloud, tower: Tower
) -> None:
    group = make_group(traffic={**WARM_SOON, **PLACED})
    group.use_version(group.new_version(BlockDeviceMappings=[DATA]))
    let_bake(group, tower)
    state = start_bake(group, roll_out=False, smoke="off").waited()
    assert state["result"] == "baked", state["reason"]
    (builder,) = instances(group, "builder").values()
    (image,) = images(group)
    launched, imaged = ([each["DeviceName"] for each in of["BlockDeviceMappings"]] for of in (builder, image))
    assert DATA["DeviceName"] not in launched
    assert imaged == [image["RootDeviceName"]]
    [version] = baked_versions(group)
    (made,) = cloud.aws.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=group.launch_template_id(), Versions=[version]
    )["LaunchTemplateVersions"]
    assert DATA in made["LaunchTemplateData"]["BlockDeviceMappings"]


def test_a_smoke_test_that_provisions_runs_the_groups_job_on_its_instance_and_retires_it(
    make_group: MakeGroup, tower: Tower, name: str
) -> None:
    anywhere = f"{name} anywhere"
    tower.add_job_template(anywhere, ask_inventory=True)
    group = make_group(job_template=anywhere, traffic={**WARM_SOON, **PLACED})
    group.use_version("1")
    let_bake(group, tower)
    state = start_bake(group, roll_out=False, smoke="provision").waited()
    assert state["result"] == "baked", state["reason"]
    [job] = tower.jobs(anywhere)
    assert (job.id, job.status) == (state["smoke_job"], "successful")
    assert set(job.hosts.values()) == {"ok"}
    assert len(instances(group, "smoke")) == 1
    assert not left(group)
    assert not hosts_of_bakes(group, tower)


def test_nothing_new_ends_a_bake_that_asks_for_that_until_the_playbook_changes(
    make_group: MakeGroup, tower: Tower
) -> None:
    group = make_group(traffic={**WARM_SOON, **PLACED})
    group.use_version("1")
    (present,) = group.cloud.aws.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=group.launch_template_id(), Versions=["1"]
    )["LaunchTemplateVersions"]
    let_bake(group, tower, bake_base=present["LaunchTemplateData"]["ImageId"])
    assert start_bake(group, smoke="off").waited()["result"] == "succeeded"
    again = start_bake(group, smoke="off", only_if_new=True).waited()
    assert again["result"] == "nothing new", again["reason"]
    assert len(images(group)) == 1
    tower.set_revision(PLAYBOOK.format(group.name), "0123abc")
    newer = start_bake(group, smoke="off", only_if_new=True).waited()
    assert newer["result"] == "succeeded", newer["reason"]
    assert len(images(group)) == 2


def test_what_the_roll_out_will_object_to_is_said_before_anything_is_launched(
    make_group: MakeGroup, cloud: Cloud, tower: Tower
) -> None:
    group = make_group(traffic={**WARM_SOON, **PLACED})
    group.use_version("1")
    let_bake(group, tower, cycle="never")
    cloud.rights.watch("BakeFunction", "CycleFunction")
    for dry_run, result in ((False, "refused"), (True, "dry run")):
        state = start_bake(group, dry_run=dry_run).waited()
        assert (state["result"], {each["what"] for each in state["objections"]}) == (result, {"roll-out: forbidden"})
        assert "roll-out: whatever deploys this group may set its version back" in " ".join(state["warnings"])
    assert cloud.rights.refused("BakeFunction") == []
    assert not instances(group)


def test_a_fleet_on_the_newest_version_of_the_groups_template_is_seen(
    make_group: MakeGroup, cloud: Cloud, tower: Tower
) -> None:
    group = make_group(traffic={**WARM_SOON, **PLACED})
    group.use_version("1")
    let_bake(group, tower)
    ec2 = cloud.aws.client("ec2")
    latest = {"LaunchTemplateId": group.launch_template_id(), "Version": "$Latest"}
    fleet = ec2.create_fleet(
        LaunchTemplateConfigs=[{"LaunchTemplateSpecification": latest}],
        TargetCapacitySpecification={"TotalTargetCapacity": 0, "DefaultTargetCapacityType": "on-demand"},
    )["FleetId"]
    cloud.rights.watch("BakeFunction")
    state = start_bake(group).waited()
    ec2.delete_fleets(FleetIds=[fleet], TerminateInstances=True)
    assert (state["result"], [each["what"] for each in state["objections"]]) == ("refused", ["others on $Latest"])
    assert state["reason"].startswith(f"the fleet {fleet} would launch the image")
    assert cloud.rights.refused("BakeFunction") == []


def test_amid_a_bake_no_cycle_begins_but_the_one_that_rolls_its_image_out(make_group: MakeGroup, tower: Tower) -> None:
    group = make_group(traffic={**WARM_SOON, **PLACED})
    group.use_version("1")
    let_bake(group, tower)
    bake = start_bake(group, smoke="off")
    bake.reaches("provisioning")
    refused = start_cycle(group).waited()
    assert (refused["result"], [each["what"] for each in refused["objections"]]) == ("refused", ["bake running"])
    state = bake.waited()
    assert (state["result"], state["cycle_result"] in ("succeeded", "nothing to replace")) == ("succeeded", True)
