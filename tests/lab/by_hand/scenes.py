"""What a sample is about, brought about in the lab: Auto Scaling, Tower and the deployed functions do their part.

The function that is to be tried gets no messages meanwhile, and the message that it would have got is taken from its
queue: the sample takes its place. Everything after it goes on as always: what register hands over, the deployed gate
works on.
"""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.bakes import PLACED, REVISION, permit
from lab.by_hand.samples import Facts, filled
from lab.cloud import REPOSITORY, SECRET, Group, eventually
from rollcall_cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.cloud import Cloud
    from lab.tower.embedded import Tower

type Json = dict[str, Any]
type Scene = Callable[[Cloud], Facts]

SAMPLES_DIRECTORY = REPOSITORY / "events"
INVENTORY, TEMPLATE, RETIRE_TEMPLATE = "fleet", "provision", "retire"  # in the lab's Tower
BUILDERS, BAKE_TEMPLATE = "builders", "bake"  # likewise, for bakes
FAILING = {TEMPLATE: "provision-fails", BAKE_TEMPLATE: "bake-fails"}  # like those, but that their jobs fail
JOB_TIMEOUT = 1800  # seconds; of the job templates
TARGET_GROUP = "sample"
HOOKS = {"rollcall-launch": "LAUNCHING", "rollcall-terminate": "TERMINATING"}  # as the samples call them
HEARTBEAT_TIMEOUT = 600  # seconds: whoever looks at a function with a debugger has time
TIMEOUT = 120.0  # seconds for each step
HELD = 2  # seconds that a message which is not meant is hidden from its function
AT_ONCE = 10  # messages; SQS's maximum
REQUEST_TIMEOUT = 10.0  # seconds


def furnish(tower: Tower) -> None:
    """Give a Tower what the samples, and the group of a lab that stays, need of it."""
    for inventory in (INVENTORY, BUILDERS):
        tower.add_inventory(inventory)
    tower.add_job_template(RETIRE_TEMPLATE, INVENTORY, timeout=JOB_TIMEOUT)
    for template in (TEMPLATE, FAILING[TEMPLATE]):  # smoke tests run them in the inventory of builders
        tower.add_job_template(template, INVENTORY, timeout=JOB_TIMEOUT, ask_inventory=True, ask_variables=True)
    for template in (BAKE_TEMPLATE, FAILING[BAKE_TEMPLATE]):
        tower.add_job_template(template, BUILDERS, timeout=JOB_TIMEOUT, ask_variables=True, project="playbooks")
    for template in FAILING.values():
        tower.break_template(template)
    tower.set_revision(BAKE_TEMPLATE, REVISION)


def nothing(_: Cloud) -> Facts:
    """Nothing is needed."""
    return Facts()


def opted_in(cloud: Cloud) -> Facts:
    """A group is opted in."""
    return Facts(_hooked(cloud).name)


def may_bake(cloud: Cloud) -> Facts:
    """A group has what a bake needs: a subnet, an inventory and a playbook for builders, and leave to add versions."""
    tags: dict[str, str | None] = {
        "inventory": INVENTORY,
        "job-template": TEMPLATE,
        "bake-inventory": BUILDERS,
        "bake-job-template": BAKE_TEMPLATE,
    }
    group = _group(cloud, "sample-bakes", tags, hooks=HOOKS, version="$Default", **PLACED)
    permit(group)
    return Facts(group.name)


def launching(cloud: Cloud) -> Facts:
    """A launch hook holds an instance, and no function knows of it yet."""
    group = _hooked(cloud)
    with cloud.paused("RegisterFunction"):
        _grow(group)
        message = _take(cloud, "LaunchQueue", lambda body: _detail(body).get("AutoScalingGroupName") == group.name)
    return Facts(group.name, _detail(message)["EC2InstanceId"], _detail(message)["LifecycleActionToken"])


def serving_without_host(cloud: Cloud) -> Facts:
    """An instance serves in a group without hooks, and Tower has no host for it."""
    group = _without_hooks(cloud)
    before = set(group.in_service())
    _grow(group)
    (new, *_) = eventually(lambda: group.in_service() - before, "an instance serves", TIMEOUT)
    return Facts(group.name, new)


def waiting(cloud: Cloud) -> Facts:
    """A launch hook holds an instance whose job has just ended well."""
    group = _hooked(cloud)
    with cloud.paused("GateFunction"):
        _grow(group)
        message = _take(cloud, "GateQueue", lambda body: _only(body.get("waiting"), group.name))
        _until_over(cloud, message["job_id"])
    (one,) = message["waiting"]
    action = one["action"]
    return Facts(
        group.name,
        action["instance_id"],
        action["token"],
        one["address"],
        message["job_id"],
        one["launched_at"],
        message["since"],
    )


