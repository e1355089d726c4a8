"""AWS as a run of reconcile sees it, with many instances: an HTTP server that answers as EC2 and Auto Scaling write.

The embedded AWS would take longer to tell of 20,000 instances than a run may. This one takes for a call what is assumed
below, and hardly computes. EC2 describes an instance in the 9 kB of instance.xml, blanks included: a network interface,
a volume, two security groups, six tags.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from bench.drifted import FACTS, INVENTORY, JOB_TEMPLATE
from lab.cloud import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bench.drifted import Drifted, Machine

    type Answer = Callable[[Mapping[str, str]], str]

CALL = 0.05  # seconds that a call takes; assumed
PER_INSTANCE = 0.001  # seconds more for each instance that EC2 describes; assumed
GROUPS_PER_PAGE = 50  # of DescribeAutoScalingGroups, unless asked otherwise
LAUNCHED_BEFORE = 86_400  # seconds; no instance is so young that a job would be launched on it
INSTANCE = Path(__file__).with_name("instance.xml").read_text()
TERMINATED = """\
        <item>
            <instancesSet>
                <item>
                    <instanceId>{instance_id}</instanceId>
                    <imageId>{image}</imageId>
                    <instanceState>
                        <code>48</code>
                        <name>terminated</name>
                    </instanceState>
                    <privateDnsName/>
                    <dnsName/>
                    <instanceType>{type}</instanceType>
                    <launchTime>{launched}</launchTime>
                </item>
            </instancesSet>
        </item>
"""
GROUP = """\
            <member>
                <AutoScalingGroupName>{name}</AutoScalingGroupName>
                <AutoScalingGroupARN>arn:aws:autoscaling:{region}:{account}:autoScalingGroup:{name}</AutoScalingGroupARN>
                <MinSize>1</MinSize>
                <MaxSize>200</MaxSize>
                <DesiredCapacity>100</DesiredCapacity>
                <DefaultCooldown>300</DefaultCooldown>
                <AvailabilityZones><member>{zone}</member></AvailabilityZones>
                <LoadBalancerNames/>
                <HealthCheckType>EC2</HealthCheckType>
                <HealthCheckGracePeriod>0</HealthCheckGracePeriod>
                <CreatedTime>2026-01-01T00:00:00.000Z</CreatedTime>
                <Instances>{members}</Instances>
                <Tags>{tags}</Tags>
            </member>
"""
MEMBER = """\
                    <member>
                        <InstanceId>{instance_id}</InstanceId>
                        <AutoScalingGroupName>{group}</AutoScalingGroupName>
                        <InstanceType>{type}</InstanceType>
                        <AvailabilityZone>{zone}</AvailabilityZone>
                        <LifecycleState>InService</LifecycleState>
                        <HealthStatus>Healthy</HealthStatus>
                        <LaunchTemplate>
                            <LaunchTemplateId>lt-0123456789abcdef0</LaunchTemplateId>
                            <LaunchTemplateName>web</LaunchTemplateName>
                            <Version>12</Version>
                        </LaunchTemplate>
                        <ProtectedFromScaleIn>false</ProtectedFromScaleIn>
                    </member>
"""
TAG = """\
                    <member>
                        <ResourceId>{name}</ResourceId>
                        <ResourceType>auto-scaling-group</ResourceType>
                        <Key>{key}</Key>
                        <Value>{text}</Value>
                        <PropagateAtLaunch>false</PropagateAtLaunch>
                    </member>
"""
ACTIVITY = """\
                    <member>
                        <ActivityId>{instance_id}</ActivityId>
                        <AutoScalingGroupName>{group}</AutoScalingGroupName>
                        <Description>Launching a new EC2 instance: {instance_id}</Description>
                        <Cause>At {launched} an instance was started in response to a difference.</Cause>
                        <StartTime>{launched}</StartTime>
                        <StatusCode>Successful</StatusCode>
                        <Progress>100</Progress>
                    </member>
"""
ANSWER = """\
<{action}Response xmlns="{namespace}">
    {result}
    <ResponseMetadata><RequestId>00000000-0000-4000-8000-000000000000</RequestId></ResponseMetadata>
