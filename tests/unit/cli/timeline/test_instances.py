"""An instance's moments and stages, out of what was recorded of it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from rollcall_cli.timeline.instances import LAUNCH_MISSED, TERMINATION_MISSED, Outcome, Run, Stage
from rollcall_cli.timeline.timeline import waits
from unit.cli.timeline.recorded import ABANDONED, CHECKED, ENDED, JOB, NOW, SERVED, TAGS, job, many, one

if TYPE_CHECKING:
    from rollcall_cli.timeline.instances import InstanceTimeline

LEFT = (*SERVED, ("Terminating", 150), ("Terminating:Wait", 150.1))
ENDED_LATER = (("Terminating:Proceed", 152), ("Terminated", 153))


def stages(found: InstanceTimeline) -> list[tuple[Stage, float, float]]:
    return [(each.stage, each.began, each.ended) for each in found.stretches]


def test_an_instance_is_registered_provisioned_checked_and_put_into_service() -> None:
    found = one(SERVED, JOB, tags=CHECKED)
    assert stages(found) == [
        (Stage.REGISTERING, 100, 102),
        (Stage.WAITING, 102, 104),
        (Stage.JOB, 104, 110),
        (Stage.CHECKS, 110, 112),
        (Stage.SERVICE, 112, NOW),
    ]
    assert (found.launched, found.registered, found.released, found.served) == (100, 102, 112, 112.5)
    assert (found.leaving, found.removed_at, found.terminated) == (None, None, None)
    assert found.outcome == Outcome.SERVES
    assert str(found) == "registered after 2.0 s · job 1 ok, 6.0 s · checks 2.0 s · in service after 12 s"


def test_where_a_group_asks_for_no_checks_the_gate_has_a_stage_of_its_own() -> None:
    found = one(SERVED, JOB)
    assert stages(found)[3] == (Stage.GATE, 110, 112)
    assert str(found) == "registered after 2.0 s · job 1 ok, 6.0 s · gate 2.0 s · in service after 12 s"
    assert found.seconds(Stage.CHECKS) is None


@pytest.mark.parametrize(
    ("tags", "stage"),
    [
        ({}, Stage.GATE),
        ({"rollcall:gate": ""}, Stage.GATE),
        ({"rollcall:gate": "tcp:22"}, Stage.CHECKS),
    ],
)
def test_an_instance_without_a_job_goes_from_registration_to_the_gate(tags: dict[str, str], stage: Stage) -> None:
    found = one(SERVED, tags={"rollcall:inventory": "production"} | tags)
    assert stages(found) == [(Stage.REGISTERING, 100, 102), (stage, 102, 112), (Stage.SERVICE, 112, NOW)]
    assert found.seconds(Stage.WAITING) is None


def test_an_instance_whose_group_asks_for_a_job_waits_for_it_until_there_is_one() -> None:
    found = one(SERVED[:2])
    assert stages(found) == [(Stage.REGISTERING, 100, 102), (Stage.WAITING, 102, NOW)]
    assert found.stretches[-1].open
    assert found.outcome == Outcome.WAITS
    queued = one(SERVED[:2], job("pending", started=None, ended=None), tags={})
    assert stages(queued)[-1] == (Stage.WAITING, 102, NOW)
    assert "job 1 pending" in str(queued)


def test_a_job_that_runs_still_has_no_result_yet() -> None:
    found = one(SERVED[:2], job("running", ended=None))
    assert stages(found)[-1] == (Stage.JOB, 104, NOW)
    assert found.runs == (Run(1, 104, None, "running"),)
    assert found.seconds(Stage.JOB) is None


def test_between_two_jobs_an_instance_waits_and_both_results_are_its_own() -> None:
    later = (*SERVED[:2], ("Pending:Proceed", 135), ("InService", 135))
    found = one(later, job("unreachable"), job(number=2, started=125, ended=131))
    assert stages(found)[2:6] == [
        (Stage.BAD_JOB, 104, 110),
        (Stage.WAITING, 110, 125),
        (Stage.JOB, 125, 131),
        (Stage.GATE, 131, 135),
    ]
    assert found.tried_again
    assert found.seconds(Stage.JOB, Stage.BAD_JOB) == 12
    assert found.seconds(Stage.WAITING) == 17


def test_a_job_that_did_not_run_to_its_end_is_bad() -> None:
    assert (Stage.BAD_JOB, 104, 110) in stages(one(SERVED, job("error")))


def test_an_abandoned_instance_never_served() -> None:
    found = one((*ABANDONED, *ENDED), job("failed"), removed=115)
    assert found.outcome == Outcome.ABANDONED
    assert found.failed
    assert not found.tried_again
    assert (found.released, found.served, found.to_service) == (None, None, None)
    assert (found.leaving, found.removed_at, found.terminated) == (112, 115, 117)
    assert stages(found)[-2:] == [(Stage.GATE, 110, 112), (Stage.LEAVING, 112, 117)]
    assert str(found).endswith("job 1 failed, 6.0 s · gate 2.0 s · removed 3.0 s after it began to leave · abandoned")


def test_hosts_that_are_gone_before_the_instance_leaves_are_said_to_be() -> None:
    found = one((*ABANDONED, *ENDED), job("failed"), removed=111.9)
    assert "removed before it began to leave" in str(found)
    assert next(each for each in waits([found]) if each.name == "leaving to removed").longest == 0


def test_an_instance_whose_hook_got_no_answer_has_timed_out() -> None:
    assert one(ABANDONED, timed_out=True).outcome == Outcome.TIMED_OUT
    assert one(SERVED, timed_out=True).failed


def test_an_instance_that_terminated_after_service_left_and_its_timeline_ends() -> None:
    found = one((*LEFT, *ENDED_LATER), removed=151)
    assert found.outcome == Outcome.LEFT
    assert stages(found)[-2:] == [(Stage.SERVICE, 112, 150), (Stage.LEAVING, 150, 153)]
    assert not any(each.open for each in found.stretches)


def test_an_instance_that_reconcile_found_says_why_it_took_so_long() -> None:
    found = one((*LEFT, *ENDED_LATER), removed=151, reconciled=(150.5,))
    assert (found.launch_missed, found.termination_missed) == (False, True)
    assert str(found).endswith(f"removed 1.0 s after it began to leave · {TERMINATION_MISSED}")
    launched = one(SERVED, JOB, reconciled=(101,))
    assert (launched.launch_missed, launched.termination_missed) == (True, False)
    assert str(launched).startswith(f"registered after 2.0 s · {LAUNCH_MISSED} · job 1 ok")
    assert not one(LEFT, reconciled=(130,)).missed  # in service something else was out of order


def test_an_instance_on_its_way_out_is_leaving() -> None:
    found = one(LEFT)
    assert found.outcome == Outcome.LEAVES
    assert stages(found)[-1] == (Stage.LEAVING, 150, NOW)


def test_a_retire_job_is_drawn_while_the_instance_leaves_and_is_not_of_its_launch() -> None:
    retire = job(number=9, started=151, ended=152)
    found = one((*SERVED, ("Terminating", 150), *ENDED_LATER), JOB, retire)
    assert stages(found)[-3:] == [(Stage.LEAVING, 150, 151), (Stage.JOB, 151, 152), (Stage.LEAVING, 152, 153)]
    assert found.seconds(Stage.JOB) == 6
    assert found.seconds(Stage.GATE) == 2


def test_an_instance_without_hooks_serves_at_once_and_is_registered_meanwhile() -> None:
    found = one((("Pending", 100), ("InService", 100.1)), JOB)
    assert stages(found)[0] == (Stage.REGISTERING, 100, 100.1)
    assert (Stage.JOB, 104, 110) in stages(found)
    assert found.to_service == pytest.approx(0.1)
    assert found.registered == 102


def test_in_standby_and_in_a_warm_pool_an_instance_rests() -> None:
    standby = one((*SERVED, ("EnteringStandby", 120), ("Standby", 120.1), ("Pending", 130), ("InService", 130.1)), JOB)
    assert stages(standby)[-3:] == [(Stage.SERVICE, 112, 120), (Stage.RESTING, 120, 130), (Stage.SERVICE, 130, NOW)]
    warm = (
        *(("Warmed:Pending", 100), ("Warmed:Pending:Wait", 100), ("Warmed:Stopped", 112)),
        *(("Pending", 150), ("InService", 151)),
    )
    found = one(warm, JOB)
    assert [stage for stage, _, _ in stages(found)][-3:] == [Stage.RESTING, Stage.GATE, Stage.SERVICE]
    assert one(warm[:3], JOB).outcome == Outcome.RESTS


def test_an_instance_that_was_detached_is_its_groups_no_more() -> None:
    found = one((*SERVED, ("Detached", 130)), JOB)
    assert found.outcome == Outcome.DETACHED
    assert stages(found)[-1] == (Stage.SERVICE, 112, 130)


def test_of_an_instance_launched_before_what_was_read_no_time_since_its_launch_is_said() -> None:
    found = one((("InService", 100), ("Terminating", 150), *ENDED_LATER), launched_before=True, removed=151)
    assert found.to_service is None
    assert str(found) == "launched before · removed 1.0 s after it began to leave"


def test_stretches_leave_no_gap() -> None:
    for each in many(200, 3).instances:
        assert each.stretches[0].began == each.launched
        assert all(one.ended == other.began for one, other in pairwise(each.stretches))
        assert all(stretch.seconds > 0 for stretch in each.stretches)


def test_an_instance_that_never_was_registered_is_none_that_registration_took_so_long() -> None:
    found = one(ABANDONED, registered=None, tags=TAGS)
    assert stages(found)[0] == (Stage.REGISTERING, 100, 112)
    assert [each.name for each in waits([found])] == []
