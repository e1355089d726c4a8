"""A run of the stack's reconcile, and its answer."""

from __future__ import annotations

from typing import Any

from rollcall_cli.stack import invoke, of_another_version

type Json = dict[str, Any]

RECONCILE = "ReconcileFunction"
LISTS = ("steps", "findings", "stopped", "troubles")


def answer_of(stack: str, request: Json) -> Json:
    """The answer of the stack's reconcile. Raises NotRun."""
    said = invoke(stack, RECONCILE, request)
    if not {"failed", "inventories", "instances", "nodes", *LISTS} <= said.keys():
        raise of_another_version(stack, RECONCILE, said)
    return said
