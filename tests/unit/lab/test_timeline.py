"""The demo's timeline: an instance's moments out of what was recorded, as a picture, and in a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from itertools import combinations, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree

import pytest
from rich.console import Console

from lab.aws.embedded import Timeout, Transition
from lab.cloud import Cloud
from lab.demo import run as demo
from lab.demo.picture import CHARACTER, LEFT, RIGHT, SHORTEST, WIDTH, picture
from lab.demo.scenes import Stage as DemoStage
from lab.demo.strips import FEW, LEVELS, NARROWEST, TENTHS, strips
from lab.demo.timeline import (
    Act,
    InstanceTimeline,
    Outcome,
    Run,
    Stage,
    Timeline,
    moment,
    read_timeline,
    shortly,
    standing_out,
    ticks,
    timeline,
    waits,
)
from lab.demo.view import PLAIN_WIDTH, Lines, LiveTable
from lab.tower.embedded import OPERATOR, HostLife, HostPeriod, JobRecord

NOW = 200.0
JOB = JobRecord(
    id=1,
    template="provision",
    inventory="production",
    limit="",
    status="successful",
    created=103,
    started=104,
    finished=110,
    hosts={},
    addresses={},
    cut_short=False,
    explanation="",
    extra_vars="{}",
    launched_by="admin",
    events_processed=True,
)
TAGS = {"rollcall:inventory": "production", "rollcall:job-template": "provision"}
SERVED = (("Pending", 100), ("Pending:Wait", 100.1), ("Pending:Proceed", 112), ("InService", 112.5))
ABANDONED = (("Pending", 100), ("Pending:Wait", 100.1), ("Terminating", 112), ("Terminating:Wait", 112.1))
ENDED = (("Terminating:Proceed", 116), ("Terminated", 117))
STAYED = (100.0, None)
SVG = "{http://www.w3.org/2000/svg}"

type States = Iterable[tuple[str, float]]


def moved(states: States, name: str = "i-a", group: str = "web") -> list[Transition]:
    """An instance enters these states at these times."""
    return [Transition(time, group, name, "10.0.0.1", state) for state, time in states]


def living(created: float, joined: float | None, removed: float | None = None, name: str = "i-a") -> HostLife:
    """A host of ours."""
    period = HostPeriod(created, removed, "10.0.0.1", "web", "1", "vpc-1")
    return HostLife(1, name, name, "production", "web", "10.0.0.1", created, removed, periods=(period,), joined=joined)


def ran(
    result: str = "ok",
    number: int = 1,
    *,
    started: float | None = 104,
    finished: float | None = 110,
    status: str = "failed",
    names: Iterable[str] = ("i-a",),
    by: str = "admin",
) -> JobRecord:
    """A job limited to these instances, with this result on each."""
    changes: dict[str, Any] = {
        "id": number,
        "limit": ",".join(names),
        "started": started,
        "finished": finished,
        "status": status,
        "hosts": dict.fromkeys(names, result),
        "launched_by": by,
    }
    return JobRecord(**(vars(JOB) | changes))


def one(
    states: States,
    lives: Iterable[HostLife] = (living(101, 102),),
    jobs: Iterable[JobRecord] = (),
    timeouts: Iterable[Timeout] = (),
    tags: dict[str, str] = TAGS,
) -> InstanceTimeline:
    """The only instance's timeline."""
    (instance,) = timeline(moved(states), timeouts, lives, jobs, {"web": tags}, NOW).instances
    return instance


def stages(instance: InstanceTimeline) -> list[tuple[Stage, float, float]]:
    return [(each.stage, each.began, each.ended) for each in instance.stretches]


def many(count: int, groups: int = 1, acts: Iterable[Act] = (), name: str = "web") -> Timeline:
    """So many instances: every tenth fails, every seventh is unreachable at first, every eleventh terminates."""
    transitions: list[Transition] = []
    lives: list[HostLife] = []
    jobs: list[JobRecord] = []
    for number in range(count):
        group, instance = f"{name}-{number % groups}" if groups > 1 else name, f"i-{number:017x}"
        began = 1000 + number // 100 * 5
        states = [("Pending", began), ("Pending:Wait", began + 0.1)]
        lives.append(living(began + 2, began + 3, None if number % 11 else began + 70, instance))
        jobs.append(ran("ok", 2 * number + 1, started=began + 5, finished=began + 20, names=[instance]))
        if number % 10 == 3:
            jobs[-1] = ran("failed", 2 * number + 1, started=began + 5, finished=began + 20, names=[instance])
            states += [("Terminating", began + 22), ("Terminating:Wait", began + 22), ("Terminated", began + 30)]
        else:
            if number % 7 == 2:
                jobs[-1] = ran("dark", 2 * number + 1, started=began + 5, finished=began + 20, names=[instance])
                jobs.append(ran("ok", 2 * number + 2, started=began + 30, finished=began + 45, names=[instance]))
            states += [("Pending:Proceed", began + 46 + number % 5), ("InService", began + 47 + number % 5)]
            if number % 11 == 0:
                states += [("Terminating:Wait", began + 69), ("Terminated", began + 74)]
        transitions += moved(states, instance, group)
    tags = {each.group: TAGS for each in transitions}
    return timeline(transitions, (), lives, jobs, tags, 1120, acts)


