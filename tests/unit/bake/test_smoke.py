"""The smoke test: one instance of the image, which boots, or runs the group's jobs; and what becomes of the image."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Collection
from copy import replace
from typing import Any

import pytest

from rollcall.aws.launch_templates import TemplateVersion
from rollcall.bake.launching import INSTANCE_VISIBLE_AFTER
from rollcall.bake.news import BakeAnswer
from rollcall.bake.smoke import BOOT_MAX, SmokeTest
from rollcall.bake.smoke_jobs import SmokeJobs
from rollcall.bake.state import BakeResult, BakeState, Phase
from rollcall.domain.bake_tags import BAKE_ROLE, SMOKE
from rollcall.domain.chef_nodes import NamedAfter
from rollcall.domain.errors import ChefDenied, ChefUnavailable, TowerDenied
from rollcall.domain.instances import Instance
from rollcall.domain.jobs import JobStatus, Outcome
from rollcall.domain.settings import CHEF_TAG
from unit.bake.baked import NOW, TEMPLATE, FakeBakeAws, FunctionDiedError, image, on_version, state
from unit.fakes import FakeChef, FakeFleet
from unit.world import World

PROFILE = "arn:aws:iam::1:instance-profile/web"
DATA = {
    "ImageId": "ami-1",
    "KeyName": "ops",
    "SecurityGroupIds": ["sg-1"],
    "UserData": "IyEvYmluL3No",
    "IamInstanceProfile": {"Arn": PROFILE},
    "BlockDeviceMappings": [{"DeviceName": "/dev/sdb", "Ebs": {"SnapshotId": "snap-data"}}],
}


class BakedFleet(FakeFleet):
    """Shows the instances that a bake's AWS has launched."""

    aws: FakeBakeAws

    def instances(self, instance_ids: Collection[str]) -> dict[str, Instance]:
        return {each: self.aws.instances_by_id[each] for each in instance_ids if each in self.aws.instances_by_id}


class Trial:
    """A smoke test, round by round. state: the bake's; now: in epoch seconds."""

    def __init__(self, mode: str = "boot", **group: Any) -> None:
        self.world = World()
        self.world.clock.now = NOW
        self.world.group("web", **group)
        self.inventory = self.world.tower.add_inventory("id:40", "bakes")
        self.aws = FakeBakeAws(
            image(9, smoke="", roll_out=""), image(1), versions=[TemplateVersion(TEMPLATE, "1", DATA)]
        )
        self.aws.groups["web"] = on_version("1")
        self.fleet = BakedFleet("us-east-1")
        self.fleet.aws = self.aws
        self.fleet.known_groups = self.world.fleet.known_groups
        self.state = state(
            image_id="ami-9",
            snapshots=("snap-9",),
            previous_image="ami-1",
            subnet="subnet-1",
            instance_type="t3.micro",
            inventory_id=40,
            request={"group": "web", "smoke": mode},
        )
        self.chef: FakeChef | None = None

    def round(self, seconds: float = 0.0) -> BakeAnswer:
        """The next round, so many seconds later."""
        self.world.clock.now += seconds
        world = self.world
        jobs = SmokeJobs(world.settings, world.tower, self.fleet, world.evidence, self.chef)
        answer = SmokeTest(self.aws, self.fleet, jobs).step(self.state, world.clock.now)
        self.state = BakeState.from_json(answer.state.to_json())
        return answer

    def booted(self) -> BakeAnswer:
        """The round in which both status checks have passed."""
        self.round()
        self.fleet.passing = {"i-1"}
        return self.round(15)

    def end_job(self, outcome: Outcome, status: JobStatus | None = None) -> None:
        """End the newest job."""
        self.world.tower.end_job(max(self.world.tower.runs), {"i-1": outcome}, status)

    @property
    def tag(self) -> str:
        return self.aws.known["ami-9"].tags[SMOKE]


def failed(answer: BakeAnswer) -> str:
    assert (answer.next, answer.state.result, answer.state.smoke) == ("put_back", BakeResult.FAILED, "failed")
    return answer.state.reason


def test_it_boots_passes_and_is_terminated() -> None:
    trial = Trial()
    launched = trial.round()
    assert (launched.next, launched.wait, launched.state.phase) == ("smoke", 15.0, Phase.SMOKE)
    assert trial.round(15).next == "smoke"
    trial.fleet.passing = {"i-1"}
    done = trial.round(15)
    assert (done.next, done.state.smoke, trial.tag) == ("version", "passed", "passed")
    assert trial.aws.instances_by_id["i-1"].state == "shutting-down"


