"""The step that makes the version: with only the image changed, once, and handed to the cycle."""

from __future__ import annotations

from typing import Any

import pytest

from rollcall.aws.launch_templates import TemplateVersion
from rollcall.bake.news import BakeEvent
from rollcall.bake.state import BakeResult, Phase
from rollcall.bake.versioning import Versioning, cycle_name, roll_out, version_changes
from unit.bake.baked import NOW, TEMPLATE, FakeBakeAws, FunctionDiedError, image, on_version, state, version

IMAGE = image(9)
SOURCE = TemplateVersion(TEMPLATE, "1", {"ImageId": "ami-1", "InstanceType": "t3.micro"})
DESCRIPTION = "rollcall bake 0123456789ab ami-9"


def cloud(*others: TemplateVersion, on: str = "1") -> FakeBakeAws:
    aws = FakeBakeAws(IMAGE, versions=[SOURCE._replace(is_default=True), *others])
    aws.groups["web"] = on_version(on)
    return aws


def made(aws: FakeBakeAws, *, rolls_out: bool = True, **changes: Any) -> Any:
    given = state(**({"image_id": "ami-9", "snapshots": ("snap-9",)} | changes))
    return Versioning(aws, rolls_out=rolls_out).step(given, NOW)


def test_the_version_is_the_groups_with_the_image_and_goes_to_the_cycle() -> None:
    aws = cloud()
    answer = made(aws)
    assert aws.made_versions["2"].data == {"ImageId": "ami-9", "InstanceType": "t3.micro"}
    assert aws.made_versions["2"].description == DESCRIPTION
    assert aws.changes[1:] == ["tag ami-9 snap-9 {'rollcall:version': '2'}"]
    assert (answer.next, answer.state.version, answer.state.phase) == ("roll_out", "2", Phase.ROLLING_OUT)
    assert roll_out(answer) == {
        "cycle_name": cycle_name(state()),
        "cycle_input": {"group": "web", "launch_template_version": "2"},
    }
    assert [(each.kind, each.image) for each in answer.news] == [(BakeEvent.BAKED, "ami-9")]


def test_only_the_answer_that_leads_to_the_roll_out_hands_the_machine_its_cycle() -> None:
    after = made(cloud())._replace(next="retain")
    assert after.state.cycle
    assert roll_out(after) == {"cycle_name": "", "cycle_input": {}}


@pytest.mark.parametrize(("asked", "rolls_out"), [(False, True), (True, False)])
def test_without_a_roll_out_the_version_says_so_and_is_recorded(asked: bool, rolls_out: bool) -> None:
    aws = cloud(on="$Default")
    answer = made(aws, rolls_out=rolls_out, request={"group": "web", "roll_out": asked, "pin": True})
    assert aws.made_versions["2"].description == f"{DESCRIPTION} not rolled out"
    assert (answer.next, answer.state.cycle) == ("record", "")
    assert roll_out(answer) == {"cycle_name": "", "cycle_input": {}}
    assert aws.made_versions["1"].is_default


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_function_that_dies_makes_no_second_version(call: int, after: bool) -> None:
    aws = cloud(on="$Default")
    aws.dies_at, aws.dies_after = call, after
    request = {"group": "web", "pin": True}
    with pytest.raises(FunctionDiedError):
        made(aws, request=request)
    aws.tokens.clear()  # AWS remembers them for a while only
    answer = made(aws, request=request)
    assert sorted(aws.made_versions) == ["1", "2"]
    assert (answer.state.version, aws.made_versions["2"].is_default) == ("2", True)


def test_the_version_of_another_bake_is_not_adopted() -> None:
    answer = made(cloud(version(2), version(3, description="rollcall bake 0123456789abc ami-9")))
    assert answer.state.version == "4"


def test_the_version_that_the_group_is_on_is_not_adopted_though_a_bake_of_the_same_id_has_made_it() -> None:
    """As with a key that is used again after 90 days, were the id without its day."""
    aws = cloud()
    aws.made_versions["1"] = SOURCE._replace(description=DESCRIPTION, data={"ImageId": "ami-9"}, is_default=True)
    assert made(aws).state.version == "2"


def test_a_version_with_another_image_is_not_adopted() -> None:
    answer = made(cloud(version(2, "ami-8", description=DESCRIPTION)))
    assert answer.state.version == "3"


@pytest.mark.parametrize("pin", [True, False])
@pytest.mark.parametrize(("on", "has_made"), [("2", False), ("$Default", False), ("3", True)])
def test_a_group_that_was_moved_during_the_bake_stays_where_it_is(on: str, has_made: bool, pin: bool) -> None:
    """By a rollback, say: a bake that goes on would undo it."""
    own = [version(2, "ami-9", description=DESCRIPTION)] if has_made else []
    aws = cloud(*own, TemplateVersion(TEMPLATE, str(len(own) + 2), {"ImageId": "ami-1"}), on=on)
    aws.set_default_version(TEMPLATE, str(len(own) + 2))
    before, aws.changes = dict(aws.made_versions), []
    answer = made(aws, request={"group": "web", "pin": pin})
    assert (answer.next, answer.state.result) == ("put_back", BakeResult.FAILED)
    assert f"group web was moved from version 1 to {len(own) + 2} during the bake, and stays" in answer.state.reason
    assert (aws.changes, aws.made_versions) == ([], before)


