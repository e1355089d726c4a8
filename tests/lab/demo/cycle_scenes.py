"""The demo's scenes about cycles: a group is replaced under load, and a version that is no good is rolled back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.demo.stage import SHOP_SIZE

if TYPE_CHECKING:
    from lab.cloud import Json
    from lab.demo.stage import Sights, Stage
    from lab.tower.embedded import HostRecord

BATCH = SHOP_SIZE // 2  # instances: a client sees both that it takes batches, and what it does between them
CYCLE_TIMEOUT = 120.0  # seconds; a cycle takes 30
GOOD_TYPE, BAD_TYPE = "t4g.medium", "t4g.nano"  # of the new versions


def cycle_under_load(stage: Stage) -> None:
    """shop: all instances are replaced by those of a new version, and a client loses no request."""
    stage.say(f"5  Cycle under load: shop, {SHOP_SIZE} instances, {BATCH} at a time", "bold")
    stage.say("   A client asks through a load balancer all the time.")
    load = stage.load()
    old = stage.serving()
    version = stage.shop.new_version(InstanceType=GOOD_TYPE)
    stage.say(f"   As by: rollcall cycle {stage.shop.name} --version {version} --batch {BATCH}")
    state = _cycled(stage, version)
    stage.expect(state["result"] == "succeeded", f"the cycle {state['result']}: {state['reason']}")
    new = stage.shop.in_service()
    stage.expect(not new & old and len(new) == SHOP_SIZE, "not every instance of shop is a new one")
    stage.expect_no_loss()
    stage.say(
        f"   {state['reason']}: each provisioned by a job of its own, and healthy before an old one went.", "green"
    )
    stage.say(f"   {load.asked:,} requests so far, none lost.", "green")


def roll_back_a_bad_version(stage: Stage) -> None:
    """shop: a version on which the playbook fails; the cycle ends it by itself and names the job."""
    stage.say(
        f"6  A bad version: shop, to version 3, whose machines ({BAD_TYPE}) are too small for the playbook", "bold"
    )

    def too_small(host: HostRecord) -> bool:
        facts = host.variables.get("ec2")
        return isinstance(facts, dict) and facts.get("type") == BAD_TYPE

    load = stage.load()
    stage.cloud.tower.fail_host(too_small)
    before = stage.shop.in_service()
    version = stage.shop.new_version(InstanceType=BAD_TYPE)
    state = _cycled(stage, version)
    stage.cloud.tower.heal_hosts()
    stage.expect(state["result"] == "rolled back", f"the cycle {state['result']}: {state['reason']}")
    stage.expect(stage.shop.in_service() == before, "the instances of shop are not those from before the bad version")
    stage.expect_no_loss()
    verdict = state["verdicts"][0]
    stage.say(f"   Rolled back by itself: {state['reason']}.", "green")
    stage.say(f"   The job that shows why: {verdict['job_url']}", "green")
    stage.say(f"   shop serves as before: {load.asked:,} requests, none lost.", "green")


def _cycled(stage: Stage, version: str) -> Json:
    """The state of a cycle of shop to a version, once it has ended."""
    stage.clear()
    cycle = stage.load().cycle(version, BATCH)

    def over(_: Sights) -> bool:
        ended = cycle.over()
        if news := cycle.news():
            stage.say(f"   {news}")
        return ended

    stage.wait(over, f"the cycle of shop to version {version} is over", CYCLE_TIMEOUT)
    return cycle.state
