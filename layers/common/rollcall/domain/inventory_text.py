"""What text from outside may become in an inventory, and why not: some text is more than text there. Pure.

Anyone who may launch an instance writes tags, user data and names of Auto Scaling groups, and every job on an inventory
reads all of it. Each rule was observed to matter on ansible-core 2.16 and on the newest, or is documented by
Ansible, AWX or AWS; tests/truth holds them to real ansible-cores. A reason repeats nothing of the text, which may be
secret.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from keyword import iskeyword
from typing import TYPE_CHECKING

from .aws_text import INSTANCE_ID

if TYPE_CHECKING:
    from collections.abc import Iterable

TEMPLATE_MARKS = ("{{", "{%", "{#")  # what a playbook run evaluates on the Tower side, wherever it stands in a text
JINJA_HEADER = "#jinja2:"  # at the beginning of a text: it says what else in the text is to be evaluated
ANSIBLE_OBJECT_PREFIX = "__ansible"  # its JSON reader makes objects of its own of what has such a key, at any depth
ANSIBLE_VARIABLE_PREFIXES = ("ansible_", "_ansible", ANSIBLE_OBJECT_PREFIX)  # steer how and where it works
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
TOWER_VARIABLES = re.compile(
    "remote_(host|tower)_(enabled|id)|(awx|tower)_"
    "(execution_node|((workflow_)?job|(parent_job_)?schedule|user|inventory|project|webhook)_.+)"
)
# The last three are names of the control node (ansible/constants.py, LOCALHOST): plays on it would run on the group.
ANSIBLE_GROUPS = frozenset({"all", "ungrouped", "_meta", "localhost", "127.0.0.1", "::1"})
# A NUL, which no PostgreSQL stores (AWX takes it out of what jobs print), and half a surrogate pair, which JSON can
# write and UTF-8 cannot: the newest ansible-core reads no inventory that holds one.
NOT_STORED = re.compile("[\0\ud800-\udfff]")
NOT_PLAIN = re.compile(r"\{[{%#]|#jinja2:|__ansible|[\0\ud800-\udfff]")
NOT_PLAIN_IN_JSON = re.compile(rb"\{[{%#]|#jinja2:|__ansible|\\u0000|\\u[dD][89a-fA-F]")
MAX_DEPTH = 8  # lists and objects within each other; the newest ansible-core reads no inventory with some hundred
MAX_INTEGER_BITS = 14_284  # in 4,300 decimal digits, beyond which Python reads no number (sys.int_info)


class Refusal(StrEnum):
    """Why a text from outside is refused for what it was meant for."""

    EVALUATED = "Tower would evaluate it"
    NOT_STORABLE = "Tower cannot store it"
    READ_AS_OBJECT = "Ansible would read it as something else"
    TOO_DEEP = f"more than {MAX_DEPTH} lists and objects within each other"
    NOT_A_VARIABLE_NAME = "no variable is called so"
    RESERVED_BY_ANSIBLE = "Ansible's or Rollcall's own"
    RESERVED_BY_TOWER = "Tower's own"
    LIKE_A_HOST = "hosts are called so"
    NOT_AN_INSTANCE_ID = "hosts are called what their instances are"
    READ_AS_PATH = "Ansible would take it for a path to other files"
    NOT_PRINTABLE = "it has blanks around it, or characters that cannot be printed"


def refusal_of_value(value: object, depth: int = MAX_DEPTH) -> Refusal | None:
    """Why a value, as JSON has them, may not become a variable's; None if it may."""
    if isinstance(value, str):
        return refusal_of_text(value)
    if isinstance(value, float):
        return None if math.isfinite(value) else Refusal.NOT_STORABLE
    if isinstance(value, int):  # true and false are some too
        return None if value.bit_length() <= MAX_INTEGER_BITS else Refusal.NOT_STORABLE
    if value is None:
        return None
    if not isinstance(value, (dict, list)):
        return Refusal.NOT_STORABLE
    if not depth:
        return Refusal.TOO_DEEP
    keys = value if isinstance(value, dict) else ()
    inner = value.values() if isinstance(value, dict) else value
    refusals = (*map(refusal_of_key, keys), *(refusal_of_value(each, depth - 1) for each in inner))
    return next(filter(None, refusals), None)


def json_is_surely_plain(json_text: bytes) -> bool:
    """Whether no text in a JSON text can be anything but plain: one search in all of it instead of one in each."""
    return not NOT_PLAIN_IN_JSON.search(json_text)


def texts_are_surely_plain(texts: Iterable[str]) -> bool:
    """Whether none of these texts can be anything but plain, as key or as value: one search instead of one in each."""
    return not NOT_PLAIN.search("\n".join(texts))


def refusal_of_text(text: str) -> Refusal | None:
    """Why a text may stand nowhere in a variable; None if it may."""
    if text.startswith(JINJA_HEADER) or any(mark in text for mark in TEMPLATE_MARKS):
        return Refusal.EVALUATED
    return Refusal.NOT_STORABLE if NOT_STORED.search(text) else None


def refusal_of_key(key: object) -> Refusal | None:
    """Why something may not be a key within a variable, at whatever depth; None if it may."""
    if not isinstance(key, str):
        return Refusal.NOT_STORABLE
    return Refusal.READ_AS_OBJECT if key.startswith(ANSIBLE_OBJECT_PREFIX) else refusal_of_text(key)


def refusal_of_variable_name(name: str) -> Refusal | None:
    """Why a host's variable may not be called so; None if it may. Keywords of playbooks may: they do arrive."""
    if not VARIABLE.fullmatch(name) or iskeyword(name):
        return Refusal.NOT_A_VARIABLE_NAME
    if name.startswith(ANSIBLE_VARIABLE_PREFIXES) or name in RESERVED:
        return Refusal.RESERVED_BY_ANSIBLE
    return Refusal.RESERVED_BY_TOWER if TOWER_VARIABLES.fullmatch(name) else None


def refusal_of_group_name(name: str) -> Refusal | None:
    """Why an inventory group may not be called so; None if it may.

    Whatever a pattern of Ansible's has a meaning for may be in it: no pattern is ever made of it here.
    """
    if name in ANSIBLE_GROUPS:
        return Refusal.RESERVED_BY_ANSIBLE
    if INSTANCE_ID.allows(name):  # a limit to that host would match the group, which would get its variables, too
        return Refusal.LIKE_A_HOST
    if {".", ".."} & set(name.split("/")):  # in group_vars
        return Refusal.READ_AS_PATH
    if not name.isprintable() or name != name.strip() or not name:  # Tower strips it, and then finds none of that name
        return Refusal.NOT_PRINTABLE
    return refusal_of_key(name)


def refusal_of_host_name(name: str) -> Refusal | None:
    """Why a host of ours may not be called so; None if it may.

    It is called what its instance is: that is one host to a limit and to a filter, and nothing else to either; and
    nothing that Tower refuses in a name, or takes for another one.
    """
    return None if INSTANCE_ID.allows(name) else Refusal.NOT_AN_INSTANCE_ID
