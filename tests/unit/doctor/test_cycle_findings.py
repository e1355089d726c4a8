"""What doctor finds of groups that are to be cycled, in a stack that has cycles."""

from __future__ import annotations

from copy import replace
from typing import Any

import pytest
from botocore.stub import Stubber

from rollcall.aws.instance_refreshes import Refresh
from rollcall.cycle.request import cycle_defaults
from rollcall.doctor.aws_reader import AwsReader
from rollcall.doctor.cycle_findings import cycle_findings
from rollcall.doctor.observations import CycleDefaults, Observations, ObservedCycle, ObservedGroup
from rollcall.domain.errors import AwsDenied, BadSettings
from rollcall.domain.findings import Finding, Severity
from rollcall.domain.groups import Group
from unit import observed
from unit.cycle.preflights import details, member, mixed
from unit.fakes import Clock, FakeTower

HERE = replace(observed.HERE, cycles=True)
TAGS = {"rollcall:job-template": "provision", "rollcall:gate": "job elb", "rollcall:cycle": ""}
PIN = "default keep web-0"


def group(tags: dict[str, str | None] | None = None, **changes: Any) -> ObservedGroup:
    """A group of eight behind a target group, in service, whose tag lets it be cycled."""
    shape = details(*changes.pop("members", ()), tags={**TAGS, **(tags or {})}, **changes)
    made = observed.group(target_groups=shape.group.target_groups)
    return replace(made, group=shape.group, details=shape)


def found(one: ObservedGroup, cycle: ObservedCycle | None = None, here: Any = HERE) -> dict[str, Finding]:
    cycles = {"web": cycle or ObservedCycle(CycleDefaults())}
    return observed.findings(observed.everything(one, cycles=cycles), here, cycle_findings)


def test_nothing_is_wrong_with_a_group_that_can_be_cycled() -> None:
    assert found(group()) == {}


BROKEN = [
    ("HealthCheck suspended", {"suspended": frozenset({"HealthCheck"})}),
    ("Launch suspended", {"suspended": frozenset({"Launch"})}),
    ("health check type", {"tags": {"rollcall:gate": "job"}}),
    ("instances in Standby", {"members": (member(0, state="Standby"),)}),
    ("protected instances", {"members": (member(0, protected=True),)}),
    ("weights", {"configuration": mixed("6", {"InstanceType": "a", "WeightedCapacity": "8"}), "desired": 8}),
]


@pytest.mark.parametrize(("what", "changes"), BROKEN, ids=[what for what, _ in BROKEN])
def test_what_would_keep_a_cycle_from_beginning_is_a_warning(what: str, changes: dict[str, Any]) -> None:
    findings = found(group(**changes))
    assert findings.keys() == {f"group web: {what}"}
    (finding,) = findings.values()
    assert finding.severity == Severity.WARNING
    assert finding.reason.startswith("no cycle of it begins: ")
    assert finding.remedy


@pytest.mark.parametrize(("what", "changes"), BROKEN, ids=[what for what, _ in BROKEN])
def test_of_a_group_that_no_cycle_is_allowed_for_nothing_of_this_matters(what: str, changes: dict[str, Any]) -> None:
    one = group(**changes)
    assert found(one, ObservedCycle(CycleDefaults(forbidden=True))) == {}
    assert found(one, ObservedCycle(None)) == {}
    assert found(one, here=observed.HERE) == {}, "the stack has no cycles"


def test_instances_that_the_tag_does_not_refuse_are_no_finding() -> None:
    one = group(members=(member(0, protected=True), member(1, state="Standby")))
    assert found(one, ObservedCycle(CycleDefaults(refuses_protected=False, refuses_standby=False))) == {}


def test_a_tag_that_cannot_be_read_is_named() -> None:
    error = BadSettings("group 'web': tag rollcall:cycle has 'x'; allowed: y", "rollcall:cycle")
    findings = found(group(), ObservedCycle(error))
    assert findings["group web: tag rollcall:cycle"].reason == (
        "no cycle of it begins: tag rollcall:cycle has 'x'; allowed: y"
    )


def test_the_tag_on_a_group_that_did_not_opt_in_does_nothing() -> None:
    assert found(group({"rollcall:inventory": None})).keys() == {"group web: cycle without the tag"}


def test_a_pin_whose_cycle_is_over_was_left_behind() -> None:
    pinned = group({"rollcall:cycle-pinned": PIN})
    assert found(pinned, ObservedCycle(CycleDefaults(), pin_runs=True)) == {}
    assert found(pinned, ObservedCycle(None, pin_runs=True)) == {}
    for defaults in (CycleDefaults(), CycleDefaults(forbidden=True), None):
        left = found(pinned, ObservedCycle(defaults, pin_runs=False))
        assert left.keys() == {"group web: pin left behind"}
        assert repr(PIN) in left["group web: pin left behind"].reason


