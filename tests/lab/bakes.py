"""Bakes of groups on the embedded cloud: prepared, started as the command and reconcile start them, and followed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.cloud import eventually
from lab.cycles import Cycle, cycle_named
from lab.executions import Execution
from rollcall.bake.invocation import retire_event
from rollcall.domain import bake_tags
from rollcall.workflow.names import bake_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.cloud import Cloud, Group, Json
    from lab.tower.embedded import HostRecord, Tower

PLACED: dict[str, Any] = {"VPCZoneIdentifier": "subnet-00000001"}  # of a group: a builder goes into one of its subnets
REVISION = "4f2c9d1"
LONG_AGO = "2026-01-01T00:00:00Z"
GONE = ("shutting-down", "terminated")
BUILDERS, PLAYBOOK = "{}-builders", "{}-bake"  # an inventory and a job template, by the group's name


@dataclass(frozen=True)
class Bake(Execution):
    """An execution of the state machine of bakes."""

    kind = "bake"
    machine = "BakeStateMachine"

    @property
    def bake_id(self) -> str:
        """What everything that the bake makes is found by."""
        return str(self.seen(lambda state: bool(state.get("bake_id")), "the bake has an id")["bake_id"])

    def cycle(self, group: Group) -> Cycle:
        """The cycle that rolls the image out; whether or not it is there."""
        return cycle_named(group, bake_key(self.bake_id))

    def rolls_out(self, group: Group) -> Cycle:
        """That cycle once it has begun."""
        cycle = self.cycle(group)
        client = self.cloud.aws.client("stepfunctions")
        machine = self.cloud.physical_id("CycleStateMachine")

        def begun() -> bool:
            pages = client.get_paginator("list_executions").paginate(stateMachineArn=machine)
            return any(each["executionArn"] == cycle.arn for page in pages for each in page["executions"])

        eventually(begun, "the image is rolled out")
        return cycle

    def age(self, seconds: float) -> None:
        """Let the execution be so many seconds older than it is."""
        self.cloud.aws.age_execution(self.arn, seconds)


def let_bake(group: Group, tower: Tower, *, permitted: bool = True, **tags: str | None) -> None:
    """Give a group what a bake needs: its own inventory, playbook and tags, and leave to change the launch template.

    permitted: whether that is given by a tag of the template. tags: rollcall:KEY beside these, or instead; _ for -.
    """
    inventory, playbook = BUILDERS.format(group.name), PLAYBOOK.format(group.name)
    tower.add_inventory(inventory)
    tower.add_job_template(playbook, inventory, ask_variables=True, project=f"project of {group.name}")
    tower.set_revision(playbook, REVISION)
    own = {"bake-inventory": inventory, "bake-job-template": playbook}
    group.tag(own | {key.replace("_", "-"): text for key, text in tags.items()})
    if permitted:
        permit(group)


def permit(group: Group) -> None:
    """Let bakes change the group's launch template, as its owner does with a tag."""
    tags = [{"Key": bake_tags.TEMPLATE_TAG, "Value": bake_tags.TEMPLATE_ALLOWED}]
    group.cloud.aws.client("ec2").create_tags(Resources=[group.launch_template_id()], Tags=tags)


def start_bake(group: Group, key: str = "", **request: Any) -> Bake:
    """Start a bake of a group. key: names it, as for the command. request: as the state machine's input names it."""
    return Bake.started(group, key, request)


def bake_named(group: Group, key: str) -> Bake:
    """The group's bake with this key, as the command and reconcile name it; whether or not it is there."""
    return Bake.named(group, key)


def retire(group: Group, **asked: Any) -> Json:
    """Have the bake function remove images and versions beyond those that are kept, and return the state it answers.

    As reconcile has it do so. asked: dry_run, force, ended_before.
    """
    invoked = group.cloud.aws.client("lambda").invoke(
        FunctionName=group.cloud.function_name("BakeFunction"), Payload=json.dumps(retire_event(group.name, **asked))
    )
    said: Json = json.loads(invoked["Payload"].read())
    assert "FunctionError" not in invoked, said
    return dict(said["bake"])


def let_a_day_pass(group: Group) -> None:
    """Let the disabled images of a group have been disabled long ago."""
    disabled = [each["ImageId"] for each in images(group) if each["State"] == "disabled"]
    tag_images(group.cloud, disabled, {bake_tags.DISABLED_AT: LONG_AGO})


# What bakes have made.


