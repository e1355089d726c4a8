"""The versions that a group can go back to, as an operator sees them, and the one that is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rich.table import Table
from rich.text import Text

from rollcall.bake.kept import KeptVersion, chosen_target, default_target, kept_versions
from rollcall.cycle.version_plan import running_counts
from rollcall.domain.errors import RollcallError
from rollcall.domain.shell_commands import command, operand
from rollcall.workflow.group_versions import base_template, own_version
from rollcall_cli.running import NotRun, in_words
from rollcall_cli.times import moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollcall.aws.group_details import GroupDetails
    from rollcall.bake.bake_aws import BakeAws

type Json = dict[str, Any]

TO_READ = "autoscaling:DescribeAutoScalingGroups, ec2:DescribeImages and ec2:DescribeLaunchTemplateVersions"
NOTHING = "Nothing was changed."
HEADINGS = ("version", "made", "image", "base image", "project", "smoke", "roll-out", "")


class Kept(NamedTuple):
    """What a group can go back to, the newest first. present: the number of the version that it launches now.

    others: how many of its instances run another.
    """

    versions: Sequence[KeptVersion]
    present: str
    others: int = 0

    @property
    def default(self) -> KeptVersion | None:
        """What it goes back to where nothing is chosen."""
        return default_target(self.versions, self.present)


def read_kept(aws: BakeAws, group: str) -> Kept:
    """What a group can go back to. Raises NotRun."""
    try:
        details = aws.details(group)
        template = base_template(details.configuration) if details else {}
        own = aws.version(template, own_version(details)) if details and template else None
        if own is None:
            raise NotRun(_why_none(group, exists=details is not None, has_template=bool(template)))
        others = _others(details, own.number) if details else 0
        images, versions = aws.images_made_for(group), aws.versions(own.template_id)
        return Kept(kept_versions(images, versions, own.number, others), own.number, others)
    except RollcallError as error:
        raise NotRun(f"{in_words(error, TO_READ)}\n{NOTHING}") from error


def _others(details: GroupDetails, present: str) -> int:
    """How many instances run another version than the group's, say after a cycle that was cancelled."""
    return sum(many for version, many in running_counts(details).items() if version != present)


def _why_none(group: str, *, exists: bool, has_template: bool) -> str:
    if not exists:
        return f"There is no Auto Scaling group {group!r} in this account and Region. {NOTHING}"
    if not has_template:
        return f"Group {group!r} has no launch template, so it has no versions to go back to. {NOTHING}"
    return f"The version of its launch template that group {group!r} is on does not exist. {NOTHING}"


def target_of(kept: Kept, group: str, chosen: str | None) -> KeptVersion:
    """The version to go back to. chosen: its number or its image's id, None for the default. Raises NotRun."""
    shows = f"rollcall rollback --list {group} shows what there is."
    target = kept.default if chosen is None else chosen_target(kept.versions, chosen)
    if target is None and chosen is None:
        raise NotRun(_no_default(kept, group, shows))
    if target is None:
        cycle = command("rollcall", "cycle", "--version", "NUMBER", *operand(group))
        raise NotRun(
            f"--to={chosen}: no version that is kept for group {group!r} is that one. {NOTHING} {shows} "
            f"To go to any that its launch template has: {cycle}."
        )
    if target.why_not:
        again = (
            f" To replace all of its instances: {command('rollcall', 'cycle', *operand(group))}."
            if target.is_present
            else ""
        )
        raise NotRun(f"Group {group!r} cannot go back to version {target.number}: {target.why_not}. {NOTHING}{again}")
    return target


def _no_default(kept: Kept, group: str, shows: str) -> str:
    """That nothing is chosen by itself, and the commands of what an operator may choose."""
    older = (each.number for each in kept.versions if int(each.number) < int(kept.present) and not each.why_not)
    cycle = command("rollcall", "cycle", "--version", next(older, "NUMBER"), *operand(group))
    partly = f" {_others_words(kept)}; --to {kept.present} brings all to {kept.present}." if kept.others else ""
    return (
        f"Of no version before {kept.present} that can be launched it is known that group {group!r} has run it. "
        f"{NOTHING}{partly} To go to one all the same: {cycle}. {shows}"
    )


def _others_words(kept: Kept) -> str:
    if kept.others == 1:
        return "1 instance runs another version"
    return f"{kept.others} instances run another version"


def question(kept: Kept, group: str, target: KeptVersion) -> str:
    """What the operator is to agree to."""
    made = f"made {moment(target.created)}" + ("" if target.is_baked else ", not by a bake")
    image = f"version {target.number} (image {target.image or 'of a parameter'}, {made})"
    if target.is_present:
        return f"Cycle group {group!r} to the version that it is on, {image}? {_others_words(kept)}."
    others = f" {_others_words(kept)}; --to {kept.present} brings all to {kept.present}." if kept.others else ""
    return f"Cycle group {group!r} from version {kept.present} back to {image}?{others}"


def table(kept: Kept) -> Table:
    """The list for an operator."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in HEADINGS:
        made.add_column(heading, no_wrap=True)
    for each in kept.versions:
        row = (each.number, moment(each.created), each.image, each.base_image, each.project_revision[:12])
        made.add_row(*row, each.smoke, each.roll_out, Text(_note(kept, each)))
    return made


def _note(kept: Kept, each: KeptVersion) -> str:
    if each.is_present:
        return "the group is on it" + (f"; {_others_words(kept)}" if kept.others else "")
    notes = [] if each.is_baked else ["not made by a bake"]
    if each.why_not:
        notes.append(each.why_not)
    if each == kept.default:
        notes.append("rollback goes here")
    return "; ".join(notes)


def answer_of(kept: Kept, group: str) -> Json:
    """The list for a program. Times in epoch seconds."""
    default = kept.default
    return {
        "group": group,
        "present": kept.present,
        "others": kept.others,
        "default": default.number if default else None,
        "versions": [each._asdict() | {"why_not": each.why_not or None} for each in kept.versions],
    }
