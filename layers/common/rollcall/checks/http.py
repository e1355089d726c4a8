"""`http:PORT/path`: the instance answers a GET with a status of success."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException
from threading import Timer
from typing import TYPE_CHECKING

from .port import PORT, read_port
from .probes import CHECK_TIMEOUT
from .protocol import Fail, Kind, Pass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .protocol import Answer, Context, Probe, Subject

HTTP_OK = range(200, 300)


@dataclass(frozen=True)
class Http:
    """Sends a GET. Redirects are not followed: they lead to other machines."""

    port: int
    path: str

    def __str__(self) -> str:
        return f"http:{self.port}{self.path}"

    def examine(self, subjects: Sequence[Subject], context: Context) -> Mapping[str, Probe]:
        return {each.instance_id: partial(self._probe, each.address) for each in subjects}

    def _probe(self, address: str) -> Answer:
        try:
            status = self._get(address)
        except (OSError, HTTPException, ValueError) as error:  # ValueError: of a name that cannot be encoded
            return Fail(f"{type(error).__name__}: {error}")
        return Pass() if status in HTTP_OK else Fail(f"answered {status}")

    def _get(self, address: str) -> int:
        """The status of a GET that is over within CHECK_TIMEOUT, however slowly its answer drips in."""
        connection = HTTPConnection(address, self.port, timeout=CHECK_TIMEOUT)
        hang_up = Timer(CHECK_TIMEOUT, lambda: connection.sock and connection.sock.shutdown(socket.SHUT_RDWR))
        try:
            connection.connect()
            hang_up.start()
            connection.request("GET", self.path, headers={"User-Agent": "rollcall"})
            return connection.getresponse().status
        finally:
            hang_up.cancel()
            connection.close()


KIND = Kind(
    "http",
    "http:PORT/path",
    f"http:{PORT}(/[!-~]*)",
    lambda port, path: Http(read_port(port), path),
    connects=True,
)
