"""`tcp:PORT`: the instance takes connections at a port."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .port import PORT, read_port
from .probes import CHECK_TIMEOUT
from .protocol import Fail, Kind, Pass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .protocol import Answer, Context, Probe, Subject


@dataclass(frozen=True)
class Tcp:
    """Connects to the port, and hangs up."""

    port: int

    def __str__(self) -> str:
        return f"tcp:{self.port}"

    def examine(self, subjects: Sequence[Subject], context: Context) -> Mapping[str, Probe]:
        return {each.instance_id: partial(self._probe, each.address) for each in subjects}

    def _probe(self, address: str) -> Answer:
        try:
            socket.create_connection((address, self.port), CHECK_TIMEOUT).close()
        except (OSError, ValueError) as error:  # ValueError: of a name that cannot be encoded
            return Fail(f"{type(error).__name__}: {error}")
        return Pass()


KIND = Kind("tcp", "tcp:PORT", f"tcp:{PORT}", lambda port: Tcp(read_port(port)), connects=True)
