"""Notifications of incidents: when, how often, and that one is over."""

from __future__ import annotations

from copy import replace
from itertools import batched
from typing import Any
from uuid import uuid4

import pytest

from rollcall.alerting.dispatch import CLAIM, SENDING_TIME
from rollcall.alerting.due import NEWS_EVERY, REFUSED_FOR
from rollcall.alerting.incident import EVENT_IDS_KEPT, GROUPS_KEPT, SUBJECTS_KEPT, IncidentSeverity, NotificationKind
from rollcall.alerting.sources import LATE
from rollcall.alerting.store import write_incident
from rollcall.domain.errors import BadSettings, ChannelRefused, ChannelUnavailable, Throttled
from rollcall.telemetry.event_details import REASON_MAX
from unit.alert_world import NOW, PATIENCE, Desk, alarm, end, event, failed, read, trouble

AWAY = "TowerUnavailable"
BAD = "BadSettings: group web"
STUCK = "instances: group web"
QUIET = 60 + LATE  # seconds after which what is reported again within a minute is over


@pytest.fixture
def desk() -> Desk:
    return Desk()


def bad(at: float = NOW, event_id: str = "", **detail: Any) -> dict[str, Any]:
    """Trouble that an operator has to fix."""
    return failed(at, event_id, **{"cause": BAD, "transient": False, "reason": "group 'web': fix the tag", **detail})


def held(instance: str, at: float = NOW, event_id: str = "", group: str = "web", reason: str = "") -> dict[str, Any]:
    """An instance that waits for what does not come by itself; reported once."""
    detail: dict[str, Any] = {"transient": False, "again_within": None, "reason": reason or f"{instance} is held"}
    return failed(at, event_id, group=group, instance_id=instance, cause=f"instance: {group}/{instance}", **detail)


def done(instance: str, at: float = NOW, kind: str = "Instance Ready") -> dict[str, Any]:
    return event(kind, at, group="web", instance_id=instance, troubled=True)


# When


def test_what_an_operator_has_to_fix_is_sent_at_once_everywhere(desk: Desk) -> None:
    assert desk.take(bad()) == [None]
    assert desk.pagerduty.opened() == desk.slack.opened() == [BAD]
    [notification] = desk.slack.heard
    assert "fix the tag" in notification.reason


def test_what_passes_by_itself_is_sent_once_it_has_lasted(desk: Desk) -> None:
    for seconds in (0, 300, 599):
        desk.now = NOW + seconds
        desk.take(failed(desk.now, again_within=400))
    assert desk.slack.opened() == []
    desk.now = NOW + 600
    desk.take(failed(desk.now, again_within=400))
    assert desk.slack.opened() == desk.pagerduty.opened() == [AWAY]


def test_what_has_been_failing_for_long_when_it_is_first_sent_has_lasted(desk: Desk) -> None:
    desk.take(failed(failing_for=599.0))
    assert desk.slack.opened() == []
    desk.take(failed(failing_for=600.0))
    assert desk.slack.opened() == [AWAY]


def test_it_is_the_problem_that_has_to_last_not_the_silence_after_it(desk: Desk) -> None:
    desk.take(failed(again_within=5000))
    desk.sweep(NOW + 1000)
    assert desk.slack.opened() == []


def test_what_is_over_before_it_is_worth_sending_is_never_sent(desk: Desk) -> None:
    desk.take(failed())
    desk.sweep(NOW + QUIET)
    assert desk.slack.heard == desk.pagerduty.heard == []
    assert desk.table.open() == []


def test_without_patience_everything_is_sent_at_once() -> None:
    desk = Desk(patience=0)
    desk.take(failed())
    assert desk.slack.opened() == [AWAY]


@pytest.mark.parametrize("transient", [(True, False), (False, True)])
def test_one_of_many_that_does_not_pass_by_itself_is_sent_at_once(desk: Desk, transient: tuple[bool, bool]) -> None:
    desk.take(*[failed(transient=each) for each in transient])
    assert desk.slack.opened() == [AWAY]