def drawn(shown: Timeline) -> ElementTree.Element:
    """The picture, parsed: it is well-formed."""
    return ElementTree.fromstring(picture(shown).removeprefix("<!DOCTYPE html>\n"))  # noqa: S314 - our own


def rows(page: ElementTree.Element) -> list[ElementTree.Element]:
    return [each for each in page.iter(f"{SVG}g") if each.get("class") == "instance"]


def boxes(page: ElementTree.Element) -> Iterator[tuple[float, float, float, float, str]]:
    """Where each text of the drawing is at most: left, top, right, bottom, and the text."""
    for text in page.iter(f"{SVG}text"):
        x, y, size = (float(text.get(key, "nan")) for key in ("x", "y", "font-size"))
        words = text.text or ""
        width = len(words) * size * CHARACTER
        x -= {"middle": width / 2, "end": width}.get(text.get("text-anchor", ""), 0)
        yield x, y - 0.75 * size, x + width, y + 0.2 * size, words


# An instance's moments


def test_an_instance_is_registered_provisioned_checked_and_put_into_service() -> None:
    instance = one(SERVED, jobs=[ran()])
    assert stages(instance) == [
        (Stage.REGISTERING, 100, 102),
        (Stage.WAITING, 102, 104),
        (Stage.JOB, 104, 110),
        (Stage.CHECKS, 110, 112),
        (Stage.SERVICE, 112, NOW),
    ]
    assert (instance.launched, instance.registered, instance.released, instance.served) == (100, 102, 112, 112.5)
    assert (instance.leaving, instance.removed_at, instance.terminated) == (None, None, None)
    assert instance.outcome == Outcome.SERVES
    assert str(instance) == "registered after 2.0 s · job 1 ok, 6.0 s · checks 2.0 s · in service after 12 s"


def test_a_host_is_registered_once_it_is_marked_and_in_a_group() -> None:
    assert one(SERVED, [living(101, None)]).registered is None
    assert one(SERVED, [living(101, 105)]).registered == 105
    named = HostPeriod(90, 107, "10.0.0.1", "", "", "")
    marked = HostPeriod(107, None, "10.0.0.1", "web", "1", "vpc-1")
    adopted = HostLife(1, "i-a", "i-a", "production", "web", "10.0.0.1", 90, None, periods=(named, marked), joined=91)
    assert one(SERVED, [adopted]).registered == 107


def test_hosts_that_never_were_rollcalls_do_not_count() -> None:
    others = HostLife(1, "i-a", "i-a", "production", "", "10.0.0.1", 90, None, joined=91)
    instance = one(SERVED, [others])
    assert instance.registered is None
    assert stages(instance)[0] == (Stage.REGISTERING, 100, 112)


def test_a_host_under_another_name_is_known_by_its_instance_id() -> None:
    period = HostPeriod(101, None, "10.0.0.1", "web", "1", "vpc-1")
    life = HostLife(1, "web-1", "i-a", "production", "web", "10.0.0.1", 101, None, periods=(period,), joined=102)
    assert one(SERVED, [life]).registered == 102


def test_an_instance_without_a_job_goes_from_registration_to_its_checks() -> None:
    instance = one(SERVED, tags={"rollcall:inventory": "production", "rollcall:gate": "tcp:22"})
    assert stages(instance) == [(Stage.REGISTERING, 100, 102), (Stage.CHECKS, 102, 112), (Stage.SERVICE, 112, NOW)]
    assert instance.seconds(Stage.WAITING) is None


def test_an_instance_whose_group_asks_for_a_job_waits_for_it_until_there_is_one() -> None:
    instance = one(SERVED[:2])
    assert stages(instance) == [(Stage.REGISTERING, 100, 102), (Stage.WAITING, 102, NOW)]
    assert instance.stretches[-1].open
    assert instance.outcome == Outcome.WAITS
    queued = one(SERVED[:2], jobs=[ran(started=None, finished=None, status="pending")], tags={})
    assert stages(queued)[-1] == (Stage.WAITING, 102, NOW)
    assert "job 1 pending" in str(queued)


