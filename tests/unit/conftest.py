"""Unit tests open no sockets, and know no AWS account."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import botocore.session
import pytest

from rollcall.tower.client import Tower
from unit.audience import Audience
from unit.wire import Vault, Wire
from unit.world import World

# moto makes each test a session of its own, which would read what botocore knows of each service anew,
botocore.session.create_loader = cache(botocore.session.create_loader)
# and its EC2 reads its hundreds of images for each test unless it is given others before it is imported.
os.environ["MOTO_AMIS_PATH"] = str(Path(__file__).parent / "aws" / "images.json")


@pytest.fixture(autouse=True)
def _closed_sockets(request: pytest.FixtureRequest) -> None:
    """Sockets stay closed, but for a test that listens on this machine itself (fixture listen)."""
    if "listen" not in request.fixturenames:
        request.getfixturevalue("socket_disabled")


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


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
