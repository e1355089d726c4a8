"""What is in a dead-letter queue, in words, and what becomes of it."""

from __future__ import annotations

import json
from copy import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.groups import Group
from rollcall.domain.membership import Membership
from rollcall.domain.message_format import Record, read_gate_message, write_action, write_gate_message
from rollcall.domain.messages import GateMessage, RetireMessage, Waiting, Watched, WatchMessage
from rollcall.domain.timing import HOOK_LIFE_MAX, hook_life
from rollcall_cli.dead_letters.letters import (
    AwsState,
    DeadLetter,
    Entry,
    about_group,
    entry,
    gathered,
    read,
)
from rollcall_cli.times import duration, moment
from unit.fakes import ACCOUNT, REGION

type Json = dict[str, Any]

SAMPLES = Path(__file__).parents[3] / "events"
TEN_O_CLOCK = datetime(2026, 11, 21, 10, tzinfo=UTC).timestamp()  # when the samples' actions came
HOUR = 3600.0
INSTANCE = "i-1234567890abcdef0"
HOOKS = {"rollcall-launch": 600, "rollcall-terminate": 600}
LIFE = 60_000.0  # seconds, of a hook with 600
MISTAKE: Json = {"Error": "BadSettings", "Message": "tag rollcall:gate is 'icmp': use job"}


def aws(state: str | None = None, *, age: float = 2 * HOUR, hooks: dict[str, int] | None = None) -> AwsState:
    """The group "web" that much later, with its one instance in a state (None: not listed); hooks {} has none."""
    groups = {"web": Group("web", {}, HOOKS if hooks is None else hooks)}
    memberships = {INSTANCE: Membership("web", state)} if state else {}
    return AwsState(ACCOUNT, REGION, TEN_O_CLOCK + age, groups, memberships)


def letter(body: str | Json, queue: str = "Launch", *, at: float = TEN_O_CLOCK + HOUR, **attributes: str) -> DeadLetter:
    """A message that was set aside an hour after its action came."""
    return DeadLetter(
        queue,
        source=f"https://queue.example.com/{queue}Queue",
        id="m1",
        receipt_handle="r1",
        body=body if isinstance(body, str) else json.dumps(body),
        region=REGION,
        sent_at=at,
        attributes={name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()},
    )


def sample(name: str, queue: str) -> DeadLetter:
    """A sample of events/, set aside for a mistake."""
    [*_, record] = json.loads((SAMPLES / name).read_text())["Records"]
    return letter(record["body"], queue, **MISTAKE)


def entry_of(of: DeadLetter, world: AwsState) -> Entry:
    return entry(of, read(of), world)


def action(instance_id: str = INSTANCE, transition: Transition = Transition.LAUNCHING, **own: Any) -> LifecycleAction:
    hook = "rollcall-launch" if transition == Transition.LAUNCHING else "rollcall-terminate"
    return LifecycleAction(transition, ACCOUNT, REGION, "web", instance_id, **{"hook": hook} | own)


LAUNCHES = [
    "launch-eventbridge.json",
    "launch-hook-sqs.json",
    "launch-hook-sns.json",
]
TERMINATIONS = ["terminate-eventbridge.json", "terminate-hook-sqs.json", "terminate-hook-sns.json"]
UNHOOKED = {
    "launch-notification-sqs.json": ("Launch", "launch without a hook"),
    "launch-notification-sns.json": ("Launch", "launch without a hook"),
    "terminate-notification-sqs.json": ("Terminate", "termination without a hook"),
    "terminate-notification-sns.json": ("Terminate", "termination without a hook"),
    "terminate-successful.json": ("Terminate", "termination without a hook"),
}


