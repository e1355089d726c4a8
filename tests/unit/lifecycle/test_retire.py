"""Instances on their way out: their job, the end of the wait for it, and that nothing keeps their hosts."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

import pytest

from rollcall.domain import timing
from rollcall.domain.actions import Result
from rollcall.domain.errors import (
    AwsDenied,
    BadEvent,
    BadSettings,
    CancelRefused,
    InstanceNotVisible,
    RollcallError,
    Throttled,
    TowerDenied,
    TowerRejected,
    TowerUnavailable,
)
from rollcall.domain.jobs import Job, JobStatus, Outcome
from rollcall.domain.message_format import Record, read_action
from rollcall.domain.reports import NO_LONGER_WAITING, Event
from rollcall.hosts.variables import is_resting, with_state
from unit.fakes import REGION, FakeChef
from unit.world import TERMINATE_HOOK, World, token_of

if TYPE_CHECKING:
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.jobs import JobTemplate
    from rollcall.domain.messages import RetireMessage
    from rollcall.lifecycle.gate_round import Round

OK, FAILED, UNREACHABLE = Outcome.OK, Outcome.FAILED, Outcome.UNREACHABLE


@pytest.fixture
def world() -> World:
    """A world with the group "web", which retires its instances, too."""
    made = World()
    made.group("web", retire_job_template="retire")
    made.tower.add_template("retire")
    return made


def retire_template(world: World) -> JobTemplate:
    return world.tower.templates["retire"]


def retire_jobs(world: World) -> list[frozenset[str]]:
    """Whom the retire jobs are limited to, the oldest first."""
    own = retire_template(world).id
    return [run.job.hosts for run in world.tower.runs.values() if run.job.template_id == own]


def completed(world: World) -> dict[str, Result]:
    return {action.instance_id: result for action, result in world.fleet.completed.items()}


def sent_back(world: World, url: str, body: str) -> LifecycleAction | None:
    """The action, if the message is one for cleanup."""
    if url != world.settings.terminate_queue_url:
        return None
    return read_action(Record("sent", body, REGION, 1, 0, None))


def handed_back(world: World) -> list[str]:
    """The instances of which cleanup hears once more."""
    return [action.instance_id for url, body, _ in world.queues.sent if (action := sent_back(world, url, body))]


def outcomes(result: Round[RetireMessage]) -> dict[str, str]:
    return {report.action.instance_id: report.outcome for report in result.reports}


def alerts(result: Round[RetireMessage]) -> dict[str, str]:
    return {each.action.instance_id: note.words for each in result.reports for note in each.notes if note.alert}


def launched(world: World, *instance_ids: str, group: str = "web") -> RetireMessage:
    """A message of instances whose retire job has been launched."""
    [(message, _)] = world.retire_one(world.retiring(*instance_ids, group=group)).next
    assert message.job_id
    return message


def end(world: World, message: RetireMessage, status: JobStatus | None = None, **by_name: Outcome) -> None:
    """End a message's job with these outcomes, by instance id with _ for -."""
    results = {name.replace("_", "-"): outcome for name, outcome in by_name.items()}
    world.tower.end_job(message.job_id or 0, results, status)


# From the first round to the last


def test_one_job_is_launched_for_all_of_a_message_and_limited_to_them(world: World) -> None:
    result = world.retire_one(world.retiring("i-a", "i-b", "i-c"))
    assert retire_jobs(world) == [{"i-a", "i-b", "i-c"}]
    [(message, delay)] = result.next
    assert {action.instance_id for action in message.retiring} == {"i-a", "i-b", "i-c"}
    assert delay >= 1
    assert not world.fleet.completed
    assert world.tower.names_in(world.inventory) == {"i-a", "i-b", "i-c"}


def test_the_hosts_are_gone_before_the_hooks_are_completed(world: World) -> None:
    message = launched(world, "i-a", "i-b")
    end(world, message, i_a=OK, i_b=OK)
    left: list[int] = []
    world.fleet.before_complete = lambda action: left.append(len(world.tower.hosts))
    result = world.retire_one(message)
    assert left == [0, 0]
    assert completed(world) == {"i-a": Result.CONTINUE, "i-b": Result.CONTINUE}
    assert outcomes(result) == dict.fromkeys(
        ("i-a", "i-b"), f"removed from every inventory: retired by job {message.job_id}"
    )
    assert not result.next
    assert not alerts(result)


def test_while_the_job_runs_everybody_waits(world: World) -> None:
    message = launched(world, "i-a")
    for polls in range(1, 4):
        result = world.retire_one(message)
        [(message, _)] = result.next
        assert message.polls == polls
    assert retire_jobs(world) == [{"i-a"}]
    assert not world.fleet.completed


def test_a_job_of_usual_length_is_left_alone_until_it_may_end(world: World) -> None:
    world.tower.usual = (20.0, 21.0, 22.0)
    message = launched(world, "i-a")
    world.clock.advance(5)
    [(_, delay)] = world.retire_one(message).next
    assert delay == 15


def test_an_instance_that_dies_during_a_long_job_is_noticed_within_half_a_minute(world: World) -> None:
    world.tower.usual = (3000.0, 3100.0, 3200.0)
    [(message, delay)] = world.retire_one(world.retiring("i-a")).next
    assert delay == timing.RETIRE_POLL_MAX == 30
    [(_, delay)] = world.retire_one(message).next
    assert delay == 30


def test_one_read_of_the_jobs_serves_all_messages_of_a_batch(world: World) -> None:
    messages = [launched(world, each) for each in ("i-a", "i-b")]
    world.tower.calls.clear()
    assert [len(result.next) for result in world.retire(*messages)] == [1, 1]
    assert world.tower.calls["jobs"] == 1
    assert not {"jobs_holding", "hosts_named", "launch"} & world.tower.calls.keys()


