"""What in Tower would keep a bake of a group from beginning: the inventory for builders, the bake's template. Pure.

Doctor finds it for groups with a tag of bakes in a stack that has these; pre-flight objects to it (bake/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.bake_tags import INVENTORY_TAG, JOB_TEMPLATE_TAG
from rollcall.domain.errors import RollcallError, Transient
from rollcall.domain.findings import Finding, Severity, warns
from rollcall.domain.objections import Objection
from rollcall.domain.settings import JOB_TAG
from rollcall.domain.shell_commands import set_tag_command
from rollcall.hosts.job_templates import whole_run_objections

from .bake_findings import keeps_from_baking
from .observations import BakeDefaults, BuildersInventory
from .unread_findings import not_found, unread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.domain.inventories import Inventory
    from rollcall.domain.jobs import JobTemplate, LaunchTerms
    from rollcall.domain.settings import Settings

    from .observations import Observations, ObservedGroup


# What pre-flight objects to, too


def unchangeable(inventory: Inventory) -> Objection:
    """To an inventory for builders that the token's user may not change."""
    return Objection(
        "role on bake inventory",
        f"the token's user may not add hosts to inventory {inventory.name!r}",
        f"grant it the role Admin (Tower: Inventories, {inventory.name}, Access)",
    )


def template_objections(
    group: str,
    template: JobTemplate,
    terms: LaunchTerms | None,
    inventory: Inventory | None,
    provisioning: JobTemplate | None,
) -> Iterator[Objection]:
    """To the job template of a group's bakes. terms: None where they are not known.

    inventory: of builders, None where that is not known, or is another objection. provisioning: the template that
    provisions the group's instances.
    """
    where = f"job template {template.name!r}"
    if provisioning and template.id == provisioning.id:
        yield Objection(
            "bakes with the provisioning template",
            f"{where} is the one that provisions its instances (tag {JOB_TAG})",
            "name one for bakes, with --job-template or the tag; it may run the same roles: "
            f"{set_tag_command(group, JOB_TEMPLATE_TAG, 'TEMPLATE')}",
        )
    for each in whole_run_objections(template, where):
        yield Objection(f"bake template: {each.what}", each.reason, f"in the template: {each.remedy}")
    if inventory and not template.asks_inventory and template.inventory_id != inventory.id:
        yield Objection(
            "bake template's inventory",
            f"{where} is fixed to inventory {template.inventory_id}, and builders are in {inventory.name!r}",
            "let it prompt for the inventory",
        )
    if terms and not terms.startable:
        yield Objection(
            "role on bake template",
            f"the token's user may not launch {where}",
            f"grant it the role Execute (Tower: Templates, {template.name}, Access)",
        )
    if terms and terms.needed:
        yield Objection(
            "bake template needs more",
            f"Tower does not launch {where} without {', '.join(terms.needed)}, which Rollcall never gives",
            "make these optional, or set them in the template",
        )


# Findings


def builder_findings(observed: Observations, here: Settings) -> Iterator[Finding]:
    """What is wrong with what the tags of groups name for bakes; nothing while Tower does not answer."""
    if not here.bakes or isinstance(observed.groups, RollcallError):
        return
    for name, defaults in observed.bakes.items():
        if isinstance(defaults, BakeDefaults) and not defaults.forbidden:
            yield from _of_group(observed.groups[name], defaults, observed)


def _of_group(group: ObservedGroup, defaults: BakeDefaults, observed: Observations) -> Iterator[Finding]:
    tower = observed.tower
    inventory = tower.bake_inventories.get(defaults.inventory)
    template = tower.bake_templates.get(defaults.job_template)
    found: list[Objection] = []
    if isinstance(inventory, RollcallError):
        yield from _lost(f"inventory {defaults.inventory!r}", group, INVENTORY_TAG, inventory, "Admin")
    elif inventory is not None and inventory.changeable is False:
        found.append(unchangeable(inventory.inventory))
    if isinstance(template, RollcallError):
        yield from _lost(f"job template {defaults.job_template!r}", group, JOB_TEMPLATE_TAG, template, "Execute")
    elif template is not None:
        settings = next((each.settings for each in observed.opted_in if each.name == group.name), None)
        provisioning = observed.template(settings.job_template if settings else None)
        found += template_objections(
            group.name,
            template.template,
            None if isinstance(template.terms, RollcallError) else template.terms,
            inventory.inventory if isinstance(inventory, BuildersInventory) else None,
            provisioning.template if provisioning else None,
        )
    for each in found:
        yield keeps_from_baking(group, each)


def _lost(subject: str, group: ObservedGroup, tag: str, error: RollcallError, role: str) -> Iterator[Finding]:
    """An inventory or a template that is not found, or could not be read just now."""
    if isinstance(error, Transient):
        yield from unread("what tags of bakes name", {subject: error}, Severity.WARNING)
        return
    found = not_found(subject, f"tag {tag} of group {group.name}", error, role)
    yield warns(
        f"group {group.name}",
        f"tag {tag}",
        f"no bake of it begins: {found.reason}",
        f"correct the tag; if it is there, grant the token's user the role {role} on it",
    )
