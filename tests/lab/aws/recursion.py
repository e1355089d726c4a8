"""Recursive loop detection: how many rounds a chain of Lambda → SQS → Lambda has gone through.

Lambda counts them in the `Lineage` of the X-Ray trace header, which the SDK copies from `_X_AMZN_TRACE_ID` to every
request and SQS keeps with the message as `AWSTraceHeader`: `Root=…;Parent=…;Sampled=0;Lineage=a87bd80c:1|68fd508a:5`,
one entry a function, its name hashed, its rounds behind the colon.
Source: AWS Lambda developer guide, "Use Lambda recursive loop detection to prevent infinite loops"; the shape of
the header is from AWS X-Ray, "Tracing header".
"""

import secrets
import time
import zlib
from collections.abc import Iterable

MAX_ROUNDS = 16
"""Invocations of one function in one chain; Lambda stops the next ("approximately 16 times")."""


def function_key(function_arn: str) -> str:
    """Return what stands for a function in a Lineage: eight hexadecimal digits."""
    return f"{zlib.crc32(function_arn.encode()):08x}"


def rounds(trace_header: str | None, function_arn: str) -> int:
    """Return how often the chain that `trace_header` belongs to has already invoked the function."""
    return _lineage(trace_header).get(function_key(function_arn), 0)


def next_header(trace_headers: Iterable[str | None], function_arn: str) -> str:
    """Return the trace header for an invocation of the function caused by messages with `trace_headers`.

    A batch continues all the chains of its messages: the longest counts, function by function.
    """
    merged: dict[str, int] = {}
    for header in trace_headers:
        for function, count in _lineage(header).items():
            merged[function] = max(count, merged.get(function, 0))
    key = function_key(function_arn)
    merged[key] = merged.pop(key, 0) + 1  # last: whoever reads the header knows whose invocation it is
    root = f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
    lineage = "|".join(f"{function}:{count}" for function, count in merged.items())
    return f"Root={root};Parent={secrets.token_hex(8)};Sampled=0;Lineage={lineage}"


def last_function(trace_header: str | None) -> str:
    """Return what stands in a Lineage for the function that was invoked with it, "" without one."""
    return next(reversed(_lineage(trace_header)), "")


def _lineage(trace_header: str | None) -> dict[str, int]:
    for part in (trace_header or "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == "Lineage":
            entries = (entry.rsplit(":", 1) for entry in value.split("|") if ":" in entry)
            return {function: int(count) for function, count in entries if count.isdigit()}
    return {}
