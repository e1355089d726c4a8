"""What has to change so that Tower and EC2 agree, decided from plain data."""

from __future__ import annotations

import math
from collections import defaultdict
from copy import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rollcall.domain.actions import Transition
from rollcall.domain.groups import AddressKind, GroupSettings, OnFailure
from rollcall.domain.instances import Instance
from rollcall.domain.inventories import Dump, DumpedHost, Inventory
from rollcall.domain.lifecycle_states import PHASES, Phase, is_held
from rollcall.domain.membership import Membership
from rollcall.domain.messages import RunOptions
from rollcall.domain.timing import JOB_FORGOTTEN, RETRY_MAX
from rollcall.hosts import removal_limit
from rollcall.hosts.ownership import AWS_VISIBILITY_LAG, address_key, is_copy, marker_even_of_copy, marker_of
from rollcall.hosts.removal_limit import LIMIT_MIN
from rollcall.hosts.variables import job_owed_since, marker_in
from rollcall.reconcile.plan import plan
from rollcall.reconcile.plan_removals import over_removal_limit
from rollcall.reconcile.snapshot import Place, Snapshot, hosts_in_use, owners_of, right_by_own_variables, suspects
from rollcall.reconcile.steps import Addition, Change, DriftFinding, DriftKind, Plan, Removal, Requeue

if TYPE_CHECKING:
    from collections.abc import Collection

ACCOUNT, REGION, STRANGER = "123456789012", "us-east-1", "999999999999"
NOW = 1_800_000_000.0
TIMEOUT = 1800
LONG_AGO = 86_400.0  # seconds
PROD, OTHER = Inventory(1, "prod"), Inventory(2, "other")
ABSURD = (0.0, 4e9)  # seconds; what EC2 says of an instance's launch decides nothing


def states(*standings: Phase) -> tuple[str, ...]:
    """The lifecycle states that mean one of these."""
    return tuple(state for state, standing in PHASES.items() if standing in standings)


SERVING = states(Phase.SERVING)
RETAINED = states(Phase.RETAINED)
ON_THEIR_WAY = states(Phase.ENTERING, Phase.LEAVING)
AT_REST = states(Phase.POOLED, Phase.REIMAGED)
HELD_AT_REST = tuple(filter(is_held, AT_REST))
LEFT_TO_THEIR_ACTIONS = (*ON_THEIR_WAY, *HELD_AT_REST)
FACTS = {"vpc": "vpc-1", "private_ip": "10.0.0.1", "public_ip": "54.0.0.1"}
UNSETTLED = (*states(Phase.DETACHED, Phase.UNKNOWN), "Terminating:Somehow")


class Scene:
    """A snapshot in the making. Ages in seconds before NOW."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self.unreadable: set[str] = set()
        self.memberships: dict[str, Membership] = {}
        self.instances: dict[str, Instance] = {}
        self.hosts: list[DumpedHost] = []
        self.created_at: dict[int, float] = {}
        self.by_instance_id: dict[tuple[int, str], int] = {}
        self.arrived_at: dict[str, float] = {}
        self.jobs_ended: dict[str, float] = {}
        self._ids = count(1)

    def group(
        self,
        name: str,
        *inventory_groups: str,
        inventory: Inventory = PROD,
        template: str | None = "provision",
        address: AddressKind = AddressKind.PRIVATE,
    ) -> Scene:
        """A group that opted in, with its own name for an inventory group if none is named."""
        asked = GroupSettings(
            group=name,
            inventory=inventory.name,
            inventory_groups=inventory_groups or (name,),
            job_template=template,
            gate=(),
            timeout=TIMEOUT,
            on_failure=OnFailure.ABANDON,
            address=address,
        )
        self.places[name] = Place(asked, inventory)
        return self

    def instance(
        self,
        instance_id: str,
        address: str = "10.0.0.1",
        *,
        group: str | None = "web",
        state: str = "InService",
        ec2: str | None = "running",
        age: float = LONG_AGO,
        vpc: str = "vpc-1",
        public: str = "",
    ) -> Scene:
        """An instance; group is None if Auto Scaling does not list it, ec2 is None if EC2 does not know it.

        age: since its group began to launch it.
        """
        self.arrived_at[instance_id] = NOW - age
        if group is not None:
            self.memberships[instance_id] = Membership(group, state)
        if ec2 is not None:
            addresses: dict[AddressKind, str] = dict.fromkeys(AddressKind, "") | {
                AddressKind.PRIVATE: address,
                AddressKind.PUBLIC: public,
            }
            launched_at = ABSURD[len(self.instances) % 2]
            self.instances[instance_id] = Instance(instance_id, ec2, launched_at, addresses, {"vpc": vpc}, {})
        return self

    def host(
        self,
        instance_id: str,
        address: str | None = "10.0.0.1",
        group: str | None = "web",
        *,
        name: str | None = None,
        inventory: Inventory = PROD,
        groups: Collection[str] | None = None,
        account: str = ACCOUNT,
        vpc: str = "vpc-1",
        enabled: bool = True,
        age: float = LONG_AGO,
        by_hand: str = "kept",
        facts: dict[str, str] | None = None,
        made_for: Inventory | None = None,
        **state: object,
    ) -> DumpedHost:
        """A host for that instance, in the inventory group named after its group; without a marker if group is None.

        facts: what EC2 said of the instance when the host was made. made_for: the inventory that its marker names, if
        that is another. state: what became of it, in its marker.
        """
        variables: dict[str, object] = {"by_hand": by_hand} | ({"ec2": facts} if facts else {})
        if address:
            variables["ansible_host"] = address
        if group is not None:
            owner: dict[str, object] = {"group": group, "instance_id": instance_id}
            owner |= {"account": account, "region": REGION, "vpc": vpc, "inventory": (made_for or inventory).id}
            variables["rollcall"] = owner | state
        host = DumpedHost(
            id=next(self._ids),
            name=name or instance_id,
            inventory_id=inventory.id,
            inventory_name=inventory.name,
            enabled=enabled,
            variables=variables,
            groups=frozenset(groups if groups is not None else [group] if group else []),
        )
        self.hosts.append(host)
        self.created_at[host.id] = NOW - age
        return host

    def snapshot(self) -> Snapshot:
        """What was set up."""
        dumps = {
            inventory.id: Dump(inventory, tuple(each for each in self.hosts if each.inventory_id == inventory.id))
            for inventory in (PROD, OTHER)
        }
        snapshot = Snapshot(
            account=ACCOUNT,
            region=REGION,
            now=NOW,
            places=self.places,
            unreadable=frozenset(self.unreadable),
            memberships=self.memberships,
            instances=self.instances,
            dumps=dumps,
            owners=owners_of(dumps, ACCOUNT, REGION),
            created_at=self.created_at,
            by_instance_id=self.by_instance_id,
            jobs_ended=self.jobs_ended,
        )
        return replace(snapshot, arrived_at=self._arrived_at(snapshot))

    def _arrived_at(self, snapshot: Snapshot) -> dict[str, float]:
        """Only of whoever has no host in use where it belongs is Auto Scaling asked."""
        hosted = hosts_in_use(snapshot)
        return {
            each: at
            for each, at in self.arrived_at.items()
            if (known := self.memberships.get(each)) and (place := self.places.get(known.group))
            if (place.inventory.id, each) not in hosted
        }

    def plan(self, options: RunOptions | None = None, *kept: Inventory) -> Plan:
        """What to do about it, with nothing removed from inventories that are kept."""
        return plan(self.snapshot(), options or RunOptions(), frozenset(each.id for each in kept))


@pytest.fixture
def scene() -> Scene:
    """The group "web" in inventory prod, and nothing in it yet."""
    return Scene().group("web")


def idle(what: Plan) -> bool:
    """Whether there is nothing to do in Tower."""
    return not (what.removals or what.changes or what.additions)


def kinds(what: Plan) -> list[DriftKind]:
    """What the findings are about."""
    return [finding.kind for finding in what.findings]


class TestInstancesThatAreGone:
    @pytest.mark.parametrize("state", ["shutting-down", "terminated"])
    @pytest.mark.parametrize("group", ["web", None])
    def test_the_host_of_an_instance_that_ec2_calls_gone_is_removed(
        self, scene: Scene, state: str, group: str | None
    ) -> None:
        host = scene.host("i-a", age=0)
        [removal] = scene.instance("i-a", group=group, ec2=state).plan().removals
        assert (removal.host, removal.inventory, removal.moved) == (host, PROD, False)
        assert state in removal.reason

    def test_the_host_of_an_instance_that_is_not_known_is_removed(self, scene: Scene) -> None:
        scene.host("i-a", age=AWS_VISIBILITY_LAG + 1)
        [removal] = scene.plan().removals
        assert removal.reason == "neither EC2 nor Auto Scaling knows it"

    def test_a_young_host_of_an_instance_that_is_not_known_stays(self, scene: Scene) -> None:
        scene.host("i-a", age=AWS_VISIBILITY_LAG)
        assert scene.plan() == Plan()

    def test_a_host_whose_age_tower_does_not_say_stays(self, scene: Scene) -> None:
        scene.created_at.pop(scene.host("i-a").id)
        assert scene.plan() == Plan()

    def test_a_host_whose_instance_only_auto_scaling_knows_stays(self, scene: Scene) -> None:
        scene.host("i-a")
        assert scene.instance("i-a", ec2=None).plan() == Plan()

    def test_a_stopped_instance_is_not_gone(self, scene: Scene) -> None:
        scene.host("i-a")
        assert scene.instance("i-a", ec2="stopped").plan() == Plan()

    def test_the_host_goes_although_its_group_is_gone_too(self, scene: Scene) -> None:
        host = scene.host("i-a", group="deleted")
        [removal] = scene.instance("i-a", group=None, ec2="terminated").plan().removals
        assert removal.host == host

    def test_a_disabled_host_goes_too(self, scene: Scene) -> None:
        scene.host("i-a", enabled=False)
        assert len(scene.instance("i-a", group=None, ec2="terminated").plan().removals) == 1

    def test_its_hosts_go_out_of_every_inventory(self, scene: Scene) -> None:
        hosts = [scene.host("i-a"), scene.host("i-a", inventory=OTHER)]
        removals = scene.instance("i-a", group=None, ec2="terminated").plan().removals
        assert [removal.host for removal in removals] == hosts


@pytest.mark.parametrize("state", LEFT_TO_THEIR_ACTIONS)
class TestInstancesOnTheirWay:
    def test_nothing_is_done_about_the_host_of_one(self, scene: Scene, state: str) -> None:
        scene.host("i-a", "10.0.0.99", groups=["elsewhere"])
        scene.host("i-a", inventory=OTHER)
        assert idle(scene.instance("i-a", state=state).plan())

    def test_nothing_is_done_about_the_host_of_one_that_ec2_calls_gone(self, scene: Scene, state: str) -> None:
        scene.host("i-a")
        assert idle(scene.instance("i-a", state=state, ec2="terminated").plan())

    def test_one_without_a_host_is_not_added(self, scene: Scene, state: str) -> None:
        assert idle(scene.instance("i-a", state=state).plan())

    def test_forgetting_its_group_does_not_touch_its_host(self, scene: Scene, state: str) -> None:
        scene.host("i-a", group="former")
        scene.instance("i-a", group="former", state=state)
        assert idle(scene.plan(RunOptions(forget=frozenset({"former"}))))


RESTING = {"since": NOW - 60, "enabled": True}


class TestInstancesThatRest:
    @pytest.mark.parametrize("state", sorted(set(AT_REST) - set(HELD_AT_REST)))
    @pytest.mark.parametrize("group", ["web", "former"])
    def test_the_host_of_one_is_disabled_and_marked(self, scene: Scene, state: str, group: str) -> None:
        host = scene.host("i-a", group=group)
        done = scene.instance("i-a", group=group, state=state, ec2="stopped").plan()
        [change] = done.changes
        assert (change.host, change.enabled, change.provision, change.new_in) == (host, False, False, None)
        assert change.variables
        assert change.variables["ansible_host"] == "10.0.0.1"
        assert marker_in(change.variables)["resting"] == {"since": NOW, "enabled": True}
        assert state in change.reason
        assert not done.removals
        assert not done.findings

    def test_that_a_person_had_disabled_it_is_remembered(self, scene: Scene) -> None:
        scene.host("i-a", enabled=False)
        [change] = scene.instance("i-a", state="Warmed:Stopped").plan().changes
        assert marker_in(change.variables or {})["resting"] == {"since": NOW, "enabled": False}

    def test_one_whose_host_rests_already_is_left_alone(self, scene: Scene) -> None:
        scene.host("i-a", enabled=False, resting=RESTING)
        assert scene.instance("i-a", state="Warmed:Stopped").plan() == Plan()

    def test_a_resting_host_that_a_person_enabled_is_disabled_again(self, scene: Scene) -> None:
        scene.host("i-a", resting=RESTING)
        [change] = scene.instance("i-a", state="Warmed:Stopped").plan().changes
        assert change.enabled is False
        assert marker_in(change.variables or {})["resting"] == RESTING

    def test_a_public_address_is_cleared(self, scene: Scene) -> None:
        scene.host("i-a", "54.0.0.1", facts=FACTS)
        [change] = scene.instance("i-a", state="Warmed:Stopped").plan().changes
        assert change.variables
        assert (change.variables["ansible_host"], change.variables["ec2"]) == ("", {**FACTS, "public_ip": ""})

    @pytest.mark.parametrize("state", AT_REST)
    def test_one_without_a_host_needs_none(self, scene: Scene, state: str) -> None:
        assert idle(scene.instance("i-a", state=state).plan())


class TestInstancesThatAreBackInService:
    """Their launch's event was lost, for register would have enabled the host."""

    @pytest.mark.parametrize("state", SERVING)
    @pytest.mark.parametrize(("age", "provision"), [(60, True), (TIMEOUT - 1, True), (TIMEOUT, False)])
    def test_the_host_is_enabled_with_a_new_stint_and_provisioned_while_they_are_new(
        self, scene: Scene, state: str, age: float, provision: bool
    ) -> None:
        stint = {"since": NOW - LONG_AGO, "token": "t", "hook": "h"}
        scene.host("i-a", enabled=False, resting={"since": NOW - LONG_AGO, "enabled": True}, stint=stint)
        [change] = scene.instance("i-a", state=state, age=age).plan().changes
        assert (change.enabled, change.provision, change.new_in) == (True, provision, scene.places["web"])
        marker = marker_in(change.variables or {})
        assert marker["stint"] == {"since": NOW, "token": ""}
        assert "resting" not in marker
        assert "back in service" in change.reason

    @pytest.mark.parametrize(("rested", "provision"), [(60, True), (TIMEOUT - 1, True), (TIMEOUT, False)])
    @pytest.mark.parametrize("known", [True, False])
    def test_one_that_was_launched_long_ago_is_new_for_as_long_after_its_rest_began(
        self, scene: Scene, rested: float, provision: bool, known: bool
    ) -> None:
        scene.host("i-a", enabled=False, resting={"since": NOW - rested, "enabled": True})
        scene.instance("i-a", age=LONG_AGO)
        if not known:
            scene.arrived_at.clear()
        [change] = scene.plan().changes
        assert (change.enabled, change.provision) == (True, provision)

    def test_one_that_a_person_had_disabled_stays_so_and_gets_no_job(self, scene: Scene) -> None:
        scene.host("i-a", enabled=False, resting=RESTING | {"enabled": False})
        [change] = scene.instance("i-a", age=60).plan(RunOptions(provision=True)).changes
        assert (change.enabled, change.provision) == (None, False)
        assert "resting" not in marker_in(change.variables or {})

    def test_one_that_a_job_of_its_present_stint_holds_gets_none(self, scene: Scene) -> None:
        scene.host("i-a", enabled=False, resting=RESTING)
        scene.jobs_ended["i-a"] = NOW - 10
        [change] = scene.instance("i-a", age=60).plan().changes
        assert (change.enabled, change.provision) == (True, False)

    def test_one_gets_its_job_when_that_is_asked_for(self, scene: Scene) -> None:
        scene.host("i-a", enabled=False, resting=RESTING)
        [change] = scene.instance("i-a").plan(RunOptions(provision=True)).changes
        assert change.provision

    def test_one_of_a_group_without_a_job_gets_none(self, scene: Scene) -> None:
        scene.group("web", template=None)
        scene.host("i-a", enabled=False, resting=RESTING)
        [change] = scene.instance("i-a", age=60).plan().changes
        assert (change.enabled, change.provision) == (True, False)

    def test_one_that_belongs_elsewhere_by_now_is_made_there_enabled_with_a_new_stint_and_its_job(
        self, scene: Scene
    ) -> None:
        scene.group("web", inventory=OTHER)
        scene.host("i-a", enabled=False, resting=RESTING, stint={"since": NOW - LONG_AGO, "token": "t", "hook": "h"})
        [addition] = scene.instance("i-a", age=60).plan().additions
        assert (addition.enabled, addition.provision) == (True, True)
        marker = marker_in(addition.variables)
        assert marker["stint"] == {"since": NOW, "token": ""}
        assert "resting" not in marker


