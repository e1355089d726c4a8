"""The embedded Tower's own behaviour: what the recordings cannot show, because a test asks for it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from lab.clock import SkippingClock, StillClock
from lab.tower.embedded import JobRecord, Latency, Tower
from lab.tower.plays import Playbook

Answer = tuple[int, Any]


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def tower(clock: StillClock) -> Tower:
    """A Tower with the inventory "fleet" and the template "provision", no boot time, jobs of 2 s."""
    made = Tower(boot_time=0.0, job_time=2.0, event_lag=1.0, clock=clock)
    made.add_inventory("fleet")
    made.add_job_template("provision", "fleet")
    return made


@pytest.fixture
def listen() -> None:
    """Lets a test open a socket on this machine."""


@pytest.fixture
def base(tower: Tower, listen: None) -> Iterator[str]:
    with tower.serve() as url:
        yield url


def ask(tower: Tower, method: str, path: str, body: Any = None, token: str | None = None) -> Answer:
    headers = {"authorization": f"Bearer {token or tower.token}", "content-type": "application/json"}
    route, _, query = path.partition("?")
    raw = b"" if body is None else json.dumps(body).encode()
    answer = tower.answer(method, f"/api/v2/{route}", query, headers, raw)
    is_json = answer.headers.get("Content-Type") == "application/json"
    return answer.status, json.loads(answer.body) if is_json else answer.body.decode()


def run(tower: Tower, clock: StillClock, limit: str, template: str = "provision") -> JobRecord:
    """Launches and lets time pass until the events of the job are processed."""
    job = tower.run_playbook(template, limit)
    for _ in range(2000):
        clock.now += 0.05
        row = next(row for row in tower.jobs() if row.id == job.id)
        if row.events_processed:
            return row
    raise AssertionError(f"job {job.id} stays {row.status}")


def events(tower: Tower, job: int) -> int:
    _, page = ask(tower, "GET", f"jobs/{job}/job_events/?event=playbook_on_no_hosts_remaining")
    return int(page["count"])


def test_a_host_is_unreachable_until_its_boot_time_is_over(tower: Tower, clock: StillClock) -> None:
    tower.set_boot_time(30.0)
    tower.set_boot_time(0.0, "quick")
    tower.add_host("fleet", "slow")
    tower.add_host("fleet", "quick")
    assert run(tower, clock, "all").hosts == {"slow": "dark", "quick": "ok"}
    clock.now += 30.0
    assert run(tower, clock, "all").hosts == {"slow": "ok", "quick": "ok"}


def test_a_limit_may_name_hosts_and_groups(tower: Tower, clock: StillClock) -> None:
    for name in "abcd":
        tower.add_host("fleet", name, groups=["web"] if name in "ab" else [])
    tower.add_host("fleet", "off", enabled=False, groups=["web"])
    assert set(run(tower, clock, "web").hosts) == {"a", "b"}
    assert set(run(tower, clock, "web:d").hosts) == {"a", "b", "d"}
    assert set(run(tower, clock, "c,nosuch").hosts) == {"c"}
    assert set(run(tower, clock, "").hosts) == {"a", "b", "c", "d"}


def test_a_limit_is_resolved_when_the_job_starts(tower: Tower, clock: StillClock) -> None:
    tower.add_host("fleet", "early")
    tower.capacity = 0
    job = tower.run_playbook("provision", "all")
    tower.remove_host("early")
    tower.add_host("fleet", "late", {"ansible_host": "10.0.0.9"})
    tower.capacity = 1
    clock.now += 5.0
    (row,) = (row for row in tower.jobs() if row.id == job.id)
    assert (row.hosts, row.addresses) == ({"late": "ok"}, {"late": "10.0.0.9"})


def test_rules_apply_to_hosts_that_come_later(tower: Tower, clock: StillClock) -> None:
    tower.fail_host("bad")
    tower.dark_host("10.0.0.7")
    tower.dark_host(lambda host: "cursed" in host.groups)
    tower.add_host("fleet", "bad")
    tower.add_host("fleet", "gone", {"ansible_host": "10.0.0.7"})
    tower.add_host("fleet", "hexed", groups=["cursed"])
    tower.add_host("fleet", "fine")
    job = run(tower, clock, "all")
    assert job.hosts == {"bad": "failed", "gone": "dark", "hexed": "dark", "fine": "ok"}
    assert (job.status, job.cut_short) == ("failed", False)
    assert events(tower, job.id) == 0
    tower.heal_hosts()
    assert run(tower, clock, "all").status == "successful"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_play_cut_short_leaves_as_many_events_as_asked_for(tower: Tower, clock: StillClock, count: int) -> None:
    tower.cut_short("provision", events=count)
    tower.fail_host("bad")
    tower.add_host("fleet", "bad")
    tower.add_host("fleet", "good")
    job = run(tower, clock, "all")
    assert (job.status, job.cut_short, events(tower, job.id)) == ("failed", True, count)
    _, page = ask(tower, "GET", f"jobs/{job.id}/job_host_summaries/")
    assert {row["host_name"]: row["failed"] for row in page["results"]} == {"bad": True, "good": False}
    fine = run(tower, clock, "good")
    assert (fine.status, fine.cut_short, events(tower, fine.id)) == ("successful", False, 0)


def test_jobs_beyond_the_capacity_stay_pending(tower: Tower, clock: StillClock) -> None:
    tower.capacity = 2
    for name in "abc":
        tower.add_host("fleet", name)
        tower.run_playbook("provision", name)
    clock.now += 1.0
    assert [job.status for job in tower.jobs()] == ["running", "running", "pending"]
    clock.now += 1.4
    assert [job.status for job in tower.jobs()] == ["successful", "successful", "running"]


def test_a_template_without_allow_simultaneous_queues_behind_itself(tower: Tower, clock: StillClock) -> None:
    tower.add_job_template("serial", "fleet", allow_simultaneous=False)
    tower.add_host("fleet", "a")
    for _ in range(2):
        tower.run_playbook("serial", "a")
    clock.now += 1.0
    assert [job.status for job in tower.jobs("serial")] == ["running", "pending"]


@pytest.mark.parametrize("status", ["error", "canceled", "failed"])
def test_the_next_job_ends_as_told_and_touches_no_host(tower: Tower, clock: StillClock, status: str) -> None:
    tower.end_next_jobs(status, explanation="lost")
    tower.add_host("fleet", "a")
    job = run(tower, clock, "a")
    assert (job.status, job.hosts, job.explanation) == (status, {}, "lost")
    assert ask(tower, "GET", f"jobs/{job.id}/job_host_summaries/")[1]["count"] == 0
    assert run(tower, clock, "a").status == "successful"


def test_a_job_longer_than_its_template_allows_times_out(tower: Tower, clock: StillClock) -> None:
    tower.add_job_template("hasty", "fleet", timeout=5)
    tower.set_job_time(60.0, "hasty")
    tower.add_host("fleet", "a")
    job = run(tower, clock, "a", "hasty")
    assert (job.status, job.explanation, job.hosts) == ("failed", "Job terminated due to timeout", {})


def test_the_durations_of_jobs_are_spread_evenly_about_the_job_time(clock: StillClock) -> None:
    def durations(spread: float) -> list[float]:
        tower = Tower(boot_time=0.0, job_time=10.0, job_spread=spread, capacity=100, clock=clock)
        tower.add_inventory("fleet")
        tower.add_job_template("provision", "fleet")
        tower.add_host("fleet", "a")
        for _ in range(50):
            tower.run_playbook("provision", "a")
        clock.now += 60.0
        return [job.finished - job.started for job in tower.jobs() if job.finished and job.started]

    assert durations(0.0) == pytest.approx([10.0] * 50)
    wide = durations(0.5)
    assert wide == pytest.approx(durations(0.5))
    assert 5.0 <= min(wide) < 5.5 < 14.5 < max(wide) <= 15.0
    assert sum(wide) / 50 == pytest.approx(10.0, abs=0.2)


def test_a_broken_template_fails_on_every_host(tower: Tower, clock: StillClock) -> None:
    tower.add_host("fleet", "a")
    tower.break_template("provision")
    assert run(tower, clock, "a").hosts == {"a": "failed"}
    tower.break_template("provision", status="error")
    assert run(tower, clock, "a").status == "error"
    tower.break_template("provision", broken=False)
    assert run(tower, clock, "a").status == "successful"


def test_a_template_that_does_not_prompt_runs_on_every_host(tower: Tower, clock: StillClock) -> None:
    number = tower.add_job_template("blunt", "fleet", ask_limit=False)
    tower.add_host("fleet", "a")
    tower.add_host("fleet", "b")
    status, answer = ask(tower, "POST", f"job_templates/{number}/launch/", {"limit": "a"})
    assert (status, answer["ignored_fields"]) == (201, {"limit": "a"})
    clock.now += 1.0
    assert set(tower.jobs()[0].hosts) == {"a", "b"}


def test_a_canceled_job_ends_soon_and_only_once(tower: Tower, clock: StillClock) -> None:
    tower.add_host("fleet", "a")
    running = tower.run_playbook("provision", "a")
    clock.now += 1.0
    pending = tower.run_playbook("provision", "a")
    for job in (running, pending):
        assert ask(tower, "POST", f"jobs/{job.id}/cancel/")[0] == 202
    assert [job.status for job in tower.jobs()] == ["running", "canceled"]
    clock.now += 0.6
    assert [job.status for job in tower.jobs()] == ["canceled", "canceled"]
    assert ask(tower, "POST", f"jobs/{running.id}/cancel/")[0] == 405
    clock.now += 10.0
    assert ask(tower, "GET", f"jobs/{running.id}/job_host_summaries/")[1]["count"] == 0


def test_a_lost_race_has_the_words_of_the_database(tower: Tower) -> None:
    tower.add_host("fleet", "a")
    tower.race = True
    status, answer = ask(tower, "POST", "hosts/", {"name": "a", "inventory": 1})
    assert status == 400
    assert answer["detail"].startswith("duplicate key value violates unique constraint")
    status, answer = ask(tower, "POST", "bulk/host_create/", {"inventory": 1, "hosts": [{"name": "b"}, {"name": "a"}]})
    assert status == 400
    assert answer["detail"].startswith("cannot create host, host creation error duplicate key")
    assert [host.name for host in tower.hosts()] == ["a"]


def test_an_older_server_has_no_bulk_endpoints(tower: Tower) -> None:
    tower.no_bulk = True
    status, page = ask(tower, "POST", "bulk/host_create/", {"inventory": 1, "hosts": [{"name": "a"}]})
    assert status == 404
    assert "Not Found" in page


def test_the_whole_clock_of_a_tower_can_be_off(tower: Tower, clock: StillClock) -> None:
    tower.clock_skew = 3600.0
    tower.add_host("fleet", "a")
    _, page = ask(tower, "GET", "hosts/")
    assert page["results"][0]["created"] == "2027-01-15T09:00:00.000000Z"
    for query, count in (("created__gte=2027-01-15T09:00:00.000000Z", 1), ("created__gt=2027-01-15T09:00:00Z", 0)):
        assert ask(tower, "GET", f"hosts/?{query}")[1]["count"] == count
    assert tower.hosts()[0].created == clock.now


def test_a_url_longer_than_nginx_takes_is_refused(tower: Tower) -> None:
    names = ",".join(f"i-{number:017x}" for number in range(500))
    assert ask(tower, "GET", f"hosts/?name__in={names}")[0] == 414


def test_a_gateway_serves_only_the_controller_path() -> None:
    tower = Tower(api_root="/api/controller/v2/")
    headers = {"authorization": "Bearer lab-token"}
    assert tower.answer("GET", "/api/v2/hosts/", "", headers, b"").status == 404
    assert tower.answer("GET", "/api/controller/v2/hosts/", "", headers, b"").status == 200
    assert "apis" in json.loads(tower.answer("GET", "/api/", "", {}, b"").body)


def test_a_token_sees_and_changes_only_its_inventories(tower: Tower) -> None:
    tower.add_inventory("other")
    tower.add_host("fleet", "mine")
    theirs = tower.add_host("other", "theirs")
    tower.add_token("limited", inventories={"fleet"}, templates={"provision"})
    _, page = ask(tower, "GET", "hosts/", token="limited")
    assert [host["name"] for host in page["results"]] == ["mine"]
    assert ask(tower, "GET", f"hosts/{theirs}/", token="limited")[0] == 403
    assert ask(tower, "POST", "bulk/host_delete/", {"hosts": [theirs, 1]}, token="limited")[0] == 403
    assert len(tower.hosts()) == 2
    tower.revoke_token("limited")
    assert ask(tower, "GET", "hosts/", token="limited")[0] == 401


def test_several_conditions_meet(tower: Tower) -> None:
    for number in range(30):
        tower.add_host("fleet", f"h{number:02}", {"n": number}, f"i-{number % 3}", groups=["odd"] if number % 2 else [])
    for query, names in (
        ("name__in=h01,h02,nosuch&order_by=-name", ["h02", "h01"]),
        ("instance_id__in=i-1&groups__name=odd&id__lte=10&order_by=id", ["h01", "h07"]),
        ("or__name=h03&or__name__startswith=h29&order_by=id", ["h03", "h29"]),
        ("not__groups__name=odd&name__gt=h27", ["h28"]),
        ("groups__isnull=true&name__endswith=6&order_by=-id", ["h26", "h16", "h06"]),
        ("order_by=instance_id,-name&page_size=2&page=2", ["h21", "h18"]),
        ("variables__contains=%22n%22%3A%2012", ["h12"]),
    ):
        status, page = ask(tower, "GET", f"hosts/?{query}")
        assert (status, [host["name"] for host in page["results"]]) == (200, names), query


def test_thousands_of_hosts_are_paged_completely(tower: Tower) -> None:
    for first in range(0, 3000, 100):
        hosts = [{"name": f"i-{number:05}", "instance_id": "x"} for number in range(first, first + 100)]
        assert ask(tower, "POST", "bulk/host_create/", {"inventory": 1, "hosts": hosts})[0] == 201
    seen: list[int] = []
    path: str | None = "hosts/?order_by=id&page_size=200"
    while path:
        _, page = ask(tower, "GET", path)
        seen += [host["id"] for host in page["results"]]
        path = page["next"] and page["next"].removeprefix("/api/v2/")
    assert seen == list(range(1, 3001))


def test_the_server_tells_towers_time(base: str, tower: Tower, clock: StillClock) -> None:
    tower.clock_skew = -120.0
    answer = requests.get(f"{base}/api/v2/ping/", timeout=5)
    assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == clock.now - 120.0


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_a_tower_may_have_an_odd_date_or_none(base: str, tower: Tower, date: str) -> None:
    tower.date = date
    assert requests.get(f"{base}/api/v2/ping/", timeout=5).headers.get("Date", "") == date


def test_a_tower_that_is_away_refuses_and_comes_back(base: str, tower: Tower, clock: StillClock) -> None:
    tower.refuse(status=502)
    assert requests.get(f"{base}/api/v2/ping/", timeout=5).status_code == 502
    tower.refuse(status=None)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{base}/api/v2/ping/", timeout=5)
    tower.come_back()
    assert requests.get(f"{base}/api/v2/ping/", timeout=5).status_code == 200
    assert [one.status for one in tower.requests()] == [502, None, 200]
    tower.refuse(for_seconds=60)
    clock.now += 59
    assert requests.get(f"{base}/api/v2/ping/", timeout=5).status_code == 503
    clock.now += 1
    assert requests.get(f"{base}/api/v2/ping/", timeout=5).status_code == 200


def test_a_test_need_not_wait_for_its_jobs() -> None:
    clock = SkippingClock()
    tower = Tower(boot_time=0.0, job_time=3600.0, clock=clock, wait=clock.skip)
    tower.add_inventory("fleet")
    tower.add_host("fleet", "a")
    tower.add_job_template("provision", "fleet")
    began = time.time()
    job = tower.wait_for_job(tower.run_playbook("provision", "a").id, timeout=2 * 3600)
    assert (job.status, job.hosts) == ("successful", {"a": "ok"})
    assert job.finished is not None
    assert job.started is not None
    assert job.finished - job.started >= 3600
    assert time.time() - began < 600
    with pytest.raises(TimeoutError, match="running after 60 s"):
        tower.wait_for_job(tower.run_playbook("provision", "a").id, timeout=60)


def test_a_restore_puts_back_what_was_there_then_and_nothing_else(tower: Tower, clock: StillClock) -> None:
    tower.add_host("fleet", "kept", {"colour": "red"}, groups=["web"])
    tower.add_host("fleet", "removed", groups=["web"])
    before = tower.hosts()
    backup = tower.back_up()
    clock.now += 100
    tower.remove_host("removed")
    ask(tower, "PATCH", "hosts/1/", {"variables": "colour: blue"})
    tower.add_host("fleet", "new", groups=["db"])
    tower.run_playbook("provision", "new")
    clock.now += 100
    tower.restore(backup)
    assert tower.hosts() == before
    assert tower.groups("fleet") == {"web": ("kept", "removed")}
    assert tower.jobs() == []
    assert ask(tower, "GET", "hosts/3/")[0] == 404
    assert tower.add_host("fleet", "newer") == 3
    tower.remove_host("kept")
    tower.restore(backup)
    assert tower.hosts() == before


def test_a_life_tells_when_its_host_joined_its_first_group(tower: Tower, clock: StillClock) -> None:
    tower.add_host("fleet", "a")
    assert [life.joined for life in tower.host_lives()] == [None]
    clock.now += 5
    tower.add_group("fleet", "web", hosts=["a"])
    clock.now += 5
    tower.add_group("fleet", "db", hosts=["a"])
    assert [life.joined for life in tower.host_lives()] == [clock.now - 5]
    tower.remove_host("a")
    assert [life.joined for life in tower.host_lives()] == [clock.now - 5]


def test_what_a_restore_undid_is_remembered(tower: Tower, clock: StillClock) -> None:
    tower.add_host("fleet", "kept")
    first = tower.run_playbook("provision", "kept")
    clock.now += 10
    backup = tower.back_up()
    tower.add_host("fleet", "new")
    second = tower.run_playbook("provision", "new")
    clock.now += 10
    restored_at = clock.now
    tower.restore(backup)
    assert [(job.id, job.hosts) for job in tower.jobs()] == [(first.id, {"kept": "ok"})]
    assert [(job.id, job.hosts) for job in tower.jobs_ever()] == [
        (first.id, {"kept": "ok"}),
        (second.id, {"new": "ok"}),
    ]
    lives = {(life.name, life.restored): (life.created, life.removed) for life in tower.host_lives()}
    assert lives == {
        ("kept", False): (restored_at - 20, restored_at),
        ("kept", True): (restored_at, None),
        ("new", False): (restored_at - 10, restored_at),
    }


def test_what_a_host_was_before_it_was_changed_is_remembered(tower: Tower, clock: StillClock) -> None:
    def periods() -> list[tuple[float, float | None, str, str, str, str, bool]]:
        (life,) = tower.host_lives()
        return [
            (
                *(each.begun - start, each.ended and each.ended - start, each.address),
                *(each.group, each.account, each.vpc, each.by_hand),
            )
            for each in life.periods
        ]

    start = clock.now
    marker = {"group": "web", "account": "1", "vpc": "vpc-1", "instance_id": "i-a"}
    variables = {"ansible_host": "10.0.0.1", "rollcall": marker}
    ask(tower, "POST", "hosts/", {"name": "i-a", "inventory": 1, "variables": json.dumps(variables)})
    clock.now += 10
    ask(tower, "PATCH", "hosts/1/", {"variables": json.dumps(variables | {"colour": "red"}), "description": "old"})
    tower.age_host("i-a", "fleet", 3600)
    first = (0, None, "10.0.0.1", "web", "1", "vpc-1", False)
    assert periods() == [first]
    tower.edit_host("i-a", "fleet", variables | {"ansible_host": "10.0.0.2"})
    clock.now += 10
    ask(tower, "PATCH", "hosts/1/", {"variables": ""})
    clock.now += 10
    tower.remove_host("i-a")
    assert periods() == [
        (0, 10, *first[2:]),
        (10, 20, "10.0.0.2", "web", "1", "vpc-1", True),
        (20, 30, "i-a", "", "", "", False),
    ]


def test_what_a_person_made_or_restored_is_known_as_theirs(tower: Tower, clock: StillClock) -> None:
    tower.add_host("fleet", "of-a-person")
    ask(tower, "POST", "bulk/host_create/", {"inventory": 1, "hosts": [{"name": "of-a-client"}]})
    clock.now += 10
    tower.restore(tower.back_up())
    lives = {(life.name, life.restored): life.periods for life in tower.host_lives()}
    assert {each: [(period.begun, period.ended, period.by_hand) for period in lives[each]] for each in lives} == {
        ("of-a-person", False): [(clock.now - 10, clock.now, True)],
        ("of-a-client", False): [(clock.now - 10, clock.now, False)],
        ("of-a-person", True): [(clock.now, None, True)],
        ("of-a-client", True): [(clock.now, None, True)],
    }


def test_a_job_that_ran_in_the_state_restored_has_failed_and_new_ones_run(tower: Tower, clock: StillClock) -> None:
    tower.add_host("fleet", "kept")
    tower.run_playbook("provision", "kept")
    clock.now += 1
    backup = tower.back_up()
    tower.restore(backup)
    (job,) = tower.jobs()
    assert (job.status, job.hosts) == ("failed", {})
    assert "marked as running at system start up" in job.explanation
    tower.run_playbook("provision", "kept")
    clock.now += 10
    assert [job.status for job in tower.jobs()] == ["failed", "successful"]


def test_a_slow_answer_does_not_hold_up_the_others(listen: None) -> None:
    tower = Tower(latency=Latency(ping=0.0, other=1.5))
    with tower.serve() as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(b"GET /api/v2/me/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer lab-token\r\n\r\n")
            started = time.monotonic()
            assert requests.get(f"{url}/api/v2/ping/", timeout=5).status_code == 200
            assert time.monotonic() - started < 1.0
            assert slow.recv(1024).startswith(b"HTTP/1.1 200")
            assert time.monotonic() - started > 1.0


def test_each_nth_request_is_refused_until_told_otherwise(base: str, tower: Tower) -> None:
    tower.add_host("fleet", "a")
    tower.refuse_some(2)
    assert [ping(base).status_code for _ in range(4)] == [200, 503, 200, 503]
    tower.refuse_some(None)
    assert ping(base).status_code == 200
    tower.refuse_some(1, 429, methods={"DELETE"}, contains="/hosts/")
    headers = {"Authorization": f"Bearer {tower.token}"}
    refused = requests.delete(f"{base}/api/v2/hosts/1/", headers=headers, timeout=5)
    assert (refused.status_code, refused.headers["Retry-After"], refused.headers["Content-Type"]) == (
        429,
        "1",
        "text/html",
    )
    assert [host.name for host in tower.hosts()] == ["a"]
    assert requests.get(f"{base}/api/v2/hosts/1/", headers=headers, timeout=5).status_code == 200
    assert ping(base).status_code == 200
    tower.come_back()
    assert requests.delete(f"{base}/api/v2/hosts/1/", headers=headers, timeout=5).status_code == 204


def test_the_most_requests_in_hand_at_once_are_counted(listen: None) -> None:
    tower = Tower(latency=Latency(ping=0.3, workers=1))
    with tower.serve() as url:
        assert ping(url).status_code == 200
        assert tower.most_at_once() == 1
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(ping, [url] * 3))
        assert tower.most_at_once() == 3
        tower.forget_requests()
        assert tower.most_at_once() == 0
        ping(url)
        assert tower.most_at_once() == 1


def test_a_request_is_recorded_from_its_arrival_to_its_answer(listen: None) -> None:
    tower = Tower(latency=Latency(ping=0.2))
    with tower.serve() as url:
        before = time.time()
        ping(url)
        (record,) = tower.requests()
        # The latency is counted by another clock than these times, so it may seem a millisecond shorter.
        assert before <= record.time < record.time + 0.19 <= record.ended <= time.time()


def ping(url: str) -> requests.Response:
    return requests.get(f"{url}/api/v2/ping/", timeout=5)


# What a token may do, as Tower shows it


def capabilities(tower: Tower, path: str, token: str) -> dict[str, bool]:
    status, answer = ask(tower, "GET", path, token=token)
    assert status == 200
    found: dict[str, bool] = answer["results"][0]["summary_fields"]["user_capabilities"]
    return found


@pytest.mark.parametrize("path", ["me/", "inventories/", "job_templates/"])
def test_a_token_that_may_only_read_shows_no_capability_whatever_its_users_roles(tower: Tower, path: str) -> None:
    tower.add_token("reader", read_only=True)
    assert not any(capabilities(tower, path, "reader").values())
    assert capabilities(tower, path, tower.token)["edit"]


def test_what_may_only_be_read_shows_so(tower: Tower) -> None:
    tower.add_token("guest", inventories=(), templates=(), readable=["fleet"], readable_templates=["provision"])
    assert not capabilities(tower, "inventories/", "guest")["edit"]
    assert not capabilities(tower, "job_templates/", "guest")["start"]
    assert ask(tower, "GET", "job_templates/1/launch/", token="guest")[0] in (403, 404)


def test_settings_are_read_by_administrators_only(tower: Tower) -> None:
    tower.add_token("user", inventories=["fleet"], templates=["provision"])
    tower.bulk_limits = (5, 6)
    status, settings = ask(tower, "GET", "settings/bulk/")
    assert (status, settings["BULK_HOST_MAX_CREATE"], settings["BULK_HOST_MAX_DELETE"]) == (200, 5, 6)
    assert ask(tower, "GET", "settings/bulk/", token="user")[0] == 403


# An ordinary user: no administrator, with roles that were granted through the API


@pytest.fixture
def user(tower: Tower) -> int:
    """The id of somebody with the token "user" and without any role."""
    _, made = ask(tower, "POST", "users/", {"username": "fleet", "password": "x"})
    tower.add_token("user", inventories=(), templates=(), username="fleet")
    assert ask(tower, "GET", "me/", token="user")[1]["results"][0]["id"] == made["id"]
    return int(made["id"])


def grant(tower: Tower, user: int, path: str, role: str, **more: object) -> None:
    _, row = ask(tower, "GET", path)
    body = {"id": row["summary_fields"]["object_roles"][role]["id"], **more}
    assert ask(tower, "POST", f"users/{user}/roles/", body)[0] == 204


def template_id(tower: Tower) -> int:
    return int(ask(tower, "GET", "job_templates/")[1]["results"][0]["id"])


def test_a_role_that_is_granted_counts_until_it_is_taken_away(tower: Tower, user: int) -> None:
    host = tower.add_host("fleet", "a")
    assert ask(tower, "GET", "hosts/", token="user")[1]["count"] == 0
    grant(tower, user, "inventories/1/", "read_role")
    assert ask(tower, "GET", "hosts/", token="user")[1]["count"] == 1
    assert ask(tower, "PATCH", f"hosts/{host}/", {"enabled": False}, token="user")[0] == 403
    assert capabilities(tower, "inventories/", "user") == dict.fromkeys(("edit", "delete", "adhoc", "copy"), False)
    grant(tower, user, "inventories/1/", "admin_role")
    assert ask(tower, "PATCH", f"hosts/{host}/", {"enabled": False}, token="user")[0] == 200
    assert capabilities(tower, "inventories/", "user") == {"edit": True, "delete": True, "adhoc": True, "copy": False}
    for role in ("admin_role", "read_role"):
        grant(tower, user, "inventories/1/", role, disassociate=True)
    assert ask(tower, "GET", f"hosts/{host}/", token="user")[0] == 403


def test_roles_are_granted_by_administrators_only(tower: Tower, user: int) -> None:
    assert ask(tower, "POST", f"users/{user}/roles/", {"id": 1}, token="user")[0] == 403
    assert ask(tower, "POST", "users/", {"username": "x", "password": "x"}, token="user")[0] == 403
    assert ask(tower, "POST", f"users/{user}/roles/", {"id": 999})[0] == 400


def test_an_ordinary_user_sees_no_organization_project_or_setting(tower: Tower, user: int) -> None:
    grant(tower, user, "inventories/1/", "admin_role")
    assert ask(tower, "GET", "organizations/", token="user")[1]["count"] == 0
    assert ask(tower, "GET", "projects/", token="user")[1]["count"] == 0
    assert ask(tower, "GET", "organizations/1/", token="user")[0] == 403
    assert ask(tower, "GET", "settings/bulk/", token="user")[0] == 403
    assert [row["username"] for row in ask(tower, "GET", "users/", token="user")[1]["results"]] == ["fleet"]


@pytest.mark.parametrize(
    ("role", "sees", "launches"),
    [("read_role", True, False), ("execute_role", True, True), ("admin_role", True, True), (None, False, False)],
)
def test_jobs_are_seen_by_whoever_may_read_their_template(
    tower: Tower, user: int, role: str | None, sees: bool, launches: bool
) -> None:
    path = f"job_templates/{template_id(tower)}/"
    job = tower.run_playbook("provision", "a").id
    grant(tower, user, "inventories/1/", "admin_role")
    if role:
        grant(tower, user, path, role)
    assert ask(tower, "GET", f"{path}jobs/", token="user")[0] == (200 if sees else 403)
    assert ask(tower, "GET", f"jobs/{job}/", token="user")[0] == (200 if sees else 403)
    assert ask(tower, "GET", "jobs/", token="user")[1]["count"] == int(sees)
    assert ask(tower, "POST", f"{path}launch/", {"limit": "a"}, token="user")[0] == (201 if launches else 403)


def test_an_inventory_that_a_launch_names_must_be_one_to_use(tower: Tower, user: int) -> None:
    other = tower.add_inventory("other")
    tower.add_job_template("anywhere")
    path = "job_templates/anywhere++Default/"
    grant(tower, user, path, "execute_role")
    grant(tower, user, f"inventories/{other}/", "read_role")
    body = {"limit": "a", "inventory": other}
    assert ask(tower, "POST", f"{path}launch/", body, token="user")[0] == 403
    grant(tower, user, f"inventories/{other}/", "use_role")
    assert ask(tower, "POST", f"{path}launch/", body, token="user")[0] == 201


def test_whose_job_an_ordinary_user_may_cancel(tower: Tower, clock: StillClock, user: int) -> None:
    path = f"job_templates/{template_id(tower)}/"
    grant(tower, user, path, "execute_role")
    anothers = tower.run_playbook("provision", "a").id
    _, own = ask(tower, "POST", f"{path}launch/", {"limit": "a"}, token="user")
    assert ask(tower, "POST", f"jobs/{anothers}/cancel/", token="user")[0] == 403
    assert ask(tower, "GET", f"jobs/{anothers}/cancel/", token="user")[1] == {"can_cancel": True}
    assert ask(tower, "POST", f"jobs/{own['id']}/cancel/", token="user")[0] == 202
    clock.now += 10
    assert ask(tower, "POST", f"jobs/{own['id']}/cancel/", token="user")[0] == 403, "it has ended"
    assert ask(tower, "GET", f"jobs/{own['id']}/cancel/", token="user")[1] == {"can_cancel": False}
    assert ask(tower, "POST", f"jobs/{own['id']}/cancel/")[0] == 405, "superusers get another answer"
    again = tower.run_playbook("provision", "a", username="fleet").id
    assert ask(tower, "POST", f"jobs/{again}/cancel/", token="user")[0] == 202
    grant(tower, user, path, "admin_role")
    later = tower.run_playbook("provision", "a").id
    assert ask(tower, "POST", f"jobs/{later}/cancel/", token="user")[0] == 202


# What a launch may choose


def test_what_is_prompted_for_is_what_the_job_has(tower: Tower) -> None:
    tower.add_job_template(
        "asking", "fleet", ask=["job_type", "tags", "skip_tags"], job_type="check", job_tags="base", skip_tags="slow"
    )
    launch = "job_templates/asking++Default/launch/"
    _, plain = ask(tower, "POST", launch, {"limit": "a"})
    assert (plain["job_type"], plain["job_tags"], plain["skip_tags"]) == ("check", "base", "slow")
    _, whole = ask(tower, "POST", launch, {"limit": "a", "job_type": "run", "job_tags": "", "skip_tags": ""})
    assert (whole["job_type"], whole["job_tags"], whole["skip_tags"]) == ("run", "", "")
    assert whole["ignored_fields"] == {}
    _, found = ask(tower, "GET", "jobs/?job_type=run&job_tags=&skip_tags=")
    assert [row["id"] for row in found["results"]] == [whole["id"]]
    assert [job.job_tags for job in tower.jobs("asking")] == ["base", ""]
    assert ask(tower, "POST", launch, {"limit": "a", "job_type": "scan"})[0] == 400


def test_what_is_not_prompted_for_is_ignored_unless_it_is_what_the_template_has(tower: Tower) -> None:
    tower.add_job_template("fixed", "fleet", job_type="check", job_tags="base")
    body = {"limit": "a", "job_type": "run", "job_tags": "base", "skip_tags": ""}
    _, job = ask(tower, "POST", "job_templates/fixed++Default/launch/", body)
    assert job["ignored_fields"] == {"job_type": "run"}
    assert (job["job_type"], job["job_tags"]) == ("check", "base")


def test_a_person_may_run_a_part_of_a_playbook(tower: Tower) -> None:
    job = tower.run_playbook("provision", "a", job_tags="base", job_type="check")
    assert (job.job_type, job.job_tags, job.skip_tags, job.launched_by) == ("check", "base", "", "operator")


# Limits


def hosts_of(*names: str, inventory: int = 1) -> dict[str, Any]:
    return {"inventory": inventory, "hosts": [{"name": name} for name in names]}


def test_an_organizations_limit_counts_names_and_holds_bulk_creates_whatever_the_licence(tower: Tower) -> None:
    tower.add_organization("small", max_hosts=3)
    first, second = (tower.add_inventory(name, "small") for name in ("one", "two"))
    tower.add_host("one", "a")
    assert ask(tower, "POST", "bulk/host_create/", hosts_of("b", "c", inventory=first))[0] == 201
    status, answer = ask(tower, "POST", "bulk/host_create/", hosts_of("d", inventory=second))
    assert (status, answer["detail"][:55]) == (403, "You have already reached the maximum number of 3 hosts ")
    assert ask(tower, "POST", "hosts/", {"name": "d", "inventory": second})[0] == 201, "nothing counts it one by one"
    tower.set_max_hosts("small", 5)
    assert ask(tower, "POST", "bulk/host_create/", hosts_of("e", inventory=second))[0] == 201
    assert ask(tower, "POST", "bulk/host_create/", hosts_of("f", inventory=1))[0] == 201, "another organization"


def test_a_trial_licence_limits_hosts_and_launches(tower: Tower) -> None:
    tower.license_hosts = 2
    tower.add_host("fleet", "a")
    tower.add_job_template("here", "fleet")
    assert ask(tower, "POST", "bulk/host_create/", hosts_of("b", "c")) == (
        403,
        {"detail": "Host count exceeds available instances."},
    )
    assert ask(tower, "POST", "hosts/", {"name": "b", "inventory": 1})[0] == 201
    assert ask(tower, "POST", "hosts/", {"name": "c", "inventory": 1}) == (
        403,
        {"detail": "License count of 2 instances has been reached."},
    )
    launch = "job_templates/here++Default/launch/"
    assert ask(tower, "POST", launch, {"limit": "a"})[0] == 201
    tower.add_host("fleet", "c")
    assert ask(tower, "POST", launch, {"limit": "a"})[0] == 403
    assert "exceeded" in str(ask(tower, "POST", "hosts/", {"name": "d", "inventory": 1})[1])
    tower.license_hosts = None
    assert ask(tower, "POST", launch, {"limit": "a"})[0] == 201


def test_a_request_that_is_too_large_is_refused_before_tower_sees_it(tower: Tower) -> None:
    tower.longest_body = 200
    status, page = ask(tower, "POST", "bulk/host_create/", hosts_of(*(f"i-{number}" for number in range(20))))
    assert (status, "413 Request Entity Too Large" in page) == (413, True)
    assert ask(tower, "POST", "bulk/host_create/", hosts_of("i-0"))[0] == 201
    assert ask(tower, "GET", "hosts/")[0] == 200


# Copies, other names, and ids that come again


def test_a_copied_inventory_has_hosts_groups_and_markers_of_its_own(tower: Tower, clock: StillClock) -> None:
    variables = {"rollcall": {"group": "web", "instance_id": "i-a"}}
    original = tower.add_host("fleet", "i-a", variables, "i-a", groups=["web"], enabled=False)
    tower.add_host("fleet", "alone")
    tower.add_group("fleet", "empty", "x: 1")
    clock.now += 100
    status, copied = ask(tower, "POST", "inventories/1/copy/", {"name": "copy"})
    assert (status, copied["name"], tower.hosts("copy")) == (201, "copy", [])
    clock.now += 1
    found = {host.name: host for host in tower.hosts("copy")}
    assert found.keys() == {"i-a", "alone"}
    assert (found["i-a"].variables, found["i-a"].instance_id) == (variables, "i-a")
    assert (found["i-a"].groups, found["i-a"].enabled) == (("web",), False)
    assert found["i-a"].id != original
    assert found["i-a"].created > clock.now - 2
    assert tower.groups("copy") == {"web": ("i-a",), "empty": ()}
    assert ask(tower, "POST", "inventories/1/copy/", {"name": "copy"})[0] == 400
    assert ask(tower, "GET", "inventories/1/copy/")[1] == {"can_copy": True}
    assert len(tower.hosts(tower.copy_inventory("fleet", "another"))) == 2


def test_an_ordinary_user_copies_nothing(tower: Tower, user: int) -> None:
    grant(tower, user, "inventories/1/", "admin_role")
    assert ask(tower, "GET", "inventories/1/copy/", token="user")[1] == {"can_copy": False}
    assert ask(tower, "POST", "inventories/1/copy/", {"name": "copy"}, token="user")[0] == 403


def test_a_host_may_get_another_name_and_keeps_the_rest(tower: Tower, clock: StillClock) -> None:
    number = tower.add_host("fleet", "i-a", {"rollcall": {"instance_id": "i-a"}}, "i-a", groups=["web"])
    tower.rename_host("i-a", "fleet", "web-1")
    [host] = tower.hosts("fleet")
    assert (host.id, host.name, host.instance_id, host.groups) == (number, "web-1", "i-a", ("web",))
    assert run(tower, clock, "i-a").hosts == {}


def test_a_job_may_never_end_until_it_is_cancelled(tower: Tower, clock: StillClock) -> None:
    tower.add_host("fleet", "a")
    tower.set_job_time(float("inf"), "provision")
    job = tower.run_playbook("provision", "a")
    clock.now += 1e6
    assert tower.jobs()[-1].status == "running"
    tower.cancel_job(job.id)
    clock.now += 10
    assert tower.jobs()[-1].status == "canceled"


def test_after_a_restore_the_ids_of_jobs_come_again(tower: Tower, clock: StillClock) -> None:
    tower.add_host("fleet", "a")
    run(tower, clock, "a")
    backup = tower.back_up()
    undone = [run(tower, clock, "a").id for _ in range(2)]
    tower.restore(backup)
    assert [run(tower, clock, "a").id for _ in range(2)] == undone


# Playbooks and their events


def listed(tower: Tower, job: int, kind: str, query: str = "") -> list[dict[str, Any]]:
    """Rows of a job's events or summaries."""
    _, page = ask(tower, "GET", f"jobs/{job}/{kind}/?page_size=200&{query}")
    return list(page["results"])


