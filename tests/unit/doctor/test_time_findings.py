"""What doctor finds of timeouts and forks that do not go together with the time that groups give."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.doctor.observations import ObservedTemplate
from rollcall.doctor.time_findings import full_job, time_findings, usual_seconds
from rollcall.domain.errors import TowerUnavailable
from rollcall.domain.findings import Finding, Severity
from rollcall.domain.jobs import PastJob
from unit import observed
from unit.observed import HERE, group

if TYPE_CHECKING:
    from rollcall.doctor.observations import ObservedGroup

WARNS = Severity.WARNING
AWAY = TowerUnavailable("away")


def found(
    *groups: ObservedGroup, past: Any = (), default: Any = None, hosts_per_job: int = 100, **terms: Any
) -> dict[str, Finding]:
    """The findings about the template that these groups name, by key."""
    template = ObservedTemplate(observed.TEMPLATE, replace(observed.TERMS, **terms), past)
    tower = observed.tower(job_timeout=default, templates={"provision": template})
    here = replace(HERE, max_hosts_per_job=hosts_per_job)
    return observed.findings(observed.everything(*(groups or (group(),)), tower=tower), here, time_findings)


# Without an end


@pytest.mark.parametrize(
    ("timeout", "default", "wrong"),
    [
        (0, None, True),
        (0, 0, True),
        (0, AWAY, True),
        (0, 3600, False),
        (-1, 3600, True),
        (1, None, False),
        (900, 0, False),
    ],
)
def test_a_template_without_a_timeout_is_reported(timeout: int, default: Any, wrong: bool) -> None:
    findings = found(timeout=timeout, default=default)
    assert findings.keys() == ({"job template 'provision': no timeout"} if wrong else set())
    for each in findings.values():
        assert each.severity == WARNS
        assert "named by tags of web" in each.reason
        assert ("may not read whether the server has a default" in each.reason) == (
            timeout == 0 and not isinstance(default, int)
        )


def test_the_longest_good_job_helps_to_choose_a_timeout() -> None:
    past = (PastJob(1, 0, 80.0), PastJob(2, 0, 1234.5), PastJob(3, 0, 90.0))
    (finding,) = found(timeout=0, past=past).values()
    assert (
        finding.remedy == "set the template's Timeout, in seconds, well above its longest good job, which took 1,234 s"
    )
    assert found(timeout=0, past=AWAY).keys() == {"job template 'provision': no timeout"}


def test_a_template_that_only_retires_is_bounded_by_the_tag() -> None:
    assert found(group(job_template=None, retire_job_template="provision"), timeout=0) == {}


def test_what_could_not_be_looked_at_is_not_judged() -> None:
    tower = observed.tower(templates={"provision": ObservedTemplate(observed.TEMPLATE, AWAY)})
    assert list(time_findings(observed.everything(group(), tower=tower), HERE)) == []
    away = replace(tower, templates={"provision": AWAY})
    assert list(time_findings(observed.everything(group(), tower=away), HERE)) == []
    assert found(past=AWAY) == {}


# Forks


@pytest.mark.parametrize(
    ("past", "forks", "hosts", "seconds"),
    [
        ([PastJob(1, 0, 60.0)], 0, 100, 20 * 60.0),
        ([PastJob(5, 0, 60.0)], 0, 100, 20 * 60.0),
        ([PastJob(6, 0, 60.0)], 0, 100, 10 * 60.0),
        ([PastJob(100, 0, 700.0)], 0, 100, 700.0),
        ([PastJob(100, 5, 700.0)], 50, 100, 2 * 35.0),
        ([PastJob(40, 20, 100.0)], 20, 41, 150.0),
        ([PastJob(1, 0, 90.0), PastJob(50, 0, 400.0), PastJob(2, 0, 30.0)], 0, 100, 800.0),
        ([PastJob(10, 0, 100.0), PastJob(10, 0, 130.0)], 0, 10, 130.0),
    ],
)
def test_a_full_job_is_estimated_by_the_one_over_most_hosts(
    past: list[PastJob], forks: int, hosts: int, seconds: float
) -> None:
    full = full_job(past, forks, hosts)
    assert full
    assert full.seconds == pytest.approx(seconds)


def test_nothing_is_estimated_by_nothing() -> None:
    assert full_job([], 0, 100) is None
    assert full_job([PastJob(1, 0, 60.0)], 0, 0) is None


def test_forks_that_make_a_full_job_longer_than_the_groups_time_are_reported_with_the_estimate() -> None:
    (finding,) = found(past=(PastJob(10, 0, 300.0),), timeout=7200).values()
    assert (finding.key, finding.severity) == ("job template 'provision': full job too long", WARNS)
    assert finding.reason == (
        "a job of 'provision' over 100 hosts would take about 3,000 s, and tag rollcall:timeout of web gives an "
        "instance 1,800 s. Estimated by one over 10 that took 300 s, in 2 batches of 5 forks: 100 hosts are 20 batches "
        "of 5, Ansible's default unless the project's ansible.cfg has another"
    )
    assert finding.remedy == (
        "set the template's Forks to 9 or more, deploy with a smaller MaxHostsPerJob, or lengthen what is too short"
    )
    assert found(past=(PastJob(10, 0, 300.0),), timeout=7200, forks=9) == {}
    assert found(past=(PastJob(10, 0, 300.0),), timeout=7200, forks=8)


@pytest.mark.parametrize(("timeout", "wrong"), [("2999", True), ("3000", False)])
def test_the_time_that_the_group_gives_decides(timeout: str, wrong: bool) -> None:
    assert bool(found(group(timeout=timeout), past=(PastJob(10, 0, 300.0),), timeout=7200)) == wrong


@pytest.mark.parametrize(("timeout", "wrong"), [(2999, True), (3000, False)])
def test_so_does_the_time_that_the_template_gives(timeout: int, wrong: bool) -> None:
    findings = found(group(timeout="9000"), past=(PastJob(10, 0, 300.0),), timeout=timeout)
    assert bool(findings) == wrong
    for each in findings.values():
        assert "Tower ends a job of it after 2,999 s" in each.reason


@pytest.mark.parametrize(
    ("most", "hosts_per_job", "wrong"),
    [((200,), 100, True), ((200,), 60, False), ((60,), 100, False), ((40, 40), 100, True)],
)
def test_a_job_has_no_more_hosts_than_its_groups_may_have(
    most: tuple[int, ...], hosts_per_job: int, wrong: bool
) -> None:
    groups = [group(name=f"web{number}", most=each) for number, each in enumerate(most)]
    findings = found(*groups, past=(PastJob(5, 0, 150.0),), timeout=7200, hosts_per_job=hosts_per_job)
    assert bool(findings) == wrong


def test_only_groups_that_give_too_little_time_are_named() -> None:
    groups = [group(name="hasty", timeout="60"), group(name="patient", timeout="86400")]
    (finding,) = found(*groups, past=(PastJob(5, 0, 100.0),), timeout=7200).values()
    assert "rollcall:timeout of hasty gives an instance 60 s" in finding.reason
    assert finding.remedy.startswith("deploy with a smaller MaxHostsPerJob")  # no forks make a batch of 100 s shorter


@pytest.mark.parametrize(
    ("past", "usual"),
    [
        ((), 0.0),
        (AWAY, 0.0),
        ((PastJob(1, 0, 9.0),), 9.0),
        (tuple(PastJob(1, 0, each) for each in (9.0, 1.0, 4.0)), 4.0),
    ],
)
def test_a_usual_job_is_the_one_in_the_middle(past: Any, usual: float) -> None:
    assert usual_seconds(ObservedTemplate(observed.TEMPLATE, observed.TERMS, past)) == usual
    assert usual_seconds(None) == 0.0
