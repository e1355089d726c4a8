"""The step `version`: the image becomes a new version of the group's launch template, and the cycle's to roll out."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

from rollcall.domain import bake_tags
from rollcall.domain.bake_tags import version_description
from rollcall.domain.errors import AwsRejected
from rollcall.domain.groups import base_template
from rollcall.domain.version_aliases import DEFAULT_VERSION
from rollcall.workflow.answer import StepAnswer, over
from rollcall.workflow.group_versions import own_version
from rollcall.workflow.names import bake_key, execution_name

from .news import BakeAnswer, BakeEvent, BakeNews
from .state import BakeResult, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollcall.aws.group_details import GroupDetails
    from rollcall.aws.images import Image
    from rollcall.aws.launch_templates import TemplateVersion

    from .bake_aws import BakeAws
    from .state import BakeState

ROLL_OUT = "roll_out"  # the word by which the state machine starts, or follows, the cycle of the roll-out
NOT_ROLLED_OUT = "not rolled out"  # ends the description of a version that was only baked


def cycle_name(state: BakeState) -> str:
    """The name of the execution of Cycle that rolls the image of a bake out. Pure."""
    return execution_name(state.group, bake_key(state.bake_id))


def version_changes(source: TemplateVersion, image: Image, former_root: str = "") -> dict[str, Any]:
    """What a version with this image has else than its source, in RequestLaunchTemplateData's fields. Pure.

    Devices that the image maps keep size, type and encryption, and lose their snapshot for the image's; the volume is
    no smaller than the image's and no less encrypted, for EC2 refuses that. The others keep their snapshots, which a
    new version loses unless it names them (API reference, CreateLaunchTemplateVersion, SourceVersion).

    former_root: the root device of the source's image; its mapping becomes that of the new one's, which may be named
    otherwise, for else each instance had an empty volume more.
    """
    mappings = source.data.get("BlockDeviceMappings") or ()
    changes: dict[str, Any] = {"ImageId": image.id}
    if mappings:
        mapped = {each.get("DeviceName", ""): each.get("Ebs") or {} for each in image.mappings}
        named = {each.get("DeviceName", "") for each in mappings}
        moves = former_root not in mapped and image.root_device not in named
        renamed = {former_root: image.root_device} if moves else {}
        changes["BlockDeviceMappings"] = [_mapping(_renamed(each, renamed), mapped) for each in mappings]
    return changes


def _renamed(own: Mapping[str, Any], names: Mapping[str, str]) -> Mapping[str, Any]:
    name = own.get("DeviceName", "")
    return {**own, "DeviceName": names[name]} if name in names else own


def _mapping(own: Mapping[str, Any], mapped: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    volume = own.get("Ebs")
    if volume is None or own.get("DeviceName", "") not in mapped:
        return dict(own)
    kept = {key: value for key, value in volume.items() if key != "SnapshotId"}
    image = mapped[own["DeviceName"]]
    if image.get("Encrypted") and not kept.get("Encrypted", True):
        del kept["Encrypted"]
    smallest = image.get("VolumeSize")
    if smallest and kept.get("VolumeSize", smallest) < smallest:
        kept["VolumeSize"] = smallest
    return {**own, "Ebs": kept}


class Versioning:
    """Makes versions of launch templates. rolls_out: whether this stack cycles groups."""

    def __init__(self, aws: BakeAws, *, rolls_out: bool) -> None:
        self._aws = aws
        self._rolls_out = rolls_out

    def step(self, state: BakeState, now: float) -> BakeAnswer:
        """Make the version, or find the one that an earlier try has made; then roll it out, or record it.

        now: epoch seconds. A group that was moved to another version meanwhile stays there: the bake ends. The
        template's default version moves where the group is on $Default and that was asked for: before the roll-out, so
        that the group can have its alias back after it. recording.py moves it back if that fails. Raises what AWS fails
        at for now.
        """
        state = replace(state, phase=Phase.VERSION, phase_since=now)
        details = self._aws.details(state.group)
        if details is None:
            return over(state, BakeResult.FAILED, f"group {state.group} does not exist any more")
        try:
            present = self._present(state, details)
            found = self._found(state)
            if present.number not in (state.from_version, found.number if found else state.from_version):
                return over(state, BakeResult.FAILED, _moved_words(state, present))
            version = found or self._made(state, present)
        except AwsRejected as error:
            return over(state, BakeResult.FAILED, f"no version can be made with image {state.image_id}: {error}")
        self._aws.tag_resources((state.image_id, *state.snapshots), {bake_tags.VERSION: version.number})
        state = replace(state, version=version.number)
        news = (BakeNews(BakeEvent.BAKED, state, state.image_id),)
        if not self._is_rolled_out(state):
            return StepAnswer(state, "record", news=news)
        if moves_default(state, own_version(details)):
            state = self._with_default(state)
        rolling = replace(state, phase=Phase.ROLLING_OUT, cycle=cycle_name(state))
        return StepAnswer(rolling, ROLL_OUT, news=news)

    def _with_default(self, state: BakeState) -> BakeState:
        """With the version as the template's default, and that before it, on which the group is by its alias."""
        default = self._aws.version({"LaunchTemplateId": state.template_id}, DEFAULT_VERSION)
        if default is None or default.number != state.version:  # else an earlier try has moved it
            self._aws.set_default_version(state.template_id, state.version)
        return replace(state, default_before=state.from_version)

    def _is_rolled_out(self, state: BakeState) -> bool:
        return self._rolls_out and bool(state.request.get("roll_out", True))

    def _found(self, state: BakeState) -> TemplateVersion | None:
        """The version that an earlier try has made: newer than the group's at the start, and with this bake's image."""
        since = self._aws.versions(state.template_id, since=state.from_version)
        own = [
            each for each in since if each.number != state.from_version and each.data.get("ImageId") == state.image_id
        ]
        return find_version(own, state.bake_id)

    def _present(self, state: BakeState, details: GroupDetails) -> TemplateVersion:
        """The version that the group launches at this moment. Raises AwsRejected."""
        template = base_template(details.configuration)
        present = self._aws.version(template, own_version(details)) if template else None
        if present is None or present.template_id != state.template_id:
            raise AwsRejected(f"group {state.group} has another launch template than {state.template_id} by now")
        return present

    def _made(self, state: BakeState, source: TemplateVersion) -> TemplateVersion:
        """A version like the one that the group launches. Raises AwsRejected."""
        image = self._aws.image(state.image_id)
        if image is None:
            raise AwsRejected("it is not there any more")
        former = self._aws.image(state.previous_image) if state.previous_image else None
        description = version_description(state.bake_id, image.id)
        return self._aws.create_version(
            source,
            version_changes(source, image, former.root_device if former else ""),
            description=description if self._is_rolled_out(state) else f"{description} {NOT_ROLLED_OUT}",
            token=f"rollcall-{state.bake_id}",
        )


