"""The design's invariants, checked on what the embedded cloud recorded. Used by the stack tests and the demo.

What holds at any time is in broken_invariants(). I4 holds once nothing moves any more and reconcile has run twice:

    others = others_hosts(cloud)
    ...
    assert not disagreements(cloud, others)
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from copy import replace
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from itertools import combinations, groupby, pairwise
from typing import TYPE_CHECKING

from lab.aws.embedded import ACCOUNT, REGION
from lab.tower.embedded import OPERATOR

if TYPE_CHECKING:
    from lab.aws.embedded import Transition
    from lab.cloud import Cloud, Json, Run
    from lab.tower.embedded import HostLife, HostPeriod, HostRecord

CLOCK_TOLERANCE = 0.05  # seconds between two processes' readings of one clock
BREAKER_SHARE = 0.2  # of an inventory's managed hosts, and
BREAKER_MIN = 5  # hosts: what a run may always remove
SETTLED = ("InService", "Standby")
RESTING = (
    *("Warmed:Stopped", "Warmed:Running", "Warmed:Hibernated"),
    *("ReplacingRootVolume:Proceed", "RootVolumeReplaced"),
)
MOVING = (  # to and fro between the two: their hosts may be either
    *("ReplacingRootVolume", "ReplacingRootVolume:Wait"),
    *("Warmed:Pending", "Warmed:Pending:Wait", "Warmed:Pending:Proceed"),
)
GOING = ("Terminating:Proceed", "Warmed:Terminating:Proceed")  # for good: the hooks were completed, or there were none
ENDED = ("Terminated", "Warmed:Terminated")
LOG_TIME = "%Y-%m-%d %H:%M:%S,%f%z"
ADDRESSES = {
    "private": "PrivateIpAddress",
    "public": "PublicIpAddress",
    "private-dns": "PrivateDnsName",
    "public-dns": "PublicDnsName",
}


def broken_invariants(cloud: Cloud, groups: Collection[str], unheard: Collection[str] = ()) -> list[str]:
    """What does not hold for these groups and everything that ever happened to them, as sentences.

    unheard: those whose terminations waited for their timeout, for their events were lost; that breaks I2 and I6.
    """
    heard = set(groups) - set(unheard)
    return [
        *_provisioned_before_service(cloud, groups),
        *_healthy_before_service(cloud, groups),
        *_removed_before_the_hook_ends(cloud, heard),
        *_jobs_are_limited(cloud),
        *_one_address_one_host(cloud, groups),
        *_every_action_is_answered(cloud, heard),
        *_nothing_is_lost(cloud),
        *_no_large_step_unasked(cloud),
    ]


def _provisioned_before_service(cloud: Cloud, groups: Collection[str]) -> Iterator[str]:
    """I1: InService only after a job result ok for that host, from when on the group asks for one and has a hook.

    A job of this stint: one that was created before the instance came back from a warm pool, or with another root
    volume, proves nothing.
    """
    jobs = cloud.tower.jobs_ever()
    asking = {
        name: cloud.asking_since.get(name, 0.0) for name in groups if _asks_job(cloud, name) and _holds(cloud, name)
    }
    for entered, began in _services(cloud):
        if entered.time < asking.get(entered.group, float("inf")):
            continue
        proven = any(
            job.hosts.get(entered.instance_id) == "ok"
            and entered.instance_id in job.done
            and job.finished is not None
            and began - CLOCK_TOLERANCE <= job.created <= job.finished <= entered.time + CLOCK_TOLERANCE
            for job in jobs
        )
        if not proven:
            yield f"I1: {entered.instance_id} of {entered.group} went into service unprovisioned"


def _healthy_before_service(cloud: Cloud, groups: Collection[str]) -> Iterator[str]:
    """I1: where the gate asks for elb, InService only after every target group has called the instance healthy.

    In this stint, as with jobs.
    """
    asking = {name: arns for name in groups if (arns := _asks_target_groups(cloud, name))}
    if not asking:
        return
    healthy: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for event in cloud.aws.target_events():
        if event.what == "healthy":
            healthy[event.target_group, event.instance_id].append(event.time)
    for entered, began in _services(cloud):
        for arn in asking.get(entered.group, ()):
            if not any(began <= time <= entered.time for time in healthy[arn, entered.instance_id]):
                yield f"I1: {entered.instance_id} of {entered.group} went into service, not healthy in {arn}"


def _services(cloud: Cloud) -> Iterator[tuple[Transition, float]]:
    """Every entry into service, and when the stint began that led to it, in epoch seconds.

    A stint begins with a launch, with the return from a warm pool, and with a new root volume; not in Standby.
    """
    began: dict[str, float] = {}
    before: dict[str, str] = {}
    for entered in cloud.aws.transitions():
        came_from = before.get(entered.instance_id, "")
        if entered.state == "RootVolumeReplaced" or (entered.state == "Pending" and came_from != "Standby"):
            began[entered.instance_id] = entered.time
        if entered.state == "InService":
            yield entered, began.get(entered.instance_id, 0.0)
        before[entered.instance_id] = entered.state


def _asks_target_groups(cloud: Cloud, group: str) -> list[str]:
    answer = cloud.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group])
    return [
        source["Identifier"]
        for each in answer["AutoScalingGroups"]
        if "elb" in next((tag["Value"] for tag in each["Tags"] if tag["Key"] == "rollcall:gate"), "").split()
        for source in each["TrafficSources"]
        if source["Type"] == "elbv2"
    ]


def _asks_job(cloud: Cloud, group: str) -> bool:
    answer = cloud.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group])
    tags = {tag["Key"]: tag["Value"] for each in answer["AutoScalingGroups"] for tag in each["Tags"]}
    return "rollcall:job-template" in tags and "job" in tags.get("rollcall:gate", "job").split()


def _holds(cloud: Cloud, group: str) -> bool:
    """Whether a hook keeps the group's instances from service."""
    answer = cloud.aws.client("autoscaling").describe_lifecycle_hooks(AutoScalingGroupName=group)
    return any(hook["LifecycleTransition"] == "autoscaling:EC2_INSTANCE_LAUNCHING" for hook in answer["LifecycleHooks"])


