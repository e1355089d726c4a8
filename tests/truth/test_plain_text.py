"""What may become part of an inventory, held to real ansible-cores: what is let through arrives, what is not does harm.

Inventories are handed over as AWX does: an executable script that prints what its script endpoint would answer.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.groups import AddressKind, GroupSettings, OnFailure
from rollcall.domain.instances import Instance
from rollcall.domain.inventory_text import (
    ANSIBLE_GROUPS,
    RESERVED,
    VARIABLE,
    Refusal,
    refusal_of_group_name,
    refusal_of_key,
    refusal_of_text,
    refusal_of_value,
    refusal_of_variable_name,
)
from rollcall.domain.job_limit import limit_to
from rollcall.hosts.variables import host_variables

from .environments import CORES, HERE, environment_of, run_project

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

type Json = dict[str, Any]

INSIDE = HERE / "inside"  # what runs on an ansible-core's own Python
OVERRIDE = '#jinja2:variable_start_string:"[%",variable_end_string:"%]"\n[% lookup("pipe", "id") %]'
STRANGER = {"ansible_host": "192.0.2.9", "ansible_user": "operator", "note": "mine"}
FILES = {  # beside the playbook, as in any project
    "site.yml": "- hosts: all\n  tasks: []\n",
    "group_vars/web.yml": "of_web: 1\n",
    "group_vars/secret.yml": "of_secret: 1\n",
    "host_vars/db1.yml": "of_db1: 1\n",
}
FROM_FILES = ("of_web", "of_secret", "of_db1")
OBJECTS = ("__ansible_vault", "__ansible_unsafe", "__ansible_type")
SEED = 20261129
GENERATED = 400

# What texts are made of that may have a meaning elsewhere: shells, YAML, Jinja, patterns, paths, JSON, Python.
FRAGMENTS = (
    *("{{", "}}", "{%", "%}", "{#", "#}", "{", "}", "[", "]", "(", ")", "<%", "%>", "[[", "]]", "#jinja2:", "#"),
    *("__ansible_vault", "__ansible_unsafe", "__ansible_type", "__ansible", "ansible_host", "_meta", "hostvars", "all"),
    *(
        "$ANSIBLE_VAULT;1.1;AES256\n6162",
        "!vault",
        "!unsafe",
        "$encrypted$",
        "<<: *x",
        "&x",
        "*",
        "---",
        "...",
        "%(x)s",
    ),
    *(
        "'",
        '"',
        "`",
        "$",
        "$x",
        "${x}",
        "$(id)",
        "\\",
        "\\n",
        "\\u0041",
        "!",
        "~",
        "|",
        ">",
        "<",
        "&",
        ";",
        ":",
        ": ",
        ",",
    ),
    *(
        ".",
        "..",
        "/",
        "//",
        "?",
        "@",
        "=",
        "+",
        "-",
        "--limit",
        "^",
        " ",
        "\t",
        "\n",
        "\r\n",
        "\x1b[31m",
        "\x85",
        "\u2028",
    ),
    *(
        "ä",
        "ﬀ",
        "🎉",
        "\ufeff",
        "\u202e",
        "0",
        "1e3",
        "0o7",
        "null",
        "~",
        "yes",
        "True",
        "None",
        "NaN",
        "a",
        "web",
        "Name",
    ),
    *(
        "\0",
        "\ud800",
        "i-0123456789abcdef0",
        "localhost",
        "omit",
        "__omit_place_holder__",
        "{'a': 1}",
        '{"a": 1}',
        "[1]",
    ),
)


def generated() -> Iterator[str]:
    """Every fragment, and texts made of some of them; the same ones in each run."""
    yield from FRAGMENTS
    chance = random.Random(SEED)
    for _ in range(GENERATED):
        yield "".join(chance.choice(FRAGMENTS) for _ in range(chance.randint(1, 4)))


def instance(tags: Mapping[str, str]) -> Instance:
    return Instance(
        instance_id="i-0",
        state="running",
        launched_at=0.0,
        addresses=dict.fromkeys(AddressKind, "192.0.2.1"),
        facts={"id": "i-0", "vpc": "vpc-1"},
        tags=tags,
    )


def settings(group: str) -> GroupSettings:
    return GroupSettings(
        group=group,
        inventory="prod",
        inventory_groups=(group,),
        job_template=None,
        gate=(),
        timeout=1800,
        on_failure=OnFailure.ABANDON,
        address=AddressKind.PRIVATE,
    )


def script_of(hosts: Mapping[str, Mapping[str, object]], groups: Mapping[str, list[str]]) -> str:
    """An inventory as AWX writes it for a job (awx/main: Inventory.get_script_data, RunJob.write_inventory_file)."""
    grouped = {name for members in groups.values() for name in members}
    everything: Json = {"hosts": [name for name in hosts if name not in grouped], "children": list(groups)}
    data: Json = {"all": everything, **{name: {"hosts": members} for name, members in groups.items()}}
    towers_own = {"remote_tower_enabled": "true", "remote_tower_id": 7}
    data.setdefault("_meta", {})["hostvars"] = {name: {**own, **towers_own} for name, own in hosts.items()}
    return f"#! /usr/bin/env python3\n# -*- coding: utf-8 -*-\nprint({json.dumps(data)!r})\n"


# What is let through


WRITE = """
- hosts: all
  gather_facts: false
  tasks:
    - name: from a fact
      ansible.builtin.set_fact: {keys_again: "{{ ec2.tags | list }}", values_again: "{{ ec2.tags.values() | list }}"}
    - name: what arrived
      ansible.builtin.copy:
        dest: "{{ lookup('env', 'OUT') }}/{{ inventory_hostname }}.json"
        mode: "0600"
        content: >-
          {{ {'ec2': ec2, 'rollcall': rollcall, 'address': ansible_host, 'groups': group_names,
              'asked': dict(asked_names | zip(asked_names | map('extract', hostvars[inventory_hostname]))),
              'direct': dict(asked_names | zip(asked_names | map('extract', vars))),
              'again': dict(keys_again | zip(values_again)), 'stranger': hostvars['db1'].note,
              'range': range(3) | list, 'env': lookup('env', 'OUT')} | to_json }}
