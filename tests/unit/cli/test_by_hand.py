"""What the operators' commands say of a function's answer, or of its error."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import typer
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from rich.console import Console

from rollcall_cli import stack
from rollcall_cli.commands import reconcile
from rollcall_cli.reconcile_run import LISTS
from rollcall_cli.running import NotRun, ending
from rollcall_cli.screen import PIPE_WIDTH


class _Lambda:
    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    def invoke(self, **_: object) -> dict[str, Any]:
        return {"FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(self._answer).encode())}


@pytest.mark.parametrize(("function", "pointed"), [("ReconcileFunction", True), ("DoctorFunction", False)])
def test_a_run_that_ends_in_an_error_points_to_doctor_unless_it_is_doctors(
    monkeypatch: pytest.MonkeyPatch, function: str, pointed: bool
) -> None:
    away = {"errorType": "TowerUnavailable", "errorMessage": "Tower keeps refusing requests as too many, with 503"}
    monkeypatch.setattr(stack, "physical_id", lambda *_: "rollcall-function")
    monkeypatch.setattr("boto3.client", lambda *_, **__: _Lambda(away))
    with pytest.raises(NotRun) as ended:
        stack.invoke("rollcall", function, {})
    assert "ended in an error: TowerUnavailable: Tower keeps refusing requests as too many, with 503\n" in str(
        ended.value
    )
    assert ("rollcall doctor says what is wrong with Tower" in str(ended.value)) is pointed
    assert "the function's log says more" in str(ended.value)


OUT_OF_TIME = {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out"}
AWAY = {"errorType": "TowerUnavailable", "errorMessage": "Tower answered with 503"}


@pytest.mark.parametrize(
    ("function", "request_", "fails", "code"),
    [
        ("ReconcileFunction", {}, ReadTimeoutError(endpoint_url="https://lambda"), 1),
        ("ReconcileFunction", {}, OUT_OF_TIME, 1),
        ("ReconcileFunction", {}, AWAY, 2),
        ("ReconcileFunction", {"dry_run": True}, ReadTimeoutError(endpoint_url="https://lambda"), 2),
        ("ReconcileFunction", {}, ConnectTimeoutError(endpoint_url="https://lambda"), 2),
        ("DoctorFunction", {}, OUT_OF_TIME, 2),
    ],
)
def test_only_a_run_that_cannot_have_changed_anything_counts_as_not_run(
    monkeypatch: pytest.MonkeyPatch, function: str, request_: Any, fails: Any, code: int
) -> None:
    class Failing(_Lambda):
        def invoke(self, **_: object) -> dict[str, Any]:
            if isinstance(fails, Exception):
                raise fails
            return super().invoke()

    monkeypatch.setattr(stack, "physical_id", lambda *_: "rollcall-function")
    monkeypatch.setattr("boto3.client", lambda *_, **__: Failing(fails))

    def command() -> Any:
        stack.invoke("rollcall", function, request_)

    with pytest.raises(typer.Exit) as ended:
        ending(command)()
    assert ended.value.exit_code == code


def shown(**own: Any) -> str:
    """What reconcile's command prints of an answer."""
    answer: dict[str, Any] = {
        "dry_run": False,
        "seconds": 1.0,
        "inventories": [],
        "instances": {},
        "nodes": {"ours": 0, "removed": 0},
        **{name: [] for name in LISTS},
        "left": 0,
        "left_out": {},
    }
    console = Console(file=io.StringIO(), highlight=False, markup=False, width=PIPE_WIDTH)
    reconcile.show(console, answer | own, 50)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def step(action: str, instance_id: str, **own: Any) -> dict[str, Any]:
    about = {"inventory": "fleet", "inventory_id": 5, "group": "web", "instance_id": instance_id, "reason": "why"}
    return {"step": action, **about, **own}


def test_those_that_one_job_provisioned_are_one_entry_with_its_number() -> None:
    printed = shown(
        steps=[
            step("added and provisioned", "i-a", job=7),
            step("added and provisioned", "i-b", job=7),
            step("added", "i-c", job=None),
        ]
    )
    assert "fleet: added and provisioned by job 7 (2): why" in printed
    assert "fleet: added i-c: why" in printed


def test_what_is_due_by_tags_is_named_with_why() -> None:
    due = {"what": "bake", "group": "web", "name": "web-1-sched-2026-12-06", "reason": "it is due since 03:00"}
    printed = shown(due=[due | {"state": "started"}, due | {"what": "cycle", "state": "waits"}])
    assert "\n2 due by tags\n  started: bake web-1-sched-2026-12-06: it is due since 03:00\n" in printed
    assert "  waits: cycle web-1-sched-2026-12-06: it is due since 03:00\n" in printed


@pytest.mark.parametrize(
    ("groups", "command"),
    [
        (("web", "api", "web"), "rollcall reconcile --force --group api --group web"),
        (("web", None), "rollcall reconcile --force"),
    ],
)
def test_what_the_removal_limit_stopped_comes_with_the_command_that_forces_no_more(
    groups: tuple[str | None, ...], command: str
) -> None:
    stopped = [step("remove", f"i-{number}", group=group) for number, group in enumerate(groups)]
    assert f"If the list is right: {command}\n" in shown(stopped=stopped)


def test_nodes_of_chef_say_no_group_and_so_the_command_names_none() -> None:
    node = {"step": "remove from Chef", "node": "web-1", "instance_id": "i-a", "reason": "why"}
    assert "rollcall reconcile --force\n" in shown(stopped=[step("remove", "i-a"), node])
