"""What people were told of, in the table that the alert function shares with the doctor: one item an incident."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import boto3

from rollcall.aws.client import CLIENT_CONFIG, aws_errors
from rollcall.domain.errors import Throttled

from .incident import Incident, Severity

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "incident/"
KEY_MAX = 255  # characters of a key; PagerDuty takes no longer dedup_key
HASHED = 16  # hexadecimal digits that stand for what is cut off
TRIES = 10  # of a change that others forestalled; at most three invocations work side by side
REMEMBERED = 86_400  # seconds for which an end is known to what comes late


def incident_key(stack: str, cause: str) -> str:
    """The name of an incident in the whole world: that of a stack (account/Region/name) and a cause."""
    whole = f"rollcall/{stack}/{cause}"
    if len(whole) <= KEY_MAX:
        return whole
    return f"{whole[: KEY_MAX - HASHED - 1]}/{sha256(whole.encode()).hexdigest()[:HASHED]}"


class Incidents:
    """DynamoDB, as much of it as we use. Methods raise Throttled or AwsDenied.

    stack: account/Region/name of this stack.
    """

    def __init__(self, table: str, stack: str) -> None:
        self._table = table
        self._stack = stack

    @cached_property
    def _dynamodb(self) -> Any:
        return boto3.client("dynamodb", config=CLIENT_CONFIG)

    def update(self, cause: str, change: Callable[[Incident], Incident]) -> Incident:
        """Change the incident of a cause, a new one if there is none, and return it as it is then.

        Nobody else changes it meanwhile: change is asked again if somebody did.
        """
        key = PREFIX + incident_key(self._stack, cause)
        for _ in range(TRIES):
            with aws_errors("GetItem"):
                item = self._dynamodb.get_item(TableName=self._table, Key={"key": {"S": key}}, ConsistentRead=True).get(
                    "Item"
                )
            known = _read(item["incident"]["S"]) if item else Incident(cause)
            changed = change(known)
            if changed == known or self._put(key, changed, item["version"]["N"] if item else None):
                return changed
        raise Throttled(f"incident {key} was changed by others at each of {TRIES} tries")

    def _put(self, key: str, incident: Incident, version: str | None) -> bool:
        """Whether it was put: it was not if its version is another one by now."""
        item = {
            "key": {"S": key},
            "incident": {"S": as_kept(incident)},
            "version": {"N": str(int(version or 0) + 1)},
        }
        if not incident.count:
            item["expires"] = {"N": str(int(max(incident.ended_at, *incident.left.values(), 0)) + REMEMBERED)}
        with aws_errors("PutItem"):
            try:
                if version is None:
                    self._dynamodb.put_item(
                        TableName=self._table,
                        Item=item,
                        ConditionExpression="attribute_not_exists(#key)",
                        ExpressionAttributeNames={"#key": "key"},
                    )
                else:
                    self._dynamodb.put_item(
                        TableName=self._table,
                        Item=item,
                        ConditionExpression="version = :known",
                        ExpressionAttributeValues={":known": {"N": version}},
                    )
            except self._dynamodb.exceptions.ConditionalCheckFailedException:
                return False
        return True

    def open(self) -> list[Incident]:
        """Every incident that has not ended. There are few: one for each cause of trouble that there is just now."""
        found: list[Incident] = []
        with aws_errors("Scan"):
            for page in self._dynamodb.get_paginator("scan").paginate(
                TableName=self._table,
                ConsistentRead=True,
                FilterExpression="begins_with(#key, :prefix) AND attribute_not_exists(expires)",
                ExpressionAttributeNames={"#key": "key"},
                ExpressionAttributeValues={":prefix": {"S": f"{PREFIX}rollcall/{self._stack}/"}},
            ):
                found += [_read(item["incident"]["S"]) for item in page["Items"]]
        return found


def as_kept(incident: Incident) -> str:
    """An incident as the table holds it, in as few bytes as may be: DynamoDB takes 400 kB."""
    return json.dumps(asdict(incident), ensure_ascii=False, separators=(",", ":"))


def _read(text: str) -> Incident:
    """An incident that another version of ours may have kept: what this one does not know is left out."""
    known = {each.name for each in fields(Incident)}
    kept = {name: value for name, value in json.loads(text).items() if name in known}
    for name in kept.keys() & {"subjects", "groups", "seen"}:
        kept[name] = tuple(kept[name])
    if "severity" in kept:
        kept["severity"] = Severity(kept["severity"])
    if "awaited" in kept:
        kept["awaited"] = {subject: (at, until) for subject, (at, until) in kept["awaited"].items()}
    return Incident(**kept)
