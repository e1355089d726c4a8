"""EC2 and Auto Scaling, in the words that AWS has for its answers."""

from __future__ import annotations

import threading
from copy import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from rollcall.aws.fleet import Fleet, Fleets
from rollcall.domain.actions import LifecycleAction, Result, Transition
from rollcall.domain.errors import AwsDenied, BadEvent, InstanceNotVisible, Throttled
from rollcall.domain.groups import AddressKind, Group, Hook
from rollcall.domain.membership import Membership, OptedIn
from unit.fakes import ACCOUNT, REGION, FakeFleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN = "87654321-4321-4321-4321-210987654321"
ACTION = LifecycleAction(Transition.LAUNCHING, ACCOUNT, REGION, "web", "i-a", "rollcall-launch", TOKEN)
TOLD = {"AutoScalingGroupName": "web", "LifecycleHookName": "rollcall-launch", "LifecycleActionToken": TOKEN}
COMPLETE, HEARTBEAT = "complete_lifecycle_action", "record_lifecycle_action_heartbeat"
REFUSALS = pytest.mark.parametrize(("code", "error"), [("Throttling", Throttled), ("AccessDenied", AwsDenied)])


@pytest.fixture
def fleet() -> Fleet:
    return Fleet(REGION)


@pytest.fixture
def autoscaling(fleet: Fleet) -> Iterator[Stubber]:
    """Auto Scaling's answers, each with the request that it must answer."""
    with Stubber(fleet._autoscaling) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def ec2(fleet: Fleet) -> Iterator[Stubber]:
    """EC2's answers, each with the request that it must answer."""
    with Stubber(fleet._ec2) as stub:
        yield stub
        stub.assert_no_pending_responses()


def hook(name: str, timeout: int) -> dict[str, Any]:
    return {"LifecycleHookName": name, "HeartbeatTimeout": timeout}


def raw_group(name: str, **tags: str) -> dict[str, Any]:
    return {
        "AutoScalingGroupName": name,
        "MinSize": 0,
        "MaxSize": 1,
        "DesiredCapacity": 1,
        "DefaultCooldown": 300,
        "AvailabilityZones": ["us-east-1a"],
        "HealthCheckType": "EC2",
        "CreatedTime": datetime(2026, 11, 21, tzinfo=UTC),
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }


def source(identifier: str, kind: str) -> dict[str, str]:
    return {"Identifier": identifier, "Type": kind}


def raw_membership(instance_id: str, state: str = "Pending:Wait") -> dict[str, Any]:
    return {
        "InstanceId": instance_id,
        "AutoScalingGroupName": "web",
        "AvailabilityZone": "us-east-1a",
        "LifecycleState": state,
        "HealthStatus": "Healthy",
        "ProtectedFromScaleIn": False,
    }


