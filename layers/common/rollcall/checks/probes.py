"""The checks a gate can ask for, besides the job's result and what load balancers say."""

from __future__ import annotations

import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor, wait
from http.client import HTTPConnection, HTTPException
from threading import Timer
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.groups import CheckKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.groups import Check

CHECK_TIMEOUT = 3.0  # seconds
CHECKS_AT_ONCE = 64
PROBING_TIME = 20.0  # seconds for all probes of an invocation together
PROBED_UNTIL = 80.0  # seconds of the gate's rounds, of the 110 of its function: the others are for what follows
HTTP_OK = range(200, 300)


class Health(NamedTuple):
    """What checks say of an instance, as sentences. failing: against it; blocked: why one was not tried."""

    failing: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()


class Probes:
    """Connects to instances, for a whole invocation through one pool and until one deadline.

    Its time begins when it is asked first, for Tower may let a round wait before that. It ends with the invocation's.
    """

    def __init__(self, seconds: float = PROBING_TIME) -> None:
        self._seconds = seconds
        self._latest = time.monotonic() + PROBED_UNTIL
        self._deadline: float | None = None
        self._pool: ThreadPoolExecutor | None = None

    def ask(self, probes: Sequence[tuple[str, Check]]) -> list[str | None]:
        """What is wrong with each address and check, "" if nothing is; None if there was no time to try it.

        Nothing but these addresses is ever connected to. They are tried in no order, so that with little time none is
        always the last.
        """
        if not probes:
            return []
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = min(now + self._seconds, self._latest)
        left = self._deadline - now
        if left <= 0:
            return [None] * len(probes)
        self._pool = self._pool or ThreadPoolExecutor(CHECKS_AT_ONCE)
        order = random.sample(range(len(probes)), len(probes))
        futures = {number: self._pool.submit(_probe, *probes[number]) for number in order}
        done, late = wait(futures.values(), timeout=left)
        for future in late:
            future.cancel()
        return [futures[number].result() if futures[number] in done else None for number in range(len(probes))]

    def close(self) -> None:
        """Wait for no probe any more; each ends by itself within seconds."""
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)


def checked(fleet: Fleet, probes: Probes, checks: Sequence[Check], addresses: Mapping[str, str]) -> dict[str, Health]:
    """What the checks say of each instance by its id. addresses: where each is reached."""
    failing: dict[str, list[str]] = {instance_id: [] for instance_id in addresses}
    blocked: dict[str, list[str]] = {instance_id: [] for instance_id in addresses}
    if addresses and any(check.kind == CheckKind.EC2 for check in checks):
        for instance_id in addresses.keys() - fleet.passing_status_checks(addresses.keys()):
            failing[instance_id].append("ec2: its status checks have not both passed")
    wanted = [
        (instance_id, check)
        for instance_id in addresses
        for check in checks
        if check.kind in (CheckKind.TCP, CheckKind.HTTP)
    ]
    answers = probes.ask([(addresses[instance_id], check) for instance_id, check in wanted])
    for (instance_id, check), trouble in zip(wanted, answers, strict=True):
        if trouble is None:
            blocked[instance_id].append(f"{check}: there was no time to try it")
        elif trouble:
            failing[instance_id].append(f"{check}: {trouble}")
    return {each: Health(tuple(failing[each]), tuple(blocked[each])) for each in addresses}


def _probe(address: str, check: Check) -> str:
    """What is wrong, or nothing. Redirects are not followed: they lead to other machines."""
    try:
        if check.kind == CheckKind.TCP:
            socket.create_connection((address, check.port), CHECK_TIMEOUT).close()
            return ""
        status = _get(address, check)
    except (OSError, HTTPException, ValueError) as error:  # ValueError: of a name that cannot be encoded
        return f"{type(error).__name__}: {error}"
    return "" if status in HTTP_OK else f"answered {status}"


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
