"""Which images and versions of a group go, which stay, and why: `keep` of what bakes of this group made. Pure.

What goes, goes in an order in which nothing that is left names what is gone: first the versions of the launch template,
then their images are disabled, which an operator can undo, and a run at least a day later deregisters them with their
snapshots. Nothing in use goes, nor what may be: aws/image_uses.py has the list.

A good image counts for `keep` only among good ones, and one that was rolled out only among such, so that images that
failed, or were not rolled out, never displace one to go back to. One that failed, its smoke test or its roll-out, goes
when it is not among the newest `keep` of all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from rollcall.aws.images import AVAILABLE, BROKEN, DISABLED, PENDING
from rollcall.domain import bake_tags
from rollcall.domain.bake_tags import (
    BAKED,
    DISABLED_AT,
    FROM_VERSION,
    RollOutOutcome,
    SmokeOutcome,
    version_description,
)
from rollcall.domain.version_aliases import DEFAULT_VERSION, LATEST_VERSION
from rollcall.hosts.removal_limit import is_too_many

from .moments import moment_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from rollcall.aws.image_uses import Uses
    from rollcall.aws.images import Image
    from rollcall.aws.launch_templates import TemplateVersion

DISABLED_FOR = 86_400.0  # seconds at least between that an image is disabled and that it is deregistered
TRIED = (SmokeOutcome.PASSED, SmokeOutcome.OFF)
FAILED_ROLL_OUTS = (RollOutOutcome.FAILED, RollOutOutcome.ROLLED_BACK)


@dataclass(frozen=True)
class RetentionInput:
    """All that is decided on.

    images: those that bakes of the group made, the newest first. versions: all of the group's launch template, the
    newest first; empty where it has none. uses: of at least the images that candidates() names. keep: images that stay.
    with_next: whether one of these is the image that a bake is about to make.
    now: epoch seconds. share: the fraction of images, or of versions, that may go in one run. force: whether more may.
    before: the number of the version to go back to, empty where the images' tags say which.
    """

    group: str
    images: Sequence[Image]
    versions: Sequence[TemplateVersion]
    uses: Uses
    keep: int
    now: float
    share: float
    force: bool = False
    before: str = ""
    with_next: bool = False


class Line(NamedTuple):
    """An image, or a version, and why it goes or stays. id: an image's, or "version" with its number."""

    id: str
    reason: str


class VersionRemoval(NamedTuple):
    """A version that goes. image: the id of the one that it launches, which stays if the version cannot be deleted."""

    number: str
    image: str
    reason: str


@dataclass(frozen=True)
class RetentionPlan:
    """What goes, in this order, and what stays.

    mark: images that are disabled and do not say since when; they get the tag. taken_back: the ids of those that an
    operator has enabled again and whose tag still says since when they were disabled. stopped: why nothing of all that
    goes, in a sentence, empty if it does. kept: the images and versions beyond the newest that stay, with the reason.
    """

    versions: tuple[VersionRemoval, ...] = ()
    disable: tuple[Line, ...] = ()
    mark: tuple[Line, ...] = ()
    deregister: tuple[Line, ...] = ()
    kept: tuple[Line, ...] = ()
    taken_back: tuple[str, ...] = ()
    stopped: str = ""


def candidates(images: Sequence[Image], keep: int, *, with_next: bool = False) -> list[Image]:
    """Those of a group's images that are not among the newest, nor still being made. images: the newest first."""
    newest = _newest(images, keep - with_next)
    return [each for each in images if each.id not in newest and each.state != PENDING]


def plan_retention(given: RetentionInput) -> RetentionPlan:
    """What goes and what stays. It takes time in proportion to images and versions."""
    newest = _newest(given.images, given.keep - given.with_next)
    beyond = f"it is not among the newest {given.keep} of group {given.group}"
    beyond += ", with the one that this bake makes" if given.with_next else ""
    own = {each.id: each for each in given.images}
    removals, kept_versions = _plan_versions(given, newest, own)
    removed = {each.number for each in removals}
    named: dict[str, str] = {}
    for version in given.versions:
        if version.number not in removed:
            named.setdefault(str(version.data.get("ImageId", "")), version.number)
    disable, mark, deregister, kept = [], [], [], list(kept_versions)
    for image in given.images:
        if image.id in newest:
            continue
        line = Line(image.id, beyond)
        if reason := _why_kept(given, image, named.get(image.id, "")):
            kept.append(Line(image.id, reason))
        elif image.state == AVAILABLE:
            disable.append(line)
        elif image.state == DISABLED and _disabled_at(image) is None:
            mark.append(line)
        else:
            deregister.append(line)
    back = tuple(each.id for each in given.images if each.state == AVAILABLE and _disabled_at(each) is not None)
    plan = RetentionPlan(tuple(removals), tuple(disable), tuple(mark), tuple(deregister), tuple(kept), back)
    if stopped := _over_limit(given, plan):
        return RetentionPlan(kept=plan.kept, taken_back=back, stopped=stopped)
    return plan


# Images


def _newest(images: Sequence[Image], keep: int) -> set[str]:
    """The ids of those that stay for their age: among all, or for good ones among those that can be launched.

    Of good ones those that were rolled out go before those that were not.
    """
    there = [each for each in images if each.state in (AVAILABLE, DISABLED)]
    good = [each for each in there if each.state == AVAILABLE and is_good(each)]
    good.sort(key=lambda each: each.tags.get(bake_tags.ROLL_OUT) != RollOutOutcome.SUCCEEDED)  # stable: newest first
    return {each.id for each in (*there[:keep], *good[:keep])}


