"""Load balancers before a group: who is let at their traffic, and why they do not call an instance healthy.

Auto Scaling registers an instance with its group's target groups once it is in service, and so before it is known
whether it serves. A gate with the check elb registers it itself, as the last of its checks, while a hook keeps it from
service. From then on that is up to Auto Scaling: who is in Standby, detached or terminating must get no requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.aws.target_groups import name_of
from rollcall.domain.errors import BadSettings
from rollcall.domain.objections import Objection, require_no_objections

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from rollcall.aws.target_groups import TargetHealth, Targets
    from rollcall.domain.groups import Group, GroupSettings

ELB_CHECK = "elb"  # its word in the tag
UNHEALTHY = ("unhealthy", "unhealthy.draining")
STOPPED = "Target.InvalidState"
OWN_INTERNAL_ERROR = "Elb.InternalError"  # the load balancer's


class Doubt(NamedTuple):
    """Why a target group does not call an instance healthy, as a sentence; and whether that speaks against it.

    That the first health checks are still to come does not, nor that its Availability Zone is not enabled: every other
    instance would fare the same.
    """

    words: str
    against: bool


def require_askable(settings: GroupSettings, group: Group, *, load_balancers: bool) -> None:
    """Refuse tags that need load balancers where there are none, or none that can be read. Raises BadSettings."""
    require_no_objections(traffic_objections(settings, group, load_balancers=load_balancers))


def traffic_objections(settings: GroupSettings, group: Group, *, load_balancers: bool) -> Iterator[Objection]:
    """What keeps a group's load balancers from being read, where its tags need that."""
    tag = "rollcall:gate" if settings.asks(ELB_CHECK) else "rollcall:watch" if settings.watch else None
    if tag is None:
        return
    where = f"group {group.name!r}: tag {tag} asks for its load balancers"
    if not load_balancers:
        yield Objection(
            "load balancers may not be asked",
            f"{where}, which this installation may not ask",
            "deploy with LoadBalancers=true",
        )
    if group.other_traffic:
        yield Objection(
            "load balancers of another kind",
            f"{where}, and Rollcall cannot ask {', '.join(group.other_traffic)}",
            "attach target groups of an Application, Network or Gateway Load Balancer in its place, or change the tag",
        )
    elif not group.target_groups:
        yield Objection(
            "no target group", f"{where}, and it is attached to no target group", "attach one, or change the tag"
        )


def admit(
    targets: Targets,
    group: Group,
    instance_ids: Collection[str],
    pending: Callable[[Collection[str]], Collection[str]],
) -> dict[str, list[Doubt]]:
    """Let instances at the group's traffic: who is no target of its target groups, and still pending, becomes one.

    pending: those of the instances that are on their way into service now; read only where an instance is no target.
    By instance id, what keeps them from calling it healthy; nothing if all of them do. Raises BadSettings for a target
    group that does not take instances.
    """
    doubts: dict[str, list[Doubt]] = {each: [] for each in instance_ids}
    for target_group in group.target_groups:
        health = targets.health(target_group, instance_ids)
        strangers = [each for each, known in health.items() if not known.registered]
        missing = pending(strangers) if strangers else ()
        if missing:
            _require_instances(targets, group)
            refused = targets.register(target_group, missing)
            for each in missing:
                words = refused.get(each, "it was registered just now")
                doubts[each].append(Doubt(f"{_called(target_group)}: {words}", against=False))
        for each in health.keys() - set(missing):
            doubts[each] += _doubt(target_group, health[each])
    return doubts


def doubts_about(targets: Targets, group: Group, instance_ids: Collection[str]) -> dict[str, list[Doubt]]:
    """By instance id, what keeps the group's target groups from calling it healthy; nothing if all of them do."""
    doubts: dict[str, list[Doubt]] = {each: [] for each in instance_ids}
    for target_group in group.target_groups:
        for each, known in targets.health(target_group, instance_ids).items():
            doubts[each] += _doubt(target_group, known)
    return doubts


def withdraw(targets: Targets, group: Group, instance_ids: Collection[str]) -> None:
    """Take instances out of the group's target groups. What they have in hand is not waited for."""
    for target_group in group.target_groups:
        targets.deregister(target_group, instance_ids)


def _require_instances(targets: Targets, group: Group) -> None:
    """Auto Scaling attaches no others: its user guide, "Prepare to attach an Elastic Load Balancing load balancer"."""
    for target_group, kind in targets.types(group.target_groups).items():
        if kind != "instance":
            raise BadSettings(
                f"group {group.name!r}: {_called(target_group)} takes targets of type {kind}: attach one of target "
                "type instance"
            )


def _doubt(target_group: str, health: TargetHealth) -> list[Doubt]:
    if health.healthy:
        return []
    said = ": ".join(filter(None, (health.reason, health.description)))
    words = f"{_called(target_group)}: {health.state}" + (f" ({said})" if said else "")
    unhealthy = health.state in UNHEALTHY and health.reason != OWN_INTERNAL_ERROR
    return [Doubt(words, against=unhealthy or health.reason == STOPPED)]


def _called(target_group: str) -> str:
    return f"target group {name_of(target_group)}"
