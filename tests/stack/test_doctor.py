"""Doctor on the deployed stack: each planted fault is named with its remedy, and what is right is not complained of."""

from __future__ import annotations

import json
import os
import re
import shlex
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab.chef import ChefServer
from lab.cloud import ACCOUNT, HOOK_PREFIX, REGION, REPOSITORY, STACK, TOPIC, Cloud, DoctorFailed, Group, eventually
from lab.leftovers import left_behind
from lab.tower.embedded import Tower
from rollcall import __version__

type Json = dict[str, Any]
type Plant = Callable[["Planted"], object]
type PublishedEvent = subprocess.CompletedProcess[str]

ADVISED = 600  # seconds; the heartbeat timeout that docs/guides/forks-and-timeouts.md advises
JOB_TIMEOUT = 900  # seconds; of job templates that are right
BREAKS, WARNS = "breaks launches", "warning"
FOUND, MENDED = "Misconfiguration Found", "Misconfiguration Mended"
UNREACHABLE = "http://127.0.0.1:1"  # nobody listens there


@pytest.fixture
def cloud(full_cloud: Cloud) -> Cloud:
    return full_cloud


@dataclass(frozen=True)
class Planted:
    """A group, its inventory and its job template, all of one name, and where to plant a fault.

    later: takes what fixes it after the test. chef_url: the organization's.
    """

    cloud: Cloud
    group: Group
    later: ExitStack
    chef: ChefServer
    chef_url: str

    @property
    def name(self) -> str:
        return self.group.name

    @property
    def tower(self) -> Tower:
        return self.cloud.tower

    def aws(self, service: str) -> Any:
        return self.cloud.aws.client(service)

    def hook(self, name: str = f"{HOOK_PREFIX}-launching", transition: str = "LAUNCHING", **settings: Any) -> None:
        """Put a hook, or change one."""
        self.aws("autoscaling").put_lifecycle_hook(
            AutoScalingGroupName=self.name,
            LifecycleHookName=name,
            LifecycleTransition=f"autoscaling:EC2_INSTANCE_{transition}",
            **{"HeartbeatTimeout": ADVISED, "DefaultResult": "ABANDON" if transition == "LAUNCHING" else "CONTINUE"}
            | settings,
        )

    def unhook(self, *transitions: str) -> None:
        for each in transitions:
            self.aws("autoscaling").delete_lifecycle_hook(
                AutoScalingGroupName=self.name, LifecycleHookName=f"{HOOK_PREFIX}-{each}"
            )

    def tell_doctor(self, **variables: str) -> None:
        """Change doctor's environment for this test, as another deployment would."""
        self.later.enter_context(another_environment(self.cloud, variables))

    def use_secret(self, text: str) -> None:
        """Let doctor read another secret."""
        name = f"another-{next(NUMBERS)}"
        self.tell_doctor(TOWER_SECRET=self.aws("secretsmanager").create_secret(Name=name, SecretString=text)["ARN"])

    def use_token(self, **rights: Any) -> None:
        """Let doctor come with the token of another user, who may do this."""
        token = f"token-{next(NUMBERS)}"
        self.tower.add_token(token, **rights)
        self.use_secret(token)

    def use_chef(self, **changes: str) -> None:
        """Let the group's nodes be in Chef, and doctor read another secret about that."""
        self.group.tag({"chef": "@instance_id@"})
        text = json.dumps(json.loads(self.chef.secret(self.chef_url)) | changes)
        secret = self.aws("secretsmanager").create_secret(Name=f"another-{next(NUMBERS)}", SecretString=text)
        self.tell_doctor(CHEF_SECRET=secret["ARN"])

    def template(self, **terms: Any) -> str:
        """Another job template for the group, with these terms."""
        name = f"{self.name}-{next(NUMBERS)}"
        right: dict[str, Any] = {"inventory": self.name, "timeout": JOB_TIMEOUT}
        self.tower.add_job_template(name, **right | terms)
        self.group.tag({"job-template": name})
        return name


NUMBERS = count(1)


@contextmanager
def another_environment(cloud: Cloud, variables: dict[str, str]) -> Iterator[None]:
    client, function = cloud.aws.client("lambda"), cloud.function_name("DoctorFunction")
    before = client.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    client.update_function_configuration(FunctionName=function, Environment={"Variables": before | variables})
    try:
        yield
    finally:
        client.update_function_configuration(FunctionName=function, Environment={"Variables": before})


@pytest.fixture
def planted(cloud: Cloud, chef_at: tuple[ChefServer, str]) -> Iterator[Planted]:
    """A group with nothing wrong with it."""
    name = f"web{next(NUMBERS)}"
    cloud.tower.add_inventory(name)
    cloud.tower.add_job_template(name, name, timeout=JOB_TIMEOUT)
    tags = {"inventory": name, "job-template": name, "gate": "job ec2"}
    group = cloud.create_group(name, tags, heartbeat_timeout=ADVISED)
    with ExitStack() as later:
        yield Planted(cloud, group, later, *chef_at)
    cloud.aws.end_faults()
    if group.exists():
        group.delete()
    eventually(lambda: not group.states(), "the group is gone")
    left = left_behind(cloud)
    assert not left, "\n".join(left)


def findings(answer: Json) -> dict[str, Json]:
    return {each["key"]: each for each in answer["findings"]}


def found_by_doctor(planted: Planted) -> dict[str, Json]:
    return findings(planted.cloud.doctor(groups=[planted.name]))


@pytest.mark.story
def test_nothing_is_said_of_a_group_that_is_set_up_as_readme_says(planted: Planted) -> None:
    answer = planted.cloud.doctor(groups=[planted.name])
    assert (answer["findings"], answer["failed"]) == ([], False)
    assert answer["checked"] == [
        f"Tower 24.6.1 at {planted.cloud.tower_url}/api/v2/, whose clock is {answer['checked'][0].split()[-7]} s from "
        "AWS's, as user admin",
        "1 inventory and 1 job template that tags name",
        "5 rules, 8 queues, 4 event source mappings, 2 schedules, 1 topic",
        "1 Auto Scaling group that opted in, with 2 hooks and 0 instances; the hooks of 0 others",
    ]
    assert answer["seconds"] > 0


def test_a_secret_that_was_changed_since_the_last_run_is_read_again(planted: Planted) -> None:
    planted.group.tag({"chef": "@instance_id@"})
    assert found_by_doctor(planted) == {}
    planted.later.callback(planted.cloud.set_token, planted.tower.token)
    planted.cloud.set_token("nobodys")
    put = partial(planted.aws("secretsmanager").put_secret_value, SecretId="chef")
    planted.later.callback(put, SecretString=planted.chef.secret(planted.chef_url))
    put(SecretString="none")
    assert found_by_doctor(planted).keys() == {"Tower: token", "Chef: secret"}