def watched(cloud: Cloud) -> Facts:
    """A load balancer sends an instance traffic, which the gate has let in, and the group wants it watched."""
    group = _behind_a_load_balancer(cloud)
    instance_id = _one_in_service(group)
    launched_at = cloud.describe([instance_id])[instance_id]["LaunchTime"].timestamp()
    return Facts(group.name, instance_id, launched_at=launched_at)


def retiring(cloud: Cloud) -> Facts:
    """A terminate hook holds an instance for which a retire job is to run, and cleanup has handed it to the gate."""
    group = _retiring(cloud)
    instance_id = _one_in_service(group)
    with cloud.paused("GateFunction"):
        group.terminate(instance_id, decrement=True)
        message = _take(cloud, "GateQueue", lambda body: _only(body.get("retiring"), group.name))
    (action,) = message["retiring"]
    return Facts(group.name, action["instance_id"], action["token"])


def terminating(cloud: Cloud) -> Facts:
    """A terminate hook holds an instance, and its host is still in Tower."""
    group = _hooked(cloud)
    instance_id = _one_in_service(group)
    with cloud.paused("CleanupFunction"):
        group.terminate(instance_id, decrement=True)
        message = _take(
            cloud,
            "TerminateQueue",
            lambda body: _detail(body).get("EC2InstanceId") == instance_id and "LifecycleActionToken" in _detail(body),
        )
    return Facts(group.name, instance_id, _detail(message)["LifecycleActionToken"])


def gone(cloud: Cloud) -> Facts:
    """An instance of a group without hooks is terminated, and its host is still in Tower."""
    group = _without_hooks(cloud)
    instance_id = _one_in_service(group)
    cloud.reconcile(instances=[instance_id])
    with cloud.paused("CleanupFunction"):
        group.terminate(instance_id, decrement=True)
        _take(cloud, "TerminateQueue", lambda body: _detail(body).get("EC2InstanceId") == instance_id)
    return Facts(group.name, instance_id)


def alarm_reported(cloud: Cloud) -> Facts:
    """PagerDuty has an open incident for the alarm."""
    return _reported(cloud, "alert-alarm.json")


def trouble_reported(cloud: Cloud) -> Facts:
    """PagerDuty has an open incident for the instance."""
    return _reported(cloud, "alert-trouble.json")


@dataclass(frozen=True)
class Sample:
    """What a file in events/ is for. functions: that take it, as `rollcall invoke` names them, the usual one first.

    good: what its log or its answer holds where all went as it should. code: what `make invoke` ends with then.
    """

    functions: tuple[str, ...]
    scene: Scene
    good: str
    code: ExitCode = ExitCode.OK


SAMPLES = {
    **{
        f"launch-{name}.json": Sample(("register",), launching, "registered")
        for name in ("eventbridge", "eventbridge-bare", "hook-sqs", "hook-sns")
    },
    **{
        f"launch-notification-{name}.json": Sample(("register",), serving_without_host, "registered")
        for name in ("sqs", "sns")
    },
    "gate.json": Sample(("gate",), waiting, "ready"),
    "gate-watch.json": Sample(("gate",), watched, "every target group calls it healthy"),
    "gate-retiring.json": Sample(("gate",), retiring, '"batchItemFailures": []'),
    **{
        f"terminate-{name}.json": Sample(("cleanup",), terminating, "removed")
        for name in ("eventbridge", "hook-sqs", "hook-sns")
    },
    **{
        f"terminate-{name}.json": Sample(("cleanup",), gone, "removed")
        for name in ("notification-sqs", "notification-sns", "successful")
    },
    "test-notification.json": Sample(("register", "cleanup"), nothing, '"batchItemFailures": []'),
    "malformed.json": Sample(("register", "gate", "cleanup"), nothing, "BadEvent", ExitCode.ACT),
    "reconcile-dry-run.json": Sample(("reconcile",), serving_without_host, '"step": "add"'),
    "cycle-preflight.json": Sample(("cycle",), opted_in, '"next": "put_back"'),
    "cycle-put-back.json": Sample(("cycle",), opted_in, '"next": "succeeded"'),
    "bake-preflight.json": Sample(("bake",), may_bake, "dry run: nothing speaks against it"),
    "bake-put-back.json": Sample(("bake",), opted_in, '"next": "succeeded"'),
    "doctor.json": Sample(("doctor",), opted_in, '"findings"'),
    "alert-trouble.json": Sample(("alert",), nothing, "incident opened"),
    "alert-over.json": Sample(("alert",), trouble_reported, "incident resolved"),
    "alert-alarm.json": Sample(("alert",), nothing, "incident opened"),
    "alert-alarm-ok.json": Sample(("alert",), alarm_reported, "incident resolved"),
    "alert-sweep.json": Sample(("alert",), nothing, '"sent"'),
}


