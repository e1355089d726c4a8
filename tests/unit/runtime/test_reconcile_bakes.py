"""What a run of reconcile does about bakes, and what is published of that."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from rollcall.bake.due import DueBake
from rollcall.bake.starting import BakesOutcome
from rollcall.domain.errors import AwsDenied, BadSettings, RollcallError, Throttled
from unit.fakes import ACCOUNT, REGION

from .test_handlers import EVERY_FIVE

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.world import World

    from .conftest import Handle

MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:Bake"


class Starter:
    """In the place of what starts bakes. asked, previewed: with what it was run."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[tuple[object, float | None]] = []
        self.previewed: list[tuple[object, float | None]] = []
        self.outcome = BakesOutcome()
        self._error = error

    def run(self, only: object, every: float | None) -> BakesOutcome:
        self.asked.append((only, every))
        self.outcome.started.append(DueBake("web", "web-1-sched", "it is due"))
        if self._error:
            raise self._error
        self.outcome.settled.append("web-1-old")
        self.outcome.swept.append("i-a")
        self.outcome.retired.append("web")
        self.outcome.errors["bakes of group db"] = BadSettings("tag rollcall:bake is misspelt")
        return self.outcome

    def preview(self, only: object, every: float | None) -> BakesOutcome:
        self.previewed.append((only, every))
        if isinstance(self._error, RollcallError):
            raise self._error
        self.outcome.started.append(DueBake("web", "web-1-v7", "it is due"))
        return self.outcome


@pytest.fixture
def bakes(monkeypatch: pytest.MonkeyPatch) -> Callable[[Starter], Starter]:
    """An installation that bakes, with this starter."""

    def run_by(starter: Starter) -> Starter:
        monkeypatch.setenv("BAKE_MACHINE", MACHINE)
        monkeypatch.setenv("BAKE_FUNCTION", "bake")
        monkeypatch.setattr("rollcall.bake.starting.bake_starter", lambda *_: starter)
        return starter

    return run_by


def test_a_run_starts_bakes_and_says_what_it_did_about_others(
    function: Callable[[str], Handle],
    bakes: Callable[[Starter], Starter],
    world: World,
    caplog: pytest.LogCaptureFixture,
) -> None:
    starter = bakes(Starter())
    assert function("reconcile")(EVERY_FIVE)["failed"] is False
    assert starter.asked == [(None, 300.0)]
    details = [detail for kind, detail in world.bus.published if kind == "Work Failed"]
    assert {each["cause"] for each in details} == {"reconcile: bakes of group db"}
    logged = {each.getMessage(): each.levelname for each in caplog.records}
    assert logged["bake started: it is due"] == "INFO"
    assert logged["the bake was stopped: what it left, if anything, is removed"] == "INFO"
    assert logged["the instance of a bake whose time is over is removed"] == "WARNING"


def test_a_run_about_single_instances_starts_no_bake(
    function: Callable[[str], Handle], bakes: Callable[[Starter], Starter]
) -> None:
    starter = bakes(Starter())
    answer = function("reconcile")({"instances": ["i-0123456789abcdef0"]})
    assert (starter.asked, starter.previewed, answer["due"]) == ([], [], [])


def test_a_run_answers_which_bakes_it_started_and_a_dry_run_which_it_would(
    function: Callable[[str], Handle], bakes: Callable[[Starter], Starter], world: World
) -> None:
    bakes(Starter())
    started, failed = function("reconcile")(EVERY_FIVE)["due"]
    assert started.items() >= {"what": "bake", "state": "started", "group": "web"}.items()
    assert failed.items() >= {"state": "failed", "name": "bakes of group db"}.items()
    assert "is misspelt" in failed["reason"]
    published = len(world.bus.published)
    starter = bakes(Starter())
    [would] = function("reconcile")({"dry_run": True, "groups": ["web"]})["due"]
    assert (would["state"], would["name"], would["reason"]) == ("would start", "web-1-v7", "it is due")
    assert (starter.asked, starter.previewed) == ([], [(frozenset({"web"}), None)])
    assert len(world.bus.published) == published


def test_a_dry_run_says_why_it_does_not_know_which_bakes_are_due(
    function: Callable[[str], Handle], bakes: Callable[[Starter], Starter], world: World
) -> None:
    bakes(Starter(Throttled("slow down")))
    [failed] = function("reconcile")({"dry_run": True})["due"]
    assert (failed["state"], failed["reason"], world.bus.published) == ("failed", "slow down", [])


def test_an_installation_that_does_not_bake_does_not_even_load_it(
    function: Callable[[str], Handle],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("BAKE_MACHINE", raising=False)
    monkeypatch.setitem(sys.modules, "rollcall.bake.starting", None)  # an import of it is an error
    assert function("reconcile")(EVERY_FIVE)["failed"] is False


@pytest.mark.parametrize(
    ("error", "transient"), [(Throttled("slow down"), True), (AwsDenied("no"), False), (KeyError("a bug"), False)]
)
def test_bakes_that_cannot_be_looked_at_are_published_and_fail_no_run(
    function: Callable[[str], Handle],
    bakes: Callable[[Starter], Starter],
    world: World,
    error: Exception,
    transient: bool,
) -> None:
    bakes(Starter(error))
    assert function("reconcile")(EVERY_FIVE)["failed"] is False
    failed = dict(world.bus.published)["Work Failed"]
    assert (failed["transient"], failed["error"]) == (transient, type(error).__name__)
    assert failed["reason"].startswith("bakes: ")
