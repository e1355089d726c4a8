"""Draws the pictures of the demo: docs/images/timeline.svg and cycle.svg, out of what one demo recorded.

That is kept beside them as JSON, so they are drawn again without a demo; `make demo` leaves new data of the same names
in build/demo.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.demo import load_picture, load_record
from rollcall_cli.timeline import drawing, json_format

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

IMAGES = Path(__file__).parents[1] / "images"
PICTURES: Mapping[str, Callable[[Any], str]] = {  # by name, how each is drawn of its data
    "timeline": lambda raw: drawing.file_of_its_own(json_format.read(raw)),
    "cycle": lambda raw: load_picture.file_of_its_own(load_record.read(raw)),
}


def main() -> int:
    """Writes the pictures, and where they are new their data. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--from", dest="demo", type=Path, help="a demo's directory, whose data become the pictures'")
    options = parser.parse_args()
    for name in PICTURES:
        if options.demo:
            shutil.copyfile(options.demo / f"{name}.json", data_of(name))
        picture_of(name).write_text(drawn(name), encoding="utf-8")
        print(picture_of(name))
    return 0


def data_of(name: str) -> Path:
    """Where the data of a picture are kept."""
    return IMAGES / f"{name}.json"


def picture_of(name: str) -> Path:
    """Where a picture is."""
    return IMAGES / f"{name}.svg"


def drawn(name: str) -> str:
    """A picture of the data that are kept."""
    return PICTURES[name](json.loads(data_of(name).read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(main())
