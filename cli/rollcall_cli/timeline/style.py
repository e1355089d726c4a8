"""How the timeline looks: its colours, light and dark, and the styles of the drawing and of the page around it.

The stages differ in lightness as well as in hue, and what went wrong is hatched where there is room for it.
"""

from __future__ import annotations

from .instances import Stage

CLASSES = {
    Stage.REGISTERING: "r",
    Stage.WAITING: "w",
    Stage.JOB: "j",
    Stage.BAD_JOB: "b",
    Stage.GATE: "g",
    Stage.CHECKS: "c",
    Stage.SERVICE: "s",
    Stage.RESTING: "a",
    Stage.LEAVING: "l",
}

_LIGHT = """
  --paper: #ffffff; --ink: #1b2128; --soft: #56616d; --rule: #dfe3e8; --bad: #b3261e;
  --r: #74b9ee; --w: #dde1e6; --j: #12588f; --b: #c8321a; --b2: #f3b9ad; --g: #cdbfa6; --c: #e8a200; --s: #7fd0aa;
  --a: #c9a9dd; --l: #7d8792; --dark: #1b2128; --on-w: #333b44; --on-j: #ffffff; --on-l: #ffffff;
"""
_DARK = """
  --paper: #14181d; --ink: #e7ebef; --soft: #9aa5b1; --rule: #2c333b; --bad: #ff8a75;
  --r: #9bd6fb; --w: #4a535d; --j: #3d8fd6; --b: #f0563a; --b2: #7a2213; --g: #9c8e75; --c: #ffc53d; --s: #2f7d5c;
  --a: #a884c2; --l: #98a2ad; --dark: #14181d; --on-w: #e7ebef; --on-j: #04121f; --on-l: #04121f;
"""
_FONTS = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'

DRAWING_STYLE = f"""
:root {{ color-scheme: light dark; {_LIGHT} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
svg {{ font-family: {_FONTS}; }}
text {{ fill: var(--ink); stroke: var(--paper); stroke-width: 3px; paint-order: stroke; }}
.id {{ font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
.name {{ font-weight: 600; }}
.soft {{ color: var(--soft); fill: var(--soft); }}
.bad {{ color: var(--bad); fill: var(--bad); font-weight: 600; }}
.paper {{ fill: var(--paper); }}
.rule {{ stroke: var(--rule); }}
.mark {{ stroke: var(--soft); stroke-dasharray: 2 3; opacity: 0.7; }}
.removed {{ stroke: var(--ink); stroke-width: 2; }}
.r {{ --own: var(--r); --on: var(--dark); }}
.w {{ --own: var(--w); --on: var(--on-w); }}
.j {{ --own: var(--j); --on: var(--on-j); }}
.b {{ --own: var(--b); --on: #ffffff; }}
.g {{ --own: var(--g); --on: var(--dark); }}
.c {{ --own: var(--c); --on: var(--dark); }}
.s {{ --own: var(--s); }}
.a {{ --own: var(--a); --on: var(--dark); }}
.l {{ --own: var(--l); --on: var(--on-l); }}
.key rect, .instance rect {{ fill: var(--own); }}
.key .hatched, .instance .hatched {{ fill: url(#bad); }}
.instance:hover rect {{ opacity: 0.75; }}
.instance .on {{ fill: var(--on); stroke: none; }}
.instance .on.b {{ stroke: var(--b); stroke-width: 6px; font-weight: 600; }}
.thin rect {{ shape-rendering: crispEdges; }}
.thin .s {{ opacity: 0.75; }}
"""

# A narrow screen, and paper, get a drawing of their own: one that was drawn wide would be too small to read there.
PAGE_STYLE = f"""
body {{
  margin: 0 auto; padding: 16px 24px 32px; max-width: 1400px; background: var(--paper); color: var(--ink);
  font: 14px/1.45 {_FONTS};
}}
h1 {{ font-size: 21px; margin: 0 0 2px; }}
h2 {{ font-size: 14px; margin: 0 0 4px; }}
p {{ margin: 0 0 12px; color: var(--soft); }}
p.headline {{ margin: 0 0 2px; color: var(--ink); font-weight: 600; }}
ul {{ list-style: none; margin: 0; padding: 0; }}
li {{ margin: 1px 0; }}
li.stage {{ padding-left: 34px; text-indent: -34px; }}
table {{ border-collapse: collapse; }}
td, th {{ padding: 1px 14px 1px 0; text-align: right; font-weight: 400; white-space: nowrap; }}
th {{ color: var(--soft); }}
td:first-child, th:first-child, td:last-child, th:last-child {{ text-align: left; }}
code {{ font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
svg.wide, svg.narrow {{ display: block; width: 100%; height: auto; }}
.top {{ display: flex; flex-wrap: wrap; gap: 8px 36px; margin-bottom: 12px; font-size: 12.5px; }}
.legend {{ flex: 1 1 420px; }}
.swatch {{
  display: inline-block; width: 26px; height: 11px; margin-right: 8px; border-radius: 2px; text-align: center;
  text-indent: 0; background: var(--own);
}}
.swatch i {{ display: inline-block; width: 2px; height: 13px; background: var(--ink); }}
.swatch.hatched {{ background: repeating-linear-gradient(135deg, var(--b) 0 4px, var(--b2) 4px 6px); }}
svg.narrow {{ display: none; }}
@media print, (max-width: 1060px) {{
  body {{ padding: 12px 12px 24px; }}
  h1 {{ font-size: 18px; }}
  svg.narrow {{ display: block; max-width: 860px; }}
  svg.wide, .hover {{ display: none; }}
  .times td:last-child, .times th:last-child {{ display: none; }}
}}
@media print {{
  * {{ print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
  body {{ padding: 0; font-size: 10pt; }}
  .top {{ break-inside: avoid; }}
}}
@page {{ size: A4; margin: 12mm; }}
"""
HATCH = (
    '<defs><pattern id="bad" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="8" height="8" style="fill: var(--b)"/><rect width="2" height="8" style="fill: var(--b2)"/>'
    "</pattern></defs>"
)