class TestRetainedInstances:
    @pytest.mark.parametrize("state", RETAINED)
    @pytest.mark.parametrize("ec2", ["running", None])
    def test_the_host_of_one_goes_and_it_is_reported_in_every_run(
        self, scene: Scene, state: str, ec2: str | None
    ) -> None:
        host = scene.host("i-a", age=0)
        done = scene.instance("i-a", state=state, ec2=ec2).plan()
        assert [(removal.host, removal.moved) for removal in done.removals] == [(host, False)]
        assert state in done.removals[0].reason
        [finding] = done.findings
        assert (finding.kind, finding.subject, finding.inventory) == (DriftKind.RETAINED, "i-a", PROD)
        assert (finding.instance_id, state in finding.reason) == ("i-a", True)
        scene.hosts.clear()
        assert kinds(scene.plan()) == [DriftKind.RETAINED]
        assert idle(scene.plan())

    def test_one_of_a_group_that_did_not_opt_in_is_not_ours_to_report(self, scene: Scene) -> None:
        assert scene.instance("i-a", group="theirs", state="Terminating:Retained").plan() == Plan()

    def test_a_run_for_others_does_not_report_one(self, scene: Scene) -> None:
        scene.instance("i-a", state="Terminating:Retained")
        assert scene.plan(RunOptions(groups=frozenset({"db"}))) == Plan()
        assert scene.plan(RunOptions(instances=frozenset({"i-b"}))) == Plan()


class TestInventoriesThatAreKept:
    def test_nothing_is_removed_from_them_for_whatever_reason(self, scene: Scene) -> None:
        scene.group("db", inventory=OTHER)
        for gone in ("i-a", "i-b", "i-c"):
            scene.host(gone, f"10.0.0.{gone[-1]}", group="former" if gone == "i-c" else "web")
        scene.instance("i-a", group=None, ec2="terminated")
        scene.instance("i-b", "10.0.0.2", group="db")
        scene.instance("i-c", "10.0.0.3", group=None)
        options = RunOptions(forget=frozenset({"former"}))
        assert len(scene.plan(options).removals) == 3
        assert not scene.plan(options, PROD).removals
        assert scene.plan(options, OTHER) == scene.plan(options)

    def test_no_host_is_made_at_the_address_of_one_that_they_keep(self, scene: Scene) -> None:
        kept = scene.host("i-a")
        scene.instance("i-a", group=None, ec2="terminated").instance("i-b").instance("i-c", "10.0.0.3")
        assert [addition.instance_id for addition in scene.plan().additions] == ["i-b", "i-c"]
        done = scene.plan(RunOptions(), PROD)
        assert [addition.instance_id for addition in done.additions] == ["i-c"]
        [finding] = done.findings
        assert (finding.kind, finding.subject) == (DriftKind.ADDRESS_CONFLICT, "i-b")
        assert kept.name in finding.reason

    def test_a_host_that_they_keep_is_in_the_way_of_one_of_its_name(self, scene: Scene) -> None:
        scene.host("i-b", "10.0.0.2", name="i-a")
        scene.instance("i-a").instance("i-b", group=None, ec2="terminated")
        done = scene.plan(RunOptions(), PROD)
        assert idle(done)
        assert [(finding.kind, finding.subject) for finding in done.findings] == [(DriftKind.NAME_TAKEN, "i-a")]


@pytest.mark.parametrize("state", UNSETTLED)
def test_an_instance_between_two_states_is_neither_added_nor_put_right(scene: Scene, state: str) -> None:
    scene.instance("i-a", state=state).instance("i-b", "10.0.0.2", state=state)
    scene.host("i-b", "10.0.0.99")
    scene.jobs_ended["i-b"] = NOW - LONG_AGO
    assert scene.plan() == Plan()


