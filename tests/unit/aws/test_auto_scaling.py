"""Auto Scaling, in the words that AWS has for its answers."""

from __future__ import annotations

from copy import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from rollcall.aws.fleet import Fleet
from rollcall.domain.actions import LifecycleAction, Result, Transition
from rollcall.domain.errors import AwsDenied, AwsRejected, AwsUnavailable, RollcallError, Throttled
from rollcall.domain.groups import Group, Hook
from rollcall.domain.membership import Membership, OptedIn
from unit.fakes import ACCOUNT, REGION

from .answers import ACTION, ARGUMENTS, COMPLETE, HEARTBEAT, REFUSALS, TOKEN, hook, raw_group, raw_membership, source

if TYPE_CHECKING:
    from collections.abc import Callable

# Groups


def test_a_hook_is_read_with_what_ends_its_wait(fleet: Fleet, autoscaling: Stubber) -> None:
    launching, terminating = (str(each) for each in Transition)
    autoscaling.add_response(
        "describe_lifecycle_hooks",
        {
            "LifecycleHooks": [
                hook("in", 30) | {"LifecycleTransition": launching, "DefaultResult": "CONTINUE"},
                hook("out", 7200)
                | {"LifecycleTransition": terminating, "DefaultResult": "ABANDON", "NotificationTargetARN": "arn:q"},
            ]
        },
        {"AutoScalingGroupName": "web"},
    )
    assert fleet.hooks("web") == [
        Hook("in", Transition.LAUNCHING, "", Result.CONTINUE, 30),
        Hook("out", Transition.TERMINATING, "arn:q", Result.ABANDON, 7200),
    ]


def test_groups_come_with_their_tags_and_the_timeouts_of_their_hooks(fleet: Fleet, autoscaling: Stubber) -> None:
    autoscaling.add_response(
        "describe_auto_scaling_groups",
        {"AutoScalingGroups": [raw_group("web", Name="x")]},
        {"AutoScalingGroupNames": ["deleted", "web"]},
    )
    autoscaling.add_response(
        "describe_lifecycle_hooks",
        {"LifecycleHooks": [hook("rollcall-launch", 300), hook("other", 3600)]},
        {"AutoScalingGroupName": "web"},
    )
    expected = {"web": Group("web", {"Name": "x"}, {"rollcall-launch": 300, "other": 3600})}
    assert fleet.groups({"web", "deleted"}) == expected
    assert fleet.groups({"web"}) == expected  # remembered


@pytest.mark.parametrize(
    ("raw", "target_groups", "other"),
    [
        ({}, (), ()),
        ({"TargetGroupARNs": ["arn:a", "arn:b"]}, ("arn:a", "arn:b"), ()),
        (
            {"TargetGroupARNs": ["arn:a"], "TrafficSources": [source("arn:a", "elbv2"), source("arn:b", "elbv2")]},
            ("arn:a", "arn:b"),
            (),
        ),
        (
            {"LoadBalancerNames": ["old"], "TrafficSources": [source("old", "elb"), source("older", "elb")]},
            (),
            ("classic load balancer old", "classic load balancer older"),
        ),
        ({"TrafficSources": [source("arn:c", "vpc-lattice")]}, (), ("vpc-lattice arn:c",)),
        ({"TrafficSources": [{"Identifier": "arn:c"}]}, (), ("traffic source arn:c",)),
    ],
)
def test_a_group_is_known_with_whatever_sends_it_traffic(
    fleet: Fleet,
    autoscaling: Stubber,
    raw: dict[str, Any],
    target_groups: tuple[str, ...],
    other: tuple[str, ...],
) -> None:
    autoscaling.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": [raw_group("web") | raw]})
    autoscaling.add_response("describe_lifecycle_hooks", {"LifecycleHooks": []})
    assert fleet.groups(["web"]) == {"web": Group("web", {}, {}, target_groups, other)}


