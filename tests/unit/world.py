"""One installation in memory: a Tower, a fleet, queues, and the decisions that work on them."""

from __future__ import annotations

from copy import replace
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.groups import AddressKind, Group, Hook
from rollcall.domain.instances import Instance
from rollcall.domain.inventories import Host, Inventory
from rollcall.domain.jobs import Job, JobTemplate, Outcome
from rollcall.domain.membership import Membership
from rollcall.domain.message_format import write_gate_message
from rollcall.domain.messages import GateMessage, RunOptions, Waiting, WatchMessage
from rollcall.domain.settings import OwnQueue, Settings
from rollcall.lifecycle.cleanup import Cleanup
from rollcall.lifecycle.gate import Gate
from rollcall.lifecycle.gate_round import RoundResources, send_on
from rollcall.lifecycle.register import Register
from rollcall.lifecycle.retire import Retire
from rollcall.lifecycle.target_watch import Watch
from rollcall.reconcile.result import RunOutcome
from rollcall.reconcile.run import TIME_RESERVE, Reconcile
from rollcall.telemetry.event_details import target_health_event
from unit.fakes import ACCOUNT, REGION, Clock, FakeBus, FakeEvidence, FakeFleets, FakeQueues, FakeTower

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollcall.domain.messages import RetireMessage
    from rollcall.domain.reports import Report
    from rollcall.lifecycle.gate_round import Round
    from rollcall.lifecycle.target_watch import WatchRound
    from unit.fakes import FakeChef

HOOK = "rollcall-launch"
TERMINATE_HOOK = "rollcall-terminate"
NO_OPTIONS = RunOptions()
REMOVAL_SHARE = 0.2
TIME_LEFT = 100.0  # seconds of an invocation
SETTINGS = Settings(
    account=ACCOUNT,
    region=REGION,
    stack="rollcall",
    tower_url="https://tower.example.com",
    tower_secret="arn:aws:secretsmanager:us-east-1:123456789012:secret:tower",
    hook_prefix="rollcall",
    adopt_by_instance_id=False,
    in_vpc=True,
    load_balancers=False,
    user_data=True,
    retire_jobs=True,
    max_hosts_per_job=100,
    launch_queue_url="https://queue.example.com/launch",
    gate_queue_url="https://queue.example.com/gate",
    terminate_queue_url="https://queue.example.com/terminate",
)
OWN_QUEUE = OwnQueue("https://queue.example.com/own", "https://queue.example.com/dead")


def token_of(instance_id: str) -> str:
    """The token of an instance's lifecycle action, as long as Auto Scaling's are."""
    return f"token-{instance_id}".ljust(36, "-")


