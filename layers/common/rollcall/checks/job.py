"""`job`: the group's provisioning job.

That the job went well on an instance is what brings it to its checks, so nothing is left to be read here: see
lifecycle/gate_observer.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollcall.domain.groups import JOB_CHECK

from .protocol import Kind, Pass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .protocol import Answer, Context, Subject


@dataclass(frozen=True)
class JobCheck:
    """Passes: only instances on which the job went well are examined."""

    def __str__(self) -> str:
        return JOB_CHECK

    def examine(self, subjects: Sequence[Subject], context: Context) -> Mapping[str, Answer]:
        return {each.instance_id: Pass() for each in subjects}


KIND = Kind(JOB_CHECK, JOB_CHECK, JOB_CHECK, JobCheck, only_reads=True)
