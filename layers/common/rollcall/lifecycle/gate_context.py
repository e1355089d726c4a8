"""What one round of a message of waiting instances works with, and what it makes of those that go on waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from rollcall.domain.reports import Note

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollcall.aws.fleet import Fleet
    from rollcall.aws.queues import Queues
    from rollcall.checks.probes import Probes
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.groups import Group, GroupSettings
    from rollcall.domain.inventories import Inventory
    from rollcall.domain.jobs import JobTemplate, Outcome
    from rollcall.domain.messages import GateMessage, Waiting
    from rollcall.domain.settings import Settings
    from rollcall.domain.verdicts import Grounds
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower


class GateContext(NamedTuple):
    """What a round works with.

    now: by this machine's clock, in epoch seconds. groups: those of the message's instances, by name, as far as AWS
    knows them. share: the largest fraction of an inventory's managed hosts that may be removed when only a message says
    that their instances are gone.
    """

    message: GateMessage
    now: float
    groups: Mapping[str, Group]
    installation: Settings
    tower: Tower
    evidence: Evidence
    fleet: Fleet
    queues: Queues
    probes: Probes
    share: float


class JobSource(NamedTuple):
    """What jobs for a group's instances are launched from; template: None if the group names none."""

    settings: GroupSettings
    inventory: Inventory
    template: JobTemplate | None


class Alerts(NamedTuple):
    """What is to be known of an instance that goes on waiting.

    alerted: an alert about it was published before, or is in the notes. notes: each with the job that it is about.
    """

    alerted: bool
    notes: tuple[tuple[int | None, Note], ...] = ()

    def alert(self, reason: str, job_id: int | None, grounds: Grounds | None = None) -> Alerts:
        """The same with an alert, unless there was one: one for each instance is enough."""
        return self if self.alerted else self.alert_again(reason, job_id, grounds)

    def alert_again(self, reason: str, job_id: int | None, grounds: Grounds | None = None) -> Alerts:
        """The same with an alert of what is to be known whatever was alerted before."""
        return Alerts(True, (*self.notes, (job_id, Note(reason, alert=True, grounds=grounds))))

    def warn(self, reason: str, job_id: int | None, grounds: Grounds | None = None) -> Alerts:
        """The same with a warning."""
        return Alerts(self.alerted, (*self.notes, (job_id, Note(reason, grounds=grounds))))


class GoingOn(NamedTuple):
    """An instance that goes on waiting: for what job, and in how many seconds it is evaluated again.

    The rest is what its next message says: see GateMessage.
    """

    waiting: Waiting
    job_id: int | None
    delay: float
    alerts: Alerts
    lost_jobs: int = 0
    relaunch_at: float = 0.0
    cancel_at: float = 0.0
    stuck_job: int | None = None


class Relaunch(NamedTuple):
    """An instance that gets another job.

    outcome: what the last one showed of it, None if none counts; hung: that one hung on it. lost_jobs: see GateMessage.
    """

    waiting: Waiting
    template: JobTemplate
    inventory: Inventory
    settings: GroupSettings
    outcome: Outcome | None
    hung: bool
    alerts: Alerts
    lost_jobs: int = 0


class OfWaiting(Protocol):
    """What is about one waiting instance."""

    @property
    def waiting(self) -> Waiting:
        """The waiting instance."""


def action_of_waiting(item: OfWaiting) -> LifecycleAction:
    """The lifecycle action of the instance that an item is about."""
    return item.waiting.action


def by_held(waiting: Iterable[Waiting]) -> tuple[list[Waiting], list[Waiting]]:
    """Those that a hook holds, and those that serve already."""
    members = list(waiting)
    held = [each for each in members if each.action.held_by_hook]
    return held, [each for each in members if not each.action.held_by_hook]


def instance_ids(waiting: Iterable[Waiting]) -> set[str]:
    """The ids of waiting instances."""
    return {each.action.instance_id for each in waiting}