class TestInWords:
    @pytest.mark.parametrize("name", LAUNCHES)
    def test_a_launch_that_still_waits_goes_back_as_it_came(self, name: str) -> None:
        of = sample(name, "Launch")
        found = entry_of(of, aws("Pending:Wait"))
        assert (found.kind, found.groups, found.instances) == ("launch", ("web",), (INSTANCE,))
        assert (found.error, found.remedy) == ("BadSettings", MISTAKE["Message"])
        assert found.since == TEN_O_CLOCK
        assert (found.back, found.over, found.stays) == (of.body, {}, "")

    @pytest.mark.parametrize("name", TERMINATIONS)
    @pytest.mark.parametrize("state", ["Terminating:Wait", "Warmed:Terminating:Wait", None])
    def test_a_termination_within_its_hooks_life_goes_back_as_it_came(self, name: str, state: str | None) -> None:
        of = sample(name, "Terminate")
        found = entry_of(of, aws(state))
        assert (found.kind, found.groups, found.instances) == ("termination", ("web",), (INSTANCE,))
        assert found.since == TEN_O_CLOCK
        assert (found.back, found.over) == (of.body, {})

    @pytest.mark.parametrize("name", UNHOOKED)
    def test_what_no_hook_waits_for_goes_back_however_old(self, name: str) -> None:
        queue, kind = UNHOOKED[name]
        of = sample(name, queue)
        found = entry_of(of, replace(aws(age=100 * HOOK_LIFE_MAX), groups={}))
        assert (found.kind, found.groups, found.instances) == (kind, ("web",), (INSTANCE,))
        assert (found.back, found.over) == (of.body, {})
        assert found.since - TEN_O_CLOCK in (0, 300)

    def test_a_test_notification_asks_for_nothing_and_goes_back(self) -> None:
        of = sample("test-notification.json", "Launch")
        found = entry_of(of, aws())
        assert (found.kind, found.groups, found.instances) == ("notification that asks for nothing", (), ())
        assert found.back == of.body
        assert found.since == of.sent_at

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("gate.json", "launch at the gate"),
            ("gate-retiring.json", "retirement at the gate"),
            ("gate-watch.json", "watch"),
        ],
    )
    def test_the_gates_own_messages_go_back_as_they_came(self, name: str, kind: str) -> None:
        of = sample(name, "Gate")
        found = entry_of(of, aws("Terminating:Wait" if "retiring" in name else "Pending:Wait"))
        assert (found.kind, found.groups, found.instances) == (kind, ("web",), (INSTANCE,))
        assert (found.back, found.over) == (of.body, {})
        assert found.since == {"gate.json": 1795255170.0}.get(name, 1795255202.5)

    @pytest.mark.parametrize(
        ("body", "queue", "words"),
        [
            ('{"detail-type": "EC2', "Launch", "is not JSON"),
            ("[]", "Terminate", "no object"),
            ("{}", "Launch", "neither 'detail-type'"),
            ('{"waiting": [], "job_id": 1}', "Gate", "not a message of the gate"),
            ('{"waiting": [{}]}', "Gate", "not a message of the gate"),
            ("nothing", "Alert", "Expecting value"),
            ("[" * 100_000, "Launch", "recursion"),
        ],
    )
    def test_what_cannot_be_read_stays_and_says_why(self, body: str, queue: str, words: str) -> None:
        found = entry_of(letter(body, queue), aws())
        assert found.stays.startswith("it cannot be read: ")
        assert words in found.stays
        assert (found.back, found.over, found.groups, found.instances) == (None, {}, (), ())

    def test_an_event_on_the_bus_is_named_and_goes_back(self) -> None:
        event = {"detail-type": "Work Failed", "detail": {"group": "web", "instance_id": INSTANCE}}
        found = entry_of(letter(event, "Alert"), aws())
        assert (found.kind, found.groups, found.instances) == ("Work Failed", ("web",), (INSTANCE,))
        assert found.back == json.dumps(event)

    def test_an_alarms_notification_is_named_and_goes_back(self) -> None:
        alarm = {"Type": "Notification", "Message": json.dumps({"AlarmName": "rollcall-Breaker"})}
        found = entry_of(letter(alarm, "Alert"), aws())
        assert (found.kind, found.groups) == ("alarm rollcall-Breaker", ())
        assert found.back == json.dumps(alarm)

    @pytest.mark.parametrize(
        ("attributes", "back"),
        [({"Error": "BadEvent", "Message": "no cause"}, False), ({}, True), ({"ERROR_CODE": "NO_PERMISSIONS"}, True)],
    )
    def test_what_alert_could_not_read_stays_and_what_never_came_to_it_goes_back(
        self, attributes: Json, back: bool
    ) -> None:
        found = entry_of(letter({"detail-type": "Work Failed"}, "Alert", **attributes), aws())
        assert (found.back is not None, bool(found.stays)) == (back, not back)
        assert back or "alert could not read it" in found.stays

    def test_what_another_function_could_not_read_goes_back_if_it_can_be_read_by_now(self) -> None:
        found = entry_of(
            letter(write_action(action()), Error="BadEvent", Message="of another account"), aws("Pending:Wait")
        )
        assert (found.back is not None, found.stays) == (True, "")

    def test_what_has_no_queue_to_go_back_to_stays(self) -> None:
        found = entry_of(replace(letter({"detail-type": "Work Failed"}, "Alert"), source=""), aws())
        assert (found.back, found.stays) == (None, "there is no queue to send it back to")


