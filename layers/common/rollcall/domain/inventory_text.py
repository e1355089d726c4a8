"""What text from outside may become in an inventory, and why not: some text is more than text there. Pure.

Tags, user data and the names of Auto Scaling groups are written by whoever may launch an instance, and every job on an
inventory reads all of it. Each rule was seen to matter on ansible-core 2.16 and on the newest, or is documented by
Ansible, AWX or AWS; tests/truth holds them to real ansible-cores. A reason repeats nothing of the text, which may be
secret.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from keyword import iskeyword
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

TEMPLATED = ("{{", "{%", "{#")  # what a playbook run evaluates on the Tower side, wherever it stands in a text
OVERRIDES = "#jinja2:"  # at the beginning of a text: it says what else in the text is to be evaluated
ANSIBLES_OBJECTS = "__ansible"  # its JSON reader makes objects of its own of what has such a key, at any depth
ANSIBLES_VARIABLES = ("ansible_", "_ansible", ANSIBLES_OBJECTS)  # steer how and where it works
VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]{0,63}")
# Ansible's "special variables", and what it sets for every task: a host's own never arrives, or replaces what playbooks
# rely on (ansible/constants.py, INTERNAL_STATIC_VARS; ansible/vars/manager.py).
SPECIAL_VARIABLES = frozenset(
    {
        "environment",
        "group_names",
        "groups",
        "hostvars",
        "inventory_dir",
        "inventory_file",
        "inventory_hostname",
        "inventory_hostname_short",
        "omit",
        "play_hosts",
        "playbook_dir",
        "role_name",
        "role_names",
        "role_path",
        "role_uuid",
        "vars",
    }
)
# Functions of its templates: after a variable of such a name all that call the function fail.
TEMPLATE_FUNCTIONS = frozenset(
    {"cycler", "dict", "joiner", "lipsum", "lookup", "namespace", "now", "q", "query", "range", "undef"}
)
RESERVED = SPECIAL_VARIABLES | TEMPLATE_FUNCTIONS
# What Tower sets itself: of each host, and as extra variables of each job (awx/main/models: Inventory.get_script_data,
# UnifiedJob.awx_meta_vars, Job.awx_meta_vars).
TOWERS_VARIABLES = re.compile(
    "remote_(host|tower)_(enabled|id)|(awx|tower)_"
    "(execution_node|((workflow_)?job|(parent_job_)?schedule|user|inventory|project|webhook)_.+)"
)
# The last three are names of the control node (ansible/constants.py, LOCALHOST): plays on it would run on the group.
ANSIBLES_GROUPS = frozenset({"all", "ungrouped", "_meta", "localhost", "127.0.0.1", "::1"})
# EC2's own words for an id that it refuses: it "may only contain lowercase alphanumeric characters and a single dash";
# Auto Scaling takes at most 19 characters (its API, XmlStringMaxLen19).
INSTANCE_ID = re.compile(r"i-[0-9a-z]{1,17}")
# A NUL, which no PostgreSQL stores (AWX takes it out of what jobs print), and half a surrogate pair, which JSON can
# write and UTF-8 cannot: the newest ansible-core reads no inventory that holds one.
NOT_STORED = re.compile("[\0\ud800-\udfff]")
NOT_PLAIN = re.compile(r"\{[{%#]|#jinja2:|__ansible|[\0\ud800-\udfff]")
NOT_PLAIN_IN_JSON = re.compile(rb"\{[{%#]|#jinja2:|__ansible|\\u0000|\\u[dD][89a-fA-F]")
MAX_DEPTH = 8  # lists and objects within each other; the newest ansible-core reads no inventory with some hundred
MAX_INTEGER_BITS = 14_284  # in 4,300 decimal digits, beyond which Python reads no number (sys.int_info)


class Why(StrEnum):
    """Why a text may not become what it was meant for."""

    EVALUATED = "Tower would evaluate it"
    NOT_STORABLE = "Tower cannot store it"
    AN_OBJECT = "Ansible would read it as something else"
    TOO_DEEP = f"more than {MAX_DEPTH} lists and objects within each other"
    NO_NAME = "no variable is called so"
    ANSIBLES = "Ansible's or Rollcall's own"
    TOWERS = "Tower's own"
    A_HOSTS = "hosts are called so"
    NO_INSTANCE = "hosts are called what their instances are"
    A_PATH = "Ansible would take it for a path to other files"
    NOT_PRINTABLE = "it has blanks around it, or characters that cannot be printed"


def why_no_value(value: object, depth: int = MAX_DEPTH) -> Why | None:
    """Why a value, as JSON has them, may not become a variable's; None if it may."""
    if isinstance(value, str):
        return why_no_text(value)
    if isinstance(value, float):
        return None if math.isfinite(value) else Why.NOT_STORABLE
    if isinstance(value, int):  # true and false are some too
        return None if value.bit_length() <= MAX_INTEGER_BITS else Why.NOT_STORABLE
    if value is None:
        return None
    if not isinstance(value, (dict, list)):
        return Why.NOT_STORABLE
    if not depth:
        return Why.TOO_DEEP
    keys = value if isinstance(value, dict) else ()
    inner = value.values() if isinstance(value, dict) else value
    refusals = (*map(why_no_key, keys), *(why_no_value(each, depth - 1) for each in inner))
    return next(filter(None, refusals), None)


