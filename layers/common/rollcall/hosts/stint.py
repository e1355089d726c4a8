"""The present stint of an instance in its group: when it began, and which lifecycle actions belong to it. Pure.

An instance comes back with the same id: out of a warm pool, with a new root volume. What jobs showed in a former stint
proves nothing about the present one. Register writes the stint into the marker of the instance's host before it
launches a job.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import replace
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.domain.json_input import moment_or_none
from rollcall.domain.timing import CLOCKS_APART

from .ownership import is_copy
from .variables import RESTING, STINT, is_resting, marker_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.inventories import Host


class Stint(NamedTuple):
    """since: epoch seconds by Tower's clock; jobs created before it do not count.

    tokens: of the lifecycle actions that belong to it, by the names of their hooks, the one that began it first. Empty
    where no action is known: reconcile made the host, or a group notification, or a version that knew no stints.
    """

    since: float
    tokens: Mapping[str, str] = EMPTY_MAPPING

    def written(self) -> dict[str, object]:
        """As it stands in a marker."""
        first, *others = self.tokens.items() or [("", "")]
        made: dict[str, object] = {"since": round(self.since, 3), "token": first[1]}
        if first[0]:
            made["hook"] = first[0]
        return {**made, "also": dict(others)} if others else made


def new_stint(now: float, actions: Iterable[LifecycleAction]) -> Stint:
    """A stint that begins now, by Tower's clock in epoch seconds, with these actions of one instance."""
    return Stint(now, {action.hook: action.token for action in actions if action.hook and action.token})


def stint_of(host: Host) -> Stint:
    """The stint that a host's marker names; one without begins when the host was made."""
    return read_stint(host.variables) or Stint(host.created_at)


def read_stint(variables: Mapping[str, object]) -> Stint | None:
    """The stint that is written into a host's variables; None if none is, or none that can be read."""
    raw = marker_in(variables).get(STINT)
    since = _moment_in(raw)
    if not isinstance(raw, Mapping) or since is None:
        return None
    also = raw.get("also")
    tokens = [(raw.get("hook"), raw.get("token")), *(also.items() if isinstance(also, Mapping) else ())]
    return Stint(since, {str(hook): str(token) for hook, token in tokens if hook and token})


def rested_since(variables: Mapping[str, object]) -> float | None:
    """Since when a host rests, by Tower's clock; None if it does not, or if that is not known."""
    return _moment_in(marker_in(variables).get(RESTING))


def _moment_in(raw: object) -> float | None:
    """The time in a marker's state; None if there is none that can be read, for operators may edit markers."""
    return moment_or_none(raw.get("since")) if isinstance(raw, Mapping) else None


def begins_new_stint(host: Host, action: LifecycleAction) -> bool:
    """Whether a launch action begins a new stint of the instance that has this host already.

    It does if the host rests, is a copy from another inventory, or is marked with another token of the same hook. A
    message without a token joins the marked stint: it is reconcile's, or a group's notification, which comes late. An
    action of a hook that the stint does not know joins it if it was published before the stint began, however late its
    message comes: it is of a second hook on one transition, which Auto Scaling notifies with the first, or of a stint
    that no token began. One published later is of the next stint, and its hook has taken the place of another. AWS's
    clock and Tower's may be a minute apart, which is less than a stint takes, and less than after which reconcile makes
    up for an event.
    """
    if host.marker is None or is_copy(host) or is_resting(host.variables):
        return True
    if not action.token or not action.hook:
        return False
    stint = stint_of(host)
    known = stint.tokens.get(action.hook)
    return action.at > stint.since + CLOCKS_APART if known is None else known != action.token


def may_be_of_former_stint(host: Host, action: LifecycleAction) -> bool:
    """Whether a launch action that begins a new stint may as well be of a former one, and its message have come late.

    No message shows that for certain; that its hook still waits for this action does.
    """
    if host.marker is None or is_copy(host) or not action.hook or not action.token:
        return False
    if is_resting(host.variables):
        since = rested_since(host.variables)
        return since is None or action.at < since + CLOCKS_APART
    return bool(stint_of(host).tokens)


def joined_by(stint: Stint, actions: Iterable[LifecycleAction]) -> Stint:
    """The stint with the tokens of further actions that belong to it."""
    return replace(stint, tokens={**stint.tokens, **new_stint(0, actions).tokens})
