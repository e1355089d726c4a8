"""How thoroughly tests look at the properties that they hold."""

from __future__ import annotations

from hypothesis import settings

# Examples of a property; a test that wants more or fewer says so as a multiple of what holds here.
settings.register_profile("quick", max_examples=10, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=50, deadline=None, derandomize=True)
settings.load_profile("quick")
