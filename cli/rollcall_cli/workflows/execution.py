"""An execution of a state machine, of a cycle or of a bake, as Step Functions shows it. Frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

CANCELLED = "Cancelled"  # the error of an execution that a command stopped


class Status(StrEnum):
    """What AWS says of an execution (API reference, DescribeExecution)."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    ABORTED = "ABORTED"


class Started(NamedTuple):
    """An execution to follow. attached: it was there already."""

    arn: str
    attached: bool

    @property
    def name(self) -> str:
        """Its name, which holds the group and the key."""
        return self.arn.rpartition(":")[2]


@dataclass(frozen=True)
class Execution[S]:
    """A cycle or a bake as Step Functions shows it. Times in epoch seconds, by AWS's clock.

    request: its input. ended: None while it runs. read: when this was read. state: what its last step answered, None
    before the first did; answered: when. error, cause: why it failed, in the words of the machine or AWS. failing: why
    the step under way failed the last time; it is tried again.
    """

    arn: str
    status: Status
    request: Mapping[str, Any]
    began: float
    ended: float | None
    read: float
    state: S | None = None
    answered: float = 0.0
    error: str = ""
    cause: str = ""
    failing: str = ""

    @property
    def name(self) -> str:
        """Its name, which holds the group and the key."""
        return self.arn.rpartition(":")[2]

    @property
    def running(self) -> bool:
        """Whether it is not over."""
        return self.status == Status.RUNNING

    @property
    def is_cancelled(self) -> bool:
        """Whether a command stopped it."""
        return self.status == Status.ABORTED and self.error == CANCELLED

    @property
    def is_dry_run(self) -> bool:
        """Whether it changes nothing."""
        return bool(self.request.get("dry_run"))

    @property
    def seconds(self) -> float:
        """How long it took; or has taken until now."""
        return max(0.0, (self.ended or self.read) - self.began)
