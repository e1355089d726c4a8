"""How a group is set up: what comes first, what last, and that a second run goes on where the first one stopped."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import pytest

from rollcall.checks.registry import read_group_settings
from rollcall.domain.actions import Result, Transition
from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import Group, OnFailure
from rollcall_cli.answerer import Answerer
from rollcall_cli.group_changes import Change, PutHook, SetTags
from rollcall_cli.lifecycle_hooks import LifecycleHook
from rollcall_cli.onboarding.plan import (
    RunOptions,
    abandoning,
    kept_in_words,
    objections_to_hooks,
    setting_up,
    settings_then,
    young_instances,
)
from rollcall_cli.onboarding.snippets import Form, snippet
from rollcall_cli.scaling_group import GroupState

PLAIN = GroupState("web", {"team": "blue"}, {}, (), 0, 10, 1_800_000_000.0)
OPTIONS = RunOptions("fleet", "provision", gate="job ec2", groups="web canary", timeout="900")
ANSWERER = Answerer("rollcall", frozenset())


def changes(state: GroupState, options: RunOptions = OPTIONS) -> tuple[Change, ...]:
    return setting_up(state, "rollcall", state.own_hooks(ANSWERER), options).changes


def after(state: GroupState, change: Change) -> GroupState:
    """The group after one of the changes."""
    match change:
        case SetTags(tags):
            return replace(state, tags={**state.tags, **tags})
        case PutHook(hook):
            return replace(state, hooks=(*state.hooks, hook))
        case _:
            raise AssertionError(change)


def test_the_inventory_comes_first_with_hold_then_the_hooks_and_the_job_template_last() -> None:
    first, terminate, launch, last = changes(PLAIN)
    assert first == SetTags(
        {
            "rollcall:inventory": "fleet",
            "rollcall:on-failure": "hold",
            "rollcall:groups": "web canary",
            "rollcall:timeout": "900",
        }
    )
    assert terminate == PutHook(LifecycleHook("rollcall-terminating", Transition.TERMINATING, 600, Result.CONTINUE))
    assert launch == PutHook(LifecycleHook("rollcall-launching", Transition.LAUNCHING, 600, Result.ABANDON))
    assert last == SetTags({"rollcall:job-template": "provision", "rollcall:gate": "job ec2"})


def test_at_no_moment_has_the_group_a_hook_without_the_tag_or_tags_that_cannot_be_read() -> None:
    for state in accumulate(changes(PLAIN), after, initial=PLAIN):
        settings = read_group_settings(Group(state.name, state.tags, {}))
        if state.hooks:
            assert settings, "its instances would wait in vain"
        if settings:
            assert settings.on_failure == OnFailure.HOLD, "nothing is replaced before a first good instance"
        if settings and settings.job_template:
            assert len(state.hooks) == 2, "an instance would serve before its job"


@pytest.mark.parametrize("done", range(5))
def test_wherever_it_is_interrupted_a_second_run_does_the_rest(done: int) -> None:
    *_, state = accumulate(changes(PLAIN)[:done], after, initial=PLAIN)
    assert len(changes(state)) == 4 - done
    *_, state = accumulate(changes(state), after, initial=state)
    assert changes(state) == ()
    assert state.tags["rollcall:on-failure"] == "hold"


def test_a_second_run_takes_nothing_back_that_was_decided_since() -> None:
    *_, state = accumulate((*changes(PLAIN), abandoning()), after, initial=PLAIN)
    assert changes(state) == ()
    assert state.tags["rollcall:on-failure"] == "abandon"


def test_a_hook_that_is_there_is_left_as_it_is() -> None:
    own = LifecycleHook("rollcall-mine", Transition.LAUNCHING, 900, Result.ABANDON)
    other = LifecycleHook("others", Transition.TERMINATING, 60, Result.CONTINUE)
    hooks = [each.hook.name for each in changes(replace(PLAIN, hooks=(own, other))) if isinstance(each, PutHook)]
    assert hooks == ["rollcall-terminating"]


LAUNCH = LifecycleHook("rollcall-x", Transition.LAUNCHING, 600, Result.ABANDON, metadata="theirs")
TERMINATE = LifecycleHook("rollcall-y", Transition.TERMINATING, 600, Result.CONTINUE)


def against_hooks(*hooks: LifecycleHook, heartbeat_timeout: int | None = None, **tags: str) -> list[str]:
    state = replace(PLAIN, hooks=hooks, tags={f"rollcall:{key}": value for key, value in tags.items()})
    return list(objections_to_hooks(state, hooks, replace(OPTIONS, heartbeat_timeout=heartbeat_timeout)))


def test_hooks_that_do_what_they_should_are_no_obstacle() -> None:
    assert against_hooks(LAUNCH, TERMINATE) == []
    assert against_hooks(LAUNCH, TERMINATE, heartbeat_timeout=600) == []


@pytest.mark.parametrize(("hook", "right"), [(LAUNCH, "ABANDON"), (TERMINATE, "CONTINUE")])
def test_a_hook_with_the_wrong_default_result_is_refused_with_doctors_remedy(hook: LifecycleHook, right: str) -> None:
    wrong = Result.CONTINUE if right == "ABANDON" else Result.ABANDON
    (words,) = against_hooks(replace(hook, default_result=wrong))
    assert f"hook {hook.name!r} has the default result {wrong}" in words
    assert words.endswith(
        f"aws autoscaling put-lifecycle-hook --auto-scaling-group-name web --lifecycle-hook-name {hook.name} "
        f"--lifecycle-transition {hook.transition} --default-result {right}"
    )


def test_a_heartbeat_timeout_that_is_not_the_hooks_is_refused_with_the_whole_hook() -> None:
    (words,) = against_hooks(LAUNCH, heartbeat_timeout=900)
    assert "hook 'rollcall-x' is there with a heartbeat timeout of 600 s, and --heartbeat-timeout says 900" in words
    assert '"HeartbeatTimeout": 900' in words
    assert '"NotificationMetadata": "theirs"' in words


def test_an_emergency_is_named_with_its_end_and_its_hooks_are_not_called_wrong() -> None:
    let_through = replace(LAUNCH, default_result=Result.CONTINUE, heartbeat_timeout=30)
    (words,) = against_hooks(let_through, heartbeat_timeout=900, emergency="2026-11-21T10:00:00Z")
    assert "in an emergency since 2026-11-21T10:00:00Z" in words
    assert words.endswith("rollcall offboard --restore web")


@pytest.mark.parametrize(
    ("tags", "on_failure"),
    [
        ({}, OnFailure.HOLD),
        ({"rollcall:inventory": "fleet"}, OnFailure.ABANDON),
        ({"rollcall:inventory": "fleet", "rollcall:on-failure": "abandon"}, OnFailure.ABANDON),
        ({"rollcall:inventory": "fleet", "rollcall:on-failure": "hold"}, OnFailure.HOLD),
    ],
)
def test_what_it_does_on_failure_then_is_what_the_tags_will_say(tags: dict[str, str], on_failure: OnFailure) -> None:
    state = replace(PLAIN, tags=tags)
    *_, later = accumulate(changes(state), after, initial=state)
    settings = read_group_settings(Group(later.name, later.tags, {}))
    assert settings
    assert settings_then(state, OPTIONS) == settings
    assert settings.on_failure == on_failure


def test_the_hooks_that_stay_are_named_as_they_are() -> None:
    assert kept_in_words([LAUNCH]) == [
        "hook rollcall-x for launches: heartbeat timeout 600 s, default result ABANDON: it is there, and stays as it is"
    ]


def test_without_a_job_template_nothing_comes_last() -> None:
    assert len(changes(PLAIN, RunOptions("fleet"))) == 3


def test_what_cannot_be_read_is_refused_beforehand() -> None:
    assert settings_then(PLAIN, OPTIONS).gate == ("job", "ec2")
    with pytest.raises(BadSettings, match="icmp"):
        settings_then(PLAIN, replace(OPTIONS, gate="icmp"))
    with pytest.raises(BadSettings, match="job only together with"):
        settings_then(PLAIN, replace(OPTIONS, job_template=""))


def test_young_is_who_serves_without_a_host_and_came_less_than_the_timeout_ago() -> None:
    states = dict.fromkeys(("i-young", "i-old", "i-hosted", "i-unknown"), "InService") | {"i-coming": "Pending:Wait"}
    state = replace(PLAIN, instances=states)
    came = {"i-young": 100, "i-old": 1000, "i-hosted": 10, "i-coming": 5}
    arrivals = {each: state.now - age for each, age in came.items()}
    assert young_instances(state, arrivals, {"i-hosted"}, 900) == {"i-young": 800}


@pytest.mark.parametrize(
    ("tags", "timeout", "seconds"), [({}, "", 1800), ({"rollcall:timeout": "60"}, "", 60), ({}, "90", 90)]
)
def test_the_timeout_is_the_one_that_will_be(tags: dict[str, str], timeout: str, seconds: int) -> None:
    assert settings_then(replace(PLAIN, tags=tags), replace(OPTIONS, timeout=timeout)).timeout == seconds


# Snippets


def test_the_commands_are_those_of_the_changes_in_their_order() -> None:
    lines = snippet(Form.AWS, "web", setting_up(PLAIN, "rollcall", (), OPTIONS)).splitlines()
    assert [line.split()[2] for line in lines] == [
        *["create-or-update-tags"] * 4,
        *["put-lifecycle-hook"] * 2,
        *["create-or-update-tags"] * 2,
    ]
    assert "rollcall:inventory" in lines[0]
    assert "rollcall-terminating" in lines[4]


def test_cloudformation_is_as_the_example_has_it() -> None:
    text = snippet(Form.CLOUDFORMATION, "web", setting_up(PLAIN, "rollcall", (), OPTIONS))
    assert '  - { Key: "rollcall:inventory", Value: "fleet", PropagateAtLaunch: false }' in text
    assert (
        "  - LifecycleHookName: rollcall-launching\n    LifecycleTransition: autoscaling:EC2_INSTANCE_LAUNCHING" in text
    )
    assert text.index("rollcall:on-failure") < text.index("LifecycleHookName") < text.index("rollcall:job-template")


def test_terraform_evaluates_nothing_in_a_name() -> None:
    plan = setting_up(PLAIN, "rollcall", (), replace(OPTIONS, inventory='${file("x")} %{if}'))
    text = snippet(Form.TERRAFORM, "web", plan)
    assert r'"$${file(\"x\")} %%{if}"' in text
    assert 'resource "aws_autoscaling_lifecycle_hook" "rollcall_launching" {' in text