def test_a_job_that_runs_still_has_no_result_yet() -> None:
    instance = one(SERVED[:2], jobs=[ran("failed", finished=None, status="running")])
    assert stages(instance)[-1] == (Stage.JOB, 104, NOW)
    assert instance.runs == (Run(1, 104, None, "running"),)
    assert instance.seconds(Stage.JOB) is None


def test_between_two_jobs_an_instance_waits_and_both_results_are_its_own() -> None:
    later = (*SERVED[:2], ("Pending:Proceed", 135), ("InService", 135))
    both = [ran("dark", names=["i-a", "i-b"]), ran("ok", 2, started=125, finished=131, names=["i-a"])]
    instance = one(later, jobs=both)
    assert stages(instance)[2:6] == [
        (Stage.BAD_JOB, 104, 110),
        (Stage.WAITING, 110, 125),
        (Stage.JOB, 125, 131),
        (Stage.CHECKS, 131, 135),
    ]
    assert [run.result for run in instance.runs] == ["unreachable", "ok"]
    assert instance.tried_again
    assert instance.seconds(Stage.JOB, Stage.BAD_JOB) == 12
    assert instance.seconds(Stage.WAITING) == 17


def test_a_job_that_did_not_run_to_its_end_is_bad_and_says_its_status() -> None:
    instance = one(SERVED, jobs=[ran(status="error")])
    assert instance.runs[0].result == "error"
    assert (Stage.BAD_JOB, 104, 110) in stages(instance)


def test_a_job_of_an_operator_is_not_the_instances_way() -> None:
    assert one(SERVED, jobs=[ran(by=OPERATOR)]).runs == ()


def test_an_abandoned_instance_never_served() -> None:
    instance = one((*ABANDONED, *ENDED), [living(101, 102, 115)], [ran("failed")])
    assert instance.outcome == Outcome.ABANDONED
    assert instance.troubled
    assert not instance.tried_again
    assert (instance.released, instance.served, instance.to_service) == (None, None, None)
    assert (instance.leaving, instance.removed_at, instance.terminated) == (112, 115, 117)
    assert stages(instance)[-2:] == [(Stage.CHECKS, 110, 112), (Stage.LEAVING, 112, 117)]
    assert str(instance).endswith(
        "job 1 failed, 6.0 s · checks 2.0 s · removed 3.0 s after it began to leave · abandoned"
    )


def test_hosts_that_are_gone_before_the_instance_leaves_are_said_to_be() -> None:
    instance = one((*ABANDONED, *ENDED), [living(101, 102, 111.9)], [ran("failed")])
    assert "removed before it began to leave" in str(instance)
    assert next(each for each in waits([instance]) if each.name == "leaving to removed").longest == 0


def test_an_instance_whose_hook_nobody_answered_has_timed_out() -> None:
    late = [Timeout(112, "web", "i-a", "rollcall-launching")]
    assert one(ABANDONED, timeouts=late).outcome == Outcome.TIMED_OUT
    assert one(SERVED, timeouts=late).troubled


def test_an_instance_that_terminated_after_service_left_and_its_way_ends() -> None:
    instance = one((*SERVED, ("Terminating", 150), ("Terminating:Wait", 150.1), *ENDED_LATER), [living(101, 102, 151)])
    assert instance.outcome == Outcome.LEFT
    assert stages(instance)[-2:] == [(Stage.SERVICE, 112, 150), (Stage.LEAVING, 150, 153)]
    assert not any(each.open for each in instance.stretches)


ENDED_LATER = (("Terminating:Proceed", 152), ("Terminated", 153))


def test_an_instance_on_its_way_out_is_not_struck_off_while_one_host_of_it_is_left() -> None:
    hosts = [living(101, 102, 151), living(101, 102)]
    instance = one((*SERVED, ("Terminating", 150), ("Terminating:Wait", 150.1)), hosts)
    assert instance.outcome == Outcome.LEAVES
    assert instance.removed_at is None
    assert stages(instance)[-1] == (Stage.LEAVING, 150, NOW)


def test_a_retire_job_is_drawn_while_the_instance_leaves_and_is_not_of_its_launch() -> None:
    retire = ran("ok", 9, started=151, finished=152)
    instance = one((*SERVED, ("Terminating", 150), *ENDED_LATER), jobs=[ran(), retire])
    assert stages(instance)[-3:] == [(Stage.LEAVING, 150, 151), (Stage.JOB, 151, 152), (Stage.LEAVING, 152, 153)]
    assert instance.seconds(Stage.JOB) == 6
    assert instance.seconds(Stage.CHECKS) == 2


