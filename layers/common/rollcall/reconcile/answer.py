"""What a run of reconcile answers: its outcome as JSON. The details of its events are made of it too."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rollcall.domain.answer_limit import cut_to_answer_limit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rollcall.domain.inventories import Inventory

    from .result import RunOutcome
    from .steps import NodeRemoval

type Json = dict[str, Any]

LISTED_MAX = 2000  # of each kind


def run_answer(outcome: RunOutcome, due: Sequence[Json] = (), *, dry_run: bool, seconds: float) -> Json:
    """A run's answer. due: an entry for each cycle and bake that is due by tags. Its fields:

    failed: the removal limit stopped something, or something failed: the operator has to act. seconds: the run took.
    inventories: the summary of each. nodes: numbers of those in Chef. steps: what was done, each with the id of the
    job that was launched on its instance, or null; in a dry run what would be done.
    instances: for each that was requested, whether it is settled, and why (not): see result.InstanceResult.
    findings: what the operator should know, and nothing was done about. stopped: removals that the removal limit did
    not let through. troubles: what failed, and why. due: as given. left: steps left to the next run. left_out: how many
    more of a list there are, for long ones are cut.
    """
    nodes = outcome.nodes
    about: dict[str, list[Any]] = {
        "inventories": [
            _named(inventory) | asdict(summary) | {"seconds": round(summary.seconds, 3)}
            for inventory, summary in outcome.by_inventory.items()
        ],
        "instances": [(each, asdict(answer)) for each, answer in outcome.instance_results.items()],
    }
    lists = _lists(outcome, dry_run=dry_run) | {"due": list(due)}
    kept = cut_to_answer_limit(about | {name: each[:LISTED_MAX] for name, each in lists.items()})
    left_out = {name: len(each) - len(kept[name]) for name, each in (about | lists).items()}
    return {
        "failed": bool(outcome.stopped or nodes.stopped or outcome.errors),
        "dry_run": dry_run,
        "seconds": round(seconds, 3),
        **kept,
        "instances": dict(kept["instances"]),
        "nodes": {"ours": nodes.plan.ours, "removed": len(nodes.removed)},
        "left": outcome.left,
        "left_out": {name: number for name, number in left_out.items() if number},
    }


def _lists(outcome: RunOutcome, *, dry_run: bool) -> dict[str, list[Any]]:
    """Those of an answer that may be long."""
    return {
        "steps": _planned(outcome) if dry_run else drift_fixed(outcome),
        "findings": [
            {**_named(each.inventory), "kind": each.kind, "subject": each.subject, "reason": each.reason}
            for each in outcome.plan.findings
        ],
        "stopped": [
            *({**_step("remove", each), "host": each.host.name} for own in outcome.stopped.values() for each in own),
            *_node_steps("remove from Chef", outcome.nodes.stopped),
        ],
        "troubles": [
            {"what": what, "error": type(error).__name__, "message": str(error)}
            for what, error in outcome.errors.items()
        ],
    }


def drift_fixed(outcome: RunOutcome) -> list[Json]:
    """The detail of an event for each step that was taken."""
    nodes = _node_steps("removed from Chef", outcome.nodes.removed)
    return [
        *({**_step(each.step, each), "job": each.job} for each in outcome.fixes),
        *({**each, "job": None} for each in nodes),
    ]


def _planned(outcome: RunOutcome) -> list[Json]:
    plan = outcome.plan
    return [
        *_steps("remove", plan.removals),
        *(_step("fix and provision" if each.provision else "fix", each) for each in plan.changes),
        *(_step("add and provision" if each.provision else "add", each) for each in plan.additions),
        *_steps("requeue", plan.requeues),
        *_node_steps("remove from Chef", outcome.nodes.plan.removals),
    ]


def _steps(action: str, steps: Iterable[Any]) -> list[Json]:
    return [_step(action, each) for each in steps]


def _step(action: str, step: Any) -> Json:
    about = {"group": step.group, "instance_id": step.instance_id, "reason": step.reason}
    return {"step": action, **_named(step.inventory), **about}


def _node_steps(action: str, removals: Iterable[NodeRemoval]) -> list[Json]:
    return [
        {"step": action, "node": each.node, "instance_id": each.instance_id, "reason": each.reason} for each in removals
    ]


def _named(inventory: Inventory) -> Json:
    return {"inventory": inventory.name, "inventory_id": inventory.id}
