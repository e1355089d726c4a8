"""What an installation does not use, its functions do not load when they start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
OPTIONAL = (  # of some installations or messages only
    "chef.client",
    "chef.removal",
    "checks.ec2",
    "checks.elb",
    "checks.http",
    "checks.job",
    "checks.tcp",
    "hosts.user_data",
    "lifecycle.retire",
    "lifecycle.retire_decision",
    "lifecycle.retire_observer",
    "lifecycle.retire_completion",
    "lifecycle.target_watch",
    "reconcile.chef_plan",
    "reconcile.chef_reader",
    "reconcile.chef_run",
)
ALERTS = ("alerting",)  # another function's, and only of some installations
TOWERS = ("tower", "aws.fleet", "domain.settings", "runtime", "telemetry.announcer")  # alert depends on none of it


@pytest.mark.parametrize("function", sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py")))
def test_a_function_loads_nothing_that_only_some_installations_use(function: str) -> None:
    paths = [str(ROOT / "functions" / function), str(ROOT / "layers" / "common")]
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, app; print(*sys.modules)"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.split()
    assert "rollcall.domain.errors" in loaded
    unwanted = OPTIONAL + (TOWERS if function == "alert" else ALERTS)
    assert not [each for each in loaded if f"{each}.".startswith(tuple(f"rollcall.{name}." for name in unwanted))]
