"""The environments themselves: which ansible-cores they hold, and that a host can be made unreachable in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from .environments import CORES, run_playbook

if TYPE_CHECKING:
    from pathlib import Path

SITE = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.debug: {var: ansible_version.full}
    - ansible.builtin.raw: "true"
"""


@pytest.mark.parametrize("core", CORES)
def test_a_playbook_runs_on_its_ansible_core_and_a_dark_host_is_unreachable(core: str, tmp_path: Path) -> None:
    (tmp_path / "i-b").touch()
    hosts = {"i-a": {}, "i-b": {"ansible_connection": "dark"}, "i-c": {"ansible_connection": "dark"}}
    run = run_playbook(core, SITE, hosts, environment={"DARK": str(tmp_path)})
    version = re.search(r'"ansible_version.full": "(\d+\.\d+)', run.output)
    assert version
    assert (version[1] == core) == (core != "newest")
    assert run.status == "failed"
    [stats] = [each["event_data"] for each in run.events if each["event"] == "playbook_on_stats"]
    assert stats["dark"] == {"i-b": 1}
    assert stats["ok"] == {"i-a": 2, "i-b": 1, "i-c": 2}
