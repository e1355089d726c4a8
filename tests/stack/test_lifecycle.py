"""Instances on their way in and out, when nothing is wrong."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lab.cloud import HOOK_PREFIX, STACK, Cloud, Group, eventually
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]


@pytest.mark.story
def test_instances_serve_once_provisioned_and_leave_tower_when_they_go(
    make_group: MakeGroup, tower: Tower, name: str
) -> None:
    group = make_group(groups="web canary")
    group.scale(3)
    eventually(lambda: len(group.in_service()) == 3, "three instances in service")

    hosts = {host.name: host for host in tower.hosts(name)}
    assert hosts.keys() == group.in_service()
    assert {frozenset(host.groups) for host in hosts.values()} == {frozenset({"canary", "web"})}
    assert [set(job.limit.split(",")) for job in tower.jobs(name)] == [group.in_service()]

    group.scale(1)
    eventually(lambda: len(group.states()) == 1, "two instances are gone")
    assert {host.name for host in tower.hosts(name)} == group.in_service()


def test_without_a_chef_server_no_function_has_anything_of_it(cloud: Cloud) -> None:
    for function in ("Register", "Gate", "Cleanup", "Reconcile"):
        deployed = cloud.aws.client("lambda").get_function_configuration(
            FunctionName=cloud.function_name(f"{function}Function")
        )
        assert len(deployed["Layers"]) == 1
        assert "CHEF_SECRET" not in deployed["Environment"]["Variables"]
    resources = cloud.aws.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    names = {each["LogicalResourceId"] for each in resources}
    assert {name for name in names if name.startswith("Chef")} == {"ChefAlarm"}, "which covers more than Chef"


@pytest.mark.story
def test_a_recycled_address_never_reaches_the_old_group(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.add_job_template(f"{name}-deploy", name, allow_simultaneous=True)
    old, new = make_group("-a", groups="a"), make_group("-b", groups="b")
    old.scale(2)
    eventually(lambda: len(old.in_service()) == 2, "group A serves")
    addresses = {host.name: host.address for host in tower.hosts(name)}

    old.scale(1)
    (leaving,) = addresses.keys() - eventually(lambda: len(old.states()) == 1 and set(old.states()), "A scales in")
    new.scale(1)
    (new_instance,) = eventually(new.in_service, "group B serves")

    assert tower.host(new_instance, name).address == addresses[leaving]  # type: ignore[union-attr]
    deploy = tower.wait_for_job(tower.run_playbook(f"{name}-deploy", "a").id)
    assert deploy.hosts.keys() == old.in_service()
    assert new_instance not in deploy.hosts


@pytest.mark.story
def test_events_that_come_twice_launch_one_job_and_remove_once(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    # A second rule beside the stack's own: each event comes twice, with one and the same token.
    events, before = cloud.aws.client("events"), len(cloud.aws.invocations())
    for rule, queue in (("launch", "LaunchQueue"), ("terminate", "TerminateQueue")):
        pattern = {
            "source": ["aws.autoscaling"],
            "detail-type": [f"EC2 Instance-{rule} Lifecycle Action"],
            "detail": {"AutoScalingGroupName": [name]},
        }
        events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=rule, Targets=[{"Id": queue, "Arn": cloud.queue_arn(queue)}])
    tower.set_job_time(3)
    with cloud.rules_may_send("LaunchQueue"), cloud.rules_may_send("TerminateQueue"):
        group = make_group()
        group.scale(2)
        eventually(lambda: len(group.in_service()) == 2, "both in service")
        group.scale(0)
        eventually(lambda: not group.states(), "both are gone")
        eventually(lambda: cloud.in_flight() == 0, "the second copies are worked off")
    for function in ("RegisterFunction", "CleanupFunction"):
        runs = [each for each in cloud.aws.invocations()[before:] if each.function == cloud.function_name(function)]
        assert sum(each.messages for each in runs) >= 4, f"{function} saw each event twice"
    assert len(tower.jobs(name)) == 1
    assert len({life.id for life in tower.host_lives() if life.inventory == name}) == 2
    for rule, queue in (("launch", "LaunchQueue"), ("terminate", "TerminateQueue")):
        events.remove_targets(Rule=rule, Ids=[queue])
        events.delete_rule(Name=rule)


def test_a_copy_of_an_event_that_comes_late_finds_the_job(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.set_job_time(3)
    group = make_group(size=2)
    (job,) = eventually(lambda: tower.jobs(name), "a job")
    for instance_id in job.limit.split(","):
        send(cloud, "LaunchQueue", launch_event(group, instance_id))
    eventually(lambda: len(group.in_service()) == 2, "both in service")
    eventually(lambda: cloud.in_flight() == 0, "the second copies are worked off")
    assert len(tower.jobs(name)) == 1
    assert len(tower.hosts(name)) == 2


@pytest.mark.story
@pytest.mark.parametrize("through", ["queue", "topic"])
def test_hooks_that_notify_by_themselves_are_answered(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, through: str
) -> None:
    group = make_group(hooks=False)
    for queue, transition in (("LaunchQueue", "LAUNCHING"), ("TerminateQueue", "TERMINATING")):
        target = cloud.queue_arn(queue)
        if through == "topic":
            sns = cloud.aws.client("sns")
            topic = sns.create_topic(Name=f"named-{name.split('[')[0][:20]}-{transition}")["TopicArn"]
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=target)
            target = topic
        cloud.aws.client("autoscaling").put_lifecycle_hook(
            AutoScalingGroupName=group.name,
            LifecycleHookName=f"of-somebody-elses-naming-{transition}",
            LifecycleTransition=f"autoscaling:EC2_INSTANCE_{transition}",
            HeartbeatTimeout=60,
            NotificationTargetARN=target,
            RoleARN="arn:aws:iam::123456789012:role/notify",
        )
    group.scale(1)
    eventually(group.in_service, "in service")
    assert len(tower.jobs(name)) == 1
    group.scale(0)
    eventually(lambda: not group.states(), "gone")


def test_a_group_that_did_not_opt_in_is_left_alone(make_group: MakeGroup, tower: Tower, name: str) -> None:
    group = make_group(hooks=False, inventory=None, job_template=None)
    group.scale(1)
    eventually(group.in_service, "in service")
    assert tower.hosts(name) == []


def test_a_group_without_a_template_is_registered_only(make_group: MakeGroup, tower: Tower, name: str) -> None:
    group = make_group(job_template=None)
    group.scale(1)
    eventually(group.in_service, "in service")
    assert {host.name for host in tower.hosts(name)} == group.in_service()
    assert tower.jobs(name) == []


def test_an_instance_that_vanishes_without_a_hook_is_removed(make_group: MakeGroup, tower: Tower, name: str) -> None:
    group = make_group(size=2)
    eventually(lambda: len(group.in_service()) == 2, "both in service")
    group.cloud.aws.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=group.name, ForceDelete=True)
    eventually(lambda: tower.hosts(name) == [], "no host is left")


def test_hosts_leave_while_a_job_runs_on_their_inventory(make_group: MakeGroup, tower: Tower, name: str) -> None:
    tower.add_job_template(f"{name}-long", name)
    tower.set_job_time(3600, f"{name}-long")
    group = make_group(size=2)
    eventually(lambda: len(group.in_service()) == 2, "both in service")
    running = tower.run_playbook(f"{name}-long", "all")
    group.scale(0)
    eventually(lambda: not group.states(), "both are gone")
    assert tower.hosts(name) == []
    assert not next(job for job in tower.jobs(f"{name}-long") if job.id == running.id).final
    tower.cancel_job(running.id)


def test_a_server_without_bulk_calls_is_served_one_by_one(make_group: MakeGroup, tower: Tower, name: str) -> None:
    tower.no_bulk = True
    try:
        group = make_group(size=2)
        eventually(lambda: len(group.in_service()) == 2, "both in service")
        group.scale(0)
        eventually(lambda: not group.states(), "both are gone")
    finally:
        tower.no_bulk = False
    assert tower.hosts(name) == []


def test_every_host_of_a_terminated_instance_goes_also_those_that_others_made(
    make_group: MakeGroup, tower: Tower, name: str
) -> None:
    tower.add_inventory(f"{name}-elsewhere")
    group = make_group(size=1)
    (instance_id,) = eventually(group.in_service, "in service")
    tower.add_host(f"{name}-elsewhere", "web-1.example.org", instance_id=instance_id)
    tower.add_host(f"{name}-elsewhere", "web-2.example.org", instance_id="i-0fedcba9876543210")
    group.scale(0)
    eventually(lambda: not group.states(), "gone")
    assert [host.name for host in tower.hosts(f"{name}-elsewhere")] == ["web-2.example.org"]


@pytest.mark.story
def test_checks_hold_an_instance_until_it_answers(make_group: MakeGroup, tower: Tower, name: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    group = make_group(gate=f"job ec2 tcp:{port} http:{port}/ready")
    group.scale(1)
    (job,) = eventually(lambda: [job for job in tower.jobs(name) if job.final], "the job is over")
    (host,) = tower.hosts(name)
    with http_server(host.address, port, status=503) as asked:
        eventually(asked.is_set, "the check has asked")
        assert not group.in_service()
    with http_server(host.address, port, status=204):
        eventually(group.in_service, "in service")
    assert job.hosts == {host.name: "ok"}


@pytest.mark.parametrize("attribute", ["public", "private-dns"])
def test_the_address_that_the_tag_names_becomes_ansible_host(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, attribute: str
) -> None:
    group = make_group(address=attribute)
    group.scale(1)
    (instance_id,) = eventually(group.in_service, "in service")
    (reservation,) = cloud.aws.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"]
    key = {"public": "PublicIpAddress", "private-dns": "PrivateDnsName"}[attribute]
    assert tower.host(instance_id, name).address == reservation["Instances"][0][key]  # type: ignore[union-attr]


def launch_event(group: Group, instance_id: str) -> dict[str, object]:
    """The launch action as EventBridge sends it, without a token that anybody waits for."""
    return {
        "detail-type": "EC2 Instance-launch Lifecycle Action",
        "source": "aws.autoscaling",
        "account": "123456789012",
        "region": "us-east-1",
        "detail": {
            "LifecycleActionToken": "00000000-0000-0000-0000-000000000000",
            "AutoScalingGroupName": group.name,
            "LifecycleHookName": f"{HOOK_PREFIX}-launching",
            "EC2InstanceId": instance_id,
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
        },
    }


def send(cloud: Cloud, queue: str, body: dict[str, object]) -> None:
    cloud.aws.client("sqs").send_message(QueueUrl=cloud.queue_url(queue), MessageBody=json.dumps(body))


@contextmanager
def http_server(address: str, port: int, *, status: int) -> Iterator[threading.Event]:
    """A server that answers every request with this status; the event is set by the first."""
    asked = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            asked.set()

        def log_message(self, *args: object) -> None: ...

    with ThreadingHTTPServer((address, port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()
