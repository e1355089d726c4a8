"""A cycle in the list of the last ones. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.cycle.state import CycleResult
from rollcall_cli.workflows.listing import RUNNING, Listed, result_of

if TYPE_CHECKING:
    from .executions import CycleExecution

GOOD = frozenset({RUNNING, *(str(each) for each in CycleResult if each.went_well)})


def listed(execution: CycleExecution) -> Listed:
    """A cycle as the list shows it. Its version: that was named, or else came to be."""
    state, request = execution.state, execution.request
    named = str(request.get("launch_template_version") or "")
    version, result = (state.target_version if state else "") or named, result_of(execution, CycleResult)
    return Listed.of(execution, None, version, result, is_good=result in GOOD)