class TestPuttingRight:
    @pytest.mark.parametrize("state", ["InService", "Standby"])
    def test_a_host_that_is_right_is_left_alone(self, scene: Scene, state: str) -> None:
        scene.host("i-a", groups=["web", "by-hand"])
        assert scene.instance("i-a", state=state).plan() == Plan()

    def test_a_marker_that_names_no_inventory_yet_is_completed(self, scene: Scene) -> None:
        host = scene.host("i-a", stint={"since": 7.0, "token": "t"})
        marker = {key: value for key, value in marker_in(host.variables).items() if key != "inventory"}
        scene.hosts[0] = replace(host, variables={**host.variables, "rollcall": marker})
        [change] = scene.instance("i-a").plan().changes
        assert change.reason == "its marker does not name its inventory yet"
        assert marker_in(change.variables or {}) == marker_in(host.variables)
        assert (change.enabled, change.provision, change.new_in) == (None, False, None)

    @pytest.mark.parametrize("state", ["InService", "Standby"])
    def test_an_address_that_is_not_the_instances_is_replaced(self, scene: Scene, state: str) -> None:
        host = scene.host("i-a", "10.0.0.99")
        [change] = scene.instance("i-a", state=state).plan().changes
        assert (change.host, change.join, change.leave) == (host, (), ())
        assert change.variables
        assert (change.variables["ansible_host"], change.variables["by_hand"]) == ("10.0.0.1", "kept")
        assert change.reason == "its address is 10.0.0.1, not 10.0.0.99"

    def test_a_group_that_it_is_missing_in_is_joined_and_its_variables_stay(self, scene: Scene) -> None:
        scene.group("web", "a", "b", "c")
        scene.host("i-a", groups=["b"])
        [change] = scene.instance("i-a").plan().changes
        assert (change.variables, change.join, change.leave) == (None, ("a", "c"), ())
        assert change.reason == "it is missing in a, c"

    def test_groups_that_a_person_put_it_into_are_not_left(self, scene: Scene) -> None:
        scene.host("i-a", "10.0.0.99", groups=["web", "by-hand"])
        [change] = scene.instance("i-a").plan().changes
        assert change.leave == ()

    def test_a_host_whose_instance_went_to_another_group_leaves_the_former_groups(self, scene: Scene) -> None:
        scene.group("web", "web", "both").group("db", "db", "both")
        scene.host("i-a", groups=["web", "both", "by-hand"])
        [change] = scene.instance("i-a", group="db").plan().changes
        assert (change.join, change.leave) == (("db",), ("web",))
        assert change.variables
        marker = change.variables["rollcall"]
        assert isinstance(marker, dict)
        assert marker["group"] == "db"

    def test_a_host_whose_marker_alone_is_not_right_gets_a_new_one(self, scene: Scene) -> None:
        scene.group("web", "shared").group("db", "shared")
        scene.host("i-a", groups=["shared"])
        scene.host("i-b", "10.0.0.2", groups=["shared"], vpc="vpc-9")
        done = scene.instance("i-a", group="db").instance("i-b", "10.0.0.2").plan()
        assert [(change.join, change.leave) for change in done.changes] == [((), ()), ((), ())]
        owners = [change.variables and change.variables["rollcall"] for change in done.changes]
        assert [isinstance(each, dict) and (each["group"], each["vpc"]) for each in owners] == [
            ("db", "vpc-1"),
            ("web", "vpc-1"),
        ]

    def test_a_host_of_a_former_group_that_is_not_known_any_more_leaves_the_one_of_its_name(self, scene: Scene) -> None:
        scene.host("i-a", group="former", groups=["former", "by-hand"])
        [change] = scene.instance("i-a").plan().changes
        assert (change.join, change.leave) == (("web",), ("former",))

    @pytest.mark.parametrize("facts", [True, False])
    def test_a_host_that_was_renamed_is_known_by_its_marker_and_reported(self, scene: Scene, facts: bool) -> None:
        scene.host("i-a", name="web-1", facts=FACTS if facts else None)
        snapshot = scene.instance("i-a").snapshot()
        asked = replace(
            snapshot,
            instances={
                each: own for each, own in snapshot.instances.items() if each not in right_by_own_variables(snapshot)
            },
        )
        done = plan(asked, RunOptions())
        assert idle(done)
        [finding] = done.findings
        assert (finding.kind, finding.subject, finding.instance_id) == (DriftKind.RENAMED, "web-1", "i-a")
        assert "i-a" in finding.reason

    def test_a_host_that_was_renamed_is_put_right_as_the_others(self, scene: Scene) -> None:
        scene.host("i-a", "10.0.0.99", name="web-1")
        done = scene.instance("i-a").plan()
        assert [change.host.name for change in done.changes] == ["web-1"]
        assert kinds(done) == [DriftKind.RENAMED]

    def test_the_host_that_is_named_after_its_instance_is_at_home_beside_an_older_one_that_is_not(
        self, scene: Scene
    ) -> None:
        scene.host("i-a", name="web-1", enabled=False, resting=RESTING)
        scene.host("i-a", "10.0.0.99")
        done = scene.instance("i-a").plan()
        assert [(change.host.name, change.enabled) for change in done.changes] == [("i-a", None)]
        assert (DriftKind.SECOND_HOST, "web-1") in [(each.kind, each.subject) for each in done.findings]
        assert DriftKind.RENAMED not in kinds(done)

    def test_a_resting_host_that_was_renamed_is_enabled_only_once_it_has_its_name_again(self, scene: Scene) -> None:
        host = scene.host("i-a", name="web-1", enabled=False, resting=RESTING)
        done = scene.instance("i-a").plan()
        assert idle(done)
        assert [(each.kind, each.subject) for each in done.findings] == [(DriftKind.RENAMED, "web-1")]
        scene.hosts = [replace(host, name="i-a")]
        [change] = scene.plan().changes
        assert change.enabled

    def test_a_job_that_a_renamed_host_is_owed_waits_for_its_name(self, scene: Scene) -> None:
        host = scene.host("i-a", "10.0.0.99", name="web-1", job_owed_since=7)
        [change] = scene.instance("i-a").plan().changes
        assert change.variables
        assert (change.provision, change.variables["ansible_host"]) == (False, "10.0.0.1")
        assert job_owed_since(change.variables) == 7
        scene.hosts = [replace(host, name="i-a", variables=change.variables)]
        [change] = scene.plan().changes
        assert change.provision

    def test_a_disabled_host_stays_disabled(self, scene: Scene) -> None:
        host = scene.host("i-a", "10.0.0.99", enabled=False)
        done = scene.instance("i-a").plan()
        [change] = done.changes
        assert change.host == host
        assert not applied(scene.snapshot(), done).dumps[PROD.id].hosts[0].enabled

    def test_a_host_of_another_inventory_moves(self, scene: Scene) -> None:
        scene.group("web", inventory=OTHER)
        host = scene.host("i-a")
        done = scene.instance("i-a").plan()
        [removal], [addition] = done.removals, done.additions
        assert (removal.host, removal.moved) == (host, True)
        assert (addition.instance_id, addition.inventory, addition.provision) == ("i-a", OTHER, False)
        assert "'other'" in removal.reason

    def test_a_host_that_moves_keeps_what_a_person_set_on_it(self, scene: Scene) -> None:
        scene.group("web", inventory=OTHER)
        scene.host("i-a", "10.0.0.99", enabled=False)
        [addition] = scene.instance("i-a").plan().additions
        assert (addition.variables["by_hand"], addition.variables["ansible_host"]) == ("kept", "10.0.0.1")
        assert not addition.enabled

    def test_of_several_hosts_that_move_the_oldest_ones_variables_are_kept_and_one_disabled_disables(
        self, scene: Scene
    ) -> None:
        third = Inventory(0, "third")
        scene.group("web", inventory=third)
        scene.host("i-a", inventory=OTHER, by_hand="first")
        scene.host("i-a", by_hand="second", enabled=False)
        scene.host("i-a", by_hand="third", name="copy")
        snapshot = scene.instance("i-a").snapshot()
        done = plan(replace(snapshot, dumps={**snapshot.dumps, third.id: Dump(third, ())}), RunOptions())
        [addition] = done.additions
        assert (addition.variables["by_hand"], addition.enabled, addition.inventory) == ("first", False, third)
        assert len(done.removals) == 3

    def test_a_foreign_host_has_no_say_in_what_a_new_one_is_like(self, scene: Scene) -> None:
        scene.host("i-a", group=None, inventory=OTHER, enabled=False)
        scene.host("i-a", account=STRANGER, inventory=OTHER, name="theirs", enabled=False)
        [addition] = scene.instance("i-a").plan().additions
        assert addition.enabled
        assert "by_hand" not in addition.variables

    def test_a_host_that_moves_disabled_is_not_provisioned_for_jobs_pass_over_it(self, scene: Scene) -> None:
        scene.group("web", inventory=OTHER)
        scene.host("i-a", enabled=False)
        scene.host("i-b", "10.0.0.2")
        additions = scene.instance("i-a").instance("i-b", "10.0.0.2").plan(RunOptions(provision=True)).additions
        assert [(each.instance_id, each.provision) for each in additions] == [("i-a", False), ("i-b", True)]

    def test_a_host_that_is_at_home_already_is_not_added_again(self, scene: Scene) -> None:
        stray, home = scene.host("i-a", inventory=OTHER), scene.host("i-a")
        done = scene.instance("i-a").plan()
        assert [removal.host for removal in done.removals] == [stray]
        assert home not in [removal.host for removal in done.removals]
        assert not done.additions

    def test_a_host_stays_where_it_is_while_a_foreign_host_has_its_name_at_home(self, scene: Scene) -> None:
        scene.group("web", inventory=OTHER)
        scene.host("i-a")
        scene.host("i-a", group=None, inventory=OTHER)
        done = scene.instance("i-a").plan()
        assert idle(done)
        assert DriftKind.NAME_TAKEN in kinds(done)

    def test_a_host_stays_where_it_is_while_its_instance_lacks_the_address_asked_for(self, scene: Scene) -> None:
        scene.group("web", inventory=OTHER, address=AddressKind.PUBLIC)
        scene.host("i-a")
        done = scene.instance("i-a").plan()
        assert idle(done)
        assert kinds(done) == [DriftKind.NO_ADDRESS]

    def test_a_young_instance_whose_host_moves_is_not_provisioned_again(self, scene: Scene) -> None:
        scene.group("web", inventory=OTHER)
        scene.host("i-a")
        [addition] = scene.instance("i-a", age=0).plan().additions
        assert not addition.provision

    def test_an_instance_without_the_address_asked_for_is_reported(self, scene: Scene) -> None:
        scene.group("web", address=AddressKind.PUBLIC)
        scene.host("i-a")
        done = scene.instance("i-a").instance("i-b", "10.0.0.2").plan()
        assert idle(done)
        assert kinds(done) == [DriftKind.NO_ADDRESS, DriftKind.NO_ADDRESS]
        assert {finding.subject for finding in done.findings} == {"i-a", "i-b"}

    def test_a_second_host_of_an_instance_is_reported_and_stays(self, scene: Scene) -> None:
        scene.host("i-a")
        scene.host("i-a", name="copy")
        done = scene.instance("i-a").plan()
        assert idle(done)
        assert (DriftKind.SECOND_HOST, "copy") in [(finding.kind, finding.subject) for finding in done.findings]


class TestOneAddress:
    def test_the_host_whose_instance_is_gone_goes_and_the_other_stays(self, scene: Scene) -> None:
        gone, there = scene.host("i-a"), scene.host("i-b")
        done = scene.instance("i-a", group=None, ec2="terminated").instance("i-b").plan()
        assert [removal.host for removal in done.removals] == [gone]
        assert not done.changes
        assert not done.findings
        assert there.id in {host.id for host in applied(scene.snapshot(), done).dumps[PROD.id].hosts}

    def test_the_host_whose_instance_has_another_address_by_now_is_put_right(self, scene: Scene) -> None:
        scene.host("i-a")
        other = scene.host("i-b")
        done = scene.instance("i-a").instance("i-b", "10.0.0.2").plan()
        assert [change.host for change in done.changes] == [other]
        assert not done.findings

    def test_it_is_reported_while_neither_may_go(self, scene: Scene) -> None:
        scene.host("i-a", age=0)
        scene.host("i-b")
        done = scene.instance("i-b").plan()
        assert idle(done)
        [finding] = done.findings
        assert (finding.kind, finding.subject, finding.inventory) == (DriftKind.ADDRESS_CONFLICT, "i-b", PROD)
        assert "10.0.0.1" in finding.reason

    def test_a_host_that_would_be_the_second_at_an_address_is_not_made_and_that_is_reported(self, scene: Scene) -> None:
        scene.host("i-a", age=0)
        done = scene.instance("i-b").plan()
        assert idle(done)
        [finding] = done.findings
        assert (finding.kind, finding.subject, finding.inventory) == (DriftKind.ADDRESS_CONFLICT, "i-b", PROD)
        assert "i-a" in finding.reason
        assert "10.0.0.1" in finding.reason

    def test_a_host_is_made_at_an_address_that_another_one_leaves(self, scene: Scene) -> None:
        scene.group("db", inventory=OTHER)
        for gone in ("i-a", "i-b", "i-c"):
            scene.host(gone)
        scene.instance("i-a", group=None, ec2="terminated")  # is removed
        scene.instance("i-b", "10.0.0.2")  # is put right
        scene.instance("i-c", "10.0.0.3", group="db")  # moves
        done = scene.instance("i-d").plan()
        assert [addition.instance_id for addition in done.additions] == ["i-c", "i-d"]
        assert not done.findings

    def test_a_host_whose_address_is_taken_where_it_belongs_stays_where_it_is_and_keeps_it(self, scene: Scene) -> None:
        scene.group("db", inventory=OTHER)
        scene.host("i-a", age=0, inventory=OTHER)
        stays = scene.host("i-b", "10.0.0.9")
        scene.instance("i-b", group="db").instance("i-c", "10.0.0.9")
        done = scene.plan()
        assert idle(done)
        assert [(finding.kind, finding.subject) for finding in done.findings] == [
            (DriftKind.ADDRESS_CONFLICT, "i-b"),
            (DriftKind.ADDRESS_CONFLICT, "i-c"),
        ]
        assert stays.name in done.findings[1].reason

    def test_a_true_address_is_set_although_another_host_keeps_it_too(self, scene: Scene) -> None:
        scene.host("i-a", age=0)
        host = scene.host("i-b", "10.0.0.9")
        done = scene.instance("i-b").plan()
        assert [change.host for change in done.changes] == [host]
        assert [(finding.kind, finding.subject) for finding in done.findings] == [(DriftKind.ADDRESS_CONFLICT, "i-b")]

    def test_the_same_private_address_in_another_vpc_is_another_address(self, scene: Scene) -> None:
        scene.host("i-a")
        scene.host("i-b", vpc="vpc-2")
        assert scene.instance("i-a").instance("i-b", vpc="vpc-2").plan() == Plan()

    def test_the_same_address_in_another_inventory_is_no_conflict(self, scene: Scene) -> None:
        scene.host("i-a", age=0)
        scene.host("i-b", age=0, inventory=OTHER)
        assert scene.plan() == Plan()

    def test_hosts_without_an_address_do_not_share_it(self, scene: Scene) -> None:
        scene.host("i-a", None, age=0)
        scene.host("i-b", None, age=0)
        assert scene.plan() == Plan()

    @pytest.mark.parametrize(
        ("address", "by_vpc"),
        [
            ("10.0.0.1", True),
            ("172.16.3.4", True),
            ("100.64.0.7", True),
            ("fd00::1", True),
            ("ip-10-0-0-1.ec2.internal", True),
            ("ip-10-0-0-1.eu-west-1.compute.internal", True),
            ("54.239.28.85", False),
            ("ec2-54-239-28-85.compute-1.amazonaws.com", False),
        ],
    )
    def test_a_private_address_is_unique_in_its_vpc_and_a_public_one_anywhere(self, address: str, by_vpc: bool) -> None:
        assert address_key("vpc-1", address) == ("vpc-1" if by_vpc else "", address)


