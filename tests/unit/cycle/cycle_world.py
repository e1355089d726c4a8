"""One cycle in memory: a group, its refreshes as AWS shows them, the gate's log, and the steps of its state machine."""

from __future__ import annotations

from collections.abc import Mapping
from copy import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rollcall.aws.execution_history import ExecutionHistory
from rollcall.aws.gate_log import GateLine, GateLog
from rollcall.aws.group_details import GroupDetails, MemberDetails
from rollcall.aws.instance_refreshes import Ending, Refresh
from rollcall.aws.launch_templates import TemplateVersion
from rollcall.cycle.cycle_aws import CycleAws
from rollcall.cycle.run import CycleRun
from rollcall.cycle.state import CycleState
from rollcall.domain.groups import Group
from rollcall.domain.settings import PINNED_TAG
from unit.fakes import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollcall.cycle.news import CycleAnswer, CycleEvent
    from unit.world import World

TEMPLATE = "lt-1"
EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:cycle:web-1234abcd-now"
BAKES = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:Bake"


class FunctionDiedError(Exception):
    """The function ended in the middle of a step: out of memory, say."""


class FakeCycleAws(CycleAws):
    """Groups and refreshes in memory. changes: the calls that changed something, in order.

    dies_at: the number of the changing call at which the function dies, from 1; before it is made, or after.
    """

    def __init__(self) -> None:
        self.groups: dict[str, GroupDetails] = {}
        self.known: list[Refresh] = []
        self.aliases = {"$Latest": "2", "$Default": "1"}
        self.changes: list[str] = []
        self.irreversible = False
        self.before_start: Callable[[], object] = lambda: None
        self.dies_at = 0
        self.dies_after = False
        self._calls = 0

    def _changing(self, call: str, change: Callable[[], None]) -> None:
        self._calls += 1
        dies = self._calls == self.dies_at
        if dies and not self.dies_after:
            raise FunctionDiedError(call)
        self.changes.append(call)
        change()
        if dies:
            raise FunctionDiedError(call)

    def details(self, name: str) -> GroupDetails | None:
        return self.groups.get(name)

    def resolve(self, template: Mapping[str, Any], version: str) -> str:
        return self.aliases.get(version, version)

    def version(self, template: Mapping[str, Any], version: str) -> TemplateVersion | None:
        number = self.resolve(template, version)
        return TemplateVersion(TEMPLATE, number, {}) if number.isdecimal() else None

    def describe(self, group: str, most: int = 100) -> list[Refresh]:
        return list(self.known)

    def find(self, group: str, refresh_id: str) -> Refresh | None:
        return next((each for each in self.known if each.id == refresh_id), None)

    def start(self, parameters: Mapping[str, Any]) -> str | None:
        self.before_start()
        if any(each.active for each in self.known):
            return None
        made = Refresh(
            f"r-{len(self.known) + 1}",
            "Pending",
            desired_configuration=parameters.get("DesiredConfiguration"),
            preferences=parameters["Preferences"],
        )
        self._changing("start", lambda: self.known.insert(0, made))
        return made.id

    def cancel(self, group: str) -> Ending:
        if not any(each.active for each in self.known):
            return Ending.NONE_ACTIVE
        self._changing("cancel", lambda: self.now(status="Cancelling"))
        return Ending.BEGUN

    def rollback(self, group: str) -> Ending:
        if self.irreversible:
            return Ending.IRREVERSIBLE
        self._changing("rollback", lambda: self.now(status="RollbackInProgress"))
        return Ending.BEGUN

    def set_launch_template(self, group: str, configuration: Mapping[str, Any]) -> None:
        details = self.groups[group]
        version = configuration["LaunchTemplate"]["Version"]
        self._changing(
            f"version {version}",
            lambda: self.groups.update({group: details._replace(configuration=dict(configuration))}),
        )

    def set_tag(self, group: str, key: str, value: str) -> None:
        self._changing(f"tag {value}", lambda: self._retag(group, {**self.groups[group].group.tags, key: value}))

    def remove_tag(self, group: str, key: str) -> None:
        tags = {name: value for name, value in self.groups[group].group.tags.items() if name != key}
        self._changing("no tag", lambda: self._retag(group, tags))

    def _retag(self, group: str, tags: dict[str, str]) -> None:
        details = self.groups[group]
        self.groups[group] = details._replace(group=replace(details.group, tags=tags))

    def now(self, **changes: Any) -> None:
        """The newest refresh is so from now on."""
        self.known[0] = replace(self.known[0], **changes)


