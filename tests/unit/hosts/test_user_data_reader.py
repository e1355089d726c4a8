"""What instances ask for by their user data: followed at registration and by reconcile, and never in their way."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from copy import replace
from io import StringIO
from logging import StreamHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.errors import AwsDenied, BadSettings, InstanceNotVisible, RollcallError, Throttled, TowerRejected
from rollcall.domain.messages import RunOptions
from rollcall.hosts.variables import OUR_KEYS
from rollcall.reconcile.steps import DriftFinding, DriftKind
from rollcall.telemetry.announcer import Announcer
from unit.world import World, token_of, warning

if TYPE_CHECKING:
    from collections.abc import Collection

    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.inventories import Host, Inventory
    from rollcall.domain.reports import Report

SECRET = "hunter2"
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def world() -> World:
    """A world with the group "web", whose instances may ask for more."""
    made = World()
    made.group("web", user_data="true")
    return made


def asks(world: World, instance_id: str, variables: dict[str, Any] | None = None, *groups: str) -> None:
    """The instance's user data asks for this."""
    text = json.dumps({"rollcall": {"vars": variables or {}, "groups": groups}})
    world.fleet.known_user_data[instance_id] = base64.b64encode(text.encode()).decode()


def others(host: Host) -> dict[str, object]:
    """A host's variables without those of ours."""
    return {name: value for name, value in host.variables.items() if name not in OUR_KEYS}


def host(world: World, instance_id: str) -> Host:
    [found] = [each for each in world.tower.hosts.values() if each.name == instance_id]
    return found


def groups(world: World, instance_id: str) -> set[str]:
    return world.tower.groups_of(host(world, instance_id).id)


def warnings(reports: list[Report]) -> dict[str, str]:
    assert not [report.error for report in reports if report.error]
    return {report.action.instance_id: warning(report) for report in reports if report.notes}


# Registration


def test_a_host_is_made_with_what_its_instance_asks_for_before_its_job(world: World) -> None:
    asks(world, "i-a", {"release": "7", "ports": [80]}, "canary", "web")
    world.tower.before_call = lambda method: None if method != "launch" else at_launch.append(groups(world, "i-a"))
    at_launch: list[set[str]] = []
    reports = world.register(world.launching("i-a"))
    assert others(host(world, "i-a")) == {"release": "7", "ports": [80]}
    assert host(world, "i-a").variables["ansible_host"] == "10.0.0.7"
    assert at_launch == [{"web", "canary"}]
    assert warnings(reports) == {}


def test_each_instance_gets_what_it_asks_for_itself(world: World) -> None:
    asks(world, "i-a", {"release": "7"}, "canary")
    asks(world, "i-b", {"release": "8"})
    world.group("db")
    asks(world, "i-c", {"release": "9"}, "canary")
    world.register(world.launching("i-a"), world.launching("i-b"), world.launching("i-c", "db"))
    assert (others(host(world, "i-a")), groups(world, "i-a")) == ({"release": "7"}, {"web", "canary"})
    assert (others(host(world, "i-b")), groups(world, "i-b")) == ({"release": "8"}, {"web"})
    assert (others(host(world, "i-c")), groups(world, "i-c")) == ({}, {"db"})
    assert sorted(world.fleet.asked_user_data) == ["i-a", "i-b"], "the group db has no tag"


def test_a_batch_without_the_tag_asks_ec2_for_no_user_data(world: World) -> None:
    world.group("web")
    world.fleet.failing["user_data"] = Throttled("not to be asked")
    assert warnings(world.register(world.launching("i-a"))) == {}


def test_a_batch_with_the_same_groups_reads_them_once(world: World) -> None:
    actions = [world.launching(f"i-{number}") for number in range(20)]
    for action in actions:
        asks(world, action.instance_id, None, "canary")
    world.register(*actions)
    assert world.tower.calls["group_ids"] == 1
    assert world.tower.calls["add_to_group"] == 40


def test_an_instance_with_two_hooks_is_asked_about_once(world: World) -> None:
    asks(world, "i-a", {"release": "7"})
    action = world.launching("i-a")
    world.register(action, replace(action, hook="rollcall-second", token=token_of("i-2")))
    assert world.fleet.asked_user_data == ["i-a"]
    assert others(host(world, "i-a")) == {"release": "7"}


