"""The timeline in a terminal."""

from __future__ import annotations

import pytest

from rollcall_cli.timeline.instances import TERMINATION_MISSED
from rollcall_cli.timeline.strips import FEW, LEVELS, NARROWEST, TENTHS, strips
from rollcall_cli.timeline.timeline import Mark, standing_out, title
from rollcall_cli.times import shortly
from unit.cli.timeline.recorded import ABANDONED, JOB, NOW, SERVED, job, many, record, shown


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize(("count", "groups"), [(5, 2), (20, 20), (21, 1), (500, 1), (500, 4), (1000, 150)])
@pytest.mark.parametrize("blocks", [True, False])
def test_the_lines_are_few_and_fit(width: int, count: int, groups: int, blocks: bool) -> None:
    lines = strips(many(count, groups), width, blocks=blocks)
    assert len(lines) <= 66
    assert max(line.cell_len for line in lines) <= width
    assert all(blocks or line.plain.isascii() for line in lines)


def test_the_first_lines_say_whose_it_is_and_what_one_sees() -> None:
    lines = [line.plain for line in strips(many(5), 80, blocks=True)]
    assert lines[:2] == [title(many(5)), "5 instances of 1 group: 3 in service, 1 terminated, 1 abandoned"]
    assert strips(many(5), 80, blocks=False)[0].plain == title(many(5)).replace("·", "-")


@pytest.mark.parametrize("width", [80, 120])
def test_each_of_a_few_instances_has_a_line_with_its_time_and_outcome(width: int) -> None:
    found = many(FEW, 3)
    lines = [line.plain for line in strips(found, width, blocks=True)]
    for each in found.instances:
        (line,) = (line for line in lines if line.startswith(each.instance_id))
        assert each.outcome.value in line
        assert each.to_service is None or shortly(each.to_service) in line
        assert ("x abandoned" in line) == each.failed


def test_an_instance_that_reconcile_found_has_a_line_that_says_so() -> None:
    left = (*SERVED, ("Terminating", 130), ("Terminated", 190))
    found = shown([record(left, removed=180, reconciled=(170,))])
    assert strips(found, 80, blocks=True)[-1].plain.strip() == TERMINATION_MISSED


def test_a_stage_shorter_than_a_column_is_seen() -> None:
    states = (*SERVED[:2], ("Pending:Proceed", 1000), ("InService", 1000))
    found = shown([record(states, runs=(job(started=110, ended=998),))], now=1100)
    (line,) = (line.plain for line in strips(found, 80, blocks=False) if line.plain.startswith("i-a"))
    strip = line.removeprefix("i-a").split()[0]
    assert strip.startswith("rJ")
    assert "Jg=" in strip


def test_a_short_stage_does_not_take_the_only_column_of_another() -> None:
    states = (("Pending", 100), ("Pending:Wait", 100.1), ("Pending:Proceed", 105), ("InService", 105))
    found = shown([record(states, runs=(job(started=103, ended=104),))], now=1100)
    assert strips(found, 80, blocks=False)[-1].plain.startswith(f"{'i-a':19} r====")


def test_a_wait_too_short_to_see_takes_no_column_from_others() -> None:
    found = shown([record(SERVED, runs=(JOB,), registered=103.9)], now=120)
    (line,) = (line.plain for line in strips(found, 80, blocks=False) if line.plain.startswith("i-a"))
    assert "rJ" in line


def test_what_was_begun_is_named_and_numbered_where_it_began() -> None:
    marks = [Mark(999, 1, "first"), Mark(1060, 2, "second"), Mark(1060.1, 3, "third"), Mark(1119, 4, "last")]
    lines = [line.plain for line in strips(many(5, marks=marks), 80, blocks=True)]
    assert lines[4] == "1: first, 2: second, 3: third, 4: last"
    assert lines[5] == f"{'':20}1{'':17}2{'':17}4"
    assert lines[6].startswith("Instance")
    assert [line.plain for line in strips(many(5), 80, blocks=True)][4].startswith("Instance")


