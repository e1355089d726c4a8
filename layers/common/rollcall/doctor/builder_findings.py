"""What in Tower would keep a bake of a group from beginning: the inventory for builders, the bake's template. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.bake_tags import INVENTORY_TAG, JOB_TEMPLATE_TAG
from rollcall.domain.errors import RollcallError, Transient
from rollcall.domain.findings import Finding, Severity, warns, without_group
from rollcall.domain.settings import JOB_TAG
from rollcall.domain.shell_commands import set_tag_command
from rollcall.hosts.job_templates import ANOTHER_INVENTORY, limit_objections

from .observations import BakeDefaults, BuildersInventory, ObservedTemplate
from .unread_findings import not_found, unread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.domain.groups import GroupSettings
    from rollcall.domain.settings import Settings

    from .observations import Observations, ObservedGroup


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
    if isinstance(inventory, RollcallError):
        yield from _lost(f"inventory {defaults.inventory!r}", group, INVENTORY_TAG, inventory, "Admin")
    elif inventory is not None and inventory.changeable is False:
        name = inventory.inventory.name
        yield warns(
            f"group {group.name}",
            "role on bake inventory",
            f"no bake of it begins: the token's user may not add hosts to inventory {name!r}",
            f"grant it the role Admin (Tower: Inventories, {name}, Access)",
        )
    if isinstance(template, RollcallError):
        yield from _lost(f"job template {defaults.job_template!r}", group, JOB_TEMPLATE_TAG, template, "Execute")
    elif template is not None:
        settings = next((each.settings for each in observed.opted_in if each.name == group.name), None)
        yield from _template(group, template, inventory, observed.template(settings.job_template if settings else None))
        if settings is not None and isinstance(inventory, BuildersInventory):
            yield from _limits(group, template, inventory, settings)


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


def _template(
    group: ObservedGroup,
    observed: ObservedTemplate,
    inventory: BuildersInventory | RollcallError | None,
    provisioning: ObservedTemplate | None,
) -> Iterator[Finding]:
    template, terms = observed.template, observed.terms
    where, begins = f"group {group.name}", f"no bake of it begins: job template {template.name!r}"
    if provisioning is not None and provisioning.template.id == template.id:
        yield warns(
            where,
            "bakes with the provisioning template",
            f"{begins} is the one that provisions its instances (tag {JOB_TAG})",
            f"name one for bakes; it may run the same roles: "
            f"{set_tag_command(group.name, JOB_TEMPLATE_TAG, 'TEMPLATE')}",
        )
    fixed = not template.asks_inventory
    if fixed and isinstance(inventory, BuildersInventory) and template.inventory_id != inventory.inventory.id:
        yield warns(
            where,
            "bake template's inventory",
            f"{begins} is fixed to inventory {template.inventory_id}, and builders are in {inventory.inventory.name!r}",
            "let it prompt for the inventory",
        )
    if isinstance(terms, RollcallError):
        return
    if not terms.startable:
        yield warns(
            where,
            "role on bake template",
            f"no bake of it begins: the token's user may not launch job template {template.name!r}",
            f"grant it the role Execute (Tower: Templates, {template.name}, Access)",
        )
    if terms.needed:
        yield warns(
            where,
            "bake template needs more",
            f"{begins} is not launched without {', '.join(terms.needed)}, which Rollcall never gives",
            "make these optional, or set them in the template",
        )


def _limits(
    group: ObservedGroup, observed: ObservedTemplate, inventory: BuildersInventory, settings: GroupSettings
) -> Iterator[Finding]:
    """Why its jobs could run on other hosts than the builder, or not run the whole playbook."""
    for each in limit_objections(observed.template, inventory.inventory, settings, JOB_TEMPLATE_TAG):
        if each.what != ANOTHER_INVENTORY:  # its words are about the group's own; _template has those about builders
            what, reason = f"bake template: {each.what}", without_group(group.name, each.reason)
            yield warns(
                f"group {group.name}", what, f"no bake of it begins: {reason}", f"in the template: {each.remedy}"
            )
