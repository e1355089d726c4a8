"""python -m generators.dashboard: the dashboard of template.yaml as a page, to be judged without an AWS account.

Places, titles, legends, axes and thresholds are those that are deployed; what happens to the instances is made up, and
all curves, the newest lines and the states of the alarms are what comes of that (sample_hours.py).
"""

from __future__ import annotations

import argparse
import html
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from .sample_hours import BEGAN, DAYS, MINUTES, NEWEST, RED, Values, values

type Json = dict[str, Any]

REPOSITORY = Path(__file__).parents[2]
CELL = (58, 50)  # pixels of a grid unit on a screen of 1400: across, down
LETTER = 6.2  # pixels that a letter of the legend is wide, on average
HOUR, DAY = 3600, 86400  # seconds
NO_GROUP = "no group"
STEPS = (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10)  # of round numbers within a decade
COLORS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f")
FOUND = {  # what a search finds, by the dimension that it goes by
    "group": ("web", "api", "batch-eu", "canary"),
    "service": ("register", "gate", "cleanup", "reconcile"),
    "channel": ("pagerduty", "slack"),
    "severity": ("breaks launches", "warning"),
}
SEARCH = re.compile(
    r"(?P<all>SUM\()?SEARCH\('\{\w+,(?P<dimension>\w+)\} MetricName=\"(?P<name>\w+)\"', '(?P<stat>\w+)'"
)
STYLE = """
body { font: 12px Arial, sans-serif; background: #f2f3f3; color: #16191f; margin: 0; padding: 3px; }
.grid { display: grid; grid-template-columns: repeat(24, minmax(0, 1fr)); grid-auto-rows: 50px; }
.widget { margin: 3px; background: #fff; border: 1px solid #d5dbdb; overflow: hidden; display: flex;
  flex-direction: column; }
.title { font-weight: bold; padding: 6px 8px; height: 14px; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; flex: none; }
.cut { background: #fbb; }
.text { padding: 4px 12px; } .text h1 { font-size: 18px; margin: 4px 0; }
.plot { position: relative; flex: 1 1 auto; margin: 8px 12px 20px 52px; min-height: 0; }
.plot svg { position: absolute; width: 100%; height: 100%; overflow: visible; }
.plot svg * { vector-effect: non-scaling-stroke; }
.plot span { position: absolute; font-size: 10px; color: #545b64; white-space: nowrap; }
.y { right: 100%; transform: translate(-4px, -50%); }
.x { top: 100%; transform: translate(-50%, 3px); }
.line { right: 0; transform: translateY(-100%); background: #fffc; }
.legend { flex: none; margin: 0 8px 4px; }
.legend span { margin-right: 12px; white-space: nowrap; line-height: 17px; font-size: 11px; }
.legend b { display: inline-block; width: 9px; height: 9px; margin-right: 4px; }
.alarms { display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); gap: 5px; padding: 0 6px; }
.alarm { padding: 4px 6px; border-left: 5px solid #2ca02c; background: #f4faf4; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }
.alarm.ALARM { border-color: #d62728; background: #fdf0f0; }
.numbers { display: grid; grid-template-columns: repeat(3, 1fr); }
.number { padding: 10px 8px; font-size: 26px; }
.number div { font-size: 12px; }
.log { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: 4px 8px; border-top: 1px solid #eee; font: 11px monospace; white-space: nowrap; }
@media (max-width: 900px) {
  .widget { grid-column: 1 / -1 !important; grid-row: span var(--rows) !important; }
  .widget.small { grid-column: span 12 !important; }
  .title { font-size: 11px; }
}
"""


@dataclass(frozen=True)
class Curve:
    """A line of a graph: its label, its color, and its values."""

    label: str
    color: str
    values: Values


def main() -> int:
    """Writes the picture. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--template", type=Path, default=REPOSITORY / "template.yaml", help="%(default)s")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "dashboard.html", help="%(default)s")
    options = parser.parse_args()
    body = body_of(yaml_parse(options.template.read_text()))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(page(body))
    print(f"{options.out}: {len(body['widgets'])} widgets. What they show is made up.")
    return 0


def body_of(template: Json) -> Json:
    """The dashboard's body, with a stand-in for whatever only a deployed stack has. Every condition holds."""
    body: Json = json.loads(_text_of(template["Resources"]["Dashboard"]["Properties"]["DashboardBody"], template))
    return body


