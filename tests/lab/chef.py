"""A Chef server for tests: one organization with nodes and clients, and one user, who may do everything in it.

It believes no request that is not signed with protocol 1.3 by that user, and works out for itself what has to have been
signed: nothing of it is taken from rollcall, and the RSA part is plain arithmetic. Its words are those of Chef's own
server (chef/chef-server, oc_chef_wm).

    server = ChefServer()
    server.bootstrap("i-0123456789abcdef0")
    with server.serve() as organization_url:
        ...
"""

from __future__ import annotations

import json
import re
import time
from base64 import b64decode, b64encode
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lab.tower.api import Response
from lab.tower.server import Front, Traffic, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lab.tower.server import RequestRecord

type Headers = Mapping[str, str]

USER = "rollcall"
ORGANIZATION = "acme"
TIME_SKEW = 900  # seconds that a signature is good for, to either side
SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")  # DigestInfo of EMSA-PKCS1-v1_5, RFC 8017, 9.2
API_VERSIONS = ("0", "1")
LINE_MAX = 60  # characters of a signature in one header
NEEDED = ("x-ops-sign", "x-ops-userid", "x-ops-timestamp", "x-ops-content-hash", "x-ops-authorization-1", "host")
PATH = re.compile(r"/organizations/(?P<organization>[^/]+)/(?P<kind>nodes|clients|search)(?:/(?P<name>[^/]+))?")
TERM = re.compile(r"name:([A-Za-z0-9_.-]+)")  # what we understand of the search language, and OR between such
GONE = {"nodes": "node '{}' not found", "clients": "Cannot load client {}"}


