"""What an execution of a state machine carries from one step to the next. Frozen data, and its JSON.

It is also what operators see of a cycle or a bake while it runs: the command reads it from the execution's history.
What can be read again from AWS and Tower is not in it, and no list is without an end, so that it stays far below the
256 KiB of a state's output (Step Functions quotas).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self

from rollcall.domain.objections import Objection

if TYPE_CHECKING:
    from enum import Enum

type Json = dict[str, Any]
type Reader = Callable[[Any], Any]


def texts(raw: Any) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(map(str, raw))


def named(kind: Any) -> Reader:
    """Reads a named tuple of this kind: a field that is missing has its default, or None."""
    return lambda raw: kind(**{name: raw.get(name, kind._field_defaults.get(name)) for name in kind._fields})


def listed(kind: Any) -> Callable[[Any], tuple[Any, ...]]:
    """Reads a list of named tuples of this kind."""
    return lambda raw: tuple(map(named(kind), raw))


def or_none[E: Enum](kind: type[E]) -> Callable[[Any], E | None]:
    """Reads a word of this kind, or none."""
    return lambda raw: kind(raw) if raw else None


@dataclass(frozen=True)
class WorkflowState:
    """What a cycle and a bake of a group have alike. Times in epoch seconds.

    request: the input as it was read. execution: the ARN; name: the execution's. phase: what it is doing. plan: what
    pre-flight planned. result: what it ended as; reason: why, in a sentence. put_back: what was put back or removed at
    its end, or why not.

    READERS: by the field, for those whose JSON is not their value.
    """

    READERS: ClassVar[Mapping[str, Reader]] = {"warnings": texts, "objections": listed(Objection)}

    group: str
    request: Json = field(default_factory=dict)
    execution: str = ""
    name: str = ""
    execution_started: float = 0.0
    phase: StrEnum | None = None
    phase_since: float = 0.0
    warnings: tuple[str, ...] = ()
    objections: tuple[Objection, ...] = ()
    plan: Json = field(default_factory=dict)
    result: StrEnum | None = None
    reason: str = ""
    put_back: str = ""
    ended: float = 0.0

    def seconds(self, now: float) -> float | None:
        """How long it has taken so far, or took: since its execution was started. None for what is in none.

        now: epoch seconds.
        """
        if not self.execution_started:
            return None
        return max(0.0, (self.ended or now) - self.execution_started)

    def to_json(self) -> Json:
        """As Step Functions carries it: named tuples as objects, by the names of their fields."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """A state as it was written, by this version or one before or after it: what is not known is left out.

        Before the first step there is only the request. Raises KeyError without a group.
        """
        known = {each.name: raw[each.name] for each in fields(cls) if each.name in raw}
        known["group"] = str(raw["group"] if "group" in raw else raw["request"]["group"])
        read = {name: cls.READERS[name](value) for name, value in known.items() if name in cls.READERS}
        return cls(**{**known, **read})

    def with_execution(self, execution: Mapping[str, Any]) -> Self:
        """With the execution that it is of. execution: its id, name and start, as Step Functions has them."""
        started = datetime.fromisoformat(execution["started"]).timestamp()
        return replace(self, execution=execution["id"], name=execution["name"], execution_started=started)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return value._asdict() if hasattr(value, "_asdict") else [_plain(each) for each in value]
    return value
