"""The built functions under Lambda's own runtime: what `sam build` packed is complete.

Each function runs as in Lambda: the runtime interface emulator, which aws-sam-cli ships, starts Lambda's runtime client
(awslambdaric) with Python. The embedded cloud would not notice a requirement that is missing from the layer, for its
functions run among the packages of this test environment. Here they do not: the interpreter is started with -S, which
leaves nothing but the standard library, and PYTHONPATH holds the function, the layer, and a directory with links to
what Lambda has by itself, boto3 and awslambdaric with their own requirements.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Self

import pytest
from packaging.requirements import Requirement

from lab.cloud import ACCOUNT, HOOK_PREFIX, REPOSITORY, SECRET, Cloud, eventually
from lab.tower import Tower

type Json = dict[str, Any]

EVENTS = REPOSITORY / "events"
EMULATORS = {"x86_64": "aws-lambda-rie-x86_64", "aarch64": "aws-lambda-rie-arm64"}
OF_THE_RUNTIME = ("boto3", "awslambdaric")
LAYER_MAX = 8_000_000  # bytes unzipped; what a cold start has to fetch and unpack
TIMEOUT = 30  # seconds for an invocation, and for the emulator to listen
HOOKS = {"LaunchQueue": "LAUNCHING", "TerminateQueue": "TERMINATING"}
QUEUES = ("LaunchQueue", "GateQueue", "TerminateQueue", "DeadLetterQueue")
FUNCTIONS = {"RegisterFunction": "LaunchQueue", "GateFunction": "GateQueue", "CleanupFunction": "TerminateQueue"}

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="the emulator is a Linux program")


class Runtime:
    """A function under the runtime interface emulator, as a context manager."""

    def __init__(self, function: Path, path: list[Path], environment: dict[str, str], log: Path) -> None:
        self._command = [
            *(str(emulator()), "--log-level", "error"),
            *("--runtime-interface-emulator-address", f"127.0.0.1:{free_port()}"),
            *("--runtime-api-address", f"127.0.0.1:{free_port()}"),
            *(sys.executable, "-S", "-m", "awslambdaric", "app.handler"),
        ]
        self._address = self._command[4]
        self._function = function
        self._environment = environment | {
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(TIMEOUT),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._log = log

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._function,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that the function ends with its emulator
            )
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def invoke(self, event: Json) -> Json:
        """The function's answer; of one that failed, the error that Lambda reports."""
        request = urllib.request.Request(
            f"http://{self._address}/2015-03-31/functions/function/invocations", json.dumps(event).encode()
        )
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                    return dict(json.load(answer))
            except urllib.error.HTTPError as error:
                with error:  # 502 where the function could not even be loaded
                    return dict(json.load(error))
            except (urllib.error.URLError, ConnectionError) as error:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise AssertionError(f"the emulator does not answer:\n{self._log.read_text()}") from error
                time.sleep(0.02)


def emulator() -> Path:
    """The runtime interface emulator for this machine."""
    return Path(str(resources.files("samcli"))) / "local" / "rapid" / EMULATORS[platform.machine()]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what Lambda's runtime has beside the standard library, and nothing else."""
    directory = tmp_path_factory.mktemp("runtime")
    for name in with_requirements(OF_THE_RUNTIME):
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            (directory / top).symlink_to(str(distribution.locate_file(top)))
    return directory


def with_requirements(names: tuple[str, ...]) -> set[str]:
    """Distributions and all that they require, without extras."""
    found: set[str] = set()
    wanted = list(names)
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.add(name)
            required = map(Requirement, metadata.requires(name) or ())
            wanted += [each.name for each in required if not each.marker or each.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An embedded cloud with a Tower's secret and the queues, and no functions but those that the tests start."""
    tower = Tower(boot_time=0, job_time=0.3, event_lag=0.1)
    tower.add_inventory("fleet")
    tower.add_job_template("provision", "fleet")
    with Cloud(tmp_path_factory.mktemp("lab"), tower=tower) as cloud:
        cloud.aws.client("secretsmanager").create_secret(Name=SECRET, SecretString=tower.token)
        for name in QUEUES:
            cloud.aws.client("sqs").create_queue(QueueName=name)
        yield cloud


def queue_url(cloud: Cloud, name: str) -> str:
    return str(cloud.aws.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])


@pytest.fixture(scope="module")
def start(
    built: Path, given: Path, here: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Runtime]]:
    """Starts built functions, with the built layer and Tower's secret or others."""
    logs = tmp_path_factory.mktemp("functions")
    with ExitStack() as running:

        def start(name: str, layer: Path = built / "CommonLayer" / "python", secret: str = SECRET) -> Runtime:
            environment = here.aws.environment | {
                "ACCOUNT_ID": ACCOUNT,
                "TOWER_URL": here.tower_url,
                "TOWER_SECRET": secret,
                "HOOK_PREFIX": HOOK_PREFIX,
                "ADOPT_BY_INSTANCE_ID": "false",
                "IN_VPC": "false",
                "GATE_QUEUE_URL": queue_url(here, "GateQueue"),
                "QUEUE_URL": queue_url(here, FUNCTIONS[name]),
                "DEAD_LETTER_QUEUE_URL": queue_url(here, "DeadLetterQueue"),
            }
            path = [built / name, layer, given]
            return running.enter_context(Runtime(built / name, path, environment, logs / f"{name}.{free_port()}.log"))

        yield start


