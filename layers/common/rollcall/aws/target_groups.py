"""The target groups of load balancers (Application, Network, Gateway), as much of them as we use.

Each call is for one target group and all instances that it concerns: at most the hundred of a message. An instance that
does not run any more, or is in another VPC, is refused alone. States, reasons and errors are those of the Elastic Load
Balancing API reference. Methods raise AwsUnavailable for what passes by itself, BadSettings for a target group that
does not exist, and AwsDenied or AwsRejected for the rest.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from itertools import batched
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

from rollcall.domain.errors import BadSettings

from .client import aws_errors, by_halves, refusal_words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_elbv2.type_defs import TargetDescriptionTypeDef, TargetHealthTypeDef

GROUPS_PER_CALL = 20  # by ARN
NOT_REGISTERED = "Target.NotRegistered"


class TargetHealth(NamedTuple):
    """An instance's health in a target group; reason and description are empty for a healthy one."""

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
        """The health of each of these instances there; one that it does not know is not registered."""
        health = dict.fromkeys(instance_ids, TargetHealth("unused", NOT_REGISTERED))

        def describe(chunk: Sequence[str]) -> None:
            answer = self._client.describe_target_health(TargetGroupArn=target_group, Targets=_targets(chunk))
            for raw in answer["TargetHealthDescriptions"]:
                health[raw["Target"]["Id"]] = _health(raw["TargetHealth"])

        with _errors("DescribeTargetHealth", [target_group]):
            by_halves(describe, sorted(instance_ids))
        return health

    def register(self, target_group: str, instance_ids: Collection[str]) -> dict[str, str]:
        """Make instances targets; one that is a target stays one. By instance id, why AWS does not take one of them."""
        with _errors("RegisterTargets", [target_group]):
            refused = by_halves(
                lambda chunk: self._client.register_targets(TargetGroupArn=target_group, Targets=_targets(chunk)),
                sorted(instance_ids),
            )
        return {each: refusal_words(why) for each, why in refused.items()}

    def deregister(self, target_group: str, instance_ids: Collection[str]) -> None:
        """Send instances no new requests; what they have in hand may take longer. One that is no target is left so."""
        # A target group that does not exist has no targets.
        with suppress(BadSettings), _errors("DeregisterTargets", [target_group]):
            by_halves(
                lambda chunk: self._client.deregister_targets(TargetGroupArn=target_group, Targets=_targets(chunk)),
                sorted(instance_ids),
            )


def name_of(target_group: str) -> str:
    """A target group's name: the part of its ARN after targetgroup/."""
    return target_group.split("/")[1] if target_group.count("/") == 2 else target_group


def _targets(instance_ids: Sequence[str]) -> list[TargetDescriptionTypeDef]:
    return [{"Id": each} for each in instance_ids]


def _health(raw: TargetHealthTypeDef) -> TargetHealth:
    return TargetHealth(raw.get("State", ""), raw.get("Reason", ""), raw.get("Description", ""))


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
