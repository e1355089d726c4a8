"""The timeline as a page, and as a drawing of its own."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from rollcall_cli.timeline.drawing import ALONE, CHARACTER, MISSED, NARROW, SHORTEST, WIDE, Layout, file_of_its_own
from rollcall_cli.timeline.instances import TERMINATION_MISSED, Stage
from rollcall_cli.timeline.page import page
from rollcall_cli.timeline.strips import strips
from rollcall_cli.timeline.timeline import Mark, Timeline, title
from unit.cli.timeline.recorded import ABANDONED, CHECKED, JOB, NOW, SERVED, job, many, record, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

SVG = "{http://www.w3.org/2000/svg}"
MARKS = [
    Mark(999.5, 1, "scale out"),
    Mark(1030, 2, "scale in"),
    Mark(1031, 3, "too near"),
    Mark(1118, 4, "at the very end"),
]


def drawn(found: Timeline, layout: Layout = WIDE) -> ElementTree.Element:
    """One of the page's drawings, parsed: the page is well-formed."""
    parsed = ElementTree.fromstring(page(found).removeprefix("<!DOCTYPE html>\n"))  # noqa: S314 - our own
    (only,) = (each for each in parsed.iter(f"{SVG}svg") if layout.name in each.get("class", "").split())
    return only


def alone(found: Timeline) -> ElementTree.Element:
    """The file of its own, parsed."""
    return ElementTree.fromstring(file_of_its_own(found))  # noqa: S314 - our own


def rows(drawing: ElementTree.Element) -> list[ElementTree.Element]:
    return [each for each in drawing.iter(f"{SVG}g") if each.get("class") == "instance"]


def boxes(drawing: ElementTree.Element) -> Iterator[tuple[float, float, float, float, str]]:
    """Where each text of the drawing is at most: left, top, right, bottom, and the text."""
    for text in drawing.iter(f"{SVG}text"):
        x, y, size = (float(text.get(key, "nan")) for key in ("x", "y", "font-size"))
        words = text.text or ""
        width = len(words) * size * CHARACTER
        x -= {"middle": width / 2, "end": width}.get(text.get("text-anchor", ""), 0)
        yield x, y - 0.75 * size, x + width, y + 0.2 * size, words


def written(drawing: ElementTree.Element) -> list[str]:
    return [words for *_, words in boxes(drawing)]


@pytest.mark.parametrize("count", [1, 5, 16, 17, 80, 81, 500])
def test_every_instance_is_in_the_picture_once(count: int) -> None:
    found = many(count, min(count, 3))
    drawing = rows(drawn(found))
    assert [row.get("id") for row in drawing] == [each.instance_id for each in found.instances]
    for row, each in zip(drawing, found.instances, strict=True):
        words = row.find(f"{SVG}title")
        assert words is not None
        assert words.text == f"{each.instance_id} of {each.group} at 10.0.0.1: {each}"
        bars = row.findall(f"{SVG}rect")
        assert len(bars) == len(each.stretches)
        assert all(float(bar.get("x", 0)) + float(bar.get("width", 0)) <= WIDE.right + 1 for bar in bars)
    assert len(rows(drawn(found, NARROW))) == count


@pytest.mark.parametrize("layout", [WIDE, NARROW, ALONE], ids=lambda layout: layout.name)
@pytest.mark.parametrize("count", [1, 5, 16, 17, 80, 500])
@pytest.mark.parametrize("groups", [1, 3])
def test_no_text_is_over_another_or_outside(count: int, groups: int, layout: Layout) -> None:
    timeline = many(count, groups, MARKS)
    if layout is ALONE:
        file = alone(timeline)
        drawings = [file.findall(f"{SVG}text"), file.findall(f"{SVG}g")]
        found = list(boxes(drawings[1][-1]))
        assert all(right <= layout.width for _, _, right, _, _ in boxes(file))
    else:
        found = list(boxes(drawn(timeline, layout)))
    assert len(found) > 5
    for left, top, right, bottom, words in found:
        assert left >= 0, words
        assert right <= layout.width, words
        assert top < bottom
    for one_of, other in combinations(found, 2):
        apart = one_of[2] <= other[0] or other[2] <= one_of[0] or one_of[3] <= other[1] or other[3] <= one_of[1]
        assert apart, (one_of, other)


@pytest.mark.parametrize("layout", [WIDE, NARROW], ids=lambda layout: layout.name)
def test_at_five_everything_is_written(layout: Layout) -> None:
    texts = written(drawn(many(5), layout))
    for each in many(5).instances:
        assert each.instance_id in texts
        assert all(any(fact in words for words in texts) for fact in each.facts)
    all_of_it = " ".join(texts)
    assert all_of_it.count("✕") == all_of_it.count("✕ abandoned") == 1
    assert "job provision; no checks but the job's result" in all_of_it


def test_what_is_written_of_an_instance_launched_late_ends_with_the_drawing() -> None:
    both: dict[str, Any] = {"runs": (JOB,), "registered": None}
    found = list(boxes(drawn(shown([record(SERVED, **both), record([("Pending", 195)], "i-b", **both)]))))
    (late,) = (box for box in found if box[4] == "job 1 ok, 6.0 s · still waiting")
    assert late[2] == WIDE.right


def test_what_was_begun_before_the_first_launch_is_where_time_begins() -> None:
    marks = [Mark(900, 1, "early"), Mark(9999, 2, "late")]
    found = {words: left for left, *_, words in boxes(drawn(many(5, marks=marks)))}
    assert found["1 early"] == WIDE.left + 4
    assert "2 late" not in found


