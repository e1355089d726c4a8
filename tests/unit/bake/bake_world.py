"""One bake in memory: EC2, Tower and what they do by themselves, and the steps of its state machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from rollcall.aws.encryption_keys import EncryptionKeys
from rollcall.aws.execution_history import ExecutionHistory, ExecutionStatus
from rollcall.aws.group_details import GroupDetails
from rollcall.aws.images import ImageSource
from rollcall.aws.launch_surroundings import LaunchSurroundings, Subnet
from rollcall.aws.launch_templates import LaunchRefusal, Template, TemplateVersion
from rollcall.aws.launch_types import LaunchTypes
from rollcall.bake.observer import PreflightObserver
from rollcall.bake.roll_out_preflight import RollOutPreflight
from rollcall.bake.run import BakeRun
from rollcall.bake.state import BakeState
from rollcall.bake.versioning import roll_out
from rollcall.domain.bake_settings import BakeSettings
from rollcall.domain.bake_tags import BAKE_ID, BAKE_ROLE, MADE_BY, TEMPLATE_TAG
from rollcall.domain.errors import AwsDenied
from rollcall.domain.groups import Group
from rollcall.domain.jobs import JobStatus, LaunchTerms, Outcome, Project
from unit.fakes import ACCOUNT, REGION, FakeEvidence, FakeFleet, FakeTower
from unit.world import SETTINGS, World

from .baked import FakeBakeAws, FunctionDiedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from rollcall.aws.encryption_keys import KeyFacts
    from rollcall.aws.images import Image
    from rollcall.aws.template_users import TemplateUser
    from rollcall.bake.news import BakeAnswer
    from rollcall.domain.errors import Kept
    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import DumpedHost, Host, Inventory
    from rollcall.domain.jobs import JobTemplate
    from rollcall.tower.bulk_hosts import MadeHosts, NewHost

EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:Bake:web-1234abcd-now"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:Bake"
CYCLES = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:Cycle"
BASE = "ami-00000000000000001"
SETTINGS_OF_BAKE = BakeSettings(MACHINE, CYCLES, cycles=True)
ROUNDS_MAX = 300
NOT_IN_ZONE = LaunchRefusal("Unsupported", "the instance type is not supported in this Availability Zone")
BY_HAND = " by hand"


class Deaths:
    """At which changing call the function dies. made: the calls so far, in words."""

    def __init__(self) -> None:
        self.at = 0
        self.after = False
        self.calls = 0
        self.made: list[str] = []

    def changing[T](self, words: str, change: Callable[[], T]) -> T:
        """Make a change; die before or after it, if it is the one."""
        self.calls += 1
        if self.calls == self.at and not self.after:
            raise FunctionDiedError(words)
        self.made.append(words)
        result = change()
        if self.calls == self.at:
            raise FunctionDiedError(words)
        return result


class BakeTower(FakeTower):
    """A Tower whose changes are counted, and that finds things by id, too."""

    def __init__(self, clock: Any, deaths: Deaths) -> None:
        super().__init__(clock)
        self.deaths = deaths
        self.terms = LaunchTerms(startable=True, simultaneous=True)

    def inventory(self, reference: str) -> Inventory:
        found = (each for each in self.by_reference.values() if reference == f"id:{each.id}")
        return next(found, None) or super().inventory(reference)

    def job_template(self, reference: str) -> JobTemplate:
        found = (each for each in self.templates.values() if reference == f"id:{each.id}")
        return next(found, None) or super().job_template(reference)

    def launch_terms(self, template: JobTemplate) -> LaunchTerms:
        return self.terms

    def create_hosts(self, inventory: Inventory, hosts: Sequence[NewHost]) -> MadeHosts:
        existing = {each.instance_id for each in hosts} <= self.names_in(inventory)
        create = super().create_hosts
        return create(inventory, hosts) if existing else self.deaths.changing("host", lambda: create(inventory, hosts))

    def launch(self, template: JobTemplate, inventory: Inventory, instance_ids: Sequence[str]) -> int:
        launch = super().launch
        return self.deaths.changing("job", lambda: launch(template, inventory, instance_ids))

    def cancel(self, job_id: int) -> None:
        cancel = super().cancel
        self.deaths.changing("cancel", lambda: cancel(job_id))

    def delete_hosts(self, hosts: Sequence[Host | DumpedHost]) -> Mapping[int, Kept]:
        delete = super().delete_hosts
        return self.deaths.changing("no host", lambda: delete(hosts))


class FakeEc2(FakeBakeAws):
    """Instances beside images and versions. unseen: ids that EC2 does not show yet, by tag or id."""

    def __init__(self, deaths: Deaths, fleet: FakeFleet, world: World, *images: Image) -> None:
        super().__init__(*images)
        self.deaths = deaths
        self.fleet = fleet
        self.world = world
        self.by_token: dict[str, str] = {}  # ids by token
        self.requests: list[Mapping[str, Any]] = []
        self.no_room: set[str] = set()
        self.no_type: set[str] = set()  # subnets whose zone has not the instance type
        self.refusal: LaunchRefusal | None = None
        self.unseen: set[str] = set()
        self.templates = {"lt-1": Template("lt-1", "web", {TEMPLATE_TAG: "true"})}
        self.parameters: dict[str, str] = {}
        self.others: list[TemplateUser] = []  # what else launches from the template
        self.copies: list[Instance] = []  # with a builder's tags
        self.snapshot_keys: dict[str, str | AwsDenied] = {}  # by snapshot, or why that may not be read

    def _changing(self, words: str) -> bool:
        self.require_not_refused(words)
        self.deaths.changing(words, lambda: self.changes.append(words))  # the other calls of the fake: before or after
        return False

    def launch_alone(self, parameters: Mapping[str, Any], token: str) -> str | LaunchRefusal:
        if token in self.by_token:
            return self.by_token[token]
        if self.refusal:
            return self.refusal
        if parameters.get("SubnetId") in self.no_room:
            return LaunchRefusal("InsufficientInstanceCapacity", "there is no room")
        return self.deaths.changing("launch", lambda: self._made_of(parameters, token))

    def _made_of(self, parameters: Mapping[str, Any], token: str) -> str:
        instance_id = f"i-{len(self.by_token) + 1:017x}"
        self.by_token[token] = instance_id
        self.requests.append(parameters)
        tags = {each["Key"]: each["Value"] for each in parameters["TagSpecifications"][0]["Tags"]}
        made = self.world.instance(instance_id, state="pending", tags=tags)
        self.fleet.known_instances[instance_id] = made
        return instance_id

    def why_not_launched_alone(self, parameters: Mapping[str, Any]) -> LaunchRefusal | None:
        return NOT_IN_ZONE if parameters.get("SubnetId") in self.no_type else self.refusal

    def instances_of_bake(self, bake_id: str) -> list[Instance]:
        every = self.fleet.known_instances.values()
        return [each for each in every if each.tags.get(BAKE_ID) == bake_id and each.instance_id not in self.unseen]

    def copies_of_builders(self) -> list[Instance]:
        return self.copies

    def instances_of_bakes(self) -> list[Instance]:
        every = self.fleet.known_instances.values()
        return [each for each in every if MADE_BY in each.tags and each.living]

    def terminate(self, instance_ids: Collection[str]) -> None:
        for each in sorted(instance_ids):
            known = self.fleet.known_instances[each]
            if known.living:
                gone = {each: replace(known, state="shutting-down")}
                self.deaths.changing("terminate", partial(self.fleet.known_instances.update, gone))

    def image_source(self, instance_id: str) -> ImageSource:
        return ImageSource(self.fleet.known_instances[instance_id].state, self.other_devices)

    def stop(self, instance_id: str) -> None:
        stopping = {instance_id: replace(self.fleet.known_instances[instance_id], state="stopping")}
        self.deaths.changing("stop", partial(self.fleet.known_instances.update, stopping))

    def details(self, name: str) -> GroupDetails | None:
        return self.groups.get(name)

    def template(self, template: Mapping[str, Any]) -> Template | None:
        return self.templates.get(template.get("LaunchTemplateId", ""))

    def template_users(self, template: Mapping[str, Any], group: str) -> list[TemplateUser]:
        return self.others

    def image_parameter(self, name: str) -> str | None:
        return self.parameters.get(name)

    def snapshot_key(self, snapshot_id: str) -> str | None:
        found = self.snapshot_keys.get(snapshot_id)
        if isinstance(found, AwsDenied):
            raise found
        return found


class FakeTypes(LaunchTypes):
    """Instance types and security groups in memory."""

    def __init__(self) -> None:
        self.known = {"m7i.large": frozenset({"x86_64"}), "c7g.large": frozenset({"arm64"})}
        self.groups = frozenset({"sg-1"})

    def architectures(self, instance_types: Collection[str]) -> dict[str, frozenset[str]]:
        return {each: self.known[each] for each in instance_types if each in self.known}

    def security_groups(self, group_ids: Collection[str]) -> frozenset[str]:
        return self.groups & set(group_ids)


class FakeSurroundings(LaunchSurroundings):
    """Subnets in memory."""

    def __init__(self) -> None:
        self.known = {"subnet-1": Subnet("us-east-1a", 100), "subnet-2": Subnet("us-east-1b", 50)}

    def subnets(self, subnet_ids: Collection[str]) -> dict[str, Subnet]:
        return {each: self.known[each] for each in subnet_ids if each in self.known}


class FakeKeys(EncryptionKeys):
    """Keys in memory."""

    def __init__(self) -> None:
        self.known: dict[str, KeyFacts] = {}
        self.by_default = False
        self.default = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/aws/ebs"
        self.denied: AwsDenied | None = None

    def encrypts_by_default(self) -> bool:
        if self.denied:
            raise self.denied
        return self.by_default

    def default_key(self) -> str:
        if self.denied:
            raise self.denied
        return self.default

    def facts(self, key: str) -> KeyFacts:
        return self.known[key] if key in self.known else super().facts(key)

    def own_role(self) -> str:
        return f"arn:aws:iam::{ACCOUNT}:role/bake"


class FakeHistory(ExecutionHistory):
    """What the last task of an execution answered. known: by the execution's ARN. going_on: those that run, by ARN.

    ended: how those that have ended stand, by ARN. denied: why that may not be read.
    """

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}
        self.going_on: set[str] = set()
        self.ended: dict[str, ExecutionStatus] = {}
        self.denied: AwsDenied | None = None

    def last_output(self, execution: str) -> dict[str, Any] | None:
        return self.known.get(execution)

    def status(self, execution: str) -> ExecutionStatus | None:
        if self.denied:
            raise self.denied
        return ExecutionStatus("RUNNING", 0.0) if execution in self.going_on else self.ended.get(execution)


class BakeWorld:
    """A group with a launch template, and a bake of it.

    job_ends, image_ends: what becomes of jobs and images by themselves. rolls_out: what the cycle ends as, and BY_HAND
    where an operator ended it.
    """

    def __init__(self, image: Image, **request: Any) -> None:
        self.world = World()
        self.clock = self.world.clock
        self.began = self.clock.now
        self.deaths = Deaths()
        self.tower = BakeTower(self.clock, self.deaths)
        self.fleet = self.world.fleet
        self.evidence = FakeEvidence(self.tower)
        self.aws = FakeEc2(self.deaths, self.fleet, self.world, image)
        self.history = FakeHistory()
        self.types, self.surroundings, self.keys = FakeTypes(), FakeSurroundings(), FakeKeys()
        self.bake = SETTINGS_OF_BAKE
        self.running: list[str] = []
        self.cycles: list[str] = []
        self.roll_out = RollOutPreflight()
        self.seconds_left = 100.0  # of each invocation
        self.request = {"group": "web", **request}
        self.job_ends = Outcome.OK
        self.job_status: JobStatus | None = None
        self.image_ends = "available"
        self.rolls_out = "succeeded"
        self.steps: list[str] = []
        self.state: dict[str, Any] = {}
        self.answers: list[BakeAnswer] = []
        self.tower.add_inventory("prod")
        self.tower.add_inventory("builders")
        self.tower.add_template("provision")
        self.template = self.tower.add_template("bake", project_id=5)
        self.tower.projects[5] = Project(5, "plays", "c0ffee")
        self.group()

    def group(self, **tags: str) -> None:
        """The group web, with these tags beside those that it needs; _ for -."""
        wanted = {
            "inventory": "prod",
            "job_template": "provision",
            "bake_job_template": "bake",
            "bake_inventory": "builders",
            **tags,
        }
        named = {f"rollcall:{key.replace('_', '-')}": value for key, value in wanted.items() if value}
        group = Group("web", named, {})
        self.fleet.known_groups["web"] = group
        self.aws.groups["web"] = GroupDetails(
            group,
            minimum=0,
            maximum=9,
            desired=2,
            configuration={"LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "1"}},
            members=(),
            pool=(),
            subnets=("subnet-1", "subnet-2"),
            service_role=f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRole",
        )
        self.version()

    def version(self, **data: Any) -> None:
        """Version 1 of the launch template."""
        fields = {"ImageId": BASE, "InstanceType": "m7i.large", "SecurityGroupIds": ["sg-1"], **data}
        self.aws.made_versions["1"] = TemplateVersion("lt-1", "1", fields)

    def overridden(self, *overrides: Mapping[str, Any]) -> None:
        """The group has a mixed policy."""
        template = {"LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1", "Version": "1"}}
        policy = {"MixedInstancesPolicy": {"LaunchTemplate": {**template, "Overrides": list(overrides)}}}
        self.aws.groups["web"] = self.aws.groups["web"]._replace(configuration=policy)

    def run(self) -> BakeRun:
        """The steps, as a new invocation has them."""
        return _BakeRun(self)

    def observer(self) -> PreflightObserver:
        """What reads for pre-flight."""
        return PreflightObserver(
            SETTINGS,
            self.bake,
            self.tower,
            self.fleet,
            running=lambda group: self.running,
            cycles=lambda group: self.cycles,
            roll_out=lambda request: self.roll_out,
            clock=lambda: self.clock.now,
            aws=self.aws,
            surroundings=self.surroundings,
            types=self.types,
            keys=self.keys,
        )

    # The state machine

    def step(self, name: str, error: Mapping[str, str] | None = None) -> BakeAnswer:
        """Take a step as the state machine does: what it answers is kept only if the function did not die."""
        started = datetime.fromtimestamp(self.began, UTC).isoformat()
        execution = {"id": EXECUTION, "name": EXECUTION.rpartition(":")[2], "started": started}
        event = {"execution": execution, "request": self.request, "bake": self.state, "error": dict(error or {})}
        answer = self.run().step(name, json.loads(json.dumps(event)))
        self.state = json.loads(json.dumps(answer.state.to_json()))
        self.steps.append(name)
        self.answers.append(answer)
        return answer

    def until(self, last: str = "", *, dies: bool = False) -> BakeState:
        """Go on as the state machine does, up to before a step, or to the end.

        dies: the function may, and then is tried again.
        """
        name = self.answers[-1].next if self.answers else "preflight"
        error: Mapping[str, str] = {}
        for _ in range(ROUNDS_MAX):
            if name in ("succeeded", "failed", last):
                return BakeState.from_json(self.state)
            if name == "roll_out":
                name, error = "record", self._rolled_out()
            try:
                answer = self.step(name, error)
            except FunctionDiedError:
                assert dies
                continue
            name, error = answer.next, {}
            self.clock.now += answer.wait
            self.goes_on()
        raise AssertionError(f"the bake comes to no end: {self.steps[-5:]}")

    def _rolled_out(self) -> Mapping[str, str]:
        """What the task of the nested execution is caught with; nothing where that went well."""
        name = roll_out(self.answers[-1])["cycle_name"]
        result = self.rolls_out.removesuffix(BY_HAND)
        by = "operator" if self.rolls_out.endswith(BY_HAND) else ""
        cycle = {"phase": "ended", "result": result, "reason": "it went so", "ended_by": by}
        self.history.known[f"{CYCLES.replace(':stateMachine:', ':execution:')}:{name}"] = {"cycle": cycle}
        if self.rolls_out == "succeeded":
            return {}
        arn = f"{CYCLES.replace(':stateMachine:', ':execution:')}:{name}"
        described = {"ExecutionArn": arn, "Status": "FAILED", "Error": result, "Cause": "it went so"}
        return {"Error": "States.TaskFailed", "Cause": json.dumps(described)}

    def goes_on(self) -> None:
        """What EC2 and Tower do by themselves in the meantime."""
        becomes = {"pending": "running", "stopping": "stopped", "shutting-down": "terminated"}
        for each in list(self.fleet.known_instances.values()):
            now = replace(each, state=becomes.get(each.state, each.state))
            self.fleet.known_instances[each.instance_id] = now
            if now.state == "running":
                self.fleet.passing.add(each.instance_id)
        for image in list(self.aws.known.values()):
            if image.state == "pending":
                self.aws.known[image.id] = image._replace(state=self.image_ends, reason="AWS says so")
        for number, run in self.tower.runs.items():
            if not run.job.status.final:
                self.tower.end_job(number, dict.fromkeys(run.job.hosts, self.job_ends), self.job_status)

    # What is there

    def living(self, role: str = "") -> list[str]:
        """The instances of the bake that live."""
        every = self.fleet.known_instances.values()
        return [each.instance_id for each in every if each.living and role in ("", each.tags.get(BAKE_ROLE))]

    def hosts(self) -> set[str]:
        """The names of all hosts in Tower."""
        return {each.name for each in self.tower.hosts.values()}


class _BakeRun(BakeRun):
    def __init__(self, world: BakeWorld) -> None:
        self._world = world
        super().__init__(
            SETTINGS,
            world.bake,
            world.tower,
            world.fleet,
            chef=None,
            clock=lambda: world.clock.now,
            seconds_left=lambda: world.seconds_left,
            evidence=world.evidence,
            aws=world.aws,
            history=world.history,
        )

    def _observer(self, state: BakeState) -> PreflightObserver:
        return self._world.observer()

    def _at_work(self, group: str) -> list[str]:
        return [*self._world.running, *self._world.cycles]
