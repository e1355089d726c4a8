"""The connection to Tower: what is tried again, what is given up, and which error each problem is."""

from __future__ import annotations

import ssl
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import format_datetime
from http.client import RemoteDisconnected
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ReadTimeoutError

from rollcall.domain.errors import BadSettings, TowerDenied, TowerRejected, TowerUnavailable
from rollcall.http.transport import BUSY_TRIES, READ_TIMEOUT, RETRY_AFTER_MAX
from rollcall.tower.connection import Connection, Credentials, api_root
from unit.wire import CHARSETS, NO_TIMES, Answer, Asked, Vault, Wire, page

if TYPE_CHECKING:
    from collections.abc import Callable

DISTRUSTED = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1028)"
BROKEN_OFF = "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol (_ssl.c:1028)"
INVOCATION = 110.0  # seconds


@pytest.fixture
def http(wire: Wire, vault: Vault) -> Connection:
    return Connection("https://tower.example.com", vault)


def launch(http: Connection) -> None:
    """A call that must not happen twice."""
    http.read(http.send("POST", "job_templates/10/launch/", {"limit": "i-a"}))


def refused() -> Exception:
    """Nobody listens."""
    return NewConnectionError(None, "refused")  # type: ignore[arg-type]


def not_connected() -> Exception:
    """Nobody took the connection."""
    return ConnectTimeoutError(None, "timed out")


def timed_out() -> Exception:
    """The request went out, and no answer came."""
    return ReadTimeoutError(None, "/", "timed out")  # type: ignore[arg-type]


def hung_up() -> Exception:
    """The server closed a connection that was kept alive."""
    return RemoteDisconnected("Remote end closed connection without response")


def distrusted() -> Exception:
    return ssl.SSLCertVerificationError(1, DISTRUSTED)


def no_authority() -> Exception:
    """The secret's ca_bundle is no certificate."""
    return ssl.SSLError(136, "[X509: NO_CERTIFICATE_OR_CRL_FOUND] no certificate or crl found (_ssl.c:4168)")


def broken_off() -> Exception:
    """TLS ended before its time."""
    return ssl.SSLEOFError(8, BROKEN_OFF)


# The URL


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("https://t.example.com", "https://t.example.com/api/v2/"),
        ("https://t.example.com/", "https://t.example.com/api/v2/"),
        ("https://t.example.com/api/v2/", "https://t.example.com/api/v2/"),
        ("https://t.example.com/api/controller/v2", "https://t.example.com/api/controller/v2/"),
        ("https://t.example.com:8443/tower/api/v2/", "https://t.example.com:8443/tower/api/v2/"),
        ("http://127.0.0.1:8052", "http://127.0.0.1:8052/api/v2/"),
        ("http://localhost:8052", "http://localhost:8052/api/v2/"),
        ("http://[::1]:8052", "http://[::1]:8052/api/v2/"),
    ],
)
def test_the_api_root_is_part_of_the_url_or_the_usual_one(url: str, root: str) -> None:
    assert api_root(url) == root


@pytest.mark.parametrize(
    "url",
    ["http://tower.example.com", "http://127.0.0.1.example.com", "http://localhost.example.com", "http://10.0.0.1"],
)
def test_a_token_never_goes_out_in_clear_text(url: str) -> None:
    with pytest.raises(BadSettings, match="clear text"):
        api_root(url)


@pytest.mark.parametrize(
    "url", ["", "tower.example.com", "ftp://tower.example.com", "https://", "/api/v2/", "https://[::1"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(BadSettings, match="is not a URL"):
        api_root(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://rollcall:hush@tower.example.com",
        "https://rollcall:hush@tower.example.com:8443/api/v2/",
        "https://hush@tower.example.com",
        "https://:hush@tower.example.com",
        "http://rollcall:hush@127.0.0.1:8052",
        "ftp://rollcall:hush@tower.example.com",
        "rollcall:hush@tower.example.com",
        "https:/rollcall:hush@tower.example.com",
        "https://rollcall:hu/sh@tower.example.com",
        "https://rollcall:12/hush@tower.example.com",
        "https://rollcall:#hush@tower.example.com",
        "https://rollcall:?hush@tower.example.com",
        "https://rollcall:hush%40tower.example.com",
        "https://rollcall:hush\uff20tower.example.com",
        "https://rollcall:hush\n@tower.example.com",
        "https://[rollcall:hush@::1",
    ],
)
def test_a_user_and_a_password_in_the_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadSettings, match="TowerSecretArn") as caught:
        api_root(url)
    assert "hush" not in str(caught.value)
    assert "rollcall" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://rollcall:hush", "https://rollcall:hush%2540tower.example.com", "rollcall:hush", "https://hu sh"]
)
def test_what_is_no_url_is_not_repeated_where_it_may_be_a_password(url: str) -> None:
    with pytest.raises(BadSettings, match="is not a URL") as caught:
        api_root(url)
    assert "hu" not in str(caught.value)


