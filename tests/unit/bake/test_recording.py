"""The step after the roll-out: how it ended goes into the image's tags, and decides how the bake ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rollcall.aws.execution_history import ExecutionHistory
from rollcall.bake.recording import Recording, RollOut, read_roll_out
from rollcall.bake.state import BakeResult
from rollcall.bake.versioning import roll_out
from rollcall.domain.errors import AwsDenied, AwsRejected
from unit.bake.baked import NOW, FakeBakeAws, image, state, version

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:cycle"
CYCLE = "arn:aws:states:us-east-1:123456789012:execution:cycle:web-1-bake-0123456789ab"
JOB = "https://tower.example.com/#/jobs/playbook/8/output"


class FakeHistory(ExecutionHistory):
    """The last states of executions. known: by ARN; any other raises."""

    def __init__(self, **cycle: Any) -> None:
        self.known: dict[str, dict[str, Any]] = {CYCLE: {"cycle": cycle}} if cycle else {}
        self.asked: list[str] = []
        self.over = True
        self.denied = False

    def goes_on(self, execution: str) -> bool:
        if self.denied:
            raise AwsDenied("AWS refused GetExecutionHistory: AccessDeniedException")
        return execution in self.known and not self.over

    def last_output(self, execution: str) -> dict[str, Any] | None:
        self.asked.append(execution)
        if execution not in self.known:
            raise AwsRejected("AWS refused GetExecutionHistory: ExecutionDoesNotExist")
        return self.known[execution]


def cloud(default: str = "1") -> FakeBakeAws:
    made = version(2, "ami-9", is_default=default == "2", description="rollcall bake 0123456789ab ami-9")
    two = [version(1, is_default=default == "1"), made]
    return FakeBakeAws(image(9, roll_out=""), versions=two)


def failed(error: str, cause: object) -> dict[str, Any]:
    return {"Error": error, "Cause": cause if isinstance(cause, str) else json.dumps(cause)}


def described(**fields: Any) -> dict[str, Any]:
    return failed("States.TaskFailed", {"ExecutionArn": CYCLE, "Status": "FAILED", **fields})


def record(aws: FakeBakeAws, history: FakeHistory, answer: Any = None, error: Any = None, **changes: Any) -> Any:
    given = {"image_id": "ami-9", "snapshots": ("snap-9",), "version": "2", "cycle": CYCLE.rpartition(":")[2]}
    return Recording(aws, history, MACHINE).step(state(**(given | changes)), NOW, answer, error)


def tag(outcome: str) -> str:
    return f"tag ami-9 snap-9 {{'rollcall:roll-out': '{outcome}'}}"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"ExecutionArn": CYCLE, "Output": {"cycle": {"result": "succeeded"}}},
        {"ExecutionArn": CYCLE, "Output": json.dumps({"cycle": {"result": "nothing to replace"}})},
    ],
)
def test_a_roll_out_that_went_well_is_recorded_and_old_images_are_retired(answer: Any) -> None:
    aws, history = cloud(), FakeHistory()
    done = record(aws, history, answer, {})
    assert aws.changes == [tag("succeeded")]
    assert (done.next, done.state.result) == ("retain", BakeResult.SUCCEEDED)
    assert done.state.reason == "image ami-9 was rolled out as version 2"
    assert history.asked == []


@pytest.mark.parametrize(
    ("error", "outcome", "result"),
    [
        (described(Error="rolled back", Cause="the job failed"), "rolled back", BakeResult.ROLLED_BACK),
        (described(Error="failed", Cause="the job failed"), "failed", BakeResult.FAILED),
        (described(Error="refused", Cause="the job failed"), "not started", BakeResult.FAILED),
        (described(Error="cancelled", Cause="the job failed"), "cancelled", BakeResult.CANCELLED),
        (described(Status="ABORTED"), "cancelled", BakeResult.CANCELLED),
        (described(Status="TIMED_OUT"), "cancelled", BakeResult.CANCELLED),
    ],
)
def test_one_that_did_not_is_tagged_so_and_told_with_the_job(error: Any, outcome: str, result: BakeResult) -> None:
    aws = cloud()
    done = record(
        aws, FakeHistory(verdicts=[{"job_url": None}, {"job_url": JOB}], reason="", phase="ended"), None, error
    )
    assert aws.changes == [tag(outcome)]
    assert (done.next, done.state.result) == ("put_back", result)
    assert done.state.reason.startswith("the roll-out of image ami-9 as version 2 ended as ")
    assert CYCLE in done.state.reason
    assert done.state.reason.endswith(f"; job: {JOB}")


@pytest.mark.parametrize("way", ["by the error of the task", "by what an earlier try started"])
def test_one_that_an_operator_rolled_back_says_so_and_that_nothing_failed(way: str) -> None:
    aws = cloud()
    history = FakeHistory(result="rolled back", ended_by="operator", phase="ended", reason="by an operator's request")
    lost = failed("StepFunctions.ExecutionAlreadyExistsException", "Execution Already Exists")
    done = record(aws, history, None, described(Error="rolled back") if way.endswith("task") else lost)
    assert aws.changes == [tag("rolled back by hand")]
    assert (done.state.result, done.state.cycle_result) == (BakeResult.ROLLED_BACK_BY_HAND, "rolled back")


@pytest.mark.parametrize("by", ["verdicts", "aws", ""])
def test_one_that_was_rolled_back_for_a_failure_has_failed(by: str) -> None:
    aws = cloud()
    done = record(
        aws, FakeHistory(result="rolled back", ended_by=by, phase="ended"), None, described(Error="rolled back")
    )
    assert aws.changes == [tag("rolled back")]
    assert done.state.result == BakeResult.ROLLED_BACK


def test_a_cycle_that_an_earlier_try_started_and_that_has_ended_since_ends_as_it_did() -> None:
    error = failed("StepFunctions.ExecutionAlreadyExistsException", "Execution Already Exists")
    history = FakeHistory(result="succeeded", phase="ended", reason="4 instances were verified")
    assert record(cloud(), history, None, error).state.result == BakeResult.SUCCEEDED
    assert history.asked == [CYCLE]


def test_one_that_could_not_be_started_says_nothing_against_the_image() -> None:
    aws = cloud()
    done = record(aws, FakeHistory(), None, failed("StepFunctions.AccessDenied", "not authorized"))
    assert aws.changes == [tag("not started")]
    assert done.state.result == BakeResult.FAILED
    assert done.state.reason.endswith("could not be started or followed: StepFunctions.AccessDenied: not authorized")


def test_one_that_still_runs_and_is_followed_no_further_is_followed_again() -> None:
    aws, history = cloud(), FakeHistory(result=None, phase="replacing")
    history.over = False
    again = record(aws, history, None, failed("States.Timeout", ""))
    assert (again.next, again.wait, again.state.result, aws.changes) == ("roll_out", 300.0, None, [])
    assert roll_out(again) == {
        "cycle_name": CYCLE.rpartition(":")[2],
        "cycle_input": {"group": "web", "launch_template_version": "2"},
    }


def test_of_one_that_may_go_on_and_cannot_be_read_nothing_is_recorded_and_the_default_version_stays() -> None:
    aws, history = cloud("2"), FakeHistory(result=None, phase="replacing")
    history.denied = True
    request = {"group": "web", "pin": True}
    with pytest.raises(AwsDenied):
        record(aws, history, None, failed("States.Timeout", ""), request=request, default_before="1")
    assert aws.changes == []


def test_one_that_ended_without_a_result_and_was_not_followed_has_failed() -> None:
    aws, history = cloud(), FakeHistory(result=None, phase="replacing")
    done = record(aws, history, None, failed("States.Timeout", ""))
    assert (done.state.result, aws.changes) == (BakeResult.FAILED, [tag("failed")])


def test_an_image_that_was_not_rolled_out_says_so() -> None:
    aws = cloud()
    done = record(aws, FakeHistory(), None, None, cycle="")
    assert aws.changes == [tag("none")]
    assert (done.next, done.state.result) == ("retain", BakeResult.BAKED)


@pytest.mark.parametrize(
    ("default", "before", "pin", "moves_back"),
    [("2", "1", True, True), ("1", "1", True, False), ("2", "", False, False), ("2", "", True, False)],
)
def test_the_default_version_moves_back_if_the_bake_has_moved_it(
    default: str, before: str, pin: bool, moves_back: bool
) -> None:
    aws = cloud(default)
    request = {"group": "web", "pin": pin}
    done = record(
        aws,
        FakeHistory(),
        None,
        described(Error="rolled back"),
        request=request,
        default_before=before,
        from_version="9",
    )
    assert [each for each in aws.changes if each.startswith("default")] == ["default 1"] * moves_back
    assert bool(done.state.warnings) is moves_back


def test_the_default_version_stays_after_a_roll_out_that_went_well() -> None:
    aws = cloud("2")
    record(aws, FakeHistory(), None, None, request={"group": "web", "pin": True}, default_before="1")
    assert aws.made_versions["2"].is_default


def test_an_answer_without_a_cycle_is_no_success() -> None:
    assert read_roll_out({"Output": "no JSON"}, None) == RollOut("failed")
