"""Images and versions of bakes, and AWS with them, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollcall.aws.group_details import GroupDetails
from rollcall.aws.image_uses import Uses
from rollcall.aws.images import AVAILABLE, DISABLED, Image, ImageSource, SnapshotResult
from rollcall.aws.launch_templates import LaunchRefusal, TemplateVersion
from rollcall.bake.bake_aws import BakeAws
from rollcall.bake.state import BakeState
from rollcall.domain.bake_tags import (
    BAKE_GROUP,
    BAKE_ID,
    MADE_BY,
    MADE_BY_BAKE,
    ROLL_OUT,
    SMOKE,
    version_description,
)
from rollcall.domain.errors import AwsRejected
from rollcall.domain.groups import AddressKind, Group
from rollcall.domain.instances import Instance

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from rollcall.aws.instance_refreshes import Refresh

DAY = 86_400.0
NOW = 1_800_000_000.0
TEMPLATE = "lt-1"


def image(number: int, *, state: str = AVAILABLE, age: float | None = None, **changes: Any) -> Image:
    """The image of a group's bake; those with a higher number are newer. changes: smoke, roll_out, or fields."""
    tags = {
        MADE_BY: MADE_BY_BAKE,
        BAKE_GROUP: "web",
        BAKE_ID: f"{number:012x}",
        SMOKE: changes.pop("smoke", "passed"),
        ROLL_OUT: changes.pop("roll_out", "succeeded"),
    }
    fields: dict[str, Any] = {
        "id": f"ami-{number}",
        "state": state,
        "created": NOW - (100_000 - number) * DAY if age is None else NOW - age,
        "mappings": ({"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": f"snap-{number}", "VolumeSize": 8}},),
        "root_device": "/dev/xvda",
        "tags": tags | changes.pop("tags", {}),
    }
    return Image(**(fields | changes))


def images(newest: int, oldest: int = 1) -> list[Image]:
    """Images of bakes, the newest first."""
    return [image(number) for number in range(newest, oldest - 1, -1)]


def version(number: int, image_id: str = "", **changes: Any) -> TemplateVersion:
    """The version of a bake with an image: that of its own number."""
    named = image_id or f"ami-{number}"
    own = named.removeprefix("ami-")
    bake_id = f"{int(own) if own.isdecimal() else number:012x}"
    fields: dict[str, Any] = {"data": {"ImageId": named}, "description": version_description(bake_id, named)}
    return TemplateVersion(TEMPLATE, str(number), **(fields | changes))


def versions(newest: int, oldest: int = 1, default: int = 0) -> list[TemplateVersion]:
    """Versions of bakes, the newest first. default: that for which $Default stands."""
    return [version(number, is_default=number == default) for number in range(newest, oldest - 1, -1)]


class FunctionDiedError(Exception):
    """The function ended in the middle of a step: out of memory, say."""


