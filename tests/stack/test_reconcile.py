"""What events missed, a run or two of reconcile makes up for. Hosts of others stay; nothing large is done unasked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from lab.cloud import ACCOUNT, NEVER, REGION, STACK, Cloud, Group, ReconcileFailed, eventually
from lab.invariants import disagreements, is_ours, others_hosts
from lab.tower.embedded import HostRecord, Tower

type MakeGroup = Callable[..., Group]
type Registered = Callable[..., tuple[Group, set[str]]]
type Settle = Callable[[], None]
type Others = Mapping[int, HostRecord]
type Json = dict[str, Any]

LAUNCH = "EC2 Instance-launch Lifecycle Action"
TERMINATION = "EC2 Instance-terminate Lifecycle Action"
TERMINATED = "EC2 Instance Terminate Successful"
LATE = 300  # seconds since its launch, beyond the longest back-off of register
SEASONED = 3600  # seconds since its launch, beyond a group's timeout
GROUPS_PER_PAGE = 100  # that reconcile asks Auto Scaling for, and the most that it gives
FORGOTTEN = 7200  # seconds after which AWS knows nothing of a terminated instance any more
LATER = float("inf")
UNKNOWN_INSTANCE = "i-0fedcba9876543210"
BY_HAND = "# by hand\nansible_host: 192.0.2.7\ncolour:   'red'\n"


@pytest.fixture
def others(make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str) -> Iterator[Others]:
    """Hosts of others in the test's inventory, by id; byte for byte what they were until the test is over."""
    marker = {"group": f"{name}-a", "instance_id": UNKNOWN_INSTANCE, "region": REGION, "vpc": "vpc-1"}
    tower.add_host(name, "db-1", BY_HAND, groups=["databases"], enabled=False)
    tower.add_host(name, "db-2", "---\nrollcall: is fine\n", instance_id=UNKNOWN_INSTANCE)
    tower.add_host(name, UNKNOWN_INSTANCE, {"rollcall": {**marker, "account": "210987654321"}}, groups=["databases"])
    for host in tower.hosts(name):
        tower.age_host(host.name, name, FORGOTTEN)
    others = others_hosts(cloud)
    yield others
    assert not [each for each in disagreements(cloud, others) if "not ours" in each]
    for host in others_hosts(cloud).values():
        tower.remove_host(host.name, host.inventory_id)


@pytest.fixture
def settle(cloud: Cloud, others: Others) -> Settle:
    """Two runs, each with what it sets off; then I4 holds."""

    def settle() -> None:
        for _ in range(2):
            cloud.reconcile()
            eventually(lambda: not unsettled(cloud), "nothing moves any more")
        disagreeing = disagreements(cloud, others)
        assert not disagreeing, "\n".join(disagreeing)

    return settle


def unsettled(cloud: Cloud) -> bool:
    """Whether anything is on its way, a message or an instance."""
    states = {each["LifecycleState"] for group in cloud.opted_in() for each in group["Instances"]}
    return bool(states - {"InService", "Standby"}) or cloud.in_flight() > 0


@contextmanager
def lost(cloud: Cloud, *detail_types: str) -> Iterator[None]:
    """EventBridge loses these events until the block ends."""
    cloud.aws.drop_events(*detail_types)
    try:
        yield
    finally:
        cloud.aws.drop_events()


def serving(group: Group, size: int) -> set[str]:
    """The instances of a group once so many are in service, and no others are there."""
    eventually(lambda: list(group.states().values()) == ["InService"] * size, f"{size} of {group.name} in service")
    return group.in_service()


@pytest.fixture
def registered(make_group: MakeGroup, cloud: Cloud) -> Callable[..., tuple[Group, set[str]]]:
    """Makes a group without hooks and jobs whose instances serve and have hosts, which a run has added."""

    def make(suffix: str = "", *, size: int, **tags: str | None) -> tuple[Group, set[str]]:
        group = make_group(suffix, hooks=False, size=size, **{"job_template": None, **tags})
        instances = serving(group, size)
        cloud.reconcile()
        return group, instances

    return make


