"""Images, versions and instances outside of groups of the embedded AWS, as one sees them over its API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.aws.alone import Lab, eventually
from lab.aws.embedded import ACCOUNT, REGION

BASE, SUBNET = "ami-0abcdef1234567890", "subnet-00000001"
LAUNCH = {"ImageId": BASE, "InstanceType": "t4g.small", "MinCount": 1, "MaxCount": 1}
OURS = [{"Key": "rollcall:made-by", "Value": "rollcall bake"}]


def code_of(call: Any, **asked: Any) -> str:
    """The error that a call is refused with."""
    with pytest.raises(ClientError) as answer:
        call(**asked)
    return str(answer.value.response["Error"]["Code"])


def launch(lab: Lab, *, runs: bool = True, **asked: Any) -> str:
    """An instance outside of groups, and its id."""
    (instance,) = lab.aws.client("ec2").run_instances(**{**LAUNCH, **asked})["Instances"]
    instance_id = str(instance["InstanceId"])
    if runs:
        await_state(lab, instance_id, "running")
    return instance_id


def described(lab: Lab, instance_id: str) -> dict[str, Any]:
    answer = lab.aws.client("ec2").describe_instances(InstanceIds=[instance_id])
    return dict(answer["Reservations"][0]["Instances"][0])


def await_state(lab: Lab, instance_id: str, state: str) -> None:
    eventually(lambda: described(lab, instance_id)["State"]["Name"] == state)


def image_of(lab: Lab, instance_id: str, **asked: Any) -> str:
    """An available image of an instance, and its id."""
    made = lab.aws.client("ec2").create_image(InstanceId=instance_id, **{"Name": lab.name, **asked})
    image_id = str(made["ImageId"])
    eventually(lambda: image(lab, image_id)["State"] != "pending")
    return image_id


def image(lab: Lab, image_id: str) -> dict[str, Any]:
    (found,) = lab.aws.client("ec2").describe_images(ImageIds=[image_id], IncludeDisabled=True)["Images"]
    return dict(found)


def template(lab: Lab, **data: Any) -> str:
    """A launch template of the test's own, and its id."""
    answer = lab.aws.client("ec2").create_launch_template(
        LaunchTemplateName=lab.name, LaunchTemplateData={"ImageId": BASE, "InstanceType": "t4g.small", **data}
    )
    return str(answer["LaunchTemplate"]["LaunchTemplateId"])


def version(lab: Lab, template_id: str, number: str = "$Latest") -> dict[str, Any]:
    answer = lab.aws.client("ec2").describe_launch_template_versions(LaunchTemplateId=template_id, Versions=[number])
    return dict(answer["LaunchTemplateVersions"][0])


# Images.


def test_an_image_is_pending_and_then_available_with_its_tags_and_its_snapshots(lab: Lab) -> None:
    ec2 = lab.aws.client("ec2")
    lab.aws.images.take(image=5)
    builder = launch(lab)
    specifications = [{"ResourceType": kind, "Tags": OURS} for kind in ("image", "snapshot")]
    asked = {"InstanceId": builder, "Name": lab.name, "TagSpecifications": specifications}
    image_id = ec2.create_image(**asked)["ImageId"]
    made = image(lab, image_id)
    assert (made["State"], made["SourceInstanceId"], made["SourceImageId"]) == ("pending", builder, BASE)
    assert (made["Architecture"], made["OwnerId"], made["Tags"]) == ("arm64", ACCOUNT, OURS)
    assert code_of(ec2.run_instances, **{**LAUNCH, "ImageId": image_id}) == "InvalidAMIID.Unavailable"
    assert code_of(ec2.create_image, **asked) == "InvalidAMIName.Duplicate"
    assert lab.aws.images.reboots(builder) == 1
    eventually(lambda: image(lab, image_id)["State"] == "available")
    (mapping,) = image(lab, image_id)["BlockDeviceMappings"]
    (snapshot,) = ec2.describe_snapshots(SnapshotIds=[mapping["Ebs"]["SnapshotId"]])["Snapshots"]
    assert (snapshot["State"], snapshot["Tags"]) == ("completed", OURS)
    (found,) = ec2.describe_images(Owners=["self"], Filters=[{"Name": "tag:rollcall:made-by", "Values": ["roll*"]}])[
        "Images"
    ]
    assert found["ImageId"] == image_id
    assert code_of(ec2.describe_images, Filters=[{"Name": "colour", "Values": ["red"]}]) == "InvalidParameterValue"


