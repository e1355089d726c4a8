"""What an execution of the state machine Cycle carries from one step to the next: workflow/state.py. Frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, NamedTuple

from rollcall.domain.event_fields import BY_OPERATOR
from rollcall.workflow.state import Json, Reader, WorkflowState, listed, or_none, texts

LISTED_MAX = 20  # instances, verdicts or dips in any list


class Phase(StrEnum):
    """What a cycle is doing, in the words that operators read."""

    PREFLIGHT = "pre-flight"
    STARTING = "starting"
    REPLACING = "replacing"
    CHECKPOINT = "waiting at a checkpoint"
    BAKING = "baking"
    ROLLING_BACK = "rolling back"
    CANCELLING = "cancelling"
    VERIFYING = "verifying"
    PUTTING_BACK = "putting back"
    ENDED = "ended"


class CycleResult(StrEnum):
    """What a cycle ended as."""

    SUCCEEDED = "succeeded"
    NOTHING_TO_REPLACE = "nothing to replace"
    DRY_RUN = "dry run"
    REFUSED = "refused"
    FAILED = "failed"
    ROLLED_BACK = "rolled back"
    CANCELLED = "cancelled"

    @property
    def went_well(self) -> bool:
        """Whether it did what it was asked for."""
        return self in (CycleResult.SUCCEEDED, CycleResult.NOTHING_TO_REPLACE, CycleResult.DRY_RUN)


class EndedBy(StrEnum):
    """What ended a refresh before it was through."""

    VERDICTS = "verdicts"  # of the gate, against the new version
    OPERATOR = BY_OPERATOR  # or another program, by a request that is not the cycle's
    AWS = "aws"  # for an alarm of the refresh, or because it failed
    NOTHING = ""


class Since(StrEnum):
    """What the seconds of a listed instance count from: when Auto Scaling began with that."""

    LAUNCH = "launch"
    TERMINATION = "termination"
    UNKNOWN = ""


class ListedInstance(NamedTuple):
    """An instance that a cycle launches or terminates. seconds: since Auto Scaling began with what since names.

    left: seconds until its stage is over, None where that is not known.
    """

    id: str
    stage: str
    seconds: float
    version: str = ""
    since: Since = Since.UNKNOWN
    left: float | None = None


class CycleVerdict(NamedTuple):
    """A verdict of the gate against a new instance.

    decision: abandon or hold. what: the task that failed, or the checks with blanks between. template: the job
    template's id, None for checks. reason: in the gate's words.
    """

    instance_id: str
    decision: str
    what: str
    template: int | None
    job: int | None
    job_url: str | None
    reason: str

    @property
    def key(self) -> tuple[int | None, str]:
        """The same for what fails in the same places: the task of a template, or the checks."""
        return self.template, self.what

    @property
    def places(self) -> tuple[tuple[int | None, str], ...]:
        """Each place where the instance failed: the task of a template, or every one of its checks."""
        return (self.key,) if self.template is not None else tuple((None, check) for check in self.what.split())


class TargetDip(NamedTuple):
    """A moment in which a target group had fewer healthy targets than it should. at: epoch seconds."""

    at: float
    target_group: str
    healthy: int
    expected: int


@dataclass(frozen=True)
class CycleState(WorkflowState):
    """One cycle of a group. Times in epoch seconds.

    refresh_id: empty until there is one. target_version: the number that new instances run, empty where the group's
    configuration is not changed. from_version: what is gone back to, else what most ran. sent: what
    StartInstanceRefresh is sent. rolls_back: whether AWS is to roll back. desired, batch: instances. healthy_at_start:
    healthy targets by target group's ARN. polls: evaluations so far. began: when the refresh began. new, in_progress,
    left: instances. verify_since: when AWS called the refresh successful. launch_failure: why AWS launches nothing, in
    its words. verdicts_read: when the gate's log was read last. unread: what could not be read in the last round, and
    will be read in the next. ended_by: what ended its refresh. runs: once a refresh has not gone well, how many
    instances run each version of the group's template, "" for another template; launches: the version that the group
    launches next, as it has that, and launches_number what that is.
    """

    READERS: ClassVar[Mapping[str, Reader]] = {
        **WorkflowState.READERS,
        "instances": listed(ListedInstance),
        "verdicts": listed(CycleVerdict),
        "dips": listed(TargetDip),
        "unverified": texts,
        "phase": Phase,
        "ended_by": EndedBy,
        "result": or_none(CycleResult),
    }

    refresh_id: str = ""
    template_id: str = ""
    target_version: str = ""
    from_version: str = ""
    sent: Json = field(default_factory=dict)
    rolls_back: bool = False
    pinned_from: str = ""
    desired: int = 0
    batch: int = 0
    skip_matching: bool = False
    healthy_at_start: Mapping[str, int] = field(default_factory=dict)
    polls: int = 0
    began: float = 0.0
    phase: Phase = Phase.PREFLIGHT
    percent: int = 0
    new: int = 0
    in_progress: int = 0
    left: int = 0
    instances: tuple[ListedInstance, ...] = ()
    verdicts: tuple[CycleVerdict, ...] = ()
    dips: tuple[TargetDip, ...] = ()
    launch_failure: str = ""
    verdicts_read: float = 0.0
    unread: str = ""
    verify_since: float = 0.0
    unverified: tuple[str, ...] = ()
    result: CycleResult | None = None
    ended_by: EndedBy = EndedBy.NOTHING
    runs: Mapping[str, int] = field(default_factory=dict)
    launches: str = ""
    launches_number: str = ""
