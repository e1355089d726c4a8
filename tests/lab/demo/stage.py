"""Where the demos' scenes play: the cloud with its groups, and the view that shows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from lab.cloud import eventually
from lab.demo.load import Load
from lab.demo.sights import observe
from lab.invariants import others_hosts
from rollcall_cli.timeline.timeline import Mark

if TYPE_CHECKING:
    from lab.cloud import Cloud, Group
    from lab.demo.load_record import LoadRecord
    from lab.demo.sights import Sight
    from lab.demo.view import View

POOL = "10.0.0.0/27"  # the lowest free address first: the demo needs them again
JOB_TIME = 3.0  # seconds
INVENTORY, TEMPLATE, DEPLOY = "production", "provision", "deploy web"
HEARTBEAT_TIMEOUT = 60  # seconds
SHOP_SIZE = 6  # instances; they have the pool's first addresses
SHOP_TIMEOUT = 30.0  # seconds until they are launched
SERVING_TIMEOUT = 60.0  # seconds until shop serves; it was launched before the first scene
DRAINING = 1  # seconds that a target of shop drains
WARM_UP = 1  # seconds
REQUESTS = 30.0  # a second, that shop gets

type Sights = list[Sight]


class SceneFailed(Exception):
    """A scene did not come out: why, in a sentence."""


class Stage:
    """Where the scenes play: the cloud with a group behind a load balancer, shop, and the view that shows it.

    size: of shop; settings: of it, as CreateAutoScalingGroup names them. others: the hosts in Tower that are not
    Rollcall's, by id. marks: the scenes that have begun. load_since: when the first of those began that are about shop
    under load. shop serves from the beginning, and is seen only then.
    """

    def __init__(self, cloud: Cloud, view: View, *, size: int = SHOP_SIZE, **settings: Any) -> None:
        self.cloud = cloud
        self.marks: list[Mark] = []
        self.load_since: float | None = None
        self._view = view
        self._load: Load | None = None
        self._open = ExitStack()
        self._gone_before: set[str] = set()
        self._size = size
        cloud.tower.set_job_time(JOB_TIME)
        cloud.tower.add_inventory(INVENTORY)
        for template in (TEMPLATE, DEPLOY):
            cloud.tower.add_job_template(template, INVENTORY)
        cloud.tower.add_host(INVENTORY, "vpn-1.example.com", "# by hand\nansible_host: 192.0.2.7\n", groups=["network"])
        self.others = others_hosts(cloud)
        self.shop = self._shop(settings)

    def _group(self, name: str, *, gate: str | None = None, **settings: Any) -> Group:
        tags = {"inventory": INVENTORY, "groups": name, "job-template": TEMPLATE, "gate": gate}
        return self.cloud.create_group(name, tags, heartbeat_timeout=HEARTBEAT_TIMEOUT, **settings)

    def _shop(self, settings: Mapping[str, Any]) -> Group:
        """The group behind a load balancer, with the pool's first addresses."""
        self._targets = self.cloud.create_target_group("shop")
        self.cloud.set_deregistration_delay(self._targets, DRAINING)
        traffic = {"TargetGroupARNs": [self._targets], "DefaultInstanceWarmup": WARM_UP, "version": "1"}
        shop = self._group("shop", gate="job elb", **traffic, **settings)
        shop.scale(self._size)
        words = f"{self._size} instances of shop are launched"
        eventually(lambda: len(shop.states()) == self._size, words, SHOP_TIMEOUT)
        return shop

    def serving(self) -> set[str]:
        """The instances of shop once all serve. Raises SceneFailed."""
        self.wait(
            lambda sights: len(self.shop.in_service()) == self._size,
            f"shop has {self._size} instances in service",
            SERVING_TIMEOUT,
        )
        return self.shop.in_service()

    @property
    def groups(self) -> tuple[str, ...]:
        return (self.shop.name,)

    def load(self) -> Load:
        """The load of shop, which begins when this is asked first, and lasts until the stage is closed."""
        if self._load is None:
            self.load_since = self.marks[-1].time
            traffic = self.cloud.traffic(self.shop, self._targets, rate=REQUESTS)
            self._load = Load(self.shop, self._size, self._open.enter_context(traffic))
        return self._load

    def recorded(self) -> LoadRecord | None:
        """What was recorded of shop under load; None before it was."""
        return self._load.record() if self._load else None

    def close(self) -> None:
        """End what was begun for the scenes."""
        self._open.close()

    def play(self, scene: Callable[[Self], None]) -> None:
        """A scene, from its beginning to its end. Raises SceneFailed."""
        self.marks.append(Mark(time.time(), len(self.marks) + 1, scene.__name__.replace("_", " ")))
        scene(self)

    def clear(self) -> None:
        """Show no instance any more that is gone by now."""
        self._gone_before = {each.instance_id for each in observe(self.cloud) if each.gone}

    def say(self, text: str, style: str = "") -> None:
        self._view.say(text, style)

    def wait(
        self,
        condition: Callable[[Sights], bool],
        what: str,
        timeout: float,
        *,
        unless: Callable[[Sights], str] = lambda sights: "",
    ) -> Sights:
        """Show the instances until the condition holds. Returns them as they are then.

        Raises SceneFailed after timeout seconds, as soon as `unless` knows a reason, or when a hook timed out.
        """

        def look() -> Sights | None:
            sights = observe(self.cloud)
            self._view.show(self._on_stage(sights))
            if late := [each for each in sights if each.timed_out]:
                raise SceneFailed(f"a hook was not answered before its timeout ({late[0]})")
            if reason := unless(sights):
                raise SceneFailed(reason)
            return sights if condition(sights) else None

        try:
            sights: Sights = eventually(look, what, timeout)
        except TimeoutError as error:
            stuck = [str(each) for each in observe(self.cloud) if not (each.serves or each.gone)]
            raise SceneFailed(". ".join([str(error), *stuck])) from error
        return sights

    def _on_stage(self, sights: Sights) -> Sights:
        """The instances that the view shows: all but those of shop, or of shop those not gone before the scene."""
        if self._load is None:
            return [each for each in sights if each.group != self.shop.name]
        own = [each for each in sights if each.group == self.shop.name]
        return [each for each in own if each.instance_id not in self._gone_before]

    def expect(self, holds: bool, reason: str) -> None:
        """Raises SceneFailed with this reason unless it holds."""
        if not holds:
            raise SceneFailed(reason)

    def expect_no_loss(self) -> None:
        """Raises SceneFailed if a request to shop was lost."""
        lost = self.load().lost
        self.expect(not lost, f"{len(lost)} requests were lost, the first: {lost[0] if lost else ''}")

    def settle(self, timeout: float) -> None:
        """Wait until no message is on its way, or until that takes too long, which is for the invariants to say."""
        try:
            eventually(lambda: self.cloud.in_flight() == 0, "every message is worked off", timeout)
        except TimeoutError as error:
            self.say(str(error), "red")


class FleetStage(Stage):
    """The stage of `make demo`: besides shop the groups web and db, which have no instances at first."""

    def __init__(self, cloud: Cloud, view: View) -> None:
        super().__init__(cloud, view)
        self.web = self._group("web")
        self.db = self._group("db")

    @property
    def groups(self) -> tuple[str, ...]:
        return self.web.name, self.db.name, *super().groups