def test_a_bar_is_where_its_time_is_and_looks_like_its_stage() -> None:
    (row,) = rows(drawn(shown([record(SERVED, runs=(job("failed"),))])))
    bars = row.findall(f"{SVG}rect")
    assert [bar.get("class") for bar in bars] == ["r", "w", "hatched", "g", "s"]
    assert [bar.get("x") for bar in bars] == ["210.0", "229.5", "249.0", "307.4", "326.9"]
    assert [bar.get("width") for bar in bars] == ["19.5", "19.5", "58.4", "19.5", "857.1"]
    assert float(bars[4].get("height", 0)) < float(bars[0].get("height", 0))
    (checked,) = rows(drawn(shown([record(SERVED, runs=(JOB,))], {"web": CHECKED})))
    assert [bar.get("class") for bar in checked.findall(f"{SVG}rect")] == ["r", "w", "j", "c", "s"]


def test_what_took_no_time_is_seen_all_the_same() -> None:
    (row,) = rows(drawn(shown([record(SERVED, runs=(JOB,), registered=103.999)], now=5000)))
    assert min(float(bar.get("width", 0)) for bar in row.findall(f"{SVG}rect")) == SHORTEST


def test_a_long_leaving_that_reconcile_ended_says_so_in_its_bar_and_below() -> None:
    left = (*SERVED, ("Terminating", 130), ("Terminated", 190))
    found = shown([record(left, removed=180, reconciled=(170,))])
    assert MISSED in written(drawn(found))
    assert any(TERMINATION_MISSED in words for words in written(drawn(found, NARROW)))
    assert MISSED not in written(drawn(shown([record(left, removed=180)])))


def test_the_legend_has_the_stages_that_there_are_and_no_others() -> None:
    words = page(many(5))
    assert Stage.BAD_JOB.words in words
    assert Stage.GATE.words in words
    assert Stage.CHECKS.words not in words
    assert "<b>removed</b>" in words
    assert "<b>removed</b>" not in page(shown([record(SERVED)]))
    texts = written(alone(many(5)))
    assert Stage.BAD_JOB.label in texts
    assert Stage.CHECKS.label not in texts


@pytest.mark.parametrize("count", [5, 500])
def test_the_title_names_product_group_and_date(count: int) -> None:
    found = many(count)
    assert title(found) == "Rollcall · group web · 1970-01-01, 00:16 to 00:18 UTC"
    assert f"<h1>{title(found)}</h1>" in page(found)
    assert f"<title>{title(found)}</title>" in page(found)
    assert title(found) in written(alone(found))


def test_what_could_not_be_read_is_said() -> None:
    found = shown([record(SERVED)])
    assert 'class="bad">Tower is &lt;down&gt;</p>' in page(
        Timeline(found.began, found.ended, found.instances, gaps=("Tower is <down>",))
    )


def test_at_500_the_file_is_small_and_rows_that_stand_out_are_named() -> None:
    found = many(500, 4)
    words = page(found)
    assert len(words.encode()) < 700_000
    drawing = drawn(found)
    height = float(drawing.get("viewBox", "").split()[3])
    assert height < 2000
    assert "50 instances" not in words
    assert ">abandoned</td>" in words
    assert "and 47 more" in words
    flags = [each for each in drawing.iter(f"{SVG}text") if each.get("class") == "bad"]
    assert flags


def test_failed_rows_are_flagged_where_nothing_is_written() -> None:
    found = many(200)
    drawing = drawn(found)
    inside = {id(bar) for row in rows(drawing) for bar in row}
    flags = [each for each in drawing.iter(f"{SVG}rect") if each.get("class") == "bad" and id(each) not in inside]
    pitch = 7.0
    assert sum(float(flag.get("height", 0)) for flag in flags) == pitch * sum(each.failed for each in found.instances)


def test_the_drawing_says_what_one_sees_also_to_who_does_not_see_it() -> None:
    words = "5 instances of 1 group: 3 in service, 1 terminated, 1 abandoned"
    assert drawn(many(5)).get("aria-label") == words
    assert words in alone(many(5)).get("aria-label", "")


def test_no_two_elements_have_one_id() -> None:
    parsed = ElementTree.fromstring(page(many(5)).removeprefix("<!DOCTYPE html>\n"))  # noqa: S314 - our own
    ids = [each.get("id") for each in parsed.iter() if each.get("id")]
    assert len(ids) == len(set(ids)) > 5


def test_time_of_more_than_two_minutes_is_in_minutes() -> None:
    assert "1:30" in written(drawn(shown([record(SERVED), record([("Pending", 400)], "i-b")], now=401)))


def test_the_page_needs_nothing_from_elsewhere_and_is_for_light_dark_narrow_and_paper() -> None:
    words = page(many(5))
    assert "<script" not in words
    assert words.replace("http://www.w3.org/2000/svg", "").count("http") == 0
    assert "prefers-color-scheme: dark" in words
    assert "@media print, (max-width: 1060px)" in words


def test_names_are_escaped_and_cut_where_they_are_long() -> None:
    name = '<b onclick="x">&' + "w" * 300
    for count in (5, 100):
        drawing = drawn(many(count, name=name))
        assert [each.tag for each in drawing.iter() if each.get("onclick")] == []
        assert all(right <= WIDE.width for _, _, right, _, _ in boxes(drawing))
    assert "1 <a>" in written(drawn(many(5, marks=[Mark(1000, 1, "<a>")])))


def test_without_instances_there_is_a_page_that_says_so() -> None:
    words = page(shown([]))
    assert "No instance was launched or terminated" in words
    assert "<rect" not in words.partition("</defs>")[2]


def test_an_instance_launched_this_moment_is_drawn() -> None:
    found = shown([record([("Pending", NOW)], registered=None)])
    assert len(rows(drawn(found))) == 1
    assert strips(found, 80, blocks=True)
    assert len(rows(drawn(shown([record(ABANDONED, timed_out=True)], now=112.1)))) == 1
