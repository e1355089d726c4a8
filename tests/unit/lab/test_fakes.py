"""A fake that drifts from what it stands for proves nothing."""

from __future__ import annotations

import inspect
import socket

import pytest
from pytest_socket import SocketBlockedError

from unit.fakes import (
    FakeAnnouncer,
    FakeBus,
    FakeChef,
    FakeEvidence,
    FakeFleet,
    FakeFleets,
    FakeQueues,
    FakeTargets,
    FakeTower,
)
from unit.observed import FakeAwsReader

FAKES = [
    FakeTower,
    FakeEvidence,
    FakeChef,
    FakeFleet,
    FakeFleets,
    FakeTargets,
    FakeQueues,
    FakeBus,
    FakeAnnouncer,
    FakeAwsReader,
]


def _public_methods(kind: type) -> dict[str, object]:
    return {
        name: method for name, method in vars(kind).items() if inspect.isfunction(method) and not name.startswith("_")
    }


@pytest.mark.parametrize("fake", FAKES)
def test_a_fake_has_every_public_method_of_what_it_stands_for(fake: type) -> None:
    real: dict[str, object] = {}
    for kind in reversed(fake.__mro__[1:-1]):
        real |= _public_methods(kind)
    assert real
    for name, method in real.items():
        assert name in vars(fake), f"{fake.__name__} lacks {name}"
        assert inspect.signature(vars(fake)[name]).parameters == inspect.signature(method).parameters  # type: ignore[arg-type]


def test_sockets_are_closed() -> None:
    with pytest.warns(UserWarning, match="socket"), pytest.raises(SocketBlockedError):
        socket.create_connection(("127.0.0.1", 9))