def _removed_before_the_hook_ends(cloud: Cloud, groups: Collection[str]) -> Iterator[str]:
    """I2: no host with the instance's id once its termination hook is completed and it goes for good.

    In an inventory that the token may only read one stays, and is reported.
    Where it comes back, from a warm pool or with another root volume, no host of ours with its id is enabled.
    """
    lives: defaultdict[str, list[HostLife]] = defaultdict(list)
    for life in cloud.tower.host_lives():
        for key in {life.name, life.instance_id}:
            lives[key].append(life)
    for entered, returns in _terminations(cloud):
        if entered.group not in groups:
            continue
        for life in lives[entered.instance_id]:
            if life.inventory in cloud.read_only:
                continue
            if returns:
                if any(_is_on(period, entered.time) for period in life.periods):
                    yield f"I2: {life.inventory} still had {entered.instance_id} enabled when it went on to rest"
                continue
            removed = life.removed
            if life.restored and life.created > entered.time:
                continue  # then it was not there: Tower was put back to a state of before
            if removed is None or removed > entered.time + CLOCK_TOLERANCE:
                yield f"I2: {life.inventory} still held {entered.instance_id} when its termination went on"


def _terminations(cloud: Cloud) -> Iterator[tuple[Transition, bool]]:
    """Whatever went on after its termination hooks, and whether it comes back."""
    served: set[str] = set()
    for entered in cloud.aws.transitions():
        if entered.state == "InService":
            served.add(entered.instance_id)
        returns = entered.state == "Warmed:Pending:Proceed" and entered.instance_id in served
        if returns or entered.state == "ReplacingRootVolume:Proceed":
            yield entered, True
        elif entered.state in GOING:
            yield entered, False
        if entered.state in RESTING:
            served.discard(entered.instance_id)


def _is_on(period: HostPeriod, time: float) -> bool:
    """Whether a host of ours, and no copy, was enabled well into this time."""
    ended = period.ended or float("inf")
    ours = period.account == ACCOUNT and not period.copy
    return ours and period.enabled and period.begun <= time and ended > time + CLOCK_TOLERANCE