# The faults: who plants each, how bad it is, its key, and words of the reason and of the remedy; NAME is the group's.


@dataclass(frozen=True)
class Fault:
    """plant: plants it. NAME in the texts is the group's name."""

    plant: Plant
    severity: str
    key: str
    reason: str
    remedy: str


def of_tower(plant: Plant, severity: str, what: str, reason: str, remedy: str) -> Fault:
    return Fault(plant, severity, f"Tower: {what}", reason, remedy)


def of_group(plant: Plant, severity: str, what: str, reason: str, remedy: str) -> Fault:
    return Fault(plant, severity, f"group NAME: {what}", reason, remedy)


def set_for_now(planted: Planted, name: str, value: Any) -> None:
    planted.later.callback(setattr, planted.tower, name, getattr(planted.tower, name))
    setattr(planted.tower, name, value)


def stay_away(planted: Planted) -> None:
    planted.later.callback(planted.tower.come_back)
    planted.tower.refuse()


def move_behind_a_gateway(planted: Planted) -> None:
    gateway = Tower(api_root="/api/controller/v2/", token=planted.tower.token)
    planted.tell_doctor(TOWER_URL=planted.later.enter_context(gateway.serve()))


def show_a_page(planted: Planted) -> None:
    planted.tell_doctor(TOWER_URL=planted.later.enter_context(web_page()))


def present_a_certificate(planted: Planted) -> None:
    planted.tell_doctor(TOWER_URL=planted.later.enter_context(web_page(self_signed=True)))


class Page(BaseHTTPRequestHandler):
    """What a gateway's UI answers to everything."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>Ansible Automation Platform</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def web_page(*, self_signed: bool = False) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Page) as server, ExitStack() as running:
        if self_signed:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate())
            server.socket = running.enter_context(context.wrap_socket(server.socket, server_side=True))
        thread = threading.Thread(target=partial(server.serve_forever, 0.05))
        thread.start()
        try:
            yield f"http{'s' if self_signed else ''}://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def certificate() -> Path:
    """A PEM file with a key and a certificate that nobody but itself signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tower")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = Path(os.environ["PYTEST_DOCTOR_DIRECTORY"]) / "tower.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DOCTOR_DIRECTORY", str(tmp_path))


def run_once(planted: Planted) -> None:
    """A job of the template on one host succeeded."""
    planted.tower.add_host(planted.name, "i-0a")
    job = planted.tower.run_playbook(planted.name, "i-0a")
    assert planted.tower.wait_for_job(job.id).status == "successful"


def both(*plants: Plant) -> Plant:
    def plant(planted: Planted) -> None:
        for each in plants:
            each(planted)

    return plant


TOWER_FAULTS = {
    "Tower is away": of_tower(stay_away, BREAKS, "unavailable", "with 503", "fix Tower"),
    "nobody listens": of_tower(
        lambda it: it.tell_doctor(TOWER_URL=UNREACHABLE), BREAKS, "connection refused", "cannot be reached", "port in"
    ),
    "no such host": of_tower(
        lambda it: it.tell_doctor(TOWER_URL="https://tower.invalid"),
        BREAKS,
        "host name",
        "tower.invalid",
        "let the VPC of SubnetIds resolve it",
    ),
    "no such host, and no VPC": of_tower(
        lambda it: it.tell_doctor(TOWER_URL="https://tower.invalid", IN_VPC="false"),
        BREAKS,
        "host name",
        "tower.invalid",
        "deploy with SubnetIds and SecurityGroupIds",
    ),
    "a certificate that is not trusted": of_tower(
        present_a_certificate, BREAKS, "certificate", "self-signed certificate", '"ca_bundle": "PEM"'
    ),
    "the API root of another version": of_tower(
        move_behind_a_gateway, BREAKS, "API root", "is http", "/api/controller/v2/"
    ),
    "a page for browsers": of_tower(show_a_page, BREAKS, "API root", "not the API's JSON", "AAP 2.5 and later"),
    "a secret of another form": of_tower(
        lambda it: it.use_secret('{"tokn": "x"}'), BREAKS, "secret", "neither a bare token nor JSON", "put-secret-value"
    ),
    "no such secret": of_tower(
        lambda it: it.tell_doctor(TOWER_SECRET="nowhere"), BREAKS, "secret", "secret nowhere", "full ARN"
    ),
    "a token that was revoked": of_tower(
        lambda it: it.use_secret("revoked"), BREAKS, "token", "with 401", "make a token with the scope Write"
    ),
    "a token that may only read": of_tower(
        lambda it: it.use_token(read_only=True), BREAKS, "token reads only", "scope is Read", "with the scope Write"
    ),
    "a clock that is behind": of_tower(
        lambda it: set_for_now(it, "clock_skew", -300), WARNS, "clock", "behind that of AWS", "NTP"
    ),
    "a clock that is an hour ahead": of_tower(
        lambda it: set_for_now(it, "clock_skew", 4000), WARNS, "clock", "ahead of that of AWS", "NTP"
    ),
    "an old server": of_tower(
        lambda it: set_for_now(it, "no_bulk", True), WARNS, "no bulk calls", "one by one", "AWX 22"
    ),
    "a low limit for creating": of_tower(
        lambda it: set_for_now(it, "bulk_limits", (50, 250)), WARNS, "BULK_HOST_MAX_CREATE", "is 50", "at least 100"
    ),
    "a low limit for deleting": of_tower(
        lambda it: set_for_now(it, "bulk_limits", (100, 249)), WARNS, "BULK_HOST_MAX_DELETE", "is 249", "at least 250"
    ),
    "an inventory that may only be read": Fault(
        lambda it: it.use_token(inventories=(), readable=[it.name], templates=[it.name]),
        BREAKS,
        "inventory 'NAME': role",
        "neither added nor removed",
        "the role Admin",
    ),
    "an inventory that is not visible": Fault(
        lambda it: it.use_token(inventories=(), templates=[it.name]),
        BREAKS,
        "inventory 'NAME': not found",
        "tag rollcall:inventory of NAME",
        "the role Read, better Admin",
    ),
    "a template that may only be read": Fault(
        lambda it: it.use_token(inventories=[it.name], templates=(), readable_templates=[it.name]),
        BREAKS,
        "job template 'NAME': role",
        "may not launch",
        "the role Execute",
    ),
    "a template that is not visible": Fault(
        lambda it: it.use_token(inventories=[it.name], templates=()),
        BREAKS,
        "job template 'NAME': not found",
        "named by tags of NAME",
        "the role Execute",
    ),
    "two inventories of one name": Fault(
        lambda it: it.tower.add_inventory(it.name, "Other"),
        BREAKS,
        "inventory 'NAME': not found",
        "ambiguous",
        "write org/name into the tag, or id:N",
    ),
    "a smart inventory": Fault(
        both(lambda it: it.tower.add_inventory("smart", kind="smart"), lambda it: it.group.tag({"inventory": "smart"})),
        BREAKS,
        "inventory 'smart': not found",
        "cannot hold hosts",
        "ordinary inventory",
    ),
    "a template with a question": Fault(
        lambda it: it.template(survey_required="colour"),
        BREAKS,
        "job template 'TEMPLATE': launch needs more",
        "the survey's question 'colour'",
        "make the survey's questions optional",
    ),
    "a template without a timeout": Fault(
        lambda it: it.template(timeout=0),
        WARNS,
        "job template 'TEMPLATE': no timeout",
        "the token may not read whether the server has a default",
        "set the template's Timeout",
    ),
    "forks that make a full job too long": Fault(
        both(run_once, lambda it: it.group.tag({"timeout": "1"})),
        WARNS,
        "job template 'NAME': full job too long",
        "over 100 hosts would take about",
        "Forks",
    ),
    "a template with one job at a time": Fault(
        lambda it: it.template(allow_simultaneous=False),
        WARNS,
        "job template 'TEMPLATE': one job at a time",
        "allows no concurrent jobs",
        "tick 'Concurrent jobs'",
    ),
}