def test_an_instance_without_hooks_serves_at_once_and_is_registered_meanwhile() -> None:
    instance = one((("Pending", 100), ("InService", 100.1)), jobs=[ran()])
    assert stages(instance)[0] == (Stage.REGISTERING, 100, 100.1)
    assert (Stage.JOB, 104, 110) in stages(instance)
    assert instance.to_service == pytest.approx(0.1)
    assert instance.registered == 102


def test_standby_and_a_warm_pool_are_set_aside() -> None:
    standby = one((*SERVED, ("EnteringStandby", 120), ("Standby", 120.1), ("Pending", 130), ("InService", 130.1)))
    assert stages(standby)[-3:] == [(Stage.SERVICE, 112, 120), (Stage.RESTING, 120, 130), (Stage.SERVICE, 130, NOW)]
    warm = (
        *(("Warmed:Pending", 100), ("Warmed:Pending:Wait", 100), ("Warmed:Stopped", 112)),
        *(("Pending", 150), ("InService", 151)),
    )
    instance = one(warm, jobs=[ran()])
    assert [stage for stage, _, _ in stages(instance)][-3:] == [Stage.RESTING, Stage.CHECKS, Stage.SERVICE]
    assert one(warm[:3], jobs=[ran()]).outcome == Outcome.RESTING


def test_stretches_leave_no_gap() -> None:
    for instance in many(200, 3).instances:
        assert instance.stretches[0].began == instance.launched
        assert all(one.ended == other.began for one, other in pairwise(instance.stretches))
        assert all(each.seconds > 0 for each in instance.stretches)


def test_groups_come_in_the_order_of_their_first_launch_and_instances_in_theirs() -> None:
    records = [
        *moved([("Pending", 105)], "i-1", "db"),
        *moved([("Pending", 109)], "i-2", "web"),
        *moved([("Pending", 101)], "i-3", "web"),
    ]
    shown = timeline(records, (), (), (), {}, NOW)
    assert [instance.instance_id for instance in shown.instances] == ["i-3", "i-2", "i-1"]
    assert list(shown.groups) == ["web", "db"]
    assert (shown.began, shown.ended) == (101, NOW)


def test_of_those_launched_together_the_ones_in_trouble_come_last() -> None:
    records = [
        *moved(ABANDONED, "i-1"),
        *moved((*SERVED[:2], ("Pending:Proceed", 140), ("InService", 141)), "i-2"),
        *moved(SERVED, "i-3"),
        *moved([("Pending", 101), ("InService", 102)], "i-4"),
    ]
    assert [instance.instance_id for instance in timeline(records, (), (), (), {}, NOW).instances] == [
        "i-3",
        "i-2",
        "i-1",
        "i-4",
    ]


def test_what_a_group_asks_for_is_told_also_where_it_asks_for_nothing() -> None:
    asked = {
        "a": {"rollcall:job-template": "setup"},
        "b": {"rollcall:job-template": "setup", "rollcall:gate": "job tcp:22 elb"},
        "c": {"rollcall:gate": "ec2"},
        "d": {},
    }
    assert timeline((), (), (), (), asked, NOW).asks == {
        "a": "job setup; no checks but the job's result",
        "b": "job setup, then checks: tcp:22, elb",
        "c": "no job; checks: ec2",
        "d": "no job, no checks: once registered, the gate lets it go",
    }


def test_waits_are_those_that_are_over_and_name_the_slowest() -> None:
    shown = timeline(
        [
            *moved(SERVED, "i-a"),
            *moved((*SERVED[:2], ("Pending:Proceed", 160), ("InService", 160)), "i-b"),
            *moved(SERVED[:2], "i-c"),
        ],
        (),
        [living(101, 102, name="i-a"), living(101, 106, name="i-b")],
        (),
        {},
        NOW,
    )
    found = {each.name: each for each in waits(shown.instances)}
    registering = found["registering"]
    assert (registering.count, registering.median, registering.longest, registering.slowest) == (2, 4, 6, "i-b")
    assert found["launch to in service"].most == 60
    assert "leaving to removed" not in found


def test_95_percent_took_no_longer_than_that() -> None:
    records = [
        each
        for number in range(100)
        for each in moved((("Pending", 100), ("Pending:Wait", 100), ("InService", 101 + number)), f"i-{number:02}")
    ]
    (served,) = (each for each in waits(timeline(records, (), (), (), {}, 900).instances) if "launch" in each.name)
    assert (served.median, served.most, served.longest) == (50.5, 95, 100)