# Once


def test_a_large_scale_out_of_one_cause_is_one_incident_with_a_count(desk: Desk) -> None:
    large_scale_out = [failed(NOW, instance_id=f"i-{number}", failing_for=700.0) for number in range(1000)]
    desk.take(*large_scale_out)
    [notification] = desk.pagerduty.heard
    assert (notification.count, len(notification.subjects), notification.groups) == (1000, SUBJECTS_KEPT, ("web",))
    assert "1,000 times" in notification.extent
    assert "at least 300 instances" in notification.extent


def test_what_is_sent_already_is_sent_again_only_when_it_has_grown_tenfold(desk: Desk) -> None:
    desk.take(bad(), bad())
    desk.take(*[bad() for _ in range(17)])
    assert len(desk.slack.opened()) == 1
    desk.take(bad())
    assert [each.count for each in desk.slack.heard] == [2, 20]
    desk.take(*[bad() for _ in range(179)])
    assert len(desk.slack.opened()) == 2
    desk.take(bad())
    assert [each.count for each in desk.slack.heard] == [2, 20, 200]
    assert {each.key for each in desk.slack.heard} == {desk.slack.heard[0].key}


def test_who_fails_too_in_what_an_operator_has_to_fix_is_sent_but_not_at_every_turn(desk: Desk) -> None:
    desk.take(held("i-0"))
    for number in range(1, 9):  # a broken playbook takes one after the other
        desk.now = NOW + 5 * number
        desk.take(held(f"i-{number}", desk.now))
        desk.sweep()
    assert [each.count for each in desk.slack.heard] == [1]
    desk.sweep(NOW + NEWS_EVERY - 1)
    assert len(desk.slack.heard) == 1
    for seconds in range(0, 7200, 60):
        desk.sweep(NOW + NEWS_EVERY + seconds)
    assert [each.count for each in desk.slack.heard] == [1, 9]
    desk.take(held("i-8", desk.now))
    desk.take(held("i-another", desk.now, reason="i-another goes without its retire job"))
    assert "its retire job" in desk.slack.heard[-1].reason
    assert len(desk.slack.heard) == len(desk.pagerduty.heard) == 3


def test_who_fails_too_while_others_are_sent_is_sent_later(desk: Desk) -> None:
    desk.slack.meanwhile = lambda: desk.take(held("i-0b"))
    desk.take(held("i-0a"))
    desk.sweep(NOW + NEWS_EVERY)
    assert [len(each.subjects) for each in desk.slack.heard] == [1, 2]


def test_who_fails_too_in_what_passes_by_itself_is_no_news(desk: Desk) -> None:
    desk.take(failed(failing_for=700.0, again_within=5000))
    desk.now = NOW + NEWS_EVERY
    desk.take(failed(desk.now, instance_id="i-0b", again_within=5000))
    assert len(desk.slack.heard) == 1


def test_what_comes_back_before_its_end_is_sent_with_another_is_news(desk: Desk) -> None:
    desk.take(bad())
    desk.now = NOW + NEWS_EVERY
    desk.take(bad(desk.now))
    assert len(desk.slack.heard) == 1
    desk.now += NEWS_EVERY
    desk.take(bad(desk.now, instance_id="i-0b", reason="another matter"))
    assert [each.kind for each in desk.slack.heard] == [NotificationKind.OPEN, NotificationKind.UPDATE]
    assert "another matter" in desk.slack.heard[-1].reason


def test_what_comes_back_with_another_before_its_end_is_sent_is_sent_no_sooner(desk: Desk) -> None:
    desk.take(bad())
    desk.now = NOW + QUIET
    desk.take(bad(desk.now, instance_id="i-0b", again_within=1000))
    assert len(desk.slack.heard) == 1
    desk.sweep(NOW + NEWS_EVERY)
    assert [each.kind for each in desk.slack.heard] == [NotificationKind.OPEN, NotificationKind.UPDATE]


