"""What Tower has to choose from, as tags name it, and what speaks against a choice."""

from __future__ import annotations

from copy import replace

import pytest

from rollcall.checks.registry import read_group_settings
from rollcall.domain.groups import Group
from rollcall.tower.references import Listed
from rollcall_cli.onboarding.choices import chosen, described, objections, references
from unit.world import World

LISTED = [
    Listed(3, "prod", "Default"),
    Listed(4, "prod", "ops"),
    Listed(5, "edge", "Default"),
    Listed(6, "17", "Default"),
    Listed(7, "eu/prod", "Default"),
    Listed(8, "id:9", "Default"),
    Listed(9, " padded", "Default"),
]


def test_a_name_that_could_mean_two_things_is_named_by_its_id() -> None:
    assert references(LISTED) == ["id:3", "id:4", "edge", "id:6", "id:7", "id:8", "id:9"]


def test_what_is_chosen_of_the_list_is_what_the_tag_says() -> None:
    assert [chosen(each) for each in described(LISTED)] == references(LISTED)
    assert described(LISTED)[1] == "id:4  ops/prod"
    assert chosen("two  blanks") == "two  blanks"


@pytest.fixture
def world() -> World:
    return World()


def said(world: World, **tags: str) -> list[str]:
    own = {"rollcall:inventory": "prod", "rollcall:job-template": "provision"} | {
        f"rollcall:{key.replace('_', '-')}": value for key, value in tags.items()
    }
    group = Group("web", own, {}, target_groups=("arn:aws:targetgroup/web",))
    settings = read_group_settings(group)
    assert settings
    return list(objections(world.tower, settings, group, world.settings))


def test_nothing_speaks_against_what_can_be_followed(world: World) -> None:
    assert said(world) == []


def test_a_template_that_cannot_be_limited_is_named_with_the_remedy(world: World) -> None:
    world.tower.templates["provision"] = world.template._replace(asks_limit=False)
    (words,) = said(world)
    assert "does not prompt for limit" in words
    assert "Prompt on launch" in words


@pytest.mark.parametrize("tag", ["job_template", "retire_job_template"])
def test_a_template_that_may_not_be_started_is_named_with_the_role(
    world: World, monkeypatch: pytest.MonkeyPatch, tag: str
) -> None:
    barred, terms = world.tower.add_template("barred"), world.tower.launch_terms
    monkeypatch.setattr(
        world.tower, "launch_terms", lambda template: replace(terms(template), startable=template.id != barred.id)
    )
    (words,) = said(world, **{tag: "barred"})
    assert words == "the token's user may not launch job template 'barred': grant it the role Execute on it"


def test_load_balancers_that_the_stack_may_not_ask_are_refused_as_register_refuses_them(world: World) -> None:
    (words,) = said(world, gate="job elb")
    assert words.endswith("deploy with LoadBalancers=true")
    (watched,) = said(world, watch="600")
    assert watched.endswith("deploy with LoadBalancers=true")
    world.settings = replace(world.settings, load_balancers=True)
    assert said(world, gate="job elb") == []


def test_a_check_that_the_stack_cannot_try_and_a_chef_server_that_it_has_not_are_refused(world: World) -> None:
    world.settings = replace(world.settings, in_vpc=False)
    outside, without_chef = said(world, gate="job tcp:22", chef="@instance_id@"), said(world, chef="@instance_id@")
    assert len(outside) == 2
    assert outside[1].endswith("deploy with SubnetIds, or change the tag")
    assert without_chef == outside[:1]
    assert "deploy with ChefSecretArn" in without_chef[0]


def test_a_retire_template_that_is_not_there_is_refused_where_retire_jobs_are_followed(world: World) -> None:
    (words,) = said(world, retire_job_template="retier")
    assert "rollcall:retire-job-template: Tower has no job template 'retier'" in words
    (words,) = said(world, retire_job_template="provision")
    assert words.endswith("use two")
    world.settings = replace(world.settings, retire_jobs=False)
    assert said(world, retire_job_template="retier") == []


def test_an_inventory_that_may_only_be_read_is_named_with_the_role(world: World) -> None:
    world.tower.denied.add(world.inventory.id)
    assert any("grant it the role Admin" in words for words in said(world))


def test_a_group_of_a_name_that_ansible_reads_otherwise_is_refused(world: World) -> None:
    (words,) = said(world, groups="all")
    assert "name other groups in the tag rollcall:groups" in words
