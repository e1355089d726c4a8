"""What AWS allows in a request: lengths, values and words by its service models, and the sizes of whole calls.

botocore itself checks the least of it before it sends a request; a server refuses the whole request for one value, in
the words that all services of AWS share ("1 validation error detected: …").
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from botocore.session import Session

SQS_BYTES = 256 * 1024
"""What SendMessage and SendMessageBatch took in one call until 2025; since then 1 MiB (Amazon SQS API reference)."""
PUT_EVENTS_BYTES = 256 * 1024
"""What PutEvents has to stay below ("Calculating Amazon EventBridge PutEvents event entry size"); since 2026, 1 MB."""
EVENT_TIME_BYTES = 14


def message_size(message: Mapping[str, Any]) -> int:
    """Return the bytes of a message that count: its body, and name, type and value of its attributes."""
    attributes = message.get("MessageAttributes") or {}
    texts = [message.get("MessageBody") or ""]
    for name, value in attributes.items():
        texts += [name, *(part for part in value.values() if isinstance(part, str))]
    return sum(len(text.encode()) for text in texts)


def entry_size(entry: Mapping[str, Any]) -> int:
    """Return the bytes of an entry of PutEvents that count."""
    texts = [entry.get(key) or "" for key in ("Source", "DetailType", "Detail")]
    texts += entry.get("Resources") or []
    return sum(len(text.encode()) for text in texts) + (EVENT_TIME_BYTES if entry.get("Time") else 0)


def violation(service: str, operation: str, params: Mapping[str, str]) -> str | None:
    """Return what AWS says of a request in the query protocol whose parameters its model does not allow, or None."""
    broken = list(_broken(_input(service, operation), "", params))
    if not broken:
        return None
    plural = "" if len(broken) == 1 else "s"
    return f"{len(broken)} validation error{plural} detected: " + "; ".join(broken)


@cache
def _input(service: str, operation: str) -> Any:
    return Session().get_service_model(service).operation_model(operation).input_shape


def _broken(shape: Any, path: str, params: Mapping[str, str]) -> Iterator[str]:
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from _broken(member, f"{path}.{name}".lstrip("."), params)
    elif shape.type_name == "list":
        entries = list(_entries(path, params))
        if shape.member.type_name != "string":
            for entry in entries:
                yield from _broken(shape.member, entry, params)
        elif any(not _allows(shape.member, params[entry]) for entry in entries):
            values = ", ".join(params[entry] for entry in entries)
            words = f"Member must satisfy constraint: [{', '.join(_constraints(shape.member))}]"
            yield _sentence(f"[{values}]", path, words)
    elif path in params:
        for words in _constraints(shape, params[path]):
            yield _sentence(params[path], path, words)


def _entries(path: str, params: Mapping[str, str]) -> Iterator[str]:
    number = 1
    while any(key == f"{path}.member.{number}" or key.startswith(f"{path}.member.{number}.") for key in params):
        yield f"{path}.member.{number}"
        number += 1


def _allows(shape: Any, value: str) -> bool:
    return not any(_constraints(shape, value))


def _constraints(shape: Any, value: str | None = None) -> Iterator[str]:
    """The constraints of a simple shape in AWS's words: all of them, or those that a value breaks."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    number = shape.type_name in ("integer", "long")
    size = None if value is None else int(value) if number else len(value)
    what = "value" if number else "length"
    if high is not None and (size is None or size > high):
        yield f"Member must have {what} less than or equal to {high}"
    if low is not None and (size is None or size < low):
        yield f"Member must have {what} greater than or equal to {low}"
    words = getattr(shape, "enum", None)
    if words and (value is None or value not in words):
        yield f"Member must satisfy enum value set: [{', '.join(sorted(words))}]"


def _sentence(value: str, path: str, words: str) -> str:
    at = ".".join(part[:1].lower() + part[1:] for part in path.split("."))
    return f"Value '{value}' at '{at}' failed to satisfy constraint: {words}"
