"""Rollcall deployed on the embedded cloud: what the stack tests and the demo work with.

sam_build(Path("build/built"))
with Cloud(Path("build/lab")) as cloud:
    cloud.deploy(Path("build/built"))
    web = cloud.create_group("web", {"inventory": "fleet", "job-template": "provision"})
    web.scale(3)
"""

from __future__ import annotations

import base64
import compileall
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import batched, count
from pathlib import Path
from py_compile import PycInvalidationMode
from types import TracebackType
from typing import Any, Self

from lab.aws.embedded import ACCOUNT, OPEN_POLICY, REGION, EmbeddedAws, Transition
from lab.rights import Rights
from lab.tower.embedded import Tower
from lab.traffic.health import HealthCheck
from lab.traffic.service import Start
from lab.traffic.traffic import Traffic

STACK = "rollcall"
SECRET = "tower"
CHEF_SECRET = "chef"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:notifications"  # where a deployment has one
HOOK_PREFIX = "rollcall"
SERVING = ("InService", "Standby")
RESTING = ("Warmed:Stopped", "Warmed:Running", "Warmed:Hibernated")
HEARTBEAT_TIMEOUT = 30  # seconds, Auto Scaling's own minimum
OWN_HOOKS = {f"{HOOK_PREFIX}-{transition.lower()}": transition for transition in ("LAUNCHING", "TERMINATING")}
DEFAULT_RESULTS = {"LAUNCHING": "ABANDON", "TERMINATING": "CONTINUE"}
OFTEN, SELDOM = 0.1, 1.0  # seconds from one time that a condition is asked to the next, and
ASKED_SHARE = 0.05  # of the time it has been waited for, between these two
PATIENCE = 240.0  # seconds for a condition, on a machine with much else to do: only a failing test waits for so long
SAM_TIMEOUT = 600  # seconds, on a machine on which others deploy at the same time
# A shell lets what it runs in the background ignore Ctrl-C, and children inherit that.
ENDED_BY_CTRL_C = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)
COMMAND_TIMEOUT = 240  # seconds; a command may follow a cycle to its end
SAM_STOP_TIMEOUT = 3  # seconds until an interrupted sam is killed
REPOSITORY = Path(__file__).parents[2]
LAYERS = ("CommonLayer", "ChefLayer")
ARCHITECTURE = "x86_64" if platform.machine() in ("x86_64", "AMD64") else "arm64"
NEVER = 480  # minutes from one scheduled run of reconcile to the next: none comes while a test runs
SECONDS_OF_A_GROUP = 1800  # its tag rollcall:timeout if it has none
DESCRIBED_AT_ONCE = 200  # instances; EC2's maximum of values in one filter

type Json = dict[str, Any]


class SamError(RuntimeError):
    """A sam command that did not end well, with what it said."""


class ReconcileFailed(Exception):
    """A run of reconcile ended in an error: what Lambda reports of it."""


class DoctorFailed(Exception):
    """A run of doctor ended in an error: what Lambda reports of it."""


@dataclass(frozen=True)
class Run:
    """A run of reconcile by hand. Times in epoch seconds.

    asked: its event. answer: None if it ended in an error. seasoned: instances that were in service when it began, and
    launched longer ago than their group's timeout.
    """

    asked: Json
    answer: Json | None
    began: float
    ended: float
    seasoned: frozenset[str]