def test_groups_with_a_tag_are_read_from_all_pages_with_their_members(fleet: Fleet, autoscaling: Stubber) -> None:
    asked = {
        "Filters": [{"Name": "tag-key", "Values": ["rollcall:inventory"]}],
        "IncludeInstances": True,
        "MaxRecords": 100,
    }
    member = raw_membership("i-a", "InService")
    del member["AutoScalingGroupName"]
    web = raw_group("web", **{"rollcall:inventory": "prod"}) | {"Instances": [member], "TargetGroupARNs": ["tg-1"]}
    first: dict[str, Any] = {"AutoScalingGroups": [web], "NextToken": "more"}
    autoscaling.add_response("describe_auto_scaling_groups", first, asked)
    second = {"AutoScalingGroups": [raw_group("db") | {"Instances": []}]}
    autoscaling.add_response("describe_auto_scaling_groups", second, asked | {"NextToken": "more"})
    assert fleet.opted_in("rollcall:inventory") == {
        "web": OptedIn(
            Group("web", {"rollcall:inventory": "prod"}, {}, ("tg-1",)), {"i-a": Membership("web", "InService")}
        ),
        "db": OptedIn(Group("db", {}, {}), {}),
    }


def test_groups_may_be_read_without_their_members(fleet: Fleet, autoscaling: Stubber) -> None:
    asked = {
        "Filters": [{"Name": "tag-key", "Values": ["rollcall:inventory"]}],
        "IncludeInstances": False,
        "MaxRecords": 100,
    }
    autoscaling.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": [raw_group("web")]}, asked)
    assert fleet.opted_in("rollcall:inventory", members=False) == {"web": OptedIn(Group("web", {}, {}), {})}


@REFUSALS
@pytest.mark.parametrize("members", [True, False])
def test_groups_whose_second_page_is_refused_are_not_taken_for_all(
    fleet: Fleet, autoscaling: Stubber, code: str, error: type[Exception], members: bool
) -> None:
    first: dict[str, Any] = {"AutoScalingGroups": [raw_group("web")], "NextToken": "more"}
    autoscaling.add_response("describe_auto_scaling_groups", first)
    autoscaling.add_client_error("describe_auto_scaling_groups", code, "no", 400)
    with pytest.raises(error, match=f"DescribeAutoScalingGroups: {code}"):
        fleet.opted_in("rollcall:inventory", members=members)


def member(instance_id: str, state: str) -> dict[str, Any]:
    return {
        "InstanceId": instance_id,
        "LifecycleState": state,
        "AvailabilityZone": "us-east-1a",
        "HealthStatus": "Healthy",
        "ProtectedFromScaleIn": False,
    }


def with_pool(name: str, *members: dict[str, Any]) -> dict[str, Any]:
    return raw_group(name) | {"Instances": list(members), "WarmPoolConfiguration": {"MinSize": 1}}


def test_the_members_of_a_warm_pool_are_listed_with_those_of_their_group(fleet: Fleet, autoscaling: Stubber) -> None:
    groups = [with_pool("web", member("i-a", "InService")), raw_group("db") | {"Instances": [member("i-d", "Standby")]}]
    autoscaling.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": groups})
    autoscaling.add_response(
        "describe_warm_pool",
        {"Instances": [member("i-b", "Warmed:Stopped")], "NextToken": "more"},
        {"AutoScalingGroupName": "web"},
    )
    autoscaling.add_response(
        "describe_warm_pool",
        {"Instances": [member("i-c", "Warmed:Pending:Wait")]},
        {"AutoScalingGroupName": "web", "NextToken": "more"},
    )
    assert {name: dict(each.members) for name, each in fleet.opted_in("tag").items()} == {
        "web": {
            "i-a": Membership("web", "InService"),
            "i-b": Membership("web", "Warmed:Stopped"),
            "i-c": Membership("web", "Warmed:Pending:Wait"),
        },
        "db": {"i-d": Membership("db", "Standby")},
    }


def test_no_warm_pool_is_read_for_groups_without_their_members(fleet: Fleet, autoscaling: Stubber) -> None:
    autoscaling.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": [with_pool("web")]})
    assert fleet.opted_in("tag", members=False)["web"].members == {}


def test_a_warm_pool_that_is_deleted_while_it_is_read_is_empty(fleet: Fleet, autoscaling: Stubber) -> None:
    answer = {"AutoScalingGroups": [with_pool("web", member("i-a", "InService"))]}
    autoscaling.add_response("describe_auto_scaling_groups", answer)
    autoscaling.add_client_error("describe_warm_pool", "ValidationError", "no such pool", 400)
    assert fleet.opted_in("tag")["web"].members == {"i-a": Membership("web", "InService")}


