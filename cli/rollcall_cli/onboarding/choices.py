"""What Tower has for a group: the inventories and job templates to choose from, and what speaks against a choice."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rollcall.checks.load_balancers import traffic_objections
from rollcall.checks.registry import objections_to_checks
from rollcall.domain.errors import BadSettings
from rollcall.domain.tag_support import objections_to
from rollcall.hosts.job_templates import find_inventory_and_template, find_retire_template, limit_objections

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollcall.domain.groups import Group, GroupSettings
    from rollcall.domain.jobs import JobTemplate
    from rollcall.domain.settings import Settings
    from rollcall.tower.client import Tower
    from rollcall.tower.references import Listed


def references(listed: Sequence[Listed]) -> list[str]:
    """How a tag names each: by its name, where one name or number could mean several things by its id. Pure."""
    names = Counter(each.name for each in listed)
    return [each.name if names[each.name] == 1 and _is_plain(each.name) else f"id:{each.id}" for each in listed]


def described(listed: Sequence[Listed]) -> list[str]:
    """Each for an operator to choose from: as a tag names it, with its name and organization beside an id. Pure."""
    return [
        reference if reference == each.name else f"{reference}  {each.organization}/{each.name}"
        for each, reference in zip(listed, references(listed), strict=True)
    ]


def chosen(said: str) -> str:
    """What a tag is to say, of a choice as it was described. Pure."""
    return said.partition("  ")[0] if said.startswith("id:") else said


def _is_plain(name: str) -> bool:
    """Whether a tag may hold a name as it is: nothing else can be meant by it, and Auto Scaling takes all of it."""
    return not name.isdecimal() and not name.startswith("id:") and "/" not in name and name == name.strip()


def objections(tower: Tower, settings: GroupSettings, group: Group, here: Settings) -> Iterator[str]:
    """What keeps Rollcall from following these settings, each with its remedy. Raises what Tower's methods raise.

    group: with the tags that the settings are of. here: the installation's settings, as its functions have them.
    """
    yield from map(str, objections_to(settings, here))
    yield from map(str, objections_to_checks(settings, here))
    yield from map(str, traffic_objections(settings, group, load_balancers=here.load_balancers))
    inventory, template = find_inventory_and_template(tower, settings)
    if not tower.may_change(inventory):
        yield f"the token's user may not change inventory {inventory.name!r}: grant it the role Admin on it"
    if template:
        yield from map(str, limit_objections(template, inventory, settings))
        yield from _launch_objections(tower, template)
    if settings.retire_job_template and here.retire_jobs:
        try:
            retiring = find_retire_template(tower, settings, settings.retire_job_template, inventory, template)
        except BadSettings as error:
            yield str(error)
            return
        yield from _launch_objections(tower, retiring)


def _launch_objections(tower: Tower, template: JobTemplate) -> Iterator[str]:
    terms = tower.launch_terms(template)
    if not terms.startable:
        yield f"the token's user may not launch job template {template.name!r}: grant it the role Execute on it"
    if terms.needed:
        yield (
            f"Tower does not launch job template {template.name!r} without {', '.join(terms.needed)}, which Rollcall "
            "never gives: make it optional, or set it in the template"
        )