# Trying again


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_reading_is_tried_again_when_a_gateway_is_busy(http: Connection, wire: Wire, status: int) -> None:
    wire.then(status).then(status).then(200, {"id": 3})
    assert http.get("inventories/3/") == {"id": 3}
    assert len(wire.asked) == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_stays_away_is_unavailable_with_its_own_words(http: Connection, wire: Wire, status: int) -> None:
    wire.by_request = lambda asked: Answer(status, "<h1>we are\n  busy</h1>")
    with pytest.raises(TowerUnavailable, match=f"{status}.*we are busy"):
        http.get("hosts/")
    assert len(wire.asked) == (1 if status == 500 else BUSY_TRIES)


@pytest.mark.parametrize("charset", CHARSETS)
def test_whatever_charset_a_gateway_names_its_words_are_read(http: Connection, wire: Wire, charset: str) -> None:
    headers = {"Content-Type": f"text/html; charset={charset}"}
    wire.by_request = lambda asked: Answer(503, "<h1>we are busy \xff</h1>", headers)
    with pytest.raises(TowerUnavailable, match=r"503.*we are busy \xff"):
        http.get("hosts/")


@pytest.mark.parametrize("trouble", [refused, hung_up])
def test_reading_is_tried_again_when_a_connection_fails(
    http: Connection, wire: Wire, trouble: Callable[[], Exception]
) -> None:
    wire.script += [trouble(), trouble()]
    wire.then(200, {"id": 3})
    assert http.get("inventories/3/") == {"id": 3}
    assert len(wire.asked) == 3


def test_reading_is_not_tried_again_when_no_answer_came_in_time(http: Connection, wire: Wire) -> None:
    wire.script += [timed_out() for _ in range(9)]
    with pytest.raises(TowerUnavailable, match=r"tower\.example\.com.*hosts/"):
        http.get("hosts/")
    assert len(wire.asked) == 1


@pytest.mark.parametrize(
    ("status", "path"),
    [(429, "job_templates/10/launch/"), (429, "groups/4/hosts/"), (503, "groups/4/hosts/"), (503, "bulk/host_create/")],
)
def test_what_tower_was_too_busy_for_is_tried_again(http: Connection, wire: Wire, status: int, path: str) -> None:
    for _ in range(BUSY_TRIES - 1):
        wire.then(status, Retry_After="1")
    wire.then(201, {"id": 7})
    assert http.read(http.send("POST", path, {})) == {"id": 7}
    assert wire.naps == [1] * (BUSY_TRIES - 1)


@pytest.mark.parametrize("status", [502, 504])
def test_a_write_that_was_broken_off_is_not_repeated(http: Connection, wire: Wire, status: int) -> None:
    wire.by_request = lambda asked: Answer(status)
    with pytest.raises(TowerUnavailable):
        http.read(http.send("POST", "groups/4/hosts/", {"id": 7}))
    assert len(wire.asked) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_launch_that_a_gateway_may_have_passed_on_is_never_repeated(
    http: Connection, wire: Wire, status: int
) -> None:
    wire.by_request = lambda asked: Answer(status, "busy", {"Retry-After": "1"})
    with pytest.raises(TowerUnavailable):
        launch(http)
    assert len(wire.asked) == 1


@pytest.mark.parametrize("trouble", [timed_out, hung_up, broken_off])
def test_a_launch_whose_answer_is_lost_is_never_repeated(
    http: Connection, wire: Wire, trouble: Callable[[], Exception]
) -> None:
    wire.script += [trouble() for _ in range(9)]
    with pytest.raises(TowerUnavailable):
        launch(http)
    assert len(wire.asked) == 1


