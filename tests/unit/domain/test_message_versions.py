"""Messages in flight while Rollcall is upgraded, or rolled back: each version reads what the other one wrote.

Below stand the reader of the version before, as it was, and messages as it wrote them.
"""

from __future__ import annotations

import json
import math
from copy import replace
from dataclasses import asdict, dataclass, fields
from typing import Any

import pytest

from rollcall.domain.actions import LifecycleAction, Result, Transition
from rollcall.domain.errors import BadEvent
from rollcall.domain.jobs import Outcome
from rollcall.domain.message_format import Record, read_action, read_gate_message, write_action, write_gate_message
from rollcall.domain.messages import GateMessage, RetireMessage, Waiting, Watched, WatchMessage
from rollcall.hosts.stint import read_stint
from unit.fakes import ACCOUNT, REGION
from unit.world import HOOK, TERMINATE_HOOK, World, token_of

NOW = 1_800_000_000.0
RECORD = Record("m7", "", REGION, 1, NOW, "handle")
ACTION_FIELDS_BEFORE = [
    "transition",
    "account",
    "region",
    "group",
    "instance_id",
    "hook",
    "token",
    "to_warm_pool",
    "retired",
    "node_pattern",
    "private_dns",
    "message_id",
    "received_at",
    "at",
    "troubled",
]
NAMES_BEFORE = {
    "failed_before": "troubled",
    "retire_job_over": "retired",
}  # of fields that have another name in the code by now
ACTION_FIELDS_ADDED = ["unanswered_since"]  # in cleanup's own messages, which the version before reads field by field
FIELDS_BEFORE = {
    GateMessage: ["waiting", "job_id", "since", "heartbeat_at", "polls", "alerted"],
    Waiting: ["action", "launched_at", "address"],
    WatchMessage: ["watched", "since", "until"],
    Watched: ["action", "launched_at", "serving"],
    RetireMessage: ["retiring", "job_id", "since", "heartbeat_at", "polls"],
}
FIELDS_ADDED = {
    GateMessage: {"lost_jobs", "relaunch_at", "cancel_at", "stuck_job"},
    Waiting: {"stint_since", "unanswered_since", "check_states"},
    WatchMessage: set[str](),
    Watched: set[str](),
    RetireMessage: {"unanswered_since", "lost_jobs", "relaunch_at"},
}


# The reader of the version before


@dataclass(frozen=True)
class ActionBefore:
    """Its fields, and no others: an unknown one is a TypeError."""

    transition: Transition
    account: str
    region: str
    group: str
    instance_id: str
    hook: str | None = None
    token: str | None = None
    to_warm_pool: bool = False
    retired: bool = False
    node_pattern: str = ""
    private_dns: str = ""
    message_id: str = ""
    received_at: float = math.inf
    at: float = math.inf
    troubled: bool = False


def action_before(each: dict[str, Any]) -> ActionBefore:
    known = {**each, "transition": Transition(each["transition"])}
    if known.get("received_at") is None:
        known["received_at"] = math.inf
    if known.get("at") is None:
        known["at"] = RECORD.first_received_at
    known["troubled"] = known.get("troubled") is True
    return ActionBefore(**known)


def read_before(body: dict[str, Any]) -> tuple[list[ActionBefore], dict[str, Any]]:
    """The actions of a message, and what else it says."""
    if "watched" in body:
        return [action_before(each["action"]) for each in body["watched"]], {
            "launched_at": [float(each["launched_at"]) for each in body["watched"]],
            "serving": [None if each["serving"] is None else bool(each["serving"]) for each in body["watched"]],
            "since": float(body["since"]),
            "until": float(body["until"]),
        }
    job_id = None if body["job_id"] is None else int(body["job_id"])
    said = {"since": float(body["since"]), "heartbeat_at": float(body["heartbeat_at"]), "polls": int(body["polls"])}
    if "retiring" in body:
        return [action_before(each) for each in body["retiring"]], said | {"job_id": job_id}
    return [action_before(each["action"]) for each in body["waiting"]], said | {
        "job_id": job_id,
        "launched_at": [float(each["launched_at"]) for each in body["waiting"]],
        "address": [str(each["address"]) for each in body["waiting"]],
        "alerted": bool(body["alerted"]),
    }


# What it wrote

