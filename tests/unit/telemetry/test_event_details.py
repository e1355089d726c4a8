"""What is published: each kind of event with its detail, as events/announced shows them."""

from __future__ import annotations

import json
import math
from copy import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.bake.news import BakeEvent
from rollcall.cycle.news import CycleEvent
from rollcall.cycle.state import Phase
from rollcall.domain.errors import (
    ActionNotVisible,
    AwsDenied,
    AwsRejected,
    AwsUnavailable,
    BadEvent,
    BadSettings,
    ChefDenied,
    ChefRejected,
    ChefUnavailable,
    DeleteRefused,
    HostLimitReached,
    InstanceNotVisible,
    JobStillLanding,
    Throttled,
    TowerDenied,
    TowerRejected,
    TowerUnavailable,
)
from rollcall.domain.findings import warns
from rollcall.domain.inventories import Inventory
from rollcall.domain.message_format import Record
from rollcall.domain.reports import Event, Note, Report
from rollcall.domain.timing import FIRST_RETRY
from rollcall.lifecycle.target_watch import TargetHealthChange
from rollcall.reconcile.result import Fix, RunOutcome, Summary
from rollcall.reconcile.steps import DriftFinding, DriftKind, NodeRemoval, Plan
from rollcall.telemetry.event_details import INSTANCE_IN_TROUBLE, LATENESS, REASON_MAX, error_cause
from rollcall.telemetry.reconcile_details import BY_HAND
from rollcall.tower.connection import job_page
from unit.bake_news import RETIRED, bake_ended
from unit.cycle_news import VERDICT, answer_of, ended
from unit.fakes import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rollcall.bake.news import BakeAnswer
    from rollcall.cycle.news import CycleAnswer
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.findings import Finding as Misconfiguration
    from unit.audience import Audience
    from unit.world import World

SAMPLES = Path(__file__).parents[3] / "events" / "announced"
NOW = 1_795_255_300.0
INSTANCE = "i-1234567890abcdef0"
RECORD = Record("m0", "{}", REGION, 3, NOW - 61.3, "handle")
FLEET = Inventory(5, "fleet")
JOB_URL = "https://tower.example.com/#/jobs/playbook/121/output"


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)


def launch(world: World, instance_id: str = INSTANCE) -> LifecycleAction:
    return replace(world.launching(instance_id), at=NOW - 42.5)


def leave(world: World, instance_id: str = INSTANCE) -> LifecycleAction:
    return replace(world.terminating(instance_id), at=NOW - 3.2)


def run_events(audience: Audience, outcome: RunOutcome, every: float | None = 300.0) -> None:
    audience.announcer.announce_fixes(outcome)
    audience.announcer.announce_run(outcome, every)


# The samples


def say_registered(world: World, audience: Audience) -> None:
    audience.announcer.announce([Report(launch(world), "registered, job 121", event=Event.REGISTERED, job=121)])


def say_ready(world: World, audience: Audience) -> None:
    audience.announcer.announce([Report(launch(world), "ready", event=Event.READY, job=121, alerted_before=False)])


def say_abandoned(world: World, audience: Audience) -> None:
    report = Report(launch(world), "abandoned: its job failed", event=Event.ABANDONED, job=121, alerted_before=True)
    audience.announcer.announce([report])


def say_retired(world: World, audience: Audience) -> None:
    audience.announcer.announce([Report(leave(world), "removed from every inventory", event=Event.RETIRED)])


def say_failed(world: World, audience: Audience) -> None:
    error = TowerUnavailable("Tower answered GET /api/v2/inventories/ with 503: Service Unavailable")
    audience.announcer.message_retried(RECORD, [launch(world)], error, 60)


def say_trouble(world: World, audience: Audience) -> None:
    note = Note("its job failed; held for an operator to look", alert=True)
    audience.announcer.announce([Report(launch(world), "", job=121, notes=(note,))])


def say_fixed(world: World, audience: Audience) -> None:
    fix = Fix("removed", FLEET, INSTANCE, "EC2 says that it is terminated", "web")
    audience.announcer.announce_fixes(RunOutcome(fixes=[fix]))


