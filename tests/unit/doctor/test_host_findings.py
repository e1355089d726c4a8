"""What doctor finds of hosts that jobs pass over, and of those that the token may not remove."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.doctor.host_findings import host_findings
from rollcall.doctor.observations import HostSample, ObservedInventory
from rollcall.domain.errors import TowerUnavailable
from rollcall.domain.findings import Finding, Severity
from rollcall.domain.inventories import Host, Inventory
from rollcall.domain.jobs import TowerUser
from unit import observed
from unit.observed import INVENTORY, group, host

if TYPE_CHECKING:
    from rollcall.doctor.observations import ObservedGroup
    from rollcall.domain.inventories import DumpedHost

WARNS = Severity.WARNING
ELSEWHERE = Inventory(8, "all EC2")
WITHOUT, RENAMED, DISABLED = (
    f"group web: {what}" for what in ("instances without a host", "renamed hosts", "disabled hosts")
)


def found(
    *hosts: DumpedHost, groups: tuple[ObservedGroup, ...] = (), sample: HostSample | None = None, **tower: Any
) -> dict[str, Finding]:
    """What is found where the inventory holds these hosts; the group's only instance is i-a unless groups say so."""
    there = ObservedInventory(INVENTORY, True, hosts)
    made = observed.tower(**{"inventories": {"prod": there}, "sample": sample} | tower)
    observations = observed.everything(*(groups or (group(),)), tower=made)
    return observed.findings(observations, observed.HERE, host_findings)


def elsewhere(name: str, instance_id: str, where: Inventory = ELSEWHERE, **marker: object) -> Host:
    variables = {"rollcall": marker} if marker else {}
    return Host(1, name, where.id, where.name, instance_id, variables, 0.0, frozenset())


def looked_for(*hosts: Host, instances: tuple[str, ...] = ("i-a",), **roles: Any) -> HostSample:
    """A sample with these hosts; roles: whether ELSEWHERE may be changed."""
    return HostSample(frozenset(instances), hosts, {ELSEWHERE: roles.get("changeable", True)})


# Passed over by jobs


@pytest.mark.parametrize(
    "hosts",
    [
        (host("i-a"),),
        (host("i-a", instance_id="i-a"),),
        (host("i-a", instance_id="i-a", inventory=INVENTORY.id),),
        (host("i-a"), host("ip-10-0-0-1", instance_id="i-a")),
        (host("i-a", enabled=False, instance_id="i-a", resting={"since": 1}),),
        (host("i-a", enabled=False, instance_id="i-a", resting=True),),
        (host("i-a", enabled=False, instance_id="i-a", inventory=99),),
        (host("i-a"), host("other", enabled=False)),
    ],
    ids=[
        "named",
        "marked",
        "of this inventory",
        "named, and another one marked",
        "resting",
        "resting, marked otherwise",
        "a copy that was disabled by hand",
        "another host that is disabled",
    ],
)
def test_hosts_that_jobs_reach_or_that_rest_are_right(hosts: tuple[DumpedHost, ...]) -> None:
    assert found(*hosts) == {}


def test_a_renamed_host_is_reported_with_its_name_and_is_not_missing() -> None:
    findings = found(host("ip-10-0-0-1", instance_id="i-a"))
    assert findings.keys() == {RENAMED}
    finding = findings[RENAMED]
    assert finding.severity == WARNS
    assert "1 of 1 instances in service have a host in inventory 'prod'" in finding.reason
    assert "i-a is 'ip-10-0-0-1'" in finding.reason
    assert finding.remedy.endswith("rollcall reconcile --group web")


def test_one_without_a_marker_is_known_by_its_instance_id() -> None:
    sample = looked_for(elsewhere("ip-10-0-0-1", "i-a", INVENTORY))
    assert found(host("ip-10-0-0-1"), sample=sample).keys() == {RENAMED}
    assert found(host("ip-10-0-0-1"), sample=looked_for(elsewhere("ip-10-0-0-1", "i-a"))).keys() == {WITHOUT}


