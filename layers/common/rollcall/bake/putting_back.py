"""What a bake has made for itself is removed at its end, whatever that was: instances, their hosts, jobs on them.

Instances are found by their tags, so that one is found that no step could report any more. They are terminated before
anything is asked of Tower, which may be away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.domain.errors import Permanent, RollcallError, Transient
from rollcall.domain.instances import Instance

from .state import Phase

if TYPE_CHECKING:
    from rollcall.aws.fleet import Fleet
    from rollcall.tower.client import Tower

    from .bake_aws import BakeAws
    from .building import Building
    from .hosts import BakeHosts
    from .state import BakeState

NOTHING = ""  # was left


class Terminated(NamedTuple):
    """The instances of a bake as they were before those that lived were terminated. refused: by id, why one was not."""

    instances: tuple[Instance, ...] = ()
    refused: Mapping[str, RollcallError] = EMPTY_MAPPING

    @property
    def going(self) -> list[Instance]:
        """Those that are gone, or on their way."""
        return [each for each in self.instances if each.instance_id not in self.refused]

    def require_all(self) -> None:
        """Raises why one was not terminated."""
        for error in self.refused.values():
            raise error


class PuttingBack:
    """Removes what bakes leave."""

    def __init__(self, tower: Tower, fleet: Fleet, aws: BakeAws, building: Building, hosts: BakeHosts) -> None:
        self._tower = tower
        self._fleet = fleet
        self._aws = aws
        self._building = building
        self._hosts = hosts

    def terminate(self, state: BakeState) -> Terminated:
        """Terminate what lives of its instances. Raises what AWS fails at, but for what it refuses of one of them."""
        if state.phase == Phase.PREFLIGHT:  # nothing was launched: the next step does that
            return Terminated()
        instances = self._instances(state)
        refused: dict[str, RollcallError] = {}
        for each in instances:
            try:
                self._aws.terminate([each.instance_id] if each.living else [])
            except RollcallError as error:  # it keeps no other instance alive
                refused[each.instance_id] = error
        return Terminated(tuple(instances), refused)

    def is_left(self, state: BakeState) -> bool:
        """Whether one of its instances lives."""
        return state.phase != Phase.PREFLIGHT and any(each.living for each in self._instances(state))

    def put_back(self, state: BakeState, terminated: Terminated) -> str | None:
        """What was removed, or why not, in words; empty where nothing was left. None while an instance still goes.

        terminated: what became of its instances just now. Raises why one was not terminated, after all else, and what
        Tower fails at for now.
        """
        if state.phase == Phase.PREFLIGHT:
            return NOTHING
        words = self._cancelled(state)
        if not all(each.gone for each in terminated.going):
            return None
        words += self._without_hosts(state, terminated)
        terminated.require_all()
        return "; ".join(words)

    def put_back_at_once(self, state: BakeState, terminated: Terminated) -> str:
        """As put_back, without waiting until instances that are being terminated are gone: nothing brings them back.

        While Tower is away the words say so: reconcile removes the hosts of instances that are gone. Raises why an
        instance was not terminated.
        """
        if state.phase == Phase.PREFLIGHT:
            return NOTHING
        try:
            words = [*self._cancelled(state), *self._without_hosts(state, terminated)]
        except Transient as error:
            words = [f"its hosts are left to reconcile: {error}"]
        terminated.require_all()
        return "; ".join(words)

    def _without_hosts(self, state: BakeState, terminated: Terminated) -> list[str]:
        """Remove the hosts of the instances that were terminated."""
        known = {each.instance_id for each in terminated.instances} | _known(state)
        return self._hosts.remove_in_words(known - terminated.refused.keys())

    def _instances(self, state: BakeState) -> list[Instance]:
        """By tags, and those of the state: EC2 may not show the tags of a launch at once."""
        found = {each.instance_id: each for each in self._aws.instances_of_bake(state.bake_id)}
        missing = _known(state) - found.keys()
        return list((found | (self._fleet.instances(missing) if missing else {})).values())

    def _cancelled(self, state: BakeState) -> list[str]:
        try:
            jobs = self._building.cancel_jobs(state)
            if state.smoke_job is not None and not self._is_final(state.smoke_job):
                self._tower.cancel(state.smoke_job)
                jobs = [*jobs, state.smoke_job]
        except Permanent as error:
            return [f"its job could not be cancelled: {error}"]
        return [f"job {each} was cancelled" for each in jobs]

    def _is_final(self, job_id: int) -> bool:
        job = self._tower.jobs([job_id]).get(job_id)
        return job is None or job.status.final


def _known(state: BakeState) -> set[str]:
    return {each for each in (state.builder, state.smoke_instance) if each}
