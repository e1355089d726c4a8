"""The API of images and snapshots: what is read of requests, what of images is shown, and which.

Source: Amazon EC2 API reference (DescribeImages with its filters, IncludeDisabled, DescribeImageAttribute,
ModifyImageAttribute, DisableImage, DeregisterImage, DescribeImageReferences). A disabled image that is asked for by its
id is left out as any other unless IncludeDisabled is there; what AWS says then was not found.
"""

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lab.aws import ministack as cloud
from lab.aws import ministack_images as kept
from lab.aws import query
from lab.aws.dry_run import WELL
from lab.aws.ec2_errors import Refused, invalid, missing, refuse
from lab.aws.image_records import public
from lab.aws.image_references import references
from lab.aws.images import Image, Images
from lab.aws.ministack import Record, Response

ACTIONS = (
    *("CreateImage", "DescribeImages", "DisableImage", "EnableImage", "DeregisterImage", "DescribeImageAttribute"),
    *("ModifyImageAttribute", "EnableImageDeregistrationProtection", "DisableImageDeregistrationProtection"),
    *("DeleteSnapshot", "DescribeImageReferences"),
)
NEEDED = {
    "CreateImage": "InstanceId",
    "DisableImage": "ImageId",
    "EnableImage": "ImageId",
    "DeregisterImage": "ImageId",
    "EnableImageDeregistrationProtection": "ImageId",
    "DisableImageDeregistrationProtection": "ImageId",
    "DeleteSnapshot": "SnapshotId",
}
"""The parameter that a request has to have."""
OWN = "self"


def handlers(
    actions: Iterable[str], serve: Callable[[str, Record], Record]
) -> dict[str, Callable[[Mapping[str, Any]], Response]]:
    """Return handlers of actions for MiniStack. serve: answers a request, or raises Refused."""

    def handler(action: str) -> Callable[[Mapping[str, Any]], Response]:
        def handle(params: Mapping[str, Any]) -> Response:
            request = query.read(action, params)
            try:
                return query.answer(action, serve(action, request))
            except Refused as refused:
                return cloud.ec2_refusal(*refused.refusal)

        return handle

    return {action: handler(action) for action in actions}


