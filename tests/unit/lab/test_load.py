"""The demo's group under load: what is recorded of it, its picture, and how a cycle of it is followed."""

from __future__ import annotations

import io
import json
import re
from copy import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from xml.etree import ElementTree

import pytest
from rich.console import Console

from lab.aws.control import Transition
from lab.demo.load import Load, LoadCycle
from lab.demo.load_picture import LEFT, RIGHT, LoadPicture, file_of_its_own, section
from lab.demo.load_record import (
    Count,
    LoadRecord,
    Moment,
    count_at,
    fewest_between,
    load_record,
    most_between,
    read,
    written,
)
from lab.demo.load_strips import load_strips
from lab.demo.stage import Stage
from lab.demo.view import PLAIN_WIDTH, Lines, LiveTable
from lab.traffic.client import Request
from lab.traffic.health import HealthSample

if TYPE_CHECKING:
    from lab.cloud import Group
    from lab.cycles import Cycle
    from lab.demo.sights import Sight
    from lab.traffic.traffic import Traffic

BEGAN = 1000.0
SVG = "{http://www.w3.org/2000/svg}"


def moved(name: str, *states: tuple[float, str], group: str = "shop") -> list[Transition]:
    return [Transition(BEGAN + at, group, name, "10.0.0.1", state) for at, state in states]


def asked(*times: float, failure: str = "") -> list[Request]:
    return [Request(BEGAN + at, 0.01, failure, "i-a") for at in times]


def sample(at: float, healthy: int) -> HealthSample:
    names = frozenset(f"i-{number}" for number in range(healthy))
    return HealthSample(BEGAN + at, names, names)


def recorded(**changes: Any) -> LoadRecord:
    """Of a group of one, cycled from version 1 to version 2; version 3 fails."""
    transitions = [
        *moved("i-old", (-50, "Pending"), (-40, "InService"), (21, "Terminating"), (24, "Terminated")),
        *moved("i-new", (5, "Pending"), (6, "Pending:Wait"), (20, "InService")),
        *moved("i-bad", (30, "Pending:Wait"), (38, "Terminating:Wait"), (39, "Terminated")),
        *moved("i-other", (3, "InService"), group="web"),
    ]
    facts: dict[str, Any] = {
        "requests": [*asked(*range(60)), *asked(10.5, 10.7, failure="502")],
        "samples": [sample(-40, 1), sample(15, 2), sample(21, 1)],
        "transitions": sorted(transitions, key=lambda each: each.time),
        "versions": {"i-old": "1", "i-new": "2", "i-bad": "3", "i-other": "2"},
        "moments": [(BEGAN + 4, "cycle to version 2"), (BEGAN + 26, "succeeded")],
        "endings": ["To version 2: succeeded"],
    }
    return load_record("shop", 1, (BEGAN, BEGAN + 45), **(facts | changes))


RECORD = recorded()


# The record


def test_requests_are_counted_by_the_second_in_which_they_were_asked() -> None:
    assert len(RECORD.answered) == len(RECORD.lost) == 45
    assert set(RECORD.answered) == {1}
    assert [second for second, count in enumerate(RECORD.lost) if count] == [10]
    assert (RECORD.asked, RECORD.lost[10]) == (47, 2)


def test_no_request_within_the_time_is_left_out_where_it_ends_within_a_second() -> None:
    found = load_record("shop", 1, (BEGAN, BEGAN + 2.5), asked(0, 1, 2.4, 2.5), [], [], {})
    assert found.answered == (1, 1, 1)


def test_instances_are_counted_by_version_while_they_serve_and_while_they_are_on_their_way() -> None:
    assert RECORD.serving["1"] == (Count(0, 1), Count(21, 0))
    assert RECORD.serving["2"] == (Count(0, 0), Count(20, 1))
    assert RECORD.coming["2"] == (Count(0, 0), Count(5, 1), Count(20, 0))
    assert RECORD.coming["3"] == (Count(0, 0), Count(30, 1), Count(38, 0))
    assert not any(each.number for each in RECORD.serving["3"])


def test_what_was_before_the_record_holds_when_it_begins() -> None:
    assert RECORD.healthy == (Count(0, 1), Count(15, 2), Count(21, 1))
    assert RECORD.fewest_healthy == 1


def test_an_instance_whose_version_nobody_saw_is_not_counted() -> None:
    assert recorded(versions={"i-old": "1"}).versions == ["1"]


def test_versions_are_in_the_order_of_their_numbers() -> None:
    assert recorded(versions={"i-old": "9", "i-new": "10", "i-bad": "11"}).versions == ["9", "10", "11"]


