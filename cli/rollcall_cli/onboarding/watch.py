"""The first instance after a group was set up, watched: Auto Scaling's state, its host and its job in Tower."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from rollcall.domain.errors import RollcallError
from rollcall.domain.jobs import JobStatus
from rollcall.domain.membership import Membership
from rollcall.hosts.job_templates import find_inventory_and_template
from rollcall.hosts.jobs import deciding_job

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from rollcall.domain.groups import GroupSettings
    from rollcall.domain.jobs import Job
    from rollcall.tower.client import Tower
    from rollcall_cli.scaling_group import ScalingGroup

ROUND_EVERY = 2.0  # seconds

type Say = Callable[[str], None]


class Ended(StrEnum):
    """What became of the first instance."""

    GOOD = "good"  # in service, and its job was ok
    UNPROVEN = "unproven"  # in service, and its job was not
    GONE = "gone"  # it left, or is on its way out
    WAITING = "waiting"  # it still waits, and the time for watching is over
    NONE = "none"  # none came in that time


@dataclass(frozen=True)
class Sight:
    """What is known of an instance. state: None if its group does not have it any more. wants_job: its group does.

    waits_for: what holds it, in words, empty if nothing does or that is not known.
    """

    state: str | None
    has_host: bool
    job: Job | None
    wants_job: bool
    waits_for: str = ""

    def words(self) -> str:
        """It in a line."""
        parts = [self.state or "gone", "host in Tower" if self.has_host else "no host yet"]
        if self.job:
            parts.append(f"job {self.job.id} {self.job.status}")
        elif self.wants_job:
            parts.append("no job yet")
        return ", ".join(parts) + (f"; {self.waits_for}" if self.waits_for else "")

    def ended(self) -> Ended | None:
        """What became of it; None while it is on its way. Pure."""
        if self.state is None or Membership("", self.state).leaving:
            return Ended.GONE
        if not Membership("", self.state).serving:
            return None
        is_good = not self.wants_job or (self.job is not None and self.job.status == JobStatus.SUCCESSFUL)
        return Ended.GOOD if is_good else Ended.UNPROVEN


@dataclass(frozen=True)
class First:
    """The first instance. id: empty if none came."""

    id: str
    ended: Ended
    words: str = ""


class Watching:
    """known: the instances that were there before. waits_for: what an instance that is held waits for, in words."""

    def __init__(
        self,
        group: ScalingGroup,
        tower: Tower,
        settings: GroupSettings,
        known: Collection[str],
        say: Say,
        waits_for: Callable[[str], str] = lambda instance_id: "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._group = group
        self._tower = tower
        self._settings = settings
        self._known = known
        self._say = say
        self._waits_for = waits_for
        self._sleep = sleep
        self._since = tower.now() - 60

    def first(self, seconds: float) -> First:
        """The first that comes within so many seconds, and what becomes of it. Raises NotRun where AWS refuses."""
        deadline, instance_id, said = time.monotonic() + seconds, "", ""
        sight = None
        while True:
            states = self._group.read().instances
            instance_id = instance_id or min(states.keys() - set(self._known), default="")
            if instance_id:
                sight = self._sight(instance_id, states.get(instance_id))
                if sight.words() != said:
                    self._say(f"{instance_id}: {sight.words()}")
                    said = sight.words()
                if ended := sight.ended():
                    return First(instance_id, ended, said)
            if time.monotonic() >= deadline:
                return First(instance_id, Ended.WAITING if sight else Ended.NONE, said)
            self._sleep(ROUND_EVERY)

    def _sight(self, instance_id: str, state: str | None) -> Sight:
        wants_job = self._settings.job_template is not None
        try:
            inventory, template = find_inventory_and_template(self._tower, self._settings)
            has_host = bool(self._tower.hosts_named(inventory, [instance_id]))
            jobs = self._tower.jobs_holding(template.on(inventory), [instance_id], self._since) if template else []
            held = state is not None and Membership(self._group.name, state).held
            waits_for = self._waits_for(instance_id) if held else ""
        except RollcallError as error:  # it is watched on by what Auto Scaling shows
            self._say(f"Tower cannot be asked: {error}")
            return Sight(state, False, None, wants_job)
        return Sight(state, has_host, deciding_job(instance_id, jobs, self._since), wants_job, waits_for)