def test_a_copy_with_another_name_is_no_host_of_the_instance() -> None:
    assert found(host("ip-10-0-0-1", instance_id="i-a", inventory=99)).keys() == {WITHOUT}
    sample = looked_for(elsewhere("ip-10-0-0-1", "i-a", INVENTORY, inventory=99))
    assert found(host("ip-10-0-0-1"), sample=sample).keys() == {WITHOUT}


@pytest.mark.parametrize("inventory", [str(INVENTORY.id), "99", None])
def test_a_marker_whose_inventory_is_no_number_makes_no_copy(inventory: object) -> None:
    assert found(host("ip-10-0-0-1", instance_id="i-a", inventory=inventory)).keys() == {RENAMED}
    assert found(host("i-a", enabled=False, instance_id="i-a", inventory=inventory)).keys() == {DISABLED}


@pytest.mark.parametrize("marker", [{}, {"instance_id": "i-a"}])
def test_a_host_that_a_person_disabled_is_reported(marker: dict[str, object]) -> None:
    findings = found(host("i-a", enabled=False, **marker))
    assert findings.keys() == {DISABLED}
    assert findings[DISABLED].severity == WARNS
    assert "i-a. Jobs pass it over" in findings[DISABLED].reason


@pytest.mark.parametrize("state", ["Pending:Wait", "Terminating:Wait", "Warmed:Stopped", "Detaching"])
def test_hosts_of_instances_that_do_not_serve_are_not_judged(state: str) -> None:
    one = group()
    there = replace(one, members={each: replace(known, state=state) for each, known in one.members.items()})
    assert found(host("i-a", enabled=False), groups=(there,)) == {}
    assert found(host("x", instance_id="i-a"), groups=(there,)) == {}


def test_each_kind_is_counted_by_itself() -> None:
    members = ["i-a", "i-b", "i-c", "i-d"]
    hosts = (host("i-a"), host("i-b", enabled=False), host("x", instance_id="i-c"))
    findings = found(*hosts, groups=(group(members=members),))
    assert findings.keys() == {WITHOUT, RENAMED, DISABLED}
    assert all("1 of 4 instances in service" in each.reason for each in findings.values())


# Where the token may only read


def test_hosts_of_ours_in_a_read_only_inventory_are_reported_with_the_remedy() -> None:
    sample = looked_for(
        elsewhere("ip-10-0-0-1", "i-a"), elsewhere("i-b", ""), instances=("i-a", "i-b", "i-c"), changeable=False
    )
    (finding,) = found(host("i-a"), sample=sample).values()
    assert (finding.key, finding.severity) == ("inventory 'all EC2': hosts of ours, read only", WARNS)
    assert "hosts of 2 of the 3 instances that were searched for (i-a, i-b)" in finding.reason
    assert "the role Admin on it (Tower: Inventories, all EC2, Access)" in finding.remedy
    assert "inventory source" in finding.remedy


@pytest.mark.parametrize("changeable", [True, TowerUnavailable("away")])
def test_an_inventory_that_may_be_changed_or_was_not_looked_at_is_not_reported(changeable: Any) -> None:
    assert found(host("i-a"), sample=looked_for(elsewhere("x", "i-a"), changeable=changeable)) == {}


def test_copies_are_left_behind_as_well() -> None:
    sample = looked_for(elsewhere("i-a", "i-a", inventory=INVENTORY.id), changeable=False)
    assert found(host("i-a"), sample=sample).keys() == {"inventory 'all EC2': hosts of ours, read only"}


def test_a_token_that_may_change_nothing_has_a_finding_of_its_own() -> None:
    sample = looked_for(elsewhere("x", "i-a"), changeable=False)
    read_only = {"prod": ObservedInventory(INVENTORY, False, (host("i-a"),))}
    findings = found(sample=sample, user=TowerUser("fleet", writes=False), inventories=read_only, templates={})
    assert findings == {}
