"""The parameters in instances' user data, where their groups use it: read from EC2, and never waited for long.

A host is made without them rather than not at all: what is missing, late or malformed is a warning.
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

ANSWER_TIME = (
    10.0  # seconds for a batch: EC2 answers for a hundred in five at worst while no other process reads user data
)
NOT_ALLOWED = "this installation may not read user data: deploy with UserData=true, or take the tag away"


def read_parameters(
    fleet: Fleet, tower: Tower, places: Mapping[str, tuple[str, Inventory]], *, allowed: bool
) -> dict[str, UserDataParameters]:
    """The parameters of each instance; with a warning where they cannot be followed, or not all of them.

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
    parameters = {each: _parsed(each, group, answers[each]) for each, group in groups.items()}
    names: defaultdict[Inventory, set[str]] = defaultdict(set)
    for each, own in parameters.items():
        names[places[each][1]].update(own.groups)
    taken = {inventory: _host_names(tower, inventory, wanted) for inventory, wanted in names.items() if wanted}
    return {
        each: _without_names_of_hosts(own, taken.get(places[each][1], set()), each, places[each])
        for each, own in parameters.items()
    }


def _host_names(tower: Tower, inventory: Inventory, names: set[str]) -> set[str]:
    """Which of these names hosts of an inventory have: Tower makes no group of such a name."""
    try:
        return {host.name for host in tower.hosts_named(inventory, names)}
    except RollcallError:  # making the groups meets the same error, and can report it for the right instances
        return set()


def _without_names_of_hosts(
    parameters: UserDataParameters, taken: set[str], instance_id: str, place: tuple[str, Inventory]
) -> UserDataParameters:
    """The parameters without the groups that have the name of a host. taken: such names in the instance's inventory."""
    group, inventory = place
    kept = tuple(name for name in parameters.groups if name not in taken)
    if kept == parameters.groups:
        return parameters
    what = f"a group that is called like a host of inventory {inventory.name!r}"
    warning = "; ".join(filter(None, (parameters.warning, _followed_without(instance_id, group, what))))
    return replace(parameters, groups=kept, warning=warning)


def _parsed(instance_id: str, group: str, answer: str | RollcallError) -> UserDataParameters:
    from .user_data import UnusableUserData, read_user_data  # imported where used: it slows a cold start

    if isinstance(answer, RollcallError):
        return UserDataParameters(warning=_not_followed(instance_id, group, f"{answer}: {_remedy(answer)}"))
    try:
        parameters = read_user_data(answer)
    except UnusableUserData as error:
        return UserDataParameters(warning=_not_followed(instance_id, group, str(error)))
    if not parameters.warning:
        return parameters
    return replace(parameters, warning=_followed_without(instance_id, group, parameters.warning))


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
