"""Rows of columns of which nothing is ever cut: where a terminal is too narrow, columns give way to a line below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from .screen import console, in_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GAP, INDENT = "  ", "    "


def print_columns(headings: Sequence[str], rows: Sequence[Sequence[Text]], give_way: Sequence[str]) -> None:
    """Print rows as wide as the terminal allows. give_way: as in_columns() takes it."""
    out = console()
    for line in in_columns(headings, rows, give_way, out.width):
        out.print(line, soft_wrap=True)


def in_columns(
    headings: Sequence[str], rows: Sequence[Sequence[Text]], give_way: Sequence[str], width: int
) -> Iterator[Text]:
    """A line of headings, and a line for each row; more where it does not fit into the width (characters).

    give_way: the headings of the columns that go below the line of their row, the first one first.
    """
    widths = [max(len(heading), *(each[at].cell_len for each in rows)) for at, heading in enumerate(headings)]
    kept, below = list(range(len(headings))), list[int]()
    for heading in give_way:
        if sum(widths[at] for at in kept) + len(GAP) * (len(kept) - 1) <= width:
            break
        below.append(headings.index(heading))
        kept.remove(below[-1])
    yield _joined([Text(headings[at], style="bold") for at in kept], [widths[at] for at in kept])
    for row in rows:
        yield _joined([row[at] for at in kept], [widths[at] for at in kept])
        named = [Text.assemble((f"{headings[at]} ", "bright_black"), row[at]) for at in sorted(below) if row[at]]
        for line in in_lines(named, len(GAP), width - len(INDENT)):
            yield Text.assemble(INDENT, Text(GAP).join(line))


def _joined(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    padded = [Text.assemble(cell, " " * (width - cell.cell_len)) for cell, width in zip(cells, widths, strict=True)]
    line = Text(GAP).join(padded)
    line.rstrip()
    return line
