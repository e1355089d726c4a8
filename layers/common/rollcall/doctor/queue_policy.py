"""What a queue's policy allows, as far as its statements say so plainly. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rollcall.doctor.arn_patterns import arn_like

if TYPE_CHECKING:
    from .observations import ObservedQueue


def allows(queue: ObservedQueue, service: str, source: str, account: str) -> bool:
    """Whether a queue's policy lets a service send to it for a source, as far as statements say so plainly.

    source: its ARN, or a pattern for which a pattern of the policy has to stand; account: the one of this stack, and of
    sources whose account the policy asks for. A statement with a condition of another kind is not counted; nor is one
    that denies.
    """
    return any(
        _lets(each, queue.arn, service, source, account) for each in _as_list(_read(queue.policy).get("Statement"))
    )


def _lets(statement: Any, queue: str, service: str, source: str, account: str) -> bool:
    principal, actions = statement.get("Principal"), _as_list(statement.get("Action"))
    if statement.get("Effect") != "Allow":
        return False
    if principal != "*" and service not in _as_list(principal.get("Service")):
        return False
    if not {each.lower() for each in actions} & {"sqs:sendmessage", "sqs:*"}:
        return False
    if not any(each == "*" or arn_like(each, queue) for each in _as_list(statement.get("Resource"))):
        return False
    return all(
        _meets(operator, key, _as_list(values), source, account)
        for operator, condition in statement.get("Condition", {}).items()
        for key, values in condition.items()
    )


def _meets(operator: str, key: str, values: list[Any], source: str, account: str) -> bool:
    match operator, key:
        case "ArnEquals" | "ArnLike", "aws:SourceArn":
            return any(arn_like(each, source) for each in values)
        case "StringEquals", "aws:SourceArn":
            return source in values
        case "StringEquals", "aws:SourceAccount":
            return account in values
        case _:
            return False


def _read(policy: str) -> Any:
    try:
        return json.loads(policy or "{}")
    except ValueError:
        return {}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