def test_an_image_fails_with_a_reason_where_a_test_says_so_and_without_a_reboot_none_is_counted(lab: Lab) -> None:
    builder = launch(lab)
    lab.aws.images.fail("the volume was lost")
    image_id = image_of(lab, builder, NoReboot=True)
    assert image(lab, image_id)["State"] == "failed"
    assert image(lab, image_id)["StateReason"]["Message"] == "the volume was lost"
    assert lab.aws.images.reboots(builder) == 0


def test_an_instance_stops_in_a_while_whatever_it_does_when_it_shuts_down_and_is_imaged_without_a_reboot(
    lab: Lab,
) -> None:
    ec2 = lab.aws.client("ec2")
    lab.aws.images.take(shutdown=5)
    builder = launch(lab, InstanceInitiatedShutdownBehavior="terminate")
    (changed,) = ec2.stop_instances(InstanceIds=[builder])["StoppingInstances"]
    assert (changed["PreviousState"]["Name"], changed["CurrentState"]["Name"]) == ("running", "stopping")
    await_state(lab, builder, "stopped")
    image_of(lab, builder)
    assert lab.aws.images.reboots(builder) == 0
    ec2.terminate_instances(InstanceIds=[builder])
    assert code_of(ec2.stop_instances, InstanceIds=[builder]) == "IncorrectInstanceState"


def test_an_image_holds_the_volumes_that_are_attached_and_not_left_out(lab: Lab) -> None:
    ec2 = lab.aws.client("ec2")
    builder = launch(lab)
    for device in ("/dev/sdf", "/dev/sdg"):
        volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=5)["VolumeId"]
        ec2.attach_volume(VolumeId=volume, InstanceId=builder, Device=device)
    left_out = [{"DeviceName": "/dev/sdg", "NoDevice": ""}]
    mappings = image(lab, image_of(lab, builder, BlockDeviceMappings=left_out))["BlockDeviceMappings"]
    assert [each["DeviceName"] for each in mappings] == ["/dev/xvda", "/dev/sdf"]


def test_a_disabled_image_is_hidden_private_and_launches_nothing(lab: Lab) -> None:
    ec2 = lab.aws.client("ec2")
    image_id = image_of(lab, launch(lab))
    ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [{"UserId": "210987654321"}]})
    shared = ec2.describe_image_attribute(ImageId=image_id, Attribute="launchPermission")["LaunchPermissions"]
    assert shared == [{"UserId": "210987654321"}]
    ec2.disable_image(ImageId=image_id)
    assert ec2.describe_images(ImageIds=[image_id])["Images"] == []
    assert image(lab, image_id)["State"] == "disabled"
    assert not ec2.describe_image_attribute(ImageId=image_id, Attribute="launchPermission")["LaunchPermissions"]
    assert code_of(ec2.run_instances, **{**LAUNCH, "ImageId": image_id}) == "InvalidAMIID.Unavailable"
    ec2.enable_image(ImageId=image_id)
    launch(lab, ImageId=image_id)


