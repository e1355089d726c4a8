"""What an execution of a state machine carries from one step to the next, as JSON and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import Enum

    from _typeshed import DataclassInstance

type Json = dict[str, Any]


def state_to_json(state: DataclassInstance) -> Json:
    """A state as Step Functions carries it: named tuples as objects, by the names of their fields."""
    return {name: _plain(value) for name, value in asdict(state).items()}


def state_from_json[S: DataclassInstance](
    kind: type[S], raw: Mapping[str, Any], readers: Mapping[str, Callable[[Any], Any]]
) -> S:
    """A state as it was written, by this version or one before or after it: what is not known is left out.

    readers: by the field, for those whose JSON is not their value. Before the first step there is only the request.
    Raises KeyError without a group.
    """
    known = {each.name: raw[each.name] for each in fields(kind) if each.name in raw}
    known["group"] = str(raw["group"] if "group" in raw else raw["request"]["group"])
    read = {name: readers[name](value) for name, value in known.items() if name in readers}
    return kind(**{**known, **read})


def texts(raw: Any) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(map(str, raw))


def named(kind: Any) -> Callable[[Any], Any]:
    """Reads a named tuple of this kind: a field that is missing has its default, or None."""
    return lambda raw: kind(**{name: raw.get(name, kind._field_defaults.get(name)) for name in kind._fields})


def listed(kind: Any) -> Callable[[Any], tuple[Any, ...]]:
    """Reads a list of named tuples of this kind."""
    return lambda raw: tuple(map(named(kind), raw))


def or_none[E: Enum](kind: type[E]) -> Callable[[Any], E | None]:
    """Reads a word of this kind, or none."""
    return lambda raw: kind(raw) if raw else None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return value._asdict() if hasattr(value, "_asdict") else [_plain(each) for each in value]
    return value
