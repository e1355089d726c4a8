"""How often Rollcall polls a job of five minutes, and how late it learns of its end.

Register and gate are the real ones, over HTTP with an embedded Tower; AWS is in memory. The clock is simulated: what
is sent with a delay is received when that is over, so a job of five minutes takes no time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from unittest.mock import patch

from bench.figures import percentile
from bench.places import EARLIER, EVENT_LAG, HISTORY, run_history
from lab.tower.embedded import Tower as EmbeddedTower
from rollcall.evidence.job_reader import JobEvidence
from rollcall.lifecycle.gate import Gate
from rollcall.lifecycle.gate_round import RoundResources, send_on
from rollcall.lifecycle.register import Register
from rollcall.tower import connection
from rollcall.tower.client import Tower
from rollcall.tower.connection import Credentials
from unit.world import REMOVAL_SHARE, TIME_LEFT, World

JOB_TIME = 300.0  # seconds
JOB_SPREAD = 0.05  # of the jobs that ended before
SHORT_JOB_TIME = 60.0  # seconds
HEARTBEAT_TIMEOUT = 600  # seconds
STEP = 2  # seconds between two of the durations that are tried
POLLS_MAX = 1000


@dataclass(frozen=True)
class Watch:
    """One job from its launch to CONTINUE: polls of it, and seconds from its result being readable to CONTINUE."""

    polls: int
    lag: float


def poll_figures() -> dict[str, float]:
    """The most polls, and p50 and p95 of the lag, over jobs 5 % shorter to 5 % longer than 300 s.

    Each once after five such jobs, and once after four such jobs and a much shorter one.
    """
    shortest, longest = round(JOB_TIME * (1 - JOB_SPREAD)), round(JOB_TIME * (1 + JOB_SPREAD))
    watches = [
        watch(float(seconds), history)
        for seconds in range(shortest, longest + 1, STEP)
        for history in ((), (SHORT_JOB_TIME,))
    ]
    lags = [each.lag for each in watches]
    return {
        "polls_5min_job": max(each.polls for each in watches),
        "polls_5min_job_mean": sum(each.polls for each in watches) / len(watches),
        "poll_lag_5min_p50_s": percentile(lags, 0.5),
        "poll_lag_5min_p95_s": percentile(lags, 0.95),
    }


def watch(seconds: float, newest: Sequence[float]) -> Watch:
    """Register one instance, and poll its job, which takes so many seconds, when Rollcall would.

    newest: seconds that the newest jobs of its history took; the others took about JOB_TIME.
    """
    world = World()
    embedded = _tower_with_history(world, newest)
    embedded.set_job_time(seconds)
    world.group("web", heartbeat_timeout=HEARTBEAT_TIMEOUT)
    action = world.launching("i-0123456789abcdef0")
    this_machine = SimpleNamespace(time=world.clock)  # a Date far from the machine's own time is not believed at once
    with embedded.serve() as url, patch.object(connection, "time", this_machine):

        def client() -> Tower:
            return Tower(url, lambda refresh: Credentials(embedded.token))

        aws = (world.fleets, world.queues)
        evidence = partial(JobEvidence, client())
        register = Register(world.settings, client(), *aws, world.clock, evidence, share=REMOVAL_SHARE)
        [report] = register.register([action])
        assert not report.error, report.error
        tower = client()
        clients = (tower, JobEvidence(tower), world.fleets, world.queues)
        resources = RoundResources(world.settings, *clients, world.clock, lambda: TIME_LEFT)
        gate = Gate(resources, share=REMOVAL_SHARE)
        for polls in range(1, POLLS_MAX):
            [(message, delay)] = world.queues.gate_messages()
            world.queues.sent.clear()
            world.clock.advance(delay)
            rounds = gate.evaluate([message])
            send_on(rounds, world.queues, world.settings.gate_queue_url, lambda: TIME_LEFT)
            assert not rounds[0].error, rounds[0].error
            if world.fleet.completed:
                job = embedded.jobs()[HISTORY + len(newest)]
                assert job.finished
                return Watch(polls, world.clock.now - job.finished - embedded.event_lag)
    raise AssertionError(f"not completed after {POLLS_MAX} polls")


def _tower_with_history(world: World, newest: Sequence[float]) -> EmbeddedTower:
    """A Tower whose template has run jobs before, the newest of them for so many seconds."""
    embedded = EmbeddedTower(
        boot_time=0, job_time=JOB_TIME, job_spread=JOB_SPREAD, event_lag=EVENT_LAG, clock=world.clock
    )
    inventory = embedded.add_inventory("prod")
    template = embedded.add_job_template("provision", inventory)
    run_history(embedded, inventory, template)
    world.clock.advance(2 * JOB_TIME)
    for each in newest:
        embedded.set_job_time(each)
        embedded.run_playbook(template, EARLIER)
        world.clock.advance(2 * each)
    embedded.set_job_spread(0)
    return embedded
