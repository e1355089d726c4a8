"""The steps of a plan taken, in their order and as far as the time goes. What came of each batch is what it yields.

Safe to take twice, and beside register and cleanup. How steps of a kind are taken stands in the modules apply_*.
"""

from __future__ import annotations

import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from rollcall.hosts.ownership import address_of

from .apply_additions import ApplyAdditions
from .apply_changes import ApplyChanges
from .apply_context import ApplyContext
from .apply_removals import ApplyRemovals
from .apply_requeues import ApplyRequeues
from .inventory_groups import GroupIds
from .new_host_user_data import NewHostUserData
from .provision import JobLaunches
from .result import Applied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.aws.queues import Queues
    from rollcall.domain.inventories import Inventory
    from rollcall.domain.jobs import JobTemplate
    from rollcall.domain.settings import Settings
    from rollcall.tower.client import Tower

    from .result import Fix
    from .steps import Addition, Plan, Removal, Step


class Applying:
    """Takes the steps of a plan. templates: by group. in_time: whether another batch may be begun."""

    def __init__(
        self,
        settings: Settings,
        tower: Tower,
        fleet: Fleet,
        queues: Queues,
        templates: Mapping[str, JobTemplate | None],
        in_time: Callable[[], bool],
    ) -> None:
        self._group_ids = GroupIds(tower)
        job_launches = JobLaunches(tower, templates, settings.max_hosts_per_job)
        self._removals = ApplyRemovals(tower, fleet, in_time)
        user_data = NewHostUserData(settings, tower, fleet)
        context = ApplyContext(tower, fleet, user_data, self._group_ids, job_launches, in_time)
        self._changes = ApplyChanges(context)
        self._additions = ApplyAdditions(context)
        self._requeues = ApplyRequeues(settings, fleet, queues, in_time)
        self._fixes: list[Fix] = []

    def apply(self, planned: Plan) -> Iterator[Applied]:
        """All steps, one batch after the other: what came of each, as soon as it is done."""
        # First the hosts of instances that are gone, for their addresses may be others' by now.
        gone = [each for each in planned.removals if not each.moved]
        moved = [each for each in planned.removals if each.moved]
        with ThreadPoolExecutor(1) as pool:
            looked_up = self._group_ids.look_up_in(pool, planned.changes, planned.additions)
            yield from self._take(gone, self._removals.apply)
            free = at_free_addresses(planned.additions, gone, self._fixes)
            yield Applied(left=len(planned.additions) - len(free))
            yield from self._take(planned.changes, self._changes.apply)
            yield from self._take(free, self._additions.apply)
            yield Applied(errors=looked_up.result())
        ready = with_a_new_host(moved, planned, self._fixes)
        yield Applied(left=len(moved) - len(ready))
        yield from self._take(ready, self._removals.apply)
        yield from self._take(planned.requeues, self._requeues.apply)

    def _take[S: Step](
        self, steps: Iterable[S], apply: Callable[[Inventory, Sequence[S]], Iterator[Applied]]
    ) -> Iterator[Applied]:
        """The steps of one inventory after the other's; what they take is that inventory's time."""
        by_inventory: defaultdict[Inventory, list[S]] = defaultdict(list)
        for step in steps:
            by_inventory[step.inventory].append(step)
        for inventory, own in by_inventory.items():
            began = time.monotonic()
            for applied in apply(inventory, own):
                self._fixes += applied.fixes
                yield applied
            yield Applied(seconds={inventory: time.monotonic() - began})


def at_free_addresses(
    additions: Sequence[Addition], removals: Iterable[Removal], taken: Iterable[Fix]
) -> list[Addition]:
    """Those at no address of a host that should have been removed and was not; the others wait for the next run."""
    removed = {(fix.inventory, fix.instance_id) for fix in taken}
    held = {
        (each.inventory, address_of(each.host))
        for each in removals
        if (each.inventory, each.instance_id) not in removed
    }
    return [each for each in additions if (each.inventory, each.variables["ansible_host"]) not in held]


def with_a_new_host(moved: Iterable[Removal], planned: Plan, taken: Iterable[Fix]) -> list[Removal]:
    """Those of instances whose host is in its new place now; the others wait for the next run."""
    done = {(fix.action, fix.instance_id) for fix in taken}
    homeless = {each.instance_id for each in planned.additions if ("added", each.instance_id) not in done} | {
        each.instance_id for each in planned.changes if ("fixed", each.instance_id) not in done
    }
    return [each for each in moved if each.instance_id not in homeless]
