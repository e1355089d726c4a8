"""The seam to MiniStack, as `lab.aws.ministack` is: for images, volumes, launch templates, keys and roles.

What it reads and calls is in that module's list, too.
"""

import copy
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ministack.core import iam_evaluator, responses
from ministack.services import ec2, iam, kms, lambda_svc, ssm

from lab.aws.ministack import Record, Scope


@dataclass(frozen=True)
class Parameter:
    """A parameter of Systems Manager. arn: with no account for one that AWS gives to all."""

    arn: str
    value: str
    data_type: str


# Tags.


def tags(resource_id: str) -> dict[str, str]:
    """Return the tags of a resource of EC2."""
    return {tag["Key"]: tag.get("Value", "") for tag in ec2._tags.get(resource_id, [])}


def set_tags(resource_id: str, given: dict[str, str]) -> None:
    """Let a resource have these tags, and no others."""
    if given:
        ec2._tags[resource_id] = [{"Key": key, "Value": value} for key, value in given.items()]
    else:
        ec2._tags.pop(resource_id, None)


# Images that are there without anything done.


def public_images() -> list[Record]:
    """Return MiniStack's images: ImageId, Name, Description, Platform, RootDeviceName, OwnerId, ImageOwnerAlias."""
    names = ("ImageId", "Name", "Description", "Platform", "RootDeviceName", "OwnerId", "ImageOwnerAlias")
    return [dict(zip(names, stub, strict=True)) for stub in ec2._STUB_AMIS]


def add_public_image(image_id: str, name: str, description: str) -> None:
    """Let there be another one, of Amazon's."""
    ec2._STUB_AMIS.append((image_id, name, description, "", "/dev/xvda", "137112412989", "amazon"))


# Volumes and snapshots.


def volumes_of(instance_id: str) -> list[Record]:
    """Return the volumes that are attached to an instance, the root volume first."""
    root = (ec2._instances.get(instance_id) or {}).get("RootDeviceName")
    found = [
        volume
        for volume in ec2._volumes.values()
        if any(each["InstanceId"] == instance_id for each in volume["Attachments"])
    ]
    return sorted(found, key=lambda volume: (volume["Attachments"][0]["Device"] != root, volume["CreateTime"]))


def replace_volumes(instance_id: str, mappings: list[Record], volume_tags: dict[str, str]) -> None:
    """Let an instance have the volumes of these block device mappings, and no others."""
    instance = ec2._instances[instance_id]
    for volume in volumes_of(instance_id):
        del ec2._volumes[volume["VolumeId"]]
    instance["BlockDeviceMappings"] = [_attach_new(instance, each, volume_tags) for each in mappings]


def _attach_new(instance: Record, mapping: Record, volume_tags: dict[str, str]) -> Record:
    ebs, volume_id = mapping.get("Ebs", {}), ec2._new_volume_id()
    attached = {
        "VolumeId": volume_id,
        "InstanceId": instance["InstanceId"],
        "Device": mapping["DeviceName"],
        "State": "attached",
        "AttachTime": instance["LaunchTime"],
        "DeleteOnTermination": ebs.get("DeleteOnTermination", True),
    }
    ec2._volumes[volume_id] = {
        "VolumeId": volume_id,
        "Size": ebs.get("VolumeSize", 8),
        "AvailabilityZone": instance["Placement"]["AvailabilityZone"],
        "State": "in-use",
        "VolumeType": ebs.get("VolumeType", "gp3"),
        "SnapshotId": ebs.get("SnapshotId", ""),
        "Iops": ebs.get("Iops", 3000),
        "Encrypted": ebs.get("Encrypted", False),
        "KmsKeyId": ebs.get("KmsKeyId", ""),
        "CreateTime": instance["LaunchTime"],
        "Attachments": [attached],
        "MultiAttachEnabled": False,
        "Throughput": ebs.get("Throughput", 125),
    }
    set_tags(volume_id, volume_tags)
    shown = {"VolumeId": volume_id, "Status": "attached", "AttachTime": instance["LaunchTime"]}
    return {
        "DeviceName": mapping["DeviceName"],
        "Ebs": {**shown, "DeleteOnTermination": attached["DeleteOnTermination"]},
    }


def let_volumes_go(instance_id: str) -> None:
    """Do with the volumes of a terminated instance as they say: they are deleted, or left over."""
    for volume in volumes_of(instance_id):
        if volume["Attachments"][0]["DeleteOnTermination"]:
            del ec2._volumes[volume["VolumeId"]]
            set_tags(volume["VolumeId"], {})
        else:
            volume.update(Attachments=[], State="available")


def new_image_id() -> str:
    """Return an id that no image has."""
    image_id: str = ec2._new_image_id()
    return image_id


def put_snapshot(record: Record) -> None:
    """Keep a snapshot, as DescribeSnapshots shows it; OwnerId and StorageTier are filled in."""
    defaults = {"OwnerId": responses.get_account_id(), "StorageTier": "standard"}
    ec2._snapshots[record["SnapshotId"]] = {**defaults, **record}


def new_snapshot_id() -> str:
    """Return an id that no snapshot has."""
    snapshot_id: str = ec2._new_snapshot_id()
    return snapshot_id


def snapshot(snapshot_id: str) -> Record | None:
    """Return a snapshot, None if there is none with this id."""
    found: Record | None = ec2._snapshots.get(snapshot_id)
    return found