@pytest.mark.parametrize(
    ("status", "seconds", "stuck"),
    [
        ("Baking", 14 * 86_400 + 1, True),
        ("InProgress", 14 * 86_400 + 1, True),
        ("InProgress", 14 * 86_400, False),
        ("Pending", 3600, False),
        ("Pending", 3601, True),
    ],
)
def test_a_refresh_that_does_not_go_on_is_stuck(status: str, seconds: int, stuck: bool) -> None:
    refresh = Refresh("r-1", status, "words of AWS", began=observed.AT - seconds)
    findings = found(group(), ObservedCycle(CycleDefaults(), refresh))
    assert bool(findings) == stuck
    for finding in findings.values():
        assert finding.key == "group web: instance refresh stuck"
        assert "words of AWS" in finding.reason
        assert "cancel-instance-refresh" in finding.remedy


def test_what_could_not_be_read_of_it_is_said() -> None:
    denied = AwsDenied("AWS refused it")
    findings = found(group(), ObservedCycle(CycleDefaults(), denied, denied))
    assert findings.keys() == {
        "instance refreshes: not looked at (AwsDenied)",
        "executions of cycles: not looked at (AwsDenied)",
    }


# What it reads


def observe(reader: observed.FakeAwsReader, here: Any = HERE) -> Observations:
    tower = FakeTower(Clock())
    tower.add_inventory("prod")
    tower.add_template("provision")
    names = {"cycle_machine": "arn:machine"}
    return observed.observe(reader, tower, here, names, cycle_defaults=cycle_defaults)


def test_refreshes_and_pins_are_read_of_groups_with_a_tag_of_cycles_alone() -> None:
    plain = replace(observed.group(name="db"), details=details())
    reader = observed.FakeAwsReader(group({"rollcall:cycle-pinned": PIN}), plain)
    reader.refreshes["web"] = Refresh("r-1", "InProgress")
    assert observe(reader).cycles == {"web": ObservedCycle(CycleDefaults(), Refresh("r-1", "InProgress"), False)}
    assert ("is_running", "web-0") in reader.calls
    assert ("active_refresh", "db") not in reader.calls
    reader.running = {"web-0"}
    assert observe(reader).cycles["web"].pin_runs is True


def test_a_stack_without_cycles_reads_none_of_it() -> None:
    reader = observed.FakeAwsReader(group())
    assert observe(reader, observed.HERE).cycles == {}
    assert not {"active_refresh", "is_running"} & {method for method, _ in reader.calls}


def test_what_cannot_be_read_is_kept_as_its_error() -> None:
    reader = observed.FakeAwsReader(group({"rollcall:cycle": "batch=all"}))
    reader.failing["active_refresh"] = AwsDenied("no")
    cycle = observe(reader).cycles["web"]
    assert isinstance(cycle.refresh, AwsDenied)
    assert isinstance(cycle.defaults, BadSettings)
    assert cycle.pin_runs is None


@pytest.mark.parametrize(
    ("text", "defaults"),
    [
        ("", CycleDefaults()),
        ("never", CycleDefaults(forbidden=True)),
        ("protected=ignore standby=wait", CycleDefaults(refuses_protected=False, refuses_standby=False)),
    ],
)
def test_what_doctor_needs_of_the_tag(text: str, defaults: CycleDefaults) -> None:
    assert cycle_defaults(Group("web", {"rollcall:cycle": text}, {})) == defaults
    assert cycle_defaults(Group("web", {}, {})) is None


@pytest.mark.parametrize(
    ("answer", "runs"),
    [("RUNNING", True), ("ABORTED", False), ("SUCCEEDED", False), ("ExecutionDoesNotExist", False)],
)
def test_an_execution_runs_or_it_does_not(answer: str, runs: bool) -> None:
    reader = AwsReader()
    machine = "arn:aws:states:us-east-1:123456789012:stateMachine:rollcall-Cycle"
    arn = "arn:aws:states:us-east-1:123456789012:execution:rollcall-Cycle:web-0"
    with Stubber(reader._client("stepfunctions")) as stub:
        if answer == "ExecutionDoesNotExist":
            stub.add_client_error("describe_execution", answer, expected_params={"executionArn": arn})
        else:
            times = {"startDate": "2026-11-21T10:00:00Z"}
            described = {"executionArn": arn, "stateMachineArn": machine, "status": answer, **times}
            stub.add_response("describe_execution", described, {"executionArn": arn})
        assert reader.is_running(machine, "web-0") == runs


def test_the_active_refresh_is_found_among_those_that_ended() -> None:
    reader = AwsReader()
    with Stubber(reader._client("autoscaling")) as stub:
        ended = {"InstanceRefreshId": "r-0", "Status": "Failed"}
        active = {"InstanceRefreshId": "r-1", "Status": "Baking"}
        stub.add_response("describe_instance_refreshes", {"InstanceRefreshes": [ended, active]})
        stub.add_response("describe_instance_refreshes", {"InstanceRefreshes": [ended]})
        assert reader.active_refresh("web") == Refresh("r-1", "Baking")
        assert reader.active_refresh("web") is None
