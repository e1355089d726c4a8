"""The versions that a group can go back to, and the one that is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.bake.kept import KeptVersion, chosen_target, default_target, kept_versions
from rollcall.cycle.version_plan import running_counts
from rollcall.domain.errors import RollcallError
from rollcall.domain.groups import base_template
from rollcall.domain.shell_commands import command, operand
from rollcall.workflow.group_versions import own_version
from rollcall_cli.running import NotRun, in_words
from rollcall_cli.times import moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollcall.aws.group_details import GroupDetails
    from rollcall.aws.instance_refreshes import InstanceRefreshes, Refresh
    from rollcall.bake.bake_aws import BakeAws

TO_READ = (
    "autoscaling:DescribeAutoScalingGroups, autoscaling:DescribeInstanceRefreshes, ec2:DescribeImages and "
    "ec2:DescribeLaunchTemplateVersions"
)
NOTHING = "Nothing was changed."


class Kept(NamedTuple):
    """What a group can go back to, the newest first. present: the number of the version that it launches now.

    others: how many of its instances run another. rolling_out: the one that a cycle, or another refresh, brings
    at this moment; empty without one.
    """

    versions: Sequence[KeptVersion]
    present: str
    others: int = 0
    rolling_out: str = ""

    @property
    def default(self) -> KeptVersion | None:
        """What it goes back to where nothing is chosen."""
        return default_target(self.versions, self.present)

    def is_left(self, version: KeptVersion) -> bool:
        """Whether the group has run a newer version than that it launches, and was cycled away from it."""
        return version.succeeded and int(version.number) > int(self.present) and version.number != self.rolling_out


def read_kept(aws: BakeAws, refreshes: InstanceRefreshes, group: str) -> Kept:
    """What a group can go back to. Raises NotRun."""
    try:
        details = aws.details(group)
        template = base_template(details.configuration) if details else {}
        own = aws.version(template, own_version(details)) if details and template else None
        if own is None:
            raise NotRun(_why_none(group, exists=details is not None, has_template=bool(template)))
        others = _others(details, own.number) if details else 0
        images, versions = aws.images_made_for(group), aws.versions(own.template_id)
        kept = kept_versions(images, versions, own.number, others)
        return Kept(kept, own.number, others, _rolling_out(refreshes.active(group)))
    except RollcallError as error:
        raise NotRun(f"{in_words(error, TO_READ)}\n{NOTHING}") from error


def _rolling_out(refresh: Refresh | None) -> str:
    """The version that an instance refresh brings; empty where it names none."""
    wanted = refresh.desired_configuration if refresh else None
    return str(base_template(wanted).get("Version", "")) if wanted else ""


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
    """That there is no version before, and the commands of what an operator may choose."""
    older = [each for each in kept.versions if int(each.number) < int(kept.present) and not each.why_not]
    known = "that it is known to have run" if older else "that is kept"
    partly = f" {others_words(kept)}; --to {kept.present} brings all to {kept.present}." if kept.others else ""
    number = older[0].number if older else "NUMBER"
    cycle = command("rollcall", "cycle", "--version", number, *operand(group))
    return (
        f"Group {group!r} has no earlier version to go back to: there is none before {kept.present} {known}. "
        f"{NOTHING}{partly} To go to one all the same: {cycle}. {shows}"
    )


def others_words(kept: Kept) -> str:
    """How many instances run another version than the group launches."""
    if kept.others == 1:
        return "1 instance runs another version"
    return f"{kept.others} instances run another version"


def question(kept: Kept, group: str, target: KeptVersion) -> str:
    """What the operator is to agree to."""
    made = f"made {moment(target.created)}" + ("" if target.is_baked else ", not by a bake")
    image = f"version {target.number} (image {target.image or 'of a parameter'}, {made})"
    if target.is_present:
        return f"Cycle group {group!r} to the version that it is on, {image}? {others_words(kept)}."
    others = f" {others_words(kept)}; --to {kept.present} brings all to {kept.present}." if kept.others else ""
    return f"Cycle group {group!r} from version {kept.present} back to {image}?{others}"
