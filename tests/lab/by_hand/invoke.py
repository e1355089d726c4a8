"""`make invoke`: a built function under Lambda's own runtime, on the lab, with an event; what it logged and answered.

A sample of events/ reaches its happy path: what it is about is brought about in the lab first (lab.by_hand.scenes).
Any other event is given as it is.

Exit codes: those of `rollcall` (rollcall_cli.exit_codes), or 128 + the signal that ended it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.interrupts import until_interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.cloud import Cloud

FUNCTIONS = ("register", "gate", "cleanup", "reconcile", "doctor", "alert")
NOT_RUN = 2


@dataclass(frozen=True)
class Invoked:
    """answer: the function's, or Lambda's description of its error."""

    answer: Any
    log: str

    @property
    def failed(self) -> bool:
        """Whether the function ended in an error."""
        return isinstance(self.answer, dict) and {"errorType", "errorMessage"} <= self.answer.keys()


class Progress:
    """What is being done, on stderr: stdout is for the log and the answer."""

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Says what is being done, and how long it took."""
        began = time.monotonic()
        print(f"{text} …", end="", file=sys.stderr, flush=True)
        yield
        print(f" {time.monotonic() - began:.1f} s", file=sys.stderr)


def main() -> int:
    """One invocation. Returns the exit code."""
    return until_interrupted(lambda: _run(_options()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make invoke", description=__doc__)
    parser.add_argument("--function", default="", help=", ".join(FUNCTIONS))
    parser.add_argument("--event", default="", help="a file of JSON")
    parser.add_argument("--lab", type=Path, help="the directory of the lab, build/lab by default")
    parser.add_argument("--container", action="store_true", help="by sam local invoke")
    return parser.parse_args()


def _run(options: argparse.Namespace) -> int:
    # Imported here so that an interrupt during these imports, which take a second, ends in a note too.
    from lab.by_hand.container import NoContainers
    from lab.by_hand.lab import DIRECTORY, LabBusy
    from lab.by_hand.scenes import sample_of
    from lab.cloud import SamError, keep_to_this_machine

    keep_to_this_machine()
    try:
        path = _event_of(options.event)
        sample = sample_of(path)
        function = _function_of(options.function, sample.functions[0] if sample else "")
        directory = options.lab or DIRECTORY
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as temporary:
            os.environ["TMPDIR"] = temporary  # sam leaves directories behind
            with _lab(directory) as (cloud, built):
                invoked = Invocation(cloud, built, Path(temporary), container=options.container).of(function, path)
    except (_Wrong, LabBusy, NoContainers, SamError, TimeoutError) as error:
        print(f"\n{error}", file=sys.stderr)
        return NOT_RUN
    return shown(invoked)


class _Wrong(Exception):
    """The command line cannot be followed: why, and what to do."""


def _event_of(given: str) -> Path:
    if not given:
        raise _Wrong("Name an event: make invoke EVENT=events/launch-eventbridge.json, or another file of events/.")
    path = Path(given)
    try:
        json.loads(path.read_text())
    except OSError as error:
        raise _Wrong(f"The event cannot be read: {error}") from error
    except ValueError as error:
        raise _Wrong(f"{path} is no JSON: {error}") from error
    return path


def _function_of(given: str, usual: str) -> str:
    """The function that is named, in either way, or the usual one."""
    name = given.removesuffix("Function").lower() or usual
    if name not in FUNCTIONS:
        raise _Wrong(f"Name the function: make invoke FUNCTION=… is one of {', '.join(FUNCTIONS)}.")
    return name


@contextmanager
def _lab(directory: Path) -> Iterator[tuple[Cloud, Path]]:
    """The lab that runs, or one of our own; and what sam build made of the functions."""
    from lab.by_hand.lab import attached, build, running, started

    progress = Progress()
    if record := running(directory):
        yield attached(record, directory), build(progress, directory)
        return
    print("No lab is running (make lab keeps one up): this starts its own.", file=sys.stderr)
    with started(progress, directory, lasting=False) as cloud:
        yield cloud, directory / "built"


@dataclass(frozen=True)
class Invocation:
    """How functions are invoked by hand.

    built: what sam build made. directory: takes what is needed meanwhile. container: by sam local invoke.
    """

    cloud: Cloud
    built: Path
    directory: Path
    container: bool = False

    def of(self, function: str, path: Path) -> Invoked:
        """What a function logs and answers, given the event of a file; what a sample is about is brought about first.

        Raises TimeoutError, NoContainers.
        """
        from lab.by_hand.container import in_container
        from lab.by_hand.samples import filled
        from lab.by_hand.scenes import sample_of
        from rollcall_cli.invocation.events import SAMPLE_INSTANCE, received_now

        event = received_now(json.loads(path.read_text()), time.time())
        progress = Progress()
        if sample := sample_of(path):
            with progress.step(f"Preparing: {(sample.scene.__doc__ or '').strip()}"):
                facts = sample.scene(self.cloud)
            event = filled(event, facts, time.time())
            if facts.instance_id != SAMPLE_INSTANCE:
                print(f"The sample's instance is {facts.instance_id} of group {facts.group} here.", file=sys.stderr)
        logical_id = f"{function.capitalize()}Function"
        if self.container:
            with progress.step(f"Running {function} in a container"):
                return in_container(self.cloud, self.built, logical_id, event, self.directory)
        with progress.step(f"Running {function}"):
            return self._in_runtime(logical_id, event)

    def _in_runtime(self, function: str, event: Any) -> Invoked:
        """A built function under the runtime interface emulator, with the deployed one's environment."""
        from lab.runtime import Runtime, link_what_lambda_has

        given = self.directory / "runtime"
        if not given.exists():
            link_what_lambda_has(given)
        deployed = deployed_function(self.cloud, function)
        path = [self.built / function, *(self.built / each / "python" for each in deployed.layers), given]
        environment = self.cloud.aws.environment | deployed.variables
        log = self.directory / f"{function}.log"
        with Runtime(self.built / function, path, environment, log) as runtime:
            answer = runtime.invoke(event)
            return Invoked(answer, log.read_text())  # before the runtime ends, for the function complains of that


@dataclass(frozen=True)
class Deployed:
    """What a function of the stack runs with. layers: their logical ids."""

    variables: dict[str, str]
    layers: list[str]


def deployed_function(cloud: Cloud, function: str) -> Deployed:
    """What the stack gives a function, by its logical id."""
    from lab.cloud import LAYERS

    shown = cloud.aws.client("lambda").get_function_configuration(FunctionName=cloud.function_name(function))
    layers = [layer for layer in LAYERS if any(layer in each["Arn"] for each in shown["Layers"])]
    return Deployed(shown["Environment"]["Variables"], layers)


def shown(invoked: Invoked) -> int:
    """Prints the log, the answer and what became of it; the exit code."""
    from rollcall_cli.invocation.log_lines import readable
    from rollcall_cli.invocation.outcome import outcome

    for line in readable(invoked.log):
        print(line)
    print(f"answer: {json.dumps(invoked.answer)}")
    result = outcome(invoked.answer, invoked.log, failed=invoked.failed)
    print(result.words)
    return result.code


if __name__ == "__main__":
    sys.exit(main())