def test_an_image_is_deregistered_with_its_snapshots_unless_it_is_protected(lab: Lab) -> None:
    ec2 = lab.aws.client("ec2")
    image_id = image_of(lab, launch(lab))
    snapshot = image(lab, image_id)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    assert code_of(ec2.delete_snapshot, SnapshotId=snapshot) == "InvalidSnapshot.InUse"
    ec2.enable_image_deregistration_protection(ImageId=image_id)
    assert image(lab, image_id)["DeregistrationProtection"] == "enabled"
    assert code_of(ec2.deregister_image, ImageId=image_id) == "OperationNotPermitted"
    ec2.disable_image_deregistration_protection(ImageId=image_id)
    answer = ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": snapshot, "ReturnCode": "success"}]
    assert code_of(ec2.describe_images, ImageIds=[image_id]) == "InvalidAMIID.NotFound"
    assert code_of(ec2.describe_snapshots, SnapshotIds=[snapshot]) == "InvalidSnapshot.NotFound"
    assert code_of(ec2.create_tags, Resources=[image_id], Tags=OURS) == "InvalidAMIID.NotFound"


# What uses an image.


def test_references_are_found_as_deep_as_they_are_asked_for(lab: Lab) -> None:
    ec2, ssm = lab.aws.client("ec2"), lab.aws.client("ssm")
    old = image_of(lab, launch(lab))
    template_id = template(lab, ImageId=old)
    arn = f"arn:aws:ec2:{REGION}:{ACCOUNT}:launch-template/{template_id}"
    lab.aws.images.seed_versions(template_id, [(BASE, "later")] * 10)
    ssm.put_parameter(Name=f"/{lab.name}", Value=old, Type="String", DataType="aws:ec2:image")
    user = launch(lab, ImageId=old)

    def found(**asked: Any) -> list[str]:
        answer = ec2.describe_image_references(ImageIds=[old], **asked)
        return [each["Arn"].rpartition(":")[2] for each in answer["ImageReferences"]]

    assert found(IncludeAllResourceTypes=True) == [f"instance/{user}", f"parameter/{lab.name}"]
    depth = [{"OptionName": "version-depth", "OptionValues": ["10000"]}]
    deep = [{"ResourceType": "ec2:LaunchTemplate", "ResourceTypeOptions": depth}]
    assert found(ResourceTypes=deep) == [arn.rpartition(":")[2]]
    asked = {"ImageIds": [BASE] * 11, "IncludeAllResourceTypes": True}
    assert code_of(ec2.describe_image_references, **asked) == "InvalidParameterValue"


def test_fleets_show_the_images_that_they_would_launch(lab: Lab) -> None:
    ec2 = lab.aws.client("ec2")
    named = {"LaunchTemplateId": template(lab), "Version": "1"}
    configurations = [{"LaunchTemplateSpecification": named, "Overrides": [{"ImageId": BASE}]}]
    capacity = {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "on-demand"}
    fleet = ec2.create_fleet(LaunchTemplateConfigs=configurations, TargetCapacitySpecification=capacity)["FleetId"]
    (found,) = ec2.describe_fleets(FleetIds=[fleet])["Fleets"]
    assert (found["FleetState"], found["LaunchTemplateConfigs"]) == ("active", configurations)
    ec2.delete_fleets(FleetIds=[fleet], TerminateInstances=True)
    assert ec2.describe_fleets(FleetIds=[fleet])["Fleets"][0]["FleetState"] == "deleted"
    asked = {"IamFleetRole": "role", "TargetCapacity": 1, "LaunchSpecifications": [{"ImageId": BASE}]}
    spot = ec2.request_spot_fleet(SpotFleetRequestConfig=asked)["SpotFleetRequestId"]
    pages = ec2.get_paginator("describe_spot_fleet_requests").paginate()
    (shown,) = (each for page in pages for each in page["SpotFleetRequestConfigs"])
    assert shown["SpotFleetRequestConfig"]["LaunchSpecifications"][0]["ImageId"] == BASE
    ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[spot], TerminateInstances=True)
    (shown,) = ec2.describe_spot_fleet_requests(SpotFleetRequestIds=[spot])["SpotFleetRequestConfigs"]
    assert shown["SpotFleetRequestState"] == "cancelled"


def test_a_public_parameter_names_an_image_and_so_does_a_launch(lab: Lab) -> None:
    name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    assert lab.aws.client("ssm").get_parameter(Name=name)["Parameter"]["Value"] == BASE
    assert described(lab, launch(lab, ImageId=f"resolve:ssm:{name}"))["ImageId"] == BASE


