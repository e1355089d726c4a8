"""The command bake, on a Step Functions in memory: what it starts, shows and refuses, and what it ends with."""

from __future__ import annotations

import json
import time
from copy import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from rollcall.aws.instance_refreshes import Ending, Refresh
from rollcall.bake.state import BakeResult, Phase
from rollcall.cycle.state import CycleResult
from rollcall.cycle.state import Phase as CyclePhase
from rollcall.domain.objections import Objection
from rollcall.workflow.names import execution_name
from rollcall_cli.baking import run as module
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.questions import Questions
from rollcall_cli.stack import NoResource
from unit.bake_news import BASE, BUILDER, IMAGE, MADE, ROLLED_OUT, SMOKE, STATE
from unit.cli.commands import run
from unit.cli.cycling.step_functions import BAKE_MACHINE, MACHINE, NOW, StepFunctions, Turn
from unit.cli.cycling.step_functions import state as cycle_state
from unit.fakes import REGION

if TYPE_CHECKING:
    from rollcall.bake.state import BakeState

CYCLE = ROLLED_OUT["cycle"]
OBJECTION = Objection("no bake inventory", "group 'web' has no tag rollcall:bake-inventory", "set it")
LAUNCHING = replace(STATE, phase=Phase.LAUNCHING, address="", job=None, host_id=None)
ROLLING_OUT = replace(STATE, phase=Phase.ROLLING_OUT, **MADE, cycle=CYCLE)


