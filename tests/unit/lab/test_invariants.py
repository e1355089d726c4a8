"""The checks of the invariants find what breaks them."""

from __future__ import annotations

import time
from copy import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.aws.embedded import ACCOUNT, REGION, TargetEvent, Timeout, Transition
from lab.cloud import Cloud, Run
from lab.invariants import broken_invariants, disagreements, others_hosts
from lab.tower.embedded import OPERATOR, HostLife, HostPeriod, HostRecord, JobRecord

LAUNCHED = Transition(100, "web", "i-a", "10.0.0.1", "Pending")
SERVING = Transition(110, "web", "i-a", "10.0.0.1", "InService")
GOING = Transition(200, "web", "i-a", "10.0.0.1", "Terminating:Proceed")
JOB = JobRecord(
    id=1,
    template="provision",
    inventory="prod",
    limit="i-a",
    status="successful",
    created=101,
    started=102,
    finished=105,
    hosts={"i-a": "ok"},
    addresses={"i-a": "10.0.0.1"},
    cut_short=False,
    explanation="",
    extra_vars="{}",
    launched_by="admin",
    events_processed=True,
    done=frozenset({"i-a"}),
)
HOST = HostLife(1, "i-a", "i-a", "prod", "web", "10.0.0.1", created=101, removed=199, account=ACCOUNT, vpc="vpc-1")
RUN = Run({}, {"failed": False}, began=300, ended=301, seasoned=frozenset({"i-a"}))
TRIPPED = replace(RUN, answer={"failed": True})
ALERT = {"alert": True, "inventory": "prod", "timestamp": "1970-01-01 00:05:00,500+0000"}


def at(begun: float, address: str, ended: float | None = None, *, by_hand: bool = False, **marker: str) -> HostPeriod:
    """A while in which a host of ours had this address."""
    says = {"group": "web", "account": ACCOUNT, "vpc": "vpc-1"} | marker
    return HostPeriod(begun, ended, address, says["group"], says["account"], says["vpc"], by_hand)


def living(*periods: HostPeriod, name: str = "i-a") -> HostLife:
    """A host that was this, one after the other; each ends with the next."""
    ends = [each.begun for each in periods[1:]] + [periods[-1].ended]
    last = periods[-1]
    return replace(
        HOST,
        name=name,
        instance_id=name,
        address=last.address,
        group=last.group,
        account=last.account,
        vpc=last.vpc,
        created=periods[0].begun,
        removed=last.ended,
        periods=tuple(replace(each, ended=end) for each, end in zip(periods, ends, strict=True)),
    )


def unchanged(life: HostLife) -> HostLife:
    """A host that was always what it was last, unless its periods say otherwise."""
    always = HostPeriod(life.created, life.removed, life.address, life.group, life.account, life.vpc)
    return life if life.periods else replace(life, periods=(always,))


def broken(
    transitions: list[Transition] | None = None,
    jobs: list[JobRecord] | None = None,
    lives: list[HostLife] | None = None,
    timeouts: list[Timeout] | None = None,
    in_flight: int = 0,
    dead: int = 0,
    asking_since: float = 100,
    runs: list[Run] | None = None,
    logged: list[dict[str, Any]] | None = None,
    unheard: tuple[str, ...] = (),
    hooks: tuple[str, ...] = ("LAUNCHING", "TERMINATING"),
    gate: str = "job",
    target_events: list[TargetEvent] | None = None,
    read_only: tuple[str, ...] = (),
    outside: tuple[str, ...] = (),
) -> list[str]:
    """What is broken in a world that is whole but for what is given; the invariants' names."""
    tags = [{"Key": "rollcall:job-template", "Value": "provision"}, {"Key": "rollcall:gate", "Value": gate}]
    sources = [{"Identifier": "arn:web", "Type": "elbv2"}, {"Identifier": "old", "Type": "elb"}]
    group = {"AutoScalingGroups": [{"AutoScalingGroupName": "web", "Tags": tags, "TrafficSources": sources}]}
    held = {"LifecycleHooks": [{"LifecycleTransition": f"autoscaling:EC2_INSTANCE_{each}"} for each in hooks]}
    world: Any = SimpleNamespace(
        aws=SimpleNamespace(
            transitions=lambda: [LAUNCHED, SERVING, GOING] if transitions is None else transitions,
            timeouts=lambda: timeouts or [],
            client=lambda service: SimpleNamespace(
                describe_auto_scaling_groups=lambda **asked: group, describe_lifecycle_hooks=lambda **asked: held
            ),
            target_events=lambda: target_events or [],
            images=SimpleNamespace(launched=lambda: set(outside)),
        ),
        tower=SimpleNamespace(
            jobs_ever=lambda: [JOB] if jobs is None else jobs,
            host_lives=lambda: [unchanged(life) for life in ([HOST] if lives is None else lives)],
        ),
        in_flight=lambda: in_flight,
        dead_letters=lambda: {"Launch": dead},
        asking_since={"web": asking_since},
        runs=runs or [],
        log_lines=lambda function: logged or [],
        read_only=read_only,
    )
    return names(broken_invariants(cast("Cloud", world), ["web"], unheard))