def sample_of(event: Path) -> Sample | None:
    """What a file is for, if it is one of the repository's samples."""
    return SAMPLES.get(event.name) if event.resolve().parent == SAMPLES_DIRECTORY.resolve() else None


def _hooked(cloud: Cloud) -> Group:
    return _group(cloud, "sample", {"inventory": INVENTORY, "job-template": TEMPLATE}, hooks=HOOKS)


def _retiring(cloud: Cloud) -> Group:
    return _group(
        cloud, "sample-retiring", {"inventory": INVENTORY, "retire-job-template": RETIRE_TEMPLATE}, hooks=HOOKS
    )


def _without_hooks(cloud: Cloud) -> Group:
    return _group(cloud, "sample-without-hooks", {"inventory": INVENTORY}, hooks=False)


def _behind_a_load_balancer(cloud: Cloud) -> Group:
    name = "sample-behind-a-load-balancer"
    if Group(cloud, name).exists():
        return Group(cloud, name)
    arn = cloud.create_target_group(TARGET_GROUP)
    tags: dict[str, str | None] = {"inventory": INVENTORY, "gate": "elb", "watch": "300"}
    return _group(cloud, name, tags, hooks=HOOKS, TargetGroupARNs=[arn])


def _group(cloud: Cloud, name: str, tags: dict[str, str | None], **settings: Any) -> Group:
    group = Group(cloud, name)
    if group.exists():
        return group
    return cloud.create_group(name, tags, heartbeat_timeout=HEARTBEAT_TIMEOUT, **settings)


def _grow(group: Group) -> None:
    """One instance more."""
    group.scale(len(group.states()) + 1)


def _one_in_service(group: Group) -> str:
    """An instance that serves, launched if there is none."""
    if not group.in_service():
        _grow(group)
    return str(min(eventually(group.in_service, "an instance serves", TIMEOUT)))


def _reported(cloud: Cloud, name: str) -> Facts:
    """The deployed alert function is given another sample."""
    event = filled(json.loads((SAMPLES_DIRECTORY / name).read_text()), Facts(), time.time())
    answer = cloud.aws.client("lambda").invoke(
        FunctionName=cloud.function_name("AlertFunction"), Payload=json.dumps(event)
    )
    answer["Payload"].read()
    return Facts()


def _take(cloud: Cloud, queue: str, is_meant: Callable[[Json], bool]) -> Json:
    """The body of the first such message in a queue. None such is in it afterwards: SQS may hold one twice."""
    sqs, url = cloud.aws.client("sqs"), cloud.queue_url(queue)

    def received() -> list[Json]:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=AT_ONCE, VisibilityTimeout=HELD)
        return list(answer.get("Messages", ()))

    def taken() -> list[Json]:
        bodies: list[Json] = []
        while messages := received():
            for message in messages:
                body: Json = json.loads(message["Body"])
                if is_meant(body):
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                    bodies.append(body)
        return bodies

    first: Json = eventually(taken, f"the message is in {queue}", TIMEOUT)[0]
    return first


def _detail(body: Json) -> Json:
    """What an event is about; nothing of a message that is none."""
    return dict(body.get("detail") or {})


def _only(members: list[Json] | None, group: str) -> bool:
    """Whether a message of the gate's is about one instance, and of this group."""
    return (
        bool(members)
        and len(members or ()) == 1
        and all((each.get("action") or each)["group"] == group for each in members or ())
    )


def _until_over(cloud: Cloud, job: int) -> None:
    """Wait until a job is over, and Tower has all that it knows about it."""
    secret = cloud.aws.client("secretsmanager").get_secret_value(SecretId=SECRET)["SecretString"]
    token = json.loads(secret)["token"]
    request = urllib.request.Request(
        f"{cloud.tower_url}/api/v2/jobs/{job}/", headers={"Authorization": f"Bearer {token}"}
    )

    def over() -> bool:
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT) as answer:
            shown = json.load(answer)
        return bool(shown["finished"] and shown["event_processing_finished"])

    eventually(over, f"job {job} is over", TIMEOUT)
