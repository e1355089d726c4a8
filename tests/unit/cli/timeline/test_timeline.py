"""Many instances: their order, how long they took, and which to look at first."""

from __future__ import annotations

import pytest

from rollcall_cli.timeline.timeline import NOT_KNOWN, requirements, standing_out, title, waits
from rollcall_cli.times import shortly, tick_label, ticks
from unit.cli.timeline.recorded import ABANDONED, NOW, SERVED, job, record, shown


def test_groups_come_in_the_order_of_their_first_launch_and_instances_in_theirs() -> None:
    found = shown(
        [
            record([("Pending", 105)], "i-1", "db"),
            record([("Pending", 109)], "i-2", "web"),
            record([("Pending", 101)], "i-3", "web"),
        ]
    )
    assert [each.instance_id for each in found.instances] == ["i-3", "i-2", "i-1"]
    assert list(found.groups) == ["web", "db"]
    assert (found.began, found.ended) == (101, NOW)


def test_of_those_launched_together_the_failed_ones_come_last() -> None:
    records = [
        record(ABANDONED, "i-1"),
        record((*SERVED[:2], ("Pending:Proceed", 140), ("InService", 141)), "i-2"),
        record(SERVED, "i-3"),
        record([("Pending", 101), ("InService", 102)], "i-4"),
    ]
    assert [each.instance_id for each in shown(records).instances] == ["i-3", "i-2", "i-1", "i-4"]


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"rollcall:job-template": "setup"}, "job setup; no checks but the job's result"),
        ({"rollcall:job-template": " setup ", "rollcall:gate": "job"}, "job setup; no checks but the job's result"),
        ({"rollcall:job-template": "setup", "rollcall:gate": "job tcp:22 elb"}, "job setup, then checks: tcp:22, elb"),
        ({"rollcall:gate": "ec2"}, "no job; checks: ec2"),
        ({}, "no job, no checks: once registered, the gate lets it go"),
    ],
)
def test_what_a_group_asks_for_is_said_also_where_it_asks_for_nothing(tags: dict[str, str], words: str) -> None:
    assert str(requirements(tags)) == words


def test_of_a_group_that_is_gone_it_is_not_known_what_it_asked_for() -> None:
    assert str(NOT_KNOWN) == "what it asks for is not known"


def test_waits_are_those_that_are_over_and_name_the_slowest() -> None:
    found = shown(
        [
            record(SERVED, "i-a"),
            record((*SERVED[:2], ("Pending:Proceed", 160), ("InService", 160)), "i-b", registered=106),
            record(SERVED[:2], "i-c", registered=None),
        ],
        {},
    )
    known = {each.name: each for each in waits(found.instances)}
    registering = known["registering"]
    assert (registering.count, registering.median, registering.longest, registering.slowest) == (2, 4, 6, "i-b")
    assert known["launch to in service"].most == 60
    assert (known["gate"].count, known["gate"].longest) == (2, 54)
    assert "leaving to removed" not in known


def test_95_percent_took_no_longer_than_that() -> None:
    records = [
        record((("Pending", 100), ("Pending:Wait", 100), ("InService", 101 + number)), f"i-{number:02}")
        for number in range(100)
    ]
    (served,) = (each for each in waits(shown(records, {}, 900).instances) if "launch" in each.name)
    assert (served.median, served.most, served.longest) == (50.5, 95, 100)


def test_what_stands_out_are_failures_then_waits_then_reconciles_then_second_jobs_then_the_slowest() -> None:
    later = (*SERVED[:2], ("Pending:Proceed", 150), ("InService", 151))
    records = [
        record(later, "i-slow"),
        record(later, "i-again", runs=(job("unreachable"), job(number=2, started=125, ended=131))),
        record(SERVED[:2], "i-waits"),
        record(ABANDONED, "i-bad"),
        record((*SERVED, ("Terminating", 150)), "i-lost", reconciled=(160,)),
        *(record(SERVED, name) for name in ("i-1", "i-2", "i-3")),
    ]
    found = standing_out(shown(records).instances)
    assert [(why, [each.instance_id for each in own]) for why, own in found.items()] == [
        ("abandoned", ["i-bad"]),
        ("still waiting", ["i-waits"]),
        ("found by reconcile", ["i-lost"]),
        ("needed another job", ["i-again"]),
        ("slowest", ["i-slow"]),
    ]


def test_the_slowest_are_few_and_only_where_half_of_all_were_twice_as_fast() -> None:
    records = [
        record((("Pending", 100), ("Pending:Wait", 100), ("InService", served)), f"i-{number:02}")
        for number in range(20)
        for served in (150 + number if number < 6 else 110,)
    ]
    found = standing_out(shown(records).instances)
    assert [each.instance_id for each in found["slowest"]] == ["i-05", "i-04", "i-03"]
    assert standing_out(shown(records[:6]).instances) == {}


def test_a_title_names_the_product_the_groups_and_the_time() -> None:
    began, midnight = 1_795_980_240, 1_795_996_800  # 2026-11-29, 19:24 UTC, and when that day ends
    states = [("Pending", began)]
    assert title(shown([record(states)], now=began + 130)) == "Rollcall · group web · 2026-11-29, 19:24 to 19:26 UTC"
    assert title(shown([record(states)], now=began + 9)) == "Rollcall · group web · 2026-11-29, 19:24 UTC"
    others = [record(states, f"i-{name}", name) for name in "dcba"]
    assert title(shown(others, now=midnight)).startswith("Rollcall · groups a, b, c and 1 more · 2026-11-29, 19:24 to ")
    assert title(shown(others, now=midnight)).endswith("to 2026-11-30, 00:00 UTC")
    assert title(shown([], now=began)) == "Rollcall · 2026-11-29, 19:24 UTC"


def test_times_are_short() -> None:
    said = [shortly(seconds) for seconds in (0.04, 9.94, 9.96, 119.4, 119.6, 3725, 200_000)]
    assert said == ["0.0 s", "9.9 s", "10 s", "119 s", "2 min 00 s", "1 h 02 min", "2 d 07 h"]


@pytest.mark.parametrize("seconds", [0.4, 1, 7, 61, 75, 119, 500, 5000, 90_000, 700_000, 10_000_000])
@pytest.mark.parametrize("most", [3, 5, 16])
def test_an_axis_has_a_few_round_ticks(seconds: float, most: int) -> None:
    found = ticks(seconds, most)
    assert found[0] == 0
    assert len(found) <= most
    assert all(tick <= seconds for tick in found)
    labels = [tick_label(tick, seconds) for tick in found]
    assert len(set(labels)) == len(labels)