def say_conflict(world: World, audience: Audience) -> None:
    finding = DriftFinding(
        DriftKind.NOT_OPTED_IN, FLEET, INSTANCE, "its group 'web' has no tag rollcall:inventory any more"
    )
    run_events(audience, RunOutcome(plan=Plan(findings=(finding,))))


def say_serving(world: World, audience: Audience) -> None:
    audience.announcer.announce_target_health(
        [TargetHealthChange(launch(world), True, 65.0, "every target group calls it healthy", first=True)]
    )


def say_not_serving(world: World, audience: Audience) -> None:
    reason = "target group web: unhealthy (Target.Timeout: Request timed out)"
    audience.announcer.announce_target_health([TargetHealthChange(launch(world), False, 360.0, reason, first=True)])


JUST_STARTED: dict[str, Any] = {
    "execution_started": NOW - 31.0,
    "phase": Phase.STARTING,
    "percent": 0,
    "instances": (),
}
LATELY: dict[str, Any] = {"execution_started": NOW - 312.4}
FOUND = warns(
    "group web",
    "two hooks for launches",
    "'rollcall-launching' and 'rollcall-b' are both Rollcall's: every instance waits for each",
    "delete all but one: aws autoscaling delete-lifecycle-hook --auto-scaling-group-name web --lifecycle-hook-name "
    "rollcall-b",
)


def say_misconfigured(found: Sequence[Misconfiguration], mended: Sequence[Misconfiguration]) -> Callable[..., None]:
    def say(world: World, audience: Audience) -> None:
        settings = SimpleNamespace(account=ACCOUNT, region=REGION, stack="rollcall")
        here: Any = SimpleNamespace(settings=settings, tower=world.tower)
        audience.announcer.publish_changes(here.settings, here.tower.root, found, mended, lambda: 60.0)

    return say


def say_cycle(answer: CycleAnswer) -> Callable[..., None]:
    return lambda world, audience: audience.announcer.announce_step(answer)


def long_ago(answer: BakeAnswer) -> BakeAnswer:
    """Of a bake that runs: with how long it had taken."""
    news = tuple(each._replace(state=replace(each.state, ended=1_001_440.0)) for each in answer.news)
    return answer._replace(news=news)


def say_bake(answer: BakeAnswer) -> Callable[..., None]:
    return lambda world, audience: audience.announcer.announce_bake(answer)


SAYING: dict[str, tuple[str, Callable[[World, Audience], None]]] = {
    "instance-registered": ("register", say_registered),
    "instance-ready": ("gate", say_ready),
    "instance-abandoned": ("gate", say_abandoned),
    "instance-retired": ("cleanup", say_retired),
    "work-failed": ("register", say_failed),
    "work-failed-instance": ("gate", say_trouble),
    "drift-fixed": ("reconcile", say_fixed),
    "conflict-found": ("reconcile", say_conflict),
    "instance-serving": ("gate", say_serving),
    "instance-not-serving": ("gate", say_not_serving),
    "misconfiguration-found": ("doctor", say_misconfigured([FOUND], [])),
    "misconfiguration-mended": ("doctor", say_misconfigured([], [FOUND])),
    "cycle-started": ("cycle", say_cycle(answer_of(CycleEvent.STARTED, new=0, in_progress=0, left=8, **JUST_STARTED))),
    "cycle-progress": ("cycle", say_cycle(answer_of(CycleEvent.PROGRESS, verdicts=(VERDICT,), **LATELY))),
    "cycle-succeeded": ("cycle", say_cycle(ended(CycleEvent.SUCCEEDED))),
    "cycle-failed": ("cycle", say_cycle(ended(CycleEvent.FAILED))),
    "cycle-rolled-back": ("cycle", say_cycle(ended(CycleEvent.ROLLED_BACK))),
    "cycle-cancelled": ("cycle", say_cycle(ended(CycleEvent.CANCELLED))),
    "image-baked": ("bake", say_bake(long_ago(bake_ended(BakeEvent.BAKED)))),
    "image-failed": ("bake", say_bake(bake_ended(BakeEvent.FAILED))),
    "image-retired": ("bake", say_bake(long_ago(RETIRED))),
}


