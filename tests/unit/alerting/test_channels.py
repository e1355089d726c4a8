"""PagerDuty and Slack: what they are sent, what is sent again, what is given up, and that no key gets out."""

from __future__ import annotations

import json
import logging
import urllib.request
from collections.abc import Callable, Iterator
from copy import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from urllib3.exceptions import NewConnectionError, ReadTimeoutError

from lab.alert_channels import CLOSING, NOT_ANSWERING, ROUTING_KEY, SECTION_MAX, AlertChannels
from rollcall.alerting.channel import CONNECT_TIMEOUT, PAUSES, READ_TIMEOUT
from rollcall.alerting.incident import Incident, IncidentSeverity, Notification, NotificationKind
from rollcall.alerting.pagerduty import DEFAULT_URL, Account, PagerDuty, event, read_account
from rollcall.alerting.slack import Slack, Webhook, escape, message, read_webhook
from rollcall.alerting.wording import notification_of
from rollcall.domain.errors import BadSettings, ChannelRefused, ChannelUnavailable, NoTimeLeft, RollcallError
from rollcall.http.transport import BUSY_TRIES, RETRY_AFTER_MAX
from unit.alert_world import NOW, SETTINGS
from unit.wire import ODD_HEADERS, Answer, Wire

SECONDS = 100.0
WEBHOOK_URL = "https://hooks.slack.com/services/T0001/B0001/hush"
INCIDENT = Incident(
    "TowerUnavailable",
    reason="Tower at https://tower cannot be reached: fix <it> & wait",
    severity=IncidentSeverity.ERROR,
    count=12,
    since=NOW,
    last_at=NOW + 600,
    subjects=("web/i-0a", "web/i-0b"),
    groups=("web",),
    function="register",
    job_url="https://tower/#/jobs/playbook/7?a=1&b=2",
)
OPEN, END = (notification_of(INCIDENT, kind, SETTINGS) for kind in (NotificationKind.OPEN, NotificationKind.RESOLVE))


@pytest.fixture
def listen() -> None:
    """Lets a test open a socket on this machine."""


@pytest.fixture
def channels(listen: None) -> Iterator[AlertChannels]:
    made = AlertChannels()
    with made.serve():
        yield made


@pytest.fixture
def pagerduty(channels: AlertChannels) -> PagerDuty:
    return PagerDuty(lambda refresh: channels.pagerduty_secret(), "pagerduty")


@pytest.fixture
def slack(channels: AlertChannels) -> Slack:
    return Slack(lambda refresh: channels.slack_secret(), "slack")


# On the doubles


def test_an_alert_opens_is_added_to_and_is_resolved(pagerduty: PagerDuty, channels: AlertChannels) -> None:
    pagerduty.send(OPEN, SECONDS)
    pagerduty.send(OPEN, SECONDS)
    [alert] = channels.pagerduty.alerts()
    assert (alert.key, alert.triggers, alert.resolved) == (OPEN.key, 2, False)
    pagerduty.send(END, SECONDS)
    pagerduty.send(END, SECONDS)
    assert [each.resolved for each in channels.pagerduty.alerts()] == [True]
    pagerduty.send(OPEN, SECONDS)
    assert [each.resolved for each in channels.pagerduty.alerts()] == [True, False]


def test_people_can_read_the_alerts(pagerduty: PagerDuty, channels: AlertChannels) -> None:
    pagerduty.send(OPEN, SECONDS)
    with urllib.request.urlopen(channels.alerts_url) as answer:
        [alert] = json.load(answer)["alerts"]
    assert (alert["key"], alert["payload"]["summary"]) == (OPEN.key, channels.pagerduty.alerts()[0].payload["summary"])


def test_an_alert_says_what_is_wrong_with_whom_and_where_to_look(pagerduty: PagerDuty, channels: AlertChannels) -> None:
    pagerduty.send(OPEN, SECONDS)
    [alert] = channels.pagerduty.alerts()
    assert alert.payload["summary"] == (
        "rollcall: Tower at https://tower cannot be reached: fix <it> & wait "
        "(12 times in 10 min, 2 instances, group web)"
    )
    assert (alert.payload["source"], alert.payload["severity"]) == ("123456789012/us-east-1/rollcall", "error")
    assert (alert.payload["component"], alert.payload["group"]) == ("register", "web")
    assert alert.payload["class"] == "TowerUnavailable"
    assert alert.payload["timestamp"] == "2026-11-21T10:00:00Z"
    details = alert.payload["custom_details"]
    assert (details["count"], details["groups"], details["subjects"]) == (12, ["web"], ["web/i-0a", "web/i-0b"])
    assert (details["since"], details["last"]) == ("2026-11-21T10:00:00Z", "2026-11-21T10:10:00Z")
    assert [(each["text"], each["href"]) for each in alert.links] == [(each.text, each.url) for each in OPEN.links]
    assert channels.pagerduty.requests[0]["client"] == "Rollcall"


