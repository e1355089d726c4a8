"""How thoroughly tests look at the properties that they hold, and which of them run beside each other."""

from __future__ import annotations

import gc
import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

# Examples of a property; a test that wants more or fewer says so as a multiple of what holds here. CI runs both.
settings.register_profile("quick", max_examples=6, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=30, deadline=None, derandomize=True)
settings.load_profile("quick")

STACK = "tests/stack/"
TOGETHER = re.compile(r"^@pytest\.fixture\(scope=\"module\"|^def cloud\(", re.MULTILINE)  # what a file's tests share


class StackScheduling(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives each file to one worker, and of the stack tests each by itself where its file shares nothing.

    They mostly wait, and one worker's are one after another on its deployment: so no worker is left with a long file.
    """

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return nodeid if file.startswith(STACK) and not self._together(file) else file

    @cache  # noqa: B019 - there is one scheduler in a run
    def _together(self, file: str) -> bool:
        return TOGETHER.search((Path(self.config.rootpath) / file).read_text()) is not None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> StackScheduling | None:
    return StackScheduling(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_configure() -> None:
    """Nothing is garbage of what collecting thousands of tests makes: to search it takes a sixth of the time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What was collected stays, and is searched no more."""
    gc.freeze()
    gc.enable()