@pytest.mark.parametrize("name", SAYING)
def test_each_event_is_as_its_sample_shows_it(
    world: World, audience: Audience, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    function, say = SAYING[name]
    monkeypatch.setattr(audience.announcer, "_function", function)
    [(kind, detail)] = audience.end(lambda: say(world, audience))
    sample = json.loads((SAMPLES / f"{name}.json").read_text())
    assert (sample["source"], sample["detail-type"]) == ("rollcall", kind)
    assert json.loads(json.dumps(detail)) == sample["detail"]


def test_there_is_a_sample_of_each_of_these_events() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == SAYING.keys()


def test_who_remembers_what_was_published_hears_that_it_was_not(world: World, audience: Audience) -> None:
    audience.bus.failing["put"] = Throttled("slow")
    with pytest.raises(Throttled, match="slow"):
        say_misconfigured([FOUND], [])(world, audience)


def test_a_misconfiguration_in_too_many_words_is_cut(world: World, audience: Audience) -> None:
    long = replace(FOUND, reason="x" * 2 * REASON_MAX)
    [(_, detail)] = audience.end(lambda: say_misconfigured([long], [])(world, audience))
    assert len(detail["reason"]) == REASON_MAX


def test_every_detail_says_where_it_comes_from(world: World, audience: Audience) -> None:
    for _, say in SAYING.values():
        say(world, audience)
    for _, detail in audience.end():
        assert (detail["account"], detail["region"], detail["stack"], detail["function"]) == (
            ACCOUNT,
            REGION,
            "rollcall",
            "unit",
        )


# Outcomes


def details(audience: Audience) -> list[Mapping[str, Any]]:
    return [detail for _, detail in audience.end()]


def test_an_event_of_another_account_or_region_says_so(world: World, audience: Audience) -> None:
    action = replace(launch(world), region="eu-west-1")
    audience.announcer.announce([Report(action, "ready", event=Event.READY)])
    [detail] = details(audience)
    assert detail["region"] == "eu-west-1"


def test_what_is_no_event_is_not_published(world: World, audience: Audience) -> None:
    audience.announcer.announce([Report(launch(world), "no longer pending", notes=(Note("mind this"),))])
    assert audience.end() == []


def test_one_event_for_each_instance(world: World, audience: Audience) -> None:
    audience.announcer.announce(
        [Report(launch(world, f"i-{number}"), "ready", event=Event.READY) for number in range(25)]
    )
    assert [detail["instance_id"] for detail in details(audience)] == [f"i-{number}" for number in range(25)]
    assert audience.end() == []


def test_seconds_and_links_are_null_where_no_one_knows(world: World, audience: Audience) -> None:
    action = replace(launch(world), at=math.inf)
    audience.announcer.announce([Report(action, "ready", event=Event.READY)])
    [detail] = details(audience)
    assert (detail["seconds"], detail["job"], detail["job_url"]) == (None, None, None)


@pytest.mark.parametrize(
    ("before", "said", "alert", "published"),
    [
        (False, False, False, False),
        (False, True, False, True),
        (True, False, False, True),
        (False, None, False, None),
        (True, None, False, True),
        (True, True, True, False),
        (False, None, True, False),
    ],
)
def test_whoever_was_alerted_before_hears_how_it_ended(
    world: World, audience: Audience, before: bool, said: bool | None, alert: bool, published: bool | None
) -> None:
    """But for what is alerted in the same breath: that is not to end with it."""
    notes = (Note("its retire job failed on it", alert=True),) if alert else ()
    action = replace(leave(world), failed_before=before)
    audience.announcer.announce(
        [Report(action, "removed from every inventory", event=Event.RETIRED, alerted_before=said, notes=notes)]
    )
    detail = dict(audience.end())["Instance Retired"]
    assert detail["troubled"] is published


def test_a_failure_that_left_no_host_publishes_so_at_once(world: World, audience: Audience) -> None:
    action = leave(world)
    report = Report(action, error=ChefUnavailable("away"), event=Event.RETIRED)
    assert audience.announcer.announce_results([action], [report]) == [report.error]
    assert [kind for kind, _ in audience.end()] == ["Instance Retired"]
    assert audience.counted(group="web")["Retired"] == 1


@pytest.mark.parametrize(
    ("root", "page"),
    [
        ("https://tower.example.com/api/v2/", JOB_URL),
        ("https://aap.example.com/api/controller/v2/", "https://aap.example.com/execution/jobs/playbook/121/output"),
        ("http://127.0.0.1:8052/api/v2/", "http://127.0.0.1:8052/#/jobs/playbook/121/output"),
    ],
)
def test_a_job_has_a_page_for_people(root: str, page: str) -> None:
    assert job_page(root, 121) == page


# Failures

INSTALLATION = [
    TowerUnavailable,
    ChefUnavailable,
    HostLimitReached,
    Throttled,
    AwsUnavailable,
    AwsDenied,
    AwsRejected,
    TowerDenied,
    BadEvent,
    ChefDenied,
    ChefRejected,
]


@pytest.mark.parametrize("kind", INSTALLATION)
def test_what_ails_the_whole_installation_has_one_cause_for_all(world: World, kind: type[Exception]) -> None:
    assert {error_cause(kind("words"), each) for each in (launch(world), leave(world, "i-b"), None)} == {kind.__name__}


@pytest.mark.parametrize("kind", [BadSettings, TowerRejected])
def test_what_ails_a_group_has_one_cause_for_its_instances(world: World, kind: type[Exception]) -> None:
    other = world.launching("i-c", "db")
    assert (
        error_cause(kind("words"), launch(world))
        == error_cause(kind("x"), leave(world, "i-b"))
        == f"{kind.__name__}: group web"
    )
    assert error_cause(kind("words"), other) == f"{kind.__name__}: group db"
    assert error_cause(kind("words"), None) == kind.__name__


@pytest.mark.parametrize("kind", [InstanceNotVisible, ActionNotVisible, JobStillLanding])
def test_what_ails_an_instance_is_its_own_cause(world: World, kind: type[Exception]) -> None:
    assert error_cause(kind("words"), launch(world)) == f"instance: web/{INSTANCE}"


def test_a_clients_finer_error_and_a_bug_of_ours_have_causes_too(world: World) -> None:
    assert error_cause(DeleteRefused("no", frozenset({"fleet"})), launch(world)) == "TowerDenied"
    assert error_cause(KeyError("bug"), launch(world)) == "KeyError"


def test_one_and_the_same_error_is_published_each_action(world: World, audience: Audience) -> None:
    actions = [launch(world, f"i-{number}") for number in range(12)]
    audience.announcer.message_retried(RECORD, actions, TowerUnavailable("away"), 15)
    published = audience.end()
    assert [(kind, detail["instance_id"]) for kind, detail in published] == [
        ("Work Failed", action.instance_id) for action in actions
    ]
    assert {detail["cause"] for _, detail in published} == {"TowerUnavailable"}
    assert {detail["again_within"] for _, detail in published} == {15 + LATENESS}


def test_a_message_that_no_one_can_read_is_about_no_instance(audience: Audience) -> None:
    audience.announcer.message_retried(RECORD, [], BadEvent("field 'x' is missing"), 30)
    [detail] = details(audience)
    assert (detail["group"], detail["instance_id"], detail["cause"]) == (None, None, "BadEvent")
    assert (detail["transient"], detail["tries"], detail["failing_for"]) == (False, 3, 61.3)


def test_what_is_dead_lettered_is_published_for_good(world: World, audience: Audience) -> None:
    audience.announcer.message_dead_lettered(RECORD, [launch(world)], BadSettings("fix the tag"))
    [detail] = details(audience)
    assert (detail["again_within"], detail["set_aside"]) == (None, True)
    assert detail["reason"] == "moved to the dead-letter queue: fix the tag"
    assert (detail["error"], detail["cause"]) == ("BadSettings", "BadSettings: group web")


def test_what_fails_apart_is_published_with_the_next_try(world: World, audience: Audience) -> None:
    audience.announcer.announce([Report(launch(world), error=TowerDenied("no role"), job=121)])
    [detail] = details(audience)
    assert (detail["cause"], detail["again_within"], detail["job_url"]) == (
        "TowerDenied",
        FIRST_RETRY + LATENESS,
        JOB_URL,
    )
    assert detail["set_aside"] is False


def test_an_alert_is_published_once_and_ends_with_the_instance(world: World, audience: Audience) -> None:
    note = Note("held for an operator to look", alert=True)
    audience.announcer.announce([Report(launch(world), "", notes=(note,))])
    [(kind, detail)] = audience.end()
    assert kind == "Work Failed"
    assert (detail["error"], detail["cause"], detail["again_within"]) == (
        INSTANCE_IN_TROUBLE,
        f"instance: web/{INSTANCE}",
        None,
    )
    assert detail["failing_for"] == 42.5


def test_an_alert_about_more_than_one_instance_has_one_cause_for_all(world: World, audience: Audience) -> None:
    note = Note("its host stays", alert=True, cause="read-only inventory: all EC2")
    reports = [
        Report(each, "removed from every inventory", event=Event.RETIRED, notes=(note,))
        for each in (launch(world), leave(world))
    ]
    audience.announcer.announce(reports)
    published = audience.end()
    assert {each["cause"] for kind, each in published if kind == "Work Failed"} == {"read-only inventory: all EC2"}
    assert [each["troubled"] for kind, each in published if kind == "Instance Retired"] == [False, False]


def test_what_is_finished_is_no_failure(world: World, audience: Audience) -> None:
    audience.announcer.message_failed(RECORD, [launch(world)], TowerUnavailable("away"))
    audience.announcer.message_finished(RECORD, [launch(world)])
    assert audience.end() == []


def test_words_without_end_are_cut(audience: Audience) -> None:
    audience.announcer.message_retried(RECORD, [], BadEvent("x" * 300_000), 30)
    [detail] = details(audience)
    assert len(detail["reason"]) == REASON_MAX
    assert detail["reason"].endswith("…")


# Runs of reconcile


def test_every_finding_is_published_with_each_run(world: World, audience: Audience) -> None:
    world.group("web", tags={})
    for number in range(3):
        world.serving(f"i-{number}", f"10.0.0.{number}")
        world.host_of(f"i-{number}", f"10.0.0.{number}")
    for _ in range(2):
        run_events(audience, world.reconcile())
        published = audience.end()
        assert [kind for kind, _ in published] == ["Conflict Found"] * 3
        assert {detail["cause"] for _, detail in published} == {
            f"conflict: not opted in: prod/i-{each}" for each in range(3)
        }


@pytest.mark.parametrize(
    ("every", "again_within"), [(300.0, 600 + LATENESS), (86_400.0, 172_800 + LATENESS), (None, BY_HAND)]
)
def test_what_lasts_is_published_again_before_two_runs_are_over(
    audience: Audience, every: float | None, again_within: float
) -> None:
    finding = DriftFinding(DriftKind.SECOND_HOST, FLEET, INSTANCE, "two")
    outcome = RunOutcome(plan=Plan(findings=(finding,)), errors={"group db": BadSettings("fix it")})
    outcome.by_inventory[FLEET] = Summary(managed=6)
    outcome.stopped[FLEET] = []
    run_events(audience, outcome, every)
    published = details(audience)
    assert len(published) == 3
    assert {detail["again_within"] for detail in published} == {again_within}


def test_a_removal_limit_that_was_exceeded_is_a_failure_with_the_remedy(world: World, audience: Audience) -> None:
    for number in range(6):
        world.host_of(f"i-{number}", f"10.0.0.{number}")
    run_events(audience, world.reconcile())
    [(kind, detail)] = audience.end()
    assert kind == "Work Failed"
    assert (detail["error"], detail["cause"], detail["transient"]) == ("BreakerTripped", "breaker: prod", False)
    assert (detail["group"], detail["instance_id"], detail["set_aside"]) == (None, None, False)
    assert "rollcall reconcile --force --group web" in detail["reason"]
    assert '{"force": true, "groups": ["web"]}' in detail["reason"]


def test_a_removal_limit_that_keeps_a_host_of_no_known_group_names_none(world: World, audience: Audience) -> None:
    for number in range(6):
        world.host_of(f"i-{number}", f"10.0.0.{number}")
    outcome = world.reconcile()
    [own] = outcome.stopped.values()
    own[0] = replace(own[0], host=replace(own[0].host, variables={}))
    run_events(audience, outcome)
    [detail] = details(audience)
    assert "rollcall reconcile --force (event" in detail["reason"]


def test_the_removal_limit_of_nodes_in_chef_is_published_likewise(audience: Audience) -> None:
    outcome = RunOutcome()
    outcome.nodes.stopped = tuple(NodeRemoval(f"n{each}", f"i-{each}", "gone", certain=True) for each in range(6))
    run_events(audience, outcome)
    [detail] = details(audience)
    assert detail["cause"] == "breaker: Chef"
    assert 'rollcall reconcile --force (event {"force": true})' in detail["reason"]


def test_each_job_that_a_run_launches_is_published_with_the_step(world: World, audience: Audience) -> None:
    world.serving("i-new", "10.0.0.2", age=600)
    run_events(audience, world.reconcile())
    [job] = world.tower.runs
    [detail] = details(audience)
    assert (detail["step"], detail["job"]) == ("added and provisioned", job)
    assert detail["job_url"].endswith(f"/{job}/output")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (BadSettings("fix it"), "reconcile: group db"),
        (TowerRejected("no"), "reconcile: group db"),
        (TowerUnavailable("away"), "TowerUnavailable"),
        (AwsDenied("no"), "AwsDenied"),
    ],
)
def test_a_problem_of_a_run_is_the_installations_or_its_own(
    audience: Audience, error: TowerRejected, cause: str
) -> None:
    run_events(audience, RunOutcome(errors={"group db": error}))
    [detail] = details(audience)
    assert (detail["cause"], detail["error"]) == (cause, type(error).__name__)
    assert detail["reason"] == f"group db: {error}"


