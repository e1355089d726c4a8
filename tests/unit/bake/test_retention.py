"""What stays of a group's images and versions, and why: decided on plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rollcall.aws.image_uses import Uses
from rollcall.aws.images import DISABLED, PENDING
from rollcall.bake.moments import moment_text
from rollcall.bake.retention import RetentionInput, RetentionPlan, candidates, plan_retention
from rollcall.domain.bake_tags import DISABLED_AT, FROM_VERSION
from unit.bake.baked import DAY, NOW, image, images, version, versions

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTHING = Uses({}, {})
OTHERS_VERSION = "not one of a bake"


def plan(**changes: Any) -> RetentionPlan:
    """The plan for six images with a version each, of which five are kept."""
    fields: dict[str, Any] = {
        "group": "web",
        "images": images(6),
        "versions": versions(6, default=6),
        "uses": NOTHING,
        "keep": 5,
        "now": NOW,
        "share": 1.0,
    }
    return plan_retention(RetentionInput(**(fields | changes)))


def gone(plan: RetentionPlan) -> tuple[list[str], list[str], list[str]]:
    """Versions that are deleted, images that are disabled, images that are deregistered."""
    return (
        [each.number for each in plan.versions],
        [each.id for each in plan.disable],
        [each.id for each in plan.deregister],
    )


def disabled(number: int, since: float) -> Any:
    return image(number, state=DISABLED, tags={DISABLED_AT: moment_text(NOW - since)})


def test_the_sixth_image_goes_with_its_version() -> None:
    planned = plan()
    assert gone(planned) == (["1"], ["ami-1"], [])
    assert planned.kept == ()
    assert planned.disable[0].reason == "it is not among the newest 5 of group web"


def test_images_that_were_not_rolled_out_displace_none_that_was() -> None:
    """Five bakes without a roll-out: those to go back to stay, and unrolled ones go when they are old."""
    unrolled = [image(number, roll_out="none") for number in range(12, 6, -1)]
    planned = plan(images=[*unrolled, *images(6)], versions=versions(12, default=6))
    assert gone(planned) == (["7", "1"], ["ami-7", "ami-1"], [])


@pytest.mark.parametrize("roll_out", ["rolled back by hand", "cancelled", "not started"])
def test_a_roll_out_that_did_not_come_to_its_end_says_nothing_against_an_image(roll_out: str) -> None:
    newer = [image(number, roll_out="failed") for number in range(7, 2, -1)]
    planned = plan(images=[*newer, image(2, roll_out=roll_out)], versions=versions(7, default=7))
    assert gone(planned) == ([], [], [])


def test_five_are_kept_without_anything_being_asked() -> None:
    assert candidates(images(5), 5) == []
    assert plan(images=images(5), versions=versions(5, default=5)) == RetentionPlan()


def test_a_disabled_image_is_deregistered_by_a_run_a_day_later() -> None:
    early = plan(images=[*images(6, 2), disabled(1, DAY - 1)], versions=versions(6, 2, default=6))
    late = plan(images=[*images(6, 2), disabled(1, DAY)], versions=versions(6, 2, default=6))
    assert gone(early) == ([], [], [])
    assert [(each.id, each.reason) for each in early.kept] == [("ami-1", "it was disabled less than a day ago")]
    assert gone(late) == ([], [], ["ami-1"])


@pytest.mark.parametrize("tags", [{}, {DISABLED_AT: "yesterday"}])
def test_one_that_does_not_say_since_when_it_is_disabled_is_marked_first(tags: dict[str, str]) -> None:
    planned = plan(images=[*images(6, 2), image(1, state=DISABLED, tags=tags)], versions=versions(6, 2, default=6))
    assert [each.id for each in planned.mark] == ["ami-1"]
    assert gone(planned) == ([], [], [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"protection": "enabled-without-cooldown"},
            "it is protected against deregistration (enabled-without-cooldown)",
        ),
        ({"owner_alias": "aws-backup-vault"}, "AWS Backup or Data Lifecycle Manager manages it"),
        ({"public": True}, "it is public"),
        ({"state": PENDING}, "it is still being made"),
        ({"state": "transient"}, "it is transient"),
    ],
)
def test_what_an_image_is_keeps_it_though_its_version_goes(changes: dict[str, Any], reason: str) -> None:
    planned = plan(images=[*images(6, 2), image(1, **changes)])
    assert gone(planned) == (["1"], [], [])
    assert [(each.id, each.reason) for each in planned.kept] == [("ami-1", reason)]


@pytest.mark.parametrize("state", ["available", DISABLED])
def test_an_image_in_use_stays(state: str) -> None:
    first = image(1) if state == "available" else disabled(1, 2 * DAY)
    planned = plan(images=[*images(6, 2), first], uses=Uses({"ami-1": "the instance i-1"}, {}))
    assert gone(planned) == (["1"], [], [])
    assert [(each.id, each.reason) for each in planned.kept] == [("ami-1", "it is in use: the instance i-1")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"uses": Uses({}, {"1": "the group web"})}, "it is in use: the group web"),
        ({"versions": versions(6, default=1)}, "it is in use: it is the launch template's default version"),
        (
            {"versions": versions(6, default=1), "uses": Uses({}, {"$Default": "the group web"})},
            "it is in use: the group web",
        ),
        ({"versions": [version(9, "ami-1")]}, "it is in use: it is the launch template's latest version"),
        (
            {"versions": [version(9, "ami-1")], "uses": Uses({}, {"$Latest": "the fleet fleet-1"})},
            "it is in use: the fleet fleet-1",
        ),
        ({"uses": Uses({}, {}, "fleets could not be read")}, "it is in use: fleets could not be read"),
    ],
)
def test_a_version_in_use_stays_and_keeps_its_image(changes: dict[str, Any], reason: str) -> None:
    planned = plan(**changes)
    number = "9" if "latest" in reason or "fleet-1" in reason else "1"
    assert gone(planned) == ([], [], [])
    assert [(each.id, each.reason) for each in planned.kept] == [
        (f"version {number}", reason),
        ("ami-1", f"version {number} of the group's launch template names it"),
    ]


def test_a_version_that_no_bake_made_stays_and_keeps_the_image_that_it_names() -> None:
    by_hand = version(9, "ami-1", description=OTHERS_VERSION)
    planned = plan(versions=[*versions(10, 10), by_hand, *versions(6, default=6)])
    assert gone(planned) == (["1"], [], [])
    assert planned.kept[-1].reason == "version 9 of the group's launch template names it"


@pytest.mark.parametrize("words", ["rollcall bake by hand", "rollcall bake 000000000002 ami-1", "rollcall bake ami-1"])
def test_a_version_that_an_operator_describes_like_a_bakes_stays_and_keeps_its_image(words: str) -> None:
    by_hand = version(9, "ami-1", description=words)
    planned = plan(versions=[*versions(10, 10), by_hand, *versions(6, default=6)])
    assert gone(planned) == (["1"], [], [])
    kept = {each.id: each.reason for each in planned.kept}
    assert kept["version 9"] == "its description is not that of the bake that made its image"
    assert kept["ami-1"] == "version 9 of the group's launch template names it"


def test_a_version_that_was_not_rolled_out_goes_like_any_other() -> None:
    only_baked = version(1)._replace(description=f"{version(1).description} not rolled out")
    assert gone(plan(versions=[*versions(6, 2, default=6), only_baked])) == (["1"], ["ami-1"], [])


def test_an_image_that_an_operator_took_back_stays_until_its_tag_is_gone() -> None:
    """Else it would be disabled again, and with the time of the first time deregistered at once."""
    taken_back = image(1, tags={DISABLED_AT: moment_text(NOW - 2 * DAY)})
    planned = plan(images=[*images(6, 2), taken_back])
    assert gone(planned) == (["1"], [], [])
    assert planned.kept[0].reason.startswith("it was disabled and an operator has enabled it again")


def test_the_tag_of_one_that_an_operator_took_back_is_renewed_so_that_a_second_time_begins_a_day_anew() -> None:
    tags = {DISABLED_AT: moment_text(NOW - 2 * DAY)}
    both = [*images(6, 3), image(2, tags=tags), image(1, tags={DISABLED_AT: "enabled again"})]
    assert plan(images=both).taken_back == ("ami-2",)
    again = image(1, state=DISABLED, tags={DISABLED_AT: "enabled again"})
    planned = plan(images=[*images(6, 2), again], versions=versions(6, 2, default=6))
    assert ([each.id for each in planned.mark], planned.deregister) == (["ami-1"], ())


def test_the_version_that_the_group_was_on_before_its_last_roll_out_stays_with_its_image_whatever_is_kept() -> None:
    """Else there were none to go back to in the minute after a roll-out."""
    newest = image(6, tags={FROM_VERSION: "5"})
    planned = plan(images=[newest, *images(5)], keep=1)
    assert gone(planned)[:2] == (["4", "3", "2", "1"], ["ami-4", "ami-3", "ami-2", "ami-1"])
    assert [(each.id, each.reason) for each in planned.kept] == [
        ("version 5", "it is in use: the group was on it before its last roll-out"),
        ("ami-5", "version 5 of the group's launch template names it"),
    ]
    failed = image(7, roll_out="failed", tags={FROM_VERSION: "6"})
    assert "5" not in gone(plan(images=[failed, newest, *images(5)], versions=versions(7, default=7), keep=1))[0]
    ahead = plan(images=[newest, *images(5)], keep=1, before="4")
    assert gone(ahead)[0] == ["5", "3", "2", "1"]


def test_versions_of_another_group_of_the_same_template_stay() -> None:
    others = [version(number, f"ami-of-api-{number}") for number in (9, 8, 7)]
    planned = plan(versions=[*others, *versions(6, default=6)])
    assert gone(planned) == (["1"], ["ami-1"], [])
    assert planned.kept[0].id == "3 versions"


def test_images_that_failed_never_displace_good_ones() -> None:
    """Five bakes in a row fail: all good images are still there to go back to."""
    failed = [image(number, roll_out="rolled back") for number in (9, 8, 7)]
    untested = [image(11, smoke="failed"), image(10, smoke="")]
    planned = plan(images=[*untested, *failed, *images(6)], versions=versions(9, default=6))
    assert gone(planned) == (["1"], ["ami-1"], [])


def test_one_that_failed_goes_when_it_is_not_among_the_newest_of_all() -> None:
    planned = plan(images=[*images(6, 2), image(1, smoke="failed")], versions=versions(6, 2, default=6))
    assert gone(planned) == ([], ["ami-1"], [])
    assert gone(plan(images=[image(6, smoke="failed"), *images(5)])) == ([], [], [])


def test_an_image_that_aws_could_not_make_counts_for_nothing_and_goes_after_a_day() -> None:
    fresh = plan(images=[image(6, state="failed", age=DAY - 1, reason="no room"), *images(5)], versions=())
    old = plan(images=[image(6, state="failed", age=DAY), *images(5)], versions=())
    assert [each.reason for each in fresh.kept] == ["it failed (no room) less than a day ago"]
    assert gone(old) == ([], [], ["ami-6"])


def test_a_disabled_image_among_the_newest_stays_as_it_is() -> None:
    """An operator has raised keep, or disabled one by hand."""
    assert gone(plan(images=[*images(6, 2), disabled(1, 2 * DAY)], keep=6)) == ([], [], [])


def test_a_group_without_launch_template_has_only_images() -> None:
    assert gone(plan(versions=())) == ([], ["ami-1"], [])


def test_too_many_at_once_are_not_removed_unless_it_is_forced() -> None:
    many = {"images": images(20), "versions": versions(20, default=20), "share": 0.25}
    stopped = plan(**many)
    assert gone(stopped) == ([], [], [])
    assert stopped.stopped.startswith("15 of 20 images would go at once, which is more than the removal limit allows")
    assert """rollcall invoke bake --payload '{"upkeep": "retire", "group": "web", "force": true}'""" in stopped.stopped
    assert len(plan(**many, force=True).disable) == 15


def test_versions_alone_may_be_too_many() -> None:
    protected = [image(number, protection="enabled") for number in range(20, 0, -1)]
    stopped = plan(images=protected, versions=versions(20, default=20), share=0.25)
    assert stopped.stopped.startswith("15 of 20 versions would go at once")
    assert gone(stopped) == ([], [], [])


def test_images_that_are_deregistered_count_for_the_limit_like_those_that_are_disabled() -> None:
    old = [disabled(number, 2 * DAY) for number in range(3, 0, -1)]
    stopped = plan(images=[*images(11, 4), *old], versions=versions(11, default=11), share=0.25)
    assert stopped.stopped.startswith("6 of 11 images would go at once")
    assert gone(stopped) == ([], [], [])


def test_five_removals_are_never_too_many() -> None:
    few = plan(images=images(10), versions=versions(10, default=10), share=0.0)
    assert len(few.disable) == 5


class Counted(list[Any]):
    """A list that counts how many of its items are visited one after another."""

    visited = 0

    def __iter__(self) -> Iterator[Any]:
        for each in super().__iter__():
            self.visited += 1
            yield each

    def __contains__(self, item: object) -> bool:
        self.visited += len(self)
        return super().__contains__(item)


def test_a_thousand_images_and_ten_thousand_versions_are_decided_on_in_one_run() -> None:
    """In proportion: each is visited a few times, and none once for each other one."""
    others = [version(number, "ami-other", description=OTHERS_VERSION) for number in range(10_000, 1000, -1)]
    many_images, many_versions = Counted(images(1000)), Counted([*others, *versions(1000, default=1)])
    planned = plan(images=many_images, versions=many_versions, force=True)
    assert (len(planned.versions), len(planned.disable)) == (994, 994)  # beside five the default version and its image
    assert many_images.visited <= 5 * 1000
    assert many_versions.visited <= 5 * 10_000
