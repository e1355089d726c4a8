"""Incidents as they are stored: on moto's DynamoDB, which knows conditions and filters."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from copy import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from rollcall.alerting.incident import AwaitingEnd, Incident, IncidentSeverity, Notified
from rollcall.alerting.store import KEY_MAX, REMEMBERED, TRIES, Incidents, incident_key
from rollcall.domain.errors import AwsRejected, IncidentChanged, Throttled

STACK = "123456789012/us-east-1/rollcall"
FULL = Incident(
    cause="BadSettings: group web",
    reason="fix the tag",
    severity=IncidentSeverity.CRITICAL,
    transient=False,
    finding=True,
    count=3,
    since=1.5,
    last_at=2.5,
    quiet_at=3.5,
    awaiting_end={"web/i-0a": AwaitingEnd(1.0, 2.0), "alarm: x": AwaitingEnd(1.0, math.inf)},
    endings={"web/i-0b": 1.25},
    subjects=("web/i-0a", "web/i-0b"),
    groups=("web",),
    function="gate",
    job_url="https://tower/7",
    event_ids=("e1", "e2"),
    notified={"slack": Notified(3, 2, 2.25)},
    refused={"pagerduty": 2.0},
    claimed_until=9.0,
    ended_at=0.5,
)

STORED = {
    "cause": "BadSettings: group web",
    "reason": "fix the tag",
    "severity": "critical",
    "transient": False,
    "finding": True,
    "count": 3,
    "since": 1.5,
    "last_at": 2.5,
    "quiet_at": 3.5,
    "awaited": {"web/i-0a": [1.0, 2.0], "alarm: x": [1.0, math.inf]},
    "left": {"web/i-0b": 1.25},
    "subjects": ["web/i-0a", "web/i-0b"],
    "groups": ["web"],
    "function": "gate",
    "job_url": "https://tower/7",
    "seen": ["e1", "e2"],
    "told": {"slack": 3},
    "told_subjects": {"slack": 2},
    "told_at": {"slack": 2.25},
    "refused": {"pagerduty": 2.0},
    "claimed_until": 9.0,
    "ended_at": 0.5,
}


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("dynamodb")
        client.create_table(
            TableName="known",
            AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


@pytest.fixture
def incidents(dynamodb: Any) -> Incidents:
    return Incidents("known", STACK)


def put(incidents: Incidents, incident: Incident) -> Incident:
    return incidents.update(incident.cause, lambda _: incident)


def items(dynamodb: Any) -> list[dict[str, Any]]:
    return list(dynamodb.scan(TableName="known")["Items"])


def test_what_is_kept_is_read_as_it_was(incidents: Incidents) -> None:
    assert put(incidents, FULL) == FULL
    known: list[Incident] = []
    assert incidents.update(FULL.cause, lambda each: known.append(each) or each) == FULL  # type: ignore[func-returns-value]
    assert known == incidents.open() == [FULL]


def test_an_item_has_the_names_that_the_versions_before_read_and_wrote(incidents: Incidents, dynamodb: Any) -> None:
    put(incidents, FULL)
    [item] = items(dynamodb)
    assert json.loads(item["incident"]["S"]) == STORED
    item["incident"]["S"] = json.dumps(STORED)
    dynamodb.put_item(TableName="known", Item=item)
    assert incidents.open() == [FULL]


def test_what_another_version_of_ours_kept_is_read_as_far_as_it_is_known(incidents: Incidents, dynamodb: Any) -> None:
    put(incidents, FULL)
    [item] = items(dynamodb)
    fields = json.loads(item["incident"]["S"]) | {"to_come": 1}
    for gone in ("told_at", "told_subjects", "groups", "severity", "awaited"):
        del fields[gone]
    item["incident"]["S"] = json.dumps(fields)
    dynamodb.put_item(TableName="known", Item=item)
    bare = Incident(FULL.cause)
    assert incidents.open() == [
        replace(
            FULL,
            notified={"slack": Notified(3)},
            groups=(),
            severity=bare.severity,
            awaiting_end={},
        )
    ]


def test_a_cause_that_no_one_knows_is_an_incident_without_anything(incidents: Incidents, dynamodb: Any) -> None:
    assert incidents.update("TowerDenied", lambda known: known) == Incident("TowerDenied")
    assert items(dynamodb) == []


def test_what_others_changed_meanwhile_is_not_overwritten(incidents: Incidents) -> None:
    others = Incidents("known", STACK)
    for before in (Incident(FULL.cause), FULL):
        count = before.count

        def change(known: Incident, count: int = count) -> Incident:
            if known.count == count:
                others.update(FULL.cause, lambda each: replace(each, count=each.count + 10))
            return replace(known, count=known.count + 1)

        assert incidents.update(FULL.cause, change).count == count + 11
        put(incidents, FULL)


def test_who_is_forestalled_again_and_again_says_so(incidents: Incidents) -> None:
    others = Incidents("known", STACK)

    def change(known: Incident) -> Incident:
        others.update(FULL.cause, lambda each: replace(each, count=each.count + 1))
        return replace(known, reason="mine")

    with pytest.raises(IncidentChanged, match=f"by other invocations at each of {TRIES} tries"):
        incidents.update(FULL.cause, change)


def test_what_ended_is_not_open_and_expires(incidents: Incidents, dynamodb: Any) -> None:
    put(incidents, FULL)
    put(incidents, Incident(FULL.cause, endings={"web/i-0a": 5000.5}, ended_at=1000.5))
    assert incidents.open() == []
    [item] = items(dynamodb)
    assert item["expires"] == {"N": str(5000 + REMEMBERED)}
    put(incidents, FULL)
    assert incidents.open() == [FULL]
    assert "expires" not in items(dynamodb)[0]


def test_open_are_only_this_stacks_incidents_however_many(incidents: Incidents, dynamodb: Any) -> None:
    dynamodb.put_item(TableName="known", Item={"key": {"S": "doctor"}, "found": {"S": "x" * 1000}})
    put(Incidents("known", f"{STACK}-too"), FULL)
    causes = {f"instance: web/i-{number}" for number in range(40)}
    for cause in causes:
        put(incidents, replace(FULL, cause=cause, reason="x" * 50_000))  # more than a page holds
    assert {each.cause for each in incidents.open()} == causes


def test_a_key_names_stack_and_cause_and_is_never_too_long() -> None:
    assert incident_key(STACK, "TowerDenied") == f"rollcall/{STACK}/TowerDenied"
    long = [incident_key(STACK, f"BadSettings: group {'w' * 255}{end}") for end in "ab"]
    assert len(set(long)) == 2
    assert {len(each) for each in long} == {KEY_MAX}
    assert all(each.startswith(f"rollcall/{STACK}/BadSettings: group www") for each in long)
    fits = "c" * (KEY_MAX - len(f"rollcall/{STACK}/"))
    assert incident_key(STACK, fits).endswith(fits)


@pytest.mark.parametrize("missing", ["update", "open"])
def test_what_dynamodb_refuses_is_an_error_of_ours(incidents: Incidents, missing: str) -> None:
    boto3.client("dynamodb").delete_table(TableName="known")
    with pytest.raises(AwsRejected, match="ResourceNotFoundException"):
        put(incidents, FULL) if missing == "update" else incidents.open()


def test_a_busy_dynamodb_passes_by(incidents: Incidents, monkeypatch: pytest.MonkeyPatch) -> None:
    answer: Any = {
        "Error": {"Code": "ProvisionedThroughputExceededException", "Message": "slow down"},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }

    def get_item(**_: Any) -> None:
        raise ClientError(answer, "GetItem")

    monkeypatch.setattr(incidents._dynamodb, "get_item", get_item)
    with pytest.raises(Throttled, match="GetItem"):
        put(incidents, FULL)
