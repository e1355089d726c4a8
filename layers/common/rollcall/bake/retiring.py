"""Retention done: what plan_retention decides about a group's images and versions, and a report of what came of it.

It may end anywhere. What is left is decided on afresh by the next run: after a successful roll-out, or reconcile's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import batched
from typing import TYPE_CHECKING, NamedTuple

from rollcall.aws.image_uses import Uses
from rollcall.domain.bake_tags import DISABLED_AT, KEEP_TAG
from rollcall.domain.errors import RollcallError

from .moments import moment_text
from .news import BakeEvent, BakeNews
from .retention import RetentionInput, RetentionPlan, candidates, plan_retention

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rollcall.aws.images import Image

    from .bake_aws import BakeAws
    from .retention import Line, VersionRemoval
    from .state import BakeState

    type AtWork = Callable[[str], Sequence[str]]

READ_AGAIN = 25  # images at once, so that seconds lie between that and what is done to the last of them
ENABLED_AGAIN = "enabled again"  # in the tag that said since when an image is disabled
NAMED_MAX = 20  # images in one warning
TIME_NEEDED = 20.0  # seconds of an invocation that are left for what comes after
TIME_TO_READ = 60.0  # seconds that reading may take of a group with many images
DISABLED_WORDS = "was disabled; a run at least a day later deregisters it"


class RetentionRequest(NamedTuple):
    """What is to be retired. template: the group's, as a specification; empty where it has none.

    keep, share, force, before, with_next: as RetentionInput has them. as_baked: whether the group's tags do not say
    keep, so that what the newest image was baked with goes before that. dry_run: whether it is only planned.
    """

    group: str
    template: Mapping[str, str]
    keep: int
    share: float
    force: bool = False
    dry_run: bool = False
    before: str = ""
    as_baked: bool = False
    with_next: bool = False


@dataclass(frozen=True)
class RetentionReport:
    """What came of it, a line for each image or version. removed: what went, or in a dry run would go.

    kept: what stays for another reason than that it is among the newest, with that. failed: what could not be done.
    retired: the images that were disabled or deregistered by their ids, with what became of them. stopped: why nothing
    was done at all.
    """

    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    retired: tuple[tuple[str, str], ...] = ()
    stopped: str = ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What operators should know of: what failed, and why nothing was removed."""
        return (*self.failed, *([self.stopped] if self.stopped else []))

    def news(self, state: BakeState) -> tuple[BakeNews, ...]:
        """What is published: an event for each image that was retired."""
        return tuple(BakeNews(BakeEvent.RETIRED, state, image, words) for image, words in self.retired)


def images_left(group: str, image_ids: Sequence[str]) -> str:
    """That images of a group stay which is gone, and how to remove them. Pure."""
    from rollcall.domain.shell_commands import command  # imported where used: it slows a cold start

    named = ", ".join(sorted(image_ids)[:NAMED_MAX]) + (", …" if len(image_ids) > NAMED_MAX else "")
    remove = command("aws", "ec2", "deregister-image", "--delete-associated-snapshots", "--image-id")
    many = "1 image that a bake made of it stays" if len(image_ids) == 1 else f"{len(image_ids)} images of it stay"
    return f"group {group} is gone, and {many}: {named}. To remove one that nothing uses: {remove} ID"


def copies_named(instance_ids: Sequence[str]) -> str:
    """That instances have a builder's tags, and are none. Pure."""
    named = ", ".join(sorted(instance_ids)[:NAMED_MAX]) + (", …" if len(instance_ids) > NAMED_MAX else "")
    return (
        f"instances with the tags of a bake's that are no bake's: {named}. Rollcall leaves them alone; take the tags "
        "from whatever launches them"
    )


