"""The target groups of load balancers (Application, Network, Gateway), as much of them as we use.

Each call is for one target group and all instances that it concerns: at most the hundred of a message. States, reasons
and errors are those of the Elastic Load Balancing API reference. Methods raise Throttled for what passes by itself,
BadSettings for a target group that does not exist, and AwsDenied for the rest.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from .aws import aws_errors
from .errors import BadSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_elbv2.type_defs import TargetDescriptionTypeDef, TargetHealthTypeDef

GROUPS_PER_CALL = 20  # by ARN
NOT_REGISTERED = "Target.NotRegistered"


@dataclass(frozen=True)
class TargetHealth:
    """What a target group says of an instance; reason and description are empty for a healthy one."""

    state: str
    reason: str = ""
    description: str = ""

    @property
    def healthy(self) -> bool:
        """Whether the load balancer sends it requests, and finds that it serves."""
        return self.state == "healthy"

    @property
    def registered(self) -> bool:
        """Whether it is a target, and is not on its way out."""
        return self.state != "draining" and self.reason != NOT_REGISTERED


class Targets:
    """The target groups of one account and Region, by their ARNs."""

    def __init__(self, client: ElasticLoadBalancingv2Client) -> None:
        self._client = client

    def types(self, target_groups: Collection[str]) -> dict[str, str]:
        """What kind of targets each target group takes: instance, ip, lambda or alb."""
        types: dict[str, str] = {}
        for chunk in batched(target_groups, GROUPS_PER_CALL):
            with _errors("DescribeTargetGroups", chunk):
                answer = self._client.describe_target_groups(TargetGroupArns=list(chunk))
            types |= {raw["TargetGroupArn"]: raw["TargetType"] for raw in answer["TargetGroups"]}
        return types

    def health(self, target_group: str, instance_ids: Collection[str]) -> dict[str, TargetHealth]:
        """What it says of each of these instances; one that it does not know is not registered."""
        health = dict.fromkeys(instance_ids, TargetHealth("unused", NOT_REGISTERED))

        def describe(targets: list[TargetDescriptionTypeDef]) -> None:
            answer = self._client.describe_target_health(TargetGroupArn=target_group, Targets=targets)
            for raw in answer["TargetHealthDescriptions"]:
                health[raw["Target"]["Id"]] = _health(raw["TargetHealth"])

        with _errors("DescribeTargetHealth", [target_group]):
            _each_valid(describe, sorted(instance_ids))
        return health

    def register(self, target_group: str, instance_ids: Collection[str]) -> dict[str, str]:
        """Make instances targets; one that is a target stays one. By instance id, why AWS does not take one of them."""
        with _errors("RegisterTargets", [target_group]):
            return _each_valid(
                lambda targets: self._client.register_targets(TargetGroupArn=target_group, Targets=targets),
                sorted(instance_ids),
            )

    def deregister(self, target_group: str, instance_ids: Collection[str]) -> None:
        """Send instances no new requests; what they have in hand may take longer. One that is no target is left so."""
        # A target group that does not exist has no targets.
        with suppress(BadSettings), _errors("DeregisterTargets", [target_group]):
            _each_valid(
                lambda targets: self._client.deregister_targets(TargetGroupArn=target_group, Targets=targets),
                sorted(instance_ids),
            )


def name_of(target_group: str) -> str:
    """A target group's name: the part of its ARN after targetgroup/."""
    return target_group.split("/")[1] if target_group.count("/") == 2 else target_group


def _health(raw: TargetHealthTypeDef) -> TargetHealth:
    return TargetHealth(raw.get("State", ""), raw.get("Reason", ""), raw.get("Description", ""))


def _each_valid(
    call: Callable[[list[TargetDescriptionTypeDef]], object], instance_ids: Sequence[str]
) -> dict[str, str]:
    """Call for all of them; by instance id, why AWS does not take one.

    One that does not run any more, or is in another VPC, makes AWS refuse the whole call; then each half is tried.
    """
    try:
        call([{"Id": each} for each in instance_ids])
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidTarget":
            raise
        if len(instance_ids) == 1:
            return {instance_ids[0]: error.response["Error"]["Message"]}
        half = len(instance_ids) // 2
        return _each_valid(call, instance_ids[:half]) | _each_valid(call, instance_ids[half:])
    return {}


@contextmanager
def _errors(call: str, target_groups: Sequence[str]) -> Iterator[None]:
    where = f"target group {', '.join(map(name_of, target_groups))}"
    with aws_errors(f"{call} of {where}"):
        try:
            yield
        except ClientError as error:
            if error.response["Error"]["Code"] != "TargetGroupNotFound":
                raise
            raise BadSettings(f"{where} does not exist: detach it from its Auto Scaling group") from error
