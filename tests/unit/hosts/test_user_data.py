"""What user data asks for, in all its wrappings; and that nothing in it is believed unread, or repeated."""

from __future__ import annotations

import base64
import gzip
import json
import math
import string
import zlib
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.domain.instances import UserDataParameters
from rollcall.domain.inventory_text import MAX_DEPTH, TEMPLATE_MARKS
from rollcall.hosts.user_data import (
    MAX_ENCODED,
    MAX_GROUPS,
    MAX_UNPACKED,
    MAX_VARIABLES,
    MAX_WRAPPINGS,
    NAMED_MAX,
    Reason,
    UnusableUserData,
    read_user_data,
)
from rollcall.hosts.variables import OUR_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EXAMPLES = Path(__file__).parents[3] / "examples"
VARIABLES = {"app_release": "2026.11.3", "app_ports": [8080, 8443]}
ASKED = UserDataParameters(VARIABLES, ("canary", "eu-west"))
JSON = (EXAMPLES / "user-data.json").read_bytes()
MULTIPART = (EXAMPLES / "user-data.mime").read_bytes()
SECRET = "hunter2hunter2"
SCRIPT = MIMEText(f"#!/bin/sh\necho {SECRET}\n", "x-shellscript")


def read(data: bytes) -> UserDataParameters:
    """The parameters in this user data, as EC2 returns it."""
    return read_user_data(base64.b64encode(data).decode())


def asked(variables: Any = None, groups: Any = (), **others: Any) -> UserDataParameters:
    """What user data with these parameters asks for."""
    fields = {"vars": {} if variables is None else variables, "groups": list(groups), **others}
    return read(json.dumps({"rollcall": fields}).encode())


def refused(data: bytes) -> Reason:
    with pytest.raises(UnusableUserData) as caught:
        read(data)
    return caught.value.reason


def multipart(*parts: MIMEText | MIMEApplication) -> bytes:
    whole = MIMEMultipart()
    for part in parts:
        whole.attach(part)
    return whole.as_bytes()


def json_part(text: bytes = JSON) -> MIMEApplication:
    return MIMEApplication(text, "json")


# Forms

FORMS = {
    "JSON": JSON,
    "JSON among blanks": b"\n  " + JSON + b"\n",
    "base64 of JSON": base64.b64encode(JSON),
    "base64 in lines": base64.encodebytes(JSON),
    "gzip of JSON": gzip.compress(JSON),
    "base64 of gzip of JSON": base64.b64encode(gzip.compress(JSON)),
    "gzip of base64 of JSON": gzip.compress(base64.b64encode(JSON)),
    "multipart": MULTIPART,
    "multipart with lines as mail has them": MULTIPART.replace(b"\n", b"\r\n"),
    "multipart that begins with its version": multipart(SCRIPT, json_part()),
    "gzip of multipart": gzip.compress(MULTIPART),
    "base64 of multipart": base64.b64encode(MULTIPART),
    "multipart with a packed part of JSON": multipart(SCRIPT, MIMEApplication(gzip.compress(JSON), "gzip")),
    "multipart with a packed part called JSON": multipart(SCRIPT, json_part(gzip.compress(JSON))),
    "multipart beside JSON of others": multipart(json_part(b'{"theirs": 1}'), json_part()),
    "JSON beside fields of others": json.dumps({"theirs": [1], **json.loads(JSON)}).encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(form: str) -> None:
    assert read(FORMS[form]) == ASKED


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, UserDataParameters()),
        ({"vars": {"a": 1}}, UserDataParameters({"a": 1})),
        ({"groups": ["b", "a", "b"]}, UserDataParameters(groups=("b", "a"))),
    ],
)
def test_either_may_be_missing_and_a_group_named_twice_counts_once(
    fields: Mapping[str, Any], expected: UserDataParameters
) -> None:
    assert read(json.dumps({"rollcall": fields}).encode()) == expected


# What cannot be followed

