"""Launching a provisioning job, the same for a first try and for every later one."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import BadSettings, TowerUnavailable
from .removal import strike_off

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from .fleet import Fleet
    from .model import GroupSettings, Inventory, Job, JobTemplate
    from .tower import DeleteRefused, Tower

CLOCK_STEP = 2.0  # seconds; Tower tells its time in whole ones
JOBS_FROM = 3600.0  # seconds before an instance's launch; covers clocks that differ


@dataclass(frozen=True)
class Launched:
    """What became of the instances a job was wanted for.

    job_id: of the job limited to staying, None if nobody stayed. left: gone or going, struck off; refusals: those of
    them whose hosts an inventory kept. The rest need no job any more.
    """

    job_id: int | None
    staying: tuple[str, ...]
    left: tuple[str, ...]
    refusals: Mapping[str, DeleteRefused]


def find_in_tower(tower: Tower, settings: GroupSettings) -> tuple[Inventory, JobTemplate | None]:
    """The inventory and the job template that a group's tags name. BadSettings also names the group and the tag."""
    with _of_tag(settings, "rollcall:inventory"):
        inventory = tower.inventory(settings.inventory)
    if settings.job_template is None:
        return inventory, None
    with _of_tag(settings, "rollcall:job-template"):
        return inventory, tower.job_template(settings.job_template)


@contextmanager
def _of_tag(settings: GroupSettings, tag: str) -> Iterator[None]:
    try:
        yield
    except BadSettings as error:
        raise BadSettings(f"group {settings.group!r}: tag {tag}: {error}") from error


def require_limitable(template: JobTemplate, inventory: Inventory, settings: GroupSettings) -> None:
    """Refuse a template that would run on other hosts than ours. Raises BadSettings with the remedy."""
    where = f"group {settings.group!r}: job template {template.name!r} (tag rollcall:job-template)"
    if not template.asks_limit:
        raise BadSettings(f"{where} does not prompt for limit and would run on every host: tick 'Prompt on launch'")
    if template.slices > 1:
        raise BadSettings(f"{where} is cut into {template.slices} slices, whose jobs have no limit of ours: use 1")
    if not template.asks_inventory and template.inventory_id != inventory.id:
        raise BadSettings(
            f"{where} is fixed to inventory {template.inventory_id}, but the group's is {inventory.name!r} "
            f"({inventory.id}): let it prompt for the inventory, or set the tag rollcall:inventory"
        )


def launch(
    tower: Tower,
    fleet: Fleet,
    template: JobTemplate,
    inventory: Inventory,
    instance_ids: Collection[str],
    unawaited: Collection[str],
) -> Launched:
    """Launch one job limited to those of the instances that are still pending.

    unawaited: those that may as well be in service already, for no hook of ours holds them.
    Their hosts exist already: who terminates one from now on finds its host, and who did so before is seen here.
    """
    memberships = fleet.memberships(instance_ids)
    ordered = sorted(set(instance_ids))
    departed = fleet.departed(ordered, memberships)
    left = tuple(each for each in ordered if each in departed)
    staying = tuple(
        each
        for each in ordered
        if (known := memberships.get(each)) and (known.pending or (known.settled and each in unawaited))
    )
    refusals = strike_off(tower, left) if left else {}
    job_id = launch_once(tower, template, inventory, staying) if staying else None
    return Launched(job_id, staying, left, refusals)


def launch_once(tower: Tower, template: JobTemplate, inventory: Inventory, instance_ids: Sequence[str]) -> int:
    """Launch one job limited to exactly these instances; its id.

    A launch that got no proper answer is repeated only once Tower says that there is no such job.
    """
    began = tower.now()
    try:
        return tower.launch(template, inventory, instance_ids)
    except TowerUnavailable:
        jobs = tower.jobs_holding(template.id, instance_ids, began - CLOCK_STEP)
        launched = [job.id for job in jobs if job.hosts == set(instance_ids)]
        return max(launched) if launched else tower.launch(template, inventory, instance_ids)


def job_of(instance_id: str, jobs: Collection[Job]) -> Job | None:
    """The job that decides about an instance: an active one, or the newest; None if none holds it."""
    holding = [job for job in jobs if instance_id in job.hosts]
    return max(holding, key=lambda job: (not job.status.final, job.id), default=None)
