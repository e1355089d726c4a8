"""What a bake has made for itself is removed at its end, whatever that was: instances, their hosts, jobs on them.

Instances are found by their tags, so that one is found that no step could report any more. They are terminated before
anything is asked of Tower, which may be away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.errors import Permanent, Transient

from .state import Phase

if TYPE_CHECKING:
    from collections.abc import Collection

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.instances import Instance
    from rollcall.tower.client import Tower

    from .bake_aws import BakeAws
    from .building import Building
    from .hosts import BakeHosts
    from .state import BakeState

NOTHING = ""  # was left
TERMINATED = "terminated"


class PuttingBack:
    """Removes what bakes leave."""

    def __init__(self, tower: Tower, fleet: Fleet, aws: BakeAws, building: Building, hosts: BakeHosts) -> None:
        self._tower = tower
        self._fleet = fleet
        self._aws = aws
        self._building = building
        self._hosts = hosts

    def put_back(self, state: BakeState) -> str | None:
        """What was removed, or why not, in words; empty where nothing was left. None while an instance still goes.

        Raises what AWS fails at, and what Tower fails at for now.
        """
        if state.phase == Phase.PREFLIGHT:  # nothing was launched: the next step does that
            return NOTHING
        instances = self._terminated(state)
        words = self._cancelled(state)
        if any(each.state != TERMINATED for each in instances):
            return None
        return "; ".join([*words, *self._hosts.remove_in_words(_ids(instances, state))])

    def put_back_at_once(self, state: BakeState) -> str:
        """As put_back, without waiting until instances that are being terminated are gone: nothing brings them back.

        While Tower is away the words say so: reconcile removes the hosts of instances that are gone. Raises what AWS
        fails at.
        """
        if state.phase == Phase.PREFLIGHT:
            return NOTHING
        instances = self._terminated(state)
        try:
            words = [*self._cancelled(state), *self._hosts.remove_in_words(_ids(instances, state))]
        except Transient as error:
            words = [f"its hosts are left to reconcile: {error}"]
        return "; ".join(words)

    def _terminated(self, state: BakeState) -> list[Instance]:
        """Its instances as they were before those that lived were terminated."""
        instances = self._instances(state)
        self._aws.terminate([each.instance_id for each in instances if each.living])
        return instances

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


def _ids(instances: Collection[Instance], state: BakeState) -> set[str]:
    return {each.instance_id for each in instances} | _known(state)


def _known(state: BakeState) -> set[str]:
    return {each for each in (state.builder, state.smoke_instance) if each}