def _jobs_are_limited(cloud: Cloud) -> Iterator[str]:
    """I3: every job of ours names its hosts, and ran on no other."""
    instances = {each.instance_id for each in cloud.aws.transitions()} | cloud.aws.images.launched()
    for job in cloud.tower.jobs_ever():
        if job.launched_by == OPERATOR:
            continue
        limit = set(job.limit.split(",")) - {""}
        if not limit or not limit <= instances:
            yield f"I3: job {job.id} was launched with the limit {job.limit!r}"
        elif not job.hosts.keys() <= limit:
            yield f"I3: job {job.id} ran on {', '.join(job.hosts.keys() - limit)} outside its limit"


@dataclass(frozen=True)
class _Stay:
    """While a host of ours was enabled at one address without a break. by_hand: a person put it there."""

    host: str
    begun: float
    ended: float
    by_hand: bool


def _one_address_one_host(cloud: Cloud, groups: Collection[str]) -> Iterator[str]:
    """I5: no two enabled hosts of ours in one inventory had one address at one time; private ones, in one VPC.

    At any time, also where it was put right later. Two that came together because a person put the later one there, by
    an edit or a restore, are not ours to answer for, however long they stay; a host that we put beside one which a
    person moved is.
    """
    stays: defaultdict[tuple[str, str, str], list[_Stay]] = defaultdict(list)
    for life in cloud.tower.host_lives():
        for place, periods in groupby(life.periods, lambda period: _place(period, groups)):
            if place:
                own = list(periods)
                stay = _Stay(life.name, own[0].begun, own[-1].ended or float("inf"), own[0].by_hand)
                stays[life.inventory, *place].append(stay)
    for (inventory, _, address), tenants in stays.items():
        for one, other in combinations(sorted(tenants, key=lambda stay: (stay.begun, not stay.by_hand)), 2):
            if other.begun < one.ended and not other.by_hand:
                yield f"I5: {one.host} and {other.host} both had {address} in {inventory}"


def _place(period: HostPeriod, groups: Collection[str]) -> tuple[str, str] | None:
    """Where the address of a host of ours is unique, and the address.

    None while it was not a host of these groups, was disabled, or was a copy.
    """
    if period.group not in groups or period.account != ACCOUNT or not period.enabled or period.copy:
        return None
    return "" if _is_public(period.address) else period.vpc, period.address


def _is_public(address: str) -> bool:
    try:
        return ip_address(address).is_global
    except ValueError:
        return not address.endswith(".internal")


def _every_action_is_answered(cloud: Cloud, groups: Collection[str]) -> Iterator[str]:
    """I6: no wait is ended by its timeout."""
    for each in cloud.aws.timeouts():
        if each.group in groups:
            yield f"I6: no one answered {each.hook} of {each.group} for {each.instance_id} until it timed out"


def _nothing_is_lost(cloud: Cloud) -> Iterator[str]:
    """I6: nothing is left in a queue, and nothing had to be moved to a dead-letter queue."""
    if waiting := cloud.in_flight():
        yield f"I6: {waiting} messages are still on their way"
    for queue, messages in cloud.dead_letters().items():
        if messages:
            yield f"I6: {messages} messages in the {queue} dead-letter queue"


def _no_large_step_unasked(cloud: Cloud) -> Iterator[str]:
    """I7: no run of reconcile by hand removed a large share, or provisioned what served, unless it was asked to.

    A removal in a run's time counts as the run's: nothing else is to remove hosts meanwhile. Of a run by schedule
    there is no record of when it began and ended.
    """
    lives = [life for life in cloud.tower.host_lives() if life.account == ACCOUNT and not _is_life_of_copy(life)]
    ends = {each.instance_id: each.time for each in cloud.aws.transitions() if each.state in ENDED}
    for run in cloud.runs:
        if not run.asked.get("force"):
            yield from _no_large_removal(cloud, run, lives, ends)
        if not run.asked.get("provision"):
            for job in cloud.tower.jobs_ever():
                again = run.seasoned & set(job.limit.split(","))
                if job.launched_by != OPERATOR and run.began <= job.created <= run.ended and again:
                    yield f"I7: job {job.id} provisioned {', '.join(sorted(again))}, which served already"


