"""What EC2 says to a dry run of RunInstances: that it would have succeeded, or why not.

The lab knows the images that MiniStack and `IMAGES` name and those that were registered, every type of EC2's service
model but those that `NOT_OFFERED` keeps from a zone, and the subnets that there are.

Source: Amazon EC2 API reference (RunInstances; "Error codes") for the codes, and for the words that are not marked;
Amazon EC2 Auto Scaling user guide ("Troubleshoot Amazon EC2 Auto Scaling: EC2 instance launch failures") for those
about a type that a zone does not offer; IAM user guide ("Troubleshoot access denied error messages").
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from botocore.session import Session

from lab.aws import ministack as cloud
from lab.aws.ministack import Record
from lab.aws.permissions import Permissions

OURS = "(wording of the lab)"
IMAGES = frozenset({"ami-12345678"})
"""Images that are there beside MiniStack's."""
PARAMETER = "resolve:ssm:"
NOT_OFFERED = {"c": frozenset({"m7g.large", "m7g.xlarge"})}
"""Instance types that a zone does not offer, by its letter."""
ARM_FAMILY = re.compile(r"(a1|[a-z]+\d+[a-z]*g[a-z]*)[.]")
BAD, DENIED, DRY = 400, 403, 412


class Refusal(NamedTuple):
    """An error of EC2."""

    code: str
    message: str
    status: int = BAD


@dataclass(frozen=True)
class Launch:
    """What a request would launch: data of its template and its own, and where.

    template: the specification, empty without one. tags: whether the request has some.
    """

    template: Record
    own: Record
    subnet: str = ""
    zone: str = ""
    tags: bool = False


WELL = Refusal("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", DRY)


def answer(launch: Launch, permissions: Permissions, has_image: Callable[[str], bool] | None = None) -> Refusal:
    """Return what EC2 says to a dry run. has_image: whether there is an image; `is_image` if it is not given."""
    missing = _template_refusal(launch.template)
    if missing:
        return missing
    data = cloud.launch_template_version(launch.template)["Data"] | launch.own
    lacking = permissions.lacking_to_launch(data, tags=launch.tags)
    if lacking:
        words = f"User is not authorized to perform: {lacking} {OURS}"
        return Refusal("UnauthorizedOperation", f"You are not authorized to perform this operation. {words}", DENIED)
    image, kind = str(data.get("ImageId", "")), str(cloud.type_in(data))
    if not (has_image or is_image)(image):
        return no_image([image])
    if not is_type(kind):
        return Refusal("InvalidParameterValue", f"{kind} is no instance type {OURS}")
    return _place_refusal(launch, kind) or WELL


def architecture(kind: str) -> str:
    """Return the architecture of an instance type.

    Source: Amazon EC2 instance types guide ("Naming conventions": g behind the generation is AWS Graviton; a1 is, too).
    """
    family = ARM_FAMILY.match(kind)
    return "arm64" if family else "x86_64"


def is_type(kind: str) -> bool:
    """Whether there is an instance type of this name."""
    return kind in _types()


def is_image(image: str) -> bool:
    """Whether there is an image of this id; a parameter of Systems Manager is taken for one."""
    return image in IMAGES or image.startswith(PARAMETER) or cloud.image_exists(image)


def no_image(images: list[str]) -> Refusal:
    """Return what EC2 says of images that do not exist."""
    return Refusal("InvalidAMIID.NotFound", f"The specified AMI does not exist. {', '.join(images)} {OURS}")


def _template_refusal(specification: Record) -> Refusal | None:
    if not specification or cloud.launch_template_exists(specification):
        return None
    if cloud.launch_template_exists({**specification, "Version": "$Latest"}):
        return no_version(str(specification.get("Version")))
    return no_template(specification)


def no_version(version: str) -> Refusal:
    """Return what EC2 says of a version that a launch template does not have."""
    return Refusal(
        "InvalidLaunchTemplateId.VersionNotFound",
        f"The specified launch template version does not exist. {version} {OURS}",
    )


def no_template(specification: Record) -> Refusal:
    """Return what EC2 says of a launch template that does not exist."""
    if template_id := specification.get("LaunchTemplateId"):
        code, named = "InvalidLaunchTemplateId.NotFound", template_id
    else:
        code, named = "InvalidLaunchTemplateName.NotFoundException", specification.get("LaunchTemplateName")
    return Refusal(code, f"The specified launch template does not exist. {named} {OURS}")


def _place_refusal(launch: Launch, kind: str) -> Refusal | None:
    zone = launch.zone
    if launch.subnet:
        zone = cloud.subnet_zone(launch.subnet) or ""
        if not zone:
            words = f"The specified subnet does not exist. {launch.subnet} {OURS}"
            return Refusal("InvalidSubnetID.NotFound", words)
    if zone and zone not in cloud.zones():
        return Refusal("InvalidParameterValue", f"{zone} is no Availability Zone {OURS}")
    if zone and kind in NOT_OFFERED.get(zone[-1], ()):
        words = f"Your requested instance type ({kind}) is not supported in your requested Availability Zone ({zone})."
        return Refusal("Unsupported", words)
    return None


@cache
def _types() -> frozenset[str]:
    shape: Any = Session().get_service_model("ec2").shape_for("InstanceType")
    return frozenset(shape.enum)
