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
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app as ministack

from lab.asgi import Message, Receive, Send, read_body
from lab.aws import environment_patches, execution_patches, execution_rights, image_patches, launch_patches
from lab.aws import ministack as aws_ministack
from lab.aws import patches as aws_patches
from lab.aws.autoscaling import GROUP_TAG, Engine
from lab.aws.autoscaling_api import Api
from lab.aws.calls import TRACE_HEADER, Calls
from lab.aws.control import CONTROL, TRANSITIONS, FoundTarget
from lab.aws.default_encryption import setting as default_encryption
from lab.aws.ec2_errors import Refused
from lab.aws.event_source import EventSources
from lab.aws.image_api import ImageApi
from lab.aws.image_control import ImageControl
from lab.aws.images import Images
from lab.aws.outside import Outside
from lab.aws.permissions import Permissions
from lab.aws.recursion import function_key
from lab.aws.refresh import Rules
from lab.aws.refresh_api import RefreshApi
from lab.aws.rights import Rights
from lab.aws.stale_answers import StaleAnswers
from lab.aws.target_groups import TargetGroups
from lab.aws.versions import Versions

Application = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True)
class Parts:
    """What is ours in the server."""

    engine: Engine
    sources: EventSources
    calls: Calls
    targets: TargetGroups
    stale: StaleAnswers
    permissions: Permissions
    refreshes: RefreshApi
    images: ImageControl
    rights: Rights


def main() -> None:
    """Serve on the inherited socket until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listener", type=int, required=True, help="file descriptor of the listening socket")
    parser.add_argument("--address-pool", required=True)
    parser.add_argument("--sqs-pollers", type=int, required=True)
    parser.add_argument("--sqs-bytes", type=int, required=True)
    parser.add_argument("--forks", action="store_true", help="start functions as forks of a process with the AWS SDK")
    options = parser.parse_args()
    os.environ.pop("PYTHONPATH", None)  # Functions run in child processes and must not find our modules.

    moved = aws_ministack.drift()
    if moved:
        sys.exit("MiniStack is not the version we know:\n" + "\n".join(moved))
    with tempfile.TemporaryDirectory(prefix="lab-functions-") as code:
        environment_patches.install(Path(code), forked=options.forks)
        try:
            asyncio.run(_serve(options.listener, options.address_pool, options.sqs_pollers, options.sqs_bytes))
        finally:
            aws_ministack.stop_workers()


async def _serve(listener: int, address_pool: str, sqs_pollers: int, sqs_bytes: int) -> None:
    targets, stale = TargetGroups(), StaleAnswers()
    engine, permissions = Engine(address_pool, targets), Permissions()
    api = Api(engine, stale, permissions)
    images, versions = Images(engine.clock), Versions(engine.clock)
    outside, rights = Outside(images, engine.addresses, permissions, engine.free_addresses), Rights(images)
    control = ImageControl(images, versions, outside)
    sources = EventSources(sqs_pollers)
    parts = Parts(engine, sources, Calls(), targets, stale, permissions, api.refreshes, control, rights)
    aws_patches.install(api.actions(), targets.actions(), sqs_bytes)
    image_patches.install(images, ImageApi(images, rights.may_delete_snapshot))
    launch_patches.install(outside, versions, engine.free_addresses)
    execution_patches.install()
    execution_rights.install()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_reader(sys.stdin.fileno(), stopped.set)
    config = Config()
    config.bind = [f"fd://{listener}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    running = (parts.engine.run(), parts.sources.run(), parts.images.run())
    tasks = [asyncio.create_task(each) for each in running]

    async def stop() -> None:
        await stopped.wait()
        for task in tasks:
            task.cancel()
        aws_ministack.stop_workers()  # Or the server would wait for the functions that still run.

    await serve(_controlled(ministack, parts), config, shutdown_trigger=stop)


def _controlled(app: Application, parts: Parts) -> Application:
    """Put our control paths, and the count of the calls that functions make, in front of MiniStack."""

    async def application(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        ours = scope["path"].startswith(CONTROL)
        if not ours and TRACE_HEADER not in headers:
            await app(scope, receive, send)
            return
        body = await read_body(receive)
        if ours:
            status, answer = _control(scope["method"], scope["path"].removeprefix(CONTROL), body, parts)
            await _answer(send, status, "application/json", json.dumps(answer).encode())
        elif refusal := parts.calls.take(headers, body) or parts.rights.take(headers, body, scope["path"]):
            await _answer(send, refusal.status, refusal.content_type, refusal.body)
        elif said := parts.rights.identity(headers, body):
            await _answer(send, said.status, said.content_type, said.body)
        elif death := parts.calls.death(headers, body):
            if death.after:
                await app(scope, _once_more(body, receive), _unheard)
            if death.function:
                aws_ministack.kill_busy_workers(death.function)
        else:
            await app(scope, _once_more(body, receive), send)

    return application


def _once_more(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was read already, and then what else comes."""
    unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return unread.pop() if unread else await receive()

    return receive_again


