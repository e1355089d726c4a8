"""What a command says where AWS does not answer it: the cause once, and the remedy that is right for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoCredentialsError

from rollcall.domain.errors import BadSettings, RollcallError, TowerUnavailable
from rollcall_cli import stack
from rollcall_cli.running import CREDENTIALS, ending, in_words
from unit.cli.commands import run
from unit.fakes import REGION

AWAY = EndpointConnectionError(endpoint_url="https://cloudformation.eu-central-1.amazonaws.com")


def answered(code: str, words: str, status: int = 400) -> ClientError:
    raw: Any = {"Error": {"Code": code, "Message": words}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(raw, "DescribeStacks")


@pytest.mark.parametrize(
    ("error", "words", "credentials"),
    [
        (AWAY, "AWS cannot be reached for stack x: ", False),
        (answered("Throttling", "Rate exceeded"), "Try again in a minute", False),
        (answered("InternalFailure", "odd", 500), "Try again. If it lasts", False),
        (answered("ValidationError", "a name is odd"), "AWS refused stack x: ValidationError: a name is odd", False),
        (answered("AccessDenied", "not authorized", 403), "They need cloudformation:DescribeStacks.", True),
        (answered("ExpiredToken", "is expired", 403), "AWS refused stack x: ExpiredToken", True),
        (NoCredentialsError(), "without valid credentials AWS would deny stack x", True),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else None,
)
def test_each_cause_has_its_own_remedy_and_credentials_are_named_only_where_they_are_it(
    error: BotoCoreError | ClientError, words: str, credentials: bool
) -> None:
    said = str(stack.not_asked(error, "stack x", "cloudformation:DescribeStacks"))
    assert words in said
    assert (CREDENTIALS in said) is credentials
    assert said.count("AWS cannot be reached") <= 1


@pytest.mark.parametrize("error", [BadSettings("stack x has no queues"), TowerUnavailable("Tower answered with 503")])
def test_an_error_that_is_not_awss_is_said_as_it_is(capsys: pytest.CaptureFixture[str], error: RollcallError) -> None:
    assert in_words(error) == str(error)

    def command() -> Any:
        raise error

    with pytest.raises(Exception, match="2"):
        ending(command)()
    assert capsys.readouterr().err == f"{error}\n"


class CloudFormation:
    """As much of it as the commands call, with AWS's words for a stack or a resource that is not there."""

    def __init__(self) -> None:
        self.stacks: list[dict[str, Any]] = []
        self.may_list = True

    def add(self, name: str, *outputs: str, deleted_at: datetime | None = None, **parameters: str) -> None:
        self.stacks.append(
            {
                "StackName": name,
                "StackId": f"arn:aws:cloudformation:eu-central-1:111122223333:stack/{name}/{len(self.stacks)}",
                "Parameters": [{"ParameterKey": key, "ParameterValue": text} for key, text in parameters.items()],
                "Outputs": [{"OutputKey": each, "OutputValue": "x"} for each in outputs],
                "DeletionTime": deleted_at,
            }
        )

    def describe_stacks(self, **given: str) -> dict[str, Any]:
        name = given["StackName"]
        for each in self.stacks:
            if each["StackId"] == name or (each["StackName"] == name and not each["DeletionTime"]):
                return {"Stacks": [each]}
        raise answered("ValidationError", f"Stack with id {name} does not exist")

    def describe_stack_resource(self, **given: str) -> dict[str, Any]:
        self.describe_stacks(**given)
        words = f"Resource {given['LogicalResourceId']} does not exist for stack {given['StackName']}"
        raise answered("ValidationError", words)

    def get_paginator(self, call: str) -> Any:
        return SimpleNamespace(paginate={"list_stacks": self._listed, "list_stack_resources": self._resources}[call])

    def _listed(self, **given: list[str]) -> Iterator[dict[str, Any]]:
        assert given == {"StackStatusFilter": ["DELETE_COMPLETE"]}
        if not self.may_list:
            raise answered("AccessDenied", "not authorized to list stacks", 403)
        for each in self.stacks:
            yield {"StackSummaries": [each] if each["DeletionTime"] else []}

    def _resources(self, **given: str) -> list[dict[str, Any]]:
        self.describe_stacks(**given)
        return [{"StackResourceSummaries": []}]


class TestStacks:
    """Stacks that are not there, or not Rollcall's."""

    @pytest.fixture(autouse=True)
    def cloudformation(self, monkeypatch: pytest.MonkeyPatch) -> CloudFormation:
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        made, client = CloudFormation(), boto3.client

        def of(service: str, **settings: Any) -> Any:
            return made if service == "cloudformation" else client(service, **settings)  # type: ignore[call-overload]

        monkeypatch.setattr("boto3.client", of)
        return made

    @pytest.mark.parametrize(
        "command",
        [["doctor"], ["reconcile"], ["redrive"], ["uninstall-check"], ["doctor", "--topics", "arn:x"]],
        ids=" ".join,
    )
    def test_a_stack_that_is_not_there_is_said_to_be_not_there(self, command: list[str]) -> None:
        done = run(*command, "--stack", "no-such")
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith("There is no stack no-such in this account and Region: name it with --stack")
        assert "--region" in done.stderr
        assert "cannot be reached" not in done.stderr
        assert "AWS_PROFILE" not in done.stderr

    @pytest.mark.parametrize(
        "command", [["doctor"], ["reconcile"], ["redrive"], ["uninstall-check"], ["doctor", "--topics", "arn:x"]]
    )
    def test_another_products_stack_is_said_to_be_one(self, cloudformation: CloudFormation, command: list[str]) -> None:
        cloudformation.add("other")
        done = run(*command, "--stack", "other")
        assert done.exit_code == 2
        assert "not Rollcall's" in done.stderr
        assert "--stack" in done.stderr

    def test_after_the_stack_was_deleted_its_own_prefix_is_named(self, cloudformation: CloudFormation) -> None:
        for day, prefix in ((3, "our/hooks"), (2, "earlier")):
            cloudformation.add("rollcall", deleted_at=datetime(2026, 11, day, 9, tzinfo=UTC), HookPrefix=prefix)
        cloudformation.add("other", deleted_at=datetime(2026, 11, 4, tzinfo=UTC), HookPrefix="others")
        done = run("uninstall-check", "--region", REGION)
        assert done.exit_code == 2
        assert done.stderr == (
            "Stack rollcall was deleted at 2026-11-03 09:00 UTC. To look for the hooks that it left: "
            f"rollcall uninstall-check --prefix our/hooks --region {REGION}\n"
        )

    def test_of_a_stack_that_cloudformation_has_forgotten_the_default_prefix_is_named(self) -> None:
        said = run("uninstall-check").stderr
        assert (
            "If it was deleted, look for the hooks that it left: rollcall uninstall-check --prefix rollcall\n" in said
        )
        assert "another HookPrefix" in said
        assert "cannot be read" not in said

    def test_where_deleted_stacks_may_not_be_listed_that_is_said(self, cloudformation: CloudFormation) -> None:
        cloudformation.may_list = False
        done = run("uninstall-check")
        assert done.exit_code == 2
        assert "--prefix rollcall\n" in done.stderr
        assert "Which stacks were deleted cannot be read: " in done.stderr


def test_a_profile_or_a_region_that_is_missing_is_all_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    assert run("doctor").stderr == "No AWS Region is set: set one with --region, or AWS_DEFAULT_REGION.\n"
    done = run("doctor", "--profile", "no-such")
    assert "no-such" in done.stderr
    assert "--profile, or AWS_PROFILE" in done.stderr
    assert "--stack" not in done.stderr
