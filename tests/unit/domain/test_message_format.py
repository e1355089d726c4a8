"""Every way in which a message can arrive, and every way in which it can be wrong."""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from copy import replace
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.aws_text import CALL_BYTES, GROUP_NAME, HOOK_NAME, INSTANCE_ID
from rollcall.domain.errors import BadEvent
from rollcall.domain.message_format import (
    NOT_AT_THE_GATE,
    OWN_FIELDS,
    Record,
    read_action,
    read_examination_request,
    read_gate_message,
    read_records,
    read_run_request,
    write_action,
    write_gate_message,
    written,
)
from rollcall.domain.messages import GateMessage, RetireMessage, RunOptions, RunRequest, Waiting, Watched, WatchMessage
from unit.world import whole

TERMINATION = "terminate-eventbridge.json"
SAMPLES = Path(__file__).parents[3] / "events"
LAUNCH = LifecycleAction(
    transition=Transition.LAUNCHING,
    account="123456789012",
    region="us-east-1",
    group="web",
    instance_id="i-1234567890abcdef0",
    hook="rollcall-launch",
    token="87654321-4321-4321-4321-210987654321",
)


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text())


def actions(name: str) -> list[LifecycleAction | None]:
    return [read_action(record) for record in read_records(sample(name))]


def record(body: object, region: str = "us-east-1") -> Record:
    return Record("one", body if isinstance(body, str) else json.dumps(body), region, 1, 0.0, "handle")


def body_of(name: str) -> dict[str, Any]:
    [only] = read_records(sample(name))
    body: dict[str, Any] = json.loads(only.body)
    return body


# Every way in


@pytest.mark.parametrize(("destination", "to_warm_pool"), [("EC2", False), ("WarmPool", True)])
def test_an_instance_that_goes_into_a_warm_pool_may_come_back(destination: str, to_warm_pool: bool) -> None:
    body = body_of("terminate-eventbridge.json")
    body["detail"]["Destination"] = destination
    action = read_action(record(body))
    assert action
    assert action.to_warm_pool == to_warm_pool


@pytest.mark.parametrize("way", ["eventbridge", "hook-sqs", "hook-sns"])
def test_an_action_tells_when_its_message_was_first_received(way: str) -> None:
    [action] = actions(f"terminate-{way}.json")
    assert action
    assert action.received_at == 1795255200.123


@pytest.mark.parametrize("way", ["eventbridge", "eventbridge-bare", "hook-sqs", "hook-sns"])
def test_a_launch_action_is_the_same_whichever_way_it_comes(way: str) -> None:
    assert actions(f"launch-{way}.json") == [LAUNCH]


@pytest.mark.parametrize("way", ["eventbridge", "hook-sqs", "hook-sns"])
def test_a_terminate_action_is_the_same_whichever_way_it_comes(way: str) -> None:
    [action] = actions(f"terminate-{way}.json")
    assert action
    assert (action.transition, action.hook) == (Transition.TERMINATING, "rollcall-terminate")
    assert (action.group, action.instance_id, action.account) == (LAUNCH.group, LAUNCH.instance_id, LAUNCH.account)


def test_a_terminated_instance_is_a_terminate_action_that_nobody_waits_for() -> None:
    [action] = actions("terminate-successful.json")
    assert action
    assert (action.transition, action.instance_id) == (Transition.TERMINATING, "i-1234567890abcdef0")
    assert (action.hook, action.token) == (None, None)


@pytest.mark.parametrize("way", ["notification-sqs", "notification-sns"])
def test_a_groups_notification_is_an_action_that_nobody_waits_for(way: str) -> None:
    nobody_waits = replace(LAUNCH, hook=None, token=None)
    assert actions(f"launch-{way}.json") == [nobody_waits]
    assert actions(f"terminate-{way}.json") == [replace(nobody_waits, transition=Transition.TERMINATING)]
    assert not nobody_waits.held_by_hook


@pytest.mark.parametrize("event", ["TEST_NOTIFICATION", "EC2_INSTANCE_LAUNCH_ERROR", "EC2_INSTANCE_TERMINATE_ERROR"])
@pytest.mark.parametrize("way", ["notification-sqs", "notification-sns"])
def test_a_groups_notification_of_what_did_not_happen_asks_for_nothing(way: str, event: str) -> None:
    body = body_of(f"launch-{way}.json")
    text = json.dumps(body).replace("EC2_INSTANCE_LAUNCH", event)
    assert event in text
    assert read_action(record(text)) is None


def test_the_test_notification_of_a_new_hook_asks_for_nothing() -> None:
    assert actions("test-notification.json") == [None, None]


