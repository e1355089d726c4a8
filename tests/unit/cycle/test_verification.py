"""What of a refresh that AWS calls successful is not as it should be."""

from __future__ import annotations

from copy import replace

import pytest

from rollcall.cycle.observed import GroupNow, Member
from rollcall.cycle.state import CycleState, TargetDip
from rollcall.cycle.verification import Remains, verify

TEMPLATE, NOW = "lt-1", 1000.0
STATE = CycleState(
    group="web",
    request={"protected": "ignore", "standby": "ignore"},
    template_id=TEMPLATE,
    target_version="2",
    began=100.0,
    verify_since=NOW,
)
NEW = Member("i-new", "InService", "2", TEMPLATE, launched=200.0)
TG = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef"


def missing(*members: Member, state: CycleState = STATE, health: str = "healthy", **unproven: str) -> tuple[str, ...]:
    targets = {TG: {each.instance_id: health for each in members}}
    reasons = {name.replace("_", "-"): why for name, why in unproven.items()}
    return verify(state, GroupNow(len(members), members, targets, {}, {}), reasons, ()).missing


def remaining(*remains: Remains) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found = verify(STATE, GroupNow(1, (NEW,), {}, {}, {}), {}, remains)
    return found.missing, found.named


def test_new_instances_that_are_proven_and_healthy_are_verified() -> None:
    assert missing(NEW) == ()


def test_an_old_instance_that_is_left_is_named_with_its_version() -> None:
    assert missing(NEW, Member("i-old", "InService", "1", TEMPLATE)) == ("i-old is an old instance (version 1)",)


@pytest.mark.parametrize("state", ["Pending:Wait", "Standby"])
def test_an_instance_that_is_not_in_service_is_named(state: str) -> None:
    request = replace(STATE, request={})
    assert missing(NEW._replace(state=state), state=request) == (f"i-new is not in service: {state}",)


def test_an_instance_that_no_job_proves_is_named_with_the_reason() -> None:
    assert missing(NEW, i_new="it has no job yet") == ("i-new is not provisioned: it has no job yet",)


def test_an_instance_that_is_not_healthy_in_a_target_group_is_named() -> None:
    assert missing(NEW, health="unhealthy") == ("i-new is unhealthy in target group web",)


def test_what_was_launched_after_the_refresh_ended_is_not_the_cycles() -> None:
    assert missing(NEW, Member("i-later", "Pending:Wait", "2", TEMPLATE, launched=NOW + 1)) == ()


@pytest.mark.parametrize("state", ["Detaching", "Terminating", "Terminating:Retained", "Terminating:Wait"])
def test_what_leaves_need_not_be_verified(state: str) -> None:
    assert missing(NEW, Member("i-old", state, "1", TEMPLATE)) == ()


def test_the_warm_pool_has_to_have_the_version_and_no_more() -> None:
    pooled = Member("i-pooled", "Warmed:Stopped", "2", TEMPLATE, launched=300.0)
    assert missing(NEW, pooled) == ()
    assert missing(NEW, pooled._replace(version="1")) == ("i-pooled is an old instance (version 1)",)


def test_ignored_instances_are_named_and_count_against_nothing() -> None:
    members = (
        NEW,
        Member("i-safe", "InService", "1", TEMPLATE, protected=True),
        Member("i-by", "Standby", "1", TEMPLATE),
    )
    found = verify(STATE, GroupNow(3, members, {}, {}, {}), {}, ())
    assert found.missing == ()
    assert found.named == ("i-safe was left as it is", "i-by was left as it is")


def test_hosts_and_nodes_of_old_instances_are_named() -> None:
    found, _ = remaining(Remains("i-old", ("fleet", "other"), node="i-old"))
    assert found == (
        "the host of the old instance i-old is still in inventory 'fleet'",
        "the host of the old instance i-old is still in inventory 'other'",
        "the node i-old of the old instance i-old is still in Chef",
    )


def test_an_old_instance_in_its_retire_job_is_named_and_not_missing() -> None:
    found, named = remaining(Remains("i-old", ("fleet",), retiring=True))
    assert found == ()
    assert named == ("i-old is in its retire job, and its host goes after it",)


def test_a_dip_of_a_target_group_is_no_success() -> None:
    state = replace(STATE, dips=(TargetDip(500.0, TG, 1, 2),))
    assert missing(NEW, state=state) == ("target group web had 1 healthy targets at one moment, and should have had 2",)
