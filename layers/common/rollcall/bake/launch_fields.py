"""What an instance of a bake is launched with: some fields of the launch template's version, and no others. Pure.

Parameters of a launch template can be overridden at launch and not removed (EC2 user guide, "Launch instances from a
launch template"), so a bake launches without one. Never taken are tags, instance profile and user data, which would
make a builder join production, and whatever binds an instance to a place, an interface or a market.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NoBase64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rollcall.domain import bake_tags
from rollcall.domain.settings import MOMENT_FORMAT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.domain.bake_tags import Role

    from .state import BakeState

TAKEN_METADATA = ("HttpEndpoint", "HttpPutResponseHopLimit", "HttpProtocolIpv6", "InstanceMetadataTags")
TAKEN_VOLUME = ("VolumeSize", "VolumeType", "Iops", "Throughput", "Encrypted", "KmsKeyId")


def launch_fields(
    data: Mapping[str, Any],
    *,
    image: str,
    mappings: tuple[Mapping[str, Any], ...],
    root_device: str,
    former_root: str,
    instance_type: str,
    subnet: str,
    tags: Mapping[str, str],
    profile: str = "",
    user_data: str = "",
) -> dict[str, Any]:
    """The parameters of RunInstances.

    data: of the version, as AWS shows it. mappings, root_device: of the image that is launched; former_root: the root
    device of the version's own image, whose size, type and encryption the root volume gets. profile: an instance
    profile's name or ARN, empty for none. user_data: in base64, empty for none.
    """
    fields: dict[str, Any] = {
        "ImageId": image,
        "InstanceType": instance_type,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": _metadata_options(data),
        "BlockDeviceMappings": list(_devices(data, mappings, root_device, former_root)),
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            for kind in ("instance", "volume")
        ],
        **_network(data, subnet),
    }
    if data.get("KeyName"):
        fields["KeyName"] = data["KeyName"]
    if profile:
        fields["IamInstanceProfile"] = {"Arn" if profile.startswith("arn:") else "Name": profile}
    if user_data:
        fields["UserData"] = _decoded(user_data)
    return fields


def instance_tags(state: BakeState, role: Role) -> dict[str, str]:
    """The tags of an instance of a bake, and of its volumes: none of the group's or the version's."""
    return {
        "Name": f"rollcall-{role}-{state.bake_id}",
        bake_tags.MADE_BY: bake_tags.MADE_BY_BAKE,
        bake_tags.BAKE_ID: state.bake_id,
        bake_tags.BAKE_GROUP: state.group,
        bake_tags.BAKE_ROLE: role,
        bake_tags.BAKE_EXECUTION: state.name,
        bake_tags.BAKE_UNTIL: datetime.fromtimestamp(state.until, UTC).strftime(MOMENT_FORMAT),
    }


def security_groups(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The ids of the security groups of a version, those of its first interface included."""
    interfaces = data.get("NetworkInterfaces") or [{}]
    return tuple(data.get("SecurityGroupIds") or interfaces[0].get("Groups") or ())


def root_volume(mappings: tuple[Mapping[str, Any], ...], root: str) -> Mapping[str, Any]:
    """The volume of an image's root device, as AWS shows it; empty where it has none."""
    return _volume_of(mappings, root)


def root_volume_key(data: Mapping[str, Any], former_root: str) -> str:
    """The KMS key of the root volume as the version names it; empty where it names none."""
    return str(_volume_of(data.get("BlockDeviceMappings") or (), former_root).get("KmsKeyId") or "")


def asks_for_default_key(data: Mapping[str, Any], root: Mapping[str, Any], former_root: str) -> bool:
    """Whether the root volume is encrypted though the account encrypts none by default. root: the image's.

    No key is named for it, and it does not keep an own snapshot's.
    """
    return bool(
        root.get("Encrypted") or _volume_of(data.get("BlockDeviceMappings") or (), former_root).get("Encrypted")
    )


def _metadata_options(data: Mapping[str, Any]) -> dict[str, Any]:
    """The version's, with IMDSv2 required."""
    own = (data.get("MetadataOptions") or {}).items()
    return {**{key: value for key, value in own if key in TAKEN_METADATA}, "HttpTokens": "required"}


def _network(data: Mapping[str, Any], subnet: str) -> dict[str, Any]:
    """The subnet with the version's security groups, and a public address where its first interface says so or not.

    Whether there is one can only be said of an interface (RunInstances, AssociatePublicIpAddress).
    """
    interfaces = data.get("NetworkInterfaces") or [{}]
    public, groups = interfaces[0].get("AssociatePublicIpAddress"), list(security_groups(data))
    if public is not None:
        own = {"DeviceIndex": 0, "AssociatePublicIpAddress": public, "SubnetId": subnet, "DeleteOnTermination": True}
        return {"NetworkInterfaces": [own | ({"Groups": groups} if groups else {})]}
    named = {} if groups or not data.get("SecurityGroups") else {"SecurityGroups": list(data["SecurityGroups"])}
    return {"SubnetId": subnet, **({"SecurityGroupIds": groups} if groups else named)}


def _devices(data: Mapping[str, Any], mappings: tuple[Mapping[str, Any], ...], root: str, former_root: str) -> Any:
    """The root volume, and no other: a data volume is neither the playbook's business nor part of an image."""
    own = _volume_of(mappings, root)
    wanted = _volume_of(data.get("BlockDeviceMappings") or (), former_root)
    volume = {key: wanted[key] for key in TAKEN_VOLUME if key in wanted}
    if not volume.get("Encrypted", True):
        del volume["Encrypted"]  # of an encrypted snapshot no volume is made that is not (EbsBlockDevice)
    if volume.get("VolumeSize") and own.get("VolumeSize"):
        volume["VolumeSize"] = max(volume["VolumeSize"], own["VolumeSize"])  # smaller than its snapshot none can be
    yield {"DeviceName": root, "Ebs": {**volume, "DeleteOnTermination": True}}
    for each in mappings:
        if each.get("DeviceName") != root:
            yield {"DeviceName": each["DeviceName"], "NoDevice": ""}


def _volume_of(mappings: Any, device: str) -> Mapping[str, Any]:
    return next((each.get("Ebs") or {} for each in mappings if each.get("DeviceName") == device), {})


def _decoded(user_data: str) -> str | bytes:
    """User data as boto3 takes it: it encodes what it is given, text or (as gzip is) bytes.

    One that is no base64 is given as it is.
    """
    try:
        return b64decode(user_data, validate=True)
    except NoBase64:
        return user_data
