"""What becomes of a message that fails: received again, moved to the dead-letter queue, or deleted. None is lost."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.errors import (
    AwsDenied,
    BadEvent,
    BadSettings,
    HostLimitReached,
    InstanceNotVisible,
    JobStillLanding,
    RollcallError,
    Throttled,
    TowerUnavailable,
)
from rollcall.domain.message_format import Record, read_action, read_gate_message, write_gate_message
from rollcall.domain.messages import GateMessage
from rollcall.domain.timing import PERMANENT_FAILURE_LIFE, UNANSWERED_LIFE, UNSEEN_LIFE, VISIBILITY
from rollcall.runtime.batch import BatchProcessor
from unit.fakes import ACCOUNT, REGION, FakeAnnouncer
from unit.world import OWN_QUEUE, World, token_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HOUR_AGO = PERMANENT_FAILURE_LIFE + 60
LAUNCHING, TERMINATING = Transition.LAUNCHING, Transition.TERMINATING


def body(instance_id: str, transition: Transition = LAUNCHING, hook: str = "rollcall-launch") -> str:
    return json.dumps(
        {
            "AccountId": ACCOUNT,
            "AutoScalingGroupName": "web",
            "LifecycleHookName": hook,
            "LifecycleActionToken": token_of(instance_id),
            "EC2InstanceId": instance_id,
            "LifecycleTransition": transition,
        }
    )


def batch(*bodies: str, receives: int = 1, age: float = 0) -> dict[str, Any]:
    """An SQS batch; the messages are called m0, m1 and so on, and first came so many seconds ago."""
    return {
        "Records": [
            {
                "messageId": f"m{number}",
                "body": each,
                "awsRegion": REGION,
                "receiptHandle": f"handle-m{number}",
                "attributes": {
                    "ApproximateReceiveCount": str(receives),
                    "ApproximateFirstReceiveTimestamp": str(int((time.time() - age) * 1000)),
                },
            }
            for number, each in enumerate(bodies)
        ]
    }


class Batches:
    """A batch processor whose work fails with these errors, by instance id."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.announcer = FakeAnnouncer()
        self.errors: dict[str, RollcallError] = {}
        self.worked: list[str] = []
        self.work: Callable[[list[LifecycleAction]], Sequence[RollcallError | None]] = self._work

    def _work(self, actions: list[LifecycleAction]) -> list[RollcallError | None]:
        self.worked += [action.instance_id for action in actions]
        return [self.errors.get(action.instance_id) for action in actions]

    def take(self, event: dict[str, Any]) -> list[str]:
        """The ids of the messages to be received again."""
        processor = BatchProcessor(OWN_QUEUE, self.world.fleets, self.world.queues, self.announcer)
        response = processor.take(event, read_action, lambda action: [action], lambda actions: self.work(actions))
        return [each["itemIdentifier"] for each in response["batchItemFailures"]]

    @property
    def announced(self) -> list[str]:
        return [what for what, _ in self.announcer.announced]


@pytest.fixture
def takes(world: World) -> Batches:
    return Batches(world)


def test_a_batch_without_problem_has_no_failures(takes: Batches) -> None:
    assert takes.take(batch(body("i-a"), body("i-b"))) == []
    assert takes.worked == ["i-a", "i-b"]
    assert not takes.announced


def test_only_the_messages_that_failed_come_again(takes: Batches) -> None:
    takes.errors["i-b"] = TowerUnavailable("away")
    assert takes.take(batch(body("i-a"), body("i-b"), body("i-c"))) == ["m1"]
    assert list(takes.world.queues.delays) == ["handle-m1"]


def test_a_message_that_cannot_be_read_fails_alone(takes: Batches) -> None:
    assert takes.take(batch("no json", body("i-a"))) == ["m0"]
    assert takes.worked == ["i-a"]
    assert isinstance(takes.announcer.announced[0][1], BadEvent)


def test_a_test_notification_is_done_with(takes: Batches) -> None:
    assert takes.take(batch(json.dumps({"Event": "autoscaling:TEST_NOTIFICATION"}))) == []
    assert not takes.worked


def test_a_message_whose_problem_says_when_it_will_be_over_comes_again_then(takes: Batches) -> None:
    takes.world.group("web", heartbeat_timeout=3600)
    takes.errors["i-a"] = JobStillLanding("somebody is at work", retry_in=97)
    takes.take(batch(body("i-a"), receives=2))
    assert takes.world.queues.delays == {"handle-m0": 97}


