"""What has to change so that Tower and EC2 agree. Pure: it decides by what was read, and reads and changes nothing.

The decisions stand in the modules plan_*, one for each thing; plan() is their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .plan_additions import plan_missing, staying_hosts
from .plan_conflicts import resolve_conflicts
from .plan_findings import (
    address_conflicts,
    copied_inventories,
    foreign_addresses,
    mixed_groups,
    renamed_host_findings,
    retained_instances,
)
from .plan_hosts import plan_hosts
from .plan_input import PlanInput
from .plan_removals import allowed_with_copies, copies_without_original
from .plan_requeues import plan_requeues
from .steps import Plan

if TYPE_CHECKING:
    from rollcall.domain.messages import RunOptions

    from .snapshot import Snapshot


def plan(snapshot: Snapshot, options: RunOptions, kept: frozenset[int] = frozenset()) -> Plan:
    """The steps that make Tower and EC2 agree, and the findings. Each has its reason.

    kept: ids of inventories from which nothing may be removed.
    """
    given = PlanInput(snapshot, options, kept)
    hosts = plan_hosts(given)
    wanted_removals = (*allowed_with_copies(given, hosts.removals), *copies_without_original(given))
    staying = staying_hosts(given, wanted_removals)
    missing = plan_missing(given, staying)
    changes = (*hosts.changes, *missing.changes)
    removals, additions, conflicts, addresses = resolve_conflicts(given, wanted_removals, changes, missing.additions)
    waiting = plan_requeues(given, staying)
    findings = (
        *hosts.findings,
        *missing.findings,
        *conflicts,
        *foreign_addresses(given, changes),
        *address_conflicts(given, addresses),
        *mixed_groups(given),
        *waiting.findings,
        *renamed_host_findings(given),
        *copied_inventories(given, changes, removals),
        *retained_instances(given),
    )
    return Plan(removals, changes, additions, waiting.requeues, findings)
