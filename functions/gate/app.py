"""Waiting instances -> job results and checks -> hooks completed; and a while after that, whether they serve.

Instances on their way out wait here too, for their retire job. The decisions are in rollcall.lifecycle: gate, retire,
target_watch.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import rollcall.runtime.garbage  # noqa: F401 - before what it is for

from rollcall.domain.message_format import read_gate_message
from rollcall.domain.messages import GateMessage, RetireMessage, WatchMessage
from rollcall.domain.settings import read_removal_share
from rollcall.evidence.job_reader import JobEvidence
from rollcall.lifecycle.gate import Gate
from rollcall.lifecycle.gate_round import RoundResources, TimeLeft, rounds_without_heartbeats, send_on, take_turns
from rollcall.runtime.installation import installation
from rollcall.telemetry.announcer import Announcer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.domain.actions import LifecycleAction
    from rollcall.lifecycle.gate_round import Round
    from rollcall.runtime.installation import Installation

announcer = Announcer("gate")


@announcer.logger.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """A batch of gate messages in, Lambda's partial batch response out."""
    here = installation(context)

    time_left = TimeLeft(lambda: context.get_remaining_time_in_millis() / 1000)
    evaluate: dict[type, Callable[[Sequence[Any]], Sequence[Round[Any]]]] = {
        GateMessage: partial(_admit, here, time_left),
        RetireMessage: partial(_retire, here, time_left),
        WatchMessage: partial(_watch, here, time_left),
    }

    def send(rounds: Sequence[Round[Any]]) -> Sequence[Exception | None]:
        return send_on(rounds, here.queues, here.settings.gate_queue_url, time_left)

    def work(messages: list[GateMessage | WatchMessage | RetireMessage]) -> list[Exception | None]:
        return take_turns(messages, evaluate, send)

    with announcer.publishing(here.settings, here.tower, context):
        return here.processor(announcer).take(event, read_gate_message, _waited_for, work)


def _admit(here: Installation, time_left: TimeLeft, messages: Sequence[GateMessage]) -> Sequence[Round[GateMessage]]:
    gate = Gate(_resources(here, time_left), share=read_removal_share(os.environ))
    rounds = gate.evaluate(messages)
    announcer.announce([report for each in rounds for report in each.reports])
    return rounds


def _retire(
    here: Installation, time_left: TimeLeft, messages: Sequence[RetireMessage]
) -> Sequence[Round[RetireMessage]]:
    from rollcall.lifecycle.retire import Retire  # imported where used: it slows a cold start

    rounds = Retire(_resources(here, time_left)).evaluate(messages)
    announcer.announce([report for each in rounds for report in each.reports])
    return rounds


def _resources(here: Installation, time_left: TimeLeft) -> RoundResources:
    evidence = JobEvidence(here.tower)
    return RoundResources(here.settings, here.tower, evidence, here.fleets, here.queues, time.time, time_left)


def _watch(here: Installation, time_left: TimeLeft, messages: Sequence[WatchMessage]) -> Sequence[Round[WatchMessage]]:
    from rollcall.lifecycle.target_watch import Watch, WatchRound  # likewise

    watch = Watch(here.fleets, time.time)
    rounds = rounds_without_heartbeats(messages, watch.evaluate, lambda error: WatchRound(error=error), time_left)
    announcer.announce_target_health(change for each in rounds for change in each.changes)
    return rounds


def _waited_for(message: GateMessage | WatchMessage | RetireMessage) -> list[LifecycleAction]:
    """The actions whose hooks are open; no hook waits for those that are watched."""
    match message:
        case GateMessage():
            return [each.action for each in message.waiting]
        case RetireMessage():
            return list(message.retiring)
        case WatchMessage():
            return []
