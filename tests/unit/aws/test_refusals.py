"""One refusal of AWS's holds only the instance that it is about, at reading and wherever instances share a call."""

from __future__ import annotations

import json
from copy import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from rollcall.aws.client import CLIENT_CONFIG
from rollcall.aws.fleet import Fleet
from rollcall.aws.target_groups import Targets
from rollcall.domain.errors import AwsRejected, BadEvent, InstancesRefused, RollcallError
from rollcall.domain.jobs import Outcome
from rollcall.domain.message_format import read_action
from rollcall.runtime.batch import BatchProcessor
from unit.auto_scaling_world import SCOPE
from unit.auto_scaling_world import World as AutoScaling
from unit.fakes import FakeAnnouncer
from unit.runtime.test_batch import batch, body
from unit.world import OWN_QUEUE, World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollcall.domain.actions import LifecycleAction

LONG = "i-" + "0" * 18  # an id may have seventeen digits
WORDS = "less than or equal to 19"


@pytest.fixture
def auto_scaling() -> AutoScaling:
    """The embedded Auto Scaling, with a group of sixty: more than one call takes."""
    made = AutoScaling(MaxSize=60)
    made.scale(60)
    return made


@pytest.fixture
def fleet(auto_scaling: AutoScaling) -> Fleet:
    made = Fleet(SCOPE.region)
    made._clients["autoscaling", CLIENT_CONFIG] = auto_scaling.client
    return made


def test_a_message_with_an_id_that_aws_refuses_keeps_no_other_from_being_worked_on(
    auto_scaling: AutoScaling, fleet: Fleet, world: World
) -> None:
    announcer, known = FakeAnnouncer(), dict[str, Any]()

    def work(actions: list[LifecycleAction]) -> Sequence[RollcallError | None]:
        known.update(fleet.memberships({action.instance_id for action in actions}))
        return [None] * len(actions)

    here = auto_scaling.ids("InService")
    processor = BatchProcessor(OWN_QUEUE, world.fleets, world.queues, announcer)
    event = batch(*map(body, here[:30]), body(LONG), *map(body, here[30:]))
    response = processor.take(event, read_action, lambda action: [action], work)
    assert response == {"batchItemFailures": [{"itemIdentifier": "m30"}]}
    assert known.keys() == set(here)
    assert [type(error) for what, error in announcer.announced if what == "message_failed"] == [BadEvent]


@pytest.mark.parametrize("wrong", [LONG, "", "i-\ud800"], ids=ascii)
def test_auto_scaling_names_the_instance_that_it_refuses_and_answers_for_the_others(
    auto_scaling: AutoScaling, fleet: Fleet, wrong: str
) -> None:
    here = auto_scaling.ids("InService")
    with pytest.raises(InstancesRefused) as refused:
        fleet.memberships([*here, wrong])
    assert refused.value.by_id.keys() == {wrong}
    assert wrong != LONG or WORDS in str(refused.value.by_id[wrong])
    str(refused.value.by_id[wrong]).encode()
    assert fleet.memberships(here).keys() == set(here)


@pytest.mark.parametrize("wrong", ["g" * 256, "", "we\ud800b"], ids=ascii)
def test_a_group_name_that_aws_refuses_is_no_groups_and_hides_no_other(
    auto_scaling: AutoScaling, fleet: Fleet, wrong: str
) -> None:
    assert fleet.groups([auto_scaling.name, wrong]).keys() == {auto_scaling.name}


@pytest.mark.parametrize("code", ["InvalidParameterValue", "ValidationError"])
def test_ec2_names_the_instance_that_it_refuses(code: str) -> None:
    fleet = Fleet(SCOPE.region)
    with Stubber(fleet._ec2) as ec2:
        for _ in range(2):
            ec2.add_client_error("describe_instances", code, "odd")
        ec2.add_response("describe_instances", {"Reservations": []})
        with pytest.raises(InstancesRefused) as refused:
            fleet.instances(["i-a", "i-b"])
    assert str(refused.value.by_id["i-a"]) == "AWS refused DescribeInstances of 'i-a': odd"
    assert refused.value.by_id.keys() == {"i-a"}


def test_an_id_that_ec2_calls_malformed_passes_no_check_and_hides_no_other() -> None:
    fleet = Fleet(SCOPE.region)
    passed: Any = {"InstanceStatus": {"Status": "ok"}, "SystemStatus": {"Status": "ok"}}
    with Stubber(fleet._ec2) as ec2:
        for _ in range(2):
            words = 'Invalid id: "i-wrong" (expecting "i-...")'
            ec2.add_client_error("describe_instance_status", "InvalidInstanceID.Malformed", words)
        ec2.add_response("describe_instance_status", {"InstanceStatuses": [{"InstanceId": "i-b", **passed}]})
        ec2.add_client_error("describe_instance_status", "InvalidInstanceID.Malformed", words)
        assert fleet.passing_status_checks(["i-a", "i-b", "i-wrong"]) == {"i-b"}


