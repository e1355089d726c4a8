"""The demo's story, scene by scene. A scene says what it does, does it, and knows what has to come of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from lab.cloud import eventually
from lab.demo.sights import observe
from lab.invariants import disagreements, others_hosts
from rollcall_cli.timeline.timeline import Mark

if TYPE_CHECKING:
    from lab.cloud import Cloud, Group
    from lab.demo.sights import Sight
    from lab.demo.view import View

POOL = "10.0.0.0/29"  # six addresses, the lowest free one first: the demo needs them again
FAILING, BOOTING = "10.0.0.2", "10.0.0.4"
BOOT_TIME = 8.0  # seconds from registration: too long for the first job, and over before the second
JOB_TIME = 3.0  # seconds
INVENTORY, TEMPLATE, DEPLOY = "production", "provision", "deploy web"
HEARTBEAT_TIMEOUT = 60  # seconds
SCALE_OUT_TIMEOUT = 120.0  # seconds; with the second job it takes 40
SCALE_IN_TIMEOUT = HEARTBEAT_TIMEOUT - 5.0  # what comes later was not Rollcall's doing
DEPLOY_TIMEOUT = 30.0  # seconds
TERMINATION = "EC2 Instance-terminate Lifecycle Action"
LOSS_TIMEOUT = 10.0  # seconds until an instance waits whose event is lost

type Sights = list[Sight]


class SceneFailed(Exception):
    """A scene did not come out: why, in a sentence."""


class Stage:
    """Where the scenes play: the cloud with its two groups, and the view that shows it.

    others: the hosts in Tower that are not Rollcall's, by id. acts: the scenes that have begun.
    """

    def __init__(self, cloud: Cloud, view: View) -> None:
        self.cloud = cloud
        self.marks: list[Mark] = []
        self._view = view
        cloud.tower.set_job_time(JOB_TIME)
        cloud.tower.add_inventory(INVENTORY)
        for template in (TEMPLATE, DEPLOY):
            cloud.tower.add_job_template(template, INVENTORY)
        cloud.tower.add_host(INVENTORY, "vpn-1.example.com", "# by hand\nansible_host: 192.0.2.7\n", groups=["network"])
        self.others = others_hosts(cloud)
        self.web = self._group("web")
        self.db = self._group("db")

    def _group(self, name: str) -> Group:
        tags = {"inventory": INVENTORY, "groups": name, "job-template": TEMPLATE}
        return self.cloud.create_group(name, tags, heartbeat_timeout=HEARTBEAT_TIMEOUT)

    @property
    def groups(self) -> tuple[str, ...]:
        return self.web.name, self.db.name

    def play(self, scene: Callable[[Stage], None]) -> None:
        """A scene, from its beginning to its end. Raises SceneFailed."""
        self.marks.append(Mark(time.time(), len(self.marks) + 1, scene.__name__.replace("_", " ")))
        scene(self)

    def say(self, text: str, style: str = "") -> None:
        self._view.say(text, style)

    def wait(
        self,
        condition: Callable[[Sights], bool],
        what: str,
        timeout: float,
        *,
        unless: Callable[[Sights], str] = lambda sights: "",
    ) -> Sights:
        """Show the instances until the condition holds. Returns them as they are then.

        Raises SceneFailed after timeout seconds, as soon as `unless` knows a reason, or when a hook timed out.
        """

        def look() -> Sights | None:
            sights = observe(self.cloud)
            self._view.show(sights)
            if late := [each for each in sights if each.timed_out]:
                raise SceneFailed(f"a hook was not answered before its timeout ({late[0]})")
            if reason := unless(sights):
                raise SceneFailed(reason)
            return sights if condition(sights) else None

        try:
            sights: Sights = eventually(look, what, timeout)
        except TimeoutError as error:
            stuck = [str(each) for each in observe(self.cloud) if not (each.serves or each.gone)]
            raise SceneFailed(". ".join([str(error), *stuck])) from error
        return sights

    def expect(self, holds: bool, reason: str) -> None:
        """Raises SceneFailed with this reason unless it holds."""
        if not holds:
            raise SceneFailed(reason)

    def settle(self, timeout: float) -> None:
        """Wait until no message is on its way, or until that takes too long, which is for the invariants to say."""
        try:
            eventually(lambda: self.cloud.in_flight() == 0, "every message is worked off", timeout)
        except TimeoutError as error:
            self.say(str(error), "red")


def scale_out(stage: Stage) -> None:
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


def _outcomes_of(stage: Stage, instance_id: str) -> list[str]:
    """What became of an instance's host in each job that held it."""
    return [job.hosts[instance_id] for job in stage.cloud.tower.jobs() if instance_id in job.hosts]


def _others_than_one_abandoned(sights: Sights) -> str:
    abandoned = [each for each in sights if each.abandoned]
    wrong = [each for each in abandoned if each.address != FAILING]
    if wrong:
        return f"an instance was abandoned, and nothing was wrong with it ({wrong[0]})"
    return f"{len(abandoned)} instances were abandoned, and one was to fail" if len(abandoned) > 1 else ""


def scale_in(stage: Stage) -> None:
    """web 4 -> 3: the one that leaves is removed while its hook holds it."""
    stage.say("2  Scale in: web from 4 to 3", "bold")
    leaver = _shrink(stage, stage.web, 3)
    stage.say(f"   {leaver.instance_id} was removed before its address became free.", "green")


def _shrink(stage: Stage, group: Group, size: int) -> Sight:
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


def recycle_an_address(stage: Stage) -> None:
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


def lose_an_event(stage: Stage) -> None:
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


def _removed(stage: Stage, leaver: Sight) -> float:
    removed = (life.removed for life in stage.cloud.tower.host_lives() if life.name == leaver.instance_id)
    return max(time for time in removed if time)


def _serving(sights: Sights, group: Group) -> Sights:
    return [each for each in sights if each.group == group.name and each.serves]


def _abandoned(sights: Sights, group: Group) -> Sights:
    return [each for each in sights if each.group == group.name and each.abandoned]


SCENES: tuple[Callable[[Stage], None], ...] = (scale_out, scale_in, recycle_an_address, lose_an_event)
