"""The check elb: who is let at the traffic of load balancers, when, and who is taken out again."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

import pytest

from rollcall.domain.actions import Result
from rollcall.domain.errors import AwsDenied, BadSettings, Throttled
from rollcall.domain.jobs import Outcome
from rollcall.domain.reports import NO_LONGER_WAITING
from unit.world import World, alerts, ids

if TYPE_CHECKING:
    from rollcall.aws.fleet import Fleet
    from rollcall.domain.messages import GateMessage
    from rollcall.lifecycle.gate_round import Round

OK, FAILED, UNREACHABLE = Outcome.OK, Outcome.FAILED, Outcome.UNREACHABLE
WEB, API = (
    f"arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/{name}/0123456789abcdef"
    for name in ("web", "api")
)


@pytest.fixture
def world() -> World:
    """A world with the group "web", whose instances are to pass their job and be healthy in two target groups."""
    made = World()
    made.group("web", gate="job elb")
    made.behind(WEB, API)
    return made


def completed(world: World) -> dict[str, Result]:
    return {action.instance_id: result for action, result in world.fleet.completed.items()}


def provisioned(world: World, *instance_ids: str) -> GateMessage:
    """Those who wait, with a job that went well for all."""
    message = world.waiting(*instance_ids)
    world.tower.end_job(message.job_id or 0, dict.fromkeys(instance_ids, OK))
    return message


def let_in(world: World, *instance_ids: str) -> GateMessage:
    """Likewise, and they are targets by now."""
    [(message, _)] = world.evaluate_one(provisioned(world, *instance_ids)).next
    return message


def everywhere(world: World, instance_id: str, state: str, reason: str = "") -> None:
    for target_group in (WEB, API):
        world.fleet.targets.said(state, reason, of=instance_id, by=target_group)


def why(result: Round[GateMessage]) -> str:
    [report] = result.reports
    return report.outcome


# Who is let at traffic


def test_the_provisioned_become_targets_of_every_target_group_and_go_on_waiting(world: World) -> None:
    result = world.evaluate_one(provisioned(world, "i-a", "i-b"))
    assert world.fleet.targets.registered(WEB) == world.fleet.targets.registered(API) == {"i-a", "i-b"}
    assert world.fleet.targets.calls == {"health": 2, "register": 2, "types": 2}
    [(message, delay)] = result.next
    assert (ids(message), delay) == ({"i-a", "i-b"}, 5)
    assert not world.fleet.completed


def test_nobody_is_a_target_before_its_job_went_well(world: World) -> None:
    message = world.waiting("i-a", "i-b", "i-c")
    world.evaluate_one(message)
    world.end(message, i_a=OK, i_b=UNREACHABLE, i_c=FAILED)
    world.evaluate_one(message)
    assert world.fleet.targets.registered(WEB) == {"i-a"}


def test_nobody_is_a_target_before_every_other_check_passes(world: World) -> None:
    world.group("web", gate="elb ec2 job")
    world.behind(WEB)
    message = provisioned(world, "i-a", "i-b")
    world.fleet.passing.add("i-b")
    world.evaluate_one(message)
    assert world.fleet.targets.registered(WEB) == {"i-b"}


def test_a_group_without_a_job_is_let_at_traffic_at_once(world: World) -> None:
    world.group("web", job_template="", gate="elb")
    world.behind(WEB)
    [(message, _)] = world.evaluate_one(replace(world.waiting("i-a"), job_id=None)).next
    world.fleet.targets.said("healthy", of="i-a", by=WEB)
    world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.CONTINUE}


def test_who_is_a_target_already_is_not_registered_again(world: World) -> None:
    message = let_in(world, "i-a")
    world.fleet.targets.calls.clear()
    world.evaluate_one(message)
    assert world.fleet.targets.calls == {"health": 2}


def test_who_was_taken_out_becomes_a_target_again(world: World) -> None:
    message = let_in(world, "i-a")
    world.fleet.targets.deregister(WEB, ["i-a"])
    world.evaluate_one(message)
    assert world.fleet.targets.registered(WEB) == {"i-a"}


def test_a_group_that_does_not_ask_for_elb_is_none_of_the_load_balancers_business(world: World) -> None:
    world.group("web")
    world.behind(WEB)
    world.evaluate_one(provisioned(world, "i-a"))
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert not world.fleet.targets.calls


# What becomes of them


def test_an_instance_is_ready_once_every_target_group_calls_it_healthy(world: World) -> None:
    message = let_in(world, "i-a", "i-b")
    everywhere(world, "i-a", "healthy")
    world.fleet.targets.said("healthy", of="i-b", by=WEB)
    world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.CONTINUE}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("unhealthy", "Target.FailedHealthChecks"),
        ("unhealthy.draining", "Target.Timeout"),
        ("unused", "Target.InvalidState"),
    ],
)
def test_an_instance_that_is_not_healthy_in_time_is_abandoned_for_what_its_target_group_says(
    world: World, state: str, reason: str
) -> None:
    message = let_in(world, "i-a")
    world.fleet.targets.said("healthy", of="i-a", by=WEB)
    world.fleet.targets.said(state, reason, of="i-a", by=API)
    world.clock.advance(1799)
    assert not world.evaluate_one(message).reports
    world.clock.advance(1)
    assert f"elb: target group api: {state} ({reason})" in why(world.evaluate_one(message))
    assert completed(world) == {"i-a": Result.ABANDON}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("initial", "Elb.InitialHealthChecking"),
        ("unhealthy", "Elb.InternalError"),
        ("unused", "Target.NotInUse"),
        ("unavailable", "Elb.InternalError"),
        ("unavailable", "Target.HealthCheckDisabled"),
    ],
)
def test_what_says_nothing_against_an_instance_holds_it_and_an_operator_is_alerted(
    world: World, state: str, reason: str
) -> None:
    message = let_in(world, "i-a")
    everywhere(world, "i-a", state, reason)
    world.clock.advance(1800)
    result = world.evaluate_one(message)
    [alert] = alerts(result)
    assert f"elb: target group web: {state} ({reason})" in alert.reason
    [(message, delay)] = result.next
    assert delay == 60
    assert world.fleet.targets.registered(WEB) == {"i-a"}
    everywhere(world, "i-a", "healthy")
    world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.CONTINUE}


def test_an_instance_whose_job_took_all_the_time_is_not_abandoned_before_its_target_group_has_looked(
    world: World,
) -> None:
    message = provisioned(world, "i-a")
    world.clock.advance(1800)
    [(message, _)] = world.evaluate_one(message).next
    [(message, _)] = world.evaluate_one(message).next
    assert not world.fleet.completed
    everywhere(world, "i-a", "unhealthy", "Target.Timeout")
    world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.ABANDON}


def test_what_speaks_against_the_instance_counts_whatever_else_is_wrong(world: World) -> None:
    message = let_in(world, "i-a")
    world.fleet.targets.said("unused", "Target.NotInUse", of="i-a", by=WEB)
    world.fleet.targets.said("unhealthy", "Target.Timeout", of="i-a", by=API)
    world.clock.advance(1800)
    world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.ABANDON}


def test_an_instance_that_its_target_group_does_not_take_waits_and_the_others_do_not(world: World) -> None:
    world.fleet.targets.refusing["i-b"] = "not in the same VPC"
    message = let_in(world, "i-a", "i-b")
    everywhere(world, "i-a", "healthy")
    world.clock.advance(1800)
    [alert] = alerts(world.evaluate_one(message))
    assert "target group web: not in the same VPC" in alert.reason
    assert completed(world) == {"i-a": Result.CONTINUE}


# Who is taken out again


def order_of_withdrawal(world: World) -> list[str]:
    """Fills with what happens: deregister, complete."""
    order: list[str] = []
    world.fleet.targets.before_call = lambda method: order.append(method) if method == "deregister" else None
    world.fleet.before_complete = lambda action: order.append("complete")
    return order


def test_an_instance_is_out_of_the_target_groups_before_it_is_abandoned(world: World) -> None:
    message = let_in(world, "i-a")
    everywhere(world, "i-a", "unhealthy", "Target.Timeout")
    order = order_of_withdrawal(world)
    world.clock.advance(1800)
    world.evaluate_one(message)
    assert order == ["deregister", "deregister", "complete"]
    assert not world.fleet.targets.registered(WEB) | world.fleet.targets.registered(API)


def test_an_instance_that_cannot_be_taken_out_is_not_abandoned(world: World) -> None:
    message = let_in(world, "i-a")
    everywhere(world, "i-a", "unhealthy", "Target.Timeout")
    world.fleet.targets.failing["deregister"] = Throttled("later")
    world.clock.advance(1800)
    assert isinstance(world.evaluate_one(message).error, Throttled)
    assert not world.fleet.completed
    assert world.tower.names_in(world.inventory) == {"i-a"}


@pytest.mark.parametrize("gate", ["job elb", "job"])
def test_an_instance_whose_later_job_fails_leaves_the_target_groups(world: World, gate: str) -> None:
    message = let_in(world, "i-a")
    world.group("web", gate=gate)
    world.behind(WEB, API)
    job = world.tower.add_job(world.template, world.inventory, "i-a")
    world.tower.end_job(job.id, {"i-a": FAILED})
    world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.ABANDON}
    assert not world.fleet.targets.registered(WEB)


def test_an_instance_that_is_held_for_its_job_leaves_the_target_groups(world: World) -> None:
    world.group("web", gate="job elb", on_failure="hold")
    world.behind(WEB)
    message = let_in(world, "i-a")
    job = world.tower.add_job(world.template, world.inventory, "i-a")
    world.tower.end_job(job.id, {"i-a": FAILED})
    world.evaluate_one(message)
    assert not world.fleet.targets.registered(WEB)
    assert not world.fleet.completed


def test_an_instance_that_is_held_for_its_load_balancer_stays_so_that_it_can_come_up(world: World) -> None:
    world.group("web", gate="job elb", on_failure="hold")
    world.behind(WEB)
    message = let_in(world, "i-a")
    world.fleet.targets.said("unhealthy", "Target.Timeout", of="i-a", by=WEB)
    world.clock.advance(1800)
    [(message, _)] = world.evaluate_one(message).next
    world.fleet.targets.said("healthy", of="i-a", by=WEB)
    world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.CONTINUE}


@pytest.mark.parametrize("state", ["Terminating:Wait", None])
def test_an_instance_that_dies_or_leaves_meanwhile_leaves_the_target_groups(world: World, state: str | None) -> None:
    message = let_in(world, "i-a", "i-b")
    if state:
        world.leaves("i-a", state)
    else:
        world.terminated("i-a")
    assert why(world.evaluate_one(message)) == "removed from every inventory: left meanwhile"
    assert world.fleet.targets.registered(WEB) == world.fleet.targets.registered(API) == {"i-b"}


def test_an_instance_whose_hook_timed_out_leaves_the_target_groups(world: World) -> None:
    message = replace(let_in(world, "i-a"), heartbeat_at=0)
    world.fleet.stale.add("i-a")
    world.leaves("i-a")
    world.evaluate_one(message)
    assert not world.fleet.targets.registered(WEB)


def test_an_instance_that_left_before_its_relaunch_leaves_the_target_groups(world: World) -> None:
    message = let_in(world, "i-a")
    job = world.tower.add_job(world.template, world.inventory, "i-a")
    world.tower.end_job(job.id, {"i-a": Outcome.CUT_SHORT})
    world.leaves("i-a")
    world.clock.advance(3600)
    world.evaluate_one(message)
    assert not world.fleet.targets.registered(WEB)


def test_who_came_into_service_by_another_way_stays_a_target(world: World) -> None:
    message = replace(let_in(world, "i-a"), heartbeat_at=0)
    world.fleet.stale.add("i-a")
    world.leaves("i-a", "InService")
    assert why(world.evaluate_one(message)) == NO_LONGER_WAITING
    assert world.fleet.targets.registered(WEB) == {"i-a"}


def test_an_installation_without_load_balancers_asks_them_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.group("web")
    world.behind(WEB)
    world.settings = replace(world.settings, load_balancers=False)
    message = world.waiting("i-a", "i-b")
    world.end(message, i_a=FAILED, i_b=UNREACHABLE)
    world.leaves("i-b")

    def no_client(fleet: Fleet) -> None:
        raise AssertionError("a client for load balancers was made")

    monkeypatch.setattr(type(world.fleet), "targets", property(no_client))
    world.evaluate_one(message)
    assert completed(world) == {"i-a": Result.ABANDON}


# What cannot be followed


@pytest.mark.parametrize("error", [Throttled("later"), AwsDenied("no permission")])
@pytest.mark.parametrize("method", ["health", "register", "types"])
def test_what_load_balancers_do_not_answer_fails_only_their_group(
    world: World, method: str, error: Throttled | AwsDenied
) -> None:
    world.group("db")
    world.fleet.targets.failing[method] = error
    web, db = provisioned(world, "i-a"), world.waiting("i-d", group="db")
    world.end(db, i_d=OK)
    failed, fine = world.evaluate(web, db)
    assert failed.error is error
    assert fine.error is None
    assert completed(world) == {"i-d": Result.CONTINUE}


@pytest.mark.parametrize("kind", ["ip", "lambda", "alb"])
def test_a_target_group_that_takes_no_instances_is_refused(world: World, kind: str) -> None:
    world.fleet.targets.kinds[API] = kind
    error = world.evaluate_one(provisioned(world, "i-a")).error
    assert isinstance(error, BadSettings)
    for words in ("group 'web'", "target group api", f"of type {kind}", "attach one of target type instance"):
        assert words in str(error)
    assert not world.fleet.targets.registered(API)


def test_a_group_that_lost_its_target_groups_meanwhile_is_refused(world: World) -> None:
    message = let_in(world, "i-a")
    world.behind()
    error = world.evaluate_one(message).error
    assert isinstance(error, BadSettings)
    assert "attached to no target group" in str(error)
