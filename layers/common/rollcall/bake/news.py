"""What is published of a bake: the kinds of events, and what the steps hand to the announcer. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain import event_fields

if TYPE_CHECKING:
    from rollcall.workflow.answer import StepAnswer

    from .state import BakeState


class BakeEvent(StrEnum):
    """What becomes of a bake or its image: the detail type of the event that is published of it.

    baked: an image was made, passed its smoke test and is in a version of the launch template. failed: a bake ended
    otherwise than it was asked for. retired: an image of the group was disabled or deregistered.
    """

    BAKED = event_fields.IMAGE_BAKED
    FAILED = event_fields.IMAGE_FAILED
    RETIRED = event_fields.IMAGE_RETIRED


class BakeNews(NamedTuple):
    """Something that is published of a bake. state: the bake's when it happened.

    image: the id of the image that it is about, empty where there is none. words: what became of it, where the state
    does not say so.
    """

    kind: BakeEvent
    state: BakeState
    image: str = ""
    words: str = ""


type BakeAnswer = StepAnswer[BakeState, BakeNews]
