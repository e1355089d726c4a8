"""An instance that comes, rests, comes back and goes, while its messages arrive late, twice and in any order.

Auto Scaling is kept to its own rules here: one action of a hook is open at a time, known by its token. Functions stop
half-way, and their messages come again.
"""

from __future__ import annotations

from copy import replace
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rollcall.domain.actions import LifecycleAction, Result, Transition
from rollcall.domain.errors import TowerUnavailable
from rollcall.domain.jobs import Outcome
from rollcall.domain.membership import Membership
from rollcall.domain.message_format import Record, read_action, read_gate_message
from rollcall.domain.messages import GateMessage, RunOptions
from rollcall.domain.timing import CLOCKS_APART
from rollcall.hosts.resting import is_disabled_for_rest
from rollcall.hosts.variables import is_resting
from unit.fakes import ACCOUNT, REGION, FakeFleet
from unit.world import HOOK, TERMINATE_HOOK, World, token_of

if TYPE_CHECKING:
    from rollcall.domain.inventories import Host

INSTANCE = "i-a"


class Crash(Exception):
    """The function was killed."""


class ExactFleet(FakeFleet):
    """Knows which action is open: of a hook one at a time, by its token."""

    def __init__(self) -> None:
        super().__init__(REGION)
        self.open: dict[str, str] = {}
        self.answered: list[tuple[LifecycleAction, Result]] = []

    def _is_open(self, action: LifecycleAction) -> bool:
        assert action.hook
        return action.hook in self.open and action.token in (None, self.open[action.hook])

    def complete(self, action: LifecycleAction, result: Result) -> bool:
        if not self._is_open(action):
            return False
        assert action.hook
        del self.open[action.hook]
        self.answered.append((action, result))
        return True


@dataclass
class Fault:
    """What goes wrong in the next invocation: at which call of Tower, after it was obeyed, and how."""

    at: int
    afterwards: bool
    crash: bool


