"""A status in words and as JSON: readable at 80 columns, an entry a line in a pipe, what is computed called so."""

from __future__ import annotations

import io
import json
import re

import pytest
from rich.console import Console

from rollcall.alerting.incident import Incident, IncidentSeverity
from rollcall_cli.commands.status import show
from rollcall_cli.screen import PIPE_WIDTH
from rollcall_cli.status.answer import answer_of
from rollcall_cli.status.bakes import RunningBake
from rollcall_cli.status.reading import Gap, Status
from rollcall_cli.status.surroundings import LastRun, SeenAlarm, SeenQueue
from rollcall_cli.status.waits import CheckAnswer, SeenCheck, SeenJob, Shown, Step, Wait
from rollcall_cli.status.words import needs_operator, summary

NOW = 1_795_000_000.0
JOB = SeenJob(
    42, "https://tower.example.com/#/jobs/playbook/42/output", "provision", "running", NOW - 40, None, (55.0, 61.0)
)
RUNS = Wait(
    "web", "i-0123456789abcdef0", "Pending:Wait", NOW - 65, ("rollcall-launching",), NOW + 3000, "ABANDON",
    Shown(Step.JOB_RUNS, "", JOB, 2, next_at=NOW + 12, next_is="the next evaluation", since=NOW - 65),
)  # fmt: skip
HELD = Wait(
    "web",
    "i-0fedcba9876543210",
    "Pending:Wait",
    NOW - 4000,
    ("rollcall-launching",),
    NOW + 300_000,
    "ABANDON",
    Shown(
        Step.HELD,
        "a check of it has failed for 1800 s",
        JOB._replace(status="successful", since=NOW - 3058, ended_at=NOW - 3000),
        1,
        (
            SeenCheck("ec2", CheckAnswer.FAILS, "its status checks have not both passed"),
            SeenCheck("job", CheckAnswer.PASSES),
        ),
    ),
)
GOES = Wait(
    "web", "i-0aaaaaaaaaaaaaaaa", "Terminating:Wait", None, ("rollcall-terminating",), None, "", Shown(Step.REMOVED)
)
WELL = Status(
    "rollcall",
    "eu-central-1",
    NOW,
    ("db", "web"),
    (),
    (SeenQueue("GateQueue", 0, 0, 0), SeenQueue("GateDeadLetterQueue", 0, 0, 0)),
    (),
    (),
    has_alert=True,
    last_run=LastRun(NOW - 100, 900),
)
ILL = WELL._replace(
    waits=(RUNS, HELD, GOES),
    queues=(SeenQueue("GateQueue", 1, 1, 3, 90.0), SeenQueue("GateDeadLetterQueue", 2, 0, 0, 7200.0)),
    alarms=(SeenAlarm("GateDeadLetterAlarm", "Waiting instances could not be decided on.", NOW - 600),),
    incidents=(
        Incident(
            "Permanent", "its job failed", IncidentSeverity.ERROR, count=3, since=NOW - 900,
            subjects=tuple(f"web/i-{number}" for number in range(7)),
        ),
    ),
    last_run=LastRun(None, 900),
    gaps=(Gap("which alarms sound", "AWS refused it", "let your credentials cloudwatch:DescribeAlarms, or try again"),),
)  # fmt: skip


def printed(status: Status, *given: str, terminal: bool = False) -> str:
    out = io.StringIO()
    width = 80 if terminal else PIPE_WIDTH
    show(Console(file=out, width=width, force_terminal=terminal, color_system=None, highlight=False), status, given)
    return re.sub(r"\x1b\[\d*m", "", out.getvalue())


def test_all_is_well_in_one_line() -> None:
    assert summary(WELL) == "no instance waits; all well"
    assert summary(WELL._replace(waits=(RUNS,))) == "1 instance waits; all well"
    assert not needs_operator(WELL._replace(waits=(RUNS, GOES)))


def test_what_is_not_well_is_counted_in_one_line() -> None:
    assert summary(ILL) == (
        "3 instances wait, 1 held; 2 messages in dead-letter queues; 1 alarm; 1 open incident; "
        "no run of reconcile has ended for 15 minutes; 1 thing could not be read"
    )


def test_a_group_in_an_emergency_needs_an_operator_and_is_shown_with_the_command_that_ends_it() -> None:
    status = WELL._replace(in_emergency=("web", "-x"))
    assert summary(status) == "no instance waits; 2 groups in an emergency"
    assert needs_operator(status)
    assert "once it is over: rollcall offboard --restore web\n" in printed(status, terminal=True)
    assert "rollcall offboard --restore -- -x" in printed(status)
    assert answer_of(status)["in_emergency"] == ["web", "-x"]
    assert "over: rollcall offboard --restore --stack other web" in printed(status, "--stack", "other")
    assert ": rollcall redrive --stack other shows them" in printed(ILL, "--stack", "other")