def test_to_boot_it_gets_neither_profile_nor_user_data_nor_data_volumes_nor_tags_of_the_group() -> None:
    trial = Trial()
    trial.round()
    launch = trial.aws.launches[0]
    assert (launch["ImageId"], launch["KeyName"], launch["SubnetId"]) == ("ami-9", "ops", "subnet-1")
    assert "UserData" not in launch
    assert "IamInstanceProfile" not in launch
    assert [each["DeviceName"] for each in launch["BlockDeviceMappings"]] == ["/dev/xvda"]
    tags = {each["Key"]: each["Value"] for each in launch["TagSpecifications"][0]["Tags"]}
    assert tags[BAKE_ROLE] == "smoke"


def test_off_tests_nothing_and_says_so() -> None:
    trial = Trial("off")
    done = trial.round()
    assert (done.next, done.state.smoke, trial.tag) == ("version", "off", "off")
    assert trial.aws.launches == []


def test_where_there_is_no_room_another_subnet_of_the_group_is_tried() -> None:
    trial = Trial()
    trial.aws.full = {"subnet-1"}
    assert trial.round().next == "smoke"
    assert trial.aws.launches[0]["SubnetId"] == "subnet-2"


def test_one_that_cannot_be_launched_ends_the_bake_and_is_no_evidence_against_the_image() -> None:
    trial = Trial()
    trial.aws.full = {"subnet-1", "subnet-2"}
    answer = trial.round()
    assert (answer.next, answer.state.result, trial.tag) == ("put_back", BakeResult.FAILED, "")
    assert answer.state.reason == (
        "no instance can be launched from image ami-9: InsufficientInstanceCapacity: no room"
    )


def test_status_checks_that_do_not_pass_fail_the_image() -> None:
    trial = Trial()
    trial.round()
    assert trial.round(BOOT_MAX - 1).next == "smoke"
    assert "have not passed within 15 minutes" in failed(trial.round(1))
    assert trial.tag == "failed"


@pytest.mark.parametrize("state", ["terminated", "shutting-down", "stopped"])
def test_an_instance_that_ends_by_itself_fails_the_image(state: str) -> None:
    trial = Trial()
    trial.round()
    trial.aws.instances_by_id["i-1"] = trial.aws.instances_by_id["i-1"]._replace(state=state)
    assert failed(trial.round(15)).endswith(f"instance i-1 does not run: it is {state}")


def test_one_that_ec2_does_not_show_yet_is_waited_for() -> None:
    trial = Trial()
    trial.round()
    trial.aws.instances_by_id.clear()
    assert trial.round(INSTANCE_VISIBLE_AFTER - 1).next == "smoke"
    assert failed(trial.round(1)).endswith("EC2 does not show it")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_function_that_dies_launches_no_second_instance_and_fails_no_good_image(call: int, after: bool) -> None:
    trial = Trial()
    trial.aws.dies_at, trial.aws.dies_after = call, after
    trial.fleet.passing = {"i-1"}
    for _ in range(3):
        try:
            answer = trial.round()
        except FunctionDiedError:
            trial.aws.launched.clear()  # a token is remembered for a while only
    assert (answer.next, trial.tag, len(trial.aws.launches)) == ("version", "passed", 1)


# The group's jobs


def test_with_the_groups_profile_and_user_data_its_job_runs_and_it_is_retired_as_the_group_would() -> None:
    trial = Trial("provision", retire_job_template="retire")
    trial.world.tower.add_template("retire")
    assert trial.booted().next == "smoke"
    launch = trial.aws.launches[0]
    assert (launch["UserData"], launch["IamInstanceProfile"]) == (b"#!/bin/sh", {"Arn": PROFILE})
    (host,) = trial.world.tower.hosts.values()
    assert (host.name, host.inventory_id, host.variables["rollcall_smoke"]) == ("i-1", trial.inventory.id, True)
    assert host.marker is not None
    assert (host.marker["role"], host.marker["bake"]) == ("smoke", "0123456789ab")
    trial.fleet.passing = set()  # which its job may well bring about for a moment
    trial.end_job(Outcome.OK)
    retiring = trial.round(15)
    assert (retiring.next, len(trial.world.tower.runs)) == ("smoke", 2)
    trial.end_job(Outcome.OK)
    done = trial.round(15)
    assert (done.next, trial.tag, done.state.warnings) == ("version", "passed", ())
    assert trial.world.tower.hosts == {}
    assert trial.aws.instances_by_id["i-1"].state == "shutting-down"