def instances(group: Group, role: str = "") -> dict[str, Json]:
    """The instances that bakes of a group launched, as EC2 shows them, by id. role: builder, smoke, or any if empty."""
    filters = [{"Name": f"tag:{bake_tags.BAKE_GROUP}", "Values": [group.name]}]
    filters += [{"Name": f"tag:{bake_tags.BAKE_ROLE}", "Values": [role]}] if role else []
    answer = group.cloud.aws.client("ec2").describe_instances(Filters=filters)
    return {one["InstanceId"]: one for each in answer["Reservations"] for one in each["Instances"]}


def left(group: Group) -> set[str]:
    """Those of them that are still there."""
    return {key for key, each in instances(group).items() if each["State"]["Name"] not in GONE}


def images(group: Group) -> list[Json]:
    """The images that bakes of a group made, disabled and failed ones too, the newest first."""
    filters = [{"Name": f"tag:{bake_tags.BAKE_GROUP}", "Values": [group.name]}]
    found = group.cloud.aws.client("ec2").describe_images(Owners=["self"], Filters=filters, IncludeDisabled=True)
    return sorted(found["Images"], key=lambda each: str(each["CreationDate"]), reverse=True)


def tags_of(described: Json) -> dict[str, str]:
    """The tags of what EC2 describes, by key."""
    return {each["Key"]: each["Value"] for each in described.get("Tags", [])}


def snapshots(described: Json) -> list[str]:
    """The snapshots of an image as EC2 describes it."""
    return [each["Ebs"]["SnapshotId"] for each in described["BlockDeviceMappings"] if "Ebs" in each]


def existing(cloud: Cloud, snapshot_ids: list[str]) -> list[str]:
    """Those of the snapshots that are there."""
    filters = [{"Name": "snapshot-id", "Values": snapshot_ids}]
    found = cloud.aws.client("ec2").describe_snapshots(Filters=filters)["Snapshots"]
    return [each["SnapshotId"] for each in found]


def baked_versions(group: Group) -> dict[str, str]:
    """The image of each version of the group's launch template that bakes made, by its number, the oldest first."""
    pages = group.cloud.aws.client("ec2").get_paginator("describe_launch_template_versions")
    found = [
        each
        for page in pages.paginate(LaunchTemplateId=group.launch_template_id())
        for each in page["LaunchTemplateVersions"]
        if each.get("VersionDescription", "").startswith(bake_tags.BAKED)
    ]
    ordered = sorted(found, key=lambda each: int(each["VersionNumber"]))
    return {str(each["VersionNumber"]): str(each["LaunchTemplateData"]["ImageId"]) for each in ordered}


def have_baked(group: Group, number: int, *, roll_out: str = "succeeded", smoke: str = "passed") -> list[str]:
    """Let so many images and versions be there as bakes of a group left them, the oldest first; the images' ids.

    The versions come behind those that there are, and the group stays where it is.
    """
    aws, template = group.cloud.aws, group.launch_template_id()
    (found,) = aws.client("ec2").describe_launch_templates(LaunchTemplateIds=[template])["LaunchTemplates"]
    newest = int(found["LatestVersionNumber"])

    def tags(place: int) -> dict[str, str]:
        return {
            bake_tags.MADE_BY: bake_tags.MADE_BY_BAKE,
            bake_tags.BAKE_GROUP: group.name,
            bake_tags.BAKE_ID: f"{place:012x}",
            bake_tags.VERSION: str(newest + 1 + place),
            bake_tags.PROJECT_REVISION: f"{REVISION}-{place}",
            bake_tags.SMOKE: smoke,
            bake_tags.ROLL_OUT: roll_out,
        }

    ids = aws.images.seed(number, name=f"rollcall-{group.name[:60]}", tags=tags)
    words = [(each, bake_tags.version_description(f"{place:012x}", each)) for place, each in enumerate(ids)]
    aws.images.seed_versions(template, words)
    return ids


def tag_images(cloud: Cloud, image_ids: list[str], tags: dict[str, str]) -> None:
    """Tag images as they are to be."""
    given = [{"Key": key, "Value": value} for key, value in tags.items()]
    cloud.aws.client("ec2").create_tags(Resources=image_ids, Tags=given)


# Hosts in Tower.


def hosts_of_bakes(group: Group, tower: Tower) -> list[HostRecord]:
    """The hosts in the inventory of the group's builders."""
    return tower.hosts(BUILDERS.format(group.name))


def is_builders(group: Group) -> Callable[[HostRecord], bool]:
    """Matches the hosts of the group's builders, and of instances of smoke tests: what Tower's faults take."""
    inventory = BUILDERS.format(group.name)
    return lambda host: host.inventory == inventory
