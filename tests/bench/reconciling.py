"""Runs of the built reconcile function over more and more hosts, and the list API walked over as many.

The function runs under Lambda's own runtime (lab.runtime), between an embedded Tower with a real server's latencies and
a prepared AWS. Every run is the first of its process, whose cold start is given beside it. A dry run follows, which
shows that nothing is left to do, and how long a run takes then.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from awxkit.api.client import Connection
from awxkit.api.pages import Hosts

from bench.drifted import GROUP_SIZE, INVENTORY, JOB_TEMPLATE, drifted
from bench.functions import BenchError
from bench.places import PastClock
from bench.prepared_aws import PreparedAws
from lab.cloud import SECRET
from lab.runtime import QUEUES, Runtime, link_what_lambda_has, variables
from lab.tower.embedded import Latency, Tower
from rollcall.domain.groups import AddressKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bench.drifted import Drifted
    from lab.runtime import Json

FUNCTION = "ReconcileFunction"
SIZES = (1_000, 5_000, 10_000, 20_000)  # managed hosts
COMPARED = 10_000  # hosts, of the run that is compared with others
PAGE_SIZE = 200  # hosts, the most that a list shows at once
PAGES = 3  # that are read of the list; the rest would take as long each
HOST_AGE = 3600.0  # seconds; old enough for a host whose instance AWS does not know to be removed


@dataclass(frozen=True)
class Run:
    """A run, and the dry one after it.

    seconds: from the first one's event until its answer; with_cold_start: from the start of its process. cpu_seconds:
    of the first, with its cold start. quiet_seconds: of the second, which has nothing to do; reading_seconds: of these,
    for the inventory. peak_mb: of both. tower_calls, aws_calls: of the first.
    """

    seconds: float
    with_cold_start: float
    cpu_seconds: float
    quiet_seconds: float
    reading_seconds: float
    peak_mb: float
    tower_calls: int
    aws_calls: int


def measure_reconcile(
    built: Path, directory: Path, progress: Callable[[str], None]
) -> tuple[dict[str, float], list[str]]:
    """The figures of reconcile_figures, and what was wrong with the runs, as sentences.

    built: what lab.cloud.sam_build made. directory: takes logs, and is empty. progress is called with what comes
    next. Raises BenchError when an invocation fails.
    """
    bench = _Bench(built, directory)
    runs: dict[int, Run] = {}
    for hosts in SIZES:
        progress(f"{hosts:,} hosts")
        runs[hosts] = bench.run(drifted(hosts // GROUP_SIZE))
    progress(f"{COMPARED:,} hosts, all of which EC2 has to describe")
    described = bench.run(drifted(COMPARED // GROUP_SIZE, AddressKind.PUBLIC))
    progress(f"{PAGES} pages of the list API")
    walk = walk_seconds(drifted(COMPARED // GROUP_SIZE))
    return reconcile_figures(runs, described, walk), bench.wrong


def reconcile_figures(runs: Mapping[int, Run], described: Run, walk: float) -> dict[str, float]:
    """The figures by key. runs: by the number of managed hosts; described: over 10,000 of which hosts prove nothing.

    reconcile_HOSTS_s: from the event until the answer; reconcile_growth_20000_over_5000 is the ratio of two. walk:
    seconds for the list of 10,000, reconcile_speedup_vs_list times as long as a whole run that finds nothing to do,
    reconcile_run_speedup_vs_list times as long as one with its steps.
    """
    figures: dict[str, float] = {}
    for hosts, run in runs.items():
        figures |= {
            f"reconcile_{hosts}_s": run.seconds,
            f"reconcile_{hosts}_with_cold_start_s": run.with_cold_start,
            f"reconcile_{hosts}_cpu_s": run.cpu_seconds,
            f"reconcile_{hosts}_quiet_s": run.quiet_seconds,
            f"reconcile_{hosts}_reading_s": run.reading_seconds,
            f"reconcile_{hosts}_mb": run.peak_mb,
            f"reconcile_{hosts}_tower_calls": run.tower_calls,
            f"reconcile_{hosts}_aws_calls": run.aws_calls,
        }
    return figures | {
        "reconcile_growth_20000_over_5000": runs[20_000].seconds / runs[5_000].seconds,
        "reconcile_10000_described_s": described.seconds,
        "reconcile_10000_described_with_cold_start_s": described.with_cold_start,
        "reconcile_10000_described_cpu_s": described.cpu_seconds,
        "reconcile_10000_described_mb": described.peak_mb,
        "list_walk_10000_s": walk,
        "reconcile_speedup_vs_list": walk / runs[COMPARED].quiet_seconds,
        "reconcile_run_speedup_vs_list": walk / runs[COMPARED].seconds,
    }


class _Bench:
    """wrong: what was with the runs so far, as sentences."""

    def __init__(self, built: Path, directory: Path) -> None:
        self.wrong: list[str] = []
        self._code = built / FUNCTION
        self._path = [self._code, built / "CommonLayer" / "python", link_what_lambda_has(directory / "runtime")]
        self._directory = directory

    def run(self, world: Drifted) -> Run:
        """A run over the groups and their inventory, and a dry one."""
        tower = tower_of(world)
        aws = PreparedAws(world, tower.token)
        what = f"reconcile, {len(world.rows):,} hosts, {world.address} addresses"
        with tower.serve() as tower_url, aws.serve() as finding_aws:
            queues = {name: f"{finding_aws['AWS_ENDPOINT_URL']}/{name}" for name in QUEUES}
            environment = finding_aws | variables(FUNCTION, tower_url, SECRET, queues)
            log = self._directory / f"{len(world.rows)}-{world.address}.log"
            with Runtime(self._code, self._path, environment, log) as function:
                began = time.perf_counter()
                first = _invoked(function, {})
                with_cold_start, cpu_seconds = time.perf_counter() - began, function.cpu_ms() / 1000
                tower_calls, aws_calls = len(tower.requests()), aws.calls.total()
                second = _invoked(function, {"dry_run": True})
                peak_mb = function.peak_memory_mb()
        said = [*complaints(first), *complaints(second), *(f"not done: {each}" for each in second["steps"])]
        self.wrong += [f"{what}: {sentence}" for sentence in said + wrong_hosts(world, tower)]
        [inventory] = second["inventories"]
        return Run(
            first["seconds"],
            with_cold_start,
            cpu_seconds,
            second["seconds"],
            inventory["seconds"],
            peak_mb,
            tower_calls,
            aws_calls,
        )


def tower_of(world: Drifted) -> Tower:
    """A Tower with the hosts of a drifted inventory and with a real server's latencies."""
    clock = PastClock(HOST_AGE)
    tower = Tower(boot_time=0, latency=Latency(), clock=clock)
    tower.add_inventory(INVENTORY)
    tower.add_job_template(JOB_TEMPLATE, INVENTORY)
    for group in world.members:
        tower.add_group(INVENTORY, group)
    for row in world.rows:
        tower.add_host(INVENTORY, row.name, row.variables, row.name, groups=row.groups, bulk=True)
    clock.behind = 0.0
    return tower


