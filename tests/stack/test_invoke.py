"""Functions by hand: each sample of events/ on each function that takes it, a deployed one, and a lab that stays."""

from __future__ import annotations

import json
import os
import platform
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.by_hand.certificates import make_certificates
from lab.by_hand.forwarding import forwarding
from lab.by_hand.invoke import Invocation, Invoked
from lab.by_hand.lab import Record, attached
from lab.by_hand.scenes import RETIRE_TEMPLATE, SAMPLES, SAMPLES_DIRECTORY, furnish
from lab.cloud import REPOSITORY, Cloud, Group, eventually
from rollcall_cli.commands.invoke import logical_id_of
from rollcall_cli.invocation.outcome import outcome

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="the emulator is a Linux program")

STORIES = (  # one for each function
    *("launch-eventbridge.json", "gate.json", "terminate-eventbridge.json"),
    *("reconcile-dry-run.json", "cycle-preflight.json", "bake-preflight.json", "doctor.json", "alert-trouble.json"),
)
INVOCATIONS = [
    pytest.param(name, function, marks=[pytest.mark.story] if name in STORIES else [])
    for name, sample in SAMPLES.items()
    for function in sample.functions
]
LAB_TIMEOUT = 180  # seconds for a lab to be deployed
END_TIMEOUT = 60  # seconds for it to end


@pytest.fixture(scope="module")
def cloud(full_cloud: Cloud) -> Iterator[Cloud]:
    """With what a lab's Tower has; the groups of the samples are gone afterwards."""
    furnish(full_cloud.tower)
    yield full_cloud
    groups = [each for each in full_cloud.groups() if each.name.startswith("sample")]
    for group in groups:
        group.delete()
    eventually(lambda: not any(group.states() for group in groups), "the groups are gone")
    eventually(lambda: full_cloud.in_flight() == 0, "the last terminations are worked off")


@pytest.fixture(scope="module")
def invoked(cloud: Cloud, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Invoked]:
    """Invokes a function with a sample, on the cloud as another process would reach it."""
    record = Record(os.getpid(), cloud.aws.endpoint_url, cloud.tower_url)
    invocation = Invocation(
        attached(record, tmp_path_factory.mktemp("attached")), built, tmp_path_factory.mktemp("invoked")
    )
    return lambda function, name: invocation.of(logical_id_of(function), SAMPLES_DIRECTORY / name)


@pytest.mark.parametrize(("name", "function"), INVOCATIONS)
def test_a_sample_reaches_its_end(invoked: Callable[[str, str], Invoked], name: str, function: str) -> None:
    result = invoked(function, name)
    assert SAMPLES[name].good in result.readable
    assert outcome(result.answer, result.log, failed=result.failed).code == SAMPLES[name].code, result.readable


def test_what_a_sample_starts_goes_on(invoked: Callable[[str, str], Invoked], cloud: Cloud) -> None:
    group = Group(cloud, "sample")
    before = set(group.states())
    invoked("register", "launch-eventbridge.json")
    (new,) = set(group.states()) - before
    eventually(lambda: new in group.in_service(), "the deployed gate lets the instance in")
    invoked("gate", "gate-retiring.json")
    assert any(job.template == RETIRE_TEMPLATE for job in cloud.tower.jobs())


def test_a_deployed_function_is_invoked(cloud: Cloud) -> None:
    told = cloud.rollcall("invoke", "register", "--event", "events/malformed.json")
    assert told.returncode == 1, told.stderr
    assert "  ERROR    the message has neither 'detail-type'" in told.stdout
    assert told.stdout.splitlines()[-1].startswith("3 messages failed")
    done = cloud.rollcall("invoke", "register", "--event", "events/test-notification.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ['answer: {"batchItemFailures": []}', "Every message is done with."]
    failed = cloud.rollcall("invoke", "reconcile", "--payload", '{"dryrun": true}', "--json")
    assert failed.returncode == 1
    assert "'dryrun' is unknown" in json.loads(failed.stdout)["answer"]["errorMessage"]


def test_an_event_of_another_account_is_not_given_to_a_deployed_function(cloud: Cloud) -> None:
    event = json.dumps({"Records": [{"body": json.dumps({"account": "111111111111"})}]})
    told = cloud.rollcall("invoke", "register", "--payload", event)
    assert (told.returncode, told.stdout) == (2, "")
    assert "The event names 111111111111; the stack is in account 123456789012" in told.stderr


def test_a_tower_behind_tls_is_reached_through_a_forwarded_port(cloud: Cloud, tmp_path: Path) -> None:
    certificates = make_certificates("127.0.0.1", tmp_path)
    trusting = ssl.create_default_context(cadata=certificates.authority)
    with forwarding("127.0.0.1", cloud.tower_url, certificates.context()) as port:
        url = f"https://127.0.0.1:{port}/api/v2/ping/"
        with urllib.request.urlopen(url, context=trusting, timeout=10) as answer:
            assert json.load(answer)["version"]
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(url, timeout=10)


@contextmanager
def staying(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """`make lab`, with a directory of its own, as a process."""
    environment = os.environ | {"PYTHONPATH": "tests:cli:layers/common"}
    with subprocess.Popen(
        [sys.executable, "-m", "lab.by_hand.stay", str(directory)],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as lab:
        try:
            yield lab
        finally:
            if lab.poll() is None:
                lab.send_signal(signal.SIGTERM)


def in_shell(directory: Path, command: str) -> subprocess.CompletedProcess[str]:
    """A command in a shell that read the lab's environment."""
    return subprocess.run(
        ["sh", "-c", f". {directory}/env.sh; {command}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=LAB_TIMEOUT,
        check=False,
    )


def test_a_lab_stays_until_it_is_interrupted_and_leaves_nothing(built: Path, tmp_path: Path) -> None:
    directory = tmp_path / "lab"
    directory.mkdir()
    (directory / "built").symlink_to(built)
    with staying(directory) as lab:
        eventually(lambda: lab.poll() is not None or (directory / "env.sh").exists(), "the lab is up", LAB_TIMEOUT)
        assert lab.poll() is None, lab.communicate()[0]
        with staying(directory) as second:
            said, _ = second.communicate(timeout=END_TIMEOUT)
            assert f"A lab is running already, as process {lab.pid}" in said
            assert second.returncode == 0
        doctor = in_shell(directory, "rollcall doctor --group web")
        assert doctor.returncode == 0, doctor.stdout + doctor.stderr
        by_hand = f"python -m lab.by_hand.invoke --lab {directory} --event events/test-notification.json"
        tried = in_shell(directory, f"PYTHONPATH=tests:cli:layers/common {by_hand}")
        assert (tried.returncode, tried.stdout.splitlines()[-1]) == (0, "Every message is done with."), tried.stderr
        record = json.loads((directory / "lab.json").read_text())
        lab.send_signal(signal.SIGINT)
        said, _ = lab.communicate(timeout=END_TIMEOUT)
    assert said.splitlines()[-1] == "Interrupted: nothing is left running."
    assert lab.returncode == 128 + signal.SIGINT
    assert {path.name for path in directory.iterdir()} == {"aws.log", "bin", "built", "lock"}
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(record["endpoint_url"], timeout=10)