def names(sentences: list[str]) -> list[str]:
    """The invariants that sentences are about."""
    return [sentence.partition(":")[0] for sentence in sentences]


def test_a_world_in_which_all_went_well_breaks_nothing() -> None:
    assert broken() == []


def test_an_instance_that_serves_without_a_job_is_found() -> None:
    assert broken(jobs=[]) == ["I1"]


def test_a_job_that_ended_after_the_instance_served_proves_nothing() -> None:
    assert broken(jobs=[replace(JOB, finished=111)]) == ["I1"]


def test_a_job_that_failed_or_was_cut_short_proves_nothing() -> None:
    assert broken(jobs=[replace(JOB, hosts={"i-a": "failed"})]) == ["I1"]
    assert broken(jobs=[replace(JOB, status="failed", done=frozenset())]) == ["I1"]


def test_what_served_before_its_group_asked_for_a_job_needs_none() -> None:
    assert broken(jobs=[], asking_since=111) == []


def test_what_no_launch_hook_can_keep_from_service_needs_none() -> None:
    assert broken(jobs=[], hooks=("TERMINATING",)) == []


def entering(*states: tuple[float, str]) -> list[Transition]:
    """The one instance enters these states at these times."""
    return [Transition(time, "web", "i-a", "10.0.0.1", state) for time, state in states]


FORMER = entering((100, "Pending"), (110, "InService"))
RETURNED = [*FORMER, *entering((120, "Warmed:Pending"), (121, "Warmed:Pending:Proceed"), (122, "Warmed:Stopped"))]
BACK = [*RETURNED, *entering((130, "Pending"), (140, "InService"))]
OTHER_VOLUME = [*FORMER, *entering((120, "ReplacingRootVolume"), (121, "ReplacingRootVolume:Proceed"))]
SAME_AGAIN = [*OTHER_VOLUME, *entering((122, "RootVolumeReplaced"), (123, "Pending:Wait"), (140, "InService"))]
STANDBY = [*FORMER, *entering((120, "EnteringStandby"), (121, "Standby"), (130, "Pending"), (140, "InService"))]


def resting_between(began: float, ended: float | None) -> HostLife:
    """The host of an instance, which was disabled for a while."""
    here = at(101, "10.0.0.1")
    off = replace(here, begun=began, enabled=False)
    return living(here, off) if ended is None else living(here, off, replace(here, begun=ended))


def test_a_job_of_before_a_warm_pool_or_another_root_volume_proves_nothing() -> None:
    again = replace(JOB, id=2, created=131, finished=135)
    host = resting_between(119, 132)
    for transitions in (BACK, SAME_AGAIN):
        assert broken(transitions, [JOB], [host]) == ["I1"]
        assert broken(transitions, [JOB, again], [host]) == []
        assert broken(transitions, [JOB, replace(again, created=119)], [host]) == ["I1"]
    assert broken(STANDBY, [JOB], [HOST]) == []


def test_a_target_that_was_healthy_before_a_warm_pool_is_to_be_healthy_again() -> None:
    first, second = (TargetEvent(time, "arn:web", "i-a", "healthy") for time in (109, 139))
    again, host = replace(JOB, id=2, created=131, finished=135), resting_between(119, 132)
    assert broken(BACK, [JOB, again], [host], gate="job elb", target_events=[first]) == ["I1"]
    assert broken(BACK, [JOB, again], [host], gate="job elb", target_events=[first, second]) == []