# Versions of launch templates.


def test_a_new_version_keeps_its_source_but_for_the_snapshots_and_is_made_once_for_a_token(lab: Lab) -> None:
    ec2 = lab.aws.client("ec2")
    image_id = image_of(lab, launch(lab))
    snapshot = image(lab, image_id)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    ebs = {"SnapshotId": snapshot, "VolumeSize": 20, "VolumeType": "gp3"}
    data = {"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": ebs}], "Placement": {"Tenancy": "dedicated"}}
    template_id = template(lab, **data)
    assert version(lab, template_id)["LaunchTemplateData"]["BlockDeviceMappings"][0]["Ebs"] == ebs
    asked = {
        "LaunchTemplateId": template_id,
        "SourceVersion": "1",
        "ClientToken": "token",
        "VersionDescription": f"rollcall bake {image_id}",
        "LaunchTemplateData": {"ImageId": image_id},
    }
    made = ec2.create_launch_template_version(**asked)["LaunchTemplateVersion"]
    assert made == ec2.create_launch_template_version(**asked)["LaunchTemplateVersion"]
    kept = version(lab, template_id)
    assert (kept["VersionNumber"], kept["VersionDescription"]) == (2, f"rollcall bake {image_id}")
    assert kept["LaunchTemplateData"] == {
        "ImageId": image_id,
        "InstanceType": "t4g.small",
        "BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3"}}],
        "Placement": {"Tenancy": "dedicated"},
    }
    other = {**asked, "VersionDescription": "other"}
    assert code_of(ec2.create_launch_template_version, **other) == "IdempotentParameterMismatch"
    given = {**asked, "ClientToken": "explicit", "LaunchTemplateData": data}
    ec2.create_launch_template_version(**given)
    assert version(lab, template_id)["LaunchTemplateData"]["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"] == snapshot


def test_versions_are_deleted_but_for_the_default_one_and_no_number_comes_again(lab: Lab) -> None:
    ec2 = lab.aws.client("ec2")
    template_id = template(lab)
    named = {"LaunchTemplateId": template_id}
    lab.aws.images.seed_versions(template_id, [(BASE, "more")] * 450)
    pages = list(ec2.get_paginator("describe_launch_template_versions").paginate(**named))
    assert [len(page["LaunchTemplateVersions"]) for page in pages] == [200, 200, 51]
    many = [str(number) for number in range(1, 202)]
    assert code_of(ec2.delete_launch_template_versions, Versions=many, **named) == "InvalidParameterValue"
    answer = ec2.delete_launch_template_versions(Versions=["1", "451", "999"], **named)
    deleted = [each["VersionNumber"] for each in answer["SuccessfullyDeletedLaunchTemplateVersions"]]
    left = {
        each["VersionNumber"]: each["ResponseError"]["Code"]
        for each in answer["UnsuccessfullyDeletedLaunchTemplateVersions"]
    }
    assert deleted == [451]
    assert left == {1: "unexpectedError", 999: "launchTemplateVersionDoesNotExist"}
    assert version(lab, template_id)["VersionNumber"] == 450
    data = {"LaunchTemplateData": {"ImageId": BASE}}
    assert ec2.create_launch_template_version(**named, **data)["LaunchTemplateVersion"]["VersionNumber"] == 452


# Instances outside of groups.


