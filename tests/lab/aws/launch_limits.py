"""What keeps groups from launching: subnets without addresses, and what a test says.

A launch that fails is an activity of its group, and the next one is tried a while later.

Source: Amazon EC2 Auto Scaling user guide ("Troubleshoot Amazon EC2 Auto Scaling": status messages end so) and Amazon
EC2 API reference ("Error codes": InsufficientFreeAddressesInSubnet). How long AWS waits between two tries is not said.
"""

from collections.abc import Callable

from lab.aws.ministack import Record

NO_ADDRESS = "The specified subnet does not contain enough free private IP addresses to fulfill your request."
FAILED = "{words} Launching EC2 instance failed."
AGAIN = 1
"""Seconds from a launch that failed to the next try."""


class LaunchLimits:
    """What keeps which groups from launching, and since when."""

    def __init__(self) -> None:
        self._most: dict[str, int] = {}  # instances in a subnet, by its id
        self._words: dict[str, str] = {}  # by group
        self._failed: dict[str, float] = {}  # by the group's ARN, when its last launch failed

    def refuse(self, group: str, words: str | None) -> None:
        """Let every launch of a group fail with these words; None ends it."""
        if words is None:
            self._words.pop(group, None)
        else:
            self._words[group] = words

    def leave_free(self, subnet: str, free: int, used: int) -> None:
        """Let a subnet have so many free addresses now, of which so many are used by instances."""
        self._most[subnet] = used + free

    def clear(self) -> None:
        """Nothing keeps a group from launching any more."""
        self._most.clear()
        self._words.clear()

    def any(self) -> bool:
        """Whether a test keeps any group from launching."""
        return bool(self._most or self._words)

    def free(self, subnet: str, pool: int, used: Callable[[str], int]) -> int:
        """Return the free addresses of a subnet. pool: those of all subnets together. used: those of one."""
        most = self._most.get(subnet)
        return pool if most is None else min(pool, max(most - used(subnet), 0))

    def is_put_off(self, group: Record, now: float) -> bool:
        """Whether a launch failed a moment ago, so that the next try is still to come."""
        return now < self._failed.get(group["AutoScalingGroupARN"], -AGAIN) + AGAIN

    def refusal(self, group: Record, subnet: str, pool: int, used: Callable[[str], int], now: float) -> str | None:
        """Return, and remember, why an instance cannot be launched now; None if it can. See `free`."""
        words = self._words.get(group["AutoScalingGroupName"])
        if words is None and self.free(subnet, pool, used) > 0:
            return None
        self._failed[group["AutoScalingGroupARN"]] = now
        return FAILED.format(words=words or NO_ADDRESS)
