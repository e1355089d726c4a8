"""Which missing targets are a cycle's doing."""

from __future__ import annotations

from rollcall.cycle.observed import GroupNow, Member
from rollcall.cycle.state import TargetDip
from rollcall.cycle.target_health import dips, healthy_targets, with_dips

NOW = 1000.0
OLD = [Member(f"i-old{number}", "InService", "1") for number in range(4)]
NEW = Member("i-new", "InService", "2", launched=900.0)


def found(
    members: list[Member],
    health: dict[str, str],
    *,
    at_start: int = 4,
    desired: int = 4,
    taken: frozenset[str] = frozenset(),
) -> list[tuple[int, int]]:
    """Of each dip, how many targets were healthy and how many should have been."""
    launched = {each.instance_id: each.launched for each in members if each.launched is not None}
    now = GroupNow(desired, tuple(members), {"tg": health}, launched, {}, "", taken)
    return [
        (each.healthy, each.expected) for each in dips(now, {"tg": at_start}, lambda each: each.version == "2", NOW)
    ]


ALL_OLD = {f"i-old{number}": "healthy" for number in range(4)}


def test_as_many_healthy_targets_as_before_are_no_dip() -> None:
    assert found(OLD, ALL_OLD) == []


def test_an_old_target_that_drains_before_a_new_one_is_healthy_is_a_dip() -> None:
    leaving = OLD[0]._replace(state="Terminating:Wait")
    health = {**ALL_OLD, "i-old0": "draining", "i-new": "initial"}
    assert found([leaving, *OLD[1:], NEW], health) == [(3, 4)]


def test_a_new_target_that_is_healthy_replaces_one_that_drains() -> None:
    leaving = OLD[0]._replace(state="Terminating:Wait")
    health = {**ALL_OLD, "i-old0": "draining", "i-new": "healthy"}
    assert found([leaving, *OLD[1:], NEW], health) == []


def test_an_old_target_that_is_unhealthy_by_itself_is_not_the_cycles_fault() -> None:
    assert found(OLD, {**ALL_OLD, "i-old1": "unhealthy"}) == []


def test_an_old_target_that_an_operator_terminated_is_not_missed_until_another_is_in_service_in_its_place() -> None:
    leaving = OLD[0]._replace(state="Terminating:Wait")
    coming = NEW._replace(state="Pending:Wait")
    health = {**ALL_OLD, "i-old0": "draining"}
    by_hand = frozenset({"i-old0"})
    assert found([leaving, *OLD[1:], coming], health, taken=by_hand) == []
    assert found([*OLD[1:], coming], {**health, "i-new": "initial"}, taken=by_hand) == []
    assert found([*OLD[1:], NEW], {**health, "i-new": "initial"}, taken=by_hand) == [(3, 4)]


def test_an_old_target_that_the_refresh_terminated_is_missed_and_so_is_a_new_one_however_it_went() -> None:
    leaving = OLD[0]._replace(state="Terminating:Wait")
    assert found([leaving, *OLD[1:]], {**ALL_OLD, "i-old0": "draining"}) == [(3, 4)]
    failed = NEW._replace(state="Terminating")
    health = {**ALL_OLD, "i-old0": "draining", "i-new": "unhealthy"}
    assert found([leaving, *OLD[1:], failed], health, taken=frozenset({"i-new"})) == [(3, 4)]


def test_a_target_that_was_unhealthy_at_the_start_is_not_missed() -> None:
    assert found([*OLD[1:], NEW], {"i-old1": "healthy", "i-old2": "healthy", "i-new": "healthy"}, at_start=3) == []


def test_a_group_that_was_scaled_in_meanwhile_needs_no_more_than_it_wants() -> None:
    assert found(OLD[:2], {"i-old0": "healthy", "i-old1": "healthy"}, desired=2) == []


def test_of_each_target_group_the_deepest_dip_is_kept() -> None:
    shallow, deep, other = TargetDip(1.0, "a", 3, 4), TargetDip(2.0, "a", 1, 4), TargetDip(3.0, "b", 3, 4)
    assert with_dips((shallow,), [deep, other]) == (deep, other)
    assert with_dips((deep,), [shallow]) == (deep,)


def test_healthy_targets_are_counted_by_target_group() -> None:
    assert healthy_targets({"a": {"i-1": "healthy", "i-2": "draining"}, "b": {}}) == {"a": 1, "b": 0}
