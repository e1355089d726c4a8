"""ARNs as policies compare them."""

from __future__ import annotations

import re


def arn_like(pattern: str, arn: str) -> bool:
    """Whether a pattern takes an ARN, as the conditions ArnLike and ArnEquals do, which behave alike.

    "Each of the six colon-delimited components of the ARN is checked separately and each can include multi-character
    match wildcards (*) or single-character match wildcards (?)" (IAM user guide, ARN condition operators).
    """
    wanted, given = pattern.split(":", 5), arn.split(":", 5)
    return len(wanted) == len(given) and all(
        re.fullmatch(_expression(each), text, re.DOTALL) for each, text in zip(wanted, given, strict=True)
    )


def _expression(pattern: str) -> str:
    return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
