"""How a group's nodes in Chef are named, and which names are a pattern's."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.checks.registry import read_group_settings
from rollcall.domain.chef_nodes import (
    DEFAULT_PATTERN,
    PATTERN,
    NamedAfter,
    NodePattern,
    identifier_in,
    node_name,
    parse_node_pattern,
)
from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import Group
from rollcall.domain.inventory_text import refusal_of_value
from rollcall.domain.settings import read_node_pattern

WEB, WEB_DNS = "i-0123456789abcdef0", "ip-10-0-0-7.ec2.internal"
TAG_VALUE = re.compile(r"[A-Za-z0-9 +\-=._:/@]*")  # what the value of a tag may hold


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", WEB),
        ("@instance_id@", WEB),
        ("web-@instance_id@", f"web-{WEB}"),
        ("@instance_id@.example.com", f"{WEB}.example.com"),
        ("Web_1.@instance_id@-x", f"Web_1.{WEB}-x"),
        ("@private_dns@", WEB_DNS),
        ("prod-@private_dns@", f"prod-{WEB_DNS}"),
    ],
)
def test_a_pattern_gives_a_node_its_name_and_finds_in_it_what_it_is_named_after(text: str, name: str) -> None:
    pattern = parse_node_pattern(text)
    assert node_name(pattern, WEB, WEB_DNS) == name
    assert identifier_in(pattern, name) == (WEB_DNS if pattern.named_after == NamedAfter.PRIVATE_DNS else WEB)
    assert parse_node_pattern(str(pattern)) == pattern


@pytest.mark.parametrize(
    "text",
    [
        "web",
        "{instance_id}",
        "@instance@",
        "instance_id@",
        "@instance_id@@instance_id@",
        "@instance_id@-@private_dns@",
        "web @instance_id@",
        "web/@instance_id@",
        "../@instance_id@",
        "-@instance_id@",
        "web:@instance_id@",
        "@instance_id@ OR name:*",
        "*@instance_id@",
    ],
)
def test_what_is_no_pattern_is_named_with_what_is_allowed(text: str) -> None:
    group = Group("web", {"rollcall:inventory": "prod", "rollcall:chef": text}, {})
    for read in (read_group_settings, read_node_pattern):
        with pytest.raises(BadSettings, match="allowed: @instance_id@ or @private_dns@, with letters") as caught:
            read(group)
        assert all(part in str(caught.value) for part in ("'web'", "rollcall:chef", repr(text)))


@pytest.mark.parametrize(
    "name",
    [
        "web",
        "web-",
        f"web-{WEB}x!",
        f"web-{WEB}.",
        f"xweb-{WEB}",
        f"Web-{WEB}",
        f"web-{WEB_DNS}",
        "web-i-",
        "web-i-0123456789abcdef01",
        "web-web-i-0123",
    ],
)
def test_any_other_name_is_not_the_patterns(name: str) -> None:
    assert identifier_in(parse_node_pattern("web-@instance_id@"), name) is None


@pytest.mark.parametrize(
    ("name", "is_private_dns"),
    [
        ("ip-10-0-0-7.ec2.internal", True),
        ("ip-172-31-255-255.eu-central-1.compute.internal", True),
        ("i-0123456789abcdef0.us-west-2.compute.internal", True),
        ("i-0123456789abcdef0.ec2.internal", True),
        ("db-1.example.com", False),
        ("ip-10-0-0-7", False),
        ("ip-10-0-0-7.ec2.internal.example.com", False),
        ("chef-server", False),
    ],
)
def test_a_node_is_named_after_a_private_dns_name_only_if_it_has_the_form_of_one(
    name: str, is_private_dns: bool
) -> None:
    assert (identifier_in(parse_node_pattern("@private_dns@"), name) == name) == is_private_dns


def test_a_name_that_overlaps_with_the_pattern_on_both_sides_is_not_the_patterns() -> None:
    assert identifier_in(NodePattern(NamedAfter.INSTANCE_ID, "i-0-i", "i-0-i"), "i-0-i") is None


@pytest.mark.parametrize("private_dns", ["", "web.example.com"])
def test_what_it_is_named_after_has_to_be_known(private_dns: str) -> None:
    assert node_name(parse_node_pattern("@private_dns@"), WEB, private_dns) is None
    assert node_name(DEFAULT_PATTERN, WEB, private_dns) == WEB


@given(st.from_regex(PATTERN, fullmatch=True))
def test_every_pattern_can_be_the_value_of_a_tag(text: str) -> None:
    assert TAG_VALUE.fullmatch(text)


@given(st.from_regex(PATTERN, fullmatch=True), st.from_regex(re.compile("i-[0-9a-f]{17}"), fullmatch=True))
def test_a_node_is_found_by_the_name_that_it_was_given(text: str, instance_id: str) -> None:
    pattern = parse_node_pattern(text)
    name = node_name(pattern, instance_id, f"{instance_id}.ec2.internal")
    assert name
    assert identifier_in(pattern, name) in (instance_id, f"{instance_id}.ec2.internal")


@pytest.mark.parametrize(
    "tags", [{}, {"rollcall:inventory": "prod"}, {"rollcall:chef": "@instance_id@"}, {"rollcall:chef": "nonsense"}]
)
def test_a_group_without_either_tag_has_no_nodes(tags: dict[str, str]) -> None:
    assert read_node_pattern(Group("web", tags, {})) is None


@pytest.mark.parametrize("value", ["", " ", "@instance_id@", " @instance_id@ "])
def test_without_a_value_nodes_are_named_after_their_instance(value: str) -> None:
    group = Group("web", {"rollcall:inventory": "prod", "rollcall:chef": value}, {})
    assert read_node_pattern(group) == DEFAULT_PATTERN
    settings = read_group_settings(group)
    assert settings
    assert settings.nodes == DEFAULT_PATTERN


def test_a_tag_that_cannot_be_followed_elsewhere_does_not_hide_how_nodes_are_named() -> None:
    tags = {"rollcall:inventory": "prod", "rollcall:chef": "", "rollcall:gate": "icmp"}
    assert read_node_pattern(Group("web", tags, {})) == DEFAULT_PATTERN


@given(st.from_regex(PATTERN, fullmatch=True))
def test_whatever_pattern_is_read_may_be_in_its_hosts_marker(text: str) -> None:
    assert refusal_of_value(str(parse_node_pattern(text))) is None
