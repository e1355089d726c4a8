"""The versions of launch templates: made, listed and deleted.

A version that is made of another one keeps what is not given anew, but no snapshot of its block device mappings. A
number is never given twice; which version $Latest is after the newest one was deleted AWS does not say: here it is the
newest that is left.

Source: Amazon EC2 API reference (CreateLaunchTemplateVersion, DescribeLaunchTemplateVersions,
DeleteLaunchTemplateVersions) and service quotas ("Launch template versions": 10,000). How many versions a page has that
names no size is not said there; the lab takes the most that may be asked for.
"""

from collections.abc import Mapping
from typing import Any

from lab.aws import ministack_images as kept
from lab.aws import query
from lab.aws.dry_run import OURS, WELL, no_template, no_version
from lab.aws.ec2_errors import Refused, invalid, mismatch, missing, refuse
from lab.aws.image_api import matches_filters
from lab.aws.image_records import written_time
from lab.aws.launch_data import RESOLVED
from lab.aws.ministack import Record

ACTIONS = ("CreateLaunchTemplateVersion", "DescribeLaunchTemplateVersions", "DeleteLaunchTemplateVersions")
MOST_VERSIONS = 10_000
MOST_NUMBER = 2**31
MOST_DELETED = 200
PAGE = 200
ALIASES = ("$Latest", "$Default")
NEXT = "NextVersionNumber"
"""Where a launch template keeps the number of its next version."""


