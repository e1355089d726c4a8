"""A bake in the list of the last ones. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.bake.state import BakeResult
from rollcall_cli.workflows.listing import RUNNING, Listed, result_of

if TYPE_CHECKING:
    from rollcall.bake.state import BakeState
    from rollcall_cli.workflows.execution import Execution

GOOD = frozenset({RUNNING, *(str(each) for each in BakeResult if each.went_well)})


def listed(execution: Execution[BakeState]) -> Listed:
    """A bake as the list shows it."""
    state, result = execution.state, result_of(execution, BakeResult)
    image, version = (state.image_id, state.version) if state else ("", "")
    return Listed.of(execution, image, version, result, is_good=result in GOOD)