def test_what_tower_has_against_many_hosts_of_an_inventory_is_one_problem(audience: Audience) -> None:
    whats = [f"host i-{number} of inventory fleet" for number in range(500)]
    run_events(
        audience,
        RunOutcome(errors=dict.fromkeys(whats, TowerRejected("no")), host_errors_in=dict.fromkeys(whats, FLEET)),
    )
    published = details(audience)
    assert {detail["cause"] for detail in published} == {"reconcile: TowerRejected: inventory fleet"}
    assert [detail["reason"] for detail in published] == [f"{what}: no" for what in whats]


def test_what_ails_the_whole_installation_is_its_cause_though_it_is_about_a_host(audience: Audience) -> None:
    run_events(audience, RunOutcome(errors={"host i-a": TowerDenied("no role")}, host_errors_in={"host i-a": FLEET}))
    [detail] = details(audience)
    assert detail["cause"] == "TowerDenied"


@pytest.mark.parametrize(("error", "cause"), [(KeyError("bug"), "KeyError"), (BadSettings("x"), "reconcile: the run")])
def test_a_run_that_ends_in_an_error_is_published(audience: Audience, error: Exception, cause: str) -> None:
    audience.announcer.run_failed(error, 300)
    [(kind, detail)] = audience.end()
    assert (kind, detail["cause"], detail["again_within"]) == ("Work Failed", cause, 600 + LATENESS)


