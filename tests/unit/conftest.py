"""Unit tests open no sockets, and know no AWS account."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.hooks
import botocore.session
import pytest
import typer.main
from pytest_socket import disable_socket

from rollcall.tower.client import Tower
from unit.audience import Audience
from unit.wire import Vault, Wire
from unit.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

# Typer puts every command together again for each command line that is read,
typer.main.get_command = cache(typer.main.get_command)
# moto makes each test a session of its own, which would read what botocore knows of each service anew,
botocore.session.create_loader = cache(botocore.session.create_loader)
# and each client would find out anew what its events are called by now,
EventAliaser: Any = botocore.hooks.EventAliaser  # whose method is not in its types
name_by_now = EventAliaser(None)._alias_event_name
EventAliaser._alias_event_name = lambda _, name: name_by_now(name)
# and its EC2 reads its hundreds of images for each test unless it is given others before it is imported.
os.environ["MOTO_AMIS_PATH"] = str(Path(__file__).parent / "aws" / "images.json")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Sockets stay closed, but for a test that listens on this machine itself (fixture listen)."""
    if "listen" not in getattr(item, "fixturenames", ()):
        disable_socket()


@pytest.fixture(scope="session", autouse=True)
def _no_account() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.delenv("AWS_PROFILE", raising=False)
        yield


@pytest.fixture
def world() -> World:
    """A world with the group "web", which asks for a job, and nothing in it yet."""
    made = World()
    made.group("web")
    return made


@pytest.fixture
def audience(world: World, capsys: pytest.CaptureFixture[str]) -> Audience:
    """Whoever a function "unit" reports to."""
    return Audience(world.tower, capsys)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """What takes the place of every connection to Tower."""
    return Wire().install(monkeypatch)


@pytest.fixture
def vault() -> Vault:
    """Where the connection's token comes from."""
    return Vault()


@pytest.fixture
def tower(wire: Wire, vault: Vault) -> Tower:
    """The client under test, at the end of the wire."""
    return Tower("https://tower.example.com", vault)
