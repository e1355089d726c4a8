"""When a schedule was last due, and whether it still is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rollcall.bake.tag import BakeTag
from rollcall.cycle.tag import CycleTag
from rollcall.workflow.schedule import LATE_MAX, NEXT_LATE, Schedule, in_words, next_by_schedule, parse_schedule


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("schedule", "now", "last"),
    [
        # 2026-12-06 is a Sunday
        (Schedule(6, 3, 0), "2026-12-06T03:00:00", "2026-12-06T03:00:00+00:00"),
        (Schedule(6, 3, 0), "2026-12-06T02:59:59", "2026-11-29T03:00:00+00:00"),
        (Schedule(6, 3, 0), "2026-12-05T23:00:00", "2026-11-29T03:00:00+00:00"),
        (Schedule(6, 3, 0, "Europe/Berlin"), "2026-12-06T02:00:00", "2026-12-06T03:00:00+01:00"),
        (Schedule(None, 3, 0), "2026-12-06T02:00:00", "2026-12-05T03:00:00+00:00"),
        (Schedule(None, 23, 30, "Pacific/Auckland"), "2026-12-06T11:00:00", "2026-12-06T23:30:00+13:00"),
        # summer time in Berlin begins on 2026-03-29 and ends on 2026-10-25
        (Schedule(None, 2, 30, "Europe/Berlin"), "2026-03-29T12:00:00", "2026-03-29T02:30:00+01:00"),
        (Schedule(None, 2, 30, "Europe/Berlin"), "2026-10-25T00:30:00", "2026-10-25T02:30:00+02:00"),
        (Schedule(None, 2, 30, "Europe/Berlin"), "2026-10-25T12:00:00", "2026-10-25T02:30:00+02:00"),
    ],
)
def test_a_schedule_is_due_once_on_each_of_its_days(schedule: Schedule, now: str, last: str) -> None:
    assert schedule.last_before(at(now)).isoformat() == last


@pytest.mark.parametrize(
    ("schedule", "now", "after", "words"),
    [
        (Schedule(6, 3, 0), "2026-12-06T02:59:59", "2026-12-06T03:00:00+00:00", "Sun 2026-12-06 03:00 UTC"),
        (Schedule(6, 3, 0), "2026-12-06T03:00:00", "2026-12-13T03:00:00+00:00", "Sun 2026-12-13 03:00 UTC"),
        (
            Schedule(0, 0, 30, "Europe/Berlin"),
            "2026-12-06T02:00:00",
            "2026-12-07T00:30:00+01:00",
            "Sun 2026-12-06 23:30 UTC (00:30 Europe/Berlin)",
        ),
    ],
)
def test_the_next_moment_of_a_schedule_in_words(schedule: Schedule, now: str, after: str, words: str) -> None:
    moment = schedule.next_after(at(now))
    assert (moment.isoformat(), in_words(moment)) == (after, words)


def test_between_two_moments_of_a_schedule_the_earlier_one_is_the_last_in_every_hour_of_a_year() -> None:
    schedule = Schedule(6, 2, 30, "Europe/Berlin")
    moments = {schedule.last_before(at("2026-01-01") + hours * 3600).date() for hours in range(365 * 24)}
    assert len(moments) == 53
    assert {each.weekday() for each in moments} == {6}


def test_a_schedule_is_read_as_it_is_written_in_a_tag() -> None:
    assert parse_schedule("sun-03:00@Europe/Berlin") == Schedule(6, 3, 0, "Europe/Berlin")
    assert parse_schedule("daily-23:59") == Schedule(None, 23, 59, "UTC")


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("sun-3:00", "daily-03:00 or a day of the week"),
        ("sun-03:00@Mars", "^no such time zone: Mars; for example Europe/Berlin$"),
    ],
)
def test_one_that_cannot_be_read_says_what_is_allowed(text: str, allowed: str) -> None:
    with pytest.raises(ValueError, match=allowed):
        parse_schedule(text)


def test_it_is_due_until_two_hours_later_and_only_for_groups_that_were_there() -> None:
    sunday = at("2026-12-06T03:00:00")
    schedule = Schedule(6, 3, 0)
    assert schedule.due(0.0, sunday, None) == datetime(2026, 12, 6, 3, tzinfo=UTC)
    assert schedule.due(0.0, sunday + LATE_MAX, None)
    assert schedule.due(0.0, sunday + LATE_MAX + 1, None) is None
    assert schedule.due(0.0, sunday + LATE_MAX + 1, LATE_MAX), "two runs of reconcile may be that far apart"
    assert schedule.due(sunday + 1, sunday + 2, None) is None


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        (CycleTag(every=Schedule(6, 3, 0)), "Sun 2026-12-06 03:00 UTC"),
        (BakeTag(every=Schedule(6, 3, 0)), "Sun 2026-12-06 03:00 UTC"),
        (BakeTag(never=True, every=Schedule(6, 3, 0)), ""),
        (BakeTag(), ""),
        (None, ""),
    ],
)
def test_what_is_due_next_by_a_tag_is_said_in_words(tag: CycleTag | BakeTag | None, words: str) -> None:
    assert next_by_schedule(tag, at("2026-12-01T12:00:00")) == words


@pytest.mark.parametrize("every", [60.0, 300.0, 900.0, 3600.0, 5400.0, 7200.0, 86400.0])
@pytest.mark.parametrize("began", [0.0, 0.5, 0.99])
def test_of_the_runs_that_find_it_due_the_last_one_knows_and_the_first_is_not_that_one(
    every: float, began: float
) -> None:
    sunday, schedule = at("2026-12-06T03:00:00"), Schedule(6, 3, 0)
    runs = [sunday + (began + run) * every for run in range(int(5 * 86400 / every))]
    due = [run for run in runs if schedule.due(0.0, run, every)]
    assert schedule.is_last(due[-1], every)
    assert not schedule.is_last(sunday, every)
    assert len([run for run in due if schedule.is_last(run, every)]) <= 1 + NEXT_LATE / every + 1


def test_a_run_by_hand_is_never_the_last() -> None:
    assert not Schedule(6, 3, 0).is_last(at("2026-12-06T03:00:00") + LATE_MAX, None)
