"""What the embedded cloud recorded about each instance: nothing here comes from Rollcall's own words."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.tower import OPERATOR

if TYPE_CHECKING:
    from lab.aws import Transition
    from lab.cloud import Cloud
    from lab.tower import HostLife, HostRecord, JobRecord

OUTCOMES = {"ok": "ok", "failed": "failed", "dark": "unreachable"}


@dataclass(frozen=True)
class Sight:
    """One instance, as AWS and Tower see it now.

    address: its host's in Tower, its own while it has no host. inventory_groups: empty while it has no host.
    job: the latest of Rollcall's that named it. verdict: ok, failed or unreachable by that job; then ready or
    abandoned; then struck off. launched: epoch seconds; registered, judged (its latest job's end) and served: seconds
    since then, None until it happens.
    """

    group: str
    instance_id: str
    state: str
    address: str
    inventory_groups: tuple[str, ...]
    job: JobRecord | None
    verdict: str
    launched: float
    registered: float | None
    judged: float | None
    served: float | None

    @property
    def serves(self) -> bool:
        return self.state == "InService"

    @property
    def gone(self) -> bool:
        return self.state == "Terminated"

    @property
    def abandoned(self) -> bool:
        """On its way out, or gone, without ever having served."""
        return self.state.startswith("Terminat") and self.served is None

    def __str__(self) -> str:
        host = f"host {self.address} in Tower" if self.inventory_groups else "no host in Tower"
        job = f"job {self.job.id} {self.job.status}" if self.job else "no job"
        return f"{self.instance_id} of {self.group}: {self.state}, {host}, {job}"


def observe(cloud: Cloud) -> list[Sight]:
    """Every instance there ever was, the oldest first."""
    entered: defaultdict[str, list[Transition]] = defaultdict(list)
    for transition in cloud.aws.transitions():
        entered[transition.instance_id].append(transition)
    lives = {life.name: life for life in cloud.tower.host_lives()}
    hosts = {host.name: host for host in cloud.tower.hosts()}
    jobs = {
        name: job for job in cloud.tower.jobs() if job.launched_by != OPERATOR for name in job.limit.split(",") if name
    }
    return [
        _sight(transitions, lives.get(instance_id), hosts.get(instance_id), jobs.get(instance_id))
        for instance_id, transitions in entered.items()
    ]


def _sight(
    transitions: list[Transition], life: HostLife | None, host: HostRecord | None, job: JobRecord | None
) -> Sight:
    first, last = transitions[0], transitions[-1]
    launched = first.time
    served = next((each.time - launched for each in transitions if each.state == "InService"), None)
    return Sight(
        group=first.group,
        instance_id=first.instance_id,
        state=last.state,
        address=host.address if host else first.address,
        inventory_groups=host.groups or ("(none)",) if host else (),
        job=job,
        verdict=_verdict(first.instance_id, {each.state for each in transitions}, life, job),
        launched=launched,
        registered=life.created - launched if life else None,
        judged=job.finished - launched if job and job.finished else None,
        served=served,
    )


def _verdict(instance_id: str, states: set[str], life: HostLife | None, job: JobRecord | None) -> str:
    leaving = "Terminating" in states
    if leaving and "InService" not in states:
        return "abandoned"
    if leaving and life and life.removed:
        return "struck off"
    if "Pending:Proceed" in states:
        return "ready"
    return OUTCOMES.get(job.hosts.get(instance_id, ""), "") if job and job.final else ""
