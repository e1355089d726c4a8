"""Large scale-outs: very many instances at once, every event twice, and neither AWS nor Tower in a good mood."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.cloud import Cloud, Group, eventually
from lab.tower.embedded import Latency, Tower

type MakeGroup = Callable[..., Group]

BATCHES_AT_ONCE = 2
REQUESTS_A_BATCH = 6  # four memberships side by side in register, one request in gate, one in cleanup
MOST_HOSTS_A_JOB = 100
INSTANCES = 1000  # instances
HEARTBEAT_TIMEOUT = 600  # seconds, what suits most groups
PATIENCE = 300.0  # seconds; no test is about how long it takes
MESSAGES_A_CALL = 10  # SQS's maximum
THROTTLED = (
    ("autoscaling:CompleteLifecycleAction", 30),
    ("autoscaling:DescribeAutoScalingInstances", 20),
    ("autoscaling:RecordLifecycleActionHeartbeat", 10),
    ("ec2:DescribeInstances", 5),
    ("sqs:SendMessageBatch", 10),
)


@pytest.fixture(scope="module")
def cloud(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud with addresses for thousands, and a Tower that takes its time, though much less than a real one."""
    # Memberships take longest, so that as many wait at Tower as register asks for side by side.
    tower = Tower(latency=Latency(associate=0.5, scale=0.03))
    with Cloud(tmp_path_factory.mktemp("lab"), address_pool="10.0.0.0/20", tower=tower, forks=True) as cloud:
        cloud.deploy(built, BatchesAtOnce=str(BATCHES_AT_ONCE))
        yield cloud


def test_a_thousand_launches_each_announced_twice_are_served_once(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.forget_requests()
    group = make_group(most=INSTANCES, heartbeat_timeout=HEARTBEAT_TIMEOUT)
    with cloud.paused("RegisterFunction"):
        group.scale(INSTANCES)
        eventually(lambda: waiting(cloud, "LaunchQueue") == INSTANCES, "every launch is announced", PATIENCE)
        send_shuffled(cloud, receive_all(cloud, "LaunchQueue") * 2, "LaunchQueue")
    with rough_weather(cloud, tower):
        eventually(lambda: len(group.in_service()) == INSTANCES, "all in service", PATIENCE)
        eventually(lambda: cloud.in_flight() == 0, "the second copies are worked off", PATIENCE)

    instances = set(group.states())
    entered = Counter((each.instance_id, each.state) for each in group.transitions())
    assert entered == Counter((one, state) for one in instances for state in WAY_IN)
    jobs = [job.limit.split(",") for job in tower.jobs(name)]
    assert Counter(one for limit in jobs for one in limit) == Counter(instances)
    assert max(map(len, jobs)) <= MOST_HOSTS_A_JOB
    assert Counter(host.name for host in tower.hosts()) == Counter(instances)
    assert {host.groups for host in tower.hosts()} == {(group.name,)}
    assert cloud.dead_letters() == {"Launch": 0, "Gate": 0, "Terminate": 0}
    assert any(one.status == 503 for one in tower.requests())
    assert all(cloud.aws.calls()[action] >= every for action, every in THROTTLED if "Heartbeat" not in action)


def test_in_a_large_scale_out_the_good_do_not_wait_for_the_failing_the_booting_and_the_dying(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.set_job_time(3)
    group = make_group()
    with cloud.paused("RegisterFunction"):
        group.scale(60)
        eventually(lambda: len(group.states()) == 60, "sixty are launched")
        first = list(group.states())
        failing, booting, dying, good = set(first[:5]), set(first[5:15]), set(first[13:20]), set(first[20:])
        tower.fail_host(lambda host: host.name in failing)
        tower.set_boot_time(3600, lambda host: host.name in booting)
    eventually(lambda: dying <= {one for job in tower.jobs(name) for one in job.hosts}, "the jobs run")
    cloud.aws.client("ec2").terminate_instances(InstanceIds=sorted(dying))

    eventually(lambda: good <= group.in_service(), "the good are in service", PATIENCE)
    assert not booting & group.in_service()
    tower.set_boot_time(0, lambda host: host.name in booting)
    eventually(lambda: len(group.in_service()) == 60, "sixty in service", PATIENCE)

    assert good | (booting - dying) <= group.in_service()
    served = {each.instance_id for each in group.transitions() if each.state == "InService"}
    assert served == group.in_service()
    assert not served & (failing | dying)
    eventually(lambda: {host.name for host in tower.hosts(name)} == served, "the others' hosts are gone", PATIENCE)


def test_a_large_scale_out_and_in_asks_no_more_of_tower_at_once_than_its_batches_allow(
    make_group: MakeGroup, cloud: Cloud, tower: Tower
) -> None:
    leaving, coming = make_group("-a"), make_group("-b")
    leaving.scale(150)
    eventually(lambda: len(leaving.in_service()) == 150, "the first group serves", PATIENCE)
    tower.forget_requests()
    coming.scale(150)
    leaving.scale(0)
    eventually(lambda: len(coming.in_service()) == 150, "the second group serves", PATIENCE)
    eventually(lambda: not leaving.states(), "the first group is gone", PATIENCE)
    assert 1 < tower.most_at_once() <= REQUESTS_A_BATCH * BATCHES_AT_ONCE
    assert {host.name for host in tower.hosts()} == coming.in_service()


WAY_IN = ("Pending", "Pending:Wait", "Pending:Proceed", "InService")


@contextmanager
def rough_weather(cloud: Cloud, tower: Tower) -> Iterator[None]:
    """Tower refuses some requests, and AWS throttles, until the block ends."""
    tower.refuse_some(20)
    for action, every in THROTTLED:
        cloud.aws.throttle(action, every)
    try:
        yield
    finally:
        cloud.aws.throttle(None)
        tower.refuse_some(None)


def waiting(cloud: Cloud, queue: str) -> int:
    attribute = "ApproximateNumberOfMessages"
    answer = cloud.aws.client("sqs").get_queue_attributes(QueueUrl=cloud.queue_url(queue), AttributeNames=[attribute])
    return int(answer["Attributes"][attribute])


def receive_all(cloud: Cloud, queue: str) -> list[str]:
    """Take every message out of a queue."""
    sqs, url = cloud.aws.client("sqs"), cloud.queue_url(queue)
    bodies: list[str] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=MESSAGES_A_CALL).get("Messages"):
        bodies += [message["Body"] for message in messages]
        entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
        sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    return bodies


def send_shuffled(cloud: Cloud, bodies: list[str], queue: str) -> None:
    """Send messages in an order that is nobody's, and the same in every run."""
    sqs, url = cloud.aws.client("sqs"), cloud.queue_url(queue)
    shuffled = random.Random(1).sample(bodies, len(bodies))
    for start in range(0, len(shuffled), MESSAGES_A_CALL):
        entries = [
            {"Id": str(n), "MessageBody": body} for n, body in enumerate(shuffled[start : start + MESSAGES_A_CALL])
        ]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
