"""The built functions under Lambda's own runtime: what `sam build` packed is complete.

The embedded cloud would not notice a requirement that is missing from the layer, for its functions run among the
packages of this test environment. Here they have what Lambda has and no more: see lab.runtime.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import pytest

from lab.alert_channels import AlertChannels
from lab.chef import ChefServer
from lab.cloud import ACCOUNT, HOOK_PREFIX, LAYERS, REPOSITORY, SECRET, Cloud, eventually
from lab.runtime import (
    FUNCTIONS,
    Runtime,
    batch,
    cpu_ms,
    delete,
    environment,
    free_port,
    link_what_lambda_has,
    make_queues,
    queue_arn,
    queue_url,
    receive,
)
from lab.tower.embedded import Tower

type Json = dict[str, Any]

EVENTS = REPOSITORY / "events"
LAYER_MAX = 14_000_000  # bytes unzipped; what a cold start has to fetch and unpack
HOOKS = {"LaunchQueue": "LAUNCHING", "TerminateQueue": "TERMINATING"}

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="the emulator is a Linux program")


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what Lambda's runtime has beside the standard library, and nothing else."""
    return link_what_lambda_has(tmp_path_factory.mktemp("runtime"))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An embedded cloud with a Tower's secret and the queues, and no functions but those that the tests start."""
    tower = Tower(boot_time=0, job_time=0.3, event_lag=0.1)
    tower.add_inventory("fleet")
    tower.add_job_template("provision", "fleet")
    with Cloud(tmp_path_factory.mktemp("lab"), tower=tower) as cloud:
        make_queues(cloud)
        yield cloud


@pytest.fixture(scope="module")
def start(
    built: Path, given: Path, here: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Runtime]]:
    """Starts built functions, with the built layer and Tower's secret or others."""
    logs = tmp_path_factory.mktemp("functions")
    with ExitStack() as running:

        def start(name: str, layer: Path = built / "CommonLayer" / "python", secret: str = SECRET) -> Runtime:
            path = [built / name, layer, given]
            return running.enter_context(
                Runtime(built / name, path, environment(here, name, secret), logs / f"{name}.{free_port()}.log")
            )

        yield start


@pytest.fixture(scope="module")
def functions(start: Callable[..., Runtime]) -> dict[str, Runtime]:
    """The built functions, each running and warm from its second event on."""
    return {name: start(name) for name in FUNCTIONS}


def sample(name: str) -> Json:
    """A sample event, received just now: what fails for long is a dead letter instead of being tried again."""
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
        ("RegisterFunction", "launch-notification-sqs.json"),
        ("RegisterFunction", "launch-notification-sns.json"),
        ("RegisterFunction", "test-notification.json"),
        ("GateFunction", "gate.json"),
        ("GateFunction", "gate-watch.json"),
        ("GateFunction", "gate-retiring.json"),
        ("CleanupFunction", "terminate-eventbridge.json"),
        ("CleanupFunction", "terminate-hook-sqs.json"),
        ("CleanupFunction", "terminate-hook-sns.json"),
        ("CleanupFunction", "terminate-notification-sqs.json"),
        ("CleanupFunction", "terminate-notification-sns.json"),
        ("CleanupFunction", "terminate-successful.json"),
        ("CleanupFunction", "test-notification.json"),
    ],
)
def test_a_built_function_is_done_with_an_instance_that_is_not_there(
    functions: dict[str, Runtime], function: str, name: str
) -> None:
    assert functions[function].invoke(sample(name)) == again()


ENDS_ONCE = """
import os, pathlib
began = pathlib.Path(__file__).with_name("began")
if not began.exists():
    began.touch()
    os._exit(1)

def handler(event, context):
    return {"heard": event}
"""


def test_an_event_is_given_again_where_the_functions_process_ended_before_it_took_it(
    given: Path, tmp_path: Path
) -> None:
    function = tmp_path / "function"
    function.mkdir()
    (function / "app.py").write_text(ENDS_ONCE)
    path, environment = [function, given], {"PATH": os.environ["PATH"]}
    with Runtime(function, path, environment, tmp_path / "log") as runtime:
        assert runtime.invoke({"number": 1}) == {"heard": {"number": 1}}
    (function / "app.py").write_text("import os; os._exit(1)")
    with (
        Runtime(function, path, environment, tmp_path / "log") as runtime,
        pytest.raises(AssertionError, match="ended before it took the event"),
    ):
        runtime.invoke({})


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_built_function_asks_again_for_messages_it_cannot_read(functions: dict[str, Runtime], function: str) -> None:
    event = sample("malformed.json")
    assert functions[function].invoke(event) == again(*event["Records"])


