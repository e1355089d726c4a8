"""JSON from outside -> an object, or a BadEvent that says in few words what is wrong with it. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .aws_names import carried
from .errors import BadEvent

if TYPE_CHECKING:
    from collections.abc import Iterable

type Json = dict[str, Any]

SHOWN_MAX = 100  # characters of a value, or of a name, in an error
NAMED_MAX = 20  # names in an error


def object_in(text: str, what: str) -> Json:
    """The object that a text holds. what: what the text is called in errors.

    Raises BadEvent for all else, and for an object that has a field twice: which of them counts would be a guess.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except RecursionError as error:
        raise BadEvent(f"the {what} is nested too deeply: {error}") from error
    except ValueError as error:
        raise BadEvent(f"the {what} is not JSON: {error}") from error
    return require_object(value, what)


def _once(pairs: list[tuple[str, Any]]) -> Json:
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


def named(names: Iterable[str]) -> str:
    """Names in the order of the alphabet as an error shows them."""
    ordered = sorted(names)
    shown = [each if each.isprintable() and len(each) <= SHOWN_MAX else quoted(each) for each in ordered[:NAMED_MAX]]
    more = [f"and {len(ordered) - NAMED_MAX} more"] if len(ordered) > NAMED_MAX else []
    return ", ".join(shown + more) or "none"


def readable(value: Any) -> Any:
    """The same value with all its text as AWS carries it: see carried. Raises RecursionError for deep nesting."""
    if isinstance(value, str):
        return carried(value)
    if isinstance(value, dict):
        return {carried(str(key)): readable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [readable(each) for each in value]
    return value