class Refreshes:
    """The refreshes of the group. asked: what was cancelled."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, region: str) -> Refreshes:
        assert region == REGION
        return self

    def active(self, group: str) -> Refresh:
        return Refresh("r-1", "InProgress")

    def cancel(self, group: str) -> Ending:
        self.asked.append(group)
        return Ending.BEGUN


class Command:
    """The command on one stack. machines: by logical id."""

    def __init__(self) -> None:
        self.aws = StepFunctions()
        self.refreshes = Refreshes()
        self.machines = {"BakeStateMachine": BAKE_MACHINE, "CycleStateMachine": MACHINE}

    def __call__(self, *words: str, code: int = 0) -> Any:
        done = run("bake", *words)
        assert done.exit_code == code, done.output
        return done

    def runs(self, *turns: Turn, key: str = "k", **request: Any) -> str:
        """A bake of the group that was started before; its ARN."""
        return self.aws.add(execution_name("web", key), {"group": "web", **request}, *turns, machine=BAKE_MACHINE).arn

    def cycles(self, *turns: Turn) -> str:
        """The cycle that rolls the image out; its ARN."""
        return self.aws.add(CYCLE, {"group": "web", "launch_template_version": "7"}, *turns).arn

    def physical_id(self, stack: str, logical_id: str) -> str:
        if logical_id not in self.machines:
            raise NoResource(f"Stack {stack} has no {logical_id}")
        return self.machines[logical_id]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    made = Command()
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setattr(module, "physical_id", made.physical_id)
    monkeypatch.setattr(module, "InstanceRefreshes", made.refreshes)
    monkeypatch.setattr(boto3, "client", lambda *_, **__: made.aws.client)
    monkeypatch.setattr(module, "sleep", made.aws.sleep)
    monkeypatch.setattr(time, "time", lambda: NOW)
    return made


def ended(result: BakeResult, **own: Any) -> BakeState:
    return replace(STATE, **{"phase": Phase.ENDED, "result": result, **own})


def well(result: BakeResult = BakeResult.SUCCEEDED, **own: Any) -> Turn:
    return Turn(replace(ended(result), **{**ROLLED_OUT, "result": result, **own}), "SUCCEEDED")


def badly(result: BakeResult = BakeResult.FAILED, **own: Any) -> Turn:
    return Turn(ended(result, **own), "FAILED", str(result), "why")


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        (Phase.PROVISIONING, "Group 'web' is as it was, and so is its launch template."),
        (Phase.SMOKE, f"Image {IMAGE} stays"),
        (Phase.VERSION, "is not rolled out by this bake"),
        (Phase.ROLLING_OUT, "what was replaced stays replaced"),
        (Phase.RETIRING, "The roll-out had ended: succeeded."),
    ],
)
def test_of_a_bake_that_was_cancelled_it_says_in_which_phase_and_how_the_group_is(
    command: Command, phase: Phase, words: str
) -> None:
    before: dict[str, Any] = {} if phase == Phase.PROVISIONING else {**MADE}
    result: dict[str, Any] = {"cycle": CYCLE} if phase in (Phase.ROLLING_OUT, Phase.RETIRING) else {}
    result |= {"cycle_result": "succeeded"} if phase == Phase.RETIRING else {}
    stopped = Turn(replace(STATE, phase=phase, **before, **result), "ABORTED", "Cancelled", module.CAUSE)
    command.runs(stopped)
    said = command("web", "--watch", code=1).stdout
    assert f"The bake of group 'web' was cancelled in phase {phase}." in said
    assert words in said
    assert ("The cycle" in said) == (phase == Phase.ROLLING_OUT)
    assert (f"deregister-image --image-id {IMAGE}" in said) == (phase in (Phase.SMOKE, Phase.VERSION))
    assert ("to roll it out: rollcall cycle --version 7 web\n" in said) == (IMAGE in said and phase != Phase.RETIRING)


def test_a_warning_about_the_roll_out_is_said_once_when_it_is_over(command: Command) -> None:
    known, new = "whatever deploys this group may set its version back", "an instance is protected"
    rolled = replace(cycle_state(CyclePhase.ENDED), result=CycleResult.SUCCEEDED, reason="", warnings=(known, new))
    command.cycles(Turn(rolled, "SUCCEEDED"))
    command.runs(well(cycle=CYCLE, warnings=(f"roll-out: {known}",)))
    said = command("web", "--watch").stdout
    assert (said.count(known), said.count(f"warning: {new}")) == (1, 1)


def test_an_image_of_a_cancelled_bake_that_is_in_no_version_yet_says_how_to_get_there(command: Command) -> None:
    command.runs(Turn(replace(STATE, phase=Phase.SMOKE, image_id=IMAGE), "ABORTED", "Cancelled", module.CAUSE))
    said = command("web", "--watch", code=1).stdout
    assert f"Image {IMAGE} stays while it is among the newest of the group (rollcall:keep)." in said
    create = "aws ec2 create-launch-template-version --launch-template-id lt-0123456789abcdef0 --source-version 6"
    assert f"{create} --launch-template-data ImageId={IMAGE}\n" in said
    assert f"to remove it: aws ec2 deregister-image --image-id {IMAGE} --delete-associated-snapshots\n" in said


def test_the_list_says_cancelled_of_one_that_the_command_cancelled(command: Command) -> None:
    command.runs(Turn(STATE, "ABORTED", "Cancelled", module.CAUSE), key="k1")
    command.runs(Turn(STATE, "ABORTED", "", ""), key="k2")
    results = [each["result"] for each in json.loads(command("--json").stdout)["bakes"]]
    assert sorted(results) == ["cancelled", "stopped by hand"]


# Started and followed


def test_a_bake_is_started_and_each_thing_that_comes_to_be_known_is_a_line(command: Command) -> None:
    command.aws.script = [Turn(), Turn(LAUNCHING), Turn(STATE), Turn(replace(STATE, phase=Phase.SMOKE, **MADE)), well()]
    done = command("web")
    assert [json.loads(each.input) for each in command.aws.runs.values()] == [{"group": "web"}]
    lines = [each.partition("UTC: ")[2] for each in done.stderr.splitlines() if "UTC: " in each]
    assert lines == [
        "pre-flight",
        f"from image {BASE} (al2023-ami-2026.11, arm64), for launch template web version 6, on t4g.small in subnet-1",
        "launching the builder",
        f"builder {BUILDER}",
        f"builder {BUILDER} at 10.0.0.9",
        "provisioning",
        "job 121 https://tower.example.com/#/jobs/playbook/121/output",
        f"image {IMAGE}: {MADE['image_name']}",
        "smoke test",
        "smoke test: passed",
        "version 7 of launch template web",
        f"cycle {CYCLE}: succeeded",
        "the bake ended: succeeded",
    ]
    assert f"Group 'web' is baked, cycled and verified, image {IMAGE} in version 7, in 4.0 s.\n" in done.stdout


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (well(), ExitCode.OK),
        (well(BakeResult.BAKED), ExitCode.OK),
        (well(BakeResult.NOTHING_NEW), ExitCode.OK),
        (well(BakeResult.DRY_RUN), ExitCode.OK),
        (well(BakeResult.DRY_RUN, objections=(OBJECTION,)), ExitCode.REFUSED),
        (badly(BakeResult.REFUSED, objections=(OBJECTION,)), ExitCode.REFUSED),
        (badly(BakeResult.FAILED), ExitCode.ACT),
        (badly(BakeResult.ROLLED_BACK), ExitCode.ACT),
        (badly(BakeResult.ROLLED_BACK_BY_HAND), ExitCode.ACT),
        (badly(BakeResult.CANCELLED), ExitCode.ACT),
        (badly(BakeResult.SUCCEEDED), ExitCode.ACT),
        (Turn(STATE, "FAILED", "Lambda.TooManyRequestsException", "Rate exceeded"), ExitCode.ACT),
        (Turn(STATE, "SUCCEEDED"), ExitCode.ACT),
        (Turn(ended(BakeResult.SUCCEEDED), "ABORTED"), ExitCode.ACT),
        (Turn(None, "TIMED_OUT"), ExitCode.ACT),
    ],
    ids=lambda each: (
        f"{each.status} {each.state and getattr(each.state, 'result', '')}" if isinstance(each, Turn) else each.name
    ),
)
def test_the_exit_code_says_how_it_ended(command: Command, last: Turn, code: ExitCode) -> None:
    command.aws.script = [Turn(STATE), last]
    command("web", code=code)
    command("web", "--watch", code=code)
    command("web", "--watch", "--json", code=code)


def test_every_option_is_in_the_input_and_what_is_not_given_is_left_to_the_tags(command: Command) -> None:
    command.aws.script = [well()]
    command(
        *("web", "--base-image", "ssm:/aws/service/ami", "--job-template", "bake", "--inventory", "builders"),
        *("--instance-type", "m7i.large", "--keep", "3", "--no-roll-out", "--smoke", "provision", "--only-if-new"),
        *("--user-data", "--instance-profile", "builder", "--pin"),
    )
    [started] = command.aws.runs.values()
    assert json.loads(started.input) == {
        "group": "web",
        "base_image": "ssm:/aws/service/ami",
        "job_template": "bake",
        "inventory": "builders",
        "instance_type": "m7i.large",
        "keep": 3,
        "roll_out": False,
        "smoke": "provision",
        "only_if_new": True,
        "user_data": True,
        "instance_profile": "builder",
        "pin": True,
    }


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("web", "--base-image", "newest"), "ssm:NAME"),
        (("web", "--keep", "5000"), "from 1 to"),
        (("web", "--instance-type", "large"), "m7i.large"),
    ],
)
def test_what_cannot_be_followed_is_refused_before_aws_is_asked(
    command: Command, words: tuple[str, ...], named: str
) -> None:
    done = command(*words, code=ExitCode.NOT_RUN)
    assert named in done.stderr
    assert (done.stdout, command.aws.asked) == ("", [])


def test_a_stack_without_bakes_says_how_to_get_them(command: Command) -> None:
    del command.machines["BakeStateMachine"]
    assert "Bakes=true and Cycles=true" in command("web", code=ExitCode.NOT_RUN).stderr


def test_a_stack_without_cycles_bakes_all_the_same(command: Command) -> None:
    del command.machines["CycleStateMachine"]
    command.aws.script = [well(BakeResult.BAKED, cycle="", cycle_result="")]
    assert f"Group 'web' is baked and not cycled, image {IMAGE} in version 7" in command("web").stdout


# The roll-out


def test_the_progress_of_the_cycle_is_shown_as_the_command_for_cycles_shows_it(command: Command) -> None:
    command.cycles(
        Turn(cycle_state()),
        Turn(cycle_state(phase=CyclePhase.VERIFYING, instances=())),
        Turn(
            cycle_state(phase=CyclePhase.ENDED, result=CycleResult.SUCCEEDED, reason="all were verified"), "SUCCEEDED"
        ),
    )
    command.aws.script = [Turn(ROLLING_OUT), Turn(ROLLING_OUT), well()]  # both are over in one reading
    done = command("web")
    assert "UTC: replacing: 4 new, 2 in progress, 4 left, 40 %\n" in done.stderr
    assert "UTC: i-a: its job runs" in done.stderr
    assert "UTC: verifying: " in done.stderr
    assert f"UTC: cycle {CYCLE}\n" in done.stderr
    assert "  Group 'web' is cycled and verified, version 7 -> 8" in done.stdout
    said = [f"cycle {CYCLE}\n", "replacing: 4 new", "the cycle ended: succeeded", "the bake ended: succeeded"]
    assert sorted(said, key=done.stderr.index) == said


def test_a_cycle_that_aws_does_not_show_yet_is_looked_for_again(command: Command) -> None:
    command.aws.script = [Turn(ROLLING_OUT), well()]
    assert "is baked, cycled and verified" in command("web").stdout


# What is shown at the end


def test_what_went_well_says_each_thing_once_and_what_comes_next(command: Command) -> None:
    command.aws.script = [well()]
    base, job = f"  from image {BASE} (al2023-ami-2026.11, arm64)", "  on the builder: job 121 https://tower"
    heading, *lines = command("web", "--region", REGION).stdout.splitlines()
    assert heading == f"Group 'web' is baked, cycled and verified, image {IMAGE} in version 7, in 0.0 s."
    assert [line[: len(start)] for line, start in zip(lines, (base, job), strict=False)] == [base, job]
    assert lines[2:] == ["  smoke test: passed", f"  to go back: rollcall rollback --region {REGION} web"]
    command.aws.script = [well(BakeResult.BAKED, cycle="", reason="it was not rolled out")]
    *_, last = command("web", "--key", "again", "--no-roll-out").stdout.splitlines()
    assert last == "  to roll it out: rollcall cycle --version 7 web"


def test_a_long_reason_has_a_line_of_its_own_and_executions_are_named(command: Command) -> None:
    arn = BAKE_MACHINE.replace("stateMachine", "execution").replace("bake", "cycle") + f":{CYCLE}"
    reason = f"the roll-out of image {IMAGE} as version 7 ended as cancelled ({arn}): by an operator's request"
    left = cycle_state(
        result=CycleResult.CANCELLED, reason="", runs={"6": 1, "7": 3}, launches="6", launches_number="6",
        target_version="7",
    )  # fmt: skip
    command.cycles(Turn(left, "FAILED", "cancelled"))
    command.aws.script = [badly(BakeResult.CANCELLED, **MADE, cycle=CYCLE, reason=reason)]
    heading, first, *others = command("web", code=ExitCode.ACT).stdout.splitlines()
    assert heading == "The bake of group 'web' was cancelled after 0.0 s."
    assert first == f"  {reason.replace(arn, CYCLE)}"
    assert "    to bring all to version 6: rollcall cycle --skip-matching web" in others
    assert "    to go on to version 7: rollcall cycle --version 7 web" in others
    assert not any("deregister-image" in line for line in others), "instances run it"


def test_a_failure_on_the_builder_names_the_job(command: Command) -> None:
    command.aws.script = [Turn(STATE), badly(reason="job 121 failed on the builder", put_back=f"{BUILDER} terminated")]
    assert command("web", code=ExitCode.ACT).stdout.splitlines() == [
        "The bake of group 'web' FAILED after 1.0 s: job 121 failed on the builder",
        "  on the builder: job 121 https://tower.example.com/#/jobs/playbook/121/output",
        f"  put back: {BUILDER} terminated",
        f"  Builder {BUILDER} is terminated. Group 'web' is as it was, and so is its launch template.",
        "  once the cause is fixed, bake again: rollcall bake web",
    ]


def test_a_link_that_the_reason_has_is_not_repeated(command: Command) -> None:
    command.aws.script = [Turn(STATE), badly(reason=f"job 121 failed: {STATE.job_url}")]
    assert command("web", code=ExitCode.ACT).stdout.count(STATE.job_url) == 1


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"builder": ""}, "\n  Group 'web' is as it was, and so is its launch template.\n"),
        (MADE, "Group 'web' is as it was, and it is not cycled to version 7 of launch template web.\n"),
    ],
)
def test_a_bake_that_failed_says_how_the_group_is(command: Command, own: dict[str, Any], words: str) -> None:
    command.aws.script = [Turn(STATE), badly(**own)]
    assert words in command("web", "--stack", "other", code=ExitCode.ACT).stdout


def test_a_bake_whose_roll_out_failed_leaves_that_to_the_cycles_words(command: Command) -> None:
    command.aws.script = [Turn(STATE), badly(**MADE, cycle=CYCLE)]
    assert "is as it was" not in command("web", code=ExitCode.ACT).stdout


def test_a_failure_in_the_smoke_test_names_its_instance_and_its_job(command: Command) -> None:
    smoke = {**MADE, "smoke": "failed", "smoke_instance": SMOKE, "smoke_job": 130, "smoke_job_url": "https://tower/130"}
    command.aws.script = [Turn(STATE), badly(**smoke)]
    done = command("web", code=ExitCode.ACT)
    assert f"UTC: smoke test on {SMOKE}; job 130 https://tower/130\n" in done.stderr
    assert "  in the smoke test: job 130 https://tower/130\n" in done.stdout


def test_what_was_removed_and_what_was_kept_is_said_with_the_reasons(command: Command) -> None:
    command.aws.script = [well(removed=("disabled ami-1: it is old",), retained=("ami-2 stays: instance i-z runs it",))]
    command.aws.script.insert(0, Turn(replace(STATE, removed=("disabled ami-1: it is old",))))
    done = command("web")
    assert "ami-1" not in done.stderr, "the answer has it"
    assert "  disabled ami-1: it is old\n  ami-2 stays: instance i-z runs it\n" in done.stdout


def test_a_dry_run_has_the_plan_and_is_always_a_new_one(command: Command) -> None:
    plan = {
        "inventory": "builders",
        "job_template": "bake web",
        "project_revision": "9f2c51d",
        "nothing_new": "neither the base image nor the project has changed",
        "notes": ["the group is on $Latest", "a warning"],
        "instances": 8,
        "cycle_tag": "batch=50percent",
        "next_by_schedule": "Sun 2026-12-06 03:00 UTC",
        "removals": ["would delete version 2: it is beyond the newest 5"],
    }
    done = ended(BakeResult.DRY_RUN, plan=plan, project="fleet", warnings=("a warning",))
    command.aws.script = [Turn(done, "SUCCEEDED")]
    heading, *lines = command("web", "--dry-run").stdout.splitlines()
    assert heading == "Dry run: nothing speaks against a bake of group 'web'. Nothing was changed."
    assert lines[0] == "  warning: a warning"
    assert lines[1].startswith(f"  from image {BASE} ")
    assert lines[2:] == [
        "  provisioned by job template 'bake web', in inventory 'builders'",
        "  project fleet is at revision 9f2c51d",
        "  smoke test: boot",
        "  then the group is cycled to the new version: 8 instances, 4 at a time",
        "  after that: would delete version 2: it is beyond the newest 5",
        "  started by schedule, or with --only-if-new, it would bake nothing: "
        "neither the base image nor the project has changed",
        "  next by schedule: Sun 2026-12-06 03:00 UTC",
        "  note: the group is on $Latest",
    ]
    assert [each.startswith("web-") and "-dry-" in each for each in command.aws.runs] == [True]


def test_a_dry_run_without_a_plan_says_the_objections_alone(command: Command) -> None:
    request = {"group": "web", "smoke": "boot", "roll_out": True}
    done = replace(ended(BakeResult.DRY_RUN, objections=(OBJECTION,)), request=request, plan={})
    command.aws.script = [Turn(done, "SUCCEEDED")]
    lines = command("web", "--dry-run", code=ExitCode.REFUSED).stdout.splitlines()
    assert lines[1:] == [f"  {OBJECTION.what}: {OBJECTION.reason}", f"    remedy: {OBJECTION.remedy}"]


def test_as_json_the_answer_is_all_that_stdout_has(command: Command) -> None:
    command.cycles(Turn(cycle_state(result=CycleResult.SUCCEEDED), "SUCCEEDED"))
    command.aws.script = [Turn(STATE), well()]
    said = json.loads(command("web", "--key", "weekly", "--json").stdout)
    assert (said["group"], said["bake"], said["attached"]) == ("web", execution_name("web", "weekly"), False)
    assert (said["result"], said["image"], said["version"]) == ("succeeded", IMAGE, "7")
    assert said["execution_url"].endswith(said["execution"])
    assert (said["state"]["cycle"], said["cycle"]["target_version"]) == (CYCLE, "8")


def test_without_a_group_the_last_bakes_are_listed(command: Command) -> None:
    command.runs(well(), key="a")
    command.runs(badly(), key="b")
    command.cycles(Turn(cycle_state()))
    said = json.loads(command("--json").stdout)["bakes"]
    assert {(each["bake"], each["result"]) for each in said} == {
        (execution_name("web", "a"), "succeeded"),
        (execution_name("web", "b"), "failed"),
    }
    assert IMAGE in command().stdout


def test_the_list_has_the_image_and_the_version_of_a_bake_that_did_not_go_well(command: Command) -> None:
    """Such an execution has no output: its last step says it."""
    command.runs(badly(**MADE), key="failed")
    command.runs(Turn(ROLLING_OUT, "ABORTED"), key="stopped")
    said = json.loads(command("--json").stdout)["bakes"]
    assert {(each["result"], each["image"], each["version"]) for each in said} == {
        ("failed", IMAGE, "7"),
        ("stopped by hand", IMAGE, "7"),
    }


# Left alone, and cancelled


def test_ctrl_c_leaves_it_running_and_says_the_commands_that_go_on(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.aws.script = [Turn(STATE)]

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "sleep", interrupted)
    done = command("web", "--key", "weekly", code=ExitCode.INTERRUPTED)
    assert "To watch it: rollcall bake --watch --key weekly web\n" in done.stderr
    assert "To stop it: rollcall bake --cancel web\n" in done.stderr
    assert [each.status for each in command.aws.runs.values()] == ["RUNNING"]


def test_a_bake_that_is_cancelled_is_stopped_and_its_function_terminates_what_it_launched(command: Command) -> None:
    command.runs(Turn(STATE))
    done = command("web", "--cancel", "--yes")
    [stopped] = command.aws.runs.values()
    assert (stopped.status, stopped.cause) == ("ABORTED", "rollcall bake --cancel")
    assert "Rollcall terminates what the bake has launched" in done.stdout


def test_a_roll_out_that_is_cancelled_is_left_to_the_cycle_which_the_bake_records(command: Command) -> None:
    command.cycles(Turn(cycle_state()))
    command.runs(Turn(ROLLING_OUT), Turn(ROLLING_OUT), badly(BakeResult.CANCELLED, **{**MADE, "cycle": CYCLE}))
    done = command("web", "--cancel", "--yes")
    assert command.refreshes.asked == ["web"]
    assert "StopExecution" not in command.aws.asked
    assert "The bake of group 'web' was cancelled" in done.stdout


@pytest.mark.parametrize("result", [CycleResult.SUCCEEDED, CycleResult.ROLLED_BACK])
def test_a_roll_out_that_is_over_is_too_late_to_cancel(command: Command, result: CycleResult) -> None:
    went_well = result == CycleResult.SUCCEEDED
    command.cycles(
        Turn(cycle_state(result=result), "SUCCEEDED" if went_well else "FAILED", "" if went_well else result)
    )
    command.runs(Turn(ROLLING_OUT))
    said = command("web", "--cancel", "--yes", code=ExitCode.NOT_RUN).stderr
    assert "Too late: the roll-out for group 'web' is over. Nothing was changed." in said
    assert ("To go back, once the bake has ended: rollcall rollback web" in said) == went_well
    assert "StopExecution" not in command.aws.asked


def test_nothing_is_stopped_before_the_operator_agrees(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    command.runs(Turn(STATE))
    monkeypatch.setattr(Questions, "agree", lambda self, question: asked.append(question))
    done = command("web", "--cancel", code=ExitCode.NOT_RUN)
    assert "Nothing was changed." in done.stderr
    assert asked == [
        "Cancel the bake of group 'web'? What it has launched is terminated; an image that it has made stays."
    ]
    assert "StopExecution" not in command.aws.asked


@pytest.mark.parametrize("way", ["--cancel", "--watch"])
def test_without_a_bake_there_is_nothing_to_cancel_or_to_watch(command: Command, way: str) -> None:
    command.cycles(Turn(cycle_state()))
    assert "bake" in command("web", way, "--yes", code=ExitCode.NOT_RUN).stderr


def test_an_option_that_cannot_be_followed_is_named_as_it_was_given(command: Command) -> None:
    done = command("web", "--base-image", "foo", code=ExitCode.NOT_RUN)
    assert "has 'foo' as --base-image; allowed: current, an image's id" in done.stderr