@pytest.mark.parametrize(("receives", "delay"), [(1, 15), (2, 30), (3, 60), (4, 120), (5, 240), (6, 240), (200, 240)])
def test_tries_come_at_doubling_intervals(takes: Batches, receives: int, delay: float) -> None:
    takes.world.group("web", heartbeat_timeout=7200)
    takes.errors["i-a"] = TowerUnavailable("away")
    takes.take(batch(body("i-a"), receives=receives))
    assert takes.world.queues.delays == {"handle-m0": delay}


@pytest.mark.parametrize("timeout", [30, 60, 300])
def test_no_interval_exceeds_a_third_of_the_heartbeat_timeout(takes: Batches, timeout: int) -> None:
    takes.world.group("web", heartbeat_timeout=timeout)
    takes.errors["i-a"] = TowerUnavailable("away")
    takes.take(batch(body("i-a"), receives=50))
    assert takes.world.queues.delays == {"handle-m0": timeout / 3}


def test_a_hook_that_is_not_known_is_taken_to_have_the_shortest_timeout_there_is(takes: Batches) -> None:
    takes.world.fleet.failing["groups"] = Throttled("later")
    takes.errors["i-a"] = TowerUnavailable("away")
    assert takes.take(batch(body("i-a"), receives=50)) == ["m0"]
    assert takes.world.queues.delays == {"handle-m0": 10}


def test_every_try_gives_the_hook_a_heartbeat(takes: Batches) -> None:
    takes.errors["i-a"] = TowerUnavailable("away")
    before = 0
    for receives in (1, 2, 3):
        takes.take(batch(body("i-a"), receives=receives))
        assert takes.world.fleet.heartbeats["i-a"] > before
        before = takes.world.fleet.heartbeats["i-a"]


@pytest.mark.parametrize(("receives", "heartbeats"), [(1, {}), (2, {"i-a": 1, "i-b": 1}), (3, {"i-a": 1, "i-b": 1})])
def test_hooks_of_a_message_that_failed_before_get_a_heartbeat_before_the_work(
    takes: Batches, receives: int, heartbeats: dict[str, int]
) -> None:
    heartbeats_at_work: list[dict[str, int]] = []

    def work(actions: list[LifecycleAction]) -> Sequence[RollcallError | None]:
        heartbeats_at_work.append(dict(takes.world.fleet.heartbeats))
        return [None for _ in actions]

    takes.work = work
    assert takes.take(batch(body("i-a"), body("i-b"), receives=receives)) == []
    assert heartbeats_at_work == [heartbeats]


@pytest.mark.parametrize("trouble", ["stale", "throttled", "denied"])
def test_no_answer_to_a_heartbeat_keeps_anyone_from_the_work(takes: Batches, trouble: str) -> None:
    getattr(takes.world.fleet, trouble).add("i-a")
    assert takes.take(batch(body("i-a"), body("i-b"), receives=2)) == []
    assert takes.worked == ["i-a", "i-b"]


def test_a_hook_that_cannot_be_given_a_heartbeat_is_tried_again_all_the_same(takes: Batches) -> None:
    takes.world.fleet.throttled.add("i-a")
    takes.errors["i-a"] = TowerUnavailable("away")
    assert takes.take(batch(body("i-a"))) == ["m0"]
    assert "call_failed" in takes.announced


def test_a_message_that_cannot_be_put_off_comes_again_all_the_same(takes: Batches) -> None:
    takes.world.queues.failing["put_off"] = Throttled("later")
    takes.errors["i-a"] = TowerUnavailable("away")
    assert takes.take(batch(body("i-a"))) == ["m0"]
    assert "message_not_settled" in takes.announced


# Dead letters


def test_what_needs_an_operator_is_dead_lettered_after_an_hour_with_its_error(takes: Batches) -> None:
    error = takes.errors["i-a"] = BadSettings("fix the tag")
    assert takes.take(batch(body("i-a"), body("i-b"), age=HOUR_AGO)) == []
    [(url, record, why)] = takes.world.queues.aside
    assert (url, record.body, why) == (OWN_QUEUE.dead_letter_url, body("i-a"), error)
    assert "message_dead_lettered" in takes.announced