class FakeGateLog(GateLog):
    """Lines in memory."""

    def __init__(self) -> None:
        self.lines: list[GateLine] = []

    def decisions(self, group: str, since: float) -> list[GateLine]:
        return [each for each in self.lines if each.at >= since]


class FakeHistory(ExecutionHistory):
    """What the last task answered."""

    def __init__(self) -> None:
        self.output: dict[str, Any] | None = None

    def last_output(self, execution: str) -> dict[str, Any] | None:
        return self.output


class CycleWorld:
    """A group web of instances on version 1, and the steps of a cycle to version 2."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.aws = FakeCycleAws()
        self.gate_log = FakeGateLog()
        self.history = FakeHistory()
        self.launched = world.fleet.known_arrivals
        self.terminated = world.fleet.known_departures
        self.execution_name = EXECUTION.rpartition(":")[2]
        self.published: list[CycleEvent] = []
        self.started = datetime.fromtimestamp(world.clock.now, UTC).isoformat()

    def group(
        self,
        *members: MemberDetails,
        version: str = "1",
        desired: int | None = None,
        target_groups: tuple[str, ...] = (),
    ) -> None:
        """The group as AWS shows it from now on. A pin that it has stays."""
        known = self.world.fleet.known_groups["web"]
        tags = self.aws.groups["web"].group.tags if "web" in self.aws.groups else {}
        pinned = {key: value for key, value in tags.items() if key == PINNED_TAG}
        self.aws.groups["web"] = GroupDetails(
            group=Group("web", {**pinned, **known.tags}, {}, target_groups),
            minimum=0,
            maximum=10,
            desired=len(members) if desired is None else desired,
            configuration={"LaunchTemplate": {"LaunchTemplateId": TEMPLATE, "Version": version}},
            members=members,
            pool=(),
        )

    def state(self, **own: Any) -> CycleState:
        """The state after pre-flight."""
        sent = {
            "AutoScalingGroupName": "web",
            "Strategy": "Rolling",
            "DesiredConfiguration": {"LaunchTemplate": {"LaunchTemplateId": TEMPLATE, "Version": "2"}},
            "Preferences": {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 150},
        }
        request = {"group": "web", "follow": "keep", "verify_seconds": 60, "protected": "wait", "standby": "wait"}
        known: dict[str, Any] = {
            "request": request,
            "sent": sent,
            "template_id": TEMPLATE,
            "target_version": "2",
            "from_version": "1",
            "rolls_back": True,
            "desired": 2,
        }
        return CycleState("web", **(known | own))

    def step(self, name: str, state: CycleState, **event: Any) -> CycleAnswer:
        """What a step answers, in a function that knows nothing of the steps before; through JSON, as it is carried."""
        run = self._run()
        execution = {"id": EXECUTION, "name": self.execution_name, "started": self.started}
        answer = run.step(name, {"cycle": state.to_json(), "execution": execution, **event})
        self.published += [each.kind for each in answer.news]
        self.history.output = {"cycle": answer.state.to_json()}
        return answer

    def settle(
        self, status: str, given: str = '{"group": "web"}', stopped: float | None = None, *, dated: bool = True
    ) -> CycleAnswer:
        """What comes of an event about an execution that ended so. given: its input. stopped: when, if not now.

        dated: whether the event says when.
        """
        now = self.world.clock.now
        detail = {
            "executionArn": EXECUTION,
            "status": status,
            "startDate": 1000 * now,
            "stopDate": 1000 * (now if stopped is None else stopped),
            "input": given,
        }
        if not dated:
            del detail["stopDate"]
        answer = self._run().settle(detail)
        self.published += [each.kind for each in answer.news]
        return answer

    def _run(self) -> CycleRun:
        return CycleRun(
            self.world.settings,
            self.world.tower,
            self.world.fleet,
            chef=self.world.chef,
            bakes=BAKES,
            clock=self.world.clock,
            seconds_left=lambda: 100.0,
            evidence=self.world.evidence,
            aws=self.aws,
            gate_log=self.gate_log,
            history=self.history,
        )


def member(instance_id: str, version: str = "1", state: str = "InService") -> MemberDetails:
    """An instance of the group, on a version of its template."""
    return MemberDetails(instance_id, state, TEMPLATE, version)
