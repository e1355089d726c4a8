"""EC2 launch templates: which number a version stands for, what it launches, and whether it could be launched now.

Methods raise AwsUnavailable for what passes by itself, AwsDenied or AwsRejected for the rest. Codes are those of EC2's
"Error codes for the Amazon EC2 API".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import batched
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from botocore.exceptions import ClientError

from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.domain.errors import AwsRejected

from .client import FAILURE_CODES, RATE_CODES, aws_errors, without_encoded
from .regional_clients import RegionalClients

if TYPE_CHECKING:
    from collections.abc import Collection

    from mypy_boto3_ec2.literals import InstanceTypeType
    from mypy_boto3_ec2.type_defs import (
        DescribeLaunchTemplateVersionsRequestTypeDef,
        InstanceNetworkInterfaceSpecificationTypeDef,
        RequestLaunchTemplateDataTypeDef,
        RunInstancesRequestTypeDef,
    )

NOT_THERE = "InvalidLaunchTemplate"  # begins the codes of a template or a version that does not exist
WOULD_LAUNCH = "DryRunOperation"
UNAUTHORIZED = "UnauthorizedOperation"
VERSIONS_PER_CALL = (
    200  # DescribeLaunchTemplateVersions' maximum of a page, and DeleteLaunchTemplateVersions' of a call
)
VERSION_GONE = "launchTemplateVersionDoesNotExist"
PARAMETER_IMAGE = "resolve:ssm:"  # begins an image that a parameter of Systems Manager names (EC2 user guide)
# As AWS words a denial: "User: … is not authorized to perform: ec2:RunInstances on resource: arn:… because …".
DENIED = re.compile(r"not authorized to perform: (?P<action>[\w-]+:\w+)(?: on resource: (?P<resource>\S+))?")


class TemplateVersion(NamedTuple):
    """A version of a launch template by its number.

    data: what it launches with, as AWS shows it (RequestLaunchTemplateData). description: of the version. created:
    epoch seconds. is_default: whether $Default stands for it.
    """

    template_id: str
    number: str
    data: Mapping[str, Any] = EMPTY_MAPPING
    description: str = ""
    created: float = 0.0
    is_default: bool = False

    @property
    def instance_type(self) -> str:
        """The type that it launches; empty where it names none."""
        return str(self.data.get("InstanceType", ""))

    @property
    def names_image_by_parameter(self) -> bool:
        """Whether its image is what a parameter of Systems Manager names at that moment."""
        return str(self.data.get("ImageId", "")).startswith(PARAMETER_IMAGE)


class Template(NamedTuple):
    """A launch template."""

    id: str
    name: str
    tags: Mapping[str, str] = EMPTY_MAPPING

    @property
    def specification(self) -> dict[str, str]:
        """It, as requests and answers name one."""
        return {"LaunchTemplateId": self.id, "LaunchTemplateName": self.name}


class LaunchRefusal(NamedTuple):
    """Why EC2 would launch nothing. action, resource: the permission that is missing, and on what, as far as AWS says.

    words: AWS's, without the encoded message.
    """

    code: str
    words: str
    action: str = ""
    resource: str = ""

    @property
    def is_denial(self) -> bool:
        """Whether it is about what the caller may do."""
        return self.code == UNAUTHORIZED


class LaunchTemplates(RegionalClients):
    """The launch templates of one account and Region. A template is {LaunchTemplateId} or {LaunchTemplateName}."""

    def template(self, template: Mapping[str, Any]) -> Template | None:
        """A template by its id or name, with its tags; None if it is not there."""
        named: Any = (
            {"LaunchTemplateIds": [template["LaunchTemplateId"]]}
            if template.get("LaunchTemplateId")
            else {"LaunchTemplateNames": [template["LaunchTemplateName"]]}
        )
        with aws_errors(f"DescribeLaunchTemplates {_named(template)}"):
            try:
                found = self._ec2.describe_launch_templates(**named)["LaunchTemplates"]
            except ClientError as error:
                if not error.response["Error"]["Code"].startswith(NOT_THERE):
                    raise
                return None
        tags = {each["Key"]: each["Value"] for raw in found for each in raw.get("Tags", ())}
        return next((Template(raw["LaunchTemplateId"], raw["LaunchTemplateName"], tags) for raw in found), None)

    def resolve(self, template: Mapping[str, Any], version: str) -> str:
        """The number that a version of a template stands for: a number, $Latest or $Default. Raises AwsRejected."""
        return version if version.isdecimal() else self._read(template, version).number

    def version(self, template: Mapping[str, Any], version: str) -> TemplateVersion | None:
        """A version of a template: a number, $Latest or $Default; None if template or version is not there."""
        with aws_errors(f"DescribeLaunchTemplateVersions {version} of {_named(template)}"):
            try:
                return self._described(template, version)
            except ClientError as error:
                if not error.response["Error"]["Code"].startswith(NOT_THERE):
                    raise
        return None

    def _read(self, template: Mapping[str, Any], version: str) -> TemplateVersion:
        with aws_errors(f"DescribeLaunchTemplateVersions {version} of {_named(template)}"):
            return self._described(template, version)

    def _described(self, template: Mapping[str, Any], version: str) -> TemplateVersion:
        query: DescribeLaunchTemplateVersionsRequestTypeDef = {"Versions": [version]}
        if template.get("LaunchTemplateId"):
            query["LaunchTemplateId"] = template["LaunchTemplateId"]
        else:
            query["LaunchTemplateName"] = template["LaunchTemplateName"]
        return _version(self._ec2.describe_launch_template_versions(**query)["LaunchTemplateVersions"][0])

    def versions(self, template_id: str, since: str = "") -> list[TemplateVersion]:
        """All versions of a template, the newest first; of those from a number on. Raises AwsRejected without it."""
        query: Any = {"MinVersion": since} if since else {}
        pages = self._ec2.get_paginator("describe_launch_template_versions").paginate(
            LaunchTemplateId=template_id, PaginationConfig={"PageSize": VERSIONS_PER_CALL}, **query
        )
        with aws_errors(f"DescribeLaunchTemplateVersions of {template_id}"):
            found = [_version(raw) for page in pages for raw in page["LaunchTemplateVersions"]]
        return sorted(found, key=lambda each: int(each.number), reverse=True)

    def create_version(
        self, source: TemplateVersion, changes: Mapping[str, Any], *, description: str, token: str
    ) -> TemplateVersion:
        """Make a version of a template from another one with these changes (RequestLaunchTemplateData).

        What the changes name replaces all of that in the source. Snapshots of the source's block devices are dropped
        unless the changes hold them (API reference, SourceVersion). token: a call with one that was used is the same.
        """
        with aws_errors(f"CreateLaunchTemplateVersion of {source.template_id}"):
            raw = self._ec2.create_launch_template_version(
                LaunchTemplateId=source.template_id,
                SourceVersion=source.number,
                VersionDescription=description,
                ClientToken=token,
                LaunchTemplateData=cast("RequestLaunchTemplateDataTypeDef", changes),
            )["LaunchTemplateVersion"]
        return _version(raw)

    def delete_versions(self, template_id: str, numbers: Collection[str]) -> dict[str, str]:
        """Delete versions of a template; by number, why AWS kept one. One that is gone already is no failure."""
        kept: dict[str, str] = {}
        with aws_errors(f"DeleteLaunchTemplateVersions of {template_id}"):
            for chunk in batched(numbers, VERSIONS_PER_CALL):
                answer = self._ec2.delete_launch_template_versions(LaunchTemplateId=template_id, Versions=list(chunk))
                for raw in answer.get("UnsuccessfullyDeletedLaunchTemplateVersions", ()):
                    error = raw.get("ResponseError", {})
                    if error.get("Code") != VERSION_GONE:
                        kept[str(raw["VersionNumber"])] = f"{error.get('Code', '')}: {error.get('Message', '')}"
        return kept

    def set_default_version(self, template_id: str, number: str) -> None:
        """Have $Default of a template stand for another version."""
        with aws_errors(f"ModifyLaunchTemplate {template_id}"):
            self._ec2.modify_launch_template(LaunchTemplateId=template_id, DefaultVersion=number)

    def why_not_launched(
        self, launched: TemplateVersion, *, subnet: str = "", instance_type: str = "", image: str = ""
    ) -> LaunchRefusal | None:
        """Why RunInstances would be refused, by a dry run of it; None if it would launch.

        subnet: into which; empty for what the template says. instance_type, image: instead of the template's, empty for
        its own. It does not say whether there is capacity.
        """
        parameters = _launch(launched, subnet, instance_type, image)
        with aws_errors("RunInstances"):
            try:
                self._ec2.run_instances(**parameters)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == WOULD_LAUNCH:
                    return None
                if is_passing(error, code):
                    raise
                return refusal_of(code, error.response["Error"]["Message"])
        raise AwsRejected("AWS launched something in answer to a dry run")  # which it never does


def _version(raw: Any) -> TemplateVersion:
    created = raw.get("CreateTime")
    return TemplateVersion(
        raw["LaunchTemplateId"],
        str(raw["VersionNumber"]),
        dict(raw.get("LaunchTemplateData", {})),
        raw.get("VersionDescription", ""),
        created.timestamp() if created else 0.0,
        raw.get("DefaultVersion", False),
    )


def _launch(launched: TemplateVersion, subnet: str, instance_type: str, image: str) -> RunInstancesRequestTypeDef:
    parameters: RunInstancesRequestTypeDef = {
        "DryRun": True,
        "MinCount": 1,
        "MaxCount": 1,
        "LaunchTemplate": {"LaunchTemplateId": launched.template_id, "Version": launched.number},
    }
    if instance_type:
        parameters["InstanceType"] = cast("InstanceTypeType", instance_type)
    if image:
        parameters["ImageId"] = image
    interfaces = launched.data.get("NetworkInterfaces") or []
    if subnet and interfaces:  # beside interfaces RunInstances takes no subnet of the instance (API reference)
        parameters["NetworkInterfaces"] = [_interface(each, subnet) for each in interfaces[:1]]
    elif subnet:
        parameters["SubnetId"] = subnet
    return parameters


def _interface(raw: Mapping[str, Any], subnet: str) -> InstanceNetworkInterfaceSpecificationTypeDef:
    """The first interface of a template, in this subnet: as Auto Scaling launches it."""
    kept = {key: raw[key] for key in ("AssociatePublicIpAddress", "Groups") if key in raw}
    return cast(
        "InstanceNetworkInterfaceSpecificationTypeDef",
        {**kept, "DeviceIndex": raw.get("DeviceIndex", 0), "SubnetId": subnet},
    )


def _named(template: Mapping[str, Any]) -> str:
    return str(template.get("LaunchTemplateId") or template.get("LaunchTemplateName"))


def is_passing(error: ClientError, code: str) -> bool:
    """Whether a refusal is about the moment and not about what would be launched."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    return code in RATE_CODES or code in FAILURE_CODES or status >= 500


def refusal_of(code: str, message: str) -> LaunchRefusal:
    """Why EC2 refused a launch. message: in its words."""
    words = without_encoded(message)
    named = DENIED.search(words) if code == UNAUTHORIZED else None
    return LaunchRefusal(
        code, words, named["action"] if named else "", (named["resource"] or "").rstrip(".") if named else ""
    )