def finding(at: float, *subjects: str) -> list[dict[str, Any]]:
    detail: dict[str, Any] = {
        "kind": "detached",
        "inventory": "fleet",
        "reason": "r",
        "cause": "c",
        "again_within": 400,
    }
    return [event("Conflict Found", at, **detail, subject=each) for each in subjects]


def test_a_finding_is_sent_again_only_for_what_is_new_in_it(desk: Desk) -> None:
    for run in range(50):
        desk.now = NOW + 300 * run
        desk.take(*finding(desk.now, "a", "b"))
    assert [each.subjects for each in desk.slack.heard] == [("fleet/a", "fleet/b")]
    desk.take(*finding(desk.now, "b", "c"))
    assert [len(each.subjects) for each in desk.slack.heard] == [2, 3]


def test_problem_of_two_causes_is_sent_each(desk: Desk) -> None:
    desk.take(bad(), bad(cause="BadSettings: group db", group="db"))
    assert set(desk.slack.opened()) == {BAD, "BadSettings: group db"}
    assert len({each.key for each in desk.slack.heard}) == 2


def test_an_event_that_comes_twice_counts_once(desk: Desk) -> None:
    desk.take(bad(event_id="e1"), bad(event_id="e1"))
    desk.take(bad(event_id="e1"), bad(event_id="e2"))
    assert desk.incident(BAD).count == 2


def test_two_invocations_at_once_send_once(desk: Desk) -> None:
    def another() -> None:
        desk.take(bad())
        desk.sweep()

    desk.pagerduty.meanwhile = another
    desk.take(bad())
    assert desk.pagerduty.opened() == desk.slack.opened() == [BAD]
    assert desk.incident(BAD).count == 2


def test_who_claims_after_another_did_does_not_send(desk: Desk) -> None:
    desk.pagerduty.always = desk.slack.always = ChannelUnavailable("away")
    desk.take(bad(again_within=1000))
    desk.pagerduty.always = desk.slack.always = None
    desk.table.meanwhile = lambda: desk.table.claim(BAD, NOW + CLAIM)  # between the read and the put of our own claim
    desk.sweep()
    assert desk.slack.opened() == []
    desk.table.meanwhile = desk.sweep
    desk.sweep(NOW + CLAIM)
    assert desk.slack.opened() == [BAD]


def test_what_an_invocation_left_that_died_while_sending_is_sent_later(desk: Desk) -> None:
    desk.slack.errors = [SystemExit()]
    with pytest.raises(SystemExit):
        desk.take(bad())
    desk.sweep(NOW + CLAIM - 1)
    assert desk.slack.opened() == []
    desk.take(bad(NOW + 60, again_within=1000))
    desk.sweep(NOW + CLAIM)
    assert desk.slack.opened() == [BAD]
    assert len(set(desk.pagerduty.opened())) == 1


def test_what_is_noted_while_it_is_sent_is_neither_lost_nor_sent_as_known(desk: Desk) -> None:
    def large_scale_out() -> None:
        desk.take(*[bad() for _ in range(20)])

    desk.slack.meanwhile = large_scale_out
    desk.take(bad())
    assert [each.count for each in desk.slack.heard] == [1]
    desk.sweep()
    assert [each.count for each in desk.slack.heard] == [1, 21]


# Its end


def test_it_is_over_when_nothing_is_sent_it_for_as_long_as_it_would_have_been(desk: Desk) -> None:
    desk.take(bad())
    desk.sweep(NOW + QUIET - 1)
    assert desk.slack.over() == []
    desk.sweep(NOW + QUIET)
    assert desk.slack.over() == desk.pagerduty.over() == [BAD]
    desk.sweep(NOW + QUIET + 60)
    assert len(desk.slack.heard) == len(desk.pagerduty.heard) == 2
    assert desk.table.open() == []


def test_the_longest_promise_of_all_who_fail_counts(desk: Desk) -> None:
    desk.take(bad(again_within=240), bad(again_within=15))
    desk.sweep(NOW + 15 + LATE)
    assert desk.slack.over() == []


