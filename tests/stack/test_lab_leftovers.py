"""What a stack test leaves behind is found before the next one meets it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.cloud import ACCOUNT, REGION, Cloud
from lab.leftovers import left_behind, remove_hosts
from lab.tower.embedded import Tower

BENDS: dict[str, Callable[[Tower], None]] = {
    "away": lambda tower: tower.refuse(),
    "requests are refused": lambda tower: tower.refuse_some(2),
    "date": lambda tower: setattr(tower, "date", ""),
    "clock": lambda tower: setattr(tower, "clock_skew", 60.0),
    "capacity": lambda tower: setattr(tower, "capacity", 0),
    "bulk calls": lambda tower: setattr(tower, "no_bulk", True),
    "bodies": lambda tower: setattr(tower, "longest_body", 2000),
    "licence": lambda tower: setattr(tower, "license_hosts", 5),
    "races": lambda tower: setattr(tower, "race", True),
    "ends of the next jobs": lambda tower: tower.end_next_jobs("error"),
}


@pytest.mark.parametrize("what", BENDS)
def test_what_is_bent_in_tower_is_named(what: str) -> None:
    tower = Tower(capacity=3)
    assert tower.bent() == []
    BENDS[what](tower)
    assert tower.bent() == [what]


def test_what_would_change_what_the_next_test_sees_is_named(tmp_path: Path) -> None:
    with Cloud(tmp_path) as cloud:
        ec2, tower = cloud.aws.client("ec2"), cloud.tower
        tower.add_inventory("fleet")
        marker = {"group": "web", "instance_id": "i-0a", "account": ACCOUNT, "region": REGION}
        tower.add_host("fleet", "db", {"rollcall": marker | {"account": "210987654321"}})
        tower.add_host("fleet", "i-0b", {"rollcall": marker | {"group": "of another test"}})
        assert left_behind(cloud, ["web"]) == []
        ec2.enable_ebs_encryption_by_default()
        cloud.aws.drop_events("any")
        tower.refuse()
        tower.add_host("fleet", "i-0a", {"rollcall": marker})
        assert left_behind(cloud, ["web"]) == [
            "left bent in AWS: events (['any'])",
            "left bent in AWS: encryption by default ([True, ''])",
            "left bent in Tower: away",
            "left in Tower: host i-0a of fleet, whose group is gone",
        ]
        ec2.disable_ebs_encryption_by_default()
        cloud.aws.end_faults()
        tower.come_back()
        remove_hosts(cloud, ["web"])
        assert [host.name for host in tower.hosts()] == ["db", "i-0b"]
        assert left_behind(cloud, ["web"]) == []
