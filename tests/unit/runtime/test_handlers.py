"""The functions themselves: what they publish at the end of an invocation, whatever came of it."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.errors import BadSettings, Throttled, TowerUnavailable
from rollcall.runtime.batch import BatchProcessor
from unit.fakes import REGION
from unit.world import OWN_QUEUE

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.world import World

FUNCTIONS = Path(__file__).parents[3] / "functions"
type Handle = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def function(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Handle]:
    """A function by its name, with the world's clients and event bus in the place of its own."""
    monkeypatch.setenv("REMOVE_AT_MOST_PERCENT", "20")
    here = SimpleNamespace(
        settings=world.settings,
        tower=world.tower,
        fleets=world.fleets,
        queues=world.queues,
        processor=lambda announcer: BatchProcessor(OWN_QUEUE, world.fleets, world.queues, announcer),
    )
    context: Any = SimpleNamespace(
        function_name="any",
        memory_limit_in_mb=256,
        invoked_function_arn="arn",
        aws_request_id="1",
        get_remaining_time_in_millis=lambda: 60_000,
    )

    def load(name: str) -> Handle:
        app = _load(name)
        monkeypatch.setattr(app, "installation", lambda context: here, raising=False)
        if hasattr(app, "chef"):
            monkeypatch.setattr(app, "chef", lambda context: None)
        monkeypatch.setattr(app.announcer, "_bus", world.bus)
        return lambda event: dict(app.handler(event, context))

    return load


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_app", FUNCTIONS / name / "app.py")
    assert spec
    assert spec.loader
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    return app


def batch(instance_id: str, transition: str = "LAUNCHING") -> dict[str, Any]:
    """One lifecycle action."""
    detail = {
        "LifecycleActionToken": "87654321-4321-4321-4321-210987654321",
        "AutoScalingGroupName": "web",
        "LifecycleHookName": "rollcall-launch",
        "EC2InstanceId": instance_id,
        "LifecycleTransition": f"autoscaling:EC2_INSTANCE_{transition}",
    }
    now = str(int(time.time() * 1000))
    return {
        "Records": [
            {
                "messageId": "m0",
                "body": json.dumps(detail | {"AccountId": "123456789012"}),
                "awsRegion": REGION,
                "receiptHandle": "handle",
                "attributes": {"ApproximateReceiveCount": "1", "ApproximateFirstReceiveTimestamp": now},
            }
        ]
    }


def published_by(world: World) -> list[tuple[str, str]]:
    """The kinds of events, and which function published them."""
    return [(kind, detail["function"]) for kind, detail in world.bus.published]


def test_register_and_cleanup_publish_what_they_did(world: World, function: Callable[[str], Handle]) -> None:
    world.launching("i-a")
    assert function("register")(batch("i-a")) == {"batchItemFailures": []}
    world.leaves("i-a")
    assert function("cleanup")(batch("i-a", "TERMINATING")) == {"batchItemFailures": []}
    assert published_by(world) == [("Instance Registered", "register"), ("Instance Retired", "cleanup")]


@pytest.mark.parametrize("name", ["register", "cleanup"])
def test_a_function_that_cannot_work_says_so_and_has_the_message_come_again(
    world: World, function: Callable[[str], Handle], name: str
) -> None:
    world.launching("i-a", state="Pending:Wait" if name == "register" else "Terminating:Wait")
    world.tower.unavailable = True
    answer = function(name)(batch("i-a", "LAUNCHING" if name == "register" else "TERMINATING"))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert published_by(world) == [("Work Failed", name)]


@pytest.mark.parametrize("name", ["register", "cleanup"])
def test_work_that_no_one_can_be_published_is_done_and_not_repeated(
    world: World, function: Callable[[str], Handle], name: str
) -> None:
    world.launching("i-a", state="Pending:Wait" if name == "register" else "Terminating:Wait")
    world.bus.failing["put"] = Throttled("slow down")
    answer = function(name)(batch("i-a", "LAUNCHING" if name == "register" else "TERMINATING"))
    assert answer == {"batchItemFailures": []}


def test_a_run_publishes_what_it_fixed(world: World, function: Callable[[str], Handle]) -> None:
    world.host_of("i-gone", "10.0.0.1")
    answer = function("reconcile")({"every": 5})
    assert not answer["failed"]
    assert published_by(world) == [("Drift Fixed", "reconcile")]


def test_a_run_that_no_one_can_be_published_is_no_failure(world: World, function: Callable[[str], Handle]) -> None:
    world.host_of("i-gone", "10.0.0.1")
    world.bus.failing["put"] = Throttled("slow down")
    answer = function("reconcile")({"every": 5})
    assert (answer["failed"], len(answer["steps"]), answer["troubles"]) == (False, 1, [])


@pytest.mark.parametrize("error", [TowerUnavailable("away"), KeyError("a bug")])
def test_a_run_that_ends_in_an_error_is_published_and_still_ends_in_it(
    world: World, function: Callable[[str], Handle], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("rollcall.reconcile.run.Reconcile.run", fail)
    handle = function("reconcile")
    with pytest.raises(type(error)):
        handle({"every": 5})
    [(kind, detail)] = world.bus.published
    assert (kind, detail["error"], detail["again_within"]) == ("Work Failed", type(error).__name__, 720)
    with pytest.raises(type(error)):
        handle({"dry_run": True})
    assert len(world.bus.published) == 1


def test_a_dry_run_publishes_no_one_anything(
    world: World, function: Callable[[str], Handle], capsys: pytest.CaptureFixture[str]
) -> None:
    world.group("db", inventory="misspelt")
    world.host_of("i-gone", "10.0.0.1")
    answer = function("reconcile")({"dry_run": True})
    assert answer["troubles"]
    assert world.bus.published == []
    assert "_aws" not in capsys.readouterr().out


def test_a_problem_of_a_run_by_hand_is_published_too(world: World, function: Callable[[str], Handle]) -> None:
    world.group("db", inventory="misspelt")
    assert function("reconcile")({})["failed"]
    [(kind, detail)] = world.bus.published
    assert (kind, detail["cause"], detail["error"]) == ("Work Failed", "reconcile: group db", BadSettings.__name__)