def test_the_end_is_sent_with_how_often_and_how_long(desk: Desk) -> None:
    desk.take(bad(again_within=120), bad(NOW + 120))
    desk.sweep(NOW + 120 + QUIET)
    notification = desk.slack.heard[-1]
    assert notification.extent == "2 times in 2 min, group web"
    assert (notification.since, notification.last_at) == (NOW, NOW + 120)


@pytest.mark.parametrize("kind", ["Instance Ready", "Instance Abandoned", "Instance Retired"])
def test_an_instance_that_was_stuck_is_over_at_once_when_it_is_done_with(desk: Desk, kind: str) -> None:
    desk.take(held("i-0a"))
    desk.sweep(NOW + 10_000)
    assert desk.slack.over() == []
    desk.take(done("i-0a", NOW + 10_000, kind))
    assert desk.slack.over() == desk.pagerduty.over() == [STUCK]


def test_the_stuck_instances_of_a_group_are_over_with_the_last_of_them(desk: Desk) -> None:
    desk.take(held("i-0a"), held("i-0b"))
    desk.take(held("i-0x", group="db"))
    desk.take(done("i-0a", NOW + 5))
    assert desk.slack.over() == []
    desk.take(done("i-0b", NOW + 6))
    assert desk.slack.over() == [STUCK]
    assert len(desk.table.open()) == 1


def test_what_is_sent_once_of_a_group_is_over_with_its_instance(desk: Desk) -> None:
    desk.take(bad(again_within=None))
    desk.take(done("i-0a", NOW + 5))
    assert desk.slack.over() == [BAD]


def test_an_instance_that_would_have_been_sent_again_is_over_when_it_is_done_with(desk: Desk) -> None:
    desk.take(failed(cause="instance: web/i-0a", failing_for=700.0, again_within=5000))
    assert desk.slack.opened() == ["instance: web/i-0a"]
    desk.take(done("i-0a", NOW + 5))
    assert desk.slack.over() == ["instance: web/i-0a"]


def test_an_instance_that_no_one_hears_of_any_more_is_forgotten(desk: Desk) -> None:
    desk.take(held("i-0a"))
    desk.sweep(NOW + 48 * 3600)
    assert desk.slack.over() == []
    desk.sweep(NOW + 50 * 3600)
    assert desk.slack.over() == [STUCK]


def test_an_alarm_is_over_when_it_is_ok_and_a_misconfiguration_when_it_is_fixed(desk: Desk) -> None:
    detail: dict[str, Any] = {"key": "limit", "severity": "warning", "subject": "s", "reason": "r", "remedy": "m"}
    desk.take(alarm("ALARM"), event("Misconfiguration Found", **detail))
    causes = {"alarm: rollcall-GateErrorAlarm-1", "doctor: limit"}
    assert set(desk.slack.opened()) == causes
    desk.sweep(NOW + 7 * 86_400)
    desk.take(alarm("OK", NOW + 60), event("Misconfiguration Mended", NOW + 60, **detail))
    assert set(desk.slack.over()) == causes


def test_what_says_itself_when_it_is_over_is_never_forgotten(desk: Desk) -> None:
    detail: dict[str, Any] = {"key": "limit", "severity": "warning", "subject": "s", "reason": "r", "remedy": "m"}
    desk.take(alarm("ALARM"), event("Misconfiguration Found", **detail))
    year = NOW + 366 * 86_400
    desk.sweep(year)
    assert desk.slack.over() == []
    desk.take(alarm("OK", year), event("Misconfiguration Mended", year, **detail))
    assert len(desk.slack.over()) == 2


def test_load_balancers_and_the_gate_end_each_what_is_theirs(desk: Desk) -> None:
    detail: dict[str, Any] = {"group": "web", "instance_id": "i-0a", "seconds": 1.0, "reason": "unhealthy"}
    desk.take(event("Instance Not Serving", **detail), held("i-0a"))
    desk.take(event("Instance Serving", NOW + 5, **detail))
    assert desk.slack.over() == ["not serving: group web"]