def test_an_instance_is_launched_once_for_a_token_with_what_was_asked_for_and_ends_with_its_volumes(lab: Lab) -> None:
    ec2 = lab.aws.client("ec2")
    asked: dict[str, Any] = {
        "ClientToken": lab.name,
        "SubnetId": SUBNET,
        "SecurityGroupIds": ["sg-00000001"],
        "MetadataOptions": {"HttpTokens": "required"},
        "InstanceInitiatedShutdownBehavior": "terminate",
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30}}],
        "TagSpecifications": [{"ResourceType": kind, "Tags": OURS} for kind in ("instance", "volume")],
    }
    builder = launch(lab, **asked)
    assert launch(lab, **asked) == builder
    changed = {**LAUNCH, **asked, "InstanceType": "t4g.large"}
    assert code_of(ec2.run_instances, **changed) == "IdempotentParameterMismatch"
    found = described(lab, builder)
    assert (found["Tags"], found["MetadataOptions"]["HttpTokens"]) == (OURS, "required")
    assert (found["Architecture"], found["ClientToken"]) == ("arm64", lab.name)
    (mapping,) = found["BlockDeviceMappings"]
    volumes = [mapping["Ebs"]["VolumeId"]]
    (volume,) = ec2.describe_volumes(VolumeIds=volumes)["Volumes"]
    assert (volume["Size"], volume["Tags"], volume["SnapshotId"]) == (30, OURS, "snap-0abcdef1234567890")
    (same,) = ec2.describe_instances(Filters=[{"Name": "client-token", "Values": [lab.name]}])["Reservations"]
    assert same["Instances"][0]["InstanceId"] == builder
    lab.aws.images.shut_down(builder)
    await_state(lab, builder, "terminated")
    assert described(lab, builder)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert code_of(ec2.describe_volumes, VolumeIds=volumes) == "InvalidVolume.NotFound"


def test_status_checks_have_no_result_at_first_and_may_fail(lab: Lab) -> None:
    ec2 = lab.aws.client("ec2")

    def status(instance_id: str) -> str:
        (found,) = ec2.describe_instance_status(InstanceIds=[instance_id])["InstanceStatuses"]
        assert found["InstanceStatus"]["Status"] == "impaired" or found["SystemStatus"] == found["InstanceStatus"]
        return str(found["InstanceStatus"]["Status"])

    lab.aws.images.take(checks=1)
    smoke = [{"ResourceType": "instance", "Tags": [{"Key": "rollcall:bake-role", "Value": "smoke"}]}]
    tested, other = launch(lab, TagSpecifications=smoke), launch(lab)
    lab.aws.images.fail_checks(bake_role="smoke")
    assert status(tested) == "initializing"
    eventually(lambda: status(tested) == "impaired")
    eventually(lambda: status(other) == "ok")
    ec2.terminate_instances(InstanceIds=[other])
    assert ec2.describe_instance_status(InstanceIds=[other])["InstanceStatuses"] == []


def test_a_launch_is_refused_as_its_dry_run_is(lab: Lab) -> None:
    ec2 = lab.aws.client("ec2")
    dry = {**LAUNCH, "DryRun": True}
    assert code_of(ec2.run_instances, **dry) == "DryRunOperation"
    for asked, code in (
        ({"InstanceType": "m5.large"}, "InvalidParameterValue"),  # x86_64
        ({"KeyName": "none"}, "InvalidKeyPair.NotFound"),
        ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound"),
        ({"SubnetId": "subnet-none"}, "InvalidSubnetID.NotFound"),
        ({"ImageId": "ami-00000000000000000"}, "InvalidAMIID.NotFound"),
    ):
        assert code_of(ec2.run_instances, **{**LAUNCH, **asked}) == code
        assert code_of(ec2.run_instances, **{**dry, **asked}) == code
    protected = launch(lab, DisableApiTermination=True)
    assert code_of(ec2.terminate_instances, InstanceIds=[protected]) == "OperationNotPermitted"
    filters = [{"Name": "instance-type", "Values": ["t4g.small", "t9.colossal"]}]
    (kind,) = ec2.describe_instance_types(Filters=filters)["InstanceTypes"]
    assert kind["ProcessorInfo"]["SupportedArchitectures"] == ["arm64"]