def test_the_counts_of_a_time_are_those_at_its_begin_and_those_within_it() -> None:
    counts = (Count(0, 3), Count(10, 1), Count(12, 5))
    assert [count_at(counts, at) for at in (0, 9.9, 10, 99)] == [3, 3, 1, 5]
    assert (fewest_between(counts, 5, 11), most_between(counts, 5, 11)) == (1, 3)
    assert (fewest_between(counts, 11, 20), most_between(counts, 10, 12)) == (1, 1)


def test_what_is_written_is_read_again() -> None:
    assert read(json.loads(json.dumps(written(RECORD)))) == RECORD


def test_the_headline_names_what_was_lost_and_the_fewest_healthy() -> None:
    assert RECORD.headline == "47 requests, 2 lost; never fewer than 1 healthy targets, and 1 are wanted"
    assert recorded(requests=asked(1)).headline.startswith("1 requests, none lost; ")


# The drawing


def parsed(record: LoadRecord) -> ElementTree.Element:
    return ElementTree.fromstring(file_of_its_own(record))  # noqa: S314 - our own


def colours(root: ElementTree.Element, kind: str) -> list[str]:
    """The colour of each of its elements of a kind, where it has one of its own."""
    styles = (each.get("style", "") for each in root.iter(f"{SVG}{kind}"))
    return [found[1] for style in styles if (found := re.search(r"fill: var\((--\w+)\)", style))]


def test_the_file_says_in_words_what_it_shows() -> None:
    root = parsed(RECORD)
    words = [each.text for each in root.iter(f"{SVG}text")]
    assert {RECORD.headline, "To version 2: succeeded", "cycle to version 2", "45 answered", "2 lost"} <= set(words)
    assert RECORD.headline in root.get("aria-label", "")


def test_lost_requests_are_red_and_where_none_is_lost_no_bar_is() -> None:
    without = recorded(requests=asked(*range(45)))
    assert colours(parsed(RECORD), "rect").count("--b") == colours(parsed(without), "rect").count("--b") + 1
    lost = next(each for each in parsed(without).iter(f"{SVG}text") if each.text == "0 lost")
    assert lost.get("class") == "soft"


def test_a_version_that_never_served_is_red_and_said_not_to_have_served() -> None:
    words = [each.text for each in parsed(RECORD).iter(f"{SVG}text")]
    assert [each for each in words if each and each.startswith("version")] == [
        *("version 1", "version 2", "version 2, on its way"),
        "version 3, never served",
    ]
    assert "--b" in colours(parsed(RECORD), "path")
    assert "--b" not in colours(parsed(recorded(versions={"i-old": "1", "i-new": "2"})), "path")


def test_everything_is_within_the_drawing() -> None:
    record = replace(RECORD, moments=(*RECORD.moments, Moment(44.9, "something with a long name that comes last")))
    picture = LoadPicture(record)
    root = ElementTree.fromstring(  # noqa: S314 - our own
        f'<svg xmlns="http://www.w3.org/2000/svg">{"".join(picture.elements())}</svg>'
    )
    for each in root.iter(f"{SVG}rect"):
        assert float(each.get("y", "0")) >= 0
        assert float(each.get("x", "0")) + float(each.get("width", "0")) <= RIGHT + 0.1
    for path in root.iter(f"{SVG}path"):
        numbers = re.findall(r"H([\d.]+)", path.get("d", ""))
        assert all(LEFT - 0.1 <= float(x) <= RIGHT + 0.1 for x in numbers)
    assert all(float(each.get("y", "0")) <= picture.height for each in root.iter(f"{SVG}text"))


def test_a_part_of_a_page_is_well_formed_whatever_the_reason_is() -> None:
    shown = section(replace(RECORD, endings=("To version 3: <rolled back> & more",)))
    root = ElementTree.fromstring(f"<div>{shown}</div>")  # noqa: S314 - our own
    assert "To version 3: <rolled back> & more" in [each.text for each in root.iter("p")]


# In the terminal


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("blocks", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, blocks: bool) -> None:
    record = replace(RECORD, endings=("To version 3: rolled back: " + "task 'provision' failed on i-1 " * 9,))
    lines = load_strips(record, width, blocks=blocks)
    assert max(len(line) for line in lines) <= max(width, 60)
    assert " ".join(" ".join(line.plain.split()) for line in lines).count("task 'provision'") == 9
    assert blocks or all(line.plain.isascii() for line in lines)


def strip_of(name: str, record: LoadRecord = RECORD) -> str:
    (line,) = [line.plain for line in load_strips(record, 81, blocks=False) if line.plain.startswith(f"{name} ")]
    return line[21:66]  # 45 columns, a second each


