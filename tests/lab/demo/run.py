"""`make demo`: Rollcall deployed on the embedded cloud, at work before your eyes.

    scenes        the story: what happens, and what has to come of it
    cycle_scenes  its scenes about cycles
    playing       sets up, plays, checks and draws, as for `make demo-bake` (bake_run)
    stage         where they play: the groups of the cloud
    load          a group under load: the client that never stops asking, and the group's cycles
    sights        what the embedded cloud recorded about each instance
    checks        the invariants, and figures
    view          how all this is shown: a live table, or plain lines

At its end there is a timeline, as `rollcall history` draws it of a real stack (cli/rollcall_cli/timeline), and a
picture of the group under load:

    timeline      when each instance was in which stage, out of what the embedded cloud recorded
    load_record   what became of requests, targets and instances while the group was cycled
    load_picture  this as a drawing
    load_strips   and in the terminal
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from lab.demo.playing import Demo, play_demo

if TYPE_CHECKING:
    from pathlib import Path

    from lab.demo.stage import FleetStage, Stage
    from lab.demo.view import View

FUNCTIONS = ("register", "gate", "cleanup", "reconcile", "cycle")
LOGS = "build/demo"
TIMELINE, DATA, LOAD_DATA = "timeline.html", "timeline.json", "cycle.json"


def main() -> int:
    """The demo from beginning to end. Returns the exit code."""
    return play_demo(_demo)


def _demo() -> Demo[FleetStage]:
    from lab.demo.scenes import SCENES
    from lab.demo.stage import FleetStage

    return Demo(
        logs=LOGS,
        title="Rollcall between an embedded AWS and an embedded Tower, all on this machine",
        functions=FUNCTIONS,
        parameters={"LoadBalancers": "true", "Cycles": "true"},
        stage=FleetStage,
        scenes=SCENES,
        draw=draw,
    )


def draw(stage: Stage, view: View) -> None:
    """When each instance was in which stage, and what became of the group under load.

    A picture of each on one page, the same in the terminal, and the data.
    """
    from lab.demo.load_picture import section
    from lab.demo.load_record import written
    from lab.demo.timeline import read_records
    from rollcall_cli.timeline.json_format import read
    from rollcall_cli.timeline.page import page

    load = stage.recorded()
    document = read_records(stage.cloud, stage.marks, without=[stage.shop.name], until=stage.load_since)
    shown = read(document)
    _write(stage.cloud.directory / DATA, document)
    (stage.cloud.directory / TIMELINE).write_text(page(shown, [section(load)] if load else ()), encoding="utf-8")
    view.say("")
    view.draw(shown)
    if load:
        _write(stage.cloud.directory / LOAD_DATA, written(load))
        view.say("")
        view.draw_load(load)
    view.say(f"Timeline: {LOGS}/{TIMELINE}")


def _write(file: Path, document: object) -> None:
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
