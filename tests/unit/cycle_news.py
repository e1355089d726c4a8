"""A cycle in the midst of its work, and what a step of it has found, for tests of what is published of it."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

from rollcall.cycle.news import CycleAnswer, CycleEvent, CycleNews
from rollcall.cycle.state import CycleResult, CycleState, CycleVerdict, EndedBy, ListedInstance, Phase, Since
from rollcall.workflow.answer import StepAnswer
from unit.fakes import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "web-2b1d6f0a-v7"
EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:rollcall-CycleStateMachine-1A2B3C:{NAME}"
NEW, OLD, FAILED = "i-0a1b2c3d4e5f60718", "i-0123456789abcdef0", "i-0fedcba9876543210"
VERDICT = CycleVerdict(
    instance_id=FAILED,
    decision="abandon",
    what="install nginx",
    template=7,
    job=121,
    job_url="https://tower.example.com/#/jobs/playbook/121/output",
    reason="job 121 failed on it",
)
STATE = CycleState(
    group="web",
    request={"group": "web"},
    execution=EXECUTION,
    name=NAME,
    execution_started=1_000_000.0,
    refresh_id="08b91cf7-8fa6-48af-b6a6-d227f40f1b9b",
    template_id="lt-0123456789abcdef0",
    target_version="7",
    from_version="6",
    desired=8,
    batch=2,
    began=1_000_030.0,
    phase=Phase.REPLACING,
    percent=25,
    new=2,
    in_progress=2,
    left=4,
    instances=(
        ListedInstance(NEW, "provisioning", 41.04, "7", Since.LAUNCH),
        ListedInstance(OLD, "terminating", 12.0, "6", Since.TERMINATION),
    ),
)


def answer_of(kind: CycleEvent, **changes: Any) -> CycleAnswer:
    """A step that has this to publish. changes: of the cycle's state."""
    state = replace(STATE, **changes)
    return StepAnswer(state, "wait", news=(CycleNews(kind, state),))


ENDED: Mapping[CycleEvent, Mapping[str, Any]] = {  # what the state is when a cycle has ended so
    CycleEvent.SUCCEEDED: {
        "result": CycleResult.SUCCEEDED,
        "reason": "8 instances were verified",
        "new": 8,
        "in_progress": 0,
        "left": 0,
        "percent": 100,
        "instances": (),
    },
    CycleEvent.FAILED: {
        "result": CycleResult.FAILED,
        "reason": "AWS calls the instance refresh successful, and this is not: "
        "i-0a1b2c3d4e5f60718 is unhealthy in target group web",
        "new": 8,
        "in_progress": 0,
        "left": 0,
        "percent": 100,
        "instances": (),
    },
    CycleEvent.ROLLED_BACK: {
        "result": CycleResult.ROLLED_BACK,
        "reason": "task 'install nginx' failed on 2 new instances: rolled back to version 6",
        "ended_by": EndedBy.VERDICTS,
        "verdicts": (VERDICT,),
        "new": 0,
        "in_progress": 0,
        "left": 8,
        "percent": 100,
        "instances": (),
    },
    CycleEvent.CANCELLED: {
        "result": CycleResult.CANCELLED,
        "reason": "its execution was stopped by hand",
        "ended_by": EndedBy.OPERATOR,
        "in_progress": 0,
        "left": 6,
        "instances": (),
    },
}


def ended(kind: CycleEvent) -> CycleAnswer:
    """The last step of a cycle that ended so, 930 s after it was started."""
    last = answer_of(kind, phase=Phase.ENDED, ended=STATE.execution_started + 930.0, **ENDED[kind])
    return last._replace(next="succeeded" if kind == CycleEvent.SUCCEEDED else "failed")