def elb(planted: Planted, kind: str = "") -> None:
    """Let the group ask for its load balancers; attached to a target group of this kind, or to one that is gone."""
    tags = {"inventory": planted.name, "job-template": planted.name, "gate": "job elb"}
    traffic: Json = {}
    if kind:
        arn = planted.cloud.create_target_group(planted.name, "instance" if kind == "gone" else kind)
        traffic = {"TargetGroupARNs": [arn]}
        if kind == "gone":
            planted.aws("elbv2").delete_target_group(TargetGroupArn=arn)
    planted.group.delete()
    planted.cloud.create_group(planted.name, tags, heartbeat_timeout=ADVISED, **traffic)


def serve_without_host(planted: Planted) -> None:
    planted.unhook("launching")
    planted.group.scale(2)
    eventually(lambda: len(planted.group.in_service()) == 2, "two in service")


def serve(planted: Planted) -> str:
    """The only instance of the group, in service with its host."""
    planted.group.scale(1)
    (instance_id,) = eventually(planted.group.in_service, "it serves")
    return str(instance_id)


def disable_host(planted: Planted) -> None:
    planted.tower.edit_host(serve(planted), planted.name, enabled=False)


def list_elsewhere(planted: Planted) -> None:
    """Its instance is a host of an inventory, too, that the token may only read."""
    other = f"{planted.name}-all"
    planted.tower.add_inventory(other)
    planted.tower.add_host(other, "ip-10-0-0-1", instance_id=serve(planted))
    planted.use_token(inventories=[planted.name], readable=[other], templates=[planted.name])


