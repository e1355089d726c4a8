"""What `rollcall release` does to groups, on moto's Auto Scaling; and what it says."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from rollcall.checks.registry import read_group_settings
from rollcall.domain.groups import Group
from rollcall.domain.settings import RELEASED_TAG
from rollcall_cli.commands.release import released as moment_of_release
from unit.cli.commands import run
from unit.fakes import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer.testing import Result

TAG_VALUE = set(string.ascii_letters + string.digits + " +-=._:/@")  # what Auto Scaling takes in a tag's value


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield boto3.client("autoscaling")


def make(aws: Any, name: str, **tags: str) -> None:
    aws.create_launch_configuration(LaunchConfigurationName=name, ImageId="ami-1", InstanceType="t3.micro")
    aws.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchConfigurationName=name,
        MinSize=0,
        MaxSize=0,
        AvailabilityZones=[f"{REGION}a"],
        Tags=[{"Key": f"rollcall:{key}", "Value": text, "PropagateAtLaunch": False} for key, text in tags.items()],
    )


def tags_of(aws: Any, name: str) -> dict[str, str]:
    (group,) = aws.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    assert not any(tag["PropagateAtLaunch"] for tag in group["Tags"])
    return {tag["Key"]: tag["Value"] for tag in group["Tags"]}


def released(*groups: str) -> Result:
    return run("release", *(word for each in groups for word in ("--group", each)))


def test_each_group_is_released_at_the_present_time_and_keeps_its_other_tags(aws: Any) -> None:
    make(aws, "web", inventory="prod", timeout="60", released="2026-01-01T00:00:00Z")
    make(aws, "Web Tier (blue)", inventory="prod")
    done = released("web", "Web Tier (blue)", "web")
    assert done.exit_code == 0
    for name in ("web", "Web Tier (blue)"):
        tags = tags_of(aws, name)
        assert set(tags[RELEASED_TAG]) <= TAG_VALUE
        settings = read_group_settings(Group(name, tags, {}))
        assert settings
        assert settings.released_at > 1_790_000_000
        assert f"group {name}: released at {tags[RELEASED_TAG]} (tag rollcall:released)\n" in done.stdout
    assert tags_of(aws, "web").keys() == {"rollcall:inventory", "rollcall:timeout", RELEASED_TAG}
    assert done.stdout.count("released at") == 2
    assert "within a minute" in done.stdout


@pytest.mark.parametrize(
    ("name", "why"), [("wbe", "no Auto Scaling group 'wbe'"), ("api", "no tag rollcall:inventory")]
)
def test_where_one_group_is_wrong_none_is_released(aws: Any, name: str, why: str) -> None:
    make(aws, "web", inventory="prod")
    make(aws, "api")
    done = released("web", name)
    assert (done.exit_code, done.stdout) == (2, "")
    assert why in done.stderr
    assert RELEASED_TAG not in tags_of(aws, "web")


def test_a_group_has_to_be_named() -> None:
    done = released()
    assert done.exit_code == 2
    assert "--group" in done.stderr


def test_for_credentials_that_may_not_tag_the_message_says_what_they_need(
    aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = boto3.client("autoscaling")
    monkeypatch.setattr(boto3, "client", lambda *_, **__: client)
    with Stubber(client) as stub:
        stub.add_client_error("describe_auto_scaling_groups", "AccessDenied", "you may not")
        done = released("web")
    assert done.exit_code == 2
    assert "you may not" in done.stderr
    assert re.search(r"autoscaling:CreateOrUpdateTags\.$", done.stderr.strip())


def test_the_moment_is_by_the_clock_of_aws(aws: Any) -> None:
    class Past:
        """An Auto Scaling whose clock is another one than this computer's."""

        def describe_auto_scaling_groups(self, **_: object) -> Any:
            tags = [{"Key": "rollcall:inventory", "Value": "prod"}]
            headers = {"date": "Sat, 21 Nov 2026 10:00:00 GMT"}
            return {
                "AutoScalingGroups": [{"AutoScalingGroupName": "web", "Tags": tags}],
                "ResponseMetadata": {"HTTPHeaders": headers},
            }

        def create_or_update_tags(self, **_: object) -> None: ...

    assert moment_of_release(Past(), ["web"]) == "2026-11-21T10:00:00Z"
