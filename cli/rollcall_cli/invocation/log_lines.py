"""What a function logged, as lines that are read: time, level, message, and what the line is about."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

type Json = dict[str, Any]

RUNTIME = re.compile(r"^(START|END|REPORT|INIT_START|EXTENSION|LOGS|XRAY)\b")
FIRST = ("group", "instance_id", "action")  # of what a line is about; the rest as the function wrote it
# The same in every line, or about the code that wrote it.
LEFT_OUT = {
    *("level", "message", "timestamp", "location", "service", "version", "cold_start", "xray_trace_id"),
    *("function_name", "function_memory_size", "function_arn", "function_request_id"),
    *("exception_name", "stack_trace"),
}
TIME = slice(11, 23)  # of 2026-11-21T10:00:00.123Z, or with a comma: hours to milliseconds
LEVEL_WIDTH = len("WARNING")
INDENT = " " * 4


def readable(log: str, said: Collection[str] = ()) -> list[str]:
    """The lines of a log, as Lambda keeps it: without what the runtime writes at each invocation.

    said: messages that are left out.
    """
    return [
        line
        for raw in log.splitlines()
        if (text := raw.strip()) and (_object(text) or {}).get("message") not in said
        for line in _lines(text)
    ]


def logged_errors(log: str) -> list[str]:
    """The messages of the lines that the function logged as errors."""
    lines = filter(None, map(_object, log.splitlines()))
    return [str(each["message"]) for each in lines if each.get("level") in ("ERROR", "CRITICAL") and "message" in each]


def _lines(text: str) -> Iterator[str]:
    line = _object(text)
    if line is None:
        if not RUNTIME.match(text):
            yield text
    elif "_aws" in line:
        yield from _metrics(line)
    elif "message" in line:
        yield _one(line)
        yield from (f"{INDENT}{each}" for each in str(line.get("exception") or "").splitlines())
    else:
        yield text


def _object(text: str) -> Json | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _one(line: Json) -> str:
    time = str(line.get("timestamp", ""))[TIME].replace(",", ".")
    names = [name for name in FIRST if name in line]
    names += [name for name in line if name not in FIRST and name not in LEFT_OUT and name != "exception"]
    about = [f"{name}={_value(line[name])}" for name in names if line[name] is not None]
    return "  ".join([time, f"{line.get('level', ''):{LEVEL_WIDTH}}", str(line["message"]), *about])


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return json.dumps(text) if isinstance(value, str) and (" " in text or not text) else text


def _metrics(line: Json) -> Iterator[str]:
    """What was counted, in CloudWatch's embedded metric format, as one line."""
    names = [metric["Name"] for each in line["_aws"].get("CloudWatchMetrics", ()) for metric in each["Metrics"]]
    if names:
        yield "counted: " + ", ".join(f"{name} {_number(line.get(name))}" for name in dict.fromkeys(names))


def _number(value: object) -> str:
    """A number, or the only one of a list; of more than one how many they are, and the largest."""
    numbers = value if isinstance(value, list) else [value]
    if len(numbers) != 1:
        return f"{len(numbers)} times, at most {max(numbers):g}"
    (number,) = numbers
    return f"{number:g}" if isinstance(number, int | float) else str(number)
