"""What uses an image, or a version of a launch template: whatever would fail, or launch nothing, if it were gone.

There is no one answer of AWS's. DescribeImageReferences knows instances, versions of launch templates, parameters of
Systems Manager and recipes of Image Builder; of a template's versions the ten newest unless asked for more (API
reference, ResourceTypeOption). EC2 searches in the caller's name, and needs its permissions for each kind, through EC2
alone (EC2 user guide, "Identify your resources referencing specified AMIs"). It does not know the image ids in
overrides of mixed instances policies, launch configurations, fleets, what an instance refresh is about to bring, and
other accounts. So each of these is read, and what cannot be read counts as a use.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

from rollcall.domain.errors import RollcallError
from rollcall.domain.instances import LIVING, SHUTTING_DOWN
from rollcall.domain.version_aliases import DEFAULT_VERSION

from .client import AWS_CALLS_AT_ONCE, aws_errors
from .images import VALUES_PER_FILTER, Images
from .instance_refreshes import ACTIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

IMAGES_PER_REFERENCES = 10  # DescribeImageReferences' maximum of images (API reference)
VERSION_DEPTH = "10000"  # its maximum, and that of a template's versions
GROUPS_PER_PAGE = 100  # DescribeAutoScalingGroups' maximum, and DescribeLaunchConfigurations'
NOT_TERMINATED = (*LIVING, SHUTTING_DOWN)  # states in which an instance may still use its image
# States in which a fleet launches nothing any more, and never will (EC2's service model: FleetStateCode, BatchState)
FLEETS_GONE = frozenset({"deleted", "deleted_running", "deleted_terminating", "failed"})
SPOT_FLEETS_GONE = frozenset({"cancelled", "cancelled_running", "cancelled_terminating", "failed"})
TEMPLATE_KIND = "ec2:LaunchTemplate"
REFERRING_KINDS: tuple[Any, ...] = (  # those with options; of the others all are searched
    {
        "ResourceType": TEMPLATE_KIND,
        "ResourceTypeOptions": [{"OptionName": "version-depth", "OptionValues": [VERSION_DEPTH]}],
    },
    {
        "ResourceType": "ec2:Instance",
        "ResourceTypeOptions": [{"OptionName": "state-name", "OptionValues": list(NOT_TERMINATED)}],
    },
)


class Use(NamedTuple):
    """Something that names images, and versions of launch templates.

    by: in words. images: their ids. templates: specifications with LaunchTemplateId or LaunchTemplateName, and Version.
    """

    by: str
    images: tuple[str, ...] = ()
    templates: tuple[Mapping[str, Any], ...] = ()


class Uses(NamedTuple):
    """What is in use, and by what, in words.

    images: by id, those of the images in question that are. versions: of the template in question, by their numbers, or
    $Default and $Latest. versions_unread: what else may use versions, and could not be read; empty if all was.
    """

    images: Mapping[str, str]
    versions: Mapping[str, str]
    versions_unread: str = ""


class ImageUses(Images):
    """Reads what uses images and versions in one account and Region."""

    def uses(self, image_ids: Collection[str], template: Mapping[str, Any]) -> Uses:
        """What uses these images, and the versions of this template. What cannot be read uses all of them.

        template: its LaunchTemplateId and LaunchTemplateName. That versions of this template name an image is no use
        here: they are listed apart from this. Of an image the first use is found, and no more is read about it.
        """
        found: dict[str, str] = {}
        versions: dict[str, str] = {}
        unread: list[str] = []
        versions_unread = ""
        for what, read in self._of_account():
            try:
                for use in read():
                    found |= {each: use.by for each in use.images if each in image_ids and each not in found}
                    for each in use.templates:
                        if is_of_template(each, template):
                            versions.setdefault(str(each.get("Version") or DEFAULT_VERSION), use.by)
            except RollcallError as error:
                unread.append(f"{what} could not be read: {error}")
                versions_unread = versions_unread or unread[-1]
        for what, of_images in self._of_images(template):
            left = [each for each in image_ids if each not in found]
            try:
                found |= of_images(left)
            except RollcallError as error:
                unread.append(f"{what} could not be read: {error}")
        if unread:
            found |= {each: unread[0] for each in image_ids if each not in found}
        return Uses(found, versions, versions_unread)

    def _of_account(self) -> tuple[tuple[str, Callable[[], Iterable[Use]]], ...]:
        """What names images whatever they are, each read once."""
        return (
            ("Auto Scaling groups", self._groups),
            ("launch configurations", self._launch_configurations),
            ("EC2 fleets", self._fleets),
            ("Spot fleets", self._spot_fleets),
            ("parameters of Systems Manager", self._parameters),
        )

    def _of_images(
        self, template: Mapping[str, Any]
    ) -> tuple[tuple[str, Callable[[Collection[str]], Mapping[str, str]]], ...]:
        """What is read image by image, those last that take the most calls."""
        return (
            ("instances", self._instances),
            ("image references", lambda images: self._references(images, template)),
            ("launch permissions", self._shared),
        )

    # Of the account

    def _groups(self) -> Iterator[Use]:
        """Groups with their instances and warm pools, and their instance refreshes that go on."""
        pages = self._autoscaling.get_paginator("describe_auto_scaling_groups")
        with aws_errors("DescribeAutoScalingGroups"):
            groups = [
                raw
                for page in pages.paginate(PaginationConfig={"PageSize": GROUPS_PER_PAGE})
                for raw in page["AutoScalingGroups"]
            ]
        with ThreadPoolExecutor(AWS_CALLS_AT_ONCE) as pool:
            beside = list(pool.map(self._beside, groups))
        for raw, others in zip(groups, beside, strict=True):
            yield from (*_group_uses(raw), *others)

    def _beside(self, raw: Any) -> list[Use]:
        """What DescribeAutoScalingGroups does not show of a group: its warm pool, and a refresh that goes on.

        What the group goes back to if that is rolled back is its own configuration.
        """
        name = raw["AutoScalingGroupName"]
        found = []
        try:
            with aws_errors(f"DescribeInstanceRefreshes of group {name}"):
                refreshes = self._autoscaling.describe_instance_refreshes(AutoScalingGroupName=name, MaxRecords=1)
            for each in refreshes["InstanceRefreshes"]:
                if each["Status"] in ACTIVE:
                    found.append(configuration_use(f"the instance refresh of group {name}", each))
            if "WarmPoolConfiguration" in raw:
                pages = self._autoscaling.get_paginator("describe_warm_pool")
                with aws_errors(f"DescribeWarmPool of group {name}"):
                    pooled = [each for page in pages.paginate(AutoScalingGroupName=name) for each in page["Instances"]]
                found.append(_instances_use(f"the warm pool of group {name}", pooled))
        except RollcallError as error:
            cause = error.__cause__
            if not isinstance(cause, ClientError) or cause.response["Error"]["Code"] != "ValidationError":
                raise
            # the group was deleted a moment ago
        return found

    def _launch_configurations(self) -> Iterator[Use]:
        pages = self._autoscaling.get_paginator("describe_launch_configurations")
        with aws_errors("DescribeLaunchConfigurations"):
            for page in pages.paginate(PaginationConfig={"PageSize": GROUPS_PER_PAGE}):
                for raw in page["LaunchConfigurations"]:
                    yield Use(f"the launch configuration {raw['LaunchConfigurationName']}", (raw["ImageId"],))

    def _fleets(self) -> Iterator[Use]:
        """Fleets that may launch more.

        Those of type `instant` are not among them, which launch once: EC2 shows them only by their ids (API reference,
        DescribeFleets).
        """
        pages = self._ec2.get_paginator("describe_fleets")
        with aws_errors("DescribeFleets"):
            for page in pages.paginate():
                for raw in page["Fleets"]:
                    if raw.get("FleetState") not in FLEETS_GONE:
                        yield _fleet_use(f"the fleet {raw['FleetId']}", raw.get("LaunchTemplateConfigs") or (), ())

    def _spot_fleets(self) -> Iterator[Use]:
        pages = self._ec2.get_paginator("describe_spot_fleet_requests")
        with aws_errors("DescribeSpotFleetRequests"):
            for page in pages.paginate():
                for raw in page["SpotFleetRequestConfigs"]:
                    if raw.get("SpotFleetRequestState") not in SPOT_FLEETS_GONE:
                        own: Mapping[str, Any] = raw.get("SpotFleetRequestConfig") or {}
                        yield _fleet_use(
                            f"the Spot fleet {raw['SpotFleetRequestId']}",
                            own.get("LaunchTemplateConfigs") or (),
                            own.get("LaunchSpecifications") or (),
                        )

    def _parameters(self) -> Iterator[Use]:
        for name, image in self.image_parameters().items():
            yield Use(f"the parameter {name}", (image,))

    # Of single images

    def _instances(self, image_ids: Collection[str]) -> dict[str, str]:
        """Those from which an instance was launched that is not terminated: stopped ones of warm pools, too."""
        found: dict[str, str] = {}
        pages = self._ec2.get_paginator("describe_instances")
        with aws_errors("DescribeInstances"):
            for chunk in batched(image_ids, VALUES_PER_FILTER):
                filters: Any = [
                    {"Name": "image-id", "Values": list(chunk)},
                    {"Name": "instance-state-name", "Values": list(NOT_TERMINATED)},
                ]
                for page in pages.paginate(Filters=filters):
                    for raw in (each for some in page["Reservations"] for each in some["Instances"]):
                        if raw["State"]["Name"] in NOT_TERMINATED:
                            found.setdefault(raw["ImageId"], f"the instance {raw['InstanceId']}")
        return found

    def _references(self, image_ids: Collection[str], template: Mapping[str, Any]) -> dict[str, str]:
        """Those that DescribeImageReferences finds something for, beside this template."""
        own = f"launch-template/{template.get('LaunchTemplateId')}"
        found: dict[str, str] = {}
        with ThreadPoolExecutor(AWS_CALLS_AT_ONCE) as pool:
            for answer in pool.map(self._referring, batched(image_ids, IMAGES_PER_REFERENCES)):
                for raw in answer:
                    if raw.get("ResourceType") != TEMPLATE_KIND or not raw.get("Arn", "").endswith(own):
                        found.setdefault(raw["ImageId"], f"{raw.get('ResourceType')} {raw.get('Arn')}")
        return found

    def _referring(self, image_ids: Collection[str]) -> list[Any]:
        pages = self._ec2.get_paginator("describe_image_references")
        with aws_errors("DescribeImageReferences"):
            answers = pages.paginate(
                ImageIds=list(image_ids), IncludeAllResourceTypes=True, ResourceTypes=list(REFERRING_KINDS)
            )
            return [raw for page in answers for raw in page["ImageReferences"]]

    def _shared(self, image_ids: Collection[str]) -> dict[str, str]:
        """Those that other accounts may launch; one whose permissions cannot be read may be."""
        with ThreadPoolExecutor(AWS_CALLS_AT_ONCE) as pool:
            return {image: by for image, by in zip(image_ids, pool.map(self._sharing, image_ids), strict=True) if by}

    def _sharing(self, image_id: str) -> str:
        try:
            others = self.shared_with(image_id)
        except RollcallError as error:
            return f"its launch permissions could not be read: {error}"
        return f"it is shared with {', '.join(sorted(others))}" if others else ""


def is_of_template(specification: Mapping[str, Any], template: Mapping[str, Any]) -> bool:
    """Whether a specification is of a template: by the id where both have it, else by the name. Pure."""
    for key in ("LaunchTemplateId", "LaunchTemplateName"):
        if specification.get(key) and template.get(key):
            return bool(specification[key] == template[key])
    return False


def _group_uses(raw: Any) -> Iterator[Use]:
    name = raw["AutoScalingGroupName"]
    yield configuration_use(f"the group {name}", raw)
    yield _instances_use(f"an instance of group {name}", raw.get("Instances", ()))
    for tag in raw.get("Tags", ()):
        yield Use(f"the tag {tag['Key']} of group {name}", (tag.get("Value", ""),))


def configuration_use(by: str, raw: Any) -> Use:
    """The use by a launch template or mixed policy, of a group or of a refresh's desired configuration. Pure."""
    own = raw.get("DesiredConfiguration") or raw
    policy = (own.get("MixedInstancesPolicy") or {}).get("LaunchTemplate") or {}
    overrides = policy.get("Overrides") or ()
    templates = (
        own.get("LaunchTemplate"),
        policy.get("LaunchTemplateSpecification"),
        *(each.get("LaunchTemplateSpecification") for each in overrides),
    )
    images = (each.get("ImageId", "") for each in overrides)
    return Use(by, tuple(filter(None, images)), tuple(filter(None, templates)))


def _instances_use(by: str, raw: Iterable[Any]) -> Use:
    return Use(by, templates=tuple(each["LaunchTemplate"] for each in raw if each.get("LaunchTemplate")))


def _fleet_use(by: str, configurations: Iterable[Any], launches: Iterable[Any]) -> Use:
    images = [each.get("ImageId", "") for one in configurations for each in one.get("Overrides") or ()]
    images += [each.get("ImageId", "") for each in launches]
    templates = (each.get("LaunchTemplateSpecification") for each in configurations)
    return Use(by, tuple(filter(None, images)), tuple(filter(None, templates)))
