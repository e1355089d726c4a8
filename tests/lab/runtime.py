"""The built functions under Lambda's own runtime: what the runtime tests and the bench start them with.

A function runs as in Lambda: the runtime interface emulator, which aws-sam-cli ships, starts Lambda's runtime client
(awslambdaric) with Python. The interpreter is started with -S, which leaves nothing but the standard library, and
PYTHONPATH holds the function, the layer, and a directory with links to what Lambda has by itself, boto3 and
awslambdaric with their own requirements.

    given = link_what_lambda_has(directory)
    make_queues(cloud)
    path = [built / "GateFunction", built / "CommonLayer" / "python", given]
    with Runtime(built / "GateFunction", path, environment(cloud, "GateFunction"), log) as gate:
        gate.invoke(batch(receive(cloud, "GateQueue")))
"""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from packaging.requirements import Requirement

from lab.cloud import ACCOUNT, HOOK_PREFIX, REGION, SECRET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab.cloud import Cloud

type Json = dict[str, Any]

EMULATORS = {"x86_64": "aws-lambda-rie-x86_64", "aarch64": "aws-lambda-rie-arm64"}
OF_THE_RUNTIME = ("boto3", "awslambdaric")
TIMEOUT = 110  # seconds for an invocation, as in template.yaml
STARTS = 5  # of a function's process, until it takes its event
LISTENING = 30  # seconds for the emulator to listen
STEP = 0.01  # seconds between two looks whether it listens
RECEIVED_AT_ONCE = 10  # SQS's maximum
QUEUES = ("LaunchQueue", "GateQueue", "TerminateQueue", "DeadLetterQueue")
OF_DOCTOR = (
    *("LAUNCH_RULE", "TERMINATE_RULE", "TERMINATED_RULE", "REGISTER_SOURCE", "GATE_SOURCE", "CLEANUP_SOURCE"),
    *("RECONCILE_SCHEDULE", "TOLD_TABLE"),
)
DEAD_LETTERS = tuple(f"{name}_DEAD_LETTER_QUEUE_URL" for name in ("LAUNCH", "GATE", "TERMINATE"))
FUNCTIONS = {"RegisterFunction": "LaunchQueue", "GateFunction": "GateQueue", "CleanupFunction": "TerminateQueue"}


class Runtime:
    """A function under the runtime interface emulator, as a context manager.

    function: the directory with its app.py. path: what else its Python finds, in this order. log: a file for what the
    function and its emulator say. The function's process starts with the first event.
    """

    def __init__(self, function: Path, path: list[Path], environment: dict[str, str], log: Path) -> None:
        self._port = free_port()
        self._command = [
            *(str(emulator()), "--log-level", "error"),
            *("--runtime-interface-emulator-address", f"127.0.0.1:{self._port}"),
            *("--runtime-api-address", f"127.0.0.1:{free_port()}"),
            *(sys.executable, "-S", "-m", "awslambdaric", "app.handler"),
        ]
        self._function = function
        self._environment = environment | {
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(TIMEOUT),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "192",
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._log = log
        self._invoked = False

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
        try:
            self._await_emulator()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _await_emulator(self) -> None:
        deadline = time.monotonic() + LISTENING
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), LISTENING).close()
            except ConnectionError as error:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise AssertionError(f"the emulator does not listen:\n{self._log.read_text()}") from error
                time.sleep(STEP)
            else:
                return

    def invoke(self, event: Json) -> Json:
        """The function's answer; of one that failed, the error that Lambda reports.

        The event is given again where the function's process ended before it took it: Lambda's runtime client gives up
        ("Failed to get next") where the emulator does not take its connection within a second, as happens on a machine
        with much else to do. Source of that second: awslabs/aws-lambda-cpp, src/runtime.cpp. Raises AssertionError if
        it ends so time and again.
        """
        self._invoked = True
        for _ in range(STARTS):
            if answer := self._answer(event):
                return dict(json.loads(answer))
        raise AssertionError(f"the function's process ended before it took the event:\n{self._log.read_text()}")

    def _answer(self, event: Json) -> bytes:
        """What the emulator answers; nothing where the function's process ended before it took the event."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/2015-03-31/functions/function/invocations", json.dumps(event).encode()
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:  # 502 where the function could not even be loaded
                return error.read()

    @property
    def process_id(self) -> int:
        """The function's Python process, the emulator's child. Only after a first event."""
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/children")  # any of its threads may have started it
        [child] = " ".join(thread.read_text() for thread in threads).split()
        return int(child)

    def cpu_ms(self) -> float:
        """Milliseconds of CPU, user and system, that the function's process has used; none before the first event."""
        return cpu_ms(self.process_id) if self._invoked else 0.0

    def peak_memory_mb(self) -> float:
        """The most memory that the function's process ever had resident, in MB of 2^20 bytes as Lambda counts them."""
        return peak_memory_mb(self.process_id)


