"""reference/modules*.md: every module of layers/common/rollcall with what its docstring says first."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from .markdown import REPOSITORY, code, page, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PACKAGE = REPOSITORY / "layers" / "common" / "rollcall"
PACKAGES = {  # by page, from the ground floor up
    "modules": ("domain", "aws", "http"),
    "modules-tower": ("tower", "alerting"),
    "modules-lifecycle": ("hosts", "chef", "checks", "evidence", "lifecycle"),
    "modules-operation": ("reconcile", "doctor", "telemetry", "runtime"),
    "modules-cycle": ("workflow", "cycle"),
    "modules-bake": ("bake",),
}
ABOUT = """\
Modules of `layers/common/rollcall`, by package, from the ground floor up. What a package is, and which packages it may
import: [Architecture](../architecture.md#the-floors).
"""


def writer(name: str) -> Callable[[], str]:
    """What writes one of the pages."""

    def write() -> str:
        parts = [ABOUT, "More: " + " \N{MIDDLE DOT} ".join(_link(each) for each in PACKAGES if each != name)]
        for package in PACKAGES[name]:
            parts += [f"## `{package}/`", table(["module", "what it is"], _rows(PACKAGE / package))]
        return page(f"Modules: {_listed(name)}", "the modules' docstrings", *parts)

    return write


def _link(name: str) -> str:
    return f"[{_listed(name)}]({name}.md)"


def _listed(name: str) -> str:
    return ", ".join(PACKAGES[name])


def _rows(package: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(package.rglob("*.py")):
        if path.name != "__init__.py":
            docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
            first = " ".join(docstring.partition("\n\n")[0].split())
            yield code(path.relative_to(package).with_suffix("").as_posix()), first
