"""Tower for the operators' commands: the stack says where it is, and which secret holds its token.

An operator who may not read that secret names a token of their own in ROLLCALL_TOWER_TOKEN; with it, the certificate
authority of a Tower with a private one in the file that ROLLCALL_TOWER_CA_BUNDLE names.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rollcall.aws.secrets import secret_text
from rollcall.domain.errors import (
    AwsDenied,
    AwsRejected,
    AwsUnavailable,
    BadSettings,
    RollcallError,
    TowerDenied,
    TowerUnavailable,
)
from rollcall.tower.client import Tower
from rollcall.tower.credentials import read_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.tower.connection import Credentials

TOKEN_VARIABLE = "ROLLCALL_TOWER_TOKEN"  # noqa: S105 - a name
CA_VARIABLE = "ROLLCALL_TOWER_CA_BUNDLE"


def tower_of(parameters: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> Tower:
    """The Tower of a stack. The token is read for the first request, whose errors say why there is none.

    parameters: the stack's, by name. Raises BadSettings for a URL that is none; the requests raise AwsDenied,
    AwsRejected, AwsUnavailable and BadSettings about the secret beside what Tower's own raise.
    """
    secret = parameters.get("TowerSecretArn", "")
    return Tower(parameters.get("TowerUrl", ""), lambda refresh: _credentials(secret, environment, refresh=refresh))


def remedy_of(error: RollcallError, environment: Mapping[str, str] = os.environ) -> str:
    """What an operator can do where a request to Tower raised this; empty where its own words say it."""
    own = f"or put a token of your own into {TOKEN_VARIABLE}"
    match error:
        case AwsDenied():
            return f"let your credentials secretsmanager:GetSecretValue of it (and kms:Decrypt of its key), {own}"
        case AwsRejected():
            return f"make the secret again, or restore it, {own}"
        case AwsUnavailable():
            return f"try again, {own}"
        case TowerUnavailable():
            return "run this where Tower can be reached: by its VPN, or on a machine in its network"
        case TowerDenied() if environment.get(TOKEN_VARIABLE):
            return f"the token in {TOKEN_VARIABLE} was used: put another one there, or unset it for the stack's own"
    return ""


def _credentials(secret: str, environment: Mapping[str, str], *, refresh: bool) -> Credentials:
    token = environment.get(TOKEN_VARIABLE, "")
    if not token:
        return read_credentials(secret_text(secret, refresh=refresh), secret)
    own = {"token": token} | _ca_bundle(environment)
    return read_credentials(json.dumps(own), f"of yours in {TOKEN_VARIABLE}")


def _ca_bundle(environment: Mapping[str, str]) -> dict[str, str]:
    path = environment.get(CA_VARIABLE, "")
    if not path:
        return {}
    try:
        return {"ca_bundle": Path(path).read_text()}
    except (OSError, ValueError) as error:
        raise BadSettings(f"the file {path!r} that {CA_VARIABLE} names cannot be read: {error}") from error
