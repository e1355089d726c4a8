"""Events as they are given to functions: messages in messages, each of them JSON written into a text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SAMPLE_INSTANCE = "i-1234567890abcdef0"  # in every file of events/ that is about an instance
ACCOUNT_KEYS = ("account", "AccountId", "AWSAccountId")
REGION_KEYS = ("region", "awsRegion")


def changed(value: Any, change: Callable[[str, Any], Any], key: str = "") -> Any:
    """The same event with each of its values changed, also those within texts that hold JSON.

    change: the new value of one that is no list and no object, by the key it stands under (that of its list, if it
    stands in one) and the old one.
    """
    if isinstance(value, dict):
        return {name: changed(each, change, name) for name, each in value.items()}
    if isinstance(value, list):
        return [changed(each, change, key) for each in value]
    within = _within(value)
    return change(key, value) if within is None else json.dumps(changed(within, change, key))


def values(event: object) -> Iterator[tuple[str, Any]]:
    """The keys and values of an event that are no lists and no objects, also those within texts that hold JSON."""
    found: list[tuple[str, Any]] = []

    def note(key: str, value: Any) -> Any:
        found.append((key, value))
        return value

    changed(event, note)
    return iter(found)


def received_now(event: Any, now: float) -> Any:
    """The same event, each of whose messages was first received just now; epoch seconds.

    A sample says that it was days ago, and what fails for so long goes to the dead-letter queue at once.
    """
    if not isinstance(event, dict) or not isinstance(event.get("Records"), list):
        return event
    return event | {"Records": [_received(record, str(int(now * 1000))) for record in event["Records"]]}


def strangers(event: object, account: str, region: str) -> list[str]:
    """The other accounts and Regions that an event names: what a function refuses."""
    named = {str(value) for key, value in values(event) if key in ACCOUNT_KEYS and value != account}
    named |= {
        str(value) for key, value in values(event) if key in REGION_KEYS and _is_region(value) and value != region
    }
    return sorted(named)


def is_about_the_samples_instance(event: object) -> bool:
    """Whether the instance of the samples in events/ is in it, which is in no account."""
    return any(value == SAMPLE_INSTANCE for _, value in values(event))


def _received(record: Any, milliseconds: str) -> Any:
    if not isinstance(record, dict) or not isinstance(record.get("attributes"), dict):
        return record
    return record | {"attributes": record["attributes"] | {"ApproximateFirstReceiveTimestamp": milliseconds}}


def _within(value: object) -> Any:
    """What a text holds as JSON, if that is an object."""
    if not isinstance(value, str) or not value.startswith("{"):
        return None
    try:
        found = json.loads(value)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _is_region(value: object) -> bool:
    """An alarm calls its Region by another name: US East (N. Virginia)."""
    return isinstance(value, str) and " " not in value
