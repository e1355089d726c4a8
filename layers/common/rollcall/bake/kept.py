"""The versions that a group can go back to: those of its last bakes, and those that it was on before them. Pure.

Shown by `rollcall rollback`, which cycles the group to one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.aws.images import AVAILABLE
from rollcall.domain import bake_tags
from rollcall.domain.bake_tags import RollOutOutcome, SmokeOutcome

from .retention import FAILED_ROLL_OUTS, image_of_version, is_baked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from rollcall.aws.images import Image
    from rollcall.aws.launch_templates import TemplateVersion

GONE = "gone"  # of an image that a bake made


class KeptVersion(NamedTuple):
    """A version of the group's launch template. created: epoch seconds.

    image: the id of its image; state: that image's, "gone" for one that is not there any more, empty where no bake made
    it, for then it was not read. bake_id, base_image, project_revision, job, smoke, roll_out, from_version: by the
    image's tags, empty where they do not say. from_version: the one that the group launched when the bake began.
    has_run: whether the group is known to have run it: it was rolled out, or a bake found the group on it. is_present:
    whether the group launches it now. others: of that one, how many instances of the group run another.
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
    from_version: str = ""
    has_run: bool = False
    others: int = 0

    @property
    def succeeded(self) -> bool:
        """Whether it was rolled out to the whole group, and verified."""
        return self.roll_out == RollOutOutcome.SUCCEEDED

    @property
    def has_failed(self) -> bool:
        """Whether its smoke test or its roll-out has failed."""
        return self.smoke == SmokeOutcome.FAILED or self.roll_out in FAILED_ROLL_OUTS

    @property
    def why_not(self) -> str:
        """Why the group cannot be cycled to it; empty if it can, as far as is known."""
        if self.is_present and not self.others:
            return "the group is on it already"
        if self.is_baked and self.state != AVAILABLE:
            return f"its image {self.image} is {self.state}"
        return ""


def kept_versions(
    images: Sequence[Image], versions: Sequence[TemplateVersion], present: str, others: int = 0
) -> list[KeptVersion]:
    """The versions to go back to, the newest first.

    They are all that bakes of the group made, and of those that none made the last, and each that a bake found the
    group on. images: of the group's bakes. versions: all of its launch template. present: the number that the group
    launches. others: how many of its instances run another.
    """
    own = {each.id: each for each in images}
    runs = {each.tags.get(bake_tags.FROM_VERSION, "") for each in images}
    newest_first = sorted(versions, key=lambda each: int(each.number), reverse=True)
    return [
        each._replace(
            is_present=each.number == present,
            has_run=each.succeeded or each.number in runs,
            others=others if each.number == present else 0,
        )
        for each in _kept(own, newest_first, {present, *runs}, present)
    ]


def _kept(
    own: Mapping[str, Image], versions: Sequence[TemplateVersion], runs: Collection[str], present: str
) -> Iterator[KeptVersion]:
    has_other = False
    for version in versions:
        image = image_of_version(version)
        if is_baked(version):
            if image in own or version.number == present:  # another group may share the template
                yield _baked(version, own.get(image))
        elif not has_other or version.number in runs:
            has_other = True
            yield KeptVersion(version.number, image, version.created, is_baked=False)


def _baked(version: TemplateVersion, image: Image | None) -> KeptVersion:
    tags = image.tags if image else {}
    return KeptVersion(
        number=version.number,
        image=image_of_version(version),
        created=image.created if image else version.created,
        is_baked=True,
        state=image.state if image else GONE,
        bake_id=tags.get(bake_tags.BAKE_ID, ""),
        base_image=tags.get(bake_tags.BASE_IMAGE, ""),
        project_revision=tags.get(bake_tags.PROJECT_REVISION, ""),
        job=tags.get(bake_tags.JOB, ""),
        smoke=tags.get(bake_tags.SMOKE, ""),
        roll_out=tags.get(bake_tags.ROLL_OUT, ""),
        from_version=tags.get(bake_tags.FROM_VERSION, ""),
    )


def default_target(kept: Sequence[KeptVersion], present: str) -> KeptVersion | None:
    """What the group goes back to where nothing is chosen: the version that it was on before the present one.

    If the present one's image does not say that, or that one has failed or cannot be launched, it is the last before it
    that a bake rolled out to the whole group; without one, the last before it that a bake found the group on. None
    without either: nothing shows of any other that the group has run it. kept: the newest first.
    """
    came_from = next((each.from_version for each in kept if each.is_present), "")
    before = [
        each
        for each in kept
        if int(each.number) < int(present) and each.has_run and not each.has_failed and not each.why_not
    ]
    best = sorted(before, key=lambda each: (each.number != came_from, not each.succeeded))  # stable: the newest first
    return best[0] if best else None


def chosen_target(kept: Sequence[KeptVersion], chosen: str) -> KeptVersion | None:
    """The version that an operator names by its number, or by its image's id; None if there is no such one."""
    return next((each for each in kept if chosen in (each.number, each.image)), None)
