"""What a call has to be allowed: each action on each resource, with what conditions may ask about.

Source: Service Authorization Reference ("Actions, resources, and condition keys" of Amazon EC2, Amazon EC2 Auto
Scaling, AWS Step Functions, AWS Systems Manager, AWS KMS, AWS Lambda, Amazon SQS, AWS Secrets Manager, Amazon DynamoDB
and Amazon EventBridge) and Amazon EC2 user guide ("Grant permission to tag Amazon EC2 resources during creation":
ec2:CreateTags with ec2:CreateAction; a resource that a call makes has the tags of the request, one that is there has
its own). For an encrypted volume: Amazon EBS user guide ("Requirements for Amazon EBS encryption"). For references to
images: Amazon EC2 user guide ("Identify your resources referencing specified AMIs"). Of an action that is not in the
table here only its name is judged, for its resource is not known.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from lab.aws import ministack as cloud
from lab.aws import ministack_images as kept
from lab.aws import query
from lab.aws.default_encryption import AWS_KEY
from lab.aws.image_records import public
from lab.aws.images import Images
from lab.aws.launch_data import RESOLVED, mappings_of, security_groups, subnet_of, tags_by_kind, template_data
from lab.aws.ministack import Record, Scope

ANY = "*"
LEVELLESS = ""
"""The resource of an action whose resource the lab does not know."""
ALWAYS = frozenset({"sts:GetCallerIdentity"})
"""What needs no permission."""
KEY_ACTIONS = ("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext")
"""What EC2 does with a key for the one who launches an instance with an encrypted volume,"""
COPY_ACTIONS = ("kms:ReEncryptFrom", "kms:ReEncryptTo")
"""and beside it with the key of a snapshot that the volume is made of."""
SIGNED_AS = {"monitoring": "cloudwatch", "tagging": "tag"}
"""The prefix of a service's actions, where a call is signed for another name."""
ALSO = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}
"""The action that allows a call of another name."""
KINDS = {
    "ami": "image",
    "i": "instance",
    "snap": "snapshot",
    "vol": "volume",
    "lt": "launch-template",
    "subnet": "subnet",
    "sg": "security-group",
    "eni": "network-interface",
}
OWNERLESS = ("image", "snapshot")
"""The kinds of resources in whose ARNs no account stands."""


@dataclass(frozen=True)
class Need:
    """An action on a resource. request_tags: what it would be tagged with. context: what else conditions may ask."""

    action: str
    resource: str = ANY
    request_tags: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, str | list[str]] = field(default_factory=dict)


def needs(service: str, action: str, body: bytes, path: str, images: Images) -> list[Need]:
    """Return what a call needs. service, action: as it is signed and named. path: of its URL."""
    name = ALSO.get(f"{service}:{action}", f"{SIGNED_AS.get(service, service)}:{action}")
    if name in ALWAYS:
        return []
    if service == "ec2":
        return list(_Ec2(images).needs(action, query.read(action, parse_qs(body.decode(), keep_blank_values=True))))
    if service == "autoscaling":
        return [_of_group(name, {key: value[0] for key, value in parse_qs(body.decode()).items()})]
    if service == "lambda":
        return [Need(name, _arn("lambda", f"function:{path.split('/functions/')[-1].split('/')[0]}"))]
    read = RESOURCES.get(name)
    if read is None:
        return [Need(name, LEVELLESS)]
    resources = read(json.loads(body or b"{}"))
    return [Need(name, each, {}, _key_context(each) if service == "kms" else {}) for each in resources]


def _arn(service: str, rest: str) -> str:
    scope = cloud.current_scope()
    return f"arn:aws:{service}:{scope.region}:{scope.account}:{rest}"


def ec2_arn(kind: str, resource_id: str) -> str:
    """Return the ARN of a resource of EC2."""
    scope = cloud.current_scope()
    return f"arn:aws:ec2:{scope.region}:{'' if kind in OWNERLESS else scope.account}:{kind}/{resource_id}"


