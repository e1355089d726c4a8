"""What a terminal shows of a bake while it runs, with the cycle that rolls its image out."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from rollcall.bake.state import BakeResult, Phase
from rollcall_cli.baking.executions import BakeExecution
from rollcall_cli.baking.following import Lines, Picture, display
from rollcall_cli.baking.picture import AHEAD, BAD, DONE, STAGES, picture, stages
from rollcall_cli.baking.picture import NOW as UNDER_WAY
from rollcall_cli.cycling.executions import CycleExecution
from rollcall_cli.workflows.execution import Status
from unit.bake_news import BASE, BUILDER, EXECUTION, IMAGE, MADE, NAME, SMOKE, STATE
from unit.cli.cycling.step_functions import MACHINE, NOW
from unit.cli.cycling.step_functions import state as cycle_state
from unit.cli.workflows.printing import lines_of

RUNNING = BakeExecution(
    EXECUTION,
    Status.RUNNING,
    {"group": "web"},
    NOW - 100,
    None,
    NOW,
    replace(STATE, phase_since=NOW - 40),
    NOW - 10,
)
CYCLE = CycleExecution(
    f"{MACHINE.replace('stateMachine', 'execution')}:web-1",
    Status.RUNNING,
    {"group": "web"},
    NOW - 30,
    None,
    NOW,
    cycle_state(),
    NOW - 10,
)


def printed(execution: BakeExecution, since: float = 0.0) -> list[str]:
    return lines_of(picture(execution, since))


def with_state(**changes: object) -> BakeExecution:
    assert RUNNING.state is not None
    return replace(RUNNING, state=replace(RUNNING.state, **changes))  # type: ignore[arg-type]


def test_it_shows_the_stages_in_a_row_the_builder_and_the_job_with_its_link() -> None:
    heading, row, times, *known = printed(RUNNING, since=2.0)
    assert heading == f"web; {NAME}"
    assert row == "pre-flight > builder > playbook > image > smoke > version > roll-out > clean-up"
    assert times == "provisioning, for 42 s; 102 s so far"
    assert known == [
        f"  from image {BASE}",
        "    al2023-ami-2026.11, arm64",
        "  for launch template web version 6",
        "  on t4g.small in subnet-1",
        f"  builder {BUILDER} at 10.0.0.9",
        "  job 121 https://tower.example.com/#/jobs/playbook/121/output",
    ]


def test_once_there_is_an_image_that_is_shown_and_no_builder_any_more() -> None:
    shown = printed(with_state(phase=Phase.SMOKE, image_id=IMAGE, smoke_instance=SMOKE))
    assert shown[-2:] == [f"  image {IMAGE}", f"  smoke test on {SMOKE}"]
    assert not any(BUILDER in line for line in shown)
    made = printed(with_state(phase=Phase.ROLLING_OUT, **MADE))
    assert made[-2:] == [f"  image {IMAGE}, smoke test passed", "  version 7 of launch template web"]


def test_before_the_first_answer_it_shows_pre_flight() -> None:
    assert printed(replace(RUNNING, state=None, failing="Tower is away"))[2:] == [
        "pre-flight, for 100 s; 100 s so far",
        "a step of the bake failed, and is tried again: Tower is away",
    ]


@pytest.mark.parametrize(
    ("phase", "reached"),
    [
        (Phase.PREFLIGHT, "pre-flight"),
        (Phase.REGISTERING, "builder"),
        (Phase.TERMINATING, "image"),
        (Phase.RECORDING, "roll-out"),
        (Phase.RETIRING, "clean-up"),
    ],
)
def test_the_stage_that_is_under_way_stands_between_those_done_and_those_ahead(phase: Phase, reached: str) -> None:
    drawn = stages(phase)
    styles = {drawn.plain[span.start : span.end]: str(span.style) for span in drawn.spans}
    words = [word for _, word in STAGES]
    at = words.index(reached)
    assert [styles[word] for word in words] == [DONE] * at + [UNDER_WAY] + [AHEAD] * (len(words) - at - 1)


@pytest.mark.parametrize(
    ("ended", "styles"),
    [
        ({"result": BakeResult.SUCCEEDED, **MADE}, [DONE] * 8),
        ({"result": BakeResult.FAILED}, [DONE, DONE, BAD, *[AHEAD] * 5]),
        ({"result": BakeResult.ROLLED_BACK, **MADE, "cycle": "web-1"}, [*[DONE] * 6, BAD, AHEAD]),
        ({"result": BakeResult.REFUSED, "builder": "", "job": None}, [BAD, *[AHEAD] * 7]),
        ({"result": BakeResult.DRY_RUN, "builder": "", "job": None}, [DONE, *[AHEAD] * 7]),
    ],
    ids=lambda each: str(each["result"]) if isinstance(each, dict) else "",
)
def test_at_the_end_the_stages_show_what_was_done_and_where_it_failed(ended: dict[str, Any], styles: list[str]) -> None:
    drawn = stages(Phase.ENDED, replace(STATE, phase=Phase.ENDED, **ended))
    by_word = {drawn.plain[span.start : span.end]: str(span.style) for span in drawn.spans}
    assert [by_word[word] for _, word in STAGES] == styles


def test_no_line_of_it_is_wider_than_a_small_terminal() -> None:
    base = STATE.base_image._replace(name="rollcall-web-20261201T171930-e0831e1457a0")
    shown = printed(with_state(phase=Phase.ROLLING_OUT, base_image=base, **MADE))
    assert max(len(line) for line in shown if line != shown[0]) < 80


def test_the_cycle_is_shown_beneath_as_its_own_command_shows_it() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, highlight=False, markup=False)
    with Picture(console, lambda: 0.0) as shown:
        for _ in range(2):
            shown.show(replace(with_state(phase=Phase.ROLLING_OUT, **MADE, warnings=("mind this",)), cycle=CYCLE))
        shown.say("AWS asks to slow down")
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.index("roll-out") < text.index("replacing: 4 new")
    assert "AWS asks to slow down\n" in text
    assert text.count("warning: mind this\n") == 1, "it stays, and is said once"


@pytest.mark.parametrize(("out", "err", "kind"), [(True, True, Picture), (True, False, Lines), (False, True, Lines)])
def test_there_is_a_picture_only_where_both_streams_are_a_terminal(
    monkeypatch: pytest.MonkeyPatch, out: bool, err: bool, kind: type
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: out)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: err)
    assert isinstance(display(), kind)


def test_what_the_pre_flight_of_the_bake_warned_of_its_cycle_warns_of_no_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    known, new = "whatever deploys this group may set its version back", "an instance is protected"
    cycle = replace(CYCLE, state=replace(cycle_state(), warnings=(known, new)))
    lines = Lines()
    lines.show(replace(with_state(warnings=(f"roll-out: {known}",)), cycle=cycle))
    said = capsys.readouterr().err
    assert (said.count(known), said.count(f"warning: {new}")) == (1, 1)
