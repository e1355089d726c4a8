"""Images, versions and instances outside of groups as a test bends them, and what becomes of them while time passes."""

import asyncio
from dataclasses import replace
from typing import Any

from lab.aws import ministack_images as kept
from lab.aws.control import Pace
from lab.aws.images import Images
from lab.aws.ministack import Record
from lab.aws.outside import Outside
from lab.aws.versions import Versions

TICK = 0.05
"""Seconds between two looks at images and instances."""


class ImageControl:
    """The three together. Everything is of the lab's own account and Region."""

    def __init__(self, images: Images, versions: Versions, outside: Outside) -> None:
        self.images = images
        self.versions = versions
        self.outside = outside

    async def run(self) -> None:
        """Let time pass until cancelled."""
        while True:
            now = self.images.clock()
            self.images.tick(now)
            self.outside.tick(now)
            await asyncio.sleep(TICK)

    def set_pace(self, given: dict[str, float]) -> None:
        """Let images and instances take these times, and what is not given its default. Raises TypeError."""
        self.images.pace = replace(Pace(), **given)

    def fail(self, words: str | None) -> None:
        """Let images that are pending fail, as their state reasons say; None ends it."""
        self.images.failing = words

    def fail_checks(self, tags: dict[str, str], status: str) -> None:
        """Let the status checks of instances with these tags fail ("impaired"), or have no result ("initializing")."""
        failures = self.outside.failures
        (failures.impaired if status == "impaired" else failures.slow).append(tags)

    def clear(self) -> None:
        """Nothing fails any more, and everything takes its default time."""
        self.set_pace({})
        self.fail(None)
        self.outside.failures.clear()

    def faults(self) -> list[str]:
        """Return what a test bends: "pace", "images", "status checks"."""
        failures = self.outside.failures
        bent = {
            "pace": self.images.pace != Pace(),
            "images": self.images.failing is not None,
            "status checks": bool(failures.impaired or failures.slow),
        }
        return [name for name, is_bent in bent.items() if is_bent]

    def seed_images(self, given: list[Record]) -> None:
        """Let there be these images: `record` as DescribeImages shows it, `snapshots`, and `tags` of all of them."""
        for each in given:
            self.images.add(each["record"], each["snapshots"], each["tags"])

    def seed_versions(self, template: str, versions: list[Any]) -> None:
        """Let a launch template, by its id, have these versions more: ImageId and VersionDescription of each."""
        known = kept.template_of({"LaunchTemplateId": template})
        if known:
            self.versions.seed(known, versions)
