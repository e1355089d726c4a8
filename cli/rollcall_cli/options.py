"""The options that all commands share, and the AWS session they make."""

from __future__ import annotations

from typing import Annotated

import boto3
import typer
from botocore.exceptions import BotoCoreError

from .running import REGION, NotRun

Stack = Annotated[str, typer.Option("--stack", metavar="NAME", envvar="ROLLCALL_STACK", help="Rollcall's stack")]
Region = Annotated[
    str | None, typer.Option("--region", metavar="NAME", help="AWS Region; by default your AWS settings'")
]
Profile = Annotated[str | None, typer.Option("--profile", metavar="NAME", help="a profile of your AWS settings")]
Groups = Annotated[
    list[str] | None, typer.Option("--group", metavar="NAME", help="only this Auto Scaling group; repeat for more")
]
AsJson = Annotated[bool, typer.Option("--json", help="print the answer as JSON")]

DEFAULT_STACK = "rollcall"


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
