"""The commands that the pages show are commands that work: each is run, or a comment beside it says why not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from generators.copies import PLACES
from lab.cloud import REGION, REPOSITORY, TOPIC, eventually
from rollcall.domain.settings import OPT_IN_TAG

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lab.cloud import Cloud, Group
    from lab.tower.embedded import Tower

BLOCK = re.compile(
    r"^(?:<!-- not run here: (?P<reason>.*?) -->\n)?```sh\n(?P<commands>.*?)^```$", re.MULTILINE | re.DOTALL
)
PAGES = [
    *(REPOSITORY / name for name in PLACES),
    *(page for page in sorted((REPOSITORY / "docs").rglob("*.md")) if page.name not in PLACES.values()),
]
WANTED = ("web", "api")  # the groups that the pages speak of
TIMEOUT = 180  # seconds; of a block, on a machine that has much else to do
OPTED_IN = {"inventory": "fleet"}
# A command that does not end well ends the block. `rollcall` ends with 1 where an operator has something to do, and
# with 3 where a cycle is refused: the launch templates here do not have the version that a page speaks of.
STRICT = r"""
set -uo pipefail
trap 'code=$?; [[ $code =~ ^[13]$ && $BASH_COMMAND == rollcall* ]] || exit $code' ERR
"""


class Block(NamedTuple):
    """Commands of a page, and why they are not run; None where they are."""

    page: str
    commands: str
    reason: str | None


def blocks() -> Iterator[Block]:
    for page in PAGES:
        for each in BLOCK.finditer(page.read_text()):
            yield Block(str(page.relative_to(REPOSITORY)), each["commands"], each["reason"])


@pytest.fixture
def groups(cloud: Cloud, tower: Tower) -> Iterator[list[Group]]:
    """The groups that the pages speak of."""
    tower.add_inventory("fleet")
    tower.add_job_template("provision", "fleet")
    # Their new instances count at once: a page cycles one.
    made = [cloud.create_group(name, OPTED_IN, hooks=False, DefaultInstanceWarmup=1) for name in WANTED]
    yield made
    for each in made:
        each.delete()
    eventually(lambda: not any(each.states() for each in made), "the groups are gone")
    eventually(lambda: cloud.in_flight() == 0, "the last terminations are worked off")


@pytest.fixture
def shell(cloud: Cloud, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a shell in which the pages' commands find what they speak of."""
    sns = cloud.aws.client("sns")
    assert sns.create_topic(Name="notifications")["TopicArn"] == TOPIC
    programs = tmp_path / "bin"
    programs.mkdir()
    aws = programs / "aws"
    aws.write_text(f'#!/bin/sh\nPYTHONPATH="{REPOSITORY / "tests"}" exec "{sys.executable}" -m lab.aws_command "$@"\n')
    aws.chmod(0o700)
    (tmp_path / "rollcall.pem").write_text("a key")
    [alarm] = cloud.aws.client("cloudwatch").describe_alarms(AlarmNamePrefix="rollcall-GateError")["MetricAlarms"]
    yield {
        **os.environ,
        **cloud.aws.environment,
        "PATH": f"{programs}{os.pathsep}{cloud.programs()}{os.pathsep}{os.environ['PATH']}",
        "AWS_DEFAULT_REGION": REGION,
        "TOWER_TOKEN": "a token",
        "ROUTING_KEY": "a routing key",
        "WEBHOOK_URL": "https://hooks.slack.com/services/a",
        "TOPIC_ARN": TOPIC,
        "ALARM": alarm["AlarmName"],
    }
    sns.delete_topic(TopicArn=TOPIC)
    cloud.aws.put_alarm(alarm["AlarmName"], alarm["StateValue"])  # a page lets it go off


@pytest.mark.long
def test_every_command_of_the_pages_works(groups: list[Group], shell: dict[str, str], tmp_path: Path) -> None:
    run = [each for each in once(blocks()) if each.reason is None]
    assert len(run) > 10
    failed: list[str] = []
    for page, commands, _ in run:
        for group in groups:
            if not opted_in(group):  # a command of the pages took it out
                group.tag(OPTED_IN)
        ended = subprocess.run(
            ["bash", "-c", f"{STRICT}{commands}\nexit 0"],
            cwd=tmp_path,
            env=shell,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        if ended.returncode:
            failed.append(f"{page}: ended with {ended.returncode}\n{commands}{ended.stderr[-800:]}")
    assert not failed, "\n\n".join(failed)


def opted_in(group: Group) -> bool:
    client = group.cloud.aws.client("autoscaling")
    [described] = client.describe_auto_scaling_groups(AutoScalingGroupNames=[group.name])["AutoScalingGroups"]
    return OPT_IN_TAG in {tag["Key"] for tag in described["Tags"]}


def once(those: Iterable[Block]) -> Iterator[Block]:
    """The blocks without the commands `rollcall` that an earlier one has: each takes a second or more."""
    known: set[str] = set()
    for each in those:
        lines = each.commands.splitlines(keepends=True)
        plain = {line: line.partition("#")[0].strip() for line in lines if line.startswith("rollcall")}
        left = [line for line in lines if plain.get(line) not in known]
        if each.reason is None:
            known |= set(plain.values())
        if left:
            yield each._replace(commands="".join(left))


def test_no_block_is_left_out_without_a_reason_that_says_something() -> None:
    reasons = [each.reason for each in blocks() if each.reason is not None]
    assert reasons
    assert all(len(each.split()) > 3 for each in reasons)