@dataclass(frozen=True)
class Group:
    """An Auto Scaling group with hooks that Rollcall answers."""

    cloud: Cloud
    name: str

    def scale(self, desired: int) -> None:
        """Set the desired capacity."""
        self.cloud.aws.client("autoscaling").set_desired_capacity(
            AutoScalingGroupName=self.name, DesiredCapacity=desired
        )

    def exists(self) -> bool:
        """Whether the group is there."""
        answer = self.cloud.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])
        return bool(answer["AutoScalingGroups"])

    def states(self) -> dict[str, str]:
        """The lifecycle state of each instance that is there now, the oldest first; also of a group just deleted."""
        return self.cloud.aws.states(self.name)

    def in_service(self) -> set[str]:
        """The instances in service."""
        return {instance_id for instance_id, state in self.states().items() if state == "InService"}

    def transitions(self) -> list[Transition]:
        """Every lifecycle state that an instance of the group ever entered, in order."""
        return [each for each in self.cloud.aws.transitions() if each.group == self.name]

    def tag(self, tags: Mapping[str, str | None]) -> None:
        """Set tags rollcall:KEY; a value of None deletes one. Functions that are idle read them at once."""
        client = self.cloud.aws.client("autoscaling")
        self.cloud.note_asking(self.name, tags)
        for key, value in _tags(tags).items():
            owner = {"ResourceId": self.name, "ResourceType": "auto-scaling-group"}
            if value is None:
                client.delete_tags(Tags=[owner | {"Key": key}])
            else:
                client.create_or_update_tags(Tags=[owner | _tag(key, value)])
        self.cloud.aws.end_idle_environments()

    def tags(self) -> dict[str, str]:
        """All tags of the group as it is described, by key."""
        answer = self.cloud.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])
        return {tag["Key"]: tag["Value"] for group in answer["AutoScalingGroups"] for tag in group["Tags"]}

    def notify(self, topic: str) -> None:
        """Let the group notify a topic of its launches and terminations, and of those that failed."""
        self.cloud.aws.client("autoscaling").put_notification_configuration(
            AutoScalingGroupName=self.name,
            TopicARN=topic,
            NotificationTypes=[
                f"autoscaling:EC2_INSTANCE_{what}"
                for what in ("LAUNCH", "LAUNCH_ERROR", "TERMINATE", "TERMINATE_ERROR")
            ],
        )

    def put_hook(
        self,
        name: str,
        transition: str,
        *,
        heartbeat_timeout: int = HEARTBEAT_TIMEOUT,
        default: str | None = None,
    ) -> None:
        """Give the group a hook, of Rollcall's by its name or another's. transition: LAUNCHING or TERMINATING.

        default: what comes of it without an answer; ABANDON a launch and CONTINUE a termination if it is not given.
        """
        self.cloud.aws.client("autoscaling").put_lifecycle_hook(
            AutoScalingGroupName=self.name,
            LifecycleHookName=name,
            LifecycleTransition=f"autoscaling:EC2_INSTANCE_{transition}",
            HeartbeatTimeout=heartbeat_timeout,
            DefaultResult=default or DEFAULT_RESULTS[transition],
        )

    def answer(self, hook: str, instance_id: str, result: str = "CONTINUE") -> None:
        """Complete the action of a hook for an instance, as whoever else has a hook does."""
        self.cloud.aws.client("autoscaling").complete_lifecycle_action(
            AutoScalingGroupName=self.name, LifecycleHookName=hook, InstanceId=instance_id, LifecycleActionResult=result
        )

    def put_warm_pool(self, **settings: Any) -> None:
        """Give the group a warm pool, or change it. settings: of PutWarmPool, as its API names them."""
        self.cloud.aws.client("autoscaling").put_warm_pool(AutoScalingGroupName=self.name, **settings)

    def resting(self) -> set[str]:
        """The instances in the warm pool that are ready there."""
        return {instance_id for instance_id, state in self.states().items() if state in RESTING}

    def new_version(self, *, default: bool = False, **data: Any) -> str:
        """Make a version of the group's launch template, and return its number: the newest one, but for these data.

        data: of the launch template, as its API names them; UserData as bytes. default: whether it is the default.
        """
        ec2, template = self.cloud.aws.client("ec2"), self.launch_template_id()
        if isinstance(data.get("UserData"), bytes):
            data["UserData"] = base64.b64encode(data["UserData"]).decode()
        (newest,) = ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=["$Latest"])[
            "LaunchTemplateVersions"
        ]
        made = ec2.create_launch_template_version(
            LaunchTemplateId=template, SourceVersion=str(newest["VersionNumber"]), LaunchTemplateData=data
        )
        number = str(made["LaunchTemplateVersion"]["VersionNumber"])
        if default:
            ec2.modify_launch_template(LaunchTemplateId=template, DefaultVersion=number)
        return number

    def launch_template_id(self) -> str:
        """The id of the group's launch template, of its policy's if it has one."""
        described = self.described()
        policy = described.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
        return str((policy.get("LaunchTemplateSpecification") or described["LaunchTemplate"])["LaunchTemplateId"])

    def described(self) -> Json:
        """The group as DescribeAutoScalingGroups shows it."""
        answer = self.cloud.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])
        (group,) = answer["AutoScalingGroups"]
        return dict(group)

    def version_of(self, instance_id: str) -> str:
        """The number of the launch template's version that an instance of the group was launched from."""
        (found,) = self.cloud.aws.client("autoscaling").describe_auto_scaling_instances(InstanceIds=[instance_id])[
            "AutoScalingInstances"
        ]
        return str(found["LaunchTemplate"]["Version"])

    def use_version(self, version: str) -> None:
        """Let the group launch from this version of its launch template: a number, $Latest or $Default."""
        template = {"LaunchTemplateId": self.launch_template_id(), "Version": version}
        policy = self.described().get("MixedInstancesPolicy")
        if policy:
            launch = {**policy["LaunchTemplate"], "LaunchTemplateSpecification": template}
            for override in launch.get("Overrides", []):  # shown with id and name, and taken with only one of them
                override.get("LaunchTemplateSpecification", {}).pop("LaunchTemplateName", None)
            configuration: Json = {"MixedInstancesPolicy": {**policy, "LaunchTemplate": launch}}
        else:
            configuration = {"LaunchTemplate": template}
        self.cloud.aws.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=self.name, **configuration)

    def refreshes(self) -> list[Json]:
        """The group's instance refreshes, the newest first."""
        answer = self.cloud.aws.client("autoscaling").describe_instance_refreshes(AutoScalingGroupName=self.name)
        return list(answer["InstanceRefreshes"])

    def replace_root_volume(self, instance_id: str) -> None:
        """Begin to replace the root volume of an instance in service; ValueError if the group has a warm pool."""
        self.cloud.aws.replace_root_volume(instance_id)

    def terminate(self, instance_id: str, *, decrement: bool = False) -> None:
        """Terminate an instance through its group; one that is retained ends so, and only so."""
        self.cloud.aws.client("autoscaling").terminate_instance_in_auto_scaling_group(
            InstanceId=instance_id, ShouldDecrementDesiredCapacity=decrement
        )

    def detach(self, instance_id: str, *, decrement: bool = True) -> None:
        """Let an instance leave the group and live on."""
        self.cloud.aws.client("autoscaling").detach_instances(
            AutoScalingGroupName=self.name, InstanceIds=[instance_id], ShouldDecrementDesiredCapacity=decrement
        )

    def delete(self) -> None:
        """Delete the group and its instances without further ado."""
        self.cloud.aws.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=self.name, ForceDelete=True)


