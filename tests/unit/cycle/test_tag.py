"""The words of the tag rollcall:cycle."""

from __future__ import annotations

import pytest

from rollcall.cycle.tag import CycleTag, parse_cycle_tag
from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import Group
from rollcall.domain.settings import CYCLE_TAG
from rollcall.workflow.schedule import Schedule


def parsed(tag: str) -> CycleTag | None:
    return parse_cycle_tag(Group("web", {CYCLE_TAG: tag}, {}))


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("", CycleTag()),
        ("never", CycleTag(never=True)),
        ("never batch=2", CycleTag(never=True, words={"batch": "2"})),
        ("on-new-version  batch=25percent", CycleTag(words={"batch": "25percent"}, on_new_version=True)),
        ("every=sun-03:00@Europe/Berlin", CycleTag(every=Schedule(6, 3, 0, "Europe/Berlin"))),
        ("every=daily-23:59", CycleTag(every=Schedule(None, 23, 59, "UTC"))),
        ("alarms=a=b", CycleTag(words={"alarms": "a=b"})),
    ],
)
def test_words_stand_in_any_order_separated_by_blanks(text: str, tag: CycleTag) -> None:
    assert parsed(text) == tag


def test_a_group_without_the_tag_has_none() -> None:
    assert parse_cycle_tag(Group("web", {}, {})) is None


@pytest.mark.parametrize(
    ("text", "word", "allowed"),
    [
        ("always", "always", "never, on-new-version, every=daily-03:00, and KEY=VALUE"),
        ("=2", "=2", "never, on-new-version"),
        ("never never", "never", "each word once"),
        ("batch=2 batch=3", "batch=3", "each word once"),
        ("every=daily-01:00 every=daily-02:00", "every=daily-02:00", "each word once"),
        ("every=sunday-03:00", "every=sunday-03:00", "daily-03:00 or a day of the week"),
        ("every=daily-24:00", "every=daily-24:00", "daily-03:00 or a day of the week"),
        ("every=daily-03:60", "every=daily-03:60", "daily-03:00 or a day of the week"),
        ("every=daily-3:00", "every=daily-3:00", "daily-03:00 or a day of the week"),
        ("every=", "every=", "daily-03:00 or a day of the week"),
    ],
)
def test_a_word_that_cannot_be_read_is_named(text: str, word: str, allowed: str) -> None:
    with pytest.raises(BadSettings) as refused:
        parsed(text)
    assert str(refused.value).startswith(f"group 'web': tag {CYCLE_TAG} has {word!r}; allowed: {allowed}")


@pytest.mark.parametrize("zone", ["Europe/Brelin", "/etc/localtime", "Europe"])
def test_a_time_zone_that_there_is_not_is_named_with_one_that_there_is(zone: str) -> None:
    with pytest.raises(BadSettings) as refused:
        parsed(f"every=daily-03:00@{zone}")
    word = f"every=daily-03:00@{zone}"
    assert str(refused.value) == (
        f"group 'web': tag {CYCLE_TAG} has {word!r}; no such time zone: {zone}; for example Europe/Berlin"
    )
