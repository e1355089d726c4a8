"""What an instance refresh is started with, and whether one that AWS describes was started so. Pure.

Sent are the parameters of StartInstanceRefresh. All that has a default at AWS and makes a difference is sent, for the
console's defaults are others than the API's, and a group's maintenance policy may be a third. Not sent is the warm-up,
which is the group's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .batch import maximum_healthy
from .request import Protected, RollBack, Standby

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .request import CycleRequest

STRATEGY = "Rolling"
MINIMUM_HEALTHY = 100  # percent: with a maximum above it new instances are launched before old ones are terminated
# An instance that becomes protected, or goes into Standby, after pre-flight refused none: AWS waits an hour for it.
PROTECTED = {
    Protected.REFUSE: "Wait",
    Protected.REFRESH: "Refresh",
    Protected.IGNORE: "Ignore",
    Protected.WAIT: "Wait",
}
STANDBY = {
    Standby.REFUSE: "Wait",
    Standby.TERMINATE: "Terminate",
    Standby.IGNORE: "Ignore",
    Standby.WAIT: "Wait",
}
# What a preference is where neither we nor AWS names it (Auto Scaling API reference, RefreshPreferences).
UNSAID: Mapping[str, Any] = {
    "SkipMatching": False,
    "AutoRollback": False,
    "ScaleInProtectedInstances": "Wait",
    "StandbyInstances": "Wait",
    "CheckpointPercentages": [],
    "BakeTime": 0,
}


def refresh_parameters(
    request: CycleRequest,
    configuration: Mapping[str, Any] | None,
    *,
    desired: int,
    size: int,
    skips_matching: bool,
    rolls_back: bool,
) -> dict[str, Any]:
    """The parameters of StartInstanceRefresh, as JSON holds them.

    configuration: the desired one (configuration_with); None for none: the group's own then, whatever it is by now.
    desired: the group's desired capacity; size: of a batch. skips_matching, rolls_back: what pre-flight made of the
    request.
    """
    preferences: dict[str, Any] = {
        "MinHealthyPercentage": MINIMUM_HEALTHY,
        "MaxHealthyPercentage": maximum_healthy(desired, size),
        "SkipMatching": skips_matching,
        "AutoRollback": rolls_back,
        "ScaleInProtectedInstances": PROTECTED[request.protected],
        "StandbyInstances": STANDBY[request.standby],
    }
    if request.checkpoints:
        preferences["CheckpointPercentages"] = list(request.checkpoints)
        preferences["CheckpointDelay"] = request.checkpoint_seconds
    if request.bake_seconds:
        preferences["BakeTime"] = request.bake_seconds
    if request.alarms:
        preferences["AlarmSpecification"] = {"Alarms": list(request.alarms)}
    sent = {"AutoScalingGroupName": request.group, "Strategy": STRATEGY, "Preferences": preferences}
    return sent if configuration is None else sent | {"DesiredConfiguration": dict(configuration)}


def wants_rollback(rollback: RollBack, *, possible: bool, differs: bool) -> bool:
    """Whether AWS is asked to roll back: possible as far as is known, and to another version than the target."""
    return possible and (rollback == RollBack.ON or (rollback == RollBack.AUTO and differs))


# Whether a refresh was started so


def same_as(sent: Mapping[str, Any], configuration: Mapping[str, Any] | None, preferences: Mapping[str, Any]) -> bool:
    """Whether a refresh that AWS describes has the desired configuration and the preferences that were sent.

    What AWS adds makes no difference: a template's name beside its id, defaults of a mixed policy, the group's
    warm-up. What it shows and was not sent does: a desired configuration, checkpoints, a bake time, alarms.
    """
    wanted = sent.get("DesiredConfiguration")
    if bool(wanted) != bool(configuration) or not _holds(configuration or {}, wanted or {}):
        return False
    expected = sent["Preferences"]
    return _alarms(expected) == _alarms(preferences) and all(
        _shown(preferences, key) == _shown(expected, key)
        for key in (expected.keys() | UNSAID.keys()) - {"AlarmSpecification"}
    )


def _shown(preferences: Mapping[str, Any], key: str) -> Any:
    value = preferences.get(key)
    return UNSAID.get(key) if value is None else value


def _alarms(preferences: Mapping[str, Any]) -> set[str]:
    return set((preferences.get("AlarmSpecification") or {}).get("Alarms") or ())


def _holds(shown: Any, sent: Any) -> bool:
    """Whether what is shown has all that was sent, at each depth; an object may have more, a list may not."""
    if isinstance(sent, dict):
        return isinstance(shown, dict) and all(_holds(shown.get(key), each) for key, each in sent.items())
    if isinstance(sent, (list, tuple)):
        return (
            isinstance(shown, (list, tuple))
            and len(shown) == len(sent)
            and all(_holds(one, other) for one, other in zip(shown, sent, strict=True))
        )
    return bool(shown == sent)
