"""The lab for trying things by hand: the embedded cloud with all of the stack, and a record of how to reach it.

`make lab` keeps one up. Other commands work on that one, or start their own for as long as they run.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING, Any

from lab.alert_channels import AlertChannels
from lab.by_hand.scenes import furnish
from lab.cloud import REPOSITORY, Cloud, sam_build
from lab.tower.embedded import Tower

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Protocol

    class Steps(Protocol):
        """Says what is being done, and how long it took."""

        def step(self, text: str) -> AbstractContextManager[None]: ...


DIRECTORY = REPOSITORY / "build" / "lab"
SOURCES = ("layers", "functions", "statemachines")
ADDRESS_POOL = "10.0.0.0/24"
JOB_TIME = 3.0  # seconds


class LabBusy(Exception):
    """There is a lab, and it cannot be used: why, and what to do."""


@dataclass(frozen=True)
class Record:
    """How to reach a lab that runs. process: its id. alerts_url: where what PagerDuty got can be read."""

    process: int
    endpoint_url: str
    tower_url: str
    alerts_url: str = ""


def running(directory: Path = DIRECTORY) -> Record | None:
    """The lab that runs, if one does. Raises LabBusy for one that is being set up."""
    lock = _lock(directory)
    if lock is not None:
        lock.close()
        return None
    try:
        return Record(**json.loads((directory / "lab.json").read_text()))
    except (OSError, ValueError) as error:
        raise LabBusy("A lab is being set up, or make invoke has one of its own: try again in a minute.") from error


def attached(record: Record, directory: Path = DIRECTORY) -> Cloud:
    """The cloud of a lab that another process runs. Its model of Tower is not here: Tower is to be asked by HTTP."""
    cloud = Cloud(directory)
    cloud.aws.attach(record.endpoint_url)
    cloud.tower_url = record.tower_url
    return cloud


@contextmanager
def started(steps: Steps, directory: Path = DIRECTORY, *, lasting: bool) -> Iterator[Cloud]:
    """A lab, deployed, until the block ends. lasting: others may use it. Raises LabBusy, SamError."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = _lock(directory)
    if lock is None:
        raise LabBusy("A lab is running already.")
    record = directory / "lab.json"
    with ExitStack() as starting:
        starting.enter_context(lock)
        record.unlink(missing_ok=True)
        built = build(steps, directory)
        with steps.step("Starting the embedded cloud"):
            tower = Tower(boot_time=0, job_time=JOB_TIME)
            furnish(tower)
            channels = AlertChannels()
            starting.enter_context(channels.serve())
            cloud = starting.enter_context(Cloud(directory, address_pool=ADDRESS_POOL, tower=tower))
        with steps.step("Deploying template.yaml (sam deploy)"):
            deploy(cloud, built, channels)
        if lasting:
            starting.callback(lambda: record.unlink(missing_ok=True))
            made = Record(os.getpid(), cloud.aws.endpoint_url, cloud.tower_url, channels.alerts_url)
            record.write_text(json.dumps(asdict(made)))
        yield cloud


def deploy(cloud: Cloud, built: Path, channels: AlertChannels) -> None:
    """The stack with all but Chef, so that every sample has the function that takes it. Raises SamError.

    Reconcile is not scheduled: it would take what is held for a sample for an action whose event was lost.
    """
    cloud.deploy(
        built,
        LoadBalancers="true",
        Cycles="true",
        Bakes="true",
        **channels.pagerduty_parameters(cloud),
    )


def build(steps: Steps, directory: Path = DIRECTORY) -> Path:
    """Where sam build's result is; built anew if a source changed since the last time. Raises SamError."""
    built = directory / "built"
    done = built / "template.yaml"
    if not done.exists() or done.stat().st_mtime < _last_change():
        with steps.step("Building the functions and their layers (sam build)"):
            sam_build(built)
    return built


def _last_change() -> float:
    """When a source changed last. Not when a directory did: Python adds its cache to each."""
    files = [path for each in SOURCES for path in (REPOSITORY / each).rglob("*") if path.is_file()]
    sources = [path for path in files if "__pycache__" not in path.parts]
    return max(path.stat().st_mtime for path in [*sources, REPOSITORY / "template.yaml"])


def _lock(directory: Path) -> IO[Any] | None:
    """What holds the lab of a directory, until it is closed or its process ends; None while another holds it."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = (directory / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock
