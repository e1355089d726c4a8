"""Draws the dashboard of template.yaml, so that its layout can be judged without an AWS account.

Places, titles, legends, axes and thresholds are those that are deployed; the curves, the groups and the states of the
alarms are made up, the same each time.
"""

from __future__ import annotations

import argparse
import html
import json
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

type Json = dict[str, Any]

REPOSITORY = Path(__file__).parents[2]
CELL = (70, 50)  # pixels of a grid unit on a wide screen: across, down
HEAD, LEGEND_LINE, AXIS = 26, 17, 40  # pixels: above a plot, a line of the legend below it, left of it
LETTER = 6.2  # pixels that a letter of the legend is wide, on average
POINTS = 72  # of a curve: five minutes each, six hours
SCALE_OUTS = (0.3, 0.75)  # the large ones, as shares of the time shown
LARGER = {"p95": 1.6, "p99": 2.2}
RARE = {"abandoned", "evicted", "alerts", "drift fixed", "problems", "removal limit", "alerts lost", "events lost"}
COLORS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f")
FOUND = {  # what a search finds, by the dimension that it goes by
    "group": ("web", "api", "batch-eu", "canary"),
    "service": ("register", "gate", "cleanup", "reconcile"),
    "channel": ("pagerduty", "slack"),
    "severity": ("breaks launches", "warning"),
}
SEARCH = re.compile(r"SEARCH\('\{\w+,(?P<dimension>\w+)\}")
STYLE = """
body { font: 12px Arial, sans-serif; background: #f2f3f3; color: #16191f; margin: 0; }
.widget { position: absolute; background: #fff; border: 1px solid #d5dbdb; box-sizing: border-box; overflow: hidden; }
.title { font-weight: bold; padding: 6px 8px; height: 14px; white-space: nowrap; }
.cut { background: #fbb; }
.text { padding: 4px 12px; } .text h1 { font-size: 18px; margin: 4px 0; }
.legend { position: absolute; bottom: 4px; left: 8px; right: 8px; }
.legend span { margin-right: 12px; white-space: nowrap; line-height: 17px; font-size: 11px; }
.legend b { display: inline-block; width: 9px; height: 9px; margin-right: 4px; }
.alarm { float: left; width: 222px; margin: 3px; padding: 6px; border-left: 5px solid #2ca02c; background: #f4faf4;
  box-sizing: border-box; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.alarm.ALARM { border-color: #d62728; background: #fdf0f0; }
.number { float: left; width: 33%; padding: 10px 8px; box-sizing: border-box; font-size: 26px; }
.number div { font-size: 12px; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: 4px 8px; border-top: 1px solid #eee; font: 11px monospace; white-space: nowrap; }
svg text { font: 10px Arial, sans-serif; fill: #545b64; }
"""


@dataclass(frozen=True)
class Curve:
    """A line of a graph: its label, its color, and its values."""

    label: str
    color: str
    values: tuple[float, ...]