def test_what_a_person_set_on_a_host_is_kept_and_what_it_lacks_is_added(world: World) -> None:
    asks(world, "i-a", {"release": "7", "ring": 2}, "canary")
    action = world.launching("i-a")
    world.host_of("i-a", "10.0.0.7", variables={"release": "by hand"}, description="Made by Rollcall for message m1")
    world.register(action)
    assert others(host(world, "i-a")) == {"release": "by hand", "ring": 2}
    assert "canary" in groups(world, "i-a")


def test_a_group_that_tower_does_not_make_keeps_no_other_instance_waiting(world: World) -> None:
    asks(world, "i-a", None, "refused")
    asks(world, "i-b")

    def refuse(inventory: Inventory, names: Collection[str]) -> dict[str, int]:
        if "refused" in names:
            raise TowerRejected("no such group")
        return make(inventory, names)

    make, world.tower.group_ids = world.tower.group_ids, refuse  # type: ignore[method-assign]
    reports = world.register(world.launching("i-a"), world.launching("i-b"))
    assert {report.action.instance_id: report.error is None for report in reports} == {"i-a": False, "i-b": True}


# What cannot be followed

LATE = "set its variables and groups in Tower, or replace the instance"
TROUBLES: list[tuple[str | RollcallError, str, str]] = [
    ("", "there is none", "give the launch template some"),
    ("bm9uZSBvZiBpdA==", "neither JSON", "make it one of these"),
    (Throttled("AWS put off DescribeInstanceAttribute"), "AWS put off", LATE),
    (InstanceNotVisible("EC2 does not give the attributes of i-a yet"), "does not give", LATE),
    (AwsDenied("AWS refused it"), "AWS refused it", "let the functions' roles call ec2:DescribeInstanceAttribute"),
]


@pytest.mark.parametrize(("answer", "reason", "remedy"), TROUBLES)
def test_a_machine_is_provisioned_without_what_cannot_be_followed(
    world: World, answer: str | RollcallError, reason: str, remedy: str
) -> None:
    world.fleet.known_user_data["i-a"] = answer
    asks(world, "i-b", {"release": "7"})
    words = warnings(world.register(world.launching("i-a"), world.launching("i-b")))
    assert words.keys() == {"i-a"}
    for each in ("group 'web'", "i-a", "rollcall:user-data", "is not followed", reason, remedy):
        assert each in words["i-a"]
    assert (others(host(world, "i-a")), groups(world, "i-a")) == ({}, {"web"})
    assert others(host(world, "i-b")) == {"release": "7"}
    assert [run.job.hosts for run in world.tower.runs.values()] == [{"i-a", "i-b"}]


def test_what_is_left_out_is_named_and_the_rest_is_followed(world: World) -> None:
    asks(world, "i-a", {"release": "7", "ansible_user": SECRET, "motd": f"{{{{ {SECRET} }}}}"}, "canary", "all")
    words = warnings(world.register(world.launching("i-a")))["i-a"]
    for each in ("group 'web'", "i-a", "variable ansible_user", "variable motd", "group all", "launch template"):
        assert each in words
    assert SECRET not in words
    assert (others(host(world, "i-a")), groups(world, "i-a")) == ({"release": "7"}, {"web", "canary"})


def test_a_group_that_is_called_like_a_host_is_left_out_and_the_rest_is_followed(world: World) -> None:
    world.group("db", user_data="true", inventory="other")
    world.tower.add_inventory("other")
    world.tower.add_host(world.inventory, "db-1")
    asks(world, "i-a", {"release": "7"}, "canary", "db-1")
    asks(world, "i-b", None, "canary")
    asks(world, "i-c", None, "db-1")
    actions = [world.launching("i-a"), world.launching("i-b"), world.launching("i-c", "db")]
    words = warnings(world.register(*actions))
    assert words.keys() == {"i-a"}
    for each in ("group 'web'", "i-a", "called like a host of inventory 'prod'", "launch template"):
        assert each in words["i-a"]
    assert (others(host(world, "i-a")), groups(world, "i-a")) == ({"release": "7"}, {"web", "canary"})
    assert groups(world, "i-c") == {"db", "db-1"}
    assert world.tower.calls["hosts_named"] == 2, "one for each inventory"


