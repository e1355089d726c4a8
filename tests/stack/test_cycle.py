"""Cycles of groups under load: every instance replaced, and no request lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from lab.cloud import Cloud, Group, eventually
from lab.cycles import (
    WARM_SOON,
    Cycle,
    at_size,
    first_new_host,
    new_hosts,
    start_cycle,
)
from lab.ear import Ear
from lab.tower.embedded import Tower
from lab.traffic.service import UNREADY, Flapping
from lab.traffic.traffic import Traffic

type MakeGroup = Callable[..., Group]


@pytest.fixture
def make_serving(make_group: MakeGroup, arn: str) -> MakeGroup:
    """Makes groups behind the target group, on version 1."""

    def make(**tags: str) -> Group:
        group = make_group(gate="job elb", traffic={"TargetGroupARNs": [arn], **WARM_SOON}, **tags)
        group.use_version("1")
        return group

    return make


def replaced(group: Group, old: set[str], version: str) -> bool:
    """Whether as many others serve, each of this version, once the old ones are gone."""
    eventually(lambda: not old & set(group.states()), "the old ones are gone")
    new = group.in_service()
    assert {group.version_of(each) for each in new} == {version}
    return len(new) == len(old)


def unharmed(traffic: Traffic) -> bool:
    """Whether requests were asked, and none failed."""
    summary = traffic.summary()
    assert summary.failed == ()
    return summary.asked > 100


@pytest.mark.story
def test_ten_instances_are_replaced_under_load_and_no_request_is_lost(
    make_serving: MakeGroup, cloud: Cloud, arn: str
) -> None:
    group = make_serving()
    with cloud.traffic(group, arn) as traffic:
        old = at_size(group, 10)
        version = group.new_version(InstanceType="t4g.medium")
        state = start_cycle(group, launch_template_version=version, batch=4).waited()
        assert (state["result"], state["unverified"]) == ("succeeded", [])
        assert replaced(group, old, version)
        assert unharmed(traffic)
    assert state["dips"] == []
    assert state["reason"] == "10 instances were verified"


def test_a_machine_whose_playbook_fails_is_replaced_and_named_with_its_job_and_the_cycle_succeeds(
    make_serving: MakeGroup, cloud: Cloud, tower: Tower, name: str, arn: str, ear: Ear
) -> None:
    group = make_serving()
    with cloud.traffic(group, arn) as traffic:
        old = at_size(group, 4)
        tower.fail_host(first_new_host(name, old))
        version = group.new_version()
        state = start_cycle(group, launch_template_version=version, batch=2).waited()
        assert (state["result"], state["dips"]) == ("succeeded", [])
        assert replaced(group, old, version)
        assert unharmed(traffic)
    (verdict,) = state["verdicts"]
    (bad,) = {each.instance_id for each in group.transitions()} - old - group.in_service()
    (job,) = (each for each in tower.jobs(name) if each.hosts.get(bad) == "failed")
    url = f"{cloud.tower_url}/#/jobs/playbook/{job.id}/output"
    assert (verdict["instance_id"], verdict["decision"], verdict["what"]) == (bad, "abandon", "provision")
    assert (verdict["job"], verdict["job_url"]) == (job.id, url)
    (event,) = eventually(lambda: ear.details(group, "Cycle Succeeded"), "it is published")
    assert (event["job"], event["job_url"]) == (job.id, url)
    assert event["verdicts"] == [{key: verdict[key] for key in event["verdicts"][0]}]
    assert any(each["verdicts"] for each in ear.details(group, "Cycle Progress")), "not before the end"


def test_a_machine_that_stays_dark_is_replaced_and_named_and_the_cycle_succeeds(
    make_serving: MakeGroup, cloud: Cloud, tower: Tower, name: str, arn: str
) -> None:
    group = make_serving(timeout="4")
    with cloud.traffic(group, arn) as traffic:
        old = at_size(group, 4)
        tower.dark_host(first_new_host(name, old))
        version = group.new_version()
        state = start_cycle(group, launch_template_version=version, batch=2).waited()
        assert (state["result"], state["dips"]) == ("succeeded", [])
        assert replaced(group, old, version)
        assert unharmed(traffic)
    (dark,) = {each.instance_id for each in group.transitions()} - old - group.in_service()
    (verdict,) = state["verdicts"]
    assert (verdict["instance_id"], verdict["decision"]) == (dark, "abandon")
    assert verdict["what"] == "could not be reached"
    assert dark in next(job.hosts for job in tower.jobs(name) if job.id == verdict["job"])


def test_an_old_target_that_flaps_by_itself_is_no_dip_of_the_cycle(
    make_serving: MakeGroup, cloud: Cloud, arn: str
) -> None:
    group = make_serving()
    with cloud.traffic(group, arn) as traffic:
        old = at_size(group, 4)
        ill = max(old)
        traffic.set_fault(Flapping(2, 2, UNREADY), ill)
        eventually(lambda: ill not in traffic.healthy(), "it is seen to be ill")
        eventually(lambda: ill in traffic.healthy(), "and well again")
        began = time.time()
        version = group.new_version()
        state = start_cycle(group, launch_template_version=version, batch=1).waited()
        assert traffic.fewest_healthy(began) < 4, "it did not flap"
        assert (state["result"], state["dips"]) == ("succeeded", [])
        assert replaced(group, old, version)
        assert unharmed(traffic)


def kept(cycle: Cycle, group: Group, old: set[str], traffic: Traffic) -> dict[str, Any]:
    """The state of a cycle once it has ended, of a version that was not taken: nothing else has changed."""
    state = cycle.waited()
    eventually(lambda: set(group.states()) == old, "none of the new ones is left")
    assert group.in_service() == old
    assert {group.version_of(each) for each in old} == {"1"}
    described = group.described()
    assert (described["DesiredCapacity"], described["LaunchTemplate"]["Version"]) == (len(old), "1")
    assert not {each["ProcessName"] for each in described["SuspendedProcesses"]}
    assert unharmed(traffic)
    assert state["dips"] == []
    return state


@pytest.mark.story
def test_a_version_whose_playbook_fails_everywhere_is_rolled_back_by_itself_and_the_job_is_told(
    make_serving: MakeGroup, cloud: Cloud, tower: Tower, name: str, arn: str, ear: Ear
) -> None:
    group = make_serving()
    with cloud.traffic(group, arn) as traffic:
        old = at_size(group, 4)
        tower.fail_host(new_hosts(name, old))
        cycle = start_cycle(group, launch_template_version=group.new_version(), batch=2)
        state = kept(cycle, group, old, traffic)
    assert cycle.status == "FAILED"
    assert state["result"] == "rolled back"
    assert [each["Status"] for each in group.refreshes()] == ["RollbackSuccessful"]
    (event,) = eventually(lambda: ear.details(group, "Cycle Rolled Back"), "it is published")
    assert (event["reason"], event["version"], event["from_version"]) == (state["reason"], "2", "1")
    assert "task 'provision' failed on" in event["reason"]
    assert {each["what"] for each in event["verdicts"]} == {"provision"}
    assert len({each["instance_id"] for each in event["verdicts"]}) >= 2
    assert event["job_url"] == f"{cloud.tower_url}/#/jobs/playbook/{event['job']}/output"
    assert event["job"] in {job.id for job in tower.jobs(name) if "failed" in job.hosts.values()}
    assert f"job {event['job']}" in event["reason"]


def test_in_a_group_that_holds_two_that_are_held_are_enough_to_roll_back(
    make_serving: MakeGroup, cloud: Cloud, tower: Tower, name: str, arn: str
) -> None:
    group = make_serving(on_failure="hold")
    with cloud.traffic(group, arn) as traffic:
        old = at_size(group, 4)
        tower.fail_host(new_hosts(name, old))
        cycle = start_cycle(group, launch_template_version=group.new_version(), batch=2)
        state = kept(cycle, group, old, traffic)
    assert (state["result"], {each["decision"] for each in state["verdicts"]}) == ("rolled back", {"hold"})
    assert len({each.instance_id for each in group.transitions()} - old) == 2, "others were launched for those held"


def test_where_nothing_is_to_be_rolled_back_the_refresh_is_cancelled_and_the_cycle_fails(
    make_serving: MakeGroup, cloud: Cloud, tower: Tower, name: str, arn: str, ear: Ear
) -> None:
    group = make_serving()
    with cloud.traffic(group, arn) as traffic:
        old = at_size(group, 4)
        tower.fail_host(new_hosts(name, old))
        cycle = start_cycle(group, launch_template_version=group.new_version(), batch=2, rollback=False)
        state = kept(cycle, group, old, traffic)
    assert state["result"] == "failed"
    assert "task 'provision' failed on" in state["reason"]
    assert [each["Status"] for each in group.refreshes()] == ["Cancelled"]
    (event,) = eventually(lambda: ear.details(group, "Cycle Failed"), "it is published")
    assert (event["reason"], {each["what"] for each in event["verdicts"]}) == (state["reason"], {"provision"})
    assert not ear.details(group, "Cycle Cancelled")


def test_a_tower_that_is_away_in_the_middle_costs_nothing_and_the_cycle_goes_on_when_it_is_back(
    make_serving: MakeGroup, cloud: Cloud, tower: Tower, arn: str
) -> None:
    group = make_serving()
    with cloud.traffic(group, arn) as traffic:
        old = at_size(group, 4)
        version = group.new_version()
        cycle = start_cycle(group, launch_template_version=version, batch=2)
        eventually(lambda: len(group.in_service() - old) >= 2, "the first two are in service")
        tower.refuse()
        polls = cycle.state["polls"]
        eventually(lambda: "Pending:Wait" in group.states().values(), "one waits for Tower")
        eventually(lambda: cycle.state["polls"] > polls + 3, "the refresh is followed all the same")
        assert cycle.state["phase"] == "replacing"
        tower.come_back()
        state = cycle.waited()
        assert (state["result"], state["verdicts"], state["dips"]) == ("succeeded", [], [])
        assert replaced(group, old, version)
        assert unharmed(traffic)
    assert len({each.instance_id for each in group.transitions()}) == 8, "one was abandoned"
