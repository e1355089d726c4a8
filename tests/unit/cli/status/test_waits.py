"""What an instance that waits is waiting for, as the command sees it: the gate's own decisions, and nothing done."""

from __future__ import annotations

from copy import replace

import pytest

from rollcall.domain import timing
from rollcall.domain.actions import Result, Transition
from rollcall.domain.errors import AwsDenied, AwsRejected, AwsUnavailable, RollcallError, TowerUnavailable
from rollcall.domain.groups import Hook
from rollcall.domain.jobs import JobStatus, Outcome
from rollcall.domain.membership import Membership
from rollcall.domain.messages import GateMessage
from rollcall_cli.running import NotRun
from rollcall_cli.status.held_groups import SERVING_READ
from rollcall_cli.status.waits import CheckAnswer, SeenCheck, Step
from rollcall_cli.tower import TOKEN_VARIABLE
from unit.cli.status.stack import PARTS, Looked
from unit.world import HOOK, World, ids

ID = "i-0123456789abcdef0"
OTHER = "i-0fedcba9876543210"


@pytest.fixture
def looked(world: World) -> Looked:
    return Looked(world)


def end(world: World, message: GateMessage, outcome: Outcome, *, processed: bool = True) -> None:
    """End a message's job with this outcome for all of its instances."""
    assert message.job_id
    world.tower.end_job(message.job_id, dict.fromkeys(ids(message), outcome), processed=processed)


# On its way in


def test_groups_in_an_emergency_are_named(world: World) -> None:
    world.group("web", emergency="2026-11-30T10:00:00Z")
    world.group("db")
    assert Looked(world).status().in_emergency == ("web",)


def test_without_a_host_it_is_being_registered(world: World, looked: Looked) -> None:
    world.launching(ID)
    world.clock.now += 30
    wait = looked.wait(ID)
    assert wait.shown.step == Step.REGISTERED
    assert wait.since == world.clock.now - 30


def test_with_a_host_and_no_job_it_waits_for_its_job(world: World, looked: Looked) -> None:
    world.launching(ID)
    world.host_of(ID, "10.0.0.7", age=10)
    wait = looked.wait(ID)
    assert wait.shown.step == Step.JOB_WANTED
    assert wait.since == world.clock.now - 10


def test_a_running_job_is_shown_with_its_page_and_what_is_usual(world: World, looked: Looked) -> None:
    message = world.waiting(ID)
    world.tower.usual = (55.0, 58.0, 61.0)
    world.clock.now += 40
    shown = looked.shown(ID)
    assert (shown.step, shown.tries) == (Step.JOB_RUNS, 1)
    assert shown.job
    assert shown.job.id == message.job_id
    assert shown.job.url == f"https://tower.example.com/#/jobs/playbook/{message.job_id}/output"
    assert (shown.job.template, shown.job.usual) == ("provision", (55.0, 58.0, 61.0))
    assert shown.next_at == world.clock.now + timing.poll_delay(40, world.tower.usual, 0)


def test_a_job_that_tower_has_not_started_is_waited_for(world: World, looked: Looked) -> None:
    message = world.waiting(ID)
    run = world.tower.runs[message.job_id or 0]
    run.job = replace(run.job, status=JobStatus.PENDING, started_at=None)
    world.clock.now += timing.PENDING_TOO_LONG + 1
    shown = looked.shown(ID)
    assert shown.step == Step.JOB_WANTED
    assert "capacity" in shown.reason


def test_a_job_that_hangs_is_said_to_hang_and_is_not_cancelled(world: World, looked: Looked) -> None:
    world.waiting(ID)
    world.clock.now += 2000
    shown = looked.shown(ID)
    assert shown.step == Step.JOB_RUNS
    assert "is stuck: no new event for 2000 s" in shown.reason


def test_events_that_tower_still_processes_are_waited_for(world: World, looked: Looked) -> None:
    message = world.waiting(ID)
    end(world, message, Outcome.OK, processed=False)
    world.clock.now += 4
    shown = looked.shown(ID)
    assert shown.step == Step.EVENTS_PENDING
    assert shown.next_at == world.clock.now + timing.events_delay(4)


