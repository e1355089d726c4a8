"""The state machine of cycles: what is tried again, where each answer of a step leads, and that there is no more."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING

import pytest
from cfnlint import lint

from rollcall.cycle.invocation import STEPS, read_invocation
from unit.project.template import REPOSITORY, Json

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = (REPOSITORY / "statemachines" / "cycle.asl.json").read_text()
MACHINE: Json = json.loads(TEXT)
STATES: dict[str, Json] = MACHINE["States"]
TASKS = {name: each for name, each in STATES.items() if each["Type"] == "Task"}
STEP_OF = {name: each["Parameters"]["Payload"]["step"] for name, each in TASKS.items()}
DAY = 86_400  # seconds; an instance refresh lasts 14 days at most (Auto Scaling user guide, "Instance refresh")
NAME = "web-2b1d6f0a-v7"
CONTEXT = {
    "$$.Execution.Id": f"arn:aws:states:us-east-1:123456789012:execution:cycles:{NAME}",
    "$$.Execution.Name": NAME,
    "$$.Execution.StartTime": "2026-11-30T22:15:00.000Z",
}
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


def choice_after(task: str) -> Json:
    return STATES[TASKS[task]["Next"]]


def way_from(task: str, word: str) -> str:
    """The states that come after a task that answered with this word, up to the next task or the end."""
    choice = choice_after(task)
    [at] = [each["Next"] for each in choice["Choices"] if each["StringEquals"] == word]
    waits = []
    while STATES[at]["Type"] == "Wait":
        waits.append(at)
        at = STATES[at]["Next"]
    return " ".join([*waits, at])


def followers(state: Json) -> Iterator[str]:
    """The states that may come after a state."""
    for each in (state, *state.get("Choices", ()), *state.get("Catch", ())):
        if "Next" in each:
            yield each["Next"]
    if "Default" in state:
        yield state["Default"]


def paths_in(value: object) -> Iterator[str]:
    """The JSONPaths in parameters."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name.endswith(".$"):
                yield str(each)
            yield from paths_in(each)


def resolved(value: object, data: Json) -> object:
    """Parameters as Step Functions resolves them, of the paths that this machine uses."""
    if not isinstance(value, dict):
        return value
    return {
        name.removesuffix(".$"): _at(str(each), data) if name.endswith(".$") else resolved(each, data)
        for name, each in value.items()
    }


def _at(path: str, data: Json) -> object:
    if path in CONTEXT:
        return CONTEXT[path]
    found: object = data
    for name in path.removeprefix("$").split(".")[1:]:
        assert isinstance(found, dict)
        found = found[name]
    return found


def test_it_is_valid() -> None:
    """By cfn-lint's schema of the Amazon States Language, which it only applies to what stands in a template."""
    function = "arn:aws:lambda:us-east-1:123456789012:function:cycle"
    definition = json.loads(TEXT.replace("${Partition}", "aws").replace("${CycleFunction}", function))
    resource = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {"RoleArn": "arn:aws:iam::123456789012:role/cycle", "Definition": definition},
    }
    template = json.dumps({"Resources": {"Machine": resource}})
    assert [str(each) for each in lint(template, rules=None, regions=["us-east-1"])] == []


def test_every_state_is_reached_and_every_way_leads_to_one() -> None:
    reached, ahead = set[str](), [MACHINE["StartAt"]]
    while ahead:
        at = ahead.pop()
        if at not in reached:
            reached.add(at)
            ahead += followers(STATES[at])
    assert reached == STATES.keys()


def test_every_state_says_what_it_is_for() -> None:
    assert MACHINE["Comment"]
    comments = [each["Comment"] for each in STATES.values()]
    assert all(comments)


