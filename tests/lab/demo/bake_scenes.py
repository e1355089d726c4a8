"""The scenes of `make demo-bake`: an image is baked and rolled out under load, five stay, a bad one goes nowhere."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING

from lab.demo.bake_stage import KEPT, SIZE, BakeStage
from lab.invariants import disagreements

if TYPE_CHECKING:
    from lab.cloud import Json
    from lab.demo.bake_stage import ShownBake

WIDTH = 78  # characters of a line: a terminal of 80 columns shows it whole
BATCH = 2  # instances, a quarter of shop
FIRST = "1"  # shop's version before its first bake


def bake_under_load(stage: BakeStage) -> None:
    """shop: a playbook makes an image of a base image; the image is tried, and rolled out with no request lost."""
    stage.say(f"1  Bake under load: shop, {SIZE} instances, on version {FIRST}, which no bake made", "bold")
    stage.say("   A client asks through a load balancer all the time.")
    old, load = stage.serving(), stage.load()
    stage.say(f"   As by: rollcall bake {stage.shop.name}")
    bake = stage.bake()
    state = bake.state
    stage.expect(state["result"] == "succeeded", f"the bake {state['result']}: {state['reason']}")
    _expect_rolled_out(stage, bake, old)
    stage.expect_no_loss()
    stage.say(
        f"   All {SIZE} are of version {state['version']}, {BATCH} at a time. {load.asked:,} requests, none lost.",
        "green",
    )
    stage.expect(stage.launched() == {state["builder"], state["smoke_instance"]}, "more was launched than is known")
    stage.expect_nothing_left()
    stage.say(f"   Builder {state['builder']} is terminated, its host is out of Tower.", "green")
    stage.say("   So is the instance of the smoke test.", "green")


def _expect_rolled_out(stage: BakeStage, bake: ShownBake, old: set[str]) -> None:
    """The image was tried, and every instance is a new one of its version, two at a time."""
    state, new = bake.state, stage.shop.in_service()
    tags = stage.tags_of(state["image_id"])
    stage.expect(tags.get("rollcall:smoke") == "passed", f"{state['image_id']} was rolled out without a smoke test")
    stage.expect(
        tags.get("rollcall:roll-out") == "succeeded", f"{state['image_id']} does not say how its roll-out went"
    )
    stage.expect(not new & old and len(new) == SIZE, "not every instance of shop is a new one")
    stage.expect(
        stage.serving_versions() == [state["version"]] * SIZE, f"not all of shop is of version {state['version']}"
    )
    batch = bake.cycle.state.get("batch") if bake.cycle else None
    stage.expect(batch == BATCH, f"the roll-out took batches of {batch}, and was to take those of {BATCH}")


def keep_the_last_five(stage: BakeStage) -> None:
    """shop: of six images the oldest is disabled, its version deleted; the others can be gone back to."""
    stage.say(f"2  What is kept: the last {KEPT}, and the last version that no bake made", "bold")
    oldest = stage.earlier[0]
    stage.expect(
        stage.image_ids("disabled") == [oldest], f"the oldest image, {oldest}, is not the one that is disabled"
    )
    stage.expect(len(stage.image_ids("available")) == KEPT, f"not {KEPT} images are kept")
    kept = stage.baked_versions()
    stage.expect(len(kept) == KEPT and oldest not in kept.values(), f"the versions of bakes are {', '.join(kept)}")
    stage.say(f"   As by: rollcall rollback {stage.shop.name} --list")
    listed = stage.kept()
    for each in listed:
        stage.say(f"   {_in_words(each)}")
    numbers = [each["number"] for each in listed]
    stage.expect(
        numbers == [*sorted(kept, key=int, reverse=True), FIRST], f"it lists the versions {', '.join(numbers)}"
    )
    stage.say(f"   The oldest, {oldest}, is disabled; it goes a day later.", "green")


def _in_words(kept: Json) -> str:
    """A version of the list, in a line of a narrow terminal."""
    made = f"project {kept['project_revision']}, {kept['roll_out']}" if kept["is_baked"] else "not made by a bake"
    return f"version {kept['number']}  {kept['image']}  {made}" + (": now" if kept["is_present"] else "")


def fail_a_smoke_test(stage: BakeStage) -> None:
    """shop: an image whose instance goes down is tagged so and rolled out nowhere; nothing of its bake is left."""
    stage.say("3  A bad image: the instance of its smoke test goes down", "bold")
    stage.clear()
    load, serving, kept = stage.load(), stage.shop.in_service(), stage.baked_versions()
    faults = stage.cloud.aws.images
    faults.fail_checks("initializing", bake_role="smoke", bake_group=stage.shop.name)
    bake = stage.bake(on_smoke=faults.shut_down)
    state = bake.state
    stage.expect(state["result"] == "failed", f"the bake {state['result']}: {state['reason']}")
    stage.expect(
        stage.tags_of(state["image_id"]).get("rollcall:smoke") == "failed",
        f"{state['image_id']} is not tagged as failed",
    )
    stage.expect(stage.baked_versions() == kept, "there is a version with the bad image")
    stage.expect(stage.shop.in_service() == serving and not bake.cycle, "the bad image was rolled out")
    stage.expect_nothing_left()
    stage.expect_no_loss()
    _say_how_it_ended(stage)
    _expect_incident(stage)
    stage.say("   It is tagged so, in no version, rolled out nowhere. No builder is left.", "green")
    stage.say(f"   shop serves as before: {load.asked:,} requests, none lost.", "green")
    _expect_reconciled(stage)


def _say_how_it_ended(stage: BakeStage) -> None:
    """What an operator reads of the bake that failed, and its exit code."""
    code, lines = stage.last_answer()
    stage.expect(code == 1, f"rollcall bake ended with {code}")
    stage.say(f"   rollcall bake {stage.shop.name} ends with {code}:")
    for line in lines:
        _quote(stage, line)


def _expect_incident(stage: BakeStage) -> None:
    """Operators are notified once of the bake that failed, and of nothing before."""
    incidents = stage.incidents()
    stage.expect(len(incidents) == 1, f"{len(incidents)} incidents are open: {'; '.join(incidents)}")
    stage.say("   PagerDuty has an incident open:")
    _quote(stage, incidents[0])


def _quote(stage: BakeStage, words: str) -> None:
    """What an operator reads, in lines of a narrow terminal."""
    stage.say(textwrap.fill(words, WIDTH, initial_indent="     ", subsequent_indent="       "), "green")


def _expect_reconciled(stage: BakeStage) -> None:
    """Reconcile finds nothing that bakes have left, and Tower holds what serves, nothing else."""
    steps = [step for _ in range(2) for step in stage.cloud.reconcile()["steps"]]
    stage.expect(not steps, f"reconcile found something to do: {steps}")
    wrong = disagreements(stage.cloud, stage.others)
    stage.expect(not wrong, f"Tower and EC2 do not agree: {'; '.join(wrong)}")
    stage.say("   Reconcile finds nothing to do: Tower holds what serves, nothing else.", "green")


SCENES: tuple[Callable[[BakeStage], None], ...] = (bake_under_load, keep_the_last_five, fail_a_smoke_test)