def test_an_action_knows_the_message_it_came_in_and_is_the_same_in_another() -> None:
    (one,) = read_records(sample("launch-eventbridge.json"))
    other = replace(one, id="another")
    first, second = read_action(one), read_action(other)
    assert first == second
    assert first
    assert second
    assert (first.message_id, second.message_id) == (one.id, "another")


def test_a_gate_message_is_read() -> None:
    [only] = read_records(sample("gate.json"))
    message = read_gate_message(only)
    assert isinstance(message, GateMessage)
    assert message.job_id == 121
    assert [each.action for each in message.waiting] == [LAUNCH]


def test_a_message_of_those_who_are_watched_is_read() -> None:
    [only] = read_records(sample("gate-watch.json"))
    message = read_gate_message(only)
    assert isinstance(message, WatchMessage)
    assert message.until - message.since == 300
    assert message.watched == (Watched(LAUNCH, 1_795_255_170.0),)


def test_a_message_of_instances_on_their_way_out_is_distinguished_from_one_of_those_that_come() -> None:
    [leaving], [coming] = (read_records(sample(name)) for name in ("gate-retiring.json", "gate.json"))
    message = read_gate_message(leaving)
    assert isinstance(message, RetireMessage)
    assert (message.job_id, message.retiring) == (None, (read_action(read_records(sample(TERMINATION))[0]),))
    assert isinstance(read_gate_message(coming), GateMessage)


def test_malformed_messages_are_refused_one_by_one() -> None:
    for each in read_records(sample("malformed.json")):
        with pytest.raises(BadEvent):
            read_action(each)


def test_every_sample_is_known_to_these_tests() -> None:
    shared = ("eventbridge", "hook-sqs", "hook-sns", "notification-sqs", "notification-sns")
    launches = {f"launch-{way}.json" for way in (*shared, "eventbridge-bare")}
    terminations = {f"terminate-{way}.json" for way in (*shared, "successful")}
    others = {
        "test-notification.json",
        "gate.json",
        "gate-watch.json",
        "gate-retiring.json",
        "malformed.json",
        "reconcile-dry-run.json",
        "doctor.json",
    }
    read_elsewhere = {path.name for kind in ("alert", "bake", "cycle") for path in SAMPLES.glob(f"{kind}-*.json")}
    assert {path.name for path in SAMPLES.glob("*.json")} - read_elsewhere == launches | terminations | others


def test_a_record_says_how_often_and_since_when_it_was_received() -> None:
    [only] = read_records(sample("launch-eventbridge.json"))
    assert (only.receives, only.first_received_at, only.region) == (1, 1795255200.123, "us-east-1")
    assert only.receipt_handle


def test_an_event_without_a_queue_is_a_batch_of_one_without_a_receipt() -> None:
    [only] = read_records(sample("launch-eventbridge-bare.json"))
    assert only.receipt_handle is None


def test_the_region_of_an_event_is_its_own_and_that_of_a_notification_the_topics_or_queues() -> None:
    event = body_of("launch-eventbridge.json") | {"region": "eu-west-1"}
    through_sns = body_of("launch-hook-sns.json") | {"TopicArn": "arn:aws:sns:eu-west-2:123456789012:t"}
    read = [
        read_action(record(event, "us-west-1")),
        read_action(record(through_sns, "us-west-1")),
        read_action(record(body_of("launch-hook-sqs.json"), "us-west-1")),
    ]
    assert [action.region for action in read if action] == ["eu-west-1", "eu-west-2", "us-west-1"]


@pytest.mark.parametrize(("destination", "to_warm_pool"), [("EC2", False), ("WarmPool", True), (None, False)])
@pytest.mark.parametrize("way", ["successful", "notification-sqs"])
def test_what_no_hook_waits_for_may_come_back_too(way: str, destination: str | None, to_warm_pool: bool) -> None:
    body = body_of(f"terminate-{way}.json")
    body.get("detail", body)["Destination"] = destination
    action = read_action(record(body))
    assert action
    assert action.to_warm_pool == to_warm_pool


@pytest.mark.parametrize("hook", ["rollcall-terminate", None])
@pytest.mark.parametrize("transition", list(Transition))
def test_an_action_that_is_sent_on_loses_nothing(transition: Transition, hook: str | None) -> None:
    sent = replace(
        LAUNCH,
        transition=transition,
        hook=hook,
        token=LAUNCH.token if hook else None,
        to_warm_pool=True,
        retire_job_over=True,
        node_pattern="web-@private_dns@",
        private_dns="ip-10-0-0-7.ec2.internal",
        message_id="one",
        received_at=1_795_255_200.5,
        at=1_795_255_190.25,
        failed_before=True,
        unanswered_since=1_795_255_195.75,
    )
    read = read_action(replace(record(write_action(sent)), first_received_at=1_795_255_300.0))
    assert read
    assert asdict(read) == asdict(sent)