def test_where_no_instance_asks_for_a_group_no_host_is_searched(world: World) -> None:
    asks(world, "i-a", {"release": "7"})
    assert warnings(world.register(world.launching("i-a"))) == {}
    assert world.tower.calls["hosts_named"] == 0


def test_a_tower_that_does_not_say_which_hosts_there_are_keeps_no_group_from_being_joined(world: World) -> None:
    asks(world, "i-a", {"release": "7"}, "canary")
    world.tower.failing["hosts_named"] = TowerRejected("no such filter")
    assert warnings(world.register(world.launching("i-a"))) == {}
    assert groups(world, "i-a") == {"web", "canary"}


def test_a_group_of_a_tag_that_is_called_like_a_host_is_refused(world: World) -> None:
    world.group("web", user_data="true", groups="db-1")
    world.tower.add_host(world.inventory, "db-1")
    asks(world, "i-a", None, "db-1")
    assert [type(report.error) for report in world.register(world.launching("i-a"))] == [BadSettings]


def test_an_installation_that_may_not_read_user_data_makes_no_request_and_names_the_parameter(world: World) -> None:
    world.settings = replace(world.settings, user_data=False)
    asks(world, "i-a", {"release": "7"})
    words = warnings(world.register(world.launching("i-a")))["i-a"]
    assert "deploy with UserData=true" in words
    assert world.fleet.asked_user_data == []
    assert others(host(world, "i-a")) == {}


def announced(action: LifecycleAction, reports: list[Report]) -> list[dict[str, Any]]:
    """The lines that are logged about an action's reports."""
    announcer, output = Announcer("unit"), StringIO()
    handler = announcer.logger.registered_handler
    assert isinstance(handler, StreamHandler)
    handler.setStream(output)
    announcer.announce_results([action], reports)
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_the_reason_is_a_warning_beside_the_outcome(world: World) -> None:
    action = world.launching("i-a")
    outcome, warning = announced(action, world.register(action))
    assert (outcome["level"], warning["level"]) == ("INFO", "WARNING")
    assert (warning["group"], warning["instance_id"]) == ("web", "i-a")
    assert "there is none" in warning["message"]


def test_no_value_is_logged_or_queued(world: World) -> None:
    action = world.launching("i-a")
    asks(world, "i-a", {"release": SECRET, "ansible_password": SECRET}, "canary")
    lines = announced(action, world.register(action))
    assert SECRET not in json.dumps(lines)
    assert SECRET not in repr(world.queues.sent)


# Reconcile


def findings(found: tuple[DriftFinding, ...]) -> dict[str, str]:
    assert {finding.kind for finding in found} <= {DriftKind.USER_DATA}
    return {finding.subject: finding.reason for finding in found}


@pytest.mark.parametrize("age", [600.0, 86_400.0])
def test_a_host_that_reconcile_adds_is_the_one_that_registration_makes(world: World, age: float) -> None:
    asks(world, "i-a", {"release": "7"}, "canary")
    world.serving("i-a", "10.0.0.1", age=age)
    outcome = world.reconcile()
    assert (others(host(world, "i-a")), groups(world, "i-a")) == ({"release": "7"}, {"web", "canary"})
    assert bool(world.tower.runs) == (age == 600.0)
    assert findings(outcome.plan.findings) == {}


def test_what_was_read_at_registration_is_no_drift_and_is_not_read_again(world: World) -> None:
    world.group("db", user_data="true")
    for instance_id, group in (("i-a", "web"), ("i-b", "db")):
        asks(world, instance_id, {"release": "7"}, "canary")
        world.register(world.launching(instance_id, group))
        instance = world.serving(instance_id, "10.0.0.7" if group == "web" else "10.0.0.8", group)
        world.tower.hosts[host(world, instance_id).id] = replace(
            host(world, instance_id),
            variables={**host(world, instance_id).variables, "ansible_host": instance.facts["private_ip"]},
        )
    world.fleet.asked_user_data.clear()
    asks(world, "i-a", {"release": "8"}, "elsewhere")
    outcome = world.reconcile()
    assert not outcome.fixes
    assert findings(outcome.plan.findings) == {}, "nor are groups mixed that user data may ask for"
    assert world.fleet.asked_user_data == []


