"""The functions themselves: what they publish at the end of an invocation, whatever came of it."""

from __future__ import annotations

import json
import sys
import time
from copy import replace
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.cycle.due import DueCycle
from rollcall.cycle.news import CycleAnswer, CycleEvent
from rollcall.cycle.starting import CyclesOutcome
from rollcall.cycle.state import CycleResult
from rollcall.domain.errors import (
    AwsDenied,
    BadSettings,
    RefreshStillActive,
    RollcallError,
    Throttled,
    TowerUnavailable,
)
from rollcall.domain.objections import Objection
from rollcall.workflow.answer import StepAnswer
from unit.cycle_news import EXECUTION, STATE, answer_of, ended
from unit.fakes import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.world import World

type Handle = Callable[[dict[str, Any]], dict[str, Any]]


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


# Cycles

MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:cycles"
EVERY_FIVE = {"every": 5}


class Starter:
    """In the place of what starts cycles. asked, previewed: with what it was run."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[tuple[object, float | None]] = []
        self.previewed: list[tuple[object, float | None]] = []
        self.outcome = CyclesOutcome()
        self._error = error

    def run(self, only: object, every: float | None) -> CyclesOutcome:
        self.asked.append((only, every))
        self.outcome.started.append(DueCycle("web", "web-1-v7", "version 7 is new"))
        if self._error:
            raise self._error
        self.outcome.errors["cycles of group db"] = BadSettings("tag rollcall:cycle is misspelt")
        return self.outcome

    def preview(self, only: object, every: float | None) -> CyclesOutcome:
        self.previewed.append((only, every))
        if isinstance(self._error, RollcallError):
            raise self._error
        self.outcome.started.append(DueCycle("web", "web-1-v7", "it is due"))
        return self.outcome


@pytest.fixture
def cycles(monkeypatch: pytest.MonkeyPatch) -> Callable[[Starter], Starter]:
    """An installation that runs cycles, with this starter."""

    def run_by(starter: Starter) -> Starter:
        monkeypatch.setenv("CYCLE_MACHINE", MACHINE)
        monkeypatch.setenv("CYCLE_FUNCTION", "cycle")
        monkeypatch.setattr("rollcall.cycle.starting.cycle_starter", lambda *_: starter)
        return starter

    return run_by


def test_a_run_starts_cycles_and_publishes_what_it_could_not_do_about_others(
    function: Callable[[str], Handle], cycles: Callable[[Starter], Starter], world: World
) -> None:
    starter = cycles(Starter())
    assert function("reconcile")(EVERY_FIVE)["failed"] is False
    assert function("reconcile")({"groups": ["web"]})["failed"] is False
    assert starter.asked == [(None, 300.0), (frozenset({"web"}), None)]
    details = [detail for kind, detail in world.bus.published if kind == "Work Failed"]
    assert {each["cause"] for each in details} == {"reconcile: cycles of group db"}


def test_a_run_about_single_instances_starts_no_cycle(
    function: Callable[[str], Handle], cycles: Callable[[Starter], Starter]
) -> None:
    starter = cycles(Starter())
    answer = function("reconcile")({"instances": ["i-0123456789abcdef0"]})
    assert (starter.asked, starter.previewed, answer["due"]) == ([], [], [])


def test_a_run_answers_which_cycles_it_started_and_a_dry_run_which_it_would(
    function: Callable[[str], Handle], cycles: Callable[[Starter], Starter], world: World
) -> None:
    cycles(Starter())
    started, failed = function("reconcile")(EVERY_FIVE)["due"]
    assert started.items() >= {"what": "cycle", "state": "started", "group": "web"}.items()
    assert failed.items() >= {"state": "failed", "name": "cycles of group db"}.items()
    assert "is misspelt" in failed["reason"]
    published = len(world.bus.published)
    starter = cycles(Starter())
    [would] = function("reconcile")({"dry_run": True, "groups": ["web"]})["due"]
    assert (would["state"], would["name"], would["reason"]) == ("would start", "web-1-v7", "it is due")
    assert (starter.asked, starter.previewed) == ([], [(frozenset({"web"}), None)])
    assert len(world.bus.published) == published


def test_a_dry_run_says_why_it_does_not_know_which_cycles_are_due(
    function: Callable[[str], Handle], cycles: Callable[[Starter], Starter], world: World
) -> None:
    cycles(Starter(Throttled("slow down")))
    [failed] = function("reconcile")({"dry_run": True})["due"]
    assert (failed["state"], failed["reason"], world.bus.published) == ("failed", "slow down", [])


def test_an_installation_without_cycles_does_not_even_load_them(
    function: Callable[[str], Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CYCLE_MACHINE", raising=False)
    monkeypatch.setitem(sys.modules, "rollcall.cycle.starting", None)  # an import of it is an error
    assert function("reconcile")(EVERY_FIVE)["failed"] is False


@pytest.mark.parametrize(
    ("error", "transient"), [(Throttled("slow down"), True), (AwsDenied("no"), False), (KeyError("a bug"), False)]
)
def test_cycles_that_cannot_be_looked_at_are_published_and_hide_nothing_of_the_run(
    world: World,
    function: Callable[[str], Handle],
    cycles: Callable[[Starter], Starter],
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    transient: bool,
) -> None:
    world.host_of("i-gone", "10.0.0.1")
    cycles(Starter(error))
    answer = function("reconcile")(EVERY_FIVE)
    assert (answer["failed"], len(answer["steps"])) == (False, 1)
    published = dict(world.bus.published)
    assert published["Drift Fixed"]
    failed = published["Work Failed"]
    assert (failed["transient"], failed["error"], failed["again_within"]) == (transient, type(error).__name__, 720)
    assert failed["reason"].startswith("cycles: ")
    logged = {each.getMessage(): each.levelname for each in caplog.records}
    assert logged["cycle started: version 7 is new"] == "INFO"  # what was done before the error
    [level] = [level for words, level in logged.items() if words.startswith("cycles that are due: ")]
    assert level == ("WARNING" if transient else "ERROR")


def step_answered(monkeypatch: pytest.MonkeyPatch, name: str, answer: CycleAnswer) -> list[tuple[Any, ...]]:
    """Let the steps of cycles answer so; with what they were called."""
    called: list[tuple[Any, ...]] = []

    def step(self: object, *arguments: Any) -> CycleAnswer:
        called.append(arguments)
        return answer

    monkeypatch.setattr(f"rollcall.cycle.run.CycleRun.{name}", step)
    return called


def test_a_step_of_a_cycle_answers_with_the_whole_state_and_publishes_what_it_found(
    world: World, function: Callable[[str], Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = answer_of(CycleEvent.PROGRESS)._replace(wait=15.2)
    called = step_answered(monkeypatch, "step", answer)
    event = {"step": "follow", "cycle": STATE.to_json(), "execution": {"id": EXECUTION}}
    answered = function("cycle")(event)
    assert called == [("follow", event)]
    assert answered == {"cycle": STATE.to_json(), "next": "wait", "wait": 16, "error": {}, "cause": STATE.reason}
    assert json.loads(json.dumps(answered)) == answered
    [(kind, detail)] = world.bus.published
    assert (kind, detail["function"], detail["cycle"]) == ("Cycle Progress", "cycle", EXECUTION.rpartition(":")[2])


def test_an_execution_that_was_stopped_is_settled(
    world: World, function: Callable[[str], Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    called = step_answered(monkeypatch, "settle", ended(CycleEvent.CANCELLED))
    detail = {"executionArn": EXECUTION, "status": "ABORTED", "input": "{}"}
    function("cycle")({"source": "aws.states", "detail": detail})
    assert called == [(detail,)]
    assert published_by(world) == [("Cycle Cancelled", "cycle")]


def test_a_stopped_execution_that_leaves_something_to_put_back_yet_is_published_and_tried_again(
    world: World, function: Callable[[str], Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    step_answered(monkeypatch, "settle", ended(CycleEvent.CANCELLED)._replace(next="wait"))
    detail = {"executionArn": EXECUTION, "status": "ABORTED", "input": "{}"}
    with pytest.raises(RefreshStillActive):
        function("cycle")({"source": "aws.states", "detail": detail})
    assert published_by(world) == [("Cycle Cancelled", "cycle")]


def test_a_refusal_and_a_dry_run_publish_nothing_and_are_logged_with_every_objection(
    world: World,
    function: Callable[[str], Handle],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    objection = Objection("no hook", "group web has no launch hook", "rollcall onboard web")
    refused = replace(STATE, result=CycleResult.REFUSED, reason="1 objection", objections=(objection,))
    step_answered(monkeypatch, "step", StepAnswer(refused, "put_back"))
    function("cycle")({"step": "preflight", "execution": {"id": EXECUTION}})
    assert world.bus.published == []
    [line] = [each for each in caplog.records if "1 objection" in each.getMessage()]
    assert vars(line)["objections"] == [objection._asdict()]
    assert (line.levelname, vars(line)["group"]) == ("INFO", "web")


def test_an_error_of_a_step_is_raised_so_that_it_is_tried_again(
    function: Callable[[str], Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TowerUnavailable("away")

    monkeypatch.setattr("rollcall.cycle.run.CycleRun.step", fail)
    with pytest.raises(TowerUnavailable):
        function("cycle")({"step": "follow", "execution": {"id": EXECUTION}})
