"""The design's invariants, checked on what the embedded cloud recorded. Used by the stack tests and the demo.

What holds at any time is in broken_invariants(). I4 holds once nothing moves any more and reconcile has run twice:

    others = others_hosts(cloud)
    ...
    assert not disagreements(cloud, others)
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from itertools import combinations, groupby, pairwise
from typing import TYPE_CHECKING

from lab.aws import ACCOUNT, REGION
from lab.tower import OPERATOR

if TYPE_CHECKING:
    from lab.cloud import Cloud, Json, Run
    from lab.tower import HostLife, HostPeriod, HostRecord

CLOCK_TOLERANCE = 0.05  # seconds between two processes' readings of one clock
BREAKER_SHARE = 0.2  # of an inventory's managed hosts, and
BREAKER_MIN = 5  # hosts: what a run may always remove
SETTLED = ("InService", "Standby")
LOG_TIME = "%Y-%m-%d %H:%M:%S,%f%z"
ADDRESSES = {
    "private": "PrivateIpAddress",
    "public": "PublicIpAddress",
    "private-dns": "PrivateDnsName",
    "public-dns": "PublicDnsName",
}


def broken_invariants(cloud: Cloud, groups: Collection[str], unheard: Collection[str] = ()) -> list[str]:
    """What does not hold for these groups and everything that ever happened to them, as sentences.

    unheard: those whose terminations waited for their timeout, for nobody was told; that breaks I2 and I6.
    """
    heard = set(groups) - set(unheard)
    return [
        *_provisioned_before_service(cloud, groups),
        *_healthy_before_service(cloud, groups),
        *_struck_off_before_the_hook_ends(cloud, heard),
        *_jobs_are_limited(cloud),
        *_one_address_one_host(cloud, groups),
        *_every_action_is_answered(cloud, heard),
        *_nothing_is_lost(cloud),
        *_no_large_step_unasked(cloud),
    ]


def _provisioned_before_service(cloud: Cloud, groups: Collection[str]) -> Iterator[str]:
    """I1: InService only after a job result ok for that host, from when on the group asks for one and has a hook."""
    jobs = cloud.tower.jobs_ever()
    asking = {
        name: cloud.asking_since.get(name, 0.0) for name in groups if _asks_job(cloud, name) and _holds(cloud, name)
    }
    for entered in cloud.aws.transitions():
        if entered.state != "InService" or entered.time < asking.get(entered.group, float("inf")):
            continue
        proven = any(
            job.hosts.get(entered.instance_id) == "ok"
            and not job.cut_short
            and job.finished is not None
            and job.finished <= entered.time + CLOCK_TOLERANCE
            for job in jobs
        )
        if not proven:
            yield f"I1: {entered.instance_id} of {entered.group} went into service unprovisioned"


def _healthy_before_service(cloud: Cloud, groups: Collection[str]) -> Iterator[str]:
    """I1: where the gate asks for elb, InService only after every target group has called the instance healthy."""
    asking = {name: arns for name in groups if (arns := _asks_target_groups(cloud, name))}
    if not asking:
        return
    healthy: dict[tuple[str, str], float] = {}
    for event in cloud.aws.target_events():
        if event.what == "healthy":
            healthy.setdefault((event.target_group, event.instance_id), event.time)
    for entered in cloud.aws.transitions():
        if entered.state == "InService":
            for arn in asking.get(entered.group, ()):
                if healthy.get((arn, entered.instance_id), float("inf")) > entered.time:
                    yield f"I1: {entered.instance_id} of {entered.group} went into service, not healthy in {arn}"


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


def _struck_off_before_the_hook_ends(cloud: Cloud, groups: Collection[str]) -> Iterator[str]:
    """I2: no host with the instance's id once its termination hook is completed."""
    lives: defaultdict[str, list[HostLife]] = defaultdict(list)
    for life in cloud.tower.host_lives():
        for key in {life.name, life.instance_id}:
            lives[key].append(life)
    for entered in cloud.aws.transitions():
        if entered.group not in groups or entered.state != "Terminating:Proceed":
            continue
        for life in lives[entered.instance_id]:
            removed = life.removed
            if life.restored and life.created > entered.time:
                continue  # then it was not there: Tower was put back to a state of before
            if removed is None or removed > entered.time + CLOCK_TOLERANCE:
                yield f"I2: {life.inventory} still held {entered.instance_id} when its termination went on"


def _jobs_are_limited(cloud: Cloud) -> Iterator[str]:
    """I3: every job of ours names its hosts, and ran on no other."""
    instances = {each.instance_id for each in cloud.aws.transitions()}
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
    """While a host of ours was at one address without a break. by_hand: a person put it there."""

    host: str
    begun: float
    ended: float
    by_hand: bool


