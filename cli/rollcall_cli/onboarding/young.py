"""What becomes of instances that serve already and came lately."""

from __future__ import annotations

from enum import StrEnum


class Young(StrEnum):
    """Reconcile takes the event of such an instance for lost, and runs its job."""

    PROVISION = "provision"  # so be it
    WAIT = "wait"  # the job template's tag is set once they are older than rollcall:timeout