def test_what_stands_out_are_failures_then_waits_then_second_jobs_then_the_slowest() -> None:
    later = (*SERVED[:2], ("Pending:Proceed", 150), ("InService", 151))
    records = [
        *moved(later, "i-slow"),
        *moved(later, "i-again"),
        *moved(SERVED[:2], "i-waits"),
        *moved(ABANDONED, "i-bad"),
        *(each for name in ("i-1", "i-2", "i-3") for each in moved(SERVED, name)),
    ]
    jobs = [ran("dark", names=["i-again"]), ran("ok", 2, started=125, finished=131, names=["i-again"])]
    shown = timeline(records, (), (), jobs, {}, NOW)
    found = {
        why: [instance.instance_id for instance in instances]
        for why, instances in standing_out(shown.instances).items()
    }
    assert list(found.items()) == [
        ("abandoned", ["i-bad"]),
        ("still waiting", ["i-waits"]),
        ("needed another job", ["i-again"]),
        ("slowest", ["i-slow"]),
    ]


def test_the_slowest_are_few_and_only_where_half_of_all_were_twice_as_fast() -> None:
    records = [
        each
        for number in range(20)
        for served in (150 + number if number < 6 else 110,)
        for each in moved((("Pending", 100), ("Pending:Wait", 100), ("InService", served)), f"i-{number:02}")
    ]
    found = standing_out(timeline(records, (), (), (), {}, NOW).instances)
    assert [instance.instance_id for instance in found["slowest"]] == ["i-05", "i-04", "i-03"]
    assert standing_out(timeline(records[:18], (), (), (), {}, NOW).instances) == {}


def test_an_instance_that_never_was_registered_is_none_that_registration_took_so_long() -> None:
    shown = timeline(moved(ABANDONED), (), (), (), {"web": TAGS}, NOW)
    assert stages(shown.instances[0])[0] == (Stage.REGISTERING, 100, 112)
    assert [each.name for each in waits(shown.instances)] == []


def test_times_are_short() -> None:
    said = [shortly(seconds) for seconds in (0.04, 9.94, 9.96, 119.4, 119.6, 3725)]
    assert said == ["0.0 s", "9.9 s", "10 s", "119 s", "2 min 00 s", "1 h 02 min"]


@pytest.mark.parametrize("seconds", [0.4, 1, 7, 61, 75, 119, 500, 5000, 90_000, 10_000_000])
@pytest.mark.parametrize("most", [3, 5, 16])
def test_an_axis_has_a_few_round_ticks(seconds: float, most: int) -> None:
    found = ticks(seconds, most)
    assert found[0] == 0
    assert len(found) <= most
    assert all(tick <= seconds for tick in found)
    labels = [moment(tick, seconds) for tick in found]
    assert len(set(labels)) == len(labels)


# The picture


@pytest.mark.parametrize("count", [1, 5, 16, 17, 80, 81, 500])
def test_every_instance_is_in_the_picture_once(count: int) -> None:
    shown = many(count, min(count, 3))
    found = rows(drawn(shown))
    assert [row.get("id") for row in found] == [instance.instance_id for instance in shown.instances]
    for row, instance in zip(found, shown.instances, strict=True):
        title = row.find(f"{SVG}title")
        assert title is not None
        assert title.text == f"{instance.instance_id} of {instance.group} at 10.0.0.1: {instance}"
        bars = row.findall(f"{SVG}rect")
        assert len(bars) == len(instance.stretches)
        assert all(float(bar.get("x", 0)) + float(bar.get("width", 0)) <= RIGHT + 1 for bar in bars)


@pytest.mark.parametrize("count", [1, 5, 16, 17, 80, 500])
@pytest.mark.parametrize("groups", [1, 3])
def test_no_text_is_over_another_or_outside(count: int, groups: int) -> None:
    acts = [
        Act(999.5, 1, "scale out"),
        Act(1030, 2, "scale in"),
        Act(1031, 3, "too near"),
        Act(1118, 4, "at the very end"),
    ]
    found = list(boxes(drawn(many(count, groups, acts))))
    assert len(found) > 5
    for left, top, right, bottom, words in found:
        assert left >= 0, words
        assert right <= WIDTH, words
        assert top < bottom
    for one_of, other in combinations(found, 2):
        apart = one_of[2] <= other[0] or other[2] <= one_of[0] or one_of[3] <= other[1] or other[3] <= one_of[1]
        assert apart, (one_of, other)


def test_at_five_everything_is_written() -> None:
    page = drawn(many(5))
    written = " ".join(words for *_, words in boxes(page))
    for instance in many(5).instances:
        assert instance.instance_id in written
        assert str(instance) in written
    assert "web" in written
    assert "job 1" in written
    assert written.count("✕") == written.count("✕ abandoned") == 1
    assert "job provision; no checks but the job's result" in written


