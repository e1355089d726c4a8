"""The provisioning jobs of registered instances: found in Tower or launched, and handed to the gate with them."""

from __future__ import annotations

import math
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.errors import JobStillLanding
from rollcall.domain.reports import Report, removed_at_launch
from rollcall.domain.stages import Stage, action_of, all_together, each_apart, grouped, joined
from rollcall.domain.timing import HOOK_LIFE_MAX, OTHER_LAUNCH_TIME
from rollcall.hosts.jobs import deciding_job, launch

from .gate_handover import GateHandover

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Never

    from rollcall.aws.fleet import Fleet
    from rollcall.aws.queues import Queues
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.inventories import Inventory
    from rollcall.domain.jobs import Job, JobTemplate
    from rollcall.domain.settings import Settings
    from rollcall.hosts.jobs import Launched
    from rollcall.tower.client import Tower

    from .former_jobs import FormerJobs
    from .host_registration import Registered

JOB_LIFE = HOOK_LIFE_MAX  # seconds that a job may run, for no hook waits for longer


class _WithJob(NamedTuple):
    """A registered instance, and the job that holds it; None if one is to be launched."""

    registered: Registered
    job_id: int | None

    @property
    def action(self) -> LifecycleAction:
        return self.registered.action


class Provisioning:
    """Sees that the registered instances of one fleet get their jobs."""

    def __init__(self, settings: Settings, tower: Tower, fleet: Fleet, queues: Queues, former_jobs: FormerJobs) -> None:
        self._tower = tower
        self._fleet = fleet
        self._former_jobs = former_jobs
        self._gate = GateHandover(settings, tower, fleet, queues)
        self._max_hosts_per_job = settings.max_hosts_per_job

    def hand_over(self, registered: Sequence[Registered]) -> Stage[Never]:
        """Find or launch the job of each, where its group has a template, and hand all of them to the gate.

        What is wrong with a template, or in an inventory, fails those that share both. None goes on: register is
        done with them.
        """
        by_template = grouped(registered, lambda each: (each.new_instance.template, each.new_instance.inventory))
        return joined(
            all_together(
                own,
                action_of,
                partial(self._provision, template, inventory) if template else self._hand_over_without_job,
            )
            for (template, inventory), own in by_template.items()
        )

    def _hand_over_without_job(self, registered: Sequence[Registered]) -> Stage[Never]:
        """Hands instances of groups without a job template to the gate, unless another message sees to them."""
        unattended = each_apart(
            registered,
            action_of,
            lambda each: Report(each.action, "has its host already") if each.is_cared_for else each,
        )
        return unattended.together(action_of, partial(self._gate.hand_over, None))

    def _provision(self, template: JobTemplate, inventory: Inventory, registered: Sequence[Registered]) -> Stage[Never]:
        """Those that a job holds go to the gate at once; the others as soon as theirs is launched."""
        jobs = self._jobs_of([each for each in registered if each.existing], template)
        found = each_apart(registered, action_of, partial(self._with_job, jobs))
        unlaunched = [each.registered for each in found.going_on if each.job_id is None]
        return joined(
            [
                Stage((), found.left),
                self._hand_over([each for each in found.going_on if each.job_id is not None]),
                *(
                    all_together(batch, action_of, partial(self._launched, template, inventory)).then(self._hand_over)
                    for batch in batched(unlaunched, self._max_hosts_per_job)
                ),
            ]
        )

    def _jobs_of(self, found: Sequence[Registered], template: JobTemplate) -> Sequence[Job]:
        """The jobs of those whose hosts were found; also those from before their stints, for one may still run."""
        if not found:
            return ()
        kind = template.on(found[0].new_instance.inventory)
        return self._tower.jobs_holding(kind, _ids(found), min(each.stint.since for each in found) - JOB_LIFE)

    def _with_job(self, jobs: Sequence[Job], registered: Registered) -> _WithJob | Report:
        """Raises JobStillLanding while another message may be about to launch a job, or a former one still runs."""
        instance_id = registered.new_instance.instance.instance_id
        job = deciding_job(instance_id, jobs, registered.jobs_since)
        if job and registered.is_cared_for:
            return Report(registered.action, f"is in job {job.id} already")
        if job:
            return _WithJob(registered, job.id)
        if (age := self._age_of_anothers(registered)) < OTHER_LAUNCH_TIME:
            words = f"host {instance_id} is new and has no job yet: another message's"
            raise JobStillLanding(words, retry_in=OTHER_LAUNCH_TIME - age)
        return _WithJob(registered._replace(notes=self._former_jobs.pass_by(registered.new_instance, jobs)), None)

    def _age_of_anothers(self, registered: Registered) -> float:
        """Seconds since another message began this stint; infinite if this one did, now or at a try before.

        A message comes again only when no function works on it any more; a second one about the same action may be at
        work.
        """
        return self._tower.now() - registered.stint.since if registered.begun_by_another else math.inf

    def _launched(
        self, template: JobTemplate, inventory: Inventory, registered: Sequence[Registered]
    ) -> Stage[_WithJob]:
        """One job for all that are still pending; those that are not leave, with their hosts if they are gone."""
        found = [each.jobs_since for each in registered if each.existing]
        launched = launch(
            self._tower,
            self._fleet,
            template,
            inventory,
            _ids(registered),
            [each.action.instance_id for each in registered if not each.new_instance.held_by_hook],
            older_since=min(found) if found else None,
        )
        return each_apart(registered, action_of, partial(_after_launch, launched))

    def _hand_over(self, with_job: Sequence[_WithJob]) -> Stage[Never]:
        by_job = grouped(with_job, lambda each: each.job_id)
        return joined(
            all_together([each.registered for each in own], action_of, partial(self._gate.hand_over, job_id))
            for job_id, own in by_job.items()
        )


def _after_launch(launched: Launched, registered: Registered) -> _WithJob | Report:
    instance_id = registered.new_instance.instance.instance_id
    if instance_id in launched.jobs:
        return _WithJob(registered, launched.jobs[instance_id])
    if instance_id in launched.departed:
        return removed_at_launch(registered.action, "left meanwhile", launched.removal)
    return Report(registered.action, "no longer pending")


def _ids(members: Sequence[Registered]) -> list[str]:
    return [each.new_instance.instance.instance_id for each in members]
