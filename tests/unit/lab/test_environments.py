"""Execution environments of the embedded AWS: what they share, and what they never see of each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import pytest

from lab.aws.environment_patches import LAYERS, LinkedArchive, start
from lab.aws.forks import Fork, Forks
from lab.aws.unpacked import Unpacked, link

SECONDS = 30  # that a process may take on a busy machine
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only there processes are forks")


def archive(path: Path, files: Mapping[str, str]) -> Path:
    """A zip archive with these files, by their paths in it."""
    with ZipFile(path, "w") as made:
        for name, text in files.items():
            made.writestr(name, text)
    return path


@pytest.fixture
def unpacked(tmp_path: Path) -> Unpacked:
    directory = tmp_path / "unpacked"
    directory.mkdir()
    return Unpacked(directory)


def test_what_is_the_same_is_unpacked_once_and_a_version_is_never_another(unpacked: Unpacked, tmp_path: Path) -> None:
    first = unpacked.of(archive(tmp_path / "a.zip", {"app.py": "1", "package/part.py": "2"}))
    again = unpacked.of(Path(tmp_path / "a.zip").rename(tmp_path / "b.zip"))
    changed = unpacked.of(archive(tmp_path / "a.zip", {"app.py": "2"}))
    assert again == first != changed
    assert (first / "app.py").read_text() == "1"
    assert (first / "package" / "part.py").read_text() == "2"
    assert [each.name for each in changed.iterdir()] == ["app.py"]


def test_what_environments_share_may_only_be_read(unpacked: Unpacked, tmp_path: Path) -> None:
    contents = unpacked.of(archive(tmp_path / "a.zip", {"app.py": "1", "package/part.py": "2"}))
    files = [each for each in contents.rglob("*") if each.is_file()]
    assert len(files) == 2
    assert not any(each.stat().st_mode & 0o222 for each in files)


def test_an_archive_that_cannot_be_unpacked_leaves_nothing_behind(unpacked: Unpacked, tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"no archive")
    for _ in range(2):
        with pytest.raises(BadZipFile):
            unpacked.of(broken)
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_an_environment_that_goes_takes_nothing_of_the_others(unpacked: Unpacked, tmp_path: Path) -> None:
    contents = unpacked.of(archive(tmp_path / "a.zip", {"package/part.py": "2"}))
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        link(contents, tmp_path / name)
    (tmp_path / "one" / "package").unlink()
    assert (tmp_path / "other" / "package" / "part.py").read_text() == "2"


def test_the_engine_finds_in_a_linked_archive_what_it_asks_of_one(unpacked: Unpacked, tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"app.py": "1", "package/part.py": "2"})
    (tmp_path / "code").mkdir()
    with LinkedArchive(unpacked, str(path)) as opened:
        assert sorted(opened.namelist()) == ["app.py", "package"]
        opened.extractall(str(tmp_path / "code"))
    assert (tmp_path / "code" / "package" / "part.py").read_text() == "2"


# Processes.

TELLS = """
import json, os, sys
import common
common.asked += 1
loaded = [name for name in ("boto3", "requests") if name in sys.modules]
there = {"asked": common.asked, "loaded": loaded, "common": common.__file__, "argv": sys.argv, "path": sys.path,
    "name": __name__, "cwd": os.getcwd(), "environment": dict(os.environ), "lab": "lab" in sys.modules, "in": input()}
