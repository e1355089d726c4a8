"""Images: found whatever their state, made once, retired with their snapshots; parameters that name images."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from rollcall.aws.images import Image, Images, ImageSource, SnapshotResult, image_of
from rollcall.domain.errors import AwsDenied, AwsRejected
from unit.fakes import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "rollcall-web-20261201T030000-0123456789ab"
RAW: dict[str, Any] = {
    "ImageId": "ami-1",
    "Name": NAME,
    "State": "available",
    "CreationDate": "2026-12-01T03:00:00.000Z",
    "Architecture": "arm64",
    "OwnerId": "123456789012",
    "RootDeviceName": "/dev/xvda",
    "BlockDeviceMappings": [
        {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": "snap-1", "VolumeSize": 8}},
        {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
    ],
    "Tags": [{"Key": "rollcall:bake-group", "Value": "web"}, {"Key": "rollcall:bake-id", "Value": "0123456789ab"}],
    "SourceInstanceId": "i-1",
}
IMAGE = Image(
    id="ami-1",
    name=NAME,
    created=datetime(2026, 12, 1, 3, tzinfo=UTC).timestamp(),
    architecture="arm64",
    owner="123456789012",
    root_device="/dev/xvda",
    mappings=tuple(RAW["BlockDeviceMappings"]),
    tags={"rollcall:bake-group": "web", "rollcall:bake-id": "0123456789ab"},
    source_instance="i-1",
)


@pytest.fixture
def images() -> Images:
    return Images(REGION)


@pytest.fixture
def ec2(images: Images) -> Iterator[Stubber]:
    with Stubber(images._ec2) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def ssm(images: Images) -> Iterator[Stubber]:
    with Stubber(images._ssm) as stub:
        yield stub
        stub.assert_no_pending_responses()


def test_an_image_is_found_though_it_is_disabled(images: Images, ec2: Stubber) -> None:
    ec2.add_response("describe_images", {"Images": [RAW]}, {"ImageIds": ["ami-1"], "IncludeDisabled": True})
    assert images.image("ami-1") == IMAGE
    assert IMAGE.snapshots == ("snap-1",)


@pytest.mark.parametrize("code", ["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable", "InvalidAMIID.Malformed"])
def test_an_image_that_is_not_there_is_an_answer(images: Images, ec2: Stubber, code: str) -> None:
    ec2.add_client_error("describe_images", code)
    assert images.image("ami-9") is None


def test_one_that_may_not_be_read_is_none_of_them(images: Images, ec2: Stubber) -> None:
    ec2.add_client_error("describe_images", "UnauthorizedOperation")
    with pytest.raises(AwsDenied, match="DescribeImages ami-9"):
        images.image("ami-9")


def test_an_own_image_is_found_by_its_whole_name(images: Images, ec2: Stubber) -> None:
    query = {
        "Owners": ["self"],
        "Filters": [{"Name": "name", "Values": [NAME]}],
        "IncludeDisabled": True,
        "MaxResults": 1000,
    }
    ec2.add_response("describe_images", {"Images": [RAW]}, query)
    ec2.add_response("describe_images", {"Images": [RAW | {"Name": f"{NAME}x"}]}, query)
    assert images.own_image_named(NAME) == IMAGE
    assert images.own_image_named(NAME) is None


def test_a_group_named_with_a_wildcard_has_only_its_own_images(images: Images, ec2: Stubber) -> None:
    """Values of EC2's filters take * and ? for any text."""
    older = RAW | {"ImageId": "ami-0", "CreationDate": "2026-11-01T03:00:00.000Z", "State": "disabled"}
    others = [RAW, older]
    own = RAW | {"ImageId": "ami-2", "Tags": [{"Key": "rollcall:bake-group", "Value": "w*"}, RAW["Tags"][1]]}
    ec2.add_response("describe_images", {"Images": [*others, own]})
    ec2.add_response("describe_images", {"Images": [older, RAW]})
    assert [each.id for each in images.images_made_for("w*")] == ["ami-2"]
    assert [each.id for each in images.images_made_for("web")] == ["ami-1", "ami-0"]