class TestInstancesWithoutAHost:
    @pytest.mark.parametrize("state", ["InService", "Standby"])
    def test_one_is_added(self, scene: Scene, state: str) -> None:
        [addition] = scene.instance("i-a", state=state).plan().additions
        assert (addition.instance_id, addition.inventory, addition.place) == ("i-a", PROD, scene.places["web"])
        assert addition.variables["ansible_host"] == "10.0.0.1"
        assert addition.reason == "it serves in group 'web' and has no host"

    @pytest.mark.parametrize(
        ("age", "provision"), [(0, True), (TIMEOUT - 1, True), (TIMEOUT, False), (LONG_AGO, False)]
    )
    def test_one_is_provisioned_only_while_its_launch_is_young(self, scene: Scene, age: float, provision: bool) -> None:
        [addition] = scene.instance("i-a", age=age).plan().additions
        assert addition.provision == provision

    def test_opting_in_a_group_of_five_hundred_provisions_none(self, scene: Scene) -> None:
        for number in range(500):
            scene.instance(f"i-{number}", f"10.0.{number // 250}.{number % 250}")
        done = scene.plan()
        assert len(done.additions) == 500
        assert not any(addition.provision for addition in done.additions)

    def test_all_are_provisioned_when_that_is_asked_for(self, scene: Scene) -> None:
        [addition] = scene.instance("i-a").plan(RunOptions(provision=True)).additions
        assert addition.provision

    def test_a_group_without_a_job_provisions_none(self, scene: Scene) -> None:
        scene.group("web", template=None)
        [addition] = scene.instance("i-a", age=0).plan(RunOptions(provision=True)).additions
        assert not addition.provision

    @pytest.mark.parametrize("ec2", ["shutting-down", "terminated", None])
    def test_one_that_ec2_does_not_call_living_is_not_added(self, scene: Scene, ec2: str | None) -> None:
        assert scene.instance("i-a", ec2=ec2).plan() == Plan()

    def test_one_of_a_group_that_did_not_opt_in_is_not_added(self, scene: Scene) -> None:
        assert scene.instance("i-a", group="somebody-elses").plan() == Plan()

    def test_a_host_in_a_group_that_could_not_be_read_is_a_host(self, scene: Scene) -> None:
        scene.unreadable.add("former")
        scene.host("i-a", group="former")
        assert idle(scene.instance("i-a").plan())

    def test_one_whose_name_another_managed_host_has_is_reported_and_not_added(self, scene: Scene) -> None:
        scene.host("i-b", "10.0.0.2", name="i-a")
        done = scene.instance("i-a").instance("i-b", "10.0.0.2").plan()
        assert idle(done)
        assert (DriftKind.NAME_TAKEN, "i-a") in [(finding.kind, finding.subject) for finding in done.findings]

    def test_one_whose_name_a_host_has_that_goes_is_added(self, scene: Scene) -> None:
        scene.host("i-b", "10.0.0.2", name="i-a")
        done = scene.instance("i-a").instance("i-b", group=None, ec2="terminated").plan()
        assert (len(done.removals), len(done.additions), done.findings) == (1, 1, ())


class TestGroupsThatLostTheirTag:
    def test_their_hosts_are_reported_and_stay(self, scene: Scene) -> None:
        scene.host("i-a", group="former")
        done = scene.instance("i-a", group="former").plan()
        assert idle(done)
        [finding] = done.findings
        assert (finding.kind, finding.subject) == (DriftKind.NOT_OPTED_IN, "i-a")
        assert "rollcall reconcile --forget former" in finding.reason
        assert '{"forget": ["former"]}' in finding.reason

    def test_their_hosts_go_when_they_are_to_be_forgotten(self, scene: Scene) -> None:
        host = scene.host("i-a", group="former")
        stays = scene.host("i-b", "10.0.0.2", group="other")
        scene.instance("i-a", group="former").instance("i-b", "10.0.0.2", group="other")
        done = scene.plan(RunOptions(forget=frozenset({"former"})))
        assert [(removal.host, removal.moved) for removal in done.removals] == [(host, False)]
        assert [finding.subject for finding in done.findings] == [stays.name]

    def test_forgetting_a_group_that_has_its_tag_removes_nothing_of_it(self, scene: Scene) -> None:
        scene.host("i-a")
        assert scene.instance("i-a").plan(RunOptions(forget=frozenset({"web"}))) == Plan()

    def test_an_instance_that_was_detached_is_reported_and_stays(self, scene: Scene) -> None:
        scene.host("i-a")
        done = scene.instance("i-a", group=None).plan()
        assert idle(done)
        assert kinds(done) == [DriftKind.DETACHED]

    def test_the_host_of_a_detached_instance_goes_with_its_forgotten_group(self, scene: Scene) -> None:
        scene.host("i-a", group="former")
        done = scene.instance("i-a", group=None).plan(RunOptions(forget=frozenset({"former"})))
        assert len(done.removals) == 1


class TestTroubledGroups:
    @pytest.fixture
    def unreadable(self, scene: Scene) -> Scene:
        """The group "db" could not be read."""
        scene.unreadable.add("db")
        return scene

    @pytest.mark.parametrize("ec2", ["running", "terminated", None])
    @pytest.mark.parametrize("group", ["db", None])
    def test_nothing_is_done_about_their_hosts(self, unreadable: Scene, ec2: str | None, group: str | None) -> None:
        unreadable.host("i-a", "10.0.0.99", group="db")
        assert unreadable.instance("i-a", group=group, ec2=ec2).plan() == Plan()

    def test_nothing_is_done_about_a_host_whose_instance_went_to_one(self, unreadable: Scene) -> None:
        unreadable.host("i-a", "10.0.0.99")
        assert unreadable.instance("i-a", group="db").plan() == Plan()

    def test_they_are_not_forgotten(self, unreadable: Scene) -> None:
        unreadable.host("i-a", group="db")
        assert unreadable.instance("i-a", group=None).plan(RunOptions(forget=frozenset({"db"}))) == Plan()

    def test_their_waiting_instances_are_not_queued_again(self, unreadable: Scene) -> None:
        assert unreadable.instance("i-a", group="db", state="Terminating:Wait").plan() == Plan()

    def test_the_others_are_looked_after(self, unreadable: Scene) -> None:
        host = unreadable.host("i-a")
        done = unreadable.instance("i-a", group=None, ec2="terminated").plan()
        assert [removal.host for removal in done.removals] == [host]


def test_a_run_for_some_groups_leaves_the_others_alone(scene: Scene) -> None:
    scene.group("db")
    scene.host("i-a", "10.0.0.99")
    scene.host("i-b", "10.0.0.99", group="db")
    scene.instance("i-a").instance("i-b", "10.0.0.2", group="db")
    scene.instance("i-c", "10.0.0.3").instance("i-d", "10.0.0.4", group="db")
    scene.instance("i-e", state="Terminating:Wait").instance("i-f", group="db", state="Terminating:Wait")
    done = scene.plan(RunOptions(groups=frozenset({"db"})))
    assert [change.instance_id for change in done.changes] == ["i-b"]
    assert [addition.instance_id for addition in done.additions] == ["i-d"]
    assert [requeue.instance_id for requeue in done.requeues] == ["i-f"]


class TestWhomFindingsAreAbout:
    """A run for some groups or instances reports theirs, and no others."""

    DB, I_DB = RunOptions(groups=frozenset({"db"})), RunOptions(instances=frozenset({"i-b"}))
    WEB, I_WEB = RunOptions(groups=frozenset({"web"})), RunOptions(instances=frozenset({"i-a"}))

    @pytest.mark.parametrize(
        ("options", "kind"), [(WEB, [DriftKind.FOREIGN_ADDRESS]), (I_WEB, [DriftKind.FOREIGN_ADDRESS])]
    )
    @pytest.mark.parametrize("others", [DB, I_DB])
    def test_a_foreign_host_is_about_the_instance_whose_address_it_has(
        self, scene: Scene, options: RunOptions, kind: list[DriftKind], others: RunOptions
    ) -> None:
        scene.group("db")
        scene.instance("i-a").host("i-a", facts=FACTS)
        scene.instance("i-b", "10.0.0.2", group="db").host("i-b", "10.0.0.2", "db")
        scene.host("i-x", "10.0.0.1", None, name="node")
        assert kinds(scene.plan(options)) == kind
        assert kinds(scene.plan(others)) == []

    @pytest.mark.parametrize("options", [WEB, I_WEB])
    @pytest.mark.parametrize("others", [DB, I_DB])
    def test_a_second_host_at_an_address_is_about_either(
        self, scene: Scene, options: RunOptions, others: RunOptions
    ) -> None:
        scene.group("db")
        scene.host("i-a")
        scene.host("i-young", age=0)
        scene.instance("i-a").instance("i-b", "10.0.0.2", group="db").host("i-b", "10.0.0.2", "db")
        assert kinds(scene.plan(options)) == [DriftKind.ADDRESS_CONFLICT]
        assert kinds(scene.plan(others)) == []

    def test_a_mixed_group_is_about_the_hosts_in_it(self, scene: Scene) -> None:
        for number, group in enumerate(("web", "db", "api"), start=1):
            scene.group(group)
            own = [group] if group == "api" else [group, "shared"]
            scene.instance(f"i-{group}", f"10.0.0.{number}", group=group)
            scene.host(f"i-{group}", f"10.0.0.{number}", group, groups=own)
        for name in ("web", "db"):
            assert kinds(scene.plan(RunOptions(groups=frozenset({name})))) == [DriftKind.MIXED_GROUP]
            assert kinds(scene.plan(RunOptions(instances=frozenset({f"i-{name}"})))) == [DriftKind.MIXED_GROUP]
        assert kinds(scene.plan(RunOptions(groups=frozenset({"api"})))) == []
        assert kinds(scene.plan(RunOptions(instances=frozenset({"i-api"})))) == []

    def test_a_host_is_about_the_group_that_its_instance_went_to_also_before_its_marker_says_so(
        self, scene: Scene
    ) -> None:
        scene.group("db")
        scene.host("i-a", groups=["web", "shared"])
        scene.host("i-b", "10.0.0.2", "api", groups=["api", "shared"])
        scene.instance("i-a", group="db").instance("i-b", "10.0.0.2", group="api")
        scene.group("web")
        assert DriftKind.MIXED_GROUP in kinds(scene.plan(self.DB))


class TestInstancesThatTheirHostsProve:
    """EC2 is not asked about them."""

    @pytest.mark.parametrize("state", SERVING)
    def test_one_that_serves_with_a_host_that_says_what_ec2_once_said_is_proven(self, scene: Scene, state: str) -> None:
        scene.instance("i-a", state=state).host("i-a", facts=FACTS)
        assert right_by_own_variables(scene.snapshot()) == {"i-a"}

    @pytest.mark.parametrize("state", LEFT_TO_THEIR_ACTIONS + UNSETTLED)
    def test_one_that_does_not_serve_is_not(self, scene: Scene, state: str) -> None:
        scene.instance("i-a", state=state).host("i-a", facts=FACTS)
        assert not right_by_own_variables(scene.snapshot())

    @pytest.mark.parametrize("group", ["other", None])
    def test_one_that_no_group_of_ours_lists_is_not(self, scene: Scene, group: str | None) -> None:
        scene.instance("i-a", group=group).host("i-a", facts=FACTS)
        assert not right_by_own_variables(scene.snapshot())

    @pytest.mark.parametrize(
        "wrong",
        [
            {"address": "10.0.0.2"},
            {"address": None},
            {"group": "db"},
            {"vpc": "vpc-2"},
            {"inventory": OTHER},
            {"groups": ["elsewhere"]},
            {"account": STRANGER},
            {"facts": None},
            {"facts": {"vpc": "vpc-1"}},
            {"facts": FACTS | {"private_ip": "10.0.0.2"}},
            {"name": "web-1"},
            {"made_for": OTHER},
            {"resting": RESTING},
            {"job_owed_since": 7},
        ],
        ids=str,
    )
    def test_one_whose_host_is_not_right_is_not(self, scene: Scene, wrong: dict[str, Any]) -> None:
        scene.instance("i-a").host("i-a", **({"facts": FACTS} | wrong))
        assert not right_by_own_variables(scene.snapshot())

    def test_one_is_proven_whatever_its_present_stint(self, scene: Scene) -> None:
        scene.instance("i-a").host("i-a", facts=FACTS, stint={"since": 7.0, "token": "t"})
        assert right_by_own_variables(scene.snapshot()) == {"i-a"}

    def test_one_whose_host_is_in_more_groups_than_asked_for_is_proven(self, scene: Scene) -> None:
        scene.instance("i-a").host("i-a", facts=FACTS, groups=["web", "by-hand"])
        assert right_by_own_variables(scene.snapshot()) == {"i-a"}

    def test_one_with_two_hosts_is_not(self, scene: Scene) -> None:
        scene.instance("i-a").host("i-a", facts=FACTS)
        scene.host("i-a", inventory=OTHER, facts=FACTS)
        assert not right_by_own_variables(scene.snapshot())

    def test_one_whose_address_another_host_of_its_inventory_has_is_not(self, scene: Scene) -> None:
        scene.instance("i-a").host("i-a", facts=FACTS)
        scene.host("i-b", facts=FACTS)
        assert not right_by_own_variables(scene.snapshot())

    def test_one_of_a_group_that_asks_for_a_public_address_is_not_for_that_may_change(self) -> None:
        scene = Scene().group("web", address=AddressKind.PUBLIC)
        scene.instance("i-a", public="54.0.0.1").host("i-a", facts=FACTS)
        assert not right_by_own_variables(scene.snapshot())

    @pytest.mark.parametrize("address", ["10.0.0.1", "54.0.0.1"])
    def test_a_host_that_is_not_ours_at_an_address_that_its_host_tells_of_is_reported(
        self, scene: Scene, address: str
    ) -> None:
        scene.instance("i-a", ec2=None).host("i-a", facts=FACTS)
        scene.host("i-x", address, None, name="node")
        assert kinds(scene.plan()) == [DriftKind.FOREIGN_ADDRESS]