def test_an_instance_that_serves_before_its_target_group_calls_it_healthy_is_found() -> None:
    registered, healthy = (
        TargetEvent(106, "arn:web", "i-a", "registered"),
        TargetEvent(109, "arn:web", "i-a", "healthy"),
    )
    assert broken(gate="job elb", target_events=[registered, healthy]) == []
    assert broken(gate="job elb", target_events=[registered]) == ["I1"]
    assert broken(gate="job elb", target_events=[registered, replace(healthy, time=111)]) == ["I1"]
    assert broken(gate="job elb", target_events=[replace(healthy, target_group="arn:other")]) == ["I1"]
    assert broken(gate="job", target_events=[registered]) == []


def test_a_host_that_is_still_there_when_its_hook_ends_is_found() -> None:
    assert broken(lives=[replace(HOST, removed=201)]) == ["I2"]
    assert broken(lives=[replace(HOST, removed=None)]) == ["I2"]
    assert broken(lives=[replace(HOST, removed=None)], read_only=("other",)) == ["I2"]
    assert broken(lives=[replace(HOST, removed=None)], read_only=("prod",)) == []


def test_a_host_of_what_dies_in_a_warm_pool_is_to_be_gone_as_well() -> None:
    dies = [*RETURNED, *entering((130, "Warmed:Terminating"), (200, "Warmed:Terminating:Proceed"))]
    host = replace(resting_between(119, None), removed=199)
    assert broken(dies, lives=[host]) == []
    assert broken(dies, lives=[replace(host, removed=201)]) == ["I2"]


def test_what_comes_back_is_disabled_when_its_termination_hook_ends_and_not_removed() -> None:
    for transitions in (RETURNED, OTHER_VOLUME):
        assert broken(transitions, lives=[resting_between(120.9, None)]) == []
        assert broken(transitions, lives=[resting_between(121.2, None)]) == ["I2"]
        assert broken(transitions, lives=[living(at(101, "10.0.0.1"))]) == ["I2"]
        assert broken(transitions, lives=[living(replace(at(101, "10.0.0.1"), copy=True))]) == []
        assert broken(transitions, lives=[living(at(101, "10.0.0.1", group="", account="", vpc=""))]) == []


def test_what_comes_into_a_warm_pool_for_the_first_time_need_not_be_disabled_yet() -> None:
    into = entering((100, "Warmed:Pending"), (121, "Warmed:Pending:Proceed"), (122, "Warmed:Stopped"))
    assert broken(into, lives=[living(at(101, "10.0.0.1"))]) == []


def test_a_host_put_back_with_an_old_state_of_tower_was_not_there_when_the_hook_ended() -> None:
    restored = replace(HOST, created=250, removed=None, restored=True)
    assert broken(lives=[HOST, restored]) == []
    assert broken(lives=[replace(restored, created=150)]) == ["I2"]
    assert broken(lives=[HOST, replace(restored, restored=False)]) == ["I2"]


def test_a_host_of_somebody_elses_with_the_instances_id_is_found_too() -> None:
    assert broken(lives=[HOST, replace(HOST, id=2, name="web-1", inventory="other", group="", removed=None)]) == ["I2"]


def test_a_job_without_a_limit_is_found() -> None:
    assert broken(jobs=[JOB, replace(JOB, id=2, limit="")]) == ["I3"]


def test_a_job_that_names_a_host_that_is_no_instance_is_found() -> None:
    assert broken(jobs=[JOB, replace(JOB, id=2, limit="i-a,db-1")]) == ["I3"]


def test_a_job_may_name_an_instance_that_a_bake_launched() -> None:
    of_builder = replace(JOB, id=2, limit="i-builder", hosts={"i-builder": "ok"})
    assert broken(jobs=[JOB, of_builder], outside=("i-builder",)) == []
    assert broken(jobs=[JOB, of_builder]) == ["I3"]


def test_a_job_that_ran_outside_its_limit_is_found() -> None:
    assert broken(jobs=[replace(JOB, hosts={"i-a": "ok", "i-b": "ok"})]) == ["I3"]


def test_two_hosts_with_one_address_at_one_time_are_found() -> None:
    other = replace(HOST, id=2, name="i-b", instance_id="i-b", created=150, removed=None)
    assert broken(lives=[HOST, other]) == ["I5"]
    assert broken(lives=[HOST, replace(other, created=199)]) == []
    assert broken(lives=[HOST, replace(other, inventory="other")]) == []
    assert broken(lives=[HOST, replace(other, account="210987654321")]) == []


