"""The pages that are made from the code say what the code says now."""

from __future__ import annotations

import inspect
import re

import pytest

from generators.costs import FRONT_PAGE, with_costs
from generators.findings import AS_PRINTED, PACKAGE, PLACES
from generators.markdown import REPOSITORY
from generators.modules import PACKAGES
from generators.pages import PAGES
from rollcall_cli.main import COMMANDS, command_of

REMEDY = "run `make docs`, and commit what it makes"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_as_the_code_makes_it(path: str) -> None:
    page = REPOSITORY / "docs" / path
    assert page.exists(), f"docs/{path} is not there: {REMEDY}"
    assert page.read_text() == PAGES[path](), f"docs/{path} is stale: {REMEDY}"


def test_an_option_of_all_commands_is_one_of_each() -> None:
    about = PAGES["reference/commands.md"]()
    of_all = about.partition("## Options of all commands")[2].partition("## ")[0]
    options = set(re.findall(r"^\| `(--[a-z]+)", of_all, re.MULTILINE))
    assert options == {"--region", "--profile", "--json"}
    for name in COMMANDS:
        known = {f"--{each.removeprefix('as_')}" for each in inspect.signature(command_of(name)).parameters}
        assert options <= known, name
    assert "| `--stack NAME` |" in about.partition("## `rollcall doctor`")[2]


def test_every_package_is_on_one_page_of_the_modules() -> None:
    named = sorted(package for own in PACKAGES.values() for package in own)
    assert named == sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def test_the_costs_on_the_front_page_are_those_of_the_price_list() -> None:
    text = FRONT_PAGE.read_text()
    assert "a month" in text
    assert with_costs(text) == text, f"README.md is stale: {REMEDY}"


def test_every_module_in_which_doctor_finds_something_has_its_place() -> None:
    modules = {f"doctor/{path.stem}" for path in PACKAGE.glob("doctor/*_findings.py")}
    assert modules <= {module for headings in PLACES.values() for own in headings.values() for module in own}


def test_every_remedy_of_doctor_is_on_the_page() -> None:
    """A finding whose words the generator cannot read would stand there without them."""
    text = "".join(PAGES[f"reference/{name}.md"]() for name in PLACES)
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    unread = [row.split(" | ")[0] for row in rows if AS_PRINTED in row.split(" | ")[3].lower()]
    assert unread == ["| `topic of …`", "| `topic for …`"]  # worked out: a value for NotifyingTopicArns


def test_what_deploying_needs_is_what_the_template_makes_also_of_types_of_sam() -> None:
    rows = dict(
        line.strip("| ").split(" | ", 1)
        for line in PAGES["reference/permissions.md"]().splitlines()
        if line.startswith("| `AWS::")
    )
    assert rows["`AWS::DynamoDB::Table`"] == "1 | \N{EN DASH}"
    assert rows["`AWS::SNS::Topic`"] == "1 | `PagerDutySecretArn` `SlackSecretArn`"
    assert rows["`AWS::Scheduler::Schedule`"].startswith("3 ")
    assert not [each for each in rows if "Serverless" in each]
