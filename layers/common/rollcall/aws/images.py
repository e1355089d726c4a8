"""EC2: machine images: found, made of an instance, tagged, disabled, deregistered; and parameters that name images.

Methods raise AwsUnavailable for what passes by itself, AwsDenied or AwsRejected for the rest. States, fields and codes
are those of the Amazon EC2 API reference (Image, CreateImage, DeregisterImage; "Error codes for the Amazon EC2 API").
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import batched
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

from rollcall.domain.bake_tags import BAKE_GROUP, BAKE_ID, MADE_BY, MADE_BY_BAKE
from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.domain.errors import AwsRejected

from .client import aws_errors
from .regional_clients import RegionalClients

if TYPE_CHECKING:
    from collections.abc import Collection

VALUES_PER_FILTER = 200  # EC2's maximum of values in one filter
IMAGES_PER_PAGE = 1000  # DescribeImages' maximum
RESOURCES_PER_CALL = 1000  # CreateTags' maximum
PARAMETERS_PER_PAGE = 50  # DescribeParameters' maximum
PARAMETERS_PER_CALL = 10  # GetParameters' maximum
IMAGE_PARAMETER = "aws:ec2:image"  # the data type of a parameter that names an image
NO_IMAGE = "InvalidAMIID"  # begins the codes of an image that does not exist, not any more, or is none's id
NAME_TAKEN = "InvalidAMIName.Duplicate"
NO_SNAPSHOT = "InvalidSnapshot.NotFound"  # or one that another account has not shared
AVAILABLE, PENDING, DISABLED = "available", "pending", "disabled"
BROKEN = frozenset({"failed", "error", "invalid"})
GONE = frozenset({"deregistered"})
UNPROTECTED = ("", "disabled")  # values of DeregistrationProtection
BACKUP_ALIAS = "aws-backup-vault"  # of the owner of an image that AWS Backup manages
BACKUP_TAGS = ("aws:backup:", "aws:dlm:", "dlm:managed")  # begin the tags of AWS Backup and of Data Lifecycle Manager
SNAPSHOT_DELETED = "success"


class Image(NamedTuple):
    """A machine image. created: epoch seconds.

    state: pending, available, disabled, failed, …; reason: AWS's, of its state. architecture: as EC2 names it. owner:
    an account's id; owner_alias: amazon, aws-backup-vault, …; root_device: the name of its root volume's device.
    mappings: of its devices, as AWS shows them. source_instance: of which it was made. public: anyone may launch it.
    protection: against deregistration, as AWS words it.
    """

    id: str
    name: str = ""
    state: str = AVAILABLE
    created: float = 0.0
    reason: str = ""
    architecture: str = ""
    owner: str = ""
    owner_alias: str = ""
    root_device: str = ""
    mappings: tuple[Mapping[str, Any], ...] = ()
    tags: Mapping[str, str] = EMPTY_MAPPING
    source_instance: str = ""
    public: bool = False
    protection: str = ""

    @property
    def snapshots(self) -> tuple[str, ...]:
        """The snapshots of its volumes that AWS shows: those of a pending image may be missing."""
        found = ((each.get("Ebs") or {}).get("SnapshotId", "") for each in self.mappings)
        return tuple(each for each in found if each)

    @property
    def is_of_its_bake(self) -> bool:
        """Whether the bake that its tags name made it, and it is no copy with the same tags.

        A bake's images end with its id, a name is taken once in an account and Region, and only of one that CreateImage
        made AWS shows the instance (API reference, Image, SourceInstanceId).
        """
        bake = self.tags.get(BAKE_ID, "")
        return bool(bake and self.source_instance) and self.name.endswith(f"-{bake}")

    @property
    def is_protected(self) -> bool:
        """Whether AWS refuses to deregister it."""
        return self.protection not in UNPROTECTED

    @property
    def is_of_backup(self) -> bool:
        """Whether AWS Backup or Data Lifecycle Manager decides what becomes of it."""
        return self.owner_alias == BACKUP_ALIAS or any(key.startswith(BACKUP_TAGS) for key in self.tags)


class ImageSource(NamedTuple):
    """An instance of which an image is made. state: EC2's; other_devices: the names of its devices beside the root."""

    state: str
    other_devices: tuple[str, ...]


class SnapshotResult(NamedTuple):
    """What became of a snapshot of an image that was deregistered. code: success, skipped, missing-permissions, …"""

    id: str
    code: str

    @property
    def is_deleted(self) -> bool:
        """Whether it is gone, or in the Recycle Bin."""
        return self.code == SNAPSHOT_DELETED


