"""What an installation does not use, its functions do not load when they start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPTIONAL = ("chef", "chef_drift", "chef_reading", "chef_reconcile", "chef_removal", "retire", "user_data", "watch")
ALERTS = ("alert", "alert_events", "incidents", "pagerduty", "slack")  # another function's, and only of some
TOWERS = ("tower", "connection", "fleet", "settings", "wiring", "announce")  # nothing of which alert is to depend on


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
    assert "rollcall.model" in loaded
    unwanted = OPTIONAL + (TOWERS if function == "alert" else ALERTS)
    assert not {f"rollcall.{each}" for each in unwanted} & set(loaded)