def cpu_ms(process_id: int) -> float:
    """Milliseconds of CPU, user and system, of a process and all its threads, those that ended too.

    From the process's own clock (clock_getcpuclockid), for /proc/PID/stat counts in steps of 10 ms.
    """
    clock = (~process_id << 3) | 2  # as the kernel makes the clock's id of the process's, see clock_getcpuclockid(3)
    return time.clock_gettime_ns(clock) / 1e6


def peak_memory_mb(process_id: int) -> float:
    """The most memory that a process ever had resident, in MB of 2^20 bytes."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    [peak] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(peak) / 1024


def emulator() -> Path:
    """The runtime interface emulator for this machine."""
    return Path(str(resources.files("samcli"))) / "local" / "rapid" / EMULATORS[platform.machine()]


def free_port() -> int:
    """A port of 127.0.0.1 at which nothing listens just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def link_what_lambda_has(directory: Path) -> Path:
    """Fill a directory with links to what Lambda's runtime has beside the standard library, and nothing else."""
    directory.mkdir(parents=True, exist_ok=True)
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


def make_queues(cloud: Cloud) -> None:
    """Tower's secret and the functions' queues, in an embedded cloud on which nothing is deployed."""
    cloud.aws.client("secretsmanager").create_secret(Name=SECRET, SecretString=cloud.tower.token)
    for name in QUEUES:
        cloud.aws.open_queue(name)


def queue_url(cloud: Cloud, name: str) -> str:
    """The URL of one of the queues."""
    return str(cloud.aws.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])


def queue_arn(cloud: Cloud, name: str) -> str:
    """The ARN of one of the queues."""
    answer = cloud.aws.client("sqs").get_queue_attributes(QueueUrl=queue_url(cloud, name), AttributeNames=["QueueArn"])
    return str(answer["Attributes"]["QueueArn"])


def environment(cloud: Cloud, function: str, secret: str = SECRET) -> dict[str, str]:
    """The environment of a built function that works on the queues of make_queues()."""
    urls = {name: queue_url(cloud, name) for name in QUEUES}
    return cloud.aws.environment | variables(function, cloud.tower_url, secret, urls)


def variables(function: str, tower_url: str, secret: str, queue_urls: Mapping[str, str]) -> dict[str, str]:
    """The variables that template.yaml gives a function; queue_urls by the names in QUEUES."""
    own: dict[str, str] = {}
    if function == "DoctorFunction":
        own = dict.fromkeys(OF_DOCTOR, "not-there") | dict.fromkeys(DEAD_LETTERS, queue_urls["DeadLetterQueue"])
    if function in FUNCTIONS:
        own = {"QUEUE_URL": queue_urls[FUNCTIONS[function]], "DEAD_LETTER_QUEUE_URL": queue_urls["DeadLetterQueue"]}
    return own | {
        "ACCOUNT_ID": ACCOUNT,
        "TOWER_URL": tower_url,
        "TOWER_SECRET": secret,
        "HOOK_PREFIX": HOOK_PREFIX,
        "ADOPT_BY_INSTANCE_ID": "false",
        "IN_VPC": "false",
        "LOAD_BALANCERS": "false",
        "MAX_HOSTS_PER_JOB": "100",
        "REMOVE_AT_MOST_PERCENT": "20",
        "USER_DATA": "false",
        "RETIRE_JOBS": "true",
        "STACK_NAME": "rollcall",
        "LAUNCH_QUEUE_URL": queue_urls["LaunchQueue"],
        "GATE_QUEUE_URL": queue_urls["GateQueue"],
        "TERMINATE_QUEUE_URL": queue_urls["TerminateQueue"],
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }


def receive(cloud: Cloud, queue: str) -> list[Json]:
    """Messages that are in a queue now, at most ten; they stay there, hidden, until they are deleted."""
    answer = cloud.aws.client("sqs").receive_message(
        QueueUrl=queue_url(cloud, queue), MaxNumberOfMessages=RECEIVED_AT_ONCE, AttributeNames=["All"]
    )
    return list(answer.get("Messages", ()))


def delete(cloud: Cloud, queue: str, messages: Sequence[Json]) -> None:
    """Delete messages that were received."""
    url = queue_url(cloud, queue)
    for message in messages:
        cloud.aws.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def batch(messages: Sequence[Json]) -> Json:
    """The event with which Lambda's event source hands messages that were received to a function."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "awsRegion": REGION,
            }
            for message in messages
        ]
    }
