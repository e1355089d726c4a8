"""reference/errors.md: the names of errors in logs, events and incidents, from domain/errors.py."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

from rollcall.domain import errors
from rollcall.telemetry.event_details import INSTANCE_IN_TROUBLE
from rollcall.telemetry.reconcile_details import BREAKER_TRIPPED

from .markdown import code, page, sentence, summary, table

if TYPE_CHECKING:
    from collections.abc import Iterator

REMEDY = "Remedy: "
FIELD = re.compile(r"(?<=\.) [a-z_]+: .*")  # what a docstring says of the error's fields
INSTEAD = [  # in place of an error's name, where nothing failed
    (
        code(INSTANCE_IN_TROUBLE),
        "An instance waits for what does not come by itself, or serves or went without what it should have had.",
        "The message names what to examine.",
    ),
    (
        code(BREAKER_TRIPPED),
        "Reconcile would have removed too much, and removed nothing.",
        "[Look at the list](../operate/reconcile.md#the-removal-limit).",
    ),
]
ABOUT = """\
The names stand in log lines, in events and in incidents. The message beside the name says what is wrong in this case,
and the remedy.
"""


def write() -> str:
    """The page."""
    header = ["name", "meaning", "remedy"]
    return page(
        "Names of errors",
        "domain/errors.py",
        ABOUT,
        "## What passes by itself",
        "Tried again for as long as a hook waits for it.",
        table(header, _kinds(errors.Transient)),
        "## What an operator has to fix",
        "Tried again for an hour, then moved to the dead-letter queue.",
        table(header, _kinds(errors.Permanent)),
        "## In place of an error",
        table(header, INSTEAD),
    )


def _kinds(above: type[errors.RollcallError]) -> Iterator[tuple[str, str, str]]:
    own = [each for each in vars(errors).values() if isinstance(each, type) and each.__bases__[0] is above]
    for each in own:
        yield code(each.__name__), sentence(FIELD.sub("", summary(each))), _remedy(each)
        for name, meaning, remedy in _kinds(each):
            yield f"{name} ({_article(each.__name__)} {code(each.__name__)})", meaning, remedy


def _article(name: str) -> str:
    return "an" if name[0] in "AEIOU" else "a"


def _remedy(kind: type[errors.RollcallError]) -> str:
    paragraphs = [" ".join(each.split()) for each in (inspect.getdoc(kind) or "").split("\n\n")]
    [remedy] = [each.removeprefix(REMEDY) for each in paragraphs if each.startswith(REMEDY)]
    return sentence(remedy)
