"""The invariants after the last scene, each with what it was checked on; and figures."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from lab.demo.sights import observe
from lab.invariants import broken_invariants, disagreements, is_ours
from lab.tower.embedded import OPERATOR

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lab.cloud import Cloud
    from lab.demo.sights import Sight
    from lab.tower.embedded import HostRecord

WORDS = {
    "I1": "No instance served before its job was ok",
    "I2": "No instance terminated while still in Tower",
    "I3": "No job ran but on hosts it named, all ours",
    "I4": "Hosts are what serves; others' are untouched",
    "I5": "No two hosts had one address at one time",
    "I6": "No lifecycle action was lost or left waiting",
    "I7": "No reconcile took a large step unasked",
}


@dataclass(frozen=True)
class Check:
    """One invariant: its number and words, what it was checked on, and what broke it, as sentences."""

    invariant: str
    words: str
    checked_on: str
    broken: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.broken


def check(cloud: Cloud, groups: Collection[str], others: Mapping[int, HostRecord], *, finished: bool) -> list[Check]:
    """All invariants. Where the story broke off, only those that there was something to check on already.

    Nor does what still waits then prove anything: I4 and I6 are left out. others: the hosts not ours before, by id.
    """
    sentences: defaultdict[str, list[str]] = defaultdict(list)
    for sentence in [*broken_invariants(cloud, groups), *disagreements(cloud, others)]:
        invariant, _, words = sentence.partition(": ")
        sentences[invariant].append(words)
    checks = []
    for invariant, (count, checked_on) in _checked_on(cloud).items():
        if finished and not count:
            sentences[invariant].append("there was nothing to check this on")
        if finished or (count and invariant not in ("I4", "I6")):
            checks.append(Check(invariant, WORDS[invariant], checked_on, tuple(sentences[invariant])))
    return checks


def _checked_on(cloud: Cloud) -> dict[str, tuple[int, str]]:
    """What each invariant is about: how many, and in words."""
    entered = [each.state for each in cloud.aws.transitions()]
    jobs = [job for job in cloud.tower.jobs() if job.launched_by != OPERATOR]
    lives, hosts = cloud.tower.host_lives(), cloud.tower.hosts()
    ours = sum(map(is_ours, hosts))
    served, left = entered.count("InService"), entered.count("Terminating:Proceed")
    waits = entered.count("Pending:Wait") + entered.count("Terminating:Wait")
    return {
        "I1": (served, _counted(served, "instance")),
        "I2": (left, _counted(left, "instance")),
        "I3": (len(jobs), f"{_counted(len(jobs), 'job')}, {_counted(sum(len(job.hosts) for job in jobs), 'host')}"),
        "I4": (ours, f"{_counted(ours, 'host')} and {_counted(len(hosts) - ours, 'other')}"),
        "I5": (len(lives), f"{_counted(len(lives), 'host')}, {len({life.address for life in lives})} addresses"),
        "I6": (waits, _counted(waits, "action")),
        "I7": (len(cloud.runs), _counted(len(cloud.runs), "run")),
    }


def figures(cloud: Cloud) -> list[str]:
    """What all this took, as sentences."""
    sights = observe(cloud)
    jobs = [job for job in cloud.tower.jobs() if job.launched_by != OPERATOR]
    calls = len(cloud.tower.requests())
    sentences = [f"{_counted(len(sights), 'instance')}, {_counted(len(jobs), 'provisioning job')}"]
    if sights:
        sentences[0] += f", {calls} calls to Tower: {calls / len(sights):.1f} an instance"
    if served := sorted(each.served for each in sights if each.served is not None):
        sentences.append(f"From launch to service {served[0]:.0f} to {served[-1]:.0f} s, median {median(served):.0f} s")
    if stages := [each for sight in sights if (each := _stages(sight))]:
        to_tower, job, to_service = (median(each) for each in zip(*stages, strict=True))
        sentences.append(
            f"Medians: launch to registered in Tower {to_tower:.1f} s, job running {job:.1f} s, "
            f"job over to in service {to_service:.1f} s"
        )
    return sentences


def _stages(sight: Sight) -> tuple[float, float, float] | None:
    """Seconds from launch to registered, of its latest job's run, and from that one's end to service."""
    job = sight.job
    if sight.served is None or sight.registered is None or sight.judged is None or not (job and job.started):
        return None
    return sight.registered, sight.launched + sight.judged - job.started, sight.served - sight.judged


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
