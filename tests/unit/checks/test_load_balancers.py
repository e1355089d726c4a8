"""Tags that ask for load balancers: who may, and what is reported of those who may not."""

from __future__ import annotations

from copy import replace

import pytest

from rollcall.checks.load_balancers import require_askable
from rollcall.checks.registry import read_group_settings
from rollcall.domain.actions import Result
from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import Group
from rollcall.domain.jobs import Outcome
from rollcall.domain.messages import GateMessage
from unit.world import World, alerts, ids

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
    result = world.evaluate_one(replace(web, waiting=web.waiting + db.waiting))
    assert ids(result.next[-1][0]) == {"i-d"}
    error = world.evaluate_one(result.next[-1][0]).error
    assert isinstance(error, BadSettings)
    assert "group 'db'" in str(error)


def test_a_group_that_may_ask_is_registered_and_waits(world: World) -> None:
    world.group("web", gate="job elb")
    world.behind(*GROUP.target_groups)
    assert [report.error for report in world.register(world.launching("i-a"))] == [None]
    assert Result.CONTINUE not in world.fleet.completed.values()
    assert not world.fleet.targets.calls


# Who serves already


WEB = GROUP.target_groups[0]


def provisioned(world: World, instance_id: str, *, held_by_hook: bool) -> GateMessage:
    """One whose job went well and whose gate asks for elb: a hook holds it, or it serves without one."""
    world.group("web", gate="job elb")
    world.behind(WEB)
    message = world.waiting(instance_id)
    world.tower.end_job(message.job_id or 0, {instance_id: Outcome.OK})
    if held_by_hook:
        return message
    world.leaves(instance_id, "InService")
    [waiting] = message.waiting
    return replace(message, waiting=(replace(waiting, action=replace(waiting.action, hook=None, token=None)),))


def takes_out(world: World, instance_id: str, state: str | None) -> None:
    """Auto Scaling takes the instance out of its target groups: it goes to this state, or is detached."""
    world.fleet.targets.said("healthy", of=instance_id, by=WEB)
    world.fleet.targets.deregister(WEB, [instance_id])
    if state:
        world.leaves(instance_id, state)
    else:
        world.detached(instance_id)
    world.fleet.targets.calls.clear()


@pytest.mark.parametrize("held_by_hook", [False, True])
@pytest.mark.parametrize("state", ["EnteringStandby", "Standby", "Detaching", None, "Terminating", "InService"])
def test_who_is_not_pending_any_more_never_becomes_a_target(
    world: World, state: str | None, held_by_hook: bool
) -> None:
    message = provisioned(world, "i-a", held_by_hook=held_by_hook)
    takes_out(world, "i-a", state)
    result = world.evaluate_one(message)
    assert not result.error
    assert not world.fleet.targets.calls["register"]
    assert not world.fleet.targets.registered(WEB)
    assert not world.fleet.completed


def test_who_serves_without_a_hook_is_ready_once_its_target_groups_call_it_healthy(world: World) -> None:
    message = provisioned(world, "i-a", held_by_hook=False)
    world.fleet.targets.said("initial", "Elb.InitialHealthChecking", of="i-a", by=WEB)
    [(message, _)] = world.evaluate_one(message).next
    world.fleet.targets.said("healthy", of="i-a", by=WEB)
    [report] = world.evaluate_one(message).reports
    assert report.outcome == "ready"
    assert world.fleet.targets.calls == {"health": 2}


def test_who_serves_without_a_hook_and_is_no_target_in_time_is_left_and_an_operator_is_alerted(world: World) -> None:
    message = provisioned(world, "i-a", held_by_hook=False)
    takes_out(world, "i-a", "Standby")
    world.clock.advance(1800)
    [alert] = alerts(world.evaluate_one(message))
    assert "elb: target group web: draining" in alert.reason
    assert world.fleet.targets.calls == {"health": 1}


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("leaves", [False, True])
def test_who_serves_without_a_hook_is_never_taken_out(world: World, outcome: Outcome, leaves: bool) -> None:
    message = provisioned(world, "i-a", held_by_hook=False)
    world.end(message, i_a=outcome)
    world.fleet.targets.said("unhealthy", "Target.Timeout", of="i-a", by=WEB)
    if leaves:
        world.leaves("i-a", "Terminating:Wait")
    world.clock.advance(1800)
    world.evaluate_one(message)
    assert not world.fleet.targets.calls["deregister"]


def test_of_those_who_wait_together_only_the_pending_become_targets(world: World) -> None:
    serving = provisioned(world, "i-s", held_by_hook=False)
    held = provisioned(world, "i-h", held_by_hook=True)
    freed = provisioned(world, "i-f", held_by_hook=True)
    world.leaves("i-f", "Standby")
    job = world.tower.add_job(world.template, world.inventory, "i-s", "i-h", "i-f")
    world.tower.end_job(job.id, dict.fromkeys(("i-s", "i-h", "i-f"), Outcome.OK))
    world.evaluate_one(replace(held, waiting=serving.waiting + held.waiting + freed.waiting, job_id=job.id))
    assert world.fleet.targets.registered(WEB) == {"i-h"}