class Cloud:
    """The embedded AWS and the embedded Tower, and Rollcall between them.

    directory takes logs. address_pool is the network of the instances' private addresses. wait_scale, forks: see
    EmbeddedAws. runs: of reconcile, by hand, as they ended. asking_since: by group, when it got the job template that
    it has; epoch seconds. read_only: inventories that the functions' token may, or might for a while, only read.
    rights: what functions use of what their roles allow.
    """

    def __init__(
        self,
        directory: Path,
        *,
        address_pool: str = "10.0.0.0/28",
        tower: Tower | None = None,
        wait_scale: float = 1.0,
        forks: bool = False,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.aws = EmbeddedAws(log=directory / "aws.log", address_pool=address_pool, wait_scale=wait_scale, forks=forks)
        self.tower = tower or Tower()
        self.tower_url = ""
        self.runs: list[Run] = []
        self.asking_since: dict[str, float] = {}
        self.read_only: set[str] = set()
        self.rights = Rights(self)
        self._stack = ExitStack()
        self._images = count(1)
        self._physical_ids: dict[str, str] = {}

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            starting.enter_context(self.aws)
            self.tower_url = starting.enter_context(self.tower.serve())
            self._stack = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def deploy(self, built: Path, **parameters: str) -> None:
        """sam deploy, of what sam_build made; parameters are the template's. Raises SamError."""
        secrets = self.aws.client("secretsmanager")
        arn = secrets.create_secret(Name=SECRET, SecretString=_secret(self.tower.token))["ARN"]
        values = {
            "TowerUrl": self.tower_url,
            "TowerSecretArn": arn,
            "HookPrefix": HOOK_PREFIX,
            "SubnetIds": "subnet-00000001",  # so that checks may go to private addresses
            "SecurityGroupIds": "sg-00000001",
            "NotifyingTopicArns": f"arn:aws:sns:{REGION}:{ACCOUNT}:named-*",
            "ReconcileEvery": str(NEVER),
            "UserData": "true",
            "RetireJobs": "true",
            **parameters,
        }
        _sam(
            *("deploy", "--template", str(built / "template.yaml"), "--stack-name", STACK),
            *("--resolve-s3", "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset"),
            *("--parameter-overrides", *(f"{key}={value}" for key, value in values.items())),
            environment=self.aws.environment,
        )
        self._physical_ids.clear()

    def rollcall(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """The command `rollcall`, as an operator runs it who is set up for this cloud."""
        return self.run(["rollcall", *arguments], **environment)

    def make(self, target: str, arguments: str) -> subprocess.CompletedProcess[str]:
        """`make TARGET ARGS=...` about this stack, likewise."""
        words = ["make", "--silent", "--old-file=setup", target, f"STACK={STACK}", f"ARGS={arguments}"]
        return self.run(words, MAKEFLAGS="")  # the tests may have been started by a make that runs two jobs at once

    def run(self, command: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
        """Any command, in the repository, as an operator runs it who has `rollcall`."""
        path = f"{self.programs()}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            command,
            cwd=REPOSITORY,
            env={**os.environ, "PATH": path, **self.aws.environment, **environment},
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )

    def begun(self, *arguments: str, **streams: Any) -> subprocess.Popen[str]:
        """The command `rollcall` with these arguments, while it runs; Ctrl-C ends it, wherever the tests run."""
        return subprocess.Popen(
            [sys.executable, "-c", ENDED_BY_CTRL_C, str(self.programs() / "rollcall"), *arguments],
            env={**os.environ, **self.aws.environment, "TERM": "xterm-256color", "COLUMNS": "120"},
            text=True,
            **streams,
        )

    def programs(self) -> Path:
        """A directory with the command `rollcall`, of this repository."""
        programs = self.directory.absolute() / "bin"
        if not programs.exists():
            programs.mkdir()
            paths = os.pathsep.join(str(REPOSITORY / each) for each in ("cli", "layers/common"))
            program = programs / "rollcall"
            program.write_text(f'#!/bin/sh\nPYTHONPATH="{paths}" exec "{sys.executable}" -m rollcall_cli "$@"\n')
            program.chmod(0o700)
        return programs

    def set_token(self, token: str) -> None:
        """Put another Tower token into the secret."""
        self.aws.client("secretsmanager").put_secret_value(SecretId=SECRET, SecretString=_secret(token))

    def create_group(
        self,
        name: str,
        tags: Mapping[str, str | None],
        *,
        heartbeat_timeout: int = HEARTBEAT_TIMEOUT,
        hooks: bool | Mapping[str, str] = True,
        size: int = 0,
        most: int = 200,
        user_data: bytes = b"",
        warm_pool: Mapping[str, Any] | None = None,
        retain: bool = False,
        version: str = "$Latest",
        overrides: Sequence[Mapping[str, Any]] = (),
        **settings: Any,
    ) -> Group:
        """An Auto Scaling group with both hooks and these tags rollcall:KEY (a value of None leaves one out).

        hooks: True for OWN_HOOKS; else these and no others, their transitions (LAUNCHING, TERMINATING) by name.
        user_data: of its launch template. warm_pool: settings of PutWarmPool; without MaxGroupPreparedCapacity it is
        as large as the group may become. retain: whether a terminate hook that is abandoned retains the instance.
        version: of its launch template, a number or an alias. overrides: of a mixed instances policy with that template
        as its base; without any the group has no policy. settings: of CreateAutoScalingGroup, as its API names them.
        """
        if retain:
            settings["InstanceLifecyclePolicy"] = {"RetentionTriggers": {"TerminateHookAbandon": "retain"}}
        template = {"LaunchTemplateName": self._launch_template(name, user_data), "Version": version}
        if overrides:
            launch = {"LaunchTemplateSpecification": template, "Overrides": list(overrides)}
            settings["MixedInstancesPolicy"] = {"LaunchTemplate": launch}
        else:
            settings["LaunchTemplate"] = template
        self.note_asking(name, tags)
        self.aws.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=most,
            DesiredCapacity=0,
            AvailabilityZones=[f"{REGION}a"],
            Tags=[_tag(key, value) for key, value in _tags(tags).items() if value is not None],
            **settings,
        )
        group = Group(self, name)
        for hook, transition in (OWN_HOOKS if hooks is True else hooks or {}).items():
            group.put_hook(hook, transition, heartbeat_timeout=heartbeat_timeout)
        if warm_pool is not None:
            group.put_warm_pool(**warm_pool)
        if size:
            group.scale(size)
        return group

    def _launch_template(self, group: str, user_data: bytes) -> str:
        """A launch template of a group's, and its name."""
        name = f"{group}-{next(self._images)}"
        self.aws.client("ec2").create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData={
                "ImageId": "ami-0abcdef1234567890",
                "InstanceType": "t4g.small",
                "UserData": base64.b64encode(user_data).decode(),
            },
        )
        return name

    def create_target_group(self, name: str, kind: str = "instance") -> str:
        """A load balancer's target group, and its ARN."""
        answer = self.aws.client("elbv2").create_target_group(
            Name=name, Protocol="HTTP", Port=80, VpcId="vpc-00000001", TargetType=kind
        )
        return str(answer["TargetGroups"][0]["TargetGroupArn"])

    def set_deregistration_delay(self, target_group: str, seconds: int) -> None:
        """How long a target group lets its targets drain, and Auto Scaling waits for that; without it, not at all."""
        self.aws.client("elbv2").modify_target_group_attributes(
            TargetGroupArn=target_group,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(seconds)}],
        )

    def traffic(
        self,
        group: Group,
        target_group: str,
        *,
        rate: float = 50.0,
        check: HealthCheck | None = None,
        start: Start | None = None,
    ) -> Traffic:
        """Requests to a group through a load balancer before a target group (its ARN), while a `with` block runs.

        rate: requests a second. check: how the load balancer checks targets. start: what a service takes to be up; it
        waits for the job of the template that the group names now, if it names one.
        """
        template = group.tags().get("rollcall:job-template")
        named = int(template) if template and template.isdecimal() else template
        jobs = (lambda: self.tower.jobs(named)) if named else None
        return Traffic(self.aws.endpoint_url, group.name, target_group, jobs, rate=rate, check=check, start=start)

    def note_asking(self, group: str, tags: Mapping[str, str | None]) -> None:
        """A group gets these tags rollcall:KEY."""
        if "job-template" in tags:
            since = self.asking_since.pop(group, time.time())
            if tags["job-template"]:
                self.asking_since[group] = since

    def reconcile(self, **asked: Any) -> Json:
        """A run of reconcile that is asked for this, and its answer. Raises ReconcileFailed."""
        seasoned = frozenset(self._seasoned())
        began = time.time()
        invoked = self.aws.client("lambda").invoke(
            FunctionName=self.function_name("ReconcileFunction"), Payload=json.dumps(asked)
        )
        said: Json = json.loads(invoked["Payload"].read())
        failed = "FunctionError" in invoked
        self.runs.append(Run(asked, None if failed else said, began, time.time(), seasoned))
        if failed:
            raise ReconcileFailed(f"{said['errorType']}: {said['errorMessage']}")
        return said

    def doctor(self, **asked: Any) -> Json:
        """What doctor answers when it is asked for this."""
        invoked = self.aws.client("lambda").invoke(
            FunctionName=self.function_name("DoctorFunction"), Payload=json.dumps(asked)
        )
        said: Json = json.loads(invoked["Payload"].read())
        if "FunctionError" in invoked:
            raise DoctorFailed(f"{said['errorType']}: {said['errorMessage']}")
        return said

    def physical_id(self, logical_id: str) -> str:
        """What AWS calls a resource of the stack. Asked once: tests that wait need it many times a second."""
        if logical_id not in self._physical_ids:
            answer = self.aws.client("cloudformation").describe_stack_resource(
                StackName=STACK, LogicalResourceId=logical_id
            )
            self._physical_ids[logical_id] = str(answer["StackResourceDetail"]["PhysicalResourceId"])
        return self._physical_ids[logical_id]

    def _seasoned(self) -> Iterator[str]:
        timeouts: dict[str, float] = {}
        for group in self.opted_in():
            tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
            timeout = float(tags.get("rollcall:timeout", SECONDS_OF_A_GROUP))
            serving = [each for each in group["Instances"] if each["LifecycleState"] in SERVING]
            timeouts |= {each["InstanceId"]: timeout for each in serving}
        for instance_id, described in self.describe(timeouts).items():
            if described["LaunchTime"].timestamp() + timeouts[instance_id] < time.time():
                yield instance_id

    def opted_in(self) -> list[Json]:
        """The Auto Scaling groups with the tag rollcall:inventory, as AWS describes them."""
        pages = self.aws.client("autoscaling").get_paginator("describe_auto_scaling_groups")
        filters = [{"Name": "tag-key", "Values": ["rollcall:inventory"]}]
        return [group for page in pages.paginate(Filters=filters) for group in page["AutoScalingGroups"]]

    def groups(self) -> list[Group]:
        """All Auto Scaling groups that there are."""
        pages = self.aws.client("autoscaling").get_paginator("describe_auto_scaling_groups").paginate()
        return [Group(self, each["AutoScalingGroupName"]) for page in pages for each in page["AutoScalingGroups"]]

    def pool_members(self, group: str) -> list[Json]:
        """The instances in the warm pool of a group, as DescribeWarmPool shows them."""
        pages = self.aws.client("autoscaling").get_paginator("describe_warm_pool")
        return [each for page in pages.paginate(AutoScalingGroupName=group) for each in page["Instances"]]

    def describe(self, instance_ids: Iterable[str]) -> dict[str, Json]:
        """Those of the instances that EC2 knows, as it describes them, by id."""
        found: dict[str, Json] = {}
        for some in batched(instance_ids, DESCRIBED_AT_ONCE):
            filters = [{"Name": "instance-id", "Values": list(some)}]
            answer = self.aws.client("ec2").describe_instances(Filters=filters)
            found |= {one["InstanceId"]: one for each in answer["Reservations"] for one in each["Instances"]}
        return found

    def queue_url(self, logical_id: str) -> str:
        """The URL of a queue of the stack."""
        return self.physical_id(logical_id)

    def queue_arn(self, logical_id: str) -> str:
        """The ARN of a queue of the stack."""
        answer = self.aws.client("sqs").get_queue_attributes(
            QueueUrl=self.queue_url(logical_id), AttributeNames=["QueueArn"]
        )
        return str(answer["Attributes"]["QueueArn"])

    @contextmanager
    def rules_may_send(self, logical_id: str) -> Iterator[None]:
        """Let every rule of the account send to a queue of the stack, which by itself hears only the stack's own."""
        sqs, url = self.aws.client("sqs"), self.queue_url(logical_id)
        policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
        known: Json = json.loads(policy)
        open_to_rules = known | {"Statement": [*known["Statement"], *OPEN_POLICY["Statement"]]}
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(open_to_rules)})
        try:
            yield
        finally:
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})

    @contextmanager
    def paused(self, function: str) -> Iterator[None]:
        """A function, by its logical id, takes no messages from its queue until the block ends."""
        functions = self.aws.client("lambda")
        (mapping,) = functions.list_event_source_mappings(FunctionName=self.function_name(function))[
            "EventSourceMappings"
        ]
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        try:
            yield
        finally:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)

    def function_name(self, logical_id: str) -> str:
        """The name of a function of the stack."""
        return self.physical_id(logical_id)

    def log_lines(self, function: str) -> list[dict[str, Any]]:
        """What a function (register, gate …) logged, an object a line; nothing of the runtime, and no metrics."""
        return [line for line in self._printed(function) if "level" in line]

    def metrics(self, function: str) -> list[Json]:
        """What a function counted: the metrics of each invocation, in CloudWatch's embedded metric format."""
        return [line for line in self._printed(function) if "_aws" in line]

    def _printed(self, function: str) -> list[Json]:
        text = self.aws.function_log(self.function_name(f"{function.capitalize()}Function"))
        return [json.loads(line) for line in text.splitlines() if line.startswith(('{"level"', '{"_aws"'))]

    def alerts(self, group: Group, words: str) -> list[dict[str, Any]]:
        """The gate's alerts about a group that hold these words."""
        return [
            line
            for line in self.log_lines("gate")
            if line.get("alert") and line["group"] == group.name and words in line["message"]
        ]

    def dead_letters(self) -> dict[str, int]:
        """Messages in each dead-letter queue."""
        return {queue: self._waiting(f"{queue}DeadLetterQueue") for queue in ("Launch", "Gate", "Terminate")}

    def in_flight(self) -> int:
        """Messages anywhere in the three queues, at one moment: waiting, being worked on, or put off."""
        return self.aws.messages(*(self.queue_url(f"{queue}Queue") for queue in ("Launch", "Gate", "Terminate")))

    def _waiting(self, queue: str) -> int:
        """Messages in a queue that may be received."""
        name = "ApproximateNumberOfMessages"
        answer = self.aws.client("sqs").get_queue_attributes(QueueUrl=self.queue_url(queue), AttributeNames=[name])
        return int(answer["Attributes"][name])