def trouble(tower: Tower, *names: str) -> None:
    """Hosts named a to d, and those that fail of them."""
    for name in "abcd":
        tower.add_host("fleet", name)
    for name in names:
        tower.fail_host(name)


def test_a_fatal_failure_goes_on_into_always_and_leaves_clean_summaries(tower: Tower, clock: StillClock) -> None:
    trouble(tower, "c")
    tower.set_playbook("provision", Playbook(fatal=True, always=True))
    job = run(tower, clock, "all")
    assert (job.status, job.cut_short, job.done) == ("failed", True, frozenset())
    assert {row["host_name"] for row in listed(tower, job.id, "job_host_summaries") if not row["failed"]} == {*"abd"}
    collected = listed(tower, job.id, "job_events", "task=collect&host_name__in=a,b,c,d")
    assert {row["host_name"] for row in collected} == {*"abcd"}
    assert listed(tower, job.id, "job_events", "task=finish") == []
    assert run(tower, clock, "a,b,d").done == {*"abd"}


def test_a_batch_that_never_began_has_no_summary(tower: Tower, clock: StillClock) -> None:
    trouble(tower, "a", "b")
    tower.set_playbook("provision", Playbook(serial=2))
    job = run(tower, clock, "all")
    assert {row["host_name"] for row in listed(tower, job.id, "job_host_summaries")} == {"a", "b"}
    assert (job.status, job.cut_short) == ("failed", True)
    fine = run(tower, clock, "c,d,a")
    starts = listed(tower, fine.id, "job_events", "event=playbook_on_play_start")
    plays = {row["event_data"]["play_uuid"] for row in starts}
    assert len(plays) == len({each.partition("_")[0] for each in plays}) + 1