@REFUSALS
def test_a_warm_pool_that_cannot_be_read_is_not_taken_for_empty(
    fleet: Fleet, autoscaling: Stubber, code: str, error: type[Exception]
) -> None:
    autoscaling.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": [with_pool("web")]})
    autoscaling.add_client_error("describe_warm_pool", code, "no", 400)
    with pytest.raises(error, match=code):
        fleet.opted_in("tag")


# Arrivals

SECOND = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def activity(description: str, minutes: int) -> dict[str, Any]:
    return {
        "ActivityId": "a",
        "AutoScalingGroupName": "web",
        "Cause": "because",
        "Description": description,
        "StartTime": SECOND + timedelta(minutes=minutes),
        "StatusCode": "Successful",
    }


def test_an_instance_came_when_its_group_began_its_latest_launch_into_service(
    fleet: Fleet, autoscaling: Stubber
) -> None:
    activities = [
        activity("Terminating EC2 instance: i-a", 9),
        activity("Launching a new EC2 instance into warm pool: i-b", 8),
        activity("Launching a new EC2 instance from warm pool: i-a", 7),
        activity("Launching a new EC2 instance: i-0, which is not asked for", 6),
        activity("Launching a new EC2 instance: i-a", 5),
        activity("Launching a new EC2 instance: i-c", 4),
        activity("Launching a new EC2 instance.  Status Reason: no capacity", 3),
    ]
    autoscaling.add_response(
        "describe_scaling_activities", {"Activities": activities}, {"AutoScalingGroupName": "web", "MaxRecords": 100}
    )
    first = SECOND.timestamp()
    assert fleet.arrivals("web", {"i-a", "i-b", "i-c"}) == {"i-a": first + 7 * 60, "i-c": first + 4 * 60}


def test_an_instance_goes_since_its_group_began_to_terminate_it(fleet: Fleet, autoscaling: Stubber) -> None:
    activities = [
        activity("Launching a new EC2 instance: i-c", 9),
        activity("Terminating EC2 instance from warm pool: i-b", 8),
        activity("Terminating EC2 instance: i-a - Waiting For Terminate Lifecycle Action", 7),
        activity("Terminating EC2 instance: i-0, which is not asked for", 6),
    ]
    autoscaling.add_response("describe_scaling_activities", {"Activities": activities})
    first = SECOND.timestamp()
    assert fleet.departures("web", {"i-a", "i-b", "i-c"}) == {"i-a": first + 7 * 60, "i-b": first + 8 * 60}


def test_activities_are_read_until_all_are_found(fleet: Fleet, autoscaling: Stubber) -> None:
    page = {"Activities": [activity("Launching a new EC2 instance: i-a", 5)], "NextToken": "more"}
    autoscaling.add_response("describe_scaling_activities", page)
    assert fleet.arrivals("web", {"i-a"}).keys() == {"i-a"}
    autoscaling.add_response("describe_scaling_activities", page)
    older = {"Activities": [activity("Launching a new EC2 instance: i-b", 4)]}
    asked = {"AutoScalingGroupName": "web", "MaxRecords": 100, "NextToken": "more"}
    autoscaling.add_response("describe_scaling_activities", older, asked)
    assert fleet.arrivals("web", {"i-a", "i-b"}).keys() == {"i-a", "i-b"}


def test_no_more_than_a_thousand_activities_are_read(fleet: Fleet, autoscaling: Stubber) -> None:
    other = [activity("Launching a new EC2 instance: i-x", 5)] * 100
    for page in range(10):
        autoscaling.add_response("describe_scaling_activities", {"Activities": other, "NextToken": f"more-{page}"})
    assert fleet.arrivals("web", {"i-a"}) == {}


@REFUSALS
def test_activities_that_cannot_be_read_are_not_taken_for_none(
    fleet: Fleet, autoscaling: Stubber, code: str, error: type[Exception]
) -> None:
    autoscaling.add_client_error("describe_scaling_activities", code, "no", 400)
    with pytest.raises(error, match="DescribeScalingActivities of group web"):
        fleet.arrivals("web", {"i-a"})


