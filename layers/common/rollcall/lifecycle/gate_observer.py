"""What Tower shows of waiting instances in their present stint. Reads only; what is found is acted on elsewhere."""

from __future__ import annotations

from copy import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.jobs import JobStatus, Outcome
from rollcall.domain.stages import Stage, grouped
from rollcall.domain.timing import EVENTS_TOO_LONG
from rollcall.evidence.host_outcomes import counts_for, proves_nothing
from rollcall.hosts.jobs import deciding_job
from rollcall.hosts.stint import stint_of
from rollcall.hosts.unmatched_hosts import unmatched_hosts

from .circuit_breaker import CircuitBreaker
from .gate_context import instance_ids
from .gate_decision import GateObservation, circuit_breaker_decides
from .lost_jobs import loss_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from rollcall.domain.inventories import Inventory
    from rollcall.domain.jobs import Job, JobKind, JobTemplate
    from rollcall.domain.messages import GateMessage, Waiting
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower

    from .gate_context import JobSource
    from .lost_jobs import Loss

EARLIER_EXAMINED = 3  # jobs of an instance, to find out since when it is not reached
RAN = (JobStatus.SUCCESSFUL, JobStatus.FAILED)  # of a job whose playbook came to its end


class AtWork(NamedTuple):
    """A job runs on an instance. loss: why it does not count for it, None if it does."""

    waiting: Waiting
    job: Job
    loss: Loss | None = None


class EventsPending(NamedTuple):
    """An instance's job is over, and Tower still processes the events that show what came of it."""

    waiting: Waiting
    job: Job


class WithoutJob(NamedTuple):
    """No job of its stint holds an instance. loss: what became of the one that was launched for it, None without."""

    waiting: Waiting
    loss: Loss | None = None


class Observed(NamedTuple):
    """An instance of which enough is known to decide about it.

    job_id: of the job that decides, None if the group has none. ran: that job ran its playbook to an end. hung: it was
    ended while it hung on this instance. provisioned_at: when it ended, if it went well, in epoch seconds. may_serve:
    nothing but its load balancers may speak against it, so it may be among their targets. failed_checks: as the tag
    spells them.
    """

    waiting: Waiting
    job_id: int | None
    observation: GateObservation
    ran: bool = False
    hung: bool = False
    provisioned_at: float | None = None
    may_serve: bool = False
    failed_checks: tuple[str, ...] = ()


type Found = AtWork | EventsPending | WithoutJob | Observed


