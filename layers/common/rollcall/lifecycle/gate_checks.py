"""The checks of a group's gate, for those of its instances that were provisioned."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from rollcall.checks.evaluation import evaluate
from rollcall.checks.protocol import Context, Fail, Inconclusive, Pass, Subject
from rollcall.checks.registry import read_check
from rollcall.domain.jobs import Outcome
from rollcall.domain.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollcall.checks.evaluation import Answers
    from rollcall.checks.protocol import Check
    from rollcall.domain.groups import GroupSettings
    from rollcall.domain.messages import Waiting

    from .gate_context import GateContext
    from .gate_observer import Observed


def with_checks(context: GateContext, settings: GroupSettings, observed: Sequence[Observed]) -> Stage[Observed]:
    """The same, with what the checks answer of those that were provisioned.

    A check that may lead requests to an instance is evaluated last, and of those only that pass all others.
    """
    checks = [read_check(word) for word in dict.fromkeys(settings.gate)]
    first = [check for kind, check in checks if not kind.lets_traffic_in]
    last = [check for kind, check in checks if kind.lets_traffic_in]
    provisioned = [each.waiting for each in observed if _is_provisioned(each)]
    answers = _answers(context, settings, first, provisioned)
    passing = [each for each in provisioned if _all_pass(answers[each.action.instance_id])] if last else []
    for instance_id, own in _answers(context, settings, last, passing).items():
        answers[instance_id] = {**answers[instance_id], **own}
    return Stage(
        [
            _checked(each, answers[each.waiting.action.instance_id], may_serve=each.waiting in passing)
            if _is_provisioned(each)
            else each
            for each in observed
        ]
    )


def _is_provisioned(each: Observed) -> bool:
    return each.observation.outcome == Outcome.OK and not each.observation.unmatched


def _answers(
    context: GateContext, settings: GroupSettings, checks: Sequence[Check], members: Sequence[Waiting]
) -> dict[str, Answers]:
    subjects = [Subject(each.action.instance_id, each.address, each.action.held_by_hook) for each in members]
    states = {each.action.instance_id: dict(each.check_states) for each in members}
    group = context.groups[settings.group]
    return evaluate(checks, subjects, states, Context(context.fleet, group), context.probes)


def _all_pass(answers: Answers) -> bool:
    return all(isinstance(each, Pass) for each in answers.values())


def _checked(each: Observed, answers: Answers, *, may_serve: bool) -> Observed:
    observation = replace(
        each.observation,
        failed=tuple(f"{check}: {one.reason}" for check, one in answers.items() if isinstance(one, Fail)),
        inconclusive=tuple(f"{check}: {one.reason}" for check, one in answers.items() if isinstance(one, Inconclusive)),
    )
    return each._replace(
        waiting=_with_states(each.waiting, answers),
        observation=observation,
        may_serve=may_serve,
        failed_checks=tuple(str(check) for check, one in answers.items() if isinstance(one, Fail)),
    )


def _with_states(waiting: Waiting, answers: Answers) -> Waiting:
    """The same, with what its checks keep for the next round: those that were not evaluated what they kept before."""
    kept = {check: state for check, state in waiting.check_states if check not in answers}
    kept |= {check: each.state for check, each in answers.items() if each.state}
    return replace(waiting, check_states=tuple(kept.items()))
