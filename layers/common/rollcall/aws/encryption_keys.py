"""KMS keys: whose they are, and who may use them by key policy and grants, as far as that can be read.

Methods raise AwsUnavailable for what passes by itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3

from rollcall.domain.errors import AwsDenied, AwsRejected

from .client import CLIENT_CONFIG, aws_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_ec2 import EC2Client

CUSTOMER = "CUSTOMER"  # KeyManager of a key that has a policy of its owner's (API reference, KeyMetadata)
ENABLED = "Enabled"
MISSING = "not there"  # the state of a key that KMS does not know, or whose name it does not take
AWS_MANAGED = "AWS"
EBS_KEY = "alias/aws/ebs"  # ends the ARN of the key that AWS manages for EBS, which is the default of an account's own
POLICY = "default"  # the only name that a key policy has (API reference, GetKeyPolicy)


class KeyFacts(NamedTuple):
    """A key. manager, state: as KMS words them, or MISSING. unread: why not all of it could be read, empty if it was.

    policy: its document. grantees: the principals of its grants, with the operations that each is granted.
    """

    key: str
    arn: str = ""
    manager: str = CUSTOMER
    state: str = ENABLED
    policy: Mapping[str, Any] | None = None
    grantees: Mapping[str, frozenset[str]] | None = None
    unread: str = ""

    @property
    def is_customers(self) -> bool:
        """Whether its policy says who may use it, and not AWS."""
        return self.manager == CUSTOMER


class EncryptionKeys:
    """The keys of one account and Region."""

    def __init__(self, region: str) -> None:
        self._region = region

    @cached_property
    def _client(self) -> Any:
        return boto3.client("kms", region_name=self._region, config=CLIENT_CONFIG)

    @cached_property
    def _ec2(self) -> EC2Client:
        return boto3.client("ec2", region_name=self._region, config=CLIENT_CONFIG)

    @cached_property
    def _caller(self) -> Any:
        return boto3.client("sts", region_name=self._region, config=CLIENT_CONFIG)

    def facts(self, key: str) -> KeyFacts:
        """A key by its id, alias or ARN; what may not be read of it is None, and named."""
        if key.endswith(EBS_KEY):
            return KeyFacts(key, manager=AWS_MANAGED)  # anyone of the account may use it through EBS
        unread: list[str] = []

        def read[T](what: str, call: Callable[[], T]) -> T | None:
            try:
                with aws_errors(f"{what} of {key}"):
                    return call()
            except (AwsDenied, AwsRejected) as error:
                unread.append(str(error))
                return None

        try:
            with aws_errors(f"kms:DescribeKey of {key}"):
                described = self._client.describe_key(KeyId=key)["KeyMetadata"]
        except AwsDenied as error:
            unread.append(str(error))
            described = {}
        except AwsRejected:
            return KeyFacts(key, state=MISSING)
        facts = KeyFacts(
            key,
            str(described.get("Arn", "")),
            str(described.get("KeyManager", CUSTOMER)),
            str(described.get("KeyState", ENABLED)),
        )
        if not facts.is_customers:
            return facts
        named = facts.arn or key
        policy = read("kms:GetKeyPolicy", lambda: self._client.get_key_policy(KeyId=named, PolicyName=POLICY)["Policy"])
        grantees = read("kms:ListGrants", lambda: self._grantees(named))
        document = None if policy is None else json.loads(policy)
        return facts._replace(policy=document, grantees=grantees, unread="; ".join(unread))

    def _grantees(self, key: str) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for page in self._client.get_paginator("list_grants").paginate(KeyId=key):
            for raw in page["Grants"]:
                principal = raw.get("GranteePrincipal", "")
                found[principal] = found.get(principal, frozenset()) | set(raw.get("Operations", ()))
        return found

    def encrypts_by_default(self) -> bool:
        """Whether volumes are encrypted where no request says so. Raises AwsDenied, too."""
        with aws_errors("GetEbsEncryptionByDefault"):
            return self._ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"]

    def default_key(self) -> str:
        """The ARN of the key of encrypted volumes for which none is named. Raises AwsDenied, too."""
        with aws_errors("GetEbsDefaultKmsKeyId"):
            return self._ec2.get_ebs_default_kms_key_id()["KmsKeyId"]

    def own_role(self) -> str:
        """The ARN of the role that these calls are made with, without its path, which AWS does not show here."""
        with aws_errors("GetCallerIdentity"):
            arn = self._caller.get_caller_identity()["Arn"]
        return role_of(arn)


def role_of(arn: str) -> str:
    """The role of a session's ARN, arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION; another ARN as it is."""
    parts = arn.split(":", 5)
    if len(parts) < 6 or not parts[5].startswith("assumed-role/"):
        return arn
    return f"{parts[0]}:{parts[1]}:iam::{parts[4]}:role/{parts[5].split('/')[1]}"