@pytest.mark.parametrize("hook", ["rollcall-terminate", None])
def test_what_only_our_own_messages_say_is_not_taken_from_a_topic(hook: str | None) -> None:
    plain = replace(LAUNCH, hook=hook, token=LAUNCH.token if hook else None, message_id="one", received_at=7.0, at=7.0)
    ours = replace(
        plain,
        retire_job_over=True,
        failed_before=True,
        node_pattern="web",
        private_dns="ip-10-0-0-7.ec2.internal",
        received_at=1.0,
        unanswered_since=1.0,
    )
    own = {each for each in json.loads(write_action(ours)) if each.startswith("Chef") or each.endswith("ByRollcall")}
    assert own == OWN_FIELDS
    envelope = {
        "Type": "Notification",
        "TopicArn": f"arn:aws:sns:{LAUNCH.region}:123456789012:lifecycle",
        "Message": write_action(ours),
    }
    read = read_action(replace(record(envelope), first_received_at=7.0))
    assert read
    assert asdict(read) == asdict(plain)


def test_no_message_was_received_after_its_record_was() -> None:
    sent = replace(LAUNCH, received_at=4e9)
    read = read_action(replace(record(write_action(sent)), first_received_at=7.0))
    assert read
    assert read.received_at == 7.0


def test_an_action_that_came_in_no_message_is_received_when_its_own_is() -> None:
    read = read_action(replace(record(write_action(LAUNCH)), first_received_at=7.0))
    assert read
    assert read.received_at == 7.0


@pytest.mark.parametrize("wrong", [None, "", "now", True, [], math.inf])
def test_a_wrong_time_in_a_message_of_our_own_is_named(wrong: object) -> None:
    with pytest.raises(BadEvent, match="ReceivedAtByRollcall"):
        read_action(record(body_of("terminate-hook-sqs.json") | {"ReceivedAtByRollcall": wrong}))


def test_messages_to_the_gate_are_json_for_everybody() -> None:
    assert math.isinf(LAUNCH.received_at)
    launch = replace(LAUNCH, at=7.0)
    messages: list[GateMessage | WatchMessage | RetireMessage] = [
        GateMessage((Waiting(launch, 1.0, "10.0.0.7"),), None, 1.0, 2.0),
        WatchMessage((Watched(launch, 1.0),), 1.0, 2.0),
        RetireMessage((launch,), None, 1.0, 2.0),
    ]
    for message in messages:
        text = write_gate_message(message)
        assert "Infinity" not in text
        assert whole(read_gate_message(record(text))) == whole(message)


def test_a_message_to_the_gate_that_was_written_with_infinity_is_read() -> None:
    message = RetireMessage((replace(LAUNCH, at=7.0),), None, 1.0, 2.0)
    read = read_gate_message(record(json.dumps(whole(message))))
    assert whole(read) == whole(message)


def test_a_return_to_the_warm_pool_is_a_terminate_action() -> None:
    event = body_of("terminate-eventbridge.json")
    event["detail"]["Destination"] = "WarmPool"
    action = read_action(record(event))
    assert action
    assert action.transition == Transition.TERMINATING


# Every way to be wrong

HOOK_FIELDS = ["AutoScalingGroupName", "EC2InstanceId", "LifecycleHookName", "LifecycleActionToken"]
WRONG: list[Any] = [None, "", 7, [], {}]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("field", [*HOOK_FIELDS, "AccountId", "LifecycleTransition"])
def test_a_wrong_field_of_a_notification_is_named(field: str, wrong: object) -> None:
    with pytest.raises(BadEvent, match=field):
        read_action(record(body_of("launch-hook-sqs.json") | {field: wrong}))


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("field", ["AccountId", "AutoScalingGroupName", "EC2InstanceId", "Event"])
def test_a_wrong_field_of_a_groups_notification_is_named(field: str, wrong: object) -> None:
    with pytest.raises(BadEvent, match=field):
        read_action(record(body_of("terminate-notification-sqs.json") | {field: wrong}))


