"""What instances ask for by their user data, from the launch template to the host in Tower."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from lab.cloud import REPOSITORY, Cloud, Group, eventually
from lab.tower.embedded import HostRecord, Tower

type MakeGroup = Callable[..., Group]

EXAMPLE = (REPOSITORY / "examples" / "user-data.mime").read_bytes()
VARIABLES = {"app_release": "2026.11.3", "app_ports": [8080, 8443]}
OURS = ("ansible_host", "rollcall", "ec2")
SECRET = b"hunter2hunter2"
READING = "ec2:DescribeInstanceAttribute"


def others(host: HostRecord) -> dict[str, Any]:
    """A host's variables without those of ours."""
    return {name: value for name, value in host.variables.items() if name not in OURS}


def warnings(cloud: Cloud, group: Group) -> list[str]:
    """What register warned of about a group's user data."""
    return [
        line["message"]
        for line in cloud.log_lines("register")
        if line["level"] == "WARNING" and line.get("group") == group.name and "user data" in line["message"]
    ]


@pytest.mark.story
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_host_has_what_its_instance_asks_for_before_its_job_runs(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, pack: Callable[[bytes], bytes]
) -> None:
    tower.set_job_time(3)
    group = make_group(size=2, groups="web", user_data=pack(EXAMPLE), **{"user-data": "true"})
    (job,) = eventually(lambda: tower.jobs(name), "a job")
    hosts = tower.hosts(name)
    assert not job.final
    assert {host.name for host in hosts} == set(job.limit.split(","))
    for host in hosts:
        assert others(host) == VARIABLES
        assert set(host.groups) == {"web", "canary", "eu-west"}
        assert host.address == host.variables["ec2"]["private_ip"]
    eventually(lambda: len(group.in_service()) == 2, "in service")
    assert warnings(cloud, group) == []


UNUSABLE: dict[str, tuple[bytes, str]] = {
    "none": (b"", "there is none: give the launch template some"),
    "a script": (b"#!/bin/sh\necho " + SECRET, "neither JSON, nor base64 of JSON, nor multipart"),
    "broken JSON": (b'{"rollcall": {"vars": {"a": "' + SECRET, "its JSON cannot be read: check it with jq"),
    "a bomb": (gzip.compress(b" " * 10_000_000), "unpacked it is larger than 65536 bytes"),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_an_instance_is_provisioned_without_what_cannot_be_followed(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, what: str
) -> None:
    data, words = UNUSABLE[what]
    group = make_group(size=1, user_data=data, **{"user-data": "true"})
    (instance_id,) = eventually(group.in_service, "in service")
    (warning,) = eventually(lambda: warnings(cloud, group), "a warning")
    assert warning.startswith(f"group {group.name!r}: the user data of {instance_id} (tag rollcall:user-data)")
    assert words in warning
    (host,) = tower.hosts(name)
    assert others(host) == {}
    assert SECRET.decode() not in json.dumps(cloud.log_lines("register"))


def test_what_would_redirect_a_playbook_is_left_out_and_named(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    variables = {"ansible_host": "192.0.2.1", "ansible_connection": "local", "motd": "{{ lookup('env') }}", "ring": 2}
    data = json.dumps({"rollcall": {"vars": variables, "groups": ["all", "canary"]}}).encode()
    group = make_group(size=1, user_data=data, **{"user-data": "true"})
    (instance_id,) = eventually(group.in_service, "in service")
    (host,) = tower.hosts(name)
    assert others(host) == {"ring": 2}
    assert host.address == cloud.describe([instance_id])[instance_id]["PrivateIpAddress"]
    assert set(host.groups) == {group.name, "canary"}
    (warning,) = eventually(lambda: warnings(cloud, group), "a warning")
    for named in ("variable ansible_host", "variable ansible_connection", "variable motd", "group all"):
        assert named in warning


def test_without_the_tag_nobody_reads_user_data(make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str) -> None:
    cloud.aws.forget_calls()
    group = make_group(size=1, user_data=EXAMPLE)
    eventually(group.in_service, "in service")
    (host,) = tower.hosts(name)
    assert (others(host), host.groups) == ({}, (group.name,))
    assert cloud.aws.calls()[READING] == 0


def test_calls_that_ec2_puts_off_are_repeated(make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str) -> None:
    cloud.aws.throttle(READING, every=2)
    group = make_group(size=6, user_data=EXAMPLE, **{"user-data": "true"})
    eventually(lambda: len(group.in_service()) == 6, "in service")
    assert [others(host) for host in tower.hosts(name)] == [VARIABLES] * 6
    assert warnings(cloud, group) == []


def test_without_the_permission_instances_are_provisioned_and_the_remedy_is_named(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    cloud.aws.deny(READING)
    group = make_group(size=1, user_data=EXAMPLE, **{"user-data": "true"})
    eventually(group.in_service, "in service")
    (warning,) = eventually(lambda: warnings(cloud, group), "a warning")
    assert "let the functions' roles call ec2:DescribeInstanceAttribute" in warning
    (host,) = tower.hosts(name)
    assert others(host) == {}


def test_reconcile_makes_a_lost_host_as_registration_did_and_sees_no_drift_in_it(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    group = make_group(size=2, user_data=EXAMPLE, **{"user-data": "true"})
    eventually(lambda: len(group.in_service()) == 2, "in service")
    cloud.aws.forget_calls()
    assert (cloud.reconcile(groups=[group.name])["steps"], cloud.aws.calls()[READING]) == ([], 0)
    lost, kept = tower.hosts(name)
    tower.remove_host(lost.name, name)
    answer = cloud.reconcile(groups=[group.name])
    assert [(step["step"], step["instance_id"]) for step in answer["steps"]] == [("added", lost.name)]
    assert (answer["findings"], cloud.aws.calls()[READING]) == ([], 1)
    for host in tower.hosts(name):
        assert (others(host), set(host.groups)) == (VARIABLES, set(kept.groups))
    assert cloud.reconcile(groups=[group.name])["steps"] == []
