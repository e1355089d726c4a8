"""Target groups, in the words that Elastic Load Balancing has for its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from botocore.stub import Stubber

from rollcall.aws.target_groups import GROUPS_PER_CALL, NOT_REGISTERED, TargetHealth, Targets, name_of
from rollcall.domain.errors import AwsDenied, AwsRejected, AwsUnavailable, BadSettings, Throttled
from unit.fakes import REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WEB = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef"
NOT_RUNNING = "The following targets are not in a running state and cannot be registered"


@pytest.fixture
def elb() -> Iterator[Stubber]:
    """Elastic Load Balancing's answers, each with the request that it must answer."""
    with Stubber(boto3.client("elbv2", region_name=REGION)) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def targets(elb: Stubber) -> Targets:
    return Targets(cast("Any", elb.client))


def asked(*instance_ids: str) -> dict[str, Any]:
    return {"TargetGroupArn": WEB, "Targets": [{"Id": each} for each in instance_ids]}


def said(instance_id: str, state: str, **more: str) -> dict[str, Any]:
    return {"Target": {"Id": instance_id, "Port": 80}, "TargetHealth": {"State": state} | more}


def test_the_health_of_all_is_one_call(targets: Targets, elb: Stubber) -> None:
    why = {"Reason": "Target.Timeout", "Description": "Request timed out"}
    answer = {"TargetHealthDescriptions": [said("i-a", "healthy"), said("i-b", "unhealthy", **why)]}
    elb.add_response("describe_target_health", answer, asked("i-a", "i-b", "i-c"))
    assert targets.health(WEB, {"i-c", "i-a", "i-b"}) == {
        "i-a": TargetHealth("healthy"),
        "i-b": TargetHealth("unhealthy", "Target.Timeout", "Request timed out"),
        "i-c": TargetHealth("unused", NOT_REGISTERED),
    }


@pytest.mark.parametrize(
    ("health", "healthy", "registered"),
    [
        (TargetHealth("initial", "Elb.RegistrationInProgress"), False, True),
        (TargetHealth("healthy"), True, True),
        (TargetHealth("unhealthy", "Target.Timeout"), False, True),
        (TargetHealth("unhealthy.draining", "Target.Timeout"), False, True),
        (TargetHealth("unused", "Target.NotInUse"), False, True),
        (TargetHealth("unused", NOT_REGISTERED), False, False),
        (TargetHealth("draining", "Target.DeregistrationInProgress"), False, False),
        (TargetHealth("unavailable", "Elb.InternalError"), False, True),
    ],
)
def test_only_one_state_is_healthy_and_two_are_not_registered(
    health: TargetHealth, healthy: bool, registered: bool
) -> None:
    assert (health.healthy, health.registered) == (healthy, registered)


def test_registering_all_is_one_call(targets: Targets, elb: Stubber) -> None:
    elb.add_response("register_targets", {}, asked("i-a", "i-b"))
    assert targets.register(WEB, {"i-b", "i-a"}) == {}


def test_one_that_aws_does_not_take_keeps_no_other_out(targets: Targets, elb: Stubber) -> None:
    for tried, taken in [
        (["i-a", "i-b", "i-c", "i-d"], False),
        (["i-a", "i-b"], False),
        (["i-a"], True),
        (["i-b"], False),
        (["i-c", "i-d"], True),
    ]:
        if taken:
            elb.add_response("register_targets", {}, asked(*tried))
        else:
            elb.add_client_error("register_targets", "InvalidTarget", NOT_RUNNING, 400, expected_params=asked(*tried))
    assert targets.register(WEB, ["i-a", "i-b", "i-c", "i-d"]) == {"i-b": NOT_RUNNING}


def test_one_that_aws_does_not_know_keeps_no_other_from_being_read(targets: Targets, elb: Stubber) -> None:
    elb.add_client_error("describe_target_health", "InvalidTarget", expected_params=asked("i-a", "i-b"))
    healthy = {"TargetHealthDescriptions": [said("i-a", "healthy")]}
    elb.add_response("describe_target_health", healthy, asked("i-a"))
    elb.add_client_error("describe_target_health", "InvalidTarget", expected_params=asked("i-b"))
    assert targets.health(WEB, ["i-a", "i-b"]) == {
        "i-a": TargetHealth("healthy"),
        "i-b": TargetHealth("unused", NOT_REGISTERED),
    }


def test_deregistering_all_is_one_call_and_those_that_aws_does_not_know_are_gone(
    targets: Targets, elb: Stubber
) -> None:
    elb.add_response("deregister_targets", {}, asked("i-a", "i-b"))
    targets.deregister(WEB, {"i-b", "i-a"})
    elb.add_client_error("deregister_targets", "InvalidTarget", expected_params=asked("i-a"))
    targets.deregister(WEB, {"i-a"})


def test_no_one_is_left_in_a_target_group_that_does_not_exist(targets: Targets, elb: Stubber) -> None:
    elb.add_client_error("deregister_targets", "TargetGroupNotFound", "not found", 400)
    targets.deregister(WEB, {"i-a"})


CALLS: dict[str, Callable[[Targets], object]] = {
    "register_targets": lambda targets: targets.register(WEB, ["i-a"]),
    "describe_target_health": lambda targets: targets.health(WEB, ["i-a"]),
    "describe_target_groups": lambda targets: targets.types([WEB]),
}


@pytest.mark.parametrize("method", CALLS)
def test_a_target_group_that_does_not_exist_is_named_with_the_remedy(
    targets: Targets, elb: Stubber, method: str
) -> None:
    elb.add_client_error(method, "TargetGroupNotFound", "One or more target groups not found", 400)
    with pytest.raises(BadSettings, match=r"target group web does not exist: detach it"):
        CALLS[method](targets)


@pytest.mark.parametrize("method", [*CALLS, "deregister_targets"])
@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("Throttling", 400, Throttled),
        ("HealthUnavailable", 500, AwsUnavailable),
        ("AccessDenied", 403, AwsDenied),
        ("TooManyTargets", 400, AwsRejected),
    ],
)
def test_what_fails_is_given_apart_and_names_the_target_group(
    targets: Targets, elb: Stubber, method: str, code: str, status: int, error: type[Exception]
) -> None:
    elb.add_client_error(method, code, "no", status)
    calls = CALLS | {"deregister_targets": lambda targets: targets.deregister(WEB, ["i-a"])}
    with pytest.raises(error, match=rf"target group web: {code}"):
        calls[method](targets)


def test_the_types_of_many_target_groups_are_asked_for_a_few_at_a_time(targets: Targets, elb: Stubber) -> None:
    arns = [f"{WEB}{number:02}" for number in range(GROUPS_PER_CALL + 1)]
    for chunk in (arns[:GROUPS_PER_CALL], arns[GROUPS_PER_CALL:]):
        answer = {"TargetGroups": [{"TargetGroupArn": each, "TargetType": "instance"} for each in chunk]}
        elb.add_response("describe_target_groups", answer, {"TargetGroupArns": chunk})
    assert targets.types(arns) == dict.fromkeys(arns, "instance")


def test_a_target_group_is_called_by_its_name() -> None:
    assert name_of(WEB) == "web"
    assert name_of("something else") == "something else"