# Who is held


def test_of_several_actions_those_are_held_whose_instances_wait_for_their_transition(
    fleet: Fleet, autoscaling: Stubber
) -> None:
    launching = {each: replace(ACTION, instance_id=each) for each in ("i-a", "i-b", "i-c")}
    terminating = replace(ACTION, transition=Transition.TERMINATING)
    answer = [raw_membership("i-a"), raw_membership("i-b", "InService")]
    autoscaling.add_response(
        "describe_auto_scaling_instances", {"AutoScalingInstances": answer}, {"InstanceIds": ["i-a", "i-b", "i-c"]}
    )
    assert fleet.held([*launching.values(), terminating]) == {launching["i-a"]}


def test_of_no_one_nothing_is_asked(fleet: Fleet, autoscaling: Stubber) -> None:
    assert fleet.held([]) == set()


def test_all_pages_of_all_groups_are_read(fleet: Fleet, autoscaling: Stubber) -> None:
    names = [f"group-{number:03}" for number in range(60)]
    pages = [(names[:50], names[:30], "more"), (names[:50], names[30:50], None), (names[50:], names[50:], None)]
    token = None
    for asked, answered, following in pages:
        autoscaling.add_response(
            "describe_auto_scaling_groups",
            {
                "AutoScalingGroups": [raw_group(name) for name in answered],
                **({"NextToken": following} if following else {}),
            },
            {"AutoScalingGroupNames": asked, **({"NextToken": token} if token else {})},
        )
        token = following
        for name in answered:
            autoscaling.add_response("describe_lifecycle_hooks", {"LifecycleHooks": []}, {"AutoScalingGroupName": name})
    assert set(fleet.groups(names)) == set(names)


def test_a_group_that_is_deleted_while_it_is_read_has_no_hooks_and_leaves_the_others_theirs(
    fleet: Fleet, autoscaling: Stubber
) -> None:
    autoscaling.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": [raw_group("db"), raw_group("web")]})
    words = "AutoScalingGroup name not found - AutoScalingGroup db not found"
    autoscaling.add_client_error("describe_lifecycle_hooks", "ValidationError", words, 400)
    autoscaling.add_response("describe_lifecycle_hooks", {"LifecycleHooks": [hook("rollcall-launch", 300)]})
    assert fleet.groups(["db", "web"]) == {
        "db": Group("db", {}, {}),
        "web": Group("web", {}, {"rollcall-launch": 300}),
    }


@REFUSALS
def test_hooks_that_cannot_be_read_are_not_taken_for_none(
    fleet: Fleet, autoscaling: Stubber, code: str, error: type[Exception]
) -> None:
    autoscaling.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": [raw_group("web")]})
    autoscaling.add_client_error("describe_lifecycle_hooks", code, "no", 400)
    with pytest.raises(error, match=code):
        fleet.groups(["web"])


# Answering hooks


def test_an_action_is_completed_by_its_token(fleet: Fleet, autoscaling: Stubber) -> None:
    autoscaling.add_response(COMPLETE, {}, ARGUMENTS | {"LifecycleActionResult": "ABANDON"})
    assert fleet.complete(ACTION, Result.ABANDON)


def test_an_action_gets_a_heartbeat_by_its_token(fleet: Fleet, autoscaling: Stubber) -> None:
    autoscaling.add_response(HEARTBEAT, {}, ARGUMENTS)
    assert fleet.heartbeat(ACTION)


def test_an_action_of_a_group_in_an_emergency_gets_no_heartbeat(fleet: Fleet, autoscaling: Stubber) -> None:
    autoscaling.add_response(
        "describe_auto_scaling_groups",
        {"AutoScalingGroups": [raw_group("web", **{"rollcall:emergency": ""})]},
        {"AutoScalingGroupNames": ["web"]},
    )
    autoscaling.add_response("describe_lifecycle_hooks", {"LifecycleHooks": []}, {"AutoScalingGroupName": "web"})
    assert not fleet.heartbeat(ACTION)
    assert fleet.in_emergency("web")  # remembered


