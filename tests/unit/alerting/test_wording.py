"""An incident in words, and where to look further."""

from __future__ import annotations

from copy import replace

import pytest

from rollcall.alerting.incident import Incident, NotificationKind
from rollcall.alerting.wording import AFTER, BEFORE, duration, extent, notification_of
from unit.alert_world import NOW, SETTINGS
from unit.alerting.test_console_links import read_back

ONE = Incident(
    "instances: group web",
    count=1,
    since=NOW,
    last_at=NOW,
    subjects=("web/i-0a",),
    groups=("web",),
    job_url="https://tower/#/jobs/playbook/7",
)


def filter_of(incident: Incident) -> str:
    [link] = [each for each in notification_of(incident, NotificationKind.OPEN, SETTINGS).links if each.text == "Logs"]
    query: str = read_back(link.url)["editorString"]
    return query.splitlines()[1].removeprefix("| filter ")


@pytest.mark.parametrize(
    ("incident", "words"),
    [
        (ONE, "once, group web"),
        (replace(ONE, count=12, last_at=NOW + 540), "12 times in 9 min, group web"),
        (
            replace(ONE, count=1200, last_at=NOW + 20, subjects=("web/a", "db/b"), groups=("web", "db")),
            "1,200 times in 20 s, 2 instances, groups web, db",
        ),
        (Incident("conflict: detached: fleet", count=4, subjects=("fleet/a", "fleet/b")), "4 times, 2 hosts"),
        (
            replace(ONE, count=900, subjects=tuple(f"web/{number}" for number in range(300))),
            "900 times, at least 300 instances, group web",
        ),
        (
            replace(ONE, count=299, subjects=tuple(f"web/{number}" for number in range(299))),
            "299 times, 299 instances, group web",
        ),
        (replace(ONE, groups=tuple("abcdefg")), "once, groups a, b, c, d, e and 2 more"),
        (Incident("alarm: x", count=1, subjects=("x",)), "once"),
    ],
)
def test_the_extent_says_how_often_how_long_and_with_whom(incident: Incident, words: str) -> None:
    assert extent(incident) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(1, "1 s"), (89, "89 s"), (90, "2 min"), (7000, "117 min"), (11_100, "3 h 5 min")]
)
def test_seconds_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_links_lead_to_the_job_and_to_the_log_of_that_time() -> None:
    job, logs = notification_of(replace(ONE, last_at=NOW + 60), NotificationKind.OPEN, SETTINGS).links
    assert (job.text, job.url) == ("Job in Tower", "https://tower/#/jobs/playbook/7")
    found = read_back(logs.url)
    assert (found["start"], found["end"]) == ("2026-11-21T09:50:00.000Z", "2026-11-21T11:01:00.000Z")
    assert (BEFORE, AFTER) == (600, 3600)
    assert found["source"] == list(SETTINGS.log_groups)


def test_an_alarm_is_linked_too() -> None:
    links = notification_of(Incident("alarm: rollcall-x", count=1), NotificationKind.OPEN, SETTINGS).links
    assert [each.text for each in links] == ["Alarm", "Logs"]
    assert links[0].url.endswith("alarm/rollcall-x")


@pytest.mark.parametrize(
    ("incident", "wanted"),
    [
        (ONE, 'instance_id = "i-0a"'),
        (replace(ONE, cause="instance: web/i-0a"), 'instance_id = "i-0a"'),
        (replace(ONE, subjects=("web/i-0a", "web/i-0b")), 'group = "web"'),
        (
            replace(ONE, cause="BadSettings: group web", subjects=("web/a", "web/b")),
            'group = "web" and error = "BadSettings"',
        ),
        (replace(ONE, cause="BadSettings: group web", subjects=("web",)), 'group = "web" and error = "BadSettings"'),
        (replace(ONE, cause="TowerUnavailable", subjects=("a", "b")), 'error = "TowerUnavailable"'),
        (Incident("TowerUnavailable", count=1), 'error = "TowerUnavailable"'),
        (Incident("reconcile: events", count=1), 'level in ["ERROR", "WARNING", "CRITICAL"]'),
        (Incident("cycle: web", count=1, subjects=("web",), groups=("web",)), 'group = "web"'),
        (Incident("bake: web", count=1, subjects=("web",), groups=("web",)), 'group = "web"'),
        (Incident("alarm: x", count=1, subjects=("x",)), 'level in ["ERROR", "WARNING", "CRITICAL"]'),
    ],
)
def test_the_log_is_asked_for_what_the_incident_is_about(incident: Incident, wanted: str) -> None:
    assert filter_of(incident) == wanted


def test_a_notice_names_stack_and_key() -> None:
    notification = notification_of(ONE, NotificationKind.RESOLVE, SETTINGS)
    assert (notification.stack, notification.source) == ("rollcall", "123456789012/us-east-1/rollcall")
    assert notification.key == "rollcall/123456789012/us-east-1/rollcall/instances: group web"
    assert notification.kind == NotificationKind.RESOLVE
