"""What in Tower speaks against beginning a bake: where builders would be, and the job that provisions them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.doctor.bake_findings import no_inventory, no_job_template
from rollcall.doctor.builder_findings import template_objections, unchangeable
from rollcall.domain.bake_tags import INVENTORY_TAG, JOB_TEMPLATE_TAG
from rollcall.domain.errors import BadSettings
from rollcall.domain.inventories import Inventory
from rollcall.domain.objections import Objection
from rollcall.domain.settings import JOB_TAG, RETIRE_TAG
from rollcall.hosts.job_templates import ANOTHER_INVENTORY, limit_objections, retire_objections
from rollcall.tower.references import NOT_FOUND_REMEDY

from .request import Smoke
from .tag import BakeTag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.domain.jobs import JobTemplate

    from .preflight_input import PreflightInput

BOOT = "bake with --smoke boot (tag: smoke=boot)"


def tower_objections(given: PreflightInput, group: str) -> Iterator[Objection]:
    """What speaks against the inventory, and against the job template. group: its name.

    Of tags that cannot be read it is not known whether they name one.
    """
    if isinstance(given.tag, BadSettings):
        return
    yield from _inventory(given, group)
    template = given.tower.template
    if template is None:
        yield no_job_template(group)
    elif isinstance(template, BadSettings):
        correct = _correction(given.tag, JOB_TEMPLATE_TAG, given.request.job_template, "--job-template")
        fact, remedy = _fact_and_remedy(template, correct)
        yield Objection("job template", f"job template for bakes: {fact}", remedy)
    else:
        tower = given.tower
        inventory = _builders_inventory(given)
        yield from template_objections(group, template, tower.terms, inventory, tower.provisioning)
    if given.request.smoke == Smoke.PROVISION:
        yield from _smoke_test(given)


def _smoke_test(given: PreflightInput) -> Iterator[Objection]:
    """What keeps the group's jobs from being run in the inventory of bakes."""
    tower, settings = given.tower, given.settings
    provisioning = tower.provisioning
    if provisioning is None or settings is None:
        yield Objection(
            "smoke test",
            f"a smoke test that provisions runs the group's job, and its tag {JOB_TAG} names none",
            f"set it, or {BOOT}",
        )
        return
    if isinstance(tower.retire, BadSettings):
        fact, remedy = _fact_and_remedy(tower.retire, "correct the tag")
        yield Objection(
            "retire job template",
            f"a smoke test that provisions retires its instance, and the tag {RETIRE_TAG} names no template: {fact}",
            f"{remedy}, or {BOOT}",
        )
    if tower.inventory is None or isinstance(tower.inventory, BadSettings):
        return
    found = limit_objections(provisioning, tower.inventory, settings)
    yield from _of_smoke_job(found, provisioning, JOB_TAG, tower.inventory)
    if tower.retire is not None and not isinstance(tower.retire, BadSettings):
        found = retire_objections(tower.retire, tower.inventory, settings, provisioning)
        yield from _of_smoke_job(found, tower.retire, RETIRE_TAG, tower.inventory)


def _of_smoke_job(
    found: Iterator[Objection], template: JobTemplate, tag: str, inventory: Inventory
) -> Iterator[Objection]:
    """The objections to a job of the group's, as they are to its run on an instance in the inventory of bakes."""
    for each in found:
        if each.what == ANOTHER_INVENTORY:
            yield Objection(
                each.what,
                f"a smoke test that provisions runs job template {template.name!r} (tag {tag}) in inventory "
                f"{inventory.name!r}, and it is fixed to inventory {template.inventory_id}",
                f"let it prompt for the inventory, or {BOOT}",
            )
        else:
            yield each._replace(remedy=f"{each.remedy}; or {BOOT}")


def _correction(tag: BakeTag | BadSettings | None, name: str, value: str, option: str) -> str:
    """What to correct where a value names nothing: the tag that has it, else the option."""
    if isinstance(tag, BakeTag) and tag.values.get(name) == value:
        return f"correct the tag {name}"
    return f"correct {option}, or leave it out where the tag {name} names one"


def _fact_and_remedy(error: BadSettings, correct: str) -> tuple[str, str]:
    """What is wrong with a name, and what to do about it: each says only that. correct: what to correct."""
    fact = str(error).removesuffix(f": {NOT_FOUND_REMEDY}")
    return fact, correct if fact == str(error) else f"{correct}; or create it, or grant its role"


def _inventory(given: PreflightInput, group: str) -> Iterator[Objection]:
    inventory = given.tower.inventory
    if inventory is None:
        yield no_inventory(group)
    elif isinstance(inventory, BadSettings):
        correct = _correction(given.tag, INVENTORY_TAG, given.request.inventory, "--inventory")
        fact, remedy = _fact_and_remedy(inventory, correct)
        yield Objection("inventory", f"inventory for bakes: {fact}", remedy)
    elif inventory.id in given.tower.of_groups:
        yield Objection(
            "a group's inventory",
            f"inventory {inventory.name!r} holds instances of a group: jobs on it would reach builders",
            f"make one for builders alone, and name it with the tag {INVENTORY_TAG} or --inventory",
        )
    if isinstance(inventory, Inventory) and not given.tower.may_change:
        yield unchangeable(inventory)


def _builders_inventory(given: PreflightInput) -> Inventory | None:
    """The inventory that the template's jobs have to run in; one that is a group's is another objection."""
    inventory = given.tower.inventory
    return inventory if isinstance(inventory, Inventory) and inventory.id not in given.tower.of_groups else None
