"""Tower and EC2 made to agree, whatever was missed."""

from __future__ import annotations

import time
from copy import replace
from itertools import count
from typing import TYPE_CHECKING

import pytest

from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.errors import (
    AwsDenied,
    AwsUnavailable,
    HostLimitReached,
    RollcallError,
    Throttled,
    TowerDenied,
    TowerRejected,
    TowerUnavailable,
)
from rollcall.domain.groups import AddressKind, Hook
from rollcall.domain.inventories import Inventory
from rollcall.domain.jobs import JobStatus, Outcome
from rollcall.domain.message_format import Record, read_action
from rollcall.domain.messages import RunOptions
from rollcall.domain.timing import RETRY_MAX
from rollcall.hosts.ownership import AWS_VISIBILITY_LAG
from rollcall.hosts.resting import disable_hosts, is_disabled_for_rest
from rollcall.hosts.variables import marker_in, with_state
from rollcall.reconcile.credible_answers import CONTROLS
from rollcall.reconcile.result import Summary
from rollcall.reconcile.run import TIME_RESERVE, Reconcile
from rollcall.reconcile.steps import DriftKind
from rollcall.tower.bulk_hosts import BULK_CREATE_MAX, BULK_DELETE_MAX
from unit.fakes import ACCOUNT, REGION
from unit.world import HOOK, TERMINATE_HOOK, World

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from rollcall.reconcile.result import RunOutcome
    from rollcall.reconcile.steps import Plan
    from rollcall.tower.bulk_hosts import MadeHosts, NewHost

YOUNG = 600.0  # seconds since its launch, less than the group's timeout
STRANGER = "999999999999"


def actions(outcome: RunOutcome) -> set[tuple[str, str]]:
    """What was done, and to which instance."""
    return {(fix.action, fix.instance_id) for fix in outcome.fixes}


def idle(plan: Plan) -> bool:
    """Whether there is nothing to do in Tower."""
    return not (plan.removals or plan.changes or plan.additions)


def left_alone(world: World) -> Callable[[], bool]:
    """Whether nothing has changed in Tower and nothing was sent since."""

    def state() -> object:
        return dict(world.tower.hosts), set(world.tower.members), set(world.tower.runs), list(world.queues.sent)

    before = state()
    return lambda: state() == before and not world.fleet.heartbeats


def a_bit_of_everything(world: World) -> None:
    """A world in which every kind of step is due."""
    world.host_of("i-gone", "10.0.0.1")
    world.serving("i-moved", "10.0.0.2")
    world.host_of("i-moved", "10.0.0.99")
    world.serving("i-new", "10.0.0.3", age=YOUNG)
    world.serving("i-strayed", "10.0.0.4")
    world.host_of("i-strayed", "10.0.0.4", inventory=world.tower.add_inventory("other"))
    world.serving("i-leaving", "10.0.0.5", state="Terminating:Wait")


def a_second_prod(world: World) -> Inventory:
    """Another organization's inventory of the same name, which the group "db" names."""
    theirs = Inventory(4711, world.inventory.name)
    world.tower.by_reference["theirs/prod"] = theirs
    world.group("db", inventory="theirs/prod")
    return theirs


def prove(world: World, instance_id: str, address: str) -> None:
    """An instance that serves, with a host that says so itself."""
    instance = world.serving(instance_id, address)
    world.host_of(instance_id, address, variables={"ec2": dict(instance.facts)})


def actions_in(world: World, url: str) -> list[LifecycleAction | None]:
    """The actions that were queued there."""
    return [read_action(Record("sent", body, REGION, 1, 0, None)) for to, body, _ in world.queues.sent if to == url]


