"""Whether a bake and the group may use a customer's KMS key, by its policy and grants. Pure.

Auto Scaling's service-linked role may by the key's policy or a grant alone, for no policy of its own names keys (Auto
Scaling user guide, "Required AWS KMS key policy"). A function's role may also where the key's policy leaves it to IAM:
where it names the account. Conditions in what allows count as met, in what denies as not met: EC2 has the last word.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from rollcall.domain.objections import Objection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollcall.aws.encryption_keys import KeyFacts

NEEDED = "kms:CreateGrant"  # what a launch with an encrypted volume cannot do without
GRANTED = "CreateGrant"
ARN_OF_KEY = re.compile(r"arn:[\w-]+:kms:[\w-]+:\d+:key/.+", re.ASCII)


def key_objections(key: KeyFacts, role: str, service_role: str, named: tuple[str, ...]) -> Iterator[Objection]:
    """What keeps the bake's role, or the group's service-linked one, from using a key.

    role: the ARN of the bake's, service_role: of the group's. named: the keys that the stack's parameter names.
    """
    shown = key.arn or key.key
    if key.state not in ("Enabled", ""):
        yield Objection(f"key {shown}", f"KMS key {shown} is {key.state}", "enable it, or take another one")
    if not key.is_customers:
        return
    if _is_not_named(key, named):
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


def key_warnings(key: KeyFacts, named: tuple[str, ...]) -> Iterator[str]:
    """What could not be read of a key, with the remedy: of one that is not named nothing can be."""
    if key.unread and not _is_not_named(key, named):
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


def _is_not_named(key: KeyFacts, named: tuple[str, ...]) -> bool:
    """Whether bake has no permission for a key; not of an alias that it could not read: of which key is not known."""
    arn = key.arn or (key.key if ARN_OF_KEY.fullmatch(key.key) else "")
    return bool(arn) and arn not in named


def _may(key: KeyFacts, role: str, *, by_account: bool) -> bool:
    """Whether the policy or a grant lets a role use a key. What the policy denies no grant gives back (KMS guide)."""
    statements = (key.policy or {}).get("Statement") or []
    every = statements if isinstance(statements, list) else [statements]
    denials = [each for each in every if each.get("Effect") == "Deny" and not each.get("Condition")]
    if any(_is_about(each, role, by_account=True) for each in denials):
        return False
    grants = key.grantees or {}
    if any(_is_role(principal, role) and GRANTED in operations for principal, operations in grants.items()):
        return True
    return any(_is_about(each, role, by_account=by_account) for each in every if each.get("Effect") == "Allow")


def _is_about(statement: Mapping[str, Any], role: str, *, by_account: bool) -> bool:
    """Whether a statement is about the use of a key by a role. by_account: also where it names the role's account."""
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