def _no_large_removal(cloud: Cloud, run: Run, lives: list[HostLife], ends: Mapping[str, float]) -> Iterator[str]:
    may_be_silent = run.answer is None or bool(run.asked.keys() & {"groups", "dry_run"})
    by_inventory: defaultdict[str, list[HostLife]] = defaultdict(list)
    for life in lives:
        if life.created < run.began and (life.removed is None or life.removed >= run.began):
            by_inventory[life.inventory].append(life)
    for inventory, managed in by_inventory.items():
        most = max(BREAKER_MIN, BREAKER_SHARE * len(managed))
        removed = sum(1 for life in managed if life.removed and life.removed <= run.ended)
        due = sum(1 for life in managed if ends.get(life.instance_id, run.began) < run.began)
        if removed > most or (removed and due > most):
            yield f"I7: a run removed {removed} of the {len(managed)} hosts of ours in {inventory} unasked"
        if due > most and not may_be_silent and not _alerted(cloud, run, inventory):
            yield f"I7: {due} of the {len(managed)} hosts of ours in {inventory} were to go, and there was no alert"


def _alerted(cloud: Cloud, run: Run, inventory: str) -> bool:
    def alerts(line: Json) -> bool:
        at = datetime.strptime(line["timestamp"], LOG_TIME).timestamp()
        return bool(line.get("alert")) and line.get("inventory") == inventory and run.began <= at <= run.ended

    return bool(run.answer and run.answer["failed"]) and any(alerts(line) for line in cloud.log_lines("reconcile"))


def others_hosts(cloud: Cloud) -> dict[int, HostRecord]:
    """The hosts that are not ours as they are now, by id."""
    return {host.id: host for host in cloud.tower.hosts() if not is_ours(host)}


def disagreements(cloud: Cloud, others: Mapping[int, HostRecord]) -> list[str]:
    """What does not hold of I4, as sentences. others: the hosts that were not ours before, by id."""
    return [*_our_hosts_are_what_serves(cloud), *_others_hosts_are_what_they_were(cloud, others)]


@dataclass(frozen=True)
class _Home:
    """What the host of an instance that serves or rests is to say. addresses: any of these."""

    group: str
    inventory: str
    addresses: frozenset[str]
    inventory_groups: frozenset[str]
    rests: bool
    hosts: tuple[int, ...] = (1,)  # how many it may have


def _our_hosts_are_what_serves(cloud: Cloud) -> Iterator[str]:
    """I4: each instance in service or in Standby of a group that opted in has one host, and nothing else has one.

    One that rests has one that is disabled and marked so. A copy in another inventory is no host of ours here. One that
    serves may be disabled, by a person. A host that lost our marker is still ours if it was not a person who took it
    away. One of an instance that a bake launched stays until the time in its marker.
    """
    homes, moving = _homes(cloud), set(_moving(cloud))
    ours = [host for host in cloud.tower.hosts() if is_ours(host) and not is_copy(host)]
    hosts_of = Counter(host.variables["rollcall"]["instance_id"] for host in ours)
    for instance_id, home in homes.items():
        if hosts_of[instance_id] not in home.hosts:
            does = "rests" if home.rests else "serves"
            yield f"I4: {instance_id} of {home.group} {does} and has {hosts_of[instance_id]} hosts"
    for host in ours:
        instance_id = host.variables["rollcall"]["instance_id"]
        wanted = homes.get(instance_id)
        if wanted:
            yield from _untrue(host, wanted)
        elif instance_id not in moving and not _is_kept_for_a_bake(host):
            yield f"I4: {host.name} is a host of {host.inventory}, and its instance serves in no group"
    for life in cloud.tower.host_lives():
        if life.removed is None and _lost_its_marker(life):
            yield f"I4: {life.name} is a host of {life.inventory}, and lost our marker instead of going"


def _is_kept_for_a_bake(host: HostRecord) -> bool:
    """Whether a bake launched a host's instance, and its time is not over."""
    marker = host.variables["rollcall"]
    return "role" in marker and float(marker["until"]) > time.time()


