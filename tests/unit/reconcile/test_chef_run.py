"""Nodes in Chef whose instances are gone are removed by the evidence that a host would be, and by no less."""

from __future__ import annotations

import json
from copy import replace
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.errors import AwsUnavailable, BadSettings, ChefDenied, ChefUnavailable, Throttled
from rollcall.domain.membership import Membership
from rollcall.domain.messages import RunOptions
from rollcall.reconcile.answer import drift_fixed, run_answer
from rollcall.reconcile.chef_plan import QUIET
from rollcall.reconcile.credible_answers import CONTROLS
from rollcall.reconcile.run import TIME_RESERVE
from unit.fakes import ACCOUNT, REGION, FakeChef
from unit.world import World

if TYPE_CHECKING:
    from collections.abc import Collection

    from rollcall.reconcile.result import RunOutcome
    from unit.audience import Audience

DNS = "ip-10-0-0-7.ec2.internal"
STRANGER = "999999999999"


@pytest.fixture
def chef(world: World) -> FakeChef:
    """A Chef server, and the group "web" whose nodes are named after their instances."""
    world.chef = FakeChef()
    world.group("web", chef="@instance_id@")
    return world.chef


def node(world: World, name: str, *, age: float | None = QUIET + 1, **said: Any) -> None:
    """A node that reported so many seconds ago, of an instance of this account and Region, and its client."""
    assert world.chef
    seen_at = None if age is None else world.clock.now - age
    world.chef.bootstrap(name, **{"instance_id": name, "account": ACCOUNT, "region": REGION, "seen_at": seen_at} | said)


def dead(world: World, instance_id: str) -> None:
    """An instance that EC2 says is terminated."""
    world.fleet.known_instances[instance_id] = world.instance(instance_id, state="terminated")


def marked(group: str, instance_id: str, chef: object) -> dict[str, object]:
    """The marker of a host that holds how its node is named."""
    where = {"account": ACCOUNT, "region": REGION, "vpc": "vpc-1"}
    return {"group": group, "instance_id": instance_id, **where, "chef": chef}


def removed(outcome: RunOutcome) -> set[str]:
    return {removal.node for removal in outcome.nodes.removed}


def reasons(outcome: RunOutcome) -> dict[str, str]:
    return {removal.node: removal.reason for removal in outcome.nodes.plan.removals}


