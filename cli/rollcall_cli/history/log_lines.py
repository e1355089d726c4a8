"""The functions' logs: the structured lines that name an instance, and the moments that they record."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import boto3

from rollcall.aws.client import CLIENT_CONFIG, aws_errors
from rollcall.domain.errors import RollcallError
from rollcall.domain.reports import Event
from rollcall_cli.stack import LOG_GROUP, resources_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

FUNCTIONS = ("Register", "Gate", "Cleanup", "Reconcile")  # those whose lines are about instances
PATTERN_MAX = 1024  # characters; API reference, FilterLogEvents
PLAIN = re.compile(r"[\w ./:+=@-]+")  # what needs no quoting in a pattern
TIMESTAMP = "%Y-%m-%d %H:%M:%S,%f%z"  # as Powertools for AWS Lambda writes it
INSTEAD_OF_EVENTS = ("added", "removed", "requeued")  # what reconcile does where no event came


@dataclass(frozen=True)
class LogLine:
    """A line about an instance. at: epoch seconds. event: what was published of it, if anything.

    step: what reconcile did, empty for the other functions. job: that it is about, None without.
    """

    at: float
    group: str
    instance_id: str
    words: str
    event: str = ""
    step: str = ""
    job: int | None = None

    @property
    def registers(self) -> bool:
        return self.event == Event.REGISTERED or self.step.startswith("added")

    @property
    def readies(self) -> bool:
        return self.event == Event.READY

    @property
    def removes(self) -> bool:
        return self.event in (Event.ABANDONED, Event.RETIRED) or self.step == "removed"

    @property
    def reconciles(self) -> bool:
        """Whether reconcile did what an event should have brought about."""
        return self.step.startswith(INSTEAD_OF_EVENTS)


def read_line(message: str) -> LogLine | None:
    """A line of a log; None for one that is about no instance, and for those of Lambda itself."""
    try:
        raw = json.loads(message)
        at = datetime.strptime(raw["timestamp"], TIMESTAMP).timestamp()
        instance_id = raw["instance_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return LogLine(
        at=at,
        group=str(raw.get("group") or ""),
        instance_id=str(instance_id),
        words=str(raw.get("message", "")),
        event=str(raw.get("event") or ""),
        step=str(raw.get("step") or ""),
        job=raw.get("job"),
    )


def pattern_of(groups: Collection[str], instance_id: str | None) -> str:
    """The filter pattern of lines about this instance, or else about instances of these groups.

    Where the names of the groups are too long for one pattern, or not plain, it lets lines about any instance through.
    """
    if instance_id:
        return f"{{ $.instance_id = {json.dumps(instance_id)} }}"
    pattern = f"{{ {' || '.join(f'($.group = "{each}")' for each in sorted(groups))} }}"
    plain = all(PLAIN.fullmatch(each) for each in groups)
    return pattern if plain and len(pattern) <= PATTERN_MAX else '{ $.instance_id = "i-*" }'


@dataclass(frozen=True)
class Found:
    """The lines of all logs, in order; and what could not be read, in sentences."""

    lines: tuple[LogLine, ...]
    gaps: tuple[str, ...]


class Logs:
    """The logs of a stack's functions. Raises NotRun where the stack cannot be read."""

    def __init__(self, stack: str, progress: Callable[[str], None]) -> None:
        self._stack = stack
        self._progress = progress
        with aws_errors("the logs"):
            self._logs = boto3.client("logs", config=CLIENT_CONFIG)

    def lines(self, groups: Collection[str], instance_ids: Collection[str], since: float, until: float) -> Found:
        """The lines about these instances, of these groups, in this time (epoch seconds)."""
        only = next(iter(instance_ids)) if len(instance_ids) == 1 else None
        pattern = pattern_of(groups, only)
        names = self._names()
        found: list[LogLine] = []
        gaps = []
        for function in FUNCTIONS:
            name = names.get(f"{function}LogGroup")
            words = f"the log of {function.lower()}"
            if name is None:
                gaps.append(f"The stack has no resource {function}LogGroup: what {words} would show is missing.")
                continue
            try:
                found += self._read(name, words, pattern, since, until)
            except RollcallError as error:
                gaps.append(f"What {words} would show is missing: {error}")
        wanted = [each for each in found if each.instance_id in instance_ids]
        return Found(tuple(sorted(wanted, key=lambda each: each.at)), tuple(gaps))

    def _names(self) -> dict[str, str]:
        """The stack's log groups in CloudWatch, by logical id."""
        self._progress("reading the stack's resources")
        return resources_of(self._stack).get(LOG_GROUP, {})

    def _read(self, name: str, words: str, pattern: str, since: float, until: float) -> Iterator[LogLine]:
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=name, filterPattern=pattern, startTime=int(since * 1000), endTime=int(until * 1000)
        )
        count = 0
        self._progress(f"reading {words}")
        with aws_errors(f"FilterLogEvents of {name}"):
            for page in pages:  # one may be empty, and others follow all the same
                count += len(page["events"])
                self._progress(f"reading {words}: {count:,} lines")
                yield from filter(None, (read_line(each["message"]) for each in page["events"]))
