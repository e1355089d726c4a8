"""The versions that a group can go back to: those of its last bakes, and the last that no bake made. Pure.

Shown by `rollcall rollback`, which cycles the group to one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.aws.images import AVAILABLE
from rollcall.domain import bake_tags
from rollcall.domain.bake_tags import RollOutOutcome

from .retention import image_of_version, is_baked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rollcall.aws.images import Image
    from rollcall.aws.launch_templates import TemplateVersion

GONE = "gone"  # of an image that a bake made


class KeptVersion(NamedTuple):
    """A version of the group's launch template. created: epoch seconds.

    image: the id of its image; state: that image's, "gone" for one that is not there any more, empty where no bake made
    it, for then it was not read. bake_id, base_image, project_revision, job, smoke, roll_out: by the image's tags,
    empty where they do not say. is_present: whether the group launches it now.
    """

    number: str
    image: str
    created: float
    is_baked: bool
    is_present: bool = False
    state: str = ""
    bake_id: str = ""
    base_image: str = ""
    project_revision: str = ""
    job: str = ""
    smoke: str = ""
    roll_out: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether it was rolled out to the whole group, and verified."""
        return self.roll_out == RollOutOutcome.SUCCEEDED

    @property
    def why_not(self) -> str:
        """Why the group cannot be cycled to it; empty if it can, as far as is known."""
        if self.is_present:
            return "the group is on it already"
        if self.is_baked and self.state != AVAILABLE:
            return f"its image {self.image} is {self.state}"
        return ""


def kept_versions(images: Sequence[Image], versions: Sequence[TemplateVersion], present: str) -> list[KeptVersion]:
    """The versions to go back to, the newest first: all that bakes of the group made, and the last that none made.

    images: of the group's bakes. versions: all of its launch template. present: the number that the group launches.
    """
    own = {each.id: each for each in images}
    return list(_kept(own, sorted(versions, key=lambda each: int(each.number), reverse=True), present))


def _kept(own: Mapping[str, Image], versions: Sequence[TemplateVersion], present: str) -> Iterator[KeptVersion]:
    has_other = False
    for version in versions:
        image = image_of_version(version)
        if is_baked(version):
            if image in own or version.number == present:  # another group may share the template
                yield _baked(version, own.get(image), present)
        elif not has_other or version.number == present:
            has_other = True
            yield KeptVersion(version.number, image, version.created, False, version.number == present)


def _baked(version: TemplateVersion, image: Image | None, present: str) -> KeptVersion:
    tags = image.tags if image else {}
    return KeptVersion(
        number=version.number,
        image=image_of_version(version),
        created=image.created if image else version.created,
        is_baked=True,
        is_present=version.number == present,
        state=image.state if image else GONE,
        bake_id=tags.get(bake_tags.BAKE_ID, ""),
        base_image=tags.get(bake_tags.BASE_IMAGE, ""),
        project_revision=tags.get(bake_tags.PROJECT_REVISION, ""),
        job=tags.get(bake_tags.JOB, ""),
        smoke=tags.get(bake_tags.SMOKE, ""),
        roll_out=tags.get(bake_tags.ROLL_OUT, ""),
    )


def default_target(kept: Sequence[KeptVersion], present: str) -> KeptVersion | None:
    """What the group goes back to where nothing is chosen: the last that succeeded before the present one.

    Without one it is the last version that no bake made, if that is older than the present one, for it ran before the
    first bake. None without either. kept: the newest first.
    """
    before = [each for each in kept if int(each.number) < int(present) and not each.why_not]
    succeeded = (each for each in before if each.is_baked and each.succeeded)
    return next(succeeded, next((each for each in before if not each.is_baked), None))


def chosen_target(kept: Sequence[KeptVersion], chosen: str) -> KeptVersion | None:
    """The version that an operator names by its number, or by its image's id; None if there is no such one."""
    return next((each for each in kept if chosen in (each.number, each.image)), None)
