"""What a launch asks for: its own parameters over those of a launch template, and the volumes over its image's.

Source: Amazon EC2 API reference (RunInstances, LaunchTemplateSpecification) and user guide ("Block device mappings").
"""

from lab.aws import ministack as cloud
from lab.aws import ministack_images as kept
from lab.aws.default_encryption import encrypted
from lab.aws.dry_run import Refusal
from lab.aws.ec2_errors import Refused, invalid, refuse
from lab.aws.ministack import Record

RESOLVED = "resolve:ssm:"
"""What an image begins with that a parameter of Systems Manager names."""
NOT_DATA = frozenset({"LaunchTemplate", "ClientToken", "DryRun", "MinCount", "MaxCount"})
"""What of a request is no data that a launch template could have."""


def template_data(template: Record) -> Record:
    """Return the data of the version that a specification names; empty without one."""
    if not template:
        return {}
    data: Record = cloud.launch_template_version(template)["Data"]
    return data


def resolved(image: str) -> str:
    """Return the id of an image that may be named by a parameter. Raises Refused."""
    if not image.startswith(RESOLVED):
        return image
    parameter = kept.parameter(image.removeprefix(RESOLVED))
    if parameter is None:
        raise invalid(f"there is no parameter {image.removeprefix(RESOLVED)}")
    return parameter.value


def check_names(data: Record) -> None:
    """Raise Refused for a key pair, or a security group, that does not exist."""
    key = data.get("KeyName")
    if key and not kept.has_key_pair(key):
        raise Refused(Refusal("InvalidKeyPair.NotFound", f"The key pair '{key}' does not exist"))
    for group in security_groups(data):
        if not kept.has_security_group(group):
            raise refuse("InvalidGroup.NotFound", f"The security group '{group}' does not exist")


def subnet_of(data: Record) -> str:
    """Return the subnet of a launch, its own or that of its first interface; empty where it names none."""
    interfaces = data.get("NetworkInterfaces") or [{}]
    return str(data.get("SubnetId") or interfaces[0].get("SubnetId", ""))


def security_groups(data: Record) -> list[str]:
    """Return the security groups of a launch, its own and those of its interfaces."""
    interfaces = data.get("NetworkInterfaces", [])
    return [*data.get("SecurityGroupIds", []), *(each for one in interfaces for each in one.get("Groups", []))]


def tags_by_kind(data: Record) -> dict[str, dict[str, str]]:
    """Return the tags of a request, by the kind of resource."""
    found: dict[str, dict[str, str]] = {}
    for each in data.get("TagSpecifications", []):
        tags = {tag["Key"]: tag.get("Value", "") for tag in each.get("Tags", [])}
        found[each["ResourceType"]] = found.get(each["ResourceType"], {}) | tags
    return found


def mappings_of(image: Record, data: Record) -> list[Record]:
    """Return the volumes of a launch: those of its image, and over them those that it asks for."""
    devices = {each["DeviceName"]: dict(each.get("Ebs", {})) for each in image["BlockDeviceMappings"]}
    for each in data.get("BlockDeviceMappings", []):
        if "NoDevice" in each:
            devices.pop(each["DeviceName"], None)
        elif "Ebs" in each:
            devices[each["DeviceName"]] = {**devices.get(each["DeviceName"], {}), **each["Ebs"]}
    return [{"DeviceName": device, "Ebs": encrypted(ebs)} for device, ebs in devices.items()]
