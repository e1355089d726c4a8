"""How the keys of an input are read, and the words of a tag."""

from __future__ import annotations

from enum import StrEnum

import pytest

from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import Group
from rollcall.workflow.options import (
    FLAG,
    GROUP,
    NEVER,
    TagWords,
    choice,
    number_within,
    parse_words,
    read_input,
    read_words,
)
from rollcall.workflow.schedule import Schedule

TAG = "rollcall:walk"


class Pace(StrEnum):
    """Of a walk."""

    SLOW = "slow"
    FAST = "fast"


OPTIONS = {"group": GROUP, "steps": number_within(1, 9, "steps"), "pace": choice(Pace), "dry_run": FLAG}


def test_keys_that_are_null_are_not_said() -> None:
    assert read_input("a walk", {"group": "web", "steps": 3, "pace": None, "dry_run": True}, OPTIONS) == {
        "group": "web",
        "steps": 3,
        "dry_run": True,
    }


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ([], "the input of a walk is .*; allowed: an object with the key 'group'"),
        ({"steps": 3}, "the input of a walk has no 'group'"),
        ({"group": " "}, "as 'group'; allowed: the name of an Auto Scaling group"),
        ({"group": "web", "stepz": 3}, "has stepz; allowed: group, steps, pace, dry_run"),
        ({"group": "web", "steps": 10}, "has 10 as 'steps'; allowed: steps from 1 to 9"),
        ({"group": "web", "steps": True}, "as 'steps'"),
        ({"group": "web", "pace": "brisk"}, "has 'brisk' as 'pace'; allowed: slow, fast"),
        ({"group": "web", "dry_run": "yes"}, "has 'yes' as 'dry_run'; allowed: true, false"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_is_allowed(raw: object, words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        read_input("a walk", raw, OPTIONS)


def test_a_tag_has_flags_pairs_and_a_schedule() -> None:
    found = parse_words(Group("web", {TAG: "never pace=fast every=daily-03:00"}, {}), TAG, (NEVER,), "never")
    assert found == TagWords(frozenset({"never"}), {"pace": "fast"}, Schedule(None, 3, 0))
    assert read_words("web", TAG, found.words, {"pace": OPTIONS["pace"]}, "pace") == {"pace": Pace.FAST}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("never never", "each word once"),
        ("often", "allowed: never"),
        ("every=noon", "daily-03:00 or a day of the week"),
    ],
)
def test_a_word_that_cannot_be_followed_names_group_and_tag(text: str, words: str) -> None:
    with pytest.raises(BadSettings, match=f"group 'web': tag {TAG} has .*{words}"):
        parse_words(Group("web", {TAG: text}, {}), TAG, (NEVER,), "never")


def test_a_pair_that_no_tag_may_have_is_refused() -> None:
    with pytest.raises(BadSettings, match="has 'dry_run=true'; allowed: pace"):
        read_words("web", TAG, {"dry_run": "true"}, {"pace": OPTIONS["pace"]}, "pace")


def test_all_that_cannot_be_read_is_said_at_once_and_the_group_only_once() -> None:
    with pytest.raises(BadSettings) as raised:
        parse_words(Group("web", {TAG: "often every=sun-03:00@Mars never never"}, {}), TAG, (NEVER,), "never")
    assert (str(raised.value), raised.value.tag) == (
        f"group 'web': tag {TAG} has 'often'; allowed: never; tag {TAG} has 'never'; allowed: each word once; "
        f"tag {TAG} has 'every=sun-03:00@Mars'; no such time zone: Mars; for example Europe/Berlin",
        TAG,
    )
    with pytest.raises(BadSettings) as raised:
        read_words("web", TAG, {"dry_run": "true", "pace": "brisk"}, {"pace": OPTIONS["pace"]}, "pace")
    assert str(raised.value) == (
        f"group 'web': tag {TAG} has 'dry_run=true'; allowed: pace; tag {TAG} has 'pace=brisk'; allowed: slow, fast"
    )
    with pytest.raises(BadSettings) as raised:
        read_input("a walk", {"group": "web", "steps": 10, "pace": "brisk"}, OPTIONS)
    assert str(raised.value) == (
        "the input of a walk has 10 as 'steps'; allowed: steps from 1 to 9; 'brisk' as 'pace'; allowed: slow, fast"
    )
