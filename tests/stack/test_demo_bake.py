"""The scenes of `make demo-bake` come out, on a cloud of their own, and what they leave keeps the invariants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.alert_channels import AlertChannels
from lab.cloud import Cloud
from lab.demo.bake_run import PARAMETERS, draw
from lab.demo.bake_scenes import SCENES
from lab.demo.bake_stage import BakeStage
from lab.demo.playing import WAIT_SCALE, sum_up, tell_the_story
from lab.demo.stage import POOL
from lab.demo.view import Lines
from lab.tower.embedded import Tower

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.long
def test_the_scenes_of_a_bake_come_out(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    view, channels = Lines(), AlertChannels()
    with (
        channels.serve(),
        Cloud(tmp_path, address_pool=POOL, tower=Tower(boot_time=0), wait_scale=WAIT_SCALE, forks=True) as cloud,
    ):
        cloud.deploy(built, **PARAMETERS, **channels.pagerduty_parameters(cloud))
        stage = BakeStage(cloud, view, channels)
        try:
            assert tell_the_story(stage, view, SCENES) == ""
            assert sum_up(stage, view, finished=True)
            draw(stage, view)
        finally:
            stage.close()
    said = capsys.readouterr().out
    told = ["launching the builder", "smoke test: passed", "2 at a time", "none lost", "is terminated"]
    told += ["rollcall rollback shop --list", "not made by a bake", "rollcall bake shop ends with 1:", "FAILED after"]
    told += ["(al2023-ami-", "PagerDuty has an incident open:"]
    assert [words for words in told if words not in said] == []
    assert [mark.name for mark in stage.marks] == ["bake under load", "keep the last five", "fail a smoke test"]
