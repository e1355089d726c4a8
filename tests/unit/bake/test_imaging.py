"""The step that makes the image: once whatever dies in between, and with AWS's words where it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rollcall.bake.imaging import VISIBLE_AFTER, Imaging, image_name, image_tags
from rollcall.bake.state import BakeResult, Phase
from rollcall.domain.bake_tags import BAKE_ID
from unit.bake.baked import NOW, FakeBakeAws, FunctionDiedError, image, state

if TYPE_CHECKING:
    from rollcall.bake.news import BakeAnswer

NAME = "rollcall-web-20270115T080000-0123456789ab"


def finish(aws: FakeBakeAws, image_id: str = "ami-1", status: str = "available", reason: str = "") -> None:
    aws.known[image_id] = aws.known[image_id]._replace(state=status, reason=reason)


def test_the_image_is_made_waited_for_and_tagged_with_its_snapshots() -> None:
    aws = FakeBakeAws()
    step = Imaging(aws).step
    made = step(state(), NOW)
    assert (made.next, made.state.phase) == ("image", Phase.IMAGING)
    waiting = step(made.state, NOW + 60)
    assert (waiting.next, waiting.wait) == ("image", 15.0)
    finish(aws)
    done = step(waiting.state, NOW + 75)
    assert (done.next, done.state.image_id, done.state.snapshots) == ("terminate", "ami-1", ("snap-1",))
    later = {key: value for key, value in image_tags(state()).items() if key.startswith("rollcall:")}
    assert aws.changes == [f"create {NAME}", f"tag ami-1 snap-1 {later}"], "no other tag may be set later"


def test_the_builder_is_stopped_first_so_that_it_does_not_boot_again_once_it_is_clean() -> None:
    aws = FakeBakeAws()
    aws.builder_state = "running"
    step = Imaging(aws).step
    stopping = step(state(), NOW)
    assert (stopping.next, stopping.state.image_id) == ("image", "")
    assert step(stopping.state, NOW + 15).next == "image"
    assert aws.changes == ["stop i-builder"]
    aws.builder_state = "stopped"
    made = step(stopping.state, NOW + 900)
    assert (aws.changes, made.state.image_since) == (["stop i-builder", f"create {NAME}"], NOW + 900)


def test_a_builder_that_does_not_stop_ends_with_the_bakes_time() -> None:
    aws = FakeBakeAws()
    aws.builder_state = "stopping"
    assert Imaging(aws).step(state(), NOW + 3599).next == "image"
    assert "has not stopped for its image" in over(Imaging(aws).step(state(), NOW + 3600))


def test_it_is_named_and_tagged_after_the_bake() -> None:
    assert image_name(state()) == NAME
    assert image_name(state(group="web * (blue)" + "x" * 99)) == (
        "rollcall-web----blue-" + "x" * 48 + "-20270115T080000-0123456789ab"
    )
    tags = image_tags(state(job=None))
    assert tags["rollcall:made-by"] == "rollcall bake"
    assert tags["rollcall:project-revision"] == "abc123"
    assert "rollcall:job" not in tags
    assert "rollcall:base-image" not in tags


def test_data_volumes_are_not_in_it() -> None:
    aws = FakeBakeAws()
    aws.other_devices = ("/dev/sdb", "/dev/sdc")
    Imaging(aws).step(state(), NOW)
    assert aws.left_out == ("/dev/sdb", "/dev/sdc")


@pytest.mark.parametrize("after", [False, True])
def test_a_function_that_dies_makes_no_second_image(after: bool) -> None:
    aws = FakeBakeAws()
    aws.dies_at, aws.dies_after = 1, after
    with pytest.raises(FunctionDiedError):
        Imaging(aws).step(state(), NOW)
    again = Imaging(aws).step(state(), NOW)
    assert again.state.image_id == "ami-1"
    assert aws.changes == [f"create {NAME}"]


def test_one_whose_id_was_lost_and_that_aws_does_not_show_yet_is_waited_for() -> None:
    aws = FakeBakeAws()
    Imaging(aws).step(state(), NOW)
    aws.hidden = {"ami-1"}
    hidden = Imaging(aws).step(state(), NOW)
    assert (hidden.next, hidden.state.image_id) == ("image", "")
    aws.hidden = set()
    assert Imaging(aws).step(hidden.state, NOW + 15).state.image_id == "ami-1"
    assert aws.changes == [f"create {NAME}"]


def over(answer: BakeAnswer) -> str:
    assert (answer.next, answer.state.result) == ("put_back", BakeResult.FAILED)
    return answer.state.reason


def test_one_that_never_shows_fails() -> None:
    aws = FakeBakeAws()
    made = Imaging(aws).step(state(), NOW)
    aws.hidden = {"ami-1"}
    waiting = Imaging(aws).step(made.state, NOW + VISIBLE_AFTER)
    assert waiting.next == "image"
    reason = over(Imaging(aws).step(waiting.state, NOW + VISIBLE_AFTER + 1))
    assert reason == "AWS does not show the image ami-1 that was made 300 s ago"


def test_one_whose_id_was_lost_and_that_never_shows_fails() -> None:
    aws = FakeBakeAws()
    Imaging(aws).step(state(), NOW)
    aws.hidden = {"ami-1"}
    lost = Imaging(aws).step(state(), NOW)
    waiting = Imaging(aws).step(lost.state, NOW + VISIBLE_AFTER)
    assert f"the image of the name {NAME}" in over(Imaging(aws).step(waiting.state, NOW + VISIBLE_AFTER + 1))


def test_a_failure_has_awss_reason() -> None:
    aws = FakeBakeAws()
    made = Imaging(aws).step(state(), NOW)
    finish(aws, status="failed", reason="The snapshot could not be created.")
    reason = over(Imaging(aws).step(made.state, NOW + 60))
    assert reason == "AWS could not make image ami-1: The snapshot could not be created."


def test_what_aws_refuses_ends_the_bake_in_its_words() -> None:
    aws = FakeBakeAws()
    aws.refuses = ("create",)
    assert over(Imaging(aws).step(state(), NOW)) == (
        f"no image can be made of builder i-builder: AWS refused create {NAME}"
    )


def test_one_that_takes_longer_than_the_bake_may_fails() -> None:
    made = Imaging(aws := FakeBakeAws()).step(state(), NOW)
    assert Imaging(aws).step(made.state, NOW + 3599).next == "image"
    assert "is still pending" in over(Imaging(aws).step(made.state, NOW + 3600))


def test_an_image_of_that_name_that_is_not_the_bakes_is_not_adopted() -> None:
    aws = FakeBakeAws(image(1, name=NAME, tags={BAKE_ID: "another"}))
    assert over(Imaging(aws).step(state(), NOW)) == f"there is an image ami-1 of the name {NAME}, and another made it"
