"""The figures as tables, and which goals they meet. Pure, but for how a table is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table as RichTable
from rich.text import Text

from bench.price import MEMORY_SIZES

type Figures = Mapping[str, float | str]

NONE = "-"
MODEL = "model"  # the server's version, where it is the embedded one
SIZES = (1, 10, 100, 1000)
RETENTION_SECONDS = (
    280.0  # of a run: what the function's timeout leaves after what it keeps back (retiring.TIME_NEEDED)
)
REAL_SEQUENTIAL, REAL_EIGHT_WIDE = 536.0, 372.0  # ms an instance, observed on an AWX 24.6.1 on two cores


@dataclass(frozen=True)
class Goal:
    """What a figure has to be: at most, at least, or less than a number, at most another figure, or the same.

    ratio: it compares what was measured in one run, so it holds on any server; the others belong to the model, whose
    latencies are known. beside: the key of the same figure of the per-instance way, or words for it.
    """

    words: str
    key: str
    at_most: float | str | None = None
    at_least: float | None = None
    below: float | None = None
    same_as: str | None = None
    ratio: bool = False
    beside: str = ""

    def counts(self, figures: Figures) -> bool:
        """Whether it is to be met on the server that was measured."""
        return self.ratio or figures.get("server", MODEL) == MODEL

    def bound(self, figures: Figures) -> str:
        """The goal in words."""
        if self.same_as is not None:
            return _number(figures.get(self.same_as, NONE))
        if self.at_least is not None:
            return f">= {_number(self.at_least)}"
        if self.below is not None:
            return f"< {_number(self.below)}"
        return f"<= {_number(figures.get(self.at_most, NONE) if isinstance(self.at_most, str) else self.at_most)}"

    def met(self, figures: Figures) -> bool | None:
        """Whether it is met; None where the figure was not measured."""
        value = figures.get(self.key)
        if self.same_as is not None:
            return None if value is None else value == figures.get(self.same_as)
        most = figures.get(self.at_most) if isinstance(self.at_most, str) else self.at_most
        if isinstance(self.at_most, str) and most is None:
            return None
        if not isinstance(value, int | float) or isinstance(most, str):
            return None
        return (
            (most is None or value <= most)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
        )


GOALS = (
    Goal(
        "ms per instance, 100 launches, one group",
        "ms_per_instance_100",
        at_most=70,
        beside="per_instance_eight_wide_ms",
    ),
    Goal("times faster than eight-wide, same run", "speedup_vs_eight_wide", at_least=5, ratio=True),
    Goal("times faster than the real server's eight-wide, 372 ms", "speedup_vs_real_eight_wide", at_least=5),
    Goal("times faster than eight-wide, from the first launch on", "speedup_from_first_launch", at_least=5, ratio=True),
    Goal(
        "ms per instance, 1,000 launches",
        "ms_per_instance_1000",
        at_most="ms_per_instance_100",
        ratio=True,
        beside="per_instance_eight_wide_ms",
    ),
    Goal(
        "Tower calls per instance, 1,000 launches",
        "tower_calls_per_instance_1000",
        at_most=1.2,
        beside="per_instance_tower_calls",
    ),
    Goal(
        "AWS calls per instance, 1,000 launches, without heartbeats and events",
        "aws_calls_to_work_per_instance_1000",
        at_most=1.1,
    ),
    Goal("jobs for 1,000 launches", "jobs_1000", at_most=20),
    Goal("result readable to CONTINUE, p95, s", "result_to_continue_p95_s", at_most=5),
    Goal("polls of a job of 5 min", "polls_5min_job", at_most=12),
    Goal("result of a job of 5 min readable to CONTINUE, p95, s", "poll_lag_5min_p95_s", at_most=5),
    Goal("a run of reconcile, 10,000 managed hosts, 1 % drifted, s", "reconcile_10000_s", at_most=10),
    Goal("peak memory of reconcile, 10,000 managed hosts, MB", "reconcile_10000_mb", at_most=512),
    Goal(
        "a run that finds 10,000 hosts right, times faster than the list",
        "reconcile_speedup_vs_list",
        at_least=50,
        ratio=True,
    ),
    Goal("a run of reconcile, 20,000 hosts / 5,000 hosts", "reconcile_growth_20000_over_5000", at_most=4.4, ratio=True),
    Goal("cold start / floor, both with a compiled layer", "cold_start_compiled_ratio_max", at_most=1.23, ratio=True),
    Goal("list price of 1,000 lifecycles, USD", "usd_per_1000_lifecycles", at_most=0.02),
    Goal("requests lost in a cycle of 100 instances", "cycle_failed_requests", at_most=0),
    Goal("time of this cycle / the least possible", "cycle_overhead", at_most=1.15),
    Goal("retention of 1,000 images and 10,000 versions, s", "retention_s_in_lambda", at_most=RETENTION_SECONDS),
    Goal("peak memory of this run, MB", "retention_mb", at_most="bake_memory_mb"),
    Goal("CPU of our own code for a batch of 100, ms", "cpu_ms_per_batch_100", below=200),
    *(
        Goal(f"memory of {name} in the template, MB", f"memory_size_mb_{name}", same_as=f"cheapest_memory_mb_{name}")
        for name in ("register", "gate", "cleanup")
    ),
)

SCALE_OUT_ROWS = (  # words, key with the size for {}, and the keys of the two per-instance ways
    ("ms per instance", "ms_per_instance_{}", "per_instance_sequential_ms", "per_instance_eight_wide_ms"),
    ("registered, s after the first launch", "registered_s_{}", "", ""),
    ("jobs launched, s after the first launch", "launched_s_{}", "", ""),
    ("handed to the gate, s after the first launch", "handed_on_s_{}", "", ""),
    ("jobs", "jobs_{}", "per_instance_sequential_jobs", "per_instance_eight_wide_jobs"),
    ("register invocations", "register_invocations_{}", "", ""),
    (
        "Tower calls per instance, to launch",
        "tower_calls_to_launch_per_instance_{}",
        "per_instance_tower_calls",
        "per_instance_tower_calls",
    ),
    ("Tower calls per instance, to in service", "tower_calls_per_instance_{}", "", ""),
    ("AWS calls per instance, to launch", "aws_calls_to_launch_per_instance_{}", "", ""),
    ("AWS calls per instance, to in service", "aws_calls_per_instance_{}", "", ""),
    ("    of these: heartbeats", "heartbeats_per_instance_{}", "", ""),
    ("    of these: completions", "completions_per_instance_{}", "", ""),
    ("    of these: events", "announcements_per_instance_{}", "", ""),
    ("result readable to CONTINUE, p50, s", "result_to_continue_p50_s_{}", "", ""),
    ("result readable to CONTINUE, p95, s", "result_to_continue_p95_s_{}", "", ""),
)

RECONCILED = (1_000, 5_000, 10_000, 20_000)  # managed hosts
RECONCILE_ROWS = (  # words, and key with the number of hosts for {}
    ("s", "reconcile_{}_s"),
    ("    with the cold start, s", "reconcile_{}_with_cold_start_s"),
    ("a run that finds nothing to do, s", "reconcile_{}_quiet_s"),
    ("    of these, reading the inventory", "reconcile_{}_reading_s"),
    ("CPU of the whole process, s", "reconcile_{}_cpu_s"),
    ("peak memory, MB", "reconcile_{}_mb"),
    ("Tower calls", "reconcile_{}_tower_calls"),
    ("AWS calls", "reconcile_{}_aws_calls"),
)

ALONE = (
    ("a run of reconcile, 10,000 hosts, with the template's share of a CPU, s", "reconcile_10000_s_in_lambda"),
    ("a run of reconcile, 10,000 hosts, all described, s", "reconcile_10000_described_s"),
    ("    with the template's share of a CPU, s", "reconcile_10000_described_s_in_lambda"),
    ("    its peak memory, MB", "reconcile_10000_described_mb"),
    ("reading 10,000 hosts from the list API, s", "list_walk_10000_s"),
    ("    times as long as the run of reconcile that found 1 % drifted", "reconcile_run_speedup_vs_list"),
    ("reconciling 10,000 hosts every 5 minutes, USD a month", "usd_reconcile_10000_per_month"),
    ("ms per instance, 100 launches, with the template's share of a CPU", "ms_per_instance_100_in_lambda"),
    ("ms per instance, 1,000 launches, likewise", "ms_per_instance_1000_in_lambda"),
    ("result readable to CONTINUE, p95, likewise, s", "result_to_continue_p95_s_in_lambda"),
    ("requests that Tower had in hand at once, 1,000 launches", "requests_at_once_1000"),
    ("Tower calls per instance, to in service, scale-outs of 1, 10, 100", "tower_calls_per_instance_111"),
    ("ms per terminated instance", "ms_per_terminated_instance"),
    ("Tower calls per terminated instance", "tower_calls_per_terminated_instance"),
    ("cold start of register, ms, with a whole CPU", "cold_start_ms_register"),
    ("    its floor, ms", "cold_start_floor_ms_register"),
    ("    its floor with a compiled layer, ms", "cold_start_compiled_floor_ms_register"),
    ("cold start of gate, ms", "cold_start_ms_gate"),
    ("    its floor, ms", "cold_start_floor_ms_gate"),
    ("    its floor with a compiled layer, ms", "cold_start_compiled_floor_ms_gate"),
    ("cold start of cleanup, ms", "cold_start_ms_cleanup"),
    ("    its floor, ms", "cold_start_floor_ms_cleanup"),
    ("    its floor with a compiled layer, ms", "cold_start_compiled_floor_ms_cleanup"),
    ("cold start / floor, the largest of these", "cold_start_ratio_max"),
    ("CPU of the whole process for 100 instances, register, ms", "cpu_ms_register_100"),
    ("CPU of the whole process for 100 instances, gate, ms", "cpu_ms_gate_100"),
    ("CPU of the whole process for 100 instances, cleanup, ms", "cpu_ms_cleanup_100"),
    ("CPU of our own code for 100 instances, register, ms", "own_cpu_ms_register_100"),
    ("CPU of our own code for 100 instances, gate, ms", "own_cpu_ms_gate_100"),
    ("CPU of our own code for 100 instances, cleanup, ms", "own_cpu_ms_cleanup_100"),
    ("peak memory of register, MB", "memory_mb_register"),
    ("peak memory of gate, MB", "memory_mb_gate"),
    ("peak memory of cleanup, MB", "memory_mb_cleanup"),
    ("requests in a cycle of 100 instances", "cycle_requests"),
    ("a cycle of 100 instances, s", "cycle_s"),
    ("    the least possible, s", "cycle_least_s"),
    ("state transitions of a cycle of 100 instances", "cycle_state_transitions"),
    ("list price of a cycle of 100 instances, USD", "usd_per_cycle"),
    ("    of these, state transitions, USD", "usd_state_transitions_per_cycle"),
    ("cold starts of 1,000 lifecycles that come one at a time, USD", "usd_cold_starts_of_1000"),
    ("whatever the load, USD a month", "usd_standing_per_month"),
)

BAKES = (
    ("a bake, s", "bake_s"),
    ("    AWS calls of a bake", "bake_aws_calls"),
    ("    Tower calls", "bake_tower_calls"),
    ("    invocations of its function", "bake_invocations"),
    ("    state transitions", "bake_state_transitions"),
    ("hours of builder and smoke instance together", "bake_instance_hours"),
    ("list price of a bake, USD", "usd_per_bake"),
    ("    of these, builder and smoke instance, USD", "usd_instances_per_bake"),
    ("    of these, state transitions, USD", "usd_state_transitions_per_bake"),
    ("snapshots of one image, GB", "bake_image_gb"),
    ("    their storage, USD a month", "usd_image_per_month"),
    ("retention of 1,000 images and 10,000 versions in one run, s", "retention_s"),
    ("    with the template's share of a CPU, s", "retention_s_in_lambda"),
    ("    CPU of the whole process, s", "retention_cpu_s"),
    ("    AWS calls of retention", "retention_aws_calls"),
    ("    peak memory, MB", "retention_mb"),
    ("    memory in the template, MB", "bake_memory_mb"),
)


@dataclass(frozen=True)
class Table:
    """Rows of text below a header."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def missed_goals(figures: Figures) -> list[str]:
    """The goals that were missed, as sentences; against the model, one that was not measured is missed too."""
    met = {goal: goal.met(figures) for goal in GOALS if goal.counts(figures)}
    return [
        f"{goal.words}: {_number(figures.get(goal.key))}, and the goal is {goal.bound(figures)}"
        for goal, is_met in met.items()
        if is_met is False or (is_met is None and figures.get("server") == MODEL)
    ]


