"""reference/checks.md: the checks that a gate can make, from checks/registry.py and the modules of the checks."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING

from rollcall.checks import protocol
from rollcall.checks.probes import CHECK_TIMEOUT
from rollcall.checks.registry import NAMES, kind_named

from .markdown import NONE, code, codes, page, sentence, table

if TYPE_CHECKING:
    from collections.abc import Iterator

ABOUT = f"""\
The tag `rollcall:gate` names the checks that an instance has to pass before CONTINUE, separated by blanks. They begin
once the job is ok, and a check that does not pass is made again every few seconds, until `rollcall:timeout` is over. A
`tcp` or `http` check waits {CHECK_TIMEOUT:g} s for an answer.
"""


def write() -> str:
    """The page."""
    answers = [
        ("pass", protocol.Pass, "CONTINUE once all checks pass"),
        ("fail", protocol.Fail, "after the timeout ABANDON, or held where `rollcall:on-failure` says so"),
        (
            "inconclusive",
            protocol.Inconclusive,
            "never ABANDON: the instance is held after the timeout, and you are alerted",
        ),
    ]
    meant = [(name, (inspect.getdoc(kind) or "").partition(" state:")[0], then) for name, kind, then in answers]
    return page(
        "Checks",
        "checks/registry.py",
        ABOUT,
        table(["check", "passes when", "connects to the instance", "permissions"], _rows()),
        "## Answers",
        table(["answer", "meaning", "what comes of it"], meant),
        "A group behind load balancers: [Load balancers](../guides/load-balancers.md). Checks at private addresses "
        "need "
        "`SubnetIds`.",
    )


def _rows() -> Iterator[tuple[str, str, str, str]]:
    for name in NAMES:
        kind = kind_named(name)
        first = (import_module(f"rollcall.checks.{name}").__doc__ or "").partition("\n\n")[0]
        does = " ".join((inspect.getdoc(type(kind.read(*(["80", "/"][: kind.pattern.count("(")])))) or "").split())
        text = sentence(first.partition(": ")[2]) + " " + does
        yield (
            code(kind.form),
            text,
            "yes" if kind.connects else "no",
            codes(kind.permissions) if kind.permissions else NONE,
        )
