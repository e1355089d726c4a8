"""python -m generators.pictures: images/timeline.svg, the timeline that the last `make demo` drew, as a picture."""

from __future__ import annotations

import re
import sys

from .markdown import REPOSITORY

DRAWN = REPOSITORY / "build" / "demo" / "timeline.html"
PICTURE = REPOSITORY / "docs" / "images" / "timeline.svg"
FONT = 'font: 14px system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;'


def as_picture(page: str) -> str:
    """The drawing of a timeline's page, with the page's colours. Raises ValueError for a page without one."""
    style, drawing = (re.search(pattern, page, re.DOTALL) for pattern in (r"<style>(.*?)</style>", r"<svg.*?</svg>"))
    if not style or not drawing:
        raise ValueError("there is no drawing in the page of the timeline")
    tag, rest = drawing[0].split(">", 1)
    paper = '<rect width="100%" height="100%" fill="var(--paper)"/>'
    return f"{tag}><style>{style[1]}svg {{ {FONT} }}</style>{paper}{rest}\n"


def main() -> int:
    """Writes the picture. Returns the exit code."""
    if not DRAWN.exists():
        print(f"{DRAWN} is not there: run make demo first.")
        return 2
    PICTURE.write_text(as_picture(DRAWN.read_text()))
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