@pytest.mark.parametrize("outcome", [FAILED, UNREACHABLE, Outcome.CUT_SHORT, Outcome.UNPROVEN])
def test_whom_the_job_failed_goes_like_the_others_and_an_operator_is_alerted(world: World, outcome: Outcome) -> None:
    message = launched(world, "i-a", "i-b")
    end(world, message, i_a=outcome, i_b=OK)
    result = world.retire_one(message)
    assert completed(world) == {"i-a": Result.CONTINUE, "i-b": Result.CONTINUE}
    assert not world.tower.hosts
    assert alerts(result).keys() == {"i-a"}
    assert f"job {message.job_id} " in alerts(result)["i-a"]


@pytest.mark.parametrize("status", [JobStatus.ERROR, JobStatus.CANCELED])
def test_a_job_that_tower_or_an_operator_ended_delays_no_termination(world: World, status: JobStatus) -> None:
    message = launched(world, "i-a")
    world.tower.end_job(message.job_id or 0, {}, status, processed=False)
    result = world.retire_one(message)
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert f"({status}) proved nothing" in alerts(result)["i-a"]


def test_events_that_tower_never_processes_delay_no_termination_for_long(world: World) -> None:
    message = launched(world, "i-a")
    world.tower.end_job(message.job_id or 0, {"i-a": OK}, processed=False)
    world.clock.advance(120)
    assert world.retire_one(message).next
    world.clock.advance(1)
    assert alerts(world.retire_one(message)).keys() == {"i-a"}
    assert completed(world) == {"i-a": Result.CONTINUE}


# The end of the wait


def test_a_job_that_does_not_end_is_cancelled_after_the_groups_timeout_and_its_instance_goes(world: World) -> None:
    world.group("web", retire_job_template="retire", timeout="600")
    message = launched(world, "i-a")
    world.clock.advance(599)
    assert world.retire_one(message).next
    world.clock.advance(1)
    at_completion: list[JobStatus] = []
    job_id = message.job_id or 0
    world.fleet.before_complete = lambda action: at_completion.append(world.tower.runs[job_id].job.status)
    result = world.retire_one(message)
    assert at_completion == [JobStatus.CANCELED]
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert not world.tower.hosts
    words = alerts(result)["i-a"]
    assert f"job {job_id} was not done in time" in words
    assert "was cancelled" in words


@pytest.mark.parametrize("heartbeat_timeout", [30, 60, 600, 1728, 7200])
def test_a_job_takes_at_most_half_of_the_hooks_life_however_long_the_groups_timeout(
    world: World, heartbeat_timeout: int
) -> None:
    world.group("web", heartbeat_timeout, retire_job_template="retire", timeout="172800")
    life = min(48 * 3600, 100 * heartbeat_timeout)
    message = launched(world, "i-a")
    began, alive_at, longest = world.clock.now, world.clock.now, 0.0
    while not world.fleet.completed:
        assert world.clock.now - began <= life / 2
        heartbeats = world.fleet.heartbeats.total()
        result = world.retire_one(message)
        if result.next:
            [(message, delay)] = result.next
            world.clock.advance(delay)
        if world.fleet.heartbeats.total() > heartbeats:
            longest, alive_at = max(longest, world.clock.now - alive_at), world.clock.now
    assert world.clock.now - began == life / 2
    assert longest <= heartbeat_timeout * 2 / 3


def test_after_a_tower_that_was_away_for_half_of_the_hooks_life_no_job_is_begun(world: World) -> None:
    world.group("web", 60, retire_job_template="retire")
    message = world.retiring("i-a")
    world.tower.unavailable = True
    assert isinstance(world.retire_one(message).error, TowerUnavailable)
    assert not world.fleet.completed
    world.clock.advance(3000)
    world.tower.unavailable = False
    result = world.retire_one(message)
    assert not retire_jobs(world)
    assert "no time was left" in alerts(result)["i-a"]
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert not world.tower.hosts


@pytest.mark.parametrize("error", [TowerDenied("no"), TowerUnavailable("away"), CancelRefused(7, "bob")])
def test_a_job_that_cannot_be_cancelled_delays_no_termination_and_is_named(world: World, error: RollcallError) -> None:
    message = launched(world, "i-a")
    world.clock.advance(1800)
    world.tower.failing["cancel"] = error
    result = world.retire_one(message)
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert f"job {message.job_id} COULD NOT BE CANCELLED ({error})" in alerts(result)["i-a"]


# Whom no job can help


def goes_without(world: World, message: RetireMessage, words: str) -> None:
    """The instance of a message goes at once, its host with it, no job was launched, and no one is alerted."""
    result = world.retire_one(message)
    assert words in outcomes(result)["i-a"]
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert not world.tower.names_in(world.inventory)
    assert not retire_jobs(world)
    assert not alerts(result)


@pytest.mark.parametrize("state", ["shutting-down", "terminated", "stopping", "stopped", "pending"])
def test_an_instance_that_does_not_run_is_not_waited_for(world: World, state: str) -> None:
    message = world.retiring("i-a")
    world.fleet.known_instances["i-a"] = world.instance("i-a", state=state)
    goes_without(world, message, f"EC2 says that it is {state}")


def test_an_instance_that_ec2_does_not_know_is_not_waited_for(world: World) -> None:
    message = world.retiring("i-a")
    del world.fleet.known_instances["i-a"]
    goes_without(world, message, "EC2 does not know it")


def test_an_instance_that_was_never_registered_is_not_waited_for(world: World) -> None:
    message = world.retiring("i-a")
    world.tower.remove_host("i-a")
    goes_without(world, message, "no host of ours")


@pytest.mark.parametrize("marker", [None, {"account": "999999999999"}, {"region": "eu-west-1"}, {"instance_id": "i-b"}])
def test_no_job_is_limited_to_a_host_that_is_not_ours(world: World, marker: dict[str, str] | None) -> None:
    message = world.retiring("i-a")
    [host] = world.tower.hosts.values()
    variables = {} if marker is None else {"rollcall": {**(host.marker or {}), **marker}}
    world.tower.hosts[host.id] = replace(host, variables=variables)
    goes_without(world, message, "no host of ours")