def test_after_success_it_is_ready(world: World, looked: Looked) -> None:
    end(world, world.waiting(ID), Outcome.OK)
    assert looked.shown(ID).step == Step.READY


def test_a_job_that_did_not_reach_it_is_tried_again_when_the_gate_does(world: World, looked: Looked) -> None:
    end(world, world.waiting(ID), Outcome.UNREACHABLE)
    ended = world.clock.now
    world.clock.now += 5
    shown = looked.shown(ID)
    assert (shown.step, shown.next_is) == (Step.TRIED_AGAIN, "the next job")
    assert shown.next_at == ended + timing.relaunch_delay(1)


def test_what_failed_is_abandoned_or_held_as_its_group_wants(world: World, looked: Looked) -> None:
    end(world, world.waiting(ID), Outcome.FAILED)
    assert looked.shown(ID).step == Step.ABANDONED
    world.group("web", on_failure="hold")
    shown = looked.shown(ID)
    assert (shown.step, shown.next_is) == (Step.HELD, "the next evaluation")
    assert shown.reason == "its job failed; held for an operator to look"


def test_a_host_that_was_renamed_holds_its_instance(world: World, looked: Looked) -> None:
    world.launching(ID)
    world.host_of(ID, "10.0.0.7", name="web-1")
    shown = looked.shown(ID)
    assert shown.step == Step.HELD
    assert "was renamed to 'web-1'" in shown.reason


def test_a_stay_before_this_one_does_not_count(world: World, looked: Looked) -> None:
    message = world.waiting(ID)
    end(world, message, Outcome.OK)
    world.tower.remove_host(ID)
    world.clock.now += 100
    world.host_of(ID, "10.0.0.7", age=0)
    assert looked.shown(ID).step == Step.JOB_WANTED


def test_a_host_that_rests_is_of_the_stay_before(world: World, looked: Looked) -> None:
    end(world, world.waiting(ID), Outcome.OK)
    world.tower.remove_host(ID)
    world.tower.add_host(world.inventory, ID, variables={"rollcall": {"group": "web", "resting": {"since": 1.0}}})
    assert looked.shown(ID).step == Step.REGISTERED


# Checks


def test_checks_of_aws_are_read_and_others_are_not_guessed(world: World, looked: Looked) -> None:
    world.group("web", gate="job ec2 tcp:22")
    end(world, world.waiting(ID), Outcome.OK)
    shown = looked.shown(ID)
    assert shown.step == Step.CHECKED
    by_check = {each.check: each.answer for each in shown.checks}
    assert by_check == {"job": CheckAnswer.PASSES, "ec2": CheckAnswer.FAILS, "tcp:22": CheckAnswer.NOT_TRIED}
    assert (shown.reason, shown.checks[1].reason) == ("", "its status checks have not both passed")
    assert shown.next_at == world.clock.now + timing.CHECK_INTERVAL
    world.fleet.passing.add(ID)
    shown = looked.shown(ID)
    assert (shown.step, shown.reason) == (Step.CHECKED, "only the gate can try tcp:22: no other check is left")


def test_what_only_the_gate_can_try_is_not_said_to_abandon(world: World, looked: Looked) -> None:
    world.group("web", gate="job tcp:22", timeout="60")
    end(world, world.waiting(ID), Outcome.OK)
    world.clock.now += 100
    shown = looked.shown(ID)
    assert shown.step == Step.HELD
    assert "has not let it through for 100 s: see the gate's log" in shown.reason


def test_a_check_that_fails_for_the_timeout_is_evidence(world: World, looked: Looked) -> None:
    world.group("web", gate="job ec2", timeout="60")
    end(world, world.waiting(ID), Outcome.OK)
    world.clock.now += 100
    assert looked.shown(ID)[:2] == (Step.ABANDONED, "a check of it has failed for 100 s")
    world.group("web", gate="job ec2", timeout="60", on_failure="hold")
    shown = looked.shown(ID)
    assert (shown.step, shown.next_at) == (Step.HELD, world.clock.now + timing.HOLD_INTERVAL)


