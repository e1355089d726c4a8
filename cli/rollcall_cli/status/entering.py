"""Instances on their way into service: what each waits for, read from Tower and AWS as the gate reads it.

Tower is asked for many instances at once: for the hosts of an inventory, and for the jobs of a template, whatever
groups they are of. Nothing is changed: what the gate would do next is only said.
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, NamedTuple

from rollcall.checks.evaluation import evaluate
from rollcall.checks.load_balancers import require_askable
from rollcall.checks.probes import Probes
from rollcall.checks.protocol import Context, Fail, Inconclusive, Subject
from rollcall.checks.registry import objections_to_checks, read_check, read_group_settings
from rollcall.domain.errors import BadSettings, RollcallError
from rollcall.domain.groups import JOB_CHECK
from rollcall.domain.jobs import Outcome
from rollcall.domain.messages import GateMessage
from rollcall.domain.objections import require_no_objections
from rollcall.domain.stages import grouped
from rollcall.domain.tag_support import objections_to
from rollcall.evidence.host_outcomes import counts_for
from rollcall.evidence.stuck_jobs import StuckJobs
from rollcall.hosts.job_templates import find_inventory_and_template, require_limitable
from rollcall.hosts.ownership import is_copy
from rollcall.hosts.stint import stint_of
from rollcall.hosts.unmatched_hosts import unmatched_hosts
from rollcall.hosts.variables import is_resting
from rollcall.lifecycle.gate_context import JobSource
from rollcall.lifecycle.gate_decision import decide
from rollcall.lifecycle.gate_observer import AtWork, EventsPending, GateObserver, Observed, WithoutJob
from rollcall.tower.connection import job_page

from . import verdicts
from .waits import CheckAnswer, SeenCheck, SeenJob, Shown, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.checks.protocol import Answer
    from rollcall.domain.groups import Group
    from rollcall.domain.inventories import Host, Inventory
    from rollcall.domain.jobs import Job, JobKind
    from rollcall.domain.messages import Waiting
    from rollcall.domain.settings import Settings
    from rollcall.evidence.job_reader import Evidence
    from rollcall.lifecycle.gate_observer import Found
    from rollcall.tower.client import Tower

GATE_ALONE = "the gate tries it from its own network"


class _Members(NamedTuple):
    """Instances of a group that wait, and what their jobs are launched from."""

    group: Group
    source: JobSource
    waiting: tuple[Waiting, ...]

    @property
    def kind(self) -> JobKind | None:
        """The kind of job that the gate waits for; None where it waits for none."""
        template = self.source.template
        return template.on(self.source.inventory) if template and self.source.settings.asks(JOB_CHECK) else None


class EnteringReader:
    """Reads once, for all instances that it is given. here: the installation's settings, as its functions have them."""

    def __init__(self, here: Settings, tower: Tower, evidence: Evidence, fleet: Fleet) -> None:
        self._here = here
        self._tower = tower
        self._evidence = evidence
        self._fleet = fleet
        self._stuck_jobs = StuckJobs(tower, evidence)

    def shown(self, groups: Iterable[tuple[Group, Sequence[Waiting]]]) -> dict[str, Shown]:
        """What each of these instances waits for, by its id. What cannot be read of one group spoils no other."""
        shown: dict[str, Shown] = {}
        followed: list[_Members] = []
        for group, waiting in groups:
            shown |= _each_or_why(waiting, lambda: self._source(group, waiting, followed))  # noqa: B023 - at once
        registered: list[_Members] = []
        for inventory, members in grouped(followed, lambda each: each.source.inventory).items():
            everyone = [one for each in members for one in each.waiting]
            shown |= _each_or_why(everyone, lambda: self._hosts(inventory, members, registered))  # noqa: B023 - at once
        for kind, members in grouped(registered, lambda each: each.kind).items():
            everyone = [one for each in members for one in each.waiting]
            shown |= _each_or_why(everyone, lambda: dict(self._of_kind(kind, members)))  # noqa: B023 - at once
        return shown

    def _source(self, group: Group, waiting: Sequence[Waiting], followed: list[_Members]) -> dict[str, Shown]:
        """Adds the group to those that are followed. Raises BadSettings where its tags are not, as register does."""
        settings = read_group_settings(group)
        if settings is None:
            raise BadSettings(
                f"group {group.name!r} lost the tag rollcall:inventory while instances of it wait: put it back"
            )
        require_no_objections(objections_to(settings, self._here))
        require_no_objections(objections_to_checks(settings, self._here))
        require_askable(settings, group, load_balancers=self._here.load_balancers)
        inventory, template = find_inventory_and_template(self._tower, settings)
        if template:
            require_limitable(template, inventory, settings)
        followed.append(_Members(group, JobSource(settings, inventory, template), tuple(waiting)))
        return {}

    def _hosts(self, inventory: Inventory, members: Sequence[_Members], registered: list[_Members]) -> dict[str, Shown]:
        """Adds those with a host, each with the beginning of its present stay; what is to be said of the others."""
        everyone = [one for each in members for one in each.waiting]
        ids = {one.action.instance_id for one in everyone}
        hosts = self._tower.hosts_named(inventory, ids)
        stints = {host.name: stint_of(host).since for host in hosts if _is_registered(host)}
        for each in members:
            own = tuple(
                replace(one, stint_since=stints[one.action.instance_id])
                for one in each.waiting
                if one.action.instance_id in stints
            )
            if own:
                registered.append(each._replace(waiting=own))
        missing = ids - stints.keys()
        without = missing - {host.name for host in hosts}
        renamed = unmatched_hosts(self._tower, inventory, without) if without else {}
        return {
            each: Shown(Step.HELD, found.reason)
            if (found := renamed.get(each)) and found.host
            else Shown(Step.REGISTERED, f"it has no host of its present stay in inventory {inventory.name!r} yet")
            for each in missing
        }

    def _of_kind(self, kind: JobKind | None, members: Sequence[_Members]) -> Iterator[tuple[str, Shown]]:
        """Those whose jobs are of one kind, whatever group they are of; None: those that wait for none."""
        everyone = [one for each in members for one in each.waiting]
        jobs: Sequence[Job] = ()
        if kind:
            ids = {one.action.instance_id for one in everyone}
            jobs = self._tower.jobs_holding(kind, ids, min(map(_since, everyone)))
        for each in members:
            yield from _each_or_why(each.waiting, lambda: self._of_group(kind, jobs, each)).items()  # noqa: B023

    def _of_group(self, kind: JobKind | None, jobs: Sequence[Job], members: _Members) -> dict[str, Shown]:
        began = min(map(_since, members.waiting))
        message = GateMessage(members.waiting, job_id=None, since=began, heartbeat_at=began)
        observer = GateObserver(message, self._tower, self._evidence, message_job=None)
        if kind:
            found = observer.shown_by(jobs, members.source, kind, members.waiting).going_on
        else:
            found = observer.without_job(members.source, members.waiting).going_on
        observed = observer.with_unmatched(
            members.source.inventory, [each for each in found if isinstance(each, Observed)]
        ).going_on
        checks = self._checks(members, [each for each in observed if _is_provisioned(each)])
        undecided = [each for each in found if not isinstance(each, Observed)]
        return {
            each.waiting.action.instance_id: self._with_since(each, self._shown_of(each, members, jobs, checks))
            for each in (*undecided, *observed)
        }

    def _shown_of(
        self, found: Found, members: _Members, jobs: Sequence[Job], checks: Mapping[str, tuple[SeenCheck, ...]]
    ) -> Shown:
        now, waiting = self._tower.now(), found.waiting
        instance_id = waiting.action.instance_id
        kind = members.kind
        tries = sum(counts_for(job, kind, instance_id, _since(waiting)) for job in jobs) if kind else 0
        match found:
            case AtWork(job=job):
                hangs = self._stuck_jobs.find(job, members.source.settings.timeout)
                return verdicts.at_work(job, self._seen(job, members), tries, now, hangs.words if hangs else "")
            case EventsPending(job=job):
                return verdicts.events_pending(self._seen(job, members), tries, now)
            case WithoutJob():
                return Shown(Step.JOB_WANTED, "none is launched for its present stay yet", tries=tries)
            case Observed():
                own = checks.get(instance_id, ())
                observation = replace(
                    found.observation,
                    failed=tuple(f"{one.check}: {one.reason}" for one in own if one.answer == CheckAnswer.FAILS),
                    inconclusive=tuple(
                        f"{one.check}: {one.reason}"
                        for one in own
                        if one.answer in (CheckAnswer.UNSURE, CheckAnswer.NOT_TRIED)
                    ),
                )
                job_of_it = next((job for job in jobs if job.id == found.job_id), None)
                seen = self._seen(job_of_it, members) if job_of_it else None
                return verdicts.decided(observation, decide(members.source.settings, observation, now), seen, own, now)

    def _with_since(self, found: Found, shown: Shown) -> Shown:
        return shown._replace(since=found.waiting.stint_since)

    def _seen(self, job: Job, members: _Members) -> SeenJob:
        return seen_job(self._tower, job, members.source.template.name if members.source.template else "")

    def _checks(self, members: _Members, provisioned: Sequence[Observed]) -> dict[str, tuple[SeenCheck, ...]]:
        """What the checks say of those that were provisioned, as far as they only read AWS.

        A check that leads requests to an instance is evaluated by the gate once all others pass. Here it is read, and
        nothing is registered: as if no hook held the instance.
        """
        if not provisioned:
            return {}
        words = dict.fromkeys(members.source.settings.gate)
        kinds = {word: read_check(word) for word in words}
        asked = [check for kind, check in kinds.values() if kind.only_reads]
        subjects = [
            Subject(each.waiting.action.instance_id, each.waiting.address, held_by_hook=False) for each in provisioned
        ]
        answers = evaluate(asked, subjects, {}, Context(self._fleet, members.group), Probes())
        return {
            each.instance_id: tuple(
                SeenCheck(word, *_answer(answers[each.instance_id].get(str(check))))
                for word, (_, check) in kinds.items()
            )
            for each in subjects
        }