def test_problem_that_comes_back_after_its_end_is_a_new_incident(desk: Desk) -> None:
    desk.take(bad())
    desk.sweep(NOW + QUIET)
    desk.now = NOW + QUIET + 1
    desk.take(bad(desk.now))
    assert desk.slack.opened() == [BAD, BAD]
    assert desk.slack.heard[-1].count == 1
    assert desk.slack.heard[-1].since == NOW + QUIET + 1


# While Tower comes back


def test_while_some_still_fail_it_is_one_incident(desk: Desk) -> None:
    """Fifty are tried ever more rarely, up to every four minutes, and Tower, back after half an hour, takes some of
    them long before the others.
    """
    due = dict.fromkeys((f"i-{number}" for number in range(50)), 0.0)  # seconds at which each is tried next
    delay = dict.fromkeys(due, 15.0)
    works_at = {name: 1800.0 + 20 * number for number, name in enumerate(due)}
    for seconds in range(0, 3600, 10):
        desk.now = NOW + seconds
        tried = [name for name in due if due[name] <= seconds]
        for name in [name for name in tried if works_at[name] <= seconds]:
            del due[name]
        batch = []
        for name in due.keys() & set(tried):
            due[name], delay[name] = seconds + delay[name], min(240.0, 2 * delay[name])
            again = due[name] - seconds
            batch.append(failed(desk.now, instance_id=name, failing_for=float(seconds), again_within=again))
        desk.take(*batch)
        if seconds % 60 == 0:
            desk.sweep()
    assert not due
    for channel in (desk.pagerduty, desk.slack):
        assert channel.over() == [AWAY]
        assert set(channel.opened()) == {AWAY}
        assert channel.heard[-1].kind == NotificationKind.RESOLVE


def test_a_relapse_has_to_last_again_before_it_is_sent(desk: Desk) -> None:
    desk.take(failed(failing_for=700.0))
    desk.sweep(NOW + QUIET)
    assert desk.slack.over() == [AWAY]
    desk.now = NOW + QUIET + 30
    desk.take(failed(desk.now, failing_for=900.0, again_within=5000))
    assert len(desk.slack.heard) == 2
    desk.now = NOW + QUIET + PATIENCE
    desk.take(failed(desk.now, failing_for=1500.0, again_within=5000))
    assert desk.slack.opened() == [AWAY, AWAY]


def test_who_was_not_sent_the_end_goes_on_with_the_relapse(desk: Desk) -> None:
    desk.take(bad())
    desk.pagerduty.always = ChannelUnavailable("away")
    desk.sweep(NOW + QUIET)
    assert (desk.slack.over(), desk.pagerduty.over()) == ([BAD], [])
    desk.now = NOW + QUIET + 60
    desk.pagerduty.always = None
    desk.take(bad(desk.now))
    assert desk.slack.opened() == [BAD, BAD]
    assert desk.pagerduty.opened() == [BAD]
    assert (desk.incident(BAD).count, desk.incident(BAD).since) == (1, desk.now)
    desk.sweep(desk.now + QUIET)
    assert desk.pagerduty.over() == [BAD]
    assert desk.slack.over() == [BAD, BAD]


def test_what_comes_back_while_its_end_is_sent_is_sent_after_it(desk: Desk) -> None:
    desk.take(bad())
    desk.now = NOW + QUIET + 1

    def large_scale_out() -> None:
        desk.take(*[bad(desk.now) for _ in range(10)])

    desk.pagerduty.meanwhile = large_scale_out
    desk.sweep()
    desk.sweep()
    for channel in (desk.pagerduty, desk.slack):
        assert [each.kind for each in channel.heard] == [
            NotificationKind.OPEN,
            NotificationKind.RESOLVE,
            NotificationKind.OPEN,
        ]
    assert desk.slack.heard[-1].count == 10


# Late, twice, out of order


