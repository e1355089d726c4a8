"""Questions that a command asks. Each has an option, so that everything also runs unattended."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from .running import NotRun

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHOWN_MAX = 30  # choices of a list; anything may be typed


@dataclass(frozen=True)
class Questions:
    """interactive: an operator is there to answer. agreed: the option --yes was given."""

    interactive: bool
    agreed: bool = False

    @classmethod
    def of(cls, *, yes: bool) -> Questions:
        """yes: the operator answered all of them by options. Nothing is asked where the input is no terminal either."""
        return cls(not yes and sys.stdin.isatty(), yes)

    def agree(self, question: str) -> bool:
        """Whether the operator agrees to what was shown. Raises NotRun where nothing says so."""
        return self.agreed or self.confirm(question, "--yes")

    def choose(self, title: str, choices: Sequence[str], option: str, *, none: str = "") -> str:
        """One of these, by its number or as it is; or anything else that is typed. Raises NotRun without an answer.

        none: what an empty answer means, in words; it is then what comes back empty.
        """
        if not self.interactive:
            raise NotRun(f"{title}: say it with {option}. Nothing was changed.")
        words = f"Number or name{f' (empty: {none})' if none else ''}"
        with _shown(title, option):
            typer.echo(title + ":", err=True)
            for number, each in enumerate(choices[:SHOWN_MAX], 1):
                typer.echo(f"  {number:>2}  {each}", err=True)
            if len(choices) > SHOWN_MAX:
                typer.echo(f"      and {len(choices) - SHOWN_MAX} more: type its name", err=True)
            while not (said := typer.prompt(words, default="", show_default=False, err=True).strip()) and not none:
                continue
        return choices[int(said) - 1] if said.isdecimal() and 0 < int(said) <= len(choices[:SHOWN_MAX]) else said

    def confirm(self, question: str, option: str, *, otherwise: bool | None = None) -> bool:
        """Yes or no; otherwise: the answer where nothing can be asked. Raises NotRun if that is None."""
        if self.interactive:
            with _shown(question, option):
                return typer.confirm(question, default=False, err=True)
        if otherwise is None:
            raise NotRun(f"{question} Say it with {option}. Nothing was changed.")
        return otherwise


@contextmanager
def _shown(question: str, option: str) -> Iterator[None]:
    """A question is put on stderr. Raises NotRun where that is closed."""
    try:
        yield
    except BrokenPipeError as error:
        raise NotRun(f"{question} Say it with {option}: stderr is closed.") from error
