"""The step `image`: the builder is stopped and made an image of, and AWS's answer waited for.

Of an instance that runs CreateImage makes its image after a reboot (API reference, NoReboot): the builder would boot
once more after the playbook has cleaned it, and its first boot would be in the image. That its shutdown behaviour is
`terminate` does not matter to StopInstances (EC2 user guide, "Change instance initiated shutdown behavior").

CreateImage has no client token: the image's name holds the bake's id, so that what an earlier try has made is found
again, and made once.
"""

from __future__ import annotations

import re
from copy import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rollcall.aws.images import AVAILABLE, BROKEN
from rollcall.domain import bake_tags
from rollcall.domain.errors import AwsRejected
from rollcall.workflow.answer import StepAnswer, over
from rollcall.workflow.waiting import next_wait

from .state import BakeResult, Phase

if TYPE_CHECKING:
    from rollcall.aws.images import Image

    from .bake_aws import BakeAws
    from .news import BakeAnswer
    from .state import BakeState

GROUP_MAX = 60  # characters of a group's name in an image's; EC2 takes 128 in all (API reference, CreateImage)
NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._-]", re.ASCII)
NAME_TAG = "Name"  # the function's role may set it while something is made, and not later (template.yaml, TagImages)
NAME_FORMAT = "%Y%m%dT%H%M%S"  # in UTC
STOPPED, STOPPING = "stopped", "stopping"  # states of an instance
VISIBLE_AFTER = 300.0  # seconds in which DescribeImages shows an image that was made


def image_name(state: BakeState) -> str:
    """The name of the image of a bake. Pure."""
    started = datetime.fromtimestamp(state.execution_started, UTC).strftime(NAME_FORMAT)
    return f"rollcall-{NOT_ALLOWED.sub('-', state.group)[:GROUP_MAX]}-{started}-{state.bake_id}"


def image_tags(state: BakeState) -> dict[str, str]:
    """The tags of the image of a bake, and of its snapshots, as far as they are known when it is made. Pure."""
    known = {
        bake_tags.MADE_BY: bake_tags.MADE_BY_BAKE,
        bake_tags.BAKE_ID: state.bake_id,
        bake_tags.BAKE_GROUP: state.group,
        bake_tags.BAKE_EXECUTION: state.name,
        bake_tags.BASE_IMAGE: state.base_image.id,
        bake_tags.FROM_VERSION: state.from_version,
        bake_tags.PROJECT_REVISION: state.project_revision,
        bake_tags.KEEP_TAG: str(state.request.get("keep", "")),
        bake_tags.JOB: "" if state.job is None else str(state.job),
        NAME_TAG: image_name(state),
    }
    return {key: value for key, value in known.items() if value}


class Imaging:
    """Makes images of builders."""

    def __init__(self, aws: BakeAws) -> None:
        self._aws = aws

    def step(self, state: BakeState, now: float) -> BakeAnswer:
        """Stop the builder and make the image, or find the one that an earlier try has made, until AWS has made it.

        now: epoch seconds. Only the builder's root volume is in it. Raises what AWS fails at for now.
        """
        name = image_name(state)
        if state.image_name != name:
            state = replace(state, phase=Phase.IMAGING, phase_since=now, image_name=name)
        image = self._aws.image(state.image_id) if state.image_id else self._aws.own_image_named(name)
        if image is None and not state.image_id:
            try:
                made = self._made(state, now)
            except AwsRejected as error:
                return over(state, BakeResult.FAILED, f"no image can be made of builder {state.builder}: {error}")
            if made is None:
                return _not_stopped(state, now)
            state = made
        if image is None:
            return _not_visible(state, now)
        if image.tags.get(bake_tags.BAKE_ID) != state.bake_id:
            return over(
                state, BakeResult.FAILED, f"there is an image {image.id} of the name {name}, and another made it"
            )
        return self._found(replace(state, image_id=image.id), image, now)

    def _made(self, state: BakeState, now: float) -> BakeState | None:
        """With the new image, whose id is empty where AWS has one of this name and does not show it yet.

        None until the builder is stopped, which this begins.
        """
        source = self._aws.image_source(state.builder)
        if source.state != STOPPED:
            if source.state != STOPPING:
                self._aws.stop(state.builder)
            return None
        description = f"made by rollcall bake {state.bake_id} for group {NOT_ALLOWED.sub('-', state.group)}"
        image_id = self._aws.create_image(
            state.builder, state.image_name, description, image_tags(state), source.other_devices
        )
        return replace(state, image_id=image_id or "", image_since=state.image_since or now)

    def _found(self, state: BakeState, image: Image, now: float) -> BakeAnswer:
        if image.state in BROKEN:
            return over(state, BakeResult.FAILED, f"AWS could not make image {image.id}: {image.reason or image.state}")
        if image.state == AVAILABLE:
            tags = {key: value for key, value in image_tags(state).items() if key != NAME_TAG}
            self._aws.tag_resources((image.id, *image.snapshots), tags)  # snapshots that AWS made before it tagged them
            return StepAnswer(replace(state, snapshots=image.snapshots), "terminate")
        if state.until and now >= state.until:
            words = f"image {image.id} is still {image.state}, and the bake's time is over"
            return over(state, BakeResult.FAILED, words)
        return StepAnswer(state, "image", next_wait(now - state.image_since))


def _not_stopped(state: BakeState, now: float) -> BakeAnswer:
    if state.until and now >= state.until:
        words = f"builder {state.builder} has not stopped for its image, and the bake's time is over"
        return over(state, BakeResult.FAILED, words)
    return StepAnswer(state, "image", next_wait(now - state.phase_since))


def _not_visible(state: BakeState, now: float) -> BakeAnswer:
    if now - state.image_since > VISIBLE_AFTER:
        named = state.image_id or f"of the name {state.image_name}"
        return over(
            state, BakeResult.FAILED, f"AWS does not show the image {named} that was made {VISIBLE_AFTER:.0f} s ago"
        )
    return StepAnswer(state, "image", next_wait(now - state.image_since))