"""


@pytest.mark.parametrize("core", CORES)
def test_whatever_is_let_through_arrives_as_it_is_and_stops_no_job(core: str, tmp_path: Path) -> None:
    texts = list(dict.fromkeys(generated()))
    given = {f"tag {number}": text for number, text in enumerate(texts)} | dict.fromkeys(texts, "x")
    ours = host_variables(settings("web"), instance(given), "123456789012", "us-east-1", 7)
    names = [*knows(core)["keywords"], *knows(core)["special"], *texts, "port", "true"]
    nested: dict[str, object] = {f"deep_{number}": [{"in": [text, {text: 1}]}] for number, text in enumerate(texts)}
    values: dict[str, object] = {
        "number": -(2**70),
        "huge": 2**14_284 - 1,
        "small": 1e-308,
        "nothing": None,
        "no": False,
        "empty": [{}],
    }
    wanted: dict[str, object] = {name: f"of {name}" for name in names} | nested | values
    asked = {
        name: each for name, each in wanted.items() if not refusal_of_variable_name(name) and not refusal_of_value(each)
    }
    groups = [text for text in texts if not refusal_of_group_name(text)]
    hosts: dict[str, Json] = {
        "i-0": {**asked, "asked_names": sorted(asked), **ours},
        "i-1": {"asked_names": [], **ours},
        "db1": STRANGER,
    }
    done = run(core, tmp_path, hosts, {name: ["i-0"] for name in groups})
    for name, own in (("i-0", asked), ("i-1", {})):
        arrived = done[name]
        assert (arrived["ec2"], arrived["rollcall"]) == (ours["ec2"], ours["rollcall"])
        assert arrived["again"] == ours["ec2"]["tags"]  # type: ignore[index]
        assert arrived["asked"] == arrived["direct"] == own
        assert arrived["address"] == "192.0.2.1"
        assert arrived["stranger"] == "mine"
        assert arrived["range"] == [0, 1, 2]
    assert sorted(done["i-0"]["groups"]) == sorted(groups)
    assert done["i-1"]["groups"] == ["ungrouped"]
    assert set(done) == {"i-0", "i-1"}, "the limit let others in, or not them"
    assert len(given) > len(ours["ec2"]["tags"]) > len(given) / 2  # type: ignore[index]


def run(core: str, folder: Path, hosts: Mapping[str, Json], groups: Mapping[str, list[str]]) -> dict[str, Json]:
    """What a job limited to two hosts found on each host that it ran on."""
    for name, text in {**FILES, "site.yml": WRITE}.items():
        path = folder / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    script = folder / "inventory" / "hosts"
    script.parent.mkdir()
    local = {"ansible_connection": "local", "ansible_python_interpreter": str(environment_of(core))}
    script.write_text(script_of({name: {**local, **own} for name, own in hosts.items()}, groups))
    script.chmod(0o700)
    out = folder / "out"
    out.mkdir()
    environment = {"OUT": str(out), "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True"}
    done = run_project(core, folder, environment, ("--limit", limit_to(["i-0", "i-1"])))
    assert done.status == "successful", done.output[-4000:]
    [stats] = [each["event_data"] for each in done.events if each["event"] == "playbook_on_stats"]
    assert stats["ok"].keys() == {"i-0", "i-1"}
    return {path.stem: json.loads(path.read_text()) for path in out.iterdir()}


# What is not


@cache
def read(core: str, cases: str) -> Json:
    """What an ansible-core knows of itself, and makes of inventories."""
    python = environment_of(core)
    done = subprocess.run(
        [str(python), str(INSIDE / "read_inventories.py")],
        input=cases,
        env={"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    )
    found: Json = json.loads(done.stdout)
    return found


def knows(core: str) -> dict[str, list[str]]:
    """The names that an ansible-core keeps to itself, by their kind."""
    found: dict[str, list[str]] = read(core, "[]")["knows"]
    return found


def case(own: Mapping[str, object], group: str = "fine") -> Json:
    """An inventory of a host with these variables in this group, another host in a group, and a stranger."""
    hosts: dict[str, Mapping[str, object]] = {
        "i-0": {"ansible_host": "192.0.2.1", **own},
        "i-1": {"ansible_host": "192.0.2.2", "note": "plain"},
        "db1": STRANGER,
    }
    return {
        "script": script_of(hosts, {group: ["i-0"], "others": ["i-1"]}),
        "files": FILES,
        "variables": [*dict.fromkeys(key for each in hosts.values() for key in each), *FROM_FILES],
        "limits": ["i-0", "i-1", "i-0,i-1", "db1", "others", "ungrouped", "localhost", "127.0.0.1", "::1"],
    }


DEEP = json.loads("[" * 300 + "]" * 300)
EVALUATED = ("{{ x }}", "a {{", "{% if x %}", "{#", OVERRIDE, "#jinja2:x")
VALUES: dict[str, Any] = {
    **{f"a text {each!r}": each for each in (*EVALUATED, "\ud800")},
    **{f"a text deep in it {each!r}": [{"in": [each]}] for each in (*EVALUATED, "\ud800")},
    **{f"a key {each!r}": [{each: "x"}] for each in (*OBJECTS, "\ud800")},
    **{f"a key of an object {each!r}": [{each: {"in": 1}, "other": 1}] for each in (*OBJECTS, "\ud800")},
    "300 lists within each other": DEEP,
}
NAMES = ("environment", "vars", "groups", "playbook_dir", "inventory_hostname", "remote_tower_id")
GROUPS = (
    *sorted(ANSIBLE_GROUPS),
    *("i-1", ".", "..", "../host_vars/db1", "a/../secret", "./secret"),
    *OBJECTS,
    *("{{ 1 }}", "{% x", "{#", "#jinja2:x", "\ud800"),
)
LIKE_A_HOST = "db1"
PLAIN_VALUES: dict[str, Any] = {"a text": "plain", "an object": {"in": ["plain"]}, "a number": 80, "nothing": None}
PLAIN_GROUPS = ("web-1", "web:80", "*", "a, b", "!x", "/web", "prod/web", 'it\'s "x" $y', "two words", "größe", "hosts")


@cache
def answers(core: str) -> dict[str, Json]:
    """What an ansible-core makes of an inventory with each of these in it, by name."""
    cases = {"": case({})}
    cases |= {name: case({"note": each}) for name, each in (VALUES | PLAIN_VALUES).items()}
    cases |= {f"variable {name}": case({name: "x"}) for name in NAMES}
    cases |= {f"group {name}": case({}, name) for name in (*GROUPS, LIKE_A_HOST, *PLAIN_GROUPS)}
    return dict(zip(cases, read(core, json.dumps(list(cases.values())))["answers"], strict=True))


def does_harm(core: str, name: str, own: Mapping[str, object], group: str = "fine") -> bool:
    """Whether something else arrives than was given, or anything of another host is not as it is without that."""
    fine = answers(core)[""]
    expected = {**fine, "hosts": {**fine["hosts"], "i-0": {"ansible_host": "192.0.2.1", **own, "group_names": [group]}}}
    return json.dumps(answers(core)[name], sort_keys=True) != json.dumps(expected, sort_keys=True)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_is_refused_does_harm(name: str) -> None:
    assert refusal_of_value(VALUES[name])
    assert any(does_harm(core, name, {"note": VALUES[name]}) for core in CORES)


@pytest.mark.parametrize("name", NAMES)
def test_a_variable_that_is_refused_does_not_arrive(name: str) -> None:
    assert refusal_of_variable_name(name)
    assert any(does_harm(core, f"variable {name}", {name: "x"}) for core in CORES)


@pytest.mark.parametrize("name", GROUPS)
def test_a_groups_name_that_is_refused_does_harm(name: str) -> None:
    assert refusal_of_group_name(name)
    assert any(does_harm(core, f"group {name}", {}, name) for core in CORES)


@pytest.mark.parametrize("core", CORES)
def test_a_group_that_is_called_like_a_host_takes_what_is_the_hosts(core: str) -> None:
    # No name alone shows it: Tower makes no such group, and doctor looks for one.
    assert does_harm(core, f"group {LIKE_A_HOST}", {}, LIKE_A_HOST)


@pytest.mark.parametrize("core", CORES)
def test_what_is_let_through_does_none(core: str) -> None:
    assert not [
        name for name in PLAIN_GROUPS if refusal_of_group_name(name) or does_harm(core, f"group {name}", {}, name)
    ]
    assert not [
        name for name, each in PLAIN_VALUES.items() if refusal_of_value(each) or does_harm(core, name, {"note": each})
    ]


def test_the_names_that_are_refused_are_those_that_ansible_keeps_to_itself() -> None:
    special = {name for core in CORES for name in knows(core)["special"] if not name.startswith("ansible_")}
    functions = {name for core in CORES for name in knows(core)["functions"]}
    assert special | functions | {"environment", "vars"} == RESERVED
    assert all(set(knows(core)["control_node"]) < ANSIBLE_GROUPS for core in CORES)


@pytest.mark.parametrize("core", CORES)
def test_no_variable_that_steers_ansible_gets_through(core: str) -> None:
    steering = [name for name in knows(core)["steering"] if VARIABLE.fullmatch(name)]
    assert "ansible_connection" in steering
    assert [name for name in steering if not refusal_of_variable_name(name)] == ["_z_test_entry"] * (core == "newest")


LOOP = """
- hosts: i-0
  gather_facts: false
  tasks:
    - ansible.builtin.debug: {msg: "<<{{ item.key }}>>"}
      loop: "{{ note | dict2items }}"