@pytest.mark.parametrize(
    "changes", [{"Name": "golden"}, {"Name": f"{NAME}-kept"}, {"SourceInstanceId": ""}, {"Tags": RAW["Tags"][:1]}]
)
def test_a_copy_with_the_tags_of_an_image_is_none_of_a_bake(
    images: Images, ec2: Stubber, changes: dict[str, Any]
) -> None:
    """CopyImage copies tags if asked to; a copy is kept for a reason."""
    ec2.add_response("describe_images", {"Images": [RAW, RAW | {"ImageId": "ami-2"} | changes]})
    assert [each.id for each in images.images_made_for("web")] == ["ami-1"]


def test_a_deregistered_image_is_gone(images: Images, ec2: Stubber) -> None:
    ec2.add_response("describe_images", {"Images": [RAW | {"State": "deregistered"}]})
    assert images.image("ami-1") is None


def test_the_groups_whose_images_there_are_are_found_by_the_images_and_copies_do_not_count(
    images: Images, ec2: Stubber
) -> None:
    copy = RAW | {"ImageId": "ami-2", "Name": "a copy"}
    query = {
        "Owners": ["self"],
        "Filters": [{"Name": "tag:rollcall:made-by", "Values": ["rollcall bake"]}],
        "IncludeDisabled": True,
        "MaxResults": 1000,
    }
    ec2.add_response("describe_images", {"Images": [RAW, copy]}, query)
    assert images.images_by_group() == {"web": ["ami-1"]}


def test_own_images_are_read_again_by_their_ids_and_one_that_is_gone_is_missing(images: Images, ec2: Stubber) -> None:
    ids = [f"ami-{number}" for number in range(201)]
    for chunk, found in ((ids[:200], [RAW]), (ids[200:], [])):
        filters = [{"Name": "image-id", "Values": chunk}]
        query = {"Owners": ["self"], "Filters": filters, "IncludeDisabled": True, "MaxResults": 1000}
        ec2.add_response("describe_images", {"Images": found}, query)
    assert images.own_images(ids) == [IMAGE]


@pytest.mark.parametrize(
    ("shown", "key"), [({"Encrypted": True, "KmsKeyId": "arn:aws:kms:key/1"}, "arn:aws:kms:key/1"), ({}, "")]
)
def test_a_snapshot_shows_the_key_that_it_is_encrypted_with(
    images: Images, ec2: Stubber, shown: dict[str, Any], key: str
) -> None:
    answer = {"Snapshots": [{"SnapshotId": "snap-1", **shown}]}
    ec2.add_response("describe_snapshots", answer, {"SnapshotIds": ["snap-1"]})
    assert images.snapshot_key("snap-1") == key


def test_a_snapshot_that_is_not_shared_is_not_shown_and_one_that_may_not_be_read_is_an_error(
    images: Images, ec2: Stubber
) -> None:
    ec2.add_client_error("describe_snapshots", "InvalidSnapshot.NotFound")
    assert images.snapshot_key("snap-1") is None
    ec2.add_client_error("describe_snapshots", "UnauthorizedOperation")
    with pytest.raises(AwsDenied, match="DescribeSnapshots snap-1"):
        images.snapshot_key("snap-1")


def test_an_instance_is_imaged_by_its_state_and_without_its_other_volumes(images: Images, ec2: Stubber) -> None:
    volumes = [{"DeviceName": name, "Ebs": {"VolumeId": "vol-1"}} for name in ("/dev/sdc", "/dev/xvda", "/dev/sdb")]
    instance = {
        "InstanceId": "i-1",
        "State": {"Name": "stopped"},
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": volumes,
    }
    ec2.add_response("describe_instances", {"Reservations": [{"Instances": [instance]}]})
    ec2.add_response("describe_instances", {"Reservations": []})
    assert images.image_source("i-1") == ImageSource("stopped", ("/dev/sdb", "/dev/sdc"))
    with pytest.raises(AwsRejected, match="i-1 any more"):
        images.image_source("i-1")


def creation() -> dict[str, Any]:
    tags = [{"Key": "rollcall:bake-id", "Value": "0123456789ab"}]
    return {
        "InstanceId": "i-1",
        "Name": NAME,
        "Description": "made",
        "NoReboot": False,
        "BlockDeviceMappings": [{"DeviceName": "/dev/sdb", "NoDevice": ""}],
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("image", "snapshot")],
    }


