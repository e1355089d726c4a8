"""How thoroughly tests look at the properties that they hold, and which of them run beside each other."""

from __future__ import annotations

import gc
import re
from functools import cached_property
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

# Examples of a property; a test that wants more or fewer says so as a multiple of what holds here. CI runs both.
settings.register_profile("quick", max_examples=6, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=50, deadline=None, derandomize=True)
settings.load_profile("quick")

STACK = "tests/stack/"
OWN_CLOUD = re.compile(r"^def cloud\((?P<of>full_cloud)?", re.MULTILINE)  # in a file that does not take conftest's


class FewDeployments(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives each file to one worker, and all stack tests that can share a deployment to the same few."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return self._deployments.get(file, file)

    @cached_property
    def _deployments(self) -> dict[str, str]:
        """What each file of the stack tests shares, or the file itself."""
        deployments: dict[str, str] = {}
        numbers, shared = count(), self.config.getoption("shared_deployments")
        for file in sorted({super(FewDeployments, self)._split_scope(each) for each in self.collection}):
            if file.startswith(STACK):
                own = OWN_CLOUD.search((Path(self.config.rootpath) / file).read_text())
                if own is None:
                    deployments[file] = f"shared {next(numbers) % shared}"
                elif own["of"]:
                    deployments[file] = own["of"]
        return deployments


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shared-deployments", type=int, help="of all stack tests that need nothing special of theirs")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FewDeployments | None:
    return FewDeployments(config, log) if config.getoption("shared_deployments") else None


def pytest_configure() -> None:
    """Nothing is garbage of what collecting thousands of tests makes: to search it takes a sixth of the time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What was collected stays, and is searched no more."""
    gc.freeze()
    gc.enable()