def test_the_built_reconcile_function_plans_and_does(start: Callable[..., Runtime], here: Cloud) -> None:
    reconcile = start("ReconcileFunction")
    group = here.create_group("web", {"inventory": "fleet"}, hooks=False, size=1)
    eventually(group.in_service, "in service")
    planned = reconcile.invoke(sample("reconcile-dry-run.json"))
    assert (planned["dry_run"], planned["failed"]) == (True, False)
    assert [each["step"] for each in planned["steps"]] == ["add"]
    assert here.tower.hosts() == []
    done = reconcile.invoke({"every": 5})
    assert (done["failed"], done["troubles"]) == (False, [])
    assert {host.name for host in here.tower.hosts()} == group.in_service()
    group.delete()
    eventually(lambda: not group.states(), "gone")
    assert [each["step"] for each in reconcile.invoke({})["steps"]] == ["removed"]
    assert here.tower.hosts() == []


def test_the_built_doctor_function_looks_at_aws_and_tower_and_says_what_is_not_there(
    start: Callable[..., Runtime], here: Cloud
) -> None:
    answer = start("DoctorFunction").invoke(sample("doctor.json"))
    assert answer["checked"][0].startswith(f"Tower 24.6.1 at {here.tower_url}/api/v2/")
    assert answer["checked"][2].startswith("0 rules, 6 queues, 0 event source mappings, 0 schedules")
    assert {each["key"] for each in answer["findings"]} >= {
        "rules: not looked at (AwsRejected)",
        "event source mappings: not looked at (AwsRejected)",
        "schedules: not looked at (AwsRejected)",
        "group web: not there",
    }


def test_a_run_that_is_asked_for_what_does_not_exist_fails(start: Callable[..., Runtime]) -> None:
    answer = start("ReconcileFunction").invoke({"dryrun": True})
    assert answer["errorType"] == "BadEvent"
    assert "'dryrun' is unknown" in answer["errorMessage"]


def test_an_event_without_a_queue_fails_with_an_error_that_names_what_is_wrong(functions: dict[str, Runtime]) -> None:
    event = sample("launch-eventbridge-bare.json")
    del event["detail"]["EC2InstanceId"]
    answer = functions["RegisterFunction"].invoke(event)
    assert answer["errorType"] == "BadEvent"
    assert "EC2InstanceId" in answer["errorMessage"]


def test_a_secret_that_cannot_be_read_is_an_error_of_ours_that_names_it(start: Callable[..., Runtime]) -> None:
    record = sample("terminate-successful.json")["Records"][0]
    answer = start("CleanupFunction", secret="no-such-secret").invoke(json.loads(record["body"]))
    assert answer["errorType"] == "AwsRejected"
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
            NotificationTargetARN=queue_arn(here, name),
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
    messages = receive(cloud, queue)
    if messages:
        assert function.invoke(batch(messages)) == again()
        delete(cloud, queue, messages)
    return True


@pytest.mark.parametrize("has_layer", [True, False])
def test_the_built_layer_for_chef_is_what_a_function_needs_beside_the_common_one(
    built: Path, given: Path, here: Cloud, tmp_path: Path, has_layer: bool
) -> None:
    event = sample("terminate-successful.json")
    action = json.loads(event["Records"][0]["body"])["detail"]
    chef, node = ChefServer(), action["EC2InstanceId"]
    chef.bootstrap(node)
    group = here.create_group(action["AutoScalingGroupName"], {"inventory": "fleet", "chef": ""}, hooks=False)
    layers = ["CommonLayer", "ChefLayer"] if has_layer else ["CommonLayer"]
    function, path = built / "CleanupFunction", [built / layer / "python" for layer in layers]
    with chef.serve() as url:
        secrets = here.aws.client("secretsmanager")
        arn = secrets.create_secret(Name=tmp_path.name, SecretString=chef.secret(url))["ARN"]
        variables = environment(here, function.name) | {"CHEF_SECRET": arn}
        with Runtime(function, [function, *path, given], variables, tmp_path / "cleanup.log") as cleanup:
            answer = cleanup.invoke(event)
    if has_layer:
        assert answer == again()
    else:
        assert "No module named 'cryptography'" in answer["errorMessage"]
    assert chef.holds(node) == (not has_layer, not has_layer)
    group.delete()
    eventually(lambda: not group.exists(), "the group is gone")


