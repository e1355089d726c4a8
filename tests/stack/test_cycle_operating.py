"""Cycles as they are operated: waits, ended by hand, stopped, beside other changes, and through the command."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from lab.aws.embedded import ACCOUNT, REGION
from lab.cloud import Cloud, Group, eventually
from lab.cycles import Cycle, cycle_named, start_cycle
from lab.tower.embedded import Tower
from rollcall.cycle.names import execution_name
from rollcall.cycle.starting import SETTLE_AFTER
from rollcall.cycle.waiting import EVENTS_PER_ROUND

type MakeGroup = Callable[..., Group]
type Json = dict[str, Any]

EXECUTION_EVENT = "Step Functions Execution Status Change"
EVENTS = "cycles"
AT_ONE = {"version": "1", "DefaultInstanceWarmup": 1}  # a group on a number, whose new instances count at once


class Ear:
    """Hears what is published of cycles."""

    def __init__(self, cloud: Cloud) -> None:
        self._aws = cloud.aws
        self._queue = cloud.aws.open_queue(EVENTS)
        self._heard: list[Json] = []
        events = cloud.aws.client("events")
        pattern = {"source": ["rollcall"], "detail-type": [{"prefix": "Cycle "}]}
        events.put_rule(Name=EVENTS, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=EVENTS, Targets=[{"Id": EVENTS, "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{EVENTS}"}])

    def of(self, group: Group) -> list[str]:
        """What was published of a group so far but for progress, in order."""
        sqs = self._aws.client("sqs")
        while messages := sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                self._heard.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        of_group = [each for each in self._heard if each["detail"]["group"] == group.name]
        kinds = [each["detail-type"] for each in sorted(of_group, key=lambda each: str(each["time"]))]
        return [each.removeprefix("Cycle ") for each in kinds if each != "Cycle Progress"]

    def close(self) -> None:
        """Hear nothing more."""
        events = self._aws.client("events")
        events.remove_targets(Rule=EVENTS, Ids=[EVENTS])
        events.delete_rule(Name=EVENTS)
        self._aws.client("sqs").delete_queue(QueueUrl=self._queue)


@pytest.fixture
def ear(cloud: Cloud) -> Iterator[Ear]:
    made = Ear(cloud)
    yield made
    made.close()


@pytest.fixture
def group(make_group: MakeGroup) -> Group:
    """Two instances on version 1 of a launch template that has a version 2."""
    return at_size(make_group(traffic=AT_ONE), 2)


def at_size(group: Group, size: int) -> Group:
    """The group with so many instances in service, and a second version of its launch template."""
    group.scale(size)
    in_service(group, size)
    group.new_version(InstanceType="t4g.medium")
    return group


def in_service(group: Group, size: int) -> set[str]:
    """Its instances, once there are so many and all are in service."""
    eventually(lambda: len(group.states()) == len(group.in_service()) == size, f"{size} in service", 90)
    return group.in_service()


def versions(group: Group) -> list[str]:
    """The version of each instance in service."""
    return sorted(group.version_of(each) for each in group.in_service())


def own_version(group: Group) -> str:
    return str(group.described()["LaunchTemplate"]["Version"])


def statuses(group: Group) -> list[str]:
    """Of the group's refreshes, the newest first."""
    return [each["Status"] for each in group.refreshes()]


# How it goes


def test_a_cycle_waits_at_its_checkpoint_and_goes_on_and_bakes_before_it_counts(group: Group) -> None:
    cycle = start_cycle(
        group, launch_template_version="2", batch=1, checkpoints=[50, 100], checkpoint_seconds=3, bake_seconds=2
    )
    waiting = cycle.reaches("waiting at a checkpoint")
    assert (waiting["percent"], waiting["new"], waiting["in_progress"], waiting["left"]) == (50, 1, 0, 1)
    assert versions(group) == ["1", "2"]
    state = cycle.waited()
    assert (state["result"], state["unverified"], versions(group)) == ("succeeded", [], ["2", "2"])
    assert [each for each in cycle.phases() if each not in ("starting", "verifying")] == [
        *("pre-flight", "replacing", "waiting at a checkpoint", "replacing", "baking", "ended")
    ]
    own = cycle.history()
    waits = [index for index, kind in enumerate(own) if kind == "WaitStateEntered"]
    assert {after - before for before, after in pairwise(waits)} == {EVENTS_PER_ROUND}