class Versions:
    """Answers requests about versions."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._tokens: dict[tuple[str, str], tuple[Record, Record]] = {}  # the request and the version, by template

    def serve(self, action: str, request: Record) -> Record:
        """Answer a request. Raises Refused, also for a dry run that would succeed."""
        if request.get("DryRun"):
            raise Refused(WELL)
        if action == "CreateLaunchTemplateVersion":
            return {"LaunchTemplateVersion": _shown(self._create(request))}
        if action == "DeleteLaunchTemplateVersions":
            return _delete(request)
        return _describe(request)

    def seed(self, template: Record, versions: list[Record]) -> None:
        """Let a launch template have these versions, too. versions: ImageId and VersionDescription of each."""
        (newest,) = [each for each in template["Versions"] if each["VersionNumber"] == template["LatestVersionNumber"]]
        for each in versions:
            data = {**newest["LaunchTemplateData"], "ImageId": each["ImageId"]}
            self._append(template, data, each["VersionDescription"])

    def _create(self, request: Record) -> Record:
        template = _template(request)
        data = request.get("LaunchTemplateData", {})
        if not data and "SourceVersion" not in request:
            raise missing("LaunchTemplateData")
        token = (template["LaunchTemplateId"], str(request.get("ClientToken")))
        asked, made = self._tokens.get(token, ({}, {}))
        if made:
            if asked != request:
                raise mismatch(token[1])
            return made
        if "SourceVersion" in request:
            data = {**_inherited(_version(template, request["SourceVersion"])), **data}
        if len(template["Versions"]) >= MOST_VERSIONS:
            raise refuse("VersionLimitExceeded", f"{template['LaunchTemplateName']} has {MOST_VERSIONS} versions")
        version = self._append(template, data, request.get("VersionDescription", ""))
        if "ClientToken" in request:
            self._tokens[token] = (request, version)
        return version

    def _append(self, template: Record, data: Record, description: str) -> Record:
        number = template.get(NEXT, template["LatestVersionNumber"] + 1)
        version = {
            "LaunchTemplateId": template["LaunchTemplateId"],
            "LaunchTemplateName": template["LaunchTemplateName"],
            "VersionNumber": number,
            "VersionDescription": description,
            "DefaultVersion": False,
            "CreateTime": written_time(self._clock()),
            "LaunchTemplateData": data,
        }
        template["Versions"].append(version)
        template["LatestVersionNumber"] = number
        template[NEXT] = number + 1
        return version


def _inherited(version: Record) -> Record:
    """What a new version has of the one that it is made of."""
    data = kept.copied(version["LaunchTemplateData"])
    for mapping in data.get("BlockDeviceMappings", []):
        mapping.get("Ebs", {}).pop("SnapshotId", None)
    return data


def _describe(request: Record) -> Record:
    versions = [each for each in _asked(request) if matches_filters(_fields(each), {}, request.get("Filters", []))]
    shown, more = query.page(versions, request, PAGE)
    resolves = bool(request.get("ResolveAlias"))
    return {"LaunchTemplateVersions": [_shown(each, resolves=resolves) for each in shown], **more}


def _asked(request: Record) -> list[Record]:
    """The versions that a request is about, the newest first."""
    numbers = request.get("Versions", [])
    if not (request.get("LaunchTemplateId") or request.get("LaunchTemplateName")):
        if not numbers or set(numbers) - set(ALIASES):
            raise missing("LaunchTemplateId")
        return [_version(template, alias) for template in kept.templates() for alias in numbers]
    template = _template(request)
    if numbers:
        return [_version(template, number) for number in numbers]
    first, last = int(request.get("MinVersion") or 1), int(request.get("MaxVersion") or MOST_NUMBER)
    newest_first = sorted(template["Versions"], key=lambda version: -int(version["VersionNumber"]))
    return [each for each in newest_first if first <= each["VersionNumber"] <= last]


def _delete(request: Record) -> Record:
    template, numbers = _template(request), request.get("Versions", [])
    if not numbers:
        raise missing("LaunchTemplateVersion")
    if len(numbers) > MOST_DELETED:
        raise invalid(f"{len(numbers)} versions are more than {MOST_DELETED}")
    by_number = {str(each["VersionNumber"]): each for each in template["Versions"]}
    deleted, left = [], []
    for number in dict.fromkeys(numbers):
        about = {key: template[key] for key in ("LaunchTemplateId", "LaunchTemplateName")}
        about["VersionNumber"] = int(number) if number.isdecimal() else 0
        error = _refusal(template, by_number, number)
        if error:
            left.append({**about, "ResponseError": error})
        else:
            deleted.append(about)
            del by_number[number]
    template["Versions"][:] = by_number.values()
    template["LatestVersionNumber"] = max(each["VersionNumber"] for each in template["Versions"])
    return {
        "SuccessfullyDeletedLaunchTemplateVersions": deleted,
        "UnsuccessfullyDeletedLaunchTemplateVersions": left,
    }


def _refusal(template: Record, by_number: Mapping[str, Record], number: str) -> Record | None:
    """Why a version cannot be deleted; None if it can."""
    if number == str(template["DefaultVersionNumber"]):
        return {"Code": "unexpectedError", "Message": f"{number} is the default version {OURS}"}
    if number not in by_number:
        return {"Code": "launchTemplateVersionDoesNotExist", "Message": f"there is no version {number} {OURS}"}
    return None


def _template(request: Record) -> Record:
    named = {key: request[key] for key in ("LaunchTemplateId", "LaunchTemplateName") if request.get(key)}
    template = kept.template_of(named)
    if template is None:
        raise Refused(no_template(named))
    return template


def _version(template: Record, number: str) -> Record:
    aliases = {"$Latest": template["LatestVersionNumber"], "$Default": template["DefaultVersionNumber"]}
    wanted = str(aliases.get(number, number))
    versions: list[Record] = template["Versions"]
    found = next((each for each in versions if str(each["VersionNumber"]) == wanted), None)
    if found is None:
        raise Refused(no_version(number))
    return found


def _shown(version: Record, *, resolves: bool = False) -> Record:
    data = version["LaunchTemplateData"]
    image = str(data.get("ImageId", ""))
    if resolves and image.startswith(RESOLVED):
        parameter = kept.parameter(image.removeprefix(RESOLVED))
        data = {**data, "ImageId": parameter.value if parameter else image}
    if "MetadataOptions" in data:
        data = {**data, "MetadataOptions": {"State": "applied", **data["MetadataOptions"]}}
    return {**version, "CreatedBy": "arn:aws:iam::123456789012:root", "LaunchTemplateData": data}


def _fields(version: Record) -> dict[str, str]:
    data = version["LaunchTemplateData"]
    return {
        "create-time": str(version["CreateTime"]),
        "image-id": str(data.get("ImageId", "")),
        "instance-type": str(data.get("InstanceType", "")),
        "is-default-version": str(version["DefaultVersion"]).lower(),
    }