class ImageApi:
    """Answers requests about images. may_delete: whether the caller of now may delete a snapshot."""

    def __init__(self, images: Images, may_delete: Callable[[str], bool]) -> None:
        self._images = images
        self._may_delete = may_delete
        self._served: dict[str, Callable[[Record], Record]] = {
            "CreateImage": self._create,
            "DescribeImages": self._describe,
            "DescribeImageAttribute": self._describe_attribute,
            "ModifyImageAttribute": self._modify_attribute,
            "DeregisterImage": self._deregister,
            "DescribeImageReferences": self._references,
        }

    def serve(self, action: str, request: Record) -> Record:
        """Answer a request. Raises Refused, also for a dry run that would succeed."""
        needed = NEEDED.get(action, "")
        if needed and needed not in request:
            raise missing(needed)
        if request.get("DryRun"):
            raise Refused(WELL)
        served = self._served.get(action)
        if served:
            return served(request)
        self._change(action, request)
        return {"Return": "true" if "Protection" in action else True}

    def _change(self, action: str, request: Record) -> None:
        if action == "DeleteSnapshot":
            self._images.delete_snapshot(request["SnapshotId"])
            return
        image = self._images.named(request["ImageId"])
        if action == "DisableImage":
            self._images.disable(image)
        elif action == "EnableImage":
            self._images.enable(image)
        elif action == "EnableImageDeregistrationProtection":
            self._images.protect(image, "enabled-with-cooldown" if request.get("WithCooldown") else "enabled")
        else:
            self._images.protect(image, "disabled")

    def _create(self, request: Record) -> Record:
        return {"ImageId": self._images.create(request).image_id}

    def _deregister(self, request: Record) -> Record:
        results = self._images.deregister(
            self._images.named(request["ImageId"]),
            with_snapshots=bool(request.get("DeleteAssociatedSnapshots")),
            may_delete=self._may_delete,
        )
        return {"Return": True, "DeleteSnapshotResults": results}

    def _references(self, request: Record) -> Record:
        return references(request)

    def _describe(self, request: Record) -> Record:
        asked = request.get("ImageIds", [])
        own = self._images.own()
        known = {each.image_id: _shown(each) for each in own}
        known |= {each["ImageId"]: each for each in public()}
        for image_id in asked:
            if image_id not in known:
                found = self._images.find(image_id)
                if found is None:
                    raise refuse("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
                known[image_id] = _shown(found)
        matching = [
            each
            for image_id, each in known.items()
            if (not asked or image_id in asked)
            and (each["State"] != "disabled" or request.get("IncludeDisabled"))
            and _is_owned(each, request.get("Owners", []))
            and matches_filters(_fields(each), kept.tags(image_id), request.get("Filters", []))
        ]
        shown, more = query.page(matching, request)
        return {"Images": [{**each, "Tags": _listed(kept.tags(each["ImageId"]))} for each in shown], **more}

    def _describe_attribute(self, request: Record) -> Record:
        image, attribute = self._images.named(str(request.get("ImageId"))), request.get("Attribute")
        if attribute == "launchPermission":
            return {"ImageId": image.image_id, "LaunchPermissions": image.shared}
        if attribute == "description":
            return {"ImageId": image.image_id, "Description": {"Value": image.record["Description"]}}
        raise invalid(f"{attribute} is no attribute that the lab knows")

    def _modify_attribute(self, request: Record) -> Record:
        image, change = self._images.named(str(request.get("ImageId"))), request.get("LaunchPermission", {})
        if image.state == "disabled":
            raise refuse("IncorrectState", f"{image.image_id} is disabled")
        removed = change.get("Remove", [])
        image.shared = [each for each in image.shared if each not in removed]
        image.shared += [each for each in change.get("Add", []) if each not in image.shared]
        return {}


def matches_filters(fields: Mapping[str, str], tags: Mapping[str, str], filters: Iterable[Record]) -> bool:
    """Whether something passes the filters of a request. fields: what each filter by name asks about.

    Raises Refused for a filter that is not known.
    """
    return all(_passes(fields, tags, str(each["Name"]), each.get("Values", [])) for each in filters)


def _passes(fields: Mapping[str, str], tags: Mapping[str, str], name: str, patterns: list[str]) -> bool:
    if name.startswith("tag:"):
        found = [tags[name[4:]]] if name[4:] in tags else []
    elif name == "tag-key":
        found = list(tags)
    elif name in fields:
        found = [fields[name]]
    else:
        raise invalid(f"The filter '{name}' is invalid")
    return any(fnmatch.fnmatchcase(value, pattern.replace("[", "[[]")) for value in found for pattern in patterns)


def _shown(image: Image) -> Record:
    return {**image.record, "Public": any(each.get("Group") == "all" for each in image.shared)}


def _is_owned(image: Record, owners: list[str]) -> bool:
    account = cloud.current_scope().account
    return not owners or any(
        owner == image["OwnerId"]
        or (owner == OWN and image["OwnerId"] == account)
        or owner == image.get("ImageOwnerAlias")
        for owner in owners
    )


def _fields(image: Record) -> dict[str, str]:
    """What filters ask about, by their names."""
    snapshots = [each.get("Ebs", {}).get("SnapshotId", "") for each in image["BlockDeviceMappings"]]
    return {
        "architecture": image["Architecture"],
        "block-device-mapping.snapshot-id": snapshots[0] if snapshots else "",
        "creation-date": image["CreationDate"],
        "description": image.get("Description", ""),
        "image-id": image["ImageId"],
        "image-type": image["ImageType"],
        "is-public": str(image["Public"]).lower(),
        "name": image["Name"],
        "owner-alias": image.get("ImageOwnerAlias") or "",
        "owner-id": image["OwnerId"],
        "platform": image.get("Platform", ""),
        "root-device-name": image["RootDeviceName"],
        "root-device-type": image["RootDeviceType"],
        "source-image-id": image.get("SourceImageId", ""),
        "source-instance-id": image.get("SourceInstanceId", ""),
        "state": image["State"],
        "virtualization-type": image["VirtualizationType"],
    }


def _listed(tags: Mapping[str, str]) -> list[Record]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
