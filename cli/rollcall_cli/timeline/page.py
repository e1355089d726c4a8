"""The timeline as a page: one HTML file that needs nothing else, and is well-formed XML."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from rollcall_cli.times import shortly

from .drawing import NARROW, WIDE, Drawing, rows_for
from .instances import Stage
from .style import CLASSES, DRAWING_STYLE, HATCH, PAGE_STYLE
from .timeline import headline, standing_out, title, to_service, waits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .timeline import Timeline, Wait

HOVER = '<span class="hover"> Rest the mouse on a row for its instance and its times.</span>'
MOST_NAMES = 3  # instances that are named above the rows, of those that stand out for one reason


def page(shown: Timeline, below: Iterable[str] = ()) -> str:
    """The whole page: what there is in words, the legend, the times, and the drawing for wide and narrow screens.

    below: parts that follow these, well-formed; they may use the drawing's style.
    """
    rows = rows_for(len(shown.instances))
    drawings = (Drawing(shown, WIDE).svg(), Drawing(shown, NARROW, with_titles=False).svg())
    parts = [
        f"<h1>{escape(title(shown))}</h1>",
        f'<p class="headline">{escape(headline(shown))}</p>',
        f"<p>{escape(_explained(shown))}{'' if rows.written else HOVER}</p>",
        *(f'<p class="bad">{escape(gap)}</p>' for gap in shown.gaps),
        '<div class="top">',
        *_legend(shown),
        *_times(waits(shown.instances)),
        *([] if rows.written else _named(shown)),
        "</div>",
        # Patterns of a drawing that is not displayed are none for the other one.
        f'<svg xmlns="http://www.w3.org/2000/svg" width="0" height="0" style="position: absolute">{HATCH}</svg>',
        *(drawings if shown.instances else ()),
        *below,
    ]
    head = (
        '<meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{escape(title(shown))}</title><style>{DRAWING_STYLE}{PAGE_STYLE}</style>"
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _explained(shown: Timeline) -> str:
    if not shown.instances:
        return "So there is nothing to draw."
    took = to_service(shown.instances)
    how = "Each row is an instance, from its launch on; time runs from left to right, from the first launch."
    return (f"{took[0].upper()}{took[1:]}. " if took else "None came into service. ") + how


def _legend(shown: Timeline) -> Iterator[str]:
    named = rows_for(len(shown.instances)).named
    yield '<div class="legend"><h2>What a row shows, in this order</h2><ul>'
    for stage in shown.stages:
        words = f'<b>{stage.label}</b> <span class="soft">{escape(stage.words)}</span>'
        kind = "hatched" if stage == Stage.BAD_JOB and named else CLASSES[stage]
        yield f'<li class="stage"><span class="swatch {kind}"></span>{words}</li>'
    if named and any(each.removed_at for each in shown.instances):
        words = '<b>removed</b> <span class="soft">no host of it is in Tower any more</span>'
        yield f'<li class="stage"><span class="swatch"><i></i></span>{words}</li>'
    yield "</ul></div>"


def _times(found: Sequence[Wait]) -> Iterator[str]:
    """How long each stage took, as a table."""
    if not found:
        return
    yield '<div class="times"><h2>How long it took</h2><table><tr>'
    heads = ("", "instances", "half within", "95 % within", "longest", "which was")
    yield "".join(f"<th>{name}</th>" for name in heads)
    yield "</tr>"
    for each in found:
        times = "".join(f"<td>{shortly(seconds)}</td>" for seconds in (each.median, each.most, each.longest))
        slowest = f'<td class="soft"><code>{escape(each.slowest)}</code></td>'
        yield f'<tr><td>{each.name}</td><td class="soft">{each.count}</td>{times}{slowest}</tr>'
    yield "</table></div>"


def _named(shown: Timeline) -> Iterator[str]:
    """The instances to look at first, in words."""
    found = standing_out(shown.instances)
    if not found:
        return
    yield "<div><h2>Look at these first</h2><table>"
    for why, own in found.items():
        names = ", ".join(escape(each.instance_id) for each in own[:MOST_NAMES])
        more = f" and {len(own) - MOST_NAMES} more" if len(own) > MOST_NAMES else ""
        kind = "bad" if own[0].failed else "soft"
        yield f'<tr><td class="{kind}">{why}</td><td><code>{names}</code>{more}</td></tr>'
    yield "</table></div>"
