"""What `rollcall redrive` shows, sends back, leaves to reconcile and deletes, on moto's SQS; and its exit codes."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from rollcall.aws.queues import Queues
from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.errors import Throttled
from rollcall.domain.message_format import Record, write_action
from rollcall_cli.dead_letters import queues as queues_module
from rollcall_cli.dead_letters import redrive as redrive_module
from rollcall_cli.dead_letters.letters import DeadLetter, Entry
from rollcall_cli.dead_letters.queues import (
    BYTES_PER_CALL,
    EMPTY_POLLS,
    HELD,
    Contents,
    DeadLetterQueue,
    DeadLetterQueues,
    in_batches,
)
from rollcall_cli.running import NotRun
from rollcall_cli.stack import QUEUE
from unit.cli import commands
from unit.fakes import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

type Json = dict[str, Any]

STACK = "rollcall"
QUEUES = ("Alert", "Launch", "Gate", "Terminate")


@dataclass
class Reconcile:
    """Stands in for the stack's function. asked: what it was asked for. unsettled: what it says of some instances.

    unanswered: those that it says nothing of; left_out: how many of each kind it had no room for.
    """

    asked: list[Json] = field(default_factory=list)
    unsettled: dict[str, str] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    left_out: dict[str, int] = field(default_factory=dict)
    silent: bool = False
    fails: Exception | None = None

    def __call__(self, stack: str, function: str, request: Json) -> Json:
        assert (stack, function) == (STACK, "ReconcileFunction")
        self.asked.append(request)
        if self.fails:
            raise self.fails
        if self.silent:
            return {}
        return {
            "instances": {
                each: {"settled": each not in self.unsettled, "reason": self.unsettled.get(each, "removed: it is gone")}
                for each in request["instances"]
                if each not in self.unanswered
            },
            "left_out": self.left_out,
        }


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """SQS with the queues of a stack, and the group "web" whose one instance serves."""
    monkeypatch.setattr(queues_module, "RECEIVE_WAIT", 0)
    with mock_aws():
        sqs = boto3.client("sqs", region_name=REGION)
        names = [f"{name}{kind}" for name in QUEUES for kind in ("Queue", "DeadLetterQueue")]
        urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in names}
        monkeypatch.setattr(queues_module, "resources_of", lambda _: {QUEUE: urls})
        yield sqs


@pytest.fixture
def reconcile(monkeypatch: pytest.MonkeyPatch) -> Reconcile:
    """The stack's reconcile, which settles everything."""
    stand_in = Reconcile()
    monkeypatch.setattr(redrive_module, "invoke", stand_in)
    return stand_in


@pytest.fixture
def run(aws: Any, reconcile: Reconcile) -> Callable[..., tuple[int, str, str]]:
    """Runs the command: its exit code, and what it printed."""

    def run(*options: str) -> tuple[int, str, str]:
        done = commands.run("redrive", *options)
        return done.exit_code, done.stdout, done.stderr

    return run


type Run = Callable[..., tuple[int, str, str]]


@cache
def url(name: str) -> str:
    """Of a queue that is the same in every test."""
    return str(boto3.client("sqs", region_name=REGION).get_queue_url(QueueName=name)["QueueUrl"])


def action(instance_id: str, *, hook: str | None = None, **own: Any) -> LifecycleAction:
    """A termination that no hook waits for: it goes back whatever AWS says."""
    way = own.pop("transition", Transition.TERMINATING)
    return LifecycleAction(way, ACCOUNT, REGION, own.pop("group", "web"), instance_id, hook)


def move_to_dead_letters(
    queue: str, *bodies: str, words: str = "tag rollcall:gate is 'icmp'", error: str = "BadSettings"
) -> None:
    """As a function sets messages aside."""
    kind = type(error, (Exception,), {})
    queues = Queues()
    for number, body in enumerate(bodies):
        queues.move_to_dead_letters(
            url(f"{queue}DeadLetterQueue"), Record(str(number), body, REGION, 9, 0, "r"), kind(words)
        )


