"""Hosts made for instances that serve without one, put into their groups, and provisioned where a job is due."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import TYPE_CHECKING
from uuid import uuid4

from rollcall.domain.errors import HostLimitReached, RollcallError
from rollcall.hosts.removal import remove_from_every_inventory
from rollcall.tower.bulk_hosts import BULK_CREATE_MAX, NewHost
from rollcall.tower.connection import TOWER_CALLS_AT_ONCE

from .host_errors import of_batch, unless_gone
from .provision import Owing
from .result import Applied, StepError, fixes_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from rollcall.domain.inventories import Inventory

    from .apply_context import ApplyContext
    from .snapshot import Place
    from .steps import Addition


class ApplyAdditions:
    """Adds hosts to one inventory, in bulk and as far as the time goes."""

    def __init__(self, context: ApplyContext) -> None:
        self._context = context
        self._made_by = f"Made by Rollcall in run {uuid4().hex[:12]}"

    def apply(self, inventory: Inventory, additions: Sequence[Addition]) -> Iterator[Applied]:
        """What came of each batch, until the inventory takes no more hosts: the rest is left to the next run."""
        full = False
        for batch in batched(additions, BULK_CREATE_MAX):
            if full or not self._context.in_time():
                yield Applied(left=len(batch))
                continue
            for applied in self._add(inventory, batch):
                yield applied
                full = full or any(isinstance(each.error, HostLimitReached) for each in applied.errors)

    def _add(self, inventory: Inventory, batch: Sequence[Addition]) -> Iterator[Applied]:
        what = f"adding hosts to inventory {inventory.name}"
        additions, findings = self._context.user_data.completed_additions(batch)
        yield Applied(findings=findings)
        try:
            made = self._context.tower.create_hosts(inventory, [self._new_host(each) for each in additions])
        except RollcallError as error:
            yield Applied(errors=(StepError(what, error),))
            return
        yield Applied(errors=of_batch(what, inventory, made.errors))
        try:
            ids, refusals = self._of_those_that_stay(made.ids)
        except RollcallError as error:
            yield Applied(errors=(StepError(what, error),))
            return
        yield Applied(errors=refusals)
        staying = [each for each in additions if each.instance_id in ids]
        jobs: dict[str, int] = {}
        try:
            grouped, errors = self._put_into_groups(staying, ids)
            yield Applied(errors=errors)
            owing = [Owing(e.place, e.instance_id, ids[e.instance_id], e.variables) for e in grouped if e.provision]
            for provisioned in self._context.job_launches.provision(owing):
                jobs |= provisioned.jobs
                yield Applied(errors=provisioned.errors)
        except Exception:  # they are added, whatever becomes of their jobs
            yield Applied(fixes_of("added", staying, jobs))
            raise
        yield Applied(fixes_of("added", staying, jobs))

    def _new_host(self, addition: Addition) -> NewHost:
        variables = self._context.job_launches.owing(addition.variables) if addition.provision else addition.variables
        return NewHost(addition.instance_id, variables, self._made_by, addition.enabled)

    def _of_those_that_stay(self, ids: Mapping[str, int]) -> tuple[dict[str, int], tuple[StepError, ...]]:
        """The ids of the hosts by instance id, for the instances that are still there; the others' hosts are removed.

        As at registration: cleanup reads Tower after the state changed, this run reads the state after the host exists,
        so one of them sees the other. A host that was there already is left to what made it, register or another run.
        """
        left = self._context.fleet.departed(list(ids), self._context.fleet.memberships(ids))
        removal = remove_from_every_inventory(self._context.tower, self._context.fleet, left)
        refusals = tuple(StepError(f"host of {each}, which left", error) for each, error in removal.refusals.items())
        return {instance_id: host_id for instance_id, host_id in ids.items() if instance_id not in left}, refusals

    def _put_into_groups(
        self, additions: Sequence[Addition], ids: Mapping[str, int]
    ) -> tuple[list[Addition], tuple[StepError, ...]]:
        """Those whose hosts are in all their groups now; without these a playbook would do the wrong thing."""
        missing = self._make_groups({each.place for each in additions})
        able = [each for each in additions if each.place not in missing]
        with ThreadPoolExecutor(TOWER_CALLS_AT_ONCE) as pool:
            errors = list(pool.map(lambda each: self._join_groups(each, ids[each.instance_id]), able))
        grouped = [each for each, own in zip(able, errors, strict=True) if own is None]
        return grouped, (*missing.values(), *(error for own in errors if own for error in own))

    def _make_groups(self, places: Collection[Place]) -> dict[Place, StepError]:
        """The inventory groups that a group's settings name, made where they are missing; where that failed, why."""
        missing: dict[Place, StepError] = {}
        for place in places:
            try:
                for name in place.settings.inventory_groups:
                    self._context.group_ids.id_of(place.inventory, name)
            except RollcallError as error:
                missing[place] = StepError(f"inventory groups of group {place.settings.group}", error)
        return missing

    def _join_groups(self, addition: Addition, host_id: int) -> tuple[StepError, ...] | None:
        """None if the host is in all its groups now; else what failed, nothing where the host is gone by now."""
        try:
            for name in addition.groups:
                self._context.tower.add_to_group(self._context.group_ids.id_of(addition.inventory, name), host_id)
        except RollcallError as error:
            return unless_gone(self._context.tower, addition.inventory, host_id, addition.instance_id, error)
        return None
