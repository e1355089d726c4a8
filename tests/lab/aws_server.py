"""The server process of the embedded AWS: MiniStack behind one listening socket, with our parts in place.

Started by `lab.aws.EmbeddedAws`; it ends when told to (SIGTERM) or when its standard input closes, so it does not
outlive the process that started it.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app as ministack

from lab import aws_ministack
from lab.autoscaling import Engine
from lab.aws_autoscaling_api import Api
from lab.aws_control import CONTROL
from lab.event_source import EventSources

Message = dict[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]


def main() -> None:
    """Serve on the inherited socket until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listener", type=int, required=True, help="file descriptor of the listening socket")
    parser.add_argument("--address-pool", required=True)
    parser.add_argument("--sqs-pollers", type=int, required=True)
    options = parser.parse_args()
    os.environ.pop("PYTHONPATH", None)  # Functions run in child processes and must not find our modules.

    moved = aws_ministack.drift()
    if moved:
        sys.exit("MiniStack is not the version we know:\n" + "\n".join(moved))
    try:
        asyncio.run(_serve(options.listener, options.address_pool, options.sqs_pollers))
    finally:
        aws_ministack.stop_workers()


async def _serve(listener: int, address_pool: str, sqs_pollers: int) -> None:
    engine = Engine(address_pool)
    aws_ministack.install(Api(engine).actions())
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_reader(sys.stdin.fileno(), stopped.set)
    config = Config()
    config.bind = [f"fd://{listener}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    tasks = [asyncio.create_task(engine.run()), asyncio.create_task(EventSources(sqs_pollers).run())]

    async def stop() -> None:
        await stopped.wait()
        for task in tasks:
            task.cancel()
        aws_ministack.stop_workers()  # Or the server would wait for the functions that still run.

    await serve(_controlled(ministack, engine), config, shutdown_trigger=stop)


def _controlled(app: Application, engine: Engine) -> Application:
    """Put our control paths in front of MiniStack."""

    async def application(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(CONTROL):
            await app(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        status, answer = _control(scope["method"], scope["path"].removeprefix(CONTROL), body, engine)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    return application


def _control(method: str, path: str, body: bytes, engine: Engine) -> tuple[int, Any]:
    if (method, path) == ("GET", "transitions"):
        return 200, [asdict(transition) for transition in engine.transitions]
    if (method, path) == ("GET", "timeouts"):
        return 200, [asdict(timeout) for timeout in engine.timeouts]
    if (method, path) == ("PUT", "dropped-events"):
        aws_ministack.drop_events(json.loads(body))
        return 200, None
    return 404, None


if __name__ == "__main__":
    main()