def test_an_id_that_a_load_balancer_calls_malformed_keeps_no_other_out() -> None:
    fleet = Fleet(SCOPE.region)
    targets, words = Targets(fleet._elbv2), "Instance ID 'i-wrong' is not valid"
    with Stubber(fleet._elbv2) as elb:
        elb.add_client_error("register_targets", "ValidationError", words)
        elb.add_response("register_targets", {})
        elb.add_client_error("register_targets", "ValidationError", words)
        assert targets.register("arn:targets", ["i-a", "i-wrong"]) == {"i-wrong": words}


# What shares a batch with an instance that AWS refuses all the same


def errors(reports: Sequence[Any]) -> dict[str, RollcallError | None]:
    return {report.action.instance_id: report.error for report in reports}


def test_register_goes_on_without_the_instance_that_aws_refuses(world: World) -> None:
    world.group("web")
    actions = [world.launching(each) for each in ("i-a", "i-b", "i-c")]
    world.fleet.refused = {"i-b"}
    found = errors(world.register(*actions))
    assert isinstance(found.pop("i-b"), AwsRejected)
    assert found == {"i-a": None, "i-c": None}
    assert world.tower.names_in(world.inventory) == {"i-a", "i-c"}


def test_cleanup_goes_on_without_the_instance_that_aws_refuses_and_keeps_its_host(world: World) -> None:
    world.group("web")
    for each in ("i-a", "i-b"):
        world.host_of(each, "10.0.0.1")
    actions = [world.terminating(each) for each in ("i-a", "i-b")]
    world.fleet.refused = {"i-b"}
    found = errors(world.clean_up(*actions))
    assert "AWS refused i-b" in str(found.pop("i-b"))
    assert found == {"i-a": None}
    assert world.tower.names_in(world.inventory) == {"i-b"}


def test_where_aws_refuses_all_of_a_batch_each_says_so(world: World) -> None:
    world.group("web")
    actions = [world.launching(each) for each in ("i-a", "i-b")]
    world.fleet.refused = {"i-a", "i-b"}
    found = errors(world.register(*actions))
    assert [str(error) for _, error in sorted(found.items())] == [
        "AWS refused i-a: no id of AWS's",
        "AWS refused i-b: no id of AWS's",
    ]


def test_the_gate_parts_from_the_instance_that_aws_refuses(world: World) -> None:
    world.group("web", on_failure="hold")
    message = world.waiting("i-a", "i-b")
    world.end(message, i_a=Outcome.FAILED, i_b=Outcome.FAILED)
    world.fleet.refused = {"i-b"}
    found = errors(world.evaluate_one(message).reports)
    assert "AWS refused i-b" in str(found["i-b"])
    onward = {each.waiting[0].action.instance_id: each for each, _ in world.queues.gate_messages()}
    assert [len(each.waiting) for each in onward.values()] == [1, 1]
    assert not any(report.error for report in world.evaluate_one(onward["i-a"]).reports)


def test_a_refusal_about_others_than_the_batch_fails_all_of_it(world: World) -> None:
    refusal = InstancesRefused({"i-other": AwsRejected("no")})
    world.group("web")
    world.fleet.failing["memberships"] = refusal
    assert errors(world.register(world.launching("i-a"), world.launching("i-b"))) == {"i-a": refusal, "i-b": refusal}


def test_a_job_that_holds_more_than_instances_is_no_reason_to_ask_aws_about_names(world: World) -> None:
    world.group("web")
    message = world.waiting("i-a", "i-b")
    job = world.tower.add_job(world.template, world.inventory, "i-a", "i-b", "a-database-of-ours.example.com")
    message = replace(message, job_id=job.id)
    world.terminated("i-a")
    world.fleet.stale = {"i-a", "i-b"}
    world.leaves("i-b", "InService")
    world.clock.advance(3000)
    assert errors(world.evaluate_one(message).reports) == {"i-a": None, "i-b": None}
    assert not world.tower.runs[job.id].job.status.final


def test_a_queue_that_takes_one_message_of_two_has_the_other_instances_come_again(world: World) -> None:
    world.settings = replace(world.settings, max_hosts_per_job=1)
    world.group("web", retire_job_template="retire")
    actions = [world.terminating(each) for each in ("i-a", "i-b")]
    refusal = AwsRejected("SQS refused a message")

    def send_each(url: str, messages: Sequence[tuple[str, float]]) -> list[RollcallError | None]:
        return [refusal if json.loads(text)["retiring"][0]["instance_id"] == "i-a" else None for text, _ in messages]

    world.queues.send_each = send_each  # type: ignore[method-assign]
    found = errors(world.clean_up(*actions))
    assert found == {"i-a": refusal, "i-b": None}
