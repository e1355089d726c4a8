"""statemachines/bake.asl.json: what is tried again, where each answer of a step leads, and the cycle within it."""

from __future__ import annotations

import json

import pytest

from rollcall.bake.invocation import STEPS, read_invocation
from rollcall.domain.errors import AwsDenied
from unit.project.machines import DENIED, RETRIED, Machine
from unit.project.template import REPOSITORY

DAY = 86_400  # seconds
NAME = "web-2b1d6f0a-20261130T221500"
BAKE = Machine(
    "bake",
    {
        "$$.Execution.Id": f"arn:aws:states:us-east-1:123456789012:execution:bakes:{NAME}",
        "$$.Execution.Name": NAME,
        "$$.Execution.StartTime": "2026-11-30T22:15:00.000Z",
    },
)
CYCLE_TIMEOUT = json.loads((REPOSITORY / "statemachines" / "cycle.asl.json").read_text())["TimeoutSeconds"]
ONWARD = {  # by task: what each word but its own step and put_back leads to
    "Preflight": {"launch": "Launch"},
    "Launch": {"register": "Register"},
    "Register": {"provision": "Provision"},
    "Provision": {"image": "Image"},
    "Image": {"terminate": "Terminate"},
    "Terminate": {"smoke": "Smoke"},
    "Smoke": {"version": "Version"},
    "Version": {"roll_out": "RollOut", "record": "Record"},
    "Record": {"retain": "Retain", "roll_out": "WaitToRollOut RollOut"},
    "Retain": {},
    "PutBack": {"succeeded": "Succeeded", "failed": "Failed"},
}
WAITING = ("Launch", "Provision", "Image", "Terminate", "Smoke", "PutBack")  # tasks with something to wait for
ANSWERED = {
    "bake": {"group": "web"},
    "next": "launch",
    "wait": 15,
    "error": {},
    "cause": "",
    "cycle_name": "web-2b1d6f0a-bake-0123456789ab",
    "cycle_input": {"group": "web", "launch_template_version": "7"},
}
ROLL_OUT = BAKE.states["RollOut"]


def test_it_is_valid() -> None:
    function = "arn:aws:lambda:us-east-1:123456789012:function:bake"
    cycle = "arn:aws:states:us-east-1:123456789012:stateMachine:cycle"
    assert BAKE.objections(Partition="aws", BakeFunction=function, CycleStateMachine=cycle) == []


def test_the_error_of_a_permission_that_is_missing_is_named_as_the_function_raises_it() -> None:
    assert DENIED["ErrorEquals"] == [AwsDenied.__name__]  # Lambda's errorType is the name of the class


def test_every_state_is_reached_and_says_what_it_is_for() -> None:
    assert BAKE.reached() == BAKE.states.keys()
    assert all([BAKE.definition["Comment"], *(each["Comment"] for each in BAKE.states.values())])


def test_each_step_of_the_function_is_a_task_and_they_come_in_their_order() -> None:
    assert tuple(BAKE.step_of.values()) == STEPS


@pytest.mark.parametrize("name", BAKE.tasks)
def test_a_task_is_tried_again_whatever_fails_and_then_what_was_launched_is_terminated(name: str) -> None:
    """A permission that is missing ends it within a minute or so, but for what puts back: that goes on trying."""
    task = BAKE.tasks[name]
    assert task["Retry"] == ([RETRIED] if name == "PutBack" else [DENIED, RETRIED])
    [catch] = task["Catch"]
    assert catch["ErrorEquals"] == ["States.ALL"]
    assert catch["Next"] == ("NotPutBack" if name == "PutBack" else "PutBack")
    # A bake is not a failure because old images could not be removed.
    assert catch["ResultPath"] == ("$.not_removed" if name == "Retain" else "$.error")