def hook_to_a_topic(planted: Planted) -> None:
    """A hook of the user's own name notifies a topic to which LaunchQueue is subscribed, and which is not named."""
    topic = planted.aws("sns").create_topic(Name=planted.name)["TopicArn"]
    planted.aws("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=planted.cloud.queue_arn("LaunchQueue"))
    planted.unhook("launching")
    planted.hook("mine", NotificationTargetARN=topic, RoleARN=f"arn:aws:iam::{ACCOUNT}:role/notifier")


def notify_only(planted: Planted, *transitions: str) -> None:
    planted.unhook(*transitions)
    planted.group.notify(TOPIC)


GROUP_FAULTS = {
    "a tag with a value that is not allowed": of_group(
        lambda it: it.group.tag({"gate": "icmp"}),
        BREAKS,
        "tag rollcall:gate",
        "'icmp'; allowed: job, ec2",
        "ResourceId=NAME,Key=rollcall:gate",
    ),
    "a port that can only be tried inside the VPC": of_group(
        both(lambda it: it.group.tag({"gate": "tcp:22"}), lambda it: it.tell_doctor(IN_VPC="false")),
        BREAKS,
        "check outside the VPC",
        "asks for tcp:22",
        "deploy with SubnetIds",
    ),
    "nodes in Chef without Chef": of_group(
        both(lambda it: it.group.tag({"chef": "@instance_id@"}), lambda it: it.tell_doctor(CHEF_SECRET="")),
        BREAKS,
        "no Chef server",
        "rollcall:chef",
        "ChefSecretArn",
    ),
    "no launch hook": of_group(
        lambda it: it.unhook("launching"),
        BREAKS,
        "no launch hook",
        "serve at once, and reconcile's next run registers them",
        "--lifecycle-hook-name rollcall-launching --lifecycle-transition autoscaling:EC2_INSTANCE_LAUNCHING",
    ),
    "a launch hook of another name": of_group(
        both(lambda it: it.unhook("launching"), lambda it: it.hook("mine")),
        BREAKS,
        "no launch hook",
        "'mine' is not",
        "put",
    ),
    "no terminate hook": of_group(
        lambda it: it.unhook("terminating"),
        WARNS,
        "no terminate hook",
        "only after their instances went",
        "--default-result CONTINUE",
    ),
    "notifications in place of a launch hook": of_group(
        lambda it: notify_only(it, "launching"), WARNS, "no launch hook", "only once they serve", "put-lifecycle-hook"
    ),
    "notifications in place of a terminate hook": of_group(
        lambda it: notify_only(it, "terminating"), WARNS, "no terminate hook", "notifies a topic", "put-lifecycle-hook"
    ),
    "a launch hook that lets everybody in": of_group(
        lambda it: it.hook(DefaultResult="CONTINUE"),
        WARNS,
        "default result of rollcall-launching",
        "default result CONTINUE",
        "--default-result ABANDON",
    ),
    "a terminate hook that abandons": of_group(
        lambda it: it.hook(f"{HOOK_PREFIX}-terminating", "TERMINATING", DefaultResult="ABANDON"),
        WARNS,
        "default result of rollcall-terminating",
        "default result ABANDON",
        "--default-result CONTINUE",
    ),
    "a heartbeat timeout that the queues outlast": of_group(
        lambda it: it.hook(HeartbeatTimeout=120),
        WARNS,
        "heartbeat timeout of rollcall-launching",
        "a single function that dies",
        "--heartbeat-timeout 600",
    ),
    "a heartbeat timeout that is short for the queues": of_group(
        lambda it: it.hook(f"{HOOK_PREFIX}-terminating", "TERMINATING", HeartbeatTimeout=359),
        WARNS,
        "heartbeat timeout of rollcall-terminating",
        "comes again after 120 s",
        "--heartbeat-timeout 600",
    ),
    "a timeout beyond the hook's life": of_group(
        lambda it: it.group.tag({"timeout": "60001"}),
        WARNS,
        "life of rollcall-launching",
        "after 60,000 s",
        "shorten the tag",
    ),
    "two hooks for launches": of_group(
        lambda it: it.hook(f"{HOOK_PREFIX}-too"),
        WARNS,
        "two hooks for launches",
        "'rollcall-launching' and 'rollcall-too'",
        "delete-lifecycle-hook",
    ),
    "hooks without the tag": of_group(
        lambda it: it.group.tag({"inventory": None}),
        BREAKS,
        "hooks without the tag",
        "wait until the hook times out",
        "--lifecycle-hook-name rollcall-launching",
    ),
    "a hook that notifies the other queue": of_group(
        lambda it: it.hook(NotificationTargetARN=it.cloud.queue_arn("TerminateQueue"), RoleARN="arn:aws:iam::1:role/r"),
        BREAKS,
        "target of rollcall-launching",
        "the queue for terminations",
        "<LaunchQueueArn>",
    ),
    "a hook that notifies by no role": of_group(
        lambda it: it.hook(NotificationTargetARN=it.cloud.queue_arn("LaunchQueue")),
        BREAKS,
        "role of rollcall-launching",
        "by no role",
        "--role-arn ROLE",
    ),
    "a hook that notifies a topic nobody of ours hears": of_group(
        lambda it: it.hook(
            NotificationTargetARN=it.aws("sns").create_topic(Name=it.name)["TopicArn"], RoleARN="arn:aws:iam::1:role/r"
        ),
        WARNS,
        "target of rollcall-launching",
        "does not lead to LaunchQueue",
        "subscribe LaunchQueue",
    ),
    "a check elb without a target group": of_group(
        elb, BREAKS, "no target group", "attached to no target group", "attach one"
    ),
    "a target group of addresses": of_group(
        lambda it: elb(it, "ip"), BREAKS, "target group NAME", "targets of type ip", "of target type instance"
    ),
    "a target group that is gone": of_group(
        lambda it: elb(it, "gone"), BREAKS, "target group NAME", "does not exist", "detach it"
    ),
    "a check elb where it may not be asked": of_group(
        both(lambda it: elb(it), lambda it: it.tell_doctor(LOAD_BALANCERS="false")),
        BREAKS,
        "load balancers may not be asked",
        "may not ask",
        "LoadBalancers=true",
    ),
    "retire jobs that are switched off": of_group(
        both(lambda it: it.group.tag({"retire-job-template": it.name}), lambda it: it.tell_doctor(RETIRE_JOBS="false")),
        WARNS,
        "retire jobs switched off",
        "not followed",
        "RetireJobs=true",
    ),
    "user data that is switched off": of_group(
        both(lambda it: it.group.tag({"user-data": "true"}), lambda it: it.tell_doctor(USER_DATA="false")),
        WARNS,
        "user data switched off",
        "may not read user data",
        "UserData=true",
    ),
    "one template for both": of_group(
        lambda it: it.group.tag({"retire-job-template": it.name}),
        WARNS,
        "rollcall:retire-job-template: one template for both",
        "nothing shows",
        "name two different",
    ),
    "a template that does not prompt for limit": of_group(
        lambda it: it.template(ask_limit=False),
        BREAKS,
        "rollcall:job-template: no prompt for limit",
        "would run on every host",
        "tick 'Prompt on launch' beside the template's Limit",
    ),
    "a sliced template": of_group(
        lambda it: it.template(slice_count=2),
        BREAKS,
        "rollcall:job-template: slices",
        "2 slices",
        "Job slicing to 1",
    ),
    "a template of the type check": of_group(
        lambda it: it.template(job_type="check"),
        BREAKS,
        "rollcall:job-template: not a run",
        "is of the job type 'check'",
        "set its job type to 'Run'",
    ),
    "a template with tags": of_group(
        lambda it: it.template(job_tags="base", skip_tags="slow"),
        BREAKS,
        "rollcall:job-template: tags",
        "runs only the tags 'base' and skips the tags 'slow'",
        "clear its job tags and skip tags",
    ),
    "a template of another inventory": of_group(
        both(lambda it: it.tower.add_inventory(f"{it.name}-b"), lambda it: it.template(inventory=f"{it.name}-b")),
        BREAKS,
        "rollcall:job-template: another inventory",
        "is fixed to inventory",
        "let it prompt for the inventory",
    ),
    "a hook whose topic may not send": of_group(
        both(hook_to_a_topic, lambda it: it.tell_doctor(NOTIFYING_TOPICS="")),
        BREAKS,
        "topic of mine",
        "its launches wait until the hook times out",
        f"deploy with NotifyingTopicArns=arn:aws:sns:{REGION}:{ACCOUNT}:NAME",
    ),
    "a release in the future": of_group(
        lambda it: it.group.tag({"released": "2126-11-21T10:00:00Z"}),
        WARNS,
        "released in the future",
        "2126-11-21T10:00:00Z",
        "rollcall release --group NAME",
    ),
    "a host that somebody disabled": of_group(
        disable_host, WARNS, "disabled hosts", "1 of 1 instances in service", "enable them in Tower"
    ),
    "a host that may only be read": Fault(
        list_elsewhere,
        WARNS,
        "inventory 'NAME-all': hosts of ours, read only",
        "the token may only read it",
        "the role Admin on it",
    ),
    "instances that were there before the hooks": of_group(
        serve_without_host,
        WARNS,
        "instances without a host",
        "2 of 2 instances in service have no host",
        "rollcall reconcile --group NAME",
    ),
}


def change_queue(planted: Planted, queue: str, **attributes: str) -> None:
    """Give a queue of the stack other attributes for this test."""
    client, url = planted.aws("sqs"), planted.cloud.queue_url(queue)
    before = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    client.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    kept = {name: before[name] for name in attributes}
    planted.later.callback(client.set_queue_attributes, QueueUrl=url, Attributes=kept)


def without(sid: str, *queues: str) -> Plant:
    """The policy of these queues without one of its statements."""

    def plant(planted: Planted) -> None:
        for queue in queues:
            url = planted.cloud.queue_url(queue)
            answer = planted.aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
            policy = json.loads(answer["Attributes"]["Policy"])
            policy["Statement"] = [each for each in policy["Statement"] if each["Sid"] != sid]
            change_queue(planted, queue, Policy=json.dumps(policy))

    return plant


def redrive(queue: str, dead_letters: str, receives: int) -> Plant:
    """Another redrive policy of a queue."""

    def plant(planted: Planted) -> None:
        arn = planted.cloud.queue_arn(dead_letters)
        policy = {"deadLetterTargetArn": arn, "maxReceiveCount": receives}
        change_queue(planted, queue, RedrivePolicy=json.dumps(policy))

    return plant


def disable_rule(planted: Planted, rule: str) -> None:
    name = planted.cloud.physical_id(rule)
    planted.aws("events").disable_rule(Name=name)
    planted.later.callback(planted.aws("events").enable_rule, Name=name)


def take_target(planted: Planted, rule: str = "LaunchRule") -> None:
    name = planted.cloud.physical_id(rule)
    targets = planted.aws("events").list_targets_by_rule(Rule=name)["Targets"]
    planted.aws("events").remove_targets(Rule=name, Ids=[each["Id"] for each in targets])
    planted.later.callback(planted.aws("events").put_targets, Rule=name, Targets=targets)


def disable_source(planted: Planted, source: str) -> None:
    client, mapping = planted.aws("lambda"), planted.cloud.physical_id(source)
    client.update_event_source_mapping(UUID=mapping, Enabled=False)
    planted.later.callback(client.update_event_source_mapping, UUID=mapping, Enabled=True)


def disable_schedule(planted: Planted, schedule: str) -> None:
    client, name = planted.aws("scheduler"), planted.cloud.physical_id(schedule)
    known = client.get_schedule(Name=name)
    kept = {key: known[key] for key in ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")}
    client.update_schedule(**kept, State="DISABLED")
    planted.later.callback(client.update_schedule, **kept, State="ENABLED")


def unsubscribe(planted: Planted) -> None:
    client, topic = planted.aws("sns"), planted.cloud.physical_id("AlarmTopic")
    (known,) = client.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    client.unsubscribe(SubscriptionArn=known["SubscriptionArn"])
    kept = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": known["Endpoint"]}
    planted.later.callback(client.subscribe, **kept, Attributes={"RawMessageDelivery": "true"})


def lose_a_message(planted: Planted, queue: str) -> None:
    url = planted.cloud.queue_url(queue)
    planted.aws("sqs").send_message(QueueUrl=url, MessageBody="{}")
    planted.later.callback(planted.aws("sqs").purge_queue, QueueUrl=url)


STACK_FAULTS = {
    "the launch rule disabled": Fault(
        lambda it: disable_rule(it, "LaunchRule"), BREAKS, "LaunchRule: disabled", "wait until", "enable-rule --name"
    ),
    "the terminate rule disabled": Fault(
        lambda it: disable_rule(it, "TerminateRule"), WARNS, "TerminateRule: disabled", "wait until", "enable-rule"
    ),
    "the rule for terminated instances disabled": Fault(
        lambda it: disable_rule(it, "TerminatedRule"), WARNS, "TerminatedRule: disabled", "hosts of", "enable-rule"
    ),
    "a rule that sends nowhere": Fault(
        take_target, BREAKS, "LaunchRule: not to its queue", "does not send to LaunchQueue", "deploy the template"
    ),
    "register fed by nobody": Fault(
        lambda it: disable_source(it, "RegisterFunctionLaunches"),
        BREAKS,
        "RegisterFunction: event source disabled",
        "no launched instance is registered",
        "update-event-source-mapping --enabled",
    ),
    "the gate fed by nobody": Fault(
        lambda it: disable_source(it, "GateFunctionWaiting"),
        BREAKS,
        "GateFunction: event source disabled",
        "comes into service",
        "update-event-source-mapping --enabled",
    ),
    "cleanup fed by nobody": Fault(
        lambda it: disable_source(it, "CleanupFunctionTerminations"),
        WARNS,
        "CleanupFunction: event source disabled",
        "no terminated instance is removed",
        "update-event-source-mapping --enabled",
    ),
    "reconcile not scheduled": Fault(
        lambda it: disable_schedule(it, "ReconcileFunctionSchedule"),
        WARNS,
        "ReconcileFunction: schedule disabled",
        "events that were lost",
        "EventBridge Scheduler",
    ),
    "dead letters": Fault(
        lambda it: lose_a_message(it, "GateDeadLetterQueue"),
        WARNS,
        "GateDeadLetterQueue: not empty",
        "1 message(s)",
        "rollcall redrive shows them",
    ),
    "dead letters that go elsewhere": Fault(
        redrive("LaunchQueue", "GateDeadLetterQueue", 1000),
        WARNS,
        "LaunchQueue: other dead letters",
        "does not go to the stack's dead-letter queue",
        "deploy the template",
    ),
    "messages that are given up early": Fault(
        redrive("LaunchQueue", "LaunchDeadLetterQueue", 3),
        BREAKS,
        "LaunchQueue: gives up early",
        "after 3 receives",
        "maxReceiveCount is 1000",
    ),
    "a queue that the rules may not send to": Fault(
        without("RulesOfThisStack", "LaunchQueue", "TerminateQueue"),
        BREAKS,
        "LaunchQueue: closed to LaunchRule",
        "does not let LaunchRule send",
        "deploy the template",
    ),
    "a queue that topics may not send to": Fault(
        without("NamedTopics", "LaunchQueue", "TerminateQueue"),
        WARNS,
        "TerminateQueue: closed to topics",
        f"does not let arn:aws:sns:{REGION}:{ACCOUNT}:* send to it",
        "deploy the template",
    ),
}
UNTOLD = "no one is notified of incidents"
ALERT_FAULTS = {
    "the rule for trouble disabled": Fault(
        lambda it: disable_rule(it, "AlertRule"), WARNS, "AlertRule: disabled", UNTOLD, "enable-rule --name"
    ),
    "the rule for trouble's end disabled": Fault(
        lambda it: disable_rule(it, "AlertEndRule"), WARNS, "AlertEndRule: disabled", UNTOLD, "enable-rule --name"
    ),
    "a rule for trouble that sends nowhere": Fault(
        lambda it: take_target(it, "AlertRule"), WARNS, "AlertRule: not to its queue", UNTOLD, "deploy the template"
    ),
    "alert fed by nobody": Fault(
        lambda it: disable_source(it, "AlertFunctionTrouble"),
        WARNS,
        "AlertFunction: event source disabled",
        UNTOLD,
        "update-event-source-mapping --enabled",
    ),
    "alert not scheduled": Fault(
        lambda it: disable_schedule(it, "AlertFunctionSweep"),
        WARNS,
        "AlertFunction: schedule disabled",
        UNTOLD,
        "EventBridge Scheduler",
    ),
    "a problem of which no event is published": Fault(
        lambda it: lose_a_message(it, "AlertDeadLetterQueue"),
        WARNS,
        "AlertDeadLetterQueue: not empty",
        UNTOLD,
        "rollcall redrive",
    ),
    "dead letters of alert that go elsewhere": Fault(
        redrive("AlertQueue", "GateDeadLetterQueue", 1000),
        WARNS,
        "AlertQueue: other dead letters",
        UNTOLD,
        "deploy the template",
    ),
    "trouble that is given up early": Fault(
        redrive("AlertQueue", "AlertDeadLetterQueue", 3),
        WARNS,
        "AlertQueue: gives up early",
        UNTOLD,
        "maxReceiveCount is 1000",
    ),
    "a queue that the rules for trouble may not send to": Fault(
        without("RulesOfThisStack", "AlertQueue"),
        WARNS,
        "AlertQueue: closed to AlertEndRule",
        UNTOLD,
        "deploy the template",
    ),
    "a queue that alarms may not be sent to": Fault(
        without("AlarmsOfThisStack", "AlertQueue"),
        WARNS,
        "AlertQueue: closed to AlarmTopic",
        UNTOLD,
        "deploy the template",
    ),
    "alarms that go nowhere": Fault(unsubscribe, WARNS, "AlarmTopic: not to its queue", UNTOLD, "aws sns subscribe"),
}


def be_away(planted: Planted) -> None:
    planted.group.tag({"chef": "@instance_id@"})
    planted.chef.away = 503
    planted.later.callback(setattr, planted.chef, "away", None)


def hide_nodes(planted: Planted) -> None:
    planted.group.tag({"chef": "@instance_id@"})
    planted.chef.hidden.add("nodes")
    planted.later.callback(planted.chef.hidden.clear)


def of_chef(plant: Plant, what: str, reason: str, remedy: str) -> Fault:
    return Fault(plant, WARNS, f"Chef: {what}", reason, remedy)


CHEF_FAULTS = {
    "Chef is away": of_chef(be_away, "unavailable", "with 503", "fix the Chef server"),
    "nobody listens where Chef should be": of_chef(
        lambda it: it.use_chef(organization_url=f"{UNREACHABLE}/organizations/acme"),
        "not reached",
        "cannot be reached",
        "correct organization_url",
    ),
    "an organization that Chef does not have": of_chef(
        lambda it: it.use_chef(organization_url=f"{it.chef_url}-of-yore"),
        "organization",
        "'acme-of-yore' does not exist",
        "correct organization_url",
    ),
    "a key of Chef's that was rotated": of_chef(
        lambda it: it.use_chef(key=ChefServer().key), "signature", "with 401", "its RSA key"
    ),
    "a user that Chef does not know": of_chef(
        lambda it: it.use_chef(user="somebody"), "signature", "Failed to authenticate as 'somebody'", "the user's name"
    ),
    "a user that may not list nodes": of_chef(hide_nodes, "may not list nodes", "with 403", "let the user list"),
    "a secret about Chef of another form": of_chef(
        lambda it: it.use_chef(key="none"), "secret", "the key in secret", "ChefSecretArn"
    ),
    "no such secret about Chef": of_chef(
        both(lambda it: it.group.tag({"chef": "@instance_id@"}), lambda it: it.tell_doctor(CHEF_SECRET="nowhere")),
        "secret",
        "secret nowhere",
        "full ARN",
    ),
}
FAULTS = TOWER_FAULTS | GROUP_FAULTS | STACK_FAULTS | ALERT_FAULTS | CHEF_FAULTS


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_its_remedy(planted: Planted, name: str) -> None:
    fault = FAULTS[name]
    fault.plant(planted)
    launched = planted.tower.jobs(planted.name)
    answer = planted.cloud.doctor(groups=[planted.name])
    template = job_template(planted)

    def own(text: str) -> str:
        return text.replace("NAME", planted.name).replace("TEMPLATE", template)

    found = findings(answer)
    assert own(fault.key) in found, f"found {list(found)}"
    finding = found[own(fault.key)]
    assert own(fault.reason) in finding["reason"]
    assert own(fault.remedy) in finding["remedy"]
    assert finding["severity"] == fault.severity
    assert answer["failed"] == any(each["severity"] == BREAKS for each in found.values())
    assert planted.tower.jobs(planted.name) == launched


def job_template(planted: Planted) -> str:
    described = planted.aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[planted.name])
    tags = {tag["Key"]: tag["Value"] for tag in described["AutoScalingGroups"][0]["Tags"]}
    return str(tags.get("rollcall:job-template", ""))


# What cannot be looked at


@pytest.mark.parametrize(
    ("call", "key", "severity"),
    [
        ("autoscaling:DescribeAutoScalingGroups", "Auto Scaling groups: not looked at (AwsDenied)", BREAKS),
        ("autoscaling:DescribeLifecycleHooks", "lifecycle hooks: not looked at (AwsDenied)", BREAKS),
        ("autoscaling:DescribeNotificationConfigurations", "notifications: not looked at (AwsDenied)", WARNS),
        ("events:DescribeRule", "rules: not looked at (AwsDenied)", BREAKS),
        ("events:ListTargetsByRule", "rules: not looked at (AwsDenied)", BREAKS),
        ("sqs:GetQueueAttributes", "queues: not looked at (AwsDenied)", BREAKS),
        ("events:DescribeRule", "alert's rules: not looked at (AwsDenied)", WARNS),
        ("sqs:GetQueueAttributes", "alert's queues: not looked at (AwsDenied)", WARNS),
        ("sns:ListSubscriptionsByTopic", "alert's topics: not looked at (AwsDenied)", WARNS),
        ("sns:ListSubscriptionsByTopic", "subscriptions of topics: not looked at (AwsDenied)", WARNS),
        ("elasticloadbalancing:DescribeTargetGroups", "target groups: not looked at (AwsDenied)", WARNS),
    ],
)
def test_what_may_not_be_looked_at_is_said_and_hides_nothing_else(
    planted: Planted, call: str, key: str, severity: str
) -> None:
    disable_rule(planted, "TerminatedRule")
    set_for_now(planted, "no_bulk", True)
    elb(planted, "instance")
    planted.group.notify(planted.aws("sns").create_topic(Name=planted.name)["TopicArn"])
    planted.cloud.aws.deny(call)
    found = found_by_doctor(planted)
    assert found[key]["severity"] == severity
    assert "DoctorRole" in found[key]["remedy"]
    assert "Tower: no bulk calls" in found
    assert ("TerminatedRule: disabled" in found) == ("events:" not in call)


def test_a_group_that_is_not_there_is_said(cloud: Cloud) -> None:
    answer = cloud.doctor(groups=["wbe"])
    assert findings(answer)["group wbe: not there"]["remedy"].startswith("correct the name")
    assert answer["failed"]


# What is right in ways of its own


@pytest.mark.parametrize("raw", ["true", "false"])
def test_hooks_that_notify_a_topic_of_the_users_own_are_right_whatever_their_names(planted: Planted, raw: str) -> None:
    topic = planted.aws("sns").create_topic(Name=planted.name)["TopicArn"]
    role = f"arn:aws:iam::{ACCOUNT}:role/notifier"
    planted.unhook("launching", "terminating")
    for queue, transition in (("LaunchQueue", "LAUNCHING"), ("TerminateQueue", "TERMINATING")):
        planted.aws("sns").subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=planted.cloud.queue_arn(queue),
            Attributes={"RawMessageDelivery": raw},
        )
        planted.hook(f"mine-{transition.lower()}", transition, NotificationTargetARN=topic, RoleARN=role)
    assert found_by_doctor(planted) == {}