def over(instance_id: str) -> str:
    """A launch whose group is gone."""
    return write_action(action(instance_id, hook="rollcall-launch", transition=Transition.LAUNCHING, group="gone"))


def going(instance_id: str, group: str = "web") -> str:
    return write_action(action(instance_id, group=group))


def inside(aws: Any, name: str) -> list[Json]:
    """What anybody would receive of a queue now, given back at once."""
    found: list[Json] = []
    while messages := aws.receive_message(
        QueueUrl=url(name), MaxNumberOfMessages=10, VisibilityTimeout=60, MessageAttributeNames=["All"]
    ).get("Messages"):
        found += messages
    for each in found:
        aws.change_message_visibility(QueueUrl=url(name), ReceiptHandle=each["ReceiptHandle"], VisibilityTimeout=0)
    return found


def bodies(aws: Any, name: str) -> list[str]:
    return sorted(each["Body"] for each in inside(aws, name))


class TestShowing:
    def test_empty_queues_are_all_clear(self, run: Run) -> None:
        assert run() == (0, "The dead-letter queues are empty.\n", "")

    def test_what_is_there_is_shown_in_words_and_left_as_it_is(self, run: Run, aws: Any, reconcile: Reconcile) -> None:
        move_to_dead_letters("Terminate", going("i-a"))
        move_to_dead_letters("Launch", over("i-b"), "{", words="fix the tag")
        code, output, errors = run()
        assert (code, errors) == (1, "")
        assert "TerminateDeadLetterQueue: 1 message\n" in output
        assert "termination without a hook, group web, since" in output
        assert "BadSettings: tag rollcall:gate is 'icmp'" in output
        assert "-> goes back to TerminateQueue" in output
        assert "LaunchDeadLetterQueue: 2 messages" in output
        assert "-> a reconcile of its instance takes its place: its group is gone" in output
        assert "-> stays: it cannot be read: the message is not JSON" in output
        [unread] = [each["MessageId"] for each in inside(aws, "LaunchDeadLetterQueue") if each["Body"] == "{"]
        assert f"      {{\n      rollcall redrive --delete {unread}\n" in output
        assert "Nothing was changed." in output
        assert bodies(aws, "TerminateDeadLetterQueue") == [going("i-a")]
        assert bodies(aws, "LaunchDeadLetterQueue") == sorted([over("i-b"), "{"])
        assert not inside(aws, "TerminateQueue")
        assert not reconcile.asked

    def test_a_hundred_of_one_cause_are_one_entry_with_a_count_and_a_sample(self, run: Run, aws: Any) -> None:
        move_to_dead_letters("Terminate", *(going(f"i-{number:03}") for number in range(100)))
        code, output, _ = run()
        assert code == 1
        assert "  100 x termination" in output
        assert "i-000  i-001  i-002  i-003  i-004  and 95 more" in output
        assert output.count("BadSettings") == 1
        assert len(output.splitlines()) < 10
        assert len(inside(aws, "TerminateDeadLetterQueue")) == 100

    def test_what_others_hold_is_shown_and_is_no_all_clear(self, run: Run, aws: Any) -> None:
        move_to_dead_letters("Terminate", going("i-a"))
        aws.receive_message(QueueUrl=url("TerminateDeadLetterQueue"), VisibilityTimeout=600)
        code, output, _ = run()
        assert code == 1
        assert "TerminateDeadLetterQueue: about 1 message more that another process has received" in output

    def test_a_queue_is_picked_out_by_either_name(self, run: Run) -> None:
        move_to_dead_letters("Terminate", going("i-a"))
        move_to_dead_letters("Launch", over("i-b"))
        for name in ("Terminate", "TerminateQueue", "TerminateDeadLetterQueue"):
            _, output, _ = run("--queue", name)
            assert "i-a" in output
            assert "i-b" not in output

    def test_a_group_is_picked_out(self, run: Run, aws: Any) -> None:
        move_to_dead_letters("Terminate", going("i-a"), going("i-b", "db"))
        _, output, _ = run("--group", "db")
        assert "i-b" in output
        assert "i-a" not in output
        assert run("--group", "db", "--send")[0] == 0
        assert bodies(aws, "TerminateDeadLetterQueue") == [going("i-a")]

    def test_every_message_is_there_as_json(self, run: Run) -> None:
        move_to_dead_letters("Terminate", going("i-a"))
        move_to_dead_letters("Launch", over("i-b"), "{")
        code, output, _ = run("--json")
        assert code == 1
        said = json.loads(output)
        assert {each["queue"]: (each["received"], each["held_by_others"]) for each in said["queues"]} == {
            "AlertDeadLetterQueue": (0, 0),
            "LaunchDeadLetterQueue": (2, 0),
            "GateDeadLetterQueue": (0, 0),
            "TerminateDeadLetterQueue": (1, 0),
        }
        by_body = {each["body"]: each for each in said["messages"]}
        assert by_body[going("i-a")]["goes_back"]
        assert by_body[going("i-a")]["instances"] == ["i-a"]
        assert by_body[over("i-b")]["reconciled"] == {"i-b": "its group is gone"}
        assert by_body["{"]["stays"]
        assert by_body["{"]["error"] == "BadSettings"


