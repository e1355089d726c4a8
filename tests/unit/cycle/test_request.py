"""The input of a cycle, with what it leaves out from the group's tag."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rollcall.cycle.batch import DEFAULT_BATCH, Batch
from rollcall.cycle.request import (
    OPTIONS,
    TAG_KEYS,
    CycleRequest,
    Follow,
    Protected,
    RollBack,
    Standby,
    read_request,
    require_readable_tag,
)
from rollcall.cycle.tag import CycleTag
from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import Group
from rollcall.domain.settings import CYCLE_TAG


def group(tag: str) -> Group:
    return Group("web", {CYCLE_TAG: tag}, {})


def test_only_the_group_has_to_be_named() -> None:
    assert read_request({"group": "web"}, None) == CycleRequest(
        "web",
        launch_template_version=None,
        batch=DEFAULT_BATCH,
        checkpoints=(),
        checkpoint_seconds=3600,
        bake_seconds=0,
        skip_matching=None,
        rollback=RollBack.AUTO,
        pin=False,
        follow=Follow.KEEP,
        alarms=(),
        protected=Protected.REFUSE,
        standby=Standby.REFUSE,
        verify_seconds=900,
        dry_run=False,
    )


EVERYTHING: dict[str, Any] = {
    "group": "web",
    "launch_template_version": 7,
    "batch": 2,
    "checkpoints": [25, 100],
    "checkpoint_seconds": 60,
    "bake_seconds": 30,
    "skip_matching": False,
    "rollback": False,
    "pin": True,
    "follow": "number",
    "alarms": ["5xx", "p99: slow"],
    "protected": "ignore",
    "standby": "terminate",
    "verify_seconds": 0,
    "dry_run": True,
}


def test_every_key_is_read() -> None:
    assert EVERYTHING.keys() == OPTIONS.keys()
    assert read_request(EVERYTHING, None) == CycleRequest(
        "web",
        "7",
        Batch(2, is_percent=False),
        (25, 100),
        60,
        30,
        False,
        RollBack.OFF,
        True,
        Follow.NUMBER,
        ("5xx", "p99: slow"),
        Protected.IGNORE,
        Standby.TERMINATE,
        0,
        True,
    )


@pytest.mark.parametrize("raw", [{"group": "web"}, EVERYTHING], ids=["least", "most"])
def test_a_request_survives_json(raw: dict[str, Any]) -> None:
    request = read_request(raw, None)
    assert read_request(json.loads(json.dumps(request.to_json())), None) == request


def test_what_the_input_does_not_say_the_tag_says() -> None:
    tag = require_readable_tag(group("batch=50percent checkpoints=25:100 rollback=false alarms=a:b bake_seconds=60"))
    request = read_request({"group": "web", "batch": 2, "rollback": None, "alarms": []}, tag)
    assert request.batch == Batch(2, is_percent=False)
    assert request.checkpoints == (25, 100)
    assert request.rollback == RollBack.OFF
    assert request.alarms == ()
    assert request.bake_seconds == 60


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("launch_template_version", "latest", "a number, $Latest or $Default"),
        ("launch_template_version", "0", "a number"),
        ("launch_template_version", True, "a number"),
        ("batch", "0%", "a whole number of instances, or a percentage"),
        ("batch", 1.5, "a whole number of instances, or a percentage"),
        ("batch", True, "a whole number"),
        ("checkpoints", [25], "ascending percentages that end in 100"),
        ("checkpoints", [50, 25, 100], "ascending percentages that end in 100"),
        ("checkpoints", [25, 25, 100], "ascending percentages that end in 100"),
        ("checkpoints", [0, 100], "ascending percentages that end in 100"),
        ("checkpoints", "a:100", "ascending percentages that end in 100"),
        ("checkpoint_seconds", 172_801, "whole seconds from 0 to 172800"),
        ("bake_seconds", -1, "whole seconds from 0 to 172800"),
        ("skip_matching", "yes", "true, false"),
        ("rollback", "maybe", "auto, true, false"),
        ("rollback", 1, "auto, true, false"),
        ("pin", 1, "true, false"),
        ("follow", "latest", "keep, number"),
        ("alarms", [f"alarm {number}" for number in range(11)], "names of at most 10 CloudWatch alarms"),
        ("alarms", [""], "names of at most 10 CloudWatch alarms"),
        ("alarms", [7], "names of at most 10 CloudWatch alarms"),
        ("protected", "terminate", "refuse, refresh, ignore, wait"),
        ("standby", "refresh", "refuse, terminate, ignore, wait"),
        ("verify_seconds", 86_401, "whole seconds from 0 to 86400"),
        ("dry_run", "", "true, false"),
        ("group", "", "the name of an Auto Scaling group"),
        ("group", "g" * 256, "the name of an Auto Scaling group"),
    ],
)
def test_a_value_that_cannot_be_followed_is_named_with_what_is_allowed(key: str, value: object, allowed: str) -> None:
    with pytest.raises(BadSettings) as refused:
        read_request({"group": "web", key: value}, None)
    assert repr(key) in str(refused.value)
    assert repr(value)[:20] in str(refused.value)
    assert f"allowed: {allowed}" in str(refused.value)


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ({"group": "web", "bacth": 2}, "bacth"),
        ({}, "no 'group'"),
        ({"group": None}, "no 'group'"),
        (["web"], "['web']"),
        (None, "None"),
    ],
    ids=["unknown key", "no group", "null group", "list", "nothing"],
)
def test_input_that_is_no_request_is_refused(raw: object, named: str) -> None:
    with pytest.raises(BadSettings, match="allowed: ") as refused:
        read_request(raw, None)
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("word", "allowed"),
    [
        ("batch=all", "a whole number of instances"),
        ("bacth=2", "never, on-new-version, every, batch, "),
        ("group=db", "never, on-new-version, every, batch, "),
        ("dry_run=true", "never, on-new-version, every, batch, "),
        ("launch_template_version=7", "never, on-new-version, every, batch, "),
        ("pin=yes", "true, false"),
    ],
)
def test_a_word_of_the_tag_that_cannot_be_followed_is_named_with_group_and_tag(word: str, allowed: str) -> None:
    with pytest.raises(BadSettings) as refused:
        require_readable_tag(group(f"on-new-version {word}"))
    assert str(refused.value).startswith(f"group 'web': tag {CYCLE_TAG} has {word!r}; allowed: {allowed}")
    assert refused.value.tag == CYCLE_TAG
    with pytest.raises(BadSettings):
        read_request({"group": "web"}, CycleTag(words=dict([word.split("=")])))


def test_all_that_a_tag_may_say_can_be_spelled_in_a_tag() -> None:
    spelled = {
        "batch": "25percent",
        "checkpoints": "25:100",
        "checkpoint_seconds": "60",
        "bake_seconds": "60",
        "skip_matching": "true",
        "rollback": "auto",
        "pin": "true",
        "follow": "keep",
        "alarms": "5xx:p99",
        "protected": "wait",
        "standby": "wait",
        "verify_seconds": "60",
    }
    assert spelled.keys() == set(TAG_KEYS)
    tag = require_readable_tag(group(" ".join(f"{key}={text}" for key, text in spelled.items())))
    assert read_request({"group": "web"}, tag).alarms == ("5xx", "p99")


def test_a_group_without_the_tag_has_none() -> None:
    assert require_readable_tag(Group("web", {}, {})) is None