def test_hooks_that_notify_the_queues_are_right(planted: Planted) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/notifier"
    planted.unhook("launching", "terminating")
    for queue, transition in (("LaunchQueue", "LAUNCHING"), ("TerminateQueue", "TERMINATING")):
        arn = planted.cloud.queue_arn(queue)
        planted.hook(f"mine-{transition.lower()}", transition, NotificationTargetARN=arn, RoleARN=role)
    assert found_by_doctor(planted) == {}


def test_of_a_chef_server_that_lists_its_nodes_nothing_is_said_and_nothing_changed(planted: Planted) -> None:
    planted.group.tag({"chef": "@instance_id@"})
    planted.chef.bootstrap("i-elsewhere")
    planted.later.callback(planted.chef.nodes.clear)
    before = len(planted.chef.requests())
    answer = planted.cloud.doctor(groups=[planted.name])
    assert answer["findings"] == []
    assert "the Chef server, which has 1 node" in answer["checked"]
    assert [(each.method, each.status) for each in planted.chef.requests()[before:]] == [("GET", 200)]


def test_a_group_that_has_nothing_to_do_with_rollcall_is_passed_over(planted: Planted) -> None:
    planted.unhook("launching", "terminating")
    planted.hook("mine")
    planted.group.tag({"inventory": None})
    answer = planted.cloud.doctor(groups=[planted.name])
    assert findings(answer).keys() == {f"group {planted.name}: not opted in"}
    assert f"group {planted.name}: not opted in" not in findings(planted.cloud.doctor())
    assert (
        answer["checked"][-1]
        == "0 Auto Scaling groups that opted in, with 0 hooks and 0 instances; the hooks of 1 other"
    )


