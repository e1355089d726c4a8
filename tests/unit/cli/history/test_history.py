"""What the sources know of an instance, put together; and what is asked of the command."""

from __future__ import annotations

import pytest

from rollcall.domain.errors import BadSettings, TowerUnavailable
from rollcall.domain.inventories import Host
from rollcall.domain.jobs import HostSummary, Job, JobKind, JobStatus
from rollcall.domain.settings import JOB_TAG, OPT_IN_TAG
from rollcall_cli.commands.history import seconds_of, wanted
from rollcall_cli.history.activities import KEPT, Activity
from rollcall_cli.history.history import Wanted, record
from rollcall_cli.history.log_lines import LogLine
from rollcall_cli.history.tower_records import read_tower, result_of
from rollcall_cli.running import NotRun
from rollcall_cli.timeline.instances import Outcome, Run, instance_timeline

ID = "i-0123456789abcdef0"
LAUNCH = Activity("web", ID, "Launching a new EC2 instance", 100, 112, "Successful")
TERMINATION = Activity("web", ID, "Terminating EC2 instance", 150, 160, "Successful")
HOST = Host(1, ID, 1, "production", ID, {"rollcall": {"group": "web"}, "ansible_host": "10.0.0.7"}, 103.0, None)
RUN = Run(7, 104, 110, "ok")


def line(at: float, *, event: str = "", step: str = "", job: int | None = None) -> LogLine:
    return LogLine(at, "web", ID, "in words", event, step, job)


def test_each_source_says_its_share() -> None:
    lines = [line(102, event="Instance Registered", job=7), line(111.5, event="Instance Ready")]
    found = record([LAUNCH], lines, [HOST], (RUN,), 0)
    assert (found.group, found.instance_id, found.address) == ("web", ID, "10.0.0.7")
    assert found.states == [(100, "Pending"), (111.5, "Pending:Proceed"), (112, "InService")]
    assert (found.registered, found.removed, found.runs) == (102, None, (RUN,))
    assert not found.launched_before


def test_an_instance_that_left_is_removed_when_the_log_says() -> None:
    lines = [line(102, event="Instance Registered"), line(152, event="Instance Retired")]
    found = record([TERMINATION, LAUNCH], lines, [], (), 0)
    assert found.removed == 152
    assert instance_timeline(found, 200, asks_job=False, asks_checks=False).outcome == Outcome.LEFT
    assert record([TERMINATION, LAUNCH], lines, [HOST], (), 0).removed is None  # a host of it is there still


def test_an_instance_is_registered_no_later_than_its_host_was_made_and_its_first_job_began() -> None:
    late = [line(105, event="Instance Registered", job=7)]
    assert record([LAUNCH], late, [HOST], (RUN,), 0).registered == 103
    assert record([LAUNCH], late, [], (RUN,), 0).registered == 104
    assert record([LAUNCH], [], [HOST], (), 0).registered == 103
    assert record([LAUNCH], [], [], (), 0).registered is None


def test_an_instance_launched_earlier_serves_from_the_beginning_of_what_was_read() -> None:
    found = record([TERMINATION], [line(152, event="Instance Retired")], [], (), 90)
    assert found.launched_before
    assert found.states[0] == (90, "InService")


def test_what_reconcile_did_instead_of_an_event_is_known() -> None:
    found = record([TERMINATION, LAUNCH], [line(155, step="removed")], [], (), 0)
    assert (found.reconciled, found.removed) == ((155,), 155)
    assert instance_timeline(found, 200, asks_job=False, asks_checks=False).termination_missed


def test_a_launch_whose_hook_got_no_answer_has_timed_out() -> None:
    late = Activity("web", ID, LAUNCH.what, 100, 112, "Failed", "was abandoned: Heartbeat Timeout")
    assert record([late], [], [], (), 0).timed_out


def job(status: JobStatus) -> Job:
    return Job(7, 1, status, frozenset({ID}), 103, 104, 110, "")


