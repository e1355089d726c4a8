"""What we replace of MiniStack's EC2: what can be launched, and where.

Dry runs, the free addresses of subnets, and the errors for images and launch templates that do not exist: MiniStack
launches in a dry run, calls 4,091 addresses free, and answers with nothing at all.
"""

from collections.abc import Callable, Mapping

from ministack.services import ec2

from lab.aws import dry_run
from lab.aws.ministack import Record, Response, launch_template_exists
from lab.aws.permissions import Permissions

SPECIFICATION = ("LaunchTemplateId", "LaunchTemplateName", "Version")
OWN = ("ImageId", "InstanceType")


def install(permissions: Permissions, free_addresses: Callable[[str], int]) -> None:
    """Put them in the place of MiniStack's. free_addresses: of a subnet."""
    serve = dict(ec2._ACTION_MAP)

    def run_instances(params: Record) -> Response:
        if str(ec2._p(params, "DryRun")).lower() != "true":
            return _answered(serve["RunInstances"], params)
        return _refused(dry_run.answer(_launch(params), permissions))

    def describe_subnets(params: Record) -> Response:
        for subnet_id, subnet in ec2._subnets.items():
            subnet["AvailableIpAddressCount"] = free_addresses(subnet_id)
        return _answered(serve["DescribeSubnets"], params)

    def describe_images(params: Record) -> Response:
        unknown = [each for each in ec2._parse_member_list(params, "ImageId") if not dry_run.is_image(each)]
        if unknown:
            return _refused(dry_run.no_image(unknown))
        return _answered(serve["DescribeImages"], params)

    def describe_versions(params: Record) -> Response:
        specification = {key: value for key in SPECIFICATION[:2] if (value := ec2._p(params, key))}
        if specification and not launch_template_exists(specification):
            return _refused(dry_run.no_template(specification))
        for version in ec2._parse_member_list(params, "LaunchTemplateVersion"):
            if specification and not launch_template_exists({**specification, "Version": version}):
                return _refused(dry_run.no_version(version))
        return _answered(serve["DescribeLaunchTemplateVersions"], params)

    def describe_templates(params: Record) -> Response:
        for key in SPECIFICATION[:2]:
            for named in ec2._parse_member_list(params, key):
                if not launch_template_exists({key: named}):
                    return _refused(dry_run.no_template({key: named}))
        return _answered(serve["DescribeLaunchTemplates"], params)

    for image in sorted(dry_run.IMAGES):
        ec2._STUB_AMIS.append((image, "lab", "An image of the lab", "", "/dev/xvda", "137112412989", "amazon"))
    ec2._ACTION_MAP.update(
        RunInstances=run_instances,
        DescribeSubnets=describe_subnets,
        DescribeImages=describe_images,
        DescribeLaunchTemplateVersions=describe_versions,
        DescribeLaunchTemplates=describe_templates,
    )


def _launch(params: Mapping[str, str]) -> dry_run.Launch:
    """Return what a request of the query protocol would launch."""
    template = {key: value for key in SPECIFICATION if (value := ec2._p(params, f"LaunchTemplate.{key}"))}
    own = {key: value for key in OWN if (value := ec2._p(params, key))}
    profile = [key for key in ("Arn", "Name") if ec2._p(params, f"IamInstanceProfile.{key}")]
    return dry_run.Launch(
        template,
        {**own, **({"IamInstanceProfile": profile} if profile else {})},
        subnet=ec2._p(params, "SubnetId"),
        zone=ec2._p(params, "Placement.AvailabilityZone"),
        tags=any(key.startswith("TagSpecification.") for key in params),
    )


def _answered(handler: Callable[[Record], Response], params: Record) -> Response:
    answered: Response = handler(params)
    return answered


def _refused(refusal: dry_run.Refusal) -> Response:
    answered: Response = ec2._error(refusal.code, refusal.message, refusal.status)
    return answered
