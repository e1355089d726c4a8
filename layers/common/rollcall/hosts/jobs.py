"""Launching a provisioning or a retire job: which template, limited to whom, and never twice."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.errors import BadSettings, TowerDenied, TowerRejected, TowerUnavailable
from rollcall.domain.objections import Objection, require_none
from rollcall.domain.settings import JOB_TAG, RETIRE_TAG

from .removal import remove_from_every_inventory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.groups import GroupSettings
    from rollcall.domain.inventories import Inventory, RemovalResult
    from rollcall.domain.jobs import Job, JobTemplate
    from rollcall.tower.client import Tower

CLOCK_STEP = 5.0  # seconds by which a job may look too old: Tower's nodes have clocks of their own, in whole seconds


class Launched(NamedTuple):
    """What became of the instances a job was wanted for.

    jobs: by instance id, the job that holds each of those that stay. left: gone or going; struck: what came of removing
    their hosts. The rest need no job any more.
    """

    jobs: Mapping[str, int]
    left: tuple[str, ...]
    removal: RemovalResult


def find_in_tower(tower: Tower, settings: GroupSettings) -> tuple[Inventory, JobTemplate | None]:
    """The inventory and the job template that a group's tags name. BadSettings also names the group and the tag."""
    with _of_tag(settings, "rollcall:inventory"):
        inventory = tower.inventory(settings.inventory)
    if settings.job_template is None:
        return inventory, None
    with _of_tag(settings, JOB_TAG):
        return inventory, tower.job_template(settings.job_template)


def find_retire_template(
    tower: Tower, settings: GroupSettings, reference: str, inventory: Inventory, provisioning: JobTemplate | None
) -> JobTemplate:
    """The job template that a group retires its instances with. Raises BadSettings for one that must not be used."""
    with _of_tag(settings, RETIRE_TAG):
        template = tower.job_template(reference)
    require_none(retire_objections(template, inventory, settings, provisioning))
    return template


def retire_objections(
    template: JobTemplate, inventory: Inventory, settings: GroupSettings, provisioning: JobTemplate | None
) -> Iterator[Objection]:
    """What speaks against retiring a group's instances with a template."""
    yield from limit_objections(template, inventory, settings, RETIRE_TAG)
    if provisioning and template.id == provisioning.id:
        yield Objection(
            "one template for both",
            f"group {settings.group!r}: tags {RETIRE_TAG} and {JOB_TAG} both name job template {template.name!r}, so "
            "nobody can tell which of them a job of it ran for",
            "use two",
        )


@contextmanager
def _of_tag(settings: GroupSettings, tag: str) -> Iterator[None]:
    try:
        yield
    except BadSettings as error:
        raise BadSettings(f"group {settings.group!r}: tag {tag}: {error}") from error


def require_limitable(template: JobTemplate, inventory: Inventory, settings: GroupSettings, tag: str = JOB_TAG) -> None:
    """Refuse a template that limit_objections speak against. Raises BadSettings with the remedy."""
    require_none(limit_objections(template, inventory, settings, tag))


def limit_objections(
    template: JobTemplate, inventory: Inventory, settings: GroupSettings, tag: str = JOB_TAG
) -> Iterator[Objection]:
    """What would let a template run on other hosts than ours, on none, or not the whole of its playbook."""
    where = f"group {settings.group!r}: job template {template.name!r} (tag {tag})"
    if not template.asks_limit:
        yield Objection(
            "no prompt for limit",
            f"{where} does not prompt for limit and would run on every host",
            "tick 'Prompt on launch'",
        )
    if template.slices > 1:
        yield Objection(
            "slices", f"{where} is cut into {template.slices} slices, whose jobs have no limit of ours", "use 1"
        )
    if not template.asks_inventory and template.inventory_id != inventory.id:
        yield Objection(
            "another inventory",
            f"{where} is fixed to inventory {template.inventory_id}, but the group's is {inventory.name!r} "
            f"({inventory.id})",
            "let it prompt for the inventory, or set the tag rollcall:inventory",
        )
    if template.job_type != "run" and not template.asks_job_type:
        yield Objection(
            "not a run",
            f"{where} is of the job type {template.job_type!r}, whose jobs change nothing on a host",
            "set its job type to 'Run', or tick 'Prompt on launch' beside it",
        )
    fixed = [
        *([f"runs only the tags {template.tags!r}"] if template.tags and not template.asks_tags else []),
        *([f"skips the tags {template.skip_tags!r}"] if template.skip_tags and not template.asks_skip_tags else []),
    ]
    if fixed:
        yield Objection(
            "tags",
            f"{where} {' and '.join(fixed)}, so its jobs look like a person's run of a part of its playbook",
            "clear its job tags and skip tags, or tick 'Prompt on launch' beside them; give what new instances need a "
            "playbook of its own",
        )