def test_a_notification_of_something_else_is_refused_with_what_to_notify_of() -> None:
    other = body_of("launch-notification-sqs.json") | {"Event": "autoscaling:EC2_INSTANCE_HIBERNATE"}
    with pytest.raises(BadEvent, match=r"EC2_INSTANCE_HIBERNATE.*let the group notify of .*EC2_INSTANCE_LAUNCH"):
        read_action(record(other))


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("field", HOOK_FIELDS)
def test_a_wrong_detail_of_an_event_is_named(field: str, wrong: object) -> None:
    event = body_of("launch-eventbridge.json")
    event["detail"][field] = wrong
    with pytest.raises(BadEvent, match=field):
        read_action(record(event))


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("field", ["account", "region", "detail-type"])
def test_a_wrong_field_of_an_event_is_named(field: str, wrong: object) -> None:
    with pytest.raises(BadEvent, match=field):
        read_action(record(body_of("launch-eventbridge.json") | {field: wrong}))


@pytest.mark.parametrize("wrong", [None, "", 7, []])
def test_an_event_without_details_is_refused(wrong: object) -> None:
    with pytest.raises(BadEvent, match="detail"):
        read_action(record(body_of("launch-eventbridge.json") | {"detail": wrong}))


@pytest.mark.parametrize("wrong", [None, "", 7, "no arn", "arn:aws:sns"])
def test_a_wrong_topic_is_named(wrong: object) -> None:
    with pytest.raises(BadEvent, match="TopicArn"):
        read_action(record(body_of("launch-hook-sns.json") | {"TopicArn": wrong}))


@pytest.mark.parametrize("wrong", [None, "", 7, "no json", "[]"])
def test_a_wrong_sns_message_is_named(wrong: object) -> None:
    with pytest.raises(BadEvent, match="Message"):
        read_action(record(body_of("launch-hook-sns.json") | {"Message": wrong}))


def test_a_missing_field_is_named() -> None:
    event = body_of("launch-eventbridge.json")
    del event["detail"]["EC2InstanceId"]
    with pytest.raises(BadEvent, match="EC2InstanceId"):
        read_action(record(event))


@pytest.mark.parametrize(
    "wrong",
    [
        "1234567890",
        "i-",
        "i-1,all",
        "i-1:&web",
        "mi-0123",
        "i-1 2",
        "i-É",
        "i-\u00e4",
        "i-A",
        "i-" + "0" * 18,
        "i-a,i-b",
        "i-a\n",
        "i-a\0",
    ],
)
def test_what_is_no_instance_id_never_gets_into_a_limit(wrong: str) -> None:
    with pytest.raises(BadEvent, match="EC2InstanceId"):
        read_action(record(body_of("launch-hook-sqs.json") | {"EC2InstanceId": wrong}))


NOT_CARRIED = ["we\0b", "we\ud800b", "we\x1bb", "we\uffffb"]
BEYOND_AWS: list[tuple[str, str]] = [
    *(("AutoScalingGroupName", wrong) for wrong in ("g" * 256, *NOT_CARRIED)),
    *(("LifecycleHookName", wrong) for wrong in ("h" * 256, "a hook", "h\u00e4", *NOT_CARRIED)),
    *(("LifecycleActionToken", wrong) for wrong in ("t" * 35, "t" * 37, "t" * 35 + "\ud800")),
    *(("AccountId", wrong) for wrong in ("12345678901", "1234567890123", "12345678901x", "\u0661" * 12)),
]


@pytest.mark.parametrize(("field", "wrong"), BEYOND_AWS, ids=ascii)
def test_what_aws_would_refuse_of_a_notification_never_shares_a_call(field: str, wrong: str) -> None:
    with pytest.raises(BadEvent, match=f"field '{field}' is ") as refused:
        read_action(record(body_of("launch-hook-sqs.json") | {field: wrong}))
    str(refused.value).encode()


@pytest.mark.parametrize(("field", "wrong"), BEYOND_AWS, ids=ascii)
def test_what_aws_would_refuse_of_an_event_never_shares_a_call(field: str, wrong: str) -> None:
    event = body_of("launch-eventbridge.json")
    (event["detail"] if field in event["detail"] else event)[{"AccountId": "account"}.get(field, field)] = wrong
    with pytest.raises(BadEvent, match=" is "):
        read_action(record(event))