def tables(figures: Figures) -> list[Table]:
    """All that was measured and is worth looking at."""
    shown = (
        _goals(figures),
        _scale_outs(figures),
        _reconcile(figures),
        _alone("A bake, and retention", BAKES, figures),
        _alone("More", ALONE, figures),
        _memory(figures),
    )
    return [each for each in shown if each.rows]


def _goals(figures: Figures) -> Table:
    rows = []
    for goal in GOALS:
        if (met := goal.met(figures)) is None:
            continue
        beside = figures.get(goal.beside, goal.beside or NONE)
        verdict = ("yes" if met else "NO") if goal.counts(figures) else NONE
        rows.append((goal.words, _number(figures[goal.key]), goal.bound(figures), verdict, _number(beside)))
    return Table("Goals", ("figure", "Rollcall", "goal", "met", "per-instance way, eight-wide (100)"), tuple(rows))


def _scale_outs(figures: Figures) -> Table:
    rows = []
    for words, key, *others in SCALE_OUT_ROWS:
        cells = [figures.get(key.format(size)) for size in SIZES]
        if any(cell is not None for cell in cells):
            shown = [*cells, *(figures.get(other) for other in others)]
            rows.append((words, *(NONE if cell is None else _number(cell) for cell in shown)))
    header = ("scale-out of", *(f"{size:,}" for size in SIZES), "one at a time", "eight-wide")
    return Table("Scale-outs, beside the per-instance ways", header, tuple(rows))