def test_ignored_unreachability_counts_as_ignored_in_a_successful_job(tower: Tower, clock: StillClock) -> None:
    trouble(tower)
    tower.dark_host("b")
    tower.set_playbook("provision", Playbook(ignores=True))
    job = run(tower, clock, "all")
    assert job.status == "successful"
    assert job.done == {*"acd"}
    [row] = listed(tower, job.id, "job_host_summaries", "ignored__gt=0")
    assert (row["host_name"], row["dark"], row["failed"]) == ("b", 0, False)
    assert {each["host_name"] for each in listed(tower, job.id, "job_events", "event=runner_on_unreachable")} == {"b"}


def test_a_handlers_start_and_its_notifications_say_so(tower: Tower, clock: StillClock) -> None:
    trouble(tower)
    tower.set_playbook("provision", Playbook(handler=True))
    job = run(tower, clock, "a,b")
    starts = listed(tower, job.id, "job_events", "event=playbook_on_task_start")
    assert [row["task"] for row in starts if row["event_data"]["is_conditional"]] == ["restart"]
    notified = listed(tower, job.id, "job_events", "event=playbook_on_notify")
    assert {(row["host_name"], row["event_data"]["handler"]) for row in notified} == {
        ("a", "restart"),
        ("b", "restart"),
    }