def test_a_server_that_cannot_be_reached_is_unavailable(http: Connection, wire: Wire) -> None:
    wire.script += [refused() for _ in range(9)]
    with pytest.raises(TowerUnavailable, match=r"tower\.example\.com"):
        http.get("hosts/")


def test_the_server_says_when_to_come_back(http: Connection, wire: Wire) -> None:
    wire.then(503, Retry_After="2").page()
    http.get("hosts/")
    assert wire.naps == [2]


def test_a_server_that_wants_to_be_left_alone_for_long_is_not_waited_for(http: Connection, wire: Wire) -> None:
    wire.by_request = lambda asked: Answer(503, "busy", {"Retry-After": "3600"})
    with pytest.raises(TowerUnavailable):
        http.get("hosts/")
    assert max(wire.naps, default=0) <= RETRY_AFTER_MAX


@pytest.mark.parametrize("odd", NO_TIMES, ids=lambda odd: ascii(odd)[:20])
def test_a_server_that_says_oddly_when_to_come_back_is_asked_again_all_the_same(
    http: Connection, wire: Wire, odd: str
) -> None:
    wire.then(503, Retry_After=odd).page()
    http.get("hosts/")
    assert len(wire.asked) == 2


# The end of the invocation


def test_no_call_begins_when_the_invocation_is_about_to_end(http: Connection, wire: Wire) -> None:
    http.finish_within(10)
    with pytest.raises(TowerUnavailable, match="no time left"):
        http.get("hosts/")
    assert not wire.asked


def test_a_call_with_its_tries_ends_before_the_invocation_does(http: Connection, wire: Wire) -> None:
    wire.page()
    http.finish_within(45)
    http.get("hosts/")
    assert wire.asked[0].timeout.read_timeout <= 10
    wire.page()
    http.finish_within(INVOCATION)
    http.get("hosts/")
    assert wire.asked[1].timeout.read_timeout == READ_TIMEOUT


@pytest.mark.parametrize("trouble", [timed_out, not_connected])
def test_a_tower_that_did_not_answer_is_not_asked_again_in_this_invocation(
    http: Connection, wire: Wire, trouble: Callable[[], Exception]
) -> None:
    http.finish_within(INVOCATION)
    wire.script += [trouble() for _ in range(3)]
    with pytest.raises(TowerUnavailable) as first:
        http.get("hosts/")
    asked = len(wire.asked)
    wire.script.clear()
    for _ in range(3):
        with pytest.raises(TowerUnavailable) as later:
            launch(http)
        assert later.value is first.value
    assert len(wire.asked) == asked


@pytest.mark.parametrize("trouble", [refused, hung_up, broken_off])
def test_a_tower_whose_problem_showed_at_once_is_asked_again_in_this_invocation(
    http: Connection, wire: Wire, trouble: Callable[[], Exception]
) -> None:
    http.finish_within(INVOCATION)
    wire.script += [trouble() for _ in range(3)]
    with pytest.raises(TowerUnavailable):
        http.get("hosts/")
    wire.script.clear()
    wire.then(200, {"id": 3})
    assert http.get("inventories/3/") == {"id": 3}


def test_a_tower_that_did_not_answer_is_asked_again_in_the_next_invocation(http: Connection, wire: Wire) -> None:
    http.finish_within(INVOCATION)
    wire.script.append(timed_out())
    with pytest.raises(TowerUnavailable):
        http.get("hosts/")
    http.finish_within(INVOCATION)
    wire.then(200, {"id": 3})
    assert http.get("inventories/3/") == {"id": 3}


def test_a_tower_that_did_not_answer_is_asked_again_where_no_invocation_ends(http: Connection, wire: Wire) -> None:
    wire.script.append(timed_out())
    with pytest.raises(TowerUnavailable):
        http.get("hosts/")
    wire.then(200, {"id": 3})
    assert http.get("inventories/3/") == {"id": 3}


@pytest.mark.parametrize("status", [429, 503])
def test_a_tower_that_keeps_turning_us_away_is_not_asked_again_in_this_invocation(
    http: Connection, wire: Wire, status: int
) -> None:
    http.finish_within(INVOCATION)
    wire.by_request = lambda asked: Answer(status)
    with pytest.raises(TowerUnavailable):
        http.get("groups/")
    with pytest.raises(TowerUnavailable, match=str(status)):
        http.get("hosts/")
    assert len(wire.asked) == BUSY_TRIES
    http.finish_within(INVOCATION)
    wire.by_request = None
    wire.then(200, {"id": 3})
    assert http.get("inventories/3/") == {"id": 3}


