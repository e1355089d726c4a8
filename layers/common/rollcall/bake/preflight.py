"""Pre-flight of a bake: everything that speaks against it, or what it will do; before anything is touched. Pure.

What was read (preflight_input.py) -> objections (preflight_objections.py), warnings, and the plan. A dry run ends here.
"""

from __future__ import annotations

from copy import replace
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.doctor.unread_findings import listed
from rollcall.domain.bake_tags import BASE_TAG
from rollcall.domain.errors import BadSettings
from rollcall.domain.settings import CYCLE_TAG
from rollcall.domain.version_aliases import DEFAULT_VERSION
from rollcall.workflow.preflight import no_group
from rollcall.workflow.schedule import next_by_schedule

from .due import Baked, nothing_new, what_is_new
from .key_access import key_warnings
from .preflight_objections import objections_to
from .request import CURRENT, Smoke
from .state import OF_ROLL_OUT, BaseImage
from .template_objections import ON_LATEST, is_refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollcall.aws.group_details import GroupDetails
    from rollcall.domain.objections import Objection

    from .preflight_input import PreflightInput
    from .request import BakeRequest
    from .state import BakeState


@dataclass(frozen=True)
class Plan:
    """What a bake begins with.

    nothing_new: why it would make nothing new, empty if it would, or that is not known. notes: what an operator should
    know beforehand. inventory_id, job_template: ids in Tower, None where pre-flight objects. instances: that the group
    wants. cycle_tag: the text of its tag rollcall:cycle, which says how it is cycled. next_by_schedule: when the
    next bake by the group's tags is due, in words; empty for never.
    """

    base: BaseImage
    previous_image: str
    template_id: str
    template_name: str
    from_version: str
    subnet: str
    instance_type: str
    inventory_id: int | None
    inventory: str
    job_template: int | None
    job_template_name: str
    project: str
    project_revision: str
    nothing_new: str
    notes: tuple[str, ...]
    instances: int = 0
    cycle_tag: str = ""
    next_by_schedule: str = ""

    def into(self, state: BakeState) -> BakeState:
        """The state with what was planned."""
        return replace(
            state,
            base_image=self.base,
            architecture=self.base.architecture,
            previous_image=self.previous_image,
            template_id=self.template_id,
            template_name=self.template_name,
            from_version=self.from_version,
            subnet=self.subnet,
            instance_type=self.instance_type,
            inventory_id=self.inventory_id,
            job_template=self.job_template,
            project=self.project,
            plan=self.to_json(),
        )

    def to_json(self) -> dict[str, Any]:
        """What an operator sees of it: what the state of a bake does not hold elsewhere."""
        return {
            "inventory": self.inventory,
            "job_template": self.job_template_name,
            "project_revision": self.project_revision,
            "nothing_new": self.nothing_new,
            "notes": list(self.notes),
            "instances": self.instances,
            "cycle_tag": self.cycle_tag,
            "next_by_schedule": self.next_by_schedule,
        }


class Preflight(NamedTuple):
    """What pre-flight came to. request: None for input that is none. plan: None where there is no group."""

    request: BakeRequest | None
    objections: tuple[Objection, ...]
    warnings: tuple[str, ...] = ()
    plan: Plan | None = None


def judge(given: PreflightInput) -> Preflight:
    """All objections, each once, all warnings, and the plan.

    What the roll-out warns of is left out for a group on $Latest: it is of a group that cannot stay so.
    """
    details = given.details
    if details is None:
        return Preflight(given.request, (no_group(given.request.group),))
    found = {(each.what, each.reason): each for each in objections_to(given, details)}
    objections = (*found.values(), *given.roll_out.beside(found.keys()))
    plan = _plan(given, details)
    of_roll_out = () if ON_LATEST in {each.what for each in objections} else given.roll_out.warnings
    warnings = (*plan.notes, *(f"{OF_ROLL_OUT}{each}" for each in of_roll_out))
    return Preflight(given.request, objections, warnings, plan)


