"""A stack whose status is read, around a world in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall_cli.stack_parts import StackParts
from rollcall_cli.status.reading import StatusReader
from rollcall_cli.status.surroundings import LastRun, SeenQueue, Surroundings
from unit.fakes import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Collection

    from rollcall.alerting.incident import Incident
    from rollcall.aws.tagged_groups import RunningGroup
    from rollcall.domain.errors import RollcallError
    from rollcall_cli.status.bakes import RunningBake
    from rollcall_cli.status.cycles import RunningCycle
    from rollcall_cli.status.group_work import LastEnd
    from rollcall_cli.status.reading import Status
    from rollcall_cli.status.surroundings import SeenAlarm
    from rollcall_cli.status.waits import Shown, Wait
    from unit.world import World

CHANGING = {"launch", "cancel", "create_hosts", "update_host", "delete_hosts", "add_to_group", "group_ids"}
PARTS = StackParts(
    "rollcall",
    REGION,
    {"TowerUrl": "https://tower.example.com", "TowerSecretArn": "arn:secret", "RetireJobs": "true", "SubnetIds": "s-1"},
    {
        "HookPrefix": "rollcall",
        "LaunchQueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:launch",
        "TerminateQueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:terminate",
    },
    {},
)


class FakeSurroundings(Surroundings):
    """What is around the instances, as a test sets it. failing: by method, why it cannot be read."""

    def __init__(self, now: float) -> None:
        self.known_queues: tuple[SeenQueue, ...] = (SeenQueue("LaunchQueue", 0, 0, 0),)
        self.known_alarms: tuple[SeenAlarm, ...] = ()
        self.known_incidents: tuple[Incident, ...] | None = None
        self.known_run = LastRun(now - 60, 900)
        self.known_cycles: tuple[RunningCycle, ...] | None = None
        self.known_bakes: tuple[RunningBake, ...] | None = None
        self.known_ends: tuple[LastEnd, ...] = ()
        self.known_groups: list[RunningGroup] = []
        self.failing: dict[str, RollcallError] = {}

    def _asked(self, method: str) -> None:
        if method in self.failing:
            raise self.failing[method]

    def queues(self) -> tuple[SeenQueue, ...]:
        self._asked("queues")
        return self.known_queues

    def with_ages(self, queues: object) -> tuple[SeenQueue, ...]:
        self._asked("with_ages")
        return tuple(each._replace(oldest=90.0) if each.total else each for each in self.known_queues)

    def alarms(self) -> tuple[SeenAlarm, ...]:
        self._asked("alarms")
        return self.known_alarms

    def incidents(self) -> tuple[Incident, ...] | None:
        self._asked("incidents")
        return self.known_incidents

    def cycles(self) -> tuple[RunningCycle, ...] | None:
        self._asked("cycles")
        return self.known_cycles

    def bakes(self) -> tuple[RunningBake, ...] | None:
        self._asked("bakes")
        return self.known_bakes

    def ends(self, groups: Collection[str]) -> tuple[LastEnd, ...]:
        self._asked("ends")
        return tuple(each for each in self.known_ends if each.group in groups)

    def running_groups(self) -> list[RunningGroup]:
        self._asked("running_groups")
        return self.known_groups

    def last_run(self) -> LastRun:
        self._asked("last_run")
        return self.known_run


class Looked:
    """Looks at a world as the command does. parts: the stack's."""

    def __init__(self, world: World, parts: StackParts = PARTS) -> None:
        self.world = world
        self.parts = parts
        self.around = FakeSurroundings(world.clock.now)

    def status(self, *groups: str) -> Status:
        """The status; nothing was changed to know it."""
        world = self.world
        reader = StatusReader(
            self.parts, world.fleet, world.tower, self.around, world.clock, lambda tower: world.evidence
        )
        before = dict(world.tower.calls)
        found = reader.read(groups, lambda words: None)
        for method in CHANGING:
            assert world.tower.calls[method] == before.get(method, 0), f"{method} changes Tower"
        assert not world.fleet.completed
        assert not world.fleet.heartbeats
        assert not world.queues.sent
        assert not world.fleet.targets.calls.keys() & {"register", "deregister"}
        return found

    def wait(self, instance_id: str) -> Wait:
        """The one of this instance."""
        [found] = [each for each in self.status().waits if each.instance_id == instance_id]
        return found

    def shown(self, instance_id: str) -> Shown:
        """What is known of this instance."""
        return self.wait(instance_id).shown
