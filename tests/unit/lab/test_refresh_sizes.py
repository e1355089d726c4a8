"""How many instances a refresh may take away and launch now."""

from __future__ import annotations

import pytest

from lab.aws.refresh_sizes import Bounds, Member, needed, next_step, share

ALL = 100


def old(name: str, *, kept: bool = False, young: bool = False, weight: int = 1) -> Member:
    return Member(name, weight, outdated=True, kept=kept, ready=not young, young=young)


def new(name: str, *, ready: bool = True, weight: int = 1) -> Member:
    return Member(name, weight, outdated=False, kept=False, ready=ready, young=not ready)


def olds(count: int) -> list[Member]:
    return [old(f"old-{number}") for number in range(count)]


def step(
    members: list[Member],
    desired: int,
    low: int,
    high: int,
    *,
    allowed: int | None = None,
    launches_first: bool = True,
    may_force: bool = True,
) -> tuple[int, int]:
    """How many are taken away, and the capacity that is wanted."""
    found = next_step(
        members,
        desired,
        Bounds(low, high),
        desired if allowed is None else allowed,
        launches_first=launches_first,
        may_force=may_force,
    )
    return len(found.terminated), found.wanted


@pytest.mark.parametrize(
    ("capacity", "percent", "rounding", "result"),
    [
        (10, 90, "up", 9),
        (8, 125, "down", 10),
        (3, 134, "down", 4),
        (3, 134, "up", 5),
        (1, 90, "up", 1),
        (0, 90, "up", 0),
    ],
)
def test_a_share_is_rounded_as_it_is_told(capacity: int, percent: int, rounding: str, result: int) -> None:
    assert share(capacity, percent, rounding) == result


def test_a_checkpoint_needs_at_least_its_percentage() -> None:
    assert [needed(10, percent) for percent in (1, 20, 25, 100)] == [1, 2, 3, 10]


def test_new_ones_come_first_where_none_may_be_missing() -> None:
    assert step(olds(10), desired=10, low=10, high=12) == (0, 12)


def test_nothing_is_taken_away_before_what_replaces_it_is_ready() -> None:
    assert step([*olds(10), new("a", ready=False), new("b", ready=False)], 10, 10, 12) == (0, 12)
    assert step([*olds(10), new("a"), new("b", ready=False)], 10, 10, 12) == (1, 12)
    assert step([*olds(10), new("a"), new("b")], 10, 10, 12) == (2, 12)


def test_no_more_are_launched_than_are_to_be_replaced() -> None:
    members = [*olds(1), *(new(f"new-{number}") for number in range(3)), new("last", ready=False)]
    assert step(members, desired=4, low=4, high=6) == (0, 5)


def test_both_bounds_are_used_at_once() -> None:
    assert step(olds(10), desired=10, low=5, high=15) == (5, 15)


def test_a_maximum_that_gave_way_does_so_until_the_new_one_has_come() -> None:
    assert step([*olds(2), new("a", ready=False)], desired=2, low=2, high=2) == (0, 3)
    assert step([*olds(2), new("a")], desired=2, low=2, high=2) == (1, 3)


@pytest.mark.parametrize(("launches_first", "result"), [(True, (0, 3)), (False, (1, 2))])
def test_where_no_bound_leaves_room_one_is_launched_if_there_is_a_maximum_and_else_one_is_taken_away(
    launches_first: bool, result: tuple[int, int]
) -> None:
    assert step(olds(2), desired=2, low=2, high=2, launches_first=launches_first) == result


def test_nothing_is_forced_while_something_is_under_way_or_it_is_not_allowed() -> None:
    assert step([*olds(1), new("a", ready=False)], 2, 2, 2, launches_first=False) == (0, 2)
    assert step(olds(2), 2, 2, 2, launches_first=False, may_force=False) == (0, 2)


def test_no_more_is_new_than_the_checkpoint_allows() -> None:
    assert step(olds(10), 10, 10, 15, allowed=2) == (0, 12)
    assert step([*olds(10), new("a"), new("b")], 10, 10, 15, allowed=2) == (2, 10)
    assert step(olds(10), 10, 0, 10, allowed=2) == (2, 10)


def test_what_was_lost_is_replaced_whatever_the_checkpoint() -> None:
    assert step([*olds(7), new("a"), new("b")], 10, 10, 15, allowed=2) == (0, 10)


def test_those_that_are_kept_are_not_touched_and_have_no_successors() -> None:
    members = [old("kept", kept=True), *olds(2), new("a", ready=False)]
    assert step(members, desired=3, low=3, high=6) == (0, 5)
    assert (
        next_step(
            [old("kept", kept=True), new("a")], 1, Bounds(1, 2), 1, launches_first=True, may_force=True
        ).terminated
        == ()
    )


def test_those_in_service_go_before_those_on_their_way_the_oldest_first() -> None:
    members = [old("young", young=True), old("first"), old("second"), new("a"), new("b"), new("c")]
    found = next_step(members, 3, Bounds(3, 6), 3, launches_first=True, may_force=True)
    assert found.terminated == ("first", "second", "young")


def test_an_instance_as_heavy_as_the_group_is_replaced_at_once() -> None:
    heavy = [old("heavy", weight=4)]
    assert step(heavy, desired=4, low=4, high=4, launches_first=False) == (1, 4)
    assert step(heavy, desired=4, low=4, high=4) == (0, 5)
    assert step([*heavy, new("a", ready=False, weight=4)], desired=4, low=4, high=4) == (0, 8)
    assert step([*heavy, new("a", weight=4)], desired=4, low=4, high=4) == (1, 4)
