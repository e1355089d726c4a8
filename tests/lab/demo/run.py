"""`make demo`: Rollcall deployed on the embedded cloud, at work before your eyes.

    scenes        the story: what happens, and what has to come of it
    cycle_scenes  its scenes about cycles
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

Exit codes: 0, or 1 if a scene did not come out or an invariant broke, or 128 + the signal that ended it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.error import URLError

from lab.interrupts import until_interrupted

if TYPE_CHECKING:
    from pathlib import Path

    from lab.cloud import Cloud
    from lab.demo.stage import Stage
    from lab.demo.view import View

FUNCTIONS = ("register", "gate", "cleanup", "reconcile", "cycle")
LOGS = "build/demo"
TIMELINE, DATA, LOAD_DATA = "timeline.html", "timeline.json", "cycle.json"
WAIT_SCALE = 0.04  # of the time that Step Functions waits, so that the demo is short
SETTLING = 60.0  # seconds for the last messages to be worked off


def main() -> int:
    """The demo from beginning to end. Returns the exit code."""
    return until_interrupted(_run_while_read)


def _run_while_read() -> int:
    """The same, as long as its output is read."""
    try:
        return _run()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python's own last flush would fail
        return 1


def _run() -> int:
    # Imported here so that an interrupt during these imports, which take a second, ends in a note too.
    from lab.cloud import REPOSITORY, keep_to_this_machine
    from lab.demo.view import make_view

    began = time.monotonic()
    keep_to_this_machine()
    directory = REPOSITORY / LOGS
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    view = make_view()
    view.say("Rollcall between an embedded AWS and an embedded Tower, all on this machine", "bold")
    with tempfile.TemporaryDirectory(dir=directory) as temporary:
        os.environ["TMPDIR"] = temporary  # sam leaves directories behind
        well = _play(view, directory)
    view.say(f"{time.monotonic() - began:.0f} s in all. Nothing is left running. Logs: {LOGS}/")
    return 0 if well else 1


def _play(view: View, directory: Path) -> bool:
    """Set up, all scenes, the checks. Returns whether all went well."""
    from botocore.exceptions import BotoCoreError, ClientError

    from lab.cloud import Cloud, SamError, sam_build
    from lab.demo.stage import POOL, Stage
    from lab.tower.embedded import Tower

    built = directory / "built"
    cloud = Cloud(directory, address_pool=POOL, tower=Tower(boot_time=0), wait_scale=WAIT_SCALE)
    try:
        with view.step("Building the functions and their layer (sam build)"):
            sam_build(built)
        with ExitStack() as running:
            with view.step("Starting the embedded cloud"):
                running.enter_context(cloud)
            with view.step("Deploying template.yaml (sam deploy)"):
                cloud.deploy(built, LoadBalancers="true", Cycles="true")
            stage = Stage(cloud, view)
            running.callback(stage.close)
            trouble = _tell_the_story(stage, view)
            well = _sum_up(stage, view, finished=not trouble)
            _write_logs(cloud)
            draw(stage, view)
    except SamError as error:
        (directory / "sam.log").write_text(str(error))
        trouble = f"{error}\nThis is also in {LOGS}/sam.log"
    except (URLError, BotoCoreError, ClientError) as error:
        trouble = f"the embedded AWS does not answer as it should: {error}. See {LOGS}/aws.log"
    if trouble:
        view.say(f"The demo did not come out: {trouble}", "bold red")
    return not trouble and well


def _tell_the_story(stage: Stage, view: View) -> str:
    """All scenes, one after the other. Returns why one did not come out, or nothing."""
    from lab.demo.scenes import SCENES
    from lab.demo.stage import SceneFailed

    with view.live():
        try:
            for scene in SCENES:
                stage.play(scene)
            stage.settle(SETTLING)
        except SceneFailed as failed:
            return str(failed)
    return ""


def _sum_up(stage: Stage, view: View, *, finished: bool) -> bool:
    """What was checked, and figures. Returns whether everything holds."""
    from lab.demo.checks import check, figures

    checks = check(stage.cloud, stage.groups, stage.others, finished=finished)
    view.say("\nChecked on what the embedded AWS and the embedded Tower recorded:", "bold")
    for each in checks:
        view.verdict(each.holds, f"{each.invariant}  {each.words:<45}  {each.checked_on}")
        for sentence in each.broken:
            view.say(f"        {sentence}", "red")
    for figure in figures(stage.cloud):
        view.say(f"  {figure}")
    return all(each.holds for each in checks)


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


def _write_logs(cloud: Cloud) -> None:
    for function in FUNCTIONS:
        text = cloud.aws.function_log(cloud.function_name(f"{function.capitalize()}Function"))
        (cloud.directory / f"{function}.log").write_text(text)
    asked = (f"{each.time:.3f} {each.method} {each.path} {each.status}\n" for each in cloud.tower.requests())
    (cloud.directory / "tower.log").write_text("".join(asked))


if __name__ == "__main__":
    sys.exit(main())
