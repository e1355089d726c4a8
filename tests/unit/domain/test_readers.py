"""Whatever arrives ends in the taxonomy; and what a reader accepts, whatever comes after it can work on.

All readers of what comes from outside, but for those of Tower's answers.
"""

from __future__ import annotations

import base64
import copy
import json
from copy import replace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rollcall.alerting.history import with_ending, with_occurrence
from rollcall.alerting.incident import Ending, Incident, NotificationKind, Occurrence
from rollcall.alerting.settings import read_alert_settings
from rollcall.alerting.sources import REASON_MAX, TEXT_MAX, read_message
from rollcall.alerting.store import write_incident
from rollcall.alerting.wording import notification_of
from rollcall.checks.registry import read_group_settings
from rollcall.chef.client import Chef, read_chef_credentials
from rollcall.domain.actions import LifecycleAction
from rollcall.domain.aws_text import ACCOUNT, CALL_BYTES, GROUP_NAME, HOOK_NAME, INSTANCE_ID, REGION, TOKEN
from rollcall.domain.errors import BadEvent, BadSettings, RollcallError
from rollcall.domain.groups import Group
from rollcall.domain.json_input import MOMENT_MAX
from rollcall.domain.message_format import (
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
from rollcall.domain.messages import GateMessage, RetireMessage
from rollcall.domain.settings import names_retire_template
from rollcall.hosts.ownership import is_copy, marker_of
from rollcall.hosts.stint import rested_since, stint_of
from rollcall.hosts.user_data import MAX_VARIABLES, UnusableUserData, read_user_data
from rollcall.hosts.variables import job_owed_since
from rollcall.tower.credentials import read_credentials
from unit.chef.test_answers import URL
from unit.chef.test_secret import PEM
from unit.wire import ODD_HEADERS, Answer, Wire
from unit.world import World, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SAMPLES = Path(__file__).parents[3] / "events"
INVENTED = hypothesis_settings(
    max_examples=3 * hypothesis_settings().max_examples, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ODD_TEXTS = ["", "\0", "\ud800", "i-a", "i-" + "0" * 18, "x" * 300, "ö" * 256, "1" * 36, "us-east-1", "123456789012"]
ODD_NUMBERS = [0, -1, 2**31, 2**63, 10**400, 1e300, -1e300, float("inf"), float("nan"), True]
ODD_TIMES = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-21T10:00:00", "2026-11-21T10:00:00Z"]
ODD_VALUES: list[object] = [*ODD_TEXTS, *ODD_NUMBERS, None, [], [1], {}, {"a": {}}]
ANYTHING = st.recursive(
    st.none() | st.sampled_from([*ODD_TEXTS, *ODD_NUMBERS, *ODD_TIMES]) | st.text(max_size=5) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NO_JSON = ["", "null", "[]", "7", '"x"', "{", "{}", "\ufeff{}", "NaN", "[" * 100_000, '{"a":' * 100_000, "1" * 10_000]


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all that is in a JSON value, and to itself."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inside for place in places(each, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], new: object, *, gone: bool) -> Any:
    """A JSON value in which something else is at a place, or nothing."""
    if not path:
        return new
    value = copy.deepcopy(value)
    here = value
    for key in path[:-1]:
        here = here[key]
    if gone:
        del here[path[-1]]
    else:
        here[path[-1]] = new
    return value


@st.composite
def spoilt(draw: st.DrawFn, samples: list[Any]) -> Any:
    """One of the samples with up to three odd things in it."""
    value = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(value)[1:] or [()]))
        value = changed(value, path, draw(ANYTHING), gone=draw(st.booleans()))
    return value


def events() -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in SAMPLES.glob("*.json")}


def bodies() -> dict[str, Any]:
    """The bodies of all samples, and the messages in those that came through SNS."""
    whole = {
        f"{name}-{number}": json.loads(raw["body"])
        for name, event in events().items()
        for number, raw in enumerate(event.get("Records", ()))
        if raw["body"].startswith("{")
    }
    announced = {path.stem: json.loads(path.read_text()) for path in (SAMPLES / "announced").glob("*.json")}
    return whole | announced


def record(body: object) -> Record:
    return Record("m0", body if isinstance(body, str) else json.dumps(body), "us-east-1", 1, 1.0, "handle")


def texts_of(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for key, each in value.items() for text in (*texts_of(key), *texts_of(each))]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [text for each in value for text in texts_of(each)]
    return [value] if isinstance(value, str) else []