def test_only_instances_that_no_group_of_ours_lists_are_asked_for_one_by_one(scene: Scene) -> None:
    scene.host("i-a")
    scene.host("i-b", inventory=OTHER)
    scene.host("i-c", group=None)
    assert suspects(scene.instance("i-a").snapshot()) == {"i-b"}


class TestHostsThatAreNotOurs:
    def test_they_are_left_alone_whatever_became_of_their_instance(self, scene: Scene) -> None:
        scene.host("i-a", group=None)
        scene.host("i-b", group=None)
        assert scene.instance("i-a", group=None, ec2="terminated").plan() == Plan()

    @pytest.mark.parametrize("account", [STRANGER, ""])
    def test_a_marker_of_another_account_does_not_make_a_host_ours(self, scene: Scene, account: str) -> None:
        scene.host("i-a", "10.0.0.99", account=account)
        assert scene.plan() == Plan()
        assert suspects(scene.snapshot()) == set()

    def test_a_marker_of_another_region_does_not_make_a_host_ours(self, scene: Scene) -> None:
        scene.host("i-a")
        dumps = scene.snapshot().dumps
        assert owners_of(dumps, ACCOUNT, REGION).keys() == {scene.hosts[0].id}
        assert owners_of(dumps, ACCOUNT, "eu-west-1") == owners_of(dumps, "210987654321", REGION) == {}

    @pytest.mark.parametrize("instance_id", ["", "web-1", "i-", "i-a,i-b"])
    def test_a_marker_without_an_instance_id_does_not_make_a_host_ours(self, scene: Scene, instance_id: str) -> None:
        scene.host(instance_id, name="web-1")
        assert scene.plan() == Plan()
        assert suspects(scene.snapshot()) == set()

    def test_one_at_an_address_of_an_instance_of_ours_is_reported(self, scene: Scene) -> None:
        scene.host("i-a")
        scene.host("node", group=None)
        done = scene.instance("i-a").plan()
        assert idle(done)
        [finding] = done.findings
        assert (finding.kind, finding.subject) == (DriftKind.FOREIGN_ADDRESS, "node")
        assert "i-a" in finding.reason

    @pytest.mark.parametrize("state", ["InService", "Pending:Wait"])
    def test_one_named_after_a_public_address_of_ours_is_reported(self, scene: Scene, state: str) -> None:
        scene.host("i-a")
        scene.host("54.239.28.85", None, group=None)
        done = scene.instance("i-a", public="54.239.28.85", state=state).plan()
        assert kinds(done) == [DriftKind.FOREIGN_ADDRESS]

    def test_one_at_an_address_of_an_instance_that_is_gone_is_not_reported(self, scene: Scene) -> None:
        scene.host("node", group=None)
        assert scene.instance("i-a", state="Terminating", ec2="terminated").plan() == Plan()

    def test_one_of_another_account_may_have_the_private_address_in_its_own_vpc(self, scene: Scene) -> None:
        scene.host("i-a")
        scene.host("i-b", account=STRANGER, vpc="vpc-9")
        assert scene.instance("i-a").plan() == Plan()

    def test_one_that_has_the_name_of_an_instance_of_ours_is_reported(self, scene: Scene) -> None:
        scene.host("i-a", "10.0.0.99", group=None)
        done = scene.instance("i-a").plan()
        assert idle(done)
        [finding] = done.findings
        assert (finding.kind, finding.subject) == (DriftKind.NAME_TAKEN, "i-a")
        assert "AdoptByInstanceId" in finding.reason


class TestCopies:
    """Tower's "copy inventory" copies our markers too."""

    @pytest.fixture
    def copied(self, scene: Scene) -> Scene:
        """Ten hosts of instances that serve, and a copy of each in another inventory."""
        for number in range(10):
            scene.instance(f"i-{number}", f"10.0.0.{number}").host(f"i-{number}", f"10.0.0.{number}")
            scene.host(f"i-{number}", f"10.0.0.{number}", inventory=OTHER, made_for=PROD, groups=["by-hand"])
        return scene

    def test_they_are_left_alone_and_reported_once_for_their_inventory(self, copied: Scene) -> None:
        done = copied.plan()
        assert idle(done)
        [finding] = done.findings
        assert (finding.kind, finding.inventory, finding.subject) == (DriftKind.COPY, OTHER, "other")
        assert (finding.instance_id, finding.reason.split(" of its hosts")[0]) == ("", "10")

    def test_what_is_not_right_about_one_is_not_reported(self, copied: Scene) -> None:
        copied.host("i-0", "10.0.0.99", name="node", inventory=OTHER, made_for=PROD, groups=[], resting=RESTING)
        assert idle(copied.plan())
        assert kinds(copied.plan()) == [DriftKind.COPY]

    def test_one_goes_only_together_with_the_host_that_it_was_copied_from(self, copied: Scene) -> None:
        copied.instance("i-0", group=None, ec2="terminated")
        removals = copied.plan().removals
        assert [(each.inventory, each.instance_id, each.copied) for each in removals] == [
            (PROD, "i-0", False),
            (OTHER, "i-0", True),
        ]
        assert "copy of host i-0 of inventory 'prod'" in removals[1].reason

    @pytest.mark.parametrize(("ec2", "why"), [("terminated", "EC2 says"), (None, "neither EC2 nor Auto Scaling")])
    @pytest.mark.parametrize("inventory", [PROD, OTHER])
    def test_one_without_an_original_goes_by_the_same_evidence(
        self, scene: Scene, inventory: Inventory, ec2: str | None, why: str
    ) -> None:
        made_for = Inventory(9, "what it was before")
        scene.instance("i-b", "10.0.0.2").host("i-b", "10.0.0.2", inventory=OTHER, made_for=made_for)
        host = scene.host("i-a", inventory=inventory, made_for=made_for)
        done = scene.instance("i-a", group=None, ec2=ec2).plan()
        [removal] = done.removals
        assert (removal.host, removal.inventory, removal.copied) == (host, inventory, True)
        assert why in removal.reason
        assert [each.reason.split(" of its hosts")[0] for each in done.findings if each.kind == DriftKind.COPY] == ["1"]
        assert not scene.plan(RunOptions(groups=frozenset({"db"}))).removals

    @pytest.mark.parametrize(
        "instance",
        [
            {"group": None, "ec2": "running"},
            {"group": None, "ec2": "stopped"},
            {"state": "InService", "ec2": None},
            {"state": "Terminating:Wait", "ec2": "terminated"},
            {"state": "Pending:Wait", "ec2": "terminated"},
            {"state": "Warmed:Stopped", "ec2": "stopped"},
            {"state": "Terminating:Retained", "ec2": "running"},
        ],
        ids=str,
    )
    def test_one_without_an_original_stays_while_its_instance_may_live(
        self, scene: Scene, instance: dict[str, Any]
    ) -> None:
        scene.host("i-a", inventory=OTHER, made_for=PROD)
        assert not scene.instance("i-a", **instance).plan().removals

    def test_a_young_one_of_an_instance_that_aws_does_not_know_stays(self, scene: Scene) -> None:
        scene.host("i-a", inventory=OTHER, made_for=PROD, age=AWS_VISIBILITY_LAG)
        assert idle(scene.plan())

    def test_aws_is_asked_about_the_instances_of_copies(self, scene: Scene) -> None:
        scene.host("i-a", inventory=OTHER, made_for=PROD)
        scene.host("i-b", inventory=OTHER, made_for=PROD, account=STRANGER)
        scene.host("web-1", inventory=OTHER, made_for=PROD)
        assert suspects(scene.snapshot()) == {"i-a"}

    def test_one_that_goes_leaves_its_name_and_address_to_others(self, scene: Scene) -> None:
        scene.host("i-b", name="i-a", made_for=OTHER)
        done = scene.instance("i-a").instance("i-b", group=None, ec2="terminated").plan()
        assert [each.copied for each in done.removals] == [True]
        assert [each.instance_id for each in done.additions] == ["i-a"]
        assert not done.findings

    def test_one_is_not_removed_from_an_inventory_that_is_kept(self, copied: Scene) -> None:
        copied.instance("i-0", group=None, ec2="terminated")
        assert [each.inventory for each in copied.plan(RunOptions(), OTHER).removals] == [PROD]
        assert [each.inventory for each in copied.plan(RunOptions(), PROD).removals] == []

    def test_one_does_not_go_where_its_original_only_moves(self, scene: Scene) -> None:
        third = Inventory(0, "third")
        scene.group("web", inventory=third)
        scene.instance("i-a").host("i-a")
        scene.host("i-a", inventory=OTHER, made_for=PROD)
        snapshot = scene.snapshot()
        done = plan(replace(snapshot, dumps={**snapshot.dumps, third.id: Dump(third, ())}), RunOptions())
        assert [(each.inventory, each.moved) for each in done.removals] == [(PROD, True)]

    def test_where_its_instance_belongs_one_is_taken_over_and_the_inventory_that_was_left_is_emptied(
        self, copied: Scene
    ) -> None:
        copied.group("web", inventory=OTHER)
        snapshot = copied.snapshot()
        done = plan(snapshot, RunOptions())
        assert {(each.inventory, each.moved) for each in done.removals} == {(PROD, True)}
        assert [each.inventory for each in done.changes] == [OTHER] * 10
        assert (done.additions, done.findings) == ((), ())
        after = applied(snapshot, done).dumps
        assert not after[PROD.id].hosts
        assert all(has_marker(host) for host in after[OTHER.id].hosts)
        assert idle(plan(applied(snapshot, done), RunOptions()))

    def test_a_copy_of_a_resting_host_is_enabled_where_its_instance_belongs_and_serves(self, scene: Scene) -> None:
        scene.host("i-a", made_for=OTHER, enabled=False, resting=RESTING, job_owed_since=7)
        [change] = scene.instance("i-a").plan().changes
        assert (change.enabled, change.provision) == (True, False)
        assert marker_in(change.variables or {}).keys() & {"resting", "job_owed_since", "stint"} == {"stint"}

    def test_one_that_has_the_name_of_another_instance_is_in_its_way_as_a_copy(self, scene: Scene) -> None:
        scene.host("i-b", "10.0.0.2", name="i-a", made_for=OTHER)
        done = scene.instance("i-a").instance("i-b", "10.0.0.2", group=None).plan()
        assert idle(done)
        [finding] = [each for each in done.findings if each.kind == DriftKind.NAME_TAKEN]
        assert "a copy from another inventory" in finding.reason

    def test_a_run_for_others_does_not_report_them(self, copied: Scene) -> None:
        assert kinds(copied.plan(RunOptions(groups=frozenset({"db"})))) == []
        assert kinds(copied.plan(RunOptions(instances=frozenset({"i-elsewhere"})))) == []
        assert kinds(copied.plan(RunOptions(instances=frozenset({"i-0"})))) == [DriftKind.COPY]

    @pytest.mark.parametrize("account", [STRANGER, ""])
    def test_copies_of_another_installations_hosts_are_not_ours_to_report(self, scene: Scene, account: str) -> None:
        scene.host("i-a", "10.0.0.99", inventory=OTHER, made_for=PROD, account=account)
        assert scene.plan() == Plan()


