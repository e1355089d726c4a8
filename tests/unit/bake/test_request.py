"""What is asked of a bake, by input and tags."""

from __future__ import annotations

from typing import Any

import pytest

from rollcall.bake.request import BakeRequest, Smoke, read_request, require_readable_tags
from rollcall.bake.tag import BakeTag, parse_bake_tag
from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import Group
from rollcall.workflow.schedule import Schedule

TAGS = {
    "rollcall:bake": "every=sun-03:00@Europe/Berlin smoke=provision type=c7g.large",
    "rollcall:bake-job-template": " ops/Bake web ",
    "rollcall:bake-inventory": "builders",
    "rollcall:bake-base": "ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64",
    "rollcall:keep": "7",
}


def read(raw: dict[str, Any], tags: dict[str, str]) -> BakeRequest:
    return read_request(raw, parse_bake_tag(Group("web", tags, {})))


def test_what_an_input_does_not_say_the_tags_say() -> None:
    assert read({"group": "web"}, TAGS) == BakeRequest(
        "web",
        base_image="ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64",
        job_template="ops/Bake web",
        inventory="builders",
        instance_type="c7g.large",
        keep=7,
        smoke=Smoke.PROVISION,
    )


def test_an_input_goes_before_the_tags() -> None:
    asked = read({"group": "web", "base_image": "current", "keep": 3, "smoke": "off", "job_template": 12}, TAGS)
    assert (asked.base_image, asked.keep, asked.smoke, asked.job_template) == ("current", 3, Smoke.OFF, "12")


def test_without_tags_nothing_is_named_and_five_are_kept() -> None:
    asked = read({"group": "web"}, {})
    assert asked == BakeRequest("web")
    assert (asked.keep, asked.base_image, asked.smoke, asked.roll_out) == (5, "current", "boot", True)
    assert (asked.user_data, asked.instance_profile, asked.only_if_new) == (False, "", False)


def test_all_of_a_request_is_read_as_the_same_again() -> None:
    for tags in ({}, TAGS):
        asked = read({"group": "web", "instance_profile": "builder"}, tags)
        assert read_request(asked.to_json(), None) == asked


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("base_image", "ami-xyz"),
        ("base_image", "latest"),
        ("base_image", "ssm:"),
        ("keep", 0),
        ("keep", 101),
        ("smoke", "none"),
        ("instance_type", "large"),
        ("instance_profile", "a b"),
        ("job_template", ""),
        ("roll_out", "maybe"),
        ("dryrun", True),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_name(key: str, value: object) -> None:
    with pytest.raises(BadSettings, match=f"the input of a bake has .*{key}"):
        read({"group": "web", key: value}, {})


def test_the_tags_say_when_a_bake_is_due_and_whether_one_may_be() -> None:
    assert parse_bake_tag(Group("web", {"rollcall:cycle": "never"}, {})) is None
    assert parse_bake_tag(Group("web", {"rollcall:bake": "never"}, {})) == BakeTag(never=True)
    tag = require_readable_tags(Group("web", TAGS, {}))
    assert tag is not None
    assert tag.every == Schedule(6, 3, 0, "Europe/Berlin")


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"rollcall:bake": "always"}, "tag rollcall:bake has 'always'; allowed: never, every=daily-03:00"),
        ({"rollcall:bake": "dry_run=true"}, "has 'dry_run=true'; allowed: never, every, smoke, type"),
        ({"rollcall:bake": "smoke=loud"}, "has 'smoke=loud'; allowed: boot, provision, off"),
        ({"rollcall:keep": "many"}, "tag rollcall:keep has 'many'; allowed: a whole number from 1 to 100"),
        ({"rollcall:bake-base": "newest"}, "tag rollcall:bake-base has 'newest'; allowed: current"),
    ],
)
def test_a_tag_that_cannot_be_read_is_named_with_its_group(tags: dict[str, str], words: str) -> None:
    with pytest.raises(BadSettings, match=f"group 'web': .*{words}"):
        require_readable_tags(Group("web", tags, {}))


def test_all_that_cannot_be_read_in_the_tags_is_said_at_once() -> None:
    tags = {"rollcall:bake": "smoke=maybe pin=yes keep=3", "rollcall:keep": "many", "rollcall:bake-base": "newest"}
    with pytest.raises(BadSettings) as raised:
        require_readable_tags(Group("web", tags, {}))
    named = ("'smoke=maybe'", "'pin=yes'", "'keep=3'", "'many'", "'newest'")
    assert [each for each in named if each not in str(raised.value)] == []
    assert str(raised.value).count("group 'web'") == 1
