"""A group that is pinned for a cycle, and what becomes of it afterwards."""

from __future__ import annotations

import pytest

from rollcall.cycle.pinning import Pin, read_pin, unpinning
from rollcall.cycle.request import Follow

KEEP = Pin("$Default", Follow.KEEP, "web-1234abcd-20261130T221500")


@pytest.mark.parametrize("follow", sorted(Follow))
@pytest.mark.parametrize("alias", ["$Default", "$Latest"])
def test_a_pin_is_read_as_it_was_written(alias: str, follow: Follow) -> None:
    pin = Pin(alias, follow, "web-1234abcd-v7")
    assert read_pin(pin.written()) == pin
    assert "$" not in pin.written()  # which values of tags do not hold


@pytest.mark.parametrize("value", ["", "default", "default keep", "default never x", "other keep x", "a b c d"])
def test_what_no_cycle_wrote_is_no_pin(value: str) -> None:
    assert read_pin(value) is None


def test_an_alias_that_stands_for_what_now_runs_is_restored() -> None:
    decided = unpinning(KEEP, runs="7", resolved="7")
    assert decided == (True, "the group is on $Default again, which is version 7")


def test_an_alias_that_stands_for_another_version_is_not_restored_and_it_is_said_why() -> None:
    decided = unpinning(KEEP, runs="7", resolved="5")
    assert not decided.restores
    assert "stays on version 7: $Default, on which it was before, is version 5 now" in decided.words


def test_a_group_that_is_to_stay_on_the_number_does() -> None:
    assert not unpinning(KEEP._replace(follow=Follow.NUMBER), runs="7", resolved="7").restores


def test_a_group_that_an_earlier_try_has_put_back_is_left_so() -> None:
    decided = unpinning(KEEP, runs="$Default", resolved="7")
    assert decided == (False, "the group is on $Default again, which is version 7")
