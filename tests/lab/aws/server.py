"""The server process of the embedded AWS: MiniStack behind one listening socket, with our parts in place.

Started by `lab.aws.EmbeddedAws`; it ends on SIGTERM or when its standard input closes, so it does not
outlive the process that started it.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app as ministack

from lab.aws import ministack as aws_ministack
from lab.aws import patches as aws_patches
from lab.aws.autoscaling import Engine
from lab.aws.autoscaling_api import Api
from lab.aws.calls import TRACE_HEADER, Calls
from lab.aws.control import CONTROL
from lab.aws.event_source import EventSources
from lab.aws.stale_answers import StaleAnswers
from lab.aws.target_groups import TargetGroups

Message = dict[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True)
class Parts:
    """What is ours in the server."""

    engine: Engine
    sources: EventSources
    calls: Calls
    targets: TargetGroups
    stale: StaleAnswers


def main() -> None:
    """Serve on the inherited socket until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listener", type=int, required=True, help="file descriptor of the listening socket")
    parser.add_argument("--address-pool", required=True)
    parser.add_argument("--sqs-pollers", type=int, required=True)
    parser.add_argument("--sqs-bytes", type=int, required=True)
    options = parser.parse_args()
    os.environ.pop("PYTHONPATH", None)  # Functions run in child processes and must not find our modules.

    moved = aws_ministack.drift()
    if moved:
        sys.exit("MiniStack is not the version we know:\n" + "\n".join(moved))
    try:
        asyncio.run(_serve(options.listener, options.address_pool, options.sqs_pollers, options.sqs_bytes))
    finally:
        aws_ministack.stop_workers()


async def _serve(listener: int, address_pool: str, sqs_pollers: int, sqs_bytes: int) -> None:
    targets, stale = TargetGroups(), StaleAnswers()
    parts = Parts(Engine(address_pool, targets), EventSources(sqs_pollers), Calls(), targets, stale)
    aws_patches.install(Api(parts.engine, stale).actions(), targets.actions(), sqs_bytes)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_reader(sys.stdin.fileno(), stopped.set)
    config = Config()
    config.bind = [f"fd://{listener}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    tasks = [asyncio.create_task(parts.engine.run()), asyncio.create_task(parts.sources.run())]

    async def stop() -> None:
        await stopped.wait()
        for task in tasks:
            task.cancel()
        aws_ministack.stop_workers()  # Or the server would wait for the functions that still run.

    await serve(_controlled(ministack, parts), config, shutdown_trigger=stop)


def _controlled(app: Application, parts: Parts) -> Application:
    """Put our control paths, and the count of the calls that functions make, in front of MiniStack."""

    async def application(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        ours = scope["path"].startswith(CONTROL)
        if not ours and TRACE_HEADER not in headers:
            await app(scope, receive, send)
            return
        body = await _body(receive)
        if ours:
            status, answer = _control(scope["method"], scope["path"].removeprefix(CONTROL), body, parts)
            await _answer(send, status, "application/json", json.dumps(answer).encode())
        elif refusal := parts.calls.take(headers, body):
            await _answer(send, refusal.status, refusal.content_type, refusal.body)
        else:
            await app(scope, _once_more(body, receive), send)

    return application


async def _body(receive: Any) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _once_more(body: bytes, receive: Any) -> Callable[[], Awaitable[Message]]:
    """Return a `receive` that gives a body that was read already, and then what else comes."""
    unread = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        message: Message = unread.pop() if unread else await receive()
        return message

    return receive_again


async def _answer(send: Any, status: int, content_type: str, body: bytes) -> None:
    headers = [(b"content-type", content_type.encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _control(method: str, path: str, body: bytes, parts: Parts) -> tuple[int, Any]:
    match method, path:
        case "GET", "states":
            return 200, parts.engine.states()
        case "GET", "transitions":
            return 200, [asdict(transition) for transition in parts.engine.transitions]
        case "GET", "timeouts":
            return 200, [asdict(timeout) for timeout in parts.engine.timeouts]
        case "GET", "invocations":
            return 200, [asdict(invocation) for invocation in parts.sources.invocations]
        case "GET", "target-events":
            return 200, [asdict(event) for event in parts.targets.events]
        case "PUT", "target-health":
            parts.targets.say(**json.loads(body))
        case "GET", "calls":
            return 200, parts.calls.counts
        case "DELETE", "calls":
            parts.calls.counts.clear()
        case "PUT", "throttled-calls":
            parts.calls.throttle(**json.loads(body))
        case "PUT", "denied-calls":
            parts.calls.deny(**json.loads(body))
        case "PUT", "stale-answers":
            parts.stale.refuse(parts.engine.clock(), **json.loads(body))
        case "DELETE", "stale-answers":
            parts.stale.clear()
        case "PUT", "forced-states":
            if not parts.engine.force_state(**json.loads(body)):
                return 404, None
        case "DELETE", "forced-states":
            parts.engine.force_none()
        case "PUT", "replaced-root-volumes":
            refusal = parts.engine.replace_root_volume(json.loads(body), parts.engine.clock())
            if refusal:
                return 400, refusal
        case "PUT", "forwarded-events":
            aws_ministack.forward_event(json.loads(body))
        case "PUT", "dropped-events":
            aws_ministack.drop_events(json.loads(body))
        case "PUT", "hidden-instances":
            aws_ministack.hide_instances(json.loads(body))
        case "PUT", "aged-instances":
            aws_ministack.age_instances(**json.loads(body))
            parts.engine.age(**json.loads(body))
        case "DELETE", "idle-environments":
            aws_ministack.end_idle_workers()
        case "PUT", "due-schedule":
            if not aws_ministack.fire_schedule(json.loads(body)):
                return 404, None
        case _:
            return 404, None
    return 200, None


if __name__ == "__main__":
    main()