def _text_of(value: str | Json, template: Json) -> str:
    """What CloudFormation makes of a value of the template. Raises KeyError for a function that is not known here."""
    match value:
        case str():
            return value
        case {"Ref": str(name)}:
            return _referred(name, template)
        case {"Fn::If": [_, there, _]}:
            return _text_of(there, template)
        case {"Fn::Join": [str(separator), parts]}:
            return separator.join(_text_of(each, template) for each in parts)
        case {"Fn::Sub": [str(text), dict(own)]}:
            return _substituted(text, {name: _text_of(each, template) for name, each in own.items()}, template)
        case {"Fn::Sub": str(text)}:
            return _substituted(text, {}, template)
    raise KeyError(*value)


def _substituted(text: str, own: dict[str, str], template: Json) -> str:
    """The text of Fn::Sub with its own variables and the template's replaced; ${!Name} is ${Name} as it stands."""

    def replacement(match: re.Match[str]) -> str:
        name = match["name"]
        if name.startswith("!"):
            return f"${{{name[1:]}}}"
        return own[name] if name in own else _referred(name, template)

    return re.sub(r"\$\{(?P<name>[^}]+)\}", replacement, text)


def _referred(name: str, template: Json) -> str:
    """What a name stands for: a parameter's default, or the logical id of a resource."""
    pseudo = {"AWS::StackName": "rollcall", "AWS::Region": "us-east-1"}
    default = template["Parameters"].get(name, {}).get("Default", name.partition(".")[0])
    return pseudo.get(name, str(default))


def page(body: Json) -> str:
    """The dashboard as HTML: as wide as the screen; on a narrow one its widgets stand below each other."""
    widgets = sorted(body["widgets"], key=lambda each: (each["y"], each["x"]))
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>dashboard</title>'
    return f'<!doctype html>{head}<style>{STYLE}</style><div class="grid">{"".join(map(_widget, widgets))}</div>\n'


def _widget(widget: Json) -> str:
    properties, width = widget["properties"], widget["width"] * CELL[0]
    content = {"text": _text, "alarm": _alarms, "log": _log, "metric": _metric}[widget["type"]]
    title = properties.get("title", "")
    too_long = len(title) * LETTER * 1.15 > width - 22
    head = f'<div class="title{" cut" if too_long else ""}">{html.escape(title)}</div>' if title else ""
    across, down = f"{widget['x'] + 1} / span {widget['width']}", f"{widget['y'] + 1} / span {widget['height']}"
    place = f"grid-column: {across}; grid-row: {down}; --rows: {widget['height']}"
    kind = "widget small" if widget["type"] == "metric" and widget["width"] <= 6 else "widget"
    return f'<div class="{kind}" style="{place}">{head}{content(properties)}</div>\n'


def _text(properties: Json) -> str:
    heading, _, rest = html.escape(properties["markdown"]).partition("\n")
    rest = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", re.sub(r"\[(.+?)\]\((.+?)\)", r'<a href="\2">\1</a>', rest))
    return f'<div class="text"><h1>{heading.removeprefix("# ")}</h1>{rest}</div>'


def _alarms(properties: Json) -> str:
    names = sorted(properties["alarms"], key=lambda name: name not in RED)  # the newest change of state first
    cards = (
        f'<div class="alarm {"ALARM" if name in RED else "OK"}">rollcall-{html.escape(name)}-1A2B3C</div>'
        for name in names
    )
    return f'<div class="alarms">{"".join(cards)}</div>'


def _log(properties: Json) -> str:
    [fields] = re.findall(r"\| fields ([^|]+)", properties["query"])
    columns = [each.strip() for each in fields.split(",")]
    head = "".join(f"<th>{html.escape(each)}</th>" for each in columns)
    row = "".join(f"<td>{html.escape(each)}</td>" for each in NEWEST)
    return f'<div class="log"><table><tr>{head}</tr><tr>{row}</tr></table></div>'


def _metric(properties: Json) -> str:
    curves = list(curves_of(properties))
    if properties.get("view") == "singleValue":
        numbers = "".join(
            f'<div class="number" style="color: {each.color}"><div>{html.escape(each.label)}</div>'
            f"{sum(filter(None, each.values)):,.0f}</div>"
            for each in curves
        )
        return f'<div class="numbers">{numbers}</div>'
    legend = "".join(
        f'<span><b style="background: {each.color}"></b>{html.escape(each.label)}</span>' for each in curves
    )
    return f'{_plot(properties, curves)}<div class="legend">{legend}</div>'