def test_what_happened_in_the_second_of_its_end_belongs_to_it(desk: Desk) -> None:
    desk.take(held("i-0a"))
    desk.take(done("i-0a", NOW + 60))
    desk.take(held("i-0a", NOW + 60))
    desk.take(bad())
    desk.sweep(NOW + QUIET)
    desk.take(bad(NOW + QUIET))
    assert desk.slack.opened() == [STUCK, BAD]
    assert desk.table.open() == []


def test_what_comes_late_says_nothing_new(desk: Desk) -> None:
    desk.take(bad(NOW + 30, reason="the latest", job_url="https://tower/8", function="gate"))
    desk.take(bad(NOW + 20, reason="older", job_url="https://tower/7"))
    incident = desk.incident(BAD)
    assert (incident.reason, incident.job_url, incident.function) == ("the latest", "https://tower/8", "gate")
    assert (incident.count, incident.since, incident.last_at) == (2, NOW + 20, NOW + 30)


def test_what_happened_before_the_end_and_comes_after_it_is_passed_over(desk: Desk) -> None:
    desk.take(held("i-0a"))
    desk.take(done("i-0a", NOW + 60))
    desk.take(held("i-0a", NOW + 50))
    desk.take(held("i-0b", NOW + 55))
    assert desk.slack.opened() == [STUCK, STUCK]
    assert desk.slack.heard[-1].subjects == ("web/i-0b",)


def test_an_end_that_overtook_what_it_ends_is_remembered(desk: Desk) -> None:
    desk.take(done("i-0a", NOW + 60))
    desk.take(held("i-0a", NOW))
    desk.take(alarm("OK", NOW + 60))
    desk.take(alarm("ALARM", NOW))
    assert desk.slack.heard == []
    desk.take(held("i-0b", NOW + 61))
    desk.take(held("i-0a", NOW))
    assert desk.slack.opened() == [STUCK]
    assert desk.incident(STUCK).subjects == ("web/i-0b",)


def test_an_end_that_comes_late_does_not_end_what_began_after_it(desk: Desk) -> None:
    desk.take(held("i-0a", NOW + 60))
    desk.take(done("i-0a", NOW))
    desk.take(alarm("ALARM", NOW + 60))
    desk.take(alarm("OK", NOW))
    desk.take(failed(NOW + 60, cause="instance: web/i-0c", failing_for=700.0, instance_id="i-0c"), done("i-0c", NOW))
    desk.take(done("i-0c", NOW))
    assert desk.slack.over() == []


def test_in_a_batch_messages_are_taken_in_the_order_in_which_they_happened(desk: Desk) -> None:
    desk.take(done("i-0a", NOW + 60), held("i-0a", NOW))
    assert desk.slack.heard == []
    desk.take(bad(NOW + 60, again_within=None, instance_id="i-0b"), done("i-0b", NOW + 60))
    assert desk.slack.heard == []


def test_what_would_have_been_sent_again_long_ago_is_over_already(desk: Desk) -> None:
    desk.take(failed(NOW - 5000, failing_for=4000.0))
    assert desk.slack.heard == []
    assert desk.table.open() == []


def test_the_latest_words_and_the_worst_severity_are_sent(desk: Desk) -> None:
    desk.take(
        bad(NOW + 30, reason="the latest", job_url=None),
        bad(NOW + 20, reason="older", job_url="https://tower/8"),
        bad(NOW + 25, cause=BAD, transient=True, job_url="https://tower/9"),
    )
    [notification] = desk.slack.heard
    assert (notification.reason, notification.severity) == ("the latest", IncidentSeverity.ERROR)
    assert notification.links[0].url == "https://tower/9"


# Channels in trouble


def test_one_failing_channel_never_silences_the_other(desk: Desk) -> None:
    desk.pagerduty.always = ChannelUnavailable("away")
    desk.take(bad())
    desk.sweep(NOW + QUIET)
    assert (desk.slack.opened(), desk.slack.over()) == ([BAD], [BAD])
    assert desk.pagerduty.heard == []


