"""Lifecycle actions: one instance on its way into a group or out of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum


class Transition(StrEnum):
    """Which way an instance goes."""

    LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
    TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"


class Result(StrEnum):
    """What a lifecycle hook is completed with."""

    CONTINUE = "CONTINUE"
    ABANDON = "ABANDON"


@dataclass(frozen=True)
class LifecycleAction:
    """One instance on its way in or out of a group.

    hook is None where nothing waits for an answer: the instance is in service already, or already terminated. token is
    None where the action is completed by instance id. to_warm_pool: it goes, and may come back. retire_job_over: it
    needs no other retire job. node_pattern, private_dns: what its host's variables said of its node in Chef before the
    host was removed, as text; empty if nothing. message_id: of the message it came in; the same action may come in
    several. received_at: when that was first received, in epoch seconds; infinity if it came in none. at: when Auto
    Scaling published it, likewise; infinity if that is not known. failed_before: its message failed at an earlier try,
    so that an alert may have been published. unanswered_since: see Waiting; only cleanup's own messages carry it.
    """

    transition: Transition
    account: str
    region: str
    group: str
    instance_id: str
    hook: str | None = None
    token: str | None = None
    to_warm_pool: bool = field(default=False, compare=False)
    retire_job_over: bool = field(default=False, compare=False)
    node_pattern: str = field(default="", compare=False)
    private_dns: str = field(default="", compare=False)
    message_id: str = field(default="", compare=False)
    received_at: float = field(default=math.inf, compare=False)
    at: float = field(default=math.inf, compare=False)
    failed_before: bool = field(default=False, compare=False)
    unanswered_since: float | None = field(default=None, compare=False)

    @property
    def held_by_hook(self) -> bool:
        """Whether a hook holds the instance until it is answered."""
        return self.hook is not None