class TestWhatGoes:
    @pytest.mark.parametrize("state", ["shutting-down", "terminated"])
    def test_the_node_of_an_instance_that_ec2_says_is_gone(self, world: World, chef: FakeChef, state: str) -> None:
        node(world, "i-a", age=0)
        world.fleet.known_instances["i-a"] = world.instance("i-a", state=state)
        outcome = world.reconcile()
        assert reasons(outcome) == {"i-a": f"EC2 says that it is {state}"}
        assert removed(outcome) == {"i-a"}
        assert not chef.held.keys() | chef.clients

    def test_a_node_that_never_reported_goes_by_ec2s_word(self, world: World, chef: FakeChef) -> None:
        chef.bootstrap("i-a")
        dead(world, "i-a")
        assert removed(world.reconcile()) == {"i-a"}

    def test_a_node_that_is_not_known_and_that_has_not_reported_for_long(self, world: World, chef: FakeChef) -> None:
        node(world, "i-a", age=QUIET + 1)
        outcome = world.reconcile()
        assert reasons(outcome) == {"i-a": "neither EC2 nor Auto Scaling knows it"}
        assert not chef.held

    @pytest.mark.parametrize(
        "change",
        [
            {"age": QUIET},
            {"age": None},
            {"account": STRANGER},
            {"region": "eu-west-1"},
            {"account": ""},
            {"region": ""},
        ],
        ids=str,
    )
    def test_a_node_that_is_not_known_stays_unless_it_is_old_and_says_that_it_is_from_here(
        self, world: World, chef: FakeChef, change: dict[str, Any]
    ) -> None:
        node(world, "i-a", **change)
        assert removed(world.reconcile()) == set()
        assert chef.held.keys() == {"i-a"}

    @pytest.mark.parametrize("state", ["InService", "Standby", "Pending:Wait", "Terminating:Wait", "Warmed:Stopped"])
    def test_the_node_of_a_living_instance_stays(self, world: World, chef: FakeChef, state: str) -> None:
        node(world, "i-a")
        world.serving("i-a", "10.0.0.1", state=state)
        assert removed(world.reconcile()) == set()

    def test_the_node_of_an_instance_that_belongs_to_no_group_of_ours_stays(self, world: World, chef: FakeChef) -> None:
        node(world, "i-a")
        world.fleet.known_instances["i-a"] = world.instance("i-a")
        assert removed(world.reconcile()) == set()

    def test_an_instance_that_auto_scaling_knows_and_ec2_not_yet_keeps_its_node(
        self, world: World, chef: FakeChef
    ) -> None:
        node(world, "i-a")
        world.launching("i-a", group="another")
        world.fleet.known_instances.clear()
        assert removed(world.reconcile()) == set()

    @pytest.mark.parametrize("name", ["web-i-a", "chef-server", "i-a.example.com", "I-A", DNS])
    def test_a_node_with_another_name_is_not_even_looked_at(self, world: World, chef: FakeChef, name: str) -> None:
        node(world, name, instance_id="i-a")
        dead(world, "i-a")
        outcome = world.reconcile(force=True)
        assert (outcome.nodes.plan.ours, removed(outcome)) == (0, set())
        assert not chef.calls["nodes"]

    def test_chef_client_runs_every_half_hour_and_so_nodes_are_quiet_for_more_than_one(self) -> None:
        assert QUIET > 3600

    @pytest.mark.parametrize("forgotten", [True, False])
    def test_a_node_whose_name_was_baked_into_an_image_is_another_instances_by_now(
        self, world: World, chef: FakeChef, forgotten: bool
    ) -> None:
        node(world, "i-a", instance_id="i-copy")
        world.serving("i-copy", "10.0.0.1")
        if not forgotten:
            dead(world, "i-a")
        outcome = world.reconcile()
        assert not reasons(outcome)
        assert chef.held.keys() == chef.clients == {"i-a"}

    def test_a_client_without_a_node_stays(self, world: World, chef: FakeChef) -> None:
        chef.clients.add("i-a")
        dead(world, "i-a")
        world.reconcile()
        assert chef.clients == {"i-a"}


class TestPrivateDnsNames:
    @pytest.fixture(autouse=True)
    def _named_so(self, world: World, chef: FakeChef) -> None:
        world.group("web", chef="@private_dns@")

    def test_a_node_says_itself_whose_it_is(self, world: World, chef: FakeChef) -> None:
        node(world, DNS, instance_id="i-a")
        dead(world, "i-a")
        assert removed(world.reconcile()) == {DNS}
        assert not chef.clients

    @pytest.mark.parametrize("said", [{"instance_id": ""}, {"instance_id": "web"}, {"account": STRANGER}])
    def test_a_node_that_does_not_say_so_stays(self, world: World, chef: FakeChef, said: dict[str, Any]) -> None:
        node(world, DNS, **{"instance_id": "i-a"} | said)
        dead(world, "i-a")
        assert removed(world.reconcile()) == set()

    def test_a_name_that_a_living_instance_has_by_now_is_its_own(self, world: World, chef: FakeChef) -> None:
        node(world, DNS, instance_id="i-gone")
        dead(world, "i-gone")
        world.serving("i-a", "10.0.0.7")
        outcome = world.reconcile()
        assert (outcome.nodes.plan.ours, removed(outcome)) == (1, set())

    def test_whose_host_is_proven_is_known_without_ec2(self, world: World, chef: FakeChef) -> None:
        asked: list[Collection[str]] = []
        world.fleet.before_instances = asked.append
        for number in range(CONTROLS + 1):
            private_dns = f"ip-10-0-0-{number}.ec2.internal"
            node(world, private_dns, instance_id="i-gone")
            facts = {**world.serving(f"i-{number}", f"10.0.0.{number}").facts, "private_dns": private_dns}
            owner = {**marked("web", f"i-{number}", "@private_dns@"), "inventory": world.inventory.id}
            variables = {"rollcall": owner, "ec2": facts}
            world.host_of(f"i-{number}", f"10.0.0.{number}", variables=variables)
        outcome = world.reconcile()
        assert (outcome.nodes.plan.ours, outcome.fixes) == (CONTROLS + 1, [])
        assert f"i-{CONTROLS}" not in {each for ids in asked for each in ids}
        assert not chef.calls["nodes"]

    def test_a_name_that_was_taken_since_it_was_looked_at_stays(self, world: World, chef: FakeChef) -> None:
        node(world, DNS, instance_id="i-gone")
        dead(world, "i-gone")

        def new_instance(method: str) -> None:
            if method == "nodes" and chef.calls["nodes"] == 2:
                node(world, DNS, instance_id="i-new")

        chef.before_call = new_instance
        outcome = world.reconcile()
        assert reasons(outcome).keys() == {DNS}
        assert removed(outcome) == set()
        assert chef.held[DNS].instance_id == "i-new"


