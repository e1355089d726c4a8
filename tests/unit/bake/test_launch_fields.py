"""What an instance of a bake is launched with, and what of the version it never gets."""

from __future__ import annotations

from base64 import b64encode
from gzip import compress
from typing import Any

import pytest
from botocore.handlers import base64_encode_user_data

from rollcall.bake.launch_fields import instance_tags, launch_fields, root_volume_key
from rollcall.domain.bake_tags import Role, launch_token

from .baked import state

MAPPINGS = ({"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "SnapshotId": "snap-1"}},)
PRODUCTION = {  # all that a version may hold beside what is taken
    "ImageId": "ami-old",
    "IamInstanceProfile": {"Name": "web"},
    "UserData": "c2VjcmV0",
    "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "web"}]}],
    "InstanceMarketOptions": {"MarketType": "spot"},
    "CapacityReservationSpecification": {"CapacityReservationPreference": "open"},
    "Placement": {"GroupName": "cluster"},
    "DisableApiTermination": True,
    "DisableApiStop": True,
    "InstanceInitiatedShutdownBehavior": "stop",
    "HibernationOptions": {"Configured": True},
}


def fields(data: dict[str, Any], **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "image": "ami-base",
        "mappings": MAPPINGS,
        "root_device": "/dev/xvda",
        "former_root": "/dev/sda1",
        "instance_type": "m7i.large",
        "subnet": "subnet-1",
        "tags": {"rollcall:made-by": "rollcall bake"},
        **changes,
    }
    return launch_fields(data, **given)


def test_nothing_of_production_is_taken_that_would_make_it_join() -> None:
    assert fields(PRODUCTION) == fields({})
    assert fields(PRODUCTION).keys() == {
        "ImageId",
        "InstanceType",
        "InstanceInitiatedShutdownBehavior",
        "MetadataOptions",
        "BlockDeviceMappings",
        "TagSpecifications",
        "SubnetId",
    }
    assert fields(PRODUCTION)["InstanceInitiatedShutdownBehavior"] == "terminate"


def test_type_key_and_security_groups_are_those_of_the_version() -> None:
    taken = fields({"KeyName": "ops", "SecurityGroupIds": ["sg-1", "sg-2"]})
    assert (taken["InstanceType"], taken["KeyName"], taken["SecurityGroupIds"]) == (
        "m7i.large",
        "ops",
        ["sg-1", "sg-2"],
    )


def test_tokens_are_required_of_the_metadata_service_whatever_the_version_says() -> None:
    options = {"HttpTokens": "optional", "HttpPutResponseHopLimit": 2, "State": "applied"}
    assert fields({"MetadataOptions": options})["MetadataOptions"] == {
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 2,
    }


def test_the_root_volume_has_size_type_and_encryption_of_the_versions_and_goes_with_the_instance() -> None:
    volume = {"VolumeSize": 20, "VolumeType": "gp3", "Encrypted": True, "KmsKeyId": "key", "DeleteOnTermination": False}
    data = {"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {**volume, "SnapshotId": "snap-old"}}]}
    assert fields(data)["BlockDeviceMappings"] == [
        {
            "DeviceName": "/dev/xvda",
            "Ebs": {
                "VolumeSize": 20,
                "VolumeType": "gp3",
                "Encrypted": True,
                "KmsKeyId": "key",
                "DeleteOnTermination": True,
            },
        }
    ]
    assert root_volume_key(data, "/dev/sda1") == "key"


def test_a_root_volume_is_never_smaller_than_its_snapshot() -> None:
    data = {"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 4}}]}
    assert fields(data)["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 8


def test_data_volumes_of_version_and_image_are_not_attached() -> None:
    data = {"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 500}}]}
    mappings = (*MAPPINGS, {"DeviceName": "/dev/sdg", "Ebs": {"SnapshotId": "snap-2"}})
    assert fields(data, mappings=mappings)["BlockDeviceMappings"] == [
        {"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": True}},
        {"DeviceName": "/dev/sdg", "NoDevice": ""},
    ]


def test_a_version_with_interfaces_lends_its_groups_and_its_public_address_but_no_interface() -> None:
    data = {
        "NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "Groups": ["sg-1"], "AssociatePublicIpAddress": True}]
    }
    taken = fields(data)
    assert taken["NetworkInterfaces"] == [
        {
            "DeviceIndex": 0,
            "AssociatePublicIpAddress": True,
            "SubnetId": "subnet-1",
            "DeleteOnTermination": True,
            "Groups": ["sg-1"],
        }
    ]
    assert not {"SubnetId", "SecurityGroupIds"} & taken.keys()


@pytest.mark.parametrize(
    ("profile", "named"),
    [
        ("builder", {"Name": "builder"}),
        ("arn:aws:iam::1:instance-profile/b", {"Arn": "arn:aws:iam::1:instance-profile/b"}),
    ],
)
def test_profile_and_user_data_are_given_only_where_they_are_asked_for(profile: str, named: dict[str, str]) -> None:
    taken = fields(PRODUCTION, profile=profile, user_data="I2Nsb3VkLWNvbmZpZw==")
    assert (taken["IamInstanceProfile"], taken["UserData"]) == (named, b"#cloud-config")


def test_user_data_that_is_compressed_arrives_as_it_is_in_the_version() -> None:
    """As Terraform's cloudinit_config makes it by default. boto3 encodes once more what it is given."""
    written = b64encode(compress(b"#cloud-config")).decode()
    sent: dict[str, Any] = {"UserData": fields({}, user_data=written)["UserData"]}
    base64_encode_user_data(sent)
    assert sent["UserData"] == written
    assert fields({}, user_data="#!no base64")["UserData"] == "#!no base64"


def test_a_volume_that_is_not_to_be_encrypted_is_what_its_snapshot_is() -> None:
    data = {"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 20, "Encrypted": False}}]}
    assert fields(data)["BlockDeviceMappings"][0]["Ebs"] == {"VolumeSize": 20, "DeleteOnTermination": True}


def test_instance_and_volume_have_our_tags_and_no_others() -> None:
    tags = instance_tags(state(name="web-1-now"), Role.BUILDER)
    assert tags == {
        "Name": "rollcall-builder-0123456789ab",
        "rollcall:made-by": "rollcall bake",
        "rollcall:bake-id": "0123456789ab",
        "rollcall:bake-group": "web",
        "rollcall:bake-role": "builder",
        "rollcall:bake-execution": "web-1-now",
        "rollcall:bake-until": "2027-01-15T09:00:00Z",
    }
    specifications = fields({}, tags=tags)["TagSpecifications"]
    assert [each["ResourceType"] for each in specifications] == ["instance", "volume"]


def test_a_token_is_the_same_for_the_same_launch_and_fits() -> None:
    token = launch_token("0123456789ab", Role.BUILDER, "subnet-1", "ami-1")
    assert token == launch_token("0123456789ab", Role.BUILDER, "subnet-1", "ami-1")
    assert len(token) == 64
    others = {
        launch_token("0123456789ab", Role.SMOKE, "subnet-1", "ami-1"),
        launch_token("0123456789ab", Role.BUILDER, "subnet-2", "ami-1"),
        launch_token("0123456789ac", Role.BUILDER, "subnet-1", "ami-1"),
    }
    assert len(others | {token}) == 4
