"""The bench against the model of Tower, from the cold starts to the last removal."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from bench.baking import FUNCTION as BAKE_FUNCTION
from bench.baking import bake_figures, measure_bakes, retention_figures
from bench.cycling import FUNCTION as CYCLE_FUNCTION
from bench.cycling import cycle_figures, measure_cycle
from bench.figures import (
    Findings,
    Period,
    ScaleOut,
    call_figures,
    removal_figures,
    scale_out_figures,
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
from bench.price import (
    bake_price,
    cycle_price,
    in_lambda,
    memory_size,
    price_figures,
    reconcile_in_lambda,
    retention_in_lambda,
    standing_price,
    usage_of,
)
from bench.reconciling import FUNCTION, measure_reconcile
from bench.scale_outs import FUNCTIONS, Stage
from bench.table import REAL_EIGHT_WIDE
from lab.cloud import REPOSITORY, Cloud, sam_build
from lab.invariants import broken_invariants

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.progress import View

SMALL_SCALE_OUTS = (1, 10, 100)
BIG_SCALE_OUT = 1000
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
    with view.step("A cycle of a group under load") as tell:
        cycled, wrong_in_cycle = _cycle(built, directory / "cycle", tell)
        figures |= cycled
    baked = _bakes(view, built, directory)
    figures |= {key: float(value) for key, value in baked.figures.items()}
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
    return Findings({"server": side.version, **course.figures}, [*left_wrong, *wrong_in_cycle, *baked.wrong, *wrong])


def measure_bakes_alone(view: View, directory: Path) -> Findings:
    """The part of the bench that is about bakes, by itself. directory takes logs."""
    built = directory / "built"
    with view.step("Building the functions and their layer (sam build)"):
        sam_build(built)
    return _bakes(view, built, directory)


def _bakes(view: View, built: Path, directory: Path) -> Findings:
    """The figures of a bake with its price and those of retention, and what was wrong."""
    with view.step("A bake, and retention over many images") as tell:
        baked, retained = measure_bakes(built, directory / "bake", tell)
    figures = bake_figures(baked) | retention_figures(retained)
    memory = memory_size(yaml_parse((REPOSITORY / "template.yaml").read_text()), BAKE_FUNCTION)
    price = bake_price(
        baked.period,
        int(figures["bake_state_transitions"]),
        baked.events,
        memory,
        figures["bake_instance_hours"],
        baked.image_gb,
    )
    figures |= price | retention_in_lambda(figures, memory) | {"bake_memory_mb": memory}
    return Findings(figures, [*baked.wrong, *retained.wrong])


def _cycle(built: Path, directory: Path, tell: Callable[[str], None]) -> tuple[dict[str, float], tuple[str, ...]]:
    """The figures of a cycle with its price, and what was wrong, as sentences."""
    cycled = measure_cycle(built, directory, tell)
    figures = cycle_figures(cycled)
    memory = memory_size(yaml_parse((REPOSITORY / "template.yaml").read_text()), CYCLE_FUNCTION)
    transitions = int(figures["cycle_state_transitions"])
    return figures | cycle_price(cycled.period, transitions, cycled.events, memory), cycled.wrong


class _Course:
    """The scale-outs, in the order of run(); figures grow meanwhile."""

    def __init__(self, view: View, stage: Stage, side: Model, figures: dict[str, float]) -> None:
        self.figures = figures
        self._view = view
        self._stage = stage
        self._side = side
        self._tower = side.tower
        self._scale_outs: list[ScaleOut] = []

    def run(self) -> list[str]:
        """All of it. Returns what was wrong, as sentences."""
        self._small_scale_outs()
        launching = self._big_scale_out()
        self._measure_waits()
        removal = self._removal()
        with self._view.step("Counting, and checking that all went right"):
            self._price(launching, removal)
            return self._wrong()

    def _small_scale_outs(self) -> None:
        """Scale-outs one after the other, each as soon as the last is launched, and the per-instance ways meanwhile."""
        mark = self._stage.mark()
        for size in SMALL_SCALE_OUTS:
            self._launch(size)
        self.figures |= per_instance_figures(self._side.place, self._view, self.figures["ms_per_instance_100"])
        with self._view.step("The instances of the small scale-outs come into service") as tell:
            self._stage.serve(tell)
        together = sum(SMALL_SCALE_OUTS)
        theirs = self.figures["per_instance_tower_calls"] * self.figures["per_instance_instances"]
        calls = len(self._stage.since(mark).requests) - theirs
        self.figures[f"tower_calls_per_instance_{together}"] = calls / together

    def _launch(self, size: int) -> None:
        with self._view.step(f"A scale-out of {size:,}: registered and launched") as tell:
            scale_out = self._stage.launch(size, tell)
        self._scale_outs.append(scale_out)
        self.figures |= scale_out_figures(scale_out) | tower_figures(scale_out)

    def _big_scale_out(self) -> Period:
        self._tower.forget_requests()  # so that those at once are this scale-out's
        mark = self._stage.mark()
        self._launch(BIG_SCALE_OUT)
        with self._view.step(f"The {BIG_SCALE_OUT:,} come into service") as tell:
            self._stage.serve(tell)
        launching = self._stage.since(mark)
        self.figures |= call_figures(launching.aws_calls, BIG_SCALE_OUT)
        self.figures[f"tower_calls_per_instance_{BIG_SCALE_OUT}"] = len(launching.requests) / BIG_SCALE_OUT
        self.figures[f"requests_at_once_{BIG_SCALE_OUT}"] = self._tower.most_at_once()
        self.figures["speedup_vs_real_eight_wide"] = REAL_EIGHT_WIDE / self.figures["ms_per_instance_100"]
        from_first_launch = 1000 * self.figures["handed_on_s_100"] / 100
        self.figures["speedup_from_first_launch"] = self.figures["per_instance_eight_wide_ms"] / from_first_launch
        return launching

    def _measure_waits(self) -> None:
        jobs = self._tower.jobs(self._side.place.template)
        waits = waits_for_continue(jobs, self._stage.group.transitions(), self._tower.event_lag)
        self.figures |= wait_figures("", list(waits.values()))
        for each in self._scale_outs:
            own = [waits[instance_id] for instance_id in each.instances & waits.keys()]
            self.figures |= wait_figures(f"_{each.size}", own)

    def _removal(self) -> Period:
        mark = self._stage.mark()
        with self._view.step(f"Terminating all {sum(SMALL_SCALE_OUTS) + BIG_SCALE_OUT:,}") as tell:
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
        instances = frozenset().union(*(scale_out.instances for scale_out in self._scale_outs))
        left = [host.name for host in self._tower.hosts() if "rollcall" in host.variables]
        return [
            *wrong_sizes(self._scale_outs),
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