def test_a_channel_that_was_away_is_sent_by_a_later_sweep_and_the_other_not_twice(desk: Desk) -> None:
    desk.slack.always = ChannelUnavailable("away")
    desk.take(bad(again_within=5000))
    desk.sweep(NOW + 60)
    desk.slack.always = None
    desk.sweep(NOW + 120)
    assert desk.slack.opened() == desk.pagerduty.opened() == [BAD]


def test_a_channel_that_is_away_is_asked_once_an_invocation(desk: Desk) -> None:
    desk.slack.always = ChannelUnavailable("away")
    desk.take(*[bad(cause=f"BadSettings: group g{number}") for number in range(5)])
    assert desk.slack.asked == 1
    assert len(desk.pagerduty.opened()) == 5
    writes = desk.table.writes
    desk.sweep(NOW + 10)
    assert desk.slack.asked == 2
    assert desk.table.writes - writes == 2, "only one of the five is claimed, and given back"
    desk.slack.always = None
    desk.sweep(NOW + 20)
    assert len(desk.slack.opened()) == len(desk.pagerduty.opened()) == 5


@pytest.mark.parametrize("error", [ChannelRefused("400"), BadSettings("no key")])
def test_what_a_channel_refuses_is_not_tried_until_someone_may_have_fixed_it(
    desk: Desk, error: ChannelRefused | BadSettings
) -> None:
    desk.pagerduty.errors = [error]
    desk.take(bad(again_within=10_000))
    for seconds in range(60, int(REFUSED_FOR), 600):
        desk.sweep(NOW + seconds)
    assert (desk.pagerduty.asked, desk.slack.opened()) == (1, [BAD])
    desk.sweep(NOW + REFUSED_FOR)
    assert desk.pagerduty.opened() == [BAD]
    desk.sweep(NOW + 10_000 + LATE)
    assert desk.pagerduty.over() == desk.slack.over() == [BAD]


def test_what_a_channel_refused_it_is_not_sent_the_end_of(desk: Desk) -> None:
    desk.pagerduty.always = ChannelRefused("400")
    desk.take(bad())
    desk.sweep(NOW + QUIET)
    assert desk.pagerduty.asked == 1
    assert desk.slack.over() == [BAD]
    assert desk.table.open() == []


def test_an_end_that_is_refused_is_given_up(desk: Desk) -> None:
    desk.take(bad())
    desk.pagerduty.always = ChannelRefused("400")
    desk.sweep(NOW + QUIET)
    desk.sweep(NOW + QUIET + 60)
    assert desk.pagerduty.asked == 2
    assert desk.table.open() == []


def test_every_attempt_is_reported(desk: Desk) -> None:
    desk.pagerduty.errors, desk.slack.errors = [ChannelRefused("400")], [ChannelUnavailable("away")]
    invocation = desk.invocation()
    invocation.take([])
    assert invocation.deliveries == []
    desk.take(bad())
    swept = desk.sweep(NOW + 10)
    assert [(each.channel, each.kind, each.error) for each in swept.deliveries] == [("slack", "open", None)]


def test_a_channel_that_was_taken_away_keeps_nothing_open(desk: Desk) -> None:
    desk.take(bad())
    del desk.channels["pagerduty"]
    desk.sweep(NOW + QUIET)
    assert desk.slack.over() == [BAD]
    assert desk.table.open() == []


def test_what_the_last_channel_knew_ends_without_anyone(desk: Desk) -> None:
    desk.take(bad())
    desk.channels.clear()
    desk.sweep(NOW + QUIET)
    assert desk.table.open() == []


# Trouble of its own


def test_what_cannot_be_kept_comes_again_and_nothing_else(desk: Desk) -> None:
    trouble = Throttled("DynamoDB is busy")
    desk.table.broken[BAD] = trouble
    assert desk.take(bad(), held("i-0a"), bad()) == [trouble, None, trouble]
    assert desk.slack.opened() == [STUCK]
    del desk.table.broken[BAD]
    assert desk.take(bad()) == [None]
    assert desk.slack.opened() == [STUCK, BAD]