class World:
    """Everything that a decision can see, with short ways to set it up."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.tower = FakeTower(self.clock)
        self.evidence = FakeEvidence(self.tower)
        self.fleets = FakeFleets()
        self.fleet = self.fleets.own
        self.queues = FakeQueues()
        self.bus = FakeBus()
        self.chef: FakeChef | None = None
        self.settings = SETTINGS
        self.inventory: Inventory = self.tower.add_inventory("prod")
        self.template: JobTemplate = self.tower.add_template("provision")

    # Setting up

    def group(self, name: str, heartbeat_timeout: int = 3600, tags: dict[str, str] | None = None, **own: str) -> None:
        """A group that opted in with a job; own are tags without their prefix, with _ for -, "" takes one away."""
        wanted = {"inventory": "prod", "job_template": "provision"} | own
        by_key = {f"rollcall:{key.replace('_', '-')}": value for key, value in wanted.items() if value}
        self.fleet.known_groups[name] = Group(
            name,
            by_key if tags is None else tags,
            dict.fromkeys((HOOK, TERMINATE_HOOK, "rollcall-warm"), heartbeat_timeout),
        )
        self.fleet.known_hooks[name] = [
            Hook(HOOK, Transition.LAUNCHING, ""),
            Hook(TERMINATE_HOOK, Transition.TERMINATING, ""),
        ]

    def behind(self, *target_groups: str, group: str = "web", other: tuple[str, ...] = ()) -> None:
        """The group is attached to these target groups, and gets traffic from these others."""
        known = self.fleet.known_groups[group]
        self.fleet.known_groups[group] = replace(known, target_groups=target_groups, other_traffic=other)
        self.settings = replace(self.settings, load_balancers=True)

    def launching(self, instance_id: str, group: str = "web", state: str = "Pending:Wait") -> LifecycleAction:
        """The launch action of an instance that EC2 and Auto Scaling know."""
        self.fleet.known_memberships[instance_id] = Membership(group, state)
        self.fleet.known_instances[instance_id] = self.instance(instance_id)
        self.fleet.known_arrivals[instance_id] = self.clock.now
        return LifecycleAction(
            Transition.LAUNCHING,
            ACCOUNT,
            REGION,
            group,
            instance_id,
            HOOK,
            token_of(instance_id),
            message_id="m1",
            received_at=self.clock.now,
            at=self.clock.now,
        )

    def terminating(self, instance_id: str, group: str = "web") -> LifecycleAction:
        """The terminate action of an instance."""
        self.fleet.known_memberships[instance_id] = Membership(group, "Terminating:Wait")
        return LifecycleAction(
            Transition.TERMINATING,
            ACCOUNT,
            REGION,
            group,
            instance_id,
            TERMINATE_HOOK,
            token_of(instance_id),
            received_at=self.clock.now,
            at=self.clock.now,
        )

    def instance(self, instance_id: str, **changes: Any) -> Instance:
        """A running instance, launched now."""
        instance = Instance(
            instance_id=instance_id,
            state="running",
            launched_at=self.clock.now,
            addresses={
                AddressKind.PRIVATE: "10.0.0.7",
                AddressKind.PUBLIC: "",
                AddressKind.PRIVATE_DNS: "ip-10-0-0-7.ec2.internal",
                AddressKind.PUBLIC_DNS: "",
            },
            facts={
                "id": instance_id,
                "type": "t3.micro",
                "image": "ami-1",
                "zone": "us-east-1a",
                "vpc": "vpc-1",
                "subnet": "subnet-1",
                "private_ip": "10.0.0.7",
                "public_ip": "",
            },
            tags={"Name": "web"},
        )
        return replace(instance, **changes)

    def leaves(self, instance_id: str, state: str = "Terminating:Wait") -> None:
        """The instance is on its way out."""
        known = self.fleet.known_memberships[instance_id]
        self.fleet.known_memberships[instance_id] = replace(known, state=state)

    def terminated(self, instance_id: str) -> None:
        """The instance is gone; Auto Scaling does not list it any more."""
        self.fleet.known_memberships.pop(instance_id)
        self.fleet.known_instances[instance_id] = self.instance(instance_id, state="terminated")

    def detached(self, instance_id: str) -> None:
        """The instance lives on, and belongs to no group any more."""
        self.fleet.known_memberships.pop(instance_id)

    # reconcile

    def serving(
        self, instance_id: str, address: str, group: str = "web", *, state: str = "InService", age: float = 86_400
    ) -> Instance:
        """An instance that its group began to launch so many seconds ago, with a private address of its own."""
        known = self.instance(instance_id, launched_at=self.clock.now - age)
        addresses = {**known.addresses, AddressKind.PRIVATE: address}
        instance = replace(known, addresses=addresses, facts={**known.facts, "private_ip": address})
        self.fleet.known_memberships[instance_id] = Membership(group, state)
        self.fleet.known_instances[instance_id] = instance
        self.fleet.known_arrivals[instance_id] = self.clock.now - age
        return instance

    def host_of(
        self,
        instance_id: str,
        address: str,
        group: str = "web",
        *,
        inventory: Inventory | None = None,
        age: float = 86_400,
        **changes: Any,
    ) -> Host:
        """A managed host of that age (seconds), in the inventory group that is named after its group."""
        inventory = inventory or self.inventory
        marker: dict[str, object] = {"group": group, "instance_id": instance_id, "account": ACCOUNT, "region": REGION}
        marker |= {"vpc": "vpc-1", "inventory": inventory.id}
        host = self.tower.add_host(
            inventory,
            changes.pop("name", instance_id),
            instance_id=instance_id,
            variables={"ansible_host": address, "rollcall": marker} | changes.pop("variables", {}),
            created_at=self.clock.now - age,
            **changes,
        )
        self.tower.add_to_group(self.tower.group_ids(inventory, [group])[group], host.id)
        return host

    def reconcile(
        self,
        options: RunOptions = NO_OPTIONS,
        *,
        dry_run: bool = False,
        force: bool = False,
        share: float = 0.2,
        seconds_left: Callable[[], float] = lambda: TIME_RESERVE + 1,
    ) -> RunOutcome:
        """What came of a run."""
        run = Reconcile(
            self.settings,
            self.tower,
            self.fleet,
            self.queues,
            chef=self.chef,
            share=share,
            seconds_left=seconds_left,
        )
        return run.run(options, dry_run=dry_run, force=force)

    # register

    def register(self, *actions: LifecycleAction) -> list[Report]:
        """What register reports of a batch."""
        clients = (self.tower, self.fleets, self.queues)
        register = Register(self.settings, *clients, self.clock, lambda: self.evidence, share=REMOVAL_SHARE)
        return register.register(actions)

    # gate

    def waiting(self, *instance_ids: str, group: str = "web", job: Job | None = None) -> GateMessage:
        """A gate message of registered instances, whose job runs since now; and their hosts."""
        actions = [self.launching(each, group) for each in instance_ids]
        for each in instance_ids:
            if each not in self.tower.names_in(self.inventory):
                self.tower.add_host(self.inventory, each, variables={"rollcall": {"group": group}})
        job = job or self.tower.add_job(self.template, self.inventory, *instance_ids)
        return GateMessage(
            waiting=tuple(
                Waiting(action, self.clock.now, "10.0.0.7", stint_since=self.clock.now) for action in actions
            ),
            job_id=job.id,
            since=self.clock.now,
            heartbeat_at=self.clock.now,
        )

    def evaluate(self, *messages: GateMessage) -> list[Round[GateMessage]]:
        """The gate's rounds for these messages. What goes on is in the queue."""
        return self._sent_on(Gate(self.resources(lambda: TIME_LEFT), share=REMOVAL_SHARE).evaluate(messages))

    def resources(self, seconds_left: Callable[[], float]) -> RoundResources:
        """What the rounds of the gate's queue are made with."""
        clients = (self.tower, self.evidence, self.fleets, self.queues)
        return RoundResources(self.settings, *clients, self.clock, seconds_left)

    def evaluate_one(self, message: GateMessage) -> Round[GateMessage]:
        """The gate's round for one message."""
        [result] = self.evaluate(message)
        assert sorted(self.queues.sent[-len(result.next) :] if result.next else []) == sorted(
            (self.settings.gate_queue_url, write_gate_message(each), delay) for each, delay in result.next
        )
        return result

    def end(self, message: GateMessage, processed: bool = True, **outcomes: Outcome) -> None:
        """End a message's job with these outcomes, by instance id with _ for -."""
        assert message.job_id
        by_name = {name.replace("_", "-"): outcome for name, outcome in outcomes.items()}
        self.tower.end_job(message.job_id, by_name, processed=processed)

    # watch

    def watch(self, *messages: WatchMessage) -> list[WatchRound]:
        """What a round of these messages brought, and what it publishes. What is to be watched on is in the queue."""
        rounds = self._sent_on([Watch(self.fleets, self.clock).evaluate(each) for each in messages])
        published = [target_health_event(change) for each in rounds for change in each.changes]
        assert self.bus.put(published, lambda: 60) == []
        return rounds

    def _sent_on[R: Round[Any]](self, rounds: list[R]) -> list[R]:
        """The rounds, each with why its message failed, if it did."""
        errors = send_on(rounds, self.queues, self.settings.gate_queue_url, lambda: TIME_LEFT)
        return [cast("R", replace(each, error=error)) for each, error in zip(rounds, errors, strict=True)]

    # cleanup

    def clean_up(self, *actions: LifecycleAction) -> list[Report]:
        """What cleanup reports of a batch."""
        cleanup = Cleanup(
            self.settings, self.tower, self.fleets, self.queues, self.clock, share=REMOVAL_SHARE, chef=self.chef
        )
        return cleanup.clean_up(actions)

    # retire

    def retiring(self, *instance_ids: str, group: str = "web") -> RetireMessage:
        """What cleanup sends to the gate of instances in service that are to go now."""
        self.queues.sent.clear()
        actions = [self.terminating(each, group) for each in instance_ids]
        for each in instance_ids:
            if each not in self.fleet.known_instances:
                self.serving(each, "10.0.0.7", group, state="Terminating:Wait")
                self.host_of(each, "10.0.0.7", group)
        self.clean_up(*actions)
        [(message, _)] = self.queues.retire_messages()
        return message

    def retire(self, *messages: RetireMessage) -> list[Round[RetireMessage]]:
        """What rounds of these messages bring."""
        return self._sent_on(Retire(self.resources(lambda: TIME_LEFT)).evaluate(messages))

    def retire_one(self, message: RetireMessage) -> Round[RetireMessage]:
        """What a round of one message brings."""
        [result] = self.retire(message)
        return result


