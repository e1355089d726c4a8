"""Pre-flight of a cycle: everything that speaks against it, or how it will go; before anything is touched. Pure.

What was read (preflight_input.py) -> objections (preflight_objections.py), warnings, and the plan. A dry run ends here.
"""

from __future__ import annotations

from copy import replace
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.aws.launch_surroundings import FAILED
from rollcall.doctor.cycle_findings import protected_in, standby_in
from rollcall.doctor.unread_findings import listed
from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import OnFailure
from rollcall.domain.settings import CYCLE_TAG
from rollcall.workflow.preflight import no_group
from rollcall.workflow.schedule import next_by_schedule

from .batch import batch_size, batches, maximum_healthy
from .observed import is_of_override
from .preferences import refresh_parameters
from .preflight_input import replaceable
from .preflight_objections import objections_to
from .request import Protected, Standby
from .version_plan import VersionPlan, running_versions, version_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.aws.group_details import GroupDetails, MemberDetails
    from rollcall.domain.objections import Objection

    from .preflight_input import PreflightInput
    from .request import CycleRequest
    from .state import CycleState

ORDER_MAX = 20  # instances that a plan names
LAUNCHES_TYPICAL = 10  # of the last ones, by which a launch is estimated
STACK_TAG = "aws:cloudformation:stack-name"
TERRAFORM = "terraform"  # in a tag's key, or in the value of one that says by what it is managed


@dataclass(frozen=True)
class Plan:
    """How a cycle will go.

    target_version, from_version, template_id: empty for a group with a launch configuration. pinned_from: the alias
    from which the group is set to from_version first, empty for none. sent: the parameters of StartInstanceRefresh.
    why_no_rollback: empty where AWS rolls back. batch, maximum_healthy: instances at a time, percent. replaced: how
    many instances, those of the warm pool included; order: the first of them that are known, though AWS does not say in
    which order it takes them. estimate_seconds: None without a launch in the group's history. nothing_to_replace: no
    refresh is needed. untried: no instance will have tried the version. notes: what an operator should know beforehand.
    next_by_schedule: when the next cycle by the group's tag is due, in words; empty for never.
    """

    target_version: str
    from_version: str
    template_id: str
    pinned_from: str
    sent: dict[str, Any]
    rolls_back: bool
    why_no_rollback: str
    skip_matching: bool
    desired: int
    batch: int
    maximum_healthy: int
    replaced: int
    batches: int
    order: tuple[str, ...]
    estimate_seconds: float | None
    nothing_to_replace: bool
    untried: bool
    notes: tuple[str, ...]
    next_by_schedule: str = ""

    @property
    def sends_configuration(self) -> bool:
        """Whether the version goes in as a desired configuration."""
        return "DesiredConfiguration" in self.sent

    def into(self, state: CycleState) -> CycleState:
        """The state with what was planned."""
        return replace(
            state,
            template_id=self.template_id,
            target_version=self.target_version,
            from_version=self.from_version,
            sent=self.sent,
            rolls_back=self.rolls_back,
            pinned_from=self.pinned_from,
            desired=self.desired,
            batch=self.batch,
            skip_matching=self.skip_matching,
            left=self.replaced,
            plan=self.to_json(),
        )

    def to_json(self) -> dict[str, Any]:
        """What an operator sees of it: what the state of a cycle does not hold elsewhere."""
        elsewhere = {"sent", "target_version", "from_version", "template_id", "pinned_from", "skip_matching"}
        shown = {key: value for key, value in asdict(self).items() if key not in elsewhere}
        return shown | {
            "order": list(self.order),
            "notes": list(self.notes),
            "sends_configuration": self.sends_configuration,
        }


class Preflight(NamedTuple):
    """What pre-flight came to. plan: None where there is no group to make one for."""

    objections: tuple[Objection, ...]
    warnings: tuple[str, ...] = ()
    plan: Plan | None = None


def judge(given: PreflightInput) -> Preflight:
    """All objections, each once, all warnings, and the plan."""
    details = given.details
    if details is None:
        return Preflight((no_group(given.request.group),))
    version = version_plan(given, details)
    size = _size(details, given.request)
    found = {(each.what, each.reason): each for each in objections_to(given, details, version, size)}
    plan = _plan(given, details, version, size)
    return Preflight(tuple(found.values()), plan.notes, plan)