@pytest.mark.parametrize("wrong", ["", "us east 1", "us-east", "us-east-1\n", "../us-east-1", "us-east-\u0661"])
def test_what_is_no_region_is_named(wrong: str) -> None:
    for body, field in (
        (body_of("launch-eventbridge.json") | {"region": wrong}, "region"),
        (body_of("launch-hook-sns.json") | {"TopicArn": f"arn:aws:sns:{wrong}:123456789012:topic"}, "TopicArn"),
    ):
        with pytest.raises(BadEvent, match=f"field '{field}' is "):
            read_action(record(body))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        *(
            ({field: wrong}, field)
            for field, wrong in (
                ("group", "g" * 256),
                ("group", "we\ud800b"),
                ("hook", "a hook"),
                ("instance_id", "i-" + "0" * 18),
                ("account", "1"),
                ("region", "here"),
                ("token", "\0"),
                ("token", 7),
                ("message_id", "m\ud800"),
                ("private_dns", "d\0"),
                ("node_pattern", ["n"]),
                ("transition", "autoscaling:NAPPING"),
                ("to_warm_pool", 1),
                ("at", -1.0),
                ("at", math.nan),
                ("at", 1e300),
                ("received_at", math.nan),
            )
        ),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("name", ["gate.json", "gate-watch.json", "gate-retiring.json"])
def test_a_wrong_field_of_an_action_at_the_gate_is_named(name: str, wrong: dict[str, Any], field: str) -> None:
    body = body_of(name)
    [member] = body.get("waiting") or body.get("watched") or body["retiring"]
    member.get("action", member).update(wrong)
    with pytest.raises(BadEvent, match=f"not a message of the gate: field '{field}' is "):
        read_gate_message(record(body))


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("job_id", 2**31),
        ("job_id", -1),
        ("job_id", "7"),
        ("job_id", True),
        ("since", math.nan),
        ("since", math.inf),
        ("since", "1"),
        ("heartbeat_at", -1),
        ("polls", 10**400),
        ("polls", -1),
        ("polls", 1.5),
        ("alerted", "no"),
        ("lost_jobs", 2**31),
        ("relaunch_at", -1.0),
        ("cancel_at", "soon"),
        ("stuck_job", "7"),
    ],
)
def test_a_wrong_field_of_a_message_of_the_gate_is_named(field: str, wrong: object) -> None:
    with pytest.raises(BadEvent, match=f"field '{field}' is "):
        read_gate_message(record(body_of("gate.json") | {field: wrong}))


@pytest.mark.parametrize("field", ["account", "region"])
def test_a_message_of_the_gate_is_about_one_account_and_region(field: str) -> None:
    body = body_of("gate-retiring.json")
    other = {"account": "210987654321", "region": "eu-west-1"}[field]
    body["retiring"].append(body["retiring"][0] | {field: other})
    with pytest.raises(BadEvent, match="several accounts or Regions"):
        read_gate_message(record(body))


def test_a_field_that_is_there_twice_is_not_guessed() -> None:
    text = json.dumps(body_of("launch-hook-sqs.json"))
    twice = text[:-1] + ', "EC2InstanceId": "i-another"}'
    with pytest.raises(BadEvent, match="'EC2InstanceId' twice"):
        read_action(record(twice))


def test_an_error_shows_no_more_of_a_value_than_a_person_reads() -> None:
    long = "x" * 200_000
    for body in (
        body_of("launch-hook-sqs.json") | {"EC2InstanceId": long},
        body_of("launch-hook-sns.json") | {"TopicArn": long},
        body_of("launch-eventbridge.json") | {"detail-type": long},
        {long: 1},
        {f"{number}": 1 for number in range(10_000)},
        {"waiting": long},
    ):
        for read in (read_action, read_gate_message):
            with pytest.raises(BadEvent) as refused:
                read(record(body))
            assert len(str(refused.value)) < 1000


def test_an_unknown_transition_names_those_that_are_known() -> None:
    with pytest.raises(BadEvent, match="autoscaling:EC2_INSTANCE_TERMINATING"):
        read_action(record(body_of("launch-hook-sqs.json") | {"LifecycleTransition": "autoscaling:NAPPING"}))


@pytest.mark.parametrize(
    "kind", ["EC2 Instance Launch Successful", "EC2 Instance Terminate Unsuccessful", "EC2 Spot Instance Request"]
)
def test_an_event_that_is_no_lifecycle_action_names_its_kind(kind: str) -> None:
    with pytest.raises(BadEvent, match=kind):
        read_action(record(body_of("launch-eventbridge.json") | {"detail-type": kind}))


@pytest.mark.parametrize("body", ["", "no json", "[]", "7", "null", '"text"', "{}", '{"a": 1}', "{"])
def test_what_is_no_message_at_all_is_refused(body: str) -> None:
    with pytest.raises(BadEvent):
        read_action(record(body))
    with pytest.raises(BadEvent):
        read_gate_message(record(body))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
FIELDS = st.sampled_from(
    ["Type", "Message", "TopicArn", "Event", "detail-type", "detail", "account", "region", *HOOK_FIELDS, "AccountId"]
)