def raw_instance(instance_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "InstanceId": instance_id,
        "State": {"Code": 16, "Name": "running"},
        "LaunchTime": datetime(2026, 11, 21, 10, 0, tzinfo=UTC),
    } | changes


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
    web = raw_group("web", **{"rollcall:inventory": "prod"}) | {"Instances": [member]}
    first: dict[str, Any] = {"AutoScalingGroups": [web], "NextToken": "more"}
    autoscaling.add_response("describe_auto_scaling_groups", first, asked)
    second = {"AutoScalingGroups": [raw_group("db") | {"Instances": []}]}
    autoscaling.add_response("describe_auto_scaling_groups", second, asked | {"NextToken": "more"})
    assert fleet.opted_in("rollcall:inventory") == {
        "web": OptedIn(Group("web", {"rollcall:inventory": "prod"}, {}), {"i-a": Membership("web", "InService")}),
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


def test_of_nobody_nothing_is_asked(fleet: Fleet, autoscaling: Stubber) -> None:
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


# Instances


def test_memberships_are_asked_for_fifty_at_a_time(fleet: Fleet, autoscaling: Stubber) -> None:
    ids = [f"i-{number:03}" for number in range(120)]
    for chunk in (ids[:50], ids[50:100], ids[100:]):
        autoscaling.add_response(
            "describe_auto_scaling_instances",
            {"AutoScalingInstances": [raw_membership(each) for each in chunk if each != "i-007"]},
            {"InstanceIds": chunk},
        )
    known = fleet.memberships(set(ids))
    assert set(known) == set(ids) - {"i-007"}
    assert known["i-001"] == Membership("web", "Pending:Wait")


@REFUSALS
def test_memberships_whose_second_fifty_are_refused_are_not_taken_for_all(
    fleet: Fleet, autoscaling: Stubber, code: str, error: type[Exception]
) -> None:
    autoscaling.add_response("describe_auto_scaling_instances", {"AutoScalingInstances": [raw_membership("i-000")]})
    autoscaling.add_client_error("describe_auto_scaling_instances", code, "no", 400)
    with pytest.raises(error, match=f"DescribeAutoScalingInstances: {code}"):
        fleet.memberships({f"i-{number:03}" for number in range(51)})


LIVING = ("pending", "running", "stopping", "stopped")
DEPARTED = ("shutting-down", "terminated", None)  # None: EC2 does not know it


@pytest.mark.parametrize("state", [*LIVING, *DEPARTED])
def test_an_instance_that_auto_scaling_does_not_list_has_departed_unless_ec2_says_that_it_lives(
    fleet: Fleet, ec2: Stubber, state: str | None
) -> None:
    known = [raw_instance("i-a", State={"Code": 0, "Name": state})] if state else []
    ec2.add_response(
        "describe_instances",
        {"Reservations": [{"Instances": known}]},
        {"Filters": [{"Name": "instance-id", "Values": ["i-a"]}]},
    )
    in_service = {"i-b": Membership("web", "InService")}
    assert fleet.departed(["i-a", "i-b"], in_service) == ({"i-a"} if state in DEPARTED else set())


@pytest.mark.parametrize(
    ("state", "departed"),
    [
        ("Pending:Wait", False),
        ("InService", False),
        ("Standby", False),
        ("Terminating:Wait", True),
        ("Detached", False),
    ],
)
def test_ec2_is_not_asked_about_an_instance_that_auto_scaling_lists(
    fleet: Fleet, ec2: Stubber, state: str, departed: bool
) -> None:
    assert fleet.departed(["i-a"], {"i-a": Membership("web", state)}) == ({"i-a"} if departed else set())


@pytest.mark.parametrize("membership", [None, Membership("web", "InService"), Membership("web", "Terminating:Wait")])
@pytest.mark.parametrize("state", [*LIVING, *DEPARTED])
def test_the_fleet_in_memory_calls_the_same_instances_departed(
    fleet: Fleet, ec2: Stubber, membership: Membership | None, state: str | None
) -> None:
    fake = FakeFleet(REGION)
    known = [raw_instance("i-a", State={"Code": 0, "Name": state})] if state else []
    memberships = {"i-a": membership} if membership else {}
    if not membership:
        for _ in range(2):
            ec2.add_response("describe_instances", {"Reservations": [{"Instances": known}]})
        fake.known_instances = fleet.instances(["i-a"])
    assert fake.departed(["i-a"], memberships) == fleet.departed(["i-a"], memberships)


def test_instances_come_with_what_tower_is_told(fleet: Fleet, ec2: Stubber) -> None:
    full = raw_instance(
        "i-a",
        PrivateIpAddress="10.0.0.7",
        PublicIpAddress="203.0.113.9",
        PrivateDnsName="ip-10-0-0-7.ec2.internal",
        PublicDnsName="ec2-203-0-113-9.compute-1.amazonaws.com",
        InstanceType="t3.micro",
        ImageId="ami-1",
        Placement={"AvailabilityZone": "us-east-1a"},
        VpcId="vpc-1",
        SubnetId="subnet-1",
        Tags=[{"Key": "Name", "Value": "web"}],
    )
    ec2.add_response(
        "describe_instances",
        {"Reservations": [{"Instances": [full]}, {"Instances": [raw_instance("i-b")]}]},
        {"Filters": [{"Name": "instance-id", "Values": ["i-a", "i-b", "i-c"]}]},
    )
    known = fleet.instances({"i-c", "i-b", "i-a"})
    assert set(known) == {"i-a", "i-b"}
    assert known["i-a"].addresses == {
        AddressKind.PRIVATE: "10.0.0.7",
        AddressKind.PUBLIC: "203.0.113.9",
        AddressKind.PRIVATE_DNS: "ip-10-0-0-7.ec2.internal",
        AddressKind.PUBLIC_DNS: "ec2-203-0-113-9.compute-1.amazonaws.com",
    }
    assert known["i-a"].launched_at == datetime(2026, 11, 21, 10, 0, tzinfo=UTC).timestamp()
    assert known["i-a"].facts == {
        "id": "i-a",
        "type": "t3.micro",
        "image": "ami-1",
        "zone": "us-east-1a",
        "vpc": "vpc-1",
        "subnet": "subnet-1",
        "private_ip": "10.0.0.7",
        "public_ip": "203.0.113.9",
        "private_dns": "ip-10-0-0-7.ec2.internal",
    }
    assert known["i-a"].tags == {"Name": "web"}
    assert set(known["i-b"].addresses.values()) == {""}


def test_all_pages_of_instances_are_read(fleet: Fleet, ec2: Stubber) -> None:
    filters = [{"Name": "instance-id", "Values": ["i-a", "i-b"]}]
    ec2.add_response(
        "describe_instances",
        {"Reservations": [{"Instances": [raw_instance("i-a")]}], "NextToken": "more"},
        {"Filters": filters},
    )
    ec2.add_response(
        "describe_instances",
        {"Reservations": [{"Instances": [raw_instance("i-b")]}]},
        {"Filters": filters, "NextToken": "more"},
    )
    assert set(fleet.instances(["i-a", "i-b"])) == {"i-a", "i-b"}


@REFUSALS
def test_instances_whose_second_two_hundred_are_refused_are_not_taken_for_all(
    fleet: Fleet, ec2: Stubber, code: str, error: type[Exception]
) -> None:
    ec2.add_response("describe_instances", {"Reservations": [{"Instances": [raw_instance("i-000")]}]})
    ec2.add_client_error("describe_instances", code, "no", 400)
    with pytest.raises(error, match=f"DescribeInstances: {code}"):
        fleet.instances({f"i-{number:03}" for number in range(201)})


@REFUSALS
def test_instances_whose_second_page_is_refused_are_not_taken_for_all(
    fleet: Fleet, ec2: Stubber, code: str, error: type[Exception]
) -> None:
    first = {"Reservations": [{"Instances": [raw_instance("i-a")]}], "NextToken": "more"}
    ec2.add_response("describe_instances", first)
    ec2.add_client_error("describe_instances", code, "no", 400)
    with pytest.raises(error, match=f"DescribeInstances: {code}"):
        fleet.instances(["i-a", "i-b"])


def raw_status(instance_id: str, instance: str, system: str) -> dict[str, Any]:
    return {"InstanceId": instance_id, "InstanceStatus": {"Status": instance}, "SystemStatus": {"Status": system}}


def test_both_status_checks_must_have_passed(fleet: Fleet, ec2: Stubber) -> None:
    statuses = [
        raw_status("i-a", "ok", "ok"),
        raw_status("i-b", "initializing", "initializing"),
        raw_status("i-c", "ok", "impaired"),
        raw_status("i-d", "impaired", "ok"),
    ]
    ec2.add_response("describe_instance_status", {"InstanceStatuses": statuses})
    assert fleet.passing_status_checks(["i-a", "i-b", "i-c", "i-d", "i-e"]) == {"i-a"}


def test_one_instance_that_ec2_forgot_does_not_hide_the_others(fleet: Fleet, ec2: Stubber) -> None:
    asked: list[Any] = []

    def forget(**given: Any) -> None:
        asked.append(given)

    fleet._ec2.meta.events.register("provide-client-params.ec2.DescribeInstanceStatus", forget)
    ec2.add_client_error(
        "describe_instance_status", "InvalidInstanceID.NotFound", "The instance IDs 'i-b' do not exist"
    )
    ec2.add_response("describe_instance_status", {"InstanceStatuses": [raw_status("i-a", "ok", "ok")]})
    assert fleet.passing_status_checks(["i-a", "i-b"]) == {"i-a"}


# User data

USER_DATA, NOT_FOUND = "describe_instance_attribute", "InvalidInstanceID.NotFound"


@pytest.fixture
def attributes(fleet: Fleet) -> Iterator[Stubber]:
    """EC2's answers about single instances."""
    with Stubber(fleet._ec2_once) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of each pause, in which the clock goes on at once."""
    taken: list[float] = []
    monkeypatch.setattr("rollcall.aws.instances.time.monotonic", lambda: sum(taken))
    monkeypatch.setattr("rollcall.aws.instances.time.sleep", taken.append)
    return taken


def attribute(instance_id: str) -> dict[str, str]:
    return {"InstanceId": instance_id, "Attribute": "userData"}


def test_user_data_is_told_as_ec2_has_it(fleet: Fleet, attributes: Stubber) -> None:
    attributes.add_response(USER_DATA, {"InstanceId": "i-a", "UserData": {"Value": "e30="}}, attribute("i-a"))
    assert fleet.user_data(["i-a"], 10) == {"i-a": "e30="}


@pytest.mark.parametrize("none", [{}, {"UserData": {}}])
def test_an_instance_may_have_no_user_data(fleet: Fleet, attributes: Stubber, none: dict[str, Any]) -> None:
    attributes.add_response(USER_DATA, none, attribute("i-a"))
    assert fleet.user_data(["i-a"], 10) == {"i-a": ""}


@pytest.mark.parametrize("code", ["RequestLimitExceeded", "ServiceUnavailable", NOT_FOUND])
def test_user_data_that_ec2_puts_off_is_asked_for_again(
    fleet: Fleet, attributes: Stubber, pauses: list[float], code: str
) -> None:
    for _ in range(2):
        attributes.add_client_error(USER_DATA, code, "later", 400)
    attributes.add_response(USER_DATA, {"UserData": {"Value": "e30="}}, attribute("i-a"))
    assert fleet.user_data(["i-a"], 10) == {"i-a": "e30="}
    assert pauses == [0.5, 1.0]


def test_only_those_are_asked_for_again_that_were_put_off(
    fleet: Fleet, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(operation: str, given: dict[str, str]) -> dict[str, Any]:
        asked.append(given["InstanceId"])
        if asked.count("i-3") == 1 and given["InstanceId"] == "i-3":
            raise EndpointConnectionError(endpoint_url="https://ec2.us-east-1.amazonaws.com")
        return {"UserData": {"Value": given["InstanceId"]}}

    monkeypatch.setattr(fleet._ec2_once, "_make_api_call", answer)
    ids = [f"i-{number}" for number in range(100)]
    assert fleet.user_data(ids, 10) == {each: each for each in ids}
    assert sorted(asked) == sorted([*ids, "i-3"])


@pytest.mark.parametrize(("code", "kind"), [("RequestLimitExceeded", Throttled), (NOT_FOUND, InstanceNotVisible)])
def test_user_data_is_not_waited_for_any_longer_than_asked(
    fleet: Fleet, attributes: Stubber, pauses: list[float], code: str, kind: type
) -> None:
    for _ in range(5):
        attributes.add_client_error(USER_DATA, code, "later", 400)
    assert isinstance(fleet.user_data(["i-a"], 10)["i-a"], kind)
    assert pauses == [0.5, 1.0, 2.0, 4.0]


def test_nobody_is_asked_once_the_time_is_over(fleet: Fleet, attributes: Stubber, pauses: list[float]) -> None:
    answer = fleet.user_data(["i-a"], -1)["i-a"]
    assert isinstance(answer, Throttled)
    assert "no time was left to read" in str(answer)
    assert pauses == []


def test_user_data_that_may_not_be_read_is_asked_for_once(
    fleet: Fleet, attributes: Stubber, pauses: list[float]
) -> None:
    attributes.add_client_error(USER_DATA, "UnauthorizedOperation", "no", 403)
    assert isinstance(fleet.user_data(["i-a"], 10)["i-a"], AwsDenied)
    assert pauses == []


def test_botocore_repeats_nothing_behind_our_back(fleet: Fleet) -> None:
    assert fleet._ec2_once.meta.config.retries["total_max_attempts"] == 1  # type: ignore[attr-defined]


# Answering hooks


def test_an_action_is_completed_by_its_token(fleet: Fleet, autoscaling: Stubber) -> None:
    autoscaling.add_response(COMPLETE, {}, TOLD | {"LifecycleActionResult": "ABANDON"})
    assert fleet.complete(ACTION, Result.ABANDON)


def test_an_action_gets_a_sign_of_life_by_its_token(fleet: Fleet, autoscaling: Stubber) -> None:
    autoscaling.add_response(HEARTBEAT, {}, TOLD)
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
    with pytest.raises(Throttled, match=f"i-a of group web: {code}: slow down"):
        call(fleet)


@pytest.mark.parametrize(("method", "call"), ANSWERS)
@pytest.mark.parametrize(
    ("code", "words"), [("AccessDenied", "not authorized"), ("ValidationError", "1 validation error detected")]
)
def test_what_a_person_has_to_mend_is_permanent(
    fleet: Fleet, autoscaling: Stubber, method: str, call: Callable[[Fleet], bool], code: str, words: str
) -> None:
    autoscaling.add_client_error(method, code, words, 403)
    with pytest.raises(AwsDenied, match=f"i-a of group web: {code}: {words}"):
        call(fleet)


def test_what_botocore_refuses_to_send_does_not_pass_by_itself(fleet: Fleet) -> None:
    action = LifecycleAction(Transition.LAUNCHING, ACCOUNT, REGION, "", "i-a", "rollcall-launch", TOKEN)
    with pytest.raises(AwsDenied, match="AutoScalingGroupName"):
        fleet.heartbeat(action)


def test_aws_that_cannot_be_reached_is_transient(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://autoscaling.us-east-1.amazonaws.com")

    monkeypatch.setattr(fleet._autoscaling, "_make_api_call", unreachable)
    with pytest.raises(Throttled, match="DescribeAutoScalingInstances"):
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


# Clients


class Clients:
    """Counts the clients that are made; with slow, a first one is not ready before a second is asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, slow: bool = False) -> None:
        self.made: list[str] = []
        self._second = threading.Event()
        self._slow = slow
        monkeypatch.setattr(boto3, "client", self._client)

    def _client(self, service: str, **given: Any) -> Any:
        self.made.append(service)
        if len(self.made) > 1:
            self._second.set()
        elif self._slow:
            self._second.wait(0.2)
        return cast("Any", _Accepting())


