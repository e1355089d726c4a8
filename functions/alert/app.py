"""Trouble -> PagerDuty and Slack; by schedule, what is due by now. The decisions are in rollcall.alerting.dispatch.

It asks nothing of Tower, and knows nothing of it: it has to work when Tower is away.
"""

from __future__ import annotations

import os
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from rollcall.alerting.dispatch import Alert
from rollcall.alerting.incident import Deed
from rollcall.alerting.pagerduty import PagerDuty
from rollcall.alerting.settings import read_alert_settings
from rollcall.alerting.slack import Slack
from rollcall.alerting.sources import read_message
from rollcall.alerting.store import Incidents
from rollcall.aws.queues import Queues
from rollcall.aws.secrets import text_of
from rollcall.domain.errors import BadEvent, Permanent, RollcallError
from rollcall.domain.message_format import read_records
from rollcall.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.alerting.dispatch import Channel, Telling
    from rollcall.alerting.incident import Ending, Occurrence
    from rollcall.domain.message_format import Record

logger = Logger(service="alert", log_uncaught_exceptions=True)
metrics = Metrics("alert")
queues = Queues()


@logger.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """A batch of events and alarms in, Lambda's partial batch response out; or {"sweep": true} in."""
    alert = _alert(context)
    try:
        if isinstance(event, dict) and "Records" in event:
            return _take(alert, event)
        if event != {"sweep": True}:
            raise BadEvent('the event is neither a batch of a queue nor {"sweep": true}')
        alert.sweep()
        if alert.troubles:
            raise alert.troubles[0]
        return {"told": len(alert.tellings)}
    finally:
        for telling in alert.tellings:
            _say(telling)
        metrics.write()


def _take(alert: Alert, event: dict[str, Any]) -> dict[str, Any]:
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
    for record, trouble in zip(messages, alert.take(list(messages.values())), strict=True):
        if trouble:
            logger.error(str(trouble), extra={"message_id": record.id, "error": type(trouble).__name__})
            again.append(record.id)
    for trouble in alert.troubles:  # kept already, and due again with the next sweep
        logger.warning(str(trouble), extra={"error": type(trouble).__name__})
    return {"batchItemFailures": [{"itemIdentifier": each} for each in again]}


def _move_to_dead_letters(record: Record, error: BadEvent) -> list[str]:
    """What cannot be read will not be readable later. The message's id, if it has to come again all the same."""
    logger.error(str(error), extra={"message_id": record.id, "error": type(error).__name__})
    try:
        queues.move_to_dead_letters(_settings().dead_letter_queue_url, record, error)
    except RollcallError as trouble:
        logger.warning(str(trouble), extra={"message_id": record.id})
        return [record.id]
    return []


def _say(telling: Telling) -> None:
    """One line of the log for each channel that was told, or was not, and a count."""
    incident, error = telling.incident, telling.error
    extra: dict[str, Any] = {"channel": telling.channel, "cause": incident.cause, "count": incident.count}
    what = "told that it is over" if telling.deed == Deed.END else "told"
    if error is None:
        logger.info(f"{what}: {incident.reason}", extra=extra)
    else:
        log = logger.error if isinstance(error, Permanent) else logger.warning
        log(f"not {what}: {error}", extra=extra | {"error": type(error).__name__})
        if not isinstance(error, Permanent):
            return  # a later sweep does it
    metrics.count_of_channel("AlertsLost" if error else "AlertsSent", telling.channel)


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
    return lambda refresh: text_of(secret, refresh=refresh)


@cache
def _incidents() -> Incidents:
    return Incidents(_settings().table, _settings().stack)


def _alert(context: LambdaContext) -> Alert:
    return Alert(
        _settings(), _incidents(), _channels(), time.time, lambda: context.get_remaining_time_in_millis() / 1000
    )
