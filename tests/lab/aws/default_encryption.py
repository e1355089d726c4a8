"""Whether an account encrypts volumes by default, and with which key: EC2's settings for it, and what they do.

Source: Amazon EC2 API reference (GetEbsEncryptionByDefault, GetEbsDefaultKmsKeyId and their kin) and Amazon EBS user
guide ("Amazon EBS encryption", outcomes). The default key that AWS manages is named by its alias, as the examples of
the AWS CLI have it; volumes and snapshots show its ARN.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lab.aws import ministack as cloud
from lab.aws import ministack_images as kept
from lab.aws.ec2_errors import missing
from lab.aws.ministack import Record, Scope

AWS_KEY = "alias/aws/ebs"


@dataclass
class Setting:
    """Of an account in a Region. key: the ARN of a customer's key, empty for the one that AWS manages."""

    is_on: bool = False
    key: str = ""


_settings: dict[Scope, Setting] = {}


def setting() -> Setting:
    """Return the setting of the current account and Region."""
    return _settings.setdefault(cloud.current_scope(), Setting())


def encrypted(ebs: Record) -> Record:
    """Return a volume as it is encrypted: with the key that it names, its snapshot's, or the default one, or not."""
    snapshot = kept.snapshot(str(ebs.get("SnapshotId"))) or {}
    key = ebs.get("KmsKeyId") or snapshot.get("KmsKeyId")
    if not (key or ebs.get("Encrypted") or setting().is_on):
        return ebs
    key = key or setting().key or kept.managed_key(AWS_KEY)["Arn"]
    return {**ebs, "Encrypted": True, "KmsKeyId": _arn_of(key)}


def _arn_of(key: str) -> str:
    """The ARN of a key by its id or alias; what it is called where there is none."""
    return str((kept.encryption_key(key) or {}).get("Arn", key))


def _turn(*, on: bool) -> Record:
    setting().is_on = on
    return {"EbsEncryptionByDefault": on}


def _shown_key() -> Record:
    scope = cloud.current_scope()
    return {"KmsKeyId": setting().key or f"arn:aws:kms:{scope.region}:{scope.account}:{AWS_KEY}"}


def _set_key(key: str) -> Record:
    setting().key = _arn_of(key) if key else ""
    return _shown_key()


def _modified(request: Record) -> Record:
    if not request.get("KmsKeyId"):
        raise missing("KmsKeyId")
    return _set_key(str(request["KmsKeyId"]))


SERVED: dict[str, Callable[[Record], Record]] = {
    "GetEbsEncryptionByDefault": lambda _: {"EbsEncryptionByDefault": setting().is_on},
    "EnableEbsEncryptionByDefault": lambda _: _turn(on=True),
    "DisableEbsEncryptionByDefault": lambda _: _turn(on=False),
    "GetEbsDefaultKmsKeyId": lambda _: _shown_key(),
    "ModifyEbsDefaultKmsKeyId": _modified,
    "ResetEbsDefaultKmsKeyId": lambda _: _set_key(""),
}


def serve(action: str, request: Record) -> Record:
    """Answer a request. Raises Refused."""
    return SERVED[action](request)