class TestARun:
    def test_every_kind_of_step_is_taken_and_recorded(self, world: World) -> None:
        a_bit_of_everything(world)
        outcome = world.reconcile()
        assert actions(outcome) == {
            ("removed", "i-gone"),
            ("fixed", "i-moved"),
            ("added", "i-new"),
            ("added", "i-strayed"),
            ("removed", "i-strayed"),
            ("requeued", "i-leaving"),
        }
        assert all(fix.reason and fix.inventory in outcome.by_inventory for fix in outcome.fixes)
        assert world.tower.names_in(world.inventory) == {"i-moved", "i-new", "i-strayed"}
        assert world.tower.names_in(world.tower.inventory("other")) == set()
        assert (outcome.errors, outcome.stopped, outcome.left) == ({}, {}, 0)

    def test_each_inventory_has_a_summary_of_what_was_found_and_done(self, world: World) -> None:
        a_bit_of_everything(world)
        world.tower.add_host(world.inventory, "10.0.0.2")
        outcome = world.reconcile()
        assert outcome.by_inventory == {
            world.inventory: Summary(
                hosts=3, managed=2, removed=1, fixed=1, added=2, foreign=1, conflicts=1, requeued=1
            ),
            world.tower.inventory("other"): Summary(hosts=1, managed=1, removed=1),
        }

    def test_two_inventories_of_one_name_have_a_summary_each(self, world: World) -> None:
        theirs = a_second_prod(world)
        for number in range(6):
            world.host_of(f"i-{number}", f"10.0.0.{number}")
        world.host_of("i-db", "10.0.0.9", "db", inventory=theirs)
        world.host_of("i-a", "10.0.0.1", "db", age=0, inventory=theirs)
        world.host_of("i-b", "10.0.0.1", "db", age=0, inventory=theirs)
        outcome = world.reconcile()
        assert outcome.by_inventory == {
            world.inventory: Summary(hosts=6, managed=6),
            theirs: Summary(hosts=3, managed=3, removed=1, conflicts=1),
        }
        assert list(outcome.stopped) == [world.inventory]
        assert [fix.inventory for fix in outcome.fixes] == [theirs]
        assert [finding.inventory for finding in outcome.plan.findings] == [theirs]

    def test_a_summary_tells_the_seconds_that_its_inventory_took(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = world.tower.add_inventory("other")
        world.host_of("i-gone", "10.0.0.1")
        world.host_of("i-away", "10.0.0.9", inventory=other, age=0)
        world.serving("i-moved", "10.0.0.2")
        world.host_of("i-moved", "10.0.0.99")
        world.serving("i-new", "10.0.0.3", age=YOUNG)
        world.serving("i-leaving", "10.0.0.5", state="Terminating:Wait")
        took = {"dump": 1, "delete_hosts": 10, "update_host": 100, "create_hosts": 1000, "launch": 10_000, "hooks": 1e5}
        monkeypatch.setattr(time, "monotonic", world.clock)
        world.tower.before_call = world.fleet.before_call = lambda method: world.clock.advance(took.get(method, 0))
        outcome = world.reconcile()
        assert {each: summary.seconds for each, summary in outcome.by_inventory.items()} == {
            world.inventory: 111_211,
            other: 1,
        }

    def test_a_second_run_changes_nothing(self, world: World) -> None:
        a_bit_of_everything(world)
        world.reconcile()
        world.leaves("i-leaving", "Terminating:Proceed")
        world.fleet.heartbeats.clear()
        unchanged = left_alone(world)
        outcome = world.reconcile()
        assert unchanged()
        assert idle(outcome.plan)
        assert not outcome.fixes

    def test_a_dry_run_plans_and_changes_nothing(self, world: World) -> None:
        a_bit_of_everything(world)
        unchanged = left_alone(world)
        outcome = world.reconcile(dry_run=True)
        assert unchanged()
        assert not outcome.fixes
        planned = outcome.plan
        counts = (len(planned.removals), len(planned.changes), len(planned.additions), len(planned.requeues))
        assert counts == (2, 1, 2, 1)

    def test_a_dry_run_says_what_the_removal_limit_would_stop(self, world: World) -> None:
        for number in range(6):
            world.host_of(f"i-{number}", f"10.0.0.{number}")
        assert len(world.reconcile(dry_run=True).stopped[world.inventory]) == 6

    def test_hosts_that_are_not_ours_are_byte_for_byte_what_they_were(self, world: World) -> None:
        a_bit_of_everything(world)
        marker = {"group": "web", "instance_id": "i-x", "account": STRANGER, "region": REGION, "vpc": "vpc-1"}
        foreign = [
            world.tower.add_host(world.inventory, "10.0.0.2", variables={"ansible_user": "me"}),
            world.tower.add_host(world.inventory, "i-x", variables={"rollcall": marker}, created_at=0.0),
        ]
        world.reconcile(force=True)
        assert [world.tower.hosts[host.id] for host in foreign] == foreign

    def test_what_a_person_set_on_a_managed_host_is_kept(self, world: World) -> None:
        world.serving("i-a", "10.0.0.1")
        host = world.host_of("i-a", "10.0.0.99", variables={"ansible_user": "me"})
        world.tower.disabled.add(host.id)
        world.reconcile()
        variables = world.tower.hosts[host.id].variables
        assert (variables["ansible_user"], variables["ansible_host"]) == ("me", "10.0.0.1")
        assert host.id in world.tower.disabled

    def test_what_a_person_set_on_a_managed_host_moves_along_with_it(self, world: World) -> None:
        new = world.tower.add_inventory("new")
        world.group("web", inventory="new")
        for name in ("i-a", "i-b"):
            world.serving(name, f"10.0.0.{name}")
            world.host_of(name, "10.0.0.99", variables={"ansible_user": name})
        world.tower.disabled |= {host.id for host in world.tower.hosts.values() if host.name == "i-b"}
        world.reconcile(force=True)
        assert not world.tower.names_in(world.inventory)
        moved = world.tower.dump(new).hosts
        assert {(host.name, host.variables["ansible_user"], host.enabled) for host in moved} == {
            ("i-a", "i-a", True),
            ("i-b", "i-b", False),
        }
        assert idle(world.reconcile().plan)

    def test_a_run_for_one_group_leaves_the_others_alone(self, world: World) -> None:
        world.group("db")
        world.serving("i-a", "10.0.0.1")
        world.serving("i-b", "10.0.0.2", "db")
        assert actions(world.reconcile(RunOptions(groups=frozenset({"db"})))) == {("added", "i-b")}


class TestReading:
    def test_tower_is_read_before_aws(self, world: World) -> None:
        a_bit_of_everything(world)
        asked: list[str] = []
        world.tower.before_call = asked.append
        world.fleet.before_call = asked.append
        world.reconcile(dry_run=True)
        last_dump = len(asked) - 1 - asked[::-1].index("dump")
        after = asked[last_dump:]
        assert "marked_inventories" not in after
        assert {"opted_in", "memberships", "instances"} <= set(after)
        assert not {"memberships", "instances"} & set(asked[:last_dump])

    def test_ec2_is_asked_about_those_whose_host_does_not_prove_them_and_a_few_who_serve(self, world: World) -> None:
        for number in range(CONTROLS + 20):
            prove(world, f"i-{number}", f"10.0.0.{number}")
        world.serving("i-new", "10.0.1.1")
        world.host_of("i-gone", "10.0.1.2")
        asked: set[str] = set()
        world.fleet.before_instances = asked.update
        assert actions(world.reconcile(dry_run=False)) == {("added", "i-new"), ("removed", "i-gone")}
        assert {"i-new", "i-gone"} < asked
        assert len(asked) == CONTROLS + 2

    def test_an_empty_answer_of_ec2_is_not_believed_where_all_hosts_are_right(self, world: World) -> None:
        for number in range(3):
            prove(world, f"i-{number}", f"10.0.0.{number}")
        world.host_of("i-x", "10.0.1.2")
        world.fleet.known_instances.clear()
        unchanged = left_alone(world)
        with pytest.raises(AwsUnavailable, match="EC2 describes none"):
            world.reconcile()
        assert unchanged()

    def test_a_host_that_register_makes_while_we_read_is_not_taken_for_a_lost_one(self, world: World) -> None:
        def launch(method: str) -> None:
            if method == "opted_in" and "i-a" not in world.fleet.known_instances and world.tower.calls["dump"]:
                world.serving("i-a", "10.0.0.1", state="Pending:Wait", age=0)
                world.host_of("i-a", "10.0.0.1", age=0)

        world.fleet.before_call = launch
        assert idle(world.reconcile().plan)

    @pytest.mark.parametrize("method", ["opted_in", "memberships", "instances"])
    @pytest.mark.parametrize("error", [Throttled("slow down"), AwsDenied("no permission")])
    def test_an_error_of_aws_ends_the_run_and_nothing_is_changed(
        self, world: World, method: str, error: RollcallError
    ) -> None:
        a_bit_of_everything(world)
        unchanged = left_alone(world)
        world.fleet.failing[method] = error
        with pytest.raises(type(error)):
            world.reconcile(force=True)
        assert unchanged()

    @pytest.mark.parametrize("state", ["InService", "Standby"])
    def test_an_ec2_that_knows_none_that_serves_is_not_believed(self, world: World, state: str) -> None:
        world.host_of("i-gone", "10.0.0.1")
        for number in range(2):
            world.serving(f"i-{number}", f"10.0.1.{number}", state=state)
        world.fleet.known_instances.clear()
        unchanged = left_alone(world)
        with pytest.raises(AwsUnavailable, match="none of the"):
            world.reconcile(force=True)
        assert unchanged()

    def test_an_ec2_that_knows_one_of_those_that_serve_is_believed(self, world: World) -> None:
        for number in range(3):
            world.serving(f"i-{number}", f"10.0.1.{number}")
        del world.fleet.known_instances["i-0"], world.fleet.known_instances["i-1"]
        assert actions(world.reconcile()) == {("added", "i-2")}

    def test_who_ec2_does_not_know_is_asked_for_twice_beside_some_that_it_knows(self, world: World) -> None:
        asked: list[Collection[str]] = []
        world.serving("i-a", "10.0.0.1")
        world.host_of("i-gone", "10.0.0.2")
        world.fleet.before_instances = asked.append
        assert ("removed", "i-gone") in actions(world.reconcile())
        assert asked[:2] == [{"i-a", "i-gone"}] * 2

    def test_who_ec2_knows_only_the_second_time_is_not_gone(self, world: World) -> None:
        def remember(asked: Collection[str]) -> None:
            answers.append(asked)
            if len(answers) == 2:
                world.fleet.known_instances["i-slow"] = world.instance("i-slow")

        answers: list[Collection[str]] = []
        world.host_of("i-slow", "10.0.0.2")
        world.fleet.before_instances = remember
        assert not world.reconcile().plan.removals

    def test_an_ec2_that_forgets_whom_it_knew_a_moment_ago_is_not_believed(self, world: World) -> None:
        def forget(asked: Collection[str]) -> None:
            answers.append(asked)
            if len(answers) == 2:
                world.fleet.known_instances.clear()

        answers: list[Collection[str]] = []
        world.serving("i-a", "10.0.0.1")
        world.host_of("i-x", "10.0.0.2")
        unchanged = left_alone(world)
        world.fleet.before_instances = forget
        with pytest.raises(AwsUnavailable, match="a moment ago"):
            world.reconcile()
        assert unchanged()

    def test_a_group_that_does_not_exist_is_no_all_clear(self, world: World) -> None:
        world.group("unreadable", inventory="misspelt")
        world.host_of("i-a", "10.0.0.1", "deleted")
        outcome = world.reconcile(RunOptions(forget=frozenset({"wbe"})), dry_run=True)
        assert outcome.errors.keys() == {"group wbe", "group unreadable"}
        outcome = world.reconcile(RunOptions(groups=frozenset({"web", "wbe"})), dry_run=True)
        assert outcome.errors.keys() == {"group wbe"}
        known = frozenset({"web", "deleted"})
        outcome = world.reconcile(RunOptions(groups=known, forget=known), dry_run=True)
        assert outcome.errors == {}

    def test_a_single_instance_that_ec2_does_not_know_does_not_end_the_run(self, world: World) -> None:
        world.serving("i-a", "10.0.0.1")
        world.serving("i-b", "10.0.0.2", state="Pending:Wait", age=0)
        world.fleet.known_instances.clear()
        assert idle(world.reconcile().plan)

    def test_instances_on_their_way_that_ec2_does_not_know_do_not_end_the_run(self, world: World) -> None:
        for number, state in enumerate(("Pending:Wait", "Terminating:Wait", "Warmed:Stopped", "Terminated")):
            world.serving(f"i-{number}", f"10.0.1.{number}", state=state)
        world.fleet.known_instances.clear()
        assert idle(world.reconcile().plan)

    def test_an_error_of_tower_about_the_hosts_ages_ends_the_run_and_nothing_is_changed(self, world: World) -> None:
        a_bit_of_everything(world)
        unchanged = left_alone(world)
        world.tower.failing["created_at"] = TowerUnavailable("away")
        with pytest.raises(TowerUnavailable):
            world.reconcile()
        assert unchanged()

    def test_a_tower_that_is_away_ends_the_run(self, world: World) -> None:
        world.tower.unavailable = True
        with pytest.raises(TowerUnavailable):
            world.reconcile()

    def test_a_group_whose_tags_cannot_be_followed_leaves_the_others_alone(self, world: World) -> None:
        world.group("db", inventory="misspelt")
        world.host_of("i-a", "10.0.0.1", "db")
        world.host_of("i-b", "10.0.0.2")
        outcome = world.reconcile()
        assert actions(outcome) == {("removed", "i-b")}
        assert list(outcome.errors) == ["group db"]
        assert "misspelt" in str(outcome.errors["group db"])

    def test_an_inventory_that_cannot_be_read_leaves_the_others_alone(self, world: World) -> None:
        other = world.tower.add_inventory("other")
        world.group("db", inventory="other")
        world.host_of("i-a", "10.0.0.1", "db", inventory=other)
        world.serving("i-c", "10.0.0.3", "db")
        world.host_of("i-b", "10.0.0.2")
        world.tower.undumped[other.id] = TowerDenied("not for you")
        outcome = world.reconcile()
        assert actions(outcome) == {("removed", "i-b")}
        assert list(outcome.errors) == ["inventory other"]
        assert set(outcome.by_inventory) == {world.inventory}

    def test_a_host_elsewhere_of_a_group_whose_inventory_cannot_be_read_stays(self, world: World) -> None:
        other = world.tower.add_inventory("other")
        world.group("db", inventory="other")
        world.host_of("i-a", "10.0.0.1", "db")
        world.tower.undumped[other.id] = TowerDenied("not for you")
        assert idle(world.reconcile().plan)

    def test_a_group_that_opts_in_while_we_read_is_left_to_the_next_run(self, world: World) -> None:
        def opt_in(method: str) -> None:
            if method == "dump":
                world.group("db")

        world.serving("i-a", "10.0.0.1", "db")
        world.tower.before_call = opt_in
        assert idle(world.reconcile().plan)
        assert actions(world.reconcile()) == {("added", "i-a")}

    def test_a_group_that_loses_its_tag_while_we_read_is_not_acted_on(self, world: World) -> None:
        def opt_out(method: str) -> None:
            if method == "dump":
                world.group("web", tags={})

        world.serving("i-a", "10.0.0.1")
        world.host_of("i-a", "10.0.0.99")
        world.tower.before_call = opt_out
        outcome = world.reconcile()
        assert idle(outcome.plan)
        assert [finding.kind for finding in outcome.plan.findings] == [DriftKind.NOT_OPTED_IN]

    def test_inventories_that_no_group_names_any_more_are_looked_at_too(self, world: World) -> None:
        old = world.tower.add_inventory("old")
        world.host_of("i-a", "10.0.0.1", inventory=old)
        assert actions(world.reconcile()) == {("removed", "i-a")}
        assert not world.tower.names_in(old)

    def test_an_inventory_that_is_renamed_meanwhile_is_one_inventory(self, world: World) -> None:
        renamed = replace(world.inventory, name="production")
        world.tower.by_reference = {"prod": world.inventory, "production": renamed}
        world.group("db", inventory="production")
        world.serving("i-a", "10.0.0.1")
        world.serving("i-b", "10.0.0.2", "db")
        world.host_of("i-gone", "10.0.0.3")
        outcome = world.reconcile()
        assert actions(outcome) == {("added", "i-a"), ("added", "i-b"), ("removed", "i-gone")}
        assert len(outcome.by_inventory) == 1

    def test_a_marker_without_an_instance_does_not_keep_a_run_from_reading(self, world: World) -> None:
        marker = {"group": "web", "account": ACCOUNT, "region": REGION}
        world.tower.add_host(world.inventory, "node", variables={"rollcall": marker}, created_at=0.0)
        assert idle(world.reconcile().plan)


class TestInstancesThatAreGone:
    @pytest.mark.parametrize("state", ["shutting-down", "terminated"])
    def test_what_ec2_says_of_exactly_that_instance_decides(self, world: World, state: str) -> None:
        world.host_of("i-a", "10.0.0.1", age=0)
        world.fleet.known_instances["i-a"] = world.instance("i-a", state=state)
        assert actions(world.reconcile()) == {("removed", "i-a")}

    @pytest.mark.parametrize(("age", "removed"), [(AWS_VISIBILITY_LAG, 0), (AWS_VISIBILITY_LAG + 1, 1)])
    def test_the_host_of_one_that_is_not_known_goes_once_it_is_old(
        self, world: World, age: float, removed: int
    ) -> None:
        world.host_of("i-a", "10.0.0.1", age=age)
        assert len(world.reconcile().fixes) == removed

    def test_an_answer_without_any_group_does_not_cost_a_living_instance_its_host(self, world: World) -> None:
        world.serving("i-a", "10.0.0.1")
        world.host_of("i-a", "10.0.0.1")
        world.fleet.known_groups.clear()
        outcome = world.reconcile()
        assert idle(outcome.plan)
        assert [finding.kind for finding in outcome.plan.findings] == [DriftKind.NOT_OPTED_IN]

    def test_a_detached_instance_keeps_its_host(self, world: World) -> None:
        world.serving("i-a", "10.0.0.1")
        world.host_of("i-a", "10.0.0.1")
        world.detached("i-a")
        outcome = world.reconcile()
        assert idle(outcome.plan)
        assert [finding.kind for finding in outcome.plan.findings] == [DriftKind.DETACHED]

    def test_a_host_that_cleanup_removes_meanwhile_is_no_error(self, world: World) -> None:
        gone = [world.host_of(f"i-{number}", f"10.0.0.{number}") for number in range(3)]
        world.tower.before_delete.append(lambda: world.tower.hosts.pop(gone[1].id))
        assert world.reconcile().errors == {}
        assert not world.tower.hosts

    def test_hosts_that_all_vanish_meanwhile_are_no_error(self, world: World) -> None:
        for number in range(3):
            world.host_of(f"i-{number}", f"10.0.0.{number}")
        world.tower.before_delete.append(world.tower.hosts.clear)
        assert world.reconcile().errors == {}
        assert not world.tower.hosts

    def test_a_host_that_tower_keeps_keeps_no_other(self, world: World) -> None:
        for number in range(4):
            world.host_of(f"i-{number}", f"10.0.0.{number}")
        world.tower.unfit["i-2"] = TowerRejected("held")
        outcome = world.reconcile()
        assert actions(outcome) == {("removed", "i-0"), ("removed", "i-1"), ("removed", "i-3")}
        assert outcome.by_inventory[world.inventory].removed == 3
        assert outcome.errors.keys() == {"host i-2 of inventory prod"}
        assert outcome.host_errors_in == {"host i-2 of inventory prod": world.inventory}

    def test_a_refusal_leaves_the_other_inventories_alone(self, world: World) -> None:
        kept = world.tower.add_inventory("kept")
        world.group("db", inventory="kept")
        world.host_of("i-a", "10.0.0.1", inventory=kept)
        world.host_of("i-b", "10.0.0.2")
        world.tower.denied.add(kept.id)
        outcome = world.reconcile()
        assert actions(outcome) == {("removed", "i-b")}
        assert list(outcome.errors) == ["removing hosts from inventory kept"]
        assert not outcome.plan.findings

    def test_an_inventory_that_no_group_names_and_that_may_only_be_read_is_one_finding(self, world: World) -> None:
        mirror = world.tower.add_inventory("all EC2")
        for number in range(BULK_DELETE_MAX + 1):
            world.host_of(f"i-{number}", "10.0.0.1", inventory=mirror)
        world.host_of("i-b", "10.0.0.2")
        world.tower.denied.add(mirror.id)
        outcome = world.reconcile(force=True)
        assert (actions(outcome), outcome.errors) == ({("removed", "i-b")}, {})
        [finding] = outcome.plan.findings
        assert (finding.kind, finding.inventory, finding.subject) == (DriftKind.READ_ONLY, mirror, "all EC2")
        assert f"{BULK_DELETE_MAX + 1} of its hosts" in finding.reason
        assert world.tower.calls["delete_hosts"] == 2
        assert len(world.tower.names_in(mirror)) == BULK_DELETE_MAX + 1

    @pytest.mark.parametrize("named", [True, False])
    def test_an_inventory_that_a_tag_of_several_meanings_may_name_is_an_error(self, world: World, named: bool) -> None:
        mirror = world.tower.add_inventory("all EC2")
        world.host_of("i-a", "10.0.0.1", inventory=mirror)
        world.tower.denied.add(mirror.id)
        world.group("db", inventory="ambiguous")
        world.tower.ambiguous["ambiguous"] = {mirror.id} if named else set()
        assert ("removing hosts from inventory all EC2" in world.reconcile().errors) == named

    def test_a_host_that_could_not_be_removed_keeps_its_address_from_others(self, world: World) -> None:
        world.host_of("i-a", "10.0.0.1")
        world.serving("i-b", "10.0.0.1")
        world.serving("i-c", "10.0.0.3")
        world.tower.denied.add(world.inventory.id)
        outcome = world.reconcile()
        assert actions(outcome) == {("added", "i-c")}
        assert outcome.left == 1
        world.tower.denied.clear()
        assert actions(world.reconcile()) == {("removed", "i-a"), ("added", "i-b")}

    def test_many_go_in_few_calls(self, world: World) -> None:
        for number in range(2 * BULK_DELETE_MAX + 1):
            world.host_of(f"i-{number}", f"10.0.{number // 250}.{number % 250}")
        world.reconcile(force=True)
        assert not world.tower.hosts
        assert world.tower.calls["delete_hosts"] == 3


class TestTheRemovalLimit:
    @pytest.fixture
    def failed(self, world: World) -> World:
        """Six of the 20 hosts in prod and six of 30 in other are those of instances that are gone."""
        other = world.tower.add_inventory("other")
        world.group("db", inventory="other")
        for number in range(20):
            world.host_of(f"i-{number}", f"10.0.0.{number}")
            if number >= 6:
                world.serving(f"i-{number}", f"10.0.0.{number}")
        for number in range(30):
            world.host_of(f"i-db{number}", f"10.0.1.{number}", "db", inventory=other)
            if number >= 6:
                world.serving(f"i-db{number}", f"10.0.1.{number}", "db")
        return world

    def test_it_stops_the_removals_from_its_inventory_alone(self, failed: World) -> None:
        outcome = failed.reconcile()
        assert {each: len(removals) for each, removals in outcome.stopped.items()} == {failed.inventory: 6}
        assert len(failed.tower.names_in(failed.inventory)) == 20
        assert len(failed.tower.names_in(failed.tower.inventory("other"))) == 24

    def test_it_stops_nothing_but_removals(self, failed: World) -> None:
        failed.serving("i-new", "10.0.0.200")
        failed.serving("i-7", "10.0.0.201")
        assert {("added", "i-new"), ("fixed", "i-7")} <= actions(failed.reconcile())

    def test_what_it_stops_is_not_in_the_plan(self, failed: World) -> None:
        outcome = failed.reconcile(dry_run=True)
        assert {removal.inventory.name for removal in outcome.plan.removals} == {"other"}
        assert len(outcome.plan.removals) == len(outcome.stopped[failed.inventory]) == 6

    def test_a_host_that_it_keeps_keeps_its_address_from_others(self, failed: World) -> None:
        failed.serving("i-new", "10.0.0.0")
        outcome = failed.reconcile()
        assert ("added", "i-new") not in actions(outcome)
        assert [(each.kind, each.subject) for each in outcome.plan.findings] == [(DriftKind.ADDRESS_CONFLICT, "i-new")]
        assert outcome.by_inventory[failed.inventory].conflicts == 1
        assert ("added", "i-new") in actions(failed.reconcile(force=True))

    def test_force_lets_through(self, failed: World) -> None:
        outcome = failed.reconcile(force=True)
        assert outcome.stopped == {}
        assert len(failed.tower.names_in(failed.inventory)) == 14

    def test_its_share_is_a_setting(self, failed: World) -> None:
        assert failed.reconcile(share=0.3).stopped == {}

    def test_hosts_that_are_not_ours_do_not_count(self, failed: World) -> None:
        for number in range(100):
            failed.tower.add_host(failed.inventory, f"node-{number}")
        assert set(failed.reconcile().stopped) == {failed.inventory}

    def test_it_stops_moves_too(self, world: World) -> None:
        world.tower.add_inventory("new")
        for number in range(10):
            world.host_of(f"i-{number}", f"10.0.0.{number}")
            world.serving(f"i-{number}", f"10.0.0.{number}")
        world.group("web", inventory="new")
        assert len(world.reconcile().stopped[world.inventory]) == 10
        assert len(world.tower.names_in(world.inventory)) == 10
        assert world.reconcile(force=True).stopped == {}
        assert not world.tower.names_in(world.inventory)


class TestPuttingRight:
    def test_a_host_whose_instance_changed_groups_changes_them_too(self, world: World) -> None:
        world.group("db")
        world.serving("i-a", "10.0.0.1", "db")
        host = world.host_of("i-a", "10.0.0.1")
        world.reconcile()
        assert world.tower.groups_of(host.id) == {"db"}

    def test_leaving_the_former_groups_is_not_forgotten_when_it_fails(self, world: World) -> None:
        world.group("db")
        world.serving("i-a", "10.0.0.1", "db")
        host = world.host_of("i-a", "10.0.0.1")
        world.tower.failing["take_out_of_group"] = TowerUnavailable("away")
        assert list(world.reconcile().errors) == ["host i-a of inventory prod"]
        world.tower.failing.clear()
        world.reconcile()
        assert world.tower.groups_of(host.id) == {"db"}

    def test_joining_a_group_is_not_forgotten_when_it_fails(self, world: World) -> None:
        world.group("web", groups="web more")
        world.serving("i-a", "10.0.0.1")
        host = world.host_of("i-a", "10.0.0.99")
        world.tower.failing["add_to_group"] = TowerUnavailable("away")
        outcome = world.reconcile()
        assert not outcome.fixes
        assert outcome.by_inventory[world.inventory].fixed == 0
        world.tower.failing.clear()
        assert actions(world.reconcile()) == {("fixed", "i-a")}
        assert world.tower.groups_of(host.id) == {"web", "more"}

    @pytest.mark.parametrize("method", ["take_out_of_group", "update_host", "add_to_group"])
    def test_a_host_that_cleanup_removes_between_plan_and_change_is_no_error(self, world: World, method: str) -> None:
        def clean_up(called: str) -> None:
            if called == method:
                world.tower.remove_host("i-0")

        world.group("db")
        for number in range(8):
            world.serving(f"i-{number}", f"10.0.0.{number}", "db")
            world.host_of(f"i-{number}", f"10.0.1.{number}")
        world.tower.before_call = clean_up
        outcome = world.reconcile()
        assert len(outcome.fixes) == outcome.by_inventory[world.inventory].fixed == 7
        assert outcome.errors == {}

    def test_a_host_that_is_there_and_cannot_be_changed_is_an_error_of_its_own(self, world: World) -> None:
        def refuse(method: str) -> None:
            if method == "update_host" and world.tower.calls["update_host"] == 1:
                raise TowerRejected("what?")

        for number in range(8):
            world.serving(f"i-{number}", f"10.0.0.{number}")
            world.host_of(f"i-{number}", f"10.0.1.{number}")
        world.tower.before_call = refuse
        outcome = world.reconcile()
        assert len(outcome.fixes) == outcome.by_inventory[world.inventory].fixed == 7
        [what] = outcome.errors
        assert what.startswith("host i-")
        assert what.endswith(" of inventory prod")

    def test_a_group_of_many_hosts_is_looked_up_once(self, world: World) -> None:
        world.group("web", groups="web more")
        for number in range(40):
            world.serving(f"i-{number}", f"10.0.0.{number}")
            world.host_of(f"i-{number}", f"10.0.0.{number}")
        world.tower.calls.clear()
        world.reconcile()
        assert world.tower.calls["add_to_group"] == 40
        assert world.tower.calls["group_ids"] <= 4

    def test_a_host_stays_in_its_old_inventory_until_it_is_in_the_new_one(self, world: World) -> None:
        new = world.tower.add_inventory("new")
        world.group("web", inventory="new")
        world.serving("i-a", "10.0.0.1")
        world.host_of("i-a", "10.0.0.1")
        world.tower.failing["create_hosts"] = TowerDenied("not for you")
        outcome = world.reconcile()
        assert world.tower.names_in(world.inventory) == {"i-a"}
        assert outcome.left == 1
        world.tower.failing.clear()
        world.reconcile()
        assert (world.tower.names_in(world.inventory), world.tower.names_in(new)) == (set(), {"i-a"})

    def test_a_host_stays_in_its_old_inventory_until_the_one_in_its_place_is_taken_over(self, world: World) -> None:
        new = world.tower.add_inventory("new")
        world.group("web", inventory="new")
        world.serving("i-a", "10.0.0.1")
        world.host_of("i-a", "10.0.0.1")
        world.tower.add_host(new, "i-a")
        world.tower.failing["update_host"] = TowerDenied("not for you")
        outcome = world.reconcile(RunOptions(adopt=True))
        assert world.tower.names_in(world.inventory) == {"i-a"}
        assert outcome.left == 1


class TestInstancesWithoutAHost:
    def test_one_gets_a_host_in_its_groups_with_our_variables(self, world: World) -> None:
        world.group("web", groups="a b")
        world.serving("i-a", "10.0.0.1")
        world.reconcile()
        [host] = world.tower.hosts.values()
        assert world.tower.groups_of(host.id) == {"a", "b"}
        assert host.variables["ansible_host"] == "10.0.0.1"
        assert host.marker == {
            "group": "web",
            "instance_id": "i-a",
            "account": ACCOUNT,
            "region": REGION,
            "vpc": "vpc-1",
            "inventory": world.inventory.id,
            "stint": {"since": world.clock.now, "token": ""},
        }

    def test_only_those_that_are_young_are_provisioned(self, world: World) -> None:
        world.serving("i-old", "10.0.0.1")
        world.serving("i-young", "10.0.0.2", age=YOUNG)
        world.reconcile()
        [run] = world.tower.runs.values()
        assert run.job.hosts == {"i-young"}
        assert (run.job.template_id, run.inventory) == (world.template.id, world.inventory)

    def test_no_job_is_launched_when_none_is_young(self, world: World) -> None:
        for number in range(500):
            world.serving(f"i-{number}", f"10.0.{number // 250}.{number % 250}")
        world.reconcile()
        assert len(world.tower.names_in(world.inventory)) == 500
        assert not world.tower.runs

    def test_jobs_hold_no_more_hosts_than_the_setting_allows(self, world: World) -> None:
        world.settings = replace(world.settings, max_hosts_per_job=40)
        for number in range(100):
            world.serving(f"i-{number}", f"10.0.0.{number}")
        world.reconcile(RunOptions(provision=True))
        limits = [run.job.hosts for run in world.tower.runs.values()]
        assert sorted(len(limit) for limit in limits) == [20, 40, 40]
        assert len(frozenset().union(*limits)) == 100

    def test_a_group_without_a_job_gets_none(self, world: World) -> None:
        world.group("web", job_template="")
        world.serving("i-a", "10.0.0.1", age=YOUNG)
        world.reconcile(RunOptions(provision=True))
        assert not world.tower.runs

    def test_where_a_template_would_run_on_other_hosts_none_is_launched(self, world: World) -> None:
        world.tower.add_template("provision", asks_limit=False)
        world.serving("i-old", "10.0.0.1")
        world.serving("i-young", "10.0.0.2", age=YOUNG)
        outcome = world.reconcile()
        assert actions(outcome) == {("added", "i-old"), ("added", "i-young")}
        assert not world.tower.runs
        [(what, error)] = outcome.errors.items()
        assert what == "provisioning instances of group web"
        assert "Prompt on launch" in str(error)

    def test_a_template_that_cannot_be_limited_is_no_error_where_none_is_to_be_provisioned(self, world: World) -> None:
        world.tower.add_template("provision", asks_limit=False)
        world.serving("i-old", "10.0.0.1")
        assert world.reconcile().errors == {}

    def test_one_that_leaves_between_plan_and_host_is_removed_again(self, world: World) -> None:
        world.serving("i-a", "10.0.0.1", age=YOUNG)
        world.serving("i-b", "10.0.0.2", age=YOUNG)
        world.tower.after_create = lambda: world.leaves("i-a")
        outcome = world.reconcile()
        assert world.tower.names_in(world.inventory) == {"i-b"}
        assert actions(outcome) == {("added", "i-b")}
        assert [run.job.hosts for run in world.tower.runs.values()] == [{"i-b"}]

    def test_one_that_leaves_is_removed_although_groups_cannot_be_joined(self, world: World) -> None:
        world.serving("i-a", "10.0.0.1")
        world.tower.failing["group_ids"] = TowerDenied("not for you")
        world.tower.after_create = lambda: world.terminated("i-a")
        world.reconcile()
        assert not world.tower.hosts

    def test_one_that_cannot_join_its_groups_is_not_provisioned_and_the_others_are(self, world: World) -> None:
        def refuse(method: str) -> None:
            if method == "add_to_group" and len(world.tower.memberships_made) == 1:
                world.tower.memberships_made.append((0, 0))
                raise TowerRejected("what?")

        for number in range(3):
            world.serving(f"i-{number}", f"10.0.0.{number}", age=YOUNG)
        world.tower.before_call = refuse
        outcome = world.reconcile()
        [run] = world.tower.runs.values()
        assert outcome.by_inventory[world.inventory].added == 3
        assert len(run.job.hosts) == 2
        assert len(outcome.errors) == 1
        [(action, last)] = actions(world.reconcile())
        assert action == "fixed"
        assert [run.job.hosts for run in world.tower.runs.values()] == [run.job.hosts, {last}]

    def test_one_not_to_be_provisioned_that_cannot_join_its_groups_stays_and_joins_them_later(
        self, world: World
    ) -> None:
        world.serving("i-old", "10.0.0.1")
        world.tower.failing["group_ids"] = TowerDenied("not for you")
        outcome = world.reconcile()
        assert actions(outcome) == {("added", "i-old")}
        assert list(outcome.errors) == ["inventory groups of group web"]
        world.tower.failing.clear()
        assert actions(world.reconcile()) == {("fixed", "i-old")}

    def test_inventory_groups_that_could_not_be_looked_up_are_an_error_and_made_all_the_same(
        self, world: World
    ) -> None:
        world.serving("i-old", "10.0.0.1")
        world.tower.failing["groups_named"] = TowerUnavailable("away")
        outcome = world.reconcile()
        assert list(outcome.errors) == ["inventory groups of inventory prod"]
        assert actions(outcome) == {("added", "i-old")}
        assert world.tower.calls["add_to_group"] == 1

    def test_one_that_is_removed_before_it_joins_its_groups_is_no_error(self, world: World) -> None:
        world.serving("i-old", "10.0.0.1")
        world.tower.before_call = lambda method: world.tower.remove_host("i-old") if method == "add_to_group" else None
        assert world.reconcile().errors == {}

    def test_one_that_register_makes_meanwhile_is_left_to_it(self, world: World) -> None:
        world.serving("i-a", "10.0.0.1", age=YOUNG)
        world.tower.before_create.append(lambda: world.host_of("i-a", "10.0.0.1", age=0))
        outcome = world.reconcile()
        assert (outcome.errors, outcome.fixes) == ({}, [])
        assert not world.tower.runs
        assert idle(world.reconcile().plan)

    def test_those_that_others_make_meanwhile_do_not_keep_the_rest_from_being_made(self, world: World) -> None:
        for number in range(5):
            world.serving(f"i-{number}", f"10.0.0.{number}", age=YOUNG)
        world.tower.before_create += [lambda: world.host_of("i-3", "10.0.0.3", age=0)]
        outcome = world.reconcile()
        assert actions(outcome) == {("added", f"i-{number}") for number in (0, 1, 2, 4)}
        assert (outcome.errors, outcome.left) == ({}, 0)

    def test_a_host_that_tower_cannot_hold_fails_alone(self, world: World) -> None:
        for number in range(4):
            world.serving(f"i-{number}", f"10.0.0.{number}", age=YOUNG)
        world.tower.unfit["i-2"] = TowerRejected("its variables hold a NUL character")
        outcome = world.reconcile()
        assert actions(outcome) == {("added", f"i-{number}") for number in (0, 1, 3)}
        assert outcome.errors.keys() == {"host i-2 of inventory prod"}
        assert outcome.host_errors_in == {"host i-2 of inventory prod": world.inventory}
        assert [run.job.hosts for run in world.tower.runs.values()] == [{"i-0", "i-1", "i-3"}]

    def test_of_more_than_there_is_room_for_the_first_are_added_and_the_rest_is_reported_once(
        self, world: World
    ) -> None:
        size = 2 * BULK_CREATE_MAX + 1
        for number in range(size):
            world.serving(f"i-{number}", f"10.0.{number // 250}.{number % 250}")
        world.tower.room = 30
        outcome = world.reconcile()
        assert len(actions(outcome)) == outcome.by_inventory[world.inventory].added == 30
        assert outcome.errors.keys() == {"adding hosts to inventory prod"}
        assert isinstance(outcome.errors["adding hosts to inventory prod"], HostLimitReached)
        assert outcome.left == size - BULK_CREATE_MAX
        assert world.tower.calls["create_hosts"] == 1, "once it is full nothing more is asked of this inventory"
        world.tower.room = None
        assert len(actions(world.reconcile())) == size - 30

    def test_an_inventory_without_room_leaves_the_others_alone(self, world: World) -> None:
        world.tower.add_inventory("other")
        world.group("db", inventory="other")
        world.serving("i-a", "10.0.0.1")
        world.serving("i-b", "10.0.0.2", "db")
        world.tower.room = 0

        def make_room(method: str) -> None:
            if method == "create_hosts" and world.tower.calls["create_hosts"] == 2:
                world.tower.room = 1

        world.tower.before_call = make_room
        assert len(actions(world.reconcile())) == 1

    def test_many_are_made_in_few_calls(self, world: World) -> None:
        for number in range(2 * BULK_CREATE_MAX + 1):
            world.serving(f"i-{number}", f"10.0.{number // 250}.{number % 250}")
        world.reconcile()
        assert world.tower.calls["create_hosts"] == 3

    def test_an_error_of_one_inventory_leaves_the_others_alone(self, world: World) -> None:
        def refuse(method: str) -> None:
            if method == "create_hosts" and world.tower.calls["create_hosts"] == 1:
                raise TowerRejected("what?")

        world.tower.add_inventory("other")
        world.group("db", inventory="other")
        world.serving("i-a", "10.0.0.1")
        world.serving("i-b", "10.0.0.2", "db")
        world.tower.before_call = refuse
        outcome = world.reconcile()
        assert len(outcome.fixes) == len(outcome.errors) == 1

    def test_those_of_many_groups_are_made_in_one_call_and_their_groups_found_in_one(self, world: World) -> None:
        for number in range(20):
            name = f"group-{number}"
            world.group(name)
            world.serving(f"i-{number}", f"10.0.0.{number}", name)
            world.tower.group_ids(world.inventory, [name])
        world.tower.calls.clear()
        assert len(world.reconcile().fixes) == 20
        calls = world.tower.calls
        assert (calls["create_hosts"], calls["groups_named"], calls["group_ids"]) == (1, 1, 0)
        assert all(len(world.tower.groups_of(host)) == 1 for host in world.tower.hosts)

    def test_a_foreign_host_is_adopted_where_that_is_configured(self, world: World) -> None:
        world.serving("i-a", "10.0.0.1", age=YOUNG)
        host = world.tower.add_host(world.inventory, "node", instance_id="i-a", variables={"ansible_user": "me"})
        theirs = {"rollcall": {"account": STRANGER, "region": REGION, "instance_id": "i-a"}}
        world.tower.add_host(world.inventory, "theirs", instance_id="i-a", variables=theirs)
        outcome = world.reconcile(RunOptions(adopt=True))
        assert actions(outcome) == {("fixed", "i-a")}
        taken = world.tower.hosts[host.id]
        assert (taken.name, taken.variables["ansible_user"], taken.marker is None) == ("node", "me", False)
        assert world.tower.groups_of(host.id) == {"web"}
        assert not world.tower.runs
        assert idle(world.reconcile(RunOptions(adopt=True)).plan)

    def test_a_foreign_host_is_not_searched_for_where_that_is_not_configured(self, world: World) -> None:
        world.serving("i-a", "10.0.0.1")
        node = world.tower.add_host(world.inventory, "node", instance_id="i-a")
        world.reconcile()
        assert world.tower.hosts[node.id] == node
        assert world.tower.names_in(world.inventory) == {"node", "i-a"}

    def test_a_group_to_be_forgotten_loses_its_hosts(self, world: World) -> None:
        world.group("web", tags={})
        world.serving("i-a", "10.0.0.1")
        world.host_of("i-a", "10.0.0.1")
        assert idle(world.reconcile().plan)
        assert actions(world.reconcile(RunOptions(forget=frozenset({"web"})))) == {("removed", "i-a")}


class TestProvisioned:
    """What is to be provisioned is provisioned, or its host says that it is not, and the next run tries again."""

    @pytest.fixture
    def young(self, world: World) -> World:
        """An instance to be provisioned, and one not to be."""
        world.serving("i-old", "10.0.0.1")
        world.serving("i-young", "10.0.0.2", age=YOUNG)
        return world

    @staticmethod
    def tries_again(world: World) -> bool:
        """Whether the next run launches the young one's job, and nothing is left to do then."""
        world.tower.failing.clear()
        world.fleet.failing.clear()
        world.tower.before_call = world.fleet.before_call = lambda method: None
        world.tower.after_create = lambda: None
        launched = len(world.tower.runs)
        steps_of_young = {action for action, instance_id in actions(world.reconcile()) if instance_id == "i-young"}
        jobs = [run.job.hosts for run in world.tower.runs.values()][launched:]
        return len(steps_of_young) == 1 and jobs == [{"i-young"}] and idle(world.reconcile().plan)

    def test_after_a_launch_that_failed(self, young: World) -> None:
        young.tower.failing["launch"] = TowerDenied("no role execute")
        outcome = young.reconcile()
        assert {fix.step for fix in outcome.fixes} == {"added"}, "nothing was launched"
        assert actions(outcome) == {("added", "i-old"), ("added", "i-young")}
        assert list(outcome.errors) == ["provisioning instances of group web"]
        outcome = young.reconcile()
        assert (actions(outcome), outcome.by_inventory[young.inventory].fixed) == (set(), 0)
        assert list(outcome.errors) == ["provisioning instances of group web"]
        assert self.tries_again(young)

    def test_after_one_of_several_launches_failed(self, world: World) -> None:
        def refuse_the_second(method: str) -> None:
            if method == "launch" and world.tower.calls["launch"] == 2:
                raise TowerDenied("no role execute")

        world.settings = replace(world.settings, max_hosts_per_job=1)
        for name in ("i-a", "i-young"):
            world.serving(name, f"10.0.0.{name}", age=YOUNG)
        world.tower.before_call = refuse_the_second
        world.reconcile()
        assert [run.job.hosts for run in world.tower.runs.values()] == [{"i-a"}]
        assert self.tries_again(world)

    def test_after_a_creation_without_an_answer(self, young: World) -> None:
        def lose_the_answer() -> None:
            raise TowerUnavailable("a gateway gave up")

        young.tower.after_create = lose_the_answer
        assert not young.reconcile().fixes
        assert self.tries_again(young)

    def test_after_a_creation_that_was_repeated_and_met_what_it_had_made(
        self, young: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make = young.tower.create_hosts

        def repeat(inventory: Inventory, hosts: Sequence[NewHost]) -> MadeHosts:
            monkeypatch.undo()
            make(inventory, hosts)
            return make(inventory, hosts)

        monkeypatch.setattr(young.tower, "create_hosts", repeat)
        assert not young.reconcile().fixes
        assert self.tries_again(young)

    @pytest.mark.parametrize("method", ["memberships", "departed"])
    def test_after_aws_did_not_say_who_stays(self, young: World, method: str) -> None:
        def fail(called: str) -> None:
            if called == method and young.tower.calls["create_hosts"]:
                raise Throttled("slow down")

        young.fleet.before_call = fail
        assert not young.reconcile().fixes
        assert self.tries_again(young)

    def test_after_its_inventory_groups_were_not_to_be_had(self, young: World) -> None:
        young.tower.failing["group_ids"] = TowerDenied("not for you")
        assert list(young.reconcile().errors) == ["inventory groups of group web"]
        assert not young.tower.runs
        assert self.tries_again(young)

    def test_what_was_added_is_recorded_though_the_run_ends_in_an_error_that_was_not_expected(
        self, young: World
    ) -> None:
        def fail(method: str) -> None:
            if method == "launch":
                raise KeyError("a bug")

        young.tower.before_call = fail
        clients = (young.tower, young.fleet, young.queues)
        run = Reconcile(young.settings, *clients, share=0.2, seconds_left=lambda: TIME_RESERVE + 1)
        with pytest.raises(KeyError):
            run.run(RunOptions())
        assert actions(run.outcome) == {("added", "i-old"), ("added", "i-young")}

    def test_a_launch_without_an_answer_is_not_repeated_if_tower_has_the_job(self, young: World) -> None:
        def launch_and_lose_the_answer(method: str) -> None:
            if method == "launch" and not young.tower.runs:
                young.tower.add_job(young.template, young.inventory, "i-young")
                raise TowerUnavailable("a gateway gave up")

        young.tower.before_call = launch_and_lose_the_answer
        outcome = young.reconcile()
        assert actions(outcome) == {("added", "i-old"), ("added", "i-young")}
        assert len(young.tower.runs) == 1
        assert outcome.errors == {}

    def test_a_launch_that_was_turned_away_is_repeated_at_once(self, young: World) -> None:
        def turn_away_once(method: str) -> None:
            if method == "launch" and young.tower.calls["launch"] == 1:
                raise TowerUnavailable("503")

        young.tower.before_call = turn_away_once
        assert ("added", "i-young") in actions(young.reconcile())
        assert len(young.tower.runs) == 1

    def test_after_a_job_whose_host_could_not_be_noted_no_second_one_is_launched(self, young: World) -> None:
        young.tower.failing["update_host"] = TowerUnavailable("away")
        outcome = young.reconcile()
        assert list(outcome.errors) == list(outcome.host_errors_in) == ["host i-young of inventory prod"]
        assert {each.name for each in outcome.host_errors_in.values()} == {"prod"}
        young.tower.failing.clear()
        assert actions(young.reconcile()) == {("fixed", "i-young")}
        assert [run.job.hosts for run in young.tower.runs.values()] == [{"i-young"}]
        assert idle(young.reconcile().plan)

    def test_also_where_that_job_has_ended_by_then(self, young: World) -> None:
        young.tower.failing["update_host"] = TowerUnavailable("away")
        young.reconcile()
        young.tower.failing.clear()
        young.clock.advance(60)
        [run] = young.tower.runs.values()
        young.tower.end_job(run.job.id, {})
        assert actions(young.reconcile()) == {("fixed", "i-young")}
        assert len(young.tower.runs) == 1

    def test_it_is_in_its_groups_and_has_its_address_before_its_job_is_launched(self, young: World) -> None:
        def check(method: str) -> None:
            if method == "launch":
                host = next(each for each in young.tower.hosts.values() if each.name == "i-young")
                launched_on.append((host.variables["ansible_host"], young.tower.groups_of(host.id)))

        launched_on: list[object] = []
        young.tower.failing["launch"] = TowerDenied("no role execute")
        young.reconcile()
        young.tower.failing.clear()
        host = next(each for each in young.tower.hosts.values() if each.name == "i-young")
        young.tower.update_host(host.id, "i-young", {**host.variables, "ansible_host": "10.9.9.9"})
        young.tower.members.clear()
        young.tower.before_call = check
        young.reconcile()
        assert launched_on == [("10.0.0.2", {"web"})]

    @pytest.mark.parametrize("ended", [True, False])
    def test_not_where_a_job_holds_it_already(self, world: World, ended: bool) -> None:
        world.serving("i-young", "10.0.0.2", age=YOUNG)
        job = world.tower.add_job(world.template, world.inventory, "i-young")
        if ended:
            world.tower.end_job(job.id, {})
        assert actions(world.reconcile()) == {("added", "i-young")}
        assert len(world.tower.runs) == 1
        assert idle(world.reconcile().plan)

    def test_the_step_says_why_a_job_is_launched_and_which(self, young: World) -> None:
        outcome = young.reconcile()
        [job] = young.tower.runs
        by_id = {fix.instance_id: fix for fix in outcome.fixes}
        assert (by_id["i-young"].step, by_id["i-young"].job) == ("added and provisioned", job)
        assert by_id["i-young"].reason.endswith(
            "and no job holds it: its event was lost, or it came before its group had hooks"
        )
        assert (by_id["i-old"].step, by_id["i-old"].job) == ("added", None)
        assert by_id["i-old"].reason.endswith("has no host")

    def test_the_step_says_that_a_job_was_asked_for(self, world: World) -> None:
        world.serving("i-old", "10.0.0.1")
        [fix] = world.reconcile(RunOptions(provision=True)).fixes
        assert (fix.step, fix.job) == ("added and provisioned", *world.tower.runs)
        assert fix.reason.endswith("; its job is asked for")

    def test_a_job_that_was_owed_is_recorded_with_the_host_that_was_fixed(self, young: World) -> None:
        young.tower.failing["launch"] = TowerDenied("no role execute")
        young.reconcile()
        young.tower.failing.clear()
        [fix] = young.reconcile().fixes
        assert (fix.step, fix.job) == ("fixed and provisioned", *young.tower.runs)
        assert "its group's job was to be launched on it" in fix.reason

    def test_a_job_is_recorded_although_its_host_could_not_be_noted(self, young: World) -> None:
        young.tower.failing["update_host"] = TowerUnavailable("away")
        assert {(fix.instance_id, fix.job) for fix in young.reconcile().fixes} == {
            ("i-old", None),
            ("i-young", *young.tower.runs),
        }

    def test_by_request_once_more_though_not_while_a_job_runs(self, world: World) -> None:
        for name in ("i-a", "i-b"):
            world.serving(name, f"10.0.0.{name}")
            job = world.tower.add_job(world.template, world.inventory, name)
        world.clock.advance(60)
        world.tower.end_job(job.id, {})
        world.clock.advance(60)
        world.reconcile(RunOptions(provision=True))
        assert [run.job.hosts for run in world.tower.runs.values()] == [{"i-a"}, {"i-b"}, {"i-b"}]

    def test_while_tower_does_not_say_what_its_jobs_hold_its_group_is_left_alone(self, young: World) -> None:
        young.tower.failing["jobs_holding"] = TowerUnavailable("away")
        assert not young.reconcile().fixes
        assert self.tries_again(young)

    def test_while_aws_does_not_say_when_it_came_its_group_is_left_alone(self, young: World) -> None:
        young.group("db")
        young.serving("i-db", "10.0.0.3", "db")

        def fail(group: str, instance_ids: Collection[str]) -> dict[str, float]:
            if group == "web":
                raise AwsDenied("no permission")
            return dict.fromkeys(instance_ids, 0.0)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(young.fleet, "arrivals", fail)
            outcome = young.reconcile()
        assert actions(outcome) == {("added", "i-db")}
        assert list(outcome.errors) == ["scaling activities of group web"]
        assert self.tries_again(young)

    def test_auto_scaling_is_asked_when_those_came_that_have_no_host_in_use_and_about_no_others(
        self, young: World
    ) -> None:
        for state in ("Pending", "Pending:Proceed", "Terminating:Wait", "Warmed:Stopped"):
            young.serving(f"i-{state}", "10.0.1.1", state=state)
        young.serving("i-waits", "10.0.1.2", state="Pending:Wait")
        young.serving("i-rested", "10.0.1.3")
        rested = young.host_of("i-rested", "10.0.1.3", variables={})
        young.tower.update_host(rested.id, "i-rested", with_state(rested.variables, resting={"since": 1.0}))
        young.serving("i-hosted", "10.0.1.4")
        young.host_of("i-hosted", "10.0.1.4")
        asked: list[set[str]] = []

        def arrivals(group: str, instance_ids: Collection[str]) -> dict[str, float]:
            asked.append(set(instance_ids))
            return {}

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(young.fleet, "arrivals", arrivals)
            young.reconcile(dry_run=True)
        assert asked == [{"i-old", "i-young", "i-waits", "i-rested"}]

    def test_one_that_a_person_disabled_meanwhile_owes_no_job_any_more(self, young: World) -> None:
        young.tower.failing["launch"] = TowerDenied("no role execute")
        young.reconcile()
        young.tower.failing.clear()
        young.tower.disabled |= {host.id for host in young.tower.hosts.values() if host.name == "i-young"}
        young.reconcile()
        assert not young.tower.runs
        assert idle(young.reconcile().plan)


class TestTheTimeLimit:
    @staticmethod
    def ticks(steps: int) -> Callable[[], float]:
        """A clock by which there is time for so many batches."""
        asked_for_time = count()
        return lambda: TIME_RESERVE + (1 if next(asked_for_time) < steps else 0)

    def test_without_time_nothing_is_begun_and_all_is_left(self, world: World) -> None:
        a_bit_of_everything(world)
        unchanged = left_alone(world)
        outcome = world.reconcile(seconds_left=self.ticks(0))
        assert unchanged()
        assert outcome.left == 6

    def test_what_is_left_is_for_the_next_run(self, world: World) -> None:
        for number in range(250):
            world.serving(f"i-{number}", f"10.0.0.{number}")
        outcome = world.reconcile(seconds_left=self.ticks(2))
        assert (len(outcome.fixes), outcome.left) == (200, 50)
        assert len(world.tower.names_in(world.inventory)) == 200
        outcome = world.reconcile()
        assert (len(outcome.fixes), outcome.left) == (50, 0)

    @pytest.mark.parametrize("steps", range(7))
    def test_wherever_it_stops_the_next_run_finishes(self, world: World, steps: int) -> None:
        a_bit_of_everything(world)
        first = world.reconcile(seconds_left=self.ticks(steps))
        assert len(first.fixes) + first.left == 6
        assert "i-strayed" in {host.name for host in world.tower.hosts.values()}
        world.reconcile()
        assert idle(world.reconcile(dry_run=True).plan)
        assert world.tower.names_in(world.inventory) == {"i-moved", "i-new", "i-strayed"}

    def test_addresses_are_freed_first(self, world: World) -> None:
        a_bit_of_everything(world)
        assert actions(world.reconcile(seconds_left=self.ticks(1))) == {("removed", "i-gone")}


class TestLostEvents:
    def test_an_instance_that_waits_to_terminate_is_queued_by_instance_id(self, world: World) -> None:
        world.serving("i-a", "10.0.0.1", state="Terminating:Wait")
        outcome = world.reconcile()
        expected = LifecycleAction(Transition.TERMINATING, ACCOUNT, REGION, "web", "i-a", TERMINATE_HOOK, None)
        assert actions_in(world, world.settings.terminate_queue_url) == [expected]
        assert len(world.queues.sent) == 1
        assert world.fleet.heartbeats == {"i-a": 1}
        assert outcome.by_inventory[world.inventory].requeued == 1

    def test_an_instance_that_waits_to_launch_is_queued_by_instance_id(self, world: World) -> None:
        world.serving("i-a", "10.0.0.1", state="Pending:Wait", age=RETRY_MAX + 1)
        world.reconcile()
        expected = LifecycleAction(Transition.LAUNCHING, ACCOUNT, REGION, "web", "i-a", HOOK, None)
        assert actions_in(world, world.settings.launch_queue_url) == [expected]
        assert len(world.queues.sent) == 1

    def test_the_lost_launch_of_a_replaced_root_volume_is_made_up_for_within_minutes(self, world: World) -> None:
        self.with_a_new_root_volume(world, "Pending:Wait")
        for _ in range(2):
            world.clock.advance(300)
            world.reconcile(RunOptions(every=300.0))
        [action, *_] = actions_in(world, world.settings.launch_queue_url)
        assert action
        assert (action.instance_id, action.hook) == ("i-a", HOOK)

    def test_one_that_serves_with_a_new_root_volume_whose_launch_was_lost_gets_a_job(self, world: World) -> None:
        self.with_a_new_root_volume(world, "InService")
        world.clock.advance(300)
        world.reconcile(RunOptions(every=300.0))
        assert world.tower.disabled == set()
        assert len([run for run in world.tower.runs.values() if not run.job.status.final]) == 1

    @staticmethod
    def with_a_new_root_volume(world: World, state: str) -> None:
        """i-a was launched a month ago, and its job ended right before its host was put to rest, half a minute ago."""
        world.serving("i-a", "10.0.0.1", state=state, age=30 * 86400)
        host = world.host_of("i-a", "10.0.0.1", age=30 * 86400)
        world.tower.end_job(world.tower.add_job(world.template, world.inventory, "i-a").id, {"i-a": Outcome.OK})
        world.clock.advance(1)
        disable_hosts(world.tower, ["i-a"], ACCOUNT, REGION)
        assert world.tower.disabled == {host.id}
        world.clock.advance(30)

    @pytest.mark.parametrize("hosted", [True, False])
    def test_scheduled_runs_queue_what_a_person_holds_for_two_days_a_handful_of_times(
        self, world: World, hosted: bool
    ) -> None:
        world.serving("i-a", "10.0.0.1", state="Pending:Wait", age=0)
        if hosted:
            world.host_of("i-a", "10.0.0.1")
            job = world.tower.add_job(world.template, world.inventory, "i-a")
            world.tower.end_job(job.id, {}, JobStatus.FAILED)
        for _ in range(48 * 6):
            world.clock.advance(600)
            world.reconcile(RunOptions(every=600.0))
        assert 5 <= len(world.queues.sent) <= 16

    def test_one_that_register_could_not_register_is_reported_and_not_queued(self, world: World) -> None:
        world.serving("i-a", "10.0.0.1", state="Pending:Wait", age=RETRY_MAX + 1)
        world.tower.add_host(world.inventory, "i-a")
        outcome = world.reconcile()
        assert not world.queues.sent
        assert [finding.kind for finding in outcome.plan.findings] == [DriftKind.NAME_TAKEN]

    @pytest.mark.parametrize("state", ["Pending:Wait", "Terminating:Wait"])
    def test_one_that_waits_for_a_foreign_hook_is_not(self, world: World, state: str) -> None:
        world.serving("i-a", "10.0.0.1", state=state)
        world.fleet.stale.add("i-a")
        outcome = world.reconcile()
        assert len(outcome.plan.requeues) == 1
        assert not world.queues.sent
        assert not outcome.fixes
        assert outcome.by_inventory[world.inventory].requeued == 0

    def test_foreign_hooks_get_no_heartbeat(self, world: World) -> None:
        world.serving("i-a", "10.0.0.1", state="Terminating:Wait")
        world.fleet.known_hooks["web"] = [Hook("drain", Transition.TERMINATING, "")]
        world.reconcile()
        assert not world.queues.sent
        assert not world.fleet.heartbeats

    def test_a_hook_that_notifies_our_queue_is_ours_whatever_its_name(self, world: World) -> None:
        world.settings = replace(
            world.settings, terminate_queue_url=f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/terminate"
        )
        world.serving("i-a", "10.0.0.1", state="Terminating:Wait")
        target = f"arn:aws:sqs:{REGION}:{ACCOUNT}:terminate"
        world.fleet.known_hooks["web"] = [Hook("bye", Transition.TERMINATING, target)]
        world.reconcile()
        [action] = actions_in(world, world.settings.terminate_queue_url)
        assert action
        assert action.hook == "bye"

    def test_of_several_hooks_of_ours_only_the_open_one_is_queued(self, world: World) -> None:
        world.serving("i-a", "10.0.0.1", state="Terminating:Wait")
        world.fleet.known_hooks["web"].append(Hook("rollcall-second", Transition.TERMINATING, ""))
        world.fleet.waits_for["i-a"] = "rollcall-second"
        world.reconcile()
        [action] = actions_in(world, world.settings.terminate_queue_url)
        assert action
        assert action.hook == "rollcall-second"

    def test_one_that_a_job_is_at_work_on_is_not_queued_again(self, world: World) -> None:
        world.serving("i-a", "10.0.0.1", state="Pending:Wait")
        world.host_of("i-a", "10.0.0.1")
        world.tower.add_job(world.template, world.inventory, "i-a")
        assert not world.reconcile().plan.requeues

    def test_tower_is_not_asked_for_the_jobs_of_instances_that_serve(self, world: World) -> None:
        world.serving("i-a", "10.0.0.1")
        world.host_of("i-a", "10.0.0.1")
        world.reconcile()
        assert world.tower.calls["jobs_holding"] == 0

    @pytest.mark.parametrize(("since", "times"), [(1800 + 900, 0), (1800 + 901, 1)])
    def test_one_whose_newest_job_ended_long_ago_is_queued_again(self, world: World, since: float, times: int) -> None:
        world.serving("i-a", "10.0.0.1", state="Pending:Wait")
        world.host_of("i-a", "10.0.0.1")
        first = world.tower.add_job(world.template, world.inventory, "i-a")
        world.tower.end_job(first.id, {}, JobStatus.FAILED)
        world.clock.advance(5000)
        second = world.tower.add_job(world.template, world.inventory, "i-a")
        world.tower.end_job(second.id, {}, JobStatus.FAILED)
        world.clock.advance(since)
        assert len(world.reconcile().plan.requeues) == times

    def test_while_tower_does_not_say_what_its_jobs_hold_that_group_is_left_alone(self, world: World) -> None:
        world.group("db", job_template="")
        world.serving("i-a", "10.0.0.1", state="Pending:Wait")
        world.host_of("i-a", "10.0.0.1")
        world.host_of("i-gone", "10.0.0.2")
        world.host_of("i-dead", "10.0.0.3", "db")
        world.tower.failing["jobs_holding"] = TowerRejected("a status we do not know")
        outcome = world.reconcile()
        assert actions(outcome) == {("removed", "i-dead")}
        assert len(outcome.errors) == 1

    def test_an_error_of_one_leaves_the_others_alone(self, world: World) -> None:
        for name in ("i-a", "i-b", "i-c"):
            world.serving(name, "10.0.0.1", state="Terminating:Wait")
        world.fleet.throttled.add("i-a")
        outcome = world.reconcile()
        assert actions(outcome) == {("requeued", "i-b"), ("requeued", "i-c")}
        assert list(outcome.errors) == list(outcome.host_errors_in) == ["waiting instance i-a of group web"]

    def test_the_time_limit_holds_for_them_too(self, world: World) -> None:
        for number in range(5):
            world.serving(f"i-{number}", "10.0.0.1", state="Terminating:Wait")
        outcome = world.reconcile(seconds_left=TestTheTimeLimit.ticks(2))
        assert (len(outcome.fixes), outcome.left) == (2, 3)


def test_what_only_the_operator_may_settle_is_reported(world: World) -> None:
    world.serving("i-a", "10.0.0.1")
    world.host_of("i-a", "10.0.0.1")
    world.host_of("i-b", "10.0.0.1", age=0)
    world.tower.add_host(world.inventory, "10.0.0.1")
    outcome = world.reconcile()
    assert idle(outcome.plan)
    assert outcome.by_inventory[world.inventory].conflicts == 2


def test_an_instance_whose_group_asks_for_a_public_address_is_reported_and_left_without_a_host(world: World) -> None:
    world.group("web", address=AddressKind.PUBLIC)
    world.serving("i-a", "10.0.0.1")
    outcome = world.reconcile()
    assert idle(outcome.plan)
    assert [finding.kind for finding in outcome.plan.findings] == [DriftKind.NO_ADDRESS]


def troubles(world: World, *, groups: tuple[str, ...] = (), instances: tuple[str, ...] = ()) -> set[str]:
    """What a run for these says that it could not read."""
    options = RunOptions(
        groups=frozenset(groups) if groups else None, instances=frozenset(instances) if instances else None
    )
    return set(world.reconcile(options, dry_run=True).errors)


class TestWhoseTroubleItIs:
    @pytest.fixture
    def world(self, world: World) -> World:
        """The group "web" is right and has an instance "i-a", of "bad" with "i-bad" a tag is wrong."""
        world.group("bad", inventory="misspelt")
        world.serving("i-a", "10.0.0.1")
        world.serving("i-bad", "10.0.0.2", "bad")
        return world

    def test_a_wrong_tag_is_its_own_groups(self, world: World) -> None:
        assert troubles(world) == {"group bad"}
        assert troubles(world, groups=("bad",)) == troubles(world, instances=("i-bad",)) == {"group bad"}
        assert troubles(world, groups=("web",)) == troubles(world, instances=("i-a",)) == set()

    def test_it_is_that_of_an_instance_whose_host_says_that_it_is_of_that_group(self, world: World) -> None:
        world.host_of("i-a", "10.0.0.1", "bad")
        assert troubles(world, groups=("web",)) == troubles(world, instances=("i-a",)) == {"group bad"}

    def test_an_inventory_is_that_of_the_groups_that_name_it(self, world: World) -> None:
        other = world.tower.add_inventory("other")
        world.group("db", inventory="other")
        world.serving("i-db", "10.0.0.3", "db")
        world.tower.undumped[other.id] = TowerDenied("not for you")
        assert troubles(world, groups=("db",)) == {"inventory other"}
        assert troubles(world, groups=("web",)) == set()

    def test_an_inventory_is_that_of_every_instance_that_may_have_a_host_in_it_and_names_none(
        self, world: World
    ) -> None:
        world.host_of("i-gone", "10.0.0.4", "deleted")
        other = world.tower.add_inventory("other")
        world.group("db", inventory="other")
        world.tower.undumped[other.id] = TowerDenied("not for you")
        assert troubles(world, groups=("deleted",)) == {"inventory other"}
        assert troubles(world, instances=("i-a",)) == {"inventory other"}, "its host may be there, so it is not settled"

    def test_jobs_are_that_of_the_groups_of_their_template(self, world: World) -> None:
        world.group("db", job_template="")
        world.serving("i-young", "10.0.0.5", age=YOUNG)
        world.serving("i-db", "10.0.0.6", "db", age=YOUNG)
        world.tower.failing["jobs_holding"] = TowerDenied("not for you")
        assert troubles(world, groups=("web",)) == {f"jobs of job template {world.template.id}"}
        assert troubles(world, groups=("db",)) == set()


class TestInstancesThatRest:
    """Their events were lost: cleanup would have disabled their hosts, and register would have enabled them."""

    @staticmethod
    def pooled(world: World, *instance_ids: str) -> None:
        """Instances in the warm pool whose hosts are still in use."""
        for number, instance_id in enumerate(instance_ids):
            world.serving(instance_id, f"10.0.0.{number}", state="Warmed:Stopped")
            world.host_of(instance_id, f"10.0.0.{number}")

    def test_their_hosts_are_disabled_and_marked_once(self, world: World) -> None:
        self.pooled(world, "i-a")
        assert actions(world.reconcile()) == {("fixed", "i-a")}
        [host] = world.tower.hosts_of(["i-a"])
        assert is_disabled_for_rest(host)
        assert marker_in(host.variables)["resting"] == {"since": world.clock.now, "enabled": True}
        assert idle(world.reconcile().plan)

    def test_one_that_came_back_since_it_was_read_keeps_its_host_in_use(self, world: World) -> None:
        self.pooled(world, "i-a", "i-b")

        def comes_back(method: str) -> None:
            if method == "groups_named":
                world.leaves("i-a", "Pending:Wait")

        world.tower.before_call = comes_back
        outcome = world.reconcile()
        assert actions(outcome) == {("fixed", "i-b")}
        assert outcome.left == 1
        assert [host.enabled for host in world.tower.hosts_of(["i-a", "i-b"])] == [True, False]

    def test_where_aws_does_not_say_whether_they_still_rest_they_wait_for_the_next_run(self, world: World) -> None:
        self.pooled(world, "i-a")
        world.serving("i-b", "10.0.0.9")
        world.host_of("i-b", "10.0.0.99")

        def fail(method: str) -> None:
            if method == "groups_named":
                world.fleet.failing["memberships"] = Throttled("later")

        world.tower.before_call = fail
        outcome = world.reconcile()
        assert actions(outcome) == {("fixed", "i-b")}
        assert (outcome.left, list(outcome.errors)) == (1, ["instances that rest"])
        world.fleet.failing.clear()
        world.tower.before_call = lambda method: None
        assert actions(world.reconcile()) == {("fixed", "i-a")}

    def test_auto_scaling_is_asked_again_about_none(self, world: World) -> None:
        world.serving("i-b", "10.0.0.9")
        world.host_of("i-b", "10.0.0.99")
        asked: list[str] = []
        world.fleet.before_call = asked.append
        world.reconcile()
        assert asked.count("memberships") == 1

    def test_one_that_is_back_in_service_is_enabled_and_provisioned_and_its_debt_is_on_its_host_meanwhile(
        self, world: World
    ) -> None:
        self.pooled(world, "i-a")
        world.reconcile()
        world.clock.advance(3600)
        world.serving("i-a", "10.0.0.0", age=YOUNG)
        world.tower.failing["launch"] = TowerDenied("no role execute")
        world.reconcile()
        [host] = world.tower.hosts_of(["i-a"])
        marker = marker_in(host.variables)
        assert (host.enabled, marker.keys() & {"resting", "job_owed_since"}) == (True, {"job_owed_since"})
        assert marker["stint"] == {"since": world.clock.now, "token": ""}
        world.tower.failing.clear()
        [fix] = world.reconcile().fixes
        assert fix.step == "fixed and provisioned"
        assert [run.job.hosts for run in world.tower.runs.values()] == [{"i-a"}]
        assert idle(world.reconcile().plan)

    def test_the_pools_lost_actions_are_queued_for_whichever_hook_is_open(self, world: World) -> None:
        world.serving("i-in", "10.0.0.1", state="Warmed:Pending:Wait")
        world.serving("i-back", "10.0.0.2", state="Warmed:Pending:Wait")
        world.fleet.waits_for |= {"i-in": HOOK, "i-back": TERMINATE_HOOK}
        world.reconcile()
        own = {
            url: [action.instance_id for action in actions_in(world, url) if action]
            for url in (world.settings.launch_queue_url, world.settings.terminate_queue_url)
        }
        assert list(own.values()) == [["i-in"], ["i-back"]]

    def test_retained_instances_lose_their_hosts_and_stay_a_finding(self, world: World) -> None:
        world.serving("i-a", "10.0.0.1", state="Terminating:Retained")
        world.host_of("i-a", "10.0.0.1")
        first, again = world.reconcile(), world.reconcile()
        assert (actions(first), actions(again)) == ({("removed", "i-a")}, set())
        for outcome in (first, again):
            assert [(each.kind, each.subject) for each in outcome.plan.findings] == [(DriftKind.RETAINED, "i-a")]
        assert not world.queues.sent


def test_one_that_leaves_while_its_host_is_made_and_cannot_be_removed_again_is_an_error(world: World) -> None:
    world.serving("i-a", "10.0.0.1")
    world.tower.after_create = lambda: world.leaves("i-a")
    world.tower.denied.add(world.inventory.id)
    outcome = world.reconcile()
    assert list(outcome.errors) == ["host of i-a, which left"]
    assert not outcome.fixes
