"""A bake in the midst of its work, and what a step of it has found, for tests of what is published of it."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

from rollcall.bake.news import BakeAnswer, BakeEvent, BakeNews
from rollcall.bake.state import BakeResult, BakeState, BaseImage, Phase
from rollcall.workflow.answer import StepAnswer
from rollcall.workflow.names import bake_id_of
from unit.fakes import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "web-2b1d6f0a-20261121T020000"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:rollcall-bake"
EXECUTION = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{NAME}"
BAKE_ID = bake_id_of(EXECUTION, 1_000_000.0)
BUILDER, SMOKE = "i-0a1b2c3d4e5f60718", "i-0123456789abcdef0"
BASE, IMAGE, BEFORE = "ami-0aaaaaaaaaaaaaaaa", "ami-0bbbbbbbbbbbbbbbb", "ami-0cccccccccccccccc"
STATE = BakeState(
    group="web",
    request={"group": "web", "smoke": "boot", "roll_out": True},
    execution=EXECUTION,
    name=NAME,
    execution_started=1_000_000.0,
    bake_id=BAKE_ID,
    phase=Phase.PROVISIONING,
    phase_since=1_000_060.0,
    base_image=BaseImage(BASE, "al2023-ami-2026.11", "arm64", "amazon", "/dev/xvda"),
    previous_image=BEFORE,
    template_id="lt-0123456789abcdef0",
    template_name="web",
    from_version="6",
    subnet="subnet-1",
    architecture="arm64",
    instance_type="t4g.small",
    builder=BUILDER,
    builder_since=1_000_010.0,
    address="10.0.0.9",
    inventory_id=4,
    host_id=9,
    job_template=7,
    job=121,
    job_url="https://tower.example.com/#/jobs/playbook/121/output",
    job_tries=1,
)
MADE: Mapping[str, Any] = {
    "image_id": IMAGE,
    "image_name": f"rollcall-web-20261121T020000-{BAKE_ID}",
    "project": "fleet",
    "project_revision": "9f2c51d",
    "smoke": "passed",
    "version": "7",
}
ROLLED_OUT: Mapping[str, Any] = {
    **MADE,
    "cycle": f"web-2b1d6f0a-bake-{BAKE_ID}",
    "cycle_result": "succeeded",
    "result": BakeResult.SUCCEEDED,
    "reason": f"image {IMAGE} was rolled out as version 7",
}
ENDED: Mapping[BakeEvent, Mapping[str, Any]] = {  # what the state is when a bake has ended so
    BakeEvent.BAKED: {**MADE, "phase": Phase.VERSION},  # which is rolled out after that
    BakeEvent.FAILED: {
        "phase": Phase.ENDED,
        "ended": STATE.execution_started + 1860.0,
        "result": BakeResult.FAILED,
        "reason": "job 121 failed on the builder: task 'install nginx'",
    },
}


def bake_answer(kind: BakeEvent, image: str = "", words: str = "", **changes: Any) -> BakeAnswer:
    """A step that has this to publish. changes: of the bake's state."""
    state = replace(STATE, **changes)
    return StepAnswer(state, "retain", news=(BakeNews(kind, state, image, words),))


def bake_ended(kind: BakeEvent) -> BakeAnswer:
    """The step of a bake that came to an image, or the last of one that failed 1,860 s after it was started."""
    answer = bake_answer(kind, **ENDED[kind])
    return answer._replace(next="roll_out" if kind == BakeEvent.BAKED else "failed")


RETIRED = bake_answer(
    BakeEvent.RETIRED,
    image="ami-0dddddddddddddddd",
    words="disabled: it is the sixth newest image of the group; it is deregistered by a run at least a day later",
    phase=Phase.RETIRING,
    ended=STATE.execution_started + 1860.0,
    **ROLLED_OUT,
)