def test_each_job_has_a_directory_of_its_own_and_shows_its_projects_revision(tower: Tower, clock: StillClock) -> None:
    trouble(tower)
    tower.set_revision("provision", "c0ffee")
    first = run(tower, clock, "a")
    tower.set_revision("provision", "0ther")
    second = run(tower, clock, "a")
    shown = [ask(tower, "GET", f"jobs/{job.id}/")[1]["scm_revision"] for job in (first, second)]
    assert shown == ["c0ffee", "0ther"]
    _, page = ask(tower, "GET", "jobs/?scm_revision=c0ffee")
    assert [row["id"] for row in page["results"]] == [first.id]
    paths = [
        {row["event_data"]["task_path"] for row in listed(tower, job.id, "job_events", "task=finish&host_name__in=a")}
        for job in (first, second)
    ]
    assert not paths[0] & paths[1]
    assert {path.partition("/project/")[2] for path in paths[0] | paths[1]} == {"site.yml:6"}


def test_jobs_are_found_by_the_hosts_they_ran_on(tower: Tower, clock: StillClock) -> None:
    trouble(tower)
    job = run(tower, clock, "all")
    run(tower, clock, "b")
    query = "or__limit__regex=nothing&or__job_host_summaries__host_name__in=a,nobody"
    _, page = ask(tower, "GET", f"jobs/?{query}")
    assert [row["id"] for row in page["results"]] == [job.id]