def test_a_group_whose_user_data_is_not_used_still_gets_the_finding_that_it_is_mixed(world: World) -> None:
    world.group("db")
    for instance_id, group, address in (("i-a", "web", "10.0.0.1"), ("i-b", "db", "10.0.0.2")):
        world.serving(instance_id, address, group)
        made = world.host_of(instance_id, address, group)
        world.tower.add_to_group(world.tower.group_ids(world.inventory, ["canary"])["canary"], made.id)
    [finding] = world.reconcile().plan.findings
    assert (finding.kind, finding.subject) == (DriftKind.MIXED_GROUP, "canary")
    assert "db does not ask for it" in finding.reason


def test_a_group_that_is_called_like_a_host_is_a_finding_of_reconciles_and_no_error(world: World) -> None:
    world.tower.add_host(world.inventory, "db-1")
    asks(world, "i-a", {"release": "7"}, "db-1", "canary")
    world.serving("i-a", "10.0.0.1")
    outcome = world.reconcile()
    assert "called like a host" in findings(outcome.plan.findings)["i-a"]
    assert (outcome.errors, groups(world, "i-a")) == ({}, {"web", "canary"})


def test_a_dry_run_asks_for_no_user_data(world: World) -> None:
    world.serving("i-a", "10.0.0.1")
    assert world.reconcile(dry_run=True).plan.additions
    assert world.fleet.asked_user_data == []


def test_what_reconcile_cannot_follow_is_a_finding_and_no_error(world: World) -> None:
    world.serving("i-a", "10.0.0.1")
    outcome = world.reconcile()
    assert "group 'web'" in findings(outcome.plan.findings)["i-a"]
    assert (outcome.errors, [fix.action for fix in outcome.fixes]) == ({}, ["added"])
    assert findings(world.reconcile().plan.findings) == {}, "it is reported when the host is made"


def test_a_host_that_moves_keeps_what_a_person_set_and_gets_what_it_lacks(world: World) -> None:
    asks(world, "i-a", {"release": "7", "ring": 2}, "canary")
    world.serving("i-a", "10.0.0.1")
    strayed = world.tower.add_inventory("other")
    world.host_of("i-a", "10.0.0.1", inventory=strayed, variables={"release": "by hand"})
    world.reconcile()
    assert others(host(world, "i-a")) == {"release": "by hand", "ring": 2}
    assert groups(world, "i-a") == {"web", "canary"}


def test_a_host_that_reconcile_takes_over_gets_what_it_lacks(world: World) -> None:
    asks(world, "i-a", {"release": "7", "ring": 2}, "canary", "theirs")
    world.serving("i-a", "10.0.0.1")
    theirs = world.tower.add_host(world.inventory, "i-a", variables={"release": "by hand"})
    world.tower.add_to_group(world.tower.group_ids(world.inventory, ["theirs"])["theirs"], theirs.id)
    world.tower.memberships_made.clear()
    world.reconcile(RunOptions(adopt=True))
    assert others(host(world, "i-a")) == {"release": "by hand", "ring": 2}
    assert groups(world, "i-a") == {"web", "canary", "theirs"}
    assert len(world.tower.memberships_made) == 2


def test_a_host_that_is_put_right_is_not_asked_about(world: World) -> None:
    world.serving("i-a", "10.0.0.1")
    world.host_of("i-a", "10.0.0.9")
    assert [fix.action for fix in world.reconcile().fixes] == ["fixed"]
    assert world.fleet.asked_user_data == []


# Cold start


def test_who_uses_none_of_it_does_not_even_load_the_reader() -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import rollcall.lifecycle.register, sys; print('rollcall.hosts.user_data' in sys.modules)",
        ],
        env={"PYTHONPATH": str(REPOSITORY / "layers/common")},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert said.stdout == "False\n"