class _Accepting:
    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        return lambda **given: {}


def test_a_client_is_made_only_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = Clients(monkeypatch)
    fleet = Fleet(REGION)
    assert clients.made == []
    fleet.heartbeat(ACTION)
    fleet.complete(ACTION, Result.CONTINUE)
    assert clients.made == ["autoscaling"]


def test_threads_that_need_a_client_at_once_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # boto3 makes clients in one thread at a time only; cleanup completes hooks in several, and asks nothing before.
    clients = Clients(monkeypatch, slow=True)
    fleet = Fleet(REGION)
    threads = [threading.Thread(target=fleet.heartbeat, args=[ACTION]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clients.made == ["autoscaling"]


def test_an_action_of_this_account_and_region_is_answered_by_one_fleet() -> None:
    fleets = Fleets(ACCOUNT, REGION)
    assert fleets.of(ACTION) is fleets.own
    assert fleets.own.region == REGION


@pytest.mark.parametrize(("account", "region"), [("999999999999", REGION), (ACCOUNT, "eu-west-1")])
def test_an_account_or_region_that_is_not_served_is_named_with_the_remedy(account: str, region: str) -> None:
    words = rf"i-a belongs to account {ACCOUNT} and Region {REGION}, and only account {account} in {region} is served"
    with pytest.raises(BadEvent, match=words):
        Fleets(account, region).of(ACTION)
