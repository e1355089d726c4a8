"""The Chef server's REST API, as much of it as we use: nodes listed and read, nodes and clients deleted.

Imported only where an installation has a Chef server: it needs `cryptography`, which others do not have to load. What
the server answers is taken from its source (chef/chef-server, oc_chef_wm), and where a node says what it is from Ohai's
(chef/ohai, plugins ec2 and ohai_time).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from itertools import batched
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import requests

from rollcall.domain.chef_nodes import Node
from rollcall.domain.errors import BadSettings, ChefDenied, ChefRejected, ChefUnavailable
from rollcall.domain.json_input import moment_or_none
from rollcall.http.transport import (
    FORBIDDEN,
    HEADER_TEXT,
    HTTP_OK,
    NOT_FOUND,
    SERVER_ERROR,
    TOO_MANY_REQUESTS,
    UNAUTHORIZED,
    Opened,
    Transport,
    adapter,
    ca_bundle_in,
    may_hold_a_password,
    object_of,
    shown_url,
    trust,
    words_of,
)

from .signature import Signature, read_key

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from rollcall.http.transport import Json, Query

ORGANIZATION_PATH = re.compile(r"(/[^/]+)*/organizations/[^/]+")
CLIENT_VERSION = "18.0.0"  # the API's documentation wants one from every client
NAMES_PER_SEARCH = 50  # they go into the URL, which a gateway may cut at 8 kB
WANTED = {  # of each node, by where it has it
    "name": ["name"],
    "instance_id": ["ec2", "instance_id"],
    "account": ["ec2", "account_id"],
    "region": ["ec2", "region"],
    "seen_at": ["ohai_time"],
}
REPEATABLE = ("GET", "DELETE")  # deleting what is gone is an answer, so a request without an answer may be repeated


@dataclass(frozen=True)
class ChefCredentials:
    """Who we are to a Chef server, and where it is.

    organization_url: without a slash at its end. ca_bundle: certificate authorities (PEM) to trust instead of the
    public ones, if any.
    """

    organization_url: str
    user: str
    key: RSAPrivateKey = field(repr=False)
    ca_bundle: str | None = None


def read_chef_credentials(text: str, secret: str) -> ChefCredentials:
    """What a secret holds: JSON with organization_url, user, key (PEM) and, if need be, ca_bundle (PEM).

    Raises BadSettings naming the secret, and nothing that is in it but the URL.
    """
    try:
        fields = json.loads(text)
        url, user, key = (str(fields[name]).strip() for name in ("organization_url", "user", "key"))
        ca_bundle = fields.get("ca_bundle")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadSettings(
            f'secret {secret} is not JSON like {{"organization_url": "…", "user": "…", "key": "PEM"}}'
        ) from None
    if not HEADER_TEXT.fullmatch(user):
        raise BadSettings(f"the user in secret {secret} is empty, or has characters that no name has")
    try:
        private_key = read_key(key)
    except ValueError as error:
        raise BadSettings(f"the key in secret {secret} is {error}: put the user's RSA private key there") from None
    ca_bundle = ca_bundle_in(secret, ca_bundle)
    return ChefCredentials(_organization(url, secret), user, private_key, ca_bundle)


def _organization(url: str, secret: str) -> str:
    if may_hold_a_password(url):
        raise BadSettings(
            f"the organization_url in secret {secret} has an @, as before which a password stands, and it is logged: "
            "put the user into the field user, and its key into key"
        )
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        host = None
    path = parts.path.rstrip("/") if host else ""
    if not host or parts.scheme not in ("http", "https") or not ORGANIZATION_PATH.fullmatch(path):
        raise BadSettings(
            f"the organization_url in secret {secret} is{shown_url(url) or ' no such URL'}: use one like "
            "https://HOST/organizations/NAME"
        )
    if parts.scheme == "http" and host not in ("127.0.0.1", "localhost", "::1"):
        raise BadSettings(f"the organization_url in secret {secret} is{shown_url(url) or ' plain http'}: use https://")
    return f"{parts.scheme}://{parts.netloc}{path}"


class Chef:
    """One organization of a Chef server, spoken to through one session that threads may share.

    credentials(refresh) returns our user and key; with refresh=True they must be read afresh. Methods raise
    ChefUnavailable, ChefDenied or ChefRejected, and what credentials raises.
    """

    def __init__(self, credentials: Callable[[bool], ChefCredentials]) -> None:
        self._transport = Transport(
            "the Chef server", lambda refresh: _opened(credentials(refresh)), ChefUnavailable, ChefRejected
        )

    def finish_within(self, seconds: float) -> None:
        """Bound what follows to the seconds left in this invocation: see Transport.finish_within.

        After a signature that the server does not take all that follows raises ChefDenied.
        """
        self._transport.finish_within(seconds)

    def delete_client(self, name: str) -> bool:
        """Take a client's key away. False if there is no such client (any more)."""
        return self._delete("clients", name)

    def delete_node(self, name: str) -> bool:
        """Delete a node, and nothing else: its client stays. False if there is no such node (any more)."""
        return self._delete("nodes", name)

    def node_names(self) -> set[str]:
        """The names of all nodes, in one call: the API has no pages for them."""
        return set(_read(self._send("GET", "/nodes")))

    def nodes(self, names: Collection[str]) -> dict[str, Node]:
        """Nodes by name; left out are those that are gone, or so new that the server's search does not know them.

        The search finds names, and what it returns of the nodes is what they hold now.
        names: of letters, digits and ._-
        """
        found: dict[str, Node] = {}
        for chunk in batched(sorted(names), NAMES_PER_SEARCH):
            query = {"q": " OR ".join(f"name:{name}" for name in chunk), "start": "0", "rows": str(len(chunk))}
            answer = self._send("POST", "/search/node", query=query, body=WANTED)
            rows = _read(answer).get("rows")
            if not isinstance(rows, list):
                raise _rejected(answer)
            read = [_node(row.get("data")) for row in rows if isinstance(row, dict)]
            found |= {node.name: node for node in read if node and node.name in chunk}
        return found

    def _delete(self, kind: str, name: str) -> bool:
        answer = self._send("DELETE", f"/{kind}/{quote(name, safe='')}")
        if answer.status_code in HTTP_OK:
            return True
        if _says_gone(answer, name):
            return False
        raise _rejected(answer)

    def _send(self, method: str, path: str, query: Query = (), body: Json | None = None) -> requests.Response:
        """One request and its answer. Raises for an answer that would be the same whatever was requested."""
        answer = self._transport.send(method, path, body, query)
        status = answer.status_code
        if status == TOO_MANY_REQUESTS or status >= SERVER_ERROR:
            raise ChefUnavailable(f"the Chef server answered {_what(answer)} with {status}: {words_of(answer)}")
        if status == UNAUTHORIZED:
            denied = _denied(answer, "put the user and its key into the secret that ChefSecretArn names")
            self._transport.send_no_more(denied)
            raise denied
        if status == FORBIDDEN:
            raise _denied(answer, "let the user read and delete nodes, and delete clients, of the organization")
        return answer