class TestAdopting:
    ADOPT = RunOptions(adopt=True)

    def test_a_host_named_after_an_instance_of_ours_is_taken_over(self, scene: Scene) -> None:
        host = scene.host("i-a", "10.0.0.99", group=None, groups=["by-hand"])
        done = scene.instance("i-a").plan(self.ADOPT)
        [change] = done.changes
        assert (change.host, change.join, change.leave) == (host, ("web",), ())
        assert change.variables
        assert (change.variables["ansible_host"], change.variables["by_hand"]) == ("10.0.0.1", "kept")
        assert not done.additions
        assert not done.findings

    def test_a_host_with_the_instance_id_in_its_field_is_taken_over(self, scene: Scene) -> None:
        host = scene.host("i-a", group=None, name="node")
        scene.by_instance_id[PROD.id, "i-a"] = host.id
        done = scene.instance("i-a").plan(self.ADOPT)
        assert [change.host for change in done.changes] == [host]
        assert not done.additions

    def test_a_host_in_another_inventory_is_not_taken_over(self, scene: Scene) -> None:
        scene.host("i-a", "10.0.0.99", group=None, inventory=OTHER)
        done = scene.instance("i-a").plan(self.ADOPT)
        assert not done.changes
        assert len(done.additions) == 1

    def test_a_host_of_another_account_is_not_taken_over(self, scene: Scene) -> None:
        scene.host("i-a", "10.0.0.99", account=STRANGER)
        done = scene.instance("i-a").plan(self.ADOPT)
        assert idle(done)
        [finding] = done.findings
        assert finding.kind == DriftKind.NAME_TAKEN
        assert "AdoptByInstanceId" not in finding.reason

    def test_only_hosts_of_instances_that_serve_are_taken_over(self, scene: Scene) -> None:
        for number, state in enumerate(LEFT_TO_THEIR_ACTIONS):
            scene.instance(f"i-{number}", f"10.0.1.{number}", state=state).host(f"i-{number}", None, group=None)
        assert idle(scene.plan(self.ADOPT))

    def test_a_host_taken_over_takes_the_place_of_one_in_another_inventory(self, scene: Scene) -> None:
        stray, host = scene.host("i-a", inventory=OTHER), scene.host("i-a", group=None)
        done = scene.instance("i-a").plan(self.ADOPT)
        assert [removal.host for removal in done.removals] == [stray]
        assert [change.host for change in done.changes] == [host]


class TestMixedGroups:
    def test_an_inventory_group_with_hosts_of_two_groups_is_reported(self, scene: Scene) -> None:
        scene.group("db")
        scene.host("i-a", groups=["web", "shared"])
        scene.host("i-b", "10.0.0.2", "db", groups=["db", "shared"])
        done = scene.instance("i-a").instance("i-b", "10.0.0.2", group="db").plan()
        assert idle(done)
        [finding] = done.findings
        assert (finding.kind, finding.subject) == (DriftKind.MIXED_GROUP, "shared")
        assert "db, web" in finding.reason

    def test_one_that_the_tags_of_both_ask_for_is_not(self, scene: Scene) -> None:
        scene.group("web", "web", "shared").group("db", "db", "shared")
        scene.host("i-a", groups=["web", "shared"])
        scene.host("i-b", "10.0.0.2", "db", groups=["db", "shared"])
        assert scene.instance("i-a").instance("i-b", "10.0.0.2", group="db").plan() == Plan()

    def test_groups_of_one_name_in_two_inventories_are_two(self, scene: Scene) -> None:
        scene.group("db", inventory=OTHER)
        scene.host("i-a", groups=["web", "shared"])
        scene.host("i-b", "10.0.0.2", "db", inventory=OTHER, groups=["db", "shared"])
        assert scene.instance("i-a").instance("i-b", "10.0.0.2", group="db").plan() == Plan()


class TestLostEvents:
    @pytest.mark.parametrize("ec2", ["running", "shutting-down", None])
    @pytest.mark.parametrize("hosted", [True, False])
    def test_an_instance_that_waits_to_terminate_is_queued_again_at_once(
        self, scene: Scene, ec2: str | None, hosted: bool
    ) -> None:
        if hosted:
            scene.host("i-a")
        [requeue] = scene.instance("i-a", state="Terminating:Wait", ec2=ec2, age=0).plan().requeues
        assert (requeue.instance_id, requeue.transition) == ("i-a", Transition.TERMINATING)
        assert requeue.reason == "it waits in Terminating:Wait"
        assert requeue.inventory == PROD

    @pytest.mark.parametrize(("age", "times"), [(RETRY_MAX, 0), (RETRY_MAX + 1, 1)])
    def test_one_that_waits_without_a_host_is_queued_again_after_the_longest_back_off(
        self, scene: Scene, age: float, times: int
    ) -> None:
        requeues = scene.instance("i-a", state="Pending:Wait", age=age).plan().requeues
        assert [requeue.transition for requeue in requeues] == [Transition.LAUNCHING] * times

    def test_a_host_in_another_inventory_does_not_count(self, scene: Scene) -> None:
        scene.host("i-a", inventory=OTHER)
        assert len(scene.instance("i-a", state="Pending:Wait").plan().requeues) == 1

    @pytest.mark.parametrize(("since", "times"), [(0, 0), (JOB_FORGOTTEN, 0), (JOB_FORGOTTEN + 1, 1)])
    def test_one_whose_job_ended_long_ago_is_queued_again(self, scene: Scene, since: float, times: int) -> None:
        scene.host("i-a")
        scene.jobs_ended["i-a"] = NOW - TIMEOUT - since
        assert len(scene.instance("i-a", state="Pending:Wait").plan().requeues) == times

    def test_one_whose_job_still_runs_is_not_queued_again(self, scene: Scene) -> None:
        scene.host("i-a")
        scene.jobs_ended["i-a"] = math.inf
        assert not scene.instance("i-a", state="Pending:Wait").plan().requeues

    @pytest.mark.parametrize(("since", "times"), [(JOB_FORGOTTEN, 0), (JOB_FORGOTTEN + 1, 1)])
    @pytest.mark.parametrize("begun", ["with its stint", "when its host was made"])
    def test_one_with_a_host_and_no_job_is_queued_again_as_long_after_its_stint_began(
        self, scene: Scene, since: float, times: int, begun: str
    ) -> None:
        if begun == "with its stint":
            scene.host("i-a", stint={"since": NOW - TIMEOUT - since, "token": "t", "hook": "h"})
        else:
            scene.host("i-a", age=TIMEOUT + since)
        assert len(scene.instance("i-a", state="Pending:Wait").plan().requeues) == times

    def test_a_host_that_rests_is_none_in_use(self, scene: Scene) -> None:
        scene.host("i-a", enabled=False, resting={"since": NOW - LONG_AGO, "enabled": True})
        [requeue] = scene.instance("i-a", state="Pending:Wait", age=RETRY_MAX + 1).plan().requeues
        assert requeue.transition == Transition.LAUNCHING
        assert requeue.reason.endswith(f"it came {RETRY_MAX + 1:.0f} s ago, and has no host in use")

    @pytest.mark.parametrize("known", [True, False])
    def test_one_that_was_launched_long_ago_and_rested_is_queued_again_minutes_after_its_rest_began(
        self, scene: Scene, known: bool
    ) -> None:
        for since, times in ((RETRY_MAX, 0), (RETRY_MAX + 1, 1), (1.7 * RETRY_MAX, 0), (2.1 * RETRY_MAX, 1)):
            scene.hosts.clear()
            scene.host("i-a", enabled=False, resting={"since": NOW - since, "enabled": True})
            scene.instance("i-a", state="Pending:Wait", age=LONG_AGO)
            if not known:
                scene.arrived_at.clear()
            assert len(scene.plan(RunOptions(every=60.0)).requeues) == times, since

    def test_one_of_which_auto_scaling_does_not_say_when_it_came_is_queued_again(self, scene: Scene) -> None:
        scene.instance("i-a", state="Pending:Wait")
        scene.arrived_at.clear()
        [requeue] = scene.plan(RunOptions(every=60.0)).requeues
        assert requeue.reason.endswith(": it has no host in use")

    @pytest.mark.parametrize("hosted", [True, False])
    @pytest.mark.parametrize(
        ("times_too_old", "scheduled"),
        [(0.9, 0), (1, 0), (1.01, 1), (1.5, 0), (1.99, 0), (2.01, 1), (3.9, 0), (64.01, 1)],
    )
    def test_scheduled_runs_queue_one_again_each_time_that_it_waits_twice_as_long(
        self, scene: Scene, hosted: bool, times_too_old: float, scheduled: int
    ) -> None:
        age = times_too_old * RETRY_MAX
        if hosted:
            age = times_too_old * (TIMEOUT + JOB_FORGOTTEN)
            scene.host("i-a")
            scene.jobs_ended["i-a"] = NOW - age
        scene.instance("i-a", state="Pending:Wait", age=age)
        assert len(scene.plan(RunOptions(every=60.0)).requeues) == scheduled
        assert len(scene.plan().requeues) == (times_too_old > 1)

    @pytest.mark.parametrize("state", ["Terminating:Wait", *HELD_AT_REST, "Warmed:Terminating:Wait"])
    def test_one_whose_action_starts_nothing_is_queued_again_in_every_scheduled_run(
        self, scene: Scene, state: str
    ) -> None:
        for age in range(241, 3600, 60):
            scene.instance("i-a", state=state, age=age)
            assert len(scene.plan(RunOptions(every=60.0)).requeues) == 1

    @pytest.mark.parametrize(
        ("state", "transition"),
        [
            ("Terminating:Wait", Transition.TERMINATING),
            ("Warmed:Terminating:Wait", Transition.TERMINATING),
            ("ReplacingRootVolume:Wait", Transition.TERMINATING),
            ("Warmed:Pending:Wait", None),  # on its way into the pool, or back
        ],
    )
    def test_a_state_says_which_way_the_lost_action_goes_but_one(
        self, scene: Scene, state: str, transition: Transition | None
    ) -> None:
        scene.host("i-a", group=None)
        scene.group("web", address=AddressKind.PUBLIC)
        done = scene.instance("i-a", state=state, age=0).plan()
        assert [requeue.transition for requeue in done.requeues] == [transition]

    @pytest.mark.parametrize("every", [None, 60.0])
    def test_one_that_could_not_be_registered_for_a_hosts_sake_is_reported_instead(
        self, scene: Scene, every: float | None
    ) -> None:
        scene.host("i-a", "10.0.0.99", group=None)
        scene.instance("i-a", state="Pending:Wait", age=RETRY_MAX + 1)
        done = scene.plan(RunOptions(every=every))
        assert not done.requeues
        [finding] = done.findings
        assert (finding.kind, finding.subject, finding.inventory) == (DriftKind.NAME_TAKEN, "i-a", PROD)
        assert "AdoptByInstanceId" in finding.reason
        assert len(scene.plan(RunOptions(every=every, adopt=True)).requeues) == 1

    @pytest.mark.parametrize("every", [None, 60.0])
    def test_one_that_could_not_be_registered_for_want_of_an_address_is_reported_instead(
        self, scene: Scene, every: float | None
    ) -> None:
        scene.group("web", address=AddressKind.PUBLIC)
        scene.instance("i-a", state="Pending:Wait", age=RETRY_MAX + 1)
        done = scene.plan(RunOptions(every=every))
        assert not done.requeues
        assert [(finding.kind, finding.subject) for finding in done.findings] == [(DriftKind.NO_ADDRESS, "i-a")]

    def test_what_is_in_the_way_of_one_is_not_reported_before_it_counts_as_lost(self, scene: Scene) -> None:
        scene.group("web", address=AddressKind.PUBLIC)
        assert scene.instance("i-a", state="Pending:Wait", age=RETRY_MAX).plan() == Plan()

    def test_what_is_in_the_way_of_one_is_reported_in_every_run(self, scene: Scene) -> None:
        scene.group("web", address=AddressKind.PUBLIC)
        scene.instance("i-a", state="Pending:Wait", age=1.9 * RETRY_MAX)
        assert kinds(scene.plan(RunOptions(every=60.0))) == [DriftKind.NO_ADDRESS]

    def test_one_that_is_gone_and_so_has_no_address_is_queued_again(self, scene: Scene) -> None:
        scene.instance("i-a", "", state="Pending:Wait", ec2="terminated", age=RETRY_MAX + 1)
        assert len(scene.plan().requeues) == 1

    @pytest.mark.parametrize(
        "options", [RunOptions(), RunOptions(every=60.0), RunOptions(instances=frozenset({"i-a"}))]
    )
    @pytest.mark.parametrize("resting", [False, True])
    def test_one_whose_only_host_was_renamed_is_reported_instead(
        self, scene: Scene, options: RunOptions, resting: bool
    ) -> None:
        rested: dict[str, Any] = {"resting": RESTING} if resting else {}
        scene.host("i-a", name="web-1", enabled=not resting, **rested)
        scene.jobs_ended["i-a"] = NOW - 1.1 * (TIMEOUT + JOB_FORGOTTEN)
        done = scene.instance("i-a", state="Pending:Wait", age=1.1 * RETRY_MAX).plan(options)
        assert idle(done)
        assert not done.requeues
        assert [(each.kind, each.subject, each.instance_id) for each in done.findings] == [
            (DriftKind.RENAMED, "web-1", "i-a")
        ]

    def test_one_that_has_a_host_of_its_name_beside_a_renamed_one_is_queued_again(self, scene: Scene) -> None:
        scene.host("i-a", name="web-1")
        scene.host("i-a")
        assert len(scene.instance("i-a", state="Pending:Wait").plan().requeues) == 1

    def test_one_that_is_gone_is_queued_again_though_its_host_was_renamed(self, scene: Scene) -> None:
        scene.host("i-a", name="web-1")
        done = scene.instance("i-a", state="Pending:Wait", ec2="terminated").plan()
        assert len(done.requeues) == 1
        assert not done.findings

    @pytest.mark.parametrize("state", ["Pending", "Warmed:Stopped", "Warmed:Pending:Wait", "ReplacingRootVolume"])
    def test_the_renamed_host_of_one_that_comes_or_rests_is_reported(self, scene: Scene, state: str) -> None:
        scene.host("i-a", name="web-1", enabled=False, resting=RESTING)
        assert kinds(scene.instance("i-a", state=state, ec2="stopped").plan()) == [DriftKind.RENAMED]

    @pytest.mark.parametrize("state", ["Terminating:Wait", "Warmed:Terminating:Wait"])
    def test_the_renamed_host_of_one_that_goes_is_not(self, scene: Scene, state: str) -> None:
        scene.host("i-a", name="web-1")
        assert kinds(scene.instance("i-a", state=state).plan()) == []

    @pytest.mark.parametrize("state", ["Pending", "Pending:Proceed", "Terminating", "Terminating:Proceed", "InService"])
    def test_one_that_does_not_wait_is_not_queued_again(self, scene: Scene, state: str) -> None:
        scene.host("i-a")
        scene.jobs_ended["i-a"] = NOW - LONG_AGO
        assert not scene.instance("i-a", state=state).plan().requeues

    @pytest.mark.parametrize("state", ["Pending:Wait", "Terminating:Wait"])
    def test_one_of_a_group_that_did_not_opt_in_is_not_queued_again(self, scene: Scene, state: str) -> None:
        assert not scene.instance("i-a", group="somebody-elses", state=state).plan().requeues


