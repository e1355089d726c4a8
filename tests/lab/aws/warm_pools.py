"""Warm pools: what a group's pool is to be like, and how many instances it is to hold.

Source: Amazon EC2 Auto Scaling API reference (PutWarmPool, WarmPoolConfiguration) and user guide ("Decrease latency
for applications with long boot times using warm pools"). What DeleteWarmPool with force leaves of the configuration
until the last member is gone is from published recordings of the API's answers (2026).
"""

from lab.aws.ministack import Record

STORED = "WarmPool"
"""Where a group's record has its pool, as WarmPoolConfiguration describes it."""
NO_MAXIMUM = -1
"""MaxGroupPreparedCapacity that takes a former one away."""


def of(group: Record) -> Record | None:
    """Return the configuration of a group's warm pool, None if it has none."""
    pool: Record | None = group.get(STORED)
    return pool


def configure(group: Record, given: Record) -> None:
    """Make or change a group's warm pool; what is not given stays as it is, and is the default at first.

    given: MinSize, MaxGroupPreparedCapacity, PoolState, ReuseOnScaleIn.
    """
    pool = group.setdefault(STORED, {"MinSize": 0, "PoolState": "Stopped"})
    maximum = given.get("MaxGroupPreparedCapacity")
    if maximum == NO_MAXIMUM:
        pool.pop("MaxGroupPreparedCapacity", None)
    elif maximum is not None:
        pool["MaxGroupPreparedCapacity"] = maximum
    pool |= {key: given[key] for key in ("MinSize", "PoolState") if given.get(key) is not None}
    if given.get("ReuseOnScaleIn") is not None:
        pool["InstanceReusePolicy"] = {"ReuseOnScaleIn": given["ReuseOnScaleIn"]}


def mark_for_deletion(pool: Record) -> None:
    """Let a pool go as soon as its last member is gone."""
    pool |= {"Status": "PendingDelete", "MinSize": 0, "MaxGroupPreparedCapacity": 0}


def is_going(pool: Record) -> bool:
    """Whether the pool is marked for deletion."""
    return pool.get("Status") == "PendingDelete"


def forget(group: Record) -> None:
    """A group has no warm pool any more."""
    group.pop(STORED, None)


def wanted(group: Record) -> int:
    """Return how many instances the group's pool is to hold, 0 without one.

    The difference between the most that may be prepared, by default the group's maximum, and the desired capacity;
    never less than the pool's minimum.
    """
    pool = of(group)
    if pool is None or is_going(pool):
        return 0
    prepared = pool["MaxGroupPreparedCapacity"] if "MaxGroupPreparedCapacity" in pool else group["MaxSize"]
    return max(int(pool["MinSize"]), int(prepared) - int(group["DesiredCapacity"]), 0)


def takes_back(group: Record) -> bool:
    """Whether an instance that the group scales in may return to its pool."""
    pool = of(group)
    return pool is not None and not is_going(pool) and bool(pool.get("InstanceReusePolicy", {}).get("ReuseOnScaleIn"))
