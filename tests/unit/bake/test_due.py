"""Which bakes are due, and when there is nothing new to bake."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rollcall.bake.due import Baked, due_bake, nothing_new
from rollcall.bake.tag import parse_bake_tag
from rollcall.domain.groups import Group
from rollcall.workflow.names import execution_name
from rollcall.workflow.schedule import LATE_MAX

SUNDAY = datetime(2026, 12, 6, 3, 0, tzinfo=UTC)


def due(tag: str, at: datetime, created: float = 0.0) -> str | None:
    parsed = parse_bake_tag(Group("web", {"rollcall:bake": tag}, {}))
    assert parsed
    found = due_bake("web", parsed, created, at.timestamp(), 300.0)
    return found.name if found else None


def test_a_schedule_is_due_under_the_name_of_its_day_and_bakes_only_what_is_new() -> None:
    name = execution_name("web", "sched-2026-12-06")
    assert due("every=sun-03:00", SUNDAY + timedelta(minutes=5)) == name
    assert due("every=sun-03:00", SUNDAY + timedelta(minutes=90)) == name
    parsed = parse_bake_tag(Group("web", {"rollcall:bake": "every=sun-03:00"}, {}))
    assert parsed
    found = due_bake("web", parsed, 0.0, SUNDAY.timestamp(), None)
    assert found
    assert found.request == {"group": "web", "only_if_new": True}


@pytest.mark.parametrize("tag", ["never every=sun-03:00", "smoke=off", ""])
def test_nothing_is_due_where_none_is_asked_for_or_none_may_be(tag: str) -> None:
    assert due(tag, SUNDAY) is None


def test_a_window_that_was_missed_is_not_made_up_for() -> None:
    assert due("every=sun-03:00", SUNDAY + timedelta(seconds=LATE_MAX + 1)) is None
    assert due("every=sun-03:00", SUNDAY, created=SUNDAY.timestamp() + 1) is None


@pytest.mark.parametrize(
    ("now", "last", "same"),
    [
        (Baked("ami-1", "abc"), Baked("ami-1", "abc"), True),
        (Baked("ami-2", "abc"), Baked("ami-1", "abc"), False),
        (Baked("ami-1", "abd"), Baked("ami-1", "abc"), False),
        (Baked("ami-1", ""), Baked("ami-1", ""), False),
        (Baked("ami-1", "abc"), None, False),
    ],
    ids=["both the same", "another base image", "another revision", "no revision known", "none was baked"],
)
def test_nothing_is_new_only_where_base_image_and_revision_are_known_to_be_the_same(
    now: Baked, last: Baked | None, same: bool
) -> None:
    assert nothing_new(now, last) == same
