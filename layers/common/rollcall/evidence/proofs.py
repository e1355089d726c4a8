"""Whether an ok job of its present stint proves an instance, by the evidence that the gate goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.jobs import Outcome
from rollcall.hosts.job_templates import find_inventory_and_template
from rollcall.hosts.jobs import deciding_job
from rollcall.hosts.ownership import is_copy
from rollcall.hosts.stint import stint_of
from rollcall.hosts.variables import is_resting

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rollcall.domain.groups import GroupSettings
    from rollcall.domain.jobs import Job
    from rollcall.tower.client import Tower

    from .job_reader import Evidence

WORDS = {
    Outcome.FAILED: "failed on it",
    Outcome.UNREACHABLE: "could not reach it",
    Outcome.CUT_SHORT: "was cut short before it was done with it",
    Outcome.UNPROVEN: "proved nothing about it",
}


class Proof(NamedTuple):
    """What Tower shows of an instance. job: the one of its stint that decides. outcome: what it showed, if that is
    known. has_template: its group has a job template; without one nothing is ever proven."""

    has_host: bool
    job: Job | None
    outcome: Outcome | None
    has_template: bool = True

    @property
    def pending(self) -> bool:
        """Whether its job is over and Tower still processes what it showed."""
        return self.job is not None and self.job.status.final and self.outcome is None

    def why_unproven(self) -> str:
        """Why nothing proves it; empty if its job was ok on it. Pure."""
        if not self.has_template:
            return "its group has no job template"
        if not self.has_host:
            return "it has no host in Tower"
        if self.job is None:
            return "it has no job yet"
        if self.outcome is None:
            return (
                f"what job {self.job.id} showed is not known yet" if self.pending else f"job {self.job.id} is not over"
            )
        return "" if self.outcome == Outcome.OK else f"job {self.job.id} {WORDS[self.outcome]}"


def proofs(
    tower: Tower, evidence: Evidence, settings: GroupSettings, instance_ids: Collection[str]
) -> dict[str, Proof]:
    """What Tower shows of each of these instances. Raises what Tower's methods raise.

    A host that rests, or that was copied, is none yet: its instance gets a new stint first.
    """
    inventory, template = find_inventory_and_template(tower, settings)
    hosts = {
        host.name: host
        for host in tower.hosts_named(inventory, instance_ids)
        if not is_resting(host.variables) and not is_copy(host)
    }
    if template is None:
        return {each: Proof(each in hosts, None, None, has_template=False) for each in sorted(instance_ids)}
    since = {name: stint_of(host).since for name, host in hosts.items()}
    jobs = tower.jobs_holding(template.on(inventory), hosts, min(since.values())) if hosts else []
    deciding = {name: deciding_job(name, jobs, since[name]) for name in hosts}
    outcomes = _outcomes(evidence, settings.group, deciding)
    return {each: Proof(each in hosts, deciding.get(each), outcomes.get(each)) for each in sorted(instance_ids)}


def unproven(
    tower: Tower, evidence: Evidence, settings: GroupSettings, instance_ids: Collection[str]
) -> dict[str, str]:
    """Of these instances those without an ok job of their stint, each with what is known of it.

    Raises what Tower's methods raise.
    """
    found = proofs(tower, evidence, settings, instance_ids)
    return {each: reason for each, proof in found.items() if (reason := proof.why_unproven())}


def _outcomes(evidence: Evidence, group: str, deciding: Mapping[str, Job | None]) -> dict[str, Outcome]:
    shown: dict[str, Outcome] = {}
    for job in {job.id: job for job in deciding.values() if job and job.status.final}.values():
        names = [name for name, own in deciding.items() if own and own.id == job.id]
        shown |= evidence.outcomes(job, names, group) or {}
    return shown