def launch(
    tower: Tower,
    fleet: Fleet,
    template: JobTemplate,
    inventory: Inventory,
    instance_ids: Collection[str],
    not_held: Collection[str],
    *,
    rivals_since: float | None = None,
) -> Launched:
    """Launch one job limited to those of the instances that are still pending.

    unawaited: those that may as well be in service already, for no hook of ours holds them. rivals_since: jobs since
    then (epoch seconds by Tower's clock) that another message may have launched on the same instances are given way to;
    None where the making of the hosts has kept every other message out.
    Their hosts exist already: a termination from now on finds the host, and an earlier one is seen here.
    """
    memberships = fleet.memberships(instance_ids)
    ordered = sorted(set(instance_ids))
    departed = fleet.departed(ordered, memberships)
    left = tuple(each for each in ordered if each in departed)
    staying = tuple(
        each
        for each in ordered
        if (known := memberships.get(each)) and (known.entering or (known.serving and each in not_held))
    )
    removal = remove_from_every_inventory(tower, fleet, left)
    if staying and rivals_since is not None:
        return Launched(launch_alone(tower, template, inventory, staying, rivals_since), left, removal)
    jobs = dict.fromkeys(staying, launch_once(tower, template, inventory, staying)) if staying else {}
    return Launched(jobs, left, removal)


def launch_once(tower: Tower, template: JobTemplate, inventory: Inventory, instance_ids: Sequence[str]) -> int:
    """Launch one job limited to exactly these instances; its id.

    A launch that got no proper answer is repeated only once Tower says that there is no such job.
    """
    began = tower.now()
    try:
        return tower.launch(template, inventory, instance_ids)
    except TowerUnavailable:
        jobs = tower.jobs_holding(template.on(inventory), instance_ids, began - CLOCK_STEP)
        launched = [job.id for job in jobs if job.hosts == set(instance_ids)]
        return max(launched) if launched else tower.launch(template, inventory, instance_ids)


def launch_alone(
    tower: Tower, template: JobTemplate, inventory: Inventory, instance_ids: Sequence[str], since: float
) -> dict[str, int]:
    """Launch one job limited to exactly these instances; the id of the job that holds each.

    Nothing in Tower keeps two who look at one moment from both finding no job. So each looks again once it has launched
    one, and gives way to an older one that runs: its own is cancelled, and launched again without those that the older
    one holds. Where Tower does not let it be cancelled it runs too, and the older one is waited for all the same.
    since: from when on jobs are looked at, in epoch seconds.
    """
    job_id = launch_once(tower, template, inventory, instance_ids)
    rivals = [
        job
        for job in tower.jobs_holding(template.on(inventory), instance_ids, since)
        if job.id < job_id and not job.status.final
    ]
    held = {name: job.id for job in rivals for name in job.hosts & set(instance_ids)}
    if not held:
        return dict.fromkeys(instance_ids, job_id)
    rest = [each for each in instance_ids if each not in held]
    try:
        tower.cancel(job_id)
    except (TowerDenied, TowerRejected):
        return held | dict.fromkeys(rest, job_id)
    return held | (launch_alone(tower, template, inventory, rest, since) if rest else {})


def job_of(instance_id: str, jobs: Collection[Job], since: float) -> Job | None:
    """The job that decides about an instance: an active one, or the newest; None if none holds it.

    since: when the instance's present stint began, in epoch seconds by Tower's clock; what was tried before is of a
    former one.
    """
    holding = [job for job in jobs if instance_id in job.hosts and job.created_at >= since]
    return max(holding, key=lambda job: (not job.status.final, job.id), default=None)
