"""What is printed once a run about an emergency is over: what was let in, what is unproven, what is left to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from rollcall_cli.screen import console, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .letting_in import LettingIn
    from .run import Unproven


@dataclass(frozen=True)
class Answer:
    """missing: hooks that are recorded and gone. unknown: hooks of which it is not recorded how they were.

    way_back: the command that ends the emergency; empty once it is over.
    """

    group: str
    letting: LettingIn
    found: Unproven
    missing: Sequence[str] = ()
    unknown: Sequence[str] = ()
    way_back: str = ""


def show(answer: Answer, *, as_json: bool) -> None:
    """Print it."""
    if as_json:
        print_json(
            {
                "group": answer.group,
                "in_emergency": bool(answer.way_back),
                "let_in": sorted(answer.letting.launched),
                "let_go": sorted(answer.letting.terminated),
                "held_by_others": sorted(answer.letting.still_held),
                "unproven": answer.found.reasons,
                "doubt": answer.found.doubt,
                "not_restored": [*answer.missing, *answer.unknown],
            }
        )
        return
    console().print(f"Let in {len(answer.letting.launched):,}, let go {len(answer.letting.terminated):,}.")
    if answer.letting.still_held:
        _line(f"Still held, by hooks that are not Rollcall's: {', '.join(sorted(answer.letting.still_held))}")
    _show_unproven(answer.found)
    for each in answer.missing:
        _line(f"Hook {each} is gone, so it was not put back.")
    for each in answer.unknown:
        _line(f"How hook {each} was is not known, so it was left as it is: rollcall doctor checks it.")
    if answer.way_back:
        _line(f"Group {answer.group!r} stays in the emergency until: {answer.way_back}", "bold")
    elif answer.unknown:
        _line(f"Group {answer.group!r} has lost the tag of the emergency, but hooks of it may let in unproven.", "bold")
    else:
        _line(f"Group {answer.group!r} is in no emergency any more.", "bold")


def _show_unproven(found: Unproven) -> None:
    if found.doubt:
        _line(f"What is proven is not known for certain: {found.doubt}")
    if found.reasons:
        _line(f"{len(found.reasons):,} serve that nothing has proven:", "bold")
        for each, reason in found.reasons.items():
            _line(f"  {each}: {reason}")
    elif not found.doubt:
        _line("No instance serves that nothing has proven, of those that came since it began, or waited then.")


def _line(words: str, style: str = "") -> None:
    console().print(Text(words), soft_wrap=True, style=style)
