"""reference/alarms.md: every alarm, when it sounds and what to do, from template.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cloudformation import as_list, of_type, short
from .markdown import code, page, table

if TYPE_CHECKING:
    from .cloudformation import Json

COMPARED = {
    "GreaterThanThreshold": "above",
    "GreaterThanOrEqualToThreshold": "at least",
    "LessThanThreshold": "below",
    "LessThanOrEqualToThreshold": "at most",
}
ABOUT = """\
CloudWatch puts the stack's name before the names, and some letters behind them. The second column is the alarm's own
description, as it also stands in the notification. Those marked * say what no event says, so alert reports them to
PagerDuty or Slack, too; the others go to `AlarmTopicArn` alone, for an event says the same.

Where to look first: [First look](../operate/first-look.md). Dead letters: [Dead letters](../operate/dead-letters.md).
"""
REMARKS = """\
`ReconcileSilent` may sound once when it is deployed for the first time, until the first run is over; it ends by itself.
There is no alarm on throttling: nothing is lost by it, and the ages and `ReconcileSilent` show what it delays.
"""


def write() -> str:
    """The page."""
    rows = [
        (code(name.removesuffix("Alarm")) + _mark(each), str(each["AlarmDescription"]), _condition(each))
        for name, own in of_type("AWS::CloudWatch::Alarm").items()
        for each in [own["Properties"]]
    ]
    rows += [
        (code(name.removesuffix("Alarm")), str(own["Properties"]["AlarmDescription"]), "one of the others is in alarm")
        for name, own in of_type("AWS::CloudWatch::CompositeAlarm").items()
    ]
    return page(
        "Alarms",
        "template.yaml",
        ABOUT,
        table(["alarm", "what it means, and what to do", "sounds when"], rows),
        REMARKS,
    )


def _mark(alarm: Json) -> str:
    return " *" if "AlarmTopic (if HasAlerts)" in [short(each) for each in as_list(alarm["AlarmActions"])] else ""


def _condition(alarm: Json) -> str:
    """In words: which number, compared with what, over how long."""
    compared = f"{COMPARED[alarm['ComparisonOperator']]} {_value(alarm['Threshold'])}"
    if metrics := alarm.get("Metrics"):
        [result] = [each for each in metrics if each.get("ReturnData", True)]
        [period] = {each["MetricStat"]["Period"] for each in metrics if "MetricStat" in each}
        return f"{code(result['Expression'])} is {compared}, over {period} s"
    [dimension] = alarm["Dimensions"]
    of = short(dimension["Value"])
    times = _value(alarm["EvaluationPeriods"])
    over = f"{alarm['Period']} s" if times == "1" else f"{times} times {alarm['Period']} s"
    return f"{alarm['Statistic'].lower()} of {code(alarm['MetricName'])} ({of}) is {compared}, over {over}"


def _value(value: object) -> str:
    return code(short(value)) if isinstance(value, dict) else str(value)
