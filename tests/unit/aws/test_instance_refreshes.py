"""Instance refreshes: what AWS shows of them, and what is answered where there is none, or one already."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from rollcall.aws.instance_refreshes import ACTIVE, Ending, InstanceRefreshes, Refresh
from rollcall.domain.errors import AwsDenied, AwsRejected, AwsUnavailable
from unit.fakes import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP = {"AutoScalingGroupName": "web"}
SENT: dict[str, Any] = {**GROUP, "Strategy": "Rolling", "Preferences": {"MinHealthyPercentage": 100}}
BEGAN = datetime(2026, 11, 21, 10, tzinfo=UTC)
DESCRIBED: dict[str, Any] = {
    "InstanceRefreshId": "r-1",
    "AutoScalingGroupName": "web",
    "Status": "RollbackInProgress",
    "StatusReason": "words of AWS",
    "StartTime": BEGAN,
    "PercentageComplete": 40,
    "InstancesToUpdate": 6,
    "ProgressDetails": {
        "LivePoolProgress": {"PercentageComplete": 50, "InstancesToUpdate": 4},
        "WarmPoolProgress": {"PercentageComplete": 20, "InstancesToUpdate": 2},
    },
    "Preferences": {"MinHealthyPercentage": 100},
    "DesiredConfiguration": {"LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "7"}},
    "RollbackDetails": {"RollbackReason": "asked for"},
}


@pytest.fixture
def refreshes() -> InstanceRefreshes:
    return InstanceRefreshes(REGION)


@pytest.fixture
def aws(refreshes: InstanceRefreshes) -> Iterator[Stubber]:
    with Stubber(refreshes._autoscaling) as stub:
        yield stub
        stub.assert_no_pending_responses()


def test_all_that_aws_shows_of_a_refresh_is_read(refreshes: InstanceRefreshes, aws: Stubber) -> None:
    answer = {"InstanceRefreshes": [DESCRIBED]}
    aws.add_response("describe_instance_refreshes", answer, {**GROUP, "InstanceRefreshIds": ["r-1"]})
    assert refreshes.find("web", "r-1") == Refresh(
        "r-1",
        "RollbackInProgress",
        "words of AWS",
        BEGAN.timestamp(),
        None,
        40,
        6,
        {"LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "7"}},
        {"MinHealthyPercentage": 100},
        50,
        20,
        "asked for",
    )


def test_the_active_refresh_is_found_among_those_that_ended(refreshes: InstanceRefreshes, aws: Stubber) -> None:
    ended = {"InstanceRefreshId": "r-0", "Status": "Successful", "EndTime": BEGAN}
    aws.add_response("describe_instance_refreshes", {"InstanceRefreshes": [ended, DESCRIBED]})
    aws.add_response("describe_instance_refreshes", {"InstanceRefreshes": [ended]})
    found = refreshes.active("web")
    assert found is not None
    assert found.id == "r-1"
    assert refreshes.active("web") is None


ENDED = {"Successful", "Failed", "Cancelled", "RollbackFailed", "RollbackSuccessful"}


def test_every_status_of_the_service_goes_on_or_has_ended(refreshes: InstanceRefreshes) -> None:
    statuses = set(refreshes._autoscaling.meta.service_model.shape_for("InstanceRefreshStatus").enum)  # type: ignore[attr-defined]
    assert {each for each in statuses if not Refresh("r-1", each).active} == ENDED
    assert statuses - ENDED == ACTIVE


def test_a_group_that_is_gone_has_no_refreshes(refreshes: InstanceRefreshes, aws: Stubber) -> None:
    aws.add_client_error("describe_instance_refreshes", "ValidationError", "AutoScalingGroup name not found")
    aws.add_client_error("describe_instance_refreshes", "ValidationError", "AutoScalingGroup name not found")
    assert refreshes.describe("web") == []
    assert refreshes.find("web", "r-1") is None


def test_a_refresh_that_aws_does_not_show_is_none(refreshes: InstanceRefreshes, aws: Stubber) -> None:
    aws.add_response("describe_instance_refreshes", {"InstanceRefreshes": []})
    assert refreshes.find("web", "r-1") is None


def test_a_refresh_is_started_with_what_is_given(refreshes: InstanceRefreshes, aws: Stubber) -> None:
    aws.add_response("start_instance_refresh", {"InstanceRefreshId": "r-1"}, SENT)
    assert refreshes.start(SENT) == "r-1"


def test_that_one_is_active_is_an_answer_and_no_error(refreshes: InstanceRefreshes, aws: Stubber) -> None:
    aws.add_client_error("start_instance_refresh", "InstanceRefreshInProgress", "one is")
    assert refreshes.start(SENT) is None


@pytest.mark.parametrize(
    ("code", "error"),
    [("LimitExceeded", AwsRejected), ("ResourceContention", AwsUnavailable), ("AccessDenied", AwsDenied)],
)
def test_any_other_refusal_to_start_is_raised(
    refreshes: InstanceRefreshes, aws: Stubber, code: str, error: type[Exception]
) -> None:
    aws.add_client_error("start_instance_refresh", code, "no", http_status_code=400)
    with pytest.raises(error, match="StartInstanceRefresh of group web"):
        refreshes.start(SENT)


def test_a_refresh_is_cancelled_or_rolled_back(refreshes: InstanceRefreshes, aws: Stubber) -> None:
    at_once = {**GROUP, "WaitForTransitioningInstances": False}
    aws.add_response("cancel_instance_refresh", {"InstanceRefreshId": "r-1"}, at_once)
    aws.add_response("rollback_instance_refresh", {"InstanceRefreshId": "r-1"}, GROUP)
    assert refreshes.cancel("web") == Ending.BEGUN
    assert refreshes.rollback("web") == Ending.BEGUN


def test_where_there_is_nothing_to_end_or_no_way_back_that_is_the_answer(
    refreshes: InstanceRefreshes, aws: Stubber
) -> None:
    aws.add_client_error("cancel_instance_refresh", "ActiveInstanceRefreshNotFound")
    aws.add_client_error("rollback_instance_refresh", "ActiveInstanceRefreshNotFound")
    aws.add_client_error("rollback_instance_refresh", "IrreversibleInstanceRefresh")
    assert refreshes.cancel("web") == Ending.NONE_ACTIVE
    assert refreshes.rollback("web") == Ending.NONE_ACTIVE
    assert refreshes.rollback("web") == Ending.IRREVERSIBLE


@pytest.mark.parametrize("call", ["cancel", "rollback"])
def test_any_other_refusal_to_end_one_is_raised(refreshes: InstanceRefreshes, aws: Stubber, call: str) -> None:
    aws.add_client_error(f"{call}_instance_refresh", "AccessDenied", "no", http_status_code=403)
    with pytest.raises(AwsDenied, match="InstanceRefresh of group web"):
        getattr(refreshes, call)("web")


def test_a_groups_configuration_and_tags_are_changed(refreshes: InstanceRefreshes, aws: Stubber) -> None:
    template = {"LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "6"}}
    tag = {"ResourceId": "web", "ResourceType": "auto-scaling-group", "Key": "rollcall:cycle-pinned"}
    aws.add_response("update_auto_scaling_group", {}, {**GROUP, **template})
    made = {**tag, "Value": "default keep web-1", "PropagateAtLaunch": False}
    aws.add_response("create_or_update_tags", {}, {"Tags": [made]})
    aws.add_response("delete_tags", {}, {"Tags": [tag]})
    refreshes.set_launch_template("web", template)
    refreshes.set_tag("web", "rollcall:cycle-pinned", "default keep web-1")
    refreshes.remove_tag("web", "rollcall:cycle-pinned")
