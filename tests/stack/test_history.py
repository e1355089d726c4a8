"""`rollcall history` of a deployed stack shows what the embedded cloud recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.cloud import Cloud, Group, eventually
from lab.demo.timeline import read_records
from lab.tower.embedded import Tower

type Json = dict[str, Any]

WHOLE_SECOND = 1.1  # seconds by which the end of an activity may differ: AWS gives it in whole seconds
AFTERWARDS = 3.0  # seconds by which a log line may be later than what it says, on a machine that is busy


def test_history_shows_an_instance_that_came_and_went_as_it_was_recorded(
    make_group: Callable[..., Group], cloud: Cloud, tower: Tower, tmp_path: Path
) -> None:
    group = make_group(size=1)
    eventually(lambda: len(group.in_service()) == 1, "the instance serves")
    [instance_id] = group.in_service()
    group.scale(0)
    eventually(lambda: not group.states(), "the instance is gone")

    page = tmp_path / "history.html"
    done = cloud.rollcall("history", group.name, "--json", "--html", str(page))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["gaps"] == []
    [shown] = answer["instances"]
    [recorded] = [each for each in read_records(cloud)["instances"] if each["instance_id"] == instance_id]
    assert shown["instance_id"] == instance_id
    assert (shown["group"], shown["outcome"]) == (group.name, "terminated")
    assert stages(shown) == stages(recorded)
    assert [(each["job"], each["result"]) for each in shown["runs"]] == [
        (each["job"], each["result"]) for each in recorded["runs"]
    ]
    for at in ("registered", "removed"):
        assert shown[at] == pytest.approx(recorded[at], abs=AFTERWARDS), at
    for state in ("Pending", "InService", "Terminating", "Terminated"):
        assert entered(shown, state) == pytest.approx(entered(recorded, state), abs=WHOLE_SECOND), state
    assert shown["seconds_to_service"] == pytest.approx(recorded["seconds_to_service"], abs=AFTERWARDS)
    assert instance_id in page.read_text()

    alone = cloud.rollcall("history", instance_id, "--group", group.name)
    assert alone.returncode == 0, alone.stderr
    assert f"{instance_id}" in alone.stdout
    assert "1 terminated" in alone.stdout


def test_history_draws_what_is_known_where_tower_does_not_answer(
    make_group: Callable[..., Group], cloud: Cloud, tower: Tower
) -> None:
    group = make_group(size=1)
    eventually(lambda: len(group.in_service()) == 1, "the instance serves")
    done = cloud.rollcall("history", group.name, ROLLCALL_TOWER_TOKEN="no-token-of-this-tower")
    assert done.returncode == 0, done.stderr
    assert "1 in service" in done.stdout
    assert "What Tower would show of hosts and jobs is missing" in done.stdout


def test_history_of_what_is_not_there_says_so(cloud: Cloud) -> None:
    done = cloud.rollcall("history", "no-such-group")
    assert done.returncode == 2
    assert "AWS has no Auto Scaling group 'no-such-group'" in done.stderr


def stages(instance: Json) -> list[str]:
    """Its stages one after the other, but for a wait that no source of a real stack is exact enough to show."""
    return [each["stage"] for each in instance["stages"] if each["stage"] != "waiting for a job"]


def entered(instance: Json, state: str) -> float:
    """When an instance first entered a state, in epoch seconds."""
    return float(next(each["entered"] for each in instance["states"] if each["state"] == state))
