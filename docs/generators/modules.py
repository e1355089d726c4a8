"""reference/modules.md: every module of layers/common/rollcall with what its docstring says first."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from .markdown import REPOSITORY, code, page, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = REPOSITORY / "layers" / "common" / "rollcall"
ABOUT = """\
Each module of `layers/common/rollcall`, by package. What a package is, and which packages it may import:
[Architecture](../architecture.md#the-floors).
"""


def write() -> str:
    """The page."""
    parts = [ABOUT]
    for package in sorted(each for each in PACKAGE.iterdir() if (each / "__init__.py").exists()):
        parts += [f"## `{package.name}/`", table(["module", "what it is"], _rows(package))]
    return page("Modules", "the modules' docstrings", *parts)


def _rows(package: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(package.rglob("*.py")):
        if path.name != "__init__.py":
            docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
            first = " ".join(docstring.partition("\n\n")[0].split())
            yield code(path.relative_to(package).with_suffix("").as_posix()), first
