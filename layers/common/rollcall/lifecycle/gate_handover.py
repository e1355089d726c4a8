"""Registered instances handed to the gate: one message for all that wait for one job."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from rollcall.domain.errors import TowerUnavailable
from rollcall.domain.message_format import written
from rollcall.domain.messages import GateMessage, Waiting
from rollcall.domain.reports import Event, Note, Report
from rollcall.domain.settings import RETIRE_TAG
from rollcall.domain.stages import Stage
from rollcall.domain.timing import longest_wait, poll_delay
from rollcall.hosts.variables import left_out

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Never

    from rollcall.aws.fleet import Fleet
    from rollcall.aws.queues import Queues
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.jobs import JobKind
    from rollcall.domain.settings import Settings
    from rollcall.tower.client import Tower

    from .host_registration import Registered
    from .new_instances import NewInstance


class GateHandover:
    """Sends the registered instances of one fleet to the gate."""

    def __init__(self, settings: Settings, tower: Tower, fleet: Fleet, queues: Queues) -> None:
        self._settings = settings
        self._tower = tower
        self._fleet = fleet
        self._queues = queues

    def hand_over(self, job_id: int | None, registered: Sequence[Registered]) -> Stage[Never]:
        """Send instances of one template and one inventory that wait for one job; None where there is no template.

        All of them leave as registered. Raises what AWS answers instead of the groups, and why the queue did not
        take a message.
        """
        message = GateMessage(
            waiting=tuple(map(_waiting, registered)),
            job_id=job_id,
            since=self._tower.now(),
            heartbeat_at=min(_waiting_since(each.action) for each in registered),
        )
        delay = self._delay(registered)
        self._queues.send(self._settings.gate_queue_url, [(text, delay) for _, text in written(message)])
        return Stage((), list(map(partial(self._report, job_id), registered)))

    def _delay(self, registered: Sequence[Registered]) -> float:
        """Seconds until the gate's first round; no longer than any of the hooks may be left without a heartbeat."""
        actions = [each.action for each in registered]
        longest = longest_wait(self._fleet.groups({action.group for action in actions}), actions)
        first = registered[0].new_instance
        return min(self._first_poll(first.template.on(first.inventory)), longest) if first.template else 0

    def _first_poll(self, kind: JobKind) -> float:
        """Seconds until a job just launched may have ended."""
        try:
            return poll_delay(0, self._tower.usual_durations(kind), 0)
        except TowerUnavailable:  # no reason to keep a job that runs from the gate
            return poll_delay(0, (), 0)

    def _report(self, job_id: int | None, registered: Registered) -> Report:
        return Report(
            registered.action,
            f"registered, job {job_id}" if job_id else "registered",
            event=Event.REGISTERED,
            job=job_id,
            notes=(*self._notes(registered.new_instance), *registered.notes),
            left_out=left_out(registered.new_instance.instance),
        )

    def _notes(self, new_instance: NewInstance) -> tuple[Note, ...]:
        tag = f"group {new_instance.settings.group!r}: tag {RETIRE_TAG}"
        unfollowed = new_instance.settings.retire_job_template and not self._settings.retire_jobs
        note = f"{tag} is not followed: deploy with RetireJobs=true, or take the tag away" if unfollowed else ""
        return tuple(Note(words) for words in (note, new_instance.parameters.warning) if words)


def _waiting(registered: Registered) -> Waiting:
    return Waiting(
        action=registered.action,
        launched_at=registered.new_instance.instance.launched_at,
        address=registered.new_instance.address,
        stint_since=registered.jobs_since,
    )


def _waiting_since(action: LifecycleAction) -> float:
    """When its hook began to wait, in epoch seconds; long ago if that is not known, so that a heartbeat is due."""
    return action.at if math.isfinite(action.at) else 0.0