def _of_group(name: str, given: Record) -> Need:
    """What a call of Auto Scaling needs: those that describe, of anything."""
    group = given.get("AutoScalingGroupName") or given.get("Tags.member.1.ResourceId", "")
    if name.partition(":")[2].startswith("Describe") or not group:
        return Need(name)
    known = cloud.group_named(group) or {}
    tags = {tag["Key"]: tag["Value"] for tag in known.get("Tags", [])}
    asked = _pairs(given, "Tags.member") if "Tags" in name else {}
    resource = known.get("AutoScalingGroupARN") or _arn(
        "autoscaling", f"autoScalingGroup:none:autoScalingGroupName/{group}"
    )
    return Need(name, resource, asked, _tag_context("autoscaling", tags))


def _pairs(given: Record, prefix: str) -> dict[str, str]:
    found, place = {}, 1
    while f"{prefix}.{place}.Key" in given:
        found[given[f"{prefix}.{place}.Key"]] = given.get(f"{prefix}.{place}.Value", "")
        place += 1
    return found


def _tag_context(service: str, tags: Mapping[str, str]) -> dict[str, str]:
    """A resource's own tags, by both names that a condition may ask for them."""
    both = ((beginning, key, value) for key, value in tags.items() for beginning in ("aws", service))
    return {f"{beginning}:resourcetag/{key}".lower(): value for beginning, key, value in both}


def _parameter_arn(name: str) -> str:
    if name.startswith("arn:"):
        return name
    known = kept.parameter(name)
    return known.arn if known else _arn("ssm", f"parameter/{name.lstrip('/')}")


def _key_arn(given: Record) -> list[str]:
    known = kept.encryption_key(str(given.get("KeyId", "")))
    return [str(known["Arn"]) if known else _arn("kms", f"key/{given.get('KeyId')}")]


def _key_context(arn: str) -> dict[str, list[str]]:
    aliases = kept.key_aliases(arn)
    return {"kms:resourcealiases": aliases} if aliases else {}


def _queue_arn(given: Record) -> list[str]:
    return [_arn("sqs", str(given["QueueUrl"]).rpartition("/")[2])]


def _secret_arn(given: Record) -> list[str]:
    named = str(given["SecretId"])
    return [named if named.startswith("arn:") else _arn("secretsmanager", f"secret:{named}")]


RESOURCES: dict[str, Callable[[Record], list[str]]] = {
    "states:StartExecution": lambda given: [given["stateMachineArn"]],
    "states:ListExecutions": lambda given: [given["stateMachineArn"]],
    "states:DescribeExecution": lambda given: [given["executionArn"]],
    "states:GetExecutionHistory": lambda given: [given["executionArn"]],
    "states:StopExecution": lambda given: [given["executionArn"]],
    "ssm:GetParameter": lambda given: [_parameter_arn(given["Name"])],
    "ssm:GetParameters": lambda given: [_parameter_arn(each) for each in given["Names"]],
    "ssm:DescribeParameters": lambda _: [ANY],
    "kms:DescribeKey": _key_arn,
    "kms:GetKeyPolicy": _key_arn,
    "kms:ListGrants": _key_arn,
    "sqs:SendMessage": _queue_arn,
    "sqs:GetQueueAttributes": _queue_arn,
    "sqs:ChangeMessageVisibility": _queue_arn,
    "secretsmanager:GetSecretValue": _secret_arn,
    "events:PutEvents": lambda given: [
        _arn("events", f"event-bus/{each.get('EventBusName', 'default').rpartition('/')[2]}")
        for each in given["Entries"]
    ],
    **{
        f"dynamodb:{each}": lambda given: [_arn("dynamodb", f"table/{given['TableName']}")]
        for each in ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan")
    },
}
"""The resources of an action in a JSON protocol, from what a call gives."""


