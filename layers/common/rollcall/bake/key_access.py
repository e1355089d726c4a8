"""Whether a bake and the group may use a customer's KMS key, by its policy and grants. Pure.

Auto Scaling's service-linked role may by the key's policy or a grant alone, for no policy of its own names keys (Auto
Scaling user guide, "Required AWS KMS key policy"). A function's role may also where the key's policy leaves it to IAM:
where it names the account. Conditions in what allows count as met, in what denies as not met: EC2 has the last word.

KMS shows the policy of a key to the account alone whose it is (KMS developer guide, "Allowing users in other accounts
to use a KMS key", GetKeyPolicy).
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.aws.encryption_keys import ENABLED, MISSING
from rollcall.domain.objections import Objection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollcall.aws.encryption_keys import KeyFacts

LAUNCH = "kms:CreateGrant"  # what a launch with an encrypted volume cannot do without
READ = "kms:Decrypt"  # nor one whose volume is made of an encrypted snapshot, and encrypted with another key
ALLOWED = "kms:CreateGrant, kms:Decrypt, kms:DescribeKey, kms:GenerateDataKeyWithoutPlaintext and kms:ReEncrypt*"
ARN_OF_KEY = re.compile(r"arn:[\w-]+:kms:[\w-]+:\d+:key/.+", re.ASCII)


class KeyUse(NamedTuple):
    """A key that a bake needs. is_source: whether it is the base image's, and the volumes get another one."""

    key: KeyFacts
    is_source: bool = False

    @property
    def encrypts(self) -> str:
        """What it encrypts, in words."""
        return "the base image" if self.is_source else "the volumes"


def key_objections(use: KeyUse, role: str, service_role: str, named: tuple[str, ...]) -> Iterator[Objection]:
    """What keeps the bake's role, or the group's service-linked one, from using a key.

    role: the ARN of the bake's, service_role: of the group's, which does not need the base image's. named: the keys
    that the stack's parameter names.
    """
    key = use.key
    shown = key.arn or key.key
    if key.state == MISSING:
        remedy = "take another base image" if use.is_source else "let the launch template's version name another one"
        yield Objection(f"key {shown}", f"KMS key {shown} encrypts {use.encrypts}, and is not there", remedy)
        return
    if key.state not in (ENABLED, ""):
        yield Objection(f"key {shown}", f"KMS key {shown} is {key.state}", "enable it, or take another one")
    if not key.is_customers:
        return
    if _is_not_named(key, named):
        yield Objection(
            f"key {shown} not named",
            f"KMS key {shown} encrypts {use.encrypts}, and bake has no permission for it",
            f"deploy with {shown} among KmsKeyArns",
        )
    if key.policy is None:
        return
    if not _may(key, READ if use.is_source else LAUNCH, role, by_account=True):
        yield _not_permitted(shown, f"the role of bake, {role}")
    if not use.is_source and not _may(key, LAUNCH, service_role, by_account=False):
        yield _not_permitted(shown, f"Auto Scaling's role of the group, {service_role}")


def key_warnings(use: KeyUse, role: str, named: tuple[str, ...]) -> Iterator[str]:
    """What could not be read of a key, with the remedy: of one that is not named nothing can be.

    role, named: as key_objections takes them.
    """
    key = use.key
    if not key.unread or _is_not_named(key, named):
        return
    who = "bake" if use.is_source else "bake and the group"
    unread = f"whether {who} may use KMS key {key.arn or key.key} could not be read"
    owner = _account_of(key.arn or key.key)
    if owner and owner != _account_of(role):
        yield f"{unread}, for it is account {owner}'s: see that its policy allows {ALLOWED} to {role}"
    else:
        yield (
            f"{unread} ({key.unread}): deploy with its ARN among KmsKeyArns, and let its policy allow kms:DescribeKey, "
            "kms:GetKeyPolicy, kms:ListGrants"
        )


def _not_permitted(key: str, who: str) -> Objection:
    return Objection(
        f"key {key}: {who.partition(',')[0]}",
        f"neither the policy of KMS key {key} nor a grant lets {who} use it",
        f"let its policy allow {ALLOWED} to this role",
    )


def _is_not_named(key: KeyFacts, named: tuple[str, ...]) -> bool:
    """Whether bake has no permission for a key; not of an alias that it could not read: of which key is not known."""
    arn = key.arn or (key.key if ARN_OF_KEY.fullmatch(key.key) else "")
    return bool(arn) and arn not in named


def _account_of(arn: str) -> str:
    """The account in an ARN; empty where there is none."""
    return arn.split(":")[4] if arn.count(":") > 4 else ""


def _may(key: KeyFacts, action: str, role: str, *, by_account: bool) -> bool:
    """Whether the policy or a grant lets a role do so with a key. What that denies no grant gives back (KMS guide)."""
    statements = (key.policy or {}).get("Statement") or []
    every = statements if isinstance(statements, list) else [statements]
    denials = [each for each in every if each.get("Effect") == "Deny" and not each.get("Condition")]
    if any(_is_about(each, action, role, by_account=True) for each in denials):
        return False
    grants = key.grantees or {}
    granted = action.removeprefix("kms:")
    if any(_is_role(principal, role) and granted in operations for principal, operations in grants.items()):
        return True
    return any(_is_about(each, action, role, by_account=by_account) for each in every if each.get("Effect") == "Allow")


def _is_about(statement: Mapping[str, Any], action: str, role: str, *, by_account: bool) -> bool:
    """Whether a statement is about such a call by a role. by_account: also where it names the role's account."""
    if not any(fnmatchcase(action.lower(), each.lower()) for each in _listed(statement.get("Action"))):
        return False
    principal = statement.get("Principal")
    named = _listed(principal.get("AWS") if isinstance(principal, dict) else principal)
    account = _account_of(role)
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
