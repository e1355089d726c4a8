"""Images of the accounts: made of instances, disabled, deregistered, and what becomes of them while time passes.

An image is pending for as long as `Pace` says, and then available, or failed where a test lets it fail. Its snapshots
are MiniStack's. What instances are launched from is whatever is `usable`.

Source: Amazon EC2 API reference (CreateImage, DisableImage, EnableImage, DeregisterImage, Image, DeleteSnapshot,
DeleteSnapshotReturnCode) and user guide ("Create an Amazon EBS-backed AMI", "Disable an Amazon EC2 AMI", "Protect an
Amazon EC2 AMI from deregistration"). Which volumes an image has: those that are attached, and not those that the
request leaves out. None of them says how a refused deregistration shows, nor whether a failed image keeps its name:
here it does, until it is deregistered.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from lab.aws import ministack as cloud
from lab.aws import ministack_images as kept
from lab.aws.control import Pace
from lab.aws.ec2_errors import (
    duplicate_name,
    no_instance,
    no_snapshot,
    refuse,
    snapshot_in_use,
    unavailable,
)
from lab.aws.image_records import fixed, public, tags_for, written_time
from lab.aws.ministack import Record, Scope

NAME = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}")
MADE_FROM = ("running", "stopped", "stopping")
"""The states of an instance that an image can be made of."""
COOLDOWN = 24 * 3600
"""Seconds for which a protection with a cooldown goes on after it was ended."""
FAILED = "Server.InternalError"
"""The code of the reason why an image failed: StateReason lists it."""


@dataclass
class Image:
    """An image of an account. record: as DescribeImages shows it, but for its tags.

    ready: when it is no longer pending, in epoch seconds. shared: its launch permissions. protected_until: when the
    cooldown of its protection is over.
    """

    scope: Scope
    record: Record
    ready: float
    shared: list[Record] = field(default_factory=list)
    protected_until: float = 0.0

    @property
    def image_id(self) -> str:
        """Its id."""
        return str(self.record["ImageId"])

    @property
    def state(self) -> str:
        """pending, available, failed or disabled."""
        return str(self.record["State"])

    def snapshots(self) -> list[str]:
        """The ids of its snapshots."""
        ebs = [each.get("Ebs", {}) for each in self.record["BlockDeviceMappings"]]
        return [each["SnapshotId"] for each in ebs if "SnapshotId" in each]


class Images:
    """The images of all accounts and Regions.

    reboots: how often an instance was rebooted for an image. pace, failing: what a test says; failing is why images
    fail that are pending, None if they do not.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.pace = Pace()
        self.failing: str | None = None
        self.reboots: dict[str, int] = {}
        self._images: dict[str, Image] = {}

    def own(self) -> list[Image]:
        """Return the images of the current account and Region, the oldest first."""
        scope = cloud.current_scope()
        return [each for each in self._images.values() if each.scope == scope]

    def named(self, image_id: str) -> Image:
        """Return an image of the current account and Region. Raises Refused."""
        image = self._images.get(image_id)
        if image is None or image.scope != cloud.current_scope():
            raise refuse("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
        return image

    def find(self, image_id: str) -> Image | None:
        """Return an image that the current account may use: its own, or one that is shared with it or public."""
        image = self._images.get(image_id)
        if image is None or image.scope.region != cloud.current_scope().region:
            return None
        account = cloud.current_scope().account
        may = image.scope.account == account or any(
            each.get("Group") == "all" or each.get("UserId") == account for each in image.shared
        )
        return image if may else None

    def usable(self, image_id: str) -> Record:
        """Return what an image's instances are launched with: Architecture, RootDeviceName, BlockDeviceMappings.

        Raises Refused for one that is not available, or that there is not.
        """
        image = self.find(image_id)
        if image and image.state != "available":
            raise unavailable(image_id, image.state)
        record = image.record if image else next((each for each in public() if each["ImageId"] == image_id), None)
        if record is None:
            raise refuse("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
        return record

    def tick(self, now: float) -> None:
        """Let the images that are due become what they become."""
        for image in [each for each in self._images.values() if each.state == "pending" and each.ready <= now]:
            with cloud.within(image.scope):
                self._finish(image)

    def create(self, request: Record) -> Image:
        """Begin an image of an instance. Raises Refused."""
        instance = self._source(request)
        specified = tags_for(request, ("image", "snapshot"))
        if not request.get("NoReboot") and instance["State"]["Name"] == "running":
            self.reboots[instance["InstanceId"]] = self.reboots.get(instance["InstanceId"], 0) + 1
        now = self.clock()
        account = cloud.current_scope().account
        image_id = kept.new_image_id()
        record = {
            **fixed(account, str(request["Name"])),
            "ImageId": image_id,
            "Name": request["Name"],
            "Description": request.get("Description", ""),
            "State": "pending",
            "Architecture": instance["Architecture"],
            "RootDeviceName": instance["RootDeviceName"],
            "BlockDeviceMappings": self._imaged(instance["InstanceId"], request, image_id, specified["snapshot"]),
            "CreationDate": written_time(now),
            "SourceInstanceId": instance["InstanceId"],
            "SourceImageId": instance["ImageId"],
            "SourceImageRegion": cloud.current_scope().region,
        }
        image = Image(cloud.current_scope(), record, now + self.pace.image)
        self._images[image_id] = image
        kept.set_tags(image_id, specified["image"])
        return image

    def add(self, record: Record, snapshots: Iterable[Record], tags: dict[str, str]) -> None:
        """Let there be an image as it is given, and its snapshots, with these tags."""
        account = cloud.current_scope().account
        for each in snapshots:
            kept.put_snapshot(each)
            kept.set_tags(each["SnapshotId"], tags)
        kept.set_tags(record["ImageId"], tags)
        full = {**fixed(account, record["Name"]), **record}
        self._images[record["ImageId"]] = Image(cloud.current_scope(), full, 0)

    def age(self, image_ids: Iterable[str], seconds: float) -> None:
        """Let these images have been made so many seconds earlier."""
        for image in [self._images[each] for each in image_ids if each in self._images]:
            made = datetime.fromisoformat(image.record["CreationDate"]).timestamp()
            image.record["CreationDate"] = written_time(made - seconds)

    def disable(self, image: Image) -> None:
        """Let nothing be launched from an image any more, and no other account see it. Raises Refused."""
        if image.state == "disabled":
            return
        if image.state != "available":
            raise refuse("IncorrectState", f"{image.image_id} is {image.state}")
        image.record["State"] = "disabled"
        image.shared.clear()

    def enable(self, image: Image) -> None:
        """Let a disabled image be available again."""
        if image.state == "disabled":
            image.record["State"] = "available"

    def protect(self, image: Image, protection: str) -> None:
        """Protect an image from deregistration: "enabled", "enabled-with-cooldown", or "disabled" to end it."""
        if protection == "disabled" and image.record["DeregistrationProtection"] == "enabled-with-cooldown":
            image.protected_until = self.clock() + COOLDOWN
        image.record["DeregistrationProtection"] = protection

    def deregister(self, image: Image, *, with_snapshots: bool, may_delete: Callable[[str], bool]) -> list[Record]:
        """Remove an image, and return what became of each of its snapshots. Raises Refused.

        may_delete: whether the caller may delete a snapshot.
        """
        if image.record["DeregistrationProtection"] != "disabled" or image.protected_until > self.clock():
            raise refuse("OperationNotPermitted", f"{image.image_id} is protected from deregistration")
        del self._images[image.image_id]
        kept.set_tags(image.image_id, {})
        if not with_snapshots:
            return []
        return [
            {"SnapshotId": each, "ReturnCode": self._delete_with_image(each, may_delete)} for each in image.snapshots()
        ]

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot that no image has. Raises Refused."""
        if kept.snapshot(snapshot_id) is None:
            raise no_snapshot(snapshot_id)
        user = self._user_of(snapshot_id)
        if user:
            raise snapshot_in_use(snapshot_id, user)
        kept.drop_snapshot(snapshot_id)

    def _delete_with_image(self, snapshot_id: str, may_delete: Callable[[str], bool]) -> str:
        if kept.snapshot(snapshot_id) is None:
            return "client-error"
        if self._user_of(snapshot_id):
            return "skipped"
        if not may_delete(snapshot_id):
            return "missing-permissions"
        kept.drop_snapshot(snapshot_id)
        return "success"

    def _user_of(self, snapshot_id: str) -> str | None:
        return next((each.image_id for each in self.own() if snapshot_id in each.snapshots()), None)

    def _source(self, request: Record) -> Record:
        """The instance that an image is to be made of."""
        name = str(request.get("Name", ""))
        if not NAME.fullmatch(name):
            raise refuse("InvalidAMIName.Malformed", f"{name} is no name for an image")
        instance = cloud.instance(str(request.get("InstanceId")))
        if instance is None:
            raise no_instance([str(request.get("InstanceId"))])
        if instance["State"]["Name"] not in MADE_FROM:
            raise refuse("IncorrectInstanceState", f"{instance['InstanceId']} is {instance['State']['Name']}")
        other = next((each for each in self.own() if each.record["Name"] == name), None)
        if other:
            raise duplicate_name(name, other.image_id)
        return instance

    def _imaged(self, instance_id: str, request: Record, image_id: str, tags: dict[str, str]) -> list[Record]:
        """The block device mappings of an image, with a snapshot of each volume that is attached and not left out."""
        asked = {each["DeviceName"]: each for each in request.get("BlockDeviceMappings", [])}
        mappings = []
        for volume in kept.volumes_of(instance_id):
            device = volume["Attachments"][0]["Device"]
            own = asked.get(device, {})
            if "NoDevice" in own:
                continue
            snapshot_id = kept.new_snapshot_id()
            kept.put_snapshot(
                {
                    "SnapshotId": snapshot_id,
                    "VolumeId": volume["VolumeId"],
                    "VolumeSize": volume["Size"],
                    "Description": f"Created by CreateImage({instance_id}) for {image_id}",
                    "State": "pending",
                    "StartTime": written_time(self.clock()),
                    "Progress": "0%",
                    "Encrypted": volume["Encrypted"],
                    "KmsKeyId": volume.get("KmsKeyId", ""),
                }
            )
            kept.set_tags(snapshot_id, tags)
            ebs = {
                "SnapshotId": snapshot_id,
                "VolumeSize": volume["Size"],
                "VolumeType": volume["VolumeType"],
                "Encrypted": volume["Encrypted"],
                "DeleteOnTermination": volume["Attachments"][0]["DeleteOnTermination"],
            }
            chosen = own.get("Ebs", {}).get("DeleteOnTermination")
            mappings.append(
                {"DeviceName": device, "Ebs": ebs | ({} if chosen is None else {"DeleteOnTermination": chosen})}
            )
        return mappings

    def _finish(self, image: Image) -> None:
        failed = self.failing
        image.record["State"] = "failed" if failed is not None else "available"
        if failed is not None:
            image.record["StateReason"] = {"Code": FAILED, "Message": failed}
        for each in image.snapshots():
            snapshot = kept.snapshot(each)
            if snapshot:
                snapshot.update(State="error" if failed is not None else "completed", Progress="100%")
