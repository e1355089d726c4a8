"""Incidents in the table that the alert function shares with the doctor: one item for each.

An item holds the incident as JSON, with the names that the table has had from the start: an upgrade finds what the
version before it stored, and that version what this one did.
"""

from __future__ import annotations

import json
from copy import replace
from dataclasses import asdict, fields
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import boto3

from rollcall.aws.client import CLIENT_CONFIG, aws_errors
from rollcall.domain.errors import IncidentChanged

from .incident import AwaitingEnd, Incident, IncidentSeverity, Notified

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "incident/"
KEY_MAX = 255  # characters of a key; PagerDuty takes no longer dedup_key
HASHED = 16  # hexadecimal digits that stand for what is cut off
TRIES = 10  # of a change that another invocation made first; at most three work side by side
REMEMBERED = 86_400  # seconds for which an end is known to what comes late
STORED_NAMES = {"awaiting_end": "awaited", "endings": "left", "event_ids": "seen"}
STORED_OF_NOTIFIED = {"told": "size", "told_subjects": "subjects", "told_at": "at"}  # by channel each


def incident_key(stack: str, cause: str) -> str:
    """The name of an incident in the whole world: that of a stack (account/Region/name) and a cause."""
    whole = f"rollcall/{stack}/{cause}"
    if len(whole) <= KEY_MAX:
        return whole
    return f"{whole[: KEY_MAX - HASHED - 1]}/{sha256(whole.encode()).hexdigest()[:HASHED]}"


class Incidents:
    """DynamoDB, as much of it as we use. Methods raise AwsUnavailable, AwsDenied or AwsRejected.

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

        No other invocation changes it meanwhile: if one did, change is called again with what that made of it. Raises
        IncidentChanged where that happens at every try.
        """
        key = PREFIX + incident_key(self._stack, cause)
        for _ in range(TRIES):
            with aws_errors("GetItem"):
                item = self._dynamodb.get_item(TableName=self._table, Key={"key": {"S": key}}, ConsistentRead=True).get(
                    "Item"
                )
            known = _read_incident(item["incident"]["S"]) if item else Incident(cause)
            changed = change(known)
            if changed == known or self._put(key, changed, item["version"]["N"] if item else None):
                return changed
        raise IncidentChanged(f"incident {key} was changed by other invocations at each of {TRIES} tries")

    def _put(self, key: str, incident: Incident, version: str | None) -> bool:
        """Whether it was put: it was not if its version is another one by now."""
        item = {
            "key": {"S": key},
            "incident": {"S": write_incident(incident)},
            "version": {"N": str(int(version or 0) + 1)},
        }
        if not incident.count:
            item["expires"] = {"N": str(int(max(incident.ended_at, *incident.endings.values(), 0)) + REMEMBERED)}
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
        """Every incident that has not ended. There are few: one for each cause that there is just now."""
        found: list[Incident] = []
        with aws_errors("Scan"):
            for page in self._dynamodb.get_paginator("scan").paginate(
                TableName=self._table,
                ConsistentRead=True,
                FilterExpression="begins_with(#key, :prefix) AND attribute_not_exists(expires)",
                ExpressionAttributeNames={"#key": "key"},
                ExpressionAttributeValues={":prefix": {"S": f"{PREFIX}rollcall/{self._stack}/"}},
            ):
                found += [_read_incident(item["incident"]["S"]) for item in page["Items"]]
        return found


def write_incident(incident: Incident) -> str:
    """An incident as the table holds it, in as few bytes as may be: DynamoDB takes 400 kB."""
    stored = asdict(replace(incident, awaiting_end={}, notified={}))
    for name, stored_name in STORED_NAMES.items():
        stored[stored_name] = stored.pop(name)
    stored["awaited"] = dict(incident.awaiting_end)
    del stored["notified"]
    for stored_name, field in STORED_OF_NOTIFIED.items():
        stored[stored_name] = {channel: getattr(each, field) for channel, each in incident.notified.items()}
    return json.dumps(stored, ensure_ascii=False, separators=(",", ":"))


def _read_incident(text: str) -> Incident:
    """An incident that another version of ours may have stored: what this one does not know is left out."""
    stored = json.loads(text)
    known = {each.name: STORED_NAMES.get(each.name, each.name) for each in fields(Incident)}
    kept = {name: stored[stored_name] for name, stored_name in known.items() if stored_name in stored}
    for name in kept.keys() & {"subjects", "groups", "event_ids"}:
        kept[name] = tuple(kept[name])
    if "severity" in kept:
        kept["severity"] = IncidentSeverity(kept["severity"])
    if "awaiting_end" in kept:
        kept["awaiting_end"] = {subject: AwaitingEnd(*each) for subject, each in kept["awaiting_end"].items()}
    kept["notified"] = {
        channel: Notified(
            size, stored.get("told_subjects", {}).get(channel, 0), stored.get("told_at", {}).get(channel, 0.0)
        )
        for channel, size in stored.get("told", {}).items()
    }
    return Incident(**kept)