class TestWhyItIsHere:
    def test_a_rule_that_could_not_deliver_is_named_with_the_remedy(self) -> None:
        rule = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/rollcall-LaunchRule-1"
        of = letter("{}", RULE_ARN=rule, ERROR_CODE="NO_PERMISSIONS", ERROR_MESSAGE="not authorized")
        found = entry_of(of, aws())
        assert found.error == "NO_PERMISSIONS"
        assert "rule rollcall-LaunchRule-1 could not deliver it: not authorized" in found.remedy
        assert "QueuePolicy lets the rule send to LaunchQueue" in found.remedy

    def test_what_sqs_moved_was_received_too_often(self) -> None:
        found = entry_of(replace(letter("{}"), moved=True), aws())
        assert found.error == "ReceivedTooOften"
        assert "received 1,000 times" in found.remedy

    def test_what_a_subscription_could_not_deliver_says_nothing(self) -> None:
        found = entry_of(letter("{}", "Terminate"), aws())
        assert found.error == "NotDelivered"
        assert "a subscription could not deliver it to TerminateQueue" in found.remedy

    @pytest.mark.parametrize(("message", "words"), [("boom", "boom"), ("", "the function's log")])
    def test_an_error_code_is_shown(self, message: str, words: str) -> None:
        found = entry_of(letter("{}", ErrorCode="500", ErrorMessage=message), aws())
        assert found.error == "error 500"
        assert words in found.remedy