@given(st.dictionaries(FIELDS, JSON), st.sampled_from(["launch-eventbridge.json", "launch-hook-sns.json"]))
def test_whatever_is_wrong_is_a_bad_event_and_nothing_else(wrong: dict[str, Any], name: str) -> None:
    with suppress(BadEvent):
        read_action(record(body_of(name) | wrong))


@given(st.dictionaries(st.sampled_from(["waiting", "job_id", "since", "heartbeat_at", "polls", "alerted"]), JSON))
def test_whatever_is_wrong_in_a_gate_message_is_a_bad_event_and_nothing_else(wrong: dict[str, Any]) -> None:
    with suppress(BadEvent):
        message = read_gate_message(record(body_of("gate.json") | wrong))
        assert isinstance(message, GateMessage)
        assert message.waiting
        assert message.job_id is None or isinstance(message.job_id, int)


@given(st.dictionaries(st.sampled_from(["watched", "since", "until"]), JSON))
def test_whatever_is_wrong_in_a_watch_message_is_a_bad_event_and_nothing_else(wrong: dict[str, Any]) -> None:
    with suppress(BadEvent):
        message = read_gate_message(record(body_of("gate-watch.json") | wrong))
        assert isinstance(message, WatchMessage)
        assert message.watched


@given(st.dictionaries(st.sampled_from(["retiring", "job_id", "since", "heartbeat_at", "polls"]), JSON))
def test_whatever_is_wrong_in_a_message_of_who_leaves_is_a_bad_event_and_nothing_else(wrong: dict[str, Any]) -> None:
    with suppress(BadEvent):
        message = read_gate_message(record(body_of("gate-retiring.json") | wrong))
        assert isinstance(message, RetireMessage)
        assert message.retiring


# The gate's own messages

NUMBERS = st.floats(0, 4e9)
SMALL = st.integers(0, 2**31 - 1)


GROUPS = st.text(
    st.characters(min_codepoint=32, exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"), min_size=1
)
SHORT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=256)
TOKENS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=36, max_size=36)
ACTIONS = st.builds(
    LifecycleAction,
    transition=st.sampled_from(Transition),
    account=st.just("123456789012"),
    region=st.just("us-east-1"),
    group=GROUPS.filter(GROUP_NAME.allows),
    instance_id=st.from_regex(INSTANCE_ID.pattern, fullmatch=True),
    hook=st.none() | st.from_regex(HOOK_NAME.pattern, fullmatch=True),
    token=st.none() | TOKENS,
).map(lambda action: action if action.hook else replace(action, token=None))
CHECK_STATES = st.dictionaries(SHORT.filter(bool), SHORT.filter(bool), max_size=2).map(lambda each: tuple(each.items()))
MESSAGES = st.builds(
    GateMessage,
    waiting=st.lists(
        st.builds(Waiting, ACTIONS, NUMBERS, SHORT, st.none() | NUMBERS, st.none() | NUMBERS, CHECK_STATES),
        min_size=1,
        max_size=3,
    ).map(tuple),
    job_id=st.none() | SMALL,
    since=NUMBERS,
    heartbeat_at=NUMBERS,
    polls=SMALL,
    alerted=st.booleans(),
    lost_jobs=SMALL,
    relaunch_at=NUMBERS,
    cancel_at=NUMBERS,
    stuck_job=st.none() | SMALL,
)


WATCHES = st.builds(
    WatchMessage,
    watched=st.lists(st.builds(Watched, ACTIONS, NUMBERS, st.none() | st.booleans()), min_size=1, max_size=3).map(
        tuple
    ),
    since=NUMBERS,
    until=NUMBERS,
)


@given(MESSAGES | WATCHES)
def test_a_gate_message_is_read_as_it_was_written(message: GateMessage | WatchMessage) -> None:
    assert read_gate_message(record(write_gate_message(message))) == message


@given(
    st.builds(
        RetireMessage,
        retiring=st.lists(ACTIONS, min_size=1, max_size=3).map(tuple),
        job_id=st.none() | SMALL,
        since=NUMBERS,
        heartbeat_at=NUMBERS,
        polls=SMALL,
        unanswered_since=st.none() | NUMBERS,
        lost_jobs=SMALL,
        relaunch_at=NUMBERS,
    )
)
def test_a_message_of_who_leaves_is_read_as_it_was_written(message: RetireMessage) -> None:
    assert read_gate_message(record(write_gate_message(message))) == message


