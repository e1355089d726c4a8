"""The demo's story, scene by scene. A scene says what it does, does it, and knows what has to come of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lab.demo.cycle_scenes import cycle_under_load, roll_back_a_bad_version
from lab.demo.sights import observe
from lab.demo.stage import DEPLOY, HEARTBEAT_TIMEOUT, FleetStage, Sights, Stage
from lab.invariants import disagreements

if TYPE_CHECKING:
    from lab.cloud import Group
    from lab.demo.sights import Sight

FAILING, BOOTING = "10.0.0.8", "10.0.0.10"  # shop has the first six
BOOT_TIME = 8.0  # seconds from registration: too long for the first job, and over before the second
SCALE_OUT_TIMEOUT = 120.0  # seconds; with the second job it takes 40
SCALE_IN_TIMEOUT = HEARTBEAT_TIMEOUT - 5.0  # what comes later was not Rollcall's doing
DEPLOY_TIMEOUT = 30.0  # seconds
TERMINATION = "EC2 Instance-terminate Lifecycle Action"
LOSS_TIMEOUT = 10.0  # seconds until an instance waits whose event is lost


def scale_out(stage: FleetStage) -> None:
    """web 0 -> 4: one fails and is replaced; one boots late, and those the failure cut short, get a second job."""
    stage.say("1  Scale out: web from 0 to 4", "bold")
    stage.say("   One job for the whole batch; each instance is judged by what it shows of that one.")
    stage.say(f"   {FAILING} will fail its playbook; {BOOTING} is slow to boot.")
    stage.cloud.tower.fail_host(FAILING)
    stage.cloud.tower.set_boot_time(BOOT_TIME, BOOTING)
    stage.web.scale(4)
    sights = stage.wait(
        lambda sights: len(_serving(sights, stage.web)) == 4 and all(each.serves or each.gone for each in sights),
        "web has 4 instances in service, and the one that failed is gone",
        SCALE_OUT_TIMEOUT,
        unless=_others_than_one_abandoned,
    )
    stage.cloud.tower.heal_hosts()
    failed = [each for each in sights if each.address == FAILING and each.abandoned]
    stage.expect(bool(failed), f"the instance at {FAILING} fails its playbook, but it was put into service")
    (booting,) = (each for each in sights if each.address == BOOTING)
    tries = _outcomes_of(stage, booting.instance_id)
    stage.expect(
        tries == ["dark", "ok"],
        f"{booting.instance_id} boots late: it takes two jobs, unreachable then ok, not {tries}",
    )
    again = [each.instance_id for each in sights if _outcomes_of(stage, each.instance_id) == ["ok", "ok"]]
    for each in again:
        stage.say(f"   {each} ran again: the first job failed, and no good one showed yet that it was done.", "green")
    stage.say(f"   {failed[0].instance_id} failed: never in service, replaced.", "green")
    stage.say(f"   {booting.instance_id} was unreachable: tried again, not replaced.", "green")


def _outcomes_of(stage: FleetStage, instance_id: str) -> list[str]:
    """What became of an instance's host in each job that held it."""
    return [job.hosts[instance_id] for job in stage.cloud.tower.jobs() if instance_id in job.hosts]


def _others_than_one_abandoned(sights: Sights) -> str:
    abandoned = [each for each in sights if each.abandoned]
    wrong = [each for each in abandoned if each.address != FAILING]
    if wrong:
        return f"an instance was abandoned, and nothing was wrong with it ({wrong[0]})"
    return f"{len(abandoned)} instances were abandoned, and one was to fail" if len(abandoned) > 1 else ""


def scale_in(stage: FleetStage) -> None:
    """web 4 -> 3: the one that leaves is removed while its hook holds it."""
    stage.say("2  Scale in: web from 4 to 3", "bold")
    leaver = _shrink(stage, stage.web, 3)
    stage.say(f"   {leaver.instance_id} was removed before its address became free.", "green")


def _shrink(stage: FleetStage, group: Group, size: int) -> Sight:
    """Scale the group in by one. Returns the instance that left."""
    before = {each.instance_id for each in _serving(observe(stage.cloud), group)}
    group.scale(size)
    sights = stage.wait(
        lambda sights: sum(each.gone for each in sights if each.instance_id in before) == 1,
        f"{group.name} has lost an instance",
        SCALE_IN_TIMEOUT,
    )
    (leaver,) = (each for each in sights if each.gone and each.instance_id in before)
    stage.expect(
        not leaver.inventory_groups, f"{leaver.instance_id} is terminated, and Tower still has it at {leaver.address}"
    )
    return leaver


