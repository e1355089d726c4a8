"""What an operator reads of an invocation: the log's lines, what became of it, and what an event is refused for."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.stub import Stubber

from rollcall_cli.commands import invoke
from rollcall_cli.commands.invoke import answer_of, event_of, logical_id_of
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.invocation.events import changed, is_about_the_samples_instance, received_now, strangers
from rollcall_cli.invocation.log_lines import readable
from rollcall_cli.invocation.outcome import outcome
from rollcall_cli.running import NotRun
from unit.cli.commands import run
from unit.fakes import REGION

LINE = {
    "level": "INFO",
    "location": "_report:98",
    "message": "registered, job 1",
    "timestamp": "2026-11-21 10:00:03,352+0000",
    "service": "register",
    "version": "0.1.0",
    "cold_start": True,
    "function_name": "RegisterFunction",
    "function_request_id": "1e4e3548",
    "hook": "rollcall launch",
    "instance_id": "i-1",
    "group": "web",
    "job": None,
}
METRICS = {
    "_aws": {"CloudWatchMetrics": [{"Metrics": [{"Name": "Registered"}, {"Name": "Latency"}]}]},
    "Registered": [1.0],
    "Latency": [3.0, 5.5],
}
ERROR = {"level": "ERROR", "message": "no", "timestamp": "2026-11-21T10:00:03.352Z"}


def test_a_line_is_time_level_message_and_what_it_is_about() -> None:
    assert readable(json.dumps(LINE)) == [
        '10:00:03.352  INFO     registered, job 1  group=web  instance_id=i-1  hook="rollcall launch"'
    ]


def test_what_was_counted_is_one_line_and_what_the_runtime_writes_none() -> None:
    log = f"START RequestId: 1\n{json.dumps(METRICS)}\n\nEND RequestId: 1\nREPORT RequestId: 1 Duration: 2 ms\n"
    assert readable(log) == ["counted: Registered 1, Latency 2 times, at most 5.5"]


def test_a_traceback_is_below_its_line_and_what_is_no_object_stays_as_it_is() -> None:
    log = f"{json.dumps(ERROR | {'exception': 'Traceback\n  KeyError'})}\nTask timed out\n[1]\n{{not JSON"
    assert readable(log) == [
        "10:00:03.352  ERROR    no",
        "    Traceback",
        "      KeyError",
        "Task timed out",
        "[1]",
        "{not JSON",
    ]


@pytest.mark.parametrize(
    ("answer", "log", "failed", "code", "words"),
    [
        ({"batchItemFailures": []}, "", False, ExitCode.OK, "Every message is done with."),
        ({"batchItemFailures": [{}]}, "", False, ExitCode.ACT, "1 message failed"),
        ({"batchItemFailures": [{}, {}]}, "", False, ExitCode.ACT, "2 messages failed"),
        ({"batchItemFailures": []}, json.dumps(ERROR), False, ExitCode.ACT, "logged an error: no"),
        ({"failed": True}, "", False, ExitCode.ACT, "something in it failed"),
        ({"failed": False}, "", False, ExitCode.OK, "The run ended well."),
        ({"sent": 0}, "", False, ExitCode.OK, "The run ended well."),
        ({"errorType": "BadEvent", "errorMessage": "no id"}, "", True, ExitCode.ACT, "in an error: BadEvent: no id"),
        ("text", "", True, ExitCode.ACT, "in an error: error: text"),
        (None, "", False, ExitCode.OK, "The run ended well."),
    ],
)
def test_what_became_of_an_invocation(answer: Any, log: str, failed: bool, code: ExitCode, words: str) -> None:
    result = outcome(answer, log, failed=failed)
    assert result.code == code
    assert words in result.words


RETIRED = {"group": "web", "execution": "", "phase": "ended", "removed": ["deleted version 2: it is old"]}
RETIRED |= {"retained": ["ami-1 stays: it is in use"], "warnings": []}


def test_what_went_and_what_stays_of_old_images_is_a_line_each() -> None:
    result = outcome({"bake": RETIRED, "next": "succeeded"}, "", failed=False)
    assert result.code == ExitCode.OK
    assert result.lines == ("deleted version 2: it is old", "ami-1 stays: it is in use")
    nothing = RETIRED | {"removed": [], "retained": []}
    none = outcome({"bake": nothing, "next": "succeeded"}, "", failed=False)
    assert none.lines == ("no image and no version of the group goes",)


def test_a_run_that_removes_nothing_for_its_limit_has_not_ended_well() -> None:
    too_many = {"bake": RETIRED | {"removed": [], "warnings": ["9 of 12 images would go"]}, "next": "succeeded"}
    result = outcome(too_many, "", failed=False)
    assert (result.code, result.lines[-1]) == (ExitCode.ACT, "warning: 9 of 12 images would go")
    assert "something in it failed" in result.words


def test_the_answer_of_a_bakes_step_is_no_report_of_old_images() -> None:
    step = {"bake": RETIRED | {"execution": "arn:1", "warnings": ["smoke=off"]}, "next": "put_back"}
    assert outcome(step, "", failed=False) == outcome({}, "", failed=False)


def test_values_are_changed_wherever_they_stand() -> None:
    inner = json.dumps({"id": "a", "list": ["a", 1]})
    event = {"Records": [{"body": json.dumps({"Message": inner, "note": "{a"})}]}
    result = changed(event, lambda key, value: f"{key}:{value}")
    body = json.loads(result["Records"][0]["body"])
    assert json.loads(body["Message"]) == {"id": "id:a", "list": ["list:a", "list:1"]}
    assert body["note"] == "note:{a"


def test_another_account_or_region_is_named() -> None:
    body = json.dumps({"account": "123456789012", "region": "eu-west-1", "detail": {"AccountId": "111111111111"}})
    event = {"Records": [{"awsRegion": "us-east-1", "body": body}, {"Region": "US East (N. Virginia)"}]}
    assert strangers(event, "123456789012", "us-east-1") == ["111111111111", "eu-west-1"]
    assert strangers({"dry_run": True, "groups": ["web"]}, "123456789012", "us-east-1") == []
    assert is_about_the_samples_instance({"a": json.dumps({"b": ["i-1234567890abcdef0"]})})
    assert not is_about_the_samples_instance({"a": "i-0"})


def test_messages_are_received_now_and_nothing_else_of_them_changes() -> None:
    attributes = {"SentTimestamp": "1", "ApproximateFirstReceiveTimestamp": "2"}
    event = {"Records": [{"body": "{ }", "attributes": attributes}, {"body": "no attributes"}, 1]}
    first, *others = received_now(event, 5.5)["Records"]
    assert first == {"body": "{ }", "attributes": attributes | {"ApproximateFirstReceiveTimestamp": "5500"}}
    assert others == event["Records"][1:]
    for other in ({"dry_run": True}, [1], {"Records": None}):
        assert received_now(other, 5.5) == other


@pytest.mark.parametrize(
    ("path", "payload", "words"),
    [
        (None, None, "one of the two"),
        ("a.json", "{}", "one of the two"),
        ("not-there.json", None, "cannot be read"),
        (None, "{", "is no JSON"),
    ],
)
def test_without_an_event_nothing_is_run(path: str | None, payload: str | None, words: str) -> None:
    with pytest.raises(NotRun, match=words):
        event_of(path, payload)


def test_an_event_comes_from_the_command_line_or_a_file(tmp_path: Any) -> None:
    (tmp_path / "event.json").write_text('{"groups": ["web"]}')
    assert event_of(str(tmp_path / "event.json"), None) == event_of(None, '{"groups": ["web"]}') == {"groups": ["web"]}


@pytest.mark.parametrize(("size", "first"), [(100, "a" * 100), (4096, "… (the last 4 KB")])
def test_the_line_that_the_end_of_a_log_cuts_is_left_out(
    monkeypatch: pytest.MonkeyPatch, size: int, first: str
) -> None:
    client = boto3.client("lambda", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    log = base64.b64encode(b"a" * (size - 6) + b"a" * (size < 4096) * 6 + b"\nwhole" * (size == 4096)).decode()
    monkeypatch.setattr(boto3, "client", lambda *_, **__: client)
    with Stubber(client) as stubber:
        stubber.add_response("invoke", {"Payload": io.BytesIO(b"null"), "LogResult": log})
        answer = answer_of("f", {})
    assert answer.log.startswith(first)
    assert (answer.value, answer.failed) == (None, False)
    assert ("aaa" in answer.log) == (size < 4096)


def test_a_function_is_called_as_it_is_or_as_in_the_template() -> None:
    assert logical_id_of("gate") == logical_id_of("GateFunction") == "GateFunction"
    with pytest.raises(NotRun, match="There is no function 'web': use one of register, gate,"):
        logical_id_of("web")


def test_a_wrong_command_line_is_not_run() -> None:
    assert run("invoke", "web", "--payload", "{}").exit_code == ExitCode.NOT_RUN
    assert run("invoke", "gate").exit_code == ExitCode.NOT_RUN


def test_a_run_that_gave_no_answer_may_have_changed_things(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        def invoke(self, **_: object) -> None:
            raise ReadTimeoutError(endpoint_url="https://lambda")

    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(invoke, "physical_id", lambda *_: "rollcall-gate")
    monkeypatch.setattr("boto3.client", lambda *_, **__: Silent())
    done = run("invoke", "gate", "--payload", "{}", "--foreign")
    assert (done.exit_code, "No answer within" in done.stderr) == (ExitCode.ACT, True)


def test_a_report_of_old_images_is_read_line_by_line_and_not_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setattr(invoke, "physical_id", lambda *_: "BakeFunction")
    messages = ("ami-1 stays: it is in use", "no right to read fleets", "looked at 3 images")
    log = "\n".join(json.dumps(LINE | {"message": each}) for each in messages)
    retired = RETIRED | {"warnings": ["no right to read fleets"]}
    given = invoke.Answer({"bake": retired, "next": "succeeded"}, log, failed=False)
    monkeypatch.setattr(invoke, "answer_of", lambda *_: given)
    done = run("invoke", "bake", "--payload", "{}", "--foreign")
    logged, *lines, end = done.stdout.splitlines()
    assert "looked at 3 images" in logged
    assert lines == ["deleted version 2: it is old", "ami-1 stays: it is in use", "warning: no right to read fleets"]
    assert end.startswith("The run ended, and something in it failed")
    as_json = json.loads(run("invoke", "bake", "--payload", "{}", "--foreign", "--json").stdout)
    assert len(as_json["log"]) == len(messages), "a program has the whole log"
