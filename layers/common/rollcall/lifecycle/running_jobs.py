"""Jobs that run on waiting instances: when they are evaluated again, and what is done about those that hang."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.checks.registry import read_group_settings
from rollcall.domain import timing
from rollcall.domain.errors import BadSettings, RollcallError
from rollcall.domain.inventories import Inventory

from .gate_context import Alerts, GoingOn

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rollcall.domain.groups import Group, GroupSettings
    from rollcall.domain.jobs import Job, JobKind
    from rollcall.evidence.stuck_jobs import Stuck, StuckJobs

    from .gate_context import GateContext
    from .gate_observer import AtWork


class JobCancellations:
    """Cancels jobs, each at most once in a round, however many instances it is about."""

    def __init__(self, stuck_jobs: StuckJobs) -> None:
        self._stuck_jobs = stuck_jobs
        self._refusals: dict[int, str | RollcallError] = {}

    def cancel(self, job: Job) -> str:
        """Cancel a job; why that could not be, said once, and nothing if it was. Raises as StuckJobs.end does."""
        is_first = job.id not in self._refusals
        if is_first:
            self._refusals[job.id] = self._tried(job)
        refusal = self._refusals[job.id]
        if isinstance(refusal, RollcallError):
            raise refusal
        return refusal if is_first else ""

    def is_cancelled(self, job: Job) -> bool:
        """Whether a job was cancelled in this round."""
        return self._refusals.get(job.id) == ""

    def _tried(self, job: Job) -> str | RollcallError:
        try:
            return self._stuck_jobs.end(job)
        except RollcallError as error:
            return error


class RunningJobs:
    """Waits for running jobs in one round.

    message_job: the one that the message names, None if there is none. settings: of the groups in the message, by name.
    instance_ids: the message's instances of these groups.
    """

    def __init__(
        self,
        context: GateContext,
        message_job: Job | None,
        settings: Mapping[str, GroupSettings],
        instance_ids: Collection[str],
        stuck_jobs: StuckJobs,
        cancellations: JobCancellations,
    ) -> None:
        self._context = context
        self._message = context.message
        self._tower = context.tower
        self._message_job = message_job
        self._settings = settings
        self._instance_ids = instance_ids
        self._stuck_jobs = stuck_jobs
        self._cancellations = cancellations
        self._usual: dict[JobKind, Sequence[float]] = {}
        self._timeouts: dict[int, tuple[float, str]] = {}

    def is_message_job_late(self) -> bool:
        """Whether the message's job takes longer than usual ones: then it may wait for a machine that is gone."""
        job = self._message_job
        if job is None or job.started_at is None:
            return False
        usual = self._usual_durations(job.kind)
        return self._tower.now() - job.started_at > (usual[-1] if usual else self._patience())

    def wait_for(self, found: AtWork) -> GoingOn:
        """The job is not over: it is evaluated again when it may be. One that hangs is reported, and then cancelled."""
        job, message = found.job, self._message
        alerts = Alerts(message.alerted)
        if found.loss:
            alerts = alerts.alert(f"{found.loss.words} It runs, so the next one waits for its end", job.id)
        if job.started_at is None and self._tower.now() - job.created_at > timing.PENDING_TOO_LONG:
            reason = f"job {job.id} has not started for {timing.PENDING_TOO_LONG:.0f} s: look at Tower's capacity"
            alerts = alerts.alert(reason, job.id)
        cancel_at = 0.0
        stuck = self._how_stuck(job)
        if stuck:
            cancel_at, alerts = self._cancel_overdue(job, stuck, alerts)
            if message.stuck_job != job.id and not self._cancellations.is_cancelled(job):
                alerts = alerts.alert_again(stuck.words, job.id)
        return GoingOn(
            found.waiting,
            job.id,
            self._poll_delay(job),
            alerts,
            lost_jobs=message.lost_jobs if found.loss else 0,
            cancel_at=cancel_at,
            stuck_job=job.id if stuck else None,
        )

    def _cancel_overdue(self, job: Job, stuck: Stuck, alerts: Alerts) -> tuple[float, Alerts]:
        """Cancels a job that hangs for too long; until when that is not tried again, 0 unless Tower refused it.

        A refusal is noted once. It is tried again when the job has been silent for twice as long: a role may have been
        granted.
        """
        cancel_at = self._message.cancel_at if job.id == self._message.job_id else 0.0
        if not stuck.overdue or cancel_at > self._context.now:
            return cancel_at, alerts
        refusal = self._cancellations.cancel(job)
        if refusal and not cancel_at:
            alerts = alerts.warn(refusal, job.id)
        if not self._cancellations.is_cancelled(job):
            return self._context.now + stuck.silence, alerts
        reason = f"job {job.id} was stuck, and is cancelled: the hosts that answer get another job"
        return 0.0, alerts.alert_again(reason, job.id)

    def _how_stuck(self, job: Job) -> Stuck | None:
        """Whether a running job hangs, by the longest timeout of the groups of all its hosts.

        Whose these are is read only once it would be stuck by the timeouts of this message's groups.
        """
        if not self._stuck_jobs.find(job, self._patience()):
            return None
        if job.id not in self._timeouts:
            self._timeouts[job.id] = self._longest_timeout(job)
        longest, unsure = self._timeouts[job.id]
        return self._stuck_jobs.find(job, longest, unsure)

    def _longest_timeout(self, job: Job) -> tuple[float, str]:
        """The longest timeout of the groups of a job's hosts, and why there may be a longer one, empty if not."""
        others = job.hosts - set(self._instance_ids)
        if not others or job.inventory_id is None:
            return self._patience(), ""
        found = self._tower.hosts_named(Inventory(job.inventory_id, ""), others)
        names = {str(host.marker.get("group", "")) for host in found if host.marker} - self._settings.keys()
        groups = self._context.fleet.groups(names) if names else {}
        read = {name: _readable(groups.get(name)) for name in sorted(names)}
        unread = [name for name, settings in read.items() if settings is None]
        unsure = f"the rollcall:timeout of its group {unread[0]!r} is not known" if unread else ""
        return max([self._patience(), *(float(each.timeout) for each in read.values() if each)]), unsure

    def _patience(self) -> float:
        """Seconds: the longest timeout of the groups in this message."""
        return max(float(each.timeout) for each in self._settings.values())

    def _usual_durations(self, kind: JobKind) -> Sequence[float]:
        if kind not in self._usual:
            self._usual[kind] = self._tower.usual_durations(kind)
        return self._usual[kind]

    def _poll_delay(self, job: Job) -> float:
        elapsed = self._tower.now() - job.started_at if job.started_at else 0.0
        polls = self._message.polls if job.id == self._message.job_id else 0
        return timing.poll_delay(elapsed, self._usual_durations(job.kind), polls)


def _readable(group: Group | None) -> GroupSettings | None:
    """A group's settings; None if there is no such group, it did not opt in, or a tag of it cannot be read."""
    try:
        return read_group_settings(group) if group else None
    except BadSettings:
        return None
