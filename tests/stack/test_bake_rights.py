"""What bakes may do is what they do: no call is refused, and no permission of the function's role is left over.

Nor is one that reconcile has for bakes. What the state machine's role allows is judged wherever one runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab.bakes import (
    BUILDERS,
    PLACED,
    Bake,
    bake_named,
    have_baked,
    images,
    left,
    let_a_day_pass,
    let_bake,
    retire,
    start_bake,
)
from lab.cloud import ACCOUNT, REGION, Cloud, Group, eventually
from lab.cycles import WARM_SOON, at_size, new_hosts
from lab.tower.embedded import Tower
from rollcall.workflow.names import schedule_key

type MakeGroup = Callable[..., Group]

FUNCTION, RECONCILE = "BakeFunction", "ReconcileFunction"
OF_RECONCILE = {"StartBakes", "ReadBakes", "SettleBakes"}  # the Sids of its policy for bakes
UPKEEP_AT_ONCE = 360  # minutes from one run of reconcile to the next: it has old images removed every six hours
ADDRESS_POOL = "127.80.0.0/24"
WAIT_SCALE = 0.04  # of the time that Step Functions waits
ROLE = "baked"  # and its instance profile
PUBLIC = "ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
BASE = "ami-0abcdef1234567890"
GONE = "terminated"


@pytest.fixture(scope="module")
def key() -> dict[str, str]:
    """The key that volumes are encrypted with, once there is one."""
    return {}


@pytest.fixture(scope="module")
def cloud(built: Path, tmp_path_factory: pytest.TempPathFactory, key: dict[str, str]) -> Iterator[Cloud]:
    """Rollcall with everything that bakes may be permitted, on an embedded cloud of this module's own."""
    tower = Tower(boot_time=0, job_time=0.3, event_lag=0.1)
    with Cloud(
        tmp_path_factory.mktemp("lab"), address_pool=ADDRESS_POOL, tower=tower, wait_scale=WAIT_SCALE, forks=True
    ) as cloud:
        key["arn"] = cloud.aws.client("kms").create_key()["KeyMetadata"]["Arn"]
        iam = cloud.aws.client("iam")
        role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        iam.create_instance_profile(InstanceProfileName=ROLE)
        iam.add_role_to_instance_profile(InstanceProfileName=ROLE, RoleName=ROLE)
        cloud.deploy(
            built,
            Cycles="true",
            Bakes="true",
            PassableRoleArns=role,
            BakeRoleArns=role,
            KmsKeyArns=key["arn"],
            BakeTemplateArns=f"arn:aws:ec2:{REGION}:{ACCOUNT}:launch-template/*",
        )
        yield cloud


@pytest.fixture
def encrypt_by_default(cloud: Cloud, key: dict[str, str]) -> Iterator[Callable[[], None]]:
    """Lets the account encrypt volumes by default, with the key, from then until the test is over."""
    ec2 = cloud.aws.client("ec2")

    def encrypt() -> None:
        ec2.modify_ebs_default_kms_key_id(KmsKeyId=key["arn"])
        ec2.enable_ebs_encryption_by_default()

    yield encrypt
    ec2.disable_ebs_encryption_by_default()
    ec2.reset_ebs_default_kms_key_id()


@pytest.fixture
def make_old(make_group: MakeGroup, tower: Tower, name: str) -> MakeGroup:
    """Makes groups on $Default of whose images one is kept, and two are there. Their job asks for an inventory."""
    tower.add_job_template(f"{name}-asking", ask_variables=True)

    def make(suffix: str, *, tagged: bool, **data: Any) -> Group:
        group = make_group(suffix, traffic={**WARM_SOON, **PLACED}, job_template=f"{name}-asking")
        if data:
            group.new_version(default=True, **data)
        group.use_version("$Default")
        let_bake(group, tower, permitted=tagged, keep="1")
        have_baked(group, 2)
        at_size(group, 1)
        return group

    return make


def encrypted_image(cloud: Cloud, name: str, **key: str) -> str:
    """An image whose snapshot is encrypted with a key, KmsKeyId, or without that the account's default; and its id."""
    ec2 = cloud.aws.client("ec2")
    mapping = [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, **key}}]
    asked: dict[str, Any] = {"ImageId": BASE, "InstanceType": "t4g.small", "BlockDeviceMappings": mapping}
    instance = ec2.run_instances(MinCount=1, MaxCount=1, **asked)["Instances"][0]["InstanceId"]
    waiter = [{"Name": "instance-state-name", "Values": ["running"]}, {"Name": "instance-id", "Values": [instance]}]
    eventually(lambda: ec2.describe_instances(Filters=waiter)["Reservations"], "it runs")
    image = str(ec2.create_image(InstanceId=instance, Name=name)["ImageId"])
    eventually(lambda: ec2.describe_images(ImageIds=[image])["Images"][0]["State"] == "available", "it is available")
    ec2.terminate_instances(InstanceIds=[instance])
    return image


