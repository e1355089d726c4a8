"""The checks a gate can ask for, besides the job's result."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from threading import Timer
from typing import TYPE_CHECKING

from .model import CheckKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .fleet import Fleet
    from .model import Check

CHECK_TIMEOUT = 3.0  # seconds
CHECKS_AT_ONCE = 32
HTTP_OK = range(200, 300)


def failing_checks(
    fleet: Fleet, wanted: Mapping[str, Sequence[Check]], addresses: Mapping[str, str]
) -> dict[str, list[str]]:
    """What does not pass yet, by instance id, as sentences; an instance whose checks all pass has an empty list.

    wanted: the checks of each instance; addresses: where each is reached, and nothing else is ever connected to.
    """
    failing: dict[str, list[str]] = {instance_id: [] for instance_id in wanted}
    asking = [each for each, checks in wanted.items() if any(check.kind == CheckKind.EC2 for check in checks)]
    passing = fleet.passing_status_checks(asking) if asking else set()
    for instance_id in set(asking) - passing:
        failing[instance_id].append("ec2: its status checks have not both passed")
    probes = [
        (instance_id, check)
        for instance_id, checks in wanted.items()
        for check in checks
        if check.kind in (CheckKind.TCP, CheckKind.HTTP)
    ]
    if probes:
        with ThreadPoolExecutor(CHECKS_AT_ONCE) as pool:
            answers = pool.map(lambda probe: _probe(addresses[probe[0]], probe[1]), probes)
            for (instance_id, check), trouble in zip(probes, answers, strict=True):
                if trouble:
                    failing[instance_id].append(f"{check}: {trouble}")
    return failing


def _probe(address: str, check: Check) -> str | None:
    """What is wrong, or None. Redirects are not followed: they lead to other machines."""
    try:
        if check.kind == CheckKind.TCP:
            socket.create_connection((address, check.port), CHECK_TIMEOUT).close()
            return None
        status = _get(address, check)
    except (OSError, HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    return None if status in HTTP_OK else f"answered {status}"


def _get(address: str, check: Check) -> int:
    """The status of a GET that is over within CHECK_TIMEOUT, however slowly its answer drips in."""
    connection = HTTPConnection(address, check.port, timeout=CHECK_TIMEOUT)
    hang_up = Timer(CHECK_TIMEOUT, lambda: connection.sock and connection.sock.shutdown(socket.SHUT_RDWR))
    try:
        connection.connect()
        hang_up.start()
        connection.request("GET", check.path, headers={"User-Agent": "rollcall"})
        return connection.getresponse().status
    finally:
        hang_up.cancel()
        connection.close()
