"""Whether a bake and the group may use a customer's KMS key, by its policy and grants. Pure.

Auto Scaling's service-linked role may by the key's policy or a grant alone, for no policy of its own names keys (Auto
Scaling user guide, "Required AWS KMS key policy"). A function's role may also where the key's policy leaves it to IAM:
where it names the account. Conditions in a policy count as met: EC2 has the last word.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from rollcall.domain.objections import Objection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollcall.aws.encryption_keys import KeyFacts

NEEDED = "kms:CreateGrant"  # what a launch with an encrypted volume cannot do without
GRANTED = "CreateGrant"


def key_objections(key: KeyFacts, role: str, service_role: str, named: tuple[str, ...]) -> Iterator[Objection]:
    """What keeps the bake's role, or the group's service-linked one, from using a key.

    role: the ARN of the bake's, service_role: of the group's. named: the keys that the stack's parameter names.
    """
    shown = key.arn or key.key
    if key.state not in ("Enabled", ""):
        yield Objection(f"key {shown}", f"KMS key {shown} is {key.state}", "enable it, or take another one")
    if not key.is_customers or (key.arn and key.policy is None):
        return
    if key.arn and key.arn not in named:
        yield Objection(
            f"key {shown} not named",
            f"KMS key {shown} encrypts the volumes, and bake has no permission for it",
            f"deploy with {shown} among KmsKeyArns",
        )
    if key.policy is None:
        return
    if not _may(key, role, by_account=True):
        yield _not_permitted(shown, f"the role of bake, {role}")
    if not _may(key, service_role, by_account=False):
        yield _not_permitted(shown, f"Auto Scaling's role of the group, {service_role}")


def key_warnings(key: KeyFacts) -> Iterator[str]:
    """What could not be read of a key, with the remedy."""
    if key.unread:
        yield (
            f"whether bake and the group may use KMS key {key.arn or key.key} could not be read ({key.unread}): deploy "
            "with its ARN among KmsKeyArns, and let its policy allow kms:DescribeKey, kms:GetKeyPolicy, kms:ListGrants"
        )


def _not_permitted(key: str, who: str) -> Objection:
    return Objection(
        f"key {key}: {who.partition(',')[0]}",
        f"neither the policy of KMS key {key} nor a grant lets {who} use it",
        f"let its policy allow {NEEDED}, kms:Decrypt, kms:DescribeKey, kms:GenerateDataKeyWithoutPlaintext and "
        "kms:ReEncrypt* to this role",
    )


def _may(key: KeyFacts, role: str, *, by_account: bool) -> bool:
    grants = key.grantees or {}
    if any(_is_role(principal, role) and GRANTED in operations for principal, operations in grants.items()):
        return True
    statements = (key.policy or {}).get("Statement") or []
    every = statements if isinstance(statements, list) else [statements]
    return any(_allows(each, role, by_account=by_account) for each in every)


def _allows(statement: Mapping[str, Any], role: str, *, by_account: bool) -> bool:
    if statement.get("Effect") != "Allow":
        return False
    if not any(fnmatchcase(NEEDED.lower(), each.lower()) for each in _listed(statement.get("Action"))):
        return False
    principal = statement.get("Principal")
    named = _listed(principal.get("AWS") if isinstance(principal, dict) else principal)
    account = role.split(":")[4] if role.count(":") > 4 else ""
    return any(
        each == "*" or _is_role(each, role) or (by_account and (each == account or each.endswith(f"::{account}:root")))
        for each in named
    )


def _is_role(principal: str, role: str) -> bool:
    """Whether a principal is the role; of a function's own role AWS does not show the path, so names are compared."""
    same_account = principal.split(":")[4:5] == role.split(":")[4:5]
    return principal == role or (same_account and principal.rpartition("/")[2] == role.rpartition("/")[2])


def _listed(value: object) -> list[str]:
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
