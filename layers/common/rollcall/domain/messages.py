"""What the queues carry, and the requests for runs of reconcile and doctor."""

from __future__ import annotations

from typing import NamedTuple

from .actions import LifecycleAction


class Waiting(NamedTuple):
    """An instance at the gate: its action, and the address its checks go to.

    stint_since: when its present stint began, by Tower's clock; None in messages of a version that knew no stints.
    unanswered_since: since when AWS does not find its lifecycle action, though Auto Scaling holds the instance, by the
    clock of the functions; None while AWS finds it. launched_at: written for that version alone, should it be deployed
    again. All in epoch seconds. check_states: what its checks keep from one round to the next, by how the tag spells
    them.
    """

    action: LifecycleAction
    launched_at: float
    address: str
    stint_since: float | None = None
    unanswered_since: float | None = None
    check_states: tuple[tuple[str, str], ...] = ()


class GateMessage(NamedTuple):
    """What the gate queue carries.

    job_id: the job last known to hold these instances, None where their groups have no template.
    since: when they were registered; heartbeat_at: when their hooks began to wait, or last got a heartbeat (both epoch
    seconds). polls: how often the same job has been polled. alerted: whether an alert about them was published.
    lost_jobs: how often in a row a job that was launched for them did not count for them: see lifecycle/lost_jobs.py.
    relaunch_at: until when no other one is launched; cancel_at: until when no other attempt is made to cancel theirs,
    which Tower refused (both epoch seconds). stuck_job: the job that was reported as stuck, None if none was.
    """

    waiting: tuple[Waiting, ...]
    job_id: int | None
    since: float
    heartbeat_at: float
    polls: int = 0
    alerted: bool = False
    lost_jobs: int = 0
    relaunch_at: float = 0.0
    cancel_at: float = 0.0
    stuck_job: int | None = None


class Watched(NamedTuple):
    """An instance let through the gate: its action, its launch (epoch seconds), and what was last published of it.

    serving is None as long as nothing was published.
    """

    action: LifecycleAction
    launched_at: float
    serving: bool | None = None


class WatchMessage(NamedTuple):
    """What the gate queue carries after CONTINUE: instances of one group; since and until in epoch seconds."""

    watched: tuple[Watched, ...]
    since: float
    until: float


class RetireMessage(NamedTuple):
    """What the gate queue carries of instances on their way out, all of one group.

    job_id: the retire job that is known to hold them, None as long as none is. since: when cleanup handed them over;
    heartbeat_at: when their hooks last got a heartbeat; unanswered_since: see Waiting (all epoch seconds). polls: how
    often the same job has been polled. lost_jobs: how often a job that was launched for them did not count for them:
    see lifecycle/lost_jobs.py. relaunch_at: until when no other one is launched, in epoch seconds.
    """

    retiring: tuple[LifecycleAction, ...]
    job_id: int | None
    since: float
    heartbeat_at: float
    polls: int = 0
    unanswered_since: float | None = None
    lost_jobs: int = 0
    relaunch_at: float = 0.0


class RunOptions(NamedTuple):
    """What is requested of a run of reconcile beyond the usual.

    groups: only these, None for all. instances: only these, by id, None for all; those that wait are queued at once.
    provision: hosts that were missing are provisioned, however old their instances. forget: groups whose hosts go
    although their instances live. adopt: hosts of our instances that another process or an operator made are taken
    over. every: seconds from one scheduled run to the next, None for a run by hand.
    """

    groups: frozenset[str] | None = None
    instances: frozenset[str] | None = None
    provision: bool = False
    forget: frozenset[str] = frozenset()
    adopt: bool = False
    every: float | None = None


class ExaminationRequest(NamedTuple):
    """What is requested of doctor. groups: only these, None for all. announce: what is new is announced."""

    groups: frozenset[str] | None = None
    announce: bool = False


class RunRequest(NamedTuple):
    """A run of reconcile. dry_run: nothing is changed. force: the removal limit stops nothing."""

    options: RunOptions = RunOptions()
    dry_run: bool = False
    force: bool = False