class TestWhatIsOver:
    def test_the_life_of_the_samples_hooks(self) -> None:
        assert hook_life(aws().groups["web"], action()) == LIFE

    @pytest.mark.parametrize(("name", "queue"), [(LAUNCHES[0], "Launch"), (TERMINATIONS[0], "Terminate")])
    @pytest.mark.parametrize(("age", "over"), [(LIFE, False), (LIFE + 1, True)])
    def test_what_is_older_than_its_hooks_life_is_left_to_reconcile(
        self, name: str, queue: str, age: float, over: bool
    ) -> None:
        state = "Pending:Wait" if queue == "Launch" else "Terminating:Wait"
        found = entry_of(sample(name, queue), aws(state, age=age))
        assert (found.back is None) is over
        assert found.over == ({INSTANCE: "it is older than its hook's life of 16.7 hours"} if over else {})
        assert found.instances == (INSTANCE,)

    @pytest.mark.parametrize("queue", ["Launch", "Terminate"])
    @pytest.mark.parametrize("hooks", [None, {}])
    def test_of_a_group_or_a_hook_that_is_gone_nothing_waits(self, queue: str, hooks: dict[str, int] | None) -> None:
        name, state = {
            "Launch": (LAUNCHES[0], "Pending:Wait"),
            "Terminate": (TERMINATIONS[0], "Terminating:Wait"),
        }[queue]
        world = aws(state, hooks=hooks) if hooks == {} else replace(aws(state), groups={})
        found = entry_of(sample(name, queue), world)
        assert found.over == {INSTANCE: "its hook is gone" if hooks == {} else "its group is gone"}
        assert found.back is None

    @pytest.mark.parametrize(
        ("state", "why"),
        [
            ("InService", "it does not wait any more, but is InService"),
            ("Terminating:Wait", "it does not wait any more, but is Terminating:Wait"),
            (None, "it is in no group any more"),
        ],
    )
    def test_a_launch_that_does_not_wait_any_more_is_left_to_reconcile(self, state: str | None, why: str) -> None:
        assert entry_of(sample(LAUNCHES[0], "Launch"), aws(state)).over == {INSTANCE: why}

    @pytest.mark.parametrize("state", ["Pending", "Warmed:Pending:Wait"])
    def test_a_launch_on_its_way_goes_back(self, state: str) -> None:
        assert entry_of(sample(LAUNCHES[0], "Launch"), aws(state)).back

    @pytest.mark.parametrize("name", [TERMINATIONS[0], "terminate-successful.json"])
    @pytest.mark.parametrize("state", ["InService", "Pending:Wait", "Warmed:Stopped"])
    def test_an_instance_that_came_back_is_not_removed(self, name: str, state: str) -> None:
        found = entry_of(sample(name, "Terminate"), aws(state))
        assert found.over == {INSTANCE: f"it does not leave any more, but is {state}"}
        assert found.back is None

    def test_what_only_the_message_knows_of_a_node_in_chef_goes_back(self) -> None:
        for own in ({"node_pattern": "web-@instance_id@"}, {"private_dns": "ip-10-0-0-7.ec2.internal"}):
            body = write_action(action(transition=Transition.TERMINATING, **own))
            assert entry_of(letter(body, "Terminate"), aws(age=10 * LIFE)).back == body

    @pytest.mark.parametrize("own", [{"account": "999999999999"}, {"region": "eu-west-1"}])
    def test_what_reconcile_of_this_stack_cannot_see_goes_back(self, own: Json) -> None:
        body = json.loads(write_action(replace(action(), **own)))
        arn = f"arn:aws:sns:{own.get('region', REGION)}:{ACCOUNT}:hooks"
        envelope = {"Type": "Notification", "TopicArn": arn, "Message": json.dumps(body)}
        assert entry_of(letter(envelope), aws(age=10 * LIFE)).back == json.dumps(envelope)

    def test_an_action_that_does_not_say_when_it_came_is_as_old_as_its_message(self) -> None:
        of = letter(write_action(replace(action(), received_at=float("inf"))), at=TEN_O_CLOCK)
        assert entry_of(of, aws("Pending:Wait", age=LIFE)).back
        assert entry_of(of, aws("Pending:Wait", age=LIFE + 1)).over

    def test_one_of_our_own_says_when_it_was_first_received(self) -> None:
        of = letter(write_action(action(received_at=TEN_O_CLOCK - HOUR)), at=TEN_O_CLOCK)
        assert entry_of(of, aws("Pending:Wait")).since == TEN_O_CLOCK - HOUR

    def test_a_message_is_never_younger_than_its_letter(self) -> None:
        of = letter({**json.loads(write_action(action())), "Time": "2027-01-01T00:00:00Z"})
        assert entry_of(of, aws("Pending:Wait")).since == of.sent_at


