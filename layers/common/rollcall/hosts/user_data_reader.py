"""What instances ask for by their user data, where their groups let them: asked of EC2, and never waited for long.

A host is made without it rather than not at all: what is missing, late or malformed is a warning.
"""

from __future__ import annotations

from collections import defaultdict
from copy import replace
from typing import TYPE_CHECKING

from rollcall.domain.errors import AwsDenied, RollcallError
from rollcall.domain.instances import UserDataParameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.inventories import Inventory
    from rollcall.tower.client import Tower

ANSWER_TIME = 10.0  # seconds for a batch: EC2 answers for a hundred in five at worst if nobody else asks
NOT_ALLOWED = "this installation may not read user data: deploy with UserData=true, or take the tag away"


def read_parameters(
    fleet: Fleet, tower: Tower, places: Mapping[str, tuple[str, Inventory]], *, allowed: bool
) -> dict[str, UserDataParameters]:
    """What each instance asks for; with a warning where that cannot be followed, or not all of it.

    places: by instance id the name of its group, which has the tag rollcall:user-data, and its inventory. allowed: the
    installation has the permission. Raises nothing of ours.
    """
    groups = {each: group for each, (group, _) in places.items()}
    if not groups:
        return {}
    if not allowed:
        return {
            each: UserDataParameters(warning=_not_followed(each, group, NOT_ALLOWED)) for each, group in groups.items()
        }
    answers = fleet.user_data(groups.keys(), ANSWER_TIME)
    asked = {each: _parameters(each, group, answers[each]) for each, group in groups.items()}
    names: defaultdict[Inventory, set[str]] = defaultdict(set)
    for each, parameters in asked.items():
        names[places[each][1]].update(parameters.groups)
    taken = {inventory: _host_names(tower, inventory, own) for inventory, own in names.items() if own}
    return {each: _without(taken.get(places[each][1], set()), each, places[each], own) for each, own in asked.items()}


def _host_names(tower: Tower, inventory: Inventory, names: set[str]) -> set[str]:
    """The names that hosts of an inventory have: Tower makes no groups that are called so."""
    try:
        return {host.name for host in tower.hosts_named(inventory, names)}
    except RollcallError:  # whoever is to make the groups meets the same, and can say of whom
        return set()


def _without(
    taken: set[str], instance_id: str, place: tuple[str, Inventory], asked: UserDataParameters
) -> UserDataParameters:
    """What an instance asks for without the groups that hosts of its inventory are called like."""
    group, inventory = place
    kept = tuple(name for name in asked.groups if name not in taken)
    if kept == asked.groups:
        return asked
    words = f"a group that is called like a host of inventory {inventory.name!r}"
    warning = "; ".join(filter(None, (asked.warning, _followed_without(instance_id, group, words))))
    return replace(asked, groups=kept, warning=warning)


def _parameters(instance_id: str, group: str, answer: str | RollcallError) -> UserDataParameters:
    from .user_data import UnusableUserData, read_user_data  # only those pay for it in a cold start who use it

    if isinstance(answer, RollcallError):
        return UserDataParameters(warning=_not_followed(instance_id, group, f"{answer}: {_remedy(answer)}"))
    try:
        asked = read_user_data(answer)
    except UnusableUserData as error:
        return UserDataParameters(warning=_not_followed(instance_id, group, str(error)))
    if not asked.warning:
        return asked
    return replace(asked, warning=_followed_without(instance_id, group, asked.warning))


def _followed_without(instance_id: str, group: str, what: str) -> str:
    return f"{_named(instance_id, group)} is followed without {what}: take that out of the launch template"


def _not_followed(instance_id: str, group: str, why: str) -> str:
    return f"{_named(instance_id, group)} is not followed: {why}"


def _named(instance_id: str, group: str) -> str:
    return f"group {group!r}: the user data of {instance_id} (tag rollcall:user-data)"


def _remedy(error: RollcallError) -> str:
    if isinstance(error, AwsDenied):
        return "let the functions' roles call ec2:DescribeInstanceAttribute"
    return "set its variables and groups in Tower, or replace the instance"