def waiting(group: Group, state: str, size: int = 1) -> set[str]:
    """The instances that wait in a state, once there are so many."""
    eventually(lambda: list(group.states().values()).count(state) == size, f"{size} in {state}")
    return {instance_id for instance_id, each in group.states().items() if each == state}


def steps(answer: Json) -> set[tuple[str, str]]:
    """What was done, or in a dry run would be, and to which instance."""
    return {(each["step"], each["instance_id"]) for each in answer["steps"]}


def each_of(step: str, instance_ids: set[str]) -> set[tuple[str, str]]:
    return {(step, instance_id) for instance_id in instance_ids}


def hosts(tower: Tower, inventory: str) -> list[HostRecord]:
    """The hosts of ours in an inventory."""
    return [host for host in tower.hosts(inventory) if is_ours(host)]


def names(tower: Tower, inventory: str) -> set[str]:
    """Their names."""
    return {host.name for host in hosts(tower, inventory)}


def everything_in(tower: Tower) -> object:
    """All that Tower holds; equal as long as nothing was changed."""
    jobs = [(job.id, job.status, job.limit) for job in tower.jobs()]
    inventories = {host.inventory for host in tower.hosts()}
    return {"hosts": tower.hosts(), "jobs": jobs, "groups": {each: tower.groups(each) for each in inventories}}


# Lost events


