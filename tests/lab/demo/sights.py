"""What the embedded cloud recorded about each instance: nothing here comes from Rollcall's own words."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.tower.embedded import OPERATOR

if TYPE_CHECKING:
    from lab.aws.embedded import Transition
    from lab.cloud import Cloud
    from lab.tower.embedded import HostLife, HostRecord, JobRecord

RESULTS = {"ok": "ok", "failed": "failed", "dark": "unreachable"}
RAN_TO_ITS_END = ("successful", "failed")  # statuses of a job; others say why it did not


@dataclass(frozen=True)
class Sight:
    """One instance, as AWS and Tower see it now.

    address: its host's in Tower, its own while it has no host. inventory_groups: empty while it has no host.
    job: the latest of Rollcall's that named it. result: ok, failed or unreachable, which is this host's own in that
    job; while it has none the job's status, as running. outcome: ready, abandoned or removed, or timed out where
    a hook was not answered; empty while it waits. launched: epoch seconds; registered, judged (its latest job's end)
    and served: seconds since then, None until it happens.
    """

    group: str
    instance_id: str
    state: str
    address: str
    inventory_groups: tuple[str, ...]
    job: JobRecord | None
    result: str
    outcome: str
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
        """On its way out, or gone, without ever having served, and by an answer to its hook."""
        return self.outcome == "abandoned"

    @property
    def timed_out(self) -> bool:
        """A hook's timeout ended its wait."""
        return self.outcome == "timed out"

    def __str__(self) -> str:
        host = f"host {self.address} in Tower" if self.inventory_groups else "no host in Tower"
        job = f"job {self.job.id}: {self.result}" if self.job else "no job"
        return f"{self.instance_id} of {self.group}: {self.state}, {host}, {job}"


def observe(cloud: Cloud) -> list[Sight]:
    """Every instance there ever was, the oldest first."""
    entered: defaultdict[str, list[Transition]] = defaultdict(list)
    for transition in cloud.aws.transitions():
        entered[transition.instance_id].append(transition)
    timed_out = {timeout.instance_id for timeout in cloud.aws.timeouts()}
    lives = {life.name: life for life in cloud.tower.host_lives()}
    hosts = {host.name: host for host in cloud.tower.hosts()}
    jobs = {
        name: job for job in cloud.tower.jobs() if job.launched_by != OPERATOR for name in job.limit.split(",") if name
    }
    return [
        _sight(
            transitions,
            lives.get(instance_id),
            hosts.get(instance_id),
            jobs.get(instance_id),
            timed_out=instance_id in timed_out,
        )
        for instance_id, transitions in entered.items()
    ]


def _sight(
    transitions: list[Transition],
    life: HostLife | None,
    host: HostRecord | None,
    job: JobRecord | None,
    *,
    timed_out: bool,
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
        result=result_of(first.instance_id, job) if job else "",
        outcome="timed out" if timed_out else _outcome({each.state for each in transitions}, life),
        launched=launched,
        registered=life.joined - launched if life and life.joined else None,
        judged=job.finished - launched if job and job.finished else None,
        served=served,
    )


def result_of(instance_id: str, job: JobRecord) -> str:
    """This host's own result in a job: ok, failed or unreachable; while it has none the job's status, as running."""
    if not job.final or job.status not in RAN_TO_ITS_END:
        return job.status
    return RESULTS.get(job.hosts.get(instance_id, ""), "not run")


def _outcome(states: set[str], life: HostLife | None) -> str:
    leaving = "Terminating" in states
    if leaving and "InService" not in states:
        return "abandoned"
    if leaving and life and life.removed:
        return "removed"
    return "ready" if "Pending:Proceed" in states else ""
