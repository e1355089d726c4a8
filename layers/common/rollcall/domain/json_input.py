"""JSON from outside: a text read as an object, and each field of one by the rule that it has to keep. Pure.

All raise BadEvent, which names the field and what it has to be, in few words; but moment_or_none, for what may as well
be missing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .errors import BadEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .aws_text import TextRule

type Json = dict[str, Any]

SHOWN_MAX = 100  # characters of a value, or of a name, in an error
NAMED_MAX = 20  # names in an error
MOMENT_MAX = 32_503_680_000.0  # seconds; the year 3000: before it all moments, and some days later, can be written
NUMBER_MAX = 2**31 - 1  # a PostgreSQL integer, and so the largest id of a job


def parse_object(text: str, what: str) -> Json:
    """The JSON object in a text. what: how errors call the text.

    Raises BadEvent for all else, and for an object that has a field twice: which of them counts would be a guess.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique_fields)
    except RecursionError as error:
        raise BadEvent(f"the {what} is nested too deeply: {error}") from error
    except ValueError as error:
        raise BadEvent(f"the {what} is not JSON: {error}") from error
    return require_object(value, what)


def _unique_fields(pairs: list[tuple[str, Any]]) -> Json:
    fields: Json = {}
    for name, value in pairs:
        if name in fields:
            raise ValueError(f"it has the field {quoted(name)} twice")
        fields[name] = value
    return fields


def require_object(value: object, what: str) -> Json:
    """The value, if it is a JSON object. Raises BadEvent."""
    if not isinstance(value, dict):
        raise BadEvent(f"the {what} is no object, but {quoted(value)}")
    return value


def quoted(value: object) -> str:
    """A value as an error shows it: printable, and cut where it is long."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # the latter for a number of thousands of digits
        return "something too large to be shown"
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


def listed_names(names: Iterable[str]) -> str:
    """Names as an error shows them: in the order of the alphabet, only the first of many."""
    ordered = sorted(names)
    shown = [each if each.isprintable() and len(each) <= SHOWN_MAX else quoted(each) for each in ordered[:NAMED_MAX]]
    more = [f"and {len(ordered) - NAMED_MAX} more"] if len(ordered) > NAMED_MAX else []
    return ", ".join(shown + more) or "none"


def text_at(fields: Json, name: str, rule: TextRule | None = None) -> str:
    """Text that keeps a rule; without one any text that is not empty."""
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise BadEvent(f"field {name!r} is missing or no text")
    if rule and not rule.allows(value):
        raise BadEvent(f"field {name!r} is {quoted(value)}: {rule.requirement}")
    return value


def text_or_empty(fields: Json, name: str, rule: TextRule) -> str:
    """Text that keeps a rule; empty without the field, or where that is empty."""
    return text_at(fields, name, rule) if fields.get(name) not in (None, "") else ""


def flag_at(fields: Json, name: str) -> bool:
    """A flag; False without the field."""
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
    """A field as this function reads it; None without the field, or where it is null."""
    return None if fields.get(name) is None else read(fields, name)