def test_what_needs_an_operator_is_tried_again_for_an_hour(takes: Batches) -> None:
    takes.errors["i-a"] = BadSettings("fix the tag")
    assert takes.take(batch(body("i-a"), age=PERMANENT_FAILURE_LIFE - 60)) == ["m0"]
    assert not takes.world.queues.aside


@pytest.mark.parametrize("error", [TowerUnavailable("away"), HostLimitReached("full")])
def test_what_passes_by_itself_is_never_dead_lettered(takes: Batches, error: RollcallError) -> None:
    takes.errors["i-a"] = error
    assert takes.take(batch(body("i-a"), age=100 * HOUR_AGO)) == ["m0"]
    assert not takes.world.queues.aside


def test_a_message_that_cannot_be_read_is_dead_lettered_after_an_hour(takes: Batches) -> None:
    assert takes.take(batch("no json", age=HOUR_AGO)) == []
    assert [record.body for _, record, _ in takes.world.queues.aside] == ["no json"]


def test_a_message_that_cannot_be_dead_lettered_comes_again(takes: Batches) -> None:
    takes.errors["i-a"] = BadSettings("fix the tag")
    takes.world.queues.failing["move_to_dead_letters"] = Throttled("later")
    assert takes.take(batch(body("i-a"), age=HOUR_AGO)) == ["m0"]


# Messages that no hook waits for


@pytest.mark.parametrize("error", [TowerUnavailable("away"), BadSettings("fix the tag")])
@pytest.mark.parametrize("age", [0, HOUR_AGO])
def test_a_launch_that_no_hook_waits_for_any_more_is_finished(takes: Batches, error: RollcallError, age: float) -> None:
    takes.world.launching("i-a", state="InService")
    takes.errors["i-a"] = error
    takes.world.fleet.stale.add("i-a")
    assert takes.take(batch(body("i-a"), age=age)) == []
    assert takes.announced == ["message_failed", "message_finished"]
    assert not takes.world.queues.aside


@pytest.mark.parametrize("state", ["Terminating:Wait", "Terminated", None])
def test_a_launch_whose_instance_went_is_tried_again_so_that_its_host_is_removed(
    takes: Batches, state: str | None
) -> None:
    takes.world.launching("i-a", state=state or "InService")
    if state is None:
        takes.world.terminated("i-a")
    takes.world.fleet.stale.add("i-a")
    takes.errors["i-a"] = TowerUnavailable("away")
    assert takes.take(batch(body("i-a"))) == ["m0"]
    assert takes.announced == ["message_failed", "message_retried"]
    assert takes.world.queues.delays == {"handle-m0": 15}


def test_a_launch_whose_instance_went_is_dead_lettered_if_it_needs_an_operator(takes: Batches) -> None:
    takes.world.launching("i-a", state="Terminated")
    takes.world.fleet.stale.add("i-a")
    takes.errors["i-a"] = BadSettings("fix the tag")
    assert takes.take(batch(body("i-a"), age=HOUR_AGO)) == []
    assert takes.announced == ["message_failed", "message_dead_lettered"]


def test_a_launch_whose_instance_was_detached_is_finished(takes: Batches) -> None:
    takes.world.launching("i-a")
    takes.world.detached("i-a")
    takes.world.fleet.stale.add("i-a")
    takes.errors["i-a"] = TowerUnavailable("away")
    assert takes.take(batch(body("i-a"))) == []
    assert takes.announced == ["message_failed", "message_finished"]


@pytest.mark.parametrize("error", [TowerUnavailable("away"), InstanceNotVisible("not yet"), BadSettings("fix the tag")])
@pytest.mark.parametrize(("age", "again"), [(0, ["m0"]), (UNANSWERED_LIFE - 5, ["m0"]), (UNANSWERED_LIFE + 5, [])])
def test_a_launch_that_is_not_found_while_its_instance_is_held_is_finished_only_after_two_minutes(
    takes: Batches, error: RollcallError, age: float, again: list[str]
) -> None:
    takes.world.launching("i-a")
    takes.world.fleet.stale.add("i-a")
    takes.errors["i-a"] = error
    assert takes.take(batch(body("i-a"), age=age)) == again
    assert ("message_finished" in takes.announced) == (not again)


