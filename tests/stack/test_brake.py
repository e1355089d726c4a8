"""A broken playbook must not churn a group."""

from __future__ import annotations

from collections.abc import Callable

from lab.cloud import Cloud, Group, eventually
from lab.tower import Tower

type MakeGroup = Callable[..., Group]


def test_the_brake_holds_a_group_whose_playbook_is_broken_until_it_is_mended(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.break_template(name)
    group = make_group(size=2)
    eventually(lambda: len([job for job in tower.jobs(name) if job.final]) >= 3, "three jobs failed")
    held = eventually(lambda: cloud.alerts(group, "mend the playbook"), "somebody is told")
    instances = {each.instance_id for each in group.transitions()}
    tower.break_template(name, broken=False)
    eventually(lambda: len(group.in_service()) == 2, "in service once the playbook is mended", timeout=120)
    assert {each.instance_id for each in group.transitions()} == instances, "the brake did not hold: the group churned"
    assert len(held) == len({line["instance_id"] for line in held}), "somebody was told twice of one instance"
