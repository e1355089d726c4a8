"""Markdown as every generated page has it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

REPOSITORY = Path(__file__).parents[2]
NONE = "\N{EN DASH}"


def page(title: str, source: str, *parts: str) -> str:
    """A page: its title, from which code it is made, and its parts."""
    note = f"<!-- Made from {source} by `make docs`. Change it there. -->"
    return "\n\n".join([note, f"# {title}", *(each.strip("\n") for each in parts if each.strip())]) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar within a cell is escaped, a line break becomes a blank."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(each) for each in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(str(text).split())) or NONE


def code(text: object) -> str:
    """Text as code; nothing for nothing."""
    return f"`{text}`" if str(text) else NONE


def codes(names: Iterable[object]) -> str:
    """Names as code, separated by blanks."""
    return " ".join(code(each) for each in names) or NONE


def summary(thing: object) -> str:
    """The first paragraph of a docstring, as one line."""
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def sentence(text: str) -> str:
    """Text that begins with a capital letter and ends with a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")
