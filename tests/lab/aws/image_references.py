"""What DescribeImageReferences finds: the instances, launch templates and parameters that name an image.

It does not see overrides of mixed instances policies, launch configurations, fleets and other accounts.

Source: Amazon EC2 API reference (DescribeImageReferences: at most 10 images; ResourceTypeOption: `version-depth` from 1
to 10,000, 10 if it is not given; `state-name`, all if it is not given). That a launch template is found once, however
many of its versions name the image, is the lab's reading of its ARN.
"""

from collections.abc import Iterator

from lab.aws import ministack as cloud
from lab.aws import ministack_images as kept
from lab.aws import query
from lab.aws.ec2_errors import invalid, missing
from lab.aws.launch_data import RESOLVED
from lab.aws.ministack import Record

INSTANCE, TEMPLATE, PARAMETER = "ec2:Instance", "ec2:LaunchTemplate", "ssm:Parameter"
KINDS = (INSTANCE, TEMPLATE, PARAMETER)
MOST_IMAGES = 10
DEPTH, DEEPEST = 10, 10_000


def references(request: Record) -> Record:
    """Answer a request. Raises Refused."""
    images = request.get("ImageIds", [])
    if not images:
        raise missing("ImageId")
    if len(images) > MOST_IMAGES:
        raise invalid(f"{len(images)} images are more than {MOST_IMAGES}")
    options = _options(request)
    if not options:
        raise missing("ResourceType")
    found = [each for image in images for kind in options for each in _of(kind, image, options[kind])]
    shown, more = query.page(found, request)
    return {"ImageReferences": shown, **more}


def _options(request: Record) -> dict[str, dict[str, list[str]]]:
    """The options of the kinds of resources that are asked about, by kind."""
    chosen = {kind: dict[str, list[str]]() for kind in KINDS} if request.get("IncludeAllResourceTypes") else {}
    for each in request.get("ResourceTypes", []):
        given = each.get("ResourceTypeOptions", [])
        chosen[each["ResourceType"]] = {one["OptionName"]: one.get("OptionValues", []) for one in given}
    return chosen


def _of(kind: str, image: str, options: dict[str, list[str]]) -> Iterator[Record]:
    scope = cloud.current_scope()
    beginning = f"arn:aws:ec2:{scope.region}:{scope.account}"
    if kind == INSTANCE:
        states = options.get("state-name", [])
        for instance in kept.instances():
            if instance["ImageId"] == image and (not states or instance["State"]["Name"] in states):
                yield _reference(image, kind, f"{beginning}:instance/{instance['InstanceId']}")
    elif kind == TEMPLATE:
        depth = _depth(options)
        for template in kept.templates():
            if any(_image_of(each) == image for each in template["Versions"][-depth:]):
                yield _reference(image, kind, f"{beginning}:launch-template/{template['LaunchTemplateId']}")
    elif kind == PARAMETER:
        for each in kept.parameters():
            if each.data_type == "aws:ec2:image" and each.value == image:
                yield _reference(image, kind, each.arn)


def _depth(options: dict[str, list[str]]) -> int:
    (text,) = options.get("version-depth", [str(DEPTH)])
    if not text.isdecimal() or not 1 <= int(text) <= DEEPEST:
        raise invalid(f"{text} is no depth from 1 to {DEEPEST}")
    return int(text)


def _image_of(version: Record) -> str:
    """The image of a version; one that a parameter names is found through the parameter."""
    image = str(version["LaunchTemplateData"].get("ImageId", ""))
    return "" if image.startswith(RESOLVED) else image


def _reference(image: str, kind: str, arn: str) -> Record:
    return {"ImageId": image, "ResourceType": kind, "Arn": arn}
