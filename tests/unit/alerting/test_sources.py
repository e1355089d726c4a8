"""What comes to the alert function: each event and alarm, what it is taken for, and how bad it is."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from rollcall.alerting import sources as alert_events
from rollcall.alerting.incident import Ending, IncidentSeverity, Occurrence
from rollcall.alerting.sources import DONE_WITH, LATE, PROBLEMS, REASON_MAX, TEXT_MAX, read_message
from rollcall.domain.errors import BadEvent
from rollcall.domain.event_fields import (
    CONFLICT_FOUND,
    CYCLE_CANCELLED,
    CYCLE_PROGRESS,
    CYCLE_STARTED,
    CYCLE_SUCCEEDED,
    DRIFT_FIXED,
    IMAGE_BAKED,
    IMAGE_RETIRED,
    MISCONFIGURATION_MENDED,
    SERVING,
    WORK_FAILED,
)
from rollcall.domain.reports import Event
from rollcall.reconcile.steps import DriftKind
from unit.alert_world import NOW, alarm, end, event, failed, record, trouble
from unit.emitted import emitted_events

SAMPLES = Path(__file__).parents[3] / "events"
ENDS = (SERVING, MISCONFIGURATION_MENDED, CYCLE_SUCCEEDED, IMAGE_BAKED)  # each of one kind of problem
NO_ALERT = (Event.REGISTERED, DRIFT_FIXED, CYCLE_STARTED, CYCLE_PROGRESS, CYCLE_CANCELLED, IMAGE_RETIRED)
STUCK: dict[str, Any] = {"cause": "instance: web/i-0a", "transient": False, "again_within": None}


def test_work_that_failed_is_problem_of_its_cause_until_it_would_have_been_sent_again() -> None:
    occurrence = trouble(failed(event_id="e1", failing_for=90.0, job_url="https://tower/7", function="gate"))
    assert (occurrence.id, occurrence.cause, occurrence.subject, occurrence.group) == (
        "e1",
        "TowerUnavailable",
        "web/i-0a",
        "web",
    )
    assert (occurrence.at, occurrence.began, occurrence.repeated_until) == (NOW, NOW - 90, NOW + 60 + LATE)
    assert (occurrence.transient, occurrence.ended_by, occurrence.finding) == (True, "", False)
    assert (occurrence.job_url, occurrence.function) == ("https://tower/7", "gate")


def test_what_is_sent_once_of_an_instance_waits_for_the_end_of_that_instance() -> None:
    occurrence = trouble(failed(**STUCK))
    assert (occurrence.ended_by, occurrence.repeated_until) == ("web/i-0a", None)
    assert occurrence.forgotten_at > NOW + 48 * 3600


def test_all_stuck_instances_of_a_group_are_one_incident() -> None:
    causes = {trouble(failed(**STUCK | {"instance_id": each, "cause": f"instance: web/{each}"})).cause for each in "ab"}
    assert causes == {"instances: group web"}


def test_an_instance_that_is_tried_again_is_an_incident_of_its_own() -> None:
    occurrence = trouble(failed(cause="instance: web/i-0a", again_within=45.0))
    assert occurrence.cause == "instance: web/i-0a"


def test_what_is_sent_once_of_no_one_waits_for_itself() -> None:
    occurrence = trouble(failed(cause="reconcile: events", again_within=None, group=None, instance_id=None))
    assert (occurrence.ended_by, occurrence.subject, occurrence.group) == ("reconcile: events", "", "")


@pytest.mark.parametrize("kind", ["Instance Ready", "Instance Abandoned", "Instance Retired"])
def test_an_instance_that_is_done_with_is_an_end(kind: str) -> None:
    ending = end(event(kind, event_id="e2", group="web", instance_id="i-0a", troubled=True))
    assert (ending.id, ending.at, ending.subject, ending.cause) == ("e2", NOW, "web/i-0a", "instances: group web")


@pytest.mark.parametrize(("troubled", "ends"), [(True, True), (None, True), (False, False)])
def test_the_end_of_what_no_one_was_sent_is_nothing_to_anyone(troubled: bool | None, ends: bool) -> None:
    message = read_message(record(event("Instance Retired", group="web", instance_id="i-0a", troubled=troubled)))
    assert (message is not None) == ends


def test_an_instance_that_serves_ends_what_load_balancers_had_against_it_and_nothing_else() -> None:
    occurrence = trouble(event("Instance Not Serving", group="web", instance_id="i-0a", seconds=9, reason="unhealthy"))
    ending = end(event("Instance Serving", group="web", instance_id="i-0a", seconds=9, reason="all well"))
    assert occurrence.ended_by == ending.subject
    assert occurrence.cause == ending.cause
    assert occurrence.ended_by != trouble(failed(**STUCK)).ended_by
    assert "web/i-0a" in occurrence.reason
    assert "unhealthy" in occurrence.reason


CYCLE: dict[str, Any] = {
    "group": "web",
    "version": "7",
    "seconds": 930.0,
    "reason": "task 'install nginx' failed on 2 new instances",
    "job_url": "https://tower/121",
    "function": "cycle",
}


@pytest.mark.parametrize(("kind", "words"), [("Cycle Failed", "failed"), ("Cycle Rolled Back", "was rolled back")])
def test_a_cycle_that_did_not_bring_what_it_should_is_an_incident_with_the_job_that_shows_why(
    kind: str, words: str
) -> None:
    occurrence = trouble(event(kind, **CYCLE))
    assert (occurrence.cause, occurrence.subject, occurrence.group) == ("cycle: web", "web", "web")
    assert occurrence.reason == f"the cycle of web to version 7 {words}: {CYCLE['reason']}"
    assert (occurrence.job_url, occurrence.began) == ("https://tower/121", NOW - 930)
    assert (occurrence.repeated_until, occurrence.transient, occurrence.finding) == (None, False, False)


def test_a_cycle_that_an_operator_rolled_back_is_no_incident_and_one_that_failed_as_that_was_done_is() -> None:
    assert read_message(record(event("Cycle Rolled Back", **CYCLE | {"ended_by": "operator"}))) is None
    for kind, by in (("Cycle Rolled Back", "verdicts"), ("Cycle Rolled Back", "aws"), ("Cycle Failed", "aws")):
        assert trouble(event(kind, **CYCLE | {"ended_by": by})).cause == "cycle: web"


def test_the_groups_next_cycle_that_succeeds_ends_what_was_wrong_with_the_one_before_and_nothing_else() -> None:
    occurrence = trouble(event("Cycle Failed", **CYCLE))
    ending = end(event("Cycle Succeeded", **CYCLE))
    assert (ending.subject, ending.cause) == (occurrence.ended_by, occurrence.cause)
    other = end(event("Cycle Succeeded", **CYCLE | {"group": "db"}))
    assert other.subject != occurrence.ended_by
    assert trouble(failed(**STUCK)).ended_by != ending.subject


def test_a_cycle_that_brings_no_version_and_names_no_job_is_reported_without_them() -> None:
    occurrence = trouble(event("Cycle Failed", **CYCLE | {"version": None, "job_url": None, "seconds": None}))
    assert occurrence.reason.startswith("the cycle of web failed: ")
    assert (occurrence.job_url, occurrence.began) == ("", NOW)


BAKE: dict[str, Any] = {
    "group": "web",
    "image": None,
    "seconds": 660.0,
    "reason": "job 121 failed on the builder",
    "cycle": None,
    "roll_out": None,
    "result": "failed",
    "job_url": "https://tower/121",
    "function": "bake",
}


def test_a_bake_that_failed_is_an_incident_with_the_job_until_the_group_is_baked_again() -> None:
    occurrence = trouble(event("Image Failed", **BAKE))
    assert (occurrence.cause, occurrence.subject, occurrence.group) == ("bake: web", "web", "web")
    words = "the bake of web failed, and changed nothing in the group: job 121 failed on the builder"
    assert occurrence.reason == f"{words}; all of it: rollcall bake --watch web"
    assert (occurrence.job_url, occurrence.began) == ("https://tower/121", NOW - 660)
    ending = end(event("Image Baked", **BAKE))
    assert (ending.subject, ending.cause) == (occurrence.ended_by, occurrence.cause)
    assert end(event("Image Baked", **BAKE | {"group": "db"})).subject != occurrence.ended_by
    assert end(event("Cycle Succeeded", **CYCLE)).subject != occurrence.ended_by


@pytest.mark.parametrize("roll_out", ["failed", "rolled back"])
def test_a_roll_out_that_failed_is_its_cycles_incident_and_what_was_cancelled_is_none(
    roll_out: str,
) -> None:
    assert read_message(record(event("Image Failed", **BAKE | {"roll_out": roll_out}))) is None
    assert read_message(record(event("Image Failed", **BAKE | {"result": "cancelled"}))) is None
    for untold in ("refused", "not started"):  # of which no event of the cycle tells
        assert trouble(event("Image Failed", **BAKE | {"roll_out": untold})).cause == "bake: web"


@pytest.mark.parametrize(
    ("cycle", "roll_out", "is_unchanged"),
    [
        (None, None, True),
        ("web-1-bake-0123456789ab", "refused", True),
        ("web-1-bake-0123456789ab", "not started", True),
        ("web-1-bake-0123456789ab", "cancelled", False),
        ("web-1-bake-0123456789ab", "succeeded", False),
        ("web-1-bake-0123456789ab", None, False),
    ],
)
def test_that_nothing_changed_in_the_group_is_said_only_where_no_roll_out_began(
    cycle: str | None, roll_out: str | None, is_unchanged: bool
) -> None:
    occurrence = trouble(event("Image Failed", **BAKE | {"cycle": cycle, "roll_out": roll_out}))
    assert occurrence.reason.startswith("the bake of web failed")
    assert ("changed nothing in the group" in occurrence.reason) is is_unchanged


def test_what_a_bake_left_is_an_incident_of_its_group_however_the_bake_ended() -> None:
    left = BAKE | {"result": None, "seconds": None, "job_url": None, "reason": "builder i-1 was still there"}
    occurrence = trouble(event("Image Failed", **left))
    assert occurrence.reason == "a bake of web did not clean up: builder i-1 was still there"
    assert occurrence.cause == occurrence.ended_by == end(event("Image Baked", **BAKE)).subject == "bake: web"


def test_what_went_to_a_dead_letter_queue_is_left_to_the_queues_alarm() -> None:
    assert read_message(record(failed(set_aside=True, again_within=None))) is None


def test_findings_of_a_kind_in_an_inventory_are_one_incident() -> None:
    detail: dict[str, Any] = {
        "kind": "not opted in",
        "inventory": "fleet",
        "inventory_id": 7,
        "reason": "put the tag back",
    }
    occurrence = [
        trouble(
            event(
                "Conflict Found",
                **detail,
                subject=each,
                cause=f"conflict: not opted in: fleet/{each}",
                again_within=400,
            )
        )
        for each in ("i-0a", "i-0b")
    ]
    assert {each.cause for each in occurrence} == {"conflict: not opted in: fleet"}
    assert [each.subject for each in occurrence] == ["fleet/i-0a", "fleet/i-0b"]
    assert all(each.finding and each.repeated_until == NOW + 400 + LATE for each in occurrence)
    assert occurrence[0].reason == "not opted in: i-0a: put the tag back"


@pytest.mark.parametrize(("kind", "passes"), [("address conflict", True), ("foreign address", False)])
def test_a_finding_that_the_next_run_mostly_fixes_is_one_that_passes_by_itself(kind: str, passes: bool) -> None:
    detail: dict[str, Any] = {
        "kind": kind,
        "inventory": "fleet",
        "subject": "x",
        "reason": "y",
        "cause": "z",
        "again_within": 400,
    }
    assert trouble(event("Conflict Found", **detail)).transient == passes


def test_a_misconfiguration_lasts_until_it_is_fixed() -> None:
    detail: dict[str, Any] = {
        "key": "limit/7",
        "severity": "breaks launches",
        "subject": "template 7",
        "reason": "no limit",
        "remedy": "tick it",
    }
    occurrence = trouble(event("Misconfiguration Found", **detail))
    mended = end(event("Misconfiguration Mended", **detail))
    assert occurrence.ended_by == mended.subject == mended.cause == occurrence.cause == "doctor: limit/7"
    assert occurrence.reason == "template 7: no limit: tick it"


def test_an_alarm_lasts_until_it_is_ok() -> None:
    occurrence, ok = trouble(alarm("ALARM")), end(alarm("OK", NOW + 60))
    assert occurrence.ended_by == ok.subject == ok.cause == occurrence.cause == "alarm: rollcall-GateErrorAlarm-1"
    assert (occurrence.at, ok.at) == (NOW, NOW + 60)
    assert occurrence.reason == "Waiting instances are not evaluated."
    assert occurrence.forgotten_at == math.inf


def test_an_alarm_without_a_description_says_why_it_sounds() -> None:
    assert trouble(alarm("ALARM") | {"AlarmDescription": None}).reason == "Threshold Crossed"


def test_an_alarm_that_lacks_data_is_nothing_to_anyone() -> None:
    assert read_message(record(alarm("INSUFFICIENT_DATA"))) is None


def test_a_notification_that_comes_twice_is_one() -> None:
    assert trouble(alarm("ALARM")).id == trouble(alarm("ALARM")).id != trouble(alarm("ALARM", NOW + 300)).id


def finding(severity: str) -> dict[str, Any]:
    return event("Misconfiguration Found", key="k", severity=severity, subject="s", reason="r", remedy="m")


SEVERITIES = [
    (failed(cause="TowerDenied", transient=False), IncidentSeverity.CRITICAL),
    (failed(cause="ChefDenied", transient=False), IncidentSeverity.CRITICAL),
    (failed(cause="AwsDenied", transient=False), IncidentSeverity.CRITICAL),
    (failed(cause="AwsRejected", transient=False), IncidentSeverity.ERROR),
    (failed(cause="breaker: fleet", transient=False, group=None, instance_id=None), IncidentSeverity.CRITICAL),
    (alarm("ALARM"), IncidentSeverity.CRITICAL),
    (alarm("ALARM", metric="ApproximateNumberOfMessagesVisible"), IncidentSeverity.CRITICAL),
    (alarm("ALARM", metric="ApproximateAgeOfOldestMessage"), IncidentSeverity.ERROR),
    (alarm("ALARM") | {"Trigger": {"Metrics": []}}, IncidentSeverity.ERROR),
    (failed(cause="BadSettings: group web", transient=False), IncidentSeverity.ERROR),
    (failed(cause="TowerRejected: group web", transient=False), IncidentSeverity.ERROR),
    (failed(**STUCK), IncidentSeverity.ERROR),
    (failed(), IncidentSeverity.ERROR),
    (finding("breaks launches"), IncidentSeverity.ERROR),
    (event("Cycle Failed", group="web", reason="r"), IncidentSeverity.ERROR),
    (event("Cycle Rolled Back", group="web", reason="r"), IncidentSeverity.ERROR),
    (event("Image Failed", group="web", reason="r"), IncidentSeverity.ERROR),
    (failed(cause="Throttled"), IncidentSeverity.WARNING),
    (failed(cause="AwsUnavailable"), IncidentSeverity.WARNING),
    (failed(cause="ChefUnavailable"), IncidentSeverity.WARNING),
    (failed(cause="instance: web/i-0a"), IncidentSeverity.WARNING),
    (finding("warning"), IncidentSeverity.WARNING),
    (event("Instance Not Serving", group="web", instance_id="i", reason="r"), IncidentSeverity.WARNING),
    (
        event("Conflict Found", kind="detached", inventory="f", subject="s", reason="r", cause="c", again_within=1),
        IncidentSeverity.WARNING,
    ),
]


@pytest.mark.parametrize(("body", "severity"), SEVERITIES)
def test_how_bad_problem_is_is_decided_by_what_it_is_about(body: dict[str, Any], severity: IncidentSeverity) -> None:
    assert trouble(body).severity == severity


def test_every_word_of_the_table_of_severities_is_tried() -> None:
    assert {severity for _, severity in SEVERITIES} == set(IncidentSeverity)
    assert all(re.search(rf"^{each} ", alert_events.__doc__ or "", re.MULTILINE) for each in IncidentSeverity)


@pytest.mark.parametrize("name", sorted(path.name for path in (SAMPLES / "announced").iterdir()))
def test_what_our_functions_announce_is_read_where_anyone_is_to_be_sent(name: str) -> None:
    body = json.loads((SAMPLES / "announced" / name).read_text())
    if body["detail-type"] in {*PROBLEMS, *DONE_WITH, *ENDS}:
        message = read_message(record(body))
        assert message is None or message.id == body["id"]
    else:
        with pytest.raises(BadEvent, match="narrow the rule"):
            read_message(record(body))


def test_the_samples_in_a_queue_are_what_they_are_called() -> None:
    read_as = {
        path.stem: [type(read_message(record(each["body"]))) for each in json.loads(path.read_text())["Records"]]
        for path in SAMPLES.glob("alert-*.json")
        if path.stem != "alert-sweep"
    }
    assert read_as == {
        "alert-trouble": [Occurrence] * 3,
        "alert-over": [Ending],
        "alert-alarm": [Occurrence],
        "alert-alarm-ok": [Ending],
    }


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("no json", "not JSON"),
        ("[1]", "no object"),
        ({"source": "aws.ec2", "detail-type": "x"}, "its fields: detail-type, source"),
        ({}, "its fields: none"),
        (event("Instance Launched", group="web"), "'Instance Launched', of which no alert is sent"),
        (event("Work Failed", group="web", set_aside=False), "'transient'"),
        (event("Instance Ready", group="web"), "'instance_id'"),
        (failed() | {"time": "yesterday"}, "yesterday"),
        (failed(again_within="soon"), "soon"),
        ({"AlarmName": "x"}, "'NewStateValue'"),
        (alarm("ALARM") | {"Trigger": "Errors"}, "'get'"),
        (event("Work Failed") | {"detail": []}, "a field is missing or wrong"),
        (failed() | {"time": "9999-12-31T23:59:59Z"}, "no moment"),
        (failed() | {"time": "1969-12-31T23:59:59Z"}, "no moment"),
        (failed() | {"id": None}, "id is None, and no text"),
        (failed(failing_for=10**400), "OverflowError"),
        (failed(again_within=math.nan), "repeated_until is nan"),
        (failed(again_within=1e300), "repeated_until is 1e"),
        (failed(again_within=-1e300), "repeated_until is -1e"),
        (failed(cause=7), "a field is missing or wrong"),
        (failed(group={"a": 1}), "group is {'a': 1}, and no text"),
        (event("Instance Ready", group="web", instance_id="i-a", troubled=True) | {"id": 7}, "id is 7, and no text"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_what_cannot_be_read_says_what_is_wrong_with_it(body: object, words: str) -> None:
    with pytest.raises(BadEvent, match=words):
        read_message(record(body))


def test_what_is_nested_more_deeply_than_can_be_worked_on_is_a_bad_event() -> None:
    depth = 3 * sys.getrecursionlimit()
    body = json.dumps(failed(reason="DEEP")).replace('"DEEP"', "[" * depth + "]" * depth)
    with pytest.raises(BadEvent, match="recursion"):
        read_message(record(body))


def test_what_is_read_is_no_longer_than_an_incident_has_room_for() -> None:
    read = trouble(failed(cause="c" * 300_000, group="g" * 300_000, reason="r" * 300_000, function="f" * 300_000))
    lengths = {name: len(getattr(read, name)) for name in ("cause", "group", "subject", "reason", "function")}
    assert lengths == {**dict.fromkeys(lengths, TEXT_MAX), "reason": REASON_MAX}


def test_since_when_something_fails_is_no_sooner_than_there_was_time() -> None:
    assert trouble(failed(failing_for=1e300)).began == 0


def test_a_failure_is_sent_though_it_lacks_what_can_be_done_without() -> None:
    body = event("Work Failed", transient=False, reason="check it", cause="breaker: fleet", again_within=400, new=1)
    assert (trouble(body).severity, trouble(body).reason) == (IncidentSeverity.CRITICAL, "check it")


@pytest.fixture
def emitted() -> list[tuple[str, dict[str, Any]]]:
    """All that our functions publish, as it goes through the bus."""
    return [(kind, json.loads(json.dumps(detail))) for kind, detail in emitted_events()]


def test_all_that_is_ever_sent_is_read(emitted: list[tuple[str, dict[str, Any]]]) -> None:
    for kind, detail in emitted:
        if kind in NO_ALERT:
            continue  # no one is to be notified of it
        message = read_message(record(event(kind, **detail)))
        if kind in PROBLEMS:
            assert isinstance(message, Occurrence) != detail.get("set_aside", False), (kind, detail)
        else:
            assert isinstance(message, Ending) != (detail.get("troubled") is False), (kind, detail)


def test_all_that_can_be_sent_is_tried(emitted: list[tuple[str, dict[str, Any]]]) -> None:
    kinds = {kind for kind, _ in emitted}
    assert kinds == {*PROBLEMS, *DONE_WITH, *ENDS, *NO_ALERT}
    failures = [detail for kind, detail in emitted if kind == WORK_FAILED]
    assert {"breaker: prod", "breaker: Chef"} < {each["cause"] for each in failures}
    assert {"BreakerTripped", "InstanceInTrouble", "KeyError"} < {each["error"] for each in failures}
    assert {each["set_aside"] for each in failures} == {True, False}
    assert {each["kind"] for kind, each in emitted if kind == CONFLICT_FOUND} == set(DriftKind)