class FakeBakeAws(BakeAws):
    """Images, versions and groups in memory. changes: the calls that changed something, in order.

    dies_at: the number of the changing call at which the function dies, from 1; before it is made, or after. refuses:
    what AWS refuses, as the calls' words begin. uses_by_now: of versions, when they are asked for alone; None for the
    same. change_meanwhile: what an operator does between that images are listed and that they are read again. hidden:
    images that DescribeImages does not show yet. refreshing: instance refreshes that go on, by group. full: subnets in
    which there is no room. launches: the parameters of RunInstances.
    """

    def __init__(self, *images: Image, versions: Collection[TemplateVersion] = ()) -> None:
        self.known = {each.id: each for each in images}
        self.made_versions = {each.number: each for each in versions}
        self.groups: dict[str, GroupDetails] = {}
        self.refreshing: dict[str, Refresh] = {}
        self.found_uses = Uses({}, {})
        self.asked_uses: list[str] = []
        self.uses_by_now: Uses | None = None
        self.change_meanwhile: Callable[[], object] = lambda: None
        self.changes: list[str] = []
        self.refuses: tuple[str, ...] = ()
        self.hidden: set[str] = set()
        self.other_devices: tuple[str, ...] = ()
        self.builder_state = "stopped"
        self.left_out: tuple[str, ...] = ()
        self.tokens: dict[str, TemplateVersion] = {}
        self.launched: dict[str, str] = {}  # instances by the tokens of their launches
        self.launches: list[Mapping[str, Any]] = []
        self.full: set[str] = set()
        self.instances_by_id: dict[str, Instance] = {}
        self.dies_at = 0
        self.dies_after = False
        self._calls = 0

    def require_not_refused(self, words: str) -> None:
        """Raise what AWS refuses."""
        if any(words.startswith(each) for each in self.refuses):
            raise AwsRejected(f"AWS refused {words}")

    def _changing(self, words: str) -> bool:
        """Record a change. Whether the function dies after it."""
        self.require_not_refused(words)
        self._calls += 1
        if self._calls == self.dies_at and not self.dies_after:
            raise FunctionDiedError(words)
        self.changes.append(words)
        return self._calls == self.dies_at

    def details(self, name: str) -> GroupDetails | None:
        return self.groups.get(name)

    def active(self, group: str) -> Refresh | None:
        return self.refreshing.get(group)

    def image(self, image_id: str) -> Image | None:
        return None if image_id in self.hidden else self.known.get(image_id)

    def own_image_named(self, name: str) -> Image | None:
        return next((each for each in self.known.values() if each.name == name and each.id not in self.hidden), None)

    def images_made_for(self, group: str) -> list[Image]:
        own = (each for each in self.known.values() if each.tags.get(BAKE_GROUP) == group)
        return sorted(own, key=lambda each: each.created, reverse=True)

    def images_by_group(self) -> dict[str, list[str]]:
        groups = {each.tags[BAKE_GROUP] for each in self.known.values() if BAKE_GROUP in each.tags}
        return {group: [each.id for each in self.images_made_for(group)] for group in groups}

    def own_images(self, image_ids: Collection[str]) -> list[Image]:
        self.change_meanwhile()
        return [self.known[each] for each in image_ids if each in self.known]

    def image_source(self, instance_id: str) -> ImageSource:
        return ImageSource(self.builder_state, self.other_devices)

    def stop(self, instance_id: str) -> None:
        dies = self._changing(f"stop {instance_id}")
        self.builder_state = "stopping"
        if dies:
            raise FunctionDiedError

    def create_image(
        self, instance_id: str, name: str, description: str, tags: Mapping[str, str], without: Collection[str]
    ) -> str | None:
        if any(each.name == name for each in self.known.values()):
            return None
        dies = self._changing(f"create {name}")
        made = image(len(self.known) + 1, state="pending", age=0.0, name=name)
        self.known[made.id] = made._replace(tags=dict(tags), source_instance=instance_id)
        self.left_out = tuple(without)
        if dies:
            raise FunctionDiedError(name)
        return made.id

    def tag_resources(self, resources: Collection[str], tags: Mapping[str, str]) -> None:
        dies = self._changing(f"tag {' '.join(resources)} {tags}")
        for each in set(resources) & self.known.keys():
            self.known[each] = self.known[each]._replace(tags={**self.known[each].tags, **tags})
        if dies:
            raise FunctionDiedError

    def disable_image(self, image_id: str) -> None:
        dies = self._changing(f"disable {image_id}")
        self.known[image_id] = self.known[image_id]._replace(state=DISABLED)
        if dies:
            raise FunctionDiedError

    def deregister_image(self, image_id: str) -> tuple[SnapshotResult, ...]:
        dies = self._changing(f"deregister {image_id}")
        gone = self.known.pop(image_id)
        if dies:
            raise FunctionDiedError
        return tuple(SnapshotResult(each, "success") for each in gone.snapshots)

    def uses(self, image_ids: Collection[str], template: Mapping[str, Any]) -> Uses:
        self.asked_uses += image_ids
        return self.found_uses if image_ids or self.uses_by_now is None else self.uses_by_now

    def versions(self, template_id: str, since: str = "") -> list[TemplateVersion]:
        found = sorted(self.made_versions.values(), key=lambda each: int(each.number), reverse=True)
        return [each for each in found if int(each.number) >= int(since or 1)]

    def version(self, template: Mapping[str, Any], version: str) -> TemplateVersion | None:
        default = next((each for each in self.made_versions.values() if each.is_default), None)
        return default if version == "$Default" else self.made_versions.get(version)

    def create_version(
        self, source: TemplateVersion, changes: Mapping[str, Any], *, description: str, token: str
    ) -> TemplateVersion:
        if token in self.tokens:
            return self.tokens[token]
        dies = self._changing(f"version from {source.number}")
        number = max(map(int, self.made_versions)) + 1
        made = TemplateVersion(source.template_id, str(number), {**source.data, **changes}, description)
        self.made_versions[made.number] = self.tokens[token] = made
        if dies:
            raise FunctionDiedError
        return made

    def delete_versions(self, template_id: str, numbers: Collection[str]) -> dict[str, str]:
        kept = {each: "unexpectedError: no" for each in numbers if f"delete {each}" in self.refuses}
        gone = [each for each in numbers if each not in kept]
        dies = self._changing(f"delete versions {' '.join(gone)}")
        for each in gone:
            self.made_versions.pop(each, None)
        if dies:
            raise FunctionDiedError
        return kept

    def launch_alone(self, parameters: Mapping[str, Any], token: str) -> str | LaunchRefusal:
        if token in self.launched:
            return self.launched[token]
        subnet = parameters["SubnetId"]
        if subnet in self.full:
            return LaunchRefusal("InsufficientInstanceCapacity", "no room")
        dies = self._changing(f"launch in {subnet}")
        instance_id = f"i-{len(self.launched) + 1}"
        self.launched[token] = instance_id
        self.launches.append(parameters)
        tags = {each["Key"]: each["Value"] for each in parameters["TagSpecifications"][0]["Tags"]}
        self.instances_by_id[instance_id] = instance(instance_id, tags=tags)
        if dies:
            raise FunctionDiedError
        return instance_id

    def instances_of_bake(self, bake_id: str) -> list[Instance]:
        return [each for each in self.instances_by_id.values() if each.tags.get(BAKE_ID) == bake_id]

    def terminate(self, instance_ids: Collection[str]) -> None:
        for each in instance_ids:
            dies = self._changing(f"terminate {each}")
            self.instances_by_id[each] = self.instances_by_id[each]._replace(state="shutting-down")
            if dies:
                raise FunctionDiedError

    def set_default_version(self, template_id: str, number: str) -> None:
        dies = self._changing(f"default {number}")
        for each in self.made_versions.values():
            self.made_versions[each.number] = each._replace(is_default=each.number == number)
        if dies:
            raise FunctionDiedError