def test_a_message_of_the_gate_is_not_finished_while_one_of_its_instances_is_held(world: World) -> None:
    text = write_gate_message(world.waiting("i-a", "i-b"))
    world.leaves("i-a", "InService")
    world.fleet.stale |= {"i-a", "i-b"}

    def read(record: Record) -> GateMessage:
        message = read_gate_message(record)
        assert isinstance(message, GateMessage)
        return message

    def actions_of(message: GateMessage) -> list[LifecycleAction]:
        return [each.action for each in message.waiting]

    processor = BatchProcessor(OWN_QUEUE, world.fleets, world.queues, FakeAnnouncer())
    response = processor.take(batch(text), read, actions_of, lambda messages: [TowerUnavailable("away")])
    assert response["batchItemFailures"]


def test_a_launch_of_an_instance_that_no_one_ever_saw_is_finished(takes: Batches) -> None:
    takes.world.fleet.stale.add("i-a")
    takes.errors["i-a"] = InstanceNotVisible("not yet")
    assert takes.take(batch(body("i-a"))) == []
    assert takes.announced == ["message_failed", "message_finished"]


def test_a_launch_of_an_instance_that_is_not_visible_yet_is_tried_again_while_its_hook_waits(takes: Batches) -> None:
    takes.errors["i-a"] = InstanceNotVisible("not yet")
    assert takes.take(batch(body("i-a"))) == ["m0"]


def test_a_launch_of_which_no_one_can_say_whether_its_instance_went_comes_again(takes: Batches) -> None:
    takes.world.fleet.stale.add("i-a")
    takes.world.fleet.failing["memberships"] = Throttled("later")
    takes.errors["i-a"] = TowerUnavailable("away")
    assert takes.take(batch(body("i-a"))) == ["m0"]
    assert "message_finished" not in takes.announced


def test_a_launch_that_needs_an_operator_is_dead_lettered_after_an_hour_though_its_instance_may_not_be_looked_up(
    takes: Batches,
) -> None:
    takes.world.fleet.stale.add("i-a")
    takes.world.fleet.failing["memberships"] = AwsDenied("no")
    takes.errors["i-a"] = BadEvent("came to the wrong queue")
    assert takes.take(batch(body("i-a"), age=HOUR_AGO)) == []
    assert len(takes.world.queues.aside) == 1


def notification(instance_id: str) -> str:
    """A group's notification of a launch."""
    fields = {"AccountId": ACCOUNT, "AutoScalingGroupName": "web", "EC2InstanceId": instance_id}
    return json.dumps(fields | {"Event": "autoscaling:EC2_INSTANCE_LAUNCH"})


@pytest.mark.parametrize("error", [TowerUnavailable("away"), BadSettings("no"), JobStillLanding("new")])
def test_a_launch_without_a_hook_is_retried_though_its_instance_serves(takes: Batches, error: RollcallError) -> None:
    takes.world.launching("i-a", state="InService")
    takes.errors["i-a"] = error
    assert takes.take(batch(notification("i-a"), receives=9)) == ["m0"]
    assert takes.world.queues.delays == {"handle-m0": 240}
    assert not takes.world.fleet.heartbeats


def test_a_launch_without_a_hook_that_needs_an_operator_is_dead_lettered_after_an_hour(
    takes: Batches,
) -> None:
    takes.errors["i-a"] = BadSettings("no")
    assert takes.take(batch(notification("i-a"), age=HOUR_AGO)) == []
    assert len(takes.world.queues.aside) == 1


@pytest.mark.parametrize(("age", "again"), [(UNSEEN_LIFE - 5, ["m0"]), (UNSEEN_LIFE + 5, [])])
def test_a_launch_without_a_hook_is_finished_once_aws_should_know_its_instance(
    takes: Batches, age: float, again: list[str]
) -> None:
    takes.errors["i-a"] = InstanceNotVisible("unknown")
    assert takes.take(batch(notification("i-a"), age=age)) == again
    assert ("message_finished" in takes.announced) == (not again)