class _Ec2:
    """What calls of EC2 need."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self._special: dict[str, Callable[[Record], Iterator[Need]]] = {
            "RunInstances": self._run,
            "CreateImage": self._create_image,
            "CreateTags": lambda request: self._tag("CreateTags", request),
            "DeleteTags": lambda request: self._tag("DeleteTags", request),
            "DescribeImageReferences": _refer,
        }

    def needs(self, action: str, request: Record) -> Iterator[Need]:
        """Yield what a call needs."""
        special = self._special.get(action)
        if special:
            yield from special(request)
            return
        named = [*request.get("InstanceIds", []), *(request[key] for key in ID_KEYS if request.get(key))]
        template = kept.template_of(request) if "LaunchTemplate" in action else None
        if template and not action.startswith("Describe"):
            named = [template["LaunchTemplateId"]]
        if action.startswith("Describe") and action not in OF_A_RESOURCE:
            named = []
        if not named:
            yield Need(f"ec2:{action}")
        for each in named:
            yield Need(f"ec2:{action}", *self._there(each))

    def _there(self, resource_id: str) -> tuple[str, Mapping[str, str], Mapping[str, str]]:
        """A resource that is there: its ARN, no tags of a request, and what conditions may ask of it."""
        kind = KINDS.get(resource_id.partition("-")[0], ANY)
        context = _tag_context("ec2", kept.tags(resource_id))
        if kind == "image":
            context |= self._of_image(resource_id)
        if kind == "subnet":
            context["ec2:vpc"] = ec2_arn("vpc", kept.vpc_of(resource_id))
        return ec2_arn(kind, resource_id), {}, context

    def _of_image(self, image_id: str) -> dict[str, str]:
        record = self._record(image_id)
        if record is None:
            return {}
        alias = record.get("ImageOwnerAlias")
        return {
            "ec2:imageid": image_id,
            "ec2:imagetype": "machine",
            "ec2:owner": str(alias or record["OwnerId"]),
            "ec2:public": str(record["Public"]).lower(),
            "ec2:rootdevicetype": "ebs",
        }

    def _record(self, image_id: str) -> Record | None:
        image = self._images.find(image_id)
        return image.record if image else next((each for each in public() if each["ImageId"] == image_id), None)

    def _tag(self, action: str, request: Record) -> Iterator[Need]:
        tags = {each["Key"]: each.get("Value", "") for each in request.get("Tags", [])}
        for each in request.get("Resources", []):
            arn, _, context = self._there(each)
            yield Need(f"ec2:{action}", arn, tags, context)

    def _create_image(self, request: Record) -> Iterator[Need]:
        tags = tags_by_kind(request)
        yield Need("ec2:CreateImage", *self._there(str(request.get("InstanceId"))))
        for kind in ("image", "snapshot"):
            yield from _made("CreateImage", kind, tags.get(kind, {}), {"ec2:owner": cloud.current_scope().account})

    def _run(self, request: Record) -> Iterator[Need]:
        template = request.get("LaunchTemplate", {})
        data = {**(template_data(template)), **request}
        image = str(data.get("ImageId", ""))
        if image.startswith(RESOLVED):
            name = image.removeprefix(RESOLVED)
            yield Need("ssm:GetParameters", _parameter_arn(name))
            parameter = kept.parameter(name)
            image = parameter.value if parameter else image
        groups = security_groups(data) or ["sg-00000001"]
        subnet = subnet_of(data) or cloud.default_subnet()
        of_template = {"ec2:launchtemplate": self._template_arn(template)} if template else {}
        for each in (image, subnet, *groups):
            arn, _, context = self._there(each)
            yield Need("ec2:RunInstances", arn, {}, {**context, **of_template})
        if data.get("KeyName"):
            yield Need("ec2:RunInstances", ec2_arn("key-pair", data["KeyName"]), {}, of_template)
        if template:
            yield Need("ec2:RunInstances", of_template["ec2:launchtemplate"], {}, of_template)
        tags = tags_by_kind(data)
        about = {**_of_instance(data), **of_template}
        yield from _made("RunInstances", "instance", tags.get("instance", {}), about)
        yield from _made("RunInstances", "network-interface", tags.get("network-interface", {}), of_template)
        known = self._record(image) or {"BlockDeviceMappings": []}
        encrypted = any(each["Ebs"].get("Encrypted") for each in mappings_of(known, data))
        of_volume = {"ec2:encrypted": str(encrypted).lower(), **of_template}
        yield from _made("RunInstances", "volume", tags.get("volume", {}), of_volume)
        for each in kept.profile_roles(data["IamInstanceProfile"]) if data.get("IamInstanceProfile") else []:
            yield Need("iam:PassRole", each, {}, {"iam:passedtoservice": "ec2.amazonaws.com"})
        yield from _of_keys(known, data)

    def _template_arn(self, template: Record) -> str:
        known = kept.template_of(template) or {}
        return ec2_arn("launch-template", str(known.get("LaunchTemplateId", ANY)))


def _refer(request: Record) -> Iterator[Need]:
    """What it needs to search each kind of resources: EC2 does so in the caller's name."""
    yield Need("ec2:DescribeImageReferences")
    asked = {each["ResourceType"] for each in request.get("ResourceTypes", [])}
    for kind, actions in SEARCHED_WITH.items():
        if request.get("IncludeAllResourceTypes") or kind in asked:
            for action in actions:
                yield Need(action, ANY, {}, {"aws:calledvia": REFERENCES_SERVICE})


