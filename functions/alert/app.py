"""Problems -> PagerDuty and Slack; by schedule, what is due by now. The decisions are in rollcall.alerting.

It requests nothing from Tower, and imports nothing that does: it has to work when Tower is unavailable.
"""

from __future__ import annotations

import os
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import rollcall.runtime.garbage  # noqa: F401 - before what it is for

from aws_lambda_powertools import Logger

from rollcall import __version__
from rollcall.alerting.dispatch import Dispatcher
from rollcall.alerting.incident import NotificationKind
from rollcall.alerting.pagerduty import PagerDuty
from rollcall.alerting.settings import read_alert_settings
from rollcall.alerting.slack import Slack
from rollcall.alerting.sources import read_message
from rollcall.alerting.store import Incidents
from rollcall.aws.queues import Queues
from rollcall.aws.secrets import secret_text
from rollcall.domain.errors import BadEvent, RollcallError
from rollcall.domain.message_format import read_records
from rollcall.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.alerting.dispatch import Channel
    from rollcall.alerting.due import Delivery
    from rollcall.alerting.incident import Ending, Occurrence
    from rollcall.domain.message_format import Record

logger = Logger(service="alert", version=__version__, log_uncaught_exceptions=True)
metrics = Metrics("alert")
queues = Queues()


@logger.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """A batch of events and alarms in, Lambda's partial batch response out; or {"sweep": true} in."""
    dispatcher = _dispatcher(context)
    try:
        if isinstance(event, dict) and "Records" in event:
            return _take(dispatcher, event)
        if event != {"sweep": True}:
            raise BadEvent('the event is neither a batch of a queue nor {"sweep": true}')
        dispatcher.sweep()
        if dispatcher.errors:
            raise dispatcher.errors[0]
        return {"sent": len(dispatcher.deliveries)}
    finally:
        for delivery in dispatcher.deliveries:
            _log(delivery)
        metrics.write()


def _take(dispatcher: Dispatcher, event: dict[str, Any]) -> dict[str, Any]:
    again: list[str] = []
    messages: dict[Record, Occurrence | Ending] = {}
    for record in read_records(event):
        try:
            message = read_message(record)
        except BadEvent as error:
            again += _move_to_dead_letters(record, error)
        else:
            if message:
                messages[record] = message
    for record, failure in zip(messages, dispatcher.take(list(messages.values())), strict=True):
        if failure:
            logger.error(str(failure), extra={"message_id": record.id, "error": type(failure).__name__})
            again.append(record.id)
    for failed in dispatcher.errors:  # of what is stored, and due again with the next sweep
        logger.warning(str(failed), extra={"error": type(failed).__name__})
    return {"batchItemFailures": [{"itemIdentifier": each} for each in again]}


def _move_to_dead_letters(record: Record, error: BadEvent) -> list[str]:
    """What cannot be read will not be readable later. The message's id, if it has to come again all the same."""
    logger.error(str(error), extra={"message_id": record.id, "error": type(error).__name__})
    try:
        queues.move_to_dead_letters(_settings().dead_letter_queue_url, record, error)
    except RollcallError as failure:
        logger.warning(str(failure), extra={"message_id": record.id})
        return [record.id]
    return []


DONE = {NotificationKind.OPEN: "opened", NotificationKind.UPDATE: "updated", NotificationKind.RESOLVE: "resolved"}


def _log(delivery: Delivery) -> None:
    """One line of the log for each channel that was sent a notification, or could not be, and a count."""
    incident, error = delivery.incident, delivery.error
    extra: dict[str, Any] = {"channel": delivery.channel, "cause": incident.cause, "count": incident.count}
    if error is None:
        logger.info(f"incident {DONE[delivery.kind]}: {incident.reason}", extra=extra)
    else:
        log = logger.warning if delivery.is_to_be_repeated else logger.error
        log(f"incident not {DONE[delivery.kind]}: {error}", extra=extra | {"error": type(error).__name__})
        if delivery.is_to_be_repeated:
            return
    metrics.count_of_channel("AlertsLost" if error else "AlertsSent", delivery.channel)


_settings = cache(lambda: read_alert_settings(os.environ))


@cache
def _channels() -> dict[str, Channel]:
    settings, channels = _settings(), dict[str, "Channel"]()
    if secret := settings.pagerduty_secret:
        channels["pagerduty"] = PagerDuty(_text(secret), secret)
    if secret := settings.slack_secret:
        channels["slack"] = Slack(_text(secret), secret)
    return channels


def _text(secret: str) -> Callable[[bool], str]:
    return lambda refresh: secret_text(secret, refresh=refresh)


@cache
def _incidents() -> Incidents:
    return Incidents(_settings().table, _settings().stack)


def _dispatcher(context: LambdaContext) -> Dispatcher:
    return Dispatcher(
        _settings(), _incidents(), _channels(), time.time, lambda: context.get_remaining_time_in_millis() / 1000
    )