async def _unheard(_: Message) -> None:
    """Take an answer that is lost: the caller gets a 500 from the server, if it is still there."""


async def _answer(send: Send, status: int, content_type: str, body: bytes) -> None:
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _ControlRefused(Exception):
    """One of our own calls names what is not there, or asks for what cannot be."""

    def __init__(self, status: int, answer: Any = None) -> None:
        super().__init__(answer)
        self.status = status
        self.answer = answer


def _force_state(parts: Parts, given: Any) -> None:
    if not parts.engine.force_state(**given):
        raise _ControlRefused(404)


def _replace_root_volume(parts: Parts, instance_id: Any) -> None:
    refusal = parts.engine.replace_root_volume(instance_id, parts.engine.clock())
    if refusal:
        raise _ControlRefused(400, refusal)


def _refuse_refresh(parts: Parts, given: Any) -> None:
    try:
        parts.refreshes.refuse(**given)
    except ValueError as unknown:
        raise _ControlRefused(400, str(unknown)) from unknown


def _lack_permissions(parts: Parts, names: Any) -> None:
    try:
        parts.permissions.lack(names)
    except ValueError as unknown:
        raise _ControlRefused(400, str(unknown)) from unknown


def _rule_refreshes(parts: Parts, given: Any) -> None:
    parts.engine.refreshes.rules = replace(Rules(), **given)


def _age_instances(parts: Parts, given: Any) -> None:
    aws_ministack.age_instances(**given)
    parts.engine.age(**given)


def _time_out_execution(_: Parts, execution_arn: Any) -> None:
    if not execution_patches.time_out(execution_arn):
        raise _ControlRefused(404)


def _age_execution(_: Parts, given: Any) -> None:
    if not execution_patches.age(**given):
        raise _ControlRefused(404)


def _age_group(parts: Parts, given: Any) -> None:
    if not parts.engine.age_group(**given):
        raise _ControlRefused(404)


def _find_targets(parts: Parts, given: Any) -> None:
    for each in given["found"]:
        parts.targets.find(given["target_group"], FoundTarget(**each))


def _kill_at_call(parts: Parts, given: Any) -> None:
    known = aws_ministack.function_arn(given["function"]) if given["function"] else ""
    key = function_key(known) if known else ""
    parts.calls.kill(given["function"], given["action"], given["numbers"], after=given["after"], key=key)


def _watch_rights(parts: Parts, given: Any) -> None:
    if not parts.rights.watch(given["function"], enforced=given["enforced"]):
        raise _ControlRefused(404)


def _shut_down(parts: Parts, instance_id: Any) -> None:
    try:
        parts.images.outside.shut_down(instance_id)
    except Refused as refused:
        raise _ControlRefused(404) from refused


def _fire_schedule(_: Parts, name: Any) -> None:
    if not aws_ministack.fire_schedule(name):
        raise _ControlRefused(404)


def _bent(parts: Parts) -> dict[str, Any]:
    """What is not as it is where no test says anything, by what it is about."""
    encryption = default_encryption()
    found = {
        "calls of functions": parts.calls.faults(),
        "functions that are watched": parts.rights.watched(),
        "events": aws_ministack.dropped_events(),
        "instances that are hidden": aws_ministack.hidden_instances(),
        "lifecycle states": parts.engine.forced(),
        "answers to lifecycle actions": parts.stale.any(),
        "launches": parts.engine.limits.any(),
        "permissions": sorted(parts.permissions.lacking),
        "rules of refreshes": parts.engine.refreshes.rules != Rules(),
        "calls about refreshes": [name for name, (_, calls) in parts.refreshes.refusals.items() if calls],
        "images": parts.images.faults(),
        "encryption by default": [encryption.is_on, encryption.key] if encryption.is_on or encryption.key else [],
    }
    return {name: each for name, each in found.items() if each}