class TestPatterns:
    def test_without_the_tag_chef_is_not_asked(self, world: World, chef: FakeChef) -> None:
        world.group("web")
        world.reconcile()
        assert not chef.calls

    def test_groups_of_several_patterns_are_one_search(self, world: World, chef: FakeChef) -> None:
        world.group("db", chef="db-@instance_id@")
        node(world, "i-a")
        node(world, "db-i-b", instance_id="i-b")
        dead(world, "i-b")
        assert removed(world.reconcile()) == {"i-a", "db-i-b"}
        assert chef.calls["node_names"] == 1

    def test_a_run_for_one_group_is_about_its_pattern_only(self, world: World, chef: FakeChef) -> None:
        world.group("db", chef="db-@instance_id@")
        node(world, "i-a")
        node(world, "db-i-b", instance_id="i-b")
        world.host_of("i-b", "10.0.0.1", "db")
        assert removed(world.reconcile(RunOptions(groups=frozenset({"db"})))) == {"db-i-b"}

    def test_a_run_for_one_group_leaves_the_nodes_of_others_that_are_named_alike(
        self, world: World, chef: FakeChef
    ) -> None:
        world.group("db", chef="@instance_id@")
        for number in range(10):
            node(world, f"i-web{number}")
            world.host_of(f"i-web{number}", f"10.0.0.{number}", "web")
        node(world, "i-db")
        world.host_of("i-db", "10.0.1.1", "db")
        node(world, "i-leaving")
        dead(world, "i-leaving")
        world.fleet.known_memberships["i-leaving"] = Membership("db", "Terminating")
        node(world, "i-anybodys")
        outcome = world.reconcile(RunOptions(groups=frozenset({"db"})), force=True)
        assert removed(outcome) == {"i-db"}
        assert outcome.nodes.plan.ours == 2
        assert "i-anybodys" in removed(world.reconcile(force=True))

    def test_of_a_group_that_is_gone_its_hosts_hold_the_pattern(self, world: World, chef: FakeChef) -> None:
        world.host_of("i-a", "10.0.0.1", variables={"rollcall": marked("old", "i-a", "old-@instance_id@")})
        node(world, "old-i-a", instance_id="i-a")
        dead(world, "i-a")
        assert removed(world.reconcile()) == {"old-i-a"}
        assert not world.tower.hosts

    @pytest.mark.parametrize("text", ["*", "", 7, {"x": 1}])
    def test_what_a_person_made_of_the_marker_is_no_pattern(self, world: World, chef: FakeChef, text: object) -> None:
        world.host_of("i-a", "10.0.0.1", variables={"rollcall": marked("old", "i-a", text)})
        world.group("web")
        outcome = world.reconcile()
        assert not outcome.errors
        assert not chef.calls

    def test_of_a_group_that_is_there_only_its_tag_counts(self, world: World, chef: FakeChef) -> None:
        world.group("web")
        world.host_of("i-a", "10.0.0.1", variables={"rollcall": marked("web", "i-a", "@instance_id@")})
        node(world, "i-a")
        world.reconcile()
        assert not world.tower.hosts
        assert not chef.calls

    def test_a_tag_that_cannot_be_followed_is_named_and_no_node_of_its_group_goes(
        self, world: World, chef: FakeChef
    ) -> None:
        world.group("web", chef="nonsense")
        world.group("db")
        world.host_of("i-a", "10.0.0.1", variables={"rollcall": marked("web", "i-a", "@instance_id@")})
        node(world, "i-a")
        outcome = world.reconcile()
        assert isinstance(outcome.errors["group web"], BadSettings)
        assert chef.held


