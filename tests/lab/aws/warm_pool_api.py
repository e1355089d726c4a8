"""The actions of the Auto Scaling API that are about warm pools.

Source: Amazon EC2 Auto Scaling API reference (PutWarmPool, DeleteWarmPool, DescribeWarmPool) and published recordings
of its answers (2026).
"""

from collections.abc import Callable

from lab.aws import warm_pools
from lab.aws.autoscaling import Engine
from lab.aws.autoscaling_answers import (
    RequestRefusedError,
    answering,
    named_group,
    page,
    pool_member_description,
    refusing,
)
from lab.aws.lifecycle import Instance, in_pool
from lab.aws.ministack import Record, Response

MAX_MEMBERS = 50
"""Instances in a page of DescribeWarmPool."""


class WarmPoolApi:
    """Answers them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def actions(self) -> dict[str, Callable[[Record], Response]]:
        """Return the actions by name."""
        handlers: dict[str, Callable[[Record], Record]] = {
            "PutWarmPool": self._put,
            "DeleteWarmPool": self._delete,
            "DescribeWarmPool": self._describe,
        }
        return {name: refusing(name, answering(name, handler)) for name, handler in handlers.items()}

    def _put(self, params: Record) -> Record:
        given: Record = {"PoolState": params.get("PoolState")}
        for key in ("MinSize", "MaxGroupPreparedCapacity"):
            given[key] = int(params[key]) if params.get(key) else None
        reuse = params.get("InstanceReusePolicy.ReuseOnScaleIn")
        given["ReuseOnScaleIn"] = None if reuse is None else reuse == "true"
        warm_pools.configure(named_group(params), given)
        return {}

    def _delete(self, params: Record) -> Record:
        group = named_group(params)
        pool = warm_pools.of(group)
        if pool is None:
            raise RequestRefusedError(f"No warm pool found for AutoScalingGroup {group['AutoScalingGroupName']}")
        if params.get("ForceDelete") != "true" and pool_members(self._engine, group):
            message = "You cannot delete a warm pool while there are instances still in the warm pool."
            raise RequestRefusedError(message, "ResourceInUse")
        warm_pools.mark_for_deletion(pool)
        return {}

    def _describe(self, params: Record) -> Record:
        group = named_group(params)
        members = [pool_member_description(each) for each in pool_members(self._engine, group)]
        pool = warm_pools.of(group)
        return {
            **({"WarmPoolConfiguration": pool} if pool else {}),
            **page(members, params, "Instances", most=MAX_MEMBERS),
        }


def pool_members(engine: Engine, group: Record) -> list[Instance]:
    """Return the members of a group's warm pool, the oldest first."""
    return [instance for instance in engine.members(group) if in_pool(instance.shown)]
