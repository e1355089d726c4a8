"""What a test leaves behind that could change what the next one on the same deployment sees. Used by the stack tests.

The next one is another in each run: each test goes to the next worker that is free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.invariants import is_ours

if TYPE_CHECKING:
    from collections.abc import Collection

    from lab.cloud import Cloud
    from lab.tower.embedded import HostRecord


def left_behind(cloud: Cloud, groups: Collection[str] = ()) -> list[str]:
    """What was not put right, or is left of these groups, which are gone, as sentences; none where all is well.

    It takes one request to the embedded AWS.
    """
    return [
        *(f"left bent in AWS: {what} ({how})" for what, how in cloud.aws.bent().items()),
        *(f"left bent in Tower: {what}" for what in cloud.tower.bent()),
        *(f"left in Tower: host {host.name} of {host.inventory}, whose group is gone" for host in _of(cloud, groups)),
    ]


def remove_hosts(cloud: Cloud, groups: Collection[str]) -> None:
    """Remove the hosts that are left of these groups, which are gone: the next test's reconcile would meet them."""
    for host in _of(cloud, groups):
        cloud.tower.remove_host(host.name, host.inventory_id)


def _of(cloud: Cloud, groups: Collection[str]) -> list[HostRecord]:
    """The hosts of ours of these groups."""
    return [host for host in cloud.tower.hosts() if is_ours(host) and host.variables["rollcall"]["group"] in groups]