def test_a_disabled_host_which_jobs_pass_over_is_not_waited_for_and_reported(world: World) -> None:
    message = world.retiring("i-a")
    [host] = world.tower.hosts.values()
    world.tower.disabled.add(host.id)
    alerted_at_once(
        world, world.retire_one(message), "its host in inventory 'prod' is disabled, so that no job runs on it"
    )


def test_a_host_that_rests_is_disabled_by_us_which_is_nothing_to_report(world: World) -> None:
    message = world.retiring("i-a")
    [host] = world.tower.hosts.values()
    resting = with_state(host.variables, resting=True)
    world.tower.update_host(host.id, "i-a", resting, enabled=False)
    goes_without(world, message, "its host rests")


def test_a_renamed_host_which_no_limit_matches_is_not_waited_for_and_reported(world: World) -> None:
    message = world.retiring("i-a", "i-b")
    [host] = [each for each in world.tower.hosts.values() if each.name == "i-a"]
    world.tower.hosts[host.id] = replace(host, name="web-1")
    result = world.retire_one(message)
    assert retire_jobs(world) == [{"i-b"}]
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert world.tower.names_in(world.inventory) == {"i-b"}
    assert "its host in inventory 'prod' was renamed to 'web-1', so that no limit matches it" in alerts(result)["i-a"]


def test_a_host_of_an_inventory_source_is_no_renamed_one(world: World) -> None:
    message = world.retiring("i-a")
    [host] = world.tower.hosts.values()
    world.tower.hosts[host.id] = replace(host, name="ip-10-0-0-7", variables={})
    result = world.retire_one(message)
    assert "no host of ours" in outcomes(result)["i-a"]
    assert not alerts(result)


def test_an_instance_that_goes_while_its_provisioning_job_runs_never_served(world: World) -> None:
    message = world.retiring("i-a", "i-b")
    world.tower.add_job(world.template, world.inventory, "i-a")
    result = world.retire_one(message)
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert "never served" in outcomes(result)["i-a"]
    assert retire_jobs(world) == [{"i-b"}]
    assert world.tower.names_in(world.inventory) == {"i-b"}


def test_a_provisioning_job_that_is_over_is_no_reason_to_go_without(world: World) -> None:
    message = world.retiring("i-a")
    job = world.tower.add_job(world.template, world.inventory, "i-a")
    world.tower.end_job(job.id, {"i-a": OK})
    assert world.retire_one(message).next
    assert retire_jobs(world) == [{"i-a"}]


def test_a_group_that_does_not_provision_retires_all_the_same(world: World) -> None:
    world.group("web", job_template="", retire_job_template="retire")
    world.retire_one(world.retiring("i-a"))
    assert retire_jobs(world) == [{"i-a"}]


def test_an_action_that_is_over_runs_no_job_and_the_host_of_who_goes_is_removed(world: World) -> None:
    message = world.retiring("i-a")
    world.fleet.stale.add("i-a")
    world.leaves("i-a", "Terminating:Proceed")
    result = world.retire_one(message)
    assert outcomes(result) == {"i-a": NO_LONGER_WAITING}
    assert [report.event for report in result.reports] == [Event.RETIRED]
    assert not retire_jobs(world)
    assert not world.tower.hosts


def test_an_action_that_is_over_does_nothing_to_who_serves(world: World) -> None:
    # Late, forged, or sent by hand: a retire job would take it out of service.
    message = world.retiring("i-a")
    world.fleet.stale.add("i-a")
    world.leaves("i-a", "InService")
    result = world.retire_one(message)
    [report] = result.reports
    assert report.outcome.startswith(NO_LONGER_WAITING)
    assert report.event is None
    assert not retire_jobs(world)
    assert world.tower.names_in(world.inventory) == {"i-a"}
    assert not world.fleet.completed


def test_a_hook_that_waits_although_its_instance_is_said_to_stay_is_asked_about_again(world: World) -> None:
    message = launched(world, "i-a")
    end(world, message, i_a=OK)
    world.leaves("i-a", "InService")
    result = world.retire_one(message)
    assert isinstance(result.error, InstanceNotVisible)
    assert world.tower.names_in(world.inventory) == {"i-a"}
    assert not world.fleet.completed


@pytest.mark.parametrize("state", ["Warmed:Pending:Wait", "ReplacingRootVolume:Wait"])
def test_who_only_rests_has_its_job_and_is_disabled_then(world: World, state: str) -> None:
    message = launched(world, "i-a")
    world.leaves("i-a", state)
    end(world, message, i_a=OK)
    world.fleet.before_complete = lambda action: at_completion.append(set(world.tower.disabled))
    at_completion: list[set[int]] = []
    result = world.retire_one(message)
    [host] = world.tower.hosts.values()
    assert at_completion == [{host.id}]
    assert is_resting(host.variables)
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert outcomes(result)["i-a"].startswith("its host is disabled: retired by job")
    assert [report.event for report in result.reports] == [Event.RETIRED]


def test_who_only_rests_and_cannot_be_disabled_is_not_let_go(world: World) -> None:
    message = launched(world, "i-a")
    world.leaves("i-a", "Warmed:Pending:Wait")
    end(world, message, i_a=OK)
    world.tower.failing["update_host"] = TowerDenied("lacks admin")
    result = world.retire_one(message)
    assert isinstance(result.error, TowerDenied)
    assert not world.fleet.completed


