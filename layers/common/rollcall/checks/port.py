"""Ports in the spelling of checks."""

from __future__ import annotations

PORT = r"(\d{1,5})"  # in the pattern of a kind
PORTS = range(1, 65_536)


def read_port(digits: str) -> int:
    """A port. Raises ValueError with what is allowed."""
    port = int(digits)
    if port not in PORTS:
        raise ValueError(f"a port from 1 to {PORTS[-1]}")
    return port
