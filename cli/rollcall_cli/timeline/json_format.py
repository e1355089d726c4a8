"""The timeline as JSON: what was recorded of each instance, and what that comes to. What is written can be read again.

Times are in epoch seconds, to the millisecond.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .instances import InstanceRecord, Run
from .timeline import Mark, Requirements, timeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .instances import InstanceTimeline
    from .timeline import Timeline

type Json = dict[str, Any]


def written(
    records: Iterable[InstanceRecord],
    asks: Mapping[str, Requirements],
    now: float,
    marks: Iterable[Mark] = (),
    gaps: Iterable[str] = (),
) -> Json:
    """What these records come to. See `timeline` for the arguments; its fields:

    now: when it was read. groups: what each asks for before an instance serves. marks: what was begun, as in the demo.
    gaps: what could not be read. instances: each with what was recorded of it (states, jobs, registered, removed, ...),
    its outcome, and its stages one after the other.
    """
    known = list(records)
    found = timeline(known, asks, now, marks, gaps)
    by_id = {each.instance_id: each for each in found.instances}
    document: Json = _rounded(
        {
            "now": now,
            "groups": {name: asdict(each) | {"words": str(each)} for name, each in found.asks.items()},
            "marks": [asdict(each) for each in found.marks],
            "gaps": list(found.gaps),
            "instances": [_instance(record, by_id[record.instance_id]) for record in known],
        }
    )
    return document


def _instance(record: InstanceRecord, found: InstanceTimeline) -> Json:
    facts = asdict(record)
    return {
        "group": facts.pop("group"),
        "instance_id": facts.pop("instance_id"),
        "address": facts.pop("address"),
        "outcome": found.outcome.value,
        "seconds_to_service": found.to_service,
        **facts,
        "states": [{"state": state, "entered": time} for time, state in facts.pop("states")],
        "stages": [
            {
                "stage": each.stage.label,
                "began": each.began,
                "ended": None if each.open else each.ended,
                "job": each.run.job if each.run else None,
            }
            for each in found.stretches
        ],
    }


def _rounded(value: Any) -> Any:
    """The same with every number to the thousandth."""
    match value:
        case float():
            return round(value, 3)
        case dict():
            return {name: _rounded(each) for name, each in value.items()}
        case list() | tuple():
            return [_rounded(each) for each in value]
    return value


def read(document: Json) -> Timeline:
    """The timeline of what was written."""
    return timeline(
        map(_record, document["instances"]),
        {
            name: Requirements(each["template"], tuple(each["checks"]), each["known"])
            for name, each in document["groups"].items()
        },
        document["now"],
        [Mark(**each) for each in document["marks"]],
        document["gaps"],
    )


def _record(written: Json) -> InstanceRecord:
    return InstanceRecord(
        group=written["group"],
        instance_id=written["instance_id"],
        address=written["address"],
        states=[(each["entered"], each["state"]) for each in written["states"]],
        runs=tuple(Run(**each) for each in written["runs"]),
        registered=written["registered"],
        removed=written["removed"],
        timed_out=written["timed_out"],
        reconciled=tuple(written["reconciled"]),
        launched_before=written["launched_before"],
    )