@pytest.mark.parametrize("gone", [True, False])
def test_when_the_group_or_its_tag_goes_meanwhile_its_instances_do_too(world: World, gone: bool) -> None:
    message = launched(world, "i-a")
    world.group("web")
    if gone:
        world.fleet.known_groups.clear()
    result = world.retire_one(message)
    assert bool(world.tower.hosts) == gone
    assert handed_back(world) == (["i-a"] if gone else [])
    assert completed(world) == ({} if gone else {"i-a": Result.CONTINUE})
    assert not alerts(result)
    assert world.tower.runs[message.job_id or 0].job.status == JobStatus.CANCELED


def test_a_group_whose_instances_are_in_chef_gets_them_back_for_cleanup_to_see_to_that(world: World) -> None:
    world.group("web", retire_job_template="retire", chef="@instance_id@")
    message = launched(world, "i-a")
    world.tower.end_job(message.job_id or 0, {"i-a": Outcome.OK})
    result = world.retire_one(message)
    assert outcomes(result) == {"i-a": f"retired: retired by job {message.job_id}"}
    assert world.tower.names_in(world.inventory) == {"i-a"}
    assert completed(world) == {}
    [action] = (action for url, body, _ in world.queues.sent if (action := sent_back(world, url, body)))
    assert action.retire_job_over
    sent = len(world.queues.sent)
    [report] = world.clean_up(action)
    assert report.outcome == "removed from every inventory"
    assert not world.tower.hosts
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert len(world.queues.sent) == sent


@pytest.mark.parametrize("is_closed", [True, False])
def test_handed_back_for_chef_a_job_that_failed_is_alerted_while_the_hook_waits(world: World, is_closed: bool) -> None:
    world.group("web", retire_job_template="retire", chef="@instance_id@")
    message = launched(world, "i-a")
    end(world, message, i_a=FAILED)
    if is_closed:
        world.clock.advance(1800)  # a heartbeat is due
        world.fleet.stale.add("i-a")
        world.leaves("i-a", "Terminating:Proceed")
    result = world.retire_one(message)
    assert handed_back(world) == ["i-a"]
    assert alerts(result).keys() == (set() if is_closed else {"i-a"})


def test_what_only_its_host_tells_of_a_node_outlives_the_retire_job(world: World) -> None:
    world.chef = FakeChef()
    message = launched(world, "i-a")
    world.chef.bootstrap("old-i-a")
    [host] = world.tower.hosts.values()
    variables = {"rollcall": {**(host.marker or {}), "chef": "old-@instance_id@"}}
    world.tower.hosts[host.id] = replace(host, variables=variables)
    world.fleet.known_groups.clear()
    world.retire_one(message)
    [action] = (action for url, body, _ in world.queues.sent if (action := sent_back(world, url, body)))
    [report] = world.clean_up(action)
    assert report.outcome == "removed from every inventory, and from Chef as old-i-a"
    assert not world.chef.held.keys() | world.chef.clients
    assert not world.tower.hosts


def test_the_wait_for_a_job_is_no_part_of_the_patience_with_chef(world: World) -> None:
    world.group("web", retire_job_template="retire", chef="@instance_id@")
    [action] = world.retiring("i-a").retiring
    early = replace(action, received_at=world.clock.now - 10_000)
    world.queues.sent.clear()
    world.clean_up(early)
    [(message, _)] = world.queues.retire_messages()
    assert message.retiring[0].received_at == early.received_at
    world.fleet.stale.add("i-a")
    world.leaves("i-a", "Terminating:Proceed")
    world.queues.sent.clear()
    world.retire_one(message)
    [(url, body, _)] = world.queues.sent
    back = read_action(Record("sent", body, REGION, 1, world.clock.now, None))
    assert back
    assert (url, back.received_at) == (world.settings.terminate_queue_url, world.clock.now)


def test_a_failed_job_is_alerted_once_of_an_instance_that_cleanup_gets_back(world: World) -> None:
    world.group("web", retire_job_template="retire", chef="@instance_id@")
    message = launched(world, "i-a")
    end(world, message, i_a=FAILED)
    assert alerts(world.retire_one(message)).keys() == {"i-a"}
    world.fleet.stale.add("i-a")
    world.clock.advance(10_000)
    assert not alerts(world.retire_one(message))


def test_a_late_job_is_cancelled_for_whomever_else_it_works(world: World) -> None:
    both = launched(world, "i-a", "i-b")
    one = replace(both, retiring=both.retiring[:1])
    world.clock.advance(1800)
    world.retire_one(one)
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert world.tower.runs[both.job_id or 0].job.status == JobStatus.CANCELED


def test_a_failed_job_is_not_alerted_of_an_instance_that_another_message_let_go(world: World) -> None:
    message = launched(world, "i-a")
    end(world, message, i_a=FAILED)
    assert alerts(world.retire_one(message))
    world.leaves("i-a", "Terminating:Proceed")
    again = world.retire_one(message)
    assert outcomes(again) == {"i-a": NO_LONGER_WAITING}
    assert not alerts(again)


def test_an_instance_that_dies_during_the_job_waits_no_longer_and_the_others_keep_their_job(world: World) -> None:
    message = launched(world, "i-a", "i-b")
    world.terminated("i-a")
    result = world.retire_one(message)
    assert "EC2 says that it is terminated" in outcomes(result)["i-a"]
    assert world.tower.names_in(world.inventory) == {"i-b"}
    [(sent, _)] = result.next
    assert [action.instance_id for action in sent.retiring] == ["i-b"]
    assert not world.tower.runs[message.job_id or 0].job.status.final
    assert not alerts(result)


def test_a_job_whose_last_instance_died_is_cancelled_for_its_address_may_be_anothers(world: World) -> None:
    message = launched(world, "i-a")
    world.terminated("i-a")
    result = world.retire_one(message)
    assert world.tower.runs[message.job_id or 0].job.status == JobStatus.CANCELED
    assert not alerts(result)


# Mistakes in the group's set-up


