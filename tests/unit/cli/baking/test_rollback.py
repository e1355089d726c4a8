"""The command rollback: what a group can go back to, which of it is chosen, and the cycle that is started."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from rich.console import Console

from rollcall.aws.group_details import GroupDetails, MemberDetails
from rollcall.aws.images import DISABLED
from rollcall.aws.instance_refreshes import Refresh
from rollcall.cycle.state import CycleResult, Phase
from rollcall.domain.errors import AwsDenied
from rollcall.domain.groups import Group
from rollcall_cli import columns
from rollcall_cli.commands import rollback as module
from rollcall_cli.exit_codes import ExitCode
from unit.bake.baked import TEMPLATE, FakeBakeAws, image, version
from unit.bake_news import BASE, IMAGE
from unit.cli.commands import run
from unit.cli.cycling.step_functions import MACHINE, NOW, StepFunctions, Turn, state
from unit.fakes import REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

OTHER = version(3, "ami-hand", description="by hand")


class Aws(FakeBakeAws):
    def details(self, name: str) -> GroupDetails | None:
        return self.groups.get(name)


class Command:
    """The command on one stack, for a group on version 7 of its launch template. versions 4 to 7 are of bakes."""

    def __init__(self) -> None:
        made = [image(4), image(5, roll_out="rolled back"), image(6), image(7)]
        self.aws = Aws(*made, versions=[OTHER, *(version(number) for number in (4, 5, 6, 7))])
        self.aws.groups["web"] = details({"LaunchTemplate": {"LaunchTemplateId": TEMPLATE, "Version": "7"}})
        self.refresh: Refresh | None = None
        self.steps = StepFunctions()
        self.steps.script = [
            Turn(state(phase=Phase.ENDED, result=CycleResult.SUCCEEDED, instances=()), "SUCCEEDED"),
        ]

    def __call__(self, *words: str, code: int = 0) -> Any:
        done = run("rollback", *words)
        assert done.exit_code == code, done.output
        return done

    def active(self, group: str) -> Refresh | None:
        """The refresh of the group that goes on."""
        return self.refresh

    @property
    def requests(self) -> list[Any]:
        return [json.loads(each.input) for each in self.steps.runs.values()]


def details(configuration: Mapping[str, Any]) -> GroupDetails:
    return GroupDetails(Group("web", {"rollcall:inventory": "fleet"}, {}), 2, 8, 4, configuration, (), ())


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    made = Command()
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setattr(module, "BakeAws", lambda region: made.aws)
    monkeypatch.setattr(module, "InstanceRefreshes", lambda region: made)
    monkeypatch.setattr("rollcall_cli.cycling.run.physical_id", lambda stack, logical_id: MACHINE)
    monkeypatch.setattr("rollcall_cli.cycling.run.sleep", made.steps.sleep)
    monkeypatch.setattr(boto3, "client", lambda *_, **__: made.steps.client)
    monkeypatch.setattr(time, "time", lambda: NOW)
    return made


def test_it_goes_back_to_the_last_version_before_this_one_that_was_rolled_out(command: Command) -> None:
    done = command("web", "--yes")
    assert command.requests == [{"group": "web", "launch_template_version": "6"}]
    assert "Group 'web' is cycled and verified" in done.stdout


def test_one_that_was_rolled_back_or_whose_image_is_disabled_is_passed_over(command: Command) -> None:
    command.aws.known["ami-6"] = image(6, state=DISABLED)
    command("web", "--yes")
    assert command.requests == [{"group": "web", "launch_template_version": "4"}]


def test_one_that_an_operator_rolled_back_is_no_target_unless_the_group_was_on_it_since(command: Command) -> None:
    command.aws.known["ami-6"] = image(6, roll_out="rolled back by hand")
    command.aws.known["ami-7"] = image(7)
    assert json.loads(command("web", "--list", "--json").stdout)["default"] == "4"
    command.aws.known["ami-7"] = image(7, tags={"rollcall:from-version": "6"})
    assert json.loads(command("web", "--list", "--json").stdout)["default"] == "6"


def test_without_a_bake_before_it_goes_back_to_the_version_that_the_group_was_on(command: Command) -> None:
    for number in (4, 6):
        command.aws.known[f"ami-{number}"] = image(number, state=DISABLED)
    command.aws.known["ami-7"] = image(7, tags={"rollcall:from-version": "3"})
    command("web", "--yes")
    assert command.requests == [{"group": "web", "launch_template_version": "3"}]


def test_a_version_of_which_nothing_says_that_it_has_run_is_named_and_not_chosen(command: Command) -> None:
    command.aws.known = {"ami-7": image(7)}
    said = command("web", "--yes", code=ExitCode.NOT_RUN).stderr
    assert "Group 'web' has no earlier version to go back to: there is none before 7 that it is known to have" in said
    assert "rollcall cycle --version 3 web" in said
    assert command.requests == []


def test_while_instances_run_another_version_the_present_one_can_be_chosen_and_finishes(command: Command) -> None:
    """A cycle to 7 was cancelled half-way."""
    members = [MemberDetails(f"i-{each}", "InService", TEMPLATE, each) for each in ("4", "7", "7")]
    command.aws.groups["web"] = command.aws.groups["web"]._replace(members=tuple(members))
    asked = command("web", code=ExitCode.NOT_RUN).stderr
    assert "1 instance runs another version; --to 7 brings all to 7." in asked
    assert "1 instance runs another version" in row(command, "7")
    command("web", "--to", "7", "--yes")
    assert command.requests == [{"group": "web", "launch_template_version": "7", "skip_matching": True}]


@pytest.mark.parametrize("to", ["4", "ami-4"])
def test_an_operator_may_name_the_version_or_its_image(command: Command, to: str) -> None:
    command("web", "--to", to, "--yes")
    assert command.requests == [{"group": "web", "launch_template_version": "4"}]


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("9", "no version that is kept for group 'web' is that one"),
        ("7", "the group is on it already"),
        ("5", "its image ami-5 is disabled"),
    ],
)
def test_what_it_cannot_go_back_to_is_refused_with_the_reason(command: Command, to: str, words: str) -> None:
    command.aws.known["ami-5"] = image(5, state=DISABLED)
    assert words in command("web", "--to", to, "--yes", code=ExitCode.NOT_RUN).stderr
    assert command.requests == []


def test_nothing_to_go_back_to_is_said(command: Command) -> None:
    command.aws.made_versions = {"7": version(7)}
    said = command("web", "--yes", code=ExitCode.NOT_RUN).stderr
    assert "there is none before 7 that is kept" in said
    assert "rollcall cycle --version NUMBER web" in said


def test_without_an_answer_nothing_is_cycled_and_the_question_names_both_versions(command: Command) -> None:
    done = command("web", code=ExitCode.NOT_RUN)
    assert "Cycle group 'web' from version 7 back to version 6 (image ami-6, made " in done.stderr
    assert "Say it with --yes. Nothing was changed." in done.stderr
    assert command.requests == []


def test_the_list_says_how_each_went_and_where_rollback_goes(command: Command) -> None:
    lines = command("web", "--list").stdout.splitlines()
    assert lines[1].startswith("the group is on it  7 ")
    assert lines[2].startswith("rollback goes here  6 ")
    assert [line.split()[0] for line in lines[3:]] == ["5", "4", "3"]
    assert "rolled back" in lines[3]
    assert lines[5].endswith("not made by a bake")
    assert command.requests == []


def row(command: Command, number: str) -> str:
    """The line of a version in the list."""
    lines: list[str] = command("web", "--list").stdout.splitlines()
    return next(line for line in lines if number in line[: line.find("ami-")].split())


def test_a_version_that_is_being_rolled_out_is_said_to_be_that(command: Command) -> None:
    wanted = {"LaunchTemplate": {"LaunchTemplateId": TEMPLATE, "Version": "7"}}
    command.aws.groups["web"] = details({"LaunchTemplate": {"LaunchTemplateId": TEMPLATE, "Version": "6"}})
    command.refresh = Refresh("r-1", "InProgress", desired_configuration=wanted)
    assert row(command, "7").startswith("being rolled out    7 ")
    assert row(command, "6").startswith("the group is on it  6 ")
    said = json.loads(command("web", "--list", "--json").stdout)
    assert (said["rolling_out"], said["versions"][0]["is_left"]) == ("7", False)


def test_a_version_that_the_group_went_back_from_is_not_shown_as_if_it_ran(command: Command) -> None:
    command.aws.groups["web"] = details({"LaunchTemplate": {"LaunchTemplateId": TEMPLATE, "Version": "4"}})
    assert row(command, "7").endswith("the group went back from it")
    assert "went back" not in row(command, "5"), "it was rolled back, which its roll-out says"
    assert "went back" not in row(command, "4")


@pytest.mark.parametrize("width", [80, 100, 160])
def test_on_a_terminal_of_any_width_nothing_of_the_list_is_cut(
    command: Command, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    made = {"rollcall:base-image": BASE, "rollcall:project-revision": "9f2c51d"}
    command.aws.known[IMAGE] = image(5, id=IMAGE, roll_out="rolled back by hand", tags=made)
    command.aws.made_versions["5"] = version(5, IMAGE)
    monkeypatch.setattr(columns, "console", lambda: Console(width=width))
    said = command("web", "--list").stdout
    for words in ("the group is on it", IMAGE, "rolled back by hand", BASE, "9f2c51d", "not made by a bake"):
        assert words in said
    assert max(map(len, said.splitlines())) <= width


def test_the_list_as_json_has_all_that_is_known(command: Command) -> None:
    said = json.loads(command("web", "--list", "--json").stdout)
    assert (said["group"], said["present"], said["default"]) == ("web", "7", "6")
    by_number = {each["number"]: each for each in said["versions"]}
    assert by_number["5"]["roll_out"] == "rolled back"
    assert by_number["3"]["is_baked"] is False
    assert by_number["7"]["why_not"] == "the group is on it already"


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        (None, "There is no Auto Scaling group 'web'"),
        ({}, "has no launch template"),
        ({"LaunchTemplate": {"LaunchTemplateId": TEMPLATE, "Version": "9"}}, "does not exist"),
    ],
)
def test_a_group_that_cannot_be_read_so_is_said_to_be_that(
    command: Command, configuration: Mapping[str, Any] | None, words: str
) -> None:
    command.aws.groups = {} if configuration is None else {"web": details(configuration)}
    assert words in command("web", "--list", code=ExitCode.NOT_RUN).stderr


def test_credentials_that_may_not_read_it_say_what_they_need(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(group: str) -> None:
        raise AwsDenied("no")

    monkeypatch.setattr(command.aws, "images_made_for", denied)
    assert "They need autoscaling:DescribeAutoScalingGroups" in command("web", "--list", code=2).stderr


def test_to_list_and_to_go_back_are_two_things(command: Command) -> None:
    assert "name one" in command("web", "--list", "--to", "6", code=ExitCode.NOT_RUN).stderr
