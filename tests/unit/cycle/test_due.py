"""Which cycles are due: by a schedule, and for a new version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollcall.cycle.due import TaggedGroup, due_cycles
from rollcall.cycle.tag import parse_cycle_tag
from rollcall.domain.bake_tags import BAKED
from rollcall.domain.groups import Group
from rollcall.domain.settings import CYCLE_TAG
from rollcall.workflow.names import execution_name
from rollcall.workflow.schedule import LATE_MAX

SUNDAY = datetime(2026, 12, 6, 3, 0, tzinfo=UTC)


def group(tag: str, **values: Any) -> TaggedGroup:
    parsed = parse_cycle_tag(Group("web", {CYCLE_TAG: tag}, {}))
    assert parsed
    return TaggedGroup("web", parsed, **values)


def due_at(moment: datetime, tagged: TaggedGroup, every: float | None = 300.0) -> list[str]:
    return [each.name for each in due_cycles(tagged, moment.timestamp(), every)]


def named(key: str) -> list[str]:
    return [execution_name("web", key)]


def new_version(**values: Any) -> TaggedGroup:
    return group("on-new-version", **{"version": "7", "running": frozenset({"6"}), **values})


# By a schedule


@pytest.mark.parametrize("minutes", [0, 5, 119])
def test_a_schedule_is_due_from_its_time_on_under_the_name_of_its_day(minutes: int) -> None:
    at = SUNDAY + timedelta(minutes=minutes)
    assert due_at(at, group("every=sun-03:00")) == named("sched-2026-12-06")


@pytest.mark.parametrize("minutes", [-1, 121, 24 * 60])
def test_before_its_time_and_long_after_it_nothing_is_due(minutes: int) -> None:
    """A window in the night that was missed is not made up for by day."""
    assert due_at(SUNDAY + timedelta(minutes=minutes), group("every=sun-03:00")) == []


def test_a_day_is_the_one_of_the_schedules_time_zone() -> None:
    late = datetime(2026, 12, 5, 23, 30, tzinfo=UTC)  # half past midnight of the 6th in Berlin
    assert due_at(late, group("every=sun-00:15@Europe/Berlin")) == named("sched-2026-12-06")


def test_where_runs_are_far_apart_two_of_them_may_be_late() -> None:
    hours = 8 * 3600.0
    tagged = group("every=sun-03:00")
    assert hours > LATE_MAX
    assert due_at(SUNDAY + timedelta(hours=15), tagged, every=hours) == named("sched-2026-12-06")
    assert due_at(SUNDAY + timedelta(hours=17), tagged, every=hours) == []
    assert due_at(SUNDAY + timedelta(hours=1), tagged, every=None) == named("sched-2026-12-06")


def test_a_group_that_was_made_after_the_time_waits_for_the_next() -> None:
    made = SUNDAY + timedelta(minutes=10)
    assert due_at(SUNDAY + timedelta(minutes=20), group("every=sun-03:00", created=made.timestamp())) == []
    assert due_at(SUNDAY + timedelta(days=7), group("every=sun-03:00", created=made.timestamp()))


# For a new version


def test_a_version_that_not_all_instances_run_is_due_once_under_its_name() -> None:
    assert due_at(SUNDAY, new_version()) == named("v7")
    assert due_at(SUNDAY, new_version(running=frozenset({"6", "7"}))) == named("v7")


@pytest.mark.parametrize(
    "values",
    [
        {"running": frozenset({"7"})},
        {"running": frozenset()},
        {"version": ""},
        {"description": f"{BAKED} 2026-12-01 of ami-1"},
        {"pinned": True},
    ],
    ids=["all run it", "no instance", "no launch template", "bake's own", "a cycle holds the group"],
)
def test_no_other_version_is(values: dict[str, Any]) -> None:
    assert due_at(SUNDAY, new_version(**values)) == []


def test_a_group_that_did_not_ask_for_it_is_not_cycled_for_a_new_version() -> None:
    tagged = group("batch=2", version="7", running=frozenset({"6"}))
    assert due_at(SUNDAY, tagged) == []


# Both


def test_of_two_the_new_version_comes_first_and_the_schedule_is_not_forgotten() -> None:
    """One that was tried stays due for as long as old instances are there, and must not hide the other."""
    tagged = group("on-new-version every=sun-03:00", version="7", running=frozenset({"6"}))
    assert due_at(SUNDAY, tagged) == named("v7") + named("sched-2026-12-06")


def test_never_is_never() -> None:
    tagged = group("never on-new-version every=sun-03:00", version="7", running=frozenset({"6"}))
    assert due_at(SUNDAY, tagged) == []


def test_the_input_names_the_group_alone_so_that_one_on_an_alias_stays_on_it() -> None:
    [due] = due_cycles(new_version(), SUNDAY.timestamp(), None)
    assert due.request == {"group": "web"}
    assert "version 7" in due.why
