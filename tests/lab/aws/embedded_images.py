"""The embedded AWS's images and instances outside of groups, from outside: how a test bends them, and makes many."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

from lab.aws.control import Pace

type Control = Callable[..., Any]

SEEDED_AT_ONCE = 500
SEEDED_FROM = "i-0abcdef1234567890"
BAKE_ID = "rollcall:bake-id"


class EmbeddedImages:
    """What a test may do with images. control: makes one of the server's own calls."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def take(self, **seconds: float) -> None:
        """Let images and instances take these times from now on, and the defaults of `Pace` where none is given.

        Raises TypeError for what takes no time.
        """
        self._control("PUT", "image-pace", asdict(Pace(**seconds)))

    def fail(self, words: str | None) -> None:
        """Let images that are pending fail, with these words as their state's reason; None ends it."""
        self._control("PUT", "failing-images", words)

    def fail_checks(self, status: str = "impaired", **tags: str) -> None:
        """Let status checks fail ("impaired"), or never have a result ("initializing"): of instances with these tags.

        Of all instances outside of groups without any. tags: by their keys after "rollcall:", _ for -.
        """
        given = {f"rollcall:{key.replace('_', '-')}": value for key, value in tags.items()}
        self._control("PUT", "failing-checks", {"tags": given, "status": status})

    def clear(self) -> None:
        """Nothing fails any more, and everything takes its default time."""
        self._control("DELETE", "image-faults")

    def reboots(self, instance_id: str) -> int:
        """How often an instance was rebooted so that an image could be made of it."""
        found: dict[str, int] = self._control("GET", "reboots")
        return found.get(instance_id, 0)

    def launched(self) -> set[str]:
        """The instances that were ever launched outside of groups."""
        return set(self._control("GET", "launched-outside"))

    def shut_down(self, instance_id: str) -> None:
        """Let an instance outside of groups shut itself down. Raises ValueError where there is none."""
        self._control("PUT", "shut-down-instances", instance_id)

    def age(self, seconds: float, *image_ids: str) -> None:
        """Let these images have been made so many seconds earlier."""
        self._control("PUT", "aged-images", {"image_ids": image_ids, "seconds": seconds})

    def seed(
        self,
        count: int,
        *,
        name: str = "seeded",
        tags: Callable[[int], Mapping[str, str]] = lambda _: {},
        step: float = 60.0,
        architecture: str = "arm64",
    ) -> list[str]:
        """Make many images at once, each with a snapshot, the oldest first, and return their ids.

        name: what theirs begin with; they end with their tag rollcall:bake-id, if they have one. tags: of each, by its
        place; its snapshot has the same. step: seconds from one to the next, the last of which is made now.
        """
        now = datetime.now(UTC)
        ids = [f"ami-{token_hex(9)[:17]}" for _ in range(count)]
        made = [
            _seeded(
                image_id,
                "-".join(filter(None, (name, f"{place:06}", tags(place).get(BAKE_ID)))),
                now - timedelta(seconds=step * (count - place - 1)),
                architecture,
            )
            for place, image_id in enumerate(ids)
        ]
        for first in range(0, count, SEEDED_AT_ONCE):
            some = [
                {**each, "tags": dict(tags(place))}
                for place, each in enumerate(made[first : first + SEEDED_AT_ONCE], first)
            ]
            self._control("PUT", "seeded-images", some)
        return ids

    def seed_versions(self, template_id: str, versions: Iterable[tuple[str, str]]) -> None:
        """Give a launch template many versions at once. versions: the image and the description of each.

        What else a version has it has of the newest one.
        """
        given = [{"ImageId": image, "VersionDescription": words} for image, words in versions]
        self._control("PUT", "seeded-versions", {"template": template_id, "versions": given})


def _seeded(image_id: str, name: str, made: datetime, architecture: str) -> dict[str, Any]:
    written = made.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    snapshot = f"snap-{image_id.removeprefix('ami-')}"
    ebs = {
        "SnapshotId": snapshot,
        "VolumeSize": 8,
        "VolumeType": "gp3",
        "DeleteOnTermination": True,
        "Encrypted": False,
    }
    return {
        "record": {
            "ImageId": image_id,
            "Name": name,
            "State": "available",
            "Architecture": architecture,
            "RootDeviceName": "/dev/xvda",
            "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": ebs}],
            "CreationDate": written,
            "SourceInstanceId": SEEDED_FROM,
        },
        "snapshots": [
            {
                "SnapshotId": snapshot,
                "VolumeId": "vol-ffffffff",
                "VolumeSize": 8,
                "Description": f"Created for {image_id}",
                "State": "completed",
                "StartTime": written,
                "Progress": "100%",
                "Encrypted": False,
            }
        ],
    }
