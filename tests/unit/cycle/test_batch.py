"""How many instances are replaced at a time, and how far above its desired capacity the group goes."""

from __future__ import annotations

import pytest

from rollcall.cycle.batch import DEFAULT_BATCH, Batch, batch_size, batches, maximum_healthy, parse_batch


@pytest.mark.parametrize(
    ("desired", "size", "maximum"),
    [(0, 0, 200), (1, 1, 200), (2, 1, 150), (3, 1, 134), (7, 1, 115), (8, 2, 125), (10, 2, 120), (400, 100, 125)],
)
def test_a_quarter_is_replaced_at_a_time_and_at_least_one(desired: int, size: int, maximum: int) -> None:
    assert batch_size(desired, DEFAULT_BATCH) == size
    assert maximum_healthy(desired, size) == maximum


def test_the_maximum_always_leaves_room_for_a_whole_batch() -> None:
    for desired in range(1, 300):
        for size in range(1, desired + 1):
            assert desired * maximum_healthy(desired, size) >= 100 * (desired + size)


def test_no_more_than_all_are_replaced_at_a_time() -> None:
    assert batch_size(3, Batch(5, is_percent=False)) == 3
    assert maximum_healthy(3, 3) == 200
    assert batch_size(3, Batch(100, is_percent=True)) == 3


@pytest.mark.parametrize(
    ("text", "batch"),
    [("2", Batch(2, False)), ("25%", Batch(25, True)), ("25percent", Batch(25, True)), ("100%", Batch(100, True))],
)
def test_instances_or_a_percentage_in_either_spelling(text: str, batch: Batch) -> None:
    assert parse_batch(text) == batch
    assert parse_batch(str(batch)) == batch


@pytest.mark.parametrize("text", ["", "0", "0%", "101%", "-1", "2.5", "25 %", "10001", "half", "٣"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no batch"):
        parse_batch(text)


def test_batches_are_counted_with_the_last_one_that_is_not_full() -> None:
    assert [batches(instances, 2) for instances in (0, 1, 2, 3)] == [0, 1, 1, 2]
    assert batches(0, 0) == 0
