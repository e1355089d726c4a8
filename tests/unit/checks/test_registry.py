"""The kinds of checks that a gate can be asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from rollcall.checks.registry import NAMES, kind_named, read_check
from unit.project.template import as_list, statements

if TYPE_CHECKING:
    from rollcall.checks.protocol import Kind

KINDS = [kind_named(name) for name in NAMES]
OF_EACH = {"job": "job", "ec2": "ec2", "tcp": "tcp:22", "http": "http:80/health", "elb": "elb"}


def test_each_kind_is_read_from_the_word_that_it_is_spelled_with() -> None:
    assert [kind.name for kind in KINDS] == list(NAMES) == list(OF_EACH)
    for kind in KINDS:
        found, check = read_check(OF_EACH[kind.name])
        assert (found, str(check)) == (kind, OF_EACH[kind.name])


def test_what_is_allowed_is_said_by_the_forms_of_all_kinds() -> None:
    with pytest.raises(ValueError, match=re.escape("job, ec2, tcp:PORT, http:PORT/path, elb")):
        read_check("icmp")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
def test_a_form_says_how_a_check_is_spelled(kind: Kind) -> None:
    word = kind.form.replace("PORT", "8080")
    assert str(read_check(word)[1]) == word


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
def test_the_gate_has_the_permissions_of_its_checks(kind: Kind) -> None:
    own = [as_list(each["Action"]) for role, each in statements() if role == "GateRole"]
    assert set(kind.permissions) <= {action for actions in own for action in actions}


def test_checks_that_connect_are_those_that_need_the_vpc() -> None:
    assert [kind.name for kind in KINDS if kind.connects] == ["tcp", "http"]
    assert [kind.name for kind in KINDS if kind.lets_traffic_in] == ["elb"]