# The plan


def _size(details: GroupDetails, request: CycleRequest) -> int:
    """Of a batch: in units of the desired capacity, and so at least one instance of the largest weight."""
    size = batch_size(details.desired, request.batch)
    return min(details.desired, max(size, details.largest_weight)) if details.largest_weight > 1 else size


def _plan(given: PreflightInput, details: GroupDetails, version: VersionPlan, size: int) -> Plan:
    replaced = _replaced(given.request, details, version)
    living = {each.instance_id for each in details.members}
    count = batches(sum(each.instance_id in living for each in replaced), size)
    sent = refresh_parameters(
        given.request,
        version.configuration,
        desired=details.desired,
        size=size,
        skips_matching=version.skips_matching,
        rolls_back=version.rolls_back,
    )
    untried = version.configuration is not None and details.desired == 0 and not replaced
    return Plan(
        target_version=version.target,
        from_version=version.before,
        template_id=version.template_id,
        pinned_from=version.alias if version.pin else "",
        sent=sent,
        rolls_back=version.rolls_back,
        why_no_rollback="" if version.rolls_back else version.no_rollback or "it is not asked for",
        skip_matching=version.skips_matching,
        desired=details.desired,
        batch=size,
        maximum_healthy=maximum_healthy(details.desired, size),
        replaced=len(replaced),
        batches=count,
        order=tuple(each.instance_id for each in replaced[:ORDER_MAX]),
        estimate_seconds=_estimate(given, details, count),
        nothing_to_replace=not replaced and version.configuration is None,
        untried=untried,
        notes=tuple(_notes(given, details, version, size, untried=untried)),
        next_by_schedule=next_by_schedule(None if isinstance(given.tag, BadSettings) else given.tag, given.now),
    )


def _replaced(request: CycleRequest, details: GroupDetails, version: VersionPlan) -> list[MemberDetails]:
    """The instances that will be replaced: of the group itself first, then of its warm pool."""
    ignored = {
        *(protected_in(details) if request.protected == Protected.IGNORE else ()),
        *(standby_in(details) if request.standby == Standby.IGNORE else ()),
    }
    return [
        each
        for each in replaceable(details)
        if each.instance_id not in ignored
        if not (version.skips_matching and _has(each, details, version))
    ]


def _has(member: MemberDetails, details: GroupDetails, version: VersionPlan) -> bool:
    """Whether an instance is what the group will launch."""
    wanted = (version.template_id, version.target)
    return (member.template_id, member.version) == wanted or is_of_override(details, member)


def _estimate(given: PreflightInput, details: GroupDetails, count: int) -> float | None:
    """Seconds: for each batch a launch as usual and the warm-up, then a termination, and what is to be waited."""
    launches = [each.seconds for each in given.activities if each.is_launch and each.seconds is not None]
    ends = [each.seconds for each in given.activities if not each.is_launch and each.seconds is not None]
    if not launches:
        return None
    launch = median(launches[:LAUNCHES_TYPICAL])
    end = median(ends[:LAUNCHES_TYPICAL]) if ends else 0.0
    request = given.request
    stops = sum(each < 100 for each in request.checkpoints) * request.checkpoint_seconds if count else 0
    return count * (launch + details.warmup) + (end if count else 0.0) + stops + request.bake_seconds


# What an operator should know beforehand


def _notes(
    given: PreflightInput, details: GroupDetails, version: VersionPlan, size: int, *, untried: bool
) -> Iterator[str]:
    if untried:
        yield f"version {version.target} is not tried on any instance: the desired capacity is 0"
    yield from _version_notes(given, details, version)
    yield from _instance_notes(given.request, details)
    yield from _held_notes(given, details, size)
    for each in details.overrides if version.configuration is not None else ():
        if named := _of_its_own(each):
            yield f"the override for {each.get('InstanceType', 'some types')} keeps {named} of its own"
    if details.largest_weight > 1:
        yield f"the desired capacity and a batch are units: an instance counts for up to {details.largest_weight}"
    for where, subnet in sorted(given.subnets.items()):
        if subnet.free == 0:
            yield f"subnet {where} in {subnet.zone} has no free address: new instances go into the others"
    if version.configuration is None and any(each.refusal.is_denial for each in given.trials):
        yield "whether EC2 would launch it was not tried: Rollcall may not launch it, and needs not without a version"
    last = next((each for each in given.activities if each.is_launch and each.ended is not None), None)
    if last is not None and last.status == FAILED:
        yield f"the group's last launch failed: {last.words}"


