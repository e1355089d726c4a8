"""Images as DescribeImages shows them: those that are everybody's, and what is the same in all of them.

Source: Amazon EC2 API reference (Image, BlockDeviceMapping).
"""

from datetime import UTC, datetime

from lab.aws import ministack_images as kept
from lab.aws.ec2_errors import invalid
from lab.aws.ministack import Record


def written_time(now: float) -> str:
    """Return a moment as EC2 writes it. now: epoch seconds."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def public() -> list[Record]:
    """Return the images that are everybody's, as DescribeImages shows them."""
    return [
        {
            **fixed(each["OwnerId"], each["Name"]),
            **{name: value for name, value in each.items() if value},
            "State": "available",
            "Public": True,
            "Architecture": "arm64" if each["ImageId"] in ARM else "x86_64",
            "CreationDate": "2026-01-01T00:00:00.000Z",
            "BlockDeviceMappings": [
                {
                    "DeviceName": each["RootDeviceName"],
                    "Ebs": {
                        "SnapshotId": f"snap-{each['ImageId'].removeprefix('ami-')}",
                        "VolumeSize": 8,
                        "VolumeType": "gp3",
                        "DeleteOnTermination": True,
                        "Encrypted": False,
                    },
                }
            ],
        }
        for each in ({**image, **ARM.get(image["ImageId"], {})} for image in kept.public_images())
    ]


ARM = {
    "ami-0abcdef1234567890": {
        "Name": "al2023-ami-2023.9.20251117.1-kernel-6.1-arm64",
        "Description": "Amazon Linux 2023 AMI 2023.9.20251117.1 arm64 HVM kernel-6.1",
    }
}
"""Public images for arm64, and what they are called: MiniStack says the same architecture of all, and calls this one
Amazon Linux 2 for x86_64. The lab's groups launch t4g from it."""


def fixed(account: str, name: str) -> Record:
    """Return what is the same in all images, and what follows from an owner and a name."""
    return {
        "OwnerId": account,
        "ImageLocation": f"{account}/{name}",
        "Public": False,
        "ImageType": "machine",
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
        "RootDeviceType": "ebs",
        "VirtualizationType": "hvm",
        "Hypervisor": "xen",
        "EnaSupport": True,
        "DeregistrationProtection": "disabled",
    }


def tags_for(request: Record, kinds: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Return the tags that a request has for each kind of resource. Raises Refused for another kind."""
    found: dict[str, dict[str, str]] = {kind: {} for kind in kinds}
    for each in request.get("TagSpecifications", []):
        if each.get("ResourceType") not in kinds:
            raise invalid(f"{each.get('ResourceType')} cannot be tagged here")
        found[each["ResourceType"]] |= {tag["Key"]: tag.get("Value", "") for tag in each.get("Tags", [])}
    return found