def alerted_at_once(world: World, result: Round[RetireMessage], words: str) -> None:
    """The instance went at once, without a job, and an operator is alerted with group, tag and remedy."""
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert not world.tower.hosts
    assert not [run for run in world.tower.runs.values() if not run.job.status.final]
    assert words in alerts(result)["i-a"]
    assert not result.next
    assert result.error is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"asks_limit": False}, "does not prompt for limit"),
        ({"job_type": "check"}, "is of the job type 'check'"),
        ({"tags": "base"}, "runs only the tags 'base'"),
        ({"slices": 2}, "slices"),
        ({"asks_inventory": False, "inventory_id": 999}, "is fixed to inventory 999"),
    ],
)
def test_a_template_that_cannot_be_limited_is_not_launched_and_delays_no_termination(
    world: World, change: dict[str, object], words: str
) -> None:
    world.tower.add_template("retire", **change)
    result = world.retire_one(world.retiring("i-a"))
    alerted_at_once(world, result, words)
    assert "rollcall:retire-job-template" in alerts(result)["i-a"]


def test_an_unknown_template_delays_no_termination(world: World) -> None:
    world.group("web", retire_job_template="nothing")
    alerted_at_once(world, world.retire_one(world.retiring("i-a")), "rollcall:retire-job-template")


def test_a_template_that_provisions_too_delays_no_termination(world: World) -> None:
    world.group("web", retire_job_template="provision")
    alerted_at_once(world, world.retire_one(world.retiring("i-a")), "use two")


def test_a_tag_that_cannot_be_read_delays_no_termination(world: World) -> None:
    world.group("web", retire_job_template="retire", timeout="soon")
    alerted_at_once(world, world.retire_one(world.retiring("i-a")), "rollcall:timeout")


@pytest.mark.parametrize("error", [TowerDenied("lacks execute"), TowerRejected("did not keep to its limit")])
def test_a_launch_that_tower_refuses_delays_no_termination(world: World, error: RollcallError) -> None:
    message = world.retiring("i-a")
    world.tower.failing["launch"] = error
    alerted_at_once(world, world.retire_one(message), str(error))


def test_a_launch_that_tower_puts_off_is_tried_again(world: World) -> None:
    message = world.retiring("i-a")
    world.tower.failing["launch"] = TowerUnavailable("busy")
    assert isinstance(world.retire_one(message).error, TowerUnavailable)
    assert not world.fleet.completed
    world.tower.failing.clear()
    assert world.retire_one(message).next


# Twice


def test_a_second_message_finds_the_job_and_launches_none(world: World) -> None:
    first = launched(world, "i-a")
    [(second, _)] = world.retire_one(world.retiring("i-a")).next
    assert second.job_id == first.job_id
    assert retire_jobs(world) == [{"i-a"}]


def test_a_job_that_was_launched_but_not_sent_on_is_adopted(world: World) -> None:
    message = world.retiring("i-a")
    world.queues.failing["send"] = Throttled("no more")
    assert isinstance(world.retire_one(message).error, Throttled)
    world.queues.failing.clear()
    [(sent, _)] = world.retire_one(message).next
    assert retire_jobs(world) == [{"i-a"}]
    assert sent.job_id


def test_the_second_message_of_an_instance_that_went_finds_nothing_to_do(world: World) -> None:
    message, copy = world.retiring("i-a"), world.retiring("i-a")
    [(message, _)] = world.retire_one(message).next
    end(world, message, i_a=OK)
    world.retire_one(message)
    world.leaves("i-a", "Terminating:Proceed")
    result = world.retire_one(copy)
    assert outcomes(result) == {"i-a": NO_LONGER_WAITING}
    assert [report.event for report in result.reports] == [None]
    assert retire_jobs(world) == [{"i-a"}]


@pytest.mark.parametrize("age", [0, 240])
def test_what_reconcile_queues_again_starts_no_second_wait(world: World, age: float) -> None:
    launched(world, "i-a")
    world.clock.advance(age + 1)
    message = world.retiring("i-a")
    requeued = replace(message, retiring=tuple(replace(action, token=None) for action in message.retiring))
    result = world.retire_one(requeued)
    assert bool(result.next) == (age == 0)
    assert retire_jobs(world) == [{"i-a"}]
    assert not world.fleet.completed


def test_a_job_of_an_earlier_life_in_the_group_does_not_count(world: World) -> None:
    # It went into the warm pool, and came back: its host is a new one.
    old = world.tower.add_job(retire_template(world), world.inventory, "i-a")
    world.tower.end_job(old.id, {"i-a": OK})
    world.clock.advance(10)
    message = world.retiring("i-a")
    [host] = world.tower.hosts.values()
    world.tower.hosts[host.id] = replace(host, created_at=world.clock.now - 5)
    assert world.retire_one(message).next
    assert len(retire_jobs(world)) == 2


@pytest.mark.parametrize("limit", ["all", "i-zzz", "i-a:db*"])
@pytest.mark.parametrize("gone", ["tag", "template"])
def test_another_job_that_has_the_id_of_a_lost_one_is_not_cancelled(world: World, gone: str, limit: str) -> None:
    world.group("web", retire_job_template="retire")
    world.tower.add_template("retire")
    message = world.retiring("i-a")
    other = world.tower.add_job(world.tower.add_template("deploy-all"), world.inventory, limit)
    if gone == "tag":
        world.group("web", retire_job_template="")
    else:
        world.tower.templates.pop("retire")
    world.retire_one(replace(message, job_id=other.id))
    assert world.tower.runs[other.id].job.status == JobStatus.RUNNING


def test_the_age_of_one_host_says_nothing_of_the_jobs_of_another(world: World) -> None:
    old = world.tower.add_job(retire_template(world), world.inventory, "i-a", "i-b")
    world.tower.end_job(old.id, {"i-a": OK, "i-b": OK})
    world.clock.advance(10)
    message = world.retiring("i-a", "i-b")
    [returned] = (host for host in world.tower.hosts.values() if host.name == "i-a")
    world.tower.hosts[returned.id] = replace(returned, created_at=world.clock.now - 5)
    world.retire_one(message)
    assert retire_jobs(world)[1:] == [{"i-a"}]
    assert completed(world) == {"i-b": Result.CONTINUE}


