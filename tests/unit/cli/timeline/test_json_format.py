"""The timeline as JSON can be read again, and says what the drawings say."""

from __future__ import annotations

import json

from rollcall_cli.timeline.json_format import read, written
from rollcall_cli.timeline.timeline import Mark, Requirements, timeline
from unit.cli.timeline.recorded import ABANDONED, JOB, SERVED, job, record

NOW = 200.0
RECORDS = [
    record(SERVED, "i-a", runs=(JOB,), reconciled=(101.0,)),
    record(ABANDONED, "i-b", "db", runs=(job("failed"),), timed_out=True, removed=113.0),
    record([("InService", 90)], "i-c", "db", registered=None, launched_before=True),
]
ASKS = {"web": Requirements("provision"), "db": Requirements("provision", ("tcp:22",))}
MARKS = [Mark(99.0, 1, "scale out")]


def test_what_is_written_is_read_again() -> None:
    document = json.loads(json.dumps(written(RECORDS, ASKS, NOW, MARKS, ["Tower is down"])))
    assert read(document) == timeline(RECORDS, ASKS, NOW, MARKS, ["Tower is down"])


def test_each_instance_has_its_stages_and_its_outcome() -> None:
    served, failed, _ = written(RECORDS, ASKS, NOW)["instances"]
    assert [(each["stage"], each["job"]) for each in served["stages"]] == [
        ("registering", None),
        ("waiting for a job", None),
        ("job", 1),
        ("gate", None),
        ("in service", None),
    ]
    assert (served["outcome"], served["seconds_to_service"]) == ("in service", 12.5)
    assert served["stages"][-1]["ended"] is None
    assert (failed["outcome"], failed["seconds_to_service"]) == ("timed out", None)


def test_times_are_to_the_millisecond() -> None:
    document = written([record([("Pending", 1.00049)], registered=None)], {}, 2.0)
    assert document["instances"][0]["states"] == [{"state": "Pending", "entered": 1.0}]