def test_a_disabled_host_or_a_copy_may_have_the_address_of_another() -> None:
    here, there = living(at(101, "10.0.0.1", 199)), at(150, "10.0.0.1")
    assert broken(lives=[here, living(replace(there, enabled=False), name="i-b")]) == []
    assert broken(lives=[here, living(replace(there, copy=True), name="i-b")]) == []
    enabled = replace(there, begun=160)
    assert broken(lives=[here, living(replace(there, enabled=False), enabled, name="i-b")]) == ["I5"]
    assert broken(lives=[here, living(replace(there, enabled=False), replace(enabled, begun=199), name="i-b")]) == []
    person = replace(enabled, by_hand=True)
    assert broken(lives=[here, living(replace(there, enabled=False), person, name="i-b")]) == []


def test_one_private_address_in_two_vpcs_is_two_places_and_a_public_one_is_one() -> None:
    other = replace(HOST, id=2, name="i-b", instance_id="i-b", created=150, removed=None, vpc="vpc-2")
    assert broken(lives=[HOST, other]) == []
    for address, found in (
        ("8.8.8.8", ["I5"]),
        ("ec2-8-8-8-8.compute-1.amazonaws.com", ["I5"]),
        ("ip-10-0-0-1.ec2.internal", []),
    ):
        assert broken(lives=[replace(HOST, address=address), replace(other, address=address)]) == found


def test_two_hosts_at_one_address_for_a_while_are_found_though_it_was_put_right() -> None:
    here, there = living(at(101, "10.0.0.1", 199)), "10.0.0.2"
    assert broken(lives=[here, living(at(150, "10.0.0.1"), at(160, there), name="i-b")]) == ["I5"]
    assert broken(lives=[here, living(at(150, there), at(160, "10.0.0.1"), at(170, there), name="i-b")]) == ["I5"]
    moved = living(at(101, "10.0.0.1"), at(160, "10.0.0.3", 199))
    assert broken(lives=[moved, living(at(150, "10.0.0.1"), name="i-b")]) == ["I5"]


def test_an_address_that_a_host_left_before_another_came_is_no_conflict() -> None:
    moved = living(at(101, "10.0.0.2"), at(150, "10.0.0.1", 199))
    assert broken(lives=[moved, living(at(150, "10.0.0.2"), name="i-b")]) == []
    before = living(at(102, "10.0.0.1", 150), name="i-b")
    assert broken(lives=[moved, before]) == []
    unmarked = living(at(101, "10.0.0.1", group="", account=""), at(150, "10.0.0.1", 199))
    assert broken(lives=[unmarked, before]) == []


def test_where_a_person_put_a_host_beside_another_is_not_ours_to_answer_for() -> None:
    here = living(at(101, "10.0.0.1", 199))
    beside = at(150, "10.0.0.1", by_hand=True)
    assert broken(lives=[here, living(at(102, "10.0.0.2"), beside, name="i-b")]) == []
    assert broken(lives=[here, living(beside, at(160, "10.0.0.1", group="web", vpc="vpc-1"), name="i-b")]) == []


def test_a_host_that_we_put_beside_one_that_a_person_moved_is_found() -> None:
    moved = living(at(101, "10.0.0.2"), at(140, "10.0.0.1", 199, by_hand=True))
    assert broken(lives=[moved, living(at(150, "10.0.0.1"), name="i-b")]) == ["I5"]
    assert broken(lives=[moved, living(at(140, "10.0.0.1"), name="i-b")]) == ["I5"]


def test_a_wait_that_nobody_answered_is_found() -> None:
    assert broken(timeouts=[Timeout(120, "web", "i-a", "rollcall-launching")]) == ["I6"]
    assert broken(timeouts=[Timeout(120, "db", "i-z", "rollcall-launching")]) == []


def test_what_is_left_in_a_queue_or_set_aside_is_found() -> None:
    assert broken(in_flight=1) == ["I6"]
    assert broken(dead=1) == ["I6"]