def _opened(credentials: ChefCredentials) -> Opened:
    session = requests.Session()
    session.trust_env = False  # else a .netrc could replace the signature
    session.auth = Signature(credentials.user, credentials.key)
    session.headers["Accept"] = "application/json"
    session.headers["X-Chef-Version"] = CLIENT_VERSION
    if credentials.ca_bundle:
        trust(session, credentials.ca_bundle)
    session.mount("https://", adapter(repeatable=REPEATABLE))
    session.mount("http://", adapter(repeatable=REPEATABLE))
    return Opened(session, credentials.organization_url)


def _read(answer: requests.Response) -> Mapping[str, Any]:
    """The object that an answer holds."""
    value = object_of(answer)
    if answer.status_code not in HTTP_OK or value is None:
        raise _rejected(answer)
    return value


def _node(data: object) -> Node | None:
    """A node as a search shows it; a field of another type than expected counts as missing."""
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        return None
    texts = {key: data[key] for key in ("instance_id", "account", "region") if isinstance(data.get(key), str)}
    return Node(data["name"], **texts, seen_at=moment_or_none(data.get("seen_at")))


def _denied(answer: requests.Response, remedy: str) -> ChefDenied:
    status = answer.status_code
    return ChefDenied(f"the Chef server refused {_what(answer)} with {status}: {words_of(answer)}; {remedy}")


def _rejected(answer: requests.Response) -> ChefRejected:
    return ChefRejected(
        f"the Chef server answered {_what(answer)} with {answer.status_code}: {words_of(answer)}; is the "
        f"organization_url in the secret that ChefSecretArn names the organization's own?"
    )


def _what(answer: requests.Response) -> str:
    return f"{answer.request.method} {answer.request.path_url.partition('?')[0]}"


def _says_gone(answer: requests.Response, name: str) -> bool:
    """Whether an answer is about this very name.

    An organization that does not exist, and a server that is none of Chef's, answer 404 too.
    """
    words = object_of(answer) or {}
    return answer.status_code == NOT_FOUND and name in str(words.get("error", ""))
