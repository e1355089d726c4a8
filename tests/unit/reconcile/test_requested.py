"""Runs of reconcile that are asked for certain instances: about these alone, and with an answer for each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.errors import AwsDenied, TowerDenied, TowerRejected
from rollcall.domain.groups import AddressKind
from rollcall.domain.membership import Membership
from rollcall.domain.messages import RunOptions
from rollcall.hosts.ownership import AWS_VISIBILITY_LAG
from rollcall.reconcile.answer import run_answer
from rollcall.tower.references import NOT_FOUND_REMEDY
from unit.fakes import ACCOUNT, REGION, FakeChef
from unit.world import HOOK, World

if TYPE_CHECKING:
    from rollcall.reconcile.result import InstanceResult, RunOutcome

EVERYTHING = {"i-gone", "i-moved", "i-new", "i-strayed", "i-leaving", "i-coming"}


@pytest.fixture(autouse=True)
def _a_bit_of_everything(world: World) -> None:
    """A world in which every kind of step is due."""
    world.host_of("i-gone", "10.0.0.1")
    world.serving("i-moved", "10.0.0.2")
    world.host_of("i-moved", "10.0.0.99")
    world.serving("i-new", "10.0.0.3", age=600)
    world.serving("i-strayed", "10.0.0.4")
    world.host_of("i-strayed", "10.0.0.4", inventory=world.tower.add_inventory("other"))
    world.serving("i-leaving", "10.0.0.5", state="Terminating:Wait")
    world.serving("i-coming", "10.0.0.6", state="Pending:Wait")


def asked(world: World, *instance_ids: str, dry_run: bool = False, force: bool = False) -> RunOutcome:
    """A run for these instances."""
    return world.reconcile(RunOptions(instances=frozenset(instance_ids)), dry_run=dry_run, force=force)


def answer(world: World, instance_id: str) -> InstanceResult:
    """What a run for this instance alone came to."""
    outcome = asked(world, instance_id)
    assert outcome.instance_results.keys() == {instance_id}
    return outcome.instance_results[instance_id]


@pytest.mark.parametrize(
    ("instance_id", "actions"),
    [
        ("i-gone", {"removed"}),
        ("i-moved", {"fixed"}),
        ("i-new", {"added"}),
        ("i-strayed", {"added", "removed"}),
        ("i-leaving", {"requeued"}),
        ("i-coming", {"requeued"}),
    ],
)
def test_each_kind_of_step_is_taken_for_the_instance_that_is_named_and_for_no_other(
    world: World, instance_id: str, actions: set[str]
) -> None:
    outcome = asked(world, instance_id)
    assert {(fix.action, fix.instance_id) for fix in outcome.fixes} == {(action, instance_id) for action in actions}
    assert outcome.instance_results[instance_id].settled
    for fix in outcome.fixes:
        job = "" if fix.job is None else f" by job {fix.job}"
        assert f"{fix.step}{job}: {fix.reason}" in outcome.instance_results[instance_id].reason


def test_several_instances_are_one_run(world: World) -> None:
    outcome = asked(world, *EVERYTHING)
    assert {fix.instance_id for fix in outcome.fixes} == EVERYTHING
    assert {each for each, answer in outcome.instance_results.items() if answer.settled} == EVERYTHING


def test_a_run_for_all_answers_for_no_instance(world: World) -> None:
    assert world.reconcile().instance_results == {}


def test_a_dry_run_settles_nothing_that_is_to_be_done(world: World) -> None:
    outcome = asked(world, "i-gone", "i-leaving", "i-nobody", dry_run=True)
    assert not outcome.fixes
    assert not world.queues.sent
    assert {each: answer.settled for each, answer in outcome.instance_results.items()} == {
        "i-gone": False,
        "i-leaving": False,
        "i-nobody": True,
    }
    assert outcome.instance_results["i-gone"].reason == "to remove: neither EC2 nor Auto Scaling knows it"


@pytest.mark.parametrize(
    ("state", "words"),
    [("InService", "it is InService in group 'web'"), ("Terminating:Proceed", "it is Terminating:Proceed")],
)
def test_an_instance_about_which_nothing_is_to_do_answers_so(world: World, state: str, words: str) -> None:
    world.serving("i-right", "10.0.0.9", state=state)
    world.host_of("i-right", "10.0.0.9")
    said = answer(world, "i-right")
    assert said.settled
    assert said.reason.startswith(f"nothing to do: {words}")


def test_an_instance_that_is_not_known_answers_so(world: World) -> None:
    said = answer(world, "i-nobody")
    assert said.settled
    assert said.reason == "nothing to do: no group of ours has it, and no host is for it"


def test_an_instance_that_is_named_is_queued_at_once_however_young_and_whatever_its_job_does(world: World) -> None:
    world.serving("i-young", "10.0.0.9", state="Pending:Wait", age=1)
    world.serving("i-hosted", "10.0.0.10", state="Pending:Wait", age=1)
    world.host_of("i-hosted", "10.0.0.10")
    world.tower.add_job(world.template, world.inventory, "i-hosted")
    world.serving("i-warm", "10.0.0.11", state="Warmed:Pending:Wait", age=1)
    outcome = asked(world, "i-young", "i-hosted", "i-warm")
    assert {(fix.action, fix.instance_id) for fix in outcome.fixes} == {
        ("requeued", "i-young"),
        ("requeued", "i-hosted"),
        ("requeued", "i-warm"),
    }
    world.queues.sent.clear()
    assert "i-young" not in {fix.instance_id for fix in world.reconcile().fixes}


def test_an_instance_that_waits_for_a_foreign_hook_is_settled(world: World) -> None:
    world.fleet.stale.add("i-leaving")
    said = answer(world, "i-leaving")
    assert (said.settled, said.reason) == (True, "it waits for no hook of ours")


def test_an_instance_that_could_not_be_queued_is_not_settled(world: World) -> None:
    world.fleet.failing["heartbeat"] = AwsDenied("no")
    assert not answer(world, "i-leaving").settled


def test_an_instance_that_register_could_not_register_is_not_queued_and_says_why(world: World) -> None:
    world.tower.add_host(world.inventory, "i-coming")
    said = answer(world, "i-coming")
    assert not world.queues.sent
    assert not said.settled
    assert "in the way i-coming" in said.reason


def test_what_was_left_for_want_of_time_is_not_settled(world: World) -> None:
    options = RunOptions(instances=frozenset({"i-gone", "i-leaving"}))
    outcome = world.reconcile(options, seconds_left=lambda: 0)
    assert outcome.left == 2
    assert not any(each.settled for each in outcome.instance_results.values())


def test_what_tower_refused_is_not_settled(world: World) -> None:
    world.tower.failing["delete_hosts"] = TowerRejected("no")
    said = answer(world, "i-gone")
    assert (said.settled, said.reason) == (False, "to remove: neither EC2 nor Auto Scaling knows it")


def test_no_host_is_added_at_the_address_of_one_that_the_run_is_not_about(world: World) -> None:
    world.host_of("i-other", "10.0.0.3")
    said = answer(world, "i-new")
    assert not said.settled
    assert "it gets no host while i-other" in said.reason
    assert world.tower.names_in(world.inventory) == {"i-gone", "i-moved", "i-other"}
    assert {fix.instance_id for fix in asked(world, "i-new", "i-other").fixes} == {"i-new", "i-other"}


@pytest.mark.parametrize("force", [False, True])
def test_the_removal_limit_counts_as_in_any_run(world: World, force: bool) -> None:
    ids = [f"i-dead{number}" for number in range(6)]
    for number, each in enumerate(ids):
        world.host_of(each, f"10.0.1.{number}")
    outcome = asked(world, *ids, force=force)
    assert {each.settled for each in outcome.instance_results.values()} == {force}
    assert all(
        ("the removal limit stops its removal, unless forced" in each.reason) is not force
        for each in outcome.instance_results.values()
    )
    few = asked(world, *ids[:2])
    assert all(each.settled for each in few.instance_results.values())


def test_an_instance_of_a_group_that_cannot_be_read_is_not_settled(world: World) -> None:
    world.group("db", inventory="misspelt")
    world.serving("i-db", "10.0.0.9", "db")
    world.host_of("i-old", "10.0.0.10", "db")
    for each in ("i-db", "i-old"):
        said = answer(world, each)
        assert not said.settled
        assert said.reason == (
            "group 'db': tag rollcall:inventory: Tower has no inventory 'misspelt' that the token can read: "
            f"{NOT_FOUND_REMEDY}"
        )
    assert answer(world, "i-gone").settled


def test_an_instance_of_a_group_whose_jobs_tower_does_not_list_is_not_settled(world: World) -> None:
    world.tower.failing["jobs_holding"] = TowerRejected("no")
    said = answer(world, "i-coming")
    assert (said.settled, said.reason) == (False, "not everything about group 'web' could be read")


def test_while_an_inventory_cannot_be_read_none_is_settled(world: World) -> None:
    world.tower.undumped[world.tower.inventory("other").id] = TowerDenied("no")
    said = answer(world, "i-gone")
    assert not said.settled
    assert said.reason == "inventory 'other', which could not be read, may hold its host"


@pytest.mark.parametrize(
    ("set_up", "kind"),
    [
        (lambda world: world.detached("i-moved"), "detached"),
        (lambda world: world.leaves("i-moved", "Terminating:Retained"), "retained"),
        (lambda world: world.fleet.known_memberships.update({"i-moved": Membership("x", "InService")}), "not opted in"),
    ],
)
def test_what_a_person_has_to_decide_is_not_settled(world: World, set_up: object, kind: str) -> None:
    assert callable(set_up)
    set_up(world)
    said = answer(world, "i-moved")
    assert not said.settled
    assert said.reason.startswith(f"{kind} i-moved: ")


def test_a_second_host_and_a_missing_address_are_not_settled(world: World) -> None:
    world.host_of("i-moved", "10.0.0.2", name="also-i-moved")
    assert "second host also-i-moved" in answer(world, "i-moved").reason
    instance = world.serving("i-bare", "")
    assert not instance.addresses[AddressKind.PRIVATE]
    assert "no address i-bare" in answer(world, "i-bare").reason
    world.host_of("i-bare", "10.0.0.9")
    assert "no address i-bare" in answer(world, "i-bare").reason


def test_what_is_known_of_its_address_is_reported_and_unsettles_none_and_of_others_is_not_reported(
    world: World,
) -> None:
    world.tower.add_host(world.inventory, "10.0.0.2")  # at the address of i-moved
    for name in ("i-a", "i-b"):
        world.host_of(name, "10.0.0.77", age=AWS_VISIBILITY_LAG - 60)
    of_moved = asked(world, "i-moved")
    assert {each.kind for each in of_moved.plan.findings} == {"foreign address"}
    assert of_moved.instance_results["i-moved"].settled


def test_a_group_and_an_instance_are_both_asked_for(world: World) -> None:
    outcome = world.reconcile(RunOptions(groups=frozenset({"db"}), instances=frozenset({"i-gone"})))
    assert not outcome.fixes


def test_nodes_of_others_stay_in_chef_and_the_removal_limit_counts_all_of_ours(world: World) -> None:
    world.chef = chef = FakeChef()
    world.group("web", chef="@instance_id@")
    for number in range(40):
        each = f"i-{number:02}"
        chef.bootstrap(each, instance_id=each, account=ACCOUNT, region=REGION, seen_at=world.clock.now)
        world.fleet.known_instances[each] = world.instance(each, state="terminated")
    outcome = asked(world, *(f"i-{number:02}" for number in range(7)))
    assert {each.node for each in outcome.nodes.removed} == {f"i-{number:02}" for number in range(7)}
    assert outcome.instance_results["i-00"].settled
    assert outcome.instance_results["i-00"].reason.startswith("removed from Chef as i-00: ")
    stopped = asked(world, *(f"i-{number:02}" for number in range(7, 27)))
    assert not stopped.nodes.removed
    assert not stopped.instance_results["i-07"].settled
    assert "the removal limit stops the removal of node i-07, unless forced" in stopped.instance_results["i-07"].reason
    chef.failing["delete_node"] = TowerRejected("no")
    kept = asked(world, "i-07")
    assert not kept.instance_results["i-07"].settled


def test_the_answer_has_each_instance(world: World) -> None:
    said = json.loads(json.dumps(run_answer(asked(world, "i-gone", "i-nobody"), dry_run=False, seconds=1)))
    assert said["instances"] == {
        "i-gone": {"settled": True, "reason": "removed: neither EC2 nor Auto Scaling knows it"},
        "i-nobody": {"settled": True, "reason": "nothing to do: no group of ours has it, and no host is for it"},
    }


def test_what_is_queued_names_the_instance(world: World) -> None:
    asked(world, "i-coming")
    [(url, body, _)] = world.queues.sent
    assert url == world.settings.launch_queue_url
    expected = LifecycleAction(Transition.LAUNCHING, ACCOUNT, REGION, "web", "i-coming", HOOK)
    assert json.loads(body)["EC2InstanceId"] == expected.instance_id
