"""The first instance after a group was set up, watched: Auto Scaling's state, its host and its job in Tower.

Whether it is proven is decided by what its job showed of it, as the gate decides. What cannot be asked in one round is
not taken for a no: the last answer stands, and it is watched on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from rollcall.domain.errors import RollcallError
from rollcall.domain.jobs import JobStatus, Outcome
from rollcall.domain.membership import Membership
from rollcall.evidence.proofs import WORDS, proofs
from rollcall_cli.running import in_words
from rollcall_cli.tower import remedy_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollcall.domain.groups import GroupSettings
    from rollcall.evidence.job_reader import Evidence
    from rollcall.evidence.proofs import Proof
    from rollcall.tower.client import Tower
    from rollcall_cli.scaling_group import ScalingGroup

ROUND_EVERY = 2.0  # seconds
POOL = "Warmed:"  # how the states begin of those that are terminated in it, too

type Say = Callable[[str], None]


class Ended(StrEnum):
    """What became of the first instance."""

    GOOD = "good"  # in service, and its job was ok on it
    UNPROVEN = "unproven"  # in service, and its job was not
    UNKNOWN = "unknown"  # in service, and Tower did not say how its job went until the time for watching was over
    GONE = "gone"  # it left, or is on its way out
    WAITING = "waiting"  # it still waits, and the time for watching is over
    NONE = "none"  # none came in that time


@dataclass(frozen=True)
class Sight:
    """What is known of an instance. state: None if its group does not have it any more. wants_job: its group does.

    proof: what Tower showed last; None if it was never asked with success. fresh: it showed that in this round.
    waits_for: what holds it, in words, empty if nothing does or that is not known.
    """

    state: str | None
    proof: Proof | None
    wants_job: bool
    fresh: bool = True
    waits_for: str = ""

    @property
    def serves(self) -> bool:
        """Whether it is in service."""
        return self.state is not None and Membership("", self.state).serving

    def words(self) -> str:
        """It in a line."""
        parts = [self.state or "gone", *self._of_tower(self.proof)]
        return ", ".join(parts) + (f"; {self.waits_for}" if self.waits_for else "")

    def _of_tower(self, proof: Proof | None) -> list[str]:
        if proof is None:
            return ["nothing known of Tower"]
        parts = ["host in Tower" if proof.has_host else "no host yet"]
        if proof.job:
            parts.append(f"job {proof.job.id} {proof.job.status}")
            if proof.outcome and (proof.outcome == Outcome.OK) != (proof.job.status == JobStatus.SUCCESSFUL):
                parts.append(f"which {WORDS.get(proof.outcome, 'was ok on it')}")
        elif self.wants_job:
            parts.append("no job yet")
        return parts

    def ended(self) -> Ended | None:
        """What became of it; None while it is on its way, and while that is not known. Pure."""
        if self.state is None or Membership("", self.state).leaving:
            return Ended.GONE
        if not self.serves:
            return None
        if not self.wants_job or (self.proof and not self.proof.why_unproven()):
            return Ended.GOOD
        if self.proof is None or self.proof.pending or not self.fresh:
            return None
        return Ended.UNPROVEN

    def after_all(self) -> Ended:
        """What it is once the time for watching is over. Pure."""
        return self.ended() or (Ended.UNKNOWN if self.serves else Ended.WAITING)


@dataclass(frozen=True)
class First:
    """The first instance. id: empty if none came."""

    id: str
    ended: Ended
    words: str = ""


def not_resting(states: Mapping[str, str]) -> set[str]:
    """The instances that neither rest nor end in a warm pool. Pure."""
    return {each for each, state in states.items() if not Membership("", state).resting and not state.startswith(POOL)}


class Watching:
    """before: the states of the instances that were there already. One of them that rested and comes back is new.

    evidence(): what jobs showed, read anew each round. waits_for: what an instance that is held waits for, in words;
    raises what the clients of AWS raise.
    """

    def __init__(
        self,
        group: ScalingGroup,
        tower: Tower,
        settings: GroupSettings,
        before: Mapping[str, str],
        say: Say,
        evidence: Callable[[], Evidence],
        waits_for: Callable[[str], str] = lambda instance_id: "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._group = group
        self._tower = tower
        self._settings = settings
        self._known = not_resting(before)
        self._say = say
        self._evidence = evidence
        self._waits_for = waits_for
        self._sleep = sleep
        self._proof: Proof | None = None
        self._said: dict[str, str] = {}  # the last words about each

    def first(self, seconds: float) -> First:
        """The first that comes within so many seconds, and what becomes of it. Raises NotRun where AWS refuses."""
        deadline, instance_id = time.monotonic() + seconds, ""
        while True:
            states = self._group.read().instances
            instance_id = instance_id or min(not_resting(states) - self._known, default="")
            sight = self._sight(instance_id, states.get(instance_id)) if instance_id else None
            if sight:
                self._say_once("instance", f"{instance_id}: {sight.words()}")
                if ended := sight.ended():
                    return First(instance_id, ended, sight.words())
            if time.monotonic() >= deadline:
                return First(instance_id, sight.after_all(), sight.words()) if sight else First("", Ended.NONE)
            self._sleep(ROUND_EVERY)

    def _sight(self, instance_id: str, state: str | None) -> Sight:
        fresh = self._read_proof(instance_id)
        held = state is not None and Membership(self._group.name, state).held
        return Sight(
            state,
            self._proof,
            self._settings.job_template is not None,
            fresh,
            self._what_holds(instance_id) if held else "",
        )

    def _read_proof(self, instance_id: str) -> bool:
        """Whether Tower answered; if not, what it showed before stands."""
        try:
            self._proof = proofs(self._tower, self._evidence(), self._settings, [instance_id])[instance_id]
        except RollcallError as error:
            remedy = remedy_of(error)
            self._say_once("tower", f"Tower cannot be asked: {error}{f': {remedy}' if remedy else ''}")
            return False
        self._said.pop("tower", None)
        return True

    def _what_holds(self, instance_id: str) -> str:
        try:
            words = self._waits_for(instance_id)
        except RollcallError as error:
            self._say_once("aws", f"What it waits for is not known: {in_words(error)}")
            return ""
        self._said.pop("aws", None)
        return words

    def _say_once(self, about: str, words: str) -> None:
        if self._said.get(about) != words:
            self._say(words)
            self._said[about] = words
