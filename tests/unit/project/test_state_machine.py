"""statemachines/cycle.asl.json: what is tried again, where each answer of a step leads, and that there is no more."""

from __future__ import annotations

import ast

import pytest

from rollcall.cycle.run import STEPS
from rollcall.workflow.answer import PUT_BACK
from rollcall.workflow.invocation import read_invocation
from unit.project.machines import DENIED, RETRIED, Machine
from unit.project.template import REPOSITORY

DAY = 86_400  # seconds; an instance refresh lasts 14 days at most (Auto Scaling user guide, "Instance refresh")
NAME = "web-2b1d6f0a-v7"
CYCLE = Machine(
    "cycle",
    {
        "$$.Execution.Id": f"arn:aws:states:us-east-1:123456789012:execution:cycles:{NAME}",
        "$$.Execution.Name": NAME,
        "$$.Execution.StartTime": "2026-11-30T22:15:00.000Z",
    },
)
WAYS = {  # by state and the word that its task answers with: the task, or the end, that comes next, after a wait or not
    ("Preflight", "pin"): "Pin",
    ("Preflight", "start"): "Start",
    ("Preflight", "put_back"): "PutBack",
    ("Pin", "start"): "Start",
    ("Pin", "put_back"): "PutBack",
    ("Start", "wait"): "Wait Follow",
    ("Start", "put_back"): "PutBack",
    ("Follow", "wait"): "Wait Follow",
    ("Follow", "verify"): "Verify",
    ("Follow", "put_back"): "PutBack",
    ("Verify", "wait"): "WaitToVerify Verify",
    ("Verify", "put_back"): "PutBack",
    ("PutBack", "wait"): "WaitToPutBack PutBack",
    ("PutBack", "succeeded"): "Succeeded",
    ("PutBack", "failed"): "Failed",
}


def test_it_is_valid() -> None:
    function = "arn:aws:lambda:us-east-1:123456789012:function:cycle"
    assert CYCLE.objections(Partition="aws", CycleFunction=function) == []


def test_every_state_is_reached_and_every_way_leads_to_one() -> None:
    assert CYCLE.reached() == CYCLE.states.keys()


def test_every_state_says_what_it_is_for() -> None:
    assert CYCLE.definition["Comment"]
    comments = [each["Comment"] for each in CYCLE.states.values()]
    assert all(comments)


def test_each_step_of_the_function_is_a_task() -> None:
    assert sorted(CYCLE.step_of.values()) == sorted(STEPS)
    assert not CYCLE.nested


@pytest.mark.parametrize("name", CYCLE.tasks)
def test_a_task_is_tried_again_whatever_fails_and_then_everything_is_put_back(name: str) -> None:
    task = CYCLE.tasks[name]
    assert task["Resource"].endswith(":states:::lambda:invoke")
    goes_on = name in ("Follow", "Verify", "PutBack")  # a refresh that is not followed, or a group that is not put back
    assert task["Retry"] == ([RETRIED] if goes_on else [DENIED, RETRIED])
    [catch] = task["Catch"]
    assert (catch["ErrorEquals"], catch["ResultPath"]) == (["States.ALL"], "$.error")
    assert catch["Next"] == ("NotPutBack" if name == "PutBack" else "PutBack")


@pytest.mark.parametrize("name", CYCLE.tasks)
def test_after_a_task_its_word_decides_and_a_word_that_is_not_known_puts_back(name: str) -> None:
    choice = CYCLE.choice_after(name)
    assert {each["Variable"] for each in choice["Choices"]} == {"$.next"}
    assert CYCLE.ways_from(name) == {way: states for way, states in WAYS.items() if way[0] == name}
    assert choice["Default"] == ("Failed" if name == "PutBack" else "PutBack")


def test_every_word_that_the_function_answers_with_has_its_branch() -> None:
    package = REPOSITORY / "layers/common/rollcall/cycle"
    answers = [
        node.args[1]
        for module in ("run.py", "ending.py")
        for node in ast.walk(ast.parse((package / module).read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "StepAnswer"
    ]
    nodes = [each for node in answers for each in ast.walk(node)]
    words = {each.value for each in nodes if isinstance(each, ast.Constant)}
    words |= {PUT_BACK for each in nodes if isinstance(each, ast.Name) and each.id == "PUT_BACK"}
    assert words <= {word for _, word in WAYS}
    assert {"wait", "verify", "put_back", "succeeded", "failed"} <= words


@pytest.mark.parametrize("name", CYCLE.tasks)
def test_what_a_task_hands_on_is_there_after_every_task_and_after_every_error(name: str) -> None:
    """Step Functions ends an execution for a path that leads nowhere, and no Catch runs."""
    begun = CYCLE.resolved(CYCLE.states["Begin"]["Parameters"], {"group": "web", "batch": 2})
    answered = {"cycle": {"group": "web"}, "next": "wait", "wait": 15, "error": {}, "cause": ""}
    assert isinstance(begun, dict)
    for data in (begun, begun | {"error": {"Error": "E", "Cause": "c"}}, answered):
        if name == "Preflight" and data is answered:
            continue
        if name not in ("Preflight", "PutBack") and data is not answered:
            continue
        event = CYCLE.resolved(CYCLE.tasks[name]["Parameters"]["Payload"], data)
        assert read_invocation(event, STEPS).step == CYCLE.step_of[name]


def test_the_pre_flight_gets_the_request_and_whoever_puts_back_the_group_even_if_it_failed() -> None:
    request = {"group": "web", "batch": 2}
    begun = CYCLE.resolved(CYCLE.states["Begin"]["Parameters"], request)
    assert begun == {"cycle": {"group": "web", "request": request}, "error": {}}
    assert CYCLE.tasks["Preflight"]["Parameters"]["Payload"]["request.$"] == "$.cycle.request"
    assert CYCLE.tasks["PutBack"]["Parameters"]["Payload"]["error.$"] == "$.error"


def test_each_answer_of_the_function_becomes_the_whole_state() -> None:
    for task in CYCLE.tasks.values():
        assert (task["OutputPath"], "ResultPath" in task) == ("$.Payload", False)
    for wait in (each for each in CYCLE.states.values() if each["Type"] == "Wait"):
        assert wait["SecondsPath"] == "$.wait"


def test_what_an_execution_failed_with_is_the_result_of_the_cycle() -> None:
    failed = CYCLE.states["Failed"]
    assert (failed["Type"], failed["ErrorPath"], failed["CausePath"]) == ("Fail", "$.cycle.result", "$.cause")
    assert CYCLE.states["Succeeded"]["Type"] == "Succeed"
    assert CYCLE.states["NotPutBack"]["ErrorPath"] == "$.error.Error"


def test_it_outlasts_an_instance_refresh_of_fourteen_days() -> None:
    assert CYCLE.definition["TimeoutSeconds"] == 14 * DAY + 3600


def test_no_state_stops_an_execution() -> None:
    assert "StopExecution" not in CYCLE.text