class Retiring:
    """Retires images and versions. clock: epoch seconds. seconds_left: of this invocation.

    at_work: names the bakes and cycles of a group that run; None within a bake, which is at work itself.
    """

    def __init__(
        self,
        aws: BakeAws,
        clock: Callable[[], float],
        seconds_left: Callable[[], float],
        at_work: AtWork | None = None,
    ) -> None:
        self._aws = aws
        self._clock = clock
        self._seconds_left = seconds_left
        self._at_work = at_work or (lambda _: ())

    def retire(self, request: RetentionRequest) -> RetentionReport:
        """Retire what is beyond the newest of a group. Raises what cannot be read at all; reports what failed.

        Nothing goes while something is at work on the group, which may go back to any of its versions. To read all that
        may use an image takes a minute and more where there are many. So what uses versions is read again before one is
        deleted, and each image, and what is at work, before it goes.
        """
        running = () if request.dry_run else self._at_work(request.group)
        if running:
            return RetentionReport(kept=(f"all of it stays for now: {_at_work_words(running, request.group)}",))
        images = self._aws.images_made_for(request.group)
        given = self._given(request, images)
        plan = plan_retention(given)
        if request.dry_run:
            return RetentionReport(removed=_planned(plan), kept=_kept(plan), stopped=plan.stopped)
        if plan.versions:
            now = self._aws.uses((), request.template)
            uses = given.uses._replace(versions=now.versions, versions_unread=now.versions_unread)
            plan = plan_retention(replace(given, uses=uses))
        doing = _Doing(
            self._aws, images, self._clock, self._seconds_left, lambda: _why_busy(self._at_work, request.group)
        )
        doing.note_taken_back(plan.taken_back)
        doing.delete_versions(request.template.get("LaunchTemplateId", ""), plan.versions)
        doing.disable(plan.disable, plan.mark)
        doing.deregister(plan.deregister)
        return doing.report(plan)

    def _given(self, request: RetentionRequest, images: Sequence[Image]) -> RetentionInput:
        """What is decided on; where all images are among the newest nothing else is read."""
        keep = (_baked_with(images) if request.as_baked else None) or request.keep
        beyond = [each.id for each in candidates(images, keep, with_next=request.with_next)]
        template_id = request.template.get("LaunchTemplateId", "")
        return RetentionInput(
            group=request.group,
            images=images,
            versions=self._aws.versions(template_id) if beyond and template_id else (),
            uses=self._aws.uses(beyond, request.template) if beyond else Uses({}, {}),
            keep=keep,
            now=self._clock(),
            share=request.share,
            force=request.force,
            before=request.before,
            with_next=request.with_next,
        )


def _baked_with(images: Sequence[Image]) -> int | None:
    """How many images are to stay by the tag of the newest; None where it does not say. images: the newest first."""
    kept = images[0].tags.get(KEEP_TAG, "") if images else ""
    return int(kept) if kept.isdecimal() else None


def _at_work_words(running: Sequence[str], group: str) -> str:
    return f"{', '.join(running)} is at work on group {group}"


def _why_busy(at_work: AtWork, group: str) -> str:
    """What is at work on a group, or that this cannot be read; empty if nothing is."""
    try:
        running = at_work(group)
    except RollcallError as error:
        return f"what is at work on group {group} could not be read: {error}"
    return _at_work_words(running, group) if running else ""


def _kept(plan: RetentionPlan) -> tuple[str, ...]:
    """What stays, in words."""
    return tuple(f"{each.id} stays: {each.reason}" for each in plan.kept)


def _planned(plan: RetentionPlan) -> tuple[str, ...]:
    """What would go, in words."""
    return (
        *(f"would delete version {each.number}: {each.reason}" for each in plan.versions),
        *(f"would disable {each.id}: {each.reason}" for each in plan.disable),
        *(f"would tag {each.id} as disabled: {each.reason}" for each in plan.mark),
        *(f"would deregister {each.id}: {each.reason}" for each in plan.deregister),
    )


