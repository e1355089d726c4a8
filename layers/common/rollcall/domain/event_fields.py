"""What stands in the events on the bus, for the functions that write them and for alert, which reads them. Pure.

It imports nothing: alert has to start without Tower, and without what knows of it.
"""

from __future__ import annotations

from typing import NamedTuple

WORK_FAILED = "Work Failed"
DRIFT_FIXED = "Drift Fixed"
CONFLICT_FOUND = "Conflict Found"
SERVING = "Instance Serving"
NOT_SERVING = "Instance Not Serving"
MISCONFIGURATION_FOUND = "Misconfiguration Found"
MISCONFIGURATION_MENDED = "Misconfiguration Mended"
CYCLE_STARTED = "Cycle Started"
CYCLE_PROGRESS = "Cycle Progress"
CYCLE_SUCCEEDED = "Cycle Succeeded"
CYCLE_FAILED = "Cycle Failed"
CYCLE_ROLLED_BACK = "Cycle Rolled Back"
CYCLE_CANCELLED = "Cycle Cancelled"
IMAGE_BAKED = "Image Baked"
IMAGE_FAILED = "Image Failed"
IMAGE_RETIRED = "Image Retired"

REMOVAL_LIMIT = "breaker: "  # before the name of what it guards, the cause of a removal limit that was exceeded
OF_AN_INSTANCE = "instance: "  # before group and id, the cause of what is wrong with one
OF_A_CYCLE = "cycle: "  # before a group, the cause of a cycle of it that failed
OF_A_BAKE = "bake: "  # before a group, the cause of a bake of it that failed
OF_THE_DOCTOR = "doctor: "  # before a finding's key, its cause
BY_OPERATOR = "operator"  # as what ended a cycle before it was through


class WorkFailed(NamedTuple):
    """The fields of a Work Failed beside where it comes from and the job's page.

    error: its name. cause: the same few words for all that it concerns. failing_for: seconds. again_within: seconds
    within which it is published again if it lasts, None if it is published once. set_aside: in a dead-letter queue.
    job: the id of a Tower job.
    """

    error: str
    transient: bool
    reason: str
    cause: str
    again_within: float | None
    group: str | None = None
    instance_id: str | None = None
    tries: int = 1
    failing_for: float = 0.0
    set_aside: bool = False
    job: int | None = None


def subject_of(group: str, instance_id: str) -> str:
    """An instance as events and incidents name it."""
    return f"{group}/{instance_id}"
