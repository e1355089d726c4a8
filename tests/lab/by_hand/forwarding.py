"""A port that leads to a server on 127.0.0.1, with TLS in front of it where that is asked for."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

CHUNK = 65536  # bytes


@contextmanager
def forwarding(address: str, url: str, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Listens at an address of this machine until the block ends, and hands on what comes to the server of a URL.

    Yields the port.
    """
    target = urlsplit(url)
    loop = asyncio.new_event_loop()

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))

    server = loop.run_until_complete(asyncio.start_server(hand_on, address, 0, ssl=tls))
    thread = threading.Thread(target=loop.run_forever, name="forwarding", daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All that comes, until one side closes; then the other is closed, too."""
    with suppress(ConnectionError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