REFERENCES_SERVICE = "ec2-images.amazonaws.com"
SEARCHED_WITH = {
    "ec2:Instance": ("ec2:DescribeInstances",),
    "ec2:LaunchTemplate": ("ec2:DescribeLaunchTemplates", "ec2:DescribeLaunchTemplateVersions"),
    "ssm:Parameter": ("ssm:DescribeParameters", "ssm:GetParameters"),
    "imagebuilder:ImageRecipe": ("imagebuilder:ListImageRecipes",),
    "imagebuilder:ContainerRecipe": ("imagebuilder:ListContainerRecipes", "imagebuilder:GetContainerRecipe"),
}
"""What DescribeImageReferences needs beside itself, by kind."""
ID_KEYS = ("InstanceId", "ImageId", "SnapshotId", "VolumeId")
OF_A_RESOURCE = frozenset({"DescribeImageAttribute", "DescribeInstanceAttribute", "DescribeSnapshotAttribute"})
"""What only describes and may yet be allowed for single resources."""


def _made(creating: str, kind: str, tags: Mapping[str, str], context: Mapping[str, str]) -> Iterator[Need]:
    """What it needs to make a resource, and to tag it while it is made."""
    arn = ec2_arn(kind, ANY)
    yield Need(f"ec2:{creating}", arn, tags, context)
    if tags:
        yield Need("ec2:CreateTags", arn, tags, {**context, "ec2:createaction": creating})


def _of_instance(data: Record) -> dict[str, str]:
    """What conditions may ask about an instance that is to be launched."""
    options = data.get("MetadataOptions", {})
    found = {
        "ec2:instancetype": str(cloud.type_in(data)),
        "ec2:metadatahttptokens": options.get("HttpTokens", "optional"),
        "ec2:tenancy": data.get("Placement", {}).get("Tenancy", "default"),
    }
    profile = data.get("IamInstanceProfile")
    if profile:
        named = profile.get("Arn") or f"arn:aws:iam::{cloud.current_scope().account}:instance-profile/{profile['Name']}"
        found["ec2:instanceprofile"] = named
    return found


def _of_keys(image: Record, data: Record) -> Iterator[Need]:
    """What it needs of the keys of an instance's volumes; of those of its image's snapshots more.

    The key that AWS manages for EBS anyone of the account may use through it (EBS user guide, "How Amazon EBS
    encryption works"; the key's policy).
    """
    asked = [each["Ebs"] for each in mappings_of(image, data)]
    sources = [kept.snapshot(str(each.get("SnapshotId"))) or {} for each in asked]
    copied = {each["KmsKeyId"] for each in sources if each.get("KmsKeyId")}
    via = {"kms:viaservice": f"ec2.{cloud.current_scope().region}.amazonaws.com"}
    keys = copied | {each["KmsKeyId"] for each in asked if each.get("KmsKeyId")}
    for key in sorted(each for each in keys if AWS_KEY not in kept.key_aliases(each)):
        for action in (*KEY_ACTIONS, *(COPY_ACTIONS if key in copied else ())):
            granted = {"kms:grantisforawsresource": "true"} if action == "kms:CreateGrant" else {}
            yield Need(action, _key_arn({"KeyId": key})[0], {}, {**via, **granted})


def scope_of(headers: Mapping[str, str]) -> Scope:
    """Return the account and Region that a request is signed for (Signature Version 4's scope)."""
    _, _, credential = headers.get("authorization", "").partition("Credential=")
    key, _, region, *_ = credential.partition(",")[0].split("/")
    return Scope(key, region)