def test_where_the_group_is_not_shown_a_heartbeat_is_sent(fleet: Fleet, autoscaling: Stubber) -> None:
    autoscaling.add_client_error("describe_auto_scaling_groups", "Throttling", "slow down")
    autoscaling.add_response(HEARTBEAT, {}, ARGUMENTS)
    assert fleet.heartbeat(ACTION)


def test_an_action_without_a_token_is_answered_by_its_instance(fleet: Fleet, autoscaling: Stubber) -> None:
    by_instance = {"AutoScalingGroupName": "web", "LifecycleHookName": "rollcall-launch", "InstanceId": "i-a"}
    autoscaling.add_response(COMPLETE, {}, by_instance | {"LifecycleActionResult": "CONTINUE"})
    autoscaling.add_response(HEARTBEAT, {}, by_instance)
    action = LifecycleAction(Transition.LAUNCHING, ACCOUNT, REGION, "web", "i-a", "rollcall-launch")
    assert fleet.complete(action, Result.CONTINUE)
    assert fleet.heartbeat(action)


STALE = [
    f"No active Lifecycle Action found with token {TOKEN}",
    "No active Lifecycle Action found with instance ID i-a",
    "AutoScalingGroup name not found - no such group: web",
]
ANSWERS: list[tuple[str, Callable[[Fleet], bool]]] = [
    (COMPLETE, lambda fleet: fleet.complete(ACTION, Result.CONTINUE)),
    (HEARTBEAT, lambda fleet: fleet.heartbeat(ACTION)),
]


@pytest.mark.parametrize(("method", "call"), ANSWERS)
@pytest.mark.parametrize("words", STALE)
def test_an_action_that_is_not_open_any_more_is_no_error(
    fleet: Fleet, autoscaling: Stubber, method: str, call: Callable[[Fleet], bool], words: str
) -> None:
    autoscaling.add_client_error(method, "ValidationError", words, 400)
    assert call(fleet) is False


@pytest.mark.parametrize(("method", "call"), ANSWERS)
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("Throttling", 400),
        ("ThrottlingException", 400),
        ("RequestLimitExceeded", 503),
        ("RequestThrottled", 403),
        ("ResourceContention", 500),
        ("ServiceUnavailable", 503),
        ("InternalFailure", 500),
        ("Mystery", 502),
    ],
)
def test_what_passes_by_itself_is_transient(
    fleet: Fleet, autoscaling: Stubber, method: str, call: Callable[[Fleet], bool], code: str, status: int
) -> None:
    autoscaling.add_client_error(method, code, "slow down", status)
    with pytest.raises(AwsUnavailable, match=f"i-a of group web: {code}: slow down"):
        call(fleet)


@pytest.mark.parametrize(("method", "call"), ANSWERS)
@pytest.mark.parametrize(
    ("code", "status", "words", "kind"),
    [
        ("AccessDenied", 403, "not authorized", AwsDenied),
        ("ValidationError", 400, "1 validation error detected", AwsRejected),
    ],
)
def test_what_an_operator_has_to_fix_is_permanent(
    fleet: Fleet,
    autoscaling: Stubber,
    method: str,
    call: Callable[[Fleet], bool],
    code: str,
    status: int,
    words: str,
    kind: type[RollcallError],
) -> None:
    autoscaling.add_client_error(method, code, words, status)
    with pytest.raises(kind, match=f"i-a of group web: {code}: {words}"):
        call(fleet)


def test_what_botocore_refuses_to_send_does_not_pass_by_itself(fleet: Fleet) -> None:
    action = LifecycleAction(Transition.LAUNCHING, ACCOUNT, REGION, "", "i-a", "rollcall-launch", TOKEN)
    with pytest.raises(AwsRejected, match="AutoScalingGroupName"):
        fleet.heartbeat(action)