def _invoked(function: Runtime, event: Json) -> Json:
    answer = function.invoke(event)
    if "inventories" not in answer:
        raise BenchError(f"a run of reconcile is not to be answered with {answer}")
    return answer


def complaints(answer: Json) -> list[str]:
    """What a run should not have had to say, as sentences: findings, removals stopped, trouble, steps put off."""
    said = [str(each) for name in ("findings", "stopped", "troubles") for each in answer[name]]
    return said + ([f"steps left to the next run: {answer['left']}"] if answer["left"] else [])


def wrong_hosts(world: Drifted, tower: Tower) -> list[str]:
    """The hosts that are not as they should be once there is no drift, as sentences."""
    wanted = {row.name: _essence(row.variables, row.groups) for row in world.right_rows()}
    there = {host.name: _essence(host.variables, host.groups) for host in tower.hosts(INVENTORY)}
    return [
        f"host {name} is {there.get(name, 'missing')}, and should be {wanted.get(name, 'gone')}"
        for name in sorted(wanted.keys() | there.keys())
        if wanted.get(name) != there.get(name)
    ]


def _essence(variables: Mapping[str, object], groups: Sequence[str]) -> tuple[object, ...]:
    """What has to be right of a host; when its stint began depends on when a run made it."""
    marker = variables.get("rollcall")
    lasting = {key: each for key, each in marker.items() if key != "stint"} if isinstance(marker, dict) else marker
    return variables.get("ansible_host"), lasting, tuple(groups)


def walk_seconds(world: Drifted) -> float:
    """What awxkit takes to fetch all hosts of the inventory from the list API, if every page takes as the first do.

    That is the least: to make objects of the hosts it fetched takes awxkit half as long again.
    """
    tower = tower_of(world)
    with tower.serve() as tower_url:
        connection = Connection(tower_url)
        connection.login(token=tower.token)
        query = {"inventory__name": INVENTORY, "order_by": "id", "page_size": PAGE_SIZE}
        began = time.perf_counter()
        pages = [
            Hosts(connection, endpoint=f"{tower.api_root}hosts/").get(**query, page=number)
            for number in range(1, PAGES + 1)
        ]
        seconds = time.perf_counter() - began
        connection.session.close()
    assert all(len(page.json["results"]) == PAGE_SIZE for page in pages)
    return seconds / PAGES * ceil(len(world.rows) / PAGE_SIZE)
