"""What in Tower speaks against beginning a bake: where builders would be, and the job that provisions them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.bake_tags import INVENTORY_TAG, JOB_TEMPLATE_TAG
from rollcall.domain.errors import BadSettings
from rollcall.domain.inventories import Inventory
from rollcall.domain.objections import Objection
from rollcall.domain.settings import JOB_TAG, RETIRE_TAG
from rollcall.domain.shell_commands import set_tag_command
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
        yield Objection(
            "no job template",
            "no job template is named, whose job provisions the builder",
            f"name one: {set_tag_command(group, JOB_TEMPLATE_TAG, 'TEMPLATE')}",
        )
    elif isinstance(template, BadSettings):
        correct = _correction(given.tag, JOB_TEMPLATE_TAG, given.request.job_template, "--job-template")
        fact, remedy = _fact_and_remedy(template, correct)
        yield Objection("job template", f"job template for bakes: {fact}", remedy)
    else:
        yield from _job_template(given, template)
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
        yield Objection(
            "no inventory",
            "no inventory is named for builders",
            f"make one that no group has, and name it: {set_tag_command(group, INVENTORY_TAG, 'INVENTORY')}",
        )
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
        yield Objection(
            "role on inventory",
            f"the token's user may not add hosts to inventory {inventory.name!r}",
            f"grant it the role Admin (Tower: Inventories, {inventory.name}, Access)",
        )


def _job_template(given: PreflightInput, template: JobTemplate) -> Iterator[Objection]:
    where = f"job template {template.name!r}"
    if given.tower.provisioning and template.id == given.tower.provisioning.id:
        yield Objection(
            "the provisioning template",
            f"{where} is the one that provisions the group's instances (tag {JOB_TAG})",
            f"name one for bakes with the tag {JOB_TEMPLATE_TAG} or --job-template; it may run the same roles",
        )
    if not template.asks_limit:
        yield Objection(
            "no prompt for limit",
            f"{where} does not prompt for limit and would run on every host",
            "tick 'Prompt on launch'",
        )
    if template.slices > 1:
        yield Objection("slices", f"{where} is cut into {template.slices} slices, whose jobs have no limit", "use 1")
    if _is_fixed_elsewhere(template, given):
        yield Objection(
            "another inventory",
            f"{where} is fixed to inventory {template.inventory_id}, and builders are in another one",
            "let it prompt for the inventory",
        )
    if template.job_type != "run" and not template.asks_job_type:
        yield Objection(
            "not a run", f"{where} is of the job type {template.job_type!r}, which changes nothing", "set it to 'Run'"
        )
    if (template.tags and not template.asks_tags) or (template.skip_tags and not template.asks_skip_tags):
        yield Objection("tags", f"{where} runs only a part of its playbook", "clear its job tags and skip tags")
    yield from _terms(given, template, where)


def _terms(given: PreflightInput, template: JobTemplate, where: str) -> Iterator[Objection]:
    terms = given.tower.terms
    if terms and not terms.startable:
        yield Objection(
            "role on template",
            f"the token's user may not launch {where}",
            f"grant it the role Execute (Tower: Templates, {template.name}, Access)",
        )
    if terms and terms.needed:
        yield Objection(
            "launch needs more",
            f"Tower does not launch {where} without {', '.join(terms.needed)}, which Rollcall never gives",
            "make these optional, or set them in the template",
        )


def _is_fixed_elsewhere(template: JobTemplate, given: PreflightInput) -> bool:
    """Whether its jobs run in another inventory than the builders'; not asked of one that is a group's."""
    inventory = given.tower.inventory
    if template.asks_inventory or not isinstance(inventory, Inventory) or inventory.id in given.tower.of_groups:
        return False
    return template.inventory_id != inventory.id