print(json.dumps(there))
print("heard", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a function's layer has: a package of the function's own, with a state."""
    layer = tmp_path_factory.mktemp("layer")
    (layer / "python").mkdir()
    (layer / "python" / "common.py").write_text("asked = 0\n")
    return layer


@pytest.fixture(scope="module")
def listen() -> None:
    """Opens sockets for a test: processes are asked for by one, a pair within this machine."""


@pytest.fixture(scope="module")
def forks(listen: None) -> Iterator[Forks]:
    made = Forks()
    yield made
    made.close()


def run(forks: Forks, layer: Path, directory: Path, script: str, **environment: str) -> subprocess.Popen[str] | Fork:
    """A process with this script, started as the engine starts one."""
    path = directory / "_worker.py"
    path.write_text(f"import sys\nsys.path.insert(0, {str(layer / 'python')!r})\n{script}")
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    given = {LAYERS: str(layer), **environment}
    started: subprocess.Popen[str] | Fork = start(
        forks, [sys.executable, str(path)], cwd=str(directory), env=given, text=True, bufsize=1, **streams
    )
    return started


def tell(process: subprocess.Popen[str] | Fork) -> Any:
    """What a process says of itself; it is over then."""
    assert process.stdin
    assert process.stdout
    assert process.stderr
    with process.stdin as stdin, process.stdout as stdout, process.stderr as stderr:
        stdin.write("well\n")
        stdin.flush()
        told = json.loads(stdout.readline())
        assert process.wait(SECONDS) == 0
        assert stderr.read() == "heard\n"
    return told


@LINUX
def test_a_fork_is_what_a_process_of_its_own_would_be(forks: Forks, layer: Path, tmp_path: Path) -> None:
    fork = run(forks, layer, tmp_path, TELLS, OWN="1", LANG="C.UTF-8")
    assert isinstance(fork, Fork)
    told = tell(fork)
    spawned = run(forks, layer, tmp_path, TELLS, OWN="1", LANG="C.UTF-8", PYTHONUTF8="1")
    assert isinstance(spawned, subprocess.Popen), "a fork does not read what a Python reads as it starts"
    other = tell(spawned)
    assert told.pop("loaded") == ["boto3", "requests"]
    assert other.pop("loaded") == []
    assert other.pop("environment") == told.pop("environment") | {"PYTHONUTF8": "1"}
    assert told == other


@LINUX
def test_no_fork_sees_the_state_of_another(forks: Forks, layer: Path, tmp_path: Path) -> None:
    told = [tell(run(forks, layer, tmp_path, TELLS, NUMBER=str(number))) for number in range(3)]
    assert [each["asked"] for each in told] == [1, 1, 1]


@LINUX
def test_forks_with_other_layers_import_from_those(forks: Forks, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name / "python").mkdir(parents=True)
        (tmp_path / name / "python" / "requests.py").write_text(f"which = {name!r}\n")
    script = "import json, requests; input(); print(json.dumps(requests.which)); print('heard', file=sys.stderr)"
    told = [tell(run(forks, tmp_path / name, tmp_path, script)) for name in ("one", "other", "one")]
    assert told == ["one", "other", "one"]


@LINUX
def test_a_fork_has_the_models_of_the_sdk_in_memory_and_no_others(forks: Forks, layer: Path, tmp_path: Path) -> None:
    script = """
import builtins, json, sys
from botocore import loaders
opened = []
for ending, method in list(loaders._JSON_OPEN_METHODS.items()):
    loaders._JSON_OPEN_METHODS[ending] = lambda path, *how, method=method: (opened.append(path), method(path, *how))[1]
loader = loaders.create_loader()
counts = []
for service in ("ec2", "autoscaling", "glacier"):
    operations = loader.load_service_model(service, "service-2")["operations"]
    counts.append([service, bool(operations), len(opened)])
input()
print(json.dumps(counts))
print("heard", file=sys.stderr)
"""
    told = tell(run(forks, layer, tmp_path, script))
    assert told == [["ec2", True, 0], ["autoscaling", True, 0], ["glacier", True, 1]]


@LINUX
@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_a_fork_ends_when_it_is_told_to(end: str, forks: Forks, layer: Path, tmp_path: Path) -> None:
    fork = run(forks, layer, tmp_path, "print('ready', flush=True); input()")
    assert isinstance(fork, Fork)
    with fork.stdin, fork.stdout as stdout, fork.stderr:
        assert stdout.readline() == "ready\n"
        assert fork.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            fork.wait(0)
        getattr(fork, end)()
        assert fork.wait(SECONDS) == 0
        assert fork.poll() == 0
        getattr(fork, end)()  # and again, when nothing is there
        assert stdout.readline() == ""


@LINUX
def test_a_fork_ends_with_the_process_that_asked_for_it(layer: Path, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    (tmp_path / "worker.py").write_text(f"alive = open({str(alive)!r}, 'w'); print('ready', flush=True); input()")
    asks = (
        "import os, sys; from lab.aws.forks import Forks;"
        f"fork = Forks().start([{str(layer)!r}], {str(tmp_path / 'worker.py')!r}, cwd='/', environment={{}});"
        "print(fork.stdout.readline(), end='', flush=True); os._exit(0)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", asks], env=environment, stdout=subprocess.PIPE, text=True) as asking:
        with alive.open() as held:
            assert held.read() == "", "it is read to its end once the fork is gone"
        assert asking.communicate(timeout=SECONDS)[0] == "ready\n"
