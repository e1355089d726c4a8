"""The actions of the Auto Scaling API that are about instance refreshes.

Source: Amazon EC2 Auto Scaling API reference (StartInstanceRefresh and its kin, RefreshPreferences), whose words for
its errors are used; "You are not authorized to use launch template" is from the user guide ("Troubleshoot launch
templates"). What AWS says to a request whose parts do not fit each other is not documented: those words are the lab's,
and end so. Nor is what becomes of a rollback of what is being cancelled or rolled back: here there is nothing to roll
back.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from lab.aws import configurations
from lab.aws import ministack as cloud
from lab.aws.autoscaling import Engine
from lab.aws.autoscaling_answers import RequestRefusedError, answering, named_group, page, refusing
from lab.aws.ministack import Record, Response
from lab.aws.permissions import Permissions
from lab.aws.refresh import ALL, FORWARD, Preferences, Refresh, read_preferences
from lab.aws.refreshes import OURS

MAX_RECORDS = 100
"""Refreshes a page, at most."""
MAX_ALARMS = 10
HEALTHY = "OK"
IN_PROGRESS = (
    "The request failed because an active instance refresh already exists for the specified Auto Scaling group.",
    "InstanceRefreshInProgress",
)
NOT_FOUND = (
    "The request failed because an active instance refresh or rollback for the specified Auto Scaling group was not "
    "found.",
    "ActiveInstanceRefreshNotFound",
)
IRREVERSIBLE = (
    "The request failed because a desired configuration was not found or an incompatible launch template (uses a "
    "Systems Manager parameter instead of an AMI ID) or launch template version ($Latest or $Default) is present on "
    "the Auto Scaling group.",
    "IrreversibleInstanceRefresh",
)
CONFIGURATION_HELD = (
    "An active instance refresh with a desired configuration exists. All configuration options derived from the "
    "desired configuration are not available for update while the instance refresh is active."
)
PASSING = {
    "LimitExceeded": "You have already reached a limit for your Amazon EC2 Auto Scaling resources.",
    "ResourceContention": "You already have a pending update to an Amazon EC2 Auto Scaling resource.",
}
"""Errors of these actions that come and go, and their documented meaning."""


@dataclass
class RefreshApi:
    """Answers them. refusals: how many of the next calls of an action get which passing error."""

    engine: Engine
    permissions: Permissions
    refusals: dict[str, tuple[str, int]] = field(default_factory=dict)

    def actions(self) -> dict[str, Callable[[Record], Response]]:
        """Return the actions by name."""
        handlers: dict[str, Callable[[Record], Record]] = {
            "StartInstanceRefresh": self._start,
            "DescribeInstanceRefreshes": self._describe,
            "CancelInstanceRefresh": self._cancel,
            "RollbackInstanceRefresh": self._roll_back,
        }
        return {name: refusing(name, answering(name, self._passing(name, each))) for name, each in handlers.items()}

    def refuse(self, action: str, code: str, calls: int) -> None:
        """Refuse so many calls of an action with an error that passes. Raises ValueError for one that is none."""
        if code not in PASSING:
            raise ValueError(f"{code} is none of {', '.join(PASSING)}")
        self.refusals[action] = (code, calls)

    def _passing(self, name: str, handler: Callable[[Record], Record]) -> Callable[[Record], Record]:
        def handle(params: Record) -> Record:
            code, calls = self.refusals.get(name, ("", 0))
            if calls > 0:
                self.refusals[name] = (code, calls - 1)
                raise RequestRefusedError(PASSING[code], code)
            return handler(params)

        return handle

    def _start(self, params: Record) -> Record:
        group = named_group(params)
        asked = configurations.given(cloud.structure(params, "DesiredConfiguration"))
        given = cloud.structure(params, "Preferences") or {}
        _check_preferences(given)
        preferences = read_preferences(given, group)
        if params.get("Strategy", "Rolling") != "Rolling":
            raise RequestRefusedError(f"The lab knows no strategy but Rolling {OURS}")
        _check_bounds(preferences, given)
        if self.engine.refreshes.active(group):
            raise RequestRefusedError(*IN_PROGRESS)
        previous = configurations.of(group)
        _check_configuration(asked, previous, preferences)
        self._check_permissions(asked or previous)
        _check_alarms(preferences)
        refresh = Refresh(
            cloud.current_scope(),
            group["AutoScalingGroupName"],
            group["AutoScalingGroupARN"],
            preferences,
            asked,
            previous,
            self.engine.clock(),
        )
        self.engine.refreshes.start(group, refresh, self.engine.clock())
        return {"InstanceRefreshId": refresh.refresh_id}

    def _check_permissions(self, configuration: Record) -> None:
        """Refuse a caller who could not launch what the refresh launches."""
        for specification in configurations.specifications(configuration):
            template = configurations.named(specification)
            if self.permissions.lacking_to_launch(cloud.launch_template_version(specification)["Data"]):
                words = f"You are not authorized to use launch template: {template['LaunchTemplateId']}"
                raise RequestRefusedError(words, "AccessDenied")

    def _describe(self, params: Record) -> Record:
        wanted = cloud.members(params, "InstanceRefreshIds")
        found = [
            each.described()
            for each in self.engine.refreshes.of(named_group(params))
            if not wanted or each.refresh_id in wanted
        ]
        return page(found, params, "InstanceRefreshes", MAX_RECORDS)

    def _cancel(self, params: Record) -> Record:
        group = named_group(params)
        refresh = self.engine.refreshes.active(group)
        if refresh is None:
            raise RequestRefusedError(*NOT_FOUND)
        wait = params.get("WaitForTransitioningInstances", "true") == "true"
        self.engine.refreshes.cancel(group, refresh, self.engine.clock(), wait=wait)
        return {"InstanceRefreshId": refresh.refresh_id}

    def _roll_back(self, params: Record) -> Record:
        group = named_group(params)
        refresh = self.engine.refreshes.active(group)
        if refresh is None or refresh.status not in FORWARD:
            raise RequestRefusedError(*NOT_FOUND)
        if not refresh.asked or not _is_reversible(refresh.previous):
            raise RequestRefusedError(*IRREVERSIBLE)
        self.engine.refreshes.roll_back(group, refresh, self.engine.clock(), f"Manual rollback {OURS}")
        return {"InstanceRefreshId": refresh.refresh_id}


def check_unheld(engine: Engine, group: Record, params: Record) -> None:
    """Refuse to change what a group launches from while a refresh with a desired configuration goes on."""
    refresh = engine.refreshes.active(group)
    if refresh and refresh.asked and any(cloud.structure(params, kind) for kind in configurations.KINDS):
        raise RequestRefusedError(CONFIGURATION_HELD)


def check_templates(configuration: Record) -> None:
    """Refuse a request that names a launch template twice or not at all."""
    if not configurations.names_each_template_once(configuration):
        raise RequestRefusedError(f"A launch template is named by its id or by its name, and not by both {OURS}")


def _check_preferences(given: Record) -> None:
    """Refuse preferences of which one needs another that is not given."""
    if "MaxHealthyPercentage" in given and "MinHealthyPercentage" not in given:
        raise RequestRefusedError(f"MaxHealthyPercentage needs MinHealthyPercentage {OURS}")
    if "CheckpointDelay" in given and not given.get("CheckpointPercentages"):
        raise RequestRefusedError(f"CheckpointDelay needs CheckpointPercentages {OURS}")


def _check_bounds(preferences: Preferences, given: Record) -> None:
    maximum = preferences.maximum if "MaxHealthyPercentage" in given else None
    if maximum is not None and maximum - preferences.minimum > ALL:
        raise RequestRefusedError(f"The healthy percentages are more than 100 apart {OURS}")
    if list(preferences.checkpoints) != sorted(set(preferences.checkpoints)):
        raise RequestRefusedError(f"CheckpointPercentages have to ascend {OURS}")
    if len(preferences.alarms) > MAX_ALARMS:
        raise RequestRefusedError(f"More than {MAX_ALARMS} alarms {OURS}")


def _check_configuration(asked: Record, previous: Record, preferences: Preferences) -> None:
    """Refuse a desired configuration that cannot be launched, or that does not go with the group or the preferences."""
    if asked and len([kind for kind in configurations.KINDS if asked.get(kind)]) != 1:
        raise RequestRefusedError(f"A desired configuration has a launch template or a mixed instances policy {OURS}")
    check_templates(asked)
    for specification in configurations.specifications(asked):
        if not cloud.launch_template_exists(specification):
            raise RequestRefusedError(f"There is no such launch template or version {OURS}")
    by_attributes = configurations.has_requirements(previous) or configurations.has_requirements(asked)
    if by_attributes and (asked or preferences.skip_matching):
        words = "A group with InstanceRequirements takes neither a desired configuration nor skip matching"
        raise RequestRefusedError(f"{words} {OURS}")
    if preferences.auto_rollback and (not asked or not _is_reversible(previous)):
        raise RequestRefusedError(f"AutoRollback is not possible here {OURS}")


def _check_alarms(preferences: Preferences) -> None:
    for name in preferences.alarms:
        state = cloud.alarm_state(name)
        if state != HEALTHY:
            raise RequestRefusedError(f"The alarm {name} is {state or 'not there'} {OURS}")


def _is_reversible(previous: Record) -> bool:
    """Whether a rollback can return to what a group is configured with."""
    return not configurations.follows_an_alias(previous) and not configurations.uses_a_parameter(previous)