class TestTheRemovalLimit:
    def gone(self, world: World, count: int, living: int) -> None:
        for number in range(count):
            node(world, f"i-{number}")
        for number in range(count, count + living):
            node(world, f"i-{number}")
            world.serving(f"i-{number}", f"10.0.0.{number}")

    def test_too_large_a_share_of_our_nodes_goes_only_by_force(self, world: World, chef: FakeChef) -> None:
        self.gone(world, 6, living=23)
        outcome = world.reconcile()
        assert {removal.node for removal in outcome.nodes.stopped} == {f"i-{number}" for number in range(6)}
        assert (outcome.nodes.plan.ours, outcome.nodes.plan.removals, removed(outcome)) == (29, (), set())
        assert len(chef.held) == 29
        assert len(removed(world.reconcile(force=True))) == 6

    @pytest.mark.parametrize(("count", "living"), [(5, 0), (6, 24)])
    def test_a_few_or_a_small_share_go_unasked(self, world: World, chef: FakeChef, count: int, living: int) -> None:
        self.gone(world, count, living)
        assert len(removed(world.reconcile())) == count

    def test_nodes_of_other_accounts_make_no_share_smaller(self, world: World, chef: FakeChef) -> None:
        self.gone(world, 6, living=0)
        for number in range(100, 200):
            node(world, f"i-{number}", account=STRANGER)
        assert len(world.reconcile().nodes.stopped) == 6


class TestTrouble:
    def test_tower_is_put_right_though_chef_is_away(self, world: World, chef: FakeChef) -> None:
        world.host_of("i-gone", "10.0.0.1")
        chef.failing["node_names"] = ChefUnavailable("away")
        outcome = world.reconcile()
        assert not world.tower.hosts
        assert isinstance(outcome.errors["nodes in Chef"], ChefUnavailable)

    def test_a_node_that_may_not_be_removed_keeps_no_other_one(self, world: World, chef: FakeChef) -> None:
        node(world, "i-a")
        node(world, "i-b")
        chef.kept["i-a"] = ChefDenied("no")
        outcome = world.reconcile()
        assert removed(outcome) == {"i-b"}
        assert isinstance(outcome.errors["node i-a in Chef"], ChefDenied)

    @pytest.mark.parametrize("method", ["instances", "memberships"])
    def test_where_aws_does_not_answer_nothing_is_removed(self, world: World, chef: FakeChef, method: str) -> None:
        node(world, "i-a")
        chef.before_call = lambda called: world.fleet.failing.update({method: Throttled("slow down")})
        outcome = world.reconcile()
        assert isinstance(outcome.errors["nodes in Chef"], Throttled)
        assert chef.held

    def test_an_answer_of_ec2_that_knows_none_is_not_believed(self, world: World, chef: FakeChef) -> None:
        node(world, "i-gone")
        for number in (1, 2):
            world.serving(f"i-{number}", f"10.0.0.{number}")
        chef.before_call = lambda called: world.fleet.known_instances.clear()
        outcome = world.reconcile()
        assert isinstance(outcome.errors["nodes in Chef"], AwsUnavailable)
        assert chef.held

    def test_aws_is_asked_after_chef_so_that_a_node_made_meanwhile_stays(self, world: World, chef: FakeChef) -> None:
        def new_instance(method: str) -> None:
            node(world, "i-new", age=QUIET + 1)
            world.serving("i-new", "10.0.0.9")

        chef.before_call = new_instance
        assert removed(world.reconcile()) == set()
        assert chef.held.keys() == {"i-new"}

    def test_aws_is_asked_about_no_node_that_a_group_explains(self, world: World, chef: FakeChef) -> None:
        node(world, "i-a")
        world.serving("i-a", "10.0.0.1")
        asked: list[object] = []
        chef.before_call = lambda method: setattr(world.fleet, "before_instances", asked.append)
        world.reconcile()
        assert not asked

    def test_out_of_time_the_rest_is_left_to_the_next_run(self, world: World, chef: FakeChef) -> None:
        node(world, "i-a")
        outcome = world.reconcile(seconds_left=lambda: TIME_RESERVE)
        assert (outcome.left, removed(outcome)) == (1, set())
        assert chef.held

    def test_a_second_run_changes_nothing(self, world: World, chef: FakeChef) -> None:
        node(world, "i-a")
        world.reconcile()
        outcome = world.reconcile()
        assert not outcome.nodes.plan.removals
        assert not outcome.errors


