"""Tags that ask for load balancers: who may, and what they are told who may not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollcall.errors import BadSettings
from rollcall.model import Group, Result
from rollcall.settings import read_group_settings
from rollcall.traffic import require_askable

from .world import World, ids

GROUP = Group("web", {}, {}, target_groups=("arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0",))
ASKING = pytest.mark.parametrize("tag", ["rollcall:gate", "rollcall:watch"])


def require(group: Group, tag: str | None, *, load_balancers: bool = True) -> None:
    tags = {"rollcall:inventory": "prod", "rollcall:watch": "", "rollcall:gate": "tcp:80"}
    tags |= {tag: {"rollcall:gate": "tcp:80 elb", "rollcall:watch": "60"}[tag]} if tag else {}
    settings = read_group_settings(replace(group, tags=tags))
    assert settings
    require_askable(settings, group, load_balancers=load_balancers)


@ASKING
def test_a_group_with_target_groups_may_ask(tag: str) -> None:
    require(GROUP, tag)


def test_a_group_that_asks_for_nothing_is_refused_nothing() -> None:
    require(replace(GROUP, target_groups=(), other_traffic=("classic load balancer old",)), None, load_balancers=False)


@ASKING
@pytest.mark.parametrize(
    ("group", "load_balancers", "words"),
    [
        (GROUP, False, "deploy with LoadBalancers=true"),
        (replace(GROUP, target_groups=()), True, "attached to no target group: attach one"),
        (replace(GROUP, other_traffic=("classic load balancer old",)), True, "cannot ask classic load balancer old: "),
        (replace(GROUP, other_traffic=("vpc-lattice arn:x",), target_groups=()), True, "cannot ask vpc-lattice arn:x"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_group_the_tag_and_the_remedy(
    tag: str, group: Group, load_balancers: bool, words: str
) -> None:
    with pytest.raises(BadSettings) as caught:
        require(group, tag, load_balancers=load_balancers)
    for each in ("group 'web'", tag, words):
        assert each in str(caught.value)


@pytest.mark.parametrize("own", [{"gate": "job elb"}, {"watch": "60"}])
def test_a_group_that_may_not_ask_is_refused_before_its_host_is_made_and_touches_no_other(
    world: World, own: dict[str, str]
) -> None:
    world.group("db", 3600, None, **own)
    reports = world.register(world.launching("i-a"), world.launching("i-d", "db"))
    errors = {report.action.instance_id: report.error for report in reports}
    assert isinstance(errors["i-d"], BadSettings)
    assert "deploy with LoadBalancers=true" in str(errors["i-d"])
    assert world.tower.names_in(world.inventory) == {"i-a"}


def test_a_group_that_may_not_ask_any_more_goes_on_apart_and_is_named(world: World) -> None:
    world.group("db")
    web, db = world.waiting("i-a"), world.waiting("i-d", group="db")
    world.group("db", gate="job elb")
    result = world.look_at(replace(web, waiting=web.waiting + db.waiting))
    assert ids(result.next[-1][0]) == {"i-d"}
    error = world.look_at(result.next[-1][0]).error
    assert isinstance(error, BadSettings)
    assert "group 'db'" in str(error)


def test_a_group_that_may_ask_is_registered_and_waits(world: World) -> None:
    world.group("web", gate="job elb")
    world.behind(*GROUP.target_groups)
    assert [report.error for report in world.register(world.launching("i-a"))] == [None]
    assert Result.CONTINUE not in world.fleet.completed.values()
    assert not world.fleet.targets.calls
