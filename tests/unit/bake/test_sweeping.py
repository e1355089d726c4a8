"""Instances that bakes left though their time was over: what is terminated, and what is published of whom."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from rollcall.bake.hosts import BakeHosts
from rollcall.bake.moments import LATE_AFTER, moment_text
from rollcall.bake.news import BakeEvent
from rollcall.bake.sweeping import Sweeping, Swept
from rollcall.domain.bake_tags import BAKE_EXECUTION, BAKE_GROUP, BAKE_ID, BAKE_ROLE, BAKE_UNTIL
from rollcall.domain.errors import AwsDenied, BadSettings, RollcallError, TowerUnavailable
from unit.bake.baked import NOW, FakeBakeAws
from unit.world import World

if TYPE_CHECKING:
    from rollcall.domain.instances import Instance

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:rollcall-bake"
OVER = NOW - LATE_AFTER


class FakeEc2(FakeBakeAws):
    """Instances of bakes. denied: those that it does not let terminate."""

    def __init__(self, *instances: Instance) -> None:
        super().__init__()
        self.there = {each.instance_id: each for each in instances}
        self.denied: set[str] = set()

    def instances_of_bakes(self) -> list[Instance]:
        return list(self.there.values())

    def terminate(self, instance_ids: Collection[str]) -> None:
        if refused := self.denied & set(instance_ids):
            raise AwsDenied(f"you may not terminate {', '.join(refused)}")
        for each in instance_ids:
            self.there[each] = self.there[each]._replace(state="shutting-down")


class FakeHosts(BakeHosts):
    """Hosts in Tower. error: why it does not remove them."""

    def __init__(self) -> None:
        self.removed: list[str] = []
        self.error: RollcallError | None = None

    def remove_in_words(self, instance_ids: Collection[str]) -> list[str]:
        if self.error:
            raise self.error
        self.removed += instance_ids
        return [f"host {each} was removed" for each in instance_ids]


def left(instance_id: str, bake: str = "b1", role: str = "builder", until: str = moment_text(OVER)) -> Instance:
    tags = {BAKE_GROUP: "web", BAKE_ID: bake, BAKE_ROLE: role, BAKE_UNTIL: until}
    return World().instance(instance_id, tags={**tags, BAKE_EXECUTION: f"web-1-{bake}"})


def sweep(aws: FakeEc2, hosts: FakeHosts | None = None) -> Swept:
    return Sweeping(aws, hosts or FakeHosts(), MACHINE).sweep(NOW)


def test_each_bake_is_published_once_with_all_that_it_left_and_by_no_later_sweep() -> None:
    aws = FakeEc2(left("i-a"), left("i-b", role="smoke"), left("i-c", "b2"))
    hosts = FakeHosts()
    swept = sweep(aws, hosts)
    assert [(each.kind, each.state.group, each.state.bake_id) for each in swept.news] == [
        (BakeEvent.FAILED, "web", "b1"),
        (BakeEvent.FAILED, "web", "b2"),
    ]
    first, second = (each.state for each in swept.news)
    assert (first.builder, first.smoke_instance, first.name) == ("i-a", "i-b", "web-1-b1")
    assert first.execution == "arn:aws:states:us-east-1:123456789012:execution:rollcall-bake:web-1-b1"
    words = f"still there, and the time of the bake was over at {moment_text(OVER)}"
    assert first.reason == f"builder i-a, smoke i-b of bake b1 were {words}: they were terminated"
    assert second.reason == f"builder i-c of bake b2 was {words}: it was terminated"
    assert (hosts.removed, swept.error) == (["i-a", "i-b", "i-c"], None)
    assert sweep(aws, hosts) == Swept()


def test_of_a_bake_that_left_them_it_is_not_said_how_it_ended() -> None:
    """It may have gone well, or been cancelled by an operator: that it left them is a failure all the same."""
    [news] = sweep(FakeEc2(left("i-a"))).news
    assert news.state.result is None


def test_what_has_time_left_or_no_time_at_all_stays() -> None:
    aws = FakeEc2(left("i-a", until=moment_text(OVER + 1)), left("i-b", until="soon"))
    assert sweep(aws) == Swept()
    assert all(each.living for each in aws.there.values())


def test_what_cannot_be_terminated_is_an_error_and_keeps_no_other_bake_from_being_published() -> None:
    aws = FakeEc2(left("i-a"), left("i-b", "b2"))
    aws.denied = {"i-a"}
    swept = sweep(aws)
    assert [each.state.bake_id for each in swept.news] == ["b2"]
    assert "may not terminate i-a" in str(swept.error)
    aws.denied = set()
    assert [each.state.bake_id for each in sweep(aws).news] == ["b1"]


def test_one_that_cannot_be_terminated_keeps_no_other_of_its_bake_from_being_published_without_its_host() -> None:
    aws, hosts = FakeEc2(left("i-a"), left("i-b", role="smoke")), FakeHosts()
    aws.denied = {"i-a"}
    swept = sweep(aws, hosts)
    [news] = swept.news
    assert (news.state.builder, news.state.smoke_instance) == ("", "i-b")
    assert (hosts.removed, isinstance(swept.error, AwsDenied)) == (["i-b"], True)
    aws.denied = set()
    assert [each.state.builder for each in sweep(aws, hosts).news] == ["i-a"]
    assert hosts.removed == ["i-b", "i-a"]


def test_while_tower_does_not_remove_hosts_they_are_left_to_reconcile_and_the_bake_is_published() -> None:
    for error in (TowerUnavailable("away"), BadSettings("no inventory")):
        hosts = FakeHosts()
        hosts.error = error
        swept = sweep(FakeEc2(left("i-a")), hosts)
        assert len(swept.news) == 1
        assert swept.hosts == (f"hosts of i-a are left to reconcile: {error}",)