class _Doing:
    """One run. images: as they were when it was decided what goes. why_busy: what is at work on the group by now."""

    def __init__(
        self,
        aws: BakeAws,
        images: Sequence[Image],
        clock: Callable[[], float],
        seconds_left: Callable[[], float],
        why_busy: Callable[[], str],
    ) -> None:
        self._aws = aws
        self._images = {each.id: each for each in images}
        self._clock = clock
        self._seconds_left = seconds_left
        self._why_busy = why_busy
        self._busy = ""  # what has begun on the group while this run decided
        self._named: set[str] = set()  # images of versions that could not be deleted
        self._left_over = 0  # images for which there was no time
        self._changed: list[str] = []  # images that were changed meanwhile
        self._removed: list[str] = []
        self._failed: list[str] = []
        self._retired: list[tuple[str, str]] = []

    def report(self, plan: RetentionPlan) -> RetentionReport:
        """What was done, and what stays."""
        kept = [*_kept(plan), *(f"{each} stays: it was changed while this run decided on it" for each in self._changed)]
        if self._busy:
            kept.append(f"the rest of it stays for now: {self._busy}")
        left = [f"{self._left_over} images are left for the next run: there was no time"] if self._left_over else []
        return RetentionReport(
            tuple(self._removed), tuple(kept), (*self._failed, *left), tuple(self._retired), plan.stopped
        )

    def note_taken_back(self, image_ids: Sequence[str]) -> None:
        """Let the tag of images that were enabled again say so: if one is disabled again, its day begins anew."""
        if not image_ids:
            return
        try:
            self._aws.tag_resources(image_ids, {DISABLED_AT: ENABLED_AGAIN})
        except RollcallError as error:
            self._failed.append(f"{len(image_ids)} images could not be tagged as {ENABLED_AGAIN}: {error}")

    def delete_versions(self, template_id: str, removals: Sequence[VersionRemoval]) -> None:
        """Delete versions; the images of those that AWS keeps stay, too."""
        if not removals or self._is_busy():
            return
        try:
            kept = self._aws.delete_versions(template_id, [each.number for each in removals])
        except RollcallError as error:  # part of them may be gone
            kept = {each.number: str(error) for each in removals}
        for each in removals:
            if each.number in kept:
                self._named.add(each.image)
                self._failed.append(f"version {each.number} could not be deleted: {kept[each.number]}")
            else:
                self._removed.append(f"deleted version {each.number}: {each.reason}")

    def disable(self, lines: Sequence[Line], mark: Sequence[Line]) -> None:
        """Disable images, then tag them all with when: one that is disabled and has no tag gets it in the next run."""
        disabled = [each.id for each in self._unchanged(filter(self._may_go, lines)) if self._disabled(each)]
        marked = [*disabled, *(each.id for each in mark if each.id not in self._named)]
        if not marked:
            return
        try:
            self._aws.tag_resources(marked, {DISABLED_AT: moment_text(self._clock())})
        except RollcallError as error:
            self._failed.append(f"{len(marked)} images could not be tagged with when they were disabled: {error}")

    def _disabled(self, line: Line) -> bool:
        try:
            self._aws.disable_image(line.id)
        except RollcallError as error:
            self._failed.append(f"{line.id} could not be disabled: {error}")
            return False
        self._removed.append(f"disabled {line.id} (deregistered a day later at the earliest): {line.reason}")
        self._retired.append((line.id, DISABLED_WORDS))
        return True

    def deregister(self, lines: Sequence[Line]) -> None:
        """Deregister images with their snapshots; those that AWS keeps are reported."""
        for line in self._unchanged(filter(self._may_go, lines)):
            try:
                results = self._aws.deregister_image(line.id)
            except RollcallError as error:
                self._failed.append(f"{line.id} could not be deregistered: {error}")
                continue
            gone = [each.id for each in results if each.is_deleted]
            snapshots = f", with {', '.join(gone)}" if gone else ""
            self._removed.append(f"deregistered {line.id}{snapshots}: {line.reason}")
            self._retired.append((line.id, f"was deregistered{snapshots}"))
            stay = (each for each in results if not each.is_deleted)
            self._failed += [f"snapshot {each.id} of {line.id} stays: AWS answers {each.code}" for each in stay]

    def _is_busy(self) -> bool:
        """Whether something has begun on the group: from then on nothing goes, whatever becomes of that."""
        self._busy = self._busy or self._why_busy()
        return bool(self._busy)

    def _unchanged(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Those whose images are still as it was decided on them; they are read again, a few at once.

        None from when something is at work on the group.
        """
        for chunk in batched(lines, READ_AGAIN):
            if self._is_busy():
                return
            try:
                now = {each.id: each for each in self._aws.own_images([each.id for each in chunk])}
            except RollcallError as error:
                self._failed += [f"{each.id} stays: it could not be read again: {error}" for each in chunk]
                continue
            for line in chunk:
                if line.id in now and _decided_by(now[line.id]) == _decided_by(self._images[line.id]):
                    yield line
                else:
                    self._changed.append(line.id)

    def _may_go(self, line: Line) -> bool:
        """Whether an image may go now: no version names it that was to be gone, and there is time."""
        if line.id in self._named:
            return False
        if self._seconds_left() < TIME_NEEDED:
            self._left_over += 1
            return False
        return True


def _decided_by(image: Image) -> tuple[object, ...]:
    """What an operator may change of an image so that it stays."""
    return image.state, image.tags.get(DISABLED_AT), image.protection, image.public