def test_what_is_written_of_an_instance_launched_late_ends_with_the_drawing() -> None:
    records = [*moved(SERVED), *moved([("Pending", 195)], "i-b")]
    found = list(boxes(drawn(timeline(records, (), (), [ran(names=["i-a", "i-b"])], {"web": TAGS}, NOW))))
    (late,) = (box for box in found if box[4] == "job 1 ok, 6.0 s · still waiting")
    assert late[2] == RIGHT


def test_what_was_begun_before_the_first_launch_is_where_time_begins() -> None:
    found = {
        words: left for left, *_, words in boxes(drawn(many(5, acts=[Act(900, 1, "early"), Act(9999, 2, "late")])))
    }
    assert found["1 early"] == LEFT + 4
    assert "2 late" not in found


def test_a_bar_is_where_its_time_is_and_looks_like_its_stage() -> None:
    shown = timeline(moved(SERVED), (), [living(101, 102)], [ran("failed")], {"web": TAGS}, 200)
    (row,) = rows(drawn(shown))
    bars = row.findall(f"{SVG}rect")
    assert [bar.get("class") for bar in bars] == ["r", "w", "hatched", "c", "s"]
    assert [bar.get("x") for bar in bars] == ["210.0", "229.5", "249.0", "307.4", "326.9"]
    assert [bar.get("width") for bar in bars] == ["19.5", "19.5", "58.4", "19.5", "857.1"]
    assert float(bars[4].get("height", 0)) < float(bars[0].get("height", 0))


def test_what_took_no_time_is_seen_all_the_same() -> None:
    shown = timeline(moved(SERVED), (), [living(101, 103.999)], [ran()], {"web": TAGS}, 5000)
    (row,) = rows(drawn(shown))
    assert min(float(bar.get("width", 0)) for bar in row.findall(f"{SVG}rect")) == SHORTEST


def test_the_legend_has_the_stages_that_there_are_and_no_others() -> None:
    page = picture(many(5))
    assert Stage.BAD_JOB.words in page
    assert Stage.RESTING.words not in page
    assert "<b>removed</b>" in page
    assert "<b>removed</b>" not in picture(timeline(moved(SERVED), (), (), (), {}, NOW))


def test_at_500_the_file_is_small_and_rows_that_stand_out_are_named() -> None:
    shown = many(500, 4)
    page = picture(shown)
    assert len(page.encode()) < 500_000
    drawing = next(drawn(shown).iter(f"{SVG}svg"))
    height = float(drawing.get("viewBox", "").split()[3])
    assert height < 2000
    assert "50 instances" not in page
    assert ">abandoned</td>" in page
    assert "and 47 more" in page
    flags = [each for each in drawing.iter(f"{SVG}text") if each.get("class") == "bad"]
    assert flags


def test_rows_in_trouble_are_flagged_where_nothing_is_written() -> None:
    shown = many(200)
    drawing = next(drawn(shown).iter(f"{SVG}svg"))
    inside = {id(bar) for row in rows(drawing) for bar in row}
    flags = [each for each in drawing.iter(f"{SVG}rect") if each.get("class") == "bad" and id(each) not in inside]
    pitch = 7.0
    assert sum(float(flag.get("height", 0)) for flag in flags) == pitch * sum(
        instance.troubled for instance in shown.instances
    )


def test_the_drawing_says_what_one_sees_also_to_who_does_not_see_it() -> None:
    (drawing,) = drawn(many(5)).iter(f"{SVG}svg")
    assert drawing.get("aria-label") == "5 instances of 1 group: 3 in service, 1 terminated, 1 abandoned"


def test_time_of_more_than_two_minutes_is_in_minutes() -> None:
    records = [*moved(SERVED), *moved([("Pending", 400)], "i-b")]
    assert "1:30" in {words for *_, words in boxes(drawn(timeline(records, (), (), (), {}, 401)))}


def test_the_page_needs_nothing_from_elsewhere_and_is_for_light_and_dark() -> None:
    page = picture(many(5))
    assert "<script" not in page
    assert page.replace("http://www.w3.org/2000/svg", "").count("http") == 0
    assert "prefers-color-scheme: dark" in page


def test_names_are_escaped_and_cut_where_they_are_long() -> None:
    name = '<b onclick="x">&' + "w" * 300
    shown = many(5, name=name)
    page = drawn(shown)
    assert [each.tag for each in page.iter() if each.get("onclick")] == []
    assert all(right <= WIDTH for _, _, right, _, _ in boxes(page))
    long = many(100, name=name)
    assert rows(drawn(long))
    acts = [Act(1000, 1, "<a>")]
    assert "1 <a>" in {words for *_, words in boxes(drawn(many(5, acts=acts)))}