def test_each_step_taken_is_published_with_its_group(world: World, audience: Audience) -> None:
    world.host_of("i-gone", "10.0.0.1")
    world.serving("i-new", "10.0.0.2")
    world.serving("i-moved", "10.0.0.3")
    world.host_of("i-moved", "10.0.0.99")
    world.serving("i-leaving", "10.0.0.4", state="Terminating:Wait")
    run_events(audience, world.reconcile())
    published = audience.end()
    assert {kind for kind, _ in published} == {"Drift Fixed"}
    assert {(detail["step"], detail["instance_id"], detail["group"]) for _, detail in published} == {
        ("removed", "i-gone", "web"),
        ("added", "i-new", "web"),
        ("fixed", "i-moved", "web"),
        ("requeued", "i-leaving", "web"),
    }
    assert {(detail["job"], detail["job_url"]) for _, detail in published} == {(None, None)}


def test_a_node_that_left_chef_is_drift_too(audience: Audience) -> None:
    outcome = RunOutcome()
    outcome.nodes.removed.append(NodeRemoval("web-1", INSTANCE, "EC2 does not know it", certain=True))
    audience.announcer.announce_fixes(outcome)
    [(kind, detail)] = audience.end()
    assert (kind, detail["step"], detail["node"]) == ("Drift Fixed", "removed from Chef", "web-1")
    assert (detail["job"], detail["job_url"]) == (None, None)
    assert audience.counted()["DriftFixed"] == 1