def require_carried(value: object) -> None:
    """All text can be encoded, and stored."""
    for text in texts_of(value):
        text.encode()
        assert "\0" not in text


def require_showable(error: RollcallError) -> None:
    """It can be logged, stored with its message, and read by a person."""
    str(error).encode()
    assert len(str(error)) < 2000


def require_workable(action: LifecycleAction) -> None:
    """What every stage takes for granted of an action: it may share any call, and be sent on."""
    require_carried(asdict(action))
    assert ACCOUNT.allows(action.account)
    assert REGION.allows(action.region) or not action.region
    assert GROUP_NAME.allows(action.group)
    assert INSTANCE_ID.allows(action.instance_id)
    assert action.hook is None or HOOK_NAME.allows(action.hook)
    assert action.token is None or (action.hook and TOKEN.allows(action.token))
    assert all(0 <= each <= MOMENT_MAX or each == float("inf") for each in (action.at, action.received_at))
    again = (
        read_action(Record("m0", write_action(action), action.region, 1, 1.0, "handle")) if action.region else action
    )
    assert again == action


def work_on_message(body: object) -> None:
    for read in (read_action, read_gate_message, read_message):
        try:
            message = read(record(body))
        except BadEvent as error:
            require_showable(error)
            continue
        if isinstance(message, LifecycleAction):
            require_workable(message)
        elif isinstance(message, Occurrence | Ending):
            work_on_alert(message)
        elif message is not None:
            for action in message.retiring if isinstance(message, RetireMessage) else actions_of(message):
                require_workable(action)
            require_carried(whole(message))
            assert read_gate_message(record(write_gate_message(message))) == message
            assert all(len(text) <= CALL_BYTES for _, text in written(message))


def actions_of(message: Any) -> list[LifecycleAction]:
    return [each.action for each in (message.waiting if isinstance(message, GateMessage) else message.watched)]


ALERTING = read_alert_settings(
    {
        "ACCOUNT_ID": "123456789012",
        "AWS_REGION": "us-east-1",
        "STACK_NAME": "rollcall",
        "TOLD_TABLE": "known",
        "ALERT_AFTER": "600",
        "LOG_GROUPS": "a b",
        "DEAD_LETTER_QUEUE_URL": "https://queue.example.com/dead",
        "PAGERDUTY_SECRET": "pagerduty",
        "SLACK_SECRET": "slack",
    }
)


def work_on_alert(message: Occurrence | Ending) -> None:
    """It becomes part of an incident, which is kept and made known."""
    require_carried(asdict(message))
    assert (
        max(map(len, texts_of({key: value for key, value in asdict(message).items() if key != "reason"}))) <= TEXT_MAX
    )
    if isinstance(message, Occurrence):
        assert len(message.reason) <= REASON_MAX
        incident = with_occurrence(Incident(message.cause), message)
    else:
        incident = with_ending(Incident(message.cause), message)
    write_incident(incident).encode()
    json.dumps(asdict(notification_of(incident, NotificationKind.OPEN, ALERTING)))


@INVENTED
@given(spoilt([*bodies().values()]) | ANYTHING)
def test_a_message_is_read_or_a_bad_event(body: object) -> None:
    work_on_message(json.dumps(body))


@INVENTED
@given(st.text() | st.sampled_from([json.dumps(each) for each in bodies().values()]).flatmap(lambda text: cut(text)))
def test_a_text_is_read_or_a_bad_event(text: str) -> None:
    work_on_message(text)


def cut(text: str) -> st.SearchStrategy[str]:
    """A text without a part of it."""
    ends = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))
    return ends.map(lambda each: text[: min(each)] + text[max(each) :])


@pytest.mark.parametrize("text", NO_JSON, ids=lambda text: ascii(text)[:20])
def test_a_text_that_is_no_message_is_a_bad_event(text: str) -> None:
    for read in (read_action, read_gate_message, read_message):
        with pytest.raises(BadEvent):
            read(record(text))


def test_every_sample_is_read_by_somebody() -> None:
    for body in bodies().values():
        work_on_message(body)


@INVENTED
@given(spoilt([*events().values()]) | ANYTHING)
def test_an_event_is_a_batch_a_request_or_a_bad_event(event: object) -> None:
    for read in (read_run_request, read_examination_request):
        try:
            request = read(event)
        except BadEvent as error:
            require_showable(error)
        else:
            require_carried(request._asdict())
    try:
        records = read_records(event)
    except BadEvent as error:
        require_showable(error)
        return
    for each in records:
        assert 1 <= len(each.id) <= 256
        assert 0 <= each.first_received_at <= MOMENT_MAX
        try:
            message = read_action(each)
        except BadEvent:
            continue
        if message:
            require_workable(message)