def test_only_what_a_termination_that_nobody_was_told_of_must_break_is_not_asked_of_its_group() -> None:
    late, timed_out = replace(HOST, removed=201), Timeout(200, "web", "i-a", "rollcall-terminating")
    other = replace(late, id=2, name="i-b", instance_id="i-b", removed=None)
    assert broken(lives=[late], timeouts=[timed_out], unheard=("web",)) == []
    assert broken(lives=[late, other], timeouts=[timed_out], unheard=("web",)) == ["I5"]
    assert broken(lives=[late], timeouts=[timed_out]) == ["I2", "I6"]


def due(count: int, removed: float | None = None) -> list[HostLife]:
    """Hosts of ours in one inventory whose instances are gone when RUN begins."""
    return [
        replace(HOST, id=number, name=name, instance_id=name, address=f"10.0.1.{number}", removed=removed)
        for number, name in enumerate(f"i-{number}" for number in range(count))
    ]


def gone(count: int) -> list[Transition]:
    """The ends of their instances, which had no hook."""
    return [Transition(250, "web", f"i-{number}", f"10.0.1.{number}", "Terminated") for number in range(count)]


def test_a_run_that_removes_more_than_its_share_is_found() -> None:
    six = due(6, removed=300.5)
    assert broken(gone(6), [], six, runs=[TRIPPED], logged=[ALERT]) == ["I7"]
    assert broken([], [], six, runs=[RUN]) == ["I7"]
    assert broken(gone(6), [], six, runs=[replace(RUN, asked={"force": True})]) == []


def test_a_run_may_remove_a_few_or_a_small_share() -> None:
    assert broken(gone(5), [], due(5, removed=300.5), runs=[RUN]) == []
    staying = due(30)[6:]
    assert broken(gone(6), [], due(6, removed=300.5) + staying, runs=[RUN]) == []
    copies = [replace(each, periods=(replace(at(101, "10.0.1.9"), copy=True),)) for each in staying]
    assert broken(gone(6), [], due(6, removed=300.5) + copies, runs=[RUN]) == ["I7"] * 2


def test_a_run_that_removes_some_of_too_many_is_found() -> None:
    lives = due(8)
    some = [*lives[:6], *(replace(life, removed=300.5) for life in lives[6:])]
    assert broken(gone(8), [], some, runs=[TRIPPED], logged=[ALERT]) == ["I7"]
    assert broken(gone(8), [], lives, runs=[TRIPPED], logged=[ALERT]) == []


def test_a_run_that_tells_nobody_of_too_many_removals_is_found() -> None:
    lives = due(6)
    assert broken(gone(6), [], lives, runs=[TRIPPED]) == ["I7"]
    assert broken(gone(6), [], lives, runs=[RUN], logged=[ALERT]) == ["I7"]
    late, other = ALERT | {"timestamp": "1970-01-01 00:06:00,000+0000"}, ALERT | {"inventory": "other"}
    assert broken(gone(6), [], lives, runs=[TRIPPED], logged=[late, other]) == ["I7"]
    for excused in (replace(RUN, asked={"dry_run": True}), replace(RUN, answer=None)):
        assert broken(gone(6), [], lives, runs=[excused]) == []


def test_a_run_that_provisions_what_serves_is_found() -> None:
    again = replace(JOB, id=2, created=300.5)
    assert broken(jobs=[JOB, again], runs=[RUN]) == ["I7"]
    assert broken(jobs=[JOB, replace(again, launched_by=OPERATOR)], runs=[RUN]) == []
    assert broken(jobs=[JOB, again], runs=[replace(RUN, asked={"provision": True})]) == []
    assert broken(jobs=[JOB, again], runs=[replace(RUN, seasoned=frozenset())]) == []


MARKER = {"group": "web", "instance_id": "i-a", "account": ACCOUNT, "region": REGION, "vpc": "vpc-1"}
OURS = HostRecord(
    id=1,
    name="i-a",
    inventory="prod",
    inventory_id=1,
    instance_id="i-a",
    enabled=True,
    variables={"rollcall": MARKER, "ansible_host": "10.0.0.1"},
    text="",
    groups=("web",),
    address="10.0.0.1",
    created=101,
    modified=101,
)
OTHER = replace(OURS, id=2, name="db-1", instance_id="", variables={"colour": "red"}, text="colour: red", groups=())


