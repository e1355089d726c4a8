"""Plays a demo: sets the embedded cloud up, plays the scenes, checks what was recorded, and draws it.

Exit codes: 0, or 1 if a scene did not come out or an invariant broke, or 128 + the signal that ended it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.interrupts import until_interrupted

if TYPE_CHECKING:
    from pathlib import Path

    from lab.alert_channels import AlertChannels
    from lab.cloud import Cloud
    from lab.demo.stage import Stage
    from lab.demo.view import View

WAIT_SCALE = 0.04  # of the time that Step Functions waits, so that a demo is short
SETTLING = 60.0  # seconds for the last messages to be worked off


@dataclass(frozen=True)
class Demo[S: Stage]:
    """A demo. logs: its directory in the repository. title: its first line. functions: whose logs are kept.

    parameters: of the template. stage: sets the groups up. draw: shows at the end what was recorded. channels: what
    operators are notified by, None for none.
    """

    logs: str
    title: str
    functions: Sequence[str]
    parameters: Mapping[str, str]
    stage: Callable[[Cloud, View], S]
    scenes: Sequence[Callable[[S], None]]
    draw: Callable[[S, View], None]
    channels: AlertChannels | None = None


def play_demo[S: Stage](make: Callable[[], Demo[S]]) -> int:
    """A demo from beginning to end. Returns the exit code.

    make imports what it is made of, which takes a second: an interrupt meanwhile ends in a note, too.
    """
    return until_interrupted(lambda: _run_while_read(make))


def _run_while_read[S: Stage](make: Callable[[], Demo[S]]) -> int:
    """The same, as long as its output is read."""
    try:
        return _run(make())
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python's own last flush would fail
        return 1


def _run[S: Stage](demo: Demo[S]) -> int:
    from lab.cloud import REPOSITORY, keep_to_this_machine
    from lab.demo.view import make_view

    began = time.monotonic()
    keep_to_this_machine()
    directory = REPOSITORY / demo.logs
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    view = make_view()
    view.say(demo.title, "bold")
    with tempfile.TemporaryDirectory(dir=directory) as temporary:
        os.environ["TMPDIR"] = temporary  # sam leaves directories behind
        well = _play(demo, view, directory)
    view.say(f"{time.monotonic() - began:.0f} s in all. Nothing is left running. Logs: {demo.logs}/")
    return 0 if well else 1


def _play[S: Stage](demo: Demo[S], view: View, directory: Path) -> bool:
    """Set up, all scenes, the checks. Returns whether all went well."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    from lab.cloud import Cloud, SamError, sam_build
    from lab.demo.stage import POOL
    from lab.tower.embedded import Tower

    built, well = directory / "built", False
    cloud = Cloud(directory, address_pool=POOL, tower=Tower(boot_time=0), wait_scale=WAIT_SCALE)
    try:
        with view.step("Building the functions and their layer (sam build)"):
            sam_build(built)
        with ExitStack() as running:
            if demo.channels:
                running.enter_context(demo.channels.serve())
            with view.step("Starting the embedded cloud"):
                running.enter_context(cloud)
            with view.step("Deploying template.yaml (sam deploy)"):
                notified = demo.channels.pagerduty_parameters(cloud) if demo.channels else {}
                cloud.deploy(built, **demo.parameters, **notified)
            stage = demo.stage(cloud, view)
            running.callback(stage.close)
            trouble = tell_the_story(stage, view, demo.scenes)
            well = sum_up(stage, view, finished=not trouble)
            _write_logs(cloud, demo.functions)
            demo.draw(stage, view)
    except SamError as error:
        (directory / "sam.log").write_text(str(error))
        trouble = f"{error}\nThis is also in {demo.logs}/sam.log"
    except (HTTPError, BotoCoreError, ClientError) as error:
        trouble = f"the embedded AWS does not answer as it should: {error}. See {demo.logs}/aws.log"
    if trouble:
        view.say(f"The demo did not come out: {trouble}", "bold red")
    return not trouble and well


def tell_the_story[S: Stage](stage: S, view: View, scenes: Sequence[Callable[[S], None]]) -> str:
    """All scenes, one after the other. Returns why one did not come out, or nothing."""
    from lab.demo.stage import SceneFailed

    with view.live():
        try:
            for scene in scenes:
                stage.play(scene)
            stage.settle(SETTLING)
        except SceneFailed as failed:
            return str(failed)
    return ""


def sum_up(stage: Stage, view: View, *, finished: bool) -> bool:
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


def _write_logs(cloud: Cloud, functions: Sequence[str]) -> None:
    for function in functions:
        text = cloud.aws.function_log(cloud.function_name(f"{function.capitalize()}Function"))
        (cloud.directory / f"{function}.log").write_text(text)
    asked = (f"{each.time:.3f} {each.method} {each.path} {each.status}\n" for each in cloud.tower.requests())
    (cloud.directory / "tower.log").write_text("".join(asked))