</{action}Response>
"""
EC2 = "http://ec2.amazonaws.com/doc/2016-11-15/"
AUTO_SCALING = "http://autoscaling.amazonaws.com/doc/2011-01-01/"


class PreparedAws:
    """The AWS side of drifted groups. secret: the Tower token. calls: by API action, "DescribeInstances"."""

    def __init__(self, drifted: Drifted, secret: str) -> None:
        self._launched = launched = datetime.fromtimestamp(time.time() - LAUNCHED_BEFORE, UTC).strftime(
            "%Y-%m-%dT%H:%M:%S.000Z"
        )
        self.calls: Counter[str] = Counter()
        self._secret = secret
        self._members = {each.instance_id: each for own in drifted.members.values() for each in own}
        self._described = {each: _described(INSTANCE, machine, launched) for each, machine in self._members.items()}
        self._described |= {each.instance_id: _described(TERMINATED, each, launched) for each in drifted.terminated}
        tags = {
            "rollcall:inventory": INVENTORY,
            "rollcall:job-template": JOB_TEMPLATE,
            "rollcall:address": drifted.address,
        }
        self._by_group = drifted.members
        self._groups = [_group(name, tags, own) for name, own in drifted.members.items()]
        self._groups_alone = [_group(name, tags, ()) for name in drifted.members]
        self._answers: dict[str, Answer] = {
            "DescribeAutoScalingGroups": self._describe_groups,
            "DescribeAutoScalingInstances": self._describe_members,
            "DescribeScalingActivities": self._describe_activities,
            "DescribeInstances": self._describe_instances,
            "GetSecretValue": lambda asked: json.dumps({"Name": asked["SecretId"], "SecretString": self._secret}),
            "PutEvents": lambda asked: json.dumps(
                {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in asked["Entries"]]}
            ),
        }

    @contextmanager
    def serve(self) -> Iterator[dict[str, str]]:
        """Serves until the block ends. Yields the environment that boto3 finds it with."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, name="prepared AWS", daemon=True)
        thread.start()
        try:
            yield {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_address[1]}",
                "AWS_ACCESS_KEY_ID": ACCOUNT,
                "AWS_SECRET_ACCESS_KEY": "prepared",
                "AWS_DEFAULT_REGION": REGION,
                "AWS_REGION": REGION,
                "AWS_EC2_METADATA_DISABLED": "true",
            }
        finally:
            server.shutdown()
            server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        aws = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = aws.answer(self.headers.get("X-Amz-Target", ""), body.decode()).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def answer(self, target: str, body: str) -> str:
        """What AWS answers to a call, and as late. target: of the JSON protocols, which name the action there."""
        asked = json.loads(body) if target else dict(parse_qsl(body))
        action = target.rpartition(".")[2] or asked["Action"]
        self.calls[action] += 1
        time.sleep(CALL)
        return self._answers[action](asked)

    def _describe_groups(self, asked: Mapping[str, str]) -> str:
        first = int(asked.get("NextToken", 0))
        following = first + int(asked.get("MaxRecords", GROUPS_PER_PAGE))
        groups = self._groups_alone if asked.get("IncludeInstances") == "false" else self._groups
        token = f"<NextToken>{following}</NextToken>" if following < len(groups) else ""
        shown = f"<AutoScalingGroups>{''.join(groups[first:following])}</AutoScalingGroups>"
        return _answer(asked, AUTO_SCALING, f"<{asked['Action']}Result>{shown}{token}</{asked['Action']}Result>")

    def _describe_members(self, asked: Mapping[str, str]) -> str:
        wanted = [each for key, each in asked.items() if key.startswith("InstanceIds.member.")]
        found = [_member(self._members[each]) for each in wanted if each in self._members]
        shown = f"<AutoScalingInstances>{''.join(found)}</AutoScalingInstances>"
        return _answer(asked, AUTO_SCALING, f"<{asked['Action']}Result>{shown}</{asked['Action']}Result>")

    def _describe_activities(self, asked: Mapping[str, str]) -> str:
        members = self._by_group[asked["AutoScalingGroupName"]]
        found = [
            ACTIVITY.format(instance_id=each.instance_id, group=each.group, launched=self._launched) for each in members
        ]
        shown = f"<Activities>{''.join(found)}</Activities>"
        return _answer(asked, AUTO_SCALING, f"<{asked['Action']}Result>{shown}</{asked['Action']}Result>")

    def _describe_instances(self, asked: Mapping[str, str]) -> str:
        wanted = [each for key, each in asked.items() if key.startswith("Filter.1.Value.")]
        found = [self._described[each] for each in wanted if each in self._described]
        time.sleep(PER_INSTANCE * len(found))
        return _answer(asked, EC2, f"<reservationSet>\n{''.join(found)}    </reservationSet>")


def _answer(asked: Mapping[str, str], namespace: str, result: str) -> str:
    return ANSWER.format(action=asked["Action"], namespace=namespace, result=result)


def _described(form: str, machine: Machine, launched: str) -> str:
    return form.format(
        **FACTS,
        instance_id=machine.instance_id,
        group=machine.group,
        address=machine.address,
        dns=machine.dns,
        public=machine.public,
        end=machine.instance_id.removeprefix("i-"),
        launched=launched,
    )


def _group(name: str, tags: Mapping[str, str], members: Sequence[Machine]) -> str:
    return GROUP.format(
        name=name,
        region=REGION,
        account=ACCOUNT,
        zone=FACTS["zone"],
        members="".join(map(_member, members)),
        tags="".join(TAG.format(name=name, key=key, text=text) for key, text in tags.items()),
    )


def _member(machine: Machine) -> str:
    return MEMBER.format(**FACTS, instance_id=machine.instance_id, group=machine.group)
