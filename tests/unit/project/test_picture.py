"""The pictures of the demo are what is drawn now of the demo whose records are kept."""

from __future__ import annotations

import json
from pathlib import Path

from lab.demo.load_picture import file_of_its_own as load_picture
from lab.demo.load_record import read as read_load
from rollcall_cli.timeline.drawing import file_of_its_own
from rollcall_cli.timeline.instances import Stage
from rollcall_cli.timeline.json_format import read

REPOSITORY = Path(__file__).parents[3]
IMAGES = REPOSITORY / "docs" / "images"
DEMO = read(json.loads((IMAGES / "timeline.json").read_text(encoding="utf-8")))
LOAD = read_load(json.loads((IMAGES / "cycle.json").read_text(encoding="utf-8")))


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


def test_the_picture_of_a_cycle_is_up_to_date() -> None:
    assert (IMAGES / "cycle.svg").read_text(encoding="utf-8") == load_picture(LOAD), "run `make picture`"


def test_the_cycles_that_it_shows_lost_nothing_and_one_was_rolled_back() -> None:
    assert LOAD.asked > 500
    assert sum(LOAD.lost) == 0
    assert LOAD.fewest_healthy == LOAD.size
    assert LOAD.versions == ["1", "2", "3"]
    assert (LOAD.serving["1"][-1].number, LOAD.serving["2"][-1].number) == (0, LOAD.size)
    assert not any(each.number for each in LOAD.serving["3"])
    succeeded, rolled_back = LOAD.endings
    assert "succeeded" in succeeded
    assert "rolled back" in rolled_back
    assert "(job " in rolled_back