@pytest.mark.story
def test_a_token_with_the_least_rights_is_enough(planted: Planted) -> None:
    planted.use_token(inventories=[planted.name], templates=[planted.name])
    answer = planted.cloud.doctor(groups=[planted.name])
    assert answer["findings"] == []
    assert "who may not read the limits of bulk calls" in answer["checked"][0]


def example_command(**values: str) -> list[str]:
    """The command of docs/deploy.md that deploys the example, with these values of its parameters."""
    blocks = re.findall(
        r"^```sh\n(.*?)^```$", (REPOSITORY / "docs" / "deploy.md").read_text(), re.MULTILINE | re.DOTALL
    )
    [command] = [each for each in blocks if "examples/web-asg.yaml" in each]
    words = {word.partition("=")[0]: word for word in shlex.split(command.replace("\\\n", ""))}
    assert words.keys() >= values.keys()
    return list((words | {name: f"{name}={value}" for name, value in values.items()}).values())


@pytest.mark.story
def test_the_example_gets_a_clean_bill(cloud: Cloud, planted: Planted) -> None:
    tower = cloud.tower
    cloud.aws.client("ec2").create_key_pair(KeyName="fleet")
    command = example_command(
        SubnetIds="subnet-00000001", SecurityGroupIds="sg-00000001", Inventory=planted.name, JobTemplate=planted.name
    )
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    deployed = cloud.run(command, PATH=programs, SAM_CLI_TELEMETRY="0")
    assert deployed.returncode == 0, deployed.stdout[-2000:] + deployed.stderr[-2000:]
    (stack,) = cloud.aws.client("cloudformation").describe_stacks(StackName="web")["Stacks"]
    group = Group(cloud, *(each["OutputValue"] for each in stack["Outputs"] if each["OutputKey"] == "GroupName"))
    try:
        eventually(group.in_service, "its instance serves")
        assert [job.limit for job in tower.jobs(planted.name)] == list(group.states())
        for answer in (cloud.doctor(), cloud.doctor(groups=[group.name])):
            assert (answer["findings"], answer["failed"]) == ([], False)
        assert "with 2 hooks and 1 instance" in answer["checked"][-1]
        (own,) = cloud.aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        (version,) = [each["OutputValue"] for each in own["Outputs"] if each["OutputKey"] == "Version"]
        assert answer["version"] == version == __version__
        assert {line["version"] for line in cloud.log_lines("register")} == {version}
    finally:
        group.delete()
        eventually(lambda: not group.states(), "the example is gone")
        eventually(lambda: cloud.in_flight() == 0, "its termination is worked off")