# What a person, or another inventory source, made of a host's variables

HOST_VARIABLES = {
    "ansible_host": "10.0.0.7",
    "ec2": {"private_ip": "10.0.0.7", "public_ip": "", "vpc": "vpc-1", "tags": {"Name": "web"}},
    "rollcall": {
        "group": "web",
        "instance_id": "i-a",
        "account": "123456789012",
        "region": "us-east-1",
        "vpc": "vpc-1",
        "inventory": 1,
        "chef": "@instance_id@",
        "job_owed_since": 1_800_000_000.0,
        "stint": {"since": 1_800_000_000.0, "token": "t", "hook": "rollcall-launch", "also": {"second": "u"}},
        "resting": {"since": 1_800_000_000.0, "enabled": True},
    },
}


def with_host(variables: Mapping[str, object]) -> World:
    """An installation whose instance i-a, which serves at 10.0.0.7, has a host with these variables."""
    world = World()
    world.tower.add_template("retire")
    world.group("web", retire_job_template="retire")
    world.serving("i-a", "10.0.0.7")
    host = world.host_of("i-a", "10.0.0.7")
    world.tower.hosts[host.id] = replace(host, variables=copy.deepcopy(variables))
    return world


@INVENTED
@given(spoilt([HOST_VARIABLES]).filter(lambda read: isinstance(read, dict)))
def test_whatever_stands_in_a_hosts_variables_fails_its_own_instance_alone(variables: dict[str, Any]) -> None:
    work_on_host(variables)


@pytest.mark.parametrize("place", places(HOST_VARIABLES)[1:], ids=lambda place: ".".join(place))
def test_what_is_odd_in_one_place_of_a_hosts_variables_fails_its_own_instance_alone(place: tuple[Any, ...]) -> None:
    for odd in ODD_VALUES:
        work_on_host(changed(HOST_VARIABLES, place, odd, gone=False))


def work_on_host(variables: dict[str, Any]) -> None:
    """What reads a host's marker gives nothing odd, and what works on a host fails its instance, and no other."""
    [host] = with_host(variables).tower.hosts.values()
    is_copy(host)
    marker_of(host, "123456789012", "us-east-1")
    for moment in (stint_of(host).since, rested_since(variables), job_owed_since(variables)):
        assert moment is None or 0 <= moment <= MOMENT_MAX
    for work in (launch_again, reconcile, retire):
        for instance_id, error in work(with_host(variables)):
            assert instance_id != "i-b"
            assert isinstance(error, RollcallError)
            require_showable(error)


def launch_again(world: World) -> Iterator[tuple[str, Exception]]:
    """What fails in a batch of register's with the host's instance and another one."""
    other = world.launching("i-b")
    world.serving("i-b", "10.0.0.8", state="Pending:Wait")
    for report in world.register(world.launching("i-a"), other):
        if report.error:
            yield report.action.instance_id, report.error


def reconcile(world: World) -> Iterator[tuple[str, Exception]]:
    """What fails in a run."""
    yield from world.reconcile(force=True).errors.items()


def retire(world: World) -> Iterator[tuple[str, Exception]]:
    """What fails in a batch of cleanup's with the host's instance, and in the round that launches its retire job."""
    cleaned = world.clean_up(world.terminating("i-a"))
    rounds = world.retire(*(message for message, _ in world.queues.retire_messages()))
    for report in (*cleaned, *(report for each in rounds for report in each.reports)):
        if report.error:
            yield report.action.instance_id, report.error
    for each in rounds:
        if each.error:
            yield "i-a", each.error


# What users write: tags, user data, secrets

TAGS = {
    "rollcall:inventory": "prod",
    "rollcall:groups": "a b",
    "rollcall:job-template": "provision",
    "rollcall:gate": "job ec2 elb tcp:22 http:80/health",
    "rollcall:timeout": "600",
    "rollcall:on-failure": "hold",
    "rollcall:address": "public",
    "rollcall:watch": "60",
    "rollcall:user-data": "true",
    "rollcall:chef": "web-@instance_id@",
    "rollcall:retire-job-template": "retire",
    "rollcall:released": "2026-11-21T10:00:00Z",
}
TAG_VALUES = st.text(max_size=256) | st.sampled_from(
    [
        *ODD_TEXTS,
        *ODD_TIMES,
        "9" * 256,
        "\u0661",
        "tcp:99999",
        "tcp:\u0661",
        "http:0/",
        "job job",
        "elb:",
        "@instance_id@",
    ]
)


