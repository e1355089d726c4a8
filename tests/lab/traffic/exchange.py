"""HTTP between the parts of the lab's traffic: one request and one answer, on a connection of their own.

As little of HTTP/1.1 as that takes, and so little work that dozens of requests a second leave the processor to others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple, cast

HERE = "127.0.0.1"
INSTANCE = "x-instance"
"""The header of an answer that names the instance it is of."""
END_OF_HEAD = b"\r\n\r\n"


class Answer(NamedTuple):
    """What was answered. instance: the id of who did; empty where that is not said."""

    status: int
    instance: str = ""
    body: bytes = b""


class BrokenOff(ConnectionError):
    """A connection ended before there was a whole answer."""


type Handler = Callable[[str], Awaitable[Answer]]
"""What answers a request for a path."""


async def ask(address: tuple[str, int], path: str, *, method: str = "GET", body: bytes = b"") -> Answer:
    """Send a request and return its answer. Raises OSError: refused, reset, or BrokenOff. It sets no time limit."""
    loop = asyncio.get_running_loop()
    head = f"{method} {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nConnection: close\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    transport, asking = await loop.create_connection(lambda: _Asking(request, loop.create_future()), *address)
    try:
        return await asking.answered
    finally:
        transport.abort()


class _Asking(asyncio.Protocol):
    """The side that asks."""

    def __init__(self, request: bytes, answered: asyncio.Future[Answer]) -> None:
        self.answered = answered
        self._request = request
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.WriteTransport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            answer = read_answer(self._received)
        except ValueError:
            self._fail(BrokenOff(f"no HTTP: {self._received[:80]!r}"))
            return
        if answer and not self.answered.done():
            self.answered.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or BrokenOff("the connection ended without a whole answer"))

    def _fail(self, error: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)
            self.answered.exception()  # its receiver may have gone meanwhile, which is no error of its own


async def stop_listening(server: asyncio.Server) -> None:
    """Take no more connections. One that was accepted a moment ago is served.

    asyncio makes its transport in a task of its own: a server that is closed before that leaves it open (AssertionError
    in Server._attach, CPython 3.13.0).
    """
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())
    await asyncio.sleep(0)  # the tasks that were begun run
    server.close()


def read_answer(received: bytes) -> Answer | None:
    """What has come as an answer, None while it is not whole. Raises ValueError for what is none."""
    head, end, body = received.partition(END_OF_HEAD)
    if not end:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status, length = first.split(" ")[1:2], headers.get("content-length")
    if not status or length is None:
        raise ValueError(f"no answer, or none that says how long it is: {head!r}")
    return Answer(int(status[0]), headers.get(INSTANCE, ""), body) if len(body) >= int(length) else None


class Answering(asyncio.Protocol):
    """The side that answers: what loop.create_server is given for each connection. requests: those in hand.

    A request for which no client waits any more is let go.
    """

    def __init__(self, handle: Handler, requests: set[asyncio.Task[None]]) -> None:
        self._handle = handle
        self._requests = requests
        self._request: asyncio.Task[None] | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        whole = END_OF_HEAD in self._received
        self._received += data
        if whole or END_OF_HEAD not in self._received:
            return
        path = self._received.split(b" ", 2)[1].decode("latin-1")
        self._request = asyncio.get_running_loop().create_task(self._answer(path))
        self._requests.add(self._request)
        self._request.add_done_callback(self._requests.discard)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._request:
            self._request.cancel()

    async def _answer(self, path: str) -> None:
        try:
            answer = await self._handle(path)
        except BaseException:
            self._transport.abort()
            raise
        head = f"HTTP/1.1 {answer.status} -\r\nConnection: close\r\nContent-Length: {len(answer.body)}\r\n"
        named = f"X-Instance: {answer.instance}\r\n" if answer.instance else ""
        self._transport.write(f"{head}{named}\r\n".encode() + answer.body)
        self._transport.close()
