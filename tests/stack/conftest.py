"""The embedded cloud with Rollcall deployed on it, once for all stack tests; each ends with the invariants."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from lab.alert_channels import AlertChannels
from lab.aws.alone import NUMBERS as LAB_NUMBERS
from lab.aws.alone import USER_DATA, Lab
from lab.aws.embedded import EmbeddedAws
from lab.chef import ChefServer
from lab.cloud import (
    ACCOUNT,
    CHEF_SECRET,
    HEARTBEAT_TIMEOUT,
    REGION,
    TOPIC,
    Cloud,
    Group,
    eventually,
    keep_to_this_machine,
    sam_build,
)
from lab.cycles import draining_target_group
from lab.ear import Ear
from lab.invariants import broken_invariants
from lab.leftovers import left_behind, remove_hosts
from lab.tower.embedded import Tower

ADDRESS_POOL = "127.77.0.0/24"  # on this machine, so that tcp and http checks reach listeners of the tests
FULL_ADDRESS_POOL = "127.78.0.0/24"
JOB_TIME = 0.5  # seconds
EVENT_LAG = 0.3  # seconds
WAIT_SCALE = 0.04  # of the time that Step Functions waits: 15 s are 0.6
NUMBERS = count(1)
ASKED_AT_MOST = 3  # times, whether the invariants hold


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("stack")
    items.sort(key=lambda item: item.get_closest_marker("long") is None)  # or the last worker would be left with one


@pytest.fixture(scope="session", autouse=True)
def _this_machine_only() -> None:
    keep_to_this_machine()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What sam build makes of the repository's template; built once, however many workers run tests."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with FileLock(shared / "build.lock"):
        directory = shared / "built"
        if not (directory / "template.yaml").exists():
            sam_build(directory)
    return directory


@pytest.fixture(scope="session")
def cloud(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Rollcall, deployed by sam on an embedded cloud of this worker's own."""
    with Cloud(
        tmp_path_factory.mktemp("lab"), address_pool=ADDRESS_POOL, tower=Tower(), wait_scale=WAIT_SCALE, forks=True
    ) as cloud:
        cloud.deploy(built, LoadBalancers="true", Cycles="true", Bakes="true")
        yield cloud


@pytest.fixture(scope="session")
def chef_at() -> Iterator[tuple[ChefServer, str]]:
    """A Chef server and its organization's URL."""
    server = ChefServer()
    with server.serve() as url:
        yield server, url


