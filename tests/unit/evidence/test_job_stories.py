"""What recorded jobs prove, against what truly happened on each of their hosts."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.jobs import JobKind, Outcome
from rollcall.evidence.job_reader import JobEvidence
from unit.wire import Answer, Asked, page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rollcall.tower.client import Tower
    from unit.wire import Wire

type Json = dict[str, Any]

GROUP = "web"
INVENTORY = 3
RECORDED = Path(__file__).parent / "job_stories" / "stories.jsonl"
STORIES = [json.loads(line) for line in RECORDED.read_text().splitlines()]
FAILED = [each for each in STORIES if each["job"]["status"] == "failed"]
WHOLE = {"job_type": "run", "job_tags": "", "skip_tags": ""}
NOT_WHOLE = [each for each in STORIES if {key: each["job"][key] for key in WHOLE} != WHOLE]


def story_name(story: Json) -> str:
    """The story that a job belongs to: its tries have the same playbook."""
    return str(story["name"]).rpartition("-")[0]


@dataclass
class Server:
    """A Tower that ran these jobs, all of one template, as the jobs 1, 2 and so on."""

    stories: Sequence[Json]

    def answer(self, asked: Asked) -> Answer:
        """What it answers to what the reader asks."""
        rows: list[Json]
        words = asked.path.removeprefix("/api/v2/").split("/")
        query = {key: values[0] for key, values in asked.query.items()}
        match words:
            case ["job_templates", _, "jobs", ""]:
                rows = [row for row in map(self.job, range(len(self.stories), 0, -1)) if fits(row, query)]
            case ["jobs", ""]:
                rows = [self.job(int(number)) for number in query["id__in"].split(",")]
            case ["hosts", ""]:
                rows = [self.host(name) for name in query["name__in"].split(",")]
            case ["jobs", number, "job_host_summaries", ""]:
                rows = [row for row in self.stories[int(number) - 1]["job_host_summaries"] if is_asked(row, query)]
            case ["jobs", number, "job_events", ""]:
                events = self.stories[int(number) - 1]["job_events"]
                rows = [{"created": "2026-11-29T11:15:14Z"} | row for row in events if is_asked(row, query)]
            case _:
                return Answer(200, self.job(int(words[1])))
        size, first = int(query.get("page_size", 200)), int(query.get("page", 1)) - 1
        following = "more" if (first + 1) * size < len(rows) else None
        return Answer(200, page(*rows[first * size : (first + 1) * size], total=len(rows), following=following))

    def job(self, number: int) -> Json:
        own: Json = self.stories[number - 1]["job"]
        return own | {
            "id": number,
            "unified_job_template": 10,
            "inventory": INVENTORY,
            "created": "2026-11-29T11:15:01Z",
            "started": "2026-11-29T11:15:02Z",
            "finished": "2026-11-29T11:15:32Z",
            "event_processing_finished": True,
            "playbook": "site.yml",
            "scm_revision": "c0ffee",
            "summary_fields": {"created_by": {"username": "fleet"}},
        }

    def host(self, name: str) -> Json:
        return {
            "id": int(name[2:], 16),
            "name": name,
            "inventory": INVENTORY,
            "instance_id": name,
            "variables": json.dumps({"rollcall": {"group": GROUP, "instance_id": name}}),
            "created": "2026-11-29T11:15:01Z",
            "summary_fields": {"inventory": {"name": "prod", "kind": ""}, "groups": {"count": 0, "results": []}},
        }


def fits(row: Json, query: Mapping[str, str]) -> bool:
    """Whether a job is one that a query asks for."""
    wanted = {key: query.get(key, "") for key in ("status", "job_type", "job_tags", "skip_tags")}
    return {key: row[key] for key in wanted} == wanted


def is_asked(row: Json, query: Mapping[str, str]) -> bool:
    """Whether a summary or an event is one that a query asks for."""
    name = row.get("host_name", "")
    troubled = bool(row.get("failures") or row.get("dark"))
    return (
        name in query.get("host_name__in", name).split(",")
        and row.get("event", "") in query.get("event__in", row.get("event", "")).split(",")
        and query.get("failed", str(troubled).lower()) == str(troubled).lower()
        and query.get("dark", str(row.get("dark"))) == str(row.get("dark"))
        and query.get("ignored", str(row.get("ignored"))) == str(row.get("ignored"))
    )


def shown(tower: Tower, wire: Wire, story: Json, *others: Json) -> Mapping[str, Outcome]:
    """What a job proves in a Tower that ran these others before it."""
    wire.by_request = Server([*others, story]).answer
    [job] = tower.jobs({len(others) + 1}).values()
    outcomes = JobEvidence(tower).outcomes(job, job.hosts, GROUP)
    assert outcomes is not None
    assert outcomes.keys() == job.hosts
    return outcomes


def good_jobs_of(story: Json) -> list[Json]:
    return [each for each in STORIES if story_name(each) == story_name(story) and each["job"]["status"] == "successful"]


def faultless(story: Json) -> Iterator[str]:
    """The hosts on which the last task ran, and that met no failure."""
    for row in story["job_host_summaries"]:
        if story["truth"].get(row["host_name"]) == "done" and not row["failures"] and not row["dark"]:
            yield row["host_name"]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story["name"])
@pytest.mark.parametrize("compared", [False, True], ids=["alone", "compared"])
def test_no_host_whose_last_task_never_ran_is_ok(tower: Tower, wire: Wire, story: Json, compared: bool) -> None:
    outcomes = shown(tower, wire, story, *(good_jobs_of(story) if compared else ()))
    if "note" in story or story in NOT_WHOLE:
        return
    assert [
        name for name, outcome in outcomes.items() if outcome == Outcome.OK and story["truth"][name] != "done"
    ] == []


def test_runs_of_a_part_of_a_playbook_and_check_runs_are_not_whole(tower: Tower, wire: Wire) -> None:
    assert [each["name"] for each in NOT_WHOLE] == ["26-1", "27g-1"]
    wire.by_request = Server(NOT_WHOLE).answer
    assert not any(job.is_whole for job in tower.jobs({1, 2}).values())
    assert tower.jobs_holding(JobKind(10, INVENTORY), ["i-0aaaaaaaa02600001"], 0) == []


def test_with_a_good_job_to_compare_with_no_done_host_is_run_again(tower: Tower, wire: Wire) -> None:
    done: Counter[str] = Counter()
    for story in FAILED:
        for good in good_jobs_of(story):
            outcomes = shown(tower, wire, story, good)
            for name in faultless(story):
                assert outcomes[name] == Outcome.OK, (story["name"], name)
                done[story["ansible_core"]] += 1
    assert done == {"2.16.8": 24, "2.19": 5}


def test_without_a_good_job_to_compare_with_no_host_of_a_failed_job_is_ok(tower: Tower, wire: Wire) -> None:
    for story in FAILED:
        assert Outcome.OK not in shown(tower, wire, story).values(), story["name"]


@pytest.mark.parametrize(
    ("name", "host", "outcome"),
    [
        ("09-1", 3, Outcome.UNREACHABLE),  # ignored, and never reached
        ("37-1", 3, Outcome.OK),  # ignored, and reached later
        ("37b-1", 3, Outcome.OK),  # dark in its summary, and reached later
        ("12-1", 4, Outcome.UNREACHABLE),
        ("04-1", 5, Outcome.CUT_SHORT),  # its batch never began
        ("24-1", 2, Outcome.UNPROVEN),  # disabled
        ("24-try2", 2, Outcome.UNPROVEN),  # a limit that matched nothing
        ("13-1", 1, Outcome.UNPROVEN),  # in no play
        ("14b-1", 5, Outcome.UNPROVEN),
        ("17-1", 1, Outcome.UNPROVEN),  # ended by its own timeout
        ("18-1", 1, Outcome.UNPROVEN),  # cancelled
        ("19-1", 1, Outcome.UNPROVEN),  # nothing that Ansible could read
        ("41-1", 1, Outcome.UNPROVEN),  # killed
        ("02b-1", 3, Outcome.FAILED),
        ("22g-1", 1, Outcome.FAILED),
        ("43-1", 3, Outcome.UNREACHABLE),
        ("10-1", 1, Outcome.OK),  # the playbook itself ends there
        ("14-1", 5, Outcome.OK),  # the second play is not for it
    ],
)
def test_what_a_job_shows_of_a_host(tower: Tower, wire: Wire, name: str, host: int, outcome: Outcome) -> None:
    [story] = [each for each in STORIES if each["name"] == name]
    names = {each[-1]: each for each in story["truth"]}
    assert shown(tower, wire, story)[names[str(host)]] == outcome


def test_a_good_job_without_failures_costs_two_calls_and_one_that_failed_no_events_without_a_good_run(
    tower: Tower, wire: Wire
) -> None:
    def calls(story: Json) -> list[str]:
        shown(tower, wire, story)
        asked = [each.removeprefix("GET /api/v2/jobs/") for each in wire.calls]
        wire.asked.clear()
        return asked[1:]

    by_name = {each["name"]: each for each in STORIES}
    assert calls(by_name["01-1"]) == ["1/", "1/job_host_summaries/"]
    assert calls(by_name["08-1"]) == ["1/", "1/job_host_summaries/", "1/job_events/", "1/job_host_summaries/"]
    assert calls(by_name["17-1"]) == []
    assert not any("events" in each for each in calls(by_name["02-1"]))
