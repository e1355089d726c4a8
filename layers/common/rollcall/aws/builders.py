"""EC2: instances that a bake launches outside of groups, without a launch template: its builder, and its test's.

Methods raise AwsUnavailable for what passes by itself, AwsDenied or AwsRejected for the rest. Fields and codes are
those of the Amazon EC2 API reference (RunInstances, StopInstances, TerminateInstances; "Error codes").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from rollcall.domain.bake_tags import BAKE_ID, BAKE_ROLE, MADE_BY, MADE_BY_BAKE, launch_token
from rollcall.domain.errors import AwsRejected, RollcallError
from rollcall.domain.instances import LIVING

from .client import aws_errors
from .instances import instance_of
from .launch_templates import WOULD_LAUNCH, LaunchRefusal, is_passing, refusal_of
from .regional_clients import RegionalClients

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rollcall.domain.instances import Instance

NO_INSTANCE = "InvalidInstanceID"  # begins the codes of an instance that EC2 does not know (any more, or yet)
# Codes after which another subnet may do: "Error codes", server errors and limits of a zone.
NO_ROOM_HERE = (
    "InsufficientInstanceCapacity",
    "InsufficientFreeAddressesInSubnet",
    "InsufficientHostCapacity",
    "InsufficientCapacity",
    "Unsupported",  # an instance type that the zone does not have
)
ALIVE = {"Name": "instance-state-name", "Values": list(LIVING)}  # of filters: not terminated, nor on the way there
GROUP_TAG = "aws:autoscaling:groupName"  # that only AWS gives, to an instance of an Auto Scaling group


class Builders(RegionalClients):
    """The instances of bakes in one account and Region."""

    def launch_alone(self, parameters: Mapping[str, Any], token: str) -> str | LaunchRefusal:
        """Launch one instance with these parameters of RunInstances; its id, or why EC2 does not.

        token: the same call with it is the same launch, and answers with the same instance, whatever became of that.
        """
        with aws_errors("RunInstances"):
            try:
                answer = self._ec2.run_instances(**parameters, MinCount=1, MaxCount=1, ClientToken=token)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if is_passing(error, code) and code not in NO_ROOM_HERE:
                    raise
                return refusal_of(code, error.response["Error"]["Message"])
        return answer["Instances"][0]["InstanceId"]

    def why_not_launched_alone(self, parameters: Mapping[str, Any]) -> LaunchRefusal | None:
        """Why RunInstances would be refused, by a dry run of it; None if it would launch. It knows no capacity."""
        with aws_errors("RunInstances"):
            try:
                self._ec2.run_instances(**parameters, MinCount=1, MaxCount=1, DryRun=True)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == WOULD_LAUNCH:
                    return None
                if is_passing(error, code):
                    raise
                return refusal_of(code, error.response["Error"]["Message"])
        raise AwsRejected("AWS launched something in answer to a dry run")  # which it never does

    def instances_of_bake(self, bake_id: str) -> list[Instance]:
        """The instances that a bake has launched, those that are terminated included as long as EC2 shows them."""
        return [each for each, own in self._tagged([{"Name": f"tag:{BAKE_ID}", "Values": [bake_id]}]) if own]

    def instances_of_bakes(self) -> list[Instance]:
        """The instances that any bake has launched and that are neither terminated nor on their way there."""
        return [each for each, own in self._tagged([ALIVE]) if own]

    def copies_of_builders(self) -> list[Instance]:
        """The instances with the tags of a bake's that no bake launched, or that a group has, and that are not ended.

        Nothing is done to them.
        """
        return [each for each, own in self._tagged([ALIVE]) if not own]

    def _tagged(self, filters: list[Any]) -> list[tuple[Instance, bool]]:
        """Those with a bake's tags, and whether a bake launched it and no Auto Scaling group has it.

        Tags are copied, and groups joined.
        """
        pages = self._ec2.get_paginator("describe_instances")
        ours: Any = {"Name": f"tag:{MADE_BY}", "Values": [MADE_BY_BAKE]}
        with aws_errors("DescribeInstances"):
            found = [
                (instance_of(raw), raw.get("ClientToken", ""))
                for page in pages.paginate(Filters=[ours, *filters])
                for reservation in page["Reservations"]
                for raw in reservation["Instances"]
            ]
        return [(each, GROUP_TAG not in each.tags and _is_launched_by_bake(each, token)) for each, token in found]

    def stop(self, instance_id: str) -> None:
        """Stop an instance, whatever its behaviour at a shutdown of its own. It takes EC2 a while."""
        with aws_errors(f"StopInstances {instance_id}"):
            self._ec2.stop_instances(InstanceIds=[instance_id])

    def terminate(self, instance_ids: Collection[str]) -> None:
        """Terminate instances. One that is terminated already, or that EC2 does not know any more, is no error.

        Raises the first error once all were tried.
        """
        errors: list[RollcallError] = []
        for each in sorted(instance_ids):
            try:
                self._terminate(each)
            except RollcallError as error:  # it keeps no other alive
                errors.append(error)
        if errors:
            raise errors[0]

    def _terminate(self, instance_id: str) -> None:
        with aws_errors(f"TerminateInstances {instance_id}"):
            try:
                self._ec2.terminate_instances(InstanceIds=[instance_id])
            except ClientError as error:
                if not error.response["Error"]["Code"].startswith(NO_INSTANCE):
                    raise


def _is_launched_by_bake(instance: Instance, token: str) -> bool:
    """Whether an instance with a bake's tags was launched by it, by the token of its launch.

    A launch template that was made from a builder gives its tags to a fleet, or to what is launched "like this". One
    that is terminated has no subnet any more, and nothing is done to it.
    """
    tags, facts = instance.tags, instance.facts
    own = launch_token(tags.get(BAKE_ID, ""), tags.get(BAKE_ROLE, ""), facts["subnet"], facts["image"])
    return token == own or not instance.living
