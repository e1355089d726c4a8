"""The embedded AWS: EC2, Auto Scaling, EventBridge, SQS, Lambda and the rest in one process on this machine.

    with EmbeddedAws(log=Path("aws.log")) as aws:
        subprocess.run(["sam", "deploy", ...], env={**os.environ, **aws.environment}, check=True)
        aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=3)

The server is MiniStack with an Auto Scaling engine (`lab.autoscaling`) and event sources (`lab.event_source`) of our
own. It listens on 127.0.0.1 only, keeps everything in memory and ends with the process that started it.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import boto3
import urllib3
from botocore.config import Config

from lab.aws.control import CONTROL, TRANSITIONS, Invocation, TargetEvent, Timeout, Transition
from lab.aws.embedded_images import EmbeddedImages
from lab.aws.embedded_rights import EmbeddedRights
from lab.aws.lifecycle import states
from lab.aws.limits import SQS_BYTES
from lab.aws.refresh import Rules

__all__ = ["ACCOUNT", "OPEN_POLICY", "REGION", "EmbeddedAws", "Invocation", "TargetEvent", "Timeout", "Transition"]

ACCOUNT = "123456789012"
REGION = "us-east-1"
START_TIMEOUT = 120
"""Seconds until the server has to answer, on a machine where others begin too."""
STOP_TIMEOUT = 10
"""Seconds until a server that has to stop is killed."""
REQUEST_TIMEOUT = 60
"""Seconds for a request to the server's own paths."""
CONNECTIONS = 4
"""Connections that are kept for requests to the server's own paths; more than these are closed after each."""
INHERITED = ("HOME", "LANG", "PATH", "TMPDIR")
"""What the server, and with it every function, sees of our environment."""
HEALTH = "/_ministack/health"
OPEN_POLICY: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": ["events.amazonaws.com", "sns.amazonaws.com"]},
            "Action": "sqs:SendMessage",
            "Resource": "*",
        }
    ],
}
"""The policy of a queue to which all rules and topics may send; without a policy none may."""


