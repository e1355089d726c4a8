"""Instances that serve and have no host where it belongs: one is adopted or added, or it is reported why not. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollcall.hosts.resting import is_enabled_on_return
from rollcall.hosts.stint import read_stint
from rollcall.hosts.variables import RESTING, STINT, is_resting, with_our_variables, with_state

from .plan_changes import adoption, left_out_tags
from .steps import Addition, DriftFinding, DriftKind, plan_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import DumpedHost

    from .plan_input import PlanInput
    from .snapshot import Place
    from .steps import Plan, Removal, Step


@dataclass(frozen=True)
class StayingHosts:
    """The hosts that will still be there while others are added, ours or not: by id, by inventory's id and name."""

    by_id: Mapping[int, DumpedHost]
    by_name: Mapping[tuple[int, str], DumpedHost]


def staying_hosts(given: PlanInput, removals: Iterable[Removal]) -> StayingHosts:
    """All but those that are removed first; one that moves stays until it is in its new place."""
    going = {removal.host.id for removal in removals if not removal.moved}
    hosts = [host for _, own in given.dumps for host in own if host.id not in going]
    return StayingHosts({host.id: host for host in hosts}, {(host.inventory_id, host.name): host for host in hosts})


def plan_missing(given: PlanInput, staying: StayingHosts) -> Plan:
    """The additions, the changes (adoptions) and the findings that are about instances without a host."""
    steps: list[Step | DriftFinding] = []
    for place, instance in _without_host(given):
        wanted = variables_or_obstacle(given, staying, place, instance)
        if isinstance(wanted, DriftFinding):
            steps.append(wanted)
            continue
        steps += left_out_tags(place, instance)
        host = _adoptable(given, staying, place, instance.instance_id)
        steps.append(
            adoption(given, host, instance.instance_id, place, wanted)
            if host
            else _addition(given, place, instance, wanted)
        )
    return plan_of(steps)


def _without_host(given: PlanInput) -> Iterator[tuple[Place, Instance]]:
    """The living instances in service that the run concerns and that have no host in their group's inventory."""
    for instance_id, membership in given.members:
        place, instance = given.place_of(membership), given.instance(instance_id)
        if not place or not instance or not instance.living or not membership.serving:
            continue
        if given.concerns(instance_id, membership.group) and (place.inventory.id, instance_id) not in given.hosted:
            yield place, instance


def variables_or_obstacle(
    given: PlanInput, staying: StayingHosts, place: Place, instance: Instance
) -> dict[str, object] | DriftFinding:
    """The variables of the host that an instance is to get; or why it can get none."""
    instance_id = instance.instance_id
    wanted = given.wanted_variables(place, instance)
    if wanted is None:
        reason = f"it has no {place.settings.address} address, and so no host"
        return DriftFinding(DriftKind.NO_ADDRESS, place.inventory, instance_id, reason, instance_id)
    host = staying.by_name.get((place.inventory.id, instance_id))
    if host and not _is_for(given, host, instance_id) and not _may_be_adopted(given, host):
        reason = f"it has the name of an instance of ours and is {_whose(given, host)}"
        return DriftFinding(DriftKind.NAME_TAKEN, place.inventory, instance_id, reason, instance_id)
    return wanted


def _is_for(given: PlanInput, host: DumpedHost, instance_id: str) -> bool:
    """Whether a host is ours for this instance, or a copy of such a one."""
    owner = given.snapshot.owners.get(host.id)
    _, copied = given.copies.get(host.id, (None, None))
    return any(each is not None and each.instance_id == instance_id for each in (owner, copied))


def _may_be_adopted(given: PlanInput, host: DumpedHost) -> bool:
    return given.options.adopt and "rollcall" not in host.variables


def _whose(given: PlanInput, host: DumpedHost) -> str:
    """Whose a host is that has the name of an instance of ours, and the remedy."""
    if marker := given.snapshot.owners.get(host.id):
        return f"for {marker.instance_id}: rename it"
    if host.id in given.copies:
        return "a copy from another inventory: remove it"
    if "rollcall" in host.variables:
        return "another installation's: remove it"
    return "not ours: remove it, or set AdoptByInstanceId"


def _adoptable(given: PlanInput, staying: StayingHosts, place: Place, instance_id: str) -> DumpedHost | None:
    """The host in an instance's inventory that was made for it by something else, or was copied there."""
    id_in_field = given.snapshot.by_instance_id.get((place.inventory.id, instance_id), 0)
    host = staying.by_name.get((place.inventory.id, instance_id)) or staying.by_id.get(id_in_field)
    return host if host and (_is_for(given, host, instance_id) or _may_be_adopted(given, host)) else None


def _addition(given: PlanInput, place: Place, instance: Instance, wanted: Mapping[str, object]) -> Addition:
    """An instance with a host in another inventory moves, with what was set on it there; its event was not lost."""
    elsewhere = given.hosts_of.get(instance.instance_id, ())
    former = min(elsewhere, key=lambda host: host.id, default=None)
    moves = former is not None and not is_resting(former.variables)
    variables = with_our_variables(former.variables, wanted) if former else wanted
    if not moves or read_stint(variables) is None:
        variables = with_state(variables, **{STINT: given.new_stint(), RESTING: None})
    enabled = all(host.enabled or is_enabled_on_return(host.variables) for host in elsewhere)
    lost = given.event_was_lost(place, instance.instance_id)
    due = given.job_is_due(place, instance.instance_id) and not (moves and lost and not given.options.provision)
    provision = place.settings.job_template is not None and due and enabled  # jobs pass over disabled hosts
    reason = f"it serves in group {place.settings.group!r} and has no host"
    if provision:  # the same words for all of a group, which so are one entry
        age = f"it came less than {place.settings.timeout:.0f} s ago, and no job holds it"
        reason += (
            f"; {age}: its event was lost, or it came before its group had hooks" if lost else "; its job is asked for"
        )
    return Addition(place, instance.instance_id, variables, provision, reason, enabled)
