"""A new app.py on the old layer, and the reverse, as a deployment has for seconds: at worst a batch comes again.

Lambda takes a function's code and its layers in two calls. What starts in between fails as it is loaded, before a
message is read. So the invocation fails, Lambda deletes no message of its batch, and SQS hands it out again when its
visibility timeout is over; a run by schedule is repeated by Lambda, or done by the next one. The old layer is that of
before the packages: flat, rollcall.register and so on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from rollcall.domain.timing import HOOK_LIFE_MAX, RETRY_MAX, VISIBILITY

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[3]
RESOURCES: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())["Resources"]
WORK_QUEUES = sorted(
    name
    for name, each in RESOURCES.items()
    if each["Type"] == "AWS::SQS::Queue" and "RedrivePolicy" in each["Properties"]
)
DEPLOYMENT = 3600.0  # seconds; far longer than a stack's functions are half updated, a roll-back included
OLD_IMPORTS = {  # of each function's app.py, as they stood
    "register": """
from rollcall.announce import Announcer
from rollcall.events import read_action
from rollcall.register import Register
from rollcall.settings import read_removal_share
from rollcall.wiring import installation
""",
    "gate": """
from rollcall.announce import Announcer
from rollcall.events import read_gate_message
from rollcall.gate import Gate
from rollcall.job_evidence import JobEvidence
from rollcall.looking import TimeLeft, send_on, take_each, take_turns
from rollcall.model import GateMessage, RetireMessage, WatchMessage
from rollcall.settings import read_removal_share
from rollcall.wiring import installation
""",
    "cleanup": """
from rollcall.announce import Announcer
from rollcall.cleanup import Cleanup
from rollcall.events import read_action
from rollcall.settings import read_removal_share
from rollcall.wiring import chef, installation
""",
    "reconcile": """
from rollcall.announce_runs import RunAnnouncer
from rollcall.events import read_run_request
from rollcall.reconcile import Reconcile
from rollcall.run_answer import run_answer
from rollcall.settings import read_removal_share
from rollcall.wiring import chef, installation
""",
    "doctor": """
from rollcall.announce_findings import FindingsAnnouncer
from rollcall.doctor import answer, diagnose, news
from rollcall.events import read_examination_request
from rollcall.examining import Examination
from rollcall.inspector import Inspector
from rollcall.known_findings import KnownFindings
from rollcall.settings import read_stack_names
from rollcall.wiring import chef, installation_afresh, tower_afresh
""",
    "alert": """
from rollcall.alert import Alert
from rollcall.alert_events import read_message
from rollcall.alert_settings import read_alert_settings
from rollcall.errors import BadEvent, Permanent, RollcallError
from rollcall.events import read_records
from rollcall.incidents import Incidents
from rollcall.measures import Measures
from rollcall.pagerduty import PagerDuty
from rollcall.queues import Queues
from rollcall.secret import text_of
from rollcall.slack import Slack
from rollcall.trouble import Deed
""",
}
# The worst that an old function could do with a message that it took: acknowledge it unread.
OLD_HANDLER = """
def handler(event, context):
    return {"batchItemFailures": []}
"""
# The most that an old layer could have: modules of which whatever is imported is there, and can be used.
OLD_MODULE = """
from unittest.mock import MagicMock

def __getattr__(name):
    return MagicMock(name=name)
"""
# What Lambda does: load the function, call its handler, hand on its answer. No call to AWS or Tower goes unseen: each
# begins with a name to resolve, or a connection. To patch botocore instead takes its import, of half a second.
LAMBDA = """
import json, socket, sys

def seen(*arguments, **named):
    print("CALLED")
    raise OSError("closed")

socket.getaddrinfo = socket.socket.connect = seen
import app
print(json.dumps(app.handler(json.loads(sys.argv[1]), None)))
"""
BATCH = {"Records": [{"messageId": "m0", "receiptHandle": "handle", "body": "{}", "attributes": {}, "awsRegion": "x"}]}
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))
NEW = ("bake", "cycle")  # which there was none of before


@pytest.fixture
def old_layer(tmp_path: Path) -> Path:
    """The layer of before: every module that any of its functions imports."""
    package = tmp_path / "layer" / "rollcall"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    lines = [line for imports in OLD_IMPORTS.values() for line in imports.split("\n") if line]
    for name in {line.split()[1].removeprefix("rollcall.") for line in lines}:
        (package / f"{name}.py").write_text(OLD_MODULE)
    return package.parent


@pytest.fixture
def old_functions(tmp_path: Path) -> Mapping[str, Path]:
    """By name, the folder of each function of before."""
    folders = {}
    for name, imports in OLD_IMPORTS.items():
        folders[name] = tmp_path / "functions" / name
        folders[name].mkdir(parents=True)
        (folders[name] / "app.py").write_text(imports + OLD_HANDLER)
    return folders


def invoke(function: Path, layer: Path) -> subprocess.CompletedProcess[str]:
    """A batch, given to a function as Lambda does."""
    return subprocess.run(
        [sys.executable, "-c", LAMBDA, json.dumps(BATCH)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (function, layer)))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_nothing_was_taken(invocation: subprocess.CompletedProcess[str]) -> None:
    """It failed as it was loaded: no message was read, answered or acknowledged."""
    assert invocation.returncode != 0
    assert "ModuleNotFoundError: No module named 'rollcall." in invocation.stderr
    assert ", in handler" not in invocation.stderr
    assert invocation.stdout == ""


def test_every_function_and_its_queue_are_among_them() -> None:
    assert sorted([*OLD_IMPORTS, *NEW]) == FUNCTIONS
    assert WORK_QUEUES == ["AlertQueue", "GateQueue", "LaunchQueue", "TerminateQueue"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_new_function_on_the_old_layer_fails_before_it_reads_a_message(name: str, old_layer: Path) -> None:
    assert_nothing_was_taken(invoke(ROOT / "functions" / name, old_layer))


@pytest.mark.parametrize("name", sorted(OLD_IMPORTS))
def test_an_old_function_on_the_new_layer_fails_before_it_reads_a_message(
    name: str, old_functions: Mapping[str, Path]
) -> None:
    assert_nothing_was_taken(invoke(old_functions[name], ROOT / "layers" / "common"))


def test_an_old_function_on_the_old_layer_answers(old_functions: Mapping[str, Path], old_layer: Path) -> None:
    """Else the tests above would say nothing."""
    invocation = invoke(old_functions["register"], old_layer)
    assert json.loads(invocation.stdout) == {"batchItemFailures": []}


@pytest.mark.parametrize("queue", WORK_QUEUES)
def test_no_queue_gives_a_message_up_for_a_deployment(queue: str) -> None:
    properties = RESOURCES[queue]["Properties"]
    assert properties["VisibilityTimeout"] == VISIBILITY
    retries = HOOK_LIFE_MAX / RETRY_MAX  # of a message that fails for as long as its hook can wait
    assert properties["RedrivePolicy"]["maxReceiveCount"] > retries + DEPLOYMENT / properties["VisibilityTimeout"]