def _reconcile(figures: Figures) -> Table:
    rows = []
    for words, key in RECONCILE_ROWS:
        cells = [figures.get(key.format(hosts)) for hosts in RECONCILED]
        if any(cell is not None for cell in cells):
            rows.append((words, *(NONE if cell is None else _number(cell) for cell in cells)))
    header = ("managed hosts", *(f"{hosts:,}" for hosts in RECONCILED))
    return Table("A run of reconcile, one host in a hundred drifted", header, tuple(rows))


def _alone(title: str, known: Sequence[tuple[str, str]], figures: Figures) -> Table:
    """Figures that stand by themselves. known: their words, and keys."""
    rows = [(words, _number(figures[key])) for words, key in known if key in figures]
    return Table(title, ("figure", "Rollcall"), tuple(rows))


def _memory(figures: Figures) -> Table:
    rows = []
    for name in ("register", "gate", "cleanup"):
        if f"cheapest_memory_mb_{name}" in figures:
            cells = [figures.get(f"usd_{name}_at_{size}_mb") for size in MEMORY_SIZES]
            prices = [NONE if cell is None else _number(cell) for cell in cells]
            has, best = (_number(figures[f"{key}_mb_{name}"]) for key in ("memory_size", "cheapest_memory"))
            rows.append((name, has, best, *prices))
    header = ("function", "MB now", "cheapest", *(f"{size} MB" for size in MEMORY_SIZES))
    return Table("Lambda's price of 1,000 lifecycles by memory, USD", header, tuple(rows))


def _number(value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or NONE
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def markdown(table: Table) -> str:
    """A table in Markdown."""
    lines = [f"**{table.title}**", "", _line(table.header), _line(["---", *["---:"] * (len(table.header) - 1)])]
    return "\n".join([*lines, *map(_line, table.rows), ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.strip() for cell in cells)} |"


def drawn(table: Table) -> RichTable:
    """A table for a terminal."""
    shown = RichTable(title=table.title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number, name in enumerate(table.header):
        shown.add_column(name, justify="right" if number else "left", header_style="bold")
    for row in table.rows:
        shown.add_row(*(Text(cell, {"yes": "green", "NO": "bold red"}.get(cell, "")) for cell in row))
    return shown
