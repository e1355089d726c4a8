"""What doctor finds of groups that are to be baked, in a stack that bakes."""

from __future__ import annotations

from copy import replace
from typing import Any

import pytest

from rollcall.bake.defaults import bake_defaults
from rollcall.doctor.bake_findings import bake_findings
from rollcall.doctor.observations import BakeDefaults, ObservedGroup
from rollcall.doctor.observer import Observer
from rollcall.domain.errors import AwsUnavailable, BadSettings
from rollcall.domain.findings import Finding, Severity
from rollcall.domain.groups import Group
from rollcall.domain.settings import StackNames
from unit import observed
from unit.cycle.preflights import details
from unit.fakes import REGION, Clock, FakeFleet, FakeTower

HERE = replace(observed.HERE, cycles=True, bakes=True)
DEFAULTS = BakeDefaults(job_template="bake", inventory="builders")


def group(name: str = "web", **tags: str) -> ObservedGroup:
    made = observed.group(name=name)
    return replace(made, group=replace(made.group, tags={**made.group.tags, **tags}), details=details())


def found(
    *groups: ObservedGroup, defaults: BakeDefaults | BadSettings | AwsUnavailable | None = DEFAULTS, here: Any = HERE
) -> dict[str, Finding]:
    seen = observed.everything(*(groups or (group(),)), bakes={"web": defaults})
    return observed.findings(seen, here, bake_findings)


def test_nothing_is_wrong_with_a_group_that_can_be_baked() -> None:
    assert found() == {}


def test_a_job_template_and_an_inventory_have_to_be_named() -> None:
    findings = found(defaults=BakeDefaults())
    assert findings.keys() == {"group web: no bake job template", "group web: no bake inventory"}
    for each in findings.values():
        assert each.severity == Severity.WARNING
        assert each.reason.startswith("no bake of it begins: ")
        assert "aws autoscaling create-or-update-tags" in each.remedy


def test_builders_are_in_no_groups_inventory() -> None:
    other = group("api", **{"rollcall:inventory": " builders "})
    [(key, finding)] = found(group(), other).items()
    assert key == "group web: bake inventory of a group"
    assert "group api" in finding.reason


def test_a_launch_configuration_has_no_versions() -> None:
    one = replace(group(), details=details(configuration={}))
    assert found(one).keys() == {"group web: no launch template"}


def test_what_is_rolled_out_needs_cycles_and_the_tag_that_opts_in() -> None:
    without = replace(group(), group=Group("web", {}, {}))
    assert found(without).keys() == {"group web: bake without the tag"}
    assert found(here=replace(HERE, cycles=False)).keys() == {"group web: bakes without cycles"}
    only_baked = replace(DEFAULTS, rolls_out=False)
    assert found(without, defaults=only_baked, here=replace(HERE, cycles=False)) == {}


@pytest.mark.parametrize("defaults", [None, BakeDefaults(forbidden=True), AwsUnavailable("away")])
def test_of_a_group_that_no_bake_is_allowed_for_or_that_has_no_tag_nothing_of_this_matters(
    defaults: BakeDefaults | AwsUnavailable | None,
) -> None:
    assert found(defaults=defaults) == {}


def test_a_stack_that_does_not_bake_finds_nothing() -> None:
    assert found(defaults=BakeDefaults(), here=observed.HERE) == {}


def test_a_tag_that_cannot_be_read_is_named() -> None:
    error = BadSettings("group 'web': tag rollcall:keep has 'many'; allowed: a number", "rollcall:keep")
    [(key, finding)] = found(defaults=error).items()
    assert key == "group web: tags of bakes"
    assert "tag rollcall:keep has 'many'" in finding.reason


# What is observed


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, None),
        ({"rollcall:bake": "never"}, BakeDefaults(forbidden=True)),
        (
            {
                "rollcall:bake-job-template": "bake",
                "rollcall:bake-inventory": "builders",
                "rollcall:bake": "roll-out=false",
            },
            replace(DEFAULTS, rolls_out=False),
        ),
    ],
)
def test_the_tags_are_read_as_a_bake_reads_them(tags: dict[str, str], expected: BakeDefaults | None) -> None:
    assert bake_defaults(Group("web", tags, {})) == expected


@pytest.mark.parametrize(("bakes", "names"), [(True, {"web"}), (False, set())])
def test_only_groups_with_a_tag_of_bakes_are_looked_at_and_only_in_a_stack_that_bakes(
    bakes: bool, names: set[str]
) -> None:
    reader: Any = observed.FakeAwsReader(group(**{"rollcall:keep": "3"}), group("api"))
    tower = FakeTower(Clock())
    observer = Observer(
        replace(observed.HERE, bakes=bakes),
        StackNames({}, {}, {}, {}, ""),
        tower,
        FakeFleet(REGION),
        reader,
        chef=None,
        tower_at=lambda _: tower,
        seconds_left=lambda: 300.0,
        bake_defaults=bake_defaults,
    )
    seen = observer.observe(None, observed.stack())
    assert seen.bakes == {name: BakeDefaults() for name in names}