@pytest.mark.parametrize("status", [302, 401, 404, 500, 502, 503])
def test_a_tower_that_gave_an_answer_of_whatever_kind_is_asked_again(http: Connection, wire: Wire, status: int) -> None:
    http.finish_within(INVOCATION)
    wire.by_request = lambda asked: Answer(status)
    with pytest.raises((TowerUnavailable, TowerDenied, TowerRejected)):
        launch(http)
    wire.by_request = None
    wire.then(200, {"id": 3})
    assert http.get("inventories/3/") == {"id": 3}


# Certificates


@pytest.mark.parametrize("trouble", [distrusted, no_authority])
def test_a_certificate_that_is_not_trusted_names_the_remedy(
    http: Connection, wire: Wire, trouble: Callable[[], Exception]
) -> None:
    wire.script += [trouble() for _ in range(9)]
    with pytest.raises(TowerRejected, match="ca_bundle"):
        http.get("hosts/")


def test_a_certificate_authority_put_into_the_secret_is_trusted_from_the_next_call_on(
    http: Connection, wire: Wire, vault: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    http.finish_within(INVOCATION)
    wire.script += [distrusted() for _ in range(3)]
    with pytest.raises(TowerRejected):
        http.get("hosts/")
    vault.ca_bundle = "PEM"
    wire.script.clear()
    wire.page().page()
    http.get("hosts/")
    http.get("hosts/")
    assert vault.reads == [False, True]
    for asked in wire.asked[-2:]:
        assert asked.trusting
        assert Path(asked.trusting).read_text() == "PEM"
        assert asked.headers["Authorization"] == "Bearer token-1"


@pytest.mark.parametrize("trouble", [distrusted, no_authority])
def test_the_secret_is_read_afresh_at_every_call_until_the_certificate_is_trusted(
    http: Connection, wire: Wire, vault: Vault, trouble: Callable[[], Exception]
) -> None:
    wire.script += [trouble() for _ in range(9)]
    for _ in range(3):
        with pytest.raises(TowerRejected):
            launch(http)
    assert vault.reads == [False, True, True]


def test_tls_that_breaks_off_passes_by_itself_and_keeps_the_token(http: Connection, wire: Wire, vault: Vault) -> None:
    wire.script += [broken_off() for _ in range(3)]
    with pytest.raises(TowerUnavailable, match="UNEXPECTED_EOF"):
        http.get("hosts/")
    wire.script.clear()
    wire.page()
    http.get("hosts/")
    assert vault.reads == [False]


# Answers that are none


def test_a_list_whose_pages_are_empty_ends(http: Connection, wire: Wire) -> None:
    wire.by_request = lambda asked: Answer(200, page(following="/api/v2/hosts/?page=2"))
    assert list(http.pages("hosts/", {})) == []
    assert len(wire.asked) == 1


@pytest.mark.parametrize("status", [302, 303, 307])
def test_a_redirect_for_a_while_is_not_followed_and_passes_by_itself(http: Connection, wire: Wire, status: int) -> None:
    wire.then(status, Location="https://elsewhere.example.com/migrations_notran/")
    with pytest.raises(TowerUnavailable, match=r"elsewhere.*may be upgrading"):
        http.get("hosts/")
    assert len(wire.asked) == 1


@pytest.mark.parametrize("status", [301, 308])
def test_a_redirect_for_good_is_not_followed_and_refused(http: Connection, wire: Wire, status: int) -> None:
    wire.then(status, Location="https://elsewhere.example.com/login")
    with pytest.raises(TowerRejected, match=r"elsewhere.*not the API"):
        http.get("hosts/")
    assert len(wire.asked) == 1


@pytest.mark.parametrize("status", [301, 302])
@pytest.mark.parametrize(
    "location",
    ["https://rollcall:hush@sso.example.com/login?state=hush#hush", "//hush@sso.example.com/login", "/login?next=hush"],
)
def test_of_a_redirect_no_more_than_the_place_is_shown(
    http: Connection, wire: Wire, status: int, location: str
) -> None:
    wire.then(status, Location=location)
    with pytest.raises((TowerUnavailable, TowerRejected), match=r"redirected to \S*/login") as caught:
        http.get("hosts/")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("location", ["", "http://[::1", "https://rollcall:hush%40sso.example.com/", "//[hush@::1"])
def test_a_redirect_to_what_is_no_url_is_an_error_of_the_taxonomy(http: Connection, wire: Wire, location: str) -> None:
    wire.then(301, Location=location)
    with pytest.raises((TowerRejected, TowerUnavailable)) as caught:
        http.get("hosts/")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("body", ["<html>Welcome</html>", "[]", "null", "[" * 100_000])
def test_an_answer_that_is_not_the_apis_is_refused_with_the_remedy(http: Connection, wire: Wire, body: str) -> None:
    wire.then(200, body)
    with pytest.raises(TowerRejected, match="API root"):
        http.get("hosts/")


def test_any_other_refusal_keeps_the_servers_words(http: Connection, wire: Wire) -> None:
    wire.then(400, {"variables_needed_to_start": ["'region' value missing"]})
    with pytest.raises(TowerRejected, match="'region' value missing"):
        launch(http)


def test_a_refusal_that_passes_within_a_minute_is_no_permission(http: Connection, wire: Wire) -> None:
    wire.then(403, {"detail": "Related job job 37 (successful) is still processing events."})
    with pytest.raises(TowerUnavailable, match="processing events"):
        launch(http)


# The token


def test_the_token_is_read_once_and_sent_as_a_bearer(http: Connection, wire: Wire, vault: Vault) -> None:
    wire.page().page()
    http.get("hosts/")
    http.get("hosts/")
    assert [each.headers["Authorization"] for each in wire.asked] == ["Bearer token-0"] * 2
    assert vault.reads == [False]


def test_a_rotated_token_is_picked_up(http: Connection, wire: Wire, vault: Vault) -> None:
    wire.then(401).then(200, {"id": 3})
    assert http.get("inventories/3/") == {"id": 3}
    assert [each.headers["Authorization"] for each in wire.asked] == ["Bearer token-0", "Bearer token-1"]
    assert vault.reads == [False, True]


def test_threads_whose_token_was_refused_share_one_fresh_token(http: Connection, wire: Wire, vault: Vault) -> None:
    threads = 6
    all_refused = Barrier(threads)

    def answer(asked: Asked) -> Answer:
        if asked.headers["Authorization"] == "Bearer token-0":
            all_refused.wait(timeout=10)
            return Answer(401, {"detail": "Authentication credentials were not provided."})
        return Answer(204, "")

    wire.by_request = answer
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: launch(http), range(threads)))
    assert vault.reads == [False, True]