def test_its_host_is_in_the_groups_and_has_the_variables_that_the_groups_instances_have() -> None:
    trial = Trial("provision", groups="web eu", user_data="true")
    asked = {"rollcall": {"vars": {"shard": 7}, "groups": ["canary"]}}
    encoded = b64encode(json.dumps(asked).encode()).decode()
    one = trial.aws.made_versions["1"]
    trial.aws.made_versions["1"] = one._replace(data={**one.data, "UserData": encoded})
    trial.booted()
    (host,) = trial.world.tower.hosts.values()
    assert trial.world.tower.groups_of(host.id) == {"web", "eu", "canary"}
    assert (host.variables["shard"], host.variables["rollcall_smoke"]) == (7, True)


def test_user_data_that_cannot_be_followed_is_a_warning() -> None:
    trial = Trial("provision", user_data="true")
    warnings = trial.booted().state.warnings
    assert len(warnings) == 1
    assert warnings[0].startswith("the user data is not followed in the smoke test: ")


def test_a_job_that_fails_on_it_fails_the_image_with_the_jobs_link() -> None:
    trial = Trial("provision")
    trial.booted()
    trial.end_job(Outcome.FAILED)
    job = max(trial.world.tower.runs)
    assert failed(trial.round(15)) == (
        f"image ami-9 has failed its smoke test: job {job} failed: "
        f"https://tower.example.com/#/jobs/playbook/{job}/output"
    )


def test_one_that_is_not_reached_while_it_boots_is_provisioned_again() -> None:
    trial = Trial("provision")
    trial.booted()
    trial.end_job(Outcome.UNREACHABLE)
    assert trial.round(15).next == "smoke"
    assert trial.round(120).next == "smoke"
    assert len(trial.world.tower.runs) == 2


def test_that_it_cannot_be_retired_is_a_warning() -> None:
    trial = Trial("provision", retire_job_template="retire")
    trial.world.tower.add_template("retire")
    trial.booted()
    trial.end_job(Outcome.OK)
    trial.round(15)
    trial.end_job(Outcome.FAILED)
    done = trial.round(15)
    assert (done.next, trial.tag) == ("version", "passed")
    assert "of the smoke test was not retired: job" in done.state.warnings[0]
    assert trial.world.tower.hosts == {}


@pytest.mark.parametrize(
    ("spoiled", "words"),
    [
        ("no job", "group 'web' has no tag rollcall:job-template"),
        ("fixed", "is fixed to inventory 1"),
        ("denied", "Tower refused it"),
    ],
)
def test_what_keeps_the_groups_job_from_being_run_is_told(spoiled: str, words: str) -> None:
    trial = Trial("provision", **({"job_template": "", "gate": ""} if spoiled == "no job" else {}))
    if spoiled == "fixed":
        templates = trial.world.tower.templates
        templates["provision"] = replace(templates["provision"], asks_inventory=False, inventory_id=1)
    elif spoiled == "denied":
        trial.world.tower.failing["create_hosts"] = TowerDenied("Tower refused it")
    assert words in failed(trial.booted())


def test_a_job_that_takes_longer_than_the_bake_may_fails_the_image() -> None:
    trial = Trial("provision")
    trial.booted()
    assert trial.round(60).next == "smoke"
    assert "has not ended, and the bake's time is over" in failed(trial.round(3600))


@pytest.mark.parametrize("error", [None, ChefDenied("Chef refused it")])
def test_its_node_is_removed_from_chef(error: Any) -> None:
    trial = Trial("provision", chef=str(NamedAfter.INSTANCE_ID))
    assert CHEF_TAG in trial.fleet.known_groups["web"].tags
    trial.chef = FakeChef()
    trial.chef.bootstrap("i-1", "i-2")
    trial.booted()
    trial.end_job(Outcome.OK)
    if error:
        trial.chef.failing["delete_node"] = error
    done = trial.round(15)
    assert done.next == "version"
    assert trial.chef.node_names() == ({"i-1", "i-2"} if error else {"i-2"})
    assert done.state.warnings == (("node i-1 stays in Chef: Chef refused it",) if error else ())


def test_a_chef_server_that_is_away_is_waited_for() -> None:
    trial = Trial("provision", chef=str(NamedAfter.INSTANCE_ID))
    trial.chef = FakeChef()
    trial.chef.bootstrap("i-1")
    trial.booted()
    trial.end_job(Outcome.OK)
    trial.chef.failing["nodes"] = ChefUnavailable("Chef is away")
    with pytest.raises(ChefUnavailable):
        trial.round(15)
    trial.chef.failing.clear()
    assert trial.round(15).next == "version"
    assert trial.chef.node_names() == set()
