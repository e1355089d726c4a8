"""How an instance refresh ends other than well: cancelled, failed, rolled back."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.aws.refresh import Rules
from unit.refresh_world import NEW, OLD, RefreshWorld

HOUR = 3600  # seconds


@pytest.fixture
def alarms(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The states of the alarms that there are, by name."""
    states = {"high": "OK"}
    monkeypatch.setattr("lab.aws.ministack.alarm_state", states.get)
    return states


def cancel(world: RefreshWorld, **settings: bool) -> None:
    world.client.cancel_instance_refresh(AutoScalingGroupName=world.name, **settings)
    world.tick(1)


def roll_back(world: RefreshWorld) -> None:
    world.client.rollback_instance_refresh(AutoScalingGroupName=world.name)
    world.tick(1)


def code_of(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def half_way(**preferences: Any) -> RefreshWorld:
    """Four instances, two of which were replaced, and two more new ones are held by a hook."""
    world = RefreshWorld("launch", size=4)
    world.start(**preferences)
    world.tick(2)
    world.let_in()
    assert (world.count(OLD), world.count(NEW, "InService"), world.count(NEW, "Pending:Wait")) == (2, 2, 2)
    return world


# Cancelled.


def test_a_cancelled_refresh_waits_for_what_is_under_way_and_keeps_what_it_replaced() -> None:
    world = half_way()
    cancel(world)
    assert (world.status(), len(world.states())) == ("Cancelling", 6)
    world.let_in()
    assert world.status() == "Cancelled"
    world.tick()
    assert (world.count(OLD), world.count(NEW)) == (0, 4), "the oldest go, for four are desired"
    assert world.described()["LaunchTemplate"]["Version"] == OLD
    assert world.reported() == ["Started", "Cancelled"]


def test_a_refresh_that_is_cancelled_without_waiting_ends_at_once_and_none_that_serves_goes_too_early() -> None:
    world = half_way()
    cancel(world, WaitForTransitioningInstances=False)
    assert world.status() == "Cancelled"
    world.tick()
    assert (len(world.ids("InService")), len(world.ids("Pending:Wait"))) == (4, 2)
    world.let_in()
    assert len(world.states()) == 4


def test_where_nothing_goes_on_nothing_is_cancelled_or_rolled_back() -> None:
    world = RefreshWorld(size=1)
    for act in (cancel, roll_back):
        with pytest.raises(ClientError) as refused:
            act(world)
        assert code_of(refused) == "ActiveInstanceRefreshNotFound"


def test_after_a_cancelled_refresh_instances_are_launched_as_the_group_says() -> None:
    world = RefreshWorld(size=1)
    world.start(InstanceWarmup=100, ticks=3)
    cancel(world)
    assert world.status() == "Cancelled"
    world.tick()
    world.scale(2)
    assert world.count(OLD) == 1, "the new one is of the group's own version"


# Failed.


def test_a_launch_that_is_abandoned_again_and_again_is_tried_for_an_hour() -> None:
    world = RefreshWorld("launch", size=2)
    world.start(ticks=3)
    for _ in range(3):
        world.answer("launch", "ABANDON", InstanceId=world.ids("Pending:Wait")[0])
        assert (len(world.ids("InService")), world.status()) == (2, "InProgress")
    assert world.ids("Pending:Wait"), "it tries again"
    world.now += HOUR
    world.answer("launch", "ABANDON", InstanceId=world.ids("Pending:Wait")[0])
    found = world.refresh()
    assert (found["Status"], len(world.ids("InService"))) == ("Failed", 2)
    assert "failed to launch" in found["StatusReason"]
    assert world.reported() == ["Started", "Failed"]
    assert found["EndTime"] > found["StartTime"]


def test_progress_begins_the_hour_anew() -> None:
    world = RefreshWorld("launch", size=2)
    world.start(ticks=3)
    world.answer("launch", "ABANDON", InstanceId=world.ids("Pending:Wait")[0])
    world.now += HOUR - 200
    world.let_in()
    world.now += 290
    world.answer("launch", "ABANDON", InstanceId=world.ids("Pending:Wait")[0])
    assert world.status() == "InProgress"


@pytest.mark.parametrize(("fails", "status"), [(False, "InProgress"), (True, "Failed")])
def test_whether_a_launch_that_takes_too_long_fails_a_refresh_is_a_rule_of_the_lab(fails: bool, status: str) -> None:
    world = RefreshWorld("launch", size=1)
    world.engine.refreshes.rules = Rules(slow_launches_fail=fails, retry_seconds=100)
    world.start(ticks=3)
    world.now += 110
    world.tick(1)
    assert world.status() == status


def test_a_refresh_that_goes_on_for_two_weeks_fails() -> None:
    world = RefreshWorld(size=1)
    world.start(InstanceWarmup=15 * 24 * HOUR, ticks=3)
    world.now += 14 * 24 * HOUR - 10
    world.tick(1)
    assert world.status() == "InProgress"
    world.tick(10)
    assert world.status() == "Failed"


# Alarms.


def test_an_alarm_fails_a_refresh(alarms: dict[str, str]) -> None:
    world = RefreshWorld("launch", size=2)
    world.start(AlarmSpecification={"Alarms": ["high"]}, ticks=3)
    alarms["high"] = "INSUFFICIENT_DATA"
    world.tick(3)
    assert world.status() == "InProgress"
    alarms["high"] = "ALARM"
    world.tick(1)
    assert world.status() == "Failed"
    assert "high" in world.refresh()["StatusReason"]


@pytest.mark.parametrize("state", ["ALARM", "INSUFFICIENT_DATA", None])
def test_a_refresh_does_not_start_with_an_alarm_that_is_not_well(alarms: dict[str, str], state: str | None) -> None:
    world = RefreshWorld(size=1)
    alarms.clear()
    if state:
        alarms["high"] = state
    with pytest.raises(ClientError, match="high"):
        world.start(AlarmSpecification={"Alarms": ["high"]})


def test_an_alarm_while_it_bakes_rolls_it_back(alarms: dict[str, str]) -> None:
    world = RefreshWorld(size=2)
    world.start(AlarmSpecification={"Alarms": ["high"]}, AutoRollback=True, BakeTime=100)
    world.await_status("Baking")
    alarms["high"] = "ALARM"
    found = world.await_status("RollbackSuccessful")
    assert set(world.versions().values()) == {OLD}
    assert "high" in found["RollbackDetails"]["RollbackReason"]
    assert world.reported() == ["Started", "Started Baking", "Rollback Started", "Rollback Succeeded"]


# Rolled back.


def test_a_rollback_replaces_what_was_replaced_and_nothing_else() -> None:
    world = half_way()
    untouched = {one for one, version in world.versions().items() if version == OLD}
    roll_back(world)
    found = world.refresh()
    assert (found["Status"], found["RollbackDetails"]["PercentageCompleteOnRollback"]) == ("RollbackInProgress", 50)
    for _ in range(4):
        world.let_in()
    found = world.await_status("RollbackSuccessful")
    assert found["PercentageComplete"] == 0
    assert set(world.versions().values()) == {OLD}
    assert untouched < set(world.ids("InService"))
    assert world.described()["LaunchTemplate"]["Version"] == OLD
    assert world.reported() == ["Started", "Rollback Started", "Rollback Succeeded"]


def test_what_is_complete_goes_down_during_a_rollback() -> None:
    world = half_way()
    roll_back(world)
    seen = [world.refresh()["PercentageComplete"]]
    for _ in range(3):
        world.let_in()
        seen.append(world.refresh()["PercentageComplete"])
    assert seen == sorted(seen, reverse=True)
    assert (seen[0], seen[-1]) == (50, 0)


@pytest.mark.parametrize(("rule", "left"), [("terminate", 0), ("wait", 2)])
def test_what_becomes_of_new_instances_on_their_way_is_a_rule_of_the_lab(rule: str, left: int) -> None:
    world = half_way()
    world.engine.refreshes.rules = Rules(pending_on_rollback=rule)
    roll_back(world)
    world.tick()
    assert world.count(NEW, "Pending:Wait") == left
    for _ in range(4):
        world.let_in()
    world.await_status("RollbackSuccessful")
    assert set(world.versions().values()) == {OLD}


def test_a_rollback_never_takes_what_serves_before_its_successor_does() -> None:
    world = half_way()
    roll_back(world)
    for _ in range(5):
        assert len(world.ids("InService")) >= 4
        world.let_in()
    assert world.status() == "RollbackSuccessful"


def test_a_refresh_that_fails_rolls_itself_back_if_it_was_asked_to() -> None:
    world = RefreshWorld("launch", size=2)
    world.engine.refreshes.rules = Rules(retry_seconds=30)
    world.start(AutoRollback=True, ticks=3)
    while world.status() == "InProgress":
        abandon_all(world)
    found = world.await_status("RollbackSuccessful")
    assert (world.count(OLD, "InService"), world.count(NEW)) == (2, 0)
    assert "failed to launch" in found["RollbackDetails"]["RollbackReason"]


def test_a_rollback_that_cannot_launch_what_was_before_fails() -> None:
    world = half_way()
    world.engine.refreshes.rules = Rules(retry_seconds=30)
    roll_back(world)
    while world.status() == "RollbackInProgress":
        abandon_all(world)
    assert world.status() == "RollbackFailed"
    assert world.reported()[-1] == "Rollback Failed"
    assert len(world.ids("InService")) == 4


def abandon_all(world: RefreshWorld) -> None:
    world.tick(2)
    for instance in world.ids("Pending:Wait"):
        world.client.complete_lifecycle_action(
            AutoScalingGroupName=world.name,
            LifecycleHookName="launch",
            LifecycleActionResult="ABANDON",
            InstanceId=instance,
        )
    world.tick(2)


def test_a_rollback_can_be_cancelled_and_is_not_rolled_back() -> None:
    world = half_way()
    roll_back(world)
    with pytest.raises(ClientError) as refused:
        roll_back(world)
    assert code_of(refused) == "ActiveInstanceRefreshNotFound"
    cancel(world, WaitForTransitioningInstances=False)
    assert world.status() == "Cancelled"


@pytest.mark.parametrize("version", ["$Latest", "$Default"])
def test_a_group_on_an_alias_cannot_be_rolled_back_whatever_number_is_desired(version: str) -> None:
    world = RefreshWorld("launch", size=1, version=version)
    world.start(ticks=2)
    with pytest.raises(ClientError) as refused:
        roll_back(world)
    assert code_of(refused) == "IrreversibleInstanceRefresh"
    cancel(world, WaitForTransitioningInstances=False)
    with pytest.raises(ClientError, match="AutoRollback"):
        world.start(AutoRollback=True)


def test_a_group_whose_image_is_a_parameter_cannot_be_rolled_back() -> None:
    world = RefreshWorld("launch", size=1, data={"ImageId": "resolve:ssm:golden"})
    world.start(ticks=2)
    with pytest.raises(ClientError) as refused:
        roll_back(world)
    assert code_of(refused) == "IrreversibleInstanceRefresh"


def test_without_a_desired_configuration_there_is_nothing_to_roll_back_to() -> None:
    world = RefreshWorld("launch", size=1)
    world.start(None, ticks=2)
    with pytest.raises(ClientError) as refused:
        roll_back(world)
    assert code_of(refused) == "IrreversibleInstanceRefresh"


def test_an_ended_refresh_is_still_described_the_newest_first() -> None:
    world = RefreshWorld(size=1)
    first = world.start()
    world.await_status("Successful")
    second = world.start()
    answer = world.client.describe_instance_refreshes(AutoScalingGroupName=world.name)
    assert [each["InstanceRefreshId"] for each in answer["InstanceRefreshes"]] == [second, first]
    answer = world.client.describe_instance_refreshes(AutoScalingGroupName=world.name, InstanceRefreshIds=[first])
    assert [each["Status"] for each in answer["InstanceRefreshes"]] == ["Successful"]
