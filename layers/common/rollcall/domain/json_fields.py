"""The fields of a JSON object from outside, each read by the rule that it has to keep. Pure.

All raise BadEvent, which names the field and what it has to be; but moment_or_none, for what may as well be missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import BadEvent
from .json_text import quoted, require_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from .aws_names import Rule

type Json = dict[str, Any]

MOMENT_MAX = 32_503_680_000.0  # seconds; the year 3000: before it all moments, and some days later, can be written
NUMBER_MAX = 2**31 - 1  # a PostgreSQL integer, and so the largest id of a job


def text_at(fields: Json, name: str, rule: Rule | None = None) -> str:
    """Text that keeps a rule; without one any text that is not empty."""
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise BadEvent(f"field {name!r} is missing or no text")
    if rule and not rule.allows(value):
        raise BadEvent(f"field {name!r} is {quoted(value)}: {rule.words}")
    return value


def text_or_empty(fields: Json, name: str, rule: Rule) -> str:
    """Text that keeps a rule; empty without the field, or where that is empty."""
    return text_at(fields, name, rule) if fields.get(name) not in (None, "") else ""


def flag_at(fields: Json, name: str) -> bool:
    """A flag; without the field it is down."""
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise BadEvent(f"field {name!r} is {quoted(value)}: use true or false")
    return value


def number_at(fields: Json, name: str, least: int = 0, most: int = NUMBER_MAX) -> int:
    """A whole number within bounds."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadEvent(f"field {name!r} is {quoted(value)}: it is a whole number from {least} to {most}")
    return value


def digits_at(fields: Json, name: str, most: int = NUMBER_MAX) -> int:
    """A whole number that is written as text, as SQS does."""
    value = fields.get(name)
    if not isinstance(value, str) or not value.isdecimal() or len(value) > len(str(most)) or int(value) > most:
        raise BadEvent(f"field {name!r} is {quoted(value)}: it is digits, up to {most}")
    return int(value)


def moment_at(fields: Json, name: str) -> float:
    """A moment in epoch seconds."""
    moment = moment_or_none(fields.get(name))
    if moment is None:
        raise BadEvent(f"field {name!r} is {quoted(fields.get(name))}, which is no moment in epoch seconds")
    return moment


def moment_or_none(value: object) -> float | None:
    """A moment in epoch seconds, from 0 to MOMENT_MAX; None for anything else that JSON may hold in its place."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MOMENT_MAX:
        return None  # before float(), which raises OverflowError for a whole number that is too large
    return float(value)


def objects_at(fields: Json, name: str) -> list[Json]:
    """A list of objects that is not empty."""
    value = fields.get(name)
    if not isinstance(value, list) or not value:
        raise BadEvent(f"field {name!r} is {quoted(value)}: it is a list of objects, and not an empty one")
    return [require_object(each, f"entry of field {name!r}") for each in value]


def object_at(fields: Json, name: str) -> Json:
    """An object."""
    return require_object(fields.get(name), f"field {name!r}")


def optional[T](fields: Json, name: str, read: Callable[[Json, str], T]) -> T | None:
    """What read makes of a field; None without it, or where it is null."""
    return None if fields.get(name) is None else read(fields, name)
