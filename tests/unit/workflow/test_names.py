"""The names of executions: what they hold, and when two of them are one."""

from __future__ import annotations

import re
from datetime import date

import pytest

from rollcall.workflow.names import (
    bake_id_of,
    bake_key,
    cycle_of_bake,
    execution_name,
    is_dry_run,
    is_of_bake,
    is_scheduled,
    is_tag_key,
    key_of,
    name_prefix,
    schedule_key,
    timestamp_key,
    version_key,
)

NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")


@pytest.mark.parametrize("group", ["web", "a/b c:d", "日本", "g" * 255, "-"])
@pytest.mark.parametrize("key", ["v7", "sched-2026-12-06", "build 17/main", "k" * 200, ""])
def test_every_group_and_key_make_a_name_that_step_functions_takes(group: str, key: str) -> None:
    assert NAME.fullmatch(execution_name(group, key))


def test_a_name_begins_with_its_group_and_ends_with_its_key() -> None:
    name = execution_name("web/blue", "sched-2026-12-06")
    assert re.fullmatch(r"web-blue-[0-9a-f]{8}-sched-2026-12-06", name)
    assert key_of(name, "web/blue") == "sched-2026-12-06"
    assert key_of(name, "web-blue") == ""


def test_a_dry_run_is_told_by_its_key_and_runs_beside_others() -> None:
    dry, other = execution_name("web", "dry-20261201T030000"), execution_name("web", "sched-2026-12-06")
    assert is_dry_run(dry, "web")
    assert not is_dry_run(other, "web")
    assert not is_dry_run(execution_name("dry-web", "v7"), "dry-web")
    assert not is_dry_run(dry, "db")


def test_groups_whose_names_look_alike_have_names_of_their_own() -> None:
    alike = ["web/blue", "web:blue", "web-blue", "w" * 50 + "1", "w" * 50 + "2"]
    assert len({execution_name(group, "v7") for group in alike}) == len(alike)
    assert len({name_prefix(group) for group in alike}) == len(alike)


def test_keys_that_have_to_be_cut_or_cleaned_stay_apart() -> None:
    keys = ["release-2026-11-30-build-123456", "release-2026-11-30-build-123457", "a b", "a-b", "a/b", "", "-"]
    assert len({execution_name("web", key) for key in keys}) == len(keys)


def test_the_same_group_and_key_are_one_cycle() -> None:
    assert execution_name("web", "v7") == execution_name("web", "v7")


def test_keys_of_schedules_versions_and_of_nothing_else() -> None:
    assert schedule_key(date(2026, 12, 6)) == "sched-2026-12-06"
    assert version_key("7") == "v7"
    assert timestamp_key(1_796_076_900.0) == "20261130T221500"


DAY_1 = 1_796_526_300.0


def test_a_bake_has_one_id_whenever_on_the_day_of_its_start_it_is_asked_for_and_another_one_months_later() -> None:
    """A name, and so an ARN, may be used again after 90 days."""
    first = bake_id_of("arn:bake", DAY_1)
    assert len(first) == 12
    assert first == bake_id_of("arn:bake", DAY_1 + 0.5)
    assert first != bake_id_of("arn:bake", DAY_1 + 91 * 86_400)
    assert first != bake_id_of("arn:other", DAY_1)


def test_the_cycle_of_a_bake_is_known_by_its_name_and_no_other_is_taken_for_one() -> None:
    name = cycle_of_bake("arn:bake", DAY_1, "web")
    assert name == execution_name("web", bake_key(bake_id_of("arn:bake", DAY_1)))
    assert is_of_bake(name, "web")
    others = [execution_name("web", each) for each in ("bake-again", "v7", "rebake-0123456789ab")]
    assert not any(is_of_bake(each, "web") for each in (*others, name.replace("web", "db", 1)))


@pytest.mark.parametrize("key", [schedule_key(date(2026, 12, 6)), version_key("7")])
def test_what_a_tag_starts_is_known_by_its_key_which_the_commands_refuse(key: str) -> None:
    assert is_tag_key(key)
    assert is_scheduled(execution_name("web", key), "web")


@pytest.mark.parametrize(
    "key", [timestamp_key(1_796_076_900.0), bake_key("0123456789ab"), "run-v7", "v7-1", "V7", "v7 ", "sched-2026", ""]
)
def test_no_other_key_counts_as_a_tags(key: str) -> None:
    assert not is_tag_key(key)
    assert not is_scheduled(execution_name("web", key), "web")
