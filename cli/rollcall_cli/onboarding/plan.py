"""What makes a group Rollcall's, in which order, and why in that order. Pure.

The tag rollcall:inventory comes first, together with rollcall:on-failure=hold: a hook of Rollcall's whose group has no
such tag holds its instances in vain, and until a first instance went well nothing should be replaced for a playbook
that was never tried. The terminate hook comes before the launch hook: what is let in can then also leave in order. The
job template comes last, with the checks that need it: until then instances are registered, and go into service as ever.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rollcall.checks.registry import read_group_settings
from rollcall.doctor.group_findings import in_emergency
from rollcall.doctor.hook_findings import DEFAULTS, HEARTBEAT_TIMEOUT, default_result_findings
from rollcall.doctor.observations import ObservedHook
from rollcall.domain.actions import Transition
from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import Group, OnFailure
from rollcall.domain.settings import GATE_TAG, JOB_TAG, OPT_IN_TAG
from rollcall_cli.group_changes import PutHook, SetTags, hook_in_words
from rollcall_cli.lifecycle_hooks import LifecycleHook

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from rollcall.domain.groups import GroupSettings
    from rollcall_cli.group_changes import Change
    from rollcall_cli.scaling_group import GroupState

ON_FAILURE_TAG = "rollcall:on-failure"
GROUPS_TAG = "rollcall:groups"
TIMEOUT_TAG = "rollcall:timeout"
SUFFIXES = {Transition.TERMINATING: "-terminating", Transition.LAUNCHING: "-launching"}  # in the order they are made


@dataclass(frozen=True)
class RunOptions:
    """What the operator wants of the group, each as in its tag; empty for none.

    heartbeat_timeout: seconds; None if it was not said, which is the usual one for hooks that are made, and any for
    those that are there.
    """

    inventory: str
    job_template: str = ""
    groups: str = ""
    gate: str = ""
    timeout: str = ""
    heartbeat_timeout: int | None = None

    def first_tags(self, group: GroupState) -> dict[str, str]:
        """The tags that come first. A group that has opted in keeps what it does on failure."""
        on_failure = "" if OPT_IN_TAG in group.tags else str(OnFailure.HOLD)
        own = {OPT_IN_TAG: self.inventory, ON_FAILURE_TAG: on_failure, GROUPS_TAG: self.groups}
        return {key: value for key, value in (own | {TIMEOUT_TAG: self.timeout}).items() if value}

    def last_tags(self) -> dict[str, str]:
        """The tags that come last: what makes instances wait."""
        return {key: value for key, value in {JOB_TAG: self.job_template, GATE_TAG: self.gate}.items() if value}


@dataclass(frozen=True)
class SettingUp:
    """before: what is done first. last: what is done then, after which instances wait for their job and checks."""

    before: tuple[Change, ...]
    last: tuple[Change, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """All of it, in order."""
        return (*self.before, *self.last)


def setting_up(group: GroupState, prefix: str, hooks: Collection[LifecycleHook], options: RunOptions) -> SettingUp:
    """What is still to be done, so that a second run takes nothing back.

    hooks: those of Rollcall's that the group has; prefix: how the names of new ones begin.
    """
    return SettingUp(
        (*_tags(group, options.first_tags(group)), *_hooks(prefix, hooks, options.heartbeat_timeout)),
        tuple(_tags(group, options.last_tags())),
    )


def abandoning() -> SetTags:
    """After a first good instance: from now on one that fails is replaced."""
    return SetTags({ON_FAILURE_TAG: str(OnFailure.ABANDON)})


def settings_then(group: GroupState, options: RunOptions) -> GroupSettings:
    """What the group's tags will say. Raises BadSettings naming the tag that cannot be read."""
    settings = read_group_settings(group_then(group, options))
    if settings is None:
        raise BadSettings(f"group {group.name!r}: no inventory is named")
    return settings


def group_then(group: GroupState, options: RunOptions) -> Group:
    """The group with the tags that it will have; its hooks are not in it."""
    tags = {**group.tags, **options.first_tags(group), **options.last_tags()}
    return Group(group.name, tags, {}, group.target_groups, group.other_traffic)


def objections_to_hooks(group: GroupState, hooks: Collection[LifecycleHook], options: RunOptions) -> Iterator[str]:
    """What is wrong with the hooks that are there, each with its remedy; in an emergency only that it is one.

    hooks: those of Rollcall's. What is there is not changed here: others may rely on it.
    """
    known = Group(group.name, group.tags, {})
    if known.in_emergency:
        found = in_emergency(f"group {group.name}", known)
        yield f"group {group.name!r}: {found.reason}: {found.remedy}"
        return
    for hook in hooks:
        for each in default_result_findings(known, _observed(hook)):
            yield f"group {group.name!r}: {each.reason}: {each.remedy}"
        if options.heartbeat_timeout not in (None, hook.heartbeat_timeout):
            wanted = replace(hook, heartbeat_timeout=options.heartbeat_timeout)
            (remedy,) = PutHook(wanted).commands(group.name)
            yield (
                f"group {group.name!r}: hook {hook.name!r} is there with a heartbeat timeout of "
                f"{hook.heartbeat_timeout} s, and --heartbeat-timeout says {options.heartbeat_timeout}: leave the "
                f"option out, or change the hook: {remedy}"
            )


def kept_in_words(hooks: Iterable[LifecycleHook]) -> list[str]:
    """The hooks that are there and stay as they are."""
    return [f"{hook_in_words(hook)}: it is there, and stays as it is" for hook in hooks]


def _observed(hook: LifecycleHook) -> ObservedHook:
    return ObservedHook(
        hook.name, hook.transition, hook.target or "", hook.role or "", hook.heartbeat_timeout, hook.default_result
    )


def young_instances(
    group: GroupState, arrivals: Mapping[str, float], with_host: Collection[str], timeout: int
) -> dict[str, float]:
    """The instances that reconcile would run the job on, by id with the seconds until it would not any more.

    Those are in service, have no host yet, and came less than rollcall:timeout ago: it takes their event for lost.
    arrivals: when each came, in epoch seconds; one that no activity names any more is old.
    """
    ages = {each: group.now - arrivals[each] for each in group.serving() if each in arrivals and each not in with_host}
    return {each: timeout - age for each, age in sorted(ages.items()) if age < timeout}


def _tags(group: GroupState, wanted: Mapping[str, str]) -> list[Change]:
    new = {key: value for key, value in wanted.items() if group.tags.get(key) != value}
    return [SetTags(new)] if new else []


def _hooks(prefix: str, hooks: Collection[LifecycleHook], heartbeat_timeout: int | None) -> list[Change]:
    timeout = HEARTBEAT_TIMEOUT if heartbeat_timeout is None else heartbeat_timeout
    there = {hook.transition for hook in hooks}
    return [
        PutHook(LifecycleHook(f"{prefix}{suffix}", transition, timeout, DEFAULTS[transition]))
        for transition, suffix in SUFFIXES.items()
        if transition not in there
    ]