class GateObserver:
    """Reads for one round of a message. message_job: the one that it names, None if Tower has none of its id.

    A command that only looks reads by it too, with a message that it makes itself: so it gets nothing that could write
    but Tower's client.
    """

    def __init__(self, message: GateMessage, tower: Tower, evidence: Evidence, message_job: Job | None) -> None:
        self._message = message
        self._tower = tower
        self._evidence = evidence
        self._message_job = message_job

    # The waiting instances

    def with_stints(self, inventory: Inventory, members: Sequence[Waiting]) -> Sequence[Waiting]:
        """Each with the beginning of its present stint.

        A message without a token may be of a former one, and so its host says when it began. The same for a
        message from before an upgrade.
        """
        unsure = [each for each in members if each.stint_since is None or not each.action.token]
        if not unsure:
            return members
        stints = {host.name: stint_of(host) for host in self._tower.hosts_named(inventory, instance_ids(unsure))}
        with_stint = {
            each: replace(each, stint_since=stint.since if stint else each.stint_since or self._message.since)
            for each in unsure
            for stint in [stints.get(each.action.instance_id)]
        }
        return [with_stint.get(each, each) for each in members]

    def is_at_work(self, waiting: Waiting) -> bool:
        """Whether the job that the message names runs on an instance: then no other is launched on it, of any kind."""
        job = self._message_job
        return job is not None and not job.status.final and waiting.action.instance_id in job.hosts

    def at_work(self, kind: JobKind, waiting: Waiting) -> AtWork:
        """The message's job runs on an instance. It counts for it if it is one of this kind and its present stint."""
        job, instance_id = self._message_job, waiting.action.instance_id
        assert job  # noqa: S101 - a caller's mistake
        counts = counts_for(job, kind, instance_id, _since(waiting))
        return AtWork(waiting, job, None if counts else loss_of(self._message, job, instance_id, kind))

    # What Tower shows of them

    def without_job(self, source: JobSource, members: Sequence[Waiting]) -> Stage[Found]:
        """Those of a group that has no job: what is against them counts since they came, but from no former stint."""
        now, since = self._tower.now(), self._message.since
        if now - since >= source.settings.timeout:  # nothing is final before
            members = self.with_stints(source.inventory, members)
        found: list[Found] = []
        for each in members:
            age = now - max(since, each.stint_since or 0.0)
            held_by_hook = each.action.held_by_hook
            observation = GateObservation(Outcome.OK, 0, 0, age, checked_for=age, held_by_hook=held_by_hook)
            found.append(Observed(each, self._message.job_id, observation))
        return Stage(found)

    def read_jobs(self, source: JobSource, template: JobTemplate, members: Sequence[Waiting]) -> Stage[Found]:
        """What the jobs show that decide about these, or why they do not show it. None of them is at_work."""
        kind = template.on(source.inventory)
        jobs = self._tower.jobs_holding(kind, instance_ids(members), min(_since(each) for each in members))
        return self.shown_by(jobs, source, kind, members)

    def shown_by(
        self, jobs: Sequence[Job], source: JobSource, kind: JobKind, members: Sequence[Waiting]
    ) -> Stage[Found]:
        """The same, of jobs that were read: all of a kind that hold one of these, the newest first, perhaps others."""
        deciding = {each: deciding_job(each.action.instance_id, jobs, _since(each)) for each in members}
        counting = {
            each: [job for job in jobs if counts_for(job, kind, each.action.instance_id, _since(each))]
            for each in members
        }
        ended = {each: job for each, job in deciding.items() if job and job.status.final}
        shown = _Outcomes(self._tower, self._evidence, source.settings.group)
        hung = shown.read_all(ended)
        unreached = self._unreached(source, ended, counting, shown)
        circuit_breaker = CircuitBreaker(self._tower, source.settings, source.inventory, shown.of)
        found: list[Found] = []
        for each, job in deciding.items():
            if job is None:
                found.append(self._without_job(kind, each))
            elif not job.status.final:
                found.append(AtWork(each, job))
            elif (outcome := shown.of_one(job, each)) is None:
                found.append(EventsPending(each, job))
            else:
                observation = self._observation(job, outcome, each, counting[each], unreached.get(each, []))
                if circuit_breaker_decides(source.settings, observation):
                    why = circuit_breaker.why_held(job, outcome, each.action.instance_id, _since(each))
                    observation = replace(observation, circuit_breaker=why)
                provisioned_at = job.finished_at if outcome == Outcome.OK else None
                found.append(Observed(each, job.id, observation, job.status in RAN, each in hung, provisioned_at))
        return Stage(found)

    def with_unmatched(self, inventory: Inventory, observed: Sequence[Observed]) -> Stage[Observed]:
        """The same, with why a job that ended proved nothing of a host that it passed over."""
        doubtful = [
            each for each in observed if each.ran and each.observation.outcome in (Outcome.UNPROVEN, Outcome.CUT_SHORT)
        ]
        if not doubtful:
            return Stage(observed)
        reasons = unmatched_hosts(self._tower, inventory, instance_ids(each.waiting for each in doubtful))

        def explained(each: Observed) -> Observed:
            reason = reasons.get(each.waiting.action.instance_id)
            if reason is None:
                return each
            return each._replace(observation=replace(each.observation, unmatched=reason.reason))

        return Stage([explained(each) if each in doubtful else each for each in observed])

    def _without_job(self, kind: JobKind, waiting: Waiting) -> WithoutJob:
        if self._message.job_id is None:
            return WithoutJob(waiting)
        return WithoutJob(waiting, loss_of(self._message, self._message_job, waiting.action.instance_id, kind))

    def _observation(
        self, job: Job, outcome: Outcome, waiting: Waiting, counting: Sequence[Job], unreached: Sequence[Job]
    ) -> GateObservation:
        now = self._tower.now()
        ended_at = job.finished_at or now
        first = min(counting, key=lambda one: one.id)
        is_good_run_expected = partial(self._evidence.is_good_run_expected, job, waiting.action.instance_id, now)
        return GateObservation(
            outcome=outcome,
            job_ended_at=ended_at,
            attempts=len(counting),
            age=now - _began(first),
            checked_for=now - ended_at,
            comparing=outcome == Outcome.CUT_SHORT and is_good_run_expected(),
            held_by_hook=waiting.action.held_by_hook,
            unreached=len(unreached),
            unreached_for=now - _began(unreached[0]) if unreached else 0.0,
        )

    def _unreached(
        self,
        source: JobSource,
        ended: Mapping[Waiting, Job],
        counting: Mapping[Waiting, Sequence[Job]],
        shown: _Outcomes,
    ) -> dict[Waiting, list[Job]]:
        """Which jobs did not reach those that the deciding one did not reach, the oldest first.

        Others were no try: they were cancelled or ended in error, or an instance's batch never began in them.
        """
        last = {each: job for each, job in ended.items() if shown.of_one(job, each) == Outcome.UNREACHABLE}
        before = self._tower.now() - source.settings.timeout
        earlier = {each: _some_earlier(job, counting[each], before) for each, job in last.items()}
        tried = [(job, each.action.instance_id) for each, jobs in earlier.items() for job in jobs]
        outcomes = {
            job: shown.of(job, {instance_id for _, instance_id in own}) or {}
            for job, own in grouped(tried, lambda each: each[0]).items()
        }
        return {
            each: [
                *(job for job in earlier[each] if outcomes[job].get(each.action.instance_id) == Outcome.UNREACHABLE),
                job,
            ]
            for each, job in last.items()
        }