def recycle_an_address(stage: FleetStage) -> None:
    """web loses an instance, db gets its address, and a deploy to web must not reach db."""
    tower = stage.cloud.tower
    stage.say("3  An address comes back: web from 3 to 2, then db from 0 to 3", "bold")
    leaver = _shrink(stage, stage.web, 2)
    stage.say(f"   {leaver.address} is free again. db launches three instances.")
    stage.db.scale(3)
    sights = stage.wait(
        lambda sights: len(_serving(sights, stage.db)) == 3,
        "db has 3 instances in service",
        SCALE_OUT_TIMEOUT,
        unless=lambda sights: "an instance of db was abandoned" if any(_abandoned(sights, stage.db)) else "",
    )
    new_instances = {each.address: each for each in _serving(sights, stage.db)}
    stage.expect(
        leaver.address in new_instances, f"no instance of db got {leaver.address}, so this scene shows nothing"
    )
    new_instance = new_instances[leaver.address]
    pause = new_instance.launched + (new_instance.registered or 0) - _removed(stage, leaver)
    stage.say(f"   {new_instance.instance_id} of db has {leaver.address}, {pause:.0f} s after web's host left Tower.")
    stage.say("   An operator now runs the playbook 'deploy web' on the inventory group web.")
    deploy = tower.run_playbook(DEPLOY, "web")
    stage.wait(
        lambda sights: any(job.id == deploy.id and job.final for job in tower.jobs(DEPLOY)),
        f"the operator's job {deploy.id} is over",
        DEPLOY_TIMEOUT,
    )
    (deploy,) = tower.jobs(DEPLOY)
    reached = ", ".join(sorted(deploy.addresses.values()))
    removal = sorted(set(deploy.addresses.values()) & new_instances.keys())
    stage.expect(not removal, f"the deploy to web reached instances of db, at {', '.join(removal)}")
    serving = {each.instance_id for each in _serving(sights, stage.web)}
    stage.expect(deploy.hosts.keys() == serving, f"the deploy reached {reached}, which is not all of web and only web")
    stage.say(f"   It reached {reached}: all of web, and nothing else.", "green")
    stage.say(f"   Without Rollcall, Tower would still call {leaver.address} a host of web: the deploy")
    stage.say(f"   would have made a web server of a database, {new_instance.instance_id}.")


def lose_an_event(stage: FleetStage) -> None:
    """db loses an instance, and its event is lost: reconcile finds out, and Tower holds what serves, nothing else."""
    cloud = stage.cloud
    stage.say("4  An event gets lost: db from 3 to 2", "bold")
    cloud.aws.drop_events(TERMINATION)
    stage.db.scale(2)
    sights = stage.wait(lambda sights: any(map(_is_held, sights)), "an instance of db is leaving", LOSS_TIMEOUT)
    cloud.aws.drop_events()
    leaver = next(filter(_is_held, sights))
    stage.expect(bool(leaver.inventory_groups), f"{leaver.instance_id} was removed although no event came")
    stage.say(f"   {leaver.instance_id} waits, and is in Tower still. Reconcile, due every five minutes, comes early.")
    for step in cloud.reconcile()["steps"]:
        stage.say(f"   Reconcile: {step['instance_id']} {step['step']}, for {step['reason']}.", "green")
    stage.wait(
        lambda sights: any(each.gone for each in sights if each.instance_id == leaver.instance_id),
        f"{leaver.instance_id} is gone",
        SCALE_IN_TIMEOUT,
    )
    stage.settle(SCALE_IN_TIMEOUT)
    cloud.reconcile()
    wrong = disagreements(cloud, stage.others)
    stage.expect(not wrong, f"after two runs Tower and EC2 do not agree: {'; '.join(wrong)}")
    stage.say(
        "   Tower now holds the instances that serve, each once, and an untouched host that is not Rollcall's.", "green"
    )


def _is_held(sight: Sight) -> bool:
    return sight.state == "Terminating:Wait"


def _removed(stage: FleetStage, leaver: Sight) -> float:
    removed = (life.removed for life in stage.cloud.tower.host_lives() if life.name == leaver.instance_id)
    return max(time for time in removed if time)


def _serving(sights: Sights, group: Group) -> Sights:
    return [each for each in sights if each.group == group.name and each.serves]


def _abandoned(sights: Sights, group: Group) -> Sights:
    return [each for each in sights if each.group == group.name and each.abandoned]


ON_THE_TIMELINE: tuple[Callable[[FleetStage], None], ...] = (scale_out, scale_in, recycle_an_address, lose_an_event)
UNDER_LOAD: tuple[Callable[[Stage], None], ...] = (cycle_under_load, roll_back_a_bad_version)
SCENES = (*ON_THE_TIMELINE, *UNDER_LOAD)
