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


@dataclass(frozen=True)
class Invoked:
    """answer: the function's, or Lambda's description of its error."""

    answer: Any
    log: str

    @property
    def readable(self) -> str:
        """The log's lines and the answer, as they are shown."""
        from rollcall_cli.invocation.log_lines import readable

        return "\n".join([*readable(self.log), f"answer: {json.dumps(self.answer)}"])

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
    parser.add_argument("--function", default="", help="register, gate, cleanup, …; of a sample it is known")
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
    from rollcall_cli.commands.invoke import logical_id_of
    from rollcall_cli.exit_codes import ExitCode
    from rollcall_cli.running import NotRun

    keep_to_this_machine()
    try:
        path = _event_file(options.event)
        sample = sample_of(path)
        function = logical_id_of(options.function or (sample.functions[0] if sample else ""))
        directory = options.lab or DIRECTORY
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as temporary:
            os.environ["TMPDIR"] = temporary  # sam leaves directories behind
            with _lab(directory) as (cloud, built):
                invoked = Invocation(cloud, built, Path(temporary), container=options.container).of(function, path)
    except (NotRun, LabBusy, NoContainers, SamError, TimeoutError) as error:
        print(f"\n{error}", file=sys.stderr)
        return ExitCode.NOT_RUN
    code = shown(invoked)
    if sample and sample.good not in invoked.readable:
        print(f"The sample did not end as it should: nothing of the above says {sample.good!r}.")
        return ExitCode.ACT
    return code


def _event_file(given: str) -> Path:
    """The file with the event. Raises NotRun if it holds none."""
    from rollcall_cli.commands.invoke import event_of
    from rollcall_cli.running import NotRun

    if not given:
        raise NotRun("Name an event: make invoke EVENT=events/launch-eventbridge.json, or another file of JSON.")
    event_of(given, None)
    return Path(given)


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
        """What a function, by its logical id, logs and answers, given the event of a file.

        What a sample is about is brought about first.

        Raises TimeoutError, NoContainers.
        """
        from lab.by_hand.container import in_container
        from lab.by_hand.samples import filled
        from lab.by_hand.scenes import sample_of
        from rollcall_cli.invocation.events import SAMPLE_INSTANCE, received_now

        event = json.loads(path.read_text())
        progress = Progress()
        if sample := sample_of(path):
            with progress.step(f"Preparing: {(sample.scene.__doc__ or '').strip()}"):
                facts = sample.scene(self.cloud)
            event = filled(event, facts, time.time())
            if facts.instance_id != SAMPLE_INSTANCE:
                print(f"The sample's instance is {facts.instance_id} of group {facts.group} here.", file=sys.stderr)
        event = received_now(event, time.time())
        if self.container:
            with progress.step(f"Running {function} in a container"):
                return in_container(self.cloud, self.built, function, event, self.directory)
        with progress.step(f"Running {function}"):
            return self._in_runtime(function, event)

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
    from rollcall_cli.invocation.outcome import outcome

    print(invoked.readable)
    result = outcome(invoked.answer, invoked.log, failed=invoked.failed)
    print(*result.lines, result.words, sep="\n")
    return result.code


if __name__ == "__main__":
    sys.exit(main())
