"""The picture on the front page is what is drawn now of the demo whose records are kept."""

from __future__ import annotations

import json
from pathlib import Path

from rollcall_cli.timeline.drawing import file_of_its_own
from rollcall_cli.timeline.instances import Stage
from rollcall_cli.timeline.json_format import read

REPOSITORY = Path(__file__).parents[3]
IMAGES = REPOSITORY / "docs" / "images"
DEMO = read(json.loads((IMAGES / "timeline.json").read_text(encoding="utf-8")))


def test_the_picture_is_up_to_date() -> None:
    picture = (IMAGES / "timeline.svg").read_text(encoding="utf-8")
    assert picture == file_of_its_own(DEMO), "run `make picture`"


def test_the_demo_that_it_shows_shows_what_a_reader_is_to_see() -> None:
    assert set(DEMO.groups) == {"web", "db"}
    assert {Stage.BAD_JOB, Stage.GATE, Stage.LEAVING} <= set(DEMO.stages)
    assert any(each.failed for each in DEMO.instances)
    assert any(each.tried_again and each.served for each in DEMO.instances)
    assert any(each.termination_missed for each in DEMO.instances)
    assert len(DEMO.marks) == 4
