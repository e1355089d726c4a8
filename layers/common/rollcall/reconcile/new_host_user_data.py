"""What the user data of instances requests, given to the hosts that a run makes or adopts."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from rollcall.hosts.user_data_reader import read_parameters

from .steps import DriftFinding, DriftKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.instances import UserDataParameters
    from rollcall.domain.settings import Settings
    from rollcall.tower.client import Tower

    from .snapshot import Place
    from .steps import Addition, Change


class NewHostUserData:
    """Reads user data where a group lets its instances ask by it; what is wrong with it is a finding."""

    def __init__(self, settings: Settings, tower: Tower, fleet: Fleet) -> None:
        self._settings = settings
        self._tower = tower
        self._fleet = fleet

    def completed_changes(self, changes: Sequence[Change]) -> tuple[list[Change], tuple[DriftFinding, ...]]:
        """The changes; those of new hosts also with what is requested, as far as the hosts lack it."""
        places = {each.instance_id: each.new_in for each in changes if each.new_in}
        asked = self._read(places)
        completed = [
            _completed(each, asked[each.instance_id]) if each.instance_id in asked else each for each in changes
        ]
        return completed, _findings(places, asked)

    def completed_additions(self, additions: Iterable[Addition]) -> tuple[list[Addition], tuple[DriftFinding, ...]]:
        """The additions with what is requested; what was set on a host that moves is kept against it."""
        additions = list(additions)
        places = {each.instance_id: each.place for each in additions}
        asked = self._read(places)
        completed = [
            replace(each, variables={**own.variables, **each.variables}, asked_groups=own.groups)
            if (own := asked.get(each.instance_id))
            else each
            for each in additions
        ]
        return completed, _findings(places, asked)

    def _read(self, places: Mapping[str, Place]) -> dict[str, UserDataParameters]:
        return read_parameters(
            self._fleet,
            self._tower,
            {
                each: (place.settings.group, place.inventory)
                for each, place in places.items()
                if place.settings.user_data
            },
            allowed=self._settings.user_data,
        )


def _completed(change: Change, asked: UserDataParameters) -> Change:
    join = tuple(name for name in asked.groups if name not in change.host.groups and name not in change.join)
    variables = {**asked.variables, **(change.variables or {})}
    return replace(change, variables=variables, join=(*change.join, *join))


def _findings(places: Mapping[str, Place], asked: Mapping[str, UserDataParameters]) -> tuple[DriftFinding, ...]:
    return tuple(
        DriftFinding(DriftKind.USER_DATA, places[each].inventory, each, parameters.warning)
        for each, parameters in asked.items()
        if parameters.warning
    )
