"""What doctor finds of groups that are to be baked, in a stack that bakes."""

from __future__ import annotations

from copy import replace
from typing import Any

import pytest

from rollcall.bake.defaults import bake_defaults
from rollcall.doctor.bake_findings import bake_findings
from rollcall.doctor.builder_findings import builder_findings
from rollcall.doctor.coverage import coverage
from rollcall.doctor.observations import BakeDefaults, BuildersInventory, ObservedGroup, ObservedTemplate
from rollcall.domain.bake_tags import TEMPLATE_ALLOWED, TEMPLATE_TAG
from rollcall.domain.errors import AwsDenied, AwsUnavailable, BadSettings, TowerUnavailable
from rollcall.domain.findings import Finding, Severity
from rollcall.domain.groups import Group
from rollcall.domain.inventories import Inventory
from rollcall.domain.jobs import JobTemplate, LaunchTerms
from unit import observed
from unit.cycle.preflights import details
from unit.cycle.preflights import template as version
from unit.fakes import Clock, FakeTower

HERE = replace(observed.HERE, cycles=True, bakes=True)
TEMPLATE = JobTemplate(12, "bake", 8, asks_limit=True, asks_inventory=True, slices=1)
BUILDERS = BuildersInventory(Inventory(8, "builders"), changeable=True)
BAKES = ObservedTemplate(TEMPLATE, observed.TERMS)
DEFAULTS = BakeDefaults(job_template="bake", inventory="builders")


def group(name: str = "web", **tags: str) -> ObservedGroup:
    made = observed.group(name=name)
    return replace(made, group=replace(made.group, tags={**made.group.tags, **tags}), details=details())


def found(
    *groups: ObservedGroup,
    defaults: BakeDefaults | BadSettings | AwsUnavailable | None = DEFAULTS,
    here: Any = HERE,
    template: Any = BAKES,
    inventory: Any = BUILDERS,
    **seen_too: Any,
) -> dict[str, Finding]:
    tower = observed.tower(bake_templates={"bake": template}, bake_inventories={"builders": inventory})
    own = {"bakes": {"web": defaults}, "tower": tower, "template_tags": {"lt-1": {TEMPLATE_TAG: TEMPLATE_ALLOWED}}}
    seen = observed.everything(*(groups or (group(),)), **(own | seen_too))
    return observed.findings(seen, here, bake_findings, builder_findings)


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


# The launch template


def test_a_group_on_latest_would_launch_an_image_before_it_is_rolled_out() -> None:
    one = replace(group(), details=details(configuration=version("$Latest")))
    assert found(one).keys() == {"group web: baked on $Latest"}
    assert found(replace(group(), details=details(configuration=version("$Default")))) == {}


def test_a_launch_template_has_to_say_that_bakes_may_give_it_versions_or_its_arn_is_named() -> None:
    [(key, finding)] = found(template_tags={"lt-1": {TEMPLATE_TAG: "false"}}).items()
    assert key == "group web: template not allowed"
    assert "aws ec2 create-tags --resources lt-1 --tags Key=rollcall:bake,Value=true" in finding.remedy
    arn = f"arn:aws-cn:ec2:{HERE.region}:{HERE.account}:launch-template"
    for named, known in ((f"{arn}/lt-1", 0), (f"{arn}/*", 0), (f"{arn}/lt-2", 1)):
        assert len(found(template_tags={"lt-1": {}}, bake_template_arns=(named,))) == known


def test_tags_that_could_not_be_read_are_named() -> None:
    [(key, _)] = found(template_tags={"lt-1": AwsDenied("no")}).items()
    assert key.startswith("launch templates: ")


# Tower


@pytest.mark.parametrize("what", ["template", "inventory"])
def test_what_a_tag_names_has_to_be_there(what: str) -> None:
    gone: dict[str, Any] = {what: BadSettings("no job template 'nosuch' in Tower: correct the tag")}
    [(key, finding)] = found(**gone).items()
    assert key == f"group web: tag rollcall:bake-{'job-template' if what == 'template' else 'inventory'}"
    assert finding.severity == Severity.WARNING
    assert finding.reason.startswith("no bake of it begins: no job template 'nosuch' in Tower")
    away: dict[str, Any] = {what: TowerUnavailable("away")}
    [(key, _)] = found(**away).items()
    assert key.startswith("what tags of bakes name: ")


@pytest.mark.parametrize(
    ("template", "terms", "name"),
    [
        (replace(TEMPLATE, id=observed.TEMPLATE.id), observed.TERMS, "bakes with the provisioning template"),
        (replace(TEMPLATE, asks_inventory=False, inventory_id=7), observed.TERMS, "bake template's inventory"),
        (replace(TEMPLATE, asks_limit=False), observed.TERMS, "bake template: no prompt for limit"),
        (replace(TEMPLATE, slices=2), observed.TERMS, "bake template: slices"),
        (replace(TEMPLATE, job_type="check"), observed.TERMS, "bake template: not a run"),
        (TEMPLATE, replace(observed.TERMS, startable=False), "role on bake template"),
        (TEMPLATE, replace(observed.TERMS, needed=("a password",)), "bake template needs more"),
    ],
)
def test_a_template_has_to_be_one_that_can_bake(template: JobTemplate, terms: LaunchTerms, name: str) -> None:
    [(key, finding)] = found(template=ObservedTemplate(template, terms)).items()
    assert key == f"group web: {name}"
    assert finding.severity == Severity.WARNING
    assert finding.reason.startswith("no bake of it begins: ")


def test_a_template_that_is_fixed_to_the_inventory_for_builders_is_one() -> None:
    assert found(template=ObservedTemplate(replace(TEMPLATE, asks_inventory=False), observed.TERMS)) == {}


def test_the_token_has_to_be_allowed_to_add_builders() -> None:
    assert found(inventory=replace(BUILDERS, changeable=False)).keys() == {"group web: role on bake inventory"}


def test_what_is_examined_for_bakes_is_counted() -> None:
    tower = observed.tower(bake_templates={"bake": BAKES}, bake_inventories={"builders": BUILDERS})
    words = [*coverage(observed.everything(group(), tower=tower))]
    assert "2 inventories and 2 job templates that tags name" in words


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
    here = replace(observed.HERE, bakes=bakes)
    seen = observed.observe(reader, FakeTower(Clock()), here, bake_defaults=bake_defaults)
    assert seen.bakes == {name: BakeDefaults() for name in names}


def test_what_tags_of_bakes_name_is_looked_for_in_tower_and_the_launch_template_in_ec2() -> None:
    tags = {"rollcall:bake-job-template": "bake", "rollcall:bake-inventory": "builders"}
    reader: Any = observed.FakeAwsReader(group(**tags))
    tower = FakeTower(Clock())
    tower.templates["bake"] = TEMPLATE
    names = {"bake_template_arns": ("arn",)}
    seen = observed.observe(reader, tower, HERE, names, bake_defaults=bake_defaults)
    assert seen.bake_template_arns == ("arn",)
    assert seen.template_tags == {"lt-1": {TEMPLATE_TAG: TEMPLATE_ALLOWED}}
    assert seen.tower.bake_templates.keys() == {"bake"}
    assert isinstance(seen.tower.bake_inventories["builders"], BadSettings)  # there is none in this Tower
