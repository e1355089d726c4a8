"""Imports the AWS SDK, with its models, and requests, and forks for each script that it is asked to run.

Started by `lab.aws.forks`. A program of its own, with nothing of the lab: the fork is to find what a Python started for
its script would find. What is imported here depends on no variable of the environment, and knows of no function.
"""

import gc
import importlib
import json
import os
import runpy
import socket
import sys
from functools import cache
from typing import Any

IMPORTED = ("botocore.handlers", "boto3", "requests")
"""What all functions import."""
SERVICES = ("autoscaling", "ec2", "sqs", "events", "secretsmanager", "elbv2", "dynamodb", "stepfunctions", "lambda")
"""What functions make clients of."""
MODELS = ("service-2", "endpoint-rule-set-1")
"""What the SDK reads of a service to make a client of it, and"""
SHARED = ("endpoints", "partitions", "sdk-default-configuration")
"""of all services."""
LENGTH = 8
"""Bytes of a request's length, before it."""


def main(listener: int, layers: list[str]) -> None:
    """Import, and fork until the server has closed the pipe. layers: where to import from, the first one last."""
    del sys.path[0]  # where this file is
    kept = list(sys.path)
    sys.path[:0] = reversed(layers)
    gc.disable()
    for name in IMPORTED:
        importlib.import_module(name)
    _read_models()
    sys.path[:] = kept
    gc.freeze()  # or searches for garbage would copy the memory that forks share
    with socket.socket(fileno=listener) as asked:
        script = _fork_until_asked_no_more(asked)
    if script:
        gc.enable()
        sys.argv[:] = [script]
        sys.path.insert(0, os.path.dirname(script))
        runpy.run_path(script, run_name="__main__")


def _read_models() -> None:
    """Keep what the SDK reads to make clients: each fork would take longer for that than for all else of its start."""
    from botocore.loaders import JSONFileLoader, Loader, create_loader

    read = cache(JSONFileLoader().load_file)

    class KeptFiles(JSONFileLoader):
        def load_file(self, file_path: str) -> Any:
            return read(file_path)

    Loader.FILE_LOADER_CLASS = KeptFiles
    loader = create_loader()
    for name in SHARED:
        loader.load_data(name)
    for service in SERVICES:
        for model in MODELS:
            loader.load_service_model(service, model)


def _fork_until_asked_no_more(asked: socket.socket) -> str:
    """Return the script to run in each fork, and nothing in this process, in the end."""
    while True:
        length, streams, *_ = socket.recv_fds(asked, LENGTH, 3)
        if not length:
            return ""
        request = json.loads(_read(asked, int.from_bytes(length)))
        _forget_the_dead()
        child = os.fork()
        if child == 0:
            _become(request, streams)
            return str(request["script"])
        watched = os.pidfd_open(child)
        socket.send_fds(asked, [child.to_bytes(LENGTH)], [watched])
        for each in (*streams, watched):
            os.close(each)


def _read(asked: socket.socket, length: int) -> bytes:
    read = b""
    while len(read) < length:
        read += asked.recv(length - len(read))
    return read


def _forget_the_dead() -> None:
    """Until then their ids are not given to others."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _become(request: dict[str, Any], streams: list[int]) -> None:
    for number, each in enumerate(streams):
        os.dup2(each, number)
        os.close(each)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
