"""The design's invariants, checked on what the embedded cloud recorded. Used by the stack tests and the demo."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import combinations
from typing import TYPE_CHECKING

from lab.tower import OPERATOR

if TYPE_CHECKING:
    from lab.cloud import Cloud
    from lab.tower import HostLife

CLOCK_TOLERANCE = 0.05  # seconds between two processes' readings of one clock


def broken_invariants(cloud: Cloud, groups: Collection[str]) -> list[str]:
    """What does not hold for these groups and everything that ever happened to them, as sentences."""
    return [
        *_provisioned_before_service(cloud, groups),
        *_struck_off_before_the_hook_ends(cloud, groups),
        *_jobs_are_limited(cloud),
        *_one_address_one_host(cloud, groups),
        *_every_action_is_answered(cloud, groups),
        *_nothing_is_lost(cloud),
    ]


def _provisioned_before_service(cloud: Cloud, groups: Collection[str]) -> Iterator[str]:
    """I1: InService only after a job result ok for that host."""
    jobs = cloud.tower.jobs()
    asking = {name for name in groups if _asks_job(cloud, name)}
    for entered in cloud.aws.transitions():
        if entered.group not in asking or entered.state != "InService":
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


def _asks_job(cloud: Cloud, group: str) -> bool:
    answer = cloud.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group])
    tags = {tag["Key"]: tag["Value"] for each in answer["AutoScalingGroups"] for tag in each["Tags"]}
    return "rollcall:job-template" in tags and "job" in tags.get("rollcall:gate", "job").split()


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
            if removed is None or removed > entered.time + CLOCK_TOLERANCE:
                yield f"I2: {life.inventory} still held {entered.instance_id} when its termination went on"


def _jobs_are_limited(cloud: Cloud) -> Iterator[str]:
    """I3: every job of ours names its hosts, and ran on no other."""
    instances = {each.instance_id for each in cloud.aws.transitions()}
    for job in cloud.tower.jobs():
        if job.launched_by == OPERATOR:
            continue
        limit = set(job.limit.split(",")) - {""}
        if not limit or not limit <= instances:
            yield f"I3: job {job.id} was launched with the limit {job.limit!r}"
        elif not job.hosts.keys() <= limit:
            yield f"I3: job {job.id} ran on {', '.join(job.hosts.keys() - limit)} outside its limit"


def _one_address_one_host(cloud: Cloud, groups: Collection[str]) -> Iterator[str]:
    """I5: no two hosts of ours in one inventory had one address at one time."""
    lives: defaultdict[tuple[str, str], list[HostLife]] = defaultdict(list)
    for life in cloud.tower.host_lives():
        if life.group in groups and life.address:
            lives[life.inventory, life.address].append(life)
    for (inventory, address), tenants in lives.items():
        for one, other in combinations(tenants, 2):
            if _overlap(one, other):
                yield f"I5: {one.name} and {other.name} both had {address} in {inventory}"


def _overlap(one: HostLife, other: HostLife) -> bool:
    end = min(life.removed if life.removed is not None else float("inf") for life in (one, other))
    return max(one.created, other.created) < end


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
