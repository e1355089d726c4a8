"""What is made of real jobs, against what truly happened on each of their hosts.

Each playbook is run well by all hosts, and then with trouble. Where that made the job fail, no host may be ok on which
any task did not run that runs there without the trouble; and with the good run to compare with none is run again that
is done. Where the job succeeds in spite of it, the playbook is taken at its word, and only the last task counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.jobs import HostSummary, JobEvent, Outcome
from rollcall.evidence import playbook_trace as trace
from rollcall.evidence.host_outcomes import GoodRun, outcomes_of_failed_job, outcomes_of_good_job
from rollcall.tower import client as tower

from .environments import CORES, ROOT, Run, run_playbook
from .scenarios import SCENARIOS, Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMES = [f"i-{number}" for number in range(1, 6)]
# Between scenarios: the newest core leaves out of further plays whom any_errors_fatal sent into another's rescue.
CLEARED = "- {hosts: all, gather_facts: false, tasks: [meta: clear_host_errors]}\n"
TROUBLED = (Outcome.FAILED, Outcome.UNREACHABLE)


@dataclass(frozen=True)
class Ran:
    """A run of a scenario; marks: what its tasks left, of a host's last one its name, of the others NAME.NUMBER."""

    run: Run
    events: list[JobEvent]
    marks: frozenset[str]

    def marks_of(self, host: str) -> set[str]:
        """What the tasks left that ran on a host."""
        return {each for each in self.marks if each.partition(".")[0] == host}

    @property
    def summaries(self) -> dict[str, HostSummary]:
        """By host, what ansible-runner counted."""
        [stats] = [each["event_data"] for each in self.run.events if each["event"] == "playbook_on_stats"]
        return {
            name: HostSummary(*(stats[count].get(name, 0) for count in ("failures", "dark", "ignored")))
            for name in stats["processed"]
        }


def as_listed(raw: Mapping[str, Any]) -> dict[str, Any]:
    """An event of ansible-runner's as Tower lists it (awx/main/models/events.py, BasePlaybookEvent)."""
    data = raw.get("event_data", {})
    own = {key: raw[key] for key in ("counter", "event", "created")}
    return own | {"event_data": data, "host_name": data.get("host", ""), "task": data.get("task", "")}


def run(core: str, scenarios: Sequence[Scenario], folder: Path, *, well: bool, before: bool = False) -> dict[str, Ran]:
    """Scenarios with their trouble or without, one after the other; by name what became of each.

    before: with the variables of the good run.
    """
    dark = folder / "dark"
    dark.mkdir(parents=True)
    hosts: dict[str, dict[str, object]] = {
        name: {"ansible_connection": "dark", "marks": f"{folder}/{{{{ playbook_dir | basename }}}}", "dark": str(dark)}
        for name in NAMES
    }
    groups: dict[str, list[str]] = {}
    files: dict[str, str] = {}
    for scenario in scenarios:
        (folder / scenario.folder).mkdir()
        files |= scenario.project
        groups |= {name: [f"i-{number}" for number in own] for name, own in scenario.groups.items()}
        known = scenario.variables if scenario.before is None or not before else scenario.before
        for number, variables in known.items():
            hosts[f"i-{number}"] |= variables
        for number in () if well else scenario.dark:
            (dark / f"i-{number}").touch()
        for number in () if well else scenario.bad:
            hosts[f"i-{number}"]["bad"] = True
    site = CLEARED.join(f"- import_playbook: {scenario.folder}/site.yml\n" for scenario in scenarios)
    ran = run_playbook(core, site, hosts, files=files, groups=groups, environment={"DARK": str(dark)})
    events = [tower.read_event(as_listed(raw)) for raw in ran.events if raw["event"] in trace.TRACED_EVENTS]
    return {
        scenario.name: Ran(
            ran, of_scenario(scenario, events), frozenset(each.name for each in (folder / scenario.folder).iterdir())
        )
        for scenario in scenarios
    }


def of_scenario(scenario: Scenario, events: Sequence[JobEvent]) -> list[JobEvent]:
    """The events of its plays."""
    plays = {each.play for each in events if each.path.startswith(f"project/{scenario.folder}/")}
    return [each for each in events if each.play in plays]


@cache
def good(core: str, *, before: bool) -> dict[str, Ran]:
    """All scenarios without their trouble, once for all tests of a process: it takes as long as ten of them.

    before: the good run; else as it would have gone without the trouble, which differs where the good run had other
    variables.
    """
    scenarios = [each for each in SCENARIOS if before or each.before is not None]
    with TemporaryDirectory() as folder:
        made = run(core, scenarios, Path(folder) / "good", well=True, before=before)
    first = made[scenarios[0].name]
    assert not any(each.failures or each.unreachable for each in first.summaries.values()), first.run.output
    assert [each for each in made if not {event.host for event in made[each].events} >= set(NAMES)] == []
    return made


@pytest.mark.parametrize("core", [pytest.param(core, marks=pytest.mark.xdist_group(core)) for core in CORES])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_host_is_ok_if_and_only_if_it_is_done(core: str, scenario: Scenario, tmp_path: Path) -> None:
    compared = good(core, before=True)[scenario.name]
    untroubled = compared if scenario.before is None else good(core, before=False)[scenario.name]
    bad = run(core, [scenario], tmp_path, well=False)[scenario.name]
    assert compared.events
    groups = {name: {group for group, own in scenario.groups.items() if int(name[2:]) in own} for name in NAMES}
    like = {name: [each for each in NAMES if groups[each] == groups[name]] for name in NAMES}
    missed = {name: untroubled.marks_of(name) - bad.marks for name in NAMES}
    if bad.run.status == "successful":
        outcomes = outcomes_of_good_job(NAMES, bad.summaries, bad.events)
        missed = {name: marks & {name} for name, marks in missed.items()}
    else:
        alone = outcomes_of_failed_job(NAMES, bad.summaries, bad.events, GoodRun((), {}))
        assert Outcome.OK not in alone.values()
        outcomes = outcomes_of_failed_job(NAMES, bad.summaries, bad.events, GoodRun(compared.events, like))
    assert untroubled.marks
    ok = {name for name, outcome in outcomes.items() if outcome == Outcome.OK}
    assert {name: missed[name] for name in ok if missed[name]} == {}, bad.run.output
    done = {name for name in NAMES if untroubled.marks_of(name) and not missed[name]}
    again = {name for name in done if outcomes[name] not in (Outcome.OK, *TROUBLED)}
    assert again <= {f"i-{number}" for number in scenario.needless}, bad.run.output


@pytest.mark.parametrize("core", CORES)
def test_the_actions_that_need_no_connection_are_those_of_ansible(core: str) -> None:
    [plugins] = (ROOT / "build" / "ansible" / core).glob("lib/python3*/site-packages/ansible/plugins/action")
    without = {each.stem for each in plugins.glob("*.py") if "_requires_connection = False" in each.read_text()}
    assert without
    assert without <= trace.UNCONNECTED