def test_a_job_older_than_any_hook_can_wait_does_not_count(world: World) -> None:
    world.group("web", 60, retire_job_template="retire")
    by_hand = world.tower.add_job(retire_template(world), world.inventory, "i-a")
    world.tower.end_job(by_hand.id, {"i-a": OK})
    world.clock.advance(6001)
    world.retire_one(world.retiring("i-a"))
    assert len(retire_jobs(world)) == 2


def test_of_two_who_launch_at_one_moment_the_older_job_stands_and_holds_whom_it_holds(world: World) -> None:
    older: list[Job] = []

    def rival(method: str) -> None:
        if method == "launch" and not older:
            older.append(world.tower.add_job(retire_template(world), world.inventory, "i-a", "i-b"))

    message = world.retiring("i-b", "i-c")
    world.tower.before_call = rival
    result = world.retire_one(message)
    by_job = {sent.job_id: {action.instance_id for action in sent.retiring} for sent, _ in result.next}
    running = {run.job.id: run.job.hosts for run in world.tower.runs.values() if not run.job.status.final}
    assert by_job.pop(older[0].id) == {"i-b"}
    [(own, waiting)] = by_job.items()
    assert waiting == {"i-c"}
    assert running == {older[0].id: {"i-a", "i-b"}, own: {"i-c"}}


@pytest.mark.parametrize("error", [TowerDenied("no"), TowerRejected("odd"), CancelRefused(7, "bob")])
def test_whose_second_job_tower_does_not_let_be_cancelled_waits_for_the_older_one(
    world: World, error: RollcallError
) -> None:
    older: list[Job] = []

    def rival(method: str) -> None:
        if method == "launch" and not older:
            older.append(world.tower.add_job(retire_template(world), world.inventory, "i-a", "i-b"))

    message = world.retiring("i-b", "i-c")
    world.tower.before_call = rival
    world.tower.failing["cancel"] = error
    result = world.retire_one(message)
    by_job = {sent.job_id: {action.instance_id for action in sent.retiring} for sent, _ in result.next}
    assert by_job.pop(older[0].id) == {"i-b"}
    assert list(by_job.values()) == [{"i-c"}]
    assert retire_jobs(world) == [{"i-a", "i-b"}, {"i-b", "i-c"}]
    assert not alerts(result)
    assert not world.fleet.completed


@pytest.mark.parametrize(
    ("first", "second", "decides"),
    [
        (JobStatus.SUCCESSFUL, JobStatus.CANCELED, 0),
        (JobStatus.CANCELED, JobStatus.SUCCESSFUL, 1),
        (JobStatus.SUCCESSFUL, JobStatus.SUCCESSFUL, 0),
    ],
)
def test_of_several_jobs_the_first_decides_and_one_that_gave_way_does_not(
    world: World, first: JobStatus, second: JobStatus, decides: int
) -> None:
    jobs = [world.tower.add_job(retire_template(world), world.inventory, "i-a") for _ in range(2)]
    for job, status in zip(jobs, (first, second), strict=True):
        world.tower.end_job(job.id, {"i-a": OK}, status)
    result = world.retire_one(world.retiring("i-a"))
    assert outcomes(result) == {"i-a": f"removed from every inventory: retired by job {jobs[decides].id}"}


# What fails for one does not touch the others


def test_the_first_round_sends_every_hook_a_heartbeat_before_any_request_to_tower(world: World) -> None:
    message = world.retiring("i-a", "i-b")
    world.fleet.heartbeats.clear()
    at_first: list[set[str]] = []
    world.tower.before_call = lambda method: at_first.append(set(world.fleet.heartbeats))
    world.retire_one(message)
    assert at_first[0] == {"i-a", "i-b"}


def test_later_heartbeats_are_sent_when_they_are_due_and_not_before(world: World) -> None:
    message = launched(world, "i-a")
    world.clock.advance(599)
    [(message, _)] = world.retire_one(message).next
    assert world.fleet.heartbeats == {"i-a": 1}
    world.clock.advance(1)
    [(message, _)] = world.retire_one(message).next
    assert world.fleet.heartbeats == {"i-a": 2}
    assert message.heartbeat_at == world.clock.now


