"""What the doctor function answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollcall import __version__
from rollcall.domain.answer_limit import cut_to_answer_limit

if TYPE_CHECKING:
    from .diagnosis import Diagnosis

type Json = dict[str, Any]

LISTED_MAX = 2000  # findings


def answer(diagnosis: Diagnosis, seconds: float) -> Json:
    """The answer as JSON. Its fields:

    failed: something would break a launch, or may, for it could not be read. checked: what was examined.
    findings: what is wrong. left_out: how many more findings there are. topics: ARNs and patterns of those that may
    send to the queues. version: of Rollcall. seconds: it took.
    """
    findings = [each.in_words() for each in diagnosis.findings[:LISTED_MAX]]
    kept = cut_to_answer_limit({"checked": diagnosis.checked, "topics": diagnosis.topics, "findings": findings})
    return {
        "failed": diagnosis.failed,
        **kept,
        "left_out": len(diagnosis.findings) - len(kept["findings"]),
        "version": __version__,
        "seconds": round(seconds, 3),
    }