@pytest.mark.parametrize(("receives", "delay"), [(1, 15), (4, 120), (9, 240)])
def test_a_termination_that_no_hook_waits_for_is_tried_at_doubling_intervals_whatever_its_hook(
    takes: Batches, receives: int, delay: float
) -> None:
    takes.world.group("web", heartbeat_timeout=30)
    takes.world.fleet.stale.add("i-a")
    takes.errors["i-a"] = TowerUnavailable("away")
    takes.take(batch(body("i-a", TERMINATING, "rollcall-launch"), receives=receives))
    assert takes.world.queues.delays == {"handle-m0": delay}


@pytest.mark.parametrize("state", ["InService", "Terminating:Wait"])
def test_a_termination_is_never_finished(takes: Batches, state: str) -> None:
    takes.world.launching("i-a", state=state)
    takes.errors["i-a"] = TowerUnavailable("away")
    takes.world.fleet.stale.add("i-a")
    assert takes.take(batch(body("i-a", TERMINATING))) == ["m0"]


def test_a_terminated_instance_without_a_hook_is_never_finished(takes: Batches) -> None:
    takes.errors["i-a"] = TowerUnavailable("away")
    event = {
        "detail-type": "EC2 Instance Terminate Successful",
        "account": ACCOUNT,
        "region": REGION,
        "detail": {"AutoScalingGroupName": "web", "EC2InstanceId": "i-a"},
    }
    assert takes.take(batch(json.dumps(event), receives=9)) == ["m0"]
    assert takes.world.queues.delays == {"handle-m0": 240}


@pytest.mark.parametrize(("stale", "delay"), [("i-quick", 240), ("i-slow", 10), (None, 10)])
def test_a_message_of_many_is_put_off_no_longer_than_those_waited_for_allow(
    world: World, stale: str | None, delay: float
) -> None:
    world.group("quick", heartbeat_timeout=30)
    actions = [world.launching("i-slow"), world.launching("i-quick", "quick")]
    world.fleet.stale |= {stale} if stale else set()
    processor = BatchProcessor(OWN_QUEUE, world.fleets, world.queues, FakeAnnouncer())
    processor.take(
        batch("{}", receives=9), lambda record: actions, lambda all_: all_, lambda messages: [Throttled("x")]
    )
    assert world.queues.delays == {"handle-m0": delay}


def test_a_message_of_many_is_tried_again_when_one_of_their_instances_went(world: World) -> None:
    actions = [world.launching("i-a", state="InService"), world.launching("i-b", state="Terminated")]
    world.fleet.stale |= {"i-a", "i-b"}
    processor = BatchProcessor(OWN_QUEUE, world.fleets, world.queues, FakeAnnouncer())
    response = processor.take(batch("{}"), lambda record: actions, lambda all_: all_, lambda messages: [Throttled("x")])
    assert response["batchItemFailures"]


def test_a_message_of_many_is_finished_only_when_no_hook_waits_for_any_of_them(world: World) -> None:
    actions = [world.launching("i-a"), world.launching("i-b")]
    processor = BatchProcessor(OWN_QUEUE, world.fleets, world.queues, FakeAnnouncer())

    def take() -> dict[str, Any]:
        return processor.take(batch("{}"), lambda record: actions, lambda all_: all_, lambda messages: [Throttled("x")])

    world.fleet.stale.add("i-a")
    assert take()["batchItemFailures"]
    world.fleet.stale.add("i-b")
    world.leaves("i-a", "InService")
    assert take()["batchItemFailures"]
    world.leaves("i-b", "InService")
    assert not take()["batchItemFailures"]


# Unexpected exceptions


def test_an_unexpected_exception_loses_no_message(takes: Batches) -> None:
    def work(actions: list[LifecycleAction]) -> Sequence[RollcallError | None]:
        raise KeyError("a mistake of ours")

    takes.work = work
    assert takes.take(batch(body("i-a"), body("i-b"))) == ["m0", "m1"]
    assert takes.world.fleet.heartbeats == {"i-a": 1, "i-b": 1}
    assert all(isinstance(error, KeyError) for _, error in takes.announcer.announced)


def test_an_unexpected_exception_is_dead_lettered_after_an_hour(takes: Batches) -> None:
    def work(actions: list[LifecycleAction]) -> Sequence[RollcallError | None]:
        raise KeyError("a mistake of ours")

    takes.work = work
    assert takes.take(batch(body("i-a"), age=HOUR_AGO)) == []
    assert len(takes.world.queues.aside) == 1


