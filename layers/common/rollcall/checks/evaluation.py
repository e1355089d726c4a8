"""The checks of a gate, evaluated for several instances of one group."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from rollcall.domain.aws_text import SHORT_TEXT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .probes import Probes
    from .protocol import Answer, Check, Context, Subject

type Answers = Mapping[str, Answer]  # of one instance, by the checks as the tag spells them


def evaluate(
    checks: Sequence[Check],
    subjects: Sequence[Subject],
    states: Mapping[str, Mapping[str, str]],
    context: Context,
    probes: Probes,
) -> dict[str, Answers]:
    """What the checks answer of each instance, by its id.

    states: by instance id what its checks kept of the last round, by the checks as the tag spells them.
    """
    if not subjects:
        return {}
    found: dict[str, dict[str, Answer]] = {each.instance_id: {} for each in subjects}
    waiting = []
    for check in checks:
        spelled = str(check)
        known = [replace(each, state=states.get(each.instance_id, {}).get(spelled, "")) for each in subjects]
        for instance_id, answer in check.examine(known, context).items():
            if callable(answer):
                waiting.append((instance_id, spelled, answer))
            else:
                found[instance_id][spelled] = answer
    answers = probes.answers([probe for _, _, probe in waiting])
    for (instance_id, spelled, _), answer in zip(waiting, answers, strict=True):
        found[instance_id][spelled] = answer
    return {
        instance_id: {str(check): _carried(check, own[str(check)]) for check in checks}
        for instance_id, own in found.items()
    }


def _carried(check: Check, answer: Answer) -> Answer:
    """The same, if its state can be carried in a message. Raises ValueError, for that is a mistake in the check."""
    if answer.state and not SHORT_TEXT.allows(answer.state):
        raise ValueError(f"check {check}: its state {answer.state!r} cannot be carried: {SHORT_TEXT.requirement}")
    return answer
