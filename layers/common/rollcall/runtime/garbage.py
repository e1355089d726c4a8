"""Rare searches for garbage: imported before all libraries, so that a cold start is over before the first search.

What a cold start makes stays: modules, classes, and what AWS's clients know of their services. Python searches all of
it for garbage forty times meanwhile, which takes an eighth of the start's CPU.
"""

import gc

OBJECTS = 200_000  # that come between two searches; a cold start of register makes 140,000, a third of them garbage

gc.set_threshold(OBJECTS)
