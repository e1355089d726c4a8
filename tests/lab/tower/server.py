"""The embedded Tower's HTTP server: uvicorn in a thread, on 127.0.0.1 and a free port.

It stands for nginx too: it closes connections or answers 503 while the Tower is away, refuses some requests if a
test says so, and it is where the latency model is applied. What came through it is in `Traffic`. Everything else is
`Api`'s.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from lab.asgi import Message, Receive, Send, read_body
from lab.tower.api import Response

HANGING = -1  # away, in that requests are taken and not answered
HANG_STEP = 0.1  # seconds between two looks whether the Tower is back
TOO_MANY_REQUESTS = 429
RETRY_AFTER = 1  # seconds that a 429 asks to wait
START_TIMEOUT = 60.0  # seconds for the server to listen, and for it to end


@dataclass(frozen=True)
class Latency:
    """How long a Tower takes for a request: medians in seconds of AWX 24.6.1 on two cores with one client.

    `scale` multiplies them all; `workers` requests are worked on at once, the others queue, which keeps associating
    near 20 a second however many clients there are.
    """

    ping: float = 0.045
    host_create: float = 0.164
    associate: float = 0.092
    list_base: float = 0.060
    list_per_row: float = 0.016
    lookup: float = 0.236
    bulk_create: float = 0.165  # for 100 hosts, nearly all of it whatever their number
    bulk_delete_per_host: float = 0.021
    launch: float = 0.583
    job: float = 0.136
    script_base: float = 0.050
    script_per_host: float = 0.0001
    other: float = 0.1
    workers: int = 2
    scale: float = 1.0

    def seconds(self, kind: str, items: int) -> float:
        """kind: "list host" for lists, else method and route: "POST groups/#/hosts"; items: rows shown or changed."""
        fixed = {
            "ping": self.ping,
            "GET ping": self.ping,
            "refused": 0.0,
            "POST hosts": self.host_create,
            "POST inventories/#/hosts": self.host_create,
            "POST groups/#/hosts": self.associate,
            "POST bulk/host_create": self.bulk_create,
            "POST bulk/host_delete": self.bulk_delete_per_host * items,
            "POST job_templates/#/launch": self.launch,
            "GET jobs/#": self.job,
            "GET inventories/#/script": self.script_base + self.script_per_host * items,
        }
        if kind in fixed:
            return fixed[kind] * self.scale
        if kind.startswith("list "):
            rows = self.list_base + self.list_per_row * items
            return max(rows, self.lookup if kind == "list host" else 0.0) * self.scale
        return self.other * self.scale


@dataclass(frozen=True)
class RequestRecord:
    """One request: its path with the query, and the answer's status (None: connection closed).

    time: when it came; ended: when its answer was sent. Both epoch seconds.
    """

    method: str
    path: str
    status: int | None
    time: float
    ended: float


class Traffic:
    """The requests that the server has answered and has in hand, and which of them it refuses. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[RequestRecord] = []
        self._in_hand = 0
        self._most_at_once = 0
        self._refusal: Refusal | None = None

    def came(self) -> None:
        with self._lock:
            self._in_hand += 1
            self._most_at_once = max(self._most_at_once, self._in_hand)

    def went(self) -> None:
        with self._lock:
            self._in_hand -= 1

    def log(self, record: RequestRecord) -> None:
        with self._lock:
            self._requests.append(record)

    def requests(self) -> list[RequestRecord]:
        """The requests that were answered, in the order of their answers."""
        with self._lock:
            return list(self._requests)

    def most_at_once(self) -> int:
        with self._lock:
            return self._most_at_once

    def forget(self) -> None:
        with self._lock:
            self._requests.clear()
            self._most_at_once = self._in_hand

    def refuse(self, refusal: Refusal | None) -> None:
        with self._lock:
            self._refusal = refusal

    def refuses(self) -> bool:
        """Whether any request may be refused."""
        return self._refusal is not None

    def refused(self, method: str, path: str) -> int | None:
        """The status that a request is refused with, None where it is not."""
        with self._lock:
            return self._refusal.status if self._refusal and self._refusal.meets(method, path) else None


