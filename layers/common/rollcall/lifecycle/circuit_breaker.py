"""The provisioning circuit breaker: a broken playbook, key or network must not cost a group its instances.

It holds a group's instances instead of abandoning them while what is against one is against all of them. About failures
it reads from Tower only jobs on hosts of this group, about hosts out of reach also the last ones of others, in a
bounded number of calls; and where that does not show it, it holds. It ends by a host that is provisioned or reached, by
the command that releases the group, or by Auto Scaling's limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.jobs import Outcome
from rollcall.domain.shell_commands import command, options
from rollcall.domain.timing import EVENTS_TOO_LONG

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from rollcall.domain.groups import GroupSettings
    from rollcall.domain.inventories import Inventory
    from rollcall.domain.jobs import Job
    from rollcall.tower.client import Tower

FAILED_IN_A_ROW = 3  # jobs that provisioned none of the group: it is the playbook that is suspected
FAILED_AT_ONCE = 10  # instances of the group, all of them in one job: that is enough
JOBS_EXAMINED = 10  # that may say something about the group
UNREACHED_EXAMINED = 3  # jobs, of any group, that did not reach a host since; and as many that ignored something
REACHED = (Outcome.OK, Outcome.FAILED)


class GroupOutcomes(NamedTuple):
    """What a job showed of a group's hosts by their names: of own ones, and of those that are gone (lost).

    A job names hosts, not groups. A host still in Tower says by its marker whose it is. One that is gone may have been
    the group's: what is against it counts, what is for it does not, and is left out.
    """

    own: Mapping[str, Outcome]
    lost: Mapping[str, Outcome]

    @property
    def provisioned_any(self) -> bool:
        """Whether the job provisioned an instance of the group."""
        return Outcome.OK in self.own.values()

    @property
    def failed_any(self) -> bool:
        """Whether the job failed on an instance that is, or may have been, the group's."""
        return Outcome.FAILED in (*self.own.values(), *self.lost.values())

    @property
    def failed_many(self) -> bool:
        """Whether the job failed on all instances of the group, and these are many."""
        return set(self.own.values()) == {Outcome.FAILED} and len(self.own) >= FAILED_AT_ONCE


def why_playbook_suspected(shown: Iterable[tuple[Job, GroupOutcomes | None]], remedy: str) -> str:
    """Why the playbook is suspected, and not the instance; empty if the instance is. Pure.

    shown: an instance's job and those before it, the newest first, each with what it showed of the group's hosts, None
    while Tower processes its events: such a job counts as one that failed. No more are taken than it needs.
    remedy: what an operator can do.
    """
    failed_jobs, doubt = 0, ""
    for number, (job, outcomes) in enumerate(shown):
        if outcomes and outcomes.provisioned_any:
            return ""
        if outcomes and number == 0 and outcomes.failed_many:
            return f"it failed on all {len(outcomes.own)} instances of its group: {remedy}"
        if outcomes is None:
            doubt = doubt or _doubt(job)
        failed_jobs += outcomes is None or outcomes.failed_any
        if failed_jobs == FAILED_IN_A_ROW:
            return doubt or f"the last {FAILED_IN_A_ROW} jobs failed on every instance of its group: {remedy}"
    return ""