def test_a_message_says_the_same_to_slack_in_its_own_spelling(slack: Slack, channels: AlertChannels) -> None:
    slack.send(OPEN, SECONDS)
    [text] = channels.slack.texts()
    assert ":large_orange_circle: *rollcall, error:* Tower at https://tower cannot be reached" in text
    assert "fix &lt;it&gt; &amp; wait" in text
    assert "12 times in 10 min, 2 instances, group web (web/i-0a, web/i-0b), since 2026-11-21T10:00:00Z" in text
    assert "<https://tower/#/jobs/playbook/7?a=1&amp;b=2|Job in Tower>" in text
    assert "|Logs>" in text
    slack.send(END, SECONDS)
    assert ":white_check_mark: *rollcall, over:* Tower at" in channels.slack.texts()[1]
    assert "It was reported 12 times in 10 min" in channels.slack.texts()[1]


HUGE = replace(
    INCIDENT,
    reason="<&>" * 5000,
    groups=tuple(f"{number}{'<' * 254}" for number in range(500)),
    subjects=tuple(f"{number}{'>' * 254}" for number in range(500)),
    job_url=f"https://tower/{'x|' * 5000}",
)


@pytest.mark.parametrize("kind", NotificationKind)
def test_however_much_there_is_to_say_it_is_taken(
    pagerduty: PagerDuty, slack: Slack, channels: AlertChannels, kind: NotificationKind
) -> None:
    huge = notification_of(HUGE, kind, replace(SETTINGS, stack_name="s" * 128))
    pagerduty.send(huge, SECONDS)
    slack.send(huge, SECONDS)
    [text] = channels.slack.texts()
    assert "…" in text
    assert len(json.dumps(channels.pagerduty.requests[0])) < 512_000
    if kind == NotificationKind.OPEN:
        [alert] = channels.pagerduty.alerts()
        assert len(alert.payload["summary"]) == 1024
        assert alert.payload["summary"].endswith("…)")
        assert alert.payload["custom_details"]["subjects in all"] == "at least 500"


def test_a_message_without_a_link_that_fits_has_none() -> None:
    body = message(replace(OPEN, links=(replace(OPEN.links[0], url="https://tower/" + "x" * 5000),)))
    assert [each["type"] for each in body["blocks"]] == ["section"]


@pytest.mark.parametrize("status", [429, 503, 502, 504])
def test_what_a_channel_is_too_busy_for_is_sent_again(
    pagerduty: PagerDuty, slack: Slack, channels: AlertChannels, status: int
) -> None:
    channels.pagerduty.then(status)
    channels.slack.then(status)
    pagerduty.send(OPEN, SECONDS)
    slack.send(OPEN, SECONDS)
    assert [each.triggers for each in channels.pagerduty.alerts()] == [1]
    assert len(channels.slack.texts()) == 1
    assert (len(channels.pagerduty.requests), len(channels.slack.requests)) == (2, 2)


def test_the_doubles_refuse_what_the_real_ones_refuse(
    pagerduty: PagerDuty, slack: Slack, channels: AlertChannels
) -> None:
    with pytest.raises(ChannelRefused, match=r"PagerDuty answered 400.*dedup_key"):
        pagerduty.send(replace(OPEN, key="k" * 256), SECONDS)
    channels.pagerduty.routing_key = "another"
    with pytest.raises(BadSettings):
        pagerduty.send(OPEN, SECONDS)
    channels.webhook = "/services/gone"
    gone = Slack(lambda refresh: channels.slack_secret().replace("gone", "other"), "slack")
    with pytest.raises(ChannelRefused, match="Slack answered 404: no_service"):
        gone.send(OPEN, SECONDS)
    assert channels.slack.texts() == []


