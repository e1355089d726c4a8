"""Which instances serve without an ok job of their present stint: what an emergency let in and nothing has proven yet.

As far as is known: Auto Scaling's activities say who came since it began, and Tower what its jobs showed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from rollcall.aws.auto_scaling import LAUNCHING
from rollcall.domain.jobs import Outcome
from rollcall.hosts.job_templates import find_inventory_and_template
from rollcall.hosts.jobs import deciding_job
from rollcall.hosts.stint import stint_of
from rollcall_cli.stack import not_asked

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rollcall.domain.groups import GroupSettings
    from rollcall.domain.jobs import Job
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower

ACTIVITIES_MAX = 1000  # of the newest; a group keeps six weeks of them
HELD_MAX = 172_800.0  # seconds: no hook holds an instance for longer (GlobalTimeout in the API reference)
WORDS = {
    Outcome.FAILED: "failed on it",
    Outcome.UNREACHABLE: "could not reach it",
    Outcome.CUT_SHORT: "was cut short before it was done with it",
    Outcome.UNPROVEN: "proved nothing about it",
}


@dataclass(frozen=True)
class Arrived:
    """Who came. complete: False where there are more activities than were read, so that some may be missed."""

    instance_ids: frozenset[str]
    complete: bool


def arrived_since(client: Any, group: str, since: float) -> Arrived:
    """The instances whose launch was not over before then, in epoch seconds; also those that began earlier, and waited.

    DescribeScalingActivities gives those in progress first, the others by their start (API reference). Raises NotRun.
    """
    found: set[str] = set()
    pages = client.get_paginator("describe_scaling_activities").paginate(
        AutoScalingGroupName=group, PaginationConfig={"MaxItems": ACTIVITIES_MAX, "PageSize": 100}
    )
    try:
        for page in pages:
            for raw in page["Activities"]:
                is_over = "EndTime" in raw
                if is_over and raw["StartTime"].timestamp() < since - HELD_MAX:
                    return Arrived(frozenset(found), complete=True)
                named = LAUNCHING.match(raw["Description"])
                if named and (not is_over or raw["EndTime"].timestamp() >= since):
                    found.add(named["id"])
    except (BotoCoreError, ClientError) as error:
        raise not_asked(error, f"the activities of group {group}") from error
    return Arrived(frozenset(found), complete=pages.resume_token is None)


def unproven(
    tower: Tower, evidence: Evidence, settings: GroupSettings, instance_ids: Collection[str]
) -> dict[str, str]:
    """Of these instances those without an ok job of their stint, each with what is known of it.

    A group without a job template has no job to prove anything by. Raises what Tower's methods raise.
    """
    inventory, template = find_inventory_and_template(tower, settings)
    if template is None:
        return dict.fromkeys(sorted(instance_ids), "its group has no job template")
    hosts = {host.name: host for host in tower.hosts_named(inventory, instance_ids)}
    since = {name: stint_of(host).since for name, host in hosts.items()}
    jobs = tower.jobs_holding(template.on(inventory), hosts, min(since.values())) if hosts else []
    deciding = {name: deciding_job(name, jobs, since[name]) for name in hosts}
    outcomes = _outcomes(evidence, settings.group, deciding)
    return {
        each: reason
        for each in sorted(instance_ids)
        if (reason := _why_unproven(each in hosts, deciding.get(each), outcomes.get(each)))
    }


def _outcomes(evidence: Evidence, group: str, deciding: Mapping[str, Job | None]) -> dict[str, Outcome]:
    shown: dict[str, Outcome] = {}
    for job in {job.id: job for job in deciding.values() if job and job.status.final}.values():
        names = [name for name, own in deciding.items() if own and own.id == job.id]
        shown |= evidence.outcomes(job, names, group) or {}
    return {name: outcome for name, outcome in shown.items() if deciding.get(name)}


def _why_unproven(has_host: bool, job: Job | None, outcome: Outcome | None) -> str:
    """Why nothing proves an instance; empty if its job was ok on it. Pure. outcome: None while it is not known."""
    if not has_host:
        return "it has no host in Tower"
    if job is None:
        return "it has no job yet"
    if outcome == Outcome.OK:
        return ""
    if outcome is None:
        return f"job {job.id} is not over"
    return f"job {job.id} {WORDS[outcome]}"
