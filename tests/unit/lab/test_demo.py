"""The demo's timeline: records of the embedded cloud as the command-line tool draws them."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from rich.console import Console

from lab.aws.embedded import Timeout, Transition
from lab.cloud import Run as ReconcileRun
from lab.demo import run as demo
from lab.demo.checks import WORDS
from lab.demo.load_record import read as read_load
from lab.demo.stage import Stage as DemoStage
from lab.demo.timeline import read_records, reconciled, recorded
from lab.demo.view import PLAIN_WIDTH, Lines, LiveTable, wrapped
from lab.tower.embedded import OPERATOR, HostLife, HostPeriod, JobRecord
from rollcall_cli.timeline.instances import InstanceRecord, Outcome, Run
from rollcall_cli.timeline.json_format import read
from rollcall_cli.timeline.timeline import Mark
from unit.cli.timeline.recorded import NOW, SERVED, TAGS, many
from unit.lab.test_load import RECORD

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lab.cloud import Cloud
    from lab.demo.load_record import LoadRecord

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


def moved(states: Iterable[tuple[str, float]], name: str = "i-a", group: str = "web") -> list[Transition]:
    """An instance enters these states at these times."""
    return [Transition(time, group, name, "10.0.0.1", state) for state, time in states]


def living(created: float, joined: float | None, removed: float | None = None, name: str = "i-a") -> HostLife:
    """A host of ours."""
    period = HostPeriod(created, removed, "10.0.0.1", "web", "1", "vpc-1")
    return HostLife(1, name, name, "production", "web", "10.0.0.1", created, removed, periods=(period,), joined=joined)


def ran(
    result: str = "ok", number: int = 1, *, status: str = "failed", names: Iterable[str] = ("i-a",), by: str = "admin"
) -> JobRecord:
    """A job limited to these instances, with this result on each."""
    changes: dict[str, Any] = {
        "id": number,
        "limit": ",".join(names),
        "status": status,
        "hosts": dict.fromkeys(names, result),
        "launched_by": by,
    }
    return JobRecord(**(vars(JOB) | changes))


def one(
    lives: Iterable[HostLife] = (), jobs: Iterable[JobRecord] = (), timeouts: Iterable[Timeout] = ()
) -> InstanceRecord:
    (only,) = recorded(moved(SERVED), timeouts, lives, jobs)
    return only


def test_a_host_is_registered_once_it_is_marked_and_in_a_group() -> None:
    assert one([living(101, None)]).registered is None
    assert one([living(101, 105)]).registered == 105
    named = HostPeriod(90, 107, "10.0.0.1", "", "", "")
    marked = HostPeriod(107, None, "10.0.0.1", "web", "1", "vpc-1")
    adopted = HostLife(1, "i-a", "i-a", "production", "web", "10.0.0.1", 90, None, periods=(named, marked), joined=91)
    assert one([adopted]).registered == 107


def test_hosts_that_never_were_rollcalls_do_not_count() -> None:
    others = HostLife(1, "i-a", "i-a", "production", "", "10.0.0.1", 90, None, joined=91)
    assert one([others]).registered is None


def test_a_host_under_another_name_is_known_by_its_instance_id() -> None:
    period = HostPeriod(101, None, "10.0.0.1", "web", "1", "vpc-1")
    life = HostLife(1, "web-1", "i-a", "production", "web", "10.0.0.1", 101, None, periods=(period,), joined=102)
    assert one([life]).registered == 102


def test_an_instance_is_removed_with_the_last_of_its_hosts() -> None:
    assert one([living(101, 102, 151), living(101, 102, 153)]).removed == 153
    assert one([living(101, 102, 151), living(101, 102)]).removed is None


def test_each_job_has_this_hosts_own_result() -> None:
    both = [ran("dark", names=["i-a", "i-b"]), ran("ok", 2)]
    assert one(jobs=both).runs == (Run(1, 104, 110, "unreachable"), Run(2, 104, 110, "ok"))
    assert one(jobs=[ran(status="error")]).runs[0].result == "error"


def test_a_job_of_an_operator_is_not_the_instances() -> None:
    assert one(jobs=[ran(by=OPERATOR)]).runs == ()


def test_a_hook_that_got_no_answer_is_known() -> None:
    assert one(timeouts=[Timeout(112, "web", "i-a", "rollcall-launching")]).timed_out


def test_what_reconcile_did_instead_of_an_event_is_what_its_runs_answered() -> None:
    steps = [
        *({"instance_id": "i-a", "step": step} for step in ("removed", "requeued", "added and provisioned")),
        {"instance_id": "i-b", "step": "fixed"},
    ]
    runs = [
        ReconcileRun({}, {"steps": steps}, 100, 101, frozenset()),
        ReconcileRun({}, None, 102, 103, frozenset()),
    ]
    assert reconciled(runs) == {"i-a": [100, 100, 100]}
    (found,) = recorded(moved(SERVED), (), (), (), reconciled(runs))
    assert found.reconciled == (100, 100, 100)


class FakeCloud:
    """What was recorded of one instance."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.aws = SimpleNamespace(transitions=lambda: moved(SERVED), timeouts=list)
        self.tower = SimpleNamespace(host_lives=lambda: [living(101, 102)], jobs_ever=lambda: [ran()])
        self.runs: list[ReconcileRun] = []

    def opted_in(self) -> list[dict[str, Any]]:
        tags = [{"Key": key, "Value": value} for key, value in TAGS.items()]
        return [{"AutoScalingGroupName": "web", "Tags": tags}]