@pytest.mark.story
def test_a_launch_whose_event_was_lost_is_provisioned_and_serves(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    group = make_group(groups="web canary")
    with lost(cloud, LAUNCH):
        group.scale(2)
        unheard = waiting(group, "Pending:Wait", 2)
    assert cloud.reconcile()["steps"] == [], "its event may still be worked on"
    cloud.aws.age(unheard, LATE)
    settle()
    assert group.in_service() == unheard
    assert sorted(one for job in tower.jobs(name) for one in job.limit.split(",")) == sorted(unheard)
    assert {frozenset(host.groups) for host in hosts(tower, name)} == {frozenset({"canary", "web"})}


@pytest.mark.story
def test_a_termination_whose_event_was_lost_loses_its_host_and_goes_on(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    group = make_group(size=2)
    before = serving(group, 2)
    with lost(cloud, TERMINATION):
        group.scale(1)
        unheard = waiting(group, "Terminating:Wait")
    assert steps(cloud.reconcile()) == each_of("requeued", unheard)
    eventually(lambda: set(group.states()) == before - unheard, "it is gone")
    settle()
    assert names(tower, name) == before - unheard


def test_a_group_deleted_unheard_loses_its_hosts_though_nobody_names_its_inventory(
    registered: Registered, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    group, gone = registered(size=3)
    with lost(cloud, TERMINATED):
        group.delete()
        eventually(lambda: not group.states(), "all are gone")
    assert steps(cloud.reconcile()) == each_of("removed", gone)
    settle()
    assert names(tower, name) == set()


def test_what_is_long_forgotten_by_aws_is_removed_and_what_it_may_not_know_yet_stays(
    registered: Registered, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    group, (old, young) = registered(size=2)
    with lost(cloud, TERMINATED):
        group.delete()
        eventually(lambda: not group.states(), "both are gone")
    cloud.aws.hide(old, young)
    tower.age_host(old, name, FORGOTTEN)
    assert steps(cloud.reconcile()) == {("removed", old)}
    assert names(tower, name) == {young}
    tower.age_host(young, name, FORGOTTEN)
    settle()
    assert names(tower, name) == set()


# Recycled addresses


@pytest.mark.parametrize("found_by", ["at registration", "by a run"])
def test_a_recycled_address_without_any_event_never_reaches_the_old_group(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, settle: Settle, found_by: str
) -> None:
    tower.add_job_template(f"{name}-deploy", name)
    old = make_group("-a", groups="a", unheard=True)
    new = make_group("-b", groups="b") if found_by == "at registration" else serving_at_once(make_group, "-b")
    old.scale(2)
    before = serving(old, 2)
    addresses = {host.name: host.address for host in tower.hosts(name)}
    give_up_soon(cloud, old)
    with lost(cloud, TERMINATION, TERMINATED):
        old.scale(1)
        eventually(lambda: len(old.states()) == 1, "the hook timed out")
    (leaving,) = before - old.states().keys()
    assert leaving in names(tower, name), "the event was lost, and its host is still there"

    new.scale(1)
    (new_instance,) = serving(new, 1)
    if found_by == "by a run":
        cloud.reconcile()
    lives = {life.name: life for life in tower.host_lives()}
    assert lives[new_instance].address == addresses[leaving], "the address was not given again"
    assert (lives[leaving].removed or LATER) <= lives[new_instance].created
    assert reached_by_deploy(tower, name) == old.in_service()
    settle()
    assert reached_by_deploy(tower, name) == old.in_service()


def serving_at_once(make_group: MakeGroup, suffix: str) -> Group:
    """A group without hooks and jobs: its instances are in service before any event is published of them."""
    return make_group(suffix, hooks=False, job_template=None, groups=suffix.strip("-"))


def give_up_soon(cloud: Cloud, group: Group) -> None:
    """A termination of the group waits for one second from now on."""
    cloud.aws.client("autoscaling").put_lifecycle_hook(
        AutoScalingGroupName=group.name,
        LifecycleHookName="rollcall-terminating",
        LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING",
        HeartbeatTimeout=1,
        DefaultResult="CONTINUE",
    )


def reached_by_deploy(tower: Tower, name: str) -> set[str]:
    """The hosts that a playbook run on the inventory group "a" goes to."""
    return set(tower.wait_for_job(tower.run_playbook(f"{name}-deploy", "a").id).hosts)


# Tower as it was, groups as they come and go


def test_a_tower_restored_from_an_old_state_is_put_right_and_nothing_is_provisioned_again(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, settle: Settle, others: Others
) -> None:
    group = make_group(size=8)
    then = serving(group, 8)
    backup = tower.back_up()
    group.scale(1)
    (kept,) = serving(group, 1)
    group.scale(10)
    now = serving(group, 10)
    eventually(lambda: cloud.in_flight() == 0, "all is worked off")
    tower.restore(backup)
    cloud.aws.age(now, SEASONED)
    jobs = tower.jobs()
    assert names(tower, name) == then

    stopped = cloud.reconcile()
    assert stopped["failed"]
    assert {each["instance_id"] for each in stopped["stopped"]} == then - {kept}
    # The seven whose hosts are stopped hold the addresses of seven that are missing.
    assert len(names(tower, name) - then) == 2
    forced = cloud.reconcile(force=True)
    assert steps(forced) >= each_of("removed", then - {kept})
    assert names(tower, name) == now
    settle()
    assert tower.jobs() == jobs


def test_a_group_of_fifty_that_newly_opts_in_gets_hosts_in_groups_and_no_job(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    group = make_group(hooks=False, inventory=None, job_template=None, size=50)
    instances = serving(group, 50)
    cloud.aws.age(instances, SEASONED)
    group.tag({"inventory": name, "job-template": name, "groups": "web canary"})
    answer = cloud.reconcile()
    assert steps(answer) == each_of("added", instances)
    assert {frozenset(host.groups) for host in hosts(tower, name)} == {frozenset({"canary", "web"})}
    settle()
    assert tower.jobs(name) == []


def test_a_group_that_lost_its_tag_is_reported_and_loses_its_hosts_only_when_it_is_to_be_forgotten(
    registered: Registered, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    group, instances = registered(size=3)
    group.tag({"inventory": None})
    answer = cloud.reconcile()
    assert (answer["failed"], answer["steps"]) == (False, [])
    found = {(each["kind"], each["subject"]) for each in answer["findings"]}
    assert found == {("not opted in", instance_id) for instance_id in instances}
    assert names(tower, name) == instances
    assert steps(cloud.reconcile(forget=[group.name])) == each_of("removed", instances)
    settle()
    assert names(tower, name) == set()


def test_a_group_that_moves_to_another_inventory_takes_its_hosts_along_with_what_a_person_set(
    registered: Registered, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    tower.add_inventory(f"{name}-new")
    group, instances = registered(size=3)
    for host in hosts(tower, name):
        tower.edit_host(host.name, name, {**host.variables, "colour": "blue"}, enabled=False)
    group.tag({"inventory": f"{name}-new"})
    settle()
    assert names(tower, name) == set()
    moved = hosts(tower, f"{name}-new")
    assert {host.name for host in moved} == instances
    assert {(host.variables["colour"], host.enabled) for host in moved} == {("blue", False)}


def test_an_instance_in_standby_keeps_its_host_and_gets_one_where_it_has_none(
    registered: Registered, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    group, instances = registered(size=2)
    cloud.aws.client("autoscaling").enter_standby(
        AutoScalingGroupName=group.name, InstanceIds=sorted(instances), ShouldDecrementDesiredCapacity=True
    )
    waiting(group, "Standby", 2)
    tower.remove_host(min(instances), name)
    assert steps(cloud.reconcile()) == {("added", min(instances))}
    settle()
    assert names(tower, name) == instances


# What people do


def test_what_a_person_spoiled_is_put_right_and_what_else_is_there_stays(
    registered: Registered, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    group, (readdressed, unmarked, ungrouped) = registered(groups="web canary", size=3)
    was = {host.name: host for host in tower.hosts(name)}
    own = {"colour": "blue"}
    tower.edit_host(readdressed, name, {**was[readdressed].variables, **own, "ansible_host": "192.0.2.1"})
    marker = {**was[unmarked].variables["rollcall"], "group": "elsewhere"}
    tower.edit_host(unmarked, name, {**was[unmarked].variables, **own, "rollcall": marker}, enabled=False)
    tower.edit_host(ungrouped, name, leave=["canary"])
    assert steps(cloud.reconcile()) == each_of("fixed", set(group.states()))
    settle()
    for each in (readdressed, unmarked):
        host = tower.host(each, name)
        assert host
        assert host.variables == {**was[each].variables, **own}
    assert not tower.host(unmarked, name).enabled  # type: ignore[union-attr]


def test_hosts_of_others_are_reported_where_they_matter_and_left_as_they_are(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    group = make_group(hooks=False, job_template=None, size=2)
    one, other = sorted(serving(group, 2))
    address = cloud.describe([one])[one]["PrivateIpAddress"]
    tower.add_host(name, "legacy", {"ansible_host": address}, instance_id="", groups=["old"])
    tower.add_host(name, other, "colour:  red")
    before = others_hosts(cloud)
    for answer in (cloud.reconcile(), cloud.reconcile(force=True)):
        found = {(each["kind"], each["subject"]) for each in answer["findings"]}
        assert found == {("foreign address", "legacy"), ("in the way", other)}
    assert others_hosts(cloud) == before
    tower.remove_host(other, name)
    settle()
    assert names(tower, name) == {one, other}
    assert {host.name for host in others_hosts(cloud).values()} == {host.name for host in before.values()} - {other}


# AWS as it is


def test_a_newborn_that_ec2_does_not_know_yet_is_left_alone_and_added_later(
    registered: Registered, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    group, (known, hosted) = registered(size=2)
    group.scale(3)
    (newborn,) = serving(group, 3) - {known, hosted}
    cloud.aws.hide(newborn, hosted)
    answer = cloud.reconcile()
    assert (answer["failed"], answer["steps"]) == (False, [])
    assert names(tower, name) == {known, hosted}
    cloud.aws.hide()
    settle()
    assert names(tower, name) == {known, hosted, newborn}


def test_where_aws_does_not_answer_completely_nothing_is_changed_and_the_next_run_makes_up_for_it(
    make_group: MakeGroup, registered: Registered, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    listing = "autoscaling:DescribeAutoScalingGroups"
    for number in range(GROUPS_PER_PAGE):
        make_group(f"-{number}", hooks=False)
    group, instances = registered("-of-the-second-page", size=3)
    with lost(cloud, TERMINATED):
        group.scale(2)
        (gone,) = instances - serving(group, 2)
    tower.remove_host(min(group.states()), name)
    before = everything_in(tower)
    for action, only, inventories_read in (
        (listing, 2, False),  # the groups are listed for their inventories, in two pages,
        (listing, 4, True),  # and with their members once these are read, in two pages again
        ("autoscaling:DescribeAutoScalingInstances", None, True),
        ("ec2:DescribeInstances", None, True),
    ):
        cloud.aws.forget_calls()
        tower.forget_requests()
        cloud.aws.deny(action, only)
        with pytest.raises(ReconcileFailed, match=f"AWS refused {action.partition(':')[2]}"):
            cloud.reconcile(force=True)
        assert cloud.aws.calls()[listing] == (only or 4)
        assert bool(tower.requests("GET", "/script/")) == inventories_read
        assert everything_in(tower) == before
        cloud.aws.deny(None)
    settle()
    assert names(tower, name) == instances - {gone}


def test_an_instance_that_waits_for_somebody_elses_hook_gets_nothing_of_ours(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    both = make_group("-both", size=1)
    foreign = make_group("-foreign", hooks=False, job_template=None, size=1)
    for group in (both, foreign):
        serving(group, 1)
        hook(cloud, group, "of-somebody-else")
        group.scale(0)
    waiting(foreign, "Terminating:Wait")
    eventually(lambda: names(tower, name) == set(), "ours is answered")
    eventually(lambda: cloud.in_flight() == 0, "and done with")
    cloud.aws.forget_calls()
    assert cloud.reconcile()["steps"] == []
    calls = cloud.aws.calls()
    assert {"autoscaling:CompleteLifecycleAction", "sqs:SendMessage", "sqs:SendMessageBatch"} & calls.keys() == set()
    assert waiting(both, "Terminating:Wait")
    assert waiting(foreign, "Terminating:Wait")
    for group in (both, foreign):
        (instance_id,) = group.states()
        cloud.aws.client("autoscaling").complete_lifecycle_action(
            AutoScalingGroupName=group.name,
            LifecycleHookName="of-somebody-else",
            LifecycleActionResult="CONTINUE",
            InstanceId=instance_id,
        )
        eventually(lambda group=group: not group.states(), "it is gone")


def hook(cloud: Cloud, group: Group, name: str) -> None:
    """A termination hook that is not Rollcall's."""
    cloud.aws.client("autoscaling").put_lifecycle_hook(
        AutoScalingGroupName=group.name,
        LifecycleHookName=name,
        LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING",
        HeartbeatTimeout=600,
    )


# Runs


@pytest.mark.story
def test_the_removal_limit_keeps_hosts_and_reports_it_and_force_overrides_it_for_one_run(
    registered: Registered, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    group, instances = registered(size=8)
    with lost(cloud, TERMINATED):
        group.scale(1)
        gone = instances - serving(group, 1)
    before = everything_in(tower)
    for _ in range(2):
        answer = cloud.reconcile()
        assert answer["failed"]
        assert {each["instance_id"] for each in answer["stopped"]} == gone
        assert everything_in(tower) == before
        alert = next(line for line in reversed(cloud.log_lines("reconcile")) if line.get("alert"))
        assert "7 of the 8 managed hosts" in alert["message"]
        assert set(alert["hosts"]) == gone
        eventually(lambda: cloud.metrics("reconcile")[-1]["BreakerTripped"] == [1.0], "it is counted")
    forced = cloud.reconcile(force=True)
    assert not forced["failed"]
    assert steps(forced) == each_of("removed", gone)
    settle()
    eventually(lambda: cloud.metrics("reconcile")[-1]["BreakerTripped"] == [0.0], "none is counted any more")


def test_the_breaker_does_not_count_copies_and_keeps_those_of_the_hosts_that_it_keeps(
    registered: Registered, cloud: Cloud, tower: Tower, name: str
) -> None:
    group, instances = registered(size=30)
    tower.copy_inventory(name, f"{name}-copy")

    def unheard(size: int) -> set[str]:
        """The instances that go, and nobody is told, for so many to be left."""
        with lost(cloud, TERMINATED):
            before = group.in_service()
            group.scale(size)
            return before - serving(group, size)

    def left() -> list[set[str]]:
        return [names(tower, inventory) for inventory in (name, f"{name}-copy")]

    gone = unheard(24)  # a fifth of those managed: as many as may go, if their six copies are not counted beside them
    answer = cloud.reconcile()
    assert (answer["failed"], answer["stopped"]) == (False, [])
    assert steps(answer) == each_of("removed", gone)
    assert left() == [instances - gone] * 2

    too_many = unheard(18)
    answer = cloud.reconcile()
    assert answer["failed"]
    stopped = {(each["inventory"], each["instance_id"]) for each in answer["stopped"]}
    assert stopped == {(name, instance_id) for instance_id in too_many}
    assert left() == [instances - gone] * 2
    assert steps(cloud.reconcile(force=True)) == each_of("removed", too_many)
    assert left() == [instances - gone - too_many] * 2


def test_a_dry_run_tells_what_a_run_then_does_and_changes_nothing(
    make_group: MakeGroup, registered: Registered, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    group, instances = registered("-at-once", size=4)
    with lost(cloud, TERMINATED):
        group.scale(3)
        (gone,) = instances - serving(group, 3)
    missing, misplaced, _ = sorted(group.states())
    tower.remove_host(missing, name)
    tower.edit_host(misplaced, name, leave=[group.name])
    hooked = make_group("-hooked")
    with lost(cloud, LAUNCH):
        hooked.scale(1)
        unheard = waiting(hooked, "Pending:Wait")
    cloud.aws.age(unheard, LATE)

    before = everything_in(tower)
    planned = cloud.reconcile(dry_run=True)
    assert planned["dry_run"]
    assert steps(planned) == {("remove", gone), ("add", missing), ("fix", misplaced)} | each_of("requeue", unheard)
    assert all(each["reason"] for each in planned["steps"])
    assert everything_in(tower) == before
    assert cloud.in_flight() == 0
    done = cloud.reconcile()
    assert steps(done) == {("removed", gone), ("added", missing), ("fixed", misplaced)} | each_of("requeued", unheard)
    settle()


def test_a_run_for_one_group_leaves_the_others_for_later(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    one, other = (make_group(suffix, hooks=False, job_template=None, size=2) for suffix in ("-one", "-other"))
    instances = serving(one, 2) | serving(other, 2)
    assert steps(cloud.reconcile(groups=[one.name])) == each_of("added", one.in_service())
    settle()
    assert names(tower, name) == instances


def test_two_runs_at_once_do_what_one_does(
    registered: Registered, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    group, _ = registered(size=15)
    with lost(cloud, TERMINATED):
        group.scale(12)
        serving(group, 12)
    for each in sorted(group.states())[:6]:
        tower.remove_host(each, name)
    for each in sorted(group.states())[6:]:
        tower.edit_host(each, name, leave=[group.name])
    tower.forget_requests()
    tower.hang(for_seconds=60)
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(cloud.reconcile) for _ in range(2)]
        eventually(lambda: tower.most_at_once() > 1, "both runs have begun before either goes on")
        tower.come_back()
        answers = [each.result() for each in runs]
    assert [answer["troubles"] for answer in answers] == [[], []]
    assert names(tower, name) == set(group.states())
    settle()


def test_runs_amid_launches_and_terminations_do_no_harm(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    group = make_group(size=4)
    leaving = serving(group, 4)
    group.scale(0)
    waiting(group, "Terminating:Wait", 4)
    group.scale(6)

    def over() -> bool:
        answer = cloud.reconcile()
        assert not answer["failed"], answer
        return len(group.in_service() - leaving) == 6 and len(group.states()) == 6

    eventually(over, "six new ones serve, and nobody else is there")
    settle()
    assert len(tower.jobs(name)) == len({job.limit for job in tower.jobs(name)}), "a batch was provisioned twice"


def test_each_fix_is_an_event_on_the_bus(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    queue = cloud.aws.open_queue("drift")
    events = cloud.aws.client("events")
    events.put_rule(Name="drift", EventPattern=json.dumps({"source": ["rollcall"], "detail-type": ["Drift Fixed"]}))
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:drift"
    events.put_targets(Rule="drift", Targets=[{"Id": "drift", "Arn": arn}])
    group = make_group(hooks=False, job_template=None, size=12)  # more than one call of PutEvents takes
    serving(group, 12)
    answer = cloud.reconcile()
    assert len(answer["steps"]) == 12
    details = [json.loads(body)["detail"] for body in received(cloud, queue, 12)]
    here = {"account": ACCOUNT, "region": REGION, "stack": STACK, "function": "reconcile"}
    expected = [here | each | {"job_url": None} for each in sorted(answer["steps"], key=by_instance)]
    assert sorted(details, key=by_instance) == expected
    settle()
    assert received(cloud, queue, 0) == []
    events.remove_targets(Rule="drift", Ids=["drift"])
    events.delete_rule(Name="drift")


def test_a_run_whose_events_the_bus_does_not_take_has_done_its_work_and_logs_what_was_not_published(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    group = make_group(hooks=False, job_template=None, size=2)
    instances = serving(group, 2)
    cloud.aws.deny("events:PutEvents")
    answer = cloud.reconcile()
    cloud.aws.deny(None)
    assert names(tower, name) == instances
    assert not answer["failed"]
    lines = cloud.log_lines("reconcile")
    logged = [line["instance_id"] for line in lines if line["message"].startswith("added:")]
    assert set(logged[-2:]) == instances
    [lost] = [line for line in lines if "not taken by the event bus" in line["message"]]
    assert {each["instance_id"] for each in lost["events"]} == instances
    assert sum(sum(each.get("EventsLost", [])) for each in cloud.metrics("reconcile")) == 2
    settle()


def received(cloud: Cloud, queue: str, count: int) -> list[str]:
    """What a queue holds, once that are so many messages."""
    bodies: list[str] = []

    def enough() -> bool:
        answer = cloud.aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        bodies.extend(message["Body"] for message in answer.get("Messages", []))
        return len(bodies) >= count

    eventually(enough, f"{count} messages")
    return bodies


def by_instance(detail: Json) -> str:
    return str(detail["instance_id"])


@pytest.mark.story
def test_the_schedule_runs_it_for_all_groups(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, settle: Settle
) -> None:
    group = make_group(hooks=False, job_template=None, size=2)
    instances = serving(group, 2)
    schedule = cloud.aws.client("scheduler").get_schedule(Name="rollcall-reconcile")
    assert schedule["State"] == "ENABLED"
    assert schedule["ScheduleExpression"] == f"rate({NEVER} minutes)"
    assert json.loads(schedule["Target"]["Input"]) == {"every": NEVER}
    cloud.aws.fire_schedule("rollcall-reconcile")
    eventually(lambda: names(tower, name) == instances, "the scheduled run added the hosts")
    settle()