def test_a_bad_token_is_refreshed_only_once_a_call(http: Connection, wire: Wire, vault: Vault) -> None:
    wire.by_request = lambda asked: Answer(401, {"detail": "Authentication credentials were not provided."})
    with pytest.raises(TowerDenied, match=r"credentials were not provided.*token into the secret"):
        http.get("hosts/")
    assert vault.reads == [False, True]
    assert len(wire.asked) == 2


def test_a_missing_role_is_named_and_the_token_kept(http: Connection, wire: Wire, vault: Vault) -> None:
    wire.then(403, {"detail": "You do not have permission to perform this action."})
    with pytest.raises(TowerDenied, match=r"job_templates/10/launch/.*do not have permission.*role"):
        launch(http)
    assert vault.reads == [False]


@pytest.mark.parametrize("words", ["License is missing.", "License has expired."])
def test_a_licence_that_does_not_hold_is_no_missing_role(http: Connection, wire: Wire, words: str) -> None:
    wire.then(403, {"detail": words})
    with pytest.raises(TowerDenied, match=f"{words}.*apply a valid licence"):
        launch(http)


def test_a_token_is_not_shown_where_its_holder_is_printed() -> None:
    assert "s3cret" not in repr(Credentials("s3cret", "PEM"))


def test_nothing_from_the_environment_changes_where_the_token_goes(
    http: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    wire.page()
    http.get("hosts/")
    assert wire.calls == ["GET /api/v2/hosts/"]


# The clock


def test_the_time_is_towers_own(http: Connection, wire: Wire) -> None:
    elsewhen = datetime(2031, 5, 1, 12, 0, tzinfo=UTC)
    wire.then(200, page(), Date=format_datetime(elsewhen, usegmt=True))
    http.get("hosts/")
    assert abs(http.now() - elsewhen.timestamp()) < 60


def clock_ahead(http: Connection, wire: Wire, *dates: str) -> float:
    """How far Tower's clock is ahead of ours after answers with these Dates."""
    for date in dates:
        wire.then(200, page(), **({"Date": date} if date else {}))
        http.get("hosts/")
    return http.now() - time.time()


def dated(ahead: float) -> str:
    """A Date so many seconds ahead of this machine's clock."""
    return format_datetime(datetime.fromtimestamp(time.time() + ahead, UTC), usegmt=True)


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "yesterday",
        "Mon, 31 Feb 2026 12:00:00 GMT",
        "Sat, 21 Nov 2026 25:61:00 GMT",
        "Sat, 21 Nov 99999999999 01:12:00 GMT",
        "Sat, 21 Nov 2026 01:12:00 +99999999",
        "0",
        "\u0667",
    ],
)
def test_a_date_that_cannot_be_read_leaves_the_time_as_it_was(http: Connection, wire: Wire, odd: str) -> None:
    assert clock_ahead(http, wire, odd) == pytest.approx(0, abs=2)
    assert clock_ahead(http, wire, dated(600), odd) == pytest.approx(600, abs=2)


