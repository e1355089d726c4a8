"""What each function loads when it starts, which its cold starts pay for: about 0.2 ms a file.

loaded_at_start.json beside this file lists our modules by function. A module that is new there is a decision: load it
where it is needed (an import in the function that uses it) if only some installations or messages need it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
LISTED = Path(__file__).with_name("loaded_at_start.json")
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))
OPTIONAL = (  # of some installations or messages only
    "chef",
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
TOWERS = (  # alert depends on none of it
    "tower",
    "aws.fleet",
    "domain.settings",
    "runtime.batch",
    "runtime.installation",
    "telemetry.announcer",
)
START = """
import gc, json, sys
searches = []
gc.callbacks.append(lambda phase, _: searches.append(phase) if "rollcall" in sys.modules else None)
import app
print(json.dumps({"searches": searches.count("start"), "modules": list(sys.modules)}))
"""


@cache
def started(function: str) -> dict[str, Any]:
    """What is there once a function's app.py is imported: all modules, and how often garbage was searched for."""
    paths = [str(ROOT / "functions" / function), str(ROOT / "layers" / "common")]
    done = subprocess.run(
        [sys.executable, "-c", START],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def loaded_by(function: str) -> list[str]:
    """Our modules that a function has loaded once its app.py is imported, without the package's name."""
    names = started(function)["modules"]
    return sorted(each.removeprefix("rollcall.") for each in names if each.count(".") == 2 and "rollcall." in each)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_loads_what_is_listed_and_nothing_that_only_some_need(function: str) -> None:
    loaded = loaded_by(function)
    assert loaded == json.loads(LISTED.read_text())[function], f"if that is meant, correct {LISTED.name}"
    unwanted = OPTIONAL + (TOWERS if function == "alert" else ALERTS)
    assert not [each for each in loaded if f"{each}.".startswith(tuple(f"{name}." for name in unwanted))]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_a_function_loads_is_not_searched_for_garbage(function: str) -> None:
    assert started(function)["searches"] <= 1  # one that was due when the first of our modules came
