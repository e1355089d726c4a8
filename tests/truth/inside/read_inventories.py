"""Run by an ansible-core's own Python: what it makes of inventories, and which names it keeps to itself.

Reads a JSON list of cases, each with a `script` that prints an inventory, `files` beside it by path, `variables` and
`limits` to look at; prints what a playbook would find in each, or without any the names that have a meaning.
"""

from __future__ import annotations

import json
import re
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

import ansible
import yaml
from ansible import constants
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play import Play
from ansible.playbook.task import Task
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar
from ansible.utils.display import Display
from ansible.vars.manager import VariableManager
from ansible.vars.reserved import get_reserved_names

DOCUMENTATION = re.compile(r"DOCUMENTATION\s*=\s*r?(\"\"\"|''')(.*?)\1", re.DOTALL)


def read(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What a play on all hosts finds: the hosts with their variables and groups, and whom limits let in."""
    script = folder / "hosts"
    script.write_text(case["script"])
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    for name, text in case["files"].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    loader = DataLoader()
    loader.set_basedir(str(folder))
    inventory = InventoryManager(loader=loader, sources=[str(script)])
    variables = VariableManager(loader=loader, inventory=inventory)
    play = Play().load({"name": "p", "hosts": "all", "gather_facts": False, "tasks": []}, variables, loader)
    task = Task.load({"debug": {}}, variable_manager=variables, loader=loader)
    found = {}
    for name, host in inventory.hosts.items():
        own = variables.get_vars(play=play, host=host, task=task)
        templar = Templar(loader=loader, variables=own)
        found[name] = {key: templar.template(own[key]) for key in [*case["variables"], "group_names"] if key in own}
    return {
        "hosts": found,
        "limited": {limit: sorted(host.name for host in inventory.get_hosts(limit)) for limit in case["limits"]},
    }


def answer(case: dict[str, Any]) -> dict[str, Any]:
    """The same as JSON, or the error that a job would end with."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = read(case, Path(folder))
            return json.loads(json.dumps(found, default=repr))
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the job
            return {"error": f"{type(error).__name__}: {error}"}


def steering() -> set[str]:
    """The variables by which plugins and the configuration are set."""
    found = {name for names in constants.MAGIC_VARIABLE_MAPPING.values() for name in names}
    base = Path(ansible.__file__).parent
    texts = [(base / "config" / "base.yml").read_text()]
    texts += [path.read_text() for path in base.glob("plugins/**/*.yml")]
    for path in base.glob("plugins/**/*.py"):
        texts += [match[2] for match in DOCUMENTATION.finditer(path.read_text())]
    for text in texts:
        _collect(yaml.safe_load(text), found)
    return found


def _collect(value: Any, found: set[str]) -> None:
    if isinstance(value, dict):
        named = value.get("vars")
        if isinstance(named, list):
            found.update(each["name"] for each in named if isinstance(each, dict) and "name" in each)
        for each in value.values():
            _collect(each, found)
    elif isinstance(value, list):
        for each in value:
            _collect(each, found)


def main() -> None:
    init_plugin_loader([])
    Display.display = lambda *given, **named: None
    cases = json.load(sys.stdin)
    json.dump({"answers": [answer(each) for each in cases], "knows": {} if cases else knows()}, sys.stdout)


def knows() -> dict[str, list[str]]:
    """The names that have a meaning, by their kind."""
    return {
        "keywords": sorted(get_reserved_names()),
        "special": sorted(constants.INTERNAL_STATIC_VARS),
        "functions": sorted(Templar(loader=DataLoader(), variables={}).environment.globals),
        "steering": sorted(steering()),
        "control_node": list(constants.LOCALHOST),
    }


if __name__ == "__main__":
    main()
