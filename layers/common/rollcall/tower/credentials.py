"""What a secret's text says of how to speak to Tower. Pure."""

from __future__ import annotations

import json

from rollcall.domain.errors import BadSettings
from rollcall.http.transport import HEADER_TEXT, ca_bundle_in

from .connection import Credentials


def read_credentials(text: str, secret: str) -> Credentials:
    """The Tower token in a secret: the bare token, or JSON with token and, if need be, ca_bundle (PEM).

    secret: what errors call it. Raises BadSettings, which shows nothing of the text.
    """
    token, ca_bundle = text, None
    if text.lstrip().startswith("{"):
        try:
            fields = json.loads(text)
            token, ca_bundle = fields["token"], fields.get("ca_bundle")
        except (ValueError, KeyError, RecursionError) as error:
            raise BadSettings(f'secret {secret} is neither a bare token nor JSON like {{"token": "…"}}') from error
    if not isinstance(token, str) or not HEADER_TEXT.fullmatch(token.strip()):
        raise BadSettings(f"the token in secret {secret} is empty, no text, or has characters that no token has")
    return Credentials(token.strip(), ca_bundle_in(secret, ca_bundle))
