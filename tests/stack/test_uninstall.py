"""What uninstall-check says before the stack is deleted."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from lab.cloud import Cloud, Group


def uninstall_check(cloud: Cloud, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return cloud.rollcall("uninstall-check", *options, **environment)


@pytest.mark.story
def test_groups_that_would_wait_for_nobody_are_listed(make_group: Callable[..., Group], cloud: Cloud) -> None:
    group = make_group()
    done = uninstall_check(cloud)
    assert done.returncode == 1
    assert f"--auto-scaling-group-name '{group.name}' --lifecycle-hook-name 'rollcall-launching'" in done.stdout
    assert f"--auto-scaling-group-name '{group.name}' --lifecycle-hook-name 'rollcall-terminating'" in done.stdout


def test_a_hook_under_another_name_that_notifies_a_queue_of_ours_is_listed(
    make_group: Callable[..., Group], cloud: Cloud
) -> None:
    group = make_group(hooks=False)
    cloud.aws.client("autoscaling").put_lifecycle_hook(
        AutoScalingGroupName=group.name,
        LifecycleHookName="any-name",
        LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING",
        NotificationTargetARN=cloud.queue_arn("LaunchQueue"),
        RoleARN="arn:aws:iam::123456789012:role/notify",
    )
    done = uninstall_check(cloud)
    assert done.returncode == 1
    assert f"--auto-scaling-group-name '{group.name}' --lifecycle-hook-name 'any-name'" in done.stdout


def test_an_account_without_hooks_of_ours_can_be_left(make_group: Callable[..., Group], cloud: Cloud) -> None:
    make_group()
    done = uninstall_check(cloud, "--prefix", "another-prefix")
    assert done.returncode == 0
    assert "No group has a hook that begins with" in done.stdout
    assert "Not found: hooks that notify a topic of yours" in done.stdout


def test_what_cannot_be_asked_is_no_all_clear(cloud: Cloud) -> None:
    for done, words, remedy in (
        (uninstall_check(cloud, "--stack", "no-such-stack"), "There is no stack no-such-stack", "--prefix rollcall\n"),
        (uninstall_check(cloud, AWS_ENDPOINT_URL="http://127.0.0.1:9"), "AWS cannot be reached for stack", "--region"),
    ):
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(words)
        assert remedy in done.stderr