SHOWN: dict[str, Callable[[Parts], Any]] = {
    "states": lambda parts: parts.engine.states(),
    "timeouts": lambda parts: [asdict(each) for each in parts.engine.timeouts],
    "invocations": lambda parts: [asdict(each) for each in parts.sources.invocations],
    "target-events": lambda parts: [asdict(each) for each in parts.targets.events],
    "machines-and-targets": lambda parts: {
        "machines": [asdict(each) for each in aws_ministack.machines(GROUP_TAG)],
        "targets": [asdict(each) for each in parts.targets.records()],
    },
    "calls": lambda parts: parts.calls.counts,
    "messages": lambda _: aws_ministack.messages(),
    "bent": _bent,
    "launched-outside": lambda parts: parts.images.outside.launched(),
    "reboots": lambda parts: parts.images.images.reboots,
    "used-rights": lambda parts: {name: [asdict(each) for each in uses] for name, uses in parts.rights.uses().items()},
    "granted-rights": lambda parts: {
        name: [asdict(each) for each in grants] for name, grants in parts.rights.grants().items()
    },
}
"""What GET shows, by path."""
CHANGES: dict[tuple[str, str], Callable[[Parts, Any], None]] = {
    ("PUT", "target-health"): lambda parts, given: parts.targets.say(**given),
    ("PUT", "load-balancers"): lambda parts, given: parts.targets.balance(**given),
    ("PUT", "found-targets"): _find_targets,
    ("DELETE", "calls"): lambda parts, _: parts.calls.counts.clear(),
    ("PUT", "throttled-calls"): lambda parts, given: parts.calls.throttle(**given),
    ("PUT", "denied-calls"): lambda parts, given: parts.calls.deny(**given),
    ("PUT", "last-calls"): _kill_at_call,
    ("DELETE", "last-calls"): lambda parts, _: parts.calls.spare(),
    ("PUT", "refused-calls"): lambda parts, given: parts.calls.refuse(**given),
    ("PUT", "watched-rights"): _watch_rights,
    ("DELETE", "watched-rights"): lambda parts, _: parts.rights.leave(),
    ("PUT", "image-pace"): lambda parts, given: parts.images.set_pace(given),
    ("PUT", "failing-images"): lambda parts, words: parts.images.fail(words),
    ("PUT", "failing-checks"): lambda parts, given: parts.images.fail_checks(**given),
    ("DELETE", "image-faults"): lambda parts, _: parts.images.clear(),
    ("PUT", "aged-images"): lambda parts, given: parts.images.images.age(**given),
    ("PUT", "seeded-images"): lambda parts, given: parts.images.seed_images(given),
    ("PUT", "seeded-versions"): lambda parts, given: parts.images.seed_versions(**given),
    ("PUT", "shut-down-instances"): _shut_down,
    ("PUT", "stale-answers"): lambda parts, given: parts.stale.refuse(parts.engine.clock(), **given),
    ("DELETE", "stale-answers"): lambda parts, _: parts.stale.clear(),
    ("PUT", "forced-states"): _force_state,
    ("DELETE", "forced-states"): lambda parts, _: parts.engine.force_none(),
    ("PUT", "replaced-root-volumes"): _replace_root_volume,
    ("PUT", "refresh-rules"): _rule_refreshes,
    ("PUT", "refused-refreshes"): _refuse_refresh,
    ("DELETE", "refused-refreshes"): lambda parts, _: parts.refreshes.refusals.clear(),
    ("PUT", "lacking-permissions"): _lack_permissions,
    ("PUT", "free-addresses"): lambda parts, given: parts.engine.leave_free(**given),
    ("PUT", "refused-launches"): lambda parts, given: parts.engine.limits.refuse(**given),
    ("DELETE", "launch-limits"): lambda parts, _: parts.engine.limits.clear(),
    ("PUT", "forwarded-events"): lambda _, event: aws_ministack.forward_event(event),
    ("PUT", "dropped-events"): lambda _, types: aws_ministack.drop_events(types),
    ("PUT", "hidden-instances"): lambda _, ids: aws_ministack.hide_instances(ids),
    ("PUT", "aged-instances"): _age_instances,
    ("PUT", "aged-executions"): _age_execution,
    ("PUT", "timed-out-executions"): _time_out_execution,
    ("PUT", "aged-groups"): _age_group,
    ("DELETE", "idle-environments"): lambda _parts, _body: aws_ministack.end_idle_workers(),
    ("PUT", "due-schedule"): _fire_schedule,
}
"""What changes something, by method and path; it takes the body's JSON."""


def _control(method: str, path: str, body: bytes, parts: Parts) -> tuple[int, Any]:
    """The status and the answer of one of our own calls."""
    if method == "GET" and path in SHOWN:
        return 200, SHOWN[path](parts)
    if method == "GET" and path.startswith(TRANSITIONS):
        known = int(path.removeprefix(TRANSITIONS))
        return 200, [asdict(each) for each in parts.engine.transitions[known:]]
    change = CHANGES.get((method, path))
    if change is None:
        return 404, None
    try:
        change(parts, json.loads(body or b"null"))
    except _ControlRefused as refused:
        return refused.status, refused.answer
    return 200, None


if __name__ == "__main__":
    main()
