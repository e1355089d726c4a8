"""What is wrong with a Tower that answers: its clock, its bulk calls, its limits, a token that only reads. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.errors import RollcallError
from rollcall.domain.findings import Finding, Severity, breaks, warns
from rollcall.domain.inventories import HostLimit
from rollcall.domain.timing import CLOCKS_APART
from rollcall.tower.bulk_hosts import BULK_CREATE_MAX, BULK_DELETE_MAX

from .connection_findings import MAKE_ANOTHER, TOWER
from .inventory_findings import reads_only
from .observations import ObservedInventory
from .unread_findings import unread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.domain.settings import Settings

    from .observations import Observations, ObservedTower

NEARLY = 0.9  # of a host limit


def tower_findings(observed: Observations, _: Settings) -> Iterator[Finding]:
    """What is wrong with it."""
    tower = observed.tower
    if not isinstance(tower.version, RollcallError):
        yield from _clock(tower.ahead)
    if not tower.answers:
        return
    yield from _bulk(tower)
    yield from unread("the default timeout of jobs", {"settings": tower.job_timeout}, Severity.WARNING)
    if reads_only(tower):
        yield breaks(
            TOWER,
            "token reads only",
            "the token may change nothing: its scope is Read, or its user has no role at all",
            MAKE_ANOTHER,
        )
    yield from _limits(tower)


def _clock(ahead: float) -> Iterator[Finding]:
    if abs(ahead) < CLOCKS_APART:
        return
    yield warns(
        TOWER,
        "clock",
        f"Tower's clock is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} that of AWS: where an event "
        "names no lifecycle action, a job from before the instance came back may be counted as one of its present stay",
        "let Tower's servers keep their time by NTP",
    )


def _bulk(tower: ObservedTower) -> Iterator[Finding]:
    yield from unread("endpoints", {"bulk calls": tower.bulk, "their limits": tower.limits}, Severity.WARNING)
    if tower.bulk is False:
        yield warns(
            TOWER,
            "no bulk calls",
            "this server creates and deletes hosts one by one: a scale-out takes about one second for every six hosts",
            "upgrade to AWX 22 or AAP 2.4 or later",
        )
    if tower.limits is None or isinstance(tower.limits, RollcallError):
        return
    for name, limit, wanted in (
        ("BULK_HOST_MAX_CREATE", tower.limits.create, BULK_CREATE_MAX),
        ("BULK_HOST_MAX_DELETE", tower.limits.delete, BULK_DELETE_MAX),
    ):
        if limit < wanted:
            yield warns(
                TOWER,
                name,
                f"the setting {name} is {limit}: calls for {wanted} hosts are refused, cut in half and sent again",
                f"set {name} to at least {wanted} (PATCH its API at settings/bulk/, as a system administrator)",
            )


def _limits(tower: ObservedTower) -> Iterator[Finding]:
    """Whether there is room for more hosts, each limit once."""
    inventories = {name: each for name, each in tower.inventories.items() if isinstance(each, ObservedInventory)}
    observed = {**{name: each.limit for name, each in inventories.items()}, "the licence": tower.licence}
    yield from unread("host limits", observed, Severity.WARNING)
    limits = {each.owner: each for each in observed.values() if isinstance(each, HostLimit)}
    for owner, limit in limits.items():
        if limit.used < NEARLY * limit.most:
            continue
        full = limit.used >= limit.most
        raised = (
            "extend the subscription" if limit is tower.licence else "let a system administrator raise its 'Max hosts'"
        )
        yield Finding(
            TOWER,
            f"host limit of {owner}",
            Severity.BREAKS_LAUNCHES if full else Severity.WARNING,
            f"{limit.used:,} of the {limit.most:,} hosts that {owner} allows are there: beyond that Tower makes none, "
            "and new instances wait without a host",
            f"remove hosts that are no longer needed, or {raised}",
        )
