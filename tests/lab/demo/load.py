"""A group of the demo's under load: the client that never stops asking, its cycles, and what was recorded of both."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lab.cycles import start_cycle
from lab.demo.load_record import load_record

if TYPE_CHECKING:
    from lab.cloud import Group, Json
    from lab.cycles import Cycle
    from lab.demo.load_record import LoadRecord
    from lab.traffic.traffic import Traffic

RUNNING = "RUNNING"  # an execution that has not ended


class Load:
    """What a client asks of a group, from now on. The traffic runs until its caller ends it.

    size: of the group. asking: whether it has begun to ask, that is, a target was healthy.
    """

    def __init__(self, group: Group, size: int, traffic: Traffic) -> None:
        self.group = group
        self._size = size
        self._traffic = traffic
        self._began = time.time()
        self._versions: dict[str, str] = {}
        self._moments: list[tuple[float, str]] = []
        self._endings: list[str] = []

    def look(self) -> None:
        """Learn which version the instances have that are there now: of those that are gone none is shown."""
        for each in self.group.described()["Instances"]:
            self._versions[each["InstanceId"]] = each["LaunchTemplate"]["Version"]

    def note(self, words: str) -> None:
        """Something happens now."""
        self._moments.append((time.time(), words))

    def cycle(self, version: str, batch: int) -> LoadCycle:
        """Start a cycle to this version of the group's launch template."""
        return self.follow(version, start_cycle(self.group, launch_template_version=version, batch=batch))

    def follow(self, version: str, cycle: Cycle) -> LoadCycle:
        """Follow a cycle to this version that has just been started."""
        self.look()
        self.note(f"cycle to version {version}")
        return LoadCycle(self, version, cycle)

    def ended(self, words: str, ending: str) -> None:
        """A cycle has ended. ending: how, in a sentence."""
        self.note(words)
        self._endings.append(ending)

    @property
    def asked(self) -> int:
        """Requests whose outcome is known."""
        return self._traffic.summary().asked

    @property
    def lost(self) -> tuple[str, ...]:
        """Why requests were lost, one after the other."""
        return tuple(f"{each.failure} ({each.instance})" for each in self._traffic.summary().failed)

    def record(self) -> LoadRecord:
        """What was recorded until now."""
        return load_record(
            self.group.name,
            self._size,
            (self._began, time.time()),
            self._traffic.requests(),
            self._traffic.samples(),
            self.group.transitions(),
            self._versions,
            self._moments,
            self._endings,
        )


class LoadCycle:
    """A cycle of a group under load. state: after its last step; empty before the first has ended. ended: it has."""

    def __init__(self, load: Load, version: str, cycle: Cycle) -> None:
        self.state: Json = {}
        self.ended = False
        self._load = load
        self._version = version
        self._cycle = cycle
        self._said = ""

    def over(self) -> bool:
        """Whether it has ended; looks at it once more."""
        over = self._cycle.status != RUNNING
        self._load.look()
        before, self.state = self.state, self._cycle.state
        if self.state.get("verdicts") and not before.get("verdicts"):
            self._load.note(f"job {self.state['verdicts'][0]['job']} failed")
        if over:
            self.ended = True
            ending = f"To version {self._version}: {self.state['result']}: {self.state['reason']}"
            self._load.ended(str(self.state["result"]), ending)
        return over

    def news(self) -> str:
        """How far it is, in words, if that is new; else nothing."""
        state = self.state
        if not state.get("refresh_id"):
            return ""
        counts = f"{state['new']} new, {state['in_progress']} in progress, {state['left']} left"
        words = f"ended: {state['result']}" if self.ended else f"{state['phase']}: {counts}"  # the last counts stay
        if words == self._said:
            return ""
        self._said = words
        lost = len(self._load.lost)
        return f"{words}; {self._load.asked:,} requests, {f'{lost:,}' if lost else 'none'} lost"