def test_each_step_of_the_function_is_a_task() -> None:
    assert sorted(STEP_OF.values()) == sorted(STEPS)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_tried_again_whatever_fails_and_then_everything_is_put_back(name: str) -> None:
    task = TASKS[name]
    assert task["Resource"].endswith(":states:::lambda:invoke")
    [retry] = task["Retry"]
    assert retry == {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": 5,
        "BackoffRate": 2,
        "MaxDelaySeconds": 300,
        "MaxAttempts": 12,
        "JitterStrategy": "FULL",
    }
    [catch] = task["Catch"]
    assert (catch["ErrorEquals"], catch["ResultPath"]) == (["States.ALL"], "$.error")
    assert catch["Next"] == ("NotPutBack" if name == "PutBack" else "PutBack")


@pytest.mark.parametrize("name", TASKS)
def test_after_a_task_its_word_decides_and_a_word_that_is_not_known_puts_back(name: str) -> None:
    choice = choice_after(name)
    assert {each["Variable"] for each in choice["Choices"]} == {"$.next"}
    words = [each["StringEquals"] for each in choice["Choices"]]
    assert {(name, word): way_from(name, word) for word in words} == {
        way: states for way, states in WAYS.items() if way[0] == name
    }
    assert choice["Default"] == ("Failed" if name == "PutBack" else "PutBack")


def test_every_word_that_the_function_answers_with_has_its_branch() -> None:
    answers = [
        node.args[1]
        for node in ast.walk(ast.parse((REPOSITORY / "layers/common/rollcall/cycle/run.py").read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "StepAnswer"
    ]
    words = {each.value for node in answers for each in ast.walk(node) if isinstance(each, ast.Constant)}
    assert words <= {word for _, word in WAYS}
    assert {"wait", "verify", "put_back", "succeeded", "failed"} <= words


@pytest.mark.parametrize("name", TASKS)
def test_what_a_task_hands_on_is_there_after_every_task_and_after_every_error(name: str) -> None:
    """Step Functions ends an execution for a path that leads nowhere, and no Catch runs."""
    begun = resolved(STATES["Begin"]["Parameters"], {"group": "web", "batch": 2})
    answered = {"cycle": {"group": "web"}, "next": "wait", "wait": 15, "error": {}, "cause": ""}
    assert isinstance(begun, dict)
    for data in (begun, begun | {"error": {"Error": "E", "Cause": "c"}}, answered):
        if name == "Preflight" and data is answered:
            continue
        if name not in ("Preflight", "PutBack") and data is not answered:
            continue
        event = resolved(TASKS[name]["Parameters"]["Payload"], data)
        assert read_invocation(event).step == STEP_OF[name]


def test_the_pre_flight_gets_the_request_and_whoever_puts_back_the_group_even_if_it_failed() -> None:
    request = {"group": "web", "batch": 2}
    begun = resolved(STATES["Begin"]["Parameters"], request)
    assert begun == {"cycle": {"group": "web", "request": request}, "error": {}}
    assert TASKS["Preflight"]["Parameters"]["Payload"]["request.$"] == "$.cycle.request"
    assert TASKS["PutBack"]["Parameters"]["Payload"]["error.$"] == "$.error"


def test_each_answer_of_the_function_becomes_the_whole_state() -> None:
    for task in TASKS.values():
        assert (task["OutputPath"], "ResultPath" in task) == ("$.Payload", False)
    for wait in (each for each in STATES.values() if each["Type"] == "Wait"):
        assert wait["SecondsPath"] == "$.wait"


def test_what_an_execution_failed_with_is_the_result_of_the_cycle() -> None:
    failed = STATES["Failed"]
    assert (failed["Type"], failed["ErrorPath"], failed["CausePath"]) == ("Fail", "$.cycle.result", "$.cause")
    assert STATES["Succeeded"]["Type"] == "Succeed"
    assert STATES["NotPutBack"]["ErrorPath"] == "$.error.Error"


def test_it_outlasts_an_instance_refresh_of_fourteen_days() -> None:
    assert MACHINE["TimeoutSeconds"] == 14 * DAY + 3600


def test_no_state_stops_an_execution() -> None:
    assert "StopExecution" not in TEXT
