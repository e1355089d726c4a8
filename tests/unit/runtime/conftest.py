"""A function as Lambda calls it, with the world's clients in the place of its own."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.runtime.batch import BatchProcessor
from unit.world import OWN_QUEUE

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.world import World

FUNCTIONS = Path(__file__).parents[3] / "functions"
type Handle = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def function(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Handle]:
    """A function by its name, with the world's clients and event bus in the place of its own."""
    monkeypatch.setenv("REMOVE_AT_MOST_PERCENT", "20")
    here = SimpleNamespace(
        settings=world.settings,
        tower=world.tower,
        fleets=world.fleets,
        queues=world.queues,
        processor=lambda announcer: BatchProcessor(OWN_QUEUE, world.fleets, world.queues, announcer),
    )
    context: Any = SimpleNamespace(
        function_name="any",
        memory_limit_in_mb=256,
        invoked_function_arn="arn",
        aws_request_id="1",
        get_remaining_time_in_millis=lambda: 60_000,
    )

    def load(name: str) -> Handle:
        app = _load(name)
        monkeypatch.setattr(app, "installation", lambda context: here, raising=False)
        if hasattr(app, "chef"):
            monkeypatch.setattr(app, "chef", lambda context: None)
        monkeypatch.setattr(app.announcer, "_bus", world.bus)
        return lambda event: dict(app.handler(event, context))

    return load


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_app", FUNCTIONS / name / "app.py")
    assert spec
    assert spec.loader
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    return app