FULL = replace(
    LAUNCH,
    group="g" * 255,
    hook="h" * 255,
    instance_id="i-" + "0" * 17,
    node_pattern="n" * 256,
    private_dns="d" * 256,
    message_id="m" * 100,
    received_at=1_800_000_000.123456,
    at=1_800_000_000.123456,
    to_warm_pool=True,
    retire_job_over=True,
    failed_before=True,
)


def full(action: LifecycleAction) -> list[GateMessage | WatchMessage | RetireMessage]:
    """Messages about as many instances as one job may hold, each with all that can be said of it."""
    at = 1_800_000_000.123456
    waiting = Waiting(action, at, "ip-10-0-0-1.eu-central-1.compute.internal", at, at)
    return [
        GateMessage(
            (waiting,) * 100,
            2**31 - 1,
            at,
            at,
            2**31 - 1,
            alerted=True,
            lost_jobs=2**31 - 1,
            relaunch_at=at,
            cancel_at=at,
            stuck_job=2**31 - 1,
        ),
        WatchMessage((Watched(action, at, serving=False),) * 100, at, at),
        RetireMessage((action,) * 100, 2**31 - 1, at, at, 2**31 - 1, at, 2**31 - 1, at),
    ]


@pytest.mark.parametrize("message", full(FULL), ids=lambda each: type(each).__name__)
def test_a_full_message_to_the_gate_fits_into_a_queue(message: GateMessage | WatchMessage | RetireMessage) -> None:
    [(whole, text)] = written(message)
    assert whole == message
    assert len(text.encode()) < CALL_BYTES


@pytest.mark.parametrize(
    "message", full(replace(FULL, group="\N{PILE OF POO}" * 255)), ids=lambda each: type(each).__name__
)
def test_a_message_to_the_gate_that_is_too_large_goes_as_several_and_loses_none(
    message: GateMessage | WatchMessage | RetireMessage,
) -> None:
    parts = written(message)
    assert len(parts) > 1
    assert all(len(text.encode()) <= CALL_BYTES for _, text in parts)
    read = [read_gate_message(record(text)) for _, text in parts]
    assert read == [part for part, _ in parts]
    members = [
        getattr(part, {"GateMessage": "waiting", "WatchMessage": "watched"}.get(type(part).__name__, "retiring"))
        for part in read
    ]
    assert sum(map(len, members)) == 100


@pytest.mark.parametrize("message", full(FULL), ids=lambda each: type(each).__name__)
def test_an_action_loses_nothing_at_the_gate(message: GateMessage | WatchMessage | RetireMessage) -> None:
    aws_safe = [each for each in fields(LifecycleAction) if each.name not in NOT_AT_THE_GATE]
    assert all(getattr(FULL, each.name) != each.default for each in aws_safe)
    assert whole(read_gate_message(record(write_gate_message(message)))) == whole(message)


# What a run of reconcile is asked for


def test_a_run_that_is_asked_for_nothing_is_for_all_groups() -> None:
    assert read_run_request({}) == RunRequest(RunOptions(), dry_run=False, force=False)


def test_a_run_is_asked_for_by_field() -> None:
    asked = {"dry_run": True, "force": True, "provision": True, "groups": ["web", "db"], "forget": ["old"]}
    options = RunOptions(groups=frozenset({"web", "db"}), provision=True, forget=frozenset({"old"}))
    assert read_run_request(asked) == RunRequest(options, dry_run=True, force=True)


def test_a_run_for_certain_instances_names_them() -> None:
    asked = read_run_request({"instances": ["i-0123456789abcdef0", "i-1"], "dry_run": True})
    assert asked == RunRequest(RunOptions(instances=frozenset({"i-0123456789abcdef0", "i-1"})), dry_run=True)


def test_the_schedule_says_in_minutes_how_often_it_runs() -> None:
    assert read_run_request({"every": 5}).options.every == 300


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dryrun", True),
        ("dry_run", "true"),
        ("dry_run", 1),
        ("force", None),
        ("provision", "web"),
        ("groups", "web"),
        ("groups", []),
        ("groups", [""]),
        ("groups", [1]),
        ("instances", "i-0"),
        ("instances", []),
        ("instances", ["web"]),
        ("instances", ["i-0", "i-"]),
        ("instances", ["i-0123456789abcdef01"]),
        ("forget", "web"),
        ("forget", []),
        ("every", "5"),
        ("every", 0),
        ("every", True),
        ("every", 2.5),
        ("every", 10**400),
        ("groups", ["g" * 256]),
        ("groups", ["we\ud800b"]),
        ("forget", ["we\0b"]),
        ("instances", ["i-a\n"]),
        ("instances", [["i-a"]]),
        ("\ud800", 1),
    ],
)
def test_a_run_that_is_asked_for_wrongly_does_not_begin(field: str, value: object) -> None:
    with pytest.raises(BadEvent, match=re.escape(ascii(field)[1:-1])) as refused:
        read_run_request({field: value})
    str(refused.value).encode()


