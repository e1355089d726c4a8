"""The command cycle, on a Step Functions in memory: what it starts, shows and refuses, and what it ends with."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import typer

from rollcall.aws.instance_refreshes import Ending, Refresh
from rollcall.cycle.state import CycleResult, CycleVerdict, Phase, TargetDip
from rollcall.domain.errors import AwsDenied
from rollcall.domain.objections import Objection
from rollcall.workflow.names import execution_name
from rollcall_cli.cycling import run as module
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.questions import Questions
from rollcall_cli.running import NotRun
from rollcall_cli.screen import progress_line
from rollcall_cli.stack import NoResource
from rollcall_cli.workflows import run as workflow_run
from unit.cli.commands import run
from unit.cli.cycling.step_functions import MACHINE, NOW, StepFunctions, Turn, state
from unit.fakes import REGION

if TYPE_CHECKING:
    from rollcall.cycle.state import CycleState

VERDICT = CycleVerdict("i-b", "abandon", "install nginx", 7, 42, "https://tower/#/jobs/playbook/42", "it failed")
OBJECTION = Objection("a suspended process", "Launch is suspended", "resume it: aws autoscaling resume-processes")
OTHERS = ("--cancel", "--rollback")


class Refreshes:
    """The refreshes of the group. shown: the active one. ending: what comes of a request to end it; or its error."""

    def __init__(self) -> None:
        self.shown: Refresh | None = Refresh("r-1", "InProgress")
        self.ending: Ending | Exception = Ending.BEGUN
        self.asked: list[str] = []

    def __call__(self, region: str) -> Refreshes:
        assert region == REGION
        return self

    def active(self, group: str) -> Refresh | None:
        return self.shown

    def cancel(self, group: str) -> Ending:
        return self._end(f"cancel {group}")

    def rollback(self, group: str) -> Ending:
        return self._end(f"rollback {group}")

    def _end(self, words: str) -> Ending:
        self.asked.append(words)
        if isinstance(self.ending, Exception):
            raise self.ending
        return self.ending


class Command:
    """The command on one stack."""

    def __init__(self) -> None:
        self.aws = StepFunctions()
        self.refreshes = Refreshes()

    def __call__(self, *words: str, code: int = 0) -> Any:
        done = run("cycle", *words)
        assert done.exit_code == code, done.output
        return done

    def runs(self, *turns: Turn, key: str = "k", **request: Any) -> str:
        """A cycle of the group that was started before; its ARN."""
        return self.aws.add(execution_name("web", key), {"group": "web", **request}, *turns).arn

    def inputs(self) -> list[Any]:
        return [json.loads(each.input) for each in self.aws.runs.values()]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    made = Command()
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setattr(module, "physical_id", lambda stack, logical_id: MACHINE)
    monkeypatch.setattr(module, "InstanceRefreshes", made.refreshes)
    monkeypatch.setattr(boto3, "client", lambda *_, **__: made.aws.client)
    monkeypatch.setattr("rollcall_cli.cycling.run.sleep", made.aws.sleep)
    monkeypatch.setattr(time, "time", lambda: NOW)
    return made


def ended(result: CycleResult, **own: Any) -> CycleState:
    usual = {"phase": Phase.ENDED, "new": 10, "in_progress": 0, "left": 0, "instances": ()}
    return state(result=result, **{**usual, **own})


def well(**own: Any) -> Turn:
    return Turn(ended(CycleResult.SUCCEEDED, **own), "SUCCEEDED")


def badly(result: CycleResult = CycleResult.FAILED, **own: Any) -> Turn:
    return Turn(ended(result, **own), "FAILED", str(result), "why")


# Started and followed


def test_it_is_read_every_second_at_first_and_every_five_later(command: Command) -> None:
    command.aws.script = [*(Turn(state()) for _ in range(12)), well()]
    assert "in 20 s." in command("web").stdout  # ten pauses of a second, and two of five


def test_a_cycle_is_started_followed_and_ends_well_only_once_it_is_verified(command: Command) -> None:
    command.aws.script = [Turn(), Turn(state()), Turn(state(phase=Phase.VERIFYING, instances=())), well()]
    done = command("web")
    assert command.inputs() == [{"group": "web"}]
    assert "Group 'web' is cycled and verified, version 7 -> 8, in 3.0 s." in done.stdout
    lines = [each.partition("UTC: ")[2] for each in done.stderr.splitlines() if "UTC: " in each]
    assert lines == [
        "pre-flight",
        "10 instances, 2 at a time; version 7 -> 8; it takes about 12 min 00 s, by the group's own history",
        "replacing: 4 new, 2 in progress, 4 left, 40 %",
        "i-a: its job runs, launched 65 s ago, version 8",
        "verifying: 4 new, 2 in progress, 4 left, 40 %",
        "the cycle ended: succeeded",
    ]


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (well(), ExitCode.OK),
        (Turn(ended(CycleResult.NOTHING_TO_REPLACE), "SUCCEEDED"), ExitCode.OK),
        (Turn(ended(CycleResult.DRY_RUN), "SUCCEEDED"), ExitCode.OK),
        (Turn(ended(CycleResult.DRY_RUN, objections=(OBJECTION,)), "SUCCEEDED"), ExitCode.REFUSED),
        (badly(CycleResult.DRY_RUN, objections=(OBJECTION,)), ExitCode.REFUSED),
        (badly(CycleResult.REFUSED, objections=(OBJECTION,)), ExitCode.REFUSED),
        (badly(CycleResult.FAILED), ExitCode.ACT),
        (badly(CycleResult.ROLLED_BACK), ExitCode.ACT),
        (badly(CycleResult.CANCELLED), ExitCode.ACT),
        (badly(CycleResult.SUCCEEDED), ExitCode.ACT),
        (Turn(state(), "FAILED", "Lambda.TooManyRequestsException", "Rate exceeded"), ExitCode.ACT),
        (Turn(state(), "SUCCEEDED"), ExitCode.ACT),
        (Turn(ended(CycleResult.SUCCEEDED), "ABORTED"), ExitCode.ACT),
        (Turn(None, "TIMED_OUT"), ExitCode.ACT),
    ],
    ids=lambda each: f"{each.status} {each.state and each.state.result}" if isinstance(each, Turn) else each.name,
)
def test_the_exit_code_says_how_it_ended(command: Command, last: Turn, code: ExitCode) -> None:
    command.aws.script = [Turn(state()), last]
    command("web", code=code)
    command("web", "--watch", code=code)
    command("web", "--watch", "--json", code=code)


def test_every_option_is_in_the_input_and_what_is_not_given_is_left_to_the_tag(command: Command) -> None:
    command.aws.script = [well()]
    command(
        *("web", "--version", "$Latest", "--batch", "25%", "--checkpoints", "25,100", "--checkpoint-seconds", "60"),
        *("--bake-seconds", "30", "--no-skip-matching", "--on-failure", "cancel", "--pin", "--follow", "number"),
        *("--alarm", "a", "--alarm", "b", "--protected", "wait", "--standby", "ignore", "--verify-seconds", "300"),
    )
    assert command.inputs() == [
        {
            "group": "web",
            "launch_template_version": "$Latest",
            "batch": "25%",
            "checkpoints": [25, 100],
            "checkpoint_seconds": 60,
            "bake_seconds": 30,
            "skip_matching": False,
            "rollback": False,
            "pin": True,
            "follow": "number",
            "alarms": ["a", "b"],
            "protected": "wait",
            "standby": "ignore",
            "verify_seconds": 300,
        }
    ]


@pytest.mark.parametrize(("said", "sent"), [("auto", "auto"), ("roll-back", True), ("cancel", False)])
def test_what_happens_on_failure_is_what_the_input_calls_rollback(command: Command, said: str, sent: object) -> None:
    command.aws.script = [well()]
    command("web", "--on-failure", said, "--batch", "2")
    assert command.inputs() == [{"group": "web", "rollback": sent, "batch": 2}]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("web", "--batch", "much"), "has 'much' as --batch; allowed: a whole number"),
        (("web", "--checkpoints", "25,half"), "--checkpoints=25,half"),
        (("web", "--checkpoints", "25,50"), "end in 100"),
        (("web", "--version", "newest"), "has 'newest' as --version; allowed: a number, $Latest"),
        (("web", "--bake-seconds", "9999999"), "172800"),
        (("web", "--cancel", "--rollback"), "name one"),
        (("web", "--rollback", "--on-failure", "auto"), "options of a new cycle"),
    ],
)
def test_what_cannot_be_followed_is_refused_before_aws_is_asked(
    command: Command, words: tuple[str, ...], named: str
) -> None:
    done = command(*words, code=ExitCode.NOT_RUN)
    assert named in done.stderr
    assert (done.stdout, command.aws.asked) == ("", [])


def test_a_stack_without_cycles_says_how_to_get_them(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: str) -> str:
        raise NoResource("Stack rollcall has no CycleStateMachine")

    monkeypatch.setattr(module, "physical_id", missing)
    assert "Cycles=true" in command("web", code=ExitCode.NOT_RUN).stderr


# What is shown


def test_a_failure_names_the_machine_the_task_and_the_job(command: Command) -> None:
    dip = TargetDip(NOW, "arn:aws:elasticloadbalancing:eu-central-1:1:targetgroup/web/0a", 7, 8)
    last = badly(
        CycleResult.ROLLED_BACK,
        reason="two instances failed at the same task",
        verdicts=(VERDICT,),
        dips=(dip,),
        unverified=("i-c has version 7",),
        warnings=("Terraform sets the version back", "i-d was left as it is"),
        put_back="the group is on $Default again",
        runs={"10": 1, "7": 8, "": 2},
        launches="$Default",
        launches_number="7",
    )
    foreseen = ("Terraform sets the version back",)
    command.aws.script = [Turn(state(warnings=foreseen)), Turn(state(verdicts=(VERDICT,), warnings=foreseen)), last]
    done = command("web", code=ExitCode.ACT)
    words = "i-b: ABANDON: task 'install nginx'; it failed; job 42 https://tower/#/jobs/playbook/42"
    assert f"UTC: {words}\n" in done.stderr
    assert done.stderr.count(words) == 1
    assert done.stdout.splitlines() == [
        "The cycle of group 'web' was rolled back after 2.0 s: two instances failed at the same task",
        f"  {words}",
        "  not verified: i-c has version 7",
        "  target group web had 7 healthy targets of 8 at 22:15:00 UTC",
        "  warning: i-d was left as it is",
        "  put back: the group is on $Default again",
        "  instances now: 2 of another launch template, 8 of version 7, 1 of version 10; the group next launches "
        "version 7, which $Default stands for",
        "  to bring all to version 7: rollcall cycle --skip-matching web",
        "  to go on to version 8: rollcall cycle --version 8 web",
    ]


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (({"7": 3, "8": 1}, "7", "7"), "3 of version 7, 1 of version 8; the group next launches version 7"),
        (({}, "8", "8"), "none; the group next launches version 8"),
        (
            ({"7": 1}, "$Latest", ""),
            "1 of version 7; the group next launches nothing, for its version $Latest is not there",
        ),
    ],
    ids=["two", "none", "gone"],
)
def test_what_did_not_go_well_says_which_versions_there_are_and_which_comes_next(
    command: Command, left: tuple[dict[str, int], str, str], words: str
) -> None:
    runs, launches, number = left
    command.aws.script = [badly(CycleResult.CANCELLED, runs=runs, launches=launches, launches_number=number)]
    lines = command("web", code=ExitCode.ACT).stdout.splitlines()
    assert f"  instances now: {words}" in lines
    mixed = [
        "  to bring all to version 7: rollcall cycle --skip-matching web",
        "  to go on to version 8: rollcall cycle --version 8 web",
    ]
    assert lines[-2:] == mixed if len(runs) > 1 else not any("rollcall cycle" in line for line in lines)
    command.aws.script = [
        Turn(state(warnings=("mind this",))),
        badly(warnings=("mind this",), plan={"notes": ["mind this"]}),
    ]
    done = command("web", "--key", "again", code=ExitCode.ACT)
    assert ("warning: mind this\n" in done.stderr, "mind this" in done.stdout) == (True, False)


def test_a_refusal_and_a_dry_run_answer_with_what_pre_flight_foresees(command: Command) -> None:
    foreseen = {"warnings": ("mind this",), "plan": {"notes": ["mind this"]}, "refresh_id": ""}
    command.aws.script = [badly(CycleResult.REFUSED, objections=(OBJECTION,), **foreseen)]
    assert "  warning: mind this\n" in command("web", code=ExitCode.REFUSED).stdout


def test_a_verdict_of_a_check_has_no_job(command: Command) -> None:
    held = CycleVerdict("i-b", "hold", "elb", None, None, None, "target group web: unhealthy")
    command.aws.script = [badly(verdicts=(held,))]
    assert (
        "i-b: HOLD: check elb; target group web: unhealthy; rollcall status web shows it\n"
        in command("web", code=ExitCode.ACT).stdout
    )


def test_a_refusal_after_pre_flight_says_its_reason(command: Command) -> None:
    command.aws.script = [badly(CycleResult.REFUSED, reason="another refresh began meanwhile")]
    done = command("web", code=ExitCode.REFUSED)
    assert done.stdout == "The cycle of group 'web' was refused: another refresh began meanwhile\n"


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (CycleResult.SUCCEEDED, "FAILED at its last step, after it had ended as: succeeded."),
        (CycleResult.ROLLED_BACK, "was rolled back after 1.0 s."),
    ],
)
def test_what_was_not_put_back_is_said_whatever_came_before(command: Command, result: CycleResult, words: str) -> None:
    command.aws.script = [Turn(state()), Turn(ended(result), "FAILED", "Sandbox.Timedout", "Task timed out")]
    done = command("web", code=ExitCode.ACT)
    assert words in done.stdout
    assert "something may be left: Sandbox.Timedout: Task timed out\n" in done.stdout


def test_an_instance_is_shown_once_at_each_stage_also_where_the_list_left_it_out_meanwhile(command: Command) -> None:
    command.aws.script = [Turn(state()), Turn(state(instances=())), Turn(state()), well()]
    assert command("web").stderr.count("i-a: its job runs") == 1


def test_a_dry_run_has_the_plan_and_is_always_a_new_one(command: Command) -> None:
    plan = {
        "batches": 5,
        "replaced": 10,
        "estimate_seconds": 720.0,
        "order": ["i-1", "i-2"],
        "rolls_back": True,
        "next_by_schedule": "Sun 2026-12-06 03:00 UTC",
    }
    command.aws.script = [Turn(ended(CycleResult.DRY_RUN, plan=plan), "SUCCEEDED")]
    done = command("web", "--dry-run")
    assert command.inputs() == [{"group": "web", "dry_run": True}]
    assert "nothing speaks against a cycle of group 'web'. Nothing was changed." in done.stdout
    assert "to replace: 10 instances, in 5 batches\n" in done.stdout
    assert "if it fails: AWS rolls it back\n" in done.stdout
    assert "i-1, i-2\n" in done.stdout
    assert "next by schedule: Sun 2026-12-06 03:00 UTC\n" in done.stdout
    assert [each.startswith("web-") and "-dry-" in each for each in command.aws.runs] == [True]
    command("web", "--watch", code=ExitCode.NOT_RUN)


def test_a_dry_run_says_why_aws_would_not_roll_back(command: Command) -> None:
    plan = {"batches": 1, "replaced": 1, "rolls_back": False, "why_no_rollback": "the group is on $Latest"}
    command.aws.script = [Turn(ended(CycleResult.DRY_RUN, plan=plan), "SUCCEEDED")]
    done = command("web", "--dry-run")
    assert "to replace: 1 instance, in 1 batch\n" in done.stdout
    assert "if it fails: it is cancelled, for AWS does not roll it back: the group is on $Latest\n" in done.stdout


def test_as_json_the_answer_is_all_that_stdout_has(command: Command) -> None:
    command.aws.script = [Turn(state()), well(reason="all are new")]
    done = command("web", "--key", "release-8", "--json")
    said = json.loads(done.stdout)
    assert (said["group"], said["cycle"], said["attached"]) == ("web", execution_name("web", "release-8"), False)
    assert (said["status"], said["result"], said["verified"], said["reason"]) == (
        "SUCCEEDED",
        "succeeded",
        True,
        "all are new",
    )
    assert said["execution_url"].endswith(said["execution"])
    assert said["ended"] - said["began"] == 1
    assert said["state"]["target_version"] == "8"


@pytest.mark.parametrize("result", [CycleResult.NOTHING_TO_REPLACE, CycleResult.DRY_RUN])
def test_what_replaced_nothing_is_not_called_verified(command: Command, result: CycleResult) -> None:
    command.aws.script = [Turn(ended(result), "SUCCEEDED")]
    assert json.loads(command("web", "--json").stdout)["verified"] is False


def test_one_stopped_by_hand_says_who_puts_back(command: Command) -> None:
    command.aws.script = [Turn(state()), Turn(None, "ABORTED")]
    done = command("web", code=ExitCode.ACT)
    assert "did not come to its end: its execution was stopped by hand." in done.stdout
    assert "puts back what it changed, within minutes" in done.stdout
    assert json.loads(command("web", "--watch", "--json", code=1).stdout)["result"] is None


def test_a_step_that_fails_is_shown_once_and_the_state_before_it_stands(command: Command) -> None:
    command.aws.script = [Turn(state()), *(Turn(fails="Tower is away") for _ in range(25)), Turn(state()), well()]
    done = command("web")
    assert done.stderr.count("a step of the cycle failed, and is tried again: AwsUnavailable: Tower is away") == 1
    assert done.stderr.count("replacing: 4 new") == 1


# Errors while it is followed


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure", "ServiceUnavailable"])
def test_an_error_that_passes_is_shown_once_and_the_cycle_read_again(
    command: Command, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    command.aws.script = [Turn(state()), Turn(state()), well()]
    sleep, slept = command.aws.sleep, iter(range(100))

    def failing(seconds: float) -> None:
        if next(slept) == 0:
            command.aws.failing = [(400 if "Throttling" in code else 500, code)] * 2
        sleep(seconds)

    monkeypatch.setattr("rollcall_cli.cycling.run.sleep", failing)
    done = command("web")
    assert done.stderr.count("It is read again, every 5 s at the latest") == 1
    assert "is cycled and verified" in done.stdout


def test_what_aws_does_not_show_yet_is_read_again(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    command.aws.script = [well()]
    start = command.aws.start_execution

    def hidden_at_first(given: Any) -> Any:
        command.aws.failing = [(400, "ExecutionDoesNotExist")]
        return start(given)

    monkeypatch.setattr(command.aws, "start_execution", hidden_at_first)
    assert "is cycled and verified" in command("web").stdout


@pytest.mark.parametrize(("way", "code"), [((), ExitCode.ACT), (("--watch",), ExitCode.NOT_RUN)])
def test_credentials_that_run_out_leave_it_running_and_say_how_to_go_on(
    command: Command, monkeypatch: pytest.MonkeyPatch, way: tuple[str, ...], code: ExitCode
) -> None:
    command.aws.script = [Turn(state())]
    if way:
        command.runs(Turn(state()))

    def expired(seconds: float) -> None:
        command.aws.failing = [(403, "ExpiredTokenException")]

    monkeypatch.setattr("rollcall_cli.cycling.run.sleep", expired)
    done = command("web", *way, code=code)
    assert "states:GetExecutionHistory" in done.stderr
    assert "To watch it: rollcall cycle --watch web\n" in done.stderr


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [(403, "AccessDeniedException", ExitCode.NOT_RUN), (500, "InternalFailure", ExitCode.ACT),
     (400, "ThrottlingException", ExitCode.NOT_RUN)],
)  # fmt: skip
def test_a_start_without_an_answer_may_have_begun(command: Command, status: int, error: str, code: ExitCode) -> None:
    command.aws.failing = [(status, error)]
    done = command("web", code=code)
    assert ("It may have begun all the same: rollcall cycle --watch web" in done.stderr) == (code == ExitCode.ACT)
    assert ("They need states:StartExecution." in done.stderr) == (status == 403)


def test_ctrl_c_leaves_it_running_and_says_the_commands_that_go_on(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.aws.script = [Turn(state())]

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rollcall_cli.cycling.run.sleep", interrupted)
    given = ("--stack", "other", "--region", REGION)
    done = command("web", "--key", "release-8", *given, "--json", code=ExitCode.INTERRUPTED)
    assert f"To watch it: rollcall cycle --watch {' '.join(given)} --key release-8 web\n" in done.stderr
    assert f"To stop it: rollcall cycle --cancel {' '.join(given)} web\n" in done.stderr
    assert done.stdout == ""
    assert [each.status for each in command.aws.runs.values()] == ["RUNNING"]
    assert "StopExecution" not in command.aws.asked


def test_ctrl_c_as_the_first_line_is_printed_says_how_to_go_on_too(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(words: str) -> None:
        progress_line(words)
        if words.startswith("cycle web-"):
            raise KeyboardInterrupt

    monkeypatch.setattr(workflow_run, "progress_line", interrupted)
    done = command("web", "--key", "release-8", code=ExitCode.INTERRUPTED)
    assert "The cycle goes on by itself. To watch it: rollcall cycle --watch --key release-8 web\n" in done.stderr


def test_a_closed_pipe_does_not_make_a_failure_a_success(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    silenced: list[object] = []

    def closed(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("rollcall_cli.workflows.run.print_json", closed)
    monkeypatch.setattr("rollcall_cli.workflows.run.silence", silenced.append)
    command.aws.script = [badly()]
    command("web", "--json", code=ExitCode.ACT)
    assert len(silenced) == 1


def test_a_state_of_another_version_is_said_to_be_one(command: Command) -> None:
    arn = command.runs(Turn(state()))
    of_another = {"cycle": {"group": "web", "phase": "resting"}}
    made = command.aws.runs[arn.rpartition(":")[2]]
    details = {"name": "Follow", "output": json.dumps(of_another)}
    made.events.append({"timestamp": NOW, "type": "TaskStateExited", "id": 9, "stateExitedEventDetails": details})
    assert "use the command of the version that is deployed" in command("web", "--watch", code=2).stderr


# Attached


def test_a_key_whose_cycle_was_refused_is_said_to_be_used_up(command: Command) -> None:
    command.runs(Turn(ended(CycleResult.REFUSED), "FAILED"), key="release-8")
    assert (
        "It was refused then, and changed nothing. To try again give another --key."
        in command("web", "--key", "release-8", code=3).stderr
    )


@pytest.mark.parametrize("over", [False, True])
def test_the_same_key_is_the_same_cycle(command: Command, over: bool) -> None:
    command.runs(well() if over else Turn(state()), key="release-8")
    if not over:
        command.aws.runs[execution_name("web", "release-8")].turns = [well()]
    done = command("web", "--key", "release-8")
    assert len(command.aws.runs) == 1
    assert f"is there already, and {'is over' if over else 'is running'}" in done.stderr
    assert "other options" not in done.stderr
    assert json.loads(command("web", "--key", "release-8", "--json").stdout)["attached"] is True


def test_the_same_key_with_other_options_starts_nothing_and_says_those_that_hold(command: Command) -> None:
    command.runs(well(), key="release-8", batch=2)
    done = command("web", "--key", "release-8", "--batch", "3", code=ExitCode.NOT_RUN)
    assert 'It was started with other options: {"batch": 2, "group": "web"}. Nothing was started' in done.stderr
    assert done.stdout == ""


def test_without_a_key_each_run_is_a_cycle_of_its_own(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    command.aws.script = [well()]
    command("web")
    monkeypatch.setattr(time, "time", lambda: NOW + 1)
    command("web")
    assert [each.rpartition("-")[2] for each in command.aws.runs] == ["20261130T221500", "20261130T221501"]


def test_watching_prefers_the_cycle_that_runs_and_sees_no_other_groups(command: Command) -> None:
    command.aws.add(execution_name("web", "old"), {"group": "web"}, badly(), began=NOW - 10)
    command.aws.add(execution_name("web", "now"), {"group": "web"}, Turn(state()), well(), began=NOW - 500)
    command.aws.add(execution_name("web-2", "x"), {"group": "web-2"}, Turn(state()), began=NOW)
    assert "is cycled and verified" in command("web", "--watch").stdout
    assert "FAILED" in command("web", "--watch", "--key", "old", code=1).stdout
    assert command.aws.runs[execution_name("web-2", "x")].status == "RUNNING"


@pytest.mark.parametrize("key", ["v8", "sched-2026-12-06"])
def test_a_cycle_that_a_tag_started_is_watched_by_its_key(command: Command, key: str) -> None:
    command.runs(well(), key=key)
    assert "is cycled and verified" in command("web", "--watch", "--key", key).stdout


@pytest.mark.parametrize("way", [("--watch",), ("--watch", "--key", "no-such"), *((each, "--yes") for each in OTHERS)])
def test_where_no_cycle_is_there_nothing_is_done(command: Command, way: tuple[str, ...]) -> None:
    done = command("web", *way, code=ExitCode.NOT_RUN)
    assert "'web'" in done.stderr
    assert command.refreshes.asked == []


# Cancelled and rolled back


@pytest.mark.parametrize(
    ("way", "result"), [("--cancel", CycleResult.CANCELLED), ("--rollback", CycleResult.ROLLED_BACK)]
)
def test_a_cycle_is_ended_by_its_refresh_and_followed_on(command: Command, way: str, result: CycleResult) -> None:
    command.runs(Turn(state()), Turn(state(phase=Phase.CANCELLING)), badly(result))
    done = command("web", way, "--yes")
    assert command.refreshes.asked == [f"{way.removeprefix('--')} web"]
    assert f"was {result}" in done.stdout
    assert "the cycle sees that within about 15 s, and ends.\n" in done.stderr
    command("web", "--watch", code=ExitCode.ACT)  # who only watches has not asked for it
    assert "StopExecution" not in command.aws.asked


@pytest.mark.parametrize("way", OTHERS)
def test_without_a_yes_and_without_a_terminal_it_goes_on(command: Command, way: str) -> None:
    command.runs(Turn(state()))
    assert "--yes" in command("web", way, code=ExitCode.NOT_RUN).stderr
    assert command.refreshes.asked == []


def test_an_operator_who_says_no_leaves_it_as_it_is(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def no(question: str, **_: object) -> bool:
        asked.append(question)
        return False

    monkeypatch.setattr(Questions, "of", lambda yes: Questions(interactive=not yes))
    monkeypatch.setattr(typer, "confirm", no)
    command.runs(Turn(state()))
    assert command("web", "--rollback", code=ExitCode.NOT_RUN).stderr.endswith("Nothing was changed.\n")
    assert asked == ["Roll back the cycle of group 'web'? Its new instances are replaced by the version before."]
    assert command.refreshes.asked == []


def test_a_refresh_that_is_not_the_cycles_is_left_alone(command: Command) -> None:
    command.runs(Turn(state()))
    command.refreshes.shown = Refresh("r-2", "InProgress")
    assert "r-2, is not that of Rollcall's cycle, r-1." in command("web", "--cancel", "--yes", code=2).stderr
    command.refreshes.shown = None
    said = command("web", "--cancel", "--yes", code=2).stderr
    assert "is over, and what came of it is being verified. Nothing was changed." in said
    assert "To go back, once that has ended: rollcall cycle --version 7 web\n" in said
    assert command.refreshes.asked == []


def test_a_cancel_that_comes_to_another_end_has_not_done_what_it_was_asked_for(command: Command) -> None:
    command.runs(Turn(state()), Turn(ended(CycleResult.CANCELLED), "FAILED", "Sandbox.Timedout", "Task timed out"))
    command("web", "--cancel", "--yes", code=ExitCode.ACT)
    command.runs(Turn(state()), badly(CycleResult.FAILED), key="again")
    command("web", "--cancel", "--yes", code=ExitCode.ACT)


def test_a_cycle_in_pre_flight_is_waited_for(command: Command) -> None:
    early = state(refresh_id="", phase=Phase.PREFLIGHT)
    command.runs(Turn(early), Turn(early), Turn(state()), badly(CycleResult.CANCELLED))
    command("web", "--cancel", "--yes")
    assert command.refreshes.asked == ["cancel web"]


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (badly(CycleResult.REFUSED), "is over. Nothing was changed."),
        (Turn(state(refresh_id="")), "has not begun its instance refresh yet"),
    ],
    ids=["refused", "slow"],
)
def test_a_cycle_that_begins_no_refresh_has_nothing_to_cancel(command: Command, last: Turn, words: str) -> None:
    command.runs(Turn(state(refresh_id="")), last)
    assert words in command("web", "--cancel", "--yes", code=ExitCode.NOT_RUN).stderr
    assert command.refreshes.asked == []


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (Ending.IRREVERSIBLE, "--cancel stops it where it is"),
        (Ending.NONE_ACTIVE, "Too late: the instance refresh of the cycle"),
        (AwsDenied("AWS refused RollbackInstanceRefresh"), "autoscaling:RollbackInstanceRefresh"),
    ],
    ids=["irreversible", "over", "denied"],
)
def test_what_aws_does_not_do_is_said_with_the_remedy(command: Command, ending: Ending | Exception, words: str) -> None:
    command.runs(Turn(state()))
    command.refreshes.ending = ending
    assert words in command("web", "--rollback", "--yes", code=ExitCode.NOT_RUN).stderr


def test_one_that_is_being_cancelled_already_is_only_followed(command: Command) -> None:
    command.runs(Turn(state()), badly(CycleResult.CANCELLED))
    command.refreshes.shown = Refresh("r-1", "Cancelling")
    assert "under way already" in command("web", "--cancel", "--yes").stderr
    assert command.refreshes.asked == []


# Listed


def test_the_last_cycles_are_listed_with_what_came_of_them(command: Command) -> None:
    for number, (key, turn) in enumerate(
        {
            "stopped": Turn(state(), "ABORTED"),
            "bad": badly(CycleResult.ROLLED_BACK),
            "good": well(),
            "now": Turn(state()),
        }.items()
    ):
        request = {"group": "web", "launch_template_version": "8"}
        command.aws.add(execution_name("web", key), request, turn, began=NOW - 600 + number)
    said = json.loads(command("--json").stdout)["cycles"]
    assert [each["result"] for each in said] == ["running", "succeeded", "rolled back", "stopped by hand"]
    assert {(each["group"], each["version"]) for each in said} == {("web", "8")}
    printed = command().stdout.splitlines()
    assert printed[0].split() == ["began", "group", "version", "result", "took", "cycle"]
    assert len(printed) == 5


def test_without_any_cycle_that_is_said(command: Command) -> None:
    assert command().stdout == "No group was cycled in the last 90 days. Dry runs are not listed.\n"


def test_nothing_else_than_its_own_answer_is_on_stdout_where_it_is_no_terminal(command: Command) -> None:
    assert not sys.stdout.isatty()
    command.aws.script = [Turn(state()), well()]
    assert command("web").stdout.count("\n") == 1


def test_not_run_is_no_answer(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: str) -> str:
        raise NotRun("AWS cannot be reached")

    monkeypatch.setattr(module, "physical_id", away)
    assert command("web", code=ExitCode.NOT_RUN).stderr == "AWS cannot be reached\n"