def instance(instance_id: str, **changes: Any) -> Instance:
    """A running instance of a bake."""
    address = {AddressKind.PRIVATE: "10.0.0.9", AddressKind.PRIVATE_DNS: "ip-10-0-0-9.ec2.internal"}
    facts = {"id": instance_id, "vpc": "vpc-1", "private_ip": "10.0.0.9"}
    made = Instance(instance_id, "running", NOW, dict.fromkeys(AddressKind, "") | address, facts, {})
    return made._replace(**changes)


def state(**changes: Any) -> BakeState:
    """A bake of the group web, with its image."""
    fields: dict[str, Any] = {
        "group": "web",
        "request": {"group": "web"},
        "execution_started": NOW,
        "bake_id": "0123456789ab",
        "template_id": TEMPLATE,
        "from_version": "1",
        "until": NOW + 3600,
        "builder": "i-builder",
        "project_revision": "abc123",
        "job": 7,
    }
    return BakeState(**(fields | changes))


def on_version(number: str, **tags: str) -> GroupDetails:
    """The group web on a version of its launch template: a number or an alias."""
    template = {"LaunchTemplateId": TEMPLATE, "LaunchTemplateName": "web", "Version": number}
    group = Group("web", tags, {})
    return GroupDetails(group, 0, 4, 2, {"LaunchTemplate": template}, (), (), subnets=("subnet-1", "subnet-2"))