def main() -> int:
    """Writes the picture. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--template", type=Path, default=REPOSITORY / "template.yaml", help="%(default)s")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "dashboard.html", help="%(default)s")
    options = parser.parse_args()
    body = body_of(yaml_parse(options.template.read_text()))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(page(body))
    print(f"{options.out}: {len(body['widgets'])} widgets. The curves are made up.")
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
    """The dashboard as HTML."""
    widgets = body["widgets"]
    height = CELL[1] * max(each["y"] + each["height"] for each in widgets)
    return (
        f'<!doctype html><meta charset="utf-8"><title>dashboard</title><style>{STYLE}</style>'
        f'<div style="position: relative; height: {height}px">{"".join(map(_widget, widgets))}</div>\n'
    )


def _widget(widget: Json) -> str:
    left, top, width, height = (
        widget[key] * cell for key, cell in zip(("x", "y", "width", "height"), CELL * 2, strict=True)
    )
    properties = widget["properties"]
    content = {"text": _text, "alarm": _alarms, "log": _log, "metric": _metric}[widget["type"]]
    title = properties.get("title", "")
    too_long = len(title) * LETTER * 1.15 > width - 16
    head = f'<div class="title{" cut" if too_long else ""}">{html.escape(title)}</div>' if title else ""
    place = f"left: {left + 3}px; top: {top + 3}px; width: {width - 6}px; height: {height - 6}px"
    return f'<div class="widget" style="{place}">{head}{content(properties, width - 6, height - 6)}</div>\n'


def _text(properties: Json, width: int, height: int) -> str:
    heading, _, rest = html.escape(properties["markdown"]).partition("\n")
    rest = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", re.sub(r"\[(.+?)\]\((.+?)\)", r'<a href="\2">\1</a>', rest))
    rest = re.sub(r"\*(.+?)\*", r"<i>\1</i>", rest)
    return f'<div class="text"><h1>{heading.removeprefix("# ")}</h1>{rest}</div>'


def _alarms(properties: Json, width: int, height: int) -> str:
    cards = [
        f'<div class="alarm {"OK" if number else "ALARM"}">rollcall-{html.escape(name)}-1A2B3C</div>'
        for number, name in enumerate(properties["alarms"])
    ]
    return "".join(cards)


def _log(properties: Json, width: int, height: int) -> str:
    [fields] = re.findall(r"\| fields ([^|]+)", properties["query"])
    columns = [each.strip() for each in fields.split(",")]
    example = ("2026-11-21 19:04:11", "gate", "web", "i-0a1f6d21c7be93a54", "job 4711 failed on it: task 'start nginx'")
    head = "".join(f"<th>{html.escape(each)}</th>" for each in columns)
    row = "".join(f"<td>{html.escape(each)}</td>" for each in example[-len(columns) :])
    return f"<table><tr>{head}</tr>{f'<tr>{row}</tr>' * 8}</table>"


def _metric(properties: Json, width: int, height: int) -> str:
    curves = list(curves_of(properties))
    if properties.get("view") == "singleValue":
        return "".join(
            f'<div class="number" style="color: {each.color}"><div>{html.escape(each.label)}</div>'
            f"{sum(each.values):,.0f}</div>"
            for each in curves
        )
    legend = "".join(
        f'<span><b style="background: {each.color}"></b>{html.escape(each.label)}</span>' for each in curves
    )
    lines = -(-sum(len(each.label) * LETTER + 26 for each in curves) // (width - 16))
    plot = _plot(properties, curves, width - AXIS - 10, int(height - HEAD - lines * LEGEND_LINE - 26))
    return f'{plot}<div class="legend">{legend}</div>'


def curves_of(properties: Json) -> Iterator[Curve]:
    """What a graph shows: each metric, each sum, and for a search a line for each of what it could find."""
    for number, (*_, options) in enumerate(properties["metrics"]):
        if options.get("visible", True) is False:
            continue
        labels = [options["label"]]
        if (search := SEARCH.match(options.get("expression", ""))) is not None:
            variable = f"${{PROP('Dim.{search['dimension']}')}}"
            labels = [options["label"].replace(variable, each) for each in FOUND[search["dimension"]]]
        for offset, label in enumerate(labels):
            color = options.get("color", COLORS[(2 * number + offset) % len(COLORS)])
            yield Curve(label, color, _made_up(properties, label, options.get("stat", "")))


def _made_up(properties: Json, label: str, stat: str) -> tuple[float, ...]:
    """Two large scale-outs that the whole dashboard shows; of what should be zero, one small value at most."""
    chance = random.Random(f"{properties['title']} {label}")  # noqa: S311 - a picture, not a secret
    count = max(POINTS * 300 // properties.get("period", 300), 14)
    size, late = chance.uniform(6, 14) * LARGER.get(stat, 1.0), chance.uniform(0, 0.02)
    if "(good: none" in properties["title"] or label in RARE:
        only = chance.randrange(2 * count)
        return tuple(float(at == only) for at in range(count))
    return tuple(
        size * (0.08 + sum(max(0.0, 1 - abs(at / count - scale_out - late) * 18) for scale_out in SCALE_OUTS))
        + chance.uniform(0, 0.05 * size)
        for at in range(count)
    )


def _plot(properties: Json, curves: list[Curve], width: int, height: int) -> str:
    lines = properties.get("annotations", {}).get("horizontal", [])
    stacked = properties.get("stacked", False)
    highest = [max(each.values) for each in curves]
    most = max(1.0, sum(highest) if stacked else max(highest)) * 1.1
    if lines:  # such a line stretches the axis; what is normal stays far below it
        line_at = max(each["value"] for each in lines)
        scale, most = 0.25 * line_at / most, line_at * 1.1
        curves = [Curve(each.label, each.color, tuple(value * scale for value in each.values)) for each in curves]
    drawn = []
    for share in (0.0, 0.5, 1.0):
        y = height * (1 - share)
        drawn.append(f'<line x1="0" y1="{y}" x2="{width}" y2="{y}" stroke="#eaeded"/>')
        drawn.append(f'<text x="-4" y="{y + 3}" text-anchor="end">{most * share:,.{0 if most > 9 else 1}f}</text>')
    below = [0.0] * max(len(each.values) for each in curves)
    for curve in curves:
        values = [value + (below[at] if stacked else 0) for at, value in enumerate(curve.values)]
        step = width / (len(values) - 1)
        points = [f"{at * step:.1f},{height * (1 - value / most):.1f}" for at, value in enumerate(values)]
        drawn.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{curve.color}" stroke-width="1.5"/>')
        below[: len(values)] = values
    for line in lines:
        y = height * (1 - line["value"] / most)
        drawn.append(f'<line x1="0" y1="{y}" x2="{width}" y2="{y}" stroke="{line["color"]}" stroke-dasharray="4"/>')
        drawn.append(f'<text x="{width}" y="{y - 3}" text-anchor="end">{html.escape(line["label"])}</text>')
    return (
        f'<svg width="{width + AXIS + 10}" height="{height + 16}"><g transform="translate({AXIS}, 8)">'
        f"{''.join(drawn)}</g></svg>"
    )


if __name__ == "__main__":
    sys.exit(main())