def test_the_second_bake_of_a_group_makes_a_version_of_its_own() -> None:
    aws = cloud()
    made(aws)
    aws.known["ami-10"] = image(10)
    aws.groups["web"] = on_version("2")
    again = made(aws, bake_id="abcdef012345", image_id="ami-10", from_version="2")
    assert (again.state.version, aws.made_versions["3"].data["ImageId"]) == ("3", "ami-10")


@pytest.mark.parametrize(
    ("on", "pin", "moves"), [("$Default", True, True), ("$Default", False, False), ("1", True, False)]
)
def test_the_default_version_moves_only_for_a_group_on_it_and_if_asked(on: str, pin: bool, moves: bool) -> None:
    aws = cloud(on=on)
    answer = made(aws, request={"group": "web", "pin": pin})
    assert aws.made_versions["2"].is_default is moves
    assert roll_out(answer)["cycle_input"].get("pin", False) is pin


@pytest.mark.parametrize("after", [False, True])
def test_a_function_that_dies_as_it_moves_the_default_still_knows_where_to_move_it_back(after: bool) -> None:
    aws = cloud(on="$Default")
    aws.dies_at, aws.dies_after = 3, after
    with pytest.raises(FunctionDiedError):
        made(aws, request={"group": "web", "pin": True})
    assert made(aws, request={"group": "web", "pin": True}).state.default_before == "1"
    assert made(aws, request={"group": "web", "pin": False}).state.default_before == ""


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        ("group", "group web does not exist any more"),
        ("template", "group web has another launch template than lt-0 by now"),
        ("image", "no version can be made with image ami-9: it is not there any more"),
        ("refused", "no version can be made with image ami-9: AWS refused version from 1"),
    ],
)
def test_what_is_in_its_way_ends_the_bake(spoiled: str, reason: str) -> None:
    aws = cloud()
    if spoiled == "group":
        aws.groups.clear()
    elif spoiled == "image":
        aws.known.clear()
    elif spoiled == "refused":
        aws.refuses = ("version",)
    answer = made(aws, template_id="lt-0" if spoiled == "template" else TEMPLATE)
    assert (answer.next, answer.state.result) == ("put_back", BakeResult.FAILED)
    assert reason in answer.state.reason


# Block devices


def changed(*mappings: dict[str, Any], image_size: int = 8) -> list[dict[str, Any]]:
    source = SOURCE._replace(data={**SOURCE.data, "BlockDeviceMappings": list(mappings)})
    own = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": "snap-9", "VolumeSize": image_size}}
    found: list[dict[str, Any]] = version_changes(source, IMAGE._replace(mappings=(own,)))["BlockDeviceMappings"]
    return found


def test_a_device_of_the_image_keeps_size_type_and_encryption_and_loses_its_snapshot() -> None:
    volume = {"VolumeSize": 20, "VolumeType": "gp3", "Encrypted": True, "KmsKeyId": "key", "Iops": 4000}
    root = {"DeviceName": "/dev/xvda", "Ebs": {**volume, "SnapshotId": "snap-1"}}
    assert changed(root) == [{"DeviceName": "/dev/xvda", "Ebs": volume}]


def test_its_volume_is_no_smaller_than_the_images() -> None:
    root = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8}}
    assert changed(root, image_size=30)[0]["Ebs"] == {"VolumeSize": 30}
    unsized = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeType": "gp3"}}
    assert changed(unsized, image_size=30)[0]["Ebs"] == {"VolumeType": "gp3"}


@pytest.mark.parametrize(("encrypted", "left"), [(True, {}), (False, {"Encrypted": False})])
def test_a_volume_of_an_encrypted_image_is_not_asked_for_without(encrypted: bool, left: dict[str, Any]) -> None:
    root = {"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": False}}
    own = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": "snap-9", "Encrypted": encrypted}}
    source = SOURCE._replace(data={"BlockDeviceMappings": [root]})
    found: list[dict[str, Any]] = version_changes(source, IMAGE._replace(mappings=(own,)))["BlockDeviceMappings"]
    assert found[0]["Ebs"] == left


def test_other_devices_keep_their_snapshots_explicitly() -> None:
    data = {"DeviceName": "/dev/sdb", "Ebs": {"SnapshotId": "snap-data", "VolumeSize": 100}}
    local = {"DeviceName": "/dev/sdc", "VirtualName": "ephemeral0"}
    none = {"DeviceName": "/dev/sdd", "NoDevice": ""}
    assert changed(data, local, none) == [data, local, none]


def test_a_root_volume_keeps_its_size_though_the_new_images_root_is_named_otherwise() -> None:
    """Else instances would have an empty volume more, and a root volume as large as the image's."""
    volume = {"VolumeSize": 50, "Encrypted": True}
    data = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 9}}
    aws = cloud()
    aws.known["ami-1"] = image(1, root_device="/dev/sda1")
    mappings = [{"DeviceName": "/dev/sda1", "Ebs": volume}, data]
    aws.made_versions["1"] = SOURCE._replace(data={**SOURCE.data, "BlockDeviceMappings": mappings})
    made(aws, previous_image="ami-1")
    assert aws.made_versions["2"].data["BlockDeviceMappings"] == [{"DeviceName": "/dev/xvda", "Ebs": volume}, data]
    both = [*mappings, {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 60}}]
    source = SOURCE._replace(data={"BlockDeviceMappings": both})
    names = [each["DeviceName"] for each in version_changes(source, IMAGE, "/dev/sda1")["BlockDeviceMappings"]]
    assert names == ["/dev/sda1", "/dev/sdf", "/dev/xvda"]


def test_a_version_without_mappings_gets_none() -> None:
    assert version_changes(SOURCE, IMAGE) == {"ImageId": "ami-9"}
