"""The embedded Tower's events are those that ansible-runner reports of the same playbook on the newest ansible-core."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from lab.tower.plays import Playbook, run_playbook

from .environments import run_playbook as really_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FATES = {"i-1": "ok", "i-2": "ok", "i-3": "failed", "i-4": "dark", "i-5": "ok"}
FINE = dict.fromkeys(FATES, "ok")

type Step = tuple[str, Counter[tuple[str, str]]]


def steps(events: Iterable[tuple[str, str, str]]) -> list[Step]:
    """What starts, plays and tasks, in its order, and with each what happens on hosts, in whatever order."""
    found: list[Step] = []
    for kind, task, host in events:
        if host:
            found[-1][1][kind, host] += 1
        else:
            found.append((f"{kind} {task}", Counter()))
    return found


@pytest.mark.parametrize(
    ("playbook", "fates"),
    [
        (Playbook(), FINE),
        (Playbook(), FATES),
        (Playbook(fatal=True), FATES | {"i-4": "ok"}),
        (Playbook(fatal=True, always=True), FATES | {"i-4": "ok"}),
        (Playbook(fatal=True, always=True), FATES),
        (Playbook(rescue=True, always=True), FATES),
        (Playbook(once=True, always=True, handler=True), FATES),
        (Playbook(once=True, fatal=True, always=True, handler=True), FATES | {"i-4": "ok"}),
        (Playbook(serial=2, handler=True), FATES | {"i-4": "failed"}),
        (Playbook(serial=2, handler=True), FATES),
        (Playbook(serial=2, fatal=True), FATES | {"i-4": "ok"}),
        (Playbook(ignores=True, handler=True), FATES),
    ],
)
def test_a_playbook_has_the_events_that_it_really_has(
    playbook: Playbook, fates: Mapping[str, str], tmp_path: Path
) -> None:
    for host, fate in fates.items():
        if fate == "dark":
            (tmp_path / host).touch()
    hosts = {host: {"fate": fate, "ansible_connection": "dark"} for host, fate in fates.items()}
    real = really_run("newest", playbook.text, hosts, environment={"DARK": str(tmp_path)})
    made_up = run_playbook(playbook, fates)
    assert steps((each.kind, each.task, each.host) for each in made_up.events) == steps(
        (
            each["event"],
            each["event_data"].get("handler") or each["event_data"].get("task", ""),
            each["event_data"].get("host", ""),
        )
        for each in real.events
    )
    started = [each for each in real.events if each["event"] == "playbook_on_task_start"]
    for mine, theirs in zip(
        [each for each in made_up.events if each.kind == "playbook_on_task_start"], started, strict=True
    ):
        assert mine.is_handler == theirs["event_data"]["is_conditional"]
        assert theirs["event_data"]["task_path"].endswith(f"site.yml:{playbook.line_of(mine.task)}")
    fine = set(fates.values()) == {"ok"} or (playbook.ignores and "failed" not in fates.values())
    assert (real.status == "successful") == fine
    [stats] = [each["event_data"] for each in real.events if each["event"] == "playbook_on_stats"]
    assert stats["processed"].keys() == made_up.begun