def test_load_balancers_are_asked_and_nothing_is_registered_with_them(world: World) -> None:
    world.group("web", gate="job elb")
    world.behind("tg/web/1")
    world.fleet.targets.said("unhealthy", "Target.FailedHealthChecks", of=ID, by="tg/web/1")
    end(world, world.waiting(ID, OTHER), Outcome.OK)
    looked = Looked(world, PARTS._replace(parameters={**PARTS.parameters, "LoadBalancers": "true"}))
    assert looked.shown(ID).checks[1] == SeenCheck(
        "elb", CheckAnswer.FAILS, "target group web: unhealthy (Target.FailedHealthChecks)"
    )
    assert looked.shown(OTHER).checks[1].answer == CheckAnswer.UNSURE


# Its wait


def test_the_end_of_a_wait_is_that_of_its_hook_and_computed(world: World, looked: Looked) -> None:
    world.group("web", heartbeat_timeout=30)
    world.fleet.known_hooks["web"] = [
        Hook(HOOK, Transition.LAUNCHING, "", Result.ABANDON, 30),
        Hook("backup-launch", Transition.LAUNCHING, "", Result.CONTINUE, 3000),
    ]
    world.launching(ID)
    world.host_of(ID, "10.0.0.7", age=10)
    wait = looked.wait(ID)
    assert wait.hooks == (HOOK,)
    assert (wait.ends_at, wait.ends_with) == (world.clock.now - 10 + 3000, "ABANDON")


def test_an_end_that_is_past_is_none(world: World, looked: Looked) -> None:
    world.group("web", heartbeat_timeout=30)
    world.fleet.known_hooks["web"] = [Hook(HOOK, Transition.LAUNCHING, "", Result.ABANDON, 30)]
    world.launching(ID)
    world.clock.now += 3001  # out of a warm pool, in which it ran: EC2's launch time is of then
    assert looked.wait(ID).ends_at is None


def test_what_other_hooks_hold_is_not_said_to_be_ours(world: World, looked: Looked) -> None:
    world.fleet.known_hooks["web"] = [Hook("backup-launch", Transition.LAUNCHING, "")]
    world.launching(ID)
    wait = looked.wait(ID)
    assert (wait.shown.step, wait.hooks, wait.ends_at) == (Step.ANOTHERS, (), None)


def test_what_a_hook_of_others_may_hold_still_is_not_said_to_go_on(world: World, looked: Looked) -> None:
    world.fleet.known_hooks["web"].append(Hook("backup-launch", Transition.LAUNCHING, ""))
    end(world, world.waiting(ID), Outcome.OK)
    shown = looked.shown(ID)
    assert shown.step == Step.READY_HERE
    assert shown.reason == (
        "Rollcall does not answer hook 'backup-launch', which may hold it still: AWS does not say which hook does"
    )


def test_one_that_goes_may_be_held_by_a_hook_of_others(world: World, looked: Looked) -> None:
    world.fleet.known_hooks["web"] += [
        Hook("backup-terminate", Transition.TERMINATING, ""),
        Hook("backup-launch", Transition.LAUNCHING, ""),
    ]
    world.terminating(ID)
    shown = looked.shown(ID)
    assert shown.step == Step.REMOVED
    assert "hook is answered next; Rollcall does not answer hook 'backup-terminate', which may hold" in shown.reason


def test_in_an_emergency_its_wait_ends_with_the_heartbeat_timeout(world: World, looked: Looked) -> None:
    world.group("web", heartbeat_timeout=30, emergency="2026-11-30T10:00:00Z")
    world.fleet.known_hooks["web"] = [Hook(HOOK, Transition.LAUNCHING, "", Result.CONTINUE, 30)]
    world.launching(ID)
    world.clock.now += 10
    wait = looked.wait(ID)
    assert (wait.ends_at, wait.ends_with) == (world.clock.now + 20, "CONTINUE")


@pytest.mark.parametrize(
    ("target", "parameters", "ours"),
    [
        (PARTS.outputs["LaunchQueueArn"], {}, True),
        (
            "arn:aws:sns:us-east-1:123456789012:ours",
            {"NotificationTopicArn": "arn:aws:sns:us-east-1:123456789012:ours"},
            True,
        ),
        (
            "arn:aws:sns:us-east-1:123456789012:a-1",
            {"NotifyingTopicArns": "arn:aws:sns:us-east-1:123456789012:a-*"},
            True,
        ),
        (
            "arn:aws:sns:us-east-1:123456789012:b",
            {"NotifyingTopicArns": "arn:aws:sns:us-east-1:123456789012:a-*"},
            False,
        ),
    ],
)
def test_hooks_are_ours_by_what_they_notify(target: str, parameters: dict[str, str], ours: bool) -> None:
    stack = PARTS._replace(parameters=parameters)
    assert stack.answerer.answers(Hook("other", Transition.LAUNCHING, target)) is ours


