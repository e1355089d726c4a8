"""What text from outside may become, and why not. tests/truth holds the same rules to real ansible-cores."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.domain.inventory_text import (
    MAX_DEPTH,
    Refusal,
    json_is_surely_plain,
    refusal_of_group_name,
    refusal_of_host_name,
    refusal_of_key,
    refusal_of_text,
    refusal_of_value,
    refusal_of_variable_name,
    texts_are_surely_plain,
)
from rollcall.domain.job_limit import limit_to

OVERRIDE = '#jinja2:variable_start_string:"[%",variable_end_string:"%]"\n[% lookup("pipe", "id") %]'
EVALUATED = ["{{ x }}", "a {{", "{% if x %}", "{#", "\\{{", OVERRIDE, "#jinja2:x"]
NOT_STORED = ["\0", "a\0b", "\ud800", "\udfffx"]
PLAIN_TEXTS = [
    "",
    " x ",
    "}}",
    "{ {",
    "${x}",
    "# jinja2:",
    "x #jinja2:trim_blocks:False",
    "!vault |",
    "__ansible_vault",
    'it\'s "quoted" \\ `x` $HOME #',
    "größe 🎉",
    "\x1b[31m",
    "[1, 2]",
    "yes",
]


@pytest.mark.parametrize("text", EVALUATED)
def test_what_a_template_could_be_made_of_is_no_plain_text(text: str) -> None:
    assert refusal_of_text(text) == Refusal.EVALUATED


@pytest.mark.parametrize("text", NOT_STORED)
def test_what_cannot_be_stored_is_no_plain_text(text: str) -> None:
    assert refusal_of_text(text) == Refusal.NOT_STORABLE


@pytest.mark.parametrize("text", PLAIN_TEXTS)
def test_everything_else_is_plain_text(text: str) -> None:
    assert refusal_of_text(text) is None
    assert refusal_of_value({text or "x": [text]}) == (Refusal.READ_AS_OBJECT if text.startswith("__ansible") else None)


@pytest.mark.parametrize("key", ["__ansible_vault", "__ansible_unsafe", "__ansible_type", "__ansible", "__ansible_new"])
def test_no_key_is_one_that_ansible_makes_an_object_of_however_deep_it_is(key: str) -> None:
    assert refusal_of_key(key) == Refusal.READ_AS_OBJECT
    value: Any = {key: "x", "other": 1}
    for _ in range(MAX_DEPTH - 1):
        assert refusal_of_value(value) == Refusal.READ_AS_OBJECT
        value = [value] if isinstance(value, dict) else {"in": value}


@pytest.mark.parametrize("text", [*EVALUATED, *NOT_STORED])
def test_a_key_is_as_plain_as_a_value(text: str) -> None:
    assert refusal_of_value({"in": [{text: 1}]}) == refusal_of_value([[text]]) == refusal_of_text(text)


VALUES: dict[str, tuple[Any, Refusal | None]] = {
    "nothing": (None, None),
    "true": (True, None),
    "a number": (-(2**70), None),
    "the largest number": (2**14_284 - 1, None),
    "a number that Python does not read": (10**4300 * 9, Refusal.NOT_STORABLE),
    "a fraction": (1e308, None),
    "no number": (math.nan, Refusal.NOT_STORABLE),
    "infinity": (-math.inf, Refusal.NOT_STORABLE),
    "no JSON": ((1,), Refusal.NOT_STORABLE),
    "a key that is no text": ({1: 2}, Refusal.NOT_STORABLE),
    "an empty list": ([], None),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_what_json_holds(name: str) -> None:
    value, why = VALUES[name]
    assert refusal_of_value(value) == why
    assert refusal_of_value({"in": [value]}) == why


def test_lists_and_objects_within_each_other_end() -> None:
    deep: Any = "x"
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert refusal_of_value(deep) is None
    assert refusal_of_value({"one more": deep}) == Refusal.TOO_DEEP


@pytest.mark.parametrize("name", ["app_release", "port", "name", "tags", "hosts", "true", "_x", "tower_url", "x" * 64])
def test_a_name_that_arrives_may_be_a_variables(name: str) -> None:
    assert refusal_of_variable_name(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "ansible_host",
        "ansible_facts",
        "_ansible_coverage_remote_output",
        "__ansible_vault",
        "environment",
        "inventory_hostname",
        "inventory_dir",
        "hostvars",
        "vars",
        "omit",
        "role_path",
        "lookup",
        "q",
        "range",
    ],
)
def test_no_variable_has_a_name_that_ansible_uses_itself(name: str) -> None:
    assert refusal_of_variable_name(name) == Refusal.RESERVED_BY_ANSIBLE


@pytest.mark.parametrize(
    "name",
    [
        "remote_tower_id",
        "remote_host_enabled",
        "awx_job_id",
        "tower_workflow_job_name",
        "awx_parent_job_schedule_id",
        "tower_schedule_name",
        "awx_user_first_name",
        "tower_inventory_name",
        "awx_project_revision",
        "tower_job_template_id",
        "awx_execution_node",
        "tower_webhook_payload",
    ],
)
def test_no_variable_has_a_name_that_tower_sets_itself(name: str) -> None:
    assert refusal_of_variable_name(name) == Refusal.RESERVED_BY_TOWER


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "ä", "x" * 65, "class", "None", "in", "a\n", "{{ a }}"])
def test_a_variables_name_is_one(name: str) -> None:
    assert refusal_of_variable_name(name) == Refusal.NOT_A_VARIABLE_NAME


GROUPS = {
    Refusal.RESERVED_BY_ANSIBLE: ["all", "ungrouped", "_meta", "localhost", "127.0.0.1", "::1"],
    Refusal.LIKE_A_HOST: ["i-0", "i-0123456789abcdef0"],
    Refusal.READ_AS_PATH: [".", "..", "../web", "web/..", "a/../b", "./web", "/../etc"],
    Refusal.NOT_PRINTABLE: ["", " ", " web", "web ", "a\nb", "a\tb", "a\0b", "\ud800", "a\u2028b"],
    Refusal.READ_AS_OBJECT: ["__ansible_vault", "__ansible"],
    Refusal.EVALUATED: ["{{ web }}", "{%web", "a{#", "#jinja2:web"],
}


@pytest.mark.parametrize(("name", "why"), [(name, why) for why, names in GROUPS.items() for name in names])
def test_what_would_do_harm_is_no_inventory_groups_name(name: str, why: Refusal) -> None:
    assert refusal_of_group_name(name) == why


@pytest.mark.parametrize(
    "name",
    [
        "web",
        "All",
        "web-1.2",
        "prod/web",
        "/web",
        "...",
        "a..b",
        "web:8080",
        "web,db",
        "!web",
        "&web",
        "~w.b",
        "*",
        "web[0]",
        "@web",
        "-x",
        "two words",
        'it\'s "web" $x `y` \\ #',
        "größe",
        "i-",
        "i-web-1",
        "i-0123456789abcdef01",
        "I-0",
        "hosts",
        "vars",
        "x" * 255,
    ],
)
def test_whatever_does_no_harm_may_be_an_inventory_groups_name(name: str) -> None:
    assert refusal_of_group_name(name) is None


def test_a_limit_names_instances_and_nothing_else() -> None:
    assert limit_to(["i-0123456789abcdef0", "i-a"]) == "i-0123456789abcdef0,i-a"


@pytest.mark.parametrize("name", ["i-0123456789abcdef0", "i-a", "i-01234567"])
def test_a_host_is_called_what_its_instance_is(name: str) -> None:
    assert refusal_of_host_name(name) is None


@pytest.mark.parametrize(
    "name",
    ["", "i-", "I-a", "i-db-1", "i-0123456789abcdef01", " i-a", "i-a\n", "i-a:22", "i-a,i-b", "i-{{ a }}", "i-\0"],
)
def test_nothing_else_is_a_hosts_name(name: str) -> None:
    assert refusal_of_host_name(name) == Refusal.NOT_AN_INSTANCE_ID


@pytest.mark.parametrize(
    "strange",
    [
        "i-db-1",
        "",
        "all",
        "web",
        "i-",
        "i-a,all",
        "i-a:all",
        "i-a:!i-b",
        "!i-a",
        "i-*",
        "i-a[0]",
        "~i-a",
        "@i-a",
        "i-A",
        "i-a\n",
    ],
)
def test_nothing_else_ever_gets_into_a_limit(strange: str) -> None:
    with pytest.raises(ValueError, match="instances only"):
        limit_to(["i-a", strange])
    with pytest.raises(ValueError, match="limit"):
        limit_to([])


TEXTS = st.one_of(
    st.text(max_size=12),
    st.text("{%#}j:a_", max_size=8),
    st.sampled_from([*EVALUATED, *NOT_STORED, *PLAIN_TEXTS, "__ansible_vault"]),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=15,
)


def texts_in(value: Any) -> list[str]:
    """Every text in a value, keys too."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, each in value.items() for text in [key, *texts_in(each)]]
    return [text for each in value for text in texts_in(each)] if isinstance(value, list) else []