BOMB = gzip.compress(b" " * (MAX_UNPACKED * 200))
REFUSALS: dict[str, tuple[bytes, Reason]] = {
    "nothing": (b"", Reason.NONE),
    "blanks": (b" \n", Reason.NONE),
    "a script": (SCRIPT.get_payload(decode=True), Reason.NO_FORM),  # type: ignore[dict-item]
    "cloud-config": (b"#cloud-config\nrollcall: {}\n", Reason.NO_FORM),
    "base64 of a script": (base64.b64encode(b"#!/bin/sh"), Reason.NO_FORM),
    "bytes": (bytes(range(128, 256)), Reason.NO_FORM),
    "JSON that is cut off": (JSON[:-5], Reason.BAD_JSON),
    "JSON with NaN": (b'{"rollcall": {"vars": {"a": NaN}}}', Reason.BAD_JSON),
    "JSON nested beyond what Python reads": (b'{"rollcall": ' + b"[" * 15_000, Reason.BAD_JSON),
    "a number beyond what Python reads": (b'{"rollcall": ' + b"9" * 5000 + b"}", Reason.BAD_JSON),
    "JSON in no known encoding": (b'{"rollcall": "\xff"}', Reason.BAD_JSON),
    "JSON of others": (b'{"theirs": 1}', Reason.NO_OBJECT),
    "a multipart of others": (multipart(SCRIPT), Reason.NO_OBJECT),
    "a multipart with broken JSON": (multipart(json_part(JSON[:-5])), Reason.BAD_JSON),
    "a multipart that says it twice": (multipart(json_part(), json_part()), Reason.TWO_OBJECTS),
    "gzip that is cut off": (gzip.compress(JSON)[:-9], Reason.BAD_GZIP),
    "gzip that is no gzip": (b"\x1f\x8b" + JSON, Reason.BAD_GZIP),
    "gzip with a wrong sum": (gzip.compress(JSON)[:-8] + b"\0" * 8, Reason.BAD_GZIP),
    "a bomb": (BOMB, Reason.TOO_LARGE),
    "a bomb in a part": (multipart(MIMEApplication(BOMB, "gzip")), Reason.TOO_LARGE),
    "a bomb in small portions": (
        gzip.compress(multipart(*[MIMEApplication(gzip.compress(b" " * MAX_UNPACKED), "gzip")] * 20)),
        Reason.TOO_LARGE,
    ),
    "no object": (b'{"rollcall": ["vars"]}', Reason.BAD_OBJECT),
    "variables that are no object": (b'{"rollcall": {"vars": [1]}}', Reason.BAD_VARS),
    "groups that are no list": (b'{"rollcall": {"groups": "web"}}', Reason.BAD_GROUPS),
    "groups that are no names": (b'{"rollcall": {"groups": [1]}}', Reason.BAD_GROUPS),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_followed_has_a_reason_with_a_remedy(name: str) -> None:
    data, reason = REFUSALS[name]
    assert refused(data) == reason
    what, _, remedy = reason.partition(": ")
    assert what
    assert remedy


def test_every_reason_but_those_of_sizes_has_an_example() -> None:
    sizes = {Reason.TOO_WRAPPED, Reason.TOO_MANY_VARIABLES, Reason.TOO_MANY_GROUPS, Reason.BAD_MULTIPART}
    assert {reason for _, reason in REFUSALS.values()} == set(Reason) - sizes


def test_a_multipart_on_which_pythons_parser_fails_is_refused() -> None:
    # A charset with a NUL in a parameter written as RFC 2231 has it: email.utils raises ValueError.
    broken = b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary*=\0x''b%62\n\n--bb\n\n{}\n--bb--\n"
    assert refused(broken) == Reason.BAD_MULTIPART


def test_more_than_ec2_takes_is_not_even_decoded() -> None:
    with pytest.raises(UnusableUserData, match="larger than"):
        read_user_data("=" * (MAX_ENCODED + 1))


def test_what_is_no_base64_is_refused() -> None:
    for text in ("{}", "ä", "\ud800"):
        with pytest.raises(UnusableUserData) as caught:
            read_user_data(text)
        assert caught.value.reason == Reason.NO_FORM


@pytest.mark.parametrize("wrap", [gzip.compress, base64.b64encode])
def test_wrappings_end(wrap: Callable[[bytes], bytes]) -> None:
    data = JSON
    for _ in range(MAX_WRAPPINGS):
        data = wrap(data)
    assert read(data) == ASKED
    assert refused(wrap(data)) == Reason.TOO_WRAPPED


def test_a_bomb_is_not_unpacked_beyond_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    class Counting:
        def __init__(self, *given: Any) -> None:
            self._real = original(*given)

        def decompress(self, data: bytes, most: int) -> bytes:
            unpacked: bytes = self._real.decompress(data, most)
            taken.append(len(unpacked))
            return unpacked

        @property
        def eof(self) -> bool:
            return bool(self._real.eof)

    original = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", Counting)
    for name in ("a bomb", "a bomb in a part", "a bomb in small portions"):
        taken.clear()
        refused(REFUSALS[name][0])
        assert sum(taken) <= MAX_UNPACKED + 1


# Variables


@pytest.mark.parametrize(
    "name",
    [*OUR_KEYS, "ansible_connection", "ansible_user", "_ansible_coverage_remote_output", "environment", "hostvars"],
)
def test_no_variable_steers_ansible_or_takes_the_place_of_ours(name: str) -> None:
    found = asked({name: "local", "fine": 1})
    assert found.variables == {"fine": 1}
    assert f"variable {name} (Ansible's or Rollcall's own)" in found.warning


@pytest.mark.parametrize(("name", "why"), [("awx_job_id", "Tower's own"), ("class", "no variable is called so")])
def test_no_variable_has_a_name_that_would_not_arrive(name: str, why: str) -> None:
    assert asked({name: "x", "port": 1}) == UserDataParameters({"port": 1}, warning=f"variable {name} ({why})")


@pytest.mark.parametrize("key", ["__ansible_vault", "__ansible_unsafe", "__ansible_type"])
def test_nothing_is_passed_on_that_ansible_reads_as_an_object_of_its_own(key: str) -> None:
    assert asked({key: SECRET}).variables == {}
    found = asked({"deep": [{"er": {key: SECRET}}]})
    assert found == UserDataParameters(warning="variable deep (Ansible would read it as something else)")


@pytest.mark.parametrize("mark", TEMPLATE_MARKS)
@pytest.mark.parametrize("place", ["{text}", '["{text}"]', '{{"a": [1, "{text}"]}}', '{{"{text}": 1}}'])
def test_what_tower_would_evaluate_is_left_out_wherever_it_hides(mark: str, place: str) -> None:
    value = json.loads(place.format(text=f"{SECRET}{mark}") if place != "{text}" else json.dumps(f"{SECRET}{mark}"))
    found = asked({"motd": value, "fine": "{ % }"})
    assert found == UserDataParameters({"fine": "{ % }"}, warning="variable motd (Tower would evaluate it)")


@pytest.mark.parametrize("text", [r'"\u0000"', r'"\ud800"', "1e999", "-1e999", r'[["\udfff"]]', r'{"\u0000": 1}'])
def test_what_tower_cannot_store_is_left_out(text: str) -> None:
    found = read(f'{{"rollcall": {{"vars": {{"odd": {text}}}}}}}'.encode())
    assert found == UserDataParameters(warning="variable odd (Tower cannot store it)")


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "ä", "a" * 65, "{{ a }}", SECRET + "!"])
def test_a_name_that_is_none_is_left_out_and_not_repeated(name: str) -> None:
    found = asked({name: 1})
    assert found == UserDataParameters(warning="a variable whose name is not up to 64 letters, digits and _")


