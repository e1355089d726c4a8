"""`make demo-bake`: an image is baked from a playbook and rolled out under load, on the embedded cloud.

    bake_scenes  the story: what happens, and what has to come of it
    bake_stage   where it plays: a group under load that bakes have made images for before

The rest is as in `make demo`: run.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lab.demo.playing import Demo, play_demo

if TYPE_CHECKING:
    from lab.demo.bake_stage import BakeStage
    from lab.demo.view import View

FUNCTIONS = ("register", "gate", "cleanup", "reconcile", "cycle", "bake", "alert")
LOGS = "build/demo-bake"
PARAMETERS = {"LoadBalancers": "true", "Cycles": "true", "Bakes": "true"}


def main() -> int:
    """The demo from beginning to end. Returns the exit code."""
    return play_demo(_demo)


def _demo() -> Demo[BakeStage]:
    from lab.alert_channels import AlertChannels
    from lab.demo.bake_scenes import SCENES
    from lab.demo.bake_stage import BakeStage

    channels = AlertChannels()
    return Demo(
        logs=LOGS,
        title="An image baked from a playbook and rolled out, between an embedded AWS and an embedded Tower",
        functions=FUNCTIONS,
        parameters=PARAMETERS,
        stage=lambda cloud, view: BakeStage(cloud, view, channels),
        scenes=SCENES,
        draw=draw,
        channels=channels,
    )


def draw(stage: BakeStage, view: View) -> None:
    """What became of requests, targets and instances of the group under load."""
    if load := stage.recorded():
        view.say("")
        view.draw_load(load)


if __name__ == "__main__":
    sys.exit(main())