def test_who_goes_to_rest_is_let_go_once_its_host_is_disabled(world: World, looked: Looked) -> None:
    world.launching(ID, state="Warmed:Pending:Wait")
    assert looked.shown(ID).step == Step.RESTED


def test_one_that_no_hook_holds_is_shown_as_long_as_its_job_is_under_way(world: World, looked: Looked) -> None:
    world.fleet.known_hooks["web"] = []
    world.serving(ID, "10.0.0.7", age=30)
    message = world.waiting(OTHER)
    world.serving(OTHER, "10.0.0.8", age=30)
    [wait] = looked.status().waits
    assert (wait.instance_id, wait.shown.step, wait.hooks) == (OTHER, Step.JOB_RUNS, ())
    end(world, message, Outcome.OK)
    assert looked.status().waits == ()


def test_of_a_large_fleet_those_that_no_hook_holds_are_read_where_their_group_is_named(
    world: World, looked: Looked
) -> None:
    world.fleet.known_hooks["web"] = []
    world.waiting(OTHER)
    world.serving(OTHER, "10.0.0.8", age=30)
    for number in range(SERVING_READ):
        world.fleet.known_memberships[f"i-{number:017x}"] = Membership("web", "InService")
    assert looked.status().waits == ()
    assert [each.instance_id for each in looked.status("web").waits] == [OTHER]


def test_one_that_serves_and_was_held_does_not_wait(world: World, looked: Looked) -> None:
    world.waiting(ID)
    world.serving(ID, "10.0.0.7", age=30)
    assert looked.status().waits == ()


# On its way out


def test_one_that_goes_is_removed_and_its_hosts_are_looked_for(world: World, looked: Looked) -> None:
    for each in (ID, OTHER):
        world.terminating(each)
    world.fleet.known_departures[ID] = world.clock.now - 20
    world.host_of(ID, "10.0.0.7")
    wait = looked.wait(ID)
    assert (wait.shown.step, wait.since) == (Step.REMOVED, world.clock.now - 20)
    assert wait.shown.reason == "its host is still in inventory 'prod'"
    assert wait.ends_at == world.clock.now - 20 + timing.HOOK_LIFE_MAX
    unknown = looked.wait(OTHER)
    assert (unknown.since, unknown.ends_at) == (None, None)
    assert unknown.shown.reason == "its hosts are gone from Tower: its hook is answered next"


def test_its_retire_job_is_shown_and_how_long_it_is_waited_for(world: World, looked: Looked) -> None:
    retire = world.tower.add_template("drain")
    world.group("web", retire_job_template="drain", timeout="600")
    world.terminating(ID)
    world.serving(ID, "10.0.0.7", state="Terminating:Wait")
    world.host_of(ID, "10.0.0.7")
    world.fleet.known_departures[ID] = world.clock.now
    assert looked.shown(ID).step == Step.RETIRE_JOB_WANTED
    job = world.tower.add_job(retire, world.inventory, ID)
    world.clock.now += 100
    shown = looked.shown(ID)
    assert (shown.step, shown.next_is, shown.next_at) == (
        Step.RETIRE_JOB_RUNS,
        "it goes without it",
        world.clock.now + 500,
    )
    assert shown.job
    assert (shown.job.id, shown.job.template) == (job.id, "drain")
    world.tower.end_job(job.id, {ID: Outcome.OK})
    assert looked.shown(ID).reason == f"retired by job {job.id}; its host is still in inventory 'prod'"


def test_where_retire_jobs_are_not_deployed_none_is_waited_for(world: World) -> None:
    world.group("web", retire_job_template="drain")
    world.terminating(ID)
    looked = Looked(world, PARTS._replace(parameters={}))
    assert looked.shown(ID).step == Step.REMOVED