class CircuitBreaker:
    """Decides about one group. outcomes_of: what a job showed of these hosts, None while Tower does not say."""

    def __init__(
        self,
        tower: Tower,
        settings: GroupSettings,
        inventory: Inventory,
        outcomes_of: Callable[[Job, Collection[str]], Mapping[str, Outcome] | None],
    ) -> None:
        self._tower = tower
        self._settings = settings
        self._inventory = inventory
        self._outcomes_of = outcomes_of
        release = command("rollcall", "release", *options("--group", [settings.group]))
        self._remedy = f"fix what they have in common, or release the group: {release}"
        self._before: dict[int, list[Job]] = {}
        self._shown_of_group: dict[int, GroupOutcomes | None] = {}
        self._failed: dict[int, str] = {}
        self._unreached: dict[tuple[int, float], list[Job] | None] = {}

    def why_held(self, job: Job, outcome: Outcome, instance_id: str, since: float) -> str:
        """Why an instance is held though its job failed on it or did not reach it; empty if it is not.

        since: when its present stint began, in epoch seconds by Tower's clock.
        """
        if (job.finished_at or 0.0) < self._settings.released_at:
            return ""
        if outcome == Outcome.UNREACHABLE:
            return self._why_unreachable(job, instance_id, since)
        if job.id not in self._failed:
            self._failed[job.id] = why_playbook_suspected(self._outcomes_back_from(job), self._remedy)
        return self._failed[job.id]

    def _outcomes_back_from(self, job: Job) -> Iterator[tuple[Job, GroupOutcomes | None]]:
        """What a job and those before it showed of the group's hosts, each read only when it is taken."""
        for each in (job, *self._jobs_before(job)):
            yield each, self._of_the_group(each)

    def _why_unreachable(self, job: Job, instance_id: str, since: float) -> str:
        """No host was reached with this template in this inventory, and it is not this instance alone.

        A host that is reached in a job after the instance's own last one says nothing against it: it may be reached
        now, and is tried again.
        """
        lately = self._unreached_since(job, since)
        if lately is None:
            return ""
        shown = [(each, self._shown(each, each.hosts)) for each in lately]
        if any(outcome in REACHED for each, own in shown if own and each.id <= job.id for outcome in own.values()):
            return ""  # on a host of which something else was ignored
        shown += self._last_before(job, since)
        for _, own in shown:
            for other in sorted((own or {}).keys() - {instance_id}):
                if own and own[other] == Outcome.UNREACHABLE:
                    return f"no instance is reached, {other} neither: {self._remedy}"
        return next((_doubt(each) for each, own in shown if own is None), "")

    def _unreached_since(self, job: Job, since: float) -> list[Job] | None:
        """This job and the last ones that did not reach a host, of any group; None if up to this one a host was."""
        if (job.id, since) not in self._unreached:
            reached = self._tower.has_reached(job.kind, since, job.id)
            unreached = [] if reached else self._tower.jobs_unreached(job.kind, since, UNREACHED_EXAMINED)
            others = [each for each in unreached if each.id != job.id]
            self._unreached[job.id, since] = None if reached else [job, *others]
        return self._unreached[job.id, since]

    def _last_before(self, job: Job, since: float) -> list[tuple[Job, Mapping[str, Outcome] | None]]:
        """The last job on another instance of the group before this one's stint, and what it showed; empty without."""
        for each in self._jobs_before(job):
            if each.created_at < since:
                shown = self._of_the_group(each)
                if shown is None or shown.own or shown.lost:
                    return [(each, shown and {**shown.own, **shown.lost})]
        return []

    def _jobs_before(self, job: Job) -> list[Job]:
        if job.id not in self._before:
            self._before[job.id] = [
                each
                for each in self._tower.jobs_of_group_before(job, self._settings.group, JOBS_EXAMINED)
                if (each.finished_at or 0.0) >= self._settings.released_at
            ]
        return self._before[job.id]

    def _of_the_group(self, job: Job) -> GroupOutcomes | None:
        """What a job showed of the group's hosts; None while Tower does not say."""
        if job.id not in self._shown_of_group:
            self._shown_of_group[job.id] = self._read_outcomes(job)
        return self._shown_of_group[job.id]

    def _read_outcomes(self, job: Job) -> GroupOutcomes | None:
        named = self._tower.names_of_group(self._inventory, self._settings.group, job.hosts)
        gone = self._tower.names_without_host(job) & job.hosts if job.hosts - named else frozenset()
        outcomes = self._shown(job, named | gone)
        if outcomes is None:
            return None
        return GroupOutcomes(
            {name: outcome for name, outcome in outcomes.items() if name in named},
            {name: outcome for name, outcome in outcomes.items() if name in gone and outcome != Outcome.OK},
        )

    def _shown(self, job: Job, names: Collection[str]) -> Mapping[str, Outcome] | None:
        """What a job showed of these hosts, None while Tower processes its events: nothing if it never will."""
        outcomes = self._outcomes_of(job, names) if names else {}
        is_over = job.seconds_since_end(self._tower.now()) > EVENTS_TOO_LONG
        return {} if outcomes is None and is_over else outcomes


def _doubt(job: Job) -> str:
    return f"Tower still processes the events of job {job.id}, which may show that it is not this instance's fault"