def let_use(cloud: Cloud, key: str, group: Group) -> None:
    """Let a group launch instances whose volumes are encrypted with a key."""
    cloud.aws.client("kms").create_grant(
        KeyId=key,
        GranteePrincipal=group.described()["ServiceLinkedRoleARN"],
        Operations=["CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext"],
    )


def occupy_the_next_address(tower: Tower, group: Group) -> None:
    """Let a host that something else left behind have the address that the next builder gets."""
    ec2 = group.cloud.aws.client("ec2")
    asked = {"ImageId": BASE, "InstanceType": "t4g.small"}
    found = ec2.run_instances(MinCount=1, MaxCount=1, **asked)["Instances"][0]
    ec2.terminate_instances(InstanceIds=[found["InstanceId"]])
    gone = [{"Name": "instance-id", "Values": [found["InstanceId"]]}, {"Name": "instance-state-name", "Values": [GONE]}]
    eventually(lambda: ec2.describe_instances(Filters=gone)["Reservations"], "its address is free")
    marker = {"group": group.name, "instance_id": found["InstanceId"], "account": ACCOUNT, "region": REGION}
    address = found["PrivateIpAddress"]
    variables = {"ansible_host": address, "rollcall": {**marker, "vpc": found["VpcId"]}}
    tower.add_host(BUILDERS.format(group.name), found["InstanceId"], variables, found["InstanceId"])


def started_by_reconcile(group: Group) -> Bake:
    """A bake that a group's schedule asks for in this minute, in which the group was there already."""
    created = group.described()["CreatedTime"]
    eventually(lambda: this_minute() > created, "the group is older than this minute")
    moment = this_minute()
    group.tag({"bake": f"every=daily-{moment:%H:%M}"})
    group.cloud.reconcile(groups=[group.name], every=UPKEEP_AT_ONCE)
    return bake_named(group, schedule_key(moment.date()))


def this_minute() -> datetime:
    """When it began."""
    return datetime.now(UTC).replace(second=0, microsecond=0)


def test_the_key_of_a_base_image_is_that_of_its_snapshot(make_old: MakeGroup, cloud: Cloud, name: str) -> None:
    """Neither the version nor the image names it."""
    group, other = make_old("", tagged=True), cloud.aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    base = encrypted_image(cloud, f"{name}-base", KmsKeyId=other)
    state = start_bake(group, base_image=base, dry_run=True).waited()
    own = f"key {other}"
    assert {each["what"] for each in state["objections"]} == {
        f"{own} not named",
        f"{own}: Auto Scaling's role of the group",
    }


def test_what_the_function_may_do_is_what_it_does(
    make_group: MakeGroup,
    make_old: MakeGroup,
    cloud: Cloud,
    tower: Tower,
    key: dict[str, str],
    encrypt_by_default: Callable[[], None],
    name: str,
) -> None:
    volume = {"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "KmsKeyId": key["arn"]}}
    data = {"IamInstanceProfile": {"Name": ROLE}, "BlockDeviceMappings": [volume], "SecurityGroupIds": ["sg-00000001"]}
    tagged, named = make_old("-tagged", tagged=True, **data), make_old("-named", tagged=False)
    make_group("-pooled", warm_pool={"MaxGroupPreparedCapacity": 0})
    for group in (tagged, named):
        let_use(cloud, key["arn"], group)
    base = encrypted_image(cloud, name, KmsKeyId=key["arn"])
    of_aws = encrypted_image(cloud, f"{name}-aws")
    encrypt_by_default()
    cloud.rights.watch(FUNCTION, RECONCILE)

    def ends(bake: Bake, result: str) -> bool:
        state = bake.waited()
        assert cloud.rights.refused(FUNCTION) == []
        assert (state["result"], state["objections"]) == (result, []), state["reason"]
        return True

    profile = {"smoke": "provision", "instance_profile": ROLE}
    bakes = [start_bake(tagged, base_image=base, pin=True, **profile), start_bake(named, base_image=PUBLIC, pin=True)]
    assert all(ends(bake, "succeeded") for bake in bakes)
    for group in (tagged, named):
        assert sorted(each["State"] for each in images(group)) == ["available", "disabled", "disabled"]
        let_a_day_pass(group)
        retire(group)
        assert [each["State"] for each in images(group)] == ["available"]
    tower.fail_host(new_hosts(name, tagged.in_service() | named.in_service()))
    assert ends(started_by_reconcile(named), "failed")  # of a group on $Default nothing can be rolled back
    tower.heal_hosts()
    eventually(lambda: len(named.states()) == len(named.in_service()) == 1, "what failed is replaced")
    occupy_the_next_address(tower, named)
    stopped = start_bake(named, base_image=of_aws)
    stopped.reaches("provisioning")
    stopped.stop()
    eventually(lambda: not left(named), "nothing of it is left")
    assert (cloud.rights.refused(FUNCTION), cloud.rights.refused(RECONCILE)) == ([], [])
    assert cloud.rights.unused(FUNCTION) == frozenset()
    assert not OF_RECONCILE & {each.sid for each in cloud.rights.unused(RECONCILE)}
    assert {each.sid for each in cloud.rights.uses(RECONCILE)} >= OF_RECONCILE
