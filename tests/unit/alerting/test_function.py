"""The alert function as Lambda calls it: on moto's SQS, DynamoDB and Secrets Manager, and a wire to the channels."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from io import StringIO
from logging import StreamHandler
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lab.alert_channels import ROUTING_KEY
from rollcall.aws import secrets as secret
from rollcall.domain.errors import BadEvent, RollcallError, Throttled
from unit.alert_world import IDS, alarm, failed
from unit.audience import read_metrics
from unit.wire import Answer, Asked, Wire

APP = Path(__file__).parents[3] / "functions" / "alert" / "app.py"
WEBHOOK_URL = "https://hooks.slack.com/services/T0001/B0001/hush"


class Context:
    """Lambda's, as much of it as is used."""

    function_name = "alert"
    memory_limit_in_mb = 192
    invoked_function_arn = "arn"
    aws_request_id = "request"

    def get_remaining_time_in_millis(self) -> int:
        return 100_000


class Function:
    """The function in its cloud. output: its log."""

    def __init__(self, app: ModuleType) -> None:
        self.app = app
        self.output = StringIO()
        handler = app.logger.registered_handler
        assert isinstance(handler, StreamHandler)
        handler.setStream(self.output)
        self.dead_letters = boto3.client("sqs").get_queue_url(QueueName="dead")["QueueUrl"]

    def invoke(self, event: object) -> dict[str, Any]:
        answer: dict[str, Any] = self.app.handler(event, Context())
        return answer

    def take(self, *bodies: object) -> list[str]:
        """The numbers of the messages of a batch that are to come again."""
        failures = self.invoke(self.batch(*bodies))["batchItemFailures"]
        return [each["itemIdentifier"] for each in failures]

    @staticmethod
    def batch(*bodies: object) -> dict[str, Any]:
        records = [
            {
                "messageId": f"m{number}",
                "receiptHandle": f"handle-{number}",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {"ApproximateReceiveCount": "1", "ApproximateFirstReceiveTimestamp": "0"},
                "awsRegion": "us-east-1",
            }
            for number, body in enumerate(bodies)
        ]
        return {"Records": records}

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.getvalue().splitlines()]

    def set_aside(self) -> list[Any]:
        received = boto3.client("sqs").receive_message(
            QueueUrl=self.dead_letters, MessageAttributeNames=["All"], MaxNumberOfMessages=10
        )
        return list(received.get("Messages", ()))


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Iterator[Function]:
    with mock_aws():
        boto3.client("dynamodb").create_table(
            TableName="known",
            AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        secrets = boto3.client("secretsmanager")
        secrets.create_secret(Name="pagerduty", SecretString=ROUTING_KEY)
        secrets.create_secret(Name="slack", SecretString=WEBHOOK_URL)
        environment = {
            "ACCOUNT_ID": "123456789012",
            "AWS_REGION": "us-east-1",
            "STACK_NAME": "rollcall",
            "TOLD_TABLE": "known",
            "ALERT_AFTER": "600",
            "LOG_GROUPS": "a b",
            "DEAD_LETTER_QUEUE_URL": boto3.client("sqs").create_queue(QueueName="dead")["QueueUrl"],
            "PAGERDUTY_SECRET": "pagerduty",
            "SLACK_SECRET": "slack",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        secret._secrets.cache_clear()
        spec = spec_from_file_location(f"alert_app_{next(IDS)}", APP)
        assert spec
        assert spec.loader
        app = module_from_spec(spec)
        spec.loader.exec_module(app)
        yield Function(app)
        secret._secrets.cache_clear()


def bad(**detail: Any) -> dict[str, Any]:
    return failed(time.time(), cause="BadSettings: group web", transient=False, **detail)


def counted(capsys: pytest.CaptureFixture[str]) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """Name and dimensions of what was counted."""
    return {(each.name, frozenset(each.dimensions.items())) for each in read_metrics(capsys.readouterr().out)}


def answer_both(wire: Wire, pagerduty: int = 202, slack: int = 200) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(pagerduty if asked.path == "/v2/enqueue" else slack, "their words")

    wire.by_request = answer


def test_problem_is_sent_to_both_channels_and_counted_for_each(
    function: Function, wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    answer_both(wire)
    assert function.take(bad(), bad()) == []
    assert sorted(wire.calls) == ["POST /services/T0001/B0001/hush", "POST /v2/enqueue"]
    logged = [line for line in function.lines() if "channel" in line]
    assert [(line["channel"], line["level"], line["count"]) for line in logged] == [
        ("pagerduty", "INFO", 2),
        ("slack", "INFO", 2),
    ]
    assert {line["message"].partition(":")[0] for line in logged} == {"incident opened"}
    names = counted(capsys)
    assert {("AlertsSent", frozenset({("channel", each)})) for each in ("pagerduty", "slack")} <= names
    assert "AlertsLost" not in {name for name, _ in names}


def test_what_a_channel_refuses_is_an_error_and_counted_as_lost(
    function: Function, wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    answer_both(wire, pagerduty=400)
    assert function.take(bad()) == []
    [line] = [line for line in function.lines() if line["level"] == "ERROR"]
    assert (line["channel"], line["error"]) == ("pagerduty", "ChannelRefused")
    assert line["message"].startswith("incident not opened: ")
    assert "their words" in line["message"]
    names = counted(capsys)
    assert ("AlertsLost", frozenset({("channel", "pagerduty")})) in names
    assert ("AlertsLost", frozenset({("service", "alert")})) in names
    assert ("AlertsSent", frozenset({("channel", "slack")})) in names


def test_what_a_channel_cannot_take_now_is_neither_sent_nor_lost_until_a_sweep_sends_it(
    function: Function, wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    answer_both(wire, slack=500)
    assert function.take(bad(again_within=1000)) == []
    [line] = [line for line in function.lines() if line["level"] == "WARNING"]
    assert (line["channel"], line["error"]) == ("slack", "ChannelUnavailable")
    answer_both(wire)
    assert function.invoke({"sweep": True}) == {"sent": 1}
    names = counted(capsys)
    assert "AlertsLost" not in {name for name, _ in names}
    assert wire.calls[-1].endswith("/hush")


def test_nothing_of_a_key_is_logged(function: Function, wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    wire.by_request = lambda asked: Answer(400, f"{asked.path} {(asked.body or {}).get('routing_key')}")
    function.take(bad())
    said = function.output.getvalue() + capsys.readouterr().out
    assert "ChannelRefused" in said
    assert ROUTING_KEY not in said
    assert "T0001" not in said


def test_what_cannot_be_read_is_dead_lettered_at_once_and_the_rest_is_sent(function: Function, wire: Wire) -> None:
    answer_both(wire)
    assert function.take("no json", alarm("INSUFFICIENT_DATA"), bad()) == []
    [message] = function.set_aside()
    assert message["Body"] == "no json"
    assert message["MessageAttributes"]["Error"]["StringValue"] == "BadEvent"
    assert "not JSON" in message["MessageAttributes"]["Message"]["StringValue"]
    assert len(wire.asked) == 2


def test_what_cannot_even_be_dead_lettered_comes_again(function: Function, wire: Wire) -> None:
    answer_both(wire)
    boto3.client("sqs").delete_queue(QueueUrl=function.dead_letters)
    assert function.take(bad(), "no json") == ["m1"]


def test_what_cannot_be_kept_comes_again(function: Function, wire: Wire) -> None:
    boto3.client("dynamodb").delete_table(TableName="known")
    assert function.take(bad(), bad()) == ["m0", "m1"]
    assert wire.asked == []
    with pytest.raises(RollcallError, match="Scan"):
        function.invoke({"sweep": True})


def test_a_sweep_that_could_not_send_all_ends_in_the_error_of_the_first(
    function: Function, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_both(wire, slack=500)
    function.take(bad(again_within=1000))
    incidents = function.app._incidents()

    def update(*_: object) -> None:
        raise Throttled("DynamoDB is busy")

    monkeypatch.setattr(incidents, "update", update)
    with pytest.raises(Throttled, match="DynamoDB is busy"):
        function.invoke({"sweep": True})


def test_an_event_of_no_ones_is_an_error(function: Function) -> None:
    for event in ({}, {"sweep": False}, {"detail-type": "Work Failed"}, None, 7, [], "Records", [{"body": "{}"}]):
        with pytest.raises(BadEvent, match='"sweep": true'):
            function.invoke(event)


@pytest.mark.parametrize("records", [None, {}, [None], [{"EventSource": "aws:sns", "Sns": {"Message": "{}"}}]])
def test_records_of_no_queue_are_an_error_with_a_remedy(function: Function, records: object) -> None:
    with pytest.raises(BadEvent, match="let it come through the function's queue"):
        function.invoke({"Records": records})


def test_a_record_that_cannot_be_read_is_dead_lettered_and_the_rest_is_worked_on(
    function: Function, wire: Wire
) -> None:
    answer_both(wire)
    event = function.batch(bad(), bad())
    del event["Records"][0]["attributes"]
    assert function.invoke(event) == {"batchItemFailures": []}
    [message] = function.set_aside()
    assert "'attributes'" in message["MessageAttributes"]["Message"]["StringValue"]
    assert len(wire.asked) == 2


def test_an_alert_goes_out_whatever_characters_its_texts_have(function: Function, wire: Wire) -> None:
    answer_both(wire)
    assert function.take(bad(reason="look \0 \ud800 \x1b", group="w\ud800")) == []
    assert len(wire.asked) == 2
    assert "look ? ? ?" in json.dumps([each.body for each in wire.asked])


def test_without_a_secret_there_is_no_such_channel(
    function: Function, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGERDUTY_SECRET", "")
    answer_both(wire)
    function.take(bad())
    assert wire.calls == ["POST /services/T0001/B0001/hush"]


def test_a_secret_that_cannot_be_read_silences_only_its_own_channel(function: Function, wire: Wire) -> None:
    boto3.client("secretsmanager").delete_secret(SecretId="pagerduty", ForceDeleteWithoutRecovery=True)
    answer_both(wire)
    assert function.take(bad()) == []
    assert wire.calls == ["POST /services/T0001/B0001/hush"]
    [line] = [line for line in function.lines() if line["level"] == "ERROR"]
    assert (line["channel"], line["error"]) == ("pagerduty", "AwsRejected")
    assert "secret pagerduty" in line["message"]
