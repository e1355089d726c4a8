"""EC2, in the words that AWS has for its answers."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from rollcall.aws.fleet import Fleet
from rollcall.aws.instances import instance_of
from rollcall.domain.errors import AwsDenied, InstanceNotVisible, NoTimeLeft, Throttled
from rollcall.domain.groups import AddressKind
from rollcall.domain.membership import Membership
from unit.fakes import REGION, FakeFleet

from .answers import REFUSALS, raw_instance, raw_membership

if TYPE_CHECKING:
    from collections.abc import Iterator

# Instances


@pytest.mark.parametrize(
    ("shown", "reason"), [({"Code": "Server.X", "Message": "Server.X: no"}, "Server.X: no"), ({}, ""), (None, "")]
)
def test_why_an_instance_is_in_its_state_is_in_ec2s_words(shown: object, reason: str) -> None:
    found = instance_of(raw_instance("i-a", StateReason=shown))
    assert (found.state_reason, found.in_words) == (reason, f"running ({reason})" if reason else "running")


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


def test_instances_come_with_what_tower_is_given(fleet: Fleet, ec2: Stubber) -> None:
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
    """Seconds of each pause, in which the clock goes on at once: the module's, for threads of others sleep, too."""
    taken: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(taken), sleep=taken.append)
    monkeypatch.setattr("rollcall.aws.instances.time", clock)
    return taken


def attribute(instance_id: str) -> dict[str, str]:
    return {"InstanceId": instance_id, "Attribute": "userData"}


def test_user_data_is_given_as_ec2_has_it(fleet: Fleet, attributes: Stubber) -> None:
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


def test_no_one_is_asked_once_the_time_is_over(fleet: Fleet, attributes: Stubber, pauses: list[float]) -> None:
    answer = fleet.user_data(["i-a"], -1)["i-a"]
    assert isinstance(answer, NoTimeLeft)
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