def test_the_built_alert_function_tells_people_and_tells_them_that_it_is_over(
    built: Path, given: Path, here: Cloud, tmp_path: Path
) -> None:
    function, channels = built / "AlertFunction", AlertChannels()
    path = [function, built / "CommonLayer" / "python", given]
    with channels.serve():
        variables = alert_environment(here, channels, tmp_path.name)
        with Runtime(function, path, variables, tmp_path / "alert.log") as alert:
            for name in ("alert-trouble", "alert-alarm", "alert-over", "alert-alarm-ok", "malformed"):
                assert alert.invoke(happening_now(sample(f"{name}.json"))) == again()
            assert alert.invoke(sample("alert-sweep.json")) == {"sent": 0}
    causes = {each.key.rpartition("rollcall/")[2]: each.resolved for each in channels.pagerduty.alerts()}
    assert causes == {
        "instances: group web": True,
        "conflict: not opted in: fleet": False,
        "alarm: rollcall-TerminateDeadLetterAlarm-1A2B3C4D5E6F": True,
    }
    assert len(channels.slack.texts()) == 5
    assert len(receive(here, "DeadLetterQueue")) == len(sample("malformed.json")["Records"])


def alert_environment(cloud: Cloud, channels: AlertChannels, name: str) -> dict[str, str]:
    """The environment of the built alert function, and what it needs in the cloud."""
    secrets = cloud.aws.client("secretsmanager")
    cloud.aws.client("dynamodb").create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    held = {"pagerduty": channels.pagerduty_secret(), "slack": channels.slack_secret()}
    arns = {each: secrets.create_secret(Name=f"{name}/{each}", SecretString=text)["ARN"] for each, text in held.items()}
    return cloud.aws.environment | {
        "ACCOUNT_ID": ACCOUNT,
        "STACK_NAME": "rollcall",
        "TOLD_TABLE": name,
        "ALERT_AFTER": "600",
        "LOG_GROUPS": "register gate",
        "DEAD_LETTER_QUEUE_URL": queue_url(cloud, "DeadLetterQueue"),
        "PAGERDUTY_SECRET": arns["pagerduty"],
        "SLACK_SECRET": arns["slack"],
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }


def happening_now(event: Json) -> Json:
    """A sample of the alert function's queue, the first moment of it being now: what is long past is over."""
    now = datetime.now(UTC)
    for number, record in enumerate(event["Records"]):
        body = record["body"]
        for field in ("time", "StateChangeTime"):
            at = (now + timedelta(seconds=number)).isoformat(timespec="seconds")
            body = re.sub(rf'"{field}": "[^"]*"', f'"{field}": "{at}"', body)
        record["body"] = body
    return event


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


def test_cpu_time_and_memory_are_those_of_the_functions_own_process(functions: dict[str, Runtime]) -> None:
    function = functions["CleanupFunction"]
    function.invoke(sample("test-notification.json"))
    assert b"awslambdaric" in Path(f"/proc/{function.process_id}/cmdline").read_bytes()
    before = function.cpu_ms()
    function.invoke(sample("test-notification.json"))
    assert function.cpu_ms() > before > 0
    assert function.peak_memory_mb() > 1


def test_the_cpu_time_of_a_process_counts_threads_that_ended() -> None:
    busy = """
import threading, time
def work():
    while time.thread_time() < 0.2: pass
thread = threading.Thread(target=work)
thread.start()
thread.join()
print("done", flush=True)
input()
"""
    with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert 200 <= cpu_ms(process.pid) < 20_000
        process.kill()


@pytest.mark.parametrize(
    ("layer", "packages"),
    [("CommonLayer", {"rollcall", "requests", "aws_lambda_powertools"}), ("ChefLayer", {"cryptography"})],
)
def test_a_layer_is_compiled_so_that_no_cold_start_compiles_it(built: Path, layer: str, packages: set[str]) -> None:
    code = built / layer / "python"
    modules = sorted(code.rglob("*.py"))
    assert packages <= {path.relative_to(code).parts[0] for path in modules}
    assert [each for each in modules if not Path(cache_from_source(str(each))).exists()] == []


def test_make_build_compiles_every_layer() -> None:
    steps = (REPOSITORY / "Makefile").read_text().partition("\nbuild:")[2].partition("\n\n")[0]
    assert "compileall -q --invalidation-mode unchecked-hash" in steps
    layers = re.findall(r"Type: AWS::Serverless::LayerVersion", (REPOSITORY / "template.yaml").read_text())
    assert len(layers) == len(LAYERS) == sum(f".aws-sam/build/{each}/python" in steps for each in LAYERS)
