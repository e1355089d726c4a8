"""Whether what a stopped execution left behind is gone. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.errors import BuilderStillThere

from .answer import PUT_BACK

if TYPE_CHECKING:
    from .answer import StepAnswer


def require_settled(answer: StepAnswer) -> None:
    """Raise BuilderStillThere where an execution that ended some other way has left something that is not gone yet."""
    if answer.next == PUT_BACK:
        raise BuilderStillThere(
            f"what the bake {answer.state.name} of group {answer.state.group!r} has launched is being terminated"
        )