class TestTheRemovalLimit:
    @staticmethod
    def removals(scene: Scene, count: int, inventory: Inventory = PROD) -> list[Removal]:
        """So many removals from an inventory."""
        return [Removal(inventory, scene.host(f"i-{each}"), f"i-{each}", "gone") for each in range(count)]

    @pytest.mark.parametrize("managed", [5, 6, 100])
    def test_up_to_five_removals_are_never_too_many(self, scene: Scene, managed: int) -> None:
        assert over_removal_limit(self.removals(scene, LIMIT_MIN), {PROD.id: managed}, 0.0) == {}

    @pytest.mark.parametrize(("managed", "stopped"), [(10, True), (29, True), (30, False), (300, False)])
    def test_more_than_a_share_of_the_managed_hosts_is_too_many(
        self, scene: Scene, managed: int, stopped: bool
    ) -> None:
        assert bool(over_removal_limit(self.removals(scene, 6), {PROD.id: managed}, 0.2)) == stopped

    def test_copies_that_go_with_what_they_were_copied_from_do_not_count(self, scene: Scene) -> None:
        gone = self.removals(scene, 6)
        assert over_removal_limit([replace(each, copied=True) for each in gone], {PROD.id: 6}, 0.2) == {}
        assert over_removal_limit([*gone, replace(gone[0], copied=True)], {PROD.id: 30}, 0.2) == {}

    def test_every_inventory_is_counted_by_itself(self, scene: Scene) -> None:
        few, many = self.removals(scene, 6), self.removals(scene, 7, OTHER)
        assert over_removal_limit([*few, *many], {PROD.id: 100, OTHER.id: 30}, 0.2) == {OTHER.id: many}


# Arbitrary worlds

GROUPS = ("web", "db", "api", "former")
INVENTORY_GROUPS = ("web", "db", "shared", "by-hand")
INSTANCE_IDS = [f"i-{number}" for number in range(6)]
AGES = (60.0, 300.0, 3600.0, LONG_AGO)
FATES: tuple[tuple[str | None, str, str | None], ...] = (
    ("web", "InService", "running"),
    ("web", "InService", "running"),
    ("db", "InService", "running"),
    ("db", "Terminating:Wait", "running"),
    (None, "", "running"),
    (None, "", "terminated"),
    (None, "", None),
)
STATES = (*("InService", "Standby") * 8, *PHASES)


def address_of(number: int) -> tuple[str, str]:
    """The VPC and the private address of an instance: two have one address, in two VPCs."""
    return f"vpc-{number % 2}", f"10.0.0.{number // 2}"


ANY_STATE: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "resting": st.sampled_from((RESTING, RESTING | {"enabled": False})),
        "stint": st.just({"since": NOW - 600, "token": "t", "hook": "h"}),
        "job_owed_since": st.just(int(NOW - 60)),
    },
)


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """A small world in any state. Only what EC2 rules out is not in it: two living instances at one address."""
    scene = Scene()
    for group in GROUPS:
        asked = draw(st.sampled_from(("opted in", "opted in", "unreadable", "without tag")))
        if asked == "opted in":
            scene.group(
                group,
                *draw(st.sampled_from(((), ("shared",), (group, "shared")))),
                inventory=draw(st.sampled_from((PROD, PROD, OTHER))),
                template=draw(st.sampled_from(("provision", None))),
                address=draw(st.sampled_from((AddressKind.PRIVATE, AddressKind.PRIVATE, AddressKind.PUBLIC))),
            )
        elif asked == "unreadable":
            scene.unreadable.add(group)
    for number, instance_id in enumerate(INSTANCE_IDS):
        vpc, address = address_of(number)
        scene.instance(
            instance_id,
            address,
            group=draw(st.sampled_from((*GROUPS, None))),
            state=draw(st.sampled_from(STATES)),
            ec2=draw(
                st.sampled_from(("running", "running", "running", "stopped", "shutting-down", "terminated", None))
            ),
            age=draw(st.sampled_from(AGES)),
            vpc=vpc,
            public=draw(st.sampled_from((f"54.0.0.{number}", ""))),
        )
        if draw(st.booleans()):
            scene.jobs_ended[instance_id] = NOW - draw(st.sampled_from((*AGES, -math.inf)))
    for number in range(draw(st.integers(0, 8))):
        _draw_host(draw, scene, number)
    return scene


def _draw_host(draw: st.DrawFn, scene: Scene, number: int) -> None:
    which = draw(st.integers(0, len(INSTANCE_IDS) - 1))
    vpc, own = address_of(which)
    inventory = draw(st.sampled_from((PROD, PROD, OTHER)))
    taken = {host.name for host in scene.hosts if host.inventory_id == inventory.id}
    names = [name for name in (INSTANCE_IDS[which], f"node-{number}") if name not in taken]
    host = scene.host(
        INSTANCE_IDS[which],
        draw(st.sampled_from((own, own, f"54.0.0.{which}", "10.0.0.0", "54.0.0.0", None))),
        draw(st.sampled_from((*GROUPS, *GROUPS, None))),
        name=names[0] if draw(st.integers(0, 3)) else names[-1],
        inventory=inventory,
        groups=draw(st.sets(st.sampled_from(INVENTORY_GROUPS))),
        account=draw(st.sampled_from((ACCOUNT, ACCOUNT, ACCOUNT, STRANGER))),
        vpc=draw(st.sampled_from((vpc, vpc, "vpc-9"))),
        enabled=draw(st.booleans()),
        age=draw(st.sampled_from((60.0, LONG_AGO))),
        facts=draw(st.sampled_from((None, {"vpc": vpc, "private_ip": own}))),
        made_for=draw(st.sampled_from((None, None, None, PROD, OTHER))),
        **draw(ANY_STATE),
    )
    if "rollcall" not in host.variables and draw(st.booleans()):
        scene.by_instance_id[inventory.id, INSTANCE_IDS[which]] = host.id


@st.composite
def crowded_scenes(draw: st.DrawFn) -> Scene:
    """A small world of one VPC with few addresses, where hosts often have the one that another's instance has now."""
    scene = Scene()
    for name in ("web", "db"):
        scene.group(name, inventory=draw(st.sampled_from((PROD, PROD, OTHER))))
    for number, instance_id in enumerate(INSTANCE_IDS):
        group, state, ec2 = draw(st.sampled_from(FATES))
        scene.instance(instance_id, f"10.0.0.{number}", group=group, state=state, ec2=ec2)
    for number in range(draw(st.integers(1, 6))):
        scene.host(
            draw(st.sampled_from(INSTANCE_IDS)),
            f"10.0.0.{draw(st.integers(0, len(INSTANCE_IDS) - 1))}",
            draw(st.sampled_from(("web", "db"))),
            name=f"node-{number}",
            inventory=draw(st.sampled_from((PROD, PROD, OTHER))),
            age=draw(st.sampled_from((60.0, LONG_AGO))),
        )
    return scene


ANY_SCENE = scenes() | crowded_scenes()
ANY_OPTIONS = st.builds(
    RunOptions,
    groups=st.none() | st.frozensets(st.sampled_from(GROUPS)),
    instances=st.none() | st.none() | st.frozensets(st.sampled_from(INSTANCE_IDS)),
    provision=st.booleans(),
    forget=st.frozensets(st.sampled_from(GROUPS), max_size=2),
    adopt=st.booleans(),
    every=st.sampled_from((None, 60.0, 900.0)),
)
ANY_KEPT = st.frozensets(st.sampled_from((PROD.id, OTHER.id)))
THOROUGHLY = settings(max_examples=6 * settings().max_examples)


def applied(snapshot: Snapshot, done: Plan) -> Snapshot:
    """The snapshot as it is once every step of the plan is taken."""
    hosts = {host.id: host for dump in snapshot.dumps.values() for host in dump.hosts}
    created_at = dict(snapshot.created_at)
    for removal in done.removals:
        del hosts[removal.host.id]
    for change in done.changes:
        assert hosts[change.host.id] == change.host
        hosts[change.host.id] = replace(
            change.host,
            enabled=change.host.enabled if change.enabled is None else change.enabled,
            variables=change.host.variables if change.variables is None else change.variables,
            groups=(change.host.groups | set(change.join)) - set(change.leave),
        )
    for addition in done.additions:
        new = max(created_at, default=0) + 1
        created_at[new] = snapshot.now
        inventory = addition.inventory
        assert (inventory.id, addition.instance_id) not in {(host.inventory_id, host.name) for host in hosts.values()}
        hosts[new] = DumpedHost(
            id=new,
            name=addition.instance_id,
            inventory_id=inventory.id,
            inventory_name=inventory.name,
            enabled=addition.enabled,
            variables=addition.variables,
            groups=frozenset(addition.place.settings.inventory_groups),
        )
    return replace(
        snapshot,
        created_at=created_at,
        dumps={
            each: Dump(dump.inventory, tuple(host for host in hosts.values() if host.inventory_id == each))
            for each, dump in snapshot.dumps.items()
        },
    )


def touched(done: Plan) -> list[Removal | Change]:
    """The steps about hosts that exist."""
    return [*done.removals, *done.changes]


def has_marker(host: DumpedHost) -> bool:
    return marker_of(host, ACCOUNT, REGION) is not None


def key_of(host: DumpedHost) -> tuple[str, str] | None:
    """Where a managed host's address is unique; None for a host without an address, or not of ours."""
    marker, address = marker_of(host, ACCOUNT, REGION), host.variables.get("ansible_host")
    return address_key(marker.vpc, str(address)) if marker and address else None


def lives(snapshot: Snapshot, instance_id: str) -> bool:
    """Whether EC2 says that an instance lives, or where EC2 does not know it, Auto Scaling does."""
    instance = snapshot.instances.get(instance_id)
    return instance.living if instance else instance_id in snapshot.memberships


def serves(snapshot: Snapshot, instance_id: str) -> bool:
    """Whether an instance is to have a host: settled in a group that opted in and could be read."""
    membership, instance = snapshot.memberships.get(instance_id), snapshot.instances.get(instance_id)
    return bool(
        membership and membership.group in snapshot.places and membership.serving and instance and instance.living
    )