ACTION: dict[str, Any] = {
    "transition": "autoscaling:EC2_INSTANCE_LAUNCHING",
    "account": ACCOUNT,
    "region": REGION,
    "group": "web",
    "instance_id": "i-a",
    "hook": HOOK,
    "token": token_of("i-a"),
    "to_warm_pool": False,
    "retired": False,
    "node_pattern": "",
    "private_dns": "",
    "message_id": "m1",
    "received_at": NOW - 5,
    "at": NOW - 6,
    "troubled": False,
}
LEAVING = ACTION | {"transition": "autoscaling:EC2_INSTANCE_TERMINATING", "hook": TERMINATE_HOOK}
GATE: dict[str, Any] = {
    "waiting": [{"action": ACTION, "launched_at": NOW - 60, "address": "10.0.0.7"}],
    "job_id": 7,
    "since": NOW - 30,
    "heartbeat_at": NOW - 30,
    "polls": 3,
    "alerted": True,
}
WATCH: dict[str, Any] = {
    "watched": [{"action": ACTION, "launched_at": NOW - 60, "serving": None}],
    "since": NOW,
    "until": NOW + 300,
}
RETIRE: dict[str, Any] = {"retiring": [LEAVING], "job_id": None, "since": NOW, "heartbeat_at": 0.0, "polls": 0}
LAUNCHED = LifecycleAction(
    Transition.LAUNCHING,
    ACCOUNT,
    REGION,
    "web",
    "i-a",
    HOOK,
    token_of("i-a"),
    message_id="m1",
    received_at=NOW - 5,
    at=NOW - 6,
)


def read(body: dict[str, Any]) -> GateMessage | WatchMessage | RetireMessage:
    return read_gate_message(replace(RECORD, body=json.dumps(body)))


def test_an_action_inside_a_gate_message_has_exactly_the_fields_that_it_had() -> None:
    # The version before refuses a message for an unknown one of these.
    names = [NAMES_BEFORE.get(each.name, each.name) for each in fields(LifecycleAction)]
    assert names == ACTION_FIELDS_BEFORE + ACTION_FIELDS_ADDED
    action = replace(LAUNCHED, unanswered_since=NOW)
    message = GateMessage((Waiting(action, NOW, "10.0.0.7", NOW, NOW),), 7, NOW, NOW)
    assert list(json.loads(write_gate_message(message))["waiting"][0]["action"]) == ACTION_FIELDS_BEFORE
    leaving = RetireMessage((action,), 7, NOW, NOW, unanswered_since=NOW)
    assert list(json.loads(write_gate_message(leaving))["retiring"][0]) == ACTION_FIELDS_BEFORE


@pytest.mark.parametrize("kind", FIELDS_BEFORE)
def test_fields_are_only_added_to_the_messages_around_it(kind: Any) -> None:
    now = list(kind._fields)
    assert [each for each in now if each not in FIELDS_ADDED[kind]] == FIELDS_BEFORE[kind]
    assert set(now) - set(FIELDS_BEFORE[kind]) == FIELDS_ADDED[kind]


def test_a_message_says_of_its_checks_only_what_one_of_them_keeps() -> None:
    waiting = Waiting(LAUNCHED, NOW, "10.0.0.7", NOW)
    message = GateMessage((waiting,), 7, NOW, NOW)
    [member] = json.loads(write_gate_message(message))["waiting"]
    assert list(member) == ["action", "launched_at", "address", "stint_since", "unanswered_since"]
    kept = replace(message, waiting=(replace(waiting, check_states=(("tcp:22", "r-1"),)),))
    [member] = json.loads(write_gate_message(kept))["waiting"]
    assert member.pop("check_states") == {"tcp:22": "r-1"}
    assert read_before(json.loads(write_gate_message(kept))) == read_before(json.loads(write_gate_message(message)))


@pytest.mark.parametrize("known", [True, False])
def test_the_version_before_reads_a_gate_message_of_this_one(known: bool) -> None:
    since, job_id = (NOW - 20, 7) if known else (None, None)
    action = LAUNCHED if known else replace(LAUNCHED, received_at=math.inf, at=math.inf, hook=None, token=None)
    action = replace(action, failed_before=known)
    waiting = Waiting(action, NOW - 60, "10.0.0.7", stint_since=since, unanswered_since=since)
    message = GateMessage(
        (waiting,), job_id, NOW - 30, NOW - 10, polls=3, alerted=known, lost_jobs=2, relaunch_at=NOW, cancel_at=NOW
    )
    [read], said = read_before(json.loads(write_gate_message(message)))
    sent = {
        NAMES_BEFORE.get(name, name): value for name, value in asdict(action).items() if name not in ACTION_FIELDS_ADDED
    }
    assert read == ActionBefore(**(sent if known else sent | {"at": NOW}))
    assert said == {
        "job_id": job_id,
        "launched_at": [NOW - 60],
        "address": ["10.0.0.7"],
        "since": NOW - 30,
        "heartbeat_at": NOW - 10,
        "polls": 3,
        "alerted": known,
    }