@pytest.mark.parametrize("name", ["pagerduty", "slack"])
def test_a_key_that_was_rotated_is_used_only_if_there_is_time_left(
    channels: AlertChannels, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    now = [1000.0]
    monkeypatch.setattr(f"rollcall.alerting.{name}.time", SimpleNamespace(monotonic=lambda: now[0]))

    def text(refresh: bool) -> str:
        now[0] += (SECONDS - PAUSES) * refresh
        if name == "slack":
            return channels.slack_secret() if refresh else channels.slack_secret().replace("hush", "other")
        return channels.pagerduty_secret() if refresh else channels.pagerduty_secret().replace(ROUTING_KEY, "x" * 32)

    channel = Slack(text, name) if name == "slack" else PagerDuty(text, name)
    with pytest.raises(NoTimeLeft, match="no time is left"):
        channel.send(OPEN, SECONDS)


def test_a_key_that_was_rotated_is_read_afresh(channels: AlertChannels) -> None:
    reads: list[bool] = []

    def text(refresh: bool) -> str:
        reads.append(refresh)
        return channels.pagerduty_secret().replace(ROUTING_KEY, ROUTING_KEY if refresh else "x" * 32)

    PagerDuty(text, "pagerduty").send(OPEN, SECONDS)
    assert [each.triggers for each in channels.pagerduty.alerts()] == [1]
    assert reads == [False, True]


def test_a_refused_key_that_is_still_the_same_is_not_tried_twice(pagerduty: PagerDuty, channels: AlertChannels) -> None:
    channels.pagerduty.always(400)
    with pytest.raises(ChannelRefused):
        pagerduty.send(OPEN, SECONDS)
    assert len(channels.pagerduty.requests) == 1


@pytest.mark.parametrize("away", [CLOSING, 500, 503])
def test_a_channel_that_is_away_is_unavailable(
    pagerduty: PagerDuty, slack: Slack, channels: AlertChannels, away: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urllib3.util.retry.time", Wire())  # nobody sleeps
    channels.away = away
    with pytest.raises(ChannelUnavailable, match="PagerDuty"):
        pagerduty.send(OPEN, SECONDS)
    with pytest.raises(ChannelUnavailable, match="Slack"):
        slack.send(OPEN, SECONDS)
    channels.away = None
    pagerduty.send(OPEN, SECONDS)
    assert len(channels.pagerduty.alerts()) == 1


def test_a_channel_that_does_not_answer_is_waited_for_as_long_as_there_is_time(
    slack: Slack, channels: AlertChannels
) -> None:
    channels.away = NOT_ANSWERING
    with pytest.raises(ChannelUnavailable, match=r"Slack at 127\.0\.0\.1 cannot be reached: ReadTimeout"):
        slack.send(OPEN, PAUSES + 0.5)
    channels.away = None


@pytest.mark.parametrize("seconds", [PAUSES, 0.0, -3.0])
def test_without_time_no_one_is_asked(
    pagerduty: PagerDuty, slack: Slack, channels: AlertChannels, seconds: float
) -> None:
    for channel in (pagerduty, slack):
        with pytest.raises(NoTimeLeft, match="no time is left"):
            channel.send(OPEN, seconds)
    assert channels.pagerduty.requests == channels.slack.requests == []


# On the wire

type Make = Callable[[], PagerDuty | Slack]


def make_pagerduty() -> PagerDuty:
    return PagerDuty(lambda refresh: ROUTING_KEY, "pagerduty")


def make_slack() -> Slack:
    return Slack(lambda refresh: WEBHOOK_URL, "slack")


BOTH = pytest.mark.parametrize("make", [make_pagerduty, make_slack])


@pytest.mark.parametrize(("make", "url"), [(make_pagerduty, "/v2/enqueue"), (make_slack, "/services/T0001/B0001/hush")])
def test_without_a_word_about_it_it_is_the_real_one(wire: Wire, make: Make, url: str) -> None:
    wire.then(202)
    make().send(OPEN, SECONDS)
    assert wire.calls == [f"POST {url}"]
    assert DEFAULT_URL == "https://events.pagerduty.com"


@BOTH
@pytest.mark.parametrize("status", [200, 202])
def test_a_success_is_one_request(wire: Wire, make: Make, status: int) -> None:
    wire.then(status)
    make().send(OPEN, SECONDS)
    assert len(wire.asked) == 1


@BOTH
@pytest.mark.parametrize("status", [400, 403, 404, 410, 302])
def test_what_is_refused_is_not_sent_again(wire: Wire, make: Make, status: int) -> None:
    wire.then(status, "the server's words")
    with pytest.raises(ChannelRefused, match=f"{status}: the server's words"):
        make().send(OPEN, SECONDS)
    assert len(wire.asked) == 1


@BOTH
@pytest.mark.parametrize("status", [400, 503])
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers=ODD_HEADERS)
def test_whatever_headers_a_refusal_has_it_ends_in_the_taxonomy(
    wire: Wire, make: Make, status: int, headers: dict[str, str]
) -> None:
    wire.by_request = lambda asked: Answer(status, "the server's words", headers)
    with pytest.raises((ChannelRefused, ChannelUnavailable)):
        make().send(OPEN, SECONDS)


@BOTH
def test_a_redirect_to_what_is_no_url_is_unavailable(wire: Wire, make: Make) -> None:
    wire.then(302, Location="http://[::1")
    with pytest.raises(ChannelUnavailable, match="headers that cannot be read"):
        make().send(OPEN, SECONDS)


@BOTH
def test_no_one_is_sent_anything_elsewhere(wire: Wire, make: Make) -> None:
    wire.then(307, Location="https://elsewhere.example.com/")
    with pytest.raises(ChannelRefused, match="307"):
        make().send(OPEN, SECONDS)
    assert len(wire.asked) == 1


@BOTH
@pytest.mark.parametrize(
    ("status", "tries"), [(408, 1), (429, BUSY_TRIES), (500, 1), (503, BUSY_TRIES), (504, BUSY_TRIES)]
)
def test_what_passes_by_is_unavailable_after_some_tries(wire: Wire, make: Make, status: int, tries: int) -> None:
    wire.by_request = lambda asked: Answer(status, "busy")
    with pytest.raises(ChannelUnavailable, match=f"{status}: busy"):
        make().send(OPEN, SECONDS)
    assert len(wire.asked) == tries
    assert sum(wire.naps) <= PAUSES


@BOTH
def test_a_busy_server_says_how_long_to_wait_and_is_heeded_for_some_seconds(wire: Wire, make: Make) -> None:
    wire.then(429, Retry_After="1").then(429, Retry_After="30").then(202)
    make().send(OPEN, SECONDS)
    assert wire.naps == [1, RETRY_AFTER_MAX]


def refused() -> Exception:
    return NewConnectionError(None, WEBHOOK_URL)  # type: ignore[arg-type]


def timed_out() -> Exception:
    return ReadTimeoutError(None, WEBHOOK_URL, WEBHOOK_URL)  # type: ignore[arg-type]


@BOTH
@pytest.mark.parametrize(("trouble", "tries"), [(refused, 3), (timed_out, 1)])
def test_who_cannot_be_reached_is_unavailable(
    wire: Wire, make: Make, trouble: Callable[[], Exception], tries: int
) -> None:
    wire.script += [trouble() for _ in range(9)]
    with pytest.raises(ChannelUnavailable, match="way to the internet"):
        make().send(OPEN, SECONDS)
    assert len(wire.asked) == tries


@BOTH
def test_a_request_takes_no_longer_than_there_is_time(wire: Wire, make: Make) -> None:
    wire.then(202).then(202)
    make().send(OPEN, 1000)
    make().send(OPEN, 30)
    first, second = (each.timeout for each in wire.asked)
    assert (first.connect_timeout, first.read_timeout) == (CONNECT_TIMEOUT, READ_TIMEOUT)
    assert BUSY_TRIES * second.read_timeout + PAUSES <= 30


# Secrets


@BOTH
@pytest.mark.parametrize(
    "happens",
    [
        lambda wire: wire.script.extend(refused() for _ in range(9)),
        lambda wire: wire.script.extend(timed_out() for _ in range(9)),
        lambda wire: wire.then(400, f"{ROUTING_KEY} {WEBHOOK_URL} {WEBHOOK_URL[23:]}"),
        lambda wire: [wire.then(503, f"{ROUTING_KEY} {WEBHOOK_URL}") for _ in range(9)],
        lambda wire: wire.then(202, f"{ROUTING_KEY} {WEBHOOK_URL}"),
    ],
)
def test_no_key_is_sent_to_anyone(
    wire: Wire, make: Make, happens: Callable[[Wire], Any], caplog: pytest.LogCaptureFixture
) -> None:
    happens(wire)
    said = ""
    with caplog.at_level(logging.DEBUG):
        try:
            make().send(OPEN, SECONDS)
        except RollcallError as error:
            said = f"{error} {error!r} {error.__cause__}"
            logging.getLogger("test").exception("failed")
    shown = said + caplog.text
    assert ("T0001/B0001" if make is make_slack else ROUTING_KEY) not in shown
    assert ROUTING_KEY not in repr(Account(ROUTING_KEY))
    assert "hooks" not in repr(Webhook(WEBHOOK_URL))


@pytest.mark.parametrize(
    ("text", "account"),
    [
        (ROUTING_KEY, Account(ROUTING_KEY)),
        (f" {ROUTING_KEY}\n", Account(ROUTING_KEY)),
        (json.dumps({"routing_key": ROUTING_KEY}), Account(ROUTING_KEY)),
        (
            json.dumps({"routing_key": ROUTING_KEY, "url": "https://events.eu.pagerduty.com/"}),
            Account(ROUTING_KEY, "https://events.eu.pagerduty.com"),
        ),
        (
            json.dumps({"routing_key": ROUTING_KEY, "url": "http://127.0.0.1:8080"}),
            Account(ROUTING_KEY, "http://127.0.0.1:8080"),
        ),
    ],
)
def test_pagerdutys_secret_is_a_bare_key_or_json(text: str, account: Account) -> None:
    assert read_account(text, "pagerduty") == account


@pytest.mark.parametrize("text", [WEBHOOK_URL, f" {WEBHOOK_URL}\n", json.dumps({"webhook_url": WEBHOOK_URL})])
def test_slacks_secret_is_a_bare_url_or_json(text: str) -> None:
    assert read_webhook(text, "slack") == Webhook(WEBHOOK_URL)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hush", "routing_key in secret pagerduty is not 32"),
        ("", "not 32"),
        ('{"key": "hush"}', "neither bare nor JSON"),
        ('{"routing_key": 7}', "neither bare nor JSON"),
        ("{hush", "neither bare nor JSON"),
        (json.dumps({"routing_key": ROUTING_KEY, "url": "http://hush.example.com"}), "the url in secret pagerduty"),
        (json.dumps({"routing_key": ROUTING_KEY, "url": 7}), "the url in secret pagerduty"),
        (json.dumps({"routing_key": ROUTING_KEY, "url": "https://[hush"}), "the url in secret pagerduty"),
    ],
)
def test_a_secret_of_pagerduty_that_will_not_do_is_named_and_not_repeated(text: str, words: str) -> None:
    with pytest.raises(BadSettings, match=words) as wrong:
        read_account(text, "pagerduty")
    assert "hush" not in str(wrong.value)


