"""What becomes of the hosts of instances that a bake launched, which are of no Auto Scaling group."""

from __future__ import annotations

import pytest

from rollcall.domain.messages import RunOptions
from rollcall.hosts.variables import kept_until
from rollcall.reconcile.steps import Plan

from .test_plan import NOW, OTHER, Scene

UNTIL = NOW + 60.0


@pytest.fixture
def scene() -> Scene:
    """The group "web" in inventory prod, and nothing in it yet."""
    return Scene().group("web")


def host_of_bake(scene: Scene, until: float, role: str = "builder") -> None:
    scene.host("i-a", inventory=OTHER, groups=(), role=role, until=until, bake="0123456789ab")


@pytest.mark.parametrize("role", ["builder", "smoke"])
def test_the_host_of_a_bakes_instance_stays_until_its_time_is_over(scene: Scene, role: str) -> None:
    host_of_bake(scene, UNTIL, role)
    assert scene.instance("i-a", group=None).plan() == Plan()


def test_after_that_it_goes_and_it_is_said_why(scene: Scene) -> None:
    host_of_bake(scene, NOW - 1)
    [removal] = scene.instance("i-a", group=None).plan().removals
    assert removal.reason.startswith("a bake launched its instance, whose time was over at ")


def test_the_host_of_one_that_is_gone_goes_at_once(scene: Scene) -> None:
    host_of_bake(scene, UNTIL)
    [removal] = scene.instance("i-a", group=None, ec2="terminated").plan().removals
    assert removal.reason == "EC2 says that it is terminated"


def test_one_that_ec2_does_not_show_yet_stays(scene: Scene) -> None:
    scene.host("i-a", inventory=OTHER, groups=(), age=10.0, role="builder", until=UNTIL, bake="0123456789ab")
    assert scene.plan() == Plan()


def test_the_host_of_an_instance_that_serves_is_a_groups_whatever_its_marker_says(scene: Scene) -> None:
    """Variables can be edited: no one may have it removed by a time that is over."""
    scene.instance("i-a").host("i-a", role="builder", until=NOW - 1, bake="0123456789ab")
    assert not scene.plan().removals


def test_forgetting_the_group_that_is_baked_for_leaves_its_builder_alone(scene: Scene) -> None:
    host_of_bake(scene, UNTIL)
    assert scene.instance("i-a", group=None).plan(RunOptions(forget=frozenset({"web"}))) == Plan()


def test_a_host_of_a_group_has_no_such_time() -> None:
    assert kept_until({"rollcall": {"group": "web", "until": UNTIL}}) is None
    assert kept_until({"rollcall": {"role": "builder", "until": "soon"}}) is None
