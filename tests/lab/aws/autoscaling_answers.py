"""What the actions of the Auto Scaling API share: refusals, pages, and how an instance and an activity are described.

Parameters and answers are those of the query protocol. Limits and messages: Amazon EC2 Auto Scaling API reference.
"""

from collections.abc import Callable

from lab.aws import ministack as cloud
from lab.aws.lifecycle import Instance
from lab.aws.limits import violation
from lab.aws.ministack import Record, Response

DEFAULT_RECORDS = 50
"""Results a page unless asked otherwise."""


class RequestRefusedError(Exception):
    """The request is one that Auto Scaling refuses; the message is its answer."""

    def __init__(self, message: str, code: str = "ValidationError") -> None:
        super().__init__(message)
        self.code = code


def answering(name: str, handler: Callable[[Record], Record]) -> Callable[[Record], Response]:
    """Return a handler that answers an action with what another returns."""
    return lambda params: cloud.answer(name, handler(params))


def refusing(name: str, handler: Callable[[Record], Response]) -> Callable[[Record], Response]:
    """Return a handler that refuses what the model of an action does not allow, and what another one raises for."""

    def handle(params: Record) -> Response:
        broken = violation("autoscaling", name, params)
        if broken:
            return cloud.refusal("ValidationError", broken)
        try:
            return handler(params)
        except RequestRefusedError as refused:
            return cloud.refusal(refused.code, str(refused))

    return handle


def named_group(params: Record) -> Record:
    """Return the group that a request names."""
    group = cloud.group_named(params["AutoScalingGroupName"])
    if group is None:
        raise RequestRefusedError(
            f"AutoScalingGroup name not found - AutoScalingGroup: {params['AutoScalingGroupName']}"
        )
    return group


def page(items: list[Record], params: Record, name: str, most: int) -> Record:
    """Return the page of a list that a request asks for, of so many results at most."""
    start = int(params.get("NextToken") or 0)
    end = start + min(int(params.get("MaxRecords") or DEFAULT_RECORDS), most)
    return {name: items[start:end], **({"NextToken": str(end)} if end < len(items) else {})}


def pool_member_description(instance: Instance) -> Record:
    """Return what DescribeWarmPool says about an instance: nothing about its protection."""
    template = {key: value for key, value in instance.launch_template.items() if value}
    return {
        "InstanceId": instance.instance_id,
        "InstanceType": cloud.instance_type(instance.instance_id),
        "AvailabilityZone": instance.zone,
        "LifecycleState": instance.shown,
        "HealthStatus": instance.health,
        **({"LaunchTemplate": template} if template else {}),
        **({"ImageId": instance.image} if instance.image else {}),
        **({} if instance.weight is None else {"WeightedCapacity": str(instance.weight)}),
    }


def instance_description(instance: Instance) -> Record:
    """Return what the other actions say about an instance."""
    return {**pool_member_description(instance), "ProtectedFromScaleIn": instance.protected}