def seen_job(tower: Tower, job: Job, template: str) -> SeenJob:
    """A job of Tower's as it is shown, with what its kind usually takes."""
    return SeenJob(
        job.id,
        job_page(tower.root, job.id),
        template,
        str(job.status),
        job.started_at or job.created_at,
        job.finished_at,
        tuple(tower.usual_durations(job.kind)),
    )


def _answer(answer: Answer | None) -> tuple[CheckAnswer, str]:
    match answer:
        case None:
            return CheckAnswer.NOT_TRIED, GATE_ALONE
        case Fail(reason=reason):
            return CheckAnswer.FAILS, reason
        case Inconclusive(reason=reason):
            return CheckAnswer.UNSURE, reason
    return CheckAnswer.PASSES, ""


def _each_or_why(waiting: Sequence[Waiting], read: Callable[[], dict[str, Shown]]) -> dict[str, Shown]:
    """What was read; or of each of these why it cannot be said, which for wrong settings is what it waits for."""
    try:
        return read()
    except BadSettings as error:
        why = Shown(Step.NOT_FOLLOWED, str(error))
    except RollcallError as error:
        why = Shown(Step.NOT_KNOWN, str(error))
    return {each.action.instance_id: why for each in waiting}


def _is_provisioned(each: Observed) -> bool:
    return each.observation.outcome == Outcome.OK and not each.observation.unmatched


def _is_registered(host: Host) -> bool:
    """Whether a host shows a stay of its instance; one that rests, is a copy or is not marked gets a new stay first."""
    return host.marker is not None and not is_copy(host) and not is_resting(host.variables)


def _since(waiting: Waiting) -> float:
    assert waiting.stint_since is not None  # noqa: S101 - it has a host
    return waiting.stint_since
