"""Where the scenes of `make demo-bake` play: shop, which has images of bakes already, and a bake that is shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.bakes import (
    PLACED,
    baked_versions,
    have_baked,
    hosts_of_bakes,
    images,
    instances,
    left,
    let_bake,
    start_bake,
    tags_of,
)
from lab.cycles import versions
from lab.demo.stage import Stage
from rollcall_cli.baking.executions import BakeExecutions
from rollcall_cli.baking.words import changes

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.alert_channels import AlertChannels
    from lab.bakes import Bake
    from lab.cloud import Cloud, Json
    from lab.demo.load import LoadCycle
    from lab.demo.stage import Sights
    from lab.demo.view import View
    from rollcall_cli.baking.executions import BakeExecution

SIZE = 8  # instances of shop; a cycle takes a quarter of them at a time
KEPT = 5  # images and versions: the default of a bake
IMAGE, BOOT, CHECKS = 2.0, 1.0, 2.0  # seconds that an image, an instance and its status checks take
BAKE_TIMEOUT = 240.0  # seconds; a bake that rolls out takes 90
INCIDENT_TIMEOUT = 60.0  # seconds until operators are notified; alert waits for more to read
REMOVED_TIMEOUT = 30.0  # seconds until nothing that a bake launched is left


class BakeStage(Stage):
    """shop, on a version that no bake made, and the images of earlier bakes. earlier: their ids, the oldest first.

    channels: what operators are notified by.
    """

    def __init__(self, cloud: Cloud, view: View, channels: AlertChannels) -> None:
        super().__init__(cloud, view, size=SIZE, **PLACED)
        cloud.aws.images.take(image=IMAGE, boot=BOOT, checks=CHECKS)
        let_bake(self.shop, cloud.tower)
        self.earlier = have_baked(self.shop, KEPT)
        self._channels = channels

    def bake(self, on_smoke: Callable[[str], None] | None = None) -> ShownBake:
        """Start a bake of shop as the command does, and follow it to its end, a line for each change.

        on_smoke: called once with the instance of the smoke test. Raises SceneFailed.
        """
        shown = ShownBake(self, start_bake(self.shop), on_smoke)
        self.wait(shown.over, "the bake of shop is over", BAKE_TIMEOUT)
        return shown

    def expect_nothing_left(self) -> None:
        """Raises SceneFailed if an instance that a bake launched, or its host, is not gone within a while."""
        self.wait(lambda _: not self._left(), "builder and smoke instance are gone", REMOVED_TIMEOUT)

    def _left(self) -> bool:
        return bool(left(self.shop) or hosts_of_bakes(self.shop, self.cloud.tower))

    def launched(self) -> set[str]:
        """Every instance that bakes of shop have launched."""
        return set(instances(self.shop))

    def serving_versions(self) -> list[str]:
        """The version of each instance of shop in service, in order."""
        return versions(self.shop)

    def tags_of(self, image_id: str) -> dict[str, str]:
        """The tags of an image of shop's bakes, by key; none of one that is not there."""
        return next((tags_of(each) for each in images(self.shop) if each["ImageId"] == image_id), {})

    def image_ids(self, state: str) -> list[str]:
        """The images of shop's bakes that are in this state (EC2's word), the newest first."""
        return [each["ImageId"] for each in images(self.shop) if each["State"] == state]

    def baked_versions(self) -> dict[str, str]:
        """The image of each version of shop's launch template that bakes made, by its number."""
        return baked_versions(self.shop)

    def last_answer(self) -> tuple[int, list[str]]:
        """How `rollcall bake` says that the last bake of shop ended: its exit code, and its lines."""
        done = self.cloud.rollcall("bake", "--watch", self.shop.name)
        return done.returncode, done.stdout.strip().splitlines()

    def incidents(self) -> list[str]:
        """What the incidents say that PagerDuty has open. Raises SceneFailed if none is opened within a while."""
        self.wait(lambda _: bool(self._open_incidents()), "an incident is opened", INCIDENT_TIMEOUT)
        return self._open_incidents()

    def _open_incidents(self) -> list[str]:
        return [each.payload["summary"] for each in self._channels.pagerduty.alerts() if not each.resolved]

    def kept(self) -> list[Json]:
        """What `rollcall rollback --list` shows for shop, the newest first. Raises SceneFailed."""
        done = self.cloud.rollcall("rollback", "--list", "--json", self.shop.name)
        self.expect(done.returncode == 0, f"rollcall rollback --list ended with {done.returncode}: {done.stderr}")
        return list(json.loads(done.stdout)["versions"])


class ShownBake:
    """A bake whose changes are said as `rollcall bake` says them, and those of its cycle with the requests to shop.

    state: after its last step. cycle: that rolls it out, None before that began.
    """

    def __init__(self, stage: BakeStage, bake: Bake, on_smoke: Callable[[str], None] | None = None) -> None:
        self.state: Json = {}
        self.cycle: LoadCycle | None = None
        self._stage = stage
        self._bake = bake
        machine = stage.cloud.physical_id("BakeStateMachine")
        self._executions = BakeExecutions(stage.cloud.aws.client("stepfunctions"), machine, None)
        self._before: BakeExecution | None = None
        self._on_smoke = on_smoke

    def over(self, _: Sights) -> bool:
        """Whether it has ended; looks at it once more."""
        now = self._executions.read_whole(self._bake.arn)
        for words in changes(self._before, now):
            self._stage.say(f"   {words}")
        self._before = now
        self.state = now.state.to_json() if now.state else {}
        if self._on_smoke and (instance := self.state.get("smoke_instance")):
            self._on_smoke(instance)
            self._on_smoke = None
        if self.state.get("cycle") and not self.cycle:
            cycle = self._bake.rolls_out(self._stage.shop)
            self.cycle = self._stage.load().follow(self.state["version"], cycle)
        if self.cycle and not self.cycle.ended:
            self.cycle.over()
            if news := self.cycle.news():
                self._stage.say(f"   {news}")
        return not now.running
