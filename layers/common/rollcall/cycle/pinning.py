"""A group that is pinned for a cycle: set from $Latest or $Default to a number, and back. Pure.

AWS rolls no group back that is on an alias (user guide, "Roll back changes with an instance refresh"). So for a cycle
that asks for it the group is first set to the number that its instances run. The tag rollcall:cycle-pinned is the whole
record of that: it is written before the group is changed, and removed after it was put back.
"""

from __future__ import annotations

from typing import NamedTuple

from rollcall.domain.version_aliases import DEFAULT_VERSION, LATEST_VERSION

from .request import Follow

ALIASES = {"latest": LATEST_VERSION, "default": DEFAULT_VERSION}  # values of tags hold no $


class Pin(NamedTuple):
    """What a pinned group had before: an alias. follow: what is to become of it. cycle: the execution's name."""

    alias: str
    follow: Follow
    cycle: str

    def written(self) -> str:
        """As the value of the tag."""
        word = next(word for word, alias in ALIASES.items() if alias == self.alias)
        return f"{word} {self.follow} {self.cycle}"


def read_pin(value: str) -> Pin | None:
    """The pin in a value of the tag; None for one that no cycle wrote."""
    words = value.split()
    if len(words) != 3 or words[0] not in ALIASES or words[1] not in tuple(Follow):
        return None
    return Pin(ALIASES[words[0]], Follow(words[1]), words[2])


class Unpinning(NamedTuple):
    """Whether a group gets its alias back, and what operators should know of that."""

    restores: bool
    words: str


def unpinning(pin: Pin, runs: str, resolved: str) -> Unpinning:
    """What becomes of a pinned group. runs: the number it is on now. resolved: the number that its alias stands for.

    An alias that stands for another version would have the next scale-out launch what the cycle did not bring.
    """
    if runs == pin.alias:  # an earlier try has restored it
        return Unpinning(False, f"the group is on {pin.alias} again, which is version {resolved}")
    if pin.follow == Follow.NUMBER:
        return Unpinning(False, f"the group stays on version {runs}, as asked for, and was on {pin.alias} before")
    if resolved == runs:
        return Unpinning(True, f"the group is on {pin.alias} again, which is version {runs}")
    return Unpinning(
        False,
        f"the group stays on version {runs}: {pin.alias}, on which it was before, is version {resolved} now, and the "
        "next instance would be launched with that",
    )