def test_without_instances_there_is_a_page_that_says_so() -> None:
    empty = timeline((), (), (), (), {}, NOW)
    page = drawn(empty)
    assert "No instance was launched" in "".join(page.itertext())
    assert list(page.iter(f"{SVG}svg")) == []


def test_an_instance_launched_this_moment_is_drawn() -> None:
    shown = timeline(moved([("Pending", NOW)]), (), (), (), {}, NOW)
    assert len(rows(drawn(shown))) == 1
    assert strips(shown, 80, blocks=True)


# The terminal


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize(("count", "groups"), [(5, 2), (20, 20), (21, 1), (500, 1), (500, 4), (1000, 150)])
@pytest.mark.parametrize("blocks", [True, False])
def test_the_lines_are_few_and_fit(width: int, count: int, groups: int, blocks: bool) -> None:
    lines = strips(many(count, groups), width, blocks=blocks)
    assert len(lines) <= 65
    assert max(line.cell_len for line in lines) <= width
    assert all(blocks or line.plain.isascii() for line in lines)


@pytest.mark.parametrize("width", [80, 120])
def test_each_of_a_few_instances_has_a_line_with_its_time_and_outcome(width: int) -> None:
    shown = many(FEW, 3)
    lines = [line.plain for line in strips(shown, width, blocks=True)]
    for instance in shown.instances:
        (line,) = (line for line in lines if line.startswith(instance.instance_id))
        assert instance.outcome.value in line
        assert instance.to_service is None or shortly(instance.to_service) in line
        assert ("x abandoned" in line) == instance.troubled


def test_a_stage_shorter_than_a_column_is_seen() -> None:
    states = (*SERVED[:2], ("Pending:Proceed", 1000), ("InService", 1000))
    shown = timeline(moved(states), (), [living(101, 102)], [ran(started=110, finished=998)], {"web": TAGS}, 1100)
    (line,) = (line.plain for line in strips(shown, 80, blocks=False) if line.plain.startswith("i-a"))
    strip = line.removeprefix("i-a").split()[0]
    assert strip.startswith("rJ")
    assert "Jc=" in strip


def test_a_short_stage_does_not_take_the_only_column_of_another() -> None:
    states = (("Pending", 100), ("Pending:Wait", 100.1), ("Pending:Proceed", 105), ("InService", 105))
    shown = timeline(moved(states), (), [living(101, 102)], [ran(started=103, finished=104)], {"web": TAGS}, 1100)
    assert strips(shown, 80, blocks=False)[-1].plain.startswith(f"{'i-a':19} r====")


def test_a_wait_too_short_to_see_takes_no_column_from_others() -> None:
    shown = timeline(moved(SERVED), (), [living(101, 103.9)], [ran()], {"web": TAGS}, 120)
    (line,) = (line.plain for line in strips(shown, 80, blocks=False) if line.plain.startswith("i-a"))
    assert "rJ" in line


def test_what_was_begun_is_named_and_numbered_where_it_began() -> None:
    acts = [Act(999, 1, "first"), Act(1060, 2, "second"), Act(1060.1, 3, "third"), Act(1119, 4, "last")]
    lines = [line.plain for line in strips(many(5, acts=acts), 80, blocks=True)]
    assert lines[3] == "1 first, 2 second, 3 third, 4 last"
    assert lines[4] == f"{'':20}1{'':17}2{'':17}4"
    assert lines[5].startswith("Instance")
    assert [line.plain for line in strips(many(5), 80, blocks=True)][3].startswith("Instance")


def test_a_strip_shows_the_stages_in_their_places() -> None:
    shown = timeline(moved(SERVED), (), [living(101, 102)], [ran("failed")], {"web": TAGS}, 100 + 37)
    line = strips(shown, 80, blocks=False)[-1].plain
    assert line.startswith(f"{'i-a':19} rr..XXXXXXcc==========")


def test_groups_are_shown_as_shares_of_their_instances() -> None:
    records = [*moved([("Pending", 100)] * 1, "i-none")]
    for number in range(40):
        served = 120 if number < 20 else 180
        records += moved([("Pending", 100), ("Pending:Wait", 100), ("InService", served)], f"i-{number}", "half")
    shown = timeline(records, (), (), (), {}, NOW)
    lines = [line.plain for line in strips(shown, 100, blocks=False)]
    half = lines.index("half  40 in service")
    assert lines[half + 1].startswith("registering")
    own = lines[half + 1][20:72].rstrip().split("    ")[0]
    assert own.startswith("##########")
    assert set(own.rstrip(" s0123456789")) <= set(TENTHS)
    assert "5555555" in own
    blocks = [line.plain for line in strips(shown, 100, blocks=True)]
    strip = blocks[half + 1][20:]
    assert strip.startswith("█████████")
    assert set(strip[:50]) <= set(LEVELS)