def test_the_version_before_reads_messages_of_who_is_watched_and_who_leaves() -> None:
    watch = WatchMessage((Watched(LAUNCHED, NOW - 60, True),), NOW, NOW + 300)
    [action], said = read_before(json.loads(write_gate_message(watch)))
    assert (action.instance_id, said["serving"], said["until"]) == ("i-a", [True], NOW + 300)
    leaving = RetireMessage(
        (LAUNCHED,), None, NOW, NOW - 5, polls=2, unanswered_since=NOW, lost_jobs=2, relaunch_at=NOW
    )
    [action], said = read_before(json.loads(write_gate_message(leaving)))
    assert said == {"job_id": None, "since": NOW, "heartbeat_at": NOW - 5, "polls": 2}


def test_a_gate_message_of_the_version_before_is_read_and_knows_no_stint() -> None:
    assert read(GATE) == GateMessage(
        (Waiting(LAUNCHED, NOW - 60, "10.0.0.7", None, None),), 7, NOW - 30, NOW - 30, 3, alerted=True, lost_jobs=0
    )


@pytest.mark.parametrize("failed", [True, False])
def test_that_a_message_of_the_version_before_failed_is_read_under_its_name_there(failed: bool) -> None:
    message = read({**RETIRE, "retiring": [{**LEAVING, "troubled": failed}]})
    assert isinstance(message, RetireMessage)
    assert [each.failed_before for each in message.retiring] == [failed]


def test_messages_of_the_version_before_of_who_is_watched_and_who_leaves_are_read() -> None:
    assert read(WATCH) == WatchMessage((Watched(LAUNCHED, NOW - 60, None),), NOW, NOW + 300)
    leaving = replace(LAUNCHED, transition=Transition.TERMINATING, hook=TERMINATE_HOOK)
    assert read(RETIRE) == RetireMessage((leaving,), None, NOW, 0.0, 0, None)


@pytest.mark.parametrize("body", [GATE, WATCH, RETIRE])
def test_fields_of_a_version_to_come_are_passed_over_at_every_level(body: dict[str, Any]) -> None:
    [name] = {"waiting", "watched", "retiring"} & body.keys()
    [member] = body[name]
    later = {**member, "later": 1} | ({"action": {**member["action"], "later": 1}} if "action" in member else {})
    assert read({**body, name: [later], "later": {"x": 1}}) == read(body)


@pytest.mark.parametrize("wrong", [{"stint_since": "soon"}, {"stint_since": []}, {"unanswered_since": {}}])
def test_a_time_that_is_none_is_not_passed_over(wrong: dict[str, Any]) -> None:
    [member] = GATE["waiting"]
    with pytest.raises(BadEvent):
        read(GATE | {"waiting": [member | wrong]})


@pytest.mark.parametrize("wrong", ["r-1", ["r-1"], {"tcp:22": 1}, {"tcp:22": ""}, {"": "r-1"}, {"tcp:22": "x" * 257}])
def test_what_no_check_can_have_kept_is_not_passed_over(wrong: object) -> None:
    [member] = GATE["waiting"]
    with pytest.raises(BadEvent, match=r"check_states|tcp:22"):
        read(GATE | {"waiting": [member | {"check_states": wrong}]})


def test_what_is_queued_again_is_read_as_it_was_written() -> None:
    action = replace(LAUNCHED, token=None, message_id="")
    assert read_action(replace(RECORD, id="", body=write_action(action))) == action


# Work in flight across an upgrade


def test_who_was_registered_before_the_upgrade_is_let_in_by_the_job_that_was_launched_then(world: World) -> None:
    action = world.launching("i-a")
    host = world.tower.add_host(world.inventory, "i-a", variables={"rollcall": {"group": "web", "instance_id": "i-a"}})
    job = world.tower.add_job(world.template, world.inventory, "i-a")
    message = GateMessage((Waiting(action, 0.0, "10.0.0.7"),), job.id, world.clock.now, world.clock.now)
    world.clock.advance(60)
    world.tower.end_job(job.id, {"i-a": Outcome.OK})
    world.evaluate_one(message)
    assert world.fleet.completed == {action: Result.CONTINUE}
    assert read_stint(world.tower.hosts[host.id].variables) is None


def test_a_job_from_before_the_host_of_a_version_without_stints_was_made_lets_nobody_in(world: World) -> None:
    action = world.launching("i-a")
    job = world.tower.add_job(world.template, world.inventory, "i-a")
    world.tower.end_job(job.id, {"i-a": Outcome.OK})
    world.clock.advance(60)
    world.tower.add_host(world.inventory, "i-a", variables={"rollcall": {"group": "web", "instance_id": "i-a"}})
    message = GateMessage((Waiting(action, 0.0, "10.0.0.7"),), job.id, world.clock.now, world.clock.now)
    world.evaluate_one(message)
    assert not world.fleet.completed
