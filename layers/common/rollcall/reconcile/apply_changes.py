"""Hosts that are in Tower fixed: their variables, their inventory groups, whether jobs run on them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollcall.domain.errors import RollcallError
from rollcall.tower.connection import TOWER_CALLS_AT_ONCE

from .host_errors import unless_gone
from .provision import Owing
from .result import Applied, StepError, fixes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollcall.domain.inventories import Inventory

    from .apply_context import ApplyContext
    from .steps import Change


@dataclass(frozen=True)
class _Tried:
    """What came of one change: done, left to the next run for want of time, or neither; with its errors."""

    done: bool = False
    left: bool = False
    errors: tuple[StepError, ...] = ()


class ApplyChanges:
    """Fixes the hosts of one inventory, some at a time and as far as the time goes."""

    def __init__(self, context: ApplyContext) -> None:
        self._context = context

    def apply(self, inventory: Inventory, changes: Sequence[Change]) -> Iterator[Applied]:
        """What came of them. A host that is still owed its job counts as fixed with the run that launches it."""
        staying, errors = self._without_those_back(changes)
        yield Applied(errors=errors, left=len(changes) - len(staying))
        completed, findings = self._context.user_data.completed_changes(staying)
        yield Applied(findings=findings)
        with ThreadPoolExecutor(TOWER_CALLS_AT_ONCE) as pool:
            tried = list(pool.map(self._change, completed))
        yield Applied(errors=tuple(error for each in tried for error in each.errors), left=sum(e.left for e in tried))
        changed = [change for change, each in zip(completed, tried, strict=True) if each.done]
        owing = _owing(changed)
        jobs: dict[str, int] = {}
        unsettled = {each.instance_id for each in owing}
        for provisioned in self._context.job_launches.provision(owing):
            jobs |= provisioned.jobs
            unsettled -= provisioned.settled
            yield Applied(errors=provisioned.errors)
        yield Applied(fixes_of("fixed", [each for each in changed if each.instance_id not in unsettled], jobs))

    def _without_those_back(self, changes: Sequence[Change]) -> tuple[list[Change], tuple[StepError, ...]]:
        """Without those that would disable the host of an instance that came back since it was read."""
        away = {change.instance_id for change in changes if change.enabled is False}
        if not away:
            return list(changes), ()
        try:
            resting = {each for each, known in self._context.fleet.memberships(away).items() if known.resting}
        except RollcallError as error:
            return [each for each in changes if each.enabled is not False], (StepError("instances that rest", error),)
        return [each for each in changes if each.enabled is not False or each.instance_id in resting], ()

    def _change(self, change: Change) -> _Tried:
        if not self._context.in_time():
            return _Tried(left=True)
        try:
            self._write(change)
        except RollcallError as error:
            host = change.host
            return _Tried(errors=unless_gone(self._context.tower, change.inventory, host.id, host.name, error))
        return _Tried(done=True)

    def _write(self, change: Change) -> None:
        # First out of the former groups, which the next run would not know any more once the marker is replaced.
        for name in change.leave:
            self._context.tower.take_out_of_group(self._context.group_ids.id_of(change.inventory, name), change.host.id)
        if change.variables is not None:
            variables = self._context.job_launches.owing(change.variables) if change.provision else change.variables
            self._context.tower.update_host(change.host.id, change.instance_id, variables, enabled=change.enabled)
        for name in change.join:
            self._context.tower.add_to_group(self._context.group_ids.id_of(change.inventory, name), change.host.id)


def _owing(changes: Sequence[Change]) -> list[Owing]:
    """The hosts of these on which a job is to be launched."""
    return [
        Owing(each.new_in, each.instance_id, each.host.id, each.variables)
        for each in changes
        if each.provision and each.new_in and each.variables
    ]
