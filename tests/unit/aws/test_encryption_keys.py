"""KMS keys: what can be read of them, and what cannot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from rollcall.aws.encryption_keys import MISSING, EncryptionKeys, KeyFacts, role_of
from rollcall.domain.errors import AwsDenied
from unit.fakes import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"
POLICY = {"Statement": [{"Effect": "Allow"}]}
GRANT = {"GranteePrincipal": "arn:aws:iam::1:role/a", "Operations": ["CreateGrant"]}


@pytest.fixture
def keys() -> EncryptionKeys:
    return EncryptionKeys(REGION)


@pytest.fixture
def kms(keys: EncryptionKeys) -> Iterator[Stubber]:
    with Stubber(keys._client) as stub:
        yield stub
        stub.assert_no_pending_responses()


def described(**changes: Any) -> dict[str, Any]:
    return {"KeyMetadata": {"KeyId": "1", "Arn": KEY, "KeyManager": "CUSTOMER", "KeyState": "Enabled"} | changes}


def test_a_customers_key_is_read_with_its_policy_and_grants(keys: EncryptionKeys, kms: Stubber) -> None:
    kms.add_response("describe_key", described(), {"KeyId": "alias/web"})
    kms.add_response("get_key_policy", {"Policy": json.dumps(POLICY)}, {"KeyId": KEY, "PolicyName": "default"})
    kms.add_response("list_grants", {"Grants": [GRANT, {**GRANT, "Operations": ["Decrypt"]}]}, {"KeyId": KEY})
    found = keys.facts("alias/web")
    assert found == KeyFacts(
        "alias/web", KEY, policy=POLICY, grantees={"arn:aws:iam::1:role/a": frozenset({"CreateGrant", "Decrypt"})}
    )
    assert found.is_customers


def test_of_a_key_of_awss_nothing_else_is_read(keys: EncryptionKeys, kms: Stubber) -> None:
    kms.add_response("describe_key", described(KeyManager="AWS"))
    assert not keys.facts(KEY).is_customers


def test_what_may_not_be_read_is_named_and_the_rest_is_read(keys: EncryptionKeys, kms: Stubber) -> None:
    kms.add_response("describe_key", described())
    kms.add_client_error("get_key_policy", "AccessDeniedException", "no", http_status_code=400)
    kms.add_response("list_grants", {"Grants": []})
    found = keys.facts(KEY)
    assert (found.policy, found.grantees) == (None, {})
    assert found.unread.startswith(f"AWS refused kms:GetKeyPolicy of {KEY}")


def test_what_kms_refuses_to_say_of_a_key_is_named_like_what_may_not_be_read(
    keys: EncryptionKeys, kms: Stubber
) -> None:
    kms.add_response("describe_key", described())
    kms.add_client_error("get_key_policy", "NotFoundException", "not in this account")
    kms.add_client_error("list_grants", "KMSInvalidStateException", "it is being made")
    found = keys.facts(KEY)
    assert (found.state, found.policy, found.grantees) == ("Enabled", None, None)
    assert "not in this account; " in found.unread
    assert found.unread.endswith("it is being made")


def test_of_a_key_that_may_not_be_described_the_rest_is_read(keys: EncryptionKeys, kms: Stubber) -> None:
    kms.add_client_error("describe_key", "AccessDeniedException", "no", http_status_code=400)
    kms.add_response("get_key_policy", {"Policy": json.dumps(POLICY)})
    kms.add_response("list_grants", {"Grants": []})
    found = keys.facts(KEY)
    assert (found.arn, found.state, found.policy) == ("", "Enabled", POLICY)
    assert found.unread.startswith(f"AWS refused kms:DescribeKey of {KEY}")


@pytest.mark.parametrize("code", ["NotFoundException", "InvalidArnException"])
def test_a_key_that_is_not_there_is_said_to_be_so(keys: EncryptionKeys, kms: Stubber, code: str) -> None:
    kms.add_client_error("describe_key", code, "no such key")
    assert keys.facts(KEY) == KeyFacts(KEY, state=MISSING)


def test_the_role_of_a_session_is_named_without_its_path(keys: EncryptionKeys) -> None:
    assert role_of(f"arn:aws:sts::{ACCOUNT}:assumed-role/bake/f") == f"arn:aws:iam::{ACCOUNT}:role/bake"
    assert role_of(f"arn:aws:iam::{ACCOUNT}:user/ops") == f"arn:aws:iam::{ACCOUNT}:user/ops"
    with Stubber(keys._caller) as sts:
        sts.add_response("get_caller_identity", {"Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/bake/f"})
        assert keys.own_role() == f"arn:aws:iam::{ACCOUNT}:role/bake"


def test_what_an_account_encrypts_by_default_and_with_which_key(keys: EncryptionKeys) -> None:
    with Stubber(keys._ec2) as ec2:
        ec2.add_response("get_ebs_encryption_by_default", {"EbsEncryptionByDefault": True}, {})
        ec2.add_response("get_ebs_default_kms_key_id", {"KmsKeyId": KEY}, {})
        assert (keys.encrypts_by_default(), keys.default_key()) == (True, KEY)
        ec2.add_client_error("get_ebs_default_kms_key_id", "UnauthorizedOperation", "no", http_status_code=403)
        with pytest.raises(AwsDenied, match="GetEbsDefaultKmsKeyId"):
            keys.default_key()


def test_of_the_key_that_aws_manages_for_ebs_nothing_is_read(keys: EncryptionKeys, kms: Stubber) -> None:
    """A role needs no permission for it, and so has none to describe it."""
    assert not keys.facts(f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/aws/ebs").is_customers
