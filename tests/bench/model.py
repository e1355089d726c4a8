"""The bench against the model of Tower, from the cold starts to the last removal."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from bench.figures import (
    Findings,
    Period,
    Storm,
    call_figures,
    removal_figures,
    storm_figures,
    tower_figures,
    wait_figures,
    waits_for_continue,
    wrong_jobs,
    wrong_services,
    wrong_sizes,
)
from bench.functions import measure_functions
from bench.own_code import cpu_ms_per_batch_100
from bench.per_instance import per_instance_figures
from bench.places import Model
from bench.polls import poll_figures
from bench.price import in_lambda, memory_size, price_figures, reconcile_in_lambda, standing_price, usage_of
from bench.reconciling import FUNCTION, measure_reconcile
from bench.storms import FUNCTIONS, Stage
from bench.table import REAL_EIGHT_WIDE
from lab.cloud import REPOSITORY, Cloud, sam_build
from lab.invariants import broken_invariants

if TYPE_CHECKING:
    from pathlib import Path

    from bench.progress import View

SMALL_STORMS = (1, 10, 100)
BIG_STORM = 1000
ADDRESS_POOL = "10.0.0.0/19"


def measure(view: View, directory: Path) -> Findings:
    """The bench. directory takes logs."""
    built = directory / "built"
    with view.step("Building the functions and their layer (sam build)"):
        sam_build(built)
    figures: dict[str, float] = {}
    with view.step("Cold starts, CPU and memory of the functions") as tell:
        figures |= measure_functions(built, directory / "functions", tell)
    with view.step("CPU of our own code"):
        figures |= cpu_ms_per_batch_100()
    with view.step("Looks at jobs of five minutes, on a simulated clock"):
        figures |= poll_figures()
    with view.step("Runs of reconcile, and the list API") as tell:
        reconciled, left_wrong = measure_reconcile(built, directory / "reconcile", tell)
        figures |= reconciled
    with ExitStack() as running:
        with view.step("Starting the embedded cloud"):
            side = Model()
            cloud = running.enter_context(Cloud(directory / "cloud", address_pool=ADDRESS_POOL, tower=side.tower))
            side.served_at(cloud.tower_url)
        with view.step("Deploying template.yaml (sam deploy)"):
            cloud.deploy(built)
            stage = Stage(cloud, side)
        running.callback(stage.write_logs)
        course = _Course(view, stage, side, figures)
        wrong = course.run()
    return Findings({"server": side.version, **course.figures}, [*left_wrong, *wrong])


class _Course:
    """The storms, in the order of run(); figures grow meanwhile."""

    def __init__(self, view: View, stage: Stage, side: Model, figures: dict[str, float]) -> None:
        self.figures = figures
        self._view = view
        self._stage = stage
        self._side = side
        self._tower = side.tower
        self._storms: list[Storm] = []

    def run(self) -> list[str]:
        """All of it. Returns what was wrong, as sentences."""
        self._small_storms()
        launching = self._big_storm()
        self._measure_waits()
        removal = self._removal()
        with self._view.step("Counting, and checking that all went right"):
            self._price(launching, removal)
            return self._wrong()

    def _small_storms(self) -> None:
        """Storms one after the other, each as soon as the last is launched, and the per-instance ways meanwhile."""
        mark = self._stage.mark()
        for size in SMALL_STORMS:
            self._launch(size)
        self.figures |= per_instance_figures(self._side.place, self._view, self.figures["ms_per_instance_100"])
        with self._view.step("The instances of the small storms come into service") as tell:
            self._stage.serve(tell)
        together = sum(SMALL_STORMS)
        theirs = self.figures["per_instance_tower_calls"] * self.figures["per_instance_instances"]
        calls = len(self._stage.since(mark).requests) - theirs
        self.figures[f"tower_calls_per_instance_{together}"] = calls / together

    def _launch(self, size: int) -> None:
        with self._view.step(f"A storm of {size:,}: registered and launched") as tell:
            storm = self._stage.launch(size, tell)
        self._storms.append(storm)
        self.figures |= storm_figures(storm) | tower_figures(storm)

    def _big_storm(self) -> Period:
        self._tower.forget_requests()  # so that those at once are this storm's
        mark = self._stage.mark()
        self._launch(BIG_STORM)
        with self._view.step(f"The {BIG_STORM:,} come into service") as tell:
            self._stage.serve(tell)
        launching = self._stage.since(mark)
        self.figures |= call_figures(launching.aws_calls, BIG_STORM)
        self.figures[f"tower_calls_per_instance_{BIG_STORM}"] = len(launching.requests) / BIG_STORM
        self.figures[f"requests_at_once_{BIG_STORM}"] = self._tower.most_at_once()
        self.figures["speedup_vs_real_eight_wide"] = REAL_EIGHT_WIDE / self.figures["ms_per_instance_100"]
        from_first_launch = 1000 * self.figures["handed_on_s_100"] / 100
        self.figures["speedup_from_first_launch"] = self.figures["per_instance_eight_wide_ms"] / from_first_launch
        return launching

    def _measure_waits(self) -> None:
        jobs = self._tower.jobs(self._side.place.template)
        waits = waits_for_continue(jobs, self._stage.group.transitions(), self._tower.event_lag)
        self.figures |= wait_figures("", list(waits.values()))
        for storm in self._storms:
            self.figures |= wait_figures(f"_{storm.size}", [waits[each] for each in storm.instances & waits.keys()])

    def _removal(self) -> Period:
        mark = self._stage.mark()
        with self._view.step(f"Terminating all {sum(SMALL_STORMS) + BIG_STORM:,}") as tell:
            self._stage.terminate(tell)
        removal = self._stage.since(mark)
        self.figures |= removal_figures(removal, self._stage.group.transitions())
        return removal

    def _price(self, launching: Period, removal: Period) -> None:
        template = yaml_parse((REPOSITORY / "template.yaml").read_text())
        memory = {name: memory_size(template, f"{name.capitalize()}Function") for name in FUNCTIONS}
        at_once = int(template["Parameters"]["BatchesAtOnce"]["Default"])
        usage = usage_of(launching, removal, self.figures, memory, at_once)
        self.figures |= price_figures(usage) | in_lambda(self.figures, memory, at_once)
        every = int(template["Parameters"]["ReconcileEvery"]["Default"])
        self.figures |= reconcile_in_lambda(self.figures, memory_size(template, FUNCTION), every)
        self.figures["usd_standing_per_month"] = standing_price(template)

    def _wrong(self) -> list[str]:
        """What did not come out as it should: fast is not enough."""
        instances = frozenset().union(*(storm.instances for storm in self._storms))
        left = [host.name for host in self._tower.hosts() if "rollcall" in host.variables]
        return [
            *wrong_sizes(self._storms),
            *wrong_jobs(instances, self._side.limits()),
            *wrong_services(instances, self._stage.group.transitions()),
            *broken_invariants(self._stage.cloud, [self._stage.group.name]),
            *(f"{name} is still in Tower" for name in left),
            *(
                f"an invocation of {each.function} failed"
                for each in self._stage.cloud.aws.invocations()
                if each.failed
            ),
        ]