def test_aws_that_cannot_be_reached_is_transient(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://autoscaling.us-east-1.amazonaws.com")

    monkeypatch.setattr(fleet._autoscaling, "_make_api_call", unreachable)
    with pytest.raises(AwsUnavailable, match="DescribeAutoScalingInstances"):
        fleet.memberships(["i-a"])


@pytest.mark.parametrize(
    ("method", "read"),
    [
        ("describe_auto_scaling_groups", lambda fleet: fleet.groups(["web"])),
        ("describe_auto_scaling_instances", lambda fleet: fleet.memberships(["i-a"])),
    ],
)
def test_reading_fails_in_our_own_words(
    fleet: Fleet, autoscaling: Stubber, method: str, read: Callable[[Fleet], object]
) -> None:
    autoscaling.add_client_error(method, "Throttling", "Rate exceeded", 400)
    with pytest.raises(Throttled, match="Rate exceeded"):
        read(fleet)
    autoscaling.add_client_error(method, "AccessDenied", "no", 403)
    with pytest.raises(AwsDenied, match="AccessDenied"):
        read(fleet)


# What a group did of late


def failed_launch(minutes: int, words: str = "a quota", status: str = "Failed") -> dict[str, Any]:
    made = activity("Launching a new EC2 instance.  Status Reason: a quota", minutes)
    return {**made, "EndTime": made["StartTime"], "StatusCode": status, "StatusMessage": words}


def ended(description: str, minutes: int) -> dict[str, Any]:
    return {**activity(description, minutes), "EndTime": SECOND + timedelta(minutes=minutes + 1)}


def test_what_a_group_launched_and_terminated_since_a_moment_is_read_also_in_its_pool_and_no_further(
    fleet: Fleet, autoscaling: Stubber
) -> None:
    under_way = activity("Terminating EC2 instance: i-old", 1)  # those that go on come first, however old
    newer = [ended("Launching a new EC2 instance into warm pool: i-b", 8), ended("Terminating EC2 instance: i-a", 6)]
    older = [ended("Launching a new EC2 instance: i-a", 5), ended("Launching a new EC2 instance: i-0", 4)]
    autoscaling.add_response("describe_scaling_activities", {"Activities": [under_way, *newer], "NextToken": "more"})
    autoscaling.add_response("describe_scaling_activities", {"Activities": older, "NextToken": "and more"})
    first = SECOND.timestamp()
    found = fleet.activity_since("web", first + 5 * 60)
    assert found.launched == {"i-b": first + 8 * 60, "i-a": first + 5 * 60}
    assert (found.terminated, found.launch_failure) == ({"i-a": first + 6 * 60}, "")
    assert found.came_through == {"i-b": first + 9 * 60, "i-a": first + 6 * 60}
    autoscaling.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("activities", "words"),
    [
        ([failed_launch(7, "a quota"), failed_launch(6, "no capacity")], "a quota"),
        ([failed_launch(7), ended("Launching a new EC2 instance: i-a", 6)], "a quota"),
        ([ended("Launching a new EC2 instance: i-a", 7), failed_launch(6)], ""),
        ([failed_launch(7, status="InProgress")], ""),
        ([ended("Terminating EC2 instance: i-a", 7)], ""),
    ],
    ids=["twice", "lately", "no longer", "not yet", "no launch"],
)
def test_why_the_last_launch_came_to_no_instance_is_read_in_awss_words(
    fleet: Fleet, autoscaling: Stubber, activities: list[dict[str, Any]], words: str
) -> None:
    autoscaling.add_response("describe_scaling_activities", {"Activities": activities})
    assert fleet.activity_since("web", SECOND.timestamp()).launch_failure == words


@pytest.mark.parametrize(
    ("cause", "taken"),
    [
        ("an instance was taken out of service in response to a user request", True),
        (
            "instance i-a was taken out of service in response to a user request, shrinking the capacity from 2 to 1",
            True,
        ),
        ("an instance was taken out of service in response to a user health-check", True),
        ("an instance was taken out of service in response to an ELB system health check failure", True),
        ("an instance was taken out of service in response to an EC2 instance status checks failure", True),
        ("an instance was taken out of service in response to an instance refresh", False),
        ("an instance was taken out of service in response to a difference between desired and actual capacity", False),
    ],
)
def test_that_a_user_or_a_health_check_took_an_instance_is_told_from_its_groups_own_doing(
    fleet: Fleet, autoscaling: Stubber, cause: str, taken: bool
) -> None:
    ending = activity("Terminating EC2 instance: i-a", 7) | {"Cause": f"At 2026-11-21T10:07:00Z {cause}."}
    autoscaling.add_response("describe_scaling_activities", {"Activities": [ending]})
    assert (fleet.activity_since("web", SECOND.timestamp()).taken == {"i-a"}) == taken
