"""EC2: instances, their user data, and their status checks."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from rollcall.domain.errors import InstanceNotVisible, NoTimeLeft, RollcallError, Transient
from rollcall.domain.groups import AddressKind
from rollcall.domain.instances import Instance

from .client import AWS_CALLS_AT_ONCE, aws_errors, by_halves, require_no_refusals
from .regional_clients import RegionalClients

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

INSTANCES_PER_FILTER = 200  # EC2's maximum of values in one filter
STATUSES_PER_CALL = 100  # DescribeInstanceStatus' maximum of ids whose answer comes in one page
USER_DATA_PAUSE = 0.5  # seconds before those are requested again that EC2 put off, doubling


class Instances(RegionalClients):
    """The instances of one account and Region."""

    def instances(self, instance_ids: Collection[str]) -> dict[str, Instance]:
        """Instances by id; those EC2 does not know are left out (a list of ids would fail on them).

        Raises InstancesRefused.
        """
        found: list[Any] = []
        with aws_errors("DescribeInstances"):
            pages = self._ec2.get_paginator("describe_instances")

            def describe(chunk: Sequence[str]) -> None:
                own = list(pages.paginate(Filters=[{"Name": "instance-id", "Values": list(chunk)}]))
                found.extend(each for page in own for each in page["Reservations"])

            refused = self._each_chunk(lambda chunk: by_halves(describe, chunk), instance_ids)
        require_no_refusals("DescribeInstances", {each: why for some in refused for each, why in some.items()})
        return {raw["InstanceId"]: instance_of(raw) for reservation in found for raw in reservation["Instances"]}

    def _each_chunk[P](self, describe: Callable[[tuple[str, ...]], P], instance_ids: Collection[str]) -> list[P]:
        """One call for each two hundred ids, a few at once where there are many."""
        chunks = list(batched(sorted(instance_ids), INSTANCES_PER_FILTER))
        if len(chunks) < 2:
            return [describe(chunk) for chunk in chunks]
        with ThreadPoolExecutor(AWS_CALLS_AT_ONCE) as pool:
            return list(pool.map(describe, chunks))

    def user_data(self, instance_ids: Collection[str], seconds: float) -> dict[str, str | RollcallError]:
        """The user data of each instance in base64, "" where it has none; or why it was not had within the seconds.

        EC2 gives it of one instance a call, a hundred at once and then twenty a second for the whole account ("Request
        throttling for the Amazon EC2 API"). Those that it puts off, or does not know yet, are requested again.
        """
        deadline = time.monotonic() + seconds
        answers: dict[str, str | RollcallError] = {}
        waiting, pause = sorted(instance_ids), USER_DATA_PAUSE
        while True:
            with ThreadPoolExecutor(AWS_CALLS_AT_ONCE) as pool:
                given = pool.map(lambda each: self._user_data(each, deadline), waiting)
                answers |= zip(waiting, given, strict=True)
            waiting = [each for each in waiting if isinstance(answers[each], Transient)]
            if not waiting or time.monotonic() + pause > deadline:
                return answers
            time.sleep(pause)
            pause *= 2

    def _user_data(self, instance_id: str, deadline: float) -> str | RollcallError:
        if time.monotonic() > deadline:
            return NoTimeLeft(f"no time was left to read the user data of {instance_id} from EC2")
        try:
            with aws_errors("DescribeInstanceAttribute"):
                answer = self._ec2_once.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
        except RollcallError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError) and cause.response["Error"]["Code"] == "InvalidInstanceID.NotFound":
                return InstanceNotVisible(f"EC2 does not know the attributes of {instance_id} yet")
            return error
        return answer.get("UserData", {}).get("Value", "")

    def passing_status_checks(self, instance_ids: Collection[str]) -> set[str]:
        """Those of the instances whose system and instance status checks both passed: none that EC2 refuses."""
        passing: set[str] = set()
        with aws_errors("DescribeInstanceStatus"):
            for chunk in batched(sorted(instance_ids), STATUSES_PER_CALL):
                by_halves(lambda some: passing.update(self._passing(set(some))), chunk)
        return passing

    def _passing(self, instance_ids: set[str]) -> set[str]:
        """This call has no filter by id, and fails for all if EC2 does not know one; then it is made without that."""
        if not instance_ids:
            return set()
        try:
            answer = self._ec2.describe_instance_status(InstanceIds=sorted(instance_ids))
        except ClientError as error:
            unknown = set(re.findall(r"i-\w+", error.response["Error"]["Message"])) & instance_ids
            if error.response["Error"]["Code"] != "InvalidInstanceID.NotFound" or not unknown:
                raise
            return self._passing(instance_ids - unknown)
        return {
            raw["InstanceId"]
            for raw in answer["InstanceStatuses"]
            if raw["InstanceStatus"]["Status"] == raw["SystemStatus"]["Status"] == "ok"
        }


def instance_of(raw: Any) -> Instance:
    """An instance as DescribeInstances and RunInstances answer it."""
    private, public = raw.get("PrivateIpAddress", ""), raw.get("PublicIpAddress", "")
    return Instance(
        instance_id=raw["InstanceId"],
        state=raw["State"]["Name"],
        launched_at=raw["LaunchTime"].timestamp(),
        addresses={
            AddressKind.PRIVATE: private,
            AddressKind.PUBLIC: public,
            AddressKind.PRIVATE_DNS: raw.get("PrivateDnsName", ""),
            AddressKind.PUBLIC_DNS: raw.get("PublicDnsName", ""),
        },
        facts={
            "id": raw["InstanceId"],
            "type": raw.get("InstanceType", ""),
            "image": raw.get("ImageId", ""),
            "zone": raw.get("Placement", {}).get("AvailabilityZone", ""),
            "vpc": raw.get("VpcId", ""),
            "subnet": raw.get("SubnetId", ""),
            "private_ip": private,
            "public_ip": public,
            "private_dns": raw.get("PrivateDnsName", ""),
        },
        tags={tag["Key"]: tag["Value"] for tag in raw.get("Tags", [])},
        state_reason=(raw.get("StateReason") or {}).get("Message", ""),
    )
