"""The options that all commands share, and the AWS session they make."""

from __future__ import annotations

import os
from typing import Annotated, NamedTuple

import boto3
import typer
from botocore.exceptions import BotoCoreError

from rollcall.domain.shell_commands import options

from .running import REGION, NotRun

STACK_VARIABLE = "ROLLCALL_STACK"

Stack = Annotated[str, typer.Option("--stack", metavar="NAME", envvar=STACK_VARIABLE, help="Rollcall's stack")]
Region = Annotated[
    str | None, typer.Option("--region", metavar="NAME", help="AWS Region; by default your AWS settings'")
]
Profile = Annotated[str | None, typer.Option("--profile", metavar="NAME", help="a profile of your AWS settings")]
Groups = Annotated[
    list[str] | None, typer.Option("--group", metavar="NAME", help="only this Auto Scaling group; repeat for more")
]
AsJson = Annotated[bool, typer.Option("--json", help="print the answer as JSON")]

DEFAULT_STACK = "rollcall"


class Given(NamedTuple):
    """The stack, Region and profile that this run was given: a command that it prints is to act on the same."""

    stack: str | None
    region: str | None
    profile: str | None

    @property
    def aws(self) -> tuple[str, ...]:
        """The options that a command of the AWS command line needs."""
        return tuple(
            word
            for name, value in (("region", self.region), ("profile", self.profile))
            for word in _option(name, value)
        )

    @property
    def rollcall(self) -> tuple[str, ...]:
        """The options that another command of Rollcall's needs."""
        is_default = self.stack == DEFAULT_STACK and STACK_VARIABLE not in os.environ
        return (*(() if is_default else _option("stack", self.stack)), *self.aws)


def _option(name: str, value: str | None) -> tuple[str, ...]:
    return options(f"--{name}", [value] if value else [])


def connect(region: str | None, profile: str | None) -> str:
    """Make all AWS clients of this run use that Region and profile; the Region. Raises NotRun."""
    try:
        boto3.setup_default_session(region_name=region, profile_name=profile)
    except BotoCoreError as error:
        raise NotRun(f"{error}\nName a profile of your AWS settings: --profile, or AWS_PROFILE.") from error
    session = boto3.DEFAULT_SESSION
    assert session  # noqa: S101 - made above
    if not session.region_name:
        raise NotRun(f"No AWS Region is set: set one with {REGION}.")
    return str(session.region_name)