def _untrue(host: HostRecord, wanted: _Home) -> Iterator[str]:
    """What a host says that is not so of its instance."""
    marker = host.variables["rollcall"]
    groups = wanted.inventory_groups & set(host.groups)
    found = replace(wanted, group=marker["group"], inventory=host.inventory, inventory_groups=groups)
    if found != wanted or host.address not in wanted.addresses:
        yield f"I4: host {host.name} at {host.address!r} says {found}, and should say {wanted}"
    if wanted.rests and (host.enabled or "resting" not in marker):
        yield f"I4: host {host.name} is {'enabled' if host.enabled else 'not marked so'}, and its instance rests"
    if not wanted.rests and "resting" in marker:
        yield f"I4: host {host.name} is marked as resting, and its instance serves"


def _lost_its_marker(life: HostLife) -> bool:
    """Whether a host was ours, and is not because of a request to the API."""
    taken = [after for before, after in pairwise(life.periods) if before.account == ACCOUNT != after.account]
    return bool(taken) and life.account != ACCOUNT and not taken[-1].by_hand


def _homes(cloud: Cloud) -> dict[str, _Home]:
    """By instance id; the tags rollcall:inventory are to be names."""
    tags_of: dict[str, Mapping[str, str]] = {}
    resting: set[str] = set()
    hooked: set[str] = set()
    for group in cloud.opted_in():
        tags = {"group": group["AutoScalingGroupName"], **{tag["Key"]: tag["Value"] for tag in group["Tags"]}}
        states = {each["InstanceId"]: each["LifecycleState"] for each in _members(cloud, group)}
        tags_of |= {each: tags for each, state in states.items() if state in SETTLED + RESTING}
        rests = {each for each, state in states.items() if state in RESTING}
        resting |= rests
        if rests and _holds(cloud, tags["group"]):
            hooked |= rests
    described = cloud.describe(tags_of)
    return {
        instance_id: _Home(
            tags["group"],
            tags["rollcall:inventory"],
            _addresses(instance_id, described, tags.get("rollcall:address", "private"), instance_id in resting),
            frozenset(tags.get("rollcall:groups", tags["group"]).split()),
            instance_id in resting,
            # One that no launch hook brought to Tower is made a host when it comes into service.
            (1,) if instance_id not in resting or instance_id in hooked else (0, 1),
        )
        for instance_id, tags in tags_of.items()
    }


def _addresses(instance_id: str, described: Mapping[str, Json], kind: str, rests: bool) -> frozenset[str]:
    """Where the host of an instance may be; from one that rests a public address is taken, so it is at its own name."""
    address = str(described.get(instance_id, {}).get(ADDRESSES[kind], ""))
    if not rests or kind == "private":
        return frozenset({address})
    return frozenset({instance_id} | ({address} if kind == "private-dns" else set()))


def _members(cloud: Cloud, group: Json) -> list[Json]:
    """The instances of a group and of its warm pool."""
    pooled = cloud.pool_members(group["AutoScalingGroupName"]) if group.get("WarmPoolSize") else []
    return [*group["Instances"], *pooled]


def _moving(cloud: Cloud) -> Iterator[str]:
    for group in cloud.opted_in():
        yield from (each["InstanceId"] for each in _members(cloud, group) if each["LifecycleState"] in MOVING)


def is_ours(host: HostRecord) -> bool:
    """Whether a host has the marker of this installation."""
    marker = host.variables.get("rollcall")
    return isinstance(marker, dict) and (marker.get("account"), marker.get("region")) == (ACCOUNT, REGION)


def is_copy(host: HostRecord) -> bool:
    """Whether a host with our marker came into its inventory with a copy of another one; without an id it did not."""
    return bool(host.variables["rollcall"].get("inventory", host.inventory_id) != host.inventory_id)


def _is_life_of_copy(life: HostLife) -> bool:
    return bool(life.periods) and life.periods[-1].copy


def _others_hosts_are_what_they_were(cloud: Cloud, others: Mapping[int, HostRecord]) -> Iterator[str]:
    """I4: a host that is not ours and whose instance lives is byte for byte what it was."""
    ended = {each.instance_id for each in cloud.aws.transitions() if each.state in ENDED}
    now = {host.id: host for host in cloud.tower.hosts()}
    for host_id, before in others.items():
        if not ended & {before.name, before.instance_id} and now.get(host_id) != before:
            yield f"I4: host {before.name} of {before.inventory} is not ours, and is not what it was"