def test_lists_and_objects_within_each_other_end() -> None:
    deepest: Any = 1
    for _ in range(MAX_DEPTH):
        deepest = [deepest]
    assert asked({"deep": deepest}).variables == {"deep": deepest}
    assert asked({"deep": [deepest]}).variables == {}
    assert "variable deep (more than 8 lists" in asked({"deep": [deepest]}).warning


def test_variables_have_a_size() -> None:
    room = MAX_VARIABLES - len(json.dumps({"a": ""}))
    assert asked({"a": "x" * room}).variables
    assert refused(json.dumps({"rollcall": {"vars": {"a": "x" * (room + 1)}}}).encode()) == Reason.TOO_MANY_VARIABLES


def test_what_is_left_out_of_the_variables_takes_no_room() -> None:
    assert asked({"ansible_motd": "x" * MAX_VARIABLES, "fine": 1}).variables == {"fine": 1}


# Groups


@pytest.mark.parametrize("name", ["web", "eu-west_1", "a.b:c/d@e=f+g", "größe", "x" * 128])
def test_a_group_may_be_called_what_a_tag_could_call_it(name: str) -> None:
    assert asked(groups=[name]) == UserDataParameters(groups=(name,))


@pytest.mark.parametrize("name", ["", "a b", "a,b", "{{a}}", "{%a", "x" * 129, "\ud800", "a\n", SECRET + "!"])
def test_any_other_name_of_a_group_is_left_out_and_not_repeated(name: str) -> None:
    found = asked(groups=[name, "fine"])
    assert found.groups == ("fine",)
    assert found.warning == "a group whose name is not up to 128 letters, digits and + - = . _ : / @"


@pytest.mark.parametrize("name", ["all", "ungrouped", "_meta"])
def test_a_group_of_ansibles_own_is_left_out(name: str) -> None:
    assert asked(groups=[name]) == UserDataParameters(warning=f"group {name} (Ansible's own)")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_a_group_of_the_control_nodes_name_is_left_out(name: str) -> None:
    assert asked(groups=[name]) == UserDataParameters(warning=f"group {name} (Ansible's own)")


@pytest.mark.parametrize("name", ["i-0123456789abcdef0", f"../{SECRET}", f"__ansible_{SECRET}"])
def test_a_group_that_would_do_harm_is_left_out_and_not_repeated(name: str) -> None:
    found = asked(groups=[name, "fine"])
    assert found.groups == ("fine",)
    assert "a group whose name is none for a group" in found.warning
    assert name not in found.warning


