"""New instances: where each belongs in Tower by the tags of its group, and its own parameters."""

from __future__ import annotations

from copy import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from rollcall.checks.load_balancers import require_askable
from rollcall.checks.registry import objections_to_checks
from rollcall.domain.errors import BadSettings, InstanceNotVisible
from rollcall.domain.instances import UserDataParameters
from rollcall.domain.objections import require_no_objections
from rollcall.domain.stages import Stage, action_of, all_together, each_apart, grouped, joined
from rollcall.domain.tag_support import objections_to
from rollcall.hosts.job_templates import find_inventory_and_template, require_limitable
from rollcall.hosts.user_data_reader import read_parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.groups import GroupSettings
    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import Inventory
    from rollcall.domain.jobs import JobTemplate
    from rollcall.domain.settings import Settings
    from rollcall.tower.client import Tower

    from .launch_classification import ToBeRegistered


class NewInstance(NamedTuple):
    """An instance of a group that opted in, where it belongs in Tower, and its own parameters.

    It is pending; or in service already, where no hook waits. template: None where the group has no job.
    """

    action: LifecycleAction
    settings: GroupSettings
    instance: Instance
    inventory: Inventory
    template: JobTemplate | None
    parameters: UserDataParameters = UserDataParameters()

    @property
    def groups(self) -> tuple[str, ...]:
        """The inventory groups that its host is put into."""
        return tuple(dict.fromkeys((*self.settings.inventory_groups, *self.parameters.groups)))

    @property
    def held_by_hook(self) -> bool:
        """Whether a hook holds it until it is answered. In an emergency it may serve at any moment."""
        return self.action.held_by_hook and not self.settings.in_emergency

    @property
    def address(self) -> str:
        """The address of the kind that its group wants."""
        return self.instance.addresses[self.settings.address]


def find_new_instances(tower: Tower, here: Settings, wanted: Sequence[ToBeRegistered]) -> Stage[NewInstance]:
    """Where each instance belongs in Tower.

    What is wrong with a group fails all of its instances: BadSettings, or what Tower answers instead of its
    inventory and its template. An instance without the address that its group wants fails alone.
    """
    by_group = grouped(wanted, lambda each: each.settings)
    return joined(
        all_together(own, action_of, partial(_of_group, tower, here, settings)) for settings, own in by_group.items()
    )


def _of_group(
    tower: Tower, here: Settings, settings: GroupSettings, wanted: Sequence[ToBeRegistered]
) -> Stage[NewInstance]:
    require_no_objections(objections_to(settings, here))
    require_no_objections(objections_to_checks(settings, here))
    require_askable(settings, wanted[0].group, load_balancers=here.load_balancers)
    inventory, template = find_inventory_and_template(tower, settings)
    if template:
        require_limitable(template, inventory, settings)
    return each_apart(
        wanted,
        action_of,
        lambda each: NewInstance(each.action, settings, _addressed(each), inventory, template),
    )


def _addressed(wanted: ToBeRegistered) -> Instance:
    """The instance, once it has the address that its group wants. Raises InstanceNotVisible or BadSettings."""
    instance, kind = wanted.instance, wanted.settings.address
    if instance is None:
        raise InstanceNotVisible(f"{wanted.action.instance_id} is pending, and EC2 does not describe it yet")
    if not instance.addresses[kind]:
        if instance.state == "pending":
            raise InstanceNotVisible(f"{instance.instance_id} has no {kind} address yet")
        raise BadSettings(
            f"group {wanted.settings.group!r}: tag rollcall:address asks for the {kind} address, and "
            f"{instance.instance_id} has none: change the tag, or the subnet's settings"
        )
    return instance


def with_parameters(
    fleet: Fleet, tower: Tower, here: Settings, new_instances: Sequence[NewInstance]
) -> Stage[NewInstance]:
    """All of them; those of groups with the tag rollcall:user-data with the parameters in their user data."""
    places = {
        each.instance.instance_id: (each.settings.group, each.inventory)
        for each in new_instances
        if each.settings.user_data
    }
    if not places:
        return Stage(new_instances)
    parameters = read_parameters(fleet, tower, places, allowed=here.user_data)
    return Stage(
        [replace(each, parameters=parameters.get(each.instance.instance_id, each.parameters)) for each in new_instances]
    )