def test_a_column_shows_how_many_there_are_and_a_lost_request_is_never_left_out() -> None:
    assert strip_of("version 1 serves") == "1" * 21 + "." * 24
    assert strip_of("version 2 serves") == "." * 20 + "1" * 25
    assert strip_of("version 3 failed") == "." * 30 + "1" * 8 + "." * 7
    assert strip_of("lost") == "-" * 10 + "!" + "-" * 34
    narrow = load_strips(RECORD, 60, blocks=False)
    assert sum("!" in line.plain for line in narrow) == 1


def test_a_dip_that_is_shorter_than_a_column_is_seen() -> None:
    dipped = recorded(samples=[sample(-1, 3), sample(12.4, 0), sample(12.5, 3)])
    assert strip_of("healthy targets", dipped) == "3" * 12 + "." + "3" * 32


def test_both_views_draw_it(capsys: pytest.CaptureFixture[str]) -> None:
    Lines().draw_load(RECORD)
    said = capsys.readouterr().out
    assert said.isascii()
    assert max(map(len, said.splitlines())) <= PLAIN_WIDTH
    file = io.StringIO()
    LiveTable(Console(file=file, width=80, force_terminal=True, color_system=None)).draw_load(RECORD)
    assert max(map(len, file.getvalue().splitlines())) <= 80
    assert "version 3 failed" in file.getvalue()


# A cycle that is followed


class FakeCycle:
    """One that is in these states, one after the other, as often as it is asked for its status."""

    def __init__(self, *states: dict[str, Any]) -> None:
        self._states = list(states)
        self.state: dict[str, Any] = {}

    @property
    def status(self) -> str:
        self.state = self._states.pop(0)
        return "RUNNING" if self._states else "FAILED"


def loaded(failed: int = 0) -> Load:
    instance = {"InstanceId": "i-new", "LaunchTemplate": {"Version": "2"}}
    group = SimpleNamespace(
        name="shop",
        described=lambda: {"Instances": [instance]},
        transitions=lambda: moved("i-new", (0, "InService")),
    )
    requests = [*asked(1, 2), *asked(*range(failed), failure="502")]
    summary = SimpleNamespace(asked=len(requests), failed=requests[2:])
    traffic = SimpleNamespace(summary=lambda: summary, requests=lambda: requests, samples=list)
    return Load(cast("Group", group), 1, cast("Traffic", traffic))


def step(phase: str, new: int = 0, **more: Any) -> dict[str, Any]:
    return {"refresh_id": "r", "phase": phase, "new": new, "in_progress": 1, "left": 1, **more}


def test_what_becomes_of_a_cycle_is_noted_once_and_so_is_its_end() -> None:
    verdict = {"job": 9, "job_url": "https://tower/9"}
    ended = step("ended", verdicts=[verdict], result="rolled back", reason="task 'provision' failed (job 9)")
    load = loaded()
    states = [{}, step("replacing"), step("replacing"), step("rolling back", verdicts=[verdict]), ended]
    cycle = LoadCycle(load, "3", cast("Cycle", FakeCycle(*states)))
    seen = [(cycle.over(), cycle.news()) for _ in states]
    assert [over for over, _ in seen] == [False] * 4 + [True]
    assert [words.partition(";")[0] for _, words in seen] == [
        "",
        "replacing: 0 new, 1 in progress, 1 left",
        "",
        "rolling back: 0 new, 1 in progress, 1 left",
        "ended: rolled back",
    ]
    record = load.record()
    assert [each.words for each in record.moments] == ["job 9 failed", "rolled back"]
    assert record.endings == ("To version 3: rolled back: task 'provision' failed (job 9)",)
    assert record.versions == ["2"]


def test_lost_requests_are_told_while_it_goes_on() -> None:
    cycle = LoadCycle(loaded(failed=3), "2", cast("Cycle", FakeCycle(step("replacing"), step("ended"))))
    cycle.over()
    assert cycle.news().endswith("; 5 requests, 3 lost")
    assert loaded(failed=1).lost == ("502 (i-a)",)


def test_the_stage_shows_the_group_under_load_alone_and_not_what_was_gone_before() -> None:
    sights = [SimpleNamespace(group=group, instance_id=name) for group, name in (("web", "i-a"), ("shop", "i-b"))]
    stage = Stage.__new__(Stage)
    stage.shop = cast("Group", SimpleNamespace(name="shop"))
    stage._load, stage._gone_before = None, set()
    shown = cast("list[Sight]", sights)
    assert [each.instance_id for each in stage._on_stage(shown)] == ["i-a"]
    stage._load = loaded()
    assert [each.instance_id for each in stage._on_stage(shown)] == ["i-b"]
    stage._gone_before = {"i-b"}
    assert stage._on_stage(shown) == []