def _version_notes(given: PreflightInput, details: GroupDetails, version: VersionPlan) -> Iterator[str]:
    if version.alias and version.configuration is not None and not version.pin:
        yield (
            f"the group is on {version.alias}, and will be on version {version.target} afterwards; "
            + (
                f"it is not pinned, for most of its instances run version {version.target} already"
                if given.request.pin
                else "with --pin of a cycle or bake (in input and tags: pin=true) it could be put back"
            )
        )
    elif version.alias and version.configuration is None:
        yield f"the group stays on {version.alias}, which is version {version.target} now"
    if version.pin and len(running_versions(details, version.template_id)) == 1:  # else it is an objection
        yield f"the group is set from {version.alias} to version {version.pin} first, which its instances run"
    if version.configuration is not None and version.others and version.rolls_back:
        runs = f"version{'s' if len(version.others) > 1 else ''} {listed(version.others)} run"
        yield (
            f"{runs}{'' if len(version.others) > 1 else 's'} in it, too; a rollback goes to version {version.before}, "
            "which the group has"
        )
    if version.configuration is not None:
        yield _owner(details)
    if version.configuration is not None and not version.rolls_back and version.no_rollback:
        yield f"AWS cannot roll it back ({version.no_rollback}): what fails is cancelled"


def _owner(details: GroupDetails) -> str:
    """What will set the version again: by the group's tags, else in general."""
    tags = details.group.tags
    if stack := tags.get(STACK_TAG):
        return (
            f"CloudFormation stack {stack} owns the group: its next update sets the version that its template has, if "
            "that changed; put the new one there"
        )
    if any(TERRAFORM in f"{key} {value}".lower() for key, value in tags.items()):
        return (
            "Terraform owns the group, by its tags: its next run sets the version that its configuration has; put the "
            "new one there, or ignore changes of the version"
        )
    return "whatever deploys this group may set its version back: put the new one there"


def _instance_notes(request: CycleRequest, details: GroupDetails) -> Iterator[str]:
    becomes = {
        "refresh": "are replaced",
        "terminate": "are terminated and replaced",
        "ignore": "stay as they are",
        "wait": "are waited for, an hour, and then the cycle fails",
    }
    if request.protected != Protected.REFUSE and (found := protected_in(details)):
        yield f"protected from scale-in, these {becomes[request.protected]}: {listed(found)}"
    if request.standby != Standby.REFUSE and (found := standby_in(details)):
        yield f"in Standby, these {becomes[request.standby]}: {listed(found)}"
    if details.pool:
        yield f"its warm pool is replaced, too: {len(details.pool)} instances"


def _held_notes(given: PreflightInput, details: GroupDetails, size: int) -> Iterator[str]:
    """That a cycle may wait for an operator: a failed instance that is held keeps a batch of one as it is."""
    holds = given.settings is not None and given.settings.on_failure == OnFailure.HOLD
    if holds and size <= details.largest_weight and details.desired > 1:
        yield (
            "a new instance that fails is held (rollcall:on-failure=hold), and one at a time no second one comes that "
            "would end the cycle: it waits until you act; let two come at a time (--batch 2; tag "
            f"{CYCLE_TAG}: batch=2), or set rollcall:on-failure to {OnFailure.ABANDON}"
        )


def _of_its_own(override: Any) -> str:
    template = override.get("LaunchTemplateSpecification")
    named = [
        *(
            [f"launch template {template.get('LaunchTemplateName') or template['LaunchTemplateId']}"]
            if template
            else []
        ),
        *([f"image {override['ImageId']}"] if override.get("ImageId") else []),
    ]
    return " and ".join(named)
