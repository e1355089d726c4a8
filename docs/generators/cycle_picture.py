"""Draws docs/images/cycle.svg, a group that is cycled under load, out of what one demo recorded.

That is docs/images/cycle.json, so the picture is made again without a demo; `make demo` leaves a new one in
build/demo/cycle.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from lab.demo.load_picture import file_of_its_own
from lab.demo.load_record import read

IMAGES = Path(__file__).parents[1] / "images"
DATA, PICTURE = IMAGES / "cycle.json", IMAGES / "cycle.svg"


def main() -> int:
    """Writes the picture, and where they are new its data. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--from", dest="data", type=Path, help="a demo's cycle.json, which becomes the picture's data")
    options = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    if options.data:
        shutil.copyfile(options.data, DATA)
    PICTURE.write_text(drawn(), encoding="utf-8")
    print(PICTURE)
    return 0


def drawn() -> str:
    """The picture of the data that is kept."""
    return file_of_its_own(read(json.loads(DATA.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    sys.exit(main())