@pytest.mark.parametrize(
    "text", ["", "hush", "http://hooks.slack.com/hush", '{"webhook_url": "ftp://hush"}', "https://"]
)
def test_a_secret_of_slack_that_will_not_do_is_named_and_not_repeated(text: str) -> None:
    with pytest.raises(BadSettings, match="webhook_url in secret slack is no URL") as wrong:
        read_webhook(text, "slack")
    assert "hush" not in str(wrong.value)


# Words


@pytest.mark.parametrize(
    ("text", "most", "escaped"),
    [
        ("a<b>&c", 100, "a&lt;b&gt;&amp;c"),
        ("<<<", 9, "&lt;&lt;…"),
        ("<<<", 13, "&lt;&lt;&lt;"),
        ("<<<", 12, "&lt;&lt;…"),
        ("abc", 4, "abc"),
        ("", 4, ""),
    ],
)
def test_slacks_signs_are_escaped_and_never_cut_in_two(text: str, most: int, escaped: str) -> None:
    assert escape(text, most) == escaped
    assert len(escaped) <= most


def test_a_summary_is_cut_in_its_reason_and_keeps_the_extent() -> None:
    summary = event(replace(OPEN, reason="r" * 2000), ROUTING_KEY)["payload"]["summary"]
    assert summary.endswith("r… (12 times in 10 min, 2 instances, group web)")
    assert len(summary) == 1024


def test_what_has_no_group_and_no_function_names_none() -> None:
    notification: Notification = replace(OPEN, groups=(), function="", subjects=())
    payload = event(notification, ROUTING_KEY)["payload"]
    assert not {"group", "component"} & payload.keys()
    section = message(notification)["blocks"][0]["text"]["text"]
    assert "()" not in section
    assert len(section) < SECTION_MAX