@THOROUGHLY
@given(ANY_SCENE, ANY_OPTIONS, ANY_KEPT)
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(
    scene: Scene, options: RunOptions, kept: frozenset[int]
) -> None:
    snapshot = scene.snapshot()
    after = applied(snapshot, plan(snapshot, options, kept))
    assert idle(plan(after, options, kept))


@THOROUGHLY
@given(ANY_SCENE, ANY_OPTIONS)
def test_a_host_that_is_not_ours_is_in_no_step_unless_it_is_to_be_taken_over(scene: Scene, options: RunOptions) -> None:
    for step in touched(scene.plan(options)):
        assert (
            has_marker(step.host)
            or is_copy(step.host)
            or (options.adopt and isinstance(step, Change) and "rollcall" not in step.host.variables)
        )


@THOROUGHLY
@given(ANY_SCENE, ANY_OPTIONS)
def test_the_host_of_a_living_instance_is_removed_only_to_forget_or_to_move_it(
    scene: Scene, options: RunOptions
) -> None:
    snapshot = scene.snapshot()
    done = plan(snapshot, options)
    there_after = {
        (host.inventory_id, marker.instance_id)
        for dump in applied(snapshot, done).dumps.values()
        for host in dump.hosts
        if (marker := marker_of(host, ACCOUNT, REGION))
    }
    for removal in done.removals:
        marker = marker_of(removal.host, ACCOUNT, REGION)
        if removal.copied:
            assert marker is None
            originals = {each.instance_id for each in done.removals if not each.copied and not each.moved}
            assert removal.instance_id in originals or not lives(snapshot, removal.instance_id)
            continue
        assert marker
        membership, instance = snapshot.memberships.get(marker.instance_id), snapshot.instances.get(marker.instance_id)
        if removal.moved:
            assert membership
            home = snapshot.places[membership.group].inventory
            assert home != removal.inventory
            assert (home.id, marker.instance_id) in there_after
        elif membership and membership.retained:
            continue
        elif membership or (instance and instance.living):
            assert marker.group in options.forget or (instance and not instance.living)
            assert (instance and not instance.living) or not membership or membership.group not in snapshot.places
        elif instance is None:
            assert snapshot.now - snapshot.created_at[removal.host.id] > AWS_VISIBILITY_LAG


@THOROUGHLY
@given(ANY_SCENE, ANY_OPTIONS)
def test_nothing_is_planned_for_a_group_that_could_not_be_read(scene: Scene, options: RunOptions) -> None:
    snapshot = scene.snapshot()
    done = plan(snapshot, options)
    for step in touched(done):
        marker = marker_of(step.host, ACCOUNT, REGION)
        assert marker is None or marker.group not in snapshot.unreadable
    for instance_id in {step.instance_id for step in (*touched(done), *done.additions, *done.requeues)}:
        membership = snapshot.memberships.get(instance_id)
        assert membership is None or membership.group not in snapshot.unreadable


@THOROUGHLY
@given(ANY_SCENE, ANY_OPTIONS)
def test_what_an_action_is_at_work_on_is_never_touched(scene: Scene, options: RunOptions) -> None:
    snapshot = scene.snapshot()
    done = plan(snapshot, options)
    for step in (*touched(done), *done.additions):
        membership = snapshot.memberships.get(step.instance_id)
        if isinstance(step, Removal) and step.copied:
            continue
        assert membership is None or not (membership.entering or membership.leaving)
        assert membership is None or not (membership.resting and membership.held)


@THOROUGHLY
@given(ANY_SCENE, ANY_OPTIONS)
def test_only_instances_that_wait_are_queued_again(scene: Scene, options: RunOptions) -> None:
    snapshot = scene.snapshot()
    for requeue in plan(snapshot, options).requeues:
        membership = snapshot.memberships[requeue.instance_id]
        assert membership.held
        expected = Transition.LAUNCHING if membership.entering else Transition.TERMINATING
        assert requeue.transition == (None if membership.pooled else expected)


@THOROUGHLY
@given(ANY_SCENE, ANY_OPTIONS)
def test_a_run_for_some_groups_takes_no_step_about_others(scene: Scene, options: RunOptions) -> None:
    snapshot = scene.snapshot()
    done = plan(snapshot, options)
    if options.groups is None:
        return
    for step in (*touched(done), *done.additions, *done.requeues):
        membership = snapshot.memberships.get(step.instance_id)
        marker = marker_even_of_copy(step.host, ACCOUNT, REGION) if isinstance(step, Removal | Change) else None
        groups = {membership.group if membership else None, marker.group if marker else None}
        assert groups & options.groups


@THOROUGHLY
@given(ANY_SCENE, st.booleans())
def test_afterwards_every_instance_that_serves_has_one_host_at_home_that_is_right(scene: Scene, adopt: bool) -> None:
    snapshot = scene.snapshot()
    done = plan(snapshot, RunOptions(adopt=adopt))
    reported = {finding.subject for finding in done.findings}
    after = applied(snapshot, done)
    hosts = [
        (host, marker)
        for dump in after.dumps.values()
        for host in dump.hosts
        if (marker := marker_of(host, ACCOUNT, REGION))
    ]
    for instance_id in filter(lambda each: serves(snapshot, each), INSTANCE_IDS):
        own = [(host, marker) for host, marker in hosts if marker.instance_id == instance_id]
        if any(marker.group in snapshot.unreadable for _, marker in own) or instance_id in reported:
            continue
        right = [each for each in own if each[0].name not in reported]
        if len(own) > len(right) and not right:
            continue
        [(host, marker)] = right
        place = snapshot.places[snapshot.memberships[instance_id].group]
        assert host.inventory_id == place.inventory.id
        assert marker.group == place.settings.group
        assert set(place.settings.inventory_groups) <= host.groups
        assert host.variables["ansible_host"] == snapshot.instances[instance_id].addresses[place.settings.address]


@THOROUGHLY
@given(ANY_SCENE, ANY_OPTIONS, ANY_KEPT)
def test_afterwards_two_hosts_have_one_address_only_if_that_is_reported_to_whom_it_is_about(
    scene: Scene, options: RunOptions, kept: frozenset[int]
) -> None:
    snapshot = scene.snapshot()
    done = plan(snapshot, options, kept)
    reported = {(each.kind, each.inventory, each.subject) for each in done.findings}
    for dump in applied(snapshot, done).dumps.values():
        tenants: defaultdict[tuple[str, str], list[DumpedHost]] = defaultdict(list)
        for host in sorted(dump.hosts, key=lambda host: host.id):
            if key := key_of(host):
                tenants[key].append(host)
        for own in tenants.values():
            if any(is_about(options, snapshot, host) for host in own):
                assert {(DriftKind.ADDRESS_CONFLICT, dump.inventory, host.name) for host in own[1:]} <= reported


def is_about(options: RunOptions, snapshot: Snapshot, host: DumpedHost) -> bool:
    """Whether a run with these options is about a host of ours."""
    marker = marker_of(host, ACCOUNT, REGION)
    assert marker
    groups = {
        marker.group,
        *([snapshot.memberships[marker.instance_id].group] if marker.instance_id in snapshot.memberships else []),
    }
    named = options.instances is None or marker.instance_id in options.instances
    return named and (options.groups is None or bool(options.groups & groups))


@THOROUGHLY
@given(ANY_SCENE, ANY_OPTIONS, ANY_KEPT)
def test_afterwards_no_host_that_was_made_shares_its_address(
    scene: Scene, options: RunOptions, kept: frozenset[int]
) -> None:
    snapshot = scene.snapshot()
    done = plan(snapshot, options, kept)
    after = applied(snapshot, done)
    for addition in done.additions:
        hosts = after.dumps[addition.inventory.id].hosts
        [made] = [host for host in hosts if host.name == addition.instance_id]
        assert [host for host in hosts if key_of(host) == key_of(made)] == [made]


@THOROUGHLY
@given(ANY_SCENE, ANY_OPTIONS)
def test_who_is_not_added_for_an_address_is_reported_and_added_once_it_is_free(
    scene: Scene, options: RunOptions
) -> None:
    snapshot = scene.snapshot()
    done = plan(snapshot, options)
    conflicts = {(each.inventory, each.subject) for each in done.findings if each.kind == DriftKind.ADDRESS_CONFLICT}
    freed = replace(
        snapshot,
        dumps={
            each: replace(dump, hosts=tuple(host for host in dump.hosts if not has_marker(host)))
            for each, dump in snapshot.dumps.items()
        },
    )
    concerned = {(each.inventory, each.instance_id) for each in plan(freed, options).additions}
    for place, instance_id in concerned - {(each.inventory, each.instance_id) for each in done.additions}:
        at_home = [marker_of(host, ACCOUNT, REGION) for host in snapshot.dumps[place.id].hosts]
        named_so = [host for host in snapshot.dumps[place.id].hosts if host.name == instance_id]
        hosted = any(marker and marker.instance_id == instance_id for marker in at_home)
        assert hosted or named_so or (place, instance_id) in conflicts


@THOROUGHLY
@given(ANY_SCENE, ANY_OPTIONS, ANY_KEPT)
def test_keeping_inventories_takes_their_removals_and_no_others_in(
    scene: Scene, options: RunOptions, kept: frozenset[int]
) -> None:
    usual, done = scene.plan(options), plan(scene.snapshot(), options, kept)
    assert not {removal.inventory.id for removal in done.removals} & kept
    assert all(removal in usual.removals for removal in done.removals)
    assert all(addition in usual.additions for addition in done.additions)
    assert done.changes == usual.changes


@THOROUGHLY
@given(ANY_SCENE, ANY_OPTIONS, st.sampled_from((0.0, 0.3, 0.6)))
def test_a_plan_without_what_the_removal_limit_stops_is_within_it(
    scene: Scene, options: RunOptions, share: float
) -> None:
    snapshot = scene.snapshot()
    managed = {each: sum(map(has_marker, dump.hosts)) for each, dump in snapshot.dumps.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(removal_limit, "LIMIT_MIN", 0)  # these worlds are small
        stopped = over_removal_limit(plan(snapshot, options).removals, managed, share)
        assert over_removal_limit(plan(snapshot, options, frozenset(stopped)).removals, managed, share) == {}


@THOROUGHLY
@given(ANY_SCENE, ANY_OPTIONS)
def test_what_ec2_says_of_proven_instances_that_live_would_change_nothing(scene: Scene, options: RunOptions) -> None:
    snapshot = scene.snapshot()
    certain = right_by_own_variables(snapshot)
    assume(all(each in snapshot.instances and snapshot.instances[each].living for each in certain))
    unasked = {each: known for each, known in snapshot.instances.items() if each not in certain}
    assert plan(replace(snapshot, instances=unasked), options) == plan(snapshot, options)


@THOROUGHLY
@given(ANY_SCENE, ANY_OPTIONS, st.frozensets(st.sampled_from(INSTANCE_IDS)))
def test_a_plan_for_certain_instances_holds_steps_about_no_others(
    scene: Scene, options: RunOptions, instances: frozenset[str]
) -> None:
    done = scene.plan(replace(options, instances=instances))
    steps: list[Removal | Change | Addition | Requeue] = [*touched(done), *done.additions, *done.requeues]
    assert {step.instance_id for step in steps} <= instances
    assert {finding.instance_id for finding in done.findings} <= {*instances, ""}


@THOROUGHLY
@given(ANY_SCENE, ANY_OPTIONS)
def test_every_step_and_every_finding_has_a_reason(scene: Scene, options: RunOptions) -> None:
    done = scene.plan(options)
    steps: list[Removal | Change | Addition | DriftFinding] = [*touched(done), *done.additions, *done.findings]
    assert all(step.reason for step in steps)
    assert all(requeue.reason for requeue in done.requeues)


@THOROUGHLY
@given(ANY_SCENE, ANY_OPTIONS, st.data())
def test_a_plan_does_not_depend_on_the_order_in_which_things_were_read(
    scene: Scene, options: RunOptions, data: st.DataObject
) -> None:
    snapshot = scene.snapshot()
    shuffled = replace(
        snapshot,
        places=dict(data.draw(st.permutations(list(snapshot.places.items())))),
        memberships=dict(data.draw(st.permutations(list(snapshot.memberships.items())))),
        instances=dict(data.draw(st.permutations(list(snapshot.instances.items())))),
        dumps={
            each: replace(dump, hosts=tuple(data.draw(st.permutations(dump.hosts))))
            for each, dump in data.draw(st.permutations(list(snapshot.dumps.items())))
        },
    )
    assert plan(shuffled, options) == plan(snapshot, options)