def test_a_hook_completed_before_an_error_that_was_not_foreseen_is_reported_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = launched(world, "i-a", "i-b")
    end(world, message, i_a=OK, i_b=OK)
    world.fleet.stale.add("i-b")

    def fail(*given: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(world.fleet, "held", fail)
    result = world.retire_one(message)
    assert isinstance(result.error, RuntimeError)
    assert [(each.action.instance_id, each.event) for each in result.reports] == [("i-a", Event.RETIRED)]


def test_a_hook_that_may_not_be_completed_goes_on_apart(world: World) -> None:
    message = launched(world, "i-a", "i-b")
    end(world, message, i_a=FAILED, i_b=OK)
    world.fleet.denied.add("i-a")
    result = world.retire_one(message)
    assert completed(world) == {"i-b": Result.CONTINUE}
    [(sent, _)] = result.next
    assert [action.instance_id for action in sent.retiring] == ["i-a"]
    assert not alerts(result)
    world.fleet.denied.clear()
    assert alerts(world.retire_one(sent)).keys() == {"i-a"}


def test_a_hook_whose_heartbeat_fails_goes_on_apart(world: World) -> None:
    message = world.retiring("i-a", "i-b")
    world.fleet.throttled.add("i-a")
    result = world.retire_one(message)
    assert retire_jobs(world) == [{"i-b"}]
    assert sorted(len(sent.retiring) for sent, _ in result.next) == [1, 1]


def test_an_inventory_that_keeps_its_host_keeps_the_hook_waiting(world: World) -> None:
    message = launched(world, "i-a")
    end(world, message, i_a=OK)
    world.tower.denied.add(world.inventory.id)
    result = world.retire_one(message)
    assert isinstance(result.error, TowerDenied)
    assert not world.fleet.completed
    assert not result.reports


def test_nothing_is_decided_while_tower_is_away_and_every_hook_lives(world: World) -> None:
    message = launched(world, "i-a")
    world.clock.advance(1000)
    world.tower.unavailable = True
    result = world.retire_one(message)
    assert isinstance(result.error, TowerUnavailable)
    assert world.fleet.heartbeats["i-a"] == 2
    assert not world.fleet.completed


def test_a_message_that_fails_leaves_its_neighbour_alone(world: World) -> None:
    bad, good = launched(world, "i-a"), launched(world, "i-b")
    end(world, good, i_b=OK)
    far = replace(bad, retiring=tuple(replace(action, region="eu-west-1") for action in bad.retiring))
    failed, fine = world.retire(far, good)
    assert isinstance(failed.error, BadEvent)
    assert fine.error is None
    assert completed(world) == {"i-b": Result.CONTINUE}


def test_a_permission_that_the_gate_lacks_on_ec2_is_an_error_of_its_own(world: World) -> None:
    message = launched(world, "i-a")
    world.fleet.failing["instances"] = AwsDenied("no")
    assert isinstance(world.retire_one(message).error, AwsDenied)


def test_both_hooks_of_an_instance_are_completed_after_one_job(world: World) -> None:
    message = world.retiring("i-a")
    [action] = message.retiring
    other: LifecycleAction = replace(action, hook="rollcall-second", token=token_of("i-2"))
    [(sent, _)] = world.retire_one(replace(message, retiring=(action, other))).next
    end(world, sent, i_a=OK)
    asked: list[str | None] = []
    world.fleet.before_complete = lambda each: asked.append(each.hook)
    world.retire_one(sent)
    assert sorted(filter(None, asked)) == ["rollcall-second", TERMINATE_HOOK]
    assert retire_jobs(world) == [{"i-a"}]


def test_settings_that_broke_while_a_job_runs_end_the_wait_and_the_job(world: World) -> None:
    message = launched(world, "i-a")
    world.group("web", retire_job_template="retire", gate="nonsense")
    alerted_at_once(world, world.retire_one(message), str(BadSettings("rollcall:gate")))


# Jobs of before, and ids that come again


def other_job(world: World, which: str) -> Job:
    """A job that ended well, and whose id is the message's by now: Tower was restored."""
    template = world.tower.add_template("another") if which == "of another template" else retire_template(world)
    names = ["i-x"] if which == "on others" else ["i-a"]
    job = world.tower.add_job(template, world.inventory, *names)
    world.tower.end_job(job.id, dict.fromkeys(names, OK))
    return job


LOST = (
    ", which was launched for it, is not found in Tower any more: was Tower restored, the job deleted, or a role taken "
    "from the token's user?"
)


@pytest.mark.parametrize(
    ("heartbeat_timeout", "pauses"), [(3600, [60, 120, 240, 480, 900, 900]), (30, [60, 120, 240, 480])]
)
def test_a_job_that_is_not_found_again_is_reported_once_and_launched_anew_with_growing_delays(
    world: World, heartbeat_timeout: int, pauses: list[float]
) -> None:
    world.group("web", heartbeat_timeout, retire_job_template="retire")
    message = world.retiring("i-a")
    launched_at: list[float] = []
    found_missing: list[float] = []
    reported: list[str] = []
    while len(found_missing) < len(pauses) or len(launched_at) == len(found_missing):
        launches = world.tower.calls["launch"]
        lost = message.job_id is not None
        world.tower.runs.clear()  # as if Tower was restored, or the role to read its jobs was taken away
        result = world.retire_one(message)
        reported += alerts(result).values()
        [(message, delay)] = result.next
        assert not world.fleet.completed
        if lost:
            found_missing.append(world.clock.now)
        if world.tower.calls["launch"] > launches:
            launched_at.append(world.clock.now)
        world.clock.advance(delay)
    assert [again - lost for lost, again in zip(found_missing, launched_at[1:], strict=True)] == pauses
    [words] = reported
    assert words.endswith(LOST)


def test_the_wait_for_another_job_ends_with_the_time_that_is_left(world: World) -> None:
    world.group("web", 30, retire_job_template="retire")
    message = launched(world, "i-a")
    began = world.clock.now
    while not world.fleet.completed:
        world.tower.runs.clear()
        result = world.retire_one(message)
        for following, delay in result.next:
            message = following
            world.clock.advance(delay)
    assert world.clock.now - began == 1500
    assert "no time was left for its retire job" in alerts(result)["i-a"]
    [report] = result.reports
    assert report.action.failed_before


def test_a_job_that_is_found_again_during_the_pause_is_waited_for(world: World) -> None:
    message = launched(world, "i-a")
    hidden = dict(world.tower.runs)
    world.tower.runs.clear()
    [(message, delay)] = world.retire_one(message).next
    world.tower.runs.update(hidden)
    world.clock.advance(delay)
    [(message, _)] = world.retire_one(message).next
    assert message.job_id in hidden
    assert retire_jobs(world) == [{"i-a"}]


def test_while_a_job_under_another_template_runs_on_an_instance_no_other_one_is_launched(world: World) -> None:
    message = launched(world, "i-a")
    world.tower.add_template("retire")  # the tag names another one by now
    for _ in range(20):
        [(following, delay)] = world.retire_one(message).next
        assert following.job_id == message.job_id
        message = following
        world.clock.advance(delay)
    end(world, message, i_a=OK)
    result = world.retire_one(message)
    words = f"job {message.job_id}, which was launched for it, is of another job template or inventory"
    assert alerts(result)["i-a"].startswith(words)
    [(message, _)] = result.next
    world.clock.advance(60)
    [(message, _)] = world.retire_one(message).next
    assert retire_jobs(world) == [{"i-a"}]
    assert message.job_id


@pytest.mark.parametrize("which", ["of another template", "on others", "of before"])
def test_a_job_that_is_not_the_messages_own_is_no_evidence(world: World, which: str) -> None:
    job = other_job(world, which)
    message = world.retiring("i-a")
    if which == "of before":
        world.clock.advance(3600)
        message = replace(message, since=world.clock.now)
        [host] = world.tower.hosts_of(["i-a"])
        stint = {"since": world.clock.now - 60, "token": "t"}
        world.tower.update_host(host.id, "i-a", with_state(host.variables, stint=stint))
    result = world.retire_one(replace(message, job_id=job.id))
    assert f"job {job.id}, which was launched for it, is " in alerts(result)["i-a"]
    [(sent, _)] = result.next
    assert sent.job_id is None
    world.clock.advance(60)
    [(sent, _)] = world.retire_one(sent).next
    assert not world.fleet.completed
    assert sent.job_id not in (None, job.id)


def test_a_job_that_holds_only_some_of_a_message_is_no_evidence_about_the_others(world: World) -> None:
    job = other_job(world, "on some")
    message = world.retiring("i-a", "i-b")
    result = world.retire_one(replace(message, job_id=job.id))
    assert completed(world) == {"i-a": Result.CONTINUE}
    [(sent, _)] = result.next
    assert [action.instance_id for action in sent.retiring] == ["i-b"]
    assert (sent.job_id, sent.lost_jobs) == (None, 1)


def test_a_job_that_was_launched_just_before_the_message_was_sent_is_its_own(world: World) -> None:
    message = launched(world, "i-a")
    ahead = replace(message, since=message.since + timing.CLOCKS_APART)
    end(world, message, i_a=OK)
    world.tower.calls.clear()
    world.retire_one(ahead)
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert not world.tower.calls["jobs_holding"]


def test_a_job_that_runs_is_waited_for_though_its_host_was_disabled_since(world: World) -> None:
    message = world.retiring("i-a")
    world.retire_one(message)
    world.tower.disabled |= set(world.tower.hosts)
    assert world.retire_one(message).next
    assert not world.fleet.completed


def test_a_retire_job_of_a_former_stint_is_no_evidence(world: World) -> None:
    message = world.retiring("i-a")
    former = world.tower.add_job(retire_template(world), world.inventory, "i-a")
    world.tower.end_job(former.id, {"i-a": OK})
    world.clock.advance(60)
    [host] = world.tower.hosts_of(["i-a"])
    stint = {"since": world.clock.now, "token": "t"}
    world.tower.update_host(host.id, "i-a", with_state(host.variables, stint=stint))
    [(sent, _)] = world.retire_one(message).next
    assert sent.job_id != former.id
    assert not world.fleet.completed


@pytest.mark.parametrize("before_its_stint", [True, False])
def test_a_provisioning_job_keeps_no_retire_job_back_if_it_is_of_a_former_stint(
    world: World, before_its_stint: bool
) -> None:
    message = world.retiring("i-a")
    world.tower.add_job(world.template, world.inventory, "i-a")
    [host] = world.tower.hosts_of(["i-a"])
    since = world.clock.now + (1 if before_its_stint else -1)
    world.tower.update_host(host.id, "i-a", with_state(host.variables, stint={"since": since, "token": "t"}))
    world.clock.advance(60)
    world.retire_one(message)
    assert retire_jobs(world) == ([{"i-a"}] if before_its_stint else [])
    assert completed(world) == ({} if before_its_stint else {"i-a": Result.CONTINUE})


# Read-only inventories


def test_a_host_that_is_left_in_a_read_only_inventory_delays_no_termination_and_is_reported(world: World) -> None:
    message = launched(world, "i-a")
    mirror = world.tower.add_inventory("all EC2")
    world.tower.denied.add(mirror.id)
    world.tower.add_host(mirror, "i-a")
    end(world, message, i_a=OK)
    [report] = world.retire_one(message).reports
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert [(note.alert, note.cause) for note in report.notes] == [(True, "read-only inventory: all EC2")]
    assert report.event == Event.RETIRED


def test_where_jobs_retire_no_instance_cleanup_does_not_read_the_group(world: World) -> None:
    world.group("web", retire_job_template="retire")
    world.settings = replace(world.settings, retire_jobs=False)
    world.fleet.failing["groups"] = Throttled("not to be asked")
    world.host_of("i-a", "10.0.0.7")
    action = world.terminating("i-a")
    world.clean_up(action)
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert not world.queues.sent
    assert world.tower.calls["inventory"] == 0


def test_one_without_a_host_waits_while_its_groups_inventory_cannot_be_read(world: World) -> None:
    world.group("web", retire_job_template="retire")
    message = world.retiring("i-a", "i-b")
    world.tower.remove_host("i-a")
    world.group("web", inventory="unreadable", retire_job_template="retire")
    result = world.retire_one(message)
    assert completed(world) == {"i-b": Result.CONTINUE}
    [(onward, _)] = result.next
    assert [each.instance_id for each in onward.retiring] == ["i-a"]
    assert isinstance(world.retire_one(onward).error, BadSettings)
    world.group("web", retire_job_template="retire")
    world.retire_one(onward)
    assert completed(world) == dict.fromkeys(["i-a", "i-b"], Result.CONTINUE)


def test_one_without_a_host_whose_hook_is_over_does_not_depend_on_its_groups_inventory(world: World) -> None:
    world.group("web", retire_job_template="retire")
    message = world.retiring("i-a")
    world.tower.hosts.clear()
    world.group("web", inventory="unreadable", retire_job_template="retire")
    world.fleet.stale.add("i-a")
    world.leaves("i-a", "Terminating:Proceed")
    result = world.retire_one(message)
    assert outcomes(result) == {"i-a": NO_LONGER_WAITING}
