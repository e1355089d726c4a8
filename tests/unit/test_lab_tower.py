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

from lab.tower import JobRecord, Latency, Tower

Answer = tuple[int, Any]


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tower(clock: Clock) -> Tower:
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


def run(tower: Tower, clock: Clock, limit: str, template: str = "provision") -> JobRecord:
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


def test_a_host_is_unreachable_until_its_boot_time_is_over(tower: Tower, clock: Clock) -> None:
    tower.set_boot_time(30.0)
    tower.set_boot_time(0.0, "quick")
    tower.add_host("fleet", "slow")
    tower.add_host("fleet", "quick")
    assert run(tower, clock, "all").hosts == {"slow": "dark", "quick": "ok"}
    clock.now += 30.0
    assert run(tower, clock, "all").hosts == {"slow": "ok", "quick": "ok"}


def test_a_limit_may_name_hosts_and_groups(tower: Tower, clock: Clock) -> None:
    for name in "abcd":
        tower.add_host("fleet", name, groups=["web"] if name in "ab" else [])
    tower.add_host("fleet", "off", enabled=False, groups=["web"])
    assert set(run(tower, clock, "web").hosts) == {"a", "b"}
    assert set(run(tower, clock, "web:d").hosts) == {"a", "b", "d"}
    assert set(run(tower, clock, "c,nosuch").hosts) == {"c"}
    assert set(run(tower, clock, "").hosts) == {"a", "b", "c", "d"}


def test_a_limit_is_resolved_when_the_job_starts(tower: Tower, clock: Clock) -> None:
    tower.add_host("fleet", "early")
    tower.capacity = 0
    job = tower.run_playbook("provision", "all")
    tower.remove_host("early")
    tower.add_host("fleet", "late", {"ansible_host": "10.0.0.9"})
    tower.capacity = 1
    clock.now += 5.0
    (row,) = (row for row in tower.jobs() if row.id == job.id)
    assert (row.hosts, row.addresses) == ({"late": "ok"}, {"late": "10.0.0.9"})


def test_rules_apply_to_hosts_that_come_later(tower: Tower, clock: Clock) -> None:
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
def test_a_play_cut_short_leaves_as_many_events_as_asked_for(tower: Tower, clock: Clock, count: int) -> None:
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


def test_jobs_beyond_the_capacity_stay_pending(tower: Tower, clock: Clock) -> None:
    tower.capacity = 2
    for name in "abc":
        tower.add_host("fleet", name)
        tower.run_playbook("provision", name)
    clock.now += 1.0
    assert [job.status for job in tower.jobs()] == ["running", "running", "pending"]
    clock.now += 1.4
    assert [job.status for job in tower.jobs()] == ["successful", "successful", "running"]


def test_a_template_without_allow_simultaneous_queues_behind_itself(tower: Tower, clock: Clock) -> None:
    tower.add_job_template("serial", "fleet", allow_simultaneous=False)
    tower.add_host("fleet", "a")
    for _ in range(2):
        tower.run_playbook("serial", "a")
    clock.now += 1.0
    assert [job.status for job in tower.jobs("serial")] == ["running", "pending"]


@pytest.mark.parametrize("status", ["error", "canceled", "failed"])
def test_the_next_job_ends_as_told_and_touches_no_host(tower: Tower, clock: Clock, status: str) -> None:
    tower.end_next_jobs(status, explanation="lost")
    tower.add_host("fleet", "a")
    job = run(tower, clock, "a")
    assert (job.status, job.hosts, job.explanation) == (status, {}, "lost")
    assert ask(tower, "GET", f"jobs/{job.id}/job_host_summaries/")[1]["count"] == 0
    assert run(tower, clock, "a").status == "successful"


def test_a_job_longer_than_its_template_allows_times_out(tower: Tower, clock: Clock) -> None:
    tower.add_job_template("hasty", "fleet", timeout=5)
    tower.set_job_time(60.0, "hasty")
    tower.add_host("fleet", "a")
    job = run(tower, clock, "a", "hasty")
    assert (job.status, job.explanation, job.hosts) == ("failed", "Job terminated due to timeout", {})


def test_the_durations_of_jobs_are_spread_evenly_about_the_job_time(clock: Clock) -> None:
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


def test_a_broken_template_fails_on_every_host(tower: Tower, clock: Clock) -> None:
    tower.add_host("fleet", "a")
    tower.break_template("provision")
    assert run(tower, clock, "a").hosts == {"a": "failed"}
    tower.break_template("provision", status="error")
    assert run(tower, clock, "a").status == "error"
    tower.break_template("provision", broken=False)
    assert run(tower, clock, "a").status == "successful"


def test_a_template_that_does_not_prompt_runs_on_every_host(tower: Tower, clock: Clock) -> None:
    number = tower.add_job_template("blunt", "fleet", ask_limit=False)
    tower.add_host("fleet", "a")
    tower.add_host("fleet", "b")
    status, answer = ask(tower, "POST", f"job_templates/{number}/launch/", {"limit": "a"})
    assert (status, answer["ignored_fields"]) == (201, {"limit": "a"})
    clock.now += 1.0
    assert set(tower.jobs()[0].hosts) == {"a", "b"}


def test_a_canceled_job_ends_soon_and_only_once(tower: Tower, clock: Clock) -> None:
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


def test_the_whole_clock_of_a_tower_can_be_off(tower: Tower, clock: Clock) -> None:
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


def test_the_server_tells_towers_time(base: str, tower: Tower, clock: Clock) -> None:
    tower.clock_skew = -120.0
    answer = requests.get(f"{base}/api/v2/ping/", timeout=5)
    assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == clock.now - 120.0


def test_a_tower_that_is_away_refuses_and_comes_back(base: str, tower: Tower) -> None:
    tower.refuse(status=502)
    assert requests.get(f"{base}/api/v2/ping/", timeout=5).status_code == 502
    tower.refuse(status=None)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{base}/api/v2/ping/", timeout=5)
    tower.come_back()
    assert requests.get(f"{base}/api/v2/ping/", timeout=5).status_code == 200
    assert [one.status for one in tower.requests()] == [502, None, 200]
    tower.refuse(for_seconds=0.05)
    time.sleep(0.06)
    assert requests.get(f"{base}/api/v2/ping/", timeout=5).status_code == 200


def test_a_restore_puts_back_what_was_there_then_and_nothing_else(tower: Tower, clock: Clock) -> None:
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


def test_a_life_tells_when_its_host_joined_its_first_group(tower: Tower, clock: Clock) -> None:
    tower.add_host("fleet", "a")
    assert [life.joined for life in tower.host_lives()] == [None]
    clock.now += 5
    tower.add_group("fleet", "web", hosts=["a"])
    clock.now += 5
    tower.add_group("fleet", "db", hosts=["a"])
    assert [life.joined for life in tower.host_lives()] == [clock.now - 5]
    tower.remove_host("a")
    assert [life.joined for life in tower.host_lives()] == [clock.now - 5]


def test_what_a_restore_undid_is_remembered(tower: Tower, clock: Clock) -> None:
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


def test_what_a_host_was_before_it_was_changed_is_remembered(tower: Tower, clock: Clock) -> None:
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
    ask(tower, "PATCH", "hosts/1/", {"variables": json.dumps(variables | {"colour": "red"}), "enabled": False})
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


def test_what_a_person_made_or_restored_is_known_as_theirs(tower: Tower, clock: Clock) -> None:
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


def test_a_job_that_ran_in_the_state_restored_has_failed_and_new_ones_run(tower: Tower, clock: Clock) -> None:
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
        assert before <= record.time < record.time + 0.2 <= record.ended <= time.time()


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