def test_small_groups_are_shown_together() -> None:
    lines = [line.plain for line in strips(many(500, 10), 100, blocks=True)]
    assert sum(line.startswith("web-") for line in lines) == 4
    assert any(line.startswith("6 other groups  ") for line in lines)


def test_the_first_to_look_at_have_lines_of_their_own() -> None:
    shown = many(500)
    lines = [line.plain for line in strips(shown, 100, blocks=True)]
    assert "Look at these first" in lines
    assert "abandoned: 3 of 50" in lines
    assert sum(line.startswith("i-") for line in lines) <= 9


def test_no_more_than_nine_have_lines_of_their_own_whatever_they_stand_out_for() -> None:
    slow = (*SERVED[:2], ("Pending:Proceed", 180), ("InService", 180))
    kinds = {"late": ABANDONED, "bad": ABANDONED, "waits": SERVED[:2], "again": SERVED, "slow": slow, "fine": SERVED}
    records = [each for kind, states in kinds.items() for n in range(6) for each in moved(states, f"i-{kind}{n}")]
    late = [Timeout(112, "web", f"i-late{n}", "rollcall-launching") for n in range(6)]
    names = [f"i-again{n}" for n in range(6)]
    jobs = [ran("dark", names=names), ran("ok", 2, started=110.5, finished=111, names=names)]
    shown = timeline(records, late, (), jobs, {}, NOW)
    assert len(standing_out(shown.instances)) == 5
    assert sum(line.plain.startswith("i-") for line in strips(shown, 100, blocks=True)) == 9


def test_a_groups_name_that_is_not_ascii_stays_out_of_plain_lines() -> None:
    for count in (5, 50):
        assert all(line.plain.isascii() for line in strips(many(count, name="wéb"), 80, blocks=False))


def test_a_terminal_narrower_than_anything_is_as_wide_as_the_narrowest() -> None:
    assert max(line.cell_len for line in strips(many(5), 10, blocks=True)) <= NARROWEST


def test_without_instances_there_is_a_line_that_says_so() -> None:
    assert [line.plain for line in strips(timeline((), (), (), (), {}, NOW), 80, blocks=True)] == [
        "No instance was launched"
    ]


def test_without_a_terminal_the_timeline_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    Lines().draw(many(500, 3))
    said = capsys.readouterr().out
    assert said.isascii()
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) <= PLAIN_WIDTH


def test_a_terminal_that_has_only_ascii_gets_only_that() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    LiveTable(Console(file=file, width=80, force_terminal=True)).draw(many(30))
    file.flush()
    assert raw.getvalue().isascii()


# The demo


def test_a_scene_that_is_played_is_noted_with_its_number() -> None:
    stage = DemoStage.__new__(DemoStage)
    stage.acts = []
    played: list[DemoStage] = []

    def scale_out(stage: DemoStage) -> None:
        played.append(stage)

    stage.play(scale_out)
    stage.play(scale_out)
    assert [(act.number, act.name) for act in stage.acts] == [(1, "scale out"), (2, "scale out")]
    assert played == [stage, stage]


class FakeCloud:
    """What was recorded of one instance."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.aws = SimpleNamespace(transitions=lambda: moved(SERVED), timeouts=list)
        self.tower = SimpleNamespace(host_lives=lambda: [living(101, 102)], jobs_ever=lambda: [ran()])

    def opted_in(self) -> list[dict[str, Any]]:
        tags = [{"Key": key, "Value": value} for key, value in TAGS.items()]
        return [{"AutoScalingGroupName": "web", "Tags": tags}]


def test_the_records_of_a_cloud_are_read(tmp_path: Path) -> None:
    shown = read_timeline(cast("Cloud", FakeCloud(tmp_path)), [Act(99, 1, "scale out")])
    assert shown.instances[0].outcome == Outcome.SERVES
    assert shown.asks == {"web": "job provision; no checks but the job's result"}
    assert shown.acts == (Act(99, 1, "scale out"),)


def test_the_demo_draws_its_timeline_and_says_where_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = SimpleNamespace(cloud=FakeCloud(tmp_path), acts=[Act(99, 1, "scale out")])
    demo.draw(cast("DemoStage", stage), Lines())
    said = capsys.readouterr().out
    assert "i-a" in said
    assert said.endswith("Timeline: build/demo/timeline.html\n")
    assert "1 scale out" in (tmp_path / "timeline.html").read_text(encoding="utf-8")
