"""Passing refusals of lifecycle actions that are open: what Auto Scaling answers now and then.

"No active Lifecycle Action found with …" comes although the instance still waits for that very action, and is gone with
a later try. When it comes is not documented, so a test says.
"""

from dataclasses import dataclass

from lab.aws.lifecycle import Action


@dataclass
class _Refusals:
    """Of the actions of this group, instance and hook, None for any; so many of them, and until then."""

    group: str | None
    instance_id: str | None
    hook: str | None
    calls: float
    until: float

    def concern(self, action: Action, now: float) -> bool:
        mine = (action.hook["AutoScalingGroupName"], action.instance_id, action.hook["LifecycleHookName"])
        named = (self.group, self.instance_id, self.hook)
        return self.calls > 0 and now < self.until and all(a in (None, b) for a, b in zip(named, mine, strict=True))


class StaleAnswers:
    """What CompleteLifecycleAction and RecordLifecycleActionHeartbeat refuse for a while."""

    def __init__(self) -> None:
        self._refusals: list[_Refusals] = []

    def refuse(
        self,
        now: float,
        *,
        group: str | None = None,
        instance_id: str | None = None,
        hook: str | None = None,
        calls: int | None = None,
        seconds: float | None = None,
    ) -> None:
        """Refuse the answers to these actions for so many calls and so many seconds; without either, until `clear`."""
        most = float("inf") if calls is None else calls
        until = float("inf") if seconds is None else now + seconds
        self._refusals.append(_Refusals(group, instance_id, hook, most, until))

    def clear(self) -> None:
        """Refuse none any more."""
        self._refusals.clear()

    def any(self) -> bool:
        """Whether a test said of any that they are refused."""
        return bool(self._refusals)

    def concerns(self, action: Action, now: float) -> bool:
        """Count a call about an action that is open, and return whether it is to be refused."""
        for refusals in self._refusals:
            if refusals.concern(action, now):
                refusals.calls -= 1
                return True
        return False