@pytest.fixture(scope="session")
def full_cloud(
    built: Path, chef_at: tuple[ChefServer, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """Rollcall with all it may have, deployed for modules whose tests break what others share, and fix it."""
    server, url = chef_at
    channels = AlertChannels()
    tower = Tower(boot_time=0, job_time=0.3, event_lag=0.1)
    with (
        channels.serve(),
        Cloud(tmp_path_factory.mktemp("full-lab"), address_pool=FULL_ADDRESS_POOL, tower=tower, forks=True) as cloud,
    ):
        assert cloud.aws.client("sns").create_topic(Name="notifications")["TopicArn"] == TOPIC
        secrets = cloud.aws.client("secretsmanager")
        cloud.deploy(
            built,
            LoadBalancers="true",
            Cycles="true",
            Bakes="true",
            NotificationTopicArn=TOPIC,
            NotifyingTopicArns=f"arn:aws:sns:{REGION}:{ACCOUNT}:*",
            ChefSecretArn=secrets.create_secret(Name=CHEF_SECRET, SecretString=server.secret(url))["ARN"],
            PagerDutySecretArn=secrets.create_secret(Name="pagerduty", SecretString=channels.pagerduty_secret())["ARN"],
        )
        yield cloud


@pytest.fixture(scope="module")
def channels() -> Iterator[AlertChannels]:
    """PagerDuty and Slack, for a module that deploys with them."""
    made = AlertChannels()
    with made.serve():
        yield made


@pytest.fixture
def tower(cloud: Cloud) -> Tower:
    """The embedded Tower, with nothing wrong with it and every host up at once."""
    tower = cloud.tower
    tower.come_back()
    tower.heal_hosts()
    tower.set_boot_time(0)
    tower.set_job_time(JOB_TIME)
    tower.event_lag = EVENT_LAG
    return tower


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of the test's own for its group, inventory and template."""
    return f"{request.node.name.removeprefix('test_')[:40]}-{next(NUMBERS)}"


@pytest.fixture
def all_ec2(tower: Tower, cloud: Cloud, name: str) -> Iterator[str]:
    """An inventory that the token may only read."""
    inventory = f"{name}-all-ec2"
    tower.add_inventory(inventory)
    tower.add_token("reader", inventories=[name], templates=[name], readable=[inventory])
    cloud.set_token("reader")
    cloud.read_only.add(inventory)
    tower.revoke_token(tower.token)
    yield inventory
    tower.add_token(tower.token)
    cloud.set_token(tower.token)
    tower.revoke_token("reader")
    for host in tower.hosts(inventory):
        tower.remove_host(host.name, inventory)


@pytest.fixture
def ear(cloud: Cloud) -> Iterator[Ear]:
    """Hears what is published."""
    made = Ear(cloud)
    yield made
    made.close()


@pytest.fixture
def arn(cloud: Cloud, name: str) -> str:
    """A target group of the test's own, whose targets drain for a while."""
    return draining_target_group(cloud, name)


@pytest.fixture
def make_group(cloud: Cloud, tower: Tower, name: str) -> Iterator[Callable[..., Group]]:
    """Makes groups with an inventory and a job template named like the test; the tags override.

    When the test is over every action has come to an end, and the invariants hold. unheard: terminations of the group
    wait for their timeout, for the test lets their events be lost, and so I2 and I6 are not asked of it. traffic: what
    sends the group traffic, as CreateAutoScalingGroup names it.
    """
    tower.add_inventory(name)
    tower.add_job_template(name, name)
    cloud.runs.clear()
    left_before = left_behind(cloud)
    groups: list[Group] = []
    unheard_of: list[str] = []

    def make(
        suffix: str = "",
        *,
        unheard: bool = False,
        hooks: bool | Mapping[str, str] = True,
        size: int = 0,
        most: int = 200,
        heartbeat_timeout: int = HEARTBEAT_TIMEOUT,
        traffic: Mapping[str, Any] | None = None,
        user_data: bytes = b"",
        warm_pool: Mapping[str, Any] | None = None,
        retain: bool = False,
        **tags: str | None,
    ) -> Group:
        wanted = {"inventory": name, "job-template": name} | {key.replace("_", "-"): text for key, text in tags.items()}
        settings: dict[str, Any] = {"heartbeat_timeout": heartbeat_timeout, "size": size, "most": most}
        settings |= {"user_data": user_data, "warm_pool": warm_pool, "retain": retain, **(traffic or {})}
        groups.append(cloud.create_group(f"{name}{suffix}", wanted, hooks=hooks, **settings))
        if unheard:
            unheard_of.append(groups[-1].name)
        return groups[-1]

    yield make
    _end_groups(cloud, groups, unheard_of, left_before)


def _end_groups(cloud: Cloud, groups: Sequence[Group], unheard_of: Sequence[str], left_before: Sequence[str]) -> None:
    """Waits for the end of every action, holds what was recorded to the invariants, and deletes the groups.

    Fails, too, if the test leaves behind what could change what the next one sees, and was not there before it.
    """
    cloud.aws.end_faults()
    cloud.tower.come_back()
    cloud.tower.heal_hosts()
    eventually(lambda: not any(each.states() for each in groups if not each.exists()), "what a test deleted is gone")
    try:
        broken = _broken_at_rest(cloud, [group.name for group in groups], unheard_of)
        assert not broken, "\n".join(broken)
    finally:
        for group in groups:
            if group.exists():
                group.delete()
        eventually(lambda: not any(group.states() for group in groups), "the groups are gone")
        eventually(lambda: cloud.in_flight() == 0, "the last terminations are worked off")
        names = [group.name for group in groups]
        left = [each for each in left_behind(cloud, names) if each not in left_before]
        remove_hosts(cloud, names)  # a test that failed leaves some, on which others would fail
    assert not left, "\n".join(left)


def _broken_at_rest(cloud: Cloud, groups: Sequence[str], unheard_of: Sequence[str]) -> list[str]:
    """The invariants that do not hold once nothing is on its way; a watch may come round while they are asked."""
    broken: list[str] = []
    for _ in range(ASKED_AT_MOST):
        eventually(lambda: cloud.in_flight() == 0, "every action comes to an end")
        broken = broken_invariants(cloud, groups, unheard_of)
        if not broken:
            break
    return broken


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """The embedded AWS alone, for the tests of the lab itself."""
    with EmbeddedAws(log=tmp_path_factory.mktemp("aws") / "aws.log") as running:
        running.client("ec2").create_launch_template(
            LaunchTemplateName="template",
            LaunchTemplateData={"ImageId": "ami-12345678", "InstanceType": "m5.large", "UserData": USER_DATA},
        )
        yield running


@pytest.fixture
def lab(aws: EmbeddedAws) -> Iterator[Lab]:
    lab = Lab(aws, f"test-{next(LAB_NUMBERS)}")
    yield lab
    lab.clear()