FAULTS = st.none() | st.none() | st.builds(Fault, st.integers(1, 12), st.booleans(), st.booleans())
OUTCOMES = st.sampled_from((Outcome.OK, Outcome.OK, Outcome.UNREACHABLE, Outcome.CUT_SHORT, Outcome.UNPROVEN))


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens, the present stint's own job decides, and no two jobs run on one host."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.fleet = ExactFleet()
        self.world.fleets.own = self.world.fleet = self.fleet
        self.world.group("web", on_failure="hold")
        self.published: list[LifecycleAction] = []
        self.began = self.world.clock.now
        self.tokens = 0
        self.settled = 0

    # Auto Scaling

    @property
    def state(self) -> str:
        return self.fleet.known_memberships[INSTANCE].state

    def _goes(self, state: str) -> None:
        self.fleet.known_memberships[INSTANCE] = Membership("web", state)

    def _holds(self, state: str, hook: str, transition: Transition) -> None:
        """A hook holds the instance from now on, and that is published."""
        self._goes(state)
        self.tokens += 1
        token = token_of(f"{self.tokens}")
        self.fleet.open = {hook: token}
        now = self.world.clock.now
        action = LifecycleAction(transition, ACCOUNT, REGION, "web", INSTANCE, hook, token)
        self.published.append(replace(action, message_id=f"m{self.tokens}", received_at=now, at=now))

    def _launches(self) -> None:
        self.began = self.world.clock.now
        self.fleet.known_arrivals[INSTANCE] = self.began
        self._holds("Pending:Wait", HOOK, Transition.LAUNCHING)

    def _move_on(self) -> None:
        """What Auto Scaling makes of the answers that it got since."""
        while self.settled < len(self.fleet.answered):
            action, result = self.fleet.answered[self.settled]
            self.settled += 1
            if action.hook == HOOK:
                self._let_in(result)
            elif self.state == "ReplacingRootVolume:Wait":
                self._launches()
            else:
                self._goes("Warmed:Stopped")

    def _let_in(self, result: Result) -> None:
        assert result == Result.CONTINUE
        proofs = [
            run.job.id
            for run in self.world.tower.runs.values()
            if run.job.created_at >= self.began and run.outcomes.get(INSTANCE) == Outcome.OK and run.processed
        ]
        assert proofs, "an instance came into service without a job of its present stint"
        self._goes("InService")

    @initialize()
    def comes(self) -> None:
        self.fleet.known_instances[INSTANCE] = self.world.instance(INSTANCE)
        self._launches()

    @precondition(lambda self: self.state == "Warmed:Stopped")
    @rule()
    def comes_out_of_the_pool(self) -> None:
        self.world.clock.advance(1)
        self._launches()
        if any(not is_resting(host.variables) for host in self.hosts):
            # Its rest was missed. Were this missed too, nothing would name the action that begins its stint.
            self.world.register(self.published[-1])
            self._move_on()

    @precondition(lambda self: self.state == "InService")
    @rule(replaced=st.booleans())
    def rests(self, replaced: bool) -> None:
        self._ends_a_stint()
        state = "ReplacingRootVolume:Wait" if replaced else "Warmed:Pending:Wait"
        self._holds(state, TERMINATE_HOOK, Transition.TERMINATING)

    @precondition(lambda self: self.state == "InService")
    @rule()
    def rests_though_nothing_says_so(self) -> None:
        self._ends_a_stint()
        self._goes("Warmed:Stopped")

    def _ends_a_stint(self) -> None:
        """A copy of reconcile's message would be answered by the instance's id, for whichever action is open then."""
        self.world.clock.advance(CLOCKS_APART + 1)  # a stint takes longer than clocks are apart
        self.world.queues.sent[:] = [
            each for each in self.world.queues.sent if '"token": "' in each[1] or '"LifecycleActionToken"' in each[1]
        ]

    # Tower

    @rule(outcome=OUTCOMES)
    def a_job_ends(self, outcome: Outcome) -> None:
        self.world.clock.advance(2)
        for run in list(self.world.tower.runs.values()):
            if not run.job.status.final:
                hosts = [host for host in self.world.tower.hosts.values() if host.id not in self.world.tower.disabled]
                reached = {host.name for host in hosts} & run.job.hosts
                outcomes = dict.fromkeys(run.job.hosts, Outcome.UNPROVEN) | dict.fromkeys(reached, outcome)
                self.world.tower.end_job(run.job.id, outcomes)

    @rule(seconds=st.sampled_from((1, 15, 60, 130, 300, 700)))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.advance(seconds)

    # Rollcall

    def _with(self, fault: Fault | None) -> None:
        """The next calls of Tower go wrong as the fault says."""
        tower, counted = self.world.tower, 0

        def fail(method: str) -> None:
            nonlocal counted
            counted += 1
            if fault and counted == fault.at:
                raise Crash if fault.crash else TowerUnavailable("away")

        tower.before_call = fail if fault and not fault.afterwards else lambda method: None
        for name in ("launch", "update_host", "create_hosts", "delete_hosts"):
            vars(tower).pop(name, None)
        if fault and fault.afterwards:
            for name in ("launch", "update_host", "create_hosts", "delete_hosts"):
                vars(tower)[name] = self._losing_answers(name, fault)

    def _losing_answers(self, name: str, fault: Fault) -> object:
        method = getattr(type(self.world.tower), name)

        def lose(*args: object, **own: object) -> object:
            answer = method(self.world.tower, *args, **own)
            fault.at -= 1
            if fault.at == 0:
                raise Crash if fault.crash else TowerUnavailable("no answer")
            return answer

        return lose

    @rule(which=st.integers(0, 99), copied=st.booleans(), fault=FAULTS)
    def a_message_is_delivered(self, which: int, copied: bool, fault: Fault | None) -> None:
        """Any that was ever published, the latest ones most often."""
        action = self.published[-1 - which % min(len(self.published), 4)]
        if copied:
            action = replace(action, message_id=f"{action.message_id}-copy")
        self._with(fault)
        try:
            launching = action.transition == Transition.LAUNCHING
            (self.world.register if launching else self.world.clean_up)(action)
        except Crash:
            pass
        finally:
            self._with(None)
        self._move_on()

    @precondition(lambda self: self.world.queues.sent)
    @rule(which=st.integers(0, 99), again=st.booleans(), fault=FAULTS)
    def a_queue_is_worked_on(self, which: int, again: bool, fault: Fault | None) -> None:
        """A message that a function sent; it comes again if it failed, or for no reason."""
        sent = self.world.queues.sent
        sent[:] = sent[-12:]  # what is older was lost
        url, body, _ = sent[which % len(sent)]
        record = Record("sent", body, REGION, 1, self.world.clock.now, "handle")
        self._with(fault)
        failed = False
        try:
            if url == self.world.settings.gate_queue_url:
                message = read_gate_message(record)
                assert isinstance(message, GateMessage)
                [result] = self.world.evaluate(message)
                failed = result.error is not None
            elif action := read_action(record):
                launching = action.transition == Transition.LAUNCHING
                reports = (self.world.register if launching else self.world.clean_up)(action)
                failed = any(report.error for report in reports)
        except Crash:
            failed = True
        finally:
            self._with(None)
        if not failed and not again:
            sent.remove((url, body, _))
        self._move_on()

    @rule(fault=FAULTS)
    def reconcile_runs(self, fault: Fault | None) -> None:
        self._with(fault)
        try:
            self.world.reconcile(RunOptions(every=300.0))
        except (Crash, TowerUnavailable):
            pass
        finally:
            self._with(None)
        self._move_on()

    # What is always true

    @property
    def hosts(self) -> list[Host]:
        return self.world.tower.hosts_of([INSTANCE])

    @invariant()
    def no_two_jobs_run_on_one_host(self) -> None:
        running = [run.job for run in self.world.tower.runs.values() if not run.job.status.final]
        assert sum(INSTANCE in job.hosts for job in running) <= 1

    @invariant()
    def there_is_never_a_second_host(self) -> None:
        assert len(self.hosts) <= 1

    @invariant()
    def who_rests_by_its_hook_has_no_host_in_use(self) -> None:
        if self.state == "Warmed:Stopped" and self.published[-1].transition == Transition.TERMINATING:
            assert all(is_disabled_for_rest(host) for host in self.hosts)

    @invariant()
    def who_came_into_service_by_its_hook_is_in_use(self) -> None:
        if self.state == "InService":
            assert all(host.id not in self.world.tower.disabled for host in self.hosts)
            assert not any(is_resting(host.variables) for host in self.hosts)


AnyOrder.TestCase.settings = settings(max_examples=2 * settings().max_examples, stateful_step_count=40)
TestAnyOrder = AnyOrder.TestCase