def test_an_image_is_made_at_rest_and_tagged_with_its_snapshots(images: Images, ec2: Stubber) -> None:
    tags = {"rollcall:bake-id": "0123456789ab"}
    ec2.add_response("create_image", {"ImageId": "ami-1"}, creation())
    ec2.add_client_error("create_image", "InvalidAMIName.Duplicate", expected_params=creation())
    ec2.add_client_error("create_image", "IncorrectInstanceState")
    assert images.create_image("i-1", NAME, "made", tags, ["/dev/sdb"]) == "ami-1"
    assert images.create_image("i-1", NAME, "made", tags, ["/dev/sdb"]) is None
    with pytest.raises(AwsRejected, match="IncorrectInstanceState"):
        images.create_image("i-1", NAME, "made", tags, [])


def test_what_became_of_each_snapshot_is_told(images: Images, ec2: Stubber) -> None:
    results = [
        {"SnapshotId": "snap-1", "ReturnCode": "success"},
        {"SnapshotId": "snap-2", "ReturnCode": "missing-permissions"},
    ]
    query = {"ImageId": "ami-1", "DeleteAssociatedSnapshots": True}
    ec2.add_response("deregister_image", {"Return": True, "DeleteSnapshotResults": results}, query)
    ec2.add_client_error("deregister_image", "InvalidAMIID.Unavailable")
    found = images.deregister_image("ami-1")
    assert found == (SnapshotResult("snap-1", "success"), SnapshotResult("snap-2", "missing-permissions"))
    assert [each.is_deleted for each in found] == [True, False]
    assert images.deregister_image("ami-1") == ()  # an earlier try has done it


def test_an_image_is_shared_with_accounts_organizations_or_all(images: Images, ec2: Stubber) -> None:
    permissions = [{"UserId": "210987654321"}, {"OrganizationArn": "arn:o"}, {"Group": "all"}]
    query = {"ImageId": "ami-1", "Attribute": "launchPermission"}
    ec2.add_response("describe_image_attribute", {"LaunchPermissions": permissions}, query)
    assert images.shared_with("ami-1") == ("210987654321", "arn:o", "all")


def test_parameters_are_read_ten_at_a_time(images: Images, ssm: Stubber) -> None:
    names = [f"/golden/{number}" for number in range(11)]
    rows = [{"Name": name, "DataType": "aws:ec2:image"} for name in names]
    ssm.add_response("describe_parameters", {"Parameters": [*rows, {"Name": "/text", "DataType": "text"}]})
    for chunk in (names[:10], names[10:]):
        values = [{"Name": name, "Value": "ami-1"} for name in chunk]
        ssm.add_response("get_parameters", {"Parameters": values}, {"Names": chunk})
    assert images.image_parameters() == dict.fromkeys(names, "ami-1")


def test_a_parameter_names_an_image_or_is_not_there(images: Images, ssm: Stubber) -> None:
    ssm.add_response("get_parameters", {"Parameters": [{"Name": "/golden", "Value": "ami-1"}]}, {"Names": ["/golden"]})
    ssm.add_response("get_parameters", {"Parameters": [], "InvalidParameters": ["/golden"]})
    assert images.image_parameter("/golden") == "ami-1"
    assert images.image_parameter("/golden") is None


@pytest.mark.parametrize(
    ("changes", "protected", "of_backup"),
    [
        ({}, False, False),
        ({"DeregistrationProtection": "disabled"}, False, False),
        ({"DeregistrationProtection": "enabled-with-cooldown"}, True, False),
        ({"ImageOwnerAlias": "aws-backup-vault"}, False, True),
        ({"Tags": [{"Key": "aws:backup:source-resource", "Value": "i-1"}]}, False, True),
        ({"Tags": [{"Key": "aws:dlm:lifecycle-policy-id", "Value": "policy-1"}]}, False, True),
        ({"CreationDate": "soon"}, False, False),
    ],
)
def test_protection_and_backups_are_known(changes: dict[str, Any], protected: bool, of_backup: bool) -> None:
    image = image_of(RAW | changes)
    assert (image.is_protected, image.is_of_backup) == (protected, of_backup)