@pytest.fixture(scope="module")
def functions(start: Callable[..., Runtime]) -> dict[str, Runtime]:
    """The built functions, each running and warm from its second event on."""
    return {name: start(name) for name in FUNCTIONS}


def sample(name: str) -> Json:
    """A sample event, received just now: what fails for long is set aside instead of being tried again."""
    event: Json = json.loads((EVENTS / name).read_text())
    for record in event.get("Records", ()):
        record["attributes"]["ApproximateFirstReceiveTimestamp"] = str(int(time.time() * 1000))
    return event


def again(*messages: Json) -> Json:
    """The answer that has these messages of a batch received again."""
    return {"batchItemFailures": [{"itemIdentifier": message["messageId"]} for message in messages]}


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("RegisterFunction", "launch-eventbridge.json"),
        ("RegisterFunction", "launch-hook-sqs.json"),
        ("RegisterFunction", "launch-hook-sns.json"),
        ("RegisterFunction", "test-notification.json"),
        ("GateFunction", "gate.json"),
        ("CleanupFunction", "terminate-eventbridge.json"),
        ("CleanupFunction", "terminate-hook-sqs.json"),
        ("CleanupFunction", "terminate-hook-sns.json"),
        ("CleanupFunction", "terminate-successful.json"),
        ("CleanupFunction", "test-notification.json"),
    ],
)
def test_a_built_function_is_done_with_an_instance_that_is_not_there(
    functions: dict[str, Runtime], function: str, name: str
) -> None:
    assert functions[function].invoke(sample(name)) == again()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_built_function_asks_again_for_messages_it_cannot_read(functions: dict[str, Runtime], function: str) -> None:
    event = sample("malformed.json")
    assert functions[function].invoke(event) == again(*event["Records"])


def test_an_event_without_a_queue_fails_with_an_error_that_names_what_is_wrong(functions: dict[str, Runtime]) -> None:
    event = sample("launch-eventbridge-bare.json")
    del event["detail"]["EC2InstanceId"]
    answer = functions["RegisterFunction"].invoke(event)
    assert answer["errorType"] == "BadEvent"
    assert "EC2InstanceId" in answer["errorMessage"]


def test_a_secret_that_cannot_be_read_is_an_error_of_ours_that_names_it(start: Callable[..., Runtime]) -> None:
    record = sample("terminate-successful.json")["Records"][0]
    answer = start("CleanupFunction", secret="no-such-secret").invoke(json.loads(record["body"]))
    assert answer["errorType"] == "AwsDenied"
    assert "secret no-such-secret" in answer["errorMessage"]


def test_the_built_functions_take_an_instance_into_service_and_out_again(
    functions: dict[str, Runtime], here: Cloud
) -> None:
    register, gate, cleanup = (functions[name] for name in FUNCTIONS)
    group = here.create_group("api", {"inventory": "fleet", "job-template": "provision"}, hooks=False)
    for name, transition in HOOKS.items():
        here.aws.client("autoscaling").put_lifecycle_hook(
            AutoScalingGroupName=group.name,
            LifecycleHookName=f"{HOOK_PREFIX}-{transition.lower()}",
            LifecycleTransition=f"autoscaling:EC2_INSTANCE_{transition}",
            HeartbeatTimeout=60,
            NotificationTargetARN=here.aws.client("sqs").get_queue_attributes(
                QueueUrl=queue_url(here, name), AttributeNames=["QueueArn"]
            )["Attributes"]["QueueArn"],
            RoleARN=f"arn:aws:iam::{ACCOUNT}:role/notifier",
        )
    group.scale(1)
    eventually(lambda: feed(register, here, "LaunchQueue") and here.tower.jobs(), "a job is launched")
    (instance_id,) = group.states()
    assert [job.limit for job in here.tower.jobs()] == [instance_id]
    eventually(lambda: feed(gate, here, "GateQueue") and group.in_service(), "the instance is in service")
    assert here.tower.host(instance_id, "fleet")
    group.scale(0)
    eventually(lambda: feed(cleanup, here, "TerminateQueue") and not group.states(), "the instance is gone")
    assert here.tower.hosts() == []
    group.delete()


def feed(function: Runtime, cloud: Cloud, queue: str) -> bool:
    """Has a function work on the messages that are in its queue now."""
    sqs, url = cloud.aws.client("sqs"), queue_url(cloud, queue)
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"]).get("Messages", [])
    if messages:
        records = [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "awsRegion": sqs.meta.region_name,
            }
            for message in messages
        ]
        assert function.invoke({"Records": records}) == again()
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return True


@pytest.mark.parametrize("package", ["requests", "aws_lambda_powertools"])
def test_a_package_missing_from_the_layer_is_noticed(
    start: Callable[..., Runtime], built: Path, tmp_path: Path, package: str
) -> None:
    layer = tmp_path / "layer"
    shutil.copytree(built / "CommonLayer" / "python", layer, ignore=shutil.ignore_patterns(package))
    answer = start("CleanupFunction", layer).invoke(sample("test-notification.json"))
    assert answer["errorType"] == "Runtime.ImportModuleError"
    assert f"No module named '{package}" in answer["errorMessage"]


def test_the_layer_is_small_and_leaves_to_lambda_what_lambda_has(built: Path) -> None:
    layer = built / "CommonLayer"
    assert sum(file.stat().st_size for file in layer.rglob("*") if file.is_file()) < LAYER_MAX
    assert not [path.name for path in (layer / "python").iterdir() if path.name.startswith(("boto", "s3transfer"))]