def _plan(given: PreflightInput, details: GroupDetails) -> Plan:
    base, tower = given.base, given.tower
    inventory = None if isinstance(tower.inventory, BadSettings) else tower.inventory
    template = None if isinstance(tower.template, BadSettings) else tower.template
    revision = tower.project.revision if tower.project else ""
    begins = _begins_with(given)
    same = begins is not None and nothing_new(begins, given.last)
    words = f"base image {base.id} and revision {revision} were baked already" if same and base else ""
    return Plan(
        base=BaseImage(base.id, base.name, base.architecture, base.owner, base.root_device) if base else BaseImage(),
        previous_image=given.previous.id if given.previous else "",
        template_id=given.template.id if given.template else "",
        template_name=given.template.name if given.template else "",
        from_version=given.version.number if given.version else "",
        subnet=given.subnet,
        instance_type=given.instance_type,
        inventory_id=inventory.id if inventory else None,
        inventory=inventory.name if inventory else "",
        job_template=template.id if template else None,
        job_template_name=template.name if template else "",
        project=tower.project.name if tower.project else "",
        project_revision=revision,
        nothing_new=words,
        notes=tuple(_notes(given, details)),
        instances=details.desired,
        cycle_tag=details.group.tags.get(CYCLE_TAG, ""),
        next_by_schedule=next_by_schedule(None if isinstance(given.tag, BadSettings) else given.tag, given.now),
    )


def _begins_with(given: PreflightInput) -> Baked | None:
    """What it would begin with: a project that is updated as the job starts may be at a newer revision by then."""
    project = given.tower.project
    known = project.revision if project and not project.updates_on_launch else ""
    return Baked(given.base.id, known) if given.base else None


def _why_not_nothing_new(given: PreflightInput) -> Iterator[str]:
    """Why a bake that is to be made only of something new is made."""
    begins = _begins_with(given)
    if not given.request.only_if_new or begins is None or nothing_new(begins, given.last):
        return
    if given.request.base_image == CURRENT and given.last is not None:
        yield (
            "the base image is that of the group's present version, which each bake makes anew, so there is always "
            f"something new: name one with --base-image or the tag {BASE_TAG}"
        )
    elif words := what_is_new(begins, given.last):
        yield f"there is something new: {words}"


def _notes(given: PreflightInput, details: GroupDetails) -> Iterator[str]:
    request = given.request
    if given.cycles:
        yield (
            f"cycle {listed(given.cycles)} of this group goes on: "
            + ("a roll-out is refused as long as it does" if request.roll_out else "it may change the group's version")
        )
    if given.version is not None and given.version.names_image_by_parameter:
        yield (
            f"version {given.version.number} names its image by a parameter of Systems Manager: the new version names "
            "the image itself, and AWS rolls a refresh from the one to the other not back"
        )
    for each in details.overrides:
        if (kept := _kept_by(each)) and not is_refused(given, each):
            yield f"the override for {each.get('InstanceType', 'some types')} keeps {kept}: this bake is not for it"
    if given.base is not None:
        more = [each["DeviceName"] for each in given.base.mappings if each.get("DeviceName") != given.base.root_device]
        if more:
            yield f"base image {given.base.id} maps {', '.join(more)}, too: the builder and the image go without"
    if request.smoke == Smoke.OFF:
        before = " before it is rolled out" if request.roll_out else ""
        yield f"the image is not tried{before} (--smoke off; tag: smoke=off)"
    if request.instance_profile:
        yield f"the builder has the instance profile {request.instance_profile}: what runs on it may use that"
    if request.user_data:
        yield "the builder has the version's user data: see that it does not make it join production"
    if given.tower.unread:
        yield f"what is new in the playbook's project cannot be seen: {given.tower.unread}"
    if given.tower.project and given.tower.project.updates_on_launch:
        yield (
            f"project {given.tower.project.name!r} is updated as the job starts, so whether it has anything new is not "
            "known before: a bake by schedule is made every time"
        )
    yield from _why_not_nothing_new(given)
    for use in given.keys:
        yield from key_warnings(use, given.role, given.bake.key_arns)
    if given.source_key_unread and given.base:
        yield (
            f"the KMS key of base image {given.base.id} could not be read ({given.source_key_unread}): unless AWS "
            "manages it, see that it is among KmsKeyArns, and that its policy lets the role of bake use it, and where "
            "the version names no other key Auto Scaling's role of the group, too"
        )
    if given.default_key_unread:
        yield (
            f"with which key the account encrypts volumes by default could not be read ({given.default_key_unread}): "
            "see that no policy of your organization denies it, or name a key in the version"
        )


def _kept_by(override: Mapping[str, Any]) -> str:
    """What an override launches in place of the version's image; empty if it launches that."""
    if override.get("ImageId"):
        return f"image {override['ImageId']}"
    named = override.get("LaunchTemplateSpecification")
    if not named:
        return ""
    template = named.get("LaunchTemplateName") or named.get("LaunchTemplateId")
    return f"version {named.get('Version') or DEFAULT_VERSION} of launch template {template}"
