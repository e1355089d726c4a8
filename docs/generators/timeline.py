"""Draws docs/images/timeline.svg, the demo's timeline on the front page, out of what one demo recorded.

That is docs/images/timeline.json, so the picture is made again without a demo; `make demo` leaves a new one in
build/demo/timeline.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from rollcall_cli.timeline.drawing import file_of_its_own
from rollcall_cli.timeline.json_format import read

IMAGES = Path(__file__).parents[1] / "images"
DATA, PICTURE = IMAGES / "timeline.json", IMAGES / "timeline.svg"


def main() -> int:
    """Writes the picture, and where they are new its data. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--from", dest="data", type=Path, help="a demo's timeline.json, which becomes the picture's data"
    )
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