class ChefServer:
    """What it holds, and whom it believes. Any thread may ask.

    nodes: their attributes by name; clients: their names. unindexed: names of nodes that the search does not know yet.
    away: a status that every request gets, 0 for connections that close, -1 for no answer; None while all is well.
    denied: kinds ("nodes", "clients") that the user may not delete; hidden: those that it may not list.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.nodes: dict[str, dict[str, Any]] = {}
        self.clients: set[str] = set()
        self.unindexed: set[str] = set()
        self.denied: set[str] = set()
        self.hidden: set[str] = set()
        self.away: int | None = None
        self._lock = Lock()
        self._traffic = Traffic()
        self.rotate_key()

    def rotate_key(self) -> None:
        """Give the user another key; the former one is worth nothing from now on."""
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def key(self) -> str:
        """The user's private key (PEM, in the form that Chef gives it out)."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()

    def secret(self, organization_url: str) -> str:
        """What Secrets Manager is to hold about this server."""
        return json.dumps({"organization_url": organization_url, "user": USER, "key": self.key})

    def bootstrap(self, *names: str, **attributes: Any) -> None:
        """What bootstrapping machines with these names leaves: a node with these attributes and a client each."""
        with self._lock:
            self.nodes |= dict.fromkeys(names, attributes)
            self.clients.update(names)

    def holds(self, name: str) -> tuple[bool, bool]:
        """Whether there is a node of this name, and a client."""
        with self._lock:
            return name in self.nodes, name in self.clients

    def requests(self) -> list[RequestRecord]:
        """The requests that were answered, in the order of their answers."""
        return self._traffic.requests()

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Listens on 127.0.0.1 until the block ends. Yields the organization's URL."""
        with serving(Front(self._handle, lambda: self.away, self._traffic, self.clock, None)) as url:
            yield f"{url}/organizations/{ORGANIZATION}"

    def _handle(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Response:
        refusal = self._refusal(method, path, headers, body)
        return refusal or self._answer(method, path, query, body)

    def _answer(self, method: str, path: str, query: str, body: bytes) -> Response:
        match = PATH.fullmatch(path)
        if not match:
            return Response(404, {"Content-Type": "text/html"}, b"<html>404 Not Found</html>")
        organization, kind, name = match.group("organization", "kind", "name")
        if organization != ORGANIZATION:
            return _error(404, f"organization '{organization}' does not exist.")
        if kind == "search":
            return self._search(method, name, parse_qs(query), body)
        with self._lock:
            held = self.nodes if kind == "nodes" else self.clients
            if name is None:
                if kind in self.hidden:
                    return _error(403, "missing read permission")
                return _json(200, {each: f"{path}/{each}" for each in held}) if method == "GET" else _error(405, method)
            if name not in held:
                return _error(404, GONE[kind].format(name))
            if method == "DELETE":
                if kind in self.denied:
                    return _error(403, "missing delete permission")
                self.nodes.pop(name, None) if kind == "nodes" else self.clients.remove(name)
            return _json(200, {"name": name})

    def _search(self, method: str, index: str | None, query: Mapping[str, list[str]], body: bytes) -> Response:
        """A partial search of nodes: which ones the index says, and what of them is asked for as it is now."""
        terms = [TERM.fullmatch(each) for each in query.get("q", [""])[0].split(" OR ")]
        if index != "node" or method != "POST" or not all(terms):
            return _error(400, f"invalid search query: '{query.get('q')}'")
        names = sorted({term.group(1) for term in terms if term})
        wanted = json.loads(body)
        with self._lock:
            found = [name for name in names if name in self.nodes and name not in self.unindexed]
            rows = [
                {
                    "url": f"https://chef.example.com/organizations/{ORGANIZATION}/nodes/{name}",
                    "data": {key: _at({"name": name, **self.nodes[name]}, way) for key, way in wanted.items()},
                }
                for name in found[: int(query.get("rows", ["1000"])[0])]
            ]
        return _json(200, {"total": len(found), "start": 0, "rows": rows})

    def _refusal(self, method: str, path: str, headers: Headers, body: bytes) -> Response | None:
        """Why a request is not believed."""
        if missing := [name for name in NEEDED if name not in headers]:
            return _error(400, f"missing required authentication header(s) {', '.join(missing)}")
        if "x-chef-version" not in headers or headers.get("accept") != "application/json":
            return _error(400, "a client names its version, and accepts JSON")
        if headers.get("x-ops-server-api-version", "0") not in API_VERSIONS:
            return _json(406, {"error": "invalid-x-ops-server-api-version", "min_version": 0, "max_version": 1})
        if headers["x-ops-sign"] != "algorithm=sha256;version=1.3;":
            return _error(400, f"bad sign version {headers['x-ops-sign']}: this server takes 1.3")
        user = headers["x-ops-userid"]
        if user != USER:
            return _error(401, f"Failed to authenticate as '{user}'. Ensure that your node_name and key are correct.")
        stamp = headers["x-ops-timestamp"]
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", stamp):
            return _error(400, f"bad timestamp {stamp}")
        if abs(datetime.fromisoformat(stamp).timestamp() - self.clock()) >= TIME_SKEW:
            return _error(401, f"Failed to authenticate as '{user}'. Synchronize the clock on your host.")
        if not self._is_signed(method, path, headers, body):
            return _error(401, f"Invalid signature for user or client '{user}'")
        return None

    def _is_signed(self, method: str, path: str, headers: Headers, body: bytes) -> bool:
        content_hash = b64encode(sha256(body).digest()).decode()
        if headers["x-ops-content-hash"] != content_hash:
            return False
        text = f"Method:{method}\nPath:{path}\nX-Ops-Content-Hash:{content_hash}\nX-Ops-Sign:version=1.3\n"
        text += f"X-Ops-Timestamp:{headers['x-ops-timestamp']}\nX-Ops-UserId:{headers['x-ops-userid']}\n"
        text += f"X-Ops-Server-API-Version:{headers.get('x-ops-server-api-version', '0')}"
        lines: list[str] = []
        while line := headers.get(f"x-ops-authorization-{len(lines) + 1}"):
            lines.append(line)
        if any(len(line) > LINE_MAX for line in lines):
            return False
        public = self._key.public_key().public_numbers()
        size = (public.n.bit_length() + 7) // 8
        found = pow(int.from_bytes(b64decode("".join(lines))), public.e, public.n).to_bytes(size)
        wanted = SHA256_INFO + sha256(text.encode()).digest()
        return found == b"\x00\x01" + b"\xff" * (size - len(wanted) - 3) + b"\x00" + wanted


def _at(value: Any, way: list[str]) -> Any:
    for step in way:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _json(status: int, body: Any) -> Response:
    return Response(status, {"Content-Type": "application/json"}, json.dumps(body).encode())


def _error(status: int, words: str) -> Response:
    return _json(status, {"error": [words]})