def test_a_long_line_with_a_command_is_broken_between_what_it_says_and_not_within_the_command() -> None:
    bake = RunningBake("web", "web-1f2e3d4c-20261130T030000", "provisioning", "i-0123456789abcdef0", "", NOW - 300)
    lines = printed(WELL._replace(bakes=(bake,)), "--stack", "rollcall", terminal=True).splitlines()
    at = lines.index("bakes")
    assert lines[at + 1] == "      web: provisioning, builder i-0123456789abcdef0;"
    assert lines[at + 2].startswith("      running for 5 minutes, since 20")
    assert lines[at + 3 : at + 5] == [
        "      web-1f2e3d4c-20261130T030000;",
        "      rollcall bake --watch --stack rollcall web shows it",
    ]
    assert max(map(len, lines[at : at + 5])) <= 80
    assert "; web-1f2e3d4c-20261130T030000; rollcall" in printed(WELL._replace(bakes=(bake,)))


@pytest.mark.parametrize(
    "change",
    [
        {"waits": (HELD,)},
        {"waits": (GOES._replace(shown=Shown(Step.NOT_KNOWN)),)},
        {"waits": (GOES._replace(shown=Shown(Step.NOT_FOLLOWED)),)},
        {"queues": ILL.queues},
        {"alarms": ILL.alarms},
        {"incidents": ILL.incidents},
        {"last_run": ILL.last_run},
        {"gaps": ILL.gaps},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_of_these_needs_an_operator(change: dict[str, object]) -> None:
    ill = WELL._replace(**change)  # type: ignore[arg-type]
    assert needs_operator(ill)
    assert "all well" not in summary(ill)
    assert not answer_of(ill)["well"]


def test_in_a_pipe_an_entry_is_a_line() -> None:
    lines = printed(ILL).splitlines()
    [runs] = [line for line in lines if RUNS.instance_id in line]
    assert runs == (
        "web: i-0123456789abcdef0  its job runs (Pending:Wait, waits for 65 s): "
        "job 42 (provision): running for 40 s; usually 55 s to 61 s; "
        "https://tower.example.com/#/jobs/playbook/42/output; tries so far: 2; "
        "the next evaluation: in 12 s, at 11:06:52 UTC (computed); "
        "AWS ends the wait in 50 minutes, at 11:56:40 UTC, with ABANDON (computed)"
    )
    [held] = [line for line in lines if HELD.instance_id in line]
    assert "successful, ended 50 minutes ago, took 58 s; " in held
    assert "check ec2 fails: its status checks have not both passed; passing: job" in held
    [goes] = [line for line in lines if GOES.instance_id in line]
    assert goes.endswith("when AWS ends the wait cannot be computed: since when it waits is not known")
    assert [line.split(":")[0] for line in lines[-6:]] == [
        "queues", "dead letters", "alarms", "open incidents", "reconcile", "missing",
    ]  # fmt: skip
    assert "GateQueue: 1 to be taken, 1 being worked on, 3 put off, the oldest for 90 s" in printed(ILL)
    assert "GateDeadLetterQueue: 2 messages, the oldest for 2 hours: rollcall redrive shows them" in printed(ILL)
    assert "(web/i-0, web/i-1, web/i-2, web/i-3, web/i-4 and 2 more): its job failed" in printed(ILL)


def test_a_terminal_of_80_columns_breaks_no_link_and_no_word() -> None:
    text = printed(ILL, terminal=True)
    assert JOB.url in text
    assert "let your credentials cloudwatch:DescribeAlarms, or try again" in text
    pasted = ("rollcall redrive", "let your credentials")
    assert [line for line in text.splitlines() if len(line) > 80 and not any(each in line for each in pasted)] == []
    assert "\nweb: 3 wait\n" in text
    assert "\n  i-0123456789abcdef0  its job runs (Pending:Wait, waits for 65 s)\n" in text


def test_a_stack_without_alert_says_that_incidents_are_not_known() -> None:
    assert "not known: the stack has no alert function" in printed(WELL._replace(incidents=None, has_alert=False))
    assert "open incidents" not in printed(WELL._replace(incidents=None, has_alert=True))  # then it is missing


def test_as_json_times_are_numbers_and_what_is_computed_says_so() -> None:
    answer = json.loads(json.dumps(answer_of(ILL)))
    first = answer["instances"][0]
    assert first["step"] == "job_runs"
    assert first["next"] == {"at": NOW + 12, "what": "the next evaluation", "computed": True}
    assert first["ends"] == {"at": NOW + 3000, "with": "ABANDON", "computed": True}
    assert first["job"]["usual"] == [55.0, 61.0]
    assert answer["instances"][2]["ends"] is None
    assert answer["last_run"] == {"at": None, "looked_back": 900, "troubles": 0}
    assert answer_of(WELL._replace(queues=None, alarms=None, last_run=None))["queues"] is None
