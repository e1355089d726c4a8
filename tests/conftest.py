"""How thoroughly tests look at the properties that they hold, and which of them run beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

# Examples of a property; a test that wants more or fewer says so as a multiple of what holds here.
settings.register_profile("quick", max_examples=10, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=50, deadline=None, derandomize=True)
settings.load_profile("quick")

STACK = "tests/stack/"
OWN_DEPLOYMENT = "\ndef cloud("  # in a file whose tests do not share conftest's


class SharedDeployment(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives each file to one worker, and all files that share a deployment to the same, so that there is only one."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        shares = file.startswith(STACK) and OWN_DEPLOYMENT not in (Path(self.config.rootpath) / file).read_text()
        return STACK if shares else file


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--one-deployment", action="store_true", help="all stack tests that can share a deployment do")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SharedDeployment | None:
    return SharedDeployment(config, log) if config.getoption("one_deployment") else None