@pytest.mark.parametrize("event", [None, 7, "x", [], [{"dry_run": True}]])
def test_a_request_is_an_object(event: object) -> None:
    for read in (read_run_request, read_examination_request):
        with pytest.raises(BadEvent, match="the event is no object"):
            read(event)


@pytest.mark.parametrize("value", [["g" * 256], ["we\ud800b"], ["we\0b"], [7], "web", []])
def test_an_examination_is_asked_for_by_names_that_a_group_can_have(value: object) -> None:
    with pytest.raises(BadEvent, match="groups"):
        read_examination_request({"groups": value})


def test_the_sample_asks_for_a_dry_run() -> None:
    assert read_run_request(sample("reconcile-dry-run.json")).dry_run


def test_a_record_of_a_queue_does_not_begin_a_run() -> None:
    with pytest.raises(BadEvent, match="Records"):
        read_run_request(sample("terminate-successful.json"))


# When it happened


AT = 1_795_255_200.0


@pytest.mark.parametrize(
    "sample",
    [
        "launch-eventbridge",
        "launch-hook-sqs",
        "launch-hook-sns",
        "launch-notification-sqs",
        "launch-notification-sns",
        "terminate-eventbridge",
        "terminate-hook-sqs",
    ],
)
def test_an_action_says_when_auto_scaling_announced_it(sample: str) -> None:
    body = json.dumps(body_of(f"{sample}.json"))
    action = read_action(replace(record(body), first_received_at=AT + 3600))
    assert action
    assert action.at == AT


@pytest.mark.parametrize(
    "time",
    [
        *[None, "", "yesterday", 7, [], {}, 10**400, "\ud800", "2026-11-21T10:00:00", "2026-11-21T10:00:00+25:00"],
        *["0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"],
    ],
    ids=ascii,
)
def test_an_event_of_an_unreadable_time_happened_when_it_was_received(time: object) -> None:
    body = body_of("launch-eventbridge.json") | {"time": time}
    action = read_action(replace(record(json.dumps(body)), first_received_at=7.0))
    assert action
    assert action.at == 7.0


def test_a_gate_message_from_before_an_upgrade_happened_when_it_was_received() -> None:
    text = json.loads(write_gate_message(GateMessage((Waiting(LAUNCH, 1.0, "10.0.0.7"),), None, 1.0, 2.0)))
    for name in ("at", "troubled"):
        del text["waiting"][0]["action"][name]
    message = read_gate_message(replace(record(json.dumps(text)), first_received_at=7.0))
    assert isinstance(message, GateMessage)
    assert (message.waiting[0].action.at, message.waiting[0].action.failed_before) == (7.0, False)


@pytest.mark.parametrize(("receives", "aside", "failed"), [(1, False, False), (2, False, True), (1, True, True)])
def test_an_action_knows_whether_its_message_failed_before(receives: int, aside: bool, failed: bool) -> None:
    text = write_gate_message(GateMessage((Waiting(LAUNCH, 1.0, "10.0.0.7"),), None, 1.0, 2.0))
    event = {
        "Records": [
            {
                "messageId": f"m{number}",
                "body": body,
                "awsRegion": "us-east-1",
                "receiptHandle": "handle",
                "attributes": {"ApproximateReceiveCount": str(receives), "ApproximateFirstReceiveTimestamp": "7000"},
                "messageAttributes": {"Error": {"stringValue": "BadSettings"}} if aside else {},
            }
            for number, body in enumerate((json.dumps(body_of("launch-eventbridge.json")), write_action(LAUNCH), text))
        ]
    }
    event_bridge, own, gate = read_records(event)
    actions = [read_action(event_bridge), read_action(own)]
    message = read_gate_message(gate)
    assert isinstance(message, GateMessage)
    assert [each.failed_before for each in (*actions, message.waiting[0].action) if each] == [failed] * 3


def test_that_it_is_in_trouble_goes_on_with_it() -> None:
    text = write_gate_message(
        GateMessage((Waiting(replace(LAUNCH, failed_before=True), 1.0, "10.0.0.7"),), None, 1.0, 2.0)
    )
    message = read_gate_message(record(text))
    assert isinstance(message, GateMessage)
    assert message.waiting[0].action.failed_before