def is_good(image: Image) -> bool:
    """Whether an image came through its smoke test, or had none to come through, and its roll-out has not failed."""
    smoke, roll_out = image.tags.get(bake_tags.SMOKE), image.tags.get(bake_tags.ROLL_OUT)
    return smoke in TRIED and roll_out not in FAILED_ROLL_OUTS


def version_before(images: Sequence[Image]) -> str:
    """The number of the version that the group was on before its last roll-out; empty where no image says it.

    images: the newest first.
    """
    rolled_out = (each for each in images if each.tags.get(bake_tags.ROLL_OUT) == RollOutOutcome.SUCCEEDED)
    return next((each.tags.get(FROM_VERSION, "") for each in rolled_out), "")


def _why_kept(given: RetentionInput, image: Image, version: str) -> str:
    """Why an image beyond the newest stays for now; empty if it does not. version: one that stays and names it."""
    if image.state == PENDING:
        return "it is still being made"
    if image.is_protected:
        return f"it is protected against deregistration ({image.protection})"
    if image.is_of_backup:
        return "AWS Backup or Data Lifecycle Manager manages it"
    if image.public:
        return "it is public"
    if image.id in given.uses.images:
        return f"it is in use: {given.uses.images[image.id]}"
    if version:
        return f"version {version} of the group's launch template names it"
    if image.state == AVAILABLE and DISABLED_AT in image.tags:
        return f"it was disabled and an operator has enabled it again; without the tag {DISABLED_AT} it goes"
    if image.state == DISABLED:
        since = _disabled_at(image)
        if since is not None and given.now - since < DISABLED_FOR:
            return "it was disabled less than a day ago"
    elif image.state in BROKEN:
        if given.now - image.created < DISABLED_FOR:
            return f"it failed ({image.reason}) less than a day ago"
    elif image.state != AVAILABLE:
        return f"it is {image.state}"
    return ""


def _disabled_at(image: Image) -> float | None:
    return moment_of(image.tags.get(DISABLED_AT, ""))


# Versions


def _plan_versions(
    given: RetentionInput, newest: Collection[str], own: Mapping[str, Image]
) -> tuple[list[VersionRemoval], list[Line]]:
    """The versions that go, and those beyond the newest images that stay."""
    in_use = _versions_in_use(given)
    removals, kept = [], []
    orphans = 0
    for version in given.versions:
        image = image_of_version(version)
        if not is_baked(version) or image in newest:
            continue
        if image not in own:
            orphans += 1
        elif not _is_of_its_bake(version, own[image]):
            kept.append(
                Line(f"version {version.number}", "its description is not that of the bake that made its image")
            )
        elif reason := in_use.get(version.number, "") or given.uses.versions_unread:
            kept.append(Line(f"version {version.number}", f"it is in use: {reason}"))
        else:
            removals.append(VersionRemoval(version.number, image, f"its image {image} is not among the newest"))
    if orphans:
        words = "is not an image of this group, or not any more: whose it is is not known"
        kept.append(Line(f"{orphans} versions", f"what each launches {words}"))
    return removals, kept


def _versions_in_use(given: RetentionInput) -> Mapping[str, str]:
    """By number, what uses versions of the launch template."""
    found: dict[str, str] = {}
    if not given.versions:
        return found
    latest = given.versions[0].number
    default = next((each.number for each in given.versions if each.is_default), "")
    for version, by in given.uses.versions.items():
        found.setdefault({LATEST_VERSION: latest, DEFAULT_VERSION: default}.get(version, version), by)
    found.setdefault(given.before or version_before(given.images), "the group was on it before its last roll-out")
    found.setdefault(default, "it is the launch template's default version")
    found.setdefault(latest, "it is the launch template's latest version")
    return found


def is_baked(version: TemplateVersion) -> bool:
    """Whether a bake made a version, by its description."""
    return version.description.startswith(f"{BAKED} ")


def _is_of_its_bake(version: TemplateVersion, image: Image) -> bool:
    """Whether the bake of an image made a version with it, and no operator who began the description alike."""
    made = version_description(image.tags.get(bake_tags.BAKE_ID, ""), image.id)
    return version.description == made or version.description.startswith(f"{made} ")


def image_of_version(version: TemplateVersion) -> str:
    """The id of the image that a version launches, as it is written there; empty where it names none."""
    return str(version.data.get("ImageId", ""))


# The limit


def _over_limit(given: RetentionInput, plan: RetentionPlan) -> str:
    """Why nothing goes at all: it would be too much at once. Empty if it is not."""
    if given.force:
        return ""
    baked = sum(map(is_baked, given.versions))
    return next(_too_many(given, plan, baked), "")


def _too_many(given: RetentionInput, plan: RetentionPlan, versions: int) -> Iterator[str]:
    gone = len(plan.disable) + len(plan.deregister)
    counts = (("images", gone, len(given.images)), ("versions", len(plan.versions), versions))
    see, force = (_by_hand(given.group, word) for word in ("dry_run", "force"))
    for what, removals, all_of_them in counts:
        if is_too_many(removals, all_of_them, given.share):
            yield (
                f"{removals} of {all_of_them} {what} would go at once, which is more than the removal limit allows: "
                f"nothing was removed. See them: {see}. If they are right: {force}"
            )


def _by_hand(group: str, word: str) -> str:
    """The command that asks the bake function for it (invocation.py)."""
    from rollcall.domain.shell_commands import command  # imported where used: it slows a cold start

    payload = json.dumps({"upkeep": "retire", "group": group, word: True})
    return command("rollcall", "invoke", "bake", "--payload", payload)