class EmbeddedAws:
    """The embedded AWS as a context manager: started on entry, gone on exit.

    `log` is the file that the server writes to. `address_pool` is the network that instances get their private
    addresses from; the lowest free address is always given first. `sqs_pollers` is the number of batches that an
    event source mapping gathers side by side. `sqs_bytes` is what one call that sends to a queue may hold.
    `wait_scale` is how long Step Functions waits for a second: of a Wait, between two tries, and until a timeout of an
    execution. `forks`: functions with layers start as forks of a process that has imported the AWS SDK, in half the
    time, where the system is Linux. `images`: how a test bends images and instances outside of groups. `rights`: what
    functions use of what their roles allow.
    """

    endpoint_url: str
    environment: dict[str, str]
    """What `sam`, the AWS CLI and boto3 need to find the server: endpoint, dummy credentials, Region."""

    def __init__(
        self,
        *,
        log: Path,
        address_pool: str = "10.0.0.0/24",
        sqs_pollers: int = 5,
        sqs_bytes: int = SQS_BYTES,
        wait_scale: float = 1.0,
        forks: bool = False,
    ) -> None:
        self._log = log
        self._address_pool = address_pool
        self._sqs_pollers = sqs_pollers
        self._sqs_bytes = sqs_bytes
        self._wait_scale = wait_scale
        self._forks = forks and sys.platform == "linux"
        self.images = EmbeddedImages(self._control)
        self.rights = EmbeddedRights(self._control)
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._sessions: dict[tuple[str, str], Any] = {}
        self._transitions: list[Transition] = []
        self._reading = Lock()
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            self.attach(f"http://127.0.0.1:{port}")
            self._start(listener.fileno(), port)
        try:
            self._await_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        self._connections.close()
        self._stop()

    def attach(self, endpoint_url: str) -> None:
        """Work with the server at this URL; outside of a `with` block one that another process started, and ends."""
        self.endpoint_url = endpoint_url
        # They are kept: tests that wait ask many times a second.
        self._connections = urllib3.connection_from_url(
            endpoint_url, maxsize=CONNECTIONS, timeout=REQUEST_TIMEOUT, retries=False
        )
        self.environment = {
            "AWS_ENDPOINT_URL": endpoint_url,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "embedded",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str, *, account: str = ACCOUNT, region: str = REGION) -> Any:
        """Return a boto3 client for a service in an account and Region, the same at each call."""
        key = (service, account, region)
        if key not in self._clients:
            config = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1})
            session = self._session(account, region)
            self._clients[key] = session.client(service, endpoint_url=self.endpoint_url, config=config)
        return self._clients[key]

    def _session(self, account: str, region: str) -> Any:
        """The boto3 session of an account and Region: each reads for itself what all its clients share."""
        key = (account, region)
        if key not in self._sessions:
            self._sessions[key] = boto3.Session(
                aws_access_key_id=account,  # Twelve digits: MiniStack takes them as the account.
                aws_secret_access_key="embedded",
                region_name=region,
            )
        return self._sessions[key]

    def open_queue(self, name: str) -> str:
        """Make a queue to which all rules and topics may send, and return its URL."""
        attributes = {"Policy": json.dumps(OPEN_POLICY)}
        url: str = self.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url

    def states(self, group: str) -> dict[str, str]:
        """Return the lifecycle state of each instance of an Auto Scaling group, the oldest first.

        What DescribeAutoScalingGroups shows, at a hundredth of its cost where instances are many, and also of the
        instances that a deleted group leaves behind for a moment.
        """
        states: dict[str, str] = self._control("GET", "states").get(group, {})
        return states

    def transitions(self) -> list[Transition]:
        """Return every lifecycle state that any instance has entered, in order."""
        with self._reading:  # only those that are new since it was last asked: tests ask often, and they are thousands
            new = self._control("GET", f"{TRANSITIONS}{len(self._transitions)}")
            self._transitions += [Transition(**record) for record in new]
            return list(self._transitions)

    def timeouts(self) -> list[Timeout]:
        """Return every wait that a hook's timeout has ended, in order."""
        return [Timeout(**record) for record in self._control("GET", "timeouts")]

    def target_events(self) -> list[TargetEvent]:
        """Return what happened to the targets of load balancers, in order."""
        return [TargetEvent(**record) for record in self._control("GET", "target-events")]

    def say_of_target(
        self, target_group: str, state: str | None, reason: str = "", *, instance_id: str | None = None
    ) -> None:
        """Let a target group say this of all its targets, or of one, from now on: "healthy", "unhealthy" and so on.

        None: a target is what it is without a word: initial for a moment, and then healthy.
        """
        body = {"target_group": target_group, "instance_id": instance_id, "state": state, "reason": reason}
        self._control("PUT", "target-health", body)

    def invocations(self) -> list[Invocation]:
        """Return every invocation by an event source mapping that has ended, in the order of their ends."""
        return [Invocation(**record) for record in self._control("GET", "invocations")]

    def messages(self, *queue_urls: str) -> int:
        """Return the number of messages in these queues, all at one moment: waiting, being worked on, or put off.

        At a fraction of what it takes SQS to say the same of one queue.
        """
        counted: dict[str, int] = self._control("GET", "messages")
        return sum(counted[urlsplit(each).path] for each in queue_urls)

    def calls(self) -> Counter[str]:
        """Return how often functions have called each API action, "autoscaling:CompleteLifecycleAction".

        Since the start or the last `forget_calls`. Every try counts, also one that is refused; actions of REST
        protocols (S3, Lambda) do not.
        """
        return Counter(self._control("GET", "calls"))

    def forget_calls(self) -> None:
        """Count the calls of functions from zero."""
        self._control("DELETE", "calls")

    def throttle(self, action: str | None, every: int = 5) -> None:
        """Refuse each `every`-th call that functions make of an API action, named as in `calls`, from now on.

        They get AWS's throttling error. Several actions may be throttled at once; None ends it for all.
        """
        if every < 1:
            raise ValueError(f"each {every}th call cannot be refused")
        self._control("PUT", "throttled-calls", {"action": action, "every": every})

    def deny(self, action: str | None, only: int | None = None) -> None:
        """Deny functions an API action, named as in `calls`: each call from now on, or only the one of this number.

        They get AWS's error for what they have no permission for. Several actions may be denied at once; None ends it
        for all.
        """
        self._control("PUT", "denied-calls", {"action": action, "only": only})

    def kill(self, function: str, action: str, *numbers: int, after: bool = False) -> None:
        """Kill a function (its name) at its calls of an API action, those of these numbers from now on, named as in
        `calls`: before each is done, or after that, with its answer unheard.

        Dry runs do not count. As where its environment fails: nothing of it runs any more, and Lambda reports an error.
        """
        given = {"function": function, "action": action, "numbers": numbers, "after": after}
        self._control("PUT", "last-calls", given)

    def refuse_call(self, action: str, code: str, words: str = "(words of the lab)", calls: int = 1) -> None:
        """Refuse the next calls that functions make of an API action, named as in `calls`, with an error of AWS's."""
        self._control("PUT", "refused-calls", {"action": action, "code": code, "words": words, "calls": calls})

    def lose_answers(self, action: str, *numbers: int) -> None:
        """Lose the answers to functions' calls of an API action, those of these numbers from now on, named as in
        `calls`: each is done, and answered with status 500, after which the SDK makes it again.
        """
        given = {"function": "", "action": action, "numbers": numbers, "after": True}
        self._control("PUT", "last-calls", given)

    def put_alarm(self, name: str, state: str = "") -> None:
        """Make an alarm, or let it be in this state from now on: OK, ALARM. A new one without a state lacks data."""
        cloudwatch = self.client("cloudwatch")
        if not cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]:
            cloudwatch.put_metric_alarm(
                AlarmName=name,
                Namespace="lab",
                MetricName="errors",
                Statistic="Sum",
                Period=86400,
                EvaluationPeriods=1,
                Threshold=1,
                ComparisonOperator="GreaterThanThreshold",
            )
        if state:
            cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="set by hand")

    def drop_events(self, *detail_types: str) -> None:
        """Swallow EventBridge events with these detail types, and deliver all others, from now on."""
        self._control("PUT", "dropped-events", detail_types)

    def hide(self, *instance_ids: str) -> None:
        """Leave these instances, and no others, out of what EC2 describes from now on.

        As it does with one that was launched a moment ago, and with one that was terminated an hour ago.
        """
        self._control("PUT", "hidden-instances", instance_ids)

    def age(self, instance_ids: Iterable[str], seconds: float) -> None:
        """Let EC2 and scaling activities say that these instances were launched so many seconds earlier.

        Nothing else gets older.
        """
        self._control("PUT", "aged-instances", {"instance_ids": list(instance_ids), "seconds": seconds})

    def age_execution(self, execution_arn: str, seconds: float) -> None:
        """Let an execution of a state machine have begun, and ended if it has, so many seconds earlier.

        So with its history; what it waits for stays as it is. Raises ValueError where there is none.
        """
        self._control("PUT", "aged-executions", {"execution_arn": execution_arn, "seconds": seconds})

    def time_out_execution(self, execution_arn: str) -> None:
        """End an execution of a state machine as one that ran for as long as that lets it.

        Raises ValueError where there is none.
        """
        self._control("PUT", "timed-out-executions", execution_arn)

    def age_group(self, group: str, seconds: float) -> None:
        """Let a group have been created, and its instance refreshes have begun and ended, so many seconds earlier.

        Raises ValueError where there is no such group.
        """
        self._control("PUT", "aged-groups", {"name": group, "seconds": seconds})

    def force_state(self, instance_id: str, state: str | None) -> None:
        """Let Auto Scaling show this lifecycle state of an instance from now on, any that its API knows; None ends it.

        Behind it the instance stays as it is, counts as what it is, and moves on only afterwards. Raises ValueError for
        a state that the API does not know.
        """
        if state is not None and state not in states():
            raise ValueError(f"{state} is no lifecycle state")
        self._control("PUT", "forced-states", {"instance_id": instance_id, "state": state})

    def replace_root_volume(self, instance_id: str) -> None:
        """Begin to replace the root volume of an instance in service: StartInstanceRefresh, and only this of it.

        Raises ValueError where it may not be: the instance is not in service, or its group has a warm pool.
        """
        self._control("PUT", "replaced-root-volumes", instance_id)

    def rule_refreshes(self, **rules: Any) -> None:
        """Let instance refreshes follow these of the lab's rules, and the defaults beside them: see `lab.aws.refresh`.

        rules: minimum_rounding, maximum_rounding, retry_seconds, pending_on_rollback, slow_launches_fail,
        awaits_terminations. Raises TypeError for any other.
        """
        self._control("PUT", "refresh-rules", asdict(Rules(**rules)))

    def refuse_refresh_call(self, action: str, code: str, calls: int = 1) -> None:
        """Refuse the next calls of an action about instance refreshes: LimitExceeded or ResourceContention.

        Of any caller. Raises ValueError for another code.
        """
        self._control("PUT", "refused-refreshes", {"action": action, "code": code, "calls": calls})

    def lack(self, *permissions: str) -> None:
        """Let all callers lack these permissions, and no others: ec2:RunInstances, ec2:CreateTags, iam:PassRole.

        Those that AWS asks for when a refresh starts with a launch template, and in a dry run of RunInstances. Raises
        ValueError for one that is never asked for.
        """
        self._control("PUT", "lacking-permissions", permissions)

    def leave_free(self, subnet: str, free: int) -> None:
        """Let a subnet have so many free addresses now, and no more than that can be launched into it."""
        self._control("PUT", "free-addresses", {"subnet": subnet, "free": free})

    def refuse_launches(self, group: str, words: str | None) -> None:
        """Let every launch of a group fail, as a scaling activity says in these words of EC2's; None ends it."""
        self._control("PUT", "refused-launches", {"group": group, "words": words})

    def answer_stale(
        self,
        *,
        group: str | None = None,
        instance_id: str | None = None,
        hook: str | None = None,
        calls: int | None = None,
        seconds: float | None = None,
    ) -> None:
        """Refuse answers to lifecycle actions that are open, as if they were not, for so many calls and seconds.

        The actions of this group, instance and hook; of any where one is left out. Without calls and seconds: until
        `end_faults`.
        """
        asked = {"group": group, "instance_id": instance_id, "hook": hook, "calls": calls, "seconds": seconds}
        self._control("PUT", "stale-answers", asked)

    def forward_event(
        self,
        detail_type: str,
        detail: dict[str, Any],
        *,
        account: str,
        region: str = REGION,
        source: str = "aws.autoscaling",
        resources: Iterable[str] = (),
    ) -> None:
        """Put an event on our default bus as another account's or Region's bus forwards it: that of an AWS service."""
        event = {"source": source, "detail-type": detail_type, "detail": detail, "resources": list(resources)}
        self._control("PUT", "forwarded-events", event | {"account": account, "region": region})

    def fire_schedule(self, name: str) -> None:
        """Let a schedule with a rate be due at once, without waiting for its time."""
        self._control("PUT", "due-schedule", name)

    def end_idle_environments(self) -> None:
        """End the functions' execution environments in which nothing runs, as Lambda may at any time.

        What warm functions remember for a minute, such as the tags of groups, they then read anew.
        """
        self._control("DELETE", "idle-environments")

    def end_faults(self) -> None:
        """Nothing is wrong any more: every event is delivered, no call is refused, no instance is hidden or forced.

        Nor are calls judged any more: what was watched for one test would refuse the next one's calls.
        """
        self.drop_events()
        self.hide()
        self.deny(None)
        self.throttle(None)
        self._control("DELETE", "last-calls")
        self._control("DELETE", "stale-answers")
        self._control("DELETE", "forced-states")
        self._control("DELETE", "refused-refreshes")
        self._control("DELETE", "launch-limits")
        self.images.clear()
        self.lack()
        self.rights.leave()
        self.rule_refreshes()

    def bent(self) -> dict[str, Any]:
        """Return what a test bent and did not put right, by what it is about; empty where nothing is.

        What `end_faults` ends, and the account's default encryption of volumes.
        """
        found: dict[str, Any] = self._control("GET", "bent")
        return found

    def function_log(self, function_name: str) -> str:
        """Return what a function has logged, as far as its invocations have ended."""
        function = self.client("lambda").get_function_configuration(FunctionName=function_name)
        group = (function.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{function_name}"
        logs = self.client("logs")
        try:
            pages = list(logs.get_paginator("filter_log_events").paginate(logGroupName=group))
        except logs.exceptions.ResourceNotFoundException:
            return ""
        return "\n".join(event["message"] for page in pages for event in page["events"])

    def _control(self, method: str, path: str, body: object = None) -> Any:
        answered = self._connections.request(method, f"{CONTROL}{path}", body=json.dumps(body).encode())
        said = answered.json()
        if answered.status != HTTPStatus.OK:
            raise ValueError(said or f"the server knows no {path}, or not what it is about")
        return said

    def _start(self, listener: int, port: int) -> None:
        tests = Path(__file__).parents[2]
        inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
        environment = inherited | {
            "GATEWAY_PORT": str(port),  # Where functions find the server.
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.2",  # AWS waits one minute, then two.
            "SFN_WAIT_SCALE": str(self._wait_scale),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "PYTHONPATH": str(tests),
        }
        command = [sys.executable, "-m", "lab.aws.server", "--listener", str(listener)]
        command += ["--address-pool", self._address_pool, "--sqs-pollers", str(self._sqs_pollers)]
        command += ["--sqs-bytes", str(self._sqs_bytes)]
        command += ["--forks"] if self._forks else []
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._server = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[listener],
                start_new_session=True,  # Ctrl-C reaches us, and we stop the server.
            )

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            if self._server is None or self._server.poll() is not None:
                raise RuntimeError(f"The embedded AWS did not start:\n{self._log.read_text()}")
            try:
                with urllib.request.urlopen(f"{self.endpoint_url}{HEALTH}", timeout=REQUEST_TIMEOUT):
                    return
            except (TimeoutError, urllib.error.URLError, ConnectionError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _stop(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.terminate()
        try:
            server.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        if server.stdin:
            server.stdin.close()
