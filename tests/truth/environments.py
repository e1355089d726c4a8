"""The real ansible-cores that tests hold us to, each in an environment of its own with hashed requirements.

    run = run_playbook("2.16", "- hosts: all ...", {"i-a": {"port": 1}, "i-b": {}})

AWX 24 runs ansible-core 2.16 by default, which knows no Python newer than 3.12; the newest one is what execution
environments are built with today. `python -m truth.environments` makes both environments; whoever runs a playbook has
them made too. They need a Python 3.12 (on the PATH, of pyenv's, or one that uv finds) and a package registry.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PLUGINS = HERE / "plugins"
CORES = {"2.16": "3.12", "newest": "3.13"}  # the requirements of each, and the Python that it runs on
SECONDS = 600  # for one playbook; a hanging one is a failure


@dataclass(frozen=True)
class Run:
    """What became of a playbook run.

    status: as AWX names it, "successful" or "failed". events: as ansible-runner hands them to AWX, by their counter.
    output: what Tower shows a person.
    """

    status: str
    events: tuple[dict[str, Any], ...]
    output: str


def run_playbook(
    core: str,
    playbook: str,
    hosts: Mapping[str, Mapping[str, object]],
    *,
    files: Mapping[str, str] | None = None,
    groups: Mapping[str, list[str]] | None = None,
    environment: Mapping[str, str] | None = None,
    arguments: tuple[str, ...] = (),
) -> Run:
    """Run a playbook's text through ansible-runner, as AWX does, with five forks.

    core: one of CORES. hosts: their variables, by name; they are connected to locally unless those say otherwise, and
    `ansible_connection: dark` fails as long as a file of the host's name is in the directory that the environment's
    variable DARK names. files: what else the project holds, by path. groups: inventory groups and their hosts.
    arguments: of ansible-playbook.
    """
    with tempfile.TemporaryDirectory() as folder:
        private = Path(folder)
        project = private / "project"
        for name, text in {"site.yml": playbook, **(files or {})}.items():
            path = project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        inventory = private / "inventory" / "hosts.json"
        inventory.parent.mkdir()
        inventory.write_text(json.dumps(inventory_of(hosts, groups or {})))
        return run_project(core, private, environment or {}, arguments)


def inventory_of(hosts: Mapping[str, Mapping[str, object]], groups: Mapping[str, list[str]]) -> dict[str, Any]:
    """An inventory for Ansible's own YAML plugin, which reads JSON too."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    children = {name: {"hosts": dict.fromkeys(members)} for name, members in groups.items()}
    return {"all": {"hosts": {name: local | dict(own) for name, own in hosts.items()}, "children": children}}


def run_project(core: str, private: Path, environment: Mapping[str, str], arguments: tuple[str, ...] = ()) -> Run:
    """Run site.yml of a prepared private data directory of ansible-runner's, with whatever inventory it holds."""
    python = environment_of(core)
    command = [str(python.parent / "ansible-runner"), "run", str(private), "-p", "site.yml", "-i", "truth", "--quiet"]
    if arguments:
        command += ["--cmdline", " ".join(arguments)]
    done = subprocess.run(
        command,
        env={
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(private),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONNECTION_PLUGINS": str(PLUGINS),
            "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
            "ANSIBLE_REMOTE_TEMP": str(private / "tmp"),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    artifacts = private / "artifacts" / "truth"
    if not (artifacts / "status").exists():
        raise RuntimeError(f"ansible-runner ended with {done.returncode}: {done.stdout}{done.stderr}")
    return Run(
        (artifacts / "status").read_text().strip(),
        tuple(sorted(_events(artifacts / "job_events"), key=lambda each: int(each["counter"]))),
        (artifacts / "stdout").read_text(),
    )


def _events(folder: Path) -> Iterator[dict[str, Any]]:
    for path in folder.glob("*.json"):
        yield json.loads(path.read_text())


def environment_of(core: str) -> Path:
    """The Python of a core's environment, which is made where it is missing or its requirements have changed."""
    requirements = HERE / f"requirements-{core}.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    folder = ROOT / "build" / "ansible" / core
    stamp = folder / "requirements.sha256"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"Setting up ansible-core {core} on Python {CORES[core]}", flush=True)
        uv = str(Path(sys.executable).parent / "uv")
        python = folder / "bin" / "python"
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", python_for(CORES[core]), str(folder)], check=True)
        sync = [
            uv,
            "pip",
            "sync",
            "--quiet",
            "--require-hashes",
            "--compile-bytecode",
            "--python",
            str(python),
            str(requirements),
        ]
        subprocess.run(sync, check=True)
        stamp.write_text(wanted)
    return folder / "bin" / "python"


def python_for(version: str) -> str:
    """A Python of a version such as 3.12: a path where one is at hand, else what uv is asked to find or bring."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [shutil.which(f"python{version}"), *map(str, pyenv.glob(f"versions/{version}.*/bin/python{version}"))]
    for path in found:
        if path and _answers(path, version):
            return path
    return version


def _answers(python: str, version: str) -> bool:
    """A shim of pyenv's is on the PATH also where its Python is not to be used."""
    asked = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() == version


def main() -> None:
    """Makes every environment."""
    for core in CORES:
        playbook = environment_of(core).parent / "ansible-playbook"
        version = subprocess.run([str(playbook), "--version"], capture_output=True, text=True, check=True)
        print(version.stdout.splitlines()[0])


if __name__ == "__main__":
    main()