def test_there_may_be_only_so_many_groups() -> None:
    names = [f"g{number}" for number in range(MAX_GROUPS)]
    assert asked(groups=names).groups == tuple(names)
    assert refused(json.dumps({"rollcall": {"groups": [*names, "more"]}}).encode()) == Reason.TOO_MANY_GROUPS


def test_a_misspelt_field_is_reported() -> None:
    assert asked({"a": 1}, var={"b": SECRET}) == UserDataParameters(
        {"a": 1}, warning="a field beside 'vars' and 'groups'"
    )


def test_a_long_list_of_what_is_left_out_is_cut() -> None:
    words = asked({f"ansible_{number}": 1 for number in range(NAMED_MAX + 5)}).warning
    assert words.count("variable ansible_") == NAMED_MAX
    assert words.endswith(", and 5 more")


# Whatever it is

NAMES = st.one_of(
    st.text(max_size=12),
    st.sampled_from([*OUR_KEYS, "ansible_user", "__ansible_vault", "fine", "also_fine"]),
    st.text(string.ascii_letters + "_-{%", max_size=8),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.sampled_from(["{{ x }}", "{% x %}", "{# x #}", "\0"]),
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=12)
FIELDS = st.fixed_dictionaries(
    {}, optional={"vars": st.dictionaries(NAMES, VALUES) | VALUES, "groups": st.lists(NAMES) | VALUES, "more": VALUES}
)
WRAPPINGS: list[Callable[[bytes], bytes]] = [
    gzip.compress,
    base64.b64encode,
    lambda data: multipart(SCRIPT, MIMEApplication(data, "json")),
    lambda data: data[: len(data) // 2],
    lambda data: data[:-1] + bytes([data[-1] ^ 1]) if data else data,
]


def texts_in(value: Any) -> list[str]:
    """Every text in a value, keys too."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, each in value.items() for text in [key, *texts_in(each)]]
    return [text for each in value for text in texts_in(each)] if isinstance(value, list) else []


def keys_in(value: Any) -> list[str]:
    own = list(value) if isinstance(value, dict) else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return own + [key for each in inner for key in keys_in(each)]


def floats_in(value: Any) -> list[float]:
    if isinstance(value, float):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [number for each in inner for number in floats_in(each)]


@given(st.text(max_size=200) | st.binary(max_size=2000).map(lambda data: base64.b64encode(data).decode()))
def test_whatever_it_is_it_is_read_or_refused_for_a_reason(text: str) -> None:
    try:
        outcome: object = read_user_data(text)
    except UnusableUserData as error:
        outcome = error.reason
    assert isinstance(outcome, (UserDataParameters, Reason))


@given(FIELDS, st.lists(st.sampled_from(WRAPPINGS), max_size=4))
def test_whatever_is_in_it_what_comes_out_can_do_no_harm(
    fields: dict[str, Any], wrappings: list[Callable[[bytes], bytes]]
) -> None:
    data = json.dumps({"rollcall": fields}).encode()
    for wrap in wrappings:
        data = wrap(data)
    try:
        found = read(data)
    except UnusableUserData:
        return
    assert found.variables.items() <= fields.get("vars", {}).items() or not found.variables
    assert set(found.groups) <= set(fields.get("groups", []))
    assert not [name for name in found.variables if name in OUR_KEYS or name.startswith("ansible_")]
    texts = texts_in(found.variables)
    assert not [text for text in [*texts, *found.groups] if any(mark in text for mark in (*TEMPLATE_MARKS, "\0"))]
    assert not [key for key in keys_in(found.variables) if key.startswith("__ansible")]
    assert all(map(math.isfinite, floats_in(found.variables)))
    assert len(json.dumps(found.variables)) <= MAX_VARIABLES
    " ".join([*texts, *found.groups]).encode()


def salted(value: Any) -> Any:
    """The value with a secret in every text and key of it but for names that could be those of variables."""
    if isinstance(value, str):
        return value + SECRET
    if isinstance(value, dict):
        return {f"{key}{SECRET}!": salted(each) for key, each in value.items()}
    return [salted(each) for each in value] if isinstance(value, list) else value


@given(FIELDS, st.lists(st.sampled_from(WRAPPINGS), max_size=4), st.booleans())
def test_no_reason_and_no_warning_repeats_what_is_in_it(
    fields: dict[str, Any], wrappings: list[Callable[[bytes], bytes]], whole: bool
) -> None:
    inner = {key: salted(value) for key, value in fields.items()}
    data = json.dumps({"rollcall": inner} if whole else {SECRET: inner}).encode()
    for wrap in wrappings:
        data = wrap(data)
    try:
        said = read(data).warning
    except UnusableUserData as error:
        said = f"{error} {error!r} {error.args} {error.__cause__}"
    assert SECRET not in said
