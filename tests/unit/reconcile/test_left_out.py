"""What reconcile makes of text that may not become part of an inventory: left out, named once, and no drift."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

import pytest

from rollcall.domain.errors import BadSettings
from rollcall.domain.messages import RunOptions
from rollcall.hosts.variables import identity_in
from rollcall.reconcile.credible_answers import CONTROLS
from rollcall.reconcile.steps import DriftKind
from unit.fakes import ACCOUNT, REGION
from unit.world import World

if TYPE_CHECKING:
    from rollcall.domain.inventories import Host
    from rollcall.reconcile.result import RunOutcome

LEFT_OUT = {"__ansible_vault": "x", "motd": "{{ lookup('pipe', 'id') }}"}
NAMED = "__ansible_vault (Ansible would read it as something else), motd (Tower would evaluate it)"


@pytest.fixture
def world() -> World:
    world = World()
    world.group("web")
    return world


def serving(world: World, instance_id: str = "i-a", address: str = "10.0.0.1") -> None:
    instance = world.serving(instance_id, address)
    world.fleet.known_instances[instance_id] = replace(instance, tags={"Name": "web", **LEFT_OUT})


def tags_of(host: Host) -> object:
    facts = host.variables["ec2"]
    assert isinstance(facts, dict)
    return facts["tags"]


def named(outcome: RunOutcome) -> list[tuple[DriftKind, str, bool]]:
    """What was found of what instance, and whether that names what is left out, and why."""
    return [(each.kind, each.subject, NAMED in each.reason) for each in outcome.plan.findings]


def test_a_host_that_reconcile_makes_lacks_what_is_left_out_which_is_named_once(world: World) -> None:
    serving(world)
    assert named(world.reconcile()) == [(DriftKind.TAGS, "i-a", True)]
    [host] = world.tower.hosts.values()
    assert tags_of(host) == {"Name": "web"}
    again = world.reconcile()
    assert not again.fixes
    assert named(again) == []


def test_what_was_left_out_at_registration_is_no_drift(world: World) -> None:
    action = world.launching("i-a")
    serving(world, address="10.0.0.7")
    world.fleet.known_memberships["i-a"] = replace(world.fleet.known_memberships["i-a"], state="Pending:Wait")
    assert len(world.register(action)[0].left_out) == 2
    serving(world, address="10.0.0.7")
    for _ in range(2):
        outcome = world.reconcile()
        assert not outcome.fixes
        assert named(outcome) == []


@pytest.mark.parametrize("facts", [{"tags": LEFT_OUT}, {"type": "{{ x }}"}])
def test_a_host_from_before_is_cleared_of_what_it_should_never_have_got(world: World, facts: dict[str, object]) -> None:
    for number in range(CONTROLS):  # EC2 is asked about these, and about no other whose host looks right
        right = world.serving(f"i-0{number}", f"10.0.1.{number}")
        world.host_of(right.instance_id, f"10.0.1.{number}", variables={"ec2": dict(right.facts)})
    serving(world)
    ours = world.fleet.known_instances["i-a"].facts
    odd = world.host_of("i-a", "10.0.0.1", variables={"ec2": {**ours, **facts}, "note": "mine"})
    outcome = world.reconcile()
    [fix] = outcome.fixes
    assert (fix.action, fix.instance_id) == ("fixed", "i-a")
    assert "hold what they may not" in fix.reason
    host = world.tower.hosts[odd.id]
    assert (tags_of(host), host.variables["note"]) == ({"Name": "web"}, "mine")
    assert not world.reconcile().fixes


def test_a_host_that_is_put_right_or_taken_over_lacks_it_too(world: World) -> None:
    for instance_id, address in (("i-moved", "10.0.0.1"), ("i-theirs", "10.0.0.2")):
        serving(world, instance_id, address)
    world.host_of("i-moved", "10.0.0.99")
    world.tower.add_host(world.inventory, "i-theirs")
    outcome = world.reconcile(RunOptions(adopt=True))
    assert sorted(named(outcome)) == [(DriftKind.TAGS, "i-moved", True), (DriftKind.TAGS, "i-theirs", True)]
    assert all(tags_of(host) == {"Name": "web"} for host in world.tower.hosts.values())


@pytest.mark.parametrize("name", ["{{ lookup('pipe', 'id') }}", "localhost", "i-0123456789abcdef0", "__ansible_vault"])
def test_a_group_whose_name_would_do_harm_gets_no_host_from_reconcile_either(world: World, name: str) -> None:
    world.group(name)
    instance = world.serving("i-a", "10.0.0.1", name)
    assert instance.living
    outcome = world.reconcile()
    assert isinstance(outcome.errors[f"group {name}"], BadSettings)
    assert not world.tower.hosts
    assert not world.tower.groups


def test_a_fact_of_ec2s_that_is_left_out_is_no_drift(world: World) -> None:
    instance = world.serving("i-a", "10.0.0.1")
    world.fleet.known_instances["i-a"] = replace(instance, facts={**instance.facts, "type": "{{ x }}"})
    outcome = world.reconcile()
    assert [each.kind for each in outcome.plan.findings] == [DriftKind.TAGS]
    [host] = world.tower.hosts.values()
    assert identity_in(host.variables) == {
        "group": "web",
        "instance_id": "i-a",
        "account": ACCOUNT,
        "region": REGION,
        "vpc": "vpc-1",
        "inventory": host.inventory_id,
    }
    assert not world.reconcile().fixes
