"""index.md, changelog.md and contributing.md: pages that stand in the repository's root, with the site's links."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .markdown import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

PLACES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
LINK = re.compile(r"(!?\[[^\]\[]*\])\(([^)\s]+)\)")


def copy_of(name: str) -> Callable[[], str]:
    """What writes the site's page of a file in the root."""
    return lambda: _note(name) + LINK.sub(_on_the_site, (REPOSITORY / name).read_text())


def _note(name: str) -> str:
    return f"<!-- Made from {name} by `make docs`. Change it there. -->\n\n"


def _on_the_site(link: re.Match[str]) -> str:
    path, hash_sign, anchor = link[2].partition("#")
    if re.match(r"https?:", path) or not path:
        return link[0]
    if path == "LICENSE":
        return link[1].strip("[]")
    if path not in PLACES and not path.startswith("docs/"):
        raise ValueError(
            f"{link[2]}: a page of the root links pages of docs/ and of the root, for the site has no others"
        )
    return f"{link[1]}({PLACES.get(path, path.removeprefix('docs/'))}{hash_sign}{anchor})"