def test_what_was_begun_is_named_in_as_many_lines_as_it_takes() -> None:
    marks = [Mark(1000.0 + 20 * number, number, f"bake of web ({number}, as the words go)") for number in range(1, 5)]
    lines = [line.plain for line in strips(many(5, marks=marks), 80, blocks=True)]
    assert lines[4:6] == [
        "1: bake of web (1, as the words go), 2: bake of web (2, as the words go),",
        "3: bake of web (3, as the words go), 4: bake of web (4, as the words go)",
    ]


def test_a_strip_shows_the_stages_in_their_places() -> None:
    found = shown([record(SERVED, runs=(job("failed"),))], now=100 + 37)
    assert strips(found, 80, blocks=False)[-1].plain.startswith(f"{'i-a':19} rr..XXXXXXgg==========")


def test_groups_are_shown_as_shares_of_their_instances() -> None:
    records = [record([("Pending", 100)], "i-none", registered=None)]
    for number in range(40):
        states = [("Pending", 100), ("Pending:Wait", 100), ("InService", 120 if number < 20 else 180)]
        records.append(record(states, f"i-{number}", "half", registered=None))
    found = shown(records, {})
    lines = [line.plain for line in strips(found, 100, blocks=False)]
    half = lines.index("half  40 in service")
    assert lines[half + 1].startswith("registering")
    own = lines[half + 1][20:72].rstrip().split("    ")[0]
    assert own.startswith("##########")
    assert set(own.rstrip(" s0123456789")) <= set(TENTHS)
    assert "5555555" in own
    blocks = [line.plain for line in strips(found, 100, blocks=True)]
    strip = blocks[half + 1][20:]
    assert strip.startswith("█████████")
    assert set(strip[:50]) <= set(LEVELS)


def test_small_groups_are_shown_together() -> None:
    lines = [line.plain for line in strips(many(500, 10), 100, blocks=True)]
    assert sum(line.startswith("web-") for line in lines) == 4
    assert any(line.startswith("6 other groups  ") for line in lines)


def test_the_first_to_look_at_have_lines_of_their_own() -> None:
    lines = [line.plain for line in strips(many(500), 100, blocks=True)]
    assert "Look at these first" in lines
    assert "abandoned: 3 of 50" in lines
    assert sum(line.startswith("i-") for line in lines) <= 9


def test_no_more_than_nine_have_lines_of_their_own_whatever_they_stand_out_for() -> None:
    slow = (*SERVED[:2], ("Pending:Proceed", 180), ("InService", 180))
    kinds = {"bad": ABANDONED, "waits": SERVED[:2], "slow": slow, "fine": SERVED}
    records = [record(states, f"i-{kind}{n}") for kind, states in kinds.items() for n in range(6)]
    records += [record(ABANDONED, f"i-late{n}", timed_out=True) for n in range(6)]
    again = (job("unreachable"), job(number=2, started=110.5, ended=111))
    records += [record(SERVED, f"i-again{n}", runs=again) for n in range(6)]
    found = shown(records, {})
    assert len(standing_out(found.instances)) == 5
    assert sum(line.plain.startswith("i-") for line in strips(found, 100, blocks=True)) == 9


def test_a_groups_name_that_is_not_ascii_stays_out_of_plain_lines() -> None:
    for count in (5, 50):
        assert all(line.plain.isascii() for line in strips(many(count, name="wéb"), 80, blocks=False))


def test_a_terminal_narrower_than_anything_is_as_wide_as_the_narrowest() -> None:
    assert max(line.cell_len for line in strips(many(5), 10, blocks=True)) <= NARROWEST


def test_without_instances_there_is_a_line_that_says_so() -> None:
    lines = [line.plain for line in strips(shown([]), 80, blocks=True)]
    assert lines == [title(shown([])), "No instance was launched or terminated"]
    assert shown([]).began == NOW