"""


@pytest.mark.parametrize("key", ["{{ 7 * 7 }}", "{# x #}"])
def test_a_key_that_is_refused_is_evaluated_once_a_playbook_makes_a_value_of_it(key: str, tmp_path: Path) -> None:
    assert refusal_of_key(key) == refusal_of_text(key) == Refusal.EVALUATED
    assert f"<<{key}>>" not in looped("2.16", tmp_path, key)


def test_a_key_that_is_let_through_is_not(tmp_path: Path) -> None:
    assert f"<<{'7 * 7'}>>" in looped("2.16", tmp_path, "7 * 7")


def looped(core: str, folder: Path, key: str) -> str:
    """What a play prints that goes through the keys of a variable."""
    for name, text in (("project/site.yml", LOOP), ("inventory/hosts", script_of({"i-0": {"note": {key: 1}}}, {}))):
        path = folder / name
        path.parent.mkdir()
        path.write_text(text)
    (folder / "inventory" / "hosts").chmod(0o700)
    return run_project(core, folder, {}).output


def test_a_number_that_is_refused_stops_every_job() -> None:
    with pytest.raises(ValueError, match="4300 digits"):
        json.dumps(9 * 10**4300)
    huge = {**case({"note": "HUGE"}), "script": case({"note": "HUGE"})["script"].replace('"HUGE"', "9" * 4301)}
    for core in CORES:
        [answer] = read(core, json.dumps([huge]))["answers"]
        assert answer.get("hosts", {}) == {}