class Images(RegionalClients):
    """The images of one account and Region."""

    def image(self, image_id: str) -> Image | None:
        """An image by its id, whosever it is, disabled ones included; None if there is none that this account sees."""
        with aws_errors(f"DescribeImages {image_id}"):
            try:
                found = self._ec2.describe_images(ImageIds=[image_id], IncludeDisabled=True)["Images"]
            except ClientError as error:
                if not error.response["Error"]["Code"].startswith(NO_IMAGE):
                    raise
                return None
        return next((image_of(raw) for raw in found if raw.get("State") not in GONE), None)

    def own_image_named(self, name: str) -> Image | None:
        """This account's image of a name, which is unique there; None without. One made a moment ago may be missing."""
        found = self._own_images([{"Name": "name", "Values": [name]}])
        return next((each for each in found if each.name == name), None)

    def images_made_for(self, group: str) -> list[Image]:
        """All images that bakes of a group made, the newest first; disabled, pending and failed ones included.

        A copy of one may have its tags, and is not among them.
        """
        found = self._made_by_bakes({"Name": f"tag:{BAKE_GROUP}", "Values": [group]})
        own = (each for each in found if each.tags.get(BAKE_GROUP) == group)  # a filter takes * and ? for any text
        return sorted(own, key=lambda each: (each.created, each.id), reverse=True)

    def images_by_group(self) -> dict[str, list[str]]:
        """The ids of all images that bakes made, by the names of their groups, which may be gone."""
        found: dict[str, list[str]] = {}
        for each in self._made_by_bakes():
            found.setdefault(each.tags.get(BAKE_GROUP, ""), []).append(each.id)
        return found

    def _made_by_bakes(self, *filters: Any) -> list[Image]:
        found = self._own_images([{"Name": f"tag:{MADE_BY}", "Values": [MADE_BY_BAKE]}, *filters])
        return [each for each in found if each.is_of_its_bake]

    def own_images(self, image_ids: Collection[str]) -> list[Image]:
        """This account's images with these ids; one that is gone is missing."""
        chunks = batched(image_ids, VALUES_PER_FILTER)
        return [each for ids in chunks for each in self._own_images([{"Name": "image-id", "Values": list(ids)}])]

    def _own_images(self, filters: list[Any]) -> list[Image]:
        pages = self._ec2.get_paginator("describe_images")
        with aws_errors("DescribeImages"):
            return [
                image_of(raw)
                for page in pages.paginate(
                    Owners=["self"],
                    Filters=filters,
                    IncludeDisabled=True,
                    PaginationConfig={"PageSize": IMAGES_PER_PAGE},
                )
                for raw in page["Images"]
                if raw.get("State") not in GONE
            ]

    def image_source(self, instance_id: str) -> ImageSource:
        """An instance as CreateImage finds it. Raises AwsRejected for one that is not there."""
        with aws_errors(f"DescribeInstances {instance_id}"):
            found = self._ec2.describe_instances(Filters=[{"Name": "instance-id", "Values": [instance_id]}])
        for reservation in found["Reservations"]:
            for raw in reservation["Instances"]:
                root = raw.get("RootDeviceName", "")
                names = (each["DeviceName"] for each in raw.get("BlockDeviceMappings", ()) if "Ebs" in each)
                return ImageSource(raw["State"]["Name"], tuple(sorted(each for each in names if each != root)))
        raise AwsRejected(f"AWS does not know instance {instance_id} any more")

    def snapshot_key(self, snapshot_id: str) -> str | None:
        """The ARN of the KMS key with which a snapshot is encrypted, empty if it is not; None if EC2 does not show it.

        EC2 shows an account its own snapshots, public ones, and those that are shared with it (API reference,
        DescribeSnapshots). Of an image it does not say the key (EbsBlockDevice, KmsKeyId).
        """
        with aws_errors(f"DescribeSnapshots {snapshot_id}"):
            try:
                found = self._ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
            except ClientError as error:
                if error.response["Error"]["Code"] != NO_SNAPSHOT:
                    raise
                return None
        return next((each.get("KmsKeyId", "") for each in found), None)

    def create_image(
        self, instance_id: str, name: str, description: str, tags: Mapping[str, str], without: Collection[str]
    ) -> str | None:
        """Make an image of an instance, which AWS reboots for it if it runs; its id. None if the name is taken.

        tags: of the image and of its snapshots. without: names of devices that are left out. There is no client token:
        a call whose answer was lost may have made the image, which its name finds again.
        """
        own_tags: Any = [{"Key": key, "Value": value} for key, value in tags.items()]
        with aws_errors(f"CreateImage of {instance_id}"):
            try:
                return self._ec2.create_image(
                    InstanceId=instance_id,
                    Name=name,
                    Description=description,
                    NoReboot=False,
                    BlockDeviceMappings=[{"DeviceName": each, "NoDevice": ""} for each in without],
                    TagSpecifications=[
                        {"ResourceType": "image", "Tags": own_tags},
                        {"ResourceType": "snapshot", "Tags": own_tags},
                    ],
                )["ImageId"]
            except ClientError as error:
                if error.response["Error"]["Code"] != NAME_TAKEN:
                    raise
        return None

    def tag_resources(self, resources: Collection[str], tags: Mapping[str, str]) -> None:
        """Give images and snapshots these tags, in place of those with the same keys."""
        own_tags: Any = [{"Key": key, "Value": value} for key, value in tags.items()]
        with aws_errors("CreateTags"):
            for chunk in batched(resources, RESOURCES_PER_CALL):
                self._ec2.create_tags(Resources=list(chunk), Tags=own_tags)

    def disable_image(self, image_id: str) -> None:
        """Disable an image: nothing can be launched from it until an operator enables it again."""
        with aws_errors(f"DisableImage {image_id}"):
            self._ec2.disable_image(ImageId=image_id)

    def deregister_image(self, image_id: str) -> tuple[SnapshotResult, ...]:
        """Deregister an image with its snapshots, and say what became of each; of one that is gone, nothing.

        A Recycle Bin that the account has set up keeps them for a while (user guide, "Deregister an Amazon EC2 AMI").
        """
        with aws_errors(f"DeregisterImage {image_id}"):
            try:
                answer = self._ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
            except ClientError as error:
                if not error.response["Error"]["Code"].startswith(NO_IMAGE):
                    raise
                return ()
        results = answer.get("DeleteSnapshotResults", ())
        return tuple(SnapshotResult(each.get("SnapshotId", ""), each.get("ReturnCode", "")) for each in results)

    def shared_with(self, image_id: str) -> tuple[str, ...]:
        """The accounts, organizations and units that may launch an image, "all" for a public one; none for a disabled.

        Raises AwsRejected for one that is gone.
        """
        with aws_errors(f"DescribeImageAttribute launchPermission of {image_id}"):
            answer = self._ec2.describe_image_attribute(ImageId=image_id, Attribute="launchPermission")
        return tuple(str(value) for each in answer.get("LaunchPermissions", ()) for value in each.values())

    def image_parameter(self, name: str) -> str | None:
        """The image that a parameter of Systems Manager names; None if there is no such parameter."""
        with aws_errors(f"GetParameters {name}"):
            found = self._ssm.get_parameters(Names=[name])["Parameters"]
        return next((str(each["Value"]) for each in found), None)

    def image_parameters(self) -> dict[str, str]:
        """The parameters of Systems Manager whose data type is aws:ec2:image: the images that they name, by name."""
        pages = self._ssm.get_paginator("describe_parameters").paginate(
            ParameterFilters=[{"Key": "DataType", "Option": "Equals", "Values": [IMAGE_PARAMETER]}],
            PaginationConfig={"PageSize": PARAMETERS_PER_PAGE},
        )
        with aws_errors("DescribeParameters"):
            names = [
                each["Name"]
                for page in pages
                for each in page["Parameters"]
                if each.get("DataType", IMAGE_PARAMETER) == IMAGE_PARAMETER
            ]
        values: dict[str, str] = {}
        with aws_errors("GetParameters"):
            for chunk in batched(names, PARAMETERS_PER_CALL):
                answer = self._ssm.get_parameters(Names=list(chunk))
                values |= {each["Name"]: str(each["Value"]) for each in answer["Parameters"]}
        return values


def image_of(raw: Any) -> Image:
    """An image as DescribeImages answers it."""
    return Image(
        id=raw["ImageId"],
        name=raw.get("Name", ""),
        state=raw.get("State", ""),
        created=_moment(raw.get("CreationDate", "")),
        reason=(raw.get("StateReason") or {}).get("Message", ""),
        architecture=raw.get("Architecture", ""),
        owner=raw.get("OwnerId", ""),
        owner_alias=raw.get("ImageOwnerAlias", ""),
        root_device=raw.get("RootDeviceName", ""),
        mappings=tuple(raw.get("BlockDeviceMappings", ())),
        tags={each["Key"]: each["Value"] for each in raw.get("Tags", ())},
        source_instance=raw.get("SourceInstanceId", ""),
        public=raw.get("Public", False),
        protection=raw.get("DeregistrationProtection", ""),
    )


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
