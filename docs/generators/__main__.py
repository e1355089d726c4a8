"""python -m generators: writes every page that is made from the code, and the table of costs in README.md."""

from __future__ import annotations

import sys

from .costs import update_front_page
from .markdown import REPOSITORY
from .pages import PAGES


def main() -> int:
    """Writes what changed. Returns the exit code."""
    update_front_page()
    for path, write in PAGES.items():
        page, text = REPOSITORY / "docs" / path, write()
        if not page.exists() or page.read_text() != text:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text)
            print(f"docs/{path}: made anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