def drop_snapshot(snapshot_id: str) -> None:
    """Delete a snapshot and its tags."""
    ec2._snapshots.pop(snapshot_id, None)
    set_tags(snapshot_id, {})


# Launch templates.


def templates() -> list[Record]:
    """Return the launch templates, each with its `Versions`."""
    return list(ec2._launch_templates.values())


def template_of(specification: Record) -> Record | None:
    """Return the launch template that a specification names by its id or its name."""
    named = {key: specification[key] for key in ("LaunchTemplateId", "LaunchTemplateName") if specification.get(key)}
    _, template, _ = ec2._resolve_launch_template_data(named)
    found: Record | None = template
    return found


def copied(data: Record) -> Record:
    """Return a copy of what is kept."""
    return copy.deepcopy(data)


# Instances.


def instances() -> list[Record]:
    """Return the instances of the current scope."""
    return list(ec2._instances.values())


def instance_profile(given: Record) -> Record | None:
    """Return the instance profile (Arn, Id) that a request names, None if it names none."""
    profile, _ = ec2._resolve_iam_instance_profile(
        iam_arn=given.get("Arn", ""), iam_name=given.get("Name", ""), allow_missing=True
    )
    found: Record | None = profile
    return found


def profile_roles(given: Record) -> list[str]:
    """Return the ARNs of the roles in an instance profile; of one that was not made, the role of the same name."""
    known = iam._lookup_instance_profile(name=given.get("Name", ""), arn=given.get("Arn", ""))
    name = given.get("Name") or str(given.get("Arn", "")).rpartition("/")[2]
    roles = known["Roles"] if known else [name]
    return [f"arn:aws:iam::{responses.get_account_id()}:role/{each}" for each in roles]


def has_key_pair(name: str) -> bool:
    """Whether there is a key pair of this name."""
    return any(pair["KeyName"] == name for pair in ec2._key_pairs.values())


def has_security_group(group_id: str) -> bool:
    """Whether there is a security group with this id."""
    return group_id in ec2._security_groups


def vpc_of(subnet_id: str) -> str:
    """Return the VPC of a subnet."""
    vpc: str = ec2._subnets.get(subnet_id, {}).get("VpcId", "")
    return vpc


def new_reservation() -> str:
    """Return the id of a reservation."""
    return f"r-{uuid.uuid4().hex[:17]}"


# Systems Manager, keys, roles and functions.


def parameter(name: str) -> Parameter | None:
    """Return a parameter of Systems Manager by its name, with a version or label behind a colon, or its ARN."""
    found, _ = ssm._select_parameter(name)
    return _parameter(found) if found else None


def parameters() -> Iterator[Parameter]:
    """Yield the parameters of Systems Manager of the current scope."""
    for each in ssm._parameters.values():
        yield _parameter(each)


def _parameter(found: Record) -> Parameter:
    # A public parameter has no type of its own in MiniStack; those that it has are images.
    return Parameter(
        found["ARN"], str(found.get("OriginalValue") or found["Value"]), found.get("DataType", "aws:ec2:image")
    )


def encryption_key(key_id: str) -> Record | None:
    """Return a KMS key by its id, its ARN or an alias: Arn, KeyState, Enabled; None if there is none."""
    found: Record | None = kms._resolve_key(key_id)
    return found


def managed_key(alias: str) -> Record:
    """Return the key that AWS manages under an alias, which is made when it is needed for the first time."""
    known = encryption_key(alias)
    if known is None:
        _, _, body = kms._create_key({"Description": alias})
        known = kms._keys[json.loads(body)["KeyMetadata"]["KeyId"]]
        known["KeyManager"] = "AWS"
        kms._create_alias({"AliasName": alias, "TargetKeyId": known["KeyId"]})
    return known


def key_aliases(key_id: str) -> list[str]:
    """Return the aliases of a KMS key, which may be named as for encryption_key; none of one that is not there."""
    known = encryption_key(key_id) or {"KeyId": ""}
    return [arn.split(":", 5)[5] for arn, of_key in kms._aliases.items() if of_key == known["KeyId"]]


def functions() -> dict[str, tuple[str, str]]:
    """Return the ARN and the role's name of each function of the current scope, by the function's name."""
    return {
        name: (record["config"]["FunctionArn"], record["config"].get("Role", "").rpartition("/")[2])
        for name, record in lambda_svc._functions.items()
    }


def role_statements(role: str, scope: Scope) -> list[list[Any]]:
    """Return the statements of a role's policies, a list for each policy: sid, effect, actions and the rest."""
    statements: list[list[Any]] = iam_evaluator._gather_role_policies(role, scope.account)
    return statements


def judge(statements: list[list[Any]], asked: Record, scope: Scope) -> tuple[bool, str]:
    """Return whether statements allow something, and the Sid of the statement that decides.

    asked: `action`, `resource`, `request_tags`, and `context`, which is everything else that conditions may ask about,
    its names in lower case.
    """
    tag_keys = list(asked["request_tags"])
    context = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:iam::{scope.account}:role/function",
        principal_type="AssumedRole",
        principal_account=scope.account,
        action=asked["action"],
        resource_arn=asked["resource"],
        region=scope.region,
        request_tags=asked["request_tags"],
        tag_keys=tag_keys,
        service_context={"aws:tagkeys": tag_keys or None, **asked["context"]},
    )
    result = iam_evaluator.evaluate(context, statements)
    return result.decision == "Allow", result.matched_sid