# Announcing


@pytest.fixture
def announced(cloud: Cloud) -> Iterator[Callable[[], list[tuple[str, Json]]]]:
    """The events of doctor since it was asked last: detail types and details."""
    name = f"announced-{next(NUMBERS)}"
    sqs, events = cloud.aws.client("sqs"), cloud.aws.client("events")
    queue = cloud.aws.open_queue(name)
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["rollcall"], "detail-type": [FOUND, MENDED]}))
    events.put_targets(Rule=name, Targets=[{"Id": name, "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"}])

    def take() -> list[tuple[str, Json]]:
        taken: list[tuple[str, Json]] = []
        while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                event = json.loads(message["Body"])
                taken.append((event["detail-type"], event["detail"]))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return taken

    yield take
    events.remove_targets(Rule=name, Ids=[name])
    events.delete_rule(Name=name)


@pytest.mark.story
def test_only_what_is_new_is_announced_and_what_is_fixed(
    planted: Planted, announced: Callable[[], list[tuple[str, Json]]]
) -> None:
    cloud = planted.cloud
    cloud.doctor(announce=True)
    announced()
    planted.group.tag({"gate": "icmp"})
    cloud.doctor()
    assert announced() == []

    planted.unhook("terminating")
    for _ in range(2):
        found = findings(cloud.doctor(announce=True))
    keys = [f"group {planted.name}: tag rollcall:gate", f"group {planted.name}: no terminate hook"]
    about = {"account": ACCOUNT, "region": REGION, "stack": STACK, "function": "doctor"}
    expected = {key: (FOUND, {**about, **found[key], "cause": f"doctor: {key}"}) for key in keys}
    assert {detail["key"]: (kind, detail) for kind, detail in announced()} == expected
    assert found[keys[0]].keys() == {"key", "severity", "subject", "reason", "remedy"}

    planted.group.tag({"gate": "job"})
    cloud.doctor(announce=True)
    assert announced() == [(MENDED, {**about, **found[keys[0]], "cause": f"doctor: {keys[0]}"})]