def test_the_records_of_a_cloud_are_read(tmp_path: Path) -> None:
    found = read(read_records(cast("Cloud", FakeCloud(tmp_path)), [Mark(99, 1, "scale out")]))
    assert found.instances[0].outcome == Outcome.SERVES
    assert str(found.asks["web"]) == "job provision; no checks but the job's result"
    assert found.marks == (Mark(99, 1, "scale out"),)
    assert found.ended > NOW


def test_a_group_is_left_out_of_the_timeline_and_so_is_what_comes_later(tmp_path: Path) -> None:
    cloud, marks = cast("Cloud", FakeCloud(tmp_path)), [Mark(99, 1, "scale out"), Mark(160, 2, "cycle")]
    found = read(read_records(cloud, marks, until=105))
    assert (found.ended, [mark.number for mark in found.marks]) == (105, [1])
    without = read(read_records(cloud, marks, without=["web"]))
    assert not without.instances
    assert not without.asks


def stage_of(directory: Path, load: LoadRecord | None) -> DemoStage:
    """One that has played, with a group under load or without."""
    stage = SimpleNamespace(
        cloud=FakeCloud(directory),
        marks=[Mark(99, 1, "scale out")],
        shop=SimpleNamespace(name="shop"),
        load_since=None,
        recorded=lambda: load,
    )
    return cast("DemoStage", stage)


def test_the_demo_draws_its_timeline_and_says_where_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo.draw(stage_of(tmp_path, None), Lines())
    said = capsys.readouterr().out
    assert "i-a" in said
    assert said.endswith("Timeline: build/demo/timeline.html\n")
    assert "1 scale out" in (tmp_path / "timeline.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "timeline.json").read_text())["marks"][0]["name"] == "scale out"
    assert not (tmp_path / "cycle.json").exists()


def test_the_demo_draws_the_group_under_load_below_its_timeline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.draw(stage_of(tmp_path, RECORD), Lines())
    assert RECORD.headline in capsys.readouterr().out
    page = (tmp_path / "timeline.html").read_text(encoding="utf-8")
    assert page.index("1 scale out") < page.index(RECORD.headline)
    assert read_load(json.loads((tmp_path / "cycle.json").read_text())) == RECORD


def test_a_scene_that_is_played_is_noted_with_its_number() -> None:
    stage = DemoStage.__new__(DemoStage)
    stage.marks = []
    played: list[DemoStage] = []

    def scale_out(stage: DemoStage) -> None:
        played.append(stage)

    stage.play(scale_out)
    stage.play(scale_out)
    assert [(mark.number, mark.name) for mark in stage.marks] == [(1, "scale out"), (2, "scale out")]
    assert played == [stage, stage]


LONG = "   i-0a58a771087769570 waits, and is in Tower still. Reconcile, due every five minutes, comes early."


@pytest.mark.parametrize("width", [80, 60])
def test_what_is_longer_than_the_terminal_goes_on_below_its_beginning(width: int) -> None:
    lines = wrapped(f"1  Scale out\n{LONG}", width).split("\n")
    assert lines[0] == "1  Scale out"
    assert len(lines) > 2
    assert all(line.startswith("   ") and len(line) <= width for line in lines[1:])
    assert " ".join(line.strip() for line in lines[1:]) == LONG.strip()
    assert wrapped(LONG, 200) == LONG


def test_on_a_terminal_of_80_columns_nothing_is_wider(tmp_path: Path) -> None:
    file = io.StringIO()
    table = LiveTable(Console(file=file, width=80, force_terminal=True, color_system=None))
    table.say(LONG)
    table.verdict(True, f"{'I3':4}{WORDS['I3']:<45}  5 jobs, 11 hosts")
    table.draw(many(9, 2, [Mark(1000, 1, "scale out"), Mark(1030, 2, "recycle an address")]))
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("No job ran" in line for line in lines) == 1


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
