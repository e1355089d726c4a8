"""What a terminal shows of a cycle while it runs, and that it is shown only there."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from rollcall.cycle.state import CycleResult, CycleVerdict, ListedInstance, Since, TargetDip
from rollcall_cli.cycling.executions import CycleExecution
from rollcall_cli.cycling.following import Lines, Picture, display
from rollcall_cli.cycling.picture import BAR_WIDTH, IN_PROGRESS, LEFT, NEW, bar, picture
from rollcall_cli.cycling.words import changes
from rollcall_cli.workflows.execution import Status
from unit.cli.cycling.step_functions import MACHINE, NOW, state
from unit.cli.workflows.printing import lines_of

RUNNING = CycleExecution(
    f"{MACHINE.replace('stateMachine', 'execution')}:web-1",
    Status.RUNNING,
    {"group": "web"},
    NOW - 100,
    None,
    NOW,
    state(),
    NOW - 10,
)


def printed(execution: CycleExecution, since: float = 0.0) -> list[str]:
    return lines_of(picture(execution, since))


def test_it_shows_the_group_as_a_bar_each_instance_on_a_line_and_the_estimate() -> None:
    heading, drawn, position, times, instance = printed(RUNNING)
    assert heading == "web; version 7 -> 8; web-1"
    assert len(drawn) == BAR_WIDTH
    assert position == "replacing: 4 new, 2 in progress, 4 left, 40 %"
    assert times == "100 s so far of about 12 min 00 s; about 10 min 20 s more"
    assert instance == "  i-a: its job runs, launched 75 s ago, version 8"


def test_its_seconds_pass_while_nothing_is_read() -> None:
    *_, times, instance = printed(RUNNING, since=30.0)
    assert times.startswith("2 min 10 s so far")
    assert ", launched 105 s ago," in instance


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        (ListedInstance("i-a", "warming up", 65.0, "8", Since.LAUNCH, 30), "warming up, 20 s left, launched 75 s ago"),
        (ListedInstance("i-a", "warming up", 65.0, "8", Since.LAUNCH, 3), "warming up, 0.0 s left, launched 75 s ago"),
        (ListedInstance("i-a", "warming up", 65.0, "8", Since.LAUNCH), "warming up, launched 75 s ago"),
        (
            ListedInstance("i-a", "terminating", 10.0, "8", Since.TERMINATION),
            "terminating, its termination began 20 s ago",
        ),
        (ListedInstance("i-a", "in service", 0.0, "8"), "in service"),
    ],
)
def test_what_an_instances_seconds_count_is_said(listed: ListedInstance, words: str) -> None:
    *_, instance = printed(replace(RUNNING, state=state(instances=(listed,))))
    assert instance == f"  i-a: {words}, version 8"


def test_it_shows_verdicts_dips_and_a_step_that_fails() -> None:
    verdict = CycleVerdict("i-b", "abandon", "install nginx", 7, 42, "https://tower/42", "it failed")
    known = state(verdicts=(verdict,), dips=(TargetDip(NOW, "tg", 1, 2),))
    shown = printed(replace(RUNNING, state=known, failing="Tower is away"))
    assert shown[-3:] == [
        "  i-b: ABANDON: task 'install nginx'; it failed; job 42 https://tower/42",
        "  target group tg had 1 healthy targets of 2 at 22:15:00 UTC",
        "a step of the cycle failed, and is tried again: Tower is away",
    ]


def test_a_held_instance_comes_with_the_commands_that_show_it_and_end_the_cycle() -> None:
    verdict = CycleVerdict("i-b", "hold", "install nginx", 7, None, None, "it failed")
    held = replace(RUNNING, state=state(verdicts=(verdict,)))
    given = ("--stack", "other")
    line = (
        "i-b: HOLD: task 'install nginx'; it failed; rollcall status --stack other web shows it; "
        "rollcall cycle --cancel --stack other web ends the cycle"
    )
    assert f"  {line}" in lines_of(picture(held, 0.0, given))
    assert any(each.endswith(line) for each in changes(None, held, {}, given))
    over = replace(held, state=state(verdicts=(verdict,), result=CycleResult.CANCELLED))
    assert any(each.endswith("other web shows it") for each in changes(None, over, {}, given))


def test_what_could_not_be_read_is_shown_until_it_was_and_in_lines_once() -> None:
    unread = replace(RUNNING, state=state(unread="the gate's verdicts: Tower is away"))
    words = "not read, and read again: the gate's verdicts: Tower is away"
    assert f"  {words}" in printed(unread)
    assert [each.endswith(words) for each in changes(None, unread, {})].count(True) == 1
    assert not any(words in each for each in changes(unread, unread, {}))


def test_that_aws_launches_nothing_is_shown_in_its_words_and_in_lines_once() -> None:
    quota = replace(RUNNING, state=state(launch_failure="more vCPU capacity than your limit"))
    words = "AWS could not launch an instance: more vCPU capacity than your limit"
    assert f"  {words}" in printed(quota)
    assert [each.endswith(words) for each in changes(None, quota, {})].count(True) == 1
    assert not any(words in each for each in changes(quota, quota, {}))


def test_before_the_first_answer_it_shows_pre_flight() -> None:
    assert printed(replace(RUNNING, state=None)) == ["web; web-1", "pre-flight, 100 s so far"]


def test_what_takes_longer_than_estimated_says_so() -> None:
    assert "18 min 20 s so far; about 12 min 00 s were estimated" in "\n".join(printed(RUNNING, since=1000.0))


@pytest.mark.parametrize(
    ("numbers", "widths"),
    [
        ((4, 2, 4), (16, 8, 16)),
        ((0, 0, 10), (0, 0, 40)),
        ((1, 1, 998), (1, 1, 38)),
        ((10, 0, 0), (40, 0, 0)),
        ((1, 1, 1), (14, 13, 13)),
    ],
)
def test_the_bar_is_always_as_wide_and_shows_each_part_that_there_is(
    numbers: tuple[int, int, int], widths: tuple[int, int, int]
) -> None:
    drawn = bar(*numbers)
    by_style = {str(span.style): span.end - span.start for span in drawn.spans}
    assert tuple(by_style.get(style, 0) for style in (NEW, IN_PROGRESS, LEFT)) == widths


def test_the_picture_takes_its_own_place_and_leaves_lines_that_were_said() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, highlight=False, markup=False)
    with Picture(console, lambda: 0.0) as shown:
        shown.show(RUNNING)
        shown.show(replace(RUNNING, state=state(warnings=("mind this",))))
        shown.show(replace(RUNNING, state=state(warnings=("mind this", "and this"))))
        shown.say("AWS asks to slow down")
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "replacing: 4 new" in text
    assert "AWS asks to slow down\n" in text
    assert (text.count("warning: mind this\n"), text.count("warning: and this\n")) == (1, 1)


@pytest.mark.parametrize(("out", "err", "kind"), [(True, True, Picture), (True, False, Lines), (False, True, Lines)])
def test_there_is_a_picture_only_where_both_streams_are_a_terminal(
    monkeypatch: pytest.MonkeyPatch, out: bool, err: bool, kind: type
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: out)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: err)
    assert isinstance(display(), kind)


def test_an_estimate_of_moments_says_nothing_and_is_not_shown() -> None:
    *_, times, _ = printed(replace(RUNNING, state=state(plan={"estimate_seconds": 0.8})))
    assert times == "100 s so far"
