"""What a user's own rule hears of instances on their way in and out, and of trouble."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.aws.embedded import ACCOUNT, REGION
from lab.cloud import STACK, Cloud, Group, eventually
from lab.ear import Ear
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]
type Json = dict[str, Any]

SAMPLES = Path(__file__).parents[2] / "events" / "announced"


def sample(name: str) -> Json:
    read: Json = json.loads((SAMPLES / f"{name}.json").read_text())
    return read


@pytest.mark.story
def test_each_instance_is_announced_once_as_it_is_registered_ready_and_retired(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, ear: Ear
) -> None:
    group, foreign = make_group(), make_group("-foreign", hooks=False, inventory=None, job_template=None)
    group.scale(3)
    foreign.scale(1)
    everybody = eventually(lambda: len(group.in_service()) == 3 and group.in_service(), "three instances in service")
    group.scale(1)
    eventually(lambda: len(group.states()) == 1, "two are gone")
    eventually(lambda: len(foreign.in_service()) == 1, "so is the other group's")
    foreign.scale(0)
    eventually(lambda: not foreign.states(), "it is gone again")
    gone = everybody - group.in_service()
    eventually(lambda: cloud.in_flight() == 0, "every action comes to an end")
    eventually(lambda: ear.published(group, "Instance Retired").keys() == gone, "all is published")

    assert Counter((each["detail-type"], each["detail"]["instance_id"]) for each in ear.of(group)) == Counter(
        [
            *((kind, each) for kind in ("Instance Registered", "Instance Ready") for each in everybody),
            *(("Instance Retired", each) for each in gone),
        ]
    )
    assert ear.of(foreign) == []
    [job] = tower.jobs(name)
    url = f"{cloud.tower_url}/#/jobs/playbook/{job.id}/output"
    for kind, function, with_job in (
        ("Instance Registered", "register", True),
        ("Instance Ready", "gate", True),
        ("Instance Retired", "cleanup", False),
    ):
        shown = sample(kind.lower().replace(" ", "-"))
        for event in ear.published(group, kind).values():
            detail = event["detail"]
            assert event["source"] == shown["source"]
            assert detail.keys() == shown["detail"].keys()
            assert (detail["account"], detail["region"], detail["stack"], detail["function"]) == (
                ACCOUNT,
                REGION,
                STACK,
                function,
            )
            assert 0 < detail["seconds"] < 120
            assert (detail["job"], detail["job_url"]) == ((job.id, url) if with_job else (None, None))


def test_trouble_is_announced_at_each_try_and_the_way_out_of_it_too(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, ear: Ear
) -> None:
    group = make_group()
    tower.refuse()
    group.scale(2)
    eventually(lambda: len(ear.published(group, "Work Failed")) == 2, "both are reported as failed")
    tower.come_back()
    eventually(lambda: len(group.in_service()) == 2, "two in service")
    eventually(lambda: ear.published(group, "Instance Ready").keys() == group.in_service(), "both are published")
    failed = [each["detail"] for each in ear.of(group) if each["detail-type"] == "Work Failed"]
    assert {each["instance_id"] for each in failed} == group.in_service()
    shown = sample("work-failed")["detail"]
    for detail in failed:
        assert detail.keys() == shown.keys()
        assert (detail["cause"], detail["error"], detail["transient"]) == ("TowerUnavailable", "TowerUnavailable", True)
        assert detail["again_within"] > 120
    assert {event["detail"]["troubled"] for event in ear.published(group, "Instance Ready").values()} == {True}


def test_work_goes_on_while_nothing_can_be_published(make_group: MakeGroup, cloud: Cloud, ear: Ear) -> None:
    group = make_group()
    cloud.aws.deny("events:PutEvents")
    group.scale(2)
    eventually(lambda: len(group.in_service()) == 2, "two in service")
    eventually(lambda: cloud.in_flight() == 0, "every action comes to an end")
    cloud.aws.deny(None)
    assert ear.of(group) == []
    lost = [line for line in cloud.log_lines("gate") if "not taken by the event bus" in line["message"]]
    assert {each["instance_id"] for each in lost[-1]["events"]} <= group.in_service()
    assert "AccessDenied" in lost[-1]["message"]