@pytest.mark.parametrize("name", BAKE.tasks)
def test_after_a_task_its_word_decides_its_own_step_waits_and_a_word_that_is_not_known_puts_back(name: str) -> None:
    expected = {(name, word): state for word, state in ONWARD[name].items()}
    if name != "PutBack":
        expected[name, "put_back"] = "PutBack"
    if name in WAITING:  # of the others errors are tried again, and nothing else is waited for
        expected[name, BAKE.step_of[name]] = f"WaitTo{name} {name}"
    assert BAKE.ways_from(name) == expected
    assert BAKE.choice_after(name)["Default"] == ("Failed" if name == "PutBack" else "PutBack")


@pytest.mark.parametrize("name", BAKE.tasks)
def test_what_a_task_hands_on_is_there_after_every_task_and_after_every_error(name: str) -> None:
    """Step Functions ends an execution for a path that leads nowhere, and no Catch runs."""
    begun = BAKE.resolved(BAKE.states["Begin"]["Parameters"], {"group": "web", "keep": 3})
    error = {"Error": "E", "Cause": "c"}
    assert isinstance(begun, dict)
    before = {"Preflight": [begun], "PutBack": [begun, begun | {"error": error}, ANSWERED, ANSWERED | {"error": error}]}
    before["Record"] = [ANSWERED, ANSWERED | {"error": error}]  # with the error of the roll-out, too
    for data in before.get(name, [ANSWERED]):
        event = BAKE.resolved(BAKE.tasks[name]["Parameters"]["Payload"], data)
        assert read_invocation(event).step == BAKE.step_of[name]


def test_the_pre_flight_gets_the_request_and_what_puts_back_the_group_even_if_it_failed() -> None:
    request = {"group": "web", "keep": 3}
    begun = BAKE.resolved(BAKE.states["Begin"]["Parameters"], request)
    assert begun == {"bake": {"group": "web", "request": request}, "error": {}}
    assert BAKE.tasks["Preflight"]["Parameters"]["Payload"]["request.$"] == "$.bake.request"


def test_each_answer_of_the_function_becomes_the_whole_state() -> None:
    for task in BAKE.tasks.values():
        assert (task["OutputPath"], "ResultPath" in task) == ("$.Payload", False)
    for wait in (each for each in BAKE.states.values() if each["Type"] == "Wait"):
        assert wait["SecondsPath"] == "$.wait"


# The roll-out


def test_the_image_is_rolled_out_by_a_cycle_that_is_waited_for_and_found_again_by_its_name() -> None:
    assert list(BAKE.nested) == ["RollOut"]
    assert ROLL_OUT["Resource"] == "arn:${Partition}:states:::states:startExecution.sync:2"
    assert BAKE.resolved(ROLL_OUT["Parameters"], ANSWERED) == {
        "StateMachineArn": "${CycleStateMachine}",
        "Name": ANSWERED["cycle_name"],
        "Input": ANSWERED["cycle_input"],
    }


def test_however_the_cycle_ended_it_is_recorded_with_the_bake_as_it_was() -> None:
    assert (ROLL_OUT["ResultPath"], ROLL_OUT["Next"]) == (None, "Record")
    [catch] = ROLL_OUT["Catch"]
    assert catch == {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Record"}


def test_a_cycle_that_failed_is_not_started_again() -> None:
    """Its name is taken then. What Step Functions itself refuses, or could not be asked, is tried again."""
    [retry] = ROLL_OUT["Retry"]
    assert retry["ErrorEquals"]
    assert all(each.startswith("StepFunctions.") for each in retry["ErrorEquals"])


def test_it_outlasts_a_cycle_by_a_day_for_the_rest() -> None:
    assert BAKE.definition["TimeoutSeconds"] == CYCLE_TIMEOUT + DAY


def test_what_an_execution_failed_with_is_the_result_of_the_bake() -> None:
    failed = BAKE.states["Failed"]
    assert (failed["Type"], failed["ErrorPath"], failed["CausePath"]) == ("Fail", "$.bake.result", "$.cause")
    assert BAKE.states["Succeeded"]["Type"] == "Succeed"
    assert BAKE.states["NotPutBack"]["ErrorPath"] == "$.error.Error"


def test_no_state_stops_an_execution() -> None:
    assert "StopExecution" not in BAKE.text
