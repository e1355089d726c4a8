"""Parts of queries that several lists of Tower take, and how long a query may be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import batched
from typing import TYPE_CHECKING
from urllib.parse import quote

from rollcall.domain.inventories import MARKER

from .parsing import WHOLE_RUN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from rollcall.domain.jobs import JobKind
    from rollcall.http.transport import Query

NAMES_PER_QUERY = 150  # instance ids that stay under the 4 kB of URL that every proxy lets through
TERMS_LENGTH = 3600  # characters of a URL for what is looked for, likewise: 130 IPv4 addresses, 40 long names


def fitting(before: str, texts: Collection[str]) -> Iterator[tuple[str, ...]]:
    """The texts, in an order of their own, in chunks that a URL has room for with that before each."""
    ordered = sorted(texts)
    longest = max((len(quote(f"{before}&{each}")) for each in ordered), default=1)
    return batched(ordered, max(1, TERMS_LENGTH // longest))


def marker_text(group: str) -> str:
    """The text of our variables on the hosts of an Auto Scaling group."""
    return f'"{MARKER}": {json.dumps({"group": group})[:-1]},'


def iso_time(moment: float) -> str:
    """Epoch seconds as Tower writes a time."""
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def of_kind(kind: JobKind) -> list[tuple[str, str]]:
    """The query for whole runs of a kind. An empty filter is one: Tower compares with it."""
    return [("inventory", str(kind.inventory_id)), *WHOLE_RUN.items()]


def events_query(kinds: Collection[str], hosts: Collection[str], order: str = "counter") -> list[Query]:
    """The queries for events of these kinds and hosts, each of all where there are none."""
    common = [("order_by", order), *([("event__in", ",".join(kinds))] if kinds else [])]
    if not hosts:
        return [common]
    return [[*common, ("host_name__in", ",".join(chunk))] for chunk in batched(sorted(hosts), NAMES_PER_QUERY)]