class TestTheTag:
    def test_a_host_learns_how_its_node_is_named_and_is_right_from_then_on(self, world: World, chef: FakeChef) -> None:
        world.serving("i-a", "10.0.0.1")
        host = world.host_of("i-a", "10.0.0.1")
        world.reconcile()
        marker = world.tower.hosts[host.id].variables["rollcall"]
        assert isinstance(marker, dict)
        assert marker["chef"] == "@instance_id@"
        assert not world.reconcile().fixes

    def test_a_launched_instance_has_it_in_its_marker(self, world: World, chef: FakeChef) -> None:
        world.settings = replace(world.settings, chef_secret="arn:aws:secretsmanager:us-east-1:1:secret:chef")
        world.register(world.launching("i-a"))
        [host] = world.tower.hosts.values()
        assert host.marker
        assert host.marker["chef"] == "@instance_id@"

    def test_a_launch_is_reported_that_there_is_no_chef_server(self, world: World) -> None:
        world.group("web", chef="@instance_id@")
        [report] = world.register(world.launching("i-a"))
        assert isinstance(report.error, BadSettings)
        assert "deploy with ChefSecretArn" in str(report.error)


class TestWhatIsTold:
    def answer(self, outcome: RunOutcome, *, dry_run: bool = False) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(json.dumps(run_answer(outcome, dry_run=dry_run, seconds=1)))
        return read

    def test_a_dry_run_lists_the_nodes_with_their_reasons_and_keeps_them(self, world: World, chef: FakeChef) -> None:
        node(world, "i-a")
        outcome = world.reconcile(dry_run=True)
        said = self.answer(outcome, dry_run=True)
        [step] = said["steps"]
        assert step == {
            "step": "remove from Chef",
            "node": "i-a",
            "instance_id": "i-a",
            "reason": "neither EC2 nor Auto Scaling knows it",
        }
        assert said["nodes"] == {"ours": 1, "removed": 0}
        assert chef.held
        assert drift_fixed(outcome) == []

    def test_a_run_answers_and_tells_the_bus_what_it_removed(self, world: World, chef: FakeChef) -> None:
        node(world, "i-a")
        outcome = world.reconcile()
        said = self.answer(outcome)
        [step] = said["steps"]
        assert (step["step"], step["node"], said["nodes"]) == ("removed from Chef", "i-a", {"ours": 1, "removed": 1})
        assert drift_fixed(outcome) == [step]

    def test_removals_over_the_limit_are_a_failure_with_the_list(self, world: World, chef: FakeChef) -> None:
        for number in range(6):
            node(world, f"i-{number}")
        said = self.answer(world.reconcile())
        assert said["failed"]
        assert {each["node"] for each in said["stopped"]} == {f"i-{number}" for number in range(6)}

    def announced(self, audience: Audience, outcome: RunOutcome) -> tuple[list[dict[str, Any]], dict[str, float]]:
        """The log lines of a run, and its metrics."""
        audience.announcer.announce_fixes(outcome)
        audience.announcer.announce_run(outcome, None)
        counted = {name: number for name, number in audience.counted().items() if number and name != "ReconcileRuns"}
        return audience.lines(), counted

    def test_a_removal_is_a_line_and_counted(self, world: World, chef: FakeChef, audience: Audience) -> None:
        node(world, "i-a")
        lines, counted = self.announced(audience, world.reconcile())
        assert [(line["message"], line.get("node")) for line in lines[:2]] == [
            ("removed from Chef: neither EC2 nor Auto Scaling knows it", "i-a"),
            ("reconciled Chef", None),
        ]
        assert counted == {"DriftFound": 1, "DriftFixed": 1}

    def test_removals_over_the_limit_are_an_alert_with_the_list_and_counted(
        self, world: World, chef: FakeChef, audience: Audience
    ) -> None:
        for number in range(6):
            node(world, f"i-{number}")
        lines, counted = self.announced(audience, world.reconcile())
        [tripped] = [line for line in lines if line.get("alert")]
        assert "6 of our 6 nodes in Chef" in tripped["message"]
        assert set(tripped["nodes"]) == {f"i-{number}" for number in range(6)}
        assert counted == {"DriftFound": 6, "BreakerTripped": 1}