def _moved_words(state: BakeState, present: TemplateVersion) -> str:
    moved = f"group {state.group} was moved from version {state.from_version} to {present.number} during the bake"
    return f"{moved}, and stays there: image {state.image_id} is not rolled out; bake again, from the present version"


def find_version(versions: Sequence[TemplateVersion], bake_id: str) -> TemplateVersion | None:
    """The version that a bake has made, by its description; None without. Pure."""
    begins = f"{bake_tags.BAKED} {bake_id} "
    return next((each for each in versions if each.description.startswith(begins)), None)


def moves_default(state: BakeState, own: str) -> bool:
    """Whether the template's default version is to move. own: the group's version, as it is written there. Pure."""
    return own == DEFAULT_VERSION and bool(state.request.get("pin"))


def cycle_input(state: BakeState) -> dict[str, Any]:
    """The input of the execution of Cycle. Pure."""
    run_options = roll_out_options(state.group, pin=bool(state.request.get("pin")))
    return {**run_options, "launch_template_version": state.version}


def roll_out(answer: BakeAnswer) -> dict[str, Any]:
    """What the state machine is handed for the execution of Cycle, in the step after this answer; empty before. Pure.

    Step Functions takes the same name and input for the same execution.
    """
    rolls_out = answer.next == ROLL_OUT
    return {
        "cycle_name": answer.state.cycle if rolls_out else "",
        "cycle_input": cycle_input(answer.state) if rolls_out else {},
    }


def roll_out_options(group: str, *, pin: bool) -> dict[str, Any]:
    """What a bake says to the cycle of its roll-out beside the version: all else the group's tag says. Pure."""
    return {"group": group, **({"pin": True} if pin else {})}