@INVENTED
@given(st.dictionaries(st.sampled_from([*TAGS]), TAG_VALUES, max_size=4))
def test_tags_are_settings_or_bad_settings(tags: dict[str, str]) -> None:
    group = Group("web", TAGS | tags, {})
    names_retire_template(group)
    try:
        read = read_group_settings(group)
    except BadSettings as error:
        require_showable(error)
    else:
        assert read
        assert read.inventory
        assert 1 <= read.timeout <= 172_800
        assert 0 <= read.released_at <= MOMENT_MAX * 10


@INVENTED
@given(
    st.text()
    | st.binary().map(lambda data: data.decode("latin-1"))
    | (spoilt([{"rollcall": {"vars": {"a": 1, "b": ["c"]}, "groups": ["web"]}}]) | ANYTHING).map(json.dumps)
)
def test_user_data_is_followed_or_unusable(text: str) -> None:
    for each in (text, base64.b64encode(text.encode(errors="replace")).decode()):
        try:
            asked = read_user_data(each)
        except UnusableUserData:
            continue
        require_carried({**asked.variables})
        require_carried(asked.groups)
        json.dumps({**asked.variables}, allow_nan=False).encode()
        assert len(json.dumps({**asked.variables})) <= MAX_VARIABLES


TOWER_SECRET = {"token": "abc", "ca_bundle": None}
CHEF_SECRET = {"organization_url": URL, "user": "rollcall", "key": PEM, "ca_bundle": None}
SECRETS = (
    (spoilt([TOWER_SECRET, CHEF_SECRET]) | ANYTHING).map(json.dumps)
    | st.text()
    | st.sampled_from([*NO_JSON, "{" + PEM])
)


@INVENTED
@given(SECRETS)
def test_a_secret_holds_credentials_or_bad_settings(text: str) -> None:
    try:
        credentials = read_credentials(text, "tower")
    except BadSettings as error:
        require_showable(error)
    else:
        credentials.token.encode("latin-1")
        assert credentials.ca_bundle is None or isinstance(credentials.ca_bundle, str)
    try:
        chef_credentials = read_chef_credentials(text, "chef")
    except BadSettings as error:
        require_showable(error)
    else:
        chef_credentials.user.encode("latin-1")
        chef_credentials.organization_url.encode()
        assert chef_credentials.ca_bundle is None or isinstance(chef_credentials.ca_bundle, str)


# What Chef answers

CREDENTIALS = read_chef_credentials(json.dumps(CHEF_SECRET), "chef")
NODE = {"name": "i-a", "instance_id": "i-a", "account": "123456789012", "region": "us-east-1", "seen_at": 1.5}
ASKED: dict[str, tuple[Callable[[Chef], object], Any]] = {
    "node_names": (lambda chef: chef.node_names(), {"i-a": f"{URL}/nodes/i-a"}),
    "nodes": (lambda chef: chef.nodes(["i-a"]), {"total": 1, "start": 0, "rows": [{"url": URL, "data": NODE}]}),
    "delete_node": (lambda chef: chef.delete_node("i-a"), {"name": "i-a"}),
    "delete_client": (lambda chef: chef.delete_client("i-a"), {"error": ["Cannot load client i-a"]}),
}


@pytest.mark.parametrize("name", ASKED)
@INVENTED
@given(data=st.data())
def test_an_answer_of_chef_is_read_or_an_error_of_ours(monkeypatch: pytest.MonkeyPatch, name: str, data: Any) -> None:
    ask, sample = ASKED[name]
    body = data.draw(
        (spoilt([sample]) | ANYTHING).map(json.dumps) | st.sampled_from(NO_JSON) | st.just(json.dumps(sample))
    )
    status = data.draw(st.sampled_from([200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 429, 500, 503]))
    headers = data.draw(ODD_HEADERS)
    with monkeypatch.context() as patch:
        wire = Wire().install(patch)
        wire.by_request = lambda asked: Answer(status, body, headers)
        chef = Chef(lambda refresh: CREDENTIALS)
        try:
            answer = ask(chef)
        except RollcallError:
            return
    for node in answer.values() if isinstance(answer, dict) else ():
        assert node.seen_at is None or 0 <= node.seen_at <= MOMENT_MAX
