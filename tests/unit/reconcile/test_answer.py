"""What a run of reconcile answers, and publishes on the event bus."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rollcall.domain.messages import RunOptions
from rollcall.reconcile.answer import LISTED_MAX, drift_fixed, run_answer

if TYPE_CHECKING:
    from rollcall.reconcile.result import RunOutcome
    from unit.world import World


def answer(outcome: RunOutcome, *, dry_run: bool = False) -> dict[str, Any]:
    """The answer as it comes out of Lambda."""
    read: dict[str, Any] = json.loads(json.dumps(run_answer(outcome, dry_run=dry_run, seconds=1.23456)))
    return read


def test_a_run_that_finds_nothing_answers_with_its_inventories(world: World) -> None:
    world.serving("i-a", "10.0.0.1")
    world.host_of("i-a", "10.0.0.1")
    said = answer(world.reconcile())
    assert said.pop("inventories")[0].items() >= {"inventory": "prod", "hosts": 1, "managed": 1, "removed": 0}.items()
    assert said == {
        "failed": False,
        "dry_run": False,
        "seconds": 1.235,
        "instances": {},
        "nodes": {"ours": 0, "removed": 0},
        "steps": [],
        "findings": [],
        "stopped": [],
        "troubles": [],
        "due": [],
        "left": 0,
        "left_out": {},
    }


def test_each_step_is_named_with_its_inventory_and_its_reason(world: World) -> None:
    world.host_of("i-gone", "10.0.0.1")
    world.serving("i-new", "10.0.0.2", age=600)
    world.serving("i-moved", "10.0.0.3")
    world.host_of("i-moved", "10.0.0.99")
    world.serving("i-leaving", "10.0.0.4", state="Terminating:Wait")
    planned = answer(world.reconcile(dry_run=True), dry_run=True)["steps"]
    steps = {each["step"]: each for each in planned}
    assert set(steps) == {"remove", "add and provision", "fix", "requeue"}
    assert steps["remove"]["instance_id"] == "i-gone"
    assert all((each["inventory"], each["inventory_id"]) == ("prod", world.inventory.id) for each in planned)
    assert all(each["reason"] for each in planned)

    outcome = world.reconcile()
    done = {each["step"]: (each["instance_id"], each["job"]) for each in answer(outcome)["steps"]}
    [job] = world.tower.runs
    assert done == {
        "removed": ("i-gone", None),
        "added and provisioned": ("i-new", job),
        "fixed": ("i-moved", None),
        "requeued": ("i-leaving", None),
    }
    assert drift_fixed(outcome) == answer(outcome)["steps"]


def test_a_dry_run_fixes_nothing_that_an_event_could_report(world: World) -> None:
    world.host_of("i-gone", "10.0.0.1")
    assert drift_fixed(world.reconcile(dry_run=True)) == []


def test_what_a_person_should_know_is_no_failure(world: World) -> None:
    world.group("web", tags={})
    world.serving("i-a", "10.0.0.1")
    world.host_of("i-a", "10.0.0.1")
    said = answer(world.reconcile())
    [finding] = said["findings"]
    assert finding["kind"] == "not opted in"
    assert finding["subject"] == "i-a"
    assert not said["failed"]


def test_removals_over_the_limit_are_a_failure_with_the_list(world: World) -> None:
    for number in range(6):
        world.host_of(f"i-{number}", f"10.0.0.{number}")
    said = answer(world.reconcile())
    assert said["failed"]
    assert {each["host"] for each in said["stopped"]} == {f"i-{number}" for number in range(6)}
    assert said["steps"] == []


def test_what_failed_is_named_with_its_error(world: World) -> None:
    world.group("db", inventory="misspelt")
    said = answer(world.reconcile())
    assert said["failed"]
    [error] = said["troubles"]
    assert (error["what"], error["error"]) == ("group db", "BadSettings")
    assert "misspelt" in error["message"]


def test_long_lists_are_cut_and_say_by_how_much(world: World) -> None:
    for number in range(LISTED_MAX + 3):
        world.serving(f"i-{number}", f"10.{number // 65536}.{number // 256 % 256}.{number % 256}")
    said = answer(world.reconcile(RunOptions(provision=False), dry_run=True), dry_run=True)
    assert len(said["steps"]) == LISTED_MAX
    assert said["left_out"] == {"steps": 3}
