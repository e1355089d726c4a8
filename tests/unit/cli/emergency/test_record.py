"""What the tag rollcall:emergency keeps of hooks: read back as it was written, within a tag's 256 characters."""

from __future__ import annotations

import string
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollcall.domain.actions import Result, Transition
from rollcall_cli.emergency.record import VALUE_MAX, FormerHook, Record, TooLong, read_record, write_record
from rollcall_cli.lifecycle_hooks import LifecycleHook

MOMENT = "2026-11-21T10:00:00Z"
TAG_VALUE = set(string.ascii_letters + string.digits + " +-=._:/@")  # what Auto Scaling takes in a tag's value
NAMES = st.text(alphabet=string.ascii_letters + string.digits + "-_/", min_size=1, max_size=255)
LAUNCH = LifecycleHook("rollcall-launching", Transition.LAUNCHING, 600, Result.ABANDON)
TERMINATE = LifecycleHook("rollcall-terminating", Transition.TERMINATING, 900, Result.CONTINUE)


def test_the_tag_reads_as_the_docs_say() -> None:
    written = write_record(Record(MOMENT).with_hooks([LAUNCH, TERMINATE]))
    assert written == f"{MOMENT} rollcall-launching=600/ABANDON rollcall-terminating=900/CONTINUE"


LONG = [(f"{number}".ljust(200, "x"), 600 + number, Result.ABANDON) for number in range(3)]


@example(LONG)
@given(
    st.lists(
        st.tuples(NAMES, st.integers(30, 7200), st.sampled_from(Result)),
        max_size=8,
        unique_by=lambda each: each[0],
    )
)
def test_what_was_recorded_of_up_to_eight_hooks_is_found_again_whatever_they_are_called(
    hooks: list[tuple[str, int, Result]],
) -> None:
    given_hooks = [LifecycleHook(name, Transition.LAUNCHING, timeout, result) for name, timeout, result in hooks]
    written = write_record(Record(MOMENT).with_hooks(given_hooks))
    assert len(written) <= VALUE_MAX
    assert set(written) <= TAG_VALUE
    record = read_record(written)
    assert record.since == MOMENT
    for hook in given_hooks:
        former = record.former(hook)
        assert former
        assert former.restored(replace(hook, heartbeat_timeout=30, default_result=Result.CONTINUE)) == hook


def test_names_too_long_for_a_tag_are_told_apart_by_their_digests() -> None:
    hooks = [LifecycleHook(name, Transition.LAUNCHING, timeout, result) for name, timeout, result in LONG]
    written = write_record(Record(MOMENT).with_hooks(hooks))
    assert written.count("=") == written.count("@") == len(hooks)
    assert read_record(written).with_hooks(hooks) == read_record(written), "each is found again, so none is added"


def test_what_was_recorded_first_is_how_a_hook_was() -> None:
    record = Record(MOMENT).with_hooks([LAUNCH])
    opened = replace(LAUNCH, heartbeat_timeout=30, default_result=Result.CONTINUE)
    assert record.with_hooks([opened, TERMINATE]).hooks == (
        FormerHook("rollcall-launching", 600, Result.ABANDON),
        FormerHook("rollcall-terminating", 900, Result.CONTINUE),
    )


def test_more_hooks_than_a_tag_can_keep_are_refused() -> None:
    hooks = [replace(LAUNCH, name=f"{number}".ljust(255, "x")) for number in range(10)]
    with pytest.raises(TooLong):
        write_record(Record(MOMENT).with_hooks(hooks))


@pytest.mark.parametrize(
    ("value", "since", "hooks"),
    [("", "", 0), ("now", "now", 0), (f"{MOMENT} nonsense a=b c=1/LATER", MOMENT, 0), ("a=30/CONTINUE", "", 1)],
)
def test_a_tag_set_by_hand_is_read_as_far_as_it_can_be(value: str, since: str, hooks: int) -> None:
    record = read_record(value)
    assert (record.since, len(record.hooks)) == (since, hooks)
