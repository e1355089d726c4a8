"""Job templates that the tags of a group name: found in Tower, and refused where a job could reach other hosts."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rollcall.domain.errors import BadSettings
from rollcall.domain.objections import Objection, require_no_objections
from rollcall.domain.settings import JOB_TAG, OPT_IN_TAG, RETIRE_TAG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.domain.groups import GroupSettings
    from rollcall.domain.inventories import Inventory
    from rollcall.domain.jobs import JobTemplate
    from rollcall.tower.client import Tower

ANOTHER_INVENTORY = "another inventory"  # the objection to a template whose jobs run elsewhere


def find_inventory_and_template(tower: Tower, settings: GroupSettings) -> tuple[Inventory, JobTemplate | None]:
    """The inventory and the job template that a group's tags name. BadSettings also names the group and the tag."""
    with _naming_the_tag(settings, OPT_IN_TAG):
        inventory = tower.inventory(settings.inventory)
    if settings.job_template is None:
        return inventory, None
    with _naming_the_tag(settings, JOB_TAG):
        return inventory, tower.job_template(settings.job_template)


def find_retire_template(
    tower: Tower, settings: GroupSettings, reference: str, inventory: Inventory, provisioning: JobTemplate | None
) -> JobTemplate:
    """The job template that a group retires its instances with. Raises BadSettings for one that must not be used."""
    with _naming_the_tag(settings, RETIRE_TAG):
        template = tower.job_template(reference)
    require_no_objections(retire_objections(template, inventory, settings, provisioning))
    return template


def retire_objections(
    template: JobTemplate, inventory: Inventory, settings: GroupSettings, provisioning: JobTemplate | None
) -> Iterator[Objection]:
    """Why a group's instances must not be retired with a template."""
    yield from limit_objections(template, inventory, settings, RETIRE_TAG)
    if provisioning and template.id == provisioning.id:
        yield Objection(
            "one template for both",
            f"group {settings.group!r}: tags {RETIRE_TAG} and {JOB_TAG} both name job template {template.name!r}, so "
            "nothing shows which of them a job of it ran for",
            "use two",
        )


@contextmanager
def _naming_the_tag(settings: GroupSettings, tag: str) -> Iterator[None]:
    try:
        yield
    except BadSettings as error:
        raise BadSettings(f"group {settings.group!r}: tag {tag}: {error}") from error


def require_limitable(template: JobTemplate, inventory: Inventory, settings: GroupSettings, tag: str = JOB_TAG) -> None:
    """Raises BadSettings, with the remedy, for a template with limit_objections."""
    require_no_objections(limit_objections(template, inventory, settings, tag))


def limit_objections(
    template: JobTemplate, inventory: Inventory, settings: GroupSettings, tag: str = JOB_TAG
) -> Iterator[Objection]:
    """Why jobs of a template could run on other hosts than ours, on none, or not run the whole playbook."""
    where = f"group {settings.group!r}: job template {template.name!r} (tag {tag})"
    yield from whole_run_objections(template, where)
    if not template.asks_inventory and template.inventory_id != inventory.id:
        yield Objection(
            ANOTHER_INVENTORY,
            f"{where} is fixed to inventory {template.inventory_id}, but the group's is {inventory.name!r} "
            f"({inventory.id})",
            "let it prompt for the inventory, or set the tag rollcall:inventory",
        )


def whole_run_objections(template: JobTemplate, where: str) -> Iterator[Objection]:
    """Why jobs of a template could run on other hosts, or not run the whole playbook. where: the template, in words."""
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
            f"{where} {' and '.join(fixed)}, so its jobs look like a manual run of a part of its playbook",
            "clear its job tags and skip tags, or tick 'Prompt on launch' beside them; give what new instances need a "
            "playbook of its own",
        )
