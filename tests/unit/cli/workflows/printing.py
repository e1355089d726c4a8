"""What a picture of a cycle or a bake is on paper."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDTH = 200


def lines_of(picture: RenderableType) -> list[str]:
    """The lines of a picture as a wide terminal without colours shows it."""
    out = io.StringIO()
    Console(file=out, width=WIDTH, highlight=False, markup=False).print(picture)
    return out.getvalue().splitlines()