# What cannot be read


def test_a_group_that_cannot_be_followed_spoils_no_other(world: World, looked: Looked) -> None:
    world.group("bad", inventory="nowhere")
    world.launching(OTHER, "bad")
    world.waiting(ID)
    wait = looked.wait(OTHER)
    assert wait.shown.step == Step.NOT_FOLLOWED
    assert "Tower has no inventory 'nowhere'" in wait.shown.reason
    assert looked.shown(ID).step == Step.JOB_RUNS


def test_what_tower_refuses_of_one_kind_of_jobs_is_said_there(world: World, looked: Looked) -> None:
    world.waiting(ID)
    world.tower.failing["jobs_holding"] = TowerUnavailable("Tower is away")
    shown = looked.shown(ID)
    assert (shown.step, shown.reason) == (Step.NOT_KNOWN, "Tower is away")


def test_without_tower_there_is_what_aws_shows_and_why_with_the_remedy(world: World, looked: Looked) -> None:
    world.launching(ID)
    world.terminating(OTHER)
    world.tower.failing["user"] = AwsDenied("AWS refused secret arn:secret: AccessDeniedException: no")
    found = looked.status()
    assert {each.instance_id: each.shown.step for each in found.waits} == {ID: Step.NOT_KNOWN, OTHER: Step.NOT_KNOWN}
    [own] = [each for each in found.waits if each.instance_id == ID]
    assert own.ends_at == world.clock.now + timing.HOOK_LIFE_MAX
    [gap] = found.gaps
    assert "AccessDeniedException" in gap.why
    assert TOKEN_VARIABLE in gap.remedy
    assert set(world.tower.calls) == {"user"}


@pytest.mark.parametrize("part", ["queues", "with_ages", "alarms", "incidents", "last_run"])
@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (AwsDenied("AWS refused it"), "let your credentials "),
        (AwsRejected("no such queue"), "rollcall doctor says"),
        (AwsUnavailable("AWS cannot be reached"), "try again"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_may_not_be_read_of_the_stack_is_missing_and_the_rest_is_there(
    world: World, looked: Looked, part: str, error: RollcallError, remedy: str
) -> None:
    world.waiting(ID)
    looked.around.failing[part] = error
    found = looked.status()
    [gap] = found.gaps
    assert gap.why == str(error)
    assert gap.remedy.startswith(remedy)
    assert (found.queues is None) == (part == "queues")
    assert len(found.waits) == 1


def test_without_auto_scaling_there_is_nothing_to_show(world: World, looked: Looked) -> None:
    world.fleet.failing["opted_in"] = AwsDenied("AWS refused it")
    with pytest.raises(NotRun, match="autoscaling:DescribeAutoScalingGroups"):
        looked.status()
    world.fleet.failing["opted_in"] = AwsUnavailable("AWS cannot be reached")
    with pytest.raises(NotRun, match=r"AWS cannot be reached\nTry again"):
        looked.status()


def test_a_group_that_is_named_is_read_alone_and_must_be_there(world: World, looked: Looked) -> None:
    world.group("db")
    world.launching(OTHER, "db")
    world.waiting(ID)
    found = looked.status("web")
    assert (found.groups, [each.instance_id for each in found.waits]) == (("web",), [ID])
    with pytest.raises(NotRun, match="no Auto Scaling group 'nope'"):
        looked.status("nope")


# How often it asks


def test_of_twenty_groups_with_one_template_tower_is_asked_for_the_jobs_once(world: World, looked: Looked) -> None:
    for number in range(20):
        name = f"web-{number}"
        world.group(name)
        instance_id = f"i-{number:017x}"
        world.launching(instance_id, name)
        world.host_of(instance_id, "10.0.0.7", name, age=5)
        world.tower.add_job(world.template, world.inventory, instance_id)
    asked: list[str] = []
    world.fleet.before_call = asked.append
    found = looked.status()
    assert {each.shown.step for each in found.waits} == {Step.JOB_RUNS}
    assert len(found.waits) == 20
    assert world.tower.calls["jobs_holding"] == world.tower.calls["hosts_named"] == 1
    assert (asked.count("opted_in"), asked.count("instances"), asked.count("hooks")) == (1, 1, 20)