class _Outcomes:
    """What ended jobs showed about hosts of one group, each read once in a round."""

    def __init__(self, tower: Tower, evidence: Evidence, group: str) -> None:
        self._tower = tower
        self._evidence = evidence
        self._group = group
        self._known: dict[int, Mapping[str, Outcome] | None] = {}

    def of(self, job: Job, names: Collection[str]) -> Mapping[str, Outcome] | None:
        """What an ended job showed about these hosts, and perhaps others; None while Tower does not say."""
        known = self._known.get(job.id, {})
        if known is not None and (unknown := set(names) - known.keys()):
            shown = self._evidence.outcomes(job, unknown, self._group)
            known = None if shown is None else {**known, **shown}
        self._known[job.id] = known
        return known

    def of_one(self, job: Job, waiting: Waiting) -> Outcome | None:
        """What an ended job showed about one instance; None while its events are being processed.

        Events that are not processed for long never will be: then the job proves nothing.
        """
        outcomes = self.of(job, {waiting.action.instance_id})
        if outcomes is not None:
            return outcomes[waiting.action.instance_id]
        return Outcome.UNPROVEN if job.seconds_since_end(self._tower.now()) > EVENTS_TOO_LONG else None

    def read_all(self, ended: Mapping[Waiting, Job]) -> set[Waiting]:
        """Read what each job shows of all that it decides about; those on which a job hung that was ended."""
        hung: set[Waiting] = set()
        for job, members in grouped(ended, ended.__getitem__).items():
            self.of(job, instance_ids(members))
            if proves_nothing(job):
                unanswered = self._evidence.hosts_without_result(job)
                hung |= {each for each in members if each.action.instance_id in unanswered}
        return hung


def _since(waiting: Waiting) -> float:
    """When its present stint began."""
    assert waiting.stint_since is not None  # noqa: S101 - it was looked up
    return waiting.stint_since


def _began(job: Job) -> float:
    return job.started_at or job.created_at


def _some_earlier(last: Job, counting: Iterable[Job], before: float) -> list[Job]:
    """Of an instance's jobs that started before then (epoch seconds) and may have tried it: the first, and the latest.

    A later start does not make it final that the instance is not reached. Without the latest ones an instance would
    wait for ever whose first jobs came to nothing.
    """
    tried = [job for job in counting if job.id != last.id and _began(job) <= before and not proves_nothing(job)]
    tried.sort(key=lambda job: job.id)
    return [*tried[:1], *tried[1:][1 - EARLIER_EXAMINED :]]
