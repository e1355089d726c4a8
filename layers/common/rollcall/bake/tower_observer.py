"""Reads in Tower what pre-flight of a bake judges, and changes nothing: the job templates, inventories, the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.errors import BadSettings, TowerDenied, TowerRejected, TowerUnavailable
from rollcall.domain.inventories import Inventory
from rollcall.hosts.removal import inventories_of_our_groups

from .preflight_input import TowerInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.groups import GroupSettings
    from rollcall.tower.client import Tower

    from .request import BakeRequest


def observed_tower(tower: Tower, fleet: Fleet, request: BakeRequest, settings: GroupSettings | None) -> TowerInput:
    """What a request and the group's tags name in Tower, and what else bears on it.

    settings: None for a group that did not opt in. Raises TowerUnavailable, and what AWS fails at; what names nothing,
    and what of a project may not be read, is in the answer.
    """
    template = _found(tower.job_template, request.job_template)
    inventory = _found(tower.inventory, request.inventory)
    terms = None if template is None or isinstance(template, BadSettings) else tower.launch_terms(template)
    of_groups = inventories_of_our_groups(tower, fleet)
    if of_groups is None:
        raise TowerUnavailable("which inventories hold instances of groups could not be read")
    provisioning = _found(tower.job_template, settings.job_template or "") if settings else None
    retire = _found(tower.job_template, settings.retire_job_template or "") if settings else None
    project, unread = None, ""
    if template is not None and not isinstance(template, BadSettings) and template.project_id is not None:
        try:
            project = tower.project(template.project_id)
        except (TowerDenied, TowerRejected) as error:
            unread = f"{error}; grant the token's user the role Read on the project"
    return TowerInput(
        template=template,
        terms=terms,
        inventory=inventory,
        may_change=not isinstance(inventory, Inventory) or tower.may_change(inventory),
        provisioning=None if isinstance(provisioning, BadSettings) else provisioning,
        retire=retire,
        of_groups=of_groups,
        project=project,
        unread=unread,
    )


def _found[T](find: Callable[[str], T], reference: str) -> T | BadSettings | None:
    if not reference:
        return None
    try:
        return find(reference)
    except BadSettings as error:
        return error