def test_what_could_not_be_examined_is_not_called_fixed(
    planted: Planted, announced: Callable[[], list[tuple[str, Json]]]
) -> None:
    cloud = planted.cloud
    template = planted.template(survey_required="colour")
    cloud.doctor(announce=True)
    assert f"job template {template!r}: launch needs more" in [detail["key"] for _, detail in announced()]
    planted.tower.refuse()
    cloud.doctor(announce=True)
    assert [(kind, detail["key"]) for kind, detail in announced()] == [(FOUND, "Tower: unavailable")]
    planted.tower.come_back()
    cloud.doctor(announce=True)
    assert [(kind, detail["key"]) for kind, detail in announced()] == [(MENDED, "Tower: unavailable")]


def test_what_the_bus_does_not_take_is_published_with_the_next_run(
    planted: Planted, announced: Callable[[], list[tuple[str, Json]]]
) -> None:
    cloud, key = planted.cloud, f"group {planted.name}: no terminate hook"
    planted.unhook("terminating")
    cloud.aws.deny("events:PutEvents")
    with pytest.raises(DoctorFailed, match="AWS refused PutEvents"):
        cloud.doctor(announce=True)
    cloud.aws.end_faults()
    cloud.doctor(announce=True)
    assert (FOUND, key) in [(kind, detail["key"]) for kind, detail in announced()]


def test_the_schedule_asks_for_announcing_and_counts(
    planted: Planted, announced: Callable[[], list[tuple[str, Json]]]
) -> None:
    planted.unhook("terminating")
    planted.cloud.aws.fire_schedule(f"{STACK}-doctor")
    key = f"group {planted.name}: no terminate hook"
    eventually(lambda: key in [detail["key"] for _, detail in announced()], "it is announced")
    line = next(line for line in planted.cloud.log_lines("doctor") if line.get("key") == key)
    assert (line["level"], line["severity"]) == ("WARNING", WARNS)
    counted = eventually(lambda: [each for each in planted.cloud.metrics("doctor") if "Findings" in each], "it counts")
    assert {each["severity"] for each in counted} == {BREAKS, WARNS}


# For people


def doctor(cloud: Cloud, *options: str, **environment: str) -> PublishedEvent:
    return cloud.rollcall("doctor", *options, **environment)


def test_the_output_names_what_was_examined_and_that_nothing_is_wrong(planted: Planted) -> None:
    completed = doctor(planted.cloud, "--group", planted.name)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout.startswith("examined\n  Tower 24.6.1 at")
    assert "\nNothing is wrong. " in completed.stdout


def test_a_warning_is_no_failure_and_is_shown_with_its_remedy(planted: Planted) -> None:
    planted.unhook("terminating")
    completed = doctor(planted.cloud, "--group", planted.name)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout.startswith(f"1 warning\n  group {planted.name}: no hook of it for terminations")
    assert "\n      remedy: aws autoscaling put-lifecycle-hook" in completed.stdout
    assert "Nothing is wrong" not in completed.stdout


@pytest.mark.story
def test_what_breaks_a_launch_is_a_failure_and_comes_first(planted: Planted) -> None:
    planted.unhook("terminating", "launching")
    completed = doctor(planted.cloud, "--group", planted.name)
    assert (completed.returncode, completed.stderr) == (1, "")
    assert completed.stdout.startswith(f"1 BREAKS LAUNCHES\n  group {planted.name}: no hook of it for launches")
    assert completed.stdout.index("1 BREAKS LAUNCHES") < completed.stdout.index("1 warning")
    planted.group.tag({"gate": "icmp", "timeout": "soon"})
    several = doctor(planted.cloud, "--group", planted.name, "--group", "wbe").stdout
    assert several.startswith("4 BREAK LAUNCHES\n")
    assert f"group {planted.name}: tag rollcall:gate is 'icmp'" in several
    planted.hook("rollcall-b", "TERMINATING", HeartbeatTimeout=60, DefaultResult="ABANDON")
    assert "\n2 warnings\n" in doctor(planted.cloud, "--group", planted.name).stdout


def test_other_programs_get_the_answer_as_it_came(planted: Planted) -> None:
    other = planted.cloud.create_group(f"{planted.name}-b", {"inventory": None}, heartbeat_timeout=ADVISED)
    completed = doctor(planted.cloud, "--group", planted.name, "--group", other.name, "--json")
    assert completed.returncode == 1
    assert [each["key"] for each in json.loads(completed.stdout)["findings"]] == [
        f"group {other.name}: hooks without the tag"
    ]
    other.delete()


def test_a_doctor_that_cannot_be_run_is_reported_with_the_remedy(planted: Planted) -> None:
    nowhere = doctor(planted.cloud, "--stack", "no-such-stack")
    assert (nowhere.returncode, nowhere.stdout) == (2, "")
    assert "There is no stack no-such-stack" in nowhere.stderr
    planted.tell_doctor(TOWER_URL="ftp://tower")
    ended = doctor(planted.cloud)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("Doctor ended in an error: ")
    assert "Tower URL 'ftp://tower' is not a URL" in ended.stderr


def test_a_deployment_is_foreseen_that_would_cut_a_hook_off(planted: Planted) -> None:
    hook_to_a_topic(planted)
    assert found_by_doctor(planted) == {}
    cut_off = doctor(planted.cloud, "--group", planted.name, "--topics", "")
    assert (cut_off.returncode, cut_off.stderr) == (1, "")
    assert cut_off.stdout.startswith(f"1 BREAKS LAUNCHES\n  group {planted.name}: hook 'mine' notifies")
    kept = doctor(planted.cloud, "--group", planted.name, "--topics", f"arn:aws:sns:{REGION}:{ACCOUNT}:*")
    assert (kept.returncode, kept.stderr) == (0, "")


def test_a_group_that_is_released_is_no_fault(planted: Planted) -> None:
    completed = planted.cloud.rollcall("release", "--group", planted.name)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout.startswith(f"group {planted.name}: released at 2")
    assert found_by_doctor(planted) == {}
    missed = planted.cloud.rollcall("release", "--group", "wbe")
    assert (missed.returncode, missed.stdout) == (2, "")


def test_make_doctor_passes_on_what_it_is_asked_for(planted: Planted) -> None:
    completed = planted.cloud.make("doctor", f"--group {planted.name}")
    assert (completed.returncode, completed.stderr) == (0, "")
    assert "Nothing is wrong." in completed.stdout
