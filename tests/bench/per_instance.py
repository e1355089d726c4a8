"""The per-instance way: what a hook or an operator's script does for each instance by itself, through awxkit.

Four calls an instance: look its name up, create the host, put it into its group, launch a job limited to it. They are
the least that this way needs; awxkit's own launch() would make two more.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from awxkit.api.client import Connection
from awxkit.api.pages import Hosts, JobTemplateLaunch
from awxkit.exceptions import NoContent

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.places import Place
    from bench.progress import View

CALLS_PER_INSTANCE = 4
SEQUENTIAL, EIGHT_WIDE = 20, 100  # instances
AT_ONCE = 8


@dataclass(frozen=True)
class PerInstance:
    """What came of it: seconds for all instances, and the jobs that were launched."""

    size: int
    seconds: float
    jobs: int

    @property
    def ms_per_instance(self) -> float:
        return 1000 * self.seconds / self.size


def per_instance_figures(place: Place, view: View, ms_per_instance: float) -> dict[str, float]:
    """Both per-instance ways, and how many times as long as Rollcall's ms_per_instance eight-wide takes."""
    with view.step(f"The per-instance way, {SEQUENTIAL} one at a time") as tell:
        sequential = register_each(place, "one", SEQUENTIAL, 1, tell)
    with view.step(f"The per-instance way, {EIGHT_WIDE} eight-wide") as tell:
        eight_wide = register_each(place, "eight", EIGHT_WIDE, AT_ONCE, tell)
    return {
        "per_instance_sequential_ms": sequential.ms_per_instance,
        "per_instance_eight_wide_ms": eight_wide.ms_per_instance,
        "per_instance_sequential_jobs": sequential.jobs,
        "per_instance_eight_wide_jobs": eight_wide.jobs,
        "per_instance_tower_calls": CALLS_PER_INSTANCE,
        "per_instance_instances": SEQUENTIAL + EIGHT_WIDE,
        "speedup_vs_eight_wide": eight_wide.ms_per_instance / ms_per_instance,
    }


def register_each(place: Place, prefix: str, size: int, at_once: int, tell: Callable[[str], None]) -> PerInstance:
    """Register and launch so many hosts, at_once of them side by side; prefix begins their names."""
    local = threading.local()
    jobs: list[int] = []

    def register(number: int) -> None:
        if not hasattr(local, "client"):
            local.client = _Client(place)
        jobs.append(local.client.register(f"{prefix}-{number}", number))
        tell(f"{len(jobs)} of {size} instances")

    began = time.monotonic()
    pool = ThreadPoolExecutor(at_once)
    try:
        for done in [pool.submit(register, number) for number in range(1, size + 1)]:
            done.result()
    finally:
        pool.shutdown(cancel_futures=True)  # or an interrupt would wait for all that are still to come
    return PerInstance(size, time.monotonic() - began, len(set(jobs)))


class _Client:
    """One connection to Tower: awxkit's sessions are not for several threads."""

    def __init__(self, place: Place) -> None:
        parts = urlsplit(place.root)
        self._place = place
        self._root = parts.path
        self._connection = Connection(f"{parts.scheme}://{parts.netloc}", verify=place.ca_file or True)
        self._connection.login(token=place.token)

    def register(self, name: str, number: int) -> int:
        """One instance from lookup to launch. The job's id."""
        variables = f'{{"ansible_host": "{_address(number)}"}}'
        hosts = self._page(Hosts, "hosts/")
        assert not hosts.get(name=name, inventory=self._place.inventory).count
        host = hosts.post({"name": name, "inventory": self._place.inventory, "variables": variables})
        with suppress(NoContent):  # how awxkit says 204
            self._page(Hosts, f"groups/{self._place.own_group}/hosts/").post({"id": host.id})
        launch = self._page(JobTemplateLaunch, f"job_templates/{self._place.own_template}/launch/")
        return int(launch.post({"limit": name}).job)

    def _page(self, kind: Any, path: str) -> Any:
        return kind(self._connection, endpoint=self._root + path)


def _address(number: int) -> str:
    """An address of this machine, whatever the inventory says about connections."""
    return f"127.1.{number // 256}.{number % 256}"
