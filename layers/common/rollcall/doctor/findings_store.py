"""The findings that were published already, in the table for that. Nothing else is decided by it."""

from __future__ import annotations

import json
import zlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3

from rollcall.aws.client import CLIENT_CONFIG, aws_errors
from rollcall.domain.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Collection

KEY = "doctor"


class KnownFindings:
    """The findings of doctor that were published and that last.

    Methods raise AwsUnavailable, AwsDenied or AwsRejected.
    """

    def __init__(self, table: str) -> None:
        self._table = table

    @cached_property
    def _dynamodb(self) -> Any:
        return boto3.client("dynamodb", config=CLIENT_CONFIG)  # type: ignore[call-overload, unused-ignore]

    def read(self) -> dict[str, Finding]:
        """By key."""
        with aws_errors(f"GetItem of table {self._table}"):
            answer = self._dynamodb.get_item(TableName=self._table, Key={"key": {"S": KEY}}, ConsistentRead=True)
        item = answer.get("Item")
        listed = json.loads(zlib.decompress(item["findings"]["B"])) if item else []
        found = [Finding(**{**each, "severity": Severity(each["severity"])}) for each in listed]
        return {each.key: each for each in found}

    def write(self, findings: Collection[Finding]) -> None:
        """In place of what was there; compressed, for an item has room for 400 kB."""
        listed = [
            {name: getattr(each, name) for name in ("subject", "what", "severity", "reason", "remedy")}
            for each in findings
        ]
        packed = zlib.compress(json.dumps(listed).encode())
        with aws_errors(f"PutItem to table {self._table}"):
            self._dynamodb.put_item(TableName=self._table, Item={"key": {"S": KEY}, "findings": {"B": packed}})