class TestTheGatesMessages:
    def message(self, *instance_ids: str, launched_at: float = TEN_O_CLOCK) -> GateMessage:
        waiting = tuple(Waiting(action(each), launched_at, "10.0.0.1") for each in instance_ids)
        return GateMessage(waiting, job_id=7, since=TEN_O_CLOCK, heartbeat_at=0.0, polls=3, alerted=True)

    def world(self, **states: str) -> AwsState:
        known = {each.replace("_", "-"): Membership("web", state) for each, state in states.items()}
        return replace(aws(), memberships=known)

    def test_a_message_that_is_partly_over_is_split(self) -> None:
        whole = self.message("i-a", "i-b", "i-c")
        of = letter(write_gate_message(whole), "Gate")
        found = entry_of(of, self.world(i_a="InService", i_b="Pending:Wait"))
        assert found.over == {
            "i-a": "it does not wait any more, but is InService",
            "i-c": "it is in no group any more",
        }
        assert found.back is not None
        kept = read_gate_message(Record("m", found.back, REGION, 1, 0, None))
        assert kept == replace(whole, waiting=whole.waiting[1:2])
        assert found.instances == ("i-a", "i-b", "i-c")

    def test_nothing_of_a_message_that_is_over_goes_back(self) -> None:
        of = letter(write_gate_message(self.message("i-a", "i-b", launched_at=TEN_O_CLOCK - LIFE)), "Gate")
        found = entry_of(of, self.world(i_a="Pending:Wait", i_b="Pending:Wait"))
        assert found.back is None
        assert set(found.over) == {"i-a", "i-b"}
        assert found.since == TEN_O_CLOCK - LIFE

    def test_instances_without_a_hook_are_never_over(self) -> None:
        message = self.message("i-a")
        bare = replace(message, waiting=(replace(message.waiting[0], action=action("i-a", hook=None)),))
        of = letter(write_gate_message(bare), "Gate")
        assert entry_of(of, replace(self.world(), now=TEN_O_CLOCK + 10 * LIFE)).back == of.body

    def test_a_retirement_is_split_likewise_and_as_old_as_when_cleanup_handed_it_on(self) -> None:
        going = tuple(action(each, Transition.TERMINATING) for each in ("i-a", "i-b"))
        of = letter(write_gate_message(RetireMessage(going, 7, since=TEN_O_CLOCK, heartbeat_at=0.0)), "Gate")
        found = entry_of(of, self.world(i_a="InService", i_b="Terminating:Wait"))
        assert set(found.over) == {"i-a"}
        assert found.back is not None
        kept = read_gate_message(Record("m", found.back, REGION, 1, 0, None))
        assert kept == RetireMessage(going[1:], 7, since=TEN_O_CLOCK, heartbeat_at=0.0)
        old = entry_of(of, replace(self.world(i_b="Terminating:Wait"), now=TEN_O_CLOCK + LIFE + 1))
        assert (old.back, set(old.over)) == (None, {"i-a", "i-b"})

    def test_a_watch_goes_back_however_old(self) -> None:
        message = WatchMessage((Watched(action(), TEN_O_CLOCK),), since=TEN_O_CLOCK, until=TEN_O_CLOCK + 60)
        of = letter(write_gate_message(message), "Gate")
        found = entry_of(of, aws("InService", age=10 * LIFE))
        assert (found.back, found.over) == (of.body, {})


class TestGathering:
    def launches(self, count: int, world: AwsState, **attributes: str) -> list[Entry]:
        bodies = [write_action(action(f"i-{number}")) for number in range(count)]
        return [entry_of(letter(body, **MISTAKE | attributes), world) for body in bodies]

    def test_a_hundred_of_one_cause_are_one_entry(self) -> None:
        world = replace(aws(), memberships={f"i-{each}": Membership("web", "Pending:Wait") for each in range(100)})
        entries = self.launches(100, world)
        other = entry_of(letter(write_action(action("i-x")), Error="TowerDenied", Message="no"), world)
        assert [len(each) for each in gathered([other, *entries])] == [100, 1]

    def test_causes_that_differ_in_the_instance_only_are_one(self) -> None:
        entries = [
            entry_of(
                letter(write_action(action(each)), Error="TowerRejected", Message=f"host {each} is not ours"), aws()
            )
            for each in ("i-a", "i-b")
        ]
        assert [len(each) for each in gathered(entries)] == [2]

    def test_what_becomes_of_them_keeps_entries_apart(self) -> None:
        waiting = replace(aws(), memberships={"i-0": Membership("web", "Pending:Wait")})
        assert [len(each) for each in gathered(self.launches(3, waiting))] == [2, 1]

    def test_groups_and_queues_keep_entries_apart(self) -> None:
        of = letter(write_action(action()), **MISTAKE)
        theirs = letter(write_action(replace(action(), group="db")), **MISTAKE)
        elsewhere = replace(of, queue="Terminate")
        assert len(gathered([entry_of(each, aws()) for each in (of, theirs, elsewhere)])) == 3

    def test_a_group_is_picked_out(self) -> None:
        mine = entry_of(letter(write_action(action())), aws())
        theirs = entry_of(letter(write_action(replace(action(), group="db"))), aws())
        assert about_group([mine, theirs], "db") == [theirs]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (119, "119 s"),
        (120, "2 minutes"),
        (7199, "120 minutes"),
        (60_000, "16.7 hours"),
        (172_800, "2 days"),
    ],
)
def test_durations_are_in_the_largest_unit_of_which_there_are_two(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_moments_are_in_utc() -> None:
    assert moment(TEN_O_CLOCK) == "2026-11-21 10:00 UTC"
