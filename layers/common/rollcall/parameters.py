"""What instances ask for by their user data, where their groups let them: asked of EC2, and never waited for long.

A host is made without it rather than not at all: what is missing, late or malformed is a warning.
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from .errors import AwsDenied, RollcallError
from .model import Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .fleet import Fleet

ANSWER_TIME = 10.0  # seconds for a batch: EC2 answers for a hundred in five at worst if nobody else asks
NOT_ALLOWED = "this installation may not read user data: deploy with UserData=true, or take the tag away"


def read_parameters(fleet: Fleet, groups: Mapping[str, str], *, allowed: bool) -> dict[str, Parameters]:
    """What each instance asks for; with a warning where that cannot be followed, or not all of it.

    groups: by instance id the name of its group, which has the tag rollcall:user-data. allowed: the installation has
    the permission. Raises nothing of ours.
    """
    if not groups:
        return {}
    if not allowed:
        return {each: Parameters(warning=_not_followed(each, group, NOT_ALLOWED)) for each, group in groups.items()}
    answers = fleet.user_data(groups.keys(), ANSWER_TIME)
    return {each: _parameters(each, group, answers[each]) for each, group in groups.items()}


def _parameters(instance_id: str, group: str, answer: str | RollcallError) -> Parameters:
    from .user_data import UnusableUserData, read_user_data  # only those pay for it in a cold start who use it

    if isinstance(answer, RollcallError):
        return Parameters(warning=_not_followed(instance_id, group, f"{answer}: {_remedy(answer)}"))
    try:
        asked = read_user_data(answer)
    except UnusableUserData as error:
        return Parameters(warning=_not_followed(instance_id, group, str(error)))
    if not asked.warning:
        return asked
    words = f"{_named(instance_id, group)} is followed without {asked.warning}: take that out of the launch template"
    return replace(asked, warning=words)


def _not_followed(instance_id: str, group: str, why: str) -> str:
    return f"{_named(instance_id, group)} is not followed: {why}"


def _named(instance_id: str, group: str) -> str:
    return f"group {group!r}: the user data of {instance_id} (tag rollcall:user-data)"


def _remedy(error: RollcallError) -> str:
    if isinstance(error, AwsDenied):
        return "let the functions' roles call ec2:DescribeInstanceAttribute"
    return "set its variables and groups in Tower, or replace the instance"
