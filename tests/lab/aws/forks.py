"""Processes that are forks of one that has imported the AWS SDK already, which takes it longer than all else.

Linux only: a fork is watched by a file descriptor of its own.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TextIO

FORKED = Path(__file__).with_name("forked.py")
"""The program of the process that forks."""
LENGTH = 8
"""Bytes of a request's length, before it."""


class Forks:
    """One process to fork from for each list of layers, from when it is first asked for until this process ends."""

    def __init__(self) -> None:
        self._parents: dict[tuple[str, ...], _Parent] = {}
        self._starting = Lock()

    def start(self, layers: Sequence[str], script: str, *, cwd: str, environment: Mapping[str, str]) -> "Fork":
        """Run a Python script in a fork, with pipes for its standard streams.

        layers: directories to import the SDK from, the first one last, before those of this interpreter. Raises OSError
        where the process to fork from has ended.
        """
        with self._starting:
            parent = self._parents.get(tuple(layers))
            if parent is None:
                parent = self._parents[tuple(layers)] = _Parent(layers)
        return parent.fork(script, cwd, environment)

    def close(self) -> None:
        """End the processes to fork from; forks go on."""
        for parent in self._parents.values():
            parent.close()
        self._parents.clear()


class Fork:
    """As much of a subprocess.Popen as MiniStack uses. How a process ended is not known: its return code is 0."""

    def __init__(self, pid: int, watched: int, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._watched = watched
        weakref.finalize(self, os.close, watched)  # not before: a thread may wait for it

    def poll(self) -> int | None:
        """0 if the process has ended, None while it runs."""
        return 0 if self._ends_within(0) else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process; timeout in seconds. Raises subprocess.TimeoutExpired."""
        if not self._ends_within(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return 0

    def terminate(self) -> None:
        """Ask the process to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End the process."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._watched, number)

    def _ends_within(self, seconds: float | None) -> bool:
        watching = select.poll()
        watching.register(self._watched, select.POLLIN)
        return bool(watching.poll(None if seconds is None else seconds * 1000))


class _Parent:
    def __init__(self, layers: Sequence[str]) -> None:
        self._asking = Lock()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(FORKED), str(theirs.fileno()), *layers],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def close(self) -> None:
        self._socket.close()
        self._process.wait()

    def fork(self, script: str, cwd: str, environment: Mapping[str, str]) -> Fork:
        request = json.dumps({"script": script, "cwd": cwd, "environment": dict(environment)}).encode()
        (stdin, to_it), (from_it, stdout), (errors, stderr) = os.pipe(), os.pipe(), os.pipe()
        ours = open(to_it, "w", buffering=1), open(from_it), open(errors)  # noqa: SIM115 - for as long as the fork
        try:
            with self._asking:
                socket.send_fds(self._socket, [len(request).to_bytes(LENGTH)], [stdin, stdout, stderr])
                self._socket.sendall(request)
                answered, watched, *_ = socket.recv_fds(self._socket, LENGTH, 1)
        finally:
            for each in (stdin, stdout, stderr):
                os.close(each)
        if not watched:
            raise OSError("the process to fork from has ended")
        return Fork(int.from_bytes(answered), watched[0], *ours)