def test_ends_come_again_while_no_one_knows_what_is_open(desk: Desk) -> None:
    desk.table.broken["open"] = trouble = Throttled("DynamoDB is busy")
    assert desk.take(bad(), done("i-0a")) == [None, trouble]
    assert desk.slack.opened() == [BAD]


def test_what_is_kept_and_cannot_be_claimed_is_sent_by_a_sweep(desk: Desk) -> None:
    trouble = Throttled("DynamoDB is busy")
    desk.table.then_broken[BAD] = trouble
    invocation = desk.invocation()
    assert invocation.take([read(bad())]) == [None]
    assert invocation.errors == [trouble]
    desk.table.broken.clear()
    desk.sweep()
    assert desk.slack.opened() == [BAD]


def test_with_no_time_left_sending_is_left_to_the_next_sweep(desk: Desk) -> None:
    desk.seconds_left = SENDING_TIME - 1
    assert desk.take(bad()) == [None]
    assert desk.slack.heard == []
    desk.seconds_left = SENDING_TIME
    desk.sweep()
    assert desk.slack.opened() == [BAD]


def test_the_time_is_looked_at_before_each_channel(desk: Desk) -> None:
    def slowly() -> None:
        desk.seconds_left = SENDING_TIME - 1

    desk.pagerduty.meanwhile = slowly
    desk.take(bad(again_within=5000))
    assert (desk.pagerduty.asked, desk.slack.asked) == (1, 0)
    desk.seconds_left = 100.0
    desk.sweep()
    assert desk.pagerduty.opened() == desk.slack.opened() == [BAD]


def test_a_full_batch_that_comes_again_after_another_counts_once(desk: Desk) -> None:
    batches = [[bad(event_id=f"e{batch}-{number}") for number in range(EVENT_IDS_KEPT // 2)] for batch in range(2)]
    for batch in (*batches, *batches):
        desk.take(*batch)
    assert desk.incident(BAD).count == EVENT_IDS_KEPT


def test_a_sweep_without_anything_due_writes_nothing(desk: Desk) -> None:
    desk.take(bad())
    writes = desk.table.writes
    desk.sweep(NOW + 5)
    assert desk.table.writes == writes


def test_an_incident_stays_within_what_a_table_takes(desk: Desk) -> None:
    names = [f"{number:03}{'g' * 252}" for number in range(SUBJECTS_KEPT)]  # as long as a group's name may be
    events = [str(uuid4()) for _ in range(2 * EVENT_IDS_KEPT)]

    def instance(number: int) -> str:
        return f"i-{number:017x}"

    for batch in batched(enumerate(events), 500):
        desk.take_read(
            [
                replace(trouble(held(instance(number), event_id=each, group=names[number % 300])), cause=STUCK)
                for number, each in batch
            ]
        )
    first = range(SUBJECTS_KEPT)
    over = [event("Instance Ready", NOW - 5, group=names[each], instance_id=instance(each)) for each in first]
    desk.take_read([replace(end(each), cause=STUCK) for each in over])
    incident = replace(desk.incident(STUCK), reason="é" * REASON_MAX)
    assert incident.count == 2 * EVENT_IDS_KEPT
    assert {len(each) for each in (incident.subjects, incident.awaiting_end, incident.endings)} == {SUBJECTS_KEPT}
    assert (len(incident.event_ids), len(incident.groups)) == (EVENT_IDS_KEPT, GROUPS_KEPT)
    assert len(write_incident(incident).encode()) < 390_000


def test_it_is_over_when_all_are_that_are_kept_of_more(desk: Desk) -> None:
    everybody = [f"i-{number:017x}" for number in range(2 * SUBJECTS_KEPT)]
    desk.take(*[held(each) for each in everybody])
    assert desk.slack.over() == []
    desk.take(*[done(each, NOW + 5) for each in everybody])
    assert desk.slack.over() == [STUCK]
    assert len(desk.incident(STUCK).endings) == SUBJECTS_KEPT