def curves_of(properties: Json) -> Iterator[Curve]:
    """What a graph shows: each metric, each sum, and for a search a line for each of what it could find."""
    period = properties.get("period", 300)
    for number, (*metric, options) in enumerate(properties["metrics"]):
        if options.get("visible", True) is False:
            continue
        color = options.get("color")
        found = SEARCH.search(options.get("expression", ""))
        if metric:
            stat = options.get("stat", properties.get("stat", ""))
            made = values(metric[1], metric[3] if metric[2] != "service" else _of_service(metric), stat, period)
            yield Curve(options["label"], color or COLORS[2 * number % len(COLORS)], made)
        elif found is None:  # a sum of what is not shown by itself
            yield Curve(options["label"], color or COLORS[0], values("Retired", "", "Sum", period))
        elif found["all"]:
            yield Curve(options["label"], color or COLORS[0], values(found["name"], "", found["stat"], period))
        else:
            for offset, each in enumerate(FOUND[found["dimension"]]):
                label = options["label"].replace(f"${{PROP('Dim.{found['dimension']}')}}", each)
                made = values(found["name"], each, found["stat"], period)
                yield Curve(label, color or COLORS[(2 * number + offset) % len(COLORS)], made)


def _of_service(metric: Sequence[str]) -> str:
    """Whose a function's own metric is: all instances', but for what differs from function to function."""
    if metric[1] == "SecondsToRetired" and metric[3] == "gate":
        return NO_GROUP  # those with a retire job: these groups have none
    return metric[3] if metric[1].startswith(("Drift", "Tower")) else ""


def _plot(properties: Json, curves: list[Curve]) -> str:
    lines = properties.get("annotations", {}).get("horizontal", [])
    shown = _stacked(curves) if properties.get("stacked", False) else curves
    highest = max((value for each in shown for value in each.values if value is not None), default=0.0)
    most = nice(max([highest, *(each["value"] for each in lines)]) * 1.05)
    drawn = [f'<path d="M0 {100 * share:.0f}H100" stroke="#eaeded" fill="none"/>' for share in (0, 0.5, 1)]
    words = [f'<span class="y" style="top: {100 - 50 * part}%">{_number(most * part / 2)}</span>' for part in range(3)]
    words += [f'<span class="x" style="left: {100 * at:.1f}%">{time}</span>' for at, time in _times(properties)]
    for curve in shown:
        drawn += [_polyline(points, curve.color) for points in _runs(curve.values, most)]
    for line in lines:
        y = 100 * (1 - line["value"] / most)
        drawn.append(f'<path d="M0 {y:.1f}H100" stroke="{line["color"]}" stroke-dasharray="4" fill="none"/>')
        words.append(f'<span class="line" style="top: {y:.1f}%">{html.escape(line["label"])}</span>')
    picture = f'<svg viewBox="0 0 100 100" preserveAspectRatio="none">{"".join(drawn)}</svg>'
    return f'<div class="plot">{picture}{"".join(words)}</div>'


def _stacked(curves: Sequence[Curve]) -> list[Curve]:
    """Each curve on top of those before it."""
    below = [0.0] * max(len(each.values) for each in curves)
    found = []
    for curve in curves:
        below = [low + (value or 0.0) for low, value in zip(below, curve.values, strict=True)]
        found.append(Curve(curve.label, curve.color, tuple(below)))
    return found


def _runs(curve: Values, most: float) -> Iterator[list[tuple[float, float]]]:
    """The points of a curve, each run of values by itself: where there is no value there is no line."""
    run: list[tuple[float, float]] = []
    for at, value in enumerate(curve):
        if value is None:
            if run:
                yield run
            run = []
        else:
            run.append((100 * (at + 0.5) / len(curve), 100 * (1 - value / most)))
    if run:
        yield run


def _polyline(points: Sequence[tuple[float, float]], color: str) -> str:
    """A line; a value alone is a point."""
    (x, y), *more = points
    if not more:
        return f'<path d="M{x:.2f} {y:.1f}h0" stroke="{color}" stroke-width="5" stroke-linecap="round"/>'
    places = " ".join(f"{x:.2f},{y:.1f}" for x, y in points)
    return f'<polyline points="{places}" fill="none" stroke="{color}" stroke-width="1.5"/>'


def nice(most: float) -> float:
    """A round number, no less than this one, for the top of an axis."""
    if most <= 1:
        return 1.0
    size: int = 10 ** (len(str(int(most))) - 1)
    return float(next(step * size for step in STEPS if step * size >= most))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _times(properties: Json) -> Iterator[tuple[float, str]]:
    """A few times below a graph, and where they are."""
    if properties.get("period") == DAY:
        yield from ((day / DAYS, f"11-{17 + day}") for day in (1, 5, 9, 13))
    else:
        hours = MINUTES * 60 // HOUR
        yield from ((hour / hours, f"{BEGAN + hour}:00") for hour in range(1, hours))


if __name__ == "__main__":
    sys.exit(main())
