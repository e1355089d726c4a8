"""EC2's LaunchTime is not when an instance's present stint began: no decision reads it."""

from __future__ import annotations

import re
from copy import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.domain.jobs import Outcome
from rollcall.domain.json_input import MOMENT_MAX
from rollcall.domain.membership import Membership
from rollcall.domain.message_format import Record, read_gate_message
from rollcall.domain.messages import GateMessage, RunOptions
from unit.fakes import REGION
from unit.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.instances import Instance

USUAL = 1_800_000_000.0
ABSURD = (0.0, 1.0, USUAL - 172_800, USUAL + 3600, 4e9, MOMENT_MAX)
TIMES = st.sampled_from(ABSURD) | st.floats(0, MOMENT_MAX)


class LaunchedAt(World):
    """A world whose EC2 says this of when each instance was launched."""

    def __init__(self, launched_at: float) -> None:
        super().__init__()
        self.launched_at = launched_at
        self.group("web")
        self.group("free", job_template="")

    def instance(self, instance_id: str, **changes: object) -> Instance:
        return replace(super().instance(instance_id, **changes), launched_at=self.launched_at)

    def done(self) -> object:
        """All that was done."""
        hosts = [
            (host.name, host.variables, host.description, host.id in self.tower.disabled)
            for host in self.tower.hosts.values()
        ]
        gate = [body for url, body, _ in self.queues.sent if url == self.settings.gate_queue_url]
        messages = [read_gate_message(Record("sent", body, REGION, 1, 0, None)) for body in gate]
        waiting = [
            (each.action, each.address, each.stint_since, each.unanswered_since, message.job_id, message.since)
            for message in messages
            if isinstance(message, GateMessage)
            for each in message.waiting
        ]
        jobs = [(run.job.hosts, run.job.status) for run in self.tower.runs.values()]
        return hosts, waiting, jobs, dict(self.fleet.completed), [url for url, _, _ in self.queues.sent]


def notified(action: LifecycleAction) -> LifecycleAction:
    return replace(action, hook=None, token=None, message_id="n1")


def register_everybody(world: LaunchedAt) -> object:
    """Held by a hook, notified of in time and late, back from the pool, and of a group without a job."""
    world.host_of("i-back", "10.0.0.7", variables={})
    actions = [
        world.launching("i-a"),
        world.launching("i-free", "free"),
        notified(world.launching("i-new", state="InService")),
        replace(notified(world.launching("i-late", state="InService")), at=world.clock.now - 1800, message_id="n2"),
        replace(world.launching("i-back"), message_id="m2"),
    ]
    reports = world.register(*actions)
    return [(report.action, report.outcome, str(report.error), report.event, report.notes) for report in reports]


def gate_everybody(world: LaunchedAt, outcome: Outcome, seconds: float) -> object:
    """Rounds of the gate over those whose job ended so."""
    world.register(world.launching("i-a"), notified(world.launching("i-b", state="InService")))
    said: list[object] = []
    for _ in range(3):
        messages = [message for message, _ in world.queues.gate_messages()]
        world.queues.sent.clear()
        for run in list(world.tower.runs.values()):
            if not run.job.status.final:
                world.tower.end_job(run.job.id, dict.fromkeys(run.job.hosts, outcome))
        world.clock.advance(seconds)
        for each in world.evaluate(*messages):
            said += [(report.action, report.outcome, report.event, report.notes) for report in each.reports]
            said += [(delay, message.job_id, message.polls, message.alerted) for message, delay in each.next]
    return said


def reconcile_everybody(world: LaunchedAt) -> object:
    """Instances without a host that came lately, long ago and whenever; resting, back in service, and waiting."""
    world.serving("i-young", "10.0.0.1", age=60)
    world.serving("i-old", "10.0.0.2")
    world.serving("i-never", "10.0.0.3")
    world.fleet.known_arrivals.pop("i-never")
    world.serving("i-waits", "10.0.0.4", state="Pending:Wait", age=3600)
    world.host_of("i-rests", "10.0.0.5")
    world.serving("i-rests", "10.0.0.5", state="Warmed:Stopped")
    world.host_of("i-gone", "10.0.0.6")
    world.serving("i-right", "10.0.0.8")
    world.host_of("i-right", "10.0.0.8")
    said: list[object] = []
    for options in (RunOptions(every=300.0), RunOptions(), RunOptions(provision=True)):
        world.serving(f"i-{len(said)}", f"10.0.1.{len(said)}")
        outcome = world.reconcile(options)
        said.append((outcome.fixes, outcome.plan, outcome.errors, outcome.left))
        world.clock.advance(300)
    return said


def same_whatever(launched_at: float, what: Callable[[LaunchedAt], object]) -> None:
    usual, other = LaunchedAt(USUAL), LaunchedAt(launched_at)
    assert _unmade(what(other)) == _unmade(what(usual))
    assert _unmade(other.done()) == _unmade(usual.done())


def _unmade(said: object) -> str:
    """Without the id of a run, which is another one each time."""
    return re.sub(r"in run [0-9a-f]{12}", "in a run", re.sub(r"launched_at=[^,)]*", "", str(said)))


@given(TIMES)
def test_register_does_the_same_whatever_ec2_says_of_launches(launched_at: float) -> None:
    same_whatever(launched_at, register_everybody)


@pytest.mark.parametrize("outcome", Outcome)
@given(TIMES, st.sampled_from((10.0, 900.0, 1800.0)))
def test_the_gate_does_the_same_whatever_ec2_says_of_launches(
    outcome: Outcome, launched_at: float, seconds: float
) -> None:
    same_whatever(launched_at, lambda world: gate_everybody(world, outcome, seconds))


@given(TIMES)
def test_reconcile_does_the_same_whatever_ec2_says_of_launches(launched_at: float) -> None:
    same_whatever(launched_at, reconcile_everybody)


def test_these_worlds_see_all_that_they_should() -> None:
    world = LaunchedAt(USUAL)
    reports = str(register_everybody(world))
    assert "left to reconcile" in reports
    assert reports.count("registered") == 4
    world = LaunchedAt(USUAL)
    said = str(reconcile_everybody(world))
    for words in ("its event was lost", "its job is asked for", "no job is to reach it", "has no host in use"):
        assert words in said
    world = LaunchedAt(USUAL)
    assert "Instance Ready" in str(gate_everybody(world, Outcome.OK, 10.0))
    assert Membership("web", "InService") in world.fleet.known_memberships.values()