def disagreeing(
    hosts: list[HostRecord],
    state: str = "InService",
    tags: dict[str, str] | None = None,
    ended: tuple[str, ...] = (),
    others: list[HostRecord] | None = None,
    lives: list[HostLife] | None = None,
    hooks: tuple[str, ...] = ("LAUNCHING", "TERMINATING"),
) -> list[str]:
    """What I4 says of a world with one instance in this state, and these hosts."""
    wanted = {"rollcall:inventory": "prod"} | (tags or {})
    one = [{"InstanceId": "i-a", "LifecycleState": state}]
    pooled = state.startswith("Warmed:")
    group = {
        "AutoScalingGroupName": "web",
        "Tags": [{"Key": key, "Value": value} for key, value in wanted.items()],
        "Instances": [] if pooled else one,
        "WarmPoolSize": int(pooled),
    }
    held = {"LifecycleHooks": [{"LifecycleTransition": f"autoscaling:EC2_INSTANCE_{each}"} for each in hooks]}
    instance = {"PrivateIpAddress": "10.0.0.1", "PublicIpAddress": "8.8.8.8"}
    world: Any = SimpleNamespace(
        opted_in=lambda: [group],
        pool_members=lambda name: one,
        describe=lambda ids: dict.fromkeys(ids, instance),
        tower=SimpleNamespace(hosts=lambda: hosts, host_lives=lambda: lives or []),
        aws=SimpleNamespace(
            transitions=lambda: [Transition(200, "web", each, "10.0.0.9", "Terminated") for each in ended],
            client=lambda service: SimpleNamespace(describe_lifecycle_hooks=lambda **asked: held),
        ),
    )
    before = others_hosts(cast("Cloud", SimpleNamespace(tower=SimpleNamespace(hosts=lambda: others or []))))
    return names(disagreements(cast("Cloud", world), before))


def test_what_serves_and_has_its_host_agrees() -> None:
    for state in ("InService", "Standby"):
        assert disagreeing([OURS], state) == []


def test_an_instance_that_serves_without_a_host_or_with_two_is_found() -> None:
    assert disagreeing([]) == ["I4"]
    assert disagreeing([OURS, replace(OURS, id=3, name="web-1")]) == ["I4"]
    assert disagreeing([replace(OURS, variables={"ansible_host": "10.0.0.1"})]) == ["I4"]


RESTING = replace(OURS, enabled=False, variables={"rollcall": MARKER | {"resting": {"since": 1, "enabled": True}}})
REST = ("Warmed:Stopped", "Warmed:Running", "Warmed:Hibernated", "ReplacingRootVolume:Proceed", "RootVolumeReplaced")


@pytest.mark.parametrize("state", REST)
def test_the_host_of_what_rests_is_disabled_and_marked_and_there(state: str) -> None:
    assert disagreeing([RESTING], state) == []
    assert disagreeing([replace(RESTING, enabled=True)], state) == ["I4"]
    assert disagreeing([replace(OURS, enabled=False)], state) == ["I4"]
    assert disagreeing([OURS], state) == ["I4"]
    assert disagreeing([], state) == ["I4"]
    assert disagreeing([], state, hooks=("TERMINATING",)) == []
    assert disagreeing([RESTING, replace(RESTING, id=3, name="web-1")], state, hooks=()) == ["I4"]


def test_the_host_of_what_a_bake_launched_stays_until_its_time_is_over() -> None:
    marker = MARKER | {"instance_id": "i-builder", "role": "builder"}
    builder = replace(OURS, id=3, name="i-builder", instance_id="i-builder")
    kept = replace(builder, variables={"rollcall": marker | {"until": time.time() + 60}})
    assert disagreeing([OURS, kept]) == []
    assert disagreeing([OURS, replace(kept, variables={"rollcall": marker | {"until": time.time() - 60}})]) == ["I4"]


def test_what_serves_is_not_marked_as_resting_and_may_be_disabled_by_a_person() -> None:
    assert disagreeing([RESTING]) == ["I4"]
    assert disagreeing([replace(RESTING, enabled=True)]) == ["I4"]
    assert disagreeing([replace(OURS, enabled=False)]) == []


def test_the_host_of_what_is_on_its_way_may_be_either() -> None:
    for state in ("Warmed:Pending:Wait", "ReplacingRootVolume:Wait"):
        for hosts in ([], [OURS], [RESTING]):
            assert disagreeing(hosts, state) == []