@pytest.mark.parametrize(
    ("status", "summary", "result"),
    [
        (JobStatus.RUNNING, None, "running"),
        (JobStatus.ERROR, HostSummary(failures=1), "error"),
        (JobStatus.FAILED, None, "not run"),
        (JobStatus.FAILED, HostSummary(), "ok"),
        (JobStatus.FAILED, HostSummary(failures=1), "failed"),
        (JobStatus.FAILED, HostSummary(unreachable=1), "unreachable"),
        (JobStatus.SUCCESSFUL, HostSummary(ignored=2), "ok"),
    ],
)
def test_a_job_has_a_hosts_own_result(status: JobStatus, summary: HostSummary | None, result: str) -> None:
    assert result_of(job(status), summary) == result


class AwayTower:
    """A Tower that does not answer."""

    def hosts_of(self, ids: object) -> object:
        raise TowerUnavailable("Tower does not answer")


def test_a_tower_that_does_not_answer_is_a_gap_with_its_remedy() -> None:
    found = read_tower(AwayTower(), {"web": [ID]}, {}, {}, 100, lambda words: None)  # type: ignore[arg-type]
    (gap,) = found.gaps
    assert gap.startswith("What Tower would show of hosts and jobs is missing: Tower does not answer: run this where")
    assert (found.hosts, found.runs) == ({}, {})


class JobsTower:
    """A Tower with a job for each instance, that knows no inventory but one."""

    def hosts_of(self, ids: object) -> object:
        return []

    def jobs(self, ids: object) -> dict[int, Job]:
        return {}

    def inventory(self, reference: str) -> str:
        if reference != "fleet":
            raise BadSettings(f"Tower has no inventory {reference!r}")
        return reference

    def job_template(self, reference: str) -> JobsTower:
        return self

    def on(self, inventory: str) -> JobKind:
        return JobKind(1, 1)

    def jobs_holding(self, kind: object, own: object, since: float) -> list[Job]:
        return [job(JobStatus.RUNNING)]


@pytest.mark.parametrize("first", ["bad", "good"])
def test_one_groups_bad_tag_hides_no_other_groups_jobs(first: str) -> None:
    tags = {
        "web": {OPT_IN_TAG: "gone" if first == "bad" else "fleet", JOB_TAG: "provision"},
        "db": {OPT_IN_TAG: "fleet" if first == "bad" else "gone", JOB_TAG: "provision"},
    }
    good, bad = ("db", "web") if first == "bad" else ("web", "db")
    members = {each: [ID if each == good else "i-0fedcba9876543210"] for each in tags}
    found = read_tower(JobsTower(), members, tags, {}, 100, lambda words: None)  # type: ignore[arg-type]
    assert [run.job for run in found.runs[ID]] == [7]
    (gap,) = found.gaps
    missing, why = gap.split(": ")
    assert missing == f"What Tower would show of the jobs of {bad}, but for those in the logs, is missing"
    assert why == "Tower has no inventory 'gone'"


@pytest.mark.parametrize(
    ("since", "seconds"), [("90s", 90), ("90m", 5400), ("6h", 21600), ("2d", 172_800), ("1w", 604_800), ("9w", KEPT)]
)
def test_since_is_a_number_and_a_unit_and_no_more_than_aws_keeps(since: str, seconds: float) -> None:
    assert seconds_of(since) == seconds


@pytest.mark.parametrize("since", ["", "6", "h", "0h", "-1h", "6 hours", "1.5h"])
def test_another_since_is_refused(since: str) -> None:
    with pytest.raises(NotRun, match="is no time"):
        seconds_of(since)


def test_a_group_is_read_for_hours_and_an_instance_for_weeks() -> None:
    now = 10_000_000.0
    assert wanted("web", None, None, now) == Wanted(now - 6 * 3600, group="web")
    assert wanted(None, None, "1h", now) == Wanted(now - 3600)
    assert wanted(ID, None, None, now) == Wanted(now - KEPT, instance_id=ID)
    assert wanted(ID, "web", "2d", now) == Wanted(now - 2 * 86400, group="web", instance_id=ID)
    with pytest.raises(NotRun, match="--group goes with"):
        wanted("web", "web", None, now)
