"""What a group can go back to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rollcall.aws.images import DISABLED
from rollcall.aws.launch_templates import TemplateVersion
from rollcall.bake.kept import chosen_target, default_target, kept_versions
from unit.bake.baked import image, images, version, versions

if TYPE_CHECKING:
    from rollcall.aws.images import Image


def by_hand(number: int) -> TemplateVersion:
    return version(number, "ami-hand", description="by hand", created=5.0)


def test_the_last_ones_are_listed_with_what_their_tags_say_and_the_last_that_no_bake_made() -> None:
    tags = {
        "rollcall:base-image": "ami-base",
        "rollcall:project-revision": "abc",
        "rollcall:job": "7",
    }
    own = [image(5, roll_out="failed"), image(4, tags=tags)]
    found = kept_versions(own, [*versions(5, 4), by_hand(3), by_hand(2)], present="4")
    assert [each.number for each in found] == ["5", "4", "3"]
    assert (found[1].base_image, found[1].project_revision, found[1].job) == ("ami-base", "abc", "7")
    assert (found[1].smoke, found[1].roll_out, found[1].bake_id) == ("passed", "succeeded", f"{4:012x}")
    assert [each.is_present for each in found] == [False, True, False]
    assert (found[2].is_baked, found[2].image, found[2].created) == (False, "ami-hand", 5.0)


def test_the_default_is_the_last_that_succeeded_before_the_present_one() -> None:
    own = [image(6), image(5, roll_out="rolled back"), image(4, roll_out="none"), image(3), image(2)]
    found = kept_versions(own, versions(6, 2), present="6")
    assert (target := default_target(found, "6"))
    assert target.number == "3"
    assert (older := default_target(found, "3"))
    assert older.number == "2"


@pytest.mark.parametrize("state", [DISABLED, "gone"])
def test_one_whose_image_cannot_be_launched_is_no_default(state: str) -> None:
    own = [from_version(3, "2"), *([image(2, state=state)] if state == DISABLED else []), from_version(4, "1")]
    found = kept_versions(own, [*versions(3, 2), by_hand(1)], present="3")
    assert (target := default_target(found, "3"))
    assert target.number == "1"
    assert [each.why_not for each in found if each.number == "2"] == (
        ["its image ami-2 is disabled"] if state == DISABLED else []
    )


def from_version(number: int, came_from: str, **changes: Any) -> Image:
    return image(number, tags={"rollcall:from-version": came_from}, **changes)


def test_without_a_bake_that_succeeded_it_is_the_version_that_the_first_found_the_group_on() -> None:
    found = kept_versions([from_version(5, "4")], [*versions(5, 5), by_hand(4)], present="5")
    assert (target := default_target(found, "5"))
    assert target.number == "4"
    assert default_target(kept_versions(images(5, 5), versions(5, 5), "5"), "5") is None


def test_a_version_that_nothing_shows_to_have_run_is_never_the_default() -> None:
    """3 was made by hand, and the cycle to it cancelled; 4 was baked from 2."""
    listed = [*versions(4, 4), by_hand(3), by_hand(2), by_hand(1)]
    found = kept_versions([from_version(4, "2")], listed, present="4")
    assert [(each.number, each.has_run) for each in found] == [("4", True), ("3", False), ("2", True)]
    assert (target := default_target(found, "4"))
    assert target.number == "2"
    assert default_target(kept_versions(images(4, 4), listed, present="4"), "4") is None


def test_the_default_is_what_the_present_one_was_made_from() -> None:
    """The group went back from 3 to 2 before 4 was baked."""
    found = kept_versions([from_version(4, "2"), image(3), image(2)], versions(4, 2), present="4")
    assert (target := default_target(found, "4"))
    assert target.number == "2"


@pytest.mark.parametrize("spoiled", [{"roll_out": "rolled back"}, {"smoke": "failed"}, {"state": DISABLED}])
def test_what_the_present_one_was_made_from_is_passed_over_if_it_failed_or_is_gone(spoiled: Any) -> None:
    found = kept_versions([from_version(4, "3"), image(3, **spoiled), image(2)], versions(4, 2), present="4")
    assert (target := default_target(found, "4"))
    assert target.number == "2"


def test_the_present_version_is_a_target_while_instances_run_another() -> None:
    whole, partly = (kept_versions(images(5), versions(5), present="5", others=many)[0] for many in (0, 3))
    assert (whole.why_not, partly.why_not) == ("the group is on it already", "")


def test_an_operator_names_a_version_or_an_image() -> None:
    found = kept_versions(images(5), versions(5), present="5")
    assert (one := chosen_target(found, "2"))
    assert (other := chosen_target(found, "ami-2"))
    assert one == other
    assert one.why_not == ""
    assert chosen_target(found, "9") is None
    assert (present := chosen_target(found, "5"))
    assert present.why_not == "the group is on it already"


def test_versions_of_another_group_with_the_same_template_are_not_listed() -> None:
    found = kept_versions(images(3, 3), [version(4, "ami-of-api"), *versions(3, 3)], present="3")
    assert [each.number for each in found] == ["3"]
