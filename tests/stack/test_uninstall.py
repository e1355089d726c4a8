"""What uninstall-check says before the stack is deleted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from lab.cloud import REPOSITORY, Cloud, Group


def uninstall_check(cloud: Cloud, prefix: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts" / "uninstall_check.py"), "--prefix", prefix],
        env={**os.environ, **cloud.aws.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_groups_that_would_wait_for_nobody_are_listed(make_group: Callable[..., Group], cloud: Cloud) -> None:
    group = make_group()
    before = uninstall_check(cloud, "rollcall")
    assert before.returncode == 1
    assert f"--auto-scaling-group-name '{group.name}' --lifecycle-hook-name 'rollcall-launching'" in before.stdout
    assert f"--auto-scaling-group-name '{group.name}' --lifecycle-hook-name 'rollcall-terminating'" in before.stdout


def test_an_account_without_hooks_of_ours_can_be_left(make_group: Callable[..., Group], cloud: Cloud) -> None:
    make_group()
    after = uninstall_check(cloud, "another-prefix")
    assert after.returncode == 0
    assert "can be deleted" in after.stdout


def test_aws_refusing_is_no_all_clear(cloud: Cloud) -> None:
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts" / "uninstall_check.py")],
        env={**os.environ, **cloud.aws.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "AWS cannot be asked" in done.stderr