def test_an_instance_with_a_key_that_cannot_be_used_ends_and_one_with_a_good_key_is_encrypted(lab: Lab) -> None:
    ec2, kms = lab.aws.client("ec2"), lab.aws.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    mapping = [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "KmsKeyId": key}}]
    encrypted = image_of(lab, launch(lab, BlockDeviceMappings=mapping))
    (ebs,) = image(lab, encrypted)["BlockDeviceMappings"]
    assert ebs["Ebs"]["Encrypted"]
    (snapshot,) = ec2.describe_snapshots(SnapshotIds=[ebs["Ebs"]["SnapshotId"]])["Snapshots"]
    assert snapshot["KmsKeyId"] == key
    made = described(lab, launch(lab, ImageId=encrypted))["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    assert ec2.describe_volumes(VolumeIds=[made])["Volumes"][0]["KmsKeyId"] == key
    policy = json.loads(kms.get_key_policy(KeyId=key)["Policy"])
    assert policy["Statement"]
    kms.create_grant(KeyId=key, GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:role/scaling", Operations=["Decrypt"])
    assert kms.list_grants(KeyId=key)["Grants"][0]["Operations"] == ["Decrypt"]
    kms.disable_key(KeyId=key)
    lost = launch(lab, runs=False, BlockDeviceMappings=mapping)
    await_state(lab, lost, "terminated")
    assert described(lab, lost)["StateReason"]["Code"] == "Client.InternalError"


def test_addresses_are_the_groups_own_and_come_back(lab: Lab) -> None:
    group = lab.group(desired=1)
    (member,) = group.await_members("InService")
    builder = launch(lab)
    address = described(lab, builder)["PrivateIpAddress"]
    assert address != described(lab, member)["PrivateIpAddress"]
    lab.aws.client("ec2").terminate_instances(InstanceIds=[builder])
    await_state(lab, builder, "terminated")
    assert "PrivateIpAddress" not in described(lab, builder)
    assert described(lab, launch(lab))["PrivateIpAddress"] == address


# What a test needs many of.


def test_a_thousand_images_and_ten_thousand_versions_are_there_at_once(lab: Lab) -> None:
    ec2 = lab.aws.client("ec2")
    template_id = template(lab)
    ids = lab.aws.images.seed(1000, name=lab.name, tags=lambda place: {"place": str(place)})
    lab.aws.images.seed_versions(template_id, [(ids[place % 1000], f"rollcall bake {place}") for place in range(9999)])
    found = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": [f"{lab.name}-*"]}])["Images"]
    assert {each["ImageId"] for each in found} == set(ids)
    newest = max(found, key=lambda each: str(each["CreationDate"]))
    assert (newest["ImageId"], newest["Tags"]) == (ids[-1], [{"Key": "place", "Value": "999"}])
    assert version(lab, template_id)["VersionNumber"] == 10_000
    data = {"LaunchTemplateData": {"ImageId": BASE}}
    refused = code_of(ec2.create_launch_template_version, LaunchTemplateId=template_id, **data)
    assert refused == "VersionLimitExceeded"


def test_an_account_that_encrypts_by_default_encrypts_each_volume_with_its_key(lab: Lab) -> None:
    ec2, kms = lab.aws.client("ec2"), lab.aws.client("kms")
    assert not ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"]
    assert ec2.get_ebs_default_kms_key_id()["KmsKeyId"].endswith("alias/aws/ebs")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    assert ec2.modify_ebs_default_kms_key_id(KmsKeyId=key)["KmsKeyId"] == key

    def volume() -> dict[str, Any]:
        instance = ec2.run_instances(**LAUNCH)["Instances"][0]["InstanceId"]
        own = [{"Name": "attachment.instance-id", "Values": [instance]}]
        found: dict[str, Any] = ec2.describe_volumes(Filters=own)["Volumes"][0]
        return found

    assert not volume()["Encrypted"]
    ec2.enable_ebs_encryption_by_default()
    assert (volume()["Encrypted"], volume()["KmsKeyId"]) == (True, key)
    ec2.reset_ebs_default_kms_key_id()
    managed = volume()["KmsKeyId"]
    assert ":key/" in managed
    described_key = kms.describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]
    assert (described_key["Arn"], described_key["KeyManager"]) == (managed, "AWS")
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyManager"] == "CUSTOMER"
    ec2.disable_ebs_encryption_by_default()
    assert not volume()["Encrypted"]