def _one_address_one_host(cloud: Cloud, groups: Collection[str]) -> Iterator[str]:
    """I5: no two hosts of ours in one inventory had one address at one time; private ones, in one VPC.

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
    """Where the address of a host of ours is unique, and the address; None while it was not a host of these groups."""
    if period.group not in groups or period.account != ACCOUNT:
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
            yield f"I6: nobody answered {each.hook} of {each.group} for {each.instance_id} until it timed out"


def _nothing_is_lost(cloud: Cloud) -> Iterator[str]:
    """I6: nothing is left in a queue, and nothing had to be set aside."""
    if waiting := cloud.in_flight():
        yield f"I6: {waiting} messages are still on their way"
    for queue, messages in cloud.dead_letters().items():
        if messages:
            yield f"I6: {messages} messages in the {queue} dead-letter queue"


def _no_large_step_unasked(cloud: Cloud) -> Iterator[str]:
    """I7: no run of reconcile by hand removed a large share, or provisioned what served, unless it was asked to.

    A removal in a run's time counts as the run's: nothing else is to remove hosts meanwhile. Of a run by schedule
    nobody records when it began and ended.
    """
    lives = [life for life in cloud.tower.host_lives() if life.account == ACCOUNT]
    ends = {each.instance_id: each.time for each in cloud.aws.transitions() if each.state == "Terminated"}
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
            yield f"I7: {due} of the {len(managed)} hosts of ours in {inventory} were to go, and nobody was told"


def _alerted(cloud: Cloud, run: Run, inventory: str) -> bool:
    def told(line: Json) -> bool:
        at = datetime.strptime(line["timestamp"], LOG_TIME).timestamp()
        return bool(line.get("alert")) and line.get("inventory") == inventory and run.began <= at <= run.ended

    return bool(run.answer and run.answer["failed"]) and any(told(line) for line in cloud.log_lines("reconcile"))


def others_hosts(cloud: Cloud) -> dict[int, HostRecord]:
    """The hosts that are not ours as they are now, by id."""
    return {host.id: host for host in cloud.tower.hosts() if not is_ours(host)}


def disagreements(cloud: Cloud, others: Mapping[int, HostRecord]) -> list[str]:
    """What does not hold of I4, as sentences. others: the hosts that were not ours before, by id."""
    return [*_our_hosts_are_what_serves(cloud), *_others_hosts_are_what_they_were(cloud, others)]


@dataclass(frozen=True)
class _Home:
    """What the host of an instance that serves is to say."""

    group: str
    inventory: str
    address: str
    inventory_groups: frozenset[str]


def _our_hosts_are_what_serves(cloud: Cloud) -> Iterator[str]:
    """I4: each instance in service or in Standby of a group that opted in has one host, and nothing else has one.

    A host that lost our marker is still ours if it was not a person who took it away.
    """
    homes = _homes(cloud)
    ours = [host for host in cloud.tower.hosts() if is_ours(host)]
    hosts_of = Counter(host.variables["rollcall"]["instance_id"] for host in ours)
    for instance_id, home in homes.items():
        if hosts_of[instance_id] != 1:
            yield f"I4: {instance_id} of {home.group} serves and has {hosts_of[instance_id]} hosts"
    for host in ours:
        marker = host.variables["rollcall"]
        wanted = homes.get(marker["instance_id"])
        if not wanted:
            yield f"I4: {host.name} is a host of {host.inventory}, and its instance serves in no group"
            continue
        found = _Home(marker["group"], host.inventory, host.address, wanted.inventory_groups & set(host.groups))
        if found != wanted:
            yield f"I4: host {host.name} says {found}, and should say {wanted}"
    for life in cloud.tower.host_lives():
        if life.removed is None and _lost_its_marker(life):
            yield f"I4: {life.name} is a host of {life.inventory}, and lost our marker instead of going"


def _lost_its_marker(life: HostLife) -> bool:
    """Whether a host was ours, and is not because of a request to the API."""
    taken = [after for before, after in pairwise(life.periods) if before.account == ACCOUNT != after.account]
    return bool(taken) and life.account != ACCOUNT and not taken[-1].by_hand


def _homes(cloud: Cloud) -> dict[str, _Home]:
    """By instance id; the tags rollcall:inventory are to be names."""
    tags_of: dict[str, Mapping[str, str]] = {}
    for group in cloud.opted_in():
        tags = {"group": group["AutoScalingGroupName"], **{tag["Key"]: tag["Value"] for tag in group["Tags"]}}
        serving = [each["InstanceId"] for each in group["Instances"] if each["LifecycleState"] in SETTLED]
        tags_of |= dict.fromkeys(serving, tags)
    described = cloud.describe(tags_of)
    return {
        instance_id: _Home(
            tags["group"],
            tags["rollcall:inventory"],
            described.get(instance_id, {}).get(ADDRESSES[tags.get("rollcall:address", "private")], ""),
            frozenset(tags.get("rollcall:groups", tags["group"]).split()),
        )
        for instance_id, tags in tags_of.items()
    }


def is_ours(host: HostRecord) -> bool:
    """Whether a host has the marker of this installation."""
    marker = host.variables.get("rollcall")
    return isinstance(marker, dict) and (marker.get("account"), marker.get("region")) == (ACCOUNT, REGION)


def _others_hosts_are_what_they_were(cloud: Cloud, others: Mapping[int, HostRecord]) -> Iterator[str]:
    """I4: a host that is not ours and whose instance lives is byte for byte what it was."""
    ended = {each.instance_id for each in cloud.aws.transitions() if each.state == "Terminated"}
    now = {host.id: host for host in cloud.tower.hosts()}
    for host_id, before in others.items():
        if not ended & {before.name, before.instance_id} and now.get(host_id) != before:
            yield f"I4: host {before.name} of {before.inventory} is not ours, and is not what it was"
