"""What was recorded of a group under load while it was cycled: what its picture is drawn from. Pure.

Nothing here comes from Rollcall's own words but how each cycle ended.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lab.aws.control import Transition
    from lab.traffic.client import Request
    from lab.traffic.health import HealthSample

SERVING = "InService"
NOT_COUNTED = ("Terminating", "Terminated")  # how the states begin of an instance that leaves

type Json = dict[str, Any]


class Count(NamedTuple):
    """How many there are from a moment on, until the next one. at: seconds since the record began."""

    at: float
    number: int


class Moment(NamedTuple):
    """Something that happened. at: seconds since the record began."""

    at: float
    words: str


@dataclass(frozen=True)
class LoadRecord:
    """A group under load. began: epoch seconds; seconds: that the record is long.

    size: instances that are to serve. answered, lost: requests asked in each second, by what came of them. healthy:
    targets. serving, coming: instances in service, and on their way there, by the version of the launch template.
    endings: how the cycles ended, in sentences.
    """

    group: str
    began: float
    seconds: float
    size: int
    answered: tuple[int, ...]
    lost: tuple[int, ...]
    healthy: tuple[Count, ...]
    serving: Mapping[str, tuple[Count, ...]]
    coming: Mapping[str, tuple[Count, ...]]
    moments: tuple[Moment, ...] = ()
    endings: tuple[str, ...] = ()

    @property
    def asked(self) -> int:
        return sum(self.answered) + sum(self.lost)

    @property
    def fewest_healthy(self) -> int:
        return min((each.number for each in self.healthy), default=0)

    @property
    def versions(self) -> list[str]:
        """Those that an instance had, the oldest first."""
        return sorted(self.serving.keys() | self.coming.keys(), key=lambda version: (len(version), version))

    @property
    def headline(self) -> str:
        """What one sees, in a sentence."""
        lost = sum(self.lost)
        return (
            f"{self.asked:,} requests, {f'{lost:,}' if lost else 'none'} lost; "
            f"never fewer than {self.fewest_healthy} healthy targets, and {self.size} are wanted"
        )


def load_record(
    group: str,
    size: int,
    times: tuple[float, float],
    requests: Iterable[Request],
    samples: Iterable[HealthSample],
    transitions: Iterable[Transition],
    versions: Mapping[str, str],
    moments: Iterable[tuple[float, str]] = (),
    endings: Iterable[str] = (),
) -> LoadRecord:
    """The record of this time (first and last moment). versions: by instance. All times in epoch seconds.

    moments: when what happened.
    """
    began, ended = times
    asked = [each for each in requests if began <= each.time < ended]
    length = math.ceil(ended - began)
    answered, lost = (
        Counter(int(each.time - began) for each in asked if bool(each.failure) is failed) for failed in (False, True)
    )
    own = [each for each in transitions if each.group == group]
    serving, coming = _by_version(own, versions, began, ended)
    return LoadRecord(
        group=group,
        began=began,
        seconds=ended - began,
        size=size,
        answered=tuple(answered[second] for second in range(length)),
        lost=tuple(lost[second] for second in range(length)),
        healthy=_counts([(each.time, len(each.healthy)) for each in samples], began, ended),
        serving=serving,
        coming=coming,
        moments=tuple(Moment(at - began, words) for at, words in moments),
        endings=tuple(endings),
    )


def _by_version(
    transitions: Sequence[Transition], versions: Mapping[str, str], began: float, ended: float
) -> tuple[dict[str, tuple[Count, ...]], dict[str, tuple[Count, ...]]]:
    """How many instances of each version are in service, and on their way there."""
    states: dict[str, str] = {}
    seen: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    seen_coming: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    for each in transitions:
        version = versions.get(each.instance_id)
        if version is None:
            continue
        states[each.instance_id] = each.state
        own = [state for name, state in states.items() if versions.get(name) == version]
        seen[version].append((each.time, own.count(SERVING)))
        coming = sum(state != SERVING and not state.startswith(NOT_COUNTED) for state in own)
        seen_coming[version].append((each.time, coming))
    serving, on_their_way = (
        {version: _counts(counts, began, ended) for version, counts in found.items()} for found in (seen, seen_coming)
    )
    return serving, on_their_way


def _counts(found: Iterable[tuple[float, int]], began: float, ended: float) -> tuple[Count, ...]:
    """The counts within this time, each once: the first is the one that holds when it begins."""
    counts: list[Count] = [Count(0.0, 0)]
    for time, count in found:
        if time >= ended:
            break
        at = max(time - began, 0.0)
        if counts[-1].at == at:
            counts[-1] = Count(at, count)
        elif counts[-1].number != count:
            counts.append(Count(at, count))
    return tuple(each for number, each in enumerate(counts) if not number or each.number != counts[number - 1].number)


def count_at(counts: Sequence[Count], at: float) -> int:
    """The count that holds at a moment."""
    return next((each.number for each in reversed(counts) if each.at <= at), 0)


def fewest_between(counts: Sequence[Count], began: float, ended: float) -> int:
    """The smallest count at any moment of this time."""
    return min([count_at(counts, began), *(each.number for each in counts if began < each.at < ended)])


def most_between(counts: Sequence[Count], began: float, ended: float) -> int:
    """The largest count at any moment of this time."""
    return max([count_at(counts, began), *(each.number for each in counts if began < each.at < ended)])


def written(record: LoadRecord) -> Json:
    """As JSON. What is written can be read again; times are to the millisecond."""

    def counts(each: Iterable[Count]) -> list[list[float]]:
        return [[round(at, 3), count] for at, count in each]

    return {
        **asdict(record),
        "began": round(record.began, 3),
        "seconds": round(record.seconds, 3),
        "healthy": counts(record.healthy),
        "serving": {version: counts(each) for version, each in record.serving.items()},
        "coming": {version: counts(each) for version, each in record.coming.items()},
        "moments": [[round(at, 3), words] for at, words in record.moments],
    }


def read(document: Json) -> LoadRecord:
    """The record of what was written."""

    def counts(raw: Iterable[Sequence[float]]) -> tuple[Count, ...]:
        return tuple(Count(at, int(count)) for at, count in raw)

    return LoadRecord(
        **{
            **document,
            **{name: tuple(document[name]) for name in ("answered", "lost", "endings")},
            "healthy": counts(document["healthy"]),
            **{
                name: {version: counts(each) for version, each in document[name].items()}
                for name in ("serving", "coming")
            },
            "moments": tuple(Moment(*each) for each in document["moments"]),
        }
    )
