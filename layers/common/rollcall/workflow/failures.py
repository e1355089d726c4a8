"""Why a task of a workflow failed for good, as its state machine caught it, in words for an operator. Pure.

What fails is tried again for half an hour, but a permission that is missing only for a minute (statemachines/): it does
not come by itself, and what was launched would wait. For that minute a role or a resource's tag may be so new that AWS
does not know it everywhere yet (IAM and EC2 user guides, eventual consistency).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rollcall.domain.errors import AwsDenied

from .state_texts import cut

if TYPE_CHECKING:
    from collections.abc import Mapping

REMEDY = (
    "deploy again, for the role's permissions are the template's, and see that no policy of your organization denies it"
)


def failure_words(function: str, error: Mapping[str, Any]) -> str:
    """What a task failed with. function: its name for operators. error: its Error and Cause."""
    kind, cause = str(error.get("Error", "")), str(error.get("Cause", ""))
    if kind == AwsDenied.__name__:
        return cut(f"the {function} function may not do what it has to: {_message(cause)}; {REMEDY}")
    return cut(f"the {function} function failed: {kind}: {cause}")


def _message(cause: str) -> str:
    """Of the error that a function ended in, which Lambda gives as JSON; anything else as it is."""
    try:
        described = json.loads(cause)
    except ValueError:
        return cause
    return str(described.get("errorMessage", cause)) if isinstance(described, dict) else cause