def test_no_host_is_left_of_what_is_retained_or_dies_in_a_pool() -> None:
    for state in (
        "Terminating:Retained",
        "Warmed:Pending:Retained",
        "Warmed:Terminating:Retained",
        "Warmed:Terminated",
    ):
        assert disagreeing([], state) == []
        for host in (OURS, RESTING):
            assert disagreeing([host], state) == ["I4"]


def test_from_a_host_that_rests_a_public_address_is_taken_and_a_private_one_stays() -> None:
    for kind, address, found in (
        ("private", "10.0.0.1", []),
        ("private", "i-a", ["I4"]),
        ("public", "i-a", []),
        ("public", "8.8.8.8", ["I4"]),
        ("public-dns", "ec2-8-8-8-8.compute-1.amazonaws.com", ["I4"]),
        ("public-dns", "i-a", []),
    ):
        host = replace(RESTING, address=address)
        assert disagreeing([host], "Warmed:Running", tags={"rollcall:address": kind}) == found


def test_a_copy_is_no_host_of_ours() -> None:
    for named in (2, "other"):
        copied = replace(OURS, id=3, inventory="copy of prod", variables={"rollcall": MARKER | {"inventory": named}})
        assert disagreeing([OURS, copied]) == []
        assert disagreeing([copied]) == ["I4"]
        assert disagreeing([copied], "Terminated") == []
    own = replace(OURS, variables={"rollcall": MARKER | {"inventory": 1}, "ansible_host": "10.0.0.1"})
    assert disagreeing([own]) == []
    assert disagreeing([own, replace(own, id=3, inventory="other")]) == ["I4"] * 2


def test_a_host_of_what_does_not_serve_is_found() -> None:
    for state in ("Pending:Wait", "Terminating:Wait", "Terminated"):
        assert disagreeing([OURS], state) == ["I4"]
    assert disagreeing([], "Terminating:Wait") == []


def test_a_host_that_lost_our_marker_instead_of_going_is_found() -> None:
    ours, nobodys = at(101, "10.0.0.1"), at(200, "10.0.0.1", group="", account="", vpc="")
    bare = replace(OURS, id=3, name="i-z", variables={"ansible_host": "10.0.0.1"})
    for periods, found in (
        ((ours, nobodys), ["I4"]),
        ((ours, nobodys, replace(nobodys, begun=210, address="10.0.0.2", by_hand=True)), ["I4"]),
        ((ours, replace(nobodys, by_hand=True)), []),
        ((ours, replace(nobodys, ended=210)), []),
        ((ours, nobodys, replace(ours, begun=210)), []),
        ((nobodys,), []),
    ):
        assert disagreeing([OURS, bare], lives=[living(*periods, name="i-z")]) == found


def test_a_host_that_is_not_true_is_found() -> None:
    assert disagreeing([replace(OURS, inventory="other")]) == ["I4"]
    assert disagreeing([replace(OURS, address="10.0.0.2")]) == ["I4"]
    assert disagreeing([replace(OURS, variables={"rollcall": MARKER | {"group": "db"}})]) == ["I4"]
    assert disagreeing([OURS], tags={"rollcall:groups": "web canary"}) == ["I4"]
    assert disagreeing([OURS], tags={"rollcall:address": "public"}) == ["I4"]
    assert disagreeing([replace(OURS, groups=("web", "of-a-person"))]) == []


def test_a_host_of_somebody_elses_that_was_touched_is_found() -> None:
    assert disagreeing([OURS, OTHER], others=[OTHER]) == []
    assert disagreeing([OURS, replace(OTHER, text="colour:  red")], others=[OTHER]) == ["I4"]
    assert disagreeing([OURS, replace(OTHER, modified=102)], others=[OTHER]) == ["I4"]
    assert disagreeing([OURS, replace(OTHER, enabled=False)], others=[OTHER]) == ["I4"]
    assert disagreeing([OURS], others=[OTHER]) == ["I4"]
    assert disagreeing([OURS], others=[OURS]) == []


def test_a_host_of_somebody_elses_may_go_with_its_instance_and_not_before() -> None:
    of_instance = replace(OTHER, instance_id="i-z")
    assert disagreeing([OURS], others=[of_instance], ended=("i-z",)) == []
    assert disagreeing([OURS], others=[of_instance], ended=("i-y",)) == ["I4"]
