"""Waiting instances -> job results and checks -> hooks completed; and a while after that, whether they serve.

Instances on their way out wait here too, for their retire job. The decisions are in rollcall.gate, rollcall.watch and
rollcall.retire.
"""

from __future__ import annotations

import time
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from rollcall.announce import Announcer
from rollcall.events import read_gate_message
from rollcall.gate import Gate
from rollcall.job_evidence import JobEvidence
from rollcall.looking import Round, send_on
from rollcall.model import GateMessage, RetireMessage, WatchMessage
from rollcall.wiring import installation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.model import LifecycleAction
    from rollcall.wiring import Installation

announcer = Announcer("gate")


@announcer.logger.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """A batch of gate messages in, Lambda's partial batch response out."""
    here = installation(context)

    def seconds_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    def work(messages: list[GateMessage | WatchMessage | RetireMessage]) -> list[Exception | None]:
        rounds = {
            GateMessage: _guarded(partial(_wait, here, seconds_left), GateMessage, messages),
            RetireMessage: _guarded(partial(_see_out, here, seconds_left), RetireMessage, messages),
            WatchMessage: _guarded(partial(_watch, here), WatchMessage, messages),
        }
        send_on(chain(*rounds.values()), here.queues, here.settings.gate_queue_url, seconds_left)
        in_order = {kind: iter(own) for kind, own in rounds.items()}
        return [next(in_order[type(each)]).error for each in messages]

    with announcer.telling(here, context):
        return here.intake(announcer).take(event, read_gate_message, _waited_for, work)


def _guarded[M](
    look: Callable[[list[M]], Sequence[Round[Any]]], kind: type[M], messages: Sequence[object]
) -> Sequence[Round[Any]]:
    """A round for each message of a kind. An error that was not foreseen fails them all, and none of another kind."""
    own = [each for each in messages if isinstance(each, kind)]
    try:
        return look(own) if own else ()
    except Exception as error:  # noqa: BLE001 - ours to fix; the intake logs it, and has them come again
        return [Round(error=error) for _ in own]


def _wait(
    here: Installation, seconds_left: Callable[[], float], messages: list[GateMessage]
) -> Sequence[Round[GateMessage]]:
    evidence = JobEvidence(here.tower)
    gate = Gate(here.settings, here.tower, evidence, here.fleets, here.queues, time.time, seconds_left)
    rounds = gate.look(messages)
    announcer.reports([report for each in rounds for report in each.reports])
    return rounds


def _see_out(
    here: Installation, seconds_left: Callable[[], float], messages: list[RetireMessage]
) -> Sequence[Round[RetireMessage]]:
    from rollcall.retire import Retire  # only those pay for it in a cold start who use it

    evidence = JobEvidence(here.tower)
    retire = Retire(here.settings, here.tower, evidence, here.fleets, here.queues, time.time, seconds_left)
    rounds = retire.look(messages)
    announcer.reports([report for each in rounds for report in each.reports])
    return rounds


def _watch(here: Installation, messages: list[WatchMessage]) -> Sequence[Round[WatchMessage]]:
    from rollcall.watch import Watch  # likewise

    sightings = Watch(here.fleets, time.time).look(messages)
    announcer.seen(sight for each in sightings for sight in each.sights)
    return sightings


def _waited_for(message: GateMessage | WatchMessage | RetireMessage) -> list[LifecycleAction]:
    """The actions whose hooks are open; nobody waits for those who are watched."""
    match message:
        case GateMessage():
            return [each.action for each in message.waiting]
        case RetireMessage():
            return list(message.retiring)
        case WatchMessage():
            return []
