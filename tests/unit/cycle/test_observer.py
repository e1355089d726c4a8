"""What pre-flight reads: the group, its versions, dry runs of its launches, and doctor's view of it."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.aws.instance_refreshes import Refresh
from rollcall.aws.launch_surroundings import LaunchSurroundings, PastActivity, Subnet
from rollcall.aws.launch_templates import LaunchRefusal, TemplateVersion
from rollcall.cycle.cycle_aws import CycleAws
from rollcall.cycle.observer import PreflightObserver
from rollcall.domain.actions import Transition
from rollcall.domain.errors import AwsUnavailable, BadSettings, TowerUnavailable
from unit import observed
from unit.cycle.preflights import NOW, OWN, TARGET, details, launch, member, mixed, template
from unit.fakes import REGION, Clock, FakeFleet, FakeTower
from unit.world import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rollcall.aws.group_details import GroupDetails
    from rollcall.cycle.preflight import Preflight

HERE = replace(SETTINGS, load_balancers=True, cycles=True)
TAGS = {"rollcall:job-template": "provision", "rollcall:gate": "job elb"}


class FakeCycleAws(CycleAws):
    """A group, its launch template and its refresh in memory. refusals: by subnet and type. tried: dry runs."""

    def __init__(self, group: GroupDetails | None) -> None:
        self.group = group
        self.known_versions = {("lt-1", "6"): OWN, ("lt-1", "7"): TARGET, ("lt-1", "$Default"): OWN}
        self.refresh: Refresh | None = None
        self.refusals: dict[tuple[str, str], LaunchRefusal] = {}
        self.tried: list[tuple[str, str, str, str]] = []

    def details(self, name: str) -> GroupDetails | None:
        return self.group if self.group and self.group.group.name == name else None

    def version(self, template: Mapping[str, Any], version: str) -> TemplateVersion | None:
        return self.known_versions.get((template["LaunchTemplateId"], version))

    def active(self, group: str) -> Refresh | None:
        return self.refresh

    def why_not_launched(
        self, launched: TemplateVersion, *, subnet: str = "", instance_type: str = "", image: str = ""
    ) -> LaunchRefusal | None:
        self.tried.append((launched.number, subnet, instance_type, image))
        return self.refusals.get((subnet, instance_type))


class FakeSurroundings(LaunchSurroundings):
    """Subnets, alarms and activities in memory."""

    def __init__(self) -> None:
        self.free = {"subnet-a": Subnet("us-east-1a", 9), "subnet-b": Subnet("us-east-1b", 9)}
        self.states = {"5xx": "OK"}
        self.past: list[PastActivity] = [launch(200)]

    def subnets(self, subnet_ids: Collection[str]) -> dict[str, Subnet]:
        return {each: self.free[each] for each in subnet_ids if each in self.free}

    def alarm_states(self, names: Collection[str]) -> dict[str, str]:
        return {each: self.states[each] for each in names if each in self.states}

    def past_activities(self, group: str) -> list[PastActivity]:
        return self.past


class Scene:
    """An installation with one group that can be cycled."""

    def __init__(self, group: GroupDetails | None = None, hooks: Any = observed.HOOKS) -> None:
        group = details(tags=TAGS) if group is None else group
        self.aws = FakeCycleAws(group)
        self.around = FakeSurroundings()
        self.tower = FakeTower(Clock())
        inventory = self.tower.add_inventory("prod")
        self.tower.add_template("provision", inventory_id=inventory.id)
        seen = observed.group(hooks=hooks)
        self.reader = observed.FakeAwsReader(replace(seen, group=group.group, details=group))
        self.running: list[str] = ["web-1"]
        self.bakes: list[str] = []
        self.observer = PreflightObserver(
            HERE,
            self.tower,
            FakeFleet(REGION),
            running=lambda group: self.running,
            bakes=lambda group: self.bakes,
            clock=lambda: NOW,
            seconds_left=lambda: 100.0,
            aws=self.aws,
            surroundings=self.around,
            reader=self.reader,
        )

    def preflight(self, raw: Any = None, **asked: Any) -> Preflight:
        return self.observer.preflight(raw or {"group": "web", **asked}, "web-1")[1]

    def to_come(self, **asked: Any) -> Preflight:
        """Of a cycle to a version that is yet to be made."""
        return self.observer.preflight({"group": "web", "dry_run": True, **asked}, "web-1", to_come=True)[1]

    def whats(self, **asked: Any) -> set[str]:
        return {each.what for each in self.preflight(**asked).objections}


def test_a_group_that_is_as_it_should_be_gets_a_plan() -> None:
    scene = Scene()
    found = scene.preflight(launch_template_version="7")
    assert found.objections == ()
    assert found.plan is not None
    assert (found.plan.from_version, found.plan.target_version) == ("6", "7")


def test_input_that_cannot_be_read_is_an_objection() -> None:
    request, found = Scene().observer.preflight({"group": "web", "batch": "all"}, "web-1")
    assert request is None
    assert [each.what for each in found.objections] == ["input"]
    assert "'batch'" in found.objections[0].reason


def test_a_group_that_is_not_there_is_looked_for_by_its_name() -> None:
    request, found = Scene().observer.preflight({"group": "wbe"}, "web-1")
    assert request is not None
    assert [each.what for each in found.objections] == ["no group"]


def test_what_the_tag_says_counts_and_a_tag_that_cannot_be_read_is_an_objection() -> None:
    scene = Scene(details(tags={**TAGS, "rollcall:cycle": "batch=4"}))
    request, _ = scene.observer.preflight({"group": "web"}, "web-1")
    assert request is not None
    assert request.batch.amount == 4
    assert Scene(details(tags={**TAGS, "rollcall:cycle": "batch=all"})).whats() == {"tag rollcall:cycle"}


def test_a_version_that_is_not_there_is_found_missing() -> None:
    assert Scene().whats(launch_template_version="9") == {"version"}


def test_each_zone_is_tried_with_the_first_type_and_each_other_type_once() -> None:
    override = {"LaunchTemplateId": "lt-2", "Version": "3"}
    types = (
        {"InstanceType": "t3.micro"},
        {"InstanceType": "m6g.large", "LaunchTemplateSpecification": override},
        {"InstanceType": "c6i.large", "ImageId": "ami-9"},
    )
    scene = Scene(details(configuration=mixed("6", *types), tags=TAGS))
    scene.aws.known_versions["lt-2", "3"] = TemplateVersion("lt-2", "3")
    scene.preflight(launch_template_version="7")
    assert scene.aws.tried == [
        ("7", "subnet-a", "t3.micro", ""),
        ("7", "subnet-b", "t3.micro", ""),
        ("3", "subnet-a", "m6g.large", ""),
        ("7", "subnet-a", "c6i.large", "ami-9"),
    ]


def test_a_zone_in_which_a_type_is_not_offered_is_named() -> None:
    scene = Scene()
    scene.aws.refusals["subnet-b", ""] = LaunchRefusal("Unsupported", "not in this zone")
    (found,) = scene.preflight(launch_template_version="7").objections
    assert found.reason == "EC2 would not launch t3.micro of version 7 in us-east-1b: not in this zone"


def test_an_override_whose_own_template_is_not_there_is_refused() -> None:
    gone = {"InstanceType": "m6g.large", "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-9"}}
    scene = Scene(details(configuration=mixed("6", {"InstanceType": "t3.micro"}, gone), tags=TAGS))
    (found,) = scene.preflight(launch_template_version="7").objections
    assert "m6g.large" in found.reason


def test_no_more_launches_are_tried_than_ec2_lets_an_account_make() -> None:
    types = [{"InstanceType": f"t{number}.micro"} for number in range(40)]
    scene = Scene(details(configuration=mixed("6", *types), tags=TAGS))
    scene.preflight(launch_template_version="7")
    assert len(scene.aws.tried) == 12


def test_types_that_aws_chooses_by_attributes_are_not_tried() -> None:
    requirements = {"InstanceRequirements": {"VCpuCount": {"Min": 2}, "MemoryMiB": {"Min": 1024}}}
    scene = Scene(details(configuration=mixed("6", requirements), tags=TAGS))
    scene.aws.known_versions["lt-1", "6"] = TemplateVersion("lt-1", "6")
    assert scene.whats() == set()
    assert scene.aws.tried == []


def test_a_refresh_belongs_to_the_other_cycle_of_the_group_that_runs() -> None:
    scene = Scene()
    scene.aws.refresh = Refresh("r-1", "InProgress", began=NOW)
    assert "started outside of Rollcall" in scene.preflight().objections[0].reason
    scene.running.append("web-0")
    assert "of cycle web-0" in scene.preflight().objections[0].reason


def test_a_bake_of_the_group_that_goes_on_speaks_against_it() -> None:
    scene = Scene()
    scene.bakes = ["web-9"]
    (found,) = scene.preflight().objections
    assert (found.what, found.reason) == ("bake running", "bake web-9 of this group goes on")
    assert found.remedy == "wait for it, or cancel it: rollcall bake --cancel web"


@pytest.mark.parametrize(("running", "words"), [(["web-0", "web-1"], "wait for that"), (["web-1"], "let reconcile")])
def test_a_pin_is_left_behind_once_its_cycle_does_not_run(running: list[str], words: str) -> None:
    scene = Scene(details(tags={**TAGS, "rollcall:cycle-pinned": "default keep web-0"}))
    scene.running = running
    (found,) = scene.preflight().objections
    assert found.what == "pinned"
    assert found.remedy.startswith(words)


def test_alarms_of_the_request_are_read() -> None:
    assert Scene().whats(alarms=["5xx"]) == set()
    assert Scene().whats(alarms=["gone"]) == {"alarm gone"}


@pytest.mark.parametrize(
    ("left", "what"),
    [(Transition.TERMINATING, "no launch hook"), (Transition.LAUNCHING, "no terminate hook")],
)
def test_a_missing_hook_is_an_objection_and_not_only_a_warning(left: Transition, what: str) -> None:
    scene = Scene(hooks=(observed.hook(left),))
    (found,) = scene.preflight().objections
    assert found.what == what
    assert "put-lifecycle-hook" in found.remedy


def test_a_hook_of_another_name_that_notifies_our_queue_is_ours() -> None:
    queue = f"arn:aws:sqs:{REGION}:{HERE.account}:launch"
    own = observed.hook(name="of-the-team", target=queue, role=observed.ROLE)
    assert Scene(hooks=(own, observed.hook(Transition.TERMINATING))).whats() == set()


def test_doctors_findings_that_break_launches_are_objections() -> None:
    scene = Scene()
    del scene.tower.by_reference["prod"]
    assert scene.whats() == {"not found"}
    scene = Scene(details(tags={**TAGS, "rollcall:gate": "job pong"}))
    assert "tag rollcall:gate" in scene.whats()
    scene = Scene()
    scene.tower.failing["version"] = TowerUnavailable("Tower is away")
    assert any("Tower is away" in each.reason for each in scene.preflight().objections)


def test_a_group_that_did_not_opt_in_is_told_so_once() -> None:
    group = details(tags={"rollcall:inventory": None})
    assert Scene(group).whats() == {"not opted in", "hooks without the tag", "health check type"}


def test_hosts_of_inventories_are_not_read_for_it() -> None:
    scene = Scene()
    scene.preflight()
    assert scene.tower.calls["dump"] == 0
    assert scene.tower.calls["hosts_of"] == 0
    assert scene.tower.calls["inventory"] == 1


def test_doctor_does_not_read_what_pre_flight_reads_itself() -> None:
    scene = Scene(details(tags={**TAGS, "rollcall:cycle": "", "rollcall:cycle-pinned": "default keep web-0"}))
    scene.preflight()
    assert not {"active_refresh", "is_running", "rule", "queue"} & {method for method, _ in scene.reader.calls}


def test_what_cannot_be_read_of_aws_is_raised_so_that_the_step_is_taken_again() -> None:
    scene = Scene()

    def away(group: str) -> list[PastActivity]:
        raise AwsUnavailable("AWS is away")

    scene.around.past_activities = away  # type: ignore[method-assign]
    with pytest.raises(AwsUnavailable):
        scene.preflight()


def test_an_alias_is_resolved_once_where_it_is_the_groups_own() -> None:
    scene = Scene(details(configuration=template("$Default"), tags=TAGS))
    found = scene.preflight(launch_template_version="$Default")
    assert found.objections == ()
    assert found.plan is not None
    assert found.plan.target_version == "6"
    assert not found.plan.sends_configuration


def test_a_group_with_a_launch_configuration_is_tried_nowhere() -> None:
    scene = Scene(details(member(0, template_id="", version=""), configuration={}, tags=TAGS))
    found = scene.preflight()
    assert found.objections == ()
    assert scene.aws.tried == []


def test_bad_settings_are_not_hidden() -> None:
    with pytest.raises(BadSettings):
        Scene().observer.observe({"group": "web", "batch": "all"}, "web", "web-1")


# To a version that is yet to be made


def test_a_version_to_come_is_tried_as_the_groups_own_which_it_is_made_from() -> None:
    scene = Scene()
    assert scene.to_come().objections == ()
    assert {number for number, *_ in scene.aws.tried} == {"6"}
    scene.aws.refusals["subnet-a", ""] = LaunchRefusal("UnauthorizedOperation", "no", "iam:PassRole", "arn:role/web")
    assert {each.what for each in scene.to_come().objections} == {"permission iam:PassRole"}
    assert scene.whats() == set()  # without a version to send AWS does not ask for it


def test_a_version_to_come_is_another_than_the_groups() -> None:
    assert Scene().to_come(rollback=True).objections == ()
    [found] = Scene(details(configuration=template("$Default"), tags=TAGS)).to_come(rollback=True).objections
    assert found.what == "rollback impossible"
    plan = Scene().to_come().plan
    assert plan
    assert (plan.target_version, plan.replaced, plan.nothing_to_replace) == ("(the new one)", 8, False)
    assert "whatever deploys this group may set its version back: put the new one there" in Scene().to_come().warnings