def test_the_events_of_a_running_job_come_as_it_goes(tower: Tower, clock: StillClock) -> None:
    trouble(tower)
    tower.set_job_time(10.0)
    job = tower.run_playbook("provision", "all")
    seen = []
    for _ in range(60):
        clock.now += 0.25
        seen.append(len(listed(tower, job.id, "job_events")))
    assert seen == sorted(seen)
    assert len(set(seen)) > 10
    kinds = [row["event"] for row in listed(tower, job.id, "job_events", "order_by=counter")]
    assert (kinds[0], kinds[-1]) == ("playbook_on_start", "playbook_on_stats")


def test_a_job_that_hangs_on_a_host_never_ends_and_its_events_stop(tower: Tower, clock: StillClock) -> None:
    trouble(tower)
    tower.hang_host("b")
    job = tower.run_playbook("provision", "all")
    clock.now += 60.0
    before = listed(tower, job.id, "job_events")
    clock.now += 86_400.0
    assert [row["id"] for row in listed(tower, job.id, "job_events")] == [row["id"] for row in before]
    [row] = [each for each in tower.jobs() if each.id == job.id]
    assert (row.status, row.done) == ("running", frozenset())
    own = {
        name: [
            each["event"]
            for each in sorted(before, key=lambda each: int(each["counter"]))
            if (each["host_name"], each["task"]) == (name, "provision")
        ]
        for name in "ab"
    }
    assert own == {"a": ["runner_on_start", "runner_on_ok"], "b": ["runner_on_start"]}
    tower.cancel_job(job.id)
    clock.now += 5.0
    [row] = [each for each in tower.jobs() if each.id == job.id]
    assert (row.status, row.events_processed) == ("canceled", True)
    tower.heal_hosts()
    assert run(tower, clock, "all").status == "successful"


def test_a_job_whose_node_dies_is_failed_and_its_events_are_never_processed(tower: Tower, clock: StillClock) -> None:
    trouble(tower)
    tower.capacity = 1
    job = tower.run_playbook("provision", "all")
    clock.now += 1.0
    tower.reap_jobs()
    clock.now += 86_400.0
    _, row = ask(tower, "GET", f"jobs/{job.id}/")
    assert (row["status"], row["event_processing_finished"]) == ("failed", False)
    assert row["job_explanation"].startswith("Task was marked as running at system start up")
    assert run(tower, clock, "all").status == "successful"


def test_what_is_not_known_of_a_playbook_is_refused() -> None:
    with pytest.raises(ValueError, match="rescue"):
        Playbook(fatal=True, rescue=True)