@pytest.mark.parametrize("odd", [86_400, -86_400, 4000, -4000, 4e9])
def test_one_date_far_from_the_others_does_not_change_the_time(http: Connection, wire: Wire, odd: float) -> None:
    assert clock_ahead(http, wire, dated(30), dated(odd)) == pytest.approx(30, abs=2)
    assert clock_ahead(http, wire, dated(30), dated(odd), dated(31)) == pytest.approx(31, abs=2)


def test_a_date_far_from_this_machines_clock_is_believed_as_long_as_no_other_was_received(
    http: Connection, wire: Wire
) -> None:
    assert clock_ahead(http, wire, dated(86_400)) == pytest.approx(86_400, abs=2)
    assert clock_ahead(http, wire, dated(5)) == pytest.approx(5, abs=2), "the nearer of two that disagree"


def test_a_clock_that_was_set_is_followed_from_its_second_answer_on(http: Connection, wire: Wire) -> None:
    assert clock_ahead(http, wire, dated(0), dated(7200), dated(7200)) == pytest.approx(7200, abs=2)
    assert clock_ahead(http, wire, dated(0)) == pytest.approx(0, abs=2)


def test_a_date_of_no_time_zone_is_in_utc(http: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    time.tzset()
    try:
        assert clock_ahead(http, wire, dated(40).replace("GMT", "-0000")) == pytest.approx(40, abs=2)
    finally:
        monkeypatch.undo()
        time.tzset()


# What requests take


def test_each_request_is_timed_and_given_once(http: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("rollcall.http.transport.time.monotonic", lambda: now[0])

    def answer(asked: Asked) -> Answer:
        now[0] += 0.25
        return Answer()

    wire.by_request = answer
    http.get("a/")
    http.get("b/")
    assert [(each.milliseconds, each.unwell) for each in http.exchanges()] == [(250, False), (250, False)]
    assert http.exchanges() == []


@pytest.mark.parametrize(
    ("status", "unwell"), [(200, False), (404, False), (403, False), (429, True), (500, True), (503, True)]
)
def test_tower_is_unwell_where_it_turns_away_or_fails(http: Connection, wire: Wire, status: int, unwell: bool) -> None:
    wire.by_request = lambda asked: Answer(status)
    http.send("GET", "a/")
    assert [each.unwell for each in http.exchanges()] == [unwell]


def test_tower_is_unwell_where_it_gives_no_answer_and_is_not_asked_more_than_once(http: Connection, wire: Wire) -> None:
    http.finish_within(INVOCATION)
    wire.script += [timed_out()]
    for _ in range(3):
        with pytest.raises(TowerUnavailable):
            http.get("a/")
    assert [each.unwell for each in http.exchanges()] == [True]


def test_what_an_invocation_that_broke_off_asked_is_not_given_by_the_next(http: Connection, wire: Wire) -> None:
    wire.by_request = lambda asked: Answer()
    http.get("a/")
    http.finish_within(INVOCATION)
    assert http.exchanges() == []
