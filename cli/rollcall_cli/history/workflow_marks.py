"""The cycles and bakes of groups as marks of a timeline: when each began, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import boto3

from rollcall.aws.client import CLIENT_CONFIG, aws_errors
from rollcall.domain.errors import RollcallError
from rollcall.workflow.names import is_dry_run, key_of
from rollcall_cli.stack import BAKE_MACHINE, CYCLE_MACHINE, STATE_MACHINE, resources_of
from rollcall_cli.timeline.timeline import Mark

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MACHINES = {CYCLE_MACHINE: "cycle", BAKE_MACHINE: "bake"}
MOST = 20  # marks; the numbers of more run into each other


class Marks(NamedTuple):
    """The marks in their order, and what could not be read, in sentences."""

    marks: tuple[Mark, ...]
    gaps: tuple[str, ...] = ()


class _Begun(NamedTuple):
    time: float
    name: str


def read_marks(stack: str, groups: Collection[str], since: float, until: float) -> Marks:
    """The last of what began between two moments (epoch seconds), dry runs aside. Raises NotRun."""
    machines = resources_of(stack).get(STATE_MACHINE, {})
    begun: list[_Begun] = []
    gaps: list[str] = []
    for logical_id, what in MACHINES.items():
        if machine := machines.get(logical_id):
            try:
                begun += _begun(machine, what, groups, since, until)
            except RollcallError as error:
                gaps.append(f"Which {what}s there were is missing: {error}")
    last = sorted(begun)[-MOST:]
    return Marks(tuple(Mark(each.time, n, each.name) for n, each in enumerate(last, 1)), tuple(gaps))


def _begun(machine: str, what: str, groups: Collection[str], since: float, until: float) -> Iterator[_Begun]:
    """Of one state machine, which AWS lists the newest first (API reference, ListExecutions)."""
    with aws_errors(f"ListExecutions of {what}s"):
        client: Any = boto3.client("stepfunctions", config=CLIENT_CONFIG)
        for page in client.get_paginator("list_executions").paginate(stateMachineArn=machine):
            for each in page["executions"]:
                began, name = each["startDate"].timestamp(), each["name"]
                if began < since:
                    return
                group = next((group for group in groups if key_of(name, group)), None)
                if group and began <= until and not is_dry_run(name, group):
                    yield _Begun(began, f"{what} of {group} ({each['status'].lower().replace('_', ' ')})")