class TestSending:
    @pytest.mark.parametrize("options", [("--send",), ("--delete", "no-such-message")])
    def test_where_nothing_is_it_says_so(self, run: Run, options: tuple[str, ...]) -> None:
        _, output, _ = run(*options)
        assert output == "The dead-letter queues are empty.\n"

    def test_where_only_others_are_it_does_not_say_that_nothing_is_there(self, run: Run, aws: Any) -> None:
        move_to_dead_letters("Terminate", going("i-a"))
        for options in ((), ("--send",)):
            assert run("--group", "db", *options) == (0, "No message in the dead-letter queues is about it.\n", "")
        assert bodies(aws, "TerminateDeadLetterQueue") == [going("i-a")]

    def test_what_goes_back_is_in_its_queue_with_its_attributes_and_nowhere_else(self, run: Run, aws: Any) -> None:
        move_to_dead_letters("Terminate", *(going(f"i-{number:02}") for number in range(23)))
        code, output, _ = run("--send")
        assert code == 0
        assert output.endswith("23 sent back, 0 left\n")
        assert not inside(aws, "TerminateDeadLetterQueue")
        back = inside(aws, "TerminateQueue")
        assert sorted(each["Body"] for each in back) == [going(f"i-{number:02}") for number in range(23)]
        assert back[0]["MessageAttributes"]["Error"] == {"StringValue": "BadSettings", "DataType": "String"}

    def test_what_is_over_is_reconciled_in_one_run_and_then_gone(
        self, run: Run, aws: Any, reconcile: Reconcile
    ) -> None:
        move_to_dead_letters("Launch", over("i-b"), over("i-a"), over("i-a"))
        move_to_dead_letters("Terminate", going("i-c"))
        code, output, _ = run("--send")
        assert code == 0
        assert reconcile.asked == [{"instances": ["i-a", "i-b"]}]
        assert "-> settled by reconcile: removed: it is gone" in output
        assert output.endswith("1 sent back, 3 settled by reconcile, 0 left\n")
        assert not inside(aws, "LaunchDeadLetterQueue")
        assert not inside(aws, "LaunchQueue")

    def test_what_reconcile_does_not_settle_stays_with_the_reason(
        self, run: Run, aws: Any, reconcile: Reconcile
    ) -> None:
        reconcile.unsettled["i-a"] = "stopped by the breaker"
        move_to_dead_letters("Launch", over("i-a"), over("i-b"))
        code, output, _ = run("--send")
        assert code == 1
        assert "-> stays: stopped by the breaker" in output
        assert output.endswith("1 settled by reconcile, 1 left\n")
        assert bodies(aws, "LaunchDeadLetterQueue") == [over("i-a")]

    @pytest.mark.parametrize("how", ["ends in an error", "does not answer"])
    def test_a_reconcile_that_comes_to_no_answer_keeps_what_was_left_to_it_and_no_more(
        self, run: Run, aws: Any, reconcile: Reconcile, how: str
    ) -> None:
        if how == "ends in an error":
            reconcile.fails = NotRun("Reconcile ended in an error: Throttled")
        else:
            reconcile.silent = True
        move_to_dead_letters("Launch", over("i-a"))
        move_to_dead_letters("Terminate", going("i-b"))
        code, output, _ = run("--send")
        assert code == 1
        assert ("Reconcile ended in an error" if reconcile.fails else "does not answer for it") in output
        assert bodies(aws, "LaunchDeadLetterQueue") == [over("i-a")]
        assert bodies(aws, "TerminateQueue") == [going("i-b")]

    @pytest.mark.parametrize("left_out", [{}, {"instances": 1}])
    def test_those_that_an_answer_has_no_room_for_stay_and_are_to_be_sent_again(
        self, run: Run, aws: Any, reconcile: Reconcile, left_out: dict[str, int]
    ) -> None:
        reconcile.unanswered, reconcile.left_out = {"i-a"}, left_out
        move_to_dead_letters("Launch", over("i-a"), over("i-b"))
        code, output, _ = run("--send")
        assert code == 1
        remedy = "its answer has no room for more: send the rest again" if left_out else "deploy this version"
        assert f"-> stays: reconcile does not answer for it: {remedy}" in output
        assert bodies(aws, "LaunchDeadLetterQueue") == [over("i-a")]

    def test_what_cannot_be_read_stays(self, run: Run, aws: Any) -> None:
        move_to_dead_letters("Launch", "{")
        code, output, _ = run("--send")
        assert (code, bodies(aws, "LaunchDeadLetterQueue"), inside(aws, "LaunchQueue")) == (1, ["{"], [])
        assert "0 sent back" not in output
        assert output.endswith("1 left\n")
        [letter] = inside(aws, "LaunchDeadLetterQueue")
        assert "look at it, and delete it once it is known:" in output
        assert f"      {{\n      rollcall redrive --delete {letter['MessageId']}\n" in output

    def test_what_alert_could_not_read_is_not_sent_for_it_would_only_come_back(self, run: Run, aws: Any) -> None:
        move_to_dead_letters("Alert", '{"detail-type": "Work Failed"}', error="BadEvent", words="no cause")
        for options in ((), ("--send",)):
            code, output, _ = run(*options)
            [letter] = inside(aws, "AlertDeadLetterQueue")
            assert code == 1
            assert "goes back" not in output
            assert "--send" not in output, "there is nothing that it would send"
            assert f"}}\n      rollcall redrive --delete {letter['MessageId']}\n" in output
        assert not inside(aws, "AlertQueue")

    def test_a_message_that_is_split_is_sent_and_deleted_once_its_other_part_is_settled(
        self, run: Run, aws: Any, reconcile: Reconcile
    ) -> None:
        waiting = [
            {"action": {**vars_of(instance_id, hook)}, "launched_at": time.time(), "address": "10.0.0.1"}
            for instance_id, hook in (("i-over", "rollcall-launch"), ("i-bare", None))
        ]
        body = {"waiting": waiting, "job_id": 7, "since": 1.0, "heartbeat_at": 0.0, "polls": 0, "alerted": False}
        move_to_dead_letters("Gate", json.dumps(body))
        reconcile.unsettled["i-over"] = "not yet"
        assert run("--send")[0] == 1
        assert len(inside(aws, "GateDeadLetterQueue")) == 1
        [back] = bodies(aws, "GateQueue")
        assert [each["action"]["instance_id"] for each in json.loads(back)["waiting"]] == ["i-bare"]
        reconcile.unsettled.clear()
        assert run("--send")[0] == 0
        assert bodies(aws, "GateQueue") == [back, back]
        assert not inside(aws, "GateDeadLetterQueue")

    def test_broken_off_between_send_and_delete_nothing_is_lost_and_little_sent_twice(
        self, run: Run, aws: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        move_to_dead_letters("Terminate", *(going(f"i-{number:02}") for number in range(25)))

        def interrupted(*_: object) -> set[str]:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(DeadLetterQueues, "delete", interrupted)
            code, _, errors = run("--send")
        assert code == 130
        assert "Nothing is lost" in errors
        assert len(inside(aws, "TerminateQueue")) == 10
        assert len(inside(aws, "TerminateDeadLetterQueue")) == 25, "all are given back at once"
        assert run("--send")[0] == 0
        assert len(inside(aws, "TerminateQueue")) == 35
        assert not inside(aws, "TerminateDeadLetterQueue")

    def test_what_aws_refuses_midway_is_an_error_and_what_was_sent_is_gone(
        self, run: Run, aws: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        move_to_dead_letters("Terminate", *(going(f"i-{number:02}") for number in range(12)))
        send, calls = DeadLetterQueues.send_back, []

        def once(*arguments: Any) -> dict[str, str]:
            calls.append(arguments)
            if len(calls) > 1:
                raise Throttled("AWS put off SendMessageBatch")
            return send(*arguments)

        monkeypatch.setattr(DeadLetterQueues, "send_back", once)
        code, _, errors = run("--send")
        assert code == 2
        assert errors.startswith("AWS put off SendMessageBatch\n")
        assert len(inside(aws, "TerminateQueue")) == 10
        assert len(inside(aws, "TerminateDeadLetterQueue")) == 2

    def test_what_the_queue_does_not_take_or_give_up_stays_and_is_shown(
        self, run: Run, aws: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        move_to_dead_letters("Terminate", going("i-a"))
        with monkeypatch.context() as patch:
            patch.setattr(
                DeadLetterQueues,
                "send_back",
                lambda _, queue, some: {some[0].letter.id: "SQS did not take it: busy"},
            )
            code, output, _ = run("--send")
        assert (code, len(inside(aws, "TerminateDeadLetterQueue"))) == (1, 1)
        assert "-> stays: SQS did not take it: busy" in output
        with monkeypatch.context() as patch:
            patch.setattr(DeadLetterQueues, "delete", lambda *_: set())
            code, output, _ = run("--send")
        assert (code, len(inside(aws, "TerminateDeadLetterQueue"))) == (1, 1)
        [letter] = inside(aws, "TerminateDeadLetterQueue")
        assert (
            f"-> stays: sent back, but SQS did not delete it: rollcall redrive --delete {letter['MessageId']}" in output
        )


class TestDeleting:
    def test_a_message_goes_only_by_its_own_id(self, run: Run, aws: Any) -> None:
        move_to_dead_letters("Launch", "{", "[")
        said = json.loads(run("--json")[1])
        [named] = [each["id"] for each in said["messages"] if each["body"] == "{"]
        code, output, _ = run("--delete", named)
        assert code == 1
        assert output.endswith("1 deleted, 1 left\n")
        assert f"--delete {named}" not in output
        assert bodies(aws, "LaunchDeadLetterQueue") == ["["]

    def test_an_id_that_is_not_there_is_shown(self, run: Run) -> None:
        code, _, errors = run("--delete", "no-such-message")
        assert code == 1
        assert "No message no-such-message is in the dead-letter queues" in errors

    def test_sending_and_deleting_are_not_one_thing(self, run: Run) -> None:
        code, output, errors = run("--send", "--delete", "x")
        assert (code, output) == (2, "")
        assert "--send and --delete exclude each other" in errors


def test_its_help_names_the_queues(run: Run) -> None:
    code, output, _ = run("--help")
    assert code == 0
    assert all(name in output for name in QUEUES)


class TestWhatCannotBeAsked:
    def test_a_stack_that_is_not_rollcalls(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            queues_module, "resources_of", lambda _: {QUEUE: {"MyQueue": "https://queue.example.com/mine"}}
        )
        code, output, errors = run("--stack", "other")
        assert (code, output) == (2, "")
        assert "stack other has no dead-letter queues, and so is not Rollcall's" in errors

    def test_a_queue_that_belongs_to_no_other_keeps_its_messages(
        self, run: Run, aws: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lone = aws.create_queue(QueueName="lone")["QueueUrl"]
        aws.send_message(QueueUrl=lone, MessageBody='{"detail-type": "Work Failed"}')
        monkeypatch.setattr(queues_module, "resources_of", lambda _: {QUEUE: {"AlertDeadLetterQueue": lone}})
        code, output, _ = run("--send")
        assert code == 1
        assert "-> stays: there is no queue to send it back to" in output

    def test_a_queue_that_is_not_there(self, run: Run) -> None:
        code, _, errors = run("--queue", "Lunch")
        assert code == 2
        assert "has no dead-letter queue 'Lunch': use one of " in errors

    def test_no_region(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        code, _, errors = run()
        assert code == 2
        assert "AWS_DEFAULT_REGION" in errors
        assert errors.count("No AWS Region is set") == 1


def vars_of(instance_id: str, hook: str | None) -> Json:
    """An action as the gate writes it."""
    return {
        "transition": Transition.LAUNCHING,
        "account": ACCOUNT,
        "region": REGION,
        "group": "gone",
        "instance_id": instance_id,
        "hook": hook,
        "token": None,
    }


def received(*handles: str) -> Json:
    """SQS's answer with these messages: the id before the slash."""
    messages = [
        {"MessageId": each.split("/")[0], "ReceiptHandle": each, "Body": "x", "Attributes": {"SentTimestamp": "1000"}}
        for each in handles
    ]
    return {"Messages": messages} if messages else {}


@pytest.mark.parametrize(("about", "empty_answers"), [(2, 1), (5, EMPTY_POLLS)])
def test_what_comes_twice_is_one_message_and_a_queue_is_empty_once_it_says_so_often_enough(
    about: int, empty_answers: int
) -> None:
    queues = DeadLetterQueues(STACK)
    queue = DeadLetterQueue("Launch", "https://queue.example.com/dead", "https://queue.example.com/launch")
    contents = Contents(queue)
    with Stubber(queues._sqs) as sqs:
        sizes = {"ApproximateNumberOfMessages": str(about), "ApproximateNumberOfMessagesNotVisible": "4"}
        sqs.add_response("get_queue_attributes", {"Attributes": sizes})
        for handles in (("a/1",), (), ("a/2", "b/1"), *[()] * empty_answers):
            asked = {"QueueUrl": queue.url, "VisibilityTimeout": HELD, "WaitTimeSeconds": 1, "MaxNumberOfMessages": 10}
            every = {"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"]}
            sqs.add_response("receive_message", received(*handles), asked | every)
        progress: list[str] = []
        queues.take(contents, progress.append)
        sqs.assert_no_pending_responses()
    assert [each.receipt_handle for each in contents.letters] == ["a/2", "b/1"], "only the newest handle is good"
    assert contents.held == 4
    assert progress[-1] == f"reading LaunchDeadLetterQueue: 2 of about {about}"


def test_one_call_sends_as_many_as_it_takes_by_number_and_by_size() -> None:
    def entry(body: str) -> Entry:
        letter = DeadLetter("Gate", "url", "m", "r", body, REGION, 0.0)
        return Entry(letter, "watch", (), (), 0.0, "", "", back=body)

    small = [entry("x")] * 23
    assert [len(each) for each in in_batches(small)] == [10, 10, 3]
    large = [entry("x" * (BYTES_PER_CALL // 3))] * 4
    assert [len(each) for each in in_batches(large)] == [2, 2]
    huge = [entry("x" * (BYTES_PER_CALL + 1))] * 2
    assert [len(each) for each in in_batches(huge)] == [1, 1]
    assert list(in_batches([])) == []
