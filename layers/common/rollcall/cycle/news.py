"""What is published of a cycle: the kinds of events, and what the steps hand to the announcer. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain import event_fields

if TYPE_CHECKING:
    from rollcall.workflow.answer import StepAnswer

    from .state import CycleState


class CycleEvent(StrEnum):
    """What becomes of a cycle: the detail type of the event that is published of it."""

    STARTED = event_fields.CYCLE_STARTED
    PROGRESS = event_fields.CYCLE_PROGRESS
    SUCCEEDED = event_fields.CYCLE_SUCCEEDED
    FAILED = event_fields.CYCLE_FAILED
    ROLLED_BACK = event_fields.CYCLE_ROLLED_BACK
    CANCELLED = event_fields.CYCLE_CANCELLED


class CycleNews(NamedTuple):
    """Something that is published of a cycle. state: the cycle's when it happened."""

    kind: CycleEvent
    state: CycleState


type CycleAnswer = StepAnswer[CycleState, CycleNews]