@dataclass(frozen=True)
class Alerted:
    """What an operator should know, and whom it is about."""

    action: LifecycleAction
    reason: str


def alerts(result: Round[Any]) -> list[Alerted]:
    """What a round alerts of."""
    return [Alerted(each.action, note.words) for each in result.reports for note in each.notes if note.alert]


def outcomes(result: Round[Any]) -> dict[str, str]:
    """What was reported of each instance that does not go on waiting."""
    return {each.action.instance_id: each.outcome for each in result.reports if each.outcome}


def alerted(report: Report) -> str:
    """What an operator should know."""
    return "; ".join(note.words for note in report.notes if note.alert)


def warning(report: Report) -> str:
    """What a person should know beside what went well."""
    return "; ".join(note.words for note in report.notes if not note.alert)


def ids(message: GateMessage) -> set[str]:
    """The instances that a message carries."""
    return {each.action.instance_id for each in message.waiting}


def whole(value: Any) -> Any:
    """A message with all of its fields, those that a comparison leaves out among them, as JSON has it."""
    match value:
        case LifecycleAction():
            return asdict(value)
        case tuple() if hasattr(value, "_asdict"):
            return {name: whole(each) for name, each in value._asdict().items()}
        case tuple():
            return [whole(each) for each in value]
        case _:
            return value
