"""One version, wherever Rollcall says it: the package, the wheel, the stack's output, doctor, logs, the command."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from rollcall import __version__
from rollcall.doctor.answer import answer
from rollcall.doctor.diagnosis import Diagnosis
from rollcall.telemetry.announcer import Announcer
from rollcall_cli.commands import doctor
from unit.cli.commands import run

if TYPE_CHECKING:
    import pytest

REPOSITORY = Path(__file__).parents[3]


def test_it_is_a_version_in_three_numbers() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_the_wheel_takes_it_from_the_package() -> None:
    described = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert described["project"]["dynamic"] == ["version"]
    path = REPOSITORY / described["tool"]["hatch"]["version"]["path"]
    assert re.findall(r'^__version__ = "(.+?)"', path.read_text(), re.MULTILINE) == [__version__]


def test_the_stack_has_it_as_an_output() -> None:
    outputs: Any = yaml_parse((REPOSITORY / "template.yaml").read_text())["Outputs"]
    assert outputs["Version"]["Value"] == __version__


def test_the_command_and_every_log_line_say_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version").stdout == f"rollcall {__version__}\n"
    Announcer("version-test").logger.info("anything")
    line = json.loads(capsys.readouterr().out)
    assert (line["service"], line["version"]) == ("version-test", __version__)
    alert = (REPOSITORY / "functions" / "alert" / "app.py").read_text()
    assert 'Logger(service="alert", version=__version__' in alert


def test_doctor_says_it_and_the_command_names_its_own_where_that_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    said = answer(Diagnosis(findings=(), checked=()), 1.0)
    assert said["version"] == __version__
    monkeypatch.setattr(doctor, "invoke", lambda *_: said)
    assert run("doctor", "--region", "us-east-1").stdout.endswith(f"1.0 s, version {__version__}\n")
    said["version"] = "0.0.7"
    words = f"1.0 s, version 0.0.7; this command is of version {__version__}\n"
    assert run("doctor", "--region", "us-east-1").stdout.endswith(words)
