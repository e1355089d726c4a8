"""What `make redrive` makes of dead letters: back to work once mended, or a reconcile of what waits no more."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from lab.cloud import ACCOUNT, HOOK_PREFIX, REGION, Cloud, Group, eventually
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]
type PublishedEvent = subprocess.CompletedProcess[str]

LAUNCH = "EC2 Instance-launch Lifecycle Action"
TERMINATION = "EC2 Instance-terminate Lifecycle Action"
TERMINATED = "EC2 Instance Terminate Successful"
PATIENT = 600  # seconds of a hook that nobody answers while a test looks on
HOUR, DAY = 3600, 86_400  # seconds
MISTAKE = {"Error": "BadSettings", "Message": "group 'web': tag rollcall:gate is 'icmp'"}


def redrive(cloud: Cloud, *options: str, **environment: str) -> PublishedEvent:
    return cloud.rollcall("redrive", *options, **environment)


def event(detail_type: str, group: Group, instance_id: str, age: float) -> str:
    """What EventBridge announced of an instance so many seconds ago."""
    launch = detail_type == LAUNCH
    return json.dumps(
        {
            "version": "0",
            "id": f"{instance_id}-{age}",
            "detail-type": detail_type,
            "source": "aws.autoscaling",
            "account": ACCOUNT,
            "time": datetime.fromtimestamp(time.time() - age, UTC).isoformat(timespec="seconds"),
            "region": REGION,
            "resources": [],
            "detail": {
                "AutoScalingGroupName": group.name,
                "LifecycleHookName": f"{HOOK_PREFIX}-{'launching' if launch else 'terminating'}",
                "EC2InstanceId": instance_id,
                "LifecycleTransition": f"autoscaling:EC2_INSTANCE_{'LAUNCHING' if launch else 'TERMINATING'}",
                "Origin": "EC2" if launch else "AutoScalingGroup",
                "Destination": "AutoScalingGroup" if launch else "EC2",
            },
        }
    )


def move_to_dead_letters(cloud: Cloud, queue: str, body: str) -> None:
    """A message as a function sets it aside."""
    attributes: dict[str, Any] = {name: {"DataType": "String", "StringValue": text} for name, text in MISTAKE.items()}
    cloud.aws.client("sqs").send_message(
        QueueUrl=cloud.queue_url(f"{queue}DeadLetterQueue"), MessageBody=body, MessageAttributes=attributes
    )


def waiting(group: Group, state: str) -> str:
    """The one instance of a group, once it waits in a state."""
    eventually(lambda: list(group.states().values()) == [state], f"one in {state}")
    [instance_id] = group.states()
    return instance_id


@pytest.mark.story
def test_a_dead_letter_for_a_mistake_is_shown_in_words_and_provisioned_once_fixed_and_sent(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    group = make_group(gate="job icmp", heartbeat_timeout=PATIENT)
    cloud.aws.drop_events(LAUNCH)
    group.scale(1)
    instance_id = waiting(group, "Pending:Wait")
    give_up_on(cloud, event(LAUNCH, group, instance_id, 2 * HOUR))
    assert cloud.dead_letters()["Launch"] == 1

    told = redrive(cloud)
    assert (told.returncode, told.stderr) == (1, "")
    assert "LaunchDeadLetterQueue: 1 message" in told.stdout
    assert f"launch, group {group.name}, since" in told.stdout
    assert "2 hours old" in told.stdout
    assert f"BadSettings: group '{group.name}': tag rollcall:gate is 'icmp'; allowed:" in told.stdout
    assert instance_id in told.stdout
    assert "-> goes back to LaunchQueue" in told.stdout
    assert cloud.dead_letters()["Launch"] == 1, "whoever only looks changes nothing, and hides nothing"

    group.tag({"gate": "job"})
    sent = redrive(cloud, "--send")
    assert (sent.returncode, sent.stderr) == (0, "")
    assert "1 sent back, 0 left" in sent.stdout
    assert not any(cloud.dead_letters().values())
    eventually(lambda: group.in_service() == {instance_id}, "it is provisioned, and serves")
    assert len(tower.jobs(name)) == 1


def give_up_on(cloud: Cloud, body: str) -> None:
    """Register gets a message for the last time: it was first received longer ago than a person is given."""
    record = {
        "messageId": "19dd0b57-b21e-4ac1-bd88-010000000001",
        "receiptHandle": "long gone",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "20",
            "ApproximateFirstReceiveTimestamp": str(int((time.time() - 2 * HOUR) * 1000)),
        },
        "awsRegion": REGION,
    }
    answer = cloud.aws.client("lambda").invoke(
        FunctionName=cloud.function_name("RegisterFunction"), Payload=json.dumps({"Records": [record]})
    )
    assert json.loads(answer["Payload"].read()) == {"batchItemFailures": []}


def test_old_messages_of_hooks_that_wait_no_more_end_in_a_reconcile_of_their_instances(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    old = make_group("-old", hooks=False, job_template=None, size=1)
    new = make_group("-new", hooks=False, job_template=None, size=2)
    gone = waiting(old, "InService")
    cloud.reconcile()
    cloud.aws.drop_events(TERMINATED)
    old.scale(0)
    eventually(lambda: not old.states(), "it is gone, and nobody was told")
    eventually(lambda: len(new.in_service()) == 2, "two serve")
    missing, other = sorted(new.in_service())
    for host in tower.hosts(name):
        if host.name != gone:
            tower.remove_host(host.name, name)
    cloud.aws.client("autoscaling").put_lifecycle_hook(
        AutoScalingGroupName=old.name,
        LifecycleHookName=f"{HOOK_PREFIX}-terminating",
        LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING",
        HeartbeatTimeout=PATIENT,
    )
    move_to_dead_letters(cloud, "Terminate", event(TERMINATION, old, gone, 3 * DAY))
    move_to_dead_letters(cloud, "Launch", event(LAUNCH, new, missing, 3 * DAY))

    told = redrive(cloud)
    assert told.returncode == 1
    assert "takes its place: it is older than its hook's life of 16.7 hours" in told.stdout
    assert "takes its place: its hook is gone" in told.stdout
    assert {host.name for host in tower.hosts(name)} == {gone}

    sent = redrive(cloud, "--send")
    assert (sent.returncode, sent.stderr) == (0, "")
    assert "settled by reconcile: removed: EC2 says that it is terminated" in sent.stdout
    assert "settled by reconcile: added: it serves in group" in sent.stdout
    assert "2 settled by reconcile, 0 left" in sent.stdout
    assert {host.name for host in tower.hosts(name)} == {missing}, f"{other} was not asked for"
    assert not any(cloud.dead_letters().values())
    cloud.reconcile()


def test_what_reconcile_cannot_settle_stays_with_the_reason(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    group = make_group(hooks=False, job_template=None, size=1)
    instance_id = waiting(group, "InService")
    tower.add_host(name, instance_id, variables={"role": "db"})
    move_to_dead_letters(cloud, "Launch", event(LAUNCH, group, instance_id, 3 * DAY))
    kept = redrive(cloud, "--send")
    assert kept.returncode == 1
    assert f"-> stays: in the way {instance_id}: " in kept.stdout
    assert cloud.dead_letters()["Launch"] == 1
    tower.remove_host(instance_id, name)
    assert redrive(cloud, "--send").returncode == 0
    assert [host.name for host in tower.hosts(name)] == [instance_id]
    assert cloud.dead_letters()["Launch"] == 0


def test_what_cannot_be_read_is_shown_raw_and_goes_only_when_it_is_named(make_group: MakeGroup, cloud: Cloud) -> None:
    move_to_dead_letters(cloud, "Launch", '{"detail-type": "EC2 Instance-launch Lifecycle')
    told = redrive(cloud, "--send", "--json")
    assert told.returncode == 1
    [message] = json.loads(told.stdout)["messages"]
    assert "is not JSON" in message["stays"]
    shown = redrive(cloud, "--queue", "Launch")
    assert '      {"detail-type": "EC2 Instance-launch Lifecycle' in shown.stdout
    assert f"\n      rollcall redrive --delete {message['id']}\n" in shown.stdout
    assert redrive(cloud, "--delete", message["id"]).returncode == 0
    assert not any(cloud.dead_letters().values())


def test_make_redrive_passes_on_what_it_is_asked_for(make_group: MakeGroup, cloud: Cloud) -> None:
    told = cloud.make("redrive", "--queue Gate")
    assert (told.returncode, told.stdout, told.stderr) == (0, "The dead-letter queues are empty.\n", "")


def test_what_cannot_be_asked_is_reported_with_its_remedy(cloud: Cloud) -> None:
    for told, words, remedy in (
        (redrive(cloud, "--stack", "no-such-stack"), "There is no stack no-such-stack", "--stack"),
        (
            redrive(cloud, AWS_ENDPOINT_URL="http://127.0.0.1:9"),
            "AWS cannot be reached for the resources of stack",
            "--region",
        ),
    ):
        assert (told.returncode, told.stdout) == (2, "")
        assert told.stderr.startswith(words)
        assert remedy in told.stderr