@dataclass
class Refusal:
    """Each `every`-th request is refused, of those of some methods (none: of any) whose path contains a text."""

    every: int
    status: int
    methods: Collection[str]
    contains: str
    requests: int = 0

    def meets(self, method: str, path: str) -> bool:
        """Counts a request. Whether it is one to refuse."""
        if (self.methods and method not in self.methods) or self.contains not in path:
            return False
        self.requests += 1
        return self.requests % self.every == 0


class Front:
    """The ASGI application.

    `handle` answers a request; `away` is a status, 0 for closing, None while all is well; `date` is the Date of an
    answer, empty for none, and None for the clock's time.
    """

    def __init__(
        self,
        handle: Callable[[str, str, str, dict[str, str], bytes], Response],
        away: Callable[[], int | None],
        traffic: Traffic,
        clock: Callable[[], float],
        latency: Latency | None,
        date: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._handle = handle
        self.away = away
        self.traffic = traffic
        self._clock = clock
        self._date = date
        self._latency = latency
        self._workers = asyncio.Semaphore(latency.workers) if latency else None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        arrived = time.time()
        raw_path = scope["raw_path"].decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        method, asked = scope["method"], f"{raw_path}?{query}" if query else raw_path
        self.traffic.came()
        try:
            body = await read_body(receive)
            while self.away() == HANGING:
                await asyncio.sleep(HANG_STEP)
            status = self.away()
            if status is None:
                status = self.traffic.refused(method, asked)
            if status is None:
                answer = await self._answer(method, raw_path, query, headers, body)
            else:
                answer = _refusal(status)
        finally:
            self.traffic.went()
        # Before it is sent: who has the answer may look for the record.
        self.traffic.log(RequestRecord(method, asked, answer.status, arrived, time.time()))
        date = self._date()
        await _send(send, answer, method, formatdate(self._clock(), usegmt=True) if date is None else date)

    async def _answer(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Response:
        if self._latency is None or self._workers is None:
            return self._handle(method, path, query, headers, body)
        async with self._workers:
            began = time.monotonic()
            answer = self._handle(method, path, query, headers, body)
            taken = time.monotonic() - began
            await asyncio.sleep(max(0.0, self._latency.seconds(answer.kind, answer.items) - taken))
        return answer


def _refusal(status: int) -> Response:
    headers = {"Content-Type": "text/html"}
    if status == TOO_MANY_REQUESTS:
        headers["Retry-After"] = str(RETRY_AFTER)
    phrase = f"{status} {HTTPStatus(status).phrase}"
    return Response(status, headers, f"<html><head><title>{phrase}</title></head></html>".encode())


async def _send(send: Send, answer: Response, method: str, date: str) -> None:
    headers = {**answer.headers, **({"Date": date} if date else {}), "Server": "nginx"}
    if answer.status != 204:
        headers["Content-Length"] = str(len(answer.body))
    encoded = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})


def _protocol(front: Front) -> type[asyncio.Protocol]:
    class Protocol(H11Protocol):
        """Closes the connection on whoever asks while the Tower is away without an answer."""

        def data_received(self, data: bytes) -> None:
            if front.away() == 0:
                method, _, rest = data.partition(b"\r\n")[0].decode("latin-1").partition(" ")
                now = time.time()
                front.traffic.log(RequestRecord(method, rest.partition(" ")[0], None, now, now))
                self.transport.abort()
                return
            super().data_received(data)

    return Protocol


@contextmanager
def serving(front: Front) -> Iterator[str]:
    """Serves in a thread until the block ends. Yields the base URL, without a slash at its end."""
    # asyncio turns Nagle's algorithm off only where the protocol is named, and 40 ms an answer is the price of it
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            front,
            http=_protocol(front),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="tower", daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + START_TIMEOUT
            while not server.started:
                if not thread.is_alive() or time.monotonic() > deadline:
                    raise RuntimeError("the embedded Tower did not start")
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(START_TIMEOUT)