def keep_to_this_machine() -> None:
    """Whatever this shell is set up for, an account or a proxy, has no part in what goes to 127.0.0.1."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1"]))


def sam_build(directory: Path) -> None:
    """What `make build` does, into a directory and for this machine's kind of processor.

    The functions run on this machine, and the layer for Chef has code of the processor's. Raises SamError.
    """
    template = directory.with_name(f"{directory.name}.yaml")
    template.parent.mkdir(parents=True, exist_ok=True)
    text = (REPOSITORY / "template.yaml").read_text().replace("arm64", ARCHITECTURE)
    # Of a definition sam build keeps the path as it stands, and sam deploy reads it from where the template is.
    template.write_text(text.replace("DefinitionUri: ", f"DefinitionUri: {REPOSITORY}/"))
    _sam("build", "--template", str(template), "--base-dir", str(REPOSITORY), "--build-dir", str(directory))
    _rewrite_as_json(directory / "template.yaml")
    for layer in LAYERS:
        code = directory / layer / "python"
        if not compileall.compile_dir(code, quiet=1, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH):
            raise SamError(f"{code} cannot be compiled")


def _rewrite_as_json(template: Path) -> None:
    """The same template in JSON: each sam deploy reads it several times, and YAML takes it a second each time."""
    from samcli.yamlhelper import yaml_parse  # takes half a second, and most who use this module build nothing

    template.write_text(json.dumps(yaml_parse(template.read_text()), indent=1))


def _sam(*arguments: str, environment: Mapping[str, str] | None = None) -> None:
    """A sam command in a session of its own: what interrupts us ends it and its children, too."""
    programs = str(Path(sys.executable).parent)  # sam, and the python3.13 that sam build asks for
    with subprocess.Popen(
        [f"{programs}/sam", *arguments],
        cwd=REPOSITORY,
        env={
            **os.environ,
            **(environment or {}),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "SAM_CLI_TELEMETRY": "0",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as sam:
        try:
            output, errors = sam.communicate(timeout=SAM_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            raise SamError(f"sam {arguments[0]} did not end within {SAM_TIMEOUT} s") from error
        finally:
            _end_session(sam)
    if sam.returncode:
        raise SamError(f"sam {arguments[0]} failed:\n{output[-4000:]}\n{errors[-4000:]}")


def _end_session(leader: subprocess.Popen[str]) -> None:
    if leader.poll() is not None:
        return
    os.killpg(leader.pid, signal.SIGINT)  # sam removes its temporary directories
    try:
        leader.wait(SAM_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        leader.kill()
    with suppress(ProcessLookupError):  # where no child of it is left
        os.killpg(leader.pid, signal.SIGKILL)


def eventually[T](condition: Any, what: str, timeout: float = PATIENCE) -> Any:
    """The first true value of condition(), asked again and again; TimeoutError naming what was waited for.

    What takes long is asked less often: each time costs what answers it, and what tests beside this one need, CPU.
    """
    began = time.monotonic()
    while not (value := condition()):
        waited = time.monotonic() - began
        if waited > timeout:
            raise TimeoutError(f"not within {timeout:.0f} s: {what}")
        time.sleep(min(max(OFTEN, waited * ASKED_SHARE), SELDOM))
    return value


def _secret(token: str) -> str:
    """What the secret with Tower's token holds."""
    return json.dumps({"token": token})


def _tag(key: str, value: str) -> Json:
    return {"Key": key, "Value": value, "PropagateAtLaunch": False}


def _tags(tags: Mapping[str, str | None]) -> dict[str, str | None]:
    return {f"rollcall:{key}": value for key, value in tags.items()}


__all__ = [
    "ACCOUNT",
    "REGION",
    "Cloud",
    "DoctorFailed",
    "Group",
    "ReconcileFailed",
    "Run",
    "SamError",
    "eventually",
    "keep_to_this_machine",
    "sam_build",
]