@given(JSON)
def test_a_value_is_plain_if_and_only_if_every_text_in_it_is(value: Any) -> None:
    if refusal_of_value(value) is None:
        assert json.loads(json.dumps(value, allow_nan=False).encode()) == value
        assert not any(map(refusal_of_text, texts_in(value)))
        "".join(texts_in(value)).encode()
    elif refusal_of_value(value) == Refusal.EVALUATED:
        assert Refusal.EVALUATED in map(refusal_of_text, texts_in(value))


@given(JSON, st.booleans())
def test_what_is_surely_plain_holds_nothing_that_is_not(value: Any, ascii_only: bool) -> None:
    try:
        text = json.dumps(value, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:
        return
    if json_is_surely_plain(text):
        assert refusal_of_value(value) not in (Refusal.EVALUATED, Refusal.READ_AS_OBJECT)
        assert not any(map(refusal_of_text, texts_in(value)))


@pytest.mark.parametrize("text", [*EVALUATED, *NOT_STORED, "__ansible_vault"])
def test_what_is_not_plain_is_never_surely_so(text: str) -> None:
    assert not json_is_surely_plain(json.dumps({"in": [{text: text}]}).encode())
    assert not texts_are_surely_plain(["fine", text])


def test_what_is_usual_is_surely_plain() -> None:
    assert json_is_surely_plain(json.dumps({"a": {"b": [{}], "größe": "{ x } % #"}}, ensure_ascii=False).encode())
    assert texts_are_surely_plain(["größe", "a {", "% b", "{ x } % #", ""])


@given(st.lists(TEXTS))
def test_of_surely_plain_texts_none_has_anything_against_it(texts: list[str]) -> None:
    if texts_are_surely_plain(texts):
        assert not any(map(refusal_of_text, texts))
        assert not any(map(refusal_of_key, texts))


@given(TEXTS)
def test_no_reason_repeats_what_it_is_about(text: str) -> None:
    for why in (
        refusal_of_text(text),
        refusal_of_key(text),
        refusal_of_variable_name(text),
        refusal_of_group_name(text),
        refusal_of_host_name(text),
    ):
        assert why is None or why in list(Refusal)