def is_surely_plain(json_text: bytes) -> bool:
    """Whether no text in a JSON text can be anything but plain: one look at an inventory instead of one at each."""
    return not NOT_PLAIN_IN_JSON.search(json_text)


def are_surely_plain(texts: Iterable[str]) -> bool:
    """Whether none of these texts can be anything but plain, as key or as value: one look instead of one at each."""
    return not NOT_PLAIN.search("\n".join(texts))


def why_no_text(text: str) -> Why | None:
    """Why a text may stand nowhere in a variable; None if it may."""
    if text.startswith(OVERRIDES) or any(mark in text for mark in TEMPLATED):
        return Why.EVALUATED
    return Why.NOT_STORABLE if NOT_STORED.search(text) else None


def why_no_key(key: object) -> Why | None:
    """Why something may not be a key within a variable, at whatever depth; None if it may."""
    if not isinstance(key, str):
        return Why.NOT_STORABLE
    return Why.AN_OBJECT if key.startswith(ANSIBLES_OBJECTS) else why_no_text(key)


def why_no_variable(name: str) -> Why | None:
    """Why a host's variable may not be called so; None if it may. Keywords of playbooks may: they do arrive."""
    if not VARIABLE.fullmatch(name) or iskeyword(name):
        return Why.NO_NAME
    if name.startswith(ANSIBLES_VARIABLES) or name in RESERVED:
        return Why.ANSIBLES
    return Why.TOWERS if TOWERS_VARIABLES.fullmatch(name) else None


def why_no_group(name: str) -> Why | None:
    """Why an inventory group may not be called so; None if it may.

    Whatever a pattern of Ansible's has a meaning for may be in it: no pattern is ever made of it here.
    """
    if name in ANSIBLES_GROUPS:
        return Why.ANSIBLES
    if INSTANCE_ID.fullmatch(name):  # a limit to that host would match the group, which would get its variables, too
        return Why.A_HOSTS
    if {".", ".."} & set(name.split("/")):  # in group_vars
        return Why.A_PATH
    if not name.isprintable() or name != name.strip() or not name:  # Tower strips it, and then finds none of that name
        return Why.NOT_PRINTABLE
    return why_no_key(name)


def why_no_host(name: str) -> Why | None:
    """Why a host of ours may not be called so; None if it may.

    It is called what its instance is: that is one host to a limit and to a filter, and nothing else to either; and
    nothing that Tower refuses in a name, or takes for another one.
    """
    return None if INSTANCE_ID.fullmatch(name) else Why.NO_INSTANCE


class BadLimit(ValueError):
    """A job was to be launched on more than some instances: a fault of ours."""


def limit_to(instance_ids: Collection[str]) -> str:
    """The limit of a job that is to run on the hosts of these instances alone: hosts are called what instances are.

    Raises BadLimit without any, for Tower takes an empty limit for every host, and for what is no instance's id:
    commas, colons and wildcards would let others in.
    """
    if not instance_ids:
        raise BadLimit("a job is never launched without a limit")
    if strange := [each for each in instance_ids if why_no_host(each)]:
        raise BadLimit(f"a job is limited to instances only, and {strange[0]!r} is none's id")
    return ",".join(instance_ids)
