"""The pictures of the demo are what is drawn now of the demo whose records are kept."""

from __future__ import annotations

import json

import pytest

from generators.pictures import PICTURES, data_of, drawn, picture_of
from lab.demo.load_record import read as read_load
from rollcall_cli.timeline.instances import Stage
from rollcall_cli.timeline.json_format import read

DEMO = read(json.loads(data_of("timeline").read_text(encoding="utf-8")))
LOAD = read_load(json.loads(data_of("cycle").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_a_picture_is_up_to_date(name: str) -> None:
    assert picture_of(name).read_text(encoding="utf-8") == drawn(name), "run `make picture`"


def test_the_demo_that_it_shows_shows_what_a_reader_is_to_see() -> None:
    assert set(DEMO.groups) == {"web", "db"}
    assert {Stage.BAD_JOB, Stage.GATE, Stage.LEAVING} <= set(DEMO.stages)
    assert any(each.failed for each in DEMO.instances)
    assert any(each.tried_again and each.served for each in DEMO.instances)
    assert any(each.termination_missed for each in DEMO.instances)
    assert len(DEMO.marks) == 4


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