def test_an_unexpected_exception_while_reading_fails_its_message_alone(world: World) -> None:
    processor = BatchProcessor(OWN_QUEUE, world.fleets, world.queues, FakeAnnouncer())
    worked: list[str] = []

    def read(record: Any) -> str:
        if record.id == "m0":
            raise IndexError("a mistake of ours")
        return str(record.id)

    def work(messages: list[str]) -> list[RollcallError | None]:
        worked.extend(messages)
        return [None] * len(messages)

    def no_actions(message: str) -> list[LifecycleAction]:
        return []

    response = processor.take(batch("{}", "{}"), read, no_actions, work)
    assert response == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert worked == ["m1"]


def test_an_event_without_a_queue_raises_its_error(takes: Batches) -> None:
    error = takes.errors["i-a"] = BadSettings("fix the tag")
    event = {
        "detail-type": "EC2 Instance-launch Lifecycle Action",
        "account": ACCOUNT,
        "region": REGION,
        "detail": json.loads(body("i-a")),
    }
    with pytest.raises(BadSettings) as caught:
        takes.take(event)
    assert caught.value is error


# What is published of the next try


def test_a_try_that_failed_is_published_with_the_time_of_the_next(takes: Batches) -> None:
    takes.errors["i-a"] = TowerUnavailable("away")
    takes.take(batch(body("i-a"), receives=3))
    assert takes.announced == ["message_failed", "message_retried"]
    assert takes.announcer.delays == list(takes.world.queues.delays.values()) == [60]


def test_what_cannot_be_put_off_comes_again_when_its_visibility_ends(takes: Batches) -> None:
    takes.world.queues.failing["put_off"] = Throttled("later")
    takes.errors["i-a"] = TowerUnavailable("away")
    assert takes.take(batch(body("i-a"))) == ["m0"]
    assert takes.announcer.delays == [VISIBILITY]


@pytest.mark.parametrize("age", [0, HOUR_AGO])
def test_what_is_finished_or_dead_lettered_is_not_tried_again(takes: Batches, age: float) -> None:
    takes.world.launching("i-a", state="InService")
    if not age:
        takes.world.fleet.stale.add("i-a")
    takes.errors["i-a"] = BadSettings("fix the tag")
    assert takes.take(batch(body("i-a"), age=age)) == []
    assert takes.announced == ["message_failed", "message_dead_lettered" if age else "message_finished"]


def test_what_cannot_even_be_dead_lettered_is_tried_again(takes: Batches) -> None:
    takes.world.queues.failing["move_to_dead_letters"] = Throttled("later")
    takes.errors["i-a"] = BadSettings("fix the tag")
    assert takes.take(batch(body("i-a"), age=HOUR_AGO)) == ["m0"]
    assert takes.announced == ["message_failed", "message_not_settled", "message_retried"]


def test_an_event_by_hand_raises_its_error_and_is_not_tried_again(takes: Batches) -> None:
    takes.errors["i-a"] = BadSettings("fix the tag")
    with pytest.raises(BadSettings):
        takes.take(json.loads(body("i-a")))
    assert takes.announced == ["message_failed"]


@pytest.mark.parametrize("emergency", [True, False])
def test_in_an_emergency_a_launch_that_fails_is_tried_again_without_heartbeats_though_its_instance_serves(
    takes: Batches, emergency: bool
) -> None:
    world = takes.world
    world.group("web", heartbeat_timeout=30, emergency="2026-11-21T10:00:00Z" if emergency else "")
    world.launching("i-a", state="InService")
    world.fleet.stale.add("i-a")
    takes.errors["i-a"] = TowerUnavailable("away")
    assert takes.take(batch(body("i-a"), receives=2, age=UNANSWERED_LIFE + 1)) == (["m0"] if emergency else [])
    assert not world.fleet.heartbeats
    assert world.queues.delays == ({"handle-m0": 30} if emergency else {})


def test_in_an_emergency_a_hook_that_waits_is_not_kept_waiting_by_tries(takes: Batches) -> None:
    world = takes.world
    world.group("web", heartbeat_timeout=30, emergency="now")
    world.launching("i-a")
    takes.errors["i-a"] = TowerUnavailable("away")
    assert takes.take(batch(body("i-a"), receives=4)) == ["m0"]
    assert not world.fleet.heartbeats
    assert world.queues.delays == {"handle-m0": 120}
